// SPDX-License-Identifier: GPL-2.0
/*
 * iommu-caps - can this host run guests with a virtual IOMMU?
 *
 * Prints PASS or FAIL for each requirement, and what to do about each FAIL. Makes
 * the same queries as a virtual machine monitor, and changes nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/iommu.h>
#include <linux/vfio.h>

#define VTD_ECAP_NEST	0x0000000004000000ULL
#define VTD_ECAP_PASID	0x0000010000000000ULL
#define VTD_ECAP_SMTS	0x0000080000000000ULL

#define MAX_IOMMU_GROUPS	1024

static const char *subject;
static bool quiet;
static int missing;

static void report(bool pass, const char *what, const char *format, va_list args)
{
	char detail[200], line[100];

	vsnprintf(detail, sizeof(detail), format, args);
	snprintf(line, sizeof(line), "%s: %s", subject, what);
	if (!pass || !quiet)
		printf("%-56s: %s%s%s%s\n", line, pass ? "PASS" : "FAIL",
		       detail[0] ? " (" : "", detail, detail[0] ? ")" : "");
}

/* A requirement is met; @format gives its value, if any. */
static void pass(const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(true, what, format, args);
	va_end(args);
}

/* A requirement is not met; @format gives the reason. */
static void fail(const char *what, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(false, what, format, args);
	va_end(args);
	missing++;
}

static void advice(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("    ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static bool need(bool holds, const char *what)
{
	if (holds)
		pass(what, "%s", "");
	else
		fail(what, "%s", "");
	return holds;
}

/* Last component of a link's target; empty if there is no link. */
static const char *link_name(char *buf, size_t size, const char *format, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *name = "";
	va_list args;
	ssize_t n;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = 0;
		name = strrchr(target, '/');
		name = name ? name + 1 : target;
	}
	snprintf(buf, size, "%.*s", (int)size - 1, name);
	return buf;
}

/* The extended capability register of the VT-d behind a device. */
static bool read_ecap(const char *bdf, unsigned long long *ecap)
{
	char path[PATH_MAX];
	FILE *file;
	int n;

	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/iommu/intel-iommu/ecap", bdf);
	file = fopen(path, "r");
	if (!file)
		return false;
	n = fscanf(file, "%llx", ecap);
	fclose(file);
	return n == 1;
}

static void advice_no_nesting(const char *bdf)
{
	unsigned long long ecap;

	if (!read_ecap(bdf, &ecap)) {
		advice("Its IOMMU is not an Intel VT-d, the only kind that is supported.");
	} else if (!(ecap & VTD_ECAP_NEST)) {
		advice("Its VT-d has no nested translation (ECAP 0x%llx, bit 26).",
		       ecap);
		advice("A device behind another VT-d, or another machine, may have it.");
	} else if (!(ecap & VTD_ECAP_SMTS)) {
		advice("Its VT-d has no scalable mode (ECAP 0x%llx, bit 43).",
		       ecap);
	} else {
		advice("The hardware supports it: boot with intel_iommu=on,sm_on.");
	}
}

/*
 * Does the group have one device only, and a VFIO driver? Returns the name of a
 * device in @bdf, or an empty string if there is none.
 */
static bool check_devices(int id, char *bdf, size_t size)
{
	char path[PATH_MAX], driver[64];
	bool foreign = false;
	struct dirent *de;
	int nr = 0;
	DIR *dir;

	bdf[0] = 0;
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices", id);
	dir = opendir(path);
	if (!dir) {
		fail("exists", "%s", strerror(errno));
		return false;
	}
	while ((de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		nr++;
		if (bdf[0])
			continue;
		snprintf(bdf, size, "%.*s", (int)size - 1, de->d_name);
	}
	if (nr == 1) {
		pass("holds one device", "%s", bdf);
	} else {
		fail("holds one device", "%d", nr);
		advice("A guest's page table can only be bound to the only device in a group.");
		advice("In another slot, or behind a bridge with ACS, it may get its own group.");
	}

	rewinddir(dir);
	while ((de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		link_name(driver, sizeof(driver),
			  "/sys/kernel/iommu_groups/%d/devices/%s/driver", id,
			  de->d_name);
		/* Bridges keep their driver. */
		if (!strcmp(driver, "pcieport") || !strncmp(driver, "vfio", 4))
			continue;
		foreign = true;
		fail("belongs to VFIO", "%s has %s", de->d_name,
		     driver[0] ? driver : "no driver");
		advice("echo vfio-pci > /sys/bus/pci/devices/%s/driver_override",
		       de->d_name);
		if (driver[0])
			advice("echo %s > /sys/bus/pci/devices/%s/driver/unbind",
			       de->d_name, de->d_name);
		advice("echo %s > /sys/bus/pci/drivers_probe", de->d_name);
	}
	closedir(dir);
	if (!foreign)
		pass("belongs to VFIO", "%s", "");
	return nr == 1 && !foreign;
}

/* The container has one group, so there is at most one capability of each kind. */
static void *find_capability(struct vfio_iommu_type1_info *info, __u16 id)
{
	struct vfio_info_cap_header *header;
	__u32 next;

	if (!(info->flags & VFIO_IOMMU_INFO_CAPS))
		return NULL;
	for (next = info->cap_offset; next; next = header->next) {
		header = (void *)info + next;
		if (header->id == id)
			return header;
	}
	return NULL;
}

static void check_caps(const struct vfio_iommu_type1_info_cap_nesting *nesting,
		       const struct vfio_iommu_type1_info_cap_group *group,
		       const char *bdf)
{
	struct iommu_uapi_caps caps = {};
	unsigned long long ecap;
	size_t size;

	/* What the group can do by itself, from a kernel that tells */
	size = group ? group->caps_size : nesting->caps_size;
	if (size > sizeof(caps))
		size = sizeof(caps);
	memcpy(&caps, group ? group->caps : nesting->caps, size);

	if (caps.formats & (1ULL << IOMMU_UAPI_FORMAT_INTEL_VTD))
		pass("page table format", "Intel VT-d");
	else
		fail("page table format", "unknown to this program");
	if (caps.addr_width >= 48)
		pass("guest page tables of four levels", "%u bits",
		     caps.addr_width);
	else
		fail("guest page tables of four levels", "%u bits",
		     caps.addr_width);
	pass("guest-physical addresses", "%u bits", caps.gpa_width);
	if (caps.page_sizes)
		pass("page sizes", "smallest %llu KiB, largest %llu KiB",
		     (caps.page_sizes & -caps.page_sizes) >> 10,
		     1ULL << (63 - __builtin_clzll(caps.page_sizes)) >> 10);
	need(caps.features & IOMMU_UAPI_FEAT_BIND_NO_PASID,
	     "requests without PASID");
	need(caps.formats & (1ULL << IOMMU_UAPI_FORMAT_SECOND_LEVEL),
	     "pass-through for a guest");
	if (caps.features & IOMMU_UAPI_FEAT_BIND_PASID) {
		pass("requests with PASID", "%u bits", caps.pasid_bits);
	} else {
		fail("requests with PASID", "%s", "");
		if (read_ecap(bdf, &ecap) && !(ecap & VTD_ECAP_PASID))
			advice("Its VT-d has no PASIDs (ECAP 0x%llx, bit 40).",
			       ecap);
		else
			advice("The device has no PASID capability, or the host left it disabled.");
	}
	if (caps.features & IOMMU_UAPI_FEAT_GUEST_PASID) {
		if (caps.guest_pasid_bits) {
			pass("PASIDs that the guest picks", "%u bits",
			     caps.guest_pasid_bits);
		} else {
			/* What to do about it is told below. */
			fail("PASIDs that the guest picks", "quota %u",
			     nesting->pasid_quota);
		}
	} else {
		fail("PASIDs that the guest picks", "%s", "");
	}
	if (!(caps.features & IOMMU_UAPI_FEAT_HOST_PASID)) {
		fail("PASIDs from the host", "%s", "");
	} else if (!nesting->pasid_quota) {
		fail("PASIDs from the host", "quota 0");
		advice("Raise VFIO's parameter pasid_quota in /sys/module/vfio/parameters.");
	} else {
		pass("PASIDs from the host", "quota %u", nesting->pasid_quota);
	}
	if (need(caps.features & IOMMU_UAPI_FEAT_INVALIDATE, "invalidation")) {
		need(caps.inv_iotlb & (1U << IOMMU_UAPI_GRANU_PASID),
		     "invalidation of the IOTLB by PASID");
		need(caps.inv_iotlb & (1U << IOMMU_UAPI_GRANU_ADDR),
		     "invalidation of the IOTLB by address");
		need(caps.features & IOMMU_UAPI_FEAT_INV_SCOPE,
		     "invalidation by group and by guest's domain id");
	}
	if (caps.max_bindings)
		pass("page tables of one IOMMU", "%u", caps.max_bindings);
	need(caps.features & IOMMU_UAPI_FEAT_DMA_FAULT, "DMA faults are told");
	if (!quiet && !(caps.features & IOMMU_UAPI_FEAT_RO_MAP))
		advice("Note: guest memory can't be mapped read-only for DMA here.");
	if (!quiet && !(caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		advice("Note: this device can't request pages (PRI) here.");
	if (!quiet && !(caps.features & IOMMU_UAPI_FEAT_PASID_PRIV))
		advice("Note: this device can't send privileged requests with a PASID.");
	if (!quiet && !(caps.features & IOMMU_UAPI_FEAT_COHERENT))
		advice("Note: the IOMMU does not snoop caches: the guest must flush its tables.");
	if (!quiet && caps.errata & IOMMU_UAPI_ERRATUM_VTD_772415)
		advice("Note: VT-d erratum 772415: the IOMMU writes to read-only pages.");
}

static void check_container(int container, int group, const char *bdf)
{
	static __u64 room[512];
	struct vfio_iommu_type1_info *info = (void *)room;
	struct vfio_iommu_type1_info_cap_nesting *nesting = NULL;
	struct vfio_iommu_type1_info_cap_group *caps = NULL;
	struct vfio_group_status status = { .argsz = sizeof(status) };

	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		fail("can be used", "not viable");
		return;
	}
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)) {
		fail("can be used", "%s", strerror(errno));
		return;
	}
	if (!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU)) {
		info->argsz = sizeof(room);
		if (!ioctl(container, VFIO_IOMMU_GET_INFO, info)) {
			nesting = find_capability(info,
						  VFIO_IOMMU_TYPE1_INFO_CAP_NESTING);
			caps = find_capability(info,
					       VFIO_IOMMU_TYPE1_INFO_CAP_GROUP);
		}
	} else if (errno == EPERM) {
		fail("can be used", "no interrupt remapping");
		advice("Enable interrupt remapping: intremap=on, x2APIC in the firmware's setup.");
		return;
	}
	pass("can be used", "%s", "");
	if (!need(nesting, "IOMMU nests")) {
		advice_no_nesting(bdf);
		return;
	}
	check_caps(nesting, caps, bdf);
}

static void check_group(int id)
{
	char name[32], path[32], bdf[32];
	int container, group, error;
	bool ready;

	snprintf(name, sizeof(name), "group %d", id);
	subject = name;
	ready = check_devices(id, bdf, sizeof(bdf));

	snprintf(path, sizeof(path), "/dev/vfio/%d", id);
	group = open(path, O_RDWR);
	if (group < 0) {
		error = errno;
		/* Without a VFIO driver, this has been reported already. */
		if (ready || error != ENOENT)
			fail("can be used", "%s: %s", path, strerror(error));
		if (error == EBUSY)
			advice("Another program uses it: try again when that has ended.");
		else if (error == EACCES)
			advice("Run this as root, or as the owner of the group.");
		return;
	}
	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0) {
		fail("can be used", "/dev/vfio/vfio: %s", strerror(errno));
	} else {
		check_container(container, group, bdf);
		close(container);
	}
	close(group);
}

static bool check_kernel(void)
{
	int container, version, error;

	subject = "kernel";
	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0) {
		error = errno;
		fail("has VFIO containers", "/dev/vfio/vfio: %s",
		     strerror(error));
		if (error == EACCES)
			advice("Run this as root.");
		else
			advice("modprobe vfio-pci; the kernel needs CONFIG_VFIO_CONTAINER.");
		return false;
	}
	pass("has VFIO containers", "%s", "");

	if (!ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU)) {
		fail("has containers of type 1", "%s", "");
		advice("modprobe vfio_iommu_type1");
		close(container);
		return false;
	}
	pass("has containers of type 1", "%s", "");

	version = ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU_UAPI);
	close(container);
	if (version <= 0) {
		fail("binds guest page tables", "%s", "");
		advice("The kernel is too old, or was built without CONFIG_VFIO_NESTING.");
		return false;
	}
	pass("binds guest page tables", "version %d", version);
	return true;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* All groups that belong to VFIO. */
static int find_groups(int *ids)
{
	struct dirent *de;
	int nr = 0;
	DIR *dir;

	dir = opendir("/dev/vfio");
	while (dir && (de = readdir(dir))) {
		char *end;
		long id = strtol(de->d_name, &end, 10);

		if (end != de->d_name && !*end && nr < MAX_IOMMU_GROUPS)
			ids[nr++] = id;
	}
	if (dir)
		closedir(dir);
	qsort(ids, nr, sizeof(*ids), compare);
	return nr;
}

static void print_help(FILE *to)
{
	fputs("NAME\n"
	      "    iommu-caps - can this host run guests with a virtual IOMMU?\n"
	      "\n"
	      "SYNOPSIS\n"
	      "    iommu-caps [-q] [GROUP...]\n"
	      "    iommu-caps --help\n"
	      "\n"
	      "DESCRIPTION\n"
	      "    Checks the kernel, and then each IOMMU group, for everything that a\n"
	      "    virtual machine monitor needs to bind its guest's page tables to a\n"
	      "    device. Prints PASS or FAIL for each requirement, and what to do\n"
	      "    about each FAIL.\n"
	      "\n"
	      "    GROUP is a number as in /dev/vfio and /sys/kernel/iommu_groups.\n"
	      "    Without it, all groups that belong to VFIO are checked.\n"
	      "\n"
	      "    The devices themselves are not opened. A group that is in use can't\n"
	      "    be checked, and fails.\n"
	      "\n"
	      "OPTIONS\n"
	      "    -q, --quiet   print failures only\n"
	      "    -h, --help    print this text\n"
	      "\n"
	      "EXIT STATUS\n"
	      "    0  every requirement is met\n"
	      "    1  something is missing\n"
	      "    2  wrong usage\n"
	      "\n"
	      "SEE ALSO\n"
	      "    Documentation/userspace-api/iommu.rst in the kernel's sources\n",
	      to);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	static int ids[MAX_IOMMU_GROUPS];
	int c, i, nr;

	while ((c = getopt_long(argc, argv, "qh", options, NULL)) != -1) {
		switch (c) {
		case 'q':
			quiet = true;
			break;
		case 'h':
			print_help(stdout);
			return 0;
		default:
			fputs("Try 'iommu-caps --help'.\n", stderr);
			return 2;
		}
	}

	nr = 0;
	for (i = optind; i < argc && nr < MAX_IOMMU_GROUPS; i++) {
		unsigned long id;
		char *end;

		errno = 0;
		id = strtoul(argv[i], &end, 10);
		if (errno || end == argv[i] || *end || id > INT_MAX) {
			fprintf(stderr, "'%s' is not the number of a group.\n",
				argv[i]);
			return 2;
		}
		ids[nr++] = id;
	}

	if (check_kernel()) {
		if (!nr)
			nr = find_groups(ids);
		subject = "host";
		if (!nr) {
			fail("a group belongs to VFIO", "none does");
			advice("Name the group of a device to see how to give it to VFIO:");
			advice("readlink /sys/bus/pci/devices/DEVICE/iommu_group");
			advice("If it has no group, enable the IOMMU in the firmware setup,");
			advice("and boot with intel_iommu=on,sm_on.");
		}
		for (i = 0; i < nr; i++)
			check_group(ids[i]);
	}
	return missing ? 1 : 0;
}
