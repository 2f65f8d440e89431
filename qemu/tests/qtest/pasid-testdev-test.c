/*
 * QTest for the endpoint that does DMA with and without a PASID
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "qemu/cutils.h"
#include "hw/pci/pci_regs.h"
#include "vtd-util.h"

/* Translation stays off in most tests: addresses are those of memory */
#define MEM                     (VTD_DATA + 0x1000)

static VTD *testdev_new(const char *opts)
{
    return vtd_new_with_args(VTD_NESTING_OPTS, opts);
}

static uint16_t pasid_ctrl(VTD *v)
{
    return vtd_find_ext_cap(v, PCI_EXT_CAP_ID_PASID) + PCI_PASID_CTRL;
}

static void fill(VTD *v, uint64_t at, uint8_t seed, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    size_t i;

    for (i = 0; i < len; i++) {
        data[i] = seed + i * 7;
    }
    qtest_memwrite(v->qts, at, data, len);
}

/* Does memory at @at have the bytes of fill(), from byte @from on? */
static bool filled(VTD *v, uint64_t at, uint8_t seed, size_t from, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);
    size_t i;

    qtest_memread(v->qts, at, data, len);
    for (i = 0; i < len; i++) {
        if (data[i] != (uint8_t)(seed + (from + i) * 7)) {
            return false;
        }
    }
    return true;
}

static bool zeroed(VTD *v, uint64_t at, size_t len)
{
    g_autofree uint8_t *data = g_malloc(len);

    qtest_memread(v->qts, at, data, len);
    return buffer_is_zero(data, len);
}

/*
 * The same for the first @len bytes of the buffer and all behind them.  The
 * device knows accesses of 4 and 8 bytes only, so all of it is read.
 */
static bool buffer_filled(VTD *v, uint8_t seed, size_t len)
{
    uint8_t data[TESTDEV_BUF_SIZE];
    size_t i;

    qtest_memread(v->qts, v->bar.addr + TESTDEV_BUF, data, sizeof(data));
    for (i = 0; i < sizeof(data); i++) {
        if (data[i] != (i < len ? (uint8_t)(seed + i * 7) : 0)) {
            return false;
        }
    }
    return true;
}

static void check_reset_state(VTD *v)
{
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_MAGIC), ==, 0x50415344);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_VERSION), ==, 1);
    g_assert_cmphex(qpci_io_readq(v->dev, v->bar, TESTDEV_ADDR), ==, 0);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_LEN), ==, 0);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_PASID), ==, 0);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_CMD), ==, 0);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_RESULT), ==, TESTDEV_NONE);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_DONE), ==, 0);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_COUNT), ==, 0);
    g_assert_true(zeroed(v, v->bar.addr + TESTDEV_BUF, TESTDEV_BUF_SIZE));
}

static void test_registers(void)
{
    VTD *v = testdev_new(NULL);
    unsigned int reg;

    g_assert_cmphex(qpci_config_readw(v->dev, PCI_VENDOR_ID), ==, 0x1af4);
    g_assert_cmphex(qpci_config_readw(v->dev, PCI_DEVICE_ID), ==, 0x10f0);
    g_assert_cmphex(qpci_config_readw(v->dev, PCI_CLASS_DEVICE), ==, 0x00ff);
    check_reset_state(v);

    /* Read-only and unused registers stay as they are */
    for (reg = 0; reg < TESTDEV_BUF; reg += 4) {
        if (reg < TESTDEV_ADDR || reg > TESTDEV_CMD) {
            vtd_testdev_writel(v, reg, 0x12345678);
        }
    }
    check_reset_state(v);

    /* Both widths, both halves */
    qpci_io_writeq(v->dev, v->bar, TESTDEV_ADDR, 0x1122334455667788ULL);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_ADDR), ==, 0x55667788);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_ADDR + 4), ==, 0x11223344);
    vtd_testdev_writel(v, TESTDEV_ADDR + 4, 0xaabbccdd);
    g_assert_cmphex(qpci_io_readq(v->dev, v->bar, TESTDEV_ADDR), ==,
                    0xaabbccdd55667788ULL);
    qpci_io_writeq(v->dev, v->bar, TESTDEV_LEN, 0x8000000500000010ULL);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_LEN), ==, 0x10);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_PASID), ==, 0x80000005);

    qpci_io_writeq(v->dev, v->bar, TESTDEV_BUF, 0x1122334455667788ULL);
    vtd_testdev_writel(v, 0xffc, 0xcafef00d);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_BUF + 4), ==, 0x11223344);
    g_assert_cmphex(qpci_io_readq(v->dev, v->bar, 0xff8), ==,
                    0xcafef00d00000000ULL);
    g_assert_cmphex(vtd_testdev_readl(v, TESTDEV_COUNT), ==, 0);
    vtd_free(v);
}

static void test_transfer(void)
{
    static const struct {
        unsigned int offset;
        unsigned int len;
    } cases[] = {
        { 0, 1 }, { 0, 4 }, { 1, 3 }, { 0, 2048 }, { 0x7ff, 2048 },
        { 0xfff, 1 }, { 0xfff, 2 }, { 0xf01, 513 }, { 0x801, 2048 },
    };
    VTD *v = testdev_new(NULL);
    uint64_t buf = v->bar.addr + TESTDEV_BUF;
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t at = MEM + cases[i].offset;
        uint32_t len = cases[i].len;

        qtest_memset(v->qts, buf, 0, TESTDEV_BUF_SIZE);
        fill(v, at, i, len);
        g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, at, len), ==,
                         TESTDEV_DONE_OK);
        g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_DONE), ==, len);
        g_assert_true(buffer_filled(v, i, len));

        qtest_memset(v->qts, at - 8, 0, len + 16);
        g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID, at, len), ==,
                         TESTDEV_DONE_OK);
        g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_DONE), ==, len);
        g_assert_true(filled(v, at, i, 0, len));
        g_assert_true(zeroed(v, at - 8, 8));
        g_assert_true(zeroed(v, at + len, 8));
        g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_COUNT), ==, 2 * i + 2);
    }
    vtd_free(v);
}

static void test_parameters(void)
{
    static const struct {
        uint32_t cmd;
        uint32_t req;
        uint64_t addr;
        uint32_t len;
    } bad[] = {
        { 0, 0, MEM, 8 }, { 3, 0, MEM, 8 }, { UINT32_MAX, 0, MEM, 8 },
        { 1, 0, MEM, 0 }, { 2, 0, MEM, 2049 }, { 1, 0, MEM, UINT32_MAX },
        { 1, 0, UINT64_MAX, 2 }, { 2, 0, UINT64_MAX - 2046, 2048 },
        { 1, 1, MEM, 8 }, { 1, REQ_PRIV, MEM, 8 }, { 1, REQ_EXEC, MEM, 8 },
        { 1, REQ_PASID(1) | BIT(20), MEM, 8 },
        { 1, REQ_PASID(1) | BIT(28), MEM, 8 },
        { 2, REQ_PASID(1) | REQ_EXEC, MEM, 8 },
    };
    VTD *v = testdev_new(NULL);
    int i;

    fill(v, v->bar.addr + TESTDEV_BUF, 1, TESTDEV_BUF_SIZE);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        g_test_message("case %d", i);
        g_assert_cmpuint(vtd_dma(v, bad[i].cmd, bad[i].req, bad[i].addr,
                                 bad[i].len), ==, TESTDEV_BAD_PARAM);
        g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_DONE), ==, 0);
        g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_COUNT), ==, i + 1);
    }
    /* Nothing moved */
    g_assert_true(zeroed(v, MEM, 4096));
    g_assert_true(filled(v, v->bar.addr + TESTDEV_BUF, 1, 0,
                         TESTDEV_BUF_SIZE));
    vtd_free(v);
}

static void test_bus_master(void)
{
    VTD *v = testdev_new(NULL);
    uint16_t cmd = qpci_config_readw(v->dev, PCI_COMMAND);

    qpci_config_writew(v->dev, PCI_COMMAND, cmd & ~PCI_COMMAND_MASTER);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, MEM, 8), ==,
                     TESTDEV_NO_BUS_MASTER);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_WRITE, REQ_PASID(1), MEM, 8), ==,
                     TESTDEV_NO_BUS_MASTER);
    /* Parameters are looked at first */
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, MEM, 0), ==,
                     TESTDEV_BAD_PARAM);
    qpci_config_writew(v->dev, PCI_COMMAND, cmd);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, MEM, 8), ==,
                     TESTDEV_DONE_OK);
    vtd_free(v);
}

static void test_fault(void)
{
    VTD *v = testdev_new(NULL);
    uint64_t buf = v->bar.addr + TESTDEV_BUF;
    /* Beyond the end of memory */
    uint64_t end = 0x80000000ULL;

    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, VTD_HOLE, 8), ==,
                     TESTDEV_FAULT);
    g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_DONE), ==, 0);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID, VTD_HOLE, 8), ==,
                     TESTDEV_FAULT);

    fill(v, end - 100, 3, 100);
    fill(v, buf, 77, TESTDEV_BUF_SIZE);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, end - 100, 300), ==,
                     TESTDEV_FAULT);
    g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_DONE), ==, 100);
    g_assert_true(filled(v, buf, 3, 0, 100));
    g_assert_true(filled(v, buf + 100, 77, 100, TESTDEV_BUF_SIZE - 100));

    fill(v, buf, 5, TESTDEV_BUF_SIZE);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID, end - 100, 300),
                     ==, TESTDEV_FAULT);
    g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_DONE), ==, 100);
    g_assert_true(filled(v, end - 100, 5, 0, 100));
    vtd_free(v);
}

/* With a PASID: as far as the capability has been enabled */
static void test_pasid_capability(void)
{
    VTD *v = testdev_new("pasid-width=8");
    VTDTable *fs = vtd_first_stage(v, NULL);
    uint32_t cap;

    vtd_map(fs, 0x5000, MEM, LEVEL_4K);
    vtd_set_pasid(v, 0xff, vtd_pe_first(fs, 1));
    vtd_enable_translation(v);

    cap = qtest_readl(v->qts, vtd_ecam(v, pasid_ctrl(v) - 2));
    g_assert_cmphex(cap & 0xffff, ==, (8 << 8) | PCI_PASID_CAP_EXEC |
                    PCI_PASID_CAP_PRIV);
    vtd_reads(v, REQ_PASID(0xff), 0x5000, MEM);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_PASID(0x100), 0x5000, 8),
                     ==, TESTDEV_NO_PASID);

    qtest_writew(v->qts, vtd_ecam(v, pasid_ctrl(v)), PCI_PASID_CTRL_ENABLE);
    vtd_reads(v, REQ_PASID(0xff), 0x5000, MEM);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_PASID(0xff) | REQ_PRIV,
                             0x5000, 8), ==, TESTDEV_NO_PASID);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_PASID(0xff) | REQ_EXEC,
                             0x5000, 8), ==, TESTDEV_NO_PASID);

    qtest_writew(v->qts, vtd_ecam(v, pasid_ctrl(v)), 0);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_PASID(0xff), 0x5000, 8),
                     ==, TESTDEV_NO_PASID);
    g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_DONE), ==, 0);
    g_free(fs);
    vtd_free(v);
}

static void test_pasid_absent(void)
{
    VTD *v = testdev_new("pasid-width=0");

    g_assert_cmpuint(vtd_find_ext_cap(v, PCI_EXT_CAP_ID_PASID), ==, 0);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_PASID(1), MEM, 8), ==,
                     TESTDEV_NO_PASID);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, MEM, 8), ==,
                     TESTDEV_DONE_OK);
    vtd_free(v);

    v = testdev_new("pasid-exec=off,pasid-priv=off,ats=on");
    /* Not there, so they can't be enabled */
    qtest_writew(v->qts, vtd_ecam(v, pasid_ctrl(v)), 7);
    g_assert_cmphex(qtest_readw(v->qts, vtd_ecam(v, pasid_ctrl(v))), ==, 1);
    g_assert_cmphex(vtd_find_ext_cap(v, PCI_EXT_CAP_ID_ATS), >=, 0x100);
    vtd_free(v);

    v = testdev_new("pasid-width=0,ats=on");
    g_assert_cmphex(vtd_find_ext_cap(v, PCI_EXT_CAP_ID_ATS), ==, 0x100);
    vtd_free(v);
}

static void dirty(VTD *v)
{
    fill(v, v->bar.addr + TESTDEV_BUF, 9, TESTDEV_BUF_SIZE);
    vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID, MEM, 64);
    vtd_dma(v, TESTDEV_CMD_WRITE, REQ_PASID(3), MEM, 0);
    g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_COUNT), ==, 2);
}

static void test_reset(void)
{
    VTD *v = testdev_new("ats=on");
    unsigned int ats = vtd_find_ext_cap(v, PCI_EXT_CAP_ID_ATS);
    uint8_t exp = qpci_find_capability(v->dev, PCI_CAP_ID_EXP, 0);
    uint32_t bar0 = qpci_config_readl(v->dev, PCI_BASE_ADDRESS_0);
    uint16_t ctl;

    g_assert_cmphex(qpci_config_readl(v->dev, exp + PCI_EXP_DEVCAP) &
                    PCI_EXP_DEVCAP_FLR, ==, PCI_EXP_DEVCAP_FLR);

    qtest_writew(v->qts, vtd_ecam(v, ats + PCI_ATS_CTRL), PCI_ATS_CTRL_ENABLE);
    dirty(v);
    ctl = qpci_config_readw(v->dev, exp + PCI_EXP_DEVCTL);
    qpci_config_writew(v->dev, exp + PCI_EXP_DEVCTL,
                       ctl | PCI_EXP_DEVCTL_BCR_FLR);
    g_assert_cmphex(qpci_config_readw(v->dev, PCI_COMMAND) &
                    PCI_COMMAND_MASTER, ==, 0);
    g_assert_cmphex(qtest_readw(v->qts, vtd_ecam(v, pasid_ctrl(v))), ==, 0);
    g_assert_cmphex(qtest_readw(v->qts, vtd_ecam(v, ats + PCI_ATS_CTRL)), ==,
                    0);
    qpci_config_writel(v->dev, PCI_BASE_ADDRESS_0, bar0);
    vtd_testdev_enable(v);
    check_reset_state(v);

    dirty(v);
    qtest_system_reset(v->qts);
    vtd_attach(v);
    check_reset_state(v);
    vtd_free(v);
}

/* A transfer may go to a device, this one included */
static void test_own_bar(void)
{
    VTD *v = testdev_new(NULL);
    uint64_t bar = v->bar.addr;
    uint32_t cmd = TESTDEV_CMD_READ;

    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_READ, REQ_RID, bar, 64), ==,
                     TESTDEV_FAULT);
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID, bar + TESTDEV_BUF,
                             2048), ==, TESTDEV_FAULT);
    /* A command that would start itself forever */
    qtest_memwrite(v->qts, bar + TESTDEV_BUF, &cmd, sizeof(cmd));
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID, bar + TESTDEV_CMD,
                             4), ==, TESTDEV_FAULT);
    g_assert_cmpuint(vtd_testdev_readl(v, TESTDEV_COUNT), ==, 3);
    vtd_free(v);
}

/* A transfer may also go to the device's own reset */
static void test_own_reset(void)
{
    VTD *v = testdev_new(NULL);
    uint8_t exp = qpci_find_capability(v->dev, PCI_CAP_ID_EXP, 0);
    uint32_t bar0 = qpci_config_readl(v->dev, PCI_BASE_ADDRESS_0);
    uint16_t ctl = qpci_config_readw(v->dev, exp + PCI_EXP_DEVCTL);

    vtd_testdev_writel(v, TESTDEV_BUF, ctl | PCI_EXP_DEVCTL_BCR_FLR);
    vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID, vtd_ecam(v, exp + PCI_EXP_DEVCTL),
            2);
    g_assert_cmphex(qpci_config_readw(v->dev, PCI_COMMAND) &
                    PCI_COMMAND_MASTER, ==, 0);
    qpci_config_writel(v->dev, PCI_BASE_ADDRESS_0, bar0);
    vtd_testdev_enable(v);
    check_reset_state(v);
    vtd_free(v);
}

/* Two functions of one slot, each pointing at the other */
static void test_two_functions(void)
{
    VTD *v = g_new0(VTD, 1);
    QPCIDevice *other;
    QPCIBar bar;

    v->qts = qtest_init("-M q35 -m 2G -nodefaults "
                        "-device intel-iommu," VTD_NESTING_OPTS
                        " -device pasid-testdev,addr=4.0,multifunction=on"
                        " -device pasid-testdev,addr=4.1");
    vtd_attach(v);
    other = qpci_device_find(v->bus, QPCI_DEVFN(4, 1));
    g_assert_nonnull(other);
    bar = qpci_iomap(other, 0, NULL);
    qpci_device_enable(other);

    /* The second one is to read the first one's registers ... */
    qpci_io_writeq(other, bar, TESTDEV_ADDR, v->bar.addr + TESTDEV_BUF);
    qpci_io_writel(other, bar, TESTDEV_LEN, 4);
    vtd_testdev_writel(v, TESTDEV_BUF, TESTDEV_CMD_READ);
    /* ... when the first one says so, which is busy then */
    g_assert_cmpuint(vtd_dma(v, TESTDEV_CMD_WRITE, REQ_RID,
                             bar.addr + TESTDEV_CMD, 4), ==, TESTDEV_DONE_OK);
    g_assert_cmpuint(qpci_io_readl(other, bar, TESTDEV_COUNT), ==, 1);
    g_assert_cmpuint(qpci_io_readl(other, bar, TESTDEV_RESULT), ==,
                     TESTDEV_FAULT);

    /* Alone, it can */
    vtd_testdev_writel(v, TESTDEV_BUF, 0x600df00d);
    qpci_io_writel(other, bar, TESTDEV_CMD, TESTDEV_CMD_READ);
    g_assert_cmpuint(qpci_io_readl(other, bar, TESTDEV_RESULT), ==,
                     TESTDEV_DONE_OK);
    g_assert_cmphex(qpci_io_readl(other, bar, TESTDEV_BUF), ==, 0x600df00d);
    g_free(other);
    vtd_free(v);
}

/* Where it can be plugged in */
static void test_places(void)
{
    static const char *const args[] = {
        "-device pasid-testdev",
        "-device pcie-root-port,id=rp,slot=1 -device pasid-testdev,bus=rp",
        "-device pcie-root-port,id=rp,slot=1 "
        "-device pasid-testdev,bus=rp,addr=0.0,multifunction=on "
        "-device pasid-testdev,bus=rp,addr=0.1",
        "-device intel-iommu -device pasid-testdev,ats=on",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(args); i++) {
        QTestState *qts = qtest_initf("-M q35 -nodefaults %s", args[i]);

        qtest_quit(qts);
    }
}

static void test_bad_width(void)
{
    QTestState *qts = qtest_init("-M q35 -nodefaults "
                                 "-device pcie-root-port,id=rp,slot=1");
    QDict *rsp;

    rsp = qtest_qmp(qts, "{ 'execute': 'device_add', 'arguments': {"
                    " 'driver': 'pasid-testdev', 'bus': 'rp',"
                    " 'pasid-width': 21 } }");
    qmp_expect_error_and_unref(rsp, "GenericError");
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();

    qtest_add_func("/pasid-testdev/registers", test_registers);
    qtest_add_func("/pasid-testdev/transfer", test_transfer);
    qtest_add_func("/pasid-testdev/parameters", test_parameters);
    qtest_add_func("/pasid-testdev/bus-master", test_bus_master);
    qtest_add_func("/pasid-testdev/fault", test_fault);
    qtest_add_func("/pasid-testdev/pasid-capability", test_pasid_capability);
    qtest_add_func("/pasid-testdev/pasid-absent", test_pasid_absent);
    qtest_add_func("/pasid-testdev/reset", test_reset);
    qtest_add_func("/pasid-testdev/own-bar", test_own_bar);
    qtest_add_func("/pasid-testdev/own-reset", test_own_reset);
    qtest_add_func("/pasid-testdev/two-functions", test_two_functions);
    qtest_add_func("/pasid-testdev/places", test_places);
    qtest_add_func("/pasid-testdev/bad-width", test_bad_width);

    return g_test_run();
}
