/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VFIO: guest-owned page tables of a container
 */
#ifndef __VFIO_NESTING_H__
#define __VFIO_NESTING_H__

#include <linux/err.h>
#include <linux/types.h>

struct device;
struct iommu_domain;
struct iommu_group;
struct vfio_info_cap;
struct vfio_nesting;

/*
 * A container that does not nest has a NULL struct vfio_nesting. All functions
 * take that: adding a group then has no effect, a command answers ENOTTY.
 */
#if IS_ENABLED(CONFIG_VFIO_NESTING)
struct vfio_nesting *vfio_nesting_create(void);
void vfio_nesting_destroy(struct vfio_nesting *nesting);

struct iommu_domain *vfio_nesting_domain_alloc(struct device *dev);
int vfio_nesting_add_group(struct vfio_nesting *nesting,
			   struct iommu_group *iommu_group,
			   struct iommu_domain *s2);
void vfio_nesting_remove_group(struct vfio_nesting *nesting,
			       struct iommu_group *iommu_group);
void vfio_nesting_remove_device(struct vfio_nesting *nesting,
				struct device *dev);

int vfio_nesting_version(void);
bool vfio_nesting_can_map_ro(struct vfio_nesting *nesting);
int vfio_nesting_build_caps(struct vfio_nesting *nesting,
			    struct vfio_info_cap *caps);

int vfio_nesting_ioctl(struct vfio_nesting *nesting, unsigned int cmd,
		       void __user *arg);
#else
static inline struct vfio_nesting *vfio_nesting_create(void)
{
	return NULL;
}

static inline void vfio_nesting_destroy(struct vfio_nesting *nesting)
{
}

static inline struct iommu_domain *vfio_nesting_domain_alloc(struct device *dev)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline int vfio_nesting_add_group(struct vfio_nesting *nesting,
					 struct iommu_group *iommu_group,
					 struct iommu_domain *s2)
{
	return 0;
}

static inline void vfio_nesting_remove_group(struct vfio_nesting *nesting,
					     struct iommu_group *iommu_group)
{
}

static inline void vfio_nesting_remove_device(struct vfio_nesting *nesting,
					      struct device *dev)
{
}

static inline int vfio_nesting_version(void)
{
	return 0;
}

static inline bool vfio_nesting_can_map_ro(struct vfio_nesting *nesting)
{
	return true;
}

static inline int vfio_nesting_build_caps(struct vfio_nesting *nesting,
					  struct vfio_info_cap *caps)
{
	return 0;
}

static inline int vfio_nesting_ioctl(struct vfio_nesting *nesting,
				     unsigned int cmd, void __user *arg)
{
	return -ENOTTY;
}
#endif /* CONFIG_VFIO_NESTING */

#endif /* __VFIO_NESTING_H__ */
