/* SPDX-License-Identifier: GPL-2.0 */
/*
 * IOMMUFD calls, for comparison. Each returns 0 or -errno.
 */
#ifndef _LAB_IOMMUFD_H
#define _LAB_IOMMUFD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "testdev.h"

static inline int ioas_map(int iommufd, __u32 ioas, void *va, __u64 iova,
			   size_t len, __u32 prot)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | prot,
		.ioas_id = ioas,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = iova,
	};

	return ioctl(iommufd, IOMMU_IOAS_MAP, &map) ? -errno : 0;
}

static inline int ioas_map_rw(int iommufd, __u32 ioas, void *va, __u64 iova,
			      size_t len)
{
	return ioas_map(iommufd, ioas, va, iova, len,
			IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE);
}

static inline int ioas_unmap(int iommufd, __u32 ioas, __u64 iova, size_t len)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = ioas,
		.iova = iova,
		.length = len,
	};

	return ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap) ? -errno : 0;
}

/* @fault_id: the queue for page requests, or 0 */
static inline int hwpt_alloc_nested(int iommufd, __u32 dev_id, __u32 parent,
				    __u64 root, __u32 addr_width,
				    __u32 fault_id, __u32 *hwpt)
{
	struct iommu_hwpt_vtd_s1 s1 = {
		.pgtbl_addr = root,
		.addr_width = addr_width,
	};
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = fault_id ? IOMMU_HWPT_FAULT_ID_VALID : 0,
		.dev_id = dev_id,
		.pt_id = parent,
		.data_type = IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(s1),
		.data_uptr = (uintptr_t)&s1,
		.fault_id = fault_id,
	};
	int rc = ioctl(iommufd, IOMMU_HWPT_ALLOC, &alloc) ? -errno : 0;

	*hwpt = alloc.out_hwpt_id;
	return rc;
}

/* A nest parent with the mappings of @ioas. */
static inline int hwpt_alloc_parent(int iommufd, __u32 dev_id, __u32 ioas,
				    __u32 *hwpt)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = dev_id,
		.pt_id = ioas,
	};
	int rc = ioctl(iommufd, IOMMU_HWPT_ALLOC, &alloc) ? -errno : 0;

	*hwpt = alloc.out_hwpt_id;
	return rc;
}

static inline int ioas_alloc(int iommufd, __u32 *ioas)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int rc = ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) ? -errno : 0;

	*ioas = alloc.out_ioas_id;
	return rc;
}

static inline int bind_iommufd(int dev, int iommufd, __u32 *dev_id)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};
	int rc = ioctl(dev, VFIO_DEVICE_BIND_IOMMUFD, &bind) ? -errno : 0;

	*dev_id = bind.out_devid;
	return rc;
}

static inline int attach(int dev, __u32 pt_id)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = pt_id,
	};

	return ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) ? -errno : 0;
}

/* Returns a file descriptor instead of 0. */
static inline int open_cdev(const char *bdf)
{
	char path[PATH_MAX];
	struct dirent *de;
	int fd = -ENOENT;
	DIR *dir;

	testdev_sysfs(path, bdf, "vfio-dev");
	dir = opendir(path);
	if (!dir)
		return -ENOENT;
	while ((de = readdir(dir))) {
		if (strncmp(de->d_name, "vfio", 4))
			continue;
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
			 de->d_name);
		fd = open(path, O_RDWR);
		if (fd < 0)
			fd = -errno;
		break;
	}
	closedir(dir);
	return fd;
}

#endif /* _LAB_IOMMUFD_H */
