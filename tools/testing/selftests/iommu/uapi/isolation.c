// SPDX-License-Identifier: GPL-2.0
/*
 * What a device, a container or a process can do to others: devices that don't
 * answer invalidations, resets under load, and failures of one of two devices that
 * share a second level.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "device.h"
#include "harness.h"

#define PASID		3
/* Where the tests map and unmap a page */
#define SPARE		(GUEST_BASE + 0x10000000)

/* ---- a device that does not answer ---- */

FIXTURE(silent)
{
	struct nest n;
	struct nest other;
	struct pgt pt;
	__u64 page[2];
	__u32 tag;
	__u32 lost;
};

FIXTURE_VARIANT(silent)
{
	__u32 pasid;
};

FIXTURE_VARIANT_ADD(silent, no_pasid)
{
	.pasid = 0,
};

FIXTURE_VARIANT_ADD(silent, pasid)
{
	.pasid = PASID,
};

FIXTURE_SETUP(silent)
{
	struct nest *n = &self->n;
	int rc, i;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!device_caches(n))
		SKIP(return, "the second device keeps no translations");
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	rc = guest_device(&self->other, n, 2);
	if (rc == -ENODEV)
		SKIP(return, "needs a third device");
	ASSERT_OK(rc);
	n->td.ats = 1;
	self->other.td.ats = device_caches(&self->other);
	self->tag = pasid_tag(variant->pasid);
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	for (i = 0; i < 2; i++) {
		self->page[i] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
		mem_set(gmem_ptr(&n->mem, self->page[i]), 0x11 + i);
	}
	pgt_map(&self->pt, GUEST_VA, self->page[0], PGT_4K, PGT_RW);
	ASSERT_OK(bind_table(n, variant->pasid, self->pt.root));
	ASSERT_OK(bind_table(&self->other, variant->pasid, self->pt.root));
	self->lost = testdev_get32(&n->td, TESTDEV_REG_INVLOST);
}

FIXTURE_TEARDOWN(silent)
{
}

static int invalidate_group(struct nest *n, __u32 pasid)
{
	static struct inv_arg inv;

	inv_init(&inv, 1);
	inv_pasid(&inv.entry[0], n, pasid);
	inv.entry[0].pasid_info.flags |= IOMMU_UAPI_INV_PASID_GROUP;
	inv.entry[0].pasid_info.archid = n->group_id;
	return do_inv(n, &inv);
}

/* One array, with an entry for each of two groups */
static int invalidate_both(struct nest *one, struct nest *two, __u32 pasid,
			   __u32 *handled)
{
	struct nest *n[] = { one, two };
	static struct inv_arg inv;
	int i, rc;

	inv_init(&inv, 2);
	for (i = 0; i < 2; i++) {
		inv_pasid(&inv.entry[i], n[i], pasid);
		inv.entry[i].pasid_info.flags |= IOMMU_UAPI_INV_PASID_GROUP;
		inv.entry[i].pasid_info.archid = n[i]->group_id;
	}
	rc = do_inv(one, &inv);
	*handled = inv.head.handled;
	return rc;
}

/* Take the group out of the container, and put it in again, with nothing bound. */
static int rejoin(struct nest *n)
{
	int rc = group_leave(n);

	if (!rc)
		rc = xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container);
	return rc ? rc : nest_device(n);
}

static int reads(struct nest *n, __u32 pasid, __u64 expected)
{
	__u64 got = 0;
	int rc = dma_read(n, pasid, GUEST_VA, &got);

	return rc ? rc : got == expected ? 0 : -EILSEQ;
}

static __u32 times_lost(struct _test_data_silent *self)
{
	return testdev_get32(&self->n.td, TESTDEV_REG_INVLOST) - self->lost;
}

/* R35: EIO, and the device can no longer use what it has cached. */
TEST_F_TIMEOUT(silent, invalidate, SLOW)
{
	struct nest *n = &self->n, *other = &self->other;
	__u32 pasid = variant->pasid, lost, handled;
	int i;

	ASSERT_OK(reads(n, pasid, 0x11));
	ASSERT_OK(reads(other, pasid, 0x11));
	ASSERT_OK(testdev_silence(&n->td, 1));
	pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
	/* Both still have the old page cached. */
	ASSERT_OK(reads(n, pasid, 0x11));
	ASSERT_OK(reads(other, pasid, 0x11));

	EXPECT_ERR(EIO, invalidate_group(n, pasid));
	lost = times_lost(self);
	EXPECT_LT(0, lost);
	EXPECT_GT(10, lost);
	EXPECT_EQ(TESTDEV_FAULT, reads(n, pasid, 0x11));
	EXPECT_OK(invalidate_group(other, pasid));
	EXPECT_OK(reads(other, pasid, 0x12));

	/* An array ends there. */
	EXPECT_ERR(EIO, invalidate_both(n, other, pasid, &handled));
	EXPECT_EQ(0, handled);
	EXPECT_ERR(EIO, invalidate_both(other, n, pasid, &handled));
	EXPECT_EQ(1, handled);

	/* No further invalidation is sent to it, and no call hangs. */
	for (i = 0; i < 10; i++)
		EXPECT_ERR(EIO, invalidate_group(n, pasid));
	EXPECT_ERR(EIO, invalidate_pasid(n, pasid));
	EXPECT_OK(unbind(n, pasid));
	EXPECT_OK(bind_table(n, pasid, self->pt.root));
	EXPECT_EQ(lost, times_lost(self));
	EXPECT_EQ(TESTDEV_FAULT, reads(n, pasid, 0x12));

	/* A reset makes it answer again, and unblocks it. */
	ASSERT_OK(xioctl_num(n->td.fd, VFIO_DEVICE_RESET, 0));
	ASSERT_OK(testdev_master(&n->td, 1));
	EXPECT_OK(reads(n, pasid, 0x12));
	pgt_map(&self->pt, GUEST_VA, self->page[0], PGT_4K, PGT_RW);
	EXPECT_OK(invalidate_pasid(n, pasid));
	EXPECT_OK(reads(n, pasid, 0x11));
	EXPECT_OK(reads(other, pasid, 0x11));
	EXPECT_EQ(lost, times_lost(self));
}

/* Memory can be unmapped although a device does not answer. */
TEST_F_TIMEOUT(silent, unmap, SLOW)
{
	struct nest *n = &self->n, *other = &self->other;
	__u32 pasid = variant->pasid;
	__u64 *spare;

	spare = mmap(NULL, PGT_4K, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(spare != MAP_FAILED);
	*spare = 0x33;
	ASSERT_OK(nest_map(n->container, spare, SPARE, PGT_4K,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	pgt_map(&self->pt, GUEST_VA, SPARE, PGT_4K, PGT_RW);
	ASSERT_OK(reads(n, pasid, 0x33));
	ASSERT_OK(reads(other, pasid, 0x33));

	ASSERT_OK(testdev_silence(&n->td, 1));
	EXPECT_OK(nest_unmap(n->container, SPARE, PGT_4K));
	*spare = 0x44;
	EXPECT_EQ(TESTDEV_FAULT, reads(n, pasid, 0x33));
	EXPECT_EQ(TESTDEV_FAULT, reads(other, pasid, 0x33));
	EXPECT_LT(0, times_lost(self));

	/* The other device still works. */
	pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
	EXPECT_OK(invalidate_group(other, pasid));
	EXPECT_OK(reads(other, pasid, 0x12));
}

/* A blocked device leaves the container, and joins it again. */
TEST_F_TIMEOUT(silent, leave, SLOW)
{
	struct nest *n = &self->n;
	__u32 pasid = variant->pasid;

	ASSERT_OK(reads(n, pasid, 0x11));
	ASSERT_OK(testdev_silence(&n->td, 1));
	EXPECT_OK(unbind(n, pasid));
	EXPECT_EQ(TESTDEV_FAULT, reads(n, pasid, 0x11));
	/* VFIO resets the device when it is closed. */
	ASSERT_OK(rejoin(n));
	EXPECT_OK(bind_table(n, pasid, self->pt.root));
	EXPECT_OK(reads(n, pasid, 0x11));
	pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
	EXPECT_OK(invalidate_pasid(n, pasid));
	EXPECT_OK(reads(n, pasid, 0x12));
}

/* ---- invalidations and a device that can't answer ---- */

struct flusher {
	pthread_t thread;
	struct nest *n;
	__u32 pasid;
	__u32 off;
	void *page;
	atomic_int stop;
	atomic_uint rounds;
	int rc;
};

/* Cause flushes of both levels. */
static void *flush(void *data)
{
	struct flusher *f = data;

	while (!f->stop && !f->rc) {
		f->rc = nest_map(f->n->container, f->page, SPARE, PGT_4K,
				 VFIO_DMA_MAP_FLAG_READ |
				 VFIO_DMA_MAP_FLAG_WRITE);
		/* Fails with ENOENT while nothing is bound. */
		if (!f->rc)
			invalidate_pasid(f->n, f->pasid);
		if (!f->rc)
			f->rc = nest_unmap(f->n->container, SPARE, PGT_4K);
		f->rounds++;
	}
	return NULL;
}

static int flush_start(struct flusher *f, struct nest *n, __u32 pasid)
{
	memset(f, 0, sizeof(*f));
	f->n = n;
	f->pasid = pasid;
	f->off = testdev_get32(&n->td, TESTDEV_REG_INVOFF);
	f->page = mmap(NULL, PGT_4K, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return f->page == MAP_FAILED ? -ENOMEM :
				       -pthread_create(&f->thread, NULL, flush, f);
}

/* -ETIME if an invalidation has reached the device while its ATS was off */
static int flush_stop(struct flusher *f)
{
	f->stop = 1;
	pthread_join(f->thread, NULL);
	if (!f->rc && testdev_get32(&f->n->td, TESTDEV_REG_INVOFF) != f->off)
		return -ETIME;
	return f->rc;
}

/* Wait until the other thread has done one more full round. */
static void flush_once(struct flusher *f)
{
	unsigned int rounds = f->rounds;

	while (f->rounds - rounds < 2 && !f->rc)
		sched_yield();
}

/* No invalidation reaches the device while its ATS is off. */
TEST_F_TIMEOUT(silent, reset_under_load, SLOW)
{
	struct nest *n = &self->n;
	struct flusher f;
	int i;

	ASSERT_OK(flush_start(&f, n, variant->pasid));
	for (i = 0; i < 20; i++) {
		ASSERT_OK(xioctl_num(n->td.fd, VFIO_DEVICE_RESET, 0));
		if (i % 4 == 3) {
			close(n->td.fd);
			flush_once(&f);
			ASSERT_OK(nest_device(n));
		}
		flush_once(&f);
	}
	EXPECT_OK(flush_stop(&f));
	EXPECT_EQ(0, times_lost(self));

	ASSERT_OK(testdev_master(&n->td, 1));
	ASSERT_OK(reads(n, variant->pasid, 0x11));
	pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
	EXPECT_OK(invalidate_pasid(n, variant->pasid));
	EXPECT_OK(reads(n, variant->pasid, 0x12));
}

/* Allow resets of the device, or none. */
static int allow_reset(struct nest *n, const char *methods)
{
	char path[PATH_MAX];

	testdev_sysfs(path, n->bdf, "reset_method");
	return testdev_sysfs_write(path, methods);
}

/*
 * VFIO wants to reset the device when it is closed, and that fails. The device misses
 * invalidations meanwhile, so it must not keep what it has cached.
 */
TEST_F_TIMEOUT(silent, reset_fails, SLOW)
{
	struct nest *n = &self->n;
	__u32 pasid = variant->pasid;

	ASSERT_OK(reads(n, pasid, 0x11));
	pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
	/* A write walks the table again, so the IOTLB has the new page. */
	n->td.ats = 0;
	ASSERT_OK(dma_write(n, pasid, GUEST_VA, 0x12));
	n->td.ats = 1;
	/* The device still has the old one. */
	ASSERT_OK(reads(n, pasid, 0x11));

	ASSERT_OK(allow_reset(n, "\n"));
	close(n->td.fd);
	EXPECT_OK(nest_device(n));
	EXPECT_OK(reads(n, pasid, 0x12));
	EXPECT_OK(allow_reset(n, "default"));
}

/* ATS stays on while the domain of requests without PASID changes. */
TEST_F_TIMEOUT(silent, rebind_under_load, SLOW)
{
	struct nest *n = &self->n;
	struct flusher f;
	int i;

	ASSERT_OK(flush_start(&f, n, variant->pasid));
	for (i = 0; i < 30; i++) {
		unbind(n, 0);
		ASSERT_OK(bind_second_level(n, 0, 0));
		ASSERT_OK(unbind(n, 0));
		ASSERT_OK(bind_table(n, 0, self->pt.root));
	}
	EXPECT_OK(flush_stop(&f));
	EXPECT_EQ(0, times_lost(self));
}

/* More cache tags than the driver flushes without letting interrupts in */
#define MANY		40

/* A flush reaches all of them, while some come and go, too. */
TEST_F_TIMEOUT(silent, many, SLOW)
{
	__u32 first = variant->pasid + 1, pasid;
	static struct inv_arg inv;
	struct nest *n = &self->n;
	struct flusher f;
	__u64 *spare;
	int i;

	if (n->caps.guest_pasid_bits < 6)
		SKIP(return, "too few PASIDs");
	spare = mmap(NULL, PGT_4K, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(spare != MAP_FAILED);
	*spare = 0x33;
	for (pasid = first; pasid < first + MANY; pasid++)
		ASSERT_OK(bind_table(n, pasid, self->pt.root));
	pgt_map(&self->pt, GUEST_VA, SPARE, PGT_4K, PGT_RW);
	ASSERT_OK(nest_map(n->container, spare, SPARE, PGT_4K,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	for (pasid = first; pasid < first + MANY; pasid++)
		ASSERT_OK(reads(n, pasid, 0x33));
	ASSERT_OK(nest_unmap(n->container, SPARE, PGT_4K));
	for (pasid = first; pasid < first + MANY; pasid++)
		EXPECT_EQ(TESTDEV_FAULT, reads(n, pasid, 0x33))
			TH_LOG("PASID %u", pasid);

	/* One entry for all of them, in each scope that it can have */
	for (i = 0; i < 3; i++) {
		pgt_map(&self->pt, GUEST_VA, self->page[i % 2], PGT_4K, PGT_RW);
		inv_init(&inv, 1);
		inv_domain(&inv.entry[0], n);
		if (i == 1) {
			inv.entry[0].pasid_info.flags |= IOMMU_UAPI_INV_PASID_GROUP;
			inv.entry[0].pasid_info.archid = n->group_id;
		}
		for (pasid = first; i && pasid < first + MANY; pasid++)
			ASSERT_OK(reads(n, pasid, 0x11 + (i + 1) % 2));
		EXPECT_OK(do_inv(n, &inv));
		EXPECT_EQ(1, inv.head.handled);
		for (pasid = first; pasid < first + MANY; pasid++)
			EXPECT_OK(reads(n, pasid, 0x11 + i % 2))
				TH_LOG("PASID %u, round %d", pasid, i);
	}

	ASSERT_OK(flush_start(&f, n, variant->pasid));
	for (i = 0; i < 4; i++) {
		for (pasid = first; pasid < first + MANY; pasid++)
			ASSERT_OK(unbind(n, pasid));
		flush_once(&f);
		for (pasid = first; pasid < first + MANY; pasid++)
			ASSERT_OK(bind_table(n, pasid, self->pt.root));
		flush_once(&f);
	}
	EXPECT_OK(flush_stop(&f));
}

/*
 * Two devices with the same PASID and the same table share what the IOMMU caches, until
 * one of them gets another table: then neither sees anything of the other's.
 */
TEST_F_TIMEOUT(silent, shared_table, SLOW)
{
	struct nest *n = &self->n, *other = &self->other;
	__u32 pasid = variant->pasid;
	struct pgt second;
	int i;

	/* Through the IOMMU, whatever the device has cached */
	n->td.ats = 0;
	other->td.ats = 0;
	ASSERT_OK(pgt_init(&second, &n->mem));
	pgt_map(&second, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
	ASSERT_OK(reads(n, pasid, 0x11));
	ASSERT_OK(reads(other, pasid, 0x11));

	for (i = 0; i < 3; i++) {
		EXPECT_OK(replace_table(n, pasid, second.root));
		EXPECT_OK(reads(n, pasid, 0x12));
		EXPECT_OK(reads(other, pasid, 0x11));
		EXPECT_OK(reads(n, pasid, 0x12));
		/* Nothing has been invalidated that the other device has cached. */
		pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
		EXPECT_OK(reads(other, pasid, 0x11));
		EXPECT_OK(invalidate_group(other, pasid));
		EXPECT_OK(reads(other, pasid, 0x12));
		pgt_map(&self->pt, GUEST_VA, self->page[0], PGT_4K, PGT_RW);
		EXPECT_OK(invalidate_group(other, pasid));
		EXPECT_OK(reads(other, pasid, 0x11));

		/* And back, by each way there is */
		if (i != 1)
			ASSERT_OK(unbind(n, pasid));
		EXPECT_OK(reads(other, pasid, 0x11));
		EXPECT_OK(i == 1 ? replace_table(n, pasid, self->pt.root) :
				   bind_table(n, pasid, self->pt.root));
		EXPECT_OK(reads(n, pasid, 0x11));
	}

	/* An invalidation for one of them reaches what both have cached. */
	pgt_map(&self->pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW);
	EXPECT_OK(reads(n, pasid, 0x11));
	EXPECT_OK(reads(other, pasid, 0x11));
	EXPECT_OK(invalidate_pasid(n, pasid));
	EXPECT_OK(reads(n, pasid, 0x12));
	EXPECT_OK(reads(other, pasid, 0x12));
}

/* Send page requests, and again whenever one is answered. */
static __u32 ask_on(struct nest *n, __u32 tag)
{
	return start(n, TESTDEV_CMD_REQUEST, tag,
		     ONE_REQUEST | TESTDEV_PRREQ_UNLIMITED | TESTDEV_PRREQ_AGAIN,
		     16, GUEST_VA);
}

static void ask_no_more(struct nest *n)
{
	__u32 prreq = 0;

	testdev_put(&n->td, TESTDEV_REG_PRREQ, &prreq, sizeof(prreq));
}

/*
 * An unbind ends although its device and another one never stop sending page
 * requests, so that the hardware's queue is never empty.
 */
TEST_F_TIMEOUT(silent, asks_on, SLOW)
{
	struct nest *n = &self->n, *other = &self->other;
	__u32 pasid = variant->pasid;
	int i, fd;

	if (!(n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	fd = fault_fd(n->container, n->version);
	ASSERT_LE(0, fd);
	ASSERT_EQ(TESTDEV_DONE, ask_on(n, self->tag));
	ASSERT_EQ(TESTDEV_DONE, ask_on(other, self->tag));
	for (i = 0; i < 20; i++) {
		wait_answers(n, nr_answers(n) + 64);
		ASSERT_OK(unbind(n, pasid));
		ASSERT_OK(bind_table(n, pasid, self->pt.root));
	}
	ask_no_more(n);
	ask_no_more(other);

	EXPECT_OK(reads(n, pasid, 0x11));
	EXPECT_OK(unbind(other, pasid));
	EXPECT_OK(bind_table(other, pasid, self->pt.root));
	EXPECT_OK(reads(other, pasid, 0x11));
	close(fd);
}

/* ---- two devices that share a second level ---- */

/* Does an unmap invalidate what is cached of the second level for @n? */
static int unmap_is_seen(struct nest *n, __u64 *spare)
{
	__u64 got = 0;
	int rc;

	*spare = 0x55;
	rc = nest_map(n->container, spare, SPARE, PGT_4K,
		      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	if (rc)
		return rc;
	rc = dma_read(n, 0, SPARE, &got);
	if (rc || got != 0x55)
		return rc ? rc : -EILSEQ;
	rc = nest_unmap(n->container, SPARE, PGT_4K);
	if (rc)
		return rc;
	return dma_read(n, 0, SPARE, &got) == TESTDEV_FAULT ? 0 : -ESTALE;
}

/*
 * Leaving the container is not among them: the group returns to its default domain,
 * and the IOMMU core warns if that fails.
 */
enum { BIND, REPLACE, UNBIND, SECOND_LEVEL, JOIN, STEPS };

static int step(struct nest *a, int what, __u32 pasid, __u64 root)
{
	switch (what) {
	case BIND:
		return bind_table(a, pasid, root);
	case REPLACE:
		return replace_table(a, pasid, root);
	case UNBIND:
		return unbind(a, pasid);
	case SECOND_LEVEL:
		return bind_second_level(a, pasid, 0);
	default:
		return xioctl(a->group, VFIO_GROUP_SET_CONTAINER,
			      &a->container);
	}
}

/* Undo the step, and prepare for the next attempt. */
static void before(struct nest *a, int what, __u32 pasid, __u64 root)
{
	if (what == JOIN)
		xioctl(a->group, VFIO_GROUP_UNSET_CONTAINER, NULL);
	else
		xioctl(a->group, VFIO_GROUP_SET_CONTAINER, &a->container);
	unbind(a, pasid);
	if (what == REPLACE || what == UNBIND)
		bind_table(a, pasid, root);
}

/* R35: if something fails for one device, the other one is still flushed. */
TEST_F_TIMEOUT(silent, fail_nth, SLOW)
{
	int fd = fail_nth_open("thread-self"), what, nth, rc, left, failed;
	struct nest *a = &self->other, *b = &self->n;
	__u64 *spare;

	if (fd < 0)
		SKIP(return, "the kernel can't inject faults");
	spare = mmap(NULL, PGT_4K, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(spare != MAP_FAILED);
	/* A group that joins is attached to the second level itself, as @a is later. */
	ASSERT_OK(rejoin(b));
	ASSERT_OK(unmap_is_seen(b, spare));
	close(a->td.fd);
	a->td.fd = -1;

	for (what = 0; what < STEPS; what++) {
		failed = 0;
		for (nth = 1; nth < 400; nth++) {
			before(a, what, variant->pasid, self->pt.root);
			ASSERT_OK(fail_nth_arm(fd, nth));
			rc = step(a, what, variant->pasid, self->pt.root);
			left = fail_nth_left(fd);
			EXPECT_OK(unmap_is_seen(b, spare))
				TH_LOG("step %d, allocation %d: %d", what, nth,
				       rc);
			if (left)
				break;
			failed += !!rc;
		}
		TH_LOG("step %d: %d allocations, %d failed", what, nth - 1,
		       failed);
		EXPECT_OK(rc);
	}
	close(fd);
}

TEST_HARNESS_MAIN
