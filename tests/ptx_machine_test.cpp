// Waiting, undefined values, memory that is not there, and how launches end.

#include "ptx_launch.hpp"

using namespace kit;

// ---- waiting by spinning ---------------------------------------------------------------

TEST_CASE("machine: a warp that spins sees what another writes") {
  auto r = kernel(start + "setp.eq.u32 %p0, %r1, 40; @!%p0 bra WAITERS; mov.u32 %r4, 1; mov.u32 %r5, 123; st.shared.u32 [tile+4], %r5; membar.cta; st.volatile.shared.u32 [tile], %r4; bra OUT;\n"
                          "WAITERS: ld.volatile.shared.u32 %r6, [tile]; setp.eq.u32 %p1, %r6, 1; @!%p1 bra WAITERS;\nOUT: ld.shared.u32 %r7, [tile+4]; st.global.u32 [%rd0], %r7; ret;",
                  64, ".shared .align 4 .b8 tile[8];");
  r.cta.x = 64;
  // The flag starts unwritten: its value is nobody's, which is told.
  const auto told = kit::launch(r);
  CHECK(find(told, code::undefined_value));
  const std::string reset = "setp.eq.u32 %p3, %r1, 0; @!%p3 bra R; mov.u32 %r9, 0; st.shared.u32 [tile], %r9;\nR: bar.sync 0;\n";
  auto good = r;
  good.ptx = kit::header + kit::entry(start + reset + r.ptx.substr(r.ptx.find("setp.eq.u32 %p0"), r.ptx.rfind("ret;") + 4 - r.ptx.find("setp.eq.u32 %p0")), 1, 0, ".shared .align 4 .b8 tile[8];");
  CHECK(run(good) == each(64, [](u32) { return 123; }));
}

TEST_CASE("machine: a CTA that spins is released by a later one") {
  for (const std::uint64_t seed : {0ull, 5ull << 32 | 3, 12345ull}) {
    // Each CTA but the last waits for the flag of the next.
    auto r = kernel(start + "mov.u32 %r4, %nctaid.x; sub.s32 %r4, %r4, 1; setp.eq.u32 %p0, %r2, %r4; @%p0 bra GO;\n"
                            "SPIN: ld.acquire.gpu.global.u32 %r5, [%p_1+4]; setp.eq.u32 %p1, %r5, 0; @%p1 bra SPIN;\nGO: setp.ne.u32 %p2, %r1, 0; @%p2 bra END;\n"
                            "mov.u32 %r6, 1; st.release.gpu.global.u32 [%p_1], %r6;\nEND: st.global.u32 [%rd0], %r2; ret;", 128);
    r.ptx = kit::header + kit::entry(start + "mov.u32 %r4, %nctaid.x; sub.s32 %r4, %r4, 1; mul.wide.u32 %rd1, %r2, 4; add.s64 %rd1, %p_1, %rd1; setp.eq.u32 %p0, %r2, %r4; @%p0 bra GO;\n"
                                     "SPIN: ld.acquire.gpu.global.u32 %r5, [%rd1+4]; setp.eq.u32 %p1, %r5, 0; @%p1 bra SPIN;\nGO: bar.sync 0; setp.ne.u32 %p2, %r1, 0; @%p2 bra END;\n"
                                     "mov.u32 %r6, 1; st.release.gpu.global.u32 [%rd1], %r6;\nEND: st.global.u32 [%rd0], %r2; ret;", 2);
    r.grid.x = 4;
    r.seed = seed;
    r.most_instructions = 200'000'000;
    r.blocks.push_back({"flags", true, true, 4, std::string(16, '\0')});
    CHECK(run(r) == each(128, [](u32 i) { return i / 32; }));
  }
}

TEST_CASE("machine: a lock between lanes of a warp is no deadlock") {
  auto r = kernel(start + "LOCK: atom.global.cas.b32 %r4, [%p_1], 0, 1; setp.ne.u32 %p0, %r4, 0; @%p0 bra LOCK; ld.global.u32 %r5, [%p_1+4]; add.s32 %r5, %r5, %r1; st.global.u32 [%p_1+4], %r5;"
                          "st.global.u32 [%rd0], %r1; membar.gl; atom.global.exch.b32 %r6, [%p_1], 0; ret;", 64);
  r.ptx = kit::header + kit::entry(r.ptx.substr(r.ptx.find("mov.u32 %r1, %tid.x"), r.ptx.rfind("ret;") + 4 - r.ptx.find("mov.u32 %r1, %tid.x")), 2);
  r.cta.x = 64;
  r.blocks.push_back({"lock", true, true, 4, std::string(8, '\0')});
  const auto told = kit::launch(r);
  CHECK(told.trouble == "");
  for (const auto& f : told.findings) MESSAGE(f.what);
  CHECK(told.findings.empty());
  CHECK(output(told, 1) == std::vector<u32>{0, 63 * 32});
}

// ---- values that nobody made -------------------------------------------------------------------

TEST_CASE("machine: an undefined value is told where it matters, with its line") {
  struct wrong { std::string body, as; };
  const wrong all[] = {{"mul.wide.u32 %rd1, %r40, 4; add.s64 %rd1, %p_0, %rd1;\nst.global.u32 [%rd1], %r1; ret;", "an address"},
                       {"ld.shared.u32 %r4, [%r41]; ret;", "an address"},
                       {"setp.eq.u32 %p0, %r40, 3;\n@%p0 bra X;\nX: ret;", "the condition of a branch"},
                       {"@%p9 st.global.u32 [%rd0], %r1; ret;", "the condition of a store"},
                       {"bar.warp.sync %r40; ret;", "a member mask"}};
  for (const wrong& w : all) {
    const auto told = kit::launch(kernel(start + w.body, 32, ".shared .align 4 .b8 tile[4];"));
    INFO(w.body);
    const auto* f = find(told, code::undefined_value);
    REQUIRE(f);
    CHECK(has(f->what, w.as));
    CHECK(has(f->what, "thread (0, 0, 0) of CTA (0, 0, 0)"));
    CHECK(f->ptx_line.value_or(0) > 10);
  }
}

TEST_CASE("machine: an undefined value in an output is marked byte by byte") {
  auto r = kernel(start + "setp.lt.u32 %p0, %r1, 16; @%p0 mov.u32 %r4, 7; st.global.u32 [%rd0], %r4; ret;", 32);
  const auto told = kit::launch(r);
  CHECK(told.findings.empty());
  CHECK(told.shadows[0] == std::string(64, '\0') + std::string(64, '\2'));
}

TEST_CASE("machine: undefined halves that never leave are no alarm") {
  // A vector of two halves of which one is never written, masked and moved on.
  auto r = kernel(start + "cvt.u16.u32 %rs0, %r1; mov.b32 %r4, {%rs0, %rs9}; add.rn.f16x2 %r5, %r4, %r4; and.b32 %r6, %r4, 0xffff; prmt.b32 %r7, %r4, 0, 0x4410; shl.b32 %r8, %r4, 16; mov.b32 {%rs1, %rs2}, %r5;"
                          "cvt.u32.u16 %r9, %rs1; lop3.b32 %r10, %r4, 0xffff, %r1, 0xc0; xor.b32 %r6, %r6, %r7; add.s32 %r6, %r6, %r8; add.s32 %r6, %r6, %r10; sub.s32 %r6, %r6, %r9; add.s32 %r6, %r6, %r9; st.global.u32 [%rd0], %r6; ret;", 32);
  CHECK(run(r) == each(32, [](u32 i) { return (i << 16) + i; }));
  // A store of the whole pair does mark its upper half.
  const auto told = kit::launch(kernel(start + "cvt.u16.u32 %rs0, %r1; mov.b32 %r4, {%rs0, %rs9}; st.global.u32 [%rd0], %r4; ret;", 32));
  CHECK(told.shadows[0].substr(0, 4) == std::string("\0\0\2\2", 4));
}

TEST_CASE("machine: shared memory remembers which bytes were written") {
  auto r = kernel(start + "setp.eq.u32 %p0, %r1, 0; @%p0 st.shared.u16 [tile], 5; bar.sync 0; ld.shared.u16 %rs1, [tile]; cvt.u32.u16 %r4, %rs1; st.global.u32 [%rd0], %r4; ret;", 32, ".shared .align 4 .b8 tile[4];");
  CHECK(output(kit::launch(r)) == each(32, [](u32) { return 5; }));
  CHECK(kit::launch(r).shadows[0] == std::string(128, '\0'));
  auto wide = kernel(start + "setp.eq.u32 %p0, %r1, 0; mov.u16 %rs0, 5; @%p0 st.shared.u16 [tile], %rs0; bar.sync 0; ld.shared.u32 %r4, [tile]; st.global.u32 [%rd0], %r4; ret;", 32, ".shared .align 4 .b8 tile[4];");
  CHECK(kit::launch(wide).shadows[0].substr(0, 8) == std::string("\0\0\2\2\0\0\2\2", 8));
  // The next CTA starts with nothing written.
  auto second = kernel(start + "setp.eq.u32 %p0, %r2, 0; @!%p0 bra L; st.shared.u32 [tile], %r1;\nL: ld.shared.u32 %r4, [tile]; st.global.u32 [%rd0], %r4; ret;", 64, ".shared .align 4 .b8 tile[4];");
  second.grid.x = 2;
  CHECK(kit::launch(second).shadows[0] == std::string(128, '\0') + std::string(128, '\2'));
}

TEST_CASE("machine: local memory is a lane's own and starts undefined") {
  auto r = kernel(start + "st.local.u32 [own+4], %r1; ld.local.u32 %r4, [own+4]; ld.local.u32 %r5, [own]; st.global.u32 [%rd0], %r4; setp.eq.u32 %p0, %r1, 3; @%p0 st.global.u32 [%rd0], %r5; ret;", 32, ".local .align 4 .b8 own[8];");
  const auto told = kit::launch(r);
  CHECK(told.shadows[0][12] == '\2');
  CHECK(told.shadows[0][16] == '\0');
  CHECK(output(told)[31] == 31);
}

// ---- memory that is not there ---------------------------------------------------------------------

TEST_CASE("machine: out of bounds, with tensor, element and thread") {
  struct wrong { std::string body; code kind; std::string words; };
  const wrong all[] = {
      {"setp.eq.u32 %p0, %r1, 5; @%p0 st.global.u32 [%p_0+128], %r1; ret;", code::out_of_bounds, "just past the end of y (128 bytes; element 32 of 32)"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 ld.global.u32 %r4, [%p_0+-4]; ret;", code::out_of_bounds, "4 bytes before the start of y (128 bytes; element -1 of 32)"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 ld.global.v2.u32 {%r4, %r5}, [%p_0+136]; ret;", code::out_of_bounds, "8 bytes past the end of y"},
      {"mov.u64 %rd1, 1099511627776; add.s64 %rd1, %p_0, %rd1; setp.eq.u32 %p0, %r1, 5; @%p0 ld.global.u32 %r4, [%rd1]; ret;", code::invalid_access, "belongs to nothing"},
      {"mov.u64 %rd1, 0; setp.eq.u32 %p0, %r1, 5; @%p0 st.global.u32 [%rd1], %r1; ret;", code::invalid_access, "belongs to nothing"},
      {"mov.u64 %rd1, -8; setp.eq.u32 %p0, %r1, 5; @%p0 ld.u64 %rd2, [%rd1]; ret;", code::out_of_bounds, "parameter memory"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 st.shared.u32 [tile+8], %r1; ret;", code::out_of_bounds, "of shared memory at 0x8: the CTA has 8 bytes of it"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 ld.local.u32 %r4, [own+64]; ret;", code::out_of_bounds, "of local memory"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 ld.param.u64 %rd1, [p0+8]; ret;", code::out_of_bounds, "the kernel has 8 bytes of it"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 ld.param.u64 %rd1, [p0+1000000]; ret;", code::out_of_bounds, "the kernel has 8 bytes of it"},
      {"add.s64 %rd1, %p_0, 2; setp.eq.u32 %p0, %r1, 5; @%p0 ld.global.u32 %r4, [%rd1]; ret;", code::misaligned, "the address is not a multiple of 4"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 ld.shared.v2.u32 {%r4, %r5}, [tile+4]; ret;", code::misaligned, "the address is not a multiple of 8"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 atom.global.add.u32 %r4, [%p_0+128], 1; ret;", code::out_of_bounds, "just past the end of y"},
      {"setp.eq.u32 %p0, %r1, 5; @%p0 red.shared.add.u32 [tile+8], 1; ret;", code::out_of_bounds, "shared memory"}};
  for (const wrong& w : all) {
    const auto told = kit::launch(kernel(start + w.body, 32, ".shared .align 8 .b8 tile[8];\n.local .align 4 .b8 own[8];"));
    INFO(w.body);
    CHECK(told.trouble == "");
    const auto* f = find(told, w.kind);
    REQUIRE(f);
    INFO(f->what);
    CHECK(has(f->what, w.words));
    CHECK(has(f->what, "thread (5, 0, 0)"));
    CHECK(f->count == 1);
  }
  // 32 threads at one instruction are one finding.
  const auto told = kit::launch(kernel(start + "st.global.u32 [%rd0+128], %r1; ret;", 32));
  REQUIRE(told.findings.size() == 1);
  CHECK(told.findings[0].count == 32);
  CHECK(told.findings[0].tensor == "y");
  CHECK(told.findings[0].index == 32);
}

TEST_CASE("machine: an input may not be written") {
  auto r = kernel(start + "st.global.u32 [%p_0], %r1; ret;", 32);
  r.blocks[0].writable = false;
  r.blocks[0].defined = true;
  const auto told = kit::launch(r);
  REQUIRE(find(told, code::writes_input));
  CHECK(has(find(told, code::writes_input)->what, "inside y"));
  CHECK(output(told)[0] == 0);
}

// ---- ends ------------------------------------------------------------------------------------------

TEST_CASE("machine: trap ends the launch and says who") {
  auto r = kernel(start + "setp.eq.u32 %p0, %r0, 70; @%p0 trap; st.global.u32 [%rd0], %r1; ret;", 96);
  r.grid.x = 3;
  const auto told = kit::launch(r);
  REQUIRE(find(told, code::trap));
  CHECK(has(find(told, code::trap)->what, "thread (6, 0, 0) of CTA (2, 0, 0)"));
}

TEST_CASE("machine: a runaway is too slow, not a hang") {
  auto r = kernel(start + "L: bra L;", 1);
  r.most_instructions = 100'000;
  CHECK(has(kit::launch(r).trouble, "too_slow: stopped after"));
}

TEST_CASE("machine: memory has a bound") {
  auto r = kernel("mov.u32 %r1, %ctaid.x; mul.wide.u32 %rd0, %r1, 65536; add.s64 %rd0, %p_0, %rd0; st.global.u32 [%rd0], %r1; ret;", 0);
  r.blocks[0].bytes.assign(std::size_t{1} << 28, '\0');
  r.grid.x = 4000;
  r.cta.x = 1;
  CHECK(has(kit::launch(r).trouble, "too_large"));
}

TEST_CASE("machine: what it does not know is named with its line, and only when reached") {
  auto r = kernel(start + "setp.eq.u32 %p0, %r1, 99; @%p0 bra NEVER; st.global.u32 [%rd0], %r1; ret;\nNEVER: tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%rd0, {%f0, %f1}]; ret;", 32);
  CHECK(run(r) == each(32, [](u32 i) { return i; }));
  auto reached = kernel("\n\nfrobnicate.global.u32 %r1;\nret;", 1);
  const auto told = kit::launch(reached);
  CHECK(has(told.trouble, "not_supported: not supported by the PTX machine: frobnicate.global.u32 (PTX line "));
}

// ---- through the device ---------------------------------------------------------------------------------

namespace {

skillbench::job one_job(std::int64_t elements = 64) {
  skillbench::job j;
  skillbench::buffer x, y;
  x.name = "x";
  x.elements = elements;
  y.name = "y";
  y.use = skillbench::role::output;
  y.elements = elements;
  j.buffers = {x, y};
  skillbench::launch l;
  l.entry = "k";
  l.block.x = 64;
  skillbench::kernel_argument a, b;
  a.value = 0;
  a.name = "x";
  b.value = 1;
  b.name = "y";
  l.args = {a, b};
  j.launches = {l};
  return j;
}

const std::string copies = kit::header + kit::entry("mov.u32 %r0, %tid.x; mul.wide.u32 %rd0, %r0, 4; add.s64 %rd1, %p_0, %rd0; add.s64 %rd2, %p_1, %rd0; ld.global.f32 %f0, [%rd1]; st.global.f32 [%rd2], %f0; ret;", 2);

}  // namespace

TEST_CASE("device: outputs come back, and what was not written is counted") {
  const auto on = kit::device();
  REQUIRE(on->load(copies).ok());
  auto j = one_job();
  auto told = on->run(j);
  REQUIRE(told.ok());
  CHECK(told.value().findings.empty());
  REQUIRE(told.value().outputs.size() == 1);
  CHECK(told.value().outputs[0].bytes.size() == 256);
  CHECK(told.value().counted.warp_instructions > 0);

  j.launches[0].block.x = 33;
  told = on->run(j);
  REQUIRE(told.value().findings.size() == 1);
  CHECK(told.value().findings[0].kind == code::unwritten_output);
  CHECK(has(told.value().findings[0].what, "31 of 64 elements of y were never written, the first at index 33"));
  CHECK(told.value().findings[0].index == 33);
}

TEST_CASE("device: an undefined output is told with its first index") {
  const auto on = kit::device();
  REQUIRE(on->load(kit::header + kit::entry("mov.u32 %r0, %tid.x; mul.wide.u32 %rd0, %r0, 4; add.s64 %rd2, %p_1, %rd0; setp.lt.u32 %p0, %r0, 10; @%p0 mov.f32 %f0, 0f3f800000; st.global.f32 [%rd2], %f0; ret;", 2)).ok());
  const auto told = on->run(one_job());
  REQUIRE(told.value().findings.size() == 1);
  CHECK(told.value().findings[0].kind == code::undefined_output);
  CHECK(has(told.value().findings[0].what, "54 of 64 elements of y"));
  CHECK(told.value().findings[0].index == 10);
}

TEST_CASE("device: launches that a driver refuses") {
  const auto on = kit::device();
  REQUIRE(on->load(copies).ok());
  const auto refused = [&](auto change) -> std::string {
    auto j = one_job();
    change(j.launches[0]);
    const auto told = on->run(j);
    REQUIRE(told.ok());
    for (const auto& f : told.value().findings)
      if (f.kind == code::launch_refused || f.kind == code::bad_manifest) return f.what;
    return "";
  };
  using skillbench::launch;
  using skillbench::kernel_argument;
  CHECK(has(refused([](launch& l) { l.block.x = 1025; }), "a launch of (1025, 1, 1) threads a CTA is not possible"));
  CHECK(refused([](launch& l) { l.grid.x = 0; }) != "");
  CHECK(refused([](launch& l) { l.block = {1, 1, 65}; }) != "");
  CHECK(refused([](launch& l) { l.grid.y = 65536; }) != "");
  CHECK(refused([](launch& l) { l.grid.z = 65536; }) != "");
  CHECK(refused([](launch& l) { l.grid.x = std::int64_t{1} << 31; }) != "");
  CHECK(refused([](launch& l) { l.block = {std::int64_t{1} << 40, std::int64_t{1} << 40, 1}; }) != "");
  CHECK(has(refused([](launch& l) { l.shared_bytes = (227 << 10) + 1; }), "shared memory"));
  CHECK(refused([](launch& l) { l.shared_bytes = -1; }) != "");
  CHECK(has(refused([](launch& l) { l.args.pop_back(); }), "2 parameters; the launch passes 1"));
  CHECK(has(refused([](launch& l) { l.args[1].kind = kernel_argument::type::integer; }), "parameter 2 of the kernel has 8 bytes"));
  CHECK(refused([](launch&) {}) == "");
}

TEST_CASE("device: integers and floats are not mixed up") {
  const auto on = kit::device();
  std::string text = kit::header + kit::entry("ret;", 1, 1);
  text.replace(text.find(".param .u32 n0"), 14, ".param .f32 n0");
  text.replace(text.find("ld.param.u32"), 12, "ld.param.b32");
  REQUIRE(on->load(text).ok());
  auto j = one_job();
  j.launches[0].args[1].kind = skillbench::kernel_argument::type::integer;
  auto told = on->run(j);
  REQUIRE(!told.value().findings.empty());
  CHECK(has(told.value().findings[0].what, "is a float; the launch passes y, which is an integer"));
  j.launches[0].args[1].kind = skillbench::kernel_argument::type::real;
  told = on->run(j);
  for (const auto& f : told.value().findings) CHECK(f.kind == code::unwritten_output);
}

TEST_CASE("device: launch bounds hold") {
  const auto on = kit::device();
  std::string text = copies;
  text.replace(text.find(")\n{"), 3, ")\n.maxntid 32, 1, 1\n{");
  REQUIRE(on->load(text).ok());
  const auto told = on->run(one_job());
  REQUIRE(!told.value().findings.empty());
  CHECK(told.value().findings[0].kind == code::launch_refused);
  CHECK(has(told.value().findings[0].what, "allows 32"));
  text.replace(text.find(".maxntid 32"), 11, ".reqntid 32");
  REQUIRE(on->load(text).ok());
  const auto wanted = on->run(one_job());
  REQUIRE(!wanted.value().findings.empty());
  CHECK(has(wanted.value().findings[0].what, "wants (32, 1, 1)"));
}

TEST_CASE("device: an entry that is not there, and text that is no PTX") {
  const auto on = kit::device();
  REQUIRE(on->load(copies).ok());
  auto j = one_job();
  j.launches[0].entry = "missing";
  const auto told = on->run(j);
  REQUIRE(!told.ok());
  CHECK(told.error().why == skillbench::reason::not_found);
  CHECK_FALSE(on->load("this is no PTX").ok());
  CHECK_FALSE(on->run(one_job()).ok());
}

TEST_CASE("device: the same seed gives the same bytes, whatever the order of CTAs") {
  const auto on = kit::device();
  REQUIRE(on->load(kit::header + kit::entry(start + "mul.lo.s32 %r4, %r0, 3; cvt.rn.f32.u32 %f0, %r4; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %p_1, %rd1; st.global.f32 [%rd1], %f0; ret;", 2)).ok());
  auto j = one_job(64 * 7);
  j.launches[0].grid.x = 7;
  std::string first;
  for (const std::uint64_t seed : {0ull, 1ull, 99ull << 32, ~0ull}) {
    j.seed = seed;
    const auto told = on->run(j);
    CHECK(told.value().findings.empty());
    if (first.empty()) first = told.value().outputs[0].bytes;
    CHECK(told.value().outputs[0].bytes == first);
  }
}
