// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of page requests when nobody answers them, or when the binding, the file,
 * the container, the process or the device goes.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "page_request.h"

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

struct waiting_reader {
	int fd;
	void *buf;
	int rc;
};

static void *read_into(void *data)
{
	struct waiting_reader *reader = data;

	reader->rc = read(reader->fd, reader->buf,
			  sizeof(struct iommu_uapi_page_request));
	if (reader->rc < 0)
		reader->rc = -errno;
	return NULL;
}

/*
 * A reader that waits for its own memory holds up nobody: other groups are read and
 * answered, its own is answered, and the binding goes. A group that has been answered
 * is not given again if the copy fails.
 */
TEST_F(page_request, reader_waits)
{
	struct nest *n = &self->r.n;
	struct iommu_uapi_page_request req;
	struct iommu_uapi_page_response resp;
	struct waiting_reader reader = { .fd = self->fd };
	struct guarded g;
	pthread_t thread;
	int fails;

	if (!guard_supported())
		SKIP(return, "needs userfaultfd");
	ASSERT_OK(guard_open(&g));
	reader.buf = g.page;
	for (fails = 0; fails < 2; fails++) {
		ASSERT_OK(guard(&g, true));
		ASSERT_EQ(0, request(n, self->tag, 1));
		ASSERT_EQ(1, wait_waiting(n->container, 1));
		ASSERT_OK(pthread_create(&thread, NULL, read_into, &reader));
		ASSERT_OK(guard_wait(&g));

		EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
		ASSERT_EQ(0, request(n, self->tag, 2));
		ASSERT_OK(read_one(self->fd, &req));
		EXPECT_EQ(2, req.grpid);
		EXPECT_OK(respond(self->fd, &req, IOMMU_UAPI_RESP_SUCCESS));
		respond_to(&resp, &req, IOMMU_UAPI_RESP_SUCCESS);
		resp.flags &= ~IOMMU_UAPI_RESP_COOKIE_VAL;
		resp.cookie = 0;
		resp.grpid = 1;
		EXPECT_EQ(sizeof(resp), write_resp(self->fd, &resp, sizeof(resp)));
		EXPECT_EQ(2 + 2 * fails, wait_answers(n, 2 + 2 * fails));
		EXPECT_OK(unbind(n, self->r.pasid));

		if (fails)
			ASSERT_OK(mprotect(g.page, PGT_4K, PROT_READ));
		ASSERT_OK(guard(&g, false));
		pthread_join(thread, NULL);
		EXPECT_EQ(fails ? -EFAULT : (int)sizeof(req), reader.rc);
		EXPECT_EQ(1, ((struct iommu_uapi_page_request *)g.page)->grpid);
		EXPECT_ERR(EAGAIN, read_now(self->fd, &req));
		ASSERT_OK(bind_requests(n, self->r.pasid, self->r.pt.root));
	}
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

TEST_HARNESS_MAIN
