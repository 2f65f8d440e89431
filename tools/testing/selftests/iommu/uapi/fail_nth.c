// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation of a call fails once.
 */
#include "nesting.h"

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
					pasid_free(n->container, pasid, pasid);
				if (call == 1)
					unbind(n, self->pasid);
				if (call == 4)
					unbind(n, 0);
				if (call == 6)
					unbind(n, 700);
				if (call == 3)
					bind_table(n, self->pasid,
						   self->pt.root);
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

TEST_HARNESS_MAIN
