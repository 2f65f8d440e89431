// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation of a call fails once. Programs with fixtures of their own have a test
 * of that name, too.
 */
#include "nesting.h"
#include "page_request.h"

/* R32: whichever step fails, all is as it was */
TEST_F_TIMEOUT(nesting, fail_nth, SLOW)
{
	struct nest *n = &self->n;
	int fd = fail_nth_open("thread-self");
	int call, nth, rc, left, used, failed;
	struct iommu_uapi_caps needs = needs_host_pasid(&n->caps);
	struct negotiate_arg ask;
	struct bind_arg arg;
	__u32 pasid;

	if (fd < 0)
		SKIP(return, "the kernel can't inject faults");
	/* Where a bind that does not begin leaves it, and one that fails too */
	ASSERT_OK(unbind(n, 0));
	for (call = 0; call < 9; call++) {
		failed = 0;
		/* Unbound by call 3 */
		if (call == 7)
			ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
		for (nth = 1; nth < 400; nth++) {
			ASSERT_OK(fail_nth_arm(fd, nth));
			pasid = 0;
			switch (call) {
			case 0:
				rc = pasid_alloc(n->container, 1, pasid_last(n),
						 &pasid);
				break;
			case 1:
				rc = bind_table(n, self->pasid, self->pt.root);
				break;
			case 2:
				rc = invalidate_pasid(n, self->pasid);
				break;
			case 3:
				rc = unbind(n, self->pasid);
				break;
			case 4:
				rc = bind_table(n, 0, self->pt.root);
				break;
			case 5:
				rc = nest_info(n->container, NULL, NULL, NULL);
				break;
			case 6:
				/* Not allocated, in another page of the table */
				rc = bind_table(n, 700, self->pt.root);
				break;
			case 7:
				bind_init(&arg, n, self->pasid, self->pt.root);
				arg.data.flags = IOMMU_UAPI_BIND_REPLACE;
				rc = do_bind(n, &arg);
				break;
			default:
				negotiate_init(&ask, &needs, 0);
				ask.head.nr_pasids = 1;
				rc = negotiate(n, &ask);
			}
			left = fail_nth_left(fd);
			if (left)
				break;
			if (!rc) {
				/* A failure that it could do without */
				if (call == 0)
					EXPECT_OK(pasid_free(n->container, pasid,
							     pasid));
				if (call == 1)
					EXPECT_OK(unbind(n, self->pasid));
				if (call == 4)
					EXPECT_OK(unbind(n, 0));
				if (call == 6)
					EXPECT_OK(unbind(n, 700));
				if (call == 3)
					EXPECT_OK(bind_table(n, self->pasid,
							     self->pt.root));
				continue;
			}
			failed++;
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT ||
				    rc == -ENOSPC)
				TH_LOG("call %d, step %d: %d", call, nth, rc);
			used = nest_used(n->container);
			EXPECT_EQ(1, used);
			if (call == 1) {
				EXPECT_ERR(ENOENT, unbind(n, self->pasid));
				EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
			} else if (call == 2 || (call == 3 && rc == -EFAULT)) {
				EXPECT_OK(dma_works(n, self->pasid, GUEST_VA,
						    self->page[0]));
			} else if (call == 4) {
				EXPECT_ERR(ENOENT, unbind(n, 0));
			} else if (call == 6) {
				EXPECT_ERR(ENOENT, unbind(n, 700));
				EXPECT_TRUE(dma_faults(n, 700, GUEST_VA));
			} else if (call == 7) {
				/* It allocates nothing: it could not be read. */
				EXPECT_EQ(-EFAULT, rc);
				EXPECT_OK(dma_works(n, self->pasid, GUEST_VA,
						    self->page[0]));
			}
		}
		TH_LOG("call %d: %d steps, %d failed", call, nth - 1, failed);
		/* These allocate, so a sweep without a failure tested nothing. */
		if (call == 0 || call == 1 || call == 4 || call == 5 || call == 6)
			EXPECT_LT(0, failed);
		EXPECT_EQ(0, rc);
		if (call == 0)
			EXPECT_OK(pasid_free(n->container, pasid, pasid));
		if (call == 4 && !rc)
			EXPECT_OK(unbind(n, 0));
		if (call == 4)
			expect_clean(_metadata, self);
		if (call == 6)
			EXPECT_OK(unbind(n, 700));
	}
	close(fd);
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
