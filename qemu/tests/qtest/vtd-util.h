/*
 * Programming of an emulated VT-d unit in scalable mode, for tests
 *
 * Register and table layouts are taken from the "Intel Virtualization
 * Technology for Directed I/O" specification, rev. 5.10, and deliberately not
 * from the headers of the model: the two must not share a misreading.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_VTD_UTIL_H
#define TESTS_QTEST_VTD_UTIL_H

#include "qemu/bitops.h"
#include "libqtest.h"
#include "libqos/pci.h"

/* Registers of the remapping unit, chapter 11 */
#define VTD_REG_CAP             0x08
#define VTD_REG_ECAP            0x10
#define VTD_REG_GCMD            0x18
#define VTD_REG_GSTS            0x1c
#define VTD_REG_RTADDR          0x20
#define VTD_REG_FSTS            0x34
#define VTD_REG_IQH             0x80
#define VTD_REG_IQT             0x88
#define VTD_REG_IQA             0x90
#define VTD_REG_ICS             0x9c
#define VTD_REG_IQERCD          0xb0
#define ITESID(v)               extract64(vtd_readq(v, VTD_REG_IQERCD), 32, 16)

#define CAP_ND(cap)             (4 + 2 * extract64(cap, 0, 3))
#define CAP_MAMV(cap)           extract64(cap, 48, 6)
#define CAP_MGAW(cap)           (extract64(cap, 16, 6) + 1)
#define CAP_FRO(cap)            (extract64(cap, 24, 10) * 16)
#define CAP_NFR(cap)            (extract64(cap, 40, 8) + 1)
#define CAP_CM                  BIT_ULL(7)
#define CAP_PSI                 BIT_ULL(39)
#define CAP_FS1GP               BIT_ULL(56)
#define CAP_FS5LP               BIT_ULL(60)

#define ECAP_QI                 BIT_ULL(1)
#define ECAP_PT                 BIT_ULL(6)
#define ECAP_SC                 BIT_ULL(7)
#define ECAP_NEST               BIT_ULL(26)
#define ECAP_ERS                BIT_ULL(30)
#define ECAP_SRS                BIT_ULL(31)
#define ECAP_EAFS               BIT_ULL(34)
#define ECAP_PSS(ecap)          extract64(ecap, 35, 5)
#define ECAP_PASID              BIT_ULL(40)
#define ECAP_PDS                BIT_ULL(42)
#define ECAP_SMTS               BIT_ULL(43)
#define ECAP_SSADS              BIT_ULL(45)
#define ECAP_SSTS               BIT_ULL(46)
#define ECAP_FSTS               BIT_ULL(47)
#define ECAP_SMPWC              BIT_ULL(48)
#define ECAP_RPS                BIT_ULL(49)

#define GCMD_TE                 BIT(31)
#define GCMD_SRTP               BIT(30)
#define GCMD_QIE                BIT(26)

#define FSTS_PFO                BIT(0)
#define FSTS_PPF                BIT(1)
#define FSTS_IQE                BIT(4)
#define FSTS_ITE                BIT(6)

#define ICS_IWC                 BIT(0)

#define IQA_DW_128              0
#define IQA_DW_256              BIT_ULL(11)
#define RTADDR_TTM_LEGACY       0
#define RTADDR_TTM_SCALABLE     (1ULL << 10)

/* Scalable-mode root and context entries, 9.2 and 9.4 */
#define ROOT_P                  BIT_ULL(0)
#define CTX_P                   BIT_ULL(0)
#define CTX_FPD                 BIT_ULL(1)
#define CTX_PASIDE              BIT_ULL(3)
#define CTX_PDTS_SHIFT          9

/* PASID directory and table entries, 9.5 and 9.6 */
#define PASID_DIR_P             BIT_ULL(0)
#define PASID_DIR_FPD           BIT_ULL(1)

#define PE0_P                   BIT_ULL(0)
#define PE0_FPD                 BIT_ULL(1)
#define PE0_AW(n)               ((uint64_t)(n) << 2)
#define PE0_AW_39               PE0_AW(1)
#define PE0_AW_48               PE0_AW(2)
#define PE0_PGTT(n)             ((uint64_t)(n) << 6)
#define PE0_PGTT_FS             PE0_PGTT(1)
#define PE0_PGTT_SS             PE0_PGTT(2)
#define PE0_PGTT_NESTED         PE0_PGTT(3)
#define PE0_PGTT_PT             PE0_PGTT(4)
#define PE0_SSADE               BIT_ULL(9)
#define PE1_DID(n)              ((uint64_t)(n))
#define PE1_PWSNP               BIT_ULL(23)
#define PE2_SRE                 BIT_ULL(0)
#define PE2_FSPM(n)             ((uint64_t)(n) << 2)
#define PE2_WPE                 BIT_ULL(4)
#define PE2_EAFE                BIT_ULL(7)

/* First-stage paging entries, 9.7 */
#define FS_P                    BIT_ULL(0)
#define FS_RW                   BIT_ULL(1)
#define FS_US                   BIT_ULL(2)
#define FS_A                    BIT_ULL(5)
#define FS_D                    BIT_ULL(6)
#define FS_PS                   BIT_ULL(7)
#define FS_ALL                  (FS_P | FS_RW | FS_US)

/* Second-stage paging entries, 9.8 */
#define SS_R                    BIT_ULL(0)
#define SS_W                    BIT_ULL(1)
#define SS_PS                   BIT_ULL(7)
#define SS_A                    BIT_ULL(8)
#define SS_D                    BIT_ULL(9)
#define SS_SNP                  BIT_ULL(11)
#define SS_RW                   (SS_R | SS_W)

/* Fault conditions, 7.1.3, each with the specification's name */
#define FR_LEGACY_PASID         0x31 /* RTA.2 */
#define FR_ROOT_P               0x39 /* SRT.2 */
#define FR_ROOT_RSVD            0x3a /* SRT.3 */
#define FR_CTX_P                0x41 /* SCT.2 */
#define FR_CTX_RSVD             0x42 /* SCT.3 */
#define FR_CTX_INV              0x43 /* SCT.4 */
#define FR_CTX_PASIDE           0x45 /* SCT.6 */
#define FR_CTX_PDTS             0x46 /* SCT.7 */
#define FR_CTX_RID_PASID        0x48 /* SCT.9 */
#define FR_DIR_ACCESS           0x50 /* SPD.1 */
#define FR_DIR_P                0x51 /* SPD.2 */
#define FR_DIR_RSVD             0x52 /* SPD.3 */
#define FR_PE_ACCESS            0x58 /* SPT.1 */
#define FR_PE_P                 0x59 /* SPT.2 */
#define FR_PE_RSVD              0x5a /* SPT.3 */
#define FR_PE_INV               0x5b /* SPT.4 */
#define FR_PE_ERS               0x5c /* SPT.5 */
#define FR_PE_SRE               0x5d /* SPT.6 */
#define FR_FS_ACCESS            0x70 /* SFS.1 */
#define FR_FS_P                 0x71 /* SFS.2 */
#define FR_FS_RSVD              0x72 /* SFS.3 */
#define FR_FS_TOP_ACCESS        0x73 /* SFS.4 */
#define FR_FS_BEYOND            0x74 /* SFS.5 */
#define FR_FS_TOP_READ          0x75 /* SFS.6 */
#define FR_FS_READ              0x76 /* SFS.7 */
#define FR_FS_AD_WRITE          0x77 /* SFS.8 */
#define FR_FS_AD_NOSNOOP        0x90 /* SFS.9 */
#define FR_SS_ACCESS            0x78 /* SSS.1 */
#define FR_SS_P                 0x79 /* SSS.2 */
#define FR_SS_RSVD              0x7a /* SSS.3 */
#define FR_SS_TOP_ACCESS        0x7b /* SSS.4 */
#define FR_NONCANONICAL         0x80 /* SGN.1 */
#define FR_USER                 0x81 /* SGN.2 */
#define FR_BEYOND_HAW           0x83 /* SGN.4 */
#define FR_SS_BEYOND            0x84 /* SGN.5 */
#define FR_WRITE                0x85 /* SGN.6 */
#define FR_READ                 0x86 /* SGN.7 */
#define FR_INTERRUPT            0x87 /* SGN.8 */
#define FR_PSS                  0x89 /* SGN.10 */

/* Page sizes are named by the level of the paging entry that maps them */
enum {
    LEVEL_4K = 1,
    LEVEL_2M = 2,
    LEVEL_1G = 3,
    LEVEL_TOP = 4,
};

static inline uint64_t vtd_level_size(int level)
{
    return 1ULL << (12 + 9 * (level - 1));
}

/* How the endpoint names a request; these are the bits of its register */
#define REQ_RID                 0u
#define REQ_PASID(n)            (BIT(31) | (n))
#define REQ_PRIV                BIT(30)
#define REQ_EXEC                BIT(29)

/* Registers of the endpoint, docs/specs/pasid-testdev.rst */
#define TESTDEV_MAGIC           0x00
#define TESTDEV_VERSION         0x04
#define TESTDEV_ADDR            0x08
#define TESTDEV_LEN             0x10
#define TESTDEV_PASID           0x14
#define TESTDEV_CMD             0x18
#define TESTDEV_RESULT          0x1c
#define TESTDEV_DONE            0x20
#define TESTDEV_COUNT           0x24
#define TESTDEV_BUF             0x800
#define TESTDEV_BUF_SIZE        0x800

#define TESTDEV_CMD_READ        1
#define TESTDEV_CMD_WRITE       2

#define TESTDEV_DONE_OK         0
#define TESTDEV_FAULT           1
#define TESTDEV_NO_BUS_MASTER   2
#define TESTDEV_BAD_PARAM       3
#define TESTDEV_NO_PASID        4
#define TESTDEV_NONE            UINT32_MAX

/* Device-TLBs and page requests */

#define ECAP_DT                 BIT_ULL(2)
#define ECAP_PRS                BIT_ULL(29)
#define CTX_DTE                 BIT_ULL(2)
#define CTX_PRE                 BIT_ULL(4)

#define REG_FECTL               0x38
#define FECTL_IP                BIT(30)
#define REG_PQH                 0xc0
#define REG_PQT                 0xc8
#define REG_PQA                 0xd0
#define REG_PRS                 0xdc
#define REG_PECTL               0xe0
#define REG_PEDATA              0xe4
#define REG_PEADDR              0xe8

#define PRS_PPR                 BIT(0)
#define PRS_PRO                 BIT(1)
#define PECTL_IP                BIT(30)
#define PECTL_IM                BIT(31)

/* A queue of one page; it has room for one page request less */
#define QUEUE_ENTRIES           (4096 / 32)
#define QUEUE_ROOM              (QUEUE_ENTRIES - 1)

/* Page request descriptor */
#define REQ0_TYPE               0x1
#define REQ0_PP                 BIT_ULL(8)
#define REQ0_PDP                BIT_ULL(9)
#define REQ0_RID(q)             extract64(q, 16, 16)
#define REQ0_PASID(q)           extract64(q, 32, 20)
#define REQ0_EXEC               BIT_ULL(52)
#define REQ0_PRIV               BIT_ULL(53)
#define REQ1_R                  BIT_ULL(0)
#define REQ1_W                  BIT_ULL(1)
#define REQ1_LPIG               BIT_ULL(2)
#define REQ1_GROUP(q)           extract64(q, 3, 9)
#define REQ1_ADDR(q)            ((q) & ~0xfffULL)

/* Page group response descriptor */
#define RESP_TYPE               0x9
#define RESP_SUCCESS            0x0
#define RESP_INVALID            0x1
#define RESP_FAILURE            0xf

/* Registers of the endpoint */
#define DEV_PRREQ               0x28
#define DEV_PRNUM               0x2c
#define DEV_PRRESP              0x30
#define DEV_PRSEL               0x34
#define DEV_PRGRP               0x38
#define DEV_PRCODE              0x3c
#define DEV_PRPASID             0x40
#define DEV_PRSENT              0x44
#define DEV_PRSTATUS            0x48
#define DEV_PRDATA              0x50
#define DEV_INVCTRL             0x60
#define DEV_INVDONE             0x64
#define DEV_INVLOST             0x68
#define DEV_INVOFF              0x6c

#define PRREQ_R                 BIT(16)
#define PRREQ_W                 BIT(17)
#define PRREQ_LAST              BIT(18)
#define PRREQ_PRIVATE           BIT(19)
#define PRREQ_UNLIMITED         BIT(20)
#define PRREQ_AGAIN             BIT(21)

#define CMD_ATS_READ            3
#define CMD_ATS_WRITE           4
#define CMD_REQUEST             5

#define RESULT_STILL            5
#define RESULT_INVALID          6
#define RESULT_FAILURE          7
#define RESULT_NO_PRI           8
#define RESULT_PENDING          0xfffffffe

/*
 * Guest-physical addresses of the tests differ from host-physical ones, so
 * that a stage that is left out or applied twice is noticed.
 */
#define VTD_GPA_OFFSET          0x4000000000ULL

/* Where no memory answers */
#define VTD_HOLE                0x7000000000ULL

/* RAM: page tables come from the first GiB, the data is in the second */
#define VTD_DATA                0x40000000ULL
#define VTD_RAM_SIZE            "2G"

#define VTD_NESTING_OPTS        "x-scalable-mode=on,x-nesting=on,aw-bits=48"

typedef struct VTD {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar bar;
    uint16_t sid;
    uint64_t cap;
    uint64_t ecap;
    uint64_t free_page;
    uint64_t root;
    uint64_t ctx;               /* Context entry of the endpoint */
    uint64_t dir;               /* PASID directory */
    uint64_t iq;
    unsigned int iq_tail;
    uint64_t pattern;
} VTD;

typedef struct VTDTable {
    VTD *v;
    bool first_stage;
    uint64_t root;
    /* Second stage that the addresses in a first stage go through, or NULL */
    struct VTDTable *nest;
} VTDTable;

typedef struct VTDPasidEntry {
    uint64_t q[8];
} VTDPasidEntry;

typedef struct VTDFault {
    uint64_t addr;
    uint32_t pasid;
    uint16_t sid;
    uint8_t reason;
    bool pasid_present;
    bool is_read;
    bool priv;
    bool exec;
} VTDFault;

/* Start and stop */
VTD *vtd_new_with_args(const char *iommu_opts, const char *testdev_opts);
VTD *vtd_new(void);
void vtd_free(VTD *v);
/* Set up the bus and the endpoint, as firmware does after a reset */
void vtd_attach(VTD *v);
void vtd_testdev_enable(VTD *v);
/* Which function of the slot makes the requests from now on */
void vtd_use_function(VTD *v, unsigned int function);
/* The last descriptor in a queue that is in use must have been a wait */
void vtd_set_queue(VTD *v, uint64_t width);
void vtd_set_root(VTD *v, uint64_t mode);
void vtd_switch_on(VTD *v);
/* All of that, in the order that a driver keeps to */
void vtd_enable_translation(VTD *v);
uint64_t vtd_ecam(VTD *v, unsigned int reg);
unsigned int vtd_find_ext_cap(VTD *v, uint16_t id);

/* Registers */
uint32_t vtd_readl(VTD *v, unsigned int reg);
uint64_t vtd_readq(VTD *v, unsigned int reg);
void vtd_writel(VTD *v, unsigned int reg, uint32_t val);
void vtd_writeq(VTD *v, unsigned int reg, uint64_t val);

/* Memory */
uint64_t vtd_alloc(VTD *v);
uint64_t vtd_get(VTD *v, uint64_t hpa);
/* Returns the value that was there */
uint64_t vtd_put(VTD *v, uint64_t hpa, uint64_t val);
void vtd_or(VTD *v, uint64_t hpa, uint64_t bits);
void vtd_clear(VTD *v, uint64_t hpa, uint64_t bits);

/* Paging structures */
VTDTable *vtd_first_stage(VTD *v, VTDTable *nest);
VTDTable *vtd_second_stage(VTD *v);
/* Host-physical address of the entry of @level on the path to @addr */
uint64_t vtd_entry(VTDTable *t, uint64_t addr, int level);
/* Maps one page of @level and returns where its entry is */
uint64_t vtd_map_flags(VTDTable *t, uint64_t addr, uint64_t to, int level,
                       uint64_t flags);
uint64_t vtd_map(VTDTable *t, uint64_t addr, uint64_t to, int level);
/* The address by which a nested first stage knows a page of its tables */
static inline uint64_t vtd_gpa(uint64_t hpa)
{
    return hpa + VTD_GPA_OFFSET;
}

/* PASID tables */
VTDPasidEntry vtd_pe_first(VTDTable *fs, uint16_t did);
VTDPasidEntry vtd_pe_second(VTDTable *ss, uint16_t did);
VTDPasidEntry vtd_pe_nested(VTDTable *fs, uint16_t did);
VTDPasidEntry vtd_pe_pass(uint16_t did);
uint64_t vtd_pasid_entry(VTD *v, uint32_t pasid);
uint64_t vtd_dir_entry(VTD *v, uint32_t pasid);
void vtd_set_pasid(VTD *v, uint32_t pasid, VTDPasidEntry pe);

/* Invalidation.  Each waits until the queue is empty or stopped by an error */
enum {
    CC_GLOBAL = 1,
    CC_DOMAIN = 2,
    CC_DEVICE = 3,
    PC_DOMAIN = 0,
    PC_PASID = 1,
    PC_GLOBAL = 3,
    IOTLB_GLOBAL = 1,
    IOTLB_DOMAIN = 2,
    IOTLB_PAGE = 3,
    PIOTLB_PASID = 2,
    PIOTLB_PAGE = 3,
};

#define WAIT_IF                 BIT_ULL(4)
#define WAIT_SW                 BIT_ULL(5)
#define WAIT_FN                 BIT_ULL(6)
#define WAIT_PD                 BIT_ULL(7)

/* Puts a descriptor into the queue, without telling the unit */
void vtd_post(VTD *v, uint64_t q0, uint64_t q1, uint64_t q2, uint64_t q3);
void vtd_kick(VTD *v);
/* Returns whether the descriptor was consumed without an error */
bool vtd_submit(VTD *v, uint64_t q0, uint64_t q1, uint64_t q2, uint64_t q3);
void vtd_recover_queue(VTD *v);
void vtd_inv_context(VTD *v, int granularity, uint16_t did, uint16_t sid);
/* @mask is the code for the bits of @sid that do not count, table 21 */
void vtd_inv_functions(VTD *v, uint16_t sid, unsigned int mask);
void vtd_inv_pasid(VTD *v, int granularity, uint16_t did, uint32_t pasid);
void vtd_inv_iotlb(VTD *v, int granularity, uint16_t did, uint64_t addr,
                   unsigned int mask);
void vtd_inv_piotlb(VTD *v, int granularity, uint16_t did, uint32_t pasid,
                    uint64_t addr, unsigned int mask);
void vtd_inv_all(VTD *v);

/* DMA */
uint32_t vtd_testdev_readl(VTD *v, unsigned int reg);
void vtd_testdev_writel(VTD *v, unsigned int reg, uint32_t val);
uint32_t vtd_dma(VTD *v, uint32_t cmd, uint32_t req, uint64_t addr,
                 uint32_t len);
/* Takes the oldest fault out of the recording registers, if there is one */
bool vtd_take_fault(VTD *v, VTDFault *fault);

/*
 * Checks.  They are macros so that a failure names the line of the test, and
 * not fatal so that one broken property does not hide the others.
 */
void vtd_check_ok(const char *func, int line, VTD *v, uint32_t cmd,
                  uint32_t req, uint64_t addr, uint64_t hpa);
void vtd_check_fault(const char *func, int line, VTD *v, uint32_t cmd,
                     uint32_t req, uint64_t addr, uint8_t reason);
void vtd_check_blocked(const char *func, int line, VTD *v, uint32_t cmd,
                       uint32_t req, uint64_t addr);
void vtd_check_bits(const char *func, int line, VTD *v, uint64_t hpa,
                    uint64_t mask, uint64_t want);

/* A transfer at @addr succeeds and reaches the bytes at @hpa */
#define vtd_reads(v, req, addr, hpa) \
    vtd_check_ok(__func__, __LINE__, v, TESTDEV_CMD_READ, req, addr, hpa)
#define vtd_writes(v, req, addr, hpa) \
    vtd_check_ok(__func__, __LINE__, v, TESTDEV_CMD_WRITE, req, addr, hpa)
/* A transfer faults, and the record of the fault says why and whose it was */
#define vtd_read_faults(v, req, addr, reason) \
    vtd_check_fault(__func__, __LINE__, v, TESTDEV_CMD_READ, req, addr, reason)
#define vtd_write_faults(v, req, addr, reason) \
    vtd_check_fault(__func__, __LINE__, v, TESTDEV_CMD_WRITE, req, addr, reason)
/* A transfer faults and no record is made */
#define vtd_read_blocked(v, req, addr) \
    vtd_check_blocked(__func__, __LINE__, v, TESTDEV_CMD_READ, req, addr)
#define vtd_write_blocked(v, req, addr) \
    vtd_check_blocked(__func__, __LINE__, v, TESTDEV_CMD_WRITE, req, addr)
/* Of the bits in @mask, exactly those in @want are set in the entry at @hpa */
#define vtd_bits(v, hpa, mask, want) \
    vtd_check_bits(__func__, __LINE__, v, hpa, mask, want)

#endif
