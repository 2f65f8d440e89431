/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* Frozen: what programs of version 2 were built with. Never change it. */
#ifndef _UAPI_IOMMU_H
#define _UAPI_IOMMU_H

#include <linux/types.h>

#define IOMMU_UAPI_VERSION_1	1
#define IOMMU_UAPI_VERSION_2	2
#define IOMMU_UAPI_VERSION	IOMMU_UAPI_VERSION_2

struct iommu_uapi_gpasid_bind_vtd {
#define IOMMU_UAPI_VTD_SRE	(1 << 0)
#define IOMMU_UAPI_VTD_EAFE	(1 << 1)
#define IOMMU_UAPI_VTD_PCD	(1 << 2)
#define IOMMU_UAPI_VTD_PWT	(1 << 3)
#define IOMMU_UAPI_VTD_EMTE	(1 << 4)
#define IOMMU_UAPI_VTD_CD	(1 << 5)
#define IOMMU_UAPI_VTD_WPE	(1 << 6)
	__aligned_u64 flags;
	__u32 pat;
	__u32 emt;
};

#define IOMMU_UAPI_FORMAT_INTEL_VTD	1
#define IOMMU_UAPI_FORMAT_SECOND_LEVEL	2

struct iommu_uapi_gpasid_bind_data {
	__u32 version;
	__u32 format;
#define IOMMU_UAPI_BIND_GPASID_VAL	(1 << 0)
#define IOMMU_UAPI_BIND_PAGE_REQUEST	(1 << 1)
#define IOMMU_UAPI_BIND_REPLACE		(1 << 2)
#define IOMMU_UAPI_BIND_ARCHID		(1 << 3)
	__aligned_u64 flags;
	__aligned_u64 gpgd;
	__aligned_u64 hpasid;
	__aligned_u64 gpasid;
	__u32 addr_width;
	__u32 archid;
	__u8 padding[8];
	union {
		struct iommu_uapi_gpasid_bind_vtd vtd;
	};
};

struct iommu_uapi_inv_addr_info {
#define IOMMU_UAPI_INV_ADDR_PASID	(1 << 0)
#define IOMMU_UAPI_INV_ADDR_ARCHID	(1 << 1)
#define IOMMU_UAPI_INV_ADDR_LEAF	(1 << 2)
#define IOMMU_UAPI_INV_ADDR_GROUP	(1 << 3)
	__u32 flags;
	__u32 archid;
	__aligned_u64 pasid;
	__aligned_u64 addr;
	__aligned_u64 granule_size;
	__aligned_u64 nb_granules;
};

struct iommu_uapi_inv_pasid_info {
#define IOMMU_UAPI_INV_PASID_PASID	(1 << 0)
#define IOMMU_UAPI_INV_PASID_ARCHID	(1 << 1)
#define IOMMU_UAPI_INV_PASID_GROUP	(1 << 2)
	__u32 flags;
	__u32 archid;
	__aligned_u64 pasid;
};

struct iommu_uapi_cache_invalidate_info {
	__u32 version;
#define IOMMU_UAPI_CACHE_IOTLB		(1 << 0)
#define IOMMU_UAPI_CACHE_DEV_IOTLB	(1 << 1)
#define IOMMU_UAPI_CACHE_PASID		(1 << 2)
	__u8 cache;
#define IOMMU_UAPI_GRANU_DOMAIN		0
#define IOMMU_UAPI_GRANU_PASID		1
#define IOMMU_UAPI_GRANU_ADDR		2
	__u8 granularity;
	__u8 padding[2];
	union {
		struct iommu_uapi_inv_pasid_info pasid_info;
		struct iommu_uapi_inv_addr_info addr_info;
	};
};

#define IOMMU_UAPI_MAX_GROUPS		512
#define IOMMU_UAPI_MAX_GROUP_REQUESTS	64
#define IOMMU_UAPI_MAX_DMA_FAULTS	256

struct iommu_uapi_page_request {
	__u32 version;
#define IOMMU_UAPI_REQ_PASID_VAL	(1 << 0)
#define IOMMU_UAPI_REQ_LAST		(1 << 1)
#define IOMMU_UAPI_REQ_DMA_FAULT	(1 << 2)
	__u32 flags;
#define IOMMU_UAPI_PERM_READ		(1 << 0)
#define IOMMU_UAPI_PERM_WRITE		(1 << 1)
#define IOMMU_UAPI_PERM_EXEC		(1 << 2)
#define IOMMU_UAPI_PERM_PRIV		(1 << 3)
	__u32 perm;
	__u32 pasid;
	__u32 grpid;
	__u32 group_id;
	__aligned_u64 addr;
	__aligned_u64 cookie;
};

struct iommu_uapi_dma_fault {
	__u32 version;
	__u32 flags;
	__u32 perm;
	__u32 pasid;
	__u32 reason;
	__u32 group_id;
	__aligned_u64 addr;
	__aligned_u64 lost;
};

struct iommu_uapi_page_response {
	__u32 version;
#define IOMMU_UAPI_RESP_PASID_VAL	(1 << 0)
#define IOMMU_UAPI_RESP_COOKIE_VAL	(1 << 1)
	__u32 flags;
	__u32 pasid;
	__u32 grpid;
#define IOMMU_UAPI_RESP_SUCCESS		0
#define IOMMU_UAPI_RESP_INVALID		1
#define IOMMU_UAPI_RESP_FAILURE		2
	__u32 code;
	__u32 reserved;
	__aligned_u64 cookie;
};

struct iommu_uapi_caps {
	__u32 version;
	__u32 addr_width;
#define IOMMU_UAPI_FEAT_BIND_NO_PASID	(1 << 0)
#define IOMMU_UAPI_FEAT_BIND_PASID	(1 << 1)
#define IOMMU_UAPI_FEAT_HOST_PASID	(1 << 2)
#define IOMMU_UAPI_FEAT_INVALIDATE	(1 << 3)
#define IOMMU_UAPI_FEAT_RO_MAP		(1 << 4)
#define IOMMU_UAPI_FEAT_PAGE_REQUEST	(1 << 5)
#define IOMMU_UAPI_FEAT_GUEST_PASID	(1 << 6)
#define IOMMU_UAPI_FEAT_INV_SCOPE	(1 << 7)
#define IOMMU_UAPI_FEAT_DMA_FAULT	(1 << 8)
#define IOMMU_UAPI_FEAT_COHERENT	(1 << 9)
#define IOMMU_UAPI_FEAT_PASID_PRIV	(1 << 10)
#define IOMMU_UAPI_FEAT_PASID_EXEC	(1 << 11)
	__aligned_u64 features;
	__aligned_u64 formats;
	__aligned_u64 bind_flags;
	__aligned_u64 vtd_flags;
	__u32 inv_iotlb;
	__u32 inv_dev_iotlb;
	__u32 inv_pasid;
	__u32 pasid_bits;
	__u32 gpa_width;
	__u32 reserved;
	__u32 guest_pasid_bits;
	__u32 max_bindings;
	__aligned_u64 page_sizes;
#define IOMMU_UAPI_ERRATUM_VTD_772415	(1 << 0)
	__aligned_u64 errata;
};

#endif
