#pragma once
// ptx/count.hpp: the counters of one launch, while it runs.
//
// Layer   3. Includes async, counters, memory and program.
// Cost    a launch that asks for none has no tally: each handler of an access
//         tests one pointer, and the interpreter another. With a tally every
//         instruction is interpreted.
// Model   see counters.hpp.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include <skillbench/counters.hpp>
#include <skillbench/ptx/async.hpp>
#include <skillbench/ptx/memory.hpp>
#include <skillbench/ptx/program.hpp>

namespace skillbench::ptx {

// What one request takes of the banks of shared memory.
struct bank_use {
  std::uint64_t wavefronts = 0;
  std::uint64_t least = 0;  // without conflicts
};

// Lanes of up to 16 bytes each. Those of an atomic are never served together.
[[nodiscard]] inline bank_use bank_use_of(const std::uint64_t* at, lane_mask active, unsigned bytes, bool atomic) {
  bank_use out;
  const unsigned lanes = bytes <= 4 ? 32 : bytes <= 8 ? 16 : 8;
  for (unsigned first = 0; first < 32; first += lanes) {
    std::uint64_t words[96];
    std::size_t n = 0;
    for (unsigned l = first; l < first + lanes; ++l) {
      if (!((active >> l) & 1u)) continue;
      for (std::uint64_t word = at[l] >> 2; word <= (at[l] + bytes - 1) >> 2; ++word) words[n++] = word;
    }
    if (n == 0) continue;
    if (!atomic) {
      std::sort(words, words + n);
      n = static_cast<std::size_t>(std::unique(words, words + n) - words);
    }
    std::array<std::uint64_t, 32> in_bank{};
    for (std::size_t i = 0; i < n; ++i) ++in_bank[words[i] % 32];
    out.wavefronts += *std::max_element(in_bank.begin(), in_bank.end());
    ++out.least;
  }
  return out;
}

// Sectors of 32 bytes, each once.
class sector_set {
 public:
  void add(std::uint64_t sector) {
    const std::uint64_t page = sector / bits_of_page;
    if (!last_ || page != last_page_) {
      last_ = &pages_[page];
      last_page_ = page;
    }
    std::uint64_t& word = (*last_)[sector % bits_of_page / 64];
    const std::uint64_t bit = std::uint64_t{1} << (sector % 64);
    count_ += (word & bit) == 0;
    word |= bit;
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return 32 * count_; }

 private:
  static constexpr std::uint64_t bits_of_page = 2048;  // 64 KB
  std::unordered_map<std::uint64_t, std::array<std::uint64_t, bits_of_page / 64>> pages_;
  std::array<std::uint64_t, bits_of_page / 64>* last_ = nullptr;
  std::uint64_t last_page_ = 0, count_ = 0;
};

class launch_tally {
 public:
  explicit launch_tally(const program& p) : program_(&p), issued_(p.code.size()), slots_(p.code.size()) {
    for (const op& o : p.code) of_ptx_ &= p.origins[o.source].line == 0;
    std::map<int, std::uint32_t> found;
    for (const op& o : p.code) found.emplace(line_of(o), 0);
    for (auto& [line, slot] : found) {
      slot = static_cast<std::uint32_t>(lines_.size());
      lines_.push_back({line, {}});
    }
    for (std::size_t i = 0; i < p.code.size(); ++i) slots_[i] = found[line_of(p.code[i])];
  }

  // The instruction at `pc`, for lanes that are together.
  void issue(std::uint32_t pc, lane_mask active, lane_mask together) {
    issues& n = issued_[pc];
    ++n.warps;
    n.threads += static_cast<std::uint64_t>(std::popcount(active));
    n.idle += active == 0;
    apart_ = active != 0 && active != together;
    n.apart += apart_;
  }
  // The brx.idx that was issued last: its lanes go to several places.
  void part(std::uint32_t pc) { issued_[pc].apart += !apart_; }

  // A request of the instruction at `pc`; `further`: not its first one.
  void request(std::uint32_t pc, space where, access_kind kind, const std::uint64_t* at, lane_mask active, unsigned bytes, bool further = false) {
    if (!active) return;
    const bool generic = where == space::generic;
    const std::uint64_t lowest = at[std::countr_zero(active)];
    std::uint64_t inside[32];
    if (generic) {
      where = lowest < shared_window ? space::global : lowest < local_window ? space::shared : lowest < param_window ? space::local : space::param;
      if (where == space::shared) {
        for (unsigned l = 0; l < 32; ++l) inside[l] = at[l] - shared_window;
        at = inside;
        if (at[std::countr_zero(active)] >> cluster_offset_bits) where = space::cluster;
      }
      if (where != space::global && !further) went_elsewhere(pc, where, kind, active);
    }
    const auto lanes = static_cast<std::uint64_t>(std::popcount(active));
    event_counts& of = counts(pc);
    switch (where) {
      case space::global: return global(of, kind, at, active, bytes);
      case space::shared: return shared(of, kind, at, active, bytes);
      case space::local: return local(of, kind, at, active, bytes);
      case space::cluster:
        ++of.cluster_requests;
        of.cluster_bytes += lanes * bytes;
        return;
      default: return;
    }
  }

  // cp.async: `from` what is read of global memory, `to` what is written.
  void thread_copy(std::uint32_t pc, const std::uint64_t* from, lane_mask reads, const std::uint64_t* to, lane_mask writes, unsigned bytes) {
    event_counts& of = counts(pc);
    ++of.thread_copies;
    of.thread_copy_bytes += static_cast<std::uint64_t>(std::popcount(writes)) * bytes;
    if (reads) of.copy_load_sectors += sectors(from, reads, bytes, &read_, nullptr);
    if (writes) shared(of, access_kind::store, to, writes, bytes);
  }
  // The copy engine: what arrives, and the ranges of global memory beside it.
  void copy(std::uint32_t pc, bool tensor, std::uint64_t bytes) {
    event_counts& of = counts(pc);
    ++(tensor ? of.tensor_copies : of.bulk_copies);
    (tensor ? of.tensor_copy_bytes : of.bulk_copy_bytes) += bytes;
  }
  void copied_range(std::uint32_t pc, std::uint64_t at, std::uint64_t bytes, bool store, bool reduces) {
    if (!bytes) return;
    const std::uint64_t first = at >> 5, last = (at + bytes - 1) >> 5;
    event_counts& of = counts(pc);
    (store ? of.copy_store_sectors : of.copy_load_sectors) += last - first + 1;
    for (std::uint64_t s = first; s <= last; ++s) {
      if (store) written_.add(s);
      if (!store || reduces) read_.add(s);
    }
  }

  [[nodiscard]] launch_counters told(std::uint64_t barriers) const {
    launch_counters out;
    out.kernel = program_->entry;
    out.barriers = barriers;
    out.global_read_bytes = read_.bytes();
    out.global_written_bytes = written_.bytes();
    out.of_ptx = of_ptx_;
    out.lines = lines_;
    for (std::size_t pc = 0; pc < issued_.size(); ++pc) {
      const op& o = program_->code[pc];
      const classified& is = program_->origins[o.source].counted;
      const issues& n = issued_[pc];
      event_counts& of = out.lines[slots_[pc]].of;
      of.warp_instructions[static_cast<std::size_t>(is.is)] += n.warps;
      of.thread_instructions[static_cast<std::size_t>(is.is)] += n.threads;
      of.tensor_operations[static_cast<std::size_t>(is.of)] += (n.warps - n.idle) * is.operations;
      if (o.kind != flow::branch && o.kind != flow::indexed) continue;
      of.branches += n.warps;
      of.divergent_branches += n.apart;
    }
    for (const line_counts& each : out.lines) out.total += each.of;
    std::erase_if(out.lines, [](const line_counts& each) { return sum_of(each.of.warp_instructions) == 0; });
    shorten(out.lines);
    return out;
  }

 private:
  struct issues {
    std::uint64_t warps = 0, threads = 0, idle = 0, apart = 0;
  };

  static void shorten(std::vector<line_counts>& lines) {
    if (lines.size() <= most_counted_lines) return;
    std::stable_sort(lines.begin(), lines.end(), [](const line_counts& a, const line_counts& b) {
      return sum_of(a.of.warp_instructions) > sum_of(b.of.warp_instructions);
    });
    line_counts others;
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (i + 1 >= most_counted_lines) lines[i].line = 0;
    for (const line_counts& each : lines)
      if (each.line == 0) others.of += each.of;
    std::erase_if(lines, [](const line_counts& each) { return each.line == 0; });
    lines.push_back(std::move(others));
    std::sort(lines.begin(), lines.end(), [](const line_counts& a, const line_counts& b) { return a.line < b.line; });
  }

  [[nodiscard]] int line_of(const op& o) const {
    const origin& from = program_->origins[o.source];
    return of_ptx_ ? from.ptx_line : from.line;
  }
  [[nodiscard]] event_counts& counts(std::uint32_t pc) { return lines_[slots_[pc]].of; }

  // A generic address of the instruction's, which is taken for one of global
  // memory until now. Numbers wrap around and come back in the sum.
  void went_elsewhere(std::uint32_t pc, space where, access_kind kind, lane_mask active) {
    using enum instruction_class;
    const bool shared = where == space::shared || where == space::cluster, local = where == space::local;
    instruction_class before = load_global, after = shared ? load_shared : local ? load_local : load_constant;
    if (kind == access_kind::store) {
      before = store_global;
      after = shared ? store_shared : store_local;
    } else if (kind == access_kind::atomic) {
      before = atomic_global;
      after = atomic_shared;
    }
    if (program_->origins[program_->code[pc].source].counted.is != before) return;
    const auto lanes = static_cast<std::uint64_t>(std::popcount(active));
    event_counts& of = counts(pc);
    --of.warp_instructions[static_cast<std::size_t>(before)];
    ++of.warp_instructions[static_cast<std::size_t>(after)];
    of.thread_instructions[static_cast<std::size_t>(before)] -= lanes;
    of.thread_instructions[static_cast<std::size_t>(after)] += lanes;
  }

  // The distinct sectors of lanes, which are noted in the sets given.
  static std::uint64_t sectors(const std::uint64_t* at, lane_mask active, unsigned bytes, sector_set* read, sector_set* written) {
    std::uint64_t touched[64];
    std::size_t n = 0;
    for (lane_mask left = active; left; left &= left - 1) {
      const std::uint64_t address = at[std::countr_zero(left)];
      touched[n++] = address >> 5;
      if (((address + bytes - 1) >> 5) != (address >> 5)) touched[n++] = (address + bytes - 1) >> 5;
    }
    std::sort(touched, touched + n);
    n = static_cast<std::size_t>(std::unique(touched, touched + n) - touched);
    for (std::size_t i = 0; i < n; ++i) {
      if (read) read->add(touched[i]);
      if (written) written->add(touched[i]);
    }
    return n;
  }

  void global(event_counts& of, access_kind kind, const std::uint64_t* at, lane_mask active, unsigned bytes) {
    const auto lanes = static_cast<std::uint64_t>(std::popcount(active));
    const bool store = kind == access_kind::store, load = kind == access_kind::load;
    const std::uint64_t n = sectors(at, active, bytes, store ? nullptr : &read_, load ? nullptr : &written_);
    if (load) {
      ++of.global_load_requests;
      of.global_load_sectors += n;
      of.global_load_bytes += lanes * bytes;
    } else if (store) {
      ++of.global_store_requests;
      of.global_store_sectors += n;
      of.global_store_bytes += lanes * bytes;
    } else {
      ++of.global_atomic_requests;
      of.global_atomic_sectors += n;
      of.global_atomic_lanes += lanes;
    }
  }

  static void local(event_counts& of, access_kind kind, const std::uint64_t* at, lane_mask active, unsigned bytes) {
    std::uint64_t touched[160];
    std::size_t n = 0;
    for (lane_mask left = active; left; left &= left - 1) {
      const auto lane = static_cast<unsigned>(std::countr_zero(left));
      for (std::uint64_t word = at[lane] >> 2; word <= (at[lane] + bytes - 1) >> 2; ++word) touched[n++] = word * 4 + lane / 8;
    }
    std::sort(touched, touched + n);
    n = static_cast<std::size_t>(std::unique(touched, touched + n) - touched);
    (kind == access_kind::load ? of.local_load_requests : of.local_store_requests) += 1;
    (kind == access_kind::load ? of.local_load_sectors : of.local_store_sectors) += n;
  }

  static void shared(event_counts& of, access_kind kind, const std::uint64_t* at, lane_mask active, unsigned bytes) {
    const auto lanes = static_cast<std::uint64_t>(std::popcount(active));
    const bank_use use = bank_use_of(at, active, bytes, kind == access_kind::atomic);
    if (kind == access_kind::load) {
      ++of.shared_load_requests;
      of.shared_load_wavefronts += use.wavefronts;
      of.shared_load_conflicts += use.wavefronts - use.least;
      of.shared_load_bytes += lanes * bytes;
    } else if (kind == access_kind::store) {
      ++of.shared_store_requests;
      of.shared_store_wavefronts += use.wavefronts;
      of.shared_store_conflicts += use.wavefronts - use.least;
      of.shared_store_bytes += lanes * bytes;
    } else {
      ++of.shared_atomic_requests;
      of.shared_atomic_wavefronts += use.wavefronts;
      of.shared_atomic_conflicts += use.wavefronts - use.least;
      of.shared_atomic_lanes += lanes;
    }
  }

  const program* program_;
  bool of_ptx_ = true;
  bool apart_ = false;  // the instruction issued last
  std::vector<issues> issued_;        // by instruction
  std::vector<std::uint32_t> slots_;  // by instruction: which of lines_
  std::vector<line_counts> lines_;
  sector_set read_, written_;
};

}  // namespace skillbench::ptx
