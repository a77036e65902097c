#pragma once
// reference.hpp: what a family's reference says of a case, and how answers that
// were made on the host agree with it.
//
// Layer   2. Knows no device and no family by name.
// Shapes  a block of rows is `block_elements` output elements or one row,
//         whichever is more; flat indices are row-major.
// Units   elements; values carry the output's own unit.
// Errors  reason::bad_input for a shape that cannot be evaluated or passes 2^40
//         elements; bad_argument for a family without a reference; internal for
//         a reference that gives no number. All of them are ours.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/bound.hpp>
#include <skillbench/compare.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/inputs.hpp>

namespace skillbench {

inline constexpr std::int64_t block_elements = 65536;
inline constexpr std::int64_t most_tensor_elements = std::int64_t{1} << 40;

// ---- tensors of a case ----------------------------------------------------

struct tensor_shape {
  std::vector<std::int64_t> extents;
  std::int64_t elements = 1;

  [[nodiscard]] std::int64_t width() const {  // of a row
    return extents.empty() ? 1 : extents.back();
  }
};

[[nodiscard]] inline result<tensor_shape> shape_of(const argument& tensor,
                                                   const test_case& of) {
  const bindings known(of.integers.begin(), of.integers.end());
  tensor_shape made;
  for (const expression& each : tensor.shape) {
    const auto extent = each.evaluate(known);
    if (!extent)
      return fault{reason::bad_input, "the shape of `" + tensor.name +
                                          "` in case `" + of.name +
                                          "`: " + extent.error().what};
    const std::int64_t n = extent.value();
    if (n < 0 || (n > 0 && made.elements > most_tensor_elements / n))
      return fault{reason::bad_input,
                   "the shape of `" + tensor.name + "` in case `" + of.name +
                       "` is negative or has more than 2^40 elements"};
    made.extents.push_back(n);
    made.elements *= n;
  }
  return made;
}

[[nodiscard]] inline fill fill_of(const test_case& of, std::string_view input) {
  for (const auto& [name, filled] : of.fills)
    if (name == input) return filled;
  return {};
}

// Inputs of the same name differ from case to case and type to type.
[[nodiscard]] inline std::uint64_t input_seed(std::uint64_t seed,
                                              const family& asked,
                                              const test_case& of,
                                              std::string_view input,
                                              element type) {
  const std::uint64_t key = mix(mix(mix(seed, asked.name), of.name), input);
  return mix(key, static_cast<std::uint64_t>(type));
}

// The inputs as the reference sees them: the very elements that the device
// makes. `of` must outlive the result.
[[nodiscard]] inline case_inputs inputs_of(const family& asked,
                                           const test_case& of, element type,
                                           std::uint64_t seed) {
  struct source {
    std::string name;
    fill filled;
    std::uint64_t seed = 0;
  };
  std::vector<source> sources;
  for (const argument& each : asked.arguments)
    if (each.kind == argument::type::input)
      sources.push_back({each.name, fill_of(of, each.name),
                         input_seed(seed, asked, of, each.name, type)});
  case_inputs made;
  made.asked = &of;
  made.type = type;
  made.token = mix(seed, asked.name + "/" + of.name) ^ static_cast<std::uint64_t>(type);
  for (const source& each : sources)
    for (const std::uint64_t part : {each.seed, static_cast<std::uint64_t>(each.filled.kind), std::bit_cast<std::uint64_t>(each.filled.scale),
                                     std::bit_cast<std::uint64_t>(each.filled.offset), static_cast<std::uint64_t>(each.filled.row)})
      made.token = mix(made.token, part);
  for (const auto& [name, number] : of.integers) made.token = mix(mix(made.token, name), static_cast<std::uint64_t>(number));
  if (made.token == 0) made.token = 1;
  made.read = [sources = std::move(sources), type](
                  std::string_view name, std::int64_t first,
                  std::span<double> out) {
    for (const source& each : sources)
      if (each.name == name)
        return make_elements(each.filled, each.seed, type, first, out);
    std::fill(out.begin(), out.end(), 0.0);  // no such input
  };
  return made;
}

// ---- the reference --------------------------------------------------------

struct reference_values {
  std::vector<double> expected, bound;
};

struct reference_counts {
  std::uint64_t used_again = 0, computed = 0;  // outputs of a case
};

// Keeps what the references say, so that several candidates of one family are
// judged against one evaluation. Not for several threads at once.
class reference_cache {
 public:
  // Each element takes 16 bytes.
  explicit reference_cache(std::int64_t most_elements = std::int64_t{1} << 24)
      : left_(most_elements) {}

  [[nodiscard]] const reference_values* find(const std::string& key) {
    const auto found = kept_.find(key);
    ++(found == kept_.end() ? counted_.computed : counted_.used_again);
    return found == kept_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] reference_counts counts() const { return counted_; }
  [[nodiscard]] bool has_room(std::int64_t elements) const {
    return elements <= left_;
  }
  void keep(const std::string& key, reference_values values) {
    left_ -= static_cast<std::int64_t>(values.expected.size());
    kept_.insert_or_assign(key, std::move(values));
  }

 private:
  std::unordered_map<std::string, reference_values> kept_;
  std::int64_t left_ = 0;
  reference_counts counted_;
};

// Calls `use(first, expected, bound)` for one block of rows after the other of
// an output; `first` is a flat index. Stops at the first fault of `use`.
struct row_range {  // rows first .. end - 1; all of them when end is 0
  std::int64_t first = 0, end = 0;
};
using use_block = std::function<result<done>(
    std::int64_t first, std::span<const double> expected,
    std::span<const double> bound)>;

[[nodiscard]] inline result<done> each_block(
    const family& asked, const test_case& of, const argument& output,
    element type, std::uint64_t seed, reference_cache* cache,
    const use_block& use, row_range only = {}) {
  if (!asked.reference)
    return fault{reason::bad_argument,
                 "the family `" + asked.name + "` has no reference"};
  const auto shape = shape_of(output, of);
  if (!shape) return shape.error();
  const std::int64_t width = shape.value().width();
  const std::int64_t elements = shape.value().elements;
  if (elements == 0) return done{};
  const bool whole = only.end == 0;
  const std::int64_t rows = whole ? elements / width : only.end;
  if (!whole) cache = nullptr;
  const std::int64_t block_rows =
      std::max<std::int64_t>(1, block_elements / width);

  std::string key;
  const reference_values* kept = nullptr;
  if (cache != nullptr) {
    for (const std::string_view part :
         {std::string_view(asked.name), std::string_view(asked.version),
          std::string_view(of.name), name(type), std::string_view(output.name)})
      key += std::to_string(part.size()) + ":" + std::string(part);
    key += "#" + std::to_string(seed);
    kept = cache->find(key);
  }

  const case_inputs given = inputs_of(asked, of, type, seed);
  reference_values to_keep;
  const bool keeps =
      cache != nullptr && kept == nullptr && cache->has_room(elements);
  if (keeps) {
    to_keep.expected.reserve(static_cast<std::size_t>(elements));
    to_keep.bound.reserve(static_cast<std::size_t>(elements));
  }
  std::vector<double> expected, yardstick, condition, bound;
  for (std::int64_t row = only.first; row < rows; row += block_rows) {
    const std::int64_t some = std::min(block_rows, rows - row);
    const auto at = static_cast<std::size_t>(row * width);
    const auto count = static_cast<std::size_t>(some * width);
    if (kept != nullptr) {
      const auto used =
          use(row * width, std::span(kept->expected).subspan(at, count),
              std::span(kept->bound).subspan(at, count));
      if (!used) return used.error();
      continue;
    }
    // What a reference leaves unwritten is NaN, which the bound refuses.
    for (auto* each : {&expected, &yardstick, &condition})
      each->assign(count, std::numeric_limits<double>::quiet_NaN());
    bound.resize(count);
    const reference_rows told{row, some, width, expected, yardstick, condition};
    asked.reference(given, output.name, told);
    // Inputs are finite, so a NaN is a mistake of the reference. Taken for the
    // expected value it would fail every kernel.
    const auto unsaid =
        std::find_if(expected.begin(), expected.end(),
                     [](double value) { return std::isnan(value); });
    if (unsaid != expected.end())
      return fault{reason::internal,
                   "the reference gave no number for element " +
                       std::to_string(row * width +
                                      (unsaid - expected.begin()))};
    const auto made = make_bounds(told, asked.allowed, type, bound);
    if (!made) return made.error();
    const auto used = use(row * width, expected, bound);
    if (!used) return used.error();
    if (keeps) {
      to_keep.expected.insert(to_keep.expected.end(), expected.begin(),
                              expected.end());
      to_keep.bound.insert(to_keep.bound.end(), bound.begin(), bound.end());
    }
  }
  if (keeps) cache->keep(key, std::move(to_keep));
  return done{};
}

// ---- answers made on the host ---------------------------------------------

// Writes `answer`, whole rows of `output` of `width` elements each, of which
// the first element has the flat index `first`. Used to hold a family's cases
// and bounds to what must pass and what must fail.
using answer_function = std::function<void(
    const case_inputs& given, std::string_view output, std::int64_t first,
    std::int64_t width, std::span<double> answer)>;

// How answers, rounded to the element type, agree over all outputs of a case.
[[nodiscard]] inline result<agreement> judge_answers(
    const family& asked, const test_case& of, element type, std::uint64_t seed,
    const answer_function& answers) {
  const case_inputs given = inputs_of(asked, of, type, seed);
  agreement all;
  std::vector<double> actual;
  for (const argument& output : asked.arguments) {
    if (output.kind != argument::type::output) continue;
    const auto shape = shape_of(output, of);
    if (!shape) return shape.error();
    const auto walked = each_block(
        asked, of, output, type, seed, nullptr,
        [&](std::int64_t first, std::span<const double> expected,
            std::span<const double> bound) -> result<done> {
          actual.assign(expected.size(), 0.0);
          answers(given, output.name, first, shape.value().width(), actual);
          for (double& value : actual) value = rounded(type, value);
          const auto seen = compare(expected, actual, bound, type);
          if (!seen) return seen.error();
          all.add(seen.value(), first);
          return done{};
        });
    if (!walked) return walked.error();
  }
  return all;
}

// Whether such answers pass. A fault does not pass; judge_answers tells it.
[[nodiscard]] inline bool accepts(const family& asked, const test_case& of,
                                  element type, std::uint64_t seed,
                                  const answer_function& answers) {
  const auto seen = judge_answers(asked, of, type, seed, answers);
  return seen && seen.value().agrees();
}

// Answers that take no thought: no case may accept one of them in any element
// type. The copies and the mean are of the family's first input.
[[nodiscard]] inline std::vector<std::pair<std::string, answer_function>>
trivial_answers(const family& asked) {
  std::vector<std::pair<std::string, answer_function>> made;
  made.emplace_back("zeros", [](const case_inputs&, std::string_view,
                                std::int64_t, std::int64_t,
                                std::span<double> answer) {
    std::fill(answer.begin(), answer.end(), 0.0);
  });
  const auto first_input = std::find_if(
      asked.arguments.begin(), asked.arguments.end(), [](const argument& each) {
        return each.kind == argument::type::input;
      });
  if (first_input == asked.arguments.end()) return made;

  made.emplace_back(
      "copy of " + first_input->name,
      [input = *first_input](const case_inputs& given, std::string_view,
                             std::int64_t first, std::int64_t,
                             std::span<double> answer) {
        const auto shape = shape_of(input, *given.asked);
        const std::int64_t whole = shape ? shape.value().elements : 0;
        for (std::size_t at = 0; whole > 0 && at < answer.size();) {
          const std::int64_t from =
              (first + static_cast<std::int64_t>(at)) % whole;
          const std::size_t some =
              std::min(answer.size() - at,
                       static_cast<std::size_t>(whole - from));
          given.read(input.name, from, answer.subspan(at, some));
          at += some;
        }
      });
  made.emplace_back(
      "mean of " + first_input->name,
      [input = *first_input](const case_inputs& given, std::string_view,
                             std::int64_t, std::int64_t,
                             std::span<double> answer) {
        const auto shape = shape_of(input, *given.asked);
        const std::int64_t whole = shape ? shape.value().elements : 0;
        std::vector<double> values(
            static_cast<std::size_t>(std::min(whole, block_elements)));
        given.read(input.name, 0, values);
        double sum = 0.0;
        for (const double value : values) sum += value;
        std::fill(answer.begin(), answer.end(),
                  values.empty() ? 0.0
                                 : sum / static_cast<double>(values.size()));
      });
  return made;
}

}  // namespace skillbench
