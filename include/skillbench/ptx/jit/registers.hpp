#pragma once
// ptx/jit/registers.hpp: what native code keeps in vector registers, and knows of
// its registers.
//
// Layer   3. Includes allocate, recipes, state, x86.
// Shapes  32 lanes of 4 bytes are two vector registers, of 8 bytes four. k1 to
//         k4 are the fragment's lanes, eight at a time: k1 0-7 (and 0-15), k3
//         8-15, k2 16-23 (and 16-31), k4 24-31.
// Order   inside a block, registers are kept in vector registers and written back
//         to the file at its end if anything reads them later; only the fragment's
//         lanes are written. What a lane outside the fragment computes is never
//         seen.
// NaN     a result that is NaN becomes the canonical one where its bits can be
//         seen: arithmetic in between does not care which NaN it was.
// Source  register allocation by the farthest next use (Belady 1966).

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include <skillbench/ptx/allocate.hpp>
#include <skillbench/ptx/jit/recipes.hpp>
#include <skillbench/ptx/jit/state.hpp>
#include <skillbench/ptx/jit/x86.hpp>
#include <skillbench/ptx/program.hpp>

namespace skillbench::ptx::jit {

class block_registers {
 protected:
  block_registers(const program& p, bool checks) : p_(p), checks_(checks) {}

  using label = assembler::label;

  static constexpr int pool = 26;      // vector registers that hold PTX registers
  static constexpr int t0 = 26, t1 = 27, t2 = 28, t3 = 29, t4 = 30, t5 = 31;

  // Vector instructions used throughout.
  static constexpr vop load32{m0f, p_f3, 0, 0x6f}, load64{m0f, p_f3, 1, 0x6f}, load16{m0f, p_f2, 1, 0x6f};
  static constexpr vop store32{m0f, p_f3, 0, 0x7f}, store64{m0f, p_f3, 1, 0x7f}, store16{m0f, p_f2, 1, 0x7f};
  static constexpr vop spread32{m0f38, p_66, 0, 0x58}, spread64{m0f38, p_66, 1, 0x59};        // from memory
  static constexpr vop spread32_gpr{m0f38, p_66, 0, 0x7c}, spread64_gpr{m0f38, p_66, 1, 0x7c};
  static constexpr vop add32{m0f, p_66, 0, 0xfe}, add64{m0f, p_66, 1, 0xd4}, xor32{m0f, p_66, 0, 0xef}, xor64{m0f, p_66, 1, 0xef}, or32{m0f, p_66, 0, 0xeb};
  static constexpr vop mul32{m0f38, p_66, 0, 0x40}, mul64{m0f38, p_66, 1, 0x40};
  static constexpr vop choose3_32{m0f3a, p_66, 0, 0x25}, choose3_64{m0f3a, p_66, 1, 0x25};
  static constexpr vop test32{m0f38, p_66, 0, 0x27}, test64{m0f38, p_66, 1, 0x27}, test_not32{m0f38, p_f3, 0, 0x27};
  static constexpr vop compare_ps{m0f, p_none, 0, 0xc2};
  static constexpr vop fma231{m0f38, p_66, 0, 0xb8}, fma213{m0f38, p_66, 0, 0xa8};
  static constexpr vop extract_high{m0f3a, p_66, 1, 0x3b}, insert_high{m0f3a, p_66, 1, 0x3a};
  static constexpr int unordered = 3;

  // ---- blocks and liveness --------------------------------------------------------

  void find_liveness() {
    const auto n = static_cast<std::uint32_t>(p_.code.size());
    std::vector<std::uint32_t> starts;
    block_of_.assign(n + 1, 0);
    for (std::uint32_t i = 0; i < n; ++i) {
      if (i == 0 || p_.code[i].leads) starts.push_back(i);
      block_of_[i] = static_cast<std::uint32_t>(starts.size() - 1);
    }
    const std::size_t blocks = starts.size(), words = p_.slots / 64 + 1;
    // Sets of registers for every block: a program for which they are large is
    // taken to read everything.
    everything_lives_ = blocks * words > (std::size_t{1} << 22);
    if (everything_lives_) return;
    using bits = std::vector<std::uint64_t>;
    std::vector<bits> use(blocks, bits(words)), def(blocks, bits(words)), in(blocks, bits(words));
    out_.assign(blocks, bits(words));
    for (std::uint32_t i = 0; i < n; ++i) {
      bits& u = use[block_of_[i]];
      bits& d = def[block_of_[i]];
      liveness_reads(p_.code[i], [&](std::uint32_t slot) {
        if (!((d[slot >> 6] >> (slot & 63)) & 1)) u[slot >> 6] |= std::uint64_t{1} << (slot & 63);
      });
      liveness::writes(p_, p_.code[i], [&](std::uint32_t slot) { d[slot >> 6] |= std::uint64_t{1} << (slot & 63); });
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t b = blocks; b-- > 0;) {
        const std::uint32_t last = (b + 1 < blocks ? starts[b + 1] : n) - 1;
        const op& o = p_.code[last];
        const std::uint32_t next = last + 1 < n ? block_of_[last + 1] : ~0u;
        const bool simple = o.kind != flow::indexed && o.kind != flow::call && o.kind != flow::ret && o.kind != flow::exit && o.kind != flow::unsupported;
        for (std::size_t w = 0; w < words; ++w) {
          std::uint64_t live = 0;
          if (!simple) {
            live = o.kind == flow::exit && !o.guarded ? 0 : ~std::uint64_t{0};
          } else {
            if (next != ~0u && !(o.kind == flow::branch && !o.guarded)) live |= in[next][w];
            if (o.kind == flow::branch) live |= in[block_of_[o.target]][w];
          }
          const std::uint64_t before = use[b][w] | (live & ~def[b][w]);
          changed |= live != out_[b][w] || before != in[b][w];
          out_[b][w] = live;
          in[b][w] = before;
        }
      }
    }
  }

  // Registers that hold one number at the start of a block, on every way there.
  void find_constants() {
    const auto n = static_cast<std::uint32_t>(p_.code.size());
    std::vector<std::uint32_t> starts;
    for (std::uint32_t i = 0; i < n; ++i)
      if (i == 0 || p_.code[i].leads) starts.push_back(i);
    at_start_.assign(starts.size(), {});
    if (starts.size() > 4'000) return;
    std::vector<bool> reached(starts.size(), false), waits(starts.size(), false);
    std::vector<std::uint32_t> work;
    const auto arrive = [&](std::uint32_t instruction, const std::map<std::uint32_t, std::uint64_t>& with) {
      if (instruction >= n) return;
      const std::uint32_t b = block_of_[instruction];
      bool changed = !reached[b];
      if (changed) {
        at_start_[b] = with;
      } else {
        for (auto it = at_start_[b].begin(); it != at_start_[b].end();) {
          const auto same = with.find(it->first);
          if (same != with.end() && same->second == it->second) ++it;
          else it = at_start_[b].erase(it), changed = true;
        }
      }
      reached[b] = true;
      if (changed && !waits[b]) {
        waits[b] = true;
        work.push_back(b);
      }
    };
    for (const std::uint32_t start : p_.function_starts) arrive(start, {});
    arrive(0, {});
    for (const auto& table : p_.tables)
      for (const std::uint32_t target : table) arrive(target, {});
    for (std::uint32_t i = 0; i < n; ++i)
      if (p_.code[i].kind == flow::call) arrive(i + 1, {});
    while (!work.empty()) {
      const std::uint32_t b = work.back();
      work.pop_back();
      waits[b] = false;
      known_ = at_start_[b];
      const std::uint32_t end = b + 1 < starts.size() ? starts[b + 1] : n;
      for (std::uint32_t i = starts[b]; i < end; ++i) note_constants(p_.code[i], recipes_[i]);
      const op& last = p_.code[end - 1];
      if (last.kind == flow::branch) arrive(last.target, known_);
      if (!(last.kind == flow::branch && !last.guarded)) arrive(end, known_);
    }
  }

  template <typename Use>
  void liveness_reads(const op& o, Use&& use) const {
    liveness::reads(p_, o, use);
    // Which operands a row counts is its own affair: all that are set are read.
    for (int i = o.sources; i < 5; ++i)
      if (o.s[i].slot) use(o.s[i].slot);
    // A handler may read the rest of what it writes in part.
    if (o.kind != flow::plain) liveness::writes(p_, o, use);
  }

  [[nodiscard]] bool live_out(std::uint32_t slot) const {
    return everything_lives_ || ((out_[block_of_[first_]][slot >> 6] >> (slot & 63)) & 1);
  }

  // ---- what lies where ---------------------------------------------------------------

  [[nodiscard]] static mem state(std::size_t offset, int index = -1) { return {r13, static_cast<std::int32_t>(offset), index}; }
  [[nodiscard]] static mem constant(int index) { return state(offsetof(native_state, doubles) + 8 * static_cast<std::size_t>(index)); }

  void masks() {
    a_.kmov(1, r12);
    a_.kshift_right(3, 1, 8);
    a_.kshift_right(2, 1, 16);
    a_.kshift_right(4, 1, 24);
  }

  // ---- the registers that are kept ---------------------------------------------------

  struct kept {
    std::uint32_t slot = 0, offset = 0;
    std::uint8_t bytes = 4;   // of a lane
    std::array<int, 4> z{};
    bool dirty = false;
    bool loose = false;       // a NaN in it may not be the canonical one
    bool pinned = false;      // of the instruction being compiled
  };

  [[nodiscard]] static int chunks(int bytes) { return bytes == 8 ? 4 : bytes == 4 ? 2 : 1; }
  [[nodiscard]] static int mask_of(int bytes, int chunk) {
    constexpr int eight[] = {1, 3, 2, 4};
    return bytes == 8 ? eight[chunk] : chunk == 0 ? 1 : 2;
  }
  [[nodiscard]] static vop load_of(int bytes) { return bytes == 8 ? load64 : bytes == 4 ? load32 : load16; }
  [[nodiscard]] static vop store_of(int bytes) { return bytes == 8 ? store64 : bytes == 4 ? store32 : store16; }
  [[nodiscard]] static mem at(std::uint32_t offset, int chunk = 0) { return {rbx, static_cast<std::int32_t>(offset) + 64 * chunk}; }

  kept* find(std::uint32_t slot) {
    for (auto& k : kept_)
      if (k.slot == slot) return &k;
    return nullptr;
  }

  // Positions in the block where a register is read (odd) or written whole.
  struct event { std::uint32_t at; bool reads; };
  [[nodiscard]] const event* next_event(std::uint32_t slot, std::uint32_t after_this) const {
    const auto it = events_.find(slot);
    if (it == events_.end()) return nullptr;
    const auto& list = it->second;
    auto e = std::upper_bound(list.begin(), list.end(), after_this, [](std::uint32_t x, const event& y) { return x < y.at; });
    return e == list.end() ? nullptr : &*e;
  }
  // Does anything still want the value that the register has after `pos`?
  [[nodiscard]] bool wanted(std::uint32_t slot, std::uint32_t pos) const {
    const event* e = next_event(slot, pos);
    return e ? e->reads : live_out(slot);
  }

  void canonical(kept& k) {
    if (!k.loose) return;
    for (int c = 0; c < 2; ++c) canonical(k.z[c]);
    k.loose = false;
  }
  void canonical(int z) {
    a_.v(compare_ps, 7, z, z);
    a_.immediate(unordered);
    a_.v(load32_spread(), z, 0, constant(c_nan), 7);
  }
  // A broadcast from memory under a mask keeps the other lanes.
  static constexpr vop load32_spread() { return spread32; }

  void write_back(kept& k) {
    if (!k.dirty) return;
    canonical(k);
    if (k.bytes == 2) {
      a_.v(store16, k.z[0], 0, at(k.offset), 1);
    } else {
      for (int c = 0; c < chunks(k.bytes); ++c) a_.v(store_of(k.bytes), k.z[c], 0, at(k.offset, c), mask_of(k.bytes, c));
    }
    k.dirty = false;
  }

  void drop(std::uint32_t slot) {
    for (std::size_t i = 0; i < kept_.size(); ++i)
      if (kept_[i].slot == slot) {
        for (int c = 0; c < chunks(kept_[i].bytes); ++c) free_.push_back(kept_[i].z[c]);
        kept_[i] = kept_.back();
        kept_.pop_back();
        return;
      }
  }

  bool make_room(int n) {
    while (static_cast<int>(free_.size()) < n) {
      kept* victim = nullptr;
      std::uint64_t far = 0;
      for (auto& k : kept_) {
        if (k.pinned) continue;
        const event* e = next_event(k.slot, position_);
        const std::uint64_t when = e && e->reads ? e->at : ~std::uint64_t{0} >> 1;
        if (!victim || when > far) {
          victim = &k;
          far = when;
        }
      }
      if (!victim) return false;
      if (victim->dirty && wanted(victim->slot, position_ - 1)) write_back(*victim);
      drop(victim->slot);
    }
    return true;
  }

  // Writes what is wanted after `pos` back and keeps nothing.
  void flush(std::uint32_t pos) {
    for (auto& k : kept_)
      if (k.dirty && wanted(k.slot, pos)) write_back(k);
    forget();
  }
  void forget() {
    kept_.clear();
    free_.clear();
    for (int z = pool - 1; z >= 0; --z) free_.push_back(z);
  }

  // A source of the instruction: registers when it is kept or will be read
  // again, else its place in the file.
  struct source {
    bool in_registers = false;
    std::array<int, 4> z{};
    std::uint32_t offset = 0;
    [[nodiscard]] mem chunk(int c) const { return at(offset, c); }
  };

  source want(ref r, int bytes, bool as_float = false, bool registers = false) {
    source out;
    out.offset = r.offset;
    kept* k = find(r.slot);
    if (k && k->bytes != bytes) {
      // A register read at another width: through the file.
      write_back(*k);
      drop(r.slot);
      k = nullptr;
    }
    if (!k) {
      const event* again = next_event(r.slot, position_);
      if ((registers || (again && again->reads)) && make_room(chunks(bytes))) k = &keep(r, bytes, true);
    }
    if (k) {
      k->pinned = true;
      if (!as_float) canonical(*k);
      out.in_registers = true;
      out.z = k->z;
    }
    return out;
  }

  kept& keep(ref r, int bytes, bool load) {
    kept k;
    k.slot = r.slot;
    k.offset = r.offset;
    k.bytes = static_cast<std::uint8_t>(bytes);
    for (int c = 0; c < chunks(bytes); ++c) {
      k.z[c] = free_.back();
      free_.pop_back();
      if (load) a_.v(load_of(bytes), k.z[c], 0, at(r.offset, c));
    }
    kept_.push_back(k);
    return kept_.back();
  }

  // Fresh registers for a target, not yet its own.
  bool fresh(int n, std::array<int, 4>& z) {
    if (!make_room(n)) return false;
    for (int c = 0; c < n; ++c) {
      z[c] = free_.back();
      free_.pop_back();
    }
    return true;
  }
  void bind(ref r, int bytes, const std::array<int, 4>& z, bool loose = false) {
    drop(r.slot);
    kept k;
    k.slot = r.slot;
    k.offset = r.offset;
    k.bytes = static_cast<std::uint8_t>(bytes);
    k.z = z;
    k.dirty = true;
    k.loose = loose;
    kept_.push_back(k);
    sites_.erase(r.slot);
  }

  // o(to, a, b) for a chunk, whichever of them is in memory.
  void emit(vop o, int to, int x, const source& b, int c, int mask = 0) {
    b.in_registers ? a_.v(o, to, x, b.z[c], mask) : a_.v(o, to, x, b.chunk(c), mask);
  }
  // A chunk in a register.
  int reg(const source& s, int c, int bytes, int spare) {
    if (s.in_registers) return s.z[c];
    a_.v(load_of(bytes), spare, 0, s.chunk(c));
    return spare;
  }

  // A constant of the file, and any register that holds a known number here.
  [[nodiscard]] const std::uint64_t* constant_of(ref r) const {
    const auto it = constants_.find(r.slot);
    return it == constants_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const std::uint64_t* value_of(ref r) const {
    const auto it = known_.find(r.slot);
    return it == known_.end() ? constant_of(r) : &it->second;
  }
  void note_constants(const op& o, const recipe& r) {
    const std::uint64_t* value = r.is == form::move && r.bytes == 4 && !o.guarded ? value_of(o.s[0]) : nullptr;
    const std::uint64_t copy = value ? *value : 0;
    liveness::writes(p_, o, [&](std::uint32_t slot) { known_.erase(slot); });
    if (value) known_[o.d[0].slot] = copy;
  }

  // A verified address, as long as its register is not written.
  struct site {
    pattern is;
    int bytes;
    std::uint32_t number;
  };

  const program& p_;
  const bool checks_;
  assembler a_;
  std::vector<recipe> recipes_;
  std::unordered_map<std::uint32_t, std::uint64_t> constants_;
  std::map<std::uint32_t, std::uint64_t> known_;
  std::vector<std::uint32_t> block_of_;
  std::vector<std::vector<std::uint64_t>> out_;
  bool everything_lives_ = false;
  std::vector<std::map<std::uint32_t, std::uint64_t>> at_start_;  // known numbers, by block
  std::uint32_t first_ = 0, end_ = 0, position_ = 0;  // of the block
  std::unordered_map<std::uint32_t, std::vector<event>> events_;
  std::vector<kept> kept_;
  std::vector<int> free_;
  std::map<std::uint32_t, std::vector<site>> sites_;
};

}  // namespace skillbench::ptx::jit
