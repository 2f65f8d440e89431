/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Guest-owned I/O page tables: what a virtual machine monitor hands to the
 * IOMMU that sits behind its guest's virtual IOMMU.
 *
 * The structures here travel through another subsystem's ioctl (VFIO type1 is
 * the first carrier), which copies them and never looks inside. See
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
/* The page response carries a cookie. */
#define IOMMU_UAPI_VERSION_2	2
#define IOMMU_UAPI_VERSION	IOMMU_UAPI_VERSION_2

/**
 * DOC: Errors
 *
 * Each errno means one thing on every call that carries these structures:
 *
 *  - ENOTTY: the call itself is not there: an older kernel, or a container
 *    that is not a nesting container.
 *  - EOPNOTSUPP: a known field has a value that this kernel or this hardware
 *    does not support: a version newer than the reported one, an unknown flag,
 *    format, cache or granularity, a reserved field that is not zero.
 *  - EINVAL: everything is understood, but a field is not correct.
 *  - EFAULT: a pointer leads to memory that can't be read or written.
 *  - ENOENT: the group, PASID, binding or page request that is named is not the
 *    caller's, or not any more.
 *  - ENODEV: the group that is named can't be bound: it does not hold exactly
 *    one device with a nesting IOMMU behind it.
 *  - EEXIST: the (device, PASID) is bound already, or the container has its
 *    contract already.
 *  - EBUSY: the PASID is still bound; or, for a contract, PASIDs, bindings or a
 *    file for page requests of the time before it are there; or the page
 *    requests of a device are in use.
 *  - EDQUOT: the caller's quota of PASIDs is used up.
 *  - ENOSPC: no PASID, or no hardware resource, is left in the range asked for.
 *  - EOVERFLOW: an address range wraps.
 *  - ERANGE: the host does not have all that a contract asks for, and the
 *    argument now says what is missing; or the IOMMU of a group that is to join
 *    does not have all that the contract of the container promises.
 *  - ETIME: the answer to a page request comes after its time was up.
 *  - ENOTUNIQ: more than one page request waits for such a response, and only
 *    a cookie could tell them apart.
 *  - EMSGSIZE: the buffer is too small for the next group of page requests.
 *  - EAGAIN: there is no page request, and the file does not block.
 *  - EIO: the hardware did not complete an invalidation. Nothing is known of
 *    what it still caches until the PASID is unbound.
 *  - ENOMEM: out of memory.
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
#define IOMMU_UAPI_FORMAT_INTEL_VTD	1

/**
 * struct iommu_uapi_gpasid_bind_data - bind a guest page table to a PASID
 * @version: the version of this structure
 * @format: format of the page table, and of the union's member
 * @flags: combination of IOMMU_UAPI_BIND_*
 * @gpgd: guest-physical address of the guest's first-level page table
 * @hpasid: host PASID; 0 stands for the device's requests without PASID
 * @gpasid: guest PASID; must be 0 without IOMMU_UAPI_BIND_GPASID_VAL
 * @addr_width: width in bits of the addresses that the page table translates
 * @padding: must be 0
 * @vtd: valid with IOMMU_UAPI_FORMAT_INTEL_VTD
 */
struct iommu_uapi_gpasid_bind_data {
	__u32 version;
	__u32 format;
/* @gpasid is valid. */
#define IOMMU_UAPI_BIND_GPASID_VAL	(1 << 0)
/* Page requests go to the carrier's queue; without, they are refused. */
#define IOMMU_UAPI_BIND_PAGE_REQUEST	(1 << 1)
	__aligned_u64 flags;
	__aligned_u64 gpgd;
	__aligned_u64 hpasid;
	__aligned_u64 gpasid;
	__u32 addr_width;
	__u8 padding[12];
	/* May gain members at its end; nothing may follow it. */
	union {
		struct iommu_uapi_gpasid_bind_vtd vtd;
	};
};

/**
 * struct iommu_uapi_inv_addr_info - an address range within a PASID
 * @flags: combination of IOMMU_UAPI_INV_ADDR_*
 * @archid: guest's architecture-specific id; must be 0 without
 *	IOMMU_UAPI_INV_ADDR_ARCHID
 * @pasid: host PASID; 0 stands for requests without PASID
 * @addr: first address, a multiple of @granule_size
 * @granule_size: size in bytes of one granule, a power of two
 * @nb_granules: number of granules, at least 1
 */
struct iommu_uapi_inv_addr_info {
/* @pasid is valid: needed, since a range without a PASID means nothing. */
#define IOMMU_UAPI_INV_ADDR_PASID	(1 << 0)
/* @archid is valid. */
#define IOMMU_UAPI_INV_ADDR_ARCHID	(1 << 1)
/* Only leaf entries changed. */
#define IOMMU_UAPI_INV_ADDR_LEAF	(1 << 2)
	__u32 flags;
	__u32 archid;
	__aligned_u64 pasid;
	__aligned_u64 addr;
	__aligned_u64 granule_size;
	__aligned_u64 nb_granules;
};

/**
 * struct iommu_uapi_inv_pasid_info - everything of a PASID
 * @flags: combination of IOMMU_UAPI_INV_PASID_*
 * @archid: guest's architecture-specific id; must be 0 without
 *	IOMMU_UAPI_INV_PASID_ARCHID
 * @pasid: host PASID; 0 stands for requests without PASID
 */
struct iommu_uapi_inv_pasid_info {
/* @pasid is valid: needed. */
#define IOMMU_UAPI_INV_PASID_PASID	(1 << 0)
/* @archid is valid. */
#define IOMMU_UAPI_INV_PASID_ARCHID	(1 << 1)
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
 * @pasid_info: valid with IOMMU_UAPI_GRANU_PASID
 * @addr_info: valid with IOMMU_UAPI_GRANU_ADDR
 *
 * Each cache named must be reported together with @granularity in struct
 * iommu_uapi_caps. Where the host uses a device's own translation cache, an
 * invalidation of the IOTLB covers it too.
 *
 * What the valid member leaves of the union must be 0.
 */
struct iommu_uapi_cache_invalidate_info {
	__u32 version;
#define IOMMU_UAPI_CACHE_IOTLB		(1 << 0)
#define IOMMU_UAPI_CACHE_DEV_IOTLB	(1 << 1)
#define IOMMU_UAPI_CACHE_PASID		(1 << 2)
	__u8 cache;
#define IOMMU_UAPI_GRANU_DOMAIN		0
#define IOMMU_UAPI_GRANU_PASID		1
#define IOMMU_UAPI_GRANU_ADDR		2
	__u8 granularity;
	__u8 padding[2];
	/* May gain members at its end; nothing may follow it. */
	union {
		struct iommu_uapi_inv_pasid_info pasid_info;
		struct iommu_uapi_inv_addr_info addr_info;
	};
};

/* Groups that wait for a response, per queue; a further one is answered INVALID. */
#define IOMMU_UAPI_MAX_GROUPS		512
/* Requests in one group; a larger group is answered INVALID. */
#define IOMMU_UAPI_MAX_GROUP_REQUESTS	64

/**
 * struct iommu_uapi_page_request - a device asks for a page
 * @version: the version of this structure, as asked for when the queue was made
 * @flags: combination of IOMMU_UAPI_REQ_*
 * @perm: combination of IOMMU_UAPI_PERM_*: what the device wants to do
 * @pasid: PASID of the request; 0 without IOMMU_UAPI_REQ_PASID_VAL
 * @grpid: page request group index
 * @group_id: number of the IOMMU group of the device
 * @addr: address of the page, in the address space of the PASID
 * @cookie: names the group of requests, and no other of this queue. Belongs into
 *	the response.
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
 *	structure
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
 *	requests without PASID can be bound
 * @gpa_width: width in bits of the guest-physical addresses that the second
 *	level translates, and so of struct iommu_uapi_gpasid_bind_data.gpgd
 * @reserved: 0
 *
 * Each mask bit is one capability, and each number an upper bound. What two
 * hosts have in common is therefore the AND of the masks and the smaller of
 * the numbers, and that is a contract which both can keep.
 *
 * Such a structure also says what a virtual machine monitor needs, and what a
 * host lacks of it. A bit or number of a need that is 0 asks for nothing.
 */
struct iommu_uapi_caps {
	__u32 version;
	__u32 addr_width;
/* Requests without PASID can be bound (hpasid 0). */
#define IOMMU_UAPI_FEAT_BIND_NO_PASID	(1 << 0)
/* Requests with a PASID can be bound. */
#define IOMMU_UAPI_FEAT_BIND_PASID	(1 << 1)
/* The host hands out the PASIDs: only those that it allocated can be bound. */
#define IOMMU_UAPI_FEAT_HOST_PASID	(1 << 2)
/* Caches can be invalidated. */
#define IOMMU_UAPI_FEAT_INVALIDATE	(1 << 3)
/* Guest memory may be mapped read-only for DMA. */
#define IOMMU_UAPI_FEAT_RO_MAP		(1 << 4)
/* The device may request pages. */
#define IOMMU_UAPI_FEAT_PAGE_REQUEST	(1 << 5)
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
};

#endif /* _UAPI_IOMMU_H */
