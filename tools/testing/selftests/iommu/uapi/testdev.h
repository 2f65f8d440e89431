/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pasid-testdev, the endpoint of the lab: on command it moves bytes between a
 * buffer of its own and memory, and tells how that ended. QEMU's
 * docs/specs/pasid-testdev.rst describes its registers.
 *
 * The registers are reached with pread() and pwrite(): a mapped BAR would keep
 * the IOMMU group busy after the device is closed.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_TESTDEV_H
#define _SELFTESTS_IOMMU_UAPI_TESTDEV_H

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/types.h>
#include <linux/vfio.h>

/* VFIO puts the number of a region into the upper half of an offset. */
static_assert(sizeof(off_t) == 8, "build with -D_FILE_OFFSET_BITS=64");

#define TESTDEV_ID	"0x1af4:0x10f0"

#define TESTDEV_REG_MAGIC	0x00
#define TESTDEV_REG_ADDR	0x08
#define TESTDEV_REG_LEN		0x10
#define TESTDEV_REG_PASID	0x14
#define TESTDEV_REG_CMD		0x18
#define TESTDEV_REG_RESULT	0x1c
#define TESTDEV_REG_DONE	0x20
#define TESTDEV_REG_COUNT	0x24
#define TESTDEV_REG_BUF		0x800

#define TESTDEV_MAGIC		0x50415344
#define TESTDEV_BUF_SIZE	2048

/* What a request carries besides its address. */
#define TESTDEV_NO_PASID	0u
/* With PRI: what page requests carry, and the answers to them */
#define TESTDEV_REG_PRREQ	0x28
#define TESTDEV_REG_PRNUM	0x2c
#define TESTDEV_REG_PRRESP	0x30
#define TESTDEV_REG_PRSEL	0x34
#define TESTDEV_REG_PRGRP	0x38
#define TESTDEV_REG_PRCODE	0x3c
#define TESTDEV_REG_PRPASID	0x40

/*
 * Invalidations of what the device keeps (ATS). The counters go on across
 * resets: compare two readings.
 */
#define TESTDEV_REG_INVCTRL	0x60
#define TESTDEV_REG_INVDONE	0x64	/* answered */
#define TESTDEV_REG_INVLOST	0x68	/* not answered, see testdev_silence() */
#define TESTDEV_REG_INVOFF	0x6c	/* arrived while ATS was off */

#define TESTDEV_PRREQ_READ	(1u << 16)
#define TESTDEV_PRREQ_WRITE	(1u << 17)
#define TESTDEV_PRREQ_LAST	(1u << 18)
#define TESTDEV_PRREQ_PRIVATE	(1u << 19)
#define TESTDEV_PRREQ_UNLIMITED	(1u << 20)
#define TESTDEV_PRREQ_AGAIN	(1u << 21)

#define TESTDEV_PASID(n)	((1u << 31) | (__u32)(n))
#define TESTDEV_PRIV		0x40000000u
#define TESTDEV_EXEC		0x20000000u

#define TESTDEV_CMD_READ	1
#define TESTDEV_CMD_WRITE	2
/* The same for a device that asks for pages first, and asking alone */
#define TESTDEV_CMD_ATS_READ	3
#define TESTDEV_CMD_ATS_WRITE	4
#define TESTDEV_CMD_REQUEST	5

/* How a transfer ended. */
#define TESTDEV_DONE		0
#define TESTDEV_FAULT		1
#define TESTDEV_NO_MASTER	2
#define TESTDEV_BAD		3
#define TESTDEV_PASID_OFF	4
#define TESTDEV_INVALID		6
#define TESTDEV_FAILURE		7
#define TESTDEV_NO_PRI		8
#define TESTDEV_PENDING		0xfffffffe

/**
 * struct testdev - a device that is open
 * @fd: VFIO's device; not closed here
 * @bar: offset of BAR 0 in @fd
 * @cfg: offset of configuration space in @fd
 * @ats: whether testdev_read() and testdev_write() ask for translations, and
 *	let the device keep them
 */
struct testdev {
	int fd;
	off_t bar;
	off_t cfg;
	int ats;
};

static inline int testdev_sysfs(char *path, const char *bdf, const char *attr)
{
	return snprintf(path, PATH_MAX, "/sys/bus/pci/devices/%s/%s", bdf, attr);
}

static inline int testdev_sysfs_read(const char *bdf, const char *attr,
				     char *buf, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	testdev_sysfs(path, bdf, attr);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return 0;
}

static inline int testdev_sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* The device's IOMMU group; -ENOENT where no IOMMU is behind it. */
static inline int testdev_group(const char *bdf)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	testdev_sysfs(path, bdf, "iommu_group");
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	return atoi(strrchr(target, '/') + 1);
}

static inline int testdev_group_size(int group)
{
	char path[PATH_MAX];
	struct dirent *de;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/devices",
		 group);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((de = readdir(dir)))
		n += de->d_name[0] != '.';
	closedir(dir);
	return n;
}

/**
 * testdev_find - find a device
 * @bdf: gets its PCI address, as 0000:01:00.0; at least 16 bytes
 * @nth: 0 for the first, in the order of addresses
 * @group_size: number of devices in its IOMMU group; 0 for any, -1 for a
 *	device without a group
 *
 * Return: 0, or -ENODEV.
 */
static inline int testdev_find(char *bdf, int nth, int group_size)
{
	struct dirent **list;
	int n, i, rc = -ENODEV;

	n = scandir("/sys/bus/pci/devices", &list, NULL, alphasort);
	if (n < 0)
		return -ENODEV;
	for (i = 0; i < n; i++) {
		char vendor[16], device[16], id[40];
		const char *name = list[i]->d_name;
		int group;

		if (testdev_sysfs_read(name, "vendor", vendor, sizeof(vendor)) ||
		    testdev_sysfs_read(name, "device", device, sizeof(device)))
			continue;
		snprintf(id, sizeof(id), "%s:%s", vendor, device);
		if (strcmp(id, TESTDEV_ID))
			continue;
		group = testdev_group(name);
		if (group_size > 0 &&
		    (group < 0 || testdev_group_size(group) != group_size))
			continue;
		if (group_size < 0 && group >= 0)
			continue;
		if (nth--)
			continue;
		snprintf(bdf, 16, "%.15s", name);
		rc = 0;
		break;
	}
	for (i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return rc;
}

static inline int testdev_unbind(const char *bdf)
{
	char path[PATH_MAX];

	testdev_sysfs(path, bdf, "driver/unbind");
	return testdev_sysfs_write(path, bdf);
}

/* Give the device to vfio-pci, unless it has it already. */
static inline int testdev_bind_vfio(const char *bdf)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;
	int rc;

	testdev_sysfs(path, bdf, "driver");
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = 0;
		if (!strcmp(strrchr(target, '/') + 1, "vfio-pci"))
			return 0;
		rc = testdev_unbind(bdf);
		if (rc)
			return rc;
	}
	/* Fails where it's built in, and then isn't needed. */
	if (access("/sys/bus/pci/drivers/vfio-pci", F_OK) &&
	    system("modprobe vfio-pci >/dev/null 2>&1"))
		return -ENOENT;
	testdev_sysfs(path, bdf, "driver_override");
	rc = testdev_sysfs_write(path, "vfio-pci");
	if (rc)
		return rc;
	rc = testdev_sysfs_write("/sys/bus/pci/drivers_probe", bdf);
	if (rc)
		return rc;
	testdev_sysfs(path, bdf, "driver");
	return access(path, F_OK) ? -ENODEV : 0;
}

/* The first device that is alone in its group: give it to VFIO; its group. */
static inline int testdev_prepare(void)
{
	char bdf[16];
	int rc;

	rc = testdev_find(bdf, 0, 1);
	if (!rc)
		rc = testdev_bind_vfio(bdf);
	return rc ? rc : testdev_group(bdf);
}

static inline int testdev_get(struct testdev *td, off_t reg, void *buf,
			      size_t len)
{
	return pread(td->fd, buf, len, td->bar + reg) == (ssize_t)len ? 0 : -EIO;
}

static inline int testdev_put(struct testdev *td, off_t reg, const void *buf,
			      size_t len)
{
	return pwrite(td->fd, buf, len, td->bar + reg) == (ssize_t)len ? 0 :
								       -EIO;
}

static inline __u32 testdev_get32(struct testdev *td, off_t reg)
{
	__u32 val = ~0u;

	testdev_get(td, reg, &val, sizeof(val));
	return val;
}

/* Allow DMA, or forbid it. VFIO leaves it forbidden when it opens a device. */
static inline int testdev_master(struct testdev *td, int on)
{
	__u16 cmd;

	if (pread(td->fd, &cmd, sizeof(cmd), td->cfg + PCI_COMMAND) !=
	    sizeof(cmd))
		return -EIO;
	cmd |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (!on)
		cmd &= ~PCI_COMMAND_MASTER;
	if (pwrite(td->fd, &cmd, sizeof(cmd), td->cfg + PCI_COMMAND) !=
	    sizeof(cmd))
		return -EIO;
	return 0;
}

/*
 * Let the device answer no invalidations, or answer them again, as after a
 * reset. An IOMMU that waits for the answer runs into its time-out.
 */
static inline int testdev_silence(struct testdev *td, int on)
{
	__u32 val = on;

	return testdev_put(td, TESTDEV_REG_INVCTRL, &val, sizeof(val));
}

/**
 * testdev_init - make a device ready for DMA
 * @td: the device
 * @fd: VFIO's device, open
 */
static inline int testdev_init(struct testdev *td, int fd)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	struct vfio_region_info cfg = {
		.argsz = sizeof(cfg),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	int rc;

	td->fd = fd;
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &bar) ||
	    ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &cfg))
		return -errno;
	td->bar = bar.offset;
	td->cfg = cfg.offset;
	rc = testdev_master(td, 1);
	if (rc)
		return rc;
	return testdev_get32(td, TESTDEV_REG_MAGIC) == TESTDEV_MAGIC ? 0 :
								      -ENODEV;
}

/* Have the device do one transfer. Returns TESTDEV_DONE or another result of it, or -EIO. */
static inline int testdev_command(struct testdev *td, __u32 cmd, __u32 pasid,
				  __u64 addr, __u32 len)
{
	__u32 result;

	if (testdev_put(td, TESTDEV_REG_ADDR, &addr, sizeof(addr)) ||
	    testdev_put(td, TESTDEV_REG_LEN, &len, sizeof(len)) ||
	    testdev_put(td, TESTDEV_REG_PASID, &pasid, sizeof(pasid)) ||
	    testdev_put(td, TESTDEV_REG_CMD, &cmd, sizeof(cmd)) ||
	    testdev_get(td, TESTDEV_REG_RESULT, &result, sizeof(result)))
		return -EIO;
	return result;
}

/* Without page requests, being refused a translation is the end of it. */
static inline int testdev_transfer(struct testdev *td, int write, __u32 pasid,
				   __u64 addr, __u32 len)
{
	int rc;

	if (!td->ats)
		return testdev_command(td, write ? TESTDEV_CMD_WRITE :
						   TESTDEV_CMD_READ,
				       pasid, addr, len);
	rc = testdev_command(td, write ? TESTDEV_CMD_ATS_WRITE :
					 TESTDEV_CMD_ATS_READ,
			     pasid, addr, len);
	return rc == TESTDEV_NO_PRI ? TESTDEV_FAULT : rc;
}

/* The buffer takes accesses of 4 and 8 bytes only. */
static inline size_t testdev_buf_size(__u32 len)
{
	return len < TESTDEV_BUF_SIZE ? (len + 7) & ~7u : TESTDEV_BUF_SIZE;
}

/**
 * testdev_read - the device reads memory
 * @td: the device
 * @pasid: TESTDEV_NO_PASID, or TESTDEV_PASID(n) with flags
 * @addr: address of the transfer
 * @buf: gets what the device read, unless it failed
 * @len: 1 to TESTDEV_BUF_SIZE
 *
 * Return: TESTDEV_DONE, another outcome, or -EIO.
 */
static inline int testdev_read(struct testdev *td, __u32 pasid, __u64 addr,
			       void *buf, __u32 len)
{
	__u8 room[TESTDEV_BUF_SIZE];
	int rc;

	rc = testdev_transfer(td, 0, pasid, addr, len);
	if (rc != TESTDEV_DONE)
		return rc;
	if (testdev_get(td, TESTDEV_REG_BUF, room, testdev_buf_size(len)))
		return -EIO;
	memcpy(buf, room, len);
	return rc;
}

/* testdev_write - the device writes @buf to memory; as testdev_read() */
static inline int testdev_write(struct testdev *td, __u32 pasid, __u64 addr,
				const void *buf, __u32 len)
{
	__u8 room[TESTDEV_BUF_SIZE] = {};

	memcpy(room, buf, len < sizeof(room) ? len : sizeof(room));
	if (testdev_put(td, TESTDEV_REG_BUF, room, testdev_buf_size(len)))
		return -EIO;
	return testdev_transfer(td, 1, pasid, addr, len);
}

#endif /* _SELFTESTS_IOMMU_UAPI_TESTDEV_H */
