#pragma once
// tune_kernel.hpp: which setting of a candidate's tunables is the fastest.
//
// Layer   6. Knows no strategy: it tries settings, and a search asks it to.
// Trial   a setting is compiled, checked on the smallest public cases and on
//         the one that is timed, and only then timed. What fails is told with
//         the rung that it failed at and why; it has no time.
// Time    of a device that measures: by samples. A setting whose few first ones
//         are all beyond twice the best is not timed further, and one that is
//         faster than the best is timed again, and its slower time counts. Else
//         predicted from exact counters (predict.hpp). Over several element
//         types it is the geometric mean.
// Winner  confirm() judges a setting as `check` would, every case of every
//         element type, hidden ones included. A setting that was fast and fails
//         there is no winner; the next best is asked. compare_settings() says
//         how many times as fast one is as another: of timed calls that go A B B
//         A, so that a drift falls out, or of two predictions, which are exact
//         for their model.
// Errors  A fault is trouble of ours; what the device cannot do, or a device
//         that dies under a kernel, is a failed trial.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/check.hpp>
#include <skillbench/compile.hpp>
#include <skillbench/device.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/h100.hpp>
#include <skillbench/kernel_trial.hpp>
#include <skillbench/launches.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/occupancy.hpp>
#include <skillbench/predict.hpp>
#include <skillbench/record.hpp>
#include <skillbench/time.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/tuning.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

using predictor = prediction (*)(const launch_facts&);

// Of the best setting so far, in each element type; 0: none yet.
using best_so_far = std::array<std::atomic<double>, std::size(all_elements)>;

struct kernel_tuning {
  const candidate* asked = nullptr;
  const family* of = nullptr;
  std::vector<element> types;   // at least one
  std::string test_case;        // that is timed; a public one
  std::uint64_t seed = 1;
  predictor predict = predict_h100;
  bool cold = true;             // where it is measured
};

// The public case with the largest outputs; "" without public cases.
[[nodiscard]] inline result<std::string> case_to_time(const family& of) {
  const auto sorted = smallest_first(of, of.cases);
  if (!sorted) return sorted.error();
  return sorted.value().empty() ? std::string() : sorted.value().back()->name;
}

namespace tuning {

inline constexpr std::size_t quick_cases = 3;

// Rounds of two samples each for a first look, and limits for all of a trial and
// for a comparison of two settings.
inline constexpr stopping first_look{3, 3, 0, 1};
inline constexpr stopping of_trial{10, 60, 0.01, 1};
inline constexpr stopping of_comparison{20, 200, 0.003, 5};
inline constexpr double hopeless = 2;  // times the best

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

// A value as JSON writes it where nothing has to be escaped.
[[nodiscard]] inline std::string json_word(const tuning_value& it) {
  const bool quoted = std::holds_alternative<std::string>(it);
  return quoted ? '"' + text_of(it) + '"' : text_of(it);
}

// The bracket that ends a list of values, strings left out.
[[nodiscard]] inline std::size_t list_end(std::string_view source,
                                          std::size_t at) {
  bool quoted = false;
  for (; at < source.size(); ++at) {
    if (source[at] == '"') quoted = !quoted;
    if (quoted && source[at] == '\\') ++at;
    if (!quoted && source[at] == ']') return at;
  }
  return source.npos;
}

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

[[nodiscard]] inline measuring measuring_of(const kernel_tuning& how,
                                            const stopping& limits) {
  measuring made;
  made.cold = how.cold;
  made.limits = limits;
  made.metrics.clear();
  return made;
}

// For geometric means over element types, of nanoseconds.
struct logarithms {
  double time = 0, limit = 0;
  bool no_limit = false;

  void add(double took, double least) {
    time += std::log(std::max(took, 1e-3));
    if (least > 0)
      limit += std::log(least);
    else
      no_limit = true;
  }
};

// Samples of one setting, or of two that are held against each other. What a
// timed call gets wrong fails the trial, which gives nothing.
[[nodiscard]] inline std::optional<timed_case> sampled(
    kernel_trial& told, const kernel_tuning& how, const built& ours,
    const built& other, element type, device& on, std::uint64_t seed,
    const stopping& limits) {
  const test_case* const of = find_case(*how.of, how.test_case);
  timed seen = time_case(ours, other, *how.of, *of, type, on, seed,
                         measuring_of(how, limits));
  for (const finding& each : seen.findings) {
    if (each.weight == severity::note) continue;
    fail(told, name(each.weight == severity::cheats ? outcome::cheats
                                                    : outcome_of(each.kind)),
         each.what);
    return std::nullopt;
  }
  if (!seen.told.why_not.empty() || candidate_time(seen.told).count == 0) {
    fail(told, name(outcome::unjudged),
         seen.told.why_not.empty() ? "nothing was timed" : seen.told.why_not);
    return std::nullopt;
  }
  told.clock =
      seen.told.fake ? trial_clock::stand_in : trial_clock::measured;
  return std::move(seen.told);
}

// Adds what a case was measured to take; false when the trial has failed.
[[nodiscard]] inline bool add_measured(kernel_trial& told,
                                       const kernel_tuning& how,
                                       const image& made, element type,
                                       device& on, best_so_far& best,
                                       logarithms& sums) {
  std::atomic<double>& least = best[static_cast<std::size_t>(type)];
  const built ours{how.asked, &told.chosen, &made};
  auto seen = sampled(told, how, ours, {}, type, on, how.seed, first_look);
  if (!seen) return false;
  const double known = least;
  told.cut = told.cut ||
             (known > 0 && candidate_time(*seen).least > hopeless * known);
  if (!told.cut) {
    seen = sampled(told, how, ours, {}, type, on, how.seed + 1, of_trial);
    if (!seen) return false;
  }
  double time = candidate_time(*seen).median;
  if (!told.cut && (known == 0 || time < known)) {
    const auto again =
        sampled(told, how, ours, {}, type, on, how.seed + 2, of_trial);
    if (!again) return false;
    time = std::max(time, candidate_time(*again).median);
  }
  for (double before = least; (before == 0 || time < before) &&
                              !least.compare_exchange_weak(before, time);) {
  }
  for (const kernel_image& each : made.kernels)
    told.registers = std::max(told.registers, each.registers.value_or(0));
  sums.add(time, seen->floor);
  return true;
}

// Adds what the launches of a case are predicted to take; false when the trial
// has failed.
[[nodiscard]] inline result<bool> add_time(kernel_trial& told,
                                           const kernel_tuning& how,
                                           const image& made, element type,
                                           device& on, logarithms& sums) {
  const test_case* const timed = find_case(*how.of, how.test_case);
  if (timed == nullptr)
    return fault{reason::bad_argument, how.of->name + " has no public case `" +
                                           how.test_case + "`"};
  auto planned = plan_case(*how.asked, told.chosen, made, *how.of, *timed, type,
                           how.seed);
  if (!planned) return planned.error();
  job& todo = planned.value().asked;
  todo.counters = true;
  const traffic moved = traffic_of(todo);
  bindings known(timed->integers.begin(), timed->integers.end());
  known.emplace_back("sizeof_T", static_cast<std::int64_t>(size_of(type)));
  const auto operations = how.of->operations.evaluate(known);
  const double limit =
      floor_of(moved.read, moved.written,
               operations ? static_cast<double>(operations.value()) : 0,
               h100_rates(), true);
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
  sums.add(sum, limit);
  return true;
}

// The three below give false when the trial has failed. A clock runs while each
// does and not longer: what it counts is in the trial before that is returned.
[[nodiscard]] inline result<bool> compile_all(kernel_trial& told,
                                              const kernel_tuning& how,
                                              device& on,
                                              std::vector<image>& images) {
  const stopwatch watch(told.compile_seconds);
  for (const element type : how.types) {
    const double before = on.cpu_used();
    auto made = on.compile(plan_compile(*how.asked, told.chosen, type));
    if (!made) {
      if (!story::is_compile_limit(made.error().why) ||
          story::only_waited(made.error().why, on, before))
        return made.error();
      fail(told, name(outcome::does_not_compile),
           "the compiler was stopped: " + made.error().what);
      return false;
    }
    if (!made.value().ok) {
      const auto why = compile_findings(made.value(), type);
      fail(told, name(outcome::does_not_compile),
           why.empty() ? "" : why.front().what);
      return false;
    }
    images.push_back(std::move(made).value());
  }
  return true;
}

// What compiling alone tells: a CTA whose registers are more than an SM has can
// be launched nowhere, so it need not be run to find that out.
[[nodiscard]] inline result<bool> has_registers(kernel_trial& told,
                                                const kernel_tuning& how,
                                                const image& made,
                                                element type) {
  const test_case* const timed = find_case(*how.of, how.test_case);
  if (timed == nullptr) return true;  // add_time() says so
  const auto planned = plan_case(*how.asked, told.chosen, made, *how.of, *timed,
                                 type, how.seed);
  if (!planned) return planned.error();
  for (const auto& each : planned.value().asked.launches)
    for (const kernel_image& kernel : made.kernels) {
      const extent& block = each.block;
      const std::int64_t most = h100::most_threads;
      if (block.x > most || block.y > most || block.z > most) continue;
      const std::int64_t threads = block.count();
      const int registers = kernel.registers.value_or(0);
      if (kernel.lowered != each.entry || threads > most ||
          occupancy_of({threads, registers, 0}).ctas > 0)
        continue;
      told.registers = std::max(told.registers, registers);
      fail(told, "does_not_fit",
           "not one CTA of " + each.entry + " fits on an SM: " +
               std::to_string(threads) + " threads of " +
               std::to_string(registers) + " registers");
      return false;
    }
  return true;
}

[[nodiscard]] inline result<bool> check_and_time(
    kernel_trial& told, const kernel_tuning& how, const family& few,
    const std::vector<image>& images, device& on, best_so_far& best,
    logarithms& sums, reference_cache* references) {
  const stopwatch watch(told.check_seconds);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto fits = has_registers(told, how, images[i], how.types[i]);
    if (!fits || !fits.value()) return fits;
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    const element type = how.types[i];
    auto seen = check(*how.asked, told.chosen, images[i], few, type, on,
                      how.seed, references);
    if (!seen) {
      if (!story::is_run_limit(seen.error().why)) return seen.error();
      fail(told, name(outcome::unjudged), seen.error().what);
      return false;
    }
    if (seen.value().reached != outcome::correct) {
      fail(told, name(seen.value().reached), seen.value().reason);
      return false;
    }
    if (on.measures()) {
      if (!add_measured(told, how, images[i], type, on, best, sums))
        return false;
      continue;
    }
    const auto timed = add_time(told, how, images[i], type, on, sums);
    if (!timed || !timed.value()) return timed;
  }
  return true;
}

}  // namespace tuning

// Compile, check, time: a setting to a trial.
[[nodiscard]] inline result<kernel_trial> try_setting(
    const kernel_tuning& how, const setting& chosen, device& on,
    best_so_far& best, reference_cache* references = nullptr) {
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

  // All of it is compiled before any of it runs: a device of a GPU holds that
  // from the first run on.
  std::vector<image> images;
  const auto compiled = tuning::compile_all(told, how, on, images);
  if (!compiled) return compiled.error();
  if (!compiled.value()) return told;
  tuning::logarithms sums;
  const auto timed =
      tuning::check_and_time(told, how, few.value(), images, on, best, sums,
                             references);
  if (!timed) return timed.error();
  if (!timed.value()) return told;
  const auto types = static_cast<double>(how.types.size());
  told.nanoseconds = std::exp(sums.time / types);
  told.limit = sums.no_limit ? 0 : std::exp(sums.limit / types);
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

// How many times as fast `a` is as `b`, both correct trials; nothing when it
// cannot be had, which fails the one that is to blame.
[[nodiscard]] inline result<std::optional<tuned_ratio>> compare_settings(
    kernel_trial& a, kernel_trial& b, const kernel_tuning& how, device& on) {
  if (a.clock == trial_clock::predicted)
    return std::optional(tuned_ratio{*b.nanoseconds / *a.nanoseconds, {}, {}});
  tuned_ratio all;
  double sum = 0, low = 0, high = 0;
  for (const element type : how.types) {
    auto ours = on.compile(plan_compile(*how.asked, a.chosen, type));
    if (!ours) return ours.error();
    auto theirs = on.compile(plan_compile(*how.asked, b.chosen, type));
    if (!theirs) return theirs.error();
    // A device that times has loaded something before.
    if (const auto loaded = on.load_image(ours.value()); !loaded)
      return loaded.error();
    // What is no finding of `a` (no memory for both, a fault of `b`) says
    // nothing of it.
    kernel_trial tried = a;
    const auto seen = tuning::sampled(
        tried, how, {how.asked, &a.chosen, &ours.value()},
        {how.asked, &b.chosen, &theirs.value()}, type, on, how.seed + 3,
        tuning::of_comparison);
    if (!seen && tried.outcome != name(outcome::unjudged)) a = tried;
    const centre ratio = seen ? speed_ratio(*seen) : centre{};
    if (ratio.count == 0 || !(ratio.low > 0))
      return std::optional<tuned_ratio>();
    sum += std::log(ratio.median);
    low += std::log(ratio.low);
    high += std::log(ratio.high);
  }
  // The mean of the ends: no narrower than the interval of the mean.
  const auto types = static_cast<double>(how.types.size());
  return std::optional(tuned_ratio{std::exp(sum / types), std::exp(low / types),
                                   std::exp(high / types)});
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
    const auto no = [&, &tunable = name] {
      return fault{reason::bad_input,
                   "the list of the tunable `" + tunable +
                       "` is not where the manifest's \"tune\" should have it"};
    };
    if (open == source.npos) return no();
    skip();
    if (open >= source.size() || source[open] != ':') return no();
    ++open;
    skip();
    const std::size_t close = tuning::list_end(source, open);
    if (open >= source.size() || source[open] != '[' || close == source.npos)
      return no();
    // Strings may hold commas, brackets and blanks.
    std::vector<std::string> words;
    std::string word;
    char quote = 0;
    for (std::size_t i = open + 1; i <= close; ++i) {
      const char c = source[i];
      if (quote != 0) {
        word += c;
        if (c == '\\' && i + 1 < close) word += source[++i];
        if (c == quote) quote = 0;
      } else if (c == ',' || i == close) {
        words.push_back(word);
        word.clear();
      } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
        word += c;
        if (c == '"') quote = c;
      }
    }
    const auto found =
        std::find(words.begin(), words.end(), tuning::json_word(value));
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
