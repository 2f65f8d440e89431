/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests that use the kselftest harness have in common.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_HARNESS_H
#define _SELFTESTS_IOMMU_UAPI_HARNESS_H

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/userfaultfd.h>

#include "../../kselftest_harness.h"
#include "vfio_nesting_utils.h"

#define ARRAY_LEN(a)		(sizeof(a) / sizeof((a)[0]))

#define EXPECT_ERR(err, op)	EXPECT_EQ(-(err), (op))
#define ASSERT_OK(op)		ASSERT_EQ(0, (op))
#define EXPECT_OK(op)		EXPECT_EQ(0, (op))

/* Seconds, for a machine that is emulated and has other things to do. */
#define SLOW			1800

/*
 * An emulated machine may be very slow, and its clock may run faster than the
 * rest of it. What hangs is ended after this many seconds.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	SLOW

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

/* Seconds */
static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* What the environment says of a test, such as where its random numbers start */
static inline __u64 setting(const char *name, __u64 value)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : value;
}

/* ---- a device without an IOMMU ---- */

#define MDEV_PARENT	"/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create"
#define MDEV_UUID	"8c4a1d9e-5b0f-4f7a-9d55-2f6f0a1c7e10"
#define MDEV		"/sys/bus/mdev/devices/" MDEV_UUID

/* The kernel's sample of a device that has no IOMMU; returns its group. */
static inline int mdev_create(void)
{
	char path[PATH_MAX];
	ssize_t len;

	if (access(MDEV_PARENT, F_OK) &&
	    system("modprobe mtty >/dev/null 2>&1"))
		return -ENODEV;
	if (access(MDEV, F_OK) && testdev_sysfs_write(MDEV_PARENT, MDEV_UUID))
		return -ENODEV;
	len = readlink(MDEV "/iommu_group", path, sizeof(path) - 1);
	if (len < 0)
		return -errno;
	path[len] = 0;
	return atoi(strrchr(path, '/') + 1);
}

/* ---- every allocation fails once ---- */

/* @who: the directory below /proc of the thread whose allocations shall fail */
static inline int fail_nth_open(const char *who)
{
	static const char * const set[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[64];
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(set); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", set[i][0]);
		testdev_sysfs_write(path, set[i][1]);
	}
	snprintf(path, sizeof(path), "/proc/%s/fail-nth", who);
	return open(path, O_RDWR);
}

static inline int fail_nth_arm(int fd, int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	return pwrite(fd, text, len, 0) == len ? 0 : -errno;
}

/* Whether the fault was not reached: the call needs less than that. */
static inline int fail_nth_left(int fd)
{
	char text[16] = {};

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return 1;
	return fail_nth_arm(fd, 0) || atoi(text) != 0;
}

/* A page that can be read, and a write to which waits */
struct guarded {
	int uffd;
	void *page;
};

static inline int guard_supported(void)
{
	return !access("/proc/sys/vm/unprivileged_userfaultfd", F_OK);
}

static inline int guard_open(struct guarded *g)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct uffdio_register reg = {
		.range.len = PGT_4K,
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int rc;

	g->uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (g->uffd < 0)
		return -errno;
	g->page = mmap(NULL, PGT_4K, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (g->page == MAP_FAILED)
		return -errno;
	reg.range.start = (uintptr_t)g->page;
	rc = xioctl(g->uffd, UFFDIO_API, &api);
	return rc ? rc : xioctl(g->uffd, UFFDIO_REGISTER, &reg);
}

static inline int guard(struct guarded *g, bool on)
{
	struct uffdio_writeprotect protect = {
		.range.start = (uintptr_t)g->page,
		.range.len = PGT_4K,
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return xioctl(g->uffd, UFFDIO_WRITEPROTECT, &protect);
}

/* Returns when somebody waits to write. */
static inline int guard_wait(struct guarded *g)
{
	struct uffd_msg msg;

	return read(g->uffd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

#endif /* _SELFTESTS_IOMMU_UAPI_HARNESS_H */
