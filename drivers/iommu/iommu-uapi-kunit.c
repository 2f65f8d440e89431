// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for guest-owned I/O page tables: what can be told without an
 * IOMMU. Comments like "R5" are numbers of requirements, which lab/requirements
 * in the repository of this series lists.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "iommu-uapi.h"

#define NR_VERSIONS	IOMMU_UAPI_VERSION

static const u16 sizes[IOMMU_UAPI_NR_TYPES][NR_VERSIONS] = {
	[IOMMU_UAPI_BIND_GPASID] = { 72, 72 },
	[IOMMU_UAPI_CACHE_INVALIDATE] = { 48, 48 },
	[IOMMU_UAPI_PAGE_RESPONSE] = { 20, 32 },
	[IOMMU_UAPI_PAGE_REQUEST] = { 40, 40 },
	[IOMMU_UAPI_CAPS] = { 64, 88 },
	[IOMMU_UAPI_DMA_FAULT] = { 40, 40 },
};

/* Numbers that are neither a type nor a version. */
static const u32 wrong[] = {
	IOMMU_UAPI_NR_TYPES + 1, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff,
};

/* R13, R14, R17 */
static void test_size_table(struct kunit *test)
{
	u32 type, version;
	int i;

	for (type = 0; type < IOMMU_UAPI_NR_TYPES; type++) {
		for (version = 1; version <= NR_VERSIONS; version++)
			KUNIT_EXPECT_EQ(test, iommu_uapi_get_size(type, version),
					sizes[type][version - 1]);
		KUNIT_EXPECT_EQ(test, iommu_uapi_get_size(type, 0), -EINVAL);
		KUNIT_EXPECT_EQ(test,
				iommu_uapi_get_size(type, NR_VERSIONS + 1),
				-EOPNOTSUPP);
		for (i = 0; i < ARRAY_SIZE(wrong); i++)
			KUNIT_EXPECT_EQ(test,
					iommu_uapi_get_size(type, wrong[i]),
					-EOPNOTSUPP);
	}

	for (version = 0; version <= NR_VERSIONS + 1; version++) {
		KUNIT_EXPECT_EQ(test,
				iommu_uapi_get_size(IOMMU_UAPI_NR_TYPES,
						    version), -EINVAL);
		for (i = 0; i < ARRAY_SIZE(wrong); i++)
			KUNIT_EXPECT_EQ(test,
					iommu_uapi_get_size(wrong[i], version),
					-EINVAL);
	}
}

/* One page of user memory with nothing behind it. Returns the page's end. */
static char __user *guard_page(struct kunit *test)
{
	unsigned long addr;

	addr = kunit_vm_mmap(test, NULL, 0, 2 * PAGE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE_MSG(test, addr, 0, "no user memory");
	KUNIT_ASSERT_LT_MSG(test, addr, (unsigned long)TASK_SIZE,
			    "no user memory");
	KUNIT_ASSERT_EQ(test, vm_munmap(addr + PAGE_SIZE, PAGE_SIZE), 0);
	return (char __user *)(addr + PAGE_SIZE);
}

/* A structure full of ones but for its version, at the end of the page. */
static char __user *fill(struct kunit *test, char __user *end, u32 version,
			 size_t size)
{
	char __user *src = end - size;
	size_t i;

	for (i = 0; i < size; i++)
		KUNIT_ASSERT_EQ(test, put_user(0xff, src + i), 0);
	KUNIT_ASSERT_EQ(test, copy_to_user(src, &version, sizeof(version)), 0);
	return src;
}

#define DST_SIZE	100

static int copy(u32 type, u8 *dst, const void __user *src, size_t avail)
{
	return iommu_uapi_copy_from_user(type, dst, DST_SIZE, src, avail);
}

/* R19, R20, R23: the size decides, at every boundary, and nothing more is read. */
static void test_copy_size(struct kunit *test)
{
	const size_t more[] = { 0, 1, PAGE_SIZE };
	char __user *end = guard_page(test);
	char __user *src;
	u32 type, version;
	size_t size, avail;
	u8 dst[128];
	int i;

	for (type = 0; type < IOMMU_UAPI_NR_TYPES; type++) {
		for (version = 1; version <= NR_VERSIONS; version++) {
			size = sizes[type][version - 1];
			src = fill(test, end, version, size);

			for (avail = 0; avail < size; avail++)
				KUNIT_EXPECT_EQ(test,
						copy(type, dst, src, avail),
						-EINVAL);
			for (i = 0; i < ARRAY_SIZE(more); i++) {
				memset(dst, 0xaa, sizeof(dst));
				KUNIT_EXPECT_EQ(test,
						copy(type, dst, src,
						     size + more[i]), size);
				KUNIT_EXPECT_EQ(test, *(u32 *)dst, version);
				KUNIT_EXPECT_PTR_EQ(test,
						    memchr_inv(dst + 4, 0xff,
							       size - 4), NULL);
				/* R21: one layout for what reads it. */
				KUNIT_EXPECT_PTR_EQ(test,
						    memchr_inv(dst + size, 0,
							       DST_SIZE - size),
						    NULL);
				KUNIT_EXPECT_EQ(test, dst[DST_SIZE], 0xaa);
			}
			KUNIT_EXPECT_EQ(test, copy(type, dst, src, SIZE_MAX),
					size);
		}
	}
}

/* R17: with no more in memory than the smallest version has. */
static void test_copy_version(struct kunit *test)
{
	char __user *end = guard_page(test);
	char __user *src;
	u8 dst[DST_SIZE];
	u32 type;
	int i;

	for (type = 0; type < IOMMU_UAPI_NR_TYPES; type++) {
		src = fill(test, end, 0, sizes[type][0]);
		KUNIT_EXPECT_EQ(test, copy(type, dst, src, SIZE_MAX), -EINVAL);
		src = fill(test, end, NR_VERSIONS + 1, sizes[type][0]);
		KUNIT_EXPECT_EQ(test, copy(type, dst, src, SIZE_MAX),
				-EOPNOTSUPP);
		for (i = 0; i < ARRAY_SIZE(wrong); i++) {
			src = fill(test, end, wrong[i], sizes[type][0]);
			KUNIT_EXPECT_EQ(test, copy(type, dst, src, SIZE_MAX),
					-EOPNOTSUPP);
		}
	}

	src = fill(test, end, 1, 64);
	KUNIT_EXPECT_EQ(test, copy(IOMMU_UAPI_NR_TYPES, dst, src, 64), -EINVAL);
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ(test, copy(wrong[i], dst, src, 64), -EINVAL);
}

static void test_copy_fault(struct kunit *test)
{
	const u32 type = IOMMU_UAPI_BIND_GPASID;
	char __user *end = guard_page(test);
	char __user *src;
	u8 dst[DST_SIZE];

	/* Not even the version, then the version only, then one byte short. */
	KUNIT_EXPECT_EQ(test, copy(type, dst, end, 72), -EFAULT);
	src = fill(test, end, 1, sizeof(u32));
	KUNIT_EXPECT_EQ(test, copy(type, dst, src, 72), -EFAULT);
	src = fill(test, end, 1, 71);
	KUNIT_EXPECT_EQ(test, copy(type, dst, src, 72), -EFAULT);
	KUNIT_EXPECT_EQ(test, copy(type, dst, NULL, 72), -EFAULT);
}

#define ARRAY_NR	5

static int copy_array(u8 *dst, const void __user *src, size_t stride, u32 nr)
{
	const u32 type = IOMMU_UAPI_CACHE_INVALIDATE;

	return iommu_uapi_copy_array_from_user(type, dst,
					       sizes[type][NR_VERSIONS - 1],
					       src, stride, nr);
}

/* What fill() has written, as far as the version has it, and zeroes */
static bool is_copy(const u8 *entry, u32 version)
{
	const u16 *size = sizes[IOMMU_UAPI_CACHE_INVALIDATE];
	size_t len = size[version - 1];

	return *(u32 *)entry == version &&
	       !memchr_inv(entry + 4, 0xff, len - 4) &&
	       !memchr_inv(entry + len, 0, size[NR_VERSIONS - 1] - len);
}

/*
 * Each entry in its own version, up to the first bad one, whether the array can be
 * copied at once or not.
 */
static void test_copy_array(struct kunit *test)
{
	const u16 *size = sizes[IOMMU_UAPI_CACHE_INVALIDATE];
	const size_t newest = size[NR_VERSIONS - 1];
	char __user *end = guard_page(test);
	u32 i, bad, version;
	char __user *src;
	size_t stride;
	u8 *dst;

	dst = kunit_kzalloc(test, ARRAY_NR * newest, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dst);

	for (stride = newest; stride <= newest + 8; stride += 8) {
		src = end - ARRAY_NR * stride;
		for (bad = 0; bad <= ARRAY_NR; bad++) {
			for (i = 0; i < ARRAY_NR; i++) {
				version = i == bad ? NR_VERSIONS + 1 :
						     i % NR_VERSIONS + 1;
				fill(test, src + i * stride + newest, version,
				     newest);
			}
			memset(dst, 0xaa, ARRAY_NR * newest);
			KUNIT_EXPECT_EQ(test, bad ?: -EOPNOTSUPP,
					copy_array(dst, src, stride, ARRAY_NR));
			for (i = 0; i < bad; i++) {
				version = i % NR_VERSIONS + 1;
				KUNIT_EXPECT_TRUE(test,
						  is_copy(dst + i * newest,
							  version));
			}
		}

		/* The last one can't be read. */
		KUNIT_EXPECT_EQ(test, ARRAY_NR - 1,
				copy_array(dst, src + stride, stride, ARRAY_NR));
		KUNIT_EXPECT_EQ(test, -EFAULT, copy_array(dst, end, stride, 1));

		/* Too short for any version */
		KUNIT_EXPECT_EQ(test, -EINVAL,
				copy_array(dst, src, size[0] - 1, ARRAY_NR));
	}
}

static const struct iommu_uapi_caps all_caps = {
	.version = IOMMU_UAPI_VERSION,
	.addr_width = 57,
	.features = IOMMU_UAPI_FEAT_BIND_NO_PASID | IOMMU_UAPI_FEAT_BIND_PASID |
		    IOMMU_UAPI_FEAT_HOST_PASID | IOMMU_UAPI_FEAT_GUEST_PASID |
		    IOMMU_UAPI_FEAT_INVALIDATE | IOMMU_UAPI_FEAT_INV_SCOPE |
		    IOMMU_UAPI_FEAT_PAGE_REQUEST,
	.formats = BIT_ULL(IOMMU_UAPI_FORMAT_INTEL_VTD) |
		   BIT_ULL(IOMMU_UAPI_FORMAT_SECOND_LEVEL),
	.bind_flags = IOMMU_UAPI_BIND_GPASID_VAL | IOMMU_UAPI_BIND_REPLACE |
		      IOMMU_UAPI_BIND_ARCHID | IOMMU_UAPI_BIND_PAGE_REQUEST,
	.vtd_flags = IOMMU_UAPI_VTD_SRE | IOMMU_UAPI_VTD_EAFE |
		     IOMMU_UAPI_VTD_EMTE | IOMMU_UAPI_VTD_WPE,
	.inv_iotlb = BIT(IOMMU_UAPI_GRANU_DOMAIN) |
		     BIT(IOMMU_UAPI_GRANU_PASID) | BIT(IOMMU_UAPI_GRANU_ADDR),
	.inv_dev_iotlb = BIT(IOMMU_UAPI_GRANU_ADDR),
	.pasid_bits = 16,
	.gpa_width = 46,
	.guest_pasid_bits = 10,
	.max_bindings = 65534,
	.page_sizes = SZ_4K | SZ_2M,
};

static const struct iommu_uapi_gpasid_bind_data good_bind = {
	.version = IOMMU_UAPI_VERSION,
	.format = IOMMU_UAPI_FORMAT_INTEL_VTD,
	.gpgd = 0x1000,
	.hpasid = 5,
	.addr_width = 48,
};

static int bind_check(const struct iommu_uapi_gpasid_bind_data *data)
{
	ioasid_t pasid = iommu_uapi_bind_pasid(data);

	/* R43: whoever fails still knows which PASID it is about, or that there is none. */
	if (pasid != (data->hpasid < BIT(20) ? data->hpasid : IOMMU_PASID_INVALID))
		return -EILSEQ;
	return iommu_uapi_bind_check(data, &all_caps);
}

#define EXPECT_BIND(test, expected, change) do {			\
	struct iommu_uapi_gpasid_bind_data data = good_bind;		\
									\
	change;								\
	KUNIT_EXPECT_EQ_MSG(test, bind_check(&data), expected, #change); \
} while (0)

/* R24: every bit. */
static void test_bind_flags(struct kunit *test)
{
	u64 bit;
	int i;

	EXPECT_BIND(test, 0, (void)data);
	for (i = 0; i < 64; i++) {
		bit = BIT_ULL(i);
		EXPECT_BIND(test, bit & all_caps.bind_flags ? 0 : -EOPNOTSUPP,
			    data.flags = bit);
		EXPECT_BIND(test, bit & all_caps.vtd_flags ? 0 : -EOPNOTSUPP,
			    data.vtd.flags = bit);
	}
	for (i = 0; i < sizeof(good_bind.padding); i++)
		EXPECT_BIND(test, -EOPNOTSUPP, data.padding[i] = 1);
	for (i = 0; i < 256; i++)
		EXPECT_BIND(test,
			    i == IOMMU_UAPI_FORMAT_INTEL_VTD ? 0 :
			    i == IOMMU_UAPI_FORMAT_SECOND_LEVEL ? -EINVAL :
								  -EOPNOTSUPP,
			    data.format = i);
	EXPECT_BIND(test, -EOPNOTSUPP, data.format = 0x80000001);
	EXPECT_BIND(test, -EOPNOTSUPP, data.format = 0xffffffff);

	EXPECT_BIND(test, -EINVAL, data.vtd.pat = 1);
	EXPECT_BIND(test, -EINVAL, data.vtd.emt = 0x80000000);
	EXPECT_BIND(test, 0, (data.vtd.flags = IOMMU_UAPI_VTD_EMTE,
			      data.vtd.pat = 1, data.vtd.emt = 1));
}

/* Without a table, nothing may look like one. */
static void test_bind_second_level(struct kunit *test)
{
	struct iommu_uapi_gpasid_bind_data good = {
		.version = IOMMU_UAPI_VERSION,
		.format = IOMMU_UAPI_FORMAT_SECOND_LEVEL,
		.hpasid = 5,
	}, data = good;
	size_t i;

	KUNIT_EXPECT_EQ(test, bind_check(&data), 0);
	data.hpasid = 0;
	KUNIT_EXPECT_EQ(test, bind_check(&data), 0);
	data = good;
	data.gpgd = SZ_4K;
	KUNIT_EXPECT_EQ(test, bind_check(&data), -EINVAL);
	data = good;
	data.addr_width = 48;
	KUNIT_EXPECT_EQ(test, bind_check(&data), -EINVAL);
	data = good;
	data.flags = IOMMU_UAPI_BIND_PAGE_REQUEST;
	KUNIT_EXPECT_EQ(test, bind_check(&data), -EINVAL);
	for (i = offsetof(typeof(data), vtd); i < sizeof(data); i++) {
		data = good;
		((u8 *)&data)[i] = 1;
		KUNIT_EXPECT_EQ(test, bind_check(&data), -EINVAL);
	}
}

static void test_bind_bounds(struct kunit *test)
{
	u32 width;
	int i;

	/* R43: no PASID is cut to fit. */
	EXPECT_BIND(test, 0, data.hpasid = 0);
	EXPECT_BIND(test, 0, data.hpasid = 0xffff);
	for (i = 16; i < 64; i++)
		EXPECT_BIND(test, -EINVAL, data.hpasid = 5 | BIT_ULL(i));

	EXPECT_BIND(test, -EINVAL, data.gpasid = 1);
	EXPECT_BIND(test, 0, (data.flags = IOMMU_UAPI_BIND_GPASID_VAL,
			      data.gpasid = 0xfffff));
	EXPECT_BIND(test, -EINVAL, (data.flags = IOMMU_UAPI_BIND_GPASID_VAL,
				    data.gpasid = 0x100000));
	EXPECT_BIND(test, -EINVAL, (data.flags = IOMMU_UAPI_BIND_GPASID_VAL,
				    data.gpasid = BIT_ULL(32)));

	EXPECT_BIND(test, -EINVAL, data.archid = 1);
	EXPECT_BIND(test, 0, (data.flags = IOMMU_UAPI_BIND_ARCHID,
			      data.archid = U32_MAX));

	/* R55: the low bits have a meaning in the PASID entry. */
	for (i = 0; i < 64; i++)
		EXPECT_BIND(test, i >= 12 && i < 46 ? 0 : -EINVAL,
			    data.gpgd = BIT_ULL(i));
	EXPECT_BIND(test, 0, data.gpgd = 0);
	EXPECT_BIND(test, 0, data.gpgd = BIT_ULL(46) - 4096);

	for (width = 0; width < 256; width++)
		EXPECT_BIND(test,
			    width == 48 || width == 57 ? 0 : -EOPNOTSUPP,
			    data.addr_width = width);
	EXPECT_BIND(test, -EOPNOTSUPP, data.addr_width = 48 + 256);
}

/* What the host lacks is refused. */
static void test_bind_caps(struct kunit *test)
{
	struct iommu_uapi_gpasid_bind_data data = good_bind;
	struct iommu_uapi_caps caps;

	caps = all_caps;
	caps.features &= ~IOMMU_UAPI_FEAT_BIND_PASID;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps),
			-EOPNOTSUPP);
	data.hpasid = 0;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps), 0);

	caps = all_caps;
	caps.features &= ~IOMMU_UAPI_FEAT_BIND_NO_PASID;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps),
			-EOPNOTSUPP);

	caps = all_caps;
	caps.formats = 0;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps),
			-EOPNOTSUPP);
	/* R16: a format that a driver would claim and the core can't check */
	caps.formats = ~0ULL;
	data.format = 3;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps),
			-EOPNOTSUPP);

	data = good_bind;
	caps = all_caps;
	caps.addr_width = 48;
	data.addr_width = 57;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps),
			-EOPNOTSUPP);

	data = good_bind;
	caps = all_caps;
	caps.gpa_width = 64;
	data.gpgd = U64_MAX - 4095;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps), 0);

	/* A contract has one width, that of the PASIDs which the guest picks. */
	data = good_bind;
	caps = all_caps;
	caps.pasid_bits = 0;
	data.hpasid = 1023;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps), 0);
	data.hpasid = 1024;
	KUNIT_EXPECT_EQ(test, iommu_uapi_bind_check(&data, &caps), -EINVAL);
}

static const struct iommu_uapi_cache_invalidate_info good_addr = {
	.version = IOMMU_UAPI_VERSION,
	.cache = IOMMU_UAPI_CACHE_IOTLB,
	.granularity = IOMMU_UAPI_GRANU_ADDR,
	.addr_info = {
		.flags = IOMMU_UAPI_INV_ADDR_PASID,
		.pasid = 5,
		.addr = 0x200000,
		.granule_size = 4096,
		.nb_granules = 1,
	},
};

static const struct iommu_uapi_cache_invalidate_info good_pasid = {
	.version = IOMMU_UAPI_VERSION,
	.cache = IOMMU_UAPI_CACHE_IOTLB,
	.granularity = IOMMU_UAPI_GRANU_PASID,
	.pasid_info = {
		.flags = IOMMU_UAPI_INV_PASID_PASID,
		.pasid = 5,
	},
};

static const struct iommu_uapi_cache_invalidate_info good_domain = {
	.version = IOMMU_UAPI_VERSION,
	.cache = IOMMU_UAPI_CACHE_IOTLB,
	.granularity = IOMMU_UAPI_GRANU_DOMAIN,
};

static int inv_check(const struct iommu_uapi_cache_invalidate_info *info)
{
	struct iommu_uapi_inv_scope scope = { .pasid = 0x55555555 };
	int ret = iommu_uapi_invalidate_check(info, 1, &all_caps, &scope);
	u64 pasid = info->pasid_info.pasid;

	if (info->granularity == IOMMU_UAPI_GRANU_ADDR)
		pasid = info->addr_info.pasid;
	if (info->granularity == IOMMU_UAPI_GRANU_DOMAIN)
		pasid = IOMMU_PASID_INVALID;
	if (ret > 0)
		return ret == 1 && scope.pasid == pasid ? 0 : -EILSEQ;
	return ret ?: -EILSEQ;
}

#define EXPECT_INV(test, expected, good, change) do {			\
	struct iommu_uapi_cache_invalidate_info info = good;		\
	struct iommu_uapi_inv_addr_info *addr = &info.addr_info;	\
	struct iommu_uapi_inv_pasid_info *all = &info.pasid_info;	\
									\
	(void)addr;							\
	(void)all;							\
	change;								\
	KUNIT_EXPECT_EQ_MSG(test, inv_check(&info), expected, #change);	\
} while (0)

/* R52, R53, R55: all pairs of cache and granularity. */
static void test_inv_pairs(struct kunit *test)
{
	int cache, granularity, expected;

	for (cache = 0; cache < 256; cache++) {
		for (granularity = 0; granularity < 256; granularity++) {
			expected = -EOPNOTSUPP;
			if (granularity == IOMMU_UAPI_GRANU_ADDR &&
			    !(cache & ~(IOMMU_UAPI_CACHE_IOTLB |
					IOMMU_UAPI_CACHE_DEV_IOTLB)))
				expected = cache ? 0 : -EINVAL;
			if (granularity == IOMMU_UAPI_GRANU_PASID &&
			    !(cache & ~IOMMU_UAPI_CACHE_IOTLB))
				expected = cache ? 0 : -EINVAL;
			if (granularity == IOMMU_UAPI_GRANU_DOMAIN &&
			    !(cache & ~IOMMU_UAPI_CACHE_IOTLB))
				expected = cache ? 0 : -EINVAL;

			if (granularity == IOMMU_UAPI_GRANU_ADDR)
				EXPECT_INV(test, expected, good_addr,
					   info.cache = cache);
			else if (granularity == IOMMU_UAPI_GRANU_DOMAIN)
				EXPECT_INV(test, expected, good_domain,
					   info.cache = cache);
			else
				EXPECT_INV(test, expected, good_pasid,
					   (info.cache = cache,
					    info.granularity = granularity));
		}
	}
}

/* R24: every bit; R55: no fallback to PASID 0. */
static void test_inv_flags(struct kunit *test)
{
	u32 known, bit;
	size_t i;

	known = IOMMU_UAPI_INV_ADDR_PASID | IOMMU_UAPI_INV_ADDR_ARCHID |
		IOMMU_UAPI_INV_ADDR_LEAF | IOMMU_UAPI_INV_ADDR_GROUP;
	for (i = 0; i < 32; i++) {
		bit = BIT(i);
		EXPECT_INV(test, bit & known ? 0 : -EOPNOTSUPP, good_addr,
			   addr->flags |= bit);
	}
	known = IOMMU_UAPI_INV_PASID_PASID | IOMMU_UAPI_INV_PASID_ARCHID |
		IOMMU_UAPI_INV_PASID_GROUP;
	for (i = 0; i < 32; i++) {
		bit = BIT(i);
		EXPECT_INV(test, bit & known ? 0 : -EOPNOTSUPP, good_pasid,
			   all->flags |= bit);
	}

	EXPECT_INV(test, -EINVAL, good_addr, addr->flags = 0);
	EXPECT_INV(test, -EINVAL, good_addr,
		   (addr->flags = 0, addr->pasid = 0));
	EXPECT_INV(test, -EINVAL, good_addr,
		   addr->flags = IOMMU_UAPI_INV_ADDR_LEAF);
	EXPECT_INV(test, -EINVAL, good_pasid, all->flags = 0);
	EXPECT_INV(test, -EINVAL, good_pasid,
		   (all->flags = 0, all->pasid = 0));

	EXPECT_INV(test, -EINVAL, good_addr, addr->archid = 1);
	EXPECT_INV(test, 0, good_addr,
		   (addr->flags |= IOMMU_UAPI_INV_ADDR_ARCHID,
		    addr->archid = 1));
	EXPECT_INV(test, -EINVAL, good_pasid, all->archid = 1);
	EXPECT_INV(test, 0, good_pasid,
		   (all->flags |= IOMMU_UAPI_INV_PASID_ARCHID,
		    all->archid = 1));

	/* One of them, or none */
	EXPECT_INV(test, -EINVAL, good_addr,
		   addr->flags |= IOMMU_UAPI_INV_ADDR_ARCHID |
				  IOMMU_UAPI_INV_ADDR_GROUP);
	EXPECT_INV(test, -EINVAL, good_pasid,
		   all->flags |= IOMMU_UAPI_INV_PASID_ARCHID |
				 IOMMU_UAPI_INV_PASID_GROUP);
	/* All PASIDs, so none in particular */
	EXPECT_INV(test, -EINVAL, good_domain,
		   all->flags = IOMMU_UAPI_INV_PASID_PASID);
	EXPECT_INV(test, -EINVAL, good_domain, all->pasid = 1);
	EXPECT_INV(test, 0, good_domain,
		   (all->flags = IOMMU_UAPI_INV_PASID_GROUP, all->archid = 7));

	for (i = 0; i < sizeof(good_addr.padding); i++) {
		EXPECT_INV(test, -EOPNOTSUPP, good_addr, info.padding[i] = 1);
		EXPECT_INV(test, -EOPNOTSUPP, good_pasid, info.padding[i] = 1);
	}
	/* What the smaller member leaves of the union. */
	for (i = offsetofend(struct iommu_uapi_cache_invalidate_info,
			     pasid_info);
	     i < sizeof(good_pasid); i++)
		EXPECT_INV(test, -EOPNOTSUPP, good_pasid, ((u8 *)&info)[i] = 1);
}

static void test_inv_bounds(struct kunit *test)
{
	const u64 half = BIT_ULL(56);
	int i;

	EXPECT_INV(test, 0, good_addr, addr->pasid = 0);
	EXPECT_INV(test, 0, good_addr, addr->pasid = 0xffff);
	EXPECT_INV(test, 0, good_pasid, all->pasid = 0xffff);
	for (i = 16; i < 64; i++) {
		EXPECT_INV(test, -EINVAL, good_addr, addr->pasid |= BIT_ULL(i));
		EXPECT_INV(test, -EINVAL, good_pasid, all->pasid |= BIT_ULL(i));
	}

	/* A power of two, not below a page, that divides the address. */
	for (i = 0; i < 64; i++)
		EXPECT_INV(test, i >= 12 && i <= 56 ? 0 : -EINVAL, good_addr,
			   (addr->addr = 0, addr->granule_size = BIT_ULL(i)));
	EXPECT_INV(test, -EINVAL, good_addr, addr->granule_size = 0);
	EXPECT_INV(test, -EINVAL, good_addr, addr->granule_size = 0x3000);
	EXPECT_INV(test, -EINVAL, good_addr, addr->granule_size = U64_MAX);
	for (i = 0; i < 12; i++)
		EXPECT_INV(test, -EINVAL, good_addr, addr->addr |= BIT_ULL(i));
	EXPECT_INV(test, 0, good_addr, addr->granule_size = 0x200000);
	EXPECT_INV(test, -EINVAL, good_addr,
		   (addr->granule_size = 0x200000, addr->addr = 0x201000));

	EXPECT_INV(test, -EINVAL, good_addr, addr->nb_granules = 0);
	EXPECT_INV(test, -EOVERFLOW, good_addr, addr->nb_granules = U64_MAX);
	EXPECT_INV(test, -EOVERFLOW, good_addr,
		   addr->nb_granules = BIT_ULL(52));
	EXPECT_INV(test, -EOVERFLOW, good_addr,
		   (addr->addr = -4096ULL, addr->nb_granules = 2));
	/* The last page ends where the address space does: that is no wrap. */
	EXPECT_INV(test, 0, good_addr, addr->addr = -4096ULL);

	/* 57 bits, sign-extended. */
	EXPECT_INV(test, 0, good_addr, addr->addr = half - 4096);
	EXPECT_INV(test, -EINVAL, good_addr, addr->addr = half);
	EXPECT_INV(test, -EINVAL, good_addr,
		   (addr->addr = half - 4096, addr->nb_granules = 2));
	EXPECT_INV(test, 0, good_addr,
		   (addr->addr = 0, addr->nb_granules = half >> 12));
	EXPECT_INV(test, -EINVAL, good_addr,
		   (addr->addr = 0, addr->nb_granules = (half >> 12) + 1));
	EXPECT_INV(test, 0, good_addr, addr->addr = -half);
	EXPECT_INV(test, -EINVAL, good_addr, addr->addr = -half - 4096);
	/* Canonical at both ends, with the hole in between. */
	EXPECT_INV(test, -EINVAL, good_addr,
		   (addr->addr = 0, addr->nb_granules = BIT_ULL(52) - 1));
}

static void test_inv_caps(struct kunit *test)
{
	struct iommu_uapi_cache_invalidate_info info = good_pasid;
	struct iommu_uapi_caps caps = all_caps;
	struct iommu_uapi_inv_scope scope;

	caps.features &= ~IOMMU_UAPI_FEAT_INVALIDATE;
	KUNIT_EXPECT_EQ(test,
			iommu_uapi_invalidate_check(&good_addr, 1, &caps, &scope),
			-EOPNOTSUPP);

	caps = all_caps;
	caps.features &= ~IOMMU_UAPI_FEAT_INV_SCOPE;
	KUNIT_EXPECT_EQ(test, iommu_uapi_invalidate_check(&info, 1, &caps, &scope),
			1);
	KUNIT_EXPECT_EQ(test, scope.by, IOMMU_UAPI_INV_ALL);
	info.pasid_info.flags |= IOMMU_UAPI_INV_PASID_GROUP;
	KUNIT_EXPECT_EQ(test, iommu_uapi_invalidate_check(&info, 1, &caps, &scope),
			-EOPNOTSUPP);
	info.pasid_info.archid = 7;
	KUNIT_EXPECT_EQ(test,
			iommu_uapi_invalidate_check(&info, 1, &all_caps, &scope), 1);
	KUNIT_EXPECT_EQ(test, scope.by, IOMMU_UAPI_INV_BY_GROUP);
	KUNIT_EXPECT_EQ(test, scope.id, 7);
}

/* R54: which bindings an entry is for, and which tables have its addresses */
static void test_inv_scope(struct kunit *test)
{
	struct iommu_uapi_binding binding = {
		.pasid = 5,
		.format = IOMMU_UAPI_FORMAT_INTEL_VTD,
		.addr_width = 48,
		.has_archid = true,
		.archid = 9,
	};
	struct iommu_uapi_inv_scope scope = { .pasid = 5 };
	struct iommu_uapi_cache_invalidate_info info[] = {
		good_addr, good_pasid, good_addr,
	};

	KUNIT_EXPECT_TRUE(test, iommu_uapi_in_scope(&binding, &scope));
	scope.pasid = 6;
	KUNIT_EXPECT_FALSE(test, iommu_uapi_in_scope(&binding, &scope));
	scope.pasid = IOMMU_PASID_INVALID;
	KUNIT_EXPECT_TRUE(test, iommu_uapi_in_scope(&binding, &scope));
	scope.by = IOMMU_UAPI_INV_BY_ARCHID;
	scope.id = 9;
	KUNIT_EXPECT_TRUE(test, iommu_uapi_in_scope(&binding, &scope));
	scope.id = 8;
	KUNIT_EXPECT_FALSE(test, iommu_uapi_in_scope(&binding, &scope));
	binding.archid = 0;
	binding.has_archid = false;
	scope.id = 0;
	KUNIT_EXPECT_FALSE(test, iommu_uapi_in_scope(&binding, &scope));

	KUNIT_EXPECT_EQ(test, 3, iommu_uapi_invalidate_fits(&binding, info, 3));
	info[2].addr_info.addr = BIT_ULL(47) - SZ_4K;
	KUNIT_EXPECT_EQ(test, 3, iommu_uapi_invalidate_fits(&binding, info, 3));
	info[2].addr_info.nb_granules = 2;
	KUNIT_EXPECT_EQ(test, 2, iommu_uapi_invalidate_fits(&binding, info, 3));
	info[0] = info[2];
	KUNIT_EXPECT_EQ(test, 0, iommu_uapi_invalidate_fits(&binding, info, 3));
	binding.addr_width = 57;
	KUNIT_EXPECT_EQ(test, 3, iommu_uapi_invalidate_fits(&binding, info, 3));
}

/* R8, R11: what two hosts share. */
static void test_caps_intersect(struct kunit *test)
{
	struct iommu_uapi_caps a = all_caps, b = all_caps;

	iommu_uapi_caps_intersect(&a, &b);
	KUNIT_EXPECT_MEMEQ(test, &a, &all_caps, sizeof(a));

	b.addr_width = 48;
	b.gpa_width = 39;
	b.pasid_bits = 0;
	b.features = IOMMU_UAPI_FEAT_BIND_NO_PASID | IOMMU_UAPI_FEAT_RO_MAP;
	b.vtd_flags = IOMMU_UAPI_VTD_SRE | IOMMU_UAPI_VTD_CD;
	b.inv_dev_iotlb = 0;
	KUNIT_EXPECT_TRUE(test, iommu_uapi_caps_has(&b, IOMMU_UAPI_FEAT_RO_MAP));
	b.errata = IOMMU_UAPI_ERRATUM_VTD_772415;
	iommu_uapi_caps_intersect(&a, &b);
	KUNIT_EXPECT_FALSE(test, iommu_uapi_caps_has(&a, IOMMU_UAPI_FEAT_RO_MAP));
	KUNIT_EXPECT_EQ(test, a.errata, IOMMU_UAPI_ERRATUM_VTD_772415);
	KUNIT_EXPECT_EQ(test, a.addr_width, 48);
	KUNIT_EXPECT_EQ(test, a.gpa_width, 39);
	KUNIT_EXPECT_EQ(test, a.pasid_bits, 0);
	KUNIT_EXPECT_EQ(test, a.features, IOMMU_UAPI_FEAT_BIND_NO_PASID);
	KUNIT_EXPECT_EQ(test, a.vtd_flags, IOMMU_UAPI_VTD_SRE);
	KUNIT_EXPECT_EQ(test, a.inv_dev_iotlb, 0);
	KUNIT_EXPECT_EQ(test, a.inv_iotlb, all_caps.inv_iotlb);

	/* The same, where the devices may differ and the IOMMUs may not */
	a = all_caps;
	iommu_uapi_caps_intersect_iommu(&a, &b);
	KUNIT_EXPECT_EQ(test, a.addr_width, 48);
	KUNIT_EXPECT_EQ(test, a.pasid_bits, all_caps.pasid_bits);
	KUNIT_EXPECT_EQ(test, a.inv_dev_iotlb, all_caps.inv_dev_iotlb);
	KUNIT_EXPECT_TRUE(test, iommu_uapi_caps_has(&a, IOMMU_UAPI_FEAT_BIND_PASID));
	KUNIT_EXPECT_FALSE(test, iommu_uapi_caps_has(&a, IOMMU_UAPI_FEAT_INVALIDATE));
	iommu_uapi_caps_clear_device(&a);
	KUNIT_EXPECT_EQ(test, a.features, IOMMU_UAPI_FEAT_BIND_NO_PASID);
	KUNIT_EXPECT_EQ(test, a.pasid_bits, 0);
	KUNIT_EXPECT_EQ(test, a.guest_pasid_bits, 0);
	KUNIT_EXPECT_FALSE(test, a.bind_flags & IOMMU_UAPI_BIND_PAGE_REQUEST);
	KUNIT_EXPECT_EQ(test, a.addr_width, 48);
}

/* Quota and width do not contradict each other. */
static void test_caps_limit(struct kunit *test)
{
	struct iommu_uapi_caps caps;
	u32 quota;

	for (quota = 0; quota < 2000; quota++) {
		caps = all_caps;
		caps.guest_pasid_bits = 16;
		iommu_uapi_caps_limit(&caps, quota);
		KUNIT_EXPECT_LE(test, (1U << caps.guest_pasid_bits) - 1, quota);
		KUNIT_EXPECT_GT(test, (2U << caps.guest_pasid_bits) - 1, quota);
	}
	caps = all_caps;
	iommu_uapi_caps_limit(&caps, U32_MAX);
	KUNIT_EXPECT_EQ(test, caps.guest_pasid_bits, 10);
	caps.max_bindings = 254;
	iommu_uapi_caps_limit(&caps, U32_MAX);
	KUNIT_EXPECT_EQ(test, caps.guest_pasid_bits, 7);
}

static const struct iommu_uapi_caps good_contract = {
	.version = IOMMU_UAPI_VERSION,
	.addr_width = 48,
	.features = IOMMU_UAPI_FEAT_BIND_NO_PASID | IOMMU_UAPI_FEAT_BIND_PASID |
		    IOMMU_UAPI_FEAT_GUEST_PASID | IOMMU_UAPI_FEAT_INVALIDATE |
		    IOMMU_UAPI_FEAT_PAGE_REQUEST,
	.formats = BIT_ULL(IOMMU_UAPI_FORMAT_INTEL_VTD),
	.bind_flags = IOMMU_UAPI_BIND_PAGE_REQUEST,
	.inv_iotlb = BIT(IOMMU_UAPI_GRANU_ADDR),
	.gpa_width = 39,
	.guest_pasid_bits = 8,
};

#define EXPECT_CONTRACT(test, expected, change) do {			\
	struct iommu_uapi_caps needs = good_contract;			\
	u32 nr = 0;							\
									\
	change;								\
	KUNIT_EXPECT_EQ_MSG(test, iommu_uapi_contract_check(&needs, nr),	\
			    expected, #change);				\
} while (0)

/* A contract that nobody could keep, or that is of no use, is refused. */
static void test_contract(struct kunit *test)
{
	const u64 guest = IOMMU_UAPI_FEAT_GUEST_PASID;
	const u64 host = IOMMU_UAPI_FEAT_HOST_PASID;
	const u64 requests = IOMMU_UAPI_FEAT_PAGE_REQUEST;
	const u64 second_level = BIT_ULL(IOMMU_UAPI_FORMAT_SECOND_LEVEL);
	int i;

	EXPECT_CONTRACT(test, 0, (void)needs);
	EXPECT_CONTRACT(test, 0, memset(&needs, 0, sizeof(needs)));
	EXPECT_CONTRACT(test, -EOPNOTSUPP, needs.reserved = 1);
	EXPECT_CONTRACT(test, -EINVAL, needs.errata = 1);

	/* PASIDs of the guest, or of the host */
	EXPECT_CONTRACT(test, -EINVAL, needs.features &= ~guest);
	EXPECT_CONTRACT(test, -EINVAL, needs.features |= host);
	EXPECT_CONTRACT(test, -EINVAL, needs.guest_pasid_bits = 0);
	EXPECT_CONTRACT(test, -EINVAL, nr = 1);
	EXPECT_CONTRACT(test, -EINVAL, needs.pasid_bits = 8);
	EXPECT_CONTRACT(test, -EINVAL,
			needs.features &= ~IOMMU_UAPI_FEAT_BIND_PASID);
	for (i = 0; i <= 300; i++)
		EXPECT_CONTRACT(test, i && i < 256 ? 0 : -EINVAL,
				(needs.features ^= guest | host, nr = i,
				 needs.guest_pasid_bits = 0,
				 needs.pasid_bits = 8));

	/* Formats and widths */
	EXPECT_CONTRACT(test, -EINVAL, needs.formats = 0);
	for (i = 0; i < 64; i++) {
		EXPECT_CONTRACT(test, i == 48 || i == 57 ? 0 : -EINVAL,
				needs.addr_width = i);
		EXPECT_CONTRACT(test, i > 12 ? 0 : -EINVAL,
				needs.gpa_width = i);
	}
	EXPECT_CONTRACT(test, -EINVAL, needs.formats = second_level);

	/* Page requests, and the flag that asks for them */
	EXPECT_CONTRACT(test, -EINVAL, needs.bind_flags = 0);
	EXPECT_CONTRACT(test, -EINVAL,
			needs.features &= ~IOMMU_UAPI_FEAT_PAGE_REQUEST);

	/* Invalidations */
	EXPECT_CONTRACT(test, -EINVAL, needs.inv_iotlb = 0);
	EXPECT_CONTRACT(test, -EINVAL,
			needs.features &= ~IOMMU_UAPI_FEAT_INVALIDATE);
	EXPECT_CONTRACT(test, -EINVAL,
			needs.inv_iotlb |= BIT(IOMMU_UAPI_GRANU_DOMAIN));
	EXPECT_CONTRACT(test, 0,
			(needs.inv_iotlb |= BIT(IOMMU_UAPI_GRANU_DOMAIN),
			 needs.features |= IOMMU_UAPI_FEAT_INV_SCOPE));
	/* Addresses are those of a first level. */
	for (i = IOMMU_UAPI_GRANU_PASID; i <= IOMMU_UAPI_GRANU_ADDR; i++)
		EXPECT_CONTRACT(test,
				i == IOMMU_UAPI_GRANU_ADDR ? -EINVAL : 0,
				(needs.formats = second_level,
				 needs.addr_width = 0, needs.bind_flags = 0,
				 needs.features &= ~requests,
				 needs.inv_iotlb = BIT(i)));

	KUNIT_EXPECT_EQ(test, iommu_uapi_contract_quota(&good_contract, 0), 255);
}

/* R10, R11: what two hosts have in common is missing on neither, and is all of it. */
static void test_caps_missing(struct kunit *test)
{
	struct iommu_uapi_caps a, b, both, lack;
	int i;

	for (i = 0; i < 1000; i++) {
		get_random_bytes(&a, sizeof(a));
		get_random_bytes(&b, sizeof(b));
		a.reserved = 0;
		b.reserved = 0;
		both = a;
		iommu_uapi_caps_intersect(&both, &b);
		KUNIT_EXPECT_EQ(test, 0, iommu_uapi_caps_missing(&both, &a, &lack));
		KUNIT_EXPECT_EQ(test, 0, iommu_uapi_caps_missing(&both, &b, &lack));
		KUNIT_EXPECT_EQ(test, lack.version, both.version);

		iommu_uapi_caps_missing(&a, &b, &lack);
		KUNIT_EXPECT_EQ(test, lack.features | both.features, a.features);
		KUNIT_EXPECT_EQ(test, lack.features & both.features, 0);
		KUNIT_EXPECT_EQ(test, lack.gpa_width,
				a.gpa_width > b.gpa_width ? a.gpa_width : 0);
	}

	memset(&b, 0, sizeof(b));
	KUNIT_EXPECT_EQ(test, 0, iommu_uapi_caps_missing(&b, &b, &lack));
	KUNIT_EXPECT_EQ(test, -ERANGE, iommu_uapi_caps_missing(&all_caps, &b, &lack));
	KUNIT_EXPECT_MEMEQ(test, &lack, &all_caps, sizeof(lack));
}

/* R43 */
static void test_pasid_alloc(struct kunit *test)
{
	struct iommu_uapi_caps caps = all_caps;
	const u32 last = BIT(16) - 1;
	ioasid_t a, b, c = 0x55555555;
	int ret;

	KUNIT_EXPECT_EQ(test, iommu_uapi_pasid_alloc(&caps, 0, 10, &c),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, iommu_uapi_pasid_alloc(&caps, 11, 10, &c),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, iommu_uapi_pasid_alloc(&caps, 1, last + 1, &c),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, iommu_uapi_pasid_alloc(&caps, 1, U32_MAX, &c),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			iommu_uapi_pasid_alloc(&caps, U32_MAX, U32_MAX, &c),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, c, 0x55555555);

	/* Both ends belong to the range. */
	ret = iommu_uapi_pasid_alloc(&caps, last - 1, last, &a);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, a, last - 1);
	ret = iommu_uapi_pasid_alloc(&caps, last - 1, last, &b);
	KUNIT_EXPECT_EQ(test, ret, 0);
	if (!ret)
		KUNIT_EXPECT_EQ(test, b, last);
	/* R36: told from a lack of memory and from a wrong argument. */
	KUNIT_EXPECT_EQ(test, iommu_uapi_pasid_alloc(&caps, last - 1, last, &c),
			-ENOSPC);
	iommu_uapi_pasid_free(a);
	if (!ret)
		iommu_uapi_pasid_free(b);

	/* R12 */
	caps.features &= ~IOMMU_UAPI_FEAT_HOST_PASID;
	KUNIT_EXPECT_EQ(test, iommu_uapi_pasid_alloc(&caps, 1, 10, &c),
			-EOPNOTSUPP);
	caps = all_caps;
	caps.pasid_bits = 0;
	KUNIT_EXPECT_EQ(test, iommu_uapi_pasid_alloc(&caps, 1, 1, &c),
			-EINVAL);
}

/* R9, R39, R51: a device without an IOMMU behind it. */
static void test_no_iommu(struct kunit *test)
{
	struct device *dev = kunit_device_register(test, "no-iommu");
	struct iommu_uapi_caps caps;
	struct iommu_uapi_binding *binding;
	struct iommu_domain *domain;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_EXPECT_EQ(test, iommu_uapi_get_caps(dev, NULL, &caps),
			-EOPNOTSUPP);
	domain = iommu_uapi_parent_alloc(dev);
	KUNIT_EXPECT_EQ(test, PTR_ERR(domain), -EOPNOTSUPP);
	binding = iommu_uapi_bind(dev, NULL, 5, &good_bind, NULL);
	KUNIT_EXPECT_EQ(test, PTR_ERR(binding), -ENODEV);
}

/*
 * Entries that differ in the range alone are checked together, others by themselves.
 * One that is bad, or for other bindings, ends the run.
 */
static void test_invalidate_run(struct kunit *test)
{
	struct iommu_uapi_cache_invalidate_info *info;
	struct iommu_uapi_inv_scope scope;
	unsigned int i, byte;

	info = kunit_kmalloc_array(test, 4, sizeof(*info), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, info);
	for (i = 0; i < 4; i++) {
		info[i] = good_addr;
		info[i].addr_info.addr += i * info[i].addr_info.granule_size;
		info[i].addr_info.nb_granules = i + 1;
	}
	for (i = 1; i <= 4; i++)
		KUNIT_EXPECT_EQ(test, i,
				iommu_uapi_invalidate_check(info, i, &all_caps,
							    &scope));

	/* Whatever else is changed, in any byte but the version, is found. */
	for (byte = sizeof(info->version); byte < sizeof(*info); byte++) {
		if (byte >= offsetof(typeof(*info), addr_info.addr) &&
		    byte < offsetofend(typeof(*info), addr_info.addr))
			continue;
		if (byte >= offsetof(typeof(*info), addr_info.nb_granules))
			continue;
		((u8 *)&info[2])[byte] ^= 0x80;
		KUNIT_EXPECT_EQ_MSG(test, 2,
				    iommu_uapi_invalidate_check(info, 4, &all_caps,
								&scope),
				    "byte %u", byte);
		((u8 *)&info[2])[byte] ^= 0x80;
	}

	/* Granularity, caches and the leaf hint may differ. */
	info[1] = good_pasid;
	info[1].pasid_info.pasid = info[0].addr_info.pasid;
	info[2].cache = IOMMU_UAPI_CACHE_DEV_IOTLB;
	info[3].addr_info.flags ^= IOMMU_UAPI_INV_ADDR_LEAF;
	KUNIT_EXPECT_EQ(test, 4,
			iommu_uapi_invalidate_check(info, 4, &all_caps, &scope));
	KUNIT_EXPECT_FALSE(test, scope.wide);

	/* What the bindings are named by must not. */
	info[2].addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
	KUNIT_EXPECT_EQ(test, 2,
			iommu_uapi_invalidate_check(info, 4, &all_caps, &scope));
	info[2].addr_info.flags &= ~IOMMU_UAPI_INV_ADDR_GROUP;
	info[2].addr_info.pasid ^= 1;
	KUNIT_EXPECT_EQ(test, 2,
			iommu_uapi_invalidate_check(info, 4, &all_caps, &scope));
	info[1] = good_domain;
	KUNIT_EXPECT_EQ(test, 1,
			iommu_uapi_invalidate_check(info, 4, &all_caps, &scope));
	info[0].addr_info.flags |= IOMMU_UAPI_INV_ADDR_GROUP;
	info[0].addr_info.archid = 7;
	info[1] = info[0];
	KUNIT_EXPECT_EQ(test, 2,
			iommu_uapi_invalidate_check(info, 2, &all_caps, &scope));
	info[1].addr_info.archid = 8;
	KUNIT_EXPECT_EQ(test, 1,
			iommu_uapi_invalidate_check(info, 2, &all_caps, &scope));
}

/* A range that is bad ends the run; one that needs a closer look does not. */
static void test_invalidate_run_range(struct kunit *test)
{
	static const struct {
		u64 addr;
		u64 granule_size;
		u64 nb_granules;
		bool good;
		bool wide;
	} ranges[] = {
		{ 0, SZ_4K, 1, true },
		{ BIT_ULL(47) - SZ_4K, SZ_4K, 1, true },
		{ BIT_ULL(47) - SZ_8K, SZ_4K, 2, true },
		{ 0, SZ_4K, BIT_ULL(35), true },
		{ 0, BIT_ULL(46), 2, true },
		{ SZ_2M, SZ_2M, 7, true },
		/* Good, but not in the narrowest table */
		{ BIT_ULL(47) - SZ_4K, SZ_4K, 2, true, true },
		{ 0, SZ_4K, BIT_ULL(35) + 1, true, true },
		{ BIT_ULL(47), SZ_4K, 1, true, true },
		{ -(u64)SZ_4K, SZ_4K, 1, true },
		{ 0, SZ_4K, 0 },
		{ SZ_2K, SZ_4K, 1 },
		{ SZ_4K, SZ_2M, 1 },
		{ BIT_ULL(47) - SZ_4K, SZ_4K, BIT_ULL(52) },
		{ 0, SZ_4K, BIT_ULL(52) },
		{ 0, SZ_4K, BIT_ULL(52) + 1 },
		{ SZ_4K, SZ_4K, U64_MAX },
		{ BIT_ULL(62), SZ_4K, 1 },
		{ BIT_ULL(63), SZ_4K, 1 },
	};
	struct iommu_uapi_cache_invalidate_info info[2];
	struct iommu_uapi_inv_scope scope;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		info[0] = good_addr;
		info[0].addr_info.addr = 0;
		info[0].addr_info.granule_size = ranges[i].granule_size;
		info[0].addr_info.nb_granules = 1;
		info[1] = info[0];
		info[1].addr_info.addr = ranges[i].addr;
		info[1].addr_info.nb_granules = ranges[i].nb_granules;
		KUNIT_EXPECT_EQ_MSG(test, ranges[i].good ? 2 : 1,
				    iommu_uapi_invalidate_check(info, 2, &all_caps,
								&scope),
				    "range %u", i);
		KUNIT_EXPECT_EQ_MSG(test, ranges[i].wide, scope.wide,
				    "range %u", i);
		KUNIT_EXPECT_EQ_MSG(test, ranges[i].good, !inv_check(&info[1]),
				    "range %u", i);
	}
}

static int fake_invalidate(struct iommu_uapi_binding **bindings,
			   unsigned int nr_bindings,
			   const struct iommu_uapi_cache_invalidate_info *info,
			   u32 nr)
{
	return nr > 1 ? nr / nr_bindings : -EIO;
}

/*
 * R33, R35, R36: how far the driver came, or why not, comes through unchanged.
 */
static void test_invalidate_partly(struct kunit *test)
{
	static const struct iommu_uapi_ops uapi = {
		.cache_invalidate = fake_invalidate,
	};
	static const struct iommu_ops ops = { .uapi = &uapi };
	struct iommu_domain nested = { .owner = &ops };
	struct iommu_uapi_binding table = { .handle.domain = &nested };
	struct iommu_uapi_binding *bindings[] = { &table, &table };

	KUNIT_EXPECT_EQ(test, 7, iommu_uapi_invalidate(bindings, 1, &good_addr, 7));
	KUNIT_EXPECT_EQ(test, 3, iommu_uapi_invalidate(bindings, 2, &good_addr, 7));
	KUNIT_EXPECT_EQ(test, -EIO,
			iommu_uapi_invalidate(bindings, 2, &good_addr, 1));
}

static struct kunit_case iommu_uapi_cases[] = {
	KUNIT_CASE(test_size_table),
	KUNIT_CASE(test_copy_size),
	KUNIT_CASE(test_copy_version),
	KUNIT_CASE(test_copy_fault),
	KUNIT_CASE(test_copy_array),
	KUNIT_CASE(test_bind_flags),
	KUNIT_CASE(test_bind_second_level),
	KUNIT_CASE(test_bind_bounds),
	KUNIT_CASE(test_bind_caps),
	KUNIT_CASE(test_inv_pairs),
	KUNIT_CASE(test_inv_flags),
	KUNIT_CASE(test_inv_bounds),
	KUNIT_CASE(test_inv_caps),
	KUNIT_CASE(test_inv_scope),
	KUNIT_CASE(test_caps_intersect),
	KUNIT_CASE(test_caps_limit),
	KUNIT_CASE(test_caps_missing),
	KUNIT_CASE(test_contract),
	KUNIT_CASE(test_pasid_alloc),
	KUNIT_CASE(test_no_iommu),
	KUNIT_CASE(test_invalidate_run),
	KUNIT_CASE(test_invalidate_run_range),
	KUNIT_CASE(test_invalidate_partly),
	{}
};

static struct kunit_suite iommu_uapi_suite = {
	.name = "iommu-uapi",
	.test_cases = iommu_uapi_cases,
};

kunit_test_suite(iommu_uapi_suite);

MODULE_DESCRIPTION("KUnit tests for guest-owned I/O page tables");
MODULE_LICENSE("GPL");
