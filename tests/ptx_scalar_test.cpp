// The rarer scalar instructions: carry chains, 24-bit products, pairs of 16
// bits, masks and fields, set and setp of every type, slct, lop3 with a
// predicate, 8-bit floats, tf32, cvt.pack.

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "ptx_launch.hpp"

using kit::law;
using u = std::uint64_t;
using big = __int128;

namespace {

u low(u x, int bits) { return bits >= 64 ? x : x & ((u{1} << bits) - 1); }
big value(u x, int bits, bool is_signed) {
  const big v = low(x, bits);
  return is_signed && (x >> (bits - 1) & 1) ? v - (big{1} << bits) : v;
}
big limited(big v, big least, big most) { return v < least ? least : v > most ? most : v; }
float f32(u x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x)); }
double f64(u x) { return std::bit_cast<double>(x); }
double f16(u x) {
  const int e = x >> 10 & 31, m = x & 1023;
  const double s = x >> 15 & 1 ? -1 : 1;
  if (e == 31) return m ? std::nan("") : s * INFINITY;
  return s * std::ldexp(e ? m + 1024 : m, std::max(e, 1) - 25);
}
double bf16(u x) { return f32(low(x, 16) << 16); }

const std::vector<std::string> orders{"eq", "ne", "lt", "le", "gt", "ge"};
const std::vector<std::string> unordered{"equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

template <typename T>
bool holds(const std::string& c, T a, T b) {
  const bool nan = a != a || b != b;
  if (c == "num") return !nan;
  if (c == "nan") return nan;
  if (c.size() == 3) return nan || holds(c.substr(0, 2), a, b);
  if (nan) return false;
  return c == "eq" ? a == b : c == "ne" ? a != b : c == "lt" ? a < b : c == "le" ? a <= b : c == "gt" ? a > b : a >= b;
}
bool meets(const std::string& with, bool c, bool q) { return with == "and" ? c && q : with == "or" ? c || q : with == "xor" ? c != q : c; }

}  // namespace

TEST_CASE("extended: sums and differences of 128 and of 96 bits") {
  const auto wide = [](u lo, u hi) { return static_cast<unsigned __int128>(hi) << 64 | lo; };
  CHECK(kit::broken({{{"add.cc.u64 %o0, %i0, %i2; addc.u64 %o1, %i1, %i3;", {8, 8, 8, 8}, {8, 8}},
                      [=](const u* in) { const auto s = wide(in[0], in[1]) + wide(in[2], in[3]); return std::vector<u>{static_cast<u>(s), static_cast<u>(s >> 64)}; }},
                     {{"sub.cc.s64 %o0, %i0, %i2; subc.s64 %o1, %i1, %i3;", {8, 8, 8, 8}, {8, 8}},
                      [=](const u* in) { const auto s = wide(in[0], in[1]) - wide(in[2], in[3]); return std::vector<u>{static_cast<u>(s), static_cast<u>(s >> 64)}; }}},
                    kit::columns({"u64", "u64", "u64", "u64"}, 1)) == "");
  CHECK(kit::broken({{{"add.cc.u32 %o0, %i0, %i1; addc.cc.u32 %o1, %i1, %i2; addc.u32 %o2, %i2, %i0;", {4, 4, 4}, {4, 4, 4}},
                      [](const u* in) {
                        const unsigned __int128 a = static_cast<unsigned __int128>(in[2]) << 64 | in[1] << 32 | in[0], b = static_cast<unsigned __int128>(in[0]) << 64 | in[2] << 32 | in[1], s = a + b;
                        return std::vector<u>{low(static_cast<u>(s), 32), low(static_cast<u>(s >> 32), 32), low(static_cast<u>(s >> 64), 32)};
                      }},
                     {{"sub.cc.u32 %o0, %i0, %i1; subc.cc.s32 %o1, %i1, %i2; subc.u32 %o2, %i2, %i0;", {4, 4, 4}, {4, 4, 4}},
                      [](const u* in) {
                        const unsigned __int128 a = static_cast<unsigned __int128>(in[2]) << 64 | in[1] << 32 | in[0], b = static_cast<unsigned __int128>(in[0]) << 64 | in[2] << 32 | in[1], s = a - b;
                        return std::vector<u>{low(static_cast<u>(s), 32), low(static_cast<u>(s >> 32), 32), low(static_cast<u>(s >> 64), 32)};
                      }}},
                    kit::columns({"u32", "u32", "u32"}, 2)) == "");
}

TEST_CASE("extended: a product of 64 bits with an addend, in words") {
  CHECK(kit::broken({{{"mad.lo.cc.u32 %o0, %i0, %i1, %i2; madc.hi.u32 %o1, %i0, %i1, %i3;", {4, 4, 4, 4}, {4, 4}},
                      [](const u* in) { const u s = in[0] * in[1] + (in[3] << 32 | in[2]); return std::vector<u>{low(s, 32), s >> 32}; }},
                     {{"mad.lo.cc.s32 %o0, %i0, %i1, %i2; madc.hi.cc.s32 %o1, %i0, %i1, %i3; addc.u32 %o2, 0, 0;", {4, 4, 4, 4}, {4, 4, 4}},
                      [](const u* in) {
                        const u product = static_cast<u>(value(in[0], 32, true) * value(in[1], 32, true));
                        const unsigned __int128 s = static_cast<unsigned __int128>(product) + (in[3] << 32 | in[2]);
                        return std::vector<u>{low(static_cast<u>(s), 32), low(static_cast<u>(s >> 32), 32), static_cast<u>(s >> 64)};
                      }},
                     {{"mad.hi.cc.u32 %o0, %i0, %i1, %i2; addc.u32 %o1, 0, 0;", {4, 4, 4, 4}, {4, 4}},
                      [](const u* in) { const u s = (in[0] * in[1] >> 32) + in[2]; return std::vector<u>{low(s, 32), s >> 32}; }},
                     {{"add.cc.u32 %o0, %i0, %i1; madc.lo.u32 %o1, %i2, %i3, %i0;", {4, 4, 4, 4}, {4, 4}},
                      [](const u* in) { const u s = in[0] + in[1]; return std::vector<u>{low(s, 32), low(in[2] * in[3] + in[0] + (s >> 32), 32)}; }}},
                    kit::columns({"u32", "u32", "u32", "u32"}, 3)) == "");
  CHECK(kit::broken({{{"mad.lo.cc.u64 %o0, %i0, %i1, %i2; madc.hi.u64 %o1, %i0, %i1, 0;", {8, 8, 8}, {8, 8}},
                      [](const u* in) { const auto s = static_cast<unsigned __int128>(in[0]) * in[1] + in[2]; return std::vector<u>{static_cast<u>(s), static_cast<u>(s >> 64)}; }}},
                    kit::columns({"u64", "u64", "u64"}, 4)) == "");
}

TEST_CASE("extended: a carry that nobody set is undefined, and belongs to its function") {
  auto r = kit::kernel(kit::start + "addc.u32 %r5, %r1, 0; st.global.u32 [%rd0], %r5; ret;", 32);
  const auto told = kit::launch(r);
  CHECK(told.trouble == "");
  CHECK(told.shadows[0].find('\2') != std::string::npos);
  // A guarded .cc sets the carry of its own lanes alone.
  CHECK(kit::run(kit::kernel(kit::start + "add.cc.u32 %r5, 1, 1; and.b32 %r6, %r1, 1; setp.eq.u32 %p1, %r6, 0; @%p1 add.cc.u32 %r5, -1, 1;"
                             "addc.u32 %r7, %r1, 0; st.global.u32 [%rd0], %r7; ret;", 32)) == kit::each(32, [](auto i) { return i + (i % 2 == 0); }));
}

TEST_CASE("scalar: 24-bit products, saturated products, nth set bit, masks and fields") {
  std::vector<law> laws;
  for (const bool s : {false, true})
    for (const bool hi : {false, true}) {
      const std::string t = std::string(hi ? ".hi" : ".lo") + (s ? ".s32" : ".u32");
      const auto product = [=](const u* in) { return low(static_cast<u>((value(in[0], 24, s) * value(in[1], 24, s)) >> (hi ? 16 : 0)), 32); };
      laws.push_back({{"mul24" + t + " %o0, %i0, %i1;", {4, 4, 4}, {4}}, [=](const u* in) { return std::vector<u>{product(in)}; }});
      laws.push_back({{"mad24" + t + " %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) { return std::vector<u>{low(product(in) + in[2], 32)}; }});
    }
  const big least = -(big{1} << 31), most = (big{1} << 31) - 1;
  laws.push_back({{"mad24.hi.sat.s32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) {
                    const big p = value(low(static_cast<u>((value(in[0], 24, true) * value(in[1], 24, true)) >> 16), 32), 32, true);
                    return std::vector<u>{low(static_cast<u>(limited(p + value(in[2], 32, true), least, most)), 32)};
                  }});
  laws.push_back({{"mad.hi.sat.s32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) {
                    return std::vector<u>{low(static_cast<u>(limited(((value(in[0], 32, true) * value(in[1], 32, true)) >> 32) + value(in[2], 32, true), least, most)), 32)};
                  }});
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "u32"}, 5)) == "");

  CHECK(kit::broken({{{"and.b32 %i1, %i1, 31; sub.s32 %i2, %i2, 20; fns.b32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [](const u* in) {
                        const int base = static_cast<int>(in[1] & 31), n = static_cast<int>(static_cast<std::int32_t>(in[2] - 20));
                        std::vector<int> set;
                        if (n >= 0) for (int i = base; i < 32; ++i) { if (in[0] >> i & 1) set.push_back(i); }
                        else for (int i = base; i >= 0; --i) { if (in[0] >> i & 1) set.push_back(i); }
                        const auto k = static_cast<std::size_t>(std::abs(static_cast<long>(n)));
                        if (n == 0) return std::vector<u>{in[0] >> base & 1 ? u(base) : 0xffffffffu};
                        return std::vector<u>{k <= set.size() ? u(set[k - 1]) : 0xffffffffu};
                      }}},
                    kit::columns({"u32", "count", "count"}, 6)) == "");

  laws.clear();
  for (const bool clamp : {true, false}) {
    const std::string mode = clamp ? ".clamp" : ".wrap";
    const auto five = [=](u x) { return clamp ? std::min<u>(x, 32) : x & 31; };
    laws.push_back({{"bmsk" + mode + ".b32 %o0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) {
                      u out = 0;
                      for (u i = five(in[1]); i < five(in[1]) + five(in[2]) && i < 32; ++i) out |= u{1} << i;
                      return std::vector<u>{out};
                    }});
    for (const bool s : {true, false})
      laws.push_back({{"szext" + mode + (s ? ".s32" : ".u32") + " %o0, %i0, %i1;", {4, 4, 4}, {4}}, [=](const u* in) {
                        const u n = five(in[1]);
                        const bool fill = s && n && n < 32 && (in[0] >> (n - 1) & 1);
                        u out = 0;
                        for (u i = 0; i < 32; ++i) out |= (i < n ? in[0] >> i & 1 : u{fill}) << i;
                        return std::vector<u>{out};
                      }});
  }
  CHECK(kit::broken(laws, kit::columns({"u32", "count", "count"}, 7)) == "");
}

TEST_CASE("scalar: pairs of 16 bits, relu, and products of two halves with two bytes") {
  std::vector<law> laws;
  const auto pair = [&](const std::string& op, bool s, auto f) {
    laws.push_back({{op + " %o0, %i0, %i1;", {4, 4, 4}, {4}}, [=](const u* in) {
                      u out = 0;
                      for (int at : {0, 16}) out |= low(static_cast<u>(f(value(in[0] >> at, 16, s), value(in[1] >> at, 16, s))), 16) << at;
                      return std::vector<u>{out};
                    }});
  };
  pair("add.u16x2", false, [](big a, big b) { return a + b; });
  pair("add.s16x2", true, [](big a, big b) { return a + b; });
  pair("min.u16x2", false, [](big a, big b) { return std::min(a, b); });
  pair("max.u16x2", false, [](big a, big b) { return std::max(a, b); });
  pair("min.s16x2", true, [](big a, big b) { return std::min(a, b); });
  pair("max.s16x2", true, [](big a, big b) { return std::max(a, b); });
  pair("min.relu.s16x2", true, [](big a, big b) { return std::max(std::min(a, b), big{0}); });
  pair("max.relu.s16x2", true, [](big a, big b) { return std::max(std::max(a, b), big{0}); });
  for (const bool min : {true, false})
    laws.push_back({{std::string(min ? "min" : "max") + ".relu.s32 %o0, %i0, %i1;", {4, 4, 4}, {4}}, [=](const u* in) {
                      const big a = value(in[0], 32, true), b = value(in[1], 32, true);
                      return std::vector<u>{static_cast<u>(std::max(min ? std::min(a, b) : std::max(a, b), big{0}))};
                    }});
  for (const bool a : {true, false})
    for (const bool b : {true, false})
      for (const bool hi : {true, false})
        laws.push_back({{std::string("dp2a.") + (hi ? "hi" : "lo") + (a ? ".s32" : ".u32") + (b ? ".s32" : ".u32") + " %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) {
                          big s = static_cast<big>(in[2]);
                          for (int i = 0; i < 2; ++i) s += value(in[0] >> (16 * i), 16, a) * value(in[1] >> (8 * (i + (hi ? 2 : 0))), 8, b);
                          return std::vector<u>{low(static_cast<u>(s), 32)};
                        }});
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "u32"}, 8)) == "");
}

TEST_CASE("scalar: set and setp on every type, met with a predicate") {
  struct kind { std::string name; int bytes; bool is_float; std::string column; std::function<bool(const std::string&, u, u)> is; };
  std::vector<kind> kinds;
  for (const int b : {16, 32, 64}) {
    kinds.push_back({"u" + std::to_string(b), b / 8, false, "u" + std::to_string(b), [=](auto& c, u x, u y) { return holds(c, low(x, b), low(y, b)); }});
    kinds.push_back({"s" + std::to_string(b), b / 8, false, "u" + std::to_string(b), [=](auto& c, u x, u y) { return holds(c, value(x, b, true), value(y, b, true)); }});
  }
  kinds.push_back({"f32", 4, true, "f32", [](auto& c, u x, u y) { return holds(c, f32(x), f32(y)); }});
  kinds.push_back({"f64", 8, true, "f64", [](auto& c, u x, u y) { return holds(c, f64(x), f64(y)); }});
  kinds.push_back({"f16", 2, true, "f16", [](auto& c, u x, u y) { return holds(c, f16(x), f16(y)); }});
  kinds.push_back({"bf16", 2, true, "bf16", [](auto& c, u x, u y) { return holds(c, bf16(x), bf16(y)); }});
  for (const kind& k : kinds) {
    auto names = orders;
    if (k.is_float) names.insert(names.end(), unordered.begin(), unordered.end());
    std::vector<law> laws;
    const std::string same = k.bytes == 2 && k.is_float ? k.name : "f32";
    for (const auto& c : names)
      for (const std::string with : {"", "and", "or", "xor"}) {
        const std::string middle = c + (with.empty() ? "" : "." + with);
        const std::string rest = with.empty() ? ", %i0, %i1;" : ", %i0, %i1, !%i2;";
        const auto yes = [=](const u* in) { return meets(with, k.is(c, in[0], in[1]), with.empty() || !in[2]); };
        laws.push_back({{"set." + middle + ".s32." + k.name + " %o0" + rest, {k.bytes, k.bytes, 0}, {4}}, [=](const u* in) { return std::vector<u>{yes(in) ? 0xffffffffu : 0}; }});
        laws.push_back({{"set." + middle + "." + same + "." + k.name + " %o0" + rest, {k.bytes, k.bytes, 0}, {same == "f32" ? 4 : 2}},
                        [=](const u* in) { return std::vector<u>{!yes(in) ? 0 : same == "f32" ? u{0x3f800000} : same == "f16" ? u{0x3c00} : u{0x3f80}}; }});
        if (same != "f32")
          laws.push_back({{"set." + middle + ".u16." + k.name + " %o0" + rest, {2, 2, 0}, {2}}, [=](const u* in) { return std::vector<u>{yes(in) ? 0xffffu : 0}; }});
      }
    CHECK(kit::broken(laws, kit::columns({k.column, k.column, "pred"}, 9, 300)) == "");
  }
  CHECK(kit::broken({{{"set.eq.u32.b64 %o0, %i0, %i1;", {8, 8}, {4}}, [](const u* in) { return std::vector<u>{in[0] == in[1] ? 0xffffffffu : 0}; }},
                     {{"set.hi.u32.u64 %o0, %i0, %i1;", {8, 8}, {4}}, [](const u* in) { return std::vector<u>{in[0] > in[1] ? 0xffffffffu : 0}; }}},
                    kit::columns({"u64", "u64"}, 10)) == "");
  for (const std::string t : {"f16", "bf16"}) {
    std::vector<law> laws;
    auto names = orders;
    names.insert(names.end(), unordered.begin(), unordered.end());
    for (const auto& c : names) {
      const auto half = [=](u x, u y) { return t == "f16" ? holds(c, f16(x), f16(y)) : holds(c, bf16(x), bf16(y)); };
      laws.push_back({{"setp." + c + "." + t + "x2 %o0|%o1, %i0, %i1;", {4, 4, 0}, {0, 0}}, [=](const u* in) { return std::vector<u>{half(in[0], in[1]), half(in[0] >> 16, in[1] >> 16)}; }});
      laws.push_back({{"setp." + c + ".xor." + t + "x2 %o0|%o1, %i0, %i1, %i2;", {4, 4, 0}, {0, 0}},
                      [=](const u* in) { return std::vector<u>{half(in[0], in[1]) != (in[2] != 0), half(in[0] >> 16, in[1] >> 16) != (in[2] != 0)}; }});
    }
    CHECK(kit::broken(laws, kit::columns({t + "x2", t + "x2", "pred"}, 11, 500)) == "");
  }
}

TEST_CASE("scalar: slct, and lop3 with a predicate") {
  std::vector<law> laws;
  for (const std::string t : {"b32", "f32", "s32"})
    laws.push_back({{"slct." + t + ".s32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [](const u* in) { return std::vector<u>{in[2] >> 31 ? in[1] : in[0]}; }});
  laws.push_back({{"slct.f32.f32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [](const u* in) { return std::vector<u>{f32(in[2]) >= 0 ? in[0] : in[1]}; }});
  laws.push_back({{"slct.ftz.u32.f32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [](const u* in) {
                    const float c = f32(in[2]);
                    return std::vector<u>{c >= 0 || std::fpclassify(c) == FP_SUBNORMAL ? in[0] : in[1]};
                  }});
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "f32"}, 12)) == "");
  CHECK(kit::broken({{{"slct.b64.s32 %o0, %i0, %i1, %i2;", {8, 8, 4}, {8}}, [](const u* in) { return std::vector<u>{in[2] >> 31 ? in[1] : in[0]}; }}},
                    kit::columns({"u64", "u64", "u32"}, 13)) == "");
  const auto mixed = [](const u* in) { u out = 0; for (int i = 0; i < 32; ++i) out |= (u{0x1a} >> ((in[0] >> i & 1) * 4 + (in[1] >> i & 1) * 2 + (in[2] >> i & 1)) & 1) << i; return out; };
  CHECK(kit::broken({{{"lop3.and.b32 %o0|%o1, %i0, %i1, %i2, 0x1a, %i3;", {4, 4, 4, 0}, {4, 0}}, [=](const u* in) { return std::vector<u>{mixed(in), mixed(in) && in[3]}; }},
                     {{"lop3.or.b32 _|%o0, %i0, %i1, %i2, 0x1a, !%i3;", {4, 4, 4, 0}, {0}}, [=](const u* in) { return std::vector<u>{mixed(in) || !in[3]}; }}},
                    kit::columns({"u32", "u32", "u32", "pred"}, 14)) == "");
}

TEST_CASE("scalar: min and max of sizes with the product of the signs; testp of f64") {
  std::vector<law> laws;
  for (const bool min : {true, false})
    for (const bool wins : {false, true})
      laws.push_back({{std::string(min ? "min" : "max") + (wins ? ".NaN" : "") + ".xorsign.abs.f32 %o0, %i0, %i1;", {4, 4}, {4}}, [=](const u* in) {
                        const u x = in[0] & 0x7fffffff, y = in[1] & 0x7fffffff, nan = 0x7f800000;
                        const bool both = x > nan && y > nan;
                        if (both || (wins && (x > nan || y > nan))) return std::vector<u>{0x7fffffff};
                        const u size = x > nan ? y : y > nan ? x : min ? std::min(x, y) : std::max(x, y);
                        return std::vector<u>{size | ((in[0] ^ in[1]) & 0x80000000)};
                      }});
  CHECK(kit::broken(laws, kit::columns({"f32", "f32"}, 15)) == "");
  const auto testp = [](const std::string& what, auto f) { return law{{"testp." + what + ".f64 %o0, %i0;", {8}, {0}}, [=](const u* in) { return std::vector<u>{static_cast<u>(f(f64(in[0])))}; }}; };
  CHECK(kit::broken({testp("finite", [](double x) { return std::isfinite(x); }), testp("infinite", [](double x) { return std::isinf(x); }), testp("notanumber", [](double x) { return x != x; }),
                     testp("number", [](double x) { return x == x; }), testp("normal", [](double x) { return std::isnormal(x); }), testp("subnormal", [](double x) { return std::fpclassify(x) == FP_SUBNORMAL; })},
                    kit::columns({"f64"}, 16)) == "");
}

TEST_CASE("scalar: the approximate reciprocals of f64 have 20 bits, and no low word") {
  const auto in = kit::columns({"f64"}, 17);
  const auto got = kit::run({{"rcp.approx.ftz.f64 %o0, %i0;", {8}, {8}}, {"rsqrt.approx.ftz.f64 %o0, %i0;", {8}, {8}}, {"rsqrt.approx.f64 %o0, %i0;", {8}, {8}}}, in);
  for (std::size_t i = 0; i < in[0].size(); ++i) {
    const double x = f64(in[0][i]), r = f64(got[0].targets[0][i]), q = f64(got[1].targets[0][i]), s = f64(got[2].targets[0][i]);
    CHECK(low(got[0].targets[0][i], 32) == 0);
    if (std::isnormal(x) && std::isnormal(1 / x)) CHECK(std::abs(r * x - 1) <= 0x1p-19);
    if (x == 0 || std::fpclassify(x) == FP_SUBNORMAL) CHECK((std::isinf(r) && std::signbit(r) == std::signbit(x)));
    if (std::isinf(x)) CHECK((r == 0 && std::signbit(r) == std::signbit(x)));
    if (std::isnormal(x) && x > 0) {
      CHECK(std::abs(q * q * x - 1) <= 0x1p-18);
      CHECK(std::abs(s * s * x - 1) <= 0x1p-50);
    }
    if (x != x) CHECK(r != r);
  }
}

// ---- narrow floats -------------------------------------------------------------

namespace {

// By definition of the format, every code in turn.
double number8(int code, bool e5) {
  const int e = e5 ? code >> 2 & 31 : code >> 3 & 15, m = e5 ? code & 3 : code & 7, bits = e5 ? 2 : 3, bias = e5 ? 15 : 7;
  const double s = code & 0x80 ? -1 : 1;
  if (e5 && e == 31) return m ? std::nan("") : s * INFINITY;
  if (!e5 && (code & 0x7f) == 0x7f) return std::nan("");
  return s * (e ? (1 + m * std::ldexp(1, -bits)) * std::ldexp(1, e - bias) : m * std::ldexp(1, 1 - bias - bits));
}
// The nearest, ties to the even code; the largest for what is beyond.
u nearest8(double x, bool e5, bool relu) {
  if (x != x) return 0x7f;
  if (relu && std::signbit(x)) return 0;
  const int most = e5 ? 0x7b : 0x7e;
  int best = 0;
  for (int c = 1; c <= most; ++c) {
    const double d = std::abs(number8(c, e5) - std::abs(x)), e = std::abs(number8(best, e5) - std::abs(x));
    if (d < e || (d == e && c % 2 == 0)) best = c;
  }
  if (std::abs(x) > number8(most, e5)) best = most;
  return static_cast<u>(best) | (std::signbit(x) ? 0x80 : 0);
}

}  // namespace

TEST_CASE("scalar: 8-bit floats, from f32, from f16 and back") {
  for (const bool e5 : {false, true})
    for (const bool relu : {false, true}) {
      const std::string t = e5 ? "e5m2x2" : "e4m3x2", r = relu ? ".relu" : "";
      CHECK(kit::broken({{{"cvt.rn.satfinite" + r + "." + t + ".f32 %o0, %i0, %i1;", {4, 4}, {2}},
                          [=](const u* in) { return std::vector<u>{nearest8(f32(in[0]), e5, relu) << 8 | nearest8(f32(in[1]), e5, relu)}; }}},
                        kit::columns({"f32", "f32"}, 18, 1000)) == "");
      CHECK(kit::broken({{{"cvt.rn.satfinite" + r + "." + t + ".f16x2 %o0, %i0;", {4}, {2}},
                          [=](const u* in) { return std::vector<u>{nearest8(f16(in[0] >> 16), e5, relu) << 8 | nearest8(f16(in[0]), e5, relu)}; }}},
                        kit::columns({"f16x2"}, 19)) == "");
      CHECK(kit::broken({{{"cvt.rn" + r + ".f16x2." + t + " %o0, %i0;", {2}, {4}}, [=](const u* in) {
                            const auto half = [=](u code) {
                              const double x = number8(static_cast<int>(code & 0xff), e5);
                              if (x != x) return u{0x7fff};
                              if (relu && std::signbit(x)) return u{0};
                              for (u c = 0; c < 0x10000; ++c)
                                if (f16(c) == x && std::signbit(f16(c)) == std::signbit(x)) return c;
                              return u{0};
                            };
                            return std::vector<u>{half(in[0]) | half(in[0] >> 8) << 16};
                          }}},
                        kit::columns({"u16"}, 20, 40)) == "");
    }
}

TEST_CASE("scalar: tf32 in all roundings, satfinite, and cvt.pack") {
  const auto tf32 = [](u x, char how, bool relu, bool finite) -> u {
    const double v = f32(x);
    if (v != v) return 0x7fffffff;
    if (relu && x >> 31) return 0;
    if (std::isinf(v)) return finite ? (x & 0x80000000) | 0x7f7fe000 : x;
    const u size = x & 0x7fffffff, below = size & ~u{0x1fff}, part = size & 0x1fff;
    const bool up = how == 'a' ? part >= 0x1000 : how == 'e' ? part > 0x1000 || (part == 0x1000 && (below & 0x2000)) : false;
    u out = below + (up ? 0x2000 : 0);
    if (finite && out >= 0x7f800000) out = 0x7f7fe000;
    return (x & 0x80000000) | out;
  };
  CHECK(kit::broken({{{"cvt.rna.tf32.f32 %o0, %i0;", {4}, {4}}, [=](const u* in) { return std::vector<u>{tf32(in[0], 'a', false, false)}; }},
                     {{"cvt.rna.satfinite.tf32.f32 %o0, %i0;", {4}, {4}}, [=](const u* in) { return std::vector<u>{tf32(in[0], 'a', false, true)}; }},
                     {{"cvt.rn.tf32.f32 %o0, %i0;", {4}, {4}}, [=](const u* in) { return std::vector<u>{tf32(in[0], 'e', false, false)}; }},
                     {{"cvt.rz.relu.tf32.f32 %o0, %i0;", {4}, {4}}, [=](const u* in) { return std::vector<u>{tf32(in[0], 'z', true, false)}; }}},
                    kit::columns({"f32"}, 21)) == "");
  // satfinite only ever replaces an infinity by the largest number.
  const auto given = kit::columns({"f32", "f32"}, 22);
  for (const std::string t : {"f16", "bf16"})
    for (const std::string how : {"rn", "rz"}) {
      const auto got = kit::run({{"cvt." + how + "." + t + ".f32 %o0, %i0;", {4, 4}, {2}}, {"cvt." + how + ".satfinite." + t + ".f32 %o0, %i0;", {4, 4}, {2}},
                                 {"cvt." + how + ".satfinite." + t + "x2.f32 %o0, %i1, %i0;", {4, 4}, {4}}}, given);
      const u infinity = t == "f16" ? 0x7c00 : 0x7f80;
      std::size_t seen = 0;
      for (std::size_t i = 0; i < given[0].size(); ++i) {
        const u plain = got[0].targets[0][i], wanted = (plain & 0x7fff) == infinity ? plain - 1 : plain;
        seen += plain != wanted;
        CHECK(got[1].targets[0][i] == wanted);
        CHECK(low(got[2].targets[0][i], 16) == wanted);
      }
      CHECK(seen > 0);
    }
  std::vector<law> laws;
  for (const int bits : {16, 8, 4, 2})
    for (const bool s : {true, false})
      laws.push_back({{"cvt.pack.sat." + std::string(s ? "s" : "u") + std::to_string(bits) + ".s32" + (bits == 16 ? " %o0, %i0, %i1;" : ".b32 %o0, %i0, %i1, %i2;"), {4, 4, 4}, {4}}, [=](const u* in) {
                        const big most = s ? (big{1} << (bits - 1)) - 1 : (big{1} << bits) - 1, least = s ? -most - 1 : 0;
                        const auto part = [&](u x) { return low(static_cast<u>(limited(value(x, 32, true), least, most)), bits); };
                        return std::vector<u>{low(part(in[0]) << bits | part(in[1]) | (bits == 16 ? 0 : in[2] << (2 * bits)), 32)};
                      }});
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "u32"}, 23)) == "");
}

TEST_CASE("scalar: moves of bytes and of 128 bits") {
  CHECK(kit::broken({{{"{.reg .b128 %q; mov.b128 %q, {%i0, %i1}; mov.b128 {%o1, %o0}, %q;}", {8, 8}, {8, 8}}, [](const u* in) { return std::vector<u>{in[1], in[0]}; }},
                     {{"{.reg .b128 %q, %s; mov.b128 %q, {%i1, %i0}; mov.b128 %s, %q; mov.b128 {%o0, %o1}, %s;}", {8, 8}, {8, 8}}, [](const u* in) { return std::vector<u>{in[1], in[0]}; }}},
                    kit::columns({"u64", "u64"}, 24)) == "");
  CHECK(kit::broken({{{"{.reg .b8 %b<4>; mov.b32 {%b0, %b1, %b2, %b3}, %i0; mov.b32 %o0, {%b3, %b2, %b1, %b0};}", {4}, {4}}, [](const u* in) { return std::vector<u>{__builtin_bswap32(static_cast<std::uint32_t>(in[0]))}; }}},
                    kit::columns({"u32"}, 25)) == "");
}

TEST_CASE("scalar: registers of a launch that nobody profiles") {
  CHECK(kit::run(kit::kernel(kit::start + "mov.b32 %r5, %envreg3; mov.u32 %r6, %pm0; mov.u64 %rd5, %gridid; cvt.u32.u64 %r7, %rd5; add.u32 %r5, %r5, %r6; add.u32 %r5, %r5, %r7;"
                             "mov.u32 %r6, %clock_hi; add.u32 %r5, %r5, %r6; st.global.u32 [%rd0], %r5; ret;", 32)) == kit::each(32, [](auto) { return 1; }));
}
