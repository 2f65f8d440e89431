// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls by the threads of two VMMs with three devices. Most calls start from a
 * valid argument and change a few words of it; others are random throughout. An
 * argument may lie at the end of a page, in memory that can't be written or read, or
 * where other threads write. Guest tables, DMA, page requests, resets, and groups that
 * leave and join are random, too.
 *
 * Each errno of an ioctl has to be documented. After both VMMs have ended or were
 * killed, nothing is left of them.
 *
 * FUZZ_SEED is the first round's seed, FUZZ_ROUNDS their number, and FUZZ_CALLS what
 * each thread does in a round. The same seed means the same calls of each thread,
 * in an order that changes.
 *
 * On a kernel with KCOV, an argument that reaches new code is kept, and later calls
 * start from it, too. The same seed then no longer means the same calls. FUZZ_CORPUS
 * names a file for what is kept, from which the next run begins.
 */
#include <linux/kcov.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "device.h"
#include "harness.h"

#define VMMS		2
#define DEVICES		3
#define THREADS		3
#define ROOTS		4
#define LEVELS		4
/* What most calls name */
#define PASIDS		12
#define ENTRIES		8
#define PAGE		4096
/* What KCOV tells of a call: so many addresses */
#define COVER		4096
/* So many arguments of each call are kept. */
#define KEPT		256

enum { REQUEST, BIND, UNBIND, INVALIDATE, FAULT_FD, NEGOTIATE, NR_CALLS };

/* Which errnos the documentation has for a call */
static const struct {
	const char *name;
	unsigned long cmd;
	int errnos[12];
} calls[NR_CALLS] = {
	[REQUEST] = { "request", VFIO_IOMMU_PASID_REQUEST,
		{ EOPNOTSUPP, EINVAL, EFAULT, ENOENT, EBUSY, EDQUOT, ENOSPC, ENOMEM } },
	[BIND] = { "bind", VFIO_IOMMU_BIND_GPASID,
		{ EOPNOTSUPP, EINVAL, EFAULT, ENOENT, ENODEV, EEXIST, EBUSY, EDQUOT,
		  ENOSPC, ENOMEM } },
	[UNBIND] = { "unbind", VFIO_IOMMU_UNBIND_GPASID,
		{ EOPNOTSUPP, EINVAL, EFAULT, ENOENT } },
	[INVALIDATE] = { "invalidate", VFIO_IOMMU_CACHE_INVALIDATE,
		{ EOPNOTSUPP, EINVAL, EFAULT, ENOENT, EOVERFLOW } },
	[FAULT_FD] = { "fault_fd", VFIO_IOMMU_FAULT_FD,
		{ EOPNOTSUPP, EINVAL, EFAULT, ENOMEM, EEXIST, ENOENT, EDQUOT } },
	[NEGOTIATE] = { "negotiate", VFIO_IOMMU_NEGOTIATE,
		{ EOPNOTSUPP, EINVAL, EFAULT, ERANGE, EEXIST, EBUSY } },
};

union arg {
	struct vfio_iommu_type1_pasid_request request;
	struct bind_arg bind;
	struct vfio_iommu_type1_unbind_gpasid unbind;
	struct {
		struct vfio_iommu_type1_cache_invalidate head;
		struct iommu_uapi_cache_invalidate_info entry[ENTRIES];
	} inv;
	struct vfio_iommu_type1_fault_fd fault_fd;
	struct negotiate_arg negotiate;
	struct iommu_uapi_page_response resp;
	/* A random call takes this much. */
	__u32 word[64];
};

/* Arguments that have reached new code; a size of 0 marks one that is not complete. */
struct corpus {
	struct {
		atomic_uint size;
		union arg arg;
	} kept[NR_CALLS][KEPT];
	atomic_uint nr[NR_CALLS];
	/* Edges of the control flow that have been taken, by a hash of both ends */
	__u8 seen[1 << 16];
	atomic_uint nr_seen;
};

/* What the VMMs tell the test */
struct tally {
	atomic_int good[NR_CALLS];
	atomic_int failed[NR_CALLS];
	atomic_int answered;
	atomic_int bad;
	atomic_int running;
};

/* Shared by all processes of the test; NULL without KCOV */
static struct corpus *corpus;

struct vmm {
	struct nest n[2];
	int nr;
	/* Taken to move the second group, since two threads can't both do it. */
	pthread_mutex_t move;
	struct pgt pt[ROOTS];
	/* Of each table: the entries on the way to GUEST_VA */
	__u64 *entry[ROOTS][LEVELS];
	atomic_int fd;
	/* For arguments that other threads write meanwhile */
	__u8 racing[PAGE];
	struct tally *tally;
	int nr_calls;
};

struct thread {
	pthread_t id;
	struct vmm *vmm;
	__u64 rnd;
	/* The end of a page for arguments; the next one can't be used. */
	__u8 *edge;
	/* What KCOV writes for this thread */
	unsigned long *cover;
	union {
		union arg arg;
		/* The kernel may write more than a call takes. */
		__u8 room[PAGE];
	};
};

/* Knuth's constants for 64 bits; the high bits are the better ones. */
static __u32 rnd(struct thread *t, __u32 below)
{
	t->rnd = t->rnd * 6364136223846793005ULL + 1442695040888963407ULL;
	return (t->rnd >> 33) % below;
}

static int one_in(struct thread *t, __u32 nr)
{
	return !rnd(t, nr);
}

static __u32 odd_word(struct thread *t, __u32 old)
{
	static const __u32 words[] = {
		0, 1, 2, 3, 8, 0x1000, 0x40000000, 0x7fffffff, 0x80000000, 0xfffff000,
		0xffffffff,
	};

	if (one_in(t, 2))
		return words[rnd(t, ARRAY_LEN(words))];
	return one_in(t, 4) ? rnd(t, 1u << 31) : old ^ 1u << rnd(t, 32);
}

/* Change up to three words of a valid argument. */
static void change(struct thread *t, size_t size)
{
	int i;

	for (i = rnd(t, 4); i > 0; i--) {
		__u32 *word = &t->arg.word[rnd(t, size / 4)];

		*word = odd_word(t, *word);
	}
}

/* Where the argument lies */
static void *place(struct thread *t, size_t size)
{
	__u8 *edge = t->edge, *page = edge - PAGE;
	void *arg = &t->arg;

	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	switch (rnd(t, 24)) {
	case 0:
	case 1:
		return memcpy(edge - size, arg, size);
	case 2:
		/* The second half can't be read. */
		return memcpy(edge - size / 2, arg, size / 2);
	case 3:
		memcpy(page, arg, size);
		mprotect(page, PAGE, PROT_READ);
		return page;
	case 4:
		return edge;
	case 5:
	case 6:
	case 7:
		/* Without a lock, on purpose */
		return memcpy(t->vmm->racing, arg, size);
	default:
		return arg;
	}
}

static int is_documented(int call, int err)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(calls[call].errnos); i++) {
		if (calls[call].errnos[i] == err)
			return 1;
	}
	return 0;
}

/* Take an argument that has once reached new code instead of the caller's. */
static size_t known_arg(struct thread *t, int call, size_t size)
{
	unsigned int nr = corpus->nr[call], which, known;

	if (!nr || one_in(t, 2))
		return size;
	which = rnd(t, nr < KEPT ? nr : KEPT);
	known = corpus->kept[call][which].size;
	/* Another thread may be writing it; any argument will do. */
	if (known)
		memcpy(&t->arg, &corpus->kept[call][which].arg, known);
	return known ?: size;
}

/* Did the call take an edge that no call has taken before? */
static int is_new(struct thread *t)
{
	unsigned long i, nr = t->cover[0], last = 0;
	int found = 0;

	for (i = 1; i <= nr && i < COVER; i++) {
		__u32 ends = t->cover[i] ^ last >> 1;
		__u32 edge = ends * 2654435761U >> 16;

		last = t->cover[i];
		if (corpus->seen[edge])
			continue;
		corpus->seen[edge] = 1;
		corpus->nr_seen++;
		found = 1;
	}
	return found;
}

static void keep_arg(struct thread *t, int call, const union arg *arg, size_t size)
{
	unsigned int which = corpus->nr[call]++;

	if (which >= KEPT)
		which = rnd(t, KEPT);
	corpus->kept[call][which].size = 0;
	memcpy(&corpus->kept[call][which].arg, arg, size);
	corpus->kept[call][which].size = size;
}

static int covered_call(struct thread *t, int call, size_t size)
{
	union arg arg = t->arg;
	void *at = place(t, size);
	int rc;

	if (!t->cover)
		return xioctl(t->vmm->n[0].container, calls[call].cmd, at);
	t->cover[0] = 0;
	rc = xioctl(t->vmm->n[0].container, calls[call].cmd, at);
	if (is_new(t))
		keep_arg(t, call, &arg, size);
	return rc;
}

static void send(struct thread *t, int call, size_t size)
{
	struct vmm *vmm = t->vmm;
	int rc;

	if (t->cover)
		size = known_arg(t, call, size);
	if (!one_in(t, 3))
		change(t, size);
	rc = covered_call(t, call, size);
	if (rc < 0) {
		vmm->tally->failed[call]++;
		if (!is_documented(call, -rc)) {
			vmm->tally->bad++;
			fprintf(stderr, "# %s: %s\n", calls[call].name, strerror(-rc));
		}
		return;
	}
	vmm->tally->good[call]++;
	if (call != FAULT_FD || !rc)
		return;
	fcntl(rc, F_SETFL, O_NONBLOCK);
	rc = atomic_exchange(&vmm->fd, rc);
	if (rc >= 0)
		close(rc);
}

static struct nest *any_device(struct thread *t)
{
	return &t->vmm->n[rnd(t, t->vmm->nr)];
}

static __u64 any_va(struct thread *t)
{
	return GUEST_VA + rnd(t, 16) * PGT_4K;
}

static void fuzz_request(struct thread *t)
{
	struct vfio_iommu_type1_pasid_request *req = &t->arg.request;

	memset(req, 0, sizeof(*req));
	req->argsz = sizeof(*req);
	req->flags = one_in(t, 2) ? VFIO_PASID_REQUEST_ALLOC : VFIO_PASID_REQUEST_FREE;
	req->first = 1 + rnd(t, PASIDS);
	req->last = req->first + rnd(t, 3);
	send(t, REQUEST, sizeof(*req));
}

static void fuzz_bind(struct thread *t)
{
	struct bind_arg *arg = &t->arg.bind;
	struct vmm *vmm = t->vmm;
	struct nest *n = any_device(t);

	bind_init(arg, n, rnd(t, PASIDS), vmm->pt[rnd(t, ROOTS)].root);
	if (one_in(t, 2))
		arg->data.flags |= IOMMU_UAPI_BIND_REPLACE;
	if (one_in(t, 2) && vmm->fd >= 0)
		arg->data.flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
	if (one_in(t, 4)) {
		arg->data.flags |= IOMMU_UAPI_BIND_ARCHID;
		arg->data.archid = rnd(t, 3);
	}
	if (one_in(t, 8)) {
		arg->data.format = IOMMU_UAPI_FORMAT_SECOND_LEVEL;
		arg->data.gpgd = 0;
		arg->data.addr_width = 0;
		arg->data.flags &= ~(__u64)IOMMU_UAPI_BIND_PAGE_REQUEST;
	} else if (one_in(t, 4)) {
		arg->data.vtd.flags = n->caps.vtd_flags & ~(__u64)IOMMU_UAPI_VTD_EMTE;
	}
	send(t, BIND, sizeof(*arg));
}

static void fuzz_unbind(struct thread *t)
{
	struct vfio_iommu_type1_unbind_gpasid *arg = &t->arg.unbind;

	memset(arg, 0, sizeof(*arg));
	arg->argsz = sizeof(*arg);
	arg->group_id = any_device(t)->group_id;
	arg->pasid = rnd(t, PASIDS);
	send(t, UNBIND, sizeof(*arg));
}

static void fuzz_invalidate(struct thread *t)
{
	struct vfio_iommu_type1_cache_invalidate *head = &t->arg.inv.head;
	int i, nr = 1 + (one_in(t, 2) ? 0 : rnd(t, ENTRIES));

	memset(head, 0, sizeof(*head));
	head->argsz = sizeof(*head) + nr * sizeof(t->arg.inv.entry[0]);
	head->nr_entries = nr;
	head->entry_size = sizeof(t->arg.inv.entry[0]);
	for (i = 0; i < nr; i++) {
		struct iommu_uapi_cache_invalidate_info *info = &t->arg.inv.entry[i];
		struct nest *n = any_device(t);

		switch (rnd(t, 4)) {
		case 0:
			inv_domain(info, n);
			break;
		case 1:
			inv_pasid(info, n, rnd(t, PASIDS));
			break;
		default:
			inv_addr(info, n, rnd(t, PASIDS), any_va(t), 1u << rnd(t, 5));
			break;
		}
		if (one_in(t, 4)) {
			int by_addr = info->granularity == IOMMU_UAPI_GRANU_ADDR;

			/* Both structures have their flags and the archid in one place. */
			info->pasid_info.flags |= by_addr ? IOMMU_UAPI_INV_ADDR_GROUP :
							    IOMMU_UAPI_INV_PASID_GROUP;
			info->pasid_info.archid = n->group_id;
		}
		if (one_in(t, 4))
			info->cache |= IOMMU_UAPI_CACHE_PASID |
				       IOMMU_UAPI_CACHE_DEV_IOTLB;
	}
	send(t, INVALIDATE, head->argsz);
}

static void fuzz_fault_fd(struct thread *t)
{
	struct vfio_iommu_type1_fault_fd *arg = &t->arg.fault_fd;
	int fd;

	if (one_in(t, 2)) {
		fd = atomic_exchange(&t->vmm->fd, -1);
		if (fd >= 0)
			close(fd);
	}
	memset(arg, 0, sizeof(*arg));
	arg->argsz = sizeof(*arg);
	arg->version = t->vmm->n[0].version;
	arg->flags = rnd(t, 2) * VFIO_FAULT_FD_DMA_FAULTS;
	if (one_in(t, 2)) {
		arg->flags |= VFIO_FAULT_FD_TIMEOUT;
		arg->timeout_ms = rnd(t, 50);
	}
	send(t, FAULT_FD, sizeof(*arg));
}

static void fuzz_negotiate(struct thread *t)
{
	struct negotiate_arg *arg = &t->arg.negotiate;
	const struct iommu_uapi_caps *caps = &t->vmm->n[0].caps;
	struct iommu_uapi_caps needs;

	needs = one_in(t, 2) ? needs_guest_pasid(caps) : needs_host_pasid(caps);
	/* A container has one contract. With it, there are fewer ways to fail. */
	negotiate_init(arg, &needs, one_in(t, 50) ? VFIO_NEGOTIATE_COMMIT : 0);
	arg->head.nr_pasids = needs.features & IOMMU_UAPI_FEAT_HOST_PASID ? 4 : 0;
	send(t, NEGOTIATE, sizeof(*arg));
}

/* Read what waits, and answer it. */
static void fuzz_answer(struct thread *t)
{
	struct iommu_uapi_page_response *resp = &t->arg.resp;
	struct iommu_uapi_page_request req = {};
	int fd = t->vmm->fd;

	/* Where nothing is read, this is an answer to nothing. */
	read_now(fd, &req);
	memset(resp, 0, sizeof(*resp));
	resp->version = t->vmm->n[0].version;
	resp->flags = IOMMU_UAPI_RESP_COOKIE_VAL;
	if (req.flags & IOMMU_UAPI_REQ_PASID_VAL) {
		resp->flags |= IOMMU_UAPI_RESP_PASID_VAL;
		resp->pasid = req.pasid;
	}
	resp->grpid = req.grpid;
	resp->cookie = req.cookie;
	resp->code = rnd(t, 2);
	if (one_in(t, 3))
		change(t, sizeof(*resp));
	if (write(fd, place(t, sizeof(*resp)), sizeof(*resp)) > 0)
		t->vmm->tally->answered++;
}

static void fuzz_dma(struct thread *t)
{
	struct nest *n = any_device(t);
	__u32 tag = pasid_tag(rnd(t, PASIDS));

	switch (rnd(t, 3)) {
	case 0:
		request_at(n, tag, rnd(t, 512), any_va(t));
		break;
	case 1:
		testdev_command(&n->td, TESTDEV_CMD_READ, tag, any_va(t), 8);
		break;
	default:
		testdev_command(&n->td, TESTDEV_CMD_WRITE, tag, any_va(t), 8);
		break;
	}
}

/* What the guest writes into its tables */
static void fuzz_table(struct thread *t)
{
	int level = rnd(t, LEVELS);
	__u64 *entry = t->vmm->entry[rnd(t, ROOTS)][level];
	__u64 val = GUEST_BASE + rnd(t, GUEST_SIZE / PGT_4K) * PGT_4K;

	val |= rnd(t, 8);
	if (one_in(t, 8))
		val ^= 1ULL << rnd(t, 64);
	if (!level)
		entry += rnd(t, 16);
	__atomic_store_n(entry, val, __ATOMIC_SEQ_CST);
}

/* The second group leaves with all that it has, and joins again. */
static void fuzz_move(struct thread *t)
{
	struct vmm *vmm = t->vmm;
	struct nest *n = &vmm->n[1];
	int fd;

	if (vmm->nr < 2 || pthread_mutex_trylock(&vmm->move))
		return;
	fd = n->td.fd;
	if (!xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL)) {
		vmm->tally->bad++;
		fprintf(stderr, "# a group left whose device is open\n");
	}
	close(fd);
	xioctl(n->group, VFIO_GROUP_UNSET_CONTAINER, NULL);
	xioctl(n->group, VFIO_GROUP_SET_CONTAINER, &vmm->n[0].container);
	nest_device(n);
	pthread_mutex_unlock(&vmm->move);
}

/* Nothing known but the numbers and, half of the time, the size */
static void fuzz_blind(struct thread *t)
{
	unsigned long cmd = _IO(VFIO_TYPE, VFIO_BASE + 10 + rnd(t, 20));
	int i, fd;

	for (i = 0; i < 64; i++)
		t->arg.word[i] = odd_word(t, rnd(t, 1u << 31));
	if (one_in(t, 2))
		t->arg.word[0] = 8 * rnd(t, 32);
	if (one_in(t, 2))
		t->arg.word[1] = 0;
	fd = one_in(t, 8) ? t->vmm->fd : t->vmm->n[0].container;
	/* Its files would be too many. */
	if (cmd != VFIO_IOMMU_FAULT_FD)
		ioctl(fd, cmd, place(t, 256));
}

static void fuzz_rest(struct thread *t)
{
	struct nest *n = any_device(t);
	union info info;

	switch (rnd(t, 8)) {
	case 0:
		/* A reset takes a tenth of a second, in which the thread does nothing else. */
		if (!one_in(t, 8))
			break;
		ioctl(n->td.fd, VFIO_DEVICE_RESET);
		testdev_master(&n->td, 1);
		break;
	case 1:
		fuzz_move(t);
		break;
	case 2:
		nest_unmap(n->container, GUEST_BASE, GUEST_SIZE);
		break;
	case 3:
		nest_map(n->container, n->mem.base, GUEST_BASE, GUEST_SIZE,
			 VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
		break;
	case 4:
		info_read(n->container, &info);
		break;
	case 5:
		fuzz_fault_fd(t);
		break;
	default:
		fuzz_negotiate(t);
		break;
	}
}

/* Where KCOV is to write for this thread; NULL if the kernel has none */
static unsigned long *cover_init(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR);
	unsigned long *cover;

	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, COVER))
		return NULL;
	cover = mmap(NULL, COVER * sizeof(*cover), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	if (cover == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		return NULL;
	return cover;
}

static void *thread_main(void *data)
{
	static void (* const known[])(struct thread *) = {
		fuzz_bind, fuzz_bind, fuzz_bind, fuzz_unbind, fuzz_invalidate,
		fuzz_invalidate, fuzz_request, fuzz_request, fuzz_answer, fuzz_answer,
		fuzz_dma, fuzz_dma, fuzz_table, fuzz_table, fuzz_blind, fuzz_rest,
	};
	struct thread *t = data;
	int i;

	t->cover = corpus ? cover_init() : NULL;
	for (i = 0; i < t->vmm->nr_calls; i++) {
		t->vmm->tally->running = 1;
		known[rnd(t, ARRAY_LEN(known))](t);
	}
	return NULL;
}

static int vmm_init(struct vmm *vmm, int first, int nr)
{
	struct nest *n = vmm->n;
	int i, level, rc;

	rc = nest_open(n, first, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (!rc)
		rc = guest_memory(n, GUEST_BASE);
	if (!rc && nr > 1)
		rc = guest_device(&n[1], n, first + 1);
	vmm->nr = nr;
	vmm->fd = -1;
	for (i = 0; i < ROOTS && !rc; i++) {
		__u64 page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);

		rc = pgt_init(&vmm->pt[i], &n->mem);
		if (!rc)
			rc = pgt_map(&vmm->pt[i], GUEST_VA, page, PGT_4K, PGT_RW);
		for (level = 0; level < LEVELS && !rc; level++)
			vmm->entry[i][level] = pgt_entry(&vmm->pt[i], GUEST_VA,
							 level + 1);
	}
	pthread_mutex_init(&vmm->move, NULL);
	return rc;
}

/* A VMM, until it has done all of its calls or is killed */
static void vmm_main(int first, int nr, struct tally *tally, __u64 seed, int nr_calls)
{
	static struct thread threads[THREADS];
	static struct vmm vmm;
	int i;

	vmm.tally = tally;
	vmm.nr_calls = nr_calls;
	if (vmm_init(&vmm, first, nr))
		_exit(1);
	for (i = 0; i < THREADS; i++) {
		struct thread *t = &threads[i];

		t->vmm = &vmm;
		t->rnd = seed * THREADS + i;
		t->edge = guard_page();
		if (!t->edge || pthread_create(&t->id, NULL, thread_main, t))
			_exit(2);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i].id, NULL);
	_exit(0);
}

/* Read from a file what an earlier run has kept, or write what there is now. */
static void corpus_file(int save)
{
	const char *name = getenv("FUZZ_CORPUS");
	size_t size = offsetof(struct corpus, seen);
	int fd;

	if (!name || !corpus)
		return;
	fd = open(name, save ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0644);
	if (fd < 0)
		return;
	/* A file of another size is of another version of this program. */
	if (save ? write(fd, corpus, size) < 0 : read(fd, corpus, size) != (ssize_t)size)
		memset(corpus, 0, size);
	close(fd);
}

FIXTURE(fuzz)
{
	struct tally *tally;
	__u64 seed;
	int rounds;
	int nr_calls;
	long iommu_pages;
};

FIXTURE_SETUP(fuzz)
{
	struct nest n;
	int i;

	if (!need_extension(_metadata))
		return;
	for (i = 0; i < DEVICES; i++) {
		/* Use each once, since some memory stays from the first use on. */
		if (!test_open(_metadata, &n, i, 1, VFIO_TYPE1_NESTING_IOMMU))
			return;
		if (!(n.caps.features & IOMMU_UAPI_FEAT_GUEST_PASID))
			SKIP(return, "no PASIDs for this device");
		/* In the lab, the first device can't. */
		if (i && !(n.caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
			SKIP(return, "a device can't request pages");
		ASSERT_OK(bind_table(&n, 1, GUEST_BASE));
		nest_close(&n);
	}
	self->iommu_pages = iommu_pages();
	self->seed = setting("FUZZ_SEED", 1);
	self->rounds = setting("FUZZ_ROUNDS", 4);
	self->nr_calls = setting("FUZZ_CALLS", 1500);
	self->tally = mmap(NULL, sizeof(*self->tally), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->tally != MAP_FAILED);
	/* KCOV has no ioctls for 32-bit programs. */
	if (sizeof(long) < 8 || access("/sys/kernel/debug/kcov", F_OK))
		return;
	corpus = mmap(NULL, sizeof(*corpus), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(corpus != MAP_FAILED);
	corpus_file(0);
}

FIXTURE_TEARDOWN(fuzz)
{
	corpus_file(1);
}

/* Each device is as it was before anybody used it. */
static void expect_nothing_left(struct __test_metadata *_metadata,
				struct _test_data_fuzz *self)
{
	struct nest n;
	struct pgt pt;
	__u64 page;
	__u32 p, got;
	int i;

	for (i = 0; i < DEVICES; i++) {
		ASSERT_OK(nest_open(&n, i, 1, VFIO_TYPE1_NESTING_IOMMU));
		n.td.ats = device_caches(&n);
		EXPECT_EQ(0, nest_used(n.container));
		for (p = 1; p < PASIDS; p++) {
			EXPECT_ERR(ENOENT, unbind(&n, p));
			EXPECT_TRUE(dma_faults(&n, p, GUEST_VA));
			EXPECT_OK(pasid_alloc(n.container, p, p, &got));
		}
		ASSERT_OK(open_requester(&n, &pt, &page));
		ASSERT_OK(pgt_map(&pt, GUEST_VA, page, PGT_4K, PGT_RW));
		EXPECT_OK(bind_table(&n, 1, pt.root));
		EXPECT_OK(dma_works(&n, 1, GUEST_VA, page));
		nest_close(&n);
		munmap(n.mem.base, n.mem.size);
	}
	/* Read-copy-update may take its time. */
	while (iommu_pages() > self->iommu_pages)
		usleep(10000);
}

static void fuzz_round(struct __test_metadata *_metadata, struct _test_data_fuzz *self,
		       __u64 seed, int kill_them)
{
	int status, i;
	pid_t pid[VMMS];

	self->tally->running = 0;
	/* The first VMM has two devices, the second one has the third. */
	for (i = 0; i < VMMS; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (!pid[i])
			vmm_main(i ? 2 : 0, i ? 1 : 2, self->tally, seed * VMMS + i,
				 kill_them ? INT_MAX : self->nr_calls);
	}
	while (kill_them && !self->tally->running && !waitpid(-1, NULL, WNOHANG))
		usleep(1000);
	for (i = 0; i < VMMS; i++) {
		if (kill_them) {
			usleep(seed * 7919 % 100000);
			kill(pid[i], SIGKILL);
		}
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(kill_them ? SIGKILL : 0, status);
	}
	EXPECT_EQ(0, self->tally->bad);
	expect_nothing_left(_metadata, self);
	if (self->tally->bad || !__test_passed(_metadata))
		TH_LOG("the round's seed: %llu", seed);
}

/* R32, R46: whatever they do, errors are documented and nothing is left */
TEST_F_TIMEOUT(fuzz, ends, SLOW)
{
	int i;

	for (i = 0; i < self->rounds; i++)
		fuzz_round(_metadata, self, self->seed + i, 0);
	/* Calls have to get past the first checks. */
	for (i = 0; i < NR_CALLS; i++) {
		TH_LOG("%s: %d good, %d failed", calls[i].name, self->tally->good[i],
		       self->tally->failed[i]);
		EXPECT_LT(0, self->tally->good[i]);
		EXPECT_LT(0, self->tally->failed[i]);
	}
	TH_LOG("%d page requests answered", self->tally->answered);
	EXPECT_LT(0, self->tally->answered);
	if (!corpus)
		return;
	for (i = 0; i < NR_CALLS; i++)
		TH_LOG("%s: %u arguments with new edges", calls[i].name, corpus->nr[i]);
	TH_LOG("%u edges", corpus->nr_seen);
	EXPECT_LT(0u, corpus->nr_seen);
}

/* R46: the same when they are killed */
TEST_F_TIMEOUT(fuzz, killed, SLOW)
{
	int i;

	for (i = 0; i < 4 * self->rounds; i++)
		fuzz_round(_metadata, self, self->seed + i, 1);
}

TEST_HARNESS_MAIN
