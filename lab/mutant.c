// SPDX-License-Identifier: GPL-2.0
/*
 * lab/mutate appends this to the core. Each change to the code asks whether it is the one
 * chosen. Reading the parameter gives a bitmap: who has asked since it was written.
 */
#include <linux/bitmap.h>
#include <linux/moduleparam.h>

static DECLARE_BITMAP(mutants_reached, NR_MUTANTS);
static int mutant_chosen;

/* From any context, interrupts too */
bool iommu_mutant(int nr)
{
	if (!test_bit(nr, mutants_reached))
		set_bit(nr, mutants_reached);
	return nr == READ_ONCE(mutant_chosen);
}
EXPORT_SYMBOL_GPL(iommu_mutant);

static int mutant_set(const char *val, const struct kernel_param *kp)
{
	bitmap_zero(mutants_reached, NR_MUTANTS);
	return kstrtoint(val, 0, &mutant_chosen);
}

static int mutant_get(char *buf, const struct kernel_param *kp)
{
	return scnprintf(buf, PAGE_SIZE, "%*pb", NR_MUTANTS, mutants_reached);
}

static const struct kernel_param_ops mutant_ops = {
	.set = mutant_set,
	.get = mutant_get,
};
module_param_cb(mutant, &mutant_ops, NULL, 0600);
