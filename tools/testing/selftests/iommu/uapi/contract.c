// SPDX-License-Identifier: GPL-2.0
/*
 * The contract of a container: what is needed compared with what is there, and
 * what it holds the kernel and its user to once it is made.
 */
#include <stddef.h>

#include "harness.h"

FIXTURE(contract)
{
	struct nest n;
	struct pgt pt;
	/* All that is reported, with PASIDs of the host's */
	struct iommu_uapi_caps needs;
	struct negotiate_arg arg;
	__u32 quota;
};

/* A need of all 0 still has a version. */
static void arg_init(struct negotiate_arg *arg, const struct iommu_uapi_caps *caps,
		     __u32 flags)
{
	negotiate_init(arg, caps, flags);
	if (!arg->caps.version)
		arg->caps.version = IOMMU_UAPI_VERSION;
}

static int ask(const struct nest *n, const struct iommu_uapi_caps *caps)
{
	struct negotiate_arg arg;

	arg_init(&arg, caps, 0);
	if (caps->features & IOMMU_UAPI_FEAT_HOST_PASID)
		arg.head.nr_pasids = 1;
	return negotiate(n, &arg);
}

static int commit(const struct nest *n, const struct iommu_uapi_caps *caps,
		  __u32 nr_pasids)
{
	struct negotiate_arg arg;

	arg_init(&arg, caps, VFIO_NEGOTIATE_COMMIT);
	arg.head.nr_pasids = nr_pasids;
	return negotiate(n, &arg);
}

/* Is the capability that, with that quota? */
static int reported(const struct nest *n, const struct iommu_uapi_caps *caps,
		    __u32 quota)
{
	struct iommu_uapi_caps now;
	__u32 now_quota;
	int rc = nest_info(n->container, &now, &now_quota, NULL);

	if (rc)
		return rc;
	return memcmp(&now, caps, sizeof(now)) || now_quota != quota;
}

FIXTURE_SETUP(contract)
{
	struct nest *n = &self->n;

	if (!need_extension(_metadata))
		return;
	/* In the lab, the one that caches translations by itself. */
	if (!test_open(_metadata, n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_HOST_PASID))
		SKIP(return, "no PASIDs for this device");
	ASSERT_OK(nest_info(n->container, NULL, &self->quota, NULL));
	ASSERT_OK(gmem_init(&n->mem, GUEST_BASE, GUEST_SIZE));
	ASSERT_OK(nest_map(n->container, n->mem.base, GUEST_BASE, GUEST_SIZE,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	self->needs = needs_host_pasid(&n->caps);
	arg_init(&self->arg, &self->needs, 0);
	self->arg.head.nr_pasids = 1;
}

FIXTURE_TEARDOWN(contract)
{
}

/* R3 R7: all that is reported can be had, and asking for it changes nothing */
TEST_F(contract, ask)
{
	struct negotiate_arg before = self->arg;
	struct iommu_uapi_caps nothing = {};

	EXPECT_OK(negotiate(&self->n, &self->arg));
	EXPECT_EQ(0, memcmp(&before, &self->arg, sizeof(before)));
	EXPECT_OK(ask(&self->n, &nothing));
	self->arg.head.nr_pasids = self->quota < pasid_last(&self->n) ?
					   self->quota : pasid_last(&self->n);
	EXPECT_OK(negotiate(&self->n, &self->arg));
	EXPECT_OK(reported(&self->n, &self->n.caps, self->quota));
	EXPECT_EQ(0, nest_used(self->n.container));
	/* Nothing was fixed by that. */
	EXPECT_OK(bind_table(&self->n, 0, self->pt.root));
}

/* The field at that offset is wanted in full, and only what is missing comes back. */
static void expect_missing(struct __test_metadata *_metadata,
			   struct _test_data_contract *self,
			   size_t offset, size_t size, __u64 want, __u64 lack)
{
	struct iommu_uapi_caps expect = { .version = self->needs.version };
	struct negotiate_arg arg = self->arg;

	memcpy((char *)&arg.caps + offset, &want, size);
	memcpy((char *)&expect + offset, &lack, size);
	/* Page requests are a feature and a flag, and neither comes alone. */
	if (arg.caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST &
	    ~self->needs.features ||
	    arg.caps.bind_flags & IOMMU_UAPI_BIND_PAGE_REQUEST &
	    ~self->needs.bind_flags) {
		arg.caps.features |= IOMMU_UAPI_FEAT_PAGE_REQUEST;
		arg.caps.bind_flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
		expect.features |= IOMMU_UAPI_FEAT_PAGE_REQUEST;
		expect.bind_flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
	}
	EXPECT_ERR(ERANGE, negotiate(&self->n, &arg));
	EXPECT_EQ(0, memcmp(&expect, &arg.caps, sizeof(expect)));
	EXPECT_EQ(0, arg.head.nr_pasids);
}

/* R8 R11: field by field, and bit by bit: unknown bits are missing like any other */
TEST_F(contract, missing)
{
	static const struct {
		size_t offset, size;
	} masks[] = {
		{ offsetof(struct iommu_uapi_caps, features), 8 },
		{ offsetof(struct iommu_uapi_caps, formats), 8 },
		{ offsetof(struct iommu_uapi_caps, bind_flags), 8 },
		{ offsetof(struct iommu_uapi_caps, vtd_flags), 8 },
		{ offsetof(struct iommu_uapi_caps, inv_iotlb), 4 },
		{ offsetof(struct iommu_uapi_caps, inv_dev_iotlb), 4 },
		{ offsetof(struct iommu_uapi_caps, inv_pasid), 4 },
		{ offsetof(struct iommu_uapi_caps, page_sizes), 8 },
	}, numbers[] = {
		{ offsetof(struct iommu_uapi_caps, pasid_bits), 4 },
		{ offsetof(struct iommu_uapi_caps, gpa_width), 4 },
		{ offsetof(struct iommu_uapi_caps, max_bindings), 4 },
	};
	struct nest *n = &self->n;
	unsigned int i, bit;
	__u64 have, need;

	for (i = 0; i < ARRAY_LEN(masks); i++) {
		have = 0;
		need = 0;
		memcpy(&have, (char *)&n->caps + masks[i].offset, masks[i].size);
		memcpy(&need, (char *)&self->needs + masks[i].offset,
		       masks[i].size);
		for (bit = 0; bit < masks[i].size * 8; bit++) {
			if (!(have & (1ULL << bit)))
				expect_missing(_metadata, self, masks[i].offset,
					       masks[i].size,
					       need | 1ULL << bit, 1ULL << bit);
		}
	}
	for (i = 0; i < ARRAY_LEN(numbers); i++) {
		have = 0;
		memcpy(&have, (char *)&n->caps + numbers[i].offset,
		       numbers[i].size);
		expect_missing(_metadata, self, numbers[i].offset,
			       numbers[i].size, have + 1, have + 1);
		expect_missing(_metadata, self, numbers[i].offset,
			       numbers[i].size, ~0u, ~0u);
	}
	/* All that is missing, at once. */
	self->arg.caps.features = ~(__u64)IOMMU_UAPI_FEAT_GUEST_PASID;
	self->arg.caps.bind_flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
	self->arg.caps.pasid_bits = 21;
	self->arg.head.nr_pasids = self->quota + 1;
	EXPECT_ERR(ERANGE, negotiate(n, &self->arg));
	EXPECT_EQ(~(n->caps.features | IOMMU_UAPI_FEAT_GUEST_PASID),
		  self->arg.caps.features);
	EXPECT_EQ(IOMMU_UAPI_BIND_PAGE_REQUEST & ~n->caps.bind_flags,
		  self->arg.caps.bind_flags);
	EXPECT_EQ(21, self->arg.caps.pasid_bits);
	EXPECT_EQ(0, self->arg.caps.formats);
	EXPECT_EQ(self->quota + 1, self->arg.head.nr_pasids);
	/* A commit that can't be had commits nothing. */
	self->needs.features |= 1ULL << 63;
	EXPECT_ERR(ERANGE, commit(n, &self->needs, 1));
	EXPECT_OK(reported(n, &self->n.caps, self->quota));
}

/* R19 R20 R23 R24: every field of the argument */
TEST_F(contract, bad)
{
	const size_t head = sizeof(struct vfio_iommu_type1_negotiate);
	__u8 *end = guard_page(), *page;
	struct negotiate_arg arg;
	size_t size;
	int bit;

	for (size = 0; size < sizeof(arg); size++) {
		arg = self->arg;
		arg.head.argsz = size;
		EXPECT_ERR(EINVAL, negotiate(&self->n, &arg));
	}
	arg.head.argsz = ~0u;
	EXPECT_OK(negotiate(&self->n, &arg));
	for (bit = 2; bit < 32; bit++) {
		arg = self->arg;
		arg.head.flags = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, negotiate(&self->n, &arg));
		arg.head.flags |= VFIO_NEGOTIATE_COMMIT;
		EXPECT_ERR(EOPNOTSUPP, negotiate(&self->n, &arg));
	}
	for (bit = 0; bit < 32; bit++) {
		arg = self->arg;
		arg.head.reserved = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, negotiate(&self->n, &arg));
		arg = self->arg;
		arg.caps.reserved = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, negotiate(&self->n, &arg));
	}
	arg = self->arg;
	arg.caps.version = 0;
	EXPECT_ERR(EINVAL, negotiate(&self->n, &arg));
	arg.caps.version = IOMMU_UAPI_VERSION + 1;
	EXPECT_ERR(EOPNOTSUPP, negotiate(&self->n, &arg));
	for (bit = 2; bit < 32; bit++) {
		arg.caps.version = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, negotiate(&self->n, &arg));
	}
	arg.caps.version = IOMMU_UAPI_VERSION_1;
	EXPECT_OK(negotiate(&self->n, &arg));

	ASSERT_TRUE(!!end);
	EXPECT_ERR(EFAULT, negotiate(&self->n, NULL));
	memcpy(end - sizeof(arg), &self->arg, sizeof(arg));
	EXPECT_OK(negotiate(&self->n, end - sizeof(arg)));
	memcpy(end - head, &self->arg, head);
	EXPECT_ERR(EFAULT, negotiate(&self->n, end - head));

	/* An answer that can't be written leaves no contract. */
	page = mmap(NULL, PGT_4K, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	arg = self->arg;
	arg.head.flags = VFIO_NEGOTIATE_COMMIT;
	arg.caps.features |= 1ULL << 63;
	memcpy(page, &arg, sizeof(arg));
	ASSERT_OK(mprotect(page, PGT_4K, PROT_READ));
	EXPECT_ERR(EFAULT, negotiate(&self->n, page));
	EXPECT_OK(reported(&self->n, &self->n.caps, self->quota));
}

/* After a yes: what is asked for outside of it is refused, the hardware or not */
TEST_F(contract, holds)
{
	struct nest *n = &self->n;
	struct iommu_uapi_caps less = self->needs;
	struct bind_arg bind;
	struct inv_arg inv;
	unsigned int quota;
	__u32 pasid[3];

	if (less.pasid_bits <= 10)
		SKIP(return, "needs PASIDs of more than ten bits");
	less.features &= ~(__u64)(IOMMU_UAPI_FEAT_BIND_NO_PASID |
				  IOMMU_UAPI_FEAT_PAGE_REQUEST);
	less.vtd_flags = 0;
	less.bind_flags = 0;
	less.inv_iotlb = 1u << IOMMU_UAPI_GRANU_ADDR;
	less.inv_dev_iotlb = 0;
	less.pasid_bits = 10;
	less.gpa_width = 31;
	ASSERT_OK(commit(n, &less, 2));
	EXPECT_OK(reported(n, &less, 2));
	EXPECT_ERR(EEXIST, commit(n, &less, 2));
	EXPECT_OK(ask(n, &less));
	EXPECT_ERR(ERANGE, ask(n, &self->needs));
	/* What the administrator says now is for others. */
	ASSERT_OK(read_uint(QUOTA_PATH, &quota));
	ASSERT_OK(write_uint(QUOTA_PATH, 0));
	EXPECT_OK(reported(n, &less, 2));
	EXPECT_ERR(EINVAL, pasid_alloc(n->container, 1, 1024, &pasid[0]));
	EXPECT_OK(pasid_alloc(n->container, 1, 1023, &pasid[0]));
	EXPECT_OK(pasid_alloc(n->container, 1, 1023, &pasid[1]));
	EXPECT_ERR(EDQUOT, pasid_alloc(n->container, 1, 1023, &pasid[2]));
	ASSERT_OK(write_uint(QUOTA_PATH, quota));

	EXPECT_ERR(EOPNOTSUPP, bind_table(n, 0, self->pt.root));
	bind_init(&bind, n, pasid[0], self->pt.root);
	bind.data.vtd.flags = IOMMU_UAPI_VTD_SRE;
	EXPECT_ERR(EOPNOTSUPP, do_bind(n, &bind));
	bind.data.vtd.flags = 0;
	bind.data.flags = IOMMU_UAPI_BIND_GPASID_VAL;
	EXPECT_ERR(EOPNOTSUPP, do_bind(n, &bind));
	bind.data.flags = 0;
	bind.data.gpgd = 1ULL << 31;
	EXPECT_ERR(EINVAL, do_bind(n, &bind));
	bind.data.gpgd = self->pt.root;
	EXPECT_OK(do_bind(n, &bind));
	EXPECT_OK(invalidate_addr(n, pasid[0], GUEST_VA, 1));
	EXPECT_ERR(EOPNOTSUPP, invalidate_pasid(n, pasid[0]));
	inv_init(&inv, 1);
	inv_addr(&inv.entry[0], n, pasid[0], GUEST_VA, 1);
	inv.entry[0].cache = IOMMU_UAPI_CACHE_DEV_IOTLB;
	EXPECT_ERR(EOPNOTSUPP, do_inv(n, &inv));
	EXPECT_OK(reported(n, &less, 2));
}

/* R32: a PASID that can't be told to the user goes back to those that are set aside. */
TEST_F(contract, not_writable)
{
	__u32 last = pasid_last(&self->n), pasid;
	int fd = self->n.container, i;

	ASSERT_OK(commit(&self->n, &self->needs, 2));
	for (i = 0; i < 10; i++)
		EXPECT_ERR(EFAULT, pasid_alloc_unwritable(fd, 1, last));
	EXPECT_EQ(0, nest_used(fd));
	for (i = 0; i < 2; i++)
		EXPECT_OK(pasid_alloc(fd, 1, last, &pasid));
	EXPECT_ERR(EDQUOT, pasid_alloc(fd, 1, last, &pasid));
}

/* Nothing of the time before the contract may lie outside of it */
TEST_F(contract, late)
{
	struct nest *n = &self->n;
	__u32 pasid;

	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &pasid));
	EXPECT_OK(ask(n, &self->needs));
	EXPECT_ERR(EBUSY, commit(n, &self->needs, 1));
	ASSERT_OK(pasid_free(n->container, pasid, pasid));
	ASSERT_OK(bind_table(n, 0, self->pt.root));
	EXPECT_ERR(EBUSY, commit(n, &self->needs, 1));
	EXPECT_OK(reported(n, &n->caps, self->quota));
	ASSERT_OK(unbind(n, 0));
	if (n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST) {
		struct vfio_iommu_type1_fault_fd faults = {
			.argsz = sizeof(faults),
			.version = n->version,
		};
		struct iommu_uapi_caps needs;
		struct nest other;

		/* In a container of its own, since the file is for good */
		ASSERT_OK(nest_open(&other, 2, 1, VFIO_TYPE1_NESTING_IOMMU));
		ASSERT_LE(0, xioctl(other.container, VFIO_IOMMU_FAULT_FD,
				    &faults));
		needs = needs_host_pasid(&other.caps);
		EXPECT_ERR(EBUSY, commit(&other, &needs, 1));
		nest_close(&other);
	}
	EXPECT_OK(commit(n, &self->needs, 1));
	EXPECT_OK(reported(n, &self->needs, 1));
}

/* R10: a group that can't keep the contract is refused when it joins */
TEST_F(contract, joins)
{
	struct nest *n = &self->n, other = {};
	struct iommu_uapi_caps less = self->needs;
	__u32 pasid;

	/* What the first device of the lab does not have. */
	if (!n->caps.inv_dev_iotlb)
		SKIP(return, "the second device can't cache translations");
	ASSERT_OK(commit(n, &less, 10));
	other.container = n->container;
	EXPECT_ERR(ERANGE, nest_join(&other, 0, 1));
	EXPECT_OK(reported(n, &less, 10));
	/* It is as free as before. */
	other.container = open("/dev/vfio/vfio", O_RDWR);
	ASSERT_LE(0, other.container);
	EXPECT_OK(xioctl(other.group, VFIO_GROUP_SET_CONTAINER,
			 &other.container));
	EXPECT_OK(xioctl_num(other.container, VFIO_SET_IOMMU,
			     VFIO_TYPE1_NESTING_IOMMU));
	close(other.group);
	close(other.container);

	EXPECT_OK(pasid_alloc(n->container, 1, pasid_last(n), &pasid));
	EXPECT_OK(bind_table(n, pasid, self->pt.root));
	EXPECT_OK(unbind(n, pasid));
}

/* R10: beside a group that can't be bound, nothing is there for the container */
TEST_F(contract, beside_company)
{
	struct nest *n = &self->n, pair = {};
	struct iommu_uapi_caps nothing = { .version = n->version };

	pair.container = n->container;
	ASSERT_OK(nest_join(&pair, 0, 2));
	EXPECT_ERR(ENOENT, nest_info(n->container, NULL, NULL, NULL));
	EXPECT_ERR(ERANGE, negotiate(n, &self->arg));
	EXPECT_EQ(0, memcmp(&self->arg.caps, &self->needs, sizeof(self->needs)));
	EXPECT_ERR(ERANGE, commit(n, &self->needs, 1));
	EXPECT_OK(ask(n, &nothing));
	ASSERT_OK(xioctl(pair.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	EXPECT_OK(ask(n, &self->needs));
	close(pair.group);
}

/* R10: two devices in one group can't be bound, whatever their IOMMU can do */
TEST_F(contract, joins_in_company)
{
	struct nest *n = &self->n, pair = {};
	struct iommu_uapi_caps little = {
		.version = n->version,
		.features = IOMMU_UAPI_FEAT_BIND_NO_PASID |
			    IOMMU_UAPI_FEAT_INVALIDATE,
		.formats = n->caps.formats,
		.inv_iotlb = 1u << IOMMU_UAPI_GRANU_ADDR,
		.addr_width = 48,
		.gpa_width = 31,
	};

	ASSERT_OK(commit(n, &little, 0));
	pair.container = n->container;
	EXPECT_ERR(ERANGE, nest_join(&pair, 0, 2));
	EXPECT_OK(reported(n, &little, 0));
	close(pair.group);
}

/* R10: one that can keep it may join, and is held to it as well */
TEST_F(contract, joins_and_keeps)
{
	struct nest *n = &self->n, other = {};
	struct iommu_uapi_caps less = self->needs;
	struct bind_arg bind;
	__u32 pasid;

	/* What the first device of the lab does not have, and a flag less */
	less.inv_dev_iotlb = 0;
	less.features &= ~(__u64)IOMMU_UAPI_FEAT_PAGE_REQUEST;
	less.bind_flags &= ~(__u64)IOMMU_UAPI_BIND_PAGE_REQUEST;
	less.vtd_flags = 0;
	ASSERT_OK(commit(n, &less, 10));
	other.container = n->container;
	ASSERT_OK(nest_join(&other, 0, 1));
	other.version = n->version;
	EXPECT_OK(reported(n, &less, 10));
	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &pasid));
	bind_init(&bind, &other, pasid, self->pt.root);
	bind.data.vtd.flags = IOMMU_UAPI_VTD_SRE;
	EXPECT_ERR(EOPNOTSUPP, do_bind(&other, &bind));
	bind.data.vtd.flags = 0;
	EXPECT_OK(do_bind(&other, &bind));
	EXPECT_OK(invalidate_addr(n, pasid, GUEST_VA, 1));
	ASSERT_OK(xioctl(other.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	EXPECT_OK(reported(n, &less, 10));
	close(other.group);
}

/* It ends with the last group, not with a container's file */
TEST_F(contract, ends)
{
	struct nest *n = &self->n;
	struct iommu_uapi_caps less = self->needs;

	less.vtd_flags = 0;
	ASSERT_OK(commit(n, &less, 3));
	close(n->td.fd);
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container));
	ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU,
			     VFIO_TYPE1_NESTING_IOMMU));
	EXPECT_OK(reported(n, &n->caps, self->quota));
}

/* Where nothing can be bound, everything is missing, and nothing can be had */
TEST(contract_for_two_devices)
{
	struct iommu_uapi_caps some = {
		.version = IOMMU_UAPI_VERSION,
		.features = IOMMU_UAPI_FEAT_BIND_NO_PASID |
			    IOMMU_UAPI_FEAT_INVALIDATE,
		.formats = 1u << IOMMU_UAPI_FORMAT_INTEL_VTD,
		.inv_iotlb = 1u << IOMMU_UAPI_GRANU_ADDR,
		.addr_width = 48,
		.gpa_width = 31,
	};
	struct negotiate_arg arg;
	struct nest n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &n, 0, 2, VFIO_TYPE1_NESTING_IOMMU))
		return;
	arg_init(&arg, &some, VFIO_NEGOTIATE_COMMIT);
	EXPECT_ERR(ERANGE, negotiate(&n, &arg));
	EXPECT_EQ(0, memcmp(&some, &arg.caps, sizeof(some)));
	memset(&some, 0, sizeof(some));
	EXPECT_OK(commit(&n, &some, 0));
	n.version = IOMMU_UAPI_VERSION;
	EXPECT_ERR(ENODEV, bind_table(&n, 0, GUEST_BASE));
}

TEST_HARNESS_MAIN
