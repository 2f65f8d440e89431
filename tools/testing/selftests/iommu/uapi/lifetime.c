// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of bindings and PASIDs when a device, a group, a container or a
 * process comes or goes, and when all calls are made at once.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "nesting.h"

static int pci_remove(const char *bdf)
{
	char path[PATH_MAX];

	testdev_sysfs(path, bdf, "remove");
	return testdev_sysfs_write(path, "1");
}

/*
 * Bind one of two devices that share a group, and take the other one away before.
 * Without PASID: where such a group can come about, PCI does not let its devices
 * use PASIDs.
 */
static int bind_without_company(struct _test_data_nesting *self,
				struct nest *one, char other[16])
{
	char bdf[16];
	int i, rc;

	if (testdev_find(bdf, 0, 2) || testdev_find(other, 1, 2))
		return -ENODEV;
	rc = pci_remove(other);
	/* Which one of the groups of one it is now */
	for (i = 0; !rc && strcmp(one->bdf, bdf); i++)
		rc = testdev_find(one->bdf, i, 1);
	one->container = self->n.container;
	one->version = self->n.version;
	if (!rc)
		rc = nest_join(one, i - 1, 1);
	if (!rc)
		rc = nest_device(one);
	return rc ? rc : bind_table(one, 0, self->pt.root);
}

/* R38: a device joins the group of one that is bound */
TEST_F(nesting, company_comes)
{
	struct nest one = {};
	char other[16];
	__u64 got;
	int rc;

	rc = bind_without_company(self, &one, other);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_OK(rc);
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&one.td, TESTDEV_NO_PASID,
					     GUEST_VA, &got, 8));

	ASSERT_OK(testdev_sysfs_write("/sys/bus/pci/rescan", "1"));
	ASSERT_EQ(2, testdev_group_size(one.group_id));
	EXPECT_ERR(ENOENT, nest_info(one.container, NULL, NULL, NULL));
	/* What is bound stays, and can be invalidated and unbound. */
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&one.td, TESTDEV_NO_PASID,
					     GUEST_VA, &got, 8));
	EXPECT_OK(invalidate_pasid(&one, 0));
	EXPECT_OK(unbind(&one, 0));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&one.td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_ERR(ENODEV, bind_table(&one, 0, self->pt.root));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	close(one.td.fd);
	close(one.group);
}

/* R46: the bound device leaves a group in which another one stays */
TEST_F(nesting, company_stays)
{
	struct nest one = {};
	char other[16];
	int rc;

	rc = bind_without_company(self, &one, other);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_OK(rc);
	ASSERT_OK(testdev_sysfs_write("/sys/bus/pci/rescan", "1"));
	ASSERT_OK(testdev_bind_vfio(other));
	close(one.td.fd);
	ASSERT_OK(pci_remove(one.bdf));

	/* Its binding went with it, and what stays can't nest. */
	EXPECT_ERR(ENOENT, invalidate_pasid(&one, 0));
	EXPECT_ERR(ENOENT, unbind(&one, 0));
	EXPECT_ERR(ENODEV, bind_table(&one, 0, self->pt.root));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	close(one.group);
	EXPECT_OK(testdev_sysfs_write("/sys/bus/pci/rescan", "1"));
}

/* Read-only memory: allowed where reported, else refused and nothing left */
TEST_F(nesting, map_read_only)
{
	__u64 iova = GUEST_BASE + PGT_1G;
	struct nest *n = &self->n;
	int rc;

	rc = nest_map(n->container, n->mem.base, iova, PGT_4K,
		      VFIO_DMA_MAP_FLAG_READ);
	if (n->caps.features & IOMMU_UAPI_FEAT_RO_MAP) {
		EXPECT_EQ(0, rc);
		EXPECT_OK(nest_unmap(n->container, iova, PGT_4K));
	} else {
		EXPECT_EQ(-EOPNOTSUPP, rc);
	}
	EXPECT_OK(nest_map(n->container, n->mem.base, iova, PGT_4K,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE));
	EXPECT_OK(nest_unmap(n->container, iova, PGT_4K));
	expect_clean(_metadata, self);
}

/* R45: without its last group, a container has nothing, and starts anew */
TEST_F(nesting, last_group_leaves)
{
	struct nest *n = &self->n;
	__u32 pasid;

	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	close(n->td.fd);
	ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
	EXPECT_ERR(EINVAL, pasid_free(n->container, 0, ~0u));
	EXPECT_ERR(EINVAL, unbind(n, self->pasid));

	ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &n->container));
	ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU,
			     VFIO_TYPE1_NESTING_IOMMU));
	ASSERT_OK(nest_device(n));
	EXPECT_EQ(0, nest_used(n->container));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	/* The number is free again. */
	EXPECT_OK(pasid_alloc(n->container, self->pasid, self->pasid, &pasid));
}

/* R46: the same as another kind of container */
TEST_F(nesting, then_plain)
{
	struct nest *n = &self->n;
	__u64 got;

	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	if (n->caps.features & IOMMU_UAPI_FEAT_BIND_NO_PASID)
		ASSERT_OK(bind_table(n, 0, self->pt.root));
	nest_close(n);
	ASSERT_OK(nest_open(n, variant->nth, 1, VFIO_TYPE1v2_IOMMU));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_ERR(ENOTTY, unbind(n, self->pasid));
}

/* R46: the order in which the files are closed does not matter */
TEST_F_TIMEOUT(nesting, close_order, SLOW)
{
	static const char orders[][4] = { "cgd", "cdg", "gcd", "gdc", "dcg",
					  "dgc" };
	struct nest *n = &self->n;
	unsigned int i, j;
	__u32 pasid;

	nest_close(n);
	for (i = 0; i < ARRAY_LEN(orders); i++) {
		ASSERT_OK(nest_open(n, variant->nth, 1,
				    VFIO_TYPE1_NESTING_IOMMU));
		EXPECT_EQ(0, nest_used(n->container));
		ASSERT_OK(pasid_alloc(n->container, self->pasid, self->pasid,
				      &pasid));
		ASSERT_OK(bind_table(n, pasid, GUEST_BASE));
		for (j = 0; j < 3; j++)
			close(orders[i][j] == 'c' ? n->container :
			      orders[i][j] == 'g' ? n->group : n->td.fd);
	}
}

static void hold_and_work(int nth, __u32 pasid, int tell)
{
	struct nest n;
	struct pgt pt;
	__u64 page;

	if (nest_open(&n, nth, 1, VFIO_TYPE1_NESTING_IOMMU) ||
	    gmem_init(&n.mem, GUEST_BASE, PGT_2M) ||
	    nest_map(n.container, n.mem.base, GUEST_BASE, PGT_2M,
		     VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE) ||
	    pgt_init(&pt, &n.mem))
		_exit(1);
	page = gmem_alloc(&n.mem, PGT_4K, PGT_4K);
	if (pgt_map(&pt, GUEST_VA, page, PGT_4K, PGT_RW) ||
	    pasid_alloc(n.container, pasid, pasid, &pasid) ||
	    bind_table(&n, pasid, pt.root) ||
	    dma_works(&n, pasid, GUEST_VA, page) || write(tell, "x", 1) != 1)
		_exit(2);
	for (;;) {
		dma_write(&n, pasid, GUEST_VA, 1);
		invalidate_pasid(&n, pasid);
		unbind(&n, pasid);
		pasid_free(n.container, pasid, pasid);
		pasid_alloc(n.container, pasid, pasid, &pasid);
		bind_table(&n, pasid, pt.root);
	}
}

/* R46: killed at any moment, and nothing is left */
TEST_F_TIMEOUT(nesting, kill, SLOW)
{
	struct nest *n = &self->n;
	int i, tell[2], status;
	__u32 got;
	pid_t pid;
	char c;

	nest_close(n);
	for (i = 0; i < 12; i++) {
		ASSERT_OK(pipe(tell));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			hold_and_work(variant->nth, self->pasid, tell[1]);
		close(tell[1]);
		ASSERT_EQ(1, read(tell[0], &c, 1));
		close(tell[0]);
		usleep(i * 777);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));

		ASSERT_OK(nest_open(n, variant->nth, 1,
				    VFIO_TYPE1_NESTING_IOMMU));
		EXPECT_EQ(0, nest_used(n->container));
		EXPECT_ERR(ENOENT, unbind(n, self->pasid));
		EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
		EXPECT_OK(pasid_alloc(n->container, self->pasid, self->pasid,
				      &got));
		EXPECT_OK(bind_table(n, self->pasid, GUEST_BASE));
		EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
		nest_close(n);
	}
}

struct storm {
	struct nest *n;
	__u32 pasid;
	__u64 root;
	atomic_int *stop;
	int what;
	int bad;
	atomic_int done;
};

static void *storm_thread(void *data)
{
	static __thread struct inv_arg arg;
	struct storm *s = data;
	__u32 got;
	int rc, i;

	while (!*s->stop) {
		switch (s->what) {
		case 0:
			rc = bind_table(s->n, s->pasid, s->root);
			s->bad += rc && rc != -EEXIST && rc != -ENOENT;
			break;
		case 1:
			rc = unbind(s->n, s->pasid);
			s->bad += rc && rc != -ENOENT;
			break;
		case 2:
			rc = pasid_free(s->n->container, s->pasid, s->pasid);
			s->bad += rc && rc != -EBUSY && rc != -ENOENT;
			break;
		case 3:
			rc = pasid_alloc(s->n->container, s->pasid, s->pasid,
					 &got);
			s->bad += rc && rc != -ENOSPC;
			break;
		case 4:
			inv_init(&arg, 20);
			for (i = 0; i < 20; i++)
				inv_addr(&arg.entry[i], s->n, s->pasid,
					 GUEST_VA, 1);
			rc = do_inv(s->n, &arg);
			s->bad += rc && rc != -ENOENT;
			break;
		default:
			rc = nest_used(s->n->container);
			s->bad += rc < 0;
			rc = 0;
		}
		s->done += !rc;
	}
	return NULL;
}

/* R47 R48: all at once, on one PASID */
TEST_F_TIMEOUT(nesting, storm, SLOW)
{
	struct storm storms[7];
	atomic_int stop = 0;
	pthread_t threads[7];
	__u32 pasid;
	int i;

	for (i = 0; i < 7; i++) {
		storms[i] = (struct storm){
			.n = &self->n,
			.pasid = self->pasid,
			.root = self->pt.root,
			.stop = &stop,
			.what = i == 6 ? 4 : i,
		};
		ASSERT_OK(pthread_create(&threads[i], NULL, storm_thread,
					 &storms[i]));
	}
	sleep(2);
	/* However little of that each of them has had */
	for (i = 0; i < 7; i++) {
		while (!storms[i].done)
			usleep(1000);
	}
	stop = 1;
	for (i = 0; i < 7; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, storms[i].bad);
		EXPECT_LT(0, storms[i].done);
	}
	unbind(&self->n, self->pasid);
	pasid_free(self->n.container, 0, ~0u);
	EXPECT_EQ(0, nest_used(self->n.container));
	ASSERT_OK(pasid_alloc(self->n.container, self->pasid, self->pasid,
			      &pasid));
	expect_clean(_metadata, self);
}

static void *ioctl_thread(void *data)
{
	struct storm *s = data;

	while (!*s->stop) {
		s->bad += nest_info(s->n->container, NULL, NULL, NULL) ==
			  -EPROTO;
		invalidate_pasid(s->n, s->pasid);
		s->done++;
	}
	return NULL;
}

/* The backend goes while another thread is calling it */
TEST_F_TIMEOUT(nesting, release_while_calling, SLOW)
{
	atomic_int stop = 0;
	struct nest *n = &self->n;
	struct storm s = { .n = n, .pasid = self->pasid, .stop = &stop };
	pthread_t threads[2];
	__u32 pasid;
	int i;

	for (i = 0; i < 2; i++)
		ASSERT_OK(pthread_create(&threads[i], NULL, ioctl_thread, &s));
	for (i = 0; i < 50; i++) {
		close(n->td.fd);
		ASSERT_OK(xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL));
		ASSERT_OK(xioctl(n->group, VFIO_GROUP_SET_CONTAINER,
				 &n->container));
		ASSERT_OK(xioctl_num(n->container, VFIO_SET_IOMMU,
				     VFIO_TYPE1_NESTING_IOMMU));
		ASSERT_OK(nest_device(n));
		ASSERT_OK(pasid_alloc(n->container, self->pasid, self->pasid,
				      &pasid));
		ASSERT_OK(bind_table(n, pasid, GUEST_BASE));
	}
	while (!s.done)
		usleep(1000);
	stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, s.bad);
	EXPECT_LT(0, s.done);
}

/* R27: no flood in the log, whatever is asked for */
TEST_F_TIMEOUT(nesting, quiet, SLOW)
{
	static struct inv_arg inv;
	struct nest *n = &self->n;
	char line[1024];
	int fd, i, lines = 0;

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		SKIP(return, "can't read the log");
	for (i = 0; i < 500; i++) {
		struct bind_arg arg;

		bind_init(&arg, n, self->pasid, self->pt.root | 8);
		do_bind(n, &arg);
		bind_init(&arg, n, self->pasid, self->pt.root);
		arg.data.version = i + 3;
		do_bind(n, &arg);
		arg.data.version = n->version;
		arg.data.vtd.flags = ~0ULL;
		do_bind(n, &arg);
		arg.data.vtd.flags = 0;
		arg.data.gpgd = 1ULL << 63;
		do_bind(n, &arg);
		inv_init(&inv, 1);
		inv_pasid(&inv.entry[0], n, self->pasid);
		inv.entry[0].granularity = 77;
		do_inv(n, &inv);
		nest_map(n->container, n->mem.base, GUEST_BASE + PGT_1G,
			 PGT_4K, VFIO_DMA_MAP_FLAG_READ);
		nest_unmap(n->container, GUEST_BASE + PGT_1G, PGT_4K);
		bind_table(n, self->pasid + 1, self->pt.root);
		pasid_free(n->container, self->pasid + 1, ~0u);
		nest_info(n->container, NULL, NULL, NULL);
	}
	while (read(fd, line, sizeof(line)) > 0)
		lines++;
	EXPECT_GE(20, lines);
}

TEST_HARNESS_MAIN
