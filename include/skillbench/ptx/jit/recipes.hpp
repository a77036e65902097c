#pragma once
// ptx/jit/recipes.hpp: which handlers have a native form, and which one.
//
// Layer   3. Includes the rows of ops/ and x86.
// An instruction is known by its handler: what decode made of the text is the
// only truth, and an instruction without a recipe runs its handler.

#include <cfenv>
#include <cstdint>
#include <unordered_map>

#include <skillbench/ptx/jit/x86.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/arithmetic.hpp>
#include <skillbench/ptx/ops/convert.hpp>
#include <skillbench/ptx/ops/exchange.hpp>
#include <skillbench/ptx/ops/integer.hpp>
#include <skillbench/ptx/ops/select.hpp>

namespace skillbench::ptx::jit {

enum class form : std::uint8_t {
  none,
  binary,         // o(a, b) on lanes of `bytes`
  shift,          // count in 32-bit lanes; `extra` is the /digit of the immediate form
  absolute,
  negate,         // 0 - a
  invert,         // ~a
  logic3,         // lop3: table in op::imm
  mul_add,        // a * b + c
  mul_high,       // `extra`: signed
  wide,           // 32 x 32 -> 64; `extra`: bit 0 signed, bit 1 with addend
  widen,          // 32 -> 64; `extra`: signed
  narrow,         // 64 -> 32
  move,
  move_predicate,
  predicates,     // `extra`: and, or, xor, not
  select,
  compare,        // `extra`: predicate of the compare instruction
  float_binary,
  float_fma,
  float_dressed,  // the same with a rounding mode in op::imm; `extra`: 3 for fma
  float_minmax,   // `extra`: 1 for max
  float_sign,     // `extra`: 0 negate, 1 absolute
  float_sqrt,
  float_reciprocal,
  float_of_int,
  ex2,            // `extra`: flushes
  rsqrt,
  convert,        // run_cvt: what op::imm says
  half_to_float,  // `extra`: bf16
  float_to_half,
  load_parameter,
  load,
  store,
  shuffle,        // `extra`: ops::shuffle
};

struct recipe {
  form is = form::none;
  std::uint8_t bytes = 4;  // of the lanes it works on
  vop o{0, 0, 0, 0};
  int extra = 0;
};

[[nodiscard]] inline const std::unordered_map<handler, recipe>& recipes() {
  static const auto all = [] {
    using namespace ops;
    using u = std::uint32_t;
    using s = std::int32_t;
    using U = std::uint64_t;
    using S = std::int64_t;
    std::unordered_map<handler, recipe> t;
    const auto both = [&](handler narrow, handler broad, int map, int code32, int code64) {
      t[narrow] = {form::binary, 4, {map, p_66, 0, code32}};
      t[broad] = {form::binary, 8, {map, p_66, 1, code64}};
    };
    both(&run2<integer<u>::add, u, u, u>, &run2<integer<U>::add, U, U, U>, m0f, 0xfe, 0xd4);
    both(&run2<integer<u>::sub, u, u, u>, &run2<integer<U>::sub, U, U, U>, m0f, 0xfa, 0xfb);
    both(&run2<integer<u>::mul_lo, u, u, u>, &run2<integer<U>::mul_lo, U, U, U>, m0f38, 0x40, 0x40);
    both(&run2<bit_and, u, u, u>, &run2<bit_and, U, U, U>, m0f, 0xdb, 0xdb);
    both(&run2<bit_or, u, u, u>, &run2<bit_or, U, U, U>, m0f, 0xeb, 0xeb);
    both(&run2<bit_xor, u, u, u>, &run2<bit_xor, U, U, U>, m0f, 0xef, 0xef);
    both(&run2<integer<s>::min, s, s, s>, &run2<integer<S>::min, S, S, S>, m0f38, 0x39, 0x39);
    both(&run2<integer<s>::max, s, s, s>, &run2<integer<S>::max, S, S, S>, m0f38, 0x3d, 0x3d);
    both(&run2<integer<u>::min, u, u, u>, &run2<integer<U>::min, U, U, U>, m0f38, 0x3b, 0x3b);
    both(&run2<integer<u>::max, u, u, u>, &run2<integer<U>::max, U, U, U>, m0f38, 0x3f, 0x3f);

    t[&run2<shift<u>::left, u, u, u>] = {form::shift, 4, {m0f38, p_66, 0, 0x47}, 6};
    t[&run2<shift<U>::left, U, U, u>] = {form::shift, 8, {m0f38, p_66, 1, 0x47}, 6};
    t[&run2<shift<u>::right, u, u, u>] = {form::shift, 4, {m0f38, p_66, 0, 0x45}, 2};
    t[&run2<shift<U>::right, U, U, u>] = {form::shift, 8, {m0f38, p_66, 1, 0x45}, 2};
    t[&run2<shift<s>::right, s, s, u>] = {form::shift, 4, {m0f38, p_66, 0, 0x46}, 4};
    t[&run2<shift<S>::right, S, S, u>] = {form::shift, 8, {m0f38, p_66, 1, 0x46}, 4};

    t[&run1<integer<s>::abs, s, s>] = {form::absolute, 4, {m0f38, p_66, 0, 0x1e}};
    t[&run1<integer<S>::abs, S, S>] = {form::absolute, 8, {m0f38, p_66, 1, 0x1f}};
    t[&run1<integer<s>::neg, s, s>] = {form::negate, 4, {m0f, p_66, 0, 0xfa}};
    t[&run1<integer<S>::neg, S, S>] = {form::negate, 8, {m0f, p_66, 1, 0xfb}};
    t[&run1<bit_not, u, u>] = {form::invert, 4};
    t[&run1<bit_not, U, U>] = {form::invert, 8};
    t[&run_lop3] = {form::logic3, 4};
    t[&run3<integer<u>::mad_lo, u, u, u, u>] = {form::mul_add, 4};
    t[&run3<integer<U>::mad_lo, U, U, U, U>] = {form::mul_add, 8};
    t[&run2<integer<u>::mul_hi, u, u, u>] = {form::mul_high, 4, {m0f, p_66, 1, 0xf4}, 0};
    t[&run2<integer<s>::mul_hi, s, s, s>] = {form::mul_high, 4, {m0f38, p_66, 1, 0x28}, 1};
    t[&run2<ops::wide<u, U>::mul, U, u, u>] = {form::wide, 8, {m0f, p_66, 1, 0xf4}, 0};
    t[&run2<ops::wide<s, S>::mul, S, s, s>] = {form::wide, 8, {m0f38, p_66, 1, 0x28}, 1};
    t[&run3<ops::wide<u, U>::mad, U, u, u, U>] = {form::wide, 8, {m0f, p_66, 1, 0xf4}, 2};
    t[&run3<ops::wide<s, S>::mad, S, s, s, S>] = {form::wide, 8, {m0f38, p_66, 1, 0x28}, 3};
    t[&run1<int_of_int<U, u>, U, u>] = {form::widen, 8, {m0f38, p_66, 0, 0x35}, 0};
    t[&run1<int_of_int<U, s>, U, s>] = {form::widen, 8, {m0f38, p_66, 0, 0x25}, 1};
    t[&run1<int_of_int<u, U>, u, U>] = {form::narrow, 8};
    t[&run1<int_of_int<u, S>, u, S>] = {form::narrow, 8};
    t[&run1<int_of_int<u, u>, u, u>] = {form::move, 4};
    t[&run1<int_of_int<u, s>, u, s>] = {form::move, 4};
    t[&run1<int_of_int<U, U>, U, U>] = {form::move, 8};
    t[&run1<int_of_int<U, S>, U, S>] = {form::move, 8};
    t[&run_mov<std::uint16_t>] = {form::move, 2};
    t[&run_mov<u>] = {form::move, 4};
    t[&run_mov<U>] = {form::move, 8};
    t[&run_mov_predicate] = {form::move_predicate};
    t[&run_predicates<0>] = {form::predicates, 0, {}, 0};
    t[&run_predicates<1>] = {form::predicates, 0, {}, 1};
    t[&run_predicates<2>] = {form::predicates, 0, {}, 2};
    t[&run_predicates<3>] = {form::predicates, 0, {}, 3};
    t[&run_selp<u>] = {form::select, 4, {m0f38, p_66, 0, 0x64}};
    t[&run_selp<U>] = {form::select, 8, {m0f38, p_66, 1, 0x64}};

    const auto compares = [&]<typename T>(T, int w, int code) {
      t[&run_setp<eq, T, false>] = {form::compare, sizeof(T), {m0f3a, p_66, w, code}, 0};
      t[&run_setp<lt, T, false>] = {form::compare, sizeof(T), {m0f3a, p_66, w, code}, 1};
      t[&run_setp<le, T, false>] = {form::compare, sizeof(T), {m0f3a, p_66, w, code}, 2};
    };
    compares(u{}, 0, 0x1e);
    compares(s{}, 0, 0x1f);
    compares(U{}, 1, 0x1e);
    compares(S{}, 1, 0x1f);
    const vop compare_floats{m0f, p_none, 0, 0xc2};
    t[&run_setp<eq, float, false>] = {form::compare, 4, compare_floats, 0x00};
    t[&run_setp<lt, float, false>] = {form::compare, 4, compare_floats, 0x11};
    t[&run_setp<le, float, false>] = {form::compare, 4, compare_floats, 0x12};
    t[&run_setp<ne, float, false>] = {form::compare, 4, compare_floats, 0x0c};
    t[&run_setp<num, float, false>] = {form::compare, 4, compare_floats, 0x07};

    const auto plain = [](int code) { return vop{m0f, p_none, 0, code}; };
    t[&run2<dressed<fp_add, false>, float, float, float>] = {form::float_binary, 4, plain(0x58)};
    t[&run2<dressed<fp_sub, false>, float, float, float>] = {form::float_binary, 4, plain(0x5c)};
    t[&run2<dressed<fp_mul, false>, float, float, float>] = {form::float_binary, 4, plain(0x59)};
    t[&run2<dressed<fp_div, false>, float, float, float>] = {form::float_binary, 4, plain(0x5e)};
    t[&run3<dressed<fp_fma, false>, float, float, float, float>] = {form::float_fma, 4};
    t[&run_dressed<fp_add, float, 2>] = {form::float_dressed, 4, plain(0x58), 2};
    t[&run_dressed<fp_sub, float, 2>] = {form::float_dressed, 4, plain(0x5c), 2};
    t[&run_dressed<fp_mul, float, 2>] = {form::float_dressed, 4, plain(0x59), 2};
    t[&run_dressed<fp_div, float, 2>] = {form::float_dressed, 4, plain(0x5e), 2};
    t[&run_dressed<fp_fma, float, 3>] = {form::float_dressed, 4, {m0f38, p_66, 0, 0xb8}, 3};
    t[&run2<dressed<fp_min, false>, float, float, float>] = {form::float_minmax, 4, plain(0x5d), 0};
    t[&run2<dressed<fp_max, false>, float, float, float>] = {form::float_minmax, 4, plain(0x5f), 1};
    t[&run1<fp_neg, float, float>] = {form::float_sign, 4, {}, 0};
    t[&run1<fp_abs, float, float>] = {form::float_sign, 4, {}, 1};
    t[&run1<dressed<fp_sqrt, false>, float, float>] = {form::float_sqrt, 4, plain(0x51)};
    t[&run1<dressed<fp_rcp, false>, float, float>] = {form::float_reciprocal, 4, plain(0x5e)};
    t[&run1<ops::float_of_int<float, s>, float, s>] = {form::float_of_int, 4, {m0f, p_none, 0, 0x5b}};
    t[&run1<ops::float_of_int<float, u>, float, u>] = {form::float_of_int, 4, {m0f, p_f2, 0, 0x7a}};
    t[&run1<dressed<ap_ex2, false>, float, float>] = {form::ex2, 4, {}, 0};
    t[&run1<dressed<ap_ex2, true>, float, float>] = {form::ex2, 4, {}, 1};
    t[&run1<dressed<ap_rsqrt, false>, float, float>] = {form::rsqrt, 4};
    t[&run_cvt] = {form::convert, 4};

    t[&run_load_parameter<u>] = {form::load_parameter, 4};
    t[&run_load_parameter<U>] = {form::load_parameter, 8};
    t[&run_load<u, 1>] = {form::load, 4};
    t[&run_load<u, 2>] = {form::load, 4};
    t[&run_load<u, 4>] = {form::load, 4};
    t[&run_store<u, 1>] = {form::store, 4};
    t[&run_store<u, 2>] = {form::store, 4};
    t[&run_store<u, 4>] = {form::store, 4};
    t[&run_shfl<ops::shuffle::up>] = {form::shuffle, 4, {}, static_cast<int>(ops::shuffle::up)};
    t[&run_shfl<ops::shuffle::down>] = {form::shuffle, 4, {}, static_cast<int>(ops::shuffle::down)};
    t[&run_shfl<ops::shuffle::bfly>] = {form::shuffle, 4, {}, static_cast<int>(ops::shuffle::bfly)};
    t[&run_shfl<ops::shuffle::idx>] = {form::shuffle, 4, {}, static_cast<int>(ops::shuffle::idx)};
    return t;
  }();
  return all;
}

[[nodiscard]] inline recipe recipe_of(const op& o) {
  if (!o.run) return {};
  const auto it = recipes().find(o.run);
  if (it == recipes().end()) return {};
  recipe r = it->second;
  // The forms of the op's immediate that are not done here.
  switch (r.is) {
    case form::float_dressed: {
      const std::int64_t mode = o.imm & ops::mode_bits;
      if (o.imm & ~ops::mode_bits) return {};
      const int rounding = mode == FE_TONEAREST ? 1 : mode == FE_DOWNWARD ? 2 : mode == FE_UPWARD ? 3 : mode == FE_TOWARDZERO ? 4 : 0;
      if (!rounding) return {};
      r.extra |= rounding << 8;
      break;
    }
    case form::convert: {
      const ops::cvt_form f = ops::cvt_form::of(o.imm);
      if (f.to != type::f32 || f.from != type::f32 || !f.sat || f.to_whole || f.ftz || f.to_width != 4 || f.from_width != 4) return {};
      break;
    }
    case form::load:
    case form::store:
      if (o.order != memory_order::weak) return {};
      if (o.width != 4 || o.unit != 4 || (o.address_width != 4 && o.address_width != 8) || o.target != 0) return {};
      if (o.where != space::global && o.where != space::generic && o.where != space::constant && o.where != space::shared) return {};
      break;
    default: break;
  }
  return r;
}

}  // namespace skillbench::ptx::jit
