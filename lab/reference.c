// SPDX-License-Identifier: GPL-2.0
/*
 * The reference test: nested translation of requests without PASID, driven by an
 * unpatched kernel through IOMMUFD.
 *
 * The series and the emulated VT-d have the same authors, who could misread the
 * specification in both. The code that runs here is upstream's: if it works, the
 * emulator behaves as existing kernels expect of a VT-d.
 */
#include <linux/vfio.h>

#include "kselftest_harness.h"

#include "iommufd.h"
#include "pgtable.h"
#include "testdev.h"

/* Seconds, however busy the machine is that emulates this one */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	1800

#define GPA		0x40000000ULL
#define MEM_SIZE	(32UL << 20)
/* Separate memory, which can be unmapped alone. */
#define GPA_EXTRA	0x80000000ULL
#define EXTRA_SIZE	(4UL << 20)
#define GVA		0x7f1234560000ULL

#define ECAP_NEST	0x4000000ULL
#define CAP_FL1GP	0x100000000000000ULL

FIXTURE(reference)
{
	char bdf[16];
	int iommufd;
	int dev;
	struct testdev td;
	__u64 cap;
	__u32 dev_id;
	__u32 ioas;
	__u32 parent;
	__u32 nested;
	struct gmem mem;
	struct gmem extra;
	struct pgt pt;
	__u8 out[TESTDEV_BUF_SIZE];
	__u8 in[TESTDEV_BUF_SIZE];
};

FIXTURE_VARIANT(reference)
{
	int nth;
	/* The device caches translations, and the kernel has the fixes */
	int cached;
};

/* The first device has no ATS capability, the second one has. */
FIXTURE_VARIANT_ADD(reference, plain)
{
	.nth = 0,
};

FIXTURE_VARIANT_ADD(reference, ats)
{
	.nth = 1,
};

/*
 * The second device, which caches translations itself. 6.12 disables ATS in a
 * nested domain, so this needs the fixes of the series.
 */
FIXTURE_VARIANT_ADD(reference, cached)
{
	.nth = 1,
	.cached = 1,
};

static int detach(int dev)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};

	return ioctl(dev, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach) ? -errno : 0;
}

/* Returns 0 or an error, and the number of entries handled in @nr. */
static int invalidate_array(int iommufd, __u32 hwpt,
			    struct iommu_hwpt_vtd_s1_invalidate *entries,
			    __u32 *nr)
{
	struct iommu_hwpt_invalidate inv = {
		.size = sizeof(inv),
		.hwpt_id = hwpt,
		.data_uptr = (uintptr_t)entries,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.entry_len = sizeof(*entries),
		.entry_num = *nr,
	};
	int rc = ioctl(iommufd, IOMMU_HWPT_INVALIDATE, &inv) ? -errno : 0;

	*nr = inv.entry_num;
	return rc;
}

static int invalidate(int iommufd, __u32 hwpt, __u64 addr, __u64 npages,
		      __u32 flags)
{
	struct iommu_hwpt_vtd_s1_invalidate entry = {
		.addr = addr,
		.npages = npages,
		.flags = flags,
	};
	__u32 nr = 1;
	int rc = invalidate_array(iommufd, hwpt, &entry, &nr);

	return rc ? rc : nr == 1 ? 0 : -EIO;
}

/* Bytes that differ from page to page and from test to test. */
static void pattern(__u8 *buf, size_t len, __u32 seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		buf[i] = seed >> 16;
	}
}

FIXTURE_SETUP(reference)
{
	struct iommu_hw_info_vtd vtd = {};
	struct iommu_hw_info info = {
		.size = sizeof(info),
		.data_len = sizeof(vtd),
		.data_uptr = (uintptr_t)&vtd,
	};

	self->iommufd = open("/dev/iommu", O_RDWR);
	if (self->iommufd < 0)
		SKIP(return, "no IOMMUFD: /dev/iommu: %s", strerror(errno));
	if (testdev_find(self->bdf, variant->nth, 1))
		SKIP(return, "no test device number %d (1af4:10f0)",
		     variant->nth);
	ASSERT_EQ(0, testdev_bind_vfio(self->bdf));
	self->dev = open_cdev(self->bdf);
	if (self->dev < 0)
		SKIP(return, "no VFIO character device for %s: %s", self->bdf,
		     strerror(-self->dev));
	ASSERT_EQ(0, bind_iommufd(self->dev, self->iommufd, &self->dev_id));

	info.dev_id = self->dev_id;
	ASSERT_EQ(0, ioctl(self->iommufd, IOMMU_GET_HW_INFO, &info));
	if (info.out_data_type != IOMMU_HW_INFO_TYPE_INTEL_VTD)
		SKIP(return, "the IOMMU of %s is not a VT-d", self->bdf);
	if (!(vtd.ecap_reg & ECAP_NEST))
		SKIP(return, "the VT-d of %s can't nest: ECAP 0x%llx",
		     self->bdf, vtd.ecap_reg);
	self->cap = vtd.cap_reg;

	ASSERT_EQ(0, testdev_init(&self->td, self->dev));
	self->td.ats = variant->cached;
	ASSERT_EQ(0, gmem_init(&self->mem, GPA, MEM_SIZE));
	ASSERT_EQ(0, gmem_init(&self->extra, GPA_EXTRA, EXTRA_SIZE));
	ASSERT_EQ(0, pgt_init(&self->pt, &self->mem));

	ASSERT_EQ(0, ioas_alloc(self->iommufd, &self->ioas));
	ASSERT_EQ(0, hwpt_alloc_parent(self->iommufd, self->dev_id, self->ioas,
				       &self->parent));
	ASSERT_EQ(0, ioas_map_rw(self->iommufd, self->ioas, self->mem.base,
				 GPA, MEM_SIZE));
	ASSERT_EQ(0, ioas_map_rw(self->iommufd, self->ioas, self->extra.base,
				 GPA_EXTRA, EXTRA_SIZE));
	ASSERT_EQ(0, hwpt_alloc_nested(self->iommufd, self->dev_id,
				       self->parent, self->pt.root, 48, 0,
				       &self->nested));
	ASSERT_EQ(0, attach(self->dev, self->nested));
}

FIXTURE_TEARDOWN(reference)
{
	if (self->dev > 0)
		close(self->dev);
	if (self->iommufd > 0)
		close(self->iommufd);
}

/* Maps a new page at @va and returns its guest-physical address. */
static __u64 map_page(struct __test_metadata *_metadata,
		      FIXTURE_DATA(reference) * self, __u64 va, __u64 size,
		      __u64 bits)
{
	__u64 gpa = gmem_alloc(&self->mem, size, size);

	ASSERT_NE(0, gpa);
	ASSERT_EQ(0, pgt_map(&self->pt, va, gpa, size, bits));
	return gpa;
}

#define MAP_PAGE(va, size, bits) map_page(_metadata, self, va, size, bits)

static void *at(FIXTURE_DATA(reference) * self, __u64 gpa)
{
	return gmem_ptr(gmem_has(&self->mem, gpa) ? &self->mem : &self->extra,
			gpa);
}

#define BYTES_DIFFER	100

/* Let the device read at @va, and check that it gets the bytes at @gpa. */
static int reads(FIXTURE_DATA(reference) * self, __u64 va, __u64 gpa, __u32 len,
		 __u32 seed)
{
	int rc;

	pattern(at(self, gpa), len, seed);
	memset(self->in, 0, len);
	rc = testdev_read(&self->td, TESTDEV_NO_PASID, va, self->in, len);
	if (rc)
		return rc;
	return memcmp(self->in, at(self, gpa), len) ? BYTES_DIFFER : 0;
}

/* Let the device write at @va, and check that the bytes arrive at @gpa. */
static int writes(FIXTURE_DATA(reference) * self, __u64 va, __u64 gpa, __u32 len,
		  __u32 seed)
{
	int rc;

	pattern(self->out, len, seed);
	memset(at(self, gpa), 0, len);
	rc = testdev_write(&self->td, TESTDEV_NO_PASID, va, self->out, len);
	if (rc)
		return rc;
	return memcmp(self->out, at(self, gpa), len) ? BYTES_DIFFER : 0;
}

#define EXPECT_READS(va, gpa, len) \
	EXPECT_EQ(TESTDEV_DONE, reads(self, va, gpa, len, __LINE__))

#define EXPECT_WRITES(va, gpa, len) \
	EXPECT_EQ(TESTDEV_DONE, writes(self, va, gpa, len, __LINE__))

#define EXPECT_READ_FAULTS(va)						\
	EXPECT_EQ(TESTDEV_FAULT,					\
		  testdev_read(&self->td, TESTDEV_NO_PASID, va, self->in, 64))

#define EXPECT_WRITE_FAULTS(va)						\
	EXPECT_EQ(TESTDEV_FAULT,					\
		  testdev_write(&self->td, TESTDEV_NO_PASID, va, self->out, 64))

TEST_F(reference, pages_4k)
{
	__u64 a = MAP_PAGE(GVA, PGT_4K, PGT_RW);
	__u64 hole = gmem_alloc(&self->mem, PGT_4K, PGT_4K);
	__u64 b = MAP_PAGE(GVA + PGT_4K, PGT_4K, PGT_RW);

	ASSERT_NE(a + PGT_4K, b);
	EXPECT_READS(GVA, a, 1);
	EXPECT_READS(GVA + 8, a + 8, 64);
	EXPECT_READS(GVA + PGT_4K, b, TESTDEV_BUF_SIZE);
	EXPECT_WRITES(GVA + 0x7ff, a + 0x7ff, TESTDEV_BUF_SIZE);
	EXPECT_WRITES(GVA + PGT_4K + 0xfff, b + 0xfff, 1);

	/* Across the boundary of two pages that are not contiguous in memory. */
	pattern(self->out, 1024, 1);
	memset(gmem_ptr(&self->mem, hole), 0, PGT_4K);
	EXPECT_EQ(TESTDEV_DONE,
		  testdev_write(&self->td, TESTDEV_NO_PASID, GVA + 0xe00,
				self->out, 1024));
	EXPECT_EQ(0, memcmp(self->out, gmem_ptr(&self->mem, a + 0xe00), 512));
	EXPECT_EQ(0, memcmp(self->out + 512, gmem_ptr(&self->mem, b), 512));
	EXPECT_EQ(0, *(__u64 *)gmem_ptr(&self->mem, hole));
	EXPECT_EQ(TESTDEV_DONE,
		  testdev_read(&self->td, TESTDEV_NO_PASID, GVA + 0xe00,
			       self->in, 1024));
	EXPECT_EQ(0, memcmp(self->in, self->out, 1024));

	/* The neighbours aren't mapped. */
	EXPECT_READ_FAULTS(GVA + 2 * PGT_4K);
	EXPECT_WRITE_FAULTS(GVA - PGT_4K);
	/* Guest-physical addresses don't reach memory any more either. */
	EXPECT_READ_FAULTS(a);
}

/* Both halves of the canonical range, and non-canonical addresses. */
TEST_F(reference, canonical)
{
	__u64 low = 0x00007ffffffff000ULL;
	__u64 high = 0xffff800000000000ULL;
	__u64 a = MAP_PAGE(low, PGT_4K, PGT_RW);
	__u64 b = MAP_PAGE(high, PGT_4K, PGT_RW);

	EXPECT_WRITES(low, a, 128);
	EXPECT_WRITES(high, b, 128);
	EXPECT_READS(low, a, 128);
	EXPECT_READS(high, b, 128);
	EXPECT_READ_FAULTS(low + PGT_4K);
	EXPECT_READ_FAULTS(high & 0x0000ffffffffffffULL);
	EXPECT_WRITE_FAULTS(high & 0x0000ffffffffffffULL);
}

TEST_F(reference, pages_2m)
{
	__u64 va = GVA & ~(PGT_2M - 1);
	__u64 a = MAP_PAGE(va, PGT_2M, PGT_RW);
	__u64 b;

	EXPECT_READS(va, a, 64);
	EXPECT_WRITES(va + 0x123450, a + 0x123450, TESTDEV_BUF_SIZE);
	EXPECT_READS(va + PGT_2M - 64, a + PGT_2M - 64, 64);
	EXPECT_READ_FAULTS(va + PGT_2M);

	/* A 4 KiB page next to it. */
	b = MAP_PAGE(va + PGT_2M, PGT_4K, PGT_RW);
	EXPECT_WRITES(va + PGT_2M, b, 64);
	EXPECT_READ_FAULTS(va + PGT_2M + PGT_4K);
}

TEST_F(reference, pages_1g)
{
	__u64 va = GVA & ~(PGT_1G - 1);

	if (!(self->cap & CAP_FL1GP))
		SKIP(return, "no 1 GiB pages at the first level: CAP 0x%llx",
		     self->cap);
	/* The page reaches beyond what the second level maps. */
	ASSERT_EQ(0, pgt_map(&self->pt, va, GPA, PGT_1G, PGT_RW));
	EXPECT_READS(va + MEM_SIZE - 64, GPA + MEM_SIZE - 64, 64);
	EXPECT_WRITES(va + MEM_SIZE - 4096, GPA + MEM_SIZE - 4096, 64);
	EXPECT_READ_FAULTS(va + MEM_SIZE);
	EXPECT_WRITE_FAULTS(va + PGT_1G - PGT_4K);
}

TEST_F(reference, permissions)
{
	__u64 ro = MAP_PAGE(GVA, PGT_4K, PGT_RO);
	__u64 su = MAP_PAGE(GVA + PGT_4K, PGT_4K, PGT_P | PGT_W);
	__u64 far = GVA + PGT_1G;
	__u64 *e;
	__u64 b;

	/* Read-only. */
	EXPECT_READS(GVA, ro, 64);
	EXPECT_WRITE_FAULTS(GVA);
	EXPECT_EQ(0, *pgt_leaf(&self->pt, GVA) & PGT_D);
	pattern(self->out, 64, 2);
	EXPECT_NE(0, memcmp(gmem_ptr(&self->mem, ro), self->out, 64));

	/* For privileged requests only. */
	memset(gmem_ptr(&self->mem, su), 0x55, 64);
	EXPECT_READ_FAULTS(GVA + PGT_4K);
	EXPECT_WRITE_FAULTS(GVA + PGT_4K);
	EXPECT_EQ(0x55, *(__u8 *)gmem_ptr(&self->mem, su));

	/* A read-only upper level makes everything below it read-only. */
	b = MAP_PAGE(far, PGT_4K, PGT_RW);
	e = pgt_entry(&self->pt, far, 3);
	ASSERT_NE(NULL, e);
	*e &= ~PGT_W;
	EXPECT_READS(far, b, 64);
	EXPECT_WRITE_FAULTS(far);

	/* Writable again, with an invalidation. */
	*e |= PGT_W;
	ASSERT_EQ(0, invalidate(self->iommufd, self->nested, 0, ~0ULL, 0));
	EXPECT_WRITES(far, b, 64);
}

TEST_F(reference, accessed_dirty)
{
	__u64 gpa = MAP_PAGE(GVA, PGT_4K, PGT_RW);
	__u64 big_va = (GVA & ~(PGT_2M - 1)) + PGT_1G;
	__u64 big = MAP_PAGE(big_va, PGT_2M, PGT_RW);
	int level;

	for (level = 4; level >= 1; level--)
		EXPECT_EQ(0, *pgt_entry(&self->pt, GVA, level) & PGT_A);
	EXPECT_READS(GVA, gpa, 64);
	for (level = 4; level >= 1; level--)
		EXPECT_EQ(PGT_A, *pgt_entry(&self->pt, GVA, level) &
					 (PGT_A | PGT_D));

	/* The read has cached a translation. A write must still set D. */
	EXPECT_WRITES(GVA, gpa, 64);
	EXPECT_EQ(PGT_A | PGT_D, *pgt_leaf(&self->pt, GVA) & (PGT_A | PGT_D));
	for (level = 4; level >= 2; level--)
		EXPECT_EQ(PGT_A, *pgt_entry(&self->pt, GVA, level) &
					 (PGT_A | PGT_D));

	EXPECT_EQ(0, *pgt_leaf(&self->pt, big_va) & (PGT_A | PGT_D));
	EXPECT_WRITES(big_va + 0x10000, big + 0x10000, 64);
	EXPECT_EQ(PGT_A | PGT_D,
		  *pgt_leaf(&self->pt, big_va) & (PGT_A | PGT_D));

	/* After the guest clears A and D and invalidates, a write sets them. */
	*pgt_leaf(&self->pt, GVA) &= ~(PGT_A | PGT_D);
	ASSERT_EQ(0, invalidate(self->iommufd, self->nested, GVA, 1,
				IOMMU_VTD_INV_FLAGS_LEAF));
	EXPECT_WRITES(GVA, gpa, 64);
	EXPECT_EQ(PGT_A | PGT_D, *pgt_leaf(&self->pt, GVA) & (PGT_A | PGT_D));
}

/* Unmap a page: DMA succeeds until the invalidation, and faults after it. */
static void stale_then_fault(struct __test_metadata *_metadata,
			     FIXTURE_DATA(reference) * self, __u64 inv_addr,
			     __u64 npages, __u32 flags)
{
	__u64 gpa = MAP_PAGE(GVA, PGT_4K, PGT_RW);

	EXPECT_WRITES(GVA, gpa, 64);
	ASSERT_NE(0, pgt_unmap(&self->pt, GVA));
	EXPECT_WRITES(GVA, gpa, 64);
	EXPECT_READS(GVA, gpa, 64);
	ASSERT_EQ(0, invalidate(self->iommufd, self->nested, inv_addr, npages,
				flags));
	EXPECT_READ_FAULTS(GVA);
	EXPECT_WRITE_FAULTS(GVA);
}

TEST_F(reference, invalidate_page)
{
	stale_then_fault(_metadata, self, GVA, 1, 0);
}

TEST_F(reference, invalidate_leaf)
{
	stale_then_fault(_metadata, self, GVA, 1, IOMMU_VTD_INV_FLAGS_LEAF);
}

TEST_F(reference, invalidate_range)
{
	stale_then_fault(_metadata, self, GVA - 3 * PGT_4K, 9, 0);
}

TEST_F(reference, invalidate_all)
{
	stale_then_fault(_metadata, self, 0, ~0ULL, 0);
}

/* One entry is for a page that has moved, the other for an unmapped 2 MiB page. */
TEST_F(reference, invalidate_array)
{
	__u64 big_va = (GVA & ~(PGT_2M - 1)) + PGT_1G;
	struct iommu_hwpt_vtd_s1_invalidate entries[] = {
		{ .addr = GVA, .npages = 1 },
		{ .addr = big_va, .npages = 512 },
	};
	__u64 a = MAP_PAGE(GVA, PGT_4K, PGT_RW);
	__u64 big = MAP_PAGE(big_va, PGT_2M, PGT_RW);
	__u64 b = gmem_alloc(&self->mem, PGT_4K, PGT_4K);
	__u32 nr = 2;

	EXPECT_WRITES(GVA, a, 64);
	EXPECT_WRITES(big_va + 0x54320, big + 0x54320, 64);
	*pgt_leaf(&self->pt, GVA) = b | PGT_RW;
	pgt_unmap(&self->pt, big_va);
	EXPECT_WRITES(GVA, a, 64);
	EXPECT_WRITES(big_va + 0x54320, big + 0x54320, 64);
	ASSERT_EQ(0, invalidate_array(self->iommufd, self->nested, entries,
				      &nr));
	EXPECT_EQ(2, nr);
	EXPECT_WRITES(GVA, b, 64);
	EXPECT_READS(GVA, b, 64);
	EXPECT_WRITE_FAULTS(big_va + 0x54320);
}

TEST_F(reference, invalidate_refused)
{
	struct iommu_hwpt_vtd_s1_invalidate entries[] = {
		{ .addr = GVA, .npages = 1 },
		{ .addr = GVA, .npages = 1, .flags = 1 << 31 },
		{ .addr = GVA, .npages = 1 },
	};
	__u32 nr = 3;

	EXPECT_EQ(-EOPNOTSUPP, invalidate_array(self->iommufd, self->nested,
						entries, &nr));
	EXPECT_EQ(1, nr);
	EXPECT_EQ(-EINVAL, invalidate(self->iommufd, self->nested, GVA + 1, 1,
				      0));
	EXPECT_EQ(-EINVAL, invalidate(self->iommufd, self->nested, GVA, ~0ULL,
				      0));
}

/*
 * The host unmaps memory. Nobody invalidates the first level: the kernel must
 * flush every translation that combines both levels.
 */
TEST_F(reference, second_level)
{
	__u64 other_va = GVA + 16 * PGT_4K;
	__u64 a = MAP_PAGE(other_va, PGT_4K, PGT_RW);
	struct gmem fresh = {};

	ASSERT_EQ(0, pgt_map(&self->pt, GVA, GPA_EXTRA, PGT_4K, PGT_RW));
	EXPECT_WRITES(GVA, GPA_EXTRA, 64);
	EXPECT_READS(other_va, a, 64);
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, GPA_EXTRA,
				EXTRA_SIZE));
	EXPECT_READ_FAULTS(GVA);
	EXPECT_WRITE_FAULTS(GVA);
	EXPECT_READS(other_va, a, 64);

	/* Map other memory at the same address. */
	ASSERT_EQ(0, gmem_init(&fresh, GPA_EXTRA, EXTRA_SIZE));
	ASSERT_EQ(0, ioas_map_rw(self->iommufd, self->ioas, fresh.base,
				 GPA_EXTRA, EXTRA_SIZE));
	memset(gmem_ptr(&self->extra, GPA_EXTRA), 0, 64);
	pattern(self->out, 64, 3);
	EXPECT_EQ(TESTDEV_DONE, testdev_write(&self->td, TESTDEV_NO_PASID, GVA,
					      self->out, 64));
	EXPECT_EQ(0, memcmp(self->out, gmem_ptr(&fresh, GPA_EXTRA), 64));
	EXPECT_EQ(0, *(__u64 *)gmem_ptr(&self->extra, GPA_EXTRA));
}

/* The same for the memory that holds the page table. */
TEST_F(reference, second_level_of_table)
{
	__u64 gpa = gmem_alloc(&self->mem, PGT_4K, PGT_4K);
	struct pgt pt;
	__u32 hwpt;

	ASSERT_EQ(0, pgt_init(&pt, &self->extra));
	ASSERT_EQ(0, pgt_map(&pt, GVA, gpa, PGT_4K, PGT_RW));
	ASSERT_EQ(0, hwpt_alloc_nested(self->iommufd, self->dev_id,
				       self->parent, pt.root, 48, 0, &hwpt));
	ASSERT_EQ(0, attach(self->dev, hwpt));
	EXPECT_WRITES(GVA, gpa, 64);
	ASSERT_EQ(0, ioas_unmap(self->iommufd, self->ioas, GPA_EXTRA,
				EXTRA_SIZE));
	EXPECT_READ_FAULTS(GVA);
	EXPECT_WRITE_FAULTS(GVA);
	ASSERT_EQ(0, ioas_map_rw(self->iommufd, self->ioas, self->extra.base,
				 GPA_EXTRA, EXTRA_SIZE));
	EXPECT_WRITES(GVA, gpa, 64);
}

/* The first level points to pages, or page tables, that the host has not mapped. */
TEST_F(reference, out_of_memory)
{
	__u64 outside = GPA_EXTRA + EXTRA_SIZE;
	__u64 table_va = GVA + PGT_1G;

	ASSERT_EQ(0, pgt_map(&self->pt, GVA, outside, PGT_4K, PGT_RW));
	EXPECT_READ_FAULTS(GVA);
	EXPECT_WRITE_FAULTS(GVA);

	MAP_PAGE(table_va, PGT_4K, PGT_RW);
	*pgt_entry(&self->pt, table_va, 3) = outside | PGT_RW;
	EXPECT_READ_FAULTS(table_va);
	EXPECT_WRITE_FAULTS(table_va);
}

/* Replace the page table by another one. */
TEST_F(reference, replace)
{
	__u64 a = MAP_PAGE(GVA, PGT_4K, PGT_RW);
	__u64 b = gmem_alloc(&self->mem, PGT_4K, PGT_4K);
	struct pgt pt;
	__u32 hwpt;

	EXPECT_WRITES(GVA, a, 64);
	ASSERT_EQ(0, pgt_init(&pt, &self->mem));
	ASSERT_EQ(0, pgt_map(&pt, GVA, b, PGT_4K, PGT_RW));
	ASSERT_EQ(0, hwpt_alloc_nested(self->iommufd, self->dev_id,
				       self->parent, pt.root, 48, 0, &hwpt));
	ASSERT_EQ(0, attach(self->dev, hwpt));
	EXPECT_WRITES(GVA, b, 64);
	EXPECT_READS(GVA, b, 64);
	ASSERT_EQ(0, attach(self->dev, self->nested));
	EXPECT_WRITES(GVA, a, 64);

	/* The second level alone: guest-physical addresses. */
	ASSERT_EQ(0, attach(self->dev, self->parent));
	EXPECT_WRITES(a, a, 64);
	EXPECT_READ_FAULTS(GVA);
	ASSERT_EQ(0, attach(self->dev, self->nested));
	EXPECT_READ_FAULTS(a);
	EXPECT_READS(GVA, a, 64);
}

TEST_F(reference, detach)
{
	__u64 gpa = MAP_PAGE(GVA, PGT_4K, PGT_RW);

	EXPECT_WRITES(GVA, gpa, 64);
	ASSERT_EQ(0, detach(self->dev));
	EXPECT_READ_FAULTS(GVA);
	EXPECT_WRITE_FAULTS(GVA);
	EXPECT_READ_FAULTS(gpa);
	ASSERT_EQ(0, attach(self->dev, self->nested));
	EXPECT_WRITES(GVA, gpa, 64);
}

/* An address width that the hardware lacks is refused without side effects. */
TEST_F(reference, address_width)
{
	__u64 gpa = MAP_PAGE(GVA, PGT_4K, PGT_RW);
	__u32 hwpt;

	ASSERT_EQ(0, hwpt_alloc_nested(self->iommufd, self->dev_id,
				       self->parent, self->pt.root, 39, 0,
				       &hwpt));
	ASSERT_EQ(0, detach(self->dev));
	EXPECT_EQ(-EINVAL, attach(self->dev, hwpt));
	EXPECT_READ_FAULTS(GVA);
	EXPECT_READ_FAULTS(gpa);
	ASSERT_EQ(0, attach(self->dev, self->nested));
	EXPECT_READS(GVA, gpa, 64);
}

/*
 * An unaligned table pointer. 6.12 writes its low bits to other fields of the
 * PASID entry, here to EAFE, which this hardware does not have.
 */
TEST_F(reference, pointer_bits)
{
	__u64 gpa = MAP_PAGE(GVA, PGT_4K, PGT_RW);
	__u32 hwpt;

	ASSERT_EQ(0, hwpt_alloc_nested(self->iommufd, self->dev_id,
				       self->parent, self->pt.root | 0x80, 48,
				       0, &hwpt));
	ASSERT_EQ(0, attach(self->dev, hwpt));
	if (variant->cached) {
		EXPECT_READS(GVA, gpa, 64);
	} else {
		EXPECT_READ_FAULTS(GVA);
	}
}

/* A nest parent takes no read-only mappings. */
TEST_F(reference, read_only_parent)
{
	struct gmem mem = {};

	ASSERT_EQ(0, gmem_init(&mem, 0xc0000000ULL, PGT_4K));
	EXPECT_EQ(-EINVAL, ioas_map(self->iommufd, self->ioas, mem.base,
				    mem.gpa, PGT_4K,
				    IOMMU_IOAS_MAP_READABLE));
}

/* The device reports that VFIO has disabled bus mastering. */
TEST_F(reference, bus_master)
{
	__u64 gpa = MAP_PAGE(GVA, PGT_4K, PGT_RW);

	ASSERT_EQ(0, testdev_master(&self->td, 0));
	EXPECT_EQ(TESTDEV_NO_MASTER,
		  testdev_read(&self->td, TESTDEV_NO_PASID, GVA, self->in, 64));
	ASSERT_EQ(0, testdev_master(&self->td, 1));
	EXPECT_READS(GVA, gpa, 64);
}

TEST_HARNESS_MAIN
