// SPDX-License-Identifier: GPL-2.0
/*
 * What each group of a container can do, groups that differ, and containers that
 * have no group yet or no more.
 */
#include <sys/mman.h>

#include "device.h"
#include "harness.h"

FIXTURE(groups)
{
	struct nest n;
	struct pgt pt;
	__u64 page;
};

FIXTURE_SETUP(groups)
{
	struct nest *n = &self->n;

	/* In the lab, the one that can request pages */
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	self->page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page, PGT_4K, PGT_RW));
}

FIXTURE_TEARDOWN(groups)
{
}

static int contract(struct nest *n, const struct iommu_uapi_caps *needs,
		    __u32 flags)
{
	struct negotiate_arg arg;

	negotiate_init(&arg, needs, flags);
	return negotiate(n, &arg);
}

#define COMMIT	VFIO_NEGOTIATE_COMMIT
#define DIFFER	VFIO_NEGOTIATE_DEVICES_DIFFER

static int is_nothing(const struct iommu_uapi_caps *caps)
{
	struct iommu_uapi_caps nothing = { .version = IOMMU_UAPI_VERSION };

	return !memcmp(caps, &nothing, sizeof(nothing));
}

/* ---- what is told ---- */

/* R8: what a virtual IOMMU has to know of the hardware behind it */
TEST_F_TIMEOUT(groups, facts, SLOW)
{
	const struct iommu_uapi_caps *caps = &self->n.caps;
	struct iommu_uapi_caps group;

	EXPECT_EQ(IOMMU_UAPI_VERSION, caps->version);
	/* VT-d's first level: pages of 4 KiB, 2 MiB, and 1 GiB if it has them */
	EXPECT_EQ(PGT_4K | PGT_2M, caps->page_sizes & ~PGT_1G);
	EXPECT_EQ(IOMMU_UAPI_ERRATUM_VTD_772415, caps->errata);
	EXPECT_EQ(1ULL << IOMMU_UAPI_FORMAT_INTEL_VTD |
		  1ULL << IOMMU_UAPI_FORMAT_SECOND_LEVEL, caps->formats);
	EXPECT_TRUE(caps->bind_flags & IOMMU_UAPI_BIND_REPLACE);
	EXPECT_TRUE(caps->bind_flags & IOMMU_UAPI_BIND_ARCHID);
	EXPECT_TRUE(caps->features & IOMMU_UAPI_FEAT_GUEST_PASID);
	EXPECT_TRUE(caps->features & IOMMU_UAPI_FEAT_INV_SCOPE);
	EXPECT_TRUE(caps->features & IOMMU_UAPI_FEAT_DMA_FAULT);
	/* The lab's device, and an IOMMU that snoops */
	EXPECT_TRUE(caps->features & IOMMU_UAPI_FEAT_PASID_PRIV);
	EXPECT_TRUE(caps->features & IOMMU_UAPI_FEAT_COHERENT);
	EXPECT_FALSE(caps->features & IOMMU_UAPI_FEAT_PASID_EXEC);
	EXPECT_TRUE(caps->inv_iotlb & 1u << IOMMU_UAPI_GRANU_DOMAIN);
	EXPECT_LT(0, caps->guest_pasid_bits);
	EXPECT_LE(caps->guest_pasid_bits, caps->pasid_bits);
	EXPECT_LT(1, caps->max_bindings);
	EXPECT_EQ(0, caps->reserved);

	/* One group alone is all that the container has. */
	ASSERT_OK(group_info(self->n.container, self->n.group_id, &group));
	EXPECT_EQ(0, memcmp(caps, &group, sizeof(group)));
	EXPECT_ERR(ENOENT, group_info(self->n.container,
				      self->n.group_id + 0x4000, &group));
}

static __u32 min_u32(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

/* R8: each by itself, whatever the others and the contract say */
TEST_F_TIMEOUT(groups, per_group, SLOW)
{
	struct iommu_uapi_caps a, b, both, after, needs;
	struct nest *n = &self->n, other;
	int rc;

	rc = guest_device(&other, n, 0);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	ASSERT_OK(group_info(n->container, n->group_id, &a));
	ASSERT_OK(group_info(n->container, other.group_id, &b));
	ASSERT_OK(nest_info(n->container, &both, NULL, NULL));
	EXPECT_EQ(0, memcmp(&a, &n->caps, sizeof(a)));
	/* In the lab, the first one has no ATS and no PRI. */
	EXPECT_TRUE(a.features & IOMMU_UAPI_FEAT_PAGE_REQUEST);
	EXPECT_FALSE(b.features & IOMMU_UAPI_FEAT_PAGE_REQUEST);
	EXPECT_NE(0, a.inv_dev_iotlb);
	EXPECT_EQ(0, b.inv_dev_iotlb);

	EXPECT_EQ(a.features & b.features, both.features);
	EXPECT_EQ(a.formats & b.formats, both.formats);
	EXPECT_EQ(a.bind_flags & b.bind_flags, both.bind_flags);
	EXPECT_EQ(a.vtd_flags & b.vtd_flags, both.vtd_flags);
	EXPECT_EQ(a.inv_iotlb & b.inv_iotlb, both.inv_iotlb);
	EXPECT_EQ(a.inv_dev_iotlb & b.inv_dev_iotlb, both.inv_dev_iotlb);
	EXPECT_EQ(a.page_sizes & b.page_sizes, both.page_sizes);
	EXPECT_EQ(a.errata | b.errata, both.errata);
	EXPECT_EQ(min_u32(a.addr_width, b.addr_width), both.addr_width);
	EXPECT_EQ(min_u32(a.pasid_bits, b.pasid_bits), both.pasid_bits);
	EXPECT_EQ(min_u32(a.gpa_width, b.gpa_width), both.gpa_width);
	EXPECT_EQ(min_u32(a.guest_pasid_bits, b.guest_pasid_bits),
		  both.guest_pasid_bits);
	EXPECT_EQ(min_u32(a.max_bindings, b.max_bindings), both.max_bindings);

	needs = needs_guest_pasid(&both);
	needs.vtd_flags = 0;
	ASSERT_OK(contract(n, &needs, COMMIT));
	ASSERT_OK(nest_info(n->container, &both, NULL, NULL));
	EXPECT_EQ(0, memcmp(&needs, &both, sizeof(both)));
	ASSERT_OK(group_info(n->container, n->group_id, &after));
	EXPECT_EQ(0, memcmp(&a, &after, sizeof(a)));
	ASSERT_OK(group_info(n->container, other.group_id, &after));
	EXPECT_EQ(0, memcmp(&b, &after, sizeof(b)));
	ASSERT_OK(group_leave(&other));
	EXPECT_ERR(ENOENT, group_info(n->container, other.group_id, &after));
	close(other.group);
}

/* R38: two devices in one group: nothing, for it and for the container */
TEST_F_TIMEOUT(groups, two_devices, SLOW)
{
	struct nest *n = &self->n, pair = {};
	struct iommu_uapi_caps caps, needs = needs_guest_pasid(&n->caps);
	int rc;

	pair.container = n->container;
	rc = nest_join(&pair, 0, 2);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_OK(rc);
	ASSERT_OK(group_info(n->container, pair.group_id, &caps));
	EXPECT_TRUE(is_nothing(&caps));
	EXPECT_ERR(ENOENT, nest_info(n->container, NULL, NULL, NULL));
	/* It keeps the other one from nothing but a contract. */
	ASSERT_OK(group_info(n->container, n->group_id, &caps));
	EXPECT_EQ(0, memcmp(&caps, &n->caps, sizeof(caps)));
	EXPECT_ERR(ERANGE, contract(n, &needs, COMMIT));
	EXPECT_ERR(ERANGE, contract(n, &needs, COMMIT | DIFFER));
	EXPECT_OK(bind_table(n, 1, self->pt.root));
	EXPECT_OK(dma_works(n, 1, GUEST_VA, self->page));
	EXPECT_OK(unbind(n, 1));
	ASSERT_OK(xioctl(pair.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	/* Nor may it come to a contract that lets devices differ. */
	ASSERT_OK(contract(n, &needs, COMMIT | DIFFER));
	EXPECT_ERR(ERANGE, xioctl(pair.group, VFIO_GROUP_SET_CONTAINER,
				  &n->container));
	close(pair.group);
}

/* R39: an emulated device has no say, and no part in a contract that lets it be */
TEST_F_TIMEOUT(groups, mdev, SLOW)
{
	struct nest *n = &self->n, mdev = {};
	struct iommu_uapi_caps caps, needs = needs_guest_pasid(&n->caps);

	mdev.group_id = mdev_create();
	if (mdev.group_id == -ENODEV)
		SKIP(return, "needs the sample mdev, SAMPLE_VFIO_MDEV_MTTY");
	ASSERT_LE(0, mdev.group_id);
	mdev.version = n->version;
	mdev.container = n->container;
	mdev.group = nest_open_group(mdev.group_id);
	ASSERT_LE(0, mdev.group);
	ASSERT_OK(xioctl(mdev.group, VFIO_GROUP_SET_CONTAINER, &n->container));
	ASSERT_OK(group_info(n->container, mdev.group_id, &caps));
	EXPECT_TRUE(is_nothing(&caps));
	ASSERT_OK(nest_info(n->container, &caps, NULL, NULL));
	EXPECT_EQ(0, memcmp(&caps, &n->caps, sizeof(caps)));
	EXPECT_ERR(ERANGE, contract(n, &needs, 0));
	EXPECT_OK(contract(n, &needs, DIFFER));
	EXPECT_ERR(ERANGE, contract(n, &needs, COMMIT));
	ASSERT_OK(contract(n, &needs, COMMIT | DIFFER));
	EXPECT_ERR(ENODEV, bind_table(&mdev, 1, self->pt.root));
	EXPECT_ERR(ENODEV, bind_table(&mdev, 0, self->pt.root));
	EXPECT_OK(bind_table(n, 1, self->pt.root));
	EXPECT_OK(dma_works(n, 1, GUEST_VA, self->page));
	/* It leaves and comes back. */
	ASSERT_OK(xioctl(mdev.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	EXPECT_OK(xioctl(mdev.group, VFIO_GROUP_SET_CONTAINER, &n->container));
	EXPECT_OK(dma_works(n, 1, GUEST_VA, self->page));
	close(mdev.group);
	EXPECT_OK(testdev_sysfs_write(MDEV "/remove", "1"));
}

/* ---- devices that differ ---- */

/* R10: page requests and a cache for one device, none for the other */
TEST_F_TIMEOUT(groups, differ_requests, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n, other;
	struct iommu_uapi_caps needs = needs_guest_pasid(&n->caps), now;
	static struct inv_arg inv;
	int fd, rc;

	rc = guest_device(&other, n, 0);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	EXPECT_ERR(ERANGE, contract(n, &needs, 0));
	EXPECT_ERR(ERANGE, contract(n, &needs, COMMIT));
	EXPECT_OK(contract(n, &needs, DIFFER));
	ASSERT_OK(contract(n, &needs, COMMIT | DIFFER));
	ASSERT_OK(nest_info(n->container, &now, NULL, NULL));
	EXPECT_EQ(0, memcmp(&needs, &now, sizeof(now)));

	fd = fault_fd_unlimited(n->container, 0);
	ASSERT_LE(0, fd);
	EXPECT_OK(bind_requests(n, 1, self->pt.root));
	EXPECT_ERR(EOPNOTSUPP, bind_requests(&other, 1, self->pt.root));
	EXPECT_OK(bind_table(&other, 1, self->pt.root));
	EXPECT_OK(dma_works(&other, 1, GUEST_VA, self->page));
	ASSERT_EQ(0, request_at(n, TESTDEV_PASID(1), 3, GUEST_VA + PGT_4K));
	ASSERT_OK(read_one(fd, &req));
	EXPECT_OK(respond(fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(1, wait_answers(n, 1));
	/* What only one has can be invalidated there. */
	inv_init(&inv, 1);
	inv_addr(&inv.entry[0], n, 1, GUEST_VA, 1);
	inv.entry[0].cache = IOMMU_UAPI_CACHE_DEV_IOTLB;
	inv.entry[0].addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
	inv.entry[0].addr_info.archid = n->group_id;
	EXPECT_OK(do_inv(n, &inv));
	inv.entry[0].addr_info.archid = other.group_id;
	EXPECT_ERR(EOPNOTSUPP, do_inv(n, &inv));
	/* The other one leaves and comes back. */
	ASSERT_OK(group_leave(&other));
	EXPECT_OK(xioctl(other.group, VFIO_GROUP_SET_CONTAINER, &n->container));
	close(other.group);
	close(fd);
}

/* What belongs to a device has to be there for one of them. */
TEST_F_TIMEOUT(groups, differ_nobody, SLOW)
{
	struct iommu_uapi_caps needs = needs_guest_pasid(&self->n.caps);
	struct nest *n = &self->n, other;
	int rc;

	rc = nest_open(&other, 0, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	EXPECT_ERR(ERANGE, contract(&other, &needs, COMMIT | DIFFER));
	/* Nor is the IOMMU's part anything that may differ. */
	needs = needs_guest_pasid(&n->caps);
	needs.gpa_width = 60;
	EXPECT_ERR(ERANGE, contract(n, &needs, COMMIT | DIFFER));
	needs = needs_guest_pasid(&n->caps);
	needs.vtd_flags = 1ULL << 40;
	EXPECT_ERR(ERANGE, contract(n, &needs, COMMIT | DIFFER));
	nest_close(&other);
}

/* The fourth device of its own group, if it has no PASIDs; 0 if not there */
static int open_simple(struct __test_metadata *_metadata, struct nest *simple,
		       struct nest *n)
{
	int rc = guest_device(simple, n, 3);

	if (rc == -ENODEV)
		SKIP(return 0, "needs a fourth device, one without PASIDs");
	EXPECT_EQ(0, rc);
	if (simple->caps.pasid_bits)
		SKIP(return 0, "the fourth device has PASIDs");
	return !rc;
}

/* R8 R10: a device without PASIDs beside one with */
TEST_F_TIMEOUT(groups, differ_pasids, SLOW)
{
	struct nest *n = &self->n, simple;
	struct iommu_uapi_caps needs = needs_guest_pasid(&n->caps), now;

	if (!open_simple(_metadata, &simple, n))
		return;
	EXPECT_EQ(0, simple.caps.guest_pasid_bits);
	EXPECT_EQ(0, simple.caps.features &
		     (IOMMU_UAPI_FEAT_BIND_PASID | IOMMU_UAPI_FEAT_HOST_PASID |
		      IOMMU_UAPI_FEAT_GUEST_PASID | IOMMU_UAPI_FEAT_PASID_PRIV |
		      IOMMU_UAPI_FEAT_PAGE_REQUEST));
	EXPECT_TRUE(simple.caps.features & IOMMU_UAPI_FEAT_BIND_NO_PASID);
	/* In common: no PASIDs */
	ASSERT_OK(nest_info(n->container, &now, NULL, NULL));
	EXPECT_EQ(0, now.pasid_bits);
	/* Each is asked for what it has, contract or not. */
	EXPECT_OK(bind_table(n, 1, self->pt.root));
	EXPECT_OK(dma_works(n, 1, GUEST_VA, self->page));
	EXPECT_ERR(EOPNOTSUPP, bind_table(&simple, 1, self->pt.root));
	EXPECT_OK(unbind(n, 1));

	EXPECT_ERR(ERANGE, contract(n, &needs, COMMIT));
	ASSERT_OK(contract(n, &needs, COMMIT | DIFFER));
	EXPECT_OK(bind_table(n, 1, self->pt.root));
	EXPECT_OK(dma_works(n, 1, GUEST_VA, self->page));
	EXPECT_ERR(EOPNOTSUPP, bind_table(&simple, 1, self->pt.root));
	EXPECT_OK(bind_table(&simple, 0, self->pt.root));
	EXPECT_OK(dma_works(&simple, 0, GUEST_VA, self->page));
	EXPECT_OK(invalidate_addr(&simple, 0, GUEST_VA, 1));
	EXPECT_OK(invalidate_addr(n, 1, GUEST_VA, 1));
	EXPECT_OK(unbind(&simple, 0));
	EXPECT_TRUE(dma_faults(&simple, 0, self->page));
	ASSERT_OK(group_leave(&simple));
	EXPECT_OK(xioctl(simple.group, VFIO_GROUP_SET_CONTAINER, &n->container));
	EXPECT_OK(dma_works(n, 1, GUEST_VA, self->page));
	close(simple.group);
}

/* A contract that lets none differ has no place for it. */
TEST_F_TIMEOUT(groups, differ_refused, SLOW)
{
	struct nest *n = &self->n, simple;
	struct iommu_uapi_caps needs = needs_guest_pasid(&n->caps);

	if (!open_simple(_metadata, &simple, n))
		return;
	ASSERT_OK(group_leave(&simple));
	ASSERT_OK(contract(n, &needs, COMMIT));
	EXPECT_ERR(ERANGE, xioctl(simple.group, VFIO_GROUP_SET_CONTAINER,
				  &n->container));
	close(simple.group);
}

/* ---- before the first group, and after the last ---- */

static void expect_no_iommu(struct __test_metadata *_metadata, struct nest *n)
{
	static struct inv_arg inv;
	const struct iommu_uapi_caps nothing = { .version = IOMMU_UAPI_VERSION };
	__u32 pasid;

	EXPECT_ERR(EINVAL, nest_info(n->container, NULL, NULL, NULL));
	EXPECT_ERR(EINVAL, pasid_alloc(n->container, 1, 10, &pasid));
	EXPECT_ERR(EINVAL, pasid_free(n->container, 0, ~0u));
	EXPECT_ERR(EINVAL, bind_table(n, 0, GUEST_BASE));
	EXPECT_ERR(EINVAL, bind_second_level(n, 1, 0));
	EXPECT_ERR(EINVAL, unbind(n, 0));
	inv_init(&inv, 1);
	inv_domain(&inv.entry[0], n);
	EXPECT_ERR(EINVAL, do_inv(n, &inv));
	EXPECT_ERR(EINVAL, fault_fd(n->container, IOMMU_UAPI_VERSION));
	EXPECT_ERR(EINVAL, fault_limit(n->container, 0));
	EXPECT_ERR(EINVAL, contract(n, &nothing, 0));
	EXPECT_ERR(EINVAL, contract(n, &nothing, COMMIT));
	EXPECT_ERR(EINVAL, xioctl(n->container, VFIO_IOMMU_NEGOTIATE, NULL));
}

/* R31: no IOMMU, so nothing to ask: one answer from every call */
TEST(groups_early)
{
	struct nest one = {}, *n = &one;
	int rc;

	if (!need_extension(_metadata))
		return;
	n->version = IOMMU_UAPI_VERSION;
	n->container = open("/dev/vfio/vfio", O_RDWR);
	ASSERT_LE(0, n->container);
	EXPECT_EQ(IOMMU_UAPI_VERSION,
		  xioctl_num(n->container, VFIO_CHECK_EXTENSION,
			     VFIO_TYPE1_IOMMU_UAPI));
	expect_no_iommu(_metadata, n);
	if (nest_join(n, 0, 1))
		SKIP(return, "no test device");
	expect_no_iommu(_metadata, n);
	rc = xioctl_num(n->container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU);
	if (rc == -EOPNOTSUPP)
		SKIP(return, "the IOMMU can't nest");
	ASSERT_OK(rc);
	EXPECT_OK(nest_info(n->container, &n->caps, NULL, NULL));
	EXPECT_OK(unbind(n, 0));
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	expect_no_iommu(_metadata, n);
	/* It begins anew, as what it is made into now. */
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container));
	expect_no_iommu(_metadata, n);
	ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	EXPECT_EQ(0, xioctl_num(n->container, VFIO_CHECK_EXTENSION,
				VFIO_TYPE1_IOMMU_UAPI));
	EXPECT_ERR(ENOTTY, unbind(n, 0));
	EXPECT_ERR(ENOENT, group_info(n->container, n->group_id, &n->caps));
}

/* ---- a device that joins a group in which something is bound ---- */

/* A device without a driver, used through sysfs */
struct bare {
	__u8 *bar;
};

static int bare_open(struct bare *bare, const char *bdf)
{
	__u16 cmd = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	char path[PATH_MAX];
	int fd, rc = 0;

	testdev_sysfs(path, bdf, "config");
	fd = open(path, O_RDWR);
	if (fd < 0 || pwrite(fd, &cmd, sizeof(cmd), PCI_COMMAND) != sizeof(cmd))
		rc = -EIO;
	close(fd);
	testdev_sysfs(path, bdf, "resource0");
	fd = open(path, O_RDWR | O_SYNC);
	bare->bar = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return bare->bar == MAP_FAILED ? -EIO : rc;
}

static void bare_put(struct bare *bare, off_t reg, __u32 val)
{
	__atomic_store_n((__u32 *)(bare->bar + reg), val, __ATOMIC_SEQ_CST);
}

static __u32 bare_read(struct bare *bare, __u32 pasid, __u64 addr)
{
	bare_put(bare, TESTDEV_REG_ADDR, addr);
	bare_put(bare, TESTDEV_REG_ADDR + 4, addr >> 32);
	bare_put(bare, TESTDEV_REG_LEN, 8);
	bare_put(bare, TESTDEV_REG_PASID, pasid);
	bare_put(bare, TESTDEV_REG_CMD, TESTDEV_CMD_READ);
	return __atomic_load_n((__u32 *)(bare->bar + TESTDEV_REG_RESULT),
			       __ATOMIC_SEQ_CST);
}

/* Remove the other device of a group of two. */
static int remove_other(char *bdf, char *other)
{
	char path[PATH_MAX];

	if (testdev_find(bdf, 0, 2) || testdev_find(other, 1, 2))
		return -ENODEV;
	testdev_sysfs(path, other, "remove");
	return testdev_sysfs_write(path, "1");
}

static int find_again(void)
{
	return testdev_sysfs_write("/sys/bus/pci/rescan", "1");
}

/* It is blocked, and the bindings of the first device stay. */
TEST(late_comer)
{
	struct bare late = {};
	struct nest n = {};
	char bdf[16], other[16], first[16];
	struct pgt pt;
	int nth, rc, pasids;
	__u64 page;

	/* Do not remove a device if nothing can be bound anyway. */
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	nest_close(&n);
	memset(&n, 0, sizeof(n));
	rc = remove_other(bdf, other);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_OK(rc);
	for (nth = 0; !testdev_find(first, nth, 1) && strcmp(first, bdf); nth++)
		;
	rc = nest_open(&n, nth, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc) {
		find_again();
		SKIP(return, "no nesting container: %s", strerror(-rc));
	}
	ASSERT_OK(guest_memory(&n, GUEST_BASE));
	ASSERT_OK(pgt_init(&pt, &n.mem));
	page = gmem_alloc(&n.mem, PGT_4K, PGT_4K);
	pgt_map(&pt, GUEST_VA, page, PGT_4K, PGT_RW);
	ASSERT_OK(bind_table(&n, 0, pt.root));
	/* Without ACS, the kernel does not enable PASIDs. */
	pasids = n.caps.features & IOMMU_UAPI_FEAT_BIND_PASID;
	if (pasids)
		ASSERT_OK(bind_table(&n, 3, pt.root));
	EXPECT_OK(dma_works(&n, 0, GUEST_VA, page));

	ASSERT_OK(find_again());
	ASSERT_EQ(n.group_id, testdev_group(other));
	ASSERT_OK(bare_open(&late, other));
	EXPECT_EQ(TESTDEV_FAULT, bare_read(&late, TESTDEV_NO_PASID, GUEST_VA));
	EXPECT_EQ(TESTDEV_FAULT, bare_read(&late, TESTDEV_NO_PASID, page));
	EXPECT_NE(TESTDEV_DONE, bare_read(&late, TESTDEV_PASID(3), GUEST_VA));

	/* The bindings still work, and can be undone. */
	EXPECT_OK(dma_works(&n, 0, GUEST_VA, page));
	EXPECT_OK(invalidate_pasid(&n, 0));
	EXPECT_ERR(ENODEV, bind_table(&n, 4, pt.root));
	if (pasids) {
		EXPECT_OK(dma_works(&n, 3, GUEST_VA, page));
		EXPECT_OK(unbind(&n, 3));
	}
	EXPECT_OK(unbind(&n, 0));
	EXPECT_EQ(TESTDEV_FAULT, bare_read(&late, TESTDEV_NO_PASID, page));
	nest_close(&n);
}

TEST_HARNESS_MAIN
