/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest-owned I/O page tables: trace events
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_uapi

#if !defined(_TRACE_IOMMU_UAPI_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_IOMMU_UAPI_H

#include <linux/tracepoint.h>

#include "iommu-uapi.h"

DECLARE_EVENT_CLASS(iommu_uapi_binding,
	TP_PROTO(struct device *dev, ioasid_t pasid, u32 format, u32 flags,
		 int ret),
	TP_ARGS(dev, pasid, format, flags, ret),
	TP_STRUCT__entry(
		__field(int, group)
		__field(unsigned int, pasid)
		__field(unsigned int, format)
		__field(unsigned int, flags)
		__field(long, ret)
	),
	TP_fast_assign(
		__entry->group = iommu_group_id(dev->iommu_group);
		__entry->pasid = pasid;
		__entry->format = format;
		__entry->flags = flags;
		__entry->ret = ret;
	),
	TP_printk("group=%d pasid=%u format=%u flags=%#x ret=%ld",
		  __entry->group, __entry->pasid, __entry->format,
		  __entry->flags, __entry->ret)
);

DEFINE_EVENT(iommu_uapi_binding, iommu_uapi_bind,
	TP_PROTO(struct device *dev, ioasid_t pasid, u32 format, u32 flags,
		 int ret),
	TP_ARGS(dev, pasid, format, flags, ret)
);

DEFINE_EVENT(iommu_uapi_binding, iommu_uapi_replace,
	TP_PROTO(struct device *dev, ioasid_t pasid, u32 format, u32 flags,
		 int ret),
	TP_ARGS(dev, pasid, format, flags, ret)
);

TRACE_EVENT(iommu_uapi_unbind,
	TP_PROTO(struct device *dev, ioasid_t pasid),
	TP_ARGS(dev, pasid),
	TP_STRUCT__entry(
		__field(int, group)
		__field(unsigned int, pasid)
	),
	TP_fast_assign(
		__entry->group = iommu_group_id(dev->iommu_group);
		__entry->pasid = pasid;
	),
	TP_printk("group=%d pasid=%u", __entry->group, __entry->pasid)
);

TRACE_EVENT(iommu_uapi_invalidate,
	TP_PROTO(const struct iommu_uapi_binding *binding, u32 entries, int ret),
	TP_ARGS(binding, entries, ret),
	TP_STRUCT__entry(
		__field(int, group)
		__field(unsigned int, pasid)
		__field(unsigned int, entries)
		__field(unsigned int, handled)
		__field(long, ret)
	),
	TP_fast_assign(
		__entry->group = iommu_group_id(binding->dev->iommu_group);
		__entry->pasid = binding->pasid;
		__entry->entries = entries;
		__entry->handled = max(ret, 0);
		__entry->ret = min(ret, 0);
	),
	TP_printk("group=%d pasid=%u entries=%u handled=%u ret=%ld",
		  __entry->group, __entry->pasid, __entry->entries,
		  __entry->handled, __entry->ret)
);

/* A page request group that waits for user space, or why it does not */
TRACE_EVENT(iommu_uapi_page_request,
	TP_PROTO(const struct iommu_uapi_binding *binding, u32 grpid, u64 addr,
		 u32 requests, int ret),
	TP_ARGS(binding, grpid, addr, requests, ret),
	TP_STRUCT__entry(
		__field(int, group)
		__field(unsigned int, pasid)
		__field(unsigned int, grpid)
		__field(unsigned int, requests)
		__field(unsigned long long, addr)
		__field(long, ret)
	),
	TP_fast_assign(
		__entry->group = iommu_group_id(binding->dev->iommu_group);
		__entry->pasid = binding->pasid;
		__entry->grpid = grpid;
		__entry->requests = requests;
		__entry->addr = addr;
		__entry->ret = ret;
	),
	TP_printk("group=%d pasid=%u grpid=%u requests=%u addr=%#llx ret=%ld",
		  __entry->group, __entry->pasid, __entry->grpid,
		  __entry->requests, __entry->addr, __entry->ret)
);

/* @ret is 0 if user space has answered, or why it could not */
TRACE_EVENT(iommu_uapi_page_response,
	TP_PROTO(const struct iommu_uapi_binding *binding, u32 grpid, int code,
		 int ret),
	TP_ARGS(binding, grpid, code, ret),
	TP_STRUCT__entry(
		__field(int, group)
		__field(unsigned int, pasid)
		__field(unsigned int, grpid)
		__field(int, code)
		__field(long, ret)
	),
	TP_fast_assign(
		__entry->group = iommu_group_id(binding->dev->iommu_group);
		__entry->pasid = binding->pasid;
		__entry->grpid = grpid;
		__entry->code = code;
		__entry->ret = ret;
	),
	TP_printk("group=%d pasid=%u grpid=%u code=%d ret=%ld", __entry->group,
		  __entry->pasid, __entry->grpid, __entry->code, __entry->ret)
);

/* What a contract asks for, and which of it the host lacks */
TRACE_EVENT(iommu_uapi_caps_missing,
	TP_PROTO(const struct iommu_uapi_caps *needs,
		 const struct iommu_uapi_caps *missing),
	TP_ARGS(needs, missing),
	TP_STRUCT__entry(
		__field(unsigned long long, needs)
		__field(unsigned long long, features)
		__field(unsigned long long, formats)
		__field(unsigned int, vtd_flags)
		__field(unsigned int, addr_width)
	),
	TP_fast_assign(
		__entry->needs = needs->features;
		__entry->features = missing->features;
		__entry->formats = missing->formats;
		__entry->vtd_flags = missing->vtd_flags;
		__entry->addr_width = missing->addr_width;
	),
	TP_printk("needs=%#llx missing: features=%#llx formats=%#llx vtd_flags=%#x addr_width=%u",
		  __entry->needs, __entry->features, __entry->formats,
		  __entry->vtd_flags, __entry->addr_width)
);

#endif /* _TRACE_IOMMU_UAPI_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH ../../drivers/iommu
#define TRACE_INCLUDE_FILE iommu-uapi-trace
#include <trace/define_trace.h>
