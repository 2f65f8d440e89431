// SPDX-License-Identifier: GPL-2.0
/* What sysfs tells about a host. Opens no device file and loads no module. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "iommu-caps.h"

#define PCI_EXT_ATS	0x0f
#define PCI_EXT_PRI	0x13
#define PCI_EXT_PASID	0x1b
#define PCI_CLASS_BRIDGE 0x06

#define ECAP_NESTING	(ECAP_NEST | ECAP_SMTS | ECAP_FSTS | ECAP_SSTS)

static bool exists(const struct host *host, const char *path)
{
	return !access(format("%s%s", host->root, path), F_OK);
}

/* The first line of a file; NULL if it can't be read. */
static char *read_line(const char *path)
{
	char line[4096];
	FILE *file;
	char *got;

	file = fopen(path, "r");
	if (!file)
		return NULL;
	got = fgets(line, sizeof(line), file);
	fclose(file);
	if (!got)
		return NULL;
	line[strcspn(line, "\n")] = 0;
	return format("%s", line);
}

static __u64 read_number(const char *path, int base)
{
	char *line = read_line(path);

	return line ? strtoull(line, NULL, base) : 0;
}

/* Last component of a link's target; empty if there is no link. */
static const char *link_name(const char *path)
{
	char target[PATH_MAX];
	const char *name;
	ssize_t n;

	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return "";
	target[n] = 0;
	name = strrchr(target, '/');
	return format("%s", name ? name + 1 : target);
}

/*
 * The kernel
 */

/* 'y', 'm' or 'n'; '?' if there is no configuration to read. */
static char kconfig(const struct host *host, const char *option)
{
	static char *text;
	static size_t size;
	FILE *file = NULL;
	char *at;

	if (!text) {
		file = fopen(format("%s/boot/config-%s", host->root,
				    host->release), "r");
		if (file) {
			if (getdelim(&text, &size, 0, file) < 0)
				text = NULL;
			fclose(file);
		} else if (!host->root[0] && exists(host, "/proc/config.gz")) {
			file = popen("gzip -dc /proc/config.gz 2>/dev/null", "r");
			if (file && getdelim(&text, &size, 0, file) < 0)
				text = NULL;
			if (file)
				pclose(file);
		}
		if (!text)
			text = "";
	}
	if (!strstr(text, "CONFIG_"))
		return '?';
	at = strstr(text, format("\nCONFIG_%s=", option));
	return at ? at[strlen(option) + 9] : 'n';
}

/* Does the kernel have a module of that file name, to be loaded? */
static bool has_module(const struct host *host, const char *name)
{
	char line[4096];
	bool found = false;
	FILE *file;

	file = fopen(format("%s/lib/modules/%s/modules.dep", host->root,
			    host->release), "r");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, name) && strstr(line, name) < strchrnul(line, ':');
	fclose(file);
	return found;
}

static void check_driver(struct host *host, const char *what, const char *path,
			 const char *file, const char *option, bool *todo)
{
	char set = kconfig(host, option);

	if (exists(host, path)) {
		add_check(&host->kernel, STATE_YES, what, "");
	} else if (has_module(host, format("/%s.ko", file))) {
		add_check(&host->kernel, STATE_TODO, what,
			  format("module %s is not loaded", file));
		*todo = true;
	} else if (set == 'n') {
		add_check(&host->kernel, STATE_NO, what,
			  format("the kernel was built without CONFIG_%s", option));
	} else {
		add_check(&host->kernel, STATE_UNKNOWN, what,
			  format("%s is not loaded", file));
	}
}

/* What the kernel's command line says, and else its configuration */
static void check_scalable_mode(struct host *host)
{
	static const char what[] = "scalable mode of VT-d is used";
	char set = kconfig(host, "INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON");
	char *line = format("%s", host->cmdline), *words, *word;
	enum verdict state = STATE_UNKNOWN;
	const char *why = "no sm_on, and the kernel's configuration can't be read";
	bool off = false;

	if (set != '?') {
		state = set == 'y' ? STATE_YES : STATE_TODO;
		why = "default of the kernel's configuration";
	}
	/* The last word counts. */
	while ((words = strsep(&line, " "))) {
		if (strncmp(words, "intel_iommu=", strlen("intel_iommu=")))
			continue;
		words += strlen("intel_iommu=");
		while ((word = strsep(&words, ","))) {
			if (!strcmp(word, "on"))
				off = false;
			if (!strcmp(word, "off"))
				off = true;
			if (strcmp(word, "sm_on") && strcmp(word, "sm_off"))
				continue;
			state = strcmp(word, "sm_on") ? STATE_TODO : STATE_YES;
			why = word;
		}
	}
	if (off) {
		state = STATE_TODO;
		why = "intel_iommu=off";
	}
	add_check(&host->kernel, state, what, why);
	if (state != STATE_YES)
		add_step(&host->kernel, "use scalable mode from the next boot on",
			 "add intel_iommu=on,sm_on to the kernel's command line, and reboot",
			 "remove it there, and reboot");
}

void survey_kernel(struct host *host)
{
	static const char tables[] = "guest page tables can be bound";
	struct utsname uts = {};
	struct findings *f = &host->kernel;
	bool todo = false, intel = false;
	char set, *quota;
	int i;

	host->release = read_line(format("%s/proc/sys/kernel/osrelease", host->root));
	if (!host->release)
		host->release = uname(&uts) ? "" : format("%s", uts.release);
	host->cmdline = read_line(format("%s/proc/cmdline", host->root));
	if (!host->cmdline)
		host->cmdline = "";

	check_driver(host, "VFIO containers", "/sys/class/misc/vfio", "vfio",
		     "VFIO_CONTAINER", &todo);
	check_driver(host, "VFIO containers of type 1",
		     "/sys/module/vfio_iommu_type1", "vfio_iommu_type1",
		     "VFIO_IOMMU_TYPE1", &todo);
	host->vfio = worst(f) == STATE_YES;
	check_driver(host, "driver vfio-pci", "/sys/bus/pci/drivers/vfio-pci",
		     "vfio-pci", "VFIO_PCI", &todo);

	/* The parameter is there if and only if the option is. */
	quota = read_line(format("%s/sys/module/vfio/parameters/pasid_quota",
				 host->root));
	set = kconfig(host, "VFIO_NESTING");
	if (quota)
		add_check(f, STATE_YES, tables, format("quota of PASIDs %s", quota));
	else if (set == 'n' || exists(host, "/sys/class/misc/vfio"))
		add_check(f, STATE_NO, tables,
			  "the kernel was built without CONFIG_VFIO_NESTING, or before it existed");
	else if (set == 'y')
		add_check(f, STATE_YES, tables, "CONFIG_VFIO_NESTING");
	else
		add_check(f, STATE_UNKNOWN, tables,
			  todo ? "known once vfio is loaded" : "");
	if (todo)
		add_step(f, "load VFIO", "modprobe vfio_iommu_type1\nmodprobe vfio-pci",
			 "modprobe -r vfio-pci vfio_iommu_type1");

	for (i = 0; i < host->nr_iommus; i++)
		intel |= host->iommus[i].intel;
	if (intel) {
		add_check(f, STATE_YES, "an IOMMU is used", "");
		check_scalable_mode(host);
	} else if (host->nr_iommus) {
		add_check(f, STATE_NO, "an IOMMU is used",
			  "none is an Intel VT-d, the only kind that is supported");
	} else if (exists(host, "/sys/firmware/acpi/tables/DMAR")) {
		add_check(f, kconfig(host, "INTEL_IOMMU") == 'n' ? STATE_NO : STATE_TODO,
			  "an IOMMU is used",
			  "the firmware has one, and the kernel does not use it");
		check_scalable_mode(host);
	} else {
		add_check(f, STATE_NO, "an IOMMU is used",
			  "the firmware tells of no VT-d (table DMAR)");
		add_step(f, "have the firmware tell of it, if the machine has one",
			 "enable VT-d in the firmware's setup, and reboot",
			 "disable it there");
	}
}

/*
 * IOMMUs
 */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

/* Names in a directory, sorted; the caller reads them until NULL. */
static char **list(const char *path)
{
	char **names = grow(NULL, 1, sizeof(*names));
	struct dirent *de;
	int nr = 0;
	DIR *dir;

	dir = opendir(path);
	while (dir && (de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		names = grow(names, nr + 2, sizeof(*names));
		names[nr++] = format("%s", de->d_name);
	}
	if (dir)
		closedir(dir);
	qsort(names, nr, sizeof(*names), compare_names);
	names[nr] = NULL;
	return names;
}

void survey_iommus(struct host *host)
{
	char *dir = format("%s/sys/class/iommu", host->root);
	struct iommu *iommu;
	char **name, *path;

	for (name = list(dir); *name; name++) {
		host->iommus = grow(host->iommus, host->nr_iommus + 1, sizeof(*iommu));
		iommu = &host->iommus[host->nr_iommus++];
		iommu->name = *name;
		path = format("%s/%s/intel-iommu", dir, *name);
		iommu->version = read_line(format("%s/version", path));
		iommu->intel = iommu->version;
		iommu->cap = read_number(format("%s/cap", path), 16);
		iommu->ecap = read_number(format("%s/ecap", path), 16);
		iommu->domains_supported =
			read_number(format("%s/domains_supported", path), 10);
		iommu->domains_used = read_number(format("%s/domains_used", path), 10);
	}
}

/*
 * Devices and groups
 */

/* Walk the extended capabilities. Without privileges only 64 bytes can be read. */
static void read_pci(struct device *device, const char *path)
{
	unsigned char space[4096];
	struct stat st;
	size_t n, at;
	FILE *file;
	int left;

	file = fopen(path, "r");
	if (!file)
		return;
	n = fread(space, 1, sizeof(space), file);
	/* Conventional PCI has 256 bytes, and none of these capabilities. */
	device->pci_known = n == sizeof(space) ||
			    (!fstat(fileno(file), &st) && st.st_size == 256);
	fclose(file);
	if (n < sizeof(space))
		return;
	for (at = 0x100, left = 960; at >= 0x100 && at <= sizeof(space) - 8 && left; left--) {
		unsigned int id = space[at] | space[at + 1] << 8;

		if (id == PCI_EXT_ATS)
			device->pci |= PCI_ATS;
		if (id == PCI_EXT_PRI)
			device->pci |= PCI_PRI;
		if (id == PCI_EXT_PASID) {
			device->pci |= PCI_PASID;
			device->pasid_bits = space[at + 5] & 0x1f;
		}
		at = (space[at + 2] >> 4 | space[at + 3] << 4) & 0xffc;
	}
}

static void read_device(const struct host *host, struct device *device,
			const char *path)
{
	const char *name = link_name(format("%s/iommu", path));
	int i;

	device->driver = link_name(format("%s/driver", path));
	device->vendor = read_number(format("%s/vendor", path), 16);
	device->id = read_number(format("%s/device", path), 16);
	device->class = read_number(format("%s/class", path), 16);
	for (i = 0; i < host->nr_iommus; i++) {
		if (!strcmp(host->iommus[i].name, name))
			device->iommu = &host->iommus[i];
	}
	read_pci(device, format("%s/config", path));
}

static bool is_bridge(const struct device *device)
{
	return device->class >> 16 == PCI_CLASS_BRIDGE;
}

static bool has_vfio_driver(const struct device *device)
{
	return !strncmp(device->driver, "vfio", 4);
}

bool belongs_to_vfio(const struct group *group)
{
	bool some = false;
	int i;

	for (i = 0; i < group->nr_devices; i++) {
		const struct device *device = &group->devices[i];

		if (has_vfio_driver(device))
			some = true;
		else if (strcmp(device->driver, "pcieport"))
			return false;
	}
	return some;
}

static void check_iommu(struct findings *f, const struct iommu *iommu)
{
	static const char what[] = "the IOMMU nests";
	__u64 lack;

	if (!iommu) {
		add_check(f, STATE_NO, what, "no IOMMU is behind the device");
		return;
	}
	if (!iommu->intel) {
		add_check(f, STATE_NO, what, format("%s is not an Intel VT-d", iommu->name));
		return;
	}
	lack = ECAP_NESTING & ~iommu->ecap;
	add_check(f, lack ? STATE_NO : STATE_YES, what,
		  lack ? format("%s lacks%s%s%s%s", iommu->name,
				lack & ECAP_NEST ? " ECAP.NEST" : "",
				lack & ECAP_SMTS ? " ECAP.SMTS" : "",
				lack & ECAP_FSTS ? " ECAP.FSTS" : "",
				lack & ECAP_SSTS ? " ECAP.SSTS" : "") : iommu->name);
}

#define PCI_BUS "/sys/bus/pci"

static void add_driver_step(struct findings *f, const struct device *device)
{
	const char *name = device->name;
	const char *override = format("> " PCI_BUS "/devices/%s/driver_override", name);
	const char *probe = format("echo %s > " PCI_BUS "/drivers_probe", name);
	const char *undo = format("echo %s\necho %s > " PCI_BUS "/drivers/vfio-pci/unbind\n%s",
				  override, name, probe);
	const char *unbind = "";

	if (!strcmp(device->driver, "vfio-pci"))
		add_step(f, format("give %s back to the host", name), NULL, undo);
	if (has_vfio_driver(device))
		return;
	if (device->driver[0])
		unbind = format("echo %s > " PCI_BUS "/devices/%s/driver/unbind\n", name, name);
	add_step(f, format("give %s to VFIO; the host then can't use it", name),
		 format("echo vfio-pci %s\n%s%s", override, unbind, probe), undo);
}

/* A step for each device that VFIO does not have yet, and how to give back the rest */
static void check_drivers(struct group *group)
{
	struct findings *f = &group->findings;
	const char *foreign = NULL;
	int i;

	for (i = 0; i < group->nr_devices; i++) {
		const struct device *device = &group->devices[i];

		if (!strcmp(device->driver, "pcieport"))
			continue;
		add_driver_step(f, device);
		if (!has_vfio_driver(device))
			foreign = format("%s has %s%s", device->name,
					 device->driver[0] ? "driver " : "no driver",
					 device->driver);
	}
	add_check(f, foreign ? STATE_TODO : STATE_YES, "belongs to VFIO", foreign ? foreign : "");
}

static void check_group(struct group *group)
{
	static const char what[] = "holds one device";
	struct findings *f = &group->findings;
	int i, bridges = 0;

	for (i = 0; i < group->nr_devices; i++)
		bridges += is_bridge(&group->devices[i]);
	if (bridges == group->nr_devices) {
		add_check(f, STATE_NO, "holds a device for a guest", "only bridges");
		return;
	}
	if (group->id < 0) {
		add_check(f, STATE_NO, "has an IOMMU group", "");
		return;
	}
	/* Of a device in a slot, or below a bridge with ACS, this may change. */
	add_check(f, group->nr_devices == 1 ? STATE_YES : STATE_NO, what,
		  group->nr_devices == 1 ? "" :
		  format("%d; another slot may help", group->nr_devices));
	check_iommu(f, group->devices[0].iommu);
	if (worst(f) != STATE_NO)
		check_drivers(group);
}

static struct group *new_group(struct host *host, int id)
{
	struct group *group;

	host->groups = grow(host->groups, host->nr_groups + 1, sizeof(*group));
	group = &host->groups[host->nr_groups++];
	group->id = id;
	return group;
}

static void add_device(struct host *host, struct group *group, const char *name,
		       const char *path)
{
	struct device *device;

	group->devices = grow(group->devices, group->nr_devices + 1, sizeof(*device));
	device = &group->devices[group->nr_devices++];
	device->name = name;
	read_device(host, device, path);
}

/* Returns false if there is no such group. */
bool survey_group(struct host *host, int id)
{
	char *dir = format("%s/sys/kernel/iommu_groups/%d/devices", host->root, id);
	struct group *group;
	char **name;
	int i;

	for (i = 0; i < host->nr_groups; i++) {
		if (host->groups[i].id == id)
			return true;
	}
	name = list(dir);
	if (!*name)
		return false;
	group = new_group(host, id);
	for (; *name; name++)
		add_device(host, group, *name, format("%s/%s", dir, *name));
	check_group(group);
	return true;
}

/* Returns false if there is no such device. The PCI domain 0000 can be left out. */
bool survey_device(struct host *host, const char *name)
{
	char *path = format("%s/sys/bus/pci/devices/%s", host->root, name);
	struct group *group;
	const char *id;

	if (access(path, F_OK)) {
		name = format("0000:%s", name);
		path = format("%s/sys/bus/pci/devices/%s", host->root, name);
		if (strchr(name, '/') || access(path, F_OK))
			return false;
	}
	id = link_name(format("%s/iommu_group", path));
	if (id[0])
		return survey_group(host, atoi(id));
	group = new_group(host, -1);
	add_device(host, group, name, path);
	check_group(group);
	return true;
}

static int compare_groups(const void *a, const void *b)
{
	return ((const struct group *)a)->id - ((const struct group *)b)->id;
}

void survey_groups(struct host *host)
{
	char **name;

	for (name = list(format("%s/sys/kernel/iommu_groups", host->root)); *name; name++)
		survey_group(host, atoi(*name));
	if (host->nr_groups)
		qsort(host->groups, host->nr_groups, sizeof(*host->groups), compare_groups);
}
