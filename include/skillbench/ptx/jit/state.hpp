#pragma once
// ptx/jit/state.hpp: what native code works on, and what it calls.
//
// Layer   3. Includes warp, watch and the handlers of loads and stores.
// Shapes  one `native_state` of a machine; offsets into it are emitted as they
//         are, so it is of standard layout.
// Trust   a page is in `pages` only when its allocation has it, with the part of
//         it that belongs to the allocation; native code adds to a host pointer
//         nothing that was not compared with those bounds.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <skillbench/ptx/allocate.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/warp.hpp>

namespace skillbench::ptx::jit {

// How the lanes of an address register lie: what native code tests for before
// it does without a gather. A wrong guess costs time only.
enum class pattern : std::uint8_t {
  contiguous,         // lane after lane
  uniform,            // all the same
  halves_contiguous,  // lanes 0 to 15, and 16 to 31
  halves_uniform,
  scattered,          // no test: the general way
};
inline constexpr int pattern_count = 5;

// A page of global memory that was touched.
struct page_entry {
  std::uint64_t tag = ~std::uint64_t{0};  // address >> page_bits
  std::uint64_t data = 0, shadow = 0;     // host addresses of its first byte
  std::uint32_t low = 0, high = 0;        // the bytes that belong to the allocation
  std::uint32_t high_store = 0;           // the same for stores: 0 when read-only
  // For access.hpp, which also does what races are looked for in.
  std::uint32_t reach = 0, reach_store = 0;
  std::uint32_t watched = 0;
  std::uint64_t of = 0;      // the page itself
  std::uint64_t unused = 0;
};
inline constexpr std::uint32_t page_entries = 64;

// Tensors begin at like pages of their slots: the slot is mixed in.
[[nodiscard]] inline std::uint64_t page_index(std::uint64_t address) { return ((address >> page_bits) ^ (address >> (slot_bits - 3))) % page_entries; }

// What a call from native code tells it to do.
enum class after : std::uint32_t {
  go_on = 0,
  interpret = 1,  // from the next instruction on
  stop = 2,       // a finding or a bound ended the launch at this one
};

inline constexpr std::uint32_t most_sites = 256;  // verified addresses of a block

// Constants of native code, read as one element for all lanes. The first eight
// are words, in both halves alike; the rest are doubles.
[[nodiscard]] constexpr std::uint64_t both(std::uint32_t word) { return (std::uint64_t{word} << 32) | word; }
[[nodiscard]] constexpr std::uint64_t as_bits(double x) { return std::bit_cast<std::uint64_t>(x); }
inline constexpr std::uint64_t constants[] = {
    both(0x7fffffffu), both(0x80000000u), both(0x3f800000u), both(0x7f800000u), both(0xc3480000u), both(0x43480000u), both(0), both(0xffffffffu),
    // of approximate::power_of_two, in its order
    as_bits(6755399441055744.0), as_bits(0.693147180559945309417), as_bits(1.0 / 39916800.0), as_bits(1.0 / 3628800.0), as_bits(1.0 / 362880.0),
    as_bits(1.0 / 40320.0), as_bits(1.0 / 5040.0), as_bits(1.0 / 720.0), as_bits(1.0 / 120.0), as_bits(1.0 / 24.0), as_bits(1.0 / 6.0), as_bits(0.5),
    as_bits(1.0), 1023, 3};
enum constant_index : int { c_nan, c_sign, c_one, c_exponent, c_least, c_most, c_zero, c_ones, c_magic, c_ln2, c_series, c_unit = 20, c_bias, c_low_bits };

struct native_state {
  // All first, so that offsets are small.
  std::uint64_t file = 0;               // of the warp
  std::uint32_t lanes = 0, population = 0;
  std::uint32_t meet = 0, pc = 0;
  std::uint64_t limit = 0;              // instructions, in ticks of this entry
  std::uint64_t ran = 0;
  std::int64_t fewer_threads = 0;       // against lanes x instructions
  std::uint32_t active = 0;             // of a guarded access
  std::uint32_t leading = 0;            // population when the lanes are 0 to n-1, else 0
  std::uint64_t load_sectors = 0, store_sectors = 0;
  std::uint64_t shared_data = 0, shared_shadow = 0, shared_bytes = 0, shared_guarded = 0;
  std::uint64_t parameters = 0;
  // Races in shared memory (race.hpp). `race_loads` and `race_writers` are rows,
  // or `unwatched`, or `not_plain` where a load, a store is for the handlers.
  std::uint64_t race_me = 0, race_words = 0;
  std::uint64_t race_loads = 0, race_writers = 0, race_places = 0, race_rows = 0;
  std::uint32_t race_load_mark = 0, race_store_mark = 0, race_behind = 0;
  // Not 0: others stored since the floor, and a load looks at the row of writers
  // for marks beyond this; a granule's own limit is `race_limits`, by who stored.
  std::uint32_t race_horizon = 0;
  std::uint64_t race_limits = 0;
  std::uint64_t held_sectors = 0, held_data = 0, held_shadow = 0, held_offset = 0;
  std::uint64_t run = 0, access = 0, entry = 0;  // functions; where to begin
  std::uint64_t sites[most_sites][2] = {};       // addresses of the first lanes
  alignas(64) page_entry pages[page_entries];
  alignas(64) std::uint64_t steps[4][warp_lanes];  // lane x 2, 4, 8, 16
  alignas(64) std::uint32_t lane_numbers[warp_lanes];
  alignas(64) std::uint64_t doubles[24] = {};  // constants, as bits: see constant_of

  // Not for native code.
  warp* now = nullptr;
  const op* code = nullptr;
  std::uint64_t ticks = 0;     // of the launch when native code was entered
  bool checks = true;
  std::vector<std::uint8_t>* guesses = nullptr;  // pattern by instruction
  std::uint32_t surprises = 0;                   // guesses changed since compiled

  native_state() {
    for (std::size_t i = 0; i < std::size(constants); ++i) doubles[i] = constants[i];
    for (unsigned l = 0; l < warp_lanes; ++l) lane_numbers[l] = l;
    for (unsigned i = 0; i < 4; ++i)
      for (unsigned l = 0; l < warp_lanes; ++l) steps[i][l] = std::uint64_t{l} << (i + 1);
  }
  void forget_pages() {
    for (auto& p : pages) p = page_entry{};
  }
};

inline constexpr std::uint64_t unwatched = 0, not_plain = 1;

// Anything that ran outside may have moved the clocks of race.hpp. While native
// code runs, only this warp does, so what others did stays as it is here.
inline void look_at_races(native_state& s) {
  const warp& w = *s.now;
  s.race_loads = s.race_writers = unwatched;
  if (!w.shared_races) return;
  const cta_races::plain_rows rows = w.shared_races->rows_of(w.number);
  s.race_loads = s.race_writers = not_plain;
  if (!rows.words) return;
  s.race_me = std::uint64_t{1} << w.number;
  s.race_words = reinterpret_cast<std::uint64_t>(rows.words);
  s.race_rows = reinterpret_cast<std::uint64_t>(rows.writers);
  const std::uint64_t others = rows.words[0] & ~s.race_me;
  const bool engine_only = !(others & ~(std::uint64_t{1} << copy_engine));
  s.race_horizon = !others ? 0 : engine_only ? std::max(rows.behind, rows.engine_behind) : rows.behind;
  s.race_limits = reinterpret_cast<std::uint64_t>(rows.limits);
  if (rows.loads) s.race_loads = reinterpret_cast<std::uint64_t>(rows.loads);
  if (!(rows.words[1] & ~s.race_me)) s.race_writers = reinterpret_cast<std::uint64_t>(rows.writers);
  s.race_places = reinterpret_cast<std::uint64_t>(rows.places);
  s.race_load_mark = rows.load_mark;
  s.race_store_mark = rows.store_mark;
  s.race_behind = rows.behind;
}

// What step() does with a plain instruction none of whose registers is tainted.
inline std::uint32_t run_handler(native_state* s, const op* o, lane_mask active, std::uint32_t left) {
  warp& w = *s->now;
  w.pc = static_cast<std::uint32_t>(o - s->code);
  w.launch->ticks = s->ticks + s->ran - left;
  if (!active) return 0;
  o->run(w, *o, active);
  look_at_races(*s);
  if (w.refusal || w.launch->stop || w.launch->seen->enough()) return static_cast<std::uint32_t>(after::stop);
  bool undefined_now = false;
  liveness::writes(*w.launch->code, *o, [&](std::uint32_t slot) { undefined_now |= w.tainted[slot] != 0; });
  return static_cast<std::uint32_t>(undefined_now ? after::interpret : after::go_on);
}

inline void keep_page(native_state& s, std::uint64_t address) {
  memory& global = *s.now->launch->global;
  allocation* owner = global.owner(address);
  if (!owner || !owner->holds(address, 1)) return;
  page& p = owner->pages[(address - owner->origin) >> page_bits];
  if (!p.data) return;
  const std::uint64_t first = address & ~(page_bytes - 1);
  page_entry& e = s.pages[page_index(address)];
  e.tag = address >> page_bits;
  e.data = reinterpret_cast<std::uint64_t>(p.data.get());
  e.shadow = reinterpret_cast<std::uint64_t>(p.shadow.get());
  e.low = static_cast<std::uint32_t>(std::max(first, owner->base) - first);
  e.high = static_cast<std::uint32_t>(std::min(first + page_bytes, owner->end()) - first);
  e.high_store = owner->writable ? e.high : 0;
  e.reach = e.high;
  e.reach_store = e.high_store;
  e.watched = owner->writable && s.now->races;
  e.of = reinterpret_cast<std::uint64_t>(&p);
  // Races in what is written are looked for out of line.
  if (e.watched) e.high = e.high_store = 0;
}

}  // namespace skillbench::ptx::jit
