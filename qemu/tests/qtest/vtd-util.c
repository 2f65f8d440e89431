/*
 * Programming of an emulated VT-d unit in scalable mode, for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "libqos/pci-pc.h"
#include "hw/pci/pci_regs.h"
#include "vtd-util.h"

/* Where Q35 has its remapping unit */
#define VTD_BASE                0xfed90000ULL

/* The tests enable the ECAM here, for the extended configuration space */
#define Q35_PCIEXBAR            0x60
#define ECAM_BASE               0xb0000000ULL

#define TESTDEV_SLOT            4

#define TABLES                  0x1000000ULL

#define IQ_ENTRIES              128     /* One page of 256-bit descriptors */

/* Enough bytes to tell right from wrong */
#define PROBE_SIZE              16

uint32_t vtd_readl(VTD *v, unsigned int reg)
{
    return qtest_readl(v->qts, VTD_BASE + reg);
}

uint64_t vtd_readq(VTD *v, unsigned int reg)
{
    return qtest_readq(v->qts, VTD_BASE + reg);
}

void vtd_writel(VTD *v, unsigned int reg, uint32_t val)
{
    qtest_writel(v->qts, VTD_BASE + reg, val);
}

void vtd_writeq(VTD *v, unsigned int reg, uint64_t val)
{
    qtest_writeq(v->qts, VTD_BASE + reg, val);
}

uint64_t vtd_ecam(VTD *v, unsigned int reg)
{
    return ECAM_BASE + (v->dev->devfn << 12) + reg;
}

unsigned int vtd_find_ext_cap(VTD *v, uint16_t id)
{
    unsigned int pos = 0x100;

    while (pos) {
        uint32_t header = qtest_readl(v->qts, vtd_ecam(v, pos));

        if (PCI_EXT_CAP_ID(header) == id) {
            return pos;
        }
        pos = PCI_EXT_CAP_NEXT(header);
    }
    return 0;
}

/* Set up the endpoint as a driver does, also after a reset */
void vtd_testdev_enable(VTD *v)
{
    unsigned int cap = vtd_find_ext_cap(v, PCI_EXT_CAP_ID_PASID);

    qpci_device_enable(v->dev);
    if (cap) {
        uint16_t features = qtest_readw(v->qts,
                                        vtd_ecam(v, cap + PCI_PASID_CAP));

        qtest_writew(v->qts, vtd_ecam(v, cap + PCI_PASID_CTRL),
                     PCI_PASID_CTRL_ENABLE |
                     (features & (PCI_PASID_CAP_EXEC | PCI_PASID_CAP_PRIV)));
    }
}

static void vtd_global_command(VTD *v, uint32_t bit)
{
    /* The one-shot bits of the status must not be written back, 11.4.4.1 */
    uint32_t status = vtd_readl(v, VTD_REG_GSTS) & 0x96ffffff;
    int i;

    vtd_writel(v, VTD_REG_GCMD, status | bit);
    for (i = 0; i < 1000; i++) {
        if (vtd_readl(v, VTD_REG_GSTS) & bit) {
            return;
        }
    }
    g_assert_not_reached();
}

void vtd_set_queue(VTD *v, uint64_t width)
{
    uint32_t status = vtd_readl(v, VTD_REG_GSTS) & 0x96ffffff;

    if (status & GCMD_QIE) {
        vtd_writel(v, VTD_REG_GCMD, status & ~GCMD_QIE);
        g_assert_cmphex(vtd_readl(v, VTD_REG_GSTS) & GCMD_QIE, ==, 0);
    }
    vtd_writeq(v, VTD_REG_IQT, 0);
    vtd_writeq(v, VTD_REG_IQA, v->iq | width);
    vtd_global_command(v, GCMD_QIE);
    v->iq_tail = 0;
}

void vtd_set_root(VTD *v, uint64_t mode)
{
    vtd_writeq(v, VTD_REG_RTADDR, v->root | mode);
    vtd_global_command(v, GCMD_SRTP);
}

void vtd_switch_on(VTD *v)
{
    vtd_global_command(v, GCMD_TE);
}

void vtd_enable_translation(VTD *v)
{
    vtd_set_queue(v, IQA_DW_256);
    vtd_set_root(v, RTADDR_TTM_SCALABLE);
    vtd_inv_all(v);
    vtd_switch_on(v);
}

void vtd_use_function(VTD *v, unsigned int function)
{
    g_free(v->dev);
    v->dev = qpci_device_find(v->bus, QPCI_DEVFN(TESTDEV_SLOT, function));
    g_assert_nonnull(v->dev);
    v->sid = v->dev->devfn;
    v->bar = qpci_iomap(v->dev, 0, NULL);
    vtd_testdev_enable(v);
}

void vtd_attach(VTD *v)
{
    QPCIDevice *mch;

    if (v->bus) {
        g_free(v->dev);
        qpci_free_pc(v->bus);
    }
    v->bus = qpci_new_pc(v->qts, NULL);

    mch = qpci_device_find(v->bus, QPCI_DEVFN(0, 0));
    qpci_config_writel(mch, Q35_PCIEXBAR + 4, ECAM_BASE >> 32);
    qpci_config_writel(mch, Q35_PCIEXBAR, ECAM_BASE | 1);
    g_free(mch);

    v->dev = NULL;
    vtd_use_function(v, 0);
}

VTD *vtd_new_with_args(const char *iommu_opts, const char *testdev_opts)
{
    VTD *v = g_new0(VTD, 1);
    uint64_t ctx_table;

    v->qts = qtest_initf("-M q35 -m " VTD_RAM_SIZE " -nodefaults "
                         "-device intel-iommu,%s "
                         "-device pasid-testdev,addr=%x.0%s%s",
                         iommu_opts, TESTDEV_SLOT,
                         testdev_opts ? "," : "", testdev_opts ?: "");
    vtd_attach(v);

    v->cap = vtd_readq(v, VTD_REG_CAP);
    v->ecap = vtd_readq(v, VTD_REG_ECAP);

    v->free_page = TABLES;
    v->iq = vtd_alloc(v);
    v->root = vtd_alloc(v);
    ctx_table = vtd_alloc(v);
    vtd_put(v, v->root, ctx_table | ROOT_P);

    /* A directory for all PASIDs takes 2^14 entries, hence PDTS = 7 */
    v->dir = v->free_page;
    v->free_page += (1 << 14) * sizeof(uint64_t);
    v->ctx = ctx_table + (v->dev->devfn & 0x7f) * 32;
    vtd_put(v, v->ctx, v->dir | (7 << CTX_PDTS_SHIFT) | CTX_PASIDE | CTX_P);

    return v;
}

VTD *vtd_new(void)
{
    VTD *v = vtd_new_with_args(VTD_NESTING_OPTS, NULL);

    vtd_enable_translation(v);
    return v;
}

void vtd_free(VTD *v)
{
    g_free(v->dev);
    qpci_free_pc(v->bus);
    qtest_quit(v->qts);
    g_free(v);
}

uint64_t vtd_alloc(VTD *v)
{
    uint64_t page = v->free_page;

    /* All of RAM is 0 when the machine starts */
    v->free_page += 0x1000;
    g_assert_cmphex(v->free_page, <, VTD_DATA);
    return page;
}

uint64_t vtd_get(VTD *v, uint64_t hpa)
{
    uint64_t val;

    qtest_memread(v->qts, hpa, &val, sizeof(val));
    return le64_to_cpu(val);
}

uint64_t vtd_put(VTD *v, uint64_t hpa, uint64_t val)
{
    uint64_t old = vtd_get(v, hpa);

    val = cpu_to_le64(val);
    qtest_memwrite(v->qts, hpa, &val, sizeof(val));
    return old;
}

void vtd_or(VTD *v, uint64_t hpa, uint64_t bits)
{
    vtd_put(v, hpa, vtd_get(v, hpa) | bits);
}

void vtd_clear(VTD *v, uint64_t hpa, uint64_t bits)
{
    vtd_put(v, hpa, vtd_get(v, hpa) & ~bits);
}

static VTDTable *vtd_table_new(VTD *v, bool first_stage, VTDTable *nest)
{
    VTDTable *t = g_new0(VTDTable, 1);

    t->v = v;
    t->first_stage = first_stage;
    t->nest = nest;
    t->root = vtd_alloc(v);
    if (nest) {
        vtd_map(nest, vtd_gpa(t->root), t->root, LEVEL_4K);
    }
    return t;
}

VTDTable *vtd_first_stage(VTD *v, VTDTable *nest)
{
    return vtd_table_new(v, true, nest);
}

VTDTable *vtd_second_stage(VTD *v)
{
    return vtd_table_new(v, false, NULL);
}

uint64_t vtd_entry(VTDTable *t, uint64_t addr, int level)
{
    uint64_t page = t->root;
    int l = LEVEL_TOP;

    for (;;) {
        uint64_t entry = page + extract64(addr, 12 + 9 * (l - 1), 9) * 8;
        uint64_t val;

        if (l == level) {
            return entry;
        }

        val = vtd_get(t->v, entry);
        if (!(val & (t->first_stage ? FS_P : SS_RW))) {
            page = vtd_alloc(t->v);
            if (t->nest) {
                vtd_map(t->nest, vtd_gpa(page), page, LEVEL_4K);
            }
            val = (t->nest ? vtd_gpa(page) : page) |
                  (t->first_stage ? FS_ALL : SS_RW);
            vtd_put(t->v, entry, val);
        }
        page = val & MAKE_64BIT_MASK(12, 36);
        if (t->nest) {
            page -= VTD_GPA_OFFSET;
        }
        l--;
    }
}

uint64_t vtd_map_flags(VTDTable *t, uint64_t addr, uint64_t to, int level,
                       uint64_t flags)
{
    uint64_t entry = vtd_entry(t, addr, level);

    if (level > LEVEL_4K) {
        flags |= t->first_stage ? FS_PS : SS_PS;
    }
    vtd_put(t->v, entry, to | flags);
    return entry;
}

uint64_t vtd_map(VTDTable *t, uint64_t addr, uint64_t to, int level)
{
    return vtd_map_flags(t, addr, to, level, t->first_stage ? FS_ALL : SS_RW);
}

/*
 * Where page walks can be coherent they have to be: updates of accessed and
 * dirty bits are refused otherwise, 3.10.
 */
static uint64_t vtd_pe_q1(VTD *v, uint16_t did)
{
    return PE1_DID(did) | (v->ecap & ECAP_SMPWC ? PE1_PWSNP : 0);
}

VTDPasidEntry vtd_pe_first(VTDTable *fs, uint16_t did)
{
    return (VTDPasidEntry) { { PE0_PGTT_FS | PE0_P,
                               vtd_pe_q1(fs->v, did), fs->root } };
}

VTDPasidEntry vtd_pe_second(VTDTable *ss, uint16_t did)
{
    return (VTDPasidEntry) { { ss->root | PE0_PGTT_SS | PE0_AW_48 | PE0_P,
                               vtd_pe_q1(ss->v, did), 0 } };
}

VTDPasidEntry vtd_pe_nested(VTDTable *fs, uint16_t did)
{
    return (VTDPasidEntry) { { fs->nest->root | PE0_PGTT_NESTED | PE0_AW_48 |
                               PE0_P,
                               vtd_pe_q1(fs->v, did), vtd_gpa(fs->root) } };
}

VTDPasidEntry vtd_pe_pass(uint16_t did)
{
    return (VTDPasidEntry) { { PE0_PGTT_PT | PE0_AW_48 | PE0_P,
                               PE1_DID(did), 0 } };
}

uint64_t vtd_dir_entry(VTD *v, uint32_t pasid)
{
    return v->dir + (pasid >> 6) * sizeof(uint64_t);
}

uint64_t vtd_pasid_entry(VTD *v, uint32_t pasid)
{
    uint64_t dir_entry = vtd_dir_entry(v, pasid);
    uint64_t val = vtd_get(v, dir_entry);

    if (!(val & PASID_DIR_P)) {
        val = vtd_alloc(v) | PASID_DIR_P;
        vtd_put(v, dir_entry, val);
    }
    return (val & ~0xfffULL) + (pasid & 0x3f) * sizeof(VTDPasidEntry);
}

void vtd_set_pasid(VTD *v, uint32_t pasid, VTDPasidEntry pe)
{
    uint64_t entry = vtd_pasid_entry(v, pasid);
    int i;

    /* The quadword with the present bit goes last */
    for (i = ARRAY_SIZE(pe.q) - 1; i >= 0; i--) {
        vtd_put(v, entry + i * 8, pe.q[i]);
    }
}

void vtd_post(VTD *v, uint64_t q0, uint64_t q1, uint64_t q2, uint64_t q3)
{
    uint64_t desc = v->iq + v->iq_tail * 32;

    vtd_put(v, desc, q0);
    vtd_put(v, desc + 8, q1);
    vtd_put(v, desc + 16, q2);
    vtd_put(v, desc + 24, q3);

    v->iq_tail = (v->iq_tail + 1) % IQ_ENTRIES;
}

void vtd_kick(VTD *v)
{
    vtd_writeq(v, VTD_REG_IQT, v->iq_tail * 32);
}

bool vtd_submit(VTD *v, uint64_t q0, uint64_t q1, uint64_t q2, uint64_t q3)
{
    int i;

    vtd_post(v, q0, q1, q2, q3);
    vtd_kick(v);

    for (i = 0; i < 1000; i++) {
        if (vtd_readl(v, VTD_REG_FSTS) & FSTS_IQE) {
            return false;
        }
        if (vtd_readq(v, VTD_REG_IQH) == v->iq_tail * 32) {
            return true;
        }
    }
    g_assert_not_reached();
}

/* Replace a bad descriptor by a harmless one and resume, 6.5.2.11 */
void vtd_recover_queue(VTD *v)
{
    uint64_t head = vtd_readq(v, VTD_REG_IQH);

    vtd_put(v, v->iq + head, 5 | WAIT_FN);
    vtd_put(v, v->iq + head + 8, 0);
    vtd_put(v, v->iq + head + 16, 0);
    vtd_put(v, v->iq + head + 24, 0);
    vtd_writel(v, VTD_REG_FSTS, FSTS_IQE);
    g_assert_cmphex(vtd_readl(v, VTD_REG_FSTS) & FSTS_IQE, ==, 0);
}

static void vtd_invalidate(VTD *v, uint64_t q0, uint64_t q1)
{
    if (!vtd_submit(v, q0, q1, 0, 0)) {
        g_test_message("invalidation 0x%" PRIx64 " 0x%" PRIx64 " refused",
                       q0, q1);
        g_test_fail();
        vtd_recover_queue(v);
    }
}

void vtd_inv_context(VTD *v, int granularity, uint16_t did, uint16_t sid)
{
    vtd_invalidate(v, 1 | (granularity << 4) | ((uint64_t)did << 16) |
                   ((uint64_t)sid << 32), 0);
}

void vtd_inv_functions(VTD *v, uint16_t sid, unsigned int mask)
{
    vtd_invalidate(v, 1 | (CC_DEVICE << 4) | ((uint64_t)sid << 32) |
                   ((uint64_t)mask << 48), 0);
}

void vtd_inv_pasid(VTD *v, int granularity, uint16_t did, uint32_t pasid)
{
    vtd_invalidate(v, 7 | (granularity << 4) | ((uint64_t)did << 16) |
                   ((uint64_t)pasid << 32), 0);
}

void vtd_inv_iotlb(VTD *v, int granularity, uint16_t did, uint64_t addr,
                   unsigned int mask)
{
    vtd_invalidate(v, 2 | (granularity << 4) | ((uint64_t)did << 16),
                   addr | mask);
}

void vtd_inv_piotlb(VTD *v, int granularity, uint16_t did, uint32_t pasid,
                    uint64_t addr, unsigned int mask)
{
    vtd_invalidate(v, 6 | (granularity << 4) | ((uint64_t)did << 16) |
                   ((uint64_t)pasid << 32), addr | mask);
}

void vtd_inv_all(VTD *v)
{
    vtd_inv_context(v, CC_GLOBAL, 0, 0);
    vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
    vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
}

uint32_t vtd_testdev_readl(VTD *v, unsigned int reg)
{
    return qpci_io_readl(v->dev, v->bar, reg);
}

void vtd_testdev_writel(VTD *v, unsigned int reg, uint32_t val)
{
    qpci_io_writel(v->dev, v->bar, reg, val);
}

uint32_t vtd_dma(VTD *v, uint32_t cmd, uint32_t req, uint64_t addr,
                 uint32_t len)
{
    qpci_io_writeq(v->dev, v->bar, TESTDEV_ADDR, addr);
    vtd_testdev_writel(v, TESTDEV_LEN, len);
    vtd_testdev_writel(v, TESTDEV_PASID, req);
    vtd_testdev_writel(v, TESTDEV_CMD, cmd);
    return vtd_testdev_readl(v, TESTDEV_RESULT);
}

bool vtd_take_fault(VTD *v, VTDFault *fault)
{
    unsigned int i;

    for (i = 0; i < CAP_NFR(v->cap); i++) {
        unsigned int reg = CAP_FRO(v->cap) + i * 16;
        uint64_t lo = vtd_readq(v, reg);
        uint64_t hi = vtd_readq(v, reg + 8);

        if (!(hi & BIT_ULL(63))) {
            continue;
        }
        *fault = (VTDFault) {
            .addr = lo & ~0xfffULL,
            .sid = extract64(hi, 0, 16),
            .priv = extract64(hi, 29, 1),
            .exec = extract64(hi, 30, 1),
            .pasid_present = extract64(hi, 31, 1),
            .reason = extract64(hi, 32, 8),
            .pasid = extract64(hi, 40, 20),
            .is_read = extract64(hi, 62, 1),
        };
        /* The flag is cleared by writing 1, as is the overflow flag */
        vtd_writel(v, reg + 12, BIT(31));
        vtd_writel(v, VTD_REG_FSTS, FSTS_PFO);
        return true;
    }
    return false;
}

static void G_GNUC_PRINTF(3, 4) vtd_complain(const char *func, int line,
                                             const char *fmt, ...)
{
    g_autofree char *msg = NULL;
    va_list ap;

    va_start(ap, fmt);
    msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);

    g_test_message("%s:%d: %s", func, line, msg);
    g_test_fail();
}

static char *vtd_describe(uint32_t cmd, uint32_t req, uint64_t addr)
{
    g_autofree char *who = NULL;

    if (req & BIT(31)) {
        who = g_strdup_printf("PASID 0x%x%s%s", req & 0xfffff,
                              req & REQ_PRIV ? " privileged" : "",
                              req & REQ_EXEC ? " execute" : "");
    } else {
        who = g_strdup("no PASID");
    }
    return g_strdup_printf("%s at 0x%" PRIx64 " with %s",
                           cmd == TESTDEV_CMD_READ ? "read" : "write", addr,
                           who);
}

void vtd_check_ok(const char *func, int line, VTD *v, uint32_t cmd,
                  uint32_t req, uint64_t addr, uint64_t hpa)
{
    g_autofree char *what = vtd_describe(cmd, req, addr);
    bool is_read = cmd == TESTDEV_CMD_READ;
    uint64_t device = v->bar.addr + TESTDEV_BUF;
    uint8_t pattern[PROBE_SIZE], got[PROBE_SIZE];
    VTDFault fault;
    uint32_t result;
    int i;

    /* All probes differ, so that no old data can pass */
    for (i = 0; i < PROBE_SIZE; i++) {
        pattern[i] = (++v->pattern * 0x9e3779b97f4a7c15ULL) >> 56;
    }
    qtest_memset(v->qts, is_read ? device : hpa, 0, PROBE_SIZE);
    qtest_memwrite(v->qts, is_read ? hpa : device, pattern, PROBE_SIZE);

    result = vtd_dma(v, cmd, req, addr, PROBE_SIZE);

    if (vtd_take_fault(v, &fault)) {
        vtd_complain(func, line, "%s: unexpected fault 0x%x, result %u", what,
                     fault.reason, result);
        return;
    }
    if (result != TESTDEV_DONE_OK) {
        vtd_complain(func, line, "%s: result %u", what, result);
        return;
    }
    qtest_memread(v->qts, is_read ? device : hpa, got, PROBE_SIZE);
    if (memcmp(got, pattern, PROBE_SIZE)) {
        vtd_complain(func, line, "%s did not reach 0x%" PRIx64, what, hpa);
    }
}

void vtd_check_blocked(const char *func, int line, VTD *v, uint32_t cmd,
                       uint32_t req, uint64_t addr)
{
    g_autofree char *what = vtd_describe(cmd, req, addr);
    uint32_t result = vtd_dma(v, cmd, req, addr, PROBE_SIZE);
    VTDFault fault;

    if (result != TESTDEV_FAULT) {
        vtd_complain(func, line, "%s: result %u instead of a fault", what,
                     result);
    }
    if (vtd_take_fault(v, &fault)) {
        vtd_complain(func, line, "%s: fault 0x%x recorded", what,
                     fault.reason);
    }
}

void vtd_check_fault(const char *func, int line, VTD *v, uint32_t cmd,
                     uint32_t req, uint64_t addr, uint8_t reason)
{
    g_autofree char *what = vtd_describe(cmd, req, addr);
    uint32_t result = vtd_dma(v, cmd, req, addr, PROBE_SIZE);
    VTDFault fault;

    if (result != TESTDEV_FAULT) {
        vtd_complain(func, line, "%s: result %u instead of fault 0x%x", what,
                     result, reason);
    }
    if (!vtd_take_fault(v, &fault)) {
        vtd_complain(func, line, "%s: no fault recorded, 0x%x expected", what,
                     reason);
        return;
    }
    if (fault.reason != reason) {
        vtd_complain(func, line, "%s: fault 0x%x instead of 0x%x", what,
                     fault.reason, reason);
    }
    if (fault.sid != v->sid) {
        vtd_complain(func, line, "%s: fault recorded for source 0x%x", what,
                     fault.sid);
    }
    if (fault.addr != (addr & ~0xfffULL)) {
        vtd_complain(func, line, "%s: fault recorded at 0x%" PRIx64, what,
                     fault.addr);
    }
    if (fault.is_read != (cmd == TESTDEV_CMD_READ)) {
        vtd_complain(func, line, "%s: wrong type in the fault record", what);
    }
    if (fault.pasid_present != !!(req & BIT(31))) {
        vtd_complain(func, line, "%s: wrong PP in the fault record", what);
    }
    if (!(req & BIT(31))) {
        return;
    }
    if (fault.pasid != (req & 0xfffff)) {
        vtd_complain(func, line, "%s: fault recorded for PASID 0x%x", what,
                     fault.pasid);
    }
    if (fault.priv != !!(req & REQ_PRIV)) {
        vtd_complain(func, line, "%s: wrong PRIV in the fault record", what);
    }
}

void vtd_check_bits(const char *func, int line, VTD *v, uint64_t hpa,
                    uint64_t mask, uint64_t want)
{
    uint64_t val = vtd_get(v, hpa);

    if ((val & mask) != want) {
        vtd_complain(func, line, "entry is 0x%" PRIx64 ", bits 0x%" PRIx64
                     " should be 0x%" PRIx64, val, mask, want);
    }
}
