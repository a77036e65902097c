// Races between warps and CTAs: what is told, with both threads and lines, and
// above all what is not.

#include "ptx_launch.hpp"

#include <optional>

using namespace kit;
using skillbench::severity;

namespace {

const std::string tile = ".shared .align 16 .b8 tile[1024];\n.shared .align 16 .b8 flag[16];";
// %r10 the address of the thread's own word of the tile.
const std::string own = start + "shl.b32 %r9, %r1, 2; mov.u32 %r10, tile; add.s32 %r10, %r10, %r9;\n";
const std::string done = "\nst.global.u32 [%rd0], %r8;\nret;";

report run_shared(const std::string& body, unsigned threads = 64, std::uint64_t seed = 0) {
  auto r = kernel(own + body, threads, tile);
  r.cta.x = threads;
  r.seed = seed;
  return kit::launch(r);
}

// The first race of a weight, if any.
std::optional<skillbench::finding> race(const report& told, severity weight = severity::fails) {
  CHECK(told.trouble == "");
  for (const auto& f : told.findings)
    if (f.kind == code::race && f.weight == weight) return f;
  return std::nullopt;
}

void silent(const report& told) {
  CHECK(told.trouble == "");
  for (const auto& f : told.findings) MESSAGE(f.what);
  CHECK(told.findings.empty());
}

// Several CTAs over y (starts unwritten) and a zeroed block behind %p_1.
request ctas(const std::string& body, unsigned grid, unsigned threads, std::size_t words, std::uint64_t seed = 0) {
  request r;
  r.ptx = header + entry(start + body, 2, 0, tile);
  r.entry = "k";
  r.cta.x = threads;
  r.grid.x = grid;
  r.seed = seed;
  r.blocks.push_back({"y", true, false, 4, std::string(4 * words, '\0')});
  r.blocks.push_back({"work", true, true, 4, std::string(4 * 1024, '\0')});
  return r;
}

}  // namespace

// ---- shared memory -------------------------------------------------------------------

TEST_CASE("race: a load of what another warp stores, with and without a barrier") {
  const auto body = [](const std::string& between) {
    return "st.shared.u32 [%r10], %r1;\n" + between + "xor.b32 %r11, %r9, 128; mov.u32 %r12, tile; add.s32 %r12, %r12, %r11;\nld.shared.u32 %r8, [%r12];" + done;
  };
  silent(run_shared(body("bar.sync 0;\n")));
  silent(run_shared(body("barrier.sync 0;\n")));
  silent(run_shared(body("bar.sync 3, 64;\n")));
  silent(run_shared(body("bar.red.popc.u32 %r20, 0, %p31;\n").replace(0, 0, "setp.eq.u32 %p31, %r1, 0;")));
  for (const std::uint64_t seed : {0ull, 1ull << 16, 77ull}) {
    const auto told = run_shared(body(""), 64, seed);
    const auto f = race(told);
    REQUIRE(f.has_value());
    INFO(f->what);
    CHECK(has(f->what, "of shared memory at 0x"));
    CHECK(has(f->what, "no barrier orders the two"));
    CHECK(has(f->what, "of CTA (0, 0, 0)"));
    CHECK(has(f->what, "(PTX line "));
    // Both threads: lane 0 of one warp and its partner in the other.
    CHECK(has(f->what, "thread (0, 0, 0)"));
    CHECK(has(f->what, "thread (32, 0, 0)"));
  }
  // A barrier of the warp orders lanes, not warps.
  CHECK(race(run_shared(body("bar.warp.sync -1;\n"))).has_value());
}

TEST_CASE("race: every kind of pair, in whatever order the warps run") {
  // Warp 0 does `a`, warp 1 does `b`, on the same word; lane 5 of each.
  const auto pair = [](const std::string& a, const std::string& b, std::uint64_t seed, const std::string& between = "") {
    return run_shared("mov.u32 %r20, 7; mov.u32 %r8, 0; setp.eq.u32 %p0, %r1, 5; setp.eq.u32 %p1, %r1, 37; setp.eq.u32 %p2, %r1, 0;\n"
                      "@%p2 st.shared.u32 [tile], %r20; bar.sync 0;\n@%p0 " + a + "\n" + between + "@%p1 " + b + done, 64, seed);
  };
  const std::string load = "ld.shared.u32 %r8, [tile];", store = "st.shared.u32 [tile], %r1;", atomic = "atom.shared.add.u32 %r8, [tile], 1;", red = "red.shared.add.u32 [tile], 1;";
  const std::string strong_load = "ld.volatile.shared.u32 %r8, [tile];", strong_store = "st.volatile.shared.u32 [tile], %r1;", relaxed = "ld.relaxed.cta.shared.u32 %r8, [tile];";
  for (const std::uint64_t seed : {0ull, 1ull << 16}) {
    const auto races = [&](const std::string& a, const std::string& b) { return race(pair(a, b, seed)).has_value(); };
    CHECK_FALSE(races(load, load));
    CHECK(races(load, store));
    CHECK(races(store, load));
    CHECK(races(store, store));
    CHECK(races(store, atomic));
    CHECK(races(atomic, store));
    CHECK(races(load, atomic));
    CHECK(races(red, load));
    CHECK(races(strong_store, store));
    CHECK(races(load, strong_store));
    CHECK_FALSE(races(atomic, red));
    CHECK_FALSE(races(atomic, atomic));
    CHECK_FALSE(races(strong_store, strong_store));
    CHECK_FALSE(races(strong_load, strong_store));
    CHECK_FALSE(races(strong_store, strong_load));
    CHECK_FALSE(races(relaxed, atomic));
    for (const auto& x : {load, store, atomic})
      for (const auto& y : {load, store, red}) CHECK_FALSE(race(pair(x, y, seed, "bar.sync 0;\n")).has_value());
  }
}

TEST_CASE("race: it names who and where") {
  const auto told = run_shared("setp.eq.u32 %p0, %r1, 5; setp.eq.u32 %p1, %r1, 40; mov.u32 %r8, 1;\n@%p0 st.shared.u32 [tile+20], %r1;\n@%p1 st.shared.u32 [tile+20], %r1;" + done);
  const auto f = race(told);
  REQUIRE(f.has_value());
  INFO(f->what);
  CHECK(has(f->what, "thread (40, 0, 0) of CTA (0, 0, 0) writes 4 bytes of shared memory at 0x14 (PTX line "));
  CHECK(has(f->what, " and thread (5, 0, 0) writes there (PTX line "));
  CHECK(f->ptx_line.value_or(0) > 10);
  CHECK(f->kernel == "k");
}

TEST_CASE("race: the same value stored twice is a note") {
  const auto told = run_shared("mov.u32 %r8, 9;\nst.shared.u32 [tile], %r8;" + done);
  CHECK_FALSE(race(told).has_value());
  const auto note = race(told, severity::note);
  REQUIRE(note.has_value());
  CHECK(has(note->what, "the value that is written is the one that is there"));
  // And does not hide a race of another value at the same instruction.
  const auto worse = run_shared("shr.u32 %r8, %r1, 6;\nst.shared.u32 [tile], %r8;" + done, 96);
  CHECK(race(worse, severity::note).has_value());
  CHECK(race(worse).has_value());
}

TEST_CASE("race: a note ends no launch, however often it is told") {
  // More occurrences than end a launch of findings, at more instructions.
  std::string body = "mov.u32 %r8, 9; and.b32 %r20, %r1, 31; shl.b32 %r20, %r20, 2; mov.u32 %r21, many; add.u32 %r20, %r20, %r21; mov.u32 %r22, 0;\nL:\n";
  for (int i = 0; i < 20; ++i) body += "st.shared.u32 [%r20+" + std::to_string(128 * i) + "], %r8;\n";
  body += "add.u32 %r20, %r20, 2560; add.u32 %r22, %r22, 1; setp.lt.u32 %p0, %r22, 18; @%p0 bra L;";
  auto r = kernel(start + body + done, 96, ".shared .align 16 .b8 many[46080];");
  r.cta.x = 96;
  const auto told = kit::launch(r);
  CHECK_FALSE(race(told).has_value());
  std::uint64_t count = 0;
  for (const auto& f : told.findings) count += f.count;
  CHECK(count > 15000);
  CHECK(told.findings.size() == 16);
  const auto y = values_of<u32>(told.bytes[0]);
  for (std::size_t t = 0; t < 96; ++t) CHECK(y[t] == 9);
}

TEST_CASE("race: different values by lanes of one instruction") {
  const std::string first_warp = "mov.u32 %r8, 9; setp.lt.u32 %p0, %r1, 32;\n";
  silent(run_shared(first_warp + "@%p0 st.shared.u32 [tile], %r8;" + done));
  const auto f = race(run_shared(first_warp + "@%p0 st.shared.u32 [tile], %r1;" + done));
  REQUIRE(f.has_value());
  CHECK(has(f->what, "thread (0, 0, 0) of CTA (0, 0, 0) and thread (1, 0, 0) write different values to shared memory at 0x0 with one instruction"));

  // Lane l and lane l + 16, with gaps between the places; the other way round,
  // with all lanes far apart from each other, and in global memory too.
  const std::string apart = first_warp + "and.b32 %r20, %r1, 15; shl.b32 %r20, %r20, 4; mov.u32 %r21, tile; add.u32 %r21, %r21, %r20;\n";
  silent(run_shared(apart + "@%p0 st.shared.u32 [%r21], %r8;" + done));
  const auto gaps = race(run_shared(apart + "@%p0 st.shared.u32 [%r21], %r1;" + done));
  REQUIRE(gaps.has_value());
  CHECK(has(gaps->what, "thread (0, 0, 0) of CTA (0, 0, 0) and thread (16, 0, 0) write different values to shared memory at 0x0"));
  // Bytes, a part of a register, a generic address.
  const std::string byte = first_warp + "and.b32 %r20, %r1, 15; shl.b32 %r20, %r20, 4; mov.u32 %r21, tile; add.u32 %r21, %r21, %r20; cvt.u16.u32 %rs1, %r1;\n";
  CHECK(race(run_shared(byte + "@%p0 st.shared.u8 [%r21], %rs1;" + done)).has_value());
  CHECK(race(run_shared(byte + "@%p0 st.shared.u16 [%r21], %rs1;" + done)).has_value());
  CHECK(race(run_shared(byte + "@%p0 st.shared.u8 [%r21], %r1;" + done)).has_value());
  silent(run_shared(byte + "mov.u32 %r22, 256; mul.lo.u32 %r22, %r22, %r1; @%p0 st.shared.u8 [%r21], %r22;" + done));  // whose low bytes are all 0
  const auto generic = race(run_shared(apart + "cvt.u64.u32 %rd5, %r21; cvta.shared.u64 %rd4, %rd5; @%p0 st.u32 [%rd4], %r1;" + done));
  REQUIRE(generic.has_value());
  CHECK(has(generic->what, "write different values to shared memory at 0x0 with one instruction"));

  const std::string falling = first_warp + "mov.u32 %r21, tile; mov.u32 %r22, 31; sub.u32 %r20, %r22, %r1; shl.b32 %r20, %r20, 2; add.u32 %r21, %r21, %r20;\n";
  silent(run_shared(falling + "@%p0 st.shared.u32 [%r21], %r1;" + done));
  const std::string far = "and.b32 %r20, %r1, 15; mul.lo.u32 %r20, %r20, 32768; mul.wide.u32 %rd4, %r20, 4; add.s64 %rd4, %p_0, %rd4;\n";
  for (const std::uint32_t words : {16u, 16u * 32768}) {
    auto r = kernel(start + (words == 16 ? "and.b32 %r20, %r1, 15; mul.wide.u32 %rd4, %r20, 4; add.s64 %rd4, %p_0, %rd4;\n" : far) + "mov.u32 %r8, %r1;\nst.global.u32 [%rd4], %r8;\n", words);
    r.cta.x = 32;
    r.grid.x = 2;
    const auto f2 = race(kit::launch(r));
    REQUIRE(f2.has_value());
    CHECK(has(f2->what, "with one instruction"));
  }
}

TEST_CASE("race: neighbours in a granule, gaps in a stride") {
  // Bytes and halves of different warps in one word.
  silent(run_shared("shr.u32 %r11, %r1, 5; and.b32 %r12, %r1, 31; shl.b32 %r12, %r12, 1; add.s32 %r12, %r12, %r11; mov.u32 %r13, tile; add.s32 %r13, %r13, %r12; cvt.u16.u32 %rs1, %r1;"
                    "st.shared.u8 [%r13], %rs1; ld.shared.u8 %rs2, [%r13]; cvt.u32.u16 %r8, %rs2;" + done));
  silent(run_shared("shr.u32 %r11, %r1, 5; and.b32 %r12, %r1, 31; shl.b32 %r12, %r12, 2; shl.b32 %r11, %r11, 1; add.s32 %r12, %r12, %r11; mov.u32 %r13, tile; add.s32 %r13, %r13, %r12; cvt.u16.u32 %rs1, %r1;"
                    "st.shared.u16 [%r13], %rs1; ld.shared.u16 %rs2, [%r13]; cvt.u32.u16 %r8, %rs2;" + done));
  // Even words of one warp, odd ones of the other, loads of both.
  const std::string stride = "shr.u32 %r11, %r1, 5; and.b32 %r12, %r1, 31; shl.b32 %r12, %r12, 3; shl.b32 %r11, %r11, 2; add.s32 %r12, %r12, %r11; mov.u32 %r13, tile; add.s32 %r13, %r13, %r12;";
  silent(run_shared(stride + "st.shared.u32 [%r13], %r1; ld.shared.u32 %r8, [%r13]; st.shared.u32 [%r13], %r8;" + done));
  // One word too far.
  CHECK(race(run_shared(stride + "st.shared.u32 [%r13], %r1; ld.shared.u32 %r8, [%r13]; st.shared.u32 [%r13+4], %r8;" + done)).has_value());
  // A vector of four words covers them all.
  const std::string wide = "shl.b32 %r12, %r1, 4; mov.u32 %r13, tile; add.s32 %r13, %r13, %r12; mov.u32 %r8, 0;\n";
  silent(run_shared(wide + "st.shared.v4.u32 [%r13], {%r1, %r1, %r1, %r1}; ld.shared.v2.u32 {%r8, %r20}, [%r13+8];" + done));
  CHECK(race(run_shared(wide + "st.shared.v4.u32 [%r13], {%r1, %r1, %r1, %r1}; setp.eq.u32 %p0, %r1, 0; @%p0 st.shared.u32 [tile+1020], %r1;" + done)).has_value());
}

TEST_CASE("race: a loop that lacks its second barrier") {
  const auto loop = [](const std::string& second) {
    return "mov.u32 %r8, 0; mov.u32 %r20, 0;\nL: add.s32 %r21, %r1, %r20; st.shared.u32 [%r10], %r21; bar.sync 0;\n"
           "xor.b32 %r11, %r9, 128; mov.u32 %r12, tile; add.s32 %r12, %r12, %r11; ld.shared.u32 %r13, [%r12]; add.s32 %r8, %r8, %r13;\n" + second +
           "add.s32 %r20, %r20, 1; setp.lt.u32 %p0, %r20, 5; @%p0 bra L;" + done;
  };
  silent(run_shared(loop("bar.sync 0;\n")));
  const auto f = race(run_shared(loop("")));
  REQUIRE(f.has_value());
  INFO(f->what);
  CHECK((has(f->what, "reads there") || has(f->what, " reads 4 bytes")));
  CHECK((has(f->what, "writes there") || has(f->what, " writes 4 bytes")));
}

TEST_CASE("race: many barriers, one race at the end") {
  const auto body = [](const std::string& last) {
    return "mov.u32 %r8, 0; mov.u32 %r20, 0;\nL: st.shared.u32 [%r10], %r20; bar.sync 0; xor.b32 %r11, %r9, 128; mov.u32 %r12, tile; add.s32 %r12, %r12, %r11; ld.shared.u32 %r8, [%r12]; bar.sync 0;"
           "add.s32 %r20, %r20, 1; setp.lt.u32 %p0, %r20, 9000; @%p0 bra L;\n" + last + done;
  };
  silent(run_shared(body("")));
  CHECK(race(run_shared(body("setp.eq.u32 %p1, %r1, 3; @%p1 st.shared.u32 [tile+128], %r1; setp.eq.u32 %p2, %r1, 32; @%p2 ld.shared.u32 %r8, [tile+128];"))).has_value());
}

// ---- partial order ------------------------------------------------------------------------

TEST_CASE("race: named barriers of a producer and a consumer") {
  // Warp 0 fills the tile, arrives at 1, and waits at 2 before it fills again.
  const auto body = [](const std::string& full, const std::string& empty) {
    return "mov.u32 %r20, 0; mov.u32 %r8, 0; setp.lt.u32 %p0, %r1, 32; @!%p0 bra CONSUMER;\n"
           "P: setp.eq.u32 %p1, %r20, 0; @%p1 bra FIRST; " + empty + "\nFIRST: add.s32 %r21, %r1, %r20; st.shared.u32 [%r10], %r21; " + full +
           "add.s32 %r20, %r20, 1; setp.lt.u32 %p2, %r20, 4; @%p2 bra P; bra OUT;\n"
           "CONSUMER: bar.sync 1, 64; ld.shared.u32 %r22, [%r10+-128]; add.s32 %r8, %r8, %r22; setp.eq.u32 %p3, %r20, 3; @%p3 bra OUT; bar.arrive 2, 64;\n"
           "add.s32 %r20, %r20, 1; bra CONSUMER;\nOUT:" + done;
  };
  silent(run_shared(body("bar.arrive 1, 64;", "bar.sync 2, 64;")));
  // Without the barrier for an empty tile the second filling races.
  const auto told = run_shared("mov.u32 %r8, 0; setp.lt.u32 %p0, %r1, 32; @!%p0 bra CONSUMER;\nst.shared.u32 [%r10], %r1; bar.arrive 1, 64; st.shared.u32 [%r10], %r1; add.s32 %r21, %r1, 1; st.shared.u32 [%r10], %r21; bra OUT;\n"
                               "CONSUMER: bar.sync 1, 64; ld.shared.u32 %r8, [%r10+-128];\nOUT:" + done);
  CHECK(race(told).has_value());
}

TEST_CASE("race: a barrier of two warps says nothing to the third") {
  const auto body = [](int reader) {
    return "mov.u32 %r8, 0; setp.ge.u32 %p0, %r1, 64; @%p0 bra T; setp.ge.u32 %p1, %r1, 32; @%p1 bra S; st.shared.u32 [%r10], %r1;\nS: bar.sync 1, 64;\nT: shr.u32 %r20, %r1, 5; setp.ne.u32 %p2, %r20, " + std::to_string(reader) +
           "; @%p2 bra OUT; and.b32 %r21, %r9, 127; mov.u32 %r22, tile; add.s32 %r22, %r22, %r21; ld.shared.u32 %r8, [%r22];\nOUT:" + done;
  };
  silent(run_shared(body(1), 96));
  CHECK(race(run_shared(body(2), 96, 2ull << 16)).has_value());
  CHECK(race(run_shared(body(2), 96)).has_value());
}

TEST_CASE("race: loads of four words, lane by lane, by halves and all the same, behind a barrier of two warps") {
  // Warp 0 stores, warp 1 loads in a loop that is long enough for native code to
  // know how its lanes lie, and left often enough for that; a third warp keeps the barrier from being everybody's.
  // In its second half the loop goes on behind what the barrier put in order.
  const auto body = [](unsigned lanes, const std::string& barrier, const std::string& after = "") {
    return "mov.u32 %r8, 0; and.b32 %r20, %r1, 31; and.b32 %r21, %r20, " + std::to_string(lanes) +
           "; shl.b32 %r21, %r21, 4; mov.u32 %r22, tile; add.s32 %r23, %r22, %r21; shl.b32 %r24, %r20, 4; add.s32 %r24, %r22, %r24;\n"
           "add.u32 %r29, %r1, 7; setp.ge.u32 %p0, %r1, 64; @%p0 bra OUT; setp.ge.u32 %p0, %r1, 32; @%p0 bra R;\n"
           "st.shared.v4.u32 [%r24], {%r1, %r20, %r1, %r20};\n" + barrier + "\n" + after + " bra OUT;\n"
           "R: ld.shared.u32 %r30, [flag]; " + barrier + " mov.u32 %r25, 0;\n"
           "L: ld.shared.v4.u32 {%r8, %r26, %r27, %r28}, [%r23]; add.u32 %r25, %r25, 1; setp.eq.u32 %p1, %r25, 1800; @%p1 add.u32 %r23, %r23, 512;\n"
           "bar.warp.sync -1; setp.lt.u32 %p1, %r25, 1900; @%p1 bra L;\nmov.u32 %r8, 0;\nOUT:" + done;
  };
  for (const unsigned lanes : {31u, 15u, 16u, 0u, 27u}) {
    CAPTURE(lanes);
    silent(run_shared(body(lanes, "bar.sync 1, 64;"), 96));
    for (const std::uint64_t seed : {0ull, 1ull << 16}) {
      CAPTURE(seed);
      CHECK(race(run_shared(body(lanes, ""), 96, seed)).has_value());
      // A store behind the barrier, before the loop is there or after it was.
      CHECK(race(run_shared(body(lanes, "bar.sync 1, 64;", "st.shared.u32 [%r24+512], %r29;"), 96, seed)).has_value());
      CHECK(race(run_shared(body(lanes, "bar.sync 1, 64;", "st.shared.u32 [%r24], %r29;"), 96, seed)).has_value());
    }
  }
}

TEST_CASE("race: flags in shared memory, with fences and without") {
  const auto body = [](const std::string& fence, const std::string& set, const std::string& get) {
    return "mov.u32 %r20, 0; mov.u32 %r8, 0; setp.eq.u32 %p0, %r1, 0; @%p0 st.shared.u32 [flag], %r20; bar.sync 0; setp.eq.u32 %p1, %r1, 40; setp.eq.u32 %p2, %r1, 3; @%p1 bra W; @%p2 bra R; bra OUT;\n"
           "W: mov.u32 %r21, 5; st.shared.u32 [tile+4], %r21; " + fence + " mov.u32 %r22, 1; " + set + " bra OUT;\n"
           "R: " + get + " setp.eq.u32 %p3, %r23, 0; @%p3 bra R; ld.shared.u32 %r8, [tile+4];\nOUT:" + done;
  };
  const std::string vset = "st.volatile.shared.u32 [flag], %r22;", vget = "ld.volatile.shared.u32 %r23, [flag];";
  silent(run_shared(body("membar.cta;", vset, vget)));
  silent(run_shared(body("membar.gl;", vset, vget)));
  silent(run_shared(body("fence.acq_rel.cta;", "st.relaxed.cta.shared.u32 [flag], %r22;", "ld.acquire.cta.shared.u32 %r23, [flag];")));
  silent(run_shared(body("", "st.release.cta.shared.u32 [flag], %r22;", "ld.acquire.cta.shared.u32 %r23, [flag];")));
  silent(run_shared(body("membar.cta;", "atom.shared.exch.b32 %r24, [flag], %r22;", "atom.shared.add.u32 %r23, [flag], 0;")));
  silent(run_shared(body("", "atom.release.cta.shared.exch.b32 %r24, [flag], %r22;", vget)));
  CHECK(race(run_shared(body("", vset, vget))).has_value());
  CHECK(race(run_shared(body("", "atom.shared.exch.b32 %r24, [flag], %r22;", "atom.shared.add.u32 %r23, [flag], 0;"))).has_value());
  CHECK(race(run_shared(body("membar.cta;", "st.shared.u32 [flag], %r22;", vget))).has_value());  // a flag set by a weak store
}

// ---- global memory ---------------------------------------------------------------------------

TEST_CASE("race: two CTAs store one element") {
  // Rows of 40 words in CTAs of 32 threads: %r0 / 2 gives each word two writers.
  const std::string half = "shr.u32 %r4, %r0, 1; mul.wide.u32 %rd1, %r4, 4; add.s64 %rd1, %p_0, %rd1;\n";
  silent(kit::launch(ctas("st.global.u32 [%rd0], %r0; ret;", 4, 64, 256)));
  const auto told = kit::launch(ctas("and.b32 %r4, %r0, 63; mul.wide.u32 %rd1, %r4, 4; add.s64 %rd1, %p_0, %rd1;\nst.global.u32 [%rd1], %r0; ret;", 2, 64, 64));
  const auto f = race(told);
  REQUIRE(f.has_value());
  INFO(f->what);
  CHECK(has(f->what, "writes element 0 of y (PTX line "));
  CHECK(has(f->what, "thread (0, 0, 0) of CTA (0, 0, 0)"));
  CHECK(has(f->what, "of CTA (1, 0, 0)"));
  CHECK(f->tensor == "y");
  CHECK(f->index == 0);
  // Within a CTA: two lanes of a warp, then two warps.
  CHECK(race(kit::launch(ctas(half + "st.global.u32 [%rd1], %r0; ret;", 1, 64, 64))).has_value());
  CHECK(race(kit::launch(ctas("and.b32 %r4, %r0, 31; mul.wide.u32 %rd1, %r4, 4; add.s64 %rd1, %p_0, %rd1;\nst.global.u32 [%rd1], %r0; ret;", 1, 64, 64))).has_value());
  silent(kit::launch(ctas("and.b32 %r4, %r0, 31; mul.wide.u32 %rd1, %r4, 4; add.s64 %rd1, %p_0, %rd1; setp.ge.u32 %p0, %r0, 32;\n@!%p0 st.global.u32 [%rd1], %r0; bar.sync 0; @%p0 st.global.u32 [%rd1], %r0; ret;", 1, 64, 64)));
  // Halves and bytes that share a word do not.
  silent(kit::launch(ctas("mul.wide.u32 %rd1, %r0, 2; add.s64 %rd1, %p_0, %rd1; cvt.u16.u32 %rs1, %r0;\nst.global.u16 [%rd1], %rs1; ret;", 33, 31, 1024)));
  silent(kit::launch(ctas("cvt.u64.u32 %rd1, %r0; add.s64 %rd1, %p_0, %rd1; cvt.u16.u32 %rs1, %r0;\nst.global.u8 [%rd1], %rs1; ret;", 33, 31, 512)));
}

TEST_CASE("race: accumulating without atomics, and with") {
  for (const std::uint64_t seed : {0ull, 3ull << 32 | 1}) {
    const std::string at = "and.b32 %r4, %r1, 31; mul.wide.u32 %rd1, %r4, 4; add.s64 %rd1, %p_1, %rd1;\n";
    const auto f = race(kit::launch(ctas(at + "ld.global.u32 %r5, [%rd1]; add.s32 %r5, %r5, %r0; st.global.u32 [%rd1], %r5; st.global.u32 [%rd0], %r0; ret;", 3, 32, 96, seed)));
    REQUIRE(f.has_value());
    CHECK(has(f->what, "no fence and atomic operation of their CTAs orders the two"));
    CHECK(f->tensor == "work");
    silent(kit::launch(ctas(at + "red.global.add.u32 [%rd1], %r0; st.global.u32 [%rd0], %r0; ret;", 3, 64, 192, seed)));
    silent(kit::launch(ctas(at + "atom.global.add.u32 %r5, [%rd1], %r0; st.global.u32 [%rd0], %r5; ret;", 3, 64, 192, seed)));
    // A plain load of what the others add to.
    CHECK(race(kit::launch(ctas(at + "red.global.add.u32 [%rd1], %r0; ld.global.u32 %r5, [%rd1]; st.global.u32 [%rd0], %r5; ret;", 3, 32, 96, seed))).has_value());
  }
}

TEST_CASE("race: the load that starts a loop of compare-and-swap is no race") {
  silent(kit::launch(ctas("ld.global.u32 %r5, [%p_1+8];\nL: add.s32 %r6, %r5, 3; atom.global.cas.b32 %r7, [%p_1+8], %r5, %r6; setp.ne.u32 %p0, %r7, %r5; mov.u32 %r5, %r7; @%p0 bra L; st.global.u32 [%rd0], %r0; ret;", 3, 64, 192)));
  CHECK(race(kit::launch(ctas("ld.global.u32 %r5, [%p_1+8];\nL: add.s32 %r6, %r5, 3; atom.global.cas.b32 %r7, [%p_1+12], %r5, %r6; setp.eq.u32 %p0, %r1, 3; @%p0 st.global.u32 [%p_1+8], %r6; st.global.u32 [%rd0], %r0; ret;", 3, 64, 192))).has_value());
}

namespace {

// Each CTA leaves a partial sum; the one that comes last adds them up.
std::string last_block(const std::string& before, const std::string& count, const std::string& after = "") {
  return "mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %p_1, %rd1;\nst.global.u32 [%rd1+64], %r0;\n" + before +
         "setp.ne.u32 %p0, %r1, 0; @%p0 bra WAIT; mov.u32 %r10, %nctaid.x; sub.s32 %r11, %r10, 1;\n" + count +
         "setp.eq.u32 %p1, %r4, %r11; selp.b32 %r5, 1, 0, %p1; st.shared.u32 [flag], %r5;\nWAIT: bar.sync 0; ld.shared.u32 %r6, [flag]; setp.eq.u32 %p2, %r6, 0; @%p2 bra OUT;\n" + after +
         "mov.u32 %r7, 0; mov.u32 %r8, 0; mov.u64 %rd3, %p_1;\nL: ld.global.u32 %r9, [%rd3+64]; add.s32 %r8, %r8, %r9; add.s64 %rd3, %rd3, 4; add.s32 %r7, %r7, 1; setp.lt.u32 %p3, %r7, 256; @%p3 bra L;\n"
         "mul.wide.u32 %rd4, %r1, 4; add.s64 %rd4, %p_0, %rd4; st.global.u32 [%rd4], %r8;\nOUT: ret;";
}

}  // namespace

TEST_CASE("race: the last block adds up what all left") {
  const std::string plain = "atom.global.add.u32 %r4, [%p_1], 1;\n";
  for (const std::uint64_t seed : {0ull, 5ull << 32 | 2}) {
    const auto judged = [&](const std::string& text) { return kit::launch(ctas(text, 4, 64, 64, seed)); };
    silent(judged(last_block("membar.gl; bar.sync 0;\n", plain)));
    silent(judged(last_block("bar.sync 0;\n", "membar.gl;\n" + plain)));
    silent(judged(last_block("fence.acq_rel.gpu; bar.sync 0;\n", plain, "fence.acq_rel.gpu;\n")));
    silent(judged(last_block("bar.sync 0;\n", "atom.acq_rel.gpu.global.add.u32 %r4, [%p_1], 1;\n")));
    silent(judged(last_block("bar.sync 0;\n", "atom.release.sys.global.add.u32 %r4, [%p_1], 1;\n")));
    // No fence; a fence for the CTA alone; a fence that the other warps lack.
    CHECK(race(judged(last_block("bar.sync 0;\n", plain))).has_value());
    CHECK(race(judged(last_block("membar.cta; bar.sync 0;\n", plain))).has_value());
    CHECK(race(judged(last_block("bar.sync 0;\n", "atom.acq_rel.cta.global.add.u32 %r4, [%p_1], 1;\n"))).has_value());
    CHECK(race(judged(last_block("membar.gl;\n", plain))).has_value());  // no barrier before the count
  }
}

TEST_CASE("race: CTAs in a chain learn from each other") {
  // Each waits for the flag of the one before it and reads the words of all before.
  const auto chain = [](const std::string& set) {
    return "mul.wide.u32 %rd1, %r2, 4; add.s64 %rd1, %p_1, %rd1; setp.eq.u32 %p0, %r2, 0; @%p0 bra GO;\nSPIN: ld.volatile.global.u32 %r5, [%rd1+-4]; setp.eq.u32 %p1, %r5, 0; @%p1 bra SPIN;\n"
           "GO: mov.u32 %r7, 0; mov.u32 %r8, 0;\nL: setp.ge.u32 %p2, %r7, %r2; @%p2 bra S; mul.wide.u32 %rd2, %r7, 4; add.s64 %rd2, %p_1, %rd2; ld.global.u32 %r9, [%rd2+256]; add.s32 %r8, %r8, %r9; add.s32 %r7, %r7, 1; bra L;\n"
           "S: add.s32 %r8, %r8, 1; st.global.u32 [%rd1+256], %r8; st.global.u32 [%rd0], %r8;\n" + set + "ret;";
  };
  auto good = ctas(chain("membar.gl; mov.u32 %r6, 1; st.volatile.global.u32 [%rd1], %r6;\n"), 6, 1, 6);
  good.most_instructions = 200'000'000;
  silent(kit::launch(good));
  CHECK(output(kit::launch(good)) == each(6, [](u32 i) { return 1u << i; }));
  good.seed = 1;
  silent(kit::launch(good));
  CHECK(race(kit::launch(ctas(chain("mov.u32 %r6, 1; st.volatile.global.u32 [%rd1], %r6;\n"), 6, 1, 6))).has_value());
}

TEST_CASE("race: global memory within a CTA is ordered by its barriers") {
  const auto body = [](const std::string& between) {
    return "st.global.u32 [%rd0], %r0;\n" + between + "xor.b32 %r4, %r0, 32; mul.wide.u32 %rd1, %r4, 4; add.s64 %rd1, %p_0, %rd1; ld.global.u32 %r5, [%rd1]; mul.wide.u32 %rd2, %r0, 4; add.s64 %rd2, %p_1, %rd2; st.global.u32 [%rd2], %r5; ret;";
  };
  silent(kit::launch(ctas(body("bar.sync 0;\n"), 3, 64, 192)));
  CHECK(race(kit::launch(ctas(body(""), 3, 64, 192))).has_value());
  // Before a store: loads that came before it in another warp.
  const std::string late = "ld.global.u32 %r5, [%p_1];\nst.global.u32 [%rd0], %r5; setp.eq.u32 %p0, %r1, 40;\n";
  CHECK(race(kit::launch(ctas(late + "@%p0 st.global.u32 [%p_1], %r1; ret;", 1, 64, 64))).has_value());
  silent(kit::launch(ctas(late + "bar.sync 0; @%p0 st.global.u32 [%p_1], %r1; ret;", 1, 64, 64)));
}

TEST_CASE("race: launches come one after the other") {
  const auto on = kit::device();
  REQUIRE(on->load(header + entry(start + "and.b32 %r4, %r0, 63; mul.wide.u32 %rd1, %r4, 4; add.s64 %rd1, %p_1, %rd1; setp.ge.u32 %p0, %r0, 64; @%p0 ret; ld.global.u32 %r5, [%rd0]; st.global.u32 [%rd1], %r5; ret;", 2)).ok());
  skillbench::job j;
  skillbench::buffer x, y;
  x.name = "x";
  x.elements = 64;
  y.name = "y";
  y.use = skillbench::role::output;
  y.elements = 64;
  j.buffers = {x, y};
  skillbench::launch l;
  l.entry = "k";
  l.block.x = 32;
  l.grid.x = 2;
  skillbench::kernel_argument a, b;
  a.value = 0;
  b.value = 1;
  l.args = {a, b};
  j.launches = {l, l};
  std::swap(j.launches[1].args[0].value, j.launches[1].args[1].value);
  j.launches[1].args[1].value = 1;  // y onto itself
  const auto told = on->run(j);
  REQUIRE(told.ok());
  for (const auto& f : told.value().findings) MESSAGE(f.what);
  CHECK(told.value().findings.empty());
}
