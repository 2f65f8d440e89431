// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-owned I/O page tables: page requests of devices, on their way to user
 * space, and the answers.
 *
 * A group of page requests that reaches a binding with a queue waits there until
 * it is answered: by user space, by the time limit, or because the binding or
 * the file ends. Each is answered exactly once, by whoever takes it off the list.
 *
 * Locks: &iommu_uapi_faults.lock is taken by the IOMMU driver's thread that
 * hands over a request, so nothing that waits for user space may be done under
 * it. It is taken inside of the IOMMU driver's lock for page requests, and
 * outside of the device's &iommu_fault_param.lock.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommu-uapi.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "iommu-priv.h"

/*
 * What may wait in a queue, in groups, and in requests of one group. As many
 * groups that ran out of time are remembered.
 */
#define MAX_GROUPS	IOMMU_UAPI_MAX_GROUPS
#define MAX_REQUESTS	IOMMU_UAPI_MAX_GROUP_REQUESTS

static unsigned int page_response_ms __read_mostly = 10000;
module_param(page_response_ms, uint, 0644);
MODULE_PARM_DESC(page_response_ms,
		 "Milliseconds until a page request is answered as invalid (10000)");

/**
 * struct iommu_uapi_faults - queue of page requests
 * @users: one for the carrier, one for the file
 * @lock: protects everything below
 * @groups: list of struct waiting_group in the order of arrival
 * @nr_groups: number of them
 * @nr_new: number of those that have not been given out. Also read without the
 *	lock, by whoever waits.
 * @late: list of struct waiting_group that were given out and ran out of time,
 *	so that an answer that comes late can be told from one that is wrong
 * @nr_late: number of them
 * @next_cookie: what the next group is known by
 * @overflows: groups that found no room
 * @timeouts: groups that nobody answered in time
 * @version: of the records that are read
 * @open: whether there is a file, so that somebody may answer
 * @carried: whether there is a carrier, so that further requests may come
 * @wait: for groups to read
 * @expire: looks for groups that nobody answers
 */
struct iommu_uapi_faults {
	struct kref users;
	/* Never held while user space is waited for, see above. */
	struct mutex lock;
	struct list_head groups;
	unsigned int nr_groups;
	unsigned int nr_new;
	struct list_head late;
	unsigned int nr_late;
	u64 next_cookie;
	u32 overflows;
	u32 timeouts;
	u32 version;
	bool open;
	bool carried;
	wait_queue_head_t wait;
	struct delayed_work expire;
};

/* @group is gone when it is late, so what it is known by is kept here. */
struct waiting_group {
	struct list_head node;
	struct iopf_group *group;
	struct iommu_uapi_binding *binding;
	u64 cookie;
	u32 grpid;
	u32 pasid;
	bool has_pasid;
	bool given;
	unsigned long deadline;
};

/* The caller frees @waiting, or keeps it for whoever is late. */
static void faults_answer(struct iommu_uapi_faults *faults,
			  struct waiting_group *waiting,
			  enum iommu_page_response_code code)
{
	lockdep_assert_held(&faults->lock);

	list_del(&waiting->node);
	faults->nr_groups--;
	if (!waiting->given)
		WRITE_ONCE(faults->nr_new, faults->nr_new - 1);
	iopf_group_response(waiting->group, code);
	iopf_free_group(waiting->group);
}

static void faults_forget_late(struct iommu_uapi_faults *faults,
			       struct waiting_group *late)
{
	lockdep_assert_held(&faults->lock);

	list_del(&late->node);
	faults->nr_late--;
	kfree(late);
}

/* All of @binding, or all if that is NULL. */
static void faults_answer_all(struct iommu_uapi_faults *faults,
			      struct iommu_uapi_binding *binding)
{
	struct waiting_group *waiting, *tmp;

	mutex_lock(&faults->lock);
	list_for_each_entry_safe(waiting, tmp, &faults->groups, node) {
		if (binding && waiting->binding != binding)
			continue;
		faults_answer(faults, waiting, IOMMU_PAGE_RESP_INVALID);
		kfree(waiting);
	}
	list_for_each_entry_safe(waiting, tmp, &faults->late, node) {
		if (!binding || waiting->binding == binding)
			faults_forget_late(faults, waiting);
	}
	mutex_unlock(&faults->lock);
}

static void faults_expire(struct work_struct *work)
{
	struct iommu_uapi_faults *faults =
		container_of(work, struct iommu_uapi_faults, expire.work);
	struct waiting_group *waiting, *tmp;
	unsigned long now = jiffies, left, delay = ULONG_MAX;

	mutex_lock(&faults->lock);
	list_for_each_entry_safe(waiting, tmp, &faults->groups, node) {
		/* Not in the order of arrival if the limit was changed. */
		if (time_before(now, waiting->deadline)) {
			left = waiting->deadline - now;
			delay = min(delay, left);
			continue;
		}
		faults->timeouts++;
		faults_answer(faults, waiting, IOMMU_PAGE_RESP_INVALID);
		if (!waiting->given) {
			kfree(waiting);
			continue;
		}
		list_add_tail(&waiting->node, &faults->late);
		if (++faults->nr_late > MAX_GROUPS)
			faults_forget_late(faults,
					   list_first_entry(&faults->late,
							    struct waiting_group,
							    node));
	}
	if (faults->nr_groups)
		mod_delayed_work(system_unbound_wq, &faults->expire, delay);
	mutex_unlock(&faults->lock);
}

/*
 * Whatever happens, the group is answered or kept: an error would make the
 * caller answer, with a failure that ends the device's page requests for good.
 */
static int faults_take(struct iopf_group *group)
{
	struct iommu_uapi_binding *binding =
		container_of(group->attach_handle, struct iommu_uapi_binding,
			     handle);
	const struct iommu_fault_page_request *prm =
		&group->last_fault.fault.prm;
	struct iommu_uapi_faults *faults = binding->faults;
	struct waiting_group *waiting;
	unsigned long delay =
		max(msecs_to_jiffies(READ_ONCE(page_response_ms)), 1UL);

	/* The caller answers what is on its list when the device goes. */
	iopf_group_dequeue(group);
	waiting = kzalloc(sizeof(*waiting), GFP_KERNEL);

	mutex_lock(&faults->lock);
	if (!waiting || !faults->open || faults->nr_groups >= MAX_GROUPS ||
	    group->fault_count > MAX_REQUESTS) {
		if (faults->open)
			faults->overflows++;
		mutex_unlock(&faults->lock);
		iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
		iopf_free_group(group);
		kfree(waiting);
		return 0;
	}

	waiting->group = group;
	waiting->binding = binding;
	waiting->grpid = prm->grpid;
	waiting->pasid = prm->pasid;
	waiting->has_pasid = prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	waiting->cookie = faults->next_cookie++;
	waiting->deadline = jiffies + delay;
	list_add_tail(&waiting->node, &faults->groups);
	WRITE_ONCE(faults->nr_new, faults->nr_new + 1);
	faults->nr_groups++;
	/* Set for a group that is answered by now, it does no harm. */
	if (!delayed_work_pending(&faults->expire) ||
	    time_before(waiting->deadline, faults->expire.timer.expires))
		mod_delayed_work(system_unbound_wq, &faults->expire, delay);
	wake_up_interruptible(&faults->wait);
	mutex_unlock(&faults->lock);
	return 0;
}

static struct waiting_group *faults_first_new(struct iommu_uapi_faults *faults)
{
	struct waiting_group *waiting;

	lockdep_assert_held(&faults->lock);

	list_for_each_entry(waiting, &faults->groups, node) {
		if (!waiting->given)
			return waiting;
	}
	return NULL;
}

static u32 faults_perm(u32 prot)
{
	return (prot & IOMMU_FAULT_PERM_READ ? IOMMU_UAPI_PERM_READ : 0) |
	       (prot & IOMMU_FAULT_PERM_WRITE ? IOMMU_UAPI_PERM_WRITE : 0) |
	       (prot & IOMMU_FAULT_PERM_EXEC ? IOMMU_UAPI_PERM_EXEC : 0) |
	       (prot & IOMMU_FAULT_PERM_PRIV ? IOMMU_UAPI_PERM_PRIV : 0);
}

static void faults_fill(struct iommu_uapi_page_request *record, u32 version,
			const struct waiting_group *waiting,
			const struct iommu_fault_page_request *prm)
{
	memset(record, 0, sizeof(*record));
	record->version = version;
	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID) {
		record->flags |= IOMMU_UAPI_REQ_PASID_VAL;
		record->pasid = prm->pasid;
	}
	if (prm->flags & IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE)
		record->flags |= IOMMU_UAPI_REQ_LAST;
	record->perm = faults_perm(prm->perm);
	record->grpid = prm->grpid;
	record->group_id = iommu_group_id(waiting->binding->dev->iommu_group);
	record->addr = prm->addr;
	record->cookie = waiting->cookie;
}

/*
 * Give out the first group that has not been, if it fits. Copied without the
 * lock: the copy may wait for user space, which may wait for an answer.
 */
static ssize_t faults_give(struct iommu_uapi_faults *faults, char __user *buf,
			   size_t left, struct iommu_uapi_page_request *records)
{
	int size = iommu_uapi_get_size(IOMMU_UAPI_PAGE_REQUEST,
				       faults->version);
	struct waiting_group *waiting;
	struct iopf_fault *fault;
	size_t i, nr = 0;
	u64 cookie;

	mutex_lock(&faults->lock);
	waiting = faults_first_new(faults);
	if (!waiting) {
		mutex_unlock(&faults->lock);
		return 0;
	}
	if (waiting->group->fault_count * size > left) {
		mutex_unlock(&faults->lock);
		return -EMSGSIZE;
	}
	list_for_each_entry(fault, &waiting->group->faults, list)
		faults_fill(&records[nr++], faults->version, waiting,
			    &fault->fault.prm);
	waiting->given = true;
	WRITE_ONCE(faults->nr_new, faults->nr_new - 1);
	cookie = waiting->cookie;
	mutex_unlock(&faults->lock);

	for (i = 0; i < nr; i++) {
		if (copy_to_user(buf + i * size, &records[i], size))
			break;
	}
	if (i == nr)
		return nr * size;

	/* It is the next one again, unless it has been answered meanwhile. */
	mutex_lock(&faults->lock);
	list_for_each_entry(waiting, &faults->groups, node) {
		if (waiting->cookie == cookie) {
			waiting->given = false;
			WRITE_ONCE(faults->nr_new, faults->nr_new + 1);
			wake_up_interruptible(&faults->wait);
			break;
		}
	}
	mutex_unlock(&faults->lock);
	return -EFAULT;
}

/* Does not sleep, for it is asked on the way to sleep. */
static bool faults_readable(struct iommu_uapi_faults *faults)
{
	return READ_ONCE(faults->nr_new) || !READ_ONCE(faults->carried);
}

static ssize_t faults_read(struct file *file, char __user *buf, size_t count,
			   loff_t *pos)
{
	struct iommu_uapi_faults *faults = file->private_data;
	struct iommu_uapi_page_request *records;
	ssize_t done = 0, rc;

	if (*pos)
		return -ESPIPE;
	if (!count)
		return 0;

	records = kmalloc_array(MAX_REQUESTS, sizeof(*records), GFP_KERNEL);
	if (!records)
		return -ENOMEM;

	for (;;) {
		rc = faults_give(faults, buf + done, count - done, records);
		if (rc > 0) {
			done += rc;
			continue;
		}
		/* Without its carrier no further one can come: end of file. */
		if (rc || done || !READ_ONCE(faults->carried))
			break;
		if (file->f_flags & O_NONBLOCK) {
			rc = -EAGAIN;
			break;
		}
		rc = wait_event_interruptible(faults->wait,
					      faults_readable(faults));
		if (rc)
			break;
	}
	kfree(records);
	return done ?: rc;
}

static int faults_check_response(const struct iommu_uapi_page_response *resp)
{
	if (resp->flags &
	    ~(IOMMU_UAPI_RESP_PASID_VAL | IOMMU_UAPI_RESP_COOKIE_VAL) ||
	    resp->reserved || resp->code > IOMMU_UAPI_RESP_FAILURE)
		return -EOPNOTSUPP;
	if (!(resp->flags & IOMMU_UAPI_RESP_PASID_VAL) && resp->pasid)
		return -EINVAL;
	if (!(resp->flags & IOMMU_UAPI_RESP_COOKIE_VAL) && resp->cookie)
		return -EINVAL;
	return 0;
}

static bool faults_matches(const struct waiting_group *waiting,
			   const struct iommu_uapi_page_response *resp)
{
	bool has_pasid = resp->flags & IOMMU_UAPI_RESP_PASID_VAL;

	if (!waiting->given || resp->grpid != waiting->grpid ||
	    has_pasid != waiting->has_pasid ||
	    (has_pasid && resp->pasid != waiting->pasid))
		return false;
	return !(resp->flags & IOMMU_UAPI_RESP_COOKIE_VAL) ||
	       resp->cookie == waiting->cookie;
}

/* No group waits for @resp: has it come too late? It is told so once. */
static int faults_check_late(struct iommu_uapi_faults *faults,
			     const struct iommu_uapi_page_response *resp)
{
	struct waiting_group *late;

	list_for_each_entry(late, &faults->late, node) {
		if (faults_matches(late, resp)) {
			faults_forget_late(faults, late);
			return -ETIME;
		}
	}
	return -ENOENT;
}

static int faults_respond(struct iommu_uapi_faults *faults,
			  const struct iommu_uapi_page_response *resp)
{
	static const enum iommu_page_response_code codes[] = {
		[IOMMU_UAPI_RESP_SUCCESS] = IOMMU_PAGE_RESP_SUCCESS,
		[IOMMU_UAPI_RESP_INVALID] = IOMMU_PAGE_RESP_INVALID,
		[IOMMU_UAPI_RESP_FAILURE] = IOMMU_PAGE_RESP_FAILURE,
	};
	struct waiting_group *waiting, *match = NULL;
	int rc;

	rc = faults_check_response(resp);
	if (rc)
		return rc;

	mutex_lock(&faults->lock);
	list_for_each_entry(waiting, &faults->groups, node) {
		if (!faults_matches(waiting, resp))
			continue;
		if (match) {
			rc = -ENOTUNIQ;
			break;
		}
		match = waiting;
	}
	if (!match)
		rc = faults_check_late(faults, resp);
	if (!rc) {
		faults_answer(faults, match, codes[resp->code]);
		kfree(match);
	}
	mutex_unlock(&faults->lock);
	return rc;
}

static ssize_t faults_write(struct file *file, const char __user *buf,
			    size_t count, loff_t *pos)
{
	struct iommu_uapi_faults *faults = file->private_data;
	struct iommu_uapi_page_response resp;
	ssize_t done = 0;
	int size, rc;

	if (*pos)
		return -ESPIPE;

	while (done < count) {
		size = iommu_uapi_copy_from_user(IOMMU_UAPI_PAGE_RESPONSE,
						 &resp, sizeof(resp),
						 buf + done, count - done);
		if (size < 0)
			return done ?: size;
		rc = faults_respond(faults, &resp);
		if (rc)
			return done ?: rc;
		done += size;
	}
	return done;
}

static __poll_t faults_poll(struct file *file, struct poll_table_struct *wait)
{
	struct iommu_uapi_faults *faults = file->private_data;
	__poll_t events = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &faults->wait, wait);
	if (READ_ONCE(faults->nr_new))
		events |= EPOLLIN | EPOLLRDNORM;
	if (!READ_ONCE(faults->carried))
		events |= EPOLLHUP;
	return events;
}

static void faults_free(struct kref *users)
{
	struct iommu_uapi_faults *faults =
		container_of(users, struct iommu_uapi_faults, users);

	cancel_delayed_work_sync(&faults->expire);
	WARN_ON_ONCE(faults->nr_groups || faults->nr_new || faults->nr_late);
	kfree(faults);
}

static int faults_release(struct inode *inode, struct file *file)
{
	struct iommu_uapi_faults *faults = file->private_data;

	mutex_lock(&faults->lock);
	faults->open = false;
	mutex_unlock(&faults->lock);
	faults_answer_all(faults, NULL);
	kref_put(&faults->users, faults_free);
	return 0;
}

static const struct file_operations faults_fops = {
	.read		= faults_read,
	.write		= faults_write,
	.poll		= faults_poll,
	.release	= faults_release,
};

/**
 * iommu_uapi_faults_create - make a queue of page requests, and its file
 * @version: version of the records that will be read, see
 *	struct iommu_uapi_page_request
 * @fd: set to the file descriptor, on success
 *
 * The queue holds IOMMU_UAPI_MAX_GROUPS groups. Hand it to iommu_uapi_bind().
 *
 * Context: may sleep.
 *
 * Return: the queue, for iommu_uapi_faults_put(); ERR_PTR(-EINVAL) or
 * ERR_PTR(-EOPNOTSUPP) as iommu_uapi_get_size() says of @version; ERR_PTR() of
 * -ENOMEM, -EMFILE or -ENFILE.
 */
struct iommu_uapi_faults *iommu_uapi_faults_create(u32 version, int *fd)
{
	struct iommu_uapi_faults *faults;
	int rc;

	rc = iommu_uapi_get_size(IOMMU_UAPI_PAGE_REQUEST, version);
	if (rc < 0)
		return ERR_PTR(rc);

	faults = kzalloc(sizeof(*faults), GFP_KERNEL_ACCOUNT);
	if (!faults)
		return ERR_PTR(-ENOMEM);

	kref_init(&faults->users);
	mutex_init(&faults->lock);
	INIT_LIST_HEAD(&faults->groups);
	INIT_LIST_HEAD(&faults->late);
	faults->next_cookie = 1;
	faults->version = version;
	faults->open = true;
	faults->carried = true;
	init_waitqueue_head(&faults->wait);
	INIT_DELAYED_WORK(&faults->expire, faults_expire);

	kref_get(&faults->users);
	rc = anon_inode_getfd("[iommu-page-requests]", &faults_fops, faults,
			      O_RDWR | O_CLOEXEC);
	if (rc < 0) {
		kfree(faults);
		return ERR_PTR(rc);
	}
	*fd = rc;
	return faults;
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_create);

/**
 * iommu_uapi_faults_put - the carrier is done with a queue
 * @faults: the queue, which no binding uses any more; NULL is ignored
 *
 * The file stays until it is closed, and has nothing more to say.
 *
 * Context: may sleep.
 */
void iommu_uapi_faults_put(struct iommu_uapi_faults *faults)
{
	if (!faults)
		return;

	mutex_lock(&faults->lock);
	WRITE_ONCE(faults->carried, false);
	wake_up_interruptible(&faults->wait);
	mutex_unlock(&faults->lock);
	kref_put(&faults->users, faults_free);
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_put);

/**
 * iommu_uapi_faults_count - what happened to page requests
 * @faults: the queue
 * @waiting: set to the number of groups without an answer
 * @overflows: set to the number of groups that found no room
 * @timeouts: set to the number of groups that nobody answered in time
 *
 * Context: may sleep.
 */
void iommu_uapi_faults_count(struct iommu_uapi_faults *faults, u32 *waiting,
			     u32 *overflows, u32 *timeouts)
{
	mutex_lock(&faults->lock);
	*waiting = faults->nr_groups;
	*overflows = faults->overflows;
	*timeouts = faults->timeouts;
	mutex_unlock(&faults->lock);
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_count);

/* Page requests of @binding go to @faults from when it is attached on. */
void iommu_uapi_faults_start(struct iommu_uapi_binding *binding,
			     struct iommu_domain *nested,
			     struct iommu_uapi_faults *faults)
{
	binding->faults = faults;
	nested->iopf_handler = faults_take;
}

/*
 * @binding is detached. A request that came before may still be on its way to it:
 * see the end of those, then forget groups without an end, and answer the others.
 */
void iommu_uapi_faults_stop(struct iommu_uapi_binding *binding,
			    const struct iommu_uapi_ops *ops)
{
	if (!binding->faults)
		return;
	ops->sync_page_requests(binding->dev);
	iopf_discard_partial(binding->dev, binding->pasid);
	faults_answer_all(binding->faults, binding);
}
