// Instructions of ptx/ops/select.hpp: comparisons, selections and moves.

#include <doctest/doctest.h>

#include "ptx_kit.hpp"
#include "ptx_soft.hpp"

using kit::law;
using soft::format;
using u = std::uint64_t;

namespace {

u low(u x, int bits) { return bits >= 64 ? x : x & ((u{1} << bits) - 1); }

// -1 less, 0 equal, 1 greater, 2 unordered
int order(u a, u b, const std::string& type, bool ftz) {
  const int bits = std::stoi(type.substr(type[0] == 'b' && type[1] == 'f' ? 2 : 1));
  if (type[0] == 'f' || type[1] == 'f') {
    const format of = type == "f32" ? soft::f32 : type == "f64" ? soft::f64 : type == "f16" ? soft::f16 : soft::bf16;
    if (ftz) {
      a = flushed(a, of);
      b = flushed(b, of);
    }
    if (is_nan(a, of) || is_nan(b, of)) return 2;
    const u sign = u{1} << (bits - 1);
    const auto place = [&](u x) { return x & sign ? -static_cast<std::int64_t>(x & (sign - 1)) : static_cast<std::int64_t>(x); };
    return place(a) < place(b) ? -1 : place(a) > place(b);
  }
  if (type[0] == 's') {
    const u flip = u{1} << (bits - 1);
    a ^= flip;
    b ^= flip;
  }
  return a < b ? -1 : a > b;
}

bool holds(const std::string& comparison, int o) {
  if (comparison == "num") return o != 2;
  if (comparison == "nan") return o == 2;
  std::string c = comparison;
  if (c == "lo") c = "lt";
  else if (c == "ls") c = "le";
  else if (c == "hi") c = "gt";
  else if (c == "hs") c = "ge";
  if (o == 2) return c.size() == 3;  // equ, neu, ltu, ...
  c = c.substr(0, 2);
  return c == "eq" ? o == 0 : c == "ne" ? o != 0 : c == "lt" ? o < 0 : c == "le" ? o <= 0 : c == "gt" ? o > 0 : o >= 0;
}

const std::vector<std::string> ordered{"eq", "ne", "lt", "le", "gt", "ge"};
const std::vector<std::string> unordered{"equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
const std::vector<std::string> without_sign{"lo", "ls", "hi", "hs"};

std::vector<std::string> comparisons(const std::string& type) {
  if (type[0] == 'b' && type[1] != 'f') return {"eq", "ne"};
  std::vector<std::string> out = ordered;
  if (type[0] == 'f' || type[0] == 'b') out.insert(out.end(), unordered.begin(), unordered.end());
  if (type[0] == 'u') out.insert(out.end(), without_sign.begin(), without_sign.end());
  return out;
}

int bytes(const std::string& type) { return std::stoi(type.substr(type[0] == 'b' && type[1] == 'f' ? 2 : 1)) / 8; }
std::string column(const std::string& type) { return type[0] == 'f' || type[1] == 'f' ? type : "u" + std::to_string(8 * bytes(type)); }

}  // namespace

TEST_CASE("select: setp compares every type in every way") {
  for (const std::string type : {"b16", "b32", "b64", "u16", "u32", "u64", "s16", "s32", "s64", "f16", "bf16", "f32", "f64"}) {
    std::vector<law> laws;
    const int n = bytes(type);
    for (const auto& c : comparisons(type))
      for (const bool ftz : {false, true}) {
        if (ftz && type != "f32" && type != "f16") continue;
        const std::string tail = std::string(ftz ? ".ftz." : ".") + type;
        laws.push_back({{"setp." + c + tail + " %o0, %i0, %i1;", {n, n, 0}, {0}},
                        [=](const u* in) { return std::vector<u>{holds(c, order(in[0], in[1], type, ftz))}; }});
        laws.push_back({{"setp." + c + tail + " %o0|%o1, %i0, %i1;", {n, n, 0}, {0, 0}}, [=](const u* in) {
                          const bool h = holds(c, order(in[0], in[1], type, ftz));
                          return std::vector<u>{h, !h};
                        }});
        if (ftz) continue;
        for (const std::string with : {"and", "or", "xor"})
          for (const bool negated : {false, true})
            laws.push_back({{"setp." + c + "." + with + tail + " %o0|%o1, %i0, %i1, " + (negated ? "!" : "") + "%i2;", {n, n, 0}, {0, 0}}, [=](const u* in) {
                              const bool h = holds(c, order(in[0], in[1], type, false)), p = in[2] != negated;
                              const auto meet = [&](bool x) { return with == "and" ? x && p : with == "or" ? x || p : x != p; };
                              return std::vector<u>{meet(h), meet(!h)};
                            }});
      }
    CHECK(kit::broken(laws, kit::columns({column(type), column(type), "pred"}, 51, 500)) == "");
  }
}

TEST_CASE("select: a NaN fails every ordered comparison, and -0 equals +0") {
  const std::vector<kit::words> in{{0x7fc00000, 0x3f800000, 0x80000000}, {0x3f800000, 0x7fc00000, 0}};
  const auto got = kit::run({{"setp.lt.f32 %o0|%o1, %i0, %i1;", {4, 4}, {0, 0}}, {"setp.ne.f32 %o0, %i0, %i1;", {4, 4}, {0}},
                             {"setp.neu.f32 %o0, %i0, %i1;", {4, 4}, {0}}, {"setp.eq.f32 %o0, %i0, %i1;", {4, 4}, {0}}}, in);
  CHECK(got[0].targets[0] == kit::words{0, 0, 0});
  CHECK(got[0].targets[1] == kit::words{1, 1, 1});
  CHECK(got[1].targets[0] == kit::words{0, 0, 0});
  CHECK(got[2].targets[0] == kit::words{1, 1, 0});
  CHECK(got[3].targets[0] == kit::words{0, 0, 1});
}

TEST_CASE("select: set gives all ones, or 1.0 in halves") {
  for (const std::string type : {"u32", "s32", "f32"}) {
    std::vector<law> laws;
    for (const auto& c : comparisons(type))
      for (const std::string to : {"u32", "s32"})
        laws.push_back({{"set." + c + "." + to + "." + type + " %o0, %i0, %i1;", {4, 4}, {4}},
                        [=](const u* in) { return std::vector<u>{holds(c, order(in[0], in[1], type, false)) ? 0xffffffff : u{0}}; }});
    if (type == "f32")
      for (const auto& c : comparisons(type))
        laws.push_back({{"set." + c + ".ftz.u32.f32 %o0, %i0, %i1;", {4, 4}, {4}},
                        [=](const u* in) { return std::vector<u>{holds(c, order(in[0], in[1], type, true)) ? 0xffffffff : u{0}}; }});
    CHECK(kit::broken(laws, kit::columns({column(type), column(type)}, 52, 500)) == "");
  }
  for (const std::string type : {"f16", "bf16"}) {
    std::vector<law> laws;
    const u one = type == "f16" ? 0x3c00 : 0x3f80;
    for (const auto& c : comparisons(type)) {
      const auto lane = [=](u a, u b, u yes) { return holds(c, order(a, b, type, false)) ? yes : u{0}; };
      const auto both = [=](u yes) {
        return [=](const u* in) { return std::vector<u>{lane(in[0] & 0xffff, in[1] & 0xffff, yes) | lane(in[0] >> 16, in[1] >> 16, yes) << 16}; };
      };
      laws.push_back({{"set." + c + "." + type + "x2." + type + "x2 %o0, %i0, %i1;", {4, 4}, {4}}, both(one)});
      laws.push_back({{"set." + c + ".u32." + type + "x2 %o0, %i0, %i1;", {4, 4}, {4}}, both(0xffff)});
    }
    CHECK(kit::broken(laws, kit::columns({type + "x2", type + "x2"}, 53, 500)) == "");
  }
}

TEST_CASE("select: selp takes the first where the predicate holds") {
  for (const std::string type : {"b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"}) {
    const int n = bytes(type);
    CHECK(kit::broken({{{"selp." + type + " %o0, %i0, %i1, %i2;", {n, n, 0}, {n}}, [](const u* in) { return std::vector<u>{in[2] ? in[0] : in[1]}; }}},
                      kit::columns({column(type), column(type), "pred"}, 54, 300)) == "");
  }
}

TEST_CASE("select: mov copies, packs and takes apart") {
  for (const std::string type : {"b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"}) {
    const int n = bytes(type);
    CHECK(kit::broken({{{"mov." + type + " %o0, %i0;", {n}, {n}}, [](const u* in) { return std::vector<u>{in[0]}; }}}, kit::columns({column(type)}, 55, 300)) == "");
  }
  CHECK(kit::broken({{{"mov.pred %o0, %i0;", {0}, {0}}, [](const u* in) { return std::vector<u>{in[0]}; }}}, kit::columns({"pred"}, 56, 100)) == "");
  CHECK(kit::broken({{{"mov.b32 %o0, {%i0, %i1};", {2, 2, 2, 2}, {4}}, [](const u* in) { return std::vector<u>{in[0] | in[1] << 16}; }},
                     {{"mov.b64 %o0, {%i0, %i1, %i2, %i3};", {2, 2, 2, 2}, {8}},
                      [](const u* in) { return std::vector<u>{in[0] | in[1] << 16 | in[2] << 32 | in[3] << 48}; }}},
                    kit::columns({"u16", "u16", "u16", "u16"}, 57)) == "");
  CHECK(kit::broken({{{"mov.b64 %o0, {%i0, %i1};", {4, 4}, {8}}, [](const u* in) { return std::vector<u>{in[0] | in[1] << 32}; }},
                     {{"mov.b32 {%o0, %o1}, %i0;", {4, 4}, {2, 2}}, [](const u* in) { return std::vector<u>{in[0] & 0xffff, in[0] >> 16}; }},
                     {{"mov.b32 {_, %o0}, %i0;", {4, 4}, {2}}, [](const u* in) { return std::vector<u>{in[0] >> 16}; }},
                     {{"mov.b32 {%o0, _}, %i0;", {4, 4}, {2}}, [](const u* in) { return std::vector<u>{in[0] & 0xffff}; }}},
                    kit::columns({"u32", "u32"}, 58)) == "");
  CHECK(kit::broken({{{"mov.b64 {%o0, %o1}, %i0;", {8}, {4, 4}}, [](const u* in) { return std::vector<u>{in[0] & 0xffffffff, in[0] >> 32}; }},
                     {{"mov.b64 {%o0, %o1, %o2, %o3}, %i0;", {8}, {2, 2, 2, 2}},
                      [](const u* in) { return std::vector<u>{in[0] & 0xffff, in[0] >> 16 & 0xffff, in[0] >> 32 & 0xffff, in[0] >> 48}; }}},
                    kit::columns({"u64"}, 59)) == "");
}

TEST_CASE("select: special registers") {
  kit::request r;
  const std::vector<std::string> names{"%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y", "%ctaid.z",
                                       "%nctaid.x", "%nctaid.y", "%nctaid.z", "%laneid", "%warpid", "%nwarpid", "%lanemask_eq", "%lanemask_le",
                                       "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "%dynamic_smem_size", "WARP_SZ", "%cluster_ctarank", "%cluster_nctaid.x"};
  std::string body =
      "mov.u32 %r0, %ctaid.z; mov.u32 %r1, %nctaid.y; mov.u32 %r2, %ctaid.y; mad.lo.s32 %r0, %r0, %r1, %r2;"
      "mov.u32 %r1, %nctaid.x; mov.u32 %r2, %ctaid.x; mad.lo.s32 %r0, %r0, %r1, %r2;"
      "mov.u32 %r1, %ntid.z; mov.u32 %r2, %tid.z; mad.lo.s32 %r0, %r0, %r1, %r2;"
      "mov.u32 %r1, %ntid.y; mov.u32 %r2, %tid.y; mad.lo.s32 %r0, %r0, %r1, %r2;"
      "mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x; mad.lo.s32 %r0, %r0, %r1, %r2;"
      "mul.wide.u32 %rd0, %r0, " + std::to_string(4 * names.size()) + "; add.s64 %rd0, %rd0, %p_0;";
  for (std::size_t i = 0; i < names.size(); ++i)
    body += "mov.u32 %r3, " + names[i] + ";\nst.global.u32 [%rd0+" + std::to_string(4 * i) + "], %r3;\n";
  r.ptx = kit::header + kit::entry(body + "ret;");
  r.entry = "k";
  r.grid = {3, 2, 2};
  r.cta = {5, 4, 3};
  r.shared_bytes = 96;
  r.blocks.push_back({"y", true, false, 4, std::string(4 * names.size() * 12 * 60, '\0')});
  const auto told = kit::launch(r);
  REQUIRE(told.trouble == "");
  REQUIRE(told.findings.empty());
  const auto got = kit::values_of<std::uint32_t>(told.bytes[0]);
  std::size_t wrong = 0, at = 0;
  for (unsigned c = 0; c < 12; ++c)
    for (unsigned t = 0; t < 60; ++t, at += names.size()) {
      const unsigned lane = t % 32, bit = 1u << lane;
      const std::vector<std::uint32_t> expected{t % 5, t / 5 % 4, t / 20, 5, 4, 3, c % 3, c / 3 % 2, c / 6, 3, 2, 2, lane, t / 32, 2,
                                                bit, bit | (bit - 1), bit - 1, ~(bit - 1), ~(bit | (bit - 1)), 96, 32, 0, 1};
      for (std::size_t i = 0; i < names.size(); ++i) wrong += got[at + i] != expected[i];
    }
  CHECK(wrong == 0);
}

TEST_CASE("select: generic addresses know their space") {
  const std::string body =
      "mov.u32 %r0, tile; cvt.u64.u32 %rd0, %r0; cvta.shared.u64 %rd1, %rd0; cvta.to.shared.u64 %rd2, %rd1; sub.s64 %rd3, %rd2, %rd0;"
      "mov.u64 %rd4, own; cvta.local.u64 %rd5, %rd4; cvta.to.local.u64 %rd6, %rd5; sub.s64 %rd6, %rd6, %rd4; or.b64 %rd3, %rd3, %rd6;"
      "cvta.global.u64 %rd7, %p_0;"
      "st.global.u64 [%p_0], %rd3;"
      "isspacep.shared %p0, %rd1; isspacep.global %p1, %rd1; isspacep.local %p2, %rd1; isspacep.shared %p3, %rd5; isspacep.local %p4, %rd5;"
      "isspacep.global %p5, %rd7; isspacep.shared::cta %p6, %rd7;"
      "mov.u32 %r1, 0; @%p0 or.b32 %r1, %r1, 1; @%p1 or.b32 %r1, %r1, 2; @%p2 or.b32 %r1, %r1, 4; @%p3 or.b32 %r1, %r1, 8;"
      "@%p4 or.b32 %r1, %r1, 16; @%p5 or.b32 %r1, %r1, 32; @%p6 or.b32 %r1, %r1, 64;"
      "st.global.u32 [%p_0+8], %r1;"
      // Through the generic window: written by st, read by ld.shared.
      "mov.u32 %r2, 77; st.u32 [%rd1+4], %r2; ld.shared.u32 %r3, [tile+4]; st.global.u32 [%p_0+12], %r3; ret;";
  kit::request r;
  r.ptx = kit::header + kit::entry(body, 1, 0, ".shared .align 8 .b8 tile[16];\n.local .align 8 .b8 own[16];");
  r.entry = "k";
  r.blocks.push_back({"y", true, false, 4, std::string(16, '\0')});
  const auto told = kit::launch(r);
  REQUIRE(told.trouble == "");
  CHECK(told.findings.empty());
  CHECK(kit::values_of<std::uint32_t>(told.bytes[0]) == std::vector<std::uint32_t>{0, 0, 1 | 16 | 32, 77});
}

TEST_CASE("select: testp classifies") {
  const auto is = [](const std::string& what, std::function<bool(u)> f) {
    return law{{"testp." + what + ".f32 %o0, %i0;", {4}, {0}}, [f](const u* in) { return std::vector<u>{f(in[0] & 0x7fffffff)}; }};
  };
  CHECK(kit::broken({is("finite", [](u x) { return x < 0x7f800000; }), is("infinite", [](u x) { return x == 0x7f800000; }),
                     is("number", [](u x) { return x <= 0x7f800000; }), is("notanumber", [](u x) { return x > 0x7f800000; }),
                     is("normal", [](u x) { return x >= 0x00800000 && x < 0x7f800000; }), is("subnormal", [](u x) { return x > 0 && x < 0x00800000; })},
                    kit::columns({"f32"}, 60)) == "");
}

TEST_CASE("select: guards keep what they do not let through") {
  CHECK(kit::broken({{{"mov.b32 %o0, %i0;\n@%i2 add.s32 %o0, %i0, %i1;", {4, 4, 0}, {4}}, [](const u* in) { return std::vector<u>{in[2] ? low(in[0] + in[1], 32) : in[0]}; }},
                     {{"mov.b32 %o0, %i0;\n@!%i2 sub.s32 %o0, %i0, %i1;", {4, 4, 0}, {4}}, [](const u* in) { return std::vector<u>{in[2] ? in[0] : low(in[0] - in[1], 32)}; }},
                     {{"@%i2 mov.b32 %o0, %i0;\n@!%i2 mov.b32 %o0, %i1;", {4, 4, 0}, {4}}, [](const u* in) { return std::vector<u>{in[2] ? in[0] : in[1]}; }},
                     {{"setp.ne.u32 %o0, %i0, %i0;\n@%i2 setp.lt.u32 %o0, %i0, %i1;", {4, 4, 0}, {0}}, [](const u* in) { return std::vector<u>{in[2] && in[0] < in[1]}; }}},
                    kit::columns({"u32", "u32", "pred"}, 61)) == "");
}

TEST_CASE("select: forms that are not run are refused by name") {
  CHECK(kit::refusal({"setp.ftz.lt.f64 %o0, %i0, %i1;", {8, 8}, {0}}).find("ftz") != std::string::npos);
  CHECK(kit::refusal({"setp.ftz.lt.s32 %o0, %i0, %i1;", {4, 4}, {0}}).find("ftz") != std::string::npos);
  CHECK(kit::refusal({"mov.b32 {%o0, %o1, %o2}, %i0;", {4}, {2, 2, 2}}).find("mov.b32") != std::string::npos);
}
