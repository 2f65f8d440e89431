// SPDX-License-Identifier: GPL-2.0
/* The words of --need, and capabilities compared. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "iommu-caps.h"

/*
 * Fields of struct iommu_uapi_caps
 */

#define FIELD(field, kind) { #field, offsetof(struct iommu_uapi_caps, field), kind }

static const struct field {
	const char *name;
	size_t offset;
	enum { NUMBER, MASK32, MASK64 } kind;	/* a number is an upper bound */
} fields[] = {
	FIELD(addr_width, NUMBER),
	FIELD(features, MASK64),
	FIELD(formats, MASK64),
	FIELD(bind_flags, MASK64),
	FIELD(vtd_flags, MASK64),
	FIELD(inv_iotlb, MASK32),
	FIELD(inv_dev_iotlb, MASK32),
	FIELD(inv_pasid, MASK32),
	FIELD(pasid_bits, NUMBER),
	FIELD(gpa_width, NUMBER),
	FIELD(guest_pasid_bits, NUMBER),
	FIELD(max_bindings, NUMBER),
	FIELD(page_sizes, MASK64),
};

static __u64 get(const struct iommu_uapi_caps *caps, const struct field *field)
{
	const void *at = (const char *)caps + field->offset;

	return field->kind == MASK64 ? *(const __u64 *)at : *(const __u32 *)at;
}

static void set(struct iommu_uapi_caps *caps, const struct field *field, __u64 value)
{
	void *at = (char *)caps + field->offset;

	if (field->kind == MASK64)
		*(__u64 *)at = value;
	else
		*(__u32 *)at = value;
}

/* The rule for two hosts in Documentation/userspace-api/iommu.rst */
static void caps_common(struct iommu_uapi_caps *caps, const struct iommu_uapi_caps *other)
{
	const struct field *f;

	if (other->version < caps->version)
		caps->version = other->version;
	for (f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		__u64 a = get(caps, f), b = get(other, f);

		set(caps, f, f->kind == NUMBER ? (a < b ? a : b) : (a & b));
	}
	caps->errata |= other->errata;
}

static void caps_merge(struct iommu_uapi_caps *caps, const struct iommu_uapi_caps *other)
{
	const struct field *f;

	for (f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		__u64 a = get(caps, f), b = get(other, f);

		set(caps, f, f->kind == NUMBER ? (a > b ? a : b) : (a | b));
	}
}

/* As VFIO_IOMMU_NEGOTIATE compares. Returns true if something is missing. */
bool caps_lack(const struct iommu_uapi_caps *need, const struct iommu_uapi_caps *have,
	       struct iommu_uapi_caps *lack)
{
	const struct field *f;
	bool some = false;

	memset(lack, 0, sizeof(*lack));
	for (f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		__u64 a = get(need, f), b = get(have, f);

		if (f->kind == NUMBER)
			a = a > b ? a : 0;
		else
			a &= ~b;
		set(lack, f, a);
		some |= a != 0;
	}
	return some;
}

const char *caps_describe(const struct iommu_uapi_caps *caps)
{
	const struct field *f;
	const char *text = "";

	for (f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		if (get(caps, f))
			text = format(f->kind == NUMBER ? "%s%s%s %llu" : "%s%s%s 0x%llx",
				      text, text[0] ? ", " : "", f->name, get(caps, f));
	}
	return text;
}

/* In the byte order of the host, as the kernel gave it */
const char *caps_hex(const struct iommu_uapi_caps *caps)
{
	char *text = format("%*s", (int)(2 * sizeof(*caps)), "");
	size_t i;

	for (i = 0; i < sizeof(*caps); i++)
		sprintf(text + 2 * i, "%02x", ((const unsigned char *)caps)[i]);
	return text;
}

/* A newer kernel has more to tell, and an older one less. */
static bool parse_hex(struct iommu_uapi_caps *caps, const char *text, size_t n)
{
	unsigned char *bytes = (void *)caps;
	size_t i;

	memset(caps, 0, sizeof(*caps));
	if (n % 2 || n / 2 < offsetof(struct iommu_uapi_caps, guest_pasid_bits) ||
	    strspn(text, "0123456789abcdef") < n)
		return false;
	for (i = 0; i < n / 2 && i < sizeof(*caps); i++) {
		char byte[] = { text[2 * i], text[2 * i + 1], 0 };

		bytes[i] = strtoul(byte, NULL, 16);
	}
	return caps->version >= IOMMU_UAPI_VERSION_1;
}

/*
 * Needs
 */

#define GRANU(g)	(1U << IOMMU_UAPI_GRANU_##g)
#define FORMAT(f)	BIT_ULL(IOMMU_UAPI_FORMAT_##f)

enum number { NO_NUMBER, GUEST_PASID_BITS, HOST_PASIDS, GPA_WIDTH };

struct need {
	const char *name;
	const char *what;
	struct iommu_uapi_caps caps;
	enum number number;
	unsigned int min, max;
	/* What registers must have for it. */
	__u64 cap, ecap;
	unsigned int pci;
	bool ask;	/* registers don't tell */
};

/* Each has all that it implies, so that any combination can be negotiated. */
static const struct need needs[] = {
	{
		.name = "first-level",
		.what = "guest page tables of 48 bits, and their invalidation (always needed)",
		.caps = {
			.features = IOMMU_UAPI_FEAT_INVALIDATE,
			.formats = FORMAT(INTEL_VTD),
			.addr_width = 48,
			.gpa_width = 13,
			.inv_iotlb = GRANU(PASID) | GRANU(ADDR),
		},
		.ecap = ECAP_NEST | ECAP_SMTS | ECAP_FSTS | ECAP_SSTS,
	}, {
		.name = "no-pasid",
		.what = "requests without PASID (the default, unless PASIDs are needed)",
		.caps.features = IOMMU_UAPI_FEAT_BIND_NO_PASID,
	}, {
		.name = "pass-through",
		.what = "requests that the guest does not translate",
		.caps.formats = FORMAT(SECOND_LEVEL),
	}, {
		.name = "pasid",
		.what = "PASIDs of N bits that the guest picks",
		.caps.features = IOMMU_UAPI_FEAT_BIND_PASID | IOMMU_UAPI_FEAT_GUEST_PASID,
		.number = GUEST_PASID_BITS, .min = 1, .max = 20,
		.ecap = ECAP_PASID, .pci = PCI_PASID,
	}, {
		.name = "host-pasid",
		.what = "N PASIDs that the host hands out, instead",
		.caps.features = IOMMU_UAPI_FEAT_BIND_PASID | IOMMU_UAPI_FEAT_HOST_PASID,
		.number = HOST_PASIDS, .min = 1, .max = (1 << 20) - 1,
		.ecap = ECAP_PASID, .pci = PCI_PASID,
	}, {
		.name = "pri",
		.what = "page requests",
		.caps.features = IOMMU_UAPI_FEAT_PAGE_REQUEST,
		.caps.bind_flags = IOMMU_UAPI_BIND_PAGE_REQUEST,
		.ecap = ECAP_PRS | ECAP_DT, .pci = PCI_PRI | PCI_ATS,
	}, {
		.name = "ats",
		.what = "a translation cache in the device",
		.caps.features = IOMMU_UAPI_FEAT_INVALIDATE,
		.caps.inv_dev_iotlb = GRANU(ADDR),
		.ecap = ECAP_DT, .pci = PCI_ATS,
	}, {
		.name = "57bit",
		.what = "guest page tables of 57 bits",
		.caps.addr_width = 57,
		.cap = CAP_FS5LP,
	}, {
		.name = "2m",
		.what = "pages of 2 MiB in guest page tables",
		.caps.page_sizes = 1ULL << 21,
	}, {
		.name = "1g",
		.what = "pages of 1 GiB in guest page tables",
		.caps.page_sizes = 1ULL << 30,
		.cap = CAP_FS1GP,
	}, {
		.name = "gpa",
		.what = "guest-physical addresses of N bits",
		.number = GPA_WIDTH, .min = 13, .max = 64,
	}, {
		.name = "snoop",
		.what = "page walks that snoop the CPU's caches",
		.caps.features = IOMMU_UAPI_FEAT_COHERENT,
		.ecap = ECAP_SMPWCS,
	}, {
		.name = "scope",
		.what = "invalidation by group, by guest's domain id, and of all PASIDs",
		.caps.features = IOMMU_UAPI_FEAT_INVALIDATE | IOMMU_UAPI_FEAT_INV_SCOPE,
		.caps.inv_iotlb = GRANU(DOMAIN),
		.caps.bind_flags = IOMMU_UAPI_BIND_ARCHID,
	}, {
		.name = "replace",
		.what = "one table put in place of another in one step",
		.caps.bind_flags = IOMMU_UAPI_BIND_REPLACE,
	}, {
		.name = "dma-faults",
		.what = "DMA faults are told to the guest",
		.caps.features = IOMMU_UAPI_FEAT_DMA_FAULT,
	}, {
		.name = "sre",
		.what = "privileged requests with a PASID",
		.caps.features = IOMMU_UAPI_FEAT_PASID_PRIV,
		.caps.vtd_flags = IOMMU_UAPI_VTD_SRE,
		.ecap = ECAP_SRS | ECAP_PASID, .pci = PCI_PASID, .ask = true,
	}, {
		.name = "eafe",
		.what = "the extended accessed flag",
		.caps.vtd_flags = IOMMU_UAPI_VTD_EAFE,
		.ecap = ECAP_EAFS,
	}, {
		.name = "ro-map",
		.what = "guest memory that DMA can only read",
		.caps.features = IOMMU_UAPI_FEAT_RO_MAP,
		.ask = true,
	},
};

/* All of a structure: --need caps=..., which --compare prints */
static struct need exact = {
	.name = "caps",
	.what = "the contract that --compare has printed",
	.ask = true,
};

/*
 * What QEMU is told: properties of its device intel-iommu, each with the needs that
 * follow.
 */
static const struct property {
	const char *text;
	const char *needs;
} properties[] = {
	{ "x-flts=on", "no-pasid,pass-through,2m,gpa=48,scope,replace,dma-faults" },
	{ "svm=on", "pri,snoop" },
	{ "device-iotlb=on", "ats" },
	/* Off is their default, or they change nothing for the host. */
	{ "intel-iommu", NULL }, { "intremap=on", NULL }, { "intremap=auto", NULL },
	{ "caching-mode=on", NULL }, { "x-scalable-mode=on", NULL }, { "aw-bits=48", NULL },
	{ "eim=on", NULL }, { "eim=off", NULL }, { "eim=auto", NULL },
	{ "fs1gp=on", NULL }, { "fs1gp=off", NULL }, { "pasid-bits=0", NULL },
	{ "svm=off", NULL }, { "device-iotlb=off", NULL },
};

static const char *word(const struct need *need, unsigned int number)
{
	return need->number ? format("%s=%u", need->name, number) : need->name;
}

/* The capabilities for a need with this number. */
static struct iommu_uapi_caps need_caps(const struct need *need, unsigned int number)
{
	struct iommu_uapi_caps caps = need->caps;

	if (need->number == GUEST_PASID_BITS)
		caps.guest_pasid_bits = number;
	if (need->number == GPA_WIDTH)
		caps.gpa_width = number;
	while (need->number == HOST_PASIDS && (1U << caps.pasid_bits) - 1 < number)
		caps.pasid_bits++;
	return caps;
}

static bool add_wish(struct request *request, const struct need *need, unsigned int number)
{
	struct iommu_uapi_caps caps = need_caps(need, number);
	struct wish *wish = request->wishes;

	while (wish < request->wishes + request->nr_wishes && wish->need != need)
		wish++;
	if (wish == request->wishes + ARRAY_SIZE(request->wishes))
		return false;
	if (wish == request->wishes + request->nr_wishes)
		request->nr_wishes++;
	wish->need = need;
	if (wish->number < number)
		wish->number = number;
	if (need->number == HOST_PASIDS && request->nr_pasids < number)
		request->nr_pasids = number;
	caps_merge(&request->caps, &caps);
	return true;
}

static bool add_text(struct request *request, const char *text)
{
	size_t n = strcspn(text, "=");
	const struct need *need;
	unsigned long number;
	char *end;

	for (need = needs; need < needs + ARRAY_SIZE(needs); need++) {
		if (strlen(need->name) != n || strncmp(text, need->name, n))
			continue;
		if (!text[n])
			return add_wish(request, need, need->min);
		errno = 0;
		number = strtoul(text + n + 1, &end, 10);
		if (!need->number || !isdigit(text[n + 1]) || *end || errno ||
		    number < need->min || number > need->max)
			return false;
		return add_wish(request, need, number);
	}
	return false;
}

static bool add_list(struct request *request, const char *list)
{
	char *copy = format("%s", list), *text;

	while ((text = strsep(&copy, ","))) {
		if (!add_text(request, text))
			return false;
	}
	return true;
}

static bool add_property(struct request *request, const char *text)
{
	const struct property *p;

	if (!strncmp(text, "pasid-bits=", 11) && strcmp(text, "pasid-bits=0"))
		return add_text(request, text[11] ? format("pasid=%s", text + 11) : "");
	for (p = properties; p < properties + ARRAY_SIZE(properties); p++) {
		if (!strcmp(p->text, text))
			return !p->needs || add_list(request, p->needs);
	}
	return false;
}

/* Returns 0, or the exit status after a message */
int parse_needs(struct request *request, char *list)
{
	const __u64 pasids = IOMMU_UAPI_FEAT_HOST_PASID | IOMMU_UAPI_FEAT_GUEST_PASID;
	bool flts = false, fs1gp = true;
	char *text;

	add_wish(request, &needs[0], 0);
	while ((text = strsep(&list, ","))) {
		flts |= !strcmp(text, "x-flts=on");
		fs1gp &= !!strcmp(text, "fs1gp=off");
		if (!strncmp(text, "caps=", 5)) {
			if (parse_hex(&exact.caps, text + 5, strlen(text + 5)) &&
			    add_wish(request, &exact, 0))
				continue;
		} else if (add_text(request, text) || add_property(request, text)) {
			continue;
		}
		fprintf(stderr, "'%s' is not a need, or its number is out of range.\n", text);
		fputs("Try 'iommu-caps --need help'.\n", stderr);
		return 2;
	}
	/* QEMU shows them unless it is told not to. */
	if (flts && fs1gp)
		add_text(request, "1g");
	if (!(request->caps.features &
	      (IOMMU_UAPI_FEAT_BIND_NO_PASID | IOMMU_UAPI_FEAT_BIND_PASID)))
		add_text(request, "no-pasid");
	if ((request->caps.features & pasids) == pasids) {
		fputs("Either the guest picks PASIDs (pasid) or the host does (host-pasid).\n",
		      stderr);
		return 2;
	}
	if (request->caps.features & IOMMU_UAPI_FEAT_PASID_PRIV &&
	    !(request->caps.features & pasids)) {
		fputs("sre also needs pasid or host-pasid.\n", stderr);
		return 2;
	}
	if (request->caps.features & IOMMU_UAPI_FEAT_HOST_PASID && !request->nr_pasids)
		request->nr_pasids = 1;
	request->caps.version = IOMMU_UAPI_VERSION;
	return 0;
}

void print_needs(void)
{
	const struct property *p;
	const struct need *need;

	for (need = needs; need < needs + ARRAY_SIZE(needs); need++)
		printf("%-24s %s\n", need->number ? format("%s=N", need->name) : need->name,
		       need->what);
	printf("%-24s %s\n", "caps=HEX", exact.what);
	printf("%-24s %s\n", "pasid-bits=N", "QEMU: pasid=N");
	printf("%-24s %s\n", "fs1gp=off", "QEMU: without 1g, which x-flts=on includes");
	for (p = properties; p < properties + ARRAY_SIZE(properties); p++) {
		if (p->needs)
			printf("%-24s QEMU: %s\n", p->text, p->needs);
	}
}

/*
 * What a group has
 */

/* As far as the registers of the IOMMU and of the device tell. */
static enum verdict allowed(const struct group *group, const struct need *need,
			    unsigned int number, const char **why)
{
	const struct device *device = &group->devices[0];
	const struct iommu *iommu = device->iommu;
	unsigned int bits;

	*why = "the registers allow it";
	if (!iommu || !iommu->intel) {
		*why = "no VT-d";
		return STATE_NO;
	}
	if (need->cap & ~iommu->cap || need->ecap & ~iommu->ecap) {
		*why = format("the IOMMU lacks it: CAP 0x%llx, ECAP 0x%llx",
			      need->cap & ~iommu->cap, need->ecap & ~iommu->ecap);
		return STATE_NO;
	}
	if (need->number == GPA_WIDTH && number > CAP_MGAW(iommu->cap)) {
		*why = format("%u bits", CAP_MGAW(iommu->cap));
		return STATE_NO;
	}
	if (need->pci && !device->pci_known) {
		*why = "configuration space can't be read without root";
		return STATE_UNKNOWN;
	}
	if (need->pci & ~device->pci) {
		*why = "the device lacks it";
		return STATE_NO;
	}
	bits = ECAP_PSS(iommu->ecap) + 1;
	if (bits > device->pasid_bits)
		bits = device->pasid_bits;
	if ((need->number == GUEST_PASID_BITS && number > bits) ||
	    (need->number == HOST_PASIDS && number > (1U << bits) - 1)) {
		*why = format("%u bits", bits);
		return STATE_NO;
	}
	if (need->ask) {
		*why = "only the kernel can tell";
		return STATE_UNKNOWN;
	}
	return STATE_YES;
}

static unsigned int caps_number(const struct iommu_uapi_caps *caps, const struct need *need)
{
	switch (need->number) {
	case GUEST_PASID_BITS:
		return caps->guest_pasid_bits;
	case GPA_WIDTH:
		return caps->gpa_width;
	default:
		return 0;
	}
}

void check_needs(struct group *group, const struct request *request)
{
	struct findings *f = &group->findings;
	struct iommu_uapi_caps caps, lack;
	const struct wish *wish;
	unsigned int number;
	enum verdict state;
	const char *why;

	for (wish = request->wishes; wish < request->wishes + request->nr_wishes; wish++) {
		const struct need *need = wish->need;

		if (!group->asked) {
			state = allowed(group, need, wish->number, &why);
			add_check(f, state, word(need, wish->number), why);
			continue;
		}
		caps = need_caps(need, wish->number);
		state = caps_lack(&caps, &group->caps, &lack) ? STATE_NO : STATE_YES;
		number = caps_number(&group->caps, need);
		why = number && need->number ? format("%u bits", number) : "";
		if (need->number == HOST_PASIDS) {
			why = format("quota %u", group->quota);
			if (group->quota < wish->number)
				state = STATE_NO;
		} else if (need == &exact) {
			why = caps_describe(&lack);
		}
		add_check(f, state, word(need, wish->number), why);
		if (state == STATE_NO &&
		    (need->number == GUEST_PASID_BITS || need->number == HOST_PASIDS) &&
		    wish->number > 1)
			add_step(f, "if the quota of PASIDs is too low",
				 "echo 1048575 > /sys/module/vfio/parameters/pasid_quota",
				 format("echo %u > /sys/module/vfio/parameters/pasid_quota",
					group->quota));
	}
}

/* The words for what capabilities have. */
const char *caps_words(const struct iommu_uapi_caps *caps)
{
	struct iommu_uapi_caps one, lack;
	const struct need *need;
	const char *text = "";

	for (need = needs; need < needs + ARRAY_SIZE(needs); need++) {
		unsigned int number = caps_number(caps, need);

		one = need_caps(need, need->min);
		if (caps_lack(&one, caps, &lack))
			continue;
		text = format("%s%s%s", text, text[0] ? " " : "",
			      number ? word(need, number) : need->name);
	}
	return text;
}

/* The words for what registers allow; those that can't be read end with '?'. */
const char *words_allowed(const struct group *group)
{
	const struct need *need;
	const char *text = "", *why;
	enum verdict state;
	unsigned int number;

	for (need = needs; need < needs + ARRAY_SIZE(needs); need++) {
		state = allowed(group, need, need->min, &why);
		if (state == STATE_NO)
			continue;
		number = need->min;
		while (need->number != HOST_PASIDS && number < need->max &&
		       allowed(group, need, number + 1, &why) == STATE_YES)
			number++;
		text = format("%s%s%s%s", text, text[0] ? " " : "",
			      need->number && need->number != HOST_PASIDS && state == STATE_YES ?
			      word(need, number) : need->name,
			      state == STATE_UNKNOWN ? "?" : "");
	}
	return text;
}

void caps_json(const struct iommu_uapi_caps *caps)
{
	const struct field *f;

	json_open("caps", '{');
	json_number("version", caps->version);
	for (f = fields; f < fields + ARRAY_SIZE(fields); f++)
		(f->kind == NUMBER ? json_number : json_hex)(f->name, get(caps, f));
	json_hex("errata", caps->errata);
	json_string("hex", caps_hex(caps));
	json_close('}');
}

/*
 * Hosts
 */

/*
 * What all groups in a file have in common that the kernel was asked about. Reads
 * what this program has written, or another program has printed from that.
 */
static bool read_caps(struct iommu_uapi_caps *caps, const char *name)
{
	struct iommu_uapi_caps one;
	char *text = NULL, *at;
	bool some = false;
	size_t size = 0;
	FILE *file;

	file = fopen(name, "r");
	if (!file || getdelim(&text, &size, 0, file) < 0) {
		fprintf(stderr, "%s: %s\n", name, file ? "empty" : strerror(errno));
		if (file)
			fclose(file);
		return false;
	}
	fclose(file);
	if (!strstr(text, "\"iommu-caps-1\"")) {
		fprintf(stderr, "%s is not from iommu-caps --ask --json\n", name);
		return false;
	}
	for (at = text; (at = strstr(at, "\"hex\""));) {
		at += strlen("\"hex\"");
		at += strspn(at, " \t\r\n:");
		if (*at++ != '"' || at[strcspn(at, "\"")] != '"' ||
		    !parse_hex(&one, at, strcspn(at, "\""))) {
			fprintf(stderr, "%s: the capabilities can't be read\n", name);
			return false;
		}
		if (some)
			caps_common(caps, &one);
		else
			*caps = one;
		some = true;
	}
	if (!some)
		fprintf(stderr, "%s: the kernel was not asked about any group (--ask)\n", name);
	return some;
}

/* What hosts have in common, as needs that the kernel makes a contract of. */
static void to_contract(struct iommu_uapi_caps *caps)
{
	const __u64 device = IOMMU_UAPI_FEAT_BIND_PASID | IOMMU_UAPI_FEAT_HOST_PASID |
			     IOMMU_UAPI_FEAT_GUEST_PASID | IOMMU_UAPI_FEAT_PASID_PRIV |
			     IOMMU_UAPI_FEAT_PASID_EXEC;

	caps->errata = 0;
	if (caps->features & IOMMU_UAPI_FEAT_GUEST_PASID && caps->guest_pasid_bits) {
		caps->features &= ~(__u64)IOMMU_UAPI_FEAT_HOST_PASID;
		caps->pasid_bits = 0;
	} else if (caps->features & IOMMU_UAPI_FEAT_HOST_PASID && caps->pasid_bits) {
		caps->features &= ~(__u64)IOMMU_UAPI_FEAT_GUEST_PASID;
		caps->guest_pasid_bits = 0;
	} else {
		caps->features &= ~device;
		caps->guest_pasid_bits = 0;
		caps->pasid_bits = 0;
	}
}

static bool caps_have(const struct iommu_uapi_caps *caps, const char *list)
{
	struct request request = {};
	struct iommu_uapi_caps lack;

	return !parse_needs(&request, format("%s", list)) &&
	       !caps_lack(&request.caps, caps, &lack);
}

/* Properties of QEMU's intel-iommu that these capabilities are enough for. */
static const char *qemu_properties(const struct iommu_uapi_caps *caps)
{
	const char *text = "caching-mode=on,x-scalable-mode=on,x-flts=on";
	bool pasids;

	if (!caps_have(caps, "x-flts=on,fs1gp=off"))
		return NULL;
	if (!caps_have(caps, "1g"))
		text = format("%s,fs1gp=off", text);
	pasids = caps->features & IOMMU_UAPI_FEAT_GUEST_PASID;
	if (pasids)
		text = format("%s,pasid-bits=%u", text, caps->guest_pasid_bits);
	if (caps_have(caps, "ats"))
		text = format("%s,device-iotlb=on", text);
	if (pasids && caps_have(caps, "ats,svm=on"))
		text = format("%s,svm=on", text);
	return text;
}

enum verdict compare(char **files, int nr)
{
	struct iommu_uapi_caps *caps = calloc(nr, sizeof(*caps));
	struct iommu_uapi_caps common, lack;
	const char *qemu;
	enum verdict state;
	int i;

	for (i = 0; i < nr; i++) {
		if (!caps || !read_caps(&caps[i], files[i]))
			return STATE_UNKNOWN;
		if (i)
			caps_common(&common, &caps[i]);
		else
			common = caps[i];
	}
	to_contract(&common);
	state = caps_have(&common, common.features & IOMMU_UAPI_FEAT_BIND_NO_PASID ?
				   "no-pasid" : "pasid") ? STATE_YES : STATE_NO;
	qemu = qemu_properties(&common);

	if (json) {
		json_open(NULL, '{');
		json_string("schema", "iommu-caps-1");
		json_words("in_common", caps_words(&common), ' ');
		json_open("hosts", '[');
	} else {
		printf("in common: %s\n", state == STATE_YES ? caps_words(&common) : "nothing");
	}
	for (i = 0; i < nr; i++) {
		/* The other kind of PASIDs is in all of them. */
		to_contract(&caps[i]);
		caps_lack(&caps[i], &common, &lack);
		if (json) {
			json_open(NULL, '{');
			json_string("file", files[i]);
			json_string("more", caps_describe(&lack));
			json_close('}');
		} else {
			printf("%s has more: %s\n", files[i], caps_describe(&lack));
		}
	}
	if (json) {
		json_close(']');
		if (state == STATE_YES)
			caps_json(&common);
		json_string("qemu", state == STATE_YES ? qemu : NULL);
		json_string("answer", state == STATE_YES ? "yes" : "no");
		json_close('}');
	} else if (state == STATE_YES) {
		printf("contract: caps=%s\n", caps_hex(&common));
		printf("QEMU: %s\n", qemu ? qemu : "x-flts=off");
	}
	return state;
}
