// SPDX-License-Identifier: GPL-2.0
/*
 * Cost of a page request from the device to its reader, and of the page response
 * back, in guest instructions: through a container's file, and through IOMMUFD's
 * fault queue on the same kernel. Run under `lab/run --both --icount`, where the
 * clock counts instructions. Only ratios are tested.
 */
#include <poll.h>

#include "icount.h"
#include "iommufd.h"
#include "kselftest.h"
#include "vfio_nesting_utils.h"

#define RUNS	64
/* The device that has PRI */
#define NTH	1

#define REQUEST	(TESTDEV_PRREQ_READ | TESTDEV_PRREQ_LAST)

struct cost {
	long arrive;
	long answer;
};

/* Fills in the page response to a record that was read; returns its size. */
typedef size_t (*answer_fn)(void *out, const void *record);

static struct cost measure(struct testdev *td, int fd, size_t size,
			   answer_fn answer)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct cost cost = {};
	__u64 record[32], out[32];
	__u32 prreq = REQUEST, cmd = TESTDEV_CMD_REQUEST;
	__u64 addr = GUEST_VA;
	size_t len;
	long start;
	int run;

	testdev_put(td, TESTDEV_REG_PRREQ, &prreq, sizeof(prreq));
	testdev_put(td, TESTDEV_REG_ADDR, &addr, sizeof(addr));
	/* The first run warms up. */
	for (run = -1; run < RUNS; run++) {
		if (!run)
			cost = (struct cost){};
		start = now();
		testdev_put(td, TESTDEV_REG_CMD, &cmd, sizeof(cmd));
		if (poll(&poll_fd, 1, -1) != 1 ||
		    read(fd, record, size) != (ssize_t)size)
			ksft_exit_fail_msg("page request %d: %s\n", run,
					   strerror(errno));
		cost.arrive += now() - start;

		len = answer(out, record);
		start = now();
		if (write(fd, out, len) != (ssize_t)len)
			ksft_exit_fail_msg("page response %d: %s\n", run,
					   strerror(errno));
		cost.answer += now() - start;
	}
	if (testdev_get32(td, TESTDEV_REG_PRRESP) != RUNS + 1)
		ksft_exit_fail_msg("the device got %u page responses\n",
				   testdev_get32(td, TESTDEV_REG_PRRESP));
	cost.arrive /= RUNS;
	cost.answer /= RUNS;
	return cost;
}

static size_t answer_container(void *out, const void *record)
{
	const struct iommu_uapi_page_request *req = record;

	*(struct iommu_uapi_page_response *)out =
		(struct iommu_uapi_page_response){
			.version = IOMMU_UAPI_VERSION_2,
			.flags = IOMMU_UAPI_RESP_COOKIE_VAL,
			.grpid = req->grpid,
			.cookie = req->cookie,
			.code = IOMMU_UAPI_RESP_SUCCESS,
		};
	return sizeof(struct iommu_uapi_page_response);
}

static struct cost container(void)
{
	struct cost cost;
	struct pgt pt;
	struct nest n;
	int fd, rc;

	rc = nest_open(&n, NTH, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc)
		ksft_exit_skip("no nesting container: %s\n", strerror(-rc));
	if (gmem_init(&n.mem, GUEST_BASE, GUEST_SIZE) || pgt_init(&pt, &n.mem))
		ksft_exit_fail_msg("no memory\n");
	rc = nest_map(n.container, n.mem.base, GUEST_BASE, GUEST_SIZE,
		      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	fd = fault_fd_flags(n.container, VFIO_FAULT_FD_TIMEOUT, IOMMU_UAPI_VERSION, 0);
	if (!rc)
		rc = bind_requests(&n, 0, pt.root);
	if (fd < 0 || rc)
		ksft_exit_fail_msg("container: %s\n", strerror(fd < 0 ? -fd : -rc));
	cost = measure(&n.td, fd, sizeof(struct iommu_uapi_page_request),
		       answer_container);
	close(fd);
	nest_close(&n);
	return cost;
}

static size_t answer_iommufd(void *out, const void *record)
{
	const struct iommu_hwpt_pgfault *fault = record;

	*(struct iommu_hwpt_page_response *)out =
		(struct iommu_hwpt_page_response){
			.cookie = fault->cookie,
			.code = IOMMUFD_PAGE_RESP_SUCCESS,
		};
	return sizeof(struct iommu_hwpt_page_response);
}

static struct cost iommufd(void)
{
	struct iommu_fault_alloc queue = { .size = sizeof(queue) };
	__u32 dev_id, ioas, parent, nested;
	struct testdev td;
	struct gmem mem;
	struct pgt pt;
	struct cost cost;
	char bdf[16];
	int fd, dev, rc;

	fd = open("/dev/iommu", O_RDWR);
	if (fd < 0)
		ksft_exit_skip("no IOMMUFD: %s\n", strerror(errno));
	rc = testdev_find(bdf, NTH, 1);
	if (!rc)
		rc = testdev_bind_vfio(bdf);
	dev = rc ? rc : open_cdev(bdf);
	if (dev < 0)
		ksft_exit_skip("no device: %s\n", strerror(-dev));
	if (gmem_init(&mem, GUEST_BASE, GUEST_SIZE) || pgt_init(&pt, &mem))
		ksft_exit_fail_msg("no memory\n");
	if (ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, &queue))
		ksft_exit_fail_msg("IOMMUFD's queue: %s\n", strerror(errno));
	rc = bind_iommufd(dev, fd, &dev_id);
	if (!rc)
		rc = testdev_init(&td, dev);
	if (!rc)
		rc = ioas_alloc(fd, &ioas);
	if (!rc)
		rc = ioas_map_rw(fd, ioas, mem.base, GUEST_BASE, GUEST_SIZE);
	if (!rc)
		rc = hwpt_alloc_parent(fd, dev_id, ioas, &parent);
	if (!rc)
		rc = hwpt_alloc_nested(fd, dev_id, parent, pt.root, 48,
				       queue.out_fault_id, &nested);
	/* 6.12 requires ATS to be on. Attaching the parent enables it. */
	if (!rc)
		rc = attach(dev, parent);
	if (!rc)
		rc = attach(dev, nested);
	if (rc)
		ksft_exit_fail_msg("IOMMUFD: %s\n", strerror(-rc));
	cost = measure(&td, queue.out_fault_fd,
		       sizeof(struct iommu_hwpt_pgfault), answer_iommufd);
	close(dev);
	close(queue.out_fault_fd);
	close(fd);
	return cost;
}

int main(void)
{
	struct cost ours, theirs;

	ksft_print_header();
	ksft_set_plan(2);
	ours = container();
	theirs = iommufd();
	ksft_print_msg("instructions, from device to read: container %ld, IOMMUFD %ld\n",
		       ours.arrive, theirs.arrive);
	ksft_print_msg("instructions, page response: container %ld, IOMMUFD %ld\n",
		       ours.answer, theirs.answer);
	ksft_test_result(ours.arrive * 10 < theirs.arrive * 11,
			 "a page request costs at most a tenth more than through IOMMUFD\n");
	ksft_test_result(ours.answer * 10 < theirs.answer * 11,
			 "a page response costs at most a tenth more than through IOMMUFD\n");
	ksft_finished();
}
