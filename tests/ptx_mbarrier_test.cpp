// ptx/ops/mbarrier.hpp: barriers in shared memory, transactions, fences.

#include "ptx_launch.hpp"

using namespace kit;

namespace {

const std::string variables = ".shared .align 16 .b8 tile[4096]; .shared .align 8 .b64 bar[4];";

request threads(const std::string& body, u32 n, std::size_t out = 0) {
  auto r = kernel(start + body, out ? out : n, variables);
  r.cta.x = n;
  return r;
}

// Thread 0 initialises bar with a count, and everybody meets.
std::string initialised(const std::string& count) {
  return "setp.eq.u32 %p9, %r1, 0; @%p9 mbarrier.init.shared::cta.b64 [bar], " + count + "; bar.sync 0;\n";
}

// Waits for a parity, as everybody writes it.
std::string wait(const std::string& parity, const std::string& label, const std::string& at = "bar") {
  return label + ": mbarrier.try_wait.parity.shared::cta.b64 %p8, [" + at + "], " + parity + "; @!%p8 bra " + label + ";\n";
}

std::vector<std::string> codes(const report& told) {
  std::vector<std::string> out;
  for (const auto& f : told.findings) out.push_back(std::string(skillbench::name(f.kind)));
  return out;
}

}  // namespace

TEST_CASE("mbarrier: threads of several warps meet, phase after phase") {
  // 5 rounds: each thread writes its word, meets, reads its neighbour's, meets.
  auto r = threads(initialised("%r3") +
                       "mov.u32 %r10, 0; mov.u32 %r11, 0; mov.u32 %r12, tile; mad.lo.s32 %r13, %r1, 4, %r12; add.s32 %r14, %r1, 33; rem.u32 %r14, %r14, %r3; mad.lo.s32 %r15, %r14, 4, %r12;\n"
                       "ROUND: mad.lo.s32 %r16, %r10, 1000, %r1; st.shared.u32 [%r13], %r16; mbarrier.arrive.shared.b64 %rd5, [bar];\n"
                       "A: mbarrier.try_wait.shared.b64 %p1, [bar], %rd5; @!%p1 bra A;\n"
                       "ld.shared.u32 %r17, [%r15]; add.s32 %r11, %r11, %r17; mbarrier.arrive.shared.b64 %rd5, [bar];\n"
                       "B: mbarrier.test_wait.shared.b64 %p1, [bar], %rd5; @!%p1 bra B;\n"
                       "add.s32 %r10, %r10, 1; setp.lt.u32 %p0, %r10, 5; @%p0 bra ROUND;\n"
                       "st.global.u32 [%rd0], %r11; ret;",
                   128);
  for (const std::uint64_t seed : {0ull, 0x200010001ull, 0x700030003ull}) {
    r.seed = seed;
    CHECK(run(r) == each(128, [](u32 i) { return 10000 + 5 * ((i + 33) % 128); }));
  }
}

TEST_CASE("mbarrier: parity, and what a phase that never began says") {
  // Parity 1 of a fresh barrier is over; parity 0 is once 32 have arrived.
  auto r = threads(initialised("32") + "mbarrier.test_wait.parity.shared.b64 %p0, [bar], 1; selp.u32 %r10, 1, 0, %p0; mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0; @%p1 add.s32 %r10, %r10, 2;"
                       "mbarrier.arrive.shared.b64 _, [bar]; mbarrier.test_wait.parity.acquire.cta.shared::cta.b64 %p1, [bar], 0; @%p1 add.s32 %r10, %r10, 4;"
                       "mbarrier.try_wait.parity.relaxed.cluster.shared::cta.b64 %p1, [bar], 1, 1000; @%p1 add.s32 %r10, %r10, 8; st.global.u32 [%rd0], %r10; ret;",
                   32);
  // The last: parity 1 is the phase that runs now, and nobody arrives: no after a while.
  CHECK(run(r) == each(32, [](u32) { return 5; }));
}

TEST_CASE("mbarrier: counts, arrivals of several, dropped ones, and what they were before") {
  auto r = threads(initialised("10") +
                       "setp.ne.u32 %p0, %r1, 0; @%p0 ret;\n"
                       "mbarrier.arrive.shared.b64 %rd5, [bar]; mbarrier.pending_count.b64 %r10, %rd5;"
                       "mbarrier.arrive.release.cta.shared::cta.b64 %rd5, [bar], 4; mbarrier.pending_count.b64 %r11, %rd5;"
                       "mbarrier.arrive.noComplete.shared.b64 %rd5, [bar], 3; mbarrier.pending_count.b64 %r12, %rd5;"
                       "mbarrier.arrive_drop.shared.b64 %rd5, [bar]; mbarrier.pending_count.b64 %r13, %rd5;"
                       "mbarrier.arrive_drop.shared.b64 %rd6, [bar]; mbarrier.pending_count.b64 %r14, %rd6;"  // the phase ends
                       "mbarrier.arrive.noComplete.shared.b64 %rd5, [bar], 7; mbarrier.pending_count.b64 %r15, %rd5;"
                       "mbarrier.test_wait.shared.b64 %p1, [bar], %rd6; selp.u32 %r16, 1, 0, %p1; mbarrier.test_wait.shared.b64 %p1, [bar], %rd5; @%p1 add.s32 %r16, %r16, 2;"
                       "mbarrier.arrive.shared.b64 _, [bar]; mbarrier.test_wait.shared.b64 %p1, [bar], %rd5; @%p1 add.s32 %r16, %r16, 4;"
                       "mbarrier.inval.shared.b64 [bar]; mbarrier.init.shared.b64 [bar], 3; mbarrier.arrive.shared.b64 %rd5, [bar], 1; mbarrier.pending_count.b64 %r17, %rd5;"
                       "st.global.v4.u32 [%p_0], {%r10, %r11, %r12, %r13}; st.global.v4.u32 [%p_0+16], {%r14, %r15, %r16, %r17}; ret;",
                   32, 8);
  // Ten, less 1, 4, 3, 1, 1; then eight of the next phase.
  CHECK(run(r) == std::vector<u32>{10, 9, 5, 2, 1, 8, 5, 3});
}

TEST_CASE("mbarrier: transactions hold a phase open, and may come early") {
  auto r = threads(initialised("1") +
                       "setp.ne.u32 %p0, %r1, 0; @%p0 ret; mov.u32 %r10, 0;\n"
                       "mbarrier.complete_tx.relaxed.cluster.shared::cta.b64 [bar], 100;"
                       "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [bar], 300; mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0; @%p1 add.s32 %r10, %r10, 1;"
                       "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 50; mbarrier.complete_tx.shared::cta.b64 [bar], 200; mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0; @%p1 add.s32 %r10, %r10, 2;"
                       "mbarrier.complete_tx.shared::cta.b64 [bar], 50; mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0; @%p1 add.s32 %r10, %r10, 4; st.global.u32 [%p_0], %r10; ret;",
                   32, 1);
  CHECK(run(r) == std::vector<u32>{4});
}

TEST_CASE("mbarrier: a producer warp and a consumer warp, with a ring of two") {
  // full[s] at bar + 8 s, empty[s] at bar + 16 + 8 s; 10 tiles of 32 words.
  auto r = threads("setp.ne.u32 %p0, %r1, 0; @%p0 bra GO; mbarrier.init.shared.b64 [bar], 32; mbarrier.init.shared.b64 [bar+8], 32; mbarrier.init.shared.b64 [bar+16], 32; mbarrier.init.shared.b64 [bar+24], 32; fence.mbarrier_init.release.cluster;\n"
                   "GO: bar.sync 0; mov.u32 %r20, bar; mov.u32 %r12, tile; and.b32 %r13, %r1, 31; mad.lo.s32 %r13, %r13, 4, %r12; mov.u32 %r10, 0; mov.u32 %r11, 0; setp.lt.u32 %p0, %r1, 32; @!%p0 bra CONSUME;\n"
                   "PRODUCE: and.b32 %r14, %r10, 1; shr.u32 %r15, %r10, 1; and.b32 %r15, %r15, 1; xor.b32 %r16, %r15, 1; mad.lo.s32 %r17, %r14, 8, %r20; add.s32 %r18, %r17, 16;\n" +
                       wait("%r16", "PW", "%r18") +
                       "mad.lo.s32 %r19, %r14, 128, %r13; mad.lo.s32 %r21, %r10, 100, %r1; st.shared.u32 [%r19], %r21; mbarrier.arrive.shared.b64 _, [%r17]; add.s32 %r10, %r10, 1; setp.lt.u32 %p1, %r10, 10; @%p1 bra PRODUCE; ret;\n"
                       "CONSUME: and.b32 %r14, %r10, 1; shr.u32 %r15, %r10, 1; and.b32 %r15, %r15, 1; mad.lo.s32 %r17, %r14, 8, %r20; add.s32 %r18, %r17, 16;\n" +
                       wait("%r15", "CW", "%r17") +
                       "mad.lo.s32 %r19, %r14, 128, %r13; ld.shared.u32 %r21, [%r19]; mad.lo.s32 %r11, %r11, 3, %r21; mbarrier.arrive.shared.b64 _, [%r18]; add.s32 %r10, %r10, 1; setp.lt.u32 %p1, %r10, 10; @%p1 bra CONSUME;\n"
                       "st.global.u32 [%rd0+-128], %r11; ret;",
                   64, 32);
  CHECK(run(r) == each(32, [](u32 i) {
          u32 sum = 0;
          for (u32 t = 0; t < 10; ++t) sum = sum * 3 + t * 100 + i;
          return sum;
        }));
}

TEST_CASE("mbarrier: copies of cp.async arrive, with and without their own count") {
  for (const bool noinc : {true, false}) {
    request r;
    r.ptx = header + kit::entry(start + initialised(noinc ? "64" : "1") +
                                    "mov.u32 %r12, tile; mad.lo.s32 %r13, %r1, 4, %r12; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %p_1, %rd1; cp.async.ca.shared.global [%r13], [%rd1], 4; cp.async.mbarrier.arrive" +
                                    std::string(noinc ? ".noinc" : "") + ".shared::cta.b64 [bar]; " + (noinc ? "" : "bar.sync 0; @%p9 mbarrier.arrive.shared.b64 _, [bar]; ") + wait("0", "W") +
                                    "xor.b32 %r14, %r1, 63; mad.lo.s32 %r14, %r14, 4, %r12; ld.shared.u32 %r15, [%r14]; st.global.u32 [%rd0], %r15; ret;",
                                2, 0, variables);
    r.entry = "k";
    r.cta.x = 64;
    r.blocks.push_back({"y", true, false, 4, std::string(256, '\0')});
    r.blocks.push_back({"x", false, true, 4, bytes_of(each(64, [](u32 i) { return i * i; }))});
    INFO(noinc);
    CHECK(run(r) == each(64, [](u32 i) { return (63 - i) * (63 - i); }));
    // Asked of the wrong parity, the wait ends at once and the copies fly.
    auto early = r;
    early.ptx.replace(early.ptx.find("[bar], 0; @!%p8"), 9, "[bar], 1;");
    const auto told = launch(early);
    const auto* f = find(told, code::in_flight_access);
    REQUIRE(f);
    CHECK(has(f->what, "reads 4 bytes of shared memory"));
  }
}

TEST_CASE("mbarrier: a copy that arrived there is told of, whoever else waited for it") {
  // The producer waits for all its copies itself, after they were to arrive.
  request r;
  r.ptx = header + kit::entry(start + initialised("64") +
                                  "mov.u32 %r12, tile; mad.lo.s32 %r13, %r1, 4, %r12; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %p_1, %rd1; cp.async.ca.shared.global [%r13], [%rd1], 4;"
                                  "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [bar]; cp.async.wait_all;\n" +
                                  wait("0", "W") + "xor.b32 %r14, %r1, 63; mad.lo.s32 %r14, %r14, 4, %r12; ld.shared.u32 %r15, [%r14]; st.global.u32 [%rd0], %r15; ret;",
                              2, 0, variables);
  r.entry = "k";
  r.cta.x = 64;
  r.blocks.push_back({"y", true, false, 4, std::string(256, '\0')});
  r.blocks.push_back({"x", false, true, 4, bytes_of(each(64, [](u32 i) { return i * i; }))});
  for (std::uint64_t schedule = 0; schedule < 5; ++schedule) {
    r.schedule = schedule;
    CHECK(run(r) == each(64, [](u32 i) { return (63 - i) * (63 - i); }));
  }
}

TEST_CASE("mbarrier: misuse is told") {
  struct wrong { std::string body, words; };
  const std::string one = "setp.ne.u32 %p0, %r1, 0; @%p0 ret;\n";
  const wrong all[] = {
      {one + "mbarrier.arrive.shared.b64 _, [bar]; ret;", "uses the mbarrier at 0x1000 of shared memory: none is initialised there"},
      {one + "mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0; ret;", "none is initialised there"},
      {one + "mbarrier.try_wait.parity.shared.b64 %p1, [bar], 0; ret;", "none is initialised there"},
      {one + "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 16; ret;", "none is initialised there"},
      {one + "mbarrier.inval.shared.b64 [bar]; ret;", "none is initialised there"},
      {one + "mbarrier.init.shared.b64 [bar], 1; mbarrier.inval.shared.b64 [bar]; mbarrier.arrive.shared.b64 _, [bar]; ret;", "none is initialised there"},
      {one + "mbarrier.init.shared.b64 [bar], 1; mbarrier.init.shared.b64 [bar], 1; ret;", "there is one already"},
      {one + "mbarrier.init.shared.b64 [bar], 0; ret;", "a count of 0 is not in 1 to 1048575"},
      {one + "mov.u32 %r10, 1048576; mbarrier.init.shared.b64 [bar], %r10; ret;", "is not in 1 to 1048575"},
      {one + "mbarrier.init.shared.b64 [bar], 2; mbarrier.arrive.shared.b64 _, [bar], 3; ret;", "it is overrun"},
      {one + "mbarrier.init.shared.b64 [bar], 2; mbarrier.arrive.shared.b64 _, [bar], 0; ret;", "a count is 1 to 1048575"},
      {one + "mbarrier.init.shared.b64 [bar], 2; mbarrier.arrive.noComplete.shared.b64 %rd5, [bar], 2; ret;", "would complete the phase"},
      {one + "mbarrier.init.shared.b64 [bar], 2; mbarrier.arrive.expect_tx.shared.b64 _, [bar], 1048576; ret;", "at most 1048575 bytes"},
      {one + "mbarrier.init.shared.b64 [bar], 2; mbarrier.expect_tx.relaxed.cta.shared.b64 [bar], 1048575; mbarrier.expect_tx.relaxed.cta.shared.b64 [bar], 1; ret;", "holds no more than 1048575"},
      {one + "mbarrier.init.shared.b64 [bar], 1; mbarrier.arrive.shared.b64 %rd5, [bar]; mbarrier.arrive.shared.b64 _, [bar]; mbarrier.test_wait.shared.b64 %p1, [bar], %rd5; ret;", "a phase that is long over"},
      {one + "mbarrier.init.shared.b64 [bar], 1; mbarrier.test_wait.parity.shared.b64 %p1, [bar], 2; ret;", "a parity is 0 or 1"},
      {one + "mbarrier.init.shared.b64 [bar], 1; st.shared.u8 [bar+3], 1; ret;", "ordinary stores must not touch"},
      {one + "mbarrier.init.shared.b64 [bar], 1; atom.shared.add.u32 %r10, [bar+4], 1; ret;", "ordinary stores must not touch"},
      {one + "mbarrier.init.shared.b64 [bar], 1; cp.async.ca.shared.global [bar], [%p_0], 4; ret;", "ordinary stores must not touch"},
  };
  for (const wrong& w : all) {
    INFO(w.body);
    const auto told = launch(threads(w.body, 32));
    CHECK(told.trouble == "");
    const auto* f = find(told, code::mbarrier_misuse);
    REQUIRE(f);
    CHECK(has(f->what, w.words));
    CHECK(told.findings.size() == 1);
  }
  CHECK(codes(launch(threads(one + "mov.u32 %r10, bar; mbarrier.init.shared.b64 [%r10+4], 1; ret;", 32))) == std::vector<std::string>{"misaligned"});
  CHECK(codes(launch(threads(one + "mov.u32 %r10, bar; mbarrier.init.shared.b64 [%r10+32], 1; ret;", 32))) == std::vector<std::string>{"out_of_bounds"});
  CHECK(codes(launch(threads(one + "mbarrier.init.b64 [%p_0], 1; ret;", 32))) == std::vector<std::string>{"invalid_access"});
  CHECK(codes(launch(threads(one + "mbarrier.init.shared.b64 [%r50], 1; ret;", 32))) == std::vector<std::string>{"undefined_value"});
  CHECK(codes(launch(threads(one + "mbarrier.init.shared.b64 [bar], %r50; ret;", 32))) == std::vector<std::string>{"undefined_value"});
  CHECK(codes(launch(threads(initialised("32") + "mbarrier.try_wait.parity.shared.b64 %p1, [bar], %r50; ret;", 32))) == std::vector<std::string>{"undefined_value"});
  // In generic space it is the same; reading its word is no mistake, but says nothing.
  CHECK(launch(threads(one + "mov.u64 %rd7, bar; cvta.shared.u64 %rd7, %rd7; mbarrier.init.b64 [%rd7], 1; mbarrier.arrive.b64 %rd6, [%rd7]; ld.shared.u64 %rd8, [bar]; mbarrier.inval.b64 [%rd7]; st.shared.u64 [bar], %rd8; ret;", 32)).findings.empty());
}

TEST_CASE("mbarrier: a phase that cannot end is a deadlock, told with what it lacks") {
  auto told = launch(threads(initialised("33") + "mbarrier.arrive.shared.b64 _, [bar];" + wait("0", "W") + "ret;", 32));
  const auto* f = find(told, code::deadlock);
  REQUIRE(f);
  CHECK(has(f->what, "32 threads of warp 0 wait for phase 0 of the mbarrier at 0x1000 of shared memory, which lacks 1 of 33 arrivals (PTX line"));
  told = launch(threads(initialised("32") + "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [bar], 8; mbarrier.arrive.shared.b64 _, [bar];" + wait("0", "W") + "ret;", 32));
  f = find(told, code::deadlock);
  REQUIRE(f);
  CHECK(has(f->what, "lacks 0 of 32 arrivals and 256 bytes of copies"));
  // The wrong parity, and one warp at a barrier.
  told = launch(threads(initialised("64") + "setp.lt.u32 %p0, %r1, 32; mbarrier.arrive.shared.b64 _, [bar]; @%p0 bra X; bar.sync 1; ret;\nX:" + wait("0", "W") + wait("1", "V") + "bar.sync 1; ret;", 64));
  f = find(told, code::deadlock);
  REQUIRE(f);
  CHECK(has(f->what, "32 threads of warp 0 wait for phase 1"));
  CHECK(has(f->what, "32 threads of warp 1 wait at barrier 1"));
  // A loop around test_wait.
  told = launch(threads(initialised("33") + "mbarrier.arrive.shared.b64 _, [bar];\nW: mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0; @!%p1 bra W; ret;", 32));
  f = find(told, code::deadlock);
  REQUIRE(f);
  CHECK(has(f->what, "test an mbarrier whose phase does not end"));
  // Who gives up after some tries goes on.
  CHECK(launch(threads(initialised("33") + "mov.u32 %r10, 0;\nW: mbarrier.try_wait.parity.shared.b64 %p1, [bar], 0; add.s32 %r10, %r10, 1; setp.lt.u32 %p2, %r10, 20; @%p1 bra X; @%p2 bra W;\nX: ret;", 32)).findings.empty());
  CHECK(launch(threads(initialised("33") + "mov.u32 %r10, 0;\nW: mbarrier.test_wait.parity.shared.b64 %p1, [bar], 0; add.s32 %r10, %r10, 1; setp.lt.u32 %p2, %r10, 20; @%p1 bra X; @%p2 bra W;\nX: ret;", 32)).findings.empty());
}

TEST_CASE("mbarrier: lanes of a warp that go separate ways meet at it") {
  // Lane 0 arrives for a transaction last, on another path than the waiters.
  auto r = threads(initialised("1") + "mov.u32 %r10, 7; setp.eq.u32 %p0, %r1, 31; @%p0 bra LAST;\n" + wait("0", "W") + "bra END;\nLAST: st.shared.u32 [tile], 5; mbarrier.arrive.shared.b64 _, [bar];\nEND: ld.shared.u32 %r11, [tile]; st.global.u32 [%rd0], %r11; ret;", 32);
  CHECK(run(r) == each(32, [](u32) { return 5; }));
  auto t = threads(initialised("1") + "mov.u32 %r10, 7; setp.eq.u32 %p0, %r1, 31; @%p0 bra LAST;\nW: mbarrier.test_wait.parity.shared.b64 %p8, [bar], 0; @!%p8 bra W; bra END;\nLAST: st.shared.u32 [tile], 5; mbarrier.arrive.shared.b64 _, [bar];\nEND: ld.shared.u32 %r11, [tile]; st.global.u32 [%rd0], %r11; ret;", 32);
  CHECK(run(t) == each(32, [](u32) { return 5; }));
  // Two barriers in one instruction.
  auto two = threads("setp.eq.u32 %p9, %r1, 0; @%p9 mbarrier.init.shared.b64 [bar], 16; @%p9 mbarrier.init.shared.b64 [bar+8], 17; bar.sync 0; shr.u32 %r10, %r1, 4; mov.u32 %r11, bar; mad.lo.s32 %r10, %r10, 8, %r11; mbarrier.arrive.shared.b64 _, [%r10];"
                     "setp.lt.u32 %p0, %r1, 16; mov.u32 %r12, 0; mbarrier.try_wait.parity.shared.b64 %p8, [%r10], 0; @%p8 mov.u32 %r12, 1; st.global.u32 [%rd0], %r12; ret;", 32);
  CHECK(run(two) == each(32, [](u32 i) { return i < 16; }));
}

TEST_CASE("mbarrier: forms that are not there") {
  for (const std::string form : {"mbarrier.frobnicate.shared.b64 [bar], 1;", "mbarrier.arrive.shared.b64 [bar];", "mbarrier.init.shared.b64 [bar];", "fence.proxy.tensormap::generic.release.gpu;", "mbarrier.try_wait.parity.shared.b64 %p1, [bar];"}) {
    INFO(form);
    CHECK(has(launch(threads(form + " ret;", 32)).trouble, "not supported by the PTX machine: "));
  }
  for (const std::string form : {"fence.proxy.async;", "fence.proxy.async.shared::cta;", "fence.proxy.async.global;", "fence.proxy.alias;", "fence.acq_rel.cluster;", "fence.sc.gpu;", "fence.acquire.sync_restrict::shared::cluster.cluster;", "membar.gl;",
                                 "fence.proxy.async::generic.acquire.sync_restrict::shared::cluster.cluster;", "griddepcontrol.wait;", "griddepcontrol.launch_dependents;", "setmaxnreg.dec.sync.aligned.u32 40;"}) {
    INFO(form);
    CHECK(launch(threads(form + " ret;", 32)).trouble == "");
  }
}
