#pragma once
// manifest.hpp: how a candidate wants to be launched.
//
// Layer   1. Plain values; json_manifest.hpp reads them, read.hpp checks them.
// Units   expressions give threads, blocks or bytes, as each member says. A
//         boolean is 0 or 1 in an expression and `true` or `false` in the source;
//         a string is its own text there.
// Source  kernels/contract.md, the text that models are given.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <skillbench/expression.hpp>

namespace skillbench {

// One kernel launch. `entry` still holds {T} and {NAME} marks.
struct launch_text {
  std::string entry;
  std::vector<std::string> args;     // names of the task or of `scratch`
  std::vector<expression> grid;      // 1 to 3, CTAs
  std::vector<expression> block;     // 1 to 3, threads
  expression shared_bytes;           // dynamic shared memory, bytes
  std::vector<expression> cluster;   // none, or 1 to 3, CTAs
};

// A tensor map (cuTensorMapEncodeTiled) that launches can name in `args`; the
// innermost dimension first.
struct tensor_map_text {
  std::string name;
  std::string tensor;                        // an argument of the task
  std::vector<expression> extents;           // 1 to 5, elements
  std::vector<expression> strides;           // one less, bytes
  std::vector<expression> box;               // as many as extents, elements
  std::vector<expression> element_strides;   // none, or as many
  std::int64_t swizzle = 0;                  // bytes: 0, 32, 64 or 128
  std::int64_t interleave = 0;               // bytes of a slice: 0, 16 or 32
  bool nan = false;                          // what lies outside reads as NaN
};

// A value of a tunable. No manifest has real numbers, recordings do.
using tuning_value = std::variant<std::int64_t, double, bool, std::string>;

[[nodiscard]] inline std::string text_of(const tuning_value& it) {
  if (const auto* whole = std::get_if<std::int64_t>(&it))
    return std::to_string(*whole);
  if (const auto* flag = std::get_if<bool>(&it)) return *flag ? "true" : "false";
  if (const auto* text = std::get_if<std::string>(&it)) return *text;
  std::string made = std::to_string(std::get<double>(it));
  while (made.ends_with("0") && !made.ends_with(".0")) made.pop_back();
  return made;
}

// What a value is in arithmetic; nothing for a string.
[[nodiscard]] inline std::optional<double> number_of(const tuning_value& it) {
  if (const auto* whole = std::get_if<std::int64_t>(&it))
    return static_cast<double>(*whole);
  if (const auto* flag = std::get_if<bool>(&it)) return *flag ? 1.0 : 0.0;
  if (const auto* real = std::get_if<double>(&it)) return *real;
  return std::nullopt;
}

// A tunable and the values worth trying, all of one kind; the first is the
// default.
struct tunable {
  std::string name;
  std::vector<tuning_value> values;
};

struct manifest {
  std::string family;
  std::vector<launch_text> launches;                         // in order
  std::vector<tunable> tune;                                 // as written
  std::vector<expression> constraints;                       // on tunables
  std::vector<expression> require;                           // on the task's integers
  std::vector<std::pair<std::string, expression>> scratch;   // name, bytes
  std::vector<tensor_map_text> tensor_maps;
};

// A choice of one value for each tunable, in the manifest's order.
using setting = std::vector<std::pair<std::string, tuning_value>>;

// "BLOCK=256 LAYOUT=row", or "(no tunables)".
[[nodiscard]] inline std::string setting_words(const setting& of) {
  std::string text;
  for (const auto& [name, value] : of)
    text += (text.empty() ? "" : " ") + name + "=" + text_of(value);
  return text.empty() ? "(no tunables)" : text;
}

}  // namespace skillbench
