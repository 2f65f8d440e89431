// SPDX-License-Identifier: GPL-2.0
/*
 * What is no contract, and that every contract can be kept: all that a yes
 * promises is done once, by a search over many contracts.
 */
#include "device.h"
#include "harness.h"

/* Of PASIDs in the search, so that it comes to an end */
#define MANY		16

/* A contract is for as long as the container has a group, so: the next container */
static int open_next(struct nest *n)
{
	return nest_open(n, 1, 1, VFIO_TYPE1_NESTING_IOMMU);
}

static int ask(const struct nest *n, const struct iommu_uapi_caps *needs,
	       __u32 nr_pasids, __u32 flags)
{
	struct negotiate_arg arg;

	negotiate_init(&arg, needs, flags);
	arg.head.nr_pasids = nr_pasids;
	return negotiate(n, &arg);
}

/* Nothing is committed: the capability is what it was. */
static int is_free(const struct nest *n)
{
	struct iommu_uapi_caps caps;

	return !nest_info(n->container, &caps, NULL, NULL) &&
	       !memcmp(&caps, &n->caps, sizeof(caps));
}

FIXTURE(promises)
{
	struct nest n;
	struct iommu_uapi_caps host;
	struct iommu_uapi_caps guest;
	struct iommu_uapi_caps nothing;
};

FIXTURE_SETUP(promises)
{
	struct nest *n = &self->n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	self->host = needs_host_pasid(&n->caps);
	self->guest = needs_guest_pasid(&n->caps);
	self->nothing.version = n->caps.version;
}

FIXTURE_TEARDOWN(promises)
{
}

/* The same answer for asking and committing, and nothing is fixed by it */
#define EXPECT_RULE(err, base, nr, change) do {				\
	struct iommu_uapi_caps c = base;				\
	const int want = err;						\
	__u32 nr_pasids = nr;						\
	change;								\
	EXPECT_ERR(want, ask(&self->n, &c, nr_pasids, 0))		\
		TH_LOG("asked: %s", #change);				\
	EXPECT_ERR(want, ask(&self->n, &c, nr_pasids,			\
			    VFIO_NEGOTIATE_COMMIT))			\
		TH_LOG("committed: %s", #change);			\
	EXPECT_ERR(want, ask(&self->n, &c, nr_pasids,			\
			    VFIO_NEGOTIATE_DEVICES_DIFFER))		\
		TH_LOG("devices differ: %s", #change);			\
	EXPECT_TRUE(is_free(&self->n));					\
} while (0)

#define NOT_HOST(change)	EXPECT_RULE(EINVAL, self->host, 4, change)
#define NOT_GUEST(change)	EXPECT_RULE(EINVAL, self->guest, 0, change)
#define NOT_NOTHING(change)	EXPECT_RULE(EINVAL, self->nothing, 0, change)

/* R10: what contradicts itself, or could not be used, is no contract */
TEST_F_TIMEOUT(promises, rules, SLOW)
{
	const __u64 vtd = 1ULL << IOMMU_UAPI_FORMAT_INTEL_VTD,
		    second_level = 1ULL << IOMMU_UAPI_FORMAT_SECOND_LEVEL;
	struct iommu_uapi_caps few = {
		.version = self->nothing.version,
		.features = IOMMU_UAPI_FEAT_BIND_NO_PASID,
		.formats = vtd,
		.addr_width = 48,
		.gpa_width = 31,
	};
	unsigned int i;

	/* The bases are all right. */
	EXPECT_OK(ask(&self->n, &self->host, 4, 0));
	EXPECT_OK(ask(&self->n, &self->guest, 0, 0));
	EXPECT_OK(ask(&self->n, &self->nothing, 0, 0));
	EXPECT_OK(ask(&self->n, &few, 0, 0));

	NOT_HOST(c.errata = IOMMU_UAPI_ERRATUM_VTD_772415);
	NOT_NOTHING(c.errata = 1ULL << 63);

	/* Who picks the PASIDs */
	NOT_HOST(c.features |= IOMMU_UAPI_FEAT_GUEST_PASID);
	NOT_HOST(c.features |= IOMMU_UAPI_FEAT_GUEST_PASID;
		 c.guest_pasid_bits = 4);
	NOT_HOST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_HOST_PASID);
	NOT_HOST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_HOST_PASID;
		 c.pasid_bits = 0; nr_pasids = 0);
	NOT_HOST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_BIND_PASID);
	NOT_GUEST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_BIND_PASID);
	NOT_GUEST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_GUEST_PASID);
	NOT_GUEST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_GUEST_PASID;
		  c.guest_pasid_bits = 0);
	NOT_NOTHING(c.features = IOMMU_UAPI_FEAT_HOST_PASID;
		    c.pasid_bits = 4; nr_pasids = 1);
	NOT_NOTHING(c.features = IOMMU_UAPI_FEAT_GUEST_PASID;
		    c.guest_pasid_bits = 4);

	/* How many there are */
	NOT_HOST(nr_pasids = 0);
	NOT_HOST(c.pasid_bits = 0);
	NOT_HOST(c.pasid_bits = 2);
	NOT_HOST(c.pasid_bits = 8; nr_pasids = 256);
	NOT_HOST(c.pasid_bits = 1; nr_pasids = 2);
	NOT_HOST(c.guest_pasid_bits = 4);
	NOT_GUEST(nr_pasids = 1);
	NOT_GUEST(c.pasid_bits = 4);
	NOT_GUEST(c.guest_pasid_bits = 0);
	NOT_NOTHING(nr_pasids = 1);
	NOT_NOTHING(c.pasid_bits = 1);
	NOT_NOTHING(c.guest_pasid_bits = 1);

	/* Formats, and what belongs to one */
	NOT_HOST(c.formats = 0);
	EXPECT_RULE(EINVAL, few, 0, c.formats = 0);
	EXPECT_RULE(EINVAL, few, 0, c.features = 0);
	NOT_NOTHING(c.formats = vtd; c.addr_width = 48; c.gpa_width = 31);
	NOT_NOTHING(c.formats = second_level);
	for (i = 0; i < 64; i++) {
		if (i != 48 && i != 57)
			EXPECT_RULE(EINVAL, few, 0, c.addr_width = i);
		if (i < 13)
			EXPECT_RULE(EINVAL, few, 0, c.gpa_width = i);
	}
	NOT_HOST(c.addr_width = 0);
	EXPECT_RULE(EINVAL, few, 0, c.formats = second_level);
	EXPECT_RULE(EINVAL, few, 0, c.formats = second_level; c.addr_width = 0;
		    c.vtd_flags = IOMMU_UAPI_VTD_SRE);
	NOT_NOTHING(c.addr_width = 48);
	NOT_NOTHING(c.vtd_flags = IOMMU_UAPI_VTD_SRE);

	/* Page requests */
	NOT_HOST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_PAGE_REQUEST);
	NOT_HOST(c.bind_flags &= ~(__u64)IOMMU_UAPI_BIND_PAGE_REQUEST);
	NOT_HOST(c.formats = second_level; c.addr_width = 0; c.vtd_flags = 0);
	NOT_NOTHING(c.features = IOMMU_UAPI_FEAT_PAGE_REQUEST;
		    c.bind_flags = IOMMU_UAPI_BIND_PAGE_REQUEST);
	for (i = 0; i < 4; i++)
		NOT_NOTHING(c.bind_flags = 1u << i);

	/* Invalidation */
	NOT_HOST(c.inv_iotlb = 0; c.inv_dev_iotlb = 0; c.inv_pasid = 0);
	NOT_HOST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_INVALIDATE);
	NOT_HOST(c.features &= ~(__u64)(IOMMU_UAPI_FEAT_INVALIDATE |
					IOMMU_UAPI_FEAT_INV_SCOPE));
	NOT_HOST(c.features &= ~(__u64)IOMMU_UAPI_FEAT_INV_SCOPE);
	NOT_NOTHING(c.features = IOMMU_UAPI_FEAT_INV_SCOPE);
	NOT_NOTHING(c.features = IOMMU_UAPI_FEAT_INVALIDATE);
	NOT_NOTHING(c.inv_iotlb = 2);
	NOT_NOTHING(c.inv_dev_iotlb = 4);
	NOT_NOTHING(c.inv_pasid = 2);
	NOT_NOTHING(c.features = IOMMU_UAPI_FEAT_INVALIDATE;
		    c.inv_iotlb = 1 << IOMMU_UAPI_GRANU_DOMAIN);
	/* Only a first level has addresses. */
	EXPECT_RULE(EINVAL, few, 0, c.formats = second_level; c.addr_width = 0;
		    c.features |= IOMMU_UAPI_FEAT_INVALIDATE;
		    c.inv_iotlb = 1 << IOMMU_UAPI_GRANU_ADDR);

	/* What a device does with a PASID */
	EXPECT_RULE(EINVAL, few, 0, c.features |= IOMMU_UAPI_FEAT_PASID_PRIV);
	EXPECT_RULE(EINVAL, few, 0, c.features |= IOMMU_UAPI_FEAT_PASID_EXEC);

	/* The order: what is not known, then what is wrong, then what is missing */
	EXPECT_RULE(EOPNOTSUPP, self->host, 0, c.reserved = 1; c.errata = 1);
	EXPECT_RULE(EINVAL, self->host, 0, c.features |= 1ULL << 63);
	EXPECT_RULE(EINVAL, few, 0, c.addr_width = 58; c.gpa_width = 64);
	EXPECT_RULE(ERANGE, few, 0, c.features |= 1ULL << 63);
	EXPECT_RULE(ERANGE, few, 0, c.gpa_width = 64);
	/* All of that, and it still can be had. */
	EXPECT_OK(ask(&self->n, &self->host, 4, VFIO_NEGOTIATE_COMMIT));
}

/* Version 1 has no PASIDs of the guest's, but the others */
TEST_F_TIMEOUT(promises, version_1, SLOW)
{
	self->guest.version = IOMMU_UAPI_VERSION_1;
	self->host.version = IOMMU_UAPI_VERSION_1;
	EXPECT_ERR(EINVAL, ask(&self->n, &self->guest, 0, 0));
	EXPECT_OK(ask(&self->n, &self->host, 4, VFIO_NEGOTIATE_COMMIT));
}

/* ---- the search ---- */

static __u64 state;

static __u32 rnd(__u32 n)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (state >> 33) % n;
}

/* One in @n */
static int one_in(__u32 n)
{
	return !rnd(n);
}

static __u64 some_of(__u64 mask)
{
	__u64 some = 0;
	int i;

	if (one_in(3))
		return mask;
	for (i = 0; i < 64; i++) {
		if (mask & 1ULL << i && one_in(2))
			some |= 1ULL << i;
	}
	return some;
}

/*
 * Any contract, but most are such that they could be kept: what depends on
 * another part mostly comes with it.
 */
static void any_contract(struct iommu_uapi_caps *c, __u32 *nr_pasids,
			 const struct iommu_uapi_caps *have)
{
	const __u64 vtd = 1ULL << IOMMU_UAPI_FORMAT_INTEL_VTD;

	memset(c, 0, sizeof(*c));
	*nr_pasids = 0;
	c->version = one_in(8) ? IOMMU_UAPI_VERSION_1 : have->version;
	c->features = some_of(have->features &
			      (IOMMU_UAPI_FEAT_BIND_NO_PASID |
			       IOMMU_UAPI_FEAT_INVALIDATE |
			       IOMMU_UAPI_FEAT_DMA_FAULT |
			       IOMMU_UAPI_FEAT_COHERENT));
	switch (rnd(c->version == IOMMU_UAPI_VERSION_1 ? 2 : 3)) {
	case 1:
		c->features |= IOMMU_UAPI_FEAT_BIND_PASID |
			       IOMMU_UAPI_FEAT_HOST_PASID;
		c->pasid_bits = one_in(10) ? 21 : 1 + rnd(have->pasid_bits);
		*nr_pasids = 1 + rnd(20);
		if (c->pasid_bits < 5 && !one_in(4))
			*nr_pasids = 1 + rnd((1u << c->pasid_bits) - 1);
		break;
	case 2:
		c->features |= IOMMU_UAPI_FEAT_BIND_PASID |
			       IOMMU_UAPI_FEAT_GUEST_PASID;
		c->guest_pasid_bits = one_in(10) ? 11 :
				      1 + rnd(have->guest_pasid_bits);
	}
	if (c->features & IOMMU_UAPI_FEAT_BIND_PASID)
		c->features |= some_of(IOMMU_UAPI_FEAT_PASID_PRIV);
	c->gpa_width = one_in(12) ? rnd(50) : 31 + rnd(have->gpa_width - 30);
	if (c->features & (IOMMU_UAPI_FEAT_BIND_PASID |
			   IOMMU_UAPI_FEAT_BIND_NO_PASID)) {
		c->formats = some_of(have->formats) ?: have->formats;
		c->bind_flags = some_of(have->bind_flags &
					~(__u64)IOMMU_UAPI_BIND_PAGE_REQUEST);
	}
	if (c->formats & vtd) {
		c->addr_width = one_in(2) ? 48 : have->addr_width;
		c->vtd_flags = some_of(have->vtd_flags);
		if (one_in(2)) {
			c->features |= IOMMU_UAPI_FEAT_PAGE_REQUEST;
			c->bind_flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
		}
	}
	if (c->features & IOMMU_UAPI_FEAT_INVALIDATE) {
		c->inv_iotlb = some_of(have->inv_iotlb);
		c->inv_dev_iotlb = some_of(have->inv_dev_iotlb);
		if (!(c->formats & vtd)) {
			c->inv_iotlb &= ~(1u << IOMMU_UAPI_GRANU_ADDR);
			c->inv_dev_iotlb &= ~(1u << IOMMU_UAPI_GRANU_ADDR);
		}
		if ((c->inv_iotlb | c->inv_dev_iotlb) & 1)
			c->features |= IOMMU_UAPI_FEAT_INV_SCOPE;
		else
			c->features |= some_of(IOMMU_UAPI_FEAT_INV_SCOPE);
	}
	if (c->version > IOMMU_UAPI_VERSION_1) {
		c->page_sizes = some_of(have->page_sizes);
		c->max_bindings = rnd(3) ? 0 : rnd(have->max_bindings) + 1;
	}

	/* A slip in one field, now and then */
	if (!one_in(4))
		return;
	switch (rnd(10)) {
	case 0:
		c->features ^= 1ULL << rnd(14);
		break;
	case 1:
		c->formats ^= 1ULL << rnd(4);
		break;
	case 2:
		c->bind_flags ^= 1ULL << rnd(5);
		break;
	case 3:
		c->vtd_flags ^= 1ULL << rnd(8);
		break;
	case 4:
		c->inv_iotlb ^= 1u << rnd(4);
		break;
	case 5:
		c->inv_dev_iotlb ^= 1u << rnd(4);
		break;
	case 6:
		c->addr_width = rnd(60);
		break;
	case 7:
		c->pasid_bits = rnd(24);
		break;
	case 8:
		if (c->version > IOMMU_UAPI_VERSION_1)
			c->guest_pasid_bits = rnd(24);
		break;
	case 9:
		*nr_pasids = rnd(2000);
	}
}

/* What was promised, while it is tried */
struct trial {
	struct nest *n;
	const struct iommu_uapi_caps *c;
	struct pgt pt;
	__u64 page;
	__u64 wide_root;
	int rc;
	const char *what;
	__u64 arg;
};

/* Whether that failed. The first failure is remembered, with what it was for. */
static int failed(struct trial *t, int rc, const char *what, __u64 arg)
{
	if (rc >= 0)
		return 0;
	t->rc = rc;
	t->what = what;
	t->arg = arg;
	return 1;
}

static int try_invalidate(struct trial *t, __u32 pasid, __u8 cache, __u32 granus)
{
	static struct inv_arg arg;
	struct iommu_uapi_cache_invalidate_info *e = &arg.entry[0];
	int g, scope;

	for (g = 0; g < 3; g++) {
		if (!(granus & 1u << g))
			continue;
		for (scope = 0; scope < 2; scope++) {
			if (scope && !(t->c->features & IOMMU_UAPI_FEAT_INV_SCOPE))
				continue;
			inv_init(&arg, 1);
			if (g == IOMMU_UAPI_GRANU_ADDR) {
				inv_addr(e, t->n, pasid, GUEST_VA, 1);
				if (scope) {
					e->addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
					e->addr_info.archid = t->n->group_id;
				}
			} else {
				if (g == IOMMU_UAPI_GRANU_PASID)
					inv_pasid(e, t->n, pasid);
				else
					inv_domain(e, t->n);
				if (scope) {
					e->pasid_info.flags |= IOMMU_UAPI_INV_PASID_GROUP;
					e->pasid_info.archid = t->n->group_id;
				}
			}
			e->cache = cache;
			if (failed(t, do_inv(t->n, &arg), "invalidate", g << 8 | cache))
				return t->rc;
		}
	}
	return 0;
}

/* DMA of a binding, as far as the memory lies where the contract allows it */
static int try_dma(struct trial *t, __u32 pasid, __u64 addr)
{
	if (failed(t, dma_works(t->n, pasid, addr, t->page) ? -EIO : 0, "DMA", pasid))
		return t->rc;
	return 0;
}

/* Each format, width and flag once; bound in the end */
static int try_bind(struct trial *t, __u32 pasid)
{
	const struct iommu_uapi_caps *c = t->c;
	struct bind_arg arg;
	int i, width;

	if (c->formats & 1ULL << IOMMU_UAPI_FORMAT_SECOND_LEVEL) {
		if (failed(t, bind_second_level(t->n, pasid, 0), "second level", pasid))
			return t->rc;
		if (try_dma(t, pasid, t->page))
			return t->rc;
		if (!(c->formats & 1ULL << IOMMU_UAPI_FORMAT_INTEL_VTD))
			return 0;
		if (failed(t, unbind(t->n, pasid), "unbind", pasid))
			return t->rc;
	}
	for (width = 48; width <= (int)c->addr_width; width += 9) {
		bind_init(&arg, t->n, pasid, width == 48 ? t->pt.root :
							   t->wide_root);
		arg.data.addr_width = width;
		if (failed(t, do_bind(t->n, &arg), "table of that width", width))
			return t->rc;
		if (try_dma(t, pasid, GUEST_VA))
			return t->rc;
		if (failed(t, unbind(t->n, pasid), "unbind", pasid))
			return t->rc;
	}
	for (i = 0; i < 64; i++) {
		if (c->bind_flags & 1ULL << i) {
			bind_init(&arg, t->n, pasid, t->pt.root);
			arg.data.flags = 1ULL << i;
			if (failed(t, do_bind(t->n, &arg), "bind flag", i))
				return t->rc;
			if (try_dma(t, pasid, GUEST_VA))
				return t->rc;
			if (failed(t, unbind(t->n, pasid), "unbind", pasid))
				return t->rc;
		}
		if (c->vtd_flags & 1ULL << i) {
			bind_init(&arg, t->n, pasid, t->pt.root);
			arg.data.vtd.flags = 1ULL << i;
			if (failed(t, do_bind(t->n, &arg), "VT-d flag", i))
				return t->rc;
			if (failed(t, unbind(t->n, pasid), "unbind", pasid))
				return t->rc;
		}
	}
	bind_init(&arg, t->n, pasid, t->pt.root);
	if (failed(t, do_bind(t->n, &arg), "bind", pasid))
		return t->rc;
	return 0;
}

static int try_requests(struct trial *t, int fd, __u32 pasid)
{
	struct iommu_uapi_page_request req;
	struct bind_arg arg;

	unbind(t->n, pasid);
	bind_init(&arg, t->n, pasid, t->pt.root);
	arg.data.flags = IOMMU_UAPI_BIND_PAGE_REQUEST;
	if (failed(t, do_bind(t->n, &arg), "bind for page requests", pasid))
		return t->rc;
	if (failed(t, request_at(t->n, pasid_tag(pasid), 1, GUEST_VA + PGT_4K) ?
		   -EIO : 0, "page request", pasid))
		return t->rc;
	if (failed(t, read_one(fd, &req), "read", pasid))
		return t->rc;
	if (failed(t, respond(fd, &req, IOMMU_UAPI_RESP_SUCCESS), "response", pasid))
		return t->rc;
	return 0;
}

/* All of a contract. Returns 0, or what failed, and what it was for. */
static int keep(struct trial *t, __u32 nr_pasids)
{
	const struct iommu_uapi_caps *c = t->c;
	__u32 pasid = 0, i, nr, first = 0;
	struct nest *n = t->n;
	int fd = -1;
	__u64 *top;

	/* From 0: both tables lie below what is the least for @gpa_width. */
	if (failed(t, guest_memory(n, 0), "memory", 0))
		return t->rc;
	t->wide_root = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	if (failed(t, pgt_init(&t->pt, &n->mem), "table", 0))
		return t->rc;
	t->page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	if (failed(t, pgt_map(&t->pt, GUEST_VA, t->page, PGT_4K, PGT_RW), "table", 1))
		return t->rc;
	top = gmem_ptr(&n->mem, t->wide_root);
	top[0] = t->pt.root | PGT_RW;

	if (c->features & (IOMMU_UAPI_FEAT_PAGE_REQUEST |
			   IOMMU_UAPI_FEAT_DMA_FAULT)) {
		fd = fault_fd_unlimited(n->container, c->features &
					IOMMU_UAPI_FEAT_DMA_FAULT ?
					VFIO_FAULT_FD_DMA_FAULTS : 0);
		if (failed(t, fd, "file", 0))
			return t->rc;
	}
	if (c->features & IOMMU_UAPI_FEAT_BIND_NO_PASID && try_bind(t, 0))
		return t->rc;
	if (c->features & IOMMU_UAPI_FEAT_BIND_PASID) {
		if (c->features & IOMMU_UAPI_FEAT_GUEST_PASID)
			nr = (1u << c->guest_pasid_bits) - 1;
		else
			nr = nr_pasids;
		for (i = 0; i < nr && i < MANY; i++) {
			/* The largest ones, which are the last to be thought of */
			pasid = (1u << c->guest_pasid_bits) - 1 - i;
			if (c->features & IOMMU_UAPI_FEAT_HOST_PASID &&
			    failed(t, pasid_alloc(n->container, 1,
						  (1u << c->pasid_bits) - 1,
						  &pasid), "allocation", i))
				return t->rc;
			if (!i)
				first = pasid;
			if (try_bind(t, pasid))
				return t->rc;
		}
	}
	if (c->features & IOMMU_UAPI_FEAT_INVALIDATE &&
	    (first || c->features & IOMMU_UAPI_FEAT_BIND_NO_PASID)) {
		if (try_invalidate(t, first, IOMMU_UAPI_CACHE_IOTLB,
				   c->inv_iotlb))
			return t->rc;
		if (try_invalidate(t, first, IOMMU_UAPI_CACHE_DEV_IOTLB,
				   c->inv_dev_iotlb))
			return t->rc;
	}
	if (c->features & IOMMU_UAPI_FEAT_PAGE_REQUEST &&
	    try_requests(t, fd, first))
		return t->rc;
	if (fd >= 0)
		close(fd);
	return 0;
}

#define CONTRACTS	300

/* R3 R10: after a yes all of it works, after a no nothing is fixed */
TEST_F_TIMEOUT(promises, kept, 2 * SLOW)
{
	struct iommu_uapi_caps c, now;
	struct nest *n = &self->n;
	unsigned int i, yes = 0, no = 0, wrong = 0;
	__u32 nr_pasids;
	int asked, rc;

	for (i = 0; i < CONTRACTS; i++) {
		struct trial t = { .n = n, .c = &c };

		/* Each by itself, so that one can be tried alone. */
		state = 0x5eed + i * 1000003ULL;
		rnd(2);
		any_contract(&c, &nr_pasids, &n->caps);
		asked = ask(n, &c, nr_pasids, 0);
		rc = ask(n, &c, nr_pasids, VFIO_NEGOTIATE_COMMIT);
		EXPECT_EQ(asked, rc);
		if (rc) {
			ASSERT_TRUE(rc == -EINVAL || rc == -ERANGE)
				TH_LOG("contract %u: %d", i, rc);
			no += rc == -ERANGE;
			wrong += rc == -EINVAL;
			EXPECT_TRUE(is_free(n));
			/* No contract, so no bound but that of the host */
			EXPECT_OK(bind_second_level(n, 0, 0));
			EXPECT_OK(unbind(n, 0));
		} else {
			yes++;
			ASSERT_OK(nest_info(n->container, &now, NULL, NULL));
			EXPECT_EQ(0, memcmp(&c, &now, sizeof(c)));
			EXPECT_OK(keep(&t, nr_pasids))
				TH_LOG("contract %u: %s (0x%llx): 0x%llx, 0x%llx, 0x%llx",
				       i, t.what, t.arg, c.features, c.formats,
				       c.bind_flags);
			munmap(n->mem.base, n->mem.size);
		}
		nest_close(n);
		ASSERT_OK(open_next(n));
	}
	TH_LOG("%u are kept, %u lack something, %u are none", yes, no, wrong);
	/* Else nothing is searched. */
	EXPECT_LT(CONTRACTS / 3, yes);
	EXPECT_LT(10, no);
	EXPECT_LT(10, wrong);
}

TEST_HARNESS_MAIN
