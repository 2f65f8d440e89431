/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of guest page tables in VFIO containers have in common. Calls
 * return what the ioctl returned, or -errno.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_VFIO_NESTING_UTILS_H
#define _SELFTESTS_IOMMU_UAPI_VFIO_NESTING_UTILS_H

#include <linux/iommu.h>
#include <linux/vfio.h>

#include "info.h"
#include "pgtable.h"
#include "testdev.h"

#define GUEST_BASE	0x40000000ULL
#define GUEST_SIZE	(4UL << 20)
#define GUEST_VA	0x7f0000000000ULL

#define QUOTA_PATH	"/sys/module/vfio/parameters/pasid_quota"

/* A container with one group and its device in it. */
struct nest {
	int container;
	int group;
	int group_id;
	char bdf[16];
	struct testdev td;
	struct gmem mem;
	struct iommu_uapi_caps caps;
	__u32 version;
};

struct bind_arg {
	struct vfio_iommu_type1_bind_gpasid head;
	struct iommu_uapi_gpasid_bind_data data;
};

#define INV_MAX		(VFIO_CACHE_INVALIDATE_MAX + 1)

struct inv_arg {
	struct vfio_iommu_type1_cache_invalidate head;
	struct iommu_uapi_cache_invalidate_info entry[INV_MAX];
};

static inline int xioctl(int fd, unsigned long cmd, void *arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

static inline int xioctl_num(int fd, unsigned long cmd, unsigned long arg)
{
	int rc = ioctl(fd, cmd, arg);

	return rc < 0 ? -errno : rc;
}

/**
 * nest_info - read the capability
 * @container: the container
 * @caps: gets what it says of the IOMMUs, unless NULL
 * @quota: gets the quota, unless NULL
 * @used: gets the number of PASIDs owned, unless NULL
 *
 * Return: 0, -ENOENT if it is not there, or what the ioctl said.
 */
static inline int nest_info(int container, struct iommu_uapi_caps *caps,
			    __u32 *quota, __u32 *used)
{
	struct vfio_iommu_type1_info_cap_nesting *nesting;
	union info info;
	int rc = info_read(container, &info);

	if (rc)
		return rc;
	nesting = info_cap(&info, VFIO_IOMMU_TYPE1_INFO_CAP_NESTING, NULL);
	if (!nesting)
		return -ENOENT;
	if (nesting->header.version != 1 || nesting->reserved ||
	    (uintptr_t)nesting % 8)
		return -EPROTO;
	/* Older and newer kernels have less and more to say. */
	if (caps) {
		memset(caps, 0, sizeof(*caps));
		memcpy(caps, nesting->caps,
		       nesting->caps_size < sizeof(*caps) ?
			       nesting->caps_size : sizeof(*caps));
		/* What says a version that is known has its size. */
		if (caps->version <= IOMMU_UAPI_VERSION &&
		    nesting->caps_size > sizeof(*caps))
			return -EPROTO;
	}
	if (quota)
		*quota = nesting->pasid_quota;
	if (used)
		*used = nesting->pasids_used;
	return 0;
}

/* What one group can do: 0, or -ENOENT if the container does not report it. */
static inline int group_info(int container, int group_id,
			     struct iommu_uapi_caps *caps)
{
	struct vfio_iommu_type1_info_cap_group *group = NULL;
	union info info;
	int rc = info_read(container, &info);

	if (rc)
		return rc;
	while ((group = info_cap(&info, VFIO_IOMMU_TYPE1_INFO_CAP_GROUP, group))) {
		if (group->group_id != (__u32)group_id)
			continue;
		if (group->header.version != 1 || (uintptr_t)group % 8)
			return -EPROTO;
		memset(caps, 0, sizeof(*caps));
		memcpy(caps, group->caps,
		       group->caps_size < sizeof(*caps) ? group->caps_size :
							  sizeof(*caps));
		return 0;
	}
	return -ENOENT;
}

static inline int nest_used(int container)
{
	__u32 used;
	int rc = nest_info(container, NULL, NULL, &used);

	return rc ? rc : (int)used;
}

static inline int nest_open_group(int id)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", id);
	fd = open(path, O_RDWR);
	return fd < 0 ? -errno : fd;
}

/* Put the nth device whose group has that size into a container. */
static inline int nest_join(struct nest *n, int nth, int group_size)
{
	char bdf[16];
	int rc;

	n->td.fd = -1;
	n->group = -1;
	rc = testdev_find(n->bdf, nth, group_size);
	if (rc)
		return rc;
	n->group_id = testdev_group(n->bdf);
	/* All devices of the group must be VFIO's. */
	for (nth = 0; !testdev_find(bdf, nth, group_size); nth++) {
		if (testdev_group(bdf) != n->group_id)
			continue;
		rc = testdev_bind_vfio(bdf);
		if (rc)
			return rc;
	}
	n->group = nest_open_group(n->group_id);
	if (n->group < 0)
		return n->group;
	return xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container);
}

static inline int nest_device(struct nest *n)
{
	int fd = xioctl(n->group, VFIO_GROUP_GET_DEVICE_FD, n->bdf);

	return fd < 0 ? fd : testdev_init(&n->td, fd);
}

/*
 * Does the device ask for translations, and keep them? In the lab, commands that do
 * exist together with page requests.
 */
static inline int device_caches(struct nest *n)
{
	const __u32 num = 5;

	testdev_put(&n->td, TESTDEV_REG_PRNUM, &num, sizeof(num));
	return n->caps.inv_dev_iotlb &&
	       testdev_get32(&n->td, TESTDEV_REG_PRNUM) == num;
}

/**
 * nest_open - open a container, a group and its device
 * @n: filled in
 * @nth: which of the devices
 * @group_size: number of devices in the group
 * @type: what VFIO_SET_IOMMU gets
 *
 * Return: 0; -ENODEV if there is no such device; or what failed.
 */
static inline int nest_open(struct nest *n, int nth, int group_size, int type)
{
	int rc;

	memset(n, 0, sizeof(*n));
	n->td.fd = -1;
	n->group = -1;
	n->container = open("/dev/vfio/vfio", O_RDWR);
	if (n->container < 0 && !system("modprobe vfio-pci >/dev/null 2>&1"))
		n->container = open("/dev/vfio/vfio", O_RDWR);
	if (n->container < 0)
		return -ENODEV;
	rc = nest_join(n, nth, group_size);
	if (rc)
		return rc;
	rc = xioctl_num(n->container, VFIO_SET_IOMMU, type);
	if (rc)
		return rc;
	if (nest_info(n->container, &n->caps, NULL, NULL))
		memset(&n->caps, 0, sizeof(n->caps));
	n->version = n->caps.version < IOMMU_UAPI_VERSION ? n->caps.version :
							    IOMMU_UAPI_VERSION;
	return nest_device(n);
}

static inline void nest_close(struct nest *n)
{
	if (n->td.fd >= 0)
		close(n->td.fd);
	if (n->group >= 0)
		close(n->group);
	close(n->container);
}

static inline int nest_map(int container, void *p, __u64 iova, size_t size,
			   __u32 flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)p,
		.iova = iova,
		.size = size,
	};

	return xioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

static inline int nest_unmap(int container, __u64 iova, size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	return xioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static inline int pasid_alloc(int container, __u32 first, __u32 last,
			      __u32 *pasid)
{
	struct vfio_iommu_type1_pasid_request req = {
		.argsz = sizeof(req),
		.flags = VFIO_PASID_REQUEST_ALLOC,
		.first = first,
		.last = last,
		.pasid = ~0u,
	};
	int rc = xioctl(container, VFIO_IOMMU_PASID_REQUEST, &req);

	*pasid = req.pasid;
	return rc;
}

/* An argument that can be read, and does not take the number: fails with EFAULT. */
static inline int pasid_alloc_unwritable(int container, __u32 first, __u32 last)
{
	long size = sysconf(_SC_PAGESIZE);
	struct vfio_iommu_type1_pasid_request *req;
	int rc;

	req = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (req == MAP_FAILED)
		return -ENOMEM;
	req->argsz = sizeof(*req);
	req->flags = VFIO_PASID_REQUEST_ALLOC;
	req->first = first;
	req->last = last;
	mprotect(req, size, PROT_READ);
	rc = xioctl(container, VFIO_IOMMU_PASID_REQUEST, req);
	munmap(req, size);
	return rc;
}

static inline int pasid_free(int container, __u32 first, __u32 last)
{
	struct vfio_iommu_type1_pasid_request req = {
		.argsz = sizeof(req),
		.flags = VFIO_PASID_REQUEST_FREE,
		.first = first,
		.last = last,
	};

	return xioctl(container, VFIO_IOMMU_PASID_REQUEST, &req);
}

struct negotiate_arg {
	struct vfio_iommu_type1_negotiate head;
	struct iommu_uapi_caps caps;
};

static inline void negotiate_init(struct negotiate_arg *arg,
				  const struct iommu_uapi_caps *caps,
				  __u32 flags)
{
	memset(arg, 0, sizeof(*arg));
	arg->head.argsz = sizeof(*arg);
	arg->head.flags = flags;
	arg->caps = *caps;
}

/* Frozen headers of older versions do not have what comes next. */
#ifdef IOMMU_UAPI_FEAT_GUEST_PASID
/*
 * All that is reported, as a need that a contract can be made of. The host hands
 * out the PASIDs: the caller says how many in nr_pasids, which is at least 1.
 */
static inline struct iommu_uapi_caps
needs_host_pasid(const struct iommu_uapi_caps *caps)
{
	struct iommu_uapi_caps needs = *caps;

	needs.features &= ~(__u64)IOMMU_UAPI_FEAT_GUEST_PASID;
	needs.guest_pasid_bits = 0;
	needs.errata = 0;
	return needs;
}

/* The same for a guest that picks its PASIDs, as wide as is reported. */
static inline struct iommu_uapi_caps
needs_guest_pasid(const struct iommu_uapi_caps *caps)
{
	struct iommu_uapi_caps needs = *caps;

	needs.features &= ~(__u64)IOMMU_UAPI_FEAT_HOST_PASID;
	needs.pasid_bits = 0;
	needs.errata = 0;
	return needs;
}
#endif

static inline int negotiate(const struct nest *n, void *arg)
{
	return xioctl(n->container, VFIO_IOMMU_NEGOTIATE, arg);
}

static inline __u32 pasid_last(const struct nest *n)
{
	return (1u << n->caps.pasid_bits) - 1;
}

static inline void bind_init(struct bind_arg *arg, const struct nest *n,
			     __u32 pasid, __u64 root)
{
	memset(arg, 0, sizeof(*arg));
	arg->head.argsz = sizeof(*arg);
	arg->head.group_id = n->group_id;
	arg->data.version = n->version;
	arg->data.format = IOMMU_UAPI_FORMAT_INTEL_VTD;
	arg->data.gpgd = root;
	arg->data.hpasid = pasid;
	arg->data.addr_width = 48;
}

static inline int do_bind(const struct nest *n, struct bind_arg *arg)
{
	return xioctl(n->container, VFIO_IOMMU_BIND_GPASID, arg);
}

static inline int bind_table(const struct nest *n, __u32 pasid, __u64 root)
{
	struct bind_arg arg;

	bind_init(&arg, n, pasid, root);
	return do_bind(n, &arg);
}

#ifdef IOMMU_UAPI_BIND_REPLACE
/* As bind_table(), in the place of what is bound. */
static inline int replace_table(const struct nest *n, __u32 pasid, __u64 root)
{
	struct bind_arg arg;

	bind_init(&arg, n, pasid, root);
	arg.data.flags = IOMMU_UAPI_BIND_REPLACE;
	return do_bind(n, &arg);
}

/* Have requests use guest-physical addresses. @flags: IOMMU_UAPI_BIND_* */
static inline int bind_second_level(const struct nest *n, __u32 pasid,
				    __u64 flags)
{
	struct bind_arg arg;

	bind_init(&arg, n, pasid, 0);
	arg.data.format = IOMMU_UAPI_FORMAT_SECOND_LEVEL;
	arg.data.addr_width = 0;
	arg.data.flags = flags;
	return do_bind(n, &arg);
}
#endif

static inline int unbind_group(int container, __u32 group_id, __u32 pasid)
{
	struct vfio_iommu_type1_unbind_gpasid arg = {
		.argsz = sizeof(arg),
		.group_id = group_id,
		.pasid = pasid,
	};

	return xioctl(container, VFIO_IOMMU_UNBIND_GPASID, &arg);
}

static inline int unbind(const struct nest *n, __u32 pasid)
{
	return unbind_group(n->container, n->group_id, pasid);
}

/* Returns the file, or -errno. */
static inline int fault_fd(int container, __u32 version)
{
	struct vfio_iommu_type1_fault_fd arg = {
		.argsz = sizeof(arg),
		.version = version,
	};

	return xioctl(container, VFIO_IOMMU_FAULT_FD, &arg);
}

/* The same with flags, VFIO_FAULT_FD_*, and a time limit. */
static inline int fault_fd_flags(int container, __u32 flags, __u32 version,
				 __u32 timeout_ms)
{
	struct vfio_iommu_type1_fault_fd arg = {
		.argsz = sizeof(arg),
		.flags = flags,
		.version = version,
		.timeout_ms = timeout_ms,
	};

	return xioctl(container, VFIO_IOMMU_FAULT_FD, &arg);
}

/* Set the time limit of a file that is open; 0 for none. */
static inline int fault_limit(int container, __u32 timeout_ms)
{
	return fault_fd_flags(container, VFIO_FAULT_FD_TIMEOUT |
			      VFIO_FAULT_FD_KEEP, 0, timeout_ms);
}

static inline int bind_requests(const struct nest *n, __u32 pasid,
				__u64 root)
{
	struct bind_arg arg;

	bind_init(&arg, n, pasid, root);
	arg.data.flags = IOMMU_UAPI_BIND_PAGE_REQUEST;
	return do_bind(n, &arg);
}

#define NOT_WRITTEN	0xdeadbeefu

static inline void inv_init(struct inv_arg *arg, __u32 nr)
{
	memset(arg, 0, sizeof(*arg));
	arg->head.argsz = sizeof(arg->head) + nr * sizeof(arg->entry[0]);
	arg->head.nr_entries = nr;
	arg->head.entry_size = sizeof(arg->entry[0]);
	arg->head.handled = NOT_WRITTEN;
}

static inline void
inv_addr(struct iommu_uapi_cache_invalidate_info *info, const struct nest *n,
	 __u32 pasid, __u64 va, __u64 pages)
{
	memset(info, 0, sizeof(*info));
	info->version = n->version;
	info->cache = IOMMU_UAPI_CACHE_IOTLB;
	info->granularity = IOMMU_UAPI_GRANU_ADDR;
	info->addr_info.flags = IOMMU_UAPI_INV_ADDR_PASID;
	info->addr_info.pasid = pasid;
	info->addr_info.addr = va;
	info->addr_info.granule_size = PGT_4K;
	info->addr_info.nb_granules = pages;
}

static inline void
inv_pasid(struct iommu_uapi_cache_invalidate_info *info, const struct nest *n,
	  __u32 pasid)
{
	memset(info, 0, sizeof(*info));
	info->version = n->version;
	info->cache = IOMMU_UAPI_CACHE_IOTLB;
	info->granularity = IOMMU_UAPI_GRANU_PASID;
	info->pasid_info.flags = IOMMU_UAPI_INV_PASID_PASID;
	info->pasid_info.pasid = pasid;
}

/* All PASIDs. Zeroed like the rest, @flags and @archid say whose. */
static inline void
inv_domain(struct iommu_uapi_cache_invalidate_info *info, const struct nest *n)
{
	memset(info, 0, sizeof(*info));
	info->version = n->version;
	info->cache = IOMMU_UAPI_CACHE_IOTLB;
	info->granularity = IOMMU_UAPI_GRANU_DOMAIN;
}

static inline int do_inv(const struct nest *n, struct inv_arg *arg)
{
	return xioctl(n->container, VFIO_IOMMU_CACHE_INVALIDATE, arg);
}

static inline int invalidate_addr(const struct nest *n, __u32 pasid, __u64 va,
				  __u64 pages)
{
	static __thread struct inv_arg arg;

	inv_init(&arg, 1);
	inv_addr(&arg.entry[0], n, pasid, va, pages);
	return do_inv(n, &arg);
}

static inline int invalidate_pasid(const struct nest *n, __u32 pasid)
{
	static __thread struct inv_arg arg;

	inv_init(&arg, 1);
	inv_pasid(&arg.entry[0], n, pasid);
	return do_inv(n, &arg);
}

/* A page that ends where nothing is mapped; NULL if there is no memory. */
static inline __u8 *guard_page(void)
{
	long size = sysconf(_SC_PAGESIZE);
	__u8 *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || munmap(p + size, size))
		return NULL;
	return p + size;
}

static inline int read_uint(const char *path, unsigned int *val)
{
	FILE *f = fopen(path, "r");
	int rc;

	if (!f)
		return -errno;
	rc = fscanf(f, "%u", val) == 1 ? 0 : -EIO;
	fclose(f);
	return rc;
}

static inline int write_uint(const char *path, unsigned int val)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", val);
	return testdev_sysfs_write(path, text);
}

#endif /* _SELFTESTS_IOMMU_UAPI_VFIO_NESTING_UTILS_H */
