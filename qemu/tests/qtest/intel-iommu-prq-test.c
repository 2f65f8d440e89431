/*
 * QTest for page requests: VT-d's page request queue, and the endpoint that
 * sends page requests
 *
 * Checks of the IOMMU follow the "Intel Virtualization Technology for Directed
 * I/O" specification, rev. 5.10, chapters 4.2, 6.5, 7.4 and 11.4.11.  Checks of
 * the endpoint follow docs/specs/pasid-testdev.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/pci.h"
#include "hw/pci/pci_regs.h"
#include "vtd-util.h"

#define P_NESTED                0xabcde
#define NESTED                  REQ_PASID(P_NESTED)
#define DID                     3
#define IOVA                    0x112233445000ULL
#define PAGE                    (VTD_DATA + 0x3000ULL)
#define PRQ_OPTS                VTD_NESTING_OPTS ",device-iotlb=on," \
                                "x-page-requests=on"

typedef struct Fixture {
    VTD *v;
    VTDTable *ss;
    VTDTable *fs;
    uint64_t leaf;
    uint64_t queue;
    unsigned int head;
    unsigned int ats;
    unsigned int pri;
} Fixture;

static void ext_write(Fixture *f, unsigned int reg, uint16_t val)
{
    qtest_writew(f->v->qts, vtd_ecam(f->v, reg), val);
}

static void allow(Fixture *f, uint32_t n)
{
    qtest_writel(f->v->qts, vtd_ecam(f->v, f->pri + PCI_PRI_ALLOC_REQ), n);
}

static Fixture *fixture_new_with_args(const char *iommu, const char *dev,
                                      uint64_t ctx)
{
    Fixture *f = g_new0(Fixture, 1);
    VTD *v = vtd_new_with_args(iommu, dev);

    f->v = v;
    f->ss = vtd_second_stage(v);
    f->fs = vtd_first_stage(v, f->ss);
    vtd_map(f->ss, vtd_gpa(PAGE), PAGE, LEVEL_4K);
    f->leaf = vtd_map(f->fs, IOVA, vtd_gpa(PAGE), LEVEL_4K);
    vtd_set_pasid(v, P_NESTED, vtd_pe_nested(f->fs, DID));
    /* Requests without PASID: the entry that RID_PASID names, 0 */
    vtd_set_pasid(v, 0, vtd_pe_nested(f->fs, DID));
    vtd_or(v, v->ctx, ctx);

    f->queue = vtd_alloc(v);
    vtd_writeq(v, REG_PQA, f->queue);
    vtd_enable_translation(v);

    f->ats = vtd_find_ext_cap(v, PCI_EXT_CAP_ID_ATS);
    f->pri = vtd_find_ext_cap(v, PCI_EXT_CAP_ID_PRI);
    if (f->ats) {
        ext_write(f, f->ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
    }
    if (f->pri) {
        allow(f, 1024);
        ext_write(f, f->pri + PCI_PRI_CTRL, PCI_PRI_CTRL_ENABLE);
    }
    return f;
}

static Fixture *fixture_new(void)
{
    return fixture_new_with_args(PRQ_OPTS, "ats=on,pri=on", CTX_DTE | CTX_PRE);
}

static void fixture_free(Fixture *f)
{
    vtd_free(f->v);
    g_free(f->fs);
    g_free(f->ss);
    g_free(f);
}

static uint32_t request(Fixture *f, uint32_t req, uint32_t prreq,
                        uint64_t addr, uint32_t n)
{
    vtd_testdev_writel(f->v, DEV_PRREQ, prreq);
    vtd_testdev_writel(f->v, DEV_PRNUM, n);
    return vtd_dma(f->v, CMD_REQUEST, req, addr, 8);
}

/* Take the oldest page request out of the queue; false if there is none */
static bool take(Fixture *f, uint64_t q[4])
{
    uint64_t head = vtd_readq(f->v, REG_PQH);
    int i;

    if (head == vtd_readq(f->v, REG_PQT)) {
        return false;
    }
    for (i = 0; i < 4; i++) {
        q[i] = vtd_get(f->v, f->queue + head + i * 8);
    }
    vtd_writeq(f->v, REG_PQH, (head + 32) % 4096);
    return true;
}

static bool respond(Fixture *f, uint32_t req, uint16_t group, uint8_t code)
{
    bool pp = req & BIT(31);

    return vtd_submit(f->v, RESP_TYPE | (pp ? BIT_ULL(4) : 0) |
                      ((uint64_t)code << 12) | ((uint64_t)f->v->sid << 16) |
                      (pp ? (uint64_t)(req & 0xfffff) << 32 : 0),
                      BIT_ULL(2) | (group << 3), 0, 0);
}

static void check_response(Fixture *f, uint32_t nth, uint32_t req,
                           uint16_t group, uint32_t code)
{
    vtd_testdev_writel(f->v, DEV_PRSEL, nth);
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_PRGRP), ==,
                    group | (req & BIT(31)));
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_PRCODE), ==, code);
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_PRPASID), ==, req & 0xfffff);
}

static uint32_t wait_result(Fixture *f)
{
    uint32_t result = RESULT_PENDING;
    int i;

    for (i = 0; i < 1000 && result == RESULT_PENDING; i++) {
        result = vtd_testdev_readl(f->v, TESTDEV_RESULT);
    }
    return result;
}

#define INV_DTLB                0x3
#define INV_PASID_DTLB          0x8

/* Invalidate the device's translations without PASID */
static void inv_dtlb(Fixture *f, uint64_t addr, bool size)
{
    g_assert_true(vtd_submit(f->v, INV_DTLB | ((uint64_t)f->v->sid << 32),
                             addr | size, 0, 0));
}

/* And those with PASID */
static void inv_pasid_dtlb(Fixture *f, uint32_t pasid, uint64_t addr, bool size,
                           bool global)
{
    g_assert_true(vtd_submit(f->v, INV_PASID_DTLB |
                             ((uint64_t)f->v->sid << 16) |
                             ((uint64_t)pasid << 32),
                             addr | (size ? BIT_ULL(11) : 0) | global, 0, 0));
}

#define ALL                     0x7ffffffffffff000ULL

/* Everything that the IOMMU and the device have cached */
static void inv_everything(Fixture *f)
{
    vtd_inv_all(f->v);
    inv_dtlb(f, ALL, true);
    inv_pasid_dtlb(f, 0, ALL, true, true);
}

static void no_fault(Fixture *f)
{
    VTDFault fault;

    g_assert_false(vtd_take_fault(f->v, &fault));
}

/* Capabilities without and with the property */
static void test_capability(void)
{
    Fixture *f = fixture_new_with_args(VTD_NESTING_OPTS ",device-iotlb=on",
                                       "ats=on,pri=on", CTX_DTE);
    uint64_t q[4];

    g_assert_false(f->v->ecap & ECAP_PRS);
    vtd_reads(f->v, NESTED, IOVA, PAGE);
    g_assert_cmpuint(request(f, NESTED, PRREQ_R | PRREQ_LAST | 5, IOVA, 1), ==,
                     TESTDEV_DONE_OK);
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, 1);
    check_response(f, 0, NESTED, 5, RESP_INVALID);
    g_assert_false(respond(f, NESTED, 5, RESP_SUCCESS));
    fixture_free(f);

    /* PRE is reserved then */
    f = fixture_new_with_args(VTD_NESTING_OPTS ",device-iotlb=on",
                              "ats=on,pri=on", CTX_DTE | CTX_PRE);
    vtd_read_faults(f->v, NESTED, IOVA, FR_CTX_RSVD);
    fixture_free(f);

    f = fixture_new();
    g_assert_true(f->v->ecap & ECAP_PRS);
    g_assert_true(f->v->ecap & ECAP_DT);
    g_assert_false(take(f, q));
    g_assert_cmphex(vtd_readl(f->v, REG_PECTL), ==, PECTL_IM);
    fixture_free(f);
}

static void test_request(void)
{
    static const struct {
        uint32_t req;
        uint32_t prreq;
        uint64_t q0;
        uint64_t q1;
    } cases[] = {
        { NESTED, PRREQ_R | PRREQ_LAST | 0, REQ0_PP, REQ1_R | REQ1_LPIG },
        { NESTED, PRREQ_W | PRREQ_LAST | 511, REQ0_PP, REQ1_W | REQ1_LPIG },
        { NESTED, PRREQ_R | PRREQ_W | 7, REQ0_PP, REQ1_R | REQ1_W },
        { NESTED, PRREQ_LAST | 8, REQ0_PP, REQ1_LPIG },
        { NESTED | REQ_PRIV, PRREQ_R | PRREQ_LAST | 9, REQ0_PP | REQ0_PRIV,
          REQ1_R | REQ1_LPIG },
        { NESTED, PRREQ_R | PRREQ_LAST | PRREQ_PRIVATE | 10,
          REQ0_PP | REQ0_PDP, REQ1_R | REQ1_LPIG },
        { REQ_RID, PRREQ_R | PRREQ_LAST | 11, 0, REQ1_R | REQ1_LPIG },
    };
    Fixture *f = fixture_new();
    uint64_t q[4];
    int i;

    vtd_testdev_writel(f->v, DEV_PRDATA, 0x11111111);
    vtd_testdev_writel(f->v, DEV_PRDATA + 4, 0x22222222);
    vtd_testdev_writel(f->v, DEV_PRDATA + 8, 0x33333333);
    vtd_testdev_writel(f->v, DEV_PRDATA + 12, 0x44444444);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        uint32_t req = cases[i].req;
        bool private_data = cases[i].prreq & PRREQ_PRIVATE;

        g_test_message("case %d", i);
        g_assert_cmpuint(request(f, req, cases[i].prreq, IOVA + 0x123, 1), ==,
                         TESTDEV_DONE_OK);
        g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRSENT), ==, i + 1);
        g_assert_true(take(f, q));
        g_assert_cmphex(q[0] & 0xffff, ==,
                        (cases[i].q0 & 0xffff) | REQ0_TYPE);
        g_assert_cmphex(q[0] >> 52 << 52, ==, cases[i].q0 >> 52 << 52);
        g_assert_cmphex(REQ0_RID(q[0]), ==, f->v->sid);
        g_assert_cmphex(REQ0_PASID(q[0]), ==, req & 0xfffff);
        g_assert_cmphex(q[1] & 7, ==, cases[i].q1);
        g_assert_cmphex(REQ1_GROUP(q[1]), ==, cases[i].prreq & 0x1ff);
        g_assert_cmphex(REQ1_ADDR(q[1]), ==, IOVA);
        g_assert_cmphex(q[2], ==, private_data ? 0x2222222211111111 : 0);
        g_assert_cmphex(q[3], ==, private_data ? 0x4444444433333333 : 0);
        g_assert_false(take(f, q));
    }
    no_fault(f);
    fixture_free(f);
}

/* The bits of the context entry, and the limits of PASIDs */
static void test_not_allowed(void)
{
    Fixture *f = fixture_new();
    uint64_t q[4];
    uint32_t n = 0;

    vtd_clear(f->v, f->v->ctx, CTX_PRE);
    vtd_inv_all(f->v);
    request(f, NESTED, PRREQ_R | PRREQ_LAST | 1, IOVA, 1);
    check_response(f, n++, NESTED, 1, RESP_INVALID);
    request(f, REQ_RID, PRREQ_R | PRREQ_LAST | 2, IOVA, 1);
    check_response(f, n++, REQ_RID, 2, RESP_INVALID);
    /* Only the last one of a group is answered */
    request(f, NESTED, PRREQ_R | 3, IOVA, 1);
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, n);

    vtd_or(f->v, f->v->ctx, CTX_PRE);
    vtd_clear(f->v, f->v->ctx, CTX_PASIDE);
    vtd_inv_all(f->v);
    request(f, NESTED, PRREQ_R | PRREQ_LAST | 4, IOVA, 1);
    check_response(f, n++, NESTED, 4, RESP_INVALID);
    g_assert_false(take(f, q));
    request(f, REQ_RID, PRREQ_R | PRREQ_LAST | 5, IOVA, 1);
    g_assert_true(take(f, q));

    /* 2^13 PASIDs in the directory */
    vtd_or(f->v, f->v->ctx, CTX_PASIDE);
    vtd_clear(f->v, f->v->ctx, 7 << CTX_PDTS_SHIFT);
    vtd_inv_all(f->v);
    request(f, REQ_PASID(0x2000), PRREQ_R | PRREQ_LAST | 6, IOVA, 1);
    check_response(f, n++, REQ_PASID(0x2000), 6, RESP_INVALID);
    request(f, REQ_PASID(0x1fff), PRREQ_R | PRREQ_LAST | 7, IOVA, 1);
    g_assert_true(take(f, q));
    no_fault(f);
    fixture_free(f);
}

static void test_response(void)
{
    static const uint8_t codes[] = { RESP_SUCCESS, RESP_INVALID, RESP_FAILURE };
    Fixture *f = fixture_new();
    int i;

    for (i = 0; i < ARRAY_SIZE(codes); i++) {
        request(f, NESTED, PRREQ_R | PRREQ_LAST | (100 + i), IOVA, 1);
        g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, 2 * i);
        g_assert_true(respond(f, NESTED, 100 + i, codes[i]));
        check_response(f, 2 * i, NESTED, 100 + i, codes[i]);
        request(f, REQ_RID, PRREQ_R | PRREQ_LAST | (200 + i), IOVA, 1);
        g_assert_true(respond(f, REQ_RID, 200 + i, codes[i]));
        check_response(f, 2 * i + 1, REQ_RID, 200 + i, codes[i]);
    }
    vtd_testdev_writel(f->v, DEV_PRSEL, 2 * i);
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_PRGRP), ==, UINT32_MAX);
    /* To a missing device: lost, without an error */
    g_assert_true(vtd_submit(f->v, RESP_TYPE | (0xfff8ULL << 16), BIT_ULL(2), 0,
                             0));
    g_assert_true(vtd_submit(f->v, RESP_TYPE, BIT_ULL(2), 0, 0));
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, 2 * i);
    fixture_free(f);
}

/* Every reserved bit of the descriptor */
static void test_response_reserved(void)
{
    Fixture *f = fixture_new();
    const uint64_t rsvd[4] = {
        0xfff00000000001e0ULL, 0xfffffffffffff003ULL, UINT64_MAX, UINT64_MAX,
    };
    int i, bit;

    for (i = 0; i < 4; i++) {
        for (bit = 0; bit < 64; bit++) {
            uint64_t q[4] = {
                RESP_TYPE | ((uint64_t)f->v->sid << 16), BIT_ULL(2), 0, 0
            };

            if (!(rsvd[i] & BIT_ULL(bit))) {
                continue;
            }
            q[i] |= BIT_ULL(bit);
            g_assert_false(vtd_submit(f->v, q[0], q[1], q[2], q[3]));
            vtd_recover_queue(f->v);
        }
    }
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, 0);
    fixture_free(f);
}

/* PPR and the event are raised by any page request, last of its group or not */
static void test_event(void)
{
    Fixture *f = fixture_new();

    vtd_writel(f->v, REG_PEADDR, 0xfee00000);
    vtd_writel(f->v, REG_PEDATA, 0x31);
    request(f, NESTED, PRREQ_R | 1, IOVA, 1);
    g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, PRS_PPR);
    g_assert_cmphex(vtd_readl(f->v, REG_PECTL), ==, PECTL_IM | PECTL_IP);
    /* Sent when it is unmasked */
    vtd_writel(f->v, REG_PECTL, 0);
    g_assert_cmphex(vtd_readl(f->v, REG_PECTL), ==, 0);
    /* No further event while the condition is pending */
    vtd_writel(f->v, REG_PECTL, PECTL_IM);
    request(f, NESTED, PRREQ_R | PRREQ_LAST | 2, IOVA, 1);
    g_assert_cmphex(vtd_readl(f->v, REG_PECTL), ==, PECTL_IM);
    vtd_writel(f->v, REG_PRS, 0);
    g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, PRS_PPR);
    vtd_writel(f->v, REG_PRS, PRS_PPR);
    g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, 0);
    request(f, NESTED, PRREQ_R | PRREQ_LAST | 3, IOVA, 1);
    g_assert_cmphex(vtd_readl(f->v, REG_PECTL), ==, PECTL_IM | PECTL_IP);
    /* Serviced before it was sent */
    vtd_writel(f->v, REG_PRS, PRS_PPR);
    g_assert_cmphex(vtd_readl(f->v, REG_PECTL), ==, PECTL_IM);
    fixture_free(f);
}

/* Hardware responds on overflow, and drops all later page requests */
static void test_overflow(void)
{
    Fixture *f = fixture_new();
    uint64_t q[4];
    unsigned int i, n = 0;

    request(f, NESTED, PRREQ_R | PRREQ_LAST, IOVA, QUEUE_ROOM);
    g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, PRS_PPR);
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, 0);
    request(f, NESTED, PRREQ_R | PRREQ_LAST | 300, IOVA, 1);
    g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, PRS_PPR | PRS_PRO);
    check_response(f, n++, NESTED, 300, RESP_SUCCESS);

    for (i = 0; i < QUEUE_ROOM; i++) {
        g_assert_true(take(f, q));
        g_assert_cmpuint(REQ1_GROUP(q[1]), ==, i);
        g_assert_cmphex(REQ1_ADDR(q[1]), ==, IOVA + i * 4096ULL);
    }
    g_assert_false(take(f, q));
    /* There is room, but PRO is still set */
    request(f, NESTED, PRREQ_R | PRREQ_LAST | 301, IOVA, 1);
    check_response(f, n++, NESTED, 301, RESP_SUCCESS);
    g_assert_false(take(f, q));
    vtd_writel(f->v, REG_PRS, PRS_PRO | PRS_PPR);
    request(f, NESTED, PRREQ_R | PRREQ_LAST | 302, IOVA, 1);
    g_assert_true(take(f, q));
    g_assert_cmpuint(REQ1_GROUP(q[1]), ==, 302);
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, n);
    fixture_free(f);
}

/* A queue of 2^n pages, and one without memory */
static void test_queue(void)
{
    Fixture *f = fixture_new();
    /* A hole, registers of the IOMMU, and configuration space */
    const uint64_t nowhere[] = {
        VTD_HOLE, 0xfed90000, vtd_ecam(f->v, 0) & ~0xfffULL,
    };
    unsigned int order;
    uint32_t n;
    int i;

    allow(f, 100000);
    for (order = 0; order < 8; order++) {
        uint64_t room = (QUEUE_ENTRIES << order) - 1;

        vtd_writeq(f->v, REG_PQA, VTD_DATA + 0x1000000 + order);
        vtd_writeq(f->v, REG_PQH, 0);
        vtd_writeq(f->v, REG_PQT, 0);
        vtd_writel(f->v, REG_PRS, PRS_PRO | PRS_PPR);
        request(f, NESTED, PRREQ_R | PRREQ_LAST, IOVA, MIN(room, 16384));
        g_assert_cmphex(vtd_readq(f->v, REG_PQT), ==, room * 32);
        g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, PRS_PPR);
        request(f, NESTED, PRREQ_R | PRREQ_LAST, IOVA, 1);
        g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, PRS_PPR | PRS_PRO);
    }
    for (i = 0; i < ARRAY_SIZE(nowhere); i++) {
        vtd_writeq(f->v, REG_PQA, nowhere[i]);
        vtd_writeq(f->v, REG_PQH, 0);
        vtd_writeq(f->v, REG_PQT, 0);
        vtd_writel(f->v, REG_PRS, PRS_PRO | PRS_PPR);
        n = vtd_testdev_readl(f->v, DEV_PRRESP);
        request(f, NESTED, PRREQ_R | PRREQ_LAST | i, IOVA, 1);
        g_assert_cmphex(vtd_readq(f->v, REG_PQT), ==, 0);
        g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, 0);
        check_response(f, n, NESTED, i, RESP_INVALID);
    }
    fixture_free(f);
}

/* The device and its capability */
static void test_capability_of_device(void)
{
    Fixture *f = fixture_new();
    uint64_t status = vtd_ecam(f->v, f->pri + PCI_PRI_STATUS);
    uint64_t q[4];

    g_assert_cmphex(qtest_readl(f->v->qts, vtd_ecam(f->v, f->pri +
                                                    PCI_PRI_MAX_REQ)), ==,
                    16384);
    g_assert_cmphex(qtest_readw(f->v->qts, status), ==, PCI_PRI_STATUS_PASID);
    /* Only as many outstanding groups as allowed; only last requests count */
    allow(f, 3);
    g_assert_cmpuint(request(f, NESTED, PRREQ_R | PRREQ_LAST, IOVA, 4), ==,
                     RESULT_NO_PRI);
    g_assert_cmpuint(vtd_testdev_readl(f->v, TESTDEV_DONE), ==, 3);
    g_assert_cmpuint(request(f, NESTED, PRREQ_R | 9, IOVA, 10), ==,
                     TESTDEV_DONE_OK);
    g_assert_true(respond(f, NESTED, 0, RESP_SUCCESS));
    g_assert_cmpuint(request(f, NESTED, PRREQ_R | PRREQ_LAST | 3, IOVA, 2), ==,
                     RESULT_NO_PRI);
    g_assert_cmpuint(vtd_testdev_readl(f->v, TESTDEV_DONE), ==, 1);
    g_assert_cmpuint(request(f, NESTED, PRREQ_R | PRREQ_LAST | PRREQ_UNLIMITED,
                          IOVA, 5), ==, TESTDEV_DONE_OK);
    /* Off */
    ext_write(f, f->pri + PCI_PRI_CTRL, 0);
    g_assert_cmphex(qtest_readw(f->v->qts, status), ==,
                    PCI_PRI_STATUS_PASID | PCI_PRI_STATUS_STOPPED);
    while (take(f, q)) {
    }
    g_assert_cmpuint(request(f, NESTED, PRREQ_R | PRREQ_LAST, IOVA, 1), ==,
                     RESULT_NO_PRI);
    g_assert_false(take(f, q));
    g_assert_true(respond(f, NESTED, 1, RESP_SUCCESS));
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_PRRESP), ==, 1);
    /* Bad parameters */
    g_assert_cmpuint(request(f, NESTED, BIT(22), IOVA, 1), ==, TESTDEV_BAD_PARAM);
    g_assert_cmpuint(request(f, NESTED, BIT(9), IOVA, 1), ==, TESTDEV_BAD_PARAM);
    g_assert_cmpuint(request(f, NESTED, 0, IOVA, 16385), ==, TESTDEV_BAD_PARAM);
    fixture_free(f);
}

/* The device accesses a page that is present: no page request */
static void test_ats_present(void)
{
    Fixture *f = fixture_new();
    uint64_t q[4];
    uint32_t reqs[] = { NESTED, REQ_RID };
    int i;

    for (i = 0; i < ARRAY_SIZE(reqs); i++) {
        vtd_put(f->v, PAGE, 0x1234567800000000ULL + i);
        g_assert_cmpuint(vtd_dma(f->v, CMD_ATS_READ, reqs[i], IOVA, 8), ==,
                         TESTDEV_DONE_OK);
        g_assert_cmphex(vtd_testdev_readl(f->v, TESTDEV_BUF), ==, i);
        g_assert_cmphex(vtd_testdev_readl(f->v, TESTDEV_BUF + 4), ==,
                        0x12345678);
        vtd_testdev_writel(f->v, TESTDEV_BUF, 0xcafe0000 + i);
        g_assert_cmpuint(vtd_dma(f->v, CMD_ATS_WRITE, reqs[i], IOVA, 8), ==,
                         TESTDEV_DONE_OK);
        g_assert_cmphex(vtd_get(f->v, PAGE), ==,
                        0x12345678cafe0000ULL + i);
    }
    g_assert_false(take(f, q));
    no_fault(f);
    fixture_free(f);
}

/* A missing page: page request, mapping, page response, transfer */
static void check_served(uint32_t req, uint32_t cmd)
{
    Fixture *f = fixture_new();
    uint64_t old = vtd_put(f->v, f->leaf, 0);
    uint64_t q[4];

    vtd_put(f->v, PAGE, 0x1122334455667788ULL);
    vtd_testdev_writel(f->v, TESTDEV_BUF, 0x99aabbcc);
    vtd_testdev_writel(f->v, DEV_PRREQ, 77);
    g_assert_cmphex(vtd_dma(f->v, cmd, req, IOVA + 8, 4), ==, RESULT_PENDING);
    g_assert_true(take(f, q));
    g_assert_cmphex(q[1], ==, IOVA | (77 << 3) | REQ1_LPIG |
                    (cmd == CMD_ATS_READ ? REQ1_R : REQ1_W));
    g_assert_false(take(f, q));
    /* It takes no other command, and ignores responses to other groups */
    vtd_testdev_writel(f->v, TESTDEV_CMD, TESTDEV_CMD_READ);
    g_assert_true(respond(f, req, 78, RESP_SUCCESS));
    g_assert_true(respond(f, req ^ BIT(31), 77, RESP_SUCCESS));
    g_assert_cmphex(vtd_testdev_readl(f->v, TESTDEV_RESULT), ==,
                    RESULT_PENDING);
    vtd_put(f->v, f->leaf, old);
    g_assert_true(respond(f, req, 77, RESP_SUCCESS));
    g_assert_cmphex(wait_result(f), ==, TESTDEV_DONE_OK);
    if (cmd == CMD_ATS_WRITE) {
        g_assert_cmphex(vtd_get(f->v, PAGE + 8) & UINT32_MAX, ==, 0x99aabbcc);
    }
    no_fault(f);
    fixture_free(f);
}

/* Two page responses in a row: only the matching one counts */
static void test_ats_meant(void)
{
    Fixture *f = fixture_new();
    VTD *v = f->v;
    uint64_t desc;
    int i;

    vtd_put(v, f->leaf, 0);
    vtd_testdev_writel(v, DEV_PRREQ, 77);
    g_assert_cmphex(vtd_dma(v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_PENDING);
    for (i = 0; i < 2; i++) {
        desc = v->iq + (v->iq_tail + i) * 32;
        vtd_put(v, desc, RESP_TYPE | BIT_ULL(4) | ((uint64_t)v->sid << 16) |
                ((uint64_t)P_NESTED << 32) |
                ((uint64_t)(i ? RESP_FAILURE : RESP_INVALID) << 12));
        vtd_put(v, desc + 8, BIT_ULL(2) | ((77 + i) << 3));
        vtd_put(v, desc + 16, 0);
        vtd_put(v, desc + 24, 0);
    }
    v->iq_tail += 2;
    vtd_writeq(v, VTD_REG_IQT, v->iq_tail * 32);
    g_assert_cmphex(wait_result(f), ==, RESULT_INVALID);
    fixture_free(f);
}

static void test_ats_served(void)
{
    check_served(NESTED, CMD_ATS_READ);
    check_served(NESTED, CMD_ATS_WRITE);
    check_served(REQ_RID, CMD_ATS_READ);
    check_served(REQ_RID, CMD_ATS_WRITE);
}

static void test_ats_refused(void)
{
    static const struct {
        uint8_t code;
        uint32_t result;
    } cases[] = {
        { RESP_INVALID, RESULT_INVALID }, { RESP_FAILURE, RESULT_FAILURE },
        { 0x7, RESULT_FAILURE },
        /* Success without a mapping */
        { RESP_SUCCESS, RESULT_STILL },
    };
    Fixture *f = fixture_new();
    int i;

    vtd_put(f->v, f->leaf, 0);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                        RESULT_PENDING);
        g_assert_true(respond(f, NESTED, 0, cases[i].code));
        g_assert_cmphex(wait_result(f), ==, cases[i].result);
    }
    /* Without PRI it fails at once, without ATS it isn't tried */
    ext_write(f, f->pri + PCI_PRI_CTRL, 0);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_NO_PRI);
    ext_write(f, f->ats + PCI_ATS_CTRL, 0);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_NO_PRI);
    no_fault(f);
    fixture_free(f);
}

/* A translation request includes the permission; A and D are set as usual */
static void test_ats_permission(void)
{
    Fixture *f = fixture_new();
    VTDFault fault;
    uint64_t q[4];

    vtd_clear(f->v, f->leaf, FS_RW | FS_A | FS_D);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_WRITE, NESTED, IOVA, 8), ==,
                    RESULT_PENDING);
    vtd_bits(f->v, f->leaf, FS_D, 0);
    g_assert_true(take(f, q));
    g_assert_cmphex(q[1] & 7, ==, REQ1_W | REQ1_LPIG);
    vtd_or(f->v, f->leaf, FS_RW);
    vtd_inv_all(f->v);
    g_assert_true(respond(f, NESTED, 0, RESP_SUCCESS));
    g_assert_cmphex(wait_result(f), ==, TESTDEV_DONE_OK);
    vtd_bits(f->v, f->leaf, FS_A | FS_D, FS_A | FS_D);

    /* DTE: a translation request is not supported then, and no fault */
    vtd_clear(f->v, f->v->ctx, CTX_DTE);
    inv_everything(f);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_PENDING);
    g_assert_true(respond(f, NESTED, 0, RESP_SUCCESS));
    g_assert_cmphex(wait_result(f), ==, RESULT_STILL);
    no_fault(f);
    vtd_reads(f->v, NESTED, IOVA, PAGE);

    /* Errors of software are faults for translation requests as well */
    vtd_or(f->v, f->v->ctx, CTX_DTE);
    vtd_set_pasid(f->v, P_NESTED, (VTDPasidEntry) {});
    inv_everything(f);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_PENDING);
    g_assert_true(vtd_take_fault(f->v, &fault));
    g_assert_cmphex(fault.reason, ==, FR_PE_P);
    fixture_free(f);
}

#define OTHER                   (PAGE + 0x1000)

/* Check which of the two pages the device reaches at IOVA */
static int reaches(Fixture *f, uint32_t req, uint64_t addr)
{
    uint32_t got;

    vtd_put(f->v, PAGE, 1);
    vtd_put(f->v, OTHER, 2);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, req, addr, 8), ==,
                    TESTDEV_DONE_OK);
    got = vtd_testdev_readl(f->v, TESTDEV_BUF);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_WRITE, req, addr, 8), ==,
                    TESTDEV_DONE_OK);
    g_assert_cmphex(vtd_get(f->v, got == 1 ? PAGE : OTHER), ==, got);
    return got;
}

/*
 * Let the device cache a translation of the page, then move the page.  Flush
 * the IOMMU but not the device.
 */
static void keep(Fixture *f, uint32_t req)
{
    vtd_put(f->v, f->leaf, vtd_gpa(PAGE) | FS_ALL);
    inv_everything(f);
    g_assert_cmpint(reaches(f, req, IOVA), ==, 1);
    vtd_put(f->v, f->leaf, vtd_gpa(OTHER) | FS_ALL);
    vtd_inv_all(f->v);
    g_assert_cmpint(reaches(f, req, IOVA), ==, 1);
}

/* An invalidation drops exactly the translations that it names */
static void test_ats_kept(void)
{
    Fixture *f = fixture_new();

    vtd_map(f->ss, vtd_gpa(OTHER), OTHER, LEVEL_4K);

    /* With PASID */
    keep(f, NESTED);
    inv_dtlb(f, IOVA + 0x1000, false);
    inv_pasid_dtlb(f, P_NESTED + 1, ALL, true, false);
    inv_pasid_dtlb(f, P_NESTED, IOVA + 0x1000, false, false);
    inv_pasid_dtlb(f, P_NESTED, IOVA - 0x1000, false, false);
    /* 16 KiB, beside it: IOVA is the second page of four */
    inv_pasid_dtlb(f, P_NESTED, (IOVA & ~0x3fffULL) + 0x5000, true, false);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 1);
    /* A translation with the PASID is not used without it */
    g_assert_cmpint(reaches(f, REQ_RID, IOVA), ==, 2);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 1);
    inv_pasid_dtlb(f, P_NESTED, IOVA, false, false);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);
    keep(f, NESTED);
    inv_pasid_dtlb(f, P_NESTED, (IOVA & ~0x3fffULL) + 0x1000, true, false);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);
    keep(f, NESTED);
    inv_pasid_dtlb(f, P_NESTED, ALL, true, false);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);
    keep(f, NESTED);
    inv_pasid_dtlb(f, 0, IOVA, false, true);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);
    /* One without PASID is for all PASIDs */
    keep(f, NESTED);
    inv_dtlb(f, IOVA, false);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);
    keep(f, NESTED);
    inv_dtlb(f, ALL, true);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);

    /* Without */
    keep(f, REQ_RID);
    inv_pasid_dtlb(f, 0, ALL, true, true);
    inv_pasid_dtlb(f, 0, ALL, true, false);
    inv_dtlb(f, IOVA + 0x1000, false);
    g_assert_cmpint(reaches(f, REQ_RID, IOVA), ==, 1);
    inv_dtlb(f, IOVA, false);
    g_assert_cmpint(reaches(f, REQ_RID, IOVA), ==, 2);
    keep(f, REQ_RID);
    inv_dtlb(f, ALL, true);
    g_assert_cmpint(reaches(f, REQ_RID, IOVA), ==, 2);

    /* An invalidation for another function */
    keep(f, NESTED);
    f->v->sid++;
    inv_pasid_dtlb(f, P_NESTED, ALL, true, false);
    f->v->sid--;
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 1);
    no_fault(f);
    fixture_free(f);
}

/* What empties the device's cache without an invalidation */
static void test_ats_forgotten(void)
{
    Fixture *f = fixture_new();
    int i;

    vtd_map(f->ss, vtd_gpa(OTHER), OTHER, LEVEL_4K);
    keep(f, NESTED);
    ext_write(f, f->ats + PCI_ATS_CTRL, 0);
    ext_write(f, f->ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);

    /* The oldest of 65; of 64 it is still there */
    keep(f, NESTED);
    for (i = 1; i <= 64; i++) {
        vtd_map(f->fs, IOVA + i * 0x1000, vtd_gpa(PAGE), LEVEL_4K);
        if (i == 64) {
            g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 1);
        }
        g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA + i * 0x1000,
                                8), ==, TESTDEV_DONE_OK);
    }
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);

    /* A missing permission: it requests the translation again, with the rest */
    vtd_put(f->v, f->leaf, (vtd_gpa(PAGE) | FS_ALL) & ~FS_RW);
    inv_everything(f);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    TESTDEV_DONE_OK);
    vtd_put(f->v, f->leaf, vtd_gpa(OTHER) | FS_ALL);
    vtd_inv_all(f->v);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_WRITE, NESTED, IOVA, 8), ==,
                    TESTDEV_DONE_OK);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);

    /* ATS is disabled while it waits */
    vtd_put(f->v, f->leaf, 0);
    inv_everything(f);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_PENDING);
    ext_write(f, f->ats + PCI_ATS_CTRL, 0);
    g_assert_true(respond(f, NESTED, 0, RESP_SUCCESS));
    g_assert_cmphex(wait_result(f), ==, RESULT_NO_PRI);
    no_fault(f);
    fixture_free(f);
}

/* A device that never has enough */
static void test_again(void)
{
    Fixture *f = fixture_new();
    uint64_t q[4];
    int i;

    g_assert_cmpuint(request(f, NESTED, PRREQ_R | PRREQ_LAST | PRREQ_AGAIN | 5,
                             IOVA, 2), ==, TESTDEV_DONE_OK);
    for (i = 0; i < 10; i++) {
        g_assert_true(take(f, q));
        g_assert_true(respond(f, NESTED, 5, RESP_INVALID));
    }
    vtd_testdev_writel(f->v, DEV_PRREQ, 0);
    for (i = 0; i < 2; i++) {
        g_assert_true(take(f, q));
        g_assert_true(respond(f, NESTED, 5, RESP_INVALID));
    }
    g_assert_false(take(f, q));
    fixture_free(f);
}

/*
 * Time-outs of Device-TLB invalidations
 */

#define TIMEOUT_OPTS            PRQ_OPTS ",x-dev-iotlb-timeout=on"
#define STATUS(n)               (VTD_DATA + 0x8000ULL + (n) * 8)

static Fixture *timeout_new(void)
{
    return fixture_new_with_args(TIMEOUT_OPTS, "ats=on,pri=on",
                                 CTX_DTE | CTX_PRE);
}

static void post_dtlb(Fixture *f, uint16_t sid)
{
    vtd_post(f->v, INV_DTLB | ((uint64_t)sid << 32), ALL | 1, 0, 0);
}

static void post_pasid_dtlb(Fixture *f, uint16_t sid)
{
    vtd_post(f->v, INV_PASID_DTLB | ((uint64_t)sid << 16) |
             ((uint64_t)P_NESTED << 32), ALL | BIT_ULL(11), 0, 0);
}

/* A wait descriptor that writes @n + 1 as its status */
static void post_wait(Fixture *f, int n, uint64_t flags)
{
    vtd_put(f->v, STATUS(n), 0);
    vtd_post(f->v, 5 | WAIT_SW | flags | ((uint64_t)(n + 1) << 32), STATUS(n),
             0, 0);
}

#define waited(f, n)            (vtd_get((f)->v, STATUS(n)) == (n) + 1)
#define aborted(f, n)           (vtd_get((f)->v, STATUS(n)) == 0)

static void check_head(Fixture *f, unsigned int index)
{
    g_assert_cmphex(vtd_readq(f->v, VTD_REG_IQH), ==, index * 32);
}

static bool has_ite(Fixture *f)
{
    return vtd_readl(f->v, VTD_REG_FSTS) & FSTS_ITE;
}

static void clear_ite(Fixture *f)
{
    vtd_writel(f->v, VTD_REG_FSTS, FSTS_ITE);
}

/* Both descriptors to a function that doesn't answer, each with a wait */
static void check_times_out(Fixture *f, uint16_t sid)
{
    int i;

    for (i = 0; i < 2; i++) {
        if (i) {
            post_pasid_dtlb(f, sid);
        } else {
            post_dtlb(f, sid);
        }
        post_wait(f, 0, WAIT_IF);
        vtd_kick(f->v);
        /* The head has gone past the wait descriptor, which is aborted */
        g_assert_true(has_ite(f));
        g_assert_cmphex(ITESID(f->v), ==, sid);
        g_assert_true(aborted(f, 0));
        g_assert_cmphex(vtd_readl(f->v, VTD_REG_ICS) & ICS_IWC, ==, 0);
        check_head(f, f->v->iq_tail);
        /* A fault event is due, although masked */
        g_assert_cmphex(vtd_readl(f->v, REG_FECTL) & FECTL_IP, ==, FECTL_IP);

        /* Nothing is fetched until ITE is cleared */
        post_wait(f, 1, 0);
        vtd_kick(f->v);
        g_assert_true(aborted(f, 1));
        check_head(f, f->v->iq_tail - 1);
        clear_ite(f);
        g_assert_false(has_ite(f));
        g_assert_cmphex(vtd_readl(f->v, REG_FECTL) & FECTL_IP, ==, 0);
        g_assert_true(waited(f, 1));
        g_assert_true(aborted(f, 0));
        check_head(f, f->v->iq_tail);
    }
}

static void check_answered(Fixture *f)
{
    post_dtlb(f, f->v->sid);
    post_pasid_dtlb(f, f->v->sid);
    post_wait(f, 0, 0);
    vtd_kick(f->v);
    g_assert_true(waited(f, 0));
    g_assert_false(has_ite(f));
    check_head(f, f->v->iq_tail);
}

static void check_counters(Fixture *f, uint32_t done, uint32_t lost,
                           uint32_t off)
{
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_INVDONE), ==, done);
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_INVLOST), ==, lost);
    g_assert_cmpuint(vtd_testdev_readl(f->v, DEV_INVOFF), ==, off);
}

static void test_timeout(void)
{
    Fixture *f = timeout_new();

    check_counters(f, 0, 0, 0);
    check_answered(f);
    check_counters(f, 2, 0, 0);

    ext_write(f, f->ats + PCI_ATS_CTRL, 0);
    check_times_out(f, f->v->sid);
    check_counters(f, 2, 0, 2);
    ext_write(f, f->ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
    check_answered(f);
    check_counters(f, 4, 0, 2);

    /* No such function, and one without ATS: the bridge to the LPC bus */
    check_times_out(f, 0xfff8);
    check_times_out(f, 0x00f8);
    check_counters(f, 4, 0, 2);
    check_answered(f);
    no_fault(f);
    fixture_free(f);

    /* Without the property everything is answered */
    f = fixture_new();
    ext_write(f, f->ats + PCI_ATS_CTRL, 0);
    check_answered(f);
    check_counters(f, 0, 0, 2);
    fixture_free(f);
}

/* Hardware may leave it open which function has not answered */
static void test_timeout_unnamed(void)
{
    Fixture *f = fixture_new_with_args(TIMEOUT_OPTS ",x-itesid=off",
                                       "ats=on,pri=on", CTX_DTE | CTX_PRE);

    ext_write(f, f->ats + PCI_ATS_CTRL, 0);
    post_dtlb(f, f->v->sid);
    post_wait(f, 0, 0);
    vtd_kick(f->v);
    g_assert_true(has_ite(f));
    g_assert_true(aborted(f, 0));
    g_assert_cmphex(ITESID(f->v), ==, 0);
    clear_ite(f);
    fixture_free(f);
}

/* A function with ATS may be told not to answer; it keeps its translations */
static void test_timeout_silent(void)
{
    Fixture *f = timeout_new();
    uint8_t exp = qpci_find_capability(f->v->dev, PCI_CAP_ID_EXP, 0);

    vtd_map(f->ss, vtd_gpa(OTHER), OTHER, LEVEL_4K);
    keep(f, NESTED);
    check_counters(f, 2, 0, 0);
    vtd_testdev_writel(f->v, DEV_INVCTRL, 1);
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_INVCTRL), ==, 1);
    check_times_out(f, f->v->sid);
    check_counters(f, 2, 2, 0);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 1);
    vtd_testdev_writel(f->v, DEV_INVCTRL, 0);
    check_answered(f);
    check_counters(f, 4, 2, 0);
    g_assert_cmpint(reaches(f, NESTED, IOVA), ==, 2);

    /* It answers again after a reset, which leaves the counters alone */
    vtd_testdev_writel(f->v, DEV_INVCTRL, 1);
    qpci_config_writew(f->v->dev, exp + PCI_EXP_DEVCTL,
                       qpci_config_readw(f->v->dev, exp + PCI_EXP_DEVCTL) |
                       PCI_EXP_DEVCTL_BCR_FLR);
    check_times_out(f, f->v->sid);
    qpci_config_writel(f->v->dev, PCI_BASE_ADDRESS_0, f->v->bar.addr);
    vtd_testdev_enable(f->v);
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_INVCTRL), ==, 0);
    check_counters(f, 4, 2, 2);
    ext_write(f, f->ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
    check_answered(f);
    fixture_free(f);
}

/* Which descriptors are aborted, and which are processed */
static void test_timeout_pending(void)
{
    Fixture *f = timeout_new();
    unsigned int fence;

    /* One before it has completed; all those behind it are aborted */
    ext_write(f, f->ats + PCI_ATS_CTRL, 0);
    vtd_map(f->ss, vtd_gpa(OTHER), OTHER, LEVEL_4K);
    vtd_reads(f->v, NESTED, IOVA, PAGE);
    vtd_put(f->v, f->leaf, vtd_gpa(OTHER) | FS_ALL);
    post_wait(f, 0, 0);
    post_dtlb(f, f->v->sid);
    post_wait(f, 1, 0);
    vtd_post(f->v, 2 | (IOTLB_DOMAIN << 4) | (DID << 16), 0, 0, 0);
    post_wait(f, 2, WAIT_FN);
    /* A fence: what follows isn't processed before the wait completes */
    fence = f->v->iq_tail;
    vtd_post(f->v, 2 | (IOTLB_DOMAIN << 4) | (DID << 16), 0, 0, 0);
    post_wait(f, 3, 0);
    vtd_kick(f->v);
    g_assert_true(has_ite(f));
    g_assert_true(waited(f, 0));
    g_assert_true(aborted(f, 1));
    g_assert_true(aborted(f, 2));
    g_assert_true(aborted(f, 3));
    check_head(f, fence);
    vtd_reads(f->v, NESTED, IOVA, OTHER);
    vtd_put(f->v, f->leaf, vtd_gpa(PAGE) | FS_ALL);
    vtd_reads(f->v, NESTED, IOVA, OTHER);
    clear_ite(f);
    g_assert_false(has_ite(f));
    g_assert_true(aborted(f, 1));
    g_assert_true(aborted(f, 2));
    g_assert_true(waited(f, 3));
    vtd_reads(f->v, NESTED, IOVA, PAGE);

    /* Nothing waits: the next one isn't concerned */
    post_dtlb(f, f->v->sid);
    vtd_kick(f->v);
    g_assert_true(has_ite(f));
    check_head(f, f->v->iq_tail);
    post_wait(f, 0, 0);
    vtd_kick(f->v);
    g_assert_true(aborted(f, 0));
    clear_ite(f);
    g_assert_true(waited(f, 0));

    /* Two functions: the register has the first */
    post_dtlb(f, 0xfff8);
    post_dtlb(f, f->v->sid);
    vtd_kick(f->v);
    g_assert_cmphex(ITESID(f->v), ==, 0xfff8);
    clear_ite(f);

    /* One more from what was queued meanwhile */
    post_dtlb(f, f->v->sid);
    post_wait(f, 0, 0);
    vtd_kick(f->v);
    post_dtlb(f, 0xfff8);
    post_wait(f, 1, 0);
    vtd_kick(f->v);
    g_assert_cmphex(ITESID(f->v), ==, f->v->sid);
    clear_ite(f);
    g_assert_true(has_ite(f));
    g_assert_cmphex(ITESID(f->v), ==, 0xfff8);
    g_assert_true(aborted(f, 1));
    check_head(f, f->v->iq_tail);
    clear_ite(f);
    g_assert_false(has_ite(f));

    /* A reset ends the error */
    post_dtlb(f, f->v->sid);
    vtd_kick(f->v);
    g_assert_true(has_ite(f));
    qtest_system_reset(f->v->qts);
    g_assert_false(has_ite(f));
    g_assert_cmphex(vtd_readq(f->v, VTD_REG_IQERCD), ==, 0);
    fixture_free(f);
}

/* PRI is disabled while it waits, and resets */
static void test_reset(void)
{
    Fixture *f = fixture_new();

    vtd_put(f->v, f->leaf, 0);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_PENDING);
    ext_write(f, f->pri + PCI_PRI_CTRL, 0);
    g_assert_cmphex(wait_result(f), ==, RESULT_FAILURE);
    ext_write(f, f->pri + PCI_PRI_CTRL, PCI_PRI_CTRL_ENABLE);
    g_assert_cmphex(vtd_dma(f->v, CMD_ATS_READ, NESTED, IOVA, 8), ==,
                    RESULT_PENDING);
    qtest_system_reset(f->v->qts);
    vtd_attach(f->v);
    g_assert_cmphex(vtd_testdev_readl(f->v, TESTDEV_RESULT), ==, TESTDEV_NONE);
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_PRSENT), ==, 0);
    g_assert_cmphex(vtd_testdev_readl(f->v, DEV_PRSTATUS), ==,
                    (uint32_t)(PCI_PRI_STATUS_PASID |
                               PCI_PRI_STATUS_STOPPED) << 16);
    g_assert_cmphex(vtd_readl(f->v, REG_PRS), ==, 0);
    fixture_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!qtest_has_device("intel-iommu") ||
        !qtest_has_device("pasid-testdev")) {
        g_test_skip("no VT-d or no test endpoint");
        return g_test_run();
    }

    qtest_add_func("/vtd-prq/capability", test_capability);
    qtest_add_func("/vtd-prq/request", test_request);
    qtest_add_func("/vtd-prq/not-allowed", test_not_allowed);
    qtest_add_func("/vtd-prq/response", test_response);
    qtest_add_func("/vtd-prq/response-reserved", test_response_reserved);
    qtest_add_func("/vtd-prq/event", test_event);
    qtest_add_func("/vtd-prq/overflow", test_overflow);
    qtest_add_func("/vtd-prq/queue", test_queue);
    qtest_add_func("/vtd-prq/device", test_capability_of_device);
    qtest_add_func("/vtd-prq/ats/present", test_ats_present);
    qtest_add_func("/vtd-prq/ats/served", test_ats_served);
    qtest_add_func("/vtd-prq/ats/meant", test_ats_meant);
    qtest_add_func("/vtd-prq/ats/refused", test_ats_refused);
    qtest_add_func("/vtd-prq/ats/permission", test_ats_permission);
    qtest_add_func("/vtd-prq/ats/kept", test_ats_kept);
    qtest_add_func("/vtd-prq/ats/forgotten", test_ats_forgotten);
    qtest_add_func("/vtd-prq/again", test_again);
    qtest_add_func("/vtd-prq/timeout/answer", test_timeout);
    qtest_add_func("/vtd-prq/timeout/unnamed", test_timeout_unnamed);
    qtest_add_func("/vtd-prq/timeout/silent", test_timeout_silent);
    qtest_add_func("/vtd-prq/timeout/pending", test_timeout_pending);
    qtest_add_func("/vtd-prq/reset", test_reset);
    return g_test_run();
}
