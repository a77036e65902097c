// Instructions of ptx/ops/integer.hpp, each form on edges and random values.

#include <doctest/doctest.h>

#include "ptx_kit.hpp"

using kit::law;
using u = std::uint64_t;
using big = __int128;

namespace {

u low(u x, int bits) { return bits >= 64 ? x : x & ((u{1} << bits) - 1); }
big value(u x, int bits, bool is_signed) {
  const big v = low(x, bits);
  return is_signed && (x >> (bits - 1) & 1) ? v - (big{1} << bits) : v;
}
u wrap(big v, int bits) { return low(static_cast<u>(v), bits); }
big limited(big v, big least, big most) { return v < least ? least : v > most ? most : v; }

struct kind {
  std::string name;
  int bits;
  bool is_signed;
  int bytes() const { return bits / 8; }
  std::string column() const { return "u" + std::to_string(bits); }
};
const kind all_kinds[] = {{"u16", 16, false}, {"u32", 32, false}, {"u64", 64, false},
                          {"s16", 16, true},  {"s32", 32, true},  {"s64", 64, true}};
const kind bit_kinds[] = {{"b16", 16, false}, {"b32", 32, false}, {"b64", 64, false}};

template <typename F>
law two(const std::string& op, const kind& k, F f) {
  const int b = k.bits;
  return {{op + "." + k.name + " %o0, %i0, %i1;", {k.bytes(), k.bytes()}, {k.bytes()}},
          [=](const u* in) { return std::vector<u>{wrap(f(value(in[0], b, k.is_signed), value(in[1], b, k.is_signed)), b)}; }};
}

}  // namespace

TEST_CASE("integer: sums, products, quotients and choices of two") {
  for (const kind& k : all_kinds) {
    std::vector<law> laws{
        two("add", k, [](big a, big b) { return a + b; }),
        two("sub", k, [](big a, big b) { return a - b; }),
        two("mul.lo", k, [](big a, big b) { return static_cast<big>(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)); }),
        two("min", k, [](big a, big b) { return a < b ? a : b; }),
        two("max", k, [](big a, big b) { return a < b ? b : a; }),
        // The document leaves x / 0 open; the hardware's answer is all ones.
        two("div", k, [](big a, big b) { return b == 0 ? big{-1} : a / b; }),
        two("rem", k, [](big a, big b) { return b == 0 ? a : a % b; })};
    const int bits = k.bits;
    laws.push_back(two("mul.hi", k, [bits](big a, big b) {
      // 64 x 64 signed fits 127 bits; unsigned needs them all.
      return a >= 0 && b >= 0 ? static_cast<big>((static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)) >> bits) : (a * b) >> bits;
    }));
    if (k.name == "s32") {
      const big least = -(big{1} << 31), most = (big{1} << 31) - 1;
      laws.push_back(two("add.sat", k, [=](big a, big b) { return limited(a + b, least, most); }));
      laws.push_back(two("sub.sat", k, [=](big a, big b) { return limited(a - b, least, most); }));
    }
    CHECK(kit::broken(laws, kit::columns({k.column(), k.column()}, 1)) == "");
  }
}

TEST_CASE("integer: mad, sad and the wide products") {
  for (const kind& k : all_kinds) {
    const int b = k.bits;
    const bool s = k.is_signed;
    const auto high = [b](big x, big y) {
      return x >= 0 && y >= 0 ? static_cast<big>((static_cast<unsigned __int128>(x) * static_cast<unsigned __int128>(y)) >> b) : (x * y) >> b;
    };
    const std::vector<int> three{k.bytes(), k.bytes(), k.bytes()};
    std::vector<law> laws{
        {{"mad.lo." + k.name + " %o0, %i0, %i1, %i2;", three, {k.bytes()}},
         [=](const u* in) { return std::vector<u>{low(in[0] * in[1] + in[2], b)}; }},
        {{"mad.hi." + k.name + " %o0, %i0, %i1, %i2;", three, {k.bytes()}},
         [=](const u* in) { return std::vector<u>{wrap(high(value(in[0], b, s), value(in[1], b, s)) + value(in[2], b, s), b)}; }},
        {{"sad." + k.name + " %o0, %i0, %i1, %i2;", three, {k.bytes()}}, [=](const u* in) {
           const big x = value(in[0], b, s), y = value(in[1], b, s);
           return std::vector<u>{wrap((x < y ? y - x : x - y) + value(in[2], b, s), b)};
         }}};
    CHECK(kit::broken(laws, kit::columns({k.column(), k.column(), k.column()}, 2)) == "");
    if (b == 64) continue;
    const int w = 2 * b / 8;
    CHECK(kit::broken({{{"mul.wide." + k.name + " %o0, %i0, %i1;", {k.bytes(), k.bytes(), w}, {w}},
                        [=](const u* in) { return std::vector<u>{wrap(value(in[0], b, s) * value(in[1], b, s), 2 * b)}; }},
                       {{"mad.wide." + k.name + " %o0, %i0, %i1, %i2;", {k.bytes(), k.bytes(), w}, {w}},
                        [=](const u* in) {
                          return std::vector<u>{wrap(value(in[0], b, s) * value(in[1], b, s) + static_cast<big>(in[2]), 2 * b)};
                        }}},
                      kit::columns({k.column(), k.column(), b == 16 ? "u32" : "u64"}, 3)) == "");
  }
}

TEST_CASE("integer: one operand") {
  for (const kind& k : all_kinds) {
    if (!k.is_signed) continue;
    const int b = k.bits;
    CHECK(kit::broken({{{"neg." + k.name + " %o0, %i0;", {k.bytes()}, {k.bytes()}}, [=](const u* in) { return std::vector<u>{low(u{0} - in[0], b)}; }},
                       {{"abs." + k.name + " %o0, %i0;", {k.bytes()}, {k.bytes()}},
                        [=](const u* in) {
                          const big v = value(in[0], b, true);
                          return std::vector<u>{wrap(v < 0 ? -v : v, b)};
                        }}},
                      kit::columns({k.column()}, 4)) == "");
  }
  for (const kind& k : bit_kinds) {
    const int b = k.bits;
    std::vector<law> laws{
        {{"not." + k.name + " %o0, %i0;", {k.bytes()}, {k.bytes()}}, [=](const u* in) { return std::vector<u>{low(~in[0], b)}; }},
        {{"cnot." + k.name + " %o0, %i0;", {k.bytes()}, {k.bytes()}}, [=](const u* in) { return std::vector<u>{in[0] == 0 ? u{1} : u{0}}; }}};
    if (b > 16) {
      laws.push_back({{"clz." + k.name + " %o0, %i0;", {k.bytes()}, {4}}, [=](const u* in) {
                        u n = 0;
                        for (int i = b - 1; i >= 0 && !(in[0] >> i & 1); --i) ++n;
                        return std::vector<u>{n};
                      }});
      laws.push_back({{"popc." + k.name + " %o0, %i0;", {k.bytes()}, {4}}, [=](const u* in) {
                        u n = 0;
                        for (int i = 0; i < b; ++i) n += in[0] >> i & 1;
                        return std::vector<u>{n};
                      }});
      laws.push_back({{"brev." + k.name + " %o0, %i0;", {k.bytes()}, {k.bytes()}}, [=](const u* in) {
                        u n = 0;
                        for (int i = 0; i < b; ++i) n |= (in[0] >> i & 1) << (b - 1 - i);
                        return std::vector<u>{n};
                      }});
    }
    CHECK(kit::broken(laws, kit::columns({k.column()}, 5)) == "");
  }
  for (const kind& k : all_kinds) {
    const int b = k.bits;
    if (b == 16) continue;
    const auto find = [=](const u* in) {
      const bool ones = k.is_signed && (in[0] >> (b - 1) & 1);
      for (int i = b - 1; i >= 0; --i)
        if ((in[0] >> i & 1) != ones) return i;
      return -1;
    };
    CHECK(kit::broken({{{"bfind." + k.name + " %o0, %i0;", {k.bytes()}, {4}}, [=](const u* in) { return std::vector<u>{low(static_cast<u>(find(in)), 32)}; }},
                       {{"bfind.shiftamt." + k.name + " %o0, %i0;", {k.bytes()}, {4}},
                        [=](const u* in) { return std::vector<u>{find(in) < 0 ? 0xffffffffu : static_cast<u>(b - 1 - find(in))}; }}},
                      kit::columns({k.column()}, 6)) == "");
  }
}

TEST_CASE("integer: logic, on predicates too") {
  for (const kind& k : bit_kinds) {
    const std::vector<int> in{k.bytes(), k.bytes()}, out{k.bytes()};
    CHECK(kit::broken({{{"and." + k.name + " %o0, %i0, %i1;", in, out}, [](const u* x) { return std::vector<u>{x[0] & x[1]}; }},
                       {{"or." + k.name + " %o0, %i0, %i1;", in, out}, [](const u* x) { return std::vector<u>{x[0] | x[1]}; }},
                       {{"xor." + k.name + " %o0, %i0, %i1;", in, out}, [](const u* x) { return std::vector<u>{x[0] ^ x[1]}; }}},
                      kit::columns({k.column(), k.column()}, 7)) == "");
  }
  CHECK(kit::broken({{{"and.pred %o0, %i0, %i1;", {0, 0}, {0}}, [](const u* x) { return std::vector<u>{x[0] & x[1]}; }},
                     {{"or.pred %o0, %i0, %i1;", {0, 0}, {0}}, [](const u* x) { return std::vector<u>{x[0] | x[1]}; }},
                     {{"xor.pred %o0, %i0, %i1;", {0, 0}, {0}}, [](const u* x) { return std::vector<u>{x[0] ^ x[1]}; }},
                     {{"not.pred %o0, %i0;", {0, 0}, {0}}, [](const u* x) { return std::vector<u>{!x[0]}; }}},
                    kit::columns({"pred", "pred"}, 8, 200)) == "");
}

TEST_CASE("integer: shifts clamp their counts") {
  for (const kind& k : {kind{"b16", 16, false}, kind{"b32", 32, false}, kind{"b64", 64, false}, all_kinds[0], all_kinds[1], all_kinds[2], all_kinds[3], all_kinds[4], all_kinds[5]}) {
    const int b = k.bits;
    std::vector<law> laws{{{"shr." + k.name + " %o0, %i0, %i1;", {k.bytes(), 4}, {k.bytes()}}, [=](const u* in) {
                             const auto n = static_cast<int>(std::min<u>(in[1], static_cast<u>(b)));
                             return std::vector<u>{wrap(value(in[0], b, k.is_signed) >> n, b)};
                           }}};
    if (k.name[0] == 'b')
      laws.push_back({{"shl." + k.name + " %o0, %i0, %i1;", {k.bytes(), 4}, {k.bytes()}}, [=](const u* in) {
                        return std::vector<u>{in[1] >= static_cast<u>(b) ? 0 : low(in[0] << in[1], b)};
                      }});
    CHECK(kit::broken(laws, kit::columns({k.column(), "count"}, 9)) == "");
  }
}

TEST_CASE("integer: funnel shifts, byte permutations and lop3") {
  std::vector<law> laws;
  for (const bool left : {true, false})
    for (const bool wraps : {true, false})
      laws.push_back({{std::string("shf.") + (left ? "l" : "r") + (wraps ? ".wrap" : ".clamp") + ".b32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}},
                      [=](const u* in) {
                        const u n = wraps ? in[2] & 31 : std::min<u>(in[2], 32);
                        const unsigned __int128 both = static_cast<unsigned __int128>(in[1]) << 32 | in[0];
                        return std::vector<u>{low(static_cast<u>(left ? (both << n) >> 32 : both >> n), 32)};
                      }});
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "count"}, 10)) == "");

  laws.clear();
  const auto byte = [](const u* in, u n) { return (in[n / 4] >> (8 * (n % 4))) & 0xff; };
  laws.push_back({{"prmt.b32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) {
                    u out = 0;
                    for (u i = 0; i < 4; ++i) {
                      const u pick = in[2] >> (4 * i) & 15;
                      u b = byte(in, pick & 7);
                      if (pick & 8) b = b & 0x80 ? 0xff : 0;
                      out |= b << (8 * i);
                    }
                    return std::vector<u>{out};
                  }});
  const auto mode = [&](const std::string& name, auto which) {
    laws.push_back({{"prmt.b32." + name + " %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) {
                      u out = 0;
                      for (u i = 0; i < 4; ++i) out |= byte(in, which(i, in[2] & 3)) << (8 * i);
                      return std::vector<u>{out};
                    }});
  };
  mode("f4e", [](u i, u c) { return (c + i) % 8; });
  mode("b4e", [](u i, u c) { return (c + 8 - i) % 8; });
  mode("rc8", [](u, u c) { return c; });
  mode("ecl", [](u i, u c) { return std::max(i, c); });
  mode("ecr", [](u i, u c) { return std::min(i, c); });
  mode("rc16", [](u i, u c) { return (c & 1) * 2 + i % 2; });
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "u32"}, 11)) == "");

  laws.clear();
  for (const u table : {u{0}, u{1}, u{0x80}, u{0xf0}, u{0xcc}, u{0xaa}, u{0x96}, u{0xe8}, u{0xca}, u{0x1a}, u{0xff}})
    laws.push_back({{"lop3.b32 %o0, %i0, %i1, %i2, " + std::to_string(table) + ";", {4, 4, 4}, {4}}, [=](const u* in) {
                      u out = 0;
                      for (int i = 0; i < 32; ++i)
                        out |= (table >> ((in[0] >> i & 1) * 4 + (in[1] >> i & 1) * 2 + (in[2] >> i & 1)) & 1) << i;
                      return std::vector<u>{out};
                    }});
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "u32"}, 12, 500)) == "");
}

TEST_CASE("integer: bit fields, with positions and lengths of 8 bits") {
  for (const kind& k : {all_kinds[1], all_kinds[2], all_kinds[4], all_kinds[5]}) {
    const int b = k.bits;
    CHECK(kit::broken({{{"bfe." + k.name + " %o0, %i0, %i1, %i2;", {k.bytes(), 4, 4}, {k.bytes()}}, [=](const u* in) {
                          const int at = static_cast<int>(in[1] & 255), length = static_cast<int>(in[2] & 255);
                          const u fill = !k.is_signed || length == 0 ? 0 : in[0] >> std::min(at + length - 1, b - 1) & 1;
                          u out = 0;
                          for (int i = 0; i < b; ++i) out |= (i < length && at + i < b ? in[0] >> (at + i) & 1 : fill) << i;
                          return std::vector<u>{out};
                        }}},
                      kit::columns({k.column(), "count", "count"}, 13, 4000)) == "");
  }
  for (const kind& k : {bit_kinds[1], bit_kinds[2]}) {
    const int b = k.bits;
    CHECK(kit::broken({{{"bfi." + k.name + " %o0, %i0, %i1, %i2, %i3;", {k.bytes(), k.bytes(), 4, 4}, {k.bytes()}}, [=](const u* in) {
                          const int at = static_cast<int>(in[2] & 255), length = static_cast<int>(in[3] & 255);
                          u out = in[1];
                          for (int i = 0; i < length && at + i < b; ++i) {
                            out &= ~(u{1} << (at + i));
                            out |= (in[0] >> i & 1) << (at + i);
                          }
                          return std::vector<u>{out};
                        }}},
                      kit::columns({k.column(), k.column(), "count", "count"}, 14, 4000)) == "");
  }
}

TEST_CASE("integer: literals in place of registers") {
  CHECK(kit::broken({{{"add.s32 %o0, %i0, -7;", {4}, {4}}, [](const u* in) { return std::vector<u>{low(in[0] - 7, 32)}; }},
                     {{"sub.s32 %o0, 0x10, %i0;", {4}, {4}}, [](const u* in) { return std::vector<u>{low(16 - in[0], 32)}; }},
                     {{"and.b32 %o0, %i0, -16;", {4}, {4}}, [](const u* in) { return std::vector<u>{in[0] & 0xfffffff0}; }},
                     {{"mul.wide.s32 %o0, %i0, -3;", {4}, {8}}, [](const u* in) { return std::vector<u>{wrap(value(in[0], 32, true) * -3, 64)}; }},
                     {{"shl.b32 %o0, %i0, 5;", {4}, {4}}, [](const u* in) { return std::vector<u>{low(in[0] << 5, 32)}; }},
                     {{"mad.lo.s32 %o0, %i0, 3, 1;", {4}, {4}}, [](const u* in) { return std::vector<u>{low(in[0] * 3 + 1, 32)}; }}},
                    kit::columns({"u32"}, 15)) == "");
}

TEST_CASE("integer: a target that is a source") {
  CHECK(kit::broken({{{"mov.b32 %o0, %i0;\nadd.s32 %o0, %o0, %o0;\nxor.b32 %o0, %o0, %i1;\nprmt.b32 %o0, %o0, %o0, 0x0123;", {4, 4}, {4}},
                      [](const u* in) {
                        const u x = low(2 * in[0], 32) ^ in[1];
                        return std::vector<u>{(x & 0xff) << 24 | (x & 0xff00) << 8 | (x >> 8 & 0xff00) | x >> 24};
                      }}},
                    kit::columns({"u32", "u32"}, 16)) == "");
}

TEST_CASE("integer: forms that do not exist are refused by name") {
  CHECK(kit::refusal({"add.f8 %o0, %i0, %i1;", {4, 4}, {4}}).find("not supported by the PTX machine: add.f8") != std::string::npos);
  CHECK(kit::refusal({"shf.l.b32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}).find("shf.l.b32") != std::string::npos);
  CHECK(kit::refusal({"add.s32.wrong %o0, %i0, %i1;", {4, 4}, {4}}).find("modifier .wrong") != std::string::npos);
  CHECK(kit::refusal({"add.s32 %o0, %i0, %i1;", {4, 8}, {4}}).find("%i1") != std::string::npos);
  CHECK(kit::refusal({"add.sat.u32 %o0, %i0, %i1;", {4, 4}, {4}}).find("add.sat.u32") != std::string::npos);
  CHECK(kit::refusal({"bfe.b32 %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}).find("bfe.b32") != std::string::npos);
}

TEST_CASE("integer: dot products of bytes") {
  std::vector<law> laws;
  for (const std::string a : {"u32", "s32"})
    for (const std::string b : {"u32", "s32"})
      laws.push_back({{"dp4a." + a + "." + b + " %o0, %i0, %i1, %i2;", {4, 4, 4}, {4}}, [=](const u* in) {
                        big s = static_cast<big>(in[2]);
                        for (int i = 0; i < 4; ++i) s += value(in[0] >> (8 * i), 8, a == "s32") * value(in[1] >> (8 * i), 8, b == "s32");
                        return std::vector<u>{wrap(s, 32)};
                      }});
  CHECK(kit::broken(laws, kit::columns({"u32", "u32", "u32"}, 17)) == "");
}
