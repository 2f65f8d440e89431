// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls that wait for memory of the user: they do not hold up anybody else, and read
 * what is there once.
 */
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/fuse.h>

#include "device.h"
#include "harness.h"

#define PASID		3
/* Where a test maps a page */
#define SPARE		(GUEST_BASE + 0x10000000)

/*
 * A FUSE file system whose root is a file of one page. A read of the page waits for
 * let_go(). Memory in front of the page can be read at once.
 */
struct lazy {
	int fuse;
	int reading;		/* eventfd: a read has arrived */
	int go;			/* eventfd: let it go on */
	int mnt;
	void *page;
	char content[PGT_4K];
};

union lazy_reply {
	struct fuse_init_out init;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	char page[PGT_4K];
};

/* Returns the length of the reply, or -errno. */
static int lazy_answer(struct lazy *lazy, const struct fuse_in_header *in,
		       union lazy_reply *out)
{
	__u64 one = 1;

	switch (in->opcode) {
	case FUSE_INIT:
		out->init.major = FUSE_KERNEL_VERSION;
		out->init.minor = FUSE_KERNEL_MINOR_VERSION;
		out->init.max_write = PGT_4K;
		return sizeof(out->init);
	case FUSE_GETATTR:
		out->attr.attr.ino = FUSE_ROOT_ID;
		out->attr.attr.size = PGT_4K;
		out->attr.attr.mode = S_IFREG | 0600;
		out->attr.attr.nlink = 1;
		return sizeof(out->attr);
	case FUSE_OPEN:
		return sizeof(out->open);
	case FUSE_READ:
		if (write(lazy->reading, &one, sizeof(one)) != sizeof(one) ||
		    read(lazy->go, &one, sizeof(one)) != sizeof(one))
			return -EIO;
		memcpy(out->page, lazy->content, PGT_4K);
		return PGT_4K;
	default:
		return -EOPNOTSUPP;
	}
}

static void *lazy_serve(void *data)
{
	struct {
		struct fuse_out_header head;
		union lazy_reply body;
	} reply;
	struct lazy *lazy = data;
	union {
		struct fuse_in_header head;
		char room[FUSE_MIN_READ_BUFFER + PGT_4K];
	} request;
	int len;

	while (read(lazy->fuse, &request, sizeof(request)) > 0) {
		memset(&reply, 0, sizeof(reply));
		len = lazy_answer(lazy, &request.head, &reply.body);
		reply.head.unique = request.head.unique;
		reply.head.error = len < 0 ? len : 0;
		reply.head.len = sizeof(reply.head) + (len < 0 ? 0 : len);
		if (write(lazy->fuse, &reply, reply.head.len) < 0)
			break;
	}
	return NULL;
}

/* Returns the mount, which nobody else sees, or -errno. */
static int lazy_mount(int fuse)
{
	char text[16];
	int fs, mnt;

	snprintf(text, sizeof(text), "%d", fuse);
	fs = fsopen("fuse", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "fd", text, 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "rootmode", "100000", 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "user_id", "0", 0) ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "group_id", "0", 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return mnt < 0 ? -errno : mnt;
}

static int lazy_open_file(struct lazy *lazy)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", lazy->mnt);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int lazy_open(struct lazy *lazy)
{
	pthread_t thread;
	struct stat st;
	void *front;
	int fd;

	lazy->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	lazy->reading = eventfd(0, 0);
	lazy->go = eventfd(0, 0);
	if (lazy->fuse < 0 || lazy->reading < 0 || lazy->go < 0)
		return -errno;
	lazy->mnt = lazy_mount(lazy->fuse);
	if (lazy->mnt < 0)
		return lazy->mnt;
	if (pthread_create(&thread, NULL, lazy_serve, lazy))
		return -EAGAIN;
	fd = lazy_open_file(lazy);
	/* The kernel learns the size of the file only when it is asked for it. */
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	front = mmap(NULL, 2 * PGT_4K, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (front == MAP_FAILED)
		return -errno;
	/* A private mapping: VFIO can't pin pages of a shared one. */
	lazy->page = mmap(front + PGT_4K, PGT_4K, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_FIXED, fd, 0);
	close(fd);
	return lazy->page == MAP_FAILED ? -errno : 0;
}

FIXTURE(held)
{
	struct nest n;
	struct pgt pt;
	struct lazy lazy;
};

FIXTURE_SETUP(held)
{
	struct nest *n = &self->n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (access("/dev/fuse", F_OK))
		SKIP(return, "needs FUSE");
	ASSERT_OK(lazy_open(&self->lazy));
	ASSERT_OK(guest_memory(n, GUEST_BASE));
	ASSERT_OK(pgt_init(&self->pt, &n->mem));
	ASSERT_OK(bind_table(n, PASID, self->pt.root));
}

FIXTURE_TEARDOWN(held)
{
}

struct caller {
	pthread_t thread;
	int container;
	unsigned long cmd;
	void *arg;
	int rc;
};

static void *call(void *data)
{
	struct caller *c = data;

	c->rc = xioctl(c->container, c->cmd, c->arg);
	return NULL;
}

static int begin(struct nest *n, struct caller *c, unsigned long cmd, void *arg)
{
	*c = (struct caller){
		.container = n->container,
		.cmd = cmd,
		.arg = arg,
	};
	return -pthread_create(&c->thread, NULL, call, c);
}

/* Returns when the call waits for the page. */
static int hold(struct _test_data_held *self, struct caller *c,
		unsigned long cmd, void *arg)
{
	__u64 one;
	int rc = begin(&self->n, c, cmd, arg);

	if (rc)
		return rc;
	return read(self->lazy.reading, &one, sizeof(one)) == sizeof(one) ?
		       0 : -errno;
}

/* Let the call have the page, wait for its end, and drop the page again. */
static int let_go(struct _test_data_held *self, struct caller *c)
{
	__u64 one = 1;
	int fd;

	if (write(self->lazy.go, &one, sizeof(one)) != sizeof(one))
		return -errno;
	pthread_join(c->thread, NULL);
	madvise(self->lazy.page, PGT_4K, MADV_DONTNEED);
	/* FUSE drops the pages of a file that is opened. */
	fd = lazy_open_file(&self->lazy);
	close(fd);
	return fd < 0 ? fd : 0;
}

/* Unbind the device from its driver, as an administrator does, and bind it again. */
static int take_back(struct nest *n)
{
	int rc;

	if (n->td.fd >= 0)
		close(n->td.fd);
	n->td.fd = -1;
	rc = testdev_unbind(n->bdf);
	return rc ? rc : testdev_bind_vfio(n->bdf);
}

static int locked_kib(void)
{
	char line[128];
	int kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmLck: %d", &kib);
	if (f)
		fclose(f);
	return kib;
}

/* With the device that has been taken back */
static int set_up_again(struct nest *n)
{
	int rc;

	close(n->group);
	n->group = nest_open_group(n->group_id);
	if (n->group < 0)
		return n->group;
	rc = xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container);
	if (!rc)
		rc = xioctl_num(n->container, VFIO_SET_IOMMU,
				VFIO_TYPE1_NESTING_IOMMU);
	if (!rc)
		rc = nest_device(n);
	return rc ? rc : nest_map(n->container, n->mem.base, GUEST_BASE,
				  GUEST_SIZE, VFIO_DMA_MAP_FLAG_READ |
					      VFIO_DMA_MAP_FLAG_WRITE);
}

/*
 * PASIDs and the file for page requests end with the last group, and not when a call
 * that waits for user memory does.
 */
TEST_F_TIMEOUT(held, pasids_go_back, SLOW)
{
	struct iommu_uapi_page_request req;
	struct nest *n = &self->n;
	struct caller c;
	__u32 pasid, again;
	int fd;

	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &pasid));
	fd = fault_fd_flags(n->container, VFIO_FAULT_FD_DMA_FAULTS,
			    IOMMU_UAPI_VERSION, 0);
	ASSERT_LE(0, fd);
	ASSERT_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	ASSERT_OK(hold(self, &c, VFIO_IOMMU_PASID_REQUEST, self->lazy.page));
	ASSERT_OK(take_back(n));
	EXPECT_EQ(0, read(fd, &req, sizeof(req)));
	ASSERT_OK(set_up_again(n));
	EXPECT_OK(pasid_alloc(n->container, pasid, pasid, &again));
	ASSERT_OK(let_go(self, &c));
	EXPECT_ERR(EINVAL, c.rc);
	EXPECT_OK(pasid_free(n->container, pasid, pasid));
	close(fd);
}

/* A device can be unbound while an ioctl of its container waits for user memory. */
TEST_F_TIMEOUT(held, take_back, SLOW)
{
	static const unsigned long cmds[] = {
		VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA,
		VFIO_IOMMU_BIND_GPASID, VFIO_IOMMU_CACHE_INVALIDATE,
		VFIO_IOMMU_PASID_REQUEST, VFIO_IOMMU_NEGOTIATE,
	};
	struct nest *n = &self->n;
	struct caller c;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		ASSERT_OK(hold(self, &c, cmds[i], self->lazy.page));
		EXPECT_OK(take_back(n));
		ASSERT_OK(let_go(self, &c));
		/* The page is full of zeroes, so argsz is 0. */
		EXPECT_ERR(EINVAL, c.rc)
			TH_LOG("command 0x%lx", cmds[i]);
		EXPECT_EQ(0, locked_kib());

		ASSERT_OK(set_up_again(n));
		EXPECT_OK(bind_table(n, PASID, self->pt.root));
	}
}

/* Take the device back while the call waits to write its answer. */
static int take_back_before_answer(struct nest *n, struct guarded *g,
				   struct caller *c, unsigned long cmd,
				   const void *arg, size_t size)
{
	int rc;

	memcpy(g->page, arg, size);
	rc = guard(g, true);
	if (!rc)
		rc = begin(n, c, cmd, g->page);
	if (!rc)
		rc = guard_wait(g);
	if (rc)
		return rc;
	rc = take_back(n);
	if (!rc)
		rc = guard(g, false);
	pthread_join(c->thread, NULL);
	return rc ? rc : set_up_again(n);
}

/*
 * What waits to write its answer has no device left, and is no reason for anybody else
 * to wait. A PASID that it has allocated goes back to the host.
 */
TEST_F_TIMEOUT(held, answer, SLOW)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct vfio_iommu_type1_pasid_request req = {
		.argsz = sizeof(req),
		.flags = VFIO_PASID_REQUEST_ALLOC,
	};
	struct nest *n = &self->n;
	struct iommu_uapi_caps needs = needs_host_pasid(&n->caps);
	struct negotiate_arg ask;
	struct guarded g;
	struct inv_arg inv;
	__u32 pasid, quota;
	struct caller c;

	if (!guard_supported())
		SKIP(return, "needs userfaultfd");
	ASSERT_OK(guard_open(&g));
	ASSERT_OK(nest_info(n->container, NULL, &quota, NULL));

	inv_init(&inv, 1);
	inv_addr(&inv.entry[0], n, PASID, GUEST_VA, 1);
	ASSERT_OK(take_back_before_answer(n, &g, &c, VFIO_IOMMU_CACHE_INVALIDATE,
					  &inv, inv.head.argsz));
	EXPECT_OK(c.rc);
	EXPECT_EQ(1, ((struct inv_arg *)g.page)->head.handled);

	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &pasid));
	ASSERT_OK(pasid_free(n->container, pasid, pasid));
	req.first = pasid;
	req.last = pasid;
	ASSERT_OK(take_back_before_answer(n, &g, &c, VFIO_IOMMU_PASID_REQUEST,
					  &req, sizeof(req)));
	EXPECT_ERR(EINVAL, c.rc);
	EXPECT_OK(pasid_alloc(n->container, pasid, pasid, &pasid));
	EXPECT_OK(pasid_free(n->container, pasid, pasid));

	negotiate_init(&ask, &needs, 0);
	ask.head.nr_pasids = quota + 1;
	ASSERT_OK(take_back_before_answer(n, &g, &c, VFIO_IOMMU_NEGOTIATE,
					  &ask, sizeof(ask)));
	EXPECT_ERR(ERANGE, c.rc);

	ASSERT_OK(take_back_before_answer(n, &g, &c, VFIO_IOMMU_GET_INFO,
					  &info, sizeof(info)));
	EXPECT_OK(c.rc);
	EXPECT_OK(bind_table(n, PASID, self->pt.root));
}

/*
 * Have @cmd read @arg while its first @nr bytes are in front of the page. What has been
 * read of them is overwritten before the rest can be read.
 */
static int overwrite(struct _test_data_held *self, unsigned long cmd,
		     const void *arg, size_t size, size_t nr)
{
	struct lazy *lazy = &self->lazy;
	struct caller c;
	int rc;

	memcpy(lazy->page - nr, arg, nr);
	memcpy(lazy->content, arg + nr, size - nr);
	rc = hold(self, &c, cmd, lazy->page - nr);
	if (rc)
		return rc;
	memset(lazy->page - nr, 0xff, nr);
	rc = let_go(self, &c);
	return rc ? rc : c.rc;
}

/*
 * R18: version, PASID and all else are read once, wherever the read waits. It waits
 * between words: the instruction that reads a word across two pages starts anew.
 */
TEST_F_TIMEOUT(held, read_once, SLOW)
{
	struct nest *n = &self->n;
	struct iommu_uapi_caps needs = needs_guest_pasid(&n->caps);
	struct negotiate_arg ask;
	struct bind_arg bind;
	struct inv_arg inv;
	size_t nr, size;

	bind_init(&bind, n, PASID, self->pt.root);
	bind.data.flags = IOMMU_UAPI_BIND_REPLACE;
	for (nr = sizeof(bind.head) + 8; nr < sizeof(bind); nr += 8) {
		EXPECT_OK(overwrite(self, VFIO_IOMMU_BIND_GPASID, &bind,
				    sizeof(bind), nr))
			TH_LOG("bind, %zu bytes", nr);
	}

	inv_init(&inv, 2);
	inv_addr(&inv.entry[0], n, PASID, GUEST_VA, 1);
	inv_addr(&inv.entry[1], n, PASID, GUEST_VA, 1);
	size = inv.head.argsz;
	for (nr = sizeof(inv.head) + 8; nr < size; nr += 8) {
		EXPECT_OK(overwrite(self, VFIO_IOMMU_CACHE_INVALIDATE, &inv,
				    size, nr))
			TH_LOG("invalidate, %zu bytes", nr);
	}

	negotiate_init(&ask, &needs, 0);
	for (nr = sizeof(ask.head) + 8; nr < sizeof(ask); nr += 8) {
		EXPECT_OK(overwrite(self, VFIO_IOMMU_NEGOTIATE, &ask,
				    sizeof(ask), nr))
			TH_LOG("negotiate, %zu bytes", nr);
	}
}

/* Is a process in uninterruptible sleep? */
static int process_waits(pid_t pid)
{
	char path[32], line[256], *state;
	int waits = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f && fgets(line, sizeof(line), f)) {
		state = strrchr(line, ')');
		waits = state && state[2] == 'D';
	}
	if (f)
		fclose(f);
	return waits;
}

/* Fork a process that waits for admin_start(), without VFIO's descriptors. */
static pid_t admin_fork(struct nest *n, int *start)
{
	pid_t pid;
	char c;
	int p[2];

	if (pipe(p))
		return -1;
	pid = fork();
	if (pid) {
		close(p[0]);
		*start = p[1];
		return pid;
	}
	close(p[1]);
	close(n->td.fd);
	close(n->group);
	close(n->container);
	n->td.fd = -1;
	if (read(p[0], &c, 1) != 1)
		_exit(1);
	return 0;
}

static int admin_start(int start)
{
	return write(start, "", 1) == 1 ? 0 : -errno;
}

static int admin_end(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && !status ? 0 : -ECHILD;
}

/*
 * Unbinding a device waits while memory is being pinned for it. Other devices are not
 * affected. This process can't map memory meanwhile: the ioctl holds its mmap_lock.
 */
TEST_F_TIMEOUT(held, others, SLOW)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)self->lazy.page,
		.iova = SPARE,
		.size = PGT_4K,
	};
	struct nest *n = &self->n;
	pid_t taking, giving;
	int start[2];
	struct caller c;
	char other[16];

	if (testdev_find(other, 1, 1))
		SKIP(return, "needs two devices");
	taking = admin_fork(n, &start[0]);
	if (!taking)
		_exit(!!take_back(n));
	giving = admin_fork(n, &start[1]);
	if (!giving) {
		while (!process_waits(taking))
			sched_yield();
		_exit(testdev_bind_vfio(other) || testdev_unbind(other) ||
		      testdev_bind_vfio(other) || !process_waits(taking));
	}
	ASSERT_LT(0, taking);
	ASSERT_LT(0, giving);

	ASSERT_OK(hold(self, &c, VFIO_IOMMU_MAP_DMA, &map));
	close(n->td.fd);
	ASSERT_OK(admin_start(start[0]));
	ASSERT_OK(admin_start(start[1]));
	EXPECT_OK(admin_end(giving));
	ASSERT_OK(let_go(self, &c));
	EXPECT_OK(admin_end(taking));
	EXPECT_EQ(0, locked_kib());
}

TEST_HARNESS_MAIN
