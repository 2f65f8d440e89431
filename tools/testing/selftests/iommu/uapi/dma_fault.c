// SPDX-License-Identifier: GPL-2.0
/*
 * DMA faults, as the file for page requests reports them
 */
#include "device.h"
#include "harness.h"

#define PASID		3

FIXTURE(dma_faults)
{
	struct nest n;
	struct pgt pt;
	__u64 page;
	int fd;
};

FIXTURE_SETUP(dma_faults)
{
	struct nest *n = &self->n;

	/* In the lab, one that can't request pages */
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	ASSERT_TRUE(n->caps.features & IOMMU_UAPI_FEAT_DMA_FAULT);
	ASSERT_OK(open_requester(n, &self->pt, &self->page));
	self->fd = fault_fd_unlimited(n->container, VFIO_FAULT_FD_DMA_FAULTS);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(dma_faults)
{
}

static int read_fault(int fd, struct iommu_uapi_dma_fault *fault)
{
	int rc = wait_readable(fd);

	if (rc)
		return rc;
	rc = read(fd, fault, sizeof(*fault));
	return rc < 0 ? -errno : rc == sizeof(*fault) ? 0 : -ENODATA;
}

static void expect_fault(struct __test_metadata *_metadata, struct nest *n,
			 int fd, __u32 pasid, __u64 addr, int write)
{
	struct iommu_uapi_dma_fault fault;
	__u64 got;

	EXPECT_EQ(TESTDEV_FAULT, write ? dma_write(n, pasid, addr, 0) :
					 dma_read(n, pasid, addr, &got));
	ASSERT_OK(read_fault(fd, &fault));
	EXPECT_EQ(IOMMU_UAPI_VERSION, fault.version);
	EXPECT_EQ(IOMMU_UAPI_REQ_DMA_FAULT |
		  (pasid ? IOMMU_UAPI_REQ_PASID_VAL : 0), fault.flags);
	EXPECT_EQ(write ? IOMMU_UAPI_PERM_WRITE : IOMMU_UAPI_PERM_READ,
		  fault.perm);
	EXPECT_EQ(pasid, fault.pasid);
	EXPECT_NE(0, fault.reason);
	EXPECT_EQ(n->group_id, fault.group_id);
	EXPECT_EQ(addr & ~0xfffULL, fault.addr);
	EXPECT_EQ(0, fault.lost);
}

/* Bound, unbound, blocked, on the second level; a device without page requests */
TEST_F_TIMEOUT(dma_faults, told, SLOW)
{
	struct iommu_uapi_dma_fault fault;
	struct nest *n = &self->n;
	int write;

	/* One record has the size of the other. */
	EXPECT_EQ(sizeof(struct iommu_uapi_page_request), sizeof(fault));
	for (write = 0; write < 2; write++) {
		/* Never bound */
		expect_fault(_metadata, n, self->fd, PASID, GUEST_VA, write);
		/* The second level, where there is no memory */
		expect_fault(_metadata, n, self->fd, 0, GUEST_VA + 0x10, write);
	}
	ASSERT_OK(bind_table(n, 0, self->pt.root));
	ASSERT_OK(bind_table(n, PASID, self->pt.root));
	for (write = 0; write < 2; write++) {
		expect_fault(_metadata, n, self->fd, PASID, GUEST_VA, write);
		expect_fault(_metadata, n, self->fd, 0, GUEST_VA + PGT_4K, write);
	}
	ASSERT_OK(unbind(n, 0));
	ASSERT_OK(unbind(n, PASID));
	for (write = 0; write < 2; write++) {
		expect_fault(_metadata, n, self->fd, PASID, GUEST_VA, write);
		expect_fault(_metadata, n, self->fd, 0, self->page, write);
	}
	/* What works is not told. */
	ASSERT_OK(bind_second_level(n, 0, 0));
	EXPECT_OK(dma_works(n, 0, self->page, self->page));
	EXPECT_EQ(-1, read(self->fd, &fault, sizeof(fault)));
	EXPECT_EQ(EAGAIN, errno);
	/* Nor can it be answered. */
	expect_fault(_metadata, n, self->fd, PASID, GUEST_VA, 0);
}

/* What can't be handed over stays, or counts as lost */
TEST_F_TIMEOUT(dma_faults, read_bad, SLOW)
{
	struct vfio_iommu_type1_info_cap_faults counts;
	struct iommu_uapi_dma_fault fault;
	struct nest *n = &self->n;
	__u8 *end = guard_page();
	__u64 got;

	ASSERT_TRUE(!!end);
	EXPECT_EQ(TESTDEV_FAULT, dma_read(n, PASID, GUEST_VA, &got));
	ASSERT_OK(wait_readable(self->fd));
	EXPECT_EQ(-1, read(self->fd, &fault, sizeof(fault) - 1));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(-1, read(self->fd, end - sizeof(fault) / 2, sizeof(fault)));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(self->fd, &fault, sizeof(fault)));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(1, counts.lost);
	EXPECT_EQ(TESTDEV_FAULT, dma_read(n, PASID, GUEST_VA, &got));
	ASSERT_OK(read_fault(self->fd, &fault));
	EXPECT_EQ(1, fault.lost);
}

/* Not for whoever has not asked, nor for another container's */
TEST_F_TIMEOUT(dma_faults, off, SLOW)
{
	struct nest *n = &self->n, other;
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN };
	struct iommu_uapi_dma_fault fault;
	struct iommu_uapi_page_request req;
	struct pgt pt;
	__u64 page, got;
	int rc, fd;

	rc = nest_open(&other, 1, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	if (!(other.caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	ASSERT_OK(open_requester(&other, &pt, &page));
	fd = fault_fd_unlimited(other.container, 0);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(dma_faults(&other, PASID, GUEST_VA));
	/*
	 * What comes through here afterwards has not been overtaken. The hardware
	 * may leave one out while it has another.
	 */
	do {
		dma_read(n, PASID, GUEST_VA, &got);
	} while (poll(&poll_fd, 1, 100) != 1);
	while (read(self->fd, &fault, sizeof(fault)) == sizeof(fault))
		EXPECT_EQ(n->group_id, fault.group_id);
	EXPECT_ERR(EAGAIN, read_now(fd, &req));
	/* The device that can't request pages has no file without them. */
	close(self->fd);
	EXPECT_ERR(EOPNOTSUPP, fault_fd(n->container, IOMMU_UAPI_VERSION));
	close(fd);
	nest_close(&other);
}

/* What finds no room is counted, and the next record that does tells it */
TEST_F_TIMEOUT(dma_faults, lost, SLOW)
{
	struct iommu_uapi_dma_fault fault[IOMMU_UAPI_MAX_DMA_FAULTS + 1];
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN };
	struct vfio_iommu_type1_info_cap_faults counts;
	struct nest *n = &self->n;
	__u64 got, lost, told = 0, va = GUEST_VA;
	int i, nr = 0, len;

	/* The hardware may leave some out, so as many as it takes */
	do {
		dma_read(n, PASID, GUEST_VA, &got);
		usleep(500);
		ASSERT_OK(fault_counts(n->container, &counts));
	} while (++nr < 2 * IOMMU_UAPI_MAX_DMA_FAULTS || counts.lost < 3);
	lost = counts.lost;
	EXPECT_EQ(0, counts.waiting + counts.overflows + counts.timeouts);
	len = read(self->fd, fault, sizeof(fault));
	ASSERT_LT(0, len);
	nr = len / sizeof(fault[0]);
	TH_LOG("%d wait, %llu are lost", nr, lost);
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(IOMMU_UAPI_REQ_DMA_FAULT | IOMMU_UAPI_REQ_PASID_VAL,
			  fault[i].flags);
		EXPECT_EQ(GUEST_VA, fault[i].addr);
		told += fault[i].lost;
	}
	/* One that got room only by the read tells what was lost before it. */
	EXPECT_TRUE(nr <= IOMMU_UAPI_MAX_DMA_FAULTS || told);
	/*
	 * Records come in the order of the faults: none is on its way any more
	 * once the last fault's has come. If the hardware left that one out, the
	 * next fault is the last.
	 */
	do {
		va += PGT_4K;
		EXPECT_EQ(TESTDEV_FAULT, dma_read(n, PASID, va, &got));
		while (fault[0].addr != va && poll(&poll_fd, 1, 100) == 1) {
			ASSERT_OK(read_fault(self->fd, &fault[0]));
			told += fault[0].lost;
		}
	} while (fault[0].addr != va);
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_LE(lost, counts.lost);
	EXPECT_EQ(counts.lost, told);
	/* Told once, and counted for good */
	expect_fault(_metadata, n, self->fd, PASID, GUEST_VA, 1);
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(told, counts.lost);
}

TEST_HARNESS_MAIN
