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
