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

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
  std::uint32_t unused[7] = {};
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
    as_bits(1.0), 1023};
enum constant_index : int { c_nan, c_sign, c_one, c_exponent, c_least, c_most, c_zero, c_ones, c_magic, c_ln2, c_series, c_unit = 20, c_bias };

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
  // Races in shared memory (race.hpp): `races` 0 when nobody looks for them.
  std::uint64_t races = 0, race_me = 0, race_others = 0;
  std::uint64_t race_words = 0, race_writers = 0, race_places = 0, race_loads = 0;
  std::uint32_t race_load_mark = 0, race_store_mark = 0, race_behind = 0;
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

// Anything that ran outside may have moved the clocks of race.hpp.
inline void look_at_races(native_state& s) {
  const warp& w = *s.now;
  s.races = w.shared_races != nullptr;
  if (!s.races) return;
  const cta_races::plain_rows rows = w.shared_races->rows_of(w.number);
  static constexpr std::uint64_t nobody[2] = {};  // then every access goes out
  s.race_me = std::uint64_t{1} << w.number;
  s.race_others = ~s.race_me;
  s.race_words = reinterpret_cast<std::uint64_t>(rows.words ? rows.words : nobody);
  s.race_writers = reinterpret_cast<std::uint64_t>(rows.writers);
  s.race_places = reinterpret_cast<std::uint64_t>(rows.places);
  s.race_loads = reinterpret_cast<std::uint64_t>(rows.loads);
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
  if (w.flight.pending) return static_cast<std::uint32_t>(w.launch->stop || w.launch->seen->enough() ? after::stop : after::interpret);
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
  // Races in what is written are for the handlers to tell.
  if (owner->writable && s.now->races) e.high = e.high_store = 0;
}

// The pattern of the lanes' addresses as they are.
[[nodiscard]] inline pattern pattern_of(const ops::lane_addresses& a, unsigned bytes) {
  if (a.active != every_lane) {
    // What a part of a warp does says less; only the common case is told.
    const auto first = static_cast<unsigned>(std::countr_zero(a.active));
    bool same = true, next = true;
    for (unsigned l = 0; l < warp_lanes; ++l) {
      if (!((a.active >> l) & 1u)) continue;
      same &= a.at[l] == a.at[first];
      next &= a.at[l] == a.at[first] + std::uint64_t{l - first} * bytes;
    }
    return next ? pattern::contiguous : same ? pattern::uniform : pattern::scattered;
  }
  bool same[2] = {true, true}, next[2] = {true, true};
  for (unsigned l = 0; l < warp_lanes; ++l) {
    const unsigned h = l / 16;
    same[h] &= a.at[l] == a.at[16 * h];
    next[h] &= a.at[l] == a.at[16 * h] + std::uint64_t{l % 16} * bytes;
  }
  if (same[0] && same[1]) return a.at[0] == a.at[16] ? pattern::uniform : pattern::halves_uniform;
  if (next[0] && next[1]) return a.at[16] == a.at[0] + 16 * std::uint64_t{bytes} ? pattern::contiguous : pattern::halves_contiguous;
  return pattern::scattered;
}

#if defined(__x86_64__)

// Distinct 32-byte sectors of lanes in rising order, else the general count.
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) inline std::uint64_t count_sectors(const ops::lane_addresses& a, unsigned bytes) {
  if (a.active == every_lane && bytes <= 32) {
    bool rising = true;
    std::uint64_t n = 1;
    for (int i = 0; i < 4; ++i) {
      // Lane 0 is compared with itself.
      const __m512i here = _mm512_maskz_srli_epi64(0xff, _mm512_loadu_si512(a.at + 8 * i), 5);
      const __m512i before = i ? _mm512_maskz_srli_epi64(0xff, _mm512_loadu_si512(a.at + 8 * i - 1), 5)
                               : _mm512_maskz_permutexvar_epi64(0xff, _mm512_setr_epi64(0, 0, 1, 2, 3, 4, 5, 6), here);
      rising &= _mm512_cmplt_epu64_mask(here, before) == 0;
      n += static_cast<unsigned>(std::popcount(static_cast<unsigned>(_mm512_cmpneq_epu64_mask(here, before))));
    }
    // An access is aligned to its size, so it never spans two sectors.
    if (rising) return n;
  }
  return ops::sectors(a, bytes);
}

// Loads and stores of 32-bit elements in any pattern, as ops::run_load and
// ops::run_store do them when nothing is wrong. False: nothing was done.
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2"))) inline bool access_words(native_state& s, const op& o, const ops::lane_addresses& a, bool store) {
  warp& w = *s.now;
  const unsigned bytes = unsigned{o.unit} * o.vector;
  alignas(64) std::uint64_t data[warp_lanes];
  alignas(64) std::uint64_t shadow[warp_lanes];
  __m512i misaligned = _mm512_setzero_si512();
  for (int i = 0; i < 4; ++i) misaligned = _mm512_or_si512(misaligned, _mm512_maskz_loadu_epi64(static_cast<__mmask8>(a.active >> (8 * i)), a.at + 8 * i));
  if (_mm512_test_epi64_mask(misaligned, _mm512_set1_epi64(bytes - 1))) return false;
  bool shadowed = true;
  if (o.where == space::shared) {
    if (s.shared_bytes < bytes || (store && w.shared->guarded) || s.races) return false;
    const __m512i last = _mm512_set1_epi64(static_cast<long long>(s.shared_bytes - bytes));
    for (int i = 0; i < 4; ++i) {
      const __m512i at = _mm512_loadu_si512(a.at + 8 * i);
      if (_mm512_mask_cmpgt_epu64_mask(static_cast<__mmask8>(a.active >> (8 * i)), at, last)) return false;
      _mm512_store_si512(data + 8 * i, _mm512_add_epi64(at, _mm512_set1_epi64(static_cast<long long>(s.shared_data))));
      _mm512_store_si512(shadow + 8 * i, _mm512_add_epi64(at, _mm512_set1_epi64(static_cast<long long>(s.shared_shadow))));
    }
  } else {
    // Page after page, until every lane has one.
    lane_mask rest = a.active;
    bool with = false, without = false;
    while (rest) {
      const std::uint64_t first = a.at[std::countr_zero(rest)], tag = first >> page_bits;
      const page_entry& e = s.pages[page_index(first)];
      if (e.tag != tag) return false;
      const std::uint32_t high = store ? e.high_store : e.high;
      if (high < bytes) return false;
      const __m512i low = _mm512_set1_epi64(e.low), top = _mm512_set1_epi64(high - bytes);
      const __m512i by = _mm512_set1_epi64(static_cast<long long>(e.data)), shadow_by = _mm512_set1_epi64(static_cast<long long>(e.shadow));
      lane_mask here = 0;
      for (int i = 0; i < 4; ++i) {
        const __m512i at = _mm512_loadu_si512(a.at + 8 * i);
        const __mmask8 in = _mm512_mask_cmpeq_epu64_mask(static_cast<__mmask8>(rest >> (8 * i)), _mm512_maskz_srli_epi64(0xff, at, page_bits), _mm512_set1_epi64(static_cast<long long>(tag)));
        const __m512i offset = _mm512_and_si512(at, _mm512_set1_epi64(page_bytes - 1));
        if (_mm512_mask_cmplt_epu64_mask(in, offset, low) | _mm512_mask_cmpgt_epu64_mask(in, offset, top)) return false;
        _mm512_mask_storeu_epi64(data + 8 * i, in, _mm512_add_epi64(offset, by));
        _mm512_mask_storeu_epi64(shadow + 8 * i, in, _mm512_add_epi64(offset, shadow_by));
        here |= static_cast<lane_mask>(in) << (8 * i);
      }
      (e.shadow ? with : without) = true;
      rest &= ~here;
    }
    if (with && without) return false;
    shadowed = with;
  }
  if (s.checks && !store && shadowed) {
    __m256i any = _mm256_setzero_si256();
    for (int k = 0; k < o.vector; ++k)
      for (int i = 0; i < 4; ++i)
        any = _mm256_or_si256(any, _mm512_mask_i64gather_epi32(_mm256_setzero_si256(), static_cast<__mmask8>(a.active >> (8 * i)), _mm512_load_si512(shadow + 8 * i), reinterpret_cast<const void*>(std::uintptr_t{4} * static_cast<unsigned>(k)), 1));
    if (!_mm256_testz_si256(any, any)) return false;
  }
  if (s.checks && o.where != space::shared && o.where != space::constant) {
    const std::uint64_t n = count_sectors(a, bytes);
    (store ? s.store_sectors : s.load_sectors) += n;
  }
  if (!store) {
    for (int k = 0; k < o.vector; ++k) {
      if ((o.target >> k) & 1u) continue;
      auto* to = w.lanes<std::uint32_t>(o.d[k]);
      for (int i = 0; i < 4; ++i) {
        const auto mask = static_cast<__mmask8>(a.active >> (8 * i));
        const __m256i got = _mm512_mask_i64gather_epi32(_mm256_setzero_si256(), mask, _mm512_load_si512(data + 8 * i), reinterpret_cast<const void*>(std::uintptr_t{4} * static_cast<unsigned>(k)), 1);
        _mm256_mask_storeu_epi32(to + 8 * i, mask, got);
      }
    }
    return true;
  }
  for (lane_mask rest = a.active; rest; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    auto* to = reinterpret_cast<std::uint32_t*>(data[l]);
    for (int k = 0; k < o.vector; ++k) std::memcpy(to + k, &w.lanes<std::uint32_t>(o.s[k + 1])[l], 4);
    if (s.checks && shadowed) std::memset(reinterpret_cast<void*>(shadow[l]), defined, bytes);
  }
  return true;
}

// A load or store that native code did not do itself.
inline std::uint32_t run_access(native_state* s, const op* o, lane_mask active, std::uint32_t left) {
  warp& w = *s->now;
  if (!active) return 0;
  const auto pc = static_cast<std::uint32_t>(o - s->code);
  const bool store = o->targets == 0;
  w.pc = pc;
  const ops::lane_addresses a = ops::addresses(w, *o, active);
  const unsigned bytes = unsigned{o->unit} * o->vector;
  auto& guess = (*s->guesses)[pc];
  if (guess != static_cast<std::uint8_t>(pattern::scattered)) {
    const auto is = static_cast<std::uint8_t>(pattern_of(a, bytes));
    if (is != guess) {
      guess = is;
      ++s->surprises;
    }
  }
  const bool inline_space = o->where == space::shared || o->where == space::global || o->where == space::generic || o->where == space::constant;
  if (inline_space && o->unit == 4 && o->width == 4 && access_words(*s, *o, a, store)) return 0;
  const std::uint32_t told = run_handler(s, o, active, left);
  if (o->where != space::shared) {
    for (lane_mask rest = active; rest; rest &= rest - 1) {
      const std::uint64_t at = a.at[std::countr_zero(rest)];
      if (s->pages[page_index(at)].tag != at >> page_bits) keep_page(*s, at);
    }
  }
  return told;
}

[[nodiscard]] inline bool host_can() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("bmi2");
}
#else
inline std::uint32_t run_access(native_state* s, const op* o, lane_mask active, std::uint32_t left) { return run_handler(s, o, active, left); }
[[nodiscard]] inline bool host_can() { return false; }
#endif

}  // namespace skillbench::ptx::jit
