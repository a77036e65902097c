// Branches, calls and barriers: lanes and warps that part and meet.

#include "ptx_launch.hpp"

using namespace kit;

// ---- lanes that part and meet -------------------------------------------------

TEST_CASE("control: both sides of a branch, then together again") {
  auto r = kernel(start +
                      "and.b32 %r4, %r1, 1; setp.ne.u32 %p0, %r4, 0; @%p0 bra ODD; mul.lo.s32 %r5, %r1, 10; bra JOIN;\n"
                      "ODD: add.s32 %r5, %r1, 100;\nJOIN: activemask.b32 %r6; st.global.u32 [%rd0], %r5; setp.eq.u32 %p1, %r6, -1;"
                      "@%p1 bra FULL; mov.u32 %r5, 7777; st.global.u32 [%rd0], %r5;\nFULL: ret;",
                  64);
  r.grid.x = 2;
  CHECK(run(r) == each(64, [](u32 i) { return i % 2 ? i % 32 + 100 : i % 32 * 10; }));
}

TEST_CASE("control: loops whose lanes leave at different times") {
  // sum of 0 .. tid, leaving early above 100
  auto r = kernel(start +
                      "mov.u32 %r4, 0; mov.u32 %r5, 0;\nLOOP: setp.gt.u32 %p0, %r4, %r1; @%p0 bra DONE; add.s32 %r5, %r5, %r4;"
                      "setp.gt.u32 %p1, %r5, 100; @%p1 bra EARLY; add.s32 %r4, %r4, 1; bra LOOP;\n"
                      "EARLY: mov.u32 %r5, 999;\nDONE: st.global.u32 [%rd0], %r5; ret;",
                  70);
  r.cta.x = 70;
  CHECK(run(r) == each(70, [](u32 i) {
          u32 s = 0;
          for (u32 k = 0; k <= i; ++k)
            if ((s += k) > 100) return 999u;
          return s;
        }));
}

TEST_CASE("control: nested loops and a return from within") {
  auto r = kernel(start +
                      "mov.u32 %r4, 0; mov.u32 %r6, 0;\nOUTER: setp.ge.u32 %p0, %r4, %r1; @%p0 bra OUT; mov.u32 %r5, 0;\n"
                      "INNER: setp.ge.u32 %p1, %r5, %r4; @%p1 bra NEXT; add.s32 %r6, %r6, %r5; add.s32 %r5, %r5, 1;"
                      "setp.eq.u32 %p2, %r6, 35; @%p2 bra LEAVE; bra INNER;\nNEXT: add.s32 %r4, %r4, 1; bra OUTER;\n"
                      "LEAVE: mov.u32 %r7, 4242; st.global.u32 [%rd0], %r7; exit;\nOUT: st.global.u32 [%rd0], %r6; ret;",
                  32);
  CHECK(run(r) == each(32, [](u32 i) {
          u32 s = 0;
          for (u32 a = 0; a < i; ++a)
            for (u32 b = 0; b < a; ++b)
              if ((s += b) == 35) return 4242u;
          return s;
        }));
}

TEST_CASE("control: a guarded exit leaves the other lanes") {
  auto r = kernel(start + "mov.u32 %r5, 1; st.global.u32 [%rd0], %r5; setp.lt.u32 %p0, %r1, 20; @%p0 exit; activemask.b32 %r5; st.global.u32 [%rd0], %r5; ret;", 32);
  CHECK(run(r) == each(32, [](u32 i) { return i < 20 ? 1u : 0xfff00000u; }));
}

TEST_CASE("control: brx.idx takes each lane to its own label") {
  auto r = kernel(start + "and.b32 %r4, %r1, 3;\nTS: .branchtargets A, B, C, B;\nbrx.idx %r4, TS;\n"
                          "A: mov.u32 %r5, 10; bra E;\nB: mov.u32 %r5, 20; bra E;\nC: mov.u32 %r5, 30;\nE: st.global.u32 [%rd0], %r5; ret;", 32);
  CHECK(run(r) == each(32, [](u32 i) { return i % 4 == 0 ? 10u : i % 4 == 2 ? 30u : 20u; }));
  auto beyond = kernel(start + "TS: .branchtargets A, B;\nbrx.idx %r1, TS;\nA: ret;\nB: ret;", 32);
  const auto told = kit::launch(beyond);
  REQUIRE(find(told, code::invalid_access));
  CHECK(has(find(told, code::invalid_access)->what, "thread (2, 0, 0)"));
}

// ---- calls -----------------------------------------------------------------------

TEST_CASE("control: divergent callers, each with its own values") {
  const std::string twice =
      ".func (.param .b32 back) twice(.param .b32 x)\n{\n.reg .b32 %r<4>;\n.reg .pred %p<2>;\nld.param.u32 %r0, [x];\nsetp.gt.u32 %p0, %r0, 1000;\n"
      "@%p0 bra BIG;\nadd.s32 %r1, %r0, %r0;\nst.param.b32 [back], %r1;\nret;\nBIG:\nmov.u32 %r1, 1;\nst.param.b32 [back], %r1;\nret;\n}\n";
  const auto call = [](const std::string& from, const std::string& to) {
    return "{ .param .b32 a; .param .b32 b; st.param.b32 [a], " + from + "; call.uni (b), twice, (a); ld.param.b32 " + to + ", [b]; }\n";
  };
  auto r = kernel(start + "and.b32 %r4, %r1, 1; setp.eq.u32 %p0, %r4, 0; @%p0 bra EVEN;\n" + call("%r1", "%r5") + "add.s32 %r5, %r5, 1; bra E;\n" +
                      "EVEN: add.s32 %r6, %r1, 990;\n" + call("%r6", "%r5") + "E:\n" +
                      // and in a loop, with guarded calls
                      "mov.u32 %r7, 0;\nLOOP:\n" + call("%r5", "%r5") + "add.s32 %r7, %r7, 1; setp.lt.u32 %p1, %r7, %r4; @%p1 bra LOOP;\nst.global.u32 [%rd0], %r5; ret;",
                  32, "", twice);
  const auto f = [](u32 x) { return x > 1000 ? 1u : 2 * x; };
  CHECK(run(r) == each(32, [&](u32 i) { return f(i % 2 ? f(i) + 1 : f(i + 990)); }));
}

TEST_CASE("control: functions that call functions, and structs by value") {
  const std::string both =
      ".func (.param .b32 o) third(.param .align 8 .b8 s[16])\n{\n.reg .b32 %r<4>;\n.reg .b64 %rd<2>;\nld.param.u32 %r0, [s+4];\nld.param.b64 %rd0, [s+8];\ncvt.u32.u64 %r1, %rd0;\n"
      "sub.s32 %r2, %r0, %r1;\nst.param.b32 [o], %r2;\nret;\n}\n"
      ".func (.param .align 8 .b8 o[8]) second(.param .b32 x)\n{\n.reg .b32 %r<4>;\n.reg .b64 %rd<2>;\nld.param.u32 %r0, [x];\nmul.wide.u32 %rd0, %r0, 2;\nadd.s32 %r1, %r0, 7;\n"
      "{ .param .align 8 .b8 s[16]; .param .b32 q; st.param.b32 [s], %r0; st.param.b32 [s+4], %r1; st.param.b64 [s+8], %rd0; call.uni (q), third, (s); ld.param.b32 %r2, [q]; }\n"
      "st.param.v2.b32 [o], {%r2, %r1};\nret;\n}\n";
  auto r = kernel(start + "{ .param .b32 a; .param .align 8 .b8 b[8]; st.param.b32 [a], %r1; call.uni (b), second, (a); ld.param.v2.b32 {%r5, %r6}, [b]; }\n"
                          "add.s32 %r5, %r5, %r6; st.global.u32 [%rd0], %r5; ret;", 32, "", both);
  CHECK(run(r) == each(32, [](u32 i) { return (i + 7 - 2 * i) + (i + 7); }));
}

TEST_CASE("control: recursion and unknown functions are not supported, by name") {
  const std::string self = ".func f(.param .b32 x)\n{\n.reg .b32 %r<2>;\nld.param.u32 %r0, [x];\n{ .param .b32 a; st.param.b32 [a], %r0; call.uni f, (a); }\nret;\n}\n";
  auto r = kernel("{ .param .b32 a; st.param.b32 [a], 1; call.uni f, (a); }\nret;", 1, "", self);
  CHECK(has(kit::launch(r).trouble, "recursion (function f reaches itself)"));
  auto printing = kernel("{ .param .b64 a; st.param.b64 [a], 0; call.uni vprintf_, (a); }\nret;", 1, "", ".extern .func vprintf_(.param .b64 x);\n");
  const auto told = kit::launch(printing);
  CHECK(has(told.trouble, "not_supported"));
  CHECK(has(told.trouble, "vprintf_"));
}

// ---- barriers ----------------------------------------------------------------------

TEST_CASE("control: a barrier orders what warps write and read") {
  auto r = kernel(start + "shl.b32 %r4, %r1, 2; mov.u32 %r5, tile; add.s32 %r6, %r5, %r4; mul.lo.s32 %r7, %r1, 3; st.shared.u32 [%r6], %r7; bar.sync 0;"
                          "mov.u32 %r8, 159; sub.s32 %r8, %r8, %r1; shl.b32 %r8, %r8, 2; add.s32 %r8, %r5, %r8; ld.shared.u32 %r9, [%r8]; st.global.u32 [%rd0], %r9; ret;",
                  480, ".shared .align 4 .b8 tile[640];");
  r.cta.x = 160;
  r.grid.x = 3;
  const auto told = kit::launch(r);
  CHECK(told.findings.empty());
  CHECK(output(told) == each(480, [](u32 i) { return (159 - i % 160) * 3; }));
  CHECK(told.barriers == 3);
}

TEST_CASE("control: threads that have left do not keep a barrier") {
  auto r = kernel(start + "setp.ge.u32 %p0, %r1, 40; @%p0 bra OUT; mov.u32 %r4, 5; setp.eq.u32 %p1, %r1, 3; @%p1 st.shared.u32 [tile], %r4; bar.sync 0; ld.shared.u32 %r5, [tile]; st.global.u32 [%rd0], %r5;\nOUT: ret;",
                  40, ".shared .align 4 .b8 tile[4];");
  r.cta.x = 96;
  CHECK(run(r) == each(40, [](u32) { return 5; }));
}

TEST_CASE("control: a divergent barrier is met in parts") {
  auto r = kernel(start + "mov.u32 %r5, 0; and.b32 %r4, %r1, 1; setp.eq.u32 %p0, %r4, 0; @%p0 bra A; barrier.sync 1; bra J;\nA: barrier.sync 1;\nJ: st.global.u32 [%rd0], %r4; ret;", 64);
  r.cta.x = 64;
  const auto told = kit::launch(r);
  CHECK(output(told) == each(64, [](u32 i) { return i % 2; }));
  for (const auto& f : told.findings) CHECK(f.weight == skillbench::severity::note);
}

TEST_CASE("control: named barriers with counts, arriving and waiting") {
  // Warp 1 produces and arrives, warp 0 waits; warp 2 never comes here.
  auto r = kernel(start + "shr.u32 %r4, %r1, 5; setp.eq.u32 %p0, %r4, 2; @%p0 bra OTHER; setp.eq.u32 %p1, %r4, 0; @%p1 bra WAIT;"
                          "mov.u32 %r5, 77; st.shared.u32 [tile], %r5; bar.arrive 3, 64; bra END;\nWAIT: bar.sync 3, 64; ld.shared.u32 %r6, [tile]; st.global.u32 [%rd0], %r6; ret;\n"
                          "OTHER: mov.u32 %r6, 1; st.global.u32 [%rd0], %r6; ret;\nEND: mov.u32 %r6, 2; st.global.u32 [%rd0], %r6; ret;",
                  96, ".shared .align 4 .b8 tile[4];");
  r.cta.x = 96;
  CHECK(run(r) == each(96, [](u32 i) { return i < 32 ? 77u : i < 64 ? 2u : 1u; }));
}

TEST_CASE("control: a warp that arrives in parts arrives once") {
  // Two divergent halves of warp 1 arrive; the count of 96 still needs warp 2.
  auto r = kernel(start + "shr.u32 %r4, %r1, 5; setp.eq.u32 %p0, %r4, 0; @%p0 bra WAIT; setp.eq.u32 %p1, %r4, 2; @%p1 bra LATE;"
                          "and.b32 %r5, %r1, 1; setp.eq.u32 %p2, %r5, 0; @%p2 bra HALF; barrier.arrive 2, 96; bra END;\nHALF: barrier.arrive 2, 96; bra END;\n"
                          "LATE: mov.u32 %r7, 0;\nSPIN: add.s32 %r7, %r7, 1; setp.lt.u32 %p3, %r7, 30000; @%p3 bra SPIN; mov.u32 %r6, 9; st.shared.u32 [tile], %r6; barrier.arrive 2, 96; bra END;\n"
                          "WAIT: barrier.sync 2, 96; ld.shared.u32 %r8, [tile]; st.global.u32 [%rd0], %r8; ret;\nEND: mov.u32 %r8, 3; st.global.u32 [%rd0], %r8; ret;",
                  96, ".shared .align 4 .b8 tile[4];");
  r.cta.x = 96;
  CHECK(run(r) == each(96, [](u32 i) { return i < 32 ? 9u : 3u; }));
}

TEST_CASE("control: bar.red counts, ands and ors over the CTA") {
  auto r = kernel(start + "setp.lt.u32 %p0, %r1, 50; bar.red.popc.u32 %r4, 0, %p0; bar.red.and.pred %p1, 0, %p0; bar.red.or.pred %p2, 0, %p0; bar.red.popc.u32 %r5, 0, !%p0;"
                          "selp.u32 %r6, 1, 0, %p1; selp.u32 %r7, 1, 0, %p2; shl.b32 %r4, %r4, 16; shl.b32 %r5, %r5, 8; or.b32 %r4, %r4, %r5; shl.b32 %r6, %r6, 1; or.b32 %r4, %r4, %r6; or.b32 %r4, %r4, %r7;"
                          "st.global.u32 [%rd0], %r4; ret;", 96);
  r.cta.x = 96;
  CHECK(run(r) == each(96, [](u32) { return 50u << 16 | 46u << 8 | 1u; }));
}

TEST_CASE("control: a barrier that nobody completes is a deadlock that names who waits") {
  auto r = kernel(start + "setp.lt.u32 %p0, %r1, 32; @%p0 bra A; bar.sync 1; ret;\nA: bar.sync 2; ret;", 1);
  r.cta.x = 64;
  const auto told = kit::launch(r);
  const auto* f = find(told, code::deadlock);
  REQUIRE(f);
  CHECK(has(f->what, "32 threads of warp 0 wait at barrier 2"));
  CHECK(has(f->what, "32 threads of warp 1 wait at barrier 1"));
  CHECK(f->ptx_line);
}

TEST_CASE("control: lanes that wait for lanes that wait elsewhere are a deadlock") {
  auto r = kernel(start + "setp.lt.u32 %p0, %r1, 16; @%p0 bra A; shfl.sync.idx.b32 %r4, %r1, 0, 31, -1; ret;\nA: bar.sync 0; ret;", 1);
  const auto told = kit::launch(r);
  REQUIRE(find(told, code::deadlock));
  CHECK(has(find(told, code::deadlock)->what, "wait for lanes 0xffffffff"));
}

