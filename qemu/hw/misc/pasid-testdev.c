/*
 * PCI Express test endpoint: DMA on command, with or without a PASID
 *
 * The register interface is described in docs/specs/pasid-testdev.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
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

/* From the range that is free for experiments, see docs/specs/pci-ids.rst */
#define PASID_TESTDEV_VENDOR_ID     PCI_VENDOR_ID_REDHAT_QUMRANET
#define PASID_TESTDEV_DEVICE_ID     0x10f0

/*
 * One whole page, so that a virtual machine monitor can hand the BAR to its
 * guest without trapping.
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

#define RESULT_DONE                 0
#define RESULT_FAULT                1
#define RESULT_NO_BUS_MASTER        2
#define RESULT_BAD_PARAM            3
#define RESULT_NO_PASID             4
#define RESULT_NONE                 UINT32_MAX

/* A request on the bus never crosses a boundary of this size */
#define PCIE_REQUEST_BOUNDARY       (4 * KiB)

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

    /* A command is being executed.  Never seen by migration or a guest. */
    bool busy;

    uint8_t pasid_width;
    bool pasid_exec;
    bool pasid_priv;
    bool ats;
};

/*
 * PCI Express lets a function use a PASID only as far as its PASID capability
 * has been enabled.  Breaking that rule would test the device and not the
 * IOMMU, so such a request never leaves the device.
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
    if (cmd != CMD_READ && cmd != CMD_WRITE) {
        return false;
    }
    if (!d->len || d->len > sizeof(d->buf) || d->addr > UINT64_MAX - d->len) {
        return false;
    }
    if (d->pasid & ~PASID_KNOWN_BITS) {
        return false;
    }
    /* What the other bits say travels in the same TLP prefix as the PASID */
    if (!(d->pasid & PASID_VALID) && d->pasid) {
        return false;
    }
    /* Only a memory read can ask for permission to execute */
    return !(d->pasid & PASID_EXEC) || cmd == CMD_READ;
}

static MemTxResult pasid_testdev_request(PasidTestDev *d, dma_addr_t addr,
                                         void *buf, dma_addr_t len,
                                         DMADirection dir)
{
    PCIDevice *pdev = PCI_DEVICE(d);
    PCIPASIDFlags flags = PCI_PASID_REQ_NONE;

    if (!(d->pasid & PASID_VALID)) {
        return pci_dma_rw(pdev, addr, buf, len, dir, MEMTXATTRS_UNSPECIFIED);
    }

    if (d->pasid & PASID_EXEC) {
        flags |= PCI_PASID_REQ_EXEC;
    }
    if (d->pasid & PASID_PRIV) {
        flags |= PCI_PASID_REQ_PRIV;
    }
    return pci_dma_rw_pasid(pdev, d->pasid & PASID_VALUE, addr, buf, len, dir,
                            flags);
}

static uint32_t pasid_testdev_transfer(PasidTestDev *d, uint32_t cmd)
{
    g_autofree uint8_t *bounce = NULL;
    uint64_t addr = d->addr;
    uint32_t len = d->len;

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

    /*
     * What a refused read leaves behind is not data.  Going through a copy
     * keeps it out of the buffer that the driver sees.
     */
    bounce = g_memdup2(d->buf, len);

    while (d->busy && d->done < len) {
        uint64_t at = addr + d->done;
        uint32_t chunk = MIN(len - d->done,
                             PCIE_REQUEST_BOUNDARY -
                             at % PCIE_REQUEST_BOUNDARY);
        MemTxResult res;

        res = pasid_testdev_request(d, at, bounce + d->done, chunk,
                                    cmd == CMD_READ ?
                                    DMA_DIRECTION_TO_DEVICE :
                                    DMA_DIRECTION_FROM_DEVICE);
        if (res != MEMTX_OK) {
            return RESULT_FAULT;
        }
        if (!d->busy) {
            break;
        }
        if (cmd == CMD_READ) {
            memcpy(d->buf + d->done, bounce + d->done, chunk);
        }
        d->done += chunk;
    }

    return RESULT_DONE;
}

static void pasid_testdev_command(PasidTestDev *d, uint32_t cmd)
{
    uint32_t result;

    d->done = 0;
    d->count++;
    d->busy = true;
    result = pasid_testdev_transfer(d, cmd);
    if (!d->busy) {
        /* It went to something that reset this device.  Leave it like that. */
        return;
    }
    d->busy = false;
    d->result = result;
    trace_pasid_testdev_command(cmd, d->addr, d->len, d->pasid, result,
                                d->done);
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
        /* Write-only, and often the other half of a wider read */
        return 0;
    case REG_RESULT:
        return d->result;
    case REG_DONE:
        return d->done;
    case REG_COUNT:
        return d->count;
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

    if (addr >= REG_BUF) {
        stl_le_p(d->buf + addr - REG_BUF, val);
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
    }

    qemu_log_mask(LOG_GUEST_ERROR, "pasid-testdev: write to read-only or "
                  "unused register 0x%" HWADDR_PRIx "\n", addr);
}

/*
 * A transfer may hit a BAR, this device's own included.  Access to the latter
 * is refused by the memory core's guard against re-entrancy while a command
 * runs, so commands do not nest.
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

static void pasid_testdev_config_write(PCIDevice *pdev, uint32_t addr,
                                       uint32_t val, int len)
{
    pci_default_write_config(pdev, addr, val, len);
    pcie_cap_flr_write_config(pdev, addr, val, len);
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

    /* The PCI core resets the standard header only */
    pcie_cap_deverr_reset(pdev);
    pcie_pasid_reset(pdev);
    if (d->ats) {
        pci_set_word(pdev->config + pdev->exp.ats_cap + PCI_ATS_CTRL, 0);
    }
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
    }

    memory_region_init_io(&d->bar, OBJECT(d), &pasid_testdev_mmio_ops, d,
                          TYPE_PASID_TESTDEV, PASID_TESTDEV_BAR_SIZE);
    pci_register_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, &d->bar);
}

static void pasid_testdev_exit(PCIDevice *pdev)
{
    pcie_cap_exit(pdev);
}

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
        VMSTATE_END_OF_LIST()
    }
};

static const Property pasid_testdev_properties[] = {
    DEFINE_PROP_UINT8("pasid-width", PasidTestDev, pasid_width,
                      PCI_PASID_MAX_WIDTH),
    DEFINE_PROP_BOOL("pasid-exec", PasidTestDev, pasid_exec, true),
    DEFINE_PROP_BOOL("pasid-priv", PasidTestDev, pasid_priv, true),
    DEFINE_PROP_BOOL("ats", PasidTestDev, ats, false),
};

static void pasid_testdev_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

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
            { }
        },
    },
};

DEFINE_TYPES(pasid_testdev_types)
