#pragma once
// ptx/resident.hpp: what a launch is asked, and the CTAs that are on the machine.
//
// Layer   3. Includes program, race and warp.
// Shapes  a CTA that has ended is begun anew as another one: nothing is allocated
//         once as many are there as run at a time.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <skillbench/counters.hpp>
#include <skillbench/ptx/async.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/race.hpp>
#include <skillbench/ptx/warp.hpp>
#include <skillbench/units.hpp>

namespace skillbench::ptx {

// How instructions are run: one by one; as native code where that is possible,
// with the same findings, counters and results (jit.hpp); or as native code that
// leaves out what only finds mistakes and counts sectors.
enum class native : std::uint8_t { off, checked, bare };

struct launch_plan {
  extent grid, block;
  extent cluster;                        // CTAs; divides the grid
  bool explicit_cluster = false;
  native how = native::checked;
  std::uint64_t cold = 256;              // instructions interpreted before anything is compiled
  std::uint64_t dynamic_shared = 0;      // bytes
  std::vector<std::byte> parameters;     // the kernel's parameter block
  std::uint64_t seed = 0;                // order of CTAs and warps
  std::uint64_t schedule = 0;            // not 0: an adversarial one, see patience()
  std::uint64_t most_instructions = 0;   // warp instructions; 0: no bound
  std::vector<std::uint64_t> ctas;       // not empty: only these, in this order
  std::uint64_t first_cluster = 0, clusters = 0;  // not 0: only so many (threads.hpp)
  bool races = true;                     // tell accesses that nothing orders
  bool counters = false;                 // count in detail, which nothing native does
};

struct launch_counts {
  std::uint64_t warp_instructions = 0, thread_instructions = 0;
  std::uint64_t load_sectors = 0, store_sectors = 0, barriers = 0;
  std::string printed;             // by vprintf, as much as is kept
  std::uint64_t printed_lost = 0;  // bytes that were not
  std::optional<launch_counters> detail;  // when the plan asks for it
};

namespace detail {

struct barrier_state {
  std::uint64_t arrived = 0;       // threads, whole warps
  std::uint64_t expected = 0;      // 0: every thread that has not exited
  std::uint64_t waiting = 0;       // threads
  bool in_use = false;
};

struct cta {
  std::uint64_t number = 0;
  std::vector<warp> warps;
  shared_memory shared;
  std::unique_ptr<cta_races> races;
  barrier_state barriers[16];
  std::uint32_t in_use = 0;        // barriers, by bit
  std::uint64_t live = 0;          // threads that have not exited
  std::size_t turn = 0;
};

// The CTAs of a cluster; one CTA where a launch has no clusters.
struct cluster {
  std::vector<std::unique_ptr<cta>> ctas;  // by rank
  cluster_state state;
  std::uint64_t ran = 0;       // instructions in this visit
  std::uint64_t stalls = 0, events = 0;  // stalls since this count of events
};

// Makes the CTAs of a launch.
struct cta_maker {
  const program* code = nullptr;
  const launch_plan* plan = nullptr;
  launch_state* state = nullptr;
  launch_races* races = nullptr;

  void prepare(cta& c) const {
    const auto threads = static_cast<std::uint64_t>(plan->block.count());
    c.warps.resize((threads + warp_lanes - 1) / warp_lanes);
    for (std::size_t i = 0; i < c.warps.size(); ++i) {
      warp& w = c.warps[i];
      w.number = static_cast<std::uint32_t>(i);
      w.launch = state;
      const std::size_t lines = code->file_bytes / 64 + 4;
      w.storage.assign(lines, file_line{});
      w.shade_storage.assign(lines, file_line{});
      w.taint_storage.assign(code->slots, 0);
      w.file = w.storage[0].bytes;
      w.shade = w.shade_storage[0].bytes;
      w.tainted = w.taint_storage.data();
      w.frame_bytes = static_cast<std::uint32_t>(aligned16(code->frame_bytes));
      w.frame_storage.assign(std::size_t{w.frame_bytes} * warp_lanes, std::byte{});
      w.frame_shadow_storage.assign(std::size_t{w.frame_bytes} * warp_lanes, unwritten);
      w.frames = w.frame_storage.data();
      w.frame_shadow = w.frame_shadow_storage.data();
      for (const auto& k : code->constants) fill_constant(w, k);
      for (const auto& s : code->specials) fill_special(w, s.what, s.where, 0);
    }
    // Without a dynamic part the last variable ends it: no slack to fall into.
    c.shared.data.resize(plan->dynamic_shared ? code->dynamic_offset + plan->dynamic_shared : code->static_shared);
    c.shared.shadow.resize(c.shared.data.size());
    // One warp has nobody to race with.
    if (!plan->races || (c.warps.size() == 1 && plan->grid.count() == 1)) return;
    c.races = std::make_unique<cta_races>();
    c.races->prepare(c.warps.size(), code->stores_shared ? c.shared.data.size() : 0, code->shared_granule, races);
    c.races->somebody_meets(code->learns);
  }

  // What `prepare` takes for one CTA.
  [[nodiscard]] std::uint64_t bytes() const {
    const std::uint64_t warps = (static_cast<std::uint64_t>(plan->block.count()) + warp_lanes - 1) / warp_lanes;
    const std::uint64_t a_warp = 2 * (std::uint64_t{code->file_bytes} + 256) + code->slots + 2 * aligned16(code->frame_bytes) * warp_lanes;
    return warps * a_warp + 2 * (std::uint64_t{code->dynamic_offset} + plan->dynamic_shared);
  }

  static std::uint64_t aligned16(std::uint64_t n) { return (n + 15) / 16 * 16; }

  void begin(cta& c, std::uint64_t number) const {
    c.number = number;
    c.turn = (plan->seed >> 16) % c.warps.size();
    const auto threads = static_cast<std::uint64_t>(plan->block.count());
    for (auto& w : c.warps) {
      w.shared = &c.shared;
      w.races = c.races.get();
      w.shared_races = c.races && c.races->shared_on ? c.races.get() : nullptr;
      w.cta = number;
      const std::uint64_t first = std::uint64_t{w.number} * warp_lanes;
      const std::uint64_t n = std::min<std::uint64_t>(warp_lanes, threads - first);
      w.live = n == warp_lanes ? every_lane : (lane_mask{1} << n) - 1;
      w.fragments.clear();
      w.fragments.push_back({0, w.live});
      w.refusal = nullptr;
      w.inside.assign(code->pointer_calls.empty() ? 0 : code->functions.size(), 0);
      if (code->stack_top) std::fill_n(w.lanes<std::uint64_t>(*code->stack_top), warp_lanes, std::uint64_t{code->stack_begins});
      for (std::uint32_t s = 0; s < code->slots; ++s)
        if (w.tainted[s]) {
          std::fill(w.shade_storage.begin(), w.shade_storage.end(), file_line{});
          std::fill(w.taint_storage.begin(), w.taint_storage.end(), std::uint8_t{0});
          break;
        }
      for (std::size_t i = 0; i < code->born_undefined.size(); ++i) {
        const ref r = code->born_undefined[i];
        std::memset(w.shade + r.offset, 0xff, code->undefined_bytes[i]);
        w.tainted[r.slot] = 1;
      }
      for (const auto& s : code->specials)
        if (differs_between_ctas(s.what))
          fill_special(w, s.what, s.where, number);
      if (w.frame_bytes) std::fill(w.frame_shadow_storage.begin(), w.frame_shadow_storage.end(), static_cast<std::uint8_t>(unwritten));
    }
    c.shared.start(c.warps.size(), code->notes_stores);
    if (plan->how == native::bare) std::fill(c.shared.shadow.begin(), c.shared.shadow.end(), static_cast<std::uint8_t>(defined));
    if (code->warpgroups) {
      c.shared.matrices.start(c.shared.data.size(), ++state->kept->ctas);
      for (auto& w : c.warps) {
        w.flight.start(code->slots);
        c.shared.matrices.flights.push_back(&w.flight);
      }
    }
    if (c.races) {
      c.races->begin(number);
      c.races->matrices = code->warpgroups ? &c.shared.matrices : nullptr;
    }
    c.shared.races = c.races && c.races->shared_on ? c.races.get() : nullptr;
    for (auto& b : c.barriers) b = {};
    c.in_use = 0;
    c.live = threads;
  }

  [[nodiscard]] static bool differs_between_ctas(special what) {
    return (what >= special::ctaid_x && what <= special::ctaid_z) || what == special::smid ||
           (what >= special::cluster_ctaid_x && what <= special::cluster_ctaid_z) || what == special::cluster_ctarank ||
           (what >= special::clusterid_x && what <= special::clusterid_z);
  }

  static void fill_constant(warp& w, const constant& k) {
    if (k.width == 0) {
      w.predicate(k.where) = static_cast<lane_mask>(k.bits);
      return;
    }
    for (int l = 0; l < warp_lanes; ++l) std::memcpy(w.file + k.where.offset + static_cast<std::size_t>(l) * k.width, &k.bits, k.width);
  }

  void fill_special(warp& w, special what, ref where, std::uint64_t cta) const {
    if (what == special::is_explicit_cluster) {
      w.predicate(where) = plan->explicit_cluster ? every_lane : 0;
      return;
    }
    auto* to = w.lanes<std::uint32_t>(where);
    const extent& b = plan->block;
    const extent& g = plan->grid;
    const extent& k = plan->cluster;
    const auto n = static_cast<std::int64_t>(cta);
    for (int l = 0; l < warp_lanes; ++l) {
      const std::int64_t t = std::int64_t{w.number} * warp_lanes + l;
      std::int64_t v = 0;
      const auto lane = static_cast<unsigned>(l);
      switch (what) {
        case special::tid_x: v = t % b.x; break;
        case special::tid_y: v = t / b.x % b.y; break;
        case special::tid_z: v = t / (b.x * b.y); break;
        case special::ntid_x: v = b.x; break;
        case special::ntid_y: v = b.y; break;
        case special::ntid_z: v = b.z; break;
        case special::ctaid_x: v = n % g.x; break;
        case special::ctaid_y: v = n / g.x % g.y; break;
        case special::ctaid_z: v = n / (g.x * g.y); break;
        case special::nctaid_x: v = g.x; break;
        case special::nctaid_y: v = g.y; break;
        case special::nctaid_z: v = g.z; break;
        case special::laneid: v = l; break;
        case special::warpid: v = w.number; break;
        case special::nwarpid: v = (b.count() + warp_lanes - 1) / warp_lanes; break;
        case special::smid: v = n % 132; break;
        case special::nsmid: v = 132; break;
        case special::gridid: v = 1; break;
        case special::lanemask_eq: v = static_cast<std::int64_t>(1u << lane); break;
        case special::lanemask_lt: v = static_cast<std::int64_t>((1u << lane) - 1); break;
        case special::lanemask_le: v = static_cast<std::int64_t>((2ull << lane) - 1); break;
        case special::lanemask_ge: v = static_cast<std::int64_t>(~((1u << lane) - 1)); break;
        case special::lanemask_gt: v = static_cast<std::int64_t>(static_cast<std::uint32_t>(~((2ull << lane) - 1))); break;
        case special::dynamic_smem_size: v = static_cast<std::int64_t>(plan->dynamic_shared); break;
        case special::total_smem_size: v = static_cast<std::int64_t>(code->dynamic_offset + plan->dynamic_shared); break;
        case special::cluster_ctaid_x: v = n % g.x % k.x; break;
        case special::cluster_ctaid_y: v = n / g.x % g.y % k.y; break;
        case special::cluster_ctaid_z: v = n / (g.x * g.y) % k.z; break;
        case special::cluster_nctaid_x: v = k.x; break;
        case special::cluster_nctaid_y: v = k.y; break;
        case special::cluster_nctaid_z: v = k.z; break;
        case special::cluster_ctarank: v = w.rank; break;
        case special::cluster_nctarank: v = k.count(); break;
        case special::clusterid_x: v = n % g.x / k.x; break;
        case special::clusterid_y: v = n / g.x % g.y / k.y; break;
        case special::clusterid_z: v = n / (g.x * g.y) / k.z; break;
        case special::nclusterid_x: v = g.x / k.x; break;
        case special::nclusterid_y: v = g.y / k.y; break;
        case special::nclusterid_z: v = g.z / k.z; break;
        case special::is_explicit_cluster:
        case special::zero: v = 0; break;
      }
      to[l] = static_cast<std::uint32_t>(v);
    }
  }
};

}  // namespace detail

}  // namespace skillbench::ptx
