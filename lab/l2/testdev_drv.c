// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's driver of the test device (QEMU's docs/specs/pasid-testdev.rst). Loading
 * it tests the DMA API, and writing to its parameter "dma" maps and unmaps pages by it.
 * A program that opens /dev/testdev can have the device read and write its own memory,
 * by the addresses that the program uses.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "testdev_drv.h"

#define REG_ADDR	0x08
#define REG_LEN		0x10
#define REG_PASID	0x14
#define REG_CMD		0x18
#define REG_RESULT	0x1c
#define REG_BUF		0x800

#define PENDING		0xfffffffe

static struct pci_dev *the_pdev;
static void __iomem *regs;
static struct workqueue_struct *requests;
static DEFINE_MUTEX(lock);

static int wait_result(void)
{
	u32 result;

	while ((result = readl(regs + REG_RESULT)) == PENDING) {
		if (msleep_interruptible(1))
			return -EINTR;
	}
	return result;
}

/* @pasid: -1 for none. Returns the device's result, or -EINTR. */
static int transfer(u32 cmd, int pasid, u64 addr, u32 len)
{
	/* One that was interrupted may still wait for its page. */
	if (wait_result() == -EINTR)
		return -EINTR;
	writel(lower_32_bits(addr), regs + REG_ADDR);
	writel(upper_32_bits(addr), regs + REG_ADDR + 4);
	writel(len, regs + REG_LEN);
	writel(pasid < 0 ? 0 : BIT(31) | pasid, regs + REG_PASID);
	writel(cmd, regs + REG_CMD);
	return wait_result();
}

static void check(const char *what, bool ok)
{
	pr_info("testdev: %s: %s\n", what, ok ? "ok" : "not ok");
}

static void test_dma_api(struct device *dev)
{
	static const u64 pattern = 0x1122334455667788;
	dma_addr_t dma;
	u64 *mem;

	mem = dma_alloc_coherent(dev, PAGE_SIZE, &dma, GFP_KERNEL);
	if (!mem)
		return check("memory", false);
	writel(lower_32_bits(pattern), regs + REG_BUF);
	writel(upper_32_bits(pattern), regs + REG_BUF + 4);
	check("write by the DMA API",
	      !transfer(TESTDEV_WRITE, -1, dma, 8) && *mem == pattern);
	*mem = ~pattern;
	check("read by the DMA API", !transfer(TESTDEV_READ, -1, dma, 8) &&
	      readl(regs + REG_BUF) == lower_32_bits(~pattern));
	check("address that is not physical", dma != virt_to_phys(mem));
	dma_free_coherent(dev, PAGE_SIZE, mem, dma);
	check("fault after unmapping",
	      transfer(TESTDEV_READ, -1, dma, 8) == TESTDEV_FAULT);
}

/* Many mappings of one page, to count what they cost */
#define NR_MAPPED	100

static struct page *dma_page;
static dma_addr_t mapped[NR_MAPPED];
static struct sg_table list;

static int map_pages(struct device *dev)
{
	int i;

	for (i = 0; i < NR_MAPPED; i++) {
		mapped[i] = dma_map_page(dev, dma_page, 0, PAGE_SIZE, DMA_TO_DEVICE);
		if (dma_mapping_error(dev, mapped[i]))
			return -ENOMEM;
	}
	return 0;
}

static int unmap_pages(struct device *dev)
{
	int i;

	for (i = 0; i < NR_MAPPED; i++)
		dma_unmap_page(dev, mapped[i], PAGE_SIZE, DMA_TO_DEVICE);
	return 0;
}

static int map_list(struct device *dev)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_sg(&list, sg, i)
		sg_set_page(sg, dma_page, PAGE_SIZE, 0);
	return dma_map_sgtable(dev, &list, DMA_TO_DEVICE, 0);
}

static int unmap_list(struct device *dev)
{
	dma_unmap_sgtable(dev, &list, DMA_TO_DEVICE, 0);
	return 0;
}

static int dma_set(const char *val, const struct kernel_param *kp)
{
	static const struct {
		const char *name;
		int (*fn)(struct device *dev);
	} calls[] = {
		{ "map", map_pages },
		{ "unmap", unmap_pages },
		{ "map-list", map_list },
		{ "unmap-list", unmap_list },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (sysfs_streq(val, calls[i].name))
			return the_pdev ? calls[i].fn(&the_pdev->dev) : -ENODEV;
	}
	return -EINVAL;
}

static const struct kernel_param_ops dma_ops = { .set = dma_set };
module_param_cb(dma, &dma_ops, NULL, 0200);
MODULE_PARM_DESC(dma, "map or unmap 100 pages, or a list of them");

/*
 * The addresses of a process for the device. 6.12.117 has no SVA on x86: the CPU's
 * table of kernel addresses is shared, and the IOMMU isn't told of changes there. So
 * the device has a table of its own, which a page request fills by what the process
 * has at that address.
 */
struct space {
	struct iommu_attach_handle handle;
	struct iommu_domain *domain;
	struct mm_struct *mm;
	ioasid_t pasid;
	unsigned int nr_pages;
	struct page *pages[64];
};

static int serve_one(struct space *space, u64 addr)
{
	struct page *page;
	int rc;

	if (iommu_iova_to_phys(space->domain, addr))
		return 0;
	if (space->nr_pages == ARRAY_SIZE(space->pages))
		return -ENOSPC;
	mmap_read_lock(space->mm);
	rc = pin_user_pages_remote(space->mm, addr, 1, FOLL_WRITE | FOLL_LONGTERM,
				   &page, NULL);
	mmap_read_unlock(space->mm);
	if (rc != 1)
		return -EFAULT;
	rc = iommu_map(space->domain, addr, page_to_phys(page), PAGE_SIZE,
		       IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (rc)
		unpin_user_page(page);
	else
		space->pages[space->nr_pages++] = page;
	return rc;
}

static void serve(struct work_struct *work)
{
	struct iopf_group *group = container_of(work, struct iopf_group, work);
	struct space *space = container_of(group->attach_handle, struct space, handle);
	struct iopf_fault *fault;
	int rc = -ESRCH;

	if (mmget_not_zero(space->mm)) {
		rc = 0;
		list_for_each_entry(fault, &group->faults, list)
			rc = rc ? : serve_one(space, fault->fault.prm.addr & PAGE_MASK);
		mmput(space->mm);
	}
	iopf_group_response(group, rc ? IOMMU_PAGE_RESP_INVALID :
					IOMMU_PAGE_RESP_SUCCESS);
	iopf_free_group(group);
}

static int page_requests(struct iopf_group *group)
{
	INIT_WORK(&group->work, serve);
	queue_work(requests, &group->work);
	return 0;
}

static int testdev_open(struct inode *inode, struct file *file)
{
	struct space *space;
	int rc = -ENOSPC;

	space = kzalloc(sizeof(*space), GFP_KERNEL);
	if (!space)
		return -ENOMEM;
	space->domain = iommu_paging_domain_alloc(&the_pdev->dev);
	if (IS_ERR(space->domain)) {
		rc = PTR_ERR(space->domain);
		goto free;
	}
	space->domain->iopf_handler = page_requests;
	space->pasid = iommu_alloc_global_pasid(&the_pdev->dev);
	if (space->pasid == IOMMU_PASID_INVALID)
		goto free_domain;
	space->mm = current->mm;
	mmgrab(space->mm);
	rc = iommu_attach_device_pasid(space->domain, &the_pdev->dev, space->pasid,
				       &space->handle);
	if (rc)
		goto free_pasid;
	file->private_data = space;
	return 0;

free_pasid:
	mmdrop(space->mm);
	iommu_free_global_pasid(space->pasid);
free_domain:
	iommu_domain_free(space->domain);
free:
	kfree(space);
	return rc;
}

static int testdev_release(struct inode *inode, struct file *file)
{
	struct space *space = file->private_data;

	/* Answers what waits, and lets nothing follow. */
	iommu_detach_device_pasid(space->domain, &the_pdev->dev, space->pasid);
	flush_workqueue(requests);
	unpin_user_pages(space->pages, space->nr_pages);
	iommu_free_global_pasid(space->pasid);
	iommu_domain_free(space->domain);
	mmdrop(space->mm);
	kfree(space);
	return 0;
}

static long testdev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	u32 pasid = ((struct space *)file->private_data)->pasid;
	long rc;
	u64 val;

	mutex_lock(&lock);
	switch (cmd) {
	case TESTDEV_ATS_READ:
		rc = transfer(cmd, pasid, arg, 8);
		break;
	case TESTDEV_ATS_WRITE:
		/* The device writes what it has read last. */
		rc = transfer(cmd, pasid, arg, 8);
		break;
	case TESTDEV_GET:
		val = readl(regs + REG_BUF) | (u64)readl(regs + REG_BUF + 4) << 32;
		rc = put_user(val, (u64 __user *)arg);
		break;
	default:
		rc = -ENOTTY;
	}
	mutex_unlock(&lock);
	return rc;
}

static const struct file_operations testdev_fops = {
	.owner = THIS_MODULE,
	.open = testdev_open,
	.release = testdev_release,
	.unlocked_ioctl = testdev_ioctl,
};

static struct miscdevice testdev_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "testdev",
	.fops = &testdev_fops,
};

static int testdev_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int rc;

	rc = pcim_enable_device(pdev);
	if (rc)
		return rc;
	regs = pcim_iomap(pdev, 0, 0);
	if (!regs)
		return -ENOMEM;
	rc = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (rc)
		return rc;
	pci_set_master(pdev);
	the_pdev = pdev;
	test_dma_api(&pdev->dev);

	/* An IOMMU without page requests is of use for the rest. */
	rc = iommu_dev_enable_feature(&pdev->dev, IOMMU_DEV_FEAT_IOPF);
	check("page requests", !rc);
	if (rc)
		return 0;
	rc = misc_register(&testdev_misc);
	if (rc)
		iommu_dev_disable_feature(&pdev->dev, IOMMU_DEV_FEAT_IOPF);
	else
		pci_set_drvdata(pdev, &testdev_misc);
	return rc;
}

static void testdev_remove(struct pci_dev *pdev)
{
	the_pdev = NULL;
	if (!pci_get_drvdata(pdev))
		return;
	misc_deregister(&testdev_misc);
	iommu_dev_disable_feature(&pdev->dev, IOMMU_DEV_FEAT_IOPF);
}

static const struct pci_device_id testdev_ids[] = {
	{ PCI_DEVICE(0x1af4, 0x10f0) },
	{}
};
MODULE_DEVICE_TABLE(pci, testdev_ids);

static struct pci_driver testdev_driver = {
	.name = "testdev",
	.id_table = testdev_ids,
	.probe = testdev_probe,
	.remove = testdev_remove,
};

static int __init testdev_init(void)
{
	int rc = -ENOMEM;

	requests = alloc_workqueue("testdev", 0, 0);
	if (!requests)
		return rc;
	dma_page = alloc_page(GFP_KERNEL);
	if (!dma_page)
		goto destroy;
	rc = sg_alloc_table(&list, NR_MAPPED, GFP_KERNEL);
	if (rc)
		goto free_page;
	rc = pci_register_driver(&testdev_driver);
	if (rc)
		goto free_list;
	return 0;

free_list:
	sg_free_table(&list);
free_page:
	__free_page(dma_page);
destroy:
	destroy_workqueue(requests);
	return rc;
}

/* It stays until the guest ends. */
module_init(testdev_init);

MODULE_DESCRIPTION("Driver of the lab's test device");
MODULE_LICENSE("GPL");
