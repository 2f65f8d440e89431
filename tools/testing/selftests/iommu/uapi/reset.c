// SPDX-License-Identifier: GPL-2.0
/*
 * Page requests: resets and replaces while a page request waits, every kind of
 * page request that a table can be bound for, time limits, and files that come
 * and go.
 */
#include <pthread.h>

#include <linux/pci_regs.h>

#include "device.h"
#include "harness.h"

#define PAGE_RESPONSE_MS	"/sys/module/iommu_uapi/parameters/page_response_ms"
#define PAGE_RESPONSE_MAX_MS	"/sys/module/iommu_uapi/parameters/page_response_max_ms"

#define PASID		3

FIXTURE(requests)
{
	struct nest n;
	struct pgt pt;
	__u64 page;
	int fd;
	__u32 tag;
};

FIXTURE_VARIANT(requests)
{
	__u32 pasid;
};

FIXTURE_VARIANT_ADD(requests, no_pasid)
{
	.pasid = 0,
};

FIXTURE_VARIANT_ADD(requests, pasid)
{
	.pasid = PASID,
};

FIXTURE_SETUP(requests)
{
	struct nest *n = &self->n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	ASSERT_OK(open_requester(n, &self->pt, &self->page));
	self->tag = pasid_tag(variant->pasid);
	self->fd = fault_fd_unlimited(n->container, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_OK(bind_requests(n, variant->pasid, self->pt.root));
}

FIXTURE_TEARDOWN(requests)
{
}

/* ---- resets ---- */

/* Function-level reset, as a guest's driver does it: a bit of Device Control */
static int flr(struct testdev *td)
{
	__u8 pos = 0, id = 0;
	__u16 ctrl;

	pread(td->fd, &pos, 1, td->cfg + PCI_CAPABILITY_LIST);
	while (pos) {
		if (pread(td->fd, &id, 1, td->cfg + pos) != 1)
			return -EIO;
		if (id == PCI_CAP_ID_EXP)
			break;
		if (pread(td->fd, &pos, 1, td->cfg + pos + 1) != 1)
			return -EIO;
	}
	if (!pos ||
	    pread(td->fd, &ctrl, 2, td->cfg + pos + PCI_EXP_DEVCTL) != 2)
		return -ENOENT;
	ctrl |= PCI_EXP_DEVCTL_BCR_FLR;
	return pwrite(td->fd, &ctrl, 2, td->cfg + pos + PCI_EXP_DEVCTL) == 2 ?
		       0 : -EIO;
}

enum { RESET_IOCTL, RESET_FLR, RESETS };

static int reset(struct nest *n, int how)
{
	int rc = how == RESET_FLR ? flr(&n->td) :
				    xioctl_num(n->td.fd, VFIO_DEVICE_RESET, 0);

	return rc ? rc : testdev_master(&n->td, 1);
}

/*
 * What waited belongs to nobody any more. A late answer must not be taken for
 * that to a new request, which may have the same group index.
 */
TEST_F_TIMEOUT(requests, reset, SLOW)
{
	struct vfio_iommu_type1_info_cap_faults counts;
	struct iommu_uapi_page_request old, unread, new;
	struct nest *n = &self->n;
	int how;

	for (how = 0; how < RESETS; how++) {
		__u64 va = GUEST_VA + (2 * how + 1) * PGT_4K;
		__u64 got = 0;

		/* Two wait: one has been read, the other one not. */
		ASSERT_EQ(0, request_at(n, self->tag, 5, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &old));
		ASSERT_EQ(0, request_at(n, self->tag, 6, GUEST_VA));
		ASSERT_EQ(2, wait_waiting(n->container, 2));
		ASSERT_OK(reset(n, how));
		ASSERT_OK(fault_counts(n->container, &counts));
		EXPECT_EQ(0, counts.waiting);
		EXPECT_EQ(0, counts.timeouts);
		/* Forgotten, not answered */
		EXPECT_EQ(0, nr_answers(n));
		EXPECT_ERR(EAGAIN, read_now(self->fd, &unread));

		/* The table is still bound, with page requests. */
		mem_set(gmem_ptr(&n->mem, self->page), 0x77 + how);
		ASSERT_EQ(TESTDEV_PENDING, start(n, TESTDEV_CMD_ATS_READ,
						 self->tag, 5, 0, va));
		ASSERT_OK(read_one(self->fd, &new));
		EXPECT_EQ(5, new.grpid);
		EXPECT_NE(old.cookie, new.cookie);
		EXPECT_ERR(ENOENT, respond(self->fd, &old, IOMMU_UAPI_RESP_INVALID));
		EXPECT_EQ(TESTDEV_PENDING,
			  testdev_get32(&n->td, TESTDEV_REG_RESULT));
		EXPECT_EQ(0, nr_answers(n));
		pgt_map(&self->pt, va, self->page, PGT_4K, PGT_RW);
		EXPECT_OK(respond(self->fd, &new, IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(TESTDEV_DONE, wait_result(n));
		testdev_get(&n->td, TESTDEV_REG_BUF, &got, sizeof(got));
		EXPECT_EQ(0x77 + how, got);
		EXPECT_EQ(1, nr_answers(n));
		/* Back to none, for the next round */
		ASSERT_OK(reset(n, how));
	}
}

/* A group whose last request was to come after the reset */
TEST_F_TIMEOUT(requests, reset_partial, SLOW)
{
	struct iommu_uapi_page_request req[8];
	struct nest *n = &self->n;
	int how;

	for (how = 0; how < RESETS; how++) {
		ASSERT_EQ(0, start(n, TESTDEV_CMD_REQUEST, self->tag,
				   TESTDEV_PRREQ_READ | 5, 3, GUEST_VA));
		ASSERT_OK(reset(n, how));
		ASSERT_EQ(0, request_at(n, self->tag, 5, GUEST_VA));
		ASSERT_OK(wait_readable(self->fd));
		EXPECT_EQ(sizeof(req[0]), read(self->fd, req, sizeof(req)));
		EXPECT_OK(respond(self->fd, &req[0], IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(1, wait_answers(n, 1));
		ASSERT_OK(reset(n, how));
	}
}

/* Another device of the container goes on waiting */
TEST_F_TIMEOUT(requests, reset_other, SLOW)
{
	struct iommu_uapi_page_request req, theirs;
	struct nest *n = &self->n, other;
	int how, rc;

	rc = guest_device(&other, n, 2);
	if (rc == -ENODEV)
		SKIP(return, "needs a third device");
	ASSERT_OK(rc);
	ASSERT_OK(bind_requests(&other, variant->pasid, self->pt.root));
	for (how = 0; how < RESETS; how++) {
		ASSERT_EQ(0, request_at(&other, self->tag, 5, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &theirs));
		ASSERT_EQ(0, request_at(n, self->tag, 5, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &req));
		ASSERT_OK(reset(n, how));
		EXPECT_ERR(ENOENT, respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_OK(respond(self->fd, &theirs, IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(how + 1, wait_answers(&other, how + 1));
		EXPECT_EQ(CODE_SUCCESS, answer(&other, how, TESTDEV_REG_PRCODE));
		EXPECT_EQ(0, nr_answers(n));
	}
}

/* RESP_FAILURE: as far as PCI goes, the device asks no more until it is reset */
TEST_F_TIMEOUT(requests, failure_ends, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	int how;

	for (how = 0; how < RESETS; how++) {
		ASSERT_EQ(TESTDEV_PENDING, start(n, TESTDEV_CMD_ATS_READ,
						 self->tag, 1, 0, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &req));
		EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_FAILURE));
		EXPECT_EQ(TESTDEV_FAILURE, wait_result(n));
		EXPECT_EQ(CODE_FAILURE, answer(n, 0, TESTDEV_REG_PRCODE));
		ASSERT_OK(reset(n, how));
		/* With the reset they are back. */
		ASSERT_EQ(0, request_at(n, self->tag, 2, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &req));
		EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(1, wait_answers(n, 1));
		EXPECT_EQ(CODE_SUCCESS, answer(n, 0, TESTDEV_REG_PRCODE));
		ASSERT_OK(reset(n, how));
	}
}

struct resetter {
	struct nest *n;
	int rounds;
	int rc;
};

static void *reset_often(void *data)
{
	struct resetter *r = data;
	int i;

	for (i = 0; i < r->rounds && !r->rc; i++)
		r->rc = reset(r->n, i % RESETS);
	return NULL;
}

/* Answers and resets at once: nothing hangs, and nothing of it stays */
TEST_F_TIMEOUT(requests, reset_race, SLOW)
{
	struct vfio_iommu_type1_info_cap_faults counts;
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	struct resetter r = { .n = n, .rounds = 4 };
	pthread_t thread;
	int i, rc;

	for (i = 0; i < 12; i++) {
		request_at(n, self->tag, 5, GUEST_VA);
		ASSERT_OK(pthread_create(&thread, NULL, reset_often, &r));
		/* What is there to be answered may be gone by then. */
		while (!read_now(self->fd, &req)) {
			rc = respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS);
			EXPECT_TRUE(!rc || rc == -ENOENT);
		}
		pthread_join(thread, NULL);
		ASSERT_OK(r.rc);
	}
	/* One that was on its way may have arrived after the last reset. */
	do {
		while (!read_now(self->fd, &req))
			respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS);
		ASSERT_OK(fault_counts(n->container, &counts));
	} while (counts.waiting);
	ASSERT_OK(reset(n, RESET_IOCTL));
	ASSERT_EQ(0, request_at(n, self->tag, 9, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_EQ(9, req.grpid);
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(1, wait_answers(n, 1));
}

/* Bind while the device is being reset: it works, or the answer is EBUSY */
TEST_F_TIMEOUT(requests, reset_bind, SLOW)
{
	struct nest *n = &self->n;
	struct resetter r = { .n = n, .rounds = 8 };
	struct iommu_uapi_page_request req;
	pthread_t thread;
	int rc;

	ASSERT_OK(unbind(n, variant->pasid));
	ASSERT_OK(pthread_create(&thread, NULL, reset_often, &r));
	while (pthread_tryjoin_np(thread, NULL)) {
		rc = bind_requests(n, variant->pasid, self->pt.root);
		if (rc) {
			EXPECT_EQ(-EBUSY, rc);
			continue;
		}
		EXPECT_ERR(EEXIST, bind_requests(n, variant->pasid,
						 self->pt.root));
		EXPECT_OK(unbind(n, variant->pasid));
	}
	ASSERT_OK(r.rc);

	ASSERT_OK(bind_requests(n, variant->pasid, self->pt.root));
	EXPECT_ERR(EEXIST, bind_requests(n, variant->pasid, self->pt.root));
	ASSERT_EQ(0, request_at(n, self->tag, 9, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(1, wait_answers(n, 1));
}

/* ---- what can be requested ---- */

/* Tables of five levels: addresses that are judged by the table's width */
TEST_F_TIMEOUT(requests, five_levels, SLOW)
{
	static const struct {
		__u64 va;
		int wide, narrow;
	} cases[] = {
		{ 1ULL << 46, 1, 1 },
		{ 1ULL << 47, 1, 0 },
		{ 1ULL << 50, 1, 0 },
		{ (1ULL << 56) - PGT_4K, 1, 0 },
		{ 1ULL << 56, 0, 0 },
		{ 0xff00000000000000, 1, 0 },
		{ -PGT_4K, 1, 1 },
	};
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	struct bind_arg arg;
	__u32 answers = 0;
	unsigned int i;
	int width;

	if (n->caps.addr_width < 57)
		SKIP(return, "no tables of five levels");
	for (width = 48; width <= 57; width += 9) {
		bind_init(&arg, n, variant->pasid, self->pt.root);
		arg.data.addr_width = width;
		arg.data.flags = IOMMU_UAPI_BIND_PAGE_REQUEST |
				 IOMMU_UAPI_BIND_REPLACE;
		ASSERT_OK(do_bind(n, &arg));
		for (i = 0; i < ARRAY_LEN(cases); i++) {
			int good = cases[i].narrow;

			if (width == 57)
				good = cases[i].wide;
			ASSERT_EQ(0, request_at(n, self->tag, i, cases[i].va));
			if (good) {
				ASSERT_OK(read_one(self->fd, &req));
				EXPECT_EQ(cases[i].va, req.addr);
				EXPECT_OK(respond(self->fd, &req,
						  IOMMU_UAPI_RESP_SUCCESS));
			}
			answers++;
			EXPECT_EQ(answers, wait_answers(n, answers));
			EXPECT_EQ(good ? CODE_SUCCESS : CODE_INVALID,
				  answer(n, answers - 1, TESTDEV_REG_PRCODE))
				TH_LOG("%d bits, 0x%llx", width, cases[i].va);
		}
	}
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
}

/* Privileged ones are for tables that were bound for them. */
TEST_F_TIMEOUT(requests, privileged, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	struct bind_arg arg;
	__u32 answers = 0;
	int sre;

	/* Without a PASID, nothing can say that it is privileged. */
	if (!variant->pasid)
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PASID_PRIV))
		SKIP(return, "no privileged requests with a PASID");
	for (sre = 0; sre < 2; sre++) {
		bind_init(&arg, n, variant->pasid, self->pt.root);
		arg.data.flags = IOMMU_UAPI_BIND_PAGE_REQUEST |
				 IOMMU_UAPI_BIND_REPLACE;
		arg.data.vtd.flags = sre ? IOMMU_UAPI_VTD_SRE : 0;
		ASSERT_OK(do_bind(n, &arg));
		ASSERT_EQ(0, request_at(n, self->tag | TESTDEV_PRIV, 1, GUEST_VA));
		if (sre) {
			ASSERT_OK(read_one(self->fd, &req));
			EXPECT_EQ(IOMMU_UAPI_PERM_READ | IOMMU_UAPI_PERM_PRIV,
				  req.perm);
			EXPECT_EQ(variant->pasid, req.pasid);
			EXPECT_OK(respond(self->fd, &req,
					  IOMMU_UAPI_RESP_SUCCESS));
		}
		answers++;
		EXPECT_EQ(answers, wait_answers(n, answers));
		EXPECT_EQ(sre ? CODE_SUCCESS : CODE_INVALID,
			  answer(n, answers - 1, TESTDEV_REG_PRCODE));
		/* Others are served either way. */
		ASSERT_EQ(0, request_at(n, self->tag, 2, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &req));
		EXPECT_EQ(IOMMU_UAPI_PERM_READ, req.perm);
		EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
		answers++;
		EXPECT_EQ(answers, wait_answers(n, answers));
	}
}

/* VT-d can't give what they ask for, so nobody is asked. */
TEST_F_TIMEOUT(requests, execute, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;

	if (!variant->pasid)
		return;
	EXPECT_EQ(0, n->caps.features & IOMMU_UAPI_FEAT_PASID_EXEC);
	start(n, TESTDEV_CMD_ATS_READ, self->tag | TESTDEV_EXEC, 1, 0, GUEST_VA);
	EXPECT_EQ(TESTDEV_INVALID, wait_result(n));
	EXPECT_EQ(1, nr_answers(n));
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
}

/* PASID 0 as a number is not the requests without PASID, and nobody's. */
TEST_F_TIMEOUT(requests, explicit_zero, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	__u64 got;

	if (variant->pasid)
		ASSERT_OK(bind_requests(n, 0, self->pt.root));
	pgt_map(&self->pt, GUEST_VA, self->page, PGT_4K, PGT_RW);
	EXPECT_OK(dma_works(n, 0, GUEST_VA, self->page));
	ASSERT_EQ(0, request_at(n, TESTDEV_PASID(0), 1, GUEST_VA + PGT_4K));
	EXPECT_EQ(1, wait_answers(n, 1));
	EXPECT_EQ(CODE_INVALID, answer(n, 0, TESTDEV_REG_PRCODE));
	EXPECT_EQ(1u << 31 | 1, answer(n, 0, TESTDEV_REG_PRGRP));
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
	/* The others are as they were. */
	EXPECT_OK(dma_read(n, 0, GUEST_VA, &got));
	ASSERT_EQ(0, request_at(n, self->tag, 2, GUEST_VA + PGT_4K));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(2, wait_answers(n, 2));
	EXPECT_EQ(CODE_SUCCESS, answer(n, 1, TESTDEV_REG_PRCODE));
}

/* ---- time limits ---- */

/* Each container has its own; what has none waits, whatever the others do */
TEST_F_TIMEOUT(requests, limit_per_container, SLOW)
{
	struct vfio_iommu_type1_info_cap_faults counts;
	struct iommu_uapi_page_request req, theirs;
	struct nest *n = &self->n, other;
	struct pgt pt;
	__u64 page;
	int rc, fd;

	rc = nest_open(&other, 2, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc == -ENODEV)
		SKIP(return, "needs a third device");
	ASSERT_OK(rc);
	ASSERT_OK(open_requester(&other, &pt, &page));
	fd = fault_fd_flags(other.container, VFIO_FAULT_FD_TIMEOUT,
			    IOMMU_UAPI_VERSION, 50);
	ASSERT_LE(0, fd);
	ASSERT_OK(bind_requests(&other, variant->pasid, pt.root));

	/* The clock is stopped here, and stopped again after a while. */
	ASSERT_EQ(0, request_at(n, self->tag, 1, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_OK(fault_limit(n->container, 3600000));
	EXPECT_OK(fault_limit(n->container, 0));
	ASSERT_EQ(0, request_at(&other, self->tag, 1, GUEST_VA));
	EXPECT_EQ(1, wait_answers(&other, 1));
	EXPECT_EQ(CODE_INVALID, answer(&other, 0, TESTDEV_REG_PRCODE));
	ASSERT_OK(fault_counts(other.container, &counts));
	EXPECT_EQ(1, counts.timeouts);
	EXPECT_EQ(0, counts.waiting);
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(0, counts.timeouts);
	EXPECT_EQ(1, counts.waiting);
	EXPECT_EQ(0, nr_answers(n));
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(1, wait_answers(n, 1));
	EXPECT_EQ(CODE_SUCCESS, answer(n, 0, TESTDEV_REG_PRCODE));

	/* From limited to not: what comes now waits for its answer. */
	EXPECT_OK(fault_limit(other.container, 0));
	ASSERT_EQ(0, request_at(&other, self->tag, 2, GUEST_VA));
	ASSERT_OK(read_one(fd, &theirs));
	/* And back: the clock starts for what waits already. */
	EXPECT_OK(fault_limit(other.container, 50));
	EXPECT_EQ(2, wait_answers(&other, 2));
	EXPECT_ERR(ETIME, respond(fd, &theirs, IOMMU_UAPI_RESP_SUCCESS));
	close(fd);
	nest_close(&other);
}

/*
 * Each page request has its own time, and a look at the first one must not be the last.
 * Only how long something takes at least can be told.
 */
TEST_F_TIMEOUT(requests, limit_each, SLOW)
{
	struct vfio_iommu_type1_info_cap_faults counts;
	struct nest *n = &self->n;

	ASSERT_OK(fault_limit(n->container, 1000));
	ASSERT_EQ(0, request_at(n, self->tag, 1, GUEST_VA));
	usleep(500000);
	ASSERT_EQ(0, request_at(n, self->tag, 2, GUEST_VA));
	EXPECT_EQ(2, wait_answers(n, 2));
	EXPECT_EQ(CODE_INVALID, answer(n, 1, TESTDEV_REG_PRCODE));
	ASSERT_OK(fault_counts(n->container, &counts));
	EXPECT_EQ(2, counts.timeouts);
	EXPECT_EQ(0, counts.waiting);
}

/* A shorter limit holds for what comes next, though a longer one has begun to run. */
TEST_F_TIMEOUT(requests, limit_shorter, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;

	ASSERT_OK(fault_limit(n->container, 3600000));
	ASSERT_EQ(0, request_at(n, self->tag, 1, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &req));
	ASSERT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	ASSERT_EQ(1, wait_answers(n, 1));
	ASSERT_OK(fault_limit(n->container, 50));
	ASSERT_EQ(0, request_at(n, self->tag, 2, GUEST_VA));
	ASSERT_EQ(2, wait_answers(n, 2));
	EXPECT_EQ(CODE_INVALID, answer(n, 1, TESTDEV_REG_PRCODE));
}

/* Late when the device was reset: then there is nothing more to tell. */
TEST_F_TIMEOUT(requests, reset_late, SLOW)
{
	struct iommu_uapi_page_request late;
	struct nest *n = &self->n;

	ASSERT_EQ(0, request_at(n, self->tag, 1, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &late));
	ASSERT_OK(fault_limit(n->container, 50));
	ASSERT_EQ(1, wait_answers(n, 1));
	ASSERT_OK(reset(n, RESET_IOCTL));
	EXPECT_ERR(ENOENT, respond(self->fd, &late, IOMMU_UAPI_RESP_SUCCESS));
}

/* The argument */
TEST_F_TIMEOUT(requests, limit_bad, SLOW)
{
	const __u32 time = VFIO_FAULT_FD_TIMEOUT, keep = VFIO_FAULT_FD_KEEP,
		    dma = VFIO_FAULT_FD_DMA_FAULTS;
	int c = self->n.container;

	EXPECT_ERR(EEXIST, fault_fd(c, IOMMU_UAPI_VERSION));
	EXPECT_ERR(EEXIST, fault_fd_flags(c, time, IOMMU_UAPI_VERSION, 100));
	EXPECT_ERR(EINVAL, fault_fd_flags(c, 0, IOMMU_UAPI_VERSION, 1));
	EXPECT_ERR(EINVAL, fault_fd_flags(c, keep, 0, 0));
	EXPECT_ERR(EINVAL, fault_fd_flags(c, keep, 0, 1));
	EXPECT_ERR(EINVAL, fault_fd_flags(c, keep | time, IOMMU_UAPI_VERSION, 1));
	EXPECT_ERR(EINVAL, fault_fd_flags(c, keep | time | dma, 0, 1));
	EXPECT_ERR(EOPNOTSUPP, fault_fd_flags(c, keep | time | 8, 0, 1));
	EXPECT_OK(fault_limit(c, 1));
	EXPECT_OK(fault_limit(c, 0));
	EXPECT_OK(fault_limit(c, ~0u));
	EXPECT_ERR(EINVAL, fault_fd_flags(c, time, 0, 100));
	EXPECT_ERR(EOPNOTSUPP, fault_fd_flags(c, time, IOMMU_UAPI_VERSION + 1,
					      100));
	/* Without a file there is nothing to keep. */
	close(self->fd);
	EXPECT_ERR(ENOENT, fault_limit(c, 1));
}

/* A bound of the administrator's, for new limits */
TEST_F_TIMEOUT(requests, limit_bound, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	unsigned int ms, max;

	ASSERT_OK(read_uint(PAGE_RESPONSE_MS, &ms));
	ASSERT_OK(read_uint(PAGE_RESPONSE_MAX_MS, &max));
	EXPECT_EQ(10000, ms);
	EXPECT_EQ(0, max);
	ASSERT_OK(write_uint(PAGE_RESPONSE_MAX_MS, 5000));
	EXPECT_ERR(EDQUOT, fault_limit(n->container, 5001));
	EXPECT_ERR(EDQUOT, fault_limit(n->container, 0));
	EXPECT_ERR(EDQUOT, fault_limit(n->container, ~0u));
	EXPECT_OK(fault_limit(n->container, 5000));
	EXPECT_OK(fault_limit(n->container, 1));
	close(self->fd);
	EXPECT_ERR(EDQUOT, fault_fd_flags(n->container, VFIO_FAULT_FD_TIMEOUT,
					  IOMMU_UAPI_VERSION, 0));
	EXPECT_ERR(EDQUOT, fault_fd_flags(n->container, VFIO_FAULT_FD_TIMEOUT,
					  IOMMU_UAPI_VERSION, 5001));
	self->fd = fault_fd_flags(n->container, VFIO_FAULT_FD_TIMEOUT,
				  IOMMU_UAPI_VERSION, 5000);
	EXPECT_LE(0, self->fd);
	close(self->fd);
	ASSERT_OK(write_uint(PAGE_RESPONSE_MAX_MS, max));

	/* What a file starts with */
	ASSERT_OK(write_uint(PAGE_RESPONSE_MS, 50));
	self->fd = fault_fd(n->container, IOMMU_UAPI_VERSION);
	ASSERT_OK(write_uint(PAGE_RESPONSE_MS, ms));
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, request_at(n, self->tag, 1, GUEST_VA));
	EXPECT_EQ(1, wait_answers(n, 1));
	EXPECT_EQ(CODE_INVALID, answer(n, 0, TESTDEV_REG_PRCODE));
	ASSERT_OK(fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
}

/* ---- one file after another ---- */

/* Nothing of the file before waits, and nothing that it gave out is known */
TEST_F_TIMEOUT(requests, reopen, SLOW)
{
	struct iommu_uapi_page_request old, req;
	struct nest *n = &self->n;
	__u32 answers = 0;
	int i;

	for (i = 0; i < 4; i++) {
		/* One that was read, and one that was not */
		ASSERT_EQ(0, request_at(n, self->tag, 1, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &old));
		ASSERT_EQ(0, request_at(n, self->tag, 2, GUEST_VA));
		ASSERT_EQ(2, wait_waiting(n->container, 2));
		close(self->fd);
		answers += 2;
		EXPECT_EQ(answers, wait_answers(n, answers));
		EXPECT_EQ(CODE_INVALID, answer(n, answers - 1, TESTDEV_REG_PRCODE));
		/* While there is none */
		ASSERT_EQ(0, request_at(n, self->tag, 3, GUEST_VA));
		answers++;
		EXPECT_EQ(answers, wait_answers(n, answers));
		EXPECT_EQ(CODE_INVALID, answer(n, answers - 1, TESTDEV_REG_PRCODE));

		self->fd = fault_fd_unlimited(n->container, 0);
		ASSERT_LE(0, self->fd);
		EXPECT_ERR(EEXIST, fault_fd(n->container, IOMMU_UAPI_VERSION));
		EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
		EXPECT_ERR(ENOENT, respond(self->fd, &old, IOMMU_UAPI_RESP_SUCCESS));
		/* The bind of before is good for it. */
		ASSERT_EQ(0, request_at(n, self->tag, 1, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &req));
		EXPECT_NE(old.cookie, req.cookie);
		EXPECT_ERR(ENOENT, respond(self->fd, &old, IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
		answers++;
		EXPECT_EQ(answers, wait_answers(n, answers));
		EXPECT_EQ(CODE_SUCCESS, answer(n, answers - 1, TESTDEV_REG_PRCODE));
	}
}

/* ---- replaces ---- */

/* As replace_table(), and go on with page requests */
static int replace_requests(const struct nest *n, __u32 pasid, __u64 root,
			    __u64 flags)
{
	struct bind_arg arg;

	bind_init(&arg, n, pasid, root);
	arg.data.flags = IOMMU_UAPI_BIND_REPLACE |
			 IOMMU_UAPI_BIND_PAGE_REQUEST | flags;
	return do_bind(n, &arg);
}

/* Read before the replace or after it: answered with its cookie, it goes on */
TEST_F_TIMEOUT(requests, replace, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	struct pgt pt;
	__u64 got = 0;
	int early;

	ASSERT_OK(pgt_init(&pt, &n->mem));
	for (early = 0; early < 2; early++) {
		__u64 va = GUEST_VA + early * PGT_4K;

		mem_set(gmem_ptr(&n->mem, self->page), 0x1000 + early);
		ASSERT_EQ(TESTDEV_PENDING, start(n, TESTDEV_CMD_ATS_READ,
						 self->tag, 7, 0, va));
		ASSERT_EQ(1, wait_waiting(n->container, 1));
		if (early)
			ASSERT_OK(read_now(self->fd, &req));
		ASSERT_OK(replace_requests(n, variant->pasid, pt.root, 0));
		EXPECT_EQ(TESTDEV_PENDING,
			  testdev_get32(&n->td, TESTDEV_REG_RESULT));
		EXPECT_EQ(early, nr_answers(n));
		if (!early)
			ASSERT_OK(read_now(self->fd, &req));
		EXPECT_EQ(va, req.addr);
		/* Only the new table has the page. */
		ASSERT_OK(pgt_map(&pt, va, self->page, PGT_4K, PGT_RW));
		ASSERT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(TESTDEV_DONE, wait_result(n));
		testdev_get(&n->td, TESTDEV_REG_BUF, &got, sizeof(got));
		EXPECT_EQ(0x1000 + early, got);
		/* Answered once */
		EXPECT_ERR(ENOENT, respond(self->fd, &req,
					   IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(early + 1, nr_answers(n));
	}
}

/* The new binding takes no page requests, or there is none: what waits ends */
TEST_F_TIMEOUT(requests, replace_ends, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	struct pgt pt;
	int how, rc;

	ASSERT_OK(pgt_init(&pt, &n->mem));
	for (how = 0; how < 3; how++) {
		ASSERT_EQ(0, request_at(n, self->tag, 5, GUEST_VA));
		ASSERT_OK(read_one(self->fd, &req));
		if (how == 0)
			rc = replace_table(n, variant->pasid, pt.root);
		else if (how == 1)
			rc = bind_second_level(n, variant->pasid,
					       IOMMU_UAPI_BIND_REPLACE);
		else
			rc = replace_requests(n, variant->pasid, pt.root,
					      1ULL << 40);
		EXPECT_EQ(how == 2 ? -EOPNOTSUPP : 0, rc);
		EXPECT_EQ(how + 1, wait_answers(n, how + 1));
		EXPECT_EQ(CODE_INVALID, answer(n, how, TESTDEV_REG_PRCODE));
		EXPECT_ERR(ENOENT, respond(self->fd, &req,
					   IOMMU_UAPI_RESP_SUCCESS));
		EXPECT_EQ(how == 2 ? -ENOENT : 0, unbind(n, variant->pasid));
		ASSERT_OK(bind_requests(n, variant->pasid, self->pt.root));
	}
	/* And from none to some */
	ASSERT_OK(replace_table(n, variant->pasid, pt.root));
	ASSERT_OK(replace_requests(n, variant->pasid, pt.root, 0));
	ASSERT_EQ(0, request_at(n, self->tag, 6, GUEST_VA));
	ASSERT_OK(read_one(self->fd, &req));
	EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
	EXPECT_EQ(4, wait_answers(n, 4));
	EXPECT_EQ(CODE_SUCCESS, answer(n, 3, TESTDEV_REG_PRCODE));
}

/* ---- DMA faults beside page requests ---- */

/* Among page requests, each record whole, and none takes an answer */
TEST_F_TIMEOUT(requests, among_dma_faults, SLOW)
{
	struct iommu_uapi_page_request req[4];
	struct nest *n = &self->n;
	int nr = 0, faults = 0, requests = 0, i, len;

	close(self->fd);
	self->fd = fault_fd_unlimited(n->container, VFIO_FAULT_FD_DMA_FAULTS);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, request_at(n, self->tag, 4, GUEST_VA));
	EXPECT_EQ(TESTDEV_FAULT, testdev_command(&n->td, TESTDEV_CMD_READ,
						 self->tag, GUEST_VA, 8));
	while (nr < 2) {
		ASSERT_OK(wait_readable(self->fd));
		len = read(self->fd, req, sizeof(req));
		ASSERT_LT(0, len);
		for (i = 0; i < len / (int)sizeof(req[0]); i++, nr++) {
			EXPECT_EQ(GUEST_VA, req[i].addr);
			EXPECT_EQ(n->group_id, req[i].group_id);
			if (req[i].flags & IOMMU_UAPI_REQ_DMA_FAULT) {
				faults++;
				/* Nothing to answer: its last field is no cookie. */
				EXPECT_ERR(ENOENT,
					   respond(self->fd, &req[i],
						   IOMMU_UAPI_RESP_SUCCESS));
			} else {
				requests++;
				EXPECT_OK(respond(self->fd, &req[i],
						  IOMMU_UAPI_RESP_SUCCESS));
			}
		}
	}
	EXPECT_EQ(1, faults);
	EXPECT_EQ(1, requests);
	EXPECT_EQ(1, wait_answers(n, 1));
}

TEST_HARNESS_MAIN
