/*
 * VFIO containers that nest: page tables of the guest are bound to PASIDs of a
 * device, on top of the mappings of the container.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include <linux/iommu.h>
#include <linux/vfio.h>
#include "hw/vfio/vfio-common.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "system/runstate.h"

/* One record of the fault file */
typedef union VFIOFaultRecord {
    struct iommu_uapi_page_request request;
    struct iommu_uapi_dma_fault fault;
} VFIOFaultRecord;

static VFIOGroup *vfio_nesting_group(HostIOMMUDevice *hiod)
{
    VFIODevice *vbasedev = hiod->agent;

    return vbasedev->group;
}

/* The structures that the kernel returns may be shorter or longer than ours */
static void vfio_nesting_copy_caps(struct iommu_uapi_caps *caps,
                                   const uint8_t *from, uint32_t size)
{
    memset(caps, 0, sizeof(*caps));
    memcpy(caps, from, MIN(size, sizeof(*caps)));
}

/*
 * What the host offers for a group, and what the container has promised to the
 * guest. Each may be NULL.
 */
static bool vfio_nesting_get_caps(VFIOGroup *group,
                                  struct iommu_uapi_caps *offer,
                                  struct iommu_uapi_caps *promise)
{
    g_autofree struct vfio_iommu_type1_info *info = NULL;
    struct vfio_iommu_type1_info_cap_nesting *nesting;
    struct vfio_iommu_type1_info_cap_group *one;
    struct vfio_info_cap_header *header;
    bool found = false;

    if (vfio_get_iommu_info(group->container, &info) ||
        !(info->flags & VFIO_IOMMU_INFO_CAPS)) {
        return false;
    }

    for (uint32_t next = info->cap_offset; next; next = header->next) {
        header = (void *)info + next;
        one = (void *)header;
        nesting = (void *)header;
        if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_GROUP && offer &&
            one->group_id == group->groupid) {
            vfio_nesting_copy_caps(offer, one->caps, one->caps_size);
            found = true;
        } else if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_NESTING && promise) {
            vfio_nesting_copy_caps(promise, nesting->caps, nesting->caps_size);
            found = true;
        }
    }
    return found;
}

static bool vfio_nesting_get_guest_caps(HostIOMMUDevice *hiod,
                                        struct iommu_uapi_caps *caps,
                                        Error **errp)
{
    VFIOGroup *group = vfio_nesting_group(hiod);

    if (!vfio_nesting_get_caps(group, caps, NULL)) {
        error_setg(errp, "the host doesn't tell what can be bound in IOMMU "
                   "group %d", group->groupid);
        return false;
    }
    if (!caps->formats) {
        error_setg(errp, "no page table can be bound in IOMMU group %d of the "
                   "host: it holds more than one device", group->groupid);
        return false;
    }
    return true;
}

bool vfio_nesting_device_caps(VFIODevice *vbasedev,
                              struct iommu_uapi_caps *caps)
{
    struct iommu_uapi_caps promise;

    if (!vbasedev->want_nesting ||
        !vfio_nesting_get_caps(vbasedev->group, caps, NULL) ||
        !vfio_nesting_get_caps(vbasedev->group, NULL, &promise)) {
        return false;
    }
    caps->features &= promise.features;
    caps->inv_dev_iotlb &= promise.inv_dev_iotlb;
    caps->guest_pasid_bits = MIN(caps->guest_pasid_bits,
                                 promise.guest_pasid_bits);
    return true;
}

static HostIOMMUDevice *vfio_nesting_find(VFIOContainer *container,
                                          uint32_t group_id)
{
    VFIODevice *vbasedev;
    VFIOGroup *group;

    QLIST_FOREACH(group, &container->group_list, container_next) {
        vbasedev = QLIST_FIRST(&group->device_list);
        if (group->groupid == group_id && vbasedev && vbasedev->hiod &&
            vbasedev->hiod->guest_ops) {
            return vbasedev->hiod;
        }
    }
    return NULL;
}

static int vfio_nesting_page_response(HostIOMMUDevice *hiod,
                                      const struct iommu_uapi_page_response *r)
{
    VFIOContainer *container = vfio_nesting_group(hiod)->container;

    return write(container->fault_fd, r, sizeof(*r)) < 0 ? -errno : 0;
}

/* A page request of a device that has just left the vIOMMU */
static void vfio_nesting_refuse(VFIOContainer *container,
                                const struct iommu_uapi_page_request *request)
{
    bool pasid = request->flags & IOMMU_UAPI_REQ_PASID_VAL;
    struct iommu_uapi_page_response response = {
        .version = IOMMU_UAPI_VERSION_2,
        .flags = IOMMU_UAPI_RESP_COOKIE_VAL |
                 (pasid ? IOMMU_UAPI_RESP_PASID_VAL : 0),
        .pasid = request->pasid,
        .grpid = request->grpid,
        .code = IOMMU_UAPI_RESP_INVALID,
        .cookie = request->cookie,
    };

    /* If it can't be answered, it isn't there any more */
    if (write(container->fault_fd, &response, sizeof(response)) < 0) {
        return;
    }
}

/* Returns whether there may be more to read */
static bool vfio_nesting_read_faults(VFIOContainer *container)
{
    struct iommu_uapi_page_request requests[IOMMU_UAPI_MAX_GROUP_REQUESTS];
    VFIOFaultRecord records[IOMMU_UAPI_MAX_GROUP_REQUESTS], *record;
    unsigned int nr, pending = 0;
    HostIOMMUDevice *hiod;
    ssize_t len;

    len = RETRY_ON_EINTR(read(container->fault_fd, records, sizeof(records)));
    if (len <= 0) {
        if (len == 0 || errno != EAGAIN) {
            /* The end: the container has no group any more */
            qemu_set_fd_handler(container->fault_fd, NULL, NULL, NULL);
        }
        return false;
    }

    nr = len / sizeof(records[0]);
    for (record = records; record < records + nr; record++) {
        hiod = vfio_nesting_find(container, record->request.group_id);
        if (record->request.flags & IOMMU_UAPI_REQ_DMA_FAULT) {
            if (hiod) {
                hiod->guest_ops->dma_fault(hiod, &record->fault);
            }
            continue;
        }
        requests[pending++] = record->request;
        if (!(record->request.flags & IOMMU_UAPI_REQ_LAST)) {
            continue;
        }
        if (hiod) {
            hiod->guest_ops->page_requests(hiod, requests, pending);
        } else {
            vfio_nesting_refuse(container, &record->request);
        }
        pending = 0;
    }
    return true;
}

static void vfio_nesting_fault_handler(void *opaque)
{
    vfio_nesting_read_faults(opaque);
}

static void vfio_nesting_poll_faults(HostIOMMUDevice *hiod)
{
    VFIOContainer *container = vfio_nesting_group(hiod)->container;

    /* A device may send faster than they are read */
    for (int i = 0; i < IOMMU_UAPI_MAX_GROUPS; i++) {
        if (!vfio_nesting_read_faults(container)) {
            break;
        }
    }
}

/* Where the administrator of the host sets the time limit of page requests */
#define VFIO_NESTING_LIMIT  "/sys/module/iommu_uapi/parameters/page_response_ms"
#define VFIO_NESTING_DEFAULT_LIMIT  10000

static unsigned int vfio_nesting_limit(void)
{
    g_autofree char *text = NULL;
    const char *end;
    unsigned int ms;

    if (!g_file_get_contents(VFIO_NESTING_LIMIT, &text, NULL, NULL) ||
        qemu_strtoui(text, &end, 10, &ms)) {
        return VFIO_NESTING_DEFAULT_LIMIT;
    }
    return ms;
}

/* A guest that is stopped can't answer in time, and that is no fault of it */
static void vfio_nesting_vm_state(void *opaque, bool running, RunState state)
{
    VFIOContainer *container = opaque;
    struct vfio_iommu_type1_fault_fd fault = {
        .argsz = sizeof(fault),
        .flags = VFIO_FAULT_FD_KEEP | VFIO_FAULT_FD_TIMEOUT,
    };

    if (running != container->fault_unlimited) {
        return;
    }
    if (running) {
        fault.timeout_ms = vfio_nesting_limit();
    }
    /* -EDQUOT: the administrator lets none wait for ever, so the limit stays */
    if (!ioctl(container->fd, VFIO_IOMMU_FAULT_FD, &fault)) {
        container->fault_unlimited = !running;
    }
}

/* The contract, and the file for page requests and DMA faults */
static bool vfio_nesting_start(VFIOContainer *container,
                               const struct iommu_uapi_caps *needs,
                               Error **errp)
{
    struct {
        struct vfio_iommu_type1_negotiate head;
        struct iommu_uapi_caps needs;
    } negotiate = {
        .head.argsz = sizeof(negotiate),
        .head.flags = VFIO_NEGOTIATE_COMMIT | VFIO_NEGOTIATE_DEVICES_DIFFER,
        .needs = *needs,
    };
    struct vfio_iommu_type1_fault_fd fault = {
        .argsz = sizeof(fault),
        .flags = VFIO_FAULT_FD_DMA_FAULTS,
        .version = IOMMU_UAPI_VERSION_2,
    };
    int fd;

    if (ioctl(container->fd, VFIO_IOMMU_NEGOTIATE, &negotiate)) {
        error_setg_errno(errp, errno, "the host can't promise what the vIOMMU "
                         "needs (features 0x%llx, PASID bits %u)",
                         negotiate.needs.features,
                         negotiate.needs.guest_pasid_bits);
        return false;
    }

    fd = ioctl(container->fd, VFIO_IOMMU_FAULT_FD, &fault);
    if (fd < 0) {
        /* EIO and EBUSY: a device can't be told to send page requests */
        error_setg_errno(errp, errno, "%s",
                         needs->features & IOMMU_UAPI_FEAT_PAGE_REQUEST &&
                         (errno == EIO || errno == EBUSY) ?
                         "page requests can't be enabled" :
                         "the host can't report DMA faults");
        return false;
    }
    g_unix_set_fd_nonblocking(fd, true, NULL);
    container->fault_fd = fd;
    qemu_set_fd_handler(fd, vfio_nesting_fault_handler, NULL, container);
    container->fault_state =
        qemu_add_vm_change_state_handler(vfio_nesting_vm_state, container);
    return true;
}

static bool vfio_nesting_start_guest(HostIOMMUDevice *hiod,
                                     const struct iommu_uapi_caps *needs,
                                     const HostIOMMUGuestOps *ops,
                                     Error **errp)
{
    VFIOContainer *container = vfio_nesting_group(hiod)->container;

    if (container->fault_fd < 0 &&
        !vfio_nesting_start(container, needs, errp)) {
        return false;
    }
    hiod->guest_ops = ops;
    return true;
}

void vfio_nesting_release(VFIOContainer *container)
{
    if (container->fault_fd >= 0) {
        qemu_del_vm_change_state_handler(container->fault_state);
        qemu_set_fd_handler(container->fault_fd, NULL, NULL, NULL);
        close(container->fault_fd);
        container->fault_fd = -1;
    }
}

void vfio_nesting_device_reset(VFIODevice *vbasedev)
{
    HostIOMMUDevice *hiod = vbasedev->hiod;

    if (hiod && hiod->guest_ops) {
        hiod->guest_ops->reset(hiod);
    }
}

static int vfio_nesting_bind(HostIOMMUDevice *hiod,
                             const struct iommu_uapi_gpasid_bind_data *data)
{
    VFIOGroup *group = vfio_nesting_group(hiod);
    struct {
        struct vfio_iommu_type1_bind_gpasid head;
        struct iommu_uapi_gpasid_bind_data data;
    } bind = {
        .head.argsz = sizeof(bind),
        .head.group_id = group->groupid,
        .data = *data,
    };

    return ioctl(group->container->fd, VFIO_IOMMU_BIND_GPASID, &bind) ?
           -errno : 0;
}

static int vfio_nesting_unbind(HostIOMMUDevice *hiod, uint32_t pasid)
{
    VFIOGroup *group = vfio_nesting_group(hiod);
    struct vfio_iommu_type1_unbind_gpasid unbind = {
        .argsz = sizeof(unbind),
        .group_id = group->groupid,
        .pasid = pasid,
    };

    return ioctl(group->container->fd, VFIO_IOMMU_UNBIND_GPASID, &unbind) ?
           -errno : 0;
}

static unsigned int
vfio_nesting_invalidate(HostIOMMUDevice *hiod,
                        const struct iommu_uapi_cache_invalidate_info *entries,
                        unsigned int nr, int *err)
{
    VFIOContainer *container = vfio_nesting_group(hiod)->container;
    struct {
        struct vfio_iommu_type1_cache_invalidate head;
        struct iommu_uapi_cache_invalidate_info
               entries[VFIO_CACHE_INVALIDATE_MAX];
    } inv;
    unsigned int done = 0, n;

    while (done < nr) {
        n = MIN(nr - done, VFIO_CACHE_INVALIDATE_MAX);
        inv.head = (struct vfio_iommu_type1_cache_invalidate) {
            .argsz = sizeof(inv.head) + n * sizeof(inv.entries[0]),
            .nr_entries = n,
            .entry_size = sizeof(inv.entries[0]),
        };
        memcpy(inv.entries, entries + done, n * sizeof(inv.entries[0]));
        if (ioctl(container->fd, VFIO_IOMMU_CACHE_INVALIDATE, &inv)) {
            *err = -errno;
            return done + inv.head.handled;
        }
        done += n;
    }
    return done;
}

static bool vfio_nesting_answers(HostIOMMUDevice *hiod)
{
    const struct iommu_uapi_cache_invalidate_info all = {
        .version = IOMMU_UAPI_VERSION_2,
        .cache = IOMMU_UAPI_CACHE_IOTLB,
        .granularity = IOMMU_UAPI_GRANU_DOMAIN,
        .pasid_info.flags = IOMMU_UAPI_INV_PASID_GROUP,
        .pasid_info.archid = vfio_nesting_group(hiod)->groupid,
    };
    int err = 0;

    vfio_nesting_invalidate(hiod, &all, 1, &err);
    return err != -EIO;
}

void vfio_nesting_hiod_class_init(HostIOMMUDeviceClass *hioc)
{
    hioc->get_guest_caps = vfio_nesting_get_guest_caps;
    hioc->start_guest = vfio_nesting_start_guest;
    hioc->bind = vfio_nesting_bind;
    hioc->unbind = vfio_nesting_unbind;
    hioc->invalidate = vfio_nesting_invalidate;
    hioc->answers = vfio_nesting_answers;
    hioc->page_response = vfio_nesting_page_response;
    hioc->poll_faults = vfio_nesting_poll_faults;
}
