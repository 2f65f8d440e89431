/*
 * Intel IOMMU whose first stage is walked by the host's IOMMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_INTEL_IOMMU_ACCEL_H
#define HW_I386_INTEL_IOMMU_ACCEL_H

#include CONFIG_DEVICES
#include "hw/i386/intel_iommu.h"
#include "hw/pci/pci_pasid.h"

/* For vtd_accel_sync() */
#define VTD_ACCEL_ALL_PASIDS    UINT32_MAX

#ifdef CONFIG_VTD_ACCEL
/* Whether there is a device whose translation is left to the host */
bool vtd_accel_active(IntelIOMMUState *s);
bool vtd_accel_attach(IntelIOMMUState *s, PCIBus *bus, int devfn,
                      HostIOMMUDevice *hiod, Error **errp);
void vtd_accel_detach(IntelIOMMUState *s, HostIOMMUDevice *hiod);

/*
 * Bind in the host what the guest's tables say now, and unbind the rest, for
 * the devices whose source id is @sid but for the bits in @mask
 */
void vtd_accel_sync(IntelIOMMUState *s, uint16_t sid, uint16_t mask,
                    uint32_t pasid);
static inline void vtd_accel_sync_all(IntelIOMMUState *s)
{
    vtd_accel_sync(s, 0, UINT16_MAX, VTD_ACCEL_ALL_PASIDS);
}

/*
 * Collect invalidations until vtd_accel_flush(), which returns false if the
 * host did not understand one of them.
 */
void vtd_accel_inv_all(IntelIOMMUState *s);
void vtd_accel_inv_domain(IntelIOMMUState *s, uint16_t domain_id);
void vtd_accel_inv_pasid(IntelIOMMUState *s, uint16_t domain_id,
                         uint32_t pasid);
void vtd_accel_inv_pages(IntelIOMMUState *s, uint16_t domain_id,
                         uint32_t pasid, hwaddr addr, uint8_t am, bool leaf);
bool vtd_accel_flush(IntelIOMMUState *s);

/* Put all page requests that were sent so far into the guest's queue */
void vtd_accel_drain_page_requests(IntelIOMMUState *s);
/* Returns false if @rid is no device whose translation is left to the host */
bool vtd_accel_page_response(IntelIOMMUState *s, uint16_t rid,
                             const PCIPageResponse *response);
#else
static inline bool vtd_accel_active(IntelIOMMUState *s)
{
    return false;
}

static inline bool vtd_accel_attach(IntelIOMMUState *s, PCIBus *bus, int devfn,
                                    HostIOMMUDevice *hiod, Error **errp)
{
    error_setg(errp, "host devices can't be used with x-flts=on here");
    return false;
}

static inline void vtd_accel_detach(IntelIOMMUState *s, HostIOMMUDevice *hiod)
{
}

static inline void vtd_accel_sync(IntelIOMMUState *s, uint16_t sid,
                                  uint16_t mask, uint32_t pasid)
{
}

static inline void vtd_accel_sync_all(IntelIOMMUState *s)
{
}

static inline void vtd_accel_inv_all(IntelIOMMUState *s)
{
}

static inline void vtd_accel_inv_domain(IntelIOMMUState *s, uint16_t domain_id)
{
}

static inline void vtd_accel_inv_pasid(IntelIOMMUState *s, uint16_t domain_id,
                                       uint32_t pasid)
{
}

static inline void vtd_accel_inv_pages(IntelIOMMUState *s, uint16_t domain_id,
                                       uint32_t pasid, hwaddr addr, uint8_t am,
                                       bool leaf)
{
}

static inline bool vtd_accel_flush(IntelIOMMUState *s)
{
    return true;
}

static inline void vtd_accel_drain_page_requests(IntelIOMMUState *s)
{
}

static inline bool vtd_accel_page_response(IntelIOMMUState *s, uint16_t rid,
                                           const PCIPageResponse *response)
{
    return false;
}
#endif

#endif
