// ptx/ops/bulk.hpp and ptx/tensor_map.hpp: the copy engine.

#include <cmath>
#include <random>

#include "ptx_launch.hpp"

using namespace kit;
using skillbench::ptx::element_kind;
using skillbench::ptx::tensor_map;

namespace {

const std::string variables = ".shared .align 1024 .b8 tile[16384]; .shared .align 8 .b64 bar[2];";

u32 word(u32 i) { return 0x01020300 + i * 0x01010101; }

// y of `out` words and x of `in`; thread 0 has %p9, the mbarrier waits for one.
request copying(const std::string& body, std::size_t in, std::size_t out, u32 threads = 32, int maps = 0) {
  request r;
  r.ptx = header + kit::entry(start + "setp.eq.u32 %p9, %r1, 0; mov.u32 %r60, tile; mov.u32 %r61, bar; @%p9 mbarrier.init.shared.b64 [bar], 1; @%p9 fence.mbarrier_init.release.cluster; bar.sync 0;\n" + body, 2, 0, variables, maps);
  r.entry = "k";
  r.cta.x = threads;
  r.blocks.push_back({"y", true, false, 4, std::string(4 * out, '\0')});
  r.blocks.push_back({"x", false, true, 4, bytes_of(each(in, word))});
  return r;
}

std::string wait(const std::string& parity = "0", const std::string& label = "W") {
  return "\n" + label + ": mbarrier.try_wait.parity.shared::cta.b64 %p8, [bar], " + parity + "; @!%p8 bra " + label + ";\n";
}
const std::string load = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r60], [%p_1], 512, [%r61]; ";
const std::string expect = "@%p9 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 512; ";
// Every thread's word of the tile, times two, to y.
const std::string use = "mad.lo.s32 %r10, %r1, 4, %r60; ld.shared.u32 %r11, [%r10]; st.global.u32 [%rd0], %r11; ";
const std::string fence = "fence.proxy.async.shared::cta; ";

const skillbench::finding* only(const report& told, code kind) {
  if (told.findings.size() != 1) {
    for (const auto& f : told.findings) MESSAGE(f.what);
    return nullptr;
  }
  return find(told, kind);
}

}  // namespace

TEST_CASE("bulk: a load tells its mbarrier, whichever comes first") {
  for (const std::string form : {"shared::cluster.global.mbarrier::complete_tx::bytes", "shared::cta.global.mbarrier::complete_tx::bytes", "shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"}) {
    const std::string copy = "@%p9 cp.async.bulk." + form + " [%r60], [%p_1], 512, [%r61]" + (has(form, "hint") ? ", %rd40; " : "; ");
    INFO(form);
    CHECK(run(copying(expect + copy + wait() + use + "ret;", 128, 128, 128)) == each(128, word));
    CHECK(run(copying(copy + expect + wait() + use + "ret;", 128, 128, 128)) == each(128, word));
  }
  // Sizes in registers, two copies for one phase.
  CHECK(run(copying(expect + "mov.u32 %r12, 256; @%p9 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile+256], [%p_1+256], %r12, [bar]; @%p9 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r60], [%p_1], %r12, [%r61];" + wait() + use + "ret;", 128, 128, 128)) ==
        each(128, word));
}

TEST_CASE("bulk: what is in flight is not touched") {
  const std::string go = expect + "@%p9 " + load;
  struct wrong { std::string body, words; };
  const wrong all[] = {{go + "bar.sync 0;" + use, "reads 4 bytes of shared memory"},
                       {go + wait("1") + use, "reads 4 bytes of shared memory"},
                       {go + "@%p9 st.shared.u32 [tile+508], 7;" + wait(), "writes 4 bytes of shared memory at 0x1fc"},
                       {go + "@%p9 " + load + wait(), "writes 512 bytes of shared memory"},
                       {go + "@%p9 cp.async.ca.shared.global [tile+16], [%p_1], 16;" + wait(), "writes 16 bytes"},
                       {go + "@%p9 cp.async.bulk.global.shared::cta.bulk_group [%p_0], [%r60], 16;" + wait(), "reads 16 bytes"}};
  for (const wrong& w : all) {
    INFO(w.body);
    const auto told = launch(copying(w.body + "ret;", 128, 128, 128));
    const auto* f = find(told, code::in_flight_access);
    REQUIRE(f);
    CHECK(has(f->what, w.words));
    CHECK(has(f->what, "there the asynchronous copy of PTX line"));
  }
  // What nobody reads is nobody's business.
  CHECK(launch(copying(expect + "@%p9 " + load + "ret;", 128, 128, 128)).findings.empty());
}

TEST_CASE("bulk: stores, their groups, and their sources") {
  const std::string fill = "mad.lo.s32 %r10, %r1, 4, %r60; mul.lo.s32 %r11, %r1, 3; st.shared.u32 [%r10], %r11; ";
  const std::string store = "@%p9 cp.async.bulk.global.shared::cta.bulk_group [%p_0], [%r60], 512; @%p9 cp.async.bulk.commit_group; ";
  const std::string done = "@%p9 cp.async.bulk.wait_group 0; ", read = "@%p9 cp.async.bulk.wait_group.read 0; ";
  const auto threes = each(128, [](u32 i) { return i * 3; });
  for (const std::string& order : {fill + fence + "bar.sync 0; " + store + done, fill + "bar.sync 0; " + fence + store + read}) {
    INFO(order);
    CHECK(run(copying(order + "ret;", 4, 128, 128)) == threes);
  }
  // Overwritten before the wait, after it, and before the wait for another group.
  const std::string again = "bar.sync 0; st.shared.u32 [%r10], %r1; ";
  CHECK(run(copying(fill + fence + "bar.sync 0; " + store + read + again + "ret;", 4, 128, 128)) == threes);
  auto told = launch(copying(fill + fence + "bar.sync 0; " + store + again + done + "ret;", 4, 128, 128));
  const auto* f = only(told, code::in_flight_access);
  REQUIRE(f);
  CHECK(has(f->what, ": the asynchronous operation of PTX line"));
  told = launch(copying(fill + fence + "bar.sync 0; " + store + "@%p9 cp.async.bulk.wait_group.read 1; " + again + done + "ret;", 4, 128, 128));
  CHECK(only(told, code::in_flight_access));
  told = launch(copying(fill + fence + "bar.sync 0; " + "@%p9 cp.async.bulk.global.shared::cta.bulk_group [%p_0], [%r60], 512; " + done + again + "@%p9 cp.async.bulk.commit_group; " + done + "ret;", 4, 128, 128));
  CHECK(only(told, code::in_flight_access));  // committed too late
  // Nobody waits, or not for all: the shared memory goes while it is read.
  for (const std::string& left : {std::string(), std::string("@%p9 cp.async.bulk.wait_group.read 1; ")}) {
    told = launch(copying(fill + fence + "bar.sync 0; " + store + left + "ret;", 4, 128, 128));
    f = only(told, code::in_flight_access);
    REQUIRE(f);
    CHECK(has(f->what, "CTA (0, 0, 0) exits while the copy engine may still read 512 bytes of its shared memory at 0x0, because no cp.async.bulk.wait_group of thread (0, 0, 0) stands behind the copy"));
  }
  // Reading the source is allowed meanwhile.
  CHECK(run(copying(fill + fence + "bar.sync 0; " + store + "ld.shared.u32 %r12, [%r10]; " + done + "ret;", 4, 128, 128)) == threes);
  // Without a fence.
  told = launch(copying(fill + "bar.sync 0; " + store + done + "ret;", 4, 128, 128));
  f = only(told, code::missing_fence);
  REQUIRE(f);
  CHECK(has(f->what, "starts an asynchronous operation that reads 512 bytes of shared memory at 0x0, which ordinary stores (PTX line"));
  // A fence before the stores is none behind them.
  CHECK(only(launch(copying(fence + fill + "bar.sync 0; " + store + done + "ret;", 4, 128, 128)), code::missing_fence));
  // A fence of a thread that met no one is for its own warp.
  CHECK(only(launch(copying(fill + "@%p9 " + fence + "bar.sync 0; " + store + done + "ret;", 4, 128, 128)), code::missing_fence));
  CHECK(only(launch(copying(fill + "fence.proxy.async.global; bar.sync 0; " + store + done + "ret;", 4, 128, 128)), code::missing_fence));
  // What the copy engine brought needs none.
  CHECK(run(copying(expect + "@%p9 " + load + wait() + store + done + "ret;", 128, 128, 128)) == each(128, word));
  // Undefined bytes go along.
  told = launch(copying("setp.lt.u32 %p1, %r1, 64; mad.lo.s32 %r10, %r1, 4, %r60; @%p1 st.shared.u32 [%r10], %r1; " + fence + "bar.sync 0; " + store + done + "ret;", 4, 128, 128));
  CHECK(told.shadows[0] == std::string(256, '\0') + std::string(256, '\2'));
}

TEST_CASE("bulk: an mbarrier that the copy engine may not know of yet") {
  const std::string bare = "mov.u32 %r62, bar+8; @%p9 mbarrier.init.shared.b64 [bar+8], 1; ";
  const std::string go = "@%p9 mbarrier.arrive.expect_tx.shared.b64 _, [bar+8], 512; @%p9 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r60], [%p_1], 512, [%r62]; ";
  const std::string meet = "bar.sync 0; ";
  const std::string end = "\nW: mbarrier.try_wait.parity.shared::cta.b64 %p8, [bar+8], 0; @!%p8 bra W;\n" + use + "ret;";
  auto told = launch(copying(bare + go + meet + end, 128, 128, 128));
  const auto* f = only(told, code::missing_fence);
  REQUIRE(f);
  CHECK(f->weight == skillbench::severity::fails);
  CHECK(has(f->what, "has the copy engine signal the mbarrier at 0x4008 of shared memory, which was initialised (PTX line"));
  // A barrier of the CTA helps in practice, and not by the document.
  told = launch(copying(bare + meet + go + end, 128, 128, 128));
  f = only(told, code::missing_fence);
  REQUIRE(f);
  CHECK(f->weight == skillbench::severity::note);
  for (const std::string& told_of : {std::string("@%p9 fence.mbarrier_init.release.cluster; "), "@%p9 " + fence, std::string("barrier.cluster.arrive; barrier.cluster.wait; ")}) {
    INFO(told_of);
    CHECK(run(copying(bare + told_of + meet + go + end, 128, 128, 128)) == each(128, word));
  }
  // By the thread that starts the copy, once it has met the other one.
  CHECK(run(copying(bare + meet + fence + go + end, 128, 128, 128)) == each(128, word));
  // Not by one that has not; nor by a barrier of the cluster that tells nothing.
  CHECK(only(launch(copying(bare + "setp.eq.u32 %p1, %r1, 32; @%p1 " + fence + go + meet + end, 128, 128, 128)), code::missing_fence));
  CHECK(only(launch(copying(bare + "barrier.cluster.arrive.relaxed; barrier.cluster.wait; " + go + meet + end, 128, 128, 128)), code::missing_fence));
}

TEST_CASE("bulk: CTAs whose copies meet in global memory race") {
  const std::string fill = "mad.lo.s32 %r10, %r1, 4, %r60; st.shared.u32 [%r10], %r0; " + fence + "bar.sync 0; ";
  const auto storing = [&](const std::string& at, const std::string& how = "cp.async.bulk.global.shared::cta.bulk_group") {
    auto r = copying(fill + "mul.wide.u32 %rd1, %r2, " + at + "; add.s64 %rd1, %rd1, %p_0; @%p9 " + how + " [%rd1], [%r60], 512; @%p9 cp.async.bulk.commit_group; @%p9 cp.async.bulk.wait_group 0; ret;", 4, 512, 128);
    r.grid.x = 3;
    r.blocks[0].defined = true;
    return r;
  };
  CHECK(launch(storing("512")).findings.empty());
  const auto told = launch(storing("496"));
  REQUIRE(find(told, code::race));
  CHECK(has(find(told, code::race)->what, "writes element 124 of y"));
  // Sums may meet.
  CHECK(launch(storing("496", "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32")).findings.empty());
}

TEST_CASE("bulk: for races a copy accesses shared memory when it starts and when it is waited for") {
  const std::string fill = "mad.lo.s32 %r10, %r1, 4, %r60; mul.lo.s32 %r11, %r1, 3; st.shared.u32 [%r10], %r11; ";
  const std::string store = "@%p9 cp.async.bulk.global.shared::cta.bulk_group [%p_0], [%r60], 512; @%p9 cp.async.bulk.commit_group; @%p9 cp.async.bulk.wait_group.read 0; ";
  // Relaxed counting makes one come after the other, and orders nothing.
  const std::string zero = "mov.u32 %r62, 0; @%p9 st.shared.u32 [bar+8], %r62; bar.sync 0; ";
  const std::string come = "red.relaxed.cta.shared.add.u32 [bar+8], 1; ";
  const auto until = [](int n) { return "\nS: ld.relaxed.cta.shared.u32 %r63, [bar+8]; setp.lt.u32 %p10, %r63, " + std::to_string(n) + "; @%p10 bra S;\n"; };
  const auto race = [](const std::string& body) {
    const auto told = launch(copying(body + "ret;", 128, 128, 128));
    const auto* f = only(told, code::race);
    return f ? f->what : std::string();
  };
  // The source: written before by others, and after the wait again.
  CHECK(has(race(zero + fill + fence + come + until(128) + store), "thread (0, 0, 0) of CTA (0, 0, 0) reads 512 bytes of shared memory"));
  const std::string filled = zero + fill + fence + "bar.sync 0; " + store;
  CHECK(has(race(filled + "@%p9 " + come + until(1) + "st.shared.u32 [%r10], %r1; "), "thread (0, 0, 0) reads there"));
  CHECK(launch(copying(filled + "bar.sync 0; st.shared.u32 [%r10], %r1; ret;", 4, 128, 128)).findings.empty());
  // The target: read before by others.
  const std::string read = expect + "@%p9 " + load + wait() + use, again = expect + "@%p9 " + load + wait("1", "V");
  CHECK(has(race(zero + read + come + until(128) + again), "thread (0, 0, 0) of CTA (0, 0, 0) writes 512 bytes of shared memory"));
  CHECK(launch(copying(read + "bar.sync 0; " + again + "ret;", 128, 128, 128)).findings.empty());
  // An mbarrier that the readers arrive at orders the two as well.
  const std::string four = "@%p9 mbarrier.init.shared.b64 [bar+8], 128; @%p9 fence.mbarrier_init.release.cluster; bar.sync 0; ";
  const std::string arrive = "mbarrier.arrive.shared.b64 _, [bar+8];\nU: mbarrier.try_wait.parity.shared::cta.b64 %p8, [bar+8], 0; @!%p8 bra U;\n";
  CHECK(launch(copying(four + read + arrive + again + "ret;", 128, 128, 128)).findings.empty());
}

TEST_CASE("bulk: reductions to global memory") {
  struct one { std::string form; int bytes; std::function<std::uint64_t(std::uint64_t, std::uint64_t)> is; };
  const auto s32 = [](std::uint64_t a) { return static_cast<std::int32_t>(a); };
  const one all[] = {{"add.u32", 4, [](auto a, auto b) { return (a + b) & 0xffffffff; }}, {"min.s32", 4, [&](auto a, auto b) { return static_cast<u32>(std::min(s32(a), s32(b))); }},
                     {"max.u32", 4, [](auto a, auto b) { return std::max(a, b); }}, {"and.b32", 4, [](auto a, auto b) { return a & b; }}, {"xor.b64", 8, [](auto a, auto b) { return a ^ b; }},
                     {"or.b64", 8, [](auto a, auto b) { return a | b; }}, {"add.u64", 8, [](auto a, auto b) { return a + b; }},
                     {"inc.u32", 4, [](auto a, auto b) { return a >= b ? 0 : a + 1; }}};
  for (const one& o : all) {
    std::mt19937_64 from(7);
    std::vector<std::uint64_t> x, y;
    for (int i = 0; i < 64; ++i) x.push_back(from()), y.push_back(from());
    auto r = copying(expect + "@%p9 " + load + wait() + "@%p9 cp.reduce.async.bulk.global.shared::cta.bulk_group." + o.form + " [%p_0], [%r60], 512; @%p9 cp.async.bulk.commit_group; @%p9 cp.async.bulk.wait_group 0; ret;", 128, 128);
    r.blocks[0].bytes = bytes_of(y);
    r.blocks[0].defined = true;
    r.blocks[1].bytes = bytes_of(x);
    const auto told = launch(r);
    INFO(o.form);
    CHECK(told.trouble == "");
    CHECK(told.findings.empty());
    std::string expected;
    for (int i = 0; i < 512; i += o.bytes) {
      std::uint64_t a = 0, b = 0;
      std::memcpy(&a, r.blocks[0].bytes.data() + i, static_cast<std::size_t>(o.bytes));
      std::memcpy(&b, r.blocks[1].bytes.data() + i, static_cast<std::size_t>(o.bytes));
      const std::uint64_t c = o.is(a, b);
      expected.append(reinterpret_cast<const char*>(&c), static_cast<std::size_t>(o.bytes));
    }
    CHECK(told.bytes[0] == expected);
  }
  // Floats: 1.5 + x.
  auto r = copying(expect + "@%p9 " + load + wait() + "@%p9 cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%p_0], [%r60], 512; @%p9 cp.async.bulk.commit_group; ret;", 128, 128);
  r.blocks[0].bytes = bytes_of(std::vector<float>(128, 1.5f));
  r.blocks[0].defined = true;
  std::vector<float> x;
  for (int i = 0; i < 128; ++i) x.push_back(static_cast<float>(i) / 3);
  r.blocks[1].bytes = bytes_of(x);
  for (float& v : x) v += 1.5f;
  CHECK(launch(r).bytes[0] == bytes_of(x));
}

TEST_CASE("bulk: between CTAs of a cluster, and to several at once") {
  const std::string meet = "barrier.cluster.arrive; barrier.cluster.wait;\n";
  // Each CTA sends its words to the next one.
  auto r = copying("mov.u32 %r20, %cluster_ctarank; add.s32 %r21, %r20, 1; and.b32 %r21, %r21, 1; add.s32 %r22, %r60, 1024; mapa.shared::cluster.u32 %r23, %r22, %r21; mapa.shared::cluster.u32 %r24, %r61, %r21;"
                   "mad.lo.s32 %r10, %r1, 4, %r60; st.shared.u32 [%r10], %r0; " + fence + expect + meet +
                       "@%p9 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r23], [%r60], 512, [%r24]; " + wait() + "ld.shared.u32 %r11, [%r10+1024]; st.global.u32 [%rd0], %r11; " + meet + "ret;",
                   4, 256, 128);
  r.grid.x = r.cluster.x = 2;
  CHECK(run(r) == each(256, [](u32 i) { return i ^ 128; }));
  auto early = r;
  early.ptx.replace(early.ptx.find("[bar], 0; @!%p8"), 9, "[bar], 1;");
  CHECK(find(launch(early), code::in_flight_access));
  auto sums = r;
  const auto at = sums.ptx.find("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes");
  sums.ptx.replace(at, 71, "cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.add.u32 ");
  sums.ptx.replace(sums.ptx.find("st.shared.u32 [%r10], %r0; "), 27, "st.shared.u32 [%r10], %r0; st.shared.u32 [%r10+1024], 5; ");
  CHECK(run(sums) == each(256, [](u32 i) { return (i ^ 128) + 5; }));
  // One load for ranks 0 and 2 of four.
  auto many = copying("mov.u32 %r20, %cluster_ctarank; and.b32 %r21, %r20, 1; setp.eq.u32 %p3, %r21, 0; mov.u16 %rs1, 5; setp.eq.u32 %p4, %r20, 2; and.pred %p4, %p4, %p9;" + expect + meet +
                          "@%p4 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r60], [%p_1], 512, [%r61], %rs1; @!%p3 bra END;" + wait() + use + "\nEND: " + meet + "ret;",
                      128, 512, 128);
  many.grid.x = many.cluster.x = 4;
  const auto told = launch(many);
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  for (u32 i = 0; i < 512; ++i)
    if (i / 128 % 2 == 0) CHECK(output(told)[i] == word(i % 128));
  auto beyond = many;
  beyond.ptx.replace(beyond.ptx.find("%rs1, 5"), 7, "%rs1, 17");
  CHECK(find(launch(beyond), code::out_of_bounds));
}

TEST_CASE("bulk: rules of addresses and sizes") {
  struct wrong { std::string copy; code kind; std::string words; };
  const std::string to = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes ";
  const wrong all[] = {{to + "[%r60+8], [%p_1], 16, [%r61]", code::misaligned, "the address of a bulk copy is a multiple of 16"},
                       {to + "[%r60], [%p_1+4], 16, [%r61]", code::misaligned, "of global memory"},
                       {to + "[%r60], [%p_1], 24, [%r61]", code::misaligned, "the size of a bulk copy is a multiple of 16"},
                       {to + "[%r60], [%p_1], 16, [%r61+4]", code::misaligned, "multiple of 8"},
                       {to + "[%r60], [%p_1+496], 32, [%r61]", code::out_of_bounds, "past its end"},
                       {to + "[%r60+16384], [%p_1], 32, [%r61]", code::out_of_bounds, "a CTA has 16400 bytes"},
                       {to + "[%r60], [%p_1], 16, [%r61+8]", code::mbarrier_misuse, "none is initialised there"},
                       {to + "[%r60], [%p_1], 16384, [%r61]", code::out_of_bounds, "x"},
                       {to + "[%r61], [%p_1], 16, [%r61]", code::misaligned, ""},
                       {to + "[%r50], [%p_1], 16, [%r61]", code::undefined_value, "an address"},
                       {to + "[%r60], [%p_1], %r50, [%r61]", code::undefined_value, "the size of a copy"},
                       {"cp.async.bulk.global.shared::cta.bulk_group [%p_1], [%r60], 16", code::writes_input, "only to be read"},
                       {"cp.async.bulk.global.shared::cta.bulk_group [%p_0], [%r60+8], 16", code::misaligned, "multiple of 16"},
                       {"cp.async.bulk.global.shared::cta.bulk_group [%p_0+500], [%r60], 16", code::misaligned, "multiple of 16"},
                       {"cp.async.bulk.global.shared::cta.bulk_group [%p_0+512], [%r60], 16", code::out_of_bounds, "past the end of y"},
                       {"cp.async.bulk.global.shared::cta.bulk_group [%p_0], [%r60+16384], 32", code::out_of_bounds, "the CTA has 16400 bytes"}};
  for (const wrong& w : all) {
    INFO(w.copy);
    auto r = copying("@%p9 " + w.copy + "; ret;", 128, 128);
    r.ptx.replace(r.ptx.find("bar[2]"), 6, "bar[2]");
    const auto told = launch(r);
    CHECK(told.trouble == "");
    const auto* f = find(told, w.kind);
    if (w.words.empty()) continue;
    REQUIRE(f);
    CHECK(has(f->what, w.words));
  }
  CHECK(launch(copying("@%p9 cp.async.bulk.prefetch.L2.global [%p_1], 512; ret;", 128, 128)).findings.empty());
  CHECK(find(launch(copying("@%p9 cp.async.bulk.prefetch.L2.global [%p_1], 528; ret;", 128, 128)), code::out_of_bounds));
  for (const std::string form : {"cp.async.bulk.shared::cluster.global [%r60], [%p_1], 16;", "cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%p_0], [%r60], 16, %rs1;", "cp.async.bulk.tensor.2d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%r60], [%rd1, {%r1, %r1}], [%r61], {%rs1};",
                                 "cp.async.bulk.tensor.6d.shared::cluster.global.mbarrier::complete_tx::bytes [%r60], [%rd1, {%r1, %r1}], [%r61];", "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r60], [%rd1, {%r1}], [%r61];",
                                 "cp.async.bulk.wait_group %r1;", "cp.reduce.async.bulk.global.shared::cta.bulk_group.mul.u32 [%p_0], [%r60], 16;", "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r60], %r1, [%r61];",
                                 "tensormap.replace.tile.global_address.global.b1024.b64 [%rd1], %rd2;"}) {
    INFO(form);
    CHECK(has(launch(copying(form + " ret;", 128, 32)).trouble, "not supported by the PTX machine: "));
  }
}

// ---- tensor maps ---------------------------------------------------------------------

namespace {

struct box_case {
  tensor_map map;
  std::vector<std::int32_t> at;
};

// A map over x with dense strides (rounded up to 16 bytes).
tensor_map dense(std::vector<std::uint64_t> extents, std::vector<std::uint16_t> box, int element_bytes, std::uint8_t swizzle = 0, std::uint64_t block = 1) {
  tensor_map m;
  m.address = block;
  m.rank = static_cast<std::uint8_t>(extents.size());
  m.element_bytes = static_cast<std::uint8_t>(element_bytes);
  m.swizzle = swizzle;
  std::uint64_t stride = static_cast<std::uint64_t>(element_bytes);
  for (std::size_t d = 0; d < extents.size(); ++d) {
    m.extent[d] = extents[d];
    m.box[d] = box[d];
    stride *= extents[d];
    stride = (stride + 15) / 16 * 16;
    if (d < 4) m.stride[d] = stride;
  }
  return m;
}

std::uint64_t tensor_bytes(const tensor_map& m) {
  return m.rank == 1 ? m.extent[0] * m.element_bytes : m.stride[m.rank - 2] * m.extent[m.rank - 1];
}

// Element by element, by coordinates: what lies at a byte of shared memory.
std::string expected_box(const box_case& c, const std::string& tensor, std::size_t size) {
  std::string out(size, '\xee');
  const tensor_map& m = c.map;
  std::uint64_t n[5] = {1, 1, 1, 1, 1}, total = 1;
  for (int d = 0; d < m.rank; ++d) {
    n[d] = d == 0 ? m.box[0] : (m.box[d] + m.element_stride[d] - 1u) / m.element_stride[d];
    total *= n[d];
  }
  for (std::uint64_t e = 0; e < total; ++e) {
    std::uint64_t rest = e, at = 0;
    bool inside = true;
    for (int d = 0; d < m.rank; ++d) {
      const auto i = static_cast<std::int64_t>(rest % n[d]);
      rest /= n[d];
      const std::int64_t k = c.at[static_cast<std::size_t>(d)] + i * (d == 0 ? 1 : m.element_stride[d]);
      if (k < 0 || k >= static_cast<std::int64_t>(m.extent[d])) inside = false;
      else if (d == 0 && m.interleave) {
        // NC/8HWC8: image, slice, row, column, channel of the slice. The slices of
        // an image are as far apart as its rows are long and many.
        const std::uint64_t channels = m.interleave / m.element_bytes, slice = m.stride[m.rank - 3] * m.extent[m.rank - 2];
        at += static_cast<std::uint64_t>(k) / channels * slice + static_cast<std::uint64_t>(k) % channels * m.element_bytes;
      } else at += static_cast<std::uint64_t>(k) * (d == 0 ? m.element_bytes : m.stride[d - 1]);
    }
    // The swizzle: XOR of the number of the 16-byte piece with that of the row of
    // 128 bytes, as far as the swizzle reaches.
    std::uint64_t to = e * m.element_bytes;
    const std::uint64_t piece = to / 16 % 8, row = to / 128 % 8;
    const std::uint64_t moved = m.swizzle == 128 ? piece ^ row : m.swizzle == 64 ? piece ^ (row & 3) : m.swizzle == 32 ? piece ^ (row & 1) : piece;
    to = to / 128 * 128 + moved * 16 + to % 16;
    for (std::uint64_t b = 0; b < m.element_bytes; ++b) out[to + b] = inside ? tensor[at + b] : '\0';
  }
  return out;
}

std::string coordinates(const std::vector<std::int32_t>& at) {
  std::string t = "{";
  for (const auto c : at) t += (t.size() > 1 ? ", " : "") + std::to_string(c);
  return t + "}";
}

// The first `bytes` of the tile to y by plain loads.
request box_load(const box_case& c, const std::string& tensor, std::uint64_t bytes, const std::string& more = "") {
  const auto n = static_cast<std::size_t>(bytes);
  auto r = copying("@%p9 mbarrier.arrive.expect_tx.shared.b64 _, [bar], " + std::to_string(bytes) + "; @%p9 cp.async.bulk.tensor." + std::to_string(c.at.size()) + "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r60], [%m_0, " +
                       coordinates(c.at) + "], [%r61]; " + more + wait() + "mov.u32 %r20, %r1;\nLOOP: mad.lo.s32 %r21, %r20, 4, %r60; ld.shared.u32 %r22, [%r21]; mul.wide.u32 %rd20, %r20, 4; add.s64 %rd20, %p_0, %rd20; st.global.u32 [%rd20], %r22;"
                       "add.s32 %r20, %r20, 32; setp.lt.u32 %p1, %r20, " + std::to_string(bytes / 4) + "; @%p1 bra LOOP; ret;",
                   1, (n / 4 + 31) / 32 * 32, 32, 1);
  r.blocks[1].bytes = tensor;
  r.maps.push_back(c.map);
  return r;
}

}  // namespace

TEST_CASE("tensor map: boxes of every rank, element, swizzle and place") {
  std::mt19937_64 from(11);
  int checked = 0;
  for (int rank = 1; rank <= 5; ++rank)
    for (const int element : {1, 2, 4, 8})
      for (const std::uint8_t swizzle : {0, 32, 64, 128}) {
        const std::uint64_t inner = swizzle ? std::min<std::uint64_t>(swizzle, 16u << (from() % 4)) : 16 * (1 + from() % 5);
        std::vector<std::uint64_t> extents{inner / static_cast<std::uint64_t>(element) + from() % 20};
        std::vector<std::uint16_t> box{static_cast<std::uint16_t>(inner / static_cast<std::uint64_t>(element))};
        if (box[0] > 256) continue;
        // In pieces of 16 bytes, as many as the element has bytes more than needed.
        std::vector<std::int32_t> at{(static_cast<std::int32_t>(from() % 6) - 2) * 16 / element};
        for (int d = 1; d < rank; ++d) {
          extents.push_back(1 + from() % 12);
          box.push_back(static_cast<std::uint16_t>(1 + from() % (d == 1 ? 16 : 4)));
          at.push_back(static_cast<std::int32_t>(from() % 12) - 4);
        }
        box_case c{dense(extents, box, element, swizzle), at};
        if (from() % 3 == 0)
          for (int d = 1; d < rank; ++d) c.map.element_stride[d] = static_cast<std::uint8_t>(1 + from() % 3);
        std::string tensor(tensor_bytes(c.map), '\0');
        for (char& b : tensor) b = static_cast<char>(from());
        const std::uint64_t bytes = c.map.box_bytes();
        if (bytes > 16384 || (swizzle && bytes % 128)) continue;
        ++checked;
        INFO(rank << " " << element << " " << int{swizzle} << " " << bytes << coordinates(at));
        const auto told = launch(box_load(c, tensor, bytes));
        CHECK(told.trouble == "");
        CHECK(told.findings.empty());
        CHECK(told.bytes[0].substr(0, bytes) == expected_box(c, tensor, bytes));
      }
  CHECK(checked > 40);
}

TEST_CASE("tensor map: stores leave alone what lies outside, and are the inverse of loads") {
  std::mt19937_64 from(12);
  for (const std::uint8_t swizzle : {0, 32, 64, 128})
    for (const auto& at : std::vector<std::vector<std::int32_t>>{{0, 0}, {8, 3}, {-4, -2}, {40, 9}, {12, 0}}) {
      // x's box at the origin goes to y's box at `at`.
      const auto x = dense({16, 8}, {static_cast<std::uint16_t>(swizzle == 32 ? 8 : 16), 8}, 4, swizzle);
      auto y = dense({20, 10}, {x.box[0], 8}, 4, swizzle, 0);
      std::string in(tensor_bytes(x), '\0');
      for (char& b : in) b = static_cast<char>(from());
      auto r = copying("mov.u32 %r12, " + std::to_string(x.box_bytes()) + "; @%p9 mbarrier.arrive.expect_tx.shared.b64 _, [bar], %r12; @%p9 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r60], [%m_0, {0, 0}], [%r61];" + wait() +
                           "@%p9 cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%m_1, " + coordinates(at) + "], [%r60]; @%p9 cp.async.bulk.commit_group; @%p9 cp.async.bulk.wait_group 0; ret;",
                       1, 1, 32, 2);
      r.blocks[0].bytes = std::string(tensor_bytes(y), '\x55');
      r.blocks[0].defined = true;
      r.blocks[1].bytes = in;
      r.maps = {x, y};
      std::string expected = r.blocks[0].bytes;
      for (int j = 0; j < 8; ++j)
        for (int i = 0; i < x.box[0]; ++i) {
          const int a = at[0] + i, b = at[1] + j;
          if (a >= 0 && a < 20 && b >= 0 && b < 10) std::memcpy(expected.data() + b * 80 + a * 4, in.data() + j * 64 + i * 4, 4);
        }
      const auto told = launch(r);
      INFO(int{swizzle} << coordinates(at));
      CHECK(told.trouble == "");
      CHECK(told.findings.empty());
      CHECK(told.bytes[0] == expected);
    }
}

TEST_CASE("tensor map: reductions by the map's type, prefetches, and NaN outside") {
  auto y = dense({8, 4}, {8, 4}, 4, 0, 0);
  y.kind = element_kind::real;
  auto r = copying("mad.lo.s32 %r10, %r1, 4, %r60; cvt.rn.f32.u32 %f1, %r1; st.shared.f32 [%r10], %f1; " + fence + "bar.sync 0; @%p9 cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%m_0, {0, 0}], [%r60]; @%p9 cp.async.bulk.commit_group; @%p9 cp.async.bulk.wait_group 0;"
                   "@%p9 cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%m_0, {0, 0}]; prefetch.tensormap [%m_0]; ret;", 1, 32, 32, 1);
  r.blocks[0].bytes = bytes_of(std::vector<float>(32, 0.25f));
  r.blocks[0].defined = true;
  r.maps = {y};
  std::vector<float> sums;
  for (int i = 0; i < 32; ++i) sums.push_back(static_cast<float>(i) + 0.25f);
  const auto told = launch(r);
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  CHECK(told.bytes[0] == bytes_of(sums));
  box_case c{dense({4, 2}, {16, 2}, 4), {-4, 0}};
  c.map.kind = element_kind::real;
  c.map.nan = true;
  const auto seen = values_of<float>(launch(box_load(c, bytes_of(std::vector<float>(8, 1.0f)), 128)).bytes[0]);
  for (int i = 0; i < 32; ++i) CHECK(std::isnan(seen[static_cast<std::size_t>(i)]) == (i % 16 < 4 || i % 16 > 7));
}

// Slices of 16 or 32 bytes of channels, whole ones and a last one with padding.
TEST_CASE("tensor map: interleaved layouts") {
  std::mt19937_64 from(13);
  for (const std::uint8_t slice : {16, 32})
    for (int rank = 3; rank <= 5; ++rank)
      for (const int element : {1, 2, 4, 8})
        for (const std::uint8_t swizzle : {0, 32, 64, 128}) {
          if (slice == 32 && swizzle != 32) continue;
          const auto channels = static_cast<std::uint64_t>(slice / element);
          tensor_map m;
          m.address = 1;  // the block
          m.rank = static_cast<std::uint8_t>(rank);
          m.element_bytes = static_cast<std::uint8_t>(element);
          m.swizzle = swizzle;
          m.interleave = slice;
          m.extent[0] = channels * 3 - from() % channels;
          m.box[0] = static_cast<std::uint16_t>(channels);
          std::vector<std::int32_t> at{static_cast<std::int32_t>((static_cast<std::int64_t>(from() % 5) - 1) * static_cast<std::int64_t>(channels))};
          std::uint64_t stride = slice;
          for (int d = 1; d < rank; ++d) {
            m.extent[d] = 2 + from() % 6;
            m.box[d] = static_cast<std::uint16_t>(d == 1 ? 8 : 1 + from() % 4);  // rows of 128 bytes
            at.push_back(static_cast<std::int32_t>(from() % 6) - 2);
            m.stride[d - 1] = d + 1 == rank ? 3 * stride : stride;  // an image has three slices
            stride = stride * m.extent[d] + (d + 2 < rank ? from() % 3 * slice : 0);
          }
          const box_case c{m, at};
          std::string tensor(m.stride[rank - 2] * m.extent[rank - 1], '\0');
          for (char& b : tensor) b = static_cast<char>(from());
          const std::uint64_t bytes = m.box_bytes();
          INFO(int{slice} << " " << rank << " " << element << " " << int{swizzle} << coordinates(at));
          const auto told = launch(box_load(c, tensor, bytes));
          CHECK(told.trouble == "");
          CHECK(told.findings.empty());
          CHECK(told.bytes[0].substr(0, bytes) == expected_box(c, tensor, bytes));
        }
}

// A GPU ends such a kernel with an illegal instruction.
TEST_CASE("tensor map: a box that begins between two pieces of 16 bytes") {
  const std::string x(512, 'x');
  for (const int first : {1, 3, -1, -2, 17, 1000001}) {
    const box_case c{dense({16, 8}, {8, 4}, 4), {first, 0}};
    const auto told = launch(box_load(c, x, 128));
    const auto* f = find(told, code::misaligned);
    INFO(first << told.trouble);
    REQUIRE(f);
    CHECK(has(f->what, "coordinate " + std::to_string(first) + " of the innermost dimension is " + std::to_string(first * 4) + " bytes, and a box of a tensor begins at a multiple of 16"));
  }
  box_case c{dense({32, 8, 2}, {8, 4, 2}, 4, 32), {4, 0, 0}};
  c.map.interleave = 32;
  const auto told = launch(box_load(c, std::string(tensor_bytes(c.map), 'x'), 256));
  const auto* f = find(told, code::misaligned);
  REQUIRE(f);
  CHECK(has(f->what, "a box of an interleaved tensor begins with a slice of 32"));
}

TEST_CASE("tensor map: what may not be") {
  const box_case c{dense({16, 8}, {8, 4}, 4), {0, 0}};
  const std::string x(512, 'x');
  const auto broken = [&](const std::string& from, const std::string& to, code kind, const std::string& words) {
    auto r = box_load(c, x, 128);
    const auto at = r.ptx.find(from);
    REQUIRE(at != std::string::npos);
    r.ptx.replace(at, from.size(), to);
    const auto told = launch(r);
    INFO(to << told.trouble);
    const auto* f = find(told, kind);
    REQUIRE(f);
    CHECK(has(f->what, words));
  };
  broken("[%r60], [%m_0", "[%r60+64], [%m_0", code::misaligned, "a multiple of 128");
  broken("[%m_0, {0, 0}]", "[%m_0+64, {0, 0}]", code::invalid_access, "parameters end before");
  broken("[%m_0, {0, 0}]", "[%p_1, {0, 0}]", code::invalid_access, "there is no tensor map");
  broken("[%m_0, {0, 0}]", "[%m_0+8, {0, 0}]", code::invalid_access, "a multiple of 64");
  broken("2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r60], [%m_0, {0, 0}]", "3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r60], [%m_0, {0, 0, 0}]", code::invalid_access, "the tensor map has 2 dimensions, the copy 3");
  broken("[%r60], [%m_0", "[%r60+16384], [%m_0", code::out_of_bounds, "a CTA has");
  broken("[%m_0, {0, 0}]", "[%m_0, {0, %r50}]", code::undefined_value, "a coordinate of a tensor");
  broken("\nW: mbarrier.try_wait.parity.shared::cta.b64 %p8, [bar], 0", "\nW: mbarrier.try_wait.parity.shared::cta.b64 %p8, [bar], 1", code::in_flight_access, "reads 4 bytes");
  // A map that is larger than its tensor.
  auto r = box_load(c, x.substr(0, 256), 128);
  r.ptx.replace(r.ptx.find("{0, 0}"), 6, "{0, 4}");
  CHECK(find(launch(r), code::out_of_bounds));
  // An input is not stored to.
  auto w = copying("@%p9 cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%m_0, {0, 0}], [%r60]; ret;", 128, 1, 32, 1);
  w.maps = {c.map};
  CHECK(find(launch(w), code::writes_input));

  struct refused { std::function<void(tensor_map&)> change; std::string words; };
  const refused all[] = {{[](tensor_map& m) { m.rank = 6; }, "rank"}, {[](tensor_map& m) { m.address = 8; }, "address"}, {[](tensor_map& m) { m.box[1] = 257; }, "box of dimension 1"}, {[](tensor_map& m) { m.box[1] = 0; }, "box of dimension 1"},
                         {[](tensor_map& m) { m.box[0] = 6; }, "24 bytes, which is not a multiple of 16"}, {[](tensor_map& m) { m.stride[0] = 40; }, "stride of dimension 1"}, {[](tensor_map& m) { m.stride[0] = std::uint64_t{1} << 40; }, "stride"},
                         {[](tensor_map& m) { m.extent[1] = 0; }, "extent"}, {[](tensor_map& m) { m.extent[0] = (std::uint64_t{1} << 32) + 1; }, "extent"}, {[](tensor_map& m) { m.element_stride[1] = 9; }, "element stride"},
                         {[](tensor_map& m) { m.swizzle = 16; }, "swizzle"}, {[](tensor_map& m) { m.swizzle = 32; m.box[0] = 16; }, "more than the swizzle's 32"}, {[](tensor_map& m) { m.nan = true; }, "NaN"}, {[](tensor_map& m) { m.element_bytes = 3; }, "element of 3"},
                         {[](tensor_map& m) { m.interleave = 8; }, "interleave of 8 bytes is not 0, 16 or 32"}, {[](tensor_map& m) { m.interleave = 16; }, "has 3 to 5 dimensions, not 2"},
                         {[](tensor_map& m) { m.rank = 3; m.interleave = 32; }, "goes with a swizzle of 32 bytes, not 0"},
                         {[](tensor_map& m) { m.rank = 3; m.interleave = m.swizzle = 32; m.address = 16; }, "the address is not a multiple of 32"},
                         {[](tensor_map& m) { m.rank = 3; m.interleave = m.swizzle = 32; m.stride[0] = 48; }, "not a multiple of 32 below 2^40"}};
  const tensor_map unlike[] = {{.element_bytes = 1, .kind = element_kind::real}, {.element_bytes = 4, .kind = element_kind::bfloat}, {.element_bytes = 2, .kind = element_kind::with_sign}, {.element_bytes = 4, .kind = element_kind{9}}};
  for (tensor_map m : unlike) {
    m.box[0] = 16;
    CHECK(has(trouble(m), "no type of this kind has"));
  }
  tensor_map fine = c.map;
  fine.address = 0;
  CHECK(trouble(fine) == "");
  CHECK(unexplained(fine) == "");
  tensor_map slices = fine;
  slices.rank = 3;
  slices.interleave = 16;
  CHECK(trouble(slices) == "");
  CHECK(has(unexplained(slices), "32 bytes of channels"));
  slices.box[0] = 4;
  CHECK(unexplained(slices) == "");
  slices.element_stride[0] = 2;
  CHECK(has(unexplained(slices), "an element stride of 2"));
  for (const refused& one : all) {
    tensor_map m = fine;
    one.change(m);
    INFO(one.words);
    CHECK(has(trouble(m), one.words));
  }
}

// The mark and the layout are public: a kernel can write a map of its own.
TEST_CASE("tensor map: a forged one whose rows run over the end of all addresses") {
  for (const std::uint64_t address : {~std::uint64_t{0} - 15, ~std::uint64_t{0} - 47}) {
    box_case c{dense({8, 1}, {8, 1}, 4), {0, 0}};
    auto r = box_load(c, std::string(512, 'x'), 32);
    c.map.address = address;
    std::string forged(128, '\0');
    skillbench::ptx::encode(c.map, reinterpret_cast<std::byte*>(forged.data()));
    r.blocks[1].bytes = forged;
    r.ptx.replace(r.ptx.find("[%m_0, "), 7, "[%p_1, ");
    const auto told = launch(r);
    INFO(told.trouble);
    const auto* f = find(told, code::invalid_access);
    REQUIRE(f);
    CHECK(has(f->what, "a box of the tensor map: "));
  }
  std::byte bytes[skillbench::ptx::tensor_map_bytes];
  skillbench::ptx::encode({}, bytes);
  bytes[offsetof(tensor_map, nan)] = std::byte{0x5a};
  CHECK(skillbench::ptx::decode_tensor_map(bytes).nan);
}

TEST_CASE("tensor map: what a driver refuses is a finding, what no document explains is not supported") {
  const auto on = kit::device();
  const auto image = on->compile({.source = "struct alignas(64) tm { char b[128]; };\nextern \"C\" __global__ void k(const __grid_constant__ tm m, float* y) { y[threadIdx.x] = m.b[127]; }", .entries = {"k"}});
  if (!image) return;  // no NVRTC here
  REQUIRE_MESSAGE(image.value().ok, image.value().log);
  REQUIRE(!!on->load(image.value().ptx));
  skillbench::job asked;
  skillbench::buffer y;
  y.name = "y";
  y.use = skillbench::role::output;
  y.elements = 32;
  asked.buffers.push_back(y);
  skillbench::tensor_map_request map;
  map.name = "y_map";
  map.extents = {4, 4, 2};
  map.strides = {16, 64};
  map.box = {4, 4, 1};
  map.interleave = 16;
  asked.tensor_maps.push_back(map);
  skillbench::launch one;
  one.entry = image.value().kernels[0].lowered;
  one.block.x = 32;
  skillbench::kernel_argument argument;
  argument.kind = skillbench::kernel_argument::type::tensor_map;
  one.args.push_back(argument);
  argument.kind = skillbench::kernel_argument::type::pointer;
  one.args.push_back(argument);
  asked.launches.push_back(one);
  const auto fine = on->run(asked);
  REQUIRE_MESSAGE(!!fine, fine.error().what);
  CHECK(fine.value().findings.empty());
  asked.tensor_maps[0].box[0] = 8;
  const auto two_slices = on->run(asked);
  REQUIRE(!two_slices);
  CHECK(two_slices.error().why == skillbench::reason::not_supported);
  CHECK(has(two_slices.error().what, "a box with 32 bytes of channels of an interleaved tensor map"));
  asked.tensor_maps[0].interleave = 32;
  const auto refused = on->run(asked);
  REQUIRE(!!refused);
  REQUIRE(!refused.value().findings.empty());
  CHECK(refused.value().findings[0].kind == code::launch_refused);
  CHECK(has(refused.value().findings[0].what, "the tensor map y_map cannot be made: an interleave of 32 bytes goes with a swizzle of 32 bytes"));
}
