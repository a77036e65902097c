#pragma once
// ptx/ops/mbarrier.hpp: barriers in shared memory, with transactions, and fences.
//
// Layer   3.
// Source  PTX ISA 9.0, "mbarrier" and its operations, "membar, fence",
//         "cp.async.mbarrier.arrive".
// Shapes  all of an mbarrier's state is in its 64-bit word: 20 bits that every
//         phase expects, 20 that the current one still waits for, 21 of
//         transactions (biased, in bytes) and 3 of the number of the phase, so
//         that a phase long over is told from the latest one. Its bytes are
//         shadowed `mbarrier_bytes`: only what was initialised is an mbarrier.
// Order   Copies that signal an mbarrier are done when somebody waits for a
//         phase that needs them, and no earlier.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/guard.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/async.hpp>

namespace skillbench::ptx::ops {

inline constexpr std::int64_t most_arrivals = (1 << 20) - 1;
inline constexpr std::int64_t most_transaction = (1 << 20) - 1;

struct mbarrier {
  std::int64_t expected = 0;     // arrivals of a phase
  std::int64_t pending = 0;      // arrivals that the current phase lacks
  std::int64_t transaction = 0;  // bytes that it lacks; below 0: came early
  std::uint32_t phase = 0;       // modulo 8

  [[nodiscard]] static mbarrier from(std::uint64_t word) noexcept {
    mbarrier b;
    b.expected = static_cast<std::int64_t>(word & 0xfffff);
    b.pending = static_cast<std::int64_t>((word >> 20) & 0xfffff);
    b.transaction = static_cast<std::int64_t>((word >> 40) & 0x1fffff) - (1 << 20);
    b.phase = static_cast<std::uint32_t>(word >> 61);
    return b;
  }
  [[nodiscard]] std::uint64_t word() const noexcept {
    return static_cast<std::uint64_t>(expected) | (static_cast<std::uint64_t>(pending) << 20) |
           (static_cast<std::uint64_t>(transaction + (1 << 20)) << 40) | (std::uint64_t{phase} << 61);
  }
};

[[nodiscard]] inline bool is_mbarrier(const shared_memory& of, std::uint64_t at) {
  if (at % 8 || at > of.data.size() || of.data.size() - at < 8) return false;
  for (int i = 0; i < 8; ++i)
    if (of.shadow[at + static_cast<std::uint64_t>(i)] != mbarrier_bytes) return false;
  return true;
}
[[nodiscard]] inline mbarrier read_mbarrier(const shared_memory& of, std::uint64_t at) {
  std::uint64_t word;
  std::memcpy(&word, of.data.data() + at, 8);
  return mbarrier::from(word);
}
inline void write_mbarrier(shared_memory& of, std::uint64_t at, const mbarrier& b) {
  const std::uint64_t word = b.word();
  of.matrices.change(at, 8);
  std::memcpy(of.data.data() + at, &word, 8);
}

// Ends the phase when nothing is missing any more.
inline void complete_phase(launch_state& launch, shared_memory& of, mbarrier& b) {
  if (b.pending != 0 || b.transaction != 0) return;
  b.phase = (b.phase + 1) % 8;
  b.pending = b.expected;
  ++of.meetings;
  of.visited = false;
  ++launch.phases;
}

// What an operation found wrong, null when nothing was.
inline const char* arrive(launch_state& launch, shared_memory& of, std::uint64_t at, std::int64_t count, bool drop = false) {
  mbarrier b = read_mbarrier(of, at);
  if (count > b.pending) return "its current phase lacks fewer arrivals: it is overrun";
  b.pending -= count;
  if (drop) b.expected -= count;
  complete_phase(launch, of, b);
  write_mbarrier(of, at, b);
  return nullptr;
}

inline const char* change_transaction(launch_state& launch, shared_memory& of, std::uint64_t at, std::int64_t by, bool completes) {
  mbarrier b = read_mbarrier(of, at);
  b.transaction += by;
  if (b.transaction > most_transaction || b.transaction < -most_transaction) return "its transaction count holds no more than 1048575 bytes";
  if (completes) complete_phase(launch, of, b);
  write_mbarrier(of, at, b);
  return nullptr;
}

inline void report_mbarrier(warp& w, int lane, std::uint64_t at, const std::string& does, const std::string& how) {
  if (!w.launch->seen->first(w.pc, code::mbarrier_misuse)) return;
  w.launch->seen->add(finding_at(*w.launch, w.pc, code::mbarrier_misuse,
                                 thread_words(w, lane) + " " + does + " the mbarrier at " + hex(at) + " of shared memory: " + how));
}

// Who uses an mbarrier that another thread of the cluster, or the copy engine,
// may not know of yet. With a barrier of its CTA in between, the engine is known
// to find it (the CUDA library itself counts on that): a note.
inline void check_birth(warp& w, int lane, const shared_place& p, bool engine) {
  if (p.of->births.empty() || (!engine && p.rank == w.rank)) return;
  barrier_birth* b = p.of->untold(p.at);
  if (!b) return;
  b->told = true;
  const severity weight = p.rank == w.rank && b->meeting < p.of->meetings ? severity::note : severity::fails;
  if (!w.launch->seen->first(w.pc, code::missing_fence, weight)) return;
  finding f = finding_at(*w.launch, w.pc, code::missing_fence,
                         thread_words(w, lane) + (engine ? " has the copy engine signal the mbarrier at " : " uses the mbarrier at ") + hex(p.at) + " of shared memory" +
                             (p.rank == w.rank ? "" : " of rank " + std::to_string(p.rank)) + ", which was initialised (" + line_words(*w.launch, b->pc) +
                             ") with no fence.mbarrier_init, no fence.proxy.async and no barrier of the cluster behind it");
  f.weight = weight;
  w.launch->seen->add(std::move(f));
}

// Where an operand's mbarrier lies; `of` is null when that was told as wrong.
[[nodiscard]] inline shared_place place_mbarrier(warp& w, int lane, std::uint64_t address, space where, bool live) {
  if (where == space::generic) {
    if (address < shared_window || address >= local_window) {
      report_access(w, code::invalid_access, lane, true, address, 8, "generic", "an mbarrier lies in shared memory");
      return {};
    }
    address -= shared_window;
  }
  if (where == space::shared && address >> cluster_offset_bits) {
    report_access(w, code::out_of_bounds, lane, true, address, 8, "shared", "the CTA has " + bytes_words(w.shared->data.size()) + " of it");
    return {};
  }
  if (address % 8) {
    report_access(w, code::misaligned, lane, true, address, 8, "shared", "an mbarrier's address is a multiple of 8");
    return {};
  }
  shared_place p = place_shared(w, lane, address, 8, true);
  if (p.of && live && !is_mbarrier(*p.of, p.at)) {
    report_mbarrier(w, lane, p.at, "uses", "none is initialised there");
    p.of = nullptr;
  }
  if (p.of && live) check_birth(w, lane, p, false);
  return p;
}

// ---- copies that signal ---------------------------------------------------------------

inline void finish(launch_state& launch, cluster_state& all, bulk_copy& b) {
  if (b.ticket) all.members[b.rank]->let_go(b.ticket);
  if (b.to_bytes) --all.members[b.to_rank]->guarded;
  b.move(launch, all, b);
  if (!b.to_bytes) return;
  all.members[b.to_rank]->matrices.change(b.to, b.to_bytes);
  if (cta_races* races = all.members[b.to_rank]->races) races->outsider(b.pc, b.to, b.to_bytes, true);
}

// Does copies that signal this mbarrier, oldest first, until the phase is over.
inline void settle(launch_state& launch, cluster_state& all, std::uint32_t rank, std::uint64_t at, std::uint32_t phase) {
  shared_memory& of = *all.members[rank];
  const auto over = [&] { return !is_mbarrier(of, at) || read_mbarrier(of, at).phase != phase; };
  for (std::uint32_t k = 0; k < of.copies.size() && !over(); ++k) {
    auto& list = of.copies[k].arrivals;
    for (std::size_t i = 0; i < list.size() && !over();) {
      lane_mask due = 0;
      for (lane_mask left = list[i].lanes; left; left &= left - 1) {
        const auto l = static_cast<unsigned>(std::countr_zero(left));
        if (list[i].barrier[l] == at) due |= lane_mask{1} << l;
      }
      if (due) {
        land_where(of, k, [&](const copy_batch& b) {
          const lane_mask lanes = b.number < list[i].before ? due & b.lanes : 0;
          if (of.races)
            for (lane_mask left = lanes; left; left &= left - 1) of.races->outsider(b.pc, b.to[std::countr_zero(left)], b.bytes, true);
          return lanes;
        });
        if (of.races) of.races->release_shared(static_cast<std::uint32_t>(at), copy_engine);
        for (lane_mask left = due; left; left &= left - 1)
          if (const char* wrong = arrive(launch, of, at, 1); wrong && launch.seen->first(list[i].pc, code::mbarrier_misuse))
            launch.seen->add(finding_at(launch, list[i].pc, code::mbarrier_misuse,
                                        "a thread's asynchronous copies arrive at the mbarrier at " + hex(at) + " of shared memory: " + wrong));
        list[i].lanes &= ~due;
      }
      if (list[i].lanes) ++i;
      else list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  for (std::size_t i = 0; i < all.flying.size() && !over();) {
    bulk_copy& b = all.flying[i];
    if (!b.signals || b.barrier_rank != rank || b.barrier != at) {
      ++i;
      continue;
    }
    bulk_copy now = b;
    all.flying.erase(all.flying.begin() + static_cast<std::ptrdiff_t>(i));
    finish(launch, all, now);
    if (of.races) of.races->release_shared(static_cast<std::uint32_t>(at), copy_engine);
    (void)change_transaction(launch, of, at, -static_cast<std::int64_t>(now.transaction), true);
  }
}

// ---- what a thread waits for -----------------------------------------------------------

// s[1] holds the parity (is_signed) or the state that an arrival gave. The phase
// that a lane waits for; `wrong` says why there is none.
inline std::uint32_t awaited_phase(warp& w, const op& o, int lane, const mbarrier& b, const char*& wrong) {
  if (o.is_signed) {
    const std::uint32_t parity = w.lanes<std::uint32_t>(o.s[1])[lane];
    if (parity > 1) wrong = "a parity is 0 or 1";
    // Of the latest two phases one has each parity; of the other one nothing is
    // left to wait for.
    return (b.phase & 1) == (parity & 1) ? b.phase : (b.phase + 7) % 8;
  }
  const std::uint32_t phase = mbarrier::from(w.lanes<std::uint64_t>(o.s[1])[lane]).phase;
  if (phase != b.phase && (phase + 1) % 8 != b.phase) wrong = "the state is of a phase that is long over";
  return phase;
}

// ---- operations ------------------------------------------------------------------------

enum class mbarrier_op : std::uint8_t { init, inval, arrive, arrive_drop, no_complete, expect, arrive_expect, drop_expect, complete };

// s[0] where, s[1] the count or the bytes (vector: there is one); d[0] the
// state before. unit: mbarrier_op; width: bytes of expect_tx in s[1].
inline void run_mbarrier(warp& w, const op& o, lane_mask active) {
  const auto what = static_cast<mbarrier_op>(o.unit);
  const lane_addresses a = addresses(w, o, active);
  if (o.vector && !defined_lanes(w, o.s[1], a.active, "a count of an mbarrier")) return;
  std::uint64_t before[warp_lanes] = {}, released = ~std::uint64_t{0};
  for (lane_mask left = a.active; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    const std::int64_t given = o.vector ? std::int64_t{w.lanes<std::uint32_t>(o.s[1])[l]} : 1;
    const shared_place p = place_mbarrier(w, l, a.at[l], o.where, what != mbarrier_op::init);
    if (!p.of) continue;
    if (what == mbarrier_op::init) {
      if (is_mbarrier(*p.of, p.at)) {
        report_mbarrier(w, l, p.at, "initialises", "there is one already; mbarrier.inval comes first");
        continue;
      }
      if (given < 1 || given > most_arrivals) {
        report_mbarrier(w, l, p.at, "initialises", "a count of " + std::to_string(given) + " is not in 1 to 1048575");
        continue;
      }
      if (p.of->guarded && !guarded_access(w, *p.of, l, p.at, 8, true)) continue;
      mbarrier fresh;
      fresh.expected = fresh.pending = given;
      write_mbarrier(*p.of, p.at, fresh);
      std::memset(p.of->shadow.data() + p.at, mbarrier_bytes, 8);
      ++p.of->guarded;
      p.of->born(p.at, thread_of(w, l), w.pc);
      continue;
    }
    std::memcpy(&before[l], p.of->data.data() + p.at, 8);
    // For races: who arrives tells what it did to those who wait.
    if (p.of->races && p.at != released) p.of->races->release_shared(static_cast<std::uint32_t>(p.at), p.of == w.shared ? w.number : copy_engine);
    released = p.at;
    const char* wrong = nullptr;
    switch (what) {
      case mbarrier_op::inval:
        p.of->matrices.change(p.at, 8);
        std::memset(p.of->shadow.data() + p.at, unwritten, 8);
        --p.of->guarded;
        p.of->died(p.at);
        break;
      case mbarrier_op::no_complete:
        if (given >= mbarrier::from(before[l]).pending) {
          wrong = "an arrival with .noComplete would complete the phase";
          break;
        }
        [[fallthrough]];
      case mbarrier_op::arrive:
      case mbarrier_op::arrive_drop:
        if (given < 1 || given > most_arrivals) wrong = "a count is 1 to 1048575";
        else wrong = arrive(*w.launch, *p.of, p.at, given, what == mbarrier_op::arrive_drop);
        break;
      case mbarrier_op::expect:
      case mbarrier_op::arrive_expect:
      case mbarrier_op::drop_expect:
        wrong = given > most_transaction ? "a transaction is at most 1048575 bytes" : change_transaction(*w.launch, *p.of, p.at, given, false);
        if (!wrong && what != mbarrier_op::expect) wrong = arrive(*w.launch, *p.of, p.at, 1, what == mbarrier_op::drop_expect);
        break;
      case mbarrier_op::complete:
        wrong = given > most_transaction ? "a transaction is at most 1048575 bytes" : change_transaction(*w.launch, *p.of, p.at, -given, true);
        break;
      case mbarrier_op::init: break;
    }
    if (wrong) report_mbarrier(w, l, p.at, what == mbarrier_op::inval ? "ends" : "arrives at", wrong);
  }
  if (!o.targets) return;
  keep(w, o.d[0], before, active);
  clear_taint(w, o.d[0], 8, active);
}

// cp.async.mbarrier.arrive: is_signed without .noinc.
inline void run_copy_arrival(warp& w, const op& o, lane_mask active) {
  const lane_addresses a = addresses(w, o, active);
  warp_copies& all = w.shared->copies[w.number];
  copy_arrival fresh;
  fresh.pc = w.pc;
  fresh.before = all.issued;
  if (w.shared_races)
    for (lane_mask left = a.active; left; left &= left - 1) w.shared_races->release_shared(static_cast<std::uint32_t>(a.at[std::countr_zero(left)]), w.number);
  for (lane_mask left = a.active; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    const shared_place p = place_mbarrier(w, l, a.at[l], o.where, true);
    if (!p.of) continue;
    if (p.of != w.shared) {
      report_mbarrier(w, l, p.at, "arrives at", "it belongs to another CTA, which cp.async cannot tell");
      continue;
    }
    mbarrier b = read_mbarrier(*p.of, p.at);
    if (o.is_signed) {
      if (b.pending == most_arrivals) {
        report_mbarrier(w, l, p.at, "arrives at", "its count of arrivals is full");
        continue;
      }
      ++b.pending;
      write_mbarrier(*p.of, p.at, b);
    } else if (b.pending == 0) {
      report_mbarrier(w, l, p.at, "arrives at", "its current phase lacks no arrival: it is overrun");
      continue;
    }
    fresh.barrier[l] = static_cast<std::uint32_t>(p.at);
    fresh.lanes |= lane_mask{1} << l;
  }
  if (fresh.lanes) all.arrivals.push_back(fresh);
}

inline void run_pending_count(warp& w, const op& o, lane_mask active) {
  const auto* state = w.lanes<std::uint64_t>(o.s[0]);
  std::uint32_t out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) out[l] = static_cast<std::uint32_t>(mbarrier::from(state[l]).pending);
  keep(w, o.d[0], out, active);
}

// ---- rows --------------------------------------------------------------------------------

inline space take_shared_space(decoding& d) {
  if (d.take("shared") || d.take("shared::cta")) return space::shared;
  return d.take("shared::cluster") ? space::cluster : space::generic;
}

inline void make_mbarrier(decoding& d) {
  d.ignore("release", "acquire", "relaxed", "cta", "cluster");
  d.take("b64");
  if (d.take("pending_count")) {
    if (!d.want(2)) return;
    d.target(0, 4);
    d.source(1, 8);
    return d.does(&run_pending_count, &taint_whole<4, 8>);
  }
  const bool test = d.take("test_wait"), attempt = d.take("try_wait");
  const bool parity = d.take("parity");
  const bool drop = d.take("arrive_drop"), arrives = drop || d.take("arrive");
  const bool expects = d.take("expect_tx"), keeps_phase = d.take("noComplete");
  d.o.where = take_shared_space(d);
  const std::size_t n = d.count();
  if (test || attempt) {
    // The third operand of try_wait is a hint of how long to sleep.
    if (n != 3 && !(attempt && n == 4)) return d.refuse("this operand count");
    if (d.in.operands[0].kind == operand::type::discard) return d.refuse("a discarded result");
    d.target(0, 0);
    d.address(d.in.operands[1]);
    d.source(2, parity ? 4 : 8);
    d.o.is_signed = parity;
    d.o.unit = attempt;
    d.o.kind = flow::phase;
    return;
  }
  mbarrier_op what = mbarrier_op::init;
  std::size_t i = 0;
  if (arrives) {
    what = expects ? (drop ? mbarrier_op::drop_expect : mbarrier_op::arrive_expect) : keeps_phase ? mbarrier_op::no_complete : drop ? mbarrier_op::arrive_drop : mbarrier_op::arrive;
    if (drop && keeps_phase) return d.refuse("this form");
    if (n < 2) return d.refuse("this operand count");
    if (d.in.operands[0].kind != operand::type::discard) d.target(0, 8);
    i = 1;
  } else if (expects) {
    what = mbarrier_op::expect;
  } else if (d.take("complete_tx")) {
    what = mbarrier_op::complete;
  } else if (d.take("inval")) {
    what = mbarrier_op::inval;
  } else if (!d.take("init")) {
    return d.refuse("this form");
  }
  const bool optional = what == mbarrier_op::arrive || what == mbarrier_op::arrive_drop;
  const bool none = what == mbarrier_op::inval;
  if (n != i + 2 && !(n == i + 1 && (optional || none))) return d.refuse("this operand count");
  if (none && n != 1) return d.refuse("this operand count");
  d.address(d.in.operands[i]);
  if (n == i + 2) {
    d.source(i + 1, 4);
    d.o.vector = 1;
  } else {
    d.o.vector = 0;
  }
  d.o.unit = static_cast<std::uint8_t>(what);
  d.does(&run_mbarrier);
}

inline void make_copy_arrival(decoding& d) {
  if (!d.take("arrive")) return d.refuse("this form");
  d.o.is_signed = !d.take("noinc");
  d.take("b64");
  d.o.where = take_shared_space(d);
  if (d.o.where == space::cluster) return d.refuse("this space");
  if (!d.want(1)) return;
  d.address(d.in.operands[0]);
  d.does(&run_copy_arrival);
}

// Fences of the generic proxy are for races (run_fence). A fence
// between proxies is needed behind ordinary stores that an asynchronous
// operation reads: see shared_memory::notes.
inline void make_fence(decoding& d) {
  bool async = false, ordinary = true, begins = false;
  for (const auto& m : d.in.modifiers) {
    if (m.find("proxy") == 0 || m.find("async") == 0 || m.find("mbarrier") == 0) ordinary = false;
    if (m.find("tensormap") == 0) return d.refuse("a tensor map that the kernel changes");
    if (m.find("async") == 0) async = true;
    if (m.find("mbarrier_init") == 0) begins = true;
  }
  if (ordinary) {
    d.ignore_starting("sync_restrict");
    take_order(d, memory_order::acq_rel);
    if (d.want(0)) d.does(&run_fence);
    return;
  }
  if (d.take("global")) async = false;  // not for shared memory
  while (!d.left_over().empty()) d.take_any();
  if (begins)
    return d.does([](warp& w, const op&, lane_mask active) { w.shared->tell_births(w.number, active); });
  if (!async) return d.does(&run_nothing);
  d.does([](warp& w, const op&, lane_mask active) {
    if (active) w.shared->fence(w.number);
    w.shared->tell_births(w.number, active);
  });
}

inline void add_mbarrier_rows(instruction_table& table) {
  table["mbarrier"] = &make_mbarrier;
  table["fence"] = &make_fence;
}

}  // namespace skillbench::ptx::ops
