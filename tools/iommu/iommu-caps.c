// SPDX-License-Identifier: GPL-2.0
/*
 * iommu-caps - can this host run guests with a virtual IOMMU?
 *
 * See iommu-caps.8.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "iommu-caps.h"

static void *check_memory(void *p)
{
	if (!p) {
		fputs("Out of memory.\n", stderr);
		exit(2);
	}
	return p;
}

/* Strings live as long as the program. */
char *format(const char *fmt, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	return check_memory(n < 0 ? NULL : text);
}

/* Make an array hold @nr members. The last one is zeroed. */
void *grow(void *array, int nr, size_t size)
{
	array = check_memory(realloc(array, nr * size));
	memset((char *)array + (nr - 1) * size, 0, size);
	return array;
}

void add_check(struct findings *f, enum verdict state, const char *name, const char *detail)
{
	if (f->nr_checks < MAX_CHECKS)
		f->checks[f->nr_checks++] = (struct check){ name, detail, state };
}

void add_step(struct findings *f, const char *why, const char *todo, const char *undo)
{
	if (f->nr_steps < MAX_STEPS)
		f->steps[f->nr_steps++] = (struct step){ why, todo, undo };
}

enum verdict worst(const struct findings *f)
{
	enum verdict state = STATE_YES;
	int i;

	for (i = 0; i < f->nr_checks; i++) {
		if (f->checks[i].state > state)
			state = f->checks[i].state;
	}
	return state;
}

/* Where a group nests, what sysfs does not tell about the kernel is as it has to be. */
static void know_kernel(struct host *host)
{
	struct check *check;

	for (check = host->kernel.checks;
	     check < host->kernel.checks + host->kernel.nr_checks; check++) {
		if (check->state == STATE_UNKNOWN) {
			check->state = STATE_YES;
			check->detail = "a group nests";
		}
	}
}

/* Each group that is named has to do; if none is, one is enough. */
static enum verdict answer_of(const struct host *host, bool named)
{
	enum verdict state = named ? STATE_YES : STATE_NO;
	enum verdict kernel = worst(&host->kernel);
	int i;

	for (i = 0; i < host->nr_groups; i++) {
		enum verdict one = worst(&host->groups[i].findings);

		if (named ? one > state : one < state)
			state = one;
	}
	/* Without an IOMMU in use there are no groups yet. */
	if (!host->nr_groups && kernel != STATE_YES)
		return kernel;
	return kernel > state ? kernel : state;
}

static void print_help(FILE *to)
{
	fputs("usage: iommu-caps [OPTION...] [GROUP|DEVICE...]\n"
	      "       iommu-caps --compare FILE...\n"
	      "\n"
	      "Can this host run guests with a virtual IOMMU? Without an option, tells what\n"
	      "sysfs says: needs no privileges, and changes nothing.\n"
	      "\n"
	      "  -a, --ask          ask the kernel about each group that belongs to VFIO. Each\n"
	      "                     is attached to an empty page table for that moment\n"
	      "  -n, --need NEEDS   the same, and does the host have all of NEEDS? A list with\n"
	      "                     commas; '--need help' explains the words\n"
	      "  -c, --compare      what do hosts have in common? Each FILE is what\n"
	      "                     'iommu-caps --ask --json' has printed on a host\n"
	      "  -j, --json         print JSON\n"
	      "  -q, --quiet        print only what is missing\n"
	      "      --root DIR     read DIR/sys, DIR/proc etc., a copy from another host\n"
	      "  -h, --help         print this text\n"
	      "\n"
	      "GROUP is a number as in /sys/kernel/iommu_groups, DEVICE a PCI address.\n"
	      "\n"
	      "Exit status: 0 yes; 1 no; 2 wrong usage; 3 it can't be told; 4 yes, as far as\n"
	      "can be told, after the steps that are printed.\n",
	      to);
}

static bool add_name(struct host *host, const char *name)
{
	unsigned long id;
	char *end;

	errno = 0;
	id = strtoul(name, &end, 10);
	if (isdigit(name[0]) && !*end && !errno && id <= INT_MAX)
		return survey_group(host, id);
	return survey_device(host, name);
}

int main(int argc, char **argv)
{
	static const int status[NR_STATES] = {
		[STATE_YES] = 0,
		[STATE_NO] = 1,
		[STATE_UNKNOWN] = 3,
		[STATE_TODO] = 4,
	};
	static const struct option options[] = {
		{ "ask", no_argument, NULL, 'a' },
		{ "need", required_argument, NULL, 'n' },
		{ "compare", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "root", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	struct host host = { .root = "" };
	struct request request = {};
	bool ask = false, comparing = false;
	char *needs = NULL;
	enum verdict answer;
	int c, i;

	while ((c = getopt_long(argc, argv, "an:cjqh", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			ask = true;
			break;
		case 'n':
			/* Several lists are one. */
			needs = needs ? format("%s,%s", needs, optarg) : format("%s", optarg);
			break;
		case 'c':
			comparing = true;
			break;
		case 'j':
			json = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'r':
			host.root = optarg;
			break;
		case 'h':
			print_help(stdout);
			return 0;
		default:
			fputs("Try 'iommu-caps --help'.\n", stderr);
			return 2;
		}
	}
	if (needs && !strcmp(needs, "help")) {
		print_needs();
		return 0;
	}
	if (comparing) {
		if (argc - optind < 2 || ask || needs || host.root[0]) {
			fputs("--compare takes two files or more, and no other question.\n",
			      stderr);
			return 2;
		}
		return status[compare(argv + optind, argc - optind)];
	}
	if (ask && host.root[0]) {
		fputs("A copy can't be asked.\n", stderr);
		return 2;
	}
	if (needs) {
		if (parse_needs(&request, needs))
			return 2;
		ask = !host.root[0];
	}

	survey_iommus(&host);
	survey_kernel(&host);
	for (i = optind; i < argc; i++) {
		if (!add_name(&host, argv[i])) {
			fprintf(stderr, "There is no group or PCI device '%s'.\n", argv[i]);
			return 2;
		}
	}
	if (optind == argc)
		survey_groups(&host);

	ask = ask && host.vfio && ask_kernel(&host);
	for (i = 0; i < host.nr_groups; i++) {
		struct group *group = &host.groups[i];
		bool possible = worst(&group->findings) != STATE_NO;

		if (ask && belongs_to_vfio(group)) {
			ask_group(group, needs ? &request : NULL);
			if (group->caps.formats)
				know_kernel(&host);
		}
		if (needs && (group->asked ? !!group->caps.formats : possible))
			check_needs(group, &request);
	}
	answer = answer_of(&host, optind < argc);
	report(&host, answer);
	return status[answer];
}
