/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest-owned I/O page tables: what a carrier does not see
 *
 *   iommu-uapi.c		versions, sizes, copy, capabilities
 *   iommu-uapi-bind.c		PASIDs, bindings
 *   iommu-uapi-inv.c		invalidations
 *   iommu-uapi-fault.c		page requests and DMA faults
 */
#ifndef __IOMMU_UAPI_H
#define __IOMMU_UAPI_H

#include <linux/iommu-uapi.h>
#include <linux/sizes.h>

#include "iommu-priv.h"

/* PCI Express gives a PASID 20 bits. */
#define PASID_MAX_BITS		20
/* Guest tables are walked in pages of this size. */
#define TABLE_PAGE_SIZE		SZ_4K
/* Bits of address that any guest table translates. */
#define TABLE_MIN_WIDTH		48

/**
 * struct iommu_uapi_binding - guest page table that is bound
 * @handle: with the nested domain that was made of it
 * @dev: the device
 * @pasid: the PASID
 * @format: IOMMU_UAPI_FORMAT_*
 * @addr_width: width of the addresses of the table. Read by the driver's thread
 *	for page requests while a replace changes it
 * @archid: the guest's domain id, if @has_archid
 * @has_archid: whether the bind gave one
 * @privileged: whether privileged requests are allowed; read like @addr_width
 * @faults: where page requests go, or NULL
 */
struct iommu_uapi_binding {
	struct iommu_attach_handle handle;
	struct device *dev;
	ioasid_t pasid;
	u32 format;
	u32 addr_width;
	u32 archid;
	bool has_archid;
	bool privileged;
	struct iommu_uapi_faults *faults;
};

/* NULL if the IOMMU of @dev offers nothing, or @dev has none. */
static inline const struct iommu_uapi_ops *dev_uapi_ops(struct device *dev)
{
	if (!dev->iommu || !dev->iommu->iommu_dev)
		return NULL;
	return dev_iommu_ops(dev)->uapi;
}

/* The IOMMU takes an address only if it is the sign extension of its low bits. */
static inline bool addr_canonical(u64 addr, u32 width)
{
	return sign_extend64(addr, width - 1) == (s64)addr;
}

/*
 * Do two invalidations of ranges differ only in the first address and the number
 * of granules? Then the other fields need not be checked again. Inline, since the
 * core and the driver call it for each entry of an array.
 */
static inline bool
iommu_uapi_inv_alike(const struct iommu_uapi_cache_invalidate_info *a,
		     const struct iommu_uapi_cache_invalidate_info *b)
{
	/* What is in front of the address: a few words, and no gaps */
	return a->granularity == IOMMU_UAPI_GRANU_ADDR &&
	       !memcmp(a, b, offsetof(typeof(*a), addr_info.addr)) &&
	       a->addr_info.granule_size == b->addr_info.granule_size;
}

void iommu_uapi_faults_start(struct iommu_uapi_binding *binding,
			     struct iommu_domain *nested,
			     struct iommu_uapi_faults *faults);
void iommu_uapi_faults_stop(struct iommu_uapi_binding *binding);

#endif /* __IOMMU_UAPI_H */
