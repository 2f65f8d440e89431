// SPDX-License-Identifier: GPL-2.0
/*
 * Random arrays of invalidations, against a model of what they are for. Every
 * address is read by DMA, so that its translation is cached, and then its entry in
 * memory changes. Addresses that an array names have to be fresh after it. Those
 * that it can't have reached are still stale, as far as hardware caches them.
 *
 * STALE_SEED is the first round's seed, STALE_ROUNDS their number. A round that
 * fails prints its seed and its array.
 */
#include "device.h"
#include "harness.h"
#include "range.h"

#define DEVICES		2
#define KINDS		3
#define BINDINGS	(DEVICES * KINDS)

static const __u32 kinds[KINDS] = { 0, 4, 9 };

/* The guest's domain ids, by device and kind; 0: bound without one */
static const __u32 archids[DEVICES][KINDS] = { { 10, 20, 20 }, { 20, 10, 0 } };

/*
 * What an address leads to, by content. Each round, all entries go through the
 * three. A device that caches translations by itself has the first, the IOTLB the
 * second for it, and memory has the third.
 */
#define GENERATIONS	3
#define MARK		0x57a1e00ULL
#define MEMORY		(16UL << 20)
/* Guest-physical addresses of large enough alignment, which show the same memory */
#define GPA_1G(gen)	((4 + (gen)) * PGT_1G)

/* Pages of each size, on both sides of a boundary of large alignment */
static const struct window {
	__u64 va;
	__u64 page;
	int pages;
} windows[] = {
	{ GUEST_VA + PGT_1G, PGT_4K, 24 },
	{ GUEST_VA + 4 * PGT_1G, PGT_2M, 12 },
	{ GUEST_VA + 512 * PGT_1G, PGT_1G, 4 },
};

#define SLOTS		40
/* Of one binding in a round. The device of the lab caches 64 translations. */
#define ACTIVE		20
#define ENTRIES		64
/* Nothing is mapped from here on. */
#define NOWHERE		(GUEST_VA + 64 * PGT_1G)

#define IOTLB		1
#define DEVTLB		2

struct probe {
	const struct slot *slot;
	__u64 va;
};

/* What an entry is for. @by: 0, or the flag of an address range that says it */
struct named {
	unsigned int who;
	unsigned int caches;
	struct range range;
	int granularity;
	__u32 pasid;
	__u32 by;
	__u32 id;
	__u64 step;
};

FIXTURE(stale)
{
	struct nest n[DEVICES];
	/* Has the container, and memory */
	struct nest *first;
	/* Which devices there are, and which of them cache translations */
	unsigned int present;
	unsigned int caching;
	unsigned int bound;
	struct pgt pt[BINDINGS];
	__u64 target[GENERATIONS];
	struct slot slot[SLOTS];
	int slots;
	struct probe probe[BINDINGS][ACTIVE];
	int probes[BINDINGS];
	struct named named[ENTRIES];
	int nr;
	__u64 rnd;
	struct inv_arg arg;
	/* Of all that was looked at: what had to be fresh, and what had to be stale */
	unsigned int looked;
	unsigned int fresh;
	unsigned int stale;
};

FIXTURE_VARIANT(stale)
{
	unsigned int present;
};

FIXTURE_VARIANT_ADD(stale, plain)
{
	.present = 1,
};

/* In the lab, the second device caches translations by itself. */
FIXTURE_VARIANT_ADD(stale, caching)
{
	.present = 2,
};

FIXTURE_VARIANT_ADD(stale, both)
{
	.present = 3,
};

static __u64 gpa_of(struct _test_data_stale *self, const struct slot *slot,
		    int gen)
{
	if (slot->page == PGT_1G)
		return GPA_1G(gen);
	/* Small pages lead to different ones of 2 MiB, all with the same mark. */
	return self->target[gen] + (slot->va & (PGT_2M - 1) & ~(slot->page - 1));
}

/* Clears accessed and dirty bits, too. */
static void set_generation(struct _test_data_stale *self, int gen)
{
	int i;

	for (i = 0; i < self->slots; i++) {
		const struct slot *slot = &self->slot[i];

		*pgt_leaf(&self->pt[0], slot->va) = gpa_of(self, slot, gen) |
			PGT_RW | (slot->page > PGT_4K ? PGT_PS : 0);
	}
}

static int make_tables(struct _test_data_stale *self, struct gmem *mem)
{
	unsigned int w;
	int i, gen;
	__u64 off;

	for (gen = 0; gen < GENERATIONS; gen++) {
		self->target[gen] = gmem_alloc(mem, PGT_2M, PGT_2M);
		if (!self->target[gen])
			return -ENOMEM;
		for (off = 0; off < PGT_2M; off += PGT_4K)
			mem_set(gmem_ptr(mem, self->target[gen] + off),
				MARK + gen);
	}
	for (i = 0; i < BINDINGS; i++) {
		if (pgt_init(&self->pt[i], mem))
			return -ENOMEM;
	}
	for (w = 0; w < ARRAY_LEN(windows); w++) {
		const struct window *win = &windows[w];

		if (!(self->first->caps.page_sizes & win->page))
			continue;
		for (i = -win->pages / 2; i < win->pages / 2; i++) {
			struct slot *slot = &self->slot[self->slots++];

			slot->va = win->va + (__s64)i * (__s64)win->page;
			slot->page = win->page;
			if (pgt_map(&self->pt[0], slot->va,
				    gpa_of(self, slot, 0), win->page, PGT_RW))
				return -ENOMEM;
		}
	}
	/* Each binding has a root of its own, and all else in common. */
	for (i = 1; i < BINDINGS; i++)
		memcpy(gmem_ptr(mem, self->pt[i].root),
		       gmem_ptr(mem, self->pt[0].root), PGT_4K);
	return 0;
}

FIXTURE_SETUP(stale)
{
	struct nest *first = &self->n[variant->present & 1 ? 0 : 1];
	int d, k, gen, rc;

	self->first = first;
	self->present = variant->present;
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, first, first - self->n, 1,
		       VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(first->caps.features & IOMMU_UAPI_FEAT_BIND_PASID))
		SKIP(return, "no PASIDs for this device");
	if (self->present == 3) {
		rc = guest_device(&self->n[1], first, 1);
		if (rc == -ENODEV)
			SKIP(return, "needs two devices");
		ASSERT_OK(rc);
	}
	if (self->present & 2 && device_caches(&self->n[1]))
		self->caching = 2;
	if (self->present == 2 && !self->caching)
		SKIP(return, "the second device can't cache translations");

	ASSERT_OK(gmem_init(&first->mem, GUEST_BASE, MEMORY));
	self->n[1].mem = first->mem;
	ASSERT_OK(make_tables(self, &first->mem));
	ASSERT_OK(nest_map(first->container, first->mem.base, GUEST_BASE, MEMORY,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	for (gen = 0; gen < GENERATIONS; gen++)
		ASSERT_OK(nest_map(first->container,
				   gmem_ptr(&first->mem, self->target[gen]),
				   GPA_1G(gen), PGT_2M,
				   VFIO_DMA_MAP_FLAG_READ |
				   VFIO_DMA_MAP_FLAG_WRITE));
	for (d = 0; d < DEVICES; d++) {
		if (!(self->present & (1u << d)))
			continue;
		for (k = 0; k < KINDS; k++) {
			struct bind_arg arg;

			bind_init(&arg, &self->n[d], kinds[k],
				  self->pt[d * KINDS + k].root);
			if (archids[d][k]) {
				arg.data.flags |= IOMMU_UAPI_BIND_ARCHID;
				arg.data.archid = archids[d][k];
			}
			ASSERT_OK(do_bind(&self->n[d], &arg));
			self->bound |= 1u << (d * KINDS + k);
		}
	}
}

FIXTURE_TEARDOWN(stale)
{
}

/* ---- random numbers, the same for a seed wherever it runs ---- */

static unsigned int below(struct _test_data_stale *self, unsigned int bound)
{
	self->rnd ^= self->rnd >> 12;
	self->rnd ^= self->rnd << 25;
	self->rnd ^= self->rnd >> 27;
	return ((self->rnd * 0x2545f4914f6cdd1dULL) >> 33) % bound;
}

static int percent(struct _test_data_stale *self, unsigned int share)
{
	return below(self, 100) < share;
}

/* ---- what is cached ---- */

/* Which generation is behind the address for a binding; negative if none is */
static int generation(struct _test_data_stale *self, int b, __u64 va, int ats)
{
	struct nest *n = &self->n[b / KINDS];
	__u64 got;
	int rc;

	n->td.ats = ats;
	rc = dma_read(n, kinds[b % KINDS], va, &got);
	if (rc)
		return -1;
	return got >= MARK && got < MARK + GENERATIONS ? (int)(got - MARK) : -2;
}

static int is_caching(struct _test_data_stale *self, int b)
{
	return self->caching >> (b / KINDS) & 1;
}

/* Pick some addresses, have them cached, and change what they lead to. */
static int make_stale(struct __test_metadata *_metadata,
		      struct _test_data_stale *self)
{
	struct nest *first = self->first;
	int b, i;

	inv_init(&self->arg, 1);
	inv_domain(&self->arg.entry[0], first);
	if (do_inv(first, &self->arg))
		return -EIO;
	set_generation(self, 0);
	for (b = 0; b < BINDINGS; b++) {
		self->probes[b] = 0;
		if (!(self->bound >> b & 1))
			continue;
		for (i = 0; i < self->slots && self->probes[b] < ACTIVE; i++) {
			struct probe *p = &self->probe[b][self->probes[b]];
			__u64 within = self->slot[i].page;

			if (below(self, self->slots - i) >=
			    (unsigned int)(ACTIVE - self->probes[b]))
				continue;
			/* Only the first 2 MiB of a 1 GiB page have memory. */
			if (within > PGT_2M)
				within = PGT_2M;
			p->slot = &self->slot[i];
			p->va = p->slot->va + below(self, within / PGT_4K) * PGT_4K;
			self->probes[b]++;
			EXPECT_EQ(0, generation(self, b, p->va,
						is_caching(self, b)));
		}
	}
	/* A write, for which the translation of the read is not good enough */
	set_generation(self, 1);
	for (b = 0; b < BINDINGS; b++) {
		for (i = 0; is_caching(self, b) && i < self->probes[b]; i++) {
			self->n[b / KINDS].td.ats = 0;
			if (dma_write(&self->n[b / KINDS], kinds[b % KINDS],
				      self->probe[b][i].va, MARK + 1))
				return -EIO;
		}
	}
	set_generation(self, 2);
	for (b = 0; b < BINDINGS; b++) {
		for (i = 0; i < self->probes[b]; i++) {
			__u64 va = self->probe[b][i].va;

			/* It must be stale now, or the test shows nothing. */
			EXPECT_EQ(0, generation(self, b, va,
						is_caching(self, b)));
			if (is_caching(self, b))
				EXPECT_EQ(1, generation(self, b, va, 0));
		}
	}
	return _metadata->exit_code == KSFT_FAIL ? -EIO : 0;
}

/* ---- the array ---- */

/* The bindings that are meant */
static unsigned int who_is(struct _test_data_stale *self, const struct named *e)
{
	unsigned int who = 0;
	int b;

	for (b = 0; b < BINDINGS; b++) {
		if (!(self->bound >> b & 1) ||
		    (e->granularity != IOMMU_UAPI_GRANU_DOMAIN &&
		     kinds[b % KINDS] != e->pasid) ||
		    (e->by == IOMMU_UAPI_INV_ADDR_GROUP &&
		     (__u32)self->n[b / KINDS].group_id != e->id) ||
		    (e->by == IOMMU_UAPI_INV_ADDR_ARCHID &&
		     archids[b / KINDS][b % KINDS] != e->id))
			continue;
		who |= 1u << b;
	}
	return who;
}

static void random_scope(struct _test_data_stale *self, struct named *e)
{
	int b, dice;

	do
		b = below(self, BINDINGS);
	while (!(self->bound >> b & 1));
	e->pasid = kinds[b % KINDS];
	e->by = 0;
	e->id = 0;
	dice = below(self, 4);
	if (dice == 0) {
		e->by = IOMMU_UAPI_INV_ADDR_GROUP;
		e->id = self->n[b / KINDS].group_id;
	} else if (dice == 1 && archids[b / KINDS][b % KINDS]) {
		e->by = IOMMU_UAPI_INV_ADDR_ARCHID;
		e->id = archids[b / KINDS][b % KINDS];
	}
}

static void random_caches(struct _test_data_stale *self, struct named *e)
{
	const unsigned int may_dev = self->caching & 2 ? 7u << KINDS : 0;

	e->who = who_is(self, e);
	e->caches = IOTLB;
	if (!(e->who & ~may_dev) && percent(self, 50))
		e->caches = percent(self, 60) ? DEVTLB : IOTLB | DEVTLB;
}

/* A range within the previous one, across its end, next to it, or around it */
static void related_range(struct _test_data_stale *self, struct range *r,
			  __u64 step)
{
	__u64 len = (r->last - r->first + 1) / step;
	__u64 start = below(self, len), count = 1 + below(self, 4);

	switch (below(self, 5)) {
	case 0:
		r->first += start * step;
		r->last -= below(self, len - start) * step;
		break;
	case 1:
		r->first += start * step;
		r->last += count * step;
		break;
	case 2:
		r->first = r->last + 1;
		r->last += count * step;
		break;
	case 3:
		r->last = r->first - 1;
		r->first -= count * step;
		break;
	default:
		r->first -= step;
		r->last += step;
	}
}

static void random_range(struct _test_data_stale *self, struct named *e)
{
	const struct slot *slot = &self->slot[below(self, self->slots)];
	__u64 count = 1;

	e->step = slot->page;
	e->range.first = slot->va;
	if (percent(self, 15))
		e->range.first = NOWHERE + below(self, 1 << 8) * PGT_1G;
	while (count < 8 && percent(self, 55))
		count++;
	e->range.last = e->range.first + count * e->step - 1;
}

static void random_entry(struct _test_data_stale *self, int i, int nr)
{
	struct named *e = &self->named[i], *prev = e - 1;
	/* For the bindings of the previous entry, so that the two form one run */
	int same = i && percent(self, 65);

	if (same && prev->granularity == IOMMU_UAPI_GRANU_ADDR &&
	    percent(self, 50)) {
		*e = *prev;
		if (percent(self, 30))
			random_caches(self, e);
		related_range(self, &e->range, e->step);
		return;
	}
	if (same)
		*e = *prev;
	else
		random_scope(self, e);
	e->granularity = IOMMU_UAPI_GRANU_ADDR;
	if (percent(self, 6))
		e->granularity = percent(self, 80) ? IOMMU_UAPI_GRANU_PASID :
						     IOMMU_UAPI_GRANU_DOMAIN;
	random_caches(self, e);
	e->range.first = 0;
	e->range.last = ~0ULL;
	if (e->granularity == IOMMU_UAPI_GRANU_ADDR) {
		random_range(self, e);
		/* If a long array named everything, nothing would stay stale. */
		if (nr > 16 && percent(self, 80)) {
			__u64 to = NOWHERE + below(self, 1 << 8) * PGT_1G;

			e->range.last += to - e->range.first;
			e->range.first = to;
		}
	}
}

static void put_entry(struct _test_data_stale *self, int i)
{
	struct iommu_uapi_cache_invalidate_info *info = &self->arg.entry[i];
	const struct named *e = &self->named[i];
	__u64 size = e->range.last - e->range.first + 1;
	__u64 granule = e->step;

	switch (e->granularity) {
	case IOMMU_UAPI_GRANU_ADDR:
		inv_addr(info, self->first, e->pasid, e->range.first, 1);
		/* Any granule that measures the range */
		if (percent(self, 50))
			granule = granule == PGT_4K &&
				  !((e->range.first | size) & 0x3fff) ?
					  4 * PGT_4K : PGT_4K;
		info->addr_info.granule_size = granule;
		info->addr_info.nb_granules = size / granule;
		info->addr_info.flags |= e->by;
		info->addr_info.archid = e->id;
		/* Only leaf entries change here. The hint is optional. */
		if (percent(self, 50))
			info->addr_info.flags |= IOMMU_UAPI_INV_ADDR_LEAF;
		break;
	case IOMMU_UAPI_GRANU_PASID:
		inv_pasid(info, self->first, e->pasid);
		break;
	default:
		inv_domain(info, self->first);
	}
	if (e->granularity != IOMMU_UAPI_GRANU_ADDR && e->by) {
		info->pasid_info.flags |= e->by == IOMMU_UAPI_INV_ADDR_GROUP ?
					  IOMMU_UAPI_INV_PASID_GROUP :
					  IOMMU_UAPI_INV_PASID_ARCHID;
		info->pasid_info.archid = e->id;
	}
	info->cache = (e->caches & IOTLB ? IOMMU_UAPI_CACHE_IOTLB : 0) |
		      (e->caches & DEVTLB ? IOMMU_UAPI_CACHE_DEV_IOTLB : 0);
}

static void random_array(struct _test_data_stale *self)
{
	int i;

	self->nr = 1 + below(self, percent(self, 10) ? ENTRIES : 16);
	inv_init(&self->arg, self->nr);
	for (i = 0; i < self->nr; i++) {
		random_entry(self, i, self->nr);
		put_entry(self, i);
	}
}

/* ---- the model ---- */

/* The caches in which everything that was cached of the page has to be gone */
static unsigned int has_to_go(struct _test_data_stale *self, int b,
			      const struct slot *slot)
{
	unsigned int caches = 0;
	int i;

	for (i = 0; i < self->nr; i++) {
		const struct named *e = &self->named[i];

		/* A range must cover the whole of a large page. */
		if (e->who >> b & 1 && e->range.first <= slot->va &&
		    e->range.last >= slot->va + slot->page - 1)
			caches |= e->caches;
	}
	/* The device may load again from what the IOTLB lost. */
	return caches & IOTLB ? IOTLB | DEVTLB : caches;
}

/* Ranges that touch may be merged: can the result include the page? */
static int may_go(struct _test_data_stale *self, int b, unsigned int cache,
		  const struct slot *slot)
{
	struct range r[ENTRIES];
	int nr = 0, i;

	for (i = 0; i < self->nr; i++) {
		const struct named *e = &self->named[i];

		if (e->who >> b & 1 &&
		    (e->caches & IOTLB ? IOTLB | DEVTLB : DEVTLB) & cache)
			r[nr++] = e->range;
	}
	nr = merge(r, nr);
	for (i = 0; i < nr; i++) {
		if (widened_meets(&r[i], slot))
			return 1;
	}
	return 0;
}

/* One cache of one address. @old: what it has until it is invalidated */
static void check_cache(struct __test_metadata *_metadata,
			struct _test_data_stale *self, int b,
			const struct probe *p, unsigned int cache, int is_old)
{
	int must = !!(has_to_go(self, b, p->slot) & cache);
	int may = may_go(self, b, cache, p->slot);

	/* In a device, an invalidation without PASID reaches every PASID. */
	if (cache == DEVTLB)
		may |= may_go(self, b - b % KINDS, cache, p->slot);

	self->looked++;
	self->fresh += must;
	self->stale += !may;
	EXPECT_FALSE(must && is_old)
		TH_LOG("device %d PASID %u: 0x%llx in the %s is stale",
		       b / KINDS, kinds[b % KINDS], p->va,
		       cache == IOTLB ? "IOTLB" : "device");
	EXPECT_FALSE(!may && !is_old)
		TH_LOG("device %d PASID %u: 0x%llx in the %s is gone",
		       b / KINDS, kinds[b % KINDS], p->va,
		       cache == IOTLB ? "IOTLB" : "device");
}

static void check_all(struct __test_metadata *_metadata,
		      struct _test_data_stale *self)
{
	int b, i, gen;

	for (b = 0; b < BINDINGS; b++) {
		for (i = 0; i < self->probes[b]; i++) {
			const struct probe *p = &self->probe[b][i];

			if (is_caching(self, b)) {
				gen = generation(self, b, p->va, 1);
				EXPECT_LE(0, gen);
				check_cache(_metadata, self, b, p, DEVTLB,
					    gen == 0);
			}
			gen = generation(self, b, p->va, 0);
			EXPECT_LE(0, gen);
			check_cache(_metadata, self, b, p, IOTLB, gen != 2);
		}
	}
}

static void show(struct __test_metadata *_metadata,
		 struct _test_data_stale *self, __u64 seed)
{
	int i;

	TH_LOG("repeat with STALE_SEED=%llu STALE_ROUNDS=1", seed);
	for (i = 0; i < self->nr; i++) {
		const struct named *e = &self->named[i];

		TH_LOG("%d: for 0x%x, caches %u, granularity %d: 0x%llx-0x%llx, 0x%llx, flags 0x%x",
		       i, e->who, e->caches, e->granularity, e->range.first,
		       e->range.last,
		       self->arg.entry[i].addr_info.granule_size,
		       self->arg.entry[i].addr_info.flags);
	}
}

TEST_F_TIMEOUT(stale, arrays, SLOW)
{
	__u64 seed = setting("STALE_SEED", 1);
	__u64 rounds = setting("STALE_ROUNDS", 150), i;

	for (i = 0; i < rounds; i++, seed++) {
		self->rnd = seed * 0x9e3779b97f4a7c15ULL | 1;
		below(self, 2);
		self->nr = 0;
		if (!make_stale(_metadata, self)) {
			random_array(self);
			EXPECT_OK(do_inv(self->first, &self->arg));
			EXPECT_EQ(self->nr, self->arg.head.handled);
			check_all(_metadata, self);
		} else {
			EXPECT_TRUE(0);
		}
		if (_metadata->exit_code == KSFT_FAIL) {
			show(_metadata, self, seed);
			return;
		}
	}
	TH_LOG("%u looked at, %u named, %u left alone", self->looked,
	       self->fresh, self->stale);
	/* Otherwise the rounds would show little. */
	if (rounds >= 20) {
		EXPECT_LE(self->looked / 8, self->fresh);
		EXPECT_LE(self->looked / 2, self->stale);
	}
}

/* ---- entries that lead to tables ---- */

/* A table at @level for @va whose entries all lead to one generation */
static __u64 make_table(struct _test_data_stale *self, int level, int gen)
{
	struct gmem *mem = &self->first->mem;
	__u64 gpa = gmem_alloc(mem, PGT_4K, PGT_4K), below_it, *table;
	int i;

	if (!gpa)
		return 0;
	table = gmem_ptr(mem, gpa);
	below_it = level > 1 ? make_table(self, level - 1, gen) : 0;
	for (i = 0; i < 512; i++)
		table[i] = PGT_RW | (level > 1 ? below_it :
				     self->target[gen] + i * PGT_4K);
	return gpa;
}

/* The flags of two neighbours, of which the second has the page that is read */
static const struct {
	__u32 first;
	__u32 second;
} leaf_flags[] = {
	{ 0, 0 },
	{ IOMMU_UAPI_INV_ADDR_LEAF, 0 },
	{ 0, IOMMU_UAPI_INV_ADDR_LEAF },
};

/*
 * A table takes the place of another. Hardware may have cached the entry that
 * leads to it, and use it for an address that it has never seen: until an
 * invalidation that isn't for leaf entries alone.
 */
TEST_F_TIMEOUT(stale, tables, SLOW)
{
	const __u64 va = GUEST_VA + 32 * PGT_1G;
	struct nest *first = self->first;
	__u64 table[4][2], *entry;
	unsigned int way;
	int b, level, i;

	for (level = 1; level < 3; level++) {
		for (i = 0; i < 2; i++) {
			table[level][i] = make_table(self, level, i * 2);
			ASSERT_NE(0, table[level][i]);
		}
	}
	/* So that there is an entry for it */
	ASSERT_OK(pgt_map(&self->pt[0], va, self->target[0], PGT_4K, PGT_RW));
	for (b = 0; b < BINDINGS * 2 * (int)ARRAY_LEN(leaf_flags); b++) {
		int binding = b % BINDINGS;
		__u32 pasid = kinds[binding % KINDS];
		struct iommu_uapi_cache_invalidate_info *e = self->arg.entry;
		int ats = is_caching(self, binding);

		level = 1 + b / BINDINGS % 2;
		way = b / BINDINGS / 2;
		if (!(self->bound >> binding & 1))
			continue;
		entry = pgt_entry(&self->pt[0], va, level + 1);
		ASSERT_TRUE(!!entry);
		*entry = table[level][0] | PGT_RW;
		inv_init(&self->arg, 1);
		inv_domain(e, first);
		ASSERT_OK(do_inv(first, &self->arg));
		EXPECT_EQ(0, generation(self, binding, va, ats));
		*entry = table[level][1] | PGT_RW;
		EXPECT_EQ(0, generation(self, binding, va, ats));

		/* Pages 2 and 3, of which page 3 has never been used */
		inv_init(&self->arg, 2);
		inv_addr(&e[0], first, pasid, va + 2 * PGT_4K, 1);
		inv_addr(&e[1], first, pasid, va + 3 * PGT_4K, 1);
		e[0].addr_info.flags |= leaf_flags[way].first;
		e[1].addr_info.flags |= leaf_flags[way].second;
		if (leaf_flags[way].second) {
			e[0].addr_info.addr += PGT_4K;
			e[1].addr_info.addr -= PGT_4K;
		}
		EXPECT_OK(do_inv(first, &self->arg));
		EXPECT_EQ(2, generation(self, binding, va + 3 * PGT_4K, ats))
			TH_LOG("level %d, PASID %u, flags %u and %u", level,
			       pasid, leaf_flags[way].first,
			       leaf_flags[way].second);
		/* One entry for the whole table */
		inv_init(&self->arg, 1);
		inv_addr(e, first, pasid, va & ~(PGT_1G - 1), PGT_1G / PGT_4K);
		EXPECT_OK(do_inv(first, &self->arg));
		EXPECT_EQ(2, generation(self, binding, va, ats));
	}
}

TEST_HARNESS_MAIN
