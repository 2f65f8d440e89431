// SPDX-License-Identifier: GPL-2.0
/*
 * Invalidations: what the device sees before and after, and each field of the
 * header and of the entries right and wrong.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "device.h"
#include "harness.h"

FIXTURE(inv)
{
	struct nest n;
	struct pgt pt;
	__u32 pasid;
	__u32 unbound;
	__u64 page[2];
	struct inv_arg arg;
};

FIXTURE_VARIANT(inv)
{
	int nth;
};

FIXTURE_VARIANT_ADD(inv, first)
{
	.nth = 0,
};

FIXTURE_VARIANT_ADD(inv, second)
{
	.nth = 1,
};

#define INV_PAGES	64

FIXTURE_SETUP(inv)
{
	struct nest *n = &self->n;
	int i;

	if (!need_extension(_metadata))
		return;
	if (!test_open(_metadata, n, variant->nth, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_HOST_PASID) ||
	    !(n->caps.features & IOMMU_UAPI_FEAT_INVALIDATE))
		SKIP(return, "no PASIDs for this device, or no invalidation");

	n->td.ats = device_caches(n);
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	self->page[0] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	self->page[1] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	for (i = 0; i < INV_PAGES; i++)
		ASSERT_OK(pgt_map(&self->pt, GUEST_VA + i * PGT_4K,
				  self->page[0], PGT_4K, PGT_RW));
	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &self->pasid));
	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &self->unbound));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
}

FIXTURE_TEARDOWN(inv)
{
}

/* Let the hardware cache a page, then take it away. */
static void prime(struct nest *n, struct pgt *pt, __u32 pasid, __u64 va)
{
	__u64 got;

	dma_write(n, pasid, va, 0);
	dma_read(n, pasid, va, &got);
	pgt_unmap(pt, va);
}

/* An old translation may live until it is invalidated, and not longer */
TEST_F(inv, unmap_then_fault)
{
	int by, rc, stale = 0;
	__u64 va, got;

	for (by = 0; by < 3; by++) {
		va = GUEST_VA + by * PGT_4K;
		ASSERT_OK(dma_works(&self->n, self->pasid, va, self->page[0]));
		prime(&self->n, &self->pt, self->pasid, va);
		/* May, not must: hardware need not have cached it. */
		stale += !dma_read(&self->n, self->pasid, va, &got);
		if (by == 0)
			rc = invalidate_addr(&self->n, self->pasid, va, 1);
		else if (by == 1)
			rc = invalidate_pasid(&self->n, self->pasid);
		else
			rc = invalidate_addr(&self->n, self->pasid, GUEST_VA,
					     INV_PAGES);
		ASSERT_OK(rc);
		EXPECT_TRUE(dma_faults(&self->n, self->pasid, va));
	}
	TH_LOG("%d of 3 were stale before", stale);
	/* Its neighbours were not hurt. */
	EXPECT_OK(dma_works(&self->n, self->pasid, va + PGT_4K, self->page[0]));
}

/* The same for requests without PASID */
TEST_F(inv, no_pasid)
{
	struct nest *n = &self->n;
	__u64 va, got, *mem = gmem_ptr(&n->mem, self->page[0]);
	int by;

	ASSERT_OK(bind_table(n, 0, self->pt.root));
	*mem = 0x1234;
	for (by = 0; by < 2; by++) {
		va = GUEST_VA + by * PGT_4K;
		ASSERT_OK(testdev_read(&n->td, TESTDEV_NO_PASID, va, &got, 8));
		EXPECT_EQ(0x1234, got);
		pgt_unmap(&self->pt, va);
		ASSERT_OK(by ? invalidate_pasid(n, 0) :
			       invalidate_addr(n, 0, va, 1));
		EXPECT_EQ(TESTDEV_FAULT,
			  testdev_read(&n->td, TESTDEV_NO_PASID, va, &got, 8));
		/* The table has two users, each with caches of its own. */
		ASSERT_OK(invalidate_addr(n, self->pasid, va, 1));
		EXPECT_TRUE(dma_faults(n, self->pasid, va));
	}
	ASSERT_OK(testdev_read(&n->td, TESTDEV_NO_PASID, va + PGT_4K, &got, 8));
	ASSERT_OK(unbind(n, 0));
	EXPECT_EQ(TESTDEV_FAULT,
		  testdev_read(&n->td, TESTDEV_NO_PASID, va + PGT_4K, &got, 8));
	EXPECT_OK(dma_works(n, self->pasid, va + PGT_4K, self->page[0]));
}

/* Only what the device keeps: not what the IOMMU has cached */
TEST_F(inv, device_alone)
{
	struct nest *n = &self->n;
	static struct inv_arg arg;
	__u64 got;
	int rc;

	if (!(n->caps.inv_dev_iotlb & 1 << IOMMU_UAPI_GRANU_ADDR))
		SKIP(return, "the device can't cache translations");
	ASSERT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	inv_init(&arg, 1);
	inv_addr(&arg.entry[0], n, self->pasid, GUEST_VA, 1);
	arg.entry[0].cache = IOMMU_UAPI_CACHE_DEV_IOTLB;
	ASSERT_OK(do_inv(n, &arg));
	/* The device asks the IOMMU again, which has what it had. */
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	prime(n, &self->pt, self->pasid, GUEST_VA);
	ASSERT_OK(do_inv(n, &arg));
	rc = dma_read(n, self->pasid, GUEST_VA, &got);
	TH_LOG("afterwards the IOMMU %s it", rc ? "had forgotten" : "knew");
	ASSERT_OK(invalidate_addr(n, self->pasid, GUEST_VA, 1));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
}

/* Another page at the same address */
TEST_F(inv, remap)
{
	struct nest *n = &self->n;

	ASSERT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	prime(n, &self->pt, self->pasid, GUEST_VA);
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW));
	ASSERT_OK(invalidate_addr(n, self->pasid, GUEST_VA, 1));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[1]));
}

/* The other way round: the container takes the memory away below the guest */
TEST_F(inv, container_unmaps)
{
	struct nest *n = &self->n;

	ASSERT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	ASSERT_OK(nest_unmap(n->container, GUEST_BASE, GUEST_SIZE));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_OK(unbind(n, self->pasid));
}

/* R33: arrays of every size around a chunk and up to the longest */
TEST_F_TIMEOUT(inv, arrays, SLOW)
{
	static const unsigned int sizes[] = { 1, 2, 15, 16, 17, 31, 32, 33, 64,
		255, VFIO_CACHE_INVALIDATE_MAX };
	struct nest *n = &self->n;
	unsigned int s, i;
	__u64 va;

	for (s = 0; s < ARRAY_LEN(sizes); s++) {
		inv_init(&self->arg, sizes[s]);
		for (i = 0; i < sizes[s]; i++)
			inv_addr(&self->arg.entry[i], n, self->pasid,
				 GUEST_VA + i % INV_PAGES * PGT_4K, 1);
		/* The last one counts too. */
		va = GUEST_VA + (sizes[s] - 1) % INV_PAGES * PGT_4K;
		pgt_map(&self->pt, va, self->page[0], PGT_4K, PGT_RW);
		invalidate_pasid(n, self->pasid);
		prime(n, &self->pt, self->pasid, va);
		EXPECT_OK(do_inv(n, &self->arg));
		EXPECT_EQ(sizes[s], self->arg.head.handled);
		EXPECT_TRUE(dma_faults(n, self->pasid, va));
	}
}

/*
 * Ranges that can't be joined, and that take two descriptors of the hardware each: far
 * more of them than the driver hands over at once.
 */
TEST_F_TIMEOUT(inv, scattered, SLOW)
{
	struct nest *n = &self->n;
	unsigned int i, nr = 40;
	__u64 va;

	inv_init(&self->arg, nr);
	for (i = 0; i < nr; i++) {
		/* On both sides of a boundary of eight pages */
		va = GUEST_VA + (8 * i + 7) * PGT_4K;
		inv_addr(&self->arg.entry[i], n, self->pasid, va, 2);
		pgt_map(&self->pt, va, self->page[0], PGT_4K, PGT_RW);
		prime(n, &self->pt, self->pasid, va);
		pgt_map(&self->pt, va + PGT_4K, self->page[0], PGT_4K, PGT_RW);
		prime(n, &self->pt, self->pasid, va + PGT_4K);
	}
	EXPECT_OK(do_inv(n, &self->arg));
	EXPECT_EQ(nr, self->arg.head.handled);
	for (i = 0; i < nr; i++) {
		va = GUEST_VA + (8 * i + 7) * PGT_4K;
		EXPECT_TRUE(dma_faults(n, self->pasid, va));
		EXPECT_TRUE(dma_faults(n, self->pasid, va + PGT_4K));
	}
}

/* Entries for several PASIDs, in turn and in runs */
TEST_F_TIMEOUT(inv, mixed_pasids, SLOW)
{
	struct nest *n = &self->n;
	unsigned int i, run;

	ASSERT_OK(bind_table(n, self->unbound, self->pt.root));
	for (run = 1; run <= 20; run++) {
		__u64 va = GUEST_VA + run * PGT_4K;

		ASSERT_OK(dma_works(n, self->pasid, va, self->page[0]));
		ASSERT_OK(dma_works(n, self->unbound, va, self->page[0]));
		pgt_unmap(&self->pt, va);
		inv_init(&self->arg, 40);
		for (i = 0; i < 40; i++)
			inv_addr(&self->arg.entry[i], n,
				 i / run % 2 ? self->pasid : self->unbound,
				 va, 1);
		EXPECT_OK(do_inv(n, &self->arg));
		EXPECT_EQ(40, self->arg.head.handled);
		EXPECT_TRUE(dma_faults(n, self->pasid, va));
		if (run < 40)
			EXPECT_TRUE(dma_faults(n, self->unbound, va));
	}
}

/* R40 R54: a PASID bound in two groups, and each entry reaches both */
TEST_F(inv, two_groups)
{
	struct nest other = {}, *n = &self->n;
	int rc;

	other.container = n->container;
	rc = nest_join(&other, !variant->nth, 1);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_EQ(0, rc);
	ASSERT_OK(nest_device(&other));
	other.version = n->version;
	other.mem = n->mem;
	ASSERT_OK(bind_table(&other, self->pasid, self->pt.root));
	EXPECT_ERR(EEXIST, bind_table(&other, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(dma_works(&other, self->pasid, GUEST_VA, self->page[0]));
	pgt_unmap(&self->pt, GUEST_VA);
	EXPECT_OK(invalidate_addr(n, self->pasid, GUEST_VA, 1));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_TRUE(dma_faults(&other, self->pasid, GUEST_VA));

	/* R45: one group leaves with its bindings, the other keeps its own */
	close(other.td.fd);
	EXPECT_OK(xioctl(other.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	EXPECT_ERR(ENOENT, unbind(&other, self->pasid));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA + PGT_4K, self->page[0]));
	EXPECT_ERR(EBUSY, pasid_free(n->container, self->pasid, self->pasid));
	EXPECT_OK(unbind(n, self->pasid));
	EXPECT_OK(pasid_free(n->container, self->pasid, self->pasid));
}

/* R23 R24 R33: the header; handled is not touched before it is good */
TEST_F(inv, header)
{
	struct inv_arg *arg = &self->arg;
	struct nest *n = &self->n;
	__u32 size, full;
	int i;

#define EXPECT_BAD(err) do {						\
	EXPECT_ERR(err, do_inv(n, arg));				\
	EXPECT_EQ(NOT_WRITTEN, arg->head.handled);			\
} while (0)

	inv_init(arg, 3);
	for (i = 0; i < 3; i++)
		inv_addr(&arg->entry[i], n, self->pasid, GUEST_VA, 1);
	full = arg->head.argsz;
	for (size = 0; size < full; size++) {
		arg->head.argsz = size;
		EXPECT_BAD(EINVAL);
	}
	arg->head.argsz = full;
	for (i = 0; i < 32; i++) {
		arg->head.flags = 1u << i;
		EXPECT_BAD(EOPNOTSUPP);
		arg->head.flags = 0;
		arg->head.reserved = 1u << i;
		EXPECT_BAD(EOPNOTSUPP);
		arg->head.reserved = 0;
	}
	arg->head.nr_entries = 0;
	EXPECT_BAD(EINVAL);
	arg->head.argsz = ~0u;
	arg->head.nr_entries = VFIO_CACHE_INVALIDATE_MAX + 1;
	EXPECT_BAD(EINVAL);
	arg->head.nr_entries = ~0u;
	EXPECT_BAD(EINVAL);
	arg->head.nr_entries = 3;
	for (size = 0; size < 128; size++) {
		if (size % 8 == 0 && size)
			continue;
		arg->head.entry_size = size;
		EXPECT_BAD(EINVAL);
	}
	/* The product wraps, to 0 and to a little */
	arg->head.nr_entries = 256;
	arg->head.entry_size = 1u << 24;
	EXPECT_BAD(EINVAL);
	arg->head.entry_size = (1u << 24) + 8;
	EXPECT_BAD(EINVAL);
	arg->head.entry_size = ~7u;
	EXPECT_BAD(EINVAL);
#undef EXPECT_BAD
	/* Longer is fine. */
	arg->head.nr_entries = 3;
	arg->head.entry_size = sizeof(arg->entry[0]);
	arg->head.argsz = full + 1;
	EXPECT_OK(do_inv(n, arg));
	EXPECT_EQ(3, arg->head.handled);
	EXPECT_ERR(EFAULT, do_inv(n, NULL));
}

/* R20 R21: entries further apart than this kernel needs, and too close */
TEST_F(inv, entry_size)
{
	struct nest *n = &self->n;
	unsigned int i;
	__u32 size;

	for (size = 8; size <= 96; size += 8) {
		memset(&self->arg, 0xff, sizeof(self->arg));
		self->arg.head = (struct vfio_iommu_type1_cache_invalidate){
			.argsz = sizeof(self->arg.head) + 20 * size,
			.nr_entries = 20,
			.entry_size = size,
			.handled = NOT_WRITTEN,
		};
		for (i = 0; i < 20; i++)
			inv_addr((void *)self->arg.entry + i * size, n,
				 self->pasid, GUEST_VA + i * PGT_4K, 1);
		if (size < sizeof(self->arg.entry[0])) {
			EXPECT_ERR(EINVAL, do_inv(n, &self->arg));
			EXPECT_EQ(0, self->arg.head.handled);
		} else {
			EXPECT_OK(do_inv(n, &self->arg));
			EXPECT_EQ(20, self->arg.head.handled);
		}
	}
}

/* R19 R33: the end of memory, and how far it came */
TEST_F_TIMEOUT(inv, guard_page, SLOW)
{
	struct iommu_uapi_cache_invalidate_info *entry;
	struct vfio_iommu_type1_cache_invalidate *head;
	struct nest *n = &self->n;
	__u8 *end = guard_page();
	unsigned int i, nr;

	ASSERT_NE(0, (uintptr_t)end);
	for (nr = 1; nr <= 40; nr++) {
		head = (void *)(end - nr * sizeof(*entry) - sizeof(*head));
		entry = (void *)head->data;
		memset(head, 0, sizeof(*head));
		head->argsz = end - (__u8 *)head;
		head->nr_entries = nr;
		head->entry_size = sizeof(*entry);
		for (i = 0; i < nr; i++)
			inv_addr(&entry[i], n, self->pasid,
				 GUEST_VA + i * PGT_4K, 1);
		EXPECT_OK(xioctl(n->container, VFIO_IOMMU_CACHE_INVALIDATE,
				 head));
		EXPECT_EQ(nr, head->handled);
		/* One more than there is memory for */
		head->argsz += sizeof(*entry);
		head->nr_entries++;
		head->handled = NOT_WRITTEN;
		EXPECT_ERR(EFAULT, xioctl(n->container,
					  VFIO_IOMMU_CACHE_INVALIDATE, head));
		EXPECT_EQ(nr, head->handled);
	}
	/* The header itself is cut off. */
	EXPECT_ERR(EFAULT, xioctl(n->container, VFIO_IOMMU_CACHE_INVALIDATE,
				  end - 16));
}

/* R35: an outcome that can't be told is no success */
TEST_F(inv, not_writable)
{
	struct inv_arg *arg;

	arg = mmap(NULL, sizeof(*arg), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(arg != MAP_FAILED);
	inv_init(arg, 1);
	inv_addr(&arg->entry[0], &self->n, self->pasid, GUEST_VA, 1);
	ASSERT_OK(mprotect(arg, sizeof(*arg), PROT_READ));
	EXPECT_ERR(EFAULT, do_inv(&self->n, arg));
}

/*
 * A bad entry among good ones: its errno, its index, those before it took
 * effect. Tried in front, in the middle of a chunk and in the second chunk.
 */
static int inv_bad(struct __test_metadata *_metadata,
		   struct _test_data_inv *self,
		   const struct iommu_uapi_cache_invalidate_info *bad, int err)
{
	static const unsigned int places[] = { 0, 5, 15, 16, 21 };
	unsigned int p, i;
	int rc = 0;

	for (p = 0; p < ARRAY_LEN(places); p++) {
		inv_init(&self->arg, 24);
		for (i = 0; i < 24; i++)
			inv_addr(&self->arg.entry[i], &self->n, self->pasid,
				 GUEST_VA + i * PGT_4K, 1);
		self->arg.entry[places[p]] = *bad;
		rc = do_inv(&self->n, &self->arg);
		if (rc != -err || self->arg.head.handled != places[p]) {
			TH_LOG("%d instead of %d, handled %u instead of %u", rc,
			       -err, self->arg.head.handled, places[p]);
			return 0;
		}
	}
	return 1;
}

#define EXPECT_INV_BAD(err) \
	EXPECT_TRUE(inv_bad(_metadata, self, &e, err))

/* R17 R24 R31 R53 R55: what every kind of entry has */
TEST_F_TIMEOUT(inv, entry_common, SLOW)
{
	const struct iommu_uapi_caps *caps = &self->n.caps;
	struct iommu_uapi_cache_invalidate_info good, e;
	__u32 caches[] = { caps->inv_iotlb, caps->inv_dev_iotlb,
			   caps->inv_pasid };
	unsigned int i, g;

	inv_addr(&good, &self->n, self->pasid, GUEST_VA, 1);
	e = good;
	e.version = 0;
	EXPECT_INV_BAD(EINVAL);
	e.version = IOMMU_UAPI_VERSION + 1;
	EXPECT_INV_BAD(EOPNOTSUPP);
	e.version = 1u << 31;
	EXPECT_INV_BAD(EOPNOTSUPP);
	e.version = ~0u;
	EXPECT_INV_BAD(EOPNOTSUPP);

	e = good;
	e.cache = 0;
	EXPECT_INV_BAD(EINVAL);
	for (i = 0; i < 8; i++) {
		e.cache = 1u << i;
		if (i < 3 && caches[i] & 1u << IOMMU_UAPI_GRANU_ADDR)
			continue;
		EXPECT_INV_BAD(EOPNOTSUPP);
		e.cache |= IOMMU_UAPI_CACHE_IOTLB;
		EXPECT_INV_BAD(EOPNOTSUPP);
	}
	/* Pairs that are not reported; ADDR is done above */
	inv_pasid(&e, &self->n, self->pasid);
	for (i = 0; i < 3; i++) {
		for (g = 0; g < 256; g++) {
			if (g == IOMMU_UAPI_GRANU_ADDR ||
			    (g < 32 && caches[i] & 1u << g))
				continue;
			if (g > 4 && g % 64 != 63 && (g & (g - 1)))
				continue;
			e.cache = 1u << i;
			e.granularity = g;
			EXPECT_INV_BAD(EOPNOTSUPP);
		}
	}
	for (i = 0; i < 16; i++) {
		e = good;
		e.padding[i / 8] = 1u << i % 8;
		EXPECT_INV_BAD(EOPNOTSUPP);
	}
}

/* R24 R55: an address range */
TEST_F_TIMEOUT(inv, entry_addr, SLOW)
{
	struct iommu_uapi_cache_invalidate_info good, e;
	struct nest *n = &self->n;
	unsigned int i;

	inv_addr(&good, n, self->pasid, GUEST_VA, 1);
	for (i = 4; i < 32; i++) {
		e = good;
		e.addr_info.flags |= 1u << i;
		EXPECT_INV_BAD(EOPNOTSUPP);
	}
	e = good;
	e.addr_info.flags = 0;
	EXPECT_INV_BAD(EINVAL);
	e = good;
	e.addr_info.archid = 1;
	EXPECT_INV_BAD(EINVAL);
	for (i = 0; i < 12; i++) {
		e = good;
		e.addr_info.addr |= 1ULL << i;
		EXPECT_INV_BAD(EINVAL);
	}
	/* Outside of what the table can map, on either side of the hole */
	e = good;
	e.addr_info.addr = 1ULL << (n->caps.addr_width - 1);
	EXPECT_INV_BAD(EINVAL);
	e.addr_info.addr = (1ULL << 63) | GUEST_VA;
	EXPECT_INV_BAD(EINVAL);
	e.addr_info.addr = (1ULL << (n->caps.addr_width - 1)) - PGT_4K;
	e.addr_info.nb_granules = 2;
	EXPECT_INV_BAD(EINVAL);

	e = good;
	e.addr_info.nb_granules = 0;
	EXPECT_INV_BAD(EINVAL);
	for (i = 0; i < 12; i++) {
		e = good;
		e.addr_info.granule_size = 1ULL << i;
		EXPECT_INV_BAD(EINVAL);
	}
	e.addr_info.granule_size = 0;
	EXPECT_INV_BAD(EINVAL);
	e.addr_info.granule_size = 3 * PGT_4K;
	EXPECT_INV_BAD(EINVAL);
	/* Wraps: in the product, in the sum */
	e = good;
	e.addr_info.nb_granules = 1ULL << 52;
	EXPECT_INV_BAD(EOVERFLOW);
	e.addr_info.nb_granules = ~0ULL;
	EXPECT_INV_BAD(EOVERFLOW);
	e.addr_info.addr = -PGT_4K;
	e.addr_info.nb_granules = 2;
	EXPECT_INV_BAD(EOVERFLOW);

	/* Whose PASID: another number, not bound, never given, without PASID */
	for (i = n->caps.pasid_bits; i < 64; i++) {
		e = good;
		e.addr_info.pasid |= 1ULL << i;
		EXPECT_INV_BAD(EINVAL);
	}
	e = good;
	e.addr_info.pasid = self->unbound;
	EXPECT_INV_BAD(ENOENT);
	e.addr_info.pasid = pasid_last(n);
	EXPECT_INV_BAD(ENOENT);
	e.addr_info.pasid = 0;
	EXPECT_INV_BAD(ENOENT);
}

/* R24 R55: all of a PASID */
TEST_F_TIMEOUT(inv, entry_pasid, SLOW)
{
	struct iommu_uapi_cache_invalidate_info good, e;
	struct nest *n = &self->n;
	unsigned int i;

	inv_pasid(&good, n, self->pasid);
	for (i = 3; i < 32; i++) {
		e = good;
		e.pasid_info.flags |= 1u << i;
		EXPECT_INV_BAD(EOPNOTSUPP);
	}
	e = good;
	e.pasid_info.flags = 0;
	EXPECT_INV_BAD(EINVAL);
	e = good;
	e.pasid_info.archid = 1;
	EXPECT_INV_BAD(EINVAL);
	for (i = n->caps.pasid_bits; i < 64; i++) {
		e = good;
		e.pasid_info.pasid |= 1ULL << i;
		EXPECT_INV_BAD(EINVAL);
	}
	/* Bytes of the union that this member does not have */
	for (i = 8 + sizeof(e.pasid_info); i < sizeof(e); i++) {
		e = good;
		((__u8 *)&e)[i] = 1;
		EXPECT_INV_BAD(EOPNOTSUPP);
	}
	e = good;
	e.pasid_info.pasid = self->unbound;
	EXPECT_INV_BAD(ENOENT);
	e.pasid_info.pasid = 0;
	EXPECT_INV_BAD(ENOENT);
}

/* R33 R35: what is said to have been handled has been, in the same chunk too */
TEST_F(inv, partly)
{
	struct nest *n = &self->n;
	unsigned int bad, i;

	for (bad = 1; bad < 20; bad += 6) {
		__u64 va = GUEST_VA + bad * PGT_4K;

		ASSERT_OK(dma_works(n, self->pasid, va, self->page[0]));
		prime(n, &self->pt, self->pasid, va);
		inv_init(&self->arg, 20);
		for (i = 0; i < 20; i++)
			inv_addr(&self->arg.entry[i], n, self->pasid, va, 1);
		self->arg.entry[bad].addr_info.pasid = self->unbound;
		EXPECT_ERR(ENOENT, do_inv(n, &self->arg));
		EXPECT_EQ(bad, self->arg.head.handled);
		EXPECT_TRUE(dma_faults(n, self->pasid, va));
	}
}

struct mapper {
	struct nest *n;
	void *mem;
	size_t size;
	int rc;
	atomic_int done;
};

static void *map_much(void *data)
{
	struct mapper *m = data;

	m->rc = nest_map(m->n->container, m->mem, 8ULL << 30, m->size,
			 VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	m->done = 1;
	return NULL;
}

static int present(void *page)
{
	unsigned char vec = 0;

	return !mincore(page, PGT_4K, &vec) && vec & 1;
}

/* Memory that is being mapped holds nobody up */
TEST_F_TIMEOUT(inv, while_mapping, SLOW)
{
	struct mapper m = { .n = &self->n, .size = 256UL << 20 };
	double t, longest = 0;
	pthread_t thread;
	int during = 0, begun;

	/* Again if the mapping got all of the time, and this thread none */
	while (!during) {
		m.mem = mmap(NULL, m.size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_TRUE(m.mem != MAP_FAILED);
		madvise(m.mem, m.size, MADV_NOHUGEPAGE);
		m.done = 0;
		ASSERT_OK(pthread_create(&thread, NULL, map_much, &m));
		while (!m.done) {
			begun = present(m.mem);
			t = now();
			ASSERT_OK(invalidate_addr(&self->n, self->pasid,
						  GUEST_VA, 1));
			ASSERT_OK(unbind(&self->n, self->pasid));
			ASSERT_OK(bind_table(&self->n, self->pasid,
					     self->pt.root));
			t = now() - t;
			if (t > longest)
				longest = t;
			/* The first page was pinned before, the last was not. */
			during += begun && !present(m.mem + m.size - PGT_4K);
		}
		pthread_join(thread, NULL);
		ASSERT_OK(m.rc);
		ASSERT_OK(nest_unmap(self->n.container, 8ULL << 30, m.size));
		munmap(m.mem, m.size);
	}
	TH_LOG("%d rounds meanwhile, the longest took %.1f ms", during,
	       longest * 1e3);
}

TEST_HARNESS_MAIN
