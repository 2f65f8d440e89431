// SPDX-License-Identifier: GPL-2.0
/*
 * What can be asked of a container, and containers that did not ask to nest.
 */
#include "harness.h"

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

TEST_HARNESS_MAIN
