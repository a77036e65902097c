// Instructions of ptx/ops/arithmetic.hpp that are exactly rounded; the others
// are in ptx_approximate_test.cpp.

#include <doctest/doctest.h>

#include "ptx_kit.hpp"
#include "ptx_soft.hpp"

using kit::law;
using soft::format;
using soft::number;
using u = std::uint64_t;

namespace {

struct mode {
  std::string text;
  soft::to how;
};
const mode modes[] = {{"", soft::to::nearest}, {".rn", soft::to::nearest}, {".rz", soft::to::zero},
                      {".rm", soft::to::down}, {".rp", soft::to::up}};

using operation = number (*)(const number*, soft::to);
number add(const number* n, soft::to how) { return sum(n[0], n[1], how); }
number sub(const number* n, soft::to how) { return sum(n[0], negated(n[1]), how); }
number mul(const number* n, soft::to) { return product(n[0], n[1]); }
number fma(const number* n, soft::to how) { return sum(product(n[0], n[1]), n[2], how); }
number quotient_of(const number* n, soft::to) { return quotient(n[0], n[1]); }
number reciprocal(const number* n, soft::to) { return quotient(soft::whole(1, false), n[0]); }
number square_root(const number* n, soft::to) { return soft::root(n[0]); }

struct dressing {
  bool ftz = false, sat = false, relu = false;
};

// One rounded result with the modifiers around it.
u result(operation f, int arity, const u* in, format of, soft::to how, dressing with) {
  number n[3];
  for (int i = 0; i < arity; ++i) n[i] = read(with.ftz ? flushed(in[i], of) : in[i], of);
  u out = write(f(n, how), of, how);
  if (with.ftz) out = flushed(out, of);
  const bool nan = is_nan(out, of);
  const u one = of.precision == 24 ? 0x3f800000 : 0x3c00;
  const bool negative = out >> (width(of) - 1);
  if (with.sat) out = nan || negative ? 0 : std::min(out, one);
  if (with.relu && !nan && negative) out = 0;  // as max(result, +0): -0 too
  return out;
}

std::string operands(int arity) {
  std::string t = " %o0";
  for (int i = 0; i < arity; ++i) t += ", %i" + std::to_string(i);
  return t + ";";
}

law scalar(const std::string& text, operation f, int arity, format of, soft::to how, dressing with) {
  const int bytes = width(of) / 8;
  return {{text + operands(arity), std::vector<int>(static_cast<std::size_t>(arity), bytes), {bytes}},
          [=](const u* in) { return std::vector<u>{result(f, arity, in, of, how, with)}; }, width(of) == 64};
}
law packed(const std::string& text, operation f, int arity, format of, dressing with) {
  return {{text + operands(arity), std::vector<int>(static_cast<std::size_t>(arity), 4), {4}}, [=](const u* in) {
            u lo[3], hi[3];
            for (int i = 0; i < arity; ++i) {
              lo[i] = in[i] & 0xffff;
              hi[i] = in[i] >> 16;
            }
            return std::vector<u>{result(f, arity, lo, of, soft::to::nearest, with) | result(f, arity, hi, of, soft::to::nearest, with) << 16};
          }};
}

std::vector<std::string> same(const std::string& kind, int n) { return std::vector<std::string>(static_cast<std::size_t>(n), kind); }

// min and max: a number beats a NaN unless .NaN; -0 lies below +0.
u chosen(const u* in, format of, bool least, bool nan_wins, bool ftz) {
  const u a = ftz ? flushed(in[0], of) : in[0], b = ftz ? flushed(in[1], of) : in[1];
  const bool na = is_nan(a, of), nb = is_nan(b, of);
  if ((na && nb) || (nan_wins && (na || nb))) return of.nan;
  if (na) return b;
  if (nb) return a;
  const auto order = [&](u x) {
    const u sign = u{1} << (width(of) - 1);
    const auto size = static_cast<std::int64_t>(x & (sign - 1));
    return x & sign ? -size - 1 : size;
  };
  return (order(a) < order(b)) == least ? a : b;
}

}  // namespace

TEST_CASE("arithmetic: f32 in every rounding, with .ftz and .sat") {
  struct op { std::string name; operation f; int arity; bool sat, bare; };
  const op all[] = {{"add", add, 2, true, true}, {"sub", sub, 2, true, true}, {"mul", mul, 2, true, true},
                    {"fma", fma, 3, true, false}, {"mad", fma, 3, true, false}, {"div", quotient_of, 2, false, false},
                    {"rcp", reciprocal, 1, false, false}, {"sqrt", square_root, 1, false, false}};
  for (const op& o : all) {
    std::vector<law> laws;
    for (const mode& m : modes)
      for (const bool ftz : {false, true})
        for (const bool sat : {false, true}) {
          if ((sat && !o.sat) || (m.text.empty() && !o.bare)) continue;
          laws.push_back(scalar(o.name + m.text + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + ".f32", o.f, o.arity, soft::f32, m.how, {ftz, sat, false}));
        }
    CHECK(kit::broken(laws, kit::columns(same("f32", o.arity), 21)) == "");
  }
}

TEST_CASE("arithmetic: f64 in every rounding") {
  struct op { std::string name; operation f; int arity; bool bare; };
  const op all[] = {{"add", add, 2, true}, {"sub", sub, 2, true}, {"mul", mul, 2, true}, {"fma", fma, 3, false},
                    {"mad", fma, 3, false}, {"div", quotient_of, 2, false}, {"rcp", reciprocal, 1, false}, {"sqrt", square_root, 1, false}};
  for (const op& o : all) {
    std::vector<law> laws;
    for (const mode& m : modes)
      if (!m.text.empty() || o.bare) laws.push_back(scalar(o.name + m.text + ".f64", o.f, o.arity, soft::f64, m.how, {}));
    CHECK(kit::broken(laws, kit::columns(same("f64", o.arity), 22)) == "");
  }
}

TEST_CASE("arithmetic: 16-bit types, alone and in pairs") {
  for (const bool half : {true, false}) {
    const format of = half ? soft::f16 : soft::bf16;
    const std::string type = half ? "f16" : "bf16";
    struct op { std::string name; operation f; int arity; };
    for (const op& o : {op{"add", add, 2}, op{"sub", sub, 2}, op{"mul", mul, 2}, op{"fma", fma, 3}}) {
      std::vector<law> one, two;
      for (const char* rounding : {"", ".rn"})
        for (const bool ftz : {false, true})
          for (const int last : {0, 1, 2}) {  // nothing, .sat, .relu
            if ((ftz || last == 1) && !half) continue;
            if (last == 2 && o.arity != 3) continue;
            if (o.arity == 3 && !*rounding) continue;
            const std::string text = o.name + rounding + (ftz ? ".ftz" : "") + (last == 1 ? ".sat" : last == 2 ? ".relu" : "") + "." + type;
            one.push_back(scalar(text, o.f, o.arity, of, soft::to::nearest, {ftz, last == 1, last == 2}));
            two.push_back(packed(text + "x2", o.f, o.arity, of, {ftz, last == 1, last == 2}));
          }
      CHECK(kit::broken(one, kit::columns(same(type, o.arity), 23)) == "");
      CHECK(kit::broken(two, kit::columns(same(type + "x2", o.arity), 24)) == "");
    }
  }
}

TEST_CASE("arithmetic: min and max") {
  for (const std::string type : {"f32", "f64", "f16", "bf16", "f16x2", "bf16x2"}) {
    std::vector<law> laws;
    const bool two = type.back() == '2' && type != "f32";
    const format of = type == "f32" ? soft::f32 : type == "f64" ? soft::f64 : type[0] == 'f' ? soft::f16 : soft::bf16;
    for (const bool least : {true, false})
      for (const bool nan : {false, true})
        for (const bool ftz : {false, true}) {
          if ((nan && type == "f64") || (ftz && (type == "f64" || type[0] == 'b'))) continue;
          const int bytes = two ? 4 : width(of) / 8;
          laws.push_back({{std::string(least ? "min" : "max") + (ftz ? ".ftz" : "") + (nan ? ".NaN" : "") + "." + type + " %o0, %i0, %i1;", {bytes, bytes}, {bytes}},
                          [=](const u* in) {
                            if (!two) return std::vector<u>{chosen(in, of, least, nan, ftz)};
                            const u lo[2] = {in[0] & 0xffff, in[1] & 0xffff}, hi[2] = {in[0] >> 16, in[1] >> 16};
                            return std::vector<u>{chosen(lo, of, least, nan, ftz) | chosen(hi, of, least, nan, ftz) << 16};
                          },
                          type == "f64"});
        }
    CHECK(kit::broken(laws, kit::columns({type, type}, 25)) == "");
  }
}

TEST_CASE("arithmetic: signs") {
  const auto bits = [](const std::string& type, const std::string& text, int bytes, u clear, u flip) {
    return law{{text + "." + type + " %o0, %i0;", {bytes}, {bytes}}, [=](const u* in) { return std::vector<u>{(in[0] & ~clear) ^ flip}; }};
  };
  for (const std::string type : {"f16", "bf16"}) {
    CHECK(kit::broken({bits(type, "neg", 2, 0, 0x8000), bits(type, "abs", 2, 0x8000, 0)}, kit::columns({type}, 26)) == "");
    CHECK(kit::broken({bits(type + "x2", "neg", 4, 0, 0x80008000), bits(type + "x2", "abs", 4, 0x80008000, 0)}, kit::columns({type + "x2"}, 27)) == "");
  }
  CHECK(kit::broken({bits("f64", "neg", 8, 0, u{1} << 63), bits("f64", "abs", 8, u{1} << 63, 0)}, kit::columns({"f64"}, 28)) == "");
  CHECK(kit::broken({bits("f32", "neg", 4, 0, 0x80000000), bits("f32", "abs", 4, 0x80000000, 0)}, kit::columns({"f32"}, 29)) == "");
  const auto flushing = [](const std::string& text, const std::string& type, format of, u clear, u flip) {
    const int bytes = width(of) / 8;
    return law{{text + ".ftz." + type + " %o0, %i0;", {bytes}, {bytes}}, [=](const u* in) {
                 const u x = (flushed(in[0], of) & ~clear) ^ flip;
                 return std::vector<u>{is_nan(x, of) ? of.nan : x};
               }};
  };
  CHECK(kit::broken({flushing("neg", "f32", soft::f32, 0, 0x80000000), flushing("abs", "f32", soft::f32, 0x80000000, 0)}, kit::columns({"f32"}, 30)) == "");
  CHECK(kit::broken({flushing("neg", "f16", soft::f16, 0, 0x8000), flushing("abs", "f16", soft::f16, 0x8000, 0)}, kit::columns({"f16"}, 30)) == "");
  CHECK(kit::broken({{{"copysign.f32 %o0, %i0, %i1;", {4, 4}, {4}}, [](const u* in) { return std::vector<u>{(in[0] & 0x80000000) | (in[1] & 0x7fffffff)}; }}},
                    kit::columns({"f32", "f32"}, 31)) == "");
  CHECK(kit::broken({{{"copysign.f64 %o0, %i0, %i1;", {8, 8}, {8}}, [](const u* in) { return std::vector<u>{(in[0] & u{1} << 63) | (in[1] & ~(u{1} << 63))}; }}},
                    kit::columns({"f64", "f64"}, 32)) == "");
}

TEST_CASE("arithmetic: float literals") {
  CHECK(kit::broken({{{"mul.f32 %o0, %i0, 0f40000000;", {4}, {4}}, [](const u* in) { const u x[2] = {in[0], 0x40000000}; return std::vector<u>{result(mul, 2, x, soft::f32, soft::to::nearest, {})}; }},
                     {{"add.f32 %o0, %i0, 0.5;", {4}, {4}}, [](const u* in) { const u x[2] = {in[0], 0x3f000000}; return std::vector<u>{result(add, 2, x, soft::f32, soft::to::nearest, {})}; }}},
                    kit::columns({"f32"}, 33)) == "");
  CHECK(kit::broken({{{"mul.f64 %o0, %i0, 0d4000000000000000;", {8}, {8}}, [](const u* in) { const u x[2] = {in[0], 0x4000000000000000}; return std::vector<u>{result(mul, 2, x, soft::f64, soft::to::nearest, {})}; }, true}},
                    kit::columns({"f64"}, 34)) == "");
}

TEST_CASE("arithmetic: forms that are not run are refused by name") {
  for (const std::string text : {"add.sat.f64", "add.ftz.bf16", "add.sat.bf16", "add.rz.f16", "mul.relu.f16", "add.relu.f16", "add.ftz.f64", "div.approx.f64", "sin.f32", "min.relu.f16", "max.sat.f16"}) {
    const int bytes = text.find("64") != std::string::npos ? 8 : text.find("16") != std::string::npos ? 2 : 4;
    const int arity = text == "sin.f32" ? 1 : 2;
    INFO(text);
    CHECK(kit::refusal({text + operands(arity), std::vector<int>(static_cast<std::size_t>(arity), bytes), {bytes}}).find("not supported by the PTX machine: " + text) != std::string::npos);
  }
}
