// SPDX-License-Identifier: GPL-2.0
/*
 * The layouts that callers were built against. They never change: a failure
 * here means that existing programs break.
 */
#include <linux/iommu.h>
#include <linux/vfio.h>

#define AT(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), \
		       #type "." #member)
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

AT(iommu_uapi_gpasid_bind_data, version, 0);
AT(iommu_uapi_gpasid_bind_data, format, 4);
AT(iommu_uapi_gpasid_bind_data, flags, 8);
AT(iommu_uapi_gpasid_bind_data, gpgd, 16);
AT(iommu_uapi_gpasid_bind_data, hpasid, 24);
AT(iommu_uapi_gpasid_bind_data, gpasid, 32);
AT(iommu_uapi_gpasid_bind_data, addr_width, 40);
AT(iommu_uapi_gpasid_bind_data, archid, 44);
AT(iommu_uapi_gpasid_bind_data, padding, 48);
AT(iommu_uapi_gpasid_bind_data, vtd.flags, 56);
AT(iommu_uapi_gpasid_bind_data, vtd.pat, 64);
AT(iommu_uapi_gpasid_bind_data, vtd.emt, 68);
SIZE(iommu_uapi_gpasid_bind_data, 72);

AT(iommu_uapi_cache_invalidate_info, version, 0);
AT(iommu_uapi_cache_invalidate_info, cache, 4);
AT(iommu_uapi_cache_invalidate_info, granularity, 5);
AT(iommu_uapi_cache_invalidate_info, padding, 6);
AT(iommu_uapi_cache_invalidate_info, pasid_info.flags, 8);
AT(iommu_uapi_cache_invalidate_info, pasid_info.archid, 12);
AT(iommu_uapi_cache_invalidate_info, pasid_info.pasid, 16);
AT(iommu_uapi_cache_invalidate_info, addr_info.flags, 8);
AT(iommu_uapi_cache_invalidate_info, addr_info.archid, 12);
AT(iommu_uapi_cache_invalidate_info, addr_info.pasid, 16);
AT(iommu_uapi_cache_invalidate_info, addr_info.addr, 24);
AT(iommu_uapi_cache_invalidate_info, addr_info.granule_size, 32);
AT(iommu_uapi_cache_invalidate_info, addr_info.nb_granules, 40);
SIZE(iommu_uapi_cache_invalidate_info, 48);

/* Version 1 ends after code. */
AT(iommu_uapi_page_response, code, 16);
AT(iommu_uapi_page_response, cookie, 24);
SIZE(iommu_uapi_page_response, 32);

AT(iommu_uapi_page_request, group_id, 20);
AT(iommu_uapi_page_request, addr, 24);
AT(iommu_uapi_page_request, cookie, 32);
SIZE(iommu_uapi_page_request, 40);

/* In one array with page requests: what tells them apart has the same place. */
AT(iommu_uapi_page_request, flags, 4);
AT(iommu_uapi_dma_fault, flags, 4);
AT(iommu_uapi_dma_fault, reason, 16);
AT(iommu_uapi_dma_fault, group_id, 20);
AT(iommu_uapi_dma_fault, addr, 24);
AT(iommu_uapi_dma_fault, lost, 32);
SIZE(iommu_uapi_dma_fault, 40);

AT(iommu_uapi_caps, features, 8);
AT(iommu_uapi_caps, inv_iotlb, 40);
AT(iommu_uapi_caps, gpa_width, 56);
/* Version 1 ends after reserved. */
AT(iommu_uapi_caps, reserved, 60);
AT(iommu_uapi_caps, guest_pasid_bits, 64);
AT(iommu_uapi_caps, max_bindings, 68);
AT(iommu_uapi_caps, page_sizes, 72);
AT(iommu_uapi_caps, errata, 80);
SIZE(iommu_uapi_caps, 88);

SIZE(vfio_iommu_type1_pasid_request, 24);
SIZE(vfio_iommu_type1_bind_gpasid, 16);
AT(vfio_iommu_type1_bind_gpasid, data, 16);
SIZE(vfio_iommu_type1_unbind_gpasid, 16);
SIZE(vfio_iommu_type1_cache_invalidate, 24);
AT(vfio_iommu_type1_cache_invalidate, data, 24);
SIZE(vfio_iommu_type1_info_cap_nesting, 24);
SIZE(vfio_iommu_type1_info_cap_faults, 24);
AT(vfio_iommu_type1_info_cap_faults, lost, 20);
SIZE(vfio_iommu_type1_info_cap_group, 16);
AT(vfio_iommu_type1_info_cap_group, caps, 16);
SIZE(vfio_iommu_type1_fault_fd, 16);
AT(vfio_iommu_type1_fault_fd, timeout_ms, 12);
SIZE(vfio_iommu_type1_negotiate, 16);
AT(vfio_iommu_type1_negotiate, data, 16);

/* Numbers that are compiled into callers. */
_Static_assert(VFIO_TYPE1_IOMMU_UAPI == 0x10000, "extension");
_Static_assert(VFIO_IOMMU_TYPE1_INFO_CAP_NESTING == 0x1000, "capability");
_Static_assert(VFIO_IOMMU_PASID_REQUEST == VFIO_DEVICE_GET_INFO + 15, "request");
_Static_assert(VFIO_IOMMU_CACHE_INVALIDATE == VFIO_IOMMU_PASID_REQUEST + 3, "invalidate");
_Static_assert(VFIO_IOMMU_TYPE1_INFO_CAP_FAULTS == 0x1001, "capability");
_Static_assert(VFIO_IOMMU_TYPE1_INFO_CAP_GROUP == 0x1002, "capability");
_Static_assert(VFIO_FAULT_FD_TIMEOUT == 1 && VFIO_FAULT_FD_KEEP == 2 &&
	       VFIO_FAULT_FD_DMA_FAULTS == 4, "faults");
_Static_assert(VFIO_NEGOTIATE_COMMIT == 1 && VFIO_NEGOTIATE_DEVICES_DIFFER == 2,
	       "negotiate");
_Static_assert(VFIO_IOMMU_FAULT_FD == VFIO_IOMMU_PASID_REQUEST + 4, "faults");
_Static_assert(VFIO_IOMMU_NEGOTIATE == VFIO_IOMMU_PASID_REQUEST + 5, "negotiate");
_Static_assert(IOMMU_UAPI_VERSION_1 == 1 && IOMMU_UAPI_VERSION_2 == 2, "versions");
_Static_assert(IOMMU_UAPI_FORMAT_INTEL_VTD == 1 &&
	       IOMMU_UAPI_FORMAT_SECOND_LEVEL == 2, "formats");
_Static_assert(IOMMU_UAPI_BIND_GPASID_VAL == 1 && IOMMU_UAPI_BIND_PAGE_REQUEST == 2 &&
	       IOMMU_UAPI_BIND_REPLACE == 4 && IOMMU_UAPI_BIND_ARCHID == 8, "bind");
_Static_assert(IOMMU_UAPI_REQ_PASID_VAL == 1 && IOMMU_UAPI_REQ_LAST == 2 &&
	       IOMMU_UAPI_REQ_DMA_FAULT == 4, "records");
_Static_assert(IOMMU_UAPI_CACHE_IOTLB == 1 && IOMMU_UAPI_CACHE_DEV_IOTLB == 2 &&
	       IOMMU_UAPI_CACHE_PASID == 4, "caches");
_Static_assert(IOMMU_UAPI_GRANU_DOMAIN == 0 && IOMMU_UAPI_GRANU_PASID == 1 &&
	       IOMMU_UAPI_GRANU_ADDR == 2, "granularities");
_Static_assert(IOMMU_UAPI_RESP_SUCCESS == 0 && IOMMU_UAPI_RESP_INVALID == 1 &&
	       IOMMU_UAPI_RESP_FAILURE == 2, "codes");
