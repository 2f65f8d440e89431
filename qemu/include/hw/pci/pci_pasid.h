/*
 * Requests-with-PASID: DMA that carries a PASID TLP prefix
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef QEMU_PCI_PASID_H
#define QEMU_PCI_PASID_H

#include "exec/memory.h"
#include "hw/pci/pci.h"
#include "system/dma.h"

#define PCI_PASID_MAX_WIDTH     20
#define PCI_PASID_MAX           ((1U << PCI_PASID_MAX_WIDTH) - 1)

/* What the PASID TLP prefix says besides the PASID itself */
typedef enum PCIPASIDFlags {
    PCI_PASID_REQ_NONE = 0,
    PCI_PASID_REQ_EXEC = 1 << 0,    /* Execute Requested */
    PCI_PASID_REQ_PRIV = 1 << 1,    /* Privileged Mode Requested */
} PCIPASIDFlags;

/**
 * struct PCIPASIDOps: what an IOMMU does for requests-with-PASID
 *
 * They are apart from #PCIIOMMUOps because they work on (function, PASID) by
 * value.  The PASID is the guest's choice, up to 2^20 of them for every
 * function, so nothing that outlives the call, least of all an #AddressSpace,
 * may be made for one.
 */
struct PCIPASIDOps {
    /**
     * @translate: translate the address of one untranslated
     * request-with-PASID
     *
     * Mandatory.  Called within an RCU critical section.  On refusal the
     * IOMMU reports the fault to the guest by itself.
     *
     * @bus: the #PCIBus of the requester.
     *
     * @opaque: the data passed to pci_setup_iommu().
     *
     * @devfn: device and function number of the requester.
     *
     * @pasid: the PASID, at most %PCI_PASID_MAX.
     *
     * @addr: the untranslated address.
     *
     * @is_write: whether the request is a write.
     *
     * @flags: the other bits of the prefix.
     *
     * Returns: the translation of the block around @addr.  A refusal is an
     * entry whose permissions lack those that the request needs.
     */
    IOMMUTLBEntry (*translate)(PCIBus *bus, void *opaque, int devfn,
                               uint32_t pasid, hwaddr addr, bool is_write,
                               PCIPASIDFlags flags);
};

/**
 * pci_dma_rw_pasid: Read from or write to memory with a PASID
 *
 * The transfer goes block by block as the IOMMU translates it, so when it
 * fails the blocks before the failing one have been transferred.
 *
 * @dev: #PCIDevice doing the memory access.  Whether the guest has enabled
 *       the PASID capability, and the execute and privileged requests, is for
 *       the device to check.
 * @pasid: the PASID
 * @addr: address within the address space that the PASID selects
 * @buf: buffer with the data transferred
 * @len: the number of bytes to read or write
 * @dir: indicates the transfer direction
 * @flags: the other bits of the PASID TLP prefix
 *
 * Returns: %MEMTX_OK, %MEMTX_ERROR when the request can't be made (bus
 * mastering is off, no IOMMU that knows PASIDs stands above the device, a
 * conventional bus lies between them, the PASID or the range is impossible)
 * or the IOMMU refuses it, or else what the target of the access returns.
 */
MemTxResult pci_dma_rw_pasid(PCIDevice *dev, uint32_t pasid, dma_addr_t addr,
                             void *buf, dma_addr_t len, DMADirection dir,
                             PCIPASIDFlags flags);

#endif /* QEMU_PCI_PASID_H */
