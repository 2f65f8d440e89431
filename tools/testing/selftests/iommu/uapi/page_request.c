// SPDX-License-Identifier: GPL-2.0
/*
 * Page requests of a device, on their way to user space, and the answers.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "device.h"
#include "harness.h"

/* What the kernel allows a device to have outstanding */
#define OUTSTANDING	32

/* What the kernel keeps of groups whose last request has not come */
#define PARTIAL		512

struct requester {
	struct nest n;
	struct pgt pt;
	__u32 pasid;
	__u64 page;
};

static int requester_init(struct requester *r, __u64 base)
{
	struct nest *n = &r->n;
	int rc;

	rc = gmem_init(&n->mem, base, GUEST_SIZE);
	if (!rc)
		rc = nest_map(n->container, n->mem.base, base, GUEST_SIZE,
			      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	if (!rc)
		rc = pgt_init(&r->pt, &n->mem);
	r->page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	return rc;
}

static __u32 request(struct nest *n, __u32 pasid, __u32 grpid)
{
	return start(n, TESTDEV_CMD_REQUEST, pasid, ONE_REQUEST | grpid, 1,
		     GUEST_VA);
}

static void respond_to(struct iommu_uapi_page_response *resp,
		       const struct iommu_uapi_page_request *req, __u32 code)
{
	memset(resp, 0, sizeof(*resp));
	resp->version = IOMMU_UAPI_VERSION_2;
	resp->flags = IOMMU_UAPI_RESP_COOKIE_VAL;
	if (req->flags & IOMMU_UAPI_REQ_PASID_VAL) {
		resp->flags |= IOMMU_UAPI_RESP_PASID_VAL;
		resp->pasid = req->pasid;
	}
	resp->grpid = req->grpid;
	resp->cookie = req->cookie;
	resp->code = code;
}

static int write_resp(int fd, const void *resp, size_t size)
{
	ssize_t rc = write(fd, resp, size);

	return rc < 0 ? -errno : rc;
}

FIXTURE(page_request)
{
	struct requester r;
	int fd;
	__u32 tag;
};

FIXTURE_VARIANT(page_request)
{
	int with_pasid;
};

FIXTURE_VARIANT_ADD(page_request, pasid)
{
	.with_pasid = 1,
};

FIXTURE_VARIANT_ADD(page_request, no_pasid)
{
	.with_pasid = 0,
};

FIXTURE_SETUP(page_request)
{
	struct requester *r = &self->r;
	struct nest *n = &r->n;

	self->fd = -1;
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	ASSERT_TRUE(n->caps.bind_flags & IOMMU_UAPI_BIND_PAGE_REQUEST);
	ASSERT_OK(requester_init(r, GUEST_BASE));
	if (variant->with_pasid) {
		ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &r->pasid));
		self->tag = TESTDEV_PASID(r->pasid);
	}
	/* Only tests of the time limit have one. */
	self->fd = fault_fd_flags(n->container, VFIO_FAULT_FD_TIMEOUT,
				  IOMMU_UAPI_VERSION, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_OK(fcntl(self->fd, F_SETFL, O_NONBLOCK));
	ASSERT_OK(bind_requests(n, r->pasid, r->pt.root));
}

FIXTURE_TEARDOWN(page_request)
{
}

/* The device touches a page, gets it, and goes on */
TEST_F(page_request, served)
{
	struct nest *n = &self->r.n;
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN };
	struct vfio_iommu_type1_info_cap_faults counts;
	__u64 val = 0x1122334455667788;
	struct iommu_uapi_page_request req;

	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
	EXPECT_EQ(0, poll(&poll_fd, 1, 0));
	ASSERT_EQ(TESTDEV_PENDING,
		  start(n, TESTDEV_CMD_ATS_READ, self->tag, 77, 0,
			GUEST_VA + 0x123));
	ASSERT_EQ(1, poll(&poll_fd, 1, -1));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(1, counts.waiting);
	EXPECT_EQ(0, counts.overflows + counts.timeouts);
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_EQ(IOMMU_UAPI_VERSION, req.version);
	EXPECT_EQ(IOMMU_UAPI_REQ_LAST |
		  (variant->with_pasid ? IOMMU_UAPI_REQ_PASID_VAL : 0),
		  req.flags);
	EXPECT_EQ(IOMMU_UAPI_PERM_READ, req.perm);
	EXPECT_EQ(self->r.pasid, req.pasid);
	EXPECT_EQ(77, req.grpid);
	EXPECT_EQ(n->group_id, req.group_id);
	EXPECT_EQ(GUEST_VA, req.addr);
	EXPECT_NE(0, req.cookie);
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));

	memcpy(gmem_ptr(&n->mem, self->r.page) + 0x123, &val, sizeof(val));
	pgt_map(&self->r.pt, GUEST_VA, self->r.page, PGT_4K, PGT_RW);
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(TESTDEV_DONE, wait_result(n));
	val = 0;
	testdev_get(&n->td, TESTDEV_REG_BUF, &val, sizeof(val));
	EXPECT_EQ(0x1122334455667788, val);
	/* Answered once */
	EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(0, counts.waiting + counts.overflows + counts.timeouts);
}

/* The program refuses, and the device is told which way */
TEST_F(page_request, refused)
{
	static const struct {
		__u32 code;
		__u32 result;
		__u32 arrives;
	} cases[] = {
		{ IOMMU_UAPI_RESP_INVALID, TESTDEV_INVALID, CODE_INVALID },
		{ IOMMU_UAPI_RESP_FAILURE, TESTDEV_FAILURE, CODE_FAILURE },
	};
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_request req;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		ASSERT_EQ(TESTDEV_PENDING,
			  start(n, TESTDEV_CMD_ATS_WRITE, self->tag, i, 0,
				GUEST_VA));
		ASSERT_OK(read_one(self->fd, &req));
		EXPECT_EQ(IOMMU_UAPI_PERM_WRITE, req.perm);
		EXPECT_OK(respond(self->fd, &req, cases[i].code));
		EXPECT_EQ(cases[i].result, wait_result(n));
		EXPECT_EQ(cases[i].arrives, answer(n, i, TESTDEV_REG_PRCODE));
		EXPECT_EQ(i | (variant->with_pasid ? 1u << 31 : 0),
			  answer(n, i, TESTDEV_REG_PRGRP));
		EXPECT_EQ(self->r.pasid, answer(n, i, TESTDEV_REG_PRPASID));
	}
}

/* A group comes whole, in order, and is answered as one */
TEST_F(page_request, group)
{
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_request req[8];
	int i;

	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag, TESTDEV_PRREQ_READ | 5, 6,
			   GUEST_VA));
	EXPECT_ERR(EAGAIN, read_now(self->fd, req));
	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
			   TESTDEV_PRREQ_WRITE | TESTDEV_PRREQ_LAST | TESTDEV_PRREQ_PRIVATE | 5, 1,
			   GUEST_VA + 0x100000));
	ASSERT_OK(wait_readable(self->fd));
	/* Not a part of it */
	EXPECT_EQ(-1, read(self->fd, req, sizeof(req[0]) * 7 - 1));
	EXPECT_EQ(EMSGSIZE, errno);
	ASSERT_EQ(sizeof(req[0]) * 7, read(self->fd, req, sizeof(req)));
	for (i = 0; i < 7; i++) {
		EXPECT_EQ(i == 6, !!(req[i].flags & IOMMU_UAPI_REQ_LAST));
		EXPECT_EQ(req[0].cookie, req[i].cookie);
		EXPECT_EQ(5, req[i].grpid);
		EXPECT_EQ(i < 6 ? GUEST_VA + i * PGT_4K : GUEST_VA + 0x100000,
			  req[i].addr);
		EXPECT_EQ(i < 6 ? IOMMU_UAPI_PERM_READ : IOMMU_UAPI_PERM_WRITE,
			  req[i].perm);
	}
	EXPECT_OK(respond(self->fd, &req[0], IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(1, wait_answers(n, 1));
	EXPECT_ERR(ENOENT, respond(self->fd, &req[6], IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(1, nr_answers(n));
}

/* Many groups in one read, many answers in one write, of both versions */
TEST_F(page_request, many)
{
	struct nest *n = &self->r.n;
	struct {
		__u8 bytes[OUTSTANDING * sizeof(struct iommu_uapi_page_response)];
	} out;
	struct iommu_uapi_page_request req[OUTSTANDING];
	struct iommu_uapi_page_response resp;
	size_t len = 0;
	int i;

	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag, ONE_REQUEST,
			   OUTSTANDING, GUEST_VA));
	ASSERT_EQ(OUTSTANDING, wait_waiting(n->container, OUTSTANDING));
	/* Three now, and the rest later: nothing is lost or comes twice. */
	ASSERT_EQ(3 * sizeof(req[0]), read(self->fd, req, 4 * sizeof(req[0]) - 1));
	ASSERT_EQ(29 * sizeof(req[0]), read(self->fd, req + 3, 29 * sizeof(req[0])));
	for (i = 0; i < OUTSTANDING; i++) {
		EXPECT_EQ(i, req[i].grpid);
		respond_to(&resp, &req[i], IOMMU_UAPI_RESP_SUCCESS);
		if (i % 2) {
			resp.version = IOMMU_UAPI_VERSION_1;
			resp.flags &= ~IOMMU_UAPI_RESP_COOKIE_VAL;
		}
		memcpy(&out.bytes[len], &resp, i % 2 ? 20 : sizeof(resp));
		len += i % 2 ? 20 : sizeof(resp);
	}
	EXPECT_EQ((int)len, write_resp(self->fd, &out, len));
	EXPECT_EQ(OUTSTANDING, wait_answers(n, OUTSTANDING));
	for (i = 0; i < OUTSTANDING; i++)
		EXPECT_EQ(CODE_SUCCESS, answer(n, i, TESTDEV_REG_PRCODE));
}

/* R56: only what was given, with the PASID and group it came with */
TEST_F(page_request, whose)
{
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_response resp, good;
	struct iommu_uapi_page_request req;

	ASSERT_EQ(0, request(n, self->tag, 9));
	ASSERT_EQ(1, wait_waiting(n->container, 1));
	/* Not given yet, though it is there: cookies begin with 1. */
	req = (struct iommu_uapi_page_request){ .flags = variant->with_pasid ?
				   IOMMU_UAPI_REQ_PASID_VAL : 0,
			   .pasid = self->r.pasid, .grpid = 9, .cookie = 1 };
	EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	ASSERT_OK(read_one(self->fd, &req));
	respond_to(&good, &req, IOMMU_UAPI_RESP_SUCCESS);
#define WRONG(err, change) do {						\
		resp = good;						\
		change;							\
		EXPECT_ERR(err, write_resp(self->fd, &resp, sizeof(resp))); \
	} while (0)
	WRONG(ENOENT, resp.cookie++);
	WRONG(ENOENT, resp.grpid++);
	WRONG(ENOENT, resp.flags ^= IOMMU_UAPI_RESP_PASID_VAL; resp.pasid = 0);
	if (variant->with_pasid)
		WRONG(ENOENT, resp.pasid++);
	else
		WRONG(EINVAL, resp.pasid++);
	WRONG(EINVAL, resp.flags &= ~IOMMU_UAPI_RESP_COOKIE_VAL);
	WRONG(EINVAL, resp.version = 0);
	EXPECT_EQ(0, nr_answers(n));
	EXPECT_EQ(sizeof(good), write_resp(self->fd, &good, sizeof(good)));
	EXPECT_EQ(1, wait_answers(n, 1));
}

/* R24: every bit of a response */
TEST_F(page_request, response_bits)
{
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_response resp, good;
	struct iommu_uapi_page_request req;
	__u8 *end = guard_page();
	size_t size;
	int bit;

	ASSERT_TRUE(!!end);
	ASSERT_EQ(0, request(n, self->tag, 9));
	ASSERT_OK(read_one(self->fd, &req));
	respond_to(&good, &req, IOMMU_UAPI_RESP_SUCCESS);
	for (bit = 2; bit < 32; bit++)
		WRONG(EOPNOTSUPP, resp.flags |= 1u << bit);
	for (bit = 0; bit < 32; bit++) {
		WRONG(EOPNOTSUPP, resp.reserved = 1u << bit);
		if (bit > 1) {
			WRONG(EOPNOTSUPP, resp.code = 1u << bit);
			WRONG(EOPNOTSUPP, resp.version = 1u << bit);
		}
	}
	WRONG(EOPNOTSUPP, resp.code = 3);
	for (size = 1; size < sizeof(good); size++)
		EXPECT_ERR(EINVAL, write_resp(self->fd, &good, size));
	EXPECT_EQ(0, write_resp(self->fd, &good, 0));
	EXPECT_ERR(EFAULT, write_resp(self->fd, end, sizeof(good)));
	/* What version 1 has can be read, and what version 2 added can't. */
	memcpy(end - 20, &good, 20);
	EXPECT_ERR(EFAULT, write_resp(self->fd, end - 20, sizeof(good)));
	EXPECT_EQ(0, nr_answers(n));
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
}

/* A buffer that can't be written keeps the group for the next read, in its place. */
TEST_F(page_request, read_bad)
{
	struct nest *n = &self->r.n;
	__u8 *end = guard_page();
	struct iommu_uapi_page_request req;

	ASSERT_EQ(0, request(n, self->tag, 3));
	ASSERT_EQ(0, request(n, self->tag, 4));
	ASSERT_TRUE(!!end);
	ASSERT_EQ(2, wait_waiting(n->container, 2));
	EXPECT_EQ(-1, read(self->fd, end - sizeof(req) / 2, sizeof(req)));
	EXPECT_EQ(EFAULT, errno);
	/* It has not been given: cookies begin with 1. */
	req = (struct iommu_uapi_page_request){ .flags = variant->with_pasid ?
				   IOMMU_UAPI_REQ_PASID_VAL : 0,
			   .pasid = self->r.pasid, .grpid = 3, .cookie = 1 };
	EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(-1, read(self->fd, &req, sizeof(req) - 1));
	EXPECT_EQ(EMSGSIZE, errno);
	EXPECT_EQ(0, read(self->fd, &req, 0));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_EQ(3, req.grpid);
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_EQ(4, req.grpid);
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
}

/* The call itself */
TEST_F(page_request, call)
{
	struct vfio_iommu_type1_fault_fd arg = {
		.argsz = sizeof(arg),
		.version = IOMMU_UAPI_VERSION,
	}, bad;
	struct nest *n = &self->r.n;
	int bit;

	EXPECT_ERR(EEXIST, xioctl(n->container, VFIO_IOMMU_FAULT_FD, &arg));
	EXPECT_ERR(EFAULT, xioctl(n->container, VFIO_IOMMU_FAULT_FD, NULL));
	bad = arg;
	for (bad.argsz = 0; bad.argsz < sizeof(bad); bad.argsz++)
		EXPECT_ERR(EINVAL, xioctl(n->container, VFIO_IOMMU_FAULT_FD, &bad));
	for (bit = 0; bit < 32; bit++) {
		bad = arg;
		bad.flags = 1u << bit;
		if (bit > 2)
			EXPECT_ERR(EOPNOTSUPP, xioctl(n->container,
						      VFIO_IOMMU_FAULT_FD, &bad));
		bad = arg;
		bad.timeout_ms = 1u << bit;
		EXPECT_ERR(EINVAL, xioctl(n->container, VFIO_IOMMU_FAULT_FD, &bad));
	}
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
}

/* Nothing was asked for: as if there were no page requests */
TEST_F(page_request, not_asked)
{
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_request req;

	ASSERT_OK(unbind(n, self->r.pasid));
	ASSERT_OK(bind_table(n, self->r.pasid, self->r.pt.root));
	/* A group gets one answer, however many requests it has. */
	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
			   TESTDEV_PRREQ_READ | 3, 5, GUEST_VA));
	ASSERT_EQ(0, request(n, self->tag, 3));
	ASSERT_EQ(0, request(n, self->tag, 4));
	EXPECT_EQ(2, wait_answers(n, 2));
	/* Any further answer to these would come before this one's. */
	ASSERT_EQ(0, request(n, self->tag, 5));
	EXPECT_EQ(3, wait_answers(n, 3));
	EXPECT_EQ(5, answer(n, 2, TESTDEV_REG_PRGRP) & 0xffff);
	EXPECT_EQ(CODE_INVALID, answer(n, 0, TESTDEV_REG_PRCODE));
	EXPECT_EQ(CODE_INVALID, answer(n, 1, TESTDEV_REG_PRCODE));
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
}

/* Unbinding answers what waits, given or not */
TEST_F(page_request, unbind)
{
	struct nest *n = &self->r.n;
	struct vfio_iommu_type1_info_cap_faults counts;
	struct iommu_uapi_page_request req;

	ASSERT_EQ(0, request(n, self->tag, 1));
	ASSERT_EQ(0, request(n, self->tag, 2));
	/* A group whose last request never comes */
	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag, TESTDEV_PRREQ_READ | 3, 3, GUEST_VA));
	ASSERT_EQ(2, wait_waiting(n->container, 2));
	ASSERT_OK(read_now(self->fd, &req));
	ASSERT_OK(unbind(n, self->r.pasid));
	EXPECT_EQ(2, wait_answers(n, 2));
	EXPECT_EQ(CODE_INVALID, answer(n, 0, TESTDEV_REG_PRCODE));
	EXPECT_EQ(CODE_INVALID, answer(n, 1, TESTDEV_REG_PRCODE));
	EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(0, counts.waiting + counts.overflows + counts.timeouts);
	/* And it can be bound again, with nothing of the time before. */
	ASSERT_OK(bind_requests(n, self->r.pasid, self->r.pt.root));
	ASSERT_EQ(0, request(n, self->tag, 3));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_EQ(IOMMU_UAPI_REQ_LAST, req.flags & IOMMU_UAPI_REQ_LAST);
	EXPECT_EQ(3, req.grpid);
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
}

/* Closing the file answers what waits, and what comes later */
TEST_F(page_request, close)
{
	struct nest *n = &self->r.n;

	ASSERT_EQ(0, request(n, self->tag, 1));
	ASSERT_EQ(1, wait_waiting(n->container, 1));
	EXPECT_EQ(0, nr_answers(n));
	close(self->fd);
	EXPECT_EQ(1, wait_answers(n, 1));
	ASSERT_EQ(0, request(n, self->tag, 2));
	EXPECT_EQ(2, wait_answers(n, 2));
	EXPECT_EQ(CODE_INVALID, answer(n, 1, TESTDEV_REG_PRCODE));
	EXPECT_OK(unbind(n, self->r.pasid));
}

/* The container goes first: the file says so, and is otherwise harmless */
TEST_F(page_request, container_goes)
{
	struct nest *n = &self->r.n;
	struct pollfd poll_fd = { .fd = self->fd, .events = POLLIN };
	struct iommu_uapi_page_request req;

	ASSERT_EQ(0, request(n, self->tag, 1));
	ASSERT_OK(read_one(self->fd, &req));
	close(n->td.fd);
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(0, read(self->fd, &req, sizeof(req)));
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_TRUE(poll_fd.revents & POLLHUP);
	close(self->fd);
	/* Everything is as new. */
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container));
	ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU,
			     VFIO_TYPE1_NESTING_IOMMU));
	self->fd = fault_fd_flags(n->container, VFIO_FAULT_FD_TIMEOUT,
				  IOMMU_UAPI_VERSION_1, 0);
	EXPECT_LE(0, self->fd);
}

/* R57: bounded, counted, each answered exactly once */
TEST_F_TIMEOUT(page_request, flood, SLOW)
{
	struct nest *n = &self->r.n;
	struct vfio_iommu_type1_info_cap_faults counts;
	__u32 total = 0, given = 0, overflows, i;
	struct iommu_uapi_page_request req[IOMMU_UAPI_MAX_GROUPS];
	ssize_t len;

	/* Far beyond what the device may have outstanding */
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
				   ONE_REQUEST | TESTDEV_PRREQ_UNLIMITED,
				   512, GUEST_VA));
		total += 512;
	}
	do {
		usleep(1000);
		ASSERT_OK(fault_counts(n->container, &counts));
	} while (counts.waiting + nr_answers(n) != total);
	EXPECT_EQ(IOMMU_UAPI_MAX_GROUPS, counts.waiting);
	/* Some were answered by the hardware, whose queue is full as well. */
	EXPECT_LE(counts.overflows, total - counts.waiting);
	EXPECT_EQ(0, counts.timeouts);
	while ((len = read(self->fd, req, sizeof(req))) > 0) {
		for (i = 0; i < len / sizeof(req[0]); i++, given++)
			EXPECT_OK(respond(self->fd, &req[i],
					  IOMMU_UAPI_RESP_SUCCESS));
	}
	EXPECT_EQ(IOMMU_UAPI_MAX_GROUPS, given);
	EXPECT_EQ(total, wait_answers(n, total));
	/* A group that is too large counts as well. */
	ASSERT_OK(fault_counts(n->container, &counts));
	overflows = counts.overflows;
	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag, TESTDEV_PRREQ_READ | 7,
			   IOMMU_UAPI_MAX_GROUP_REQUESTS, GUEST_VA));
	ASSERT_EQ(0, request(n, self->tag, 7));
	EXPECT_EQ(total + 1, wait_answers(n, total + 1));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(overflows + 1, counts.overflows);
	/* And it goes on. */
	ASSERT_EQ(0, request(n, self->tag, 8));
	ASSERT_OK(read_one(self->fd, req));
	EXPECT_OK(respond(self->fd, req, IOMMU_UAPI_RESP_SUCCESS));
}

/* How many records does a group of two have? */
static int group_of_two(struct nest *n, int fd, __u32 tag)
{
	struct iommu_uapi_page_request req[2];
	int len;

	if (start(n, TESTDEV_CMD_REQUEST, tag, TESTDEV_PRREQ_READ | 6, 1,
		  GUEST_VA) ||
	    request(n, tag, 6) || wait_readable(fd))
		return -EIO;
	len = read(fd, req, sizeof(req));
	if (len <= 0 || respond(fd, &req[0], IOMMU_UAPI_RESP_SUCCESS))
		return -EIO;
	return len / sizeof(req[0]);
}

/* R57: what waits for the last of its group is bounded too */
TEST_F(page_request, partial)
{
	struct nest *n = &self->r.n;
	struct vfio_iommu_type1_info_cap_faults counts;

	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
			   TESTDEV_PRREQ_READ | 5, PARTIAL - 1, GUEST_VA));
	EXPECT_EQ(2, group_of_two(n, self->fd, self->tag));
	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
			   TESTDEV_PRREQ_READ | 5, 1, GUEST_VA));
	/* No room for the first, and the last is a group all the same. */
	EXPECT_EQ(1, group_of_two(n, self->fd, self->tag));
	ASSERT_EQ(0, request(n, self->tag, 5));
	EXPECT_EQ(3, wait_answers(n, 3));
	EXPECT_EQ(CODE_INVALID, answer(n, 2, TESTDEV_REG_PRCODE));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(1, counts.overflows);
	EXPECT_EQ(2, group_of_two(n, self->fd, self->tag));
}

struct reader {
	int fd;
	__u32 seen[512];
	__u32 nr;
};

static void *read_and_answer(void *data)
{
	struct reader *reader = data;
	struct iommu_uapi_page_request req[8];
	ssize_t len, i;

	while ((len = read(reader->fd, req, sizeof(req))) > 0) {
		for (i = 0; i < len / (ssize_t)sizeof(req[0]); i++) {
			reader->seen[req[i].grpid]++;
			reader->nr++;
			respond(reader->fd, &req[i], IOMMU_UAPI_RESP_SUCCESS);
		}
	}
	return NULL;
}

/* R57: reading while it fills, from two threads that block */
TEST_F_TIMEOUT(page_request, readers, SLOW)
{
	struct nest *n = &self->r.n;
	struct reader readers[2] = {};
	pthread_t threads[2];
	__u32 i, total = 0;

	ASSERT_OK(fcntl(self->fd, F_SETFL, 0));
	for (i = 0; i < 2; i++) {
		readers[i].fd = self->fd;
		ASSERT_OK(pthread_create(&threads[i], NULL, read_and_answer,
					 &readers[i]));
	}
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
				   ONE_REQUEST | (i * OUTSTANDING),
				   OUTSTANDING, GUEST_VA));
		total += OUTSTANDING;
		ASSERT_EQ(total, wait_answers(n, total));
	}
	close(n->td.fd);
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	for (i = 0; i < 2; i++)
		ASSERT_OK(pthread_join(threads[i], NULL));
	EXPECT_EQ(total, readers[0].nr + readers[1].nr);
	for (i = 0; i < 512; i++)
		EXPECT_EQ(1, readers[0].seen[i] + readers[1].seen[i]);
}

/* What nobody answers is ended, told to the device, counted; late is too late */
TEST_F(page_request, timeout)
{
	struct nest *n = &self->r.n;
	struct vfio_iommu_type1_info_cap_faults counts;
	struct iommu_uapi_page_request req, other;

	ASSERT_OK(fault_limit(n->container, 0));
	ASSERT_EQ(TESTDEV_PENDING, start(n, TESTDEV_CMD_ATS_READ, self->tag, 1, 0, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &req));
	ASSERT_OK(fault_limit(n->container, 200));
	EXPECT_EQ(TESTDEV_INVALID, wait_result(n));
	ASSERT_EQ(0, request(n, self->tag, 2));
	EXPECT_EQ(2, wait_answers(n, 2));
	ASSERT_OK(fault_limit(n->container, 0));
	/* Only what was given out can be late, and it is once. */
	other = req;
	other.grpid = 2;
	other.cookie++;
	EXPECT_ERR(ENOENT, respond(self->fd, &other, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_ERR(ETIME, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(2, nr_answers(n));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(0, counts.waiting + counts.overflows);
	EXPECT_EQ(2, counts.timeouts);
	/* Never given out */
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));

	/* A new limit is for what waits already, too. */
	ASSERT_EQ(0, request(n, self->tag, 3));
	ASSERT_OK(read_one(self->fd, &req));
	ASSERT_OK(fault_limit(n->container, 200));
	EXPECT_EQ(3, wait_answers(n, 3));
	EXPECT_EQ(CODE_INVALID, answer(n, 2, TESTDEV_REG_PRCODE));
	EXPECT_ERR(ETIME, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	ASSERT_OK(fault_limit(n->container, 0));
	ASSERT_EQ(0, request(n, self->tag, 4));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(4, wait_answers(n, 4));
	EXPECT_EQ(CODE_SUCCESS, answer(n, 3, TESTDEV_REG_PRCODE));
}

/* Late is told from wrong while that can be remembered, and to nobody else */
TEST_F_TIMEOUT(page_request, late, SLOW)
{
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_request req[IOMMU_UAPI_MAX_GROUPS], first, again;
	struct iommu_uapi_page_response resp;
	int i;

	ASSERT_OK(fault_limit(n->container, 0));
	ASSERT_EQ(0, request(n, self->tag, 0));
	ASSERT_OK(read_one(self->fd, &first));
	ASSERT_OK(fault_limit(n->container, 50));
	ASSERT_EQ(1, wait_answers(n, 1));
	/* The same group index is used again: who waits comes first. */
	ASSERT_OK(fault_limit(n->container, 0));
	ASSERT_EQ(0, request(n, self->tag, 0));
	ASSERT_OK(read_one(self->fd, &again));
	respond_to(&resp, &again, IOMMU_UAPI_RESP_SUCCESS);
	resp.version = IOMMU_UAPI_VERSION_1;
	resp.flags &= ~IOMMU_UAPI_RESP_COOKIE_VAL;
	EXPECT_EQ(20, write_resp(self->fd, &resp, 20));
	EXPECT_EQ(2, wait_answers(n, 2));
	EXPECT_EQ(CODE_SUCCESS, answer(n, 1, TESTDEV_REG_PRCODE));
	/* And only then who is late. */
	EXPECT_ERR(ETIME, write_resp(self->fd, &resp, 20));

	/* As many as are remembered, and one more */
	ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
			   ONE_REQUEST | TESTDEV_PRREQ_UNLIMITED,
			   IOMMU_UAPI_MAX_GROUPS, GUEST_VA));
	ASSERT_EQ(IOMMU_UAPI_MAX_GROUPS,
		  wait_waiting(n->container, IOMMU_UAPI_MAX_GROUPS));
	ASSERT_EQ(sizeof(req), read(self->fd, req, sizeof(req)));
	ASSERT_OK(fault_limit(n->container, 50));
	ASSERT_EQ(IOMMU_UAPI_MAX_GROUPS + 2,
		  wait_answers(n, IOMMU_UAPI_MAX_GROUPS + 2));
	ASSERT_OK(fault_limit(n->container, 0));
	ASSERT_EQ(0, request(n, self->tag, 0));
	ASSERT_OK(read_one(self->fd, &again));
	ASSERT_OK(fault_limit(n->container, 50));
	ASSERT_EQ(IOMMU_UAPI_MAX_GROUPS + 3,
		  wait_answers(n, IOMMU_UAPI_MAX_GROUPS + 3));
	EXPECT_ERR(ENOENT, respond(self->fd, &req[0], IOMMU_UAPI_RESP_SUCCESS));
	for (i = 1; i < IOMMU_UAPI_MAX_GROUPS; i += 255)
		EXPECT_ERR(ETIME, respond(self->fd, &req[i],
					  IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_ERR(ETIME, respond(self->fd, &again, IOMMU_UAPI_RESP_SUCCESS));
	/* The binding goes, and who was late with it */
	ASSERT_OK(unbind(n, self->r.pasid));
	EXPECT_ERR(ENOENT, respond(self->fd, &req[2], IOMMU_UAPI_RESP_SUCCESS));
}

static int open_all(struct requester *r, __u32 *tag)
{
	struct nest *n = &r->n;
	int rc, fd;

	rc = nest_open(n, 1, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (!rc)
		rc = requester_init(r, GUEST_BASE);
	if (!rc)
		rc = pasid_alloc(n->container, 1, pasid_last(n), &r->pasid);
	if (rc)
		return rc;
	*tag = TESTDEV_PASID(r->pasid);
	fd = fault_fd_flags(n->container, VFIO_FAULT_FD_TIMEOUT,
			    IOMMU_UAPI_VERSION, 0);
	if (fd >= 0)
		rc = bind_requests(n, r->pasid, r->pt.root);
	return rc ? rc : fd;
}

/* The program dies with requests in flight, given out and not */
TEST(page_request_kill)
{
	struct requester r = {};
	int round, status, fd;
	struct iommu_uapi_page_request req;
	__u32 tag;
	pid_t pid;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &r.n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(r.n.caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	nest_close(&r.n);
	for (round = 0; round < 4; round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			fd = open_all(&r, &tag);
			if (fd < 0)
				_exit(1);
			start(&r.n, TESTDEV_CMD_REQUEST, tag, ONE_REQUEST,
			      OUTSTANDING, GUEST_VA);
			if (round % 2 && read_one(fd, &req))
				_exit(1);
			kill(getpid(), SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
		fd = open_all(&r, &tag);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, request(&r.n, tag, 100));
		ASSERT_OK(read_one(fd, &req));
		EXPECT_EQ(100, req.grpid);
		EXPECT_OK(respond(fd, &req, IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(1, wait_answers(&r.n, 1));
		close(fd);
		nest_close(&r.n);
	}
}

/* An event for when the kernel wants the device back; or -1 */
static int unplug_event(int device)
{
	struct {
		struct vfio_irq_set set;
		__s32 fd;
	} irq = {
		.set = {
			.argsz = sizeof(irq),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD |
				 VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
		.fd = eventfd(0, 0),
	};

	return irq.fd < 0 || xioctl(device, VFIO_DEVICE_SET_IRQS, &irq) ?
		       -1 : irq.fd;
}

/* The device is taken away with requests in flight */
TEST_F_TIMEOUT(page_request, unplug, SLOW)
{
	struct nest *n = &self->r.n;
	char path[PATH_MAX];
	struct iommu_uapi_page_request req;
	int status, asked;
	__u64 times;
	pid_t pid;

	asked = unplug_event(n->td.fd);
	ASSERT_LE(0, asked);
	ASSERT_EQ(0, request(n, self->tag, 1));
	ASSERT_EQ(0, request(n, self->tag, 2));
	ASSERT_OK(read_one(self->fd, &req));
	testdev_sysfs(path, n->bdf, "remove");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(n->td.fd);
		close(n->group);
		close(n->container);
		_exit(testdev_sysfs_write(path, "1") ? 1 : 0);
	}
	/* It asks for the device, and waits. */
	ASSERT_EQ(sizeof(times), read(asked, &times, sizeof(times)));
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	close(asked);
	close(n->td.fd);
	close(n->group);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(0, read(self->fd, &req, sizeof(req)));
	close(self->fd);
	EXPECT_OK(testdev_sysfs_write("/sys/bus/pci/rescan", "1"));
}

/* Unbind and bind again and again, while the device sends what it can */
TEST_F_TIMEOUT(page_request, storm, SLOW)
{
	struct nest *n = &self->r.n;
	struct reader reader = { .fd = self->fd };
	struct vfio_iommu_type1_info_cap_faults counts;
	__u32 total = 0;
	pthread_t thread;
	int i;

	ASSERT_OK(fcntl(self->fd, F_SETFL, 0));
	ASSERT_OK(pthread_create(&thread, NULL, read_and_answer, &reader));
	for (i = 0; i < 60; i++) {
		ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
				   ONE_REQUEST | TESTDEV_PRREQ_UNLIMITED, 200,
				   GUEST_VA));
		total += 200;
		ASSERT_OK(unbind(n, self->r.pasid));
		ASSERT_OK(bind_requests(n, self->r.pasid, self->r.pt.root));
	}
	EXPECT_EQ(total, wait_answers(n, total));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(0, counts.waiting);
	close(n->td.fd);
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	ASSERT_OK(pthread_join(thread, NULL));
}

struct unbinder {
	struct nest *n;
	__u32 pasid;
	__u64 root;
	__u32 sent;
	int rc;
};

static void *request_and_unbind(void *data)
{
	struct unbinder *u = data;
	int i;

	for (i = 0; i < 150 && !u->rc; i++) {
		u->rc = start(u->n, TESTDEV_CMD_REQUEST, TESTDEV_PASID(u->pasid),
			      ONE_REQUEST, OUTSTANDING / 2, GUEST_VA);
		u->sent += OUTSTANDING / 2;
		if (!u->rc)
			u->rc = unbind(u->n, u->pasid);
		if (!u->rc)
			u->rc = bind_requests(u->n, u->pasid, u->root);
	}
	return NULL;
}

/* Two containers end bindings at once, and wait for the same hardware queue */
TEST_F_TIMEOUT(page_request, unbind_two, SLOW)
{
	struct requester other = {};
	struct unbinder u[2] = {
		{ .n = &self->r.n, .pasid = self->r.pasid, .root = self->r.pt.root },
		{ .n = &other.n },
	};
	pthread_t thread[2];
	int i, fd;

	if (!variant->with_pasid) {
		ASSERT_OK(pasid_alloc(self->r.n.container, 1,
				      pasid_last(&self->r.n), &u[0].pasid));
		ASSERT_OK(bind_requests(&self->r.n, u[0].pasid, u[0].root));
	}
	i = nest_open(&other.n, 2, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (i == -ENODEV)
		SKIP(return, "needs a third device");
	ASSERT_OK(i);
	ASSERT_OK(requester_init(&other, GUEST_BASE));
	ASSERT_OK(pasid_alloc(other.n.container, 1, pasid_last(&other.n),
			      &u[1].pasid));
	u[1].root = other.pt.root;
	fd = fault_fd_flags(other.n.container, VFIO_FAULT_FD_TIMEOUT,
			    IOMMU_UAPI_VERSION, 0);
	ASSERT_LE(0, fd);
	ASSERT_OK(bind_requests(&other.n, u[1].pasid, u[1].root));

	for (i = 0; i < 2; i++)
		ASSERT_OK(pthread_create(&thread[i], NULL, request_and_unbind,
					 &u[i]));
	for (i = 0; i < 2; i++) {
		ASSERT_OK(pthread_join(thread[i], NULL));
		EXPECT_OK(u[i].rc);
		EXPECT_EQ(u[i].sent, wait_answers(u[i].n, u[i].sent));
	}
	close(fd);
	nest_close(&other.n);
}

/* Two devices, the same PASID and group index: a cookie tells them apart */
TEST_F(page_request, two_devices)
{
	struct nest *n = &self->r.n, other = {};
	struct iommu_uapi_page_response resp;
	struct iommu_uapi_page_request req[2];
	int rc;

	other.container = n->container;
	rc = nest_join(&other, 2, 1);
	if (rc == -ENODEV)
		SKIP(return, "needs a third device");
	ASSERT_EQ(0, rc);
	other.version = n->version;
	ASSERT_OK(nest_device(&other));
	ASSERT_OK(bind_requests(&other, self->r.pasid, self->r.pt.root));
	ASSERT_EQ(0, request(n, self->tag, 5));
	ASSERT_EQ(0, request(&other, self->tag, 5));
	ASSERT_OK(read_one(self->fd, &req[0]));
	ASSERT_OK(read_one(self->fd, &req[1]));
	EXPECT_EQ(n->group_id, req[0].group_id);
	EXPECT_EQ(other.group_id, req[1].group_id);
	EXPECT_NE(req[0].cookie, req[1].cookie);
	/* Version 1 can't say which. */
	respond_to(&resp, &req[1], IOMMU_UAPI_RESP_SUCCESS);
	resp.version = IOMMU_UAPI_VERSION_1;
	resp.flags &= ~IOMMU_UAPI_RESP_COOKIE_VAL;
	EXPECT_ERR(ENOTUNIQ, write_resp(self->fd, &resp, 20));
	EXPECT_OK(respond(self->fd, &req[1], IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(1, wait_answers(&other, 1));
	EXPECT_EQ(0, nr_answers(n));
	EXPECT_EQ(20, write_resp(self->fd, &resp, 20));
	EXPECT_EQ(1, wait_answers(n, 1));
	EXPECT_EQ(1, nr_answers(&other));

	/* The end of one binding answers its own, and leaves the other's alone. */
	ASSERT_EQ(0, request(n, self->tag, 6));
	ASSERT_EQ(0, request(&other, self->tag, 7));
	ASSERT_OK(read_one(self->fd, &req[0]));
	ASSERT_OK(read_one(self->fd, &req[1]));
	ASSERT_OK(unbind(&other, self->r.pasid));
	EXPECT_EQ(2, wait_answers(&other, 2));
	EXPECT_EQ(CODE_INVALID, answer(&other, 1, TESTDEV_REG_PRCODE));
	EXPECT_EQ(1, nr_answers(n));
	EXPECT_ERR(ENOENT, respond(self->fd, &req[1], IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_OK(respond(self->fd, &req[0], IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(2, wait_answers(n, 2));
}

/* Before there is a file, and where there can be none */
TEST(page_request_none)
{
	struct vfio_iommu_type1_info_cap_faults counts;
	struct nest n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	EXPECT_EQ(0, n.caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST);
	EXPECT_EQ(0, n.caps.bind_flags & IOMMU_UAPI_BIND_PAGE_REQUEST);
	EXPECT_ERR(EOPNOTSUPP, fault_fd(n.container, IOMMU_UAPI_VERSION));
	EXPECT_ERR(EOPNOTSUPP, bind_requests(&n, 0, GUEST_BASE));
	nest_close(&n);

	if (!test_open(_metadata, &n, 1, 1, VFIO_TYPE1_NESTING_IOMMU) ||
	    !(n.caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		return;
	EXPECT_ERR(EINVAL, bind_requests(&n, 0, GUEST_BASE));
	EXPECT_ERR(EINVAL, fault_fd(n.container, 0));
	EXPECT_ERR(EOPNOTSUPP, fault_fd(n.container, IOMMU_UAPI_VERSION + 1));
	EXPECT_ERR(ENOENT, fault_counts(n.container, &counts));
}

/* R32: whichever allocation of a call fails, all is as it was */
TEST_F_TIMEOUT(page_request, fail_nth, SLOW)
{
	struct nest *n = &self->r.n, other = {};
	int nth_fd = fail_nth_open("thread-self");
	struct iommu_uapi_page_request req;
	int call, nth, rc, fd = -1, failed;
	__u32 answers = 0;

	if (nth_fd < 0)
		SKIP(return, "the kernel can't inject faults");
	/* A container that has no file yet */
	ASSERT_OK(nest_open(&other, 2, 1, VFIO_TYPE1_NESTING_IOMMU));
	for (call = 0; call < 5; call++) {
		failed = 0;
		for (nth = 1; nth < 400; nth++) {
			/* Something to be read, answered, and ended */
			if (call == 1 || call == 2 || call == 4) {
				ASSERT_EQ(0, request(n, self->tag, 1));
				ASSERT_OK(wait_readable(self->fd));
				answers++;
			}
			if (call == 2)
				ASSERT_OK(read_now(self->fd, &req));
			if (call == 3 && nth == 1)
				ASSERT_OK(unbind(n, self->r.pasid));

			ASSERT_OK(fail_nth_arm(nth_fd, nth));
			switch (call) {
			case 0:
				rc = fault_fd(other.container,
					      IOMMU_UAPI_VERSION);
				break;
			case 1:
				rc = read_now(self->fd, &req);
				break;
			case 2:
				rc = respond(self->fd, &req,
					     IOMMU_UAPI_RESP_SUCCESS);
				break;
			case 3:
				rc = bind_requests(n, self->r.pasid,
						   self->r.pt.root);
				break;
			default:
				rc = unbind(n, self->r.pasid);
			}
			if (fail_nth_left(nth_fd))
				break;

			if (rc < 0) {
				failed++;
				EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT ||
					    rc == -ENFILE || rc == -EMFILE)
					TH_LOG("call %d, step %d: %d", call,
					       nth, rc);
			} else if (call == 0) {
				close(rc);
				nest_close(&other);
				ASSERT_OK(nest_open(&other, 2, 1,
						    VFIO_TYPE1_NESTING_IOMMU));
			}
			switch (call) {
			case 1:
				/* What was not read is still there. */
				if (rc)
					ASSERT_OK(read_now(self->fd, &req));
				ASSERT_OK(respond(self->fd, &req,
						  IOMMU_UAPI_RESP_SUCCESS));
				break;
			case 2:
				if (rc)
					ASSERT_OK(respond(self->fd, &req,
							  IOMMU_UAPI_RESP_SUCCESS));
				break;
			case 3:
				EXPECT_ERR(rc ? ENOENT : 0,
					   unbind(n, self->r.pasid));
				break;
			case 4:
				/* EFAULT: not even begun */
				if (rc == -EFAULT)
					EXPECT_OK(unbind(n, self->r.pasid));
				ASSERT_OK(bind_requests(n, self->r.pasid,
							self->r.pt.root));
			}
			if (call)
				EXPECT_EQ(answers, wait_answers(n, answers));
		}
		TH_LOG("call %d: %d steps, %d failed", call, nth - 1, failed);
		/* These allocate, so a sweep without a failure tested nothing. */
		if (call == 0 || call == 1 || call == 3)
			EXPECT_LT(0, failed);
		if (!call) {
			fd = rc;
			EXPECT_LE(0, fd);
		} else {
			EXPECT_EQ(0, rc);
		}
		if (call == 1)
			EXPECT_OK(respond(self->fd, &req,
					  IOMMU_UAPI_RESP_SUCCESS));
	}
	EXPECT_EQ(answers, wait_answers(n, answers));
	close(fd);
	nest_close(&other);
	close(nth_fd);
}

/* The directory below /proc of the thread that takes page requests */
static int requests_thread(char *who, size_t size)
{
	char path[64], comm[32];
	struct dirent *de;
	int rc = -ENOENT;
	FILE *f;
	DIR *dir = opendir("/proc");

	while (rc && dir && (de = readdir(dir))) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", de->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && strstr(comm, "-dmar") &&
		    strstr(comm, "-pr")) {
			snprintf(who, size, "%.20s", de->d_name);
			rc = 0;
		}
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return rc;
}

/* R32: nor does a group get lost, or two answers, if taking it fails */
TEST_F_TIMEOUT(page_request, fail_nth_thread, SLOW)
{
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_request req[2];
	struct vfio_iommu_type1_info_cap_faults counts;
	int nth, nth_fd, failed = 0;
	char who[32];

	ASSERT_OK(requests_thread(who, sizeof(who)));
	nth_fd = fail_nth_open(who);
	if (nth_fd < 0)
		SKIP(return, "the kernel can't inject faults");
	for (nth = 1; nth < 40; nth++) {
		ASSERT_OK(fail_nth_arm(nth_fd, nth));
		ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
				   TESTDEV_PRREQ_READ | 3, 1, GUEST_VA));
		ASSERT_EQ(0, request(n, self->tag, 3));
		while (nr_answers(n) < nth) {
			ASSERT_OK(fault_counts(n->container, &counts));
			if (!counts.waiting)
				continue;
			/* Whole, or without the part that found no room */
			ASSERT_LE((int)sizeof(req[0]),
				  read(self->fd, req, sizeof(req)));
			ASSERT_OK(respond(self->fd, &req[0],
					  IOMMU_UAPI_RESP_SUCCESS));
		}
		if (answer(n, nth - 1, TESTDEV_REG_PRCODE) != CODE_SUCCESS)
			failed++;
		if (fail_nth_left(nth_fd))
			break;
	}
	TH_LOG("%d steps, %d failed", nth - 1, failed);
	/* A step may hit an allocation that the group can do without. */
	EXPECT_LT(0, failed);
	EXPECT_EQ(nth, nr_answers(n));
	EXPECT_ERR(EAGAIN, read_now(self->fd, req));
	close(nth_fd);
}

TEST_HARNESS_MAIN
