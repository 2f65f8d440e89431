// SPDX-License-Identifier: GPL-2.0
/*
 * Compare two hosts, as a VMM that migrates a guest between them would.
 *
 *   hosts		print this host's capabilities, in hex
 *   hosts OTHER	compare with those of another host. This host must accept
 *			what both have in common, and report exactly what it
 *			lacks of the rest.
 */
#include <err.h>
#include <linux/iommu.h>
#include <linux/vfio.h>

#include "vfio_nesting_utils.h"

#define MIN(a, b)	((a) < (b) ? (a) : (b))

/* The rule in Documentation/userspace-api/iommu.rst. */
static struct iommu_uapi_caps in_common(const struct iommu_uapi_caps *a,
					const struct iommu_uapi_caps *b)
{
	return (struct iommu_uapi_caps){
		.version = MIN(a->version, b->version),
		.addr_width = MIN(a->addr_width, b->addr_width),
		.features = a->features & b->features,
		.formats = a->formats & b->formats,
		.bind_flags = a->bind_flags & b->bind_flags,
		.vtd_flags = a->vtd_flags & b->vtd_flags,
		.inv_iotlb = a->inv_iotlb & b->inv_iotlb,
		.inv_dev_iotlb = a->inv_dev_iotlb & b->inv_dev_iotlb,
		.inv_pasid = a->inv_pasid & b->inv_pasid,
		.pasid_bits = MIN(a->pasid_bits, b->pasid_bits),
		.gpa_width = MIN(a->gpa_width, b->gpa_width),
		.guest_pasid_bits = MIN(a->guest_pasid_bits, b->guest_pasid_bits),
		.max_bindings = MIN(a->max_bindings, b->max_bindings),
		.page_sizes = a->page_sizes & b->page_sizes,
		.errata = a->errata | b->errata,
	};
}

static void print(const char *what, const struct iommu_uapi_caps *caps)
{
	printf("%s: features 0x%llx, VT-d 0x%llx, device IOTLB 0x%x, PASID width %u, widths %u %u\n",
	       what, caps->features, caps->vtd_flags, caps->inv_dev_iotlb,
	       caps->pasid_bits, caps->addr_width, caps->gpa_width);
}

int main(int argc, char **argv)
{
	struct iommu_uapi_caps other, both, lack, now;
	struct negotiate_arg arg;
	struct nest n;
	size_t i;
	int rc;

	rc = nest_open(&n, 1, 1, VFIO_TYPE1_NESTING_IOMMU);
	if (rc)
		errx(1, "no nesting container: %s", strerror(-rc));
	if (argc < 2) {
		for (i = 0; i < sizeof(n.caps); i++)
			printf("%02x", ((unsigned char *)&n.caps)[i]);
		printf("\n");
		return 0;
	}

	for (i = 0; i < sizeof(other); i++) {
		if (sscanf(argv[1] + 2 * i, "%2hhx", (unsigned char *)&other + i) != 1)
			errx(1, "%s: not the capabilities of a host", argv[1]);
	}
	both = in_common(&n.caps, &other);
	print("this host", &n.caps);
	print("the other", &other);
	print("in common", &both);
	if (other.addr_width == n.caps.addr_width ||
	    other.pasid_bits == n.caps.pasid_bits ||
	    !((other.features ^ n.caps.features) & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		errx(1, "the hosts don't differ in widths and page requests");

	/* What a contract can be made of: one kind of PASIDs, no errata */
	other = needs_host_pasid(&other);
	both = needs_host_pasid(&both);
	negotiate_init(&arg, &other, 0);
	arg.head.nr_pasids = 1;
	rc = negotiate(&n, &arg);
	lack = arg.caps;
	print("missing here", &lack);
	if (!memcmp(&other, &both, sizeof(both)) ? rc : rc != -ERANGE)
		errx(1, "negotiating all that the other host has: %s", strerror(-rc));
	if (rc && ((lack.features | both.features) != other.features ||
		   (lack.vtd_flags | both.vtd_flags) != other.vtd_flags ||
		   lack.vtd_flags & n.caps.vtd_flags ||
		   lack.addr_width != (other.addr_width > n.caps.addr_width ?
					       other.addr_width : 0) ||
		   lack.pasid_bits != (other.pasid_bits > n.caps.pasid_bits ?
					       other.pasid_bits : 0)))
		errx(1, "what is reported missing is wrong");

	negotiate_init(&arg, &both, VFIO_NEGOTIATE_COMMIT);
	arg.head.nr_pasids = 1;
	rc = negotiate(&n, &arg);
	if (rc)
		errx(1, "negotiating what both have: %s", strerror(-rc));
	rc = nest_info(n.container, &now, NULL, NULL);
	if (rc || memcmp(&now, &both, sizeof(both)))
		errx(1, "the reported capabilities are not the contract");
	return 0;
}
