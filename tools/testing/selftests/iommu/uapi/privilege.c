// SPDX-License-Identifier: GPL-2.0
/*
 * What a VMM without privileges can do. It needs what any user of VFIO needs: access to
 * the group's node, and a limit of locked memory that the guest fits into.
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "device.h"
#include "harness.h"

/* A user, and a group of users, without any files */
#define USER		65533

#define PASID		3
#define SPARE		(GUEST_BASE + 0x10000000)

/* Capabilities go, too, when no user id is root's any more. */
static int become_user(void)
{
	if (setgroups(0, NULL) || setresgid(USER, USER, USER) ||
	    setresuid(USER, USER, USER))
		return -errno;
	return 0;
}

/* Guest memory, and a table that maps a page of it */
struct guest {
	struct nest n;
	struct pgt pt;
	__u64 page;
};

static int guest_start(struct guest *g)
{
	int rc = open_requester(&g->n, &g->pt, &g->page);

	return rc ? rc : pgt_map(&g->pt, GUEST_VA, g->page, PGT_4K, PGT_RW);
}

static int guest_open(struct guest *g, int nth)
{
	int rc = nest_open(&g->n, nth, 1, VFIO_TYPE1_NESTING_IOMMU);

	return rc ? rc : guest_start(g);
}

/* The node of a device's group belongs to the user. Any other node is root's. */
FIXTURE(user)
{
	char node[32];
	int nth;
};

FIXTURE_VARIANT(user)
{
	int namespace;
};

FIXTURE_VARIANT_ADD(user, plain)
{
};

/* Root of a user namespace has no capabilities outside of it. */
FIXTURE_VARIANT_ADD(user, user_ns)
{
	.namespace = CLONE_NEWUSER,
};

FIXTURE_SETUP(user)
{
	struct nest n;

	/* The second device, if there is one: in the lab, it can request pages. */
	self->nth = !testdev_find(n.bdf, 1, 1);
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &n, self->nth, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	nest_close(&n);
	snprintf(self->node, sizeof(self->node), "/dev/vfio/%d", n.group_id);
	/* Only root can give the first one to VFIO. */
	ASSERT_OK(testdev_find(n.bdf, 0, 1));
	ASSERT_OK(testdev_bind_vfio(n.bdf));
	ASSERT_OK(chown(self->node, USER, USER));
	ASSERT_OK(become_user());
	if (variant->namespace && unshare(variant->namespace))
		SKIP(return, "no user namespaces");
}

FIXTURE_TEARDOWN_PARENT(user)
{
	EXPECT_OK(chown(self->node, 0, 0));
}

/* Every ioctl, read and write works for a user who can open the node. */
TEST_F_TIMEOUT(user, can, SLOW)
{
	struct iommu_uapi_page_request req;
	struct iommu_uapi_dma_fault fault;
	struct negotiate_arg arg;
	struct guest guest;
	struct nest *n = &guest.n;
	__u32 got;
	int fd;

	ASSERT_OK(guest_open(&guest, self->nth));
	negotiate_init(&arg, &n->caps, VFIO_NEGOTIATE_COMMIT);
	arg.caps = needs_host_pasid(&n->caps);
	arg.head.nr_pasids = 4;
	EXPECT_OK(negotiate(n, &arg));
	fd = fault_fd_unlimited(n->container, VFIO_FAULT_FD_DMA_FAULTS);
	ASSERT_LE(0, fd);
	ASSERT_OK(pasid_alloc(n->container, PASID, PASID, &got));
	if (n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST) {
		EXPECT_OK(bind_requests(n, PASID, guest.pt.root));
		ASSERT_EQ(0, request_at(n, TESTDEV_PASID(PASID), 1,
					GUEST_VA + PGT_4K));
		ASSERT_OK(read_one(fd, &req));
		ASSERT_OK(respond(fd, &req, IOMMU_UAPI_RESP_INVALID));
		EXPECT_EQ(1, wait_answers(n, 1));
		EXPECT_OK(unbind(n, PASID));
	}
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

/* A user who can't open a group's node can't have its device. */
TEST_F_TIMEOUT(user, cannot, SLOW)
{
	struct nest n;

	if (!self->nth)
		SKIP(return, "needs two devices");
	EXPECT_ERR(EACCES, nest_open(&n, 0, 1, VFIO_TYPE1_NESTING_IOMMU));
	EXPECT_ERR(EINVAL, xioctl_num(n.container, VFIO_SET_IOMMU,
				      VFIO_TYPE1_NESTING_IOMMU));
	close(n.container);
}

/* The limit of locked memory is for what is mapped; nothing else counts. */
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
	ASSERT_OK(guest_open(&guest, self->nth));
	EXPECT_ERR(ENOMEM, nest_map(n->container, mem, SPARE, spare + PGT_4K,
				    VFIO_DMA_MAP_FLAG_READ |
				    VFIO_DMA_MAP_FLAG_WRITE));
	EXPECT_OK(nest_map(n->container, mem, SPARE, spare,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));

	/* There is no room for another page now. */
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

/* A process that can't open the node can use a container that it was given. */
TEST(handed_over)
{
	struct guest guest;
	struct nest *n = &guest.n;
	int status;
	pid_t pid;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	ASSERT_OK(guest_start(&guest));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(become_user() || nest_open_group(n->group_id) != -EACCES ||
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

/* Their memory is several times what a CPU charges to a cgroup in advance. */
#define MANY		800
#define PRINTK		"/proc/sys/kernel/printk"

FIXTURE(memcg)
{
	int fs;
	char max[64];
	char current[64];
	char procs[64];
};

/* A cgroup below a mount that nobody else sees */
static int make_cgroup(struct _test_data_memcg *self)
{
	int fs = fsopen("cgroup2", FSOPEN_CLOEXEC);
	char control[64];

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	self->fs = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (self->fs < 0)
		return -errno;
	snprintf(control, sizeof(control), "/proc/self/fd/%d/cgroup.subtree_control",
		 self->fs);
	if (testdev_sysfs_write(control, "+memory"))
		return -EOPNOTSUPP;
	if (mkdirat(self->fs, "vmm", 0700))
		return -errno;
	snprintf(self->max, sizeof(self->max), "/proc/self/fd/%d/vmm/memory.max",
		 self->fs);
	snprintf(self->current, sizeof(self->current),
		 "/proc/self/fd/%d/vmm/memory.current", self->fs);
	snprintf(self->procs, sizeof(self->procs),
		 "/proc/self/fd/%d/vmm/cgroup.procs", self->fs);
	return 0;
}

FIXTURE_SETUP(memcg)
{
	struct nest n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, &n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	nest_close(&n);
	if (make_cgroup(self))
		SKIP(return, "no memory cgroups");
}

FIXTURE_TEARDOWN(memcg)
{
	EXPECT_OK(unlinkat(self->fs, "vmm", AT_REMOVEDIR));
}

struct usage {
	unsigned int before;
	unsigned int after;
	unsigned int bound;
	int rc;
};

/* For the counts of a child, which the kernel may kill */
static struct usage *usage_shared(void)
{
	void *usage = mmap(NULL, sizeof(struct usage), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return usage == MAP_FAILED ? NULL : usage;
}

/*
 * In a child: enter the cgroup, and bind one PASID after another. @room: how many bytes
 * more the cgroup may have from then on, 0 for any number.
 */
static void bind_many(struct _test_data_memcg *self, struct usage *usage,
		      unsigned int room)
{
	struct guest guest;

	if (testdev_sysfs_write(self->procs, "0") || guest_open(&guest, 0) ||
	    read_uint(self->current, &usage->before))
		_exit(1);
	if (room && write_uint(self->max, usage->before + room))
		_exit(2);
	while (usage->bound < MANY && !usage->rc) {
		usage->rc = bind_table(&guest.n, usage->bound + 1, guest.pt.root);
		usage->bound += !usage->rc;
	}
	_exit(read_uint(self->current, &usage->after) ? 3 : 0);
}

/* What the kernel keeps for a binding is charged to whoever binds. */
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

/*
 * At the limit, a bind fails or the kernel kills the process, as for any memory. Nothing
 * of its bindings is left.
 */
TEST_F_TIMEOUT(memcg, limit, SLOW)
{
	struct usage *usage = usage_shared();
	unsigned int level;
	struct guest guest;
	int status;
	pid_t pid;

	ASSERT_TRUE(!!usage);
	/* The kernel's report has a stack, at the level of warnings. */
	ASSERT_OK(read_uint(PRINTK, &level));
	ASSERT_OK(write_uint(PRINTK, 4));
	pid = fork();
	if (!pid)
		bind_many(self, usage, 128 << 10);
	waitpid(pid, &status, 0);
	EXPECT_OK(write_uint(PRINTK, level));
	ASSERT_LT(0, pid);
	TH_LOG("%u bindings, error %d, status %#x", usage->bound, usage->rc,
	       status);
	if (WIFSIGNALED(status)) {
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	} else {
		EXPECT_EQ(0, status);
		EXPECT_EQ(-ENOMEM, usage->rc);
	}
	EXPECT_LT(0, usage->bound);
	EXPECT_LT(usage->bound, MANY);

	ASSERT_OK(guest_open(&guest, 0));
	EXPECT_EQ(0, nest_used(guest.n.container));
	EXPECT_TRUE(dma_faults(&guest.n, 1, GUEST_VA));
	EXPECT_OK(bind_table(&guest.n, 1, guest.pt.root));
	EXPECT_OK(dma_works(&guest.n, 1, GUEST_VA, guest.page));
	nest_close(&guest.n);
}

TEST_HARNESS_MAIN
