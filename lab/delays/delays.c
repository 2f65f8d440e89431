// SPDX-License-Identifier: GPL-2.0
/*
 * Delay calls of chosen functions at random, so that what another thread does in between
 * gets its chance: insmod delays.ko functions=NAME,NAME...
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/hash.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/timex.h>

#define MAX		32
/* One call of so many is delayed, by up to so many microseconds */
#define ONE_OF		4
#define LONGEST_US	2000

static char *functions[MAX];
static int nr;
module_param_array(functions, charp, &nr, 0444);
MODULE_PARM_DESC(functions, "what is delayed");

static struct kprobe probes[MAX];
static struct kprobe *registered[MAX];
static atomic_t delayed[MAX];

/* It may neither sleep nor take a lock, which get_random_u32() does. */
static int delays_before(struct kprobe *probe, struct pt_regs *regs)
{
	u32 random = hash_32(random_get_entropy(), 32);

	if (!(random % ONE_OF)) {
		atomic_inc(&delayed[probe - probes]);
		udelay(random / ONE_OF % LONGEST_US);
	}
	return 0;
}

static int __init delays_init(void)
{
	int i;

	for (i = 0; i < nr; i++) {
		probes[i].symbol_name = functions[i];
		probes[i].pre_handler = delays_before;
		registered[i] = &probes[i];
	}
	return register_kprobes(registered, nr);
}

static void __exit delays_exit(void)
{
	int i;

	unregister_kprobes(registered, nr);
	for (i = 0; i < nr; i++)
		pr_info("%s: %d\n", functions[i], atomic_read(&delayed[i]));
}

module_init(delays_init);
module_exit(delays_exit);
MODULE_DESCRIPTION("Delays at chosen functions");
MODULE_LICENSE("GPL");
