/* SPDX-License-Identifier: GPL-2.0 */
/* Calls of /dev/variants */
#ifndef LAB_VARIANTS_H
#define LAB_VARIANTS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* In front of a structure, as in a call of a carrier */
struct variants_head {
	__u32 argsz;
	/* enum iommu_uapi_type */
	__u32 type;
};

/* Ways to copy a structure */
#define WAY_NONE	0
#define WAY_VERSION	1
#define WAY_FLAGS	2
#define WAY_ARGSZ	3
#define WAY_PADDING	4
#define WAY_SIZE	5
/* As WAY_FLAGS, where the driver reads again what the carrier has read */
#define WAY_TWICE	6

/* With WAY_PADDING, each structure has as many bytes. */
#define FIXED_SIZE	128

#define VARIANTS_COPY(way)	_IO('v', way)
/* Copy what the driver got to the argument, FIXED_SIZE bytes. */
#define VARIANTS_SEEN		_IO('v', 16)
/* Wait until a read of the page at offset 0 of the device waits. */
#define VARIANTS_WAIT		_IO('v', 17)
/* Return whether the carrier's lock is held. */
#define VARIANTS_LOCKED		_IO('v', 18)
/* Let the read go on. */
#define VARIANTS_GO		_IO('v', 19)
/* Be a kernel whose union in a bind has so many bytes more, with no member for them. */
#define VARIANTS_GROW		_IO('v', 20)

#endif
