#pragma once
// ptx/machine.hpp: runs the launches of a program: CTAs, warps, fragments.
//
// Layer   3. Includes decoder's program, warp, watch and memory.
// Order   CTAs run one after the other, in a seeded order; one that runs long
//         is set aside while others start, so that CTAs may wait for each
//         other. In a CTA, warps take turns: each runs until all its lanes wait
//         or its quantum is used up. In a warp, the fragment at the lowest
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
#include <string>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/ptx/memory.hpp>
#include <skillbench/ptx/ops/control.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/report.hpp>
#include <skillbench/ptx/warp.hpp>
#include <skillbench/ptx/watch.hpp>

namespace skillbench::ptx {

struct launch_plan {
  extent grid, block;
  std::uint64_t dynamic_shared = 0;      // bytes
  std::vector<std::byte> parameters;     // the kernel's parameter block
  std::uint64_t seed = 0;                // order of CTAs and warps
  std::uint64_t most_instructions = 0;   // warp instructions; 0: no bound
  std::vector<std::uint64_t> ctas;       // not empty: only these, in this order
};

struct launch_counts {
  std::uint64_t warp_instructions = 0, thread_instructions = 0;
  std::uint64_t load_sectors = 0, store_sectors = 0, barriers = 0;
};

namespace detail {

inline constexpr std::uint64_t warp_quantum = 20'000;      // instructions
inline constexpr std::uint64_t fragment_quantum = 4'000;
inline constexpr std::uint64_t cta_quantum = 4'000'000;
inline constexpr std::size_t most_resident = 132;          // CTAs at a time

struct barrier_state {
  std::uint64_t arrived = 0;       // threads, whole warps
  std::uint64_t expected = 0;      // 0: every thread that has not exited
  bool in_use = false;
};

struct cta {
  std::uint64_t number = 0;
  std::vector<warp> warps;
  shared_memory shared;
  barrier_state barriers[16];
  std::size_t turn = 0;
  std::uint64_t ran = 0;  // instructions in this visit
};

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
    state_.parameters = plan.parameters;
    state_.parameters.resize(std::max<std::size_t>(code.parameter_bytes, plan.parameters.size()));
    trouble_ = fault{reason::internal, ""};
    seen_->next_launch();

    const auto ctas = plan.ctas.empty() ? static_cast<std::uint64_t>(plan.grid.count())
                                        : static_cast<std::uint64_t>(plan.ctas.size());
    const std::uint64_t stride = order_stride(ctas, plan.seed);
    std::deque<std::unique_ptr<detail::cta>> resident;
    std::vector<std::unique_ptr<detail::cta>> spare;
    std::uint64_t started = 0, at = ctas ? plan.seed % ctas : 0;
    while ((started < ctas || !resident.empty()) && !state_.stop) {
      if (resident.empty() || (starving_ && resident.size() < detail::most_resident && started < ctas)) {
        std::unique_ptr<detail::cta> fresh;
        if (!spare.empty()) {
          fresh = std::move(spare.back());
          spare.pop_back();
        } else {
          fresh = std::make_unique<detail::cta>();
          prepare(*fresh);
        }
        begin(*fresh, plan.ctas.empty() ? at : plan.ctas[at]);
        at = (at + stride) % ctas;
        ++started;
        starving_ = false;
        resident.push_front(std::move(fresh));
      }
      detail::cta& now = *resident.front();
      const detail::pause why = run(now);
      if (trouble_.why != reason::internal) return trouble_;
      if (why == detail::pause::finished) {
        spare.push_back(std::move(resident.front()));
        resident.pop_front();
      } else if (why == detail::pause::quantum) {
        starving_ = true;
        resident.push_back(std::move(resident.front()));
        resident.pop_front();
      } else if (why == detail::pause::waits) {
        report_deadlock(now);
        break;
      }
    }
    launch_counts out;
    out.warp_instructions = state_.ticks;
    out.thread_instructions = state_.thread_instructions;
    out.load_sectors = state_.load_sectors;
    out.store_sectors = state_.store_sectors;
    out.barriers = state_.barriers;
    return out;
  }

 private:
  // A stride without a common factor visits every CTA once. Small strides keep
  // neighbours together; seed 0 is the plain order.
  static std::uint64_t order_stride(std::uint64_t n, std::uint64_t seed) {
    static constexpr std::uint64_t primes[] = {1, 1, 3, 5, 7, 11, 13, 17};
    const std::uint64_t p = primes[(seed >> 32) % 8];
    return n % p == 0 ? 1 : p;
  }

  // ---- a CTA ------------------------------------------------------------------

  void prepare(detail::cta& c) {
    const auto threads = static_cast<std::uint64_t>(plan_->block.count());
    c.warps.resize((threads + warp_lanes - 1) / warp_lanes);
    for (std::size_t i = 0; i < c.warps.size(); ++i) {
      warp& w = c.warps[i];
      w.number = static_cast<std::uint32_t>(i);
      w.launch = &state_;
      const std::size_t lines = code_->file_bytes / 64 + 4;
      w.storage.assign(lines, file_line{});
      w.shade_storage.assign(lines, file_line{});
      w.taint_storage.assign(code_->slots, 0);
      w.file = w.storage[0].bytes;
      w.shade = w.shade_storage[0].bytes;
      w.tainted = w.taint_storage.data();
      w.frame_bytes = static_cast<std::uint32_t>(aligned16(code_->frame_bytes));
      w.frame_storage.assign(std::size_t{w.frame_bytes} * warp_lanes, std::byte{});
      w.frame_shadow_storage.assign(std::size_t{w.frame_bytes} * warp_lanes, unwritten);
      w.frames = w.frame_storage.data();
      w.frame_shadow = w.frame_shadow_storage.data();
      for (const auto& k : code_->constants) fill_constant(w, k);
      for (const auto& s : code_->specials) fill_special(w, s.what, s.where, 0);
    }
    // Without a dynamic part the last variable ends it: no slack to fall into.
    c.shared.data.resize(plan_->dynamic_shared ? code_->dynamic_offset + plan_->dynamic_shared : code_->static_shared);
    c.shared.shadow.resize(c.shared.data.size());
  }

  static std::uint64_t aligned16(std::uint64_t n) { return (n + 15) / 16 * 16; }

  void begin(detail::cta& c, std::uint64_t number) {
    c.number = number;
    c.turn = (plan_->seed >> 16) % c.warps.size();
    const auto threads = static_cast<std::uint64_t>(plan_->block.count());
    for (auto& w : c.warps) {
      w.shared = &c.shared;
      w.cta = number;
      const std::uint64_t first = std::uint64_t{w.number} * warp_lanes;
      const std::uint64_t n = std::min<std::uint64_t>(warp_lanes, threads - first);
      w.live = n == warp_lanes ? every_lane : (lane_mask{1} << n) - 1;
      w.fragments.clear();
      w.fragments.push_back({0, w.live});
      w.refusal = nullptr;
      for (std::uint32_t s = 0; s < code_->slots; ++s)
        if (w.tainted[s]) {
          std::fill(w.shade_storage.begin(), w.shade_storage.end(), file_line{});
          std::fill(w.taint_storage.begin(), w.taint_storage.end(), std::uint8_t{0});
          break;
        }
      for (std::size_t i = 0; i < code_->born_undefined.size(); ++i) {
        const ref r = code_->born_undefined[i];
        std::memset(w.shade + r.offset, 0xff, code_->undefined_bytes[i]);
        w.tainted[r.slot] = 1;
      }
      for (const auto& s : code_->specials)
        if ((s.what >= special::ctaid_x && s.what <= special::ctaid_z) || s.what == special::smid)
          fill_special(w, s.what, s.where, number);
      if (w.frame_bytes) std::fill(w.frame_shadow_storage.begin(), w.frame_shadow_storage.end(), static_cast<std::uint8_t>(unwritten));
    }
    c.shared.start(c.warps.size(), code_->notes_stores);
    for (auto& b : c.barriers) b = {};
  }

  void fill_constant(warp& w, const constant& k) {
    if (k.width == 0) {
      w.predicate(k.where) = static_cast<lane_mask>(k.bits);
      return;
    }
    for (int l = 0; l < warp_lanes; ++l) std::memcpy(w.file + k.where.offset + static_cast<std::size_t>(l) * k.width, &k.bits, k.width);
  }

  void fill_special(warp& w, special what, ref where, std::uint64_t cta) {
    auto* to = w.lanes<std::uint32_t>(where);
    const extent& b = plan_->block;
    const extent& g = plan_->grid;
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
        case special::dynamic_smem_size: v = static_cast<std::int64_t>(plan_->dynamic_shared); break;
        case special::total_smem_size: v = static_cast<std::int64_t>(code_->dynamic_offset + plan_->dynamic_shared); break;
        case special::zero: v = 0; break;
        case special::one: v = 1; break;
      }
      to[l] = static_cast<std::uint32_t>(v);
    }
  }

  detail::pause run(detail::cta& c) {
    c.ran = 0;
    for (;;) {
      bool progress = false, alive = false;
      for (std::size_t i = 0; i < c.warps.size(); ++i) {
        warp& w = c.warps[c.turn];
        c.turn = (c.turn + 1) % c.warps.size();
        if (!w.live) continue;
        alive = true;
        const std::uint64_t before = state_.ticks;
        run(c, w);
        c.ran += state_.ticks - before;
        progress |= state_.ticks != before;
        if (state_.stop || trouble_.why != reason::internal) return detail::pause::stopped;
        if (plan_->most_instructions && state_.ticks >= plan_->most_instructions) {
          trouble_ = {reason::too_slow, "stopped after " + std::to_string(state_.ticks) + " warp instructions of one launch"};
          return detail::pause::stopped;
        }
      }
      if (!alive) return detail::pause::finished;
      if (!progress) return detail::pause::waits;
      if (c.ran >= detail::cta_quantum) return detail::pause::quantum;
    }
  }

  // ---- a warp -----------------------------------------------------------------

  // Runs fragments until all wait, all have exited, or the quantum is used up.
  void run(detail::cta& c, warp& w) {
    std::uint64_t left = detail::warp_quantum;
    std::uint32_t passed_over = ~0u;  // fairness: a fragment that spun too long
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
      step(c, w, pick, meet, budget);
      left -= std::min(left, given - budget);
      if (others && budget == 0 && pick < w.fragments.size()) passed_over = w.fragments[pick].pc;
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
    while (budget > 0) {
      if (pc >= meet) break;
      const op& o = code[pc];
      lane_mask active = lanes, doubtful = 0;
      w.pc = pc;
      if (o.guarded) {
        const lane_mask p = w.predicate(o.guard);
        active &= o.guard_negated ? ~p : p;
        if (w.tainted[o.guard.slot]) doubtful = doubt(w, o, lanes);
      }
      ++state_.ticks;
      --budget;
      state_.thread_instructions += static_cast<std::uint64_t>(active == lanes ? population : std::popcount(active));
      // A .sync operation that the whole warp comes to waits for nobody.
      if (o.kind == flow::plain || (o.kind == flow::converge && active == w.live && same_members(w, o, active))) {
        if (active) {
          const std::uint8_t* t = w.tainted;
          if (o.taint && (t[o.s[0].slot] | t[o.s[1].slot] | t[o.s[2].slot] | t[o.s[3].slot] | t[o.d[0].slot] | t[o.d[1].slot] |
                          t[o.d[2].slot] | t[o.d[3].slot]))
            o.taint(w, o, active);
          o.run(w, o, active);
          if (w.refusal) {
            trouble_ = {reason::too_large, "one launch sequence touched more than " + std::to_string(global_->bound() >> 20) + " MB of memory"};
            break;
          }
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
      return;
    }
    w.fragments[pick].pc = pc;
  }

  // Whether all lanes of a .sync operation name the same members.
  [[nodiscard]] static bool same_members(warp& w, const op& o, lane_mask active) noexcept {
    if (w.tainted[o.s[4].slot]) return false;
    const auto* members = w.lanes<std::uint32_t>(o.s[4]);
    const lane_mask first = members[std::countr_zero(active)];
    lane_mask other = 0;
    for (int l = 0; l < warp_lanes; ++l) other |= static_cast<lane_mask>(members[l] != first) << l;
    return (other & active) == 0;
  }

  // Lanes whose guard is undefined. That is told where the guard decides what
  // is done; where it only decides a value, the value becomes undefined.
  lane_mask doubt(warp& w, const op& o, lane_mask lanes) {
    const lane_mask bad = predicate_taint(w, o.guard) & lanes;
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
    const call_site& site = code_->calls[static_cast<std::size_t>(o.imm)];
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
        w.fragments.erase(w.fragments.begin() + static_cast<std::ptrdiff_t>(pick));
        wake_converging(w);
        release_barriers(c);
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
          const call_site& site = code_->calls[static_cast<std::size_t>(code_->code[to].imm)];
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
      case flow::converge: {
        // Lanes that name other members form a group of their own: the tiles of
        // a warp come here together, each with its own mask.
        split_off(w, pick, active);
        const auto* members = w.lanes<std::uint32_t>(o.s[4]);
        const lane_mask awaited = members[std::countr_zero(active)];
        lane_mask same = 0;
        for (int l = 0; l < warp_lanes; ++l)
          if (((active >> l) & 1u) && members[l] == awaited) same |= lane_mask{1} << l;
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
    if (which > 15) {
      trouble_ = {reason::not_supported, "not supported by the PTX machine: barrier " + std::to_string(which) + " of 16"};
      return;
    }
    detail::barrier_state& b = c.barriers[which];
    const std::uint64_t count = o.unit ? w.lanes<std::uint32_t>(o.s[1])[std::countr_zero(active)] : 0;
    b.in_use = true;
    b.expected = count;
    if (static_cast<ops::barrier_kind>(o.imm) == ops::barrier_kind::arrive) {
      b.arrived += active == w.live ? warp_lanes : std::popcount(active);  // a divergent warp arrives in parts
      ++w.fragments[pick].pc;
      release_barriers(c);
      return;
    }
    w.fragments[pick].is = fragment::state::barrier;
    w.fragments[pick].barrier = which;
    release_barriers(c);
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
    for (std::uint32_t which = 0; which < 16; ++which) {
      detail::barrier_state& b = c.barriers[which];
      if (!b.in_use) continue;
      bool all = true, any = false;
      std::uint64_t threads = b.arrived;
      for (const auto& w : c.warps) {
        const lane_mask here = waiting_at(w, which);
        any |= here != 0;
        if (here && here == w.live) threads += warp_lanes;
        if (here != w.live) all = false;
      }
      if (b.expected ? threads < b.expected : !(all && any)) continue;
      release(c, which);
      ++c.shared.meetings;
      b = {};
      ++state_.barriers;
    }
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

  // Every thread of the CTA waits for one that waits.
  void report_deadlock(detail::cta& c) {
    std::string who;
    std::uint32_t pc = 0;
    int told = 0;
    for (const auto& w : c.warps)
      for (const auto& f : w.fragments) {
        pc = std::max(pc, f.pc);
        if (told == 4) continue;
        ++told;
        const origin& from = code_->origins[code_->code[f.pc].source];
        who += (who.empty() ? "" : "; ") + std::to_string(std::popcount(f.lanes)) + " threads of warp " + std::to_string(w.number) +
               (f.is == fragment::state::barrier ? " wait at barrier " + std::to_string(f.barrier)
                                                 : " wait for lanes " + hex(f.awaited) + " of their warp") +
               (from.line > 0 ? " (line " + std::to_string(from.line) + ")" : " (PTX line " + std::to_string(from.ptx_line) + ")");
      }
    if (seen_->first(pc, code::deadlock))
      seen_->add(finding_at(state_, pc, code::deadlock,
                            cta_words(state_, c.number) + " can never go on: " + who + "; nobody is left to arrive"));
    state_.stop = true;
  }

  memory* global_;
  watch* seen_;
  const program* code_ = nullptr;
  const launch_plan* plan_ = nullptr;
  launch_state state_;
  fault trouble_{reason::internal, ""};
  bool starving_ = false;
};

}  // namespace skillbench::ptx
