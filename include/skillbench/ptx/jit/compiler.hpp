#pragma once
// ptx/jit/compiler.hpp: from a program to native code on the same register file.
//
// Layer   3. Includes recipes, state, x86.
// Shapes  32 lanes of 4 bytes are two vector registers, of 8 bytes four. k1 to
//         k4 are the fragment's lanes, eight at a time: k1 0-7 (and 0-15), k3
//         8-15, k2 16-23 (and 16-31), k4 24-31.
// Order   a block of straight-line code is compiled at a time. Inside it,
//         registers are kept in vector registers and written back to the file at
//         its end if anything reads them later; only the fragment's lanes are
//         written. What a lane outside the fragment computes is never seen.
// NaN     a result that is NaN becomes the canonical one where its bits can be
//         seen: arithmetic in between does not care which NaN it was.
// Trust   every offset into the file comes from decode. An instruction without a
//         recipe, an access that is not plainly in bounds, aligned and defined:
//         its handler is called, and the interpreter goes on where that leaves an
//         undefined value behind.
// Source  register allocation by the farthest next use (Belady 1966).

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/ptx/allocate.hpp>
#include <skillbench/ptx/jit/recipes.hpp>
#include <skillbench/ptx/jit/state.hpp>
#include <skillbench/ptx/jit/x86.hpp>
#include <skillbench/ptx/program.hpp>

namespace skillbench::ptx::jit {

struct native_code {
  executable code;
  std::vector<std::uint32_t> entries;  // by instruction: offset, or 0
  std::vector<std::vector<std::uint32_t>> slots;  // that a block reads or writes, by its first instruction
  const op* of = nullptr;
  std::size_t count = 0;
  bool checks = true;
};

inline constexpr std::size_t most_native_ops = 60'000;
inline constexpr std::size_t most_native_bytes = 24u << 20;

class compiler {
 public:
  compiler(const program& p, const std::vector<std::uint8_t>& guesses, bool checks) : p_(p), guesses_(guesses), checks_(checks) {}

  [[nodiscard]] std::unique_ptr<native_code> compile() {
    if (p_.code.size() > most_native_ops) return nullptr;
    const auto n = static_cast<std::uint32_t>(p_.code.size());
    for (const auto& k : p_.constants) constants_[k.where.slot] = k.bits;
    recipes_.reserve(n);
    for (const op& o : p_.code) recipes_.push_back(recipe_of(o));
    find_liveness();
    enter_ = a_.fresh();
    leave_ = a_.fresh();
    leave_inside_ = a_.fresh();
    emit_frame();
    labels_.resize(n + 1);
    slots_.resize(n);
    for (auto& l : labels_) l = a_.fresh();
    std::vector<bool> native(n + 1, false);
    find_constants();
    for (std::uint32_t i = 0; i < n;) {
      std::uint32_t end = i + 1;
      while (end < n && !p_.code[end].leads) ++end;
      a_.bind(labels_[i]);
      for (std::uint32_t k = i + 1; k < end; ++k) a_.bind(labels_[k]);  // never jumped to
      native[i] = block(i, end);
      i = end;
      if (a_.size() > most_native_bytes) return nullptr;
    }
    a_.bind(labels_[n]);
    stop_at(n, 0);
    a_.finish();
    auto out = std::make_unique<native_code>();
    out->code = executable(a_.bytes());
    if (!out->code.at(0)) return nullptr;
    out->entries.assign(n, 0);
    out->slots = std::move(slots_);
    for (std::uint32_t i = 0; i < n; ++i)
      if (native[i]) out->entries[i] = static_cast<std::uint32_t>(a_.place(labels_[i]));
    out->of = p_.code.data();
    out->count = p_.code.size();
    out->checks = checks_;
    return out;
  }

 private:
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

  // ---- frame ------------------------------------------------------------------------

  [[nodiscard]] static mem state(std::size_t offset, int index = -1) { return {r13, static_cast<std::int32_t>(offset), index}; }
#define SKILLBENCH_STATE(field) state(offsetof(native_state, field))
  [[nodiscard]] static mem constant(int index) { return state(offsetof(native_state, doubles) + 8 * static_cast<std::size_t>(index)); }

  void masks() {
    a_.kmov(1, r12);
    a_.kshift_right(3, 1, 8);
    a_.kshift_right(2, 1, 16);
    a_.kshift_right(4, 1, 24);
  }

  void emit_frame() {
    a_.bind(enter_);
    for (const int r : {rbx, rbp, r12, r13, r14, r15}) a_.push(r);
    a_.sub_number(1, rsp, 8);
    a_.mov(1, r13, rdi);
    a_.load(1, rbx, SKILLBENCH_STATE(file));
    a_.load(0, r12, SKILLBENCH_STATE(lanes));
    a_.load(1, r14, SKILLBENCH_STATE(limit));
    a_.xor_(0, r15, r15);
    a_.xor_(0, rbp, rbp);
    masks();
    a_.load(1, rax, SKILLBENCH_STATE(entry));
    a_.jump_to_register(rax);
    // After a handler said so (eax): ecx is its instruction, edx how many of the
    // block were counted but not run.
    a_.bind(leave_inside_);
    a_.sub(1, r15, rdx);
    const label stop = a_.fresh();
    a_.cmp_number(0, rax, static_cast<int>(after::interpret));
    a_.jump_if(not_zero, stop);
    a_.add_number(0, rcx, 1);
    a_.bind(stop);
    a_.store(0, SKILLBENCH_STATE(pc), rcx);
    a_.bind(leave_);
    a_.store(1, SKILLBENCH_STATE(ran), r15);
    a_.store(1, SKILLBENCH_STATE(fewer_threads), rbp);
    a_.vzeroupper();
    a_.add_number(1, rsp, 8);
    for (const int r : {r15, r14, r13, r12, rbp, rbx}) a_.pop(r);
    a_.ret();
  }

  // Back to the interpreter, which runs instruction `pc`.
  void stop_at(std::uint32_t pc, std::uint32_t uncounted) {
    if (uncounted) a_.sub_number(1, r15, static_cast<std::int32_t>(uncounted));
    a_.store_word(SKILLBENCH_STATE(pc), pc);
    a_.xor_(0, rax, rax);
    a_.jump(leave_);
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

  // ---- a block ------------------------------------------------------------------------

  struct stub {
    label from, back;
    std::uint32_t pc, left;
    bool guarded, access;
    std::vector<kept> before, after;
  };

  // False: nothing native, only a way back to the interpreter.
  bool block(std::uint32_t first, std::uint32_t end) {
    first_ = first;
    end_ = end;
    known_ = at_start_[block_of_[first]];
    const op& last = p_.code[end - 1];
    const bool converge = last.kind == flow::converge && end - first == 1 && recipes_[first].is == form::shuffle && shuffles_plainly(last);
    if (last.kind != flow::plain && last.kind != flow::branch && !converge) {
      // Such an instruction is a block of its own.
      if (end - first == 1) {
        stop_at(first, 0);
        return false;
      }
    }
    const std::uint32_t n = end - first;
    const label out = a_.fresh();
    a_.cmp(1, r15, r14);
    a_.jump_if(above_equal, out);
    a_.cmp_number(0, SKILLBENCH_STATE(meet), static_cast<std::int32_t>(first));
    a_.jump_if(below_equal, out);
    if (converge) {
      a_.cmp_number(0, r12, -1);
      a_.jump_if(not_zero, out);
    }
    a_.add_number(1, r15, static_cast<std::int32_t>(n));

    events_.clear();
    for (std::uint32_t i = first; i < end; ++i) {
      const op& o = p_.code[i];
      liveness_reads(o, [&](std::uint32_t slot) {
        auto& list = events_[slot];
        if (list.empty() || list.back().at != i) list.push_back({i, true});
      });
      liveness::writes(p_, o, [&](std::uint32_t slot) {
        auto& list = events_[slot];
        if (list.empty() || list.back().at != i) list.push_back({i, false});
      });
    }
    for (const auto& [slot, list] : events_) slots_[first].push_back(slot);
    forget();
    sites_.clear();
    next_site_ = 0;
    stubs_.clear();

    for (std::uint32_t i = first; i < end; ++i) {
      position_ = i;
      const op& o = p_.code[i];
      if (o.kind == flow::branch) {
        branch(o, i);
        break;
      }
      for (auto& k : kept_) k.pinned = false;
      if (!instruction(o, i)) call_handler(o, i);
      note_constants(o, recipes_[i]);
    }
    if (last.kind != flow::branch) {
      flush(end - 1);
      a_.jump(labels_[end]);
    }
    for (const auto& s : stubs_) emit_stub(s);
    a_.bind(out);
    stop_at(first, 0);
    return true;
  }

  void branch(const op& o, std::uint32_t pc) {
    flush(pc);
    if (!o.guarded) {
      a_.jump(labels_[o.target]);
      return;
    }
    const label none = a_.fresh(), apart = a_.fresh();
    guard(o);
    a_.jump_if(zero, none);
    a_.cmp(0, rax, r12);
    a_.jump_if(not_zero, apart);
    a_.jump(labels_[o.target]);
    a_.bind(apart);
    stop_at(pc, 1);
    a_.bind(none);
    a_.load(0, rcx, SKILLBENCH_STATE(population));
    a_.sub(1, rbp, rcx);
    a_.jump(labels_[pc + 1]);
  }

  // eax: the lanes that the guard lets through; flags of the last `and`.
  void guard(const op& o) {
    a_.load(0, rax, at(o.guard.offset));
    if (o.guard_negated) a_.not_(0, rax);
    a_.and_(0, rax, r12);
  }
  // The same, and the threads that it costs.
  void counted_guard(const op& o) {
    guard(o);
    a_.popcount(0, rcx, rax);
    a_.sub(0, rcx, SKILLBENCH_STATE(population));
    a_.extend32(rcx, rcx);
    a_.add(1, rbp, rcx);
  }

  // ---- calls out of native code ----------------------------------------------------------

  void call(const op& o, std::uint32_t pc, bool access, int active_in) {
    if (active_in != rdx) a_.mov(0, rdx, active_in);
    a_.mov(1, rdi, r13);
    a_.set64(rsi, reinterpret_cast<std::uint64_t>(&o));
    a_.set(rcx, end_ - 1 - pc);
    a_.store(1, SKILLBENCH_STATE(ran), r15);
    a_.call(access ? SKILLBENCH_STATE(access) : SKILLBENCH_STATE(run));
    const label well = a_.fresh();
    a_.test(0, rax, rax);
    a_.jump_if(zero, well);
    a_.set(rcx, pc);
    a_.set(rdx, end_ - 1 - pc);
    a_.jump(leave_inside_);
    a_.bind(well);
    masks();
  }

  void call_handler(const op& o, std::uint32_t pc) {
    // All that is wanted, also by this instruction itself.
    for (auto& k : kept_)
      if (k.dirty && wanted(k.slot, pc - 1)) write_back(k);
    forget();
    liveness::writes(p_, o, [&](std::uint32_t slot) { sites_.erase(slot); });
    int active = r12;
    if (o.guarded) {
      counted_guard(o);
      active = rax;
    }
    const bool access = recipes_[pc].is == form::load || recipes_[pc].is == form::store;
    call(o, pc, access, active);
  }

  void emit_stub(const stub& s) {
    a_.bind(s.from);
    for (kept k : s.before) write_back(k);
    const op& o = p_.code[s.pc];
    if (s.guarded) a_.load(0, rdx, SKILLBENCH_STATE(active));
    call(o, s.pc, s.access, s.guarded ? rdx : r12);
    for (const kept& k : s.after)
      for (int c = 0; c < chunks(k.bytes); ++c) a_.v(load_of(k.bytes), k.z[c], 0, at(k.offset, c));
    a_.jump(s.back);
  }

  // ---- instructions -----------------------------------------------------------------------

  bool instruction(const op& o, std::uint32_t pc) {
    const recipe& r = recipes_[pc];
    switch (r.is) {
      case form::none: return false;
      case form::load: return load(o, pc);
      case form::store: return store(o, pc);
      case form::move_predicate:
      case form::predicates:
      case form::compare: return predicate(o, r);
      case form::shuffle: return shuffle(o, r);
      default: return arithmetic(o, r);
    }
  }

  // The result of `compute` in the lanes that are active.
  bool arithmetic(const op& o, const recipe& r) {
    int bytes = r.bytes;
    if (r.is == form::narrow) bytes = 4;
    const int n = chunks(bytes);
    bool loose = false;
    // The old value is what a guard leaves.
    source old;
    if (o.guarded) old = want(o.d[0], bytes, false, true);
    if (o.guarded && !old.in_registers) return false;
    sources in;
    if (!prepare(o, r, in)) return false;
    std::array<int, 4> z{};
    if (!fresh(n, z)) return false;
    if (!compute(o, r, in, z, loose)) {
      for (int c = n - 1; c >= 0; --c) free_.push_back(z[c]);
      return false;
    }
    if (o.guarded) {
      if (loose)
        for (int c = 0; c < n; ++c) canonical(z[c]);
      loose = false;
      counted_guard(o);
      a_.not_(0, rax);
      a_.kmov(5, rax);
      for (int c = 0; c < n; ++c) {
        if (c) a_.kshift_right(5, 5, bytes == 8 ? 8 : 16);
        a_.v(load_of(bytes), z[c], 0, old.z[c], 5);
      }
    }
    bind(o.d[0], bytes, z, loose);
    return true;
  }

  struct sources {
    source s[3];
  };

  bool prepare(const op& o, const recipe& r, sources& in) {
    const auto get = [&](int i, int bytes, bool as_float = false) { in.s[i] = want(o.s[i], bytes, as_float); };
    switch (r.is) {
      case form::binary: get(0, r.bytes), get(1, r.bytes); break;
      case form::shift:
        get(0, r.bytes);
        if (!value_of(o.s[1])) get(1, 4);
        break;
      case form::absolute:
      case form::negate:
      case form::invert:
      case form::narrow:
      case form::move: get(0, r.bytes, r.is == form::move && r.bytes == 4); break;
      case form::logic3: get(0, 4), get(1, 4), get(2, 4); break;
      case form::mul_add: get(0, r.bytes), get(1, r.bytes), get(2, r.bytes); break;
      case form::mul_high: get(0, 4), get(1, 4); break;
      case form::wide:
        get(0, 4);
        if (!constant_of(o.s[1])) get(1, 4);
        if (r.extra & 2) get(2, 8);
        break;
      case form::widen: get(0, 4); break;
      case form::select: get(0, r.bytes), get(1, r.bytes); break;
      case form::float_binary: get(0, 4, true), get(1, 4, true); break;
      case form::float_fma: get(0, 4, true), get(1, 4, true), get(2, 4, true); break;
      case form::float_dressed:
        get(0, 4, true), get(1, 4, true);
        if ((r.extra & 0xff) == 3) get(2, 4, true);
        break;
      case form::float_minmax: get(0, 4, true), get(1, 4, true); break;
      case form::float_sign: get(0, 4); break;
      case form::float_sqrt:
      case form::float_reciprocal:
      case form::rsqrt:
      case form::ex2:
      case form::convert: get(0, 4, true); break;
      case form::float_of_int: get(0, 4); break;
      case form::load_parameter: break;
      default: return false;
    }
    return true;
  }

  void immediate_shift(int bytes, int digit, int to, const source& from, int c, std::uint32_t by) {
    // The digit is in the register field, the target in the second one.
    const vop o{m0f, p_66, bytes == 8 ? 1 : 0, bytes == 8 && digit != 4 ? 0x73 : 0x72};
    from.in_registers ? a_.v(o, digit, to, from.z[c]) : a_.v(o, digit, to, from.chunk(c));
    a_.immediate(static_cast<int>(by));
  }

  // 8 lanes of a 32-bit source as 64 bits: chunk c of 4.
  void widen(vop o, int to, const source& from, int c) {
    if (!from.in_registers) {
      a_.v(o, to, 0, mem{rbx, static_cast<std::int32_t>(from.offset) + 32 * c});
      return;
    }
    if (c & 1) {
      a_.v(extract_high, from.z[c / 2], 0, t5);
      a_.immediate(1);
      a_.v(o, to, 0, t5);
    } else {
      a_.v(o, to, 0, from.z[c / 2]);
    }
  }

  bool compute(const op& o, const recipe& r, sources& in, const std::array<int, 4>& z, bool& loose) {
    const int n = chunks(r.is == form::narrow ? 4 : r.bytes);
    const int w = r.bytes == 8 ? 1 : 0;
    switch (r.is) {
      case form::binary:
        for (int c = 0; c < n; ++c) emit(r.o, z[c], reg(in.s[0], c, r.bytes, t0), in.s[1], c);
        return true;
      case form::shift: {
        if (const auto* k = value_of(o.s[1])) {
          const auto bits = static_cast<std::uint32_t>(8 * r.bytes);
          const auto by = static_cast<std::uint32_t>(std::min<std::uint64_t>(*k, bits));
          for (int c = 0; c < n; ++c) immediate_shift(r.bytes, r.extra, z[c], in.s[0], c, by);
          return true;
        }
        for (int c = 0; c < n; ++c) {
          const int x = reg(in.s[0], c, r.bytes, t0);
          if (r.bytes == 8) {
            widen({m0f38, p_66, 0, 0x35}, t1, in.s[1], c);
            a_.v(r.o, z[c], x, t1);
          } else {
            emit(r.o, z[c], x, in.s[1], c);
          }
        }
        return true;
      }
      case form::absolute:
        for (int c = 0; c < n; ++c) emit(r.o, z[c], 0, in.s[0], c);
        return true;
      case form::negate:
        a_.v(xor32, t0, t0, t0);
        for (int c = 0; c < n; ++c) emit(r.o, z[c], t0, in.s[0], c);
        return true;
      case form::invert:
        for (int c = 0; c < n; ++c) {
          emit(choose3_64, z[c], z[c], in.s[0], c);
          a_.immediate(0x55);
        }
        return true;
      case form::logic3:
        for (int c = 0; c < n; ++c) {
          const int b = reg(in.s[1], c, 4, t1);
          in.s[0].in_registers ? a_.v(load32, z[c], 0, in.s[0].z[c]) : a_.v(load32, z[c], 0, in.s[0].chunk(c));
          emit(choose3_32, z[c], b, in.s[2], c);
          a_.immediate(static_cast<int>(o.imm));
        }
        return true;
      case form::mul_add:
        for (int c = 0; c < n; ++c) {
          emit(w ? mul64 : mul32, z[c], reg(in.s[0], c, r.bytes, t0), in.s[1], c);
          emit(w ? add64 : add32, z[c], z[c], in.s[2], c);
        }
        return true;
      case form::mul_high:
        for (int c = 0; c < n; ++c) {
          const int x = reg(in.s[0], c, 4, t0), y = reg(in.s[1], c, 4, t1);
          const vop right{m0f, p_66, 1, 0x73};
          a_.v(r.o, t2, x, y);  // even lanes
          a_.v(right, 2, t3, x);
          a_.immediate(32);
          a_.v(right, 2, t4, y);
          a_.immediate(32);
          a_.v(r.o, t3, t3, t4);  // odd lanes
          a_.v(right, 2, z[c], t2);
          a_.immediate(32);
          a_.set(rax, 0xaaaaaaaau);
          a_.kmov(5, rax);
          a_.v(load32, z[c], 0, t3, 5);
        }
        return true;
      case form::wide: {
        const vop extend{m0f38, p_66, 0, r.extra & 1 ? 0x25 : 0x35};
        const auto* k = constant_of(o.s[1]);
        for (int c = 0; c < n; ++c) {
          if (k) {
            const auto factor = static_cast<std::uint32_t>(*k);
            widen(extend, z[c], in.s[0], c);
            // A power of two that is positive in either sign.
            if (factor && !(factor & (factor - 1)) && factor != 0x80000000u) {
              source self;
              self.in_registers = true;
              self.z[0] = z[c];
              immediate_shift(8, 6, z[c], self, 0, static_cast<std::uint32_t>(std::countr_zero(factor)));
            } else {
              a_.v(r.o, z[c], z[c], at(o.s[1].offset), 0, false, true);
            }
          } else {
            widen(extend, t1, in.s[0], c);
            widen(extend, t2, in.s[1], c);
            a_.v(r.o, z[c], t1, t2);
          }
          if (r.extra & 2) emit(add64, z[c], z[c], in.s[2], c);
        }
        return true;
      }
      case form::widen:
        for (int c = 0; c < n; ++c) widen(r.o, z[c], in.s[0], c);
        return true;
      case form::narrow: {
        const vop down{m0f38, p_f3, 0, 0x35};
        for (int c = 0; c < 2; ++c) {
          a_.v(down, reg(in.s[0], 2 * c, 8, t0), 0, z[c]);
          a_.v(down, reg(in.s[0], 2 * c + 1, 8, t0), 0, t1);
          a_.v(insert_high, z[c], z[c], t1);
          a_.immediate(1);
        }
        return true;
      }
      case form::move: {
        kept* k = find(o.s[0].slot);
        loose = r.bytes == 4 && k && k->loose;
        for (int c = 0; c < n; ++c) emit(load_of(r.bytes), z[c], 0, in.s[0], c);
        return true;
      }
      case form::select:
        a_.load(0, rax, at(o.s[2].offset));
        if (o.imm) a_.not_(0, rax);
        a_.kmov(5, rax);
        for (int c = 0; c < n; ++c) {
          if (c) a_.kshift_right(5, 5, r.bytes == 8 ? 8 : 16);
          emit(r.o, z[c], reg(in.s[1], c, r.bytes, t0), in.s[0], c, 5);
        }
        return true;
      case form::float_binary:
        for (int c = 0; c < n; ++c) emit(r.o, z[c], reg(in.s[0], c, 4, t0), in.s[1], c);
        loose = true;
        return true;
      case form::float_fma:
        for (int c = 0; c < n; ++c) {
          in.s[2].in_registers ? a_.v(load32, z[c], 0, in.s[2].z[c]) : a_.v(load32, z[c], 0, in.s[2].chunk(c));
          const bool swap = !in.s[0].in_registers && in.s[1].in_registers;
          const source& x = swap ? in.s[1] : in.s[0];
          const source& y = swap ? in.s[0] : in.s[1];
          emit(fma231, z[c], reg(x, c, 4, t0), y, c);
        }
        loose = true;
        return true;
      case form::float_dressed: {
        const int rounding = r.extra >> 8;
        for (int c = 0; c < n; ++c) {
          const int x = reg(in.s[0], c, 4, t0), y = reg(in.s[1], c, 4, t1);
          if ((r.extra & 0xff) == 3) in.s[2].in_registers ? a_.v(load32, z[c], 0, in.s[2].z[c]) : a_.v(load32, z[c], 0, in.s[2].chunk(c));
          a_.v(r.o, z[c], x, y, 0, false, 2, rounding);
        }
        loose = true;
        return true;
      }
      case form::float_minmax:
        // The instruction gives its second operand when one is NaN or both are
        // zeros: b unless b is NaN; of two equals the sign bits decide.
        for (int c = 0; c < n; ++c) {
          const int x = reg(in.s[0], c, 4, t0), y = reg(in.s[1], c, 4, t1);
          a_.v(r.o, z[c], x, y);
          a_.v(compare_ps, 5, y, y);
          a_.immediate(unordered);
          a_.v(load32, z[c], 0, x, 5);
          a_.v(compare_ps, 6, x, y);
          a_.immediate(0);
          const vop both{m0f, p_66, 0, r.extra ? 0xdb : 0xeb};  // and, or
          a_.v(both, z[c], x, y, 6);
        }
        loose = true;
        return true;
      case form::float_sign:
        for (int c = 0; c < n; ++c) {
          const int x = reg(in.s[0], c, 4, t0);
          r.extra ? a_.v({m0f, p_66, 0, 0xdb}, z[c], x, constant(c_nan), 0, false, true) : a_.v(xor32, z[c], x, constant(c_sign), 0, false, true);
        }
        return true;
      case form::float_sqrt:
        for (int c = 0; c < n; ++c) emit(r.o, z[c], 0, in.s[0], c);
        loose = true;
        return true;
      case form::float_reciprocal:
        a_.v(spread32, t1, 0, constant(c_one));
        for (int c = 0; c < n; ++c) emit(r.o, z[c], t1, in.s[0], c);
        loose = true;
        return true;
      case form::float_of_int:
        for (int c = 0; c < n; ++c) emit(r.o, z[c], 0, in.s[0], c);
        return true;
      case form::convert:  // to [0, 1]
        for (int c = 0; c < n; ++c) {
          a_.v({m0f, p_none, 0, 0x5f}, z[c], reg(in.s[0], c, 4, t0), constant(c_zero), 0, false, true);
          a_.v({m0f, p_none, 0, 0x5d}, z[c], z[c], constant(c_one), 0, false, true);
        }
        return true;
      case form::rsqrt:
        for (int c = 0; c < n; ++c) {
          const int x = reg(in.s[0], c, 4, t0);
          for (int h = 0; h < 2; ++h) {
            to_doubles(t1, x, h);
            a_.v({m0f, p_66, 1, 0x51}, t1, 0, t1);
            a_.v(spread64, t2, 0, constant(c_unit));
            a_.v({m0f, p_66, 1, 0x5e}, t1, t2, t1);
            from_doubles(z[c], t1, h);
          }
        }
        loose = true;
        return true;
      case form::ex2:
        for (int c = 0; c < n; ++c) power_of_two(z[c], reg(in.s[0], c, 4, t0), r.extra != 0);
        loose = true;
        return true;
      case form::load_parameter: {
        // decode placed it inside the block of parameters.
        if (o.imm < 0 || static_cast<std::uint64_t>(o.imm) + r.bytes > p_.parameter_bytes || o.imm % r.bytes != 0) return false;
        a_.load(1, rax, SKILLBENCH_STATE(parameters));
        a_.v(r.bytes == 8 ? spread64 : spread32, z[0], 0, mem{rax, static_cast<std::int32_t>(o.imm)});
        for (int c = 1; c < n; ++c) a_.v(load32, z[c], 0, z[0]);
        return true;
      }
      default: return false;
    }
  }

  // 8 lanes of 16 as doubles, and back.
  void to_doubles(int to, int from, int half) {
    const vop widen_ps{m0f, p_none, 0, 0x5a};
    if (half) {
      a_.v(extract_high, from, 0, t5);
      a_.immediate(1);
      a_.v(widen_ps, to, 0, t5);
    } else {
      a_.v(widen_ps, to, 0, from);
    }
  }
  void from_doubles(int to, int from, int half) {
    const vop narrow_pd{m0f, p_66, 1, 0x5a};
    if (half) {
      a_.v(narrow_pd, t5, 0, from);
      a_.v(insert_high, to, to, t5);
      a_.immediate(1);
    } else {
      a_.v(narrow_pd, to, 0, from);
    }
  }

  // approximate::ex2, operation by operation.
  void power_of_two(int to, int from, bool flushes) {
    const vop add{m0f, p_66, 1, 0x58}, sub{m0f, p_66, 1, 0x5c}, mul{m0f, p_66, 1, 0x59};
    // from may be t0, which holds until the end.
    a_.v({m0f, p_none, 0, 0x5f}, t1, from, constant(c_least), 0, false, true);
    a_.v({m0f, p_none, 0, 0x5d}, t1, t1, constant(c_most), 0, false, true);
    for (int h = 0; h < 2; ++h) {
      to_doubles(t2, t1, h);                                             // x
      a_.v(add, t3, t2, constant(c_magic), 0, false, true);
      a_.v(sub, t3, t3, constant(c_magic), 0, false, true);              // whole
      a_.v(sub, t2, t2, t3);
      a_.v(mul, t2, t2, constant(c_ln2), 0, false, true);                // t
      a_.v(spread64, t4, 0, constant(c_series));                         // p
      for (int k = 1; k <= 9; ++k) {
        a_.v(mul, t4, t4, t2);
        a_.v(add, t4, t4, constant(c_series + k), 0, false, true);
      }
      for (int k = 0; k < 2; ++k) {
        a_.v(mul, t4, t4, t2);
        a_.v(add, t4, t4, constant(c_unit), 0, false, true);
      }
      const vop to_int{m0f, p_66, 1, 0x7a}, right{m0f, p_66, 1, 0x73}, arithmetic_right{m0f, p_66, 1, 0x72}, sub_q{m0f, p_66, 1, 0xfb};
      a_.v(to_int, t3, 0, t3);  // exponent
      a_.v(right, 2, t2, t3);
      a_.immediate(63);
      a_.v(add64, t2, t2, t3);
      a_.v(arithmetic_right, 4, t2, t2);
      a_.immediate(1);  // half of it, towards zero
      a_.v(sub_q, t3, t3, t2);
      for (const int e : {t2, t3}) {
        a_.v(add64, e, e, constant(c_bias), 0, false, true);
        a_.v(right, 6, e, e);
        a_.immediate(52);
        a_.v(mul, t4, t4, e);
      }
      from_doubles(to, t4, h);
    }
    if (flushes) {
      // A result without an exponent becomes a zero; it has no sign.
      a_.v(test_not32, 5, to, constant(c_exponent), 0, false, true);
      a_.v(xor32, to, to, to, 5);
    }
    a_.v(compare_ps, 5, from, from);
    a_.immediate(unordered);
    a_.v(load32, to, 0, from, 5);
  }

  // ---- predicates -------------------------------------------------------------------------

  bool predicate(const op& o, const recipe& r) {
    // esi: the lanes to write
    const auto active = [&] {
      if (!o.guarded) return int{r12};
      counted_guard(o);
      a_.mov(0, rsi, rax);
      return int{rsi};
    };
    const auto put = [&](ref d, int value, int lanes) {  // value is lost
      a_.xor_(0, value, at(d.offset));
      a_.and_(0, value, lanes);
      a_.xor_(0, value, at(d.offset));
      a_.store(0, at(d.offset), value);
    };
    if (r.is == form::move_predicate || r.is == form::predicates) {
      const int lanes = active();
      a_.load(0, rdx, at(o.s[0].offset));
      if (r.is == form::move_predicate ? o.imm != 0 : r.extra == 3) a_.not_(0, rdx);
      else if (r.is == form::predicates)
        r.extra == 0 ? a_.and_(0, rdx, at(o.s[1].offset)) : r.extra == 1 ? a_.or_(0, rdx, at(o.s[1].offset)) : a_.xor_(0, rdx, at(o.s[1].offset));
      put(o.d[0], rdx, lanes);
      return true;
    }
    const bool as_float = r.o.map == m0f;
    source x = want(o.s[0], r.bytes, as_float), y = want(o.s[1], r.bytes, as_float);
    const int n = chunks(r.bytes);
    for (int c = 0; c < n; ++c) {
      // k5 gathers; chunks of 8 lanes are joined in pairs first.
      const int k = n == 2 ? 5 + c : c & 1 ? 7 : 5 + c / 2;
      emit(r.o, k, reg(x, c, r.bytes, t0), y, c);
      a_.immediate(r.extra);
      if (n == 4 && (c & 1)) a_.kunpack8(5 + c / 2, 7, 5 + c / 2);
    }
    a_.kunpack16(5, 6, 5);
    const int lanes = active();
    a_.kmov_to(rdx, 5);
    if (o.imm & ops::result_negated) a_.not_(0, rdx);
    const bool two = o.targets > 1;
    if (two) {
      a_.mov(0, rdi, rdx);
      a_.not_(0, rdi);
    }
    if ((o.imm & 3) != ops::alone) {
      a_.load(0, rcx, at(o.s[2].offset));
      if (o.imm & ops::third_negated) a_.not_(0, rcx);
      for (int k = 0; k < (two ? 2 : 1); ++k) {
        const int v = k ? rdi : rdx;
        (o.imm & 3) == ops::with_and ? a_.and_(0, v, rcx) : (o.imm & 3) == ops::with_or ? a_.or_(0, v, rcx) : a_.xor_(0, v, rcx);
      }
    }
    put(o.d[0], rdx, lanes);
    if (two) put(o.d[1], rdi, lanes);
    return true;
  }

  // ---- shuffles ---------------------------------------------------------------------------

  // The same lanes for every warp, all of them taking part.
  [[nodiscard]] bool shuffles_plainly(const op& o) const {
    const auto* mask = value_of(o.s[4]);
    return value_of(o.s[1]) && value_of(o.s[2]) && mask && static_cast<std::uint32_t>(*mask) == every_lane && !o.guarded;
  }

  bool shuffle(const op& o, const recipe& r) {
    const auto b = static_cast<std::uint32_t>(*value_of(o.s[1])), c = static_cast<std::uint32_t>(*value_of(o.s[2]));
    lane_mask in_range = 0;
    std::uint32_t from[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l) {
      int j = -1;
      switch (static_cast<ops::shuffle>(r.extra)) {
        case ops::shuffle::up: j = ops::shuffle_source<ops::shuffle::up>(l, b, c); break;
        case ops::shuffle::down: j = ops::shuffle_source<ops::shuffle::down>(l, b, c); break;
        case ops::shuffle::bfly: j = ops::shuffle_source<ops::shuffle::bfly>(l, b, c); break;
        case ops::shuffle::idx: j = ops::shuffle_source<ops::shuffle::idx>(l, b, c); break;
      }
      in_range |= static_cast<lane_mask>(j >= 0) << l;
      from[l] = static_cast<std::uint32_t>(j < 0 ? l : j);
    }
    const source x = want(o.s[0], 4, false, true);
    if (!x.in_registers) return false;
    std::array<int, 4> z{};
    if (!fresh(2, z)) return false;
    // The indices lie in the code, behind a jump.
    for (int h = 0; h < 2; ++h) {
      a_.words(from + 16 * h, 16, rax);
      a_.v(load32, z[h], 0, mem{rax, 0});
      a_.v({m0f38, p_66, 0, 0x76}, z[h], x.z[0], x.z[1]);
    }
    bind(o.d[0], 4, z);
    if (o.targets > 1) a_.store_word(at(o.d[1].offset), in_range);
    return true;
  }

  // ---- loads and stores -------------------------------------------------------------------

  struct site {
    pattern is;
    int bytes;
    std::uint32_t number;
  };

  [[nodiscard]] static mem site_at(std::uint32_t number, int half) { return state(offsetof(native_state, sites) + 16 * std::size_t{number} + 8 * static_cast<std::size_t>(half)); }

  // Tests once whether the lanes of an address register lie as guessed, and
  // leaves the first addresses in the state; an address that nothing has where
  // they do not.
  std::uint32_t verify(const op& o, pattern is, int bytes) {
    auto& list = sites_[o.s[0].slot];
    for (const site& s : list)
      if (s.is == is && (s.bytes == bytes || is == pattern::uniform || is == pattern::halves_uniform)) return s.number;
    const std::uint32_t number = next_site_++;
    list.push_back({is, bytes, number});
    const bool halves = is == pattern::halves_uniform || is == pattern::halves_contiguous;
    const bool stepped = is == pattern::contiguous || is == pattern::halves_contiguous;
    const int width = o.address_width, n = chunks(width);
    const source x = want(o.s[0], width);
    const label off = a_.fresh(), done = a_.fresh();
    if (halves) {
      a_.cmp_number(0, r12, -1);
      a_.jump_if(not_zero, off);
    } else if (stepped) {
      a_.cmp_number(0, SKILLBENCH_STATE(leading), 0);
      a_.jump_if(zero, off);
    } else {
      a_.test_number(r12, 1);
      a_.jump_if(zero, off);
    }
    const vop from_lane0{m0f, p_66, width == 8 ? 1 : 0, 0x7e};
    for (int h = 0; h < (halves ? 2 : 1); ++h) {
      const int c = h * n / 2, r = h ? rcx : rax;
      if (x.in_registers) a_.v(from_lane0, x.z[c], 0, r, 0, false, 0);
      else a_.load(width == 8 ? 1 : 0, r, x.chunk(c));
    }
    const int step = bytes == 2 ? 0 : bytes == 4 ? 1 : bytes == 8 ? 2 : 3;
    const auto steps = [&](int c) {
      return state(offsetof(native_state, steps) + static_cast<std::size_t>(step) * sizeof(std::uint64_t) * warp_lanes + 64 * static_cast<std::size_t>(c));
    };
    a_.v(xor32, t0, t0, t0);
    for (int h = 0; h < (halves ? 2 : 1); ++h) {
      const int r = h ? rcx : rax, from = halves ? h * n / 2 : 0, to = halves ? (h + 1) * n / 2 : n;
      a_.v(width == 8 ? spread64_gpr : spread32_gpr, t1, 0, r);
      for (int c = from; c < to; ++c) {
        int expected = t1;
        if (stepped) {
          expected = t2;
          if (width == 8) {
            a_.v(add64, t2, t1, steps(c - from));
          } else {
            // The steps as words.
            const vop down{m0f38, p_f3, 0, 0x35};
            a_.v(load64, t3, 0, steps(2 * (c - from)));
            a_.v(down, t3, 0, t2);
            a_.v(load64, t3, 0, steps(2 * (c - from) + 1));
            a_.v(down, t3, 0, t3);
            a_.v(insert_high, t2, t2, t3);
            a_.immediate(1);
            a_.v(add32, t2, t2, t1);
          }
        }
        emit(width == 8 ? choose3_64 : choose3_32, t0, expected, x, c, mask_of(width, c));
        a_.immediate(0xf6);  // t0 | (expected ^ address)
      }
    }
    a_.v(test32, 5, t0, t0);
    a_.ktest16(5, 5);
    a_.jump_if(not_zero, off);
    a_.store(1, site_at(number, 0), rax);
    if (halves) a_.store(1, site_at(number, 1), rcx);
    a_.jump(done);
    a_.bind(off);
    a_.set64(rax, std::uint64_t{1} << 62);
    a_.store(1, site_at(number, 0), rax);
    if (halves) a_.store(1, site_at(number, 1), rax);
    a_.bind(done);
    return number;
  }

  // rax: the address of a half with the offset of the instruction.
  void address(const op& o, std::uint32_t number, int half, int to) {
    a_.load(1, to, site_at(number, half));
    if (o.imm) a_.add_number(1, to, static_cast<std::int32_t>(o.imm));
  }

  [[nodiscard]] static bool near(const op& o) { return o.imm > -(std::int64_t{1} << 30) && o.imm < (std::int64_t{1} << 30); }

  // The entry of the page of the address in rax, by rdx; rcx: address >> page_bits.
  struct page_fields {
    [[nodiscard]] mem operator()(std::size_t offset) const { return state(offsetof(native_state, pages) + offset, rdx); }
  };
  page_fields find_entry(label slow) {
    a_.mov(1, rcx, rax);
    a_.mov(1, rdx, rax);
    a_.shift_right(1, rcx, page_bits);
    a_.shift_right(1, rdx, slot_bits - 3);
    a_.xor_(0, rdx, rcx);  // page_index
    a_.and_number(0, rdx, page_entries - 1);
    a_.shift_left(0, rdx, 6);
    static_assert(sizeof(page_entry) == 64);
    const page_fields entry;
    a_.cmp(1, rcx, entry(offsetof(page_entry, tag)));
    a_.jump_if(not_zero, slow);
    return entry;
  }

  // From the address in rax to host addresses: rax data, rsi shadow (0: none).
  // `span` is in bytes, or in r8 when it is 0.
  void find_page(label slow, int unit, int span, bool store) {
    const page_fields entry = find_entry(slow);
    a_.extend16(rax, rax);
    if (unit > 1) {
      a_.test_number(rax, unit - 1);
      a_.jump_if(not_zero, slow);
    }
    a_.cmp(0, rax, entry(offsetof(page_entry, low)));
    a_.jump_if(below, slow);
    if (span) a_.lea(rcx, mem{rax, span});
    else a_.lea(rcx, mem{rax, 0, r8});
    a_.cmp(0, rcx, entry(store ? offsetof(page_entry, high_store) : offsetof(page_entry, high)));
    a_.jump_if(above, slow);
    if (checks_) {
      a_.mov(0, r9, rax);   // for the sectors: from and to
      a_.mov(0, r10, rcx);
      a_.load(1, rsi, entry(offsetof(page_entry, shadow)));
    }
    a_.load(1, rdi, entry(offsetof(page_entry, data)));
  }

  // r9 to r10 in bytes of a page: sectors into r9, the first one into r11.
  void sectors() {
    a_.sub_number(0, r10, 1);
    a_.shift_right(0, r10, 5);
    a_.shift_right(0, r9, 5);
    a_.sub(0, r10, r9);
    a_.add_number(0, r10, 1);
  }

  // rax: an offset into shared memory of `span` bytes.
  void find_shared(label slow, int unit, int span) {
    if (unit > 1) {
      a_.test_number(rax, unit - 1);
      a_.jump_if(not_zero, slow);
    }
    if (span) a_.lea(rcx, mem{rax, span});
    else a_.lea(rcx, mem{rax, 0, r8});
    // Below 2^63 both: addresses that nothing has are 2^62 and some.
    a_.test(1, rax, rax);
    a_.jump_if(negative, slow);
    a_.cmp(1, rcx, SKILLBENCH_STATE(shared_bytes));
    a_.jump_if(above, slow);
  }

  bool load(const op& o, std::uint32_t pc) {
    const auto is = static_cast<pattern>(guesses_[pc]);
    const int bytes = 4 * o.vector;
    if (is == pattern::scattered && scatters(o)) return scattered(o, pc, false);
    if (is == pattern::scattered || !near(o) || next_site_ + 1 >= most_sites) return false;
    if (o.vector > 1 && is != pattern::uniform && is != pattern::halves_uniform) return false;
    for (int i = 0; i < o.vector; ++i)
      for (int k = 0; k < i; ++k)
        if (o.d[i].slot == o.d[k].slot) return false;
    std::array<std::array<int, 4>, 4> z{};
    source old[4];
    if (o.guarded) {
      if (o.vector > 1) return false;
      old[0] = want(o.d[0], 4, false, true);
      if (!old[0].in_registers) return false;
    }
    const std::uint32_t number = verify(o, is, bytes);
    for (int i = 0; i < o.vector; ++i)
      if (!fresh(2, z[static_cast<std::size_t>(i)])) {
        for (int k = i - 1; k >= 0; --k)
          for (int c = 1; c >= 0; --c) free_.push_back(z[static_cast<std::size_t>(k)][static_cast<std::size_t>(c)]);
        return false;
      }
    stub s = begin_stub(o, pc);
    if (o.guarded) {
      for (int c = 0; c < 2; ++c) a_.v(load32, z[0][static_cast<std::size_t>(c)], 0, old[0].z[static_cast<std::size_t>(c)]);
      guarded_access(o, s);
    }
    const bool halves = is == pattern::halves_uniform || is == pattern::halves_contiguous;
    const bool stepped = is == pattern::contiguous || is == pattern::halves_contiguous;
    const int span = is == pattern::contiguous ? 0 : is == pattern::halves_contiguous ? 64 : bytes;
    if (is == pattern::contiguous) {
      a_.load(0, r8, SKILLBENCH_STATE(leading));
      a_.shift_left(0, r8, 2);
    }
    const bool shared = o.where == space::shared;
    for (int h = 0; h < (halves ? 2 : 1); ++h) {
      address(o, number, h, rax);
      if (shared) {
        find_shared(s.from, bytes, span);
        if (checks_) a_.load(1, rsi, SKILLBENCH_STATE(shared_shadow));
        a_.load(1, rdi, SKILLBENCH_STATE(shared_data));
      } else {
        find_page(s.from, bytes, span, false);
      }
      if (shared && checks_) note_shared_load(o, pc, s.from, is, h);
      a_.add(1, rdi, rax);
      if (checks_) {
        const label clean = a_.fresh();
        if (!shared) {
          a_.test(1, rsi, rsi);
          a_.jump_if(zero, clean);
        }
        if (stepped) {
          a_.v(load32, t0, 0, mem{rsi, 0, rax}, 1, true);
          if (!halves) {
            a_.v(load32, t1, 0, mem{rsi, 64, rax}, 2, true);
            a_.v(or32, t0, t0, t1);
          }
          a_.v(test32, 5, t0, t0);
          a_.ktest16(5, 5);
          a_.jump_if(not_zero, s.from);
        } else if (bytes == 4) {
          a_.cmp_number(0, mem{rsi, 0, rax}, 0);
          a_.jump_if(not_zero, s.from);
        } else {
          a_.load(1, rcx, mem{rsi, 0, rax});
          if (bytes == 16) {
            a_.load(1, rdx, mem{rsi, 8, rax});
            a_.or_(1, rcx, rdx);
          }
          a_.test(1, rcx, rcx);
          a_.jump_if(not_zero, s.from);
        }
        a_.bind(clean);
        if (!shared && o.where != space::constant) count_sectors(s.from, number, h, halves, false);
      }
      for (int i = 0; i < o.vector; ++i) {
        const auto& to = z[static_cast<std::size_t>(i)];
        if (is == pattern::contiguous) {
          a_.v(load32, to[0], 0, mem{rdi, 0}, 1, !o.guarded);
          a_.v(load32, to[1], 0, mem{rdi, 64}, 2, !o.guarded);
        } else if (is == pattern::halves_contiguous) {
          a_.v(load32, to[static_cast<std::size_t>(h)], 0, mem{rdi, 0});
        } else if (halves) {
          a_.v(spread32, to[static_cast<std::size_t>(h)], 0, mem{rdi, 4 * i});
        } else {
          a_.v(spread32, to[0], 0, mem{rdi, 4 * i});
          a_.v(load32, to[1], 0, to[0]);
        }
      }
    }
    for (int i = 0; i < o.vector; ++i) bind(o.d[i], 4, z[static_cast<std::size_t>(i)]);
    finish_stub(s);
    return true;
  }

  // Words in any pattern within one page of global memory. With checks on only
  // loads of what is defined throughout are done so.
  [[nodiscard]] bool scatters(const op& o) const {
    return o.vector == 1 && !o.guarded && o.address_width == 8 && o.where != space::shared && near(o);
  }
  bool scattered(const op& o, std::uint32_t pc, bool store) {
    const source x = want(o.s[0], 8, false, true);
    const source value = store ? want(o.s[1], 4, false, true) : source{};
    if (!x.in_registers || (store && !value.in_registers)) return false;
    std::array<int, 4> z{};
    if (!store && !fresh(2, z)) return false;
    stub s = begin_stub(o, pc);
    a_.cmp_number(0, r12, -1);
    a_.jump_if(not_zero, s.from);
    const vop from_lane0{m0f, p_66, 1, 0x7e};
    a_.v(from_lane0, x.z[0], 0, rax, 0, false, 0);
    if (o.imm) a_.add_number(1, rax, static_cast<std::int32_t>(o.imm));
    const page_fields entry = find_entry(s.from);
    if (checks_) {
      a_.cmp_number(1, entry(offsetof(page_entry, shadow)), 0);
      a_.jump_if(not_zero, s.from);
    }
    a_.load(0, r9, entry(store ? offsetof(page_entry, high_store) : offsetof(page_entry, high)));
    a_.sub_number(0, r9, 4);
    a_.jump_if(below, s.from);
    // Offsets into the page of lane 0: beyond 2^16 in any other.
    a_.shift_left(1, rcx, page_bits);
    if (o.imm) a_.sub_number(1, rcx, static_cast<std::int32_t>(o.imm));
    const vop sub64{m0f, p_66, 1, 0xfb}, most64{m0f38, p_66, 1, 0x3f}, compare64{m0f3a, p_66, 1, 0x1e}, compare32{m0f3a, p_66, 0, 0x1e};
    constexpr int offsets[] = {t2, t3, t4, t5};
    a_.v(spread64_gpr, t0, 0, rcx);
    a_.v(spread64_gpr, t1, 0, r9);
    for (int c = 0; c < 4; ++c) a_.v(sub64, offsets[c], x.z[c], t0);
    a_.v(most64, t0, t2, t3);
    a_.v(most64, t0, t0, t4);
    a_.v(most64, t0, t0, t5);
    a_.v(compare64, 5, t0, t1);
    a_.immediate(6);  // above
    a_.v(load64, t0, 0, t2);
    a_.v(choose3_64, t0, t3, t4);
    a_.immediate(0xfe);  // or
    a_.v(choose3_64, t0, t5, t5);
    a_.immediate(0xfe);
    a_.v(test64, 6, t0, constant(c_low_bits), 0, false, true);
    a_.ktest16(5, 6);
    a_.jump_if(not_zero, s.from);
    // From here on 16 lanes a vector: t2 and t4.
    const vop down{m0f38, p_f3, 0, 0x35};
    for (const int t : {t2, t4}) {
      a_.v(down, t, 0, t);
      a_.v(down, t + 1, 0, t + 1);
      a_.v(insert_high, t, t, t + 1);
      a_.immediate(1);
    }
    a_.load(0, rcx, entry(offsetof(page_entry, low)));
    a_.v(spread32_gpr, t0, 0, rcx);
    a_.v(compare32, 5, t2, t0);
    a_.immediate(1);  // below
    a_.v(compare32, 6, t4, t0);
    a_.immediate(1);
    a_.ktest16(5, 6);
    a_.jump_if(not_zero, s.from);
    a_.load(1, rdi, entry(offsetof(page_entry, data)));
    if (checks_ && o.where != space::constant) rising_sectors(s.from);
    for (int h = 0; h < 2; ++h) {
      a_.kmov(5, r12);
      const mem at{rdi, 0, h ? t4 : t2};
      if (store) a_.gather({m0f38, p_66, 0, 0xa2}, value.z[h], at, 5);  // a scatter
      else a_.gather({m0f38, p_66, 0, 0x90}, z[h], at, 5);
    }
    if (!store) bind(o.d[0], 4, z);
    finish_stub(s);
    return true;
  }
  // Counts the sectors of a load whose offsets are t2 and t4: each lane's is
  // compared with the one before; falling ones are for the handlers.
  void rising_sectors(label slow) {
    const vop right{m0f, p_66, 0, 0x72}, align{m0f3a, p_66, 0, 0x03}, compare32{m0f3a, p_66, 0, 0x1e};
    for (const int t : {t2, t4}) {
      a_.v(right, 2, t + 1, t);
      a_.immediate(5);
    }
    a_.v(align, t0, t3, t3);
    a_.immediate(15);
    a_.v(align, t1, t5, t3);
    a_.immediate(15);
    // Lane 0 has none before.
    const auto differ = [&](int how) {
      a_.v(compare32, 5, t3, t0);
      a_.immediate(how);
      a_.v(compare32, 6, t5, t1);
      a_.immediate(how);
      a_.kunpack16(5, 6, 5);
      a_.kmov_to(rax, 5);
      a_.and_number(0, rax, -2);
    };
    differ(1);  // below
    a_.jump_if(not_zero, slow);
    differ(4);  // not equal
    a_.popcount(0, rax, rax);
    a_.add_number(0, rax, 1);
    a_.add_to(1, SKILLBENCH_STATE(load_sectors), rax);
  }

  // Marks a load of shared memory at rax for race.hpp, as cta_races::shared_load
  // does when no other warp stored since the floor. The other half may still go
  // the slow way, which marks the same.
  void note_shared_load(const op& o, std::uint32_t pc, label slow, pattern is, int half) {
    const label none = a_.fresh();
    watched_row(SKILLBENCH_STATE(race_loads), none, slow);
    if (is == pattern::uniform && o.vector > 1) {
      a_.cmp_number(0, r12, -1);
      a_.jump_if(not_zero, slow);
    }
    if (half == 0) set_bit(8);
    a_.load(0, rdx, SKILLBENCH_STATE(race_load_mark));
    const std::uint32_t place = std::min(pc, 0x7fffu) << 5;
    const auto lanes = [&](int h) { return state(offsetof(native_state, lane_numbers) + 64 * static_cast<std::size_t>(h)); };
    if (is == pattern::contiguous || is == pattern::halves_contiguous) {
      a_.add_number(0, rdx, static_cast<std::int32_t>(place));
      a_.v(spread32_gpr, t0, 0, rdx);
      if (is == pattern::contiguous) {
        a_.v(add32, t1, t0, lanes(0));
        a_.v(store32, t1, 0, mem{rcx, 0, rax}, 1);
        a_.v(add32, t1, t0, lanes(1));
        a_.v(store32, t1, 0, mem{rcx, 64, rax}, 2);
      } else {
        a_.v(add32, t1, t0, lanes(half));
        a_.v(store32, t1, 0, mem{rcx, 0, rax});
      }
    } else {
      // One granule is the first lane's; of more, or of two, the last lane's.
      const std::uint32_t lane = is == pattern::halves_uniform ? 15u + 16u * static_cast<std::uint32_t>(half) : o.vector > 1 ? 31u : 0u;
      a_.add_number(0, rdx, static_cast<std::int32_t>(place + lane));
      for (int i = 0; i < o.vector; ++i) a_.store(0, mem{rcx, 4 * i, rax}, rdx);
    }
    a_.bind(none);
  }

  // rcx: a row of race.hpp, when there is one.
  void watched_row(mem row, label none, label slow) {
    static_assert(unwatched == 0 && not_plain == 1);
    a_.load(1, rcx, row);
    a_.cmp_number(1, rcx, not_plain);
    a_.jump_if(below, none);
    a_.jump_if(zero, slow);
  }
  // This warp is one of those that stored (0) or loaded (8) since the floor.
  void set_bit(int which) {
    a_.load(1, r9, SKILLBENCH_STATE(race_words));
    a_.load(1, rdx, SKILLBENCH_STATE(race_me));
    a_.or_to(1, mem{r9, which}, rdx);
  }

  // Whether a store at rax may be marked here: nobody else loaded, and what was
  // stored there is behind the floor.
  void test_shared_store(label slow, bool half) {
    const label none = a_.fresh();
    watched_row(SKILLBENCH_STATE(race_writers), none, slow);
    const vop greater{m0f, p_66, 0, 0x66};
    for (int h = 0; h < (half ? 1 : 2); ++h) {
      if (half) a_.v(load32, t0, 0, mem{rcx, 0, rax});
      else a_.v(load32, t0, 0, mem{rcx, 64 * h, rax}, 1 + h, true);
      a_.v(greater, 5, t0, SKILLBENCH_STATE(race_behind), 0, false, true);
      a_.ktest16(5, 5);
      a_.jump_if(not_zero, slow);
    }
    a_.bind(none);
  }
  // Marks it at rax; of halves that is the second.
  void note_shared_store(std::uint32_t pc, bool halves) {
    const label none = a_.fresh();
    a_.cmp_number(1, SKILLBENCH_STATE(race_writers), unwatched);
    a_.jump_if(zero, none);
    set_bit(0);
    a_.load(0, rdx, SKILLBENCH_STATE(race_store_mark));
    a_.v(spread32_gpr, t0, 0, rdx);
    a_.set(rdx, pc << 5);
    a_.v(spread32_gpr, t1, 0, rdx);
    a_.load(1, rcx, SKILLBENCH_STATE(race_writers));
    a_.load(1, rdx, SKILLBENCH_STATE(race_places));
    const auto lanes = [&](int h) { return state(offsetof(native_state, lane_numbers) + 64 * static_cast<std::size_t>(h)); };
    for (int h = 0; h < 2; ++h) {
      // Of halves the first is where held_offset says.
      int base = rax;
      if (halves && h == 0) {
        a_.load(1, r9, SKILLBENCH_STATE(held_offset));
        base = r9;
      }
      const int by = halves ? 0 : 64 * h;
      const int mask = halves ? 0 : 1 + h;
      a_.v(store32, t0, 0, mem{rcx, by, base}, mask);
      a_.v(add32, t2, t1, lanes(h));
      a_.v(store32, t2, 0, mem{rdx, by, base}, mask);
    }
    a_.bind(none);
  }

  // Adds what a request moves; the second half only when it is apart from the
  // first or the same.
  void count_sectors(label slow, std::uint32_t number, int half, bool halves, bool store) {
    const mem counter = store ? SKILLBENCH_STATE(store_sectors) : SKILLBENCH_STATE(load_sectors);
    if (!halves) {
      sectors();
      a_.add_to(1, counter, r10);
      return;
    }
    if (half == 0) {
      sectors();
      a_.store(1, SKILLBENCH_STATE(held_sectors), r10);
      return;
    }
    const label same = a_.fresh(), apart = a_.fresh();
    sectors();
    a_.load(1, rcx, site_at(number, 0));
    a_.load(1, rdx, site_at(number, 1));
    a_.cmp(1, rcx, rdx);
    a_.jump_if(zero, same);
    a_.sub(1, rdx, rcx);
    a_.add_number(1, rdx, 127);   // apart by 128 bytes at least, in either direction
    a_.cmp_number(1, rdx, 255);
    a_.jump_if(below, slow);
    a_.bind(apart);
    a_.add_to(1, counter, r10);
    a_.bind(same);
    a_.load(1, r10, SKILLBENCH_STATE(held_sectors));
    a_.add_to(1, counter, r10);
  }

  bool store(const op& o, std::uint32_t pc) {
    const auto is = static_cast<pattern>(guesses_[pc]);
    if (is == pattern::scattered && !checks_ && scatters(o)) return scattered(o, pc, true);
    if (o.vector > 1 || !near(o) || next_site_ + 1 >= most_sites) return false;
    if (is != pattern::contiguous && is != pattern::halves_contiguous) return false;
    const source x = want(o.s[1], 4);
    const std::uint32_t number = verify(o, is, 4);
    stub s = begin_stub(o, pc);
    if (o.guarded) guarded_access(o, s);
    const bool halves = is == pattern::halves_contiguous, shared = o.where == space::shared;
    if (!halves) {
      a_.load(0, r8, SKILLBENCH_STATE(leading));
      a_.shift_left(0, r8, 2);
    }
    if (shared) {
      a_.load(1, rcx, SKILLBENCH_STATE(shared_guarded));
      a_.cmp_number(1, mem{rcx, 0}, 0);
      a_.jump_if(not_zero, s.from);
    }
    if (halves) {
      // Halves that overlap are for the handler.
      a_.load(1, rdx, site_at(number, 1));
      a_.load(1, rcx, site_at(number, 0));
      a_.sub(1, rdx, rcx);
      a_.add_number(1, rdx, 127);
      a_.cmp_number(1, rdx, 255);
      a_.jump_if(below, s.from);
    }
    // Both halves are tested before anything is written.
    for (int h = 0; h < (halves ? 2 : 1); ++h) {
      address(o, number, h, rax);
      if (shared) {
        find_shared(s.from, 4, halves ? 64 : 0);
        if (checks_) test_shared_store(s.from, halves);
        if (checks_) a_.load(1, rsi, SKILLBENCH_STATE(shared_shadow));
        a_.load(1, rdi, SKILLBENCH_STATE(shared_data));
      } else {
        find_page(s.from, 4, halves ? 64 : 0, true);
      }
      if (halves && h == 0) {
        a_.store(1, SKILLBENCH_STATE(held_offset), rax);
        a_.add(1, rdi, rax);
        a_.store(1, SKILLBENCH_STATE(held_data), rdi);
        if (checks_) {
          const label none = a_.fresh();
          a_.test(1, rsi, rsi);
          a_.jump_if(zero, none);
          a_.add(1, rsi, rax);
          a_.bind(none);
          a_.store(1, SKILLBENCH_STATE(held_shadow), rsi);
          if (!shared) count_sectors(s.from, number, 0, true, true);
        }
      }
    }
    if (checks_ && !shared) count_sectors(s.from, number, halves ? 1 : 0, halves, true);
    if (checks_ && shared) note_shared_store(pc, halves);
    a_.add(1, rdi, rax);
    if (checks_) {
      const label none = a_.fresh();
      if (!shared) {
        a_.test(1, rsi, rsi);
        a_.jump_if(zero, none);
      }
      a_.add(1, rsi, rax);
      a_.v(xor32, t0, t0, t0);
      if (halves) {
        a_.v(store32, t0, 0, mem{rsi, 0});
        a_.load(1, rcx, SKILLBENCH_STATE(held_shadow));
        if (!shared) {
          const label other = a_.fresh();
          a_.test(1, rcx, rcx);
          a_.jump_if(zero, other);
          a_.v(store32, t0, 0, mem{rcx, 0});
          a_.bind(other);
        } else {
          a_.v(store32, t0, 0, mem{rcx, 0});
        }
      } else {
        a_.v(store32, t0, 0, mem{rsi, 0}, 1);
        a_.v(store32, t0, 0, mem{rsi, 64}, 2);
      }
      a_.bind(none);
    }
    if (halves) {
      // In the order of the lanes, should they overlap.
      a_.load(1, rcx, SKILLBENCH_STATE(held_data));
      a_.v(store32, reg(x, 0, 4, t1), 0, mem{rcx, 0});
      a_.v(store32, reg(x, 1, 4, t1), 0, mem{rdi, 0});
    } else {
      a_.v(store32, reg(x, 0, 4, t1), 0, mem{rdi, 0}, 1);
      a_.v(store32, reg(x, 1, 4, t1), 0, mem{rdi, 64}, 2);
    }
    finish_stub(s);
    return true;
  }

  stub begin_stub(const op& o, std::uint32_t pc) {
    stub s;
    s.from = a_.fresh();
    s.back = a_.fresh();
    s.pc = pc;
    s.left = end_ - 1 - pc;
    s.guarded = o.guarded;
    s.access = true;
    for (const kept& k : kept_)
      if (k.dirty) s.before.push_back(k);
    return s;
  }
  // No active lane: nothing is done; not all of the fragment: the slow way.
  void guarded_access(const op& o, const stub& s) {
    counted_guard(o);
    a_.store(0, SKILLBENCH_STATE(active), rax);
    a_.test(0, rax, rax);
    a_.jump_if(zero, s.back);
    a_.cmp(0, rax, r12);
    a_.jump_if(not_zero, s.from);
  }
  void finish_stub(stub& s) {
    a_.bind(s.back);
    s.after = kept_;
    stubs_.push_back(std::move(s));
  }

  const program& p_;
  const std::vector<std::uint8_t>& guesses_;
  const bool checks_;
  assembler a_;
  std::vector<recipe> recipes_;
  std::unordered_map<std::uint32_t, std::uint64_t> constants_;
  std::map<std::uint32_t, std::uint64_t> known_;
  std::vector<std::uint32_t> block_of_;
  std::vector<std::vector<std::uint64_t>> out_;
  bool everything_lives_ = false;
  std::vector<label> labels_;
  std::vector<std::map<std::uint32_t, std::uint64_t>> at_start_;  // known numbers, by block
  std::vector<std::vector<std::uint32_t>> slots_;
  label enter_ = 0, leave_ = 0, leave_inside_ = 0;
  std::uint32_t first_ = 0, end_ = 0, position_ = 0;
  std::unordered_map<std::uint32_t, std::vector<event>> events_;
  std::vector<kept> kept_;
  std::vector<int> free_;
  std::map<std::uint32_t, std::vector<site>> sites_;
  std::uint32_t next_site_ = 0;
  std::vector<stub> stubs_;
#undef SKILLBENCH_STATE
};

}  // namespace skillbench::ptx::jit
