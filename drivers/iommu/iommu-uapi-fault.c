// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-owned I/O page tables: page requests of devices on their way to user
 * space, the responses, and DMA faults.
 *
 * A page request group for a binding with a queue waits in the queue until it is
 * answered: by user space, by the time limit, or because the binding or the file
 * ends. Each is answered exactly once, by whoever takes it off the list, or
 * forgotten because its device was reset.
 *
 * Locks: &iommu_uapi_faults.lock is taken by the thread of the IOMMU driver that
 * hands over page requests, so nothing that waits for user space may be done
 * under it. It is taken inside of the IOMMU driver's lock for page requests, and
 * outside of the device's &iommu_fault_param.lock.
 */
#include <linux/anon_inodes.h>
#include <linux/atomic.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
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
#include <linux/xarray.h>

#include "iommu-uapi.h"
#include "iommu-uapi-trace.h"

/*
 * Limits of a queue: page request groups, page requests in one group, and DMA
 * faults. As many groups that ran out of time are remembered as may wait.
 */
#define MAX_GROUPS	IOMMU_UAPI_MAX_GROUPS
#define MAX_REQUESTS	IOMMU_UAPI_MAX_GROUP_REQUESTS
#define MAX_DMA_FAULTS	IOMMU_UAPI_MAX_DMA_FAULTS

/* All parameters of the core are in one place, whichever file they are in. */
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "iommu_uapi."

static unsigned int page_response_ms __read_mostly = 10000;
module_param(page_response_ms, uint, 0644);
MODULE_PARM_DESC(page_response_ms,
		 "Milliseconds until a page request is answered as invalid, unless its container sets another limit; 0 for no limit (10000)");

static unsigned int page_response_max_ms __read_mostly;
module_param(page_response_max_ms, uint, 0644);
MODULE_PARM_DESC(page_response_max_ms,
		 "Longest time limit that a container may set, in milliseconds; 0 for any (0)");

/**
 * struct iommu_uapi_faults - queue of page requests and DMA faults
 * @users: one for the carrier, one for an open file, one for each device
 * @lock: protects everything below
 * @groups: list of struct waiting_group in the order of arrival
 * @unread: those of @groups that have not been read, in the same order
 * @given: those of @groups that have been read, by page request group index
 * @nr_groups: number of page request groups in @groups
 * @nr_new: number of page request groups in @unread. Whoever waits reads it
 *	without the lock
 * @late: list of struct waiting_group that were read and ran out of time, so that
 *	a late answer can be told from a wrong one
 * @nr_late: number of them
 * @next_cookie: cookie of the next page request group
 * @overflows: page request groups that were too large or found no room
 * @timeouts: page request groups that nobody answered in time
 * @timeout_ms: time limit for an answer, or 0
 * @version: of the records that are read
 * @open: whether there is a file, so that somebody may answer
 * @carried: whether there is a carrier, so that more may come
 * @dma_faults: ring of MAX_DMA_FAULTS records; NULL unless the file has them
 * @dma_first: index of the oldest record in it
 * @nr_dma: number of records in it. Also read without the lock by whoever waits
 * @dma_lost: DMA faults that found no room, since the last that did
 * @lost: DMA faults that found no room, ever
 * @wait: for something to read
 * @expire: looks for page request groups whose time is up
 */
struct iommu_uapi_faults {
	struct kref users;
	/* Never held while waiting for user space, see above. */
	struct mutex lock;
	struct list_head groups;
	struct list_head unread;
	DECLARE_HASHTABLE(given, 8);
	unsigned int nr_groups;
	unsigned int nr_new;
	struct list_head late;
	unsigned int nr_late;
	u64 next_cookie;
	u32 overflows;
	u32 timeouts;
	u32 timeout_ms;
	u32 version;
	bool open;
	bool carried;
	struct iommu_uapi_dma_fault *dma_faults;
	unsigned int dma_first;
	unsigned int nr_dma;
	u64 dma_lost;
	u32 lost;
	wait_queue_head_t wait;
	struct delayed_work expire;
};

/*
 * @group is freed when its time is up, so what a response names is kept here.
 * @deadline is valid while the queue has a time limit.
 */
struct waiting_group {
	struct list_head node;
	union {
		struct list_head unread_node;
		struct hlist_node given_node;
	};
	struct iopf_group *group;
	struct iommu_uapi_binding *binding;
	u64 cookie;
	u32 grpid;
	u32 pasid;
	bool has_pasid;
	bool given;
	unsigned long deadline;
};

/**
 * struct faults_dev - device whose faults and resets a queue is told of
 * @faults: the queue
 * @group_id: number of the IOMMU group of the device
 */
struct faults_dev {
	struct iommu_uapi_faults *faults;
	u32 group_id;
};

/* By the address of the struct device, which is not looked into. */
static DEFINE_XARRAY(faults_devs);

/* Files that have DMA faults, so that drivers need not look for a reader. */
static atomic_t dma_fault_files = ATOMIC_INIT(0);

static void faults_remove(struct iommu_uapi_faults *faults,
			  struct waiting_group *waiting)
{
	lockdep_assert_held(&faults->lock);

	list_del(&waiting->node);
	faults->nr_groups--;
	if (waiting->given) {
		hash_del(&waiting->given_node);
	} else {
		list_del(&waiting->unread_node);
		WRITE_ONCE(faults->nr_new, faults->nr_new - 1);
	}
}

/*
 * The caller frees @waiting, or keeps it to recognise a late answer. @why is 0 if user
 * space has answered.
 */
static void faults_answer(struct iommu_uapi_faults *faults,
			  struct waiting_group *waiting,
			  enum iommu_page_response_code code, int why)
{
	trace_iommu_uapi_page_response(waiting->binding, waiting->grpid, code,
				       why);
	faults_remove(faults, waiting);
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

/* Answer all page requests of @binding, or of all bindings if that is NULL. */
static void faults_answer_all(struct iommu_uapi_faults *faults,
			      struct iommu_uapi_binding *binding)
{
	struct waiting_group *waiting, *tmp;

	lockdep_assert_held(&faults->lock);

	list_for_each_entry_safe(waiting, tmp, &faults->groups, node) {
		if (binding && waiting->binding != binding)
			continue;
		faults_answer(faults, waiting, IOMMU_PAGE_RESP_INVALID,
			      -ECANCELED);
		kfree(waiting);
	}
	list_for_each_entry_safe(waiting, tmp, &faults->late, node) {
		if (!binding || waiting->binding == binding)
			faults_forget_late(faults, waiting);
	}
}

/* Forget what @dev asked for before it was reset: it no longer waits. */
static void faults_forget_dev(struct iommu_uapi_faults *faults,
			      struct device *dev)
{
	struct waiting_group *waiting, *tmp;

	mutex_lock(&faults->lock);
	list_for_each_entry_safe(waiting, tmp, &faults->groups, node) {
		if (waiting->binding->dev != dev)
			continue;
		faults_remove(faults, waiting);
		iopf_free_group(waiting->group);
		kfree(waiting);
	}
	list_for_each_entry_safe(waiting, tmp, &faults->late, node) {
		if (waiting->binding->dev == dev)
			faults_forget_late(faults, waiting);
	}
	mutex_unlock(&faults->lock);
}

static unsigned long faults_limit(struct iommu_uapi_faults *faults)
{
	return max(msecs_to_jiffies(faults->timeout_ms), 1UL);
}

static void faults_expire(struct work_struct *work)
{
	struct iommu_uapi_faults *faults =
		container_of(work, struct iommu_uapi_faults, expire.work);
	struct waiting_group *waiting, *tmp;

	mutex_lock(&faults->lock);
	/* In the order of arrival, so also in that of the deadlines. */
	list_for_each_entry_safe(waiting, tmp, &faults->groups, node) {
		if (!faults->timeout_ms)
			break;
		if (time_before(jiffies, waiting->deadline)) {
			mod_delayed_work(system_dfl_wq, &faults->expire,
					 waiting->deadline - jiffies);
			break;
		}
		faults->timeouts++;
		faults_answer(faults, waiting, IOMMU_PAGE_RESP_INVALID,
			      -ETIME);
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
	mutex_unlock(&faults->lock);
}

/* Are these page requests that the table of @binding could serve? */
static bool faults_servable(const struct iommu_uapi_binding *binding,
			    struct iopf_group *group)
{
	u32 width = READ_ONCE(binding->addr_width);
	const struct iommu_fault_page_request *prm;
	struct iopf_fault *fault;

	if (group->fault_count > MAX_REQUESTS)
		return false;
	list_for_each_entry(fault, &group->faults, list) {
		prm = &fault->fault.prm;
		if (width && !addr_canonical(prm->addr, width))
			return false;
		/* No PASID entry allows requests to execute. */
		if (prm->perm & IOMMU_FAULT_PERM_EXEC)
			return false;
		if (prm->perm & IOMMU_FAULT_PERM_PRIV &&
		    !READ_ONCE(binding->privileged))
			return false;
	}
	/* PASID 0 stands for requests without PASID, and no device may send it. */
	prm = &group->last_fault.fault.prm;
	return prm->pasid || !(prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID);
}

static void faults_refuse(struct iommu_uapi_binding *binding,
			  struct iopf_group *group, int why)
{
	const struct iommu_fault_page_request *prm =
		&group->last_fault.fault.prm;

	trace_iommu_uapi_page_request(binding, prm->grpid, prm->addr,
				      group->fault_count, why);
	iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(group);
}

/*
 * Always returns 0, with the group answered or queued. After an error the caller
 * would respond with a failure, which ends the device's page requests for good.
 */
static int faults_take(struct iopf_group *group)
{
	struct iommu_uapi_binding *binding =
		container_of(group->attach_handle, struct iommu_uapi_binding,
			     handle);
	const struct iommu_fault_page_request *prm =
		&group->last_fault.fault.prm;
	struct iommu_uapi_faults *faults = READ_ONCE(binding->faults);
	bool servable = faults_servable(binding, group);
	struct waiting_group *waiting;

	/* Off the device's list: its groups are answered when the device goes. */
	iopf_group_dequeue(group);
	if (!faults) {
		faults_refuse(binding, group, -ECANCELED);
		return 0;
	}
	waiting = kzalloc(sizeof(*waiting), GFP_KERNEL);

	mutex_lock(&faults->lock);
	if (!waiting || !faults->open || !servable ||
	    faults->nr_groups >= MAX_GROUPS) {
		if (faults->open &&
		    (servable || group->fault_count > MAX_REQUESTS))
			faults->overflows++;
		mutex_unlock(&faults->lock);
		faults_refuse(binding, group, servable ? -ENOSPC : -EINVAL);
		kfree(waiting);
		return 0;
	}

	waiting->group = group;
	waiting->binding = binding;
	waiting->grpid = prm->grpid;
	waiting->pasid = prm->pasid;
	waiting->has_pasid = prm->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
	waiting->cookie = faults->next_cookie++;
	waiting->deadline = jiffies + faults_limit(faults);
	list_add_tail(&waiting->node, &faults->groups);
	list_add_tail(&waiting->unread_node, &faults->unread);
	WRITE_ONCE(faults->nr_new, faults->nr_new + 1);
	faults->nr_groups++;
	trace_iommu_uapi_page_request(binding, prm->grpid, prm->addr,
				      group->fault_count, 0);
	/* A pending timer is for an earlier group, so it is early enough. */
	if (faults->timeout_ms && !delayed_work_pending(&faults->expire))
		mod_delayed_work(system_dfl_wq, &faults->expire,
				 faults_limit(faults));
	wake_up_interruptible(&faults->wait);
	mutex_unlock(&faults->lock);
	return 0;
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
 * Give out the first page request group that has not been read, if it fits.
 * Copied without the lock: the copy may wait for user space, which may wait for an
 * answer.
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
	waiting = list_first_entry_or_null(&faults->unread,
					   struct waiting_group, unread_node);
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
	list_del(&waiting->unread_node);
	hash_add(faults->given, &waiting->given_node, waiting->grpid);
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

	/* Make the group unread again, unless it has been answered since. */
	mutex_lock(&faults->lock);
	list_for_each_entry(waiting, &faults->groups, node) {
		if (waiting->cookie == cookie) {
			hash_del(&waiting->given_node);
			list_add(&waiting->unread_node, &faults->unread);
			waiting->given = false;
			WRITE_ONCE(faults->nr_new, faults->nr_new + 1);
			wake_up_interruptible(&faults->wait);
			break;
		}
	}
	mutex_unlock(&faults->lock);
	return -EFAULT;
}

/* Give the oldest DMA fault, if there is one. It is lost if the copy fails. */
static ssize_t faults_give_dma(struct iommu_uapi_faults *faults,
			       char __user *buf, size_t left)
{
	int size = iommu_uapi_get_size(IOMMU_UAPI_DMA_FAULT, faults->version);
	struct iommu_uapi_dma_fault record;

	mutex_lock(&faults->lock);
	if (!faults->nr_dma) {
		mutex_unlock(&faults->lock);
		return 0;
	}
	if (size > left) {
		mutex_unlock(&faults->lock);
		return -EMSGSIZE;
	}
	record = faults->dma_faults[faults->dma_first];
	faults->dma_first = (faults->dma_first + 1) % MAX_DMA_FAULTS;
	WRITE_ONCE(faults->nr_dma, faults->nr_dma - 1);
	mutex_unlock(&faults->lock);

	if (!copy_to_user(buf, &record, size))
		return size;

	mutex_lock(&faults->lock);
	faults->dma_lost++;
	faults->lost++;
	mutex_unlock(&faults->lock);
	return -EFAULT;
}

/* The condition of a wait_event(), so it must not sleep. */
static bool faults_readable(struct iommu_uapi_faults *faults)
{
	return READ_ONCE(faults->nr_new) || READ_ONCE(faults->nr_dma) ||
	       !READ_ONCE(faults->carried);
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
		if (!rc)
			rc = faults_give_dma(faults, buf + done, count - done);
		if (rc > 0) {
			done += rc;
			continue;
		}
		/* Without its carrier nothing more can come: end of file. */
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

/* No group waits for @resp. A late answer gets ETIME once. */
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
	hash_for_each_possible(faults->given, waiting, given_node, resp->grpid) {
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
		faults_answer(faults, match, codes[resp->code], 0);
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
	if (READ_ONCE(faults->nr_new) || READ_ONCE(faults->nr_dma))
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

/* The file ends, or could not be made. */
static void faults_close(struct iommu_uapi_faults *faults)
{
	mutex_lock(&faults->lock);
	faults->open = false;
	faults_answer_all(faults, NULL);
	if (faults->dma_faults)
		atomic_dec(&dma_fault_files);
	kvfree(faults->dma_faults);
	faults->dma_faults = NULL;
	WRITE_ONCE(faults->nr_dma, 0);
	mutex_unlock(&faults->lock);
	kref_put(&faults->users, faults_free);
}

static int faults_release(struct inode *inode, struct file *file)
{
	faults_close(file->private_data);
	return 0;
}

static const struct file_operations faults_fops = {
	.read		= faults_read,
	.write		= faults_write,
	.poll		= faults_poll,
	.release	= faults_release,
};

/**
 * iommu_uapi_faults_alloc - make a queue of page requests and DMA faults
 *
 * The queue holds IOMMU_UAPI_MAX_GROUPS page request groups. Hand it to
 * iommu_uapi_bind() and iommu_uapi_faults_add_dev(). Until
 * iommu_uapi_faults_open(), page requests are answered as invalid.
 *
 * Context: may sleep.
 *
 * Return: the queue, for iommu_uapi_faults_put(); or ERR_PTR(-ENOMEM).
 */
struct iommu_uapi_faults *iommu_uapi_faults_alloc(void)
{
	struct iommu_uapi_faults *faults;

	faults = kzalloc(sizeof(*faults), GFP_KERNEL_ACCOUNT);
	if (!faults)
		return ERR_PTR(-ENOMEM);

	kref_init(&faults->users);
	mutex_init(&faults->lock);
	INIT_LIST_HEAD(&faults->groups);
	INIT_LIST_HEAD(&faults->unread);
	hash_init(faults->given);
	INIT_LIST_HEAD(&faults->late);
	faults->next_cookie = 1;
	faults->timeout_ms = READ_ONCE(page_response_ms);
	faults->carried = true;
	init_waitqueue_head(&faults->wait);
	INIT_DELAYED_WORK(&faults->expire, faults_expire);
	return faults;
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_alloc);

/**
 * iommu_uapi_faults_open - make the file of a queue
 * @faults: the queue
 * @version: version of the records that will be read, see
 *	struct iommu_uapi_page_request
 * @dma_faults: whether DMA faults can be read too
 *
 * A queue has one file at a time. The first one starts with the time limit of the
 * administrator, a later one with that of the file before.
 *
 * Context: may sleep.
 *
 * Return: a file descriptor; -EEXIST if a file is open; -EINVAL or -EOPNOTSUPP
 * as iommu_uapi_get_size() says of @version; -ENOMEM, -EMFILE or -ENFILE.
 */
int iommu_uapi_faults_open(struct iommu_uapi_faults *faults, u32 version,
			   bool dma_faults)
{
	struct iommu_uapi_dma_fault *ring = NULL;
	int rc;

	rc = iommu_uapi_get_size(IOMMU_UAPI_PAGE_REQUEST, version);
	if (rc < 0)
		return rc;
	if (dma_faults) {
		ring = kvcalloc(MAX_DMA_FAULTS, sizeof(*ring),
				GFP_KERNEL_ACCOUNT);
		if (!ring)
			return -ENOMEM;
	}

	mutex_lock(&faults->lock);
	if (faults->open) {
		mutex_unlock(&faults->lock);
		kvfree(ring);
		return -EEXIST;
	}
	faults->version = version;
	faults->dma_faults = ring;
	if (ring)
		atomic_inc(&dma_fault_files);
	faults->dma_lost = 0;
	faults->open = true;
	mutex_unlock(&faults->lock);

	/*
	 * Not under the lock, which the thread for page requests takes too: memory
	 * that is charged can make the caller wait.
	 */
	kref_get(&faults->users);
	rc = anon_inode_getfd("[iommu-page-requests]", &faults_fops, faults,
			      O_RDWR | O_CLOEXEC);
	if (rc < 0)
		faults_close(faults);
	return rc;
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_open);

/**
 * iommu_uapi_faults_check_timeout - may a carrier set this time limit?
 * @timeout_ms: the limit in milliseconds, 0 for none
 *
 * Context: any.
 *
 * Return: 0, or -EDQUOT if it is longer than the administrator allows.
 */
int iommu_uapi_faults_check_timeout(u32 timeout_ms)
{
	unsigned int most = READ_ONCE(page_response_max_ms);

	/* 0 is no limit: it wraps, and is longer than any. */
	return most && timeout_ms - 1 >= most ? -EDQUOT : 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_check_timeout);

/**
 * iommu_uapi_faults_set_timeout - set the time limit for answers
 * @faults: the queue
 * @timeout_ms: what iommu_uapi_faults_check_timeout() allowed
 *
 * Time starts anew for all that waits.
 *
 * Context: may sleep.
 *
 * Return: 0, or -ENOENT if there is no file.
 */
int iommu_uapi_faults_set_timeout(struct iommu_uapi_faults *faults,
				  u32 timeout_ms)
{
	struct waiting_group *waiting;

	mutex_lock(&faults->lock);
	if (!faults->open) {
		mutex_unlock(&faults->lock);
		return -ENOENT;
	}
	faults->timeout_ms = timeout_ms;
	list_for_each_entry(waiting, &faults->groups, node)
		waiting->deadline = jiffies + faults_limit(faults);
	/* Even if none waits: the timer may still be set for a longer limit. */
	if (timeout_ms)
		mod_delayed_work(system_dfl_wq, &faults->expire,
				 faults_limit(faults));
	mutex_unlock(&faults->lock);
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_set_timeout);

/**
 * iommu_uapi_faults_put - the carrier is done with a queue
 * @faults: the queue, which no binding and no device uses any more; NULL is
 *	ignored
 *
 * The file stays until it is closed, and has nothing more to read.
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
 * iommu_uapi_faults_count - what happened to page requests and DMA faults
 * @faults: the queue
 * @waiting: set to the number of page request groups without an answer
 * @overflows: set to the number of page request groups that were too large or
 *	found no room
 * @timeouts: set to the number of page request groups that nobody answered in
 *	time
 * @lost: set to the number of DMA faults that found no room
 *
 * Context: may sleep.
 */
void iommu_uapi_faults_count(struct iommu_uapi_faults *faults, u32 *waiting,
			     u32 *overflows, u32 *timeouts, u32 *lost)
{
	mutex_lock(&faults->lock);
	*waiting = faults->nr_groups;
	*overflows = faults->overflows;
	*timeouts = faults->timeouts;
	*lost = faults->lost;
	mutex_unlock(&faults->lock);
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_count);

/**
 * iommu_uapi_faults_add_dev - let a queue know of a device's faults and resets
 * @faults: the queue
 * @dev: the device, for iommu_uapi_faults_remove_dev()
 *
 * Context: may sleep.
 *
 * Return: 0; -EBUSY if @dev has a queue already; -ENOMEM.
 */
int iommu_uapi_faults_add_dev(struct iommu_uapi_faults *faults,
			      struct device *dev)
{
	struct faults_dev *fdev;
	int rc;

	fdev = kzalloc(sizeof(*fdev), GFP_KERNEL_ACCOUNT);
	if (!fdev)
		return -ENOMEM;
	fdev->faults = faults;
	fdev->group_id = iommu_group_id(dev->iommu_group);

	rc = xa_insert(&faults_devs, (unsigned long)dev, fdev,
		       GFP_KERNEL_ACCOUNT);
	if (rc)
		kfree(fdev);
	else
		kref_get(&faults->users);
	return rc;
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_add_dev);

/* The queue of @dev, to be put, and @group_id, unless that is NULL */
static struct iommu_uapi_faults *faults_get(struct device *dev, u32 *group_id)
{
	struct iommu_uapi_faults *faults = NULL;
	struct faults_dev *fdev;

	xa_lock(&faults_devs);
	fdev = xa_load(&faults_devs, (unsigned long)dev);
	if (fdev) {
		faults = fdev->faults;
		kref_get(&faults->users);
		if (group_id)
			*group_id = fdev->group_id;
	}
	xa_unlock(&faults_devs);
	return faults;
}

/**
 * iommu_uapi_faults_remove_dev - undo iommu_uapi_faults_add_dev()
 * @dev: the device
 *
 * Context: may sleep.
 */
void iommu_uapi_faults_remove_dev(struct device *dev)
{
	struct faults_dev *fdev;

	fdev = xa_erase(&faults_devs, (unsigned long)dev);
	if (!fdev)
		return;
	kref_put(&fdev->faults->users, faults_free);
	kfree(fdev);
}
EXPORT_SYMBOL_GPL(iommu_uapi_faults_remove_dev);

/**
 * iommu_uapi_page_requests - let a device request pages, or no longer
 * @dev: the device, whose group the carrier owns
 * @on: switch them on, before the first bind that asks for them; or off again,
 *	after the last of these binds is gone
 *
 * Context: may sleep. May take the mutex of the group of @dev.
 *
 * Return: 0; -EBUSY if the kernel itself uses the page requests of @dev; -ENOMEM;
 * or what the driver returned. Switching them off never fails.
 */
int iommu_uapi_page_requests(struct device *dev, bool on)
{
	return iommu_device_page_requests(dev, on);
}
EXPORT_SYMBOL_GPL(iommu_uapi_page_requests);

/**
 * iommu_uapi_dma_faults_wanted - does anybody read DMA faults?
 *
 * Context: any.
 *
 * Return: whether iommu_uapi_report_dma_fault() may have an effect.
 */
bool iommu_uapi_dma_faults_wanted(void)
{
	return atomic_read(&dma_fault_files);
}

/**
 * iommu_uapi_report_dma_fault - tell user space of DMA that was blocked
 * @dev: the device
 * @has_pasid: whether the request has a PASID
 * @pasid: the PASID, if @has_pasid
 * @addr: address of the request
 * @write: whether it is a write
 * @reason: fault reason as the IOMMU's specification numbers it
 * @lost: number of DMA faults that were lost just before this one
 *
 * For an IOMMU driver. Does nothing unless a carrier has told that it wants the
 * faults of @dev, and there is a file for them.
 *
 * Context: may sleep.
 */
void iommu_uapi_report_dma_fault(struct device *dev, bool has_pasid,
				 ioasid_t pasid, u64 addr, bool write,
				 u32 reason, u32 lost)
{
	struct iommu_uapi_dma_fault *record;
	struct iommu_uapi_faults *faults;
	u32 group_id;

	faults = faults_get(dev, &group_id);
	if (!faults)
		return;

	mutex_lock(&faults->lock);
	if (!faults->dma_faults)
		goto out_unlock;
	faults->dma_lost += lost;
	faults->lost += lost;
	if (faults->nr_dma == MAX_DMA_FAULTS) {
		faults->dma_lost++;
		faults->lost++;
		goto out_unlock;
	}

	record = &faults->dma_faults[(faults->dma_first + faults->nr_dma) %
				     MAX_DMA_FAULTS];
	memset(record, 0, sizeof(*record));
	record->version = faults->version;
	record->flags = IOMMU_UAPI_REQ_DMA_FAULT;
	if (has_pasid) {
		record->flags |= IOMMU_UAPI_REQ_PASID_VAL;
		record->pasid = pasid;
	}
	record->perm = write ? IOMMU_UAPI_PERM_WRITE : IOMMU_UAPI_PERM_READ;
	record->reason = reason;
	record->group_id = group_id;
	record->addr = addr;
	record->lost = faults->dma_lost;
	faults->dma_lost = 0;
	WRITE_ONCE(faults->nr_dma, faults->nr_dma + 1);
	wake_up_interruptible(&faults->wait);
out_unlock:
	mutex_unlock(&faults->lock);
	kref_put(&faults->users, faults_free);
}
EXPORT_SYMBOL_GPL(iommu_uapi_report_dma_fault);

/**
 * iommu_uapi_reset_done - a device has been reset, and may not send DMA yet
 * @dev: the device
 *
 * Page requests from before the reset are forgotten. The device does not wait
 * for them, and a response to one could be taken for the response to a later page
 * request with the same group index.
 *
 * Context: may sleep.
 */
void iommu_uapi_reset_done(struct device *dev)
{
	struct iommu_uapi_faults *faults = faults_get(dev, NULL);
	const struct iommu_uapi_ops *ops;

	if (!faults)
		return;

	ops = dev_uapi_ops(dev);
	if (ops && ops->sync_page_requests)
		ops->sync_page_requests(dev);
	iopf_discard_partial(dev, IOMMU_PASID_INVALID);
	faults_forget_dev(faults, dev);
	kref_put(&faults->users, faults_free);
}

/* Page requests of @binding go to @faults once it is attached. */
void iommu_uapi_faults_start(struct iommu_uapi_binding *binding,
			     struct iommu_domain *nested,
			     struct iommu_uapi_faults *faults)
{
	WRITE_ONCE(binding->faults, faults);
	/* Never cleared: the caller of the handler reads it more than once. */
	nested->iopf_handler = faults_take;
}

/*
 * @binding is detached, or shall no longer have page requests. Page requests that
 * came before may still be on their way to it: wait for them, then drop groups
 * whose last page request has not come, and answer the others.
 */
void iommu_uapi_faults_stop(struct iommu_uapi_binding *binding)
{
	struct iommu_uapi_faults *faults = binding->faults;

	WRITE_ONCE(binding->faults, NULL);
	/* Without a queue, page requests are refused, and that uses the binding too. */
	dev_uapi_ops(binding->dev)->sync_page_requests(binding->dev);
	iopf_discard_partial(binding->dev, binding->pasid);
	if (!faults)
		return;
	mutex_lock(&faults->lock);
	faults_answer_all(faults, binding);
	mutex_unlock(&faults->lock);
}
