/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the device of a test does, and what comes of it: DMA with and without a
 * PASID, page requests and their answers.
 *
 * Nothing here gives up waiting for what must happen: how long a machine takes
 * that is emulated says nothing about the kernel.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_DEVICE_H
#define _SELFTESTS_IOMMU_UAPI_DEVICE_H

#include <poll.h>
#include <unistd.h>

#include "vfio_nesting_utils.h"

/* Codes as they arrive at the device */
#define CODE_SUCCESS	0x0
#define CODE_INVALID	0x1
#define CODE_FAILURE	0xf

/* A group of its own */
#define ONE_REQUEST	(TESTDEV_PRREQ_READ | TESTDEV_PRREQ_LAST)

/* What a request carries for a PASID as bind has it: 0 for none */
static inline __u32 pasid_tag(__u32 pasid)
{
	return pasid ? TESTDEV_PASID(pasid) : TESTDEV_NO_PASID;
}

static inline int dma_read(struct nest *n, __u32 pasid, __u64 addr, __u64 *val)
{
	return testdev_read(&n->td, pasid_tag(pasid), addr, val, sizeof(*val));
}

static inline int dma_write(struct nest *n, __u32 pasid, __u64 addr, __u64 val)
{
	return testdev_write(&n->td, pasid_tag(pasid), addr, &val, sizeof(val));
}

/* What the device may have written meanwhile, or is about to read */
static inline __u64 mem_get(const void *mem)
{
	return __atomic_load_n((const __u64 *)mem, __ATOMIC_SEQ_CST);
}

static inline void mem_set(void *mem, __u64 val)
{
	__atomic_store_n((__u64 *)mem, val, __ATOMIC_SEQ_CST);
}

/* Does @addr lead to the page at @gpa? Both directions, bytes compared. */
static inline int dma_works(struct nest *n, __u32 pasid, __u64 addr, __u64 gpa)
{
	static __u64 seed = 0x0fedcba987654321;
	void *mem = gmem_ptr(&n->mem, gpa);
	__u64 got = 0;
	int rc;

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	mem_set(mem, seed);
	rc = dma_read(n, pasid, addr, &got);
	if (rc)
		return rc;
	if (got != seed)
		return -EBADMSG;
	rc = dma_write(n, pasid, addr, ~seed);
	if (rc)
		return rc;
	return mem_get(mem) == ~seed ? 0 : -EBADMSG;
}

static inline int dma_faults(struct nest *n, __u32 pasid, __u64 addr)
{
	__u64 got;

	return dma_read(n, pasid, addr, &got) == TESTDEV_FAULT &&
	       dma_write(n, pasid, addr, 0) == TESTDEV_FAULT;
}

/* ---- guests ---- */

/* Memory at @base, mapped in the container */
static inline int guest_memory(struct nest *n, __u64 base)
{
	int rc = gmem_init(&n->mem, base, GUEST_SIZE);

	if (rc)
		return rc;
	return nest_map(n->container, n->mem.base, base, GUEST_SIZE,
			VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
}

/* One more device for the container and the memory of @first */
static inline int guest_device(struct nest *n, const struct nest *first, int nth)
{
	int rc;

	memset(n, 0, sizeof(*n));
	n->container = first->container;
	n->version = first->version;
	n->mem = first->mem;
	rc = nest_join(n, nth, 1);
	if (!rc)
		rc = nest_device(n);
	return rc ? rc : group_info(n->container, n->group_id, &n->caps);
}

/* Take the group out of its container, and leave the container open. */
static inline int group_leave(struct nest *n)
{
	if (n->td.fd >= 0)
		close(n->td.fd);
	n->td.fd = -1;
	return xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

/* Pages that IOMMU drivers have for their tables, or -1 */
static inline long iommu_pages(void)
{
	char name[80];
	long val, found = -1;
	FILE *f;

	/* Counted per CPU; this adds them up. */
	read_uint("/proc/sys/vm/stat_refresh", &(unsigned int){ 0 });
	f = fopen("/proc/vmstat", "r");
	if (!f)
		return -1;
	while (fscanf(f, "%79s %ld", name, &val) == 2) {
		if (!strcmp(name, "nr_iommu_pages"))
			found = val;
	}
	fclose(f);
	return found;
}

/* ---- page requests ---- */

/* Have the device do something that may take until it is answered. */
static inline __u32 start(struct nest *n, __u32 cmd, __u32 tag, __u32 prreq,
			  __u32 num, __u64 va)
{
	testdev_put(&n->td, TESTDEV_REG_PRREQ, &prreq, sizeof(prreq));
	testdev_put(&n->td, TESTDEV_REG_PRNUM, &num, sizeof(num));
	return testdev_command(&n->td, cmd, tag, va, 8);
}

/* One page request, a group of its own, that nothing of the device waits for */
static inline __u32 request_at(struct nest *n, __u32 tag, __u32 grpid, __u64 va)
{
	return start(n, TESTDEV_CMD_REQUEST, tag, ONE_REQUEST | grpid, 1, va);
}

static inline __u32 wait_result(struct nest *n)
{
	__u32 result;

	while ((result = testdev_get32(&n->td, TESTDEV_REG_RESULT)) ==
	       TESTDEV_PENDING)
		usleep(1000);
	return result;
}

static inline __u32 nr_answers(struct nest *n)
{
	return testdev_get32(&n->td, TESTDEV_REG_PRRESP);
}

/* Wait until the device has had that many answers; how many it has had. */
static inline __u32 wait_answers(struct nest *n, __u32 nr)
{
	__u32 have;

	while ((have = nr_answers(n)) < nr)
		usleep(1000);
	return have;
}

/* A register of the nth answer */
static inline __u32 answer(struct nest *n, __u32 nth, off_t reg)
{
	testdev_put(&n->td, TESTDEV_REG_PRSEL, &nth, sizeof(nth));
	return testdev_get32(&n->td, reg);
}

static inline int read_now(int fd, struct iommu_uapi_page_request *req)
{
	ssize_t rc = read(fd, req, sizeof(*req));

	return rc < 0 ? -errno : rc == sizeof(*req) ? 0 : -ENODATA;
}

static inline int wait_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, -1) == 1 && poll_fd.revents & POLLIN ?
		       0 : -EIO;
}

/* What was sent takes a moment to arrive. */
static inline int read_one(int fd, struct iommu_uapi_page_request *req)
{
	int rc = wait_readable(fd);

	return rc ? rc : read_now(fd, req);
}

static inline int respond(int fd, const struct iommu_uapi_page_request *req,
			  __u32 code)
{
	struct iommu_uapi_page_response resp = {
		.version = IOMMU_UAPI_VERSION_2,
		.flags = IOMMU_UAPI_RESP_COOKIE_VAL,
		.grpid = req->grpid,
		.cookie = req->cookie,
		.code = code,
	};
	ssize_t rc;

	if (req->flags & IOMMU_UAPI_REQ_PASID_VAL) {
		resp.flags |= IOMMU_UAPI_RESP_PASID_VAL;
		resp.pasid = req->pasid;
	}
	rc = write(fd, &resp, sizeof(resp));
	return rc == sizeof(resp) ? 0 : rc < 0 ? -errno : -EPROTO;
}

/* What became of page requests and DMA faults */
static inline int fault_counts(int container,
			       struct vfio_iommu_type1_info_cap_faults *counts)
{
	struct vfio_iommu_type1_info_cap_faults *faults;
	union info info;

	if (info_read(container, &info))
		return -EIO;
	faults = info_cap(&info, VFIO_IOMMU_TYPE1_INFO_CAP_FAULTS, NULL);
	if (!faults)
		return -ENOENT;
	*counts = *faults;
	return faults->header.version == 1 ? 0 : -EPROTO;
}

/* Wait until that many page request groups wait; how many do, or -errno. */
static inline int wait_waiting(int container, __u32 nr)
{
	struct vfio_iommu_type1_info_cap_faults counts;
	int rc;

	while (!(rc = fault_counts(container, &counts)) && counts.waiting < nr)
		usleep(1000);
	return rc ? rc : (int)counts.waiting;
}

/* A file that reads do not wait on, whose page requests have no time limit */
static inline int fault_fd_unlimited(int container, __u32 flags)
{
	int fd = fault_fd_flags(container, flags | VFIO_FAULT_FD_TIMEOUT,
				IOMMU_UAPI_VERSION, 0);

	if (fd >= 0)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* Memory of the guest, an empty table in it, and a page that can be mapped */
static inline int open_requester(struct nest *n, struct pgt *pt, __u64 *page)
{
	int rc;

	rc = guest_memory(n, GUEST_BASE);
	if (!rc)
		rc = pgt_init(pt, &n->mem);
	*page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	return rc;
}

#endif /* _SELFTESTS_IOMMU_UAPI_DEVICE_H */
