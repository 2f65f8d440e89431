// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM needs what any user of VFIO needs: the node of the group, and memory that it
 * may lock. Nothing here takes more than that, and nothing gives more.
 */
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "device.h"
#include "harness.h"

/* Somebody who owns nothing, with a group of the same number */
#define USER		65533

#define PASID		3
#define SPARE		(GUEST_BASE + 0x10000000)

/* All capabilities go with the user id. */
static int act_as(uid_t id)
{
	if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))
		return -errno;
	return 0;
}

/* Guest memory, and a table that maps a page of it */
struct guest {
	struct nest n;
	struct pgt pt;
	__u64 page;
};

static int guest_open(struct guest *g)
{
	int rc = nest_open(&g->n, 0, 1, VFIO_TYPE1_NESTING_IOMMU);

	if (!rc)
		rc = open_requester(&g->n, &g->pt, &g->page);
	return rc ? rc : pgt_map(&g->pt, GUEST_VA, g->page, PGT_4K, PGT_RW);
}

/* The first device belongs to a user, as an administrator hands it over. */
FIXTURE(user)
{
	char node[32];
};

FIXTURE_VARIANT(user)
{
	int namespace;
};

FIXTURE_VARIANT_ADD(user, plain)
{
};

/* Capabilities of a user namespace are none of the host. */
FIXTURE_VARIANT_ADD(user, user_ns)
{
	.namespace = CLONE_NEWUSER,
};

FIXTURE_SETUP(user)
{
	struct nest n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	nest_close(&n);
	/* The second one is VFIO's too, and root's. */
	if (!testdev_find(n.bdf, 1, 1))
		ASSERT_OK(testdev_bind_vfio(n.bdf));
	snprintf(self->node, sizeof(self->node), "/dev/vfio/%d", n.group_id);
	ASSERT_OK(chown(self->node, USER, USER));
	ASSERT_OK(act_as(USER));
	if (variant->namespace && unshare(variant->namespace))
		SKIP(return, "no user namespaces");
}

FIXTURE_TEARDOWN_PARENT(user)
{
	EXPECT_OK(chown(self->node, 0, 0));
}

/* Every ioctl, read and write works for a user who has the node of the group. */
TEST_F_TIMEOUT(user, can, SLOW)
{
	struct iommu_uapi_dma_fault fault;
	struct negotiate_arg arg;
	struct guest guest;
	struct nest *n = &guest.n;
	__u32 got;
	int fd;

	ASSERT_OK(guest_open(&guest));
	negotiate_init(&arg, &n->caps, VFIO_NEGOTIATE_COMMIT);
	arg.caps = needs_host_pasid(&n->caps);
	arg.head.nr_pasids = 4;
	EXPECT_OK(negotiate(n, &arg));
	fd = fault_fd_unlimited(n->container, VFIO_FAULT_FD_DMA_FAULTS);
	ASSERT_LE(0, fd);
	ASSERT_OK(pasid_alloc(n->container, PASID, PASID, &got));
	EXPECT_OK(bind_table(n, PASID, guest.pt.root));
	EXPECT_OK(replace_table(n, PASID, guest.pt.root));
	EXPECT_OK(dma_works(n, PASID, GUEST_VA, guest.page));
	EXPECT_OK(invalidate_pasid(n, PASID));
	EXPECT_OK(unbind(n, PASID));
	EXPECT_OK(pasid_free(n->container, PASID, PASID));
	EXPECT_TRUE(dma_faults(n, PASID, GUEST_VA));
	ASSERT_OK(wait_readable(fd));
	EXPECT_EQ(sizeof(fault), read(fd, &fault, sizeof(fault)));
	close(fd);
	nest_close(n);
}

/* Whoever does not have a group's node has nothing. */
TEST_F_TIMEOUT(user, cannot, SLOW)
{
	struct nest n;
	int rc = nest_open(&n, 1, 1, VFIO_TYPE1_NESTING_IOMMU);

	if (rc == -ENODEV)
		SKIP(return, "needs two devices");
	EXPECT_EQ(-EACCES, rc);
	/* Nor does a container without a group nest. */
	EXPECT_ERR(EINVAL, xioctl_num(n.container, VFIO_SET_IOMMU,
				      VFIO_TYPE1_NESTING_IOMMU));
	close(n.container);
}

/* Memory is locked as VFIO locks it, and what is bound locks none. */
TEST_F_TIMEOUT(user, locked_memory, SLOW)
{
	const size_t spare = 4 * PGT_4K;
	struct rlimit limit = { GUEST_SIZE + spare, GUEST_SIZE + spare };
	struct guest guest;
	struct nest *n = &guest.n;
	void *mem = mmap(NULL, 2 * spare, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u32 pasid;
	int fd;

	ASSERT_TRUE(mem != MAP_FAILED);
	ASSERT_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	ASSERT_OK(guest_open(&guest));
	EXPECT_ERR(ENOMEM, nest_map(n->container, mem, SPARE, spare + PGT_4K,
				    VFIO_DMA_MAP_FLAG_READ |
				    VFIO_DMA_MAP_FLAG_WRITE));
	EXPECT_OK(nest_map(n->container, mem, SPARE, spare,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));

	/* With the last page locked */
	fd = fault_fd_unlimited(n->container, VFIO_FAULT_FD_DMA_FAULTS);
	EXPECT_LE(0, fd);
	for (pasid = 1; pasid <= 100; pasid++)
		EXPECT_OK(bind_table(n, pasid, guest.pt.root));
	EXPECT_OK(dma_works(n, 100, GUEST_VA, guest.page));
	EXPECT_OK(nest_unmap(n->container, SPARE, spare));
	EXPECT_OK(nest_map(n->container, mem, SPARE, spare,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	close(fd);
	nest_close(n);
}

/* A descriptor is a permission: whoever gets it may use it. */
TEST(handed_over)
{
	struct guest guest;
	struct nest *n = &guest.n;
	int status;
	pid_t pid;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	nest_close(n);
	ASSERT_OK(guest_open(&guest));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(act_as(USER) || nest_open_group(n->group_id) != -EACCES ||
		      bind_table(n, PASID, guest.pt.root) ||
		      invalidate_pasid(n, PASID));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* What it has bound stays when it has gone. */
	EXPECT_OK(dma_works(n, PASID, GUEST_VA, guest.page));
	EXPECT_OK(unbind(n, PASID));
	nest_close(n);
}

/* ---- a memory cgroup ---- */

/* Commands of klogctl() */
#define CONSOLE_OFF	6
#define CONSOLE_ON	7

/* What this many bindings take is more than what a CPU keeps charged in advance. */
#define MANY		800

FIXTURE(memcg)
{
	char root[64];
	char dir[80];
	char max[96];
	char current[96];
};

static void drop_cgroup(struct _test_data_memcg *self)
{
	rmdir(self->dir);
	umount2(self->root, MNT_DETACH);
	rmdir(self->root);
}

static int make_cgroup(struct _test_data_memcg *self)
{
	char control[96];

	snprintf(self->root, sizeof(self->root), "/dev/shm/cgroup.XXXXXX");
	if (!mkdtemp(self->root) || mount("none", self->root, "cgroup2", 0, NULL))
		return -errno;
	snprintf(control, sizeof(control), "%s/cgroup.subtree_control",
		 self->root);
	snprintf(self->dir, sizeof(self->dir), "%s/vmm", self->root);
	snprintf(self->max, sizeof(self->max), "%s/memory.max", self->dir);
	snprintf(self->current, sizeof(self->current), "%s/memory.current",
		 self->dir);
	if (testdev_sysfs_write(control, "+memory") || mkdir(self->dir, 0700))
		return -errno;
	return 0;
}

FIXTURE_SETUP(memcg)
{
	struct nest n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	nest_close(&n);
	if (make_cgroup(self)) {
		drop_cgroup(self);
		SKIP(return, "no memory cgroups");
	}
}

FIXTURE_TEARDOWN_PARENT(memcg)
{
	drop_cgroup(self);
}

struct usage {
	unsigned int before;
	unsigned int after;
	unsigned int bound;
};

/* What a child counts in, as the kernel may kill it */
static struct usage *usage_shared(void)
{
	void *usage = mmap(NULL, sizeof(struct usage), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return usage == MAP_FAILED ? NULL : usage;
}

/*
 * In a child, in the cgroup: bind PASIDs one after another, with @room bytes to spare,
 * or without a limit.
 */
static void bind_many(struct _test_data_memcg *self, struct usage *usage,
		      unsigned int room)
{
	struct guest guest;
	struct nest *n = &guest.n;
	char procs[96];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", self->dir);
	if (testdev_sysfs_write(procs, "0") || guest_open(&guest) ||
	    read_uint(self->current, &usage->before))
		_exit(1);
	if (room && write_uint(self->max, usage->before + room))
		_exit(2);
	while (usage->bound < MANY &&
	       !bind_table(n, usage->bound + 1, guest.pt.root))
		usage->bound++;
	_exit(read_uint(self->current, &usage->after) ? 3 : 0);
}

/* What a container makes the kernel keep is its user's. */
TEST_F_TIMEOUT(memcg, charged, SLOW)
{
	struct usage *usage = usage_shared();
	int status;
	pid_t pid;

	ASSERT_TRUE(!!usage);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		bind_many(self, usage, 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(MANY, usage->bound);
	TH_LOG("%u bytes for each binding",
	       (usage->after - usage->before) / MANY);
	EXPECT_LT(usage->before + MANY * 512, usage->after);
}

/* Where the limit ends, so do the bindings, and nothing of them is left. */
TEST_F_TIMEOUT(memcg, limit, SLOW)
{
	struct usage *usage = usage_shared();
	struct guest guest;
	int status;
	pid_t pid;

	ASSERT_TRUE(!!usage);
	/* The report of a process that is killed for its memory has a stack. */
	klogctl(CONSOLE_OFF, NULL, 0);
	pid = fork();
	if (!pid)
		bind_many(self, usage, 128 << 10);
	waitpid(pid, &status, 0);
	klogctl(CONSOLE_ON, NULL, 0);
	ASSERT_LT(0, pid);
	TH_LOG("%u bindings, then status %#x", usage->bound, status);
	EXPECT_TRUE(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	EXPECT_LT(0, usage->bound);
	EXPECT_LT(usage->bound, MANY);

	ASSERT_OK(guest_open(&guest));
	EXPECT_EQ(0, nest_used(guest.n.container));
	EXPECT_TRUE(dma_faults(&guest.n, 1, GUEST_VA));
	EXPECT_OK(bind_table(&guest.n, 1, guest.pt.root));
	EXPECT_OK(dma_works(&guest.n, 1, GUEST_VA, guest.page));
	nest_close(&guest.n);
}

TEST_HARNESS_MAIN
