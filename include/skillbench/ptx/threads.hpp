#pragma once
// ptx/threads.hpp: the CTAs of a launch on several threads of the host.
//
// Layer   3. Includes machine.
// Order   what a launch leaves (results, findings, counts) is what one thread
//         makes of it, whatever the number of threads. Each thread has a part of
//         the grid and memory of its own; the marks of race.hpp say who stored
//         and loaded what. When no CTA of one part touched what another part
//         stored, and no part found anything, the parts' stores are put
//         together, and in no order could they have come out otherwise. Else all
//         of it is thrown away and the launch is run by one thread.
// Bounds  a launch whose CTAs may talk (atomics, volatile, strong operations on
//         global memory), that prints, allocates, reads a clock, is counted in
//         detail or has an adversarial schedule is run by one thread at once.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/ptx/machine.hpp>
#include <skillbench/ptx/memory.hpp>
#include <skillbench/ptx/ops/select.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/race.hpp>
#include <skillbench/ptx/watch.hpp>

namespace skillbench::ptx {

namespace detail {

// Whether one CTA can know of another while they run.
[[nodiscard]] inline bool may_talk(const program& p) {
  if (!p.services.empty() || !p.pointer_calls.empty()) return true;
  for (const bulk_form& f : p.bulk)
    if (f.reduces && f.stores) return true;
  for (const op& o : p.code) {
    const bool outside = o.where != space::shared && o.where != space::local && o.where != space::param;
    if (o.access == access_kind::atomic && outside) return true;
    if (o.access != access_kind::none && o.order != memory_order::weak && outside) return true;
    if (o.run == &ops::run_clock<std::uint64_t> || o.run == &ops::run_clock<std::uint32_t> || o.run == &ops::run_clock<std::uint32_t, 32>) return true;
  }
  return false;
}

// The part of a launch that a thread has.
struct launch_part {
  launch_part(const memory& of, const program& p) : own(of.view()), code(p), on(own, seen) { code.native = nullptr; }
  launch_part(const launch_part&) = delete;
  launch_part& operator=(const launch_part&) = delete;

  memory own;
  watch seen;
  program code;
  machine on;
  std::optional<result<launch_counts>> told;
};
using launch_parts = std::vector<std::unique_ptr<launch_part>>;

// The marks of a page, null when the part has none there.
[[nodiscard]] inline const std::uint32_t* marks_of(const page& p, int which) noexcept { return p.races ? p.races->row[which].get() : nullptr; }

// Whether a part touched what another one stored in a page that several have.
[[nodiscard]] inline bool meet_in(const std::vector<const page*>& held, std::size_t granules) {
  std::vector<std::uint8_t> writer(granules, 0);
  for (int which = 0; which < 3; ++which)
    for (std::size_t h = 0; h < held.size(); ++h) {
      const std::uint32_t* const marks = marks_of(*held[h], which);
      if (!marks) continue;
      const auto me = static_cast<std::uint8_t>(h + 1);
      for (std::size_t g = 0; g < granules; ++g) {
        if (!marks[g]) continue;
        if (writer[g] && writer[g] != me) return true;
        if (which == 0) writer[g] = me;
      }
    }
  return false;
}

// Calls use(allocation, index of the page, the parts' pages) where parts have
// any.
template <typename Use>
void each_held_page(memory& global, launch_parts& parts, Use&& use) {
  std::vector<page*> held;
  for (std::size_t a = 0; a < global.count(); ++a)
    for (std::size_t i = 0; i < global.at(a).pages.size(); ++i) {
      held.clear();
      for (auto& each : parts)
        if (page& p = each->own.at(a).pages[i]; p.data) held.push_back(&p);
      if (!held.empty() && !use(global.at(a), i, held)) return;
    }
}

[[nodiscard]] inline bool stand_apart(memory& global, launch_parts& parts, unsigned shift) {
  bool apart = true;
  each_held_page(global, parts, [&](const allocation& of, std::size_t, const std::vector<page*>& held) {
    if (of.writable && held.size() > 1) apart = !meet_in({held.begin(), held.end()}, page_bytes >> shift);
    return apart;
  });
  return apart;
}

// Puts what the parts stored into `global`.
inline void put_together(memory& global, launch_parts& parts, unsigned shift) {
  const std::size_t granule = std::size_t{1} << shift;
  each_held_page(global, parts, [&](allocation& of, std::size_t index, const std::vector<page*>& held) {
    page& to = of.pages[index];
    std::size_t done = 0;
    // A page that one part alone has is that part's; a new one begins as any.
    if (!to.data || held.size() == 1) {
      global.adopt(of, to, *held[0]);
      done = 1;
    }
    for (std::size_t h = done; of.writable && h < held.size(); ++h) {
      const std::uint32_t* const marks = marks_of(*held[h], 0);
      for (std::size_t g = 0; marks && g < page_bytes >> shift; ++g) {
        if (!marks[g]) continue;
        std::memcpy(to.data.get() + g * granule, held[h]->data.get() + g * granule, granule);
        if (to.shadow) std::memcpy(to.shadow.get() + g * granule, held[h]->shadow.get() + g * granule, granule);
      }
    }
    return true;
  });
}

}  // namespace detail

// machine::launch by up to `threads` threads.
[[nodiscard]] inline result<launch_counts> launch_on(unsigned threads, machine& alone, memory& global, watch& seen, const program& code, const launch_plan& plan) {
  const auto clusters = static_cast<std::uint64_t>(plan.grid.count() / std::max<std::int64_t>(plan.cluster.count(), 1));
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>({threads, clusters, 64}));
  if (n < 2 || !plan.races || plan.schedule || plan.counters || !plan.ctas.empty() || detail::may_talk(code)) return alone.launch(code, plan);

  detail::launch_parts parts;
  std::vector<launch_plan> plans(n, plan);
  for (std::size_t i = 0; i < n; ++i) {
    parts.push_back(std::make_unique<detail::launch_part>(global, code));
    plans[i].first_cluster = clusters * i / n;
    plans[i].clusters = clusters * (i + 1) / n - plans[i].first_cluster;
  }
  const auto work = [&](std::size_t i) { parts[i]->told.emplace(parts[i]->on.launch(parts[i]->code, plans[i])); };
  {
    std::vector<std::jthread> others;
    try {
      for (std::size_t i = 1; i < n; ++i) others.emplace_back(work, i);
    } catch (const std::system_error&) {
      // No more threads to be had: then it is one thread's.
    }
    work(0);
  }

  launch_counts all;
  std::uint64_t used = global.used(), epochs = 0;
  for (const auto& each : parts) {
    if (!each->told || !each->told->ok() || !each->seen.findings().empty() || each->own.full() || !each->on.is_plain()) return alone.launch(code, plan);
    const launch_counts& one = each->told->value();
    all.warp_instructions += one.warp_instructions;
    all.thread_instructions += one.thread_instructions;
    all.load_sectors += one.load_sectors;
    all.store_sectors += one.store_sectors;
    all.barriers += one.barriers;
    used += each->own.used();
    epochs += each->on.races().epochs.size();
  }
  // One thread comes to no bound either.
  if (used > global.bound() || epochs >= race_limits::epochs || (plan.most_instructions && all.warp_instructions >= plan.most_instructions)) return alone.launch(code, plan);
  if (!detail::stand_apart(global, parts, code.global_granule)) return alone.launch(code, plan);
  detail::put_together(global, parts, code.global_granule);
  seen.next_launch();
  return all;
}

}  // namespace skillbench::ptx
