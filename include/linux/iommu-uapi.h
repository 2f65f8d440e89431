/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest-owned I/O page tables: what a carrier (VFIO), the IOMMU core and the
 * drivers call of each other. A carrier is the subsystem whose ioctls pass the
 * structures of uapi/linux/iommu.h between user space and here.
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
 * @IOMMU_UAPI_DMA_FAULT: struct iommu_uapi_dma_fault
 * @IOMMU_UAPI_NR_TYPES: number of rows
 */
enum iommu_uapi_type {
	IOMMU_UAPI_BIND_GPASID,
	IOMMU_UAPI_CACHE_INVALIDATE,
	IOMMU_UAPI_PAGE_RESPONSE,
	IOMMU_UAPI_PAGE_REQUEST,
	IOMMU_UAPI_CAPS,
	IOMMU_UAPI_DMA_FAULT,
	IOMMU_UAPI_NR_TYPES,
};

struct iommu_uapi_binding;
struct iommu_uapi_faults;

/**
 * struct iommu_uapi_ops - what a driver offers to guests that own page tables
 * @get_caps: fill in @caps for @dev on top of @s2, except the version and
 *	guest_pasid_bits, which the core sets. -EOPNOTSUPP if the IOMMU of @dev
 *	can't nest. Must not change any state.
 * @domain_alloc_nested: check the flags and the format of @data against the
 *	hardware; the core has checked the other fields. Make a nested domain on
 *	top of @s2. It is attached like any other domain.
 * @replace: check @data in the same way, and change @nested, which is attached to
 *	@pasid of @dev and to nothing else, to what @data says. In one step: each
 *	request is translated by the old first level or by the new one, and
 *	nothing is cached of the old one afterwards. Fails only before it has
 *	changed anything.
 * @cache_invalidate: invalidate @nr entries, whose generic fields the core has
 *	checked, for each of @nr_bindings. One without a first level has nothing
 *	to invalidate. A device may be reset meanwhile. Check the flags of each
 *	entry before it takes effect. Does not allocate, does not sleep on a lock
 *	that is held while memory is mapped. Returns the number of entries, from
 *	the first, that took effect for all bindings, at least 1; or what is wrong
 *	with the first.
 * @sync_page_requests: wait until each page request that @dev has sent so far
 *	has reached its handler. Needed where @get_caps ever reports
 *	IOMMU_UAPI_FEAT_PAGE_REQUEST.
 * @release: free what the driver keeps for @dev after its PASIDs were detached.
 *	No PASID of @dev is attached.
 */
struct iommu_uapi_ops {
	int (*get_caps)(struct device *dev, struct iommu_domain *s2,
			struct iommu_uapi_caps *caps);
	struct iommu_domain *
	(*domain_alloc_nested)(struct device *dev, struct iommu_domain *s2,
			       const struct iommu_uapi_gpasid_bind_data *data);
	int (*replace)(struct device *dev, ioasid_t pasid,
		       struct iommu_domain *nested,
		       const struct iommu_uapi_gpasid_bind_data *data);
	int (*cache_invalidate)(struct iommu_uapi_binding **bindings,
				unsigned int nr_bindings,
				const struct iommu_uapi_cache_invalidate_info *info,
				u32 nr);
	void (*sync_page_requests)(struct device *dev);
	void (*release)(struct device *dev);
};

/**
 * struct iommu_uapi_inv_scope - which bindings an invalidation is for
 * @pasid: the PASID; IOMMU_PASID_INVALID for all PASIDs
 * @by: IOMMU_UAPI_INV_ALL, or what @id is
 * @id: number of an IOMMU group, or a guest's domain id
 * @wide: whether there are addresses that the narrowest tables lack. The caller
 *	must then check the entries with iommu_uapi_invalidate_fits()
 */
struct iommu_uapi_inv_scope {
	ioasid_t pasid;
	enum {
		IOMMU_UAPI_INV_ALL,
		IOMMU_UAPI_INV_BY_GROUP,
		IOMMU_UAPI_INV_BY_ARCHID,
	} by;
	u32 id;
	bool wide;
};

int iommu_uapi_get_size(enum iommu_uapi_type type, u32 version);
int iommu_uapi_copy_from_user(enum iommu_uapi_type type, void *dst,
			      size_t dst_size, const void __user *src,
			      size_t avail);
int iommu_uapi_copy_array_from_user(enum iommu_uapi_type type, void *dst,
				    size_t dst_size, const void __user *src,
				    size_t stride, u32 nr);

struct iommu_domain *iommu_uapi_parent_alloc(struct device *dev);
int iommu_uapi_get_caps(struct device *dev, struct iommu_domain *s2,
			struct iommu_uapi_caps *caps);
void iommu_uapi_caps_none(struct iommu_uapi_caps *caps);
void iommu_uapi_caps_intersect(struct iommu_uapi_caps *caps,
			       const struct iommu_uapi_caps *other);
void iommu_uapi_caps_intersect_iommu(struct iommu_uapi_caps *caps,
				     const struct iommu_uapi_caps *other);
void iommu_uapi_caps_clear_device(struct iommu_uapi_caps *caps);
void iommu_uapi_caps_limit(struct iommu_uapi_caps *caps, u32 quota);
int iommu_uapi_caps_missing(const struct iommu_uapi_caps *needs,
			    const struct iommu_uapi_caps *have,
			    struct iommu_uapi_caps *missing);
int iommu_uapi_contract_check(const struct iommu_uapi_caps *needs,
			      u32 nr_pasids);
u32 iommu_uapi_contract_quota(const struct iommu_uapi_caps *contract,
			      u32 nr_pasids);
u32 iommu_uapi_caps_max_pasids(const struct iommu_uapi_caps *caps);
bool iommu_uapi_caps_has(const struct iommu_uapi_caps *caps, u64 features);

u32 iommu_uapi_caps_last_pasid(const struct iommu_uapi_caps *caps);
int iommu_uapi_pasid_check(const struct iommu_uapi_caps *caps, u32 first,
			   u32 last);
int iommu_uapi_pasid_alloc(const struct iommu_uapi_caps *caps, u32 first,
			   u32 last, ioasid_t *pasid);
void iommu_uapi_pasid_free(ioasid_t pasid);

int iommu_uapi_bind_check(const struct iommu_uapi_gpasid_bind_data *data,
			  const struct iommu_uapi_caps *caps);
ioasid_t iommu_uapi_bind_pasid(const struct iommu_uapi_gpasid_bind_data *data);
bool iommu_uapi_bind_replaces(const struct iommu_uapi_gpasid_bind_data *data);
struct iommu_uapi_binding *
iommu_uapi_bind(struct device *dev, struct iommu_domain *s2, ioasid_t pasid,
		const struct iommu_uapi_gpasid_bind_data *data,
		struct iommu_uapi_faults *faults);
int iommu_uapi_replace(struct iommu_uapi_binding *binding,
		       const struct iommu_uapi_gpasid_bind_data *data,
		       struct iommu_uapi_faults *faults);
void iommu_uapi_unbind(struct iommu_uapi_binding *binding);
void iommu_uapi_block(struct device *dev);
void iommu_uapi_release(struct device *dev);

int iommu_uapi_invalidate_check(const struct iommu_uapi_cache_invalidate_info *info,
				u32 nr, const struct iommu_uapi_caps *caps,
				struct iommu_uapi_inv_scope *scope);
bool iommu_uapi_in_scope(const struct iommu_uapi_binding *binding,
			 const struct iommu_uapi_inv_scope *scope);
u32 iommu_uapi_invalidate_fits(const struct iommu_uapi_binding *binding,
			       const struct iommu_uapi_cache_invalidate_info *info,
			       u32 nr);
int iommu_uapi_invalidate(struct iommu_uapi_binding **bindings,
			  unsigned int nr_bindings,
			  const struct iommu_uapi_cache_invalidate_info *info,
			  u32 nr);

struct iommu_uapi_faults *iommu_uapi_faults_alloc(void);
void iommu_uapi_faults_put(struct iommu_uapi_faults *faults);
int iommu_uapi_faults_open(struct iommu_uapi_faults *faults, u32 version,
			   bool dma_faults);
int iommu_uapi_faults_check_timeout(u32 timeout_ms);
int iommu_uapi_faults_set_timeout(struct iommu_uapi_faults *faults,
				  u32 timeout_ms);
void iommu_uapi_faults_count(struct iommu_uapi_faults *faults, u32 *waiting,
			     u32 *overflows, u32 *timeouts, u32 *lost);
int iommu_uapi_faults_add_dev(struct iommu_uapi_faults *faults,
			      struct device *dev);
void iommu_uapi_faults_remove_dev(struct device *dev);
int iommu_uapi_page_requests(struct device *dev, bool on);
bool iommu_uapi_dma_faults_wanted(void);
void iommu_uapi_report_dma_fault(struct device *dev, bool has_pasid,
				 ioasid_t pasid, u64 addr, bool write,
				 u32 reason, u32 lost);

#endif /* __LINUX_IOMMU_UAPI_H */
