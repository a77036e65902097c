#pragma once
// ptx/jit/access.hpp: loads and stores that native code did not do itself.
//
// Layer   3. Includes jit/state and the handlers of loads and stores.
// Shapes  the 32 addresses of a warp are four vectors of eight; an offset into a
//         page, its shadow and its rows of race.hpp is one number, because a
//         granule of 4 bytes has a mark of 4 bytes.
// Order   everything is tested before anything is changed. What is not plainly in
//         bounds, aligned, defined and free of races is for the handlers.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <skillbench/ptx/jit/state.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/warp.hpp>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace skillbench::ptx::jit {

#if defined(__x86_64__)
#define SKILLBENCH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2")))

struct lane_vectors {
  __m512i at[4];
};

SKILLBENCH_AVX512 inline lane_vectors addresses_of(const warp& w, const op& o) {
  lane_vectors out;
  const std::byte* base = w.file + o.s[0].offset;
  if (o.address_width == 8) {
    const __m512i by = _mm512_set1_epi64(o.imm);
    for (int i = 0; i < 4; ++i) out.at[i] = _mm512_add_epi64(_mm512_loadu_si512(base + 64 * i), by);
  } else {
    const __m256i by = _mm256_set1_epi32(static_cast<int>(o.imm));
    for (int i = 0; i < 4; ++i) out.at[i] = _mm512_maskz_cvtepu32_epi64(0xff, _mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(base + 32 * i)), by));
  }
  return out;
}

[[nodiscard]] inline std::uint8_t eight(lane_mask lanes, int i) noexcept { return static_cast<std::uint8_t>(lanes >> (8 * i)); }

// Lanes of `active` at `first` + (lane - `from`) * step.
SKILLBENCH_AVX512 inline bool lie_at(const lane_vectors& a, lane_mask active, std::uint64_t first, unsigned from, std::uint64_t step) {
  const __m512i numbers = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i by = _mm512_set1_epi64(static_cast<long long>(step));
  unsigned off = 0;
  for (int i = 0; i < 4; ++i) {
    const __m512i expected = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(first - from * step + 8 * static_cast<unsigned>(i) * step)), _mm512_mullo_epi64(numbers, by));
    off |= _mm512_mask_cmpneq_epu64_mask(eight(active, i), a.at[i], expected);
  }
  return off == 0;
}

[[nodiscard]] inline std::uint64_t lane_of(const lane_vectors& a, int lane) noexcept {
  std::uint64_t out;
  std::memcpy(&out, reinterpret_cast<const std::byte*>(a.at) + 8 * lane, 8);
  return out;
}

// The pattern of the lanes' addresses as they are. What a part of a warp does
// says less: only lane after lane and all the same are told.
SKILLBENCH_AVX512 inline pattern pattern_of(const lane_vectors& a, lane_mask active, unsigned bytes) {
  const int from = std::countr_zero(active);
  const std::uint64_t first = lane_of(a, from);
  if (lie_at(a, active, first, static_cast<unsigned>(from), bytes)) return pattern::contiguous;
  if (lie_at(a, active, first, 0, 0)) return pattern::uniform;
  if (active != every_lane) return pattern::scattered;
  const std::uint64_t second = lane_of(a, 16);
  if (lie_at(a, 0xffff, first, 0, 0) && lie_at(a, 0xffff0000, second, 0, 0)) return pattern::halves_uniform;
  if (lie_at(a, 0xffff, first, 0, bytes) && lie_at(a, 0xffff0000, second, 16, bytes)) return pattern::halves_contiguous;
  return pattern::scattered;
}

// Distinct 32-byte sectors: lanes in rising order are compared with the one
// before. An access is aligned to its size, so it never spans two sectors.
SKILLBENCH_AVX512 inline std::uint64_t count_sectors(const lane_vectors& a, lane_mask active, unsigned bytes) {
  if (active == every_lane) {
    __m512i last = _mm512_setzero_si512();
    bool rising = true;
    unsigned n = 1;
    for (int i = 0; i < 4; ++i) {
      const __m512i here = _mm512_maskz_srli_epi64(0xff, a.at[i], 5);
      // Lane 0 is compared with itself.
      const __m512i before = i ? _mm512_maskz_alignr_epi64(0xff, here, last, 7) : _mm512_maskz_permutexvar_epi64(0xff, _mm512_setr_epi64(0, 0, 1, 2, 3, 4, 5, 6), here);
      rising &= _mm512_cmplt_epu64_mask(here, before) == 0;
      n += static_cast<unsigned>(std::popcount(static_cast<unsigned>(_mm512_cmpneq_epu64_mask(here, before))));
      last = here;
    }
    if (rising) return n;
  }
  ops::lane_addresses all;
  for (int i = 0; i < 4; ++i) _mm512_storeu_si512(all.at + 8 * i, a.at[i]);
  all.active = active;
  return ops::sectors(all, bytes);
}

// Places on the host, one for each lane; `row` when each lane's 4 bytes lie
// behind those of the lane before.
struct places {
  lane_vectors at;
  bool row = false;
};

SKILLBENCH_AVX512 inline places moved(const places& p, std::uint64_t by) {
  places out;
  for (int i = 0; i < 4; ++i) out.at.at[i] = _mm512_add_epi64(p.at.at[i], _mm512_set1_epi64(static_cast<long long>(by)));
  out.row = p.row;
  return out;
}
// Of a row: where lane 0 is or would be.
[[nodiscard]] inline std::byte* start_of(const places& p, lane_mask active) noexcept {
  const int first = std::countr_zero(active);
  return reinterpret_cast<std::byte*>(lane_of(p.at, first) - 4 * static_cast<unsigned>(first));
}
[[nodiscard]] inline void* words_on(int k) noexcept { return reinterpret_cast<void*>(std::uintptr_t{4} * static_cast<unsigned>(k)); }

// The words there; what is not active is 0.
SKILLBENCH_AVX512 inline void get(const places& p, lane_mask active, int k, __m256i (&out)[4]) {
  if (p.row) {
    const std::byte* const from = start_of(p, active);
    for (int i = 0; i < 4; ++i) out[i] = _mm256_maskz_loadu_epi32(eight(active, i), from + 32 * i);
  } else {
    for (int i = 0; i < 4; ++i) out[i] = _mm512_mask_i64gather_epi32(_mm256_setzero_si256(), eight(active, i), p.at.at[i], words_on(k), 1);
  }
}
SKILLBENCH_AVX512 inline void put(const places& p, lane_mask active, int k, const __m256i (&value)[4]) {
  if (p.row) {
    std::byte* const to = start_of(p, active);
    for (int i = 0; i < 4; ++i) _mm256_mask_storeu_epi32(to + 32 * i, eight(active, i), value[i]);
  } else {
    for (int i = 0; i < 4; ++i) _mm512_mask_i64scatter_epi32(words_on(k), eight(active, i), p.at.at[i], value[i], 1);
  }
}
SKILLBENCH_AVX512 inline bool all_zero(const places& p, lane_mask active, int words) {
  __m256i any = _mm256_setzero_si256();
  for (int k = 0; k < words; ++k) {
    __m256i got[4];
    get(p, active, k, got);
    any = _mm256_or_si256(any, _mm256_or_si256(_mm256_or_si256(got[0], got[1]), _mm256_or_si256(got[2], got[3])));
  }
  return _mm256_testz_si256(any, any) != 0;
}
SKILLBENCH_AVX512 inline void put_all(const places& p, lane_mask active, int words, const __m256i (&value)[4]) {
  for (int k = 0; k < words; ++k) put(p, active, k, value);
}
SKILLBENCH_AVX512 inline void all_of(std::uint32_t mark, __m256i (&out)[4]) {
  for (auto& m : out) m = _mm256_set1_epi32(static_cast<int>(mark));
}
SKILLBENCH_AVX512 inline void lane_marks(std::uint32_t mark, __m256i (&out)[4]) {
  const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (int i = 0; i < 4; ++i) out[i] = _mm256_or_si256(_mm256_set1_epi32(static_cast<int>(mark)), _mm256_add_epi32(numbers, _mm256_set1_epi32(8 * i)));
}

// Whether lanes share bytes: for the handlers, which look at the values.
SKILLBENCH_AVX512 inline bool crowded(const lane_vectors& a, lane_mask active, unsigned bytes) {
  alignas(64) std::uint64_t at[warp_lanes];
  for (int i = 0; i < 4; ++i) _mm512_store_si512(at + 8 * i, a.at[i]);
  return ops::share_a_place(at, active, bytes);
}

// Races in shared memory, as cta_races::shared_load and shared_store find none.
SKILLBENCH_AVX512 inline bool shared_is_plain(warp& w, const places& at, lane_mask active, int words, bool store) {
  const cta_races::plain_rows rows = w.shared_races->rows_of(w.number);
  if (!rows.words || (!store && !rows.loads)) return false;
  const std::uint64_t me = std::uint64_t{1} << w.number;
  if (store && !at.row && crowded(at.at, active, 4 * static_cast<unsigned>(words))) return false;
  if (store && (rows.words[1] & ~me)) {
    alignas(64) std::uint64_t each[warp_lanes];
    for (int i = 0; i < 4; ++i) _mm512_store_si512(each + 8 * i, at.at.at[i]);
    return w.shared_races->stored_rows(w, each, active, 4 * static_cast<unsigned>(words));
  }
  if (rows.words[0] & ~me) {
    // Whatever others stored there is behind the floor.
    const places writers = moved(at, reinterpret_cast<std::uint64_t>(rows.writers));
    const __m256i behind = _mm256_set1_epi32(static_cast<int>(rows.behind)), mine = _mm256_set1_epi32(static_cast<int>(w.number));
    const __m256i engine = _mm256_set1_epi32(static_cast<int>(copy_engine)), engine_behind = _mm256_set1_epi32(static_cast<int>(rows.engine_behind));
    unsigned bad = 0;
    for (int k = 0; k < words; ++k) {
      __m256i mark[4];
      get(writers, active, k, mark);
      for (const __m256i m : mark) {
        const __m256i who = _mm256_and_si256(m, _mm256_set1_epi32(63));
        __mmask8 later = _mm256_mask_cmpneq_epi32_mask(_mm256_cmpgt_epi32_mask(m, behind), who, mine);
        // The copy engine's may be known by an mbarrier.
        later &= static_cast<__mmask8>(~(_mm256_cmpeq_epi32_mask(who, engine) & _mm256_cmple_epi32_mask(m, engine_behind)));
        // Nor what a barrier of some warps, or an mbarrier, put behind this one.
        if (later) {
          const __m256i limit = _mm256_mmask_i32gather_epi32(_mm256_setzero_si256(), later, who, rows.limits, 4);
          later = _mm256_mask_cmpgt_epu32_mask(later, m, limit);
        }
        bad |= later;
      }
    }
    if (bad) return false;
  }
  __m256i marks[4];
  if (store) {
    rows.words[0] |= me;
    lane_marks(w.pc << 5, marks);
    put_all(moved(at, reinterpret_cast<std::uint64_t>(rows.places)), active, words, marks);
    all_of(rows.store_mark, marks);
    put_all(moved(at, reinterpret_cast<std::uint64_t>(rows.writers)), active, words, marks);
    return true;
  }
  rows.words[1] |= me;
  const std::uint32_t mark = rows.load_mark | (std::min(w.pc, 0x7fffu) << 5);
  const auto first = static_cast<unsigned>(std::countr_zero(active));
  // A granule that all lanes load is the first lane's.
  if (words == 1 && !at.row && lie_at(at.at, active, lane_of(at.at, static_cast<int>(first)), 0, 0)) all_of(mark | first, marks);
  else lane_marks(mark, marks);
  put_all(moved(at, reinterpret_cast<std::uint64_t>(rows.loads)), active, words, marks);
  return true;
}

// Stores that nothing in flight has to do with (guard.hpp). Of lanes that may
// share bytes nothing is said here.
SKILLBENCH_AVX512 inline bool stores_are_free(warp& w, const places& a, lane_mask active, unsigned bytes) {
  if (!a.row && crowded(a.at, active, bytes)) return false;
  shared_memory& of = *w.shared;
  if (!of.held.empty()) return false;
  alignas(64) std::uint64_t at[warp_lanes];
  for (int i = 0; i < 4; ++i) _mm512_store_si512(at + 8 * i, a.at.at[i]);
  std::uint64_t low = ~std::uint64_t{0}, high = 0;
  std::uint32_t any = 0;
  for (lane_mask left = active; left; left &= left - 1) {
    const std::uint64_t place = at[std::countr_zero(left)];
    low = std::min(low, place);
    high = std::max(high, place);
    for (unsigned i = 0; i < bytes; i += 4) {
      std::uint32_t shades;
      std::memcpy(&shades, of.shadow.data() + place + i, sizeof shades);
      any |= shades;
    }
  }
  if (any & (in_flight | mbarrier_bytes) * 0x01010101u) return false;
  if (of.matrices.any_near(low, high - low + bytes))
    for (lane_mask left = active; left; left &= left - 1)
      if (of.matrices.reads(at[std::countr_zero(left)], bytes)) return false;
  of.matrices.change(low, high - low + bytes);
  if (of.notes.empty()) return true;
  for (lane_mask left = active; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    of.put_note(at[l], w.number, static_cast<std::uint32_t>(l), w.pc);
  }
  return true;
}

// Where an access lies on the host.
struct host_places {
  places data, shadow, stores, loads;
  bool shadowed = false, watched = false;
};

// Pages of global memory, one after the other until every lane has its own.
SKILLBENCH_AVX512 inline bool find_pages(native_state& s, const places& a, lane_mask active, unsigned bytes, bool store, host_places& out) {
  bool with = false, without = false;
  for (lane_mask rest = active; rest;) {
    const std::uint64_t first = lane_of(a.at, std::countr_zero(rest)), tag = first >> page_bits;
    const page_entry& e = s.pages[page_index(first)];
    if (e.tag != tag) return false;
    const std::uint32_t high = store ? e.reach_store : e.reach;
    if (high < bytes) return false;
    const __m512i low = _mm512_set1_epi64(e.low), top = _mm512_set1_epi64(high - bytes), wanted = _mm512_set1_epi64(static_cast<long long>(tag));
    const __m512i data = _mm512_set1_epi64(static_cast<long long>(e.data)), shadow = _mm512_set1_epi64(static_cast<long long>(e.shadow));
    lane_mask here = 0;
    places offset;
    for (int i = 0; i < 4; ++i) {
      const __mmask8 in = _mm512_mask_cmpeq_epu64_mask(eight(rest, i), _mm512_maskz_srli_epi64(0xff, a.at.at[i], page_bits), wanted);
      offset.at.at[i] = _mm512_and_si512(a.at.at[i], _mm512_set1_epi64(page_bytes - 1));
      if (_mm512_mask_cmplt_epu64_mask(in, offset.at.at[i], low) | _mm512_mask_cmpgt_epu64_mask(in, offset.at.at[i], top)) return false;
      out.data.at.at[i] = _mm512_mask_add_epi64(out.data.at.at[i], in, offset.at.at[i], data);
      out.shadow.at.at[i] = _mm512_mask_add_epi64(out.shadow.at.at[i], in, offset.at.at[i], shadow);
      here |= static_cast<lane_mask>(in) << (8 * i);
    }
    (e.shadow ? with : without) = true;
    const bool one = here == active;
    if (e.watched) {
      // What lies in two pages is for the handlers.
      launch_races& all = *s.now->races->launch;
      if (!one || all.shift != 2) return false;
      page& of = *reinterpret_cast<page*>(e.of);
      std::uint32_t* const row = all.row(of, store ? 0 : 1);
      if (!row || (store && of.races->loaded)) return false;
      if (!store) of.races->loaded = true;
      const std::uint32_t* const stores = of.races->row[0] ? of.races->row[0].get() : row;
      offset.row = a.row;
      out.loads = moved(offset, reinterpret_cast<std::uint64_t>(row));
      out.stores = moved(offset, reinterpret_cast<std::uint64_t>(stores));
      out.watched = true;
    }
    // Pages are apart on the host.
    if (one) out.data.row = out.shadow.row = a.row;
    rest &= ~here;
  }
  out.shadowed = with;
  return !(with && without);
}

// Loads of four words by each lane of a warp from shared memory, once it is known
// that they are in bounds and aligned. The second half of the lanes may load what
// the first does. False: nothing was done.
SKILLBENCH_AVX512 inline bool load_quads(native_state& s, const op& o, const lane_vectors& a) {
  warp& w = *s.now;
  const bool twice = !_mm512_cmpneq_epu64_mask(a.at[0], a.at[2]) && !_mm512_cmpneq_epu64_mask(a.at[1], a.at[3]);
  const int n = twice ? warp_lanes / 2 : warp_lanes;
  alignas(64) std::uint64_t at[warp_lanes];
  for (int i = 0; i < 4; ++i) _mm512_store_si512(at + 8 * i, a.at[i]);
  const auto quad = [&](std::uint64_t base, int l) { return reinterpret_cast<__m128i*>(base + at[l]); };
  const auto four = [&](std::uint64_t base, int l, int step) __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) {
    __m512i out = _mm512_castsi128_si512(_mm_loadu_si128(quad(base, l)));
    out = _mm512_maskz_inserti32x4(0xffff, out, _mm_loadu_si128(quad(base, l + step)), 1);
    out = _mm512_maskz_inserti32x4(0xffff, out, _mm_loadu_si128(quad(base, l + 2 * step)), 2);
    return _mm512_maskz_inserti32x4(0xffff, out, _mm_loadu_si128(quad(base, l + 3 * step)), 3);
  };
  if (s.checks) {
    __m128i any = _mm_setzero_si128();
    for (int l = 0; l < n; ++l) any = _mm_or_si128(any, _mm_loadu_si128(quad(s.shared_shadow, l)));
    if (!_mm_testz_si128(any, any)) return false;
  }
  if (w.shared_races) {
    const cta_races::plain_rows rows = w.shared_races->rows_of(w.number);
    if (!rows.words || !rows.loads) return false;
    const std::uint64_t me = std::uint64_t{1} << w.number;
    if (rows.words[0] & ~me) {
      const auto writers = reinterpret_cast<std::uint64_t>(rows.writers);
      const __m512i behind = _mm512_set1_epi32(static_cast<int>(rows.behind));
      for (int l = 0; l < n; l += 4) {
        const __m512i m = four(writers, l, 1);
        const __mmask16 later = _mm512_cmpgt_epu32_mask(m, behind);
        if (!later) continue;
        const __m512i limit = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), later, _mm512_and_si512(m, _mm512_set1_epi32(63)), rows.limits, 4);
        if (_mm512_mask_cmpgt_epu32_mask(later, m, limit)) return false;
      }
    }
    rows.words[1] |= me;
    const std::uint32_t mark = rows.load_mark | (std::min(w.pc, 0x7fffu) << 5) | (twice ? 16u : 0u);
    const auto loads = reinterpret_cast<std::uint64_t>(rows.loads);
    for (int l = 0; l < n; ++l) _mm_storeu_si128(quad(loads, l), _mm_set1_epi32(static_cast<int>(mark + static_cast<unsigned>(l))));
  }
  for (int h = 0; h < n / 16; ++h) {
    __m512i z[4];
    for (int j = 0; j < 4; ++j) z[j] = four(s.shared_data, 16 * h + j, 4);
    const __m512i low = _mm512_maskz_unpacklo_epi32(0xffff, z[0], z[1]), high = _mm512_maskz_unpackhi_epi32(0xffff, z[0], z[1]);
    const __m512i low2 = _mm512_maskz_unpacklo_epi32(0xffff, z[2], z[3]), high2 = _mm512_maskz_unpackhi_epi32(0xffff, z[2], z[3]);
    const __m512i word[4] = {_mm512_maskz_unpacklo_epi64(0xff, low, low2), _mm512_maskz_unpackhi_epi64(0xff, low, low2),
                             _mm512_maskz_unpacklo_epi64(0xff, high, high2), _mm512_maskz_unpackhi_epi64(0xff, high, high2)};
    for (int k = 0; k < 4; ++k) {
      if ((o.target >> k) & 1u) continue;
      auto* to = w.lanes<std::uint32_t>(o.d[k]);
      _mm512_storeu_si512(to + 16 * h, word[k]);
      if (twice) _mm512_storeu_si512(to + 16, word[k]);
    }
  }
  return true;
}

// Loads and stores of 32-bit elements in any pattern, as ops::run_load and
// ops::run_store do them when nothing is wrong. False: nothing was done.
SKILLBENCH_AVX512 inline bool access_words(native_state& s, const op& o, const places& a, lane_mask active, bool store) {
  warp& w = *s.now;
  const int words = o.vector;
  const unsigned bytes = 4 * unsigned{o.vector};
  __m512i low_bits = _mm512_setzero_si512();
  for (int i = 0; i < 4; ++i) low_bits = _mm512_or_si512(low_bits, _mm512_maskz_mov_epi64(eight(active, i), a.at.at[i]));
  if (_mm512_test_epi64_mask(low_bits, _mm512_set1_epi64(bytes - 1))) return false;
  host_places on;
  const bool shared = o.where == space::shared;
  if (shared) {
    if (s.shared_bytes < bytes) return false;
    const __m512i last = _mm512_set1_epi64(static_cast<long long>(s.shared_bytes - bytes));
    for (int i = 0; i < 4; ++i)
      if (_mm512_mask_cmpgt_epu64_mask(eight(active, i), a.at.at[i], last)) return false;
    if (!store && words == 4 && active == every_lane) return load_quads(s, o, a.at);
    on.data = moved(a, s.shared_data);
    on.shadow = moved(a, s.shared_shadow);
    on.shadowed = true;
  } else {
    for (auto* each : {&on.data, &on.shadow})
      for (auto& v : each->at.at) v = _mm512_setzero_si512();
    if (!find_pages(s, a, active, bytes, store, on)) return false;
  }
  if (s.checks && !store && on.shadowed && !all_zero(on.shadow, active, words)) return false;
  if (shared) {
    if (store && w.shared->guarded && (bytes > 16 || !stores_are_free(w, a, active, bytes))) return false;
    if (w.shared_races && !shared_is_plain(w, a, active, words, store)) return false;
  } else if (on.watched) {
    // As cta_races::global_load and global_store do when nobody was here.
    if (store && !a.row && crowded(a.at, active, bytes)) return false;
    if (!all_zero(on.stores, active, words) || (!store && !all_zero(on.loads, active, words))) return false;
    __m256i marks[4];
    lane_marks(w.races->epoch_of(w) << 5, marks);
    put_all(on.loads, active, words, marks);
  }
  if (s.checks && !shared && o.where != space::constant) (store ? s.store_sectors : s.load_sectors) += count_sectors(a.at, active, bytes);
  __m256i value[4];
  for (int k = 0; k < words; ++k) {
    if (store) {
      const auto* from = w.lanes<std::uint32_t>(o.s[k + 1]);
      for (int i = 0; i < 4; ++i) value[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 8 * i));
      put(on.data, active, k, value);
    } else if (!((o.target >> k) & 1u)) {
      get(on.data, active, k, value);
      auto* to = w.lanes<std::uint32_t>(o.d[k]);
      for (int i = 0; i < 4; ++i) _mm256_mask_storeu_epi32(to + 8 * i, eight(active, i), value[i]);
    }
  }
  if (store && s.checks && on.shadowed) {
    all_of(defined, value);
    put_all(on.shadow, active, words, value);
  }
  return true;
}

// A load or store that native code did not do itself.
SKILLBENCH_AVX512 inline std::uint32_t run_access(native_state* s, const op* o, lane_mask active, std::uint32_t left) {
  warp& w = *s->now;
  if (!active) return 0;
  const auto pc = static_cast<std::uint32_t>(o - s->code);
  const bool store = o->targets == 0;
  w.pc = pc;
  if (!store && s->race_loads == not_plain && w.shared_races && w.shared_races->has_late(w.number)) {
    w.shared_races->write_late(w.number);
    look_at_races(*s);
  }
  places a;
  a.at = addresses_of(w, *o);
  auto& guess = (*s->guesses)[pc];
  if (guess != static_cast<std::uint8_t>(pattern::scattered)) {
    const auto is = static_cast<std::uint8_t>(pattern_of(a.at, active, unsigned{o->unit} * o->vector));
    if (is != guess) {
      guess = is;
      ++s->surprises;
    }
  }
  a.row = guess == static_cast<std::uint8_t>(pattern::contiguous) && o->vector == 1;
  const bool here = o->where == space::shared || o->where == space::global || o->where == space::generic || o->where == space::constant;
  if (here && o->unit == 4 && o->width == 4 && access_words(*s, *o, a, active, store)) return 0;
  const std::uint32_t told = run_handler(s, o, active, left);
  if (o->where != space::shared) {
    for (lane_mask rest = active; rest; rest &= rest - 1) {
      const std::uint64_t at = lane_of(a.at, std::countr_zero(rest));
      if (s->pages[page_index(at)].tag != at >> page_bits) keep_page(*s, at);
    }
  }
  return told;
}
#undef SKILLBENCH_AVX512

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
