#pragma once
// ptx/decode.hpp: what the rows of the instruction table work with.
//
// Layer   3. Includes program and warp.
// A row (ops/*.hpp) is an opcode and a function that looks at the modifiers and
// operands of one instruction and fills in an `op`. A modifier that a row did
// not take makes the instruction "not supported": no form is ever run as
// another one.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/ptx/module.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/warp.hpp>

namespace skillbench::ptx {

enum class type : std::uint8_t {
  none, u8, u16, u32, u64, s8, s16, s32, s64, b8, b16, b32, b64, b128,
  f16, f16x2, bf16, bf16x2, f32, f64, pred, u16x2, s16x2,
};

[[nodiscard]] inline type type_named(std::string_view text) noexcept {
  static constexpr std::pair<std::string_view, type> names[] = {
      {"u8", type::u8},     {"u16", type::u16},     {"u32", type::u32},
      {"u64", type::u64},   {"s8", type::s8},       {"s16", type::s16},
      {"s32", type::s32},   {"s64", type::s64},     {"b8", type::b8},
      {"b16", type::b16},   {"b32", type::b32},     {"b64", type::b64},
      {"f16", type::f16},   {"f16x2", type::f16x2}, {"bf16", type::bf16},
      {"bf16x2", type::bf16x2}, {"f32", type::f32}, {"f64", type::f64},
      {"pred", type::pred}, {"b128", type::b128}, {"u16x2", type::u16x2}, {"s16x2", type::s16x2}};
  for (const auto& [name, kind] : names)
    if (name == text) return kind;
  return type::none;
}

[[nodiscard]] constexpr std::uint8_t width_of(type kind) noexcept {
  switch (kind) {
    case type::u8: case type::s8: case type::b8: return 1;
    case type::u16: case type::s16: case type::b16: case type::f16:
    case type::bf16: return 2;
    case type::u32: case type::s32: case type::b32: case type::f16x2:
    case type::bf16x2: case type::f32: case type::u16x2: case type::s16x2: return 4;
    case type::u64: case type::s64: case type::b64: case type::f64: return 8;
    case type::b128: return 16;
    case type::pred: case type::none: return 0;
  }
  return 0;
}

[[nodiscard]] constexpr bool is_signed(type kind) noexcept {
  return kind >= type::s8 && kind <= type::s64;
}
[[nodiscard]] constexpr bool is_bits(type kind) noexcept {
  return kind >= type::b8 && kind <= type::b128;
}
[[nodiscard]] constexpr bool is_integer(type kind) noexcept {
  return kind >= type::u8 && kind <= type::b128;
}

// Calls `use` with a value of the C++ type that holds `kind`; false when the
// type is no integer of 16, 32 or 64 bits.
template <typename Use>
bool with_integer(type kind, Use&& use) {
  switch (kind) {
    case type::u16: case type::b16: use(std::uint16_t{}); return true;
    case type::u32: case type::b32: use(std::uint32_t{}); return true;
    case type::u64: case type::b64: use(std::uint64_t{}); return true;
    case type::s16: use(std::int16_t{}); return true;
    case type::s32: use(std::int32_t{}); return true;
    case type::s64: use(std::int64_t{}); return true;
    default: return false;
  }
}

// A declared register or variable, by its name in a function.
struct symbol {
  enum class kind : std::uint8_t { reg, memory, function, label } is = kind::reg;
  type held = type::none;
  std::uint8_t width = 0;  // registers: bytes of a lane
  ref where;               // registers
  space in = space::generic;
  std::uint64_t address = 0;  // memory: in its own space; function: index
  std::uint64_t bytes = 0;
};

class decoder;  // of a whole kernel: decoder.hpp

// One instruction being decoded.
class decoding {
 public:
  decoding(decoder& whole, const instruction& text, op& made)
      : in(text), o(made), whole_(whole), taken_(text.modifiers.size(), false) {}

  const instruction& in;
  op& o;

  // ---- modifiers
  bool take(std::string_view modifier) {
    for (std::size_t i = 0; i < in.modifiers.size(); ++i)
      if (!taken_[i] && in.modifiers[i] == modifier) {
        taken_[i] = true;
        return true;
      }
    return false;
  }
  [[nodiscard]] bool has(std::string_view modifier) const {
    return std::find(in.modifiers.begin(), in.modifiers.end(), modifier) != in.modifiers.end();
  }
  template <typename... Names>
  void ignore(Names... names) {
    (take(names), ...);
  }
  // The first modifier not yet taken that names a type.
  type take_type() {
    for (std::size_t i = 0; i < in.modifiers.size(); ++i) {
      if (taken_[i]) continue;
      const type found = type_named(in.modifiers[i]);
      if (found == type::none) continue;
      taken_[i] = true;
      return found;
    }
    return type::none;
  }
  // The first modifier not yet taken, whatever it is.
  std::string_view take_any() {
    for (std::size_t i = 0; i < in.modifiers.size(); ++i)
      if (!taken_[i]) {
        taken_[i] = true;
        return in.modifiers[i];
      }
    return {};
  }
  // The modifiers that start with a prefix (cache hints and the like).
  void ignore_starting(std::string_view prefix) {
    for (std::size_t i = 0; i < in.modifiers.size(); ++i)
      if (std::string_view(in.modifiers[i]).substr(0, prefix.size()) == prefix)
        taken_[i] = true;
  }
  [[nodiscard]] std::string_view left_over() const {
    for (std::size_t i = 0; i < in.modifiers.size(); ++i)
      if (!taken_[i]) return in.modifiers[i];
    return {};
  }

  // ---- operands
  [[nodiscard]] std::size_t count() const { return in.operands.size(); }
  bool want(std::size_t operands) {
    if (count() == operands) return true;
    refuse("an operand count of " + std::to_string(count()));
    return false;
  }
  // A target register of exactly `width` bytes (0: a predicate).
  void target(std::size_t operand, std::uint8_t width);
  void target_of(const operand& named, std::uint8_t width);
  // A source: register of that width, constant, special register or address.
  void source(std::size_t operand, std::uint8_t width);
  void source_of(const operand& named, std::uint8_t width);
  // Source of any width, which is returned.
  std::uint8_t source_any(const operand& named, std::uint8_t literal_width);
  std::uint8_t target_any(const operand& named);
  // The carry flag of the function, as the next source or target.
  void carry_in();
  // The end of a lane's stack, as the next source.
  void stack_top();
  void carry_out();
  // The same for an operand that goes to program::more, kept behind those that
  // the instruction has there; `_` is a target that is discarded.
  void further_target(const operand& named, std::uint8_t width);
  void further_source(const operand& named, std::uint8_t width);
  [[nodiscard]] ref constant(std::uint64_t bits, std::uint8_t width);
  void uses_warpgroups();
  // [address] -> source s[n] (or a constant zero) and o.imm; space windows.
  void address(const operand& named);
  // The same as one more source, for instructions with several addresses: the
  // offset, the width of the register and, where the text names a variable, its
  // space come back.
  void pointer(const operand& named, std::int64_t& offset, std::uint8_t& width, space& where);
  // A copy of the copy engine: its index in program::bulk.
  [[nodiscard]] std::int64_t add_bulk(const bulk_form& f);
  // The kernel has operations that read shared memory asynchronously.
  void notes_stores();
  [[nodiscard]] std::optional<std::uint64_t> literal(const operand& named) const;
  [[nodiscard]] const symbol* look_up(const std::string& name) const;
  decoder& kernel() { return whole_; }

  void refuse(std::string why) {
    if (refusal.empty()) refusal = std::move(why);
  }
  std::string refusal;

  // ---- finishing
  void does(handler run, handler taint = nullptr) {
    o.run = run;
    o.taint = taint;
  }

 private:
  std::uint8_t source_into(ref& to, const operand& named, std::uint8_t literal_width);
  std::uint8_t target_into(ref& to, const operand& named);

  decoder& whole_;
  std::vector<bool> taken_;
};

using row = void (*)(decoding&);
using instruction_table = std::unordered_map<std::string_view, row>;

// ---- rows for the common shapes ---------------------------------------------

template <typename F, typename D, typename A, bool Moves = false>
void make1(decoding& d) {
  if (!d.want(2)) return;
  d.target(0, sizeof(D));
  d.source(1, sizeof(A));
  if constexpr (Moves)
    d.does(&run1<F, D, A>, &taint_moved1<F, D, A>);
  else
    d.does(&run1<F, D, A>, &taint_whole<sizeof(D), sizeof(A)>);
}

template <typename F, typename D, typename A, typename B>
void make2(decoding& d) {
  if (!d.want(3)) return;
  d.target(0, sizeof(D));
  d.source(1, sizeof(A));
  d.source(2, sizeof(B));
  d.does(&run2<F, D, A, B>, &taint_whole<sizeof(D), sizeof(A), sizeof(B)>);
}

template <typename F, typename D, typename A, typename B, typename C>
void make3(decoding& d) {
  if (!d.want(4)) return;
  d.target(0, sizeof(D));
  d.source(1, sizeof(A));
  d.source(2, sizeof(B));
  d.source(3, sizeof(C));
  d.does(&run3<F, D, A, B, C>,
         &taint_whole<sizeof(D), sizeof(A), sizeof(B), sizeof(C)>);
}

}  // namespace skillbench::ptx
