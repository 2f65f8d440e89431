/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests that use the kselftest harness have in common.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_HARNESS_H
#define _SELFTESTS_IOMMU_UAPI_HARNESS_H

#include "../../kselftest_harness.h"
#include "vfio_nesting_utils.h"

#define ARRAY_LEN(a)		(sizeof(a) / sizeof((a)[0]))

#define EXPECT_ERR(err, op)	EXPECT_EQ(-(err), (op))
#define ASSERT_OK(op)		ASSERT_EQ(0, (op))
#define EXPECT_OK(op)		EXPECT_EQ(0, (op))

static inline int nest_extension(void)
{
	int fd, rc;

	if (access("/dev/vfio/vfio", F_OK) || access("/sys/module/vfio", F_OK))
		rc = system("modprobe vfio-pci >/dev/null 2>&1");
	fd = open("/dev/vfio/vfio", O_RDWR);
	if (fd < 0)
		return -errno;
	rc = xioctl_num(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU_UAPI);
	close(fd);
	return rc;
}

/* Skip on a kernel that has nothing to be tested. */
static inline int need_extension(struct __test_metadata *_metadata)
{
	if (nest_extension() <= 0)
		SKIP(return 0, "the kernel does not know the interface");
	return 1;
}

/*
 * Open, or skip where this machine has nothing to test with; all but what is
 * missing is a failure. Returns 0 if the test can't go on.
 */
static inline int test_open(struct __test_metadata *_metadata, struct nest *n,
			    int nth, int size, int type)
{
	int rc = nest_open(n, nth, size, type);

	if (rc == -ENODEV)
		SKIP(return 0, "no device 1af4:10f0 (number %d, %d per group)",
		     nth, size);
	if (rc == -EOPNOTSUPP)
		SKIP(return 0, "the IOMMU can't nest");
	EXPECT_EQ(0, rc);
	return !rc;
}

#endif /* _SELFTESTS_IOMMU_UAPI_HARNESS_H */
