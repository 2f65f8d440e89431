/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fixture: a device whose page requests arrive at a file, and a page table that is
 * bound to it with or without a PASID.
 */
#ifndef _SELFTESTS_IOMMU_UAPI_PAGE_REQUEST_H
#define _SELFTESTS_IOMMU_UAPI_PAGE_REQUEST_H

#include "device.h"
#include "harness.h"

/* What the kernel allows a device to have outstanding */
#define OUTSTANDING	32

struct requester {
	struct nest n;
	struct pgt pt;
	__u32 pasid;
	__u64 page;
};

static inline int requester_init(struct requester *r, __u64 base)
{
	struct nest *n = &r->n;
	int rc;

	rc = guest_memory(n, base);
	if (!rc)
		rc = pgt_init(&r->pt, &n->mem);
	r->page = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	return rc;
}

static inline __u32 request(struct nest *n, __u32 pasid, __u32 grpid)
{
	return start(n, TESTDEV_CMD_REQUEST, pasid, ONE_REQUEST | grpid, 1,
		     GUEST_VA);
}

static inline void respond_to(struct iommu_uapi_page_response *resp,
			      const struct iommu_uapi_page_request *req, __u32 code)
{
	memset(resp, 0, sizeof(*resp));
	resp->version = IOMMU_UAPI_VERSION_2;
	resp->flags = IOMMU_UAPI_RESP_COOKIE_VAL;
	if (req->flags & IOMMU_UAPI_REQ_PASID_VAL) {
		resp->flags |= IOMMU_UAPI_RESP_PASID_VAL;
		resp->pasid = req->pasid;
	}
	resp->grpid = req->grpid;
	resp->cookie = req->cookie;
	resp->code = code;
}

static inline int write_resp(int fd, const void *resp, size_t size)
{
	ssize_t rc = write(fd, resp, size);

	return rc < 0 ? -errno : rc;
}

struct reader {
	int fd;
	__u32 seen[512];
	__u32 nr;
};

static inline void *read_and_answer(void *data)
{
	struct reader *reader = data;
	struct iommu_uapi_page_request req[8];
	ssize_t len, i;

	while ((len = read(reader->fd, req, sizeof(req))) > 0) {
		for (i = 0; i < len / (ssize_t)sizeof(req[0]); i++) {
			reader->seen[req[i].grpid]++;
			reader->nr++;
			respond(reader->fd, &req[i], IOMMU_UAPI_RESP_SUCCESS);
		}
	}
	return NULL;
}

FIXTURE(page_request)
{
	struct requester r;
	int fd;
	__u32 tag;
};

FIXTURE_VARIANT(page_request)
{
	int with_pasid;
};

FIXTURE_VARIANT_ADD(page_request, pasid)
{
	.with_pasid = 1,
};

FIXTURE_VARIANT_ADD(page_request, no_pasid)
{
	.with_pasid = 0,
};

FIXTURE_SETUP(page_request)
{
	struct requester *r = &self->r;
	struct nest *n = &r->n;

	self->fd = -1;
	if (!need_extension(_metadata) ||
	    !test_open(_metadata, n, 1, 1, VFIO_TYPE1_NESTING_IOMMU))
		return;
	if (!(n->caps.features & IOMMU_UAPI_FEAT_PAGE_REQUEST))
		SKIP(return, "the second device can't request pages");
	ASSERT_TRUE(n->caps.bind_flags & IOMMU_UAPI_BIND_PAGE_REQUEST);
	ASSERT_OK(requester_init(r, GUEST_BASE));
	if (variant->with_pasid) {
		ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &r->pasid));
		self->tag = TESTDEV_PASID(r->pasid);
	}
	/* Only tests of the time limit have one. */
	self->fd = fault_fd_flags(n->container, VFIO_FAULT_FD_TIMEOUT,
				  IOMMU_UAPI_VERSION, 0);
	ASSERT_LE(0, self->fd);
	ASSERT_OK(fcntl(self->fd, F_SETFL, O_NONBLOCK));
	ASSERT_OK(bind_requests(n, r->pasid, r->pt.root));
}

FIXTURE_TEARDOWN(page_request)
{
}

#endif /* _SELFTESTS_IOMMU_UAPI_PAGE_REQUEST_H */
