/*
 * What an Express function asks of an IOMMU beside plain DMA: requests that
 * carry a PASID TLP prefix, translation requests (ATS) and page requests (PRI)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef QEMU_PCI_PASID_H
#define QEMU_PCI_PASID_H

#include "exec/memory.h"
#include "hw/pci/pci.h"
#include "qom/object.h"
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
 * struct PCIPageRequest: a Page Request Message
 *
 * @addr: the address of the page.
 *
 * @group: the Page Request Group Index, 9 bits.
 *
 * @pasid: the PASID, if @has_pasid.
 *
 * @private_data: passed on to software, if @has_private_data.
 *
 * The other fields are the bits of the message and of its prefix.
 */
typedef struct PCIPageRequest {
    hwaddr addr;
    uint16_t group;
    uint32_t pasid;
    uint64_t private_data[2];
    bool has_pasid;
    bool has_private_data;
    bool read;
    bool write;
    bool exec;
    bool priv;
    bool last;
} PCIPageRequest;

/* Response codes of a Page Request Group Response Message */
typedef enum PCIPageResponseCode {
    PCI_PAGE_RESPONSE_SUCCESS = 0x0,
    PCI_PAGE_RESPONSE_INVALID = 0x1,
    PCI_PAGE_RESPONSE_FAILURE = 0xf,
} PCIPageResponseCode;

/**
 * struct PCIPageResponse: a Page Request Group Response Message
 */
typedef struct PCIPageResponse {
    uint16_t group;
    bool has_pasid;
    uint32_t pasid;
    uint8_t code;
} PCIPageResponse;

/* Where a page request ended up */
typedef enum PCIPageRequestResult {
    PCI_PAGE_REQUEST_QUEUED,    /* Software will answer its group */
    PCI_PAGE_REQUEST_DROPPED,   /* No room: a last one is answered "success" */
    PCI_PAGE_REQUEST_INVALID,   /* Not allowed: a last one is answered so */
} PCIPageRequestResult;

/**
 * struct PCIATSInvalidation: an Invalidate Request Message
 *
 * @has_pasid: whether it is about translations with a PASID; else those without
 *
 * @global: about those with any PASID
 *
 * @pasid: the PASID, if @has_pasid and not @global
 *
 * @addr: first address of the range
 *
 * @mask: size of the range less one
 */
typedef struct PCIATSInvalidation {
    bool has_pasid;
    bool global;
    uint32_t pasid;
    hwaddr addr;
    hwaddr mask;
} PCIATSInvalidation;

/*
 * Interface of functions that keep translations (ATS) or send page requests
 * (PRI): how software's messages reach them.  An answer to a group that the
 * function doesn't know is the function's to ignore, since software writes it.
 */
#define INTERFACE_PCI_PRI_DEVICE "pci-pri-device"
typedef struct PCIPRIDeviceClass PCIPRIDeviceClass;
DECLARE_CLASS_CHECKERS(PCIPRIDeviceClass, PCI_PRI_DEVICE,
                       INTERFACE_PCI_PRI_DEVICE)

struct PCIPRIDeviceClass {
    InterfaceClass parent_class;

    void (*page_response)(PCIDevice *dev, const PCIPageResponse *response);
    /* Called while the IOMMU works through its queue, like @page_response */
    void (*ats_invalidate)(PCIDevice *dev, const PCIATSInvalidation *request);
};

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

    /**
     * @ats_translate: answer a translation request
     *
     * Optional.  As @translate, but with or without a PASID, and a page that
     * is not there, or not with that permission, is no fault.
     */
    IOMMUTLBEntry (*ats_translate)(PCIBus *bus, void *opaque, int devfn,
                                   bool has_pasid, uint32_t pasid, hwaddr addr,
                                   bool is_write, PCIPASIDFlags flags);

    /**
     * @page_request: take a page request
     *
     * Optional.
     */
    PCIPageRequestResult (*page_request)(PCIBus *bus, void *opaque, int devfn,
                                         const PCIPageRequest *request);
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

/**
 * pci_ats_translate: Ask for a translation
 *
 * @dev: #PCIDevice that asks.  Whether the guest has enabled its ATS
 *       capability, and what the prefix needs, is for the device to check.
 * @has_pasid: whether the request has a PASID
 * @pasid: the PASID
 * @addr: the untranslated address
 * @is_write: whether permission to write is wanted
 * @flags: the other bits of the prefix
 *
 * Returns: the translation, with the permissions that it has.  The device may
 * keep it until &PCIPRIDeviceClass.ats_invalidate says otherwise, and as long as
 * its ATS capability is enabled.
 */
IOMMUTLBEntry pci_ats_translate(PCIDevice *dev, bool has_pasid, uint32_t pasid,
                                dma_addr_t addr, bool is_write,
                                PCIPASIDFlags flags);

/**
 * pci_page_request: Send a Page Request Message
 *
 * @dev: #PCIDevice that sends it.  Whether its PRI capability is enabled, and
 *       allows one more, is for the device to check.
 * @request: the message
 *
 * Returns: where it ended up.  Only the answer to a %PCI_PAGE_REQUEST_QUEUED
 * one comes by &PCIPRIDeviceClass.page_response, and never during this call.
 */
PCIPageRequestResult pci_page_request(PCIDevice *dev,
                                      const PCIPageRequest *request);

#endif /* QEMU_PCI_PASID_H */
