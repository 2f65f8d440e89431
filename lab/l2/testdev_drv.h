/* SPDX-License-Identifier: GPL-2.0 */
/* Commands of the test device, which are those of /dev/testdev too. */
#ifndef LAB_TESTDEV_DRV_H
#define LAB_TESTDEV_DRV_H

#define TESTDEV_READ		1
#define TESTDEV_WRITE		2
#define TESTDEV_ATS_READ	3
#define TESTDEV_ATS_WRITE	4
/* What the device has read last, to the address */
#define TESTDEV_GET		16

#define TESTDEV_DONE		0
#define TESTDEV_FAULT		1
#define TESTDEV_INVALID		6

#endif
