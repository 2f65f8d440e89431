/*
 * Intel IOMMU whose first stage is walked by the host's IOMMU
 *
 * The guest's page tables are bound in the host, for each device and PASID, on
 * top of the machine's memory. This file keeps what is bound the same as what
 * the guest's tables say, forwards invalidations, and carries page requests
 * and page responses between the host and the guest's queues.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/iommu.h>
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "intel_iommu_internal.h"
#include "intel_iommu_accel.h"
#include "migration/blocker.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/host_iommu_device.h"
#include "system/runstate.h"

/* One ioctl of the host takes so many */
#define VTD_ACCEL_BATCH     256

/* The width of what four levels of tables translate */
#define VTD_ACCEL_WIDTH     48

#define RID_PASID           0

typedef struct VTDAccel VTDAccel;

typedef struct VTDAccelDevice {
    VTDAccel *accel;
    PCIBus *bus;
    int devfn;
    HostIOMMUDevice *hiod;
    bool page_requests;     /* The host can deliver them */
    bool pasids;            /* The host can bind PASIDs */
    bool timeout_told;      /* ITE was reported, and no reset since */
    /* PASID -> struct iommu_uapi_gpasid_bind_data; the others are blocked */
    GHashTable *bound;
    GArray *todo;           /* PASIDs that vtd_accel_sync() looks at */
    QLIST_ENTRY(VTDAccelDevice) next;
} VTDAccelDevice;

/* A page request group that the guest has not answered */
typedef struct VTDAccelGroup {
    VTDAccelDevice *dev;
    uint32_t pasid;
    uint32_t grpid;
    uint64_t cookie;
} VTDAccelGroup;

struct VTDAccel {
    IntelIOMMUState *s;
    QLIST_HEAD(, VTDAccelDevice) devices;
    GQueue groups;          /* Of VTDAccelGroup, the oldest first */
    Error *migration_blocker;
    VMChangeStateEntry *run;
    unsigned int batched;
    struct iommu_uapi_cache_invalidate_info batch[VTD_ACCEL_BATCH];
};

static HostIOMMUDeviceClass *vtd_accel_class(VTDAccelDevice *dev)
{
    return HOST_IOMMU_DEVICE_GET_CLASS(dev->hiod);
}

static uint16_t vtd_accel_sid(VTDAccelDevice *dev)
{
    return PCI_BUILD_BDF(pci_bus_num(dev->bus), dev->devfn);
}

bool vtd_accel_active(IntelIOMMUState *s)
{
    return s->accel && !QLIST_EMPTY(&s->accel->devices);
}

/*
 * What the guest's tables say
 */

/*
 * In legacy mode, a table is one of the second stage, which can't be nested.
 * Returns 0 for pass-through, or the fault reason.
 */
static int vtd_accel_legacy(VTDAccelDevice *dev, bool *fpd)
{
    IntelIOMMUState *s = dev->accel->s;
    uint64_t root[2], context[2];

    if (!vtd_sm_read(s->root + pci_bus_num(dev->bus) * sizeof(root), root, 2)) {
        return VTD_FR_ROOT_TABLE_INV;
    }
    if (!(root[0] & VTD_ROOT_ENTRY_P)) {
        return VTD_FR_ROOT_ENTRY_P;
    }
    if (!vtd_sm_read((root[0] & VTD_ROOT_ENTRY_CTP) +
                     dev->devfn * sizeof(context), context, 2)) {
        return VTD_FR_CONTEXT_TABLE_INV;
    }
    *fpd = context[0] & VTD_CONTEXT_ENTRY_FPD;
    if (!(context[0] & VTD_CONTEXT_ENTRY_P)) {
        return VTD_FR_CONTEXT_ENTRY_P;
    }
    return (context[0] & VTD_CONTEXT_ENTRY_TT) == VTD_CONTEXT_TT_PASS_THROUGH &&
           s->ecap & VTD_ECAP_PT ? 0 : VTD_FR_CONTEXT_ENTRY_INV;
}

/*
 * Returns 0 and fills in @want, or the fault reason for which requests are
 * blocked. @fpd tells if such faults are not reported. Must be called with
 * IOMMU lock held.
 */
static int vtd_accel_want(VTDAccelDevice *dev, uint32_t pasid,
                          struct iommu_uapi_gpasid_bind_data *want, bool *fpd)
{
    IntelIOMMUState *s = dev->accel->s;
    VTDAddressSpace *vtd_as;
    VTDContextEntry ce;
    VTDPASIDEntry pe;
    int ret;

    memset(want, 0, sizeof(*want));
    want->version = IOMMU_UAPI_VERSION_2;
    want->format = IOMMU_UAPI_FORMAT_SECOND_LEVEL;
    want->flags = IOMMU_UAPI_BIND_REPLACE;
    want->hpasid = pasid;
    *fpd = false;

    if (!s->dmar_enabled) {
        /* A PASID has no meaning then */
        return pasid == RID_PASID ? 0 : VTD_FR_SM_PASID_DISABLED;
    }

    if (!s->root_scalable) {
        return pasid == RID_PASID ? vtd_accel_legacy(dev, fpd) :
               VTD_FR_RTADDR_LEGACY_PASID;
    }

    vtd_as = vtd_find_add_as(s, dev->bus, dev->devfn, PCI_NO_PASID);
    ret = vtd_sm_get_context(s, vtd_as, &ce, fpd);
    if (ret) {
        return -ret;
    }
    /* The guest is not shown ECAP.RPS */
    if (ce.val[1] & VTD_SM_CONTEXT_ENTRY_RID2PASID_MASK) {
        return VTD_FR_SM_CONTEXT_ENTRY_RSVD;
    }
    if (pasid != RID_PASID) {
        if (!(ce.val[0] & VTD_SM_CONTEXT_ENTRY_PASIDE)) {
            return VTD_FR_SM_PASID_DISABLED;
        }
        if (pasid > VTD_SM_CONTEXT_ENTRY_MAX_PASID(&ce)) {
            return VTD_FR_SM_PASID_ABOVE_PDTS;
        }
    }

    ret = vtd_sm_get_pe(s, &ce, vtd_accel_sid(dev), pasid, &pe, fpd);
    if (ret) {
        return -ret;
    }
    want->flags |= IOMMU_UAPI_BIND_ARCHID;
    want->archid = VTD_SM_PASID_ENTRY_DID(pe.val[1]);
    if ((pe.val[0] & VTD_SM_PASID_ENTRY_PGTT) == VTD_SM_PASID_ENTRY_FLT) {
        /*
         * vtd_pe_check() has refused what the guest is not shown. WPE is about
         * privileged requests, of which there are none without ECAP.SRS.
         */
        want->format = IOMMU_UAPI_FORMAT_INTEL_VTD;
        want->gpgd = pe.val[2] & VTD_SM_PASID_ENTRY_FLPTPTR;
        want->addr_width = VTD_ACCEL_WIDTH;
        if (ce.val[0] & VTD_SM_CONTEXT_ENTRY_PRE && dev->page_requests) {
            want->flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
        }
    }
    return 0;
}

/* Collect the PASIDs whose entries are present in the guest's table */
static void vtd_accel_find_pasids(VTDAccelDevice *dev)
{
    uint64_t pdire, table[VTD_PAGE_SIZE / sizeof(uint64_t)];
    const unsigned int per_table = VTD_PAGE_SIZE / VTD_PASID_ENTRY_SIZE;
    IntelIOMMUState *s = dev->accel->s;
    VTDAddressSpace *vtd_as;
    VTDContextEntry ce;
    uint32_t pasid, last;
    bool fpd;

    if (!s->dmar_enabled || !s->root_scalable || !dev->pasids) {
        return;
    }
    vtd_as = vtd_find_add_as(s, dev->bus, dev->devfn, PCI_NO_PASID);
    if (vtd_sm_get_context(s, vtd_as, &ce, &fpd) ||
        !(ce.val[0] & VTD_SM_CONTEXT_ENTRY_PASIDE)) {
        return;
    }
    last = MIN(VTD_SM_CONTEXT_ENTRY_MAX_PASID(&ce), vtd_max_pasid(s));
    for (pasid = 0; pasid <= last; pasid += per_table) {
        if (!vtd_sm_read((ce.val[0] & VTD_PASID_DIR_BASE_ADDR_MASK) +
                         VTD_PASID_DIR_INDEX(pasid) * VTD_PASID_DIR_ENTRY_SIZE,
                         &pdire, 1) || !(pdire & VTD_PASID_ENTRY_P) ||
            !vtd_sm_read(pdire & VTD_PASID_TABLE_BASE_ADDR_MASK, table,
                         ARRAY_SIZE(table))) {
            continue;
        }
        for (unsigned int i = pasid == 0; i < per_table && pasid + i <= last;
             i++) {
            if (table[i * VTD_PASID_ENTRY_SIZE / 8] & VTD_PASID_ENTRY_P) {
                g_array_append_vals(dev->todo, &(uint32_t) { pasid + i }, 1);
            }
        }
    }
}

/*
 * What is bound in the host
 */

/* Forget page request groups: those of a device, or of one PASID of it */
static void vtd_accel_drop_groups(VTDAccelDevice *dev, uint32_t pasid)
{
    GList *link, *next;

    for (link = dev->accel->groups.head; link; link = next) {
        VTDAccelGroup *group = link->data;

        next = link->next;
        if (group->dev == dev &&
            (pasid == VTD_ACCEL_ALL_PASIDS || group->pasid == pasid)) {
            g_free(group);
            g_queue_delete_link(&dev->accel->groups, link);
        }
    }
}

static void vtd_accel_unbind(VTDAccelDevice *dev, uint32_t pasid)
{
    /* -ENOENT: blocked already, or the group has left its container */
    vtd_accel_class(dev)->unbind(dev->hiod, pasid);
    g_hash_table_remove(dev->bound, GUINT_TO_POINTER(pasid));
    vtd_accel_drop_groups(dev, pasid);
}

static void vtd_accel_bind(VTDAccelDevice *dev,
                           const struct iommu_uapi_gpasid_bind_data *want)
{
    uint32_t pasid = want->hpasid;
    int ret = vtd_accel_class(dev)->bind(dev->hiod, want);

    if (ret) {
        /*
         * In most cases the host has blocked it already, but not if another
         * device has joined the group. The next invalidation tries again.
         */
        vtd_accel_unbind(dev, pasid);
        warn_report_once("%s: PASID %u is blocked, its page table can't be "
                         "bound: %s", dev->hiod->name, pasid, strerror(-ret));
        return;
    }
    g_hash_table_replace(dev->bound, GUINT_TO_POINTER(pasid),
                         g_memdup2(want, sizeof(*want)));
    if (!(want->flags & IOMMU_UAPI_BIND_PAGE_REQUEST)) {
        vtd_accel_drop_groups(dev, pasid);
    }
}

/* Either unbind what has to go, or bind what has to come */
static void vtd_accel_apply(VTDAccelDevice *dev, bool bind)
{
    struct iommu_uapi_gpasid_bind_data want, *bound;
    uint32_t pasid;
    bool fpd;
    int ret;

    for (unsigned int i = 0; i < dev->todo->len; i++) {
        pasid = g_array_index(dev->todo, uint32_t, i);
        bound = g_hash_table_lookup(dev->bound, GUINT_TO_POINTER(pasid));

        vtd_iommu_lock(dev->accel->s);
        ret = vtd_accel_want(dev, pasid, &want, &fpd);
        vtd_iommu_unlock(dev->accel->s);

        if (ret && bound && !bind) {
            vtd_accel_unbind(dev, pasid);
        } else if (!ret && bind &&
                   (!bound || memcmp(bound, &want, sizeof(want)))) {
            vtd_accel_bind(dev, &want);
        }
    }
}

void vtd_accel_sync(IntelIOMMUState *s, uint16_t sid, uint16_t mask,
                    uint32_t pasid)
{
    VTDAccelDevice *dev;
    GHashTableIter iter;
    gpointer key;

    if (!vtd_accel_active(s)) {
        return;
    }

    /* What was invalidated before is about tables that may be unbound now */
    vtd_accel_flush(s);

    QLIST_FOREACH(dev, &s->accel->devices, next) {
        g_array_set_size(dev->todo, 0);
        if ((vtd_accel_sid(dev) ^ sid) & ~mask) {
            continue;
        }
        if (pasid != VTD_ACCEL_ALL_PASIDS) {
            if (pasid == RID_PASID ||
                (dev->pasids && pasid <= vtd_max_pasid(s))) {
                g_array_append_val(dev->todo, pasid);
            }
            continue;
        }
        g_array_append_vals(dev->todo, &(uint32_t) { RID_PASID }, 1);
        g_hash_table_iter_init(&iter, dev->bound);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
            if (GPOINTER_TO_UINT(key) != RID_PASID) {
                g_array_append_vals(dev->todo,
                                    &(uint32_t) { GPOINTER_TO_UINT(key) }, 1);
            }
        }
        vtd_iommu_lock(s);
        vtd_accel_find_pasids(dev);
        vtd_iommu_unlock(s);
    }

    /* A table may move from one device to another: it must not serve both */
    QLIST_FOREACH(dev, &s->accel->devices, next) {
        vtd_accel_apply(dev, false);
    }
    QLIST_FOREACH(dev, &s->accel->devices, next) {
        vtd_accel_apply(dev, true);
    }
}

/*
 * Invalidations
 */

/*
 * Invalidate everything, one device after the other, so that one that does not
 * answer keeps none of the others from being invalidated. The host blocks it
 * until it is reset, so it uses nothing stale. Tell the guest, but only once,
 * since it may submit the same again, and must come to an end with it. One
 * error names one device, so the next one is told at the guest's next try.
 */
static void vtd_accel_inv_each(IntelIOMMUState *s)
{
    VTDAccelDevice *dev;

    QLIST_FOREACH(dev, &s->accel->devices, next) {
        if (!vtd_accel_class(dev)->answers(dev->hiod) && !dev->timeout_told &&
            !s->iq_timeout) {
            dev->timeout_told = true;
            vtd_inv_timeout(s, vtd_accel_sid(dev));
        }
    }
}

bool vtd_accel_flush(IntelIOMMUState *s)
{
    unsigned int done = 0, nr;
    VTDAccelDevice *dev;
    bool ok = true;
    int err;

    if (!vtd_accel_active(s)) {
        return true;
    }

    nr = s->accel->batched;
    s->accel->batched = 0;
    /* Each device leads to all of them */
    dev = QLIST_FIRST(&s->accel->devices);
    while (done < nr) {
        err = 0;
        done += vtd_accel_class(dev)->invalidate(dev->hiod,
                                                 s->accel->batch + done,
                                                 nr - done, &err);
        if (!err) {
            break;
        }
        if (err == -EIO) {
            /*
             * A device did not answer, and the host has not asked all others.
             * This covers the entries that are left, too.
             */
            vtd_accel_inv_each(s);
            return ok;
        }
        /*
         * Whatever is wrong with this one, those after it count too.
         * -ENOENT: nothing is bound there.
         */
        done++;
        ok &= err == -ENOENT;
    }
    if (!ok) {
        vtd_accel_inv_each(s);
    }
    return ok;
}

static struct iommu_uapi_cache_invalidate_info *
vtd_accel_inv_add(IntelIOMMUState *s, uint8_t granularity)
{
    struct iommu_uapi_cache_invalidate_info *inv;

    if (s->accel->batched == VTD_ACCEL_BATCH) {
        vtd_accel_flush(s);
    }
    inv = &s->accel->batch[s->accel->batched++];
    memset(inv, 0, sizeof(*inv));
    inv->version = IOMMU_UAPI_VERSION_2;
    inv->cache = IOMMU_UAPI_CACHE_IOTLB;
    inv->granularity = granularity;
    return inv;
}

void vtd_accel_inv_all(IntelIOMMUState *s)
{
    if (vtd_accel_active(s)) {
        /* Covers all that was collected */
        s->accel->batched = 0;
        vtd_accel_inv_add(s, IOMMU_UAPI_GRANU_DOMAIN);
    }
}

void vtd_accel_inv_domain(IntelIOMMUState *s, uint16_t domain_id)
{
    struct iommu_uapi_cache_invalidate_info *inv;

    if (vtd_accel_active(s)) {
        inv = vtd_accel_inv_add(s, IOMMU_UAPI_GRANU_DOMAIN);
        inv->pasid_info.flags = IOMMU_UAPI_INV_PASID_ARCHID;
        inv->pasid_info.archid = domain_id;
    }
}

void vtd_accel_inv_pasid(IntelIOMMUState *s, uint16_t domain_id, uint32_t pasid)
{
    struct iommu_uapi_cache_invalidate_info *inv;

    if (vtd_accel_active(s) && pasid <= vtd_max_pasid(s)) {
        inv = vtd_accel_inv_add(s, IOMMU_UAPI_GRANU_PASID);
        inv->pasid_info.flags = IOMMU_UAPI_INV_PASID_PASID |
                                IOMMU_UAPI_INV_PASID_ARCHID;
        inv->pasid_info.archid = domain_id;
        inv->pasid_info.pasid = pasid;
    }
}

void vtd_accel_inv_pages(IntelIOMMUState *s, uint16_t domain_id,
                         uint32_t pasid, hwaddr addr, uint8_t am, bool leaf)
{
    struct iommu_uapi_cache_invalidate_info *inv;

    if (VTD_PAGE_SHIFT_4K + am >= VTD_ACCEL_WIDTH) {
        vtd_accel_inv_pasid(s, domain_id, pasid);
        return;
    }
    if (!vtd_accel_active(s) || pasid > vtd_max_pasid(s) ||
        addr != sextract64(addr, 0, VTD_ACCEL_WIDTH)) {
        /* Nothing of an address that is not canonical was ever cached */
        return;
    }
    inv = vtd_accel_inv_add(s, IOMMU_UAPI_GRANU_ADDR);
    inv->addr_info.flags = IOMMU_UAPI_INV_ADDR_PASID |
                           IOMMU_UAPI_INV_ADDR_ARCHID |
                           (leaf ? IOMMU_UAPI_INV_ADDR_LEAF : 0);
    inv->addr_info.archid = domain_id;
    inv->addr_info.pasid = pasid;
    inv->addr_info.granule_size = VTD_PAGE_SIZE << am;
    inv->addr_info.addr = QEMU_ALIGN_DOWN(addr, inv->addr_info.granule_size);
    inv->addr_info.nb_granules = 1;
}

/*
 * Page requests, page responses and DMA faults
 */

/* The guest's PRI capability of the device, or NULL */
static uint8_t *vtd_accel_pri(VTDAccelDevice *dev)
{
    PCIDevice *pdev = pci_find_device(dev->bus, pci_bus_num(dev->bus),
                                      dev->devfn);
    uint16_t cap = pdev && pci_is_express(pdev) ?
                   pcie_find_capability(pdev, PCI_EXT_CAP_ID_PRI) : 0;

    return cap ? pdev->config + cap : NULL;
}

static void vtd_accel_respond(VTDAccelDevice *dev, bool has_pasid,
                              uint32_t pasid, uint32_t grpid, uint32_t code,
                              uint64_t cookie)
{
    struct iommu_uapi_page_response response = {
        .version = IOMMU_UAPI_VERSION_2,
        .flags = IOMMU_UAPI_RESP_COOKIE_VAL |
                 (has_pasid ? IOMMU_UAPI_RESP_PASID_VAL : 0),
        .pasid = pasid,
        .grpid = grpid,
        .code = code,
        .cookie = cookie,
    };

    /* If it is too late, that's no error of the guest */
    vtd_accel_class(dev)->page_response(dev->hiod, &response);
}

static void vtd_accel_page_requests(HostIOMMUDevice *hiod,
                                    const struct iommu_uapi_page_request *req,
                                    unsigned int nr)
{
    VTDAccelDevice *dev = hiod->guest;
    bool has_pasid = req->flags & IOMMU_UAPI_REQ_PASID_VAL;
    g_autofree PCIPageRequest *requests = g_new0(PCIPageRequest, nr);
    PCIPageRequestResult result = PCI_PAGE_REQUEST_INVALID;
    uint8_t *pri = vtd_accel_pri(dev);
    VTDAccelGroup *group;

    for (unsigned int i = 0; i < nr; i++) {
        requests[i] = (PCIPageRequest) {
            .addr = req[i].addr,
            .group = req[i].grpid,
            .has_pasid = has_pasid,
            .pasid = req[i].pasid,
            .read = req[i].perm & IOMMU_UAPI_PERM_READ,
            .write = req[i].perm & IOMMU_UAPI_PERM_WRITE,
            .exec = req[i].perm & IOMMU_UAPI_PERM_EXEC,
            .priv = req[i].perm & IOMMU_UAPI_PERM_PRIV,
            .last = i == nr - 1,
        };
    }

    /* The host has enabled them whatever the guest has done */
    if (pri && pci_get_word(pri + PCI_PRI_CTRL) & PCI_PRI_CTRL_ENABLE) {
        result = vtd_queue_page_requests(dev->accel->s, dev->bus, dev->devfn,
                                         requests, nr);
    }
    if (result != PCI_PAGE_REQUEST_QUEUED) {
        /* What found no room is answered with a success: the device retries */
        vtd_accel_respond(dev, has_pasid, req->pasid, req->grpid,
                          result == PCI_PAGE_REQUEST_DROPPED ?
                          IOMMU_UAPI_RESP_SUCCESS : IOMMU_UAPI_RESP_INVALID,
                          req->cookie);
        return;
    }

    /* The host has given up on the oldest, if there are that many */
    if (g_queue_get_length(&dev->accel->groups) == IOMMU_UAPI_MAX_GROUPS) {
        g_free(g_queue_pop_head(&dev->accel->groups));
    }
    group = g_new(VTDAccelGroup, 1);
    *group = (VTDAccelGroup) {
        .dev = dev,
        .pasid = has_pasid ? req->pasid : RID_PASID,
        .grpid = req->grpid,
        .cookie = req->cookie,
    };
    g_queue_push_tail(&dev->accel->groups, group);
}

void vtd_accel_drain_page_requests(IntelIOMMUState *s)
{
    VTDAccelDevice *dev;

    if (vtd_accel_active(s)) {
        dev = QLIST_FIRST(&s->accel->devices);
        vtd_accel_class(dev)->poll_faults(dev->hiod);
    }
}

bool vtd_accel_page_response(IntelIOMMUState *s, uint16_t rid,
                             const PCIPageResponse *response)
{
    uint32_t pasid = response->has_pasid ? response->pasid : RID_PASID;
    VTDAccelDevice *dev;
    uint32_t code;
    uint8_t *pri;

    if (!vtd_accel_active(s)) {
        return false;
    }
    QLIST_FOREACH(dev, &s->accel->devices, next) {
        if (vtd_accel_sid(dev) == rid) {
            break;
        }
    }
    if (!dev) {
        return false;
    }

    switch (response->code) {
    case 0:
        code = IOMMU_UAPI_RESP_SUCCESS;
        break;
    case 1:
        code = IOMMU_UAPI_RESP_INVALID;
        break;
    default:
        code = IOMMU_UAPI_RESP_FAILURE;
    }

    for (GList *link = s->accel->groups.head; link; link = link->next) {
        VTDAccelGroup *group = link->data;

        if (group->dev != dev || group->pasid != pasid ||
            group->grpid != response->group) {
            continue;
        }
        g_queue_delete_link(&s->accel->groups, link);
        /* The tables were changed before */
        vtd_accel_flush(s);
        vtd_accel_respond(dev, response->has_pasid, response->pasid,
                          response->group, code, group->cookie);
        g_free(group);
        pri = vtd_accel_pri(dev);
        if (code == IOMMU_UAPI_RESP_FAILURE && pri) {
            pci_set_word(pri + PCI_PRI_STATUS,
                         pci_get_word(pri + PCI_PRI_STATUS) |
                         PCI_PRI_STATUS_RF);
        }
        break;
    }
    return true;
}

/* The reason that the guest's IOMMU would have for a fault of the host's */
static int vtd_accel_fault_reason(VTDAccelDevice *dev, uint32_t pasid,
                                  uint32_t reason, bool *fpd)
{
    struct iommu_uapi_gpasid_bind_data want;
    int ret = vtd_accel_want(dev, pasid, &want, fpd);

    if (ret) {
        return ret;
    }
    if (!g_hash_table_contains(dev->bound, GUINT_TO_POINTER(pasid))) {
        return VTD_FR_PASID_TABLE_ENTRY_INV;
    }
    /* The second stage is not the guest's: its table is beyond memory */
    if ((reason >= VTD_FR_FS_PAGING_ENTRY_ADDR && reason <= 0x7c) ||
        reason == VTD_FR_SM_ADDR_BEYOND_MGAW) {
        return VTD_FR_FS_PAGING_ENTRY_INV;
    }
    return reason;
}

static void vtd_accel_dma_fault(HostIOMMUDevice *hiod,
                                const struct iommu_uapi_dma_fault *fault)
{
    VTDAccelDevice *dev = hiod->guest;
    IntelIOMMUState *s = dev->accel->s;
    bool has_pasid = fault->flags & IOMMU_UAPI_REQ_PASID_VAL, fpd;
    uint32_t pasid = has_pasid ? fault->pasid : RID_PASID;
    int reason;

    vtd_iommu_lock(s);
    /* While translation is off, a fault has no reason */
    if (s->dmar_enabled) {
        reason = vtd_accel_fault_reason(dev, pasid, fault->reason, &fpd);
        vtd_report_host_fault(s, vtd_accel_sid(dev), fault->addr, reason, fpd,
                              fault->perm & IOMMU_UAPI_PERM_WRITE, has_pasid,
                              pasid, fault->lost);
    }
    vtd_iommu_unlock(s);
}

static void vtd_accel_device_reset(HostIOMMUDevice *hiod)
{
    VTDAccelDevice *dev = hiod->guest;

    vtd_accel_drop_groups(dev, VTD_ACCEL_ALL_PASIDS);
    dev->timeout_told = false;
}

static const HostIOMMUGuestOps vtd_accel_guest_ops = {
    .page_requests = vtd_accel_page_requests,
    .dma_fault = vtd_accel_dma_fault,
    .reset = vtd_accel_device_reset,
};

/*
 * Launch, hot plug and unplug
 */

/*
 * After a state was loaded, the guest's tables are others. It is too early in
 * vtd_post_load(): bridges, which are loaded later, know the bus numbers.
 */
static void vtd_accel_vm_state(void *opaque, bool running, RunState state)
{
    VTDAccel *accel = opaque;

    if (running) {
        vtd_accel_sync_all(accel->s);
    }
}

static void vtd_accel_get_needs(IntelIOMMUState *s,
                                struct iommu_uapi_caps *needs)
{
    memset(needs, 0, sizeof(*needs));
    needs->version = IOMMU_UAPI_VERSION_2;
    needs->features = IOMMU_UAPI_FEAT_BIND_NO_PASID |
                      IOMMU_UAPI_FEAT_INVALIDATE |
                      IOMMU_UAPI_FEAT_INV_SCOPE |
                      IOMMU_UAPI_FEAT_DMA_FAULT;
    needs->formats = BIT_ULL(IOMMU_UAPI_FORMAT_INTEL_VTD) |
                     BIT_ULL(IOMMU_UAPI_FORMAT_SECOND_LEVEL);
    needs->bind_flags = IOMMU_UAPI_BIND_REPLACE | IOMMU_UAPI_BIND_ARCHID;
    needs->inv_iotlb = BIT(IOMMU_UAPI_GRANU_DOMAIN) |
                       BIT(IOMMU_UAPI_GRANU_PASID) |
                       BIT(IOMMU_UAPI_GRANU_ADDR);
    needs->addr_width = VTD_ACCEL_WIDTH;
    needs->gpa_width = s->aw_bits;
    needs->page_sizes = BIT_ULL(12) | BIT_ULL(21);
    if (s->cap & VTD_CAP_FS1GP) {
        needs->page_sizes |= BIT_ULL(30);
    }
    if (s->ecap & VTD_ECAP_DT) {
        needs->inv_dev_iotlb = BIT(IOMMU_UAPI_GRANU_ADDR);
    }
    if (s->ecap & VTD_ECAP_SMPWC) {
        needs->features |= IOMMU_UAPI_FEAT_COHERENT;
    }
    if (s->ecap & VTD_ECAP_PASID) {
        needs->features |= IOMMU_UAPI_FEAT_BIND_PASID |
                           IOMMU_UAPI_FEAT_GUEST_PASID;
        needs->guest_pasid_bits = extract64(s->ecap, VTD_ECAP_PSS_SHIFT, 5) + 1;
    }
    if (s->ecap & VTD_ECAP_PRS) {
        needs->features |= IOMMU_UAPI_FEAT_PAGE_REQUEST;
        needs->bind_flags |= IOMMU_UAPI_BIND_PAGE_REQUEST;
    }
}

/* Name the first thing that the host lacks, and how to do without */
static bool vtd_accel_check(const struct iommu_uapi_caps *needs,
                            const struct iommu_uapi_caps *caps, bool first,
                            Error **errp)
{
    uint64_t features = needs->features & ~caps->features;

    if (needs->addr_width > caps->addr_width ||
        needs->gpa_width > caps->gpa_width) {
        error_setg(errp, "the guest is shown addresses of %u bits, and the "
                   "host has %u and %u in its first and second stage: this "
                   "can't be lowered, use x-flts=off", needs->gpa_width,
                   caps->addr_width, caps->gpa_width);
    } else if (needs->page_sizes & ~caps->page_sizes) {
        error_setg(errp, "the first stage of the host has no pages of 1 GiB: "
                   "use fs1gp=off");
    } else if (features & IOMMU_UAPI_FEAT_COHERENT) {
        error_setg(errp, "the host does not snoop caches when it walks page "
                   "tables: use svm=off");
    } else if (first && needs->guest_pasid_bits > caps->guest_pasid_bits) {
        error_setg(errp, "the guest is shown PASIDs of %u bits, and the host "
                   "can bind PASIDs of %u bits for the device: use "
                   "pasid-bits=%u", needs->guest_pasid_bits,
                   caps->guest_pasid_bits, caps->guest_pasid_bits);
    } else if (first && features & IOMMU_UAPI_FEAT_PAGE_REQUEST) {
        error_setg(errp, "the host takes no page requests from the device: "
                   "use svm=off");
    } else if (first && needs->inv_dev_iotlb & ~caps->inv_dev_iotlb) {
        error_setg(errp, "the host uses no ATS with the device: use "
                   "device-iotlb=off");
    } else if (features & ~(IOMMU_UAPI_FEAT_BIND_PASID |
                            IOMMU_UAPI_FEAT_GUEST_PASID |
                            IOMMU_UAPI_FEAT_PAGE_REQUEST) ||
               needs->formats & ~caps->formats ||
               needs->inv_iotlb & ~caps->inv_iotlb) {
        error_setg(errp, "the host lacks features 0x%" PRIx64 ", formats 0x%"
                   PRIx64 ", invalidations 0x%x: use x-flts=off", features,
                   (uint64_t)(needs->formats & ~caps->formats),
                   needs->inv_iotlb & ~caps->inv_iotlb);
    } else {
        return true;
    }
    return false;
}

bool vtd_accel_attach(IntelIOMMUState *s, PCIBus *bus, int devfn,
                      HostIOMMUDevice *hiod, Error **errp)
{
    HostIOMMUDeviceClass *hiodc = HOST_IOMMU_DEVICE_GET_CLASS(hiod);
    struct iommu_uapi_gpasid_bind_data *start;
    struct iommu_uapi_caps needs, caps;
    VTDAccelDevice *dev;
    bool first;

    if (!hiodc->get_guest_caps) {
        error_setg(errp, "the backend of the device can't bind page tables of "
                   "the guest: use x-flts=off, or the VFIO container");
        return false;
    }
    if (hiod->aliased_bus != bus || hiod->aliased_devfn != devfn) {
        error_setg(errp, "with x-flts=on, a host device can't be below a "
                   "conventional PCI bridge: put it on a PCI Express port");
        return false;
    }
    if (!s->caching_mode) {
        error_setg(errp, "a host device needs caching-mode=on");
        return false;
    }
    vtd_accel_get_needs(s, &needs);
    first = !vtd_accel_active(s);
    if (!hiodc->get_guest_caps(hiod, &caps, errp) ||
        !vtd_accel_check(&needs, &caps, first, errp)) {
        return false;
    }

    if (!s->accel) {
        s->accel = g_new0(VTDAccel, 1);
        s->accel->s = s;
        QLIST_INIT(&s->accel->devices);
        g_queue_init(&s->accel->groups);
    }
    if (first) {
        error_setg(&s->accel->migration_blocker,
                   "Page tables of the guest are bound in the host (x-flts)");
        if (migrate_add_blocker(&s->accel->migration_blocker, errp)) {
            return false;
        }
    }
    if (!hiodc->start_guest(hiod, &needs, &vtd_accel_guest_ops, errp)) {
        if (first) {
            migrate_del_blocker(&s->accel->migration_blocker);
        }
        return false;
    }

    if (first) {
        s->accel->run = qemu_add_vm_change_state_handler(vtd_accel_vm_state,
                                                         s->accel);
    }

    dev = g_new0(VTDAccelDevice, 1);
    dev->accel = s->accel;
    dev->bus = bus;
    dev->devfn = devfn;
    dev->hiod = hiod;
    dev->pasids = caps.features & IOMMU_UAPI_FEAT_BIND_PASID;
    dev->page_requests = needs.features & caps.features &
                         IOMMU_UAPI_FEAT_PAGE_REQUEST;
    dev->bound = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    dev->todo = g_array_new(false, false, sizeof(uint32_t));
    hiod->guest = dev;
    QLIST_INSERT_HEAD(&s->accel->devices, dev, next);

    /*
     * Without PASID, the device starts on the machine's memory. Until the
     * guest sees it, let it be as the guest's tables say.
     */
    start = g_new0(struct iommu_uapi_gpasid_bind_data, 1);
    start->format = IOMMU_UAPI_FORMAT_SECOND_LEVEL;
    g_hash_table_insert(dev->bound, GUINT_TO_POINTER(RID_PASID), start);
    vtd_accel_sync(s, vtd_accel_sid(dev), 0, VTD_ACCEL_ALL_PASIDS);
    return true;
}

void vtd_accel_detach(IntelIOMMUState *s, HostIOMMUDevice *hiod)
{
    VTDAccelDevice *dev = hiod->guest;
    GHashTableIter iter;
    gpointer pasid;

    if (!dev) {
        return;
    }
    /*
     * The device leaves its container later, and until then nothing that the
     * guest invalidates would reach it.
     */
    g_hash_table_iter_init(&iter, dev->bound);
    while (g_hash_table_iter_next(&iter, &pasid, NULL)) {
        vtd_accel_class(dev)->unbind(hiod, GPOINTER_TO_UINT(pasid));
    }
    vtd_accel_drop_groups(dev, VTD_ACCEL_ALL_PASIDS);
    hiod->guest_ops = NULL;
    hiod->guest = NULL;
    QLIST_REMOVE(dev, next);
    g_hash_table_destroy(dev->bound);
    g_array_free(dev->todo, true);
    g_free(dev);
    if (!vtd_accel_active(s)) {
        qemu_del_vm_change_state_handler(s->accel->run);
        migrate_del_blocker(&s->accel->migration_blocker);
    }
}
