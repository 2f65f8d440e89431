/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest-owned I/O page tables: between a carrier (VFIO), the IOMMU core and
 * the drivers. The structures themselves are in uapi/linux/iommu.h.
 */
#ifndef __LINUX_IOMMU_UAPI_H
#define __LINUX_IOMMU_UAPI_H

#include <linux/iommu.h>
#include <uapi/linux/iommu.h>

/**
 * enum iommu_uapi_type - row of the size table
 * @IOMMU_UAPI_BIND_GPASID: struct iommu_uapi_gpasid_bind_data
 * @IOMMU_UAPI_CACHE_INVALIDATE: struct iommu_uapi_cache_invalidate_info
 * @IOMMU_UAPI_PAGE_RESPONSE: struct iommu_uapi_page_response
 * @IOMMU_UAPI_PAGE_REQUEST: struct iommu_uapi_page_request
 * @IOMMU_UAPI_CAPS: struct iommu_uapi_caps
 * @IOMMU_UAPI_NR_TYPES: number of rows
 */
enum iommu_uapi_type {
	IOMMU_UAPI_BIND_GPASID,
	IOMMU_UAPI_CACHE_INVALIDATE,
	IOMMU_UAPI_PAGE_RESPONSE,
	IOMMU_UAPI_PAGE_REQUEST,
	IOMMU_UAPI_CAPS,
	IOMMU_UAPI_NR_TYPES,
};

/**
 * struct iommu_uapi_ops - what a driver offers to guests with own page tables
 * @get_caps: fill in @caps for @dev below @s2. Everything but the version,
 *	which is the core's. -EOPNOTSUPP where the IOMMU of @dev can't nest.
 *	Changes no state.
 * @domain_alloc_nested: check @data, whose generic fields the core has
 *	checked, against the hardware, and make a nested domain on top of @s2.
 *	It is attached like any other domain.
 * @cache_invalidate: invalidate @nr entries, whose generic fields the core has
 *	checked, for a domain that @domain_alloc_nested made. Check each entry
 *	before it takes effect; tell in @handled how many, from the first,
 *	took effect. Does not allocate, does not sleep on a lock that is held
 *	while memory is mapped.
 * @sync_page_requests: wait until each page request of @dev that is on its way
 *	to a handler has arrived there. Needed where @get_caps ever reports
 *	IOMMU_UAPI_FEAT_PAGE_REQUEST.
 */
struct iommu_uapi_ops {
	int (*get_caps)(struct device *dev, struct iommu_domain *s2,
			struct iommu_uapi_caps *caps);
	struct iommu_domain *
	(*domain_alloc_nested)(struct device *dev, struct iommu_domain *s2,
			       const struct iommu_uapi_gpasid_bind_data *data);
	int (*cache_invalidate)(struct iommu_domain *nested,
				const struct iommu_uapi_cache_invalidate_info *info,
				u32 nr, u32 *handled);
	void (*sync_page_requests)(struct device *dev);
};

struct iommu_uapi_faults;

/**
 * struct iommu_uapi_binding - guest page table that is bound
 * @handle: with the nested domain that was made of it
 * @dev: the device
 * @s2: the second level
 * @pasid: the PASID
 * @faults: where page requests go, or NULL
 */
struct iommu_uapi_binding {
	struct iommu_attach_handle handle;
	struct device *dev;
	struct iommu_domain *s2;
	ioasid_t pasid;
	struct iommu_uapi_faults *faults;
};

int iommu_uapi_get_size(enum iommu_uapi_type type, u32 version);
int iommu_uapi_copy_from_user(enum iommu_uapi_type type, void *dst,
			      size_t dst_size, const void __user *src,
			      size_t avail);

struct iommu_domain *iommu_uapi_parent_alloc(struct device *dev);
int iommu_uapi_get_caps(struct device *dev, struct iommu_domain *s2,
			struct iommu_uapi_caps *caps);
void iommu_uapi_caps_intersect(struct iommu_uapi_caps *caps,
			       const struct iommu_uapi_caps *other);
int iommu_uapi_caps_missing(const struct iommu_uapi_caps *needs,
			    const struct iommu_uapi_caps *have,
			    struct iommu_uapi_caps *missing);
bool iommu_uapi_caps_map_ro(const struct iommu_uapi_caps *caps);
bool iommu_uapi_caps_page_requests(const struct iommu_uapi_caps *caps);

int iommu_uapi_pasid_alloc(const struct iommu_uapi_caps *caps, u32 first,
			   u32 last, ioasid_t *pasid);
void iommu_uapi_pasid_free(ioasid_t pasid);

int iommu_uapi_bind_check(const struct iommu_uapi_gpasid_bind_data *data,
			  const struct iommu_uapi_caps *caps, ioasid_t *pasid);
struct iommu_uapi_binding *
iommu_uapi_bind(struct device *dev, struct iommu_domain *s2, ioasid_t pasid,
		const struct iommu_uapi_gpasid_bind_data *data,
		struct iommu_uapi_faults *faults);
int iommu_uapi_unbind(struct iommu_uapi_binding *binding);

int iommu_uapi_invalidate_check(const struct iommu_uapi_cache_invalidate_info *info,
				const struct iommu_uapi_caps *caps,
				ioasid_t *pasid);
int iommu_uapi_invalidate(struct iommu_uapi_binding *binding,
			  const struct iommu_uapi_cache_invalidate_info *info,
			  u32 nr, u32 *handled);

struct iommu_uapi_faults *iommu_uapi_faults_create(u32 version, int *fd);
void iommu_uapi_faults_put(struct iommu_uapi_faults *faults);
void iommu_uapi_faults_count(struct iommu_uapi_faults *faults, u32 *waiting,
			     u32 *overflows, u32 *timeouts);

/* Between the two files of the core */
void iommu_uapi_faults_start(struct iommu_uapi_binding *binding,
			     struct iommu_domain *nested,
			     struct iommu_uapi_faults *faults);
void iommu_uapi_faults_stop(struct iommu_uapi_binding *binding,
			    const struct iommu_uapi_ops *ops);

#endif /* __LINUX_IOMMU_UAPI_H */
