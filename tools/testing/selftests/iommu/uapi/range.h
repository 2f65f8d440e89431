/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an invalidation of a range reaches, at least and at most
 */
#ifndef _SELFTESTS_IOMMU_UAPI_RANGE_H
#define _SELFTESTS_IOMMU_UAPI_RANGE_H

#include "pgtable.h"

/* A page of the guest that is mapped */
struct slot {
	__u64 va;
	__u64 page;
};

/* From the first byte to the last */
struct range {
	__u64 first;
	__u64 last;
};

/* The naturally aligned power of two around both */
static inline struct range block(__u64 first, __u64 last)
{
	struct range r = { first & -PGT_4K, last | (PGT_4K - 1) };
	__u64 size = PGT_4K;

	while (r.first + size - 1 < r.last) {
		size *= 2;
		r.first &= -size;
	}
	r.last = r.first + size - 1;
	return r;
}

static inline int meets(const struct range *r, const struct slot *slot)
{
	return r->first <= slot->va + slot->page - 1 && r->last >= slot->va;
}

/*
 * A descriptor is for a naturally aligned power of two. If that is more than four
 * times as large as the range, the driver must use two, split at the boundary.
 */
static inline int widened_meets(const struct range *r, const struct slot *slot)
{
	struct range one, low, high;
	__u64 middle;

	if (!r->first && r->last == ~0ULL)
		return 1;
	one = block(r->first, r->last);
	if (one.last - one.first < 4 * (r->last - r->first + 1))
		return meets(&one, slot);
	middle = one.first + (one.last - one.first) / 2 + 1;
	low = block(r->first, middle - 1);
	high = block(middle, r->last);
	return meets(&low, slot) || meets(&high, slot);
}

/* Join the ranges that touch. Returns how many are left. */
static inline int merge(struct range *r, int nr)
{
	int i, j, again;

	do {
		again = 0;
		for (i = 0; i < nr; i++) {
			for (j = i + 1; j < nr; j++) {
				if (r[i].first > r[j].last + 1 && r[j].last + 1)
					continue;
				if (r[j].first > r[i].last + 1 && r[i].last + 1)
					continue;
				if (r[j].first < r[i].first)
					r[i].first = r[j].first;
				if (r[j].last > r[i].last)
					r[i].last = r[j].last;
				r[j--] = r[--nr];
				again = 1;
			}
		}
	} while (again);
	return nr;
}

#endif
