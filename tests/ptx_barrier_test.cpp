// Barriers that part of a warp misses, counts that cannot be, and masks.

#include "ptx_launch.hpp"

#include <optional>

using namespace kit;
using skillbench::severity;

namespace {

report judged(const std::string& body, unsigned threads = 64) {
  auto r = kernel(start + body, threads);
  r.cta.x = threads;
  return kit::launch(r);
}
const std::string done = "st.global.u32 [%rd0], %r0; ret;";

std::optional<skillbench::finding> told_of(const report& told, code kind, severity weight = severity::fails) {
  for (const auto& f : told.findings)
    if (f.kind == kind && f.weight == weight) return f;
  return std::nullopt;
}
std::optional<skillbench::finding> divergence(const report& told, severity weight = severity::fails) {
  return told_of(told, code::barrier_divergence, weight);
}

}  // namespace

TEST_CASE("barrier: half a warp at another instruction") {
  const auto told = judged("setp.lt.u32 %p0, %r1, 16; @!%p0 bra ELSE;\nbar.sync 0;\nbra JOIN;\nELSE: bar.sync 0;\nJOIN: " + done);
  const auto f = divergence(told);
  REQUIRE(f.has_value());
  INFO(f->what);
  CHECK(has(f->what, "all threads of a warp must come to the same one"));
  CHECK(has(f->what, "thread (0, 0, 0)"));
  CHECK(has(f->what, "thread (16, 0, 0)"));
  CHECK(f->ptx_line.value_or(0) > 10);
  // Only some come to the first barrier, all to the second.
  CHECK(divergence(judged("setp.lt.u32 %p0, %r1, 16; @!%p0 bra ELSE;\nbar.sync 0;\nELSE: bar.sync 0;\n" + done)).has_value());
  // The form without .aligned allows it.
  CHECK_FALSE(divergence(judged("setp.lt.u32 %p0, %r1, 16; @!%p0 bra ELSE;\nbarrier.sync 0;\nbra JOIN;\nELSE: barrier.sync 0;\nJOIN: " + done)).has_value());
  CHECK(divergence(judged("setp.lt.u32 %p0, %r1, 16; @!%p0 bra ELSE;\nbarrier.sync.aligned 0;\nbra JOIN;\nELSE: barrier.sync.aligned 0;\nJOIN: " + done)).has_value());
  // In parts, but at the same instruction in the end.
  CHECK(judged("setp.lt.u32 %p0, %r1, 16; @%p0 bra LATE;\nB: bar.sync 0; bra OUT;\nLATE: mov.u32 %r5, 0; bra B;\nOUT: " + done).findings.empty());
}

TEST_CASE("barrier: whole warps at different instructions are a note") {
  const auto told = judged("setp.lt.u32 %p0, %r1, 32; @!%p0 bra ELSE;\nbar.sync 0;\nbra JOIN;\nELSE: bar.sync 0;\nJOIN: " + done);
  CHECK_FALSE(divergence(told).has_value());
  CHECK(divergence(told, severity::note).has_value());
  // With a count it is what named barriers are for.
  CHECK(judged("setp.lt.u32 %p0, %r1, 32; @!%p0 bra ELSE;\nbar.sync 1, 64;\nbra JOIN;\nELSE: bar.sync 1, 64;\nJOIN: " + done).findings.empty());
}

TEST_CASE("barrier: threads that have exited are not waited for") {
  CHECK(judged("st.global.u32 [%rd0], %r0; setp.ge.u32 %p0, %r1, 40; @%p0 ret;\nbar.sync 0;\nret;").findings.empty());
  CHECK(judged("st.global.u32 [%rd0], %r0; setp.ge.u32 %p0, %r1, 32; @%p0 ret;\nbar.sync 0;\nret;").findings.empty());
}

TEST_CASE("barrier: counts") {
  const auto words_of = [](const std::string& body) {
    const auto told = judged(body);
    const auto f = divergence(told);
    return f ? f->what : std::string();
  };
  CHECK(words_of("bar.sync 0, 64; " + done) == "");
  CHECK(has(words_of("bar.sync 1, 48; " + done), "with a count of 48, which is no multiple of 32"));
  CHECK(has(words_of("mov.u32 %r5, 0; bar.sync 1, %r5; " + done), "with a count of 0"));
  CHECK(has(words_of("bar.sync 1, 96; " + done), "with a count of 96: the CTA has no more than 64 threads"));
  CHECK(has(words_of("setp.lt.u32 %p0, %r1, 32; selp.b32 %r5, 32, 64, %p0; bar.sync 1, 64; bar.arrive 2, 64; setp.lt.u32 %p0, %r1, 32; @%p0 bra A; bar.sync 3, 64; bra B;\nA: bar.sync 3, 32; bar.sync 3, 32;\nB: " + done),
            "while others wait there with a count of"));
  CHECK(has(words_of("mov.u32 %r5, 16; bar.sync %r5; " + done), "a CTA has barriers 0 to 15"));
  // A count that the threads which are left cannot make up.
  const auto stuck = judged("setp.ge.u32 %p0, %r1, 32; @%p0 ret;\nbar.sync 1, 64; " + done);
  CHECK(told_of(stuck, code::deadlock).has_value());
  const auto f = divergence(stuck);
  REQUIRE(f.has_value());
  CHECK(has(f->what, "waits at barrier 1 for 64 threads; 32 came and no more can"));
}

TEST_CASE("mask: a lane that is none of the members") {
  const auto f = told_of(judged("shfl.sync.bfly.b32 %r4, %r0, 1, 31, 0x0000ffff; " + done), code::mask_misuse);
  REQUIRE(f.has_value());
  INFO(f->what);
  CHECK(has(f->what, "thread (16, 0, 0) of CTA (0, 0, 0) names the members 0xffff of its warp, and is none of them"));
  CHECK(told_of(judged("vote.sync.ballot.b32 %r4, %p0, 1; " + done), code::mask_misuse).has_value());
  CHECK(told_of(judged("bar.warp.sync 0x7fffffff; " + done), code::mask_misuse).has_value());
  CHECK(told_of(judged("match.any.sync.b32 %r4, %r0, 3; " + done), code::mask_misuse).has_value());
  CHECK(told_of(judged("redux.sync.add.s32 %r4, %r0, 3; " + done), code::mask_misuse).has_value());
  // A predicate that leaves only the members.
  CHECK_FALSE(told_of(judged("setp.lt.u32 %p0, %r1, 16; and.b32 %r5, %r1, 16; setp.eq.u32 %p0, %r5, 0; @%p0 shfl.sync.bfly.b32 %r4, %r0, 1, 31, 0x0000ffff; " + done), code::mask_misuse).has_value());
  // Tiles, each with its own mask; members that have exited.
  CHECK(judged("and.b32 %r5, %r1, 16; mov.u32 %r6, 0xffff; shl.b32 %r6, %r6, %r5; shfl.sync.bfly.b32 %r4, %r0, 1, 31, %r6; " + done).findings.empty());
  CHECK(judged("st.global.u32 [%rd0], %r0; and.b32 %r5, %r1, 31; setp.ge.u32 %p0, %r5, 8; @%p0 ret;\nshfl.sync.bfly.b32 %r4, %r0, 1, 31, -1; ret;").findings.empty());
}

TEST_CASE("mask: lanes that name each other with different masks") {
  const auto told = judged("and.b32 %r5, %r1, 31; setp.lt.u32 %p0, %r5, 16; selp.b32 %r6, -1, 0xffff0000, %p0; shfl.sync.bfly.b32 %r4, %r0, 1, 31, %r6; " + done);
  const auto f = told_of(told, code::mask_misuse);
  REQUIRE(f.has_value());
  INFO(f->what);
  CHECK(has(f->what, "names the members 0xffffffff, of which lane 16 names others (0xffff0000)"));
  // At different instructions: nobody can go on, and the masks say why.
  const auto stuck = judged("and.b32 %r5, %r1, 31; setp.lt.u32 %p0, %r5, 16; @%p0 bra A;\nbar.warp.sync 0xffff0001; bra OUT;\nA: bar.warp.sync -1;\nOUT: " + done);
  CHECK(told_of(stuck, code::deadlock).has_value());
  CHECK(told_of(stuck, code::mask_misuse).has_value());
}

TEST_CASE("mask: what a lane outside of it gives is undefined") {
  const auto told = judged("and.b32 %r5, %r1, 31; setp.lt.u32 %p0, %r5, 16; mov.u32 %r4, 0; @%p0 shfl.sync.down.b32 %r4, %r0, 8, 31, 0x0000ffff; st.global.u32 [%rd0], %r4; ret;", 32);
  CHECK(told.shadows[0].substr(0, 32) == std::string(32, '\0'));
  CHECK(told.shadows[0].substr(32, 32) == std::string(32, '\2'));
}
