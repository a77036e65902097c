#pragma once
// ptx/jit/x86.hpp: an assembler for the part of x86-64 that the compiler emits,
// and memory to run it from.
//
// Layer   3. Standard library and mmap.
// Shapes  vector instructions are EVEX ones on 512 bits (AVX-512 F, BW, DQ, VL),
//         with optional write masks; memory operands are a base register, at
//         most one index, and a 32-bit offset.
// Trust   code is written to pages that are not executable and run from pages
//         that are not writable.
// Source  Intel 64 and IA-32 Architectures Software Developer's Manual, volume
//         2, "Instruction Format", "EVEX".

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <sys/mman.h>
#endif

namespace skillbench::ptx::jit {

enum gpr : int { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

struct mem {
  int base = rax;
  std::int32_t offset = 0;
  int index = -1;  // not rsp
};

// Conditions of jumps, by their number in the opcode.
enum condition : int { below = 2, above_equal = 3, zero = 4, not_zero = 5, below_equal = 6, above = 7, negative = 8 };

enum map_of : int { m0f = 1, m0f38 = 2, m0f3a = 3 };
enum prefix : int { p_none = 0, p_66 = 1, p_f3 = 2, p_f2 = 3 };

// A vector instruction: which table, prefix, width bit and opcode.
struct vop {
  int map, pp, w, code;
};

class assembler {
 public:
  using label = std::size_t;

  [[nodiscard]] label fresh() {
    places_.push_back(~std::size_t{0});
    return places_.size() - 1;
  }
  void bind(label l) { places_[l] = bytes_.size(); }
  [[nodiscard]] std::size_t place(label l) const { return places_[l]; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

  // Fills in the jumps; every label they use must be bound.
  void finish() {
    for (const auto& [at, to] : jumps_) {
      const auto by = static_cast<std::int32_t>(static_cast<std::int64_t>(places_[to]) - static_cast<std::int64_t>(at) - 4);
      std::memcpy(&bytes_[at], &by, 4);
    }
    jumps_.clear();
  }

  // ---- control
  void jump(label to) {
    byte(0xe9);
    jump_to(to);
  }
  void jump_if(condition c, label to) {
    byte(0x0f);
    byte(0x80 | c);
    jump_to(to);
  }
  void jump_to_register(int r) {
    if (r >= 8) byte(0x41);
    byte(0xff);
    byte(0xe0 | (r & 7));
  }
  void call(mem m) { op(0, 0xff, 2, m); }
  void ret() { byte(0xc3); }
  void push(int r) {
    if (r >= 8) byte(0x41);
    byte(0x50 | (r & 7));
  }
  void pop(int r) {
    if (r >= 8) byte(0x41);
    byte(0x58 | (r & 7));
  }

  // ---- integers; `w` 1 for 64 bits
  void mov(int w, int to, int from) { op(w, 0x8b, to, from); }
  void load(int w, int to, mem m) { op(w, 0x8b, to, m); }
  void store(int w, mem m, int from) { op(w, 0x89, from, m); }
  void set(int to, std::uint32_t value) {
    if (to >= 8) byte(0x41);
    byte(0xb8 | (to & 7));
    word(value);
  }
  void set64(int to, std::uint64_t value) {
    byte(0x48 | (to >= 8 ? 1 : 0));
    byte(0xb8 | (to & 7));
    for (int i = 0; i < 8; ++i) byte(static_cast<int>((value >> (8 * i)) & 0xff));
  }
  void store_word(mem m, std::uint32_t value) {
    op(0, 0xc7, 0, m);
    word(value);
  }
  void lea(int to, mem m) { op(1, 0x8d, to, m); }
  void add(int w, int to, int from) { op(w, 0x03, to, from); }
  void add(int w, int to, mem m) { op(w, 0x03, to, m); }
  void add_to(int w, mem m, int from) { op(w, 0x01, from, m); }
  void or_to(int w, mem m, int from) { op(w, 0x09, from, m); }
  void sub(int w, int to, int from) { op(w, 0x2b, to, from); }
  void sub(int w, int to, mem m) { op(w, 0x2b, to, m); }
  void and_(int w, int to, int from) { op(w, 0x23, to, from); }
  void or_(int w, int to, int from) { op(w, 0x0b, to, from); }
  void xor_(int w, int to, int from) { op(w, 0x33, to, from); }
  void and_(int w, int to, mem m) { op(w, 0x23, to, m); }
  void or_(int w, int to, mem m) { op(w, 0x0b, to, m); }
  void xor_(int w, int to, mem m) { op(w, 0x33, to, m); }
  void cmp(int w, int a, int b) { op(w, 0x3b, a, b); }
  void cmp(int w, int a, mem m) { op(w, 0x3b, a, m); }
  void test(int w, int a, int b) { op(w, 0x85, a, b); }
  void not_(int w, int r) { op(w, 0xf7, 2, r); }
  void add_number(int w, int r, std::int32_t n) { number(w, 0, r, n); }
  void and_number(int w, int r, std::int32_t n) { number(w, 4, r, n); }
  void sub_number(int w, int r, std::int32_t n) { number(w, 5, r, n); }
  void xor_number(int w, int r, std::int32_t n) { number(w, 6, r, n); }
  void cmp_number(int w, int r, std::int32_t n) { number(w, 7, r, n); }
  void cmp_number(int w, mem m, std::int32_t n) {
    op(w, 0x81, 7, m);
    word(static_cast<std::uint32_t>(n));
  }
  void test_number(int r, std::int32_t n) {
    op(0, 0xf7, 0, r);
    word(static_cast<std::uint32_t>(n));
  }
  void shift_left(int w, int r, int by) { op(w, 0xc1, 4, r), byte(by); }
  void shift_right(int w, int r, int by) { op(w, 0xc1, 5, r), byte(by); }
  void popcount(int w, int to, int from) {
    byte(0xf3);
    two(w, 0xb8, to, from);
  }
  void extend16(int to, int from) { two(0, 0xb7, to, from); }  // movzx r32, r16
  void extend32(int to, int from) { op(1, 0x63, to, from); }   // movsxd

  // The address of `n` words that lie in the code here, jumped over.
  void words(const std::uint32_t* from, int n, int to) {
    byte(0x48 | (to >= 8 ? 4 : 0));
    byte(0x8d);
    byte(((to & 7) << 3) | 5);
    word(5);  // behind the jump
    byte(0xe9);
    word(static_cast<std::uint32_t>(4 * n));
    for (int i = 0; i < n; ++i) word(from[i]);
  }

  // ---- mask registers
  void kmov(int k, int r) { vex(p_f2, 0, m0f, 0, 0x92, k, 0, r); }  // 32 bits
  void kmov_to(int r, int k) { vex(p_f2, 0, m0f, 0, 0x93, r, 0, k); }
  void kshift_right(int k, int from, int by) {
    vex(p_66, 0, m0f3a, 0, 0x31, k, 0, from);  // of 32 bits
    byte(by);
  }
  void kor16(int k, int a, int b) { vex(p_none, 0, m0f, 1, 0x45, k, a, b); }
  void kunpack8(int k, int high, int low) { vex(p_66, 0, m0f, 1, 0x4b, k, high, low); }
  void kunpack16(int k, int high, int low) { vex(p_none, 0, m0f, 1, 0x4b, k, high, low); }
  void ktest16(int a, int b) { vex(p_none, 0, m0f, 0, 0x98, a, 0, b); }  // kortest

  // ---- vectors. `mask` 0 is none; `zeroing` clears the lanes it leaves out.
  // `size` 2 is 512 bits, 1 256; `rounded` 0 nothing, else the embedded rounding
  // mode + 1 (registers only).
  void v(vop o, int to, int a, int b, int mask = 0, bool zeroing = false, int size = 2, int rounded = 0) {
    evex(o, to, a, (b >> 4) & 1, (b >> 3) & 1, mask, zeroing, rounded != 0, rounded ? rounded - 1 : size, 0);
    byte(0xc0 | ((to & 7) << 3) | (b & 7));
  }
  // `broadcast`: one element of the operation's width for all lanes.
  void v(vop o, int to, int a, mem m, int mask = 0, bool zeroing = false, bool broadcast = false, int size = 2) {
    evex(o, to, a, m.index >= 0 ? (m.index >> 3) & 1 : 0, (m.base >> 3) & 1, mask, zeroing, broadcast, size, 0);
    modrm(to & 7, m);
  }
  // A gather: `m.index` is a vector register.
  void gather(vop o, int to, mem m, int mask) {
    evex(o, to, 0, (m.index >> 3) & 1, (m.base >> 3) & 1, mask, false, false, 2, (m.index >> 4) & 1);
    modrm(to & 7, m);
  }
  void immediate(int value) { byte(value & 0xff); }
  void vzeroupper() {
    byte(0xc5);
    byte(0xf8);
    byte(0x77);
  }

 private:
  void byte(int b) { bytes_.push_back(static_cast<std::uint8_t>(b)); }
  void word(std::uint32_t x) {
    for (int i = 0; i < 4; ++i) byte(static_cast<int>((x >> (8 * i)) & 0xff));
  }
  void jump_to(label to) {
    jumps_.emplace_back(bytes_.size(), to);
    word(0);
  }
  void modrm(int reg, mem m) {
    if (m.index >= 0) {
      byte(0x80 | (reg << 3) | 4);
      byte(((m.index & 7) << 3) | (m.base & 7));
    } else if ((m.base & 7) == 4) {
      byte(0x80 | (reg << 3) | 4);
      byte(0x24);
    } else {
      byte(0x80 | (reg << 3) | (m.base & 7));
    }
    word(static_cast<std::uint32_t>(m.offset));
  }
  void rex(int w, int reg, int index, int base) {
    const int bits = (w << 3) | ((reg >> 3) << 2) | ((index >> 3) << 1) | (base >> 3);
    if (bits) byte(0x40 | bits);
  }
  void op(int w, int code, int reg, int rm) {
    rex(w, reg, 0, rm);
    byte(code);
    byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
  }
  void op(int w, int code, int reg, mem m) {
    rex(w, reg, m.index >= 0 ? m.index : 0, m.base);
    byte(code);
    modrm(reg & 7, m);
  }
  void two(int w, int code, int reg, int rm) {
    rex(w, reg, 0, rm);
    byte(0x0f);
    byte(code);
    byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
  }
  void number(int w, int which, int r, std::int32_t n) {
    op(w, 0x81, which, r);
    word(static_cast<std::uint32_t>(n));
  }
  void vex(int pp, int size, int map, int l, int code, int reg, int second, int rm) {
    byte(0xc4);
    byte((reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | map);
    byte((size << 7) | ((~second & 15) << 3) | (l << 2) | pp);
    byte(code);
    byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
  }
  void evex(vop o, int reg, int second, int x, int b, int mask, bool zeroing, bool bit, int size, int index_high) {
    byte(0x62);
    byte((reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | (reg & 16 ? 0 : 0x10) | o.map);
    byte((o.w << 7) | ((~second & 15) << 3) | 4 | o.pp);
    byte((zeroing ? 0x80 : 0) | (size << 5) | (bit ? 0x10 : 0) | ((second & 16) || index_high ? 0 : 8) | mask);
    byte(o.code);
  }

  std::vector<std::uint8_t> bytes_;
  std::vector<std::size_t> places_;
  std::vector<std::pair<std::size_t, label>> jumps_;
};

// Pages of code: written once, then executable and no longer writable.
class executable {
 public:
  executable() = default;
  executable(executable&& other) noexcept : at_(std::exchange(other.at_, nullptr)), bytes_(other.bytes_) {}
  executable& operator=(executable&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  executable(const executable&) = delete;
  executable& operator=(const executable&) = delete;
#if defined(__x86_64__)
  explicit executable(const std::vector<std::uint8_t>& code) : bytes_(code.size()) {
    void* got = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) return;
    std::memcpy(got, code.data(), bytes_);
    if (mprotect(got, bytes_, PROT_READ | PROT_EXEC) != 0) {
      munmap(got, bytes_);
      return;
    }
    at_ = got;
  }
  ~executable() {
    if (at_) munmap(at_, bytes_);
  }
#else
  explicit executable(const std::vector<std::uint8_t>&) {}
#endif
  // Null when the system refused.
  [[nodiscard]] const std::uint8_t* at(std::size_t offset) const noexcept { return at_ ? static_cast<const std::uint8_t*>(at_) + offset : nullptr; }

 private:
  void* at_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace skillbench::ptx::jit
