#pragma once
// ptx/warp.hpp: the state of 32 lanes, and what instructions are written with.
//
// Layer   3. Includes async, memory, program, watch.
// Shapes  lane arrays of 32; masks with bit l for lane l. An operation computes
//         all 32 lanes and keeps those of its mask, so the loops have a fixed
//         length and the compiler turns them into vector instructions.
// Taint   beside the register file lies a file of the same shape whose set bits
//         are undefined bits. `tainted[slot]` is set while a register may hold
//         any, so that clean code pays one test.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <skillbench/ptx/async.hpp>
#include <skillbench/ptx/memory.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/warpgroup.hpp>
#include <skillbench/ptx/watch.hpp>
#include <skillbench/units.hpp>

namespace skillbench::ptx {

inline constexpr int warp_lanes = 32;

class launch_tally;    // count.hpp
struct kept_products;  // products.hpp

// What the threads of one launch have in common.
struct launch_state {
  const program* code = nullptr;
  extent grid, block;
  memory* global = nullptr;
  watch* seen = nullptr;
  std::vector<std::byte> parameters;  // the kernel's parameter block
  launch_tally* tally = nullptr;      // null: only what follows is counted
  kept_products* kept = nullptr;      // the machine's
  std::uint64_t ticks = 0;            // warp instructions so far: %clock
  std::uint64_t thread_instructions = 0;
  std::uint64_t load_sectors = 0, store_sectors = 0;  // global, 32 bytes
  std::uint64_t barriers = 0;
  std::uint64_t phases = 0;           // of mbarriers, completed
  bool stop = false;                  // a finding or a bound ended the launch
  std::string printed;                // by vprintf, as much as is kept
  std::uint64_t printed_lost = 0;     // bytes that were not
  std::uint64_t heap_bytes = 0;       // of malloc, not freed
  std::size_t heap_blocks = 0;        // ever given
};

// Lanes at one instruction.
struct fragment {
  std::uint32_t pc = 0;
  lane_mask lanes = 0;
  enum class state : std::uint8_t { ready, converging, barrier, phase, cluster } is = state::ready;
  lane_mask awaited = 0;       // converging: the lanes it needs
  std::uint32_t barrier = 0;   // which of the 16; phase: where the mbarrier lies
  std::uint32_t phase = 0;     // phase: the one whose end is awaited
};

struct alignas(64) file_line {
  std::byte bytes[64];
};

struct warp {
  std::byte* file = nullptr;    // registers and constants
  std::byte* shade = nullptr;   // undefined bits, same shape
  std::uint8_t* tainted = nullptr;
  launch_state* launch = nullptr;
  shared_memory* shared = nullptr;
  cluster_state* cluster = nullptr;
  std::uint32_t rank = 0;                // of its CTA in the cluster
  std::byte* frames = nullptr;           // 32 frames, lane after lane
  std::uint8_t* frame_shadow = nullptr;
  std::uint32_t frame_bytes = 0;
  std::uint32_t number = 0;              // in its CTA
  lane_mask live = 0;                    // not exited
  std::uint32_t pc = 0;                  // of the instruction being run
  std::uint64_t cta = 0;                 // linear CTA number
  lane_mask cluster_arrived = 0;         // at the barrier of the cluster
  lane_mask cluster_owes = 0;            // arrived, and have not waited
  const char* refusal = nullptr;         // an operation found no way to go on
  cta_races* races = nullptr;            // null: accesses are not told apart
  cta_races* shared_races = nullptr;     // the same when shared memory is watched
  std::vector<fragment> fragments;
  wgmma_flight flight;
  std::vector<lane_mask> inside;         // by function: lanes in it, when there are calls by pointer

  std::vector<file_line> storage;
  std::vector<file_line> shade_storage;
  std::vector<std::uint8_t> taint_storage;
  std::vector<std::byte> frame_storage;
  std::vector<std::uint8_t> frame_shadow_storage;

  template <typename T>
  [[nodiscard]] T* lanes(ref r) noexcept {
    return reinterpret_cast<T*>(file + r.offset);
  }
  template <typename T>
  [[nodiscard]] T* shades(ref r) noexcept {
    return reinterpret_cast<T*>(shade + r.offset);
  }
  [[nodiscard]] lane_mask& predicate(ref r) noexcept {
    return *reinterpret_cast<lane_mask*>(file + r.offset);
  }
  [[nodiscard]] lane_mask& predicate_shade(ref r) noexcept {
    return *reinterpret_cast<lane_mask*>(shade + r.offset);
  }
};

template <std::size_t N>
using bits_of_size = std::conditional_t<
    N == 16, unsigned __int128, std::conditional_t<N == 8, std::uint64_t,
    std::conditional_t<N == 4, std::uint32_t,
                       std::conditional_t<N == 2, std::uint16_t, std::uint8_t>>>>;

// Keeps `from` in the lanes of `active`. Not inlined: every operation has one.
template <typename Bits>
__attribute__((noinline)) void blend_bits(Bits* __restrict to, const Bits* __restrict from,
                                          lane_mask active) noexcept {
  for (int l = 0; l < warp_lanes; ++l) {
    const Bits keep = static_cast<Bits>(Bits{0} - static_cast<Bits>((active >> l) & 1u));
    to[l] = static_cast<Bits>((to[l] & static_cast<Bits>(~keep)) | (from[l] & keep));
  }
}
template <typename T>
inline void blend(T* d, const T* fresh, lane_mask active) noexcept {
  using bits = bits_of_size<sizeof(T)>;
  blend_bits(reinterpret_cast<bits*>(d), reinterpret_cast<const bits*>(fresh), active);
}

template <typename T>
inline void keep(warp& w, ref d, const T* fresh, lane_mask active) noexcept {
  T* to = w.lanes<T>(d);
  if (active == every_lane)
    std::memcpy(to, fresh, sizeof(T) * warp_lanes);
  else
    blend(to, fresh, active);
}

// ---- the three shapes of arithmetic ---------------------------------------
// F::f takes the lanes of its sources and gives the lane of the target.

template <typename F, typename D, typename A>
void run1(warp& w, const op& o, lane_mask active) {
  alignas(64) D out[warp_lanes];
  const A* a = w.lanes<A>(o.s[0]);
  for (int l = 0; l < warp_lanes; ++l) out[l] = F::f(a[l]);
  keep(w, o.d[0], out, active);
}

template <typename F, typename D, typename A, typename B>
void run2(warp& w, const op& o, lane_mask active) {
  alignas(64) D out[warp_lanes];
  const A* a = w.lanes<A>(o.s[0]);
  const B* b = w.lanes<B>(o.s[1]);
  for (int l = 0; l < warp_lanes; ++l) out[l] = F::f(a[l], b[l]);
  keep(w, o.d[0], out, active);
}

template <typename F, typename D, typename A, typename B, typename C>
void run3(warp& w, const op& o, lane_mask active) {
  alignas(64) D out[warp_lanes];
  const A* a = w.lanes<A>(o.s[0]);
  const B* b = w.lanes<B>(o.s[1]);
  const C* c = w.lanes<C>(o.s[2]);
  for (int l = 0; l < warp_lanes; ++l) out[l] = F::f(a[l], b[l], c[l]);
  keep(w, o.d[0], out, active);
}

// ---- taint -----------------------------------------------------------------
// `lane_taint` says which lanes of a source hold any undefined bit.

template <typename T>
[[nodiscard]] inline lane_mask lane_taint(warp& w, ref r) noexcept {
  if (!w.tainted[r.slot]) return 0;
  const T* bits = w.shades<T>(r);
  lane_mask found = 0;
  for (int l = 0; l < warp_lanes; ++l)
    found |= static_cast<lane_mask>(bits[l] != 0) << l;
  return found;
}

[[nodiscard]] inline lane_mask predicate_taint(warp& w, ref r) noexcept {
  return w.tainted[r.slot] ? w.predicate_shade(r) : 0;
}

// Sets the undefined bits of d's active lanes and its flag.
template <typename T>
inline void shade_lanes(warp& w, ref d, const T* bits, lane_mask active) noexcept {
  T* to = w.shades<T>(d);
  T any = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    if ((active >> l) & 1u) to[l] = bits[l];
    any |= to[l];
  }
  w.tainted[d.slot] = any != 0;
}

template <typename T>
inline void shade_whole(warp& w, ref d, lane_mask undefined_lanes,
                        lane_mask active) noexcept {
  T bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = (undefined_lanes >> l) & 1u ? static_cast<T>(~T{0}) : T{0};
  shade_lanes(w, d, bits, active);
}

inline void shade_predicate(warp& w, ref d, lane_mask undefined_lanes,
                            lane_mask active) noexcept {
  lane_mask& to = w.predicate_shade(d);
  to = (to & ~active) | (undefined_lanes & active);
  w.tainted[d.slot] = to != 0;
}

// Any undefined bit of any source makes the whole target undefined. The widths
// of target and sources are template arguments, in bytes; 0 is a predicate.
template <std::size_t W>
[[nodiscard]] inline lane_mask source_taint(warp& w, ref r) noexcept {
  if constexpr (W == 0)
    return predicate_taint(w, r);
  else
    return lane_taint<bits_of_size<W>>(w, r);
}

template <std::size_t D, std::size_t... S>
void taint_whole(warp& w, const op& o, lane_mask active) {
  lane_mask bad = 0;
  std::size_t i = 0;
  ((bad |= source_taint<S>(w, o.s[i++])), ...);
  if constexpr (D == 0)
    shade_predicate(w, o.d[0], bad, active);
  else
    shade_whole<bits_of_size<D>>(w, o.d[0], bad, active);
}

// For results that depend on no register.
template <std::size_t D>
void taint_none(warp& w, const op& o, lane_mask active) {
  shade_whole<bits_of_size<D>>(w, o.d[0], 0, active);
}

// The same operation moves the undefined bits as it moves the values: sources
// marked `true` in Data are moved, an undefined bit in another one (a shift
// count, a selector) makes the target undefined.
template <typename F, typename D, typename A, typename B, bool DataA, bool DataB>
void taint_moved2(warp& w, const op& o, lane_mask active) {
  using dbits = bits_of_size<sizeof(D)>;
  lane_mask bad = 0;
  if constexpr (!DataA) bad |= source_taint<sizeof(A)>(w, o.s[0]);
  if constexpr (!DataB) bad |= source_taint<sizeof(B)>(w, o.s[1]);
  const A* a = DataA ? w.shades<A>(o.s[0]) : w.lanes<A>(o.s[0]);
  const B* b = DataB ? w.shades<B>(o.s[1]) : w.lanes<B>(o.s[1]);
  dbits bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = (bad >> l) & 1u
                  ? static_cast<dbits>(~dbits{0})
                  : std::bit_cast<dbits>(static_cast<D>(F::f(a[l], b[l])));
  shade_lanes(w, o.d[0], bits, active);
}

template <typename F, typename D, typename A>
void taint_moved1(warp& w, const op& o, lane_mask active) {
  using dbits = bits_of_size<sizeof(D)>;
  const A* a = w.shades<A>(o.s[0]);
  dbits bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = std::bit_cast<dbits>(static_cast<D>(F::f(a[l])));
  shade_lanes(w, o.d[0], bits, active);
}

template <typename F, typename D, typename A, typename B, typename C, bool DataA,
          bool DataB, bool DataC>
void taint_moved3(warp& w, const op& o, lane_mask active) {
  using dbits = bits_of_size<sizeof(D)>;
  lane_mask bad = 0;
  if constexpr (!DataA) bad |= source_taint<sizeof(A)>(w, o.s[0]);
  if constexpr (!DataB) bad |= source_taint<sizeof(B)>(w, o.s[1]);
  if constexpr (!DataC) bad |= source_taint<sizeof(C)>(w, o.s[2]);
  const A* a = DataA ? w.shades<A>(o.s[0]) : w.lanes<A>(o.s[0]);
  const B* b = DataB ? w.shades<B>(o.s[1]) : w.lanes<B>(o.s[1]);
  const C* c = DataC ? w.shades<C>(o.s[2]) : w.lanes<C>(o.s[2]);
  dbits bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = (bad >> l) & 1u
                  ? static_cast<dbits>(~dbits{0})
                  : std::bit_cast<dbits>(static_cast<D>(F::f(a[l], b[l], c[l])));
  shade_lanes(w, o.d[0], bits, active);
}

}  // namespace skillbench::ptx
