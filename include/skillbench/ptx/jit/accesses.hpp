#pragma once
// ptx/jit/accesses.hpp: loads and stores as native code.
//
// Layer   3. Includes registers, state, x86.
// Trust   an access that is not plainly in bounds, aligned, defined and free of
//         races leaves for access.hpp, by the stub behind the block.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <skillbench/ptx/jit/registers.hpp>
#include <skillbench/ptx/jit/state.hpp>
#include <skillbench/ptx/jit/x86.hpp>
#include <skillbench/ptx/program.hpp>

namespace skillbench::ptx::jit {

class accesses : protected block_registers {
 protected:
  accesses(const program& p, const std::vector<std::uint8_t>& guesses, bool checks) : block_registers(p, checks), guesses_(guesses) {}

#define SKILLBENCH_STATE(field) state(offsetof(native_state, field))

  struct stub {
    label from, back;
    std::uint32_t pc, left;
    bool guarded, access;
    std::vector<kept> before, after;
  };

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

  // `mark` and the lane's number beside it, for 16 lanes of a half.
  void put_lane_marks(int mark, int half, mem to, int mask) {
    a_.v(add32, t2, mark, state(offsetof(native_state, lane_numbers) + 64 * static_cast<std::size_t>(half)));
    a_.v(store32, t2, 0, to, mask);
  }

  // Whether others stored anything at rax that this warp does not know of, where
  // they stored at all. Keeps rcx.
  void test_known_stores(const op& o, pattern is, label slow) {
    const label none = a_.fresh();
    a_.cmp_number(0, SKILLBENCH_STATE(race_horizon), 0);
    a_.jump_if(zero, none);
    a_.load(1, rdx, SKILLBENCH_STATE(race_rows));
    const vop greater{m0f, p_66, 0, 0x66};
    if (is == pattern::contiguous || is == pattern::halves_contiguous) {
      for (int h = 0; h < (is == pattern::contiguous ? 2 : 1); ++h) {
        if (is == pattern::contiguous) a_.v(load32, t0, 0, mem{rdx, 64 * h, rax}, 1 + h, true);
        else a_.v(load32, t0, 0, mem{rdx, 0, rax});
        a_.v(greater, 5, t0, SKILLBENCH_STATE(race_horizon), 0, false, true);
        a_.ktest16(5, 5);
        a_.jump_if(not_zero, slow);
      }
    } else {
      a_.load(1, r11, SKILLBENCH_STATE(race_limits));
      for (int i = 0; i < o.vector; ++i) {
        a_.load(0, r9, mem{rdx, 4 * i, rax});
        a_.mov(0, r10, r9);
        a_.and_number(0, r10, marks::actors - 1);
        a_.shift_left(0, r10, 2);
        a_.cmp(0, r9, mem{r11, 0, r10});
        a_.jump_if(above, slow);
      }
    }
    a_.bind(none);
  }

  // Marks a load of shared memory at rax for race.hpp, as cta_races::shared_load
  // does when nobody stored what this warp does not know of. The other half may still go
  // the slow way, which marks the same.
  void note_shared_load(const op& o, std::uint32_t pc, label slow, pattern is, int half) {
    const label none = a_.fresh();
    watched_row(SKILLBENCH_STATE(race_loads), none, slow);
    if (is == pattern::uniform && o.vector > 1) {
      a_.cmp_number(0, r12, -1);
      a_.jump_if(not_zero, slow);
    }
    test_known_stores(o, is, slow);
    if (half == 0) set_bit(8);
    a_.load(0, rdx, SKILLBENCH_STATE(race_load_mark));
    const std::uint32_t place = std::min(pc, 0x7fffu) << 5;
    if (is == pattern::contiguous || is == pattern::halves_contiguous) {
      a_.add_number(0, rdx, static_cast<std::int32_t>(place));
      a_.v(spread32_gpr, t0, 0, rdx);
      if (is == pattern::halves_contiguous) put_lane_marks(t0, half, mem{rcx, 0, rax}, 0);
      else
        for (int h = 0; h < 2; ++h) put_lane_marks(t0, h, mem{rcx, 64 * h, rax}, 1 + h);
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
      put_lane_marks(t1, h, mem{rdx, by, base}, mask);
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

  const std::vector<std::uint8_t>& guesses_;  // pattern by instruction
  std::uint32_t next_site_ = 0;
  std::vector<stub> stubs_;
#undef SKILLBENCH_STATE
};

}  // namespace skillbench::ptx::jit
