/*
 * Requests of a PCI Express function to an IOMMU, other than plain DMA:
 * requests with a PASID TLP prefix, translation requests (ATS) and page
 * requests (PRI)
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

/* Bits of the PASID TLP prefix besides the PASID */
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

/* What happened to a page request */
typedef enum PCIPageRequestResult {
    PCI_PAGE_REQUEST_QUEUED,    /* Software will respond to its group */
    PCI_PAGE_REQUEST_DROPPED,   /* No room: success if the last of its group */
    PCI_PAGE_REQUEST_INVALID,   /* Refused: invalid if the last of its group */
} PCIPageRequestResult;

/**
 * struct PCIATSInvalidation: an Invalidate Request Message
 *
 * @has_pasid: for translations with a PASID, otherwise for those without
 *
 * @global: for translations with any PASID
 *
 * @pasid: the PASID, if @has_pasid and not @global
 *
 * @addr: first address of the range
 *
 * @mask: size of the range minus one
 */
typedef struct PCIATSInvalidation {
    bool has_pasid;
    bool global;
    uint32_t pasid;
    hwaddr addr;
    hwaddr mask;
} PCIATSInvalidation;

/*
 * Interface of functions that cache translations (ATS) or send page requests
 * (PRI), by which they receive messages of software.  The function must ignore
 * a page response to a group that it doesn't know, since software writes it.
 */
#define INTERFACE_PCI_PRI_DEVICE "pci-pri-device"
typedef struct PCIPRIDeviceClass PCIPRIDeviceClass;
DECLARE_CLASS_CHECKERS(PCIPRIDeviceClass, PCI_PRI_DEVICE,
                       INTERFACE_PCI_PRI_DEVICE)

struct PCIPRIDeviceClass {
    InterfaceClass parent_class;

    void (*page_response)(PCIDevice *dev, const PCIPageResponse *response);
    /*
     * Called while the IOMMU processes its queue, like @page_response.  Also
     * called while ATS is off.  Returns whether the function answers.
     */
    bool (*ats_invalidate)(PCIDevice *dev, const PCIATSInvalidation *request);
};

/**
 * struct PCIPASIDOps: operations of an IOMMU for requests-with-PASID
 *
 * They are separate from #PCIIOMMUOps because they take (function, PASID) by
 * value.  The guest chooses the PASID, out of 2^20 for each function, so
 * nothing may be allocated for it that outlives the call, least of all an
 * #AddressSpace.
 */
struct PCIPASIDOps {
    /**
     * @translate: translate the address of one untranslated
     * request-with-PASID
     *
     * Mandatory.  Called within an RCU critical section.  If the IOMMU
     * refuses the request, it reports the fault to the guest itself.
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
     * @ats_translate: handle a translation request
     *
     * Optional.  Like @translate, but with or without a PASID.  A missing
     * page or permission is no fault.
     */
    IOMMUTLBEntry (*ats_translate)(PCIBus *bus, void *opaque, int devfn,
                                   bool has_pasid, uint32_t pasid, hwaddr addr,
                                   bool is_write, PCIPASIDFlags flags);

    /**
     * @ats_translated: does the IOMMU let translated requests pass?
     *
     * Optional.  Without it, they pass.
     */
    bool (*ats_translated)(PCIBus *bus, void *opaque, int devfn);

    /**
     * @page_request: handle a page request
     *
     * Optional.
     */
    PCIPageRequestResult (*page_request)(PCIBus *bus, void *opaque, int devfn,
                                         const PCIPageRequest *request);
};

/**
 * pci_dma_rw_pasid: Read from or write to memory with a PASID
 *
 * The transfer proceeds in blocks as the IOMMU translates them.  If it fails,
 * the blocks before the failing one have been transferred.
 *
 * @dev: #PCIDevice doing the memory access.  The device must check that the
 *       guest has enabled the PASID capability, and execute and privileged
 *       requests.
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
 * pci_ats_translate: Request a translation
 *
 * @dev: #PCIDevice that sends the request.  The device must check that the
 *       guest has enabled its ATS capability, and what the prefix needs.
 * @has_pasid: whether the request has a PASID
 * @pasid: the PASID
 * @addr: the untranslated address
 * @is_write: whether write permission is requested
 * @flags: the other bits of the prefix
 *
 * Returns: the translation with its permissions.  The device may cache it until
 * &PCIPRIDeviceClass.ats_invalidate is called or its ATS capability is
 * disabled.
 */
IOMMUTLBEntry pci_ats_translate(PCIDevice *dev, bool has_pasid, uint32_t pasid,
                                dma_addr_t addr, bool is_write,
                                PCIPASIDFlags flags);

/**
 * pci_ats_translated: May a device use the translations that it has?
 *
 * @dev: #PCIDevice that is about to send a translated request
 *
 * Returns: whether the IOMMU lets the request pass.
 */
bool pci_ats_translated(PCIDevice *dev);

/**
 * pci_page_request: Send a Page Request Message
 *
 * @dev: #PCIDevice that sends it.  The device must check that its PRI
 *       capability is enabled and allows one more.
 * @request: the message
 *
 * Returns: what happened to it.  Only a %PCI_PAGE_REQUEST_QUEUED one gets its
 * page response through &PCIPRIDeviceClass.page_response, never during this
 * call.
 */
PCIPageRequestResult pci_page_request(PCIDevice *dev,
                                      const PCIPageRequest *request);

#endif /* QEMU_PCI_PASID_H */
