/*
 * QTest for an Intel IOMMU whose first stage is left to the host
 *
 * Runs on a host whose IOMMU nests, with devices that are pasid-testdev
 * endpoints (docs/specs/pasid-testdev.rst) and bound to vfio-pci there. Their
 * addresses are in VTD_HOST_DEVICES, separated by spaces; without two of them,
 * which have ATS and PRI, all is skipped.
 *
 * What the host reports takes a moment to arrive. Nothing here gives up waiting
 * for what must happen: how long that takes says nothing about QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "libqos/virtio-pci.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "standard-headers/linux/virtio_mem.h"
#include "vtd-util.h"

#define CTX_TT_PASS             (2ULL << 2)

#define PASID_BITS              8
#define OPTS                    "pasid-bits=8"
#define SVM_OPTS                OPTS ",svm=on,device-iotlb=on"

#define RAM                     "64M"
#define PAGE(n)                 (0x3000000ULL + (n) * 0x1000)
#define IOVA                    0x123456789000ULL
#define DID                     5

static char **devices;

/* One function of slot 4 for each device */
typedef struct Function {
    uint64_t ctx;
    uint64_t dir;
} Function;

typedef struct Host {
    VTD *v;
    Function fn[2];
    uint64_t queue;
    unsigned int pri;
} Host;

/* Which device the following is about */
static void use(Host *h, int n)
{
    vtd_use_function(h->v, n);
    h->v->ctx = h->fn[n].ctx;
    h->v->dir = h->fn[n].dir;
}

/* A machine with @n devices, beginning with the one whose number is @first */
static Host *host_new_args(const char *opts, int first, int n,
                           const char *more)
{
    g_autoptr(GString) args = g_string_new(NULL);
    Host *h = g_new0(Host, 1);
    VTD *v = g_new0(VTD, 1);
    uint64_t ctx_table;
    int i;

    for (i = 0; i < n; i++) {
        g_string_append_printf(args, " -device vfio-pci,host=%s,addr=4.%d,"
                               "multifunction=on,id=dev%d", devices[first + i],
                               i, i);
    }
    h->v = v;
    v->qts = qtest_initf("-M q35 -m " RAM " -nodefaults -device intel-iommu,"
                         "x-scalable-mode=on,x-flts=on,caching-mode=on,%s%s%s",
                         opts, args->str, more);
    vtd_attach(v);
    v->cap = vtd_readq(v, VTD_REG_CAP);
    v->ecap = vtd_readq(v, VTD_REG_ECAP);

    v->free_page = 0x1000000;
    v->iq = vtd_alloc(v);
    v->root = vtd_alloc(v);
    ctx_table = vtd_alloc(v);
    h->queue = vtd_alloc(v);
    vtd_put(v, v->root, ctx_table | ROOT_P);
    for (i = 0; i < n; i++) {
        h->fn[i].dir = vtd_alloc(v);
        h->fn[i].ctx = ctx_table + (v->dev->devfn + i) * 32;
        vtd_put(v, h->fn[i].ctx, h->fn[i].dir | CTX_PASIDE | CTX_P);
    }
    for (i = n; i-- > 0;) {
        use(h, i);
    }
    h->pri = vtd_find_ext_cap(v, PCI_EXT_CAP_ID_PRI);
    return h;
}

static Host *host_new(int n)
{
    return host_new_args(OPTS, 0, n, "");
}

static void host_free(Host *h)
{
    vtd_free(h->v);
    g_free(h);
}

static void wait_fault(VTD *v, VTDFault *fault)
{
    /* Not before the record is complete */
    while (!(vtd_readl(v, VTD_REG_FSTS) & FSTS_PPF)) {
        g_usleep(1000);
    }
    g_assert_true(vtd_take_fault(v, fault));
}

/* DMA faults, and the guest's IOMMU tells why */
static void faults_at(int line, VTD *v, uint32_t req, uint64_t addr,
                      uint8_t reason)
{
    VTDFault fault;
    uint32_t result = vtd_dma(v, TESTDEV_CMD_READ, req, addr, 8);

    if (result != TESTDEV_FAULT) {
        g_test_message("line %d: result %u instead of a fault", line, result);
        g_test_fail();
        return;
    }
    wait_fault(v, &fault);
    if (fault.reason != reason || fault.sid != v->sid ||
        fault.addr != (addr & ~0xfffULL) || !fault.is_read ||
        fault.pasid_present != !!(req & BIT(31)) ||
        (fault.pasid_present && fault.pasid != (req & 0xfffff))) {
        g_test_message("line %d: fault 0x%x instead of 0x%x, source 0x%x, "
                       "address 0x%" PRIx64 ", PASID %u", line, fault.reason,
                       reason, fault.sid, fault.addr, fault.pasid);
        g_test_fail();
    }
}
#define faults(v, req, addr, reason) faults_at(__LINE__, v, req, addr, reason)

/* DMA faults, whatever is reported */
static void blocked_at(int line, VTD *v, uint32_t req, uint64_t addr)
{
    VTDFault fault;

    if (vtd_dma(v, TESTDEV_CMD_READ, req, addr, 8) != TESTDEV_FAULT) {
        g_test_message("line %d: not blocked", line);
        g_test_fail();
        return;
    }
    wait_fault(v, &fault);
}
#define blocked(v, req, addr) blocked_at(__LINE__, v, req, addr)

/*
 * DMA faults while translation is off, when nothing is reported. Last in a
 * test: the host's report may come when translation is on again.
 */
static void refused_at(int line, VTD *v, uint32_t req, uint64_t addr)
{
    if (vtd_dma(v, TESTDEV_CMD_READ, req, addr, 8) != TESTDEV_FAULT) {
        g_test_message("line %d: not refused", line);
        g_test_fail();
    }
}
#define refused(v, req, addr) refused_at(__LINE__, v, req, addr)

/* A first stage with one page at IOVA */
static VTDTable *table(VTD *v, uint64_t page)
{
    VTDTable *fs = vtd_first_stage(v, NULL);

    vtd_map(fs, IOVA, page, LEVEL_4K);
    return fs;
}

static uint64_t leaf(VTDTable *fs)
{
    return vtd_entry(fs, IOVA, LEVEL_4K);
}

/* What the guest sees before it does anything */
static void test_registers(void)
{
    Host *h = host_new_args(SVM_OPTS, 0, 1, "");
    VTD *v = h->v;
    unsigned int pasid = vtd_find_ext_cap(v, PCI_EXT_CAP_ID_PASID);
    unsigned int ats = vtd_find_ext_cap(v, PCI_EXT_CAP_ID_ATS);
    uint16_t status;

    g_assert_true(v->cap & CAP_CM);
    g_assert_cmphex(extract64(v->cap, 8, 5), ==, 0);    /* SAGAW */
    g_assert_true(v->ecap & ECAP_FSTS);
    g_assert_false(v->ecap & (ECAP_SSTS | ECAP_NEST | ECAP_RPS | ECAP_SRS));
    g_assert_true(v->ecap & ECAP_PASID);
    g_assert_cmpuint(ECAP_PSS(v->ecap), ==, PASID_BITS - 1);
    g_assert_true(v->ecap & ECAP_PRS);
    g_assert_true(v->ecap & ECAP_DT);
    g_assert_true(v->ecap & ECAP_SMPWC);

    g_assert_cmphex(pasid, ==, 0xff8);
    g_assert_cmpuint(extract32(qtest_readw(v->qts, vtd_ecam(v, pasid +
                               PCI_PASID_CAP)), 8, 5), ==, PASID_BITS);
    /* The host has enabled them, the guest has not */
    g_assert_cmphex(ats, !=, 0);
    g_assert_cmphex(qtest_readw(v->qts, vtd_ecam(v, ats + PCI_ATS_CTRL)), ==,
                    0);
    qtest_writew(v->qts, vtd_ecam(v, ats + PCI_ATS_CTRL), PCI_ATS_CTRL_ENABLE);
    g_assert_cmphex(qtest_readw(v->qts, vtd_ecam(v, ats + PCI_ATS_CTRL)), ==,
                    PCI_ATS_CTRL_ENABLE);
    g_assert_cmphex(h->pri, !=, 0);
    status = qtest_readw(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS));
    g_assert_true(status & PCI_PRI_STATUS_STOPPED);
    qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_CTRL),
                 PCI_PRI_CTRL_ENABLE);
    status = qtest_readw(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS));
    g_assert_false(status & PCI_PRI_STATUS_STOPPED);
    host_free(h);

    /* What the vIOMMU does not have is not there either */
    h = host_new_args("device-iotlb=off", 0, 1, "");
    g_assert_cmphex(vtd_find_ext_cap(h->v, PCI_EXT_CAP_ID_PASID), ==, 0);
    g_assert_cmphex(vtd_find_ext_cap(h->v, PCI_EXT_CAP_ID_ATS), ==, 0);
    g_assert_cmphex(h->pri, ==, 0);
    g_assert_false(h->v->ecap & (ECAP_PASID | ECAP_PRS | ECAP_DT));
    host_free(h);
}

/* Without PASID: off, on, another table, pass-through, nothing, off again */
static void test_without_pasid(void)
{
    Host *h = host_new(1);
    VTD *v = h->v;
    VTDTable *one = table(v, PAGE(0)), *two = table(v, PAGE(1));

    vtd_reads(v, REQ_RID, PAGE(0), PAGE(0));
    vtd_writes(v, REQ_RID, PAGE(1), PAGE(1));

    vtd_set_pasid(v, 0, vtd_pe_first(one, DID));
    vtd_enable_translation(v);
    vtd_reads(v, REQ_RID, IOVA, PAGE(0));
    vtd_writes(v, REQ_RID, IOVA, PAGE(0));
    faults(v, REQ_RID, PAGE(0), FR_FS_P);

    /* A table in place of another: stale until it is announced */
    vtd_set_pasid(v, 0, vtd_pe_first(two, DID));
    vtd_reads(v, REQ_RID, IOVA, PAGE(0));
    vtd_inv_pasid(v, PC_PASID, DID, 0);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID, 0, 0, 0);
    vtd_reads(v, REQ_RID, IOVA, PAGE(1));

    vtd_set_pasid(v, 0, vtd_pe_pass(DID));
    vtd_reads(v, REQ_RID, IOVA, PAGE(1));
    vtd_inv_pasid(v, PC_DOMAIN, DID, 0);
    vtd_reads(v, REQ_RID, PAGE(2), PAGE(2));

    vtd_clear(v, vtd_pasid_entry(v, 0), PE0_P);
    vtd_reads(v, REQ_RID, PAGE(2), PAGE(2));
    vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
    faults(v, REQ_RID, PAGE(2), FR_PE_P);

    vtd_set_pasid(v, 0, vtd_pe_first(one, DID));
    vtd_inv_pasid(v, PC_PASID, DID, 0);
    vtd_reads(v, REQ_RID, IOVA, PAGE(0));

    /* Off */
    vtd_writel(v, VTD_REG_GCMD, vtd_readl(v, VTD_REG_GSTS) & 0x96ffffff &
               ~GCMD_TE);
    vtd_reads(v, REQ_RID, PAGE(0), PAGE(0));
    vtd_switch_on(v);
    vtd_reads(v, REQ_RID, IOVA, PAGE(0));
    host_free(h);
}

static void test_pasids(void)
{
    Host *h = host_new(1);
    VTD *v = h->v;
    const uint32_t last = (1 << PASID_BITS) - 1;
    VTDTable *one = table(v, PAGE(1)), *two = table(v, PAGE(2));

    vtd_set_pasid(v, 0, vtd_pe_pass(DID));
    vtd_set_pasid(v, 1, vtd_pe_first(one, DID));
    vtd_set_pasid(v, last, vtd_pe_first(two, DID + 1));
    vtd_enable_translation(v);
    vtd_reads(v, REQ_RID, PAGE(0), PAGE(0));
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(1));
    vtd_writes(v, REQ_PASID(1), IOVA, PAGE(1));
    vtd_reads(v, REQ_PASID(last), IOVA, PAGE(2));
    faults(v, REQ_PASID(1), IOVA + 0x1000, FR_FS_P);
    faults(v, REQ_PASID(2), IOVA, FR_PE_P);
    faults(v, REQ_PASID(64), IOVA, FR_DIR_P);

    /* One that comes, one that changes, one that goes */
    vtd_set_pasid(v, 2, vtd_pe_first(two, DID));
    vtd_inv_pasid(v, PC_PASID, DID, 2);
    vtd_reads(v, REQ_PASID(2), IOVA, PAGE(2));
    vtd_set_pasid(v, 1, vtd_pe_first(two, DID));
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID, 1, 0, 0);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(2));
    vtd_clear(v, vtd_pasid_entry(v, 1), PE0_P);
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    faults(v, REQ_PASID(1), IOVA, FR_PE_P);
    vtd_reads(v, REQ_PASID(2), IOVA, PAGE(2));
    vtd_reads(v, REQ_PASID(last), IOVA, PAGE(2));

    /* The whole directory, and no PASIDs at all */
    vtd_clear(v, vtd_dir_entry(v, last), PASID_DIR_P);
    vtd_inv_pasid(v, PC_DOMAIN, DID + 1, 0);
    faults(v, REQ_PASID(last), IOVA, FR_DIR_P);
    vtd_clear(v, v->ctx, CTX_PASIDE);
    vtd_inv_context(v, CC_DEVICE, 0, v->sid);
    faults(v, REQ_PASID(2), IOVA, FR_CTX_PASIDE);
    vtd_reads(v, REQ_RID, PAGE(0), PAGE(0));
    vtd_or(v, v->ctx, CTX_PASIDE);
    vtd_inv_context(v, CC_GLOBAL, 0, 0);
    vtd_reads(v, REQ_PASID(2), IOVA, PAGE(2));
    host_free(h);
}

/* What was cached is used until it is invalidated, by any descriptor for it */
static void test_invalidate(void)
{
    enum { PASID = 3 };
    Host *h = host_new(1);
    VTD *v = h->v;
    VTDTable *fs = table(v, PAGE(0));
    int to = 0, i;

    vtd_set_pasid(v, 0, vtd_pe_pass(DID));
    vtd_set_pasid(v, PASID, vtd_pe_first(fs, DID));
    vtd_enable_translation(v);

    for (i = 0; i < 8; i++) {
        vtd_reads(v, REQ_PASID(PASID), IOVA, PAGE(to));
        vtd_put(v, leaf(fs), PAGE(!to) | FS_ALL);
        vtd_reads(v, REQ_PASID(PASID), IOVA, PAGE(to));
        /* Those of others change nothing */
        vtd_inv_piotlb(v, PIOTLB_PASID, DID + 1, PASID, 0, 0);
        vtd_inv_piotlb(v, PIOTLB_PASID, DID, PASID + 1, 0, 0);
        vtd_inv_piotlb(v, PIOTLB_PAGE, DID, PASID, IOVA + 0x1000, 0);
        vtd_inv_piotlb(v, PIOTLB_PAGE, DID, PASID, 1ULL << 55, 0);
        vtd_inv_iotlb(v, IOTLB_DOMAIN, DID + 1, 0, 0);
        vtd_reads(v, REQ_PASID(PASID), IOVA, PAGE(to));
        switch (i) {
        case 0:
            vtd_inv_piotlb(v, PIOTLB_PASID, DID, PASID, 0, 0);
            break;
        case 1:
            vtd_inv_piotlb(v, PIOTLB_PAGE, DID, PASID, IOVA, 0);
            break;
        case 2:
            vtd_inv_piotlb(v, PIOTLB_PAGE, DID, PASID, IOVA & -0x200000ULL, 9);
            break;
        case 3:
            vtd_inv_piotlb(v, PIOTLB_PAGE, DID, PASID, 0, 52);
            break;
        case 4:
            vtd_inv_piotlb(v, PIOTLB_PAGE, DID, PASID, 0, 35);
            break;
        case 5:
            vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
            break;
        case 6:
            vtd_inv_iotlb(v, IOTLB_DOMAIN, DID, 0, 0);
            break;
        case 7:
            vtd_inv_iotlb(v, IOTLB_PAGE, DID, 0, 0);
            break;
        }
        to = !to;
        vtd_reads(v, REQ_PASID(PASID), IOVA, PAGE(to));
    }

    vtd_put(v, leaf(fs), 0);
    vtd_reads(v, REQ_PASID(PASID), IOVA, PAGE(to));
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID, PASID, IOVA, 0);
    faults(v, REQ_PASID(PASID), IOVA, FR_FS_P);
    host_free(h);
}

/* Many descriptors and one wait; its status comes when all have taken effect */
static void test_batch(void)
{
    enum { PAGES = 64, PASID = 7 };
    Host *h = host_new(1);
    VTD *v = h->v;
    VTDTable *fs = vtd_first_stage(v, NULL);
    uint64_t status = vtd_alloc(v);
    int i;

    for (i = 0; i < PAGES; i++) {
        vtd_map(fs, IOVA + i * 0x1000, PAGE(i), LEVEL_4K);
    }
    vtd_set_pasid(v, PASID, vtd_pe_first(fs, DID));
    vtd_enable_translation(v);
    /* The host knows nothing of this one; those after it count */
    vtd_post(v, 6 | (PIOTLB_PASID << 4) | ((DID + 1) << 16) |
             ((uint64_t)PASID << 32), 0, 0, 0);
    for (i = 0; i < PAGES; i++) {
        vtd_reads(v, REQ_PASID(PASID), IOVA + i * 0x1000, PAGE(i));
        vtd_put(v, vtd_entry(fs, IOVA + i * 0x1000, LEVEL_4K), 0);
        vtd_post(v, 6 | (PIOTLB_PAGE << 4) | (DID << 16) |
                 ((uint64_t)PASID << 32), IOVA + i * 0x1000, 0, 0);
        vtd_reads(v, REQ_PASID(PASID), IOVA + i * 0x1000, PAGE(i));
    }
    g_assert_true(vtd_submit(v, 5 | WAIT_SW | (0x1234ULL << 32), status, 0, 0));
    g_assert_cmphex(vtd_get(v, status), ==, 0x1234);
    for (i = 0; i < PAGES; i++) {
        faults(v, REQ_PASID(PASID), IOVA + i * 0x1000, FR_FS_P);
    }
    host_free(h);
}

/* One container, one PASID, and each device has a table of its own */
static void test_two_devices(void)
{
    Host *h = host_new(2);
    VTD *v = h->v;

    use(h, 0);
    vtd_set_pasid(v, 1, vtd_pe_first(table(v, PAGE(0)), DID));
    use(h, 1);
    vtd_set_pasid(v, 1, vtd_pe_first(table(v, PAGE(1)), DID + 1));
    vtd_enable_translation(v);

    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(1));
    use(h, 0);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));
    vtd_clear(v, vtd_pasid_entry(v, 1), PE0_P);
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    faults(v, REQ_PASID(1), IOVA, FR_PE_P);
    use(h, 1);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(1));
    host_free(h);
}

/* The same PASID and domain id in two machines */
static void test_two_machines(void)
{
    Host *a = host_new_args(OPTS, 0, 1, ""), *b = host_new_args(OPTS, 1, 1, "");

    vtd_set_pasid(a->v, 1, vtd_pe_first(table(a->v, PAGE(0)), DID));
    vtd_set_pasid(b->v, 1, vtd_pe_first(table(b->v, PAGE(1)), DID));
    vtd_enable_translation(a->v);
    vtd_enable_translation(b->v);
    vtd_reads(a->v, REQ_PASID(1), IOVA, PAGE(0));
    vtd_reads(b->v, REQ_PASID(1), IOVA, PAGE(1));
    host_free(a);
    vtd_reads(b->v, REQ_PASID(1), IOVA, PAGE(1));
    vtd_writes(b->v, REQ_PASID(1), IOVA, PAGE(1));
    host_free(b);
}

static void test_legacy(void)
{
    Host *h = host_new_args(OPTS, 0, 1, " -device pasid-testdev,addr=4.1");
    VTD *v = h->v;
    uint64_t root = vtd_alloc(v), ctx = vtd_alloc(v);
    uint64_t entry = ctx + v->dev->devfn * 16;

    vtd_set_pasid(v, 1, vtd_pe_first(table(v, PAGE(1)), DID));
    vtd_enable_translation(v);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(1));

    v->root = root;
    vtd_put(v, root, ctx | ROOT_P);
    vtd_put(v, entry, CTX_TT_PASS | CTX_P);
    vtd_put(v, entry + 8, 2);
    vtd_set_root(v, RTADDR_TTM_LEGACY);
    vtd_reads(v, REQ_RID, PAGE(0), PAGE(0));
    faults(v, REQ_PASID(1), IOVA, FR_LEGACY_PASID);

    /* A second stage can't be nested */
    vtd_put(v, entry, vtd_alloc(v) | CTX_P);
    vtd_set_root(v, RTADDR_TTM_LEGACY);
    blocked(v, REQ_RID, PAGE(0));

    /* Pass-through of an emulated device */
    vtd_use_function(v, 1);
    entry += 16;
    vtd_put(v, entry, CTX_TT_PASS | CTX_P);
    vtd_put(v, entry + 8, 2);
    vtd_set_root(v, RTADDR_TTM_LEGACY);
    vtd_reads(v, REQ_RID, PAGE(0), PAGE(0));
    host_free(h);
}

static void test_reset(void)
{
    Host *h = host_new(1);
    VTD *v = h->v;

    vtd_set_pasid(v, 0, vtd_pe_first(table(v, PAGE(0)), DID));
    vtd_set_pasid(v, 1, vtd_pe_first(table(v, PAGE(1)), DID));
    vtd_enable_translation(v);
    vtd_reads(v, REQ_RID, IOVA, PAGE(0));
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(1));

    qtest_system_reset(v->qts);
    vtd_attach(v);
    vtd_reads(v, REQ_RID, PAGE(2), PAGE(2));

    /* Once more from the start */
    vtd_enable_translation(v);
    vtd_reads(v, REQ_RID, IOVA, PAGE(0));
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(1));

    qtest_system_reset(v->qts);
    vtd_attach(v);
    refused(v, REQ_RID, IOVA);
    refused(v, REQ_PASID(1), IOVA);
    host_free(h);
}

/* Entries that the guest must not write are blocked, and the reason is told */
static void test_bad_entries(void)
{
    Host *h = host_new(1);
    VTD *v = h->v;
    VTDTable *fs = table(v, PAGE(0));
    VTDPasidEntry good = vtd_pe_first(fs, DID), pe;
    uint64_t ctx = vtd_get(v, v->ctx);
    static const struct {
        int q;
        uint64_t set;
        uint8_t reason;
    } cases[] = {
        { 0, BIT_ULL(5), FR_PE_RSVD },          /* reserved */
        { 1, BIT_ULL(40), FR_PE_RSVD },         /* PAT, without ECAP.MTS */
        { 2, PE2_SRE, FR_PE_RSVD },             /* without ECAP.SRS */
        { 2, PE2_EAFE, FR_PE_RSVD },            /* without ECAP.EAFS */
        { 2, 1ULL << 60, FR_PE_RSVD },          /* table beyond the width */
        { 7, 1, FR_PE_RSVD },
        { 2, PE2_FSPM(1), FR_PE_INV },          /* five levels */
        { 0, PE0_PGTT_NESTED, FR_PE_INV },
        { 0, PE0_PGTT(7), FR_PE_INV },
    };
    int i;

    vtd_set_pasid(v, 1, good);
    vtd_enable_translation(v);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        vtd_set_pasid(v, 1, good);
        vtd_inv_pasid(v, PC_PASID, DID, 1);
        vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));
        pe = good;
        pe.q[cases[i].q] |= cases[i].set;
        vtd_set_pasid(v, 1, pe);
        vtd_inv_pasid(v, PC_PASID, DID, 1);
        faults(v, REQ_PASID(1), IOVA, cases[i].reason);
    }
    pe = good;
    pe.q[0] = PE0_PGTT_SS | PE0_AW_48 | PE0_P;
    vtd_set_pasid(v, 1, pe);
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    faults(v, REQ_PASID(1), IOVA, FR_PE_INV);

    /* Tables where there is no memory: found when they are walked */
    pe = good;
    pe.q[2] = VTD_HOLE;
    vtd_set_pasid(v, 1, pe);
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    faults(v, REQ_PASID(1), IOVA, FR_FS_ACCESS);
    vtd_set_pasid(v, 1, good);
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));

    /* Context entries: reserved bits, RID_PASID without ECAP.RPS, PRE */
    vtd_put(v, v->ctx, ctx | BIT_ULL(5));
    vtd_inv_context(v, CC_DEVICE, 0, v->sid);
    faults(v, REQ_PASID(1), IOVA, FR_CTX_RSVD);
    vtd_put(v, v->ctx, ctx | CTX_PRE);
    vtd_inv_context(v, CC_DEVICE, 0, v->sid);
    faults(v, REQ_PASID(1), IOVA, FR_CTX_RSVD);
    vtd_put(v, v->ctx, ctx);
    vtd_put(v, v->ctx + 8, 1);
    vtd_inv_context(v, CC_DEVICE, 0, v->sid);
    faults(v, REQ_PASID(1), IOVA, FR_CTX_RSVD);
    vtd_put(v, v->ctx + 8, 0);
    vtd_put(v, v->ctx, 0);
    vtd_inv_context(v, CC_GLOBAL, 0, 0);
    faults(v, REQ_PASID(1), IOVA, FR_CTX_P);
    vtd_put(v, v->ctx, (ctx & 0xfff) | VTD_HOLE);
    vtd_inv_context(v, CC_GLOBAL, 0, 0);
    blocked(v, REQ_PASID(1), IOVA);
    /* FPD is about some reasons only */
    vtd_put(v, v->ctx, (ctx & 0xfff) | CTX_FPD | VTD_HOLE);
    vtd_inv_context(v, CC_GLOBAL, 0, 0);
    vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
    faults(v, REQ_PASID(1), IOVA, FR_DIR_ACCESS);
    vtd_put(v, v->ctx, ctx);
    vtd_inv_context(v, CC_GLOBAL, 0, 0);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));

    /* The root table */
    vtd_put(v, v->root, 0);
    vtd_set_root(v, RTADDR_TTM_SCALABLE);
    faults(v, REQ_PASID(1), IOVA, FR_ROOT_P);
    host_free(h);
}

/* Descriptors that are wrong stop the queue, and nothing else */
static void test_bad_descriptors(void)
{
    Host *h = host_new(1);
    VTD *v = h->v;
    VTDTable *fs = table(v, PAGE(0));
    static const uint64_t bad[][2] = {
        { 6 | (PIOTLB_PAGE << 4) | BIT_ULL(6), 0 },
        { 6, 0 },
        { 7 | (2 << 4), 0 },
        { 7 | (PC_PASID << 4), 1 },
        { 2, 0 },
        { 1, 0 },
        { 9, 0 },                               /* without ECAP.PRS */
        { 3, 0 },                               /* without ECAP.DT */
        { 0xf, 0 },
    };
    int i;

    vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
    vtd_enable_translation(v);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        if (vtd_submit(v, bad[i][0], bad[i][1], 0, 0)) {
            g_test_message("descriptor %d was accepted", i);
            g_test_fail();
            continue;
        }
        /* What the queue held before the bad one has taken effect */
        vtd_recover_queue(v);
        vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));
    }
    vtd_put(v, leaf(fs), PAGE(1) | FS_ALL);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID, 1, 0, 0);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(1));
    host_free(h);
}

/*
 * Page requests
 */

static Host *host_new_svm(void)
{
    Host *h = host_new_args(SVM_OPTS, 0, 1, "");
    VTD *v = h->v;

    vtd_or(v, v->ctx, CTX_DTE | CTX_PRE);
    vtd_writeq(v, REG_PQA, h->queue);
    qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_CTRL),
                 PCI_PRI_CTRL_ENABLE);
    return h;
}

/* Wait for the oldest page request, and take it out of the queue */
static void take(Host *h, uint64_t q[4])
{
    uint64_t head = vtd_readq(h->v, REG_PQH);
    int i;

    while (head == vtd_readq(h->v, REG_PQT)) {
        g_usleep(1000);
    }
    for (i = 0; i < 4; i++) {
        q[i] = vtd_get(h->v, h->queue + head + i * 8);
    }
    vtd_writeq(h->v, REG_PQH, (head + 32) % 4096);
    vtd_writel(h->v, REG_PRS, PRS_PPR);
}

/* Have the device ask for a page that is not there */
static void ask(Host *h, uint64_t q[4])
{
    g_assert_cmphex(vtd_dma(h->v, CMD_ATS_READ, REQ_PASID(1), IOVA, 8), ==,
                    RESULT_PENDING);
    take(h, q);
}

static void respond(Host *h, const uint64_t q[4], uint8_t code)
{
    g_assert_true(vtd_submit(h->v, 9 | (q[0] & REQ0_PP ? BIT_ULL(4) : 0) |
                             ((uint64_t)code << 12) |
                             (REQ0_RID(q[0]) << 16) |
                             (REQ0_PASID(q[0]) << 32),
                             BIT_ULL(2) | (REQ1_GROUP(q[1]) << 3), 0, 0));
}

static uint32_t wait_result(Host *h)
{
    uint32_t result;

    while ((result = vtd_testdev_readl(h->v, TESTDEV_RESULT)) ==
           RESULT_PENDING) {
        g_usleep(1000);
    }
    return result;
}

static uint32_t request(Host *h, uint32_t req, uint32_t prreq, uint32_t n)
{
    vtd_testdev_writel(h->v, DEV_PRREQ, prreq);
    vtd_testdev_writel(h->v, DEV_PRNUM, n);
    return vtd_dma(h->v, CMD_REQUEST, req, IOVA, 8);
}

static void wait_answers(Host *h, uint32_t n)
{
    while (vtd_testdev_readl(h->v, DEV_PRRESP) < n) {
        g_usleep(1000);
    }
}

static uint32_t answer_code(Host *h, uint32_t nth)
{
    vtd_testdev_writel(h->v, DEV_PRSEL, nth);
    return vtd_testdev_readl(h->v, DEV_PRCODE);
}

static void test_page_request(void)
{
    Host *h = host_new_svm();
    VTD *v = h->v;
    VTDTable *fs = table(v, PAGE(0));
    uint64_t entry = leaf(fs), q[4];

    vtd_set_pasid(v, 0, vtd_pe_pass(DID));
    vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
    vtd_enable_translation(v);

    /* The page comes in time */
    vtd_put(v, entry, 0);
    ask(h, q);
    g_assert_cmphex(REQ0_RID(q[0]), ==, v->sid);
    g_assert_true(q[0] & REQ0_PP);
    g_assert_cmphex(REQ0_PASID(q[0]), ==, 1);
    g_assert_cmphex(REQ1_ADDR(q[1]), ==, IOVA);
    g_assert_true(q[1] & REQ1_R);
    g_assert_true(q[1] & REQ1_LPIG);
    vtd_put(v, entry, PAGE(0) | FS_ALL);
    respond(h, q, RESP_SUCCESS);
    g_assert_cmphex(wait_result(h), ==, TESTDEV_DONE_OK);

    /* It doesn't come */
    vtd_put(v, entry, 0);
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID, 1, IOVA, 0);
    ask(h, q);
    /* What nobody waits for changes nothing */
    q[1] ^= 1 << 3;
    respond(h, q, RESP_SUCCESS);
    q[1] ^= 1 << 3;
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_RESULT), ==, RESULT_PENDING);
    respond(h, q, RESP_INVALID);
    g_assert_cmphex(wait_result(h), ==, RESULT_INVALID);
    respond(h, q, RESP_SUCCESS);

    /* The guest switches its page requests off: they come no further */
    qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_CTRL), 0);
    vtd_dma(v, CMD_ATS_READ, REQ_PASID(1), IOVA, 8);
    g_assert_cmphex(wait_result(h), ==, RESULT_INVALID);
    g_assert_cmphex(vtd_readq(v, REG_PQH), ==, vtd_readq(v, REG_PQT));
    qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_CTRL),
                 PCI_PRI_CTRL_ENABLE);

    /* Its entry goes away while a page request waits */
    ask(h, q);
    vtd_clear(v, vtd_pasid_entry(v, 1), PE0_P);
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    g_assert_cmphex(wait_result(h), ==, RESULT_INVALID);
    respond(h, q, RESP_SUCCESS);

    vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
    vtd_inv_pasid(v, PC_PASID, DID, 1);

    /* It is replaced meanwhile; what comes next is another page request */
    ask(h, q);
    vtd_set_pasid(v, 1, vtd_pe_pass(DID));
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    g_assert_cmphex(wait_result(h), ==, RESULT_INVALID);
    vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    ask(h, q);
    vtd_put(v, entry, PAGE(0) | FS_ALL);
    respond(h, q, RESP_SUCCESS);
    g_assert_cmphex(wait_result(h), ==, TESTDEV_DONE_OK);
    vtd_put(v, entry, 0);
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID, 1, IOVA, 0);

    /* The end of all page requests, until the device is reset */
    ask(h, q);
    respond(h, q, RESP_FAILURE);
    g_assert_cmphex(wait_result(h), ==, RESULT_FAILURE);
    g_assert_true(qtest_readw(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS)) &
                  PCI_PRI_STATUS_RF);
    qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS), 0);
    g_assert_true(qtest_readw(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS)) &
                  PCI_PRI_STATUS_RF);
    qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS),
                 PCI_PRI_STATUS_RF);
    g_assert_false(qtest_readw(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS)) &
                   PCI_PRI_STATUS_RF);
    host_free(h);
}

static void test_overflow(void)
{
    enum { ROOM = 3, SENT = 8 };
    Host *h = host_new_svm();
    VTD *v = h->v;
    uint64_t q[4];
    int i;

    vtd_set_pasid(v, 1, vtd_pe_first(table(v, PAGE(0)), DID));
    vtd_enable_translation(v);
    vtd_writeq(v, REG_PQH, (ROOM + 1) * 32);
    g_assert_cmphex(request(h, REQ_PASID(1), PRREQ_R | PRREQ_LAST |
                            PRREQ_UNLIMITED, SENT), ==, TESTDEV_DONE_OK);
    /* What finds no room is answered at once */
    wait_answers(h, SENT - ROOM);
    g_assert_true(vtd_readl(v, REG_PRS) & PRS_PRO);
    for (i = 0; i < SENT - ROOM; i++) {
        g_assert_cmphex(answer_code(h, i), ==, RESP_SUCCESS);
    }
    g_assert_cmphex(vtd_readq(v, REG_PQT), ==, ROOM * 32);
    vtd_writeq(v, REG_PQH, 0);
    vtd_writel(v, REG_PRS, PRS_PRO | PRS_PPR);
    for (i = 0; i < ROOM; i++) {
        take(h, q);
        g_assert_cmphex(REQ1_GROUP(q[1]), ==, i);
        respond(h, q, RESP_INVALID);
    }
    wait_answers(h, SENT);
    g_assert_cmphex(answer_code(h, SENT - 1), ==, RESP_INVALID);

    /* A group that has more page requests than there is room for: none of it */
    vtd_writeq(v, REG_PQH, vtd_readq(v, REG_PQT) + 3 * 32);
    request(h, REQ_PASID(1), PRREQ_R | PRREQ_UNLIMITED | 9, 2);
    request(h, REQ_PASID(1), PRREQ_R | PRREQ_LAST | PRREQ_UNLIMITED | 9, 1);
    wait_answers(h, SENT + 1);
    g_assert_cmphex(answer_code(h, SENT), ==, RESP_SUCCESS);
    g_assert_true(vtd_readl(v, REG_PRS) & PRS_PRO);
    g_assert_cmphex(vtd_readq(v, REG_PQT), ==, ROOM * 32);
    host_free(h);
}

/* A reset in the middle: of the device by its driver, and of the machine */
static void test_page_request_reset(void)
{
    Host *h = host_new_svm();
    VTD *v = h->v;
    VTDTable *fs = table(v, PAGE(0));
    uint64_t entry = leaf(fs), q[4];
    uint8_t exp;

    vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
    vtd_enable_translation(v);
    vtd_put(v, entry, 0);
    ask(h, q);
    exp = qpci_find_capability(v->dev, PCI_CAP_ID_EXP, 0);
    g_assert_cmphex(exp, !=, 0);
    qpci_config_writew(v->dev, exp + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
    /* The guest's capabilities are as after power on, its bindings stay */
    g_assert_true(qtest_readw(v->qts, vtd_ecam(v, h->pri + PCI_PRI_STATUS)) &
                  PCI_PRI_STATUS_STOPPED);
    vtd_use_function(v, 0);
    vtd_put(v, entry, PAGE(0) | FS_ALL);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));

    qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_CTRL),
                 PCI_PRI_CTRL_ENABLE);
    vtd_put(v, entry, 0);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID, 1, 0, 0);
    /* Its answer must not go to the page request from before the reset */
    ask(h, q);
    vtd_put(v, entry, PAGE(0) | FS_ALL);
    respond(h, q, RESP_SUCCESS);
    g_assert_cmphex(wait_result(h), ==, TESTDEV_DONE_OK);
    vtd_put(v, entry, 0);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID, 1, 0, 0);
    ask(h, q);
    qtest_system_reset(v->qts);
    vtd_attach(v);
    vtd_reads(v, REQ_RID, PAGE(0), PAGE(0));
    g_assert_cmphex(vtd_readq(v, REG_PQT), ==, 0);
    refused(v, REQ_PASID(1), IOVA);
    host_free(h);
}

#define LIMIT "/sys/module/iommu_uapi/parameters/page_response_ms"

static void set_limit(unsigned int ms)
{
    FILE *file = fopen(LIMIT, "w");

    g_assert_nonnull(file);
    fprintf(file, "%u", ms);
    g_assert_cmpint(fclose(file), ==, 0);
}

/* While the machine is stopped, page requests wait for longer than the limit */
static void test_stop(void)
{
    enum { MS = 1000 };
    g_autofree char *before = NULL;
    uint64_t entry, q[4];
    VTDTable *fs;
    Host *h;
    VTD *v;

    g_assert_true(g_file_get_contents(LIMIT, &before, NULL, NULL));
    set_limit(MS);
    h = host_new_svm();
    v = h->v;
    fs = table(v, PAGE(0));
    entry = leaf(fs);
    vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
    vtd_enable_translation(v);
    vtd_put(v, entry, 0);

    qtest_qmp_assert_success(v->qts, "{ 'execute': 'stop' }");
    ask(h, q);
    g_usleep(MS * 3000);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_RESULT), ==, RESULT_PENDING);
    vtd_put(v, entry, PAGE(0) | FS_ALL);
    respond(h, q, RESP_SUCCESS);
    g_assert_cmphex(wait_result(h), ==, TESTDEV_DONE_OK);
    qtest_qmp_assert_success(v->qts, "{ 'execute': 'cont' }");

    /* And not when it runs again */
    vtd_put(v, entry, 0);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID, 1, 0, 0);
    g_assert_cmphex(vtd_dma(v, CMD_ATS_READ, REQ_PASID(1), IOVA, 8), ==,
                    RESULT_PENDING);
    g_assert_cmphex(wait_result(h), ==, RESULT_INVALID);
    host_free(h);
    set_limit(g_ascii_strtoull(before, NULL, 10));
}

/* A device that does not answer an invalidation is blocked until it is reset */
static void test_timeout(void)
{
    Host *h = host_new_svm();
    VTD *v = h->v;
    uint64_t status = vtd_alloc(v);
    VTDTable *fs = table(v, PAGE(0));

    vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
    vtd_enable_translation(v);
    g_assert_cmphex(vtd_dma(v, CMD_ATS_READ, REQ_PASID(1), IOVA, 8), ==,
                    TESTDEV_DONE_OK);
    vtd_testdev_writel(v, DEV_INVCTRL, 1);
    vtd_post(v, 6 | (PIOTLB_PASID << 4) | (DID << 16) | (1ULL << 32), 0, 0, 0);
    vtd_post(v, 5 | WAIT_SW | (1ULL << 32), status, 0, 0);
    vtd_kick(v);
    g_assert_true(vtd_readl(v, VTD_REG_FSTS) & FSTS_ITE);
    g_assert_cmphex(ITESID(v), ==, v->sid);
    g_assert_cmphex(vtd_get(v, status), ==, 0);
    blocked(v, REQ_PASID(1), IOVA);

    /* Software tries again: it is not kept doing so for ever */
    vtd_writel(v, VTD_REG_FSTS, FSTS_ITE);
    vtd_post(v, 6 | (PIOTLB_PASID << 4) | (DID << 16) | (1ULL << 32), 0, 0, 0);
    vtd_post(v, 5 | WAIT_SW | (1ULL << 32), status, 0, 0);
    vtd_kick(v);
    g_assert_cmphex(vtd_get(v, status), ==, 1);

    qpci_config_writew(v->dev, qpci_find_capability(v->dev, PCI_CAP_ID_EXP, 0) +
                       PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
    vtd_use_function(v, 0);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));
    host_free(h);
}

/* Post an invalidation of all of a domain, and a wait; ITE is cleared before */
static void inv_domain_and_wait(VTD *v, uint64_t status)
{
    vtd_put(v, status, 0);
    vtd_writel(v, VTD_REG_FSTS, FSTS_ITE);
    vtd_post(v, 2 | (IOTLB_DOMAIN << 4) | (DID << 16), 0, 0, 0);
    vtd_post(v, 5 | WAIT_SW | (1ULL << 32), status, 0, 0);
    vtd_kick(v);
}

/*
 * A device that does not answer has more tables than the host invalidates at
 * once, and they must not keep it from invalidating those of another
 */
static void test_timeout_two(void)
{
    enum { TABLES = 40 };
    int silent, other, i;

    for (silent = 0; silent < 2; silent++) {
        Host *h = host_new_args(SVM_OPTS, 0, 2, "");
        VTD *v = h->v;
        uint64_t status = vtd_alloc(v);
        VTDTable *fs = table(v, PAGE(0));

        other = !silent;
        use(h, silent);
        vtd_or(v, v->ctx, CTX_DTE);
        for (i = 1; i <= TABLES; i++) {
            vtd_set_pasid(v, i, vtd_pe_first(table(v, PAGE(1)), DID));
        }
        use(h, other);
        vtd_or(v, v->ctx, CTX_DTE);
        vtd_set_pasid(v, 1, vtd_pe_first(fs, DID));
        vtd_enable_translation(v);
        vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));

        use(h, silent);
        for (i = 1; i <= TABLES; i++) {
            g_assert_cmphex(vtd_dma(v, CMD_ATS_READ, REQ_PASID(i), IOVA, 8), ==,
                            TESTDEV_DONE_OK);
        }
        vtd_testdev_writel(v, DEV_INVCTRL, 1);
        vtd_put(v, leaf(fs), PAGE(2) | FS_ALL);
        inv_domain_and_wait(v, status);
        g_assert_true(vtd_readl(v, VTD_REG_FSTS) & FSTS_ITE);
        g_assert_cmphex(ITESID(v), ==, v->sid);
        use(h, other);
        vtd_reads(v, REQ_PASID(1), IOVA, PAGE(2));
        vtd_put(v, leaf(fs), PAGE(3) | FS_ALL);
        inv_domain_and_wait(v, status);
        g_assert_cmphex(vtd_get(v, status), ==, 1);
        vtd_reads(v, REQ_PASID(1), IOVA, PAGE(3));

        /* And then the other one falls silent */
        g_assert_cmphex(vtd_dma(v, CMD_ATS_READ, REQ_PASID(1), IOVA, 8), ==,
                        TESTDEV_DONE_OK);
        vtd_testdev_writel(v, DEV_INVCTRL, 1);
        inv_domain_and_wait(v, status);
        g_assert_true(vtd_readl(v, VTD_REG_FSTS) & FSTS_ITE);
        g_assert_cmphex(ITESID(v), ==, v->sid);
        g_assert_cmphex(vtd_get(v, status), ==, 0);
        inv_domain_and_wait(v, status);
        g_assert_cmphex(vtd_get(v, status), ==, 1);
        host_free(h);
    }
}

/* Memory that no device may write is not there for devices */
static void test_read_only(void)
{
    Host *h = host_new_args(OPTS, 0, 1, "");
    VTD *v = h->v;
    QPCIDevice *mch = qpci_device_find(v->bus, QPCI_DEVFN(0, 0));

    vtd_set_pasid(v, 0, vtd_pe_pass(DID));
    vtd_enable_translation(v);
    blocked(v, REQ_RID, 0xffff0000);
    /* PAM: make the BIOS area RAM, read-only, and RAM again */
    qpci_config_writeb(mch, 0x90, 0x30);
    vtd_reads(v, REQ_RID, 0xf0000, 0xf0000);
    qpci_config_writeb(mch, 0x90, 0x10);
    blocked(v, REQ_RID, 0xf0000);
    qpci_config_writeb(mch, 0x90, 0x30);
    vtd_writes(v, REQ_RID, 0xf0000, 0xf0000);
    g_free(mch);
    host_free(h);
}

/*
 * A guest that writes at random: QEMU lives on, the memory and the device of
 * another machine are left alone, and after a reset nothing is bound that the
 * guest doesn't know of. VTD_SEED and VTD_STEPS select another run.
 */
static uint64_t rnd(uint64_t n)
{
    static uint64_t state;

    if (!state) {
        state = g_ascii_strtoull(g_getenv("VTD_SEED") ?: "1", NULL, 0);
    }
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % n;
}

static uint64_t rnd64(void)
{
    return rnd(1ULL << 31) << 62 ^ rnd(1ULL << 31) << 31 ^ rnd(1ULL << 31);
}

/* Right two times of three */
static uint64_t spoil(uint64_t val)
{
    return rnd(3) ? val : val ^ BIT_ULL(rnd(64));
}

static void random_start(Host *h)
{
    vtd_enable_translation(h->v);
    vtd_writeq(h->v, REG_PQA, h->queue);
}

static void random_step(Host *h, VTDTable *fs[2])
{
    static const uint8_t types[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xf };
    static const uint8_t codes[] = { RESP_SUCCESS, RESP_INVALID, RESP_FAILURE };
    VTD *v = h->v;
    VTDPasidEntry pe;
    uint64_t q[2];
    int i;

    switch (rnd(9)) {
    case 0:
        pe = rnd(4) ? vtd_pe_first(fs[rnd(2)], rnd(3)) : vtd_pe_pass(rnd(3));
        i = rnd(8);
        pe.q[i] = spoil(pe.q[i]);
        vtd_set_pasid(v, rnd(4), pe);
        break;
    case 1:
        vtd_put(v, v->ctx, spoil(h->fn[0].dir | CTX_DTE | CTX_PRE |
                                 CTX_PASIDE | CTX_P));
        vtd_put(v, v->ctx + 8, rnd(8) ? 0 : rnd64());
        break;
    case 2:
        vtd_put(v, v->dir, spoil(vtd_pasid_entry(v, 0) | PASID_DIR_P));
        break;
    case 3:
    case 4:
        q[0] = types[rnd(ARRAY_SIZE(types))] | rnd(4) << 4 | rnd(3) << 16 |
               rnd(4) << 32;
        q[1] = rnd(2) ? IOVA | rnd(64) : rnd64();
        vtd_post(v, spoil(q[0]), spoil(q[1]), 0, 0);
        vtd_kick(v);
        break;
    case 5:
        if (!rnd(8)) {
            /* Any register, and then those that the test needs */
            vtd_writel(v, rnd(0x230 / 4) * 4, rnd64());
            vtd_writel(v, VTD_REG_GCMD, GCMD_TE | GCMD_QIE | GCMD_SRTP);
            vtd_writeq(v, REG_PQA, h->queue);
        } else if (!rnd(32)) {
            qtest_system_reset(v->qts);
            vtd_attach(v);
            random_start(h);
        }
        break;
    case 6:
        qtest_writew(v->qts, vtd_ecam(v, h->pri + PCI_PRI_CTRL), rnd(4));
        break;
    case 7:
        vtd_testdev_writel(v, DEV_PRREQ, PRREQ_R | PRREQ_LAST | rnd(8));
        vtd_testdev_writel(v, DEV_PRNUM, 1);
        vtd_dma(v, 1 + rnd(5), rnd(4) ? REQ_PASID(rnd(4)) : REQ_RID,
                spoil(IOVA), 8);
        break;
    case 8:
        /* A page response, perhaps to what is waiting */
        q[0] = 9 | BIT_ULL(4) | codes[rnd(3)] << 12 | v->sid << 16 |
               rnd(4) << 32;
        vtd_post(v, spoil(q[0]), spoil(BIT_ULL(2) | rnd(8) << 3), 0, 0);
        vtd_kick(v);
        break;
    }
    vtd_writel(v, VTD_REG_FSTS, FSTS_IQE | FSTS_ITE | FSTS_PFO);
    vtd_writel(v, REG_PRS, PRS_PPR | PRS_PRO);
}

static void test_random(void)
{
    uint64_t steps = g_ascii_strtoull(g_getenv("VTD_STEPS") ?: "3000", NULL, 0);
    Host *h = host_new_svm(), *other = host_new_args(OPTS, 1, 1, "");
    VTD *v = h->v;
    VTDTable *fs[2] = { table(v, PAGE(0)), table(v, PAGE(1)) };
    g_autofree uint8_t *memory = g_malloc(0x100000);
    uint64_t i;

    vtd_set_pasid(other->v, 1, vtd_pe_first(table(other->v, PAGE(0)), DID));
    vtd_enable_translation(other->v);
    qtest_memset(other->v->qts, PAGE(1), 0x5a, 0x100000);

    random_start(h);
    for (i = 0; i < steps; i++) {
        random_step(h, fs);
        if (i % 500 == 0) {
            vtd_reads(other->v, REQ_PASID(1), IOVA, PAGE(0));
        }
    }
    vtd_reads(other->v, REQ_PASID(1), IOVA, PAGE(0));
    qtest_memread(other->v->qts, PAGE(1), memory, 0x100000);
    for (i = 0; i < 0x100000; i++) {
        g_assert_cmphex(memory[i], ==, 0x5a);
    }
    host_free(other);

    qtest_system_reset(v->qts);
    v->free_page = 0x2000000;
    v->iq = vtd_alloc(v);
    v->root = vtd_alloc(v);
    v->dir = vtd_alloc(v);
    v->ctx = vtd_alloc(v);
    qtest_memset(v->qts, v->iq, 0, 0x4000);
    vtd_put(v, v->root, v->ctx | ROOT_P);
    v->ctx += v->sid * 32;
    vtd_put(v, v->ctx, v->dir | CTX_PASIDE | CTX_P);
    qtest_memset(v->qts, v->free_page, 0, 0x100000);
    vtd_attach(v);
    vtd_reads(v, REQ_RID, PAGE(2), PAGE(2));
    vtd_set_pasid(v, 0, vtd_pe_pass(DID));
    vtd_enable_translation(v);
    for (i = 1; i < 1 << PASID_BITS; i++) {
        blocked(v, REQ_PASID(i), IOVA);
    }
    vtd_set_pasid(v, 1, vtd_pe_first(table(v, PAGE(3)), DID));
    vtd_inv_pasid(v, PC_PASID, DID, 1);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(3));
    host_free(h);
}

/* Where a DIMM is, and how a guest lets it go (docs/specs/acpi_mem_hotplug.rst) */
#define DIMM                    0x100000000ULL
#define ACPI_MEM                0xa00
#define ACPI_MEM_FLAGS          0x14
#define ACPI_MEM_EJECT          BIT(3)

static void test_memory(void)
{
    Host *h = host_new_args(OPTS, 0, 1, " -m " RAM ",slots=1,maxmem=1G -object "
                            "memory-backend-ram,id=more,size=" RAM);
    VTD *v = h->v;

    vtd_set_pasid(v, 0, vtd_pe_pass(DID));
    vtd_set_pasid(v, 1, vtd_pe_first(table(v, DIMM), DID));
    vtd_enable_translation(v);
    blocked(v, REQ_RID, DIMM);
    blocked(v, REQ_PASID(1), IOVA);

    qtest_qmp_device_add(v->qts, "pc-dimm", "dimm",
                         "{'memdev': 'more', 'addr': 4294967296}");
    vtd_reads(v, REQ_RID, DIMM, DIMM);
    vtd_reads(v, REQ_PASID(1), IOVA, DIMM);

    qtest_qmp_device_del_send(v->qts, "dimm");
    qtest_outl(v->qts, ACPI_MEM, 0);
    qtest_outb(v->qts, ACPI_MEM + ACPI_MEM_FLAGS, ACPI_MEM_EJECT);
    qtest_qmp_eventwait(v->qts, "DEVICE_DELETED");
    blocked(v, REQ_RID, DIMM);
    blocked(v, REQ_PASID(1), IOVA);
    host_free(h);
}

/* The guest asks for the first block of virtio-mem's memory, or gives it back */
static void virtio_mem(QTestState *qts, QVirtioDevice *dev, QVirtQueue *vq,
                       uint64_t page, uint16_t type)
{
    struct virtio_mem_req req = {
        .type = cpu_to_le16(type),
        .u.plug.addr = cpu_to_le64(DIMM),
        .u.plug.nb_blocks = cpu_to_le16(1),
    };
    uint64_t answer = page + sizeof(req);
    uint32_t head;

    qtest_memwrite(qts, page, &req, sizeof(req));
    head = qvirtqueue_add(qts, vq, page, sizeof(req), false, true);
    qvirtqueue_add(qts, vq, answer, sizeof(struct virtio_mem_resp), true,
                   false);
    qvirtqueue_kick(qts, dev, vq, head);
    qvirtio_wait_used_elem(qts, dev, vq, head, NULL, G_USEC_PER_SEC * 600);
    g_assert_cmpuint(qtest_readw(qts, answer), ==, VIRTIO_MEM_RESP_ACK);
}

/* What is discarded is unmapped before, and pages that come anew are mapped */
static void test_discard(void)
{
    Host *h = host_new_args(OPTS, 0, 1, " -m " RAM ",maxmem=1G -object "
                            "memory-backend-ram,id=more,size=" RAM
                            " -device virtio-mem-pci,memdev=more,addr=5,"
                            "requested-size=" RAM);
    VTD *v = h->v;
    QPCIAddress addr = { .devfn = QPCI_DEVFN(5, 0) };
    QVirtioPCIDevice *pci;
    QGuestAllocator alloc;
    QVirtQueue *vq;

    pc_alloc_init(&alloc, v->qts, 0);
    pci = virtio_pci_new(v->bus, &addr);
    qvirtio_pci_device_enable(pci);
    qvirtio_start_device(&pci->vdev);
    qvirtio_set_features(&pci->vdev, qvirtio_get_features(&pci->vdev) &
                         ~((1ULL << VIRTIO_RING_F_INDIRECT_DESC) |
                           (1ULL << VIRTIO_RING_F_EVENT_IDX) |
                           QVIRTIO_F_BAD_FEATURE));
    vq = qvirtqueue_setup(&pci->vdev, &alloc, 0);
    qvirtio_set_driver_ok(&pci->vdev);

    vtd_set_pasid(v, 1, vtd_pe_first(table(v, DIMM), DID));
    vtd_enable_translation(v);
    blocked(v, REQ_PASID(1), IOVA);
    for (int i = 0; i < 2; i++) {
        virtio_mem(v->qts, &pci->vdev, vq, PAGE(0), VIRTIO_MEM_REQ_PLUG);
        vtd_reads(v, REQ_PASID(1), IOVA, DIMM);
        virtio_mem(v->qts, &pci->vdev, vq, PAGE(0), VIRTIO_MEM_REQ_UNPLUG);
        blocked(v, REQ_PASID(1), IOVA);
    }

    qvirtqueue_cleanup(pci->vdev.bus, vq, &alloc);
    qvirtio_pci_device_disable(pci);
    g_free(pci->pdev);
    g_free(pci);
    alloc_destroy(&alloc);
    host_free(h);
}

#define PORT " -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off" \
             " -device pcie-root-port,id=rp,chassis=1,addr=6"

/* Have the guest let go of the device below the port */
static void unplug(QTestState *qts, QPCIBus *bus)
{
    QPCIDevice *port = qpci_device_find(bus, QPCI_DEVFN(6, 0));
    uint8_t exp = qpci_find_capability(port, PCI_CAP_ID_EXP, 0);

    qtest_qmp_device_del_send(qts, "gone");
    qpci_config_writew(port, exp + PCI_EXP_SLTCTL,
                       PCI_EXP_SLTCTL_PWR_IND_OFF | PCI_EXP_SLTCTL_PWR_OFF);
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");
    g_free(port);
}

static void plug(QTestState *qts)
{
    qtest_qmp_device_add(qts, "vfio-pci", "gone", "{'host': %s, 'bus': 'rp'}",
                         devices[1]);
}

static void test_unplug(void)
{
    g_autofree char *args = g_strdup_printf(PORT " -device vfio-pci,host=%s,"
                                            "bus=rp,id=gone", devices[1]);
    Host *h = host_new_args(OPTS, 0, 1, args), *other;
    QTestState *qts;
    QPCIBus *bus;

    vtd_set_pasid(h->v, 1, vtd_pe_first(table(h->v, PAGE(0)), DID));
    vtd_enable_translation(h->v);
    vtd_reads(h->v, REQ_PASID(1), IOVA, PAGE(0));
    unplug(h->v->qts, h->v->bus);
    vtd_reads(h->v, REQ_PASID(1), IOVA, PAGE(0));

    /* Now it is there for others */
    other = host_new_args(OPTS, 1, 1, "");
    vtd_reads(other->v, REQ_RID, PAGE(0), PAGE(0));
    host_free(other);
    plug(h->v->qts);
    vtd_reads(h->v, REQ_PASID(1), IOVA, PAGE(0));
    host_free(h);

    /* The last device takes all promises with it; they are made anew */
    qts = qtest_initf("-M q35 -m " RAM " -nodefaults -device intel-iommu,"
                      "x-scalable-mode=on,x-flts=on,caching-mode=on," SVM_OPTS
                      "%s", args);
    bus = qpci_new_pc(qts, NULL);
    unplug(qts, bus);
    plug(qts);
    unplug(qts, bus);
    qpci_free_pc(bus);
    qtest_quit(qts);
}

static void test_migration(void)
{
    Host *h = host_new(1);
    QDict *answer = qtest_qmp(h->v->qts, "{ 'execute': 'query-migrate' }");
    QListEntry *entry;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(qdict_get_qdict(answer, "return"),
                                        "blocked-reasons"), entry) {
        found |= !!strstr(qstring_get_str(qobject_to(QString,
                                          qlist_entry_obj(entry))), "x-flts");
    }
    g_assert_true(found);
    qobject_unref(answer);
    host_free(h);
}

static void wait_migration(QTestState *qts)
{
    g_autofree char *status = NULL;

    while (g_strcmp0(status, "completed")) {
        QDict *answer = qtest_qmp_assert_success_ref(qts,
                                             "{ 'execute': 'query-migrate' }");

        g_free(status);
        status = g_strdup(qdict_get_try_str(answer, "status"));
        g_assert_cmpstr(status, !=, "failed");
        qobject_unref(answer);
        g_usleep(1000);
    }
}

/* A state of a machine that had no such device yet: its tables count */
static void test_load(void)
{
    const char *emulated = " -device pasid-testdev,addr=4.0,multifunction=on";
    g_autofree char *dir = g_dir_make_tmp("vtd-XXXXXX", NULL);
    g_autofree char *state = g_strdup_printf("%s/state", dir);
    g_autofree char *uri = g_strdup_printf("file:%s", state);
    g_autofree char *args = g_strdup_printf("%s -device vfio-pci,host=%s,"
                                            "addr=4.1 -incoming defer",
                                            emulated, devices[0]);
    Host *h = host_new_args(OPTS, 0, 0, emulated);
    VTD *v = h->v;

    v->dir = vtd_alloc(v);
    v->ctx = (vtd_get(v, v->root) & ~0xfffULL) + (v->sid + 1) * 32;
    vtd_put(v, v->ctx, v->dir | CTX_PASIDE | CTX_P);
    vtd_set_pasid(v, 1, vtd_pe_first(table(v, PAGE(0)), DID));
    vtd_enable_translation(v);
    qtest_qmp_assert_success(v->qts, "{ 'execute': 'migrate',"
                             " 'arguments': { 'uri': %s } }", uri);
    wait_migration(v->qts);
    host_free(h);

    h = host_new_args(OPTS, 0, 0, args);
    v = h->v;
    qtest_qmp_assert_success(v->qts, "{ 'execute': 'migrate-incoming',"
                             " 'arguments': { 'uri': %s } }", uri);
    wait_migration(v->qts);
    vtd_use_function(v, 1);
    vtd_reads(v, REQ_PASID(1), IOVA, PAGE(0));
    faults(v, REQ_RID, PAGE(0), FR_PE_P);
    host_free(h);
    g_assert_cmpint(unlink(state), ==, 0);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(void);
    } tests[] = {
        { "registers", test_registers },
        { "without-pasid", test_without_pasid },
        { "pasids", test_pasids },
        { "invalidate", test_invalidate },
        { "batch", test_batch },
        { "two-devices", test_two_devices },
        { "two-machines", test_two_machines },
        { "legacy", test_legacy },
        { "reset", test_reset },
        { "bad-entries", test_bad_entries },
        { "bad-descriptors", test_bad_descriptors },
        { "page-request", test_page_request },
        { "overflow", test_overflow },
        { "page-request-reset", test_page_request_reset },
        { "stop", test_stop },
        { "timeout", test_timeout },
        { "timeout-two", test_timeout_two },
        { "read-only", test_read_only },
        { "random", test_random },
        { "memory", test_memory },
        { "discard", test_discard },
        { "unplug", test_unplug },
        { "migration", test_migration },
        { "load", test_load },
    };
    int i;

    g_test_init(&argc, &argv, NULL);
    devices = g_strsplit(g_getenv("VTD_HOST_DEVICES") ?: "", " ", -1);
    if (g_strv_length(devices) < 2) {
        puts("1..0 # SKIP VTD_HOST_DEVICES does not name two devices");
        return 0;
    }
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *name = g_strdup_printf("/vtd/host/%s", tests[i].name);

        qtest_add_func(name, tests[i].func);
    }
    return g_test_run();
}
