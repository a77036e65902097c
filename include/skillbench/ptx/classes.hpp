#pragma once
// ptx/classes.hpp: the class of an instruction, for counters, from its text.
//
// Layer   3. Includes counters, decode and module.
// Units   operations of one warp: of wgmma a quarter of what the four warps do.
// Spaces  an access through a generic address is taken for one of global memory
//         here; where it goes is known when it runs (count.hpp).

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <skillbench/counters.hpp>
#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/module.hpp>
#include <skillbench/ptx/program.hpp>

namespace skillbench::ptx {

namespace class_words {

template <std::size_t N>
[[nodiscard]] constexpr bool one_of(std::string_view word, const std::array<std::string_view, N>& all) {
  return std::find(all.begin(), all.end(), word) != all.end();
}

[[nodiscard]] inline bool has(const instruction& in, std::string_view modifier) {
  return std::find(in.modifiers.begin(), in.modifiers.end(), modifier) != in.modifiers.end();
}

[[nodiscard]] inline std::optional<tensor_type> tensor_type_named(std::string_view word) {
  static constexpr std::pair<std::string_view, tensor_type> names[] = {
      {"f16", tensor_type::f16},   {"bf16", tensor_type::bf16}, {"tf32", tensor_type::tf32}, {"f64", tensor_type::f64},
      {"e4m3", tensor_type::fp8},  {"e5m2", tensor_type::fp8},  {"s8", tensor_type::int8},   {"u8", tensor_type::int8},
      {"s4", tensor_type::int4},   {"u4", tensor_type::int4},   {"b1", tensor_type::bit}};
  for (const auto& [name, is] : names)
    if (name == word) return is;
  return std::nullopt;
}

// "m16n8k16" as m n k.
[[nodiscard]] inline std::uint32_t volume_of(std::string_view word) {
  std::uint32_t volume = 1;
  for (const char letter : {'m', 'n', 'k'}) {
    if (word.empty() || word.front() != letter) return 0;
    word.remove_prefix(1);
    std::uint32_t number = 0;
    std::size_t digits = 0;
    while (digits < word.size() && digits < 4 && word[digits] >= '0' && word[digits] <= '9') number = 10 * number + static_cast<std::uint32_t>(word[digits++] - '0');
    if (digits == 0) return 0;
    word.remove_prefix(digits);
    volume *= number;
  }
  return word.empty() ? volume : 0;
}

// The types of a matrix instruction stand in the order D, A, B, C; `wmma` may
// leave out A and B, which are halves then.
[[nodiscard]] inline classified matrix(const instruction& in) {
  classified out{instruction_class::tensor, tensor_type::f16, 0};
  int types = 0;
  for (const auto& word : in.modifiers) {
    if (const std::uint32_t volume = volume_of(word)) {
      out.operations = 2 * volume;
      // Four products, of eight lanes each.
      if (in.opcode == "mma" && word == "m8n8k4" && has(in, "f16")) out.operations *= 4;
      if (in.opcode == "wgmma") out.operations /= 4;
      continue;
    }
    const auto is = tensor_type_named(word);
    const bool accumulator = word == "f32" || word == "s32";
    if (!is && !accumulator) continue;
    if (++types == 2 && is) out.of = *is;
  }
  if (types == 2 && in.opcode == "wmma") out.of = tensor_type::f16;
  return out;
}

[[nodiscard]] inline instruction_class access(space where, bool store) {
  using enum instruction_class;
  switch (where) {
    case space::shared:
    case space::cluster: return store ? store_shared : load_shared;
    case space::local: return store ? store_local : load_local;
    case space::param:
    case space::constant: return store ? store_local : load_constant;
    default: return store ? store_global : load_global;
  }
}

}  // namespace class_words

[[nodiscard]] inline classified class_of(const instruction& in, const op& o) {
  using enum instruction_class;
  using class_words::has, class_words::one_of;
  static constexpr std::array<std::string_view, 8> specials{"rcp", "sqrt", "rsqrt", "sin", "cos", "ex2", "lg2", "tanh"};
  static constexpr std::array<std::string_view, 5> moves{"mov", "selp", "slct", "cvta", "isspacep"};
  static constexpr std::array<std::string_view, 7> exchanges{"shfl", "vote", "match", "redux", "activemask", "elect", "movmatrix"};
  static constexpr std::array<std::string_view, 7> controls{"bra", "brx", "call", "ret", "exit", "trap", "brkpt"};
  static constexpr std::array<std::string_view, 5> barriers{"bar", "barrier", "mbarrier", "membar", "fence"};
  static constexpr std::array<std::string_view, 12> others{"prefetch", "prefetchu", "applypriority", "pmevent", "nanosleep", "griddepcontrol",
                                                           "discard", "createpolicy", "setmaxnreg", "alloca", "stacksave", "stackrestore"};
  const std::string_view opcode = in.opcode;
  const auto plain = [](instruction_class is) { return classified{is, tensor_type::f16, 0}; };
  if (one_of(opcode, controls)) return plain(control);
  if (one_of(opcode, barriers)) return plain(barrier);
  if (one_of(opcode, exchanges)) return plain(exchange);
  if (one_of(opcode, moves)) return plain(move);
  if (one_of(opcode, specials)) return plain(special);
  if (one_of(opcode, others)) return plain(other);
  if (opcode == "cvt") return plain(convert);
  if (opcode == "ld" || opcode == "ldu" || opcode == "st") {
    // Parameters of calls are registers on a GPU.
    const bool of_call = o.where == space::local && (has(in, "param") || has(in, "param::func"));
    return plain(of_call ? move : class_words::access(o.where, opcode == "st"));
  }
  if (opcode == "ldmatrix" || opcode == "stmatrix") return plain(opcode == "stmatrix" ? store_shared : load_shared);
  if (opcode == "atom" || opcode == "red") return plain(o.where == space::shared || o.where == space::cluster ? atomic_shared : atomic_global);
  if (opcode == "cp") return plain(has(in, "commit_group") || has(in, "wait_group") || has(in, "wait_all") || has(in, "arrive") ? barrier : copy);
  if (opcode == "mma") return class_words::matrix(in);
  if (opcode == "wgmma") return has(in, "mma_async") ? class_words::matrix(in) : plain(barrier);
  if (opcode == "wmma") return has(in, "mma") ? class_words::matrix(in) : plain(class_words::access(o.where, has(in, "store")));
  // The last type is that of the sources.
  type last = type::none;
  for (const auto& word : in.modifiers)
    if (const type is = type_named(word); is != type::none) last = is;
  switch (last) {
    case type::f32: return plain(opcode == "div" ? special : f32);
    case type::f64: return plain(opcode == "div" ? special : f64);
    case type::f16:
    case type::f16x2:
    case type::bf16:
    case type::bf16x2: return plain(f16);
    default: return plain(integer);
  }
}

}  // namespace skillbench::ptx
