// Instructions of ptx/ops/exchange.hpp: what lanes of a warp tell each other.

#include "ptx_launch.hpp"

using namespace kit;

// ---- lanes telling each other -------------------------------------------------------------

TEST_CASE("exchange: shfl in every mode, in segments of every size") {
  for (const std::string mode : {"up", "down", "bfly", "idx"})
    for (const u32 width : {2u, 4u, 8u, 16u, 32u})
      for (const u32 by : {0u, 1u, 3u, 8u, 16u, 31u}) {
        const u32 c = (32 - width) << 8 | (mode == "up" ? 0u : 31u);
        auto r = kernel(start + "mul.lo.s32 %r4, %r1, 7; shfl.sync." + mode + ".b32 %r5|%p0, %r4, " + std::to_string(by) + ", " + std::to_string(c) +
                            ", -1; selp.u32 %r6, 1000, 0, %p0; add.s32 %r5, %r5, %r6; st.global.u32 [%rd0], %r5; ret;", 32);
        INFO(mode << " " << width << " " << by);
        CHECK(run(r) == each(32, [&](u32 i) {
                const u32 base = i / width * width, at = i - base;
                u32 from = i;
                bool in = false;
                if (mode == "up") in = at >= by, from = i - by;
                if (mode == "down") in = at + by < width, from = i + by;
                if (mode == "bfly") in = (i ^ by) < base + width, from = i ^ by;
                if (mode == "idx") in = true, from = base + by % width;
                return (in ? from : i) * 7 + (in ? 1000 : 0);
              }));
      }
}

TEST_CASE("exchange: votes, ballots and matches over part of a warp") {
  auto r = kernel(start + "setp.lt.u32 %p0, %r1, 20; @!%p0 bra REST; and.b32 %r4, %r1, 3; setp.eq.u32 %p1, %r4, 1; vote.sync.ballot.b32 %r5, %p1, 0xfffff; match.any.sync.b32 %r6, %r4, 0xfffff;"
                          "xor.b32 %r5, %r5, %r6; vote.sync.any.pred %p2, %p1, 0xfffff; vote.sync.all.pred %p3, %p1, 0xfffff; vote.sync.uni.pred %p4, %p1, 0xfffff; vote.sync.all.pred %p5, !%p1, 0xfffff;"
                          "@!%p2 mov.u32 %r5, 1; @%p3 mov.u32 %r5, 2; @%p4 mov.u32 %r5, 3; @%p5 mov.u32 %r5, 4; match.all.sync.b32 %r7|%p6, %r4, 0xfffff; @%p6 mov.u32 %r5, 5; add.s32 %r5, %r5, %r7;"
                          "st.global.u32 [%rd0], %r5; ret;\nREST: mov.u64 %rd5, 17179869184; vote.sync.ballot.b32 %r5, 1, 0xfff00000; match.all.sync.b64 %r6|%p6, %rd5, 0xfff00000; and.b32 %r5, %r5, %r6; @!%p6 mov.u32 %r5, 6; st.global.u32 [%rd0], %r5; ret;",
                  32);
  CHECK(run(r) == each(32, [](u32 i) {
          if (i >= 20) return 0xfff00000u;
          u32 ballot = 0, same = 0;
          for (u32 k = 0; k < 20; ++k) {
            ballot |= static_cast<u32>(k % 4 == 1) << k;
            same |= static_cast<u32>(k % 4 == i % 4) << k;
          }
          return ballot ^ same;
        }));
}

TEST_CASE("exchange: tiles of a warp, each with its own mask, do not mix") {
  // As cooperative groups do: one instruction, two masks.
  auto r = kernel(start + "shr.u32 %r4, %r1, 4; shl.b32 %r5, %r4, 4; mov.u32 %r6, 0xffff; shl.b32 %r6, %r6, %r5; and.b32 %r7, %r1, 1; setp.eq.u32 %p0, %r7, %r4;"
                          "vote.sync.ballot.b32 %r8, %p0, %r6; redux.sync.add.u32 %r9, %r1, %r6; shl.b32 %r9, %r9, 4; xor.b32 %r8, %r8, %r9; vote.sync.all.pred %p1, %p0, %r6; @%p1 mov.u32 %r8, 1; bar.warp.sync %r6; st.global.u32 [%rd0], %r8; ret;", 32);
  CHECK(run(r) == each(32, [](u32 i) {
          u32 ballot = 0, sum = 0;
          for (u32 k = i / 16 * 16; k < i / 16 * 16 + 16; ++k) {
            ballot |= static_cast<u32>(k % 2 == i / 16) << k;
            sum += k;
          }
          return ballot ^ sum << 4;
        }));
}

TEST_CASE("exchange: redux in every operation, elect and activemask") {
  struct op { std::string text; u32 (*f)(u32, u32); };
  const op all[] = {{"add.u32", [](u32 a, u32 b) { return a + b; }}, {"add.s32", [](u32 a, u32 b) { return a + b; }},
                    {"min.u32", [](u32 a, u32 b) { return std::min(a, b); }}, {"max.u32", [](u32 a, u32 b) { return std::max(a, b); }},
                    {"min.s32", [](u32 a, u32 b) { return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b) ? a : b; }},
                    {"max.s32", [](u32 a, u32 b) { return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b) ? b : a; }},
                    {"and.b32", [](u32 a, u32 b) { return a & b; }}, {"or.b32", [](u32 a, u32 b) { return a | b; }}, {"xor.b32", [](u32 a, u32 b) { return a ^ b; }}};
  for (const op& o : all) {
    auto r = kernel(start + "mul.lo.s32 %r4, %r1, 0x9e3779b1; setp.lt.u32 %p0, %r1, 24; @!%p0 bra REST; redux.sync." + o.text + " %r5, %r4, 0xffffff; st.global.u32 [%rd0], %r5; ret;\n"
                            "REST: redux.sync." + o.text + " %r5, %r4, 0xff000000; st.global.u32 [%rd0], %r5; ret;", 32);
    INFO(o.text);
    CHECK(run(r) == each(32, [&](u32 i) {
            const u32 first = i < 24 ? 0 : 24, end = i < 24 ? 24 : 32;
            u32 s = first * 0x9e3779b1u;
            for (u32 k = first + 1; k < end; ++k) s = o.f(s, k * 0x9e3779b1u);
            return s;
          }));
  }
  auto r = kernel(start + "elect.sync %r4|%p0, 0xffffffff; mov.u32 %r5, 0; @%p0 mov.u32 %r5, 1; activemask.b32 %r6; add.s32 %r4, %r4, %r5; setp.eq.u32 %p1, %r6, -1; @!%p1 mov.u32 %r4, 9; st.global.u32 [%rd0], %r4; ret;", 32);
  CHECK(run(r) == each(32, [](u32 i) { return i == 0; }));
}

TEST_CASE("exchange: a lane that has left is not waited for, and its value is nobody's") {
  auto r = kernel(start + "setp.ge.u32 %p0, %r1, 16; @%p0 exit; shfl.sync.down.b32 %r4, %r1, 8, 31, -1; setp.lt.u32 %p1, %r1, 8; @!%p1 mov.u32 %r4, 0; st.global.u32 [%rd0], %r4; ret;", 16);
  CHECK(run(r) == each(16, [](u32 i) { return i < 8 ? i + 8 : 0; }));
  auto bad = kernel(start + "setp.ge.u32 %p0, %r1, 16; @%p0 exit; shfl.sync.down.b32 %r4, %r1, 8, 31, -1; st.global.u32 [%rd0], %r4; ret;", 16);
  const auto told = kit::launch(bad);
  CHECK(told.shadows[0].substr(0, 32) == std::string(32, '\0'));
  CHECK(told.shadows[0].substr(32) == std::string(32, '\2'));  // lanes 8 to 15
}

TEST_CASE("exchange: bar.warp.sync is met at several places") {
  auto r = kernel(start + "setp.lt.u32 %p0, %r1, 9; @%p0 bra A; st.shared.u32 [tile], %r1; bar.warp.sync -1; bra J;\nA: bar.warp.sync -1;\nJ: ld.shared.u32 %r4, [tile]; setp.ge.u32 %p1, %r4, 9; selp.u32 %r4, 1, 0, %p1; st.global.u32 [%rd0], %r4; ret;",
                  32, ".shared .align 4 .b8 tile[4];");
  CHECK(run(r) == each(32, [](u32) { return 1; }));
}

