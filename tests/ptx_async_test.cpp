// ptx/async.hpp, ptx/guard.hpp and ptx/ops/async.hpp: copies of threads.

#include <random>

#include "ptx_launch.hpp"

using namespace kit;

namespace {

// A kernel with an input x of n words, 0x01020300 + index, beside the output.
request copying(const std::string& body, std::size_t in, std::size_t out, const std::string& declare = ".shared .align 16 .b8 tile[4096];") {
  request r;
  r.ptx = header + kit::entry(body, 2, 0, declare);
  r.entry = "k";
  r.cta.x = 32;
  std::vector<u32> x;
  for (u32 i = 0; i < in; ++i) x.push_back(0x01020300 + i * 0x01010101);
  r.blocks.push_back({"y", true, false, 4, std::string(4 * out, '\0')});
  r.blocks.push_back({"x", false, true, 4, bytes_of(x)});
  return r;
}

// %rd1 where the thread's 16 bytes of x lie, %r10 where its 16 bytes of the tile do.
const std::string places = start + "mov.u32 %r11, tile; mad.lo.s32 %r10, %r1, 16, %r11; mul.wide.u32 %rd1, %r0, 16; add.s64 %rd1, %p_1, %rd1;\n";

u32 word(u32 i) { return 0x01020300 + i * 0x01010101; }

}  // namespace

TEST_CASE("async: cp.async moves 4, 8 and 16 bytes, with and without a size of the source") {
  for (const u32 bytes : {4u, 8u, 16u})
    for (const int part : {-1, 0, 1, 3, 4, 7, 8, 12, 15, 16}) {
      if (part > static_cast<int>(bytes)) continue;
      for (const bool immediate : {false, true}) {
        std::string size = part < 0 ? "" : immediate ? ", " + std::to_string(part) : ", %r12";
        auto r = copying(places + "mov.u32 %r12, " + std::to_string(part) + "; cp.async.ca.shared.global [%r10], [%rd1], " + std::to_string(bytes) + size +
                             "; cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r4, [%r10]; st.global.u32 [%rd0], %r4;"
                             "mov.u32 %r5, 0; setp.lt.u32 %p0, " + std::to_string(bytes) + ", 16; @!%p0 ld.shared.u32 %r5, [%r10+12]; st.global.u32 [%rd0+128], %r5; ret;",
                         128, 64);
        INFO(bytes << " " << part << immediate);
        const auto kept = [&](u32 v, int first) {
          for (int i = 0; i < 4; ++i)
            if (part >= 0 && first + i >= part) v &= ~(0xffu << (8 * i));
          return v;
        };
        CHECK(run(r) == each(64, [&](u32 i) { return i < 32 ? kept(word(i * 4), 0) : bytes < 16 ? 0u : kept(word((i - 32) * 4 + 3), 12); }));
      }
    }
}

TEST_CASE("async: modifiers of caches, policies, ignored sources and named targets") {
  for (const std::string copy : {"cp.async.cg.shared.global [%r10], [%rd1], 16", "cp.async.cg.shared::cta.global.L2::128B [%r10], [%rd1], 16",
                                 "cp.async.ca.shared.global.L2::cache_hint.L2::256B [%r10], [%rd1], 16, 16, %rd9", "cp.async.ca.shared.global.L2::cache_hint [%r10], [%rd1], 16, %rd9",
                                 "setp.ne.s32 %p1, %r1, %r1; cp.async.cg.shared.global [%r10], [%rd1], 16, %p1",
                                 "setp.eq.s32 %p1, %r1, %r1; cp.async.cg.shared.global [%r10], [%rd1], 16, !%p1", "cvt.u64.u32 %rd8, %r10; cp.async.cg.shared.global [%rd8], [%rd1], 16"}) {
    INFO(copy);
    CHECK(run(copying(places + copy + "; cp.async.wait_all; ld.shared.u32 %r4, [%r10+4]; st.global.u32 [%rd0], %r4; ret;", 128, 32)) == each(32, [](u32 i) { return word(i * 4 + 1); }));
  }
  // An ignored source is not looked at, wherever it points.
  CHECK(run(copying(places + "setp.gt.u32 %p1, %r1, 3; cp.async.cg.shared.global [%r10], [%rd1], 16, %p1; cp.async.wait_all; ld.shared.u32 %r4, [%r10+4]; st.global.u32 [%rd0], %r4; ret;", 16, 32)) ==
        each(32, [](u32 i) { return i < 4 ? word(i * 4 + 1) : 0; }));
  CHECK(run(copying(places + "setp.eq.u32 %p1, %r1, 0; @%p1 cp.async.ca.shared.global [tile+16], [%rd1+4], 4; @%p1 cp.async.wait_all; bar.sync 0; ld.shared.u32 %r4, [tile+16]; st.global.u32 [%rd0], %r4; ret;", 8, 32)) ==
        each(32, [](u32) { return word(1); }));
  // Dynamic shared memory, by name.
  auto r = copying(start + "mul.wide.u32 %rd1, %r0, 16; add.s64 %rd1, %p_1, %rd1; setp.eq.u32 %p1, %r1, 5; @%p1 cp.async.ca.shared.global [more+8], [%rd1], 8; @%p1 cp.async.wait_all; bar.sync 0; mov.u32 %r5, more; ld.shared.u32 %r4, [%r5+12]; st.global.u32 [%rd0], %r4; ret;",
                   128, 32, ".shared .align 16 .b8 tile[20];");
  r.ptx = header + ".extern .shared .align 16 .b8 more[];\n" + r.ptx.substr(header.size());
  r.shared_bytes = 16;
  CHECK(run(r) == each(32, [](u32) { return word(21); }));
}

TEST_CASE("async: a wait covers all but the latest groups, each thread its own") {
  // Four groups; lane l waits for all but l % 4 of them and reads the oldest and
  // the youngest that have landed.
  const std::string four = places + "cp.async.ca.shared.global [%r10], [%rd1], 4; cp.async.commit_group; cp.async.ca.shared.global [%r10+4], [%rd1+4], 4; cp.async.commit_group;"
                           "cp.async.ca.shared.global [%r10+8], [%rd1+8], 4; cp.async.commit_group; cp.async.ca.shared.global [%r10+12], [%rd1+12], 4; cp.async.commit_group;";
  for (int pending = 0; pending < 4; ++pending) {
    const std::string n = std::to_string(pending);
    auto r = copying(four + "cp.async.wait_group " + n + "; ld.shared.u32 %r4, [%r10+" + std::to_string(4 * (3 - pending)) + "]; st.global.u32 [%rd0], %r4; ret;", 128, 32);
    CHECK(run(r) == each(32, [&](u32 i) { return word(i * 4 + 3 - static_cast<u32>(pending)); }));
    if (!pending) continue;
    auto early = copying(four + "cp.async.wait_group " + n + "; ld.shared.u32 %r4, [%r10+" + std::to_string(4 * (4 - pending)) + "]; st.global.u32 [%rd0], %r4; ret;", 128, 32);
    const auto told = launch(early);
    REQUIRE(told.findings.size() == 1);
    CHECK(told.findings[0].kind == code::in_flight_access);
    CHECK(told.findings[0].count == 32);
  }
  // Half of the lanes commit twice: their group 0 is covered by wait_group 1.
  auto r = copying(places + "and.b32 %r4, %r1, 1; setp.eq.u32 %p0, %r4, 0; cp.async.ca.shared.global [%r10], [%rd1], 4; cp.async.commit_group; @%p0 cp.async.commit_group; cp.async.wait_group 1;"
                            "mov.u32 %r5, 7; @%p0 ld.shared.u32 %r5, [%r10]; st.global.u32 [%rd0], %r5; ret;", 128, 32);
  CHECK(run(r) == each(32, [](u32 i) { return i % 2 ? 7 : word(i * 4); }));
  r = copying(places + "and.b32 %r4, %r1, 1; setp.eq.u32 %p0, %r4, 0; cp.async.ca.shared.global [%r10], [%rd1], 4; cp.async.commit_group; @%p0 cp.async.commit_group; cp.async.wait_group 1;"
                       "ld.shared.u32 %r5, [%r10]; st.global.u32 [%rd0], %r5; ret;", 128, 32);
  const auto told = launch(r);
  const auto* f = find(told, code::in_flight_access);
  REQUIRE(f);
  CHECK(f->count == 16);
  CHECK(has(f->what, "thread (1, 0, 0) of CTA (0, 0, 0) reads 4 bytes of shared memory at 0x10: there the asynchronous copy of PTX line"));
}

TEST_CASE("async: reading or overwriting a target in flight, by whatever instruction") {
  struct wrong { std::string then; std::string words; };
  const wrong all[] = {{"ld.shared.u32 %r4, [%r10]", "reads 4 bytes"},
                       {"ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r10]", "reads 16 bytes"},
                       {"ld.shared.u8 %r4, [%r10+15]", "reads 1 byte"},
                       {"cvt.u64.u32 %rd8, %r10; cvta.shared.u64 %rd8, %rd8; ld.u64 %rd9, [%rd8+8]", "reads 8 bytes"},
                       {"st.shared.u16 [%r10+2], 5", "writes 2 bytes"},
                       {"cvt.u64.u32 %rd8, %r10; cvta.shared.u64 %rd8, %rd8; st.u64 [%rd8+8], %rd8", "writes 8 bytes"},
                       {"atom.shared.add.u32 %r4, [%r10+4], 5", "writes 4 bytes"},
                       {"red.shared.add.u32 [%r10+4], 5", "writes 4 bytes"},
                       {"cp.async.ca.shared.global [%r10+8], [%rd1], 4", "writes 4 bytes"}};
  for (const wrong& one : all) {
    INFO(one.then);
    const std::string copy = "cp.async.cg.shared.global [%r10], [%rd1], 16; ";
    const auto told = launch(copying(places + copy + one.then + "; cp.async.wait_all; ret;", 128, 32));
    CHECK(told.trouble == "");
    const auto* f = find(told, code::in_flight_access);
    REQUIRE(f);
    CHECK(has(f->what, one.words));
    CHECK(has(f->what, "there the asynchronous copy of PTX line"));
    CHECK(told.findings.size() == 1);
    // Waited for, it is right; so is another thread's part.
    CHECK(launch(copying(places + copy + "cp.async.wait_all; " + one.then + "; cp.async.wait_all; ret;", 128, 32)).findings.empty());
  }
  // Memory beside the target is free.
  CHECK(launch(copying(places + "cp.async.ca.shared.global [%r10], [%rd1], 8; st.shared.u32 [%r10+8], 5; ld.shared.u32 %r4, [%r10+8]; st.shared.u32 [%r10+12], %r4; ret;", 128, 32)).findings.empty());
}

TEST_CASE("async: after the end of a CTA nothing is in flight") {
  auto r = copying(places + "setp.eq.u32 %p0, %r2, 0; @%p0 cp.async.cg.shared.global [%r10], [%rd1], 16; @%p0 ret; st.shared.u32 [%r10], 3; ld.shared.u32 %r4, [%r10]; st.global.u32 [%rd0], %r4; ret;", 256, 64);
  r.grid.x = 2;
  const auto told = launch(r);
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  CHECK(output(told)[40] == 3);
}

TEST_CASE("async: what a copy may not do") {
  struct wrong { std::string copy; code kind; std::string words; };
  const wrong all[] = {{"cp.async.cg.shared.global [%r10], [%rd1+8], 16", code::misaligned, "reads 16 bytes of global memory"},
                       {"cp.async.cg.shared.global [%r10+8], [%rd1], 16", code::misaligned, "writes 16 bytes of shared memory"},
                       {"cp.async.cg.shared.global [%r10], [%rd1+2048], 16", code::out_of_bounds, "past the end of x"},
                       {"cp.async.ca.shared.global [%r10], [%rd1+2048], 4, 1", code::out_of_bounds, "past the end of x"},
                       {"cp.async.cg.shared.global [%r10+4096], [%rd1], 16", code::out_of_bounds, "of shared memory at 0x1000"},
                       {"mov.u32 %r12, 17; cp.async.cg.shared.global [%r10], [%rd1], 16, %r12", code::invalid_access, "cannot take more than it has"},
                       {"cp.async.cg.shared.global [%r40], [%rd1], 16", code::undefined_value, "an address"},
                       {"cp.async.cg.shared.global [%r10], [%rd40], 16", code::undefined_value, "an address"},
                       {"cp.async.cg.shared.global [%r10], [%rd1], 16, %r40", code::undefined_value, "the size of a copy"},
                       {"cp.async.cg.shared.global [%r10], [%rd1], 16, %p20", code::undefined_value, "the size of a copy"}};
  for (const wrong& one : all) {
    INFO(one.copy);
    const auto told = launch(copying(places + one.copy + "; cp.async.wait_all; ret;", 128, 32));
    CHECK(told.trouble == "");
    const auto* f = find(told, one.kind);
    REQUIRE(f);
    CHECK(has(f->what, one.words));
  }
  // Undefined bytes arrive as such.
  auto r = copying(places + "cp.async.ca.shared.global [%r10], [%rd0], 4; cp.async.wait_all; ld.shared.u32 %r4, [%r10]; st.global.u32 [%rd0], %r4; ret;", 128, 32);
  r.blocks[0].defined = false;
  CHECK(launch(r).shadows[0] == std::string(128, '\2'));
  for (const std::string form : {"cp.async.cg.shared.global [%r10], [%rd1], 8;", "cp.async.ca.shared.global [%r10], [%rd1], 12;", "cp.async.ca.shared.global [%r10], [%rd1], %r1;", "cp.async.ca.shared.shared [%r10], [%r10], 4;",
                                 "cp.async.wait_group %r1;", "cp.sync.ca.shared.global [%r10], [%rd1], 4;", "cp.async.ca.shared.global [%r10], [%rd1], 4, %rd1;"}) {
    INFO(form);
    CHECK(has(launch(copying(places + form + " ret;", 128, 32)).trouble, "not supported by the PTX machine: cp."));
  }
}

TEST_CASE("async: a pipeline of two stages, several warps and CTAs") {
  // Each CTA of 64 sums 8 tiles of 64 words, one tile ahead.
  const std::string body =
      start + "mov.u32 %r11, tile; mad.lo.s32 %r10, %r1, 4, %r11; mul.lo.s32 %r12, %r2, 512; add.s32 %r12, %r12, %r1; mul.wide.u32 %rd1, %r12, 4; add.s64 %rd1, %p_1, %rd1; mov.u32 %r13, 0; mov.u32 %r14, 0;"
              "cp.async.ca.shared.global [%r10], [%rd1], 4; cp.async.commit_group;\n"
              "LOOP: add.s32 %r15, %r14, 1; setp.lt.u32 %p0, %r15, 8; and.b32 %r16, %r15, 1; mad.lo.s32 %r17, %r16, 256, %r10; mul.wide.u32 %rd2, %r15, 256; add.s64 %rd2, %rd1, %rd2;"
              "@%p0 cp.async.ca.shared.global [%r17], [%rd2], 4; cp.async.commit_group; cp.async.wait_group 1; bar.sync 0; and.b32 %r18, %r14, 1; xor.b32 %r19, %r1, 63;"
              "mad.lo.s32 %r20, %r19, 4, %r11; mad.lo.s32 %r20, %r18, 256, %r20; ld.shared.u32 %r21, [%r20]; add.s32 %r13, %r13, %r21; bar.sync 0; mov.u32 %r14, %r15; @%p0 bra LOOP;\n"
              "st.global.u32 [%rd0], %r13; ret;";
  auto r = copying(body, 4 * 512, 4 * 64);
  r.cta.x = 64;
  r.grid.x = 4;
  CHECK(run(r) == each(4 * 64, [](u32 i) {
          u32 sum = 0;
          for (u32 t = 0; t < 8; ++t) sum += word(i / 64 * 512 + t * 64 + 63 - i % 64);
          return sum;
        }));
  // Without the second barrier a stage may be overwritten while it is read; with
  // one group too many allowed in flight, the tile is read too early.
  auto early = r;
  const auto at = early.ptx.find("wait_group 1");
  early.ptx.replace(at, 12, "wait_group 2");
  CHECK(find(launch(early), code::in_flight_access));
}
