// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-owned page tables on VT-d: what a guest may ask for, checked against
 * the registers, the invalidation of what was cached of its tables, and the DMA
 * faults of its devices.
 */
#define pr_fmt(fmt)	"DMAR: " fmt

#include <linux/bitops.h>
#include <linux/iommu-uapi.h>
#include <linux/kfifo.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "iommu.h"
#include "pasid.h"

/* Flags of a bind that the PASID entry has bits for, and that are set there. */
#define VTD_FLAGS_SRS	(IOMMU_UAPI_VTD_SRE | IOMMU_UAPI_VTD_WPE)
#define VTD_FLAGS_EAFS	IOMMU_UAPI_VTD_EAFE

/* As intel_iommu_enable_iopf() will see it. */
static bool intel_uapi_page_requests(struct device_domain_info *info,
				     struct pci_dev *pdev)
{
	/* A virtual function's requests are enabled in the physical one. */
	if (!info->pri_supported || !info->iommu->iopf_queue || pdev->is_virtfn)
		return false;
	return !info->pasid_enabled || pci_prg_resp_pasid_required(pdev);
}

static int intel_uapi_get_caps(struct device *dev, struct iommu_domain *s2,
			       struct iommu_uapi_caps *caps)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	u32 granu = BIT(IOMMU_UAPI_GRANU_DOMAIN) | BIT(IOMMU_UAPI_GRANU_PASID) |
		    BIT(IOMMU_UAPI_GRANU_ADDR);
	u32 max_pasids = dev->iommu->max_pasids;
	struct pci_dev *pdev;

	if (!nested_supported(iommu) || !ecap_flts(iommu->ecap) ||
	    !ecap_slts(iommu->ecap) || !dev_is_pci(dev))
		return -EOPNOTSUPP;

	/* Its requests carry the id of another device. */
	pdev = to_pci_dev(dev);
	if (pci_real_dma_dev(pdev) != pdev)
		return -EOPNOTSUPP;

	caps->gpa_width = min_t(u32, agaw_to_width(iommu->agaw),
				cap_mgaw(iommu->cap));
	if (s2) {
		if (s2->ops != intel_iommu_ops.default_domain_ops ||
		    !to_dmar_domain(s2)->nested_parent)
			return -EOPNOTSUPP;
		caps->gpa_width = min_t(u32, caps->gpa_width,
					to_dmar_domain(s2)->gaw);
	}

	caps->addr_width = cap_fl5lp_support(iommu->cap) ? ADDR_WIDTH_5LEVEL :
							   ADDR_WIDTH_4LEVEL;
	caps->formats = BIT_ULL(IOMMU_UAPI_FORMAT_INTEL_VTD) |
			BIT_ULL(IOMMU_UAPI_FORMAT_SECOND_LEVEL);
	caps->bind_flags = IOMMU_UAPI_BIND_GPASID_VAL |
			   IOMMU_UAPI_BIND_REPLACE | IOMMU_UAPI_BIND_ARCHID;
	caps->page_sizes = SZ_4K | SZ_2M;
	if (cap_fl1gp_support(iommu->cap))
		caps->page_sizes |= SZ_1G;
	/* Each binding has a domain id, and the driver keeps two. */
	caps->max_bindings = cap_ndoms(iommu->cap) - 2;
	if (ecap_srs(iommu->ecap))
		caps->vtd_flags |= VTD_FLAGS_SRS;
	if (ecap_eafs(iommu->ecap))
		caps->vtd_flags |= VTD_FLAGS_EAFS;

	/*
	 * Nothing maps read-only below a nested entry, see ERRATA_772415_SPR17
	 * in __domain_mapping(): no IOMMU_UAPI_FEAT_RO_MAP. The kernel can't tell
	 * which hardware has the erratum.
	 */
	caps->errata = IOMMU_UAPI_ERRATUM_VTD_772415;
	caps->features = IOMMU_UAPI_FEAT_BIND_NO_PASID |
			 IOMMU_UAPI_FEAT_INVALIDATE |
			 IOMMU_UAPI_FEAT_INV_SCOPE |
			 IOMMU_UAPI_FEAT_DMA_FAULT;
	if (ecap_smpwc(iommu->ecap))
		caps->features |= IOMMU_UAPI_FEAT_COHERENT;
	if (info->pasid_enabled && max_pasids > IOMMU_FIRST_GLOBAL_PASID) {
		caps->features |= IOMMU_UAPI_FEAT_BIND_PASID |
				  IOMMU_UAPI_FEAT_HOST_PASID |
				  IOMMU_UAPI_FEAT_GUEST_PASID;
		caps->pasid_bits = ilog2(max_pasids);
		/* Execute requests are never enabled in a PASID entry. */
		if (ecap_srs(iommu->ecap) &&
		    info->pasid_supported & PCI_PASID_CAP_PRIV)
			caps->features |= IOMMU_UAPI_FEAT_PASID_PRIV;
	}

	/*
	 * The PASID cache holds what the host wrote. A whole domain is
	 * invalidated PASID by PASID.
	 */
	caps->inv_iotlb = granu;
	if (info->ats_enabled) {
		caps->inv_dev_iotlb = granu;
		if (intel_uapi_page_requests(info, pdev)) {
			caps->features |= IOMMU_UAPI_FEAT_PAGE_REQUEST;
			caps->bind_flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
		}
	}

	return 0;
}

/* Check @data against the hardware, and put it as the PASID entry takes it. */
static int intel_uapi_first_level(struct device *dev, struct iommu_domain *s2,
				  const struct iommu_uapi_gpasid_bind_data *data,
				  struct iommu_hwpt_vtd_s1 *cfg)
{
	struct iommu_uapi_caps caps = {};
	int ret;

	ret = intel_uapi_get_caps(dev, s2, &caps);
	if (ret)
		return ret;

	if (data->flags & ~caps.bind_flags)
		return -EOPNOTSUPP;
	if (data->hpasid >> caps.pasid_bits)
		return -EINVAL;
	if (data->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL)
		return 0;

	if (data->format != IOMMU_UAPI_FORMAT_INTEL_VTD ||
	    data->vtd.flags & ~caps.vtd_flags)
		return -EOPNOTSUPP;
	if (data->addr_width > caps.addr_width ||
	    (data->addr_width != ADDR_WIDTH_4LEVEL &&
	     data->addr_width != ADDR_WIDTH_5LEVEL))
		return -EOPNOTSUPP;
	if (data->vtd.pat || data->vtd.emt ||
	    !IS_ALIGNED(data->gpgd, VTD_PAGE_SIZE) ||
	    data->gpgd >> caps.gpa_width)
		return -EINVAL;

	cfg->pgtbl_addr = data->gpgd;
	cfg->addr_width = data->addr_width;
	if (data->vtd.flags & IOMMU_UAPI_VTD_SRE)
		cfg->flags |= IOMMU_VTD_S1_SRE;
	if (data->vtd.flags & IOMMU_UAPI_VTD_EAFE)
		cfg->flags |= IOMMU_VTD_S1_EAFE;
	if (data->vtd.flags & IOMMU_UAPI_VTD_WPE)
		cfg->flags |= IOMMU_VTD_S1_WPE;
	return 0;
}

static struct iommu_domain *
intel_uapi_domain_alloc_nested(struct device *dev, struct iommu_domain *s2,
			       const struct iommu_uapi_gpasid_bind_data *data)
{
	struct iommu_hwpt_vtd_s1 cfg = {};
	struct iommu_domain *nested;
	int ret;

	ret = intel_uapi_first_level(dev, s2, data, &cfg);
	if (ret)
		return ERR_PTR(ret);

	nested = intel_nested_domain_new(to_dmar_domain(s2), &cfg);
	if (!IS_ERR(nested))
		to_dmar_domain(nested)->s1_bypass =
			data->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL;
	return nested;
}

static int intel_uapi_replace(struct device *dev, ioasid_t pasid,
			      struct iommu_domain *nested,
			      const struct iommu_uapi_gpasid_bind_data *data)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct dmar_domain *domain = to_dmar_domain(nested);
	struct iommu_hwpt_vtd_s1 cfg = {};
	int ret;

	ret = intel_uapi_first_level(dev, &domain->s2_domain->domain, data,
				     &cfg);
	if (ret)
		return ret;

	domain->s1_pgtbl = cfg.pgtbl_addr;
	domain->s1_cfg = cfg;
	domain->s1_bypass = data->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL;
	intel_pasid_replace_nested(info->iommu, dev, pasid, domain);
	return 0;
}

/*
 * What is to be invalidated, collected over the entries of an array. A range that
 * continues the previous one is merged into it.
 */
#define INV_CACHE_IOTLB		BIT(0)
#define INV_CACHE_DEVTLB	BIT(1)

struct inv_range {
	u64 first;
	u64 last;
	u8 caches;
	bool leaf;
};

struct inv_set {
	struct inv_range range[QI_MAX_BATCHED_DESC_COUNT];
	unsigned int nr;
	/* Caches that lose everything of the PASID. */
	u8 all;
};

struct inv_batch {
	struct qi_batch *qi;
	struct intel_iommu *iommu;
	int ret;
};

static void inv_batch_submit(struct inv_batch *batch)
{
	int ret;

	if (!batch->qi->index)
		return;

	ret = qi_submit_sync(batch->iommu, batch->qi->descs, batch->qi->index,
			     0);
	if (ret)
		batch->ret = -EIO;
	batch->qi->index = 0;
}

static struct qi_desc *inv_batch_desc(struct inv_batch *batch)
{
	struct qi_desc *desc;

	if (batch->qi->index == QI_MAX_BATCHED_DESC_COUNT)
		inv_batch_submit(batch);
	desc = &batch->qi->descs[batch->qi->index++];
	/* qi_desc_piotlb() leaves these alone. */
	desc->qw2 = 0;
	desc->qw3 = 0;
	return desc;
}

/* Put 2^@order pages at @addr, or everything of the PASID, into the batch. */
static void inv_batch_add(struct inv_batch *batch, struct cache_tag *tag,
			  u64 addr, unsigned int order, bool all, bool leaf)
{
	struct device_domain_info *info;
	int i;
	u16 sid;

	if (tag->type == CACHE_TAG_IOTLB) {
		qi_desc_piotlb(tag->domain_id, tag->pasid, all ? 0 : addr,
			       all ? -1UL : 1UL << order, leaf,
			       inv_batch_desc(batch));
		return;
	}

	info = dev_iommu_priv_get(tag->dev);
	if (!dev_iotlb_reachable(info)) {
		if (READ_ONCE(info->ats_timed_out))
			batch->ret = -EIO;
		return;
	}
	/* No invalidation requests to the device before translation is on. */
	if (!(tag->iommu->gcmd & DMA_GCMD_TE))
		return;

	sid = PCI_DEVID(info->bus, info->devfn);
	if (all) {
		addr = 0;
		order = MAX_AGAW_PFN_WIDTH;
	}
	for (i = 0; i <= info->dtlb_extra_inval; i++) {
		struct qi_desc *desc = inv_batch_desc(batch);

		if (tag->pasid == IOMMU_NO_PASID)
			qi_desc_dev_iotlb(sid, info->pfsid, info->ats_qdep,
					  addr, order, desc);
		else
			qi_desc_dev_iotlb_pasid(sid, info->pfsid, tag->pasid,
						info->ats_qdep, addr, order,
						desc);
	}
}

/*
 * One descriptor invalidates a naturally aligned power of two. If the smallest
 * one around a range is much larger than the range, because the range lies
 * across an alignment boundary, then take one on either side of it.
 */
static void inv_batch_add_range(struct inv_batch *batch, struct cache_tag *tag,
				const struct inv_range *range)
{
	u64 first = range->first >> VTD_PAGE_SHIFT;
	u64 last = range->last >> VTD_PAGE_SHIFT;
	unsigned int order = fls64(first ^ last);
	u64 mid;

	if (order < 2 || last - first + 1 > BIT_ULL(order - 2)) {
		inv_batch_add(batch, tag,
			      (first >> order) << (order + VTD_PAGE_SHIFT),
			      order, false, range->leaf);
		return;
	}

	mid = (last >> (order - 1)) << (order - 1);
	order = fls64(first ^ (mid - 1));
	inv_batch_add(batch, tag, (first >> order) << (order + VTD_PAGE_SHIFT),
		      order, false, range->leaf);
	order = fls64(mid ^ last);
	inv_batch_add(batch, tag, mid << VTD_PAGE_SHIFT, order, false,
		      range->leaf);
}

static int inv_set_flush(struct dmar_domain *domain, struct inv_set *set)
{
	struct inv_batch batch = {};
	struct cache_tag *tag;
	unsigned long flags;
	unsigned int i;
	u8 cache;

	spin_lock_irqsave(&domain->cache_lock, flags);
	batch.qi = domain->qi_batch;
	/* The IOTLB's tag comes first: the device may load again from there. */
	list_for_each_entry(tag, &domain->cache_tags, node) {
		if (batch.iommu && batch.iommu != tag->iommu)
			inv_batch_submit(&batch);
		batch.iommu = tag->iommu;

		cache = tag->type == CACHE_TAG_IOTLB ? INV_CACHE_IOTLB :
						       INV_CACHE_DEVTLB;
		if (set->all & cache) {
			inv_batch_add(&batch, tag, 0, 0, true, false);
			continue;
		}
		for (i = 0; i < set->nr; i++) {
			if (set->range[i].caches & cache)
				inv_batch_add_range(&batch, tag,
						    &set->range[i]);
		}
	}
	if (batch.iommu)
		inv_batch_submit(&batch);
	spin_unlock_irqrestore(&domain->cache_lock, flags);

	set->nr = 0;
	set->all = 0;
	return batch.ret;
}

/* Returns false if there is no room, and the set must be flushed first. */
static bool inv_set_add(struct inv_set *set, const struct inv_range *range)
{
	struct inv_range *prev;

	if (!(range->caches & ~set->all))
		return true;

	if (set->nr) {
		prev = &set->range[set->nr - 1];
		if (prev->caches == range->caches &&
		    (range->first <= prev->last ||
		     range->first - 1 == prev->last) &&
		    (prev->first <= range->last ||
		     prev->first - 1 == range->last)) {
			prev->first = min(prev->first, range->first);
			prev->last = max(prev->last, range->last);
			prev->leaf &= range->leaf;
			return true;
		}
	}

	if (set->nr == ARRAY_SIZE(set->range))
		return false;
	set->range[set->nr++] = *range;
	return true;
}

/*
 * The core has checked the entry. Checked again is what hardware would get wrong,
 * and flags that are not known here. Returns 1 if the first level does not have
 * such addresses.
 */
static int inv_range_get(struct dmar_domain *domain,
			 const struct iommu_uapi_cache_invalidate_info *info,
			 struct inv_range *range)
{
	const struct iommu_uapi_inv_addr_info *addr = &info->addr_info;
	unsigned int sign = domain->s1_cfg.addr_width - 1;
	u64 size;

	if (!info->cache ||
	    info->cache & ~(IOMMU_UAPI_CACHE_IOTLB | IOMMU_UAPI_CACHE_DEV_IOTLB))
		return -EOPNOTSUPP;

	/* The device may hold what the IOTLB held. */
	range->caches = INV_CACHE_DEVTLB;
	if (info->cache & IOMMU_UAPI_CACHE_IOTLB)
		range->caches |= INV_CACHE_IOTLB;
	range->leaf = false;

	switch (info->granularity) {
	case IOMMU_UAPI_GRANU_DOMAIN:
	case IOMMU_UAPI_GRANU_PASID:
		if (info->pasid_info.flags & ~(IOMMU_UAPI_INV_PASID_PASID |
					       IOMMU_UAPI_INV_PASID_ARCHID |
					       IOMMU_UAPI_INV_PASID_GROUP))
			return -EOPNOTSUPP;
		range->first = 0;
		range->last = U64_MAX;
		return 0;
	case IOMMU_UAPI_GRANU_ADDR:
		if (addr->flags & ~(IOMMU_UAPI_INV_ADDR_PASID |
				    IOMMU_UAPI_INV_ADDR_ARCHID |
				    IOMMU_UAPI_INV_ADDR_LEAF |
				    IOMMU_UAPI_INV_ADDR_GROUP))
			return -EOPNOTSUPP;
		if (!IS_ALIGNED(addr->addr | addr->granule_size,
				VTD_PAGE_SIZE) ||
		    check_mul_overflow(addr->granule_size, addr->nb_granules,
				       &size) || !size ||
		    check_add_overflow(addr->addr, size - 1, &range->last))
			return -EINVAL;
		range->first = addr->addr;
		/* Meant for the wider table of another device. */
		if (sign_extend64(range->first, sign) != (s64)range->first ||
		    sign_extend64(range->last, sign) != (s64)range->last ||
		    (range->first ^ range->last) >> 63)
			return 1;
		range->leaf = addr->flags & IOMMU_UAPI_INV_ADDR_LEAF;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int
intel_uapi_cache_invalidate(struct iommu_domain *nested,
			    const struct iommu_uapi_cache_invalidate_info *info,
			    u32 nr, u32 *handled)
{
	struct dmar_domain *domain = to_dmar_domain(nested);
	/* Only what has been set is read. */
	struct inv_range range __uninitialized;
	struct inv_set set __uninitialized;
	int ret = 0, err;
	u32 i;

	set.nr = 0;
	set.all = 0;
	for (i = 0; i < nr; i++) {
		ret = inv_range_get(domain, &info[i], &range);
		if (ret < 0)
			break;
		if (ret) {
			ret = 0;
			continue;
		}

		if (info[i].granularity != IOMMU_UAPI_GRANU_ADDR) {
			set.all |= range.caches;
			continue;
		}
		if (inv_set_add(&set, &range))
			continue;

		err = inv_set_flush(domain, &set);
		if (err)
			return err;
		*handled = i;
		inv_set_add(&set, &range);
	}

	err = inv_set_flush(domain, &set);
	if (err)
		return err;
	*handled = i;
	return ret;
}

/*
 * DMA faults are taken from the hardware in an interrupt, and handed on by a
 * worker, which may look for the device and for who reads its faults.
 */
struct intel_uapi_fault {
	u64 addr;
	u32 pasid;
	u32 lost;
	u16 sid;
	u8 reason;
	bool has_pasid;
	bool write;
};

struct intel_uapi_faults {
	struct intel_iommu *iommu;
	struct work_struct work;
	/* DMA faults that found no room, since the last that did */
	u32 lost;
	/* One writes, the interrupt; one reads, the worker. */
	DECLARE_KFIFO(fifo, struct intel_uapi_fault, 64);
};

static void intel_uapi_faults_work(struct work_struct *work)
{
	struct intel_uapi_faults *faults =
		container_of(work, struct intel_uapi_faults, work);
	struct intel_uapi_fault fault;
	struct pci_dev *pdev;

	while (kfifo_get(&faults->fifo, &fault)) {
		pdev = pci_get_domain_bus_and_slot(faults->iommu->segment,
						   PCI_BUS_NUM(fault.sid),
						   fault.sid & 0xff);
		if (!pdev)
			continue;
		iommu_uapi_report_dma_fault(&pdev->dev, fault.has_pasid,
					    fault.pasid, fault.addr,
					    fault.write, fault.reason,
					    fault.lost);
		pci_dev_put(pdev);
	}
}

/* Without memory for it, DMA faults are not reported. */
void intel_uapi_init(struct intel_iommu *iommu)
{
	struct intel_uapi_faults *faults;

	faults = kzalloc(sizeof(*faults), GFP_KERNEL);
	if (!faults)
		return;
	faults->iommu = iommu;
	INIT_WORK(&faults->work, intel_uapi_faults_work);
	INIT_KFIFO(faults->fifo);
	iommu->uapi_faults = faults;
}

/* The interrupt for faults is freed. */
void intel_uapi_exit(struct intel_iommu *iommu)
{
	if (!iommu->uapi_faults)
		return;
	cancel_work_sync(&iommu->uapi_faults->work);
	kfree(iommu->uapi_faults);
	iommu->uapi_faults = NULL;
}

/* Called from the interrupt for faults. One too many is counted. */
void intel_uapi_dma_fault(struct intel_iommu *iommu, u16 sid, bool has_pasid,
			  u32 pasid, u64 addr, bool write, u8 reason)
{
	struct intel_uapi_faults *faults = iommu->uapi_faults;
	struct intel_uapi_fault fault = {
		.addr = addr,
		.pasid = pasid,
		.sid = sid,
		.reason = reason,
		.has_pasid = has_pasid,
		.write = write,
	};

	if (!faults || !iommu_uapi_dma_faults_wanted())
		return;
	fault.lost = faults->lost;
	if (kfifo_put(&faults->fifo, fault))
		faults->lost = 0;
	else
		faults->lost++;
	queue_work(system_unbound_wq, &faults->work);
}

const struct iommu_uapi_ops intel_iommu_uapi_ops = {
	.get_caps		= intel_uapi_get_caps,
	.domain_alloc_nested	= intel_uapi_domain_alloc_nested,
	.replace		= intel_uapi_replace,
	.cache_invalidate	= intel_uapi_cache_invalidate,
	.sync_page_requests	= intel_iommu_sync_prq,
	.release		= intel_pasid_release_pages,
};
