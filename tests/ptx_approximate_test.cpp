// Approximate instructions against libm in long double, within what the PTX
// document promises for each.

#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "ptx_kit.hpp"
#include "ptx_soft.hpp"

using u = std::uint64_t;
using real = long double;

namespace {

float f32_of(u x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x)); }
u bits(float x) { return std::bit_cast<std::uint32_t>(x); }

// The worst of `error(result, inputs)` over the columns; an infinite error
// stands for a result of the wrong kind.
struct worst {
  real error = 0;
  std::string where;
};
template <typename E>
worst over(const kit::form& what, const std::vector<kit::words>& in, E error) {
  const auto got = kit::run({what}, in);
  REQUIRE_MESSAGE(got[0].trouble == "", got[0].trouble);
  worst out;
  for (std::size_t i = 0; i < in[0].size(); ++i) {
    const u second = in.size() > 1 ? in[1][i] : 0;
    const real e = error(f32_of(got[0].targets[0][i]), f32_of(in[0][i]), f32_of(second));
    if (e > out.error || e != e) {
      out.error = e != e ? HUGE_VALL : e;
      out.where = what.text + " at " + std::to_string(f32_of(in[0][i])) + " is " + std::to_string(f32_of(got[0].targets[0][i]));
    }
  }
  return out;
}

// Relative to the exact value; kinds must match.
real relative(real is, real exact) {
  if (std::isnan(exact)) return std::isnan(is) ? 0 : HUGE_VALL;
  if (std::isinf(exact) || std::isinf(is)) return is == exact ? 0 : HUGE_VALL;
  if (exact == 0) return is == 0 && std::signbit(is) == std::signbit(exact) ? 0 : HUGE_VALL;
  return std::fabs(is - exact) / std::fabs(exact);
}
// The same for results that a float rounds or flushes away.
real relative_in_float(real is, real exact) {
  if (!std::isnan(exact) && std::fabs(exact) >= 0x1.ffffffp127L) return is == (exact > 0 ? HUGE_VALL : -HUGE_VALL) ? 0 : relative(is, exact);
  if (std::fabs(exact) < 0x1p-126L && exact != 0) return std::fabs(is - exact) <= 0x1p-149L || is == 0 ? 0 : HUGE_VALL;
  return relative(is, exact);
}

std::vector<kit::words> spread(float least, float most, std::size_t n = 20000) {
  std::mt19937_64 from(71);
  std::vector<kit::words> out(1);
  for (std::size_t i = 0; i < n; ++i)
    out[0].push_back(bits(static_cast<float>(least + (static_cast<double>(most) - least) * static_cast<double>(from() >> 11) * 0x1p-53)));
  return out;
}

kit::form one(const std::string& name) { return {name + " %o0, %i0;", {4}, {4}}; }

}  // namespace

TEST_CASE("approximate: ex2 to 2^-22 relative") {
  const auto error = [](real is, real x, real) { return relative_in_float(is, std::exp2(x)); };
  for (const std::string name : {"ex2.approx.f32", "ex2.approx.ftz.f32"})
    for (const auto& in : {spread(-126, 128), spread(-1, 1), spread(-200, -120), kit::columns({"f32"}, 72)}) {
      const auto w = over(one(name), in, error);
      INFO(w.where);
      CHECK(w.error <= 0x1p-22L);
    }
  // Exact at whole numbers; subnormal results are flushed only where asked.
  const std::vector<kit::words> in{{bits(0.0f), bits(-0.0f), bits(10.0f), bits(-149.0f), bits(-150.5f), bits(128.0f), bits(-HUGE_VALF), bits(HUGE_VALF)}};
  const auto got = kit::run({one("ex2.approx.f32"), one("ex2.approx.ftz.f32")}, in);
  CHECK(got[0].targets[0] == kit::words{bits(1), bits(1), bits(1024), 1, 0, 0x7f800000, 0, 0x7f800000});
  CHECK(got[1].targets[0] == kit::words{bits(1), bits(1), bits(1024), 0, 0, 0x7f800000, 0, 0x7f800000});
}

TEST_CASE("approximate: lg2 to 2^-22, absolute near one and relative elsewhere") {
  const auto error = [](real is, real x, real) {
    const real exact = x == 0 ? -HUGE_VALL : std::log2(x);
    if (x >= 0.5L && x <= 2) return std::fabs(is - exact);
    return relative(is, exact);
  };
  for (const std::string name : {"lg2.approx.f32"})
    for (const auto& in : {spread(0.5f, 2), spread(0, 1000), spread(0.999f, 1.001f), kit::columns({"f32"}, 73, 10000)}) {
      const auto w = over(one(name), in, error);
      INFO(w.where);
      CHECK(w.error <= 0x1p-22L);
    }
  // With .ftz a subnormal is a zero.
  CHECK(kit::run({one("lg2.approx.ftz.f32")}, {{1, 0x80000001}})[0].targets[0] == kit::words{0xff800000, 0xff800000});
}

TEST_CASE("approximate: sin and cos to 2^-20.5 absolute, near zero and up to 100") {
  const real bound = std::exp2(-20.5L);
  for (const auto& in : {spread(-3.1415927f, 3.1415927f), spread(-100, 100), spread(-1e-3f, 1e-3f)}) {
    for (const std::string dressing : {".approx.f32", ".approx.ftz.f32"}) {
      CHECK(over(one("sin" + dressing), in, [](real is, real x, real) { return std::fabs(is - std::sin(x)); }).error <= bound);
      CHECK(over(one("cos" + dressing), in, [](real is, real x, real) { return std::fabs(is - std::cos(x)); }).error <= bound);
    }
  }
  // The quarters are not mixed up, and what has no sine is NaN.
  const std::vector<kit::words> in{{bits(0), 0x80000000, bits(1.5707964f), bits(3.1415927f), 0x7f800000, 0xff800000, 0x7fc00000}};
  const auto got = kit::run({one("sin.approx.f32"), one("cos.approx.f32")}, in);
  CHECK(got[0].targets[0][0] == 0);
  CHECK(got[0].targets[0][1] == 0x80000000);
  CHECK(f32_of(got[0].targets[0][2]) == 1);
  CHECK(f32_of(got[1].targets[0][3]) == -1);
  for (int i = 4; i < 7; ++i) {
    CHECK(got[0].targets[0][static_cast<std::size_t>(i)] == 0x7fffffff);
    CHECK(got[1].targets[0][static_cast<std::size_t>(i)] == 0x7fffffff);
  }
}

TEST_CASE("approximate: tanh to 2^-11 relative, in halves too") {
  const auto error = [](real is, real x, real) { return relative_in_float(is, std::tanh(x)); };
  for (const auto& in : {spread(-10, 10), spread(-0.05f, 0.05f), kit::columns({"f32"}, 74)}) {
    const auto w = over(one("tanh.approx.f32"), in, error);
    INFO(w.where);
    CHECK(w.error <= 0x1p-11L);
  }
  for (const bool half : {true, false}) {
    const soft::format of = half ? soft::f16 : soft::bf16;
    const std::string type = half ? "f16" : "bf16";
    const auto in = kit::columns({type}, 75);
    const auto got = kit::run({{"tanh.approx." + type + " %o0, %i0;", {2}, {2}}, {"tanh.approx." + type + "x2 %o0, %i0;", {4}, {4}}}, in);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < in[0].size(); ++i) {
      const auto as_float = [&](u b) { return f32_of(write(soft::read(b, of), soft::f32)); };
      const float x = as_float(in[0][i]), is = as_float(got[0].targets[0][i]);
      const real exact = std::tanh(static_cast<real>(x));
      const real bound = half ? std::exp2(-10.987L) : 0x1p-8L;
      wrong += !(std::isnan(x) ? std::isnan(is) : std::fabs(is - exact) <= bound);
      wrong += (got[1].targets[0][i] & 0xffff) != got[0].targets[0][i];
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("approximate: ex2 of halves, and in pairs") {
  for (const bool half : {true, false}) {
    const soft::format of = half ? soft::f16 : soft::bf16;
    const std::string type = half ? "f16" : "bf16", name = half ? "ex2.approx." : "ex2.approx.ftz.";
    const auto in = kit::columns({type + "x2"}, 76);
    const auto got = kit::run({{name + type + "x2 %o0, %i0;", {4}, {4}}, {"mov.b32 {h, l}, %i0; " + name + type + " %o0, h;", {4}, {2}, ".reg .b16 h, l;"}}, in);
    REQUIRE_MESSAGE(got[0].trouble == "", got[0].trouble);
    REQUIRE_MESSAGE(got[1].trouble == "", got[1].trouble);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < in[0].size(); ++i) {
      wrong += (got[0].targets[0][i] & 0xffff) != got[1].targets[0][i];
      for (int part = 0; part < 2; ++part) {
        const auto as_float = [&](u b) { return f32_of(write(soft::read(b & 0xffff, of), soft::f32)); };
        const float x = as_float(in[0][i] >> (16 * part)), is = as_float(got[0].targets[0][i] >> (16 * part));
        if (std::isnan(x)) {
          wrong += !std::isnan(is);
          continue;
        }
        // f16: 2^-9.9 relative with subnormals kept; bf16: 2^-7, flushed.
        const real exact = std::exp2(static_cast<real>(x));
        if (exact >= (half ? 65520.0L : 0x1.ffp127L)) wrong += !std::isinf(is);
        else if (exact < (half ? 0x1p-14L : 0x1p-126L)) wrong += !(std::fabs(is - exact) <= (half ? 0x1p-25L : exact));
        else wrong += !(std::fabs(is - exact) <= exact * (half ? std::exp2(-9.9L) : 0x1p-7L));
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("approximate: rcp, rsqrt and sqrt to one or two units") {
  for (const auto& in : {spread(-4, 4), kit::columns({"f32"}, 77, 20000)}) {
    auto w = over(one("rcp.approx.f32"), in, [](real is, real x, real) { return relative_in_float(is, std::signbit(x) && x == 0 ? -HUGE_VALL : 1 / x); });
    INFO(w.where);
    CHECK(w.error <= 0x1p-23L);
    w = over(one("sqrt.approx.f32"), in, [](real is, real x, real) { return relative(is, std::sqrt(x)); });
    INFO(w.where);
    CHECK(w.error <= 0x1p-23L);
    w = over(one("rsqrt.approx.f32"), in, [](real is, real x, real) { return relative(is, x < 0 ? static_cast<real>(NAN) : x == 0 && std::signbit(x) ? -HUGE_VALL : 1 / std::sqrt(x)); });
    INFO(w.where);
    CHECK(w.error <= std::exp2(-22.9L));
  }
  // .ftz takes subnormals for zeros, on the way in and on the way out.
  CHECK(kit::run({one("rcp.approx.ftz.f32")}, {{1, 0x80000001, 0x7f000000}})[0].targets[0] == kit::words{0x7f800000, 0xff800000, 0});
  CHECK(kit::run({one("rsqrt.approx.ftz.f32")}, {{1}})[0].targets[0] == kit::words{0x7f800000});
  CHECK(kit::run({one("sqrt.approx.ftz.f32")}, {{1, 0x80000001}})[0].targets[0] == kit::words{0, 0x80000000});
}

TEST_CASE("approximate: div to two units, in the range of each form") {
  const auto in = kit::columns({"f32", "f32"}, 78, 20000);
  const auto error = [](real is, real x, real y) { return relative_in_float(is, x / y) ; };
  const auto full = over({"div.full.f32 %o0, %i0, %i1;", {4, 4}, {4}}, in, error);
  INFO(full.where);
  CHECK(full.error <= 0x1p-22L);
  const auto approx = over({"div.approx.f32 %o0, %i0, %i1;", {4, 4}, {4}}, in, [&](real is, real x, real y) -> real {
    const real size = std::fabs(y);
    if (!(size > 0x1p126L && size < HUGE_VALL)) return error(is, x, y);
    // Beyond 2^126 the reciprocal is no normal number: 0, or NaN of infinity.
    return std::isnan(x) || std::isinf(x) ? (std::isnan(is) ? 0 : HUGE_VALL) : (is == 0 ? 0 : HUGE_VALL);
  });
  INFO(approx.where);
  CHECK(approx.error <= 0x1p-22L);
}

TEST_CASE("approximate: the exact form of what is only approximate is refused") {
  for (const std::string name : {"sin.f32", "lg2.rn.f32", "ex2.f32", "rsqrt.f32", "tanh.f32", "ex2.f16"})
    CHECK(kit::refusal({name + " %o0, %i0;", {name.back() == '6' ? 2 : name.substr(name.size() - 2) == "64" ? 8 : 4}, {name.back() == '6' ? 2 : name.substr(name.size() - 2) == "64" ? 8 : 4}}).find("not supported by the PTX machine: " + name) != std::string::npos);
}
