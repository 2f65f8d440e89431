// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-owned I/O page tables: versions, sizes, copy and capabilities.
 *
 * Only this file looks at a version, and only to find a size. After the copy,
 * everything sees the newest layout and decides by flags.
 */
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "iommu-uapi.h"

#define CREATE_TRACE_POINTS
#include "iommu-uapi-trace.h"

/*
 * The size of a version may never change once it is released. The numbers are
 * written down here so that a change of a structure, or of a member of a union,
 * can't move them: such a change needs a new column.
 */
#define SIZE_BIND_V1		72
#define SIZE_INVALIDATE_V1	48
#define SIZE_RESPONSE_V1	20
#define SIZE_RESPONSE_V2	32
#define SIZE_REQUEST_V1		40
#define SIZE_CAPS_V1		64
#define SIZE_CAPS_V2		88
#define SIZE_DMA_FAULT_V1	40

static_assert(offsetofend(struct iommu_uapi_gpasid_bind_data, vtd) ==
	      SIZE_BIND_V1);
static_assert(offsetofend(struct iommu_uapi_cache_invalidate_info,
			  addr_info) == SIZE_INVALIDATE_V1);
static_assert(offsetofend(struct iommu_uapi_page_response, code) ==
	      SIZE_RESPONSE_V1);
static_assert(offsetofend(struct iommu_uapi_page_response, cookie) ==
	      SIZE_RESPONSE_V2);
static_assert(offsetofend(struct iommu_uapi_page_request, cookie) ==
	      SIZE_REQUEST_V1);
static_assert(offsetofend(struct iommu_uapi_caps, reserved) == SIZE_CAPS_V1);
static_assert(offsetofend(struct iommu_uapi_caps, errata) == SIZE_CAPS_V2);
static_assert(offsetofend(struct iommu_uapi_dma_fault, lost) ==
	      SIZE_DMA_FAULT_V1);

/* Nothing follows a union, and its largest member gives the size. */
static_assert(sizeof(struct iommu_uapi_gpasid_bind_data) ==
	      offsetofend(struct iommu_uapi_gpasid_bind_data, vtd));
static_assert(offsetof(struct iommu_uapi_cache_invalidate_info, pasid_info) ==
	      offsetof(struct iommu_uapi_cache_invalidate_info, addr_info));
static_assert(sizeof(struct iommu_uapi_cache_invalidate_info) ==
	      offsetofend(struct iommu_uapi_cache_invalidate_info, addr_info));
static_assert(sizeof(struct iommu_uapi_page_response) == SIZE_RESPONSE_V2);
static_assert(sizeof(struct iommu_uapi_page_request) == SIZE_REQUEST_V1);
static_assert(sizeof(struct iommu_uapi_caps) == SIZE_CAPS_V2);
static_assert(sizeof(struct iommu_uapi_dma_fault) == SIZE_DMA_FAULT_V1);

/* Every structure begins with the version. */
static_assert(!offsetof(struct iommu_uapi_gpasid_bind_data, version));
static_assert(!offsetof(struct iommu_uapi_cache_invalidate_info, version));
static_assert(!offsetof(struct iommu_uapi_page_response, version));
static_assert(!offsetof(struct iommu_uapi_page_request, version));
static_assert(!offsetof(struct iommu_uapi_caps, version));
static_assert(!offsetof(struct iommu_uapi_dma_fault, version));

/* Column n is version n + 1. 0 where a version has no such structure. */
static const u16 iommu_uapi_sizes[][IOMMU_UAPI_VERSION] = {
	[IOMMU_UAPI_BIND_GPASID] = { SIZE_BIND_V1, SIZE_BIND_V1 },
	[IOMMU_UAPI_CACHE_INVALIDATE] = { SIZE_INVALIDATE_V1,
					  SIZE_INVALIDATE_V1 },
	[IOMMU_UAPI_PAGE_RESPONSE] = { SIZE_RESPONSE_V1, SIZE_RESPONSE_V2 },
	[IOMMU_UAPI_PAGE_REQUEST] = { SIZE_REQUEST_V1, SIZE_REQUEST_V1 },
	[IOMMU_UAPI_CAPS] = { SIZE_CAPS_V1, SIZE_CAPS_V2 },
	[IOMMU_UAPI_DMA_FAULT] = { SIZE_DMA_FAULT_V1, SIZE_DMA_FAULT_V1 },
};

static_assert(ARRAY_SIZE(iommu_uapi_sizes) == IOMMU_UAPI_NR_TYPES);

#define HAS_NEWEST_SIZE(type) (iommu_uapi_sizes[type][IOMMU_UAPI_VERSION - 1])

/* The sizes of a structure by version, or NULL if there is no such type */
static const u16 *row_of(enum iommu_uapi_type type)
{
	u32 row = type;

	if (row >= IOMMU_UAPI_NR_TYPES)
		return NULL;
	return iommu_uapi_sizes[array_index_nospec(row, IOMMU_UAPI_NR_TYPES)];
}

static int size_in_row(const u16 *row, u32 version)
{
	u16 size;

	if (!version)
		return -EINVAL;
	if (version > IOMMU_UAPI_VERSION)
		return -EOPNOTSUPP;

	size = row[array_index_nospec(version - 1, IOMMU_UAPI_VERSION)];
	return size ? size : -EINVAL;
}

/**
 * iommu_uapi_get_size - size of a structure in a version
 * @type: the structure
 * @version: the version, which may come from user space
 *
 * Context: any.
 *
 * Return: the size in bytes, always above 0; -EINVAL if @type is unknown, @version
 * is 0, or that version has no such structure; -EOPNOTSUPP if the version is
 * newer than IOMMU_UAPI_VERSION.
 */
int iommu_uapi_get_size(enum iommu_uapi_type type, u32 version)
{
	const u16 *row = row_of(type);

	/* A version is not complete before each structure has its size. */
	BUILD_BUG_ON(!HAS_NEWEST_SIZE(IOMMU_UAPI_BIND_GPASID) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_CACHE_INVALIDATE) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_PAGE_RESPONSE) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_PAGE_REQUEST) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_CAPS) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_DMA_FAULT));

	return row ? size_in_row(row, version) : -EINVAL;
}
EXPORT_SYMBOL_GPL(iommu_uapi_get_size);

/**
 * iommu_uapi_copy_from_user - copy a structure in the version that it names
 * @type: the structure
 * @dst: where to; at least as large as the newest version of @type
 * @dst_size: size of @dst in bytes
 * @src: where the structure begins in user memory
 * @avail: bytes at @src that the caller vouches for. Checked as a lower bound: it
 *	never decides how much is copied, and nothing beyond it is read.
 *
 * The version is read once, together with what every version has, so another
 * thread that changes it meanwhile has no effect. What the version does not have
 * is set to 0 up to @dst_size, so that the reader of @dst sees one layout. After
 * an error the content of @dst is undefined.
 *
 * Context: may sleep.
 *
 * Return: bytes copied, always above 0; -EFAULT if @src can't be read; -EINVAL
 * if @avail is less than the version needs, or less than any version does, or as
 * iommu_uapi_get_size() says; -EOPNOTSUPP if the version is newer than
 * IOMMU_UAPI_VERSION.
 */
int iommu_uapi_copy_from_user(enum iommu_uapi_type type, void *dst,
			      size_t dst_size, const void __user *src,
			      size_t avail)
{
	const u16 *row = row_of(type);
	int first, size;
	u32 version;

	/* A structure only grows, so this much belongs to any version. */
	first = row ? row[0] : 0;
	if (!first)
		return -EINVAL;
	if (avail < first || WARN_ON_ONCE(dst_size < first))
		return -EINVAL;
	if (copy_from_user(dst, src, first))
		return -EFAULT;

	memcpy(&version, dst, sizeof(version));
	size = size_in_row(row, version);
	if (size < 0)
		return size;
	if (avail < size || WARN_ON_ONCE(dst_size < size))
		return -EINVAL;
	if (size > first &&
	    copy_from_user(dst + first, src + first, size - first))
		return -EFAULT;
	if (dst_size > size)
		memset(dst + size, 0, dst_size - size);
	return size;
}
EXPORT_SYMBOL_GPL(iommu_uapi_copy_from_user);

/*
 * Check the versions of structures that were copied at once. Returns how many, from
 * the first, are good, or what is wrong with the first.
 */
static int check_versions(const u16 *row, const void *dst, size_t size, u32 nr)
{
	u64 known = U64_MAX;
	u32 version, i;
	int ret;

	for (i = 0; i < nr; i++, dst += size) {
		memcpy(&version, dst, sizeof(version));
		/* Most are of the same version. */
		if (version == known)
			continue;
		ret = size_in_row(row, version);
		if (ret < 0)
			return i ?: ret;
		known = version;
	}
	return nr;
}

/**
 * iommu_uapi_copy_array_from_user - copy structures, each in the version it names
 * @type: the structure
 * @dst: array of @nr structures, each of which is at least as large as the newest
 *	version of @type
 * @dst_size: size of a structure at @dst in bytes
 * @src: where the first structure begins in user memory
 * @stride: bytes from one structure to the next at @src, and what the caller
 *	vouches for of each
 * @nr: number of structures, at least 1
 *
 * What iommu_uapi_copy_from_user() says of one structure holds for each.
 *
 * Context: may sleep.
 *
 * Return: number of structures, from the first, that were copied: at least 1, and
 * fewer than @nr if there is something wrong with the next one. Or what
 * iommu_uapi_copy_from_user() would say of the first.
 */
int iommu_uapi_copy_array_from_user(enum iommu_uapi_type type, void *dst,
				    size_t dst_size, const void __user *src,
				    size_t stride, u32 nr)
{
	const u16 *row = row_of(type);
	int ret;
	u32 i;

	/* One copy will do if the structure has the same size in each version. */
	if (row && row[0] == dst_size && stride == dst_size &&
	    !copy_from_user(dst, src, nr * dst_size))
		return check_versions(row, dst, dst_size, nr);

	for (i = 0; i < nr; i++) {
		ret = iommu_uapi_copy_from_user(type, dst, dst_size, src,
						stride);
		if (ret < 0)
			return i ?: ret;
		dst += dst_size;
		src += stride;
	}
	return nr;
}
EXPORT_SYMBOL_GPL(iommu_uapi_copy_array_from_user);

/**
 * iommu_uapi_parent_alloc - allocate the second level that guests nest on
 * @dev: the device whose IOMMU decides what the second level looks like
 *
 * The domain maps guest-physical addresses like any unmanaged domain. It may
 * refuse read-only mappings, see IOMMU_UAPI_FEAT_RO_MAP.
 *
 * Context: may sleep.
 *
 * Return: the domain, to be freed with iommu_domain_free() after every nested
 * domain on it is gone; ERR_PTR(-EOPNOTSUPP) if the IOMMU of @dev can't nest,
 * or @dev has none; ERR_PTR(-ENOMEM).
 */
struct iommu_domain *iommu_uapi_parent_alloc(struct device *dev)
{
	if (!dev_uapi_ops(dev))
		return ERR_PTR(-EOPNOTSUPP);
	return iommu_paging_domain_alloc_flags(dev, IOMMU_HWPT_ALLOC_NEST_PARENT);
}
EXPORT_SYMBOL_GPL(iommu_uapi_parent_alloc);

/**
 * iommu_uapi_get_caps - what a device and its IOMMU can do for a guest
 * @dev: the device
 * @s2: the second level that guest tables would nest on
 * @caps: filled in, on success
 *
 * Changes no state and logs nothing. The answer for one @dev and @s2 stays the
 * same for as long as @dev is attached to @s2 or to something nested on it.
 *
 * Context: any in which @dev and @s2 stay.
 *
 * Return: 0, or -EOPNOTSUPP if @dev has no IOMMU, it can't nest, or @s2 is not
 * from iommu_uapi_parent_alloc().
 */
int iommu_uapi_get_caps(struct device *dev, struct iommu_domain *s2,
			struct iommu_uapi_caps *caps)
{
	const struct iommu_uapi_ops *ops = dev_uapi_ops(dev);
	int ret;

	if (!ops)
		return -EOPNOTSUPP;

	memset(caps, 0, sizeof(*caps));
	ret = ops->get_caps(dev, s2, caps);
	if (ret)
		return ret;
	if (WARN_ON_ONCE(caps->reserved || caps->pasid_bits > PASID_MAX_BITS ||
			 caps->addr_width > 57 || caps->gpa_width > 64))
		return -EOPNOTSUPP;

	caps->version = IOMMU_UAPI_VERSION;
	if (caps->features & IOMMU_UAPI_FEAT_GUEST_PASID)
		caps->guest_pasid_bits = caps->pasid_bits;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_get_caps);

/**
 * iommu_uapi_caps_none - what can be done for a device that can't be bound
 * @caps: set to nothing, in the version of this kernel
 *
 * Context: any.
 */
void iommu_uapi_caps_none(struct iommu_uapi_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->version = IOMMU_UAPI_VERSION;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_none);

/* What depends on the device, not on the IOMMU behind it */
#define DEVICE_FEATURES	(IOMMU_UAPI_FEAT_BIND_PASID | \
			 IOMMU_UAPI_FEAT_HOST_PASID | \
			 IOMMU_UAPI_FEAT_GUEST_PASID | \
			 IOMMU_UAPI_FEAT_PAGE_REQUEST | \
			 IOMMU_UAPI_FEAT_PASID_PRIV | \
			 IOMMU_UAPI_FEAT_PASID_EXEC)
#define DEVICE_BIND_FLAGS	((u64)IOMMU_UAPI_BIND_PAGE_REQUEST)

/**
 * iommu_uapi_caps_intersect - reduce capabilities to what two devices share
 * @caps: reduced to what @other has too
 * @other: what iommu_uapi_get_caps() said about another device
 *
 * Context: any.
 */
void iommu_uapi_caps_intersect(struct iommu_uapi_caps *caps,
			       const struct iommu_uapi_caps *other)
{
	caps->version = min(caps->version, other->version);
	caps->addr_width = min(caps->addr_width, other->addr_width);
	caps->features &= other->features;
	caps->formats &= other->formats;
	caps->bind_flags &= other->bind_flags;
	caps->vtd_flags &= other->vtd_flags;
	caps->inv_iotlb &= other->inv_iotlb;
	caps->inv_dev_iotlb &= other->inv_dev_iotlb;
	caps->inv_pasid &= other->inv_pasid;
	caps->pasid_bits = min(caps->pasid_bits, other->pasid_bits);
	caps->gpa_width = min(caps->gpa_width, other->gpa_width);
	caps->guest_pasid_bits = min(caps->guest_pasid_bits,
				     other->guest_pasid_bits);
	caps->max_bindings = min(caps->max_bindings, other->max_bindings);
	caps->page_sizes &= other->page_sizes;
	/* An erratum of either applies to both. */
	caps->errata |= other->errata;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_intersect);

/**
 * iommu_uapi_caps_intersect_iommu - reduce to what two devices' IOMMUs share
 * @caps: reduced to what the IOMMU of @other has too; what belongs to a device
 *	becomes what either has
 * @other: what iommu_uapi_get_caps() said about another device
 *
 * Context: any.
 */
void iommu_uapi_caps_intersect_iommu(struct iommu_uapi_caps *caps,
				     const struct iommu_uapi_caps *other)
{
	struct iommu_uapi_caps one = *caps;

	iommu_uapi_caps_intersect(caps, other);
	caps->features |= (one.features | other->features) & DEVICE_FEATURES;
	caps->bind_flags |= (one.bind_flags | other->bind_flags) &
			    DEVICE_BIND_FLAGS;
	caps->inv_dev_iotlb = one.inv_dev_iotlb | other->inv_dev_iotlb;
	caps->pasid_bits = max(one.pasid_bits, other->pasid_bits);
	caps->guest_pasid_bits = max(one.guest_pasid_bits,
				     other->guest_pasid_bits);
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_intersect_iommu);

/**
 * iommu_uapi_caps_clear_device - drop what belongs to a device
 * @caps: reduced to what belongs to the IOMMU
 *
 * Context: any.
 */
void iommu_uapi_caps_clear_device(struct iommu_uapi_caps *caps)
{
	caps->features &= ~(u64)DEVICE_FEATURES;
	caps->bind_flags &= ~DEVICE_BIND_FLAGS;
	caps->inv_dev_iotlb = 0;
	caps->pasid_bits = 0;
	caps->guest_pasid_bits = 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_clear_device);

/**
 * iommu_uapi_caps_limit - let a guest see only PASIDs that can all be bound
 * @caps: @guest_pasid_bits is reduced
 * @quota: number of PASIDs that the carrier allows
 *
 * Context: any.
 */
void iommu_uapi_caps_limit(struct iommu_uapi_caps *caps, u32 quota)
{
	u32 nr = min(quota, caps->max_bindings);

	if (nr < U32_MAX)
		caps->guest_pasid_bits = min_t(u32, caps->guest_pasid_bits,
					       ilog2(nr + 1));
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_limit);

/**
 * iommu_uapi_caps_missing - compare what is needed with what is there
 * @needs: from iommu_uapi_copy_from_user(), or from this kernel
 * @have: what the host can do, or all 0 where it can do nothing
 * @missing: filled in: the bits of @needs that @have does not have, and the
 *	numbers of @needs above those of @have; the rest is 0. It has the version
 *	of @needs.
 *
 * A bit that this kernel does not know is missing like any other.
 *
 * Context: any.
 *
 * Return: 0 if nothing is missing, -ERANGE if something is.
 */
int iommu_uapi_caps_missing(const struct iommu_uapi_caps *needs,
			    const struct iommu_uapi_caps *have,
			    struct iommu_uapi_caps *missing)
{
	struct iommu_uapi_caps lack = {};

	if (needs->addr_width > have->addr_width)
		lack.addr_width = needs->addr_width;
	lack.features = needs->features & ~have->features;
	lack.formats = needs->formats & ~have->formats;
	lack.bind_flags = needs->bind_flags & ~have->bind_flags;
	lack.vtd_flags = needs->vtd_flags & ~have->vtd_flags;
	lack.inv_iotlb = needs->inv_iotlb & ~have->inv_iotlb;
	lack.inv_dev_iotlb = needs->inv_dev_iotlb & ~have->inv_dev_iotlb;
	lack.inv_pasid = needs->inv_pasid & ~have->inv_pasid;
	if (needs->pasid_bits > have->pasid_bits)
		lack.pasid_bits = needs->pasid_bits;
	if (needs->gpa_width > have->gpa_width)
		lack.gpa_width = needs->gpa_width;
	if (needs->guest_pasid_bits > have->guest_pasid_bits)
		lack.guest_pasid_bits = needs->guest_pasid_bits;
	if (needs->max_bindings > have->max_bindings)
		lack.max_bindings = needs->max_bindings;
	lack.page_sizes = needs->page_sizes & ~have->page_sizes;

	*missing = lack;
	missing->version = needs->version;
	if (!memchr_inv(&lack, 0, sizeof(lack)))
		return 0;
	trace_iommu_uapi_caps_missing(needs, missing);
	return -ERANGE;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_missing);

static bool needs_any(const struct iommu_uapi_caps *needs, u64 features)
{
	return needs->features & features;
}

static bool contract_pasids_ok(const struct iommu_uapi_caps *needs,
			       u32 nr_pasids)
{
	bool host = needs_any(needs, IOMMU_UAPI_FEAT_HOST_PASID);
	bool guest = needs_any(needs, IOMMU_UAPI_FEAT_GUEST_PASID);

	/* Either the host hands out the PASIDs, or the guest picks them. */
	if (host && guest)
		return false;
	if (needs_any(needs, IOMMU_UAPI_FEAT_BIND_PASID) != (host || guest))
		return false;
	if (needs_any(needs, IOMMU_UAPI_FEAT_PASID_PRIV |
			     IOMMU_UAPI_FEAT_PASID_EXEC) &&
	    !needs_any(needs, IOMMU_UAPI_FEAT_BIND_PASID))
		return false;
	/* A width, and as many PASIDs as it has room for */
	if (!host != !needs->pasid_bits || !host != !nr_pasids ||
	    (needs->pasid_bits < 32 && nr_pasids >> needs->pasid_bits))
		return false;
	return !guest == !needs->guest_pasid_bits;
}

static bool contract_format_ok(const struct iommu_uapi_caps *needs)
{
	const u64 vtd = BIT_ULL(IOMMU_UAPI_FORMAT_INTEL_VTD);
	bool bind = needs_any(needs, IOMMU_UAPI_FEAT_BIND_NO_PASID |
				     IOMMU_UAPI_FEAT_BIND_PASID);

	if (bind != !!needs->formats || (needs->bind_flags && !bind))
		return false;
	if (!(needs->formats & vtd))
		return !needs->addr_width && !needs->vtd_flags &&
		       !(needs->bind_flags & IOMMU_UAPI_BIND_PAGE_REQUEST);
	/* Guest-physical addresses have to be wider than the offset in a page. */
	return (needs->addr_width == 48 || needs->addr_width == 57) &&
	       needs->gpa_width > ilog2(TABLE_PAGE_SIZE);
}

static bool contract_inv_ok(const struct iommu_uapi_caps *needs)
{
	u32 granu = needs->inv_iotlb | needs->inv_dev_iotlb | needs->inv_pasid;

	if (needs_any(needs, IOMMU_UAPI_FEAT_INVALIDATE) != !!granu)
		return false;
	if (granu & BIT(IOMMU_UAPI_GRANU_DOMAIN) &&
	    !needs_any(needs, IOMMU_UAPI_FEAT_INV_SCOPE))
		return false;
	/* Only a first level has addresses to invalidate. */
	if (granu & BIT(IOMMU_UAPI_GRANU_ADDR) && !needs->addr_width)
		return false;
	return !needs_any(needs, IOMMU_UAPI_FEAT_INV_SCOPE) ||
	       needs_any(needs, IOMMU_UAPI_FEAT_INVALIDATE);
}

/**
 * iommu_uapi_contract_check - can anybody keep such a contract?
 * @needs: from iommu_uapi_copy_from_user()
 * @nr_pasids: number of PASIDs that the host shall hand out
 *
 * A need of 0 asks for nothing. A need that is of no use without another one has
 * to come with it, so that all of a contract can be used.
 *
 * Context: any.
 *
 * Return: 0; -EOPNOTSUPP if reserved fields are not 0; -EINVAL if the needs
 * contradict each other, or one lacks what it depends on.
 */
int iommu_uapi_contract_check(const struct iommu_uapi_caps *needs,
			      u32 nr_pasids)
{
	bool requests = needs_any(needs, IOMMU_UAPI_FEAT_PAGE_REQUEST);

	if (needs->reserved)
		return -EOPNOTSUPP;
	if (needs->errata || !contract_pasids_ok(needs, nr_pasids) ||
	    !contract_format_ok(needs) || !contract_inv_ok(needs))
		return -EINVAL;
	if (requests != !!(needs->bind_flags & IOMMU_UAPI_BIND_PAGE_REQUEST))
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_contract_check);

/**
 * iommu_uapi_contract_quota - how many PASIDs a contract is about
 * @contract: what iommu_uapi_contract_check() accepted
 * @nr_pasids: number of PASIDs that the host shall hand out
 *
 * Context: any.
 *
 * Return: the number of PASIDs that may be allocated or bound at a time.
 */
u32 iommu_uapi_contract_quota(const struct iommu_uapi_caps *contract,
			      u32 nr_pasids)
{
	if (!(contract->features & IOMMU_UAPI_FEAT_GUEST_PASID))
		return nr_pasids;
	return GENMASK(contract->guest_pasid_bits - 1, 0);
}
EXPORT_SYMBOL_GPL(iommu_uapi_contract_quota);

/**
 * iommu_uapi_caps_max_pasids - how many PASIDs can be bound at a time
 * @caps: what the host can do
 *
 * Context: any.
 *
 * Return: the number that the hardware has resources for.
 */
u32 iommu_uapi_caps_max_pasids(const struct iommu_uapi_caps *caps)
{
	return caps->max_bindings;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_max_pasids);

/**
 * iommu_uapi_caps_has - are features there?
 * @caps: what the host can do
 * @features: combination of IOMMU_UAPI_FEAT_*
 *
 * For a carrier, which need not know @caps otherwise.
 *
 * Context: any.
 *
 * Return: whether @caps have all of @features.
 */
bool iommu_uapi_caps_has(const struct iommu_uapi_caps *caps, u64 features)
{
	return (caps->features & features) == features;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_has);
