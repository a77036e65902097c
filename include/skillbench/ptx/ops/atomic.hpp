#pragma once
// ptx/ops/atomic.hpp: atomics and reductions of vectors and of 128 bits; what is
// asked of caches.
//
// Layer   3. The other atomics are in access.hpp.
// Source  PTX ISA 9.0, "atom", "red", "discard", "createpolicy".
// Order   the elements of a vector are changed one after the other, as are the
//         lanes: the document promises atomicity of each element alone.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>

namespace skillbench::ptx::ops {

// unit: bytes of an element; vector: how many; width: the change; target: the
// type. The registers are in program::more, for `red` the sources alone.
inline void run_atomic_vector(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  const lane_addresses a = addresses(w, o, active);
  if (!a.active) return;
  const further& list = w.launch->code->more[o.more];
  const auto what = static_cast<change>(o.width);
  const auto t = static_cast<type>(o.target);
  const unsigned bytes = unsigned{o.unit} * o.vector;
  count_request(w, o, a, bytes, access_kind::atomic);
  std::uint64_t out[8][warp_lanes] = {}, shade[8][warp_lanes] = {};
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const cell c = resolve(w, l, a.at[l], bytes, true, o.where);
    if (!c.data) continue;
    for (std::size_t i = 0; i < list.s.size(); ++i) {
      std::byte* const at = c.data + i * o.unit;
      std::uint64_t old = 0;
      std::memcpy(&old, at, o.unit);
      out[i][l] = old;
      const std::uint64_t fresh = changed(old, read_lane(w, list.s[i], o.unit, l, false), 0, what, t);
      std::memcpy(at, &fresh, o.unit);
      if (!c.shadow) continue;
      std::uint8_t* const shadow = c.shadow + i * o.unit;
      const bool old_bad = any_set(shadow, o.unit);
      if (old_bad) shade[i][l] = ~std::uint64_t{0};
      std::memset(shadow, old_bad || read_lane(w, list.s[i], o.unit, l, true) != 0 ? undefined : defined, o.unit);
    }
  }
  for (std::size_t i = 0; i < list.d.size(); ++i) {
    if (list.d[i].slot == 0) continue;  // discarded
    write_lanes(w, list.d[i], o.unit, out[i], active);
    const auto shades = [&](auto zero) {
      decltype(zero) bits[warp_lanes];
      for (int l = 0; l < warp_lanes; ++l) bits[l] = static_cast<decltype(zero)>(shade[i][l]);
      shade_lanes(w, list.d[i], bits, active);
    };
    o.unit == 2 ? shades(std::uint16_t{}) : shades(std::uint32_t{});
  }
}

// cas (o.imm's partner in o.width) and exch of 128 bits.
inline void run_atomic_b128(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  using wide_bits = unsigned __int128;
  const lane_addresses a = addresses(w, o, active);
  if (!a.active) return;
  const bool swaps = static_cast<change>(o.width) == change::cas;
  count_request(w, o, a, 16, access_kind::atomic);
  wide_bits out[warp_lanes] = {}, shade[warp_lanes] = {};
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const cell c = resolve(w, l, a.at[l], 16, true, o.where);
    if (!c.data) continue;
    std::memcpy(&out[l], c.data, 16);
    const wide_bits b = w.lanes<wide_bits>(o.s[1])[l];
    bool bad = w.shades<wide_bits>(o.s[1])[l] != 0;
    const bool old_bad = c.shadow && any_set(c.shadow, 16);
    if (old_bad) shade[l] = ~wide_bits{0};
    if (!swaps) {
      std::memcpy(c.data, &b, 16);
    } else {
      bad |= old_bad || w.shades<wide_bits>(o.s[2])[l] != 0;
      if (out[l] == b) std::memcpy(c.data, &w.lanes<wide_bits>(o.s[2])[l], 16);
    }
    if (c.shadow) std::memset(c.shadow, bad ? undefined : defined, 16);
  }
  if (!o.targets) return;
  keep(w, o.d[0], out, active);
  shade_lanes(w, o.d[0], shade, active);
}

[[nodiscard]] inline int vector_of_atomic(const decoding& d) { return d.has("v8") ? 8 : d.has("v4") ? 4 : d.has("v2") ? 2 : 1; }

inline void make_atomic_vector(decoding& d, bool returns) {
  d.o.access = access_kind::atomic;
  d.o.result_unused = !returns;
  d.o.order = take_order(d, memory_order::relaxed);
  ignore_hints(d);
  d.o.where = take_space(d);
  const int n = d.take("v8") ? 8 : take_vector(d);
  const bool noftz = d.take("noftz");
  const change what = d.take("add") ? change::add : d.take("min") ? change::min : d.take("max") ? change::max : change::cas;
  const std::size_t operands = operands_without_policy(d);
  const type t = d.take_type();
  const std::uint8_t unit = width_of(t);
  const bool halves = t == type::f16 || t == type::bf16 || t == type::f16x2 || t == type::bf16x2;
  const bool known = halves ? noftz && n * unit <= 16 : t == type::f32 && what == change::add && !noftz && n <= 4;
  if (what == change::cas || !known || (d.o.where != space::global && d.o.where != space::generic) || operands != (returns ? 3u : 2u)) return d.refuse("this form");
  d.o.unit = unit;
  d.o.vector = static_cast<std::uint8_t>(n);
  d.o.width = static_cast<std::uint8_t>(what);
  d.o.target = static_cast<std::uint32_t>(t);
  d.address(d.in.operands[returns ? 1 : 0]);
  const auto list = [&](const operand& named) -> const std::vector<operand>* {
    if (named.kind == operand::type::list && named.parts.size() == static_cast<std::size_t>(n)) return &named.parts;
    d.refuse("a list of another length than its vector");
    return nullptr;
  };
  if (returns)
    if (const auto* parts = list(d.in.operands[0]))
      for (const auto& p : *parts) d.further_target(p, unit);
  if (const auto* parts = list(d.in.operands[returns ? 2 : 1]))
    for (const auto& p : *parts) d.further_source(p, unit);
  d.does(&run_atomic_vector);
}

inline void make_atomic_b128(decoding& d) {
  d.o.access = access_kind::atomic;
  d.o.order = take_order(d, memory_order::relaxed);
  ignore_hints(d);
  d.o.where = take_space(d);
  const bool swaps = d.take("cas");
  if (!swaps && !d.take("exch")) return d.refuse("this form");
  const std::size_t operands = operands_without_policy(d);
  d.take("b128");
  if (operands != (swaps ? 4u : 3u)) return d.refuse("this form");
  d.o.unit = 16;
  d.o.compares = swaps;
  d.o.width = static_cast<std::uint8_t>(swaps ? change::cas : change::exch);
  if (d.in.operands[0].kind != operand::type::discard) d.target(0, 16);
  d.address(d.in.operands[1]);
  for (std::size_t i = 2; i < operands; ++i) d.source(i, 16);
  d.does(&run_atomic_b128);
}

// The 128 bytes hold nothing that anybody wrote.
inline void run_discard(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  const lane_addresses a = addresses(w, o, active);
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const cell c = resolve(w, l, a.at[l], 128, true, o.where);
    if (c.data && c.shadow) std::memset(c.shadow, unwritten, 128);
  }
}

// A policy is 64 bits that an access may name; which ones means nothing here.
inline void run_policy(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint64_t out[warp_lanes];
  for (auto& x : out) x = 0x10f0000000000000ull;
  keep(w, o.d[0], out, active);
}

inline void add_atomic_rows(instruction_table& table) {
  static const row plain_atom = table["atom"], plain_red = table["red"];
  table["atom"] = [](decoding& d) {
    if (vector_of_atomic(d) > 1) return make_atomic_vector(d, true);
    d.has("b128") ? make_atomic_b128(d) : plain_atom(d);
  };
  table["red"] = [](decoding& d) { vector_of_atomic(d) > 1 ? make_atomic_vector(d, false) : plain_red(d); };
  table["discard"] = [](decoding& d) {
    d.o.where = d.take("global") ? space::global : space::generic;
    if (!d.take("L2") || !d.want(2) || d.literal(d.in.operands[1]) != 128) return d.refuse("this form");
    d.address(d.in.operands[0]);
    d.does(&run_discard);
  };
  table["createpolicy"] = [](decoding& d) {
    while (!d.left_over().empty()) d.take_any();
    if (d.count() < 2) return d.refuse("this form");
    d.target(0, 8);
    d.does(&run_policy, &taint_none<8>);
  };
}

}  // namespace skillbench::ptx::ops
