#pragma once
// ptx/ops/extended.hpp: arithmetic on integers of several words.
//
// Layer   3.
// Source  PTX ISA 9.0, "Extended-Precision Integer Arithmetic Instructions".
// Carry   CC.CF is a predicate of each function that no name reaches: the last
//         operation with .cc in a lane sets it, for subtraction to the borrow.
//         It starts undefined.

#include <cstdint>
#include <type_traits>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/integer.hpp>

namespace skillbench::ptx::ops {

enum class extended : std::uint8_t { add, sub, mad_lo, mad_hi };

// The carry that comes in is the source after the numbers, the one that goes out
// the second target.
template <typename T, extended Kind, bool In, bool Out>
void run_extended(warp& w, const op& o, lane_mask active) {
  using U = raw<T>;
  using W = std::conditional_t<sizeof(T) == 8, unsigned __int128, std::uint64_t>;
  constexpr int numbers = Kind == extended::add || Kind == extended::sub ? 2 : 3;
  const lane_mask in = In ? w.predicate(o.s[numbers]) : 0;
  alignas(64) U out[warp_lanes];
  lane_mask carried = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    const T x = w.lanes<T>(o.s[0])[l], y = w.lanes<T>(o.s[1])[l];
    const W one = (in >> l) & 1u;
    W sum;
    if constexpr (Kind == extended::add) sum = W{static_cast<U>(x)} + W{static_cast<U>(y)} + one;
    if constexpr (Kind == extended::sub) sum = W{static_cast<U>(x)} - W{static_cast<U>(y)} - one;
    if constexpr (Kind == extended::mad_lo) sum = W{static_cast<U>(integer<U>::mul_lo::f(static_cast<U>(x), static_cast<U>(y)))} + W{w.lanes<U>(o.s[2])[l]} + one;
    if constexpr (Kind == extended::mad_hi) sum = W{static_cast<U>(integer<T>::mul_hi::f(x, y))} + W{w.lanes<U>(o.s[2])[l]} + one;
    out[l] = static_cast<U>(sum);
    carried |= static_cast<lane_mask>((sum >> (8 * sizeof(T))) & 1u) << l;
  }
  keep(w, o.d[0], out, active);
  if constexpr (Out) {
    lane_mask& d = w.predicate(o.d[1]);
    d = (d & ~active) | (carried & active);
  }
}

template <typename T, extended Kind, bool In, bool Out>
void taint_extended(warp& w, const op& o, lane_mask active) {
  constexpr int numbers = Kind == extended::add || Kind == extended::sub ? 2 : 3;
  lane_mask bad = In ? predicate_taint(w, o.s[numbers]) : 0;
  for (int i = 0; i < numbers; ++i) bad |= lane_taint<raw<T>>(w, o.s[i]);
  shade_whole<raw<T>>(w, o.d[0], bad, active);
  if constexpr (Out) shade_predicate(w, o.d[1], bad, active);
}

template <extended Kind, bool In, bool Out>
void make_extended_of(decoding& d, type t) {
  constexpr std::size_t numbers = Kind == extended::add || Kind == extended::sub ? 2 : 3;
  if (!d.want(numbers + 1)) return;
  if (!is_integer(t) || is_bits(t) || width_of(t) < 4) return d.refuse("this type");
  with_integer(t, [&](auto zero) {
    using T = decltype(zero);
    d.target(0, sizeof(T));
    for (std::size_t i = 1; i <= numbers; ++i) d.source(i, sizeof(T));
    if (In) d.carry_in();
    if (Out) d.carry_out();
    d.does(&run_extended<T, Kind, In, Out>, &taint_extended<T, Kind, In, Out>);
  });
}

// `in`: addc, subc, madc; with .cc the carry goes out.
template <extended Kind>
void make_extended(decoding& d, bool in) {
  const bool out = d.take("cc");
  const type t = d.take_type();
  if (in) out ? make_extended_of<Kind, true, true>(d, t) : make_extended_of<Kind, true, false>(d, t);
  else make_extended_of<Kind, false, true>(d, t);
}

inline void make_extended_product(decoding& d, bool in) {
  if (d.take("hi")) return make_extended<extended::mad_hi>(d, in);
  if (!d.take("lo")) return d.refuse("this form");
  make_extended<extended::mad_lo>(d, in);
}

// Rows that stand before those of the plain forms.
inline void add_extended_rows(instruction_table& table) {
  static const row plain_add = table["add"], plain_sub = table["sub"], plain_mad = table["mad"];
  table["add"] = [](decoding& d) { d.has("cc") ? make_extended<extended::add>(d, false) : plain_add(d); };
  table["sub"] = [](decoding& d) { d.has("cc") ? make_extended<extended::sub>(d, false) : plain_sub(d); };
  table["mad"] = [](decoding& d) { d.has("cc") ? make_extended_product(d, false) : plain_mad(d); };
  table["addc"] = [](decoding& d) { make_extended<extended::add>(d, true); };
  table["subc"] = [](decoding& d) { make_extended<extended::sub>(d, true); };
  table["madc"] = [](decoding& d) { make_extended_product(d, true); };
}

}  // namespace skillbench::ptx::ops
