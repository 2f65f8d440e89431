// SPDX-License-Identifier: GPL-2.0
/*
 * Five ways to copy a structure whose owner is not the one who copies it, for
 * lab/compare. The first is that of the series, through its own function. Comments
 * "way N: LAYER" begin what lab/compare counts as code that this way needs there.
 */
#include <linux/completion.h>
#include <linux/iommu-uapi.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>

#include "variants.h"

/* What the driver gets. The program makes one call at a time. */
static union {
	struct iommu_uapi_gpasid_bind_data bind;
	struct iommu_uapi_cache_invalidate_info inv;
	struct iommu_uapi_page_response resp;
	/* Way 3 has it where the others have the version. */
	u32 argsz;
	u8 room[FIXED_SIZE];
} seen;

/* Stands for vfio_nesting.lock: held while the driver works */
static DEFINE_MUTEX(carrier_lock);

/* What the kernel has of each structure */
static size_t sizes[] = {
	[IOMMU_UAPI_BIND_GPASID] = sizeof(seen.bind),
	[IOMMU_UAPI_CACHE_INVALIDATE] = sizeof(seen.inv),
	[IOMMU_UAPI_PAGE_RESPONSE] = sizeof(seen.resp),
};

/* way 1: carrier */
static noinline int carrier1(u32 type, const void __user *src, size_t avail)
{
	int rc;

	rc = iommu_uapi_copy_from_user(type, &seen, sizes[type], src, avail);
	return rc < 0 ? rc : 0;
}

/* way 2, 3, 6: core */
/* Where the part ends that each structure of a type has */
static const size_t generic_sizes[] = {
	[IOMMU_UAPI_BIND_GPASID] =
		offsetof(struct iommu_uapi_gpasid_bind_data, vtd),
	[IOMMU_UAPI_CACHE_INVALIDATE] =
		offsetof(struct iommu_uapi_cache_invalidate_info, pasid_info),
	[IOMMU_UAPI_PAGE_RESPONSE] =
		offsetofend(struct iommu_uapi_page_response, code),
};

/* way 2, 3, 4, 6: driver */
/* Where the part ends that flags, format or granularity select */
static size_t selected_size(u32 type)
{
	switch (type) {
	case IOMMU_UAPI_BIND_GPASID:
		if (seen.bind.format == IOMMU_UAPI_FORMAT_INTEL_VTD)
			return offsetofend(typeof(seen.bind), vtd);
		return offsetof(typeof(seen.bind), vtd);
	case IOMMU_UAPI_CACHE_INVALIDATE:
		if (seen.inv.granularity == IOMMU_UAPI_GRANU_ADDR)
			return offsetofend(typeof(seen.inv), addr_info);
		return offsetofend(typeof(seen.inv), pasid_info);
	default:
		if (seen.resp.flags & IOMMU_UAPI_RESP_COOKIE_VAL)
			return offsetofend(typeof(seen.resp), cookie);
		return offsetofend(typeof(seen.resp), code);
	}
}

/* way 2, 6: carrier */
static noinline int carrier2(u32 type, const void __user *src, size_t avail)
{
	size_t size = generic_sizes[type];

	if (avail < size)
		return -EINVAL;
	if (copy_from_user(&seen, src, size))
		return -EFAULT;
	memset(seen.room + size, 0, sizes[type] - size);
	return 0;
}

/* way 2: driver */
static noinline int driver2(u32 type, const void __user *src, size_t avail)
{
	size_t from = generic_sizes[type], to = selected_size(type);

	if (avail < to)
		return -EINVAL;
	if (copy_from_user(seen.room + from, src + from, to - from))
		return -EFAULT;
	return 0;
}

/* way 3: core */
/* As iommu_sva_prepare_bind_data() of Linux 5.10 did, within what is vouched for */
static noinline int core3(u32 type, const void __user *src, size_t avail)
{
	size_t minsz = generic_sizes[type], size;

	if (avail < minsz)
		return -EINVAL;
	if (copy_from_user(&seen, src, minsz))
		return -EFAULT;
	if (seen.argsz < minsz || seen.argsz > avail)
		return -EINVAL;
	size = min_t(size_t, seen.argsz, sizes[type]);
	if (copy_from_user(seen.room + minsz, src + minsz, size - minsz))
		return -EFAULT;
	memset(seen.room + size, 0, sizes[type] - size);
	return 0;
}

/* way 3: carrier */
static noinline int carrier3(u32 type, const void __user *src, size_t avail)
{
	return core3(type, src, avail);
}

/* way 3: driver */
static noinline int driver3(u32 type, const void __user *src, size_t avail)
{
	return seen.argsz < selected_size(type) ? -EINVAL : 0;
}

/* way 4: carrier */
static noinline int carrier4(u32 type, const void __user *src, size_t avail)
{
	if (avail < FIXED_SIZE)
		return -EINVAL;
	return copy_from_user(&seen, src, FIXED_SIZE) ? -EFAULT : 0;
}

/* way 4: driver */
/* What is not known yet must be 0, or it could get no meaning later. */
static noinline int driver4(u32 type, const void __user *src, size_t avail)
{
	size_t size = selected_size(type);

	if (memchr_inv(seen.room + size, 0, FIXED_SIZE - size))
		return -EOPNOTSUPP;
	return 0;
}

/* way 5: core */
static const size_t first_sizes[] = {
	[IOMMU_UAPI_BIND_GPASID] = 72,
	[IOMMU_UAPI_CACHE_INVALIDATE] = 48,
	[IOMMU_UAPI_PAGE_RESPONSE] = 20,
};

/* As clone3() does */
static noinline int core5(u32 type, const void __user *src, size_t size)
{
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < first_sizes[type])
		return -EINVAL;
	return copy_struct_from_user(&seen, sizes[type], src, size);
}

/* way 5: carrier */
static noinline int carrier5(u32 type, const void __user *src, size_t avail)
{
	return core5(type, src, avail);
}

/* way 6: driver */
static noinline int driver6(u32 type, const void __user *src, size_t avail)
{
	size_t size = selected_size(type);

	if (avail < size)
		return -EINVAL;
	return copy_from_user(&seen, src, size) ? -EFAULT : 0;
}

/* end */

/* What cost is compared with */
static noinline int carrier0(u32 type, const void __user *src, size_t avail)
{
	return 0;
}

static noinline int driver0(u32 type, const void __user *src, size_t avail)
{
	return 0;
}

static const struct {
	int (*carrier)(u32 type, const void __user *src, size_t avail);
	int (*driver)(u32 type, const void __user *src, size_t avail);
} ways[] = {
	[WAY_NONE] = { carrier0, driver0 },
	[WAY_VERSION] = { carrier1, driver0 },
	[WAY_FLAGS] = { carrier2, driver2 },
	[WAY_ARGSZ] = { carrier3, driver3 },
	[WAY_PADDING] = { carrier4, driver4 },
	[WAY_SIZE] = { carrier5, driver0 },
	[WAY_TWICE] = { carrier2, driver6 },
};

/* What the driver does next, in each way: refuse what it does not know. */
static int check(u32 type)
{
	switch (type) {
	case IOMMU_UAPI_BIND_GPASID:
		if (seen.bind.format == IOMMU_UAPI_FORMAT_INTEL_VTD ||
		    seen.bind.format == IOMMU_UAPI_FORMAT_SECOND_LEVEL)
			return 0;
		return -EOPNOTSUPP;
	case IOMMU_UAPI_CACHE_INVALIDATE:
		if (seen.inv.granularity <= IOMMU_UAPI_GRANU_ADDR)
			return 0;
		return -EOPNOTSUPP;
	default:
		if (seen.resp.flags & ~(IOMMU_UAPI_RESP_PASID_VAL |
					IOMMU_UAPI_RESP_COOKIE_VAL))
			return -EOPNOTSUPP;
		return 0;
	}
}

static int copy(unsigned int way, void __user *arg)
{
	struct variants_head head;
	int rc;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (head.argsz < sizeof(head) || head.type >= ARRAY_SIZE(sizes))
		return -EINVAL;
	arg += sizeof(head);
	head.argsz -= sizeof(head);

	rc = ways[way].carrier(head.type, arg, head.argsz);
	if (rc)
		return rc;
	mutex_lock(&carrier_lock);
	rc = ways[way].driver(head.type, arg, head.argsz);
	if (!rc)
		rc = check(head.type);
	mutex_unlock(&carrier_lock);
	return rc;
}

static DECLARE_COMPLETION(waits);
static DECLARE_COMPLETION(go);

static long variants_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	unsigned int nr = _IOC_NR(cmd);

	if (nr < ARRAY_SIZE(ways))
		return copy(nr, (void __user *)arg);

	switch (cmd) {
	case VARIANTS_SEEN:
		if (copy_to_user((void __user *)arg, &seen, sizeof(seen)))
			return -EFAULT;
		return 0;
	case VARIANTS_WAIT:
		return wait_for_completion_killable(&waits);
	case VARIANTS_LOCKED:
		return mutex_is_locked(&carrier_lock);
	case VARIANTS_GO:
		complete(&go);
		return 0;
	case VARIANTS_GROW:
		if (arg > FIXED_SIZE - sizeof(seen.bind))
			return -EINVAL;
		sizes[IOMMU_UAPI_BIND_GPASID] = sizeof(seen.bind) + arg;
		/* What the next call must not find */
		if (arg)
			memset(&seen, 0xff, sizeof(seen));
		return 0;
	default:
		return -ENOTTY;
	}
}

static struct page *page;

/* The same page at each offset. At offset 0, it comes when VARIANTS_GO is called. */
static vm_fault_t variants_fault(struct vm_fault *vmf)
{
	if (!vmf->pgoff) {
		complete(&waits);
		if (wait_for_completion_killable(&go))
			return VM_FAULT_SIGBUS;
	}
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct variants_vm_ops = {
	.fault = variants_fault,
};

static int variants_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &variants_vm_ops;
	return 0;
}

static const struct file_operations variants_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = variants_ioctl,
	.mmap = variants_mmap,
};

static struct miscdevice variants_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "variants",
	.fops = &variants_fops,
};

static int __init variants_init(void)
{
	int rc;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	rc = misc_register(&variants_misc);
	if (rc)
		__free_page(page);
	return rc;
}
module_init(variants_init);

static void __exit variants_exit(void)
{
	misc_deregister(&variants_misc);
	__free_page(page);
}
module_exit(variants_exit);

MODULE_DESCRIPTION("Ways to copy a structure of the IOMMU");
MODULE_LICENSE("GPL");
