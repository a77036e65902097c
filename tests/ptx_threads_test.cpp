// ptx/threads.hpp: CTAs on threads of the host. `kit::launch` runs natively and
// interpreted; here each launch is run by 1, 2 and 8 threads as well.

#include "ptx_launch.hpp"

using namespace kit;

namespace {

// All that a launch leaves, as text.
std::string all_of(const report& r) {
  std::string out = r.trouble + "\n";
  for (const auto& f : r.findings) out += std::string(skillbench::name(f.kind)) + " " + f.what + " " + std::to_string(f.count) + "\n";
  for (const std::uint64_t n : {r.barriers, r.thread_instructions, r.warp_instructions, r.load_sectors, r.store_sectors}) out += std::to_string(n) + " ";
  for (const auto& b : r.bytes) out += "\n" + b;
  for (const auto& s : r.shadows) out += "\n" + s;
  return out;
}

// The same from one thread, two and eight; what one leaves.
report alike(request r) {
  const report alone = launch(r);
  for (const unsigned n : {2u, 8u}) {
    r.threads = n;
    INFO(n);
    CHECK(all_of(launch(r)) == all_of(alone));
  }
  return alone;
}

request grid(const std::string& body, std::int64_t ctas, std::size_t out, const std::string& declare = "") {
  auto r = kernel(start + body, out, declare);
  r.grid.x = ctas;
  r.cta.x = 64;
  return r;
}

}  // namespace

TEST_CASE("threads: CTAs that keep to themselves") {
  // Three pages, so that parts share some; every second word is left alone.
  const std::string body = "mul.lo.s32 %r10, %r0, 3; and.b32 %r11, %r0, 1; setp.eq.u32 %p0, %r11, 0; @%p0 st.global.u32 [%rd0], %r10; bar.sync 0; @%p0 ld.global.u32 %r12, [%rd0]; @%p0 st.global.u32 [%rd0], %r12; ret;";
  const auto told = alike(grid(body, 700, 700 * 64));
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  CHECK(told.barriers == 700);
  const auto y = output(told);
  for (u32 i = 0; i < 700 * 64; i += 2) REQUIRE(y[i] == 3 * i);
  // Words that nobody stored stay as they were.
  CHECK(told.shadows[0].substr(4, 4) == std::string(4, '\1'));
}

TEST_CASE("threads: what starts defined, and launches one after the other") {
  auto r = grid("ld.global.u32 %r10, [%rd0]; mad.lo.s32 %r10, %r10, 2, 1; st.global.u32 [%rd0], %r10; ret;", 600, 600 * 64);
  r.blocks[0].defined = true;
  r.blocks[0].bytes = bytes_of(each(600 * 64, [](u32 i) { return i; }));
  r.before.emplace_back(r.ptx, "k");
  const auto told = alike(r);
  CHECK(told.findings.empty());
  CHECK(output(told) == each(600 * 64, [](u32 i) { return 4 * i + 3; }));
}

TEST_CASE("threads: CTAs that meet are run by one") {
  // All of them store one word: a race, with the words that one thread finds.
  CHECK(find(alike(grid("st.global.u32 [%p_0], %r0; ret;", 64, 4)), code::race));
  // The last one reads what the first one stored.
  const auto read = alike(grid("setp.eq.u32 %p0, %r2, 0; @%p0 st.global.u32 [%rd0], %r1; setp.eq.u32 %p1, %r2, 63; @%p1 ld.global.u32 %r10, [%p_0]; @%p1 st.global.u32 [%rd0], %r10; ret;", 64, 64 * 64));
  CHECK(find(read, code::race));
  // Neighbours in one page, a byte apart, race with nobody.
  CHECK(alike(grid("add.s64 %rd1, %p_0, 0; cvt.u64.u32 %rd2, %r0; add.s64 %rd1, %rd1, %rd2; st.global.u8 [%rd1], %r0; ret;", 64, 1024)).findings.empty());
  // Atomics: sums in the order of one thread.
  auto sums = grid("cvt.rn.f32.u32 %f1, %r0; mul.f32 %f1, %f1, 0f3DCCCCCD; red.global.add.f32 [%p_0], %f1; ret;", 64, 1);
  sums.blocks[0].defined = true;
  CHECK(alike(sums).findings.empty());
  // Out of bounds in one CTA, and the clock.
  CHECK(find(alike(grid("st.global.u32 [%rd0+4], %r0; ret;", 64, 64 * 64)), code::out_of_bounds));
  CHECK(alike(grid("mov.u32 %r10, %clock; st.global.u32 [%rd0], %r10; ret;", 64, 64 * 64)).findings.empty());
}

TEST_CASE("threads: the budget ends a launch at the same instruction") {
  auto r = grid("mov.u32 %r10, 0;\nL: add.s32 %r10, %r10, 1; setp.lt.u32 %p0, %r10, 100; @%p0 bra L; st.global.u32 [%rd0], %r10; ret;", 64, 64 * 64);
  r.most_instructions = 20'000;
  CHECK(has(alike(r).trouble, "too_slow"));
  r.most_instructions = 64 * 2 * 320;
  CHECK(alike(r).trouble == "");
}
