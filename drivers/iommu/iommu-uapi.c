// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-owned I/O page tables: versions, sizes, capabilities, and the way from
 * a carrier (VFIO) to the driver of the IOMMU.
 *
 * A version is looked at here only, and only to find a size. What comes after
 * the copy sees the newest layout, and decides by flags.
 */
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/export.h>
#include <linux/iommu-uapi.h>
#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "iommu-priv.h"

/* PCI Express gives a PASID 20 bits. */
#define PASID_MAX_BITS		20
/* Guest tables are walked in pages of this size. */
#define TABLE_PAGE_SIZE		SZ_4K

/*
 * A version's size may never change once it is out. The numbers are written
 * down here so that a change of a structure, or of a union's member, can't
 * move them: it must come as a new column.
 */
#define SIZE_BIND_V1		72
#define SIZE_INVALIDATE_V1	48
#define SIZE_RESPONSE_V1	20
#define SIZE_RESPONSE_V2	32
#define SIZE_REQUEST_V1		40
#define SIZE_CAPS_V1		64

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

/* Nothing follows a union, and its largest member gives the size. */
static_assert(sizeof(struct iommu_uapi_gpasid_bind_data) ==
	      offsetofend(struct iommu_uapi_gpasid_bind_data, vtd));
static_assert(offsetof(struct iommu_uapi_cache_invalidate_info, pasid_info) ==
	      offsetof(struct iommu_uapi_cache_invalidate_info, addr_info));
static_assert(sizeof(struct iommu_uapi_cache_invalidate_info) ==
	      offsetofend(struct iommu_uapi_cache_invalidate_info, addr_info));
static_assert(sizeof(struct iommu_uapi_page_response) == SIZE_RESPONSE_V2);
static_assert(sizeof(struct iommu_uapi_page_request) == SIZE_REQUEST_V1);
static_assert(sizeof(struct iommu_uapi_caps) == SIZE_CAPS_V1);

/* Every structure begins with the version. */
static_assert(!offsetof(struct iommu_uapi_gpasid_bind_data, version));
static_assert(!offsetof(struct iommu_uapi_cache_invalidate_info, version));
static_assert(!offsetof(struct iommu_uapi_page_response, version));
static_assert(!offsetof(struct iommu_uapi_page_request, version));
static_assert(!offsetof(struct iommu_uapi_caps, version));

/* Column n is version n + 1. 0 where a version has no such structure. */
static const u16 iommu_uapi_sizes[][IOMMU_UAPI_VERSION] = {
	[IOMMU_UAPI_BIND_GPASID] = { SIZE_BIND_V1, SIZE_BIND_V1 },
	[IOMMU_UAPI_CACHE_INVALIDATE] = { SIZE_INVALIDATE_V1,
					  SIZE_INVALIDATE_V1 },
	[IOMMU_UAPI_PAGE_RESPONSE] = { SIZE_RESPONSE_V1, SIZE_RESPONSE_V2 },
	[IOMMU_UAPI_PAGE_REQUEST] = { SIZE_REQUEST_V1, SIZE_REQUEST_V1 },
	[IOMMU_UAPI_CAPS] = { SIZE_CAPS_V1, SIZE_CAPS_V1 },
};

static_assert(ARRAY_SIZE(iommu_uapi_sizes) == IOMMU_UAPI_NR_TYPES);

#define HAS_NEWEST_SIZE(type) (iommu_uapi_sizes[type][IOMMU_UAPI_VERSION - 1])

/**
 * iommu_uapi_get_size - size of a structure in a version
 * @type: the structure
 * @version: the version, which may come from user space
 *
 * Context: any.
 *
 * Return: the size in bytes, always above 0; -EINVAL if there is no such type,
 * no version 0, or no such structure in that version; -EOPNOTSUPP if the
 * version is newer than IOMMU_UAPI_VERSION.
 */
int iommu_uapi_get_size(enum iommu_uapi_type type, u32 version)
{
	u32 row = type, col = version - 1;
	u16 size;

	/* A version is not complete before each structure has its size. */
	BUILD_BUG_ON(!HAS_NEWEST_SIZE(IOMMU_UAPI_BIND_GPASID) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_CACHE_INVALIDATE) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_PAGE_RESPONSE) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_PAGE_REQUEST) ||
		     !HAS_NEWEST_SIZE(IOMMU_UAPI_CAPS));

	if (row >= IOMMU_UAPI_NR_TYPES || !version)
		return -EINVAL;
	if (version > IOMMU_UAPI_VERSION)
		return -EOPNOTSUPP;

	row = array_index_nospec(row, IOMMU_UAPI_NR_TYPES);
	col = array_index_nospec(col, IOMMU_UAPI_VERSION);
	size = iommu_uapi_sizes[row][col];
	return size ? size : -EINVAL;
}
EXPORT_SYMBOL_GPL(iommu_uapi_get_size);

/**
 * iommu_uapi_copy_from_user - copy a structure in the version it says it has
 * @type: the structure
 * @dst: where to; at least as large as the newest version of @type
 * @dst_size: size of @dst in bytes
 * @src: where the structure begins in user memory
 * @avail: bytes at @src that the caller vouches for. A lower bound that is
 *	checked: it never decides how much is copied, and nothing beyond it is
 *	read.
 *
 * The version is read once, together with what every version has. What another
 * thread makes of it meanwhile changes nothing. Up to @dst_size everything that
 * the version does not have is 0, so that what reads @dst sees one layout. After
 * an error @dst means nothing.
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
	u32 version;
	int first, size;

	/* A structure only grows, so this much belongs to any version. */
	first = iommu_uapi_get_size(type, IOMMU_UAPI_VERSION_1);
	if (first < 0)
		return first;
	if (avail < first || WARN_ON_ONCE(dst_size < first))
		return -EINVAL;
	if (copy_from_user(dst, src, first))
		return -EFAULT;

	memcpy(&version, dst, sizeof(version));
	size = iommu_uapi_get_size(type, version);
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

static const struct iommu_uapi_ops *dev_uapi_ops(struct device *dev)
{
	if (!dev->iommu || !dev->iommu->iommu_dev)
		return NULL;
	return dev_iommu_ops(dev)->uapi;
}

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
	const struct iommu_ops *ops;

	if (!dev_uapi_ops(dev))
		return ERR_PTR(-EOPNOTSUPP);

	ops = dev_iommu_ops(dev);
	if (!ops->domain_alloc_user)
		return ERR_PTR(-EOPNOTSUPP);
	return ops->domain_alloc_user(dev, IOMMU_HWPT_ALLOC_NEST_PARENT, NULL,
				      NULL);
}
EXPORT_SYMBOL_GPL(iommu_uapi_parent_alloc);

/**
 * iommu_uapi_get_caps - what a device's IOMMU can do for a guest
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
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_get_caps);

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
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_intersect);

/**
 * iommu_uapi_caps_missing - compare what is needed with what is there
 * @needs: from iommu_uapi_copy_from_user(), or from this kernel
 * @have: what the host can do, or all 0 where it can do nothing
 * @missing: filled in, unless -EOPNOTSUPP: the bits of @needs that @have does not
 *	have, and the numbers of @needs above those of @have; the rest is 0. It has
 *	the version of @needs.
 *
 * A bit that this kernel does not know is missing like any other.
 *
 * Context: any.
 *
 * Return: 0 if nothing is missing; -ERANGE if something is; -EOPNOTSUPP if
 * reserved fields of @needs are not 0.
 */
int iommu_uapi_caps_missing(const struct iommu_uapi_caps *needs,
			    const struct iommu_uapi_caps *have,
			    struct iommu_uapi_caps *missing)
{
	struct iommu_uapi_caps lack = {};

	if (needs->reserved)
		return -EOPNOTSUPP;

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

	*missing = lack;
	missing->version = needs->version;
	return memchr_inv(&lack, 0, sizeof(lack)) ? -ERANGE : 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_missing);

/**
 * iommu_uapi_caps_map_ro - may guest memory be mapped read-only?
 * @caps: what the host can do
 *
 * For a carrier that refuses such mappings, and need not know @caps otherwise.
 *
 * Context: any.
 *
 * Return: whether @caps have IOMMU_UAPI_FEAT_RO_MAP.
 */
bool iommu_uapi_caps_map_ro(const struct iommu_uapi_caps *caps)
{
	return caps->features & IOMMU_UAPI_FEAT_RO_MAP;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_map_ro);

/**
 * iommu_uapi_caps_page_requests - may the device request pages?
 * @caps: what the host can do
 *
 * For a carrier that enables them, and need not know @caps otherwise.
 *
 * Context: any.
 *
 * Return: whether @caps have IOMMU_UAPI_FEAT_PAGE_REQUEST.
 */
bool iommu_uapi_caps_page_requests(const struct iommu_uapi_caps *caps)
{
	return caps->features & IOMMU_UAPI_FEAT_PAGE_REQUEST;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_page_requests);

/**
 * iommu_uapi_pasid_alloc - allocate a host PASID
 * @caps: what bounds its width
 * @first: smallest PASID to take, at least 1
 * @last: largest PASID to take, itself included
 * @pasid: set to the PASID, on success
 *
 * A PASID is unique in the host, whatever hands it out. Who owns it, and how
 * many one owner may have, is the carrier's business.
 *
 * Context: may sleep.
 *
 * Return: 0; -EOPNOTSUPP if @caps don't have IOMMU_UAPI_FEAT_HOST_PASID;
 * -EINVAL if @first is 0 or above @last, or @last does not fit into
 * @caps->pasid_bits; -ENOSPC if the range is exhausted; -ENOMEM.
 */
int iommu_uapi_pasid_alloc(const struct iommu_uapi_caps *caps, u32 first,
			   u32 last, ioasid_t *pasid)
{
	int ret;

	if (!(caps->features & IOMMU_UAPI_FEAT_HOST_PASID))
		return -EOPNOTSUPP;
	if (first < IOMMU_FIRST_GLOBAL_PASID || first > last ||
	    (u64)last >> caps->pasid_bits)
		return -EINVAL;

	ret = iommu_alloc_global_pasid_range(first, last);
	if (ret < 0)
		return ret;
	*pasid = ret;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_pasid_alloc);

/**
 * iommu_uapi_pasid_free - give a host PASID back
 * @pasid: what iommu_uapi_pasid_alloc() set. Nothing may be bound to it.
 *
 * Context: any in which a spinlock may be taken.
 */
void iommu_uapi_pasid_free(ioasid_t pasid)
{
	iommu_free_global_pasid(pasid);
}
EXPORT_SYMBOL_GPL(iommu_uapi_pasid_free);

static int bind_check_vtd(const struct iommu_uapi_gpasid_bind_vtd *vtd,
			  const struct iommu_uapi_caps *caps)
{
	if (vtd->flags & ~caps->vtd_flags)
		return -EOPNOTSUPP;
	if (!(vtd->flags & IOMMU_UAPI_VTD_EMTE) && (vtd->pat || vtd->emt))
		return -EINVAL;
	return 0;
}

/**
 * iommu_uapi_bind_check - is a bind one that the host can do?
 * @data: from iommu_uapi_copy_from_user()
 * @caps: what the host can do
 * @pasid: set to the host PASID that @data names, on success;
 *	IOMMU_NO_PASID stands for requests without PASID
 *
 * Whether the PASID is the caller's, and is not bound yet, is not checked.
 *
 * Context: any.
 *
 * Return: 0; -EOPNOTSUPP if a flag, the format or the address width is not
 * among @caps, PASIDs of that kind can't be bound, or reserved bytes are not
 * 0; -EINVAL if a PASID or the address of the table is not aligned or too
 * wide, or a field is set whose flag is not.
 */
int iommu_uapi_bind_check(const struct iommu_uapi_gpasid_bind_data *data,
			  const struct iommu_uapi_caps *caps, ioasid_t *pasid)
{
	u64 feature = data->hpasid ? IOMMU_UAPI_FEAT_BIND_PASID :
				     IOMMU_UAPI_FEAT_BIND_NO_PASID;
	int ret;

	if (data->flags & ~caps->bind_flags ||
	    memchr_inv(data->padding, 0, sizeof(data->padding)))
		return -EOPNOTSUPP;
	if (data->format >= BITS_PER_TYPE(caps->formats) ||
	    !(caps->formats & BIT_ULL(data->format)))
		return -EOPNOTSUPP;
	if (!(caps->features & feature))
		return -EOPNOTSUPP;
	if ((data->addr_width != 48 && data->addr_width != 57) ||
	    data->addr_width > caps->addr_width)
		return -EOPNOTSUPP;

	switch (data->format) {
	case IOMMU_UAPI_FORMAT_INTEL_VTD:
		ret = bind_check_vtd(&data->vtd, caps);
		break;
	default:
		ret = -EOPNOTSUPP;
	}
	if (ret)
		return ret;

	if (data->hpasid >> caps->pasid_bits)
		return -EINVAL;
	if (data->flags & IOMMU_UAPI_BIND_GPASID_VAL) {
		if (data->gpasid >> PASID_MAX_BITS)
			return -EINVAL;
	} else if (data->gpasid) {
		return -EINVAL;
	}
	if (!IS_ALIGNED(data->gpgd, TABLE_PAGE_SIZE) ||
	    (caps->gpa_width < 64 && data->gpgd >> caps->gpa_width))
		return -EINVAL;

	*pasid = data->hpasid;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind_check);

/**
 * iommu_uapi_bind - bind a guest's page table
 * @dev: the device, the only one of its group, which the carrier owns
 * @s2: the second level, from iommu_uapi_parent_alloc(). @dev must be attached
 *	to it, or to something nested on it, or be blocked.
 * @pasid: from iommu_uapi_bind_check()
 * @data: what iommu_uapi_bind_check() accepted
 * @faults: where page requests go if @data asks for them; NULL if they are not
 *	enabled for @dev
 *
 * All or nothing. With IOMMU_NO_PASID the nested domain takes the place of @s2
 * for requests without PASID, which may be blocked for a moment. If it fails and
 * @s2 can't be put back, they stay blocked, see iommu_uapi_unbind().
 *
 * Context: may sleep. Takes the mutex of the group of @dev, so it can't be
 * called from iommu_group_for_each_dev(). The carrier keeps @dev, @s2, @faults,
 * the ownership of the group, and page requests enabled, for as long as the bind
 * lasts.
 *
 * Return: the binding, for iommu_uapi_invalidate() and iommu_uapi_unbind(); or
 * ERR_PTR() of -ENODEV if @dev has company in its group, or its IOMMU can't nest
 * on @s2; -EEXIST if @pasid of @dev is bound already; -EOPNOTSUPP or -EINVAL if
 * the driver finds something in @data that the hardware does not have; -EINVAL
 * if page requests are asked for and there is no @faults; -ENOSPC if the
 * hardware has run out of domain ids; -ENOMEM.
 */
struct iommu_uapi_binding *
iommu_uapi_bind(struct device *dev, struct iommu_domain *s2, ioasid_t pasid,
		const struct iommu_uapi_gpasid_bind_data *data,
		struct iommu_uapi_faults *faults)
{
	const struct iommu_uapi_ops *ops = dev_uapi_ops(dev);
	struct iommu_uapi_binding *binding;
	struct iommu_domain *nested;
	int ret;

	/* Company that comes later finds the PASID taken, and no table. */
	if (!ops || !iommu_group_sole_device(dev))
		return ERR_PTR(-ENODEV);
	if (data->flags & IOMMU_UAPI_BIND_PAGE_REQUEST && !faults)
		return ERR_PTR(-EINVAL);

	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		return ERR_PTR(-ENOMEM);
	binding->dev = dev;
	binding->s2 = s2;
	binding->pasid = pasid;

	nested = ops->domain_alloc_nested(dev, s2, data);
	if (IS_ERR(nested)) {
		ret = PTR_ERR(nested);
		goto err_kfree;
	}
	if (WARN_ON_ONCE(nested->type != IOMMU_DOMAIN_NESTED)) {
		ret = -EINVAL;
		goto err_free;
	}
	nested->owner = dev_iommu_ops(dev);
	if (data->flags & IOMMU_UAPI_BIND_PAGE_REQUEST)
		iommu_uapi_faults_start(binding, nested, faults);

	if (pasid == IOMMU_NO_PASID)
		ret = iommu_device_enter_domain(dev, nested, &binding->handle);
	else
		ret = iommu_attach_device_pasid(nested, dev, pasid,
						&binding->handle);
	if (ret)
		goto err_stop;

	return binding;

err_stop:
	/* The handle may have been found before the attach failed. */
	iommu_uapi_faults_stop(binding, ops);
err_free:
	iommu_domain_free(nested);
err_kfree:
	kfree(binding);
	/* All that can hold a PASID of an owned group is another bind. */
	return ERR_PTR(ret == -EBUSY ? -EEXIST : ret);
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind);

/**
 * iommu_uapi_unbind - undo a bind
 * @binding: what iommu_uapi_bind() returned. Freed in any case.
 *
 * When this returns, no translation of the guest's table is left in the host,
 * and its page requests are answered. Requests with the PASID are blocked; with
 * IOMMU_NO_PASID they are translated by the second level again. Should attaching
 * that fail, which takes running out of memory or of domain ids, then requests
 * without PASID are blocked until another bind of IOMMU_NO_PASID, or until the
 * carrier attaches the group anew.
 *
 * Context: may sleep. Takes the mutex of the group of the device.
 *
 * Return: 0, or a negative error if requests without PASID are left blocked.
 * The bind is gone either way.
 */
int iommu_uapi_unbind(struct iommu_uapi_binding *binding)
{
	struct iommu_domain *nested = binding->handle.domain;
	struct device *dev = binding->dev;
	int ret = 0;

	if (binding->pasid == IOMMU_NO_PASID)
		ret = iommu_device_leave_domain(dev, nested, binding->s2);
	else
		iommu_detach_device_pasid(nested, dev, binding->pasid);

	iommu_uapi_faults_stop(binding, dev_uapi_ops(dev));
	iommu_domain_free(nested);
	kfree(binding);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_unbind);

static bool inv_pairs_supported(u8 cache, u8 granularity,
				const struct iommu_uapi_caps *caps)
{
	u32 bit = BIT(granularity);

	if (cache & ~(IOMMU_UAPI_CACHE_IOTLB | IOMMU_UAPI_CACHE_DEV_IOTLB |
		      IOMMU_UAPI_CACHE_PASID))
		return false;
	if (cache & IOMMU_UAPI_CACHE_IOTLB && !(caps->inv_iotlb & bit))
		return false;
	if (cache & IOMMU_UAPI_CACHE_DEV_IOTLB && !(caps->inv_dev_iotlb & bit))
		return false;
	if (cache & IOMMU_UAPI_CACHE_PASID && !(caps->inv_pasid & bit))
		return false;
	return true;
}

/* The IOMMU takes an address only if it is the sign extension of its low bits. */
static bool inv_addr_canonical(u64 addr, u32 width)
{
	return sign_extend64(addr, width - 1) == (s64)addr;
}

static int inv_check_addr(const struct iommu_uapi_inv_addr_info *addr,
			  const struct iommu_uapi_caps *caps)
{
	u64 size, last;

	if (addr->flags & ~(IOMMU_UAPI_INV_ADDR_PASID |
			    IOMMU_UAPI_INV_ADDR_ARCHID |
			    IOMMU_UAPI_INV_ADDR_LEAF))
		return -EOPNOTSUPP;
	/* Never fall back to PASID 0. */
	if (!(addr->flags & IOMMU_UAPI_INV_ADDR_PASID))
		return -EINVAL;
	if (!(addr->flags & IOMMU_UAPI_INV_ADDR_ARCHID) && addr->archid)
		return -EINVAL;
	if (addr->pasid >> caps->pasid_bits)
		return -EINVAL;
	if (!is_power_of_2(addr->granule_size) ||
	    addr->granule_size < TABLE_PAGE_SIZE ||
	    !IS_ALIGNED(addr->addr, addr->granule_size) || !addr->nb_granules)
		return -EINVAL;
	if (check_mul_overflow(addr->granule_size, addr->nb_granules, &size) ||
	    check_add_overflow(addr->addr, size - 1, &last))
		return -EOVERFLOW;
	/* Both ends in the same half: what is between them is canonical too. */
	if (!inv_addr_canonical(addr->addr, caps->addr_width) ||
	    !inv_addr_canonical(last, caps->addr_width) ||
	    (addr->addr ^ last) >> 63)
		return -EINVAL;
	return 0;
}

static int inv_check_pasid(const struct iommu_uapi_cache_invalidate_info *info,
			   const struct iommu_uapi_caps *caps)
{
	const struct iommu_uapi_inv_pasid_info *pasid = &info->pasid_info;
	const void *tail = pasid + 1, *end = info + 1;

	if (pasid->flags &
	    ~(IOMMU_UAPI_INV_PASID_PASID | IOMMU_UAPI_INV_PASID_ARCHID))
		return -EOPNOTSUPP;
	/* A later version may let this member grow into the rest. */
	if (memchr_inv(tail, 0, end - tail))
		return -EOPNOTSUPP;
	/* Never fall back to PASID 0. */
	if (!(pasid->flags & IOMMU_UAPI_INV_PASID_PASID))
		return -EINVAL;
	if (!(pasid->flags & IOMMU_UAPI_INV_PASID_ARCHID) && pasid->archid)
		return -EINVAL;
	if (pasid->pasid >> caps->pasid_bits)
		return -EINVAL;
	return 0;
}

/**
 * iommu_uapi_invalidate_check - is an invalidation one that the host can do?
 * @info: from iommu_uapi_copy_from_user()
 * @caps: what the host can do
 * @pasid: set to the host PASID that @info names, on success
 *
 * Whether the PASID is the caller's and is bound is not checked.
 *
 * Context: any.
 *
 * Return: 0; -EOPNOTSUPP if a flag, or a pair of cache and granularity, is not
 * among @caps, or reserved bytes are not 0, among them those of the union that
 * the granularity's member does not cover; -EINVAL if no cache is named, the
 * PASID is missing or too wide, a field is set whose flag is not, or the range
 * is empty, not aligned or not canonical; -EOVERFLOW if the range wraps.
 */
int iommu_uapi_invalidate_check(const struct iommu_uapi_cache_invalidate_info *info,
				const struct iommu_uapi_caps *caps,
				ioasid_t *pasid)
{
	int ret;

	if (!(caps->features & IOMMU_UAPI_FEAT_INVALIDATE) ||
	    info->padding[0] || info->padding[1])
		return -EOPNOTSUPP;
	if (info->granularity > IOMMU_UAPI_GRANU_ADDR ||
	    !inv_pairs_supported(info->cache, info->granularity, caps))
		return -EOPNOTSUPP;
	if (!info->cache)
		return -EINVAL;

	switch (info->granularity) {
	case IOMMU_UAPI_GRANU_PASID:
		ret = inv_check_pasid(info, caps);
		if (!ret)
			*pasid = info->pasid_info.pasid;
		return ret;
	case IOMMU_UAPI_GRANU_ADDR:
		ret = inv_check_addr(&info->addr_info, caps);
		if (!ret)
			*pasid = info->addr_info.pasid;
		return ret;
	default:
		/* No driver can invalidate without a PASID. */
		return -EOPNOTSUPP;
	}
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate_check);

/**
 * iommu_uapi_invalidate - invalidate what hardware cached of a guest's table
 * @binding: what iommu_uapi_bind() returned
 * @info: array of entries that iommu_uapi_invalidate_check() accepted, and
 *	that name the PASID of @binding
 * @nr: number of entries
 * @handled: set to the number of entries, from the first, that took effect
 *
 * Entries take effect in batches, so that the host waits once for many. Those
 * beyond @handled may have taken effect too, and may be repeated.
 *
 * Context: does not sleep, does not allocate, and takes no lock that is held
 * while memory is mapped. The carrier keeps @binding during the call.
 *
 * Return: 0 if all took effect; -EOPNOTSUPP or -EINVAL if the entry at
 * @handled is one that the driver can't do; -EIO if the hardware failed.
 */
int iommu_uapi_invalidate(struct iommu_uapi_binding *binding,
			  const struct iommu_uapi_cache_invalidate_info *info,
			  u32 nr, u32 *handled)
{
	struct iommu_domain *nested = binding->handle.domain;
	int ret;

	*handled = 0;
	if (!nr)
		return 0;

	ret = nested->owner->uapi->cache_invalidate(nested, info, nr, handled);
	if (WARN_ON_ONCE(*handled > nr || (!ret && *handled < nr)))
		return -EIO;
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate);
