#pragma once
// ptx/ops/exchange.hpp: what lanes of a warp tell each other.
//
// Layer   3.
// Source  PTX ISA 9.0, "shfl.sync", "vote.sync", "match.sync", "redux.sync",
//         "activemask", "elect.sync", "bar.warp.sync".
// These run once the lanes of the member mask (s[4]) have met; a lane that has
// exited is not waited for.

#include <bit>
#include <cstdint>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/integer.hpp>

namespace skillbench::ptx::ops {

enum class shuffle : std::uint8_t { up, down, bfly, idx };

// The lane that `lane` reads from, or -1 when that lies outside its segment.
template <shuffle Mode>
[[nodiscard]] inline int shuffle_source(int lane, std::uint32_t b, std::uint32_t c) noexcept {
  const int by = static_cast<int>(b & 31u), clamp = static_cast<int>(c & 31u);
  const int segment = static_cast<int>((c >> 8) & 31u);
  const int most = (lane & segment) | (clamp & ~segment), least = lane & segment;
  int j = 0;
  bool in = false;
  if constexpr (Mode == shuffle::up) { j = lane - by; in = j >= most; }
  if constexpr (Mode == shuffle::down) { j = lane + by; in = j <= most; }
  if constexpr (Mode == shuffle::bfly) { j = lane ^ by; in = j <= most; }
  if constexpr (Mode == shuffle::idx) { j = least | (by & ~segment); in = j <= most; }
  return in ? j : -1;
}

template <shuffle Mode>
void run_shfl(warp& w, const op& o, lane_mask active) {
  const auto* a = w.lanes<std::uint32_t>(o.s[0]);
  const auto* b = w.lanes<std::uint32_t>(o.s[1]);
  const auto* c = w.lanes<std::uint32_t>(o.s[2]);
  alignas(64) std::uint32_t out[warp_lanes];
  std::uint32_t shade[warp_lanes];
  lane_mask in_range = 0;
  const bool tainted = w.tainted[o.s[0].slot] || w.tainted[o.s[1].slot] || w.tainted[o.s[2].slot];
  bool any = false;
  const auto* ua = w.shades<std::uint32_t>(o.s[0]);
  const lane_mask bad = tainted ? lane_taint<std::uint32_t>(w, o.s[1]) | lane_taint<std::uint32_t>(w, o.s[2]) : 0;
  for (int l = 0; l < warp_lanes; ++l) {
    const int j = shuffle_source<Mode>(l, b[l], c[l]);
    const int from = j < 0 ? l : j;
    in_range |= static_cast<lane_mask>(j >= 0) << l;
    out[l] = a[from];
    // The value of a lane that takes no part is undefined.
    const bool absent = !((active >> from) & 1u);
    shade[l] = absent || ((bad >> l) & 1u) ? 0xffffffffu : tainted ? ua[from] : 0;
    if ((active >> l) & 1u) any |= shade[l] != 0;
  }
  keep(w, o.d[0], out, active);
  if (any || w.tainted[o.d[0].slot]) shade_lanes(w, o.d[0], shade, active);
  if (o.targets > 1) {
    lane_mask& p = w.predicate(o.d[1]);
    p = (p & ~active) | (in_range & active);
    if (bad || w.tainted[o.d[1].slot]) shade_predicate(w, o.d[1], bad, active);
  }
}

inline void make_shfl(decoding& d) {
  if (!d.take("sync")) return d.refuse("the form without .sync");
  handler run = nullptr;
  if (d.take("up")) run = &run_shfl<shuffle::up>;
  else if (d.take("down")) run = &run_shfl<shuffle::down>;
  else if (d.take("bfly")) run = &run_shfl<shuffle::bfly>;
  else if (d.take("idx")) run = &run_shfl<shuffle::idx>;
  d.take("b32");
  if (!run || !d.want(5)) return d.refuse("this form");
  const auto& out = d.in.operands[0];
  d.target_of(out, 4);
  if (!out.pair.empty()) d.target_of(out.pair[0], 0);
  for (std::size_t i = 1; i <= 3; ++i) d.source(i, 4);
  d.o.sources = 4;
  d.source(4, 4);
  d.o.kind = flow::converge;
  d.does(run);
}

template <int Kind>  // all any uni ballot
void run_vote(warp& w, const op& o, lane_mask active) {
  const lane_mask p = (o.imm ? ~w.predicate(o.s[0]) : w.predicate(o.s[0])) & active;
  const lane_mask bad = predicate_taint(w, o.s[0]) & active;
  if constexpr (Kind == 3) {
    std::uint32_t out[warp_lanes];
    for (auto& x : out) x = p;
    keep(w, o.d[0], out, active);
    std::uint32_t shade[warp_lanes];
    for (auto& x : shade) x = bad;
    if (bad || w.tainted[o.d[0].slot]) shade_lanes(w, o.d[0], shade, active);
  } else {
    const bool yes = Kind == 0 ? p == active : Kind == 1 ? p != 0 : p == 0 || p == active;
    lane_mask& out = w.predicate(o.d[0]);
    out = (out & ~active) | (yes ? active : 0);
    if (bad || w.tainted[o.d[0].slot]) shade_predicate(w, o.d[0], bad ? every_lane : 0, active);
  }
}

inline void make_vote(decoding& d) {
  if (!d.take("sync")) return d.refuse("the form without .sync");
  const bool ballot = d.take("ballot");
  handler run = ballot ? &run_vote<3> : d.take("all") ? &run_vote<0> : d.take("any") ? &run_vote<1> : d.take("uni") ? &run_vote<2> : nullptr;
  ballot ? d.take("b32") : d.take("pred");
  if (!run || !d.want(3)) return d.refuse("this form");
  d.target(0, ballot ? 4 : 0);
  d.source(1, 0);
  d.o.imm = d.in.operands[1].negated;
  d.o.sources = 4;
  d.source(2, 4);
  d.o.kind = flow::converge;
  d.does(run);
}

template <typename T, bool All>
void run_match(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  std::uint32_t out[warp_lanes] = {};
  for (int l = 0; l < warp_lanes; ++l)
    for (int k = 0; k < warp_lanes; ++k)
      if (((active >> k) & 1u) && a[k] == a[l]) out[l] |= 1u << k;
  const bool same = out[std::countr_zero(active)] == active;
  if constexpr (All)
    for (auto& x : out) x = same ? active : 0;
  const bool bad = (lane_taint<bits_of_size<sizeof(T)>>(w, o.s[0]) & active) != 0;
  keep(w, o.d[0], out, active);
  if (bad || w.tainted[o.d[0].slot]) shade_whole<std::uint32_t>(w, o.d[0], bad ? every_lane : 0, active);
  if (All && o.targets > 1) {
    lane_mask& p = w.predicate(o.d[1]);
    p = (p & ~active) | (same ? active : 0);
    if (bad || w.tainted[o.d[1].slot]) shade_predicate(w, o.d[1], bad ? every_lane : 0, active);
  }
}

inline void make_match(decoding& d) {
  d.take("sync");
  const bool all = d.take("all");
  if (!all && !d.take("any")) return d.refuse("this form");
  const type t = d.take_type();
  if ((t != type::b32 && t != type::b64) || !d.want(3)) return d.refuse("this form");
  const auto& out = d.in.operands[0];
  d.target_of(out, 4);
  if (!out.pair.empty()) d.target_of(out.pair[0], 0);
  d.source(1, width_of(t));
  d.o.sources = 4;
  d.source(2, 4);
  d.o.kind = flow::converge;
  if (t == type::b32) d.does(all ? &run_match<std::uint32_t, true> : &run_match<std::uint32_t, false>);
  else d.does(all ? &run_match<std::uint64_t, true> : &run_match<std::uint64_t, false>);
}

template <typename F, typename T>
void run_redux(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  T sum{};
  bool first = true;
  for (int l = 0; l < warp_lanes; ++l)
    if ((active >> l) & 1u) {
      sum = first ? a[l] : F::f(sum, a[l]);
      first = false;
    }
  T out[warp_lanes];
  for (auto& x : out) x = sum;
  const bool bad = (lane_taint<std::uint32_t>(w, o.s[0]) & active) != 0;
  keep(w, o.d[0], out, active);
  if (bad || w.tainted[o.d[0].slot]) shade_whole<std::uint32_t>(w, o.d[0], bad ? every_lane : 0, active);
}

inline void make_redux(decoding& d) {
  if (!d.take("sync") || !d.want(3)) return d.refuse("this form");
  const bool add = d.take("add"), min = d.take("min"), max = d.take("max");
  const bool land = d.take("and"), lor = d.take("or"), lxor = d.take("xor");
  const type t = d.take_type();
  if (width_of(t) != 4 || !is_integer(t)) return d.refuse("this type");
  d.target(0, 4);
  d.source(1, 4);
  d.o.sources = 4;
  d.source(2, 4);
  d.o.kind = flow::converge;
  using u = std::uint32_t;
  using s = std::int32_t;
  if (add) d.does(&run_redux<integer<u>::add, u>);
  else if (min) d.does(t == type::s32 ? &run_redux<integer<s>::min, s> : &run_redux<integer<u>::min, u>);
  else if (max) d.does(t == type::s32 ? &run_redux<integer<s>::max, s> : &run_redux<integer<u>::max, u>);
  else if (land) d.does(&run_redux<bit_and, u>);
  else if (lor) d.does(&run_redux<bit_or, u>);
  else if (lxor) d.does(&run_redux<bit_xor, u>);
  else d.refuse("this form");
}

inline void run_activemask(warp& w, const op& o, lane_mask active) {
  std::uint32_t out[warp_lanes];
  for (auto& x : out) x = active;
  keep(w, o.d[0], out, active);
  clear_taint(w, o.d[0], 4, active);
}

inline void run_elect(warp& w, const op& o, lane_mask active) {
  const auto leader = static_cast<std::uint32_t>(std::countr_zero(active));
  std::size_t i = 0;
  if (o.imm == 0) {
    std::uint32_t out[warp_lanes];
    for (auto& x : out) x = leader;
    keep(w, o.d[i], out, active);
    clear_taint(w, o.d[i], 4, active);
    ++i;
  }
  lane_mask& p = w.predicate(o.d[i]);
  p = (p & ~active) | (lane_mask{1} << leader);
  if (w.tainted[o.d[i].slot]) shade_predicate(w, o.d[i], 0, active);
}

inline void add_exchange_rows(instruction_table& table) {
  table["shfl"] = &make_shfl;
  table["vote"] = &make_vote;
  table["match"] = &make_match;
  table["redux"] = &make_redux;
  table["activemask"] = [](decoding& d) {
    d.take("b32");
    if (!d.want(1)) return;
    d.target(0, 4);
    d.does(&run_activemask);
  };
  table["elect"] = [](decoding& d) {
    d.take("sync");
    if (!d.want(2) || d.in.operands[0].pair.empty()) return d.refuse("this form");
    const auto& out = d.in.operands[0];
    if (out.kind == operand::type::discard) d.o.imm = 1;
    else d.target_of(out, 4);
    d.target_of(out.pair[0], 0);
    d.o.sources = 4;
    d.source(1, 4);
    d.o.kind = flow::converge;
    d.does(&run_elect);
  };
}

}  // namespace skillbench::ptx::ops
