// SPDX-License-Identifier: GPL-2.0
/*
 * Guest page tables in VFIO containers, with a device that does DMA through
 * them. README tells what numbers like "R5" are.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "device.h"
#include "harness.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- what can be asked ---- */

FIXTURE(query)
{
	struct nest n;
};

FIXTURE_SETUP(query)
{
	self->n.container = -1;
	if (!need_extension(_metadata))
		return;
}

FIXTURE_TEARDOWN(query)
{
}

/* R6 R7: the version needs nothing but the container */
TEST_F(query, version_by_extension)
{
	int fd = open("/dev/vfio/vfio", O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(IOMMU_UAPI_VERSION,
		  xioctl_num(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU_UAPI));
	/* It is no type of IOMMU. */
	if (!test_open(_metadata, &self->n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	EXPECT_EQ(IOMMU_UAPI_VERSION,
		  xioctl_num(self->n.container, VFIO_CHECK_EXTENSION,
			     VFIO_TYPE1_IOMMU_UAPI));
}

/* R6: the extension's number does not choose a backend */
TEST_F(query, extension_is_no_type)
{
	int rc = nest_open(&self->n, 0, 1, VFIO_TYPE1_IOMMU_UAPI);

	if (rc == -ENODEV)
		SKIP(return, "no test device");
	EXPECT_EQ(-EINVAL, rc);
}

/* R6 R9 R58: absent, and no error, where it does not apply */
TEST_F(query, absent_without_nesting)
{
	if (!test_open(_metadata, &self->n, 0, 1, VFIO_TYPE1v2_IOMMU))
		return;
	EXPECT_EQ(0, xioctl_num(self->n.container, VFIO_CHECK_EXTENSION,
				VFIO_TYPE1_IOMMU_UAPI));
	EXPECT_ERR(ENOENT, nest_info(self->n.container, NULL, NULL, NULL));
}

/* R9: nothing to ask before there is a group */
TEST_F(query, absent_without_group)
{
	int fd = open("/dev/vfio/vfio", O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_ERR(EINVAL, nest_info(fd, NULL, NULL, NULL));
}

/* R3 R7 R8: everything at once, and asking changes nothing */
TEST_F(query, caps_in_get_info)
{
	struct iommu_uapi_caps caps, again;
	__u32 quota = 0, used = ~0u;

	if (!test_open(_metadata, &self->n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	ASSERT_OK(nest_info(self->n.container, &caps, &quota, &used));
	EXPECT_LT(0, quota);
	EXPECT_EQ(0, used);
	EXPECT_EQ(IOMMU_UAPI_VERSION, caps.version);
	EXPECT_TRUE(caps.addr_width == 48 || caps.addr_width == 57);
	EXPECT_NE(0, caps.formats);
	EXPECT_NE(0, caps.gpa_width);
	EXPECT_EQ(0, caps.reserved);
	EXPECT_LE(caps.pasid_bits, 20);
	/* Nesting does not imply PASID, but a width does, and the reverse. */
	EXPECT_EQ(!!(caps.features & IOMMU_UAPI_FEAT_BIND_PASID),
		  !!caps.pasid_bits);
	/* R52: a guest does not drive the PASID cache */
	EXPECT_EQ(0, caps.inv_pasid);
	ASSERT_OK(nest_info(self->n.container, &again, NULL, &used));
	EXPECT_EQ(0, memcmp(&caps, &again, sizeof(caps)));
	EXPECT_EQ(0, used);
}

/* R23: GET_INFO with less room tells how much is needed */
TEST_F(query, info_argsz)
{
	struct vfio_iommu_type1_info *info;
	__u64 room[512];
	__u32 need;

	if (!test_open(_metadata, &self->n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	info = (void *)room;
	memset(room, 0xff, sizeof(room));
	info->argsz = sizeof(*info);
	info->flags = 0;
	ASSERT_OK(xioctl(self->n.container, VFIO_IOMMU_GET_INFO, info));
	need = info->argsz;
	ASSERT_LT(sizeof(*info), need);
	EXPECT_EQ(0, info->cap_offset);
	EXPECT_EQ(~0ULL, room[(sizeof(*info) + 7) / 8]);
	ASSERT_OK(xioctl(self->n.container, VFIO_IOMMU_GET_INFO, info));
	EXPECT_NE(0, info->cap_offset);
	EXPECT_EQ(~0ULL, room[(need + 7) / 8]);
}

/* R9 R38: a group that can't be bound is known at the query */
TEST_F(query, absent_for_two_devices)
{
	if (!test_open(_metadata, &self->n, 0, 2, VFIO_TYPE1_NESTING_IOMMU))
		return;
	EXPECT_ERR(ENOENT, nest_info(self->n.container, NULL, NULL, NULL));
}

/* R8: what two groups have in common, and again after one has left */
TEST_F(query, two_groups)
{
	struct iommu_uapi_caps caps;
	struct nest second = {};
	int rc;

	if (!test_open(_metadata, &self->n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	second.container = self->n.container;
	rc = nest_join(&second, 1, 1);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_EQ(0, rc);
	ASSERT_OK(nest_info(self->n.container, &caps, NULL, NULL));
	EXPECT_EQ(0, caps.features & ~self->n.caps.features);
	EXPECT_LE(caps.pasid_bits, self->n.caps.pasid_bits);
	EXPECT_LE(caps.gpa_width, self->n.caps.gpa_width);
	ASSERT_OK(xioctl(second.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	ASSERT_OK(nest_info(self->n.container, &caps, NULL, NULL));
	EXPECT_EQ(0, memcmp(&caps, &self->n.caps, sizeof(caps)));
}

/* R39: alone in a container, and beside a device that can nest */
TEST_F(query, mdev)
{
	const struct iommu_uapi_caps few = {
		.version = IOMMU_UAPI_VERSION,
		.features = IOMMU_UAPI_FEAT_BIND_NO_PASID,
		.formats = 1 << IOMMU_UAPI_FORMAT_INTEL_VTD,
		.addr_width = 48,
		.gpa_width = 31,
	};
	struct nest mdev = {}, *n = &self->n;
	struct iommu_uapi_caps caps;
	struct negotiate_arg arg;
	__u32 pasid;
	int id;

	id = mdev_create();
	if (id == -ENODEV)
		SKIP(return, "needs the sample mdev, SAMPLE_VFIO_MDEV_MTTY");
	ASSERT_LE(0, id);
	mdev.group_id = id;
	mdev.version = IOMMU_UAPI_VERSION;
	mdev.group = nest_open_group(id);
	ASSERT_LE(0, mdev.group);
	mdev.container = open("/dev/vfio/vfio", O_RDWR);
	ASSERT_OK(xioctl(mdev.group, VFIO_GROUP_SET_CONTAINER, &mdev.container));
	ASSERT_OK(xioctl_num(mdev.container, VFIO_SET_IOMMU,
			     VFIO_TYPE1_NESTING_IOMMU));
	EXPECT_LT(0, xioctl_num(mdev.container, VFIO_CHECK_EXTENSION,
				VFIO_TYPE1_IOMMU_UAPI));
	EXPECT_ERR(ENOENT, nest_info(mdev.container, NULL, NULL, NULL));
	EXPECT_ERR(EOPNOTSUPP, pasid_alloc(mdev.container, 1, 100, &pasid));
	negotiate_init(&arg, &few, VFIO_NEGOTIATE_COMMIT);
	EXPECT_ERR(ERANGE, negotiate(&mdev, &arg));
	EXPECT_EQ(0, memcmp(&few, &arg.caps, sizeof(few)));
	EXPECT_ERR(ENODEV, bind_table(&mdev, 0, GUEST_BASE));
	EXPECT_ERR(ENOENT, unbind(&mdev, 0));
	EXPECT_ERR(EOPNOTSUPP, invalidate_pasid(&mdev, 0));
	ASSERT_OK(xioctl(mdev.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	close(mdev.container);

	if (!test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	ASSERT_OK(xioctl(mdev.group, VFIO_GROUP_SET_CONTAINER, &n->container));
	/* It has no say in what the others can do. */
	ASSERT_OK(nest_info(n->container, &caps, NULL, NULL));
	EXPECT_EQ(0, memcmp(&caps, &n->caps, sizeof(caps)));
	mdev.container = n->container;
	EXPECT_ERR(ERANGE, negotiate(&mdev, &arg));
	EXPECT_ERR(ENODEV, bind_table(&mdev, 0, GUEST_BASE));
	ASSERT_OK(xioctl(mdev.group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	close(mdev.group);
	ASSERT_OK(nest_info(n->container, &caps, NULL, NULL));
	EXPECT_EQ(0, memcmp(&caps, &n->caps, sizeof(caps)));
	/* Without it there can be a contract, and then it can't come back. */
	EXPECT_OK(negotiate(n, &arg));
	ASSERT_LE(0, mdev.group = nest_open_group(id));
	EXPECT_ERR(ERANGE, xioctl(mdev.group, VFIO_GROUP_SET_CONTAINER,
				  &n->container));
	close(mdev.group);
	EXPECT_OK(testdev_sysfs_write(MDEV "/remove", "1"));
}

/* ---- containers that did not ask ---- */

FIXTURE(plain)
{
	struct nest n;
};

FIXTURE_VARIANT(plain)
{
	int type;
};

FIXTURE_VARIANT_ADD(plain, type1)
{
	.type = VFIO_TYPE1_IOMMU,
};

FIXTURE_VARIANT_ADD(plain, type1v2)
{
	.type = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_SETUP(plain)
{
	if (!need_extension(_metadata))
		return;
	if (!test_open(_metadata, &self->n, 0, 1, variant->type))
		return;
}

FIXTURE_TEARDOWN(plain)
{
}

/* R31 R37 R58: as if the calls did not exist, whatever their argument */
TEST_F(plain, no_such_call)
{
	static const unsigned long calls[] = {
		VFIO_IOMMU_PASID_REQUEST,
		VFIO_IOMMU_BIND_GPASID,
		VFIO_IOMMU_UNBIND_GPASID,
		VFIO_IOMMU_CACHE_INVALIDATE,
		VFIO_IOMMU_FAULT_FD,
		VFIO_IOMMU_NEGOTIATE,
	};
	__u32 arg[128] = { sizeof(arg) };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		EXPECT_ERR(ENOTTY, xioctl(self->n.container, calls[i], arg));
		EXPECT_ERR(ENOTTY, xioctl(self->n.container, calls[i], NULL));
	}
}

/* R58: read-only mappings and DMA are as they always were */
TEST_F(plain, mappings_as_ever)
{
	__u64 val = 0x1122334455667788, got = 0;
	struct nest *n = &self->n;

	ASSERT_OK(gmem_init(&n->mem, GUEST_BASE, PGT_2M));
	ASSERT_OK(nest_map(n->container, n->mem.base, GUEST_BASE, PGT_4K,
			   VFIO_DMA_MAP_FLAG_READ));
	memcpy(n->mem.base, &val, sizeof(val));
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&n->td, TESTDEV_NO_PASID,
					     GUEST_BASE, &got, sizeof(got)));
	EXPECT_EQ(val, got);
	EXPECT_EQ(TESTDEV_FAULT, testdev_write(&n->td, TESTDEV_NO_PASID,
					       GUEST_BASE, &val, sizeof(val)));
}

/* ---- a device, guest memory, a page table, and a PASID that isn't bound ---- */

FIXTURE(nesting)
{
	struct nest n;
	struct pgt pt;
	__u32 pasid;
	__u64 page[2];
};

FIXTURE_VARIANT(nesting)
{
	int nth;
};

FIXTURE_VARIANT_ADD(nesting, first)
{
	.nth = 0,
};

/* In the lab, one that caches translations by itself. */
FIXTURE_VARIANT_ADD(nesting, second)
{
	.nth = 1,
};

FIXTURE_SETUP(nesting)
{
	struct nest *n = &self->n;

	if (!need_extension(_metadata))
		return;
	if (!test_open(_metadata, n, variant->nth, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_HOST_PASID))
		SKIP(return, "no PASIDs for this device");

	n->td.ats = device_caches(n);
	ASSERT_OK(gmem_init(&n->mem, GUEST_BASE, GUEST_SIZE));
	ASSERT_OK(nest_map(n->container, n->mem.base, GUEST_BASE, GUEST_SIZE,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	/* Neighbours for the device, but not in memory. */
	self->page[1] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	self->page[0] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page[0], PGT_4K, PGT_RW));
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + PGT_4K, self->page[1], PGT_4K,
			  PGT_RW));
	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &self->pasid));
}

FIXTURE_TEARDOWN(nesting)
{
}

/* The PASID of the fixture is the container's, and not bound. */
static void expect_unchanged(struct __test_metadata *_metadata,
			     struct _test_data_nesting *self)
{
	EXPECT_ERR(ENOENT, unbind(&self->n, self->pasid));
	EXPECT_EQ(1, nest_used(self->n.container));
}

/* After a sweep of bad calls, a good one is as good as ever. */
static void expect_clean(struct __test_metadata *_metadata,
			 struct _test_data_nesting *self)
{
	EXPECT_TRUE(dma_faults(&self->n, self->pasid, GUEST_VA));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(unbind(&self->n, self->pasid));
	expect_unchanged(_metadata, self);
}

/* ---- PASIDs ---- */

/* R36 R43: inclusive ends, the number in its field, never in the result */
TEST_F(nesting, pasid_range)
{
	__u32 last = pasid_last(&self->n), a, b, got;
	int fd = self->n.container;

	ASSERT_OK(pasid_alloc(fd, last, last, &a));
	EXPECT_EQ(last, a);
	EXPECT_ERR(ENOSPC, pasid_alloc(fd, last, last, &got));
	EXPECT_EQ(~0u, got);
	ASSERT_OK(pasid_alloc(fd, last - 1, last, &b));
	EXPECT_EQ(last - 1, b);
	EXPECT_ERR(ENOSPC, pasid_alloc(fd, last - 1, last, &got));
	EXPECT_EQ(3, nest_used(fd));

	EXPECT_ERR(EINVAL, pasid_alloc(fd, 0, 0, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, 0, last, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, last, last - 1, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, last + 1, last + 1, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, 1, last + 1, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, ~0u, ~0u, &got));
	EXPECT_ERR(EINVAL, pasid_free(fd, last, last - 1));
	EXPECT_EQ(3, nest_used(fd));

	EXPECT_OK(pasid_free(fd, last, last));
	EXPECT_ERR(ENOENT, pasid_free(fd, last, last));
	EXPECT_OK(pasid_free(fd, last - 1, last));
	expect_unchanged(_metadata, self);
}

/* R24 R29: exactly one command, no stray bits */
TEST_F(nesting, pasid_flags)
{
	struct vfio_iommu_type1_pasid_request req = {
		.argsz = sizeof(req),
		.first = 1,
		.last = pasid_last(&self->n),
	};
	int fd = self->n.container, bit;
	__u32 cmd;

	EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
	req.flags = VFIO_PASID_REQUEST_ALLOC | VFIO_PASID_REQUEST_FREE;
	EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
	for (cmd = 1; cmd <= 2; cmd++) {
		for (bit = 2; bit < 32; bit++) {
			req.flags = cmd | 1u << bit;
			EXPECT_ERR(EOPNOTSUPP,
				   xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
		}
		req.flags = cmd;
		for (bit = 0; bit < 32; bit++) {
			req.reserved = 1u << bit;
			EXPECT_ERR(EOPNOTSUPP,
				   xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
		}
		req.reserved = 0;
	}
	expect_unchanged(_metadata, self);
}

/* R19 R20 R23: argsz is checked, and nothing behind it is read */
TEST_F(nesting, pasid_argsz)
{
	struct vfio_iommu_type1_pasid_request *req;
	int fd = self->n.container;
	__u32 size;

	req = (void *)(guard_page() - sizeof(*req));
	memset(req, 0, sizeof(*req));
	req->flags = VFIO_PASID_REQUEST_ALLOC;
	req->first = 1;
	req->last = pasid_last(&self->n);
	for (size = 0; size < sizeof(*req); size++) {
		req->argsz = size;
		EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, req));
	}
	expect_unchanged(_metadata, self);
	req->argsz = sizeof(*req);
	EXPECT_OK(xioctl(fd, VFIO_IOMMU_PASID_REQUEST, req));
	req->argsz = ~0u;
	EXPECT_OK(xioctl(fd, VFIO_IOMMU_PASID_REQUEST, req));
	EXPECT_EQ(3, nest_used(fd));
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_PASID_REQUEST,
				  (void *)req + 1));
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, NULL));
}

/* R32: a PASID that can't be told is not kept */
TEST_F(nesting, pasid_not_writable)
{
	struct vfio_iommu_type1_pasid_request *req;
	int fd = self->n.container, i;
	__u32 got;

	req = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(req != MAP_FAILED);
	req->argsz = sizeof(*req);
	req->flags = VFIO_PASID_REQUEST_ALLOC;
	req->first = pasid_last(&self->n);
	req->last = req->first;
	ASSERT_OK(mprotect(req, 4096, PROT_READ));
	for (i = 0; i < 100; i++)
		EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, req));
	expect_unchanged(_metadata, self);
	EXPECT_ERR(ENOENT, pasid_free(fd, req->first, req->last));
	EXPECT_OK(pasid_alloc(fd, req->first, req->last, &got));
}

/* R36 R41: a quota of the administrator's, its use visible */
TEST_F(nesting, pasid_quota)
{
	__u32 last = pasid_last(&self->n), quota, used, pasid;
	int fd = self->n.container;
	unsigned int old;
	struct stat st;

	if (access(QUOTA_PATH, W_OK) || read_uint(QUOTA_PATH, &old))
		SKIP(return, "needs to set the quota");
	ASSERT_OK(stat(QUOTA_PATH, &st));
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0644, st.st_mode & 0777);

	ASSERT_OK(write_uint(QUOTA_PATH, 3));
	EXPECT_OK(pasid_alloc(fd, 1, last, &pasid));
	EXPECT_OK(pasid_alloc(fd, 1, last, &pasid));
	EXPECT_ERR(EDQUOT, pasid_alloc(fd, 1, last, &pasid));
	EXPECT_OK(nest_info(fd, NULL, &quota, &used));
	EXPECT_EQ(3, quota);
	EXPECT_EQ(3, used);
	/* Lowered, it takes nothing away. */
	EXPECT_OK(write_uint(QUOTA_PATH, 1));
	EXPECT_EQ(3, nest_used(fd));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(unbind(&self->n, self->pasid));
	EXPECT_OK(pasid_free(fd, 0, ~0u));
	EXPECT_OK(pasid_alloc(fd, 1, last, &pasid));
	EXPECT_ERR(EDQUOT, pasid_alloc(fd, 1, last, &pasid));
	EXPECT_OK(write_uint(QUOTA_PATH, old));
}

/* R42: as long as there are PASIDs, not as the range is wide */
TEST_F_TIMEOUT(nesting, pasid_free_all, SLOW)
{
	int fd = self->n.container, i, nr = 101;
	__u32 pasid;
	double t, alloc;

	/*
	 * Not ten times as long as to allocate them one by one, on whatever
	 * machine. The clock may run on while this waits, but not each time.
	 */
	do {
		alloc = now();
		for (i = 0; i < 100; i++)
			ASSERT_OK(pasid_alloc(fd, 1, pasid_last(&self->n), &pasid));
		alloc = now() - alloc;
		EXPECT_EQ(nr, nest_used(fd));
		nr = 100;
		t = now();
		EXPECT_OK(pasid_free(fd, 0, ~0u));
		EXPECT_EQ(0, nest_used(fd));
		EXPECT_ERR(ENOENT, pasid_free(fd, 0, ~0u));
		EXPECT_ERR(ENOENT, pasid_free(fd, 0, 0));
		t = now() - t;
		TH_LOG("%.2f ms, after %.2f ms", t * 1e3, alloc * 1e3);
	} while (t > 10 * alloc);
}

/* R47: what is bound is not freed, nor anything beside it */
TEST_F(nesting, pasid_free_bound)
{
	__u32 low, high, last = pasid_last(&self->n);
	int fd = self->n.container;

	ASSERT_OK(pasid_free(fd, 0, ~0u));
	ASSERT_OK(pasid_alloc(fd, last - 2, last - 2, &low));
	ASSERT_OK(pasid_alloc(fd, last - 1, last - 1, &self->pasid));
	ASSERT_OK(pasid_alloc(fd, last, last, &high));
	ASSERT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_ERR(EBUSY, pasid_free(fd, 0, ~0u));
	EXPECT_ERR(EBUSY, pasid_free(fd, self->pasid, self->pasid));
	EXPECT_EQ(3, nest_used(fd));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(pasid_free(fd, low, low));
	EXPECT_OK(pasid_free(fd, high, high));
	EXPECT_OK(unbind(&self->n, self->pasid));
	EXPECT_OK(pasid_free(fd, 0, ~0u));
	EXPECT_EQ(0, nest_used(fd));
}

/* R42: another container's PASIDs are not there */
TEST_F(nesting, pasid_foreign)
{
	static struct inv_arg inv;
	struct nest other;
	__u32 theirs;

	if (!test_open(_metadata, &other, !variant->nth, 1,
		       VFIO_TYPE1_NESTING_IOMMU))
		return;
	ASSERT_OK(pasid_alloc(other.container, 1, pasid_last(&other), &theirs));
	EXPECT_NE(self->pasid, theirs);
	EXPECT_ERR(ENOENT, pasid_free(self->n.container, theirs, theirs));
	EXPECT_ERR(ENOENT, unbind(&self->n, theirs));
	inv_init(&inv, 1);
	inv_pasid(&inv.entry[0], &self->n, theirs);
	EXPECT_ERR(ENOENT, do_inv(&self->n, &inv));
	/* ... nor taken along. */
	EXPECT_OK(pasid_free(self->n.container, 0, ~0u));
	EXPECT_EQ(1, nest_used(other.container));
	nest_close(&other);
}

/* ---- binding ---- */

/* DMA through the guest's table, both ways, and none without it */
TEST_F(nesting, bind_dma)
{
	struct nest *n = &self->n;
	__u8 out[256], in[256];
	unsigned int i;

	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA + 0x1ff8,
			    self->page[1] + 0xff8));

	/* Across the pages, which are not neighbours in memory. */
	for (i = 0; i < sizeof(out); i++)
		out[i] = i ^ 0x5a;
	EXPECT_EQ(TESTDEV_DONE,
		  testdev_write(&n->td, TESTDEV_PASID(self->pasid),
				GUEST_VA + PGT_4K - 128, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(gmem_ptr(&n->mem, self->page[0] + PGT_4K - 128),
			    out, 128));
	EXPECT_EQ(0, memcmp(gmem_ptr(&n->mem, self->page[1]), out + 128, 128));
	EXPECT_EQ(TESTDEV_DONE,
		  testdev_read(&n->td, TESTDEV_PASID(self->pasid),
			       GUEST_VA + PGT_4K - 128, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));

	/* The hardware notes what it did. */
	EXPECT_TRUE(*pgt_leaf(&self->pt, GUEST_VA) & PGT_A);
	EXPECT_TRUE(*pgt_leaf(&self->pt, GUEST_VA) & PGT_D);

	/* What the table does not map, and what is no address of the guest. */
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA + 2 * PGT_4K));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_BASE));
	EXPECT_OK(unbind(n, self->pasid));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	expect_unchanged(_metadata, self);
}

/* The guest's permissions and page sizes count */
TEST_F(nesting, bind_permissions)
{
	struct nest *n = &self->n;
	__u64 got, *mem, big;

	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + 2 * PGT_4K, self->page[0],
			  PGT_4K, PGT_RO));
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + 3 * PGT_4K, self->page[0],
			  PGT_4K, PGT_P | PGT_W));
	/* Beyond what the container maps */
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + 4 * PGT_4K,
			  GUEST_BASE + GUEST_SIZE, PGT_4K, PGT_RW));
	big = GUEST_BASE + PGT_2M;
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + PGT_1G, big, PGT_2M, PGT_RW));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));

	mem = gmem_ptr(&n->mem, self->page[0]);
	*mem = 0x1234;
	EXPECT_EQ(TESTDEV_DONE,
		  dma_read(n, self->pasid, GUEST_VA + 2 * PGT_4K, &got));
	EXPECT_EQ(0x1234, got);
	EXPECT_EQ(TESTDEV_FAULT,
		  dma_write(n, self->pasid, GUEST_VA + 2 * PGT_4K, 0));
	EXPECT_EQ(0x1234, mem_get(mem));
	/* Not for requests without privilege */
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA + 3 * PGT_4K));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA + 4 * PGT_4K));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA + PGT_1G + 0x12340,
			    big + 0x12340));
	EXPECT_OK(unbind(n, self->pasid));
}

/* Requests without PASID: the container's mappings, the guest's, none, and back */
TEST_F(nesting, bind_no_pasid)
{
	__u64 val = 0x55aa55aa12345678, got = 0;
	struct nest *n = &self->n;
	__u64 *mem;

	if (!(n->caps.features & IOMMU_UAPI_FEAT_BIND_NO_PASID))
		SKIP(return, "not for requests without PASID");
	mem = gmem_ptr(&n->mem, self->page[0]);
	*mem = val;
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&n->td, TESTDEV_NO_PASID,
					     self->page[0], &got, 8));
	EXPECT_EQ(val, got);

	ASSERT_OK(bind_table(n, 0, self->pt.root));
	EXPECT_ERR(EEXIST, bind_table(n, 0, self->pt.root));
	got = 0;
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&n->td, TESTDEV_NO_PASID,
					     GUEST_VA, &got, 8));
	EXPECT_EQ(val, got);
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      self->page[0], &got, 8));
	/* Both kinds at once */
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	pgt_unmap(&self->pt, GUEST_VA);
	EXPECT_OK(invalidate_addr(n, 0, GUEST_VA, 1));
	EXPECT_OK(invalidate_addr(n, self->pasid, GUEST_VA, 1));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_OK(unbind(n, self->pasid));

	*mem = ~val;
	EXPECT_OK(unbind(n, 0));
	EXPECT_ERR(ENOENT, unbind(n, 0));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      self->page[0], &got, 8));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_OK(bind_second_level(n, 0, 0));
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&n->td, TESTDEV_NO_PASID,
					     self->page[0], &got, 8));
	EXPECT_EQ(~val, got);
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	expect_unchanged(_metadata, self);
}

/* Two PASIDs have two tables */
TEST_F(nesting, bind_two_pasids)
{
	struct nest *n = &self->n;
	struct pgt pt;
	__u32 pasid;

	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &pasid));
	ASSERT_OK(pgt_init(&pt, &n->mem));
	ASSERT_OK(pgt_map(&pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	ASSERT_OK(bind_table(n, pasid, pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(dma_works(n, pasid, GUEST_VA, self->page[1]));
	EXPECT_OK(unbind(n, self->pasid));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_OK(dma_works(n, pasid, GUEST_VA, self->page[1]));
}

/* R21: any version up to the one reported */
TEST_F(nesting, bind_every_version)
{
	struct bind_arg arg;
	__u32 v;

	for (v = IOMMU_UAPI_VERSION_1; v <= self->n.version; v++) {
		bind_init(&arg, &self->n, self->pasid, self->pt.root);
		arg.data.version = v;
		EXPECT_OK(do_bind(&self->n, &arg));
		EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA,
				    self->page[0]));
		EXPECT_OK(unbind(&self->n, self->pasid));
	}
}

/* R17: versions that do not exist */
TEST_F(nesting, bind_version)
{
	static const __u32 newer[] = {
		IOMMU_UAPI_VERSION + 1, 256, 1u << 16, INT_MAX, 1u << 31, ~0u,
	};
	struct bind_arg arg;
	unsigned int i;

	bind_init(&arg, &self->n, self->pasid, self->pt.root);
	arg.data.version = 0;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	for (i = 0; i < ARRAY_LEN(newer); i++) {
		arg.data.version = newer[i];
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* R19 R20 R23: every length below is refused, every one above is fine */
TEST_F(nesting, bind_argsz)
{
	struct bind_arg *arg;
	__u8 *end = guard_page();
	__u32 size;

	ASSERT_NE(0, (uintptr_t)end);
	arg = (void *)(end - sizeof(*arg));
	bind_init(arg, &self->n, self->pasid, self->pt.root);
	for (size = 0; size < sizeof(*arg); size++) {
		arg->head.argsz = size;
		EXPECT_ERR(EINVAL, do_bind(&self->n, arg));
	}
	expect_unchanged(_metadata, self);
	for (size = sizeof(*arg); size < sizeof(*arg) + 16; size++) {
		arg->head.argsz = size;
		EXPECT_OK(do_bind(&self->n, arg));
		EXPECT_OK(unbind(&self->n, self->pasid));
	}
	arg->head.argsz = ~0u;
	EXPECT_OK(do_bind(&self->n, arg));
	EXPECT_OK(unbind(&self->n, self->pasid));

	/* Cut off by the end of memory, at each place */
	for (size = 8; size < sizeof(*arg); size += 8) {
		struct bind_arg good;

		bind_init(&good, &self->n, self->pasid, self->pt.root);
		memcpy(end - size, &good, size);
		EXPECT_ERR(EFAULT, xioctl(self->n.container,
					  VFIO_IOMMU_BIND_GPASID, end - size));
	}
	EXPECT_ERR(EFAULT, do_bind(&self->n, NULL));
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* R24 R29: the header's bits */
TEST_F(nesting, bind_header)
{
	struct bind_arg arg;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		bind_init(&arg, &self->n, self->pasid, self->pt.root);
		arg.head.flags = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
		arg.head.flags = 0;
		arg.head.reserved = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	expect_unchanged(_metadata, self);
}

/* R24: every flag bit, every padding byte, fields whose flag is not there */
TEST_F(nesting, bind_bits)
{
	const struct iommu_uapi_caps *caps = &self->n.caps;
	struct bind_arg good, arg;
	unsigned int i;

	bind_init(&good, &self->n, self->pasid, self->pt.root);
	for (i = 0; i < 64; i++) {
		arg = good;
		arg.data.flags = 1ULL << i;
		if (!(caps->bind_flags & arg.data.flags))
			EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
		arg = good;
		arg.data.vtd.flags = 1ULL << i;
		if (!(caps->vtd_flags & arg.data.vtd.flags))
			EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	for (i = 0; i < sizeof(arg.data.padding); i++) {
		arg = good;
		arg.data.padding[i] = 1;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
		arg.data.padding[i] = 0x80;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	arg = good;
	arg.data.vtd.pat = 1;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	arg = good;
	arg.data.vtd.emt = 1;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	arg = good;
	arg.data.gpasid = 1;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	if (caps->bind_flags & IOMMU_UAPI_BIND_GPASID_VAL) {
		arg.data.flags = IOMMU_UAPI_BIND_GPASID_VAL;
		for (i = 20; i < 64; i++) {
			arg.data.gpasid = 1ULL << i;
			EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
		}
	}
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* R16 R24: formats that this kernel does not have */
TEST_F(nesting, bind_format)
{
	struct bind_arg arg;
	unsigned int i;

	bind_init(&arg, &self->n, self->pasid, self->pt.root);
	for (i = 0; i < 130; i++) {
		arg.data.format = i < 129 ? i : ~0u;
		if (i < 64 && self->n.caps.formats & 1ULL << i)
			continue;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* The table's address: not aligned, too wide; and its width */
TEST_F(nesting, bind_table_address)
{
	struct bind_arg arg;
	unsigned int i;

	bind_init(&arg, &self->n, self->pasid, self->pt.root);
	for (i = 0; i < 12; i++) {
		arg.data.gpgd = self->pt.root | 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	}
	for (i = self->n.caps.gpa_width; i < 64; i++) {
		arg.data.gpgd = self->pt.root | 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	}
	arg.data.gpgd = self->pt.root;
	for (i = 0; i < 70; i++) {
		arg.data.addr_width = i;
		if (i == 48 || (i == 57 && self->n.caps.addr_width >= 57))
			continue;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	arg.data.addr_width = ~0u;
	EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* Five levels, where the host has them; four next to them know four */
TEST_F(nesting, five_levels)
{
	const __u64 wide = GUEST_VA | 1ULL << 52;
	const __u64 high = GUEST_VA | 0xfff0ULL << 48;
	struct nest *n = &self->n;
	struct bind_arg arg;
	__u64 top, *e;
	int i;

	top = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	ASSERT_NE(0, top);
	e = gmem_ptr(&n->mem, top);
	e[(wide >> 48) & 511] = self->pt.root | PGT_RW;
	e[(high >> 48) & 511] = self->pt.root | PGT_RW;
	bind_init(&arg, n, self->pasid, top);
	arg.data.addr_width = 57;
	if (n->caps.addr_width < 57) {
		EXPECT_ERR(EOPNOTSUPP, do_bind(n, &arg));
		expect_unchanged(_metadata, self);
		return;
	}

	ASSERT_OK(do_bind(n, &arg));
	EXPECT_OK(dma_works(n, self->pasid, wide, self->page[0]));
	EXPECT_OK(dma_works(n, self->pasid, high + PGT_4K, self->page[1]));
	/* Only what the top table leads to */
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	/* Bits 63 to 56 of an address are the same. */
	for (i = 57; i < 64; i++) {
		EXPECT_TRUE(dma_faults(n, self->pasid, wide ^ 1ULL << i));
		EXPECT_ERR(EINVAL, invalidate_addr(n, self->pasid,
						   wide ^ 1ULL << i, 1));
	}
	pgt_unmap(&self->pt, GUEST_VA);
	ASSERT_OK(invalidate_addr(n, self->pasid, wide, 1));
	EXPECT_TRUE(dma_faults(n, self->pasid, wide));
	pgt_unmap(&self->pt, GUEST_VA + PGT_4K);
	ASSERT_OK(invalidate_addr(n, self->pasid, high, 2));
	EXPECT_TRUE(dma_faults(n, self->pasid, high + PGT_4K));
	EXPECT_OK(unbind(n, self->pasid));

	/* The host could, but this table was not bound so. */
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page[0], PGT_4K, PGT_RW));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_TRUE(dma_faults(n, self->pasid, wide));
	EXPECT_ERR(EINVAL, invalidate_addr(n, self->pasid, wide, 1));
	EXPECT_OK(unbind(n, self->pasid));
}

/* A table where there is no memory binds, and only its own DMA fails */
TEST_F(nesting, bind_table_nowhere)
{
	ASSERT_OK(bind_table(&self->n, self->pasid, GUEST_BASE + GUEST_SIZE));
	EXPECT_TRUE(dma_faults(&self->n, self->pasid, GUEST_VA));
	EXPECT_OK(unbind(&self->n, self->pasid));
	expect_clean(_metadata, self);
}

/* R38 R40 R43: a PASID that there is, whose group, and once */
TEST_F(nesting, bind_whose)
{
	struct nest *n = &self->n;
	struct bind_arg arg;
	int i;

	bind_init(&arg, n, self->pasid, self->pt.root);
	for (i = n->caps.pasid_bits; i < 64; i++) {
		arg.data.hpasid = self->pasid | 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(n, &arg));
	}
	for (i = 0; i < 32; i++) {
		bind_init(&arg, n, self->pasid, self->pt.root);
		arg.head.group_id ^= 1u << i;
		EXPECT_ERR(ENOENT, do_bind(n, &arg));
	}
	expect_unchanged(_metadata, self);

	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_ERR(EEXIST, bind_table(n, self->pasid, self->pt.root));
	EXPECT_ERR(EEXIST, bind_table(n, self->pasid, self->pt.root + PGT_4K));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(unbind(n, self->pasid));
	expect_clean(_metadata, self);
}

/* R23 R24 R40: unbind */
TEST_F(nesting, unbind_bad)
{
	struct vfio_iommu_type1_unbind_gpasid arg, *end;
	struct nest *n = &self->n;
	int fd = n->container, i;
	__u32 size;

	EXPECT_ERR(ENOENT, unbind(n, self->pasid));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	for (i = 0; i < 32; i++) {
		if (self->pasid ^ 1u << i)
			EXPECT_ERR(ENOENT, unbind(n, self->pasid ^ 1u << i));
		EXPECT_ERR(ENOENT, unbind_group(fd, n->group_id ^ 1u << i,
						self->pasid));
		arg = (struct vfio_iommu_type1_unbind_gpasid){
			.argsz = sizeof(arg),
			.flags = 1u << i,
			.group_id = n->group_id,
			.pasid = self->pasid,
		};
		EXPECT_ERR(EOPNOTSUPP,
			   xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, &arg));
	}
	arg.flags = 0;
	end = (void *)(guard_page() - sizeof(arg));
	*end = arg;
	for (size = 0; size < sizeof(arg); size++) {
		end->argsz = size;
		EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, end));
	}
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID,
				  (void *)end + 4));
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, NULL));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	end->argsz = ~0u;
	EXPECT_OK(xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, end));
	EXPECT_ERR(ENOENT, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, end));
	expect_clean(_metadata, self);
}

/* R38: a group of two devices is refused, not skipped */
TEST_F(nesting, bind_two_devices)
{
	struct nest pair = {};
	int rc;

	pair.container = self->n.container;
	rc = nest_join(&pair, 0, 2);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_EQ(0, rc);
	pair.version = self->n.version;
	EXPECT_ERR(ENODEV, bind_table(&pair, self->pasid, self->pt.root));
	EXPECT_ERR(ENODEV, bind_table(&pair, 0, self->pt.root));
	EXPECT_ERR(ENOENT, unbind(&pair, self->pasid));
	/* The capability is gone, but the other group is not worse off. */
	EXPECT_ERR(ENOENT, nest_info(self->n.container, NULL, NULL, NULL));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(invalidate_pasid(&self->n, self->pasid));
	EXPECT_OK(unbind(&self->n, self->pasid));
	EXPECT_OK(pasid_free(self->n.container, 0, ~0u));
}

static int pci_remove(const char *bdf)
{
	char path[PATH_MAX];

	testdev_sysfs(path, bdf, "remove");
	return testdev_sysfs_write(path, "1");
}

/*
 * Bind one of two devices that share a group, and take the other one away before.
 * Without PASID: where such a group can come about, PCI does not let its devices
 * use PASIDs.
 */
static int bind_without_company(struct _test_data_nesting *self,
				struct nest *one, char other[16])
{
	char bdf[16];
	int i, rc;

	if (testdev_find(bdf, 0, 2) || testdev_find(other, 1, 2))
		return -ENODEV;
	rc = pci_remove(other);
	/* Which one of the groups of one it is now */
	for (i = 0; !rc && strcmp(one->bdf, bdf); i++)
		rc = testdev_find(one->bdf, i, 1);
	one->container = self->n.container;
	one->version = self->n.version;
	if (!rc)
		rc = nest_join(one, i - 1, 1);
	if (!rc)
		rc = nest_device(one);
	return rc ? rc : bind_table(one, 0, self->pt.root);
}

/* R38: a device joins the group of one that is bound */
TEST_F(nesting, company_comes)
{
	struct nest one = {};
	char other[16];
	__u64 got;
	int rc;

	rc = bind_without_company(self, &one, other);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_OK(rc);
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&one.td, TESTDEV_NO_PASID,
					     GUEST_VA, &got, 8));

	ASSERT_OK(testdev_sysfs_write("/sys/bus/pci/rescan", "1"));
	ASSERT_EQ(2, testdev_group_size(one.group_id));
	EXPECT_ERR(ENOENT, nest_info(one.container, NULL, NULL, NULL));
	/* What is bound stays, and can be invalidated and unbound. */
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&one.td, TESTDEV_NO_PASID,
					     GUEST_VA, &got, 8));
	EXPECT_OK(invalidate_pasid(&one, 0));
	EXPECT_OK(unbind(&one, 0));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&one.td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_ERR(ENODEV, bind_table(&one, 0, self->pt.root));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	close(one.td.fd);
	close(one.group);
}

/* R46: the bound device leaves a group in which another one stays */
TEST_F(nesting, company_stays)
{
	struct nest one = {};
	char other[16];
	int rc;

	rc = bind_without_company(self, &one, other);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_OK(rc);
	ASSERT_OK(testdev_sysfs_write("/sys/bus/pci/rescan", "1"));
	ASSERT_OK(testdev_bind_vfio(other));
	close(one.td.fd);
	ASSERT_OK(pci_remove(one.bdf));

	/* Its binding went with it, and what stays can't nest. */
	EXPECT_ERR(ENOENT, invalidate_pasid(&one, 0));
	EXPECT_ERR(ENOENT, unbind(&one, 0));
	EXPECT_ERR(ENODEV, bind_table(&one, 0, self->pt.root));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	close(one.group);
	EXPECT_OK(testdev_sysfs_write("/sys/bus/pci/rescan", "1"));
}

struct race {
	__u32 *where;
	__u32 other;
	atomic_int stop;
};

static void *rewrite(void *data)
{
	struct race *race = data;
	__u32 good = *race->where;
	unsigned int i;

	while (!race->stop) {
		__atomic_store_n(race->where, race->other, __ATOMIC_SEQ_CST);
		/* Long enough to be seen */
		for (i = 0; i < 200; i++)
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
		__atomic_store_n(race->where, good, __ATOMIC_SEQ_CST);
		for (i = 0; i < 200; i++)
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* R18: a version that is rewritten meanwhile was read once */
TEST_F_TIMEOUT(nesting, bind_racing_version, SLOW)
{
	static struct bind_arg arg;
	struct race race = { .where = &arg.data.version, .other = ~0u };
	int i, rc, good = 0, bad = 0;
	pthread_t thread;

	bind_init(&arg, &self->n, self->pasid, self->pt.root);
	ASSERT_OK(pthread_create(&thread, NULL, rewrite, &race));
	for (i = 0; i < 2000; i++) {
		rc = do_bind(&self->n, &arg);
		if (!rc) {
			good++;
			ASSERT_OK(unbind(&self->n, self->pasid));
		} else {
			ASSERT_EQ(-EOPNOTSUPP, rc);
			bad++;
		}
	}
	race.stop = 1;
	pthread_join(thread, NULL);
	TH_LOG("%d accepted, %d refused", good, bad);
	expect_clean(_metadata, self);
}

/* ---- invalidation ---- */

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
	ASSERT_OK(gmem_init(&n->mem, GUEST_BASE, GUEST_SIZE));
	ASSERT_OK(nest_map(n->container, n->mem.base, GUEST_BASE, GUEST_SIZE,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
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

/* R18: a PASID or version that is rewritten reaches nobody else's */
TEST_F_TIMEOUT(inv, racing_version, SLOW)
{
	struct race race = {
		.where = &self->arg.entry[20].version,
		.other = ~0u,
	};
	pthread_t thread;
	int i, rc;

	inv_init(&self->arg, 24);
	for (i = 0; i < 24; i++)
		inv_addr(&self->arg.entry[i], &self->n, self->pasid,
			 GUEST_VA + i * PGT_4K, 1);
	ASSERT_OK(pthread_create(&thread, NULL, rewrite, &race));
	for (i = 0; i < 2000; i++) {
		rc = do_inv(&self->n, &self->arg);
		if (rc) {
			ASSERT_EQ(-EOPNOTSUPP, rc);
			ASSERT_EQ(20, self->arg.head.handled);
		} else {
			ASSERT_EQ(24, self->arg.head.handled);
		}
	}
	race.stop = 1;
	pthread_join(thread, NULL);
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

/* ---- lifetime ---- */

/* Read-only memory: allowed where reported, else refused and nothing left */
TEST_F(nesting, map_read_only)
{
	__u64 iova = GUEST_BASE + PGT_1G;
	struct nest *n = &self->n;
	int rc;

	rc = nest_map(n->container, n->mem.base, iova, PGT_4K,
		      VFIO_DMA_MAP_FLAG_READ);
	if (n->caps.features & IOMMU_UAPI_FEAT_RO_MAP) {
		EXPECT_EQ(0, rc);
		EXPECT_OK(nest_unmap(n->container, iova, PGT_4K));
	} else {
		EXPECT_EQ(-EOPNOTSUPP, rc);
	}
	EXPECT_OK(nest_map(n->container, n->mem.base, iova, PGT_4K,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	EXPECT_OK(nest_unmap(n->container, iova, PGT_4K));
	expect_clean(_metadata, self);
}

/* R45: without its last group, a container has nothing, and starts anew */
TEST_F(nesting, last_group_leaves)
{
	struct nest *n = &self->n;
	__u32 pasid;

	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	close(n->td.fd);
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	EXPECT_ERR(EINVAL, pasid_free(n->container, 0, ~0u));
	EXPECT_ERR(EINVAL, unbind(n, self->pasid));

	ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container));
	ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU,
			     VFIO_TYPE1_NESTING_IOMMU));
	ASSERT_OK(nest_device(n));
	EXPECT_EQ(0, nest_used(n->container));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	/* The number is free again. */
	EXPECT_OK(pasid_alloc(n->container, self->pasid, self->pasid, &pasid));
}

/* R46: the same as another kind of container */
TEST_F(nesting, then_plain)
{
	struct nest *n = &self->n;
	__u64 got;

	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	if (n->caps.features & IOMMU_UAPI_FEAT_BIND_NO_PASID)
		ASSERT_OK(bind_table(n, 0, self->pt.root));
	nest_close(n);
	ASSERT_OK(nest_open(n, variant->nth, 1, VFIO_TYPE1v2_IOMMU));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_ERR(ENOTTY, unbind(n, self->pasid));
}

/* R46: the order in which the files are closed does not matter */
TEST_F_TIMEOUT(nesting, close_order, SLOW)
{
	static const char orders[][4] = { "cgd", "cdg", "gcd", "gdc", "dcg",
					  "dgc" };
	struct nest *n = &self->n;
	unsigned int i, j;
	__u32 pasid;

	nest_close(n);
	for (i = 0; i < ARRAY_LEN(orders); i++) {
		ASSERT_OK(nest_open(n, variant->nth, 1,
				    VFIO_TYPE1_NESTING_IOMMU));
		EXPECT_EQ(0, nest_used(n->container));
		ASSERT_OK(pasid_alloc(n->container, self->pasid, self->pasid,
				      &pasid));
		ASSERT_OK(bind_table(n, pasid, GUEST_BASE));
		for (j = 0; j < 3; j++)
			close(orders[i][j] == 'c' ? n->container :
			      orders[i][j] == 'g' ? n->group : n->td.fd);
	}
}

static void hold_and_work(int nth, __u32 pasid, int tell)
{
	struct nest n;
	struct pgt pt;
	__u64 page;

	if (nest_open(&n, nth, 1, VFIO_TYPE1_NESTING_IOMMU) ||
	    gmem_init(&n.mem, GUEST_BASE, PGT_2M) ||
	    nest_map(n.container, n.mem.base, GUEST_BASE, PGT_2M,
		     VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE) ||
	    pgt_init(&pt, &n.mem))
		_exit(1);
	page = gmem_alloc(&n.mem, PGT_4K, PGT_4K);
	if (pgt_map(&pt, GUEST_VA, page, PGT_4K, PGT_RW) ||
	    pasid_alloc(n.container, pasid, pasid, &pasid) ||
	    bind_table(&n, pasid, pt.root) ||
	    dma_works(&n, pasid, GUEST_VA, page) || write(tell, "x", 1) != 1)
		_exit(2);
	for (;;) {
		dma_write(&n, pasid, GUEST_VA, 1);
		invalidate_pasid(&n, pasid);
		unbind(&n, pasid);
		pasid_free(n.container, pasid, pasid);
		pasid_alloc(n.container, pasid, pasid, &pasid);
		bind_table(&n, pasid, pt.root);
	}
}

/* R46: killed at any moment, and nothing is left */
TEST_F_TIMEOUT(nesting, kill, SLOW)
{
	struct nest *n = &self->n;
	int i, tell[2], status;
	__u32 got;
	pid_t pid;
	char c;

	nest_close(n);
	for (i = 0; i < 12; i++) {
		ASSERT_OK(pipe(tell));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			hold_and_work(variant->nth, self->pasid, tell[1]);
		close(tell[1]);
		ASSERT_EQ(1, read(tell[0], &c, 1));
		close(tell[0]);
		usleep(i * 777);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));

		ASSERT_OK(nest_open(n, variant->nth, 1,
				    VFIO_TYPE1_NESTING_IOMMU));
		EXPECT_EQ(0, nest_used(n->container));
		EXPECT_ERR(ENOENT, unbind(n, self->pasid));
		EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
		EXPECT_OK(pasid_alloc(n->container, self->pasid, self->pasid,
				      &got));
		EXPECT_OK(bind_table(n, self->pasid, GUEST_BASE));
		EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
		nest_close(n);
	}
}

struct storm {
	struct nest *n;
	__u32 pasid;
	__u64 root;
	atomic_int *stop;
	int what;
	int bad;
	atomic_int done;
};

static void *storm_thread(void *data)
{
	static __thread struct inv_arg arg;
	struct storm *s = data;
	__u32 got;
	int rc, i;

	while (!*s->stop) {
		switch (s->what) {
		case 0:
			rc = bind_table(s->n, s->pasid, s->root);
			s->bad += rc && rc != -EEXIST && rc != -ENOENT;
			break;
		case 1:
			rc = unbind(s->n, s->pasid);
			s->bad += rc && rc != -ENOENT;
			break;
		case 2:
			rc = pasid_free(s->n->container, s->pasid, s->pasid);
			s->bad += rc && rc != -EBUSY && rc != -ENOENT;
			break;
		case 3:
			rc = pasid_alloc(s->n->container, s->pasid, s->pasid,
					 &got);
			s->bad += rc && rc != -ENOSPC;
			break;
		case 4:
			inv_init(&arg, 20);
			for (i = 0; i < 20; i++)
				inv_addr(&arg.entry[i], s->n, s->pasid,
					 GUEST_VA, 1);
			rc = do_inv(s->n, &arg);
			s->bad += rc && rc != -ENOENT;
			break;
		default:
			rc = nest_used(s->n->container);
			s->bad += rc < 0;
			rc = 0;
		}
		s->done += !rc;
	}
	return NULL;
}

/* R47 R48: all at once, on one PASID */
TEST_F_TIMEOUT(nesting, storm, SLOW)
{
	struct storm storms[7];
	atomic_int stop = 0;
	pthread_t threads[7];
	__u32 pasid;
	int i;

	for (i = 0; i < 7; i++) {
		storms[i] = (struct storm){
			.n = &self->n,
			.pasid = self->pasid,
			.root = self->pt.root,
			.stop = &stop,
			.what = i == 6 ? 4 : i,
		};
		ASSERT_OK(pthread_create(&threads[i], NULL, storm_thread,
					 &storms[i]));
	}
	sleep(2);
	/* However little of that each of them has had */
	for (i = 0; i < 7; i++) {
		while (!storms[i].done)
			usleep(1000);
	}
	stop = 1;
	for (i = 0; i < 7; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, storms[i].bad);
		EXPECT_LT(0, storms[i].done);
	}
	unbind(&self->n, self->pasid);
	pasid_free(self->n.container, 0, ~0u);
	EXPECT_EQ(0, nest_used(self->n.container));
	ASSERT_OK(pasid_alloc(self->n.container, self->pasid, self->pasid,
			      &pasid));
	expect_clean(_metadata, self);
}

static void *ioctl_thread(void *data)
{
	struct storm *s = data;

	while (!*s->stop) {
		s->bad += nest_info(s->n->container, NULL, NULL, NULL) ==
			  -EPROTO;
		invalidate_pasid(s->n, s->pasid);
		s->done++;
	}
	return NULL;
}

/* The backend goes while another thread is calling it */
TEST_F_TIMEOUT(nesting, release_while_calling, SLOW)
{
	atomic_int stop = 0;
	struct nest *n = &self->n;
	struct storm s = { .n = n, .pasid = self->pasid, .stop = &stop };
	pthread_t threads[2];
	__u32 pasid;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_OK(pthread_create(&threads[i], NULL, ioctl_thread, &s));
	for (i = 0; i < 50; i++) {
		close(n->td.fd);
		ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
		ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER,
				 &n->container));
		ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU,
				     VFIO_TYPE1_NESTING_IOMMU));
		ASSERT_OK(nest_device(n));
		ASSERT_OK(pasid_alloc(n->container, self->pasid, self->pasid,
				      &pasid));
		ASSERT_OK(bind_table(n, pasid, GUEST_BASE));
	}
	while (!s.done)
		usleep(1000);
	stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, s.bad);
	EXPECT_LT(0, s.done);
}

/* R27: no flood in the log, whatever is asked for */
TEST_F_TIMEOUT(nesting, quiet, SLOW)
{
	static struct inv_arg inv;
	struct nest *n = &self->n;
	char line[1024];
	int fd, i, lines = 0;

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		SKIP(return, "can't read the log");
	for (i = 0; i < 500; i++) {
		struct bind_arg arg;

		bind_init(&arg, n, self->pasid, self->pt.root | 8);
		do_bind(n, &arg);
		bind_init(&arg, n, self->pasid, self->pt.root);
		arg.data.version = i + 3;
		do_bind(n, &arg);
		arg.data.version = n->version;
		arg.data.vtd.flags = ~0ULL;
		do_bind(n, &arg);
		arg.data.vtd.flags = 0;
		arg.data.gpgd = 1ULL << 63;
		do_bind(n, &arg);
		inv_init(&inv, 1);
		inv_pasid(&inv.entry[0], n, self->pasid);
		inv.entry[0].granularity = 77;
		do_inv(n, &inv);
		nest_map(n->container, n->mem.base, GUEST_BASE + PGT_1G,
			 PGT_4K, VFIO_DMA_MAP_FLAG_READ);
		nest_unmap(n->container, GUEST_BASE + PGT_1G, PGT_4K);
		bind_table(n, self->pasid + 1, self->pt.root);
		pasid_free(n->container, self->pasid + 1, ~0u);
		nest_info(n->container, NULL, NULL, NULL);
	}
	while (read(fd, line, sizeof(line)) > 0)
		lines++;
	EXPECT_GE(20, lines);
}

/* ---- every allocation fails once ---- */

/* R32: whichever step fails, all is as it was */
TEST_F_TIMEOUT(nesting, fail_nth, SLOW)
{
	struct nest *n = &self->n;
	int fd = fail_nth_open("thread-self");
	int call, nth, rc, left, used, failed;
	struct iommu_uapi_caps needs = needs_host_pasid(&n->caps);
	struct negotiate_arg ask;
	struct bind_arg arg;
	__u32 pasid;

	if (fd < 0)
		SKIP(return, "the kernel can't inject faults");
	/* Where a bind that does not begin leaves it, and one that fails too */
	ASSERT_OK(unbind(n, 0));
	for (call = 0; call < 9; call++) {
		failed = 0;
		/* Unbound by call 3 */
		if (call == 7)
			ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
		for (nth = 1; nth < 400; nth++) {
			ASSERT_OK(fail_nth_arm(fd, nth));
			pasid = 0;
			switch (call) {
			case 0:
				rc = pasid_alloc(n->container, 1, pasid_last(n),
						 &pasid);
				break;
			case 1:
				rc = bind_table(n, self->pasid, self->pt.root);
				break;
			case 2:
				rc = invalidate_pasid(n, self->pasid);
				break;
			case 3:
				rc = unbind(n, self->pasid);
				break;
			case 4:
				rc = bind_table(n, 0, self->pt.root);
				break;
			case 5:
				rc = nest_info(n->container, NULL, NULL, NULL);
				break;
			case 6:
				/* Not allocated, in another page of the table */
				rc = bind_table(n, 700, self->pt.root);
				break;
			case 7:
				bind_init(&arg, n, self->pasid, self->pt.root);
				arg.data.flags = IOMMU_UAPI_BIND_REPLACE;
				rc = do_bind(n, &arg);
				break;
			default:
				negotiate_init(&ask, &needs, 0);
				ask.head.nr_pasids = 1;
				rc = negotiate(n, &ask);
			}
			left = fail_nth_left(fd);
			if (left)
				break;
			if (!rc) {
				/* A failure that it could do without */
				if (call == 0)
					pasid_free(n->container, pasid, pasid);
				if (call == 1)
					unbind(n, self->pasid);
				if (call == 4)
					unbind(n, 0);
				if (call == 6)
					unbind(n, 700);
				if (call == 3)
					bind_table(n, self->pasid,
						   self->pt.root);
				continue;
			}
			failed++;
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT ||
				    rc == -ENOSPC)
				TH_LOG("call %d, step %d: %d", call, nth, rc);
			used = nest_used(n->container);
			EXPECT_EQ(1, used);
			if (call == 1) {
				EXPECT_ERR(ENOENT, unbind(n, self->pasid));
				EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
			} else if (call == 2 || (call == 3 && rc == -EFAULT)) {
				EXPECT_OK(dma_works(n, self->pasid, GUEST_VA,
						    self->page[0]));
			} else if (call == 4) {
				EXPECT_ERR(ENOENT, unbind(n, 0));
			} else if (call == 6) {
				EXPECT_ERR(ENOENT, unbind(n, 700));
				EXPECT_TRUE(dma_faults(n, 700, GUEST_VA));
			} else if (call == 7) {
				/* It allocates nothing: it could not be read. */
				EXPECT_EQ(-EFAULT, rc);
				EXPECT_OK(dma_works(n, self->pasid, GUEST_VA,
						    self->page[0]));
			}
		}
		TH_LOG("call %d: %d steps, %d failed", call, nth - 1, failed);
		/* These allocate, so a sweep without a failure tested nothing. */
		if (call == 0 || call == 1 || call == 4 || call == 5 || call == 6)
			EXPECT_LT(0, failed);
		EXPECT_EQ(0, rc);
		if (call == 0)
			EXPECT_OK(pasid_free(n->container, pasid, pasid));
		if (call == 4 && !rc)
			EXPECT_OK(unbind(n, 0));
		if (call == 4)
			expect_clean(_metadata, self);
		if (call == 6)
			EXPECT_OK(unbind(n, 700));
	}
	close(fd);
}

TEST_HARNESS_MAIN
