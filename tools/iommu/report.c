// SPDX-License-Identifier: GPL-2.0
/* Text for people, JSON for programs. */
#include <string.h>

#include "iommu-caps.h"

bool json, quiet;

/*
 * JSON
 */

static int depth;
static bool first;

static void json_key(const char *key)
{
	if (depth)
		printf("%s\n%*s", first ? "" : ",", 2 * depth, "");
	first = false;
	if (key)
		printf("\"%s\": ", key);
}

void json_open(const char *key, char bracket)
{
	json_key(key);
	putchar(bracket);
	depth++;
	first = true;
}

void json_close(char bracket)
{
	depth--;
	if (!first)
		printf("\n%*s", 2 * depth, "");
	putchar(bracket);
	if (!depth)
		putchar('\n');
	first = false;
}

/* Names in sysfs are bytes; JSON is Unicode. */
static void json_text(const char *text, size_t n)
{
	putchar('"');
	for (; n--; text++) {
		unsigned char c = *text;

		if (c < ' ' || c > '~')
			printf("\\u%04x", c);
		else if (c == '"' || c == '\\')
			printf("\\%c", c);
		else
			putchar(c);
	}
	putchar('"');
}

void json_string(const char *key, const char *value)
{
	json_key(key);
	if (value)
		json_text(value, strlen(value));
	else
		printf("null");
}

void json_number(const char *key, unsigned long long value)
{
	json_key(key);
	printf("%llu", value);
}

/* As a string: not every reader keeps 64 bits of a number. */
void json_hex(const char *key, unsigned long long value)
{
	json_key(key);
	printf("\"0x%llx\"", value);
}

void json_bool(const char *key, bool value)
{
	json_key(key);
	printf(value ? "true" : "false");
}

void json_words(const char *key, const char *words, char separator)
{
	const char *end;

	json_open(key, '[');
	while (words && *words) {
		end = strchrnul(words, separator);
		json_key(NULL);
		json_text(words, end - words);
		words = *end ? end + 1 : end;
	}
	json_close(']');
}

/*
 * Both
 */

static const char * const state_names[NR_STATES] = {
	[STATE_YES] = "yes",
	[STATE_TODO] = "todo",
	[STATE_UNKNOWN] = "unknown",
	[STATE_NO] = "no",
};

static const struct {
	const char *name;
	__u64 cap, ecap;
} bits[] = {
	{ "FS1GP", CAP_FS1GP, 0 }, { "FS5LP", CAP_FS5LP, 0 },
	{ "DT", 0, ECAP_DT }, { "NEST", 0, ECAP_NEST }, { "PRS", 0, ECAP_PRS },
	{ "SRS", 0, ECAP_SRS }, { "EAFS", 0, ECAP_EAFS }, { "PASID", 0, ECAP_PASID },
	{ "SMTS", 0, ECAP_SMTS }, { "SSTS", 0, ECAP_SSTS }, { "FSTS", 0, ECAP_FSTS },
	{ "SMPWCS", 0, ECAP_SMPWCS },
};

static const char *bit_names(const struct iommu *iommu, bool which)
{
	const char *text = "";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		if (!((bits[i].cap & iommu->cap) | (bits[i].ecap & iommu->ecap)) != which)
			text = format("%s%s%s", text, text[0] ? " " : "", bits[i].name);
	}
	return text;
}

static const char *pci_words(const struct device *device)
{
	return format("%s%s%s", device->pci & PCI_ATS ? " ATS" : "",
		      device->pci & PCI_PRI ? " PRI" : "",
		      device->pci & PCI_PASID ?
		      format(" PASID(%u bits)", device->pasid_bits) : "");
}

static void print_lines(const char *what, const char *lines)
{
	const char *end;

	for (; lines && *lines; lines = *end ? end + 1 : end) {
		end = strchrnul(lines, '\n');
		printf("    %-6s%.*s\n", what, (int)(end - lines), lines);
		what = "";
	}
}

static void print_check(const char *subject, const struct check *check)
{
	static const char * const words[NR_STATES] = {
		[STATE_YES] = "PASS",
		[STATE_TODO] = "TODO",
		[STATE_UNKNOWN] = "????",
		[STATE_NO] = "FAIL",
	};

	if (check->state == STATE_YES && quiet)
		return;
	printf("%-56s: %s%s%s%s\n", format("%s: %s", subject, check->name),
	       words[check->state], check->detail[0] ? " (" : "", check->detail,
	       check->detail[0] ? ")" : "");
}

static void report_findings(const char *subject, const struct findings *f)
{
	const struct check *check;
	const struct step *step;

	if (json)
		json_open("checks", '[');
	for (check = f->checks; check < f->checks + f->nr_checks; check++) {
		if (!json) {
			print_check(subject, check);
			continue;
		}
		json_open(NULL, '{');
		json_string("name", check->name);
		json_string("state", state_names[check->state]);
		json_string("detail", check->detail);
		json_close('}');
	}
	if (json) {
		json_close(']');
		json_open("steps", '[');
	}
	for (step = f->steps; step < f->steps + f->nr_steps; step++) {
		if (json) {
			json_open(NULL, '{');
			json_string("why", step->why);
			json_words("do", step->todo, '\n');
			json_words("undo", step->undo, '\n');
			json_close('}');
		} else if (!quiet) {
			printf("%s: to %s:\n", subject, step->why);
			print_lines("do:", step->todo);
			print_lines("undo:", step->undo);
		}
	}
	if (json)
		json_close(']');
}

static void report_iommu(const struct iommu *iommu)
{
	if (json) {
		json_open(NULL, '{');
		json_string("name", iommu->name);
		json_string("vtd_version", iommu->version);
		if (iommu->intel) {
			json_hex("cap", iommu->cap);
			json_hex("ecap", iommu->ecap);
			json_words("has", bit_names(iommu, true), ' ');
			json_words("lacks", bit_names(iommu, false), ' ');
			json_number("domains_supported", iommu->domains_supported);
			json_number("domains_used", iommu->domains_used);
		}
		json_close('}');
	} else if (iommu->intel) {
		printf("%s: Intel VT-d %s, CAP 0x%llx, ECAP 0x%llx, %u of %u domain ids used\n",
		       iommu->name, iommu->version, iommu->cap, iommu->ecap,
		       iommu->domains_used, iommu->domains_supported);
		printf("    has   %s\n    lacks %s\n", bit_names(iommu, true),
		       bit_names(iommu, false));
	} else {
		printf("%s: not an Intel VT-d\n", iommu->name);
	}
}

static void report_device(const struct device *device, const char *subject)
{
	if (json) {
		json_open(NULL, '{');
		json_string("name", device->name);
		json_string("id", format("%04x:%04x", device->vendor, device->id));
		json_string("class", format("%06x", device->class));
		json_string("driver", device->driver[0] ? device->driver : NULL);
		json_string("iommu", device->iommu ? device->iommu->name : NULL);
		json_bool("config_space_read", device->pci_known);
		json_bool("ats", device->pci & PCI_ATS);
		json_bool("pri", device->pci & PCI_PRI);
		json_number("pasid_bits", device->pasid_bits);
		json_close('}');
	} else if (!quiet) {
		printf("%s: %s %04x:%04x, %s%s, %s,%s\n", subject, device->name,
		       device->vendor, device->id, device->driver[0] ? "driver " : "no driver",
		       device->driver, device->iommu ? device->iommu->name : "no IOMMU",
		       !device->pci_known ? " configuration space can't be read without root" :
		       device->pci ? pci_words(device) : " no ATS, PRI, PASID");
	}
}

static void report_group(const struct group *group)
{
	const char *subject = group->id < 0 ? group->devices[0].name :
					      format("group %d", group->id);
	const char *allows = "";
	int i;

	if (worst(&group->findings) != STATE_NO && !group->asked)
		allows = words_allowed(group);
	if (json) {
		json_open(NULL, '{');
		if (group->id >= 0)
			json_number("id", group->id);
		json_string("answer", state_names[worst(&group->findings)]);
		json_open("devices", '[');
	}
	for (i = 0; i < group->nr_devices; i++)
		report_device(&group->devices[i], subject);
	if (json)
		json_close(']');
	report_findings(subject, &group->findings);
	if (json) {
		json_words("registers_allow", allows, ' ');
		json_bool("asked", group->asked);
		if (group->asked) {
			json_number("pasid_quota", group->quota);
			json_words("has", caps_words(&group->caps), ' ');
			caps_json(&group->caps);
		}
		json_close('}');
	} else if (!quiet && group->asked && group->caps.formats) {
		printf("%s: has %s\n", subject, caps_words(&group->caps));
		if (group->caps.errata & IOMMU_UAPI_ERRATUM_VTD_772415)
			printf("%s: VT-d erratum 772415: the IOMMU may write to read-only pages\n",
			       subject);
	} else if (!quiet && allows[0]) {
		printf("%s: registers allow %s\n", subject, allows);
	}
}

void report(const struct host *host, enum verdict answer)
{
	const struct check last = {
		.name = "a guest with such a virtual IOMMU",
		.state = answer,
		.detail = "",
	};
	int i;

	if (json) {
		json_open(NULL, '{');
		json_string("schema", "iommu-caps-1");
		json_string("answer", state_names[answer]);
		json_open("kernel", '{');
		json_string("release", host->release);
		json_string("command_line", host->cmdline);
	} else if (!quiet) {
		printf("kernel: %s\n", host->release);
	}
	report_findings("kernel", &host->kernel);
	if (json) {
		json_close('}');
		json_open("iommus", '[');
	}
	for (i = 0; i < host->nr_iommus && (json || !quiet); i++)
		report_iommu(&host->iommus[i]);
	if (json) {
		json_close(']');
		json_open("groups", '[');
	}
	for (i = 0; i < host->nr_groups; i++)
		report_group(&host->groups[i]);
	if (json) {
		json_close(']');
		json_close('}');
	} else {
		print_check("host", &last);
	}
}
