#pragma once
// ptx/ops/select.hpp: comparisons, selections and moves.
//
// Layer   3.
// Source  PTX ISA 9.0, "Comparison and Selection Instructions", "Data Movement
//         and Conversion Instructions: mov, cvta, isspacep".

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/arithmetic.hpp>

namespace skillbench::ptx::ops {

// Every comparison is one of these, its operands swapped or its result negated:
// a > b is b < a, and "not (a >= b)" is what .ltu asks, true for NaN.
struct eq { template <typename T> static bool f(T a, T b) { return a == b; } };
struct lt { template <typename T> static bool f(T a, T b) { return a < b; } };
struct le { template <typename T> static bool f(T a, T b) { return a <= b; } };
struct ne { template <typename T> static bool f(T a, T b) { return (a < b) || (b < a); } };  // .ne of floats: false for NaN
struct num { template <typename T> static bool f(T a, T b) { return a == a && b == b; } };

enum class comparison : std::uint8_t { eq, lt, le, ne, num };

struct comparing {
  comparison by = comparison::eq;
  bool swapped = false, negated = false;
  bool as_unsigned = false;  // lo ls hi hs
  bool of_floats = false;    // exists for floats only
};

[[nodiscard]] inline std::optional<comparing> take_comparison(decoding& d) {
  using enum comparison;
  static constexpr std::pair<std::string_view, comparing> all[] = {
      {"eq", {eq}}, {"ne", {ne}}, {"lt", {lt}}, {"le", {le}}, {"gt", {lt, true}}, {"ge", {le, true}},
      {"lo", {lt, false, false, true}}, {"ls", {le, false, false, true}}, {"hi", {lt, true, false, true}}, {"hs", {le, true, false, true}},
      {"equ", {ne, false, true, false, true}}, {"neu", {eq, false, true, false, true}}, {"ltu", {le, true, true, false, true}},
      {"leu", {lt, true, true, false, true}}, {"gtu", {le, false, true, false, true}}, {"geu", {lt, false, true, false, true}},
      {"num", {num, false, false, false, true}}, {"nan", {num, false, true, false, true}}};
  for (const auto& [name, what] : all)
    if (d.take(name)) return what;
  return std::nullopt;
}

// How the comparison meets a third, predicate operand: in op::imm.
enum boolean : std::int64_t { alone = 0, with_and = 1, with_or = 2, with_xor = 3, third_negated = 4, result_negated = 8 };

inline void store_compared(warp& w, const op& o, lane_mask compared, lane_mask active) {
  const auto meet = [&](lane_mask c) {
    if ((o.imm & 3) == alone) return c;
    const lane_mask third = (o.imm & third_negated) ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
    if ((o.imm & 3) == with_and) return c & third;
    if ((o.imm & 3) == with_or) return c | third;
    return c ^ third;
  };
  if (o.imm & result_negated) compared = ~compared;
  const lane_mask p = meet(compared), q = meet(~compared);
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (p & active);
  if (o.targets > 1) {
    lane_mask& e = w.predicate(o.d[1]);
    e = (e & ~active) | (q & active);
  }
}

template <typename F, typename T, bool Ftz>
void run_setp(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  const T* b = w.lanes<T>(o.s[1]);
  alignas(32) std::uint8_t hit[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    if constexpr (Ftz && std::is_same_v<T, float>)
      hit[l] = F::f(flushed(a[l]), flushed(b[l]));
    else
      hit[l] = F::f(a[l], b[l]);
  }
  lane_mask out = 0;
  for (int l = 0; l < warp_lanes; ++l) out |= static_cast<lane_mask>(hit[l]) << l;
  store_compared(w, o, out, active);
}

template <typename T>
void taint_setp(warp& w, const op& o, lane_mask active) {
  lane_mask bad = lane_taint<bits_of_size<sizeof(T)>>(w, o.s[0]) | lane_taint<bits_of_size<sizeof(T)>>(w, o.s[1]);
  if ((o.imm & 3) != alone) {
    const lane_mask third = (o.imm & third_negated) ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
    const lane_mask third_bad = predicate_taint(w, o.s[2]);
    // A defined third operand that decides alone hides an undefined comparison.
    if ((o.imm & 3) == with_and) bad &= third | third_bad;
    if ((o.imm & 3) == with_or) bad &= ~third | third_bad;
    bad |= third_bad;
  }
  shade_predicate(w, o.d[0], bad, active);
  if (o.targets > 1) shade_predicate(w, o.d[1], bad, active);
}

// 16-bit floats compare by way of float, exactly.
template <typename F, typename Kind, bool Ftz = false>
struct half_compare {
  static bool f(std::uint16_t a, std::uint16_t b) {
    if constexpr (Ftz) return F::f(Kind::to(flushed_half<Kind>(a)), Kind::to(flushed_half<Kind>(b)));
    else return F::f(Kind::to(a), Kind::to(b));
  }
};

// The handler for one type, whichever the comparison.
template <typename T, bool Ftz, template <typename> class Wrap>
[[nodiscard]] handler setp_handler(comparison by) {
  switch (by) {
    case comparison::eq: return &run_setp<Wrap<eq>, T, Ftz>;
    case comparison::lt: return &run_setp<Wrap<lt>, T, Ftz>;
    case comparison::le: return &run_setp<Wrap<le>, T, Ftz>;
    case comparison::ne: return &run_setp<Wrap<ne>, T, Ftz>;
    case comparison::num: return &run_setp<Wrap<num>, T, Ftz>;
  }
  return nullptr;
}
template <typename F> using as_it_is = F;
template <typename F> using as_half = half_compare<F, half_kind>;
template <typename F> using as_flushed_half = half_compare<F, half_kind, true>;
template <typename F> using as_bfloat = half_compare<F, bfloat_kind>;

template <typename T>
[[nodiscard]] handler setp_of_integers(comparison by) {
  if (by == comparison::eq) return &run_setp<eq, raw<T>, false>;
  return by == comparison::lt ? &run_setp<lt, T, false> : &run_setp<le, T, false>;
}

inline void setp_typed(decoding& d, type t, comparing c) {
  const bool ftz = (t == type::f32 || t == type::f16) && d.take("ftz");
  switch (t) {
    case type::f32:
      return d.does(ftz ? setp_handler<float, true, as_it_is>(c.by) : setp_handler<float, false, as_it_is>(c.by), &taint_setp<float>);
    case type::f64: return d.does(setp_handler<double, false, as_it_is>(c.by), &taint_setp<double>);
    case type::f16:
      return d.does(ftz ? setp_handler<std::uint16_t, false, as_flushed_half>(c.by) : setp_handler<std::uint16_t, false, as_half>(c.by),
                    &taint_setp<std::uint16_t>);
    case type::bf16: return d.does(setp_handler<std::uint16_t, false, as_bfloat>(c.by), &taint_setp<std::uint16_t>);
    default: break;
  }
  if (c.of_floats) return d.refuse("this comparison of integers");
  if (c.by == comparison::ne) {  // of integers: simply not equal
    c.by = comparison::eq;
    d.o.imm ^= result_negated;
  }
  if (!with_integer(t, [&](auto zero) {
        using T = decltype(zero);
        d.does(c.as_unsigned ? setp_of_integers<raw<T>>(c.by) : setp_of_integers<T>(c.by), &taint_setp<T>);
      })) d.refuse("this type");
}

inline void make_setp_pair(decoding& d, type from);

inline void make_setp(decoding& d) {
  if (d.count() != 3 && d.count() != 4) return d.refuse("this operand count");
  if (d.take("and")) d.o.imm = with_and;
  else if (d.take("or")) d.o.imm = with_or;
  else if (d.take("xor")) d.o.imm = with_xor;
  if ((d.o.imm != alone) != (d.count() == 4)) return d.refuse("this operand count");
  const auto& out = d.in.operands[0];
  d.target_of(out, 0);
  if (!out.pair.empty()) d.target_of(out.pair[0], 0);
  type t = type::none;
  for (const auto& m : d.in.modifiers)
    if (type_named(m) != type::none) t = type_named(m);
  if (t == type::f16x2 || t == type::bf16x2) return make_setp_pair(d, t);
  const auto c = take_comparison(d);
  if (!c) return d.refuse("this comparison");
  d.source(c->swapped ? 2 : 1, width_of(t));
  d.source(c->swapped ? 1 : 2, width_of(t));
  if (d.count() == 4) {
    d.source(3, 0);
    if (d.in.operands[3].negated) d.o.imm |= third_negated;
  }
  if (c->negated) d.o.imm |= result_negated;
  d.take_type();
  setp_typed(d, t, *c);
}

// set: all ones (or 1.0) where the comparison holds, after it met a predicate.
// Rare: one loop does every form. imm packs the comparison, the source type, the
// width of a target and what is asked; the low bits are those of `boolean`.
inline constexpr int set_by = 8, set_type = 16, set_width = 24;
inline constexpr std::int64_t set_swapped = std::int64_t{1} << 32, set_ftz = std::int64_t{1} << 33, set_one = std::int64_t{1} << 34;

template <typename T>
[[nodiscard]] bool compares(comparison by, T a, T b) noexcept {
  switch (by) {
    case comparison::eq: return eq::f(a, b);
    case comparison::lt: return lt::f(a, b);
    case comparison::le: return le::f(a, b);
    case comparison::ne: return ne::f(a, b);
    case comparison::num: return num::f(a, b);
  }
  return false;
}

[[nodiscard]] inline std::uint64_t lane_bits(warp& w, ref r, std::uint8_t width, int l) noexcept {
  std::uint64_t out = 0;
  std::memcpy(&out, w.file + r.offset + static_cast<std::size_t>(l) * width, width);
  return out;
}

[[nodiscard]] inline bool compares(std::uint64_t a, std::uint64_t b, type t, comparison by, bool ftz) noexcept {
  const auto halves = [&](auto kind) {
    using K = decltype(kind);
    const auto x = static_cast<std::uint16_t>(a), y = static_cast<std::uint16_t>(b);
    return compares(by, K::to(ftz ? flushed_half<K>(x) : x), K::to(ftz ? flushed_half<K>(y) : y));
  };
  switch (t) {
    case type::f32: {
      const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(a)), y = std::bit_cast<float>(static_cast<std::uint32_t>(b));
      return ftz ? compares(by, flushed(x), flushed(y)) : compares(by, x, y);
    }
    case type::f64: return compares(by, std::bit_cast<double>(a), std::bit_cast<double>(b));
    case type::f16: case type::f16x2: return halves(half_kind{});
    case type::bf16: case type::bf16x2: return halves(bfloat_kind{});
    case type::s16: return compares(by, static_cast<std::int16_t>(a), static_cast<std::int16_t>(b));
    case type::s32: return compares(by, static_cast<std::int32_t>(a), static_cast<std::int32_t>(b));
    case type::s64: return compares(by, static_cast<std::int64_t>(a), static_cast<std::int64_t>(b));
    default: return compares(by, a, b);
  }
}

// Lanes where the comparison of the part at `shift` holds.
[[nodiscard]] inline lane_mask compared_lanes(warp& w, const op& o, unsigned shift) noexcept {
  const auto t = static_cast<type>((o.imm >> set_type) & 0xff);
  const auto by = static_cast<comparison>((o.imm >> set_by) & 0xff);
  const std::uint8_t width = width_of(t);
  lane_mask out = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    const std::uint64_t a = lane_bits(w, o.s[0], width, l) >> shift, b = lane_bits(w, o.s[1], width, l) >> shift;
    out |= static_cast<lane_mask>(compares(o.imm & set_swapped ? b : a, o.imm & set_swapped ? a : b, t, by, o.imm & set_ftz)) << l;
  }
  if (o.imm & result_negated) out = ~out;
  const lane_mask third = (o.imm & third_negated) ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
  switch (o.imm & 3) {
    case with_and: return out & third;
    case with_or: return out | third;
    case with_xor: return out ^ third;
    default: return out;
  }
}

[[nodiscard]] constexpr bool is_pair(type t) noexcept { return t == type::f16x2 || t == type::bf16x2; }

inline void run_set(warp& w, const op& o, lane_mask active) {
  const auto t = static_cast<type>((o.imm >> set_type) & 0xff);
  const auto width = static_cast<std::uint8_t>(o.imm >> set_width);
  const bool pair = is_pair(t);
  std::uint64_t one = pair ? 0xffffu : 0xffffffffu;
  if (o.imm & set_one) one = !pair && width == 4 ? 0x3f800000u : t == type::f16x2 || t == type::f16 ? 0x3c00u : 0x3f80u;
  const lane_mask low = compared_lanes(w, o, 0), high = pair ? compared_lanes(w, o, 16) : 0;
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((active >> l) & 1u)) continue;
    const std::uint64_t out = ((low >> l) & 1u ? one : 0) | ((high >> l) & 1u ? one << 16 : 0);
    std::memcpy(w.file + o.d[0].offset + static_cast<std::size_t>(l) * width, &out, width);
  }
}

// setp of two halves: a predicate for each.
inline void run_setp_pair(warp& w, const op& o, lane_mask active) {
  const lane_mask out[2] = {compared_lanes(w, o, 0), compared_lanes(w, o, 16)};
  for (int i = 0; i < o.targets; ++i) {
    lane_mask& d = w.predicate(o.d[i]);
    d = (d & ~active) | (out[i] & active);
  }
}

[[nodiscard]] inline lane_mask compared_taint(warp& w, const op& o, std::uint64_t part) noexcept {
  const std::uint8_t width = width_of(static_cast<type>((o.imm >> set_type) & 0xff));
  lane_mask bad = (o.imm & 3) != alone ? predicate_taint(w, o.s[2]) : 0;
  for (int l = 0; l < warp_lanes; ++l)
    for (int i = 0; i < 2; ++i) {
      std::uint64_t u = 0;
      std::memcpy(&u, w.shade + o.s[i].offset + static_cast<std::size_t>(l) * width, width);
      bad |= static_cast<lane_mask>((u & part) != 0) << l;
    }
  return bad;
}
inline void taint_set(warp& w, const op& o, lane_mask active) {
  const lane_mask bad = compared_taint(w, o, ~std::uint64_t{0});
  if (static_cast<std::uint8_t>(o.imm >> set_width) == 2) shade_whole<std::uint16_t>(w, o.d[0], bad, active);
  else shade_whole<std::uint32_t>(w, o.d[0], bad, active);
}
inline void taint_set_pair(warp& w, const op& o, lane_mask active) {
  const lane_mask low = compared_taint(w, o, 0xffff), high = compared_taint(w, o, 0xffff0000u);
  std::uint32_t bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) bits[l] = ((low >> l) & 1u ? 0xffffu : 0u) | ((high >> l) & 1u ? 0xffff0000u : 0u);
  shade_lanes(w, o.d[0], bits, active);
}
inline void taint_setp_pair(warp& w, const op& o, lane_mask active) {
  shade_predicate(w, o.d[0], compared_taint(w, o, 0xffff), active);
  if (o.targets > 1) shade_predicate(w, o.d[1], compared_taint(w, o, 0xffff0000u), active);
}

// The comparison of `set` and of `setp` on pairs: fills in imm and the sources
// from operand 1 on.
inline bool take_general_comparison(decoding& d, type from, comparing c) {
  if (c.of_floats && is_integer(from)) {
    d.refuse("this comparison of integers");
    return false;
  }
  if (is_bits(from) && c.by != comparison::eq && c.by != comparison::ne) {
    d.refuse("an order of bits");
    return false;
  }
  if (c.by == comparison::ne && is_integer(from)) {
    c.by = comparison::eq;
    c.negated = !c.negated;
  }
  const bool ftz = (from == type::f32 || from == type::f16 || from == type::f16x2) && d.take("ftz");
  d.o.imm |= (static_cast<std::int64_t>(c.by) << set_by) | (static_cast<std::int64_t>(from) << set_type) | (c.swapped ? set_swapped : 0) |
             (ftz ? set_ftz : 0) | (c.negated ? std::int64_t{result_negated} : 0);
  d.source(1, width_of(from));
  d.source(2, width_of(from));
  if (d.count() == 4) {
    d.source(3, 0);
    if (d.in.operands[3].negated) d.o.imm |= third_negated;
  }
  return d.refusal.empty();
}

// .and, .or or .xor with a fourth operand, or neither; false when refused.
inline bool take_boolean(decoding& d) {
  if (d.take("and")) d.o.imm = with_and;
  else if (d.take("or")) d.o.imm = with_or;
  else if (d.take("xor")) d.o.imm = with_xor;
  if ((d.o.imm != alone) == (d.count() == 4) && (d.count() == 3 || d.count() == 4)) return true;
  d.refuse("an operand count of " + std::to_string(d.count()));
  return false;
}

inline void make_set(decoding& d) {
  if (!take_boolean(d)) return;
  const auto c = take_comparison(d);
  if (!c) return d.refuse("this comparison");
  const type to = d.take_type(), from = d.take_type();
  const std::uint8_t width = width_of(to);
  const bool half = from == type::f16 || from == type::bf16, pair = is_pair(from);
  const bool words = to == type::u32 || to == type::s32, shorts = to == type::u16 || to == type::s16;
  const bool known = pair ? words || to == from : half ? words || shorts || to == from
                     : (is_integer(from) && width_of(from) >= 2 && width_of(from) <= 8) || from == type::f32 || from == type::f64 ? words || to == type::f32 : false;
  if (!known) return d.refuse("this pair of types");
  d.o.imm |= (words || shorts ? 0 : set_one) | (static_cast<std::int64_t>(width) << set_width);
  d.target(0, width);
  if (!take_general_comparison(d, from, *c)) return;
  d.does(&run_set, pair ? &taint_set_pair : &taint_set);
}

inline void make_setp_pair(decoding& d, type from) {
  d.o.targets = 0;
  const auto& out = d.in.operands[0];
  d.target_of(out, 0);
  if (!out.pair.empty()) d.target_of(out.pair[0], 0);
  const auto c = take_comparison(d);
  if (!c) return d.refuse("this comparison");
  d.take_type();
  if (!take_general_comparison(d, from, *c)) return;
  d.does(&run_setp_pair, &taint_setp_pair);
}

template <typename T>
void run_selp(warp& w, const op& o, lane_mask active) {
  alignas(64) T out[warp_lanes];
  const T* a = w.lanes<T>(o.s[0]);
  const T* b = w.lanes<T>(o.s[1]);
  const lane_mask p = o.imm ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
  std::memcpy(out, b, sizeof out);
  blend(out, a, p);
  keep(w, o.d[0], out, active);
}
template <typename T>
void taint_selp(warp& w, const op& o, lane_mask active) {
  T bits[warp_lanes];
  const lane_mask p = o.imm ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
  const lane_mask bad = predicate_taint(w, o.s[2]);
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = (bad >> l) & 1u ? static_cast<T>(~T{0}) : (p >> l) & 1u ? w.shades<T>(o.s[0])[l] : w.shades<T>(o.s[1])[l];
  shade_lanes(w, o.d[0], bits, active);
}

inline void make_selp(decoding& d) {
  if (!d.want(4)) return;
  const type t = d.take_type();
  const std::uint8_t width = width_of(t);
  d.target(0, width);
  d.source(1, width);
  d.source(2, width);
  d.source(3, 0);
  d.o.imm = d.in.operands[3].negated;
  if (width == 2) d.does(&run_selp<std::uint16_t>, &taint_selp<std::uint16_t>);
  else if (width == 4) d.does(&run_selp<std::uint32_t>, &taint_selp<std::uint32_t>);
  else if (width == 8) d.does(&run_selp<std::uint64_t>, &taint_selp<std::uint64_t>);
  else d.refuse("this type");
}

// The third operand decides: 0 or more, or not (less, or NaN).
template <typename T, typename C, bool Ftz>
void run_slct(warp& w, const op& o, lane_mask active) {
  alignas(64) T out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    C c = w.lanes<C>(o.s[2])[l];
    if constexpr (Ftz) c = flushed(c);
    out[l] = c >= 0 ? w.lanes<T>(o.s[0])[l] : w.lanes<T>(o.s[1])[l];
  }
  keep(w, o.d[0], out, active);
}
template <typename T, typename C, bool Ftz>
void taint_slct(warp& w, const op& o, lane_mask active) {
  const lane_mask bad = lane_taint<std::uint32_t>(w, o.s[2]);
  T bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    C c = w.lanes<C>(o.s[2])[l];
    if constexpr (Ftz) c = flushed(c);
    bits[l] = (bad >> l) & 1u ? static_cast<T>(~T{0}) : c >= 0 ? w.shades<T>(o.s[0])[l] : w.shades<T>(o.s[1])[l];
  }
  shade_lanes(w, o.d[0], bits, active);
}

inline void make_slct(decoding& d) {
  if (!d.want(4)) return;
  const bool ftz = d.take("ftz");
  const type t = d.take_type(), by = d.take_type();
  const std::uint8_t width = width_of(t);
  if ((by != type::s32 && by != type::f32) || (ftz && by != type::f32)) return d.refuse("these types");
  d.target(0, width);
  d.source(1, width);
  d.source(2, width);
  d.source(3, 4);
  const auto form = [&](auto zero) {
    using T = decltype(zero);
    if (by == type::s32) d.does(&run_slct<T, std::int32_t, false>, &taint_slct<T, std::int32_t, false>);
    else if (ftz) d.does(&run_slct<T, float, true>, &taint_slct<T, float, true>);
    else d.does(&run_slct<T, float, false>, &taint_slct<T, float, false>);
  };
  if (width == 2) form(std::uint16_t{});
  else if (width == 4) form(std::uint32_t{});
  else if (width == 8) form(std::uint64_t{});
  else d.refuse("this type");
}

// ---- mov --------------------------------------------------------------------

template <typename T>
void run_mov(warp& w, const op& o, lane_mask active) {
  if (active == every_lane)
    std::memmove(w.lanes<T>(o.d[0]), w.lanes<T>(o.s[0]), sizeof(T) * warp_lanes);
  else
    blend(w.lanes<T>(o.d[0]), w.lanes<T>(o.s[0]), active);
}
template <typename T>
void taint_mov(warp& w, const op& o, lane_mask active) {
  T bits[warp_lanes];
  std::memcpy(bits, w.shades<T>(o.s[0]), sizeof bits);
  shade_lanes(w, o.d[0], bits, active);
}
inline void run_mov_predicate(warp& w, const op& o, lane_mask active) {
  const lane_mask from = o.imm ? ~w.predicate(o.s[0]) : w.predicate(o.s[0]);
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (from & active);
}
inline void taint_mov_predicate(warp& w, const op& o, lane_mask active) {
  shade_predicate(w, o.d[0], predicate_taint(w, o.s[0]), active);
}

// {a, b, ...} -> d: `Part` is the lane type of a source, `Whole` of the target.
template <typename Whole, typename Part>
void run_pack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  alignas(64) Whole out[warp_lanes] = {};
  for (int i = 0; i < n; ++i) {
    const Part* from = w.lanes<Part>(o.s[i]);
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Whole>(out[l] | (static_cast<Whole>(from[l]) << (8 * sizeof(Part) * static_cast<unsigned>(i))));
  }
  keep(w, o.d[0], out, active);
}
template <typename Whole, typename Part>
void taint_pack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  Whole out[warp_lanes] = {};
  for (int i = 0; i < n; ++i)
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Whole>(out[l] | (static_cast<Whole>(w.shades<Part>(o.s[i])[l]) << (8 * sizeof(Part) * static_cast<unsigned>(i))));
  shade_lanes(w, o.d[0], out, active);
}
// d -> {a, b, ...}; a discarded part has the bit of its index in op::imm.
template <typename Whole, typename Part>
void run_unpack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  alignas(64) Whole from[warp_lanes];
  std::memcpy(from, w.lanes<Whole>(o.s[0]), sizeof from);
  for (int i = 0; i < n; ++i) {
    if ((o.imm >> i) & 1) continue;
    alignas(64) Part out[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Part>(from[l] >> (8 * sizeof(Part) * static_cast<unsigned>(i)));
    keep(w, o.d[i], out, active);
  }
}
template <typename Whole, typename Part>
void taint_unpack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  Whole from[warp_lanes];
  std::memcpy(from, w.shades<Whole>(o.s[0]), sizeof from);
  for (int i = 0; i < n; ++i) {
    if ((o.imm >> i) & 1) continue;
    Part out[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Part>(from[l] >> (8 * sizeof(Part) * static_cast<unsigned>(i)));
    shade_lanes(w, o.d[i], out, active);
  }
}

inline void make_pack(decoding& d, std::uint8_t whole) {
  const auto& parts = d.in.operands[1].parts;
  const auto part = static_cast<std::uint8_t>(whole / parts.size());
  d.target(0, whole);
  for (const auto& p : parts) d.source_of(p, part);
  if (whole == 4 && part == 2) d.does(&run_pack<std::uint32_t, std::uint16_t>, &taint_pack<std::uint32_t, std::uint16_t>);
  else if (whole == 8 && part == 4) d.does(&run_pack<std::uint64_t, std::uint32_t>, &taint_pack<std::uint64_t, std::uint32_t>);
  else if (whole == 8 && part == 2) d.does(&run_pack<std::uint64_t, std::uint16_t>, &taint_pack<std::uint64_t, std::uint16_t>);
  else if (whole == 2 && part == 1) d.does(&run_pack<std::uint16_t, std::uint8_t>, &taint_pack<std::uint16_t, std::uint8_t>);
  else if (whole == 4 && part == 1) d.does(&run_pack<std::uint32_t, std::uint8_t>, &taint_pack<std::uint32_t, std::uint8_t>);
  else if (whole == 16 && part == 8) d.does(&run_pack<unsigned __int128, std::uint64_t>, &taint_pack<unsigned __int128, std::uint64_t>);
  else d.refuse("packing of this width");
}

inline void make_unpack(decoding& d, std::uint8_t whole) {
  const auto& parts = d.in.operands[0].parts;
  const auto part = static_cast<std::uint8_t>(whole / parts.size());
  d.source(1, whole);
  for (std::size_t i = 0; i < parts.size() && i < 4; ++i) {
    if (parts[i].kind == operand::type::discard) {
      d.o.imm |= std::int64_t{1} << i;
      ++d.o.targets;
    } else {
      d.target_of(parts[i], part);
    }
  }
  if (whole == 4 && part == 2) d.does(&run_unpack<std::uint32_t, std::uint16_t>, &taint_unpack<std::uint32_t, std::uint16_t>);
  else if (whole == 8 && part == 4) d.does(&run_unpack<std::uint64_t, std::uint32_t>, &taint_unpack<std::uint64_t, std::uint32_t>);
  else if (whole == 8 && part == 2) d.does(&run_unpack<std::uint64_t, std::uint16_t>, &taint_unpack<std::uint64_t, std::uint16_t>);
  else if (whole == 2 && part == 1) d.does(&run_unpack<std::uint16_t, std::uint8_t>, &taint_unpack<std::uint16_t, std::uint8_t>);
  else if (whole == 4 && part == 1) d.does(&run_unpack<std::uint32_t, std::uint8_t>, &taint_unpack<std::uint32_t, std::uint8_t>);
  else if (whole == 16 && part == 8) d.does(&run_unpack<unsigned __int128, std::uint64_t>, &taint_unpack<unsigned __int128, std::uint64_t>);
  else d.refuse("unpacking of this width");
}

inline void make_mov_of(decoding& d, std::uint8_t width) {
  if (width == 2) d.does(&run_mov<std::uint16_t>, &taint_mov<std::uint16_t>);
  else if (width == 4) d.does(&run_mov<std::uint32_t>, &taint_mov<std::uint32_t>);
  else if (width == 8) d.does(&run_mov<std::uint64_t>, &taint_mov<std::uint64_t>);
  else if (width == 1) d.does(&run_mov<std::uint8_t>, &taint_mov<std::uint8_t>);
  else if (width == 16) d.does(&run_mov<unsigned __int128>, &taint_mov<unsigned __int128>);
  else d.refuse("this type");
}

// %clock and %clock64: the count of warp instructions of the launch so far.
template <typename T, int Shift = 0>
void run_clock(warp& w, const op& o, lane_mask active) {
  alignas(64) T out[warp_lanes];
  for (auto& x : out) x = static_cast<T>(w.launch->ticks >> Shift);
  keep(w, o.d[0], out, active);
}

inline void make_mov(decoding& d) {
  if (!d.want(2)) return;
  const type t = d.take_type();
  const auto& to = d.in.operands[0];
  const auto& from = d.in.operands[1];
  if (t == type::pred) {
    d.target(0, 0);
    d.source(1, 0);
    d.o.imm = from.negated;
    d.does(&run_mov_predicate, &taint_mov_predicate);
    return;
  }
  const std::uint8_t width = width_of(t);
  const auto fits = [&](const operand& list) {
    return (list.parts.size() == 2 || list.parts.size() == 4) && width % list.parts.size() == 0;
  };
  if (from.kind == operand::type::list) return fits(from) ? make_pack(d, width) : d.refuse("this list");
  if (to.kind == operand::type::list) return fits(to) ? make_unpack(d, width) : d.refuse("this list");
  d.target(0, width);
  if (from.kind == operand::type::name && (from.text == "%clock" || from.text == "%clock64" || from.text == "%globaltimer" || from.text == "%clock_hi" || from.text == "%globaltimer_lo" || from.text == "%globaltimer_hi")) {
    const bool high = from.text == "%clock_hi" || from.text == "%globaltimer_hi";
    if (width == 8 && !high) d.does(&run_clock<std::uint64_t>, &taint_none<8>);
    else if (width != 4) d.refuse("this type");
    else if (high) d.does(&run_clock<std::uint32_t, 32>, &taint_none<4>);
    else d.does(&run_clock<std::uint32_t>, &taint_none<4>);
    return;
  }
  d.source(1, width);
  make_mov_of(d, width);
}

// ---- addresses ----------------------------------------------------------------

struct to_window {
  template <std::uint64_t Window> struct add {
    static std::uint64_t f(std::uint64_t a) { return (a & (window_bytes - 1)) + Window; }
  };
  template <std::uint64_t Window> struct take {
    static std::uint64_t f(std::uint64_t a) { return a - Window; }
  };
};

inline void make_cvta(decoding& d) {
  const bool to = d.take("to");
  const bool global = d.take("global");
  const bool shared = d.take("shared") || d.take("shared::cta") || d.take("shared::cluster");
  const bool local = d.take("local");
  const bool param = d.take("param") || d.take("param::entry");
  d.take("const");  // module constants live among the global allocations
  const type t = d.take_type();
  if (t != type::u64 || !d.want(2)) return d.refuse("this form");
  if (global || !(shared || local || param)) {
    d.target(0, 8);
    d.source(1, 8);
    return make_mov_of(d, 8);
  }
  using u = std::uint64_t;
  if (shared) to ? make1<to_window::take<shared_window>, u, u>(d) : make1<to_window::add<shared_window>, u, u>(d);
  else if (local) to ? make1<to_window::take<local_window>, u, u>(d) : make1<to_window::add<local_window>, u, u>(d);
  else to ? make1<to_window::take<param_window>, u, u>(d) : make1<to_window::add<param_window>, u, u>(d);
}

template <std::uint64_t Window, std::uint64_t Bytes = window_bytes>
void run_isspacep(warp& w, const op& o, lane_mask active) {
  const auto* a = w.lanes<std::uint64_t>(o.s[0]);
  lane_mask out = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    const bool in = Window ? a[l] >= Window && a[l] < Window + Bytes : a[l] < shared_window;
    out |= static_cast<lane_mask>(in) << l;
  }
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (out & active);
}

inline void make_isspacep(decoding& d) {
  if (!d.want(2)) return;
  d.target(0, 0);
  d.source(1, 8);
  const auto taint = &taint_whole<0, 8>;
  if (d.take("global") || d.take("const")) d.does(&run_isspacep<0>, taint);
  else if (d.take("shared") || d.take("shared::cta")) d.does(&run_isspacep<shared_window, std::uint64_t{1} << cluster_offset_bits>, taint);
  else if (d.take("shared::cluster")) d.does(&run_isspacep<shared_window>, taint);
  else if (d.take("local")) d.does(&run_isspacep<local_window>, taint);
  else if (d.take("param") || d.take("param::entry")) d.does(&run_isspacep<param_window>, taint);
  else d.refuse("this space");
}

// ---- testp --------------------------------------------------------------------

template <int Kind, typename T>  // finite infinite number notanumber normal subnormal
void run_testp(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  lane_mask out = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    const int c = std::fpclassify(a[l]);
    const bool hit = Kind == 0 ? c != FP_NAN && c != FP_INFINITE : Kind == 1 ? c == FP_INFINITE
                   : Kind == 2 ? c != FP_NAN : Kind == 3 ? c == FP_NAN
                   : Kind == 4 ? c == FP_NORMAL : c == FP_SUBNORMAL;
    out |= static_cast<lane_mask>(hit) << l;
  }
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (out & active);
}

inline void make_testp(decoding& d) {
  static constexpr std::string_view kinds[6] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  static constexpr handler runs[2][6] = {
      {&run_testp<0, float>, &run_testp<1, float>, &run_testp<2, float>, &run_testp<3, float>, &run_testp<4, float>, &run_testp<5, float>},
      {&run_testp<0, double>, &run_testp<1, double>, &run_testp<2, double>, &run_testp<3, double>, &run_testp<4, double>, &run_testp<5, double>}};
  int kind = -1;
  for (int i = 0; i < 6; ++i)
    if (d.take(kinds[i])) kind = i;
  const type t = d.take_type();
  if (kind < 0 || (t != type::f32 && t != type::f64) || !d.want(2)) return d.refuse("this form");
  d.target(0, 0);
  d.source(1, width_of(t));
  t == type::f32 ? d.does(runs[0][kind], &taint_whole<0, 4>) : d.does(runs[1][kind], &taint_whole<0, 8>);
}

inline void add_select_rows(instruction_table& table) {
  table["setp"] = &make_setp;
  table["set"] = &make_set;
  table["selp"] = &make_selp;
  table["slct"] = &make_slct;
  table["mov"] = &make_mov;
  table["cvta"] = &make_cvta;
  table["isspacep"] = &make_isspacep;
  table["testp"] = &make_testp;
}

}  // namespace skillbench::ptx::ops
