// SPDX-License-Identifier: GPL-2.0
/*
 * A program of the time of the header that it is built with, which is one of
 * the frozen ones beside it. It goes through a launch in the version that it and
 * the kernel have in common; called with "insist", in its own.
 */
#include <stddef.h>

#include "../../../kselftest.h"
#include "../vfio_nesting_utils.h"

static void need(int rc, const char *what)
{
	ksft_test_result(!rc, "version %u: %s%s%s\n", IOMMU_UAPI_VERSION, what,
			 rc ? ": " : "", rc ? strerror(-rc) : "");
	if (rc)
		ksft_finished();
}

int main(int argc, char **argv)
{
	int insist = argc > 1 && !strcmp(argv[1], "insist");
	int kernel, rc;
	__u64 gpa, val = 0x1badb002, got = 0;
	struct iommu_uapi_caps needs;
	struct negotiate_arg arg;
	struct nest n;
	struct pgt pt;
	__u32 pasid;

	ksft_print_header();
	rc = nest_open(&n, 0, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc)
		ksft_exit_skip("no nesting container: %s\n", strerror(-rc));
	kernel = xioctl_num(n.container, VFIO_CHECK_EXTENSION,
			    VFIO_TYPE1_IOMMU_UAPI);
	ksft_print_msg("the kernel has version %d, this program %u\n", kernel,
		       IOMMU_UAPI_VERSION);
	if (insist)
		n.version = IOMMU_UAPI_VERSION;

	if (gmem_init(&n.mem, GUEST_BASE, GUEST_SIZE) || pgt_init(&pt, &n.mem))
		ksft_exit_fail_msg("no memory\n");
	gpa = gmem_alloc(&n.mem, PGT_4K, PGT_4K);
	pgt_map(&pt, GUEST_VA, gpa, PGT_4K, PGT_RW);
	memcpy(gmem_ptr(&n.mem, gpa), &val, sizeof(val));

	if (insist && kernel < IOMMU_UAPI_VERSION) {
		ksft_set_plan(3);
		need(nest_map(n.container, n.mem.base, GUEST_BASE, GUEST_SIZE,
			      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE),
		     "memory");
		rc = bind_table(&n, 0, pt.root);
		ksft_test_result(rc == -EOPNOTSUPP, "bind is refused: %s\n",
				 strerror(-rc));
		rc = invalidate_pasid(&n, 0);
		ksft_test_result(rc == -EOPNOTSUPP,
				 "invalidate is refused: %s\n", strerror(-rc));
		ksft_finished();
	}

	ksft_set_plan(9);
	needs = (struct iommu_uapi_caps){
		.version = n.version,
		.features = IOMMU_UAPI_FEAT_BIND_PASID |
			    IOMMU_UAPI_FEAT_HOST_PASID |
			    IOMMU_UAPI_FEAT_INVALIDATE,
		.formats = 1 << IOMMU_UAPI_FORMAT_INTEL_VTD,
		.inv_iotlb = 1 << IOMMU_UAPI_GRANU_ADDR,
		.addr_width = 48,
		.gpa_width = n.caps.gpa_width,
		.pasid_bits = n.caps.pasid_bits,
	};
	negotiate_init(&arg, &needs, VFIO_NEGOTIATE_COMMIT);
	arg.head.nr_pasids = 1;
	rc = negotiate(&n, &arg);
	need(rc ? rc : nest_info(n.container, &n.caps, NULL, NULL), "contract");
	need(nest_map(n.container, n.mem.base, GUEST_BASE, GUEST_SIZE,
		      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE),
	     "memory");
	need(pasid_alloc(n.container, 1, pasid_last(&n), &pasid), "PASID");
	need(bind_table(&n, pasid, pt.root), "bind");
	rc = testdev_read(&n.td, TESTDEV_PASID(pasid), GUEST_VA, &got,
			  sizeof(got));
	need(rc == TESTDEV_DONE && got == val ? 0 : -EIO, "DMA");
	pgt_unmap(&pt, GUEST_VA);
	need(invalidate_addr(&n, pasid, GUEST_VA, 1), "invalidate");
	rc = testdev_read(&n.td, TESTDEV_PASID(pasid), GUEST_VA, &got,
			  sizeof(got));
	need(rc == TESTDEV_FAULT ? 0 : -EIO, "no DMA afterwards");
	need(unbind(&n, pasid), "unbind");
	need(pasid_free(n.container, pasid, pasid), "free");
	ksft_finished();
}
