// SPDX-License-Identifier: GPL-2.0
/*
 * How a virtual machine monitor binds a guest's page table to a PASID, from the
 * first question to the end. See Documentation/userspace-api/iommu.rst.
 *
 * usage: example [GROUP]	(default: the group of the first test device)
 * Exit status: 0 done, 4 the host can't do it, 1 it should have and didn't.
 */
#include <err.h>
#include <linux/iommu.h>
#include <linux/vfio.h>

#include "pgtable.h"
#include "testdev.h"

#define GUEST_BASE	0x40000000ULL
#define GUEST_SIZE	(2UL << 20)
#define GUEST_VA	0x7f0000000000ULL
/* What holds every address of the guest's memory, and every PASID it will use. */
#define GUEST_WIDTH	31
#define PASID_BITS	8
/* The guest picks one of those. */
#define PASID		1

/* Query: NULL, or what is missing. Needs no PASID and changes nothing. */
static const char *query(int container, struct iommu_uapi_caps *caps)
{
	/* If it's too small, the kernel says in argsz what would suffice. */
	static __u64 room[512];
	struct vfio_iommu_type1_info *info = (void *)room;
	struct vfio_iommu_type1_info_cap_nesting *nesting;
	struct vfio_info_cap_header *header;
	__u32 next, size;

	info->argsz = sizeof(room);
	if (ioctl(container, VFIO_IOMMU_GET_INFO, info) ||
	    !(info->flags & VFIO_IOMMU_INFO_CAPS))
		return "capabilities";

	for (next = info->cap_offset; next; next = header->next) {
		header = (void *)info + next;
		if (header->id != VFIO_IOMMU_TYPE1_INFO_CAP_NESTING)
			continue;
		nesting = (void *)header;
		/* Older and newer kernels have less and more to say. */
		size = sizeof(*caps);
		if (size > nesting->caps_size)
			size = nesting->caps_size;
		memset(caps, 0, sizeof(*caps));
		memcpy(caps, nesting->caps, size);
		return NULL;
	}
	return "an IOMMU that nests behind every group";
}

/* Decide: before the guest boots, with all that the guest will need. */
static const char *decide(int container, __u32 version)
{
	struct {
		struct vfio_iommu_type1_negotiate head;
		struct iommu_uapi_caps needs;
	} arg = {
		.head.argsz = sizeof(arg),
		.head.flags = VFIO_NEGOTIATE_COMMIT,
		.needs.version = version,
		.needs.features = IOMMU_UAPI_FEAT_BIND_PASID |
				  IOMMU_UAPI_FEAT_GUEST_PASID |
				  IOMMU_UAPI_FEAT_INVALIDATE,
		.needs.formats = 1ULL << IOMMU_UAPI_FORMAT_INTEL_VTD,
		.needs.inv_iotlb = 1U << IOMMU_UAPI_GRANU_ADDR,
		.needs.addr_width = 48,
		.needs.gpa_width = GUEST_WIDTH,
		.needs.guest_pasid_bits = PASID_BITS,
	};

	if (!ioctl(container, VFIO_IOMMU_NEGOTIATE, &arg))
		return NULL;
	if (errno != ERANGE)
		return "a contract";
	/* Now it says what is missing. */
	if (arg.needs.features || arg.needs.guest_pasid_bits)
		return "PASIDs that the guest picks, binding, invalidating";
	if (arg.needs.formats || arg.needs.addr_width || arg.needs.gpa_width)
		return "the page table's format or width";
	return "invalidation by address";
}

/* Bind: @root is guest-physical, so an IOVA of the container. */
static int bind_table(int container, __u32 version, __u32 group, __u32 pasid,
		      __u64 root)
{
	struct {
		struct vfio_iommu_type1_bind_gpasid head;
		struct iommu_uapi_gpasid_bind_data data;
	} bind = {
		.head.argsz = sizeof(bind),
		.head.group_id = group,
		.data.version = version,
		.data.format = IOMMU_UAPI_FORMAT_INTEL_VTD,
		.data.gpgd = root,
		.data.hpasid = pasid,
		.data.addr_width = 48,
	};

	return ioctl(container, VFIO_IOMMU_BIND_GPASID, &bind);
}

/* Invalidate: the guest has changed @nr pages from @va on. */
static int invalidate(int container, __u32 version, __u32 pasid, __u64 va,
		      __u64 nr)
{
	struct {
		struct vfio_iommu_type1_cache_invalidate head;
		struct iommu_uapi_cache_invalidate_info entry[1];
	} inv = {
		.head.argsz = sizeof(inv),
		.head.nr_entries = 1,
		.head.entry_size = sizeof(inv.entry[0]),
		.entry[0].version = version,
		.entry[0].cache = IOMMU_UAPI_CACHE_IOTLB,
		.entry[0].granularity = IOMMU_UAPI_GRANU_ADDR,
		.entry[0].addr_info.flags = IOMMU_UAPI_INV_ADDR_PASID,
		.entry[0].addr_info.pasid = pasid,
		.entry[0].addr_info.addr = va,
		.entry[0].addr_info.granule_size = PGT_4K,
		.entry[0].addr_info.nb_granules = nr,
	};

	return ioctl(container, VFIO_IOMMU_CACHE_INVALIDATE, &inv);
}

/* Launch: make it a container that nests. NULL, or what is missing. */
static const char *launch(int container, int group, struct iommu_uapi_caps *caps)
{
	if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU_UAPI) <= 0)
		return "the interface in this kernel";
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		return "a group that can be used";
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU))
		return "an IOMMU that nests";
	return query(container, caps);
}

int main(int argc, char **argv)
{
	struct vfio_iommu_type1_unbind_gpasid unbind = { sizeof(unbind) };
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = GUEST_BASE,
		.size = GUEST_SIZE,
	};
	struct iommu_uapi_caps caps;
	const char *missing;
	int container, group, id;
	__u32 version;
	struct gmem mem = {};
	struct pgt pt;
	char path[32];

	id = argc > 1 ? atoi(argv[1]) : testdev_prepare();
	snprintf(path, sizeof(path), "/dev/vfio/%d", id);
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(path, O_RDWR);
	if (group < 0)
		err(4, "%s", path);
	missing = launch(container, group, &caps);
	if (missing)
		errx(4, "not on this host: %s", missing);
	/* Fill in the layout that both sides know, and say which it is. */
	version = caps.version;
	if (version > IOMMU_UAPI_VERSION)
		version = IOMMU_UAPI_VERSION;
	missing = decide(container, version);
	if (missing)
		errx(4, "not on this host: %s", missing);

	/* The guest boots: its memory, and what it puts there. */
	if (gmem_init(&mem, GUEST_BASE, GUEST_SIZE))
		err(1, "guest memory");
	map.vaddr = (uintptr_t)mem.base;
	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		err(1, "VFIO_IOMMU_MAP_DMA");
	pgt_init(&pt, &mem);
	pgt_map(&pt, GUEST_VA, gmem_alloc(&mem, PGT_4K, PGT_4K), PGT_4K, PGT_RW);

	if (bind_table(container, version, id, PASID, pt.root))
		err(1, "VFIO_IOMMU_BIND_GPASID");
	printf("version %u, bound to PASID %u\n", version, PASID);

	/* From here on, the device translates by the guest's table. */
	pgt_unmap(&pt, GUEST_VA);
	if (invalidate(container, version, PASID, GUEST_VA, 1))
		err(1, "VFIO_IOMMU_CACHE_INVALIDATE");

	unbind.group_id = id;
	unbind.pasid = PASID;
	if (ioctl(container, VFIO_IOMMU_UNBIND_GPASID, &unbind))
		err(1, "VFIO_IOMMU_UNBIND_GPASID");
	return 0;
}
