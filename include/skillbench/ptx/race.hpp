#pragma once
// ptx/race.hpp: accesses that nothing orders.
//
// Layer   3. Includes race_launch, and decode's program, guard, marks, memory, report
//         and warp.
// Two accesses of different warps to the same memory race when one of them is a
// store, at least one is weak (no atomic, no volatile, relaxed, acquire or
// release), and neither happens before the other.
// Order   happens-before by vector clocks, one entry for each warp of a CTA. A
//         tick is a stretch of a warp's instructions between two points at which
//         it tells others what it did: barriers, fences, releases. `floor`: all
//         that happened up to that tick is ordered before everybody, which a
//         barrier of the whole CTA makes true; so most tests are one comparison
//         of a run of memory with one number.
//         Across CTAs of a launch order comes from strong operations on one
//         location: what a CTA released there (with .release, or a fence before
//         it) is known to those who read it there later.
// Shadow  for each granule of memory (the smallest unit that the program stores,
//         at most 4 bytes) the last store, and in shared memory the last load of
//         each warp, so that a warp's access to a run is a dense row of numbers.
// Lenient where the document and common practice part, nothing is told: the
//         reader of a flag needs no fence of its own; a warp counts as one
//         thread (its lanes are ordered by the machine's own order, so a missing
//         __syncwarp is not seen here, nor is a barrier that only other lanes
//         came to; but lanes that store different values to one place with one
//         instruction are, unless one warp is all there is); a load that is strong is never the earlier half of a race;
//         of the loads of global memory that a launch also stores to, the last
//         two are kept. A store of the value that is there already changes
//         nothing: such a race is a note.
// Bounds  see `race_limits`; beyond them less is seen, and a note says so.
// Source  PTX ISA 9.0, "Memory Consistency Model"; FastTrack (Flanagan and
//         Freund 2009) for epochs instead of whole clocks.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/finding.hpp>
#include <skillbench/ptx/guard.hpp>
#include <skillbench/ptx/marks.hpp>
#include <skillbench/ptx/memory.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/race_launch.hpp>
#include <skillbench/ptx/report.hpp>
#include <skillbench/ptx/warp.hpp>

namespace skillbench::ptx {

// The clocks of a CTA and the shadow of its shared memory.
class cta_races {
 public:
  bool shared_on = false;
  launch_races* launch = nullptr;
  wgmma_reads* matrices = nullptr;  // told where somebody stores; may be null

  // `shared` 0: shared memory is not watched.
  void prepare(std::size_t warps, std::uint64_t shared, unsigned shift, launch_races* of) {
    actors_ = most_actors;
    warps_ = static_cast<std::uint32_t>(warps);
    shift_ = shift;
    launch = of;
    granules_ = static_cast<std::size_t>(shared >> shift) + 16;
    shared_on = shared > 0 && warps > 1;
    if (!shared_on) return;
    // The rows of the readers are made when a warp first loads.
    const std::uint64_t cost = granules_ * 4 * (2 + warps);
    if (of->shared_used + cost > race_limits::shared_bytes) {
      shared_on = false;
      of->partial = true;
      return;
    }
    of->shared_used += cost;
    writers_ = zeroed(granules_);
    places_ = zeroed(granules_);
  }

  void begin(std::uint64_t cta) {
    cta_ = static_cast<std::uint32_t>(cta);
    meet();
    knows_.clear();
    all_up_to_ = 0;
    fenced_[0] = fenced_[1] = false;
    shared_places_.clear();
    for (auto& a : arrived_) a.second = false;
  }

  // ---- order ------------------------------------------------------------------

  // Every warp of the CTA is here: what happened is behind everybody.
  void meet() {
    for (int level = 0; level < 2; ++level)
      if (fenced_[level]) {
        for (std::uint32_t a = 0; a < actors_; ++a)
          for (std::uint32_t b = 0; b < actors_; ++b) all_fenced_[level].at[b] = std::max(all_fenced_[level].at[b], by_fence_[level][a].at[b]);
      }
    floor_ = clock_;
    ++clock_;
    for (auto& n : now_) n = clock_;
    limited_ = 0;
    writing_ = reading_ = 0;
    forget_late();
    if (clock_ - base_ > most_ticks) wipe();
  }

  // bar.arrive, and bar.sync with a count: those that wait learn what those that
  // came did before.
  void arrive(std::uint32_t barrier, std::uint32_t actor) {
    auto& a = arrived_[barrier];
    if (!a.second) a = {vector_clock{}, true};
    a.first.join(clock_of(actor), actors_);
    tick(actor);
  }
  void leave(std::uint32_t barrier, std::uint32_t actor) {
    const auto& a = arrived_[barrier];
    if (a.second) learns(actor).join(a.first, actors_);
  }
  void done(std::uint32_t barrier) { arrived_[barrier].second = false; }

  // What the actor knows, itself included.
  [[nodiscard]] vector_clock clock_of(std::uint32_t actor) const {
    vector_clock c = seen_[actor];
    for (auto& t : c.at) t = std::max(t, floor_);
    c.at[actor] = now_[actor];
    return c;
  }

  // A fence for the CTA, or for the device.
  void fence(std::uint32_t actor, bool device) {
    const vector_clock c = clock_of(actor);
    for (int level = 0; level <= (device ? 1 : 0); ++level) {
      by_fence_[level][actor].join(c, actors_);
      fenced_[level] = true;
    }
    tick(actor);
  }

  // An object in shared memory (an mbarrier, a flag) that warps meet at.
  void release_shared(std::uint32_t offset, std::uint32_t actor) {
    shared_places_[offset].join(clock_of(actor), actors_);
    tick(actor);
  }
  void acquire_shared(std::uint32_t offset, std::uint32_t actor) {
    if (shared_places_.empty()) return;
    const auto it = shared_places_.find(offset);
    if (it != shared_places_.end()) learns(actor).join(it->second, actors_);
  }

  // A strong operation of a lane: what it reads there it learns, what it writes
  // there tells what is behind it.
  void meet_at_shared(const op& o, std::uint32_t offset, std::uint32_t actor) {
    if (o.access != access_kind::store) acquire_shared(offset, actor);
    if (o.access == access_kind::load) return;
    if (releases(o)) return release_shared(offset, actor);
    if (fenced_[0]) shared_places_[offset].join(fenced_clock(0, actor), actors_);
  }
  void meet_at_global(const op& o, std::uint64_t address, std::uint32_t actor) {
    if (o.access != access_kind::store && !o.result_unused) acquire_global(address, actor);
    if (o.access == access_kind::load) return;
    const bool release = releases(o);
    if (!release && !fenced_[0]) return;
    if (!release && o.result_unused && !meets_) return;
    release_global(o, address, actor, release);
  }
  // Whether any strong load or atomic with a result is there to learn anything.
  void somebody_meets(bool yes) { meets_ = yes; }

  // ---- shared memory -------------------------------------------------------------

  // All lanes of `lanes` within one run; `dense`: lane after lane without a gap.
  void shared_load(warp& w, const op& o, const std::uint64_t* at, lane_mask lanes, std::uint64_t lowest, std::uint64_t bytes, unsigned each, bool dense) {
    const std::uint32_t me = w.number;
    const std::size_t first = lowest >> shift_, last = (lowest + bytes - 1) >> shift_;
    if (writing_ & ~(std::uint64_t{1} << me) && (last - first >= most_at_once || !all_known(first, last - first + 1, me))) return shared_lanes(w, at, lanes, each, false);
    if (o.order != memory_order::weak) return meet_lanes(w, o, at, lanes);
    reading_ |= std::uint64_t{1} << me;
    if (late_[me].touches(first << shift_, (last + 1) << shift_)) write_late(me);
    std::uint32_t* marks = reader(me);
    const std::uint32_t mark = read_mark(me, w.pc);
    if (dense) {
      const int up = std::countr_zero(each) - static_cast<int>(shift_);
      std::uint32_t* to = marks + first;
      const auto n = static_cast<std::uint32_t>(last - first + 1);
      if (up == 0)
        for (std::uint32_t i = 0; i < n; ++i) to[i] = mark | i;
      else if (up > 0)
        for (std::uint32_t i = 0; i < n; ++i) to[i] = mark | (i >> up);
      else
        for (std::uint32_t i = 0; i < n; ++i) to[i] = mark | std::min(i << -up, 31u);
      return;
    }
    if (first == last) {
      marks[first] = mark | static_cast<std::uint32_t>(std::countr_zero(lanes));
      return;
    }
    for (lane_mask left = lanes; left; left &= left - 1) {
      const auto l = static_cast<std::uint32_t>(std::countr_zero(left));
      for (std::size_t g = at[l] >> shift_, end = (at[l] + each - 1) >> shift_; g <= end; ++g) marks[g] = mark | l;
    }
  }

  void shared_store(warp& w, const op& o, const std::uint64_t* at, lane_mask lanes, std::uint64_t lowest, std::uint64_t bytes, unsigned each, bool dense) {
    const std::uint32_t me = w.number;
    const std::size_t first = lowest >> shift_, last = (lowest + bytes - 1) >> shift_, n = last - first + 1;
    if (n > most_at_once || !all_known(first, n, me) || !all_loaded_before(first, n, me)) return shared_lanes(w, at, lanes, each, true);
    if (dense) {
      stores(me, lowest, bytes);
      const std::uint32_t mark = ((now_[me] - base_) << 6) | me, place = w.pc << 5;
      std::uint32_t *const who = writers_.get(), *const where = places_.get();
      const int up = std::countr_zero(each) - static_cast<int>(shift_);
      for (std::uint32_t i = 0; i < n; ++i) {
        who[first + i] = mark;
        where[first + i] = place | (i >> up);
      }
    } else {
      mark_stores(w, at, lanes, each);
    }
    if (o.order != memory_order::weak) meet_lanes(w, o, at, lanes);
  }

  // Lanes that each access `each` bytes, in any pattern.
  void shared_rows(warp& w, const std::uint64_t* at, lane_mask lanes, unsigned each, bool store) {
    if (each == 16 && shift_ == 2 && shared_quads(w, at, lanes, store)) return;
    std::uint64_t lowest = ~std::uint64_t{0}, highest = 0;
    for (lane_mask left = lanes; left; left &= left - 1) {
      const int l = std::countr_zero(left);
      lowest = std::min(lowest, at[l]);
      highest = std::max(highest, at[l]);
    }
    const op& o = w.launch->code->code[w.pc];
    store ? shared_store(w, o, at, lanes, lowest, highest - lowest + each, each, false) : shared_load(w, o, at, lanes, lowest, highest - lowest + each, each, false);
  }

  // Weak stores of lanes that each write `each` bytes, in any pattern; false:
  // nothing was done, because somebody's access may race with them.
  bool stored_rows(const warp& w, const std::uint64_t* at, lane_mask lanes, unsigned each) {
    const std::uint32_t me = w.number;
    // Halves of a warp often write apart from each other.
    for (const lane_mask half : {lanes & 0xffffu, lanes & 0xffff0000u}) {
      if (!half) continue;
      std::uint64_t lowest = ~std::uint64_t{0}, highest = 0;
      for (lane_mask left = half; left; left &= left - 1) {
        const int l = std::countr_zero(left);
        lowest = std::min(lowest, at[l]);
        highest = std::max(highest, at[l]);
      }
      const std::size_t first = lowest >> shift_, n = ((highest + each - 1) >> shift_) - first + 1;
      if (n > most_at_once || !all_known(first, n, me) || !all_loaded_before(first, n, me)) return false;
    }
    mark_stores(w, at, lanes, each);
    return true;
  }

  // One lane's access, exactly.
  void shared_lane(warp& w, int lane, std::uint64_t at, unsigned bytes, bool store) {
    const op& o = w.launch->code->code[w.pc];
    const std::uint32_t me = w.number;
    const bool strong = o.order != memory_order::weak;
    const std::size_t first = at >> shift_, last = (at + bytes - 1) >> shift_;
    const std::size_t n = last - first + 1;
    if (!strong && all_known(first, n, me)) {
      if (!store) {
        reading_ |= std::uint64_t{1} << me;
        if (late_[me].touches(at, at + bytes)) write_late(me);
        return marks::put(reader(me) + first, n, read_mark(me, w.pc) | static_cast<std::uint32_t>(lane));
      }
      if (all_loaded_before(first, n, me)) {
        stores(me, at, bytes);
        marks::put(writers_.get() + first, n, ((now_[me] - base_) << 6) | me);
        return marks::put(places_.get() + first, n, w.pc << 5 | static_cast<std::uint32_t>(lane));
      }
    }
    bool told = false;
    for (std::uint32_t v = 0; v < 32; ++v) write_late(v);
    for (std::size_t g = first; g <= last; ++g) {
      const std::uint32_t e = writers_[g], who = e & 63;
      if (!told && e && who != me && (e >> 6) > known(me, who)) {
        const std::uint32_t pc = places_[g] >> 5;
        if (!(strong && w.launch->code->code[pc].order != memory_order::weak)) {
          told = true;
          tell_shared(w, o, lane, at, bytes, store, who, pc, places_[g] & 31, true);
        }
      }
      if (store)
        for (std::uint64_t left = reading_ & ~(std::uint64_t{1} << me); left && !told; left &= left - 1) {
          const auto v = static_cast<std::uint32_t>(std::countr_zero(left));
          const std::uint32_t r = readers_[v][g];
          if ((r >> 20) <= known(me, v)) continue;
          told = true;
          tell_shared(w, o, lane, at, bytes, store, v, (r >> 5) & 0x7fff, r & 31, false);
        }
      if (store) {
        writers_[g] = ((now_[me] - base_) << 6) | me;
        places_[g] = w.pc << 5 | static_cast<std::uint32_t>(lane);
      } else if (!strong) {
        reader(me)[g] = read_mark(me, w.pc) | static_cast<std::uint32_t>(lane);
      }
    }
    if (store) stores(me, at, bytes);
    else if (!strong) reading_ |= std::uint64_t{1} << me;
    if (strong) meet_at_shared(o, static_cast<std::uint32_t>(at), me);
  }

  // A weak load of many places of 32 bytes by one lane in two steps: whether
  // nobody's store races with it, and that it was done.
  [[nodiscard]] bool may_load(const warp& w, const std::uint32_t* places, std::size_t n) noexcept {
    if (!(writing_ & ~(std::uint64_t{1} << w.number))) return true;
    if (shift_ == 2) return marks::within_at(writers_.get(), places, n, limits_of(w.number));
    for (std::size_t i = 0; i < n; ++i)
      if (const std::size_t first = places[i] >> shift_; !all_known(first, ((places[i] + 31) >> shift_) - first + 1, w.number)) return false;
    return true;
  }
  // The mark of whoever stored all of that, which stays true of the places until
  // somebody stores there; no_mark where that were several. And may_load by it.
  [[nodiscard]] std::uint32_t mark_of(const std::uint32_t* places, std::size_t n) const noexcept {
    return shift_ == 2 ? marks::one_at(writers_.get(), places, n) : marks::no_mark;
  }
  [[nodiscard]] bool may_load(const warp& w, std::uint32_t mark) noexcept {
    return !(writing_ & ~(std::uint64_t{1} << w.number)) || mark <= limits_of(w.number)[mark % marks::actors];
  }
  // `key` and `form` stand for the list of places.
  void loaded(const warp& w, int lane, const std::uint32_t* places, std::size_t n, std::uint64_t key, std::uint32_t form) {
    reading_ |= std::uint64_t{1} << w.number;
    const std::uint32_t mark = read_mark(w.number, w.pc) | static_cast<std::uint32_t>(lane);
    late_loads& all = late_[w.number];
    for (auto& e : all.list)
      if (e.key == key && e.form == form && e.count == n) {
        e.mark = mark;
        e.when = ++all.time;
        return;
      }
    if (all.list.size() == late_loads::most) write_late(w.number);
    late_loads::entry e;
    e.key = key;
    e.form = form;
    e.mark = mark;
    e.when = ++all.time;
    e.first = all.places.size();
    e.count = n;
    for (std::size_t i = 0; i < n; ++i) {
      e.low = std::min(e.low, places[i]);
      e.high = std::max(e.high, places[i] + 32);
    }
    all.low = std::min(all.low, e.low);
    all.high = std::max(all.high, e.high);
    all.places.insert(all.places.end(), places, places + n);
    all.list.push_back(e);
  }
  [[nodiscard]] bool has_late(std::uint32_t warp) const noexcept { return !late_[warp].list.empty(); }
  // Puts the marks of such loads into the row, where a load or store that needs
  // them is to see them.
  void write_late(std::uint32_t warp) {
    late_loads& all = late_[warp];
    if (all.list.empty()) return;
    std::sort(all.list.begin(), all.list.end(), [](const auto& a, const auto& b) { return a.when < b.when; });
    std::uint32_t* const mine = reader(warp);
    for (const auto& e : all.list) {
      const std::uint32_t* const places = all.places.data() + e.first;
      if (shift_ == 2) {
        marks::put_at(mine, places, e.count, e.mark);
        continue;
      }
      for (std::size_t i = 0; i < e.count; ++i)
        marks::put(mine + (places[i] >> shift_), ((places[i] + 31) >> shift_) - (places[i] >> shift_) + 1, e.mark);
    }
    all.clear();
  }

  // An access by an asynchronous copy or by another CTA of the cluster: what
  // they know of this CTA is not kept, so only what this one does next is held
  // against it.
  void outsider(std::uint32_t pc, std::uint64_t at, std::uint64_t bytes, bool store) {
    if (!shared_on || !bytes) return;
    const std::size_t first = at >> shift_, n = ((at + bytes - 1) >> shift_) - first + 1;
    if (!store) {
      marks::put(reader(copy_engine) + first, n, read_mark(copy_engine, pc));
      reading_ |= std::uint64_t{1} << copy_engine;
      return;
    }
    marks::put(writers_.get() + first, n, ((now_[copy_engine] - base_) << 6) | copy_engine);
    marks::put(places_.get() + first, n, pc << 5);
    stores(copy_engine, at, bytes);
  }

  // What native code needs to do the plain cases of the two above itself: whole
  // rows of 4-byte granules, nobody else's stores since the floor (loads), nobody
  // else's loads and no mark behind the floor (stores).
  struct plain_rows {
    std::uint64_t* words = nullptr;  // who stored, who loaded since the floor
    std::uint32_t *writers = nullptr, *places = nullptr, *loads = nullptr;
    std::uint32_t load_mark = 0, store_mark = 0, behind = 0;
    const std::uint32_t* limits = nullptr;  // of stores that this warp knows of, by actor
    // Of the copy engine's stores: those that this warp knows of.
    std::uint32_t engine_behind = 0;
  };
  [[nodiscard]] plain_rows rows_of(std::uint32_t me) noexcept {
    plain_rows out;
    if (shift_ != 2) return out;
    out.words = since_;
    out.writers = writers_.get();
    out.places = places_.get();
    out.loads = late_[me].list.empty() ? readers_[me].get() : nullptr;  // null: the handlers are to look first
    out.load_mark = (now_[me] - base_) << 20;
    out.store_mark = ((now_[me] - base_) << 6) | me;
    out.behind = ((std::max(floor_, base_) - base_) << 6) | 63;
    out.limits = limits_of(me);
    out.engine_behind = (known(me, copy_engine) << 6) | 63;
    return out;
  }

  // ---- global memory -------------------------------------------------------------

  // The number that stands for this access in a row of global memory.
  [[nodiscard]] std::uint32_t epoch_of(const warp& w) {
    auto& cached = epochs_[w.number][(w.pc ^ (w.pc >> 3)) & 7];
    if (cached.tick == now_[w.number] && cached.pc == w.pc && cached.cta == cta_ && cached.launch == launch->launch) return cached.id;
    if (launch->epochs.size() >= race_limits::epochs) {
      launch->partial = true;
      return 0;
    }
    launch->epochs.push_back({cta_, now_[w.number], w.pc, w.number});
    cached = {now_[w.number], w.pc, cta_, launch->launch, static_cast<std::uint32_t>(launch->epochs.size() - 1)};
    return cached.id;
  }

  void global_store(warp& w, const op& o, page& in, std::uint64_t in_page, std::uint64_t bytes, const std::uint64_t* at, lane_mask lanes, std::uint64_t lowest, unsigned each, bool dense) {
    std::uint32_t* marks = launch->row(in, 0);
    if (!marks) return;
    const unsigned shift = launch->shift;
    const std::size_t first = in_page >> shift, n = ((in_page + bytes - 1) >> shift) - first + 1;
    if (in.races->loaded || o.order != memory_order::weak || !all_zero(marks + first, n)) {
      for (lane_mask left = lanes; left; left &= left - 1) {
        const int l = std::countr_zero(left);
        global_lane(w, l, in, in_page + (at[l] - lowest), at[l], each, true);
      }
      return;
    }
    mark_row(w, marks, in_page, n, at, lanes, lowest, each, dense);
  }

  void global_load(warp& w, const op& o, page& in, std::uint64_t in_page, std::uint64_t bytes, const std::uint64_t* at, lane_mask lanes, std::uint64_t lowest, unsigned each, bool dense) {
    const unsigned shift = launch->shift;
    const std::size_t first = in_page >> shift, n = ((in_page + bytes - 1) >> shift) - first + 1;
    std::uint32_t* const loads = o.order == memory_order::weak ? launch->row(in, 1) : nullptr;
    const std::uint32_t* const stores = loads ? in.races->row[0].get() : nullptr;
    if (loads && (!stores || all_zero(stores + first, n)) && all_zero(loads + first, n)) {
      in.races->loaded = true;
      return mark_row(w, loads, in_page, n, at, lanes, lowest, each, dense);
    }
    for (lane_mask left = lanes; left; left &= left - 1) {
      const int l = std::countr_zero(left);
      global_lane(w, l, in, in_page + (at[l] - lowest), at[l], each, false);
    }
  }

  void global_lane(warp& w, int lane, page& in, std::uint64_t in_page, std::uint64_t address, unsigned bytes, bool store) {
    const op& o = w.launch->code->code[w.pc];
    const bool strong = o.order != memory_order::weak;
    const unsigned shift = launch->shift;
    // What a strong load sees is learnt first: it is after what the flag says.
    if (strong && o.access != access_kind::store && !o.result_unused) acquire_global(address, w.number);
    std::uint32_t* const stores = store ? launch->row(in, 0) : nullptr;
    std::uint32_t* const loads = !store && !strong ? launch->row(in, 1) : nullptr;
    std::uint32_t* const older = loads ? launch->row(in, 2) : nullptr;
    bool told = false;
    const auto conflict = [&](const auto& marks, std::size_t g, bool other_stores) {
      if (told || !marks || !(marks[g] >> 5)) return;
      const epoch& e = launch->epochs[marks[g] >> 5];
      if (before(e, w.number)) return;
      if (strong && w.launch->code->code[e.pc].order != memory_order::weak) return;
      if (launch->unordered) return;
      told = true;
      tell_global(w, o, lane, address, bytes, store, e, marks[g] & 31, other_stores);
    };
    if (in.races && in.races->launch == launch->launch) {
      const page_races& rows = *in.races;
      const std::uint32_t mark = epoch_of(w) << 5 | static_cast<std::uint32_t>(lane);
      for (std::size_t g = in_page >> shift; g <= (in_page + bytes - 1) >> shift; ++g) {
        conflict(rows.row[0], g, true);
        if (store && rows.loaded) {
          conflict(rows.row[1], g, false);
          conflict(rows.row[2], g, false);
        }
        if (stores) stores[g] = mark;
        if (!loads || !older) continue;
        const epoch &last = launch->epochs[loads[g] >> 5], &mine = launch->epochs[mark >> 5];
        if (loads[g] && (last.cta != mine.cta || last.actor != mine.actor)) older[g] = loads[g];
        loads[g] = mark;
        in.races->loaded = true;
      }
    }
    if (strong) meet_at_global(o, address, w.number);
  }

  [[nodiscard]] static std::string thread_of(const launch_state& launch, std::uint32_t warp, std::uint32_t lane) {
    const std::int64_t t = std::int64_t{warp} * warp_lanes + lane;
    return "thread " + triple(t % launch.block.x, t / launch.block.x % launch.block.y, t / (launch.block.x * launch.block.y));
  }

 private:
  // Weak accesses of 16 bytes by each lane; false: nothing was done.
  bool shared_quads(const warp& w, const std::uint64_t* at, lane_mask lanes, bool store) {
    if (w.launch->code->code[w.pc].order != memory_order::weak) return false;
    const std::uint32_t me = w.number;
    std::uint32_t places[warp_lanes];
    std::size_t n = 0;
    std::uint32_t low = ~0u, high = 0;
    for (lane_mask left = lanes; left; left &= left - 1) {
      const auto place = static_cast<std::uint32_t>(at[std::countr_zero(left)]);
      places[n++] = place;
      low = std::min(low, place);
      high = std::max(high, place + 16);
    }
    const std::uint64_t others = ~(std::uint64_t{1} << me);
    if (writing_ & others && !marks::quads_within(writers_.get(), places, n, limits_of(me))) return false;
    if (!store) {
      if (late_[me].touches(low, high)) write_late(me);
      reading_ |= std::uint64_t{1} << me;
      const std::uint32_t mark = read_mark(me, w.pc);
      std::uint32_t* const mine = reader(me);
      n = 0;
      for (lane_mask left = lanes; left; left &= left - 1) marks::put_quad(mine, places[n++], mark | static_cast<std::uint32_t>(std::countr_zero(left)));
      return true;
    }
    for (std::uint64_t left = reading_ & others; left; left &= left - 1) {
      const auto v = static_cast<std::uint32_t>(std::countr_zero(left));
      const std::uint32_t most = (known(me, v) << 20) | 0xfffff;
      if (!late_before(v, low, high, most) || (readers_[v] && !marks::quads_at_most(readers_[v].get(), places, n, most))) return false;
    }
    stores(me, low, high - low);
    const std::uint32_t mark = ((now_[me] - base_) << 6) | me, place = w.pc << 5;
    n = 0;
    for (lane_mask left = lanes; left; left &= left - 1, ++n) {
      marks::put_quad(writers_.get(), places[n], mark);
      marks::put_quad(places_.get(), places[n], place | static_cast<std::uint32_t>(std::countr_zero(left)));
    }
    return true;
  }

  struct release_memory {
    void operator()(std::uint32_t* p) const noexcept { std::free(p); }
  };
  using row_of_numbers = std::unique_ptr<std::uint32_t[], release_memory>;
  static row_of_numbers zeroed(std::size_t n) { return row_of_numbers(static_cast<std::uint32_t*>(std::calloc(n, 4))); }

  static constexpr std::uint32_t most_ticks = 4000;  // of 12 bits
  static constexpr std::size_t most_at_once = 1024;  // granules; beyond, lane by lane

  [[nodiscard]] std::uint32_t* reader(std::uint32_t warp) {
    if (!readers_[warp]) readers_[warp] = zeroed(granules_);
    return readers_[warp].get();
  }
  [[nodiscard]] std::uint32_t read_mark(std::uint32_t actor, std::uint32_t pc) const noexcept {
    return ((now_[actor] - base_) << 20) | (std::min(pc, 0x7fffu) << 5);
  }
  // The last tick of `other` that is behind `me`, counted from the base.
  [[nodiscard]] std::uint32_t known(std::uint32_t me, std::uint32_t other) const noexcept {
    return std::max({floor_, seen_[me].at[other], base_}) - base_;
  }
  // The highest mark of each that is behind `me`, in a row of writers.
  [[nodiscard]] const std::uint32_t* limits_of(std::uint32_t me) noexcept {
    auto& of = limits_[me];
    if (!((limited_ >> me) & 1u)) {
      for (std::uint32_t v = 0; v < most_actors; ++v) of[v] = (known(me, v) << 6) | 63;
      of[me] = ~0u;
      limited_ |= std::uint64_t{1} << me;
    }
    return of;
  }
  vector_clock& learns(std::uint32_t actor) noexcept {
    limited_ &= ~(std::uint64_t{1} << actor);
    return seen_[actor];
  }
  // Whether what was stored there is this warp's, or behind what it knows.
  [[nodiscard]] bool all_known(std::size_t first, std::size_t n, std::uint32_t me) noexcept {
    return !(writing_ & ~(std::uint64_t{1} << me)) || marks::within(writers_.get() + first, n, limits_of(me));
  }
  // Whether what others loaded there is behind what it knows.
  [[nodiscard]] bool all_loaded_before(std::size_t first, std::size_t n, std::uint32_t me) const noexcept {
    for (std::uint64_t left = reading_ & ~(std::uint64_t{1} << me); left; left &= left - 1) {
      const auto v = static_cast<std::uint32_t>(std::countr_zero(left));
      const std::uint32_t most = (known(me, v) << 20) | 0xfffff;
      if (!late_before(v, first << shift_, (first + n) << shift_, most)) return false;
      if (readers_[v] && !marks::at_most(readers_[v].get() + first, n, most)) return false;
    }
    return true;
  }
  // The same of late loads somewhere around there.
  [[nodiscard]] bool late_before(std::uint32_t warp, std::size_t low, std::size_t high, std::uint32_t most) const noexcept {
    if (warp >= 32 || !late_[warp].touches(low, high)) return true;
    for (const auto& e : late_[warp].list)
      if (e.low < high && low < e.high && e.mark > most) return false;
    return true;
  }
  void forget_late() noexcept {
    for (auto& each : late_)
      if (!each.list.empty()) each.clear();
  }
  [[nodiscard]] static bool all_zero(const std::uint32_t* marks, std::size_t n) noexcept {
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < n; ++i) any |= marks[i];
    return any == 0;
  }

  void stores(std::uint32_t actor, std::uint64_t at, std::uint64_t bytes) noexcept {
    writing_ |= std::uint64_t{1} << actor;
    if (matrices) matrices->change(at, bytes);
  }

  void tick(std::uint32_t actor) {
    now_[actor] = ++clock_;
    if (clock_ - base_ > most_ticks + 90) {
      // No barrier of all for long: what was seen is forgotten.
      floor_ = clock_;
      ++clock_;
      for (auto& n : now_) n = clock_;
      limited_ = 0;
      wipe();
    }
  }

  // The shadow starts again: everything in it is behind everybody.
  void wipe() {
    base_ = floor_;
    limited_ = 0;
    forget_late();
    if (!shared_on) return;
    if (matrices) matrices->change(0, std::uint64_t{granules_} << shift_);
    std::memset(writers_.get(), 0, granules_ * 4);
    for (auto& r : readers_)
      if (r) std::memset(r.get(), 0, granules_ * 4);
    writing_ = reading_ = 0;
  }

  void mark_stores(const warp& w, const std::uint64_t* at, lane_mask lanes, unsigned each) {
    const std::uint32_t me = w.number, mark = ((now_[me] - base_) << 6) | me, place = w.pc << 5;
    std::uint64_t low = ~std::uint64_t{0}, high = 0;
    for (lane_mask left = lanes; left; left &= left - 1) {
      low = std::min(low, at[std::countr_zero(left)]);
      high = std::max(high, at[std::countr_zero(left)]);
    }
    stores(me, low, high - low + each);
    for (lane_mask left = lanes; left; left &= left - 1) {
      const auto l = static_cast<std::uint32_t>(std::countr_zero(left));
      for (std::size_t g = at[l] >> shift_, end = (at[l] + each - 1) >> shift_; g <= end; ++g) {
        writers_[g] = mark;
        places_[g] = place | l;
      }
    }
  }
  void shared_lanes(warp& w, const std::uint64_t* at, lane_mask lanes, unsigned each, bool store) {
    for (lane_mask left = lanes; left; left &= left - 1) {
      const int l = std::countr_zero(left);
      shared_lane(w, l, at[l], each, store);
    }
  }
  void meet_lanes(warp& w, const op& o, const std::uint64_t* at, lane_mask lanes) {
    for (lane_mask left = lanes; left; left &= left - 1) meet_at_shared(o, static_cast<std::uint32_t>(at[std::countr_zero(left)]), w.number);
  }

  // Writes the present epoch to a run of a row.
  void mark_row(const warp& w, std::uint32_t* marks, std::uint64_t in_page, std::size_t n, const std::uint64_t* at, lane_mask lanes, std::uint64_t lowest, unsigned each, bool dense) {
    const std::uint32_t mark = epoch_of(w) << 5;
    const unsigned shift = launch->shift;
    if (dense && each >= (1u << shift)) {
      std::uint32_t* const to = marks + (in_page >> shift);
      const int up = std::countr_zero(each) - static_cast<int>(shift);
      for (std::uint32_t i = 0; i < n; ++i) to[i] = mark | (i >> up);
      return;
    }
    for (lane_mask left = lanes; left; left &= left - 1) {
      const auto l = static_cast<std::uint32_t>(std::countr_zero(left));
      const std::uint64_t from = in_page + (at[l] - lowest);
      for (std::size_t g = from >> shift, end = (from + each - 1) >> shift; g <= end; ++g) marks[g] = mark | l;
    }
  }

  [[nodiscard]] static bool releases(const op& o) noexcept { return o.order >= memory_order::release; }

  [[nodiscard]] vector_clock fenced_clock(int level, std::uint32_t actor) const {
    vector_clock c = by_fence_[level][actor];
    c.join(all_fenced_[level], actors_);
    return c;
  }

  // ---- between CTAs ---------------------------------------------------------------

  [[nodiscard]] bool before(const epoch& e, std::uint32_t me) {
    if (e.cta == cta_) return e.actor == me || e.tick <= std::max(floor_, seen_[me].at[e.actor]);
    if (&e - launch->epochs.data() <= static_cast<std::ptrdiff_t>(all_up_to_)) return true;
    for (const auto& [place, length] : knows_) {
      const meeting_place& p = launch->places[place];
      const auto it = p.last.find(e.cta);
      if (it == p.last.end()) continue;
      std::uint32_t i = it->second;
      while (i != ~0u && i >= length) i = p.list[i].before;
      if (i != ~0u && launch->words[p.list[i].words + warps_ + e.actor] >= e.tick) return true;
    }
    return false;
  }

  void learn(std::uint32_t place, std::uint32_t length) {
    for (auto& k : knows_)
      if (k.first == place) {
        k.second = std::max(k.second, length);
        return;
      }
    if (knows_.size() < race_limits::known) knows_.emplace_back(place, length);
    else all_up_to_ = static_cast<std::uint32_t>(launch->epochs.size());
  }

  void acquire_global(std::uint64_t address, std::uint32_t actor) {
    if (launch->place_of.empty()) return;
    const auto it = launch->place_of.find(address);
    if (it == launch->place_of.end()) return;
    const meeting_place& p = launch->places[it->second];
    if (const auto mine = p.last.find(cta_); mine != p.last.end()) {
      const std::uint32_t* clock = launch->words.data() + p.list[mine->second].words;
      for (std::uint32_t a = 0; a < warps_; ++a) learns(actor).at[a] = std::max(seen_[actor].at[a], clock[a]);
    }
    learn(it->second, static_cast<std::uint32_t>(p.list.size()));
    learns(actor).at[copy_engine] = now_[copy_engine];
    for (const auto& [place, length] : p.knows) learn(place, length);
    all_up_to_ = std::max(all_up_to_, p.all_up_to);
  }

  void release_global(const op& o, std::uint64_t address, std::uint32_t actor, bool by_itself) {
    if (launch->places.size() >= race_limits::locations || launch->words.size() + 2 * most_actors > race_limits::words) {
      launch->partial = launch->unordered = true;
      return;
    }
    const auto [it, fresh] = launch->place_of.try_emplace(address, static_cast<std::uint32_t>(launch->places.size()));
    if (fresh) launch->places.emplace_back();
    meeting_place& p = launch->places[it->second];
    vector_clock near = fenced_clock(0, actor), far = fenced_clock(1, actor);
    if (by_itself) {
      near.join(clock_of(actor), actors_);
      if (o.device_scope) far.join(near, actors_);
    }
    // What the CTA released here before stays released. Who polls with an atomic
    // says nothing new, and only the latest of its own words in a row is kept.
    const auto last = p.last.find(cta_);
    bool news = last == p.last.end();
    std::uint32_t* words = news ? nullptr : launch->words.data() + p.list[last->second].words;
    for (std::uint32_t a = 0; a < warps_ && words; ++a) {
      news |= near.at[a] > words[a] || far.at[a] > words[warps_ + a];
      near.at[a] = std::max(near.at[a], words[a]);
      far.at[a] = std::max(far.at[a], words[warps_ + a]);
    }
    if (news && words && last->second + 1 == p.list.size()) {
      std::copy_n(near.at, warps_, words);
      std::copy_n(far.at, warps_, words + warps_);
    } else if (news) {
      p.list.push_back({cta_, words ? last->second : ~0u, launch->words.size()});
      launch->words.insert(launch->words.end(), near.at, near.at + warps_);
      launch->words.insert(launch->words.end(), far.at, far.at + warps_);
      p.last[cta_] = static_cast<std::uint32_t>(p.list.size() - 1);
    }
    for (const auto& k : knows_) {
      bool there = false;
      for (auto& have : p.knows)
        if (have.first == k.first) {
          have.second = std::max(have.second, k.second);
          there = true;
        }
      if (there) continue;
      if (p.knows.size() < race_limits::known) p.knows.push_back(k);
      else p.all_up_to = static_cast<std::uint32_t>(launch->epochs.size());
    }
    p.all_up_to = std::max(p.all_up_to, all_up_to_);
    if (by_itself) tick(actor);
  }

  // ---- words ------------------------------------------------------------------------

  // Whether a store of this lane leaves memory as it is.
  [[nodiscard]] static bool changes_nothing(const warp& w, const op& o, int lane, const std::byte* there, const std::uint8_t* shadow) {
    if (o.access != access_kind::store || !o.width) return false;
    for (unsigned i = 0; i < o.vector; ++i) {
      if (w.tainted[o.s[i + 1].slot]) return false;
      if (shadow)
        for (unsigned b = 0; b < o.unit; ++b)
          if (shadow[i * o.unit + b] != defined) return false;
      if (std::memcmp(there + i * o.unit, w.file + o.s[i + 1].offset + static_cast<std::size_t>(lane) * o.width, o.unit) != 0) return false;
    }
    return true;
  }

  // Where a thread was: too far into a long kernel is not remembered.
  [[nodiscard]] static std::string at_line(const launch_state& launch, std::uint32_t pc, bool known_place) {
    return known_place ? " (" + line_words(launch, pc) + ")" : "";
  }

  void tell_shared(warp& w, const op& o, int lane, std::uint64_t at, unsigned bytes, bool store, std::uint32_t other, std::uint32_t pc, std::uint32_t other_lane, bool other_stores) {
    if (launch->unordered) return;
    const bool silent = store && changes_nothing(w, o, lane, w.shared->data.data() + at, w.shared->shadow.data() + at);
    if (!w.launch->seen->first(w.pc, code::race, silent ? severity::note : severity::fails)) return;
    const std::string who = other == copy_engine ? "an asynchronous copy or another CTA of the cluster" : thread_of(*w.launch, other, other_lane);
    finding f = finding_at(*w.launch, w.pc, code::race,
                           thread_words(w, lane) + (store ? " writes " : " reads ") + bytes_words(bytes) + " of shared memory at " + hex(at) +
                               at_line(*w.launch, w.pc, true) + " and " + who + (other_stores ? " writes" : " reads") + " there" +
                               at_line(*w.launch, pc, other_stores || pc != 0x7fff) + ": " + nothing_orders +
                               (silent ? "; the value that is written is the one that is there" : ""));
    if (silent) f.weight = severity::note;
    w.launch->seen->add(std::move(f));
  }

  void tell_global(warp& w, const op& o, int lane, std::uint64_t address, unsigned bytes, bool store, const epoch& e, std::uint32_t other_lane, bool other_stores) {
    bool silent = false;
    if (store)
      if (allocation* owner = w.launch->global->owner(address)) {
        const page& p = owner->pages[(address - owner->origin) >> page_bits];
        const std::uint64_t in_page = (address - owner->origin) & (page_bytes - 1);
        silent = changes_nothing(w, o, lane, p.data.get() + in_page, p.shadow ? p.shadow.get() + in_page : nullptr);
      }
    if (!w.launch->seen->first(w.pc, code::race, silent ? severity::note : severity::fails)) return;
    const whereabouts at = locate(*w.launch->global, address, bytes);
    finding f = finding_at(*w.launch, w.pc, code::race,
                           thread_words(w, lane) + (store ? " writes " : " reads ") + "element " + std::to_string(at.index.value_or(0)) + " of " + at.tensor +
                               at_line(*w.launch, w.pc, true) + " and " + thread_of(*w.launch, e.actor, other_lane) + " of " + cta_words(*w.launch, e.cta) +
                               (other_stores ? " writes" : " reads") + " it" + at_line(*w.launch, e.pc, true) + ": " +
                               (e.cta == cta_ ? nothing_orders : "no fence and atomic operation of their CTAs orders the two") +
                               (silent ? "; the value that is written is the one that is there" : ""));
    f.tensor = at.tensor;
    f.index = at.index;
    if (silent) f.weight = severity::note;
    w.launch->seen->add(std::move(f));
  }
  static constexpr const char* nothing_orders = "no barrier orders the two";

  // Loads of many places by one warp whose marks are not in its row yet: an operand
  // is loaded again and again before anybody looks who did.
  struct late_loads {
    static constexpr std::size_t most = 64;
    struct entry {
      std::uint64_t key = 0, when = 0;
      std::uint32_t form = 0, mark = 0;
      std::uint32_t low = ~0u, high = 0;  // bytes
      std::size_t first = 0, count = 0;   // of `places`
    };
    std::vector<entry> list;
    std::vector<std::uint32_t> places;
    std::uint64_t time = 0;
    std::uint32_t low = ~0u, high = 0;
    [[nodiscard]] bool touches(std::uint64_t from, std::uint64_t to) const noexcept { return low < to && from < high; }
    void clear() noexcept {
      list.clear();
      places.clear();
      low = ~0u;
      high = 0;
    }
  };

  struct cached_epoch {
    std::uint32_t tick = 0, pc = 0, cta = 0, launch = 0, id = 0;
  };

  std::uint32_t actors_ = most_actors, warps_ = 0, cta_ = 0;
  unsigned shift_ = 2;
  std::size_t granules_ = 0;
  std::uint32_t clock_ = 1, floor_ = 0, base_ = 0;
  std::uint32_t now_[most_actors] = {};
  vector_clock seen_[most_actors];
  std::uint64_t limited_ = 0;  // actors whose `limits_` hold
  std::uint32_t limits_[most_actors][marks::actors] = {};
  bool fenced_[2] = {};
  bool meets_ = true;
  vector_clock by_fence_[2][most_actors], all_fenced_[2];
  std::uint64_t since_[2] = {};  // actors since the floor: that stored, that loaded
  std::uint64_t &writing_ = since_[0], &reading_ = since_[1];
  row_of_numbers writers_, places_, readers_[most_actors];
  late_loads late_[32];
  std::unordered_map<std::uint32_t, vector_clock> shared_places_;
  std::pair<vector_clock, bool> arrived_[16];
  std::vector<std::pair<std::uint32_t, std::uint32_t>> knows_;
  std::uint32_t all_up_to_ = 0;
  cached_epoch epochs_[32][8];
};

// Lanes that store different values to one place with one instruction.
inline void check_lanes(warp& w, const op& o, const std::uint64_t* at, lane_mask lanes, bool shared) {
  if (o.access != access_kind::store || o.order != memory_order::weak) return;
  for (lane_mask left = lanes & (lanes - 1); left; left &= left - 1) {
    const int l = std::countr_zero(left);
    int first = std::countr_zero(lanes);
    while (at[first] != at[l]) first += 1 + std::countr_zero(lanes >> first >> 1);
    if (first == l) continue;
    for (unsigned i = 0; i < o.vector; ++i) {
      const std::byte* from = w.file + o.s[i + 1].offset;
      if (std::memcmp(from + static_cast<std::size_t>(l) * o.width, from + static_cast<std::size_t>(first) * o.width, o.unit) == 0) continue;
      if (!w.launch->seen->first(w.pc, code::race)) return;
      const whereabouts where = shared ? whereabouts{} : locate(*w.launch->global, at[l], std::uint64_t{o.unit} * o.vector);
      finding f = finding_at(*w.launch, w.pc, code::race,
                             thread_words(w, first) + " and " + cta_races::thread_of(*w.launch, w.number, static_cast<std::uint32_t>(l)) +
                                 " write different values to " +
                                 (shared ? "shared memory at " + hex(at[l] - (o.where == space::generic ? shared_window : 0)) : "element " + std::to_string(where.index.value_or(0)) + " of " + where.tensor) +
                                 " with one instruction (" + line_words(*w.launch, w.pc) + "): which one stays is not defined");
      f.tensor = where.tensor;
      f.index = where.index;
      w.launch->seen->add(std::move(f));
      return;
    }
  }
}

}  // namespace skillbench::ptx
