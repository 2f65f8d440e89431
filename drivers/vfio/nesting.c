// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO: guest-owned page tables of a container
 *
 * Which PASIDs a container has, which guest page tables are bound where, and the
 * commands that change that. What a command carries belongs to the IOMMU core: it
 * is copied at the size that the core gives, and not looked into.
 *
 * Lifetime: a group is added when it has been attached to its second level, and
 * removed before it is detached. Its bindings end with it, or earlier, with the
 * device. PASIDs that the container allocated stay until they are freed, or the last
 * group leaves.
 *
 * Locks, outermost first: that of the caller, which it may hold when it adds or
 * removes groups, or queries; &vfio_nesting.lock; the mutex of the group; those of
 * the driver. The commands do not take the caller's lock, so none of them waits for
 * memory that is being mapped. No memory of the user is read or written under
 * &vfio_nesting.lock.
 */
#include <linux/device.h>
#include <linux/iommu-uapi.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/xarray.h>

#include "nesting.h"

static unsigned int pasid_quota __read_mostly = 1023;
module_param(pasid_quota, uint, 0644);
MODULE_PARM_DESC(pasid_quota,
		 "Maximum number of PASIDs that a container may have (1023)");

/* Bindings that entries are handed on for together */
#define VFIO_NESTING_BINDINGS	16

/* Entries that are copied, checked and handed on together, on the stack */
#define VFIO_NESTING_CHUNK	32

/* Set aside for the container, and not allocated yet */
#define VFIO_NESTING_FREE	XA_MARK_0

/**
 * struct vfio_nesting_pasid - PASID of a container
 * @id: the PASID
 * @owned: whether the container allocated it
 * @set_aside: whether the contract keeps the number for the container
 * @bindings: list of struct vfio_nesting_binding
 */
struct vfio_nesting_pasid {
	ioasid_t id;
	bool owned;
	bool set_aside;
	struct list_head bindings;
};

/**
 * struct vfio_nesting - PASIDs and bindings of a container
 * @lock: protects everything below and all that hangs on it. Taken for writing
 *	to change any of it, for reading to use it.
 * @groups: list of struct vfio_nesting_group
 * @pasids: struct vfio_nesting_pasid by number: those that the container owns,
 *	that are bound, or that its contract has set aside
 * @no_pasid: stands for requests without PASID
 * @nr_pasids: number of PASIDs that are owned or bound, or being allocated
 * @kinds: the next value for @kind of struct vfio_nesting_group
 * @faults: where page requests go; NULL until user space asks for them
 * @ended: whether the last group has left. Only calls that had begun before are
 *	still there.
 * @committed: whether there is a contract
 * @devices_differ: whether the contract lets groups lack what belongs to a device
 * @contract: what is promised; calls can't ask for more
 * @contract_size: size of @contract in its version
 * @contract_pasids: takes the place of the quota
 */
struct vfio_nesting {
	struct rw_semaphore lock;
	struct list_head groups;
	struct xarray pasids;
	struct vfio_nesting_pasid no_pasid;
	unsigned int nr_pasids;
	unsigned int kinds;
	struct iommu_uapi_faults *faults;
	bool ended;
	bool committed;
	bool devices_differ;
	struct iommu_uapi_caps contract;
	size_t contract_size;
	unsigned int contract_pasids;
};

/**
 * struct vfio_nesting_group - IOMMU group in a container
 * @next: in struct vfio_nesting.groups
 * @iommu_group: the group; the caller holds it
 * @s2: second level it is attached to; NULL without an IOMMU of its own
 * @dev: its device, which all bindings are for; NULL if the IOMMU can't nest, there
 *	were several when the group joined, or the device has left
 * @caps: what the IOMMU can do, if @dev
 * @allowed: the part of @caps that calls may ask for
 * @kind: the same number in all groups whose @allowed is the same
 * @requests: whether page requests of @dev are enabled
 * @blocked: whether requests without PASID are blocked
 * @bindings: list of struct vfio_nesting_binding
 */
struct vfio_nesting_group {
	struct list_head next;
	struct iommu_group *iommu_group;
	struct iommu_domain *s2;
	struct device *dev;
	struct iommu_uapi_caps caps;
	struct iommu_uapi_caps allowed;
	unsigned int kind;
	bool requests;
	bool blocked;
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
 * Can anything be bound in @group? Another device may join it at any time, so
 * this is asked again for every bind.
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

/* NULL if the container knows nothing of it. */
static struct vfio_nesting_pasid *
vfio_nesting_find_pasid(struct vfio_nesting *nesting, ioasid_t id)
{
	lockdep_assert_held(&nesting->lock);

	if (id == IOMMU_NO_PASID)
		return &nesting->no_pasid;
	return xa_load(&nesting->pasids, id);
}

static struct vfio_nesting_binding *
vfio_nesting_find_binding(struct vfio_nesting *nesting,
			  struct vfio_nesting_group *group, ioasid_t id)
{
	struct vfio_nesting_pasid *pasid = vfio_nesting_find_pasid(nesting, id);
	struct vfio_nesting_binding *binding;

	if (!pasid)
		return NULL;

	list_for_each_entry(binding, &pasid->bindings, pasid_next) {
		if (binding->group == group)
			return binding;
	}
	return NULL;
}

static unsigned int vfio_nesting_quota(struct vfio_nesting *nesting)
{
	return nesting->committed ? nesting->contract_pasids :
				    READ_ONCE(pasid_quota);
}

/* Does it count against the quota? */
static bool vfio_nesting_in_use(struct vfio_nesting_pasid *pasid)
{
	return pasid->owned || !list_empty(&pasid->bindings);
}

static struct vfio_nesting_pasid *
vfio_nesting_add_pasid(struct vfio_nesting *nesting, ioasid_t id)
{
	struct vfio_nesting_pasid *pasid;
	int rc;

	lockdep_assert_held_write(&nesting->lock);

	pasid = kzalloc(sizeof(*pasid), GFP_KERNEL_ACCOUNT);
	if (!pasid)
		return ERR_PTR(-ENOMEM);
	pasid->id = id;
	INIT_LIST_HEAD(&pasid->bindings);

	rc = xa_insert(&nesting->pasids, id, pasid, GFP_KERNEL_ACCOUNT);
	if (rc) {
		kfree(pasid);
		return ERR_PTR(rc);
	}
	return pasid;
}

/* Forget a PASID that is no longer owned, bound, or set aside. */
static void vfio_nesting_put_pasid(struct vfio_nesting *nesting,
				   struct vfio_nesting_pasid *pasid)
{
	lockdep_assert_held_write(&nesting->lock);

	if (vfio_nesting_in_use(pasid) || pasid->set_aside)
		return;
	xa_erase(&nesting->pasids, pasid->id);
	kfree(pasid);
}

/*
 * What all groups with an IOMMU have in common. With @devices_differ: what all
 * their IOMMUs have in common, and what at least one device has.
 */
static int vfio_nesting_common_caps(struct vfio_nesting *nesting,
				    bool devices_differ,
				    struct iommu_uapi_caps *caps)
{
	struct vfio_nesting_group *group;
	bool first = true;

	lockdep_assert_held(&nesting->lock);

	list_for_each_entry(group, &nesting->groups, next) {
		if (!group->s2)
			continue;
		if (!vfio_nesting_can_bind(group))
			return -EOPNOTSUPP;
		if (first)
			*caps = group->caps;
		else if (devices_differ)
			iommu_uapi_caps_intersect_iommu(caps, &group->caps);
		else
			iommu_uapi_caps_intersect(caps, &group->caps);
		first = false;
	}
	if (first)
		return -EOPNOTSUPP;

	iommu_uapi_caps_limit(caps, vfio_nesting_quota(nesting));
	return 0;
}

/* What is promised to the user: with a contract, always that. */
static int vfio_nesting_get_caps(struct vfio_nesting *nesting,
				 struct iommu_uapi_caps *caps)
{
	if (!nesting->committed)
		return vfio_nesting_common_caps(nesting, false, caps);

	*caps = nesting->contract;
	return 0;
}

static void vfio_nesting_update_allowed(struct vfio_nesting *nesting,
					struct vfio_nesting_group *group)
{
	struct vfio_nesting_group *other;

	group->allowed = group->caps;
	if (nesting->committed)
		iommu_uapi_caps_intersect(&group->allowed, &nesting->contract);

	/* Compare with those before it, which are up to date. */
	group->kind = nesting->kinds++;
	list_for_each_entry(other, &nesting->groups, next) {
		if (other == group)
			break;
		if (!memcmp(&other->allowed, &group->allowed,
			    sizeof(group->allowed))) {
			group->kind = other->kind;
			break;
		}
	}
}

/* Requests with the PASID are blocked afterwards. */
static void vfio_nesting_undo_bind(struct vfio_nesting *nesting,
				   struct vfio_nesting_binding *binding)
{
	struct vfio_nesting_pasid *pasid = binding->pasid;

	iommu_uapi_unbind(binding->bound);
	if (pasid->id == IOMMU_NO_PASID)
		binding->group->blocked = true;
	list_del(&binding->group_next);
	list_del(&binding->pasid_next);
	kfree(binding);

	if (pasid->id == IOMMU_NO_PASID || vfio_nesting_in_use(pasid))
		return;
	nesting->nr_pasids--;
	vfio_nesting_put_pasid(nesting, pasid);
}

/*
 * Let the device of a group request pages, if it can and it is allowed to: a bind
 * can't ask for page requests otherwise.
 */
static int vfio_nesting_enable_requests(struct vfio_nesting_group *group)
{
	int rc;

	if (!vfio_nesting_can_bind(group) ||
	    !iommu_uapi_caps_has(&group->allowed, IOMMU_UAPI_FEAT_PAGE_REQUEST))
		return 0;

	rc = iommu_uapi_page_requests(group->dev, true);
	if (!rc)
		group->requests = true;
	else if (rc != -EBUSY && rc != -ENOMEM)
		/* The device reports page requests, so this is a failure. */
		rc = -EIO;
	return rc;
}

/* Send faults of the device to @nesting->faults, and enable page requests. */
static int vfio_nesting_add_faults(struct vfio_nesting *nesting,
				   struct vfio_nesting_group *group)
{
	int rc;

	if (!group->dev)
		return 0;

	rc = iommu_uapi_faults_add_dev(nesting->faults, group->dev);
	if (rc)
		return rc;

	rc = vfio_nesting_enable_requests(group);
	if (rc)
		iommu_uapi_faults_remove_dev(group->dev);
	return rc;
}

/* Does nothing where vfio_nesting_add_faults() has not been called. */
static void vfio_nesting_remove_faults(struct vfio_nesting_group *group)
{
	if (!group->dev)
		return;

	if (group->requests)
		iommu_uapi_page_requests(group->dev, false);
	group->requests = false;
	iommu_uapi_faults_remove_dev(group->dev);
}

static void vfio_nesting_drop_dev(struct vfio_nesting *nesting,
				  struct vfio_nesting_group *group)
{
	struct vfio_nesting_binding *binding, *tmp;

	if (!group->dev)
		return;

	list_for_each_entry_safe(binding, tmp, &group->bindings, group_next)
		vfio_nesting_undo_bind(nesting, binding);
	vfio_nesting_remove_faults(group);
	iommu_uapi_release(group->dev);
	put_device(group->dev);
	group->dev = NULL;
}

static void vfio_nesting_drop_group(struct vfio_nesting *nesting,
				    struct vfio_nesting_group *group)
{
	vfio_nesting_drop_dev(nesting, group);
	list_del(&group->next);
	kfree(group);
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

static void vfio_nesting_drop_pasids(struct vfio_nesting *nesting)
{
	struct vfio_nesting_pasid *pasid;
	unsigned long id;

	xa_for_each(&nesting->pasids, id, pasid) {
		if (pasid->owned)
			nesting->nr_pasids--;
		if (pasid->owned || pasid->set_aside)
			iommu_uapi_pasid_free(pasid->id);
		xa_erase(&nesting->pasids, id);
		kfree(pasid);
		cond_resched();
	}
}

/* The last group has left. What the container still has goes back to the host. */
static void vfio_nesting_end(struct vfio_nesting *nesting)
{
	lockdep_assert_held_write(&nesting->lock);

	vfio_nesting_drop_pasids(nesting);
	iommu_uapi_faults_put(nesting->faults);
	nesting->faults = NULL;
	nesting->ended = true;
}

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

	if (!nesting)
		return;

	down_write(&nesting->lock);
	list_for_each_entry_safe(group, tmp, &nesting->groups, next)
		vfio_nesting_drop_group(nesting, group);
	vfio_nesting_end(nesting);
	up_write(&nesting->lock);

	WARN_ON_ONCE(nesting->nr_pasids);
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

/* Can a group that joins keep the contract? */
static int vfio_nesting_check_contract(struct vfio_nesting *nesting,
				       struct vfio_nesting_group *group)
{
	struct iommu_uapi_caps needs, missing, have = {};

	if (!nesting->committed)
		return 0;

	needs = nesting->contract;
	if (nesting->devices_differ) {
		/* An emulated device never reaches an IOMMU. */
		if (!group->s2)
			return 0;
		iommu_uapi_caps_clear_device(&needs);
	}
	if (vfio_nesting_can_bind(group))
		have = group->caps;
	return iommu_uapi_caps_missing(&needs, &have, &missing);
}

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
 * Return: 0; -ERANGE if the group can't keep the contract; -EBUSY if something
 * else uses the page requests of its device; -EIO if they can't be enabled; -ENOMEM.
 */
int vfio_nesting_add_group(struct vfio_nesting *nesting,
			   struct iommu_group *iommu_group,
			   struct iommu_domain *s2)
{
	struct vfio_nesting_group *group;
	struct device *dev;
	bool only;
	int rc;

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
		/* Of several, some may not be VFIO's, and go at any time. */
		if (dev && only && !iommu_uapi_get_caps(dev, s2, &group->caps))
			group->dev = dev;
		else
			put_device(dev);
	}

	down_write(&nesting->lock);
	rc = vfio_nesting_check_contract(nesting, group);
	vfio_nesting_update_allowed(nesting, group);
	if (!rc && nesting->faults)
		rc = vfio_nesting_add_faults(nesting, group);
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
 * Undoes all bindings of the group. With the last one, the container's PASIDs and
 * its file for page requests end too, and do not wait for calls that have begun:
 * those can wait for user space as long as that likes.
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
			vfio_nesting_drop_group(nesting, group);
			if (list_empty(&nesting->groups))
				vfio_nesting_end(nesting);
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
 * Undoes all bindings that are for it. If it was the only device, the group
 * leaves next. Otherwise the group can't be bound until it is added again.
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
			vfio_nesting_drop_dev(nesting, group);
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
 * Return: false if the second level or the contract of any group rules it out.
 */
bool vfio_nesting_can_map_ro(struct vfio_nesting *nesting)
{
	struct vfio_nesting_group *group;
	bool can = true;

	if (!nesting)
		return true;

	down_read(&nesting->lock);
	list_for_each_entry(group, &nesting->groups, next) {
		if (group->s2 && !iommu_uapi_caps_has(&group->allowed,
						      IOMMU_UAPI_FEAT_RO_MAP))
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

	if (!nesting->faults)
		return 0;
	iommu_uapi_faults_count(nesting->faults, &cap.waiting, &cap.overflows,
				&cap.timeouts, &cap.lost);
	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

/* What the reported version has of the structure */
static size_t vfio_nesting_caps_size(void)
{
	return iommu_uapi_get_size(IOMMU_UAPI_CAPS, IOMMU_UAPI_VERSION);
}

static int vfio_nesting_build_group_caps(struct vfio_nesting *nesting,
					 struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_group *cap;
	struct vfio_info_cap_header *header;
	size_t size = vfio_nesting_caps_size();
	struct vfio_nesting_group *group;
	struct iommu_uapi_caps one;

	list_for_each_entry(group, &nesting->groups, next) {
		one = group->caps;
		if (vfio_nesting_can_bind(group))
			iommu_uapi_caps_limit(&one, vfio_nesting_quota(nesting));
		else
			iommu_uapi_caps_none(&one);

		header = vfio_info_cap_add(caps, sizeof(*cap) + size,
					   VFIO_IOMMU_TYPE1_INFO_CAP_GROUP, 1);
		if (IS_ERR(header))
			return PTR_ERR(header);
		cap = container_of(header, struct vfio_iommu_type1_info_cap_group,
				   header);
		cap->group_id = iommu_group_id(group->iommu_group);
		cap->caps_size = size;
		memcpy(cap->caps, &one, size);
	}
	return 0;
}

/* Without a contract, adds nothing if a group with an IOMMU can't be bound. */
static int vfio_nesting_build_nesting_caps(struct vfio_nesting *nesting,
					   struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_nesting *cap;
	struct vfio_info_cap_header *header;
	struct iommu_uapi_caps common;
	size_t size;

	if (vfio_nesting_get_caps(nesting, &common))
		return 0;

	size = nesting->committed ? nesting->contract_size :
				    vfio_nesting_caps_size();
	header = vfio_info_cap_add(caps, sizeof(*cap) + size,
				   VFIO_IOMMU_TYPE1_INFO_CAP_NESTING, 1);
	if (IS_ERR(header))
		return PTR_ERR(header);

	cap = container_of(header, struct vfio_iommu_type1_info_cap_nesting,
			   header);
	cap->pasid_quota = vfio_nesting_quota(nesting);
	cap->pasids_used = nesting->nr_pasids;
	cap->caps_size = size;
	memcpy(cap->caps, &common, size);
	return 0;
}

/**
 * vfio_nesting_build_caps - add VFIO_IOMMU_TYPE1_INFO_CAP_NESTING, _GROUP, _FAULTS
 * @nesting: state of the container
 * @caps: chain to add them to
 *
 * Adds nothing where a capability does not apply.
 *
 * Return: 0 or -ENOMEM.
 */
int vfio_nesting_build_caps(struct vfio_nesting *nesting,
			    struct vfio_info_cap *caps)
{
	int rc;

	if (!nesting)
		return 0;

	down_read(&nesting->lock);
	rc = vfio_nesting_build_nesting_caps(nesting, caps);
	if (!rc)
		rc = vfio_nesting_build_group_caps(nesting, caps);
	if (!rc)
		rc = vfio_nesting_build_fault_caps(nesting, caps);
	up_read(&nesting->lock);
	return rc;
}
EXPORT_SYMBOL_GPL(vfio_nesting_build_caps);

/*
 * Take one of the numbers that the contract has set aside. One outside of the
 * range is exchanged for one in it, if that is free in the host.
 */
static int vfio_nesting_take_set_aside(struct vfio_nesting *nesting, u32 first,
				       u32 last, ioasid_t *id)
{
	struct vfio_nesting_pasid *pasid, *spare;
	unsigned long index = first;
	int rc;

	lockdep_assert_held_write(&nesting->lock);

	if (!xa_find(&nesting->pasids, &index, last, VFIO_NESTING_FREE)) {
		index = 0;
		spare = xa_find(&nesting->pasids, &index, ULONG_MAX,
				VFIO_NESTING_FREE);
		if (!spare)
			return -EDQUOT;
		rc = iommu_uapi_pasid_alloc(&nesting->contract, first, last,
					    id);
		if (rc)
			return rc;
		pasid = vfio_nesting_add_pasid(nesting, *id);
		if (IS_ERR(pasid)) {
			iommu_uapi_pasid_free(*id);
			return PTR_ERR(pasid);
		}
		pasid->set_aside = true;
		iommu_uapi_pasid_free(spare->id);
		spare->set_aside = false;
		vfio_nesting_put_pasid(nesting, spare);
		return 0;
	}

	xa_clear_mark(&nesting->pasids, index, VFIO_NESTING_FREE);
	*id = index;
	return 0;
}

/*
 * Reserve a number that is nobody else's. The container does not own it yet, so
 * that no other thread can bind or free it.
 */
static int vfio_nesting_reserve(struct vfio_nesting *nesting, u32 first,
				u32 last, ioasid_t *id)
{
	struct iommu_uapi_caps caps;
	int rc;

	down_write(&nesting->lock);
	/* Any device may be the one that uses it. */
	rc = nesting->committed ?
		     vfio_nesting_get_caps(nesting, &caps) :
		     vfio_nesting_common_caps(nesting, true, &caps);
	if (!rc)
		rc = iommu_uapi_pasid_check(&caps, first, last);
	if (!rc && nesting->nr_pasids >= vfio_nesting_quota(nesting))
		rc = -EDQUOT;
	if (!rc)
		rc = nesting->committed ?
			     vfio_nesting_take_set_aside(nesting, first, last,
							 id) :
			     iommu_uapi_pasid_alloc(&caps, first, last, id);
	if (!rc)
		nesting->nr_pasids++;
	up_write(&nesting->lock);
	return rc;
}

static void vfio_nesting_unreserve(struct vfio_nesting *nesting, ioasid_t id)
{
	down_write(&nesting->lock);
	nesting->nr_pasids--;
	/* What had been set aside went back to the host when the container ended. */
	if (nesting->committed)
		xa_set_mark(&nesting->pasids, id, VFIO_NESTING_FREE);
	else
		iommu_uapi_pasid_free(id);
	up_write(&nesting->lock);
}

/* The number that was reserved becomes the container's. */
static int vfio_nesting_own(struct vfio_nesting *nesting, ioasid_t id)
{
	struct vfio_nesting_pasid *pasid;
	int rc = 0;

	down_write(&nesting->lock);
	if (nesting->ended) {
		up_write(&nesting->lock);
		return -EINVAL;
	}
	pasid = xa_load(&nesting->pasids, id);
	/* The guest may have picked the same number before, which counted too. */
	if (pasid && vfio_nesting_in_use(pasid))
		nesting->nr_pasids--;
	if (!pasid)
		pasid = vfio_nesting_add_pasid(nesting, id);
	if (IS_ERR(pasid))
		rc = PTR_ERR(pasid);
	else
		pasid->owned = true;
	up_write(&nesting->lock);
	return rc;
}

static int vfio_nesting_pasid_alloc(struct vfio_nesting *nesting, u32 first,
				    u32 last, u32 __user *out)
{
	ioasid_t id;
	int rc;

	rc = vfio_nesting_reserve(nesting, first, last, &id);
	if (rc)
		return rc;

	rc = put_user(id, out);
	if (!rc)
		rc = vfio_nesting_own(nesting, id);
	if (rc)
		vfio_nesting_unreserve(nesting, id);
	return rc;
}

static void vfio_nesting_disown(struct vfio_nesting *nesting,
				struct vfio_nesting_pasid *pasid)
{
	lockdep_assert_held_write(&nesting->lock);

	pasid->owned = false;
	nesting->nr_pasids--;
	if (pasid->set_aside) {
		xa_set_mark(&nesting->pasids, pasid->id, VFIO_NESTING_FREE);
		return;
	}
	iommu_uapi_pasid_free(pasid->id);
	vfio_nesting_put_pasid(nesting, pasid);
}

/* Visits only the container's PASIDs, however wide the range is. */
static int vfio_nesting_pasid_free(struct vfio_nesting *nesting, u32 first,
				   u32 last)
{
	struct vfio_nesting_pasid *pasid;
	unsigned long id;
	int rc = -ENOENT;

	down_write(&nesting->lock);
	xa_for_each_range(&nesting->pasids, id, pasid, first, last) {
		if (!pasid->owned)
			continue;
		rc = 0;
		if (!list_empty(&pasid->bindings)) {
			rc = -EBUSY;
			break;
		}
	}
	if (!rc) {
		xa_for_each_range(&nesting->pasids, id, pasid, first, last) {
			if (pasid->owned)
				vfio_nesting_disown(nesting, pasid);
			cond_resched();
		}
	}
	up_write(&nesting->lock);
	return rc;
}

/* VFIO_IOMMU_PASID_REQUEST */
static int vfio_nesting_pasid_request(struct vfio_nesting *nesting,
				      const void *head, void __user *arg)
{
	const struct vfio_iommu_type1_pasid_request *req = head;
	struct vfio_iommu_type1_pasid_request __user *ureq = arg;

	if (req->first > req->last)
		return -EINVAL;

	switch (req->flags) {
	case VFIO_PASID_REQUEST_ALLOC:
		return vfio_nesting_pasid_alloc(nesting, req->first, req->last,
						&ureq->pasid);
	case VFIO_PASID_REQUEST_FREE:
		return vfio_nesting_pasid_free(nesting, req->first, req->last);
	default:
		return -EINVAL;
	}
}

/*
 * Find what a bind may use: a PASID that the container owns, or any, if the guest
 * may pick it.
 */
static struct vfio_nesting_pasid *
vfio_nesting_use_pasid(struct vfio_nesting *nesting,
		       struct vfio_nesting_group *group, ioasid_t id)
{
	struct vfio_nesting_pasid *pasid = vfio_nesting_find_pasid(nesting, id);

	if (id == IOMMU_NO_PASID || (pasid && pasid->owned))
		return pasid;

	if (!iommu_uapi_caps_has(&group->allowed, IOMMU_UAPI_FEAT_GUEST_PASID))
		return ERR_PTR(-ENOENT);
	if (pasid && vfio_nesting_in_use(pasid))
		return pasid;
	if (nesting->nr_pasids >= vfio_nesting_quota(nesting))
		return ERR_PTR(-EDQUOT);
	return pasid ?: vfio_nesting_add_pasid(nesting, id);
}

static int vfio_nesting_new_bind(struct vfio_nesting *nesting,
				 struct vfio_nesting_group *group, ioasid_t id,
				 const struct iommu_uapi_gpasid_bind_data *data)
{
	struct vfio_nesting_binding *binding;
	struct iommu_uapi_binding *bound;
	struct vfio_nesting_pasid *pasid;

	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		return -ENOMEM;

	pasid = vfio_nesting_use_pasid(nesting, group, id);
	if (IS_ERR(pasid)) {
		kfree(binding);
		return PTR_ERR(pasid);
	}

	bound = iommu_uapi_bind(group->dev, group->s2, id, data,
				group->requests ? nesting->faults : NULL);
	if (IS_ERR(bound)) {
		if (id != IOMMU_NO_PASID)
			vfio_nesting_put_pasid(nesting, pasid);
		kfree(binding);
		return PTR_ERR(bound);
	}

	if (id == IOMMU_NO_PASID)
		group->blocked = false;
	else if (!vfio_nesting_in_use(pasid))
		nesting->nr_pasids++;
	binding->group = group;
	binding->pasid = pasid;
	binding->bound = bound;
	list_add(&binding->group_next, &group->bindings);
	list_add(&binding->pasid_next, &pasid->bindings);
	return 0;
}

/* Returns false if requests with the PASID are blocked already. */
static bool vfio_nesting_block(struct vfio_nesting *nesting,
			       struct vfio_nesting_group *group, ioasid_t id)
{
	struct vfio_nesting_binding *binding;

	binding = vfio_nesting_find_binding(nesting, group, id);
	if (binding) {
		vfio_nesting_undo_bind(nesting, binding);
		return true;
	}
	if (id != IOMMU_NO_PASID || group->blocked)
		return false;

	iommu_uapi_block(group->dev);
	group->blocked = true;
	return true;
}

static int vfio_nesting_do_bind(struct vfio_nesting *nesting, u32 group_id,
				const struct iommu_uapi_gpasid_bind_data *data)
{
	ioasid_t id = iommu_uapi_bind_pasid(data);
	struct vfio_nesting_binding *binding;
	struct vfio_nesting_group *group;
	int rc;

	lockdep_assert_held_write(&nesting->lock);

	group = vfio_nesting_find_group(nesting, group_id);
	if (!group)
		return -ENOENT;

	if (!vfio_nesting_can_bind(group))
		return -ENODEV;

	rc = iommu_uapi_bind_check(data, &group->allowed);
	binding = vfio_nesting_find_binding(nesting, group, id);
	if (binding && !iommu_uapi_bind_replaces(data))
		return rc ?: -EEXIST;

	if (!rc && binding)
		rc = iommu_uapi_replace(binding->bound, data,
					group->requests ? nesting->faults :
							  NULL);
	else if (!rc)
		rc = vfio_nesting_new_bind(nesting, group, id, data);

	/* The guest wanted something else than what is there, so fail closed. */
	if (rc)
		vfio_nesting_block(nesting, group, id);
	return rc;
}

/* VFIO_IOMMU_BIND_GPASID */
static int vfio_nesting_bind(struct vfio_nesting *nesting, const void *head,
			     void __user *arg)
{
	const struct vfio_iommu_type1_bind_gpasid *bind = head;
	struct vfio_iommu_type1_bind_gpasid __user *ubind = arg;
	struct iommu_uapi_gpasid_bind_data data;
	int rc;

	rc = iommu_uapi_copy_from_user(IOMMU_UAPI_BIND_GPASID, &data,
				       sizeof(data), ubind->data,
				       bind->argsz - sizeof(*bind));
	if (rc < 0)
		return rc;

	down_write(&nesting->lock);
	rc = vfio_nesting_do_bind(nesting, bind->group_id, &data);
	up_write(&nesting->lock);
	return rc;
}

/* VFIO_IOMMU_UNBIND_GPASID */
static int vfio_nesting_unbind(struct vfio_nesting *nesting, const void *head,
			       void __user *arg)
{
	const struct vfio_iommu_type1_unbind_gpasid *unbind = head;
	struct vfio_nesting_group *group;
	int rc = -ENOENT;

	down_write(&nesting->lock);
	group = vfio_nesting_find_group(nesting, unbind->group_id);
	if (group && group->dev &&
	    vfio_nesting_block(nesting, group, unbind->pasid))
		rc = 0;
	up_write(&nesting->lock);
	return rc;
}

/*
 * Call @fn for each binding that @scope names, until it returns an error. Inline,
 * since it is on the path of each invalidation, and @fn is always known.
 */
static __always_inline int
vfio_nesting_for_each(struct vfio_nesting *nesting,
		      const struct iommu_uapi_inv_scope *scope,
		      int (*fn)(struct vfio_nesting_binding *binding, void *arg),
		      void *arg)
{
	struct vfio_nesting_binding *binding;
	struct vfio_nesting_group *group;
	struct vfio_nesting_pasid *pasid;
	int rc;

	if (scope->pasid != IOMMU_PASID_INVALID) {
		pasid = vfio_nesting_find_pasid(nesting, scope->pasid);
		if (!pasid)
			return 0;
		list_for_each_entry(binding, &pasid->bindings, pasid_next) {
			if (scope->by != IOMMU_UAPI_INV_ALL &&
			    !iommu_uapi_in_scope(binding->bound, scope))
				continue;
			rc = fn(binding, arg);
			if (rc)
				return rc;
		}
		return 0;
	}

	list_for_each_entry(group, &nesting->groups, next) {
		list_for_each_entry(binding, &group->bindings, group_next) {
			if (!iommu_uapi_in_scope(binding->bound, scope))
				continue;
			rc = fn(binding, arg);
			if (rc)
				return rc;
		}
	}
	return 0;
}

/**
 * struct vfio_nesting_run - successive entries that are for the same bindings
 * @scope: which bindings
 * @accepts: group that the entries were checked for
 * @info: the entries
 * @nr: number of them that every IOMMU accepts, or that took effect so far
 * @fits: number of them, from the first, that fit into the table of some binding;
 *	0 unless @scope.wide
 * @nr_bound: number of bindings
 * @bound: the bindings, if they are not too many
 */
struct vfio_nesting_run {
	struct iommu_uapi_inv_scope scope;
	struct vfio_nesting_group *accepts;
	const struct iommu_uapi_cache_invalidate_info *info;
	u32 nr;
	u32 fits;
	unsigned int nr_bound;
	struct iommu_uapi_binding *bound[VFIO_NESTING_BINDINGS];
};

/*
 * Which bindings entries are for is only known after a check, so check them for
 * each group until one accepts the first entry.
 */
static int vfio_nesting_check_run(struct vfio_nesting *nesting,
				  struct vfio_nesting_run *run)
{
	struct vfio_nesting_group *group;
	int rc = -EOPNOTSUPP;

	list_for_each_entry(group, &nesting->groups, next) {
		if (!group->dev)
			continue;
		rc = iommu_uapi_invalidate_check(run->info, run->nr,
						 &group->allowed, &run->scope);
		if (rc > 0) {
			run->accepts = group;
			run->nr = rc;
			return 0;
		}
	}
	return rc;
}

/* The IOMMU of @group is of another kind: check the entries for that, too. */
static int vfio_nesting_check_again(struct vfio_nesting_group *group,
				    struct vfio_nesting_run *run)
{
	struct iommu_uapi_inv_scope scope __uninitialized;
	int rc;

	rc = iommu_uapi_invalidate_check(run->info, run->nr, &group->allowed,
					 &scope);
	/* Addresses too wide for this IOMMU: its tables hold none of them. */
	if (rc == -EINVAL)
		rc = 1;
	if (rc < 0)
		return rc;
	run->nr = rc;
	return 0;
}

/* Inline for the same reason as vfio_nesting_for_each() */
static inline int vfio_nesting_add_binding(struct vfio_nesting_binding *binding,
					   void *arg)
{
	struct vfio_nesting_run *run = arg;

	if (run->nr_bound < ARRAY_SIZE(run->bound))
		run->bound[run->nr_bound] = binding->bound;
	run->nr_bound++;
	if (run->scope.wide)
		run->fits = max(run->fits,
				iommu_uapi_invalidate_fits(binding->bound,
							   run->info, run->nr));
	if (binding->group->kind == run->accepts->kind)
		return 0;
	return vfio_nesting_check_again(binding->group, run);
}

/* Hand on the entries for the bindings that have been collected. */
static int vfio_nesting_flush(struct vfio_nesting_run *run)
{
	int rc;

	rc = iommu_uapi_invalidate(run->bound, run->nr_bound, run->info,
				   run->nr);
	if (rc < 0)
		return rc;
	/* Continue with the entries that have taken effect so far. */
	run->nr = rc;
	run->nr_bound = 0;
	return 0;
}

static int vfio_nesting_collect(struct vfio_nesting_binding *binding, void *arg)
{
	struct vfio_nesting_run *run = arg;

	run->bound[run->nr_bound++] = binding->bound;
	return run->nr_bound < ARRAY_SIZE(run->bound) ? 0 :
							vfio_nesting_flush(run);
}

/*
 * Hand on entries that are for the same bindings. Returns how many, from the first,
 * took effect for all of them, or what is wrong with the first.
 */
static int
vfio_nesting_invalidate_run(struct vfio_nesting *nesting,
			    const struct iommu_uapi_cache_invalidate_info *info,
			    u32 nr)
{
	/* Valid where it is read, so don't clear it */
	struct vfio_nesting_run run __uninitialized;
	int rc;

	lockdep_assert_held_read(&nesting->lock);

	run.info = info;
	run.nr = nr;
	run.fits = 0;
	run.nr_bound = 0;
	rc = vfio_nesting_check_run(nesting, &run);
	if (rc)
		return rc;

	/* Nothing takes effect before all bindings are known to accept it. */
	rc = vfio_nesting_for_each(nesting, &run.scope,
				   vfio_nesting_add_binding, &run);
	if (rc)
		return rc;
	if (!run.nr_bound)
		return -ENOENT;
	if (run.scope.wide) {
		run.nr = min(run.nr, run.fits);
		if (!run.nr)
			return -EINVAL;
	}

	/* Too many to remember them: look for them again. */
	if (run.nr_bound > ARRAY_SIZE(run.bound)) {
		run.nr_bound = 0;
		rc = vfio_nesting_for_each(nesting, &run.scope,
					   vfio_nesting_collect, &run);
	}
	if (!rc && run.nr_bound)
		rc = vfio_nesting_flush(&run);
	return rc ?: run.nr;
}

/*
 * Copy entries, and hand them on. Returns how many, from the first, took effect, or
 * what is wrong with the first.
 */
static int vfio_nesting_invalidate_some(struct vfio_nesting *nesting,
					const void __user *entries, u32 size,
					u32 nr)
{
	/* Each entry is copied before it is read, so don't clear them all */
	struct iommu_uapi_cache_invalidate_info info[VFIO_NESTING_CHUNK]
		__uninitialized;
	u32 done = 0;
	int rc;

	rc = iommu_uapi_copy_array_from_user(IOMMU_UAPI_CACHE_INVALIDATE, info,
					     sizeof(*info), entries, size,
					     min_t(u32, nr, ARRAY_SIZE(info)));
	if (rc < 0)
		return rc;
	nr = rc;

	/* Not around the copy, which may wait for user space */
	down_read(&nesting->lock);
	for (;;) {
		rc = vfio_nesting_invalidate_run(nesting, &info[done],
						 nr - done);
		if (rc < 0)
			break;
		done += rc;
		if (done == nr)
			break;
		/* Each run of entries can be for all bindings. */
		cond_resched();
	}
	up_read(&nesting->lock);
	return done ?: rc;
}

/* VFIO_IOMMU_CACHE_INVALIDATE */
static int vfio_nesting_invalidate(struct vfio_nesting *nesting,
				   const void *head, void __user *arg)
{
	const struct vfio_iommu_type1_cache_invalidate *inv = head;
	struct vfio_iommu_type1_cache_invalidate __user *uinv = arg;
	const void __user *entries = uinv->data;
	u32 size, handled = 0;
	int rc;

	if (!inv->nr_entries || inv->nr_entries > VFIO_CACHE_INVALIDATE_MAX ||
	    !inv->entry_size || !IS_ALIGNED(inv->entry_size, sizeof(u64)) ||
	    check_mul_overflow(inv->nr_entries, inv->entry_size, &size) ||
	    size > inv->argsz - sizeof(*inv))
		return -EINVAL;

	/*
	 * What precedes a bad entry takes effect. The bad one is copied again then, and
	 * checked anew: nothing is used of the copy that was refused.
	 */
	do {
		rc = vfio_nesting_invalidate_some(nesting, entries,
						  inv->entry_size,
						  inv->nr_entries - handled);
		if (rc < 0)
			break;
		handled += rc;
		entries += rc * inv->entry_size;
	} while (handled < inv->nr_entries);

	if (put_user(handled, &uinv->handled))
		return -EFAULT;
	return min(rc, 0);
}

/* Keep @nr numbers for the container, so that no other can use them up. */
static int vfio_nesting_set_aside(struct vfio_nesting *nesting,
				  const struct iommu_uapi_caps *caps, u32 nr)
{
	u32 last = iommu_uapi_caps_last_pasid(caps);
	struct vfio_nesting_pasid *pasid;
	ioasid_t id;
	int rc;

	while (nr--) {
		rc = iommu_uapi_pasid_alloc(caps, IOMMU_FIRST_GLOBAL_PASID,
					    last, &id);
		if (rc)
			goto err_drop;
		pasid = vfio_nesting_add_pasid(nesting, id);
		if (IS_ERR(pasid)) {
			iommu_uapi_pasid_free(id);
			rc = PTR_ERR(pasid);
			goto err_drop;
		}
		pasid->set_aside = true;
		xa_set_mark(&nesting->pasids, id, VFIO_NESTING_FREE);
		cond_resched();
	}
	return 0;

err_drop:
	vfio_nesting_drop_pasids(nesting);
	return rc;
}

/* Does the container have PASIDs, bindings or a queue for page requests? */
static bool vfio_nesting_is_used(struct vfio_nesting *nesting)
{
	struct vfio_nesting_group *group;

	if (nesting->nr_pasids || nesting->faults)
		return true;
	list_for_each_entry(group, &nesting->groups, next) {
		if (!list_empty(&group->bindings))
			return true;
	}
	return false;
}

static bool vfio_nesting_has_emulated(struct vfio_nesting *nesting)
{
	struct vfio_nesting_group *group;

	list_for_each_entry(group, &nesting->groups, next) {
		if (!group->s2)
			return true;
	}
	return false;
}

/* What a contract can be about; all 0 if that is nothing */
static void vfio_nesting_offer(struct vfio_nesting *nesting,
			       bool devices_differ, u32 *max_pasids,
			       struct iommu_uapi_caps *have)
{
	*max_pasids = vfio_nesting_quota(nesting);
	if (nesting->committed) {
		*have = nesting->contract;
		return;
	}
	if ((!devices_differ && vfio_nesting_has_emulated(nesting)) ||
	    vfio_nesting_common_caps(nesting, devices_differ, have))
		memset(have, 0, sizeof(*have));
	*max_pasids = min(*max_pasids, iommu_uapi_caps_max_pasids(have));
}

/* Commits, if that is asked for and nothing is missing. */
static int vfio_nesting_do_negotiate(struct vfio_nesting *nesting, u32 flags,
				     const struct iommu_uapi_caps *needs,
				     u32 nr_pasids,
				     struct iommu_uapi_caps *missing,
				     u32 *pasids_missing)
{
	bool differ = flags & VFIO_NEGOTIATE_DEVICES_DIFFER;
	struct vfio_nesting_group *group;
	struct iommu_uapi_caps have;
	u32 max_pasids;
	int rc;

	lockdep_assert_held_write(&nesting->lock);

	if (flags & VFIO_NEGOTIATE_COMMIT && nesting->committed)
		return -EEXIST;

	vfio_nesting_offer(nesting, differ, &max_pasids, &have);
	rc = iommu_uapi_caps_missing(needs, &have, missing);
	*pasids_missing = 0;
	if (nr_pasids > max_pasids) {
		*pasids_missing = nr_pasids;
		rc = -ERANGE;
	}
	if (rc || !(flags & VFIO_NEGOTIATE_COMMIT))
		return rc;

	if (vfio_nesting_is_used(nesting))
		return -EBUSY;

	rc = vfio_nesting_set_aside(nesting, needs, nr_pasids);
	if (rc == -ENOSPC) {
		*pasids_missing = nr_pasids;
		rc = -ERANGE;
	}
	if (rc)
		return rc;

	nesting->contract = *needs;
	nesting->contract_pasids = iommu_uapi_contract_quota(needs, nr_pasids);
	nesting->devices_differ = differ;
	nesting->committed = true;
	list_for_each_entry(group, &nesting->groups, next)
		vfio_nesting_update_allowed(nesting, group);
	return 0;
}

/* VFIO_IOMMU_NEGOTIATE */
static int vfio_nesting_negotiate(struct vfio_nesting *nesting,
				  const void *head, void __user *arg)
{
	const struct vfio_iommu_type1_negotiate *neg = head;
	struct vfio_iommu_type1_negotiate __user *uneg = arg;
	struct iommu_uapi_caps needs, missing;
	u32 pasids_missing;
	int rc, size;

	size = iommu_uapi_copy_from_user(IOMMU_UAPI_CAPS, &needs, sizeof(needs),
					 uneg->data, neg->argsz - sizeof(*neg));
	if (size < 0)
		return size;

	rc = iommu_uapi_contract_check(&needs, neg->nr_pasids);
	if (rc)
		return rc;

	down_write(&nesting->lock);
	rc = vfio_nesting_do_negotiate(nesting, neg->flags, &needs,
				       neg->nr_pasids, &missing,
				       &pasids_missing);
	if (!rc && neg->flags & VFIO_NEGOTIATE_COMMIT)
		nesting->contract_size = size;
	up_write(&nesting->lock);

	if (rc == -ERANGE &&
	    (put_user(pasids_missing, &uneg->nr_pasids) ||
	     copy_to_user(uneg->data, &missing, size)))
		return -EFAULT;
	return rc;
}

static int vfio_nesting_start_faults(struct vfio_nesting *nesting)
{
	struct vfio_nesting_group *group;
	int rc;

	nesting->faults = iommu_uapi_faults_alloc();
	if (IS_ERR(nesting->faults)) {
		rc = PTR_ERR(nesting->faults);
		nesting->faults = NULL;
		return rc;
	}

	list_for_each_entry(group, &nesting->groups, next) {
		rc = vfio_nesting_add_faults(nesting, group);
		if (rc)
			goto err_remove;
	}
	return 0;

err_remove:
	list_for_each_entry_continue_reverse(group, &nesting->groups, next)
		vfio_nesting_remove_faults(group);
	iommu_uapi_faults_put(nesting->faults);
	nesting->faults = NULL;
	return rc;
}

static void vfio_nesting_stop_faults(struct vfio_nesting *nesting)
{
	struct vfio_nesting_group *group;

	list_for_each_entry(group, &nesting->groups, next)
		vfio_nesting_remove_faults(group);
	iommu_uapi_faults_put(nesting->faults);
	nesting->faults = NULL;
}

static bool vfio_nesting_any_group_has(struct vfio_nesting *nesting, u64 feature)
{
	struct vfio_nesting_group *group;

	list_for_each_entry(group, &nesting->groups, next) {
		if (group->dev && iommu_uapi_caps_has(&group->allowed, feature))
			return true;
	}
	return false;
}

static int vfio_nesting_open_faults(struct vfio_nesting *nesting, u32 version,
				    bool dma_faults)
{
	bool first = !nesting->faults;
	int rc;

	lockdep_assert_held_write(&nesting->lock);

	if (dma_faults ?
	    !vfio_nesting_any_group_has(nesting, IOMMU_UAPI_FEAT_DMA_FAULT) :
	    !vfio_nesting_any_group_has(nesting, IOMMU_UAPI_FEAT_PAGE_REQUEST))
		return -EOPNOTSUPP;

	/* Before devices are told to ask for pages */
	rc = iommu_uapi_get_size(IOMMU_UAPI_PAGE_REQUEST, version);
	if (rc < 0)
		return rc;

	if (first) {
		rc = vfio_nesting_start_faults(nesting);
		if (rc)
			return rc;
	}
	/* Last, since a file that user space has can't be taken back */
	rc = iommu_uapi_faults_open(nesting->faults, version, dma_faults);
	if (rc < 0 && first)
		vfio_nesting_stop_faults(nesting);
	return rc;
}

/* VFIO_IOMMU_FAULT_FD */
static int vfio_nesting_fault_fd(struct vfio_nesting *nesting, const void *head,
				 void __user *arg)
{
	const struct vfio_iommu_type1_fault_fd *req = head;
	bool timeout = req->flags & VFIO_FAULT_FD_TIMEOUT;
	bool dma_faults = req->flags & VFIO_FAULT_FD_DMA_FAULTS;
	bool keep = req->flags & VFIO_FAULT_FD_KEEP;
	int rc = 0, err;

	if (!timeout && req->timeout_ms)
		return -EINVAL;
	if (keep && (!timeout || dma_faults || req->version))
		return -EINVAL;
	if (timeout)
		rc = iommu_uapi_faults_check_timeout(req->timeout_ms);
	if (rc)
		return rc;

	down_write(&nesting->lock);
	if (!keep)
		rc = vfio_nesting_open_faults(nesting, req->version,
					      dma_faults);
	else if (!nesting->faults)
		rc = -ENOENT;
	if (rc >= 0 && timeout) {
		err = iommu_uapi_faults_set_timeout(nesting->faults,
						    req->timeout_ms);
		/* Another thread may have closed the new file already. */
		if (keep)
			rc = err;
	}
	up_write(&nesting->lock);
	return rc;
}

/**
 * struct vfio_nesting_op - a command, at the index of its number
 * @size: size of its header, which argsz has to cover
 * @flags: flags that are known
 * @reserved: offset of a field in the header that must be 0; 0 for none
 * @fn: called with the header, of which nothing else is checked
 */
struct vfio_nesting_op {
	u32 size;
	u32 flags;
	u32 reserved;
	int (*fn)(struct vfio_nesting *nesting, const void *head,
		  void __user *arg);
};

#define NESTING_OP(_cmd, _fn, _struct, _reserved, _flags)		\
	[_IOC_NR(_cmd) - _IOC_NR(VFIO_IOMMU_PASID_REQUEST)] = {		\
		.size = sizeof(struct _struct),				\
		.flags = _flags,					\
		.reserved = _reserved,					\
		.fn = _fn,						\
	}
#define RESERVED_OF(_struct)	offsetof(struct _struct, reserved)

static const struct vfio_nesting_op vfio_nesting_ops[] = {
	NESTING_OP(VFIO_IOMMU_PASID_REQUEST, vfio_nesting_pasid_request,
		   vfio_iommu_type1_pasid_request,
		   RESERVED_OF(vfio_iommu_type1_pasid_request),
		   VFIO_PASID_REQUEST_ALLOC | VFIO_PASID_REQUEST_FREE),
	NESTING_OP(VFIO_IOMMU_BIND_GPASID, vfio_nesting_bind,
		   vfio_iommu_type1_bind_gpasid,
		   RESERVED_OF(vfio_iommu_type1_bind_gpasid), 0),
	NESTING_OP(VFIO_IOMMU_UNBIND_GPASID, vfio_nesting_unbind,
		   vfio_iommu_type1_unbind_gpasid, 0, 0),
	NESTING_OP(VFIO_IOMMU_CACHE_INVALIDATE, vfio_nesting_invalidate,
		   vfio_iommu_type1_cache_invalidate,
		   RESERVED_OF(vfio_iommu_type1_cache_invalidate), 0),
	NESTING_OP(VFIO_IOMMU_FAULT_FD, vfio_nesting_fault_fd,
		   vfio_iommu_type1_fault_fd, 0,
		   VFIO_FAULT_FD_TIMEOUT | VFIO_FAULT_FD_KEEP |
		   VFIO_FAULT_FD_DMA_FAULTS),
	NESTING_OP(VFIO_IOMMU_NEGOTIATE, vfio_nesting_negotiate,
		   vfio_iommu_type1_negotiate,
		   RESERVED_OF(vfio_iommu_type1_negotiate),
		   VFIO_NEGOTIATE_COMMIT | VFIO_NEGOTIATE_DEVICES_DIFFER),
};

/* Every header begins with these. */
struct vfio_nesting_head {
	u32 argsz;
	u32 flags;
};

/**
 * vfio_nesting_ioctl - a command for guest-owned page tables
 * @nesting: state of the container
 * @cmd: number of the command, or of any other
 * @arg: its argument
 *
 * Return: 0, or a file descriptor for VFIO_IOMMU_FAULT_FD; -ENOTTY if there is no
 * such command, or @nesting is NULL; or another error as in uapi/linux/iommu.h.
 */
int vfio_nesting_ioctl(struct vfio_nesting *nesting, unsigned int cmd,
		       void __user *arg)
{
	unsigned int nr = _IOC_NR(cmd) - _IOC_NR(VFIO_IOMMU_PASID_REQUEST);
	const struct vfio_nesting_op *op;
	/* Only what has been copied is read */
	union {
		struct vfio_nesting_head head;
		struct vfio_iommu_type1_pasid_request pasid;
		struct vfio_iommu_type1_bind_gpasid bind;
		struct vfio_iommu_type1_unbind_gpasid unbind;
		struct vfio_iommu_type1_cache_invalidate inv;
		struct vfio_iommu_type1_fault_fd faults;
		struct vfio_iommu_type1_negotiate neg;
	} req __uninitialized;

	if (!nesting || nr >= ARRAY_SIZE(vfio_nesting_ops) ||
	    cmd != _IO(VFIO_TYPE, _IOC_NR(cmd)))
		return -ENOTTY;

	op = &vfio_nesting_ops[array_index_nospec(nr,
						  ARRAY_SIZE(vfio_nesting_ops))];

	if (copy_from_user(&req, arg, op->size))
		return -EFAULT;

	if (req.head.argsz < op->size)
		return -EINVAL;

	if (req.head.flags & ~op->flags ||
	    (op->reserved && *(u32 *)((void *)&req + op->reserved)))
		return -EOPNOTSUPP;

	return op->fn(nesting, &req, arg);
}
EXPORT_SYMBOL_GPL(vfio_nesting_ioctl);
