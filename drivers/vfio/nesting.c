// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO: guest-owned page tables of a container
 *
 * Which PASIDs a container owns, which guest page tables it has bound where,
 * and the commands that change that. What a command carries belongs to the
 * IOMMU core: it is copied at the size that the core says, and not looked into.
 *
 * Lifetime: a group is added when it has been attached to its second level, and
 * removed before it is detached. Its bindings go with it, or before, with the
 * device. The PASIDs stay until they are freed, or to the end of the container's
 * IOMMU.
 *
 * Locks: the caller may hold its own lock outside of &vfio_nesting.lock when it
 * adds or removes groups, or queries. The commands take &vfio_nesting.lock
 * alone, so none of them waits for memory that is being mapped.
 */
#include <linux/device.h>
#include <linux/iommu-uapi.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

#include "nesting.h"

static unsigned int pasid_quota __read_mostly = 1000;
module_param(pasid_quota, uint, 0644);
MODULE_PARM_DESC(pasid_quota,
		 "Maximum number of PASIDs that a container may own (1000)");

/* Entries that are copied, checked and handed on together, on the stack */
#define VFIO_NESTING_CHUNK	16

/**
 * struct vfio_nesting_pasid - PASID that a container may bind
 * @id: the PASID
 * @bindings: list of struct vfio_nesting_binding
 */
struct vfio_nesting_pasid {
	ioasid_t id;
	struct list_head bindings;
};

/**
 * struct vfio_nesting - PASIDs and bindings of a container
 * @lock: protects everything below and all that hangs on it. Taken for writing
 *	to change any of it, for reading to use it.
 * @groups: list of struct vfio_nesting_group
 * @pasids: struct vfio_nesting_pasid by number, those that the container owns
 * @no_pasid: stands for requests without PASID, owned by every container
 * @nr_pasids: number of PASIDs in @pasids and on their way into it
 * @faults: where page requests go; NULL until user space asks for them
 * @committed: whether the contract is fixed
 * @contract: what every group can do, and more than which none may be asked for
 * @contract_size: how much of @contract its version has
 * @contract_pasids: takes the place of the quota
 */
struct vfio_nesting {
	struct rw_semaphore lock;
	struct list_head groups;
	struct xarray pasids;
	struct vfio_nesting_pasid no_pasid;
	unsigned int nr_pasids;
	struct iommu_uapi_faults *faults;
	bool committed;
	struct iommu_uapi_caps contract;
	size_t contract_size;
	unsigned int contract_pasids;
};

/**
 * struct vfio_nesting_group - IOMMU group in a container
 * @next: in struct vfio_nesting.groups
 * @iommu_group: the group; the caller holds it
 * @s2: second level it is attached to; NULL without an IOMMU of its own
 * @dev: its device, which all bindings are for; NULL if the IOMMU can't nest, or
 *	the device has left
 * @caps: what the IOMMU can do, if @dev
 * @requests: whether page requests of @dev are enabled
 * @bindings: list of struct vfio_nesting_binding
 */
struct vfio_nesting_group {
	struct list_head next;
	struct iommu_group *iommu_group;
	struct iommu_domain *s2;
	struct device *dev;
	struct iommu_uapi_caps caps;
	bool requests;
	struct list_head bindings;
};

/**
 * struct vfio_nesting_binding - guest page table bound to (group, PASID)
 * @group_next: in struct vfio_nesting_group.bindings
 * @pasid_next: in struct vfio_nesting_pasid.bindings
 * @group: the group
 * @pasid: the PASID
 * @bound: what the IOMMU core made of it
 */
struct vfio_nesting_binding {
	struct list_head group_next;
	struct list_head pasid_next;
	struct vfio_nesting_group *group;
	struct vfio_nesting_pasid *pasid;
	struct iommu_uapi_binding *bound;
};

struct vfio_nesting_devs {
	struct device *first;
	unsigned int nr;
};

static int vfio_nesting_count_dev(struct device *dev, void *data)
{
	struct vfio_nesting_devs *devs = data;

	if (!devs->nr++)
		devs->first = get_device(dev);
	return 0;
}

/* To be put by the caller; NULL if there is none. */
static struct device *vfio_nesting_first_dev(struct iommu_group *iommu_group,
					     bool *only)
{
	struct vfio_nesting_devs devs = {};

	iommu_group_for_each_dev(iommu_group, &devs, vfio_nesting_count_dev);
	*only = devs.nr == 1;
	return devs.first;
}

/*
 * Can anything be bound in @group? Another device may have joined it at any time,
 * so this is asked anew for every bind.
 */
static bool vfio_nesting_can_bind(struct vfio_nesting_group *group)
{
	struct device *dev;
	bool only;

	if (!group->dev)
		return false;

	dev = vfio_nesting_first_dev(group->iommu_group, &only);
	put_device(dev);
	return only && dev == group->dev;
}

static struct vfio_nesting_group *
vfio_nesting_find_group(struct vfio_nesting *nesting, u32 id)
{
	struct vfio_nesting_group *group;

	lockdep_assert_held(&nesting->lock);

	list_for_each_entry(group, &nesting->groups, next) {
		if (iommu_group_id(group->iommu_group) == id)
			return group;
	}
	return NULL;
}

/* NULL if the container does not own it. */
static struct vfio_nesting_pasid *
vfio_nesting_find_pasid(struct vfio_nesting *nesting, ioasid_t id)
{
	lockdep_assert_held(&nesting->lock);

	if (id == IOMMU_NO_PASID)
		return &nesting->no_pasid;
	return xa_load(&nesting->pasids, id);
}

static struct vfio_nesting_binding *
vfio_nesting_find_binding(struct vfio_nesting_pasid *pasid,
			  struct vfio_nesting_group *group)
{
	struct vfio_nesting_binding *binding;

	list_for_each_entry(binding, &pasid->bindings, pasid_next) {
		if (binding->group == group)
			return binding;
	}
	return NULL;
}

/* What all groups have in common. */
static int vfio_nesting_common_caps(struct vfio_nesting *nesting,
				    struct iommu_uapi_caps *caps)
{
	struct vfio_nesting_group *group;
	bool first = true;

	lockdep_assert_held(&nesting->lock);

	list_for_each_entry(group, &nesting->groups, next) {
		if (!vfio_nesting_can_bind(group))
			return -EOPNOTSUPP;
		if (first)
			*caps = group->caps;
		else
			iommu_uapi_caps_intersect(caps, &group->caps);
		first = false;
	}
	return first ? -EOPNOTSUPP : 0;
}

/* What is promised to the user: with a contract that, whoever comes or goes. */
static int vfio_nesting_get_caps(struct vfio_nesting *nesting,
				 struct iommu_uapi_caps *caps)
{
	if (!nesting->committed)
		return vfio_nesting_common_caps(nesting, caps);

	*caps = nesting->contract;
	return 0;
}

/* What a call for @group may ask for. */
static const struct iommu_uapi_caps *
vfio_nesting_group_caps(struct vfio_nesting *nesting,
			struct vfio_nesting_group *group)
{
	return nesting->committed ? &nesting->contract : &group->caps;
}

static unsigned int vfio_nesting_quota(struct vfio_nesting *nesting)
{
	return nesting->committed ? nesting->contract_pasids :
				    READ_ONCE(pasid_quota);
}

/*
 * The binding is gone afterwards, whatever is returned: an error tells that the
 * device could not go back to its second level and is blocked.
 */
static int vfio_nesting_undo_bind(struct vfio_nesting_binding *binding)
{
	int rc;

	rc = iommu_uapi_unbind(binding->bound);
	list_del(&binding->group_next);
	list_del(&binding->pasid_next);
	kfree(binding);
	return rc;
}

/*
 * Let the device of a group request pages. Without the means to, or with company,
 * the group goes without: a bind in it can't ask for them.
 */
static int vfio_nesting_enable_requests(struct vfio_nesting *nesting,
					struct vfio_nesting_group *group)
{
	const struct iommu_uapi_caps *caps;
	int rc;

	/* A contract has no more than the group */
	caps = vfio_nesting_group_caps(nesting, group);
	if (!vfio_nesting_can_bind(group) ||
	    !iommu_uapi_caps_page_requests(caps))
		return 0;

	rc = iommu_dev_enable_feature(group->dev, IOMMU_DEV_FEAT_IOPF);
	if (rc)
		return rc == -ENODEV ? 0 : rc;
	group->requests = true;
	return 0;
}

static void vfio_nesting_disable_requests(struct vfio_nesting_group *group)
{
	if (!group->requests)
		return;

	iommu_dev_disable_feature(group->dev, IOMMU_DEV_FEAT_IOPF);
	group->requests = false;
}

static void vfio_nesting_drop_dev(struct vfio_nesting_group *group)
{
	struct vfio_nesting_binding *binding, *tmp;

	list_for_each_entry_safe(binding, tmp, &group->bindings, group_next)
		vfio_nesting_undo_bind(binding);
	vfio_nesting_disable_requests(group);
	put_device(group->dev);
	group->dev = NULL;
}

static void vfio_nesting_drop_group(struct vfio_nesting_group *group)
{
	vfio_nesting_drop_dev(group);
	list_del(&group->next);
	kfree(group);
}

static void vfio_nesting_drop_pasid(struct vfio_nesting *nesting,
				    struct vfio_nesting_pasid *pasid)
{
	lockdep_assert_held_write(&nesting->lock);

	xa_erase(&nesting->pasids, pasid->id);
	iommu_uapi_pasid_free(pasid->id);
	nesting->nr_pasids--;
	kfree(pasid);
}

/**
 * vfio_nesting_create - make the state of a nesting container
 *
 * Return: the state, or ERR_PTR(-ENOMEM).
 */
struct vfio_nesting *vfio_nesting_create(void)
{
	struct vfio_nesting *nesting;

	nesting = kzalloc(sizeof(*nesting), GFP_KERNEL_ACCOUNT);
	if (!nesting)
		return ERR_PTR(-ENOMEM);

	init_rwsem(&nesting->lock);
	INIT_LIST_HEAD(&nesting->groups);
	xa_init(&nesting->pasids);
	nesting->no_pasid.id = IOMMU_NO_PASID;
	INIT_LIST_HEAD(&nesting->no_pasid.bindings);
	return nesting;
}
EXPORT_SYMBOL_GPL(vfio_nesting_create);

/**
 * vfio_nesting_destroy - end the state of a container
 * @nesting: the state; no command is running
 *
 * Undoes all bindings, so it comes before the groups are detached, and frees all
 * PASIDs.
 */
void vfio_nesting_destroy(struct vfio_nesting *nesting)
{
	struct vfio_nesting_group *group, *tmp;
	struct vfio_nesting_pasid *pasid;
	unsigned long id;

	if (!nesting)
		return;

	down_write(&nesting->lock);
	list_for_each_entry_safe(group, tmp, &nesting->groups, next)
		vfio_nesting_drop_group(group);
	xa_for_each(&nesting->pasids, id, pasid) {
		vfio_nesting_drop_pasid(nesting, pasid);
		cond_resched();
	}
	up_write(&nesting->lock);

	WARN_ON_ONCE(nesting->nr_pasids);
	iommu_uapi_faults_put(nesting->faults);
	xa_destroy(&nesting->pasids);
	kfree(nesting);
}
EXPORT_SYMBOL_GPL(vfio_nesting_destroy);

/**
 * vfio_nesting_domain_alloc - allocate a second level to nest on
 * @dev: device of the group that will be attached
 *
 * Return: the domain, or an ERR_PTR(): -EOPNOTSUPP if the IOMMU can't nest.
 */
struct iommu_domain *vfio_nesting_domain_alloc(struct device *dev)
{
	return iommu_uapi_parent_alloc(dev);
}
EXPORT_SYMBOL_GPL(vfio_nesting_domain_alloc);

/**
 * vfio_nesting_add_group - a group joins the container
 * @nesting: state of the container
 * @iommu_group: the group
 * @s2: second level that the group is attached to; NULL if it has no IOMMU of
 *	its own
 *
 * An IOMMU that can't nest is no error. It only keeps the group from being
 * bound, and the container from reporting the capability. With a contract the
 * group must be able to do what that promises.
 *
 * Return: 0; -ERANGE if the group can't keep the contract; -ENOMEM.
 */
int vfio_nesting_add_group(struct vfio_nesting *nesting,
			   struct iommu_group *iommu_group,
			   struct iommu_domain *s2)
{
	struct vfio_nesting_group *group;
	struct iommu_uapi_caps have = {}, missing;
	struct device *dev;
	bool only;
	int rc = 0;

	if (!nesting)
		return 0;

	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return -ENOMEM;

	group->iommu_group = iommu_group;
	group->s2 = s2;
	INIT_LIST_HEAD(&group->bindings);
	if (s2) {
		dev = vfio_nesting_first_dev(iommu_group, &only);
		if (dev && !iommu_uapi_get_caps(dev, s2, &group->caps))
			group->dev = dev;
		else
			put_device(dev);
		if (group->dev && only)
			have = group->caps;
	}

	down_write(&nesting->lock);
	if (nesting->committed)
		rc = iommu_uapi_caps_missing(&nesting->contract, &have,
					     &missing);
	if (!rc && nesting->faults)
		rc = vfio_nesting_enable_requests(nesting, group);
	if (!rc)
		list_add_tail(&group->next, &nesting->groups);
	up_write(&nesting->lock);
	if (rc) {
		put_device(group->dev);
		kfree(group);
	}
	return rc;
}
EXPORT_SYMBOL_GPL(vfio_nesting_add_group);

/**
 * vfio_nesting_remove_group - a group leaves the container
 * @nesting: state of the container
 * @iommu_group: the group, still attached to its second level. It need not have
 *	been added.
 *
 * Undoes all bindings of the group.
 */
void vfio_nesting_remove_group(struct vfio_nesting *nesting,
			       struct iommu_group *iommu_group)
{
	struct vfio_nesting_group *group;

	if (!nesting)
		return;

	down_write(&nesting->lock);
	list_for_each_entry(group, &nesting->groups, next) {
		if (group->iommu_group == iommu_group) {
			vfio_nesting_drop_group(group);
			break;
		}
	}
	up_write(&nesting->lock);
}
EXPORT_SYMBOL_GPL(vfio_nesting_remove_group);

/**
 * vfio_nesting_remove_device - a device leaves its group
 * @nesting: state of the container
 * @dev: the device, whose IOMMU still knows it
 *
 * Undoes all bindings that are for it. Without company, the group goes next. With
 * company, it can't be bound until it is added anew.
 */
void vfio_nesting_remove_device(struct vfio_nesting *nesting,
				struct device *dev)
{
	struct vfio_nesting_group *group;

	if (!nesting)
		return;

	down_write(&nesting->lock);
	list_for_each_entry(group, &nesting->groups, next) {
		if (group->dev == dev)
			vfio_nesting_drop_dev(group);
	}
	up_write(&nesting->lock);
}
EXPORT_SYMBOL_GPL(vfio_nesting_remove_device);

/**
 * vfio_nesting_version - answer to VFIO_TYPE1_IOMMU_UAPI
 *
 * Return: the highest version that can be carried.
 */
int vfio_nesting_version(void)
{
	return IOMMU_UAPI_VERSION;
}
EXPORT_SYMBOL_GPL(vfio_nesting_version);

/**
 * vfio_nesting_can_map_ro - can memory be mapped read-only?
 * @nesting: state of the container
 *
 * Return: false if the second level of any group can't have such mappings.
 */
bool vfio_nesting_can_map_ro(struct vfio_nesting *nesting)
{
	struct vfio_nesting_group *group;
	bool can = true;

	if (!nesting)
		return true;

	down_read(&nesting->lock);
	list_for_each_entry(group, &nesting->groups, next) {
		if (group->dev &&
		    !iommu_uapi_caps_map_ro(vfio_nesting_group_caps(nesting,
								    group)))
			can = false;
	}
	up_read(&nesting->lock);
	return can;
}
EXPORT_SYMBOL_GPL(vfio_nesting_can_map_ro);

/* Adds nothing before VFIO_IOMMU_FAULT_FD. */
static int vfio_nesting_build_fault_caps(struct vfio_nesting *nesting,
					 struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_faults cap = {
		.header.id = VFIO_IOMMU_TYPE1_INFO_CAP_FAULTS,
		.header.version = 1,
	};
	bool there;

	down_read(&nesting->lock);
	there = nesting->faults;
	if (there)
		iommu_uapi_faults_count(nesting->faults, &cap.waiting,
					&cap.overflows, &cap.timeouts);
	up_read(&nesting->lock);

	if (!there)
		return 0;
	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

/**
 * vfio_nesting_build_caps - add VFIO_IOMMU_TYPE1_INFO_CAP_NESTING and _FAULTS
 * @nesting: state of the container
 * @caps: chain to add it to
 *
 * Adds nothing where the capability does not apply.
 *
 * Return: 0 or -ENOMEM.
 */
int vfio_nesting_build_caps(struct vfio_nesting *nesting,
			    struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_nesting *cap;
	struct vfio_info_cap_header *header;
	struct iommu_uapi_caps common;
	u32 used, quota;
	size_t size;
	int rc;

	if (!nesting)
		return 0;

	down_read(&nesting->lock);
	rc = vfio_nesting_get_caps(nesting, &common);
	used = nesting->nr_pasids;
	quota = vfio_nesting_quota(nesting);
	size = nesting->committed ? nesting->contract_size : sizeof(common);
	up_read(&nesting->lock);
	if (rc)
		return vfio_nesting_build_fault_caps(nesting, caps);

	header = vfio_info_cap_add(caps, sizeof(*cap) + size,
				   VFIO_IOMMU_TYPE1_INFO_CAP_NESTING, 1);
	if (IS_ERR(header))
		return PTR_ERR(header);

	cap = container_of(header, struct vfio_iommu_type1_info_cap_nesting,
			   header);
	cap->pasid_quota = quota;
	cap->pasids_used = used;
	cap->caps_size = size;
	memcpy(cap->caps, &common, size);
	return vfio_nesting_build_fault_caps(nesting, caps);
}
EXPORT_SYMBOL_GPL(vfio_nesting_build_caps);

/*
 * The PASID becomes the container's only after its number has reached the
 * caller. Until then no other thread can bind or free it, so that it can be
 * given back.
 */
static int vfio_nesting_pasid_alloc(struct vfio_nesting *nesting, u32 first,
				    u32 last, u32 __user *out)
{
	struct vfio_nesting_pasid *pasid;
	struct iommu_uapi_caps caps;
	int rc;

	pasid = kzalloc(sizeof(*pasid), GFP_KERNEL_ACCOUNT);
	if (!pasid)
		return -ENOMEM;
	INIT_LIST_HEAD(&pasid->bindings);

	down_write(&nesting->lock);
	rc = vfio_nesting_get_caps(nesting, &caps);
	if (!rc && nesting->nr_pasids >= vfio_nesting_quota(nesting))
		rc = -EDQUOT;
	if (!rc)
		rc = iommu_uapi_pasid_alloc(&caps, first, last, &pasid->id);
	if (rc) {
		up_write(&nesting->lock);
		goto err_kfree;
	}
	nesting->nr_pasids++;
	up_write(&nesting->lock);

	rc = xa_reserve(&nesting->pasids, pasid->id, GFP_KERNEL_ACCOUNT);
	if (rc)
		goto err_free;

	if (put_user(pasid->id, out)) {
		rc = -EFAULT;
		goto err_release;
	}

	down_write(&nesting->lock);
	/* Reserved, so this can't fail */
	xa_store(&nesting->pasids, pasid->id, pasid, GFP_KERNEL_ACCOUNT);
	up_write(&nesting->lock);
	return 0;

err_release:
	xa_release(&nesting->pasids, pasid->id);
err_free:
	down_write(&nesting->lock);
	iommu_uapi_pasid_free(pasid->id);
	nesting->nr_pasids--;
	up_write(&nesting->lock);
err_kfree:
	kfree(pasid);
	return rc;
}

/* Takes as long as there are PASIDs to free, not as the range is wide. */
static int vfio_nesting_pasid_free(struct vfio_nesting *nesting, u32 first,
				   u32 last)
{
	struct vfio_nesting_pasid *pasid;
	unsigned long id;
	int rc = -ENOENT;

	down_write(&nesting->lock);
	xa_for_each_range(&nesting->pasids, id, pasid, first, last) {
		rc = 0;
		if (!list_empty(&pasid->bindings)) {
			rc = -EBUSY;
			break;
		}
	}
	if (!rc) {
		xa_for_each_range(&nesting->pasids, id, pasid, first, last) {
			vfio_nesting_drop_pasid(nesting, pasid);
			cond_resched();
		}
	}
	up_write(&nesting->lock);
	return rc;
}

/**
 * vfio_nesting_pasid_request - VFIO_IOMMU_PASID_REQUEST
 * @nesting: state of the container
 * @arg: struct vfio_iommu_type1_pasid_request
 *
 * Return: 0, or an error as in uapi/linux/iommu.h.
 */
int vfio_nesting_pasid_request(struct vfio_nesting *nesting, void __user *arg)
{
	const size_t minsz =
		offsetofend(struct vfio_iommu_type1_pasid_request, reserved);
	struct vfio_iommu_type1_pasid_request __user *ureq = arg;
	struct vfio_iommu_type1_pasid_request req;

	if (!nesting)
		return -ENOTTY;

	if (copy_from_user(&req, ureq, minsz))
		return -EFAULT;

	if (req.argsz < minsz)
		return -EINVAL;

	if (req.flags & ~(VFIO_PASID_REQUEST_ALLOC | VFIO_PASID_REQUEST_FREE) ||
	    req.reserved)
		return -EOPNOTSUPP;

	if (req.first > req.last)
		return -EINVAL;

	switch (req.flags) {
	case VFIO_PASID_REQUEST_ALLOC:
		return vfio_nesting_pasid_alloc(nesting, req.first, req.last,
						&ureq->pasid);
	case VFIO_PASID_REQUEST_FREE:
		return vfio_nesting_pasid_free(nesting, req.first, req.last);
	default:
		return -EINVAL;
	}
}
EXPORT_SYMBOL_GPL(vfio_nesting_pasid_request);

static int vfio_nesting_do_bind(struct vfio_nesting *nesting, u32 group_id,
				const struct iommu_uapi_gpasid_bind_data *data)
{
	struct vfio_nesting_binding *binding;
	struct vfio_nesting_group *group;
	struct iommu_uapi_binding *bound;
	struct vfio_nesting_pasid *pasid;
	ioasid_t id;
	int rc;

	lockdep_assert_held_write(&nesting->lock);

	group = vfio_nesting_find_group(nesting, group_id);
	if (!group)
		return -ENOENT;

	if (!vfio_nesting_can_bind(group))
		return -ENODEV;

	rc = iommu_uapi_bind_check(data, vfio_nesting_group_caps(nesting, group),
				   &id);
	if (rc)
		return rc;

	pasid = vfio_nesting_find_pasid(nesting, id);
	if (!pasid)
		return -ENOENT;

	if (vfio_nesting_find_binding(pasid, group))
		return -EEXIST;

	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		return -ENOMEM;

	bound = iommu_uapi_bind(group->dev, group->s2, id, data,
				group->requests ? nesting->faults : NULL);
	if (IS_ERR(bound)) {
		kfree(binding);
		return PTR_ERR(bound);
	}

	binding->group = group;
	binding->pasid = pasid;
	binding->bound = bound;
	list_add(&binding->group_next, &group->bindings);
	list_add(&binding->pasid_next, &pasid->bindings);
	return 0;
}

/**
 * vfio_nesting_bind - VFIO_IOMMU_BIND_GPASID
 * @nesting: state of the container
 * @arg: struct vfio_iommu_type1_bind_gpasid
 *
 * Return: 0, or an error as in uapi/linux/iommu.h.
 */
int vfio_nesting_bind(struct vfio_nesting *nesting, void __user *arg)
{
	const size_t minsz =
		offsetofend(struct vfio_iommu_type1_bind_gpasid, reserved);
	struct vfio_iommu_type1_bind_gpasid __user *ubind = arg;
	struct iommu_uapi_gpasid_bind_data data;
	struct vfio_iommu_type1_bind_gpasid bind;
	int rc;

	if (!nesting)
		return -ENOTTY;

	if (copy_from_user(&bind, ubind, minsz))
		return -EFAULT;

	if (bind.argsz < minsz)
		return -EINVAL;

	if (bind.flags || bind.reserved)
		return -EOPNOTSUPP;

	rc = iommu_uapi_copy_from_user(IOMMU_UAPI_BIND_GPASID, &data,
				       sizeof(data), ubind->data,
				       bind.argsz - minsz);
	if (rc < 0)
		return rc;

	down_write(&nesting->lock);
	rc = vfio_nesting_do_bind(nesting, bind.group_id, &data);
	up_write(&nesting->lock);
	return rc;
}
EXPORT_SYMBOL_GPL(vfio_nesting_bind);

static int vfio_nesting_do_unbind(struct vfio_nesting *nesting, u32 group_id,
				  u32 id)
{
	struct vfio_nesting_binding *binding;
	struct vfio_nesting_group *group;
	struct vfio_nesting_pasid *pasid;

	lockdep_assert_held_write(&nesting->lock);

	group = vfio_nesting_find_group(nesting, group_id);
	if (!group)
		return -ENOENT;

	pasid = vfio_nesting_find_pasid(nesting, id);
	if (!pasid)
		return -ENOENT;

	binding = vfio_nesting_find_binding(pasid, group);
	if (!binding)
		return -ENOENT;

	return vfio_nesting_undo_bind(binding);
}

/**
 * vfio_nesting_unbind - VFIO_IOMMU_UNBIND_GPASID
 * @nesting: state of the container
 * @arg: struct vfio_iommu_type1_unbind_gpasid
 *
 * Return: 0, or an error as in uapi/linux/iommu.h.
 */
int vfio_nesting_unbind(struct vfio_nesting *nesting, void __user *arg)
{
	const size_t minsz =
		offsetofend(struct vfio_iommu_type1_unbind_gpasid, pasid);
	struct vfio_iommu_type1_unbind_gpasid unbind;
	int rc;

	if (!nesting)
		return -ENOTTY;

	if (copy_from_user(&unbind, arg, minsz))
		return -EFAULT;

	if (unbind.argsz < minsz)
		return -EINVAL;

	if (unbind.flags)
		return -EOPNOTSUPP;

	down_write(&nesting->lock);
	rc = vfio_nesting_do_unbind(nesting, unbind.group_id, unbind.pasid);
	up_write(&nesting->lock);
	return rc;
}
EXPORT_SYMBOL_GPL(vfio_nesting_unbind);

/*
 * Check an entry against each IOMMU that it will reach, and tell whose PASID it
 * is for. Only a check can tell that, so begin with any IOMMU that accepts the
 * entry.
 */
static int
vfio_nesting_check_entry(struct vfio_nesting *nesting,
			 const struct iommu_uapi_cache_invalidate_info *info,
			 struct vfio_nesting_pasid **pasid)
{
	struct vfio_nesting_group *group, *accepts = NULL;
	struct vfio_nesting_binding *binding;
	const struct iommu_uapi_caps *caps;
	int rc = -EOPNOTSUPP;
	ioasid_t id;

	list_for_each_entry(group, &nesting->groups, next) {
		if (!group->dev)
			continue;
		caps = vfio_nesting_group_caps(nesting, group);
		rc = iommu_uapi_invalidate_check(info, caps, &id);
		if (!rc) {
			accepts = group;
			break;
		}
	}
	if (rc)
		return rc;

	*pasid = vfio_nesting_find_pasid(nesting, id);
	if (!*pasid || list_empty(&(*pasid)->bindings))
		return -ENOENT;

	list_for_each_entry(binding, &(*pasid)->bindings, pasid_next) {
		if (binding->group == accepts)
			continue;
		caps = vfio_nesting_group_caps(nesting, binding->group);
		rc = iommu_uapi_invalidate_check(info, caps, &id);
		if (rc)
			return rc;
	}
	return 0;
}

/* @handled counts the entries that took effect on every binding of @pasid. */
static int
vfio_nesting_invalidate_pasid(struct vfio_nesting_pasid *pasid,
			      const struct iommu_uapi_cache_invalidate_info *info,
			      u32 nr, u32 *handled)
{
	struct vfio_nesting_binding *binding;
	int rc, err = 0;
	u32 done;

	list_for_each_entry(binding, &pasid->bindings, pasid_next) {
		done = 0;
		rc = iommu_uapi_invalidate(binding->bound, info, nr, &done);
		if (rc) {
			err = rc;
			nr = min(nr, done);
			if (!nr)
				break;
		}
	}
	*handled = nr;
	return err;
}

/* Hand on runs of entries for one PASID, up to the first that is not good. */
static int
vfio_nesting_invalidate_chunk(struct vfio_nesting *nesting,
			      const struct iommu_uapi_cache_invalidate_info *info,
			      u32 nr, u32 *handled)
{
	struct vfio_nesting_pasid *pasid, *run = NULL;
	u32 i, start = 0, done;
	int rc = 0, err;

	lockdep_assert_held_read(&nesting->lock);

	for (i = 0; i < nr; i++) {
		rc = vfio_nesting_check_entry(nesting, &info[i], &pasid);
		if (rc)
			break;
		if (run && run != pasid) {
			err = vfio_nesting_invalidate_pasid(run, &info[start],
							    i - start, &done);
			start += done;
			if (err) {
				rc = err;
				goto out;
			}
		}
		run = pasid;
	}

	if (i > start) {
		err = vfio_nesting_invalidate_pasid(run, &info[start],
						    i - start, &done);
		start += done;
		if (err)
			rc = err;
	}
out:
	*handled = start;
	return rc;
}

static int
vfio_nesting_copy_entry(struct iommu_uapi_cache_invalidate_info *info,
			const void __user *entry, u32 entry_size)
{
	return iommu_uapi_copy_from_user(IOMMU_UAPI_CACHE_INVALIDATE, info,
					 sizeof(*info), entry, entry_size);
}

static int vfio_nesting_invalidate_all(struct vfio_nesting *nesting,
				       const void __user *entries,
				       u32 nr_entries, u32 entry_size,
				       u32 *handled)
{
	/* Each entry is copied before it is read, so don't clear them all */
	struct iommu_uapi_cache_invalidate_info info[VFIO_NESTING_CHUNK]
		__uninitialized;
	u32 nr, done;
	int rc, err;

	while (*handled < nr_entries) {
		u32 max = min_t(u32, nr_entries - *handled, ARRAY_SIZE(info));

		for (nr = 0; nr < max; nr++) {
			rc = vfio_nesting_copy_entry(&info[nr], entries,
						     entry_size);
			if (rc < 0)
				break;
			entries += entry_size;
		}

		/* Not around the copy, which may wait for user space */
		down_read(&nesting->lock);
		err = vfio_nesting_invalidate_chunk(nesting, info, nr, &done);
		up_read(&nesting->lock);

		*handled += done;
		if (err || rc < 0)
			return err ?: rc;
	}
	return 0;
}

/**
 * vfio_nesting_invalidate - VFIO_IOMMU_CACHE_INVALIDATE
 * @nesting: state of the container
 * @arg: struct vfio_iommu_type1_cache_invalidate
 *
 * Return: 0, or an error as in uapi/linux/iommu.h.
 */
int vfio_nesting_invalidate(struct vfio_nesting *nesting, void __user *arg)
{
	const size_t minsz =
		offsetofend(struct vfio_iommu_type1_cache_invalidate, reserved);
	struct vfio_iommu_type1_cache_invalidate __user *uinv = arg;
	struct vfio_iommu_type1_cache_invalidate inv;
	u32 size, handled = 0;
	int rc;

	if (!nesting)
		return -ENOTTY;

	if (copy_from_user(&inv, uinv, minsz))
		return -EFAULT;

	if (inv.argsz < minsz)
		return -EINVAL;

	if (inv.flags || inv.reserved)
		return -EOPNOTSUPP;

	if (!inv.nr_entries || inv.nr_entries > VFIO_CACHE_INVALIDATE_MAX ||
	    !inv.entry_size || !IS_ALIGNED(inv.entry_size, sizeof(u64)) ||
	    check_mul_overflow(inv.nr_entries, inv.entry_size, &size) ||
	    size > inv.argsz - minsz)
		return -EINVAL;

	rc = vfio_nesting_invalidate_all(nesting, uinv->data, inv.nr_entries,
					 inv.entry_size, &handled);
	if (put_user(handled, &uinv->handled))
		return -EFAULT;
	return rc;
}
EXPORT_SYMBOL_GPL(vfio_nesting_invalidate);

/* Commits, if that is asked for and nothing is missing. */
static int vfio_nesting_do_negotiate(struct vfio_nesting *nesting, bool commit,
				     const struct iommu_uapi_caps *needs,
				     u32 nr_pasids,
				     struct iommu_uapi_caps *missing,
				     u32 *pasids_missing)
{
	struct iommu_uapi_caps have = {};
	struct vfio_nesting_group *group;
	int rc;

	lockdep_assert_held_write(&nesting->lock);

	if (commit && nesting->committed)
		return -EEXIST;

	/* A container without the capability has nothing to offer */
	if (vfio_nesting_get_caps(nesting, &have))
		memset(&have, 0, sizeof(have));
	rc = iommu_uapi_caps_missing(needs, &have, missing);
	if (rc == -EOPNOTSUPP)
		return rc;

	*pasids_missing = 0;
	if (nr_pasids > vfio_nesting_quota(nesting)) {
		*pasids_missing = nr_pasids;
		rc = -ERANGE;
	}
	if (rc || !commit)
		return rc;

	/* What is there already was not asked of this contract */
	if (nesting->nr_pasids || nesting->faults)
		return -EBUSY;
	list_for_each_entry(group, &nesting->groups, next) {
		if (!list_empty(&group->bindings))
			return -EBUSY;
	}

	nesting->contract = *needs;
	nesting->contract_pasids = nr_pasids;
	nesting->committed = true;
	return 0;
}

/**
 * vfio_nesting_negotiate - VFIO_IOMMU_NEGOTIATE
 * @nesting: state of the container
 * @arg: struct vfio_iommu_type1_negotiate
 *
 * Return: 0, or an error as in uapi/linux/iommu.h.
 */
int vfio_nesting_negotiate(struct vfio_nesting *nesting, void __user *arg)
{
	const size_t minsz =
		offsetofend(struct vfio_iommu_type1_negotiate, reserved);
	struct vfio_iommu_type1_negotiate __user *uneg = arg;
	struct vfio_iommu_type1_negotiate neg;
	struct iommu_uapi_caps needs, missing;
	u32 pasids_missing;
	int rc, size;

	if (!nesting)
		return -ENOTTY;

	if (copy_from_user(&neg, uneg, minsz))
		return -EFAULT;

	if (neg.argsz < minsz)
		return -EINVAL;

	if (neg.flags & ~VFIO_NEGOTIATE_COMMIT || neg.reserved)
		return -EOPNOTSUPP;

	size = iommu_uapi_copy_from_user(IOMMU_UAPI_CAPS, &needs, sizeof(needs),
					 uneg->data, neg.argsz - minsz);
	if (size < 0)
		return size;

	down_write(&nesting->lock);
	rc = vfio_nesting_do_negotiate(nesting,
				       neg.flags & VFIO_NEGOTIATE_COMMIT,
				       &needs, neg.nr_pasids, &missing,
				       &pasids_missing);
	if (!rc && neg.flags & VFIO_NEGOTIATE_COMMIT)
		nesting->contract_size = size;
	up_write(&nesting->lock);

	if (rc == -ERANGE &&
	    (put_user(pasids_missing, &uneg->nr_pasids) ||
	     copy_to_user(uneg->data, &missing, size)))
		return -EFAULT;
	return rc;
}
EXPORT_SYMBOL_GPL(vfio_nesting_negotiate);

static int vfio_nesting_do_fault_fd(struct vfio_nesting *nesting, u32 version)
{
	const struct iommu_uapi_caps *caps;
	struct iommu_uapi_faults *faults;
	struct vfio_nesting_group *group;
	bool some = false;
	int rc = 0, fd;

	lockdep_assert_held_write(&nesting->lock);

	if (nesting->faults)
		return -EEXIST;

	list_for_each_entry(group, &nesting->groups, next) {
		caps = vfio_nesting_group_caps(nesting, group);
		some |= group->dev && iommu_uapi_caps_page_requests(caps);
	}
	if (!some)
		return -EOPNOTSUPP;

	/* Before devices are told to ask for pages */
	rc = iommu_uapi_get_size(IOMMU_UAPI_PAGE_REQUEST, version);
	if (rc < 0)
		return rc;

	list_for_each_entry(group, &nesting->groups, next) {
		rc = vfio_nesting_enable_requests(nesting, group);
		if (rc)
			goto err_disable;
	}

	/* Last, since a file that user space has can't be taken back */
	faults = iommu_uapi_faults_create(version, &fd);
	if (IS_ERR(faults)) {
		rc = PTR_ERR(faults);
		goto err_disable;
	}
	nesting->faults = faults;
	return fd;

err_disable:
	list_for_each_entry(group, &nesting->groups, next)
		vfio_nesting_disable_requests(group);
	return rc;
}

/**
 * vfio_nesting_fault_fd - VFIO_IOMMU_FAULT_FD
 * @nesting: state of the container
 * @arg: struct vfio_iommu_type1_fault_fd
 *
 * Return: a file descriptor, or an error as in uapi/linux/iommu.h.
 */
int vfio_nesting_fault_fd(struct vfio_nesting *nesting, void __user *arg)
{
	const size_t minsz =
		offsetofend(struct vfio_iommu_type1_fault_fd, reserved);
	struct vfio_iommu_type1_fault_fd req;
	int rc;

	if (!nesting)
		return -ENOTTY;

	if (copy_from_user(&req, arg, minsz))
		return -EFAULT;

	if (req.argsz < minsz)
		return -EINVAL;

	if (req.flags || req.reserved)
		return -EOPNOTSUPP;

	down_write(&nesting->lock);
	rc = vfio_nesting_do_fault_fd(nesting, req.version);
	up_write(&nesting->lock);
	return rc;
}
EXPORT_SYMBOL_GPL(vfio_nesting_fault_fd);
