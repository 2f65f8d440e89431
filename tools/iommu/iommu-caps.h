/* SPDX-License-Identifier: GPL-2.0 */
/*
 * iommu-caps - can this host run guests with a virtual IOMMU?
 *
 * survey.c reads what sysfs tells, ask.c asks the kernel through VFIO, needs.c
 * knows the words of --need and compares capabilities, report.c prints.
 */
#ifndef _IOMMU_CAPS_H
#define _IOMMU_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <linux/iommu.h>
#include <linux/types.h>

#define LIKE_PRINTF	format(printf, 1, 2)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT_ULL(n)	(1ULL << (n))

/* Registers of VT-d, with the names of its specification */
#define CAP_FS1GP	BIT_ULL(56)
#define CAP_FS5LP	BIT_ULL(60)
#define ECAP_DT		BIT_ULL(2)
#define ECAP_NEST	BIT_ULL(26)
#define ECAP_PRS	BIT_ULL(29)
#define ECAP_SRS	BIT_ULL(31)
#define ECAP_EAFS	BIT_ULL(34)
#define ECAP_PASID	BIT_ULL(40)
#define ECAP_SMTS	BIT_ULL(43)
#define ECAP_SSTS	BIT_ULL(46)
#define ECAP_FSTS	BIT_ULL(47)
#define ECAP_SMPWCS	BIT_ULL(48)
#define ECAP_PSS(ecap)	((unsigned int)((ecap) >> 35 & 0x1f))
#define CAP_MGAW(cap)	((unsigned int)((cap) >> 16 & 0x3f) + 1)

/* PCI capabilities of a device */
#define PCI_ATS		0x1
#define PCI_PRI		0x2
#define PCI_PASID	0x4

/* From the best to the worst, and the exit status of the command */
enum verdict {
	STATE_YES,	/* it is so */
	STATE_TODO,	/* it will be, once the steps have been taken */
	STATE_UNKNOWN,	/* it can't be told */
	STATE_NO,	/* it is not, and no step helps */
	NR_STATES,
};

#define MAX_CHECKS	64
#define MAX_STEPS	32

struct check {
	const char *name;
	const char *detail;
	enum verdict state;
};

/* Commands for a shell, one a line; NULL or empty if there are none */
struct step {
	const char *why;
	const char *todo;
	const char *undo;
};

struct findings {
	struct check checks[MAX_CHECKS];
	int nr_checks;
	struct step steps[MAX_STEPS];
	int nr_steps;
};

struct iommu {
	const char *name;
	const char *version;
	bool intel;
	__u64 cap;
	__u64 ecap;
	unsigned int domains_supported;
	unsigned int domains_used;
};

struct device {
	const char *name;
	const char *driver;		/* empty if there is none */
	const struct iommu *iommu;	/* NULL if there is none */
	unsigned int vendor;
	unsigned int id;
	unsigned int class;
	bool pci_known;			/* the next two could be read */
	unsigned int pci;		/* combination of PCI_* */
	unsigned int pasid_bits;
};

struct group {
	int id;				/* -1 for a device without one */
	struct device *devices;
	int nr_devices;
	struct findings findings;
	/* The kernel was asked. @caps are all 0 but for the version if it can't nest. */
	bool asked;
	struct iommu_uapi_caps caps;
	unsigned int quota;
};

/* What is asked for on the command line */
struct wish {
	const struct need *need;
	unsigned int number;
};

struct request {
	struct iommu_uapi_caps caps;	/* all of it, as the kernel takes it */
	unsigned int nr_pasids;
	struct wish wishes[32];
	int nr_wishes;
};

struct host {
	const char *root;		/* before each path; usually empty */
	const char *release;
	const char *cmdline;
	struct findings kernel;
	bool vfio;			/* its containers can be opened */
	struct iommu *iommus;
	int nr_iommus;
	struct group *groups;
	int nr_groups;
};

char *format(const char *fmt, ...) __attribute__((LIKE_PRINTF));
void *grow(void *array, int nr, size_t size);
void add_check(struct findings *f, enum verdict state, const char *name,
	       const char *detail);
void add_step(struct findings *f, const char *why, const char *todo,
	      const char *undo);
enum verdict worst(const struct findings *f);

/* survey.c */
void survey_kernel(struct host *host);
void survey_iommus(struct host *host);
bool survey_group(struct host *host, int id);
bool survey_device(struct host *host, const char *name);
void survey_groups(struct host *host);
bool belongs_to_vfio(const struct group *group);

/* ask.c */
bool ask_kernel(struct host *host);
void ask_group(struct group *group, const struct request *request);

/* needs.c */
int parse_needs(struct request *request, char *list);
void print_needs(void);
void check_needs(struct group *group, const struct request *request);
bool caps_lack(const struct iommu_uapi_caps *need,
	       const struct iommu_uapi_caps *have, struct iommu_uapi_caps *lack);
const char *caps_describe(const struct iommu_uapi_caps *caps);
const char *caps_words(const struct iommu_uapi_caps *caps);
const char *caps_hex(const struct iommu_uapi_caps *caps);
const char *words_allowed(const struct group *group);
void caps_json(const struct iommu_uapi_caps *caps);
enum verdict compare(char **files, int nr);

/* report.c */
extern bool json, quiet;
void report(const struct host *host, enum verdict answer);
void json_open(const char *key, char bracket);
void json_close(char bracket);
void json_string(const char *key, const char *value);
void json_number(const char *key, unsigned long long value);
void json_hex(const char *key, unsigned long long value);
void json_bool(const char *key, bool value);
void json_words(const char *key, const char *words, char separator);

#endif /* _IOMMU_CAPS_H */
