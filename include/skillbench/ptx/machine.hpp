#pragma once
// ptx/machine.hpp: runs the launches of a program: CTAs, warps, fragments.
//
// Layer   3. Includes resident, jit, program, warp, watch and memory.
// Order   clusters (CTAs, where a launch has none) run one after the other, in a
//         seeded order; one that runs long is set aside while others start, so
//         that CTAs may wait for each other. In a cluster, warps take turns:
//         each runs until all its lanes wait or its quantum is used up. In a warp, the fragment at the lowest
//         instruction runs first; fragments that meet become one.
// Errors  reason::not_supported with opcode and line, too_slow when the budget
//         of instructions is used up, too_large when memory is.
// Source  PTX ISA 9.0, "Programming Model"; independent thread scheduling as in
//         the CUDA C++ Programming Guide, "SIMT Architecture".

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/ptx/count.hpp>
#include <skillbench/ptx/jit.hpp>
#include <skillbench/ptx/memory.hpp>
#include <skillbench/ptx/ops/control.hpp>
#include <skillbench/ptx/ops/warpgroup.hpp>
#include <skillbench/ptx/ops/mbarrier.hpp>
#include <skillbench/ptx/products.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/race.hpp>
#include <skillbench/ptx/report.hpp>
#include <skillbench/ptx/resident.hpp>
#include <skillbench/ptx/warp.hpp>
#include <skillbench/ptx/watch.hpp>

namespace skillbench::ptx {

namespace detail {

inline constexpr std::uint64_t warp_quantum = 20'000;      // instructions
inline constexpr std::uint64_t fragment_quantum = 4'000;
inline constexpr std::uint64_t cta_quantum = 4'000'000;
inline constexpr std::size_t most_resident = 132;          // CTAs at a time
inline constexpr std::uint64_t most_resident_bytes = std::uint64_t{2} << 30;  // of their registers, frames and shared memory
inline constexpr std::size_t most_interleaved = 16;        // by an adversarial schedule
// How often a whole cluster may find nothing to do but to ask an mbarrier again
// before that is a deadlock: try_wait may say no after a while, so threads can
// go another way then.
inline constexpr std::uint64_t most_stalls = 1'000;

enum class pause : std::uint8_t { waits, quantum, finished, stopped };

}  // namespace detail

class machine {
 public:
  machine(memory& global, watch& seen) : global_(&global), seen_(&seen) {}

  result<launch_counts> launch(const program& code, const launch_plan& plan) {
    code_ = &code;
    plan_ = &plan;
    state_ = launch_state{};
    state_.code = &code;
    state_.grid = plan.grid;
    state_.block = plan.block;
    state_.global = global_;
    state_.seen = seen_;
    if (!kept_) kept_ = std::make_unique<kept_products>();
    state_.kept = kept_.get();
    state_.parameters = plan.parameters;
    state_.parameters.resize(std::max<std::size_t>(code.parameter_bytes, plan.parameters.size()));
    trouble_ = fault{reason::internal, ""};
    seen_->next_launch();
    races_.begin(code.global_granule);
    maker_ = {&code, &plan, &state_, &races_};
    native_.begin(code, state_, plan.how != native::off && !plan.counters, plan.how != native::bare, plan.cold);
    std::optional<launch_tally> tally;
    if (plan.counters) state_.tally = &tally.emplace(code);

    const std::vector<std::uint64_t> chosen = chosen_clusters(plan);
    const auto per = static_cast<std::uint64_t>(plan.cluster.count());
    const auto clusters = plan.clusters     ? plan.clusters
                          : plan.ctas.empty() ? static_cast<std::uint64_t>(plan.grid.count()) / per
                                              : static_cast<std::uint64_t>(chosen.size());
    was_starving_ = false;
    const std::uint64_t bytes = std::max<std::uint64_t>(per * maker_.bytes(), 1);
    if (bytes > detail::most_resident_bytes)
      return fault{reason::too_large, "what runs together needs " + std::to_string(bytes >> 20) + " MB of registers, local and shared memory; the PTX machine has " + std::to_string(detail::most_resident_bytes >> 20)};
    const std::size_t most_ctas = plan.schedule ? detail::most_interleaved : detail::most_resident;
    const std::size_t most_resident = std::min<std::size_t>(most_ctas / std::min<std::size_t>(per, most_ctas), detail::most_resident_bytes / bytes);
    drawn_ = plan.seed ^ (plan.schedule * 0x9e3779b97f4a7c15ull);
    const std::uint64_t stride = order_stride(clusters, plan.seed);
    std::deque<std::unique_ptr<detail::cluster>> resident;
    std::vector<std::unique_ptr<detail::cluster>> spare;
    std::uint64_t started = 0, at = clusters ? plan.seed % clusters : 0;
    while ((started < clusters || !resident.empty()) && !state_.stop) {
      if (resident.empty() || (starving_ && resident.size() < most_resident && started < clusters)) {
        std::unique_ptr<detail::cluster> fresh;
        if (!spare.empty()) {
          fresh = std::move(spare.back());
          spare.pop_back();
        } else {
          fresh = std::make_unique<detail::cluster>();
          for (std::uint64_t i = 0; i < per; ++i) {
            fresh->ctas.push_back(std::make_unique<detail::cta>());
            maker_.prepare(*fresh->ctas.back());
          }
        }
        begin(*fresh, plan.ctas.empty() ? plan.first_cluster + at : chosen[at]);
        at = (at + stride) % clusters;
        ++started;
        starving_ = false;
        resident.push_front(std::move(fresh));
      }
      detail::cluster& now = *resident.front();
      const detail::pause why = run(now);
      if (trouble_.why != reason::internal) return trouble_;
      if (why == detail::pause::finished) {
        spare.push_back(std::move(resident.front()));
        resident.pop_front();
      } else if (why == detail::pause::quantum) {
        starving_ = was_starving_ = true;
        resident.push_back(std::move(resident.front()));
        resident.pop_front();
      } else if (why == detail::pause::waits) {
        report_deadlock(now);
        break;
      }
    }
    if (races_.partial && seen_->first(~0u, code::race, severity::note)) {
      finding f = finding_at(state_, ~0u, code::race, "races were looked for in a part of this launch only: it has more of them to tell apart than the machine keeps");
      f.weight = severity::note;
      seen_->add(std::move(f));
    }
    launch_counts out;
    out.warp_instructions = state_.ticks;
    out.thread_instructions = state_.thread_instructions;
    out.load_sectors = state_.load_sectors;
    out.store_sectors = state_.store_sectors;
    out.barriers = state_.barriers;
    out.printed = std::move(state_.printed);
    out.printed_lost = state_.printed_lost;
    if (tally) out.detail = tally->told(state_.barriers);
    return out;
  }

  // Of the last launch: no bound of races was reached, and no cluster was set
  // aside.
  [[nodiscard]] bool is_plain() const noexcept { return !races_.partial && !races_.unordered && !was_starving_; }
  [[nodiscard]] const launch_races& races() const noexcept { return races_; }

 private:
  // A stride without a common factor visits every CTA once. Small strides keep
  // neighbours together; seed 0 is the plain order.
  static std::uint64_t order_stride(std::uint64_t n, std::uint64_t seed) {
    static constexpr std::uint64_t primes[] = {1, 1, 3, 5, 7, 11, 13, 17};
    const std::uint64_t p = primes[(seed >> 32) % 8];
    return n % p == 0 ? 1 : p;
  }

  [[nodiscard]] std::uint64_t draw(std::uint64_t below) {
    drawn_ += 0x9e3779b97f4a7c15ull;
    std::uint64_t x = drawn_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % below;
  }

  // How many instructions a warp has before another one's turn. A kernel that is
  // right does not care; one that lacks a barrier may work while warps run far
  // ahead, or only while they stay together.
  [[nodiscard]] std::uint64_t patience() {
    switch (plan_->schedule % 4) {
      case 1: return 1;
      case 2: return 1 + draw(64);
      case 3: return draw(2) ? detail::warp_quantum : 1 + draw(8);
      default: return plan_->schedule ? 1 + draw(2'000) : detail::warp_quantum;
    }
  }
  [[nodiscard]] std::uint64_t visit() { return plan_->schedule ? 1'000 + draw(50'000) : detail::cta_quantum; }

  // ---- clusters ---------------------------------------------------------------

  [[nodiscard]] std::uint64_t cluster_of(std::uint64_t cta) const {
    const extent& g = plan_->grid;
    const extent& c = plan_->cluster;
    const auto n = static_cast<std::int64_t>(cta);
    const std::int64_t x = n % g.x / c.x, y = n / g.x % g.y / c.y, z = n / (g.x * g.y) / c.z;
    return static_cast<std::uint64_t>(x + g.x / c.x * (y + g.y / c.y * z));
  }
  [[nodiscard]] std::uint64_t cta_of(std::uint64_t cluster, std::uint64_t rank) const {
    const extent& g = plan_->grid;
    const extent& c = plan_->cluster;
    const auto n = static_cast<std::int64_t>(cluster), r = static_cast<std::int64_t>(rank);
    const std::int64_t across = g.x / c.x, down = g.y / c.y;
    const std::int64_t x = n % across * c.x + r % c.x, y = n / across % down * c.y + r / c.x % c.y,
                       z = n / (across * down) * c.z + r / (c.x * c.y);
    return static_cast<std::uint64_t>(x + g.x * (y + g.y * z));
  }
  // The clusters of the CTAs that are asked for, each once.
  [[nodiscard]] std::vector<std::uint64_t> chosen_clusters(const launch_plan& plan) const {
    std::vector<std::uint64_t> out;
    for (const std::uint64_t n : plan.ctas)
      if (const std::uint64_t c = cluster_of(n); std::find(out.begin(), out.end(), c) == out.end()) out.push_back(c);
    return out;
  }

  void begin(detail::cluster& all, std::uint64_t number) {
    all.state.members.clear();
    for (auto& c : all.ctas) all.state.members.push_back(&c->shared);
    all.state.start(static_cast<std::size_t>(plan_->block.count()));
    all.stalls = all.events = 0;
    for (std::size_t rank = 0; rank < all.ctas.size(); ++rank) {
      detail::cta& c = *all.ctas[rank];
      for (auto& w : c.warps) {
        w.cluster = &all.state;
        w.rank = static_cast<std::uint32_t>(rank);
        w.cluster_arrived = w.cluster_owes = 0;
      }
      maker_.begin(c, cta_of(number, rank));
    }
  }

  // What nobody waited for: stores are done when their CTAs end; what loads
  // bring then nobody reads.
  void finish(detail::cluster& all) {
    for (const bulk_copy& b : all.state.flying) {
      bulk_copy now = b;
      if (!now.to_bytes) ops::finish(state_, all.state, now);
    }
    all.state.flying.clear();
  }

  detail::pause run(detail::cluster& all) {
    all.ran = 0;
    running_ = &all;
    const std::uint64_t most = visit();
    for (;;) {
      bool progress = false, alive = false;
      for (auto& each : all.ctas) {
        detail::cta& c = *each;
        const std::size_t n = c.warps.size();
        if (plan_->schedule) c.turn = draw(n);
        const std::size_t along = plan_->schedule && draw(2) ? n - 1 : 1;  // or backwards
        for (std::size_t i = 0; i < n; ++i) {
          warp& w = c.warps[c.turn];
          c.turn = (c.turn + along) % n;
          if (!w.live) continue;
          alive = true;
          const std::uint64_t before = state_.ticks;
          worked_ = false;
          run(c, w);
          all.ran += state_.ticks - before;
          progress |= worked_;
          if (state_.stop || trouble_.why != reason::internal) return detail::pause::stopped;
          if (plan_->most_instructions && state_.ticks >= plan_->most_instructions) {
            trouble_ = {reason::too_slow, "stopped after " + std::to_string(state_.ticks) + " warp instructions of one launch"};
            return detail::pause::stopped;
          }
        }
      }
      if (!alive) {
        if (code_->warpgroups)
          for (auto& each : all.ctas) ops::report_missing_warps(state_, each->shared.matrices, each->number);
        finish(all);
        return detail::pause::finished;
      }
      if (!progress && !stall(all)) return detail::pause::waits;
      if (all.ran >= most) return detail::pause::quantum;
    }
  }

  // Nobody could do anything but ask an mbarrier again. Those who wait for one
  // with try_wait are told that it takes long; false: that leads to nothing.
  bool stall(detail::cluster& all) {
    const std::uint64_t events = state_.phases + state_.barriers + exits_;
    if (events != std::exchange(all.events, events)) all.stalls = 0;
    if (++all.stalls > detail::most_stalls) return false;
    bool asks = false;
    for (auto& c : all.ctas)
      for (auto& w : c->warps)
        for (auto& f : w.fragments) {
          asks |= f.is == fragment::state::ready;
          if (f.is != fragment::state::phase) continue;
          asks = true;
          answer(w, f, false);
        }
    return asks;
  }

  // ---- a warp -----------------------------------------------------------------

  // Runs fragments until all wait, all have exited, or the quantum is used up.
  void run(detail::cta& c, warp& w) {
    std::uint64_t left = patience();
    std::uint32_t passed_over = ~0u;  // fairness: a fragment that spun too long
    wake_waiting(w);
    while (w.live && left > 0 && !state_.stop && trouble_.why == reason::internal) {
      merge(w);
      std::size_t pick = w.fragments.size();
      for (int round = 0; round < 2 && pick == w.fragments.size(); ++round) {
        for (std::size_t i = 0; i < w.fragments.size(); ++i) {
          const fragment& f = w.fragments[i];
          if (f.is != fragment::state::ready) continue;
          if (round == 0 && f.pc <= passed_over && passed_over != ~0u) continue;
          if (pick == w.fragments.size() || f.pc < w.fragments[pick].pc) pick = i;
        }
        if (round == 0 && pick == w.fragments.size()) passed_over = ~0u;
      }
      if (pick == w.fragments.size()) return;  // all wait
      std::uint32_t meet = ~0u;  // the nearest fragment ahead
      bool others = false;
      for (std::size_t i = 0; i < w.fragments.size(); ++i) {
        if (i == pick || w.fragments[i].is != fragment::state::ready) continue;
        others = true;
        if (w.fragments[i].pc > w.fragments[pick].pc) meet = std::min(meet, w.fragments[i].pc);
      }
      std::uint64_t budget = others ? std::min(left, detail::fragment_quantum) : left;
      const std::uint64_t given = budget;
      asks_again_ = false;
      step(c, w, pick, meet, budget);
      worked_ |= !asks_again_;
      left -= std::min(left, given - budget);
      if (asks_again_ && !others) return;
      if (others && (budget == 0 || asks_again_) && pick < w.fragments.size()) passed_over = w.fragments[pick].pc;
      else passed_over = ~0u;
    }
  }

  static void merge(warp& w) {
    for (std::size_t i = 0; i < w.fragments.size(); ++i) {
      if (w.fragments[i].is != fragment::state::ready) continue;
      for (std::size_t k = i + 1; k < w.fragments.size();) {
        if (w.fragments[k].is == fragment::state::ready && w.fragments[k].pc == w.fragments[i].pc) {
          w.fragments[i].lanes |= w.fragments[k].lanes;
          w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(k));
        } else {
          ++k;
        }
      }
    }
  }

  // Runs one fragment until it branches apart, waits, ends, reaches `meet`, or
  // has used its budget.
  void step(detail::cta& c, warp& w, std::size_t pick, std::uint32_t meet, std::uint64_t& budget) {
    const op* const code = code_->code.data();
    std::uint32_t pc = w.fragments[pick].pc;
    const lane_mask lanes = w.fragments[pick].lanes;
    const int population = std::popcount(lanes);
    for (;;) {
      if (code[pc].leads) {
        if (budget == 0 || pc >= meet) break;
        bool stopped = false;
        if (native_.run(w, pc, lanes, meet, budget, stopped)) {
          if (stopped) {
            refuse(w);
            state_.stop |= seen_->enough();
            break;
          }
          if (code[pc].leads) continue;
        }
      }
      const op& o = code[pc];
      lane_mask active = lanes, doubtful = 0;
      w.pc = pc;
      if (o.guarded) {
        const lane_mask p = w.predicate(o.guard);
        active &= o.guard_negated ? ~p : p;
        if (w.tainted[o.guard.slot]) {
          // What an undefined guard happens to hold depends on how this machine
          // keeps its registers: such lanes stay where they are.
          const lane_mask bad = predicate_taint(w, o.guard) & lanes;
          active &= ~bad;
          doubtful = doubt(w, o, bad);
          // Before native code goes on, which looks only when something is called.
          if (seen_->enough() && (state_.stop = true)) break;
        }
      }
      ++state_.ticks;
      if (budget > 0) --budget;
      state_.thread_instructions += static_cast<std::uint64_t>(active == lanes ? population : std::popcount(active));
      if (state_.tally) [[unlikely]]
        state_.tally->issue(pc, active, lanes);
      // A .sync operation that the whole warp comes to waits for nobody.
      if (o.kind == flow::plain || (o.kind == flow::converge && active == w.live && same_members(w, o, active))) {
        if (active) {
          const std::uint8_t* t = w.tainted;
          if (o.taint && (t[o.s[0].slot] | t[o.s[1].slot] | t[o.s[2].slot] | t[o.s[3].slot] | t[o.d[0].slot] | t[o.d[1].slot] |
                          t[o.d[2].slot] | t[o.d[3].slot]))
            o.taint(w, o, active);
          if (w.flight.pending && !o.warpgroup) ops::check_flight(w, o, active);
          o.run(w, o, active);
          if (refuse(w)) break;
          if (state_.stop || (seen_->enough() && (state_.stop = true))) break;
        }
        if (doubtful) shade_doubtful(w, o, doubtful);
        ++pc;
        continue;
      }
      if (o.kind == flow::branch) {
        if (active == lanes) {
          pc = o.target;
          continue;
        }
        if (!active) {
          ++pc;
          continue;
        }
        w.fragments[pick].pc = pc + 1;
        w.fragments[pick].lanes = lanes & ~active;
        w.fragments.push_back({o.target, active});
        return;
      }
      if (o.kind == flow::call && active == lanes) {
        enter(w, o, pc, active);
        pc = o.target;
        continue;
      }
      w.fragments[pick].pc = pc;
      turn(c, w, pick, o, active);
      // Native code would go on to the next barrier before anybody looked.
      state_.stop |= seen_->enough();
      return;
    }
    w.fragments[pick].pc = pc;
  }

  bool refuse(const warp& w) {
    if (w.refusal) trouble_ = {reason::too_large, "one launch sequence touched more than " + std::to_string(global_->bound() >> 20) + " MB of memory"};
    return w.refusal != nullptr;
  }

  // Whether all lanes of a .sync operation name the same members, themselves
  // included.
  [[nodiscard]] static bool same_members(warp& w, const op& o, lane_mask active) noexcept {
    if (w.tainted[o.s[4].slot]) return false;
    const auto* members = w.lanes<std::uint32_t>(o.s[4]);
    const lane_mask first = members[std::countr_zero(active)];
    if (std::memcmp(members, members + 1, (warp_lanes - 1) * sizeof *members) == 0) return (~first & active) == 0;
    lane_mask other = 0;
    for (int l = 0; l < warp_lanes; ++l) other |= static_cast<lane_mask>(members[l] != first) << l;
    return ((other | ~first) & active) == 0;
  }

  // Lanes whose guard is undefined. That is told where the guard decides what
  // is done; where it only decides a value, the value becomes undefined.
  lane_mask doubt(warp& w, const op& o, lane_mask bad) {
    if (!bad || (o.kind == flow::plain && o.targets > 0)) return bad;
    report_undefined(w, std::countr_zero(bad), o.kind == flow::branch ? "the condition of a branch" : "the condition of a store");
    return 0;
  }

  void shade_doubtful(warp& w, const op& o, lane_mask bad) {
    for (int i = 0; i < o.targets; ++i) shade_target(w, o.d[i], bad);
    for (const ref& d : code_->more[o.more].d) shade_target(w, d, bad);
  }

  void shade_target(warp& w, ref d, lane_mask bad) {
    if (d.slot == 0) return;  // discarded
    switch (code_->registers[d.slot].bytes / warp_lanes) {
      case 16: shade_whole<unsigned __int128>(w, d, every_lane, bad); break;
      case 0: shade_predicate(w, d, every_lane, bad); break;
      case 1: shade_whole<std::uint8_t>(w, d, every_lane, bad); break;
      case 2: shade_whole<std::uint16_t>(w, d, every_lane, bad); break;
      case 4: shade_whole<std::uint32_t>(w, d, every_lane, bad); break;
      default: shade_whole<std::uint64_t>(w, d, every_lane, bad);
    }
  }

  // The lanes of `active` leave the fragment: what stays goes on behind `pc`.
  void split_off(warp& w, std::size_t pick, lane_mask active) {
    fragment& f = w.fragments[pick];
    const lane_mask rest = f.lanes & ~active;
    if (rest) w.fragments.push_back({f.pc + 1, rest});
    w.fragments[pick].lanes = active;
  }

  void enter(warp& w, const op& o, std::uint32_t pc, lane_mask active) {
    enter(w, code_->calls[static_cast<std::size_t>(o.imm)], pc, active);
  }
  void enter(warp& w, const call_site& site, std::uint32_t pc, lane_mask active) {
    if (!w.inside.empty()) {
      // Calls by pointer may close a circle that no text shows.
      if (w.inside[site.function] & active)
        trouble_ = {reason::not_supported, "not supported by the PTX machine: recursion (function " + code_->functions[site.function] + " reaches itself)"};
      w.inside[site.function] |= active;
    }
    auto* back = w.lanes<std::uint32_t>(code_->return_registers[site.function]);
    for (int l = 0; l < warp_lanes; ++l)
      if ((active >> l) & 1u) {
        back[l] = pc;
        for (const copy& k : site.in) copy_frame(w, l, k);
      }
  }

  static void copy_frame(warp& w, int lane, const copy& k) {
    const std::size_t base = static_cast<std::size_t>(lane) * w.frame_bytes;
    std::memmove(w.frames + base + k.to, w.frames + base + k.from, k.bytes);
    std::memmove(w.frame_shadow + base + k.to, w.frame_shadow + base + k.from, k.bytes);
  }

  // Everything that makes a fragment wait, end or fall apart.
  void turn(detail::cta& c, warp& w, std::size_t pick, const op& o, lane_mask active) {
    const std::uint32_t pc = w.fragments[pick].pc;
    if (!active) {
      w.fragments[pick].pc = pc + 1;
      return;
    }
    switch (o.kind) {
      case flow::exit: {
        split_off(w, pick, active);
        w.live &= ~active;
        c.live -= static_cast<std::uint64_t>(std::popcount(active));
        w.cluster_arrived &= w.live;
        ++exits_;
        w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(pick));
        wake_converging(w);
        release_barriers(c);
        if (c.live == 0) leave(c, w);
        if (running_->ctas.size() > 1) {
          if (std::none_of(c.warps.begin(), c.warps.end(), [](const warp& each) { return each.live != 0; })) leave_cluster(c, w);
          release_cluster();
        }
        return;
      }
      case flow::ret: {
        split_off(w, pick, active);
        const auto* back = w.lanes<std::uint32_t>(code_->return_registers[static_cast<std::size_t>(o.imm)]);
        w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(pick));
        while (active) {
          const std::uint32_t to = back[std::countr_zero(active)];
          lane_mask same = 0;
          for (int l = 0; l < warp_lanes; ++l)
            if (((active >> l) & 1u) && back[l] == to) same |= 1u << l;
          active &= ~same;
          const op& caller = code_->code[to];
          const auto callee = static_cast<std::uint32_t>(o.imm);
          if (!w.inside.empty()) w.inside[callee] &= ~same;
          std::size_t which = static_cast<std::size_t>(caller.imm);
          if (caller.kind == flow::call_pointer)
            for (const auto& k : code_->pointer_calls[static_cast<std::size_t>(caller.imm)].callees)
              if (k.function == callee) which = k.site;
          const call_site& site = code_->calls[which];
          for (int l = 0; l < warp_lanes; ++l)
            if ((same >> l) & 1u)
              for (const copy& k : site.out) copy_frame(w, l, k);
          w.fragments.push_back({to + 1, same});
        }
        return;
      }
      case flow::call: {
        split_off(w, pick, active);
        enter(w, o, pc, active);
        w.fragments[pick].pc = o.target;
        return;
      }
      case flow::call_pointer: {
        split_off(w, pick, active);
        const auto* at = w.lanes<std::uint64_t>(o.s[0]);
        const lane_mask bad = lane_taint<std::uint64_t>(w, o.s[0]) & active;
        if (bad) report_undefined(w, std::countr_zero(bad), "the address of a call");
        w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(pick));
        for (lane_mask left = active; left;) {
          const int first = std::countr_zero(left);
          lane_mask same = 0;
          for (int l = 0; l < warp_lanes; ++l)
            if (((left >> l) & 1u) && at[l] == at[first]) same |= lane_mask{1} << l;
          left &= ~same;
          const pointer_call::callee* callee = nullptr;
          for (const auto& k : code_->pointer_calls[static_cast<std::size_t>(o.imm)].callees)
            if (k.address == at[first]) callee = &k;
          if (callee && !callee->other) {
            enter(w, code_->calls[callee->site], pc, same);
            w.fragments.push_back({code_->function_starts[callee->function], same});
            continue;
          }
          if (seen_->first(pc, code::invalid_access))
            seen_->add(finding_at(state_, pc, code::invalid_access,
                                  thread_words(w, first) + " calls " + hex(at[first]) + (callee ? ", function " + code_->functions[callee->function] + ", with other parameters than it has" : ", where no function is")));
          state_.stop = true;  // where such a thread goes is anybody's guess
        }
        return;
      }
      case flow::converge: {
        // Lanes that name other members form a group of their own: the tiles of
        // a warp come here together, each with its own mask.
        split_off(w, pick, active);
        const auto* members = w.lanes<std::uint32_t>(o.s[4]);
        const lane_mask awaited = members[std::countr_zero(active)];
        lane_mask same = 0;
        for (int l = 0; l < warp_lanes; ++l)
          if (((active >> l) & 1u) && members[l] == awaited) same |= lane_mask{1} << l;
        if (same & ~awaited) tell_mask(w, pc, std::countr_zero(same & ~awaited), "names the members " + hex(awaited) + " of its warp, and is none of them");
        else if (awaited & active & ~same)
          tell_mask(w, pc, std::countr_zero(same), "names the members " + hex(awaited) + ", of which lane " + std::to_string(std::countr_zero(awaited & active & ~same)) +
                                                       " names others (" + hex(members[std::countr_zero(awaited & active & ~same)]) + ")");
        if (same != active) w.fragments.push_back({pc, active & ~same});
        fragment& f = w.fragments[pick];
        f.lanes = same;
        f.is = fragment::state::converging;
        f.awaited = awaited;
        wake_converging(w);
        return;
      }
      case flow::barrier: {
        split_off(w, pick, active);
        arrive(c, w, pick, o, active);
        return;
      }
      case flow::phase: {
        split_off(w, pick, active);
        ask(w, pick, o, active);
        return;
      }
      case flow::cluster: {
        split_off(w, pick, active);
        meet_cluster(w, pick, o, active);
        return;
      }
      case flow::unsupported: {
        const std::string* why = code_->complaint(pc);
        trouble_ = {reason::not_supported, why ? *why : "not supported by the PTX machine"};
        return;
      }
      case flow::indexed: {
        split_off(w, pick, active);
        const auto& targets = code_->tables[static_cast<std::size_t>(o.imm)];
        const auto* at = w.lanes<std::uint32_t>(o.s[0]);
        const lane_mask bad = lane_taint<std::uint32_t>(w, o.s[0]) & active;
        if (bad) report_undefined(w, std::countr_zero(bad), "the index of a branch");
        if (state_.tally) [[unlikely]] {
          lane_mask other = 0;  // of those that take it
          for (int l = 0; l < warp_lanes; ++l) other |= static_cast<lane_mask>(at[l] != at[std::countr_zero(active)]) << l;
          if (other & active) state_.tally->part(pc);
        }
        w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(pick));
        for (int l = 0; l < warp_lanes; ++l) {
          if (!((active >> l) & 1u)) continue;
          if (at[l] < targets.size()) {
            w.fragments.push_back({targets[at[l]], lane_mask{1} << l});
            continue;
          }
          if (seen_->first(pc, code::invalid_access))
            seen_->add(finding_at(state_, pc, code::invalid_access,
                                  thread_words(w, l) + " takes branch " + std::to_string(at[l]) + " of a list of " + std::to_string(targets.size())));
          state_.stop = true;  // where such a thread goes is anybody's guess
        }
        return;
      }
      case flow::plain:
      case flow::branch: return;  // step() does these
    }
  }

  // Fragments at one instruction whose lanes together are all that is awaited;
  // those at bar.warp.sync may be at several.
  void wake_converging(warp& w) {
    for (std::size_t i = 0; i < w.fragments.size(); ++i) {
      const fragment f = w.fragments[i];
      if (f.is != fragment::state::converging) continue;
      const op& o = code_->code[f.pc];
      const auto belongs = [&](const fragment& g) {
        return g.is == fragment::state::converging && g.awaited == f.awaited &&
               (g.pc == f.pc || (o.run == &ops::run_nothing && code_->code[g.pc].run == &ops::run_nothing));
      };
      lane_mask here = 0;
      for (const auto& g : w.fragments)
        if (belongs(g)) here |= g.lanes;
      if ((f.awaited & w.live) & ~here) continue;
      w.pc = f.pc;
      if (w.tainted[o.s[4].slot] && lane_taint<std::uint32_t>(w, o.s[4]) & here) report_undefined(w, std::countr_zero(here), "a member mask");
      o.run(w, o, here);
      for (auto& g : w.fragments)
        if (belongs(g)) {
          g.is = fragment::state::ready;
          ++g.pc;
        }
      merge(w);
      i = ~std::size_t{0};  // from the start again
    }
  }

  // ---- barriers of the CTA -------------------------------------------------------

  void arrive(detail::cta& c, warp& w, std::size_t pick, const op& o, lane_mask active) {
    const std::uint32_t which = w.lanes<std::uint32_t>(o.s[0])[std::countr_zero(active)];
    const auto told = [&](const std::string& how) {
      if (seen_->first(w.pc, code::barrier_divergence))
        seen_->add(finding_at(state_, w.pc, code::barrier_divergence, thread_words(w, std::countr_zero(active)) + " comes to barrier " + std::to_string(which) + how));
    };
    if (which > 15) {
      told(": a CTA has barriers 0 to 15");
      state_.stop = true;
      return;
    }
    detail::barrier_state& b = c.barriers[which];
    const std::uint64_t count = o.unit ? w.lanes<std::uint32_t>(o.s[1])[std::countr_zero(active)] : 0;
    const std::uint64_t whole = c.warps.size() * warp_lanes;
    if (o.unit && (count == 0 || count % warp_lanes != 0)) told(" with a count of " + std::to_string(count) + ", which is no multiple of 32");
    else if (count > whole) told(" with a count of " + std::to_string(count) + ": the CTA has no more than " + std::to_string(plan_->block.count()) + " threads");
    else if (b.in_use && (count ? count : whole) != (b.expected ? b.expected : whole))
      told(" with " + count_words(count) + " while others wait there with " + count_words(b.expected));
    b.in_use = true;
    c.in_use |= 1u << which;
    b.expected = count;
    if (static_cast<ops::barrier_kind>(o.imm) == ops::barrier_kind::arrive) {
      if (c.races) c.races->arrive(which, w.number);
      b.arrived += active == w.live ? warp_lanes : std::popcount(active);  // a divergent warp arrives in parts
      ++w.fragments[pick].pc;
      release_barriers(c);
      return;
    }
    w.fragments[pick].is = fragment::state::barrier;
    w.fragments[pick].barrier = which;
    b.waiting += static_cast<std::uint64_t>(std::popcount(active));
    release_barriers(c);
  }

  [[nodiscard]] static std::string count_words(std::uint64_t count) {
    return count ? "a count of " + std::to_string(count) : std::string("no count, which means every thread");
  }

  [[nodiscard]] static lane_mask waiting_at(const warp& w, std::uint32_t which) {
    lane_mask out = 0;
    for (const auto& f : w.fragments)
      if (f.is == fragment::state::barrier && f.barrier == which) out |= f.lanes;
    return out;
  }

  // A barrier without a count waits for every thread that has not exited; one
  // with a count for that many threads, whole warps at a time.
  void release_barriers(detail::cta& c) {
    for (std::uint32_t left = c.in_use; left; left &= left - 1) {
      const auto which = static_cast<std::uint32_t>(std::countr_zero(left));
      detail::barrier_state& b = c.barriers[which];
      if (!b.expected && b.waiting < c.live) continue;
      bool all = true, any = false;
      std::uint64_t threads = b.arrived;
      for (const auto& w : c.warps) {
        const lane_mask here = waiting_at(w, which);
        any |= here != 0;
        if (here && here == w.live) threads += warp_lanes;
        if (here != w.live) all = false;
      }
      if (b.expected ? threads < b.expected : !(all && any)) continue;
      check_together(c, which);
      if (c.races) order(c, which, b.expected == 0 || (b.arrived == 0 && threads == c.warps.size() * warp_lanes));
      release(c, which);
      ++c.shared.meetings;
      b = {};
      c.in_use &= ~(1u << which);
      ++state_.barriers;
    }
  }

  // What the threads at a barrier did is behind those who leave it; what exited
  // threads did only when the barrier is one of the whole CTA.
  void order(detail::cta& c, std::uint32_t which, bool all) {
    if (all) {
      c.races->meet();
    } else {
      for (const auto& w : c.warps)
        if (waiting_at(w, which)) c.races->arrive(which, w.number);
      for (const auto& w : c.warps)
        if (waiting_at(w, which)) c.races->leave(which, w.number);
    }
    c.races->done(which);
  }

  // Lanes of one warp must come to one instruction (PTX ISA, bar: .aligned);
  // that warps come to different ones is legal and seldom meant. Threads that
  // have exited are not waited for, as on the hardware since sm_70.
  void check_together(const detail::cta& c, std::uint32_t which) {
    const fragment* first = nullptr;
    const warp* of = nullptr;
    for (const auto& w : c.warps) {
      const fragment* mine = nullptr;
      for (const auto& f : w.fragments) {
        if (f.is != fragment::state::barrier || f.barrier != which) continue;
        const op& o = code_->code[f.pc];
        if (mine && mine->pc != f.pc && o.aligned) tell_apart(w, f, w, *mine, which, severity::fails);
        if (first && first->pc != f.pc && of != &w && !o.unit) tell_apart(w, f, *of, *first, which, severity::note);
        mine = &f;
        if (!first) {
          first = &f;
          of = &w;
        }
      }
    }
  }

  void tell_apart(const warp& w, const fragment& f, const warp& v, const fragment& g, std::uint32_t which, severity weight) {
    const bool note = weight == severity::note;
    if (!seen_->first(f.pc, code::barrier_divergence, weight)) return;
    finding told = finding_at(state_, f.pc, code::barrier_divergence,
                              thread_words(w, std::countr_zero(f.lanes)) + " waits at barrier " + std::to_string(which) + " (" + line_words(state_, f.pc) + ") with " +
                                  cta_races::thread_of(state_, v.number, static_cast<std::uint32_t>(std::countr_zero(g.lanes))) + ", which came to another instruction (" +
                                  line_words(state_, g.pc) + ")" + (note ? "" : ": all threads of a warp must come to the same one"));
    told.weight = weight;
    seen_->add(std::move(told));
  }

  void release(detail::cta& c, std::uint32_t which) {
    std::uint64_t yes = 0, total = 0;
    const auto each = [&](auto&& use) {
      for (auto& w : c.warps)
        for (auto& f : w.fragments)
          if (f.is == fragment::state::barrier && f.barrier == which) use(w, f);
    };
    each([&](warp& w, fragment& f) {
      const op& o = code_->code[f.pc];
      if (o.imm < static_cast<std::int64_t>(ops::barrier_kind::popc)) return;
      const lane_mask p = o.is_signed ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
      yes += static_cast<std::uint64_t>(std::popcount(p & f.lanes));
      total += static_cast<std::uint64_t>(std::popcount(f.lanes));
    });
    each([&](warp& w, fragment& f) {
      const op& o = code_->code[f.pc];
      switch (static_cast<ops::barrier_kind>(o.imm)) {
        case ops::barrier_kind::popc: {
          std::uint32_t out[warp_lanes];
          for (auto& x : out) x = static_cast<std::uint32_t>(yes);
          keep(w, o.d[0], out, f.lanes);
          ops::clear_taint(w, o.d[0], 4, f.lanes);
          break;
        }
        case ops::barrier_kind::all:
        case ops::barrier_kind::any: {
          const bool hit = static_cast<ops::barrier_kind>(o.imm) == ops::barrier_kind::all ? yes == total : yes > 0;
          lane_mask& d = w.predicate(o.d[0]);
          d = (d & ~f.lanes) | (hit ? f.lanes : 0);
          shade_predicate(w, o.d[0], 0, f.lanes);
          break;
        }
        default: break;
      }
      f.is = fragment::state::ready;
      ++f.pc;
    });
  }

  // ---- mbarriers ------------------------------------------------------------------

  // What test_wait or try_wait says to a fragment, which goes on.
  void answer(warp& w, fragment& f, bool over) {
    const ref d = code_->code[f.pc].d[0];
    lane_mask& p = w.predicate(d);
    p = over ? p | f.lanes : p & ~f.lanes;
    shade_predicate(w, d, 0, f.lanes);
    f.is = fragment::state::ready;
    ++f.pc;
  }

  // test_wait answers at once; try_wait (unit 1) parks the lanes whose phase is
  // not over until it is.
  void ask(warp& w, std::size_t pick, const op& o, lane_mask active) {
    const std::uint32_t pc = w.fragments[pick].pc;
    w.pc = pc;
    const ops::lane_addresses a = ops::addresses(w, o, active);
    const lane_mask unknown = !w.tainted[o.s[1].slot] ? 0 : active & (o.is_signed ? lane_taint<std::uint32_t>(w, o.s[1]) : lane_taint<std::uint64_t>(w, o.s[1]));
    if (unknown) report_undefined(w, std::countr_zero(unknown), "the phase of an mbarrier");
    if (a.active != active || unknown) {
      state_.stop = true;  // who does not know what it waits for waits for ever
      return;
    }
    struct group { lane_mask lanes = 0; std::uint64_t at = 0; std::uint32_t phase = 0; };
    group waiting[warp_lanes];
    std::size_t groups = 0;
    lane_mask over = 0;
    const auto value_of = [&](int l) { return o.is_signed ? w.lanes<std::uint32_t>(o.s[1])[l] : w.lanes<std::uint64_t>(o.s[1])[l]; };
    int asked = -1;                 // the last lane that was not told as another
    std::size_t into = warp_lanes;  // the group in which it waits
    for (lane_mask left = active; left; left &= left - 1) {
      const int l = std::countr_zero(left);
      // Most often all lanes ask the same.
      if (asked >= 0 && a.at[l] == a.at[asked] && value_of(l) == value_of(asked)) {
        (into < groups ? waiting[into].lanes : over) |= lane_mask{1} << l;
        continue;
      }
      asked = l;
      into = warp_lanes;
      const shared_place p = ops::place_mbarrier(w, l, a.at[l], o.where, true);
      const char* wrong = nullptr;
      std::uint32_t phase = 0;
      if (p.of == w.shared) {
        phase = ops::awaited_phase(w, o, l, ops::read_mbarrier(*p.of, p.at), wrong);
      } else if (p.of) {
        wrong = "only threads of its own CTA may";
      }
      if (wrong) ops::report_mbarrier(w, l, p.at, "waits for", wrong);
      if (wrong || !p.of) {
        state_.stop = true;
        return;
      }
      if (!is_over(w, p.at, phase)) {
        std::size_t same = 0;
        while (same < groups && (waiting[same].at != p.at || waiting[same].phase != phase)) ++same;
        if (same == groups) waiting[groups++] = {0, p.at, phase};
        waiting[same].lanes |= lane_mask{1} << l;
        into = same;
      } else {
        over |= lane_mask{1} << l;
        if (w.shared_races) w.shared_races->acquire_shared(static_cast<std::uint32_t>(p.at), w.number);
      }
    }
    w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(pick));
    const auto add = [&](lane_mask lanes) -> fragment& {
      w.fragments.push_back({pc, lanes});
      return w.fragments.back();
    };
    if (over) answer(w, add(over), true);
    for (std::size_t i = 0; i < groups; ++i) {
      const group& g = waiting[i];
      fragment& f = add(g.lanes);
      if (!o.unit) {
        answer(w, f, false);
        asks_again_ = true;
        continue;
      }
      f.is = fragment::state::phase;
      f.barrier = static_cast<std::uint32_t>(g.at);
      f.phase = g.phase;
    }
  }

  // Copies that the phase needs are done now, when somebody asks for it.
  bool is_over(warp& w, std::uint64_t at, std::uint32_t phase) {
    if (ops::read_mbarrier(*w.shared, at).phase != phase) return true;
    ops::settle(state_, *w.cluster, w.rank, at, phase);
    return ops::is_mbarrier(*w.shared, at) && ops::read_mbarrier(*w.shared, at).phase != phase;
  }

  void wake_waiting(warp& w) {
    for (fragment& f : w.fragments) {
      if (f.is == fragment::state::phase) {
        if (!ops::is_mbarrier(*w.shared, f.barrier)) {
          w.pc = f.pc;
          ops::report_mbarrier(w, std::countr_zero(f.lanes), f.barrier, "waits for", "it was ended meanwhile");
          state_.stop = true;
          return;
        }
        if (!is_over(w, f.barrier, f.phase)) continue;
        if (w.shared_races) w.shared_races->acquire_shared(f.barrier, w.number);
        answer(w, f, true);
      } else if (f.is == fragment::state::cluster && !(f.lanes & w.cluster_arrived)) {
        w.cluster_owes &= ~f.lanes;
        f.is = fragment::state::ready;
        ++f.pc;
      }
    }
  }

  // ---- the barrier of a cluster -----------------------------------------------------

  void meet_cluster(warp& w, std::size_t pick, const op& o, lane_mask active) {
    fragment& f = w.fragments[pick];
    w.pc = f.pc;
    const lane_mask wrong = o.imm == 0 ? active & w.cluster_owes : active & ~w.cluster_owes;
    if (wrong) {
      if (seen_->first(w.pc, code::barrier_divergence))
        seen_->add(finding_at(state_, w.pc, code::barrier_divergence,
                              thread_words(w, std::countr_zero(wrong)) +
                                  (o.imm == 0 ? " arrives at the barrier of the cluster again without having waited for it"
                                              : " waits at the barrier of the cluster without having arrived")));
      state_.stop = true;
      return;
    }
    if (o.imm == 0) {
      w.cluster_arrived |= active;
      w.cluster_owes |= active;
      if (!o.is_signed) w.shared->tell_births(w.number, active);
      ++f.pc;
      release_cluster();
      return;
    }
    f.is = fragment::state::cluster;
    wake_waiting(w);
  }

  // A CTA's last thread exits: the copy engine may not be reading its shared
  // memory any more.
  void leave(const detail::cta& c, const warp& w) {
    for (const bulk_copy& b : running_->state.flying) {
      if (!b.ticket || b.rank != w.rank) continue;
      if (seen_->first(b.pc, code::in_flight_access))
        seen_->add(finding_at(state_, b.pc, code::in_flight_access,
                              cta_words(state_, c.number) + " exits while the copy engine may still read " + bytes_words(b.bytes) + " of its shared memory at " + hex(b.from) +
                                  ", because no cp.async.bulk.wait_group of " + cta_races::thread_of(state_, b.thread / warp_lanes, b.thread % warp_lanes) + " stands behind the copy"));
      return;
    }
  }

  // A CTA's last thread exits: nobody may be using its shared memory.
  void leave_cluster(detail::cta& c, const warp& w) {
    running_->state.exited[w.rank] = 1;
    if (!c.shared.visited || !seen_->first(c.shared.visited_at, code::invalid_access)) return;
    seen_->add(finding_at(state_, c.shared.visited_at, code::invalid_access,
                          cta_words(state_, c.number) + " exits after threads of rank " + std::to_string(c.shared.visitor) +
                              " of its cluster used its shared memory, and nothing made it wait until they had"));
  }

  // Once every thread of the cluster that has not exited has arrived.
  void release_cluster() {
    bool any = false;
    for (const auto& c : running_->ctas)
      for (const auto& w : c->warps) {
        if (w.live & ~w.cluster_arrived) return;
        any |= w.cluster_arrived != 0;
      }
    if (!any) return;
    for (auto& c : running_->ctas) {
      for (auto& w : c->warps) w.cluster_arrived = 0;
      if (c->races) c->races->meet();
      ++c->shared.meetings;
      c->shared.visited = false;
    }
    ++state_.barriers;
  }

  // ---- nobody can go on ---------------------------------------------------------------

  [[nodiscard]] std::string waits_for(const detail::cluster& all, const warp& w, const fragment& f) const {
    switch (f.is) {
      case fragment::state::barrier: return " wait at barrier " + std::to_string(f.barrier);
      case fragment::state::converging: return " wait for lanes " + hex(f.awaited) + " of their warp";
      case fragment::state::cluster: {
        std::uint64_t missing = 0;
        for (const auto& c : all.ctas)
          for (const auto& each : c->warps) missing += static_cast<std::uint64_t>(std::popcount(each.live & ~each.cluster_arrived));
        return " wait at the barrier of the cluster for " + std::to_string(missing) + " more threads";
      }
      case fragment::state::phase: {
        const ops::mbarrier b = ops::read_mbarrier(*w.shared, f.barrier);
        std::string lacks = std::to_string(b.pending) + " of " + std::to_string(b.expected) + " arrivals";
        if (b.transaction) lacks += " and " + std::to_string(b.transaction) + " bytes of copies";
        return " wait for phase " + std::to_string(f.phase) + " of the mbarrier at " + hex(f.barrier) + " of shared memory, which lacks " + lacks;
      }
      case fragment::state::ready: return " test an mbarrier whose phase does not end";
    }
    return "";
  }

  void tell_mask(const warp& w, std::uint32_t pc, int lane, const std::string& how) {
    if (seen_->first(pc, code::mask_misuse)) seen_->add(finding_at(state_, pc, code::mask_misuse, thread_words(w, lane) + " " + how));
  }

  // A deadlock that a count or a mask explains.
  void explain_deadlock(const detail::cta& c) {
    for (const auto& w : c.warps)
      for (const auto& f : w.fragments) {
        if (f.is == fragment::state::barrier && c.barriers[f.barrier].expected) {
          std::uint64_t came = c.barriers[f.barrier].arrived;
          for (const auto& v : c.warps) came += waiting_at(v, f.barrier) ? warp_lanes : 0;
          if (seen_->first(f.pc, code::barrier_divergence))
            seen_->add(finding_at(state_, f.pc, code::barrier_divergence,
                                  thread_words(w, std::countr_zero(f.lanes)) + " waits at barrier " + std::to_string(f.barrier) + " for " + std::to_string(c.barriers[f.barrier].expected) +
                                      " threads; " + std::to_string(came) + " came and no more can"));
        }
        if (f.is != fragment::state::converging) continue;
        for (const auto& g : w.fragments)
          if (g.is == fragment::state::converging && g.awaited != f.awaited && (f.awaited & g.lanes))
            tell_mask(w, f.pc, std::countr_zero(f.lanes), "waits for the members " + hex(f.awaited) + ", of which lane " + std::to_string(std::countr_zero(f.awaited & g.lanes)) +
                                                              " waits for others (" + hex(g.awaited) + ", " + line_words(state_, g.pc) + ")");
      }
  }

  // Every thread of the cluster waits for one that waits.
  void report_deadlock(detail::cluster& all) {
    std::string who;
    std::uint32_t pc = 0;
    int told = 0;
    for (const auto& c : all.ctas)
      for (const auto& w : c->warps)
        for (const auto& f : w.fragments) {
          pc = std::max(pc, f.pc);
          if (told == 4) continue;
          ++told;
          who += (who.empty() ? "" : "; ") + std::to_string(std::popcount(f.lanes)) + " threads of warp " + std::to_string(w.number) +
                 (all.ctas.size() > 1 ? " of rank " + std::to_string(w.rank) : "") + waits_for(all, w, f) + " (" + line_words(state_, f.pc) + ")";
        }
    for (const auto& c : all.ctas) explain_deadlock(*c);
    if (seen_->first(pc, code::deadlock))
      seen_->add(finding_at(state_, pc, code::deadlock,
                            (all.ctas.size() > 1 ? "the cluster of " : "") + cta_words(state_, all.ctas[0]->number) + " can never go on: " + who + "; nobody is left to arrive"));
    state_.stop = true;
  }

  memory* global_;
  watch* seen_;
  const program* code_ = nullptr;
  const launch_plan* plan_ = nullptr;
  launch_state state_;
  launch_races races_;
  std::unique_ptr<kept_products> kept_;
  detail::cta_maker maker_;
  fault trouble_{reason::internal, ""};
  bool starving_ = false, was_starving_ = false;
  jit::runner native_;
  std::uint64_t drawn_ = 0;  // by an adversarial schedule
  detail::cluster* running_ = nullptr;
  bool asks_again_ = false;    // a fragment stopped at a test_wait that said no
  bool worked_ = false;        // some fragment of a warp's turn did not
  std::uint64_t exits_ = 0;
};

}  // namespace skillbench::ptx
