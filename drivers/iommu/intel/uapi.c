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

#include "../iommu-uapi.h"
#include "iommu.h"
#include "pasid.h"

/* Flags of a bind that need ECAP.SRS or ECAP.EAFS */
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
	struct pci_dev *pdev;
	u32 max_pasids;

	if (!nested_supported(iommu) || !ecap_flts(iommu->ecap) ||
	    !ecap_slts(iommu->ecap) || !dev_is_pci(dev))
		return -EOPNOTSUPP;

	/* Its requests carry the id of another device. */
	pdev = to_pci_dev(dev);
	if (pci_real_dma_dev(pdev) != pdev)
		return -EOPNOTSUPP;

	caps->gpa_width = intel_nest_parent_width(iommu, s2);
	if (!caps->gpa_width)
		return -EOPNOTSUPP;

	caps->addr_width = cap_fl5lp_support(iommu->cap) ? ADDR_WIDTH_5LEVEL :
							   ADDR_WIDTH_4LEVEL;
	caps->formats = BIT_ULL(IOMMU_UAPI_FORMAT_INTEL_VTD) |
			BIT_ULL(IOMMU_UAPI_FORMAT_SECOND_LEVEL);
	caps->bind_flags = IOMMU_UAPI_BIND_GPASID_VAL |
			   IOMMU_UAPI_BIND_REPLACE | IOMMU_UAPI_BIND_ARCHID;
	caps->page_sizes = SZ_4K | SZ_2M;
	if (cap_fl1gp_support(iommu->cap))
		caps->page_sizes |= SZ_1G;
	/* One table per domain id and PASID; the driver keeps two domain ids. */
	caps->max_bindings = min_t(u64, S32_MAX, (u64)(cap_ndoms(iommu->cap) - 2) *
						 (pasid_supported(iommu) ?
						  2 << ecap_pss(iommu->ecap) : 1));
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
	/* The table is made for the IOMMU of the host that has the fewest PASIDs. */
	max_pasids = min(dev->iommu->max_pasids, info->pasid_table->max_pasid);
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
	 * No inv_pasid: the host writes the PASID entries, and flushes them
	 * itself. A whole domain is invalidated PASID by PASID.
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

/* Check flags and format against the hardware, and say what the entry gets. */
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
	if (data->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL)
		return 0;

	if (data->format != IOMMU_UAPI_FORMAT_INTEL_VTD ||
	    data->vtd.flags & ~caps.vtd_flags)
		return -EOPNOTSUPP;

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
	if (IS_ERR(nested))
		return nested;
	to_dmar_domain(nested)->s1_bypass =
		data->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL;
	to_dmar_domain(nested)->shares_did = true;
	return nested;
}

static int intel_uapi_replace(struct device *dev, ioasid_t pasid,
			      struct iommu_domain *nested,
			      const struct iommu_uapi_gpasid_bind_data *data)
{
	struct dmar_domain *domain = to_dmar_domain(nested);
	struct iommu_hwpt_vtd_s1 cfg = {};
	int ret;

	ret = intel_uapi_first_level(dev, &domain->s2_domain->domain, data,
				     &cfg);
	if (ret)
		return ret;
	return intel_nested_replace(dev, pasid, domain, &cfg,
				    data->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL);
}

/* Descriptors that are submitted together, with one wait for all */
#define INV_BATCH		32

struct inv_batch {
	struct intel_iommu *iommu;
	/* Domain id and PASID of the last IOTLB tag, which may be freed by now */
	u16 did;
	ioasid_t pasid;
	int ret;
	unsigned int nr;
	struct qi_desc desc[INV_BATCH];
};

static void inv_batch_submit(struct inv_batch *batch)
{
	if (!batch->nr)
		return;
	if (qi_submit_sync(batch->iommu, batch->desc, batch->nr, 0))
		batch->ret = -EIO;
	batch->nr = 0;
}

static inline struct qi_desc *inv_batch_desc(struct inv_batch *batch)
{
	if (batch->nr == ARRAY_SIZE(batch->desc))
		inv_batch_submit(batch);
	return &batch->desc[batch->nr++];
}

/* Make the descriptor that invalidates 2^@order pages at @addr in a cache. */
static void inv_desc(struct cache_tag *tag, u64 addr, unsigned int order,
		     bool leaf, struct qi_desc *desc)
{
	struct device_domain_info *info;
	u16 sid;

	if (tag->type == CACHE_TAG_IOTLB) {
		qi_desc_piotlb(tag->domain_id, tag->pasid, addr, order, leaf,
			       desc);
		return;
	}

	info = dev_iommu_priv_get(tag->dev);
	sid = PCI_DEVID(info->bus, info->devfn);
	if (tag->pasid == IOMMU_NO_PASID)
		qi_desc_dev_iotlb(sid, info->pfsid, info->ats_qdep, addr, order,
				  desc);
	else
		qi_desc_dev_iotlb_pasid(sid, info->pfsid, tag->pasid,
					info->ats_qdep, addr, order, desc);
}

/* Put @desc into the batch, and @again times more if the device needs that. */
static void inv_batch_add(struct inv_batch *batch, const struct qi_desc *desc,
			  unsigned int again)
{
	unsigned int i;

	for (i = 0; i <= again; i++)
		*inv_batch_desc(batch) = *desc;
}

/* Put everything of the PASID into the batch. */
static void inv_batch_add_all(struct inv_batch *batch, struct cache_tag *tag,
			      unsigned int again)
{
	struct qi_desc desc;

	if (tag->type == CACHE_TAG_IOTLB)
		qi_desc_piotlb_all(tag->domain_id, tag->pasid, &desc);
	else
		inv_desc(tag, 0, MAX_AGAW_PFN_WIDTH, false, &desc);
	inv_batch_add(batch, &desc, again);
}

/*
 * One descriptor invalidates a naturally aligned power of two. If the smallest
 * one around a range is much larger than the range, because the range lies
 * across an alignment boundary, then take one on either side of it.
 */
static void inv_batch_add_pages(struct inv_batch *batch, struct cache_tag *tag,
				unsigned int again, u64 first, u64 last,
				bool leaf)
{
	unsigned int order;
	struct qi_desc desc;
	u64 end;

	do {
		end = last;
		order = fls64(first ^ last);
		if (order >= 2 && last - first + 1 <= BIT_ULL(order - 2)) {
			end = ((last >> (order - 1)) << (order - 1)) - 1;
			order = fls64(first ^ end);
		}
		inv_desc(tag, (first >> order) << (order + VTD_PAGE_SHIFT),
			 order, leaf, &desc);
		inv_batch_add(batch, &desc, again);
		first = end + 1;
	} while (first <= last);
}

/* Put a range of pages into the batch. @page is for a page at address 0. */
static inline void inv_batch_add_range(struct inv_batch *batch,
				       struct cache_tag *tag,
				       const struct qi_desc *page,
				       unsigned int again, u64 first, u64 last,
				       bool leaf)
{
	struct qi_desc *desc;

	/* Most ranges of an array are a page. */
	if (first != last || again) {
		inv_batch_add_pages(batch, tag, again, first, last, leaf);
		return;
	}
	desc = inv_batch_desc(batch);
	desc->qw0 = page->qw0;
	desc->qw1 = page->qw1 | first << VTD_PAGE_SHIFT;
	desc->qw2 = 0;
	desc->qw3 = 0;
}

/* Can invalidations be sent to the device? */
static bool inv_reaches_dev(struct inv_batch *batch, struct cache_tag *tag)
{
	struct device_domain_info *info = dev_iommu_priv_get(tag->dev);

	if (!dev_iotlb_reachable(info)) {
		if (READ_ONCE(info->ats_timed_out))
			batch->ret = -EIO;
		return false;
	}
	/* No invalidation requests to the device before translation is on. */
	return tag->iommu->gcmd & DMA_GCMD_TE;
}

/*
 * Put entries that differ only in the first address and the number of granules into
 * the batch, for one cache. A range that continues the one before is merged into
 * that. Not inline, so that the variables of the loop stay in registers.
 */
static noinline void
inv_batch_add_tag(struct inv_batch *batch, struct cache_tag *tag,
		  const struct iommu_uapi_cache_invalidate_info *info, u32 nr)
{
	const struct iommu_uapi_inv_addr_info *addr = &info->addr_info;
	bool leaf = addr->flags & IOMMU_UAPI_INV_ADDR_LEAF;
	struct device_domain_info *dev_info;
	u64 first, last, next, next_last;
	unsigned int order, again = 0;
	struct qi_desc page;
	u32 i;

	if (batch->iommu != tag->iommu) {
		inv_batch_submit(batch);
		batch->iommu = tag->iommu;
		batch->pasid = IOMMU_PASID_INVALID;
	}

	if (tag->type == CACHE_TAG_IOTLB) {
		if (!(info->cache & IOMMU_UAPI_CACHE_IOTLB))
			return;
		batch->did = tag->domain_id;
		batch->pasid = tag->pasid;
	} else {
		/* It may have cached what the IOTLB had: either flag means it. */
		if (!inv_reaches_dev(batch, tag))
			return;
		dev_info = dev_iommu_priv_get(tag->dev);
		again = dev_info->dtlb_extra_inval;
	}

	if (info->granularity != IOMMU_UAPI_GRANU_ADDR) {
		inv_batch_add_all(batch, tag, again);
		return;
	}

	inv_desc(tag, 0, 0, leaf, &page);
	order = __ffs64(addr->granule_size) - VTD_PAGE_SHIFT;
	first = addr->addr >> VTD_PAGE_SHIFT;
	last = first + (addr->nb_granules << order) - 1;
	for (i = 1; i < nr; i++) {
		addr = &info[i].addr_info;
		next = addr->addr >> VTD_PAGE_SHIFT;
		next_last = next + (addr->nb_granules << order) - 1;
		if (next <= last + 1 && next_last + 1 >= first) {
			first = min(first, next);
			last = max(last, next_last);
			continue;
		}
		inv_batch_add_range(batch, tag, &page, again, first, last, leaf);
		first = next;
		last = next_last;
	}
	inv_batch_add_range(batch, tag, &page, again, first, last, leaf);
}

/* Two domains with the same table share what the IOTLB has of it. */
static bool inv_batch_has(const struct inv_batch *batch,
			  const struct cache_tag *tag)
{
	return tag->type == CACHE_TAG_IOTLB && tag->pasid == batch->pasid &&
	       tag->domain_id == batch->did && tag->iommu == batch->iommu;
}

/*
 * Put entries into the batch for each cache of a domain. The lock is needed although
 * the binding stays: a reset may detach the device meanwhile, which frees the tags.
 */
static void
inv_batch_add_domain(struct inv_batch *batch, struct dmar_domain *domain,
		     const struct iommu_uapi_cache_invalidate_info *info, u32 nr)
{
	struct cache_tag *tag;
	unsigned long flags;

	spin_lock_irqsave(&domain->cache_lock, flags);
	/* The IOTLB comes first: the device may load again from there. */
	list_for_each_entry(tag, &domain->cache_tags, node) {
		if (!inv_batch_has(batch, tag))
			inv_batch_add_tag(batch, tag, info, nr);
	}
	spin_unlock_irqrestore(&domain->cache_lock, flags);
}

/* Is there a flag that is not known here? The core has checked the rest. */
static bool inv_unknown(const struct iommu_uapi_cache_invalidate_info *info)
{
	if (!info->cache || info->cache & ~(IOMMU_UAPI_CACHE_IOTLB |
					    IOMMU_UAPI_CACHE_DEV_IOTLB))
		return true;

	switch (info->granularity) {
	case IOMMU_UAPI_GRANU_DOMAIN:
	case IOMMU_UAPI_GRANU_PASID:
		return info->pasid_info.flags & ~(IOMMU_UAPI_INV_PASID_PASID |
						  IOMMU_UAPI_INV_PASID_ARCHID |
						  IOMMU_UAPI_INV_PASID_GROUP);
	case IOMMU_UAPI_GRANU_ADDR:
		return info->addr_info.flags & ~(IOMMU_UAPI_INV_ADDR_PASID |
						 IOMMU_UAPI_INV_ADDR_ARCHID |
						 IOMMU_UAPI_INV_ADDR_LEAF |
						 IOMMU_UAPI_INV_ADDR_GROUP);
	default:
		return true;
	}
}

/* How many entries, from the first, have the same flags? */
static inline u32 inv_alike(const struct iommu_uapi_cache_invalidate_info *info,
			    u32 nr)
{
	u32 i;

	for (i = 1; i < nr; i++) {
		if (!iommu_uapi_inv_alike(info, &info[i]))
			break;
	}
	return i;
}

static int
intel_uapi_cache_invalidate(struct iommu_uapi_binding **bindings,
			    unsigned int nr_bindings,
			    const struct iommu_uapi_cache_invalidate_info *info,
			    u32 nr)
{
	/* Only descriptors that have been added are read. */
	struct inv_batch batch __uninitialized;
	struct dmar_domain *domain;
	u32 i, alike, done;

	batch.iommu = NULL;
	batch.nr = 0;
	batch.ret = 0;

	/* A device must not be reset until it has answered. */
	rcu_read_lock();
	for (done = 0; done < nr; done += alike, info += alike) {
		if (inv_unknown(info))
			break;
		alike = inv_alike(info, nr - done);
		batch.pasid = IOMMU_PASID_INVALID;
		for (i = 0; i < nr_bindings; i++) {
			if (bindings[i]->format == IOMMU_UAPI_FORMAT_SECOND_LEVEL)
				continue;
			domain = to_dmar_domain(bindings[i]->handle.domain);
			inv_batch_add_domain(&batch, domain, info, alike);
		}
	}
	inv_batch_submit(&batch);
	rcu_read_unlock();

	if (batch.ret)
		return batch.ret;
	return done ?: -EOPNOTSUPP;
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
	/* Only the interrupt writes it, and only the worker reads it. */
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

/* To be called after the interrupt for faults is freed */
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
	queue_work(system_dfl_wq, &faults->work);
}

const struct iommu_uapi_ops intel_iommu_uapi_ops = {
	.get_caps		= intel_uapi_get_caps,
	.domain_alloc_nested	= intel_uapi_domain_alloc_nested,
	.replace		= intel_uapi_replace,
	.cache_invalidate	= intel_uapi_cache_invalidate,
	.sync_page_requests	= intel_iommu_sync_prq,
	.release		= intel_pasid_release_pages,
};
