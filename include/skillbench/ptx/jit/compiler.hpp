#pragma once
// ptx/jit/compiler.hpp: from a program to native code on the same register file.
//
// Layer   3. Includes accesses, registers, recipes, state, x86.
// Order   a block of straight-line code is compiled at a time; see registers.hpp
//         for what its registers become.
// Trust   every offset into the file comes from decode. An instruction without a
//         recipe, an access that is not plain: its handler is called, and the
//         interpreter goes on where that leaves an undefined value behind.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <skillbench/ptx/allocate.hpp>
#include <skillbench/ptx/jit/accesses.hpp>
#include <skillbench/ptx/jit/recipes.hpp>
#include <skillbench/ptx/jit/registers.hpp>
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

class compiler : accesses {
 public:
  compiler(const program& p, const std::vector<std::uint8_t>& guesses, bool checks) : accesses(p, guesses, checks) {}

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
#define SKILLBENCH_STATE(field) state(offsetof(native_state, field))

  // ---- frame ------------------------------------------------------------------------

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

  // ---- a block ------------------------------------------------------------------------

  // False: nothing native, only a way back to the interpreter.
  bool block(std::uint32_t first, std::uint32_t end) {
    first_ = first;
    end_ = end;
    known_ = at_start_[block_of_[first]];
    const op& last = p_.code[end - 1];
    const bool converge = last.kind == flow::converge && end - first == 1 && takes_whole_warps(last) && (recipes_[first].is != form::shuffle || shuffles_plainly(last));
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

  // A .sync operation of all lanes: who comes with a whole warp waits for nobody.
  // What begins a wgmma is for the interpreter, which looks at registers in flight.
  [[nodiscard]] bool takes_whole_warps(const op& o) const {
    const auto* mask = value_of(o.s[4]);
    return mask && static_cast<std::uint32_t>(*mask) == every_lane && !o.guarded && !o.warpgroup;
  }
  // The same lanes for every warp.
  [[nodiscard]] bool shuffles_plainly(const op& o) const { return value_of(o.s[1]) && value_of(o.s[2]); }

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

  std::vector<label> labels_;
  std::vector<std::vector<std::uint32_t>> slots_;
  label enter_ = 0, leave_ = 0, leave_inside_ = 0;
#undef SKILLBENCH_STATE
};

}  // namespace skillbench::ptx::jit
