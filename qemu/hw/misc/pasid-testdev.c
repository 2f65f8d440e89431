/*
 * PCI Express test endpoint: DMA and page requests on command, with or without
 * a PASID
 *
 * The register interface is described in docs/specs/pasid-testdev.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pci_pasid.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qom/object.h"
#include "trace.h"

#define TYPE_PASID_TESTDEV "pasid-testdev"
OBJECT_DECLARE_SIMPLE_TYPE(PasidTestDev, PASID_TESTDEV)

/* From the range for experiments, see docs/specs/pci-ids.rst */
#define PASID_TESTDEV_VENDOR_ID     PCI_VENDOR_ID_REDHAT_QUMRANET
#define PASID_TESTDEV_DEVICE_ID     0x10f0

/*
 * A whole page, so that a virtual machine monitor can map the BAR for its
 * guest.
 */
#define PASID_TESTDEV_BAR_SIZE      (4 * KiB)

#define REG_MAGIC                   0x00
#define REG_VERSION                 0x04
#define REG_ADDR_LO                 0x08
#define REG_ADDR_HI                 0x0c
#define REG_LEN                     0x10
#define REG_PASID                   0x14
#define REG_CMD                     0x18
#define REG_RESULT                  0x1c
#define REG_DONE                    0x20
#define REG_COUNT                   0x24
#define REG_PRREQ                   0x28
#define REG_PRNUM                   0x2c
#define REG_PRRESP                  0x30
#define REG_PRSEL                   0x34
#define REG_PRGRP                   0x38
#define REG_PRCODE                  0x3c
#define REG_PRPASID                 0x40
#define REG_PRSENT                  0x44
#define REG_PRSTATUS                0x48
#define REG_PRDATA                  0x50
#define REG_INVCTRL                 0x60
#define REG_INVDONE                 0x64
#define REG_INVLOST                 0x68
#define REG_INVOFF                  0x6c
#define REG_BUF                     0x800

#define PASID_TESTDEV_MAGIC         0x50415344
#define PASID_TESTDEV_VERSION       1
#define PASID_TESTDEV_BUF_SIZE      (PASID_TESTDEV_BAR_SIZE - REG_BUF)

#define PASID_VALUE                 MAKE_64BIT_MASK(0, 20)
#define PASID_EXEC                  BIT(29)
#define PASID_PRIV                  BIT(30)
#define PASID_VALID                 BIT(31)
#define PASID_KNOWN_BITS            (PASID_VALUE | PASID_EXEC | PASID_PRIV | \
                                     PASID_VALID)

#define CMD_READ                    1
#define CMD_WRITE                   2
#define CMD_ATS_READ                3
#define CMD_ATS_WRITE               4
#define CMD_PAGE_REQUESTS           5

#define PRREQ_GROUP                 MAKE_64BIT_MASK(0, 9)
#define PRREQ_READ                  BIT(16)
#define PRREQ_WRITE                 BIT(17)
#define PRREQ_LAST                  BIT(18)
#define PRREQ_PRIVATE               BIT(19)
/* Ignore the limit that the guest has set, like a broken device */
#define PRREQ_UNLIMITED             BIT(20)
/* Ask again whenever a page response arrives */
#define PRREQ_AGAIN                 BIT(21)
#define PRREQ_KNOWN_BITS            (PRREQ_GROUP | PRREQ_READ | PRREQ_WRITE | \
                                     PRREQ_LAST | PRREQ_PRIVATE | \
                                     PRREQ_UNLIMITED | PRREQ_AGAIN)
#define PRREQ_GROUPS                512

/* As in the capability; also the limit of one command */
#define PRI_CAPACITY                16384
/* Page responses that can be read back */
#define PRI_LOG_SIZE                1024

#define PRI_GROUP_PASID             BIT(31)
#define PRI_NO_RESPONSE             UINT32_MAX

#define INVCTRL_SILENT              BIT(0)

#define RESULT_DONE                 0
#define RESULT_FAULT                1
#define RESULT_NO_BUS_MASTER        2
#define RESULT_BAD_PARAM            3
#define RESULT_NO_PASID             4
#define RESULT_STILL_NO_PAGE        5
#define RESULT_INVALID              6
#define RESULT_FAILURE              7
#define RESULT_NO_PRI               8
#define RESULT_PENDING              (UINT32_MAX - 1)
#define RESULT_NONE                 UINT32_MAX

/* A request on the bus never crosses a boundary of this size */
#define PCIE_REQUEST_BOUNDARY       (4 * KiB)

/* Number of cached translations, and the size of each */
#define DTLB_SIZE                   64
#define DTLB_PAGE_MASK              (~(hwaddr)(PCIE_REQUEST_BOUNDARY - 1))

typedef struct PasidTestDevTranslation {
    /* The PASID register at the time of the translation request */
    uint32_t pasid;
    hwaddr page;
    hwaddr target;
    /* IOMMU_NONE: this slot is free */
    IOMMUAccessFlags perm;
} PasidTestDevTranslation;

struct PasidTestDev {
    PCIDevice parent_obj;

    MemoryRegion bar;

    uint64_t addr;
    uint32_t len;
    uint32_t pasid;
    uint32_t result;
    uint32_t done;
    uint32_t count;
    uint8_t buf[PASID_TESTDEV_BUF_SIZE];

    /* A command is running.  Neither migration nor a guest ever sees this. */
    bool busy;

    uint32_t prreq;
    uint32_t prnum;
    uint32_t prsel;
    uint64_t private_data[2];
    uint32_t responses;
    uint32_t sent;
    /* Groups without a page response, counted against the guest's limit */
    uint32_t outstanding;
    /* The command that waits for a page response, or 0; its code, or -1 */
    uint32_t waiting;
    int32_t answer;
    /* Ring of page responses: group with PRI_GROUP_PASID, code, PASID */
    uint32_t log[PRI_LOG_SIZE][3];
    QEMUBH *bh;

    /* Don't answer invalidations */
    bool silent;
    /* Invalidations: answered, not answered, while ATS was off */
    uint32_t inv_done;
    uint32_t inv_lost;
    uint32_t inv_off;

    /* Only a cache, so it is not migrated */
    PasidTestDevTranslation dtlb[DTLB_SIZE];
    unsigned int dtlb_next;

    uint16_t pri_cap;

    uint8_t pasid_width;
    bool pasid_exec;
    bool pasid_priv;
    bool ats;
    bool pri;
};

/*
 * PCI Express lets a function use a PASID only as its PASID capability allows.
 * Other requests would test the device and not the IOMMU, so they never leave
 * the device.
 */
static bool pasid_testdev_may_use_pasid(PasidTestDev *d)
{
    PCIDevice *pdev = PCI_DEVICE(d);

    return pcie_pasid_enabled(pdev) &&
           (!(d->pasid & PASID_EXEC) || pcie_pasid_exec_enabled(pdev)) &&
           (!(d->pasid & PASID_PRIV) || pcie_pasid_priv_enabled(pdev)) &&
           !((d->pasid & PASID_VALUE) >> d->pasid_width);
}

static bool pasid_testdev_params_valid(PasidTestDev *d, uint32_t cmd)
{
    if (cmd < CMD_READ ||
        cmd > (d->pri ? CMD_PAGE_REQUESTS : CMD_WRITE)) {
        return false;
    }
    if (cmd == CMD_PAGE_REQUESTS) {
        if (d->prnum > PRI_CAPACITY) {
            return false;
        }
    } else if (!d->len || d->len > sizeof(d->buf) ||
               d->addr > UINT64_MAX - d->len) {
        return false;
    }
    if (cmd > CMD_WRITE && d->prreq & ~PRREQ_KNOWN_BITS) {
        return false;
    }
    if (d->pasid & ~PASID_KNOWN_BITS) {
        return false;
    }
    /* The other bits go into the same TLP prefix as the PASID */
    if (!(d->pasid & PASID_VALID) && d->pasid) {
        return false;
    }
    /* Only a memory read can request execute permission */
    return !(d->pasid & PASID_EXEC) || cmd == CMD_READ || cmd == CMD_ATS_READ;
}

static PCIPASIDFlags pasid_testdev_flags(PasidTestDev *d)
{
    PCIPASIDFlags flags = PCI_PASID_REQ_NONE;

    if (d->pasid & PASID_EXEC) {
        flags |= PCI_PASID_REQ_EXEC;
    }
    if (d->pasid & PASID_PRIV) {
        flags |= PCI_PASID_REQ_PRIV;
    }
    return flags;
}

static MemTxResult pasid_testdev_request(PasidTestDev *d, dma_addr_t addr,
                                         void *buf, dma_addr_t len,
                                         DMADirection dir)
{
    PCIDevice *pdev = PCI_DEVICE(d);

    if (!(d->pasid & PASID_VALID)) {
        return pci_dma_rw(pdev, addr, buf, len, dir, MEMTXATTRS_UNSPECIFIED);
    }

    return pci_dma_rw_pasid(pdev, d->pasid & PASID_VALUE, addr, buf, len, dir,
                            pasid_testdev_flags(d));
}

static bool pasid_testdev_ats_enabled(PasidTestDev *d)
{
    PCIDevice *pdev = PCI_DEVICE(d);

    return d->ats && (pci_get_word(pdev->config + pdev->exp.ats_cap +
                                   PCI_ATS_CTRL) & PCI_ATS_CTRL_ENABLE);
}

static bool pasid_testdev_pri_enabled(PasidTestDev *d)
{
    return d->pri && (pci_get_word(PCI_DEVICE(d)->config + d->pri_cap +
                                   PCI_PRI_CTRL) & PCI_PRI_CTRL_ENABLE);
}

static void pasid_testdev_dtlb_clear(PasidTestDev *d)
{
    memset(d->dtlb, 0, sizeof(d->dtlb));
}

static PasidTestDevTranslation *pasid_testdev_dtlb_find(PasidTestDev *d,
                                                        hwaddr page)
{
    for (unsigned int i = 0; i < DTLB_SIZE; i++) {
        PasidTestDevTranslation *t = &d->dtlb[i];

        if (t->perm != IOMMU_NONE && t->page == page &&
            t->pasid == d->pasid) {
            return t;
        }
    }
    return NULL;
}

/* Use a cached translation, unless it lacks the permission */
static PasidTestDevTranslation *pasid_testdev_dtlb_get(PasidTestDev *d,
                                                       hwaddr page, bool write)
{
    PasidTestDevTranslation *t = pasid_testdev_dtlb_find(d, page);
    IOMMUAccessFlags need = write ? IOMMU_WO : IOMMU_RO;
    IOMMUTLBEntry entry;

    if (t && t->perm & need) {
        return t;
    }

    entry = pci_ats_translate(PCI_DEVICE(d), d->pasid & PASID_VALID,
                              d->pasid & PASID_VALUE, page, write,
                              pasid_testdev_flags(d));
    if (!t) {
        t = &d->dtlb[d->dtlb_next++ % DTLB_SIZE];
    }
    *t = (PasidTestDevTranslation) {
        .pasid = d->pasid,
        .page = page,
        .target = (entry.translated_addr & ~entry.addr_mask) |
                  (page & entry.addr_mask),
        .perm = entry.perm,
    };
    return t->perm & need ? t : NULL;
}

static bool pasid_testdev_ats_invalidate(PCIDevice *pdev,
                                         const PCIATSInvalidation *request)
{
    PasidTestDev *d = PASID_TESTDEV(pdev);

    if (!pasid_testdev_ats_enabled(d)) {
        d->inv_off++;
        return false;
    }
    if (d->silent) {
        d->inv_lost++;
        return false;
    }
    d->inv_done++;

    for (unsigned int i = 0; i < DTLB_SIZE; i++) {
        PasidTestDevTranslation *t = &d->dtlb[i];

        /* Without a PASID, translations for all PASIDs are meant, too. */
        if ((request->has_pasid && !(t->pasid & PASID_VALID)) ||
            (request->has_pasid && !request->global &&
             request->pasid != (t->pasid & PASID_VALUE)) ||
            (t->page & ~request->mask) != request->addr) {
            continue;
        }
        t->perm = IOMMU_NONE;
    }
    return true;
}

/*
 * A translated request: the IOMMU, which gave the translation, checks no more
 * than who sends it.
 */
static MemTxResult pasid_testdev_translated_request(PasidTestDev *d,
                                                    dma_addr_t addr, void *buf,
                                                    dma_addr_t len,
                                                    DMADirection dir)
{
    PasidTestDevTranslation *t = pasid_testdev_dtlb_find(d, addr &
                                                            DTLB_PAGE_MASK);
    MemTxAttrs attrs = { .requester_id = pci_requester_id(PCI_DEVICE(d)) };

    if (!t || !pci_ats_translated(PCI_DEVICE(d))) {
        return MEMTX_ERROR;
    }
    return dma_memory_rw(&address_space_memory,
                         t->target | (addr & ~DTLB_PAGE_MASK), buf, len, dir,
                         attrs);
}

static void pasid_testdev_log_response(PasidTestDev *d, uint16_t group,
                                       bool has_pasid, uint32_t pasid,
                                       uint8_t code)
{
    uint32_t *entry = d->log[d->responses % PRI_LOG_SIZE];

    entry[0] = group | (has_pasid ? PRI_GROUP_PASID : 0);
    entry[1] = code;
    entry[2] = has_pasid ? pasid : 0;
    d->responses++;
    if (d->outstanding) {
        d->outstanding--;
    }
}

/* Returns the code of the page response, or -1 if there is none yet */
static int pasid_testdev_page_request(PasidTestDev *d, uint64_t addr,
                                      uint16_t group, bool read, bool write,
                                      bool last)
{
    PCIPageRequest request = {
        .addr = addr,
        .group = group,
        .pasid = d->pasid & PASID_VALUE,
        .has_pasid = d->pasid & PASID_VALID,
        .exec = d->pasid & PASID_EXEC,
        .priv = d->pasid & PASID_PRIV,
        .read = read,
        .write = write,
        .last = last,
        .has_private_data = d->prreq & PRREQ_PRIVATE,
        .private_data = { d->private_data[0], d->private_data[1] },
    };
    PCIPageRequestResult result;
    int code;

    d->sent++;
    if (last) {
        d->outstanding++;
    }
    result = pci_page_request(PCI_DEVICE(d), &request);
    if (result == PCI_PAGE_REQUEST_QUEUED || !last) {
        return -1;
    }
    code = result == PCI_PAGE_REQUEST_DROPPED ? PCI_PAGE_RESPONSE_SUCCESS :
                                                PCI_PAGE_RESPONSE_INVALID;
    pasid_testdev_log_response(d, group, request.has_pasid, request.pasid,
                               code);
    return code;
}

static uint32_t pasid_testdev_page_requests(PasidTestDev *d)
{
    PCIDevice *pdev = PCI_DEVICE(d);
    uint32_t allowed, i, n = MAX(d->prnum, 1);
    bool last = d->prreq & PRREQ_LAST;

    if (!pasid_testdev_pri_enabled(d)) {
        return RESULT_NO_PRI;
    }
    allowed = pci_get_long(pdev->config + d->pri_cap + PCI_PRI_ALLOC_REQ);
    for (i = 0; i < n; i++) {
        if (last && !(d->prreq & PRREQ_UNLIMITED) &&
            d->outstanding >= allowed) {
            return RESULT_NO_PRI;
        }
        pasid_testdev_page_request(d, d->addr + i * PCIE_REQUEST_BOUNDARY,
                                   ((d->prreq & PRREQ_GROUP) +
                                    (last ? i : 0)) % PRREQ_GROUPS,
                                   d->prreq & PRREQ_READ,
                                   d->prreq & PRREQ_WRITE, last);
        d->done = i + 1;
    }
    return RESULT_DONE;
}

/*
 * Does each page of the transfer have a translation?  Sets @missing to the
 * first page without.
 */
static bool pasid_testdev_translated(PasidTestDev *d, bool write,
                                     uint64_t *missing)
{
    uint64_t page, last = d->addr + d->len - 1;

    for (page = d->addr & DTLB_PAGE_MASK; page <= last;
         page += PCIE_REQUEST_BOUNDARY) {
        if (!pasid_testdev_dtlb_get(d, page, write)) {
            *missing = page;
            return false;
        }
        if (page > UINT64_MAX - PCIE_REQUEST_BOUNDARY) {
            break;
        }
    }
    return true;
}

static uint32_t pasid_testdev_move(PasidTestDev *d, bool write,
                                   bool translated);

/* The waiting command has got its page response */
static uint32_t pasid_testdev_resume(PasidTestDev *d, uint32_t cmd, int code)
{
    uint64_t missing;

    if (!pasid_testdev_ats_enabled(d)) {
        return RESULT_NO_PRI;
    }
    switch (code) {
    case PCI_PAGE_RESPONSE_SUCCESS:
        if (!pasid_testdev_translated(d, cmd == CMD_ATS_WRITE, &missing)) {
            return RESULT_STILL_NO_PAGE;
        }
        return pasid_testdev_move(d, cmd == CMD_ATS_WRITE, true);
    case PCI_PAGE_RESPONSE_INVALID:
        return RESULT_INVALID;
    default:
        return RESULT_FAILURE;
    }
}

static uint32_t pasid_testdev_ats_transfer(PasidTestDev *d, uint32_t cmd)
{
    bool write = cmd == CMD_ATS_WRITE;
    uint64_t missing;
    int code;

    if (!pasid_testdev_ats_enabled(d)) {
        return RESULT_NO_PRI;
    }
    if (pasid_testdev_translated(d, write, &missing)) {
        return pasid_testdev_move(d, write, true);
    }
    if (!pasid_testdev_pri_enabled(d)) {
        return RESULT_NO_PRI;
    }
    code = pasid_testdev_page_request(d, missing, d->prreq & PRREQ_GROUP,
                                      !write, write, true);
    if (code >= 0) {
        return pasid_testdev_resume(d, cmd, code);
    }
    d->waiting = cmd;
    d->answer = -1;
    return RESULT_PENDING;
}

static uint32_t pasid_testdev_transfer(PasidTestDev *d, uint32_t cmd)
{
    if (!pasid_testdev_params_valid(d, cmd)) {
        return RESULT_BAD_PARAM;
    }
    if (!(pci_get_word(PCI_DEVICE(d)->config + PCI_COMMAND) &
          PCI_COMMAND_MASTER)) {
        return RESULT_NO_BUS_MASTER;
    }
    if ((d->pasid & PASID_VALID) && !pasid_testdev_may_use_pasid(d)) {
        return RESULT_NO_PASID;
    }

    switch (cmd) {
    case CMD_PAGE_REQUESTS:
        return pasid_testdev_page_requests(d);
    case CMD_ATS_READ:
    case CMD_ATS_WRITE:
        return pasid_testdev_ats_transfer(d, cmd);
    default:
        return pasid_testdev_move(d, cmd == CMD_WRITE, false);
    }
}

static uint32_t pasid_testdev_move(PasidTestDev *d, bool write,
                                   bool translated)
{
    g_autofree uint8_t *bounce = NULL;
    uint64_t addr = d->addr;
    uint32_t len = d->len;

    /*
     * A refused read leaves no valid data.  Use a copy to keep that out of
     * the buffer that the driver sees.
     */
    bounce = g_memdup2(d->buf, len);

    while (d->busy && d->done < len) {
        uint64_t at = addr + d->done;
        uint32_t chunk = MIN(len - d->done,
                             PCIE_REQUEST_BOUNDARY -
                             at % PCIE_REQUEST_BOUNDARY);
        MemTxResult res;

        res = (translated ? pasid_testdev_translated_request :
                            pasid_testdev_request)
              (d, at, bounce + d->done, chunk,
               write ? DMA_DIRECTION_FROM_DEVICE : DMA_DIRECTION_TO_DEVICE);
        if (res != MEMTX_OK) {
            return RESULT_FAULT;
        }
        if (!d->busy) {
            break;
        }
        if (!write) {
            memcpy(d->buf + d->done, bounce + d->done, chunk);
        }
        d->done += chunk;
    }

    return RESULT_DONE;
}

static void pasid_testdev_run(PasidTestDev *d, uint32_t cmd, int code)
{
    uint32_t result;

    d->busy = true;
    result = code < 0 ? pasid_testdev_transfer(d, cmd) :
                        pasid_testdev_resume(d, cmd, code);
    if (!d->busy) {
        /* The transfer has reset this device.  Leave it in that state. */
        return;
    }
    d->busy = false;
    d->result = result;
    trace_pasid_testdev_command(cmd, d->addr, d->len, d->pasid, result,
                                d->done);
}

static void pasid_testdev_command(PasidTestDev *d, uint32_t cmd)
{
    if (d->waiting) {
        return;
    }
    d->done = 0;
    d->count++;
    pasid_testdev_run(d, cmd, -1);
}

/*
 * A page response arrives while the IOMMU processes its queue.  The requests
 * that follow go to the IOMMU again, so defer them until that is done.
 */
static void pasid_testdev_bh(void *opaque)
{
    PasidTestDev *d = opaque;
    uint32_t cmd = d->waiting;

    if (cmd && d->answer >= 0) {
        d->waiting = 0;
        pasid_testdev_run(d, cmd, d->answer);
    }
}

static void pasid_testdev_page_response(PCIDevice *pdev,
                                        const PCIPageResponse *response)
{
    PasidTestDev *d = PASID_TESTDEV(pdev);

    if (!pasid_testdev_pri_enabled(d)) {
        return;
    }
    pasid_testdev_log_response(d, response->group, response->has_pasid,
                               response->pasid, response->code);
    if (d->prreq & PRREQ_AGAIN) {
        /* At once, so that the queue of the IOMMU is not empty in between */
        pasid_testdev_page_request(d, d->addr, d->prreq & PRREQ_GROUP,
                                   d->prreq & PRREQ_READ,
                                   d->prreq & PRREQ_WRITE, true);
    }
    if (d->waiting && d->answer < 0 &&
        response->group == (d->prreq & PRREQ_GROUP) &&
        response->has_pasid == !!(d->pasid & PASID_VALID) &&
        (!response->has_pasid ||
         response->pasid == (d->pasid & PASID_VALUE))) {
        d->answer = response->code;
        qemu_bh_schedule(d->bh);
    }
}

static uint32_t pasid_testdev_response(PasidTestDev *d, unsigned int field)
{
    uint32_t kept = MIN(d->responses, PRI_LOG_SIZE);

    if (d->prsel >= kept) {
        return PRI_NO_RESPONSE;
    }
    return d->log[(d->responses - kept + d->prsel) % PRI_LOG_SIZE][field];
}

static uint32_t pasid_testdev_pri_read(PasidTestDev *d, hwaddr addr)
{
    switch (addr) {
    case REG_PRREQ:
        return d->prreq;
    case REG_PRNUM:
        return d->prnum;
    case REG_PRRESP:
        return d->responses;
    case REG_PRSEL:
        return d->prsel;
    case REG_PRGRP:
        return pasid_testdev_response(d, 0);
    case REG_PRCODE:
        return pasid_testdev_response(d, 1);
    case REG_PRPASID:
        return pasid_testdev_response(d, 2);
    case REG_PRSENT:
        return d->sent;
    case REG_PRSTATUS:
        return pci_get_long(PCI_DEVICE(d)->config + d->pri_cap + PCI_PRI_CTRL);
    case REG_PRDATA ... REG_PRDATA + 0xc:
        return extract64(d->private_data[(addr - REG_PRDATA) / 8],
                         addr & 4 ? 32 : 0, 32);
    }
    return 0;
}

static void pasid_testdev_pri_write(PasidTestDev *d, hwaddr addr, uint32_t val)
{
    switch (addr) {
    case REG_PRREQ:
        d->prreq = val;
        break;
    case REG_PRNUM:
        d->prnum = val;
        break;
    case REG_PRSEL:
        d->prsel = val;
        break;
    case REG_PRDATA ... REG_PRDATA + 0xc:
        d->private_data[(addr - REG_PRDATA) / 8] =
            deposit64(d->private_data[(addr - REG_PRDATA) / 8],
                      addr & 4 ? 32 : 0, 32, val);
        break;
    }
}

static uint64_t pasid_testdev_mmio_read(void *opaque, hwaddr addr,
                                        unsigned size)
{
    PasidTestDev *d = opaque;

    if (addr >= REG_BUF) {
        return ldl_le_p(d->buf + addr - REG_BUF);
    }

    switch (addr) {
    case REG_MAGIC:
        return PASID_TESTDEV_MAGIC;
    case REG_VERSION:
        return PASID_TESTDEV_VERSION;
    case REG_ADDR_LO:
        return extract64(d->addr, 0, 32);
    case REG_ADDR_HI:
        return extract64(d->addr, 32, 32);
    case REG_LEN:
        return d->len;
    case REG_PASID:
        return d->pasid;
    case REG_CMD:
        /* Write-only, but often half of a 64-bit read */
        return 0;
    case REG_RESULT:
        return d->result;
    case REG_DONE:
        return d->done;
    case REG_COUNT:
        return d->count;
    case REG_INVCTRL:
        return d->silent ? INVCTRL_SILENT : 0;
    case REG_INVDONE:
        return d->inv_done;
    case REG_INVLOST:
        return d->inv_lost;
    case REG_INVOFF:
        return d->inv_off;
    }

    if (d->pri && addr >= REG_PRREQ && addr < REG_PRDATA + 0x10) {
        return pasid_testdev_pri_read(d, addr);
    }

    qemu_log_mask(LOG_GUEST_ERROR,
                  "pasid-testdev: read of unused register 0x%" HWADDR_PRIx "\n",
                  addr);
    return 0;
}

static void pasid_testdev_mmio_write(void *opaque, hwaddr addr, uint64_t val,
                                     unsigned size)
{
    PasidTestDev *d = opaque;

    /* The parameters of a waiting command must not change */
    if (d->waiting && addr != REG_PRSEL && addr != REG_INVCTRL) {
        return;
    }

    if (addr >= REG_BUF) {
        stl_le_p(d->buf + addr - REG_BUF, val);
        return;
    }

    if (d->pri && addr >= REG_PRREQ && addr < REG_PRDATA + 0x10) {
        pasid_testdev_pri_write(d, addr, val);
        return;
    }

    switch (addr) {
    case REG_ADDR_LO:
        d->addr = deposit64(d->addr, 0, 32, val);
        return;
    case REG_ADDR_HI:
        d->addr = deposit64(d->addr, 32, 32, val);
        return;
    case REG_LEN:
        d->len = val;
        return;
    case REG_PASID:
        d->pasid = val;
        return;
    case REG_CMD:
        pasid_testdev_command(d, val);
        return;
    case REG_INVCTRL:
        d->silent = val & INVCTRL_SILENT;
        return;
    }

    qemu_log_mask(LOG_GUEST_ERROR, "pasid-testdev: write to read-only or "
                  "unused register 0x%" HWADDR_PRIx "\n", addr);
}

/*
 * A transfer may hit a BAR, even this device's own.  The memory core's guard
 * against re-entrancy refuses that while a command runs, so commands do not
 * nest.
 */
static const MemoryRegionOps pasid_testdev_mmio_ops = {
    .read = pasid_testdev_mmio_read,
    .write = pasid_testdev_mmio_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 4,
        .max_access_size = 8,
    },
    .impl = {
        .min_access_size = 4,
        .max_access_size = 4,
    },
};

/* Stop waiting for a page response */
static void pasid_testdev_stop_waiting(PasidTestDev *d)
{
    d->outstanding = 0;
    if (d->waiting) {
        d->waiting = 0;
        d->result = RESULT_FAILURE;
    }
}

static void pasid_testdev_config_write(PCIDevice *pdev, uint32_t addr,
                                       uint32_t val, int len)
{
    PasidTestDev *d = PASID_TESTDEV(pdev);
    uint16_t ctrl, status;
    uint8_t *cap;

    pci_default_write_config(pdev, addr, val, len);
    pcie_cap_flr_write_config(pdev, addr, val, len);

    if (!pasid_testdev_ats_enabled(d)) {
        pasid_testdev_dtlb_clear(d);
    }

    if (!d->pri || !ranges_overlap(addr, len, d->pri_cap + PCI_PRI_CTRL, 2)) {
        return;
    }
    cap = pdev->config + d->pri_cap;
    ctrl = pci_get_word(cap + PCI_PRI_CTRL);
    status = pci_get_word(cap + PCI_PRI_STATUS);
    if (ctrl & PCI_PRI_CTRL_ENABLE) {
        status &= ~PCI_PRI_STATUS_STOPPED;
    } else {
        status |= PCI_PRI_STATUS_STOPPED;
        pasid_testdev_stop_waiting(d);
    }
    if (ctrl & PCI_PRI_CTRL_RESET) {
        status &= ~(PCI_PRI_STATUS_RF | PCI_PRI_STATUS_UPRGI);
    }
    /* Reads as 0 */
    pci_set_word(cap + PCI_PRI_CTRL, ctrl & ~PCI_PRI_CTRL_RESET);
    pci_set_word(cap + PCI_PRI_STATUS, status);
}

static void pasid_testdev_pri_init(PasidTestDev *d, uint16_t offset)
{
    PCIDevice *pdev = PCI_DEVICE(d);

    pcie_add_capability(pdev, PCI_EXT_CAP_ID_PRI, 1, offset,
                        PCI_EXT_CAP_PRI_SIZEOF);
    d->pri_cap = offset;
    pci_set_long(pdev->config + offset + PCI_PRI_MAX_REQ, PRI_CAPACITY);
    pci_set_word(pdev->wmask + offset + PCI_PRI_CTRL,
                 PCI_PRI_CTRL_ENABLE | PCI_PRI_CTRL_RESET);
    pci_set_long(pdev->wmask + offset + PCI_PRI_ALLOC_REQ, UINT32_MAX);
}

static void pasid_testdev_pri_reset(PasidTestDev *d)
{
    uint8_t *cap = PCI_DEVICE(d)->config + d->pri_cap;

    d->prreq = 0;
    d->prnum = 0;
    d->prsel = 0;
    memset(d->private_data, 0, sizeof(d->private_data));
    d->responses = 0;
    d->sent = 0;
    d->outstanding = 0;
    d->waiting = 0;
    memset(d->log, 0, sizeof(d->log));
    if (d->pri) {
        qemu_bh_cancel(d->bh);
        pci_set_word(cap + PCI_PRI_CTRL, 0);
        pci_set_word(cap + PCI_PRI_STATUS, PCI_PRI_STATUS_STOPPED |
                     (d->pasid_width ? PCI_PRI_STATUS_PASID : 0));
        pci_set_long(cap + PCI_PRI_ALLOC_REQ, 0);
    }
}

static void pasid_testdev_reset_hold(Object *obj, ResetType type)
{
    PasidTestDev *d = PASID_TESTDEV(obj);
    PCIDevice *pdev = PCI_DEVICE(obj);

    d->addr = 0;
    d->len = 0;
    d->pasid = 0;
    d->result = RESULT_NONE;
    d->done = 0;
    d->count = 0;
    memset(d->buf, 0, sizeof(d->buf));
    d->busy = false;
    /* The counters go on, so that a driver's reset doesn't hide what came */
    d->silent = false;

    /* The PCI core only resets the standard header */
    pcie_cap_deverr_reset(pdev);
    pcie_pasid_reset(pdev);
    if (d->ats) {
        pci_set_word(pdev->config + pdev->exp.ats_cap + PCI_ATS_CTRL, 0);
    }
    pasid_testdev_dtlb_clear(d);
    pasid_testdev_pri_reset(d);
}

static void pasid_testdev_realize(PCIDevice *pdev, Error **errp)
{
    PasidTestDev *d = PASID_TESTDEV(pdev);
    uint16_t offset = PCI_CONFIG_SPACE_SIZE;
    int ret;

    if (d->pasid_width > PCI_PASID_MAX_WIDTH) {
        error_setg(errp, "pasid-width must be between 0 and %d",
                   PCI_PASID_MAX_WIDTH);
        return;
    }

    if (d->pri && !d->ats) {
        error_setg(errp, "pri=on needs ats=on");
        return;
    }

    ret = pcie_endpoint_cap_init(pdev, 0);
    if (ret < 0) {
        error_setg(errp, "cannot add the PCI Express capability");
        return;
    }
    pcie_cap_deverr_init(pdev);
    pcie_cap_flr_init(pdev);

    if (d->pasid_width) {
        pcie_pasid_init(pdev, offset, d->pasid_width, d->pasid_exec,
                        d->pasid_priv);
        offset += PCI_EXT_CAP_PASID_SIZEOF;
    }
    if (d->ats) {
        pcie_ats_init(pdev, offset, true);
        offset += PCI_EXT_CAP_ATS_SIZEOF;
    }
    if (d->pri) {
        pasid_testdev_pri_init(d, offset);
        d->bh = qemu_bh_new_guarded(pasid_testdev_bh, d,
                                    &DEVICE(d)->mem_reentrancy_guard);
    }

    memory_region_init_io(&d->bar, OBJECT(d), &pasid_testdev_mmio_ops, d,
                          TYPE_PASID_TESTDEV, PASID_TESTDEV_BAR_SIZE);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &d->bar);
}

static void pasid_testdev_exit(PCIDevice *pdev)
{
    PasidTestDev *d = PASID_TESTDEV(pdev);

    if (d->bh) {
        qemu_bh_delete(d->bh);
    }
    pcie_cap_exit(pdev);
}

static bool pasid_testdev_pri_needed(void *opaque)
{
    PasidTestDev *d = opaque;

    return d->pri;
}

static int pasid_testdev_pri_post_load(void *opaque, int version_id)
{
    PasidTestDev *d = opaque;

    if (!d->waiting) {
        return 0;
    }
    if (d->waiting != CMD_ATS_READ && d->waiting != CMD_ATS_WRITE) {
        return -EINVAL;
    }
    /* A page response may have arrived whose command has not resumed yet */
    if (d->answer >= 0) {
        qemu_bh_schedule(d->bh);
    }
    return 0;
}

static const VMStateDescription vmstate_pasid_testdev_pri = {
    .name = TYPE_PASID_TESTDEV "/pri",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = pasid_testdev_pri_needed,
    .post_load = pasid_testdev_pri_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(prreq, PasidTestDev),
        VMSTATE_UINT32(prnum, PasidTestDev),
        VMSTATE_UINT32(prsel, PasidTestDev),
        VMSTATE_UINT64_ARRAY(private_data, PasidTestDev, 2),
        VMSTATE_UINT32(responses, PasidTestDev),
        VMSTATE_UINT32(sent, PasidTestDev),
        VMSTATE_UINT32(outstanding, PasidTestDev),
        VMSTATE_UINT32(waiting, PasidTestDev),
        VMSTATE_INT32(answer, PasidTestDev),
        VMSTATE_UINT32_2DARRAY(log, PasidTestDev, PRI_LOG_SIZE, 3),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_pasid_testdev = {
    .name = TYPE_PASID_TESTDEV,
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, PasidTestDev),
        VMSTATE_UINT64(addr, PasidTestDev),
        VMSTATE_UINT32(len, PasidTestDev),
        VMSTATE_UINT32(pasid, PasidTestDev),
        VMSTATE_UINT32(result, PasidTestDev),
        VMSTATE_UINT32(done, PasidTestDev),
        VMSTATE_UINT32(count, PasidTestDev),
        VMSTATE_BUFFER(buf, PasidTestDev),
        VMSTATE_BOOL(silent, PasidTestDev),
        VMSTATE_UINT32(inv_done, PasidTestDev),
        VMSTATE_UINT32(inv_lost, PasidTestDev),
        VMSTATE_UINT32(inv_off, PasidTestDev),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_pasid_testdev_pri,
        NULL
    }
};

static const Property pasid_testdev_properties[] = {
    DEFINE_PROP_UINT8("pasid-width", PasidTestDev, pasid_width,
                      PCI_PASID_MAX_WIDTH),
    DEFINE_PROP_BOOL("pasid-exec", PasidTestDev, pasid_exec, true),
    DEFINE_PROP_BOOL("pasid-priv", PasidTestDev, pasid_priv, true),
    DEFINE_PROP_BOOL("ats", PasidTestDev, ats, false),
    DEFINE_PROP_BOOL("pri", PasidTestDev, pri, false),
};

static void pasid_testdev_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);
    PCIPRIDeviceClass *pri = PCI_PRI_DEVICE_CLASS(klass);

    pri->page_response = pasid_testdev_page_response;
    pri->ats_invalidate = pasid_testdev_ats_invalidate;
    k->realize = pasid_testdev_realize;
    k->exit = pasid_testdev_exit;
    k->config_write = pasid_testdev_config_write;
    k->vendor_id = PASID_TESTDEV_VENDOR_ID;
    k->device_id = PASID_TESTDEV_DEVICE_ID;
    k->class_id = PCI_CLASS_OTHERS;
    rc->phases.hold = pasid_testdev_reset_hold;
    dc->desc = "PCI Express endpoint that does DMA on command";
    dc->vmsd = &vmstate_pasid_testdev;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, pasid_testdev_properties);
}

static const TypeInfo pasid_testdev_types[] = {
    {
        .name = TYPE_PASID_TESTDEV,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(PasidTestDev),
        .class_init = pasid_testdev_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { INTERFACE_PCI_PRI_DEVICE },
            { }
        },
    },
};

DEFINE_TYPES(pasid_testdev_types)
