/*
 * QTest for VT-d in scalable mode: PASIDs, both stages and their nesting
 *
 * All checks follow the "Intel Virtualization Technology for Directed I/O"
 * specification, rev. 5.10.  Where a test goes beyond it and checks a property
 * of the model (a translation stays cached, an unrelated invalidation does not
 * drop it), the comment says so: hardware may drop cached translations at any
 * time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "vtd-util.h"

/* The machine that most tests use: one PASID for each translation type */
#define P_FIRST                 0x1
#define P_SECOND                0x2
#define P_NESTED                0xabcde /* Uses all of the 20 bits */
#define P_PASS                  0x4

#define DID_FIRST               1
#define DID_SECOND              2
#define DID_NESTED              3
#define DID_PASS                4
#define DID_RID                 5

#define FIRST                   REQ_PASID(P_FIRST)
#define SECOND                  REQ_PASID(P_SECOND)
#define NESTED                  REQ_PASID(P_NESTED)
#define PASS                    REQ_PASID(P_PASS)

/* Selects different entries at each level */
#define IOVA                    0x112233445000ULL

#define PAGE(n)                 (VTD_DATA + (n) * 0x1000ULL)
#define GPA(n)                  vtd_gpa(PAGE(n))

/* Mapped by the standard tables; tests move page n to PAGE(n + ALT) */
#define D_FIRST                 1
#define D_SECOND                2
#define D_NESTED                3
#define D_PASS                  4
#define ALT                     16

#define IOVA_SECOND             GPA(D_SECOND)

typedef struct Fixture {
    VTD *v;
    VTDTable *fs;               /* Of P_FIRST */
    VTDTable *ss;               /* Of P_SECOND and P_NESTED */
    VTDTable *nfs;              /* Of P_NESTED */
    uint64_t fs_leaf;
    uint64_t ss_leaf;
    uint64_t nfs_leaf;
    uint64_t nss_leaf;          /* Second stage of the page of P_NESTED */
} Fixture;

static Fixture *fixture_new_with_args(const char *iommu_opts,
                                      const char *testdev_opts)
{
    Fixture *f = g_new0(Fixture, 1);
    VTD *v = vtd_new_with_args(iommu_opts, testdev_opts);

    f->v = v;
    f->fs = vtd_first_stage(v, NULL);
    f->ss = vtd_second_stage(v);
    f->nfs = vtd_first_stage(v, f->ss);

    f->fs_leaf = vtd_map(f->fs, IOVA, PAGE(D_FIRST), LEVEL_4K);
    f->ss_leaf = vtd_map(f->ss, IOVA_SECOND, PAGE(D_SECOND), LEVEL_4K);
    f->nfs_leaf = vtd_map(f->nfs, IOVA, GPA(D_NESTED), LEVEL_4K);
    f->nss_leaf = vtd_map(f->ss, GPA(D_NESTED), PAGE(D_NESTED), LEVEL_4K);

    vtd_set_pasid(v, P_FIRST, vtd_pe_first(f->fs, DID_FIRST));
    vtd_set_pasid(v, P_SECOND, vtd_pe_second(f->ss, DID_SECOND));
    vtd_set_pasid(v, P_NESTED, vtd_pe_nested(f->nfs, DID_NESTED));
    vtd_set_pasid(v, P_PASS, vtd_pe_pass(DID_PASS));
    vtd_enable_translation(v);
    return f;
}

static Fixture *fixture_new(void)
{
    return fixture_new_with_args(VTD_NESTING_OPTS, NULL);
}

static void fixture_free(Fixture *f)
{
    vtd_free(f->v);
    g_free(f->fs);
    g_free(f->ss);
    g_free(f->nfs);
    g_free(f);
}

/* Everything that the fixture maps is reachable; also fills the caches */
static void fixture_check(Fixture *f)
{
    vtd_reads(f->v, FIRST, IOVA, PAGE(D_FIRST));
    vtd_reads(f->v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
    vtd_reads(f->v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_reads(f->v, PASS, PAGE(D_PASS), PAGE(D_PASS));
}

/* Change the address in a paging entry and keep its other bits */
static void remap(VTD *v, uint64_t entry, uint64_t to)
{
    vtd_put(v, entry, (vtd_get(v, entry) & ~MAKE_64BIT_MASK(12, 36)) | to);
}

/*
 * A request faults while the structure at @hpa holds @val, and succeeds again
 * with the previous value.
 */
static void check_bad_value(const char *func, int line, VTD *v, uint64_t hpa,
                            uint64_t val, uint32_t cmd, uint32_t req,
                            uint64_t addr, uint64_t page, uint8_t reason)
{
    uint64_t old = vtd_put(v, hpa, val);

    vtd_inv_all(v);
    vtd_check_fault(func, line, v, cmd, req, addr, reason);
    vtd_put(v, hpa, old);
    vtd_inv_all(v);
    vtd_check_ok(func, line, v, cmd, req, addr, page);
}

#define read_faults_with(v, hpa, val, req, addr, page, reason)              \
    check_bad_value(__func__, __LINE__, v, hpa, val, TESTDEV_CMD_READ, req, \
                    addr, page, reason)
#define write_faults_with(v, hpa, val, req, addr, page, reason)              \
    check_bad_value(__func__, __LINE__, v, hpa, val, TESTDEV_CMD_WRITE, req, \
                    addr, page, reason)

/* Where the paging structure of @level on the path to @addr lies */
static uint64_t table_page(VTDTable *t, uint64_t addr, int level)
{
    return vtd_entry(t, addr, level) & ~0xfffULL;
}

/* The second-stage leaf entry for a table of a nested first stage */
static uint64_t ss_leaf_of_table(Fixture *f, int level)
{
    return vtd_entry(f->ss, vtd_gpa(table_page(f->nfs, IOVA, level)),
                     LEVEL_4K);
}

/*
 * Capabilities
 */

static void test_caps(void)
{
    VTD *v = vtd_new();
    uint64_t want = ECAP_QI | ECAP_PT | ECAP_NEST | ECAP_PASID | ECAP_SMTS |
                    ECAP_SSTS | ECAP_FSTS;

    g_assert_cmphex(v->ecap & want, ==, want);
    g_assert_cmpuint(CAP_MGAW(v->cap), ==, 48);
    g_assert_cmphex(v->cap & CAP_PSI, ==, CAP_PSI);
    /* 48-bit AGAW must be among the supported ones */
    g_assert_cmphex(extract64(v->cap, 8, 5) & 4, ==, 4);
    /* 2 MiB and 1 GiB pages in both stages, which the tests below use */
    g_assert_cmphex(extract64(v->cap, 34, 2), ==, 3);
    g_assert_cmphex(v->cap & CAP_FS1GP, ==, CAP_FS1GP);
    /* Faults are cached in caching mode only */
    g_assert_cmphex(v->cap & CAP_CM, ==, 0);

    vtd_free(v);
}

static void test_caps_without_nesting(void)
{
    VTD *v = vtd_new_with_args("x-scalable-mode=on,aw-bits=48", NULL);

    g_assert_cmphex(v->ecap & ECAP_NEST, ==, 0);
    g_assert_cmphex(v->ecap & ECAP_SMTS, ==, ECAP_SMTS);
    vtd_free(v);
}

/*
 * Translation types
 */

static void test_modes_pasid(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int i;

    /* In turns, to catch a translation of one PASID used for another */
    for (i = 0; i < 2; i++) {
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
        vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
        vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
        vtd_reads(v, PASS, PAGE(D_PASS), PAGE(D_PASS));
        vtd_writes(v, NESTED, IOVA + 0xff0, PAGE(D_NESTED) + 0xff0);
        vtd_writes(v, FIRST, IOVA + 0xff0, PAGE(D_FIRST) + 0xff0);
        vtd_writes(v, SECOND, IOVA_SECOND + 0x10, PAGE(D_SECOND) + 0x10);
        vtd_writes(v, PASS, PAGE(D_PASS) + 0x10, PAGE(D_PASS) + 0x10);
    }
    fixture_free(f);
}

/* One device uses all types without a PASID, one after the other */
static void test_modes_rid(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int i;

    for (i = 0; i < 2; i++) {
        vtd_set_pasid(v, 0, vtd_pe_pass(DID_PASS));
        vtd_inv_all(v);
        vtd_reads(v, REQ_RID, PAGE(D_PASS), PAGE(D_PASS));
        vtd_writes(v, REQ_RID, PAGE(D_PASS), PAGE(D_PASS));

        vtd_set_pasid(v, 0, vtd_pe_first(f->fs, DID_FIRST));
        vtd_inv_all(v);
        vtd_reads(v, REQ_RID, IOVA, PAGE(D_FIRST));
        vtd_writes(v, REQ_RID, IOVA, PAGE(D_FIRST));
        vtd_read_faults(v, REQ_RID, IOVA + 0x1000, FR_FS_P);

        vtd_set_pasid(v, 0, vtd_pe_second(f->ss, DID_SECOND));
        vtd_inv_all(v);
        vtd_reads(v, REQ_RID, IOVA_SECOND, PAGE(D_SECOND));
        vtd_writes(v, REQ_RID, IOVA_SECOND, PAGE(D_SECOND));
        vtd_read_faults(v, REQ_RID, IOVA, FR_SS_P);

        vtd_set_pasid(v, 0, vtd_pe_nested(f->nfs, DID_NESTED));
        vtd_inv_all(v);
        vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED));
        vtd_writes(v, REQ_RID, IOVA, PAGE(D_NESTED));
        vtd_write_faults(v, REQ_RID, IOVA + 0x1000, FR_FS_P);

        /* The PASIDs of the same device are not affected */
        fixture_check(f);
    }
    fixture_free(f);
}

/* Change an entry from pass-through to tables: pass-through must end */
static void test_modes_leave_pass_through(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    vtd_set_pasid(v, 0, vtd_pe_pass(DID_PASS));
    vtd_inv_all(v);
    vtd_reads(v, REQ_RID, PAGE(D_PASS), PAGE(D_PASS));
    vtd_reads(v, PASS, PAGE(D_PASS), PAGE(D_PASS));

    vtd_set_pasid(v, 0, vtd_pe_second(f->ss, DID_SECOND));
    vtd_inv_pasid(v, PC_PASID, DID_PASS, 0);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_PASS, 0, 0, 0);
    vtd_read_faults(v, REQ_RID, PAGE(D_PASS), FR_SS_P);
    vtd_write_faults(v, REQ_RID, PAGE(D_PASS), FR_SS_P);
    vtd_reads(v, REQ_RID, IOVA_SECOND, PAGE(D_SECOND));

    vtd_set_pasid(v, P_PASS, vtd_pe_nested(f->nfs, DID_NESTED));
    vtd_inv_pasid(v, PC_PASID, DID_PASS, P_PASS);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_PASS, P_PASS, 0, 0);
    vtd_read_faults(v, PASS, PAGE(D_PASS), FR_FS_P);
    vtd_reads(v, PASS, IOVA, PAGE(D_NESTED));

    /* And no entry at all */
    vtd_put(v, vtd_pasid_entry(v, 0), 0);
    vtd_inv_pasid(v, PC_PASID, DID_SECOND, 0);
    vtd_inv_iotlb(v, IOTLB_DOMAIN, DID_SECOND, 0, 0);
    vtd_read_faults(v, REQ_RID, IOVA_SECOND, FR_PE_P);
    vtd_read_faults(v, REQ_RID, PAGE(D_PASS), FR_PE_P);
    fixture_free(f);
}

/* Addresses from the upper canonical half are first-stage addresses, too */
static void test_modes_upper_half(void)
{
    Fixture *f = fixture_new();
    uint64_t high = 0xffff800000000000ULL | 0x123456789000ULL;

    vtd_map(f->fs, high, PAGE(8), LEVEL_4K);
    vtd_map(f->nfs, high, GPA(9), LEVEL_4K);
    vtd_map(f->ss, GPA(9), PAGE(9), LEVEL_4K);
    vtd_reads(f->v, FIRST, high, PAGE(8));
    vtd_writes(f->v, NESTED, high, PAGE(9));
    fixture_free(f);
}

/* Add a table on top of @t, which maps nothing but @addr */
static uint64_t top_of_five(VTDTable *t, uint64_t addr)
{
    uint64_t top = vtd_alloc(t->v);
    uint64_t entry = top + extract64(addr, 48, 9) * 8;

    if (t->nest) {
        vtd_map(t->nest, vtd_gpa(top), top, LEVEL_4K);
    }
    vtd_put(t->v, entry, (t->nest ? vtd_gpa(t->root) : t->root) | FS_ALL);
    return entry;
}

/* Five levels next to four, each with its own address width */
static void test_modes_five_levels(void)
{
    const uint64_t wide[] = { 0x00ab000000000000ULL | IOVA,
                              0xff54000000000000ULL | IOVA };
    Fixture *f;
    int i;

    for (i = 0; i < ARRAY_SIZE(wide); i++) {
        VTDPasidEntry first, nested;
        uint64_t top_first, top_nested;

        f = fixture_new_with_args(VTD_NESTING_OPTS ",x-fs5lp=on", NULL);
        g_assert_true(f->v->cap & CAP_FS5LP);
        /* Four levels have not changed */
        fixture_check(f);
        vtd_read_faults(f->v, NESTED, wide[i], FR_NONCANONICAL);

        top_first = top_of_five(f->fs, wide[i]);
        top_nested = top_of_five(f->nfs, wide[i]);
        first = vtd_pe_first(f->fs, DID_FIRST);
        first.q[2] = (top_first & ~0xfffULL) | PE2_FSPM(1);
        nested = vtd_pe_nested(f->nfs, DID_NESTED);
        nested.q[2] = vtd_gpa(top_nested & ~0xfffULL) | PE2_FSPM(1);
        vtd_set_pasid(f->v, P_FIRST, first);
        vtd_set_pasid(f->v, P_NESTED, nested);
        vtd_inv_all(f->v);

        vtd_reads(f->v, FIRST, wide[i], PAGE(D_FIRST));
        vtd_writes(f->v, FIRST, wide[i], PAGE(D_FIRST));
        vtd_reads(f->v, NESTED, wide[i], PAGE(D_NESTED));
        vtd_writes(f->v, NESTED, wide[i], PAGE(D_NESTED));
        vtd_bits(f->v, top_nested, FS_A | FS_D, FS_A);
        vtd_reads(f->v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
        /* The entry for the lower addresses is not there */
        vtd_read_faults(f->v, NESTED, IOVA, FR_FS_P);
        /* Bits 63 to 56 are the same */
        vtd_read_faults(f->v, NESTED, wide[i] ^ BIT_ULL(57), FR_NONCANONICAL);
        vtd_read_faults(f->v, NESTED, wide[i] ^ BIT_ULL(63), FR_NONCANONICAL);

        /* There are no pages of that size */
        vtd_or(f->v, top_nested, FS_PS);
        vtd_inv_all(f->v);
        vtd_read_faults(f->v, NESTED, wide[i], FR_FS_RSVD);
        vtd_clear(f->v, top_nested, FS_PS);
        vtd_inv_all(f->v);
        vtd_reads(f->v, NESTED, wide[i], PAGE(D_NESTED));

        /* An invalidation by address knows the upper bits */
        remap(f->v, f->nfs_leaf, GPA(D_NESTED + ALT));
        vtd_map(f->ss, GPA(D_NESTED + ALT), PAGE(D_NESTED + ALT), LEVEL_4K);
        vtd_inv_piotlb(f->v, PIOTLB_PAGE, DID_NESTED, P_NESTED, IOVA, 0);
        vtd_reads(f->v, NESTED, wide[i], PAGE(D_NESTED));
        vtd_inv_piotlb(f->v, PIOTLB_PAGE, DID_NESTED, P_NESTED, wide[i], 0);
        vtd_reads(f->v, NESTED, wide[i], PAGE(D_NESTED + ALT));
        fixture_free(f);
    }

    f = fixture_new();
    g_assert_false(f->v->cap & CAP_FS5LP);
    fixture_free(f);
}

/*
 * Page sizes
 */

#define BIG_IOVA                0x112200000000ULL
#define BIG_GPA                 0x2000000000ULL

static void check_page(const char *func, int line, VTD *v, uint32_t req,
                       uint64_t addr, uint64_t hpa, uint64_t size)
{
    const uint64_t at[] = { 0, 0x10, size / 2, size / 2 - 8, size - 16 };
    int i;

    for (i = 0; i < ARRAY_SIZE(at); i++) {
        vtd_check_ok(func, line, v, TESTDEV_CMD_READ, req, addr + at[i],
                     hpa + at[i]);
        vtd_check_ok(func, line, v, TESTDEV_CMD_WRITE, req, addr + at[i],
                     hpa + at[i]);
    }
}

static void test_pages_one_stage(const void *opaque)
{
    int level = GPOINTER_TO_INT(opaque);
    uint64_t size = vtd_level_size(level);
    /* The one 1 GiB page of data begins at VTD_DATA */
    uint64_t hpa = level == LEVEL_1G ? VTD_DATA : VTD_DATA + 5 * size;
    Fixture *f = fixture_new();
    VTD *v = f->v;

    vtd_map(f->fs, BIG_IOVA, hpa, level);
    vtd_map(f->ss, BIG_GPA, hpa, level);

    check_page(__func__, __LINE__, v, FIRST, BIG_IOVA, hpa, size);
    check_page(__func__, __LINE__, v, SECOND, BIG_GPA, hpa, size);

    /* The page ends where it should, also when cached */
    vtd_read_faults(v, FIRST, BIG_IOVA + size, FR_FS_P);
    vtd_read_faults(v, FIRST, BIG_IOVA - 0x1000, FR_FS_P);
    vtd_write_faults(v, SECOND, BIG_GPA + size, FR_SS_P);
    vtd_write_faults(v, SECOND, BIG_GPA - 0x1000, FR_SS_P);
    fixture_free(f);
}

static void test_pages_nested(const void *opaque)
{
    int fs_level = GPOINTER_TO_INT(opaque) & 0xf;
    int ss_level = GPOINTER_TO_INT(opaque) >> 4;
    uint64_t fs_size = vtd_level_size(fs_level);
    uint64_t ss_size = vtd_level_size(ss_level);
    Fixture *f = fixture_new();
    VTD *v = f->v;

    if (fs_level <= ss_level) {
        /* The first-stage page is somewhere in a second-stage page */
        uint64_t offset = (0x12345000 & (ss_size - 1)) & ~(fs_size - 1);
        uint64_t hpa = ss_level == LEVEL_1G ? VTD_DATA :
                                              VTD_DATA + 7 * ss_size;

        vtd_map(f->nfs, BIG_IOVA, BIG_GPA + offset, fs_level);
        vtd_map(f->ss, BIG_GPA, hpa, ss_level);
        check_page(__func__, __LINE__, v, NESTED, BIG_IOVA, hpa + offset,
                   fs_size);
    } else {
        /*
         * Second-stage pages of a first-stage page lie in no particular
         * order, and some are missing.
         */
        const uint64_t offset[] = {
            0, (0x12345000 & (fs_size - 1)) & ~(ss_size - 1), fs_size - ss_size,
        };
        int i, n = ARRAY_SIZE(offset);

        vtd_map(f->nfs, BIG_IOVA, BIG_GPA, fs_level);
        for (i = 0; i < n; i++) {
            vtd_map(f->ss, BIG_GPA + offset[i],
                    VTD_DATA + (7 - i) * ss_size, ss_level);
        }
        for (i = 0; i < n; i++) {
            check_page(__func__, __LINE__, v, NESTED, BIG_IOVA + offset[i],
                       VTD_DATA + (7 - i) * ss_size, ss_size);
        }
        /* A translation is no larger than the smaller page */
        vtd_read_faults(v, NESTED, BIG_IOVA + ss_size, FR_SS_P);
        vtd_write_faults(v, NESTED, BIG_IOVA + offset[1] + ss_size, FR_SS_P);
        vtd_read_faults(v, NESTED, BIG_IOVA + offset[2] - 0x1000, FR_SS_P);
    }
    vtd_read_faults(v, NESTED, BIG_IOVA + fs_size, FR_FS_P);
    vtd_write_faults(v, NESTED, BIG_IOVA - 0x1000, FR_FS_P);
    fixture_free(f);
}

/* Tables of the first stage can lie in large pages of the second */
static void test_pages_tables_in_large_page(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    /* 1 GiB from 0 on holds all tables of the tests */
    VTDTable *ss = vtd_second_stage(v);
    VTDPasidEntry pe = vtd_pe_nested(f->nfs, 9);

    vtd_map(ss, vtd_gpa(0), 0, LEVEL_1G);
    vtd_map(ss, vtd_gpa(VTD_DATA), VTD_DATA, LEVEL_2M);
    pe.q[0] = (pe.q[0] & 0xfff) | ss->root;
    vtd_set_pasid(v, 7, pe);
    vtd_reads(v, REQ_PASID(7), IOVA, PAGE(D_NESTED));
    vtd_writes(v, REQ_PASID(7), IOVA, PAGE(D_NESTED));
    vtd_bits(v, f->nfs_leaf, FS_A | FS_D, FS_A | FS_D);
    g_free(ss);
    fixture_free(f);
}

/*
 * Permissions
 */

/* Read/write permission is checked at every level of the first stage, 3.6.1 */
static void test_perm_first_stage(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int level;

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        uint64_t e = vtd_entry(f->fs, IOVA, level);
        uint64_t n = vtd_entry(f->nfs, IOVA, level);

        vtd_clear(v, e, FS_RW);
        vtd_clear(v, n, FS_RW);
        vtd_inv_all(v);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
        vtd_write_faults(v, FIRST, IOVA, FR_WRITE);
        vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
        vtd_write_faults(v, NESTED, IOVA, FR_WRITE);
        vtd_or(v, e, FS_RW);
        vtd_or(v, n, FS_RW);
        vtd_inv_all(v);
        vtd_writes(v, FIRST, IOVA, PAGE(D_FIRST));
        vtd_writes(v, NESTED, IOVA, PAGE(D_NESTED));
    }
    fixture_free(f);
}

/* Both permissions are checked at every level of the second stage, 3.7.1 */
static void test_perm_second_stage(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int level;

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        uint64_t e = vtd_entry(f->ss, IOVA_SECOND, level);

        vtd_clear(v, e, SS_W);
        vtd_inv_all(v);
        vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
        vtd_write_faults(v, SECOND, IOVA_SECOND, FR_WRITE);

        vtd_or(v, e, SS_W);
        vtd_clear(v, e, SS_R);
        vtd_inv_all(v);
        vtd_writes(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
        vtd_read_faults(v, SECOND, IOVA_SECOND, FR_READ);

        vtd_or(v, e, SS_R);
        vtd_inv_all(v);
        vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
    }

    /* Readable above, writable below: together neither, which is SSS.2 */
    vtd_clear(v, vtd_entry(f->ss, IOVA_SECOND, LEVEL_2M), SS_W);
    vtd_clear(v, f->ss_leaf, SS_R);
    vtd_inv_all(v);
    vtd_read_faults(v, SECOND, IOVA_SECOND, FR_SS_P);
    vtd_write_faults(v, SECOND, IOVA_SECOND, FR_SS_P);
    fixture_free(f);
}

/* Under nesting the permissions of the final page are those of both, 3.8.1 */
static void test_perm_nested(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    /* Second stage read-only */
    vtd_clear(v, f->nss_leaf, SS_W);
    vtd_inv_all(v);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_write_faults(v, NESTED, IOVA, FR_WRITE);

    /* Both read-only */
    vtd_clear(v, f->nfs_leaf, FS_RW);
    vtd_inv_all(v);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_write_faults(v, NESTED, IOVA, FR_WRITE);

    /* First stage read-only */
    vtd_or(v, f->nss_leaf, SS_W);
    vtd_inv_all(v);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_write_faults(v, NESTED, IOVA, FR_WRITE);

    /* Second stage write-only, in the leaf */
    vtd_or(v, f->nfs_leaf, FS_RW);
    vtd_clear(v, f->nss_leaf, SS_R);
    vtd_inv_all(v);
    vtd_read_faults(v, NESTED, IOVA, FR_READ);
    vtd_writes(v, NESTED, IOVA, PAGE(D_NESTED));

    /* First stage read-only, second stage write-only: nothing is left */
    vtd_clear(v, f->nfs_leaf, FS_RW);
    vtd_inv_all(v);
    vtd_read_faults(v, NESTED, IOVA, FR_READ);
    vtd_write_faults(v, NESTED, IOVA, FR_WRITE);

    vtd_or(v, f->nfs_leaf, FS_RW);
    vtd_or(v, f->nss_leaf, SS_R);
    vtd_inv_all(v);
    vtd_writes(v, NESTED, IOVA, PAGE(D_NESTED));
    fixture_free(f);
}

/* A cached translation must not give more permissions than the tables */
static void test_perm_cached(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int i;

    vtd_clear(v, f->fs_leaf, FS_RW);
    vtd_clear(v, f->ss_leaf, SS_W);
    vtd_clear(v, f->nss_leaf, SS_W);
    for (i = 0; i < 2; i++) {
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
        vtd_write_faults(v, FIRST, IOVA, FR_WRITE);
        vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
        vtd_write_faults(v, SECOND, IOVA_SECOND, FR_WRITE);
        vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
        vtd_write_faults(v, NESTED, IOVA, FR_WRITE);
    }

    vtd_put(v, f->ss_leaf, PAGE(D_SECOND) | SS_W);
    vtd_put(v, f->nss_leaf, PAGE(D_NESTED) | SS_W);
    vtd_inv_all(v);
    for (i = 0; i < 2; i++) {
        vtd_writes(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
        vtd_read_faults(v, SECOND, IOVA_SECOND, FR_READ);
        vtd_writes(v, NESTED, IOVA, PAGE(D_NESTED));
        vtd_read_faults(v, NESTED, IOVA, FR_READ);
    }
    fixture_free(f);
}

/* A user request needs U/S at every level of the first stage, 3.6.1 */
static void test_perm_user(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int level;

    vtd_set_pasid(v, 0, vtd_pe_first(f->fs, DID_FIRST));
    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        uint64_t e = vtd_entry(f->fs, IOVA, level);
        uint64_t n = vtd_entry(f->nfs, IOVA, level);

        read_faults_with(v, e, vtd_get(v, e) & ~FS_US, FIRST, IOVA,
                         PAGE(D_FIRST), FR_USER);
        write_faults_with(v, e, vtd_get(v, e) & ~FS_US, FIRST, IOVA,
                          PAGE(D_FIRST), FR_USER);
        read_faults_with(v, n, vtd_get(v, n) & ~FS_US, NESTED, IOVA,
                         PAGE(D_NESTED), FR_USER);
        /* Requests without PASID are user requests (RID_PRIV = 0) */
        read_faults_with(v, e, vtd_get(v, e) & ~FS_US, REQ_RID, IOVA,
                         PAGE(D_FIRST), FR_USER);
    }
    fixture_free(f);
}

static void test_perm_supervisor(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t fs_q2 = vtd_pasid_entry(v, P_FIRST) + 16;
    uint64_t nested_q2 = vtd_pasid_entry(v, P_NESTED) + 16;
    int i;

    if (!(v->ecap & ECAP_SRS)) {
        /* SRE is a reserved field then */
        read_faults_with(v, fs_q2, vtd_get(v, fs_q2) | PE2_SRE, FIRST, IOVA,
                         PAGE(D_FIRST), FR_PE_RSVD);
        g_test_skip("the unit does not report supervisor requests");
        fixture_free(f);
        return;
    }

    /* Always blocked while the PASID entry does not allow them */
    vtd_read_faults(v, FIRST | REQ_PRIV, IOVA, FR_PE_SRE);
    vtd_write_faults(v, NESTED | REQ_PRIV, IOVA, FR_PE_SRE);
    vtd_read_faults(v, SECOND | REQ_PRIV, IOVA_SECOND, FR_PE_SRE);

    vtd_or(v, fs_q2, PE2_SRE);
    vtd_or(v, nested_q2, PE2_SRE);
    vtd_clear(v, f->fs_leaf, FS_US);
    vtd_clear(v, f->nfs_leaf, FS_US);
    vtd_inv_all(v);

    /* Supervisor pages, by turns so that each finds the other's translation */
    for (i = 0; i < 2; i++) {
        vtd_reads(v, FIRST | REQ_PRIV, IOVA, PAGE(D_FIRST));
        vtd_read_faults(v, FIRST, IOVA, FR_USER);
        vtd_writes(v, FIRST | REQ_PRIV, IOVA, PAGE(D_FIRST));
        vtd_write_faults(v, FIRST, IOVA, FR_USER);
        vtd_reads(v, NESTED | REQ_PRIV, IOVA, PAGE(D_NESTED));
        vtd_read_faults(v, NESTED, IOVA, FR_USER);
    }

    /* User pages are open to the supervisor */
    vtd_or(v, f->fs_leaf, FS_US);
    vtd_or(v, f->nfs_leaf, FS_US);
    vtd_inv_all(v);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    vtd_reads(v, FIRST | REQ_PRIV, IOVA, PAGE(D_FIRST));
    vtd_writes(v, NESTED | REQ_PRIV, IOVA, PAGE(D_NESTED));

    /* Without write protection the supervisor writes to read-only pages ... */
    vtd_clear(v, f->fs_leaf, FS_RW);
    vtd_clear(v, f->nfs_leaf, FS_RW);
    vtd_inv_all(v);
    for (i = 0; i < 2; i++) {
        vtd_writes(v, FIRST | REQ_PRIV, IOVA, PAGE(D_FIRST));
        vtd_write_faults(v, FIRST, IOVA, FR_WRITE);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
        vtd_writes(v, NESTED | REQ_PRIV, IOVA, PAGE(D_NESTED));
        vtd_write_faults(v, NESTED, IOVA, FR_WRITE);
    }
    /* ... but not to those that the second stage protects */
    vtd_clear(v, f->nss_leaf, SS_W);
    vtd_inv_all(v);
    vtd_write_faults(v, NESTED | REQ_PRIV, IOVA, FR_WRITE);
    vtd_or(v, f->nss_leaf, SS_W);

    vtd_or(v, fs_q2, PE2_WPE);
    vtd_inv_all(v);
    vtd_write_faults(v, FIRST | REQ_PRIV, IOVA, FR_WRITE);
    vtd_reads(v, FIRST | REQ_PRIV, IOVA, PAGE(D_FIRST));
    fixture_free(f);
}

static void test_perm_execute(void)
{
    Fixture *f = fixture_new();

    if (f->v->ecap & ECAP_ERS) {
        vtd_reads(f->v, FIRST | REQ_EXEC, IOVA, PAGE(D_FIRST));
    } else {
        vtd_read_faults(f->v, FIRST | REQ_EXEC, IOVA, FR_PE_ERS);
        vtd_read_faults(f->v, NESTED | REQ_EXEC, IOVA, FR_PE_ERS);
    }
    fixture_free(f);
}

/*
 * Accessed and dirty bits
 */

static void check_ad(const char *func, int line, Fixture *f, uint32_t req,
                     VTDTable *t, uint64_t page)
{
    VTD *v = f->v;
    int level;

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        vtd_check_bits(func, line, v, vtd_entry(t, IOVA, level), FS_A | FS_D,
                       0);
    }

    vtd_check_ok(func, line, v, TESTDEV_CMD_READ, req, IOVA, page);
    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        vtd_check_bits(func, line, v, vtd_entry(t, IOVA, level), FS_A | FS_D,
                       FS_A);
    }

    /* The translation is cached now.  The dirty bit must be set all the same */
    vtd_check_ok(func, line, v, TESTDEV_CMD_WRITE, req, IOVA, page);
    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        vtd_check_bits(func, line, v, vtd_entry(t, IOVA, level), FS_A | FS_D,
                       level == LEVEL_4K ? FS_A | FS_D : FS_A);
    }

    /* Software clears them, invalidates, and they come back; a write alone */
    vtd_clear(v, vtd_entry(t, IOVA, LEVEL_4K), FS_A | FS_D);
    vtd_clear(v, vtd_entry(t, IOVA, LEVEL_1G), FS_A);
    vtd_inv_all(v);
    vtd_check_ok(func, line, v, TESTDEV_CMD_WRITE, req, IOVA, page);
    vtd_check_bits(func, line, v, vtd_entry(t, IOVA, LEVEL_4K), FS_A | FS_D,
                   FS_A | FS_D);
    vtd_check_bits(func, line, v, vtd_entry(t, IOVA, LEVEL_1G), FS_A | FS_D,
                   FS_A);
}

static void test_ad_first_stage(void)
{
    Fixture *f = fixture_new();

    vtd_map(f->fs, IOVA + 0x1000, PAGE(9), LEVEL_4K);
    check_ad(__func__, __LINE__, f, FIRST, f->fs, PAGE(D_FIRST));
    /* The neighbour was not used */
    vtd_bits(f->v, vtd_entry(f->fs, IOVA + 0x1000, LEVEL_4K), FS_A | FS_D, 0);
    fixture_free(f);
}

static void test_ad_nested(void)
{
    Fixture *f = fixture_new();

    check_ad(__func__, __LINE__, f, NESTED, f->nfs, PAGE(D_NESTED));
    /* Second-stage entries have these bits only when SSADE is set */
    vtd_bits(f->v, f->nss_leaf, SS_A | SS_D, 0);
    vtd_bits(f->v, ss_leaf_of_table(f, LEVEL_TOP), SS_A | SS_D, 0);
    fixture_free(f);
}

static void test_ad_rid(void)
{
    Fixture *f = fixture_new();

    vtd_set_pasid(f->v, 0, vtd_pe_nested(f->nfs, DID_NESTED));
    check_ad(__func__, __LINE__, f, REQ_RID, f->nfs, PAGE(D_NESTED));
    fixture_free(f);
}

static void test_ad_large(const void *opaque)
{
    int level = GPOINTER_TO_INT(opaque);
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t e = vtd_map(f->fs, BIG_IOVA, VTD_DATA, level);
    uint64_t n = vtd_map(f->nfs, BIG_IOVA, BIG_GPA, level);
    uint64_t at = vtd_level_size(level) / 2;

    vtd_map(f->ss, BIG_GPA, VTD_DATA, level);

    vtd_reads(v, FIRST, BIG_IOVA + at, VTD_DATA + at);
    vtd_reads(v, NESTED, BIG_IOVA + at, VTD_DATA + at);
    vtd_bits(v, e, FS_A | FS_D, FS_A);
    vtd_bits(v, n, FS_A | FS_D, FS_A);
    vtd_writes(v, FIRST, BIG_IOVA + at, VTD_DATA + at);
    vtd_writes(v, NESTED, BIG_IOVA + at, VTD_DATA + at);
    vtd_bits(v, e, FS_A | FS_D, FS_A | FS_D);
    vtd_bits(v, n, FS_A | FS_D, FS_A | FS_D);
    fixture_free(f);
}

/*
 * A page of first-stage tables that the second stage protects: its entries
 * can be used as long as none of the bits has to be set, 3.8.1.
 */
static void test_ad_refused(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int level;

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        uint64_t entry = vtd_entry(f->nfs, IOVA, level);
        uint64_t leaf = ss_leaf_of_table(f, level);

        vtd_clear(v, entry, FS_A | FS_D);
        vtd_clear(v, leaf, SS_W);
        vtd_inv_all(v);
        vtd_read_faults(v, NESTED, IOVA, FR_FS_AD_WRITE);
        vtd_write_faults(v, NESTED, IOVA, FR_FS_AD_WRITE);
        vtd_bits(v, entry, FS_A | FS_D, 0);

        vtd_or(v, entry, FS_A);
        vtd_inv_all(v);
        vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
        if (level == LEVEL_4K) {
            /* A write sets D although the read has cached a translation */
            vtd_write_faults(v, NESTED, IOVA, FR_FS_AD_WRITE);
            vtd_bits(v, entry, FS_A | FS_D, FS_A);
            vtd_inv_all(v);
            vtd_write_faults(v, NESTED, IOVA, FR_FS_AD_WRITE);
            vtd_or(v, entry, FS_D);
            vtd_inv_all(v);
        }
        vtd_writes(v, NESTED, IOVA, PAGE(D_NESTED));
        vtd_or(v, leaf, SS_W);
        vtd_inv_all(v);
    }
    fixture_free(f);
}

/* Refused writes don't set the dirty bit, 3.6.2 */
static void test_ad_not_dirty(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    vtd_clear(v, f->fs_leaf, FS_RW);
    vtd_clear(v, f->nss_leaf, SS_W);
    vtd_write_faults(v, FIRST, IOVA, FR_WRITE);
    vtd_bits(v, f->fs_leaf, FS_D, 0);
    vtd_write_faults(v, NESTED, IOVA, FR_WRITE);
    vtd_bits(v, f->nfs_leaf, FS_D, 0);

    vtd_put(v, f->nss_leaf, 0);
    vtd_inv_all(v);
    vtd_write_faults(v, NESTED, IOVA, FR_SS_P);
    vtd_bits(v, f->nfs_leaf, FS_D, 0);
    fixture_free(f);
}

/* Bits can be set only by coherent page walks, 3.10 and SFS.9 */
static void test_ad_nosnoop(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t q1 = vtd_pasid_entry(v, P_NESTED) + 8;
    int level;

    if (!(v->ecap & ECAP_SMPWC)) {
        g_test_skip("the unit does not report coherent page walks");
        fixture_free(f);
        return;
    }

    vtd_clear(v, q1, PE1_PWSNP);
    vtd_inv_all(v);
    vtd_read_faults(v, NESTED, IOVA, FR_FS_AD_NOSNOOP);
    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        vtd_bits(v, vtd_entry(f->nfs, IOVA, level), FS_A | FS_D, 0);
        vtd_or(v, vtd_entry(f->nfs, IOVA, level), FS_A);
    }
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_write_faults(v, NESTED, IOVA, FR_FS_AD_NOSNOOP);
    vtd_or(v, f->nfs_leaf, FS_D);
    vtd_inv_all(v);
    vtd_writes(v, NESTED, IOVA, PAGE(D_NESTED));
    fixture_free(f);
}

/* Bits 9 and 7 of a PASID entry are reserved without the capability, 9.6 */
static void test_ad_unsupported(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t nested = vtd_pasid_entry(v, P_NESTED);

    g_assert_cmphex(v->ecap & (ECAP_SSADS | ECAP_EAFS), ==, 0);
    read_faults_with(v, nested, vtd_get(v, nested) | PE0_SSADE, NESTED, IOVA,
                     PAGE(D_NESTED), FR_PE_RSVD);
    read_faults_with(v, nested + 16, vtd_get(v, nested + 16) | PE2_EAFE,
                     NESTED, IOVA, PAGE(D_NESTED), FR_PE_RSVD);
    fixture_free(f);
}

static void test_ad_second_stage(void)
{
    Fixture *f = fixture_new_with_args(VTD_NESTING_OPTS ",x-ssads=on",
                                       NULL);
    VTD *v = f->v;
    uint64_t second = vtd_pasid_entry(v, P_SECOND);
    uint64_t nested = vtd_pasid_entry(v, P_NESTED);
    uint64_t top = ss_leaf_of_table(f, LEVEL_TOP);
    int level;

    g_assert_cmphex(v->ecap & ECAP_SSADS, ==, ECAP_SSADS);
    /* Present with the capability is not enabled by the PASID entry */
    fixture_check(f);
    vtd_bits(v, f->ss_leaf, SS_A | SS_D, 0);

    /* All entries with the same second stage must agree, 6.2.3.1 */
    vtd_or(v, second, PE0_SSADE);
    vtd_or(v, nested, PE0_SSADE);
    vtd_inv_all(v);

    vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        vtd_bits(v, vtd_entry(f->ss, IOVA_SECOND, level), SS_A | SS_D, SS_A);
    }
    vtd_writes(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
    vtd_bits(v, f->ss_leaf, SS_A | SS_D, SS_A | SS_D);
    vtd_bits(v, vtd_entry(f->ss, IOVA_SECOND, LEVEL_2M), SS_D, 0);

    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_bits(v, f->nss_leaf, SS_A | SS_D, SS_A);
    vtd_bits(v, top, SS_A, SS_A);
    vtd_writes(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_bits(v, f->nss_leaf, SS_A | SS_D, SS_A | SS_D);
    fixture_free(f);
}

/* Setting bits in a table of the first stage dirties the page it is in */
static void test_ad_second_stage_of_tables(void)
{
    Fixture *f = fixture_new_with_args(VTD_NESTING_OPTS ",x-ssads=on",
                                       NULL);
    VTD *v = f->v;
    int level;

    vtd_or(v, vtd_pasid_entry(v, P_SECOND), PE0_SSADE);
    vtd_or(v, vtd_pasid_entry(v, P_NESTED), PE0_SSADE);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        vtd_bits(v, vtd_entry(f->nfs, IOVA, level), FS_A, FS_A);
        vtd_bits(v, ss_leaf_of_table(f, level), SS_A | SS_D, SS_A | SS_D);
    }
    fixture_free(f);
}

static void test_ad_extended(void)
{
    Fixture *f = fixture_new_with_args(VTD_NESTING_OPTS ",x-eafs=on",
                                       NULL);
    VTD *v = f->v;
    uint64_t ea = BIT_ULL(10);
    int level;

    g_assert_cmphex(v->ecap & ECAP_EAFS, ==, ECAP_EAFS);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_bits(v, f->nfs_leaf, ea, 0);

    vtd_or(v, vtd_pasid_entry(v, P_NESTED) + 16, PE2_EAFE);
    vtd_inv_all(v);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        vtd_bits(v, vtd_entry(f->nfs, IOVA, level), ea | FS_A | FS_D,
                 ea | FS_A);
    }
    fixture_free(f);
}

/*
 * Faults, in the order of table 30
 */

static void test_fault_root_context(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t ctx = vtd_get(v, v->ctx);

    vtd_set_pasid(v, 0, vtd_pe_first(f->fs, DID_FIRST));

    /* Requests with and without PASID need the same entries */
    read_faults_with(v, v->root, vtd_get(v, v->root) & ~ROOT_P, NESTED, IOVA,
                     PAGE(D_NESTED), FR_ROOT_P);
    read_faults_with(v, v->root, vtd_get(v, v->root) & ~ROOT_P, REQ_RID, IOVA,
                     PAGE(D_FIRST), FR_ROOT_P);
    read_faults_with(v, v->root, vtd_get(v, v->root) | BIT_ULL(5), NESTED,
                     IOVA, PAGE(D_NESTED), FR_ROOT_RSVD);

    read_faults_with(v, v->ctx, ctx & ~CTX_P, NESTED, IOVA, PAGE(D_NESTED),
                     FR_CTX_P);
    read_faults_with(v, v->ctx, ctx & ~CTX_P, REQ_RID, IOVA, PAGE(D_FIRST),
                     FR_CTX_P);
    read_faults_with(v, v->ctx, ctx | BIT_ULL(8), NESTED, IOVA,
                     PAGE(D_NESTED), FR_CTX_RSVD);
    read_faults_with(v, v->ctx + 8, BIT_ULL(30), NESTED, IOVA, PAGE(D_NESTED),
                     FR_CTX_RSVD);

    /* Requests with PASID can be forbidden apart from the others */
    vtd_put(v, v->ctx, ctx & ~CTX_PASIDE);
    vtd_inv_all(v);
    vtd_read_faults(v, NESTED, IOVA, FR_CTX_PASIDE);
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_FIRST));
    vtd_put(v, v->ctx, ctx);
    vtd_inv_all(v);

    /* A directory of 2^7 entries holds 2^13 PASIDs */
    vtd_put(v, v->ctx, ctx & ~(7ULL << CTX_PDTS_SHIFT));
    vtd_set_pasid(v, 0x1fff, vtd_pe_first(f->fs, DID_FIRST));
    vtd_set_pasid(v, 0x2000, vtd_pe_first(f->fs, DID_FIRST));
    vtd_inv_all(v);
    vtd_reads(v, REQ_PASID(0x1fff), IOVA, PAGE(D_FIRST));
    vtd_read_faults(v, REQ_PASID(0x2000), IOVA, FR_CTX_PDTS);
    vtd_read_faults(v, NESTED, IOVA, FR_CTX_PDTS);
    vtd_put(v, v->ctx, ctx);
    vtd_inv_all(v);
    vtd_reads(v, REQ_PASID(0x2000), IOVA, PAGE(D_FIRST));

    /* Requests with PASID must not use RID_PASID */
    vtd_read_faults(v, REQ_PASID(0), IOVA, FR_CTX_RID_PASID);
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_FIRST));
    fixture_free(f);
}

/* Requests without PASID use the PASID that the context entry names */
static void test_fault_rid_pasid(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    if (!(v->ecap & ECAP_RPS)) {
        g_test_skip("the unit does not report RID_PASID");
        fixture_free(f);
        return;
    }
    vtd_put(v, v->ctx + 8, P_NESTED);
    vtd_inv_all(v);
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED));
    vtd_read_faults(v, REQ_RID, IOVA + 0x1000, FR_FS_P);
    vtd_read_faults(v, NESTED, IOVA, FR_CTX_RID_PASID);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));

    /* ... which has to be one that the directory can hold */
    vtd_clear(v, v->ctx, 7ULL << CTX_PDTS_SHIFT);
    vtd_inv_all(v);
    vtd_read_faults(v, REQ_RID, IOVA, FR_CTX_INV);
    fixture_free(f);
}

static void test_fault_pasid_dir(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t d = vtd_dir_entry(v, P_NESTED);

    /* Nothing was ever put there */
    vtd_read_faults(v, REQ_PASID(0x54321), IOVA, FR_DIR_P);
    vtd_write_faults(v, REQ_PASID(0xfffff), IOVA, FR_DIR_P);

    read_faults_with(v, d, 0, NESTED, IOVA, PAGE(D_NESTED), FR_DIR_P);
    read_faults_with(v, d, vtd_get(v, d) & ~PASID_DIR_P, NESTED, IOVA,
                     PAGE(D_NESTED), FR_DIR_P);
    read_faults_with(v, d, vtd_get(v, d) | BIT_ULL(2), NESTED, IOVA,
                     PAGE(D_NESTED), FR_DIR_RSVD);
    read_faults_with(v, d, vtd_get(v, d) | BIT_ULL(63), NESTED, IOVA,
                     PAGE(D_NESTED), FR_DIR_RSVD);
    /* No memory at the address of the table, or of the directory */
    read_faults_with(v, d, VTD_HOLE | PASID_DIR_P, NESTED, IOVA,
                     PAGE(D_NESTED), FR_PE_ACCESS);
    read_faults_with(v, v->ctx,
                     (vtd_get(v, v->ctx) & 0xfff) | VTD_HOLE, NESTED, IOVA,
                     PAGE(D_NESTED), FR_DIR_ACCESS);
    fixture_free(f);
}

static void test_fault_pasid_entry(void)
{
    static const int bad_types[] = { 0, 5, 6, 7 };
    static const struct {
        int q;
        int bit;
    } reserved[] = {
        { 0, 5 }, { 0, 10 }, { 0, 11 }, { 0, 63 }, { 1, 16 }, { 1, 22 },
        { 1, 27 }, { 1, 31 }, { 2, 1 }, { 2, 8 }, { 2, 63 }, { 3, 0 },
        { 3, 63 }, { 4, 2 }, { 5, 16 }, { 6, 0 }, { 7, 63 },
    };
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t e = vtd_pasid_entry(v, P_NESTED);
    uint64_t first = vtd_pasid_entry(v, P_FIRST);
    uint64_t q0 = vtd_get(v, e);
    int i;

    /* A table is there, an entry is not */
    vtd_read_faults(v, REQ_PASID(P_NESTED - 1), IOVA, FR_PE_P);

    read_faults_with(v, e, 0, NESTED, IOVA, PAGE(D_NESTED), FR_PE_P);
    /* Whatever else is in it */
    read_faults_with(v, e, q0 & ~PE0_P, NESTED, IOVA, PAGE(D_NESTED), FR_PE_P);
    read_faults_with(v, e, ~PE0_P & ~PE0_FPD, NESTED, IOVA, PAGE(D_NESTED),
                     FR_PE_P);

    for (i = 0; i < ARRAY_SIZE(reserved); i++) {
        uint64_t q = e + reserved[i].q * 8;

        g_test_message("bit %d of quadword %d", reserved[i].bit,
                       reserved[i].q);
        read_faults_with(v, q, vtd_get(v, q) | BIT_ULL(reserved[i].bit),
                         NESTED, IOVA, PAGE(D_NESTED), FR_PE_RSVD);
    }

    for (i = 0; i < ARRAY_SIZE(bad_types); i++) {
        read_faults_with(v, e, (q0 & ~PE0_PGTT(7)) | PE0_PGTT(bad_types[i]),
                         NESTED, IOVA, PAGE(D_NESTED), FR_PE_INV);
    }

    /* Address widths that no second stage of this unit has */
    read_faults_with(v, e, q0 & ~PE0_AW(7), NESTED, IOVA, PAGE(D_NESTED),
                     FR_PE_INV);
    read_faults_with(v, e, q0 | PE0_AW(7), NESTED, IOVA, PAGE(D_NESTED),
                     FR_PE_INV);
    /* The first-stage type ignores it */
    vtd_or(v, first, PE0_AW(7));
    vtd_inv_all(v);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));

    read_faults_with(v, e + 16, vtd_get(v, e + 16) | PE2_FSPM(2), NESTED, IOVA,
                     PAGE(D_NESTED), FR_PE_INV);
    read_faults_with(v, first + 16, vtd_get(v, first + 16) | PE2_FSPM(3),
                     FIRST, IOVA, PAGE(D_FIRST), FR_PE_INV);
    if (!(v->cap & CAP_FS5LP)) {
        read_faults_with(v, e + 16, vtd_get(v, e + 16) | PE2_FSPM(1), NESTED,
                         IOVA, PAGE(D_NESTED), FR_PE_INV);
    }
    fixture_free(f);
}

/* Legacy mode has no PASIDs, RTA.2 */
static void test_fault_legacy_mode(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    vtd_set_root(v, RTADDR_TTM_LEGACY);
    vtd_read_faults(v, FIRST, IOVA, FR_LEGACY_PASID);
    vtd_write_faults(v, PASS, PAGE(D_PASS), FR_LEGACY_PASID);

    vtd_set_root(v, RTADDR_TTM_SCALABLE);
    vtd_inv_all(v);
    fixture_check(f);
    fixture_free(f);
}

/* A PASID wider than PSS faults, SGN.10 */
static void test_fault_pss(void)
{
    Fixture *f = fixture_new_with_args(VTD_NESTING_OPTS ",x-pss=7",
                                       NULL);
    VTD *v = f->v;

    /* The field holds one less than the width */
    g_assert_cmpuint(ECAP_PSS(v->ecap), ==, 7);
    vtd_set_pasid(v, 0xff, vtd_pe_first(f->fs, DID_FIRST));
    vtd_set_pasid(v, 0x100, vtd_pe_first(f->fs, DID_FIRST));
    vtd_reads(v, REQ_PASID(0xff), IOVA, PAGE(D_FIRST));
    vtd_read_faults(v, REQ_PASID(0x100), IOVA, FR_PSS);
    vtd_read_faults(v, NESTED, IOVA, FR_PSS);
    fixture_free(f);
}

static void test_fault_first_stage(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t pe = vtd_pasid_entry(v, P_FIRST);
    uint64_t e;
    int level;

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        e = vtd_entry(f->fs, IOVA, level);

        read_faults_with(v, e, 0, FIRST, IOVA, PAGE(D_FIRST), FR_FS_P);
        write_faults_with(v, e, vtd_get(v, e) & ~FS_P, FIRST, IOVA,
                          PAGE(D_FIRST), FR_FS_P);
        /* Addresses are 48 bits wide here, all of 51:48 are reserved */
        read_faults_with(v, e, vtd_get(v, e) | BIT_ULL(48), FIRST, IOVA,
                         PAGE(D_FIRST), FR_FS_RSVD);
        read_faults_with(v, e, vtd_get(v, e) | BIT_ULL(51), FIRST, IOVA,
                         PAGE(D_FIRST), FR_FS_RSVD);
        if (level > LEVEL_4K) {
            read_faults_with(v, e, VTD_HOLE | FS_ALL, FIRST, IOVA,
                             PAGE(D_FIRST), FR_FS_ACCESS);
        }
        /* Bits 62:52 and 11:9 are ignored, and so is XD without support */
        vtd_or(v, e, 0x7ff0000000000a00ULL);
        vtd_inv_all(v);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    }
    e = vtd_entry(f->fs, IOVA, LEVEL_TOP);
    read_faults_with(v, e, vtd_get(v, e) | FS_PS, FIRST, IOVA, PAGE(D_FIRST),
                     FR_FS_RSVD);
    /* Low address bits of large pages */
    e = vtd_entry(f->fs, IOVA, LEVEL_1G);
    read_faults_with(v, e, VTD_DATA | 0x2000 | FS_PS | FS_ALL, FIRST, IOVA,
                     PAGE(D_FIRST), FR_FS_RSVD);
    read_faults_with(v, e, VTD_DATA | 0x20000000 | FS_PS | FS_ALL, FIRST, IOVA,
                     PAGE(D_FIRST), FR_FS_RSVD);
    e = vtd_entry(f->fs, IOVA, LEVEL_2M);
    read_faults_with(v, e, VTD_DATA | 0x2000 | FS_PS | FS_ALL, FIRST, IOVA,
                     PAGE(D_FIRST), FR_FS_RSVD);
    read_faults_with(v, e, VTD_DATA | 0x100000 | FS_PS | FS_ALL, FIRST, IOVA,
                     PAGE(D_FIRST), FR_FS_RSVD);
    /* ... where bit 12 is an attribute, not an address */
    e = vtd_map(f->fs, BIG_IOVA, VTD_DATA, LEVEL_2M);
    vtd_or(v, e, 0x1000);
    vtd_reads(v, FIRST, BIG_IOVA + 0x10, VTD_DATA + 0x10);
    vtd_reads(v, FIRST, BIG_IOVA + 0x3010, VTD_DATA + 0x3010);

    read_faults_with(v, pe + 16, VTD_HOLE, FIRST, IOVA, PAGE(D_FIRST),
                     FR_FS_TOP_ACCESS);
    fixture_free(f);
}

static void test_fault_second_stage(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t pe = vtd_pasid_entry(v, P_SECOND);
    uint64_t e;
    int level;

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        e = vtd_entry(f->ss, IOVA_SECOND, level);

        read_faults_with(v, e, 0, SECOND, IOVA_SECOND, PAGE(D_SECOND),
                         FR_SS_P);
        write_faults_with(v, e, vtd_get(v, e) & ~SS_RW, SECOND, IOVA_SECOND,
                          PAGE(D_SECOND), FR_SS_P);
        read_faults_with(v, e, vtd_get(v, e) | BIT_ULL(48), SECOND,
                         IOVA_SECOND, PAGE(D_SECOND), FR_SS_RSVD);
        if (level > LEVEL_4K) {
            read_faults_with(v, e, VTD_HOLE | SS_RW, SECOND, IOVA_SECOND,
                             PAGE(D_SECOND), FR_SS_ACCESS);
            read_faults_with(v, e, vtd_get(v, e) | SS_SNP, SECOND, IOVA_SECOND,
                             PAGE(D_SECOND), FR_SS_RSVD);
        } else if (!(v->ecap & ECAP_SC)) {
            read_faults_with(v, e, vtd_get(v, e) | SS_SNP, SECOND, IOVA_SECOND,
                             PAGE(D_SECOND), FR_SS_RSVD);
        }
    }
    e = vtd_entry(f->ss, IOVA_SECOND, LEVEL_TOP);
    read_faults_with(v, e, vtd_get(v, e) | SS_PS, SECOND, IOVA_SECOND,
                     PAGE(D_SECOND), FR_SS_RSVD);
    e = vtd_entry(f->ss, IOVA_SECOND, LEVEL_1G);
    read_faults_with(v, e, VTD_DATA | 0x1000 | SS_PS | SS_RW, SECOND,
                     IOVA_SECOND, PAGE(D_SECOND), FR_SS_RSVD);
    e = vtd_entry(f->ss, IOVA_SECOND, LEVEL_2M);
    read_faults_with(v, e, VTD_DATA | 0x1000 | SS_PS | SS_RW, SECOND,
                     IOVA_SECOND, PAGE(D_SECOND), FR_SS_RSVD);

    read_faults_with(v, pe, (vtd_get(v, pe) & 0xfff) | VTD_HOLE, SECOND,
                     IOVA_SECOND, PAGE(D_SECOND), FR_SS_TOP_ACCESS);

    vtd_read_faults(v, SECOND, 1ULL << 48, FR_SS_BEYOND);
    vtd_write_faults(v, SECOND, 0xfffffffffffff000ULL, FR_SS_BEYOND);
    fixture_free(f);
}

/*
 * Second-stage faults on the way through the tables of the first stage, and
 * at its end.
 */
static void test_fault_nested(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t pe = vtd_pasid_entry(v, P_NESTED);
    uint64_t e;
    int level;

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        e = ss_leaf_of_table(f, level);

        g_test_message("table of level %d", level);
        read_faults_with(v, e, 0, NESTED, IOVA, PAGE(D_NESTED), FR_SS_P);
        write_faults_with(v, e, 0, NESTED, IOVA, PAGE(D_NESTED), FR_SS_P);
        read_faults_with(v, e, vtd_get(v, e) | BIT_ULL(48), NESTED, IOVA,
                         PAGE(D_NESTED), FR_SS_RSVD);
        read_faults_with(v, e, vtd_get(v, e) & ~SS_R, NESTED, IOVA,
                         PAGE(D_NESTED),
                         level == LEVEL_TOP ? FR_FS_TOP_READ : FR_FS_READ);
        read_faults_with(v, e, VTD_HOLE | SS_RW, NESTED, IOVA, PAGE(D_NESTED),
                         level == LEVEL_TOP ? FR_FS_TOP_ACCESS : FR_FS_ACCESS);

        /* The same conditions of the first stage as without nesting */
        e = vtd_entry(f->nfs, IOVA, level);
        read_faults_with(v, e, vtd_get(v, e) & ~FS_P, NESTED, IOVA,
                         PAGE(D_NESTED), FR_FS_P);
        read_faults_with(v, e, vtd_get(v, e) | BIT_ULL(51), NESTED, IOVA,
                         PAGE(D_NESTED), FR_FS_RSVD);
        /* And with an address that the second stage does not map */
        read_faults_with(v, e, 0x7fff00000000ULL | FS_ALL, NESTED, IOVA,
                         PAGE(D_NESTED), FR_SS_P);
    }

    /* Final page */
    e = f->nss_leaf;
    read_faults_with(v, e, 0, NESTED, IOVA, PAGE(D_NESTED), FR_SS_P);
    write_faults_with(v, e, 0, NESTED, IOVA, PAGE(D_NESTED), FR_SS_P);
    read_faults_with(v, e, vtd_get(v, e) | BIT_ULL(50), NESTED, IOVA,
                     PAGE(D_NESTED), FR_SS_RSVD);
    write_faults_with(v, e, vtd_get(v, e) & ~SS_W, NESTED, IOVA,
                      PAGE(D_NESTED), FR_WRITE);
    read_faults_with(v, e, vtd_get(v, e) & ~SS_R, NESTED, IOVA,
                     PAGE(D_NESTED), FR_READ);

    /* Upper levels of the second stage */
    e = vtd_entry(f->ss, GPA(D_NESTED), LEVEL_2M);
    read_faults_with(v, e, VTD_HOLE | SS_RW, NESTED, IOVA, PAGE(D_NESTED),
                     FR_SS_ACCESS);
    read_faults_with(v, e, vtd_get(v, e) & ~SS_RW, NESTED, IOVA,
                     PAGE(D_NESTED), FR_SS_P);
    e = vtd_entry(f->ss, GPA(D_NESTED), LEVEL_TOP);
    read_faults_with(v, e, vtd_get(v, e) | SS_PS, NESTED, IOVA,
                     PAGE(D_NESTED), FR_SS_RSVD);
    read_faults_with(v, pe, (vtd_get(v, pe) & 0xfff) | VTD_HOLE, NESTED, IOVA,
                     PAGE(D_NESTED), FR_SS_TOP_ACCESS);

    /* A pointer to the first stage that the second stage does not map */
    read_faults_with(v, pe + 16, 0x7fff00000000ULL, NESTED, IOVA,
                     PAGE(D_NESTED), FR_SS_P);
    fixture_free(f);
}

/* Guest addresses that are wider than the second stage */
static void test_fault_nested_width(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    VTDPasidEntry pe = vtd_pe_nested(f->nfs, 9);
    uint64_t beyond = 1ULL << 39;
    uint64_t e;
    int level;

    if (!(extract64(v->cap, 8, 5) & 2)) {
        g_test_skip("the unit has no 3-level second stage");
        fixture_free(f);
        return;
    }

    /* All guest addresses of the tests are below: use it from level 3 on */
    pe.q[0] = table_page(f->ss, 0, LEVEL_1G) | PE0_PGTT_NESTED | PE0_AW_39 |
              PE0_P;
    vtd_set_pasid(v, 9, pe);
    vtd_reads(v, REQ_PASID(9), IOVA, PAGE(D_NESTED));

    for (level = LEVEL_TOP; level >= LEVEL_4K; level--) {
        e = vtd_entry(f->nfs, IOVA, level);
        read_faults_with(v, e, beyond | FS_ALL, REQ_PASID(9), IOVA,
                         PAGE(D_NESTED), FR_FS_BEYOND);
    }
    /*
     * The pointer to the first stage: beyond the second stage it is an error of
     * the PASID entry, SPT.4.4, and not one of a paging entry, SFS.5.  Beyond
     * the host's address width the bits are reserved, SPT.3.  The last page of
     * the second stage is none of that; it isn't mapped here.
     */
    e = vtd_pasid_entry(v, 9) + 16;
    read_faults_with(v, e, beyond, REQ_PASID(9), IOVA, PAGE(D_NESTED),
                     FR_PE_INV);
    read_faults_with(v, e, 1ULL << 47, REQ_PASID(9), IOVA, PAGE(D_NESTED),
                     FR_PE_INV);
    read_faults_with(v, e, 1ULL << 48, REQ_PASID(9), IOVA, PAGE(D_NESTED),
                     FR_PE_RSVD);
    read_faults_with(v, e, beyond - 0x1000, REQ_PASID(9), IOVA, PAGE(D_NESTED),
                     FR_SS_P);

    /* The same second stage on its own */
    pe = vtd_pe_second(f->ss, 10);
    pe.q[0] = table_page(f->ss, 0, LEVEL_1G) | PE0_PGTT_SS | PE0_AW_39 | PE0_P;
    vtd_set_pasid(v, 10, pe);
    vtd_reads(v, REQ_PASID(10), IOVA_SECOND, PAGE(D_SECOND));
    vtd_read_faults(v, REQ_PASID(10), beyond, FR_SS_BEYOND);
    vtd_read_faults(v, REQ_PASID(10), beyond | IOVA_SECOND, FR_SS_BEYOND);
    /* SGN.5 is for what this entry translates, SGN.4 for the host's width */
    vtd_read_faults(v, REQ_PASID(10), beyond - 0x1000, FR_SS_P);
    vtd_read_faults(v, REQ_PASID(10), 1ULL << 48, FR_SS_BEYOND);
    fixture_free(f);
}

static void test_fault_address(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    vtd_read_faults(v, FIRST, 1ULL << 47, FR_NONCANONICAL);
    vtd_write_faults(v, FIRST, IOVA | (1ULL << 63), FR_NONCANONICAL);
    vtd_read_faults(v, NESTED, 1ULL << 48, FR_NONCANONICAL);
    vtd_write_faults(v, NESTED, 0xffff700000000000ULL, FR_NONCANONICAL);
    vtd_read_faults(v, PASS, 1ULL << 48, FR_BEYOND_HAW);
    vtd_write_faults(v, PASS, 0xfffffffffffff000ULL, FR_BEYOND_HAW);

    /* Pass-through of requests without PASID does not bypass that */
    vtd_set_pasid(v, 0, vtd_pe_pass(DID_PASS));
    vtd_inv_all(v);
    vtd_reads(v, REQ_RID, PAGE(D_PASS), PAGE(D_PASS));
    vtd_read_faults(v, REQ_RID, 1ULL << 48, FR_BEYOND_HAW);
    vtd_write_faults(v, REQ_RID, (1ULL << 63) | PAGE(D_PASS), FR_BEYOND_HAW);
    vtd_reads(v, REQ_RID, PAGE(D_PASS), PAGE(D_PASS));

    /* Everything else still works */
    fixture_check(f);
    fixture_free(f);
}

/* FPD in three places disables the recording of faults, 7.1.1 */
static void test_fault_disable(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t places[] = {
        v->ctx, vtd_dir_entry(v, P_NESTED), vtd_pasid_entry(v, P_NESTED),
    };
    int i;

    /* It is bit 1 in all of them */
    for (i = 0; i < ARRAY_SIZE(places); i++) {
        g_test_message("place %d", i);
        vtd_or(v, places[i], PE0_FPD);
        vtd_inv_all(v);
        vtd_read_blocked(v, NESTED, IOVA + 0x1000);
        vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
        /* Now from the caches of the entries */
        vtd_read_blocked(v, NESTED, IOVA + 0x1000);
        vtd_clear(v, places[i], PE0_FPD);
        vtd_inv_all(v);
        vtd_read_faults(v, NESTED, IOVA + 0x1000, FR_FS_P);
    }

    /* Evaluated whether or not the entry is present */
    vtd_put(v, vtd_pasid_entry(v, P_NESTED + 1), PE0_FPD);
    vtd_read_blocked(v, REQ_PASID(P_NESTED + 1), IOVA);
    vtd_put(v, vtd_dir_entry(v, 0x12340), PASID_DIR_FPD);
    vtd_read_blocked(v, REQ_PASID(0x12340), IOVA);
    fixture_free(f);
}

/* All 20 bits of the PASID are in the record */
static void test_fault_record_pasid(void)
{
    Fixture *f = fixture_new();
    uint32_t pasid;

    /* The check compares the whole PASID */
    for (pasid = 1; pasid < 1 << 20; pasid <<= 1) {
        if (pasid != P_FIRST && pasid != P_SECOND && pasid != P_PASS) {
            vtd_set_pasid(f->v, pasid, vtd_pe_first(f->fs, DID_FIRST));
        }
        if (pasid != P_SECOND && pasid != P_PASS) {
            vtd_read_faults(f->v, REQ_PASID(pasid), IOVA + 0x1000, FR_FS_P);
            vtd_reads(f->v, REQ_PASID(pasid), IOVA, PAGE(D_FIRST));
        }
    }
    vtd_read_faults(f->v, REQ_PASID(0xf0f0f), IOVA, FR_DIR_P);
    fixture_free(f);
}

/*
 * The interrupt range, 3.15
 */

#define MSI_BASE                0xfee00000ULL

static void test_interrupt_range(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    /* Registers of the unit itself, close to the range but not in it */
    uint64_t near = 0xfed90000ULL;

    /* As an input address with PASID it is like any other */
    vtd_map(f->fs, MSI_BASE, PAGE(5), LEVEL_4K);
    vtd_map(f->ss, MSI_BASE, PAGE(6), LEVEL_4K);
    vtd_map(f->nfs, MSI_BASE, GPA(7), LEVEL_4K);
    vtd_map(f->ss, GPA(7), PAGE(7), LEVEL_4K);
    vtd_reads(v, FIRST, MSI_BASE, PAGE(5));
    vtd_writes(v, FIRST, MSI_BASE, PAGE(5));
    vtd_reads(v, SECOND, MSI_BASE, PAGE(6));
    vtd_writes(v, SECOND, MSI_BASE, PAGE(6));
    vtd_reads(v, NESTED, MSI_BASE, PAGE(7));
    vtd_writes(v, NESTED, MSI_BASE, PAGE(7));
    vtd_read_faults(v, FIRST, MSI_BASE + 0x1000, FR_FS_P);

    /* As an output address it is blocked */
    vtd_read_faults(v, PASS, MSI_BASE, FR_INTERRUPT);
    vtd_write_faults(v, PASS, MSI_BASE + 0xff000, FR_INTERRUPT);
    remap(v, f->fs_leaf, MSI_BASE);
    remap(v, f->ss_leaf, MSI_BASE + 0x1000);
    remap(v, f->nss_leaf, MSI_BASE + 0xff000);
    vtd_inv_all(v);
    vtd_read_faults(v, FIRST, IOVA, FR_INTERRUPT);
    vtd_write_faults(v, FIRST, IOVA, FR_INTERRUPT);
    vtd_read_faults(v, SECOND, IOVA_SECOND, FR_INTERRUPT);
    vtd_write_faults(v, SECOND, IOVA_SECOND, FR_INTERRUPT);
    vtd_read_faults(v, NESTED, IOVA, FR_INTERRUPT);
    vtd_write_faults(v, NESTED, IOVA, FR_INTERRUPT);

    /* A guest-physical address in that range is not special */
    remap(v, f->nfs_leaf, MSI_BASE);
    vtd_inv_all(v);
    vtd_reads(v, NESTED, IOVA, PAGE(6));

    /* A large page that holds it is blocked there and nowhere else */
    vtd_map(f->fs, BIG_IOVA, 0xc0000000, LEVEL_1G);
    vtd_map(f->ss, BIG_GPA, 0xc0000000, LEVEL_1G);
    g_assert_cmphex(vtd_dma(v, TESTDEV_CMD_READ, FIRST,
                            BIG_IOVA + (near & 0x3fffffff), 4), ==,
                    TESTDEV_DONE_OK);
    vtd_read_faults(v, FIRST, BIG_IOVA + (MSI_BASE & 0x3fffffff),
                    FR_INTERRUPT);
    g_assert_cmphex(vtd_dma(v, TESTDEV_CMD_READ, SECOND,
                            BIG_GPA + (near & 0x3fffffff), 4), ==,
                    TESTDEV_DONE_OK);
    vtd_write_faults(v, SECOND, BIG_GPA + (MSI_BASE & 0x3fffffff) + 0xff000,
                     FR_INTERRUPT);
    g_assert_cmphex(vtd_dma(v, TESTDEV_CMD_READ, FIRST,
                            BIG_IOVA + (near & 0x3fffffff), 4), ==,
                    TESTDEV_DONE_OK);
    fixture_free(f);
}

/* The emulator survives arbitrary requests */
static void test_robust_requests(void)
{
    static const uint64_t where[] = {
        MSI_BASE, MSI_BASE - 8, MSI_BASE + 0xfffff, MSI_BASE + 0xff8,
        0, 0xfffffffffffff000ULL, 0xfffffffffffff800ULL, 0xfed90000ULL,
        VTD_HOLE, (1ULL << 48) - 0x10, (1ULL << 47) - 0x10, IOVA - 1,
        IOVA + 0xfff, 0x7ffffff8, 0xb0020000ULL,
    };
    static const uint32_t who[] = {
        REQ_RID, FIRST, SECOND, NESTED, PASS, REQ_PASID(0), REQ_PASID(0xfffff),
        NESTED | REQ_PRIV, FIRST | REQ_EXEC, PASS | REQ_PRIV | REQ_EXEC,
    };
    static const uint32_t size[] = {
        1, 3, 4, 8, 17, 2048, 2049, 0x1000, 0x80000000, UINT32_MAX,
    };
    Fixture *f = fixture_new();
    VTD *v = f->v;
    VTDFault fault;
    int a, w, s;

    vtd_set_pasid(v, 0, vtd_pe_pass(DID_RID));
    for (a = 0; a < ARRAY_SIZE(where); a++) {
        for (w = 0; w < ARRAY_SIZE(who); w++) {
            for (s = 0; s < ARRAY_SIZE(size); s++) {
                uint32_t result;

                result = vtd_dma(v, TESTDEV_CMD_READ, who[w], where[a],
                                 size[s]);
                g_assert_cmphex(result, <=, TESTDEV_NO_PASID);
                /* Not at the machine's own registers or the firmware */
                if (where[a] != 0xfed90000ULL && where[a] != 0xb0020000ULL) {
                    result = vtd_dma(v, TESTDEV_CMD_WRITE, who[w], where[a],
                                     size[s]);
                    g_assert_cmphex(result, <=, TESTDEV_NO_PASID);
                }
            }
        }
        while (vtd_take_fault(v, &fault)) {
            /* Any will do */
        }
    }
    vtd_inv_all(v);
    fixture_check(f);
    fixture_free(f);
}

/* Random table contents are refused */
static void test_robust_tables(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t state = 1;
    uint64_t places[] = {
        v->root, v->ctx, v->ctx + 8, vtd_dir_entry(v, P_NESTED),
        vtd_pasid_entry(v, P_NESTED), vtd_pasid_entry(v, P_NESTED) + 8,
        vtd_pasid_entry(v, P_NESTED) + 16,
        vtd_entry(f->nfs, IOVA, LEVEL_TOP), vtd_entry(f->nfs, IOVA, LEVEL_1G),
        vtd_entry(f->nfs, IOVA, LEVEL_2M), f->nfs_leaf, f->nss_leaf,
        vtd_entry(f->ss, GPA(D_NESTED), LEVEL_2M),
        vtd_entry(f->ss, GPA(D_NESTED), LEVEL_1G),
        vtd_entry(f->ss, GPA(D_NESTED), LEVEL_TOP),
    };
    VTDFault fault;
    int i, n;

    for (i = 0; i < ARRAY_SIZE(places); i++) {
        uint64_t good = vtd_get(v, places[i]);

        for (n = 0; n < 24; n++) {
            /* Mostly almost correct, to get past the first check */
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            vtd_put(v, places[i], n < 16 ? good ^ BIT_ULL(state >> 58) :
                                           state ^ (state >> 29));
            vtd_inv_all(v);
            g_assert_cmphex(vtd_dma(v, TESTDEV_CMD_READ, NESTED, IOVA, 64), <=,
                            TESTDEV_FAULT);
            while (vtd_take_fault(v, &fault)) {
                /* Any will do */
            }
        }
        vtd_put(v, places[i], good);
    }
    vtd_inv_all(v);
    fixture_check(f);
    fixture_free(f);
}

/* A first stage whose tables point at each other ends after its levels */
static void test_robust_loop(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    VTDTable *loop = vtd_first_stage(v, f->ss);
    int i;

    for (i = 0; i < 512; i++) {
        vtd_put(v, loop->root + i * 8, vtd_gpa(loop->root) | FS_ALL);
    }
    vtd_set_pasid(v, 7, vtd_pe_nested(loop, 9));
    /* The table is its own page of data in the end */
    g_assert_cmphex(vtd_dma(v, TESTDEV_CMD_READ, REQ_PASID(7), IOVA, 8), ==,
                    TESTDEV_DONE_OK);
    vtd_bits(v, loop->root, FS_ALL, FS_ALL);
    g_free(loop);
    fixture_free(f);
}

/*
 * Invalidation.  That stale translations are visible is a property of the
 * model.  It shows that the descriptor did the work.
 */

static void move_all(Fixture *f)
{
    remap(f->v, f->fs_leaf, PAGE(D_FIRST + ALT));
    remap(f->v, f->ss_leaf, PAGE(D_SECOND + ALT));
    remap(f->v, f->nss_leaf, PAGE(D_NESTED + ALT));
}

static void test_inv_iotlb_global(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    fixture_check(f);
    move_all(f);
    fixture_check(f);
    vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
    vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND + ALT));
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED + ALT));
    fixture_free(f);
}

static void test_inv_iotlb_domain(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    fixture_check(f);
    move_all(f);
    fixture_check(f);

    /* Each domain on its own, the others are left alone by the model */
    vtd_inv_iotlb(v, IOTLB_DOMAIN, DID_SECOND, 0, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND + ALT));
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_inv_iotlb(v, IOTLB_DOMAIN, DID_NESTED, 0, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED + ALT));
    vtd_inv_iotlb(v, IOTLB_DOMAIN, DID_FIRST, 0, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
    fixture_free(f);
}

static void test_inv_iotlb_page(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t base = 0x5000000000ULL;
    uint64_t e[8], large;
    int i;

    for (i = 0; i < 8; i++) {
        e[i] = vtd_map(f->ss, base + i * 0x1000, PAGE(32 + i), LEVEL_4K);
        vtd_reads(v, SECOND, base + i * 0x1000, PAGE(32 + i));
        remap(v, e[i], PAGE(48 + i));
    }
    for (i = 0; i < 8; i++) {
        vtd_reads(v, SECOND, base + i * 0x1000, PAGE(32 + i));
    }

    /* One page, then an aligned group of four */
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_SECOND, base + 0x1000, 0);
    for (i = 0; i < 8; i++) {
        vtd_reads(v, SECOND, base + i * 0x1000, PAGE((i == 1 ? 48 : 32) + i));
    }
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_SECOND, base + 0x4000, 2);
    for (i = 0; i < 8; i++) {
        vtd_reads(v, SECOND, base + i * 0x1000,
                  PAGE((i == 1 || i >= 4 ? 48 : 32) + i));
    }
    /* Another domain, another address */
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_PASS, base, 3);
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_SECOND, base + 0x10000, 3);
    vtd_reads(v, SECOND, base, PAGE(32));
    /* As much as the unit can do at once */
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_SECOND, base, CAP_MAMV(v->cap));
    vtd_reads(v, SECOND, base, PAGE(48));
    vtd_reads(v, SECOND, base + 0x3000, PAGE(51));

    /* Large pages, with the mask that 6.5.2.3 asks for */
    large = vtd_map(f->ss, BIG_GPA, VTD_DATA, LEVEL_2M);
    vtd_reads(v, SECOND, BIG_GPA + 0x12340, VTD_DATA + 0x12340);
    remap(v, large, VTD_DATA + 0x200000);
    vtd_reads(v, SECOND, BIG_GPA + 0x12340, VTD_DATA + 0x12340);
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_SECOND, BIG_GPA, 9);
    vtd_reads(v, SECOND, BIG_GPA + 0x12340, VTD_DATA + 0x212340);
    fixture_free(f);
}

/*
 * A page leaves the second stage under nested translations.  The descriptor
 * names a guest-physical address, which says nothing about the input
 * addresses that are affected: everything nested of the domain goes.
 */
static void test_inv_iotlb_page_nested(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t tables;

    fixture_check(f);
    vtd_put(v, f->nss_leaf, 0);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    /* Not the domain of the nested translations; a property of the model */
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_SECOND, GPA(D_NESTED), 0);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_NESTED, GPA(D_NESTED), 0);
    vtd_read_faults(v, NESTED, IOVA, FR_SS_P);
    vtd_write_faults(v, NESTED, IOVA, FR_SS_P);

    vtd_put(v, f->nss_leaf, PAGE(D_NESTED) | SS_RW);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));

    /* The page of a table instead of the page of data */
    tables = ss_leaf_of_table(f, LEVEL_2M);
    vtd_clear(v, tables, SS_RW);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_NESTED,
                  vtd_gpa(table_page(f->nfs, IOVA, LEVEL_2M)), 0);
    vtd_read_faults(v, NESTED, IOVA, FR_SS_P);

    /* Also for translations of requests without PASID */
    vtd_or(v, tables, SS_RW);
    vtd_set_pasid(v, 0, vtd_pe_nested(f->nfs, DID_RID));
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED));
    remap(v, f->nss_leaf, PAGE(D_NESTED + ALT));
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED));
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_RID, GPA(D_NESTED), 0);
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED + ALT));

    /* First-stage translations of the domain go likewise, table 23 */
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    remap(v, f->fs_leaf, PAGE(D_FIRST + ALT));
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    vtd_inv_iotlb(v, IOTLB_PAGE, DID_FIRST, 0x123000, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
    fixture_free(f);
}

static void test_inv_piotlb_pasid(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    VTDPasidEntry pe = vtd_pe_first(f->fs, DID_FIRST);

    /* Two PASIDs that share tables and domain */
    vtd_set_pasid(v, 6, pe);
    fixture_check(f);
    vtd_reads(v, REQ_PASID(6), IOVA, PAGE(D_FIRST));
    move_all(f);
    fixture_check(f);
    vtd_reads(v, REQ_PASID(6), IOVA, PAGE(D_FIRST));

    /* Another PASID and another domain; properties of the model */
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_FIRST, P_NESTED, 0, 0);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_NESTED, P_FIRST, 0, 0);
    fixture_check(f);

    vtd_inv_piotlb(v, PIOTLB_PASID, DID_FIRST, P_FIRST, 0, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
    vtd_reads(v, REQ_PASID(6), IOVA, PAGE(D_FIRST));
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));

    vtd_inv_piotlb(v, PIOTLB_PASID, DID_NESTED, P_NESTED, 0, 0);
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED + ALT));
    vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND));
    /* Second-stage translations with that PASID, too: table 24 */
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_SECOND, P_SECOND, 0, 0);
    vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND + ALT));
    fixture_free(f);
}

/* Translations of requests without PASID carry the tag RID_PASID, 6.2.1 */
static void test_inv_piotlb_rid(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    vtd_set_pasid(v, 0, vtd_pe_nested(f->nfs, DID_NESTED));
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED));
    remap(v, f->nfs_leaf, GPA(D_SECOND));
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED));
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_NESTED, 0, IOVA, 0);
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_SECOND));
    remap(v, f->nfs_leaf, GPA(D_NESTED));
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_SECOND));
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_NESTED, 0, 0, 0);
    vtd_reads(v, REQ_RID, IOVA, PAGE(D_NESTED));
    fixture_free(f);
}

static void test_inv_piotlb_page(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t base = IOVA & ~0xffffULL;
    uint64_t e[16], large;
    int i;

    for (i = 0; i < 16; i++) {
        e[i] = vtd_map(f->nfs, base + i * 0x1000, GPA(32 + i), LEVEL_4K);
        vtd_map(f->ss, GPA(32 + i), PAGE(32 + i), LEVEL_4K);
        vtd_map(f->ss, GPA(48 + i), PAGE(48 + i), LEVEL_4K);
        vtd_reads(v, NESTED, base + i * 0x1000, PAGE(32 + i));
        remap(v, e[i], GPA(48 + i));
    }
    for (i = 0; i < 16; i++) {
        vtd_reads(v, NESTED, base + i * 0x1000, PAGE(32 + i));
    }

    /* One page */
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_NESTED, P_NESTED, base + 0x1000, 0);
    for (i = 0; i < 16; i++) {
        vtd_reads(v, NESTED, base + i * 0x1000, PAGE((i == 1 ? 48 : 32) + i));
    }
    /* A group of four; the hint is right: only leaves have changed */
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_NESTED, P_NESTED, base + 0x4000,
                   2 | BIT(6));
    for (i = 0; i < 16; i++) {
        vtd_reads(v, NESTED, base + i * 0x1000,
                  PAGE((i == 1 || (i >= 4 && i < 8) ? 48 : 32) + i));
    }
    /* Other addresses, PASIDs and domains; properties of the model */
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_NESTED, P_NESTED, base + 0x10000, 4);
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_NESTED, P_FIRST, base, 4);
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_FIRST, P_NESTED, base, 4);
    vtd_reads(v, NESTED, base, PAGE(32));
    vtd_reads(v, NESTED, base + 0x9000, PAGE(32 + 9));
    /* The rest */
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_NESTED, P_NESTED, base, 4);
    for (i = 0; i < 16; i++) {
        vtd_reads(v, NESTED, base + i * 0x1000, PAGE(48 + i));
    }

    /* Large pages */
    large = vtd_map(f->fs, BIG_IOVA, VTD_DATA, LEVEL_2M);
    vtd_reads(v, FIRST, BIG_IOVA + 0x12340, VTD_DATA + 0x12340);
    remap(v, large, VTD_DATA + 0x200000);
    vtd_reads(v, FIRST, BIG_IOVA + 0x12340, VTD_DATA + 0x12340);
    vtd_inv_piotlb(v, PIOTLB_PAGE, DID_FIRST, P_FIRST, BIG_IOVA, 9);
    vtd_reads(v, FIRST, BIG_IOVA + 0x12340, VTD_DATA + 0x212340);
    fixture_free(f);
}

/* Drivers ask for "everything" by a mask of all address bits, and wider */
static void test_inv_piotlb_wide(void)
{
    static const unsigned int masks[] = { 19, 31, 32, 36, 45, 52, 63 };
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int i;

    for (i = 0; i < ARRAY_SIZE(masks); i++) {
        uint64_t addr = masks[i] >= 36 ? 0 :
                        IOVA & ~(MAKE_64BIT_MASK(0, masks[i]) << 12);

        g_test_message("mask %u", masks[i]);
        remap(v, f->fs_leaf, PAGE(D_FIRST));
        remap(v, f->nss_leaf, PAGE(D_NESTED));
        vtd_inv_all(v);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
        vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
        remap(v, f->fs_leaf, PAGE(D_FIRST + ALT));
        remap(v, f->nss_leaf, PAGE(D_NESTED + ALT));
        vtd_inv_piotlb(v, PIOTLB_PAGE, DID_FIRST, P_FIRST, addr, masks[i]);
        vtd_inv_piotlb(v, PIOTLB_PAGE, DID_NESTED, P_NESTED, addr, masks[i]);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
        vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED + ALT));
    }
    fixture_free(f);
}

/*
 * A PASID entry is changed to other tables.  An address that was not used
 * before is not in the IOTLB, so what is stale is the entry itself.
 */
static void test_inv_pasid_cache(const void *opaque)
{
    int granularity = GPOINTER_TO_INT(opaque);
    Fixture *f = fixture_new();
    VTD *v = f->v;
    VTDTable *other = vtd_first_stage(v, NULL);
    VTDTable *nother = vtd_first_stage(v, f->ss);
    int i;

    for (i = 1; i < 4; i++) {
        vtd_map(f->fs, IOVA + i * 0x1000, PAGE(32 + i), LEVEL_4K);
        vtd_map(other, IOVA + i * 0x1000, PAGE(48 + i), LEVEL_4K);
        vtd_map(f->nfs, IOVA + i * 0x1000, GPA(64 + i), LEVEL_4K);
        vtd_map(nother, IOVA + i * 0x1000, GPA(80 + i), LEVEL_4K);
        vtd_map(f->ss, GPA(64 + i), PAGE(64 + i), LEVEL_4K);
        vtd_map(f->ss, GPA(80 + i), PAGE(80 + i), LEVEL_4K);
    }
    fixture_check(f);

    vtd_set_pasid(v, P_FIRST, vtd_pe_first(other, DID_FIRST));
    vtd_set_pasid(v, P_NESTED, vtd_pe_nested(nother, DID_NESTED));
    vtd_reads(v, FIRST, IOVA + 0x1000, PAGE(32 + 1));
    vtd_reads(v, NESTED, IOVA + 0x1000, PAGE(64 + 1));

    if (granularity != PC_GLOBAL) {
        /* Other domains and PASIDs; properties of the model */
        vtd_inv_pasid(v, granularity, DID_RID, P_FIRST);
        if (granularity == PC_PASID) {
            vtd_inv_pasid(v, granularity, DID_FIRST, P_NESTED);
            vtd_inv_pasid(v, granularity, DID_NESTED, P_FIRST);
        }
        vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
        vtd_reads(v, FIRST, IOVA + 0x2000, PAGE(32 + 2));
        vtd_reads(v, NESTED, IOVA + 0x2000, PAGE(64 + 2));
    }

    vtd_inv_pasid(v, granularity, DID_FIRST, P_FIRST);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_FIRST, P_FIRST, 0, 0);
    for (i = 1; i < 4; i++) {
        vtd_reads(v, FIRST, IOVA + i * 0x1000, PAGE(48 + i));
    }
    vtd_inv_pasid(v, granularity, DID_NESTED, P_NESTED);
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_NESTED, P_NESTED, 0, 0);
    for (i = 1; i < 4; i++) {
        vtd_reads(v, NESTED, IOVA + i * 0x1000, PAGE(80 + i));
    }

    /* From present to not present */
    vtd_put(v, vtd_pasid_entry(v, P_NESTED), 0);
    vtd_inv_pasid(v, granularity, DID_NESTED, P_NESTED);
    vtd_inv_iotlb(v, IOTLB_DOMAIN, DID_NESTED, 0, 0);
    vtd_read_faults(v, NESTED, IOVA + 0x1000, FR_PE_P);
    vtd_read_faults(v, NESTED, IOVA + 0x5000, FR_PE_P);
    g_free(other);
    g_free(nother);
    fixture_free(f);
}

/* An entry that was not present needs no invalidation (CM = 0), 6.1 */
static void test_inv_not_needed(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    VTDPasidEntry pe = vtd_pe_nested(f->nfs, DID_NESTED);
    uint64_t leaf;

    vtd_read_faults(v, REQ_PASID(0x77777), IOVA, FR_DIR_P);
    vtd_pasid_entry(v, 0x77777);
    vtd_read_faults(v, REQ_PASID(0x77777), IOVA, FR_PE_P);
    vtd_set_pasid(v, 0x77777, pe);
    vtd_reads(v, REQ_PASID(0x77777), IOVA, PAGE(D_NESTED));

    vtd_read_faults(v, NESTED, BIG_IOVA, FR_FS_P);
    leaf = vtd_map(f->nfs, BIG_IOVA, GPA(9), LEVEL_4K);
    vtd_read_faults(v, NESTED, BIG_IOVA, FR_SS_P);
    vtd_map(f->ss, GPA(9), PAGE(9), LEVEL_4K);
    vtd_reads(v, NESTED, BIG_IOVA, PAGE(9));
    vtd_bits(v, leaf, FS_A, FS_A);
    fixture_free(f);
}

/*
 * A context entry is changed to another PASID directory.  PASIDs that were
 * not used before are not in the PASID cache.
 */
static void test_inv_context_cache(const void *opaque)
{
    int granularity = GPOINTER_TO_INT(opaque);
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t old_dir = v->dir;

    vtd_map(f->fs, IOVA + 0x1000, PAGE(33), LEVEL_4K);
    vtd_set_pasid(v, 0x40, vtd_pe_first(f->fs, DID_FIRST));
    vtd_set_pasid(v, 0x41, vtd_pe_first(f->fs, DID_FIRST));
    fixture_check(f);

    /* A second directory, empty but for one PASID that differs */
    v->dir = v->free_page;
    v->free_page += (1 << 14) * sizeof(uint64_t);
    vtd_set_pasid(v, 0x41, vtd_pe_nested(f->nfs, DID_NESTED));
    remap(v, v->ctx, v->dir);

    vtd_reads(v, REQ_PASID(0x40), IOVA, PAGE(D_FIRST));
    if (granularity == CC_DEVICE) {
        /* Another device; a property of the model */
        vtd_inv_context(v, CC_DEVICE, 0, v->sid + 8);
        vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
        vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
        vtd_reads(v, REQ_PASID(0x40), IOVA, PAGE(D_FIRST));
    }

    vtd_inv_context(v, granularity, 0, v->sid);
    vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
    vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
    vtd_reads(v, REQ_PASID(0x41), IOVA, PAGE(D_NESTED));
    vtd_read_faults(v, REQ_PASID(0x40), IOVA, FR_PE_P);
    vtd_read_faults(v, FIRST, IOVA, FR_DIR_P);
    v->dir = old_dir;
    fixture_free(f);
}

/*
 * The tables on the path to a page are cached, 6.2.4
 */

#define HINT                    BIT(6)  /* Only leaf entries have changed */
#define IOVA_BESIDE             (IOVA - 0x1000) /* In the same 8 KiB */

typedef struct PathTest {
    Fixture *f;
    VTDTable *fs;               /* Of P_FIRST or P_NESTED */
    uint32_t pasid;
    uint16_t did;
    int page;                   /* D_FIRST or D_NESTED */
    uint64_t entry;             /* At the level that the test changes */
    uint64_t tables[2];         /* What it points to: old and new */
} PathTest;

static uint64_t path_address(PathTest *t, uint64_t hpa)
{
    return t->fs->nest ? vtd_gpa(hpa) : hpa;
}

/*
 * A second path from the entry of @level down to a page.  Each path has a page
 * for IOVA_BESIDE, too.
 */
static PathTest *path_new(bool nested, int level)
{
    PathTest *t = g_new0(PathTest, 1);
    uint64_t table, at = 0;
    VTD *v;
    int l, i;

    t->f = fixture_new();
    v = t->f->v;
    t->fs = nested ? t->f->nfs : t->f->fs;
    t->pasid = nested ? P_NESTED : P_FIRST;
    t->did = nested ? DID_NESTED : DID_FIRST;
    t->page = nested ? D_NESTED : D_FIRST;
    for (i = 0; i < 2; i++) {
        int pages[] = { t->page + ALT, t->page + i * ALT + 64 };
        int j;

        for (j = 0; j < ARRAY_SIZE(pages) && nested; j++) {
            vtd_map(t->f->ss, GPA(pages[j]), PAGE(pages[j]), LEVEL_4K);
        }
    }
    vtd_map(t->fs, IOVA_BESIDE, path_address(t, PAGE(t->page + 64)),
            LEVEL_4K);

    t->entry = vtd_entry(t->fs, IOVA, level);
    t->tables[0] = vtd_get(v, t->entry) & MAKE_64BIT_MASK(12, 36);
    for (l = level; l > LEVEL_4K; l--) {
        table = vtd_alloc(v);
        if (nested) {
            vtd_map(t->f->ss, vtd_gpa(table), table, LEVEL_4K);
        }
        if (l == level) {
            t->tables[1] = path_address(t, table);
        } else {
            vtd_put(v, at, path_address(t, table) | FS_ALL);
        }
        at = table + extract64(IOVA, 12 + 9 * (l - 2), 9) * 8;
    }
    vtd_put(v, at, path_address(t, PAGE(t->page + ALT)) | FS_ALL);
    vtd_put(v, at - 8, path_address(t, PAGE(t->page + ALT + 64)) | FS_ALL);
    return t;
}

static void path_free(PathTest *t)
{
    fixture_free(t->f);
    g_free(t);
}

/* Begin with the old path in all caches, then change the entry */
static void path_change(PathTest *t)
{
    VTD *v = t->f->v;

    remap(v, t->entry, t->tables[0]);
    vtd_inv_all(v);
    vtd_reads(v, REQ_PASID(t->pasid), IOVA, PAGE(t->page));
    remap(v, t->entry, t->tables[1]);
}

/* Which path is used for the page, and for the one beside it? */
#define path_is(t, new)                                                       \
    do {                                                                      \
        vtd_reads((t)->f->v, REQ_PASID((t)->pasid), IOVA,                     \
                  PAGE((t)->page + (new) * ALT));                             \
        vtd_reads((t)->f->v, REQ_PASID((t)->pasid), IOVA_BESIDE,            \
                  PAGE((t)->page + (new) * ALT + 64));                        \
    } while (0)

static void path_inv(PathTest *t, uint64_t addr, unsigned int mask)
{
    vtd_inv_piotlb(t->f->v, PIOTLB_PAGE, t->did, t->pasid, addr, mask);
}

static void test_path(const void *opaque)
{
    int level = GPOINTER_TO_INT(opaque) & 0xf;
    bool nested = GPOINTER_TO_INT(opaque) & 0x10;
    PathTest *t = path_new(nested, level);
    VTD *v = t->f->v;

    /* That what is cached stays cached is a property of the model */
    path_change(t);
    path_is(t, 0);
    path_inv(t, IOVA, HINT);
    path_inv(t, IOVA, 1 | HINT);
    path_inv(t, 0, 52 | HINT);
    path_is(t, 0);
    path_inv(t, IOVA, 1);
    path_is(t, 1);

    /* Any page that the nearest entry maps, but no other one */
    path_change(t);
    path_inv(t, IOVA ^ vtd_level_size(LEVEL_2M), 0);
    vtd_inv_piotlb(v, PIOTLB_PAGE, t->did, t->pasid + 1, IOVA, 0);
    vtd_inv_piotlb(v, PIOTLB_PAGE, t->did + 8, t->pasid, IOVA, 0);
    vtd_inv_piotlb(v, PIOTLB_PASID, t->did, t->pasid + 1, 0, 0);
    vtd_inv_iotlb(v, IOTLB_DOMAIN, t->did + 8, 0, 0);
    vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
    vtd_inv_context(v, CC_GLOBAL, 0, 0);
    path_is(t, 0);
    path_inv(t, IOVA ^ (vtd_level_size(LEVEL_2M) / 2), 0);
    path_inv(t, IOVA, 1 | HINT);
    path_is(t, 1);

    path_change(t);
    path_inv(t, 0, 52);
    path_is(t, 1);
    path_change(t);
    vtd_inv_piotlb(v, PIOTLB_PASID, t->did, t->pasid, 0, 0);
    path_is(t, 1);
    path_change(t);
    vtd_inv_iotlb(v, IOTLB_DOMAIN, t->did, 0, 0);
    path_is(t, 1);
    path_change(t);
    vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
    path_is(t, 1);
    /* By an address of the second stage, which need not be that of a table */
    path_change(t);
    vtd_inv_iotlb(v, IOTLB_PAGE, t->did, GPA(200), 0 | HINT);
    path_is(t, 1);
    path_free(t);
}

/* Permissions of the path */
static void test_path_permission(const void *opaque)
{
    int level = GPOINTER_TO_INT(opaque) & 0xf;
    bool nested = GPOINTER_TO_INT(opaque) & 0x10;
    PathTest *t = path_new(nested, level);
    uint32_t req = REQ_PASID(t->pasid);
    VTD *v = t->f->v;

    /* Taken away: stale with the hint */
    vtd_writes(v, req, IOVA, PAGE(t->page));
    vtd_clear(v, t->entry, FS_RW);
    path_inv(t, IOVA, 1 | HINT);
    vtd_writes(v, req, IOVA, PAGE(t->page));
    vtd_writes(v, req, IOVA_BESIDE, PAGE(t->page + 64));
    path_inv(t, IOVA, 1);
    vtd_write_faults(v, req, IOVA, FR_WRITE);
    vtd_reads(v, req, IOVA, PAGE(t->page));
    vtd_write_faults(v, req, IOVA_BESIDE, FR_WRITE);

    /* Given: needs no invalidation, 6.1 */
    vtd_or(v, t->entry, FS_RW);
    vtd_writes(v, req, IOVA, PAGE(t->page));
    vtd_writes(v, req, IOVA_BESIDE, PAGE(t->page + 64));

    vtd_clear(v, t->entry, FS_US);
    path_inv(t, IOVA, 1);
    vtd_read_faults(v, req, IOVA, FR_USER);
    vtd_or(v, t->entry, FS_US);
    vtd_reads(v, req, IOVA, PAGE(t->page));

    /* Not present: stale with the hint; present needs no invalidation */
    vtd_clear(v, t->entry, FS_P);
    path_inv(t, IOVA, HINT);
    vtd_reads(v, req, IOVA, PAGE(t->page));
    path_inv(t, IOVA, 0);
    vtd_read_faults(v, req, IOVA, FR_FS_P);
    vtd_or(v, t->entry, FS_P);
    vtd_reads(v, req, IOVA, PAGE(t->page));
    path_free(t);
}

/* The second stage moves a first-stage table that has a cached entry */
static void test_path_second_stage(void)
{
    PathTest *t = path_new(true, LEVEL_2M);
    VTD *v = t->f->v;
    uint64_t gpa = vtd_gpa(t->entry & ~0xfffULL), copy = vtd_alloc(v);
    uint64_t leaf = vtd_entry(t->f->ss, gpa, LEVEL_4K);
    int granularity;

    vtd_put(v, copy + (t->entry & 0xfff), t->tables[1] | FS_ALL);
    for (granularity = IOTLB_GLOBAL; granularity <= IOTLB_PAGE;
         granularity++) {
        remap(v, leaf, t->entry & ~0xfffULL);
        vtd_inv_all(v);
        path_is(t, 0);
        remap(v, leaf, copy);
        path_inv(t, IOVA, 1 | HINT);
        path_is(t, 0);
        vtd_inv_iotlb(v, granularity, DID_NESTED, gpa, 0);
        path_is(t, 1);
    }
    path_free(t);
}

/*
 * Translations are tagged by domain id and PASID, not by the function: two
 * functions with the same of both must have the same tables, 6.2.1.
 */
static void test_inv_tags(void)
{
    Fixture *f = fixture_new_with_args(VTD_NESTING_OPTS, "multifunction=on "
                                       "-device pasid-testdev,addr=4.1");
    VTD *v = f->v;
    VTDTable *other = vtd_first_stage(v, NULL);
    uint64_t dir = v->dir;

    /* The second function: the same PASID and domain id, another table */
    vtd_map(other, IOVA, PAGE(10), LEVEL_4K);
    vtd_map(other, IOVA + 0x1000, PAGE(11), LEVEL_4K);
    v->dir = v->free_page;
    v->free_page += (1 << 14) * sizeof(uint64_t);
    vtd_set_pasid(v, P_FIRST, vtd_pe_first(other, DID_FIRST));
    vtd_put(v, v->ctx + 32, (vtd_get(v, v->ctx) & 0xfff) | v->dir);
    v->dir = dir;
    vtd_map(f->fs, IOVA + 0x1000, PAGE(12), LEVEL_4K);

    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    vtd_use_function(v, 1);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    /* The tables that are cached are the first function's, too */
    vtd_reads(v, FIRST, IOVA + 0x1000, PAGE(12));
    vtd_inv_piotlb(v, PIOTLB_PASID, DID_FIRST, P_FIRST, 0, 0);
    vtd_reads(v, FIRST, IOVA + 0x1000, PAGE(11));
    vtd_use_function(v, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(10));
    g_free(other);
    fixture_free(f);
}

/*
 * Two functions that use the same PASID for different things, each with a
 * domain id of its own.
 */
static void test_inv_functions(void)
{
    Fixture *f = fixture_new_with_args(VTD_NESTING_OPTS, "multifunction=on "
                                       "-device pasid-testdev,addr=4.1");
    VTD *v = f->v;
    VTDTable *other = vtd_first_stage(v, NULL);
    uint64_t dir[2] = { v->dir, v->free_page };
    uint64_t ctx[2] = { v->ctx, v->ctx + 32 };
    uint16_t sid = v->sid;
    int i;

    v->free_page += (1 << 14) * sizeof(uint64_t);
    vtd_map(other, IOVA, PAGE(10), LEVEL_4K);
    v->dir = dir[1];
    vtd_set_pasid(v, P_FIRST, vtd_pe_first(other, 10));
    vtd_put(v, ctx[1], (vtd_get(v, ctx[0]) & 0xfff) | dir[1]);

    for (i = 0; i < 2; i++) {
        vtd_use_function(v, 1);
        vtd_reads(v, FIRST, IOVA, PAGE(10));
        vtd_read_faults(v, FIRST, IOVA + 0x1000, FR_FS_P);
        vtd_read_faults(v, NESTED, IOVA, FR_DIR_P);
        vtd_use_function(v, 0);
        fixture_check(f);
    }

    /* Swap their directories; don't invalidate the second function at first */
    remap(v, ctx[0], dir[1]);
    remap(v, ctx[1], dir[0]);
    vtd_inv_functions(v, sid, 0);
    vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
    vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(10));
    vtd_use_function(v, 1);
    /* A property of the model */
    vtd_reads(v, FIRST, IOVA, PAGE(10));

    /* All functions of the slot, from the first one's number */
    vtd_inv_functions(v, sid, 3);
    vtd_inv_pasid(v, PC_GLOBAL, 0, 0);
    vtd_inv_iotlb(v, IOTLB_GLOBAL, 0, 0, 0);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED));
    g_free(other);
    fixture_free(f);
}

/*
 * The invalidation queue
 */

static void test_queue_wait(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t status = PAGE(100);
    uint32_t i;

    /* More often than the queue is long, and wider than the two types meet */
    for (i = 1; i < 300; i++) {
        g_assert_true(vtd_submit(v, 5 | WAIT_SW | WAIT_FN |
                                 ((uint64_t)(i * 0x1000193) << 32),
                                 status, 0, 0));
        g_assert_cmphex(vtd_get(v, status), ==, i * 0x1000193);
    }

    /* Without SW, address and data are ignored */
    vtd_put(v, status, 0x55);
    g_assert_true(vtd_submit(v, 5 | WAIT_FN | (0xaaULL << 32), status, 0, 0));
    g_assert_cmphex(vtd_get(v, status), ==, 0x55);

    /* Completion event */
    g_assert_cmphex(vtd_readl(v, VTD_REG_ICS) & ICS_IWC, ==, 0);
    g_assert_true(vtd_submit(v, 5 | WAIT_IF, 0, 0, 0));
    g_assert_cmphex(vtd_readl(v, VTD_REG_ICS) & ICS_IWC, ==, ICS_IWC);
    vtd_writel(v, VTD_REG_ICS, ICS_IWC);
    g_assert_cmphex(vtd_readl(v, VTD_REG_ICS) & ICS_IWC, ==, 0);
    fixture_free(f);
}

static void test_queue_drain(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t status = PAGE(100);
    bool ok;

    ok = vtd_submit(v, 5 | WAIT_PD | WAIT_SW | WAIT_FN | (7ULL << 32), status,
                    0, 0);
    if (v->ecap & ECAP_PDS) {
        g_assert_true(ok);
        g_assert_cmphex(vtd_get(v, status), ==, 7);
    } else {
        /* A reserved bit then */
        g_assert_false(ok);
        g_assert_cmphex(vtd_get(v, status), ==, 0);
    }
    fixture_free(f);
}

/* In scalable mode descriptors of 128 bits are invalid, table 26 */
static void test_queue_narrow(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    fixture_check(f);
    /* A queue is quiesced before it is switched off, 6.5.2 */
    g_assert_true(vtd_submit(v, 5 | WAIT_FN, 0, 0, 0));
    vtd_set_queue(v, IQA_DW_128);
    vtd_put(v, v->iq, 2 | (IOTLB_GLOBAL << 4));
    vtd_put(v, v->iq + 8, 0);
    vtd_writeq(v, VTD_REG_IQT, 16);
    g_assert_cmphex(vtd_readl(v, VTD_REG_FSTS) & FSTS_IQE, ==, FSTS_IQE);
    g_assert_cmphex(vtd_readq(v, VTD_REG_IQH), ==, 0);

    /* In legacy mode they are fine, so the queue gets empty there */
    vtd_set_root(v, RTADDR_TTM_LEGACY);
    vtd_put(v, v->iq, 5 | WAIT_FN);
    vtd_writel(v, VTD_REG_FSTS, FSTS_IQE);
    g_assert_cmphex(vtd_readl(v, VTD_REG_FSTS) & FSTS_IQE, ==, 0);
    g_assert_cmphex(vtd_readq(v, VTD_REG_IQH), ==, 16);

    vtd_set_queue(v, IQA_DW_256);
    vtd_set_root(v, RTADDR_TTM_SCALABLE);
    move_all(f);
    vtd_inv_all(v);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
    fixture_free(f);
}

/* Invalid descriptors stop the queue until software clears the error */
static void test_queue_errors(void)
{
    static const struct {
        const char *what;
        uint64_t q[4];
    } bad[] = {
        { "no type", { 0 } },
        { "unknown type", { 0xf } },
        { "unknown type in the upper bits", { 5 | (1 << 9) } },
        { "device TLB, which there is none of", { 3 } },
        { "device TLB with PASID, likewise", { 8 } },
        { "page group response, without page requests", { 9 } },
        { "host permission table, which there is none of", { 0xa | 0x10 } },
        { "context cache, granularity 0", { 1 } },
        { "context cache, reserved bit", { 1 | (1 << 4) | (1 << 6) } },
        { "IOTLB, granularity 0", { 2 } },
        { "IOTLB, reserved bit", { 2 | (1 << 4) | (1ULL << 40) } },
        { "PIOTLB, granularity 0", { 6 } },
        { "PIOTLB, granularity 1", { 6 | (1 << 4) } },
        { "PIOTLB, reserved bit", { 6 | (2 << 4) | (1ULL << 52) } },
        { "PASID cache, granularity 2", { 7 | (2 << 4) } },
        { "PASID cache, reserved bit", { 7 | (3 << 4) | (1ULL << 63) } },
        { "PASID cache, reserved quadword", { 7 | (3 << 4), 1 } },
        { "wait, reserved bit", { 5 | (1 << 8) } },
        { "PIOTLB, upper half", { 6 | (2 << 4), 0, 1 } },
        { "wait, upper half", { 5 | WAIT_FN, 0, 0, 1 } },
    };
    Fixture *f = fixture_new();
    VTD *v = f->v;
    int i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t head = v->iq_tail * 32;

        g_test_message("%s", bad[i].what);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));
        if (vtd_submit(v, bad[i].q[0], bad[i].q[1], bad[i].q[2],
                       bad[i].q[3])) {
            g_test_message("accepted");
            g_test_fail();
            continue;
        }
        /* The head shows which one it was */
        g_assert_cmphex(vtd_readq(v, VTD_REG_IQH), ==, head);

        /* Descriptors behind it are not processed */
        remap(v, f->fs_leaf, PAGE(D_FIRST + ALT));
        vtd_submit(v, 2 | (IOTLB_GLOBAL << 4), 0, 0, 0);
        g_assert_cmphex(vtd_readq(v, VTD_REG_IQH), ==, head);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST));

        /* After correction and resume, all are processed */
        vtd_recover_queue(v);
        g_assert_cmphex(vtd_readq(v, VTD_REG_IQH), ==, v->iq_tail * 32);
        vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
        remap(v, f->fs_leaf, PAGE(D_FIRST));
        vtd_inv_all(v);
    }
    fixture_check(f);
    fixture_free(f);
}

/*
 * Properties
 */

static int run_with(const char *iommu_opts, char **errors)
{
    g_autofree char *script = NULL;
    g_autofree char *quoted = NULL;
    g_autofree char *cmd = NULL;
    g_autoptr(GError) error = NULL;
    int status = -1;

    /* Quit a machine that starts; otherwise QEMU has exited already */
    script = g_strdup_printf("echo quit | %s -M q35 -accel qtest -nodefaults "
                             "-display none -monitor stdio "
                             "-device intel-iommu,%s -device pasid-testdev "
                             "2>&1 >/dev/null",
                             getenv("QTEST_QEMU_BINARY"), iommu_opts);
    quoted = g_shell_quote(script);
    cmd = g_strdup_printf("/bin/sh -c %s", quoted);

    g_assert_true(g_spawn_command_line_sync(cmd, errors, NULL, &status,
                                            &error));
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void check_refused(const char *opts, const char *word)
{
    g_autofree char *errors = NULL;
    int code = run_with(opts, &errors);

    g_test_message("%s: exit code %d, %s", opts, code, errors);
    g_assert_cmpint(code, ==, 1);
    g_assert_nonnull(strstr(errors, word));
}

static void check_starts(const char *opts)
{
    g_autofree char *errors = NULL;
    int code = run_with(opts, &errors);

    g_test_message("%s: exit code %d, %s", opts, code, errors);
    g_assert_cmpint(code, ==, 0);
}

static void test_props_refused(void)
{
    check_refused("x-nesting=on", "x-nesting");
    check_refused("x-scalable-mode=off,x-nesting=on", "x-nesting");
    check_refused(VTD_NESTING_OPTS ",x-pss=20", "x-pss");
    check_refused(VTD_NESTING_OPTS ",x-pss=254", "x-pss");
    check_refused(VTD_NESTING_OPTS ",x-pss=256", "x-pss");
    check_refused(VTD_NESTING_OPTS ",x-pss=-1", "x-pss");
    check_refused(VTD_NESTING_OPTS ",x-dev-iotlb-timeout=on",
                  "x-dev-iotlb-timeout");
    check_refused("device-iotlb=on,x-dev-iotlb-timeout=on",
                  "x-dev-iotlb-timeout");
    check_refused("x-domain-bits=8", "x-domain-bits");
    check_refused(VTD_NESTING_OPTS ",x-domain-bits=0", "x-domain-bits");
    check_refused(VTD_NESTING_OPTS ",x-domain-bits=2", "x-domain-bits");
    check_refused(VTD_NESTING_OPTS ",x-domain-bits=5", "x-domain-bits");
    check_refused(VTD_NESTING_OPTS ",x-domain-bits=18", "x-domain-bits");
    check_refused(VTD_NESTING_OPTS ",x-domain-bits=256", "x-domain-bits");
}

static void test_props_accepted(void)
{
    check_starts(VTD_NESTING_OPTS);
    check_starts(VTD_NESTING_OPTS ",x-pss=0");
    check_starts(VTD_NESTING_OPTS ",x-pss=19");
    check_starts(VTD_NESTING_OPTS ",intremap=on");
    check_starts(VTD_NESTING_OPTS ",device-iotlb=on,x-dev-iotlb-timeout=on");
    check_starts("x-scalable-mode=on,x-flts=on");
    check_starts("x-scalable-mode=on");
}

/* Domain ids of fewer bits: the last one works, the one behind it doesn't */
static void test_props_domain_bits(void)
{
    int bits;

    for (bits = 4; bits <= 16; bits += 2) {
        g_autofree char *opts = g_strdup_printf("%s,x-domain-bits=%d",
                                                VTD_NESTING_OPTS, bits);
        Fixture *f = fixture_new_with_args(opts, NULL);
        VTD *v = f->v;
        uint16_t last = (1U << bits) - 1;

        g_assert_cmpuint(CAP_ND(v->cap), ==, bits);
        fixture_check(f);
        vtd_set_pasid(v, 6, vtd_pe_nested(f->nfs, last));
        vtd_reads(v, REQ_PASID(6), IOVA, PAGE(D_NESTED));
        remap(v, f->nfs_leaf, GPA(D_SECOND));
        vtd_inv_piotlb(v, PIOTLB_PASID, last - 1, 6, 0, 0);
        vtd_reads(v, REQ_PASID(6), IOVA, PAGE(D_NESTED));
        vtd_inv_piotlb(v, PIOTLB_PASID, last, 6, 0, 0);
        vtd_reads(v, REQ_PASID(6), IOVA, PAGE(D_SECOND));
        if (bits < 16) {
            vtd_set_pasid(v, 7, vtd_pe_nested(f->nfs, last + 1));
            vtd_read_faults(v, REQ_PASID(7), IOVA, FR_PE_RSVD);
            vtd_set_pasid(v, 8, vtd_pe_nested(f->nfs, 0x8000 | 1));
            vtd_read_faults(v, REQ_PASID(8), IOVA, FR_PE_RSVD);
        }
        fixture_free(f);
    }
}

/* Every combination works, or is refused with a message */
static void test_props_matrix(void)
{
    static const char *const names[] = {
        "x-scalable-mode", "x-nesting", "x-flts", "caching-mode",
        "device-iotlb",
    };
    int bits, i;

    for (bits = 0; bits < 1 << ARRAY_SIZE(names); bits++) {
        g_autoptr(GString) opts = g_string_new("aw-bits=48");
        g_autofree char *errors = NULL;
        int code;

        for (i = 0; i < ARRAY_SIZE(names); i++) {
            g_string_append_printf(opts, ",%s=%s", names[i],
                                   bits & BIT(i) ? "on" : "off");
        }
        code = run_with(opts->str, &errors);
        g_test_message("%s: exit code %d, %s", opts->str, code, errors);
        if (code == 0) {
            /* No scalable mode, no nesting */
            g_assert_cmphex(bits & 3, !=, 2);
        } else {
            g_assert_cmpint(code, ==, 1);
            g_assert_cmpint(strlen(errors), >, 0);
        }
    }
}

/* A reset forgets tables, caches and the queue */
static void test_reset(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;

    fixture_check(f);
    move_all(f);
    vtd_set_pasid(v, P_PASS, vtd_pe_nested(f->nfs, DID_NESTED));
    qtest_system_reset(v->qts);

    /* Firmware and driver set everything up again */
    g_assert_cmphex(vtd_readl(v, VTD_REG_GSTS), ==, 0);
    g_assert_cmphex(vtd_readq(v, VTD_REG_ECAP), ==, v->ecap);
    vtd_attach(v);
    vtd_set_queue(v, IQA_DW_256);
    vtd_set_root(v, RTADDR_TTM_SCALABLE);
    /* No invalidation: nothing can be stale */
    vtd_switch_on(v);
    vtd_reads(v, FIRST, IOVA, PAGE(D_FIRST + ALT));
    vtd_reads(v, SECOND, IOVA_SECOND, PAGE(D_SECOND + ALT));
    vtd_reads(v, NESTED, IOVA, PAGE(D_NESTED + ALT));
    vtd_reads(v, PASS, IOVA, PAGE(D_NESTED + ALT));
    fixture_free(f);
}

static void add_data_func(const char *path, int data, GTestDataFunc func)
{
    qtest_add_data_func(path, GINT_TO_POINTER(data), func);
}

int main(int argc, char **argv)
{
    static const char *const size_names[] = { "", "4k", "2m", "1g" };
    int fs, ss;

    g_test_init(&argc, &argv, NULL);
    /* Report a failed check and go on with the next one */
    g_test_set_nonfatal_assertions();

    qtest_add_func("/vtd/caps/nesting", test_caps);
    qtest_add_func("/vtd/caps/no-nesting", test_caps_without_nesting);

    qtest_add_func("/vtd/modes/pasid", test_modes_pasid);
    qtest_add_func("/vtd/modes/rid", test_modes_rid);
    qtest_add_func("/vtd/modes/leave-pass-through",
                   test_modes_leave_pass_through);
    qtest_add_func("/vtd/modes/upper-half", test_modes_upper_half);
    qtest_add_func("/vtd/modes/five-levels", test_modes_five_levels);

    for (fs = LEVEL_4K; fs <= LEVEL_1G; fs++) {
        g_autofree char *path = g_strdup_printf("/vtd/pages/one-stage/%s",
                                                size_names[fs]);

        add_data_func(path, fs, test_pages_one_stage);
    }
    for (fs = LEVEL_4K; fs <= LEVEL_1G; fs++) {
        for (ss = LEVEL_4K; ss <= LEVEL_1G; ss++) {
            g_autofree char *path = NULL;

            path = g_strdup_printf("/vtd/pages/nested/%s-in-%s",
                                   size_names[fs], size_names[ss]);
            add_data_func(path, fs | (ss << 4), test_pages_nested);
        }
    }
    qtest_add_func("/vtd/pages/tables-in-large-page",
                   test_pages_tables_in_large_page);

    qtest_add_func("/vtd/perm/first-stage", test_perm_first_stage);
    qtest_add_func("/vtd/perm/second-stage", test_perm_second_stage);
    qtest_add_func("/vtd/perm/nested", test_perm_nested);
    qtest_add_func("/vtd/perm/cached", test_perm_cached);
    qtest_add_func("/vtd/perm/user", test_perm_user);
    qtest_add_func("/vtd/perm/supervisor", test_perm_supervisor);
    qtest_add_func("/vtd/perm/execute", test_perm_execute);

    qtest_add_func("/vtd/ad/first-stage", test_ad_first_stage);
    qtest_add_func("/vtd/ad/nested", test_ad_nested);
    qtest_add_func("/vtd/ad/rid", test_ad_rid);
    add_data_func("/vtd/ad/2m", LEVEL_2M, test_ad_large);
    add_data_func("/vtd/ad/1g", LEVEL_1G, test_ad_large);
    qtest_add_func("/vtd/ad/refused", test_ad_refused);
    qtest_add_func("/vtd/ad/not-dirty", test_ad_not_dirty);
    qtest_add_func("/vtd/ad/no-snoop", test_ad_nosnoop);
    qtest_add_func("/vtd/ad/unsupported", test_ad_unsupported);
    qtest_add_func("/vtd/ad/second-stage", test_ad_second_stage);
    qtest_add_func("/vtd/ad/second-stage-of-tables",
                   test_ad_second_stage_of_tables);
    qtest_add_func("/vtd/ad/extended", test_ad_extended);

    qtest_add_func("/vtd/fault/root-and-context", test_fault_root_context);
    qtest_add_func("/vtd/fault/rid-pasid", test_fault_rid_pasid);
    qtest_add_func("/vtd/fault/pasid-directory", test_fault_pasid_dir);
    qtest_add_func("/vtd/fault/pasid-entry", test_fault_pasid_entry);
    qtest_add_func("/vtd/fault/legacy-mode", test_fault_legacy_mode);
    qtest_add_func("/vtd/fault/pss", test_fault_pss);
    qtest_add_func("/vtd/fault/first-stage", test_fault_first_stage);
    qtest_add_func("/vtd/fault/second-stage", test_fault_second_stage);
    qtest_add_func("/vtd/fault/nested", test_fault_nested);
    qtest_add_func("/vtd/fault/nested-width", test_fault_nested_width);
    qtest_add_func("/vtd/fault/address", test_fault_address);
    qtest_add_func("/vtd/fault/disable", test_fault_disable);
    qtest_add_func("/vtd/fault/record-pasid", test_fault_record_pasid);

    qtest_add_func("/vtd/interrupt-range", test_interrupt_range);
    qtest_add_func("/vtd/robust/requests", test_robust_requests);
    qtest_add_func("/vtd/robust/tables", test_robust_tables);
    qtest_add_func("/vtd/robust/loop", test_robust_loop);

    qtest_add_func("/vtd/inv/iotlb/global", test_inv_iotlb_global);
    qtest_add_func("/vtd/inv/iotlb/domain", test_inv_iotlb_domain);
    qtest_add_func("/vtd/inv/iotlb/page", test_inv_iotlb_page);
    qtest_add_func("/vtd/inv/iotlb/page-nested", test_inv_iotlb_page_nested);
    qtest_add_func("/vtd/inv/piotlb/pasid", test_inv_piotlb_pasid);
    qtest_add_func("/vtd/inv/piotlb/rid", test_inv_piotlb_rid);
    qtest_add_func("/vtd/inv/piotlb/page", test_inv_piotlb_page);
    qtest_add_func("/vtd/inv/piotlb/wide", test_inv_piotlb_wide);
    add_data_func("/vtd/inv/pasid-cache/global", PC_GLOBAL,
                  test_inv_pasid_cache);
    add_data_func("/vtd/inv/pasid-cache/domain", PC_DOMAIN,
                  test_inv_pasid_cache);
    add_data_func("/vtd/inv/pasid-cache/pasid", PC_PASID,
                  test_inv_pasid_cache);
    for (fs = LEVEL_2M; fs <= LEVEL_TOP; fs++) {
        for (ss = 0; ss <= 1; ss++) {
            const char *stage = ss ? "nested" : "first";
            g_autofree char *path = g_strdup_printf("/vtd/inv/path/%s/%d",
                                                    stage, fs);
            g_autofree char *perm = g_strdup_printf("%s/permission", path);

            add_data_func(path, fs | (ss << 4), test_path);
            add_data_func(perm, fs | (ss << 4), test_path_permission);
        }
    }
    qtest_add_func("/vtd/inv/path/second-stage", test_path_second_stage);
    qtest_add_func("/vtd/inv/tags", test_inv_tags);
    add_data_func("/vtd/inv/context-cache/global", CC_GLOBAL,
                  test_inv_context_cache);
    add_data_func("/vtd/inv/context-cache/domain", CC_DOMAIN,
                  test_inv_context_cache);
    add_data_func("/vtd/inv/context-cache/device", CC_DEVICE,
                  test_inv_context_cache);
    qtest_add_func("/vtd/inv/functions", test_inv_functions);
    qtest_add_func("/vtd/inv/not-needed", test_inv_not_needed);

    qtest_add_func("/vtd/queue/wait", test_queue_wait);
    qtest_add_func("/vtd/queue/drain", test_queue_drain);
    qtest_add_func("/vtd/queue/narrow", test_queue_narrow);
    qtest_add_func("/vtd/queue/errors", test_queue_errors);

    qtest_add_func("/vtd/props/refused", test_props_refused);
    qtest_add_func("/vtd/props/accepted", test_props_accepted);
    qtest_add_func("/vtd/props/domain-bits", test_props_domain_bits);
    qtest_add_func("/vtd/props/matrix", test_props_matrix);

    qtest_add_func("/vtd/reset", test_reset);

    return g_test_run();
}
