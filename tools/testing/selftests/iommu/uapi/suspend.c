// SPDX-License-Identifier: GPL-2.0
/*
 * Suspend to RAM, with a guest page table bound: the IOMMU loses its registers and has
 * to get them back. Copy the program to memory first if the file system needs a device
 * that does not come back.
 */
#include <sys/timerfd.h>

#include "device.h"
#include "harness.h"

#define REGSET	"/sys/kernel/debug/iommu/intel/iommu_regset"

/* Suspend, until a timer ends it after a few seconds. */
static int suspend(void)
{
	const struct itimerspec after = { .it_value.tv_sec = 3 };
	char states[80] = "";
	FILE *f = fopen("/sys/power/state", "r");
	int timer, rc;

	if (f) {
		if (!fgets(states, sizeof(states), f))
			states[0] = 0;
		fclose(f);
	}
	timer = timerfd_create(CLOCK_BOOTTIME_ALARM, 0);
	if (timer < 0 || !strstr(states, "mem"))
		return -EOPNOTSUPP;
	rc = timerfd_settime(timer, 0, &after, NULL) ? -errno : 0;
	if (!rc)
		testdev_sysfs_write("/sys/power/mem_sleep", "deep");
	if (!rc)
		rc = testdev_sysfs_write("/sys/power/state", "mem");
	close(timer);
	return rc;
}

/* The registers of VT-d's page request queue and of its interrupt */
static int queue_registers(char *text, size_t size)
{
	static const char * const names[] = {
		"PQA ", "PECTL ", "PEDATA ", "PEADDR ", "PEUADDR ",
	};
	FILE *f = fopen(REGSET, "r");
	char line[160];
	unsigned int i;
	int nr = 0;

	text[0] = 0;
	while (f && fgets(line, sizeof(line), f)) {
		for (i = 0; i < ARRAY_LEN(names); i++) {
			if (strncmp(line, names[i], strlen(names[i])) ||
			    strlen(text) + strlen(line) >= size)
				continue;
			strcat(text, line);
			nr++;
		}
	}
	if (f)
		fclose(f);
	return nr;
}

FIXTURE(suspend)
{
	struct nest n;
	struct pgt pt;
	__u64 page;
};

FIXTURE_SETUP(suspend)
{
	struct nest *n = &self->n;

	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 0, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_BIND_NO_PASID))
		SKIP(return, "requests without PASID can't be bound");
	ASSERT_OK(open_requester(n, &self->pt, &self->page));
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page, PGT_4K, PGT_RW));
	ASSERT_OK(bind_table(n, 0, self->pt.root));
	ASSERT_OK(dma_works(n, 0, GUEST_VA, self->page));
}

FIXTURE_TEARDOWN(suspend)
{
}

TEST_F_TIMEOUT(suspend, to_ram, SLOW)
{
	struct nest *n = &self->n;
	char before[1024], after[1024];
	unsigned int nr = 0, nr_now = 0;
	__u64 other;
	int rc;

	read_uint("/sys/power/suspend_stats/success", &nr);
	queue_registers(before, sizeof(before));
	rc = suspend();
	if (rc == -EOPNOTSUPP)
		SKIP(return, "this machine can't suspend to RAM, or not wake up by itself");
	ASSERT_OK(rc);
	ASSERT_OK(read_uint("/sys/power/suspend_stats/success", &nr_now));
	EXPECT_EQ(nr + 1, nr_now);

	/* The table is bound as before, its caches are invalidated as ever. */
	ASSERT_OK(testdev_master(&n->td, 1));
	EXPECT_OK(dma_works(n, 0, GUEST_VA, self->page));
	other = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	pgt_unmap(&self->pt, GUEST_VA);
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, other, PGT_4K, PGT_RW));
	EXPECT_OK(invalidate_pasid(n, 0));
	EXPECT_OK(dma_works(n, 0, GUEST_VA, other));
	EXPECT_OK(unbind(n, 0));
	EXPECT_TRUE(dma_faults(n, 0, GUEST_VA));
	EXPECT_OK(bind_table(n, 0, self->pt.root));
	EXPECT_OK(dma_works(n, 0, GUEST_VA, other));

	/* Page requests would come. The device of the lab can't send one any more. */
	if (queue_registers(after, sizeof(after)) < 5)
		SKIP(return, "no registers in debugfs");
	EXPECT_STREQ(before, after);
}

TEST_HARNESS_MAIN
