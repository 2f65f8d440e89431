// SPDX-License-Identifier: GPL-2.0
/*
 * What requests with and without PASID translate by: the second level, a guest's
 * table, or nothing; every way from one to another, and the ways that fail.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "bad_bind.h"
#include "device.h"
#include "harness.h"

/* What an address leads to: each has a page of its own for it. */
enum state {
	SECOND_LEVEL,
	TABLE_0,
	TABLE_1,
	BLOCKED,
};

/* A PASID that the guest picks */
#define PASID		5

FIXTURE(states)
{
	struct nest n;
	struct pgt pt[2];
	/* Of SECOND_LEVEL, TABLE_0 and TABLE_1; the first is the address too. */
	__u64 page[3];
	/* Mapped by TABLE_1 only */
	__u64 page_of_1;
};

FIXTURE_VARIANT(states)
{
	int nth;
	__u32 pasid;
};

FIXTURE_VARIANT_ADD(states, no_pasid)
{
	.nth = 0,
};

FIXTURE_VARIANT_ADD(states, pasid)
{
	.nth = 0,
	.pasid = PASID,
};

/* In the lab, a device that caches translations by itself */
FIXTURE_VARIANT_ADD(states, cached_no_pasid)
{
	.nth = 1,
};

FIXTURE_VARIANT_ADD(states, cached_pasid)
{
	.nth = 1,
	.pasid = PASID,
};

#define ONLY_IN_1	GUEST_VA

static int map_memory(struct nest *n)
{
	return nest_map(n->container, n->mem.base, GUEST_BASE, GUEST_SIZE,
			VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
}

FIXTURE_SETUP(states)
{
	struct nest *n = &self->n;
	int i;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, variant->nth, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_BIND_PASID))
		SKIP(return, "no PASIDs for this device");
	n->td.ats = device_caches(n);
	ASSERT_OK(gmem_init(&n->mem, GUEST_BASE, GUEST_SIZE));
	ASSERT_OK(map_memory(n));
	for (i = 0; i < 3; i++)
		self->page[i] = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	self->page_of_1 = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	for (i = 0; i < 2; i++) {
		ASSERT_OK(pgt_init(&self->pt[i], &n->mem));
		ASSERT_OK(pgt_map(&self->pt[i], self->page[0],
				  self->page[TABLE_0 + i], PGT_4K, PGT_RW));
	}
	ASSERT_OK(pgt_map(&self->pt[1], ONLY_IN_1, self->page_of_1, PGT_4K,
			  PGT_RW));
}

FIXTURE_TEARDOWN(states)
{
}

/* Which of the states is it? Reads and writes have to agree; negative if not. */
static int state_of(struct _test_data_states *self, struct nest *n, __u32 pasid)
{
	static __u64 seed;
	int rd, wr, i, state = BLOCKED;
	__u64 got;

	for (i = 0; i < 3; i++) {
		mem_set(gmem_ptr(&n->mem, self->page[i]), 0x100 + i);
		mem_set(gmem_ptr(&n->mem, self->page[i] + 8), 0);
	}
	seed++;
	rd = dma_read(n, pasid, self->page[0], &got);
	wr = dma_write(n, pasid, self->page[0] + 8, seed);
	if (rd != wr || (rd != TESTDEV_DONE && rd != TESTDEV_FAULT))
		return -EIO;
	if (rd == TESTDEV_DONE)
		state = got - 0x100;
	for (i = 0; i < 3; i++) {
		int written = mem_get(gmem_ptr(&n->mem, self->page[i] + 8)) == seed;
		int meant = i == state;

		if (written != meant)
			return -EBADMSG;
	}
	return state;
}

#define EXPECT_STATE(state, pasid) \
	EXPECT_EQ(state, state_of(self, &self->n, pasid))

/* Any of the four, by the call that leads to it */
static int go(struct _test_data_states *self, struct nest *n, __u32 pasid,
	      enum state state, __u64 flags)
{
	struct bind_arg arg;

	switch (state) {
	case BLOCKED:
		return unbind(n, pasid);
	case SECOND_LEVEL:
		return bind_second_level(n, pasid, flags);
	default:
		bind_init(&arg, n, pasid, self->pt[state - TABLE_0].root);
		arg.data.flags = flags;
		return do_bind(n, &arg);
	}
}

/* The group leaves the container and comes back, and so does its memory. */
static int join_anew(struct nest *n)
{
	int ats = n->td.ats, rc;

	rc = group_leave(n);
	if (!rc)
		rc = xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container);
	if (!rc)
		rc = xioctl_num(n->container, VFIO_SET_IOMMU,
				VFIO_TYPE1_NESTING_IOMMU);
	if (!rc)
		rc = map_memory(n);
	if (!rc)
		rc = nest_device(n);
	n->td.ats = ats;
	return rc;
}

static enum state at_start(__u32 pasid)
{
	return pasid ? BLOCKED : SECOND_LEVEL;
}

/* ---- the states, and the ways between them ---- */

/* Where a group begins: no binding, so nothing has to be replaced or undone */
TEST_F_TIMEOUT(states, from_start, SLOW)
{
	enum state to;

	EXPECT_STATE(SECOND_LEVEL, 0);
	EXPECT_STATE(BLOCKED, PASID);
	EXPECT_ERR(ENOENT, invalidate_pasid(&self->n, variant->pasid));
	for (to = SECOND_LEVEL; to <= BLOCKED; to++) {
		int rc = go(self, &self->n, variant->pasid, to, 0);

		EXPECT_EQ(to == BLOCKED && variant->pasid ? -ENOENT : 0, rc);
		EXPECT_STATE(to, variant->pasid);
		/* The other kind of requests is where it was. */
		EXPECT_STATE(at_start(!variant->pasid), variant->pasid ? 0 : PASID);
		ASSERT_OK(join_anew(&self->n));
		EXPECT_STATE(at_start(variant->pasid), variant->pasid);
	}
}

/* From each to each, in place of what is bound and not */
TEST_F_TIMEOUT(states, transitions, SLOW)
{
	struct nest *n = &self->n;
	__u32 pasid = variant->pasid;
	enum state from, to;

	/* The start is no binding, but the second level that was bound is one. */
	ASSERT_OK(go(self, n, pasid, SECOND_LEVEL, 0));
	for (from = SECOND_LEVEL; from <= BLOCKED; from++) {
		for (to = SECOND_LEVEL; to < BLOCKED; to++) {
			unbind(n, pasid);
			if (from != BLOCKED)
				ASSERT_OK(go(self, n, pasid, from, 0));
			EXPECT_STATE(from, pasid);

			if (from != BLOCKED) {
				EXPECT_ERR(EEXIST, go(self, n, pasid, to, 0));
				EXPECT_STATE(from, pasid);
				ASSERT_OK(go(self, n, pasid, to,
					     IOMMU_UAPI_BIND_REPLACE));
			} else {
				ASSERT_OK(go(self, n, pasid, to, 0));
			}
			EXPECT_STATE(to, pasid);
			/* Bound now, whatever it was. */
			EXPECT_OK(invalidate_pasid(n, pasid));
			EXPECT_ERR(EEXIST, go(self, n, pasid, from == BLOCKED ?
					      SECOND_LEVEL : from, 0));
		}
		EXPECT_OK(unbind(n, pasid));
		EXPECT_STATE(BLOCKED, pasid);
		EXPECT_ERR(ENOENT, unbind(n, pasid));
		EXPECT_ERR(ENOENT, invalidate_pasid(n, pasid));
		EXPECT_STATE(BLOCKED, pasid);
	}
}

/* Requests with a PASID and those without have nothing to do with each other. */
TEST_F_TIMEOUT(states, independent, SLOW)
{
	__u32 pasid = variant->pasid, other = pasid ? 0 : PASID;
	struct nest *n = &self->n;
	enum state a, b;

	for (a = SECOND_LEVEL; a <= BLOCKED; a++) {
		unbind(n, other);
		if (a != BLOCKED)
			ASSERT_OK(go(self, n, other, a, 0));
		for (b = SECOND_LEVEL; b <= BLOCKED; b++) {
			unbind(n, pasid);
			EXPECT_STATE(a, other);
			if (b != BLOCKED)
				ASSERT_OK(go(self, n, pasid, b, 0));
			EXPECT_STATE(b, pasid)
				TH_LOG("%d beside %d", b, a);
			EXPECT_STATE(a, other)
				TH_LOG("%d beside %d", a, b);
		}
	}
}

/* With nothing bound, a replace is a bind */
TEST_F_TIMEOUT(states, replace_nothing, SLOW)
{
	struct nest *n = &self->n;
	__u32 pasid = variant->pasid;
	enum state to;

	for (to = SECOND_LEVEL; to < BLOCKED; to++) {
		EXPECT_OK(go(self, n, pasid, to, IOMMU_UAPI_BIND_REPLACE));
		EXPECT_STATE(to, pasid);
		EXPECT_OK(unbind(n, pasid));
		EXPECT_STATE(BLOCKED, pasid);
		EXPECT_OK(go(self, n, pasid, to, IOMMU_UAPI_BIND_REPLACE));
		EXPECT_STATE(to, pasid);
		ASSERT_OK(join_anew(n));
	}
}

/* Blocked before the device was opened for the first time */
TEST_F_TIMEOUT(states, before_the_device, SLOW)
{
	struct nest *n = &self->n;
	int ats = n->td.ats;

	ASSERT_OK(group_leave(n));
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container));
	ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU,
			     VFIO_TYPE1_NESTING_IOMMU));
	if (variant->pasid)
		ASSERT_OK(go(self, n, variant->pasid, TABLE_0, 0));
	EXPECT_OK(unbind(n, variant->pasid));
	ASSERT_OK(map_memory(n));
	ASSERT_OK(nest_device(n));
	n->td.ats = ats;
	EXPECT_STATE(BLOCKED, variant->pasid);
	EXPECT_OK(go(self, n, variant->pasid, SECOND_LEVEL, 0));
	EXPECT_STATE(SECOND_LEVEL, variant->pasid);
}

/* A reset of the device, or closing it, changes nothing of that */
TEST_F_TIMEOUT(states, reset, SLOW)
{
	struct nest *n = &self->n;
	int ats = n->td.ats;
	enum state state;

	for (state = SECOND_LEVEL; state <= BLOCKED; state++) {
		unbind(n, variant->pasid);
		if (state != BLOCKED)
			ASSERT_OK(go(self, n, variant->pasid, state, 0));
		ASSERT_OK(xioctl_num(n->td.fd, VFIO_DEVICE_RESET, 0));
		ASSERT_OK(testdev_master(&n->td, 1));
		EXPECT_STATE(state, variant->pasid);
		close(n->td.fd);
		ASSERT_OK(nest_device(n));
		n->td.ats = ats;
		EXPECT_STATE(state, variant->pasid);
	}
}

/* ---- what fails ---- */

/*
 * A bind of the guest that the host can't do must not leave the device with more
 * than the guest gave it: whatever was there, requests are blocked.
 */
TEST_F_TIMEOUT(states, failed, SLOW)
{
	struct nest *n = &self->n;
	struct bind_arg arg;
	__u32 pasid = variant->pasid;
	unsigned int i;
	int from, err;

	for (i = 0; i < ARRAY_LEN(bad_binds); i++) {
		const struct bad_bind *bad = &bad_binds[i];

		/* The last one is the state in which a group begins. */
		for (from = SECOND_LEVEL; from <= BLOCKED + 1; from++) {
			unbind(n, pasid);
			if (from == BLOCKED + 1)
				ASSERT_OK(join_anew(n));
			if (from < BLOCKED)
				ASSERT_OK(go(self, n, pasid, from, 0));

			bind_init(&arg, n, pasid, self->pt[1].root);
			if (from < BLOCKED)
				arg.data.flags = IOMMU_UAPI_BIND_REPLACE;
			bad->change(&arg, &n->caps);
			err = bad->err;
			if (arg.data.flags & ~n->caps.bind_flags)
				err = EOPNOTSUPP;
			EXPECT_ERR(err, do_bind(n, &arg))
				TH_LOG("%s, from state %d", bad->what, from);
			EXPECT_STATE(BLOCKED, pasid)
				TH_LOG("%s, from state %d", bad->what, from);
			EXPECT_ERR(ENOENT, unbind(n, pasid));
		}
		/* A good one is as good as ever. */
		EXPECT_OK(go(self, n, pasid, TABLE_0, 0));
		EXPECT_STATE(TABLE_0, pasid);

		/* Not to take its place, a bad one is told so and changes nothing. */
		bind_init(&arg, n, pasid, self->pt[1].root);
		bad->change(&arg, &n->caps);
		err = arg.data.flags & ~n->caps.bind_flags ? EOPNOTSUPP :
							     bad->err;
		/* The lack of a file is not in the argument. */
		if (bad->change == bad_request && err == EINVAL)
			err = EEXIST;
		EXPECT_ERR(err, do_bind(n, &arg))
			TH_LOG("%s", bad->what);
		EXPECT_STATE(TABLE_0, pasid);
	}
}

/* What is wrong before the group, the PASID or the version is known */
TEST_F_TIMEOUT(states, failed_early, SLOW)
{
	struct nest *n = &self->n;
	__u32 pasid = variant->pasid;
	struct bind_arg good, arg;
	int from;

	for (from = SECOND_LEVEL; from <= BLOCKED + 1; from++) {
		enum state was = from > BLOCKED ? at_start(pasid) : from;

		unbind(n, pasid);
		if (from == BLOCKED + 1)
			ASSERT_OK(join_anew(n));
		if (from < BLOCKED)
			ASSERT_OK(go(self, n, pasid, from, 0));
		bind_init(&good, n, pasid, self->pt[1].root);
		good.data.flags = IOMMU_UAPI_BIND_REPLACE;
#define EXPECT_EARLY(err, change) do {			\
		arg = good;				\
		change;					\
		EXPECT_ERR(err, do_bind(n, &arg));	\
	} while (0)
		EXPECT_EARLY(EINVAL, arg.head.argsz--);
		EXPECT_EARLY(EINVAL, arg.head.argsz = 0);
		EXPECT_EARLY(EOPNOTSUPP, arg.head.flags = 1);
		EXPECT_EARLY(EOPNOTSUPP, arg.head.reserved = 1);
		EXPECT_EARLY(ENOENT, arg.head.group_id ^= 0x4000);
		EXPECT_EARLY(EINVAL, arg.data.version = 0);
		EXPECT_EARLY(EOPNOTSUPP, arg.data.version = IOMMU_UAPI_VERSION + 1);
#undef EXPECT_EARLY
		EXPECT_ERR(EFAULT, do_bind(n, NULL));
		EXPECT_STATE(was, pasid);
	}
}

/* A bind with a PASID beyond the device's blocks nobody else */
TEST_F_TIMEOUT(states, failed_pasid, SLOW)
{
	struct nest *n = &self->n;
	struct bind_arg arg;
	int i;

	ASSERT_OK(go(self, n, PASID, TABLE_0, 0));
	for (i = n->caps.pasid_bits; i < 64; i++) {
		bind_init(&arg, n, 0, self->pt[1].root);
		arg.data.hpasid = PASID | 1ULL << i;
		arg.data.flags = IOMMU_UAPI_BIND_REPLACE;
		EXPECT_ERR(EINVAL, do_bind(n, &arg));
		arg.data.hpasid = 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(n, &arg));
	}
	EXPECT_STATE(TABLE_0, PASID);
	EXPECT_STATE(SECOND_LEVEL, 0);
}

/* ---- two devices in one container ---- */

/* One is blocked, fails, leaves and comes back; the other one does not notice */
TEST_F_TIMEOUT(states, two_devices, SLOW)
{
	struct nest *n = &self->n, other;
	__u32 pasid = variant->pasid;
	enum state state;
	int rc;

	rc = guest_device(&other, n, !variant->nth);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	other.td.ats = device_caches(&other);
	for (state = SECOND_LEVEL; state <= BLOCKED; state++) {
		unbind(&other, pasid);
		if (state != BLOCKED)
			ASSERT_OK(go(self, &other, pasid, state, 0));
		unbind(n, pasid);
		EXPECT_STATE(BLOCKED, pasid);
		EXPECT_EQ(state, state_of(self, &other, pasid));
		ASSERT_OK(go(self, n, pasid, TABLE_1, 0));
		EXPECT_ERR(EINVAL, replace_table(n, pasid, self->pt[0].root + 8));
		EXPECT_STATE(BLOCKED, pasid);
		EXPECT_EQ(state, state_of(self, &other, pasid));
	}
	/* The container stays, so the memory does too. */
	ASSERT_OK(go(self, &other, pasid, TABLE_0, 0));
	ASSERT_OK(group_leave(n));
	EXPECT_ERR(ENOENT, unbind(n, pasid));
	EXPECT_EQ(TABLE_0, state_of(self, &other, pasid));
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container));
	ASSERT_OK(nest_device(n));
	n->td.ats = device_caches(n);
	EXPECT_STATE(at_start(pasid), pasid);
	EXPECT_EQ(TABLE_0, state_of(self, &other, pasid));
	close(other.td.fd);
	close(other.group);
}

/* ---- what a bind's flags allow ---- */

/* How a transfer ends, for requests of any kind */
static int tag_read(struct nest *n, __u32 tag, __u64 va)
{
	__u64 got;

	return testdev_read(&n->td, tag, va, &got, sizeof(got));
}

static int tag_write(struct nest *n, __u32 tag, __u64 va)
{
	__u64 val = 0;

	return testdev_write(&n->td, tag, va, &val, sizeof(val));
}

/*
 * Without SRE, nothing that is privileged gets through. With it, those requests may
 * use pages of either kind, and others still only those that have the U/S bit. WPE
 * says whether a page that can't be written is so for privileged requests too.
 */
TEST_F_TIMEOUT(states, privileged, SLOW)
{
	const __u64 user = GUEST_VA + PGT_2M, super = user + PGT_4K,
		    read_only = super + PGT_4K;
	const __u32 user_tag = TESTDEV_PASID(PASID),
		    priv_tag = user_tag | TESTDEV_PRIV;
	static const __u64 flags[] = {
		0, IOMMU_UAPI_VTD_SRE, IOMMU_UAPI_VTD_SRE | IOMMU_UAPI_VTD_WPE,
		IOMMU_UAPI_VTD_WPE, 0,
	};
	struct nest *n = &self->n;
	struct pgt *pt = &self->pt[0];
	struct bind_arg arg;
	unsigned int i;

	/* Without a PASID, nothing can say that it is privileged. */
	if (!variant->pasid)
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PASID_PRIV))
		SKIP(return, "no privileged requests with a PASID");
	ASSERT_OK(pgt_map(pt, user, self->page[1], PGT_4K, PGT_RW));
	ASSERT_OK(pgt_map(pt, super, self->page[1], PGT_4K, PGT_P | PGT_W));
	ASSERT_OK(pgt_map(pt, read_only, self->page[1], PGT_4K, PGT_RO));
	for (i = 0; i < ARRAY_LEN(flags); i++) {
		int sre = flags[i] & IOMMU_UAPI_VTD_SRE ? TESTDEV_DONE :
							  TESTDEV_FAULT;
		int wpe = flags[i] & IOMMU_UAPI_VTD_WPE ? TESTDEV_FAULT : sre;

		bind_init(&arg, n, PASID, pt->root);
		arg.data.vtd.flags = flags[i];
		/* Bound anew, and in the place of another */
		if (i)
			arg.data.flags = IOMMU_UAPI_BIND_REPLACE;
		ASSERT_OK(do_bind(n, &arg));

		EXPECT_EQ(sre, tag_read(n, priv_tag, user));
		EXPECT_EQ(sre, tag_write(n, priv_tag, user));
		EXPECT_EQ(sre, tag_read(n, priv_tag, super));
		EXPECT_EQ(sre, tag_write(n, priv_tag, super));
		EXPECT_EQ(sre, tag_read(n, priv_tag, read_only));
		EXPECT_EQ(wpe, tag_write(n, priv_tag, read_only))
			TH_LOG("flags 0x%llx", flags[i]);
		EXPECT_EQ(TESTDEV_DONE, tag_read(n, user_tag, user));
		EXPECT_EQ(TESTDEV_DONE, tag_write(n, user_tag, user));
		EXPECT_EQ(TESTDEV_FAULT, tag_read(n, user_tag, super));
		EXPECT_EQ(TESTDEV_FAULT, tag_write(n, user_tag, super));
		EXPECT_EQ(TESTDEV_DONE, tag_read(n, user_tag, read_only));
		EXPECT_EQ(TESTDEV_FAULT, tag_write(n, user_tag, read_only));
	}
	ASSERT_OK(unbind(n, PASID));
	EXPECT_EQ(TESTDEV_FAULT, tag_read(n, priv_tag, user));
}

/* ---- the second level, bound ---- */

/* It is all of the guest's memory, as it is mapped, and has nothing of a guest */
TEST_F_TIMEOUT(states, second_level, SLOW)
{
	struct nest *n = &self->n;
	static struct inv_arg inv;
	__u32 pasid = variant->pasid;

	unbind(n, pasid);
	ASSERT_OK(bind_second_level(n, pasid, 0));
	EXPECT_OK(dma_works(n, pasid, GUEST_BASE + GUEST_SIZE - 8,
			    GUEST_BASE + GUEST_SIZE - 8));
	EXPECT_TRUE(dma_faults(n, pasid, GUEST_BASE + GUEST_SIZE));
	EXPECT_TRUE(dma_faults(n, pasid, ONLY_IN_1));
	/* Nothing is cached that a guest could have changed. */
	EXPECT_OK(invalidate_pasid(n, pasid));
	EXPECT_OK(invalidate_addr(n, pasid, GUEST_VA, 1));
	inv_init(&inv, 1);
	inv_domain(&inv.entry[0], n);
	EXPECT_OK(do_inv(n, &inv));
	EXPECT_STATE(SECOND_LEVEL, pasid);
}

/* Memory that is unmapped is gone for every state, whoever cached it */
TEST_F_TIMEOUT(states, unmap, SLOW)
{
	struct nest *n = &self->n;
	enum state state;

	for (state = SECOND_LEVEL; state < BLOCKED; state++) {
		unbind(n, variant->pasid);
		ASSERT_OK(go(self, n, variant->pasid, state, 0));
		EXPECT_STATE(state, variant->pasid);
		ASSERT_OK(nest_unmap(n->container, GUEST_BASE, GUEST_SIZE));
		EXPECT_STATE(BLOCKED, variant->pasid);
		ASSERT_OK(map_memory(n));
		EXPECT_STATE(state, variant->pasid);
	}
}

/* ---- replacing under load ---- */

struct load {
	struct nest *n;
	__u32 pasid;
	__u64 addr;
	/* Odd while a replace is running; else what was bound before is gone. */
	atomic_uint seq;
	/* The two values that may be read, and the one after the replace */
	__u64 either[2];
	atomic_ullong settled;
	atomic_uint reads;
	atomic_uint while_settled;
	atomic_int stop;
	int faults;
	int wrong;
	int stale;
};

static void *hammer(void *data)
{
	struct load *l = data;
	unsigned int before;
	__u64 got, want;

	while (!l->stop) {
		before = l->seq;
		want = l->settled;
		if (dma_read(l->n, l->pasid, l->addr, &got)) {
			l->faults++;
		} else if (got != l->either[0] && got != l->either[1]) {
			l->wrong++;
		} else if (!(before & 1) && l->seq == before) {
			l->stale += got != want;
			l->while_settled++;
		}
		l->reads++;
	}
	return NULL;
}

#define ROUNDS	120

/* To and fro, while the device never stops */
static void replace_under_load(struct __test_metadata *_metadata,
			       struct _test_data_states *self, __u32 pasid,
			       enum state a, enum state b)
{
	enum state state[2] = { a, b };
	struct load l = {
		.n = &self->n,
		.pasid = pasid,
		.addr = self->page[0],
		.either = { 0x100 + a, 0x100 + b },
		.settled = 0x100 + a,
	};
	unsigned int i, reads;
	pthread_t thread;

	unbind(&self->n, pasid);
	ASSERT_OK(go(self, &self->n, pasid, a, 0));
	ASSERT_EQ(a, state_of(self, &self->n, pasid));
	ASSERT_OK(pthread_create(&thread, NULL, hammer, &l));
	for (i = 1; i <= ROUNDS; i++) {
		/* Let it cache what there is now. */
		reads = l.while_settled;
		while (l.while_settled < reads + 2)
			sched_yield();
		l.seq++;
		EXPECT_OK(go(self, &self->n, pasid, state[i % 2],
			     IOMMU_UAPI_BIND_REPLACE));
		l.settled = l.either[i % 2];
		l.seq++;
	}
	l.stop = 1;
	pthread_join(thread, NULL);
	TH_LOG("%d -> %d: %u reads, %u of them between two replaces", a, b,
	       l.reads, l.while_settled);
	EXPECT_EQ(0, l.faults);
	EXPECT_EQ(0, l.wrong);
	EXPECT_EQ(0, l.stale);
}

TEST_F_TIMEOUT(states, replace_tables_under_load, SLOW)
{
	replace_under_load(_metadata, self, variant->pasid, TABLE_0, TABLE_1);
}

TEST_F_TIMEOUT(states, replace_second_level_under_load, SLOW)
{
	replace_under_load(_metadata, self, variant->pasid, SECOND_LEVEL,
			   TABLE_1);
}

/* Each of many pages, cached before, is the new table's or faults after it */
TEST_F_TIMEOUT(states, replace_drops_all, SLOW)
{
	enum { PAGES = 48 };
	struct nest *n = &self->n;
	__u32 pasid = variant->pasid;
	__u64 val, got;
	int i;

	for (i = 1; i < PAGES; i++) {
		ASSERT_OK(pgt_map(&self->pt[0], GUEST_VA + i * PGT_4K,
				  self->page[1], PGT_4K, PGT_RW));
		if (i % 2)
			ASSERT_OK(pgt_map(&self->pt[1], GUEST_VA + i * PGT_4K,
					  self->page[2], PGT_4K, PGT_RW));
	}
	unbind(n, pasid);
	ASSERT_OK(go(self, n, pasid, TABLE_0, 0));
	mem_set(gmem_ptr(&n->mem, self->page[1]), 1);
	mem_set(gmem_ptr(&n->mem, self->page[2]), 2);
	for (i = 1; i < PAGES; i++) {
		ASSERT_EQ(TESTDEV_DONE, dma_read(n, pasid, GUEST_VA + i * PGT_4K,
						 &got));
		EXPECT_EQ(1, got);
	}
	ASSERT_OK(go(self, n, pasid, TABLE_1, IOMMU_UAPI_BIND_REPLACE));
	for (i = 1; i < PAGES; i++) {
		val = 0;
		EXPECT_EQ(i % 2 ? TESTDEV_DONE : TESTDEV_FAULT,
			  dma_read(n, pasid, GUEST_VA + i * PGT_4K, &val));
		EXPECT_EQ(i % 2 ? 2 : 0, val);
	}
}

/* R32 R33 R34: whichever step of a replace fails, requests are blocked, or it never began */
TEST_F_TIMEOUT(states, fail_nth, SLOW)
{
	int fd = fail_nth_open("thread-self"), nth, rc, left, failed;
	struct nest *n = &self->n;
	__u32 pasid = variant->pasid;
	enum state to;

	if (fd < 0)
		SKIP(return, "the kernel can't inject faults");
	for (to = SECOND_LEVEL; to <= TABLE_1; to += 2) {
		failed = 0;
		for (nth = 1; nth < 400; nth++) {
			unbind(n, pasid);
			ASSERT_OK(go(self, n, pasid, TABLE_0, 0));
			ASSERT_OK(fail_nth_arm(fd, nth));
			rc = go(self, n, pasid, to, IOMMU_UAPI_BIND_REPLACE);
			left = fail_nth_left(fd);
			EXPECT_STATE(!rc ? to : rc == -EFAULT ? TABLE_0 :
				     BLOCKED, pasid);
			if (left)
				break;
			failed += !!rc;
			EXPECT_TRUE(!rc || rc == -ENOMEM || rc == -EFAULT ||
				    rc == -ENOSPC)
				TH_LOG("to %d, step %d: %d", to, nth, rc);
		}
		TH_LOG("to %d: %d steps, %d failed", to, nth - 1, failed);
		EXPECT_EQ(0, rc);
	}
	close(fd);
}

TEST_HARNESS_MAIN
