/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Binds that fail, for a reason each
 */
#ifndef _SELFTESTS_IOMMU_UAPI_BAD_BIND_H
#define _SELFTESTS_IOMMU_UAPI_BAD_BIND_H

#include "vfio_nesting_utils.h"

struct bad_bind {
	const char *what;
	int err;
	void (*change)(struct bind_arg *arg, const struct iommu_uapi_caps *caps);
};

static void bad_align(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.gpgd |= 8;
}

static void bad_wide(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.gpgd |= 1ULL << caps->gpa_width;
}

static void bad_flag(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.flags |= 1ULL << 40;
}

static void bad_format(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.format = 33;
}

static void bad_width(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.addr_width = 39;
}

static void bad_vtd(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.vtd.flags = 1ULL << 40;
}

static void bad_pat(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.vtd.pat = 1;
}

static void bad_padding(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.padding[7] = 1;
}

static void bad_gpasid(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.gpasid = 1;
}

static void bad_archid(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.archid = 1;
}

/* Page requests without a file for them */
static void bad_request(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	arg->data.flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
}

static void second_level(struct bind_arg *arg)
{
	arg->data.format = IOMMU_UAPI_FORMAT_SECOND_LEVEL;
	arg->data.gpgd = 0;
	arg->data.addr_width = 0;
}

static void bad_s2_table(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	second_level(arg);
	arg->data.gpgd = GUEST_BASE;
}

static void bad_s2_width(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	second_level(arg);
	arg->data.addr_width = 48;
}

static void bad_s2_vtd(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	second_level(arg);
	arg->data.vtd.flags = IOMMU_UAPI_VTD_SRE;
}

static void bad_s2_emt(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	second_level(arg);
	arg->data.vtd.emt = 1;
}

/* All of the second level is present, so no page is ever requested. */
static void bad_s2_request(struct bind_arg *arg, const struct iommu_uapi_caps *caps)
{
	second_level(arg);
	bad_request(arg, caps);
}

static const struct bad_bind bad_binds[] = {
	{ "unaligned table", EINVAL, bad_align },
	{ "table beyond the second level", EINVAL, bad_wide },
	{ "flag", EOPNOTSUPP, bad_flag },
	{ "format", EOPNOTSUPP, bad_format },
	{ "address width", EOPNOTSUPP, bad_width },
	{ "VT-d flag", EOPNOTSUPP, bad_vtd },
	{ "PAT without its flag", EINVAL, bad_pat },
	{ "padding", EOPNOTSUPP, bad_padding },
	{ "gpasid without its flag", EINVAL, bad_gpasid },
	{ "archid without its flag", EINVAL, bad_archid },
	{ "page requests", EINVAL, bad_request },
	{ "second level with a table", EINVAL, bad_s2_table },
	{ "second level with a width", EINVAL, bad_s2_width },
	{ "second level with a VT-d flag", EINVAL, bad_s2_vtd },
	{ "second level with a memory type", EINVAL, bad_s2_emt },
	{ "second level with page requests", EINVAL, bad_s2_request },
};

#endif
