// SPDX-License-Identifier: GPL-2.0
/*
 * Which bindings an invalidation is for: two devices in one container, each with
 * tables of its own. What is named has to be fresh, and what is not named stays
 * stale, as far as the hardware has cached it.
 */
#include "device.h"
#include "harness.h"

/* Two devices, and for each the requests that a table is bound for */
#define DEVICES		2
#define KINDS		3
#define BINDINGS	(DEVICES * KINDS)

static const __u32 kinds[KINDS] = { 0, 4, 9 };

/* The guest's domain ids, by device and kind; 0: bound without one */
static const __u32 archids[DEVICES][KINDS] = { { 10, 20, 20 }, { 20, 10, 0 } };

#define BIT_OF(device, kind)	(1u << ((device) * KINDS + (kind)))
#define A(kind)			BIT_OF(0, kind)
#define B(kind)			BIT_OF(1, kind)
#define ALL			((1u << BINDINGS) - 1)

struct binding {
	struct nest *n;
	__u32 pasid;
	struct pgt pt;
	__u64 page;
};

FIXTURE(scope)
{
	struct nest n[DEVICES];
	struct binding binding[BINDINGS];
	/* Addresses that nobody has used yet */
	__u64 va;
	struct inv_arg arg;
};

static int bind_one(struct binding *b, __u32 archid, __u32 width)
{
	struct bind_arg arg;

	bind_init(&arg, b->n, b->pasid, b->pt.root);
	arg.data.addr_width = width;
	if (archid) {
		arg.data.flags |= IOMMU_UAPI_BIND_ARCHID;
		arg.data.archid = archid;
	}
	return do_bind(b->n, &arg);
}

FIXTURE_SETUP(scope)
{
	struct nest *n = self->n;
	int d, k, rc;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_BIND_PASID))
		SKIP(return, "no PASIDs for this device");
	ASSERT_TRUE(n->caps.features & IOMMU_UAPI_FEAT_INV_SCOPE);
	ASSERT_TRUE(n->caps.bind_flags & IOMMU_UAPI_BIND_ARCHID);
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	/* In the lab, the second one caches translations by itself. */
	rc = guest_device(&n[1], n, 1);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	n[1].td.ats = device_caches(&n[1]);
	self->va = GUEST_VA;
	for (d = 0; d < DEVICES; d++) {
		for (k = 0; k < KINDS; k++) {
			struct binding *b = &self->binding[d * KINDS + k];

			b->n = &n[d];
			b->pasid = kinds[k];
			ASSERT_OK(pgt_init(&b->pt, &n->mem));
			b->page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
			mem_set(gmem_ptr(&n->mem, b->page), 0x100 + d * KINDS + k);
			ASSERT_OK(bind_one(b, archids[d][k], 48));
		}
	}
}

FIXTURE_TEARDOWN(scope)
{
}

/* Let each binding cache a page at the next address, and take it away. */
static int make_stale(struct _test_data_scope *self)
{
	struct binding *b;
	__u64 got;
	int i;

	self->va += PGT_4K;
	for (i = 0; i < BINDINGS; i++) {
		b = &self->binding[i];
		if (pgt_map(&b->pt, self->va, b->page, PGT_4K, PGT_RW) ||
		    dma_read(b->n, b->pasid, self->va, &got) ||
		    got != 0x100 + (__u64)i)
			return -EIO;
		pgt_unmap(&b->pt, self->va);
	}
	return 0;
}

/* The bindings that still have their page at @va */
static int stale_at(struct _test_data_scope *self, __u64 va)
{
	int i, mask = 0;
	__u64 got;

	for (i = 0; i < BINDINGS; i++) {
		if (!dma_read(self->binding[i].n, self->binding[i].pasid, va,
			      &got))
			mask |= 1 << i;
	}
	return mask;
}

/* What one entry is for. @kind: index of a kind, -1 for all */
struct scope {
	int kind;
	/* Device, or -1 */
	int device;
	__u32 archid;
	unsigned int named;
};

static const struct scope scopes[] = {
	{ 0, -1, 0, A(0) | B(0) },
	{ 1, -1, 0, A(1) | B(1) },
	{ 0, 0, 0, A(0) },
	{ 0, 1, 0, B(0) },
	{ 1, 0, 0, A(1) },
	{ 1, 1, 0, B(1) },
	{ 2, 1, 0, B(2) },
	{ 0, -1, 10, A(0) },
	{ 0, -1, 20, B(0) },
	{ 1, -1, 10, B(1) },
	{ 1, -1, 20, A(1) },
	{ 2, -1, 20, A(2) },
	{ -1, -1, 0, ALL },
	{ -1, 0, 0, A(0) | A(1) | A(2) },
	{ -1, 1, 0, B(0) | B(1) | B(2) },
	{ -1, -1, 10, A(0) | B(1) },
	{ -1, -1, 20, A(1) | A(2) | B(0) },
};

static void entry_init(struct iommu_uapi_cache_invalidate_info *e,
		       struct _test_data_scope *self, const struct scope *s,
		       int by_addr)
{
	__u32 archid = s->device >= 0 ? (__u32)self->n[s->device].group_id :
					s->archid;

	if (s->kind < 0)
		inv_domain(e, self->n);
	else if (by_addr)
		inv_addr(e, self->n, kinds[s->kind], self->va, 1);
	else
		inv_pasid(e, self->n, kinds[s->kind]);
	if (by_addr && s->kind >= 0) {
		e->addr_info.archid = archid;
		if (archid)
			e->addr_info.flags |= s->device >= 0 ?
					      IOMMU_UAPI_INV_ADDR_GROUP :
					      IOMMU_UAPI_INV_ADDR_ARCHID;
	} else {
		e->pasid_info.archid = archid;
		if (archid)
			e->pasid_info.flags |= s->device >= 0 ?
					       IOMMU_UAPI_INV_PASID_GROUP :
					       IOMMU_UAPI_INV_PASID_ARCHID;
	}
}

/* R54: what is named is fresh, and what isn't named is still stale */
TEST_F_TIMEOUT(scope, named, SLOW)
{
	unsigned int i;
	int by_addr;

	ASSERT_NE(0, self->n[0].group_id);
	for (by_addr = 0; by_addr < 2; by_addr++) {
		for (i = 0; i < ARRAY_LEN(scopes); i++) {
			const struct scope *s = &scopes[i];

			ASSERT_OK(make_stale(self));
			/* Else nothing would be shown. */
			ASSERT_EQ(ALL, stale_at(self, self->va));
			inv_init(&self->arg, 1);
			entry_init(&self->arg.entry[0], self, s, by_addr);
			EXPECT_OK(do_inv(self->n, &self->arg));
			EXPECT_EQ(1, self->arg.head.handled);
			EXPECT_EQ(ALL & ~s->named, stale_at(self, self->va))
				TH_LOG("kind %d, device %d, archid %u, by %s",
				       s->kind, s->device, s->archid,
				       by_addr ? "address" : "PASID");
		}
	}
}

/* Neighbours in one call are not taken for one range of one scope */
TEST_F_TIMEOUT(scope, arrays, SLOW)
{
	static const struct scope of[] = {
		{ 1, 0, 0, A(1) }, { 1, 1, 0, B(1) }, { 1, -1, 0, A(1) | B(1) },
		{ 1, -1, 20, A(1) }, { 1, 1, 0, B(1) }, { 0, 1, 0, B(0) },
	};
	__u64 va[ARRAY_LEN(of)];
	unsigned int i, bad;

	for (i = 0; i < ARRAY_LEN(of); i++) {
		ASSERT_OK(make_stale(self));
		va[i] = self->va;
		ASSERT_EQ(ALL, stale_at(self, va[i]));
	}
	inv_init(&self->arg, ARRAY_LEN(of));
	for (i = 0; i < ARRAY_LEN(of); i++) {
		self->va = va[i];
		entry_init(&self->arg.entry[i], self, &of[i], 1);
	}
	EXPECT_OK(do_inv(self->n, &self->arg));
	EXPECT_EQ(ARRAY_LEN(of), self->arg.head.handled);
	for (i = 0; i < ARRAY_LEN(of); i++)
		EXPECT_EQ(ALL & ~of[i].named, stale_at(self, va[i]));

	/* Up to the one whose scope is nobody's */
	for (bad = 0; bad < ARRAY_LEN(of); bad += 2) {
		for (i = 0; i < ARRAY_LEN(of); i++) {
			ASSERT_OK(make_stale(self));
			va[i] = self->va;
		}
		inv_init(&self->arg, ARRAY_LEN(of));
		for (i = 0; i < ARRAY_LEN(of); i++) {
			self->va = va[i];
			entry_init(&self->arg.entry[i], self, &of[i], 1);
		}
		self->arg.entry[bad].addr_info.flags =
			IOMMU_UAPI_INV_ADDR_PASID | IOMMU_UAPI_INV_ADDR_ARCHID;
		self->arg.entry[bad].addr_info.archid = 77;
		EXPECT_ERR(ENOENT, do_inv(self->n, &self->arg));
		EXPECT_EQ(bad, self->arg.head.handled);
		for (i = 0; i < bad; i++)
			EXPECT_EQ(ALL & ~of[i].named, stale_at(self, va[i]));
	}
}

/* A replace brings an archid of its own */
TEST_F_TIMEOUT(scope, archid_replaced, SLOW)
{
	struct binding *b = &self->binding[1];
	struct bind_arg arg;
	const struct scope of_new = { 1, -1, 33, A(1) },
			   of_old = { 1, -1, 20, 0 };

	bind_init(&arg, b->n, b->pasid, b->pt.root);
	arg.data.flags = IOMMU_UAPI_BIND_REPLACE | IOMMU_UAPI_BIND_ARCHID;
	arg.data.archid = 33;
	ASSERT_OK(do_bind(b->n, &arg));
	ASSERT_OK(make_stale(self));
	inv_init(&self->arg, 1);
	entry_init(&self->arg.entry[0], self, &of_old, 1);
	EXPECT_ERR(ENOENT, do_inv(self->n, &self->arg));
	EXPECT_EQ(ALL, stale_at(self, self->va));
	inv_init(&self->arg, 1);
	entry_init(&self->arg.entry[0], self, &of_new, 1);
	EXPECT_OK(do_inv(self->n, &self->arg));
	EXPECT_EQ(ALL & ~A(1), stale_at(self, self->va));
	/* Archid 0 is a number as good as any, once it is given. */
	arg.data.archid = 0;
	ASSERT_OK(do_bind(b->n, &arg));
	inv_init(&self->arg, 1);
	inv_pasid(&self->arg.entry[0], self->n, kinds[1]);
	self->arg.entry[0].pasid_info.flags |= IOMMU_UAPI_INV_PASID_ARCHID;
	EXPECT_OK(do_inv(self->n, &self->arg));
	/* And bound without one, no number is its own. */
	arg.data.flags = IOMMU_UAPI_BIND_REPLACE;
	ASSERT_OK(do_bind(b->n, &arg));
	EXPECT_ERR(ENOENT, do_inv(self->n, &self->arg));
}

/* Two widths at one PASID: what one table does not have is for the other */
TEST_F_TIMEOUT(scope, widths, SLOW)
{
	const __u64 wide = GUEST_VA | 1ULL << 52;
	struct nest *n = self->n;
	struct binding *a = &self->binding[1], *b = &self->binding[KINDS + 1];
	struct iommu_uapi_cache_invalidate_info *e = &self->arg.entry[0];
	__u64 top, got, *entry;
	__u64 old;

	if (n[1].caps.addr_width < 57)
		SKIP(return, "no tables of five levels");
	/* The same table below, one level more */
	top = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	entry = gmem_ptr(&n->mem, top);
	entry[(wide >> 48) & 511] = b->pt.root | PGT_RW;
	entry[0] = b->pt.root | PGT_RW;
	ASSERT_OK(unbind(&n[1], kinds[1]));
	old = b->pt.root;
	b->pt.root = top;
	ASSERT_OK(bind_one(b, 10, 57));
	b->pt.root = old;
	ASSERT_OK(pgt_map(&b->pt, GUEST_VA, b->page, PGT_4K, PGT_RW));
	ASSERT_OK(dma_read(&n[1], kinds[1], wide, &got));
	pgt_unmap(&b->pt, GUEST_VA);
	ASSERT_OK(dma_read(&n[1], kinds[1], wide, &got));

	/* Named alone, the narrow one can't have it. */
	inv_init(&self->arg, 1);
	inv_addr(e, n, kinds[1], wide, 1);
	e->addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
	e->addr_info.archid = n[0].group_id;
	EXPECT_ERR(EINVAL, do_inv(n, &self->arg));
	e->addr_info.flags ^= IOMMU_UAPI_INV_ADDR_GROUP |
			      IOMMU_UAPI_INV_ADDR_ARCHID;
	e->addr_info.archid = 20;
	EXPECT_ERR(EINVAL, do_inv(n, &self->arg));
	/* Nor after an entry that it does have */
	inv_init(&self->arg, 2);
	inv_addr(&e[0], n, kinds[1], GUEST_VA, 1);
	inv_addr(&e[1], n, kinds[1], wide, 1);
	e[0].addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
	e[0].addr_info.archid = n[0].group_id;
	e[1].addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
	e[1].addr_info.archid = n[0].group_id;
	EXPECT_ERR(EINVAL, do_inv(n, &self->arg));
	EXPECT_EQ(1, self->arg.head.handled);
	inv_init(&self->arg, 1);
	EXPECT_OK(dma_read(&n[1], kinds[1], wide, &got));
	/* Beside the wide one it is skipped. */
	inv_addr(e, n, kinds[1], wide, 1);
	EXPECT_OK(do_inv(n, &self->arg));
	EXPECT_TRUE(dma_faults(&n[1], kinds[1], wide));
	/* And so are more of them, up to one that neither has. */
	ASSERT_OK(pgt_map(&b->pt, GUEST_VA, b->page, PGT_4K, PGT_RW));
	ASSERT_OK(dma_read(&n[1], kinds[1], wide, &got));
	pgt_unmap(&b->pt, GUEST_VA);
	inv_init(&self->arg, 3);
	inv_addr(&e[0], n, kinds[1], wide + PGT_4K, 1);
	inv_addr(&e[1], n, kinds[1], wide, 1);
	inv_addr(&e[2], n, kinds[1], 1ULL << 56, 1);
	EXPECT_ERR(EINVAL, do_inv(n, &self->arg));
	EXPECT_EQ(2, self->arg.head.handled);
	EXPECT_TRUE(dma_faults(&n[1], kinds[1], wide));
	inv_init(&self->arg, 1);
	/* Nor does it get what it needs less often for that. */
	ASSERT_OK(make_stale(self));
	inv_addr(e, n, kinds[1], self->va, 1);
	EXPECT_OK(do_inv(n, &self->arg));
	EXPECT_EQ(ALL & ~(A(1) | B(1)), stale_at(self, self->va));
	/* Beyond the wide one */
	inv_addr(e, n, kinds[1], 1ULL << 56, 1);
	EXPECT_ERR(EINVAL, do_inv(n, &self->arg));

	/* Beside the second level, which has any address */
	ASSERT_OK(unbind(&n[1], kinds[1]));
	ASSERT_OK(bind_second_level(&n[1], kinds[1], 0));
	inv_addr(e, n, kinds[1], wide, 1);
	EXPECT_OK(do_inv(n, &self->arg));
	ASSERT_OK(unbind(&n[1], kinds[1]));
	EXPECT_ERR(EINVAL, do_inv(n, &self->arg));
	ASSERT_OK(unbind(a->n, kinds[1]));
	EXPECT_ERR(ENOENT, do_inv(n, &self->arg));
}

#define EXPECT_BAD(err, change) do {				\
	inv_init(&self->arg, 1);				\
	*e = good;						\
	change;							\
	EXPECT_ERR(err, do_inv(n, &self->arg));			\
	EXPECT_EQ(0, self->arg.head.handled);			\
} while (0)

/* What is refused, and leaves all as stale as it was */
TEST_F_TIMEOUT(scope, bad, SLOW)
{
	struct iommu_uapi_cache_invalidate_info *e = &self->arg.entry[0], good;
	const __u32 by_addr = IOMMU_UAPI_INV_ADDR_ARCHID,
		    of_addr = IOMMU_UAPI_INV_ADDR_GROUP,
		    by_pasid = IOMMU_UAPI_INV_PASID_ARCHID,
		    of_pasid = IOMMU_UAPI_INV_PASID_GROUP;
	struct nest *n = self->n;
	int i;

	ASSERT_OK(make_stale(self));
	inv_addr(&good, n, kinds[1], self->va, 1);
	EXPECT_BAD(EINVAL, e->addr_info.flags |= by_addr | of_addr);
	EXPECT_BAD(EINVAL, e->addr_info.flags |= by_addr | of_addr;
		   e->addr_info.archid = 20);
	EXPECT_BAD(EINVAL, e->addr_info.archid = 20);
	EXPECT_BAD(EINVAL, e->addr_info.flags = by_addr;
		   e->addr_info.archid = 20);
	EXPECT_BAD(ENOENT, e->addr_info.flags |= by_addr;
		   e->addr_info.archid = 77);
	EXPECT_BAD(ENOENT, e->addr_info.flags |= by_addr);
	EXPECT_BAD(ENOENT, e->addr_info.flags |= of_addr;
		   e->addr_info.archid = 0x7fff);
	/* A PASID that there is, but not with that id, or not in that group */
	EXPECT_BAD(ENOENT, e->addr_info.flags |= by_addr;
		   e->addr_info.archid = 10; e->addr_info.pasid = kinds[2]);
	EXPECT_BAD(ENOENT, e->addr_info.pasid = kinds[2] + 1);

	inv_pasid(&good, n, kinds[1]);
	EXPECT_BAD(EINVAL, e->pasid_info.flags |= by_pasid | of_pasid);
	EXPECT_BAD(EINVAL, e->pasid_info.archid = 20);
	EXPECT_BAD(EINVAL, e->pasid_info.flags = 0);
	EXPECT_BAD(EINVAL, e->pasid_info.flags = of_pasid;
		   e->pasid_info.archid = n->group_id);
	EXPECT_BAD(ENOENT, e->pasid_info.flags |= by_pasid;
		   e->pasid_info.archid = 77);
	EXPECT_BAD(ENOENT, e->pasid_info.flags |= of_pasid;
		   e->pasid_info.archid = 0x7fff);

	inv_domain(&good, n);
	EXPECT_BAD(EINVAL, e->pasid_info.flags = IOMMU_UAPI_INV_PASID_PASID);
	EXPECT_BAD(EINVAL, e->pasid_info.pasid = kinds[1]);
	EXPECT_BAD(EINVAL, e->pasid_info.flags = IOMMU_UAPI_INV_PASID_PASID;
		   e->pasid_info.pasid = kinds[1]);
	EXPECT_BAD(EINVAL, e->pasid_info.flags = by_pasid | of_pasid);
	EXPECT_BAD(EINVAL, e->pasid_info.archid = 10);
	EXPECT_BAD(ENOENT, e->pasid_info.flags = by_pasid;
		   e->pasid_info.archid = 77);
	EXPECT_BAD(ENOENT, e->pasid_info.flags = of_pasid;
		   e->pasid_info.archid = 0x7fff);
	for (i = 3; i < 32; i++)
		EXPECT_BAD(EOPNOTSUPP, e->pasid_info.flags = 1u << i);
	for (i = 8 + sizeof(e->pasid_info); i < (int)sizeof(*e); i++)
		EXPECT_BAD(EOPNOTSUPP, ((__u8 *)e)[i] = 1);
	EXPECT_BAD(EOPNOTSUPP, e->cache = IOMMU_UAPI_CACHE_PASID);
	EXPECT_BAD(EINVAL, e->cache = 0);
	EXPECT_EQ(ALL, stale_at(self, self->va));
}

/* Nothing bound: nothing is named. A group that has left names nothing either. */
TEST_F_TIMEOUT(scope, nothing, SLOW)
{
	struct iommu_uapi_cache_invalidate_info *e = &self->arg.entry[0];
	struct nest *n = self->n;
	int k;

	ASSERT_OK(group_leave(&n[1]));
	inv_init(&self->arg, 1);
	inv_domain(e, n);
	EXPECT_OK(do_inv(n, &self->arg));
	e->pasid_info.flags = IOMMU_UAPI_INV_PASID_GROUP;
	e->pasid_info.archid = n[1].group_id;
	EXPECT_ERR(ENOENT, do_inv(n, &self->arg));
	for (k = 0; k < KINDS; k++)
		ASSERT_OK(unbind(n, kinds[k]));
	inv_domain(e, n);
	EXPECT_ERR(ENOENT, do_inv(n, &self->arg));
	e->pasid_info.flags = IOMMU_UAPI_INV_PASID_GROUP;
	e->pasid_info.archid = n->group_id;
	EXPECT_ERR(ENOENT, do_inv(n, &self->arg));
	/* The second level without a binding is none. */
	ASSERT_OK(xioctl(n[1].group, VFIO_GROUP_SET_CONTAINER, &n->container));
	inv_domain(e, n);
	EXPECT_ERR(ENOENT, do_inv(n, &self->arg));
	ASSERT_OK(bind_second_level(&n[1], 0, 0));
	EXPECT_OK(do_inv(n, &self->arg));
}

/* A contract without scopes has none of it */
TEST(scope_not_in_contract)
{
	static struct inv_arg arg;
	struct iommu_uapi_cache_invalidate_info *e = &arg.entry[0], good;
	struct iommu_uapi_caps needs;
	struct negotiate_arg neg;
	struct bind_arg bind;
	struct nest one, *n = &one;
	struct pgt pt;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	ASSERT_TRUE(n->caps.features & IOMMU_UAPI_FEAT_INV_SCOPE);
	needs = needs_guest_pasid(&n->caps);
	needs.features &= ~(__u64)IOMMU_UAPI_FEAT_INV_SCOPE;
	needs.inv_iotlb &= ~(1u << IOMMU_UAPI_GRANU_DOMAIN);
	needs.inv_dev_iotlb &= ~(1u << IOMMU_UAPI_GRANU_DOMAIN);
	negotiate_init(&neg, &needs, VFIO_NEGOTIATE_COMMIT);
	ASSERT_OK(negotiate(n, &neg));
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	ASSERT_OK(pgt_init(&pt, &n->mem));
	/* An archid may be given, it only can't be named. */
	bind_init(&bind, n, 1, pt.root);
	bind.data.flags = IOMMU_UAPI_BIND_ARCHID;
	bind.data.archid = 5;
	ASSERT_OK(do_bind(n, &bind));
	inv_addr(&good, n, 1, GUEST_VA, 1);
#define EXPECT_NOT(change) do {				\
	inv_init(&arg, 1);				\
	*e = good;					\
	change;						\
	EXPECT_ERR(EOPNOTSUPP, do_inv(n, &arg));	\
} while (0)
	EXPECT_NOT(e->addr_info.flags |= IOMMU_UAPI_INV_ADDR_ARCHID;
		   e->addr_info.archid = 5);
	EXPECT_NOT(e->addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
		   e->addr_info.archid = n->group_id);
	inv_pasid(&good, n, 1);
	EXPECT_NOT(e->pasid_info.flags |= IOMMU_UAPI_INV_PASID_ARCHID;
		   e->pasid_info.archid = 5);
	EXPECT_NOT(e->pasid_info.flags |= IOMMU_UAPI_INV_PASID_GROUP;
		   e->pasid_info.archid = n->group_id);
	inv_domain(&good, n);
	EXPECT_NOT();
	EXPECT_OK(invalidate_pasid(n, 1));
	EXPECT_OK(invalidate_addr(n, 1, GUEST_VA, 1));
	nest_close(n);
}

TEST_HARNESS_MAIN
