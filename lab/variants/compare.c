// SPDX-License-Identifier: GPL-2.0
/*
 * Five ways to copy a structure, compared: what becomes of programs and kernels of
 * different times, of a union that grows, of a hostile size, and of a thread that
 * writes meanwhile. Run by lab/compare, with the module variants and under
 * `lab/run --icount`: figures in "# cost" lines are instructions.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommu.h>
#include <linux/vfio.h>

#include "variants.h"

#define PAGE		4096
#define RUNS		33
#define WAYS		5
#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/* Of enum iommu_uapi_type */
#define BIND		0
#define INVALIDATE	1
#define RESPONSE	2

#define RESPONSE_SIZE_1	offsetof(struct iommu_uapi_page_response, reserved)

/* A later version, as in lab/versions/version3.patch */
#define VERSION_3	3
#define BIND_SIZE_3	88
#define RESPONSE_SIZE_3	40
#define FORMAT_LARGE	3
#define RESP_DETAIL_VAL	4

union data {
	__u32 first_word;
	struct iommu_uapi_gpasid_bind_data bind;
	struct iommu_uapi_cache_invalidate_info inv;
	struct iommu_uapi_page_response resp;
	__u8 room[PAGE];
};

static int dev;
/* Two pages. What follows them can't be read. */
static void *pages;

static union data a_bind(void)
{
	return (union data){ .bind = {
		.format = IOMMU_UAPI_FORMAT_INTEL_VTD,
		.hpasid = 1,
		.addr_width = 48,
		.vtd.pat = 1,
		.vtd.emt = 1,
	} };
}

static union data an_invalidation(__u8 granularity)
{
	return (union data){ .inv = {
		.cache = IOMMU_UAPI_CACHE_IOTLB,
		.granularity = granularity,
		.pasid_info.pasid = 1,
	} };
}

static union data a_response(__u32 flags)
{
	return (union data){ .resp = { .flags = flags, .grpid = 1 } };
}

/* Its field detail */
static void set_detail(union data *data)
{
	data->room[RESPONSE_SIZE_3 - 1] = 1;
}

/* What the program writes in front of the data, and what it says of their size */
static size_t fill_in(int way, union data *data, __u32 version, size_t size)
{
	if (way == WAY_PADDING)
		size = FIXED_SIZE;
	data->first_word = way == WAY_VERSION ? version :
			   way == WAY_ARGSZ ? size : 0;
	return size;
}

/* Lay out a call whose memory ends after @there bytes of @data. */
static void *lay_out(__u32 type, const union data *data, size_t there,
		     __u32 size)
{
	struct variants_head *head = pages + 2 * PAGE - there - sizeof(*head);

	head->argsz = sizeof(*head) + size;
	head->type = type;
	memcpy(head + 1, data, there);
	return head;
}

static int call(int way, void *arg)
{
	return ioctl(dev, VARIANTS_COPY(way), arg) ? errno : 0;
}

static int pass(int way, __u32 type, union data *data, __u32 version,
		size_t size)
{
	size = fill_in(way, data, version, size);
	return call(way, lay_out(type, data, size, size));
}

static union data seen(void)
{
	union data data = {};

	if (ioctl(dev, VARIANTS_SEEN, &data))
		err(1, "what the driver got");
	return data;
}

static const char *outcome(int rc)
{
	return rc ? strerrorname_np(rc) : "works";
}

/* Only with a version, a program can ask which one the kernel has. */
static const char *outcome_asked(int way, int rc)
{
	return way == WAY_VERSION ? outcome(rc) : "-";
}

/* ---- programs and kernels of different times ---- */

static const char *old_program(int way)
{
	union data data = a_response(IOMMU_UAPI_RESP_COOKIE_VAL);
	int rc;

	/* What the next call must not find */
	data.resp.cookie = 1;
	rc = pass(way, RESPONSE, &data, IOMMU_UAPI_VERSION_2,
		  sizeof(data.resp));
	if (rc)
		return outcome(rc);
	data = a_response(0);
	rc = pass(way, RESPONSE, &data, IOMMU_UAPI_VERSION_1, RESPONSE_SIZE_1);
	return !rc && seen().resp.cookie ? "garbage" : outcome(rc);
}

static const char *flag_alone(int way)
{
	union data data = a_response(IOMMU_UAPI_RESP_COOKIE_VAL);
	int rc;

	rc = pass(way, RESPONSE, &data, IOMMU_UAPI_VERSION_1, RESPONSE_SIZE_1);
	return rc ? outcome(rc) : "read as 0";
}

static const char *new_program(int way)
{
	union data data = a_response(0);

	return outcome(pass(way, RESPONSE, &data, VERSION_3, RESPONSE_SIZE_3));
}

static const char *new_program_asks(int way)
{
	union data data = a_response(0);
	int rc = pass(way, RESPONSE, &data, IOMMU_UAPI_VERSION_2,
		      RESPONSE_SIZE_3);

	return outcome_asked(way, rc);
}

static const char *new_field(int way)
{
	union data data = a_response(RESP_DETAIL_VAL);

	set_detail(&data);
	return outcome(pass(way, RESPONSE, &data, VERSION_3, RESPONSE_SIZE_3));
}

static const char *new_field_no_flag(int way)
{
	union data data = a_response(0);
	int rc;

	set_detail(&data);
	rc = pass(way, RESPONSE, &data, VERSION_3, RESPONSE_SIZE_3);
	return rc ? outcome(rc) : "is ignored";
}

/* ---- a union that grows ---- */

static const char *old_program_old_member(int way)
{
	static const __u8 zeroes[BIND_SIZE_3 - sizeof(struct iommu_uapi_gpasid_bind_data)];
	union data data = a_bind();
	int rc;

	ioctl(dev, VARIANTS_GROW, sizeof(zeroes));
	rc = pass(way, BIND, &data, IOMMU_UAPI_VERSION_2, sizeof(data.bind));
	ioctl(dev, VARIANTS_GROW, 0);
	data = seen();
	if (!rc && memcmp(data.room + sizeof(data.bind), zeroes,
			  sizeof(zeroes)))
		return "garbage";
	return outcome(rc);
}

static const char *old_member(int way)
{
	union data data = a_bind();

	return outcome(pass(way, BIND, &data, VERSION_3, BIND_SIZE_3));
}

static const char *old_member_asks(int way)
{
	union data data = a_bind();
	int rc = pass(way, BIND, &data, IOMMU_UAPI_VERSION_2, BIND_SIZE_3);

	return outcome_asked(way, rc);
}

/* The program that can ask has asked. */
static const char *old_member_dirty(int way)
{
	union data data = a_bind();

	memset(data.room + sizeof(data.bind), 0xaa,
	       BIND_SIZE_3 - sizeof(data.bind));
	return outcome(pass(way, BIND, &data, IOMMU_UAPI_VERSION_2,
			    BIND_SIZE_3));
}

static const char *new_member(int way)
{
	union data data = a_bind();

	data.bind.format = FORMAT_LARGE;
	data.room[BIND_SIZE_3 - 1] = 1;
	return outcome(pass(way, BIND, &data, VERSION_3, BIND_SIZE_3));
}

static const char *large_member(int way)
{
	union data data = a_bind();
	size_t size = FIXED_SIZE + 8;

	data.bind.format = FORMAT_LARGE;
	data.room[size - 1] = 1;
	if (fill_in(way, &data, VERSION_3, size) < size)
		return "no room";
	return outcome(pass(way, BIND, &data, VERSION_3, size));
}

/* No more is in memory than the member that the granularity selects. */
static const char *small_member(int way)
{
	union data data = an_invalidation(IOMMU_UAPI_GRANU_PASID);
	size_t there = sizeof(data.inv) - sizeof(data.inv.addr_info) +
		       sizeof(data.inv.pasid_info);
	size_t size = fill_in(way, &data, IOMMU_UAPI_VERSION_2, there);

	return outcome(call(way, lay_out(INVALIDATE, &data, there, size)));
}

/* ---- a hostile size ---- */

static const char *no_size(int way)
{
	union data data = a_bind();

	fill_in(way, &data, IOMMU_UAPI_VERSION_2, 0);
	return outcome(call(way, lay_out(BIND, &data, 0, 0)));
}

static const char *largest_size(int way)
{
	__u32 size = (__u32)-1 - sizeof(struct variants_head);
	union data data = a_bind();
	size_t there = way == WAY_PADDING ? FIXED_SIZE : sizeof(data.bind);

	fill_in(way, &data, IOMMU_UAPI_VERSION_2, size);
	return outcome(call(way, lay_out(BIND, &data, there, size)));
}

static const char *page_size(int way)
{
	union data data = a_bind();

	return outcome(pass(way, BIND, &data, IOMMU_UAPI_VERSION_2, PAGE));
}

/* ---- a thread that writes while the kernel reads ---- */

struct caller {
	int way;
	void *arg;
	int rc;
};

static void *call_waits(void *data)
{
	struct caller *c = data;

	c->rc = call(c->way, c->arg);
	return NULL;
}

/*
 * Pass @data while all but the first @nr bytes are in a page that can't be read yet.
 * When the call waits for it, overwrite what it has read: of these bytes, those that
 * each structure of the type has. Returns whether the carrier's lock was held. It waits
 * between words: the instruction that reads a word across two pages starts anew.
 */
static int overwrite(struct caller *c, __u32 type, const union data *data,
		     size_t size, size_t nr, size_t generic)
{
	void *lazy, *view, *front = pages + PAGE - nr;
	struct variants_head *head = front - sizeof(*head);
	pthread_t thread;
	int locked;

	lazy = mmap(pages + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, dev,
		    0);
	view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dev, PAGE);
	if (lazy == MAP_FAILED || view == MAP_FAILED)
		err(1, "a page that waits");

	memcpy(view, data->room + nr, size - nr);
	memcpy(front, data, nr);
	head->argsz = sizeof(*head) + size;
	head->type = type;
	c->arg = head;
	if (pthread_create(&thread, NULL, call_waits, c))
		errx(1, "no thread");
	ioctl(dev, VARIANTS_WAIT);
	locked = ioctl(dev, VARIANTS_LOCKED);
	memset(front, 0xff, nr < generic ? nr : generic);
	ioctl(dev, VARIANTS_GO);
	pthread_join(thread, NULL);

	munmap(view, PAGE);
	mmap(pages + PAGE, PAGE, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return locked;
}

static int lock_held;

static const char *read_how_often(int way, __u32 type, union data data,
				  size_t size, size_t generic)
{
	struct caller c = { .way = way };
	union data got;
	size_t nr;

	size = fill_in(way, &data, IOMMU_UAPI_VERSION_2, size);
	for (nr = 8; nr < size; nr += 8) {
		lock_held |= overwrite(&c, type, &data, size, nr,
				       generic);
		got = seen();
		if (memcmp(&got, &data, size))
			return "twice";
		if (c.rc)
			return outcome(c.rc);
	}
	return "once";
}

static const char *racing_thread(int way)
{
	union data data = a_response(IOMMU_UAPI_RESP_COOKIE_VAL);
	const char *result;

	result = read_how_often(way, RESPONSE, data, sizeof(data.resp),
				RESPONSE_SIZE_1);
	if (strcmp(result, "once"))
		return result;
	data = a_bind();
	return read_how_often(way, BIND, data, sizeof(data.bind),
			      offsetof(struct iommu_uapi_gpasid_bind_data,
				       vtd));
}

static const char *lock_while_waiting(int way)
{
	lock_held = 0;
	racing_thread(way);
	return lock_held ? "held" : "free";
}

/* ---- launch ---- */

static const char *known_version(void)
{
	static char text[32];
	int container = open("/dev/vfio/vfio", O_RDWR);
	int version;

	version = ioctl(container, VFIO_CHECK_EXTENSION,
			VFIO_TYPE1_IOMMU_UAPI);
	close(container);
	snprintf(text, sizeof(text), "version %d", version);
	return text;
}

/* By calls that can't take effect, because no kernel knows the format */
static const char *known_at_launch(int way)
{
	static char text[32];
	size_t size;
	int rc;

	if (way == WAY_VERSION)
		return known_version();
	for (size = 8; size <= 2 * FIXED_SIZE; size += 8) {
		union data data = a_bind();

		data.bind.format = -1;
		data.room[size - 1] = 1;
		rc = pass(way, BIND, &data, 0, size);
		if (rc == E2BIG) {
			snprintf(text, sizeof(text), "%zu bytes", size - 8);
			return text;
		}
	}
	return "nothing";
}

/* ---- cost ---- */

static int compare_costs(const void *a, const void *b)
{
	return *(const long *)a < *(const long *)b ? -1 :
	       *(const long *)a > *(const long *)b;
}

static long cost_of_call(int way, void *arg)
{
	long cost[RUNS], start;
	int run, rc;

	for (run = 0; run < RUNS; run++) {
		start = __builtin_ia32_rdtsc();
		rc = call(way, arg);
		cost[run] = __builtin_ia32_rdtsc() - start;
		if (rc)
			errx(1, "way %d: %s", way, strerrorname_np(rc));
	}
	qsort(cost, RUNS, sizeof(cost[0]), compare_costs);
	return cost[RUNS / 2];
}

static void print_cost(const char *what, __u32 type, union data data,
		       __u32 version, size_t size)
{
	long cost;
	void *arg;
	size_t there;
	int way;

	for (way = 1; way <= WAYS; way++) {
		there = fill_in(way, &data, version, size);
		arg = lay_out(type, &data, there, there);
		cost = cost_of_call(way, arg);
		printf("# cost: way %d: %s: %ld\n", way, what,
		       cost - cost_of_call(WAY_NONE, arg));
	}
}

static void print_costs(void)
{
	union data data = a_response(IOMMU_UAPI_RESP_COOKIE_VAL);
	void *arg;
	int way;

	fill_in(WAY_VERSION, &data, IOMMU_UAPI_VERSION_2, sizeof(data.resp));
	arg = lay_out(RESPONSE, &data, sizeof(data.resp), sizeof(data.resp));
	/* What the driver looks at where nothing is copied */
	if (call(WAY_VERSION, arg))
		errx(1, "a page response is refused");
	for (way = 1; way <= WAYS; way++)
		printf("# cost: way %d: the call around the copy: %ld\n", way,
		       cost_of_call(WAY_NONE, arg));
	print_cost("page response of version 1", RESPONSE, a_response(0),
		   IOMMU_UAPI_VERSION_1, RESPONSE_SIZE_1);
	print_cost("page response", RESPONSE, data, IOMMU_UAPI_VERSION_2,
		   sizeof(data.resp));
	print_cost("invalidation of a PASID", INVALIDATE,
		   an_invalidation(IOMMU_UAPI_GRANU_PASID),
		   IOMMU_UAPI_VERSION_2, sizeof(data.inv));
	print_cost("invalidation of a range", INVALIDATE,
		   an_invalidation(IOMMU_UAPI_GRANU_ADDR),
		   IOMMU_UAPI_VERSION_2, sizeof(data.inv));
	print_cost("bind", BIND, a_bind(), IOMMU_UAPI_VERSION_2,
		   sizeof(data.bind));
	print_cost("bind, in a page of zeroes", BIND, a_bind(),
		   IOMMU_UAPI_VERSION_2, PAGE);
}

static const struct {
	const char *what;
	const char *(*fn)(int way);
	/* By way */
	const char *expected[WAYS];
} rows[] = {
	{ "old program on a new kernel", old_program,
	  { "works", "works", "works", "works", "works" } },
	{ "old program, flag of a field that it lacks", flag_alone,
	  { "read as 0", "EINVAL", "EINVAL", "read as 0", "read as 0" } },
	{ "new program, nothing new in use", new_program,
	  { "EOPNOTSUPP", "works", "works", "works", "works" } },
	{ "new program, nothing new in use, has asked", new_program_asks,
	  { "works", "-", "-", "-", "-" } },
	{ "new program, new field with its flag", new_field,
	  { "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "E2BIG" } },
	{ "new program, new field without a flag", new_field_no_flag,
	  { "EOPNOTSUPP", "is ignored", "is ignored", "EOPNOTSUPP", "E2BIG" } },
	{ "old program, union has grown in the kernel", old_program_old_member,
	  { "works", "works", "works", "works", "works" } },
	{ "grown union, old member", old_member,
	  { "EOPNOTSUPP", "works", "works", "works", "works" } },
	{ "grown union, old member, has asked", old_member_asks,
	  { "works", "-", "-", "-", "-" } },
	{ "grown union, old member, rest not cleared", old_member_dirty,
	  { "works", "works", "works", "EOPNOTSUPP", "E2BIG" } },
	{ "grown union, new member", new_member,
	  { "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "E2BIG" } },
	{ "grown union, more than 128 bytes in all", large_member,
	  { "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "no room", "E2BIG" } },
	{ "small member, no memory behind it", small_member,
	  { "EINVAL", "works", "works", "EFAULT", "EINVAL" } },
	{ "size 0", no_size,
	  { "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL" } },
	{ "largest size, more than is in memory", largest_size,
	  { "works", "works", "works", "works", "E2BIG" } },
	{ "size of a page, zeroes behind the structure", page_size,
	  { "works", "works", "works", "works", "works" } },
	{ "how often a byte that can change is read", racing_thread,
	  { "once", "once", "once", "once", "once" } },
	{ "carrier's lock while a page is awaited", lock_while_waiting,
	  { "free", "held", "free", "free", "free" } },
	{ "known before a call takes effect", known_at_launch,
	  { "version 2", "nothing", "nothing", "nothing", "72 bytes" } },
};

static int nr_tests, failed;

static void print(int way, const char *what, const char *result,
		  const char *expected)
{
	int good = !strcmp(result, expected);

	printf("%sok %d way %d: %s: %s\n", good ? "" : "not ", ++nr_tests, way,
	       what, result);
	if (!good)
		printf("# expected: %s\n", expected);
	failed |= !good;
}

int main(void)
{
	unsigned int i, way;

	setlinebuf(stdout);
	dev = open("/dev/variants", O_RDWR);
	pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (dev < 0 || pages == MAP_FAILED ||
	    mprotect(pages + 2 * PAGE, PAGE, PROT_NONE))
		err(1, "can't begin");

	printf("TAP version 13\n1..%zu\n", ARRAY_LEN(rows) * WAYS + 1);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		for (way = 1; way <= WAYS; way++)
			print(way, rows[i].what, rows[i].fn(way),
			      rows[i].expected[way - 1]);
	/* So a second read would have been noticed. */
	print(WAY_TWICE, "the driver reads it all again",
	      racing_thread(WAY_TWICE), "twice");
	print_costs();
	return failed;
}
