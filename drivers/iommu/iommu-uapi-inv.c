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
#include "iommu-uapi-trace.h"

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

/*
 * Is a range good, if its granule size is? Most are below 2^47, where any table has
 * addresses; for others this says no, and they need a closer look.
 */
static inline bool inv_range_good(const struct iommu_uapi_inv_addr_info *addr)
{
	u64 max = BIT_ULL(TABLE_MIN_WIDTH - 1);
	unsigned int shift = __ffs64(addr->granule_size);

	return addr->addr < max && !(addr->addr & (addr->granule_size - 1)) &&
	       addr->nb_granules &&
	       addr->nb_granules <= (max - addr->addr) >> shift;
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
	    addr->granule_size < TABLE_PAGE_SIZE)
		return -EINVAL;
	scope->pasid = addr->pasid;
	if (inv_range_good(addr))
		return 0;

	if (!IS_ALIGNED(addr->addr, addr->granule_size) || !addr->nb_granules)
		return -EINVAL;
	if (check_mul_overflow(addr->granule_size, addr->nb_granules, &size) ||
	    check_add_overflow(addr->addr, size - 1, &last))
		return -EOVERFLOW;
	/* Both ends in the same half: what is between them is canonical too. */
	if (!addr_canonical(addr->addr, caps->addr_width) ||
	    !addr_canonical(last, caps->addr_width) ||
	    (addr->addr ^ last) >> 63)
		return -EINVAL;
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

static int inv_check(const struct iommu_uapi_cache_invalidate_info *info,
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

/**
 * iommu_uapi_invalidate_check - are invalidations ones that the host can do?
 * @info: array of entries from iommu_uapi_copy_array_from_user()
 * @nr: number of entries, at least 1
 * @caps: what the host can do
 * @scope: set to which bindings they are for, on success
 *
 * Whether such bindings exist is not checked.
 *
 * Context: any.
 *
 * Return: number of entries, from the first, that are good and for the same
 * bindings: at least 1, and not always all of them. Or what is wrong with the
 * first entry:
 * -EOPNOTSUPP if @caps lack a flag, or a pair of cache and granularity, or if
 * reserved bytes, or bytes of the union outside of the valid member, are not 0;
 * -EINVAL if no cache is named, the PASID is missing, too wide or must not be
 * there, a field is set without its flag, both a group and a guest's domain id
 * are named, or the range is empty, not aligned or not canonical;
 * -EOVERFLOW if the range wraps.
 */
int iommu_uapi_invalidate_check(const struct iommu_uapi_cache_invalidate_info *info,
				u32 nr, const struct iommu_uapi_caps *caps,
				struct iommu_uapi_inv_scope *scope)
{
	u32 i;
	int ret;

	ret = inv_check(info, caps, scope);
	if (ret)
		return ret;

	/* In an array, most entries are like the one before. */
	for (i = 1; i < nr; i++) {
		if (!iommu_uapi_inv_alike(info, &info[i]) ||
		    !inv_range_good(&info[i].addr_info))
			break;
	}
	return i;
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
 * iommu_uapi_invalidate - invalidate what hardware cached of guests' tables
 * @bindings: what iommu_uapi_bind() returned. A host has one IOMMU driver that can
 *	nest, so they all belong to that.
 * @nr_bindings: number of them, at least 1 and at most %IOMMU_UAPI_INV_BINDINGS
 * @info: array of entries that iommu_uapi_invalidate_check() accepted, and whose
 *	scope has @bindings
 * @nr: number of entries
 * @handled: set to the number of entries, from the first, that took effect for all
 *	@bindings
 *
 * Entries take effect in batches, so that the host waits once for many. Those
 * beyond @handled may have taken effect too, and may be repeated.
 *
 * Context: does not sleep, does not allocate, and takes no lock that is held
 * while memory is mapped. The carrier keeps @bindings during the call.
 *
 * Return: 0 if all took effect; -EOPNOTSUPP or -EINVAL if the entry at
 * @handled is one that the driver can't do; -EIO if the hardware failed.
 */
int iommu_uapi_invalidate(struct iommu_uapi_binding **bindings,
			  unsigned int nr_bindings,
			  const struct iommu_uapi_cache_invalidate_info *info,
			  u32 nr, u32 *handled)
{
	struct iommu_domain *nested[IOMMU_UAPI_INV_BINDINGS] __uninitialized;
	unsigned int i, nr_nested = 0;
	int ret;

	*handled = 0;
	if (!nr)
		return 0;
	if (WARN_ON_ONCE(nr_bindings > ARRAY_SIZE(nested)))
		return -EINVAL;

	for (i = 0; i < nr_bindings; i++) {
		/* Nothing of the second level is the guest's. */
		if (bindings[i]->format != IOMMU_UAPI_FORMAT_SECOND_LEVEL)
			nested[nr_nested++] = bindings[i]->handle.domain;
	}
	if (!nr_nested) {
		*handled = nr;
		return 0;
	}

	ret = nested[0]->owner->uapi->cache_invalidate(nested, nr_nested, info,
						       nr, handled);
	if (trace_iommu_uapi_invalidate_enabled()) {
		for (i = 0; i < nr_bindings; i++)
			trace_iommu_uapi_invalidate(bindings[i], nr, *handled,
						    ret);
	}
	if (WARN_ON_ONCE(*handled > nr || (!ret && *handled < nr)))
		return -EIO;
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate);
