// Native code against the interpreter. `kit::launch` runs everything both ways
// and tells a difference, so each whole kernel of the other tests is a test of
// native code as well; here is what those do not come to.

#include <string>
#include <vector>

#include "ptx_launch.hpp"

using namespace kit;

namespace {

// Adds `by` times to element `thread` of the first block.
std::string adding(int by, int registers) {
  std::string body = "mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r1, %r2, 64, %r1; mul.wide.u32 %rd1, %r1, 4;\n"
                     "add.u64 %rd1, %rd1, %p_0; ld.global.u32 %r3, [%rd1];\n";
  for (int i = 0; i < registers; ++i) body += "add.u32 %r" + std::to_string(10 + i) + ", %r3, " + std::to_string(i) + ";\n";
  body += "add.u32 %r3, %r3, " + std::to_string(by) + ";\n";
  for (int i = 0; i < registers; ++i) body += "sub.u32 %r" + std::to_string(10 + i) + ", %r" + std::to_string(10 + i) + ", %r3; add.u32 %r3, %r3, %r" + std::to_string(10 + i) + "; sub.u32 %r3, %r3, " + std::to_string(i) + "; add.u32 %r3, %r3, " + std::to_string(by) + ";\n";
  return header + entry(body + "st.global.u32 [%rd1], %r3;\nret;\n");
}

}  // namespace

TEST_CASE("jit: launch after launch on one machine, each with registers of its own") {
  request r;
  r.cta.x = 64;
  r.grid.x = 40;
  r.entry = "k";
  r.blocks.push_back({"y", true, true, 4, std::string(4 * 64 * 40, '\0')});
  for (int round = 0; round < 8; ++round) {
    r.before.clear();
    for (int i = 0; i < 1 + round; ++i) r.before.emplace_back(adding(1 + i, (i * 7 + round * 5) % 40), "k");
    r.ptx = adding(100, (round * 11) % 40);
    const auto told = kit::launch(r);
    CHECK(told.trouble == "");
    CHECK(told.findings.empty());
    u32 sum = 100;
    for (int i = 0; i < 1 + round; ++i) sum += static_cast<u32>(1 + i);
    const auto y = output(told, 0);
    for (const u32 each : y) REQUIRE(each == sum);
  }
}

TEST_CASE("jit: adversarial schedules, races and all") {
  // Warps add up in shared memory without a barrier: findings and their counts
  // are those of the interpreter, whatever the order.
  const std::string body = "mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; and.b32 %r2, %r2, 127; mov.u32 %r3, tile; add.u32 %r2, %r2, %r3;\n"
                           "mov.u32 %r4, 0;\nL:\nst.shared.u32 [%r2], %r1; ld.shared.u32 %r5, [%r2]; add.u32 %r4, %r4, 1;\n"
                           "setp.lt.u32 %p1, %r4, 20; @%p1 bra L;\n"
                           "mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd1, %p_0; st.global.u32 [%rd1], %r4; ret;\n";
  request r;
  r.ptx = header + entry(body, 1, 0, ".shared .align 4 .b8 tile[128];");
  r.entry = "k";
  r.cta.x = 128;
  r.blocks.push_back({"y", true, false, 4, std::string(4 * 128, '\0')});
  for (std::uint64_t schedule = 0; schedule < 9; ++schedule) {
    r.schedule = schedule;
    r.seed = schedule * 77;
    const auto told = kit::launch(r);
    CHECK(told.trouble == "");
    CHECK(find(told, skillbench::code::race));
  }
}

TEST_CASE("jit: words in any pattern of global and shared memory") {
  // Element `a * i + b` of x, a pattern for each pair, in a loop that becomes
  // native code; sums go to y the same way. Page after page: 64 KB are 16,384.
  struct pattern { int times, plus; };
  const pattern all[] = {{256, 0}, {1024, 3}, {-3, 400}, {0, 7}, {7, 16'300}, {-1, 200}, {2, 0}, {513, 5}};
  for (const bool shared : {false, true})
    for (const pattern& p : all) {
      INFO(shared);
      INFO(p.times);
      const std::string at = "mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mul.lo.s32 %r3, %r1, " + std::to_string(p.times) + "; add.s32 %r3, %r3, " + std::to_string(p.plus) + "; mul.wide.s32 %rd1, %r3, 4; add.s64 %rd2, %rd1, %p_1;\n";
      // In shared memory a warp has 1,024 words of its own.
      const std::string inside = "and.b32 %r9, %r3, 1023; shr.u32 %r10, %r1, 5; mad.lo.s32 %r9, %r10, 1024, %r9; mul.lo.s32 %r9, %r9, 4; mov.u32 %r10, tile; add.s32 %r9, %r9, %r10;\n";
      const std::string body = at + inside +
                               "mov.u32 %r4, 0; mov.u32 %r5, 0;\nL: ld.global.u32 %r6, [%rd2]; ld.global.u32 %r7, [%rd2+4]; add.s32 %r5, %r5, %r6; sub.s32 %r5, %r5, %r7;\n" +
                               (shared ? "st.shared.u32 [%r9], %r4; ld.shared.u32 %r8, [%r9]; add.s32 %r5, %r5, %r8; bar.sync 0;\n" : "") +
                               "add.s64 %rd2, %rd2, 4; add.s32 %r4, %r4, 1; setp.lt.u32 %p1, %r4, 20; @%p1 bra L;\n"
                               "mad.lo.s32 %r2, %r2, 131072, %r3; mul.wide.s32 %rd3, %r2, 4; add.s64 %rd3, %rd3, %p_0; st.global.u32 [%rd3], %r5; ld.global.u32 %r6, [%rd3]; add.s32 %r6, %r6, 1; st.global.u32 [%rd3], %r6; ret;\n";
      request r;
      r.ptx = header + entry(body, 2, 0, ".shared .align 16 .b8 tile[16384];");
      r.entry = "k";
      r.cta.x = 128;
      r.grid.x = 2;
      r.blocks.push_back({"y", true, false, 4, std::string(4 * 2 * 131'072 + 64, '\0')});
      r.blocks.push_back({"x", false, true, 4, bytes_of(each(131'072 + 64, [](u32 i) { return i * 2654435761u; }))});
      const auto told = kit::launch(r);
      CHECK(told.trouble == "");
      // All of them write one element: which one stays is not defined.
      if (p.times == 0) CHECK(find(told, skillbench::code::race));
    }
}

TEST_CASE("jit: in any pattern, what is wrong is told as one by one") {
  const auto strided = [](const std::string& offset, const std::string& what) {
    request r;
    r.ptx = header + entry("mov.u32 %r1, %tid.x; mul.wide.u32 %rd1, %r1, 1024; add.s64 %rd2, %rd1, %p_1; add.s64 %rd3, %rd1, %p_0; mov.u32 %r4, 0; mov.u32 %r5, 0;\n"
                           "L: " + what + " add.s32 %r4, %r4, 1; setp.lt.u32 %p1, %r4, 9; @%p1 bra L; ret;\n", 2);
    r.ptx.replace(r.ptx.find("OFFSET"), 6, offset);
    r.entry = "k";
    r.cta.x = 32;
    r.blocks.push_back({"y", true, false, 4, std::string(32 * 1024, '\0')});
    r.blocks.push_back({"x", false, true, 4, std::string(32 * 1024, '\1')});
    return kit::launch(r);
  };
  using skillbench::code;
  const std::string load = "ld.global.u32 %r5, [%rd2+OFFSET];", store = "st.global.u32 [%rd3+OFFSET], %r1;", read = "ld.global.u32 %r5, [%rd3+OFFSET]; st.global.u32 [%rd3], %r5;";
  for (const std::string& each : {load, store}) {
    CHECK(strided("0", each).findings.empty());
    CHECK(find(strided("1024", each), code::out_of_bounds));
    CHECK(find(strided("-4", each), code::out_of_bounds));
    CHECK(find(strided("2", each), code::misaligned));
    CHECK(strided("2", each).trouble == "");
  }
  CHECK(strided("4", read).trouble == "");
  CHECK(strided("4", read).shadows[0][0] == 2);  // undefined goes along
}
