// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel says through VFIO. To be asked about, a group has to be in a
 * container, and is attached to its page tables for that moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "iommu-caps.h"

/*
 * Does the kernel answer? Only called where VFIO is loaded: opening its file would
 * load it.
 */
bool ask_kernel(struct host *host)
{
	static const char what[] = "the kernel answers through VFIO";
	struct findings *f = &host->kernel;
	int container, version;

	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0) {
		add_check(f, STATE_UNKNOWN, what,
			  format("/dev/vfio/vfio: %s", strerror(errno)));
		return false;
	}
	version = ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU_UAPI);
	close(container);
	if (version > 0)
		add_check(f, STATE_YES, what, format("version %d", version));
	else
		add_check(f, STATE_NO, what, "it can't bind guest page tables");
	return version > 0;
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

static void get_caps(struct group *group, int container)
{
	static __u64 room[512];
	struct vfio_iommu_type1_info_cap_nesting *nesting;
	struct vfio_iommu_type1_info *info = (void *)room;
	struct vfio_iommu_type1_info_cap_group *cap;
	size_t size;

	memset(room, 0, sizeof(room));
	info->argsz = sizeof(room);
	if (ioctl(container, VFIO_IOMMU_GET_INFO, info))
		return;
	nesting = find_capability(info, VFIO_IOMMU_TYPE1_INFO_CAP_NESTING);
	if (!nesting)
		return;
	/* What the group can do by itself, from a kernel that tells */
	cap = find_capability(info, VFIO_IOMMU_TYPE1_INFO_CAP_GROUP);
	size = cap ? cap->caps_size : nesting->caps_size;
	if (size > sizeof(group->caps))
		size = sizeof(group->caps);
	memcpy(&group->caps, cap ? cap->caps : nesting->caps, size);
	group->quota = nesting->pasid_quota;
}

/* The kernel's own answer, without making it a contract */
static void negotiate(struct group *group, int container, const struct request *request)
{
	static const char what[] = "all of it together";
	struct findings *f = &group->findings;
	struct {
		struct vfio_iommu_type1_negotiate head;
		struct iommu_uapi_caps caps;
	} arg = {
		.head.argsz = sizeof(arg),
		.head.nr_pasids = request->nr_pasids,
		.caps = request->caps,
	};

	if (arg.caps.version > group->caps.version)
		arg.caps.version = group->caps.version;
	if (!ioctl(container, VFIO_IOMMU_NEGOTIATE, &arg))
		add_check(f, STATE_YES, what, "");
	else if (errno == ERANGE)
		add_check(f, STATE_NO, what,
			  format("missing: %s%s", caps_describe(&arg.caps),
				 arg.head.nr_pasids ? " nr_pasids" : ""));
	else
		add_check(f, STATE_NO, what, format("the kernel says: %s", strerror(errno)));
}

static void ask_container(struct group *group, int container, int fd,
			  const struct request *request)
{
	static const char can[] = "can be asked", nests[] = "the kernel nests";
	struct findings *f = &group->findings;
	int error = 0;

	if (ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container)) {
		add_check(f, STATE_UNKNOWN, can, strerror(errno));
		return;
	}
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU))
		error = errno;
	if (error == EPERM) {
		add_check(f, STATE_NO, can, "no interrupt remapping");
		add_step(f, "use interrupt remapping",
			 "enable it and x2APIC in the firmware's setup; boot without intremap=off",
			 "put both back");
		return;
	}
	if (error && error != EOPNOTSUPP) {
		add_check(f, STATE_UNKNOWN, can, strerror(error));
		return;
	}
	add_check(f, STATE_YES, can, "");
	group->asked = true;
	if (!error)
		get_caps(group, container);
	add_check(f, group->caps.formats ? STATE_YES : STATE_NO, nests,
		  error ? strerror(error) : "");
	if (!group->caps.version)
		group->caps.version = IOMMU_UAPI_VERSION_1;
	if (group->caps.formats && request)
		negotiate(group, container, request);
}

void ask_group(struct group *group, const struct request *request)
{
	struct findings *f = &group->findings;
	int container, fd, error;

	fd = open(format("/dev/vfio/%d", group->id), O_RDWR);
	if (fd < 0) {
		error = errno;
		add_check(f, STATE_UNKNOWN, "can be asked",
			  error == EBUSY ? "another program uses it" :
			  format("/dev/vfio/%d: %s%s", group->id, strerror(error),
				 error == EACCES ? "; run this as root, or as its owner" : ""));
		return;
	}
	container = open("/dev/vfio/vfio", O_RDWR);
	if (container >= 0) {
		ask_container(group, container, fd, request);
		close(container);
	} else {
		add_check(f, STATE_UNKNOWN, "can be asked",
			  format("/dev/vfio/vfio: %s", strerror(errno)));
	}
	close(fd);
}
