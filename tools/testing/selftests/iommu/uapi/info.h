/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What VFIO_IOMMU_GET_INFO answers, and the capabilities in it.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_INFO_H
#define _SELFTESTS_IOMMU_UAPI_INFO_H

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

/* With room for all capabilities */
union info {
	struct vfio_iommu_type1_info head;
	__u64 room[512];
};

static inline int info_read(int container, union info *info)
{
	memset(info, 0, sizeof(*info));
	info->head.argsz = sizeof(*info);
	return ioctl(container, VFIO_IOMMU_GET_INFO, info) ? -errno : 0;
}

/* The next capability with @id after @last, or the first if @last is NULL */
static inline void *info_cap(union info *info, __u16 id, const void *last)
{
	const struct vfio_info_cap_header *header = last;
	__u32 next = 0;

	if (header)
		next = header->next;
	else if (info->head.flags & VFIO_IOMMU_INFO_CAPS)
		next = info->head.cap_offset;
	for (; next; next = header->next) {
		header = (void *)info + next;
		if (header->id == id)
			return (void *)header;
	}
	return NULL;
}

#endif /* _SELFTESTS_IOMMU_UAPI_INFO_H */
