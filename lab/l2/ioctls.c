// SPDX-License-Identifier: GPL-2.0
/*
 * Count the VFIO calls of a program. With LD_PRELOAD, and IOCTLS as the name of a file
 * that gets, for each number of VFIO's from VFIO_BASE on: calls, entries of the calls
 * that invalidate, and cycles spent in the kernel, which are instructions under -icount.
 */
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#define NR	64

static struct {
	unsigned long calls, entries, cycles;
} *counts;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("IOCTLS");
	int fd = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;

	if (fd < 0 || ftruncate(fd, NR * sizeof(*counts)))
		return;
	counts = mmap(NULL, NR * sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		counts = NULL;
}

int ioctl(int fd, unsigned long request, ...)
{
	unsigned int nr = _IOC_NR(request) - VFIO_BASE;
	unsigned long before;
	va_list args;
	void *arg;
	int rc;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	before = __rdtsc();
	rc = syscall(SYS_ioctl, fd, request, arg);
	if (!counts || _IOC_TYPE(request) != VFIO_TYPE || nr >= NR)
		return rc;
	counts[nr].calls++;
	counts[nr].cycles += __rdtsc() - before;
	if (request == VFIO_IOMMU_CACHE_INVALIDATE)
		counts[nr].entries += ((struct vfio_iommu_type1_cache_invalidate *)arg)->nr_entries;
	return rc;
}
