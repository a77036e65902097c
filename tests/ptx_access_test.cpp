// Instructions of ptx/ops/access.hpp: loads and stores of every width, in every
// space, and atomics.

#include <doctest/doctest.h>

#include <bit>

#include "ptx_kit.hpp"
#include "ptx_soft.hpp"

using u = std::uint64_t;

namespace {

u low(u x, int bits) { return bits >= 64 ? x : x & ((u{1} << bits) - 1); }
u extended(u x, int bits, bool is_signed) {
  x = low(x, bits);
  return is_signed && bits < 64 && (x >> (bits - 1) & 1) ? x | ~u{0} << bits : x;
}

struct kind {
  std::string name;
  int bits;
  bool is_signed;
};
const kind kinds[] = {{"u8", 8, false}, {"s8", 8, true}, {"b8", 8, false}, {"u16", 16, false}, {"s16", 16, true}, {"b16", 16, false},
                      {"u32", 32, false}, {"s32", 32, true}, {"b32", 32, false}, {"f32", 32, false}, {"u64", 64, false}, {"s64", 64, true}, {"b64", 64, false}, {"f64", 64, false}};

}  // namespace

TEST_CASE("access: every width into registers as wide and wider, in every space") {
  for (const std::string space : {"global", "shared", "local", "generic"})
    for (const kind& k : kinds) {
      for (const int wide : {16, 32, 64}) {
        if (wide < k.bits) continue;
        const auto in = kit::columns({wide == 16 ? "u16" : wide == 32 ? "u32" : "u64"}, 81, 300);
        const std::string dot = space == "generic" ? "." : "." + space + ".";
        // Store the low part of %i0 behind a known pattern, load it, and look
        // at the pattern too: nothing else may have changed.
        const std::string prepare = space == "shared" || space == "local" || space == "generic"
                                        ? "mov.u32 %q0, %tid.x; mul.wide.u32 %q1, %q0, 16; mov.u64 %q2, " + std::string(space == "local" ? "own" : "tile") + ";" +
                                              (space == "generic" ? "cvta.shared.u64 %q2, %q2;" : "") + (space == "local" ? "" : "add.s64 %q2, %q2, %q1;")
                                        : "add.s64 %q2, %zd1, " + std::to_string(8 * in[0].size()) + ";";  // the second column
        const kit::law law{{prepare + "mov.u64 %q3, 0x1122334455667788; st" + dot + "b64 [%q2], %q3; st" + dot + k.name + " [%q2], %i0; ld" + dot + k.name + " %o0, [%q2]; ld" + dot + "b64 %o1, [%q2];",
                         {wide / 8}, {wide / 8, 8}, ".reg .b32 %q0; .reg .b64 %q1, %q2, %q3; .shared .align 16 .b8 tile[4096]; .local .align 16 .b8 own[16];"},
                        [=](const u* x) {
                          const u mask = k.bits == 64 ? ~u{0} : (u{1} << k.bits) - 1;
                          return std::vector<u>{low(extended(x[0], k.bits, k.is_signed), wide), (u{0x1122334455667788} & ~mask) | (x[0] & mask)};
                        }};
        INFO(space << " " << k.name << " " << wide);
        CHECK(kit::broken({law}, in) == "");
      }
    }
}

TEST_CASE("access: vectors, with parts that are not wanted") {
  const std::string own = ".reg .b64 %q2; .shared .align 32 .b8 tile[4096]; .reg .b32 %q0; .reg .b64 %q1;";
  const std::string at = "mov.u32 %q0, %tid.x; mul.wide.u32 %q1, %q0, 16; mov.u64 %q2, tile; add.s64 %q2, %q2, %q1;";
  CHECK(kit::broken({{{at + "st.shared.v4.u32 [%q2], {%i0, %i1, %i2, %i3}; ld.shared.v4.f32 {%o3, %o2, %o1, %o0}, [%q2];", {4, 4, 4, 4}, {4, 4, 4, 4}, own},
                      [](const u* in) { return std::vector<u>{in[3], in[2], in[1], in[0]}; }},
                     {{at + "st.shared.v4.u32 [%q2], {%i0, %i1, %i2, %i3}; ld.shared.v2.b64 {%o0, %o1}, [%q2];", {4, 4, 4, 4}, {8, 8}, own},
                      [](const u* in) { return std::vector<u>{in[0] | in[1] << 32, in[2] | in[3] << 32}; }},
                     {{at + "st.shared.v2.u32 [%q2+8], {%i0, %i1}; st.shared.v2.b32 [%q2], {%i2, %i3}; ld.shared.v4.u32 {_, %o0, _, %o1}, [%q2];", {4, 4, 4, 4}, {4, 4}, own},
                      [](const u* in) { return std::vector<u>{in[3], in[1]}; }}},
                    kit::columns({"u32", "u32", "u32", "u32"}, 82, 500)) == "");
  CHECK(kit::broken({{{at + "st.shared.v4.u16 [%q2], {%i0, %i1, %i2, %i3}; ld.shared.b64 %o0, [%q2];", {2, 2, 2, 2}, {8}, own},
                      [](const u* in) { return std::vector<u>{in[0] | in[1] << 16 | in[2] << 32 | in[3] << 48}; }},
                     {{at + "st.shared.v4.u8 [%q2], {%i0, %i1, %i2, %i3}; ld.shared.b32 %o0, [%q2]; ld.shared.v2.s8 {%o1, %o2}, [%q2+2];", {2, 2, 2, 2}, {4, 2, 2}, own},
                      [](const u* in) {
                        return std::vector<u>{low(in[0], 8) | low(in[1], 8) << 8 | low(in[2], 8) << 16 | low(in[3], 8) << 24, low(extended(in[2], 8, true), 16), low(extended(in[3], 8, true), 16)};
                      }}},
                    kit::columns({"u16", "u16", "u16", "u16"}, 83, 500)) == "");
  CHECK(kit::broken({{{at + "st.shared.v2.f64 [%q2], {%i0, %i1}; ld.shared.v2.u64 {%o1, %o0}, [%q2];", {8, 8}, {8, 8}, own}, [](const u* in) { return std::vector<u>{in[1], in[0]}; }}},
                    kit::columns({"u64", "u64"}, 84, 500)) == "");
}

TEST_CASE("access: hints of caching and order change nothing") {
  std::vector<kit::law> laws;
  for (const std::string how : {".nc", ".ca", ".cg", ".cs", ".lu", ".cv", ".volatile", ".relaxed.gpu", ".acquire.cta", ".nc.L1::no_allocate", ".L2::128B", ".nc.L1::no_allocate.L2::256B"}) {
    const bool scoped = how[1] == 'v' || how[1] == 'r' || how[1] == 'a' || how == ".L2::128B";
    laws.push_back({{"ld" + (scoped && how != ".L2::128B" ? how + ".global" : ".global" + how) + ".u32 %o0, [%zd0];", {4}, {4}}, [](const u* in) { return std::vector<u>{in[0]}; }});
  }
  laws.push_back({{"ld.global.L2::cache_hint.u32 %o0, [%zd0], %policy;", {4}, {4}, ".reg .b64 %policy;"}, [](const u* in) { return std::vector<u>{in[0]}; }});
  laws.push_back({{"ldu.global.u32 %o0, [%zd0];", {4}, {4}}, [](const u* in) { return std::vector<u>{in[0]}; }});
  for (const std::string how : {".wb", ".cg", ".cs", ".wt", ".L1::no_allocate"})
    laws.push_back({{"st.global" + how + ".u32 [%zd1], %i0; membar.gl; fence.acq_rel.gpu; ld.global.u32 %o0, [%zd1];", {4}, {4}}, [](const u* in) { return std::vector<u>{in[0]}; }});
  CHECK(kit::broken(laws, kit::columns({"u32"}, 85, 300)) == "");
}

TEST_CASE("access: atomics of every operation and type give the old value and leave the new") {
  struct op { std::string text; int bytes; std::function<u(u, u)> f; };
  const auto s32 = [](u x) { return static_cast<std::int32_t>(x); };
  const auto s64 = [](u x) { return static_cast<std::int64_t>(x); };
  const auto added = [](soft::format of) { return [of](u a, u b) { return write(sum(soft::read(a, of), soft::read(b, of)), of); }; };
  const auto pair = [](std::function<u(u, u)> f) {
    return [f](u a, u b) { return f(a & 0xffff, b & 0xffff) | f(a >> 16, b >> 16) << 16; };
  };
  const std::vector<op> all{
      {"add.u32", 4, [](u a, u b) { return low(a + b, 32); }}, {"add.s32", 4, [](u a, u b) { return low(a + b, 32); }}, {"add.u64", 8, [](u a, u b) { return a + b; }},
      {"min.u32", 4, [](u a, u b) { return std::min(a, b); }}, {"max.u32", 4, [](u a, u b) { return std::max(a, b); }},
      {"min.s32", 4, [=](u a, u b) { return s32(a) < s32(b) ? a : b; }}, {"max.s32", 4, [=](u a, u b) { return s32(a) < s32(b) ? b : a; }},
      {"min.u64", 8, [](u a, u b) { return std::min(a, b); }}, {"max.u64", 8, [](u a, u b) { return std::max(a, b); }},
      {"min.s64", 8, [=](u a, u b) { return s64(a) < s64(b) ? a : b; }}, {"max.s64", 8, [=](u a, u b) { return s64(a) < s64(b) ? b : a; }},
      {"and.b32", 4, [](u a, u b) { return a & b; }}, {"or.b32", 4, [](u a, u b) { return a | b; }}, {"xor.b32", 4, [](u a, u b) { return a ^ b; }},
      {"and.b64", 8, [](u a, u b) { return a & b; }}, {"or.b64", 8, [](u a, u b) { return a | b; }}, {"xor.b64", 8, [](u a, u b) { return a ^ b; }},
      {"exch.b32", 4, [](u, u b) { return b; }}, {"exch.b64", 8, [](u, u b) { return b; }},
      {"inc.u32", 4, [](u a, u b) { return a >= b ? 0 : a + 1; }}, {"dec.u32", 4, [](u a, u b) { return a == 0 || a > b ? b : a - 1; }},
      {"add.f32", 4, added(soft::f32)}, {"add.f64", 8, added(soft::f64)}, {"add.noftz.f16", 2, added(soft::f16)}, {"add.noftz.bf16", 2, added(soft::bf16)},
      {"add.noftz.f16x2", 4, pair(added(soft::f16))}, {"add.noftz.bf16x2", 4, pair(added(soft::bf16))}};
  for (const op& o : all) {
    const std::string type = o.text.find("bf16") != std::string::npos ? "bf16" : o.text.find("f16") != std::string::npos ? "f16" : o.text.find("f32") != std::string::npos ? "f32" : o.text.find("f64") != std::string::npos ? "f64" : "u" + std::to_string(8 * o.bytes);
    const std::string kind = o.text.back() == '2' && o.text[o.text.size() - 2] == 'x' ? type + "x2" : type;
    const std::string b = "b" + std::to_string(8 * o.bytes);
    const std::string own = ".reg .b32 %q0; .reg .b64 %q1, %q2; .shared .align 16 .b8 tile[2048];";
    const std::string at = "mov.u32 %q0, %tid.x; mul.wide.u32 %q1, %q0, 8; mov.u64 %q2, tile; add.s64 %q2, %q2, %q1;";
    const auto is = [f = o.f](const u* in) { return std::vector<u>{in[0], f(in[0], in[1])}; };
    const auto only = [f = o.f](const u* in) { return std::vector<u>{f(in[0], in[1])}; };
    const bool nan = type == "f64";
    INFO(o.text);
    std::vector<kit::law> laws{
        {{"st.global." + b + " [%zd1], %i0; atom.global." + o.text + " %o0, [%zd1], %i1; ld.global." + b + " %o1, [%zd1];", {o.bytes, o.bytes}, {o.bytes, o.bytes}}, is, nan},
        {{"st.global." + b + " [%zd1], %i0; atom.relaxed.gpu.global." + o.text + " %o0, [%zd1], %i1; ld.global." + b + " %o1, [%zd1];", {o.bytes, o.bytes}, {o.bytes, o.bytes}}, is, nan},
        {{at + "st.shared." + b + " [%q2], %i0; atom.shared." + o.text + " %o0, [%q2], %i1; ld.shared." + b + " %o1, [%q2];", {o.bytes, o.bytes}, {o.bytes, o.bytes}, own}, is, nan}};
    if (o.text.substr(0, 4) != "exch")
      laws.push_back({{"st.global." + b + " [%zd1], %i0; red.global." + o.text + " [%zd1], %i1; ld.global." + b + " %o0, [%zd1];", {o.bytes, o.bytes}, {o.bytes}}, only, nan});
    CHECK(kit::broken(laws, kit::columns({kind, kind}, 86, 500)) == "");
  }
  for (const int bytes : {2, 4, 8}) {
    const std::string b = "b" + std::to_string(8 * bytes), k = "u" + std::to_string(8 * bytes);
    CHECK(kit::broken({{{"st.global." + b + " [%zd1], %i0; atom.global.cas." + b + " %o0, [%zd1], %i1, %i2; ld.global." + b + " %o1, [%zd1];", {bytes, bytes, bytes}, {bytes, bytes}},
                        [](const u* in) { return std::vector<u>{in[0], in[0] == in[1] ? in[2] : in[0]}; }}},
                      kit::columns({k, k, k}, 87, 500)) == "");
  }
}

TEST_CASE("access: contending lanes, warps and CTAs lose nothing") {
  kit::request r;
  r.ptx = kit::header + kit::entry(
                            "mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; atom.global.add.u32 %r3, [%p_0], 1; red.global.max.u32 [%p_0+4], %r3; red.global.xor.b32 [%p_0+8], %r3;"
                            "atom.global.inc.u32 %r4, [%p_0+12], 9; cvt.rn.f32.u32 %f0, %r1; red.global.add.f32 [%p_0+16], %f0;"
                            "L: ld.global.u32 %r5, [%p_0+20]; add.s32 %r6, %r5, 3; atom.global.cas.b32 %r7, [%p_0+20], %r5, %r6; setp.ne.u32 %p0, %r7, %r5; @%p0 bra L; ret;");
  r.entry = "k";
  r.cta.x = 70;
  r.grid.x = 3;
  r.blocks.push_back({"y", true, true, 4, std::string(24, '\0')});
  const auto told = kit::launch(r);
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  std::uint32_t all = 0;
  for (std::uint32_t i = 0; i < 210; ++i) all ^= i;
  CHECK(kit::values_of<std::uint32_t>(told.bytes[0]) == std::vector<std::uint32_t>{210, 209, all, 0, std::bit_cast<std::uint32_t>(3.0f * 70 * 69 / 2), 630});
}

TEST_CASE("access: module variables and constants start as the text says") {
  kit::request r;
  r.ptx = kit::header +
          ".global .align 4 .u32 words_[3] = {7, 8, 9};\n.const .align 4 .f32 scale = 0f40000000;\n.global .align 8 .u64 place = words_;\n.global .align 4 .b8 rest[8];\n" +
          kit::entry("mov.u64 %rd0, words_; ld.global.u32 %r0, [%rd0+4]; ld.const.f32 %f0, [scale]; ld.global.u64 %rd1, [place]; ld.global.u32 %r1, [%rd1+8]; ld.global.u32 %r2, [rest+4];"
                     "st.global.u32 [%p_0], %r0; st.global.f32 [%p_0+4], %f0; st.global.u32 [%p_0+8], %r1; st.global.u32 [%p_0+12], %r2; ret;");
  const auto on = kit::device();
  REQUIRE(on->load(r.ptx).ok());
  skillbench::job j;
  skillbench::buffer y;
  y.name = "y";
  y.use = skillbench::role::output;
  y.elements = 4;
  j.buffers = {y};
  skillbench::launch l;
  l.entry = "k";
  l.args.resize(1);
  j.launches = {l};
  const auto told = on->run(j);
  REQUIRE(told.ok());
  for (const auto& f : told.value().findings) MESSAGE(f.what);
  CHECK(kit::values_of<std::uint32_t>(told.value().outputs[0].bytes) == std::vector<std::uint32_t>{8, 0x40000000, 9, 0});
}

TEST_CASE("access: forms that are not run are refused by name") {
  CHECK(kit::refusal({"ld.global.v8.f32 {%o0, %o0, %o0, %o0, %o0, %o0, %o0, %o0}, [%zd0];", {}, {4}}).find("ld.global.v8.f32") != std::string::npos);
  CHECK(kit::refusal({"ld.global.v4.u64 {%o0, %o0, %o0, %o0}, [%zd0];", {}, {8}}).find("vector") != std::string::npos);
  CHECK(kit::refusal({"ld.global.u64 %o0, [%zd0];", {}, {4}}).find("narrower") != std::string::npos);
  // ptxas takes these, and nobody writes them.
  for (const std::string text : {"ld.global.u32 %q, [%zd0];", "ld.global.b64 %q, [%zd0];", "st.global.u32 [%zd0], %q;"})
    CHECK(kit::refusal({"{.reg .b128 %q; " + text + " mov.u32 %o0, 0;}", {}, {4}}).find("128 bits") != std::string::npos);
  CHECK(kit::refusal({"red.async.global.add.u32 [%zd1], 1;", {}, {}}).find("async") != std::string::npos);
  CHECK(kit::refusal({"fence.proxy.tensormap::generic.acquire.gpu [%zd1], 128;", {}, {}}).find("fence.proxy") != std::string::npos);
}
