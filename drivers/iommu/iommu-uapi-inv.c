// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-owned I/O page tables: invalidations, checked before a driver sees them.
 */
#include <linux/bits.h>
#include <linux/export.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "iommu-uapi.h"

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

/* The flags mean the same in both members of the union. */
static int inv_get_scope(bool by_archid, bool by_group, u32 archid,
			 const struct iommu_uapi_caps *caps,
			 struct iommu_uapi_inv_scope *scope)
{
	scope->by = IOMMU_UAPI_INV_ALL;
	scope->id = archid;
	scope->wide = false;
	if (!by_archid && !by_group)
		return archid ? -EINVAL : 0;
	if (!(caps->features & IOMMU_UAPI_FEAT_INV_SCOPE))
		return -EOPNOTSUPP;
	if (by_archid && by_group)
		return -EINVAL;
	scope->by = by_group ? IOMMU_UAPI_INV_BY_GROUP :
			       IOMMU_UAPI_INV_BY_ARCHID;
	return 0;
}

static int inv_check_addr(const struct iommu_uapi_inv_addr_info *addr,
			  const struct iommu_uapi_caps *caps,
			  struct iommu_uapi_inv_scope *scope)
{
	u64 size, last;
	int ret;

	if (addr->flags & ~(IOMMU_UAPI_INV_ADDR_PASID |
			    IOMMU_UAPI_INV_ADDR_ARCHID |
			    IOMMU_UAPI_INV_ADDR_LEAF |
			    IOMMU_UAPI_INV_ADDR_GROUP))
		return -EOPNOTSUPP;
	ret = inv_get_scope(addr->flags & IOMMU_UAPI_INV_ADDR_ARCHID,
			    addr->flags & IOMMU_UAPI_INV_ADDR_GROUP,
			    addr->archid, caps, scope);
	if (ret)
		return ret;
	/* Never fall back to PASID 0. */
	if (!(addr->flags & IOMMU_UAPI_INV_ADDR_PASID))
		return -EINVAL;
	if (addr->pasid >> max(caps->pasid_bits, caps->guest_pasid_bits))
		return -EINVAL;
	if (!is_power_of_2(addr->granule_size) ||
	    addr->granule_size < TABLE_PAGE_SIZE ||
	    !IS_ALIGNED(addr->addr, addr->granule_size) || !addr->nb_granules)
		return -EINVAL;
	if (check_mul_overflow(addr->granule_size, addr->nb_granules, &size) ||
	    check_add_overflow(addr->addr, size - 1, &last))
		return -EOVERFLOW;
	/* Both ends in the same half: what is between them is canonical too. */
	if (!addr_canonical(addr->addr, caps->addr_width) ||
	    !addr_canonical(last, caps->addr_width) ||
	    (addr->addr ^ last) >> 63)
		return -EINVAL;
	scope->pasid = addr->pasid;
	scope->wide = !addr_canonical(addr->addr, TABLE_MIN_WIDTH) ||
		      !addr_canonical(last, TABLE_MIN_WIDTH);
	return 0;
}

static int inv_check_pasid(const struct iommu_uapi_cache_invalidate_info *info,
			   const struct iommu_uapi_caps *caps,
			   struct iommu_uapi_inv_scope *scope)
{
	const struct iommu_uapi_inv_pasid_info *pasid = &info->pasid_info;
	const void *tail = pasid + 1, *end = info + 1;
	int ret;

	if (pasid->flags & ~(IOMMU_UAPI_INV_PASID_PASID |
			     IOMMU_UAPI_INV_PASID_ARCHID |
			     IOMMU_UAPI_INV_PASID_GROUP))
		return -EOPNOTSUPP;
	/* A later version may let this member grow into the rest. */
	if (memchr_inv(tail, 0, end - tail))
		return -EOPNOTSUPP;
	ret = inv_get_scope(pasid->flags & IOMMU_UAPI_INV_PASID_ARCHID,
			    pasid->flags & IOMMU_UAPI_INV_PASID_GROUP,
			    pasid->archid, caps, scope);
	if (ret)
		return ret;
	if (info->granularity == IOMMU_UAPI_GRANU_DOMAIN) {
		scope->pasid = IOMMU_PASID_INVALID;
		return pasid->flags & IOMMU_UAPI_INV_PASID_PASID ||
		       pasid->pasid ? -EINVAL : 0;
	}
	/* Never fall back to PASID 0. */
	if (!(pasid->flags & IOMMU_UAPI_INV_PASID_PASID))
		return -EINVAL;
	if (pasid->pasid >> max(caps->pasid_bits, caps->guest_pasid_bits))
		return -EINVAL;
	scope->pasid = pasid->pasid;
	return 0;
}

/**
 * iommu_uapi_invalidate_check - is an invalidation one that the host can do?
 * @info: from iommu_uapi_copy_from_user()
 * @caps: what the host can do
 * @scope: set to which bindings @info is for, on success
 *
 * Whether such bindings exist is not checked.
 *
 * Context: any.
 *
 * Return: 0; -EOPNOTSUPP if a flag, or a pair of cache and granularity, is not
 * among @caps, or reserved bytes are not 0, among them those of the union that
 * the granularity's member does not cover; -EINVAL if no cache is named, the
 * PASID is missing, too wide or must not be there, a field is set whose flag is
 * not, both a group and a guest's domain id are named, or the range is empty, not
 * aligned or not canonical; -EOVERFLOW if the range wraps.
 */
int iommu_uapi_invalidate_check(const struct iommu_uapi_cache_invalidate_info *info,
				const struct iommu_uapi_caps *caps,
				struct iommu_uapi_inv_scope *scope)
{
	if (!(caps->features & IOMMU_UAPI_FEAT_INVALIDATE) ||
	    info->padding[0] || info->padding[1])
		return -EOPNOTSUPP;
	if (info->granularity > IOMMU_UAPI_GRANU_ADDR ||
	    !inv_pairs_supported(info->cache, info->granularity, caps))
		return -EOPNOTSUPP;
	if (!info->cache)
		return -EINVAL;

	if (info->granularity == IOMMU_UAPI_GRANU_ADDR)
		return inv_check_addr(&info->addr_info, caps, scope);
	return inv_check_pasid(info, caps, scope);
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate_check);

/**
 * iommu_uapi_in_scope - is an invalidation for a binding?
 * @binding: what iommu_uapi_bind() returned
 * @scope: from iommu_uapi_invalidate_check()
 *
 * Context: any.
 *
 * Return: whether @scope names @binding, its PASID included.
 */
bool iommu_uapi_in_scope(const struct iommu_uapi_binding *binding,
			 const struct iommu_uapi_inv_scope *scope)
{
	if (scope->pasid != IOMMU_PASID_INVALID &&
	    scope->pasid != binding->pasid)
		return false;

	switch (scope->by) {
	case IOMMU_UAPI_INV_BY_GROUP:
		return iommu_group_id(binding->dev->iommu_group) == scope->id;
	case IOMMU_UAPI_INV_BY_ARCHID:
		return binding->has_archid && binding->archid == scope->id;
	default:
		return true;
	}
}
EXPORT_SYMBOL_GPL(iommu_uapi_in_scope);

/**
 * iommu_uapi_invalidate_fits - does a range fit into the table of a binding?
 * @binding: what iommu_uapi_bind() returned
 * @info: what iommu_uapi_invalidate_check() accepted
 *
 * Tables of different widths can be bound to one PASID of several devices. An
 * entry that fits none of them is the caller's mistake.
 *
 * Context: any.
 *
 * Return: false if @info names addresses that the table does not have.
 */
bool iommu_uapi_invalidate_fits(const struct iommu_uapi_binding *binding,
				const struct iommu_uapi_cache_invalidate_info *info)
{
	const struct iommu_uapi_inv_addr_info *addr = &info->addr_info;
	u64 last = addr->addr + addr->granule_size * addr->nb_granules - 1;

	if (info->granularity != IOMMU_UAPI_GRANU_ADDR ||
	    binding->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL)
		return true;
	return addr_canonical(addr->addr, binding->addr_width) &&
	       addr_canonical(last, binding->addr_width);
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate_fits);

/**
 * iommu_uapi_invalidate - invalidate what hardware cached of a guest's table
 * @binding: what iommu_uapi_bind() returned
 * @info: array of entries that iommu_uapi_invalidate_check() accepted, and whose
 *	scope has @binding
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
	/* Nothing there is the guest's. */
	if (binding->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL) {
		*handled = nr;
		return 0;
	}

	ret = nested->owner->uapi->cache_invalidate(nested, info, nr, handled);
	if (WARN_ON_ONCE(*handled > nr || (!ret && *handled < nr)))
		return -EIO;
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate);
