#pragma once
// ptx/allocate.hpp: few places for many registers.
//
// Layer   3. Includes program.hpp.
// NVRTC's PTX names a new register for almost every result: thousands, of which
// some tens live at a time. Sharing places keeps a warp's file inside the
// caches. The same analysis finds the registers that some path reads before
// any write: only those must start undefined.
// Lanes take paths of their own, but each lane's column follows one path of the
// control-flow graph, so liveness of a single thread is what counts. A guarded
// write keeps the old value where the guard is false: it reads its target too.
// Source  liveness by backward data flow and linear scan over intervals, as in
//         any compiler text (Poletto and Sarkar 1999).

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <skillbench/ptx/program.hpp>

namespace skillbench::ptx {

namespace liveness {

struct block {
  std::uint32_t first = 0, last = 0;  // instruction indices, last included
  std::vector<std::uint32_t> next;    // blocks
  std::vector<std::uint64_t> in, out, use, def;
};

inline void set(std::vector<std::uint64_t>& bits, std::uint32_t i) { bits[i >> 6] |= std::uint64_t{1} << (i & 63); }
inline bool has(const std::vector<std::uint64_t>& bits, std::uint32_t i) { return (bits[i >> 6] >> (i & 63)) & 1; }

template <typename Use>
void writes(const program& p, const op& o, Use&& use) {
  for (int i = 0; i < o.targets; ++i) use(o.d[i].slot);
  for (const ref& d : p.more[o.more].d) use(d.slot);
}
template <typename Use>
void reads(const program& p, const op& o, Use&& use) {
  for (int i = 0; i < o.sources; ++i) use(o.s[i].slot);
  for (const ref& s : p.more[o.more].s) use(s.slot);
  if (o.guarded) {
    use(o.guard.slot);
    writes(p, o, use);
  }
}

}  // namespace liveness

inline void allocate(program& p) {
  using namespace liveness;
  struct interval { std::uint32_t slot, from, to, function; };
  std::vector<interval> all;
  std::vector<std::uint32_t> undefined_at_start;

  for (std::size_t f = 0; f < p.function_starts.size(); ++f) {
    const std::uint32_t begin = p.function_starts[f];
    const auto end = f + 1 < p.function_starts.size() ? p.function_starts[f + 1] : static_cast<std::uint32_t>(p.code.size());

    // Registers of this function, numbered densely.
    std::map<std::uint32_t, std::uint32_t> dense;
    std::vector<std::uint32_t> slots;
    const auto number = [&](std::uint32_t slot) {
      if (!p.registers[slot].shareable) return;
      if (dense.try_emplace(slot, static_cast<std::uint32_t>(slots.size())).second) slots.push_back(slot);
    };
    for (std::uint32_t i = begin; i < end; ++i) {
      reads(p, p.code[i], number);
      writes(p, p.code[i], number);
    }
    const std::size_t words = slots.size() / 64 + 1;

    // Blocks.
    std::vector<bool> starts(end - begin + 1, false);
    starts[0] = true;
    for (std::uint32_t i = begin; i < end; ++i) {
      const op& o = p.code[i];
      if (o.kind == flow::branch && o.target >= begin && o.target < end) starts[o.target - begin] = true;
      if (o.kind == flow::indexed)
        for (const std::uint32_t to : p.tables[static_cast<std::size_t>(o.imm)]) starts[to - begin] = true;
      if (o.kind == flow::branch || o.kind == flow::indexed || o.kind == flow::ret || o.kind == flow::exit || o.kind == flow::unsupported)
        starts[i + 1 - begin] = true;
    }
    std::vector<block> blocks;
    std::vector<std::uint32_t> block_of(end - begin);
    for (std::uint32_t i = begin; i < end; ++i) {
      if (starts[i - begin]) {
        blocks.emplace_back();
        blocks.back().first = i;
      }
      blocks.back().last = i;
      block_of[i - begin] = static_cast<std::uint32_t>(blocks.size() - 1);
    }
    for (auto& b : blocks) {
      b.in.assign(words, 0);
      b.out.assign(words, 0);
      b.use.assign(words, 0);
      b.def.assign(words, 0);
      for (std::uint32_t i = b.first; i <= b.last; ++i) {
        reads(p, p.code[i], [&](std::uint32_t slot) {
          if (p.registers[slot].shareable && !has(b.def, dense[slot])) set(b.use, dense[slot]);
        });
        writes(p, p.code[i], [&](std::uint32_t slot) {
          if (p.registers[slot].shareable) set(b.def, dense[slot]);
        });
      }
      const op& o = p.code[b.last];
      if (o.kind == flow::branch && o.target >= begin && o.target < end) b.next.push_back(block_of[o.target - begin]);
      if (o.kind == flow::indexed)
        for (const std::uint32_t to : p.tables[static_cast<std::size_t>(o.imm)]) b.next.push_back(block_of[to - begin]);
      const bool ends = (o.kind == flow::branch || o.kind == flow::indexed || o.kind == flow::ret || o.kind == flow::exit) && !o.guarded;
      if (!ends && o.kind != flow::unsupported && b.last + 1 < end) b.next.push_back(block_of[b.last + 1 - begin]);
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t k = blocks.size(); k-- > 0;) {
        block& b = blocks[k];
        for (std::size_t word = 0; word < words; ++word) {
          std::uint64_t out = 0;
          for (const std::uint32_t n : b.next) out |= blocks[n].in[word];
          const std::uint64_t in = b.use[word] | (out & ~b.def[word]);
          changed |= in != b.in[word] || out != b.out[word];
          b.in[word] = in;
          b.out[word] = out;
        }
      }
    }

    // One interval for each register, over everything between its ends.
    std::vector<interval> here(slots.size());
    for (std::size_t r = 0; r < slots.size(); ++r) here[r] = {slots[r], ~0u, 0, static_cast<std::uint32_t>(f)};
    const auto cover = [&](std::uint32_t r, std::uint32_t at) {
      here[r].from = std::min(here[r].from, at);
      here[r].to = std::max(here[r].to, at);
    };
    for (const auto& b : blocks) {
      for (std::uint32_t r = 0; r < slots.size(); ++r) {
        if (has(b.in, r)) cover(r, b.first);
        if (has(b.out, r)) cover(r, b.last + 1);
      }
      for (std::uint32_t i = b.first; i <= b.last; ++i) {
        // A target that nobody reads still must not overwrite a live place.
        const auto point = [&](std::uint32_t slot) { if (p.registers[slot].shareable) cover(dense[slot], i); };
        reads(p, p.code[i], point);
        writes(p, p.code[i], point);
      }
    }
    for (std::uint32_t r = 0; r < slots.size(); ++r)
      if (has(blocks[0].in, r)) {
        undefined_at_start.push_back(slots[r]);
        here[r].from = begin;
        // What starts undefined must not be shared: its place is prepared once,
        // when the thread starts.
        here[r].to = end;
      }
    // The registers of a wgmma keep their places from the wait before it to the
    // wait behind it, so that who writes there in between is a mistake.
    if (p.warpgroups) {
      std::uint32_t before = begin;
      std::vector<std::uint32_t> behind(end - begin, end);
      for (std::uint32_t i = end, next = end; i-- > begin;) {
        if (p.code[i].warpgroup && p.code[i].unit) next = i;
        behind[i - begin] = next;
      }
      for (std::uint32_t i = begin; i < end; ++i) {
        const op& o = p.code[i];
        if (!o.warpgroup) continue;
        if (o.unit) before = i;
        const auto stay = [&](std::uint32_t slot) {
          if (!p.registers[slot].shareable) return;
          cover(dense[slot], before);
          cover(dense[slot], behind[i - begin]);
        };
        for (const ref& d : p.more[o.more].d) stay(d.slot);
        for (const ref& s : p.more[o.more].s) stay(s.slot);
      }
    }
    all.insert(all.end(), here.begin(), here.end());
  }

  // Linear scan, one list of free places for each size. A place ends where the
  // next begins only at different instructions: an operation with two targets
  // writes the first before the sources of the second are read.
  std::sort(all.begin(), all.end(), [](const interval& a, const interval& b) { return a.from < b.from || (a.from == b.from && a.slot < b.slot); });
  std::vector<ref> home(p.registers.size());
  std::vector<register_info> fresh_registers;
  std::uint32_t bytes = 0, count = 0;
  const auto fresh = [&](std::uint32_t size) {
    ref r;
    const std::uint32_t unit = size >= 64 ? 64 : size;
    r.offset = (bytes + unit - 1) / unit * unit;
    bytes = r.offset + size;
    r.slot = count++;
    fresh_registers.push_back({size, true});
    return r;
  };
  for (std::uint32_t slot = 0; slot < p.registers.size(); ++slot)
    if (!p.registers[slot].shareable) {
      home[slot] = fresh(p.registers[slot].bytes);
      fresh_registers.back().shareable = false;
    }
  std::map<std::uint32_t, std::vector<ref>> unused;
  std::vector<interval> active;
  std::uint32_t function = 0;
  for (const interval& next : all) {
    if (next.function != function) {
      // A caller's registers live on while its callee runs: no sharing.
      function = next.function;
      unused.clear();
      active.clear();
    }
    for (std::size_t i = 0; i < active.size();) {
      if (active[i].to < next.from) {
        unused[p.registers[active[i].slot].bytes].push_back(home[active[i].slot]);
        active[i] = active.back();
        active.pop_back();
      } else {
        ++i;
      }
    }
    auto& pool = unused[p.registers[next.slot].bytes];
    if (pool.empty()) {
      home[next.slot] = fresh(p.registers[next.slot].bytes);
    } else {
      home[next.slot] = pool.back();
      pool.pop_back();
    }
    active.push_back(next);
  }

  for (auto& o : p.code) {
    for (int i = 0; i < o.targets; ++i) o.d[i] = home[o.d[i].slot];
    for (int i = 0; i < o.sources; ++i) o.s[i] = home[o.s[i].slot];
    if (o.guarded) o.guard = home[o.guard.slot];
  }
  for (auto& list : p.more) {
    for (ref& d : list.d) d = home[d.slot];
    for (ref& s : list.s) s = home[s.slot];
  }
  for (const std::uint32_t slot : undefined_at_start) {
    p.born_undefined.push_back(home[slot]);
    p.undefined_bytes.push_back(p.registers[slot].bytes);
  }
  for (auto& c : p.constants) c.where = home[c.where.slot];
  for (auto& s : p.specials) s.where = home[s.where.slot];
  for (auto& r : p.return_registers) r = home[r.slot];
  if (p.stack_top) p.stack_top = home[p.stack_top->slot];
  p.registers = std::move(fresh_registers);
  p.file_bytes = (bytes + 63) / 64 * 64;
  p.slots = count;
}

}  // namespace skillbench::ptx
