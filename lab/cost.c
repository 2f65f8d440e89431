// SPDX-License-Identifier: GPL-2.0
/*
 * Cost of an invalidation in guest instructions. Run under `lab/run --icount`,
 * where the clock counts instructions. Only ratios within one boot are tested.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommu.h>
#include <linux/vfio.h>

#include "icount.h"
#include "kselftest.h"
#include "pgtable.h"
#include "testdev.h"

#define IOVA	0x100000000ULL
#define MEMORY	(4 * PGT_2M)
#define RUNS	32

/* Beyond the last of a container's commands. */
#define NO_COMMAND	(VFIO_IOMMU_NEGOTIATE + 1)

static struct {
	struct vfio_iommu_type1_cache_invalidate head;
	struct iommu_uapi_cache_invalidate_info entry[VFIO_CACHE_INVALIDATE_MAX];
} call;

static int container;
static struct gmem mem;

/* @n entries of one page each, @step pages apart. */
static long invalidate(unsigned int n, unsigned int step)
{
	unsigned int i, run;
	long start;

	call.head.argsz = sizeof(call.head) + n * sizeof(call.entry[0]);
	call.head.nr_entries = n;
	call.head.entry_size = sizeof(call.entry[0]);
	for (i = 0; i < n; i++)
		call.entry[i] = (struct iommu_uapi_cache_invalidate_info){
			.version = IOMMU_UAPI_VERSION_1,
			.cache = IOMMU_UAPI_CACHE_IOTLB,
			.granularity = IOMMU_UAPI_GRANU_ADDR,
			.addr_info = {
				.flags = IOMMU_UAPI_INV_ADDR_PASID,
				.addr = IOVA + (__u64)i * step * PGT_4K,
				.granule_size = PGT_4K,
				.nb_granules = 1,
			},
		};
	start = now();
	for (run = 0; run < RUNS; run++) {
		if (ioctl(container, VFIO_IOMMU_CACHE_INVALIDATE, &call) ||
		    call.head.handled != n)
			ksft_exit_fail_msg("invalidate %u: %s, %u handled\n", n,
					   strerror(errno), call.head.handled);
	}
	return (now() - start) / RUNS;
}

static void launch(void)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
	};
	struct {
		struct vfio_iommu_type1_bind_gpasid head;
		struct iommu_uapi_gpasid_bind_data data;
	} bind = {
		.head = { .argsz = sizeof(bind) },
		.data = {
			.version = IOMMU_UAPI_VERSION_1,
			.format = IOMMU_UAPI_FORMAT_INTEL_VTD,
			.addr_width = 48,
		},
	};
	char path[32];
	struct pgt pt;
	int group;

	group = testdev_prepare();
	if (group < 0)
		ksft_exit_skip("no test device: %s\n", strerror(-group));
	container = open("/dev/vfio/vfio", O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	bind.head.group_id = group;
	group = open(path, O_RDWR);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU))
		ksft_exit_skip("no nesting container: %s\n", strerror(errno));
	if (gmem_init(&mem, IOVA, MEMORY) || pgt_init(&pt, &mem))
		ksft_exit_fail_msg("no memory\n");
	map.vaddr = (__u64)(uintptr_t)mem.base;
	map.iova = mem.gpa;
	map.size = mem.size;
	bind.data.gpgd = pt.root;
	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) ||
	    ioctl(container, VFIO_IOMMU_BIND_GPASID, &bind))
		ksft_exit_fail_msg("launch: %s\n", strerror(errno));
}

int main(void)
{
	long one, some, many, most, together, start, nothing;
	int i;

	ksft_print_header();
	ksft_set_plan(4);
	launch();

	if (ioctl(container, NO_COMMAND, NULL) != -1 || errno != ENOTTY)
		ksft_exit_fail_msg("command %#x exists\n", NO_COMMAND);
	start = now();
	for (i = 0; i < RUNS; i++)
		ioctl(container, NO_COMMAND, NULL);
	nothing = (now() - start) / RUNS;

	/* Warm up. */
	invalidate(VFIO_CACHE_INVALIDATE_MAX, 2);
	one = invalidate(1, 2);
	some = invalidate(16, 2);
	many = invalidate(64, 2);
	most = invalidate(256, 2);
	together = invalidate(64, 1);
	ksft_print_msg("instructions: unknown ioctl %ld, 1 page %ld, 16 pages %ld, 64 pages %ld, 256 pages %ld; 64 contiguous pages %ld\n",
		       nothing, one, some, many, most, together);
	ksft_print_msg("per page of 64: %ld scattered, %ld contiguous\n",
		       many / 64, together / 64);

	/* Linear: four times the entries, four times the work. */
	ksft_test_result(most < many * 5 && many < some * 5,
			 "the cost is linear in entries\n");
	ksft_test_result(many / 64 * 2 < one,
			 "an entry of 64 costs less than half of a single one\n");
	ksft_test_result(together * 10 < many * 9,
			 "contiguous pages share a descriptor\n");
	ksft_test_result(one < nothing * 6,
			 "a single page costs less than six unknown ioctls\n");
	ksft_finished();
}
