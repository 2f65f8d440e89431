// SPDX-License-Identifier: GPL-2.0
/*
 * PASIDs of the host, and the guest's page tables that are bound to them: each
 * argument right and wrong, and where the device's DMA goes.
 */
#include <sys/stat.h>

#include "nesting.h"

/* ---- PASIDs ---- */

/* R36 R43: inclusive ends, the number in its field, never in the result */
TEST_F(nesting, pasid_range)
{
	__u32 last = pasid_last(&self->n), a, b, got;
	int fd = self->n.container;

	ASSERT_OK(pasid_alloc(fd, last, last, &a));
	EXPECT_EQ(last, a);
	EXPECT_ERR(ENOSPC, pasid_alloc(fd, last, last, &got));
	EXPECT_EQ(~0u, got);
	ASSERT_OK(pasid_alloc(fd, last - 1, last, &b));
	EXPECT_EQ(last - 1, b);
	EXPECT_ERR(ENOSPC, pasid_alloc(fd, last - 1, last, &got));
	EXPECT_EQ(3, nest_used(fd));

	EXPECT_ERR(EINVAL, pasid_alloc(fd, 0, 0, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, 0, last, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, last, last - 1, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, last + 1, last + 1, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, 1, last + 1, &got));
	EXPECT_ERR(EINVAL, pasid_alloc(fd, ~0u, ~0u, &got));
	EXPECT_ERR(EINVAL, pasid_free(fd, last, last - 1));
	EXPECT_EQ(3, nest_used(fd));

	EXPECT_OK(pasid_free(fd, last, last));
	EXPECT_ERR(ENOENT, pasid_free(fd, last, last));
	EXPECT_OK(pasid_free(fd, last - 1, last));
	expect_unchanged(_metadata, self);
}

/* R24 R29: exactly one command, no stray bits */
TEST_F(nesting, pasid_flags)
{
	struct vfio_iommu_type1_pasid_request req = {
		.argsz = sizeof(req),
		.first = 1,
		.last = pasid_last(&self->n),
	};
	int fd = self->n.container, bit;
	__u32 cmd;

	EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
	req.flags = VFIO_PASID_REQUEST_ALLOC | VFIO_PASID_REQUEST_FREE;
	EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
	for (cmd = 1; cmd <= 2; cmd++) {
		for (bit = 2; bit < 32; bit++) {
			req.flags = cmd | 1u << bit;
			EXPECT_ERR(EOPNOTSUPP,
				   xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
		}
		req.flags = cmd;
		for (bit = 0; bit < 32; bit++) {
			req.reserved = 1u << bit;
			EXPECT_ERR(EOPNOTSUPP,
				   xioctl(fd, VFIO_IOMMU_PASID_REQUEST, &req));
		}
		req.reserved = 0;
	}
	expect_unchanged(_metadata, self);
}

/* R19 R20 R23: argsz is checked, and nothing behind it is read */
TEST_F(nesting, pasid_argsz)
{
	struct vfio_iommu_type1_pasid_request *req;
	int fd = self->n.container;
	__u32 size;

	req = (void *)(guard_page() - sizeof(*req));
	memset(req, 0, sizeof(*req));
	req->flags = VFIO_PASID_REQUEST_ALLOC;
	req->first = 1;
	req->last = pasid_last(&self->n);
	for (size = 0; size < sizeof(*req); size++) {
		req->argsz = size;
		EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, req));
	}
	expect_unchanged(_metadata, self);
	req->argsz = sizeof(*req);
	EXPECT_OK(xioctl(fd, VFIO_IOMMU_PASID_REQUEST, req));
	req->argsz = ~0u;
	EXPECT_OK(xioctl(fd, VFIO_IOMMU_PASID_REQUEST, req));
	EXPECT_EQ(3, nest_used(fd));
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_PASID_REQUEST,
				  (void *)req + 1));
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_PASID_REQUEST, NULL));
}

/* R32: a PASID that can't be told is not kept */
TEST_F(nesting, pasid_not_writable)
{
	__u32 last = pasid_last(&self->n), got;
	int fd = self->n.container, i;

	for (i = 0; i < 100; i++)
		EXPECT_ERR(EFAULT, pasid_alloc_unwritable(fd, last, last));
	expect_unchanged(_metadata, self);
	EXPECT_ERR(ENOENT, pasid_free(fd, last, last));
	EXPECT_OK(pasid_alloc(fd, last, last, &got));
}

/* R36 R41: a quota of the administrator's, its use visible */
TEST_F(nesting, pasid_quota)
{
	__u32 last = pasid_last(&self->n), quota, used, pasid;
	int fd = self->n.container;
	unsigned int old;
	struct stat st;

	if (access(QUOTA_PATH, W_OK) || read_uint(QUOTA_PATH, &old))
		SKIP(return, "needs to set the quota");
	ASSERT_OK(stat(QUOTA_PATH, &st));
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0644, st.st_mode & 0777);

	ASSERT_OK(write_uint(QUOTA_PATH, 3));
	EXPECT_OK(pasid_alloc(fd, 1, last, &pasid));
	EXPECT_OK(pasid_alloc(fd, 1, last, &pasid));
	EXPECT_ERR(EDQUOT, pasid_alloc(fd, 1, last, &pasid));
	EXPECT_OK(nest_info(fd, NULL, &quota, &used));
	EXPECT_EQ(3, quota);
	EXPECT_EQ(3, used);
	/* Lowered, it takes nothing away. */
	EXPECT_OK(write_uint(QUOTA_PATH, 1));
	EXPECT_EQ(3, nest_used(fd));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(unbind(&self->n, self->pasid));
	EXPECT_OK(pasid_free(fd, 0, ~0u));
	EXPECT_OK(pasid_alloc(fd, 1, last, &pasid));
	EXPECT_ERR(EDQUOT, pasid_alloc(fd, 1, last, &pasid));
	EXPECT_OK(write_uint(QUOTA_PATH, old));
}

/* R42: as long as there are PASIDs, not as the range is wide */
TEST_F_TIMEOUT(nesting, pasid_free_all, SLOW)
{
	int fd = self->n.container, i, nr = 101;
	__u32 pasid;
	double t, alloc;

	/*
	 * Not ten times as long as to allocate them one by one, on whatever
	 * machine. The clock may run on while this waits, but not each time.
	 */
	do {
		alloc = now();
		for (i = 0; i < 100; i++)
			ASSERT_OK(pasid_alloc(fd, 1, pasid_last(&self->n), &pasid));
		alloc = now() - alloc;
		EXPECT_EQ(nr, nest_used(fd));
		nr = 100;
		t = now();
		EXPECT_OK(pasid_free(fd, 0, ~0u));
		EXPECT_EQ(0, nest_used(fd));
		EXPECT_ERR(ENOENT, pasid_free(fd, 0, ~0u));
		EXPECT_ERR(ENOENT, pasid_free(fd, 0, 0));
		t = now() - t;
		TH_LOG("%.2f ms, after %.2f ms", t * 1e3, alloc * 1e3);
	} while (t > 10 * alloc);
}

/* R47: what is bound is not freed, nor anything beside it */
TEST_F(nesting, pasid_free_bound)
{
	__u32 low, high, last = pasid_last(&self->n);
	int fd = self->n.container;

	ASSERT_OK(pasid_free(fd, 0, ~0u));
	ASSERT_OK(pasid_alloc(fd, last - 2, last - 2, &low));
	ASSERT_OK(pasid_alloc(fd, last - 1, last - 1, &self->pasid));
	ASSERT_OK(pasid_alloc(fd, last, last, &high));
	ASSERT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_ERR(EBUSY, pasid_free(fd, 0, ~0u));
	EXPECT_ERR(EBUSY, pasid_free(fd, self->pasid, self->pasid));
	EXPECT_EQ(3, nest_used(fd));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(pasid_free(fd, low, low));
	EXPECT_OK(pasid_free(fd, high, high));
	EXPECT_OK(unbind(&self->n, self->pasid));
	EXPECT_OK(pasid_free(fd, 0, ~0u));
	EXPECT_EQ(0, nest_used(fd));
}

/* R42: another container's PASIDs are not there */
TEST_F(nesting, pasid_foreign)
{
	static struct inv_arg inv;
	struct nest other;
	__u32 theirs;

	if (!test_open(_metadata, &other, !variant->nth, 1,
		       VFIO_TYPE1_NESTING_IOMMU))
		return;
	ASSERT_OK(pasid_alloc(other.container, 1, pasid_last(&other), &theirs));
	EXPECT_NE(self->pasid, theirs);
	EXPECT_ERR(ENOENT, pasid_free(self->n.container, theirs, theirs));
	EXPECT_ERR(ENOENT, unbind(&self->n, theirs));
	inv_init(&inv, 1);
	inv_pasid(&inv.entry[0], &self->n, theirs);
	EXPECT_ERR(ENOENT, do_inv(&self->n, &inv));
	/* ... nor taken along. */
	EXPECT_OK(pasid_free(self->n.container, 0, ~0u));
	EXPECT_EQ(1, nest_used(other.container));
	nest_close(&other);
}

/* ---- binding ---- */

/* DMA through the guest's table, both ways, and none without it */
TEST_F(nesting, bind_dma)
{
	struct nest *n = &self->n;
	__u8 out[256], in[256];
	unsigned int i;

	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA + 0x1ff8,
			    self->page[1] + 0xff8));

	/* Across the pages, which are not neighbours in memory. */
	for (i = 0; i < sizeof(out); i++)
		out[i] = i ^ 0x5a;
	EXPECT_EQ(TESTDEV_DONE,
		  testdev_write(&n->td, TESTDEV_PASID(self->pasid),
				GUEST_VA + PGT_4K - 128, out, sizeof(out)));
	EXPECT_EQ(0, memcmp(gmem_ptr(&n->mem, self->page[0] + PGT_4K - 128),
			    out, 128));
	EXPECT_EQ(0, memcmp(gmem_ptr(&n->mem, self->page[1]), out + 128, 128));
	EXPECT_EQ(TESTDEV_DONE,
		  testdev_read(&n->td, TESTDEV_PASID(self->pasid),
			       GUEST_VA + PGT_4K - 128, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));

	/* The hardware notes what it did. */
	EXPECT_TRUE(*pgt_leaf(&self->pt, GUEST_VA) & PGT_A);
	EXPECT_TRUE(*pgt_leaf(&self->pt, GUEST_VA) & PGT_D);

	/* What the table does not map, and what is no address of the guest. */
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA + 2 * PGT_4K));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_BASE));
	EXPECT_OK(unbind(n, self->pasid));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	expect_unchanged(_metadata, self);
}

/* The guest's permissions and page sizes count */
TEST_F(nesting, bind_permissions)
{
	struct nest *n = &self->n;
	__u64 got, *mem, big;

	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + 2 * PGT_4K, self->page[0],
			  PGT_4K, PGT_RO));
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + 3 * PGT_4K, self->page[0],
			  PGT_4K, PGT_P | PGT_W));
	/* Beyond what the container maps */
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + 4 * PGT_4K,
			  GUEST_BASE + GUEST_SIZE, PGT_4K, PGT_RW));
	big = GUEST_BASE + PGT_2M;
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA + PGT_1G, big, PGT_2M, PGT_RW));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));

	mem = gmem_ptr(&n->mem, self->page[0]);
	*mem = 0x1234;
	EXPECT_EQ(TESTDEV_DONE,
		  dma_read(n, self->pasid, GUEST_VA + 2 * PGT_4K, &got));
	EXPECT_EQ(0x1234, got);
	EXPECT_EQ(TESTDEV_FAULT,
		  dma_write(n, self->pasid, GUEST_VA + 2 * PGT_4K, 0));
	EXPECT_EQ(0x1234, mem_get(mem));
	/* Not for requests without privilege */
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA + 3 * PGT_4K));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA + 4 * PGT_4K));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA + PGT_1G + 0x12340,
			    big + 0x12340));
	EXPECT_OK(unbind(n, self->pasid));
}

/* Requests without PASID: the container's mappings, the guest's, none, and back */
TEST_F(nesting, bind_no_pasid)
{
	__u64 val = 0x55aa55aa12345678, got = 0;
	struct nest *n = &self->n;
	__u64 *mem;

	if (!(n->caps.features & IOMMU_UAPI_FEAT_BIND_NO_PASID))
		SKIP(return, "not for requests without PASID");
	mem = gmem_ptr(&n->mem, self->page[0]);
	*mem = val;
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&n->td, TESTDEV_NO_PASID,
					     self->page[0], &got, 8));
	EXPECT_EQ(val, got);

	ASSERT_OK(bind_table(n, 0, self->pt.root));
	EXPECT_ERR(EEXIST, bind_table(n, 0, self->pt.root));
	got = 0;
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&n->td, TESTDEV_NO_PASID,
					     GUEST_VA, &got, 8));
	EXPECT_EQ(val, got);
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      self->page[0], &got, 8));
	/* Both kinds at once */
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	pgt_unmap(&self->pt, GUEST_VA);
	EXPECT_OK(invalidate_addr(n, 0, GUEST_VA, 1));
	EXPECT_OK(invalidate_addr(n, self->pasid, GUEST_VA, 1));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_OK(unbind(n, self->pasid));

	*mem = ~val;
	EXPECT_OK(unbind(n, 0));
	EXPECT_ERR(ENOENT, unbind(n, 0));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      self->page[0], &got, 8));
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	EXPECT_OK(bind_second_level(n, 0, 0));
	EXPECT_EQ(TESTDEV_DONE, testdev_read(&n->td, TESTDEV_NO_PASID,
					     self->page[0], &got, 8));
	EXPECT_EQ(~val, got);
	EXPECT_EQ(TESTDEV_FAULT, testdev_read(&n->td, TESTDEV_NO_PASID,
					      GUEST_VA, &got, 8));
	expect_unchanged(_metadata, self);
}

/* Two PASIDs have two tables */
TEST_F(nesting, bind_two_pasids)
{
	struct nest *n = &self->n;
	struct pgt pt;
	__u32 pasid;

	ASSERT_OK(pasid_alloc(n->container, 1, pasid_last(n), &pasid));
	ASSERT_OK(pgt_init(&pt, &n->mem));
	ASSERT_OK(pgt_map(&pt, GUEST_VA, self->page[1], PGT_4K, PGT_RW));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	ASSERT_OK(bind_table(n, pasid, pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(dma_works(n, pasid, GUEST_VA, self->page[1]));
	EXPECT_OK(unbind(n, self->pasid));
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	EXPECT_OK(dma_works(n, pasid, GUEST_VA, self->page[1]));
}

/* R21: any version up to the one reported */
TEST_F(nesting, bind_every_version)
{
	struct bind_arg arg;
	__u32 v;

	for (v = IOMMU_UAPI_VERSION_1; v <= self->n.version; v++) {
		bind_init(&arg, &self->n, self->pasid, self->pt.root);
		arg.data.version = v;
		EXPECT_OK(do_bind(&self->n, &arg));
		EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA,
				    self->page[0]));
		EXPECT_OK(unbind(&self->n, self->pasid));
	}
}

/* R17: versions that do not exist */
TEST_F(nesting, bind_version)
{
	static const __u32 newer[] = {
		IOMMU_UAPI_VERSION + 1, 256, 1u << 16, INT_MAX, 1u << 31, ~0u,
	};
	struct bind_arg arg;
	unsigned int i;

	bind_init(&arg, &self->n, self->pasid, self->pt.root);
	arg.data.version = 0;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	for (i = 0; i < ARRAY_LEN(newer); i++) {
		arg.data.version = newer[i];
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* R19 R20 R23: every length below is refused, every one above is fine */
TEST_F(nesting, bind_argsz)
{
	struct bind_arg *arg;
	__u8 *end = guard_page();
	__u32 size;

	ASSERT_NE(0, (uintptr_t)end);
	arg = (void *)(end - sizeof(*arg));
	bind_init(arg, &self->n, self->pasid, self->pt.root);
	for (size = 0; size < sizeof(*arg); size++) {
		arg->head.argsz = size;
		EXPECT_ERR(EINVAL, do_bind(&self->n, arg));
	}
	expect_unchanged(_metadata, self);
	for (size = sizeof(*arg); size < sizeof(*arg) + 16; size++) {
		arg->head.argsz = size;
		EXPECT_OK(do_bind(&self->n, arg));
		EXPECT_OK(unbind(&self->n, self->pasid));
	}
	arg->head.argsz = ~0u;
	EXPECT_OK(do_bind(&self->n, arg));
	EXPECT_OK(unbind(&self->n, self->pasid));

	/* Cut off by the end of memory, at each place */
	for (size = 8; size < sizeof(*arg); size += 8) {
		struct bind_arg good;

		bind_init(&good, &self->n, self->pasid, self->pt.root);
		memcpy(end - size, &good, size);
		EXPECT_ERR(EFAULT, xioctl(self->n.container,
					  VFIO_IOMMU_BIND_GPASID, end - size));
	}
	EXPECT_ERR(EFAULT, do_bind(&self->n, NULL));
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* R24 R29: the header's bits */
TEST_F(nesting, bind_header)
{
	struct bind_arg arg;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		bind_init(&arg, &self->n, self->pasid, self->pt.root);
		arg.head.flags = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
		arg.head.flags = 0;
		arg.head.reserved = 1u << bit;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	expect_unchanged(_metadata, self);
}

/* R24: every flag bit, every padding byte, fields whose flag is not there */
TEST_F(nesting, bind_bits)
{
	const struct iommu_uapi_caps *caps = &self->n.caps;
	struct bind_arg good, arg;
	unsigned int i;

	bind_init(&good, &self->n, self->pasid, self->pt.root);
	for (i = 0; i < 64; i++) {
		arg = good;
		arg.data.flags = 1ULL << i;
		if (!(caps->bind_flags & arg.data.flags))
			EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
		arg = good;
		arg.data.vtd.flags = 1ULL << i;
		if (!(caps->vtd_flags & arg.data.vtd.flags))
			EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	for (i = 0; i < sizeof(arg.data.padding); i++) {
		arg = good;
		arg.data.padding[i] = 1;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
		arg.data.padding[i] = 0x80;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	arg = good;
	arg.data.vtd.pat = 1;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	arg = good;
	arg.data.vtd.emt = 1;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	arg = good;
	arg.data.gpasid = 1;
	EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	if (caps->bind_flags & IOMMU_UAPI_BIND_GPASID_VAL) {
		arg.data.flags = IOMMU_UAPI_BIND_GPASID_VAL;
		for (i = 20; i < 64; i++) {
			arg.data.gpasid = 1ULL << i;
			EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
		}
	}
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* R16 R24: formats that this kernel does not have */
TEST_F(nesting, bind_format)
{
	struct bind_arg arg;
	unsigned int i;

	bind_init(&arg, &self->n, self->pasid, self->pt.root);
	for (i = 0; i < 130; i++) {
		arg.data.format = i < 129 ? i : ~0u;
		if (i < 64 && self->n.caps.formats & 1ULL << i)
			continue;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* The table's address: not aligned, too wide; and its width */
TEST_F(nesting, bind_table_address)
{
	struct bind_arg arg;
	unsigned int i;

	bind_init(&arg, &self->n, self->pasid, self->pt.root);
	for (i = 0; i < 12; i++) {
		arg.data.gpgd = self->pt.root | 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	}
	for (i = self->n.caps.gpa_width; i < 64; i++) {
		arg.data.gpgd = self->pt.root | 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(&self->n, &arg));
	}
	arg.data.gpgd = self->pt.root;
	for (i = 0; i < 70; i++) {
		arg.data.addr_width = i;
		if (i == 48 || (i == 57 && self->n.caps.addr_width >= 57))
			continue;
		EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	}
	arg.data.addr_width = ~0u;
	EXPECT_ERR(EOPNOTSUPP, do_bind(&self->n, &arg));
	expect_unchanged(_metadata, self);
	expect_clean(_metadata, self);
}

/* Five levels, where the host has them; four next to them know four */
TEST_F(nesting, five_levels)
{
	const __u64 wide = GUEST_VA | 1ULL << 52;
	const __u64 high = GUEST_VA | 0xfff0ULL << 48;
	struct nest *n = &self->n;
	struct bind_arg arg;
	__u64 top, *e;
	int i;

	top = gmem_alloc(&n->mem, PGT_4K, PGT_4K);
	ASSERT_NE(0, top);
	e = gmem_ptr(&n->mem, top);
	e[(wide >> 48) & 511] = self->pt.root | PGT_RW;
	e[(high >> 48) & 511] = self->pt.root | PGT_RW;
	bind_init(&arg, n, self->pasid, top);
	arg.data.addr_width = 57;
	if (n->caps.addr_width < 57) {
		EXPECT_ERR(EOPNOTSUPP, do_bind(n, &arg));
		expect_unchanged(_metadata, self);
		return;
	}

	ASSERT_OK(do_bind(n, &arg));
	EXPECT_OK(dma_works(n, self->pasid, wide, self->page[0]));
	EXPECT_OK(dma_works(n, self->pasid, high + PGT_4K, self->page[1]));
	/* Only what the top table leads to */
	EXPECT_TRUE(dma_faults(n, self->pasid, GUEST_VA));
	/* Bits 63 to 56 of an address are the same. */
	for (i = 57; i < 64; i++) {
		EXPECT_TRUE(dma_faults(n, self->pasid, wide ^ 1ULL << i));
		EXPECT_ERR(EINVAL, invalidate_addr(n, self->pasid,
						   wide ^ 1ULL << i, 1));
	}
	pgt_unmap(&self->pt, GUEST_VA);
	ASSERT_OK(invalidate_addr(n, self->pasid, wide, 1));
	EXPECT_TRUE(dma_faults(n, self->pasid, wide));
	pgt_unmap(&self->pt, GUEST_VA + PGT_4K);
	ASSERT_OK(invalidate_addr(n, self->pasid, high, 2));
	EXPECT_TRUE(dma_faults(n, self->pasid, high + PGT_4K));
	EXPECT_OK(unbind(n, self->pasid));

	/* The host could, but this table was not bound so. */
	ASSERT_OK(pgt_map(&self->pt, GUEST_VA, self->page[0], PGT_4K, PGT_RW));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_TRUE(dma_faults(n, self->pasid, wide));
	EXPECT_ERR(EINVAL, invalidate_addr(n, self->pasid, wide, 1));
	EXPECT_OK(unbind(n, self->pasid));
}

/* A table where there is no memory binds, and only its own DMA fails */
TEST_F(nesting, bind_table_nowhere)
{
	ASSERT_OK(bind_table(&self->n, self->pasid, GUEST_BASE + GUEST_SIZE));
	EXPECT_TRUE(dma_faults(&self->n, self->pasid, GUEST_VA));
	EXPECT_OK(unbind(&self->n, self->pasid));
	expect_clean(_metadata, self);
}

/* R38 R40 R43: a PASID that there is, whose group, and once */
TEST_F(nesting, bind_whose)
{
	struct nest *n = &self->n;
	struct bind_arg arg;
	int i;

	bind_init(&arg, n, self->pasid, self->pt.root);
	for (i = n->caps.pasid_bits; i < 64; i++) {
		arg.data.hpasid = self->pasid | 1ULL << i;
		EXPECT_ERR(EINVAL, do_bind(n, &arg));
	}
	for (i = 0; i < 32; i++) {
		bind_init(&arg, n, self->pasid, self->pt.root);
		arg.head.group_id ^= 1u << i;
		EXPECT_ERR(ENOENT, do_bind(n, &arg));
	}
	expect_unchanged(_metadata, self);

	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	EXPECT_ERR(EEXIST, bind_table(n, self->pasid, self->pt.root));
	EXPECT_ERR(EEXIST, bind_table(n, self->pasid, self->pt.root + PGT_4K));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(unbind(n, self->pasid));
	expect_clean(_metadata, self);
}

/* R23 R24 R40: unbind */
TEST_F(nesting, unbind_bad)
{
	struct vfio_iommu_type1_unbind_gpasid arg, *end;
	struct nest *n = &self->n;
	int fd = n->container, i;
	__u32 size;

	EXPECT_ERR(ENOENT, unbind(n, self->pasid));
	ASSERT_OK(bind_table(n, self->pasid, self->pt.root));
	for (i = 0; i < 32; i++) {
		if (self->pasid ^ 1u << i)
			EXPECT_ERR(ENOENT, unbind(n, self->pasid ^ 1u << i));
		EXPECT_ERR(ENOENT, unbind_group(fd, n->group_id ^ 1u << i,
						self->pasid));
		arg = (struct vfio_iommu_type1_unbind_gpasid){
			.argsz = sizeof(arg),
			.flags = 1u << i,
			.group_id = n->group_id,
			.pasid = self->pasid,
		};
		EXPECT_ERR(EOPNOTSUPP,
			   xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, &arg));
	}
	arg.flags = 0;
	end = (void *)(guard_page() - sizeof(arg));
	*end = arg;
	for (size = 0; size < sizeof(arg); size++) {
		end->argsz = size;
		EXPECT_ERR(EINVAL, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, end));
	}
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID,
				  (void *)end + 4));
	EXPECT_ERR(EFAULT, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, NULL));
	EXPECT_OK(dma_works(n, self->pasid, GUEST_VA, self->page[0]));
	end->argsz = ~0u;
	EXPECT_OK(xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, end));
	EXPECT_ERR(ENOENT, xioctl(fd, VFIO_IOMMU_UNBIND_GPASID, end));
	expect_clean(_metadata, self);
}

/* R38: a group of two devices is refused, not skipped */
TEST_F(nesting, bind_two_devices)
{
	struct nest pair = {};
	int rc;

	pair.container = self->n.container;
	rc = nest_join(&pair, 0, 2);
	if (rc == -ENODEV)
		SKIP(return, "needs a group of two devices");
	ASSERT_EQ(0, rc);
	pair.version = self->n.version;
	EXPECT_ERR(ENODEV, bind_table(&pair, self->pasid, self->pt.root));
	EXPECT_ERR(ENODEV, bind_table(&pair, 0, self->pt.root));
	EXPECT_ERR(ENOENT, unbind(&pair, self->pasid));
	/* It could never be bound again, so it is not blocked either. */
	EXPECT_ERR(ENOENT, unbind(&pair, 0));
	/* The capability is gone, but the other group is not worse off. */
	EXPECT_ERR(ENOENT, nest_info(self->n.container, NULL, NULL, NULL));
	EXPECT_OK(bind_table(&self->n, self->pasid, self->pt.root));
	EXPECT_OK(dma_works(&self->n, self->pasid, GUEST_VA, self->page[0]));
	EXPECT_OK(invalidate_pasid(&self->n, self->pasid));
	EXPECT_OK(unbind(&self->n, self->pasid));
	EXPECT_OK(pasid_free(self->n.container, 0, ~0u));
}

TEST_HARNESS_MAIN
