/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fixture: a device, guest memory, a page table, and a PASID that isn't bound
 */
#ifndef _SELFTESTS_IOMMU_UAPI_NESTING_H
#define _SELFTESTS_IOMMU_UAPI_NESTING_H

#include "device.h"
#include "harness.h"

FIXTURE(nesting)
{
	struct nest n;
	struct pgt pt;
	__u32 pasid;
	__u64 page[2];
};

FIXTURE_VARIANT(nesting)
{
	int nth;
};

FIXTURE_VARIANT_ADD(nesting, first)
{
	.nth = 0,
};

/* In the lab, one that caches translations by itself. */
FIXTURE_VARIANT_ADD(nesting, second)
{
	.nth = 1,
};

FIXTURE_SETUP(nesting)
{
	struct nest *n = &self->n;

	if (!need_extension(_metadata))
		return;
	if (!test_open(_metadata, n, variant->nth, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_HOST_PASID))
		SKIP(return, "no PASIDs for this device");

	n->td.ats = device_caches(n);
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	/* Neighbours for the device, but not in memory. */
	self->page[1] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	self->page[0] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page[0], PGT_4K, PGT_RW));
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + PGT_4K, self->page[1], PGT_4K,
			  PGT_RW));
	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &self->pasid));
}

FIXTURE_TEARDOWN(nesting)
{
}

/* The PASID of the fixture is the container's, and not bound. */
static inline void expect_unchanged(struct __test_metadata *_metadata,
				    struct _test_data_nesting *self)
{
	EXPECT_ERR(ENOENT, unbind(&self->n, self->pasid));
	EXPECT_EQ(1, nest_used(self->n.container));
}

/* After a sweep of bad calls, a good one is as good as ever. */
static inline void expect_clean(struct __test_metadata *_metadata,
				struct _test_data_nesting *self)
{
	EXPECT_TRUE(dma_faults(&self->n, self->pasid, GUEST_VA));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(unbind(&self->n, self->pasid));
	expect_unchanged(_metadata, self);
}

#endif /* _SELFTESTS_IOMMU_UAPI_NESTING_H */
