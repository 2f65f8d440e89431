// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's own user of VFIO: it maps memory for the device in a plain container, which
 * the guest's kernel does in a first-level table, and the host's IOMMU walks.
 */
#include "device.h"

static int bad;

static void check(const char *what, int ok)
{
	printf("vfio: %s: %s\n", what, ok ? "ok" : "not ok");
	bad |= !ok;
}

int main(void)
{
	__u64 end = GUEST_BASE + GUEST_SIZE;
	struct nest n;

	check("the device is opened", !nest_open(&n, 0, 1, VFIO_TYPE1v2_IOMMU));
	check("memory is mapped", !guest_memory(&n, GUEST_BASE));
	check("the device uses the first page",
	      !dma_works(&n, 0, GUEST_BASE, GUEST_BASE));
	check("the device uses the last page",
	      !dma_works(&n, 0, end - 4096, end - 4096));
	check("a fault behind it", dma_faults(&n, 0, end));
	check("memory is unmapped",
	      nest_unmap(n.container, GUEST_BASE, GUEST_SIZE) == 0);
	check("a fault after that", dma_faults(&n, 0, GUEST_BASE));
	nest_close(&n);
	return bad;
}
