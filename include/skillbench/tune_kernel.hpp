#pragma once
// tune_kernel.hpp: which setting of a candidate's tunables is the fastest.
//
// Layer   6. Knows no strategy: it tries settings, and a search asks it to.
// Trial   a setting is compiled, checked on the smallest public cases and on
//         the one that is timed, and only then timed. What fails is told with
//         the rung that it failed at and why; it has no time.
// Time    predicted from exact counters (predict.hpp), never measured: a device
//         of layer 4 runs no GPU. Over several element types it is the
//         geometric mean.
// Winner  confirm() judges a setting as `check` would, every case of every
//         element type, hidden ones included. A setting that was fast and fails
//         there is no winner; the next best is asked.
// Errors  A fault is trouble of ours; what the device cannot do, or a device
//         that dies under a kernel, is a failed trial.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/check.hpp>
#include <skillbench/compile.hpp>
#include <skillbench/device.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/kernel_trial.hpp>
#include <skillbench/launches.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/predict.hpp>
#include <skillbench/record.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

using predictor = prediction (*)(const launch_facts&);

struct kernel_tuning {
  const candidate* asked = nullptr;
  const family* of = nullptr;
  std::vector<element> types;   // at least one
  std::string test_case;        // that is timed; a public one
  std::uint64_t seed = 1;
  predictor predict = predict_h100;
};

// The public case with the largest outputs; "" without public cases.
[[nodiscard]] inline result<std::string> case_to_time(const family& of) {
  const auto sorted = smallest_first(of, of.cases);
  if (!sorted) return sorted.error();
  return sorted.value().empty() ? std::string() : sorted.value().back()->name;
}

namespace tuning {

inline constexpr std::size_t quick_cases = 3;

// The family with a few cases: the smallest, and the one that is timed.
[[nodiscard]] inline result<family> quick(const kernel_tuning& how) {
  const auto sorted = smallest_first(*how.of, how.of->cases);
  if (!sorted) return sorted.error();
  family made = *how.of;
  made.cases.clear();
  made.overflow.clear();
  made.hidden.count = 0;
  for (const test_case* each : sorted.value())
    if (made.cases.size() < quick_cases || each->name == how.test_case)
      made.cases.push_back(*each);
  return made;
}

[[nodiscard]] inline const test_case* find_case(const family& of,
                                                std::string_view wanted) {
  for (const test_case& each : of.cases)
    if (each.name == wanted) return &each;
  return nullptr;
}

class stopwatch {
 public:
  explicit stopwatch(double& into) : into_(into), began_(clock::now()) {}
  ~stopwatch() {
    into_ += std::chrono::duration<double>(clock::now() - began_).count();
  }
  stopwatch(const stopwatch&) = delete;
  stopwatch& operator=(const stopwatch&) = delete;

 private:
  using clock = std::chrono::steady_clock;
  double& into_;
  clock::time_point began_;
};

inline void fail(kernel_trial& told, std::string_view outcome,
                 std::string why) {
  told.outcome = outcome;
  told.reason = std::move(why);
  told.nanoseconds.reset();
}

// Whether the constraints hold for an element type.
[[nodiscard]] inline bool allowed(const manifest& asked, const setting& chosen,
                                  element type) {
  const bindings known = names_of(chosen, type);
  return std::all_of(asked.constraints.begin(), asked.constraints.end(),
                     [&](const expression& each) {
                       const auto holds = each.evaluate(known);
                       return holds && holds.value() != 0;
                     });
}

// Adds what the launches of a case are predicted to take; false when the trial
// has failed.
[[nodiscard]] inline result<bool> add_time(kernel_trial& told,
                                           const kernel_tuning& how,
                                           const image& made, element type,
                                           device& on, double& log_sum) {
  const test_case* const timed = find_case(*how.of, how.test_case);
  if (timed == nullptr)
    return fault{reason::bad_argument, how.of->name + " has no public case `" +
                                           how.test_case + "`"};
  auto planned = plan_case(*how.asked, told.chosen, made, *how.of, *timed, type,
                           how.seed);
  if (!planned) return planned.error();
  job& todo = planned.value().asked;
  todo.counters = true;
  auto report = on.run(todo);
  if (!report) {
    if (!story::is_run_limit(report.error().why)) return report.error();
    fail(told, name(outcome::unjudged), report.error().what);
    return false;
  }
  const auto& counted = report.value().launches;
  if (counted.empty() || counted.size() != todo.launches.size())
    return fault{reason::not_supported, "the device does not count"};
  double sum = 0, longest = 0;
  for (std::size_t i = 0; i < counted.size(); ++i) {
    // Launches that expressions make empty are left out of a plan, so the
    // kernel is found by its name.
    const kernel_image* kernel = nullptr;
    for (const kernel_image& each : made.kernels)
      if (each.lowered == todo.launches[i].entry) kernel = &each;
    launch_facts facts;
    facts.grid = todo.launches[i].grid;
    facts.block = todo.launches[i].block;
    facts.shared_bytes = todo.launches[i].shared_bytes;
    facts.counted = &counted[i];
    if (kernel != nullptr) {
      facts.shared_bytes += kernel->static_shared.value_or(0);
      facts.registers = kernel->registers.value_or(32);
      told.registers = std::max(told.registers, kernel->registers.value_or(0));
    }
    const prediction guess = how.predict(facts);
    if (!guess.fits()) {
      fail(told, "does_not_fit",
           "not one CTA of " + todo.launches[i].entry + " fits on an SM: " +
               std::to_string(facts.registers) + " registers a thread, " +
               std::to_string(facts.shared_bytes) + " bytes of shared memory");
      return false;
    }
    sum += guess.nanoseconds;
    if (guess.nanoseconds > longest) {
      longest = guess.nanoseconds;
      told.limited_by = name(guess.by);
      told.occupancy = guess.occupancy;
    }
  }
  log_sum += std::log(std::max(sum, 1e-3));
  return true;
}

}  // namespace tuning

// Compile, check, predict: a setting to a trial.
[[nodiscard]] inline result<kernel_trial> try_setting(
    const kernel_tuning& how, const setting& chosen, device& on,
    reference_cache* references = nullptr) {
  kernel_trial told;
  told.chosen = chosen;
  told.outcome = name(outcome::correct);
  auto few = tuning::quick(how);
  if (!few) return few.error();
  for (const element type : how.types)
    if (!tuning::allowed(how.asked->launch, chosen, type)) {
      tuning::fail(told, "constraints",
                   "the constraints exclude it for " + std::string(name(type)));
      return told;
    }

  double log_sum = 0;
  for (const element type : how.types) {
    result<image> made = [&] {
      const tuning::stopwatch watch(told.compile_seconds);
      return on.compile(plan_compile(*how.asked, chosen, type));
    }();
    if (!made) {
      if (!story::is_compile_limit(made.error().why)) return made.error();
      tuning::fail(told, name(outcome::does_not_compile),
                   "the compiler was stopped: " + made.error().what);
      return told;
    }
    if (!made.value().ok) {
      const auto why = story::compile_findings(made.value(), type);
      tuning::fail(told, name(outcome::does_not_compile),
                   why.empty() ? "" : why.front().what);
      return told;
    }
    const tuning::stopwatch watch(told.check_seconds);
    auto seen = check(*how.asked, chosen, made.value(), few.value(), type, on,
                      how.seed, references);
    if (!seen) {
      if (!story::is_run_limit(seen.error().why)) return seen.error();
      tuning::fail(told, name(outcome::unjudged), seen.error().what);
      return told;
    }
    if (seen.value().reached != outcome::correct) {
      tuning::fail(told, name(seen.value().reached), seen.value().reason);
      return told;
    }
    const auto timed =
        tuning::add_time(told, how, made.value(), type, on, log_sum);
    if (!timed) return timed.error();
    if (!timed.value()) return told;
  }
  told.nanoseconds =
      std::exp(log_sum / static_cast<double>(how.types.size()));
  return told;
}

// Judges a setting on every case. What it finds goes into the trial; true when
// the setting is correct.
[[nodiscard]] inline result<bool> confirm(kernel_trial& told,
                                          const kernel_tuning& how, device& on,
                                          reference_cache* references = nullptr) {
  for (const element type : how.types) {
    auto made = on.compile(plan_compile(*how.asked, told.chosen, type));
    if (!made) return made.error();
    auto seen = check(*how.asked, told.chosen, made.value(), *how.of, type, on,
                      how.seed, references);
    if (!seen) {
      if (!story::is_run_limit(seen.error().why)) return seen.error();
      tuning::fail(told, name(outcome::unjudged), seen.error().what);
      return false;
    }
    if (seen.value().reached != outcome::correct) {
      tuning::fail(told, name(seen.value().reached), seen.value().reason);
      return false;
    }
  }
  return true;
}

// The source with each tunable's chosen value first in its list, so that it is
// the default; all else stays as it is, byte for byte.
[[nodiscard]] inline result<std::string> with_defaults(std::string source,
                                                       const setting& chosen) {
  const std::size_t tune = source.find("\"tune\"");
  for (const auto& [name, value] : chosen) {
    const std::string key = '"' + name + '"';
    const std::size_t at =
        tune == source.npos ? source.npos : source.find(key, tune);
    std::size_t open = at == source.npos ? at : at + key.size();
    const auto skip = [&] {
      while (open < source.size() &&
             std::string_view(" \t\r\n").find(source[open]) != std::string::npos)
        ++open;
    };
    const auto no = [&] {
      return fault{reason::bad_input,
                   "the list of the tunable `" + name +
                       "` is not where the manifest's \"tune\" should have it"};
    };
    if (open == source.npos) return no();
    skip();
    if (open >= source.size() || source[open] != ':') return no();
    ++open;
    skip();
    const std::size_t close = source.find(']', open);
    if (open >= source.size() || source[open] != '[' || close == source.npos)
      return no();
    std::vector<std::string> words;
    std::string word;
    for (std::size_t i = open + 1; i <= close; ++i) {
      const char c = source[i];
      if (c == ',' || i == close) {
        words.push_back(word);
        word.clear();
      } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
        word += c;
      }
    }
    const auto found =
        std::find(words.begin(), words.end(), std::to_string(value));
    if (found == words.end()) return no();
    std::rotate(words.begin(), found, found + 1);
    std::string list = "[";
    for (const std::string& each : words)
      list += (list.size() > 1 ? ", " : "") + each;
    source.replace(open, close - open, list);
  }
  return source;
}

}  // namespace skillbench
