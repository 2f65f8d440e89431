/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The clock under lab/run --icount, which counts guest instructions
 */
#ifndef _LAB_ICOUNT_H
#define _LAB_ICOUNT_H

#include <time.h>

/* One guest instruction is one nanosecond. */
static inline long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

#endif /* _LAB_ICOUNT_H */
