#pragma once
// check.hpp: is a compiled candidate right, on every case of its family?
//
// Layer   5. Runs on any device of layer 4; knows no family by name.
// Units   threads, CTAs, bytes, elements; a block of rows is `block_elements`
//         output elements or one row, whichever is more.
// Errors  What is wrong with the candidate is a finding. A device that cannot
//         run a case (not_supported, too_slow, too_large) leaves that case
//         unjudged. Every other fault is handed on: the device broke, or the
//         family contradicts itself.
// Order   Cases run from the smallest to the largest output, so that a kernel
//         that is wrong everywhere costs little. After `most_failures` cases
//         that failed, or that were too slow, the rest is not run: `reason`
//         and `not_run` say so and `cases` holds those alone that were.
// Source  DESIGN.md's "Correct"; limits of compute capability 9.0: CUDA C++
//         Programming Guide, technical specifications per compute capability.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/bound.hpp>
#include <skillbench/candidate.hpp>
#include <skillbench/compare.hpp>
#include <skillbench/compile.hpp>
#include <skillbench/device.hpp>
#include <skillbench/draw.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/record.hpp>

namespace skillbench {

inline constexpr std::int64_t block_elements = 65536;
inline constexpr int most_failures = 3;
inline constexpr std::int64_t most_scratch_bytes = std::int64_t{4} << 30;
// Outputs up to this size are computed twice.
inline constexpr std::size_t most_repeated = 262144;
inline constexpr std::int64_t most_tensor_elements = std::int64_t{1} << 40;

// What an H100 launches; beyond it the driver refuses.
namespace h100 {
inline constexpr extent most_grid{2147483647, 65535, 65535};
inline constexpr extent most_block{1024, 1024, 64};
inline constexpr std::int64_t most_threads = 1024;
inline constexpr std::int64_t most_shared = 232448;  // static and dynamic
inline constexpr std::int64_t registers = 65536;     // of a CTA
}  // namespace h100

struct checked {
  outcome reached = outcome::unjudged;
  std::string reason;                // one sentence; "" for a correct one
  std::vector<finding> findings;     // a note that several cases share is one
  std::vector<case_agreement> cases; // in the order run
  std::optional<std::string> unjudged_why;  // of the first case unjudged
  std::size_t not_run = 0;           // cases left out after `most_failures`
  counters counted;                  // over all cases
  double cpu_seconds = 0.0;          // as the device tells
};

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

// Keeps what the references say, so that several candidates of one family are
// judged against one evaluation. Not for several threads at once.
class reference_cache {
 public:
  // Each element takes 16 bytes.
  explicit reference_cache(std::int64_t most_elements = std::int64_t{1} << 24)
      : left_(most_elements) {}

  [[nodiscard]] const reference_values* find(const std::string& key) const {
    const auto found = kept_.find(key);
    return found == kept_.end() ? nullptr : &found->second;
  }
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
};

// Calls `use(first, expected, bound)` for one block of rows after the other of
// an output; `first` is a flat index. Stops at the first fault of `use`.
using use_block = std::function<result<done>(
    std::int64_t first, std::span<const double> expected,
    std::span<const double> bound)>;

[[nodiscard]] inline result<done> each_block(
    const family& asked, const test_case& of, const argument& output,
    element type, std::uint64_t seed, reference_cache* cache,
    const use_block& use) {
  if (!asked.reference)
    return fault{reason::bad_argument,
                 "the family `" + asked.name + "` has no reference"};
  const auto shape = shape_of(output, of);
  if (!shape) return shape.error();
  const std::int64_t width = shape.value().width();
  const std::int64_t elements = shape.value().elements;
  if (elements == 0) return done{};
  const std::int64_t rows = elements / width;
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
  std::vector<double> expected, yardstick, condition, bound;
  for (std::int64_t row = 0; row < rows; row += block_rows) {
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
    for (auto* each : {&expected, &yardstick, &condition, &bound})
      each->assign(count, std::numeric_limits<double>::quiet_NaN());
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

// ---- planning the launches of a case --------------------------------------

struct launch_plan {
  job asked;
  std::vector<finding> refused;  // not empty: there is nothing to run
};

namespace check_words {

[[nodiscard]] inline std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "infinity" : "-infinity";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", value);
  return text.data();
}

// "[3, 17]" for flat index 3017 of [37, 1000].
[[nodiscard]] inline std::string place(const tensor_shape& shape,
                                       std::int64_t flat) {
  std::string text = "]";
  for (std::size_t i = shape.extents.size(); i-- > 0;) {
    const std::int64_t extent = std::max<std::int64_t>(shape.extents[i], 1);
    text.insert(0, std::to_string(flat % extent));
    if (i > 0) text.insert(0, ", ");
    flat /= extent;
  }
  return "[" + text;
}

}  // namespace check_words

// The job of one case. A fault is the family's or the caller's.
[[nodiscard]] inline result<launch_plan> plan_case(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, const test_case& of, element type,
    std::uint64_t seed) {
  const manifest& wanted = from.launch;
  if (!compiled.ok || compiled.kernels.size() != wanted.launches.size())
    return fault{reason::bad_argument,
                 "the image does not hold a kernel for every launch"};

  launch_plan made;
  made.asked.seed = mix(mix(mix(seed, of.name), "schedule"),
                        static_cast<std::uint64_t>(type));
  bindings known(of.integers.begin(), of.integers.end());
  for (auto& each : names_of(chosen, type)) known.push_back(std::move(each));

  const auto refuse = [&](code kind, std::string what, std::size_t launch_at) {
    finding told;
    told.kind = kind;
    told.what = std::move(what);
    told.element_type = name(type);
    told.test_case = of.name;
    if (launch_at < compiled.kernels.size())
      told.kernel = compiled.kernels[launch_at].lowered;
    made.refused.push_back(std::move(told));
  };
  constexpr std::size_t no_launch = static_cast<std::size_t>(-1);

  for (const expression& each : wanted.require) {
    const auto holds = each.evaluate(known);
    if (!holds)
      refuse(code::bad_manifest,
             "`require` cannot be evaluated: " + holds.error().what, no_launch);
    else if (holds.value() == 0)
      refuse(code::shape_not_supported,
             "The manifest's `require` excludes a shape of the task: `" +
                 each.text() + "` is false for case `" + of.name + "`.",
             no_launch);
  }
  if (!made.refused.empty()) return made;

  // Buffers: the inputs that a launch names, every output, the scratch.
  const auto is_named = [&](const std::string& what) {
    return std::any_of(wanted.launches.begin(), wanted.launches.end(),
                       [&](const launch_text& each) {
                         return std::find(each.args.begin(), each.args.end(),
                                          what) != each.args.end();
                       });
  };
  for (const argument& each : asked.arguments) {
    const bool input = each.kind == argument::type::input;
    if (!input && each.kind != argument::type::output) continue;
    if (input && !is_named(each.name)) continue;
    const auto shape = shape_of(each, of);
    if (!shape) return shape.error();
    buffer tensor;
    tensor.name = each.name;
    tensor.use = input ? role::input : role::output;
    tensor.type = type;
    tensor.elements = shape.value().elements;
    if (input) {
      tensor.filled = fill_of(of, each.name);
      tensor.seed = input_seed(seed, asked, of, each.name, type);
    }
    made.asked.buffers.push_back(std::move(tensor));
  }
  for (const auto& [called, bytes] : wanted.scratch) {
    const auto size = bytes.evaluate(known);
    if (!size) {
      refuse(code::bad_manifest,
             "The size of scratch `" + called +
                 "` cannot be evaluated: " + size.error().what,
             no_launch);
      continue;
    }
    if (size.value() < 0 || size.value() > most_scratch_bytes) {
      refuse(code::launch_refused,
             "Scratch `" + called + "` has " + std::to_string(size.value()) +
                 " bytes (`" + bytes.text() + "`); from 0 to 4 GiB can be had.",
             no_launch);
      continue;
    }
    buffer memory;
    memory.name = called;
    memory.use = role::scratch;
    memory.elements = size.value();
    made.asked.buffers.push_back(std::move(memory));
  }

  for (std::size_t at = 0; at < wanted.launches.size(); ++at) {
    const launch_text& text = wanted.launches[at];
    const kernel_image& kernel = compiled.kernels[at];
    launch ready;
    ready.entry = kernel.lowered;
    const std::size_t refused_before = made.refused.size();

    const auto value_of = [&](const expression& each, std::string_view what)
        -> std::optional<std::int64_t> {
      const auto value = each.evaluate(known);
      if (value) return value.value();
      refuse(code::bad_manifest,
             "`" + std::string(what) + "` of `" + text.entry +
                 "` cannot be evaluated: " + value.error().what,
             at);
      return std::nullopt;
    };
    const auto extents_of = [&](const std::vector<expression>& texts,
                                std::string_view what, const extent& most,
                                extent& into) {
      if (texts.empty() || texts.size() > 3) {
        refuse(code::bad_manifest,
               "`" + std::string(what) + "` of `" + text.entry +
                   "` has not one to three entries.",
               at);
        return;
      }
      const std::array<std::int64_t*, 3> to{&into.x, &into.y, &into.z};
      const std::array<std::int64_t, 3> limit{most.x, most.y, most.z};
      for (std::size_t axis = 0; axis < texts.size(); ++axis) {
        const auto value = value_of(texts[axis], what);
        if (!value) continue;
        *to[axis] = *value;
        if (*value >= 1 && *value <= limit[axis]) continue;
        refuse(code::launch_refused,
               "`" + std::string(what) + "` of `" + text.entry + "` has " +
                   std::to_string(*value) + " in " + "xyz"[axis] + " (`" +
                   texts[axis].text() + "`); an H100 takes 1 to " +
                   std::to_string(limit[axis]) + ".",
               at);
      }
    };
    extents_of(text.grid, "grid", h100::most_grid, ready.grid);
    extents_of(text.block, "block", h100::most_block, ready.block);
    const auto shared = value_of(text.shared_bytes, "shared_bytes");

    if (made.refused.size() == refused_before) {
      const std::int64_t threads = ready.block.count();
      if (threads > h100::most_threads)
        refuse(code::launch_refused,
               "A block of `" + text.entry + "` has " +
                   std::to_string(threads) + " threads; an H100 takes 1024.",
               at);
      else if (kernel.registers) {
        // Warps are given registers four at a time, 256 a step.
        const std::int64_t warps = (threads + 127) / 128 * 4;
        const std::int64_t of_warp = (*kernel.registers * 32 + 255) / 256 * 256;
        if (warps * of_warp > h100::registers)
          refuse(code::launch_refused,
                 "A block of `" + text.entry + "` with " +
                     std::to_string(threads) + " threads of " +
                     std::to_string(*kernel.registers) +
                     " registers needs more than the 65536 of an SM.",
                 at);
      }
    }
    if (shared) {
      ready.shared_bytes = *shared;
      const std::int64_t fixed = kernel.static_shared.value_or(0);
      if (*shared < 0 || *shared > h100::most_shared - fixed)
        refuse(code::launch_refused,
               "`shared_bytes` of `" + text.entry + "` is " +
                   std::to_string(*shared) + " (`" + text.shared_bytes.text() +
                   "`)" +
                   (fixed > 0 ? " beside " + std::to_string(fixed) +
                                    " static bytes"
                              : std::string()) +
                   "; an H100 has 0 to 232448 for a block.",
               at);
    }

    for (const std::string& called : text.args) {
      kernel_argument ready_argument;
      ready_argument.name = called;
      const auto is_called = [&](const auto& pair) {
        return pair.first == called;
      };
      const auto memory = std::find_if(
          made.asked.buffers.begin(), made.asked.buffers.end(),
          [&](const buffer& each) { return each.name == called; });
      const auto integer =
          std::find_if(of.integers.begin(), of.integers.end(), is_called);
      const auto real =
          std::find_if(of.reals.begin(), of.reals.end(), is_called);
      if (memory != made.asked.buffers.end()) {
        ready_argument.value = memory - made.asked.buffers.begin();
      } else if (integer != of.integers.end()) {
        ready_argument.kind = kernel_argument::type::integer;
        ready_argument.value = integer->second;
      } else if (real != of.reals.end()) {
        ready_argument.kind = kernel_argument::type::real;
        ready_argument.real = real->second;
      } else if (!std::any_of(wanted.scratch.begin(), wanted.scratch.end(),
                              is_called)) {  // else its size was refused
        refuse(code::bad_manifest,
               "`args` of `" + text.entry + "` names `" + called +
                   "`, which is neither of the task nor scratch.",
               at);
      }
      ready.args.push_back(std::move(ready_argument));
    }
    made.asked.launches.push_back(std::move(ready));
  }
  return made;
}

// ---- judging one case -----------------------------------------------------

// A wrong output of a case in one sentence; nothing if it agrees.
struct output_verdict {
  agreement seen;
  std::optional<finding> wrong;
};

[[nodiscard]] inline result<output_verdict> judge_output(
    const family& asked, const test_case& of, const argument& output,
    element type, std::uint64_t seed, std::span<const std::byte> bytes,
    reference_cache* cache) {
  const auto shape = shape_of(output, of);
  if (!shape) return shape.error();
  const std::int64_t elements = shape.value().elements;
  if (bytes.size() != static_cast<std::size_t>(elements) * size_of(type))
    return fault{reason::child_protocol,
                 "the device gave " + std::to_string(bytes.size()) +
                     " bytes for output `" + output.name + "` of " +
                     std::to_string(elements) + " elements"};

  output_verdict told;
  std::vector<double> actual;
  double first_expected = 0, first_actual = 0, first_bound = 0;
  const auto walked = each_block(
      asked, of, output, type, seed, cache,
      [&](std::int64_t first, std::span<const double> expected,
          std::span<const double> bound) -> result<done> {
        actual.resize(expected.size());
        decode(type,
               bytes.subspan(static_cast<std::size_t>(first) * size_of(type)),
               actual);
        const auto seen = compare(expected, actual, bound, type);
        if (!seen) return seen.error();
        if (!told.seen.first_wrong && seen.value().first_wrong) {
          const auto i = static_cast<std::size_t>(*seen.value().first_wrong);
          first_expected = expected[i];
          first_actual = actual[i];
          first_bound = bound[i];
        }
        told.seen.add(seen.value(), first);
        return done{};
      });
  if (!walked)
    return fault{walked.error().why, "the reference of `" + asked.name +
                                         "`, case `" + of.name + "`, " +
                                         std::string(name(type)) + ": " +
                                         walked.error().what};
  if (told.seen.wrong == 0) return told;

  using check_words::number;
  finding why;
  why.kind = code::wrong_value;
  why.element_type = name(type);
  why.test_case = of.name;
  why.tensor = output.name;
  why.index = told.seen.first_wrong;
  why.count = told.seen.wrong;
  why.what =
      output.name + check_words::place(shape.value(), *told.seen.first_wrong) +
      " (element " + std::to_string(*told.seen.first_wrong) + ") is " +
      number(first_actual) + ", expected " + number(first_expected) +
      " within " + number(first_bound) + "; " +
      std::to_string(told.seen.wrong) + " of " +
      std::to_string(told.seen.compared) + " elements are wrong";
  if (told.seen.worst_share > 1.0)
    why.what += ", the worst by " + number(told.seen.worst_share) +
                " times its bound";
  why.what += ".";
  told.wrong = std::move(why);
  return told;
}

struct case_verdict {
  case_agreement told;
  std::vector<finding> findings;
  counters counted;
  double cpu_seconds = 0.0;
  std::optional<fault> unjudged;
};

// The outcome that the findings of a case leave it at.
[[nodiscard]] inline outcome reached_by(std::span<const finding> findings) {
  outcome reached = outcome::correct;
  for (const finding& each : findings) {
    if (each.weight == severity::fails)
      reached = std::min(reached, outcome_of(each.kind));
    if (each.weight == severity::cheats)
      reached = std::min(reached, outcome::cheats);
  }
  return reached;
}

// Such a fault of a device leaves a candidate unjudged; any other is trouble.
[[nodiscard]] constexpr bool leaves_unjudged(reason why) noexcept {
  return why == reason::not_supported || why == reason::too_slow ||
         why == reason::too_large;
}

[[nodiscard]] inline std::size_t elements_of(const run_report& report) {
  std::size_t bytes = 0;
  for (const output_bytes& each : report.outputs) bytes += each.bytes.size();
  return bytes / 2;
}

// The same case with another order of CTAs and warps, other addresses and other
// poison. Within the bound but with other bits is a note; anything worse fails.
[[nodiscard]] inline result<std::optional<finding>> run_again(
    const job& first, const run_report& seen, const family& asked,
    const test_case& of, element type, device& on, std::uint64_t seed,
    reference_cache* cache) {
  constexpr const char* otherwise =
      "in a second run, with another order of CTAs and warps, other addresses "
      "and other poison: ";
  job second = first;
  second.seed = mix(first.seed, "again");
  auto ran = on.run(second);
  if (!ran) {
    if (!leaves_unjudged(ran.error().why)) return ran.error();
    return std::optional<finding>();
  }
  for (finding& each : ran.value().findings)
    if (each.weight == severity::fails) {
      each.what.insert(0, otherwise);
      return std::optional<finding>(std::move(each));
    }
  std::optional<finding> note;
  for (const output_bytes& each : ran.value().outputs)
    for (const output_bytes& before : seen.outputs) {
      if (each.buffer != before.buffer || each.bytes == before.bytes) continue;
      const std::string& name =
          first.buffers[static_cast<std::size_t>(each.buffer)].name;
      for (const argument& output : asked.arguments) {
        if (output.name != name) continue;
        auto verdict =
            judge_output(asked, of, output, type, seed,
                         std::as_bytes(std::span(each.bytes)), cache);
        if (!verdict) return verdict.error();
        if (verdict.value().wrong) {
          verdict.value().wrong->what.insert(0, otherwise);
          return std::optional<finding>(std::move(*verdict.value().wrong));
        }
      }
      note.emplace();
      note->kind = code::not_reproducible;
      note->weight = severity::note;
      note->tensor = name;
      note->what = name +
                   " has other bits when CTAs and warps run in another order; "
                   "every element is within its bound both times.";
    }
  return note;
}

[[nodiscard]] inline result<case_verdict> check_case(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, const test_case& of, element type, device& on,
    std::uint64_t seed, reference_cache* cache) {
  case_verdict made;
  made.told.test_case = of.name;
  made.told.element_type = name(type);

  auto planned = plan_case(from, chosen, compiled, asked, of, type, seed);
  if (!planned) return planned.error();
  if (!planned.value().refused.empty()) {
    made.findings = std::move(planned.value().refused);
    made.told.reached = reached_by(made.findings);
    return made;
  }
  const job& todo = planned.value().asked;

  auto ran = on.run(todo);
  if (!ran) {
    if (!leaves_unjudged(ran.error().why)) return ran.error();
    made.unjudged = ran.error();
    made.told.reached = outcome::unjudged;
    return made;
  }
  const run_report& report = ran.value();
  made.counted = report.counted;
  made.cpu_seconds = report.cpu_seconds;
  made.told.warp_instructions = report.counted.warp_instructions;
  made.told.global_load_sectors = report.counted.global_load_sectors;
  made.told.global_store_sectors = report.counted.global_store_sectors;
  made.findings = report.findings;
  for (finding& each : made.findings) {
    each.test_case = of.name;
    each.element_type = name(type);
  }
  made.told.reached = reached_by(made.findings);
  // After a fault the launch was cut short: its outputs say nothing.
  if (made.told.reached < outcome::wrong) return made;

  for (const argument& output : asked.arguments) {
    if (output.kind != argument::type::output) continue;
    const auto given = std::find_if(
        report.outputs.begin(), report.outputs.end(),
        [&](const output_bytes& each) {
          return each.buffer >= 0 &&
                 each.buffer < static_cast<std::int64_t>(todo.buffers.size()) &&
                 todo.buffers[static_cast<std::size_t>(each.buffer)].name ==
                     output.name;
        });
    if (given == report.outputs.end())
      return fault{reason::child_protocol,
                   "the device gave no bytes for output `" + output.name + "`"};
    auto verdict = judge_output(asked, of, output, type, seed,
                                std::as_bytes(std::span(given->bytes)), cache);
    if (!verdict) return verdict.error();
    const agreement& seen = verdict.value().seen;
    made.told.compared += seen.compared;
    made.told.wrong += seen.wrong;
    made.told.worst_share = std::max(made.told.worst_share, seen.worst_share);
    if (!verdict.value().wrong) continue;

    // Elements that were never written, or are undefined, are told already.
    std::uint64_t told_already = 0;
    for (const finding& each : made.findings)
      if (each.weight == severity::fails && each.tensor == output.name &&
          (each.kind == code::unwritten_output ||
           each.kind == code::undefined_output))
        told_already += each.count;
    if (seen.wrong > told_already)
      made.findings.push_back(std::move(*verdict.value().wrong));
  }
  made.told.reached = reached_by(made.findings);
  if (made.told.reached < outcome::cheats || elements_of(report) > most_repeated)
    return made;
  const auto again = run_again(todo, report, asked, of, type, on, seed, cache);
  if (!again) return again.error();
  if (again.value()) {
    made.findings.push_back(*again.value());
    made.findings.back().test_case = of.name;
    made.findings.back().element_type = name(type);
    made.told.reached = reached_by(made.findings);
  }
  return made;
}

// ---- judging all cases ----------------------------------------------------

[[nodiscard]] inline result<std::vector<const test_case*>> smallest_first(
    const family& asked, const std::vector<test_case>& cases) {
  std::vector<std::pair<std::int64_t, const test_case*>> sized;
  for (const test_case& each : cases) {
    std::int64_t elements = 0;
    for (const argument& output : asked.arguments) {
      if (output.kind != argument::type::output) continue;
      const auto shape = shape_of(output, each);
      if (!shape) return shape.error();
      elements += shape.value().elements;
    }
    sized.emplace_back(elements, &each);
  }
  std::stable_sort(sized.begin(), sized.end(), [](const auto& a, const auto& b) {
    return a.first < b.first;
  });
  std::vector<const test_case*> made;
  for (const auto& each : sized) made.push_back(each.second);
  return made;
}

[[nodiscard]] inline result<checked> check(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, element type, device& on, std::uint64_t seed,
    reference_cache* cache = nullptr) {
  auto hidden = hidden_cases(asked, seed);
  if (!hidden) return hidden.error();
  std::vector<test_case> all = asked.cases;
  std::move(hidden.value().begin(), hidden.value().end(),
            std::back_inserter(all));
  const auto cases = smallest_first(asked, all);
  if (!cases) return cases.error();
  if (cases.value().empty())
    return fault{reason::bad_argument,
                 "the family `" + asked.name + "` has no cases"};

  checked made;
  const auto loaded = on.load(compiled.ptx);
  if (!loaded) {
    if (!leaves_unjudged(loaded.error().why)) return loaded.error();
    made.unjudged_why = loaded.error().what;
    made.reason = loaded.error().what;
    made.not_run = cases.value().size();
    return made;
  }

  int failed = 0, slow = 0;
  for (const test_case* of : cases.value()) {
    if (failed == most_failures || slow == most_failures) {
      ++made.not_run;
      continue;
    }
    auto judged = check_case(from, chosen, compiled, asked, *of, type, on, seed,
                             cache);
    if (!judged) return judged.error();
    case_verdict& verdict = judged.value();
    const outcome reached = verdict.told.reached;
    if (verdict.unjudged) {
      if (verdict.unjudged->why == reason::too_slow) ++slow;
      if (!made.unjudged_why)
        made.unjudged_why =
            "case `" + of->name + "`: " + verdict.unjudged->what;
    } else if (reached < outcome::cheats) {
      ++failed;
    }
    for (finding& each : verdict.findings) {
      const auto same = std::find_if(
          made.findings.begin(), made.findings.end(), [&](const finding& old) {
            return each.weight == severity::note && old.weight == each.weight &&
                   old.kind == each.kind && old.what == each.what &&
                   old.kernel == each.kernel && old.tensor == each.tensor;
          });
      if (same != made.findings.end())
        same->count += each.count;
      else
        made.findings.push_back(std::move(each));
    }
    made.counted.warp_instructions += verdict.counted.warp_instructions;
    made.counted.thread_instructions += verdict.counted.thread_instructions;
    made.counted.global_load_sectors += verdict.counted.global_load_sectors;
    made.counted.global_store_sectors += verdict.counted.global_store_sectors;
    made.counted.barriers += verdict.counted.barriers;
    made.cpu_seconds += verdict.cpu_seconds;
    made.cases.push_back(std::move(verdict.told));
  }

  // The lowest rung that a case was left at; a case unjudged stands between
  // what failed and what did not.
  outcome lowest = outcome::correct;
  for (const case_agreement& each : made.cases)
    if (each.reached != outcome::unjudged)
      lowest = std::min(lowest, each.reached);
  if (lowest < outcome::cheats)
    made.reached = lowest;
  else
    made.reached = made.unjudged_why ? outcome::unjudged : lowest;

  if (made.reached == outcome::correct) return made;
  if (made.reached == outcome::unjudged) {
    made.reason = *made.unjudged_why;
  } else {
    for (const finding& each : made.findings) {
      const outcome stops = each.weight == severity::cheats
                                ? outcome::cheats
                                : outcome_of(each.kind);
      if (each.weight == severity::note || stops != made.reached) continue;
      made.reason = "case `" + each.test_case + "` in " + each.element_type +
                    ": " + each.what;
      break;
    }
  }
  if (made.not_run > 0) {
    if (!made.reason.empty() && made.reason.back() == '.')
      made.reason.pop_back();
    made.reason += "; " + std::to_string(made.not_run) + " of " +
                   std::to_string(cases.value().size()) +
                   " cases were not run after " +
                   std::to_string(most_failures) +
                   (failed == most_failures ? " that failed."
                                            : " that were too slow.");
  }
  return made;
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
