// SPDX-License-Identifier: GPL-2.0
/*
 * What the calls cost, in guest instructions: through a container, and through
 * IOMMUFD on the same kernel and the same devices. Run by lab/bench, under
 * `lab/run --both --icount`. Prints lines "plain|ours|theirs NAME FIGURE". A figure is
 * the median of some runs, so that timer interrupts don't count.
 */
#include <err.h>
#include <stdlib.h>

#include <linux/iommufd.h>

#include "device.h"
#include "iommufd.h"

#define RUNS		33
#define GROUPS		16
/* A guest's PASIDs have as many bits as the quota allows for. */
#define QUOTA		((1 << 14) - 1)
/* Not mapped otherwise */
#define UNMAP_IOVA	(GUEST_BASE + GUEST_SIZE)
/* Devices of the rig that come before those that are measured */
#define FIRST		1

#define MUST(op) ({							\
	int _rc = (op);							\
									\
	if (_rc < 0)							\
		errx(1, "line %d: %s: %s", __LINE__, #op,		\
		     strerror(-_rc));					\
	_rc;								\
})

/* Whose figures are printed */
static const char *side;

struct samples {
	long cost[RUNS];
	int nr;
};

/* Under -icount shift=0, the time stamp counter counts instructions. */
static long now(void)
{
	return __builtin_ia32_rdtsc();
}

static void sample(struct samples *s, long start)
{
	s->cost[s->nr++] = now() - start;
}

static int compare(const void *a, const void *b)
{
	return *(const long *)a < *(const long *)b ? -1 :
	       *(const long *)a > *(const long *)b;
}

static long median(struct samples *s)
{
	qsort(s->cost, s->nr, sizeof(s->cost[0]), compare);
	return s->cost[s->nr / 2];
}

static void print(const char *name, long figure)
{
	printf("%s %s %ld\n", side, name, figure);
}

static void print_nr(const char *name, int nr, long figure)
{
	printf("%s %s-%d %ld\n", side, name, nr, figure);
}

/* ---- invalidations ---- */

/* What one call of either interface takes */
struct invalidation {
	int fd;
	unsigned long cmd;
	void *arg;
	const __u32 *handled;
	/* @nr entries of @pages pages each, @step pages apart */
	void (*fill)(__u32 nr, __u64 step, __u64 pages);
};

static long invalidate(const struct invalidation *inv, __u32 nr, __u64 step,
		       __u64 pages)
{
	struct samples s = {};
	long start;
	int run;

	for (run = 0; run < RUNS; run++) {
		/* How many were handled takes the place of the number. */
		inv->fill(nr, step, pages);
		start = now();
		MUST(xioctl(inv->fd, inv->cmd, inv->arg));
		sample(&s, start);
		if (*inv->handled != nr)
			errx(1, "%u of %u handled", *inv->handled, nr);
	}
	return median(&s);
}

static void invalidations(const struct invalidation *inv)
{
	print("scattered-256", invalidate(inv, 256, 2, 1));
	print("row-64", invalidate(inv, 64, 1, 1));
	print("granules-64", invalidate(inv, 1, 64, 64));
}

static void invalidations_groups(const struct invalidation *inv, int groups)
{
	print_nr("page", groups, invalidate(inv, 1, 2, 1));
	print_nr("array", groups, invalidate(inv, 64, 2, 1));
}

/* ---- page requests ---- */

/* What one page request group, and the answer to it, is to either interface */
struct queue {
	int fd;
	struct testdev *td;
	size_t size;
	/* Returns the size of @out. */
	size_t (*answer)(void *out, const void *record);
};

typedef __u64 record_t[8];

static void request_send(const struct queue *q)
{
	static __u32 grpid;
	__u32 prreq = ONE_REQUEST | TESTDEV_PRREQ_UNLIMITED | grpid++ % 512;
	__u32 cmd = TESTDEV_CMD_REQUEST;

	testdev_put(q->td, TESTDEV_REG_PRREQ, &prreq, sizeof(prreq));
	testdev_put(q->td, TESTDEV_REG_CMD, &cmd, sizeof(cmd));
}

static void request_read(const struct queue *q, record_t record)
{
	MUST(wait_readable(q->fd));
	if (read(q->fd, record, q->size) != (ssize_t)q->size)
		err(1, "page request");
}

static void request_answer(const struct queue *q, const record_t record)
{
	record_t out;
	ssize_t len = q->answer(out, record);

	if (write(q->fd, out, len) != len)
		err(1, "page response");
}

/* @waiting groups have been read, and not answered. */
static void requests_given(const struct queue *q, int waiting)
{
	struct samples arrive = {}, answer = {};
	record_t record[waiting + 1], out;
	ssize_t len;
	long start;
	int i, run;

	for (i = 0; i < waiting; i++) {
		request_send(q);
		request_read(q, record[i]);
	}
	for (run = 0; run < RUNS; run++) {
		start = now();
		request_send(q);
		request_read(q, record[waiting]);
		sample(&arrive, start);

		len = q->answer(out, record[waiting]);
		start = now();
		if (write(q->fd, out, len) != len)
			err(1, "page response");
		sample(&answer, start);
	}
	while (i--)
		request_answer(q, record[i]);
	print_nr("arrive", waiting, median(&arrive));
	print_nr("answer", waiting, median(&answer));
}

/* @waiting groups more than the one that is read have arrived. */
static void requests_unread(const struct queue *q, int waiting)
{
	struct samples s = {};
	record_t record;
	long start;
	int i, run;

	for (i = 0; i < waiting; i++)
		request_send(q);
	for (run = 0; run < RUNS; run++) {
		request_send(q);
		/* The only CPU is idle once all have arrived. */
		usleep(1000);
		start = now();
		if (read(q->fd, record, q->size) != (ssize_t)q->size)
			err(1, "page request");
		sample(&s, start);
		request_answer(q, record);
	}
	while (i--) {
		request_read(q, record);
		request_answer(q, record);
	}
	print_nr("read", waiting, median(&s));
}

static void page_requests(const struct queue *q)
{
	static const int waiting[] = { 0, 1, 10, 100 };
	__u32 answers = testdev_get32(q->td, TESTDEV_REG_PRRESP);
	__u32 sent = 0;
	__u64 addr = GUEST_VA;
	unsigned int i;

	testdev_put(q->td, TESTDEV_REG_ADDR, &addr, sizeof(addr));
	for (i = 0; i < sizeof(waiting) / sizeof(waiting[0]); i++) {
		requests_given(q, waiting[i]);
		requests_unread(q, waiting[i]);
		sent += 2 * (RUNS + waiting[i]);
	}
	answers = testdev_get32(q->td, TESTDEV_REG_PRRESP) - answers;
	if (answers != sent)
		errx(1, "%u page requests, %u page responses", sent, answers);
}

/* ---- through a container ---- */

static struct inv_arg call;
static struct nest first;

static void fill_ours(__u32 nr, __u64 step, __u64 pages)
{
	__u32 i;

	inv_init(&call, nr);
	for (i = 0; i < nr; i++)
		inv_addr(&call.entry[i], &first, 0, GUEST_VA + i * step * PGT_4K,
			 pages);
}

/* What becomes of an array whose first entry is refused */
static long refused(__u32 nr)
{
	struct samples s = {};
	long start;
	int run, rc;

	for (run = 0; run < RUNS; run++) {
		fill_ours(nr, 2, 1);
		call.entry[0].addr_info.pasid = 1;
		start = now();
		rc = do_inv(&first, &call);
		sample(&s, start);
		if (rc != -ENOENT || call.head.handled)
			errx(1, "not refused: %d", rc);
	}
	return median(&s);
}

static void bind_ours(__u32 pasid, __u64 root, const char *name)
{
	struct samples s = {};
	long start;
	int run;

	for (run = 0; run < RUNS; run++) {
		start = now();
		MUST(bind_table(&first, pasid, root));
		MUST(unbind(&first, pasid));
		sample(&s, start);
	}
	print(name, median(&s));
}

/* A page of its own is mapped, and unmapped. */
static void map_ours(int container, struct samples *map, struct samples *unmap)
{
	static __u8 page[PGT_4K] __attribute__((aligned(PGT_4K)));
	long start;
	int run;

	for (run = 0; run < RUNS; run++) {
		start = now();
		MUST(nest_map(container, page, UNMAP_IOVA, PGT_4K,
			      VFIO_DMA_MAP_FLAG_READ |
			      VFIO_DMA_MAP_FLAG_WRITE));
		sample(map, start);
		start = now();
		MUST(nest_unmap(container, UNMAP_IOVA, PGT_4K));
		sample(unmap, start);
	}
}

/*
 * Memory that the kernel has allocated for itself, in bytes. RCU keeps what is freed for
 * up to five seconds, and each CPU what it has not yet added to the sum for one.
 */
static long kernel_memory(void)
{
	char line[128];
	long sum = 0, kb;
	FILE *f;

	sleep(7);
	f = fopen("/proc/meminfo", "r");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %ld", &kb) == 1 ||
		    sscanf(line, "SecPageTables: %ld", &kb) == 1)
			sum += kb * 1024;
	fclose(f);
	return sum;
}

/* What one more costs, and a change of memory, with @bound page tables bound */
static void bound_ours(int bound, __u64 root)
{
	struct samples map = {}, unmap = {}, bind = {};
	long start;
	int run;

	map_ours(first.container, &map, &unmap);
	print_nr("unmap", bound, median(&unmap));
	/*
	 * Each stays until the last: what one bind has allocated and an unbind has freed
	 * may be the first object of a slab, and cost a page each time.
	 */
	for (run = 1; run <= RUNS; run++) {
		start = now();
		MUST(bind_table(&first, bound + run, root));
		sample(&bind, start);
	}
	while (--run)
		MUST(unbind(&first, bound + run));
	print_nr("bind", bound, median(&bind));
}

/* @most: how many PASIDs are bound at most */
static void ours(int most)
{
	struct invalidation inv = {
		.cmd = VFIO_IOMMU_CACHE_INVALIDATE,
		.arg = &call,
		.handled = &call.head.handled,
		.fill = fill_ours,
	};
	static struct nest other[GROUPS + 1];
	long memory = 0;
	struct pgt pt;
	int i, next;

	side = "ours";
	MUST(nest_open(&first, FIRST, 1, VFIO_TYPE1_NESTING_IOMMU));
	MUST(guest_memory(&first, GUEST_BASE));
	MUST(pgt_init(&pt, &first.mem));
	inv.fd = first.container;

	bind_ours(0, pt.root, "bind-unbind");
	bind_ours(1, pt.root, "bind-unbind-pasid");
	MUST(bind_table(&first, 0, pt.root));
	invalidations(&inv);
	/* In both calls the core checks a second entry, for another PASID. */
	print("copy", (refused(17) - refused(2)) / 15);
	MUST(unbind(&first, 0));

	for (i = next = 1; next <= most; i++) {
		MUST(bind_table(&first, i, pt.root));
		if (i != next)
			continue;
		if (i == 1)
			memory = -kernel_memory();
		if (i == 1000)
			print("memory", (memory + kernel_memory()) / 999);
		bound_ours(i, pt.root);
		next *= 10;
	}
	while (--i)
		MUST(unbind(&first, i));

	MUST(bind_table(&first, 0, pt.root));
	for (i = next = 1; i <= GROUPS; i++) {
		if (i > 1) {
			MUST(guest_device(&other[i], &first, FIRST + i - 1));
			MUST(bind_table(&other[i], 0, pt.root));
		}
		if (i == next) {
			invalidations_groups(&inv, i);
			next *= 2;
		}
	}
	while (--i > 1) {
		close(other[i].td.fd);
		close(other[i].group);
	}
	nest_close(&first);
}

static size_t answer_ours(void *out, const void *record)
{
	const struct iommu_uapi_page_request *req = record;

	*(struct iommu_uapi_page_response *)out =
		(struct iommu_uapi_page_response){
			.version = IOMMU_UAPI_VERSION_2,
			.flags = IOMMU_UAPI_RESP_COOKIE_VAL,
			.grpid = req->grpid,
			.cookie = req->cookie,
			.code = IOMMU_UAPI_RESP_SUCCESS,
		};
	return sizeof(struct iommu_uapi_page_response);
}

static void requests_ours(void)
{
	struct queue q = {
		.td = &first.td,
		.size = sizeof(struct iommu_uapi_page_request),
		.answer = answer_ours,
	};
	struct pgt pt;

	side = "ours";
	MUST(nest_open(&first, FIRST, 1, VFIO_TYPE1_NESTING_IOMMU));
	MUST(guest_memory(&first, GUEST_BASE));
	MUST(pgt_init(&pt, &first.mem));
	q.fd = MUST(fault_fd_flags(first.container, VFIO_FAULT_FD_TIMEOUT,
				   IOMMU_UAPI_VERSION, 0));
	MUST(bind_requests(&first, 0, pt.root));
	page_requests(&q);
	close(q.fd);
	nest_close(&first);
}

/* ---- through IOMMUFD ---- */

static struct iommu_hwpt_vtd_s1_invalidate entries[VFIO_CACHE_INVALIDATE_MAX];
static struct iommu_hwpt_invalidate hwpt_call;
static __u32 hwpt_nested;

static void fill_theirs(__u32 nr, __u64 step, __u64 pages)
{
	__u32 i;

	hwpt_call = (struct iommu_hwpt_invalidate){
		.size = sizeof(hwpt_call),
		.hwpt_id = hwpt_nested,
		.data_uptr = (uintptr_t)entries,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.entry_len = sizeof(entries[0]),
		.entry_num = nr,
	};
	for (i = 0; i < nr; i++)
		entries[i] = (struct iommu_hwpt_vtd_s1_invalidate){
			.addr = GUEST_VA + i * step * PGT_4K,
			.npages = pages,
		};
}

/* IOMMUFD, and devices of it, from 1 */
struct ioas {
	int fd;
	struct gmem mem;
	struct pgt pt;
	__u32 id;
	__u32 parent;
	int dev[GROUPS + 1];
	__u32 dev_id;
};

static void ioas_join(struct ioas *ioas, int nth)
{
	char bdf[16];

	MUST(testdev_find(bdf, FIRST + nth - 1, 1));
	MUST(testdev_bind_vfio(bdf));
	ioas->dev[nth] = MUST(open_cdev(bdf));
	MUST(bind_iommufd(ioas->dev[nth], ioas->fd, &ioas->dev_id));
}

static void ioas_open(struct ioas *ioas)
{
	ioas->fd = open("/dev/iommu", O_RDWR);
	if (ioas->fd < 0)
		err(1, "IOMMUFD");
	MUST(gmem_init(&ioas->mem, GUEST_BASE, GUEST_SIZE));
	MUST(pgt_init(&ioas->pt, &ioas->mem));
	ioas_join(ioas, 1);
	MUST(ioas_alloc(ioas->fd, &ioas->id));
	MUST(ioas_map_rw(ioas->fd, ioas->id, ioas->mem.base, GUEST_BASE,
			 GUEST_SIZE));
	MUST(hwpt_alloc_parent(ioas->fd, ioas->dev_id, ioas->id,
			       &ioas->parent));
}

static void bind_theirs(struct ioas *ioas)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};
	struct iommu_destroy destroy = { .size = sizeof(destroy) };
	struct samples s = {}, bind = {};
	long start;
	int run;

	for (run = 0; run < RUNS; run++) {
		start = now();
		MUST(hwpt_alloc_nested(ioas->fd, ioas->dev_id, ioas->parent,
				       ioas->pt.root, 48, 0, &destroy.id));
		MUST(attach(ioas->dev[1], destroy.id));
		sample(&bind, start);
		MUST(xioctl(ioas->dev[1], VFIO_DEVICE_DETACH_IOMMUFD_PT,
			    &detach));
		MUST(xioctl(ioas->fd, IOMMU_DESTROY, &destroy));
		sample(&s, start);
	}
	print("bind", median(&bind));
	print("bind-unbind", median(&s));
	print("bind-unbind-pasid", median(&s));
}

static void unmap_theirs(struct ioas *ioas)
{
	static __u8 page[PGT_4K] __attribute__((aligned(PGT_4K)));
	struct samples s = {};
	long start;
	int run;

	for (run = 0; run < RUNS; run++) {
		MUST(ioas_map_rw(ioas->fd, ioas->id, page, UNMAP_IOVA, PGT_4K));
		start = now();
		MUST(ioas_unmap(ioas->fd, ioas->id, UNMAP_IOVA, PGT_4K));
		sample(&s, start);
	}
	print("unmap", median(&s));
}

static void theirs(void)
{
	struct invalidation inv = {
		.cmd = IOMMU_HWPT_INVALIDATE,
		.arg = &hwpt_call,
		.handled = &hwpt_call.entry_num,
		.fill = fill_theirs,
	};
	struct ioas ioas = {};
	int i, next;

	side = "theirs";
	ioas_open(&ioas);
	inv.fd = ioas.fd;
	bind_theirs(&ioas);
	MUST(hwpt_alloc_nested(ioas.fd, ioas.dev_id, ioas.parent, ioas.pt.root,
			       48, 0, &hwpt_nested));
	for (i = next = 1; i <= GROUPS; i++) {
		if (i > 1)
			ioas_join(&ioas, i);
		/* 6.12 enables ATS with a second level only. */
		MUST(attach(ioas.dev[i], ioas.parent));
		MUST(attach(ioas.dev[i], hwpt_nested));
		if (i == 1) {
			invalidations(&inv);
			unmap_theirs(&ioas);
		}
		if (i == next) {
			invalidations_groups(&inv, i);
			next *= 2;
		}
	}
	while (--i)
		close(ioas.dev[i]);
	close(ioas.fd);
}

static size_t answer_theirs(void *out, const void *record)
{
	const struct iommu_hwpt_pgfault *fault = record;

	*(struct iommu_hwpt_page_response *)out =
		(struct iommu_hwpt_page_response){
			.cookie = fault->cookie,
			.code = IOMMUFD_PAGE_RESP_SUCCESS,
		};
	return sizeof(struct iommu_hwpt_page_response);
}

static void requests_theirs(void)
{
	struct iommu_fault_alloc queue = { .size = sizeof(queue) };
	struct queue q = {
		.size = sizeof(struct iommu_hwpt_pgfault),
		.answer = answer_theirs,
	};
	struct ioas ioas = {};
	struct testdev td;

	side = "theirs";
	ioas_open(&ioas);
	MUST(xioctl(ioas.fd, IOMMU_FAULT_QUEUE_ALLOC, &queue));
	MUST(testdev_init(&td, ioas.dev[1]));
	q.fd = queue.out_fault_fd;
	q.td = &td;
	MUST(attach(ioas.dev[1], ioas.parent));
	MUST(hwpt_alloc_nested(ioas.fd, ioas.dev_id, ioas.parent, ioas.pt.root,
			       48, queue.out_fault_id, &hwpt_nested));
	MUST(attach(ioas.dev[1], hwpt_nested));
	page_requests(&q);
	close(ioas.dev[1]);
	close(q.fd);
	close(ioas.fd);
}

/* ---- without nesting ---- */

/* What an unmodified user of type 1 pays */
static void plain_map(void)
{
	struct samples map = {}, unmap = {};
	struct nest n;

	side = "plain";
	MUST(nest_open(&n, FIRST, 1, VFIO_TYPE1v2_IOMMU));
	map_ours(n.container, &map, &unmap);
	/* How the two share what they need depends on what was allocated before. */
	print("map", median(&map) + median(&unmap));
	nest_close(&n);
}

/* bench [MOST PASIDS]: without an argument, what any kernel can do */
int main(int argc, char **argv)
{
	plain_map();
	if (argc == 1)
		return 0;
	MUST(write_uint(QUOTA_PATH, QUOTA));
	ours(atoi(argv[1]));
	theirs();
	if (first.caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST) {
		requests_ours();
		requests_theirs();
	}
	return 0;
}
