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
 * Is a range of granules of 2^@shift bytes good? Most are below 2^47, where any table
 * has addresses; for others this says no, and they need a closer look.
 */
static inline bool inv_range_good(const struct iommu_uapi_inv_addr_info *addr,
				  unsigned int shift)
{
	u64 end = BIT_ULL(TABLE_MIN_WIDTH - 1);

	return !(addr->addr & ~GENMASK_ULL(TABLE_MIN_WIDTH - 2, shift)) &&
	       addr->nb_granules - 1 < (end - addr->addr) >> shift;
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
	if (inv_range_good(addr, __ffs64(addr->granule_size)))
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

/* How many entries, from a good one, differ from it only in a range that is good? */
static u32 inv_alike(const struct iommu_uapi_cache_invalidate_info *info, u32 nr)
{
	unsigned int shift;
	u32 i;

	if (info->granularity != IOMMU_UAPI_GRANU_ADDR)
		return 1;

	shift = __ffs64(info->addr_info.granule_size);
	for (i = 1; i < nr; i++) {
		if (!iommu_uapi_inv_alike(info, &info[i]) ||
		    !inv_range_good(&info[i].addr_info, shift))
			break;
	}
	return i;
}

/*
 * Check what follows a good entry, and return the number of good entries. Not inline,
 * since most calls have one entry.
 */
static noinline u32
inv_check_more(const struct iommu_uapi_cache_invalidate_info *info, u32 nr,
	       const struct iommu_uapi_caps *caps,
	       struct iommu_uapi_inv_scope *scope)
{
	struct iommu_uapi_inv_scope next __uninitialized;
	u32 i;

	for (i = inv_alike(info, nr); i < nr; i += inv_alike(&info[i], nr - i)) {
		if (inv_check(&info[i], caps, &next) ||
		    next.pasid != scope->pasid || next.by != scope->by ||
		    next.id != scope->id)
			break;
		scope->wide |= next.wide;
	}
	return i;
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
 * bindings, at least 1. Or what is wrong with the first entry:
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
	int ret;

	ret = inv_check(info, caps, scope);
	if (ret)
		return ret;
	return nr > 1 ? inv_check_more(info, nr, caps, scope) : 1;
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
 * iommu_uapi_invalidate_fits - do ranges fit into the table of a binding?
 * @binding: what iommu_uapi_bind() returned
 * @info: array of entries that iommu_uapi_invalidate_check() accepted
 * @nr: number of entries
 *
 * Tables of different widths can be bound to one PASID of several devices. An
 * entry that fits none of them is the caller's mistake.
 *
 * Context: any.
 *
 * Return: number of entries, from the first, that name only addresses that the
 * table has.
 */
u32 iommu_uapi_invalidate_fits(const struct iommu_uapi_binding *binding,
			       const struct iommu_uapi_cache_invalidate_info *info,
			       u32 nr)
{
	const struct iommu_uapi_inv_addr_info *addr;
	u64 last;
	u32 i;

	if (binding->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL)
		return nr;

	for (i = 0; i < nr; i++) {
		if (info[i].granularity != IOMMU_UAPI_GRANU_ADDR)
			continue;
		addr = &info[i].addr_info;
		last = addr->addr + addr->granule_size * addr->nb_granules - 1;
		if (!addr_canonical(addr->addr, binding->addr_width) ||
		    !addr_canonical(last, binding->addr_width))
			break;
	}
	return i;
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate_fits);

/**
 * iommu_uapi_invalidate - invalidate what hardware cached of guests' tables
 * @bindings: what iommu_uapi_bind() returned. A host has one IOMMU driver that can
 *	nest, so they all belong to that.
 * @nr_bindings: number of them, at least 1
 * @info: array of entries that iommu_uapi_invalidate_check() accepted, and whose
 *	scope has @bindings
 * @nr: number of entries, at least 1
 *
 * Entries take effect in batches, so that the host waits once for many. After
 * -EIO some may have taken effect. All may be repeated.
 *
 * Context: does not sleep, does not allocate, and takes no lock that is held
 * while memory is mapped. No iommu_uapi_replace() or iommu_uapi_unbind() of
 * @bindings is running.
 *
 * Return: number of entries, from the first, that took effect for all @bindings:
 * at least 1, and fewer than @nr if the driver can't do the next one. Or
 * -EOPNOTSUPP or -EINVAL if the first entry is one that the driver can't do; -EIO
 * if the hardware failed.
 */
int iommu_uapi_invalidate(struct iommu_uapi_binding **bindings,
			  unsigned int nr_bindings,
			  const struct iommu_uapi_cache_invalidate_info *info,
			  u32 nr)
{
	const struct iommu_ops *ops = bindings[0]->handle.domain->owner;
	unsigned int i;
	int ret;

	ret = ops->uapi->cache_invalidate(bindings, nr_bindings, info, nr);
	if (trace_iommu_uapi_invalidate_enabled()) {
		for (i = 0; i < nr_bindings; i++)
			trace_iommu_uapi_invalidate(bindings[i], nr, ret);
	}
	/* The caller goes on with the next entry, so there has to be progress. */
	if (WARN_ON_ONCE(!ret || ret > (int)nr))
		return -EIO;
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate);
