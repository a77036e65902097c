#pragma once
// ptx/ops/cluster.hpp: addresses in the shared memory of a cluster.
//
// Layer   3. barrier.cluster is in control.hpp, its effect in machine.hpp.
// Source  PTX ISA 9.0, "mapa", "getctarank", "setmaxnreg".
// Shapes  see place_in of async.hpp for what such an address looks like.

#include <cstdint>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>

namespace skillbench::ptx::ops {

// Window is 0 for addresses of shared memory, its start for generic ones.
template <typename T, std::uint64_t Window>
void run_mapa(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  const auto* rank = w.lanes<std::uint32_t>(o.s[1]);
  T out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    const std::uint64_t offset = (static_cast<std::uint64_t>(a[l]) - Window) & ((std::uint64_t{1} << cluster_offset_bits) - 1);
    // A rank beyond the cluster gives an address that nothing lies at.
    const std::uint64_t high = rank[l] == w.rank ? 0 : std::uint64_t{rank[l] > 0xfe ? 0xff : rank[l] + 1} << cluster_offset_bits;
    out[l] = static_cast<T>(Window + high + offset);
  }
  keep(w, o.d[0], out, active);
}

template <typename T, std::uint64_t Window>
void run_getctarank(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  std::uint32_t out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    const auto high = static_cast<std::uint32_t>((static_cast<std::uint64_t>(a[l]) - Window) >> cluster_offset_bits);
    out[l] = high == 0 ? w.rank : high - 1;
  }
  keep(w, o.d[0], out, active);
}

inline void add_cluster_rows(instruction_table& table) {
  table["mapa"] = [](decoding& d) {
    const bool shared = d.take("shared::cluster");
    const type t = d.take_type();
    if (!shared && t == type::u32) return d.refuse("a generic address has 64 bits");
    if (!d.want(3) || (t != type::u32 && t != type::u64)) return d.refuse("this form");
    d.target(0, width_of(t));
    d.source(1, width_of(t));
    d.source(2, 4);
    if (t == type::u32) d.does(&run_mapa<std::uint32_t, 0>, &taint_whole<4, 4, 4>);
    else d.does(shared ? &run_mapa<std::uint64_t, 0> : &run_mapa<std::uint64_t, shared_window>, &taint_whole<8, 8, 4>);
  };
  table["getctarank"] = [](decoding& d) {
    const bool shared = d.take("shared::cluster");
    const type t = d.take_type();
    if (!shared && t == type::u32) return d.refuse("a generic address has 64 bits");
    if (!d.want(2) || (t != type::u32 && t != type::u64)) return d.refuse("this form");
    d.target(0, 4);
    d.source(1, width_of(t));
    if (t == type::u32) d.does(&run_getctarank<std::uint32_t, 0>, &taint_whole<4, 4>);
    else d.does(shared ? &run_getctarank<std::uint64_t, 0> : &run_getctarank<std::uint64_t, shared_window>, &taint_whole<4, 8>);
  };
  // How many registers a warp keeps changes no value. What ptxas would refuse is
  // refused here; a warp that is not whole cannot say it.
  table["setmaxnreg"] = [](decoding& d) {
    if ((!d.take("inc") && !d.take("dec")) || !d.take("sync") || !d.take("aligned")) return d.refuse("this form");
    d.take("u32");
    if (!d.want(1)) return;
    const auto n = d.literal(d.in.operands[0]);
    if (!n || *n % 8 || *n < 24 || *n > 256) return d.refuse("a count of registers that is not a multiple of 8 from 24 to 256");
    d.does(&run_nothing);
  };
}

}  // namespace skillbench::ptx::ops
