/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest in miniature: a stretch of memory that stands for guest-physical
 * memory, and first-level page tables in it, in the x86 format with four
 * levels.
 *
 * The hardware sets bits in the entries while a command of the device runs. That
 * is within a system call, so nothing needs to be volatile.
 *
 * Nothing here tells the IOMMU about a change. That's for the test to do, or
 * to leave out.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_PGTABLE_H
#define _SELFTESTS_IOMMU_UAPI_PGTABLE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/types.h>

#define PGT_4K		0x1000ULL
#define PGT_2M		0x200000ULL
#define PGT_1G		0x40000000ULL

#define PGT_P		0x1ULL
#define PGT_W		0x2ULL
/* Requests without privilege may use the entry. */
#define PGT_U		0x4ULL
#define PGT_A		0x20ULL
#define PGT_D		0x40ULL
#define PGT_PS		0x80ULL
/* Extended accessed, kept under IOMMU_UAPI_VTD_EAFE. */
#define PGT_EA		0x400ULL
#define PGT_XD		0x8000000000000000ULL
#define PGT_ADDR	0x000ffffffffff000ULL

#define PGT_RW		(PGT_P | PGT_W | PGT_U)
#define PGT_RO		(PGT_P | PGT_U)

/**
 * struct gmem - guest memory
 * @base: where this process sees it
 * @gpa: guest-physical address of @base
 * @size: in bytes
 * @used: handed out by gmem_alloc(), from the start
 */
struct gmem {
	__u8 *base;
	__u64 gpa;
	size_t size;
	size_t used;
};

/**
 * struct pgt - a page table
 * @mem: where its pages lie, and everything that it maps
 * @root: guest-physical address of the top page: what a bind names as gpgd
 */
struct pgt {
	struct gmem *mem;
	__u64 root;
};

static inline int gmem_map(struct gmem *mem, __u64 gpa, size_t size, int flags)
{
	__u8 *p = mmap(NULL, size + PGT_2M, PROT_READ | PROT_WRITE,
		       MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	/* So that the host can use large pages if it likes. */
	mem->base = p + (-(uintptr_t)p & (PGT_2M - 1));
	madvise(mem->base, size, MADV_HUGEPAGE);
	mem->gpa = gpa;
	mem->size = size;
	mem->used = 0;
	return 0;
}

/**
 * gmem_init - get memory for a guest
 * @mem: the memory
 * @gpa: its guest-physical address, a multiple of 2 MiB
 * @size: its size in bytes
 */
static inline int gmem_init(struct gmem *mem, __u64 gpa, size_t size)
{
	return gmem_map(mem, gpa, size, MAP_PRIVATE);
}

/* The same, shared with the children of this process. */
static inline int gmem_init_shared(struct gmem *mem, __u64 gpa, size_t size)
{
	return gmem_map(mem, gpa, size, MAP_SHARED);
}

static inline void *gmem_ptr(const struct gmem *mem, __u64 gpa)
{
	return mem->base + (gpa - mem->gpa);
}

static inline int gmem_has(const struct gmem *mem, __u64 gpa)
{
	return gpa >= mem->gpa && gpa - mem->gpa < mem->size;
}

/* @align: a power of two. Returns a guest-physical address, 0 if full. */
static inline __u64 gmem_alloc(struct gmem *mem, size_t size, size_t align)
{
	__u64 gpa = (mem->gpa + mem->used + align - 1) & ~(__u64)(align - 1);

	if (gpa - mem->gpa + size > mem->size)
		return 0;
	mem->used = gpa - mem->gpa + size;
	memset(gmem_ptr(mem, gpa), 0, size);
	return gpa;
}

static inline int pgt_init(struct pgt *pt, struct gmem *mem)
{
	pt->mem = mem;
	pt->root = gmem_alloc(mem, PGT_4K, PGT_4K);
	return pt->root ? 0 : -ENOMEM;
}

/**
 * pgt_entry - find an entry
 * @pt: the page table
 * @va: guest-virtual address
 * @level: 4 for the top table's entry, 1 for that of a 4 KiB page
 *
 * Return: the entry, or NULL where no table of that level covers @va.
 */
static inline __u64 *pgt_entry(const struct pgt *pt, __u64 va, int level)
{
	__u64 *table = gmem_ptr(pt->mem, pt->root);
	int l;

	for (l = 4; l > level; l--) {
		__u64 e = table[(va >> (12 + 9 * (l - 1))) & 511];

		if (!(e & PGT_P) || (e & PGT_PS))
			return NULL;
		table = gmem_ptr(pt->mem, e & PGT_ADDR);
	}
	return &table[(va >> (12 + 9 * (level - 1))) & 511];
}

/* The entry that maps @va, at whichever level it is; NULL if there is none. */
static inline __u64 *pgt_leaf(const struct pgt *pt, __u64 va)
{
	int level;

	for (level = 3; level >= 1; level--) {
		__u64 *e = pgt_entry(pt, va, level);

		if (!e || !(*e & PGT_P))
			return NULL;
		if (level == 1 || (*e & PGT_PS))
			return e;
	}
	return NULL;
}

/**
 * pgt_map - map one page
 * @pt: the page table
 * @va: guest-virtual address
 * @gpa: guest-physical address
 * @size: PGT_4K, PGT_2M or PGT_1G; @va and @gpa are multiples of it
 * @bits: of the leaf entry: PGT_RW, PGT_RO, and so on
 *
 * Tables on the way are made as needed, and allow everything.
 */
static inline int pgt_map(struct pgt *pt, __u64 va, __u64 gpa, __u64 size,
			  __u64 bits)
{
	int leaf = size == PGT_1G ? 3 : size == PGT_2M ? 2 : 1;
	__u64 *e;
	int level;

	for (level = 4; level > leaf; level--) {
		__u64 table;

		e = pgt_entry(pt, va, level);
		if (!e)
			return -EEXIST;
		if (*e & PGT_P)
			continue;
		table = gmem_alloc(pt->mem, PGT_4K, PGT_4K);
		if (!table)
			return -ENOMEM;
		*e = table | PGT_RW;
	}
	e = pgt_entry(pt, va, leaf);
	if (!e)
		return -EEXIST;
	*e = gpa | bits | (leaf > 1 ? PGT_PS : 0);
	return 0;
}

/* Returns the entry as it was, with what the hardware noted in it. */
static inline __u64 pgt_unmap(struct pgt *pt, __u64 va)
{
	__u64 *e = pgt_leaf(pt, va);
	__u64 old;

	if (!e)
		return 0;
	old = *e;
	*e = 0;
	return old;
}

#endif /* _SELFTESTS_IOMMU_UAPI_PGTABLE_H */
