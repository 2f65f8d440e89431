/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Guest-owned I/O page tables: what a virtual machine monitor tells the IOMMU
 * behind its guest's virtual IOMMU.
 *
 * The structures are passed through an ioctl of another subsystem (VFIO type1 is
 * the first one), which uses none of their fields. See
 * Documentation/userspace-api/iommu.rst.
 */
#ifndef _UAPI_IOMMU_H
#define _UAPI_IOMMU_H

#include <linux/types.h>

/**
 * DOC: Versions
 *
 * One number covers every structure in this file, and every structure begins
 * with it. The kernel keeps a table from (structure, version) to size, and
 * copies exactly the size that the table gives for the version which the
 * caller wrote. A version only ever chooses a size: what a structure asks for
 * is chosen by its flags, and what the host can do is told by struct
 * iommu_uapi_caps.
 *
 * A caller writes the version whose layout it fills in, at most the highest
 * one that the kernel reports.
 */
#define IOMMU_UAPI_VERSION_1	1
/* The page response carries a cookie; the capabilities have more fields. */
#define IOMMU_UAPI_VERSION_2	2
#define IOMMU_UAPI_VERSION	IOMMU_UAPI_VERSION_2

/**
 * DOC: Errors
 *
 * Each errno means one thing on every call that carries these structures:
 *
 *  - ENOTTY: the call does not exist: an older kernel, or a container that is
 *    not a nesting container.
 *  - EOPNOTSUPP: a known field has a value that this kernel, this hardware or
 *    the contract does not support: a version newer than the reported one, an
 *    unknown flag, format, cache or granularity, a reserved field that is not
 *    zero.
 *  - EINVAL: everything is understood, but a field is not correct; or the
 *    container has no IOMMU yet, or no group any more.
 *  - EFAULT: a pointer leads to memory that can't be read or written.
 *  - ENOENT: the group, PASID, binding or page request that is named is not the
 *    caller's, or no longer exists.
 *  - ENODEV: nothing can be bound in the named group: it does not hold exactly
 *    one device with a nesting IOMMU.
 *  - EEXIST: the (device, PASID) is bound already; the container has a contract
 *    already, or an open file for page requests.
 *  - EBUSY: the PASID is still bound; or, for a bind, the device is being reset,
 *    and the call can be repeated; or, for a contract, the container already has
 *    PASIDs or bindings, or has had a file for page requests; or something else
 *    uses the page requests of a device, or it has not drained earlier ones.
 *  - EDQUOT: the caller's quota of PASIDs is used up, or a time limit is longer
 *    than the administrator allows.
 *  - ENOSPC: no PASID is left in the range, or the hardware has run out of domain
 *    ids.
 *  - EOVERFLOW: an address range wraps.
 *  - ERANGE: the host does not have all that a contract asks for, and the
 *    argument now says what is missing; or a group that is to join can't keep the
 *    contract of the container.
 *  - ETIME: the answer to a page request comes after its time limit.
 *  - ENOTUNIQ: more than one page request group matches a response, and only a
 *    cookie could tell them apart.
 *  - EMSGSIZE: the buffer is too small for the next page request group or DMA
 *    fault.
 *  - EAGAIN: there is nothing to read, and the file does not block.
 *  - EIO: a device did not answer an invalidation, and is blocked until it has
 *    been reset; or its page requests can't be enabled.
 *  - ENOMEM: out of memory.
 *
 * The file for page requests also returns what any file does: EMFILE and ENFILE
 * when it is made, EINTR, and ESPIPE.
 */

/**
 * struct iommu_uapi_gpasid_bind_vtd - Intel VT-d's part of a bind
 * @flags: combination of IOMMU_UAPI_VTD_*; a flag that struct
 *	iommu_uapi_caps.vtd_flags does not report is refused
 * @pat: page attribute table; must be 0 without IOMMU_UAPI_VTD_EMTE
 * @emt: extended memory type; must be 0 without IOMMU_UAPI_VTD_EMTE
 */
struct iommu_uapi_gpasid_bind_vtd {
/* Supervisor requests are allowed. */
#define IOMMU_UAPI_VTD_SRE	(1 << 0)
/* The extended accessed flag is kept. */
#define IOMMU_UAPI_VTD_EAFE	(1 << 1)
/* Page-level cache disable. */
#define IOMMU_UAPI_VTD_PCD	(1 << 2)
/* Page-level write-through. */
#define IOMMU_UAPI_VTD_PWT	(1 << 3)
/* @pat and @emt are valid. */
#define IOMMU_UAPI_VTD_EMTE	(1 << 4)
/* PASID-level cache disable. */
#define IOMMU_UAPI_VTD_CD	(1 << 5)
/* Write protection holds for supervisor requests too. */
#define IOMMU_UAPI_VTD_WPE	(1 << 6)
	__aligned_u64 flags;
	__u32 pat;
	__u32 emt;
};

/* Values of iommu_uapi_gpasid_bind_data.format */
/* A first-level page table as VT-d defines it, with 48 or 57 bits of address. */
#define IOMMU_UAPI_FORMAT_INTEL_VTD	1
/* No guest table: requests use guest-physical addresses (pass-through). */
#define IOMMU_UAPI_FORMAT_SECOND_LEVEL	2

/**
 * struct iommu_uapi_gpasid_bind_data - bind a guest page table to a PASID
 * @version: the version of this structure
 * @format: format of the page table, and of the union's member
 * @flags: combination of IOMMU_UAPI_BIND_*
 * @gpgd: guest-physical address of the guest's first-level page table
 * @hpasid: PASID that the device sends; 0 stands for its requests without PASID
 * @gpasid: the guest's number for the PASID. Informational; the kernel does not
 *	use it. Must be 0 without IOMMU_UAPI_BIND_GPASID_VAL
 * @addr_width: width in bits of the addresses that the page table translates
 * @archid: the guest's domain id, which an invalidation may name. Must be 0
 *	without IOMMU_UAPI_BIND_ARCHID
 * @padding: must be 0
 * @vtd: valid with IOMMU_UAPI_FORMAT_INTEL_VTD
 *
 * With IOMMU_UAPI_FORMAT_SECOND_LEVEL, @gpgd, @addr_width and the union must be
 * 0, and IOMMU_UAPI_BIND_PAGE_REQUEST is refused: all of the second level is
 * present.
 */
struct iommu_uapi_gpasid_bind_data {
	__u32 version;
	__u32 format;
/* @gpasid is valid. */
#define IOMMU_UAPI_BIND_GPASID_VAL	(1 << 0)
/* Page requests go to the container's file; without it they are refused. */
#define IOMMU_UAPI_BIND_PAGE_REQUEST	(1 << 1)
/* Take the place of what is bound, in one step, instead of failing with EEXIST. */
#define IOMMU_UAPI_BIND_REPLACE		(1 << 2)
/* @archid is valid. */
#define IOMMU_UAPI_BIND_ARCHID		(1 << 3)
	__aligned_u64 flags;
	__aligned_u64 gpgd;
	__aligned_u64 hpasid;
	__aligned_u64 gpasid;
	__u32 addr_width;
	__u32 archid;
	__u8 padding[8];
	/* May gain members at its end; nothing may follow it. */
	union {
		struct iommu_uapi_gpasid_bind_vtd vtd;
	};
};

/**
 * struct iommu_uapi_inv_addr_info - an address range within a PASID
 * @flags: combination of IOMMU_UAPI_INV_ADDR_*
 * @archid: which bindings of @pasid are meant, see the flags; must be 0 without
 *	one of IOMMU_UAPI_INV_ADDR_ARCHID and IOMMU_UAPI_INV_ADDR_GROUP
 * @pasid: PASID; 0 stands for requests without PASID
 * @addr: first address, a multiple of @granule_size
 * @granule_size: size in bytes of one granule, a power of two
 * @nb_granules: number of granules, at least 1
 */
struct iommu_uapi_inv_addr_info {
/* @pasid is valid. Required. */
#define IOMMU_UAPI_INV_ADDR_PASID	(1 << 0)
/* Only bindings with this archid: the guest's domain id that the bind gave. */
#define IOMMU_UAPI_INV_ADDR_ARCHID	(1 << 1)
/* Only leaf entries changed. */
#define IOMMU_UAPI_INV_ADDR_LEAF	(1 << 2)
/* Only the binding in the IOMMU group whose number @archid holds. */
#define IOMMU_UAPI_INV_ADDR_GROUP	(1 << 3)
	__u32 flags;
	__u32 archid;
	__aligned_u64 pasid;
	__aligned_u64 addr;
	__aligned_u64 granule_size;
	__aligned_u64 nb_granules;
};

/**
 * struct iommu_uapi_inv_pasid_info - everything of a PASID, or of all PASIDs
 * @flags: combination of IOMMU_UAPI_INV_PASID_*
 * @archid: which bindings are meant, see the flags; must be 0 without one of
 *	IOMMU_UAPI_INV_PASID_ARCHID and IOMMU_UAPI_INV_PASID_GROUP
 * @pasid: PASID; 0 stands for requests without PASID. Must be 0 with
 *	IOMMU_UAPI_GRANU_DOMAIN
 */
struct iommu_uapi_inv_pasid_info {
/* @pasid is valid: needed with IOMMU_UAPI_GRANU_PASID, and refused otherwise. */
#define IOMMU_UAPI_INV_PASID_PASID	(1 << 0)
/* Only bindings with this archid: the guest's domain id that the bind gave. */
#define IOMMU_UAPI_INV_PASID_ARCHID	(1 << 1)
/* Only bindings in the IOMMU group whose number @archid holds. */
#define IOMMU_UAPI_INV_PASID_GROUP	(1 << 2)
	__u32 flags;
	__u32 archid;
	__aligned_u64 pasid;
};

/**
 * struct iommu_uapi_cache_invalidate_info - invalidate what hardware cached
 * @version: the version of this structure
 * @cache: combination of IOMMU_UAPI_CACHE_*, at least one
 * @granularity: one of IOMMU_UAPI_GRANU_*
 * @padding: must be 0
 * @pasid_info: valid with IOMMU_UAPI_GRANU_DOMAIN and IOMMU_UAPI_GRANU_PASID
 * @addr_info: valid with IOMMU_UAPI_GRANU_ADDR
 *
 * Each cache named must be reported together with @granularity in struct
 * iommu_uapi_caps. Where the host uses a device's own translation cache, an
 * invalidation of the IOTLB covers it too.
 *
 * An entry is for each binding of its PASID in the container, or for those that
 * archid names. IOMMU_UAPI_GRANU_DOMAIN is for all PASIDs: of the container, of a
 * group, or of a guest's domain.
 *
 * The bytes of the union that the valid member does not cover must be 0.
 */
struct iommu_uapi_cache_invalidate_info {
	__u32 version;
#define IOMMU_UAPI_CACHE_IOTLB		(1 << 0)
#define IOMMU_UAPI_CACHE_DEV_IOTLB	(1 << 1)
#define IOMMU_UAPI_CACHE_PASID		(1 << 2)
	__u8 cache;
/* All PASIDs. */
#define IOMMU_UAPI_GRANU_DOMAIN		0
/* Everything of one PASID. */
#define IOMMU_UAPI_GRANU_PASID		1
/* A range of addresses of one PASID. */
#define IOMMU_UAPI_GRANU_ADDR		2
	__u8 granularity;
	__u8 padding[2];
	/* May gain members at its end; nothing may follow it. */
	union {
		struct iommu_uapi_inv_pasid_info pasid_info;
		struct iommu_uapi_inv_addr_info addr_info;
	};
};

/* Page request groups that wait for a response, per container; a further one is
 * answered INVALID.
 */
#define IOMMU_UAPI_MAX_GROUPS		512
/* Page requests in one group; a larger group is answered INVALID. */
#define IOMMU_UAPI_MAX_GROUP_REQUESTS	64
/* DMA faults that wait to be read, per container; a further one is counted. */
#define IOMMU_UAPI_MAX_DMA_FAULTS	256

/**
 * struct iommu_uapi_page_request - a device asks for a page
 * @version: the version of this structure, as asked for when the file was opened
 * @flags: combination of IOMMU_UAPI_REQ_*
 * @perm: combination of IOMMU_UAPI_PERM_*: what the device wants to do
 * @pasid: PASID of the request; 0 without IOMMU_UAPI_REQ_PASID_VAL
 * @grpid: page request group index
 * @group_id: number of the IOMMU group of the device
 * @addr: address of the page, in the address space of the PASID
 * @cookie: identifies the page request group in this container. Must be copied
 *	into the response.
 *
 * The records of a group follow one another, and the last has
 * IOMMU_UAPI_REQ_LAST. A group is answered as a whole.
 */
struct iommu_uapi_page_request {
	__u32 version;
/* @pasid is valid. */
#define IOMMU_UAPI_REQ_PASID_VAL	(1 << 0)
/* The last record of its group. */
#define IOMMU_UAPI_REQ_LAST		(1 << 1)
/* Not a page request: the record is a struct iommu_uapi_dma_fault. */
#define IOMMU_UAPI_REQ_DMA_FAULT	(1 << 2)
	__u32 flags;
#define IOMMU_UAPI_PERM_READ		(1 << 0)
#define IOMMU_UAPI_PERM_WRITE		(1 << 1)
#define IOMMU_UAPI_PERM_EXEC		(1 << 2)
#define IOMMU_UAPI_PERM_PRIV		(1 << 3)
	__u32 perm;
	__u32 pasid;
	__u32 grpid;
	__u32 group_id;
	__aligned_u64 addr;
	__aligned_u64 cookie;
};

/**
 * struct iommu_uapi_dma_fault - DMA that the IOMMU has blocked
 * @version: the version of this structure, as asked for when the file was opened
 * @flags: IOMMU_UAPI_REQ_DMA_FAULT, and IOMMU_UAPI_REQ_PASID_VAL if @pasid is
 *	valid
 * @perm: IOMMU_UAPI_PERM_READ or IOMMU_UAPI_PERM_WRITE: what the device wanted
 * @pasid: PASID of the request; 0 without IOMMU_UAPI_REQ_PASID_VAL
 * @reason: fault reason as the IOMMU's specification numbers it
 * @group_id: number of the IOMMU group of the device
 * @addr: address of the page
 * @lost: DMA faults that found no room since the previous record. Those of other
 *	devices behind the same IOMMU may be among them.
 *
 * The fault can't be resolved, and needs no response. Read from the file for page
 * requests, if that was opened with DMA faults. It has the size of struct
 * iommu_uapi_page_request in each version, so that records can be read as an
 * array.
 */
struct iommu_uapi_dma_fault {
	__u32 version;
	__u32 flags;
	__u32 perm;
	__u32 pasid;
	__u32 reason;
	__u32 group_id;
	__aligned_u64 addr;
	__aligned_u64 lost;
};

/**
 * struct iommu_uapi_page_response - answer to a page request group
 * @version: the version of this structure
 * @flags: combination of IOMMU_UAPI_RESP_*
 * @pasid: PASID of the request; must be 0 without IOMMU_UAPI_RESP_PASID_VAL
 * @grpid: page request group index
 * @code: one of IOMMU_UAPI_RESP_SUCCESS, _INVALID, _FAILURE
 * @reserved: must be 0
 * @cookie: what the request carried; must be 0 without
 *	IOMMU_UAPI_RESP_COOKIE_VAL. (PASID, group index) is ambiguous once a
 *	container holds two devices.
 *
 * Version 1 ends after @code.
 */
struct iommu_uapi_page_response {
	__u32 version;
#define IOMMU_UAPI_RESP_PASID_VAL	(1 << 0)
#define IOMMU_UAPI_RESP_COOKIE_VAL	(1 << 1)
	__u32 flags;
	__u32 pasid;
	__u32 grpid;
#define IOMMU_UAPI_RESP_SUCCESS		0
#define IOMMU_UAPI_RESP_INVALID		1
#define IOMMU_UAPI_RESP_FAILURE		2
	__u32 code;
	__u32 reserved;
	__aligned_u64 cookie;
};

/**
 * struct iommu_uapi_caps - what the host can do for a virtual IOMMU
 * @version: highest version that the kernel accepts, and the version of this
 *	structure; in a contract, only the latter
 * @addr_width: widest guest first-level address width in bits: 48 (four
 *	levels), or 57, which allows 48 too
 * @features: combination of IOMMU_UAPI_FEAT_*
 * @formats: bit (1 << n) stands for IOMMU_UAPI_FORMAT_* number n
 * @bind_flags: flags accepted in struct iommu_uapi_gpasid_bind_data
 * @vtd_flags: flags accepted in struct iommu_uapi_gpasid_bind_vtd
 * @inv_iotlb: bit (1 << n) stands for granularity n on IOMMU_UAPI_CACHE_IOTLB
 * @inv_dev_iotlb: the same for IOMMU_UAPI_CACHE_DEV_IOTLB
 * @inv_pasid: the same for IOMMU_UAPI_CACHE_PASID
 * @pasid_bits: width in bits of the PASIDs that can be bound; 0 where only
 *	requests without PASID can be bound. In a contract it is only set with
 *	IOMMU_UAPI_FEAT_HOST_PASID
 * @gpa_width: width in bits of the guest-physical addresses that the second
 *	level translates: bounds struct iommu_uapi_gpasid_bind_data.gpgd, and is the
 *	widest guest address width that a virtual IOMMU may show. A contract does
 *	not limit what can be mapped.
 * @reserved: 0
 * @guest_pasid_bits: with IOMMU_UAPI_FEAT_GUEST_PASID, width in bits of the
 *	PASIDs that a guest may be shown: so many that each can be bound within the
 *	quota. At most @pasid_bits, except in a contract
 * @max_bindings: page tables that one IOMMU can have bound at a time. All users
 *	of the host share them
 * @page_sizes: bit (1 << n) stands for pages of 2^n bytes in the first level. The
 *	smallest is the smallest granule of an invalidation
 * @errata: combination of IOMMU_UAPI_ERRATUM_*. Informational; 0 in a contract
 *
 * Each mask bit but those of @errata is one capability, and each number an upper
 * bound. What two hosts have in common is therefore the AND of the masks and the
 * smaller of the numbers.
 *
 * Such a structure also says what a virtual machine monitor needs, and what a
 * host lacks of it. A bit or number of a need that is 0 asks for nothing.
 *
 * Version 1 ends after @reserved.
 */
struct iommu_uapi_caps {
	__u32 version;
	__u32 addr_width;
/* Requests without PASID can be bound and blocked (hpasid 0). */
#define IOMMU_UAPI_FEAT_BIND_NO_PASID	(1 << 0)
/* Requests with a PASID can be bound. */
#define IOMMU_UAPI_FEAT_BIND_PASID	(1 << 1)
/* The host hands out PASIDs, unique in the host; those can be bound. */
#define IOMMU_UAPI_FEAT_HOST_PASID	(1 << 2)
/* Caches can be invalidated. */
#define IOMMU_UAPI_FEAT_INVALIDATE	(1 << 3)
/* Guest memory may be mapped read-only for DMA. */
#define IOMMU_UAPI_FEAT_RO_MAP		(1 << 4)
/* The device may request pages. */
#define IOMMU_UAPI_FEAT_PAGE_REQUEST	(1 << 5)
/* The guest picks PASIDs: any can be bound without having been allocated. */
#define IOMMU_UAPI_FEAT_GUEST_PASID	(1 << 6)
/* An invalidation may name a group, or a guest's domain id. */
#define IOMMU_UAPI_FEAT_INV_SCOPE	(1 << 7)
/* DMA faults can be read from the file for page requests. */
#define IOMMU_UAPI_FEAT_DMA_FAULT	(1 << 8)
/* The IOMMU snoops the CPU's caches when it walks page tables. */
#define IOMMU_UAPI_FEAT_COHERENT	(1 << 9)
/* The device can send privileged requests with a PASID (IOMMU_UAPI_VTD_SRE). */
#define IOMMU_UAPI_FEAT_PASID_PRIV	(1 << 10)
/* The device can ask for permission to execute with a PASID. */
#define IOMMU_UAPI_FEAT_PASID_EXEC	(1 << 11)
	__aligned_u64 features;
	__aligned_u64 formats;
	__aligned_u64 bind_flags;
	__aligned_u64 vtd_flags;
	__u32 inv_iotlb;
	__u32 inv_dev_iotlb;
	__u32 inv_pasid;
	__u32 pasid_bits;
	__u32 gpa_width;
	__u32 reserved;
	__u32 guest_pasid_bits;
	__u32 max_bindings;
	__aligned_u64 page_sizes;
/* VT-d writes to read-only second-level pages below a nested entry. */
#define IOMMU_UAPI_ERRATUM_VTD_772415	(1 << 0)
	__aligned_u64 errata;
};

#endif /* _UAPI_IOMMU_H */
