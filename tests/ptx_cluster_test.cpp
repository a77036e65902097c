// ptx/ops/cluster.hpp and the clusters of ptx/machine.hpp.

#include "ptx_launch.hpp"

using namespace kit;
using skillbench::extent;

namespace {

const std::string variables = ".shared .align 16 .b8 tile[1024]; .shared .align 8 .b64 bar[4];";
const std::string meet = "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;\n";

request clustered(const std::string& body, extent grid, extent cluster, std::size_t out, u32 threads = 32) {
  auto r = kernel(start + body, out, variables);
  r.grid = grid;
  r.cluster = cluster;
  r.cta.x = threads;
  return r;
}

}  // namespace

TEST_CASE("cluster: the numbers of CTAs and clusters, in three dimensions") {
  // Linear CTA number in a grid of 4 x 6 x 2; clusters of 2 x 3 x 1.
  const std::string body =
      "mov.u32 %r10, %ctaid.x; mov.u32 %r11, %ctaid.y; mov.u32 %r12, %ctaid.z; mad.lo.s32 %r13, %r12, 6, %r11; mad.lo.s32 %r13, %r13, 4, %r10; mul.wide.u32 %rd1, %r13, 64; add.s64 %rd1, %p_0, %rd1;"
      "mov.u32 %r14, %cluster_ctaid.x; mov.u32 %r15, %cluster_ctaid.y; mov.u32 %r16, %cluster_ctaid.z; mov.u32 %r17, %cluster_ctarank; st.global.v4.u32 [%rd1], {%r14, %r15, %r16, %r17};"
      "mov.u32 %r14, %clusterid.x; mov.u32 %r15, %clusterid.y; mov.u32 %r16, %clusterid.z; mov.u32 %r17, %cluster_nctarank; st.global.v4.u32 [%rd1+16], {%r14, %r15, %r16, %r17};"
      "mov.u32 %r14, %nclusterid.x; mov.u32 %r15, %nclusterid.y; mov.u32 %r16, %nclusterid.z; mov.pred %p1, %is_explicit_cluster; selp.u32 %r17, 1, 0, %p1; st.global.v4.u32 [%rd1+32], {%r14, %r15, %r16, %r17};"
      "mov.u32 %r14, %cluster_nctaid.x; mov.u32 %r15, %cluster_nctaid.y; mov.u32 %r16, %cluster_nctaid.z; st.global.v4.u32 [%rd1+48], {%r14, %r15, %r16, %r17}; ret;";
  for (const std::uint64_t seed : {0ull, 0x300000005ull}) {
    auto r = clustered(body, {4, 6, 2}, {2, 3, 1}, 48 * 16);
    r.seed = seed;
    CHECK(run(r) == each(48 * 16, [](u32 i) {
            const u32 x = i / 16 % 4, y = i / 64 % 6, z = i / 384;
            const u32 all[16] = {x % 2, y % 3, 0, x % 2 + y % 3 * 2, x / 2, y / 3, z, 6, 2, 2, 2, 1, 2, 3, 1, 1};
            return all[i % 16];
          }));
  }
  auto one = clustered("mov.u32 %r10, %cluster_ctarank; mov.u32 %r11, %cluster_nctarank; mov.pred %p1, %is_explicit_cluster; selp.u32 %r12, 1, 0, %p1; mov.u32 %r13, %clusterid.x; st.global.v4.u32 [%p_0], {%r10, %r11, %r12, %r13}; ret;", {1, 1, 1}, {1, 1, 1}, 4);
  CHECK(run(one) == std::vector<u32>{0, 1, 0, 0});
}

TEST_CASE("cluster: shared memory of the others, read, written and added to") {
  for (const bool generic : {false, true}) {
    // Each CTA leaves its number, reads the next one's, adds to the one before.
    const std::string map = generic ? "mov.u64 %rd5, tile; cvta.shared.u64 %rd5, %rd5; mapa.u64 %rd6, %rd5, %r11; mapa.u64 %rd7, %rd5, %r12; getctarank.u64 %r20, %rd6; isspacep.shared::cluster %p1, %rd6; isspacep.shared::cta %p2, %rd6;"
                                    : "mov.u32 %r5, tile; mapa.shared::cluster.u32 %r6, %r5, %r11; mapa.shared::cluster.u32 %r7, %r5, %r12; getctarank.shared::cluster.u32 %r20, %r6; setp.eq.u32 %p1, 0, 0; setp.ne.u32 %p2, 0, 0;";
    const std::string load = generic ? "ld.u32 %r15, [%rd8+4];" : "ld.shared::cluster.u32 %r15, [%r8+4];";
    const std::string store = generic ? "st.u32 [%rd9+260], %r10;" : "st.shared::cluster.u32 [%r9+260], %r10;";
    const std::string add = generic ? "atom.add.u32 %r16, [%rd9+512], 3;" : "atom.shared::cluster.add.u32 %r16, [%r9+512], 3;";
    const std::string lanes = generic ? "mul.wide.u32 %rd10, %r1, 8; add.s64 %rd8, %rd6, %rd10; add.s64 %rd9, %rd7, %rd10;" : "mad.lo.s32 %r8, %r1, 8, %r6; mad.lo.s32 %r9, %r1, 8, %r7;";
    auto r = clustered("mov.u32 %r10, %ctaid.x; mov.u32 %r13, %cluster_ctarank; add.s32 %r11, %r13, 1; and.b32 %r11, %r11, 3; add.s32 %r12, %r13, 3; and.b32 %r12, %r12, 3;" + map + lanes +
                           "mov.u32 %r21, tile; mad.lo.s32 %r22, %r1, 8, %r21; mad.lo.s32 %r23, %r10, 100, %r1; st.shared.u32 [%r22+4], %r23; mov.u32 %r24, 1000; st.shared.u32 [%r22+512], %r24;" + meet + load + store + add + meet +
                           "ld.shared.u32 %r17, [%r22+260]; ld.shared.u32 %r18, [%r22+512]; mad.lo.s32 %r15, %r17, 100000, %r15; sub.s32 %r18, %r18, 1003; add.s32 %r15, %r15, %r18; sub.s32 %r20, %r20, %r11; add.s32 %r15, %r15, %r20;"
                           "@!%p1 add.s32 %r15, %r15, 5; @%p2 add.s32 %r15, %r15, 7; st.global.u32 [%rd0], %r15; ret;",
                       {8, 1, 1}, {4, 1, 1}, 8 * 32);
    INFO(generic);
    for (const std::uint64_t seed : {0ull, 0x500000001ull}) {
      r.seed = seed;
      CHECK(run(r) == each(8 * 32, [](u32 i) {
              const u32 cta = i / 32, base = cta / 4 * 4;
              return (base + (cta + 1) % 4) * 100000 + (base + (cta + 1) % 4) * 100 + i % 32;
            }));
    }
  }
}

TEST_CASE("cluster: what has exited or does not exist is told") {
  const std::string ask = "mov.u32 %r13, %cluster_ctarank; mov.u32 %r5, tile; mapa.shared::cluster.u32 %r6, %r5, 0; st.shared.u32 [tile], %r1; st.shared.u32 [tile+4], %r1;";
  auto told = launch(clustered(ask + meet + "setp.eq.u32 %p0, %r13, 0; @%p0 ret; ld.shared::cluster.u32 %r7, [%r6]; ret;", {2, 1, 1}, {2, 1, 1}, 1));
  const auto* f = find(told, code::invalid_access);
  REQUIRE(f);
  CHECK(has(f->what, "its shared memory"));
  // Late enough, the other one is gone.
  told = launch(clustered(ask + meet + "setp.eq.u32 %p0, %r13, 0; @%p0 ret; mov.u32 %r20, 0;\nSPIN: add.s32 %r20, %r20, 1; setp.lt.u32 %p1, %r20, 20000; @%p1 bra SPIN; ld.shared::cluster.u32 %r7, [%r6]; ret;", {2, 1, 1}, {2, 1, 1}, 1));
  f = find(told, code::invalid_access);
  REQUIRE(f);
  CHECK(has(f->what, "the CTA of rank 0, whose it is, has exited"));
  CHECK(launch(clustered(ask + meet + "setp.eq.u32 %p0, %r13, 0; @!%p0 ld.shared::cluster.u32 %r7, [%r6];" + meet + "ret;", {2, 1, 1}, {2, 1, 1}, 1)).findings.empty());
  told = launch(clustered(ask + "mapa.shared::cluster.u32 %r6, %r5, 2; ld.shared::cluster.u32 %r7, [%r6];" + meet + "ret;", {2, 1, 1}, {2, 1, 1}, 1));
  REQUIRE(find(told, code::out_of_bounds));
  CHECK(has(find(told, code::out_of_bounds)->what, "the cluster has 2 CTAs"));
  told = launch(clustered(ask + "mapa.shared::cluster.u32 %r6, %r5, 1; ld.shared::cluster.u32 %r7, [%r6+1056];" + meet + "ret;", {2, 1, 1}, {2, 1, 1}, 1));
  REQUIRE(find(told, code::out_of_bounds));
  CHECK(has(find(told, code::out_of_bounds)->what, "a CTA has 1056 bytes of it"));
  // The address of another CTA is none of shared::cta.
  told = launch(clustered(ask + "mapa.shared::cluster.u32 %r6, %r5, 1; setp.eq.u32 %p0, %r13, 0; @%p0 ld.shared.u32 %r7, [%r6];" + meet + "ret;", {2, 1, 1}, {2, 1, 1}, 1));
  CHECK(find(told, code::out_of_bounds));
  told = launch(clustered(ask + "mapa.shared::cluster.u32 %r6, %r5, %r13; ld.shared.u32 %r7, [%r6+4]; ret;", {2, 1, 1}, {2, 1, 1}, 1));
  CHECK(told.findings.empty());
}

TEST_CASE("cluster: its barrier, split, with exited threads, and its misuse") {
  // Between arriving and waiting a CTA works on; the flag is seen after.
  auto r = clustered("mov.u32 %r13, %cluster_ctarank; mov.u32 %r5, tile; xor.b32 %r14, %r13, 1; mapa.shared::cluster.u32 %r6, %r5, %r14; mad.lo.s32 %r7, %r1, 4, %r5; mad.lo.s32 %r8, %r1, 4, %r6; st.shared.u32 [%r7], %r0; setp.gt.u32 %p1, %r1, 63; @%p1 ret;"
                     "barrier.cluster.arrive; add.s32 %r9, %r1, 5; barrier.cluster.wait; ld.shared::cluster.u32 %r10, [%r8]; add.s32 %r10, %r10, %r9; barrier.cluster.arrive.relaxed; barrier.cluster.wait; st.global.u32 [%rd0], %r10; ret;",
                     {4, 1, 1}, {2, 1, 1}, 4 * 96, 96);
  const auto told = launch(r);
  CHECK(told.findings.empty());
  for (u32 i = 0; i < 4 * 96; ++i)
    if (i % 96 < 64) CHECK(output(told)[i] == (i / 96 ^ 1) * 96 + i % 96 + i % 96 + 5);
  const auto misuse = [&](const std::string& body, code kind, const std::string& says) {
    const auto seen = launch(clustered(body + "ret;", {2, 1, 1}, {2, 1, 1}, 1));
    INFO(body);
    REQUIRE(find(seen, kind));
    CHECK(has(find(seen, kind)->what, says));
  };
  misuse("barrier.cluster.wait;", code::barrier_divergence, "waits at the barrier of the cluster without having arrived");
  misuse("barrier.cluster.arrive; barrier.cluster.arrive;", code::barrier_divergence, "arrives at the barrier of the cluster again");
  misuse("mov.u32 %r10, %cluster_ctarank; setp.eq.u32 %p0, %r10, 0; @%p0 bra X;" + meet + "ret;\nX: bar.sync 0, 64;", code::deadlock, "32 threads of warp 0 of rank 1 wait at the barrier of the cluster for 32 more threads");
  // Without a cluster the CTA is one.
  CHECK(launch(clustered(meet + meet + "ret;", {2, 1, 1}, {1, 1, 1}, 1)).findings.empty());
}

TEST_CASE("cluster: an mbarrier of another CTA") {
  // Every CTA of 4 arrives at rank 0's; rank 0 waits and reads what they left.
  auto r = clustered("mov.u32 %r13, %cluster_ctarank; mov.u32 %r5, bar; mapa.shared::cluster.u32 %r6, %r5, 0; mov.u32 %r5, tile; mapa.shared::cluster.u32 %r7, %r5, 0; setp.eq.u32 %p9, %r0, 0; setp.eq.u32 %p8, %r1, 0;"
                     "@%p8 mbarrier.init.shared.b64 [bar], 4; fence.mbarrier_init.release.cluster;" + meet +
                     "mad.lo.s32 %r7, %r13, 4, %r7; @%p8 st.shared::cluster.u32 [%r7], %r13; @%p8 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r6]; setp.ne.u32 %p0, %r13, 0; @%p0 bra END;\n"
                     "W: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [bar], 0; @!%p1 bra W; mad.lo.s32 %r8, %r1, 4, %r5; setp.lt.u32 %p2, %r1, 4; @%p2 ld.shared.u32 %r9, [%r8]; @%p2 st.global.u32 [%rd0], %r9;\nEND: " + meet + "ret;",
                     {4, 1, 1}, {4, 1, 1}, 4);
  CHECK(run(r) == each(4, [](u32 i) { return i; }));
  // Others know of it by a fence, or by a barrier of the cluster that tells what
  // was done before.
  const auto begun = [](const std::string& between) {
    return launch(clustered("mov.u32 %r13, %cluster_ctarank; mov.u32 %r5, bar; mapa.shared::cluster.u32 %r6, %r5, 0; setp.eq.u32 %p8, %r1, 0; @%p8 mbarrier.init.shared.b64 [bar], 4;" + between +
                                "@%p8 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r6];" + meet + "ret;",
                            {4, 1, 1}, {4, 1, 1}, 4));
  };
  const std::string silent = "barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.acquire.aligned;\n";
  CHECK(begun(meet).findings.empty());
  CHECK(begun("@%p8 fence.mbarrier_init.release.cluster;" + silent).findings.empty());
  const auto untold = begun(silent);
  REQUIRE(find(untold, code::missing_fence));
  CHECK(has(find(untold, code::missing_fence)->what, "uses the mbarrier at 0x400 of shared memory of rank 0, which was initialised (PTX line"));
  auto told = launch(clustered("mov.u32 %r5, bar; mov.u32 %r13, %cluster_ctarank; xor.b32 %r14, %r13, 1; mapa.shared::cluster.u32 %r6, %r5, %r14; setp.eq.u32 %p8, %r1, 0; @%p8 mbarrier.init.shared.b64 [bar], 1;" + meet +
                               "mbarrier.test_wait.parity.shared.b64 %p1, [%r6], 0; ret;", {2, 1, 1}, {2, 1, 1}, 4));
  CHECK(find(told, code::out_of_bounds));
}
