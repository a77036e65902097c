// counters.hpp, ptx/count.hpp and ptx/classes.hpp: what a launch did, against
// counts by hand and against a count that shares no code with them.

#include <map>
#include <random>
#include <set>
#include <sstream>

#include "ptx_launch.hpp"

using namespace kit;
using skillbench::event_counts;
using skillbench::instruction_class;
using skillbench::launch_counters;
using skillbench::sum_of;
using skillbench::tensor_type;
using u64 = std::uint64_t;

namespace {

u64 at(const std::array<u64, skillbench::instruction_classes>& of, instruction_class is) { return of[static_cast<std::size_t>(is)]; }
u64 at(const std::array<u64, skillbench::tensor_types>& of, tensor_type is) { return of[static_cast<std::size_t>(is)]; }

// y of `out` words that start defined, and x of `in` words: what is not read or
// written must not matter.
request reading(const std::string& body, std::size_t in, std::size_t out, const std::string& declare = "") {
  request r;
  r.ptx = header + kit::entry(start + body + " ret;", 2, 0, declare);
  r.entry = "k";
  r.cta.x = 32;
  r.blocks.push_back({"y", true, true, 4, std::string(4 * out, '\0')});
  r.blocks.push_back({"x", false, true, 4, bytes_of(each(in, [](u32 i) { return i; }))});
  return r;
}

// The counters of a launch that goes well. It leaves the same bytes and totals
// with counters and without, which is native code where the host can.
launch_counters count(request r) {
  const auto plain = launch(r);
  r.counters = true;
  const auto told = launch(r), again = launch(r);
  INFO(told.trouble);
  CHECK(told.trouble == "");
  for (const auto& f : told.findings) MESSAGE(f.what);
  CHECK(told.findings.empty());
  CHECK_FALSE(plain.counted);
  REQUIRE(told.counted);
  REQUIRE(again.counted);
  CHECK(*told.counted == *again.counted);
  const event_counts& all = told.counted->total;
  CHECK(told.bytes == plain.bytes);
  CHECK(plain.warp_instructions == told.warp_instructions);
  CHECK(plain.thread_instructions == told.thread_instructions);
  CHECK(plain.load_sectors == told.load_sectors);
  CHECK(plain.store_sectors == told.store_sectors);
  CHECK(sum_of(all.warp_instructions) == told.warp_instructions);
  CHECK(sum_of(all.thread_instructions) == told.thread_instructions);
  CHECK(all.global_load_sectors + all.copy_load_sectors == told.load_sectors);
  CHECK(all.global_store_sectors + all.global_atomic_sectors + all.copy_store_sectors == told.store_sectors);
  CHECK(told.counted->barriers == told.barriers);
  event_counts sum;
  for (const auto& each : told.counted->lines) sum += each.of;
  CHECK(sum == all);
  return *told.counted;
}

// Where lane l reads or writes shared memory: %r10, from a register expression.
const std::string tile = ".shared .align 128 .b8 tile[16384];";
std::string shared_at(u32 stride, u32 offset = 0) {
  return "mov.u32 %r11, tile; mad.lo.s32 %r10, %r1, " + std::to_string(stride) + ", %r11; add.s32 %r10, %r10, " + std::to_string(offset) + "; ";
}
// Zeros in all of the tile, by 32 threads.
const std::string clear_tile =
    "mov.u32 %r50, 0; mov.u32 %r51, tile; mad.lo.s32 %r51, %r1, 512, %r51; mov.u32 %r52, 0;\n"
    "C: st.shared.v4.u32 [%r51], {%r50, %r50, %r50, %r50}; add.s32 %r51, %r51, 16; add.s32 %r52, %r52, 1; setp.lt.u32 %p20, %r52, 32; @%p20 bra C;\n"
    "bar.warp.sync -1;\n";

struct line_of_text {
  int number;
  event_counts of;
};
// The counts of the line of the PTX that holds `text`.
event_counts line_with(const request& r, const launch_counters& told, const std::string& text) {
  std::istringstream lines(r.ptx);
  std::string one;
  CHECK(told.of_ptx);
  for (int n = 1; std::getline(lines, one); ++n)
    if (has(one, text))
      for (const auto& each : told.lines)
        if (each.line == n) return each.of;
  FAIL("no counts of " << text);
  return {};
}

// What one access does beside zeros in the tile.
event_counts shared_access(const std::string& prepare, const std::string& access) {
  auto r = reading(clear_tile + prepare + "\n" + access + "\n", 1, 1, tile);
  return line_with(r, count(r), access);
}

event_counts global_access(const std::string& address, const std::string& access) {
  auto r = reading(address + "\n" + access + "\n", 4096, 4096);
  return line_with(r, count(r), access);
}
// %rd5 of x and %rd6 of y, `stride` bytes from lane to lane.
std::string global_at(u32 stride, u32 offset = 0) {
  const std::string s = std::to_string(stride), o = std::to_string(offset);
  return "mul.wide.u32 %rd5, %r1, " + s + "; add.s64 %rd6, %p_0, %rd5; add.s64 %rd5, %p_1, %rd5; add.s64 %rd5, %rd5, " + o + "; add.s64 %rd6, %rd6, " + o + ";";
}

}  // namespace

// ---- instructions ------------------------------------------------------------------

TEST_CASE("counters: warp and thread instructions of a kernel, by class") {
  // 48 threads: a warp of 32 and one of 16, of which 10 pass the guard.
  auto r = reading("add.s64 %rd1, %p_1, %rd0; sub.s64 %rd1, %rd1, %p_0; setp.lt.u32 %p0, %r1, 42;\n"
                   "@%p0 ld.global.f32 %f0, [%rd1];\n"
                   "@!%p0 mov.f32 %f0, 0f3f800000; add.f32 %f1, %f0, %f0; rcp.approx.f32 %f2, %f1; cvt.rn.f16.f32 %rs0, %f1; add.f16 %rs1, %rs0, %rs0;\n"
                   "shfl.sync.bfly.b32 %r20, %r1, 1, 0x1f, %r21; mov.u32 %r22, %laneid;\n"
                   "st.global.f32 [%rd0], %f1;",
                   64, 64);
  r.cta.x = 48;
  // The members of the second warp are its 16 lanes.
  const std::string members = "mov.u32 %r21, -1; setp.ge.u32 %p1, %r1, 32; @%p1 mov.u32 %r21, 0xffff;\n";
  r.ptx.insert(r.ptx.find("shfl"), members);
  const auto told = count(r);
  const auto& w = told.total.warp_instructions;
  const auto& t = told.total.thread_instructions;
  CHECK(at(w, instruction_class::load_constant) == 2 * 2);       // two pointers
  CHECK(at(w, instruction_class::integer) == 2 * (3 + 2 + 1 + 1));  // start, address, setp twice
  CHECK(at(w, instruction_class::move) == 2 * (2 + 3 + 1 + 2 + 1));  // cvta, start, guarded, members, laneid
  CHECK(at(w, instruction_class::f32) == 2);
  CHECK(at(w, instruction_class::special) == 2);
  CHECK(at(w, instruction_class::convert) == 2);
  CHECK(at(w, instruction_class::f16) == 2);
  CHECK(at(w, instruction_class::exchange) == 2);
  CHECK(at(w, instruction_class::load_global) == 2);
  CHECK(at(w, instruction_class::store_global) == 2);
  CHECK(at(w, instruction_class::control) == 2);
  CHECK(sum_of(w) == 2 * 26);
  CHECK(at(t, instruction_class::load_global) == 42);
  CHECK(at(t, instruction_class::store_global) == 48);
  CHECK(at(t, instruction_class::f32) == 48);
  CHECK(at(t, instruction_class::move) == 48 * (2 + 3 + 1 + 1) + 6 + 16);
  CHECK(told.total.global_load_requests == 2);
  CHECK(told.total.global_load_bytes == 4 * 42);
  CHECK(told.total.global_load_sectors == 4 + 2);
  CHECK(told.total.global_store_sectors == 4 + 2);
}

TEST_CASE("counters: every line is its own, and a guard that nobody passes is no request") {
  auto r = reading("setp.gt.u32 %p0, %r1, 99;\n@%p0 ld.global.u32 %r5, [%p_1];\nst.global.u32 [%rd0], %r1;\n", 8, 32);
  const auto told = count(r);
  const auto load = line_with(r, told, "ld.global"), store = line_with(r, told, "st.global");
  CHECK(at(load.warp_instructions, instruction_class::load_global) == 1);
  CHECK(at(load.thread_instructions, instruction_class::load_global) == 0);
  CHECK(load.global_load_requests == 0);
  CHECK(load.global_load_sectors == 0);
  CHECK(store.global_store_requests == 1);
  CHECK(store.global_store_sectors == 4);
  CHECK(sum_of(store.warp_instructions) == 1);
}

// ---- global memory -----------------------------------------------------------------

TEST_CASE("counters: sectors of loads and stores") {
  struct one { u32 stride, offset; std::string type; u64 sectors, bytes; };
  const one all[] = {{4, 0, "u32", 4, 128},   {4, 4, "u32", 5, 128},    {8, 0, "u32", 8, 128},    {32, 0, "u32", 32, 128}, {128, 0, "u32", 32, 128},
                     {0, 0, "u32", 1, 128},   {1, 0, "u8", 1, 32},      {2, 0, "u16", 2, 64},     {8, 0, "u64", 8, 256},   {16, 0, "v4.u32", 16, 512},
                     {16, 16, "v4.u32", 17, 512}, {32, 0, "v4.u32", 32, 512}, {8, 0, "v2.u32", 8, 256}};
  for (const one& o : all) {
    INFO(o.stride << " " << o.offset << " " << o.type);
    const std::string value = has(o.type, "v4") ? "{%r20, %r21, %r22, %r23}" : has(o.type, "v2") ? "{%r20, %r21}" : has(o.type, "64") ? "%rd20" : has(o.type, "u16") ? "%rs20" : "%r20";
    const std::string values = "mov.u32 %r20, 0; mov.u32 %r21, 0; mov.u32 %r22, 0; mov.u32 %r23, 0; mov.u64 %rd20, 0; mov.u16 %rs20, 0; ";
    const auto load = global_access(global_at(o.stride, o.offset), "ld.global." + o.type + " " + value + ", [%rd5];");
    CHECK(load.global_load_requests == 1);
    CHECK(load.global_load_sectors == o.sectors);
    CHECK(load.global_load_bytes == o.bytes);
    CHECK(load.global_store_requests == 0);
    if (o.stride == 0) continue;  // all lanes would write one place
    const auto store = global_access(global_at(o.stride, o.offset) + values, "st.global." + o.type + " [%rd6], " + value + ";");
    CHECK(store.global_store_requests == 1);
    CHECK(store.global_store_sectors == o.sectors);
    CHECK(store.global_store_bytes == o.bytes);
    CHECK(store.global_load_requests == 0);
  }
}

TEST_CASE("counters: what a launch touches, each sector once") {
  // Two CTAs read the same 128 bytes twice and write 4 bytes each, 64 apart.
  auto r = reading("mul.wide.u32 %rd5, %r1, 4; add.s64 %rd5, %p_1, %rd5; ld.global.u32 %r20, [%rd5]; ld.global.u32 %r21, [%rd5];\n"
                   "mul.wide.u32 %rd6, %r2, 64; add.s64 %rd6, %p_0, %rd6; setp.eq.u32 %p0, %r1, 0; @%p0 st.global.u32 [%rd6], %r20;",
                   32, 64);
  r.grid.x = 2;
  const auto told = count(r);
  CHECK(told.total.global_load_requests == 4);
  CHECK(told.total.global_load_sectors == 16);
  CHECK(told.global_read_bytes == 128);
  CHECK(told.global_written_bytes == 64);
}

TEST_CASE("counters: constants are no sectors of global memory") {
  auto r = reading("mov.u64 %rd5, table; ld.const.u32 %r20, [%rd5]; mul.lo.u32 %r21, %r1, 20; and.b32 %r21, %r21, 60; cvt.u64.u32 %rd6, %r21; add.s64 %rd6, %rd5, %rd6; ld.const.u32 %r22, [%rd6];"
                   "add.s32 %r20, %r20, %r22; st.global.u32 [%rd0], %r20;",
                   16, 32);
  r.ptx.insert(header.size(), ".const .align 4 .u32 table[4] = {1, 2, 3, 4};\n");
  // The kit places no module variables: the block beside is where it would lie.
  r.ptx.replace(r.ptx.find("mov.u64 %rd5, table"), 19, "mov.u64 %rd5, %p_1");
  const auto told = count(r);
  CHECK(at(told.total.warp_instructions, instruction_class::load_constant) == 4);
  CHECK(told.total.global_load_requests == 0);
  CHECK(told.global_read_bytes == 0);
}

TEST_CASE("counters: atomics of global memory") {
  auto r = reading("red.global.add.u32 [%p_0], 1;\natom.global.add.u32 %r20, [%rd0], 1;\nst.global.u32 [%rd0+128], %r20;", 1, 64);
  const auto told = count(r);
  const auto red = line_with(r, told, "red.global"), atom = line_with(r, told, "atom.global");
  CHECK(red.global_atomic_requests == 1);
  CHECK(red.global_atomic_sectors == 1);
  CHECK(red.global_atomic_lanes == 32);
  CHECK(atom.global_atomic_sectors == 4);
  CHECK(at(told.total.warp_instructions, instruction_class::atomic_global) == 2);
  CHECK(told.total.global_store_requests == 1);
  CHECK(told.global_read_bytes == 128);
  CHECK(told.global_written_bytes == 256);
}

// ---- shared memory -----------------------------------------------------------------

TEST_CASE("counters: wavefronts and bank conflicts") {
  struct one { u32 stride; std::string type; u64 wavefronts, least, bytes; };
  const one all[] = {{4, "u32", 1, 1, 128},     {8, "u32", 2, 1, 128},    {12, "u32", 1, 1, 128}, {16, "u32", 4, 1, 128},    {128, "u32", 32, 1, 128}, {132, "u32", 1, 1, 128},
                     {0, "u32", 1, 1, 128},     {1, "u8", 1, 1, 32},      {2, "u16", 1, 1, 64},   {128, "u16", 32, 1, 64},   {8, "u64", 2, 2, 256},
                     {16, "v2.u32", 4, 2, 256}, {0, "u64", 2, 2, 256},    {16, "v4.u32", 4, 4, 512}, {32, "v4.u32", 8, 4, 512}, {128, "v4.u32", 32, 4, 512}, {144, "v4.u32", 4, 4, 512}};
  for (const one& o : all) {
    INFO(o.stride << " " << o.type);
    const std::string value = has(o.type, "v4") ? "{%r20, %r21, %r22, %r23}" : has(o.type, "v2") ? "{%r20, %r21}" : has(o.type, "64") ? "%rd20" : has(o.type, "u16") ? "%rs20" : "%r20";
    const auto load = shared_access(shared_at(o.stride), "ld.shared." + o.type + " " + value + ", [%r10];");
    CHECK(load.shared_load_requests == 1);
    CHECK(load.shared_load_wavefronts == o.wavefronts);
    CHECK(load.shared_load_conflicts == o.wavefronts - o.least);
    CHECK(load.shared_load_bytes == o.bytes);
    const std::string values = "mov.u32 %r20, 0; mov.u32 %r21, 0; mov.u32 %r22, 0; mov.u32 %r23, 0; mov.u64 %rd20, 0; mov.u16 %rs20, 0; ";
    if (o.stride == 0) continue;
    const auto store = shared_access(shared_at(o.stride) + values, "st.shared." + o.type + " [%r10], " + value + ";");
    CHECK(store.shared_store_requests == 1);
    CHECK(store.shared_store_wavefronts == o.wavefronts);
    CHECK(store.shared_store_conflicts == o.wavefronts - o.least);
    CHECK(store.shared_load_requests == 0);
  }
  // Half of the lanes: one of two phases.
  const auto half = shared_access(shared_at(8) + "setp.lt.u32 %p0, %r1, 16;", "@%p0 ld.shared.u64 %rd20, [%r10];");
  CHECK(half.shared_load_wavefronts == 1);
  CHECK(half.shared_load_conflicts == 0);
  CHECK(half.shared_load_bytes == 128);
}

TEST_CASE("counters: atomics of shared memory take turns") {
  const auto same = shared_access(shared_at(0), "atom.shared.add.u32 %r20, [%r10], 1;");
  CHECK(same.shared_atomic_requests == 1);
  CHECK(same.shared_atomic_wavefronts == 32);
  CHECK(same.shared_atomic_conflicts == 31);
  CHECK(same.shared_atomic_lanes == 32);
  const auto apart = shared_access(shared_at(4), "red.shared.add.u32 [%r10], 1;");
  CHECK(apart.shared_atomic_wavefronts == 1);
  CHECK(at(apart.warp_instructions, instruction_class::atomic_shared) == 1);
  CHECK(shared_access(shared_at(8), "red.shared.add.u32 [%r10], 1;").shared_atomic_wavefronts == 2);
}

TEST_CASE("counters: ldmatrix and stmatrix have a phase for each matrix") {
  // Rows of 16 bytes without a gap, and rows that begin in one bank.
  const std::string list = "{%r20, %r21, %r22, %r23}";
  auto told = shared_access(shared_at(16), "ldmatrix.sync.aligned.m8n8.x4.shared.b16 " + list + ", [%r10];");
  CHECK(told.shared_load_requests == 1);
  CHECK(told.shared_load_wavefronts == 4);
  CHECK(told.shared_load_conflicts == 0);
  CHECK(told.shared_load_bytes == 512);
  told = shared_access(shared_at(128), "ldmatrix.sync.aligned.m8n8.x4.shared.b16 " + list + ", [%r10];");
  CHECK(told.shared_load_wavefronts == 32);
  CHECK(told.shared_load_conflicts == 28);
  told = shared_access(shared_at(16), "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r20}, [%r10];");
  CHECK(told.shared_load_wavefronts == 1);
  CHECK(told.shared_load_bytes == 128);
  told = shared_access(shared_at(32) + "mov.u32 %r20, 0; mov.u32 %r21, 0;", "stmatrix.sync.aligned.m8n8.x2.shared.b16 [%r10], {%r20, %r21};");
  CHECK(told.shared_store_wavefronts == 4);
  CHECK(told.shared_store_conflicts == 2);
  CHECK(at(told.warp_instructions, instruction_class::store_shared) == 1);
}

TEST_CASE("counters: a generic address is counted where it goes") {
  const std::string local = ".local .align 16 .b8 own[16];";
  auto r = reading(clear_tile + shared_at(8) + "cvt.u64.u32 %rd5, %r10; cvta.shared.u64 %rd5, %rd5; mov.u64 %rd6, own; cvta.local.u64 %rd6, %rd6; cvta.global.u64 %rd7, %rd0;\n"
                   "ld.u32 %r20, [%rd5];\nst.u32 [%rd6], %r20;\nld.u32 %r21, [%rd7];\nst.u32 [%rd7], %r21;\natom.add.u32 %r22, [%rd5], 1;\n",
                   1, 32, tile + local);
  const auto told = count(r);
  const auto& w = told.total.warp_instructions;
  CHECK(at(w, instruction_class::load_shared) == 1);
  CHECK(at(w, instruction_class::store_local) == 1);
  CHECK(at(w, instruction_class::load_global) == 1);
  CHECK(at(w, instruction_class::store_global) == 1);
  CHECK(at(w, instruction_class::atomic_shared) == 1);
  CHECK(at(w, instruction_class::atomic_global) == 0);
  CHECK(at(told.total.thread_instructions, instruction_class::load_shared) == 32);
  CHECK(line_with(r, told, "ld.u32 %r20").shared_load_wavefronts == 2);
  CHECK(line_with(r, told, "atom.add").shared_atomic_wavefronts == 2);
  CHECK(line_with(r, told, "ld.u32 %r21").global_load_sectors == 4);
}

TEST_CASE("counters: local memory lies word beside word of the threads") {
  const std::string local = ".local .align 16 .b8 own[256];";
  auto r = reading("mov.u32 %r10, own; mad.lo.s32 %r11, %r1, 8, %r10; setp.lt.u32 %p1, %r1, 9;\n"
                   "st.local.u32 [%r10], %r1;\nst.local.v4.u32 [%r10+16], {%r1, %r1, %r1, %r1};\nst.local.u64 [%r11], %rd0;\nst.local.u8 [%r10], %r1;\n"
                   "ld.local.u32 %r20, [%r10+16];\n@%p1 ld.local.v2.u32 {%r21, %r22}, [%r10+24];\nmov.u64 %rd6, own; cvta.local.u64 %rd6, %rd6;\nld.u32 %r23, [%rd6+20];\n",
                   1, 32, local);
  const auto told = count(r);
  CHECK(line_with(r, told, "st.local.u32").local_store_sectors == 4);
  CHECK(line_with(r, told, "st.local.v4").local_store_sectors == 16);
  CHECK(line_with(r, told, "st.local.u64").local_store_sectors == 64);  // each lane in words of its own
  CHECK(line_with(r, told, "st.local.u8").local_store_sectors == 4);
  CHECK(line_with(r, told, "ld.local.u32").local_load_sectors == 4);
  CHECK(line_with(r, told, "ld.local.v2").local_load_sectors == 4);  // 9 lanes, 2 words
  CHECK(line_with(r, told, "ld.u32 %r23").local_load_sectors == 4);
  CHECK(told.total.local_store_requests == 4);
  CHECK(told.total.local_load_requests == 3);
  CHECK(told.total.global_load_requests == 0);
}

TEST_CASE("counters: shared memory of another CTA is in no bank") {
  const std::string meet = "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;\n";
  auto r = reading(clear_tile + "mov.u32 %r5, tile; mapa.shared::cluster.u32 %r6, %r5, 1; mad.lo.s32 %r6, %r1, 4, %r6;\n" + meet + "ld.shared::cluster.u32 %r7, [%r6];\n" + meet, 1, 32, tile);
  r.grid.x = r.cluster.x = 2;
  const auto told = count(r);
  CHECK(told.total.cluster_requests == 2);
  CHECK(told.total.cluster_bytes == 256);
  CHECK(told.total.shared_load_requests == 0);
  CHECK(told.barriers == 2);
}

// ---- branches ----------------------------------------------------------------------

TEST_CASE("counters: branches that divide a warp, and those that do not") {
  // Three times around the loop, then lanes below 16 one way: 3 + 1 branches of
  // each of two warps, and the jump behind the first half.
  auto r = reading("mov.u32 %r20, 0;\nL: add.s32 %r20, %r20, 1; setp.lt.u32 %p0, %r20, 3; @%p0 bra L;\nand.b32 %r21, %r1, 31; setp.lt.u32 %p1, %r21, 16;\n@%p1 bra A;\n"
                   "mov.u32 %r22, 1; bra.uni B;\nA: mov.u32 %r22, 2;\nB: st.global.u32 [%rd0], %r22;",
                   1, 64);
  r.cta.x = 64;
  const auto told = count(r);
  CHECK(told.total.branches == 2 * (3 + 1 + 1));
  CHECK(told.total.divergent_branches == 2);
  CHECK(line_with(r, told, "@%p1 bra A").divergent_branches == 2);
  CHECK(line_with(r, told, "@%p1 bra A").branches == 2);
  // The halves meet again behind it.
  CHECK(told.total.global_store_requests == 2);

  r = reading("and.b32 %r20, %r1, 1;\nT: .branchtargets A, B;\nbrx.idx %r20, T;\nA: mov.u32 %r22, 1; bra.uni B;\nB: mov.u32 %r23, 1;", 1, 1);
  auto parted = count(r);
  CHECK(parted.total.branches == 2);
  CHECK(parted.total.divergent_branches == 1);
  r.ptx.replace(r.ptx.find("and.b32 %r20, %r1, 1"), 20, "and.b32 %r20, %r1, 0");
  parted = count(r);
  CHECK(parted.total.branches == 2);
  CHECK(parted.total.divergent_branches == 0);
}

// ---- tensor cores --------------------------------------------------------------------

TEST_CASE("counters: operations of tensor cores, by type") {
  const std::string zeros = "mov.u32 %r20, 0; mov.u32 %r21, 0; mov.u32 %r22, 0; mov.u32 %r23, 0; mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0; mov.b32 %r30, 0; mov.b32 %r31, 0; mov.b32 %r32, 0; mov.b32 %r33, 0;\n";
  const std::string a4 = "{%r20, %r21, %r22, %r23}", f4 = "{%f0, %f1, %f2, %f3}", i4 = "{%r30, %r31, %r32, %r33}";
  struct one { std::string text; tensor_type is; u64 operations; };
  const one all[] = {{"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 " + f4 + ", " + a4 + ", {%r20, %r21}, " + f4 + ";", tensor_type::f16, 2 * 16 * 8 * 16},
                     {"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 " + f4 + ", {%r20, %r21}, {%r20}, " + f4 + ";", tensor_type::bf16, 2 * 16 * 8 * 8},
                     {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 " + f4 + ", " + a4 + ", {%r20, %r21}, " + f4 + ";", tensor_type::tf32, 2 * 16 * 8 * 8},
                     {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 " + f4 + ", " + a4 + ", {%r20, %r21}, " + f4 + ";", tensor_type::fp8, 2 * 16 * 8 * 32},
                     {"mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 " + i4 + ", " + a4 + ", {%r20, %r21}, " + i4 + ";", tensor_type::int8, 2 * 16 * 8 * 32},
                     {"mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 " + i4 + ", " + a4 + ", {%r20, %r21}, " + i4 + ";", tensor_type::int4, 2 * 16 * 8 * 64},
                     {"mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc " + i4 + ", " + a4 + ", {%r20, %r21}, " + i4 + ";", tensor_type::bit, 2 * 16 * 8 * 256},
                     {"mma.sync.aligned.m8n8k4.row.col.f16.f16.f16.f16 " + a4 + ", {%r20, %r21}, {%r22, %r23}, " + a4 + ";", tensor_type::f16, 4 * 2 * 8 * 8 * 4}};
  for (const one& o : all) {
    INFO(o.text);
    auto r = reading(zeros + o.text, 1, 1);
    const auto told = count(r);
    CHECK(at(told.total.tensor_operations, o.is) == o.operations);
    CHECK(sum_of(told.total.tensor_operations) == o.operations);
    CHECK(at(told.total.warp_instructions, instruction_class::tensor) == 1);
  }
}

TEST_CASE("counters: wmma reads and writes a request for each register") {
  std::string a = "{", b = "{", c = "{";
  for (int i = 0; i < 8; ++i) {
    const std::string n = (i ? ", %" : "%"), k = std::to_string(i) + (i == 7 ? "}" : "");
    a += n + "a" + k;
    b += n + "b" + k;
    c += n + "c" + k;
  }
  std::string body = "mov.u32 %r13, 16;\n";
  for (int i = 0; i < 8; ++i) body += "mov.b32 %c" + std::to_string(i) + ", 0; ";
  body += "\nwmma.load.a.sync.aligned.row.m16n16k16.global.f16 " + a + ", [%p_1], %r13;\nwmma.load.b.sync.aligned.col.m16n16k16.f16 " + b + ", [%rd9], %r13;\n" +
          "wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 " + c + ", " + a + ", " + b + ", " + c + ";\nwmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%p_0], " + c + ", %r13;\n";
  auto r = reading("cvta.global.u64 %rd9, %p_1;\n" + body, 128, 256, ".reg .b32 %a<8>, %b<8>, %c<8>;");
  const auto told = count(r);
  // Four registers of pairs: 8 rows of 32 bytes, of which 16 are read.
  for (const std::string which : {"wmma.load.a", "wmma.load.b"}) {
    const auto load = line_with(r, told, which);
    CHECK(load.global_load_requests == 4);
    CHECK(load.global_load_sectors == 4 * 8);
    CHECK(load.global_load_bytes == 512);
  }
  const auto store = line_with(r, told, "wmma.store");
  CHECK(store.global_store_requests == 8);
  CHECK(store.global_store_sectors == 8 * 8);
  CHECK(store.global_store_bytes == 1024);
  CHECK(at(told.total.tensor_operations, tensor_type::f16) == 2 * 16 * 16 * 16);
  CHECK(told.global_read_bytes == 512);
  CHECK(told.global_written_bytes == 1024);
}

TEST_CASE("counters: of wgmma each warp does a quarter") {
  const auto descriptor = [](u64 from) { return std::to_string(from >> 4 | u64{128 >> 4} << 16 | u64{256 >> 4} << 32); };
  auto r = reading("mov.u32 %r50, 0; mov.u32 %r51, tile; mad.lo.s32 %r51, %r1, 32, %r51; st.shared.v4.u32 [%r51], {%r50, %r50, %r50, %r50}; st.shared.v4.u32 [%r51+16], {%r50, %r50, %r50, %r50};"
                   "mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0; mov.b64 %rd10, " + descriptor(0) + "; mov.b64 %rd11, " + descriptor(2048) + "; setp.eq.u32 %p1, 0, 0;\n"
                   "fence.proxy.async.shared::cta; bar.sync 0; wgmma.fence.sync.aligned;\n"
                   "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, %rd10, %rd11, %p1, 1, 1, 0, 0;\n"
                   "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n",
                   1, 1, tile);
  r.cta.x = 128;
  const auto told = count(r);
  CHECK(at(told.total.tensor_operations, tensor_type::bf16) == 2 * 64 * 8 * 16);
  CHECK(at(told.total.warp_instructions, instruction_class::tensor) == 4);
  CHECK(at(told.total.warp_instructions, instruction_class::barrier) == 4 * 5);
  CHECK(told.barriers == 1);
}

// ---- copies --------------------------------------------------------------------------

TEST_CASE("counters: cp.async reads sectors and writes banks") {
  auto r = reading("mul.wide.u32 %rd5, %r1, 16; add.s64 %rd5, %p_1, %rd5; " + shared_at(16) +
                       "\ncp.async.cg.shared.global [%r10], [%rd5], 16;\ncp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r20, [%r10];",
                   128, 1, tile);
  const auto told = count(r);
  const auto copy = line_with(r, told, "cp.async.cg");
  CHECK(copy.thread_copies == 1);
  CHECK(copy.thread_copy_bytes == 512);
  CHECK(copy.copy_load_sectors == 16);
  CHECK(copy.shared_store_requests == 1);
  CHECK(copy.shared_store_wavefronts == 4);
  CHECK(copy.global_load_requests == 0);
  CHECK(told.global_read_bytes == 512);
  CHECK(at(told.total.warp_instructions, instruction_class::copy) == 1);
  CHECK(at(told.total.warp_instructions, instruction_class::barrier) == 2);
}

TEST_CASE("counters: the copy engine, bytes and sectors") {
  const std::string both = ".shared .align 1024 .b8 tile[16384]; .shared .align 8 .b64 bar[2];";
  const std::string begin = "setp.eq.u32 %p9, %r1, 0; mov.u32 %r60, tile; mov.u32 %r61, bar; @%p9 mbarrier.init.shared.b64 [bar], 1; @%p9 fence.mbarrier_init.release.cluster; bar.sync 0;\n";
  const std::string wait = "W: mbarrier.try_wait.parity.shared::cta.b64 %p8, [bar], 0; @!%p8 bra W;\n";
  auto r = reading(begin + "@%p9 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 512;\n@%p9 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r60], [%p_1], 512, [%r61];\n" + wait +
                       "fence.proxy.async.shared::cta; bar.sync 0;\n@%p9 cp.async.bulk.global.shared::cta.bulk_group [%p_0+16], [%r60], 256;\n@%p9 cp.async.bulk.commit_group; @%p9 cp.async.bulk.wait_group 0;",
                   128, 128, both);
  auto told = count(r);
  const auto load = line_with(r, told, "shared::cluster.global"), store = line_with(r, told, "global.shared::cta");
  CHECK(load.bulk_copies == 1);
  CHECK(load.bulk_copy_bytes == 512);
  CHECK(load.copy_load_sectors == 16);
  CHECK(load.global_load_requests == 0);
  CHECK(store.bulk_copies == 1);
  CHECK(store.bulk_copy_bytes == 256);
  CHECK(store.copy_store_sectors == 9);  // 16 bytes into a sector
  CHECK(told.global_read_bytes == 512);
  CHECK(told.global_written_bytes == 9 * 32);
  CHECK(at(told.total.warp_instructions, instruction_class::copy) == 2);
  CHECK(told.barriers == 2);

  // A box of 8 x 4 floats of which 2 rows and 4 columns lie outside.
  skillbench::ptx::tensor_map map;
  map.address = 1;
  map.rank = 2;
  map.element_bytes = 4;
  map.kind = skillbench::ptx::element_kind::real;
  map.extent[0] = 16;
  map.extent[1] = 8;
  map.stride[0] = 64;
  map.box[0] = 8;
  map.box[1] = 4;
  map.element_stride[0] = map.element_stride[1] = 1;
  r = reading("", 128, 128);
  r.ptx = header + kit::entry(start + begin + "mov.u32 %r20, 12; mov.u32 %r21, 6; @%p9 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 128;\n" +
                                  "@%p9 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r60], [%m_0, {%r20, %r21}], [%r61];\n" + wait + "ret;",
                              2, 0, both, 1);
  r.maps = {map};
  told = count(r);
  CHECK(told.total.tensor_copies == 1);
  CHECK(told.total.tensor_copy_bytes == 128);
  CHECK(told.total.copy_load_sectors == 2);  // two rows, bytes 48 to 63 of 64
  CHECK(told.total.bulk_copies == 0);
  CHECK(told.global_read_bytes == 64);
}

// ---- against another count -------------------------------------------------------------

namespace {

// Words of a phase in each bank, counted one by one.
std::pair<u64, u64> brute_banks(const std::vector<u32>& offsets, const std::vector<bool>& on, u32 bytes, bool atomic) {
  u64 wavefronts = 0, phases = 0;
  const u32 lanes = bytes <= 4 ? 32 : 128 / bytes;
  for (u32 first = 0; first < 32; first += lanes) {
    std::map<u32, std::multiset<u32>> banks;
    for (u32 l = first; l < first + lanes; ++l) {
      if (!on[l]) continue;
      for (u32 b = 0; b < bytes; b += std::min(bytes, 4u)) {
        const u32 word = (offsets[l] + b) / 4;
        auto& in = banks[word % 32];
        if (atomic || in.count(word) == 0) in.insert(word);
      }
    }
    u64 most = 0;
    for (const auto& [bank, words] : banks) most = std::max<u64>(most, words.size());
    wavefronts += most;
    phases += !banks.empty();
  }
  return {wavefronts, phases};
}

}  // namespace

TEST_CASE("counters: random patterns against a count one by one") {
  std::mt19937_64 from(20);
  const std::vector<std::pair<std::string, u32>> kinds = {{"u8", 1}, {"u16", 2}, {"u32", 4}, {"u64", 8}, {"v4.u32", 16}};
  for (int round = 0; round < 120; ++round) {
    const auto& kind = kinds[from() % kinds.size()];
    const std::string& type = kind.first;
    const u32 bytes = kind.second;
    const u32 range = u32{1} << (from() % 5 + 8);  // bytes; small ones share words
    std::vector<u32> offsets(32);
    std::vector<bool> on(32);
    const u32 stride = static_cast<u32>(from() % 40) * bytes;
    const int how = static_cast<int>(from() % 3);  // random, regular, by pairs
    u32 members = 0;
    for (u32 l = 0; l < 32; ++l) {
      const u32 random = static_cast<u32>(from() % range) / bytes * bytes;
      offsets[l] = how == 0 ? random : how == 1 ? (l * stride) % (16384 - 16) / bytes * bytes : l % 2 && l ? offsets[l - 1] : random;
      on[l] = from() % 4 != 0;
      members |= static_cast<u32>(on[l]) << l;
    }
    const bool atomic = type == "u32" && from() % 2;
    INFO("round " << round << " " << type << " atomic " << atomic);
    // %r20 the lane's offset, %p0 whether it takes part.
    const std::string look_up = "mul.wide.u32 %rd5, %r1, 4; add.s64 %rd5, %p_1, %rd5; ld.global.u32 %r20, [%rd5]; mov.u32 %r21, 1; shl.b32 %r21, %r21, %r1; and.b32 %r21, %r21, " + std::to_string(members) +
                                "; setp.ne.u32 %p0, %r21, 0; mov.u32 %r22, tile; add.s32 %r22, %r22, %r20; cvt.u64.u32 %rd6, %r20; add.s64 %rd6, %p_0, %rd6;\n";
    const std::string value = bytes == 16 ? "{%r24, %r25, %r26, %r27}" : bytes == 8 ? "%rd24" : bytes == 2 ? "%rs24" : "%r24";
    const std::string in_shared = atomic ? "@%p0 red.shared.add.u32 [%r22], 0;" : "@%p0 ld.shared." + type + " " + value + ", [%r22];";
    const std::string in_global = atomic ? "@%p0 red.global.add.u32 [%rd6], 0;" : "@%p0 ld.global." + type + " " + value + ", [%rd6];";
    auto r = reading(clear_tile + look_up + in_shared + "\n" + in_global, 32, 4096, tile);
    r.blocks[1].bytes = bytes_of(offsets);
    const auto told = count(r);
    const auto there = line_with(r, told, in_shared), far = line_with(r, told, in_global);

    const auto [wavefronts, phases] = brute_banks(offsets, on, bytes, atomic);
    u64 lanes = 0;
    std::set<u32> sectors;
    for (u32 l = 0; l < 32; ++l) {
      if (!on[l]) continue;
      ++lanes;
      for (u32 b = 0; b < bytes; ++b) sectors.insert((offsets[l] + b) / 32);
    }
    CHECK((atomic ? there.shared_atomic_wavefronts : there.shared_load_wavefronts) == wavefronts);
    CHECK((atomic ? there.shared_atomic_conflicts : there.shared_load_conflicts) == wavefronts - phases);
    CHECK((atomic ? there.shared_atomic_lanes : there.shared_load_bytes / bytes) == lanes);
    CHECK((atomic ? far.global_atomic_sectors : far.global_load_sectors) == sectors.size());
    CHECK(told.global_read_bytes == 128 + 32 * sectors.size());
    CHECK(told.global_written_bytes == (atomic ? 32 * sectors.size() : 0));
  }
}

// ---- from a source ---------------------------------------------------------------------

namespace {

constexpr const char* source = R"(extern "C" __global__ void k(const float* x, float* y, int n) {
  __shared__ float tile[32][32];
  const int i = threadIdx.x, j = threadIdx.y;
  tile[j][i] = x[32 * j + i];
  __syncthreads();
  float4 v = reinterpret_cast<const float4*>(x)[i];
  y[32 * j + i] = tile[i][j] +
      v.x + v.y + v.z + v.w;
  if (i < 3)
    atomicAdd(y + 1024, 1.0f);
}
)";

}  // namespace

TEST_CASE("counters: the lines of a source, the same for each seed and each run") {
  const auto on = kit::device();
  auto made = on->compile({.source = source, .entries = {"k"}});
  if (!made.ok()) {
    MESSAGE("no toolkit: " << made.error().what);
    return;
  }
  REQUIRE(made.value().ok);
  REQUIRE(on->load(made.value().ptx).ok());
  skillbench::job j;
  skillbench::buffer x, y;
  x.name = "x";
  x.elements = 1024;
  y.name = "y";
  y.use = skillbench::role::both;
  y.elements = 1032;
  j.buffers = {x, y};
  skillbench::launch l;
  l.entry = "k";
  l.block = {32, 32, 1};
  l.args = {{skillbench::kernel_argument::type::pointer, 0, 0, "x"}, {skillbench::kernel_argument::type::pointer, 1, 0, "y"}, {skillbench::kernel_argument::type::integer, 1024, 0, "n"}};
  j.launches = {l};
  j.seed = 5;
  const auto plain = on->run(j);
  REQUIRE(plain.ok());
  CHECK(plain.value().launches.empty());
  j.counters = true;
  const auto told = on->run(j);
  REQUIRE(told.ok());
  for (const auto& f : told.value().findings) MESSAGE(f.what);
  REQUIRE(told.value().launches.size() == 1);
  CHECK(told.value().counted.warp_instructions == plain.value().counted.warp_instructions);
  for (const u64 seed : {u64{5}, u64{6}, u64{0x123456789abcdef}}) {
    j.seed = seed;
    CHECK(on->run(j).value().launches == told.value().launches);
  }
  const launch_counters& c = told.value().launches[0];
  CHECK_FALSE(c.of_ptx);
  CHECK(c.kernel == "k");
  const auto line = [&](int n) {
    for (const auto& each : c.lines)
      if (each.line == n) return each.of;
    return event_counts{};
  };
  CHECK(line(4).global_load_requests == 32);
  CHECK(line(4).global_load_sectors == 128);
  CHECK(line(4).shared_store_wavefronts == 32);
  CHECK(line(4).shared_store_conflicts == 0);
  CHECK(at(line(5).warp_instructions, instruction_class::barrier) == 32);
  CHECK(line(6).global_load_requests == 32);
  CHECK(line(6).global_load_sectors == 32 * 16);
  CHECK(line(7).shared_load_wavefronts == 32 * 32);
  CHECK(line(7).shared_load_conflicts == 32 * 31);
  CHECK(line(7).global_store_sectors == 128);
  CHECK(c.total.global_atomic_requests == 32);
  CHECK(c.total.global_atomic_lanes == 96);
  CHECK(c.total.global_atomic_sectors == 32);
  CHECK(c.barriers == 1);
  CHECK(c.global_read_bytes == 4096 + 32);
  CHECK(c.global_written_bytes == 4096 + 32);
}
