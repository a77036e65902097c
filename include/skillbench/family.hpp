#pragma once
// family.hpp: what is asked of a kernel, and what a right answer is.
//
// Layer   1. A family's folder under kernels/ holds family.json (read by
//         json_family.hpp into `family`) and oracle.hpp (an `oracle`).
// Units   shapes in elements; `bytes` and `operations` count what any correct
//         kernel must at least move and do.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/expression.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/fill.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

// An argument that kernels may name.
struct argument {
  enum class type : std::uint8_t { input, output, integer, real };
  std::string name;
  type kind = type::input;
  std::vector<expression> shape;  // tensors: extents over the task's integers
  std::int64_t least = 0, most = 0;  // integers: the contract's range
};

// One problem: values for every integer and real, fills for every input.
struct test_case {
  std::string name;  // unique in the family, e.g. "odd_cols_1000_offset"
  std::string why;   // what mistake it is there to catch
  std::vector<std::pair<std::string, std::int64_t>> integers;
  std::vector<std::pair<std::string, double>> reals;
  std::vector<std::pair<std::string, fill>> fills;
};

// What the reference says of a range of rows. All spans are row-major over
// `rows * width` output elements; the reference writes every element.
//   expected   the exact result, in double
//   yardstick  what an honest kernel gives: 16-bit inputs, float accumulation,
//              rounded to the element type
//   condition  how much of the output one relative rounding error of the
//              intermediate values can move, in the output's unit
struct reference_rows {
  std::int64_t first = 0, rows = 0, width = 0;
  std::span<double> expected, yardstick, condition;
};

// Tensors of the case as doubles: `read(name, first, out)` fills `out` with the
// elements from flat index `first` on, already rounded to the element type.
struct case_inputs {
  const test_case* asked = nullptr;
  element type = element::f32;
  std::uint64_t token = 0;  // the same: the same tensors; 0: not told
  std::function<void(std::string_view, std::int64_t, std::span<double>)> read;
  [[nodiscard]] std::int64_t integer(std::string_view name) const;
  [[nodiscard]] double real(std::string_view name) const;
};

// The reference result in double for one output tensor, some rows at a time.
using oracle = std::function<void(const case_inputs&, std::string_view output,
                                  reference_rows)>;

// The bound of an element, see bound.hpp:
//   2 * max(rms-scaled yardstick error, 1 ulp) + c * 2^-24 * condition
struct tolerance {
  double c = 4.0;
  std::string why;
};

// A case that is there to be timed, in these element types, and never to be judged
// by: far too large for the PTX machine. Its integers may lie beyond the contract;
// then what goes wrong there is told and accuses nobody.
struct timing_shape {
  test_case of;
  std::vector<element> types;
  bool beyond = false;
};

// What hidden cases are drawn from (draw.hpp). An integer without choices is
// drawn from its contract's range; a real or fill needs at least one choice.
struct hidden_fill {
  fill filled;
  expression row;  // over the case's integers
};
struct hidden_plan {
  std::int64_t count = 0;          // cases; 0: none are drawn
  std::int64_t most_elements = 0;  // of the outputs together
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> integers;
  std::vector<std::pair<std::string, std::vector<double>>> reals;
  std::vector<std::pair<std::string, std::vector<hidden_fill>>> fills;
};

struct family {
  std::string name;
  std::string title;
  std::string version;                // of contract and cases together
  std::string digest;                 // of family.json and oracle.hpp; "" when
                                      // made by hand
  std::vector<argument> arguments;
  std::vector<test_case> cases;       // public
  std::vector<test_case> overflow;    // beyond 2^31 elements: some CTAs run
  std::vector<timing_shape> timing;   // on a GPU, when asked for
  hidden_plan hidden;
  tolerance allowed;
  expression bytes, operations;       // over the integers and sizeof_T
  std::string prompt;                 // prompt.md
  std::string baseline;               // baseline.cu
  oracle reference;
};

inline std::int64_t case_inputs::integer(std::string_view wanted) const {
  for (const auto& [key, value] : asked->integers)
    if (key == wanted) return value;
  return 0;
}

inline double case_inputs::real(std::string_view wanted) const {
  for (const auto& [key, value] : asked->reals)
    if (key == wanted) return value;
  return 0.0;
}

}  // namespace skillbench
