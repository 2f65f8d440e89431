// SPDX-License-Identifier: GPL-2.0
/*
 * Who picks PASIDs, the guest or the host, how many there may be, and what is
 * left of them.
 */
#include <signal.h>
#include <sys/wait.h>

#include "device.h"
#include "harness.h"

FIXTURE(pasids)
{
	struct nest n;
	struct pgt pt;
	__u64 page;
	unsigned int quota;
	int quota_set;
};

FIXTURE_SETUP(pasids)
{
	struct nest *n = &self->n;

	self->n.container = -1;
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_BIND_PASID))
		SKIP(return, "no PASIDs for this device");
	ASSERT_OK(read_uint(QUOTA_PATH, &self->quota));
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	self->page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page, PGT_4K, PGT_RW));
}

FIXTURE_TEARDOWN(pasids)
{
	if (self->quota_set)
		write_uint(QUOTA_PATH, self->quota);
}

#define set_quota(nr) do {					\
	self->quota_set = 1;					\
	ASSERT_OK(write_uint(QUOTA_PATH, nr));			\
} while (0)

static int commit(struct nest *n, const struct iommu_uapi_caps *needs,
		  __u32 nr_pasids)
{
	struct negotiate_arg arg;

	negotiate_init(&arg, needs, VFIO_NEGOTIATE_COMMIT);
	arg.head.nr_pasids = nr_pasids;
	return negotiate(n, &arg);
}

/* ---- picked by the guest ---- */

/* One guest: its memory and its table, PASID 1, until it is told to end */
struct vm {
	struct nest n;
	struct pgt pt;
	__u64 page;
};

static int vm_start(struct vm *vm, int nth)
{
	int rc;

	rc = nest_open(&vm->n, nth, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (!rc)
		rc = guest_memory(&vm->n, GUEST_BASE);
	if (!rc)
		rc = pgt_init(&vm->pt, &vm->n.mem);
	if (rc)
		return rc;
	vm->page = gmem_alloc(&vm->n.mem, PGT_4K, PGT_4K);
	rc = pgt_map(&vm->pt, GUEST_VA, vm->page, PGT_4K, PGT_RW);
	return rc ? rc : bind_table(&vm->n, 1, vm->pt.root);
}

static int vm_rounds(struct vm *vm, int rounds)
{
	int rc = 0;

	while (!rc && rounds--)
		rc = dma_works(&vm->n, 1, GUEST_VA, vm->page);
	return rc;
}

static int vm_process(int nth, int tell, int told)
{
	struct vm vm;
	int rc;
	char c;

	rc = vm_start(&vm, nth);
	if (!rc)
		rc = vm_rounds(&vm, 10);
	if (write(tell, &rc, sizeof(rc)) != sizeof(rc) || rc)
		return 1;
	/* Both work while both are bound. */
	if (read(told, &c, 1) != 1)
		return 1;
	rc = vm_rounds(&vm, 50);
	if (!rc)
		rc = invalidate_pasid(&vm.n, 1);
	if (!rc)
		rc = unbind(&vm.n, 1);
	if (!rc && !dma_faults(&vm.n, 1, GUEST_VA))
		rc = -EBADMSG;
	return write(tell, &rc, sizeof(rc)) != sizeof(rc);
}

/* R44: two guests, each a process with its own container, take PASID 1 */
TEST_F_TIMEOUT(pasids, two_guests, SLOW)
{
	int tell[2], go[2], rc, status;
	struct vm vm;
	char bdf[16];
	pid_t pid;

	if (testdev_find(bdf, 1, 1))
		SKIP(return, "needs two devices");
	nest_close(&self->n);
	ASSERT_OK(pipe(tell));
	ASSERT_OK(pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(tell[0]);
		close(go[1]);
		_exit(vm_process(1, tell[1], go[0]));
	}
	close(tell[1]);
	EXPECT_EQ(sizeof(rc), read(tell[0], &rc, sizeof(rc)));
	EXPECT_EQ(0, rc);
	EXPECT_EQ(0, vm_start(&vm, 0));
	EXPECT_EQ(0, vm_rounds(&vm, 10));
	EXPECT_EQ(1, write(go[1], "x", 1));
	EXPECT_EQ(0, vm_rounds(&vm, 50));
	EXPECT_EQ(sizeof(rc), read(tell[0], &rc, sizeof(rc)));
	EXPECT_EQ(0, rc);
	/* The other one has unbound its own, and is gone. */
	EXPECT_EQ(0, vm_rounds(&vm, 10));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, vm_rounds(&vm, 10));
	EXPECT_OK(unbind(&vm.n, 1));
	EXPECT_TRUE(dma_faults(&vm.n, 1, GUEST_VA));
	nest_close(&vm.n);
}

/* Any number that the device has, and none beyond */
TEST_F_TIMEOUT(pasids, any_number, SLOW)
{
	struct nest *n = &self->n;
	__u32 last = pasid_last(n), i;
	const __u32 numbers[] = { 1, 2, 63, 64, 65, 4095, 4096, last - 1, last };
	struct bind_arg arg;

	ASSERT_TRUE(n->caps.features & IOMMU_UAPI_FEAT_GUEST_PASID);
	for (i = 0; i < ARRAY_LEN(numbers); i++) {
		EXPECT_OK(bind_table(n, numbers[i], self->pt.root));
		EXPECT_OK(dma_works(n, numbers[i], GUEST_VA, self->page));
		EXPECT_EQ(i + 1, nest_used(n->container));
	}
	for (i = 0; i < ARRAY_LEN(numbers); i++) {
		EXPECT_OK(invalidate_addr(n, numbers[i], GUEST_VA, 1));
		EXPECT_OK(unbind(n, numbers[i]));
		EXPECT_TRUE(dma_faults(n, numbers[i], GUEST_VA));
	}
	EXPECT_EQ(0, nest_used(n->container));
	for (i = n->caps.pasid_bits; i < 64; i++) {
		bind_init(&arg, n, 1, self->pt.root);
		arg.data.hpasid = 1 | 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(n, &arg));
	}
	EXPECT_EQ(0, nest_used(n->container));
}

/* R36 R41: what is bound counts, and counts once */
TEST_F_TIMEOUT(pasids, quota, SLOW)
{
	struct nest *n = &self->n;
	__u32 quota, used, pasid;

	set_quota(3);
	EXPECT_OK(bind_table(n, 10, self->pt.root));
	EXPECT_OK(bind_table(n, 20, self->pt.root));
	EXPECT_OK(pasid_alloc(n->container, 100, 200, &pasid));
	ASSERT_OK(nest_info(n->container, NULL, &quota, &used));
	EXPECT_EQ(3, quota);
	EXPECT_EQ(3, used);
	EXPECT_ERR(EDQUOT, bind_table(n, 30, self->pt.root));
	EXPECT_TRUE(dma_faults(n, 30, GUEST_VA));
	EXPECT_ERR(EDQUOT, pasid_alloc(n->container, 1, 99, &used));
	/* Neither does a binding of what is allocated count, nor a replace. */
	EXPECT_OK(bind_table(n, pasid, self->pt.root));
	EXPECT_OK(replace_table(n, 10, self->pt.root));
	EXPECT_EQ(3, nest_used(n->container));
	EXPECT_OK(unbind(n, pasid));
	EXPECT_EQ(3, nest_used(n->container));
	EXPECT_ERR(EDQUOT, bind_table(n, 30, self->pt.root));
	/* Requests without PASID have none. */
	EXPECT_OK(bind_table(n, 0, self->pt.root));
	EXPECT_OK(unbind(n, 0));

	/* An unbind gives it back, and so does a failed replace. */
	EXPECT_OK(unbind(n, 20));
	EXPECT_EQ(2, nest_used(n->container));
	EXPECT_OK(bind_table(n, 30, self->pt.root));
	EXPECT_OK(dma_works(n, 30, GUEST_VA, self->page));
	EXPECT_ERR(EINVAL, replace_table(n, 30, self->pt.root + 8));
	EXPECT_EQ(2, nest_used(n->container));
	EXPECT_OK(pasid_free(n->container, pasid, pasid));
	EXPECT_EQ(1, nest_used(n->container));

	/* Lowered, it takes nothing away. */
	EXPECT_OK(bind_table(n, 40, self->pt.root));
	set_quota(1);
	EXPECT_EQ(2, nest_used(n->container));
	EXPECT_OK(dma_works(n, 10, GUEST_VA, self->page));
	EXPECT_OK(dma_works(n, 40, GUEST_VA, self->page));
	EXPECT_OK(unbind(n, 40));
	EXPECT_ERR(EDQUOT, bind_table(n, 40, self->pt.root));
	set_quota(0);
	EXPECT_OK(unbind(n, 10));
	EXPECT_ERR(EDQUOT, bind_table(n, 10, self->pt.root));
}

/* R41: one number in two groups is one PASID, until both have unbound it */
TEST_F_TIMEOUT(pasids, quota_two_groups, SLOW)
{
	struct nest *n = &self->n, other;
	int rc;

	rc = guest_device(&other, n, 1);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	set_quota(1);
	EXPECT_OK(bind_table(n, 7, self->pt.root));
	EXPECT_OK(bind_table(&other, 7, self->pt.root));
	EXPECT_EQ(1, nest_used(n->container));
	EXPECT_ERR(EDQUOT, bind_table(&other, 8, self->pt.root));
	EXPECT_OK(unbind(n, 7));
	EXPECT_EQ(1, nest_used(n->container));
	EXPECT_ERR(EDQUOT, bind_table(n, 8, self->pt.root));
	EXPECT_OK(dma_works(&other, 7, GUEST_VA, self->page));
	/* R45: its group leaves with it. */
	ASSERT_OK(group_leave(&other));
	EXPECT_EQ(0, nest_used(n->container));
	EXPECT_OK(bind_table(n, 8, self->pt.root));
	close(other.group);
}

/* R42: FREE is for what was allocated, whatever else is bound */
TEST_F_TIMEOUT(pasids, free_bound, SLOW)
{
	struct nest *n = &self->n;
	__u32 pasid;

	EXPECT_ERR(ENOENT, pasid_free(n->container, 0, ~0u));
	EXPECT_OK(bind_table(n, 7, self->pt.root));
	EXPECT_ERR(ENOENT, pasid_free(n->container, 7, 7));
	EXPECT_ERR(ENOENT, pasid_free(n->container, 0, ~0u));
	EXPECT_EQ(1, nest_used(n->container));
	ASSERT_OK(pasid_alloc(n->container, 100, 200, &pasid));
	EXPECT_OK(pasid_free(n->container, 0, ~0u));
	EXPECT_EQ(1, nest_used(n->container));
	EXPECT_OK(dma_works(n, 7, GUEST_VA, self->page));
	EXPECT_OK(unbind(n, 7));
}

/* What is reported can be had: so many PASIDs as the width says */
TEST_F_TIMEOUT(pasids, guest_width, SLOW)
{
	const unsigned int quotas[] = { 0, 1, 2, 3, 62, 63, 64, 1023, ~0u };
	struct nest *n = &self->n;
	struct iommu_uapi_caps caps;
	unsigned int i, most;

	EXPECT_EQ(1023, self->quota);
	for (i = 0; i < ARRAY_LEN(quotas); i++) {
		set_quota(quotas[i]);
		ASSERT_OK(nest_info(n->container, &caps, NULL, NULL));
		most = quotas[i] < caps.max_bindings ? quotas[i] :
						       caps.max_bindings;
		EXPECT_LE(caps.guest_pasid_bits, caps.pasid_bits);
		EXPECT_LE((1ULL << caps.guest_pasid_bits) - 1, most);
		if (caps.guest_pasid_bits < caps.pasid_bits)
			EXPECT_LT(most, (2ULL << caps.guest_pasid_bits) - 1);
	}
}

/* Domain ids, of which hardware may have few, are not used up by PASIDs. */
TEST_F_TIMEOUT(pasids, domain_ids, SLOW)
{
	struct nest *n = &self->n;
	__u32 pasid, last;

	last = (1u << n->caps.guest_pasid_bits) - 1;
	ASSERT_LT(500, last);
	for (pasid = 1; pasid <= last; pasid++)
		ASSERT_OK(bind_table(n, pasid, self->pt.root));
	EXPECT_OK(dma_works(n, 1, GUEST_VA, self->page));
	EXPECT_OK(dma_works(n, last, GUEST_VA, self->page));
	for (pasid = 1; pasid <= last; pasid++)
		ASSERT_OK(unbind(n, pasid));
	EXPECT_EQ(0, nest_used(n->container));
}

/* For a host whose domain ids are all in use */
TEST_F_TIMEOUT(pasids, no_domain_id, SLOW)
{
	struct nest *n = &self->n;
	int rc = bind_table(n, 3, self->pt.root);

	if (!rc)
		SKIP(return, "a domain id is free");
	EXPECT_ERR(ENOSPC, rc);
	EXPECT_ERR(ENOENT, unbind(n, 3));
	EXPECT_EQ(0, nest_used(n->container));
	EXPECT_OK(dma_works(n, 0, self->page, self->page));
	/* The second level gives up its own, which all tables then share. */
	EXPECT_OK(bind_table(n, 0, self->pt.root));
	EXPECT_OK(dma_works(n, 0, GUEST_VA, self->page));
	EXPECT_OK(bind_table(n, 3, self->pt.root));
	EXPECT_OK(dma_works(n, 3, GUEST_VA, self->page));
	EXPECT_OK(unbind(n, 3));
	EXPECT_OK(unbind(n, 0));
	EXPECT_TRUE(dma_faults(n, 0, GUEST_VA));
}

/* A contract of a guest that picks: every PASID of the width, and no other */
TEST_F_TIMEOUT(pasids, guest_contract, SLOW)
{
	struct nest *n = &self->n;
	struct iommu_uapi_caps needs = needs_guest_pasid(&n->caps);
	__u32 i, quota, pasid;

	needs.guest_pasid_bits = 5;
	ASSERT_OK(commit(n, &needs, 0));
	ASSERT_OK(nest_info(n->container, NULL, &quota, NULL));
	EXPECT_EQ(31, quota);
	EXPECT_ERR(EOPNOTSUPP, pasid_alloc(n->container, 1, 31, &pasid));
	/* What the administrator says now is for others. */
	set_quota(0);
	for (i = 1; i < 32; i++)
		EXPECT_OK(bind_table(n, i, self->pt.root));
	EXPECT_EQ(31, nest_used(n->container));
	EXPECT_ERR(EINVAL, bind_table(n, 32, self->pt.root));
	EXPECT_ERR(EINVAL, bind_table(n, 33, self->pt.root));
	for (i = 1; i < 32; i += 10)
		EXPECT_OK(dma_works(n, i, GUEST_VA, self->page));
	EXPECT_ERR(ENOENT, pasid_free(n->container, 0, ~0u));
	EXPECT_OK(unbind(n, 31));
	EXPECT_OK(bind_table(n, 31, self->pt.root));
}

/* The width of a contract is bounded by the quota and by the hardware */
TEST_F_TIMEOUT(pasids, guest_contract_missing, SLOW)
{
	struct nest *n = &self->n;
	struct iommu_uapi_caps needs = needs_guest_pasid(&n->caps);
	struct negotiate_arg arg;

	set_quota(6);
	needs.guest_pasid_bits = 3;
	negotiate_init(&arg, &needs, VFIO_NEGOTIATE_COMMIT);
	EXPECT_ERR(ERANGE, negotiate(n, &arg));
	EXPECT_EQ(3, arg.caps.guest_pasid_bits);
	EXPECT_EQ(0, arg.caps.features);
	EXPECT_EQ(0, arg.head.nr_pasids);
	set_quota(7);
	EXPECT_OK(commit(n, &needs, 0));
}

/* ---- handed out by the host ---- */

/* Only what was allocated can be bound */
TEST_F_TIMEOUT(pasids, host_contract, SLOW)
{
	struct nest *n = &self->n;
	struct iommu_uapi_caps needs = needs_host_pasid(&n->caps);
	__u32 pasid[3], other;

	needs.pasid_bits = 10;
	ASSERT_OK(commit(n, &needs, 2));
	EXPECT_ERR(ENOENT, bind_table(n, 1, self->pt.root));
	EXPECT_TRUE(dma_faults(n, 1, GUEST_VA));
	ASSERT_OK(pasid_alloc(n->container, 1, 1023, &pasid[0]));
	ASSERT_OK(pasid_alloc(n->container, 1, 1023, &pasid[1]));
	EXPECT_ERR(EDQUOT, pasid_alloc(n->container, 1, 1023, &pasid[2]));
	EXPECT_EQ(2, nest_used(n->container));
	EXPECT_OK(bind_table(n, pasid[0], self->pt.root));
	EXPECT_OK(dma_works(n, pasid[0], GUEST_VA, self->page));
	EXPECT_ERR(EBUSY, pasid_free(n->container, 0, ~0u));
	/* A number that is not owned blocks, and takes nothing of the others. */
	for (other = 1; other == pasid[0] || other == pasid[1]; other++)
		;
	EXPECT_ERR(ENOENT, replace_table(n, other, self->pt.root));
	EXPECT_ERR(ENOENT, bind_second_level(n, other, 0));
	EXPECT_TRUE(dma_faults(n, other, GUEST_VA));
	EXPECT_OK(dma_works(n, pasid[0], GUEST_VA, self->page));
	EXPECT_OK(unbind(n, pasid[0]));
	EXPECT_OK(pasid_free(n->container, 0, ~0u));
	EXPECT_EQ(0, nest_used(n->container));
	EXPECT_ERR(ENOENT, bind_table(n, pasid[0], self->pt.root));
}

/* How many of 1..15 can still be had? */
static int alloc_all(int container)
{
	__u32 pasid;
	int nr = 0;

	while (!pasid_alloc(container, 1, 15, &pasid))
		nr++;
	return nr;
}

/* What a contract promises is set aside: another container can't use it up */
TEST_F_TIMEOUT(pasids, host_contract_kept, SLOW)
{
	struct nest *n = &self->n, other;
	struct iommu_uapi_caps needs = needs_host_pasid(&n->caps);
	struct negotiate_arg arg;
	__u32 pasid;
	int i, rc;

	rc = nest_open(&other, 1, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	needs.pasid_bits = 4;
	ASSERT_OK(commit(n, &needs, 8));
	EXPECT_EQ(7, alloc_all(other.container));
	EXPECT_ERR(ENOSPC, pasid_alloc(other.container, 1, 15, &pasid));
	for (i = 0; i < 8; i++)
		EXPECT_OK(pasid_alloc(n->container, 1, 15, &pasid));
	EXPECT_ERR(EDQUOT, pasid_alloc(n->container, 1, 15, &pasid));
	/* Freed by their owner, they stay set aside. */
	EXPECT_OK(pasid_free(n->container, 0, ~0u));
	EXPECT_ERR(ENOSPC, pasid_alloc(other.container, 1, 15, &pasid));
	EXPECT_EQ(8, alloc_all(n->container));

	/* A second contract gets what is left, and is told if that's too little. */
	EXPECT_OK(pasid_free(other.container, 0, ~0u));
	needs = needs_host_pasid(&other.caps);
	needs.pasid_bits = 4;
	negotiate_init(&arg, &needs, VFIO_NEGOTIATE_COMMIT);
	arg.head.nr_pasids = 8;
	EXPECT_ERR(ERANGE, negotiate(&other, &arg));
	EXPECT_EQ(8, arg.head.nr_pasids);
	EXPECT_EQ(0, arg.caps.features);
	EXPECT_EQ(0, arg.caps.pasid_bits);
	EXPECT_OK(commit(&other, &needs, 7));
	EXPECT_EQ(7, alloc_all(other.container));

	/* They go with the last group. */
	ASSERT_OK(group_leave(n));
	nest_close(&other);
	ASSERT_OK(nest_open(&other, 1, 1, VFIO_TYPE1_NESTING_IOMMU));
	EXPECT_EQ(15, alloc_all(other.container));
	nest_close(&other);
}

/* A PASID that is not set aside is exchanged for one that is */
TEST_F_TIMEOUT(pasids, host_contract_exchanged, SLOW)
{
	struct nest *n = &self->n, other;
	struct iommu_uapi_caps needs = needs_host_pasid(&n->caps);
	__u32 pasid, nr = 0, free = 0;
	int rc;

	rc = nest_open(&other, 1, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	needs.pasid_bits = 4;
	ASSERT_OK(commit(n, &needs, 2));
	for (pasid = 1; pasid < 16; pasid++) {
		if (!pasid_alloc(other.container, pasid, pasid, &free))
			nr++;
	}
	ASSERT_EQ(13, nr);

	/* While another container has it, the contract keeps what it has. */
	EXPECT_ERR(ENOSPC, pasid_alloc(n->container, free, free, &pasid));
	EXPECT_EQ(0, nest_used(n->container));
	EXPECT_OK(pasid_free(other.container, free, free));
	ASSERT_OK(pasid_alloc(n->container, free, free, &pasid));
	EXPECT_EQ(free, pasid);
	EXPECT_EQ(1, nest_used(n->container));
	EXPECT_OK(bind_table(n, free, self->pt.root));
	EXPECT_OK(dma_works(n, free, GUEST_VA, self->page));
	EXPECT_OK(unbind(n, free));

	/* The other container gets one instead, the contract one more. */
	EXPECT_EQ(1, alloc_all(other.container));
	EXPECT_OK(pasid_alloc(n->container, 1, 15, &pasid));
	EXPECT_NE(free, pasid);
	EXPECT_ERR(EDQUOT, pasid_alloc(n->container, 1, 15, &pasid));
	/* It is set aside like the others now, until the contract ends. */
	EXPECT_OK(pasid_free(n->container, free, free));
	EXPECT_ERR(ENOSPC, pasid_alloc(other.container, free, free, &pasid));
	EXPECT_OK(pasid_alloc(n->container, free, free, &pasid));
	ASSERT_OK(group_leave(n));
	EXPECT_EQ(2, alloc_all(other.container));
	nest_close(&other);
}

/* What is picked by one guest can be handed out to another container */
TEST_F_TIMEOUT(pasids, picked_and_handed_out, SLOW)
{
	struct nest *n = &self->n, other;
	__u32 pasid;
	int rc;

	rc = nest_open(&other, 1, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	ASSERT_OK(rc);
	ASSERT_OK(bind_table(n, 3, self->pt.root));
	EXPECT_OK(pasid_alloc(other.container, 3, 3, &pasid));
	EXPECT_OK(dma_works(n, 3, GUEST_VA, self->page));
	EXPECT_TRUE(dma_faults(&other, 3, GUEST_VA));
	nest_close(&other);
	EXPECT_OK(dma_works(n, 3, GUEST_VA, self->page));
}

/* ---- what is left ---- */

/* PASIDs far apart, so that each needs a page of the device's PASID table */
static int spread(struct nest *n, __u64 root, int nr)
{
	int i, rc = 0;

	for (i = 0; i < nr && !rc; i++) {
		rc = bind_table(n, i * 64 + 1, root);
		if (!rc && i % 2)
			rc = unbind(n, i * 64 + 1);
	}
	return rc;
}

/* Tables of PASIDs that were bound do not outlive the group's stay */
TEST_F_TIMEOUT(pasids, tables_freed, SLOW)
{
	struct nest *n = &self->n;
	long before, during;

	if (iommu_pages() < 0)
		SKIP(return, "the kernel does not count pages of IOMMUs");
	/* Once for whatever stays from the first time on. */
	ASSERT_OK(spread(n, self->pt.root, 2));
	nest_close(n);
	before = iommu_pages();

	ASSERT_OK(nest_open(n, 0, 1, VFIO_TYPE1_NESTING_IOMMU));
	ASSERT_OK(spread(n, self->pt.root, 256));
	during = iommu_pages();
	EXPECT_LE(before + 128, during);
	ASSERT_OK(group_leave(n));
	close(n->group);
	close(n->container);
	/* Read-copy-update may take its time. */
	while (iommu_pages() > before)
		usleep(10000);
	EXPECT_EQ(before, iommu_pages());
	ASSERT_OK(nest_open(n, 0, 1, VFIO_TYPE1_NESTING_IOMMU));
	EXPECT_TRUE(dma_faults(n, 1, GUEST_VA));
	EXPECT_TRUE(dma_faults(n, 65, GUEST_VA));
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	self->page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page, PGT_4K, PGT_RW));
	EXPECT_OK(bind_table(n, 65, self->pt.root));
	EXPECT_OK(dma_works(n, 65, GUEST_VA, self->page));
}

/* R46: killed with PASIDs bound, and nothing is left */
TEST_F_TIMEOUT(pasids, kill, SLOW)
{
	struct nest *n = &self->n;
	int tell[2], status, i, rc;
	struct vm vm;
	pid_t pid;

	nest_close(n);
	for (i = 0; i < 4; i++) {
		ASSERT_OK(pipe(tell));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			rc = vm_start(&vm, 0);
			if (!rc)
				rc = vm_rounds(&vm, 3);
			if (write(tell[1], &rc, sizeof(rc)) != sizeof(rc))
				_exit(1);
			for (;;)
				vm_rounds(&vm, 1);
		}
		close(tell[1]);
		EXPECT_EQ(sizeof(rc), read(tell[0], &rc, sizeof(rc)));
		close(tell[0]);
		EXPECT_EQ(0, rc);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_OK(nest_open(n, 0, 1, VFIO_TYPE1_NESTING_IOMMU));
		EXPECT_EQ(0, nest_used(n->container));
		EXPECT_TRUE(dma_faults(n, 1, GUEST_VA));
		EXPECT_ERR(ENOENT, unbind(n, 1));
		nest_close(n);
	}
}

/* R32: setting numbers aside is all or nothing, whatever can't be allocated */
TEST_F_TIMEOUT(pasids, fail_nth, SLOW)
{
	int fd = fail_nth_open("thread-self");
	int nth, rc = -1, left, failed = 0;
	struct iommu_uapi_caps needs;
	struct negotiate_arg arg;
	__u32 pasid;
	struct nest n;

	if (fd < 0)
		SKIP(return, "the kernel can't inject faults");
	for (nth = 1; nth < 400 && rc; nth++) {
		if (!test_open(_metadata, &n, 2, 1, VFIO_TYPE1_NESTING_IOMMU))
			return;
		needs = needs_host_pasid(&n.caps);
		needs.pasid_bits = 4;
		negotiate_init(&arg, &needs, VFIO_NEGOTIATE_COMMIT);
		arg.head.nr_pasids = 14;
		ASSERT_OK(fail_nth_arm(fd, nth));
		rc = negotiate(&n, &arg);
		left = fail_nth_left(fd);
		if (rc) {
			failed++;
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT);
			EXPECT_EQ(0, nest_used(n.container));
			/* None of them is left in the host: all can be had. */
			arg.caps = needs;
			arg.head.nr_pasids = 14;
			EXPECT_OK(negotiate(&n, &arg));
		}
		EXPECT_OK(pasid_alloc(n.container, 1, 15, &pasid));
		nest_close(&n);
		if (left)
			break;
	}
	EXPECT_OK(rc);
	EXPECT_LT(0, failed);
	close(fd);
}

TEST_HARNESS_MAIN
