// cvt, every pair of types, against integers and exact arithmetic.

#include <doctest/doctest.h>

#include "ptx_kit.hpp"
#include "ptx_soft.hpp"

using kit::law;
using soft::format;
using soft::number;
using u = std::uint64_t;

namespace {

struct kind {
  std::string name;
  int bits;
  bool is_float, is_signed;
  format of;
  std::string column() const { return is_float ? name : "u" + std::to_string(bits); }
  int bytes() const { return bits / 8; }
};
const kind integers[] = {{"u8", 8, false, false, {}}, {"s8", 8, false, true, {}}, {"u16", 16, false, false, {}}, {"s16", 16, false, true, {}},
                         {"u32", 32, false, false, {}}, {"s32", 32, false, true, {}}, {"u64", 64, false, false, {}}, {"s64", 64, false, true, {}}};
const kind floats[] = {{"f16", 16, true, false, soft::f16}, {"bf16", 16, true, false, soft::bf16}, {"f32", 32, true, false, soft::f32}, {"f64", 64, true, false, soft::f64}};

struct mode { std::string text; soft::to how; };
const mode to_float[] = {{".rn", soft::to::nearest}, {".rz", soft::to::zero}, {".rm", soft::to::down}, {".rp", soft::to::up}};
const mode to_whole[] = {{".rni", soft::to::nearest}, {".rzi", soft::to::zero}, {".rmi", soft::to::down}, {".rpi", soft::to::up}};

u low(u x, int bits) { return bits >= 64 ? x : x & ((u{1} << bits) - 1); }
u extended(u x, int bits, bool is_signed) {
  x = low(x, bits);
  return is_signed && bits < 64 && (x >> (bits - 1) & 1) ? x | ~u{0} << bits : x;
}
// Values of 8 bits travel in registers of 16.
int register_bytes(const kind& k) { return k.bits == 8 ? 2 : k.bytes(); }
std::string column(const kind& k) { return k.bits == 8 ? "u16" : k.column(); }

law form(const std::string& text, const kind& to, const kind& from, std::function<u(u)> f) {
  return {{"cvt" + text + "." + to.name + "." + from.name + " %o0, %i0;", {register_bytes(from)}, {register_bytes(to)}},
          [f](const u* in) { return std::vector<u>{f(in[0])}; },
          // What a NaN that is widened keeps of its payload is left open.
          to.name == "f64" || (to.name == "f32" && from.bits == 16)};
}

u saturated(u out, format of) {
  const u one = read(0, of).is == number::finite && of.precision == 11 ? 0x3c00 : of.precision == 24 ? 0x3f800000 : of.precision == 53 ? 0x3ff0000000000000 : 0x3f80;
  return is_nan(out, of) || out >> (width(of) - 1) ? 0 : std::min(out, one);
}

}  // namespace

TEST_CASE("convert: integers to integers, cut, extended or saturated") {
  for (const kind& from : integers) {
    std::vector<law> laws;
    for (const kind& to : integers) {
      const int out_bits = 8 * register_bytes(to);
      laws.push_back(form("", to, from, [=](u x) { return low(extended(extended(x, from.bits, from.is_signed), to.bits, to.is_signed), out_bits); }));
      laws.push_back(form(".sat", to, from, [=](u x) {
        const u wide = extended(x, from.bits, from.is_signed);
        const __int128 v = from.is_signed ? static_cast<__int128>(static_cast<std::int64_t>(wide)) : static_cast<__int128>(wide);
        const __int128 most = (static_cast<__int128>(1) << (to.bits - to.is_signed)) - 1;
        const __int128 least = to.is_signed ? -most - 1 : 0;
        return low(static_cast<u>(v < least ? least : v > most ? most : v), out_bits);
      }));
    }
    CHECK(kit::broken(laws, kit::columns({column(from)}, 41)) == "");
  }
}

TEST_CASE("convert: integers in registers that are wider than their types") {
  const auto at = [](const std::string& text, int from, int to, std::function<u(u)> f) {
    return law{{"cvt." + text + " %o0, %i0;", {from}, {to}}, [=](const u* in) { return std::vector<u>{f(in[0])}; }};
  };
  CHECK(kit::broken({at("u32.u8", 4, 4, [](u x) { return x & 0xff; }), at("s32.s8", 4, 4, [](u x) { return low(extended(x, 8, true), 32); }),
                     at("s64.s16", 4, 8, [](u x) { return extended(x, 16, true); }), at("u16.u32", 4, 4, [](u x) { return x & 0xffff; }),
                     at("s16.s32", 4, 8, [](u x) { return extended(x, 16, true); }), at("s8.s32", 4, 4, [](u x) { return low(extended(x, 8, true), 32); })},
                    kit::columns({"u32"}, 42)) == "");
}

TEST_CASE("convert: integers to floats in every rounding") {
  for (const kind& from : integers) {
    std::vector<law> laws;
    for (const kind& to : floats)
      for (const mode& m : to_float)
        for (const bool sat : {false, true}) {
          if (sat && (to.name == "bf16" || to.name == "f64")) continue;
          laws.push_back(form(m.text + (sat ? ".sat" : ""), to, from, [=](u x) {
            const u out = write(soft::whole(extended(x, from.bits, from.is_signed), from.is_signed), to.of, m.how);
            return sat ? saturated(out, to.of) : out;
          }));
        }
    CHECK(kit::broken(laws, kit::columns({column(from)}, 43)) == "");
  }
}

TEST_CASE("convert: floats to integers saturate, and NaN has its value") {
  for (const kind& from : floats) {
    std::vector<law> laws;
    for (const kind& to : integers)
      for (const mode& m : to_whole)
        for (const bool ftz : {false, true}) {
          if (ftz && from.name != "f32") continue;
          laws.push_back(form(m.text + (ftz ? ".ftz" : ""), to, from, [=](u x) {
            const u nan = from.name == "f64" || to.bits == 64 ? u{1} << (to.bits - 1) : 0;
            const u got = to_integer(read(ftz ? flushed(x, from.of) : x, from.of), to.bits, to.is_signed, m.how, nan);
            return low(extended(got, to.bits, to.is_signed), 8 * register_bytes(to));
          }));
        }
    CHECK(kit::broken(laws, kit::columns({from.column()}, 44, 4000)) == "");
  }
}

TEST_CASE("convert: floats to floats") {
  for (const kind& from : floats) {
    std::vector<law> laws;
    for (const kind& to : floats) {
      if (from.name == to.name) continue;
      const bool widens = from.of.precision < to.of.precision && !(from.name == "bf16" && to.name == "f16");
      for (const mode& m : to_float)
        for (const bool sat : {false, true})
          for (const bool ftz : {false, true}) {
            if (widens && &m != to_float) continue;
            if (sat && (to.name == "bf16" || to.name == "f64")) continue;
            if (ftz && from.name != "f32" && to.name != "f32") continue;
            if (ftz && (from.name == "bf16" || to.name == "bf16")) continue;
            laws.push_back(form((widens ? "" : m.text) + (ftz ? ".ftz" : "") + (sat ? ".sat" : ""), to, from, [=](u x) {
              const u in = ftz && from.name == "f32" ? flushed(x, from.of) : x;
              u out = write(read(in, from.of), to.of, m.how);
              if (ftz && to.name == "f32") out = flushed(out, to.of);
              return sat ? saturated(out, to.of) : out;
            }));
          }
    }
    CHECK(kit::broken(laws, kit::columns({from.column()}, 45, 4000)) == "");
  }
}

TEST_CASE("convert: floats to whole floats of the same type") {
  for (const kind& k : floats) {
    std::vector<law> laws;
    for (const mode& m : to_whole)
      for (const bool sat : {false, true})
        for (const bool ftz : {false, true}) {
          if (sat && k.name != "f32" && k.name != "f16") continue;
          if (ftz && k.name != "f32") continue;
          laws.push_back(form(m.text + (ftz ? ".ftz" : "") + (sat ? ".sat" : ""), k, k, [=](u x) {
            const u out = write(rounded_whole(read(ftz ? flushed(x, k.of) : x, k.of), m.how), k.of);
            return sat ? saturated(out, k.of) : out;
          }));
        }
    CHECK(kit::broken(laws, kit::columns({k.column()}, 46, 4000)) == "");
  }
}

TEST_CASE("convert: two floats into a pair, and .relu") {
  std::vector<law> laws;
  for (const bool half : {true, false})
    for (const bool relu : {false, true})
      for (const bool pair : {true, false}) {
        const format of = half ? soft::f16 : soft::bf16;
        const auto one = [=](u x) {
          const u out = write(read(x, soft::f32), of);
          return relu && !is_nan(out, of) && out >> 15 ? 0 : out;
        };
        const std::string name = std::string("cvt.rn") + (relu ? ".relu" : "") + (half ? ".f16" : ".bf16");
        if (pair) laws.push_back({{name + "x2.f32 %o0, %i0, %i1;", {4, 4}, {4}}, [=](const u* in) { return std::vector<u>{one(in[1]) | one(in[0]) << 16}; }});
        else laws.push_back({{name + ".f32 %o0, %i0;", {4, 4}, {2}}, [=](const u* in) { return std::vector<u>{one(in[0])}; }});
      }
  for (const bool half : {true, false}) {
    const format of = half ? soft::f16 : soft::bf16;
    for (const bool relu : {false, true})
    laws.push_back({{std::string("cvt.rz") + (relu ? ".relu" : "") + (half ? ".f16x2" : ".bf16x2") + ".f32 %o0, %i0, %i1;", {4, 4}, {4}},
                    [=](const u* in) {
                      const auto one = [=](u x) {
                        const u out = write(read(x, soft::f32), of, soft::to::zero);
                        return relu && !is_nan(out, of) && out >> 15 ? 0 : out;
                      };
                      return std::vector<u>{one(in[1]) | one(in[0]) << 16};
                    }});
  }
  CHECK(kit::broken(laws, kit::columns({"f32", "f32"}, 47, 4000)) == "");
}

TEST_CASE("convert: tf32 keeps 10 bits of fraction") {
  // Ties away from zero, as .rna says; the low 13 bits of the result are zero.
  CHECK(kit::broken({{{"cvt.rna.tf32.f32 %o0, %i0;", {4}, {4}}, [](const u* in) {
                        if (is_nan(in[0], soft::f32)) return std::vector<u>{0x7fffffff};
                        const u size = in[0] & 0x7fffffff;
                        if (size >= 0x7f800000) return std::vector<u>{in[0]};
                        return std::vector<u>{(in[0] & 0x80000000) | ((size + 0x1000) & ~u{0x1fff})};
                      }}},
                    kit::columns({"f32"}, 48)) == "");
}

TEST_CASE("convert: forms that are not run are refused by name") {
  for (const std::string text : {"e4m3x2.f32", "pred.u32", "rn.f32x2.f32"})
    CHECK(kit::refusal({"cvt." + text + " %o0, %i0;", {4}, {4}}).find("not supported by the PTX machine: cvt." + text) != std::string::npos);
  CHECK(kit::refusal({"cvt.s64.s32 %o0, %i0;", {4}, {4}}).find("narrower") != std::string::npos);
  for (const std::string text : {"cvt.u64.u32 %q, %i0;", "cvt.s32.s64 %o0, %q;", "cvt.f32.f64 %o0, %q;"})
    CHECK(kit::refusal({"{.reg .b128 %q; " + text + " mov.u32 %o0, 0;}", {4}, {4}}).find("128 bits") != std::string::npos);
}
