// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-owned I/O page tables: PASIDs, and bindings of page tables to them.
 *
 * A binding is a nested domain of its own, attached to one PASID of one device.
 * PASID 0 (IOMMU_NO_PASID) stands for requests without PASID, which the group's
 * domain translates.
 */
#include <linux/bits.h>
#include <linux/export.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "iommu-uapi.h"
#include "iommu-uapi-trace.h"

/**
 * iommu_uapi_caps_last_pasid - the largest PASID that fits
 * @caps: what the host can do
 *
 * Context: any.
 *
 * Return: the largest PASID that fits into @caps->pasid_bits.
 */
u32 iommu_uapi_caps_last_pasid(const struct iommu_uapi_caps *caps)
{
	return (1U << caps->pasid_bits) - 1;
}
EXPORT_SYMBOL_GPL(iommu_uapi_caps_last_pasid);

/**
 * iommu_uapi_pasid_check - can the host hand out a PASID of a range?
 * @caps: what the host can do
 * @first: smallest PASID to take
 * @last: largest PASID to take, itself included
 *
 * Context: any.
 *
 * Return: 0; -EOPNOTSUPP if @caps don't have IOMMU_UAPI_FEAT_HOST_PASID;
 * -EINVAL if @first is 0 or above @last, or @last does not fit into
 * @caps->pasid_bits.
 */
int iommu_uapi_pasid_check(const struct iommu_uapi_caps *caps, u32 first,
			   u32 last)
{
	if (!(caps->features & IOMMU_UAPI_FEAT_HOST_PASID))
		return -EOPNOTSUPP;
	if (first < IOMMU_FIRST_GLOBAL_PASID || first > last ||
	    last > iommu_uapi_caps_last_pasid(caps))
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_pasid_check);

/**
 * iommu_uapi_pasid_alloc - allocate a host PASID
 * @caps: what bounds its width
 * @first: smallest PASID to take, at least 1
 * @last: largest PASID to take, itself included
 * @pasid: set to the PASID, on success
 *
 * A PASID is unique in the host, whatever hands it out. Who owns it, and how
 * many one owner may have, is the carrier's business.
 *
 * Context: may sleep.
 *
 * Return: 0; what iommu_uapi_pasid_check() says; -ENOSPC if the range is
 * exhausted; -ENOMEM.
 */
int iommu_uapi_pasid_alloc(const struct iommu_uapi_caps *caps, u32 first,
			   u32 last, ioasid_t *pasid)
{
	int ret;

	ret = iommu_uapi_pasid_check(caps, first, last);
	if (ret)
		return ret;

	ret = iommu_alloc_global_pasid_range(first, last);
	if (ret < 0)
		return ret;
	*pasid = ret;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_pasid_alloc);

/**
 * iommu_uapi_pasid_free - give a host PASID back
 * @pasid: what iommu_uapi_pasid_alloc() set. Nothing may be bound to it.
 *
 * Context: any in which a spinlock may be taken.
 */
void iommu_uapi_pasid_free(ioasid_t pasid)
{
	iommu_free_global_pasid(pasid);
}
EXPORT_SYMBOL_GPL(iommu_uapi_pasid_free);

static int bind_check_vtd(const struct iommu_uapi_gpasid_bind_data *data,
			  const struct iommu_uapi_caps *caps)
{
	const struct iommu_uapi_gpasid_bind_vtd *vtd = &data->vtd;

	if ((data->addr_width != 48 && data->addr_width != 57) ||
	    data->addr_width > caps->addr_width)
		return -EOPNOTSUPP;
	if (vtd->flags & ~caps->vtd_flags)
		return -EOPNOTSUPP;
	if (!(vtd->flags & IOMMU_UAPI_VTD_EMTE) && (vtd->pat || vtd->emt))
		return -EINVAL;
	if (!IS_ALIGNED(data->gpgd, TABLE_PAGE_SIZE) ||
	    (caps->gpa_width < 64 && data->gpgd >> caps->gpa_width))
		return -EINVAL;
	return 0;
}

/* There is no table, and all of the second level is present. */
static int bind_check_second_level(const struct iommu_uapi_gpasid_bind_data *data)
{
	const void *rest = &data->vtd, *end = data + 1;

	if (data->gpgd || data->addr_width ||
	    data->flags & IOMMU_UAPI_BIND_PAGE_REQUEST ||
	    memchr_inv(rest, 0, end - rest))
		return -EINVAL;
	return 0;
}

/**
 * iommu_uapi_bind_check - is a bind one that the host can do?
 * @data: from iommu_uapi_copy_from_user()
 * @caps: what the host can do
 *
 * Whether the caller may use the PASID, and whether it is bound already, is not
 * checked.
 *
 * Context: any.
 *
 * Return: 0; -EOPNOTSUPP if a flag, the format or the address width is not
 * among @caps, PASIDs of that kind can't be bound, or reserved bytes are not
 * 0; -EINVAL if a PASID or the address of the table is not aligned or too
 * wide, or a field is set whose flag or format is not.
 */
int iommu_uapi_bind_check(const struct iommu_uapi_gpasid_bind_data *data,
			  const struct iommu_uapi_caps *caps)
{
	u64 feature = data->hpasid ? IOMMU_UAPI_FEAT_BIND_PASID :
				     IOMMU_UAPI_FEAT_BIND_NO_PASID;
	int ret;

	if (data->flags & ~caps->bind_flags ||
	    memchr_inv(data->padding, 0, sizeof(data->padding)))
		return -EOPNOTSUPP;
	if (data->format >= BITS_PER_TYPE(caps->formats) ||
	    !(caps->formats & BIT_ULL(data->format)))
		return -EOPNOTSUPP;
	if (!(caps->features & feature))
		return -EOPNOTSUPP;

	switch (data->format) {
	case IOMMU_UAPI_FORMAT_INTEL_VTD:
		ret = bind_check_vtd(data, caps);
		break;
	case IOMMU_UAPI_FORMAT_SECOND_LEVEL:
		ret = bind_check_second_level(data);
		break;
	default:
		ret = -EOPNOTSUPP;
	}
	if (ret)
		return ret;

	/* A contract has one of the two widths, the host has both. */
	if (data->hpasid >> max(caps->pasid_bits, caps->guest_pasid_bits))
		return -EINVAL;
	if (data->flags & IOMMU_UAPI_BIND_GPASID_VAL) {
		if (data->gpasid >> PASID_MAX_BITS)
			return -EINVAL;
	} else if (data->gpasid) {
		return -EINVAL;
	}
	if (!(data->flags & IOMMU_UAPI_BIND_ARCHID) && data->archid)
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind_check);

/**
 * iommu_uapi_bind_pasid - which PASID is a bind for?
 * @data: from iommu_uapi_copy_from_user(), checked or not
 *
 * Context: any.
 *
 * Return: the PASID, IOMMU_NO_PASID for requests without PASID, or
 * IOMMU_PASID_INVALID if no device has such a PASID.
 */
ioasid_t iommu_uapi_bind_pasid(const struct iommu_uapi_gpasid_bind_data *data)
{
	return data->hpasid >> PASID_MAX_BITS ? IOMMU_PASID_INVALID :
						data->hpasid;
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind_pasid);

/**
 * iommu_uapi_bind_replaces - may a bind take the place of another?
 * @data: from iommu_uapi_copy_from_user(), checked or not
 *
 * Context: any.
 *
 * Return: whether IOMMU_UAPI_BIND_REPLACE is set.
 */
bool iommu_uapi_bind_replaces(const struct iommu_uapi_gpasid_bind_data *data)
{
	return data->flags & IOMMU_UAPI_BIND_REPLACE;
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind_replaces);

static bool bind_allows_privileged(const struct iommu_uapi_gpasid_bind_data *data)
{
	return data->format == IOMMU_UAPI_FORMAT_INTEL_VTD &&
	       data->vtd.flags & IOMMU_UAPI_VTD_SRE;
}

static void binding_set(struct iommu_uapi_binding *binding,
			const struct iommu_uapi_gpasid_bind_data *data)
{
	binding->format = data->format;
	WRITE_ONCE(binding->addr_width, data->addr_width);
	WRITE_ONCE(binding->privileged, bind_allows_privileged(data));
	binding->has_archid = data->flags & IOMMU_UAPI_BIND_ARCHID;
	binding->archid = data->archid;
}

/**
 * iommu_uapi_bind - bind a guest's page table
 * @dev: the device, the only one of its group, which the carrier owns
 * @s2: the second level, from iommu_uapi_parent_alloc(). @dev must be attached
 *	to it, or be blocked.
 * @pasid: from iommu_uapi_bind_pasid(). Nothing of this interface is bound to it
 * @data: what iommu_uapi_bind_check() accepted
 * @faults: where page requests go if @data asks for them; NULL if they are not
 *	enabled for @dev
 *
 * With IOMMU_NO_PASID the nested domain takes the place of @s2 for requests
 * without PASID. After an error these may or may not be blocked; the carrier
 * calls iommu_uapi_block() to be sure.
 *
 * Context: may sleep. Takes the mutex of the group of @dev, so it can't be
 * called from iommu_group_for_each_dev(). The carrier keeps @dev, @s2, @faults,
 * the ownership of the group, and page requests enabled, for as long as the bind
 * lasts.
 *
 * Return: the binding, for iommu_uapi_invalidate(), iommu_uapi_replace() and
 * iommu_uapi_unbind(); or ERR_PTR() of -ENODEV if @dev is not the only device in
 * its group, or its IOMMU can't nest on @s2; -EEXIST if @pasid of @dev is
 * attached already; -EBUSY if @dev is being reset; -EOPNOTSUPP or -EINVAL if the
 * driver finds something in @data that the hardware does not have; -EINVAL if page
 * requests are asked for and there is no @faults; -ENOSPC if the hardware has run
 * out of domain ids; -ENOMEM.
 */
struct iommu_uapi_binding *
iommu_uapi_bind(struct device *dev, struct iommu_domain *s2, ioasid_t pasid,
		const struct iommu_uapi_gpasid_bind_data *data,
		struct iommu_uapi_faults *faults)
{
	const struct iommu_uapi_ops *ops = dev_uapi_ops(dev);
	struct iommu_uapi_binding *binding;
	struct iommu_domain *nested;
	int ret;

	/* A device that joins the group later gets none of its bindings. */
	if (!ops || !iommu_group_sole_device(dev)) {
		ret = -ENODEV;
		goto err_trace;
	}
	if (data->flags & IOMMU_UAPI_BIND_PAGE_REQUEST && !faults) {
		ret = -EINVAL;
		goto err_trace;
	}
	/* In a group that the carrier owns, only another bind attaches PASIDs. */
	if (!IS_ERR(iommu_attach_handle_get(dev->iommu_group, pasid, 0))) {
		ret = -EEXIST;
		goto err_trace;
	}

	binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding) {
		ret = -ENOMEM;
		goto err_trace;
	}
	binding->dev = dev;
	binding->pasid = pasid;
	binding_set(binding, data);

	nested = ops->domain_alloc_nested(dev, s2, data);
	if (IS_ERR(nested)) {
		ret = PTR_ERR(nested);
		goto err_kfree;
	}
	if (WARN_ON_ONCE(nested->type != IOMMU_DOMAIN_NESTED)) {
		ret = -EINVAL;
		goto err_free;
	}
	nested->owner = dev_iommu_ops(dev);
	if (data->flags & IOMMU_UAPI_BIND_PAGE_REQUEST)
		iommu_uapi_faults_start(binding, nested, faults);

	if (pasid == IOMMU_NO_PASID)
		ret = iommu_device_enter_domain(dev, nested, &binding->handle);
	else
		ret = iommu_attach_device_pasid(nested, dev, pasid,
						&binding->handle);
	if (ret)
		goto err_stop;

	trace_iommu_uapi_bind(dev, pasid, data->format, data->flags, 0);
	return binding;

err_stop:
	/* The handle may have been found before the attach failed. */
	iommu_uapi_faults_stop(binding);
err_free:
	iommu_domain_free(nested);
err_kfree:
	kfree(binding);
err_trace:
	trace_iommu_uapi_bind(dev, pasid, data->format, data->flags, ret);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind);

/**
 * iommu_uapi_replace - change a binding in one step
 * @binding: what iommu_uapi_bind() returned
 * @data: what iommu_uapi_bind_check() accepted, for the same PASID
 * @faults: as for iommu_uapi_bind()
 *
 * Each request is translated by the old table or by the new one, and nothing is
 * cached of the old one when this returns. Page requests that wait go on
 * waiting, unless @data does not ask for page requests: then they are answered as
 * invalid. If it fails, nothing has changed.
 *
 * Context: may sleep. No iommu_uapi_invalidate() of @binding is running.
 *
 * Return: 0; -EBUSY if the device is being reset; -EOPNOTSUPP or -EINVAL if the
 * driver finds something in @data that the hardware does not have; -EINVAL if page
 * requests are asked for and there is no @faults; -ENOSPC if the table is that of
 * another device, too, and the hardware has run out of domain ids; -ENOMEM.
 */
int iommu_uapi_replace(struct iommu_uapi_binding *binding,
		       const struct iommu_uapi_gpasid_bind_data *data,
		       struct iommu_uapi_faults *faults)
{
	const struct iommu_uapi_ops *ops = dev_uapi_ops(binding->dev);
	bool requests = data->flags & IOMMU_UAPI_BIND_PAGE_REQUEST;
	struct iommu_domain *nested = binding->handle.domain;
	bool old_privileged = binding->privileged;
	u32 old_width = binding->addr_width;
	int ret;

	if (requests && !faults)
		return -EINVAL;

	/* Page requests for either table are good until only one is left. */
	WRITE_ONCE(binding->addr_width, max(old_width, data->addr_width));
	WRITE_ONCE(binding->privileged,
		   old_privileged || bind_allows_privileged(data));
	ret = iommu_device_hold(binding->dev);
	if (!ret) {
		ret = ops->replace(binding->dev, binding->pasid, nested, data);
		iommu_device_release(binding->dev);
	}
	trace_iommu_uapi_replace(binding->dev, binding->pasid, data->format,
				 data->flags, ret);
	if (ret) {
		WRITE_ONCE(binding->addr_width, old_width);
		WRITE_ONCE(binding->privileged, old_privileged);
		return ret;
	}

	binding_set(binding, data);
	if (requests && !binding->faults)
		iommu_uapi_faults_start(binding, nested, faults);
	else if (!requests && binding->faults)
		iommu_uapi_faults_stop(binding);
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_replace);

/**
 * iommu_uapi_unbind - undo a bind
 * @binding: what iommu_uapi_bind() returned. Freed.
 *
 * When this returns, requests with the PASID (requests without PASID, if it is
 * IOMMU_NO_PASID) are blocked, nothing of the guest's table is cached, and its
 * page requests are answered.
 *
 * Context: may sleep. Takes the mutex of the group of the device.
 */
void iommu_uapi_unbind(struct iommu_uapi_binding *binding)
{
	struct iommu_domain *nested = binding->handle.domain;
	struct device *dev = binding->dev;

	trace_iommu_uapi_unbind(dev, binding->pasid);
	if (binding->pasid == IOMMU_NO_PASID)
		iommu_device_block(dev);
	else
		iommu_detach_device_pasid(nested, dev, binding->pasid);

	iommu_uapi_faults_stop(binding);
	iommu_domain_free(nested);
	kfree(binding);
}
EXPORT_SYMBOL_GPL(iommu_uapi_unbind);

/**
 * iommu_uapi_block - block requests without PASID
 * @dev: the device, whose group the carrier owns. No binding with IOMMU_NO_PASID
 *	is left.
 *
 * Until such a binding is made, or the carrier attaches the group anew.
 *
 * Context: may sleep. Takes the mutex of the group of @dev.
 */
void iommu_uapi_block(struct device *dev)
{
	iommu_device_block(dev);
}
EXPORT_SYMBOL_GPL(iommu_uapi_block);

/**
 * iommu_uapi_release - the carrier is done with a device
 * @dev: the device, for which no binding is left
 *
 * Frees what the driver keeps for PASIDs that are no longer bound.
 *
 * Context: may sleep.
 */
void iommu_uapi_release(struct device *dev)
{
	const struct iommu_uapi_ops *ops = dev_uapi_ops(dev);

	if (ops && ops->release)
		ops->release(dev);
}
EXPORT_SYMBOL_GPL(iommu_uapi_release);
