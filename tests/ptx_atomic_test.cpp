// Atomics of vectors and of 128 bits, accesses of 128 bits, discarded lines.

#include "ptx_launch.hpp"

#include <bit>
#include <cstring>

using kit::u32;
using u = std::uint64_t;

namespace {

// Every thread adds to one vector; the sums are small integers, exact in any
// order and in every type.
std::vector<u32> summed(const std::string& line, std::size_t words) {
  auto r = kit::kernel(kit::start + "and.b32 %r4, %r1, 3; cvt.rn.f32.u32 %f0, %r4; mov.f32 %f1, 0f3F800000; mov.f32 %f2, 0f40000000; mov.f32 %f3, 0fBF800000;" +
                           "cvt.rn.f16.f32 %rs0, %f0; cvt.rn.f16.f32 %rs1, %f1; cvt.rn.f16.f32 %rs2, %f2; cvt.rn.f16.f32 %rs3, %f3;" +
                           "cvt.rn.bf16x2.f32 %r10, %f1, %f0; cvt.rn.bf16x2.f32 %r11, %f3, %f2; add.s64 %p_0, %p_0, 0;" + line + " ret;",
                       words);
  r.blocks[0].defined = true;
  return kit::run(r);
}
float f32(u32 x) { return std::bit_cast<float>(x); }
float f16(u32 x) {
  const u32 e = x >> 10 & 31, m = x & 1023;
  return (x & 0x8000 ? -1.0f : 1.0f) * std::ldexp(static_cast<float>(e ? m + 1024 : m), static_cast<int>(std::max(e, 1u)) - 25);
}
float bf16(u32 x) { return f32(x << 16); }

}  // namespace

TEST_CASE("atomic: vectors of floats and of halves are added to element by element") {
  // 32 threads: 8 times 0 + 1 + 2 + 3 = 48, 32, 64, -32
  for (const std::string op : {"atom.global.add.v4.f32 {%f4, %f5, %f6, _}, [%p_0], {%f0, %f1, %f2, %f3};", "red.global.add.v4.f32 [%p_0], {%f0, %f1, %f2, %f3};"}) {
    const auto got = summed(op, 4);
    CHECK(f32(got[0]) == 48);
    CHECK(f32(got[1]) == 32);
    CHECK(f32(got[2]) == 64);
    CHECK(f32(got[3]) == -32);
  }
  CHECK(f32(summed("red.relaxed.gpu.global.add.v2.f32 [%p_0+8], {%f0, %f1};", 4)[3]) == 32);
  const auto halves = summed("red.global.add.noftz.v4.f16 [%p_0], {%rs0, %rs1, %rs2, %rs3};", 4);
  CHECK(f16(halves[0]) == 48);
  CHECK(f16(halves[0] >> 16) == 32);
  CHECK(f16(halves[1]) == 64);
  CHECK(f16(halves[1] >> 16) == -32);
  const auto eight = summed("red.global.max.noftz.v8.f16 [%p_0], {%rs0, %rs1, %rs2, %rs3, %rs3, %rs2, %rs1, %rs0};", 4);
  CHECK(f16(eight[0]) == 3);
  CHECK(f16(eight[1] >> 16) == 0);
  CHECK(f16(eight[3] >> 16) == 3);
  const auto pairs = summed("red.global.add.noftz.v2.bf16x2 [%p_0], {%r10, %r11};", 4);
  CHECK(bf16(pairs[0] & 0xffff) == 48);
  CHECK(bf16(pairs[0] >> 16) == 32);
  CHECK(bf16(pairs[1] & 0xffff) == 64);
  CHECK(bf16(pairs[1] >> 16) == -32);
}

TEST_CASE("atomic: a vector gives back what was there, and wants its alignment") {
  auto r = kit::kernel(kit::start + "setp.ne.u32 %p1, %r1, 0; @%p1 ret; mov.f32 %f0, 0f3F800000; atom.global.add.v2.f32 {%f1, %f2}, [%p_0], {%f0, %f0};"
                                    "atom.global.add.v2.f32 {%f3, %f4}, [%p_0], {%f0, %f0}; st.global.f32 [%p_0+8], %f1; st.global.f32 [%p_0+12], %f4; ret;", 4);
  r.blocks[0].defined = true;
  const auto got = kit::run(r);
  CHECK(f32(got[0]) == 2);
  CHECK(f32(got[2]) == 0);
  CHECK(f32(got[3]) == 1);
  auto crooked = kit::kernel(kit::start + "red.global.add.v2.f32 [%p_0+4], {%f0, %f0}; ret;", 4);
  CHECK(kit::find(kit::launch(crooked), kit::code::misaligned));
  auto beyond = kit::kernel(kit::start + "red.global.add.v4.f32 [%p_0+16], {%f0, %f0, %f0, %f0}; ret;", 4);
  CHECK(kit::find(kit::launch(beyond), kit::code::out_of_bounds));
  // Sums with what nobody wrote are undefined.
  const auto told = kit::launch(kit::kernel(kit::start + "mov.f32 %f0, 0f3F800000; red.global.add.v2.f32 [%p_0], {%f0, %f0}; ret;", 4));
  CHECK(told.shadows[0].substr(0, 8) == std::string(8, '\2'));
  CHECK(told.shadows[0].substr(8) == std::string(8, '\1'));
}

TEST_CASE("atomic: 128 bits are loaded, stored, exchanged and compared whole") {
  const std::string one = kit::start + "setp.ne.u32 %p1, %r1, 0; @%p1 ret; .reg .b128 %q<4>; mov.b64 %rd5, 0x1122334455667788; mov.b64 %rd6, 0x99aabbccddeeff00; mov.b128 %q0, {%rd5, %rd6};";
  const std::vector<u32> wanted{0x55667788, 0x11223344, 0xddeeff00, 0x99aabbcc};
  CHECK(kit::run(kit::kernel(one + "st.global.b128 [%p_0], %q0; ret;", 4)) == wanted);
  auto twice = kit::kernel(one + "st.global.b128 [%p_0], %q0; ld.global.b128 %q1, [%p_0]; st.global.b128 [%p_0+16], %q1; ret;", 8);
  CHECK(kit::run(twice)[6] == wanted[2]);
  // exch gives 0 and leaves q0; cas finds q0 and leaves 0.
  auto r = kit::kernel(one + "atom.global.exch.b128 %q1, [%p_0], %q0; atom.global.cas.b128 %q2, [%p_0], %q0, %q1; st.global.b128 [%p_0+16], %q2;"
                             "atom.global.cas.b128 _, [%p_0], %q0, %q0; ret;", 8);
  r.blocks[0].defined = true;
  const auto got = kit::run(r);
  CHECK(std::vector<u32>(got.begin(), got.begin() + 4) == std::vector<u32>(4, 0));
  CHECK(std::vector<u32>(got.begin() + 4, got.end()) == wanted);
  // Undefined halves stay apart.
  const auto told = kit::launch(kit::kernel(kit::start + "setp.ne.u32 %p1, %r1, 0; @%p1 ret; .reg .b128 %q; .reg .b64 %never; mov.b64 %rd5, 7; mov.b128 %q, {%rd5, %never}; st.global.b128 [%p_0], %q; ret;", 4));
  CHECK(told.shadows[0] == std::string(8, '\0') + std::string(8, '\2'));
}

TEST_CASE("atomic: a discarded line holds nothing") {
  auto r = kit::kernel(kit::start + "st.global.u32 [%rd0], %r1; bar.sync 0; add.s64 %rd5, %p_0, 128; setp.ne.u32 %p1, %r1, 0; @%p1 ret; discard.global.L2 [%rd5], 128; ret;", 64);
  r.cta.x = 60;
  const auto told = kit::launch(r);
  CHECK(told.trouble == "");
  CHECK(told.shadows[0].substr(0, 128) == std::string(128, '\0'));
  CHECK(told.shadows[0].substr(128, 128) == std::string(128, '\1'));
}

TEST_CASE("atomic: sums of bfloats are rounded once") {
  // 1 + 2^-9 + 2^-60 is above the tie between 1 and its neighbour; in two steps
  // it would be the tie and go to 1.
  auto r = kit::kernel(kit::start + "setp.ne.u32 %p1, %r1, 0; @%p1 ret; mov.b16 %rs0, 0x3f80; mov.b16 %rs1, 0x2180; atom.global.add.noftz.bf16 %rs2, [%p_0], %rs0; atom.global.add.noftz.bf16 %rs2, [%p_0], %rs1; ret;", 1);
  r.blocks[0].defined = true;
  CHECK((kit::run(r)[0] & 0xffff) == 0x3f80);
}

TEST_CASE("atomic: forms that do not exist are refused by name") {
  for (const std::string text : {"red.global.add.v4.f64 [%p_0], {%rd0, %rd0, %rd0, %rd0};", "red.shared.add.v2.f32 [%r0], {%f0, %f0};", "red.global.min.v2.f32 [%p_0], {%f0, %f0};",
                                 "red.global.add.noftz.v8.bf16x2 [%p_0], {%r0, %r0, %r0, %r0, %r0, %r0, %r0, %r0};", "discard.global.L2 [%p_0], 64;", "tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}, [%p_0, {%f4, %f5}];",
                                 "vadd.s32.s32.s32 %r0, %r1, %r2;", "multimem.red.global.add.u32 [%p_0], %r0;"}) {
    const auto told = kit::launch(kit::kernel(text + " ret;", 1));
    CHECK_MESSAGE(kit::has(told.trouble, "not supported by the PTX machine: " + text.substr(0, text.find(' '))), told.trouble);
  }
}
