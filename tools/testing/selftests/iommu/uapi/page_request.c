// SPDX-License-Identifier: GPL-2.0
/*
 * Page requests of a device, on their way to user space, and the answers.
 */
#include <pthread.h>

#include "page_request.h"

/* What the kernel keeps of groups whose last request has not come */
#define PARTIAL		512

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

/* Privileged requests fault pages in only if the table allows them (SRE) */
TEST_F(page_request, privileged)
{
	struct nest *n = &self->r.n;
	const __u32 tag = self->tag | TESTDEV_PRIV;
	struct iommu_uapi_page_request req;
	struct bind_arg bind;

	/* Without a PASID, nothing can say that it is privileged. */
	if (!variant->with_pasid)
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PASID_PRIV))
		SKIP(return, "no privileged requests with a PASID");
	start(n, TESTDEV_CMD_ATS_READ, tag, 1, 0, GUEST_VA);
	EXPECT_EQ(TESTDEV_INVALID, wait_result(n));

	ASSERT_OK(unbind(n, self->r.pasid));
	bind_init(&bind, n, self->r.pasid, self->r.pt.root);
	bind.data.flags = IOMMU_UAPI_BIND_PAGE_REQUEST;
	bind.data.vtd.flags = IOMMU_UAPI_VTD_SRE;
	ASSERT_OK(do_bind(n, &bind));
	EXPECT_EQ(TESTDEV_PENDING, start(n, TESTDEV_CMD_ATS_READ, tag, 2, 0, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_EQ(2, req.grpid);
	EXPECT_EQ(IOMMU_UAPI_PERM_READ | IOMMU_UAPI_PERM_PRIV, req.perm);
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_FAILURE));
	EXPECT_EQ(TESTDEV_FAILURE, wait_result(n));

	bind.data.flags |= IOMMU_UAPI_BIND_REPLACE;
	bind.data.vtd.flags = 0;
	ASSERT_OK(do_bind(n, &bind));
	start(n, TESTDEV_CMD_ATS_READ, tag, 3, 0, GUEST_VA);
	EXPECT_EQ(TESTDEV_INVALID, wait_result(n));
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
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
	/* The hardware answers by itself until the driver has handled its overflow. */
	do {
		ASSERT_EQ(0, request(n, self->tag, 6));
		total++;
		do {
			usleep(1000);
			ASSERT_OK(fault_counts(n->container, &counts));
		} while (!counts.waiting && nr_answers(n) != total);
	} while (!counts.waiting);
	ASSERT_OK(read_one(self->fd, req));
	EXPECT_OK(respond(self->fd, req, IOMMU_UAPI_RESP_SUCCESS));
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

TEST_HARNESS_MAIN
