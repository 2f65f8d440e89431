// SPDX-License-Identifier: GPL-2.0
/*
 * The launch of a guest with a virtual IOMMU, step by step, on the lab's test
 * device: what a virtual machine monitor asks and does, what the device then
 * sees, and what is left of a program that was killed.
 *
 * The story begins with a program that is killed in the middle of its work; the
 * second one gets the same device after it. The last two are there at once.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <linux/iommu.h>
#include <linux/vfio.h>

#include "info.h"
#include "pgtable.h"
#include "testdev.h"

#define GUEST_BASE	0x40000000ULL
#define GUEST_SIZE	(8UL << 20)
#define GUEST_VA	0x7f5432000000ULL

/* What the first program leaves to the one that kills it. */
struct legacy {
	bool ok;
	__u32 pasid;
	__u64 gpa;
};

struct vmm {
	const char *bdf;
	int group_id;
	int container;
	int group;
	struct testdev dev;
	struct iommu_uapi_caps caps;
	__u32 version;
	__u32 quota;
	__u32 used;
	__u32 pasid;
	struct gmem *mem;
	struct pgt pt;
};

static int failures;

static void step(const char *name)
{
	printf("\n%s\n", name);
}

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("    ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* One line for each thing that has to be so; true if it is. */
static bool check(bool holds, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("    %-6s ", holds ? "ok" : "FAILED");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	failures += !holds;
	return holds;
}

static const char *errno_name(int e)
{
	return e ? strerrorname_np(e) : "accepted";
}

static const char *outcome(int result)
{
	switch (result) {
	case TESTDEV_DONE:
		return "done";
	case TESTDEV_FAULT:
		return "faulted";
	case TESTDEV_NO_MASTER:
		return "bus mastering is off";
	case TESTDEV_BAD:
		return "bad parameters";
	case TESTDEV_PASID_OFF:
		return "PASIDs are off";
	default:
		return "the device does not answer";
	}
}

/* Calls, each with its errno as the answer, 0 if there is none. */

static int pasid_request(struct vmm *vmm, __u32 flags, __u32 first, __u32 last,
			 __u32 *pasid)
{
	struct vfio_iommu_type1_pasid_request req = {
		.argsz = sizeof(req),
		.flags = flags,
		.first = first,
		.last = last,
	};

	if (ioctl(vmm->container, VFIO_IOMMU_PASID_REQUEST, &req))
		return errno;
	if (pasid)
		*pasid = req.pasid;
	return 0;
}

static struct iommu_uapi_gpasid_bind_data bind_data(struct vmm *vmm)
{
	return (struct iommu_uapi_gpasid_bind_data){
		.version = vmm->version,
		.format = IOMMU_UAPI_FORMAT_INTEL_VTD,
		.gpgd = vmm->pt.root,
		.hpasid = vmm->pasid,
		.addr_width = 48,
	};
}

static int bind_table(struct vmm *vmm,
		      const struct iommu_uapi_gpasid_bind_data *data)
{
	struct {
		struct vfio_iommu_type1_bind_gpasid head;
		struct iommu_uapi_gpasid_bind_data data;
	} bind = {
		.head.argsz = sizeof(bind),
		.head.group_id = vmm->group_id,
		.data = *data,
	};

	return ioctl(vmm->container, VFIO_IOMMU_BIND_GPASID, &bind) ? errno : 0;
}

static int unbind_table(struct vmm *vmm)
{
	struct vfio_iommu_type1_unbind_gpasid unbind = {
		.argsz = sizeof(unbind),
		.group_id = vmm->group_id,
		.pasid = vmm->pasid,
	};

	return ioctl(vmm->container, VFIO_IOMMU_UNBIND_GPASID, &unbind) ?
		       errno : 0;
}

static struct iommu_uapi_cache_invalidate_info inv_data(struct vmm *vmm,
							__u64 va)
{
	return (struct iommu_uapi_cache_invalidate_info){
		.version = vmm->version,
		.cache = IOMMU_UAPI_CACHE_IOTLB,
		.granularity = IOMMU_UAPI_GRANU_ADDR,
		.addr_info = {
			.flags = IOMMU_UAPI_INV_ADDR_PASID,
			.pasid = vmm->pasid,
			.addr = va,
			.granule_size = PGT_4K,
			.nb_granules = 1,
		},
	};
}

static int invalidate(struct vmm *vmm,
		      const struct iommu_uapi_cache_invalidate_info *info,
		      __u32 *handled)
{
	struct {
		struct vfio_iommu_type1_cache_invalidate head;
		struct iommu_uapi_cache_invalidate_info info;
	} inv = {
		.head.argsz = sizeof(inv),
		.head.nr_entries = 1,
		.head.entry_size = sizeof(inv.info),
		.info = *info,
	};
	int rc = ioctl(vmm->container, VFIO_IOMMU_CACHE_INVALIDATE, &inv) ?
			 errno : 0;

	*handled = inv.head.handled;
	return rc;
}

static int map_guest_memory(struct vmm *vmm)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)vmm->mem->base,
		.iova = vmm->mem->gpa,
		.size = vmm->mem->size,
	};

	return ioctl(vmm->container, VFIO_IOMMU_MAP_DMA, &map) ? errno : 0;
}

/* Finds the capability; false if the container's IOMMUs can't nest. */
static bool read_caps(struct vmm *vmm)
{
	struct vfio_iommu_type1_info_cap_nesting *nesting;
	union info info;
	size_t size;

	if (info_read(vmm->container, &info))
		return false;
	nesting = info_cap(&info, VFIO_IOMMU_TYPE1_INFO_CAP_NESTING, NULL);
	if (!nesting)
		return false;
	size = nesting->caps_size;
	if (size > sizeof(vmm->caps))
		size = sizeof(vmm->caps);
	memset(&vmm->caps, 0, sizeof(vmm->caps));
	memcpy(&vmm->caps, nesting->caps, size);
	vmm->quota = nesting->pasid_quota;
	vmm->used = nesting->pasids_used;
	return true;
}

/* One bit, its name; then the next ones. Ends with a NULL. */
struct bit_name {
	__u64 bit;
	const char *name;
};

static const char *names(__u64 mask, const struct bit_name *bits)
{
	static char text[4][200];
	static int turn;
	char *t = text[turn++ % 4];

	t[0] = 0;
	for (; bits->name; bits++) {
		if (!(mask & bits->bit))
			continue;
		mask &= ~bits->bit;
		snprintf(t + strlen(t), 200 - strlen(t), "%s%s",
			 t[0] ? ", " : "", bits->name);
	}
	if (mask)
		snprintf(t + strlen(t), 200 - strlen(t), "%s0x%llx",
			 t[0] ? ", " : "", mask);
	return t[0] ? t : "none";
}

static const struct bit_name feature_names[] = {
	{ IOMMU_UAPI_FEAT_BIND_NO_PASID, "bind without PASID" },
	{ IOMMU_UAPI_FEAT_BIND_PASID, "bind with PASID" },
	{ IOMMU_UAPI_FEAT_HOST_PASID, "PASIDs from the host" },
	{ IOMMU_UAPI_FEAT_INVALIDATE, "invalidate" },
	{ IOMMU_UAPI_FEAT_RO_MAP, "read-only memory" },
	{ IOMMU_UAPI_FEAT_PAGE_REQUEST, "page requests" },
	{ IOMMU_UAPI_FEAT_GUEST_PASID, "PASIDs from the guest" },
	{ IOMMU_UAPI_FEAT_INV_SCOPE, "scopes" },
	{ IOMMU_UAPI_FEAT_DMA_FAULT, "DMA faults" },
	{ IOMMU_UAPI_FEAT_COHERENT, "coherent" },
	{ IOMMU_UAPI_FEAT_PASID_PRIV, "privileged" },
	{ IOMMU_UAPI_FEAT_PASID_EXEC, "execute" },
	{}
};

static const struct bit_name format_names[] = {
	{ 1 << IOMMU_UAPI_FORMAT_INTEL_VTD, "Intel VT-d" },
	{ 1 << IOMMU_UAPI_FORMAT_SECOND_LEVEL, "second level" },
	{}
};

static const struct bit_name bind_names[] = {
	{ IOMMU_UAPI_BIND_GPASID_VAL, "guest PASID" },
	{ IOMMU_UAPI_BIND_PAGE_REQUEST, "page requests" },
	{ IOMMU_UAPI_BIND_REPLACE, "replace" },
	{ IOMMU_UAPI_BIND_ARCHID, "guest's domain id" },
	{}
};

static const struct bit_name vtd_names[] = {
	{ IOMMU_UAPI_VTD_SRE, "SRE" },	 { IOMMU_UAPI_VTD_EAFE, "EAFE" },
	{ IOMMU_UAPI_VTD_PCD, "PCD" },	 { IOMMU_UAPI_VTD_PWT, "PWT" },
	{ IOMMU_UAPI_VTD_EMTE, "EMTE" }, { IOMMU_UAPI_VTD_CD, "CD" },
	{ IOMMU_UAPI_VTD_WPE, "WPE" },	 {}
};

static const struct bit_name granu_names[] = {
	{ 1 << IOMMU_UAPI_GRANU_DOMAIN, "domain" },
	{ 1 << IOMMU_UAPI_GRANU_PASID, "PASID" },
	{ 1 << IOMMU_UAPI_GRANU_ADDR, "address" },
	{}
};

static bool vmm_open(struct vmm *vmm)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vfio/%d", vmm->group_id);
	vmm->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vmm->container < 0)
		return check(false, "/dev/vfio/vfio: %s", strerror(errno));
	vmm->group = open(path, O_RDWR | O_CLOEXEC);
	if (vmm->group < 0)
		return check(false, "%s: %s", path, strerror(errno));
	return true;
}

/* Makes the container a nesting one. False says that the host can't. */
static bool vmm_query(struct vmm *vmm)
{
	int version = ioctl(vmm->container, VFIO_CHECK_EXTENSION,
			    VFIO_TYPE1_IOMMU_UAPI);

	if (version <= 0) {
		say("version   none: this kernel does not have the interface");
		return false;
	}
	say("version   %d (this program knows %d)", version,
	    IOMMU_UAPI_VERSION);
	if (ioctl(vmm->group, VFIO_GROUP_SET_CONTAINER, &vmm->container)) {
		say("group %d can't be used: %s", vmm->group_id,
		    strerror(errno));
		return false;
	}
	if (ioctl(vmm->container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU)) {
		say("nesting   no: the container is refused, %s",
		    errno_name(errno));
		return false;
	}
	if (!read_caps(vmm)) {
		say("nesting   no: the container does not report it");
		return false;
	}
	vmm->version = vmm->caps.version < IOMMU_UAPI_VERSION ?
			       vmm->caps.version : IOMMU_UAPI_VERSION;
	return true;
}

static void vmm_print_caps(const struct vmm *vmm)
{
	const struct iommu_uapi_caps *caps = &vmm->caps;

	say("features  %s", names(caps->features, feature_names));
	say("formats   %s; address width %u, guest-physical %u",
	    names(caps->formats, format_names), caps->addr_width,
	    caps->gpa_width);
	say("flags     bind: %s; VT-d: %s", names(caps->bind_flags, bind_names),
	    names(caps->vtd_flags, vtd_names));
	say("caches    IOTLB: %s; device IOTLB: %s; PASID: %s",
	    names(caps->inv_iotlb, granu_names),
	    names(caps->inv_dev_iotlb, granu_names),
	    names(caps->inv_pasid, granu_names));
	say("PASIDs    width %u (%u if the guest picks), quota %u, in use %u",
	    caps->pasid_bits, caps->guest_pasid_bits, vmm->quota, vmm->used);
}

static bool vmm_start(struct vmm *vmm)
{
	int fd, rc;

	rc = map_guest_memory(vmm);
	if (!check(!rc, "guest memory 0x%llx-0x%llx mapped%s%s",
		   vmm->mem->gpa, vmm->mem->gpa + vmm->mem->size - 1,
		   rc ? ": " : "", rc ? errno_name(rc) : ""))
		return false;
	fd = ioctl(vmm->group, VFIO_GROUP_GET_DEVICE_FD, vmm->bdf);
	if (fd < 0)
		return check(false, "device %s: %s", vmm->bdf, strerror(errno));
	rc = testdev_init(&vmm->dev, fd);
	return check(!rc, "device %s is open", vmm->bdf);
}

/* Both directions at @va; memory has to agree at @gpa. */
static bool dma_lands(struct vmm *vmm, __u64 va, __u64 gpa, const char *text)
{
	char *mem = gmem_ptr(vmm->mem, gpa);
	char buf[64] = {}, other[64] = {};
	int rc;

	memset(mem, 0, sizeof(buf));
	snprintf(mem, sizeof(buf), "%s", text);
	rc = testdev_read(&vmm->dev, TESTDEV_PASID(vmm->pasid), va, buf,
			  sizeof(buf));
	if (!check(!rc && !memcmp(buf, mem, sizeof(buf)),
		   "device reads  0x%llx: %s, it got \"%.63s\"", va, outcome(rc),
		   buf))
		return false;

	snprintf(other, sizeof(other), "%s, says the device", text);
	rc = testdev_write(&vmm->dev, TESTDEV_PASID(vmm->pasid), va, other,
			   sizeof(other));
	return check(!rc && !memcmp(other, mem, sizeof(other)),
		     "device writes 0x%llx: %s, memory at 0x%llx has \"%.63s\"",
		     va, outcome(rc), gpa, mem);
}

static bool dma_faults(struct vmm *vmm, __u32 pasid, __u64 va, const char *what)
{
	char buf[64] = "must not land";
	int rd, wr;

	rd = testdev_read(&vmm->dev, pasid, va, buf, sizeof(buf));
	wr = testdev_write(&vmm->dev, pasid, va, buf, sizeof(buf));
	return check(rd == TESTDEV_FAULT && wr == TESTDEV_FAULT,
		     "%s 0x%llx: read %s, write %s", what, va, outcome(rd),
		     outcome(wr));
}

static void refused(int rc, int want, const char *what)
{
	check(rc == want, "%-40s %s%s%s", what, errno_name(rc),
	      rc == want ? "" : ", expected ",
	      rc == want ? "" : errno_name(want));
}

/* Asks for more than there is, and then for what the guest needs. */
static bool make_contract(struct vmm *vmm)
{
	struct {
		struct vfio_iommu_type1_negotiate head;
		struct iommu_uapi_caps caps;
	} arg = {
		.head.argsz = sizeof(arg),
		.head.nr_pasids = 2,
		.caps = vmm->caps,
	};
	struct iommu_uapi_caps needs;
	bool ok;
	int rc;

	/* All of it but for the guest's PASIDs: these here are the host's. */
	arg.caps.version = vmm->version;
	arg.caps.features &= ~(__u64)IOMMU_UAPI_FEAT_GUEST_PASID;
	arg.caps.guest_pasid_bits = 0;
	arg.caps.errata = 0;
	needs = arg.caps;
	arg.caps.vtd_flags |= IOMMU_UAPI_VTD_CD;
	rc = ioctl(vmm->container, VFIO_IOMMU_NEGOTIATE, &arg) ? errno : 0;
	refused(rc, ERANGE, "with CD, which this host does not have");
	say("missing   features: %s; VT-d: %s; width %u",
	    names(arg.caps.features, feature_names),
	    names(arg.caps.vtd_flags, vtd_names), arg.caps.pasid_bits);

	arg.head.flags = VFIO_NEGOTIATE_COMMIT;
	arg.head.nr_pasids = 2;
	arg.caps = needs;
	arg.caps.vtd_flags = 0;
	arg.caps.pasid_bits = 16;
	rc = ioctl(vmm->container, VFIO_IOMMU_NEGOTIATE, &arg) ? errno : 0;
	ok = check(!rc, "committed: no VT-d flags, PASIDs of 16 bits, two of them%s%s",
		   rc ? ": " : "", rc ? errno_name(rc) : "");
	read_caps(vmm);
	return check(vmm->caps.pasid_bits == 16 && !vmm->caps.vtd_flags &&
		     vmm->quota == 2,
		     "this is what the query answers from now on") && ok;
}

/* The first program; it gets no further than to its last line. */
static void first_program(struct vmm *vmm, int out)
{
	struct iommu_uapi_cache_invalidate_info inv;
	struct iommu_uapi_gpasid_bind_data data;
	struct legacy legacy = {};
	__u32 handled;
	__u64 a, b;
	int rc;

	step("1. Query: what can this host do?");
	if (!vmm_open(vmm))
		goto out;
	if (!check(vmm_query(vmm), "the host can nest"))
		goto out;
	vmm_print_caps(vmm);
	check(vmm->used == 0, "no PASID is in use, and none had to be allocated to ask");

	step("2. The contract: all that the guest will need, for as long as it runs");
	if (!make_contract(vmm) || !vmm_start(vmm))
		goto out;

	step("3. A PASID from the host");
	rc = pasid_request(vmm, VFIO_PASID_REQUEST_ALLOC, 1,
			   (1U << vmm->caps.pasid_bits) - 1, &vmm->pasid);
	if (!check(!rc, "PASID %u%s%s", vmm->pasid, rc ? ": " : "",
		   rc ? errno_name(rc) : ""))
		goto out;
	read_caps(vmm);
	check(vmm->used == 1, "in use %u of %u", vmm->used, vmm->quota);
	dma_faults(vmm, TESTDEV_PASID(vmm->pasid), GUEST_VA,
		   "nothing is bound to it yet: DMA at");

	step("4. The guest's page table, bound to it");
	pgt_init(&vmm->pt, vmm->mem);
	a = gmem_alloc(vmm->mem, PGT_4K, PGT_4K);
	b = gmem_alloc(vmm->mem, PGT_2M, PGT_2M);
	pgt_map(&vmm->pt, GUEST_VA, a, PGT_4K, PGT_RW);
	pgt_map(&vmm->pt, GUEST_VA + PGT_2M, b, PGT_2M, PGT_RW);
	say("guest table at 0x%llx: 0x%llx -> 0x%llx (4 KiB)", vmm->pt.root,
	    GUEST_VA, a);
	say("                          0x%llx -> 0x%llx (2 MiB)",
	    GUEST_VA + PGT_2M, b);
	data = bind_data(vmm);
	rc = bind_table(vmm, &data);
	if (!check(!rc, "bound to PASID %u of group %d%s%s", vmm->pasid,
		   vmm->group_id, rc ? ": " : "", rc ? errno_name(rc) : ""))
		goto out;

	step("5. The device uses guest-virtual addresses");
	dma_lands(vmm, GUEST_VA + 0x120, a + 0x120, "hello from the guest");
	dma_lands(vmm, GUEST_VA + PGT_2M + 0x54320, b + 0x54320,
		  "a large page");
	check((*pgt_leaf(&vmm->pt, GUEST_VA) & (PGT_A | PGT_D)) ==
	      (PGT_A | PGT_D), "accessed and dirty are set in the guest's entry");
	dma_faults(vmm, TESTDEV_NO_PASID, GUEST_VA, "without the PASID,");
	dma_faults(vmm, TESTDEV_PASID(vmm->pasid), GUEST_VA + PGT_4K,
		   "what the guest has not mapped,");

	step("6. The guest takes a mapping away");
	pgt_unmap(&vmm->pt, GUEST_VA);
	dma_lands(vmm, GUEST_VA + 0x120, a + 0x120, "not invalidated yet");
	inv = inv_data(vmm, GUEST_VA);
	rc = invalidate(vmm, &inv, &handled);
	check(!rc && handled == 1, "invalidate: %s, %u of 1 handled",
	      rc ? errno_name(rc) : "done", handled);
	dma_faults(vmm, TESTDEV_PASID(vmm->pasid), GUEST_VA, "now");
	dma_lands(vmm, GUEST_VA + PGT_2M, b, "the other one is still there");

	step("7. What is wrong is refused, each with its errno");
	data = bind_data(vmm);
	data.hpasid = 0;
	data.flags = 1ULL << 63;
	refused(bind_table(vmm, &data), EOPNOTSUPP, "bind, unknown flag");
	data = bind_data(vmm);
	data.version = vmm->caps.version + 1;
	refused(bind_table(vmm, &data), EOPNOTSUPP, "bind, version too new");
	data.version = 0;
	refused(bind_table(vmm, &data), EINVAL, "bind, version 0");
	data = bind_data(vmm);
	data.hpasid = vmm->pasid + 1;
	refused(bind_table(vmm, &data), ENOENT, "bind, foreign PASID");
	data = bind_data(vmm);
	refused(bind_table(vmm, &data), EEXIST, "bind, the same once more");
	inv = inv_data(vmm, GUEST_VA);
	inv.addr_info.pasid = vmm->pasid + 1;
	refused(invalidate(vmm, &inv, &handled), ENOENT,
		"invalidate, foreign PASID");
	inv = inv_data(vmm, GUEST_VA);
	inv.addr_info.flags = 1U << 31;
	refused(invalidate(vmm, &inv, &handled), EOPNOTSUPP,
		"invalidate, unknown flag");
	refused(pasid_request(vmm, VFIO_PASID_REQUEST_FREE, vmm->pasid,
			      vmm->pasid, NULL), EBUSY,
		"free, the PASID is bound");
	dma_lands(vmm, GUEST_VA + PGT_2M, b, "nothing has changed by that");

	legacy.ok = !failures;
	legacy.pasid = vmm->pasid;
	legacy.gpa = b;
out:
	fflush(stdout);
	if (write(out, &legacy, sizeof(legacy)) != sizeof(legacy))
		_exit(1);
	/* To be killed with everything bound, allocated and open. */
	for (;;)
		pause();
}

/* The second program: the same device, and the PASID of the dead one. */
static void second_program(struct vmm *vmm, const struct legacy *legacy,
			   const struct gmem *dead)
{
	struct iommu_uapi_gpasid_bind_data data;
	const char *mem = gmem_ptr(dead, legacy->gpa);
	char before[64];
	__u64 gpa;
	int rc;

	if (!vmm_open(vmm) || !check(vmm_query(vmm), "the next program opens the device"))
		return;
	check(vmm->used == 0, "PASIDs: quota %u, in use %u", vmm->quota,
	      vmm->used);
	if (!vmm_start(vmm))
		return;
	memcpy(before, mem, sizeof(before));
	vmm->pasid = legacy->pasid;
	dma_faults(vmm, TESTDEV_PASID(vmm->pasid), GUEST_VA + PGT_2M,
		   "with the dead program's PASID,");
	check(!memcmp(before, mem, sizeof(before)),
	      "the dead program's memory still has \"%.63s\"", mem);

	step("9. A clean slate");
	rc = pasid_request(vmm, VFIO_PASID_REQUEST_ALLOC, legacy->pasid,
			   legacy->pasid, &vmm->pasid);
	if (!check(!rc, "PASID %u is free and allocated again%s%s",
		   legacy->pasid, rc ? ": " : "", rc ? errno_name(rc) : ""))
		return;
	dma_faults(vmm, TESTDEV_PASID(vmm->pasid), GUEST_VA + PGT_2M,
		   "nothing is bound to it:");
	pgt_init(&vmm->pt, vmm->mem);
	gpa = gmem_alloc(vmm->mem, PGT_4K, PGT_4K);
	pgt_map(&vmm->pt, GUEST_VA, gpa, PGT_4K, PGT_RW);
	data = bind_data(vmm);
	rc = bind_table(vmm, &data);
	if (!check(!rc, "its own table is bound%s%s", rc ? ": " : "",
		   rc ? errno_name(rc) : ""))
		return;
	dma_lands(vmm, GUEST_VA, gpa, "hello from the next guest");
	rc = unbind_table(vmm);
	check(!rc, "unbound%s%s", rc ? ": " : "", rc ? errno_name(rc) : "");
	dma_faults(vmm, TESTDEV_PASID(vmm->pasid), GUEST_VA, "after it,");
	refused(unbind_table(vmm), ENOENT, "unbind once more");
	rc = pasid_request(vmm, VFIO_PASID_REQUEST_FREE, vmm->pasid,
			   vmm->pasid, NULL);
	check(!rc, "PASID %u is freed%s%s", vmm->pasid, rc ? ": " : "",
	      rc ? errno_name(rc) : "");
	read_caps(vmm);
	check(vmm->used == 0, "in use %u", vmm->used);
}

/* Another device, one that asks for the pages that it lacks. */
static void third_program(void)
{
	/* Answered however long it takes: no time limit */
	struct vfio_iommu_type1_fault_fd faults = {
		.argsz = sizeof(faults),
		.flags = VFIO_FAULT_FD_TIMEOUT,
	};
	struct iommu_uapi_gpasid_bind_data data;
	struct iommu_uapi_page_response resp;
	struct iommu_uapi_page_request req;
	char bdf[16], text[32] = "";
	struct gmem mem = {};
	struct vmm vmm = { .bdf = bdf, .mem = &mem };
	int fd, rc;
	__u32 result;
	__u64 gpa;

	step("10. A page that is not there yet");
	if (!check(!testdev_find(bdf, 1, 1) && !testdev_bind_vfio(bdf) &&
		   !gmem_init(&mem, GUEST_BASE, GUEST_SIZE),
		   "a device that can request pages: %s", bdf))
		return;
	vmm.group_id = testdev_group(bdf);
	if (!vmm_open(&vmm) || !vmm_query(&vmm) || !vmm_start(&vmm))
		return;
	faults.version = vmm.version;
	fd = ioctl(vmm.container, VFIO_IOMMU_FAULT_FD, &faults);
	check(fd >= 0, "a file for page requests%s%s", fd < 0 ? ": " : "",
	      fd < 0 ? strerror(errno) : "");
	rc = pasid_request(&vmm, VFIO_PASID_REQUEST_ALLOC, 1,
			   (1U << vmm.caps.pasid_bits) - 1, &vmm.pasid);
	pgt_init(&vmm.pt, &mem);
	gpa = gmem_alloc(&mem, PGT_4K, PGT_4K);
	strcpy(gmem_ptr(&mem, gpa), "here you are");
	data = bind_data(&vmm);
	data.flags = IOMMU_UAPI_BIND_PAGE_REQUEST;
	if (!check(!rc && !bind_table(&vmm, &data),
		   "an empty table is bound to PASID %u", vmm.pasid))
		return;
	result = testdev_command(&vmm.dev, TESTDEV_CMD_ATS_READ,
				 TESTDEV_PASID(vmm.pasid), GUEST_VA, 16);
	check(result == TESTDEV_PENDING, "device reads  0x%llx: it waits", GUEST_VA);
	rc = read(fd, &req, sizeof(req));
	if (!check(rc == sizeof(req),
		   "page request for 0x%llx, PASID %u, group %u, of IOMMU group %u",
		   req.addr, req.pasid, req.grpid, req.group_id))
		return;
	pgt_map(&vmm.pt, GUEST_VA, gpa, PGT_4K, PGT_RW);
	resp = (struct iommu_uapi_page_response){
		.version = vmm.version,
		.flags = IOMMU_UAPI_RESP_PASID_VAL | IOMMU_UAPI_RESP_COOKIE_VAL,
		.pasid = req.pasid,
		.grpid = req.grpid,
		.code = IOMMU_UAPI_RESP_SUCCESS,
		.cookie = req.cookie,
	};
	check(write(fd, &resp, sizeof(resp)) == sizeof(resp),
	      "the guest maps it, and answers");
	while (result == TESTDEV_PENDING) {
		usleep(1000);
		result = testdev_get32(&vmm.dev, TESTDEV_REG_RESULT);
	}
	testdev_get(&vmm.dev, TESTDEV_REG_BUF, text, 16);
	check(result == TESTDEV_DONE && !strcmp(text, "here you are"),
	      "device reads  0x%llx: %s, it got \"%s\"", GUEST_VA,
	      outcome(result), text);
}

static void vmm_close(struct vmm *vmm)
{
	close(vmm->dev.fd);
	close(vmm->group);
	close(vmm->container);
}

/* A guest with its own device, memory and table, and PASID 1 */
static bool start_guest(struct vmm *vmm, int nth, char *bdf, struct gmem *mem,
			__u64 *gpa)
{
	struct iommu_uapi_gpasid_bind_data data;

	*vmm = (struct vmm){ .bdf = bdf, .mem = mem, .pasid = 1 };
	if (testdev_find(bdf, nth, 1) || testdev_bind_vfio(bdf) ||
	    gmem_init(mem, GUEST_BASE, GUEST_SIZE))
		return check(false, "a device and memory for a guest");
	vmm->group_id = testdev_group(bdf);
	if (!vmm_open(vmm) || !vmm_query(vmm) || !vmm_start(vmm))
		return false;
	pgt_init(&vmm->pt, mem);
	*gpa = gmem_alloc(mem, PGT_4K, PGT_4K);
	pgt_map(&vmm->pt, GUEST_VA, *gpa, PGT_4K, PGT_RW);
	data = bind_data(vmm);
	return check(!bind_table(vmm, &data), "its table is bound to PASID %u",
		     vmm->pasid);
}

/* Runs beside the other guest; goes on when told to. */
static int second_guest(int tell, int told)
{
	struct gmem mem = {};
	struct vmm vmm;
	char bdf[16], c = 0;
	__u64 gpa;

	failures = 0;
	if (start_guest(&vmm, 2, bdf, &mem, &gpa))
		dma_lands(&vmm, GUEST_VA, gpa, "the second guest");
	fflush(stdout);
	if (write(tell, &c, 1) != 1 || read(told, &c, 1) != 1)
		return 1;
	dma_lands(&vmm, GUEST_VA, gpa, "still the second guest");
	fflush(stdout);
	return failures != 0;
}

static void first_guest(int tell, int told)
{
	char bdf[16], text[64] = "at a guest-physical address", c = 0;
	struct gmem mem = {};
	struct vmm vmm;
	__u64 gpa;
	int rc;

	if (read(told, &c, 1) != 1 || !start_guest(&vmm, 0, bdf, &mem, &gpa))
		return;
	dma_lands(&vmm, GUEST_VA, gpa, "the first guest");

	step("12. A guest blocks its device");
	rc = testdev_write(&vmm.dev, TESTDEV_NO_PASID, gpa, text, sizeof(text));
	check(rc == TESTDEV_DONE && !strcmp(gmem_ptr(&mem, gpa), text),
	      "before, without PASID, device writes 0x%llx: %s", gpa, outcome(rc));
	vmm.pasid = 0;
	rc = unbind_table(&vmm);
	check(!rc, "requests without PASID are unbound%s%s", rc ? ": " : "",
	      rc ? errno_name(rc) : "");
	dma_faults(&vmm, TESTDEV_NO_PASID, gpa, "now");
	vmm.pasid = 1;
	dma_lands(&vmm, GUEST_VA, gpa, "PASID 1 goes on");
	fflush(stdout);
	if (write(tell, &c, 1) != 1)
		failures++;
	vmm_close(&vmm);
}

static void two_guests(void)
{
	int down[2], up[2], status = 1;
	pid_t pid;

	step("11. Two guests, and each picks PASID 1");
	if (pipe(down) || pipe(up)) {
		check(false, "pipes: %s", strerror(errno));
		return;
	}
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(second_guest(up[1], down[0]));
	}
	close(up[1]);
	first_guest(down[1], up[0]);
	close(down[1]);
	waitpid(pid, &status, 0);
	failures += status != 0;
}

static void tell_the_story(struct vmm *vmm)
{
	struct gmem first = {}, second = {};
	struct legacy legacy = {};
	int fds[2], status;
	pid_t pid;

	if (gmem_init_shared(&first, GUEST_BASE, GUEST_SIZE) ||
	    gmem_init(&second, GUEST_BASE, GUEST_SIZE) || pipe(fds)) {
		check(false, "memory for two guests");
		return;
	}

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		check(false, "fork: %s", strerror(errno));
		return;
	}
	if (!pid) {
		/* Not to outlive an interrupted demo. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		vmm->mem = &first;
		first_program(vmm, fds[1]);
	}
	close(fds[1]);
	if (read(fds[0], &legacy, sizeof(legacy)) != sizeof(legacy))
		legacy.ok = false;
	close(fds[0]);

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!legacy.ok) {
		failures++;
		return;
	}
	step("8. The program is killed, and has cleaned up nothing");
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "kill -9 %d, with PASID %u bound", pid, legacy.pasid);

	vmm->mem = &second;
	second_program(vmm, &legacy, &first);
	vmm_close(vmm);
	third_program();
	two_guests();
}

/* A host that can't: told at the query, and nothing else is tried. */
static void expect_no_nesting(struct vmm *vmm)
{
	step("Query: what can this host do?");
	if (!vmm_open(vmm))
		return;
	check(!vmm_query(vmm),
	      "told before any guest memory was mapped or any device opened");
	say("A guest that needs a virtual IOMMU is not launched here.");
}

static void print_help(FILE *to, const char *name)
{
	fprintf(to,
		"usage: %s [--expect-no-nesting] [DEVICE]\n"
		"\n"
		"Launches a guest in miniature on the lab's test device, 1af4:10f0, and\n"
		"shows each step. DEVICE is a PCI address as 0000:01:00.0; without it, the\n"
		"first such device that is alone in its IOMMU group is taken.\n"
		"\n"
		"  --expect-no-nesting  the host can't nest, and has to say so when asked\n"
		"\n"
		"Exit status: 0 if everything was as it has to be, 1 if not, 2 if it could\n"
		"not be tried.\n", name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "expect-no-nesting", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	struct vmm vmm = {};
	bool nesting = true;
	char bdf[16];
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'n':
			nesting = false;
			break;
		case 'h':
			print_help(stdout, argv[0]);
			return 0;
		default:
			print_help(stderr, argv[0]);
			return 2;
		}
	}
	if (optind < argc) {
		snprintf(bdf, sizeof(bdf), "%.15s", argv[optind]);
	} else if (testdev_find(bdf, 0, 1)) {
		fprintf(stderr, "no test device (1af4:10f0) here\n");
		return 2;
	}
	if (testdev_bind_vfio(bdf)) {
		fprintf(stderr, "vfio-pci does not take %s\n", bdf);
		return 2;
	}
	vmm.bdf = bdf;
	vmm.group_id = testdev_group(bdf);
	printf("Device %s, IOMMU group %d\n", vmm.bdf, vmm.group_id);

	if (nesting)
		tell_the_story(&vmm);
	else
		expect_no_nesting(&vmm);

	printf("\n%s\n", failures ? "Not every step held." : "Every step held.");
	return failures ? 1 : 0;
}
