#pragma once
// ptx/race_launch.hpp: what the check of races (race.hpp) keeps of a whole launch.
//
// Layer   3. Includes memory.
// Shapes  an epoch stands for a warp of a CTA, a tick of it and an instruction; a
//         granule of global memory keeps the number of one, and the lane.
// Bounds  `race_limits`: beyond them less is seen, and a note says so.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/ptx/memory.hpp>

namespace skillbench::ptx {

namespace race_limits {
inline constexpr std::uint64_t shadow_bytes = std::uint64_t{256} << 20;  // of global pages
inline constexpr std::uint64_t shared_bytes = std::uint64_t{192} << 20;  // of all resident CTAs
inline constexpr std::size_t epochs = std::size_t{4} << 20;    // of one launch
inline constexpr std::size_t locations = std::size_t{1} << 18; // that order CTAs
inline constexpr std::size_t words = std::size_t{16} << 20;    // of released clocks
inline constexpr std::size_t known = 128;                      // locations a CTA has read
}  // namespace race_limits

inline constexpr std::uint32_t copy_engine = 32;  // asynchronous copies, other CTAs
inline constexpr std::uint32_t most_actors = 33;  // warps of a CTA and the engine

struct vector_clock {
  std::uint32_t at[most_actors] = {};
  void join(const vector_clock& other, std::uint32_t actors) noexcept {
    for (std::uint32_t i = 0; i < actors; ++i) at[i] = std::max(at[i], other.at[i]);
  }
};

// A location of global memory that CTAs meet at, and what was released there:
// a list that only grows, so that what a reader knows is a length of it.
struct meeting_place {
  struct entry {
    std::uint32_t cta = 0, before = ~0u;  // of the same CTA
    std::size_t words = 0;  // its warps' clocks for itself, then for other CTAs
  };
  std::vector<entry> list;
  std::unordered_map<std::uint32_t, std::uint32_t> last;        // by CTA
  std::vector<std::pair<std::uint32_t, std::uint32_t>> knows;   // of other places
  std::uint32_t all_up_to = 0;                                  // epochs known besides
};

// Who accessed global memory: an epoch stands for a warp, a tick and an
// instruction.
struct epoch {
  std::uint32_t cta = 0, tick = 0, pc = 0, actor = 0;
};

// Of one launch, over its CTAs.
struct launch_races {
  bool partial = false;    // a bound was reached: some accesses were not kept
  bool unordered = false;  // nor what orders threads: nothing more is told
  std::uint32_t launch = 0;
  unsigned shift = 2;  // of a granule
  std::uint64_t shadow_used = 0, shared_used = 0;
  std::vector<epoch> epochs;  // from 1
  std::vector<meeting_place> places;
  std::unordered_map<std::uint64_t, std::uint32_t> place_of;  // by address
  std::vector<std::uint32_t> words;

  void begin(unsigned granule_shift) {
    partial = unordered = false;
    shared_used = 0;
    ++launch;
    shift = granule_shift;
    epochs.assign(1, epoch{});
    places.clear();
    place_of.clear();
    words.clear();
  }

  // The shadow of a page, made when a launch first needs it; null when there is
  // no more room.
  [[nodiscard]] std::uint32_t* row(page& in, int which) {
    const std::size_t n = page_bytes >> shift;
    if (!in.races) in.races = std::make_unique<page_races>();
    page_races& of = *in.races;
    if (of.launch != launch) {
      for (auto& r : of.row)
        if (r && of.shift == shift) std::memset(r.get(), 0, n * 4);
        else if (r) {
          shadow_used -= (page_bytes >> of.shift) * 4;
          r.reset();
        }
      of.launch = launch;
      of.shift = shift;
      of.loaded = false;
    }
    auto& r = of.row[which];
    if (r) return r.get();
    if (shadow_used + n * 4 > race_limits::shadow_bytes) {
      partial = true;
      return nullptr;
    }
    shadow_used += n * 4;
    r.reset(static_cast<std::uint32_t*>(std::calloc(n, 4)));
    return r.get();
  }
};

}  // namespace skillbench::ptx
