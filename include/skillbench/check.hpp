#pragma once
// check.hpp: is a compiled candidate right, on every case of its family?
//
// Layer   5. Runs on any device of layer 4; knows no family by name.
// Units   elements; seconds of CPU time.
// Errors  What is wrong with the candidate is a finding. A device that cannot
//         run a case (not_supported, too_slow, too_large) leaves that case
//         unjudged. Every other fault is handed on: the device broke, or the
//         family contradicts itself.
// Order   Cases run from the smallest to the largest output, so that a kernel
//         that is wrong everywhere costs little. After `most_failures` cases
//         that failed, or one that was too slow (the others are larger, and a
//         kernel that never ends is paid for once), the rest is not run:
//         `reason` and `not_run` say so, `cases` holds those alone that were.
// Source  bounds: bound.hpp; launches: launches.hpp.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/compare.hpp>
#include <skillbench/device.hpp>
#include <skillbench/draw.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/launches.hpp>
#include <skillbench/record.hpp>
#include <skillbench/reference.hpp>

namespace skillbench {

inline constexpr int most_failures = 3;
// Warp instructions for a case of up to so many output elements: many times what
// the most wasteful of honest kernels takes, and what a kernel that never ends may
// cost. Larger cases have the device's own limit.
inline constexpr std::uint64_t most_small_instructions = 200'000'000;
inline constexpr std::int64_t most_small_elements = 65536;
// Outputs up to this size are computed twice, unless a number of schedules is
// asked for: then every case is run that often.
inline constexpr std::size_t most_repeated = 262144;
// Cases that are run together, and the output elements of all of them.
inline constexpr std::size_t most_cases_ahead = 16;
inline constexpr std::int64_t most_ahead_elements = 1 << 20;

struct checked {
  outcome reached = outcome::unjudged;
  std::string reason;                // one sentence; "" for a correct one
  std::vector<finding> findings;     // a note that several cases share is one
  std::vector<case_agreement> cases; // in the order run
  std::optional<std::string> unjudged_why;  // of the first case unjudged
  std::size_t not_run = 0;           // cases left out after `most_failures`
  bool endless = false;              // too slow in a small case
  counters counted;                  // over all cases
  double cpu_seconds = 0.0;          // as the device tells
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

// ---- judging one case -----------------------------------------------------

// A wrong output of a case in one sentence; nothing if it agrees.
struct output_verdict {
  agreement seen;
  std::optional<finding> wrong;
};

// Judges the elements of an output from `begin` on that `bytes` holds.
[[nodiscard]] inline result<output_verdict> judge_part(
    const family& asked, const test_case& of, const argument& output,
    element type, std::uint64_t seed, std::int64_t begin,
    std::span<const std::byte> bytes, reference_cache* cache) {
  const auto shape = shape_of(output, of);
  if (!shape) return shape.error();
  const std::int64_t width = std::max<std::int64_t>(shape.value().width(), 1);
  const std::int64_t end =
      begin + static_cast<std::int64_t>(bytes.size() / size_of(type));
  const bool whole = begin == 0 && end == shape.value().elements;
  const row_range only =
      whole ? row_range{}
            : row_range{begin / width, (end + width - 1) / width};

  output_verdict told;
  std::array<double, 4096> decoded{};  // near the core while it is compared
  double first_expected = 0, first_actual = 0, first_bound = 0;
  const auto walked = each_block(
      asked, of, output, type, seed, cache,
      [&](std::int64_t first, std::span<const double> expected,
          std::span<const double> bound) -> result<done> {
        const std::int64_t from = std::max(first, begin);
        const std::int64_t to = std::min(
            first + static_cast<std::int64_t>(expected.size()), end);
        if (from >= to) return done{};
        for (std::int64_t at = from; at < to;) {
          const auto skip = static_cast<std::size_t>(at - first);
          const std::size_t some = std::min(
              decoded.size(), static_cast<std::size_t>(to - at));
          const auto actual = std::span(decoded).first(some);
          decode(type,
                 bytes.subspan(static_cast<std::size_t>(at - begin) *
                               size_of(type)),
                 actual);
          const auto seen = compare(expected.subspan(skip, some), actual,
                                    bound.subspan(skip, some), type);
          if (!seen) return seen.error();
          if (!told.seen.first_wrong && seen.value().first_wrong) {
            const auto i = static_cast<std::size_t>(*seen.value().first_wrong);
            first_expected = expected[skip + i];
            first_actual = actual[i];
            first_bound = bound[skip + i];
          }
          told.seen.add(seen.value(), at);
          at += static_cast<std::int64_t>(some);
        }
        return done{};
      },
      only);
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
  return judge_part(asked, of, output, type, seed, 0, bytes, cache);
}

struct case_verdict {
  case_agreement told;
  std::vector<finding> findings;
  counters counted;
  double cpu_seconds = 0.0;
  std::optional<fault> unjudged;
  bool endless = false;  // a small case, and too slow
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

// After such a one there is no device any more.
[[nodiscard]] constexpr bool ends_device(reason why) noexcept {
  return why == reason::child_died || why == reason::child_timed_out ||
         why == reason::child_protocol;
}

[[nodiscard]] inline std::int64_t written_by(const job& asked) {  // elements
  std::int64_t written = 0;
  for (const buffer& each : asked.buffers)
    if (comes_back(each.use)) written += each.elements;
  return written;
}

[[nodiscard]] inline std::size_t elements_of(const run_report& report) {
  std::size_t bytes = 0;
  for (const output_bytes& each : report.outputs) bytes += each.bytes.size();
  return bytes / 2;
}

// Runs of the next cases, asked for together (device::run_some), and their plans.
// What was not run by then is run when it is wanted.
class runs_ahead {
 public:
  explicit runs_ahead(device& on) : on_(on) {}

  void fetch(std::span<const job> jobs) {
    known_.clear();
    auto told = on_.run_some(jobs);
    for (std::size_t i = 0; i < std::min(told.size(), jobs.size()); ++i)
      known_.emplace(jobs[i].seed, std::move(told[i]));
  }
  [[nodiscard]] result<run_report> run(const job& asked) {
    if (auto found = known_.extract(asked.seed)) return std::move(found.mapped());
    return on_.run(asked);
  }

  std::map<const test_case*, launch_plan> plans;

 private:
  device& on_;
  std::map<std::uint64_t, result<run_report>> known_;  // by the job's seed
};

// The same case with another order of CTAs and warps, other addresses and other
// poison: the job of run `number`, from 2.
[[nodiscard]] inline job again_of(const job& first, int number,
                                  bool adversarial) {
  job second = first;
  second.only_other_bits = true;
  second.seed = mix(first.seed, "again");
  if (number > 2)
    second.seed = mix(second.seed, static_cast<std::uint64_t>(number));
  if (adversarial) second.schedule = static_cast<std::uint64_t>(number - 1);
  return second;
}

// Within the bound but with other bits is a note; anything worse fails.
[[nodiscard]] inline result<std::optional<finding>> run_again(
    const job& first, const run_report& seen, const family& asked,
    const test_case& of, element type, runs_ahead& on, std::uint64_t seed,
    reference_cache* cache, int number, bool adversarial) {
  const std::string otherwise =
      (number == 2 ? std::string("in a second run")
                   : "in run " + std::to_string(number)) +
      ", with another order of CTAs and warps, other addresses "
      "and other poison: ";
  auto ran = on.run(again_of(first, number, adversarial));
  if (!ran) return fault{ran.error().why, otherwise + ran.error().what};
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
    const family& asked, const test_case& of, element type, runs_ahead& on,
    std::uint64_t seed, reference_cache* cache, int schedules,
    std::int64_t threads = 1) {
  case_verdict made;
  made.told.test_case = of.name;
  made.told.element_type = name(type);

  auto ready = on.plans.extract(&of);
  auto planned =
      ready ? result<launch_plan>(std::move(ready.mapped()))
            : plan_case(from, chosen, compiled, asked, of, type, seed);
  if (!planned) return planned.error();
  if (!planned.value().refused.empty()) {
    made.findings = std::move(planned.value().refused);
    made.told.reached = reached_by(made.findings);
    return made;
  }
  job& todo = planned.value().asked;
  todo.threads = threads;
  const bool small = written_by(todo) <= most_small_elements;
  if (small) todo.most_instructions = most_small_instructions;

  auto ran = on.run(todo);
  if (!ran) {
    if (!leaves_unjudged(ran.error().why)) return ran.error();
    made.unjudged = ran.error();
    made.endless = small && ran.error().why == reason::too_slow;
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
  made.told.schedules = 1;
  const int wanted = schedules > 0 ? schedules
                     : elements_of(report) > most_repeated ? 1
                                                           : 2;
  bool noted = false;
  for (int number = 2; number <= wanted; ++number) {
    if (made.told.reached < outcome::cheats) break;
    const auto again = run_again(todo, report, asked, of, type, on, seed, cache,
                                 number, schedules > 0);
    if (!again && !leaves_unjudged(again.error().why)) return again.error();
    ++made.told.schedules;
    if (!again) {  // as when the first run cannot be: both have to be right
      made.unjudged = again.error();
      made.endless = small && again.error().why == reason::too_slow;
      made.told.reached = outcome::unjudged;
      break;
    }
    if (!again.value()) continue;
    const bool note = again.value()->weight == severity::note;
    if (note && std::exchange(noted, true)) continue;
    made.findings.push_back(*again.value());
    made.findings.back().test_case = of.name;
    made.findings.back().element_type = name(type);
    made.told.reached = reached_by(made.findings);
  }
  return made;
}

// ---- shapes beyond 2^31 elements -------------------------------------------

inline constexpr std::uint64_t most_partial_instructions = 1'000'000;
inline constexpr std::int64_t most_partial_elements = 4 << 20;

// Which CTAs of a huge grid to run, the best choice first: those at both ends and
// around the places where 32-bit indices wrap. Where they have too much to do,
// fewer: the first ones of slices of the grid, the last ones, those of its first
// row, those of its last. Under a causal mask the CTAs of one of these see few
// keys, whichever way a kernel numbers them.
[[nodiscard]] inline std::vector<std::vector<std::int64_t>> partial_choices(
    const extent& grid) {
  const std::int64_t n = grid.count(), row = grid.x;
  std::vector<std::vector<std::int64_t>> choices{
      {0, 1, n / 8, n / 4, n / 2 - 1, n / 2, n / 2 + 1, n / 4 * 3, n - 2,
       n - 1},
      {0, n / 8, n / 4, n / 2, n - row},
      {row - 1, n / 8 - 1, n / 4 - 1, n / 2 - 1, n - 1},
      {0, row / 4, row / 2, row - 1},
      {n - row, n - row / 2, n - 1}};
  for (std::vector<std::int64_t>& picked : choices) {
    std::erase_if(picked, [&](std::int64_t at) { return at < 0 || at >= n; });
    std::sort(picked.begin(), picked.end());
    picked.erase(std::unique(picked.begin(), picked.end()), picked.end());
  }
  return choices;
}

// Runs some CTAs of a shape that is too large to be run whole, and judges what
// they wrote. CTAs that other launches or scratch tie together, or that have too
// much to do each, are not run: a note says so.
[[nodiscard]] inline result<case_verdict> check_overflow(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, const test_case& of, element type, device& on,
    std::uint64_t seed) {
  case_verdict made;
  made.told.test_case = of.name;
  made.told.element_type = name(type);
  const auto say = [&](code kind, severity weight, std::string what) {
    finding each;
    each.kind = kind;
    each.weight = weight;
    each.what = std::move(what);
    each.test_case = of.name;
    each.element_type = name(type);
    made.findings.push_back(std::move(each));
  };
  const auto not_checked = [&](const std::string& why) {
    say(code::size_not_checked, severity::note,
        "shapes beyond 2^31 elements were not checked: " + why);
  };

  if (from.launch.launches.size() != 1 || !from.launch.scratch.empty()) {
    not_checked("several launches or scratch tie the CTAs together");
    return made;
  }
  auto planned = plan_case(from, chosen, compiled, asked, of, type, seed);
  if (!planned) return planned.error();
  if (!planned.value().refused.empty()) {
    made.findings = std::move(planned.value().refused);
    made.told.reached = reached_by(made.findings);
    return made;
  }
  job& todo = planned.value().asked;
  todo.most_instructions = most_partial_instructions;
  result<run_report> ran = fault{reason::too_slow, "no CTA was run"};
  for (auto& choice : partial_choices(todo.launches[0].grid)) {
    todo.ctas = std::move(choice);
    ran = on.run(todo);
    if (ran || ran.error().why != reason::too_slow) break;
  }
  if (!ran) {
    if (!leaves_unjudged(ran.error().why)) return ran.error();
    not_checked(ran.error().what);
    return made;
  }
  for (finding& each : ran.value().findings) {
    each.test_case = of.name;
    each.element_type = name(type);
    made.findings.push_back(std::move(each));
  }
  made.told.reached = reached_by(made.findings);
  if (made.told.reached < outcome::wrong) return made;
  if (ran.value().outputs.empty())
    say(code::unwritten_output, severity::fails,
        "none of the " + std::to_string(todo.ctas.size()) +
            " CTAs that were run, at the ends and within the grid, wrote "
            "anything");

  std::int64_t left = most_partial_elements;
  for (const output_bytes& each : ran.value().outputs) {
    const buffer& tensor = todo.buffers[static_cast<std::size_t>(each.buffer)];
    const argument* output = nullptr;
    for (const argument& one : asked.arguments)
      if (one.name == tensor.name) output = &one;
    if (output == nullptr) continue;
    const auto per = static_cast<std::int64_t>(size_of(type));
    const auto some = std::min(
        left, static_cast<std::int64_t>(each.bytes.size()) / per);
    if (some <= 0) break;
    left -= some;
    auto judged = judge_part(
        asked, of, *output, type, seed, each.first / per,
        std::as_bytes(std::span(each.bytes))
            .first(static_cast<std::size_t>(some * per)),
        nullptr);
    if (!judged) return judged.error();
    made.told.compared += judged.value().seen.compared;
    made.told.wrong += judged.value().seen.wrong;
    made.told.worst_share =
        std::max(made.told.worst_share, judged.value().seen.worst_share);
    if (!judged.value().wrong) continue;
    made.findings.push_back(std::move(*judged.value().wrong));
    break;
  }
  made.told.reached = reached_by(made.findings);
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

// Plans the next cases and has them run together, twice each: not more than
// `most`, and small ones alone. Returns how many.
[[nodiscard]] inline std::size_t look_ahead(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, std::span<const test_case* const> cases, element type,
    std::uint64_t seed, std::int64_t threads, std::size_t most,
    runs_ahead& into) {
  std::vector<job> jobs;
  std::int64_t written = 0;
  std::size_t count = 0;
  for (; count < std::min(most, cases.size()); ++count) {
    auto planned =
        plan_case(from, chosen, compiled, asked, *cases[count], type, seed);
    if (!planned || !planned.value().refused.empty()) break;
    job one = planned.value().asked;
    const std::int64_t more = written_by(one);
    if (more > most_small_elements || written + more > most_ahead_elements)
      break;
    written += more;
    into.plans.insert_or_assign(cases[count], std::move(planned).value());
    one.threads = threads;
    one.most_instructions = most_small_instructions;
    jobs.push_back(again_of(one, 2, false));
    jobs.insert(jobs.end() - 1, std::move(one));
  }
  if (count > 0) into.fetch(jobs);
  return count;
}

[[nodiscard]] inline result<checked> check(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, element type, device& on, std::uint64_t seed,
    reference_cache* cache = nullptr, int schedules = 0,
    std::int64_t threads = 1) {
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
  const auto loaded = on.load_image(compiled);
  if (!loaded) {
    if (!leaves_unjudged(loaded.error().why)) return loaded.error();
    made.unjudged_why = loaded.error().what;
    made.reason = loaded.error().what;
    made.not_run = cases.value().size();
    return made;
  }

  // Shapes of which only a part is run come last.
  std::vector<const test_case*> todo = cases.value();
  for (const test_case& each : asked.overflow) todo.push_back(&each);

  int failed = 0;
  bool slow = false;
  runs_ahead ahead(on);
  std::size_t looked = 0, step = 1;  // cases; a wrong kernel fails in the first
  for (std::size_t i = 0; i < todo.size(); ++i) {
    const test_case* const of = todo[i];
    if (failed == most_failures || slow) {
      ++made.not_run;
      continue;
    }
    if (schedules == 0 && i >= looked && i < cases.value().size()) {
      looked = i + look_ahead(from, chosen, compiled, asked,
                              std::span(cases.value()).subspan(i), type, seed,
                              threads, step, ahead);
      step = std::min(2 * step, most_cases_ahead);
    }
    auto judged = i < cases.value().size()
                      ? check_case(from, chosen, compiled, asked, *of, type,
                                   ahead, seed, cache, schedules, threads)
                      : check_overflow(from, chosen, compiled, asked, *of, type,
                                       on, seed);
    if (!judged) {
      const fault& why = judged.error();
      if (!ends_device(why.why)) return why;
      // What was told of the cases before it stands.
      fault told{why.why, "case `" + of->name + "`: " + why.what};
      if (failed == 0) return told;
      if (!made.unjudged_why) made.unjudged_why = told.what;
      made.not_run += todo.size() - i;
      break;
    }
    case_verdict& verdict = judged.value();
    const outcome reached = verdict.told.reached;
    if (verdict.unjudged) {
      if (verdict.unjudged->why == reason::too_slow) slow = true;
      made.endless |= verdict.endless;
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
                   std::to_string(todo.size()) + " cases were not run after " +
                   (slow ? "one that was too slow."
                         : std::to_string(most_failures) + " that failed.");
  }
  return made;
}

// ---- counting --------------------------------------------------------------

struct counting {
  bool wanted = false;
  std::string test_case;  // a public one; "" the largest that ran to its end
  bool lines = true;
};

struct counted_case {
  std::vector<counted_launch> launches;
  std::string missing;  // why there are none
};

// Runs a public case of a candidate that was checked once more, in the plain
// order and at addresses that an allocator gives, and counts. Whatever comes
// of that changes no verdict, so a fault is a reason.
[[nodiscard]] inline counted_case count_case(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, element type, std::span<const case_agreement> told,
    device& on, std::uint64_t seed, const counting& how) {
  counted_case made;
  const auto ran = [&](const test_case& of) {
    return std::any_of(told.begin(), told.end(), [&](const auto& each) {
      return each.test_case == of.name && each.element_type == name(type) &&
             each.reached >= outcome::wrong &&
             each.reached != outcome::unjudged;
    });
  };
  const auto sorted = smallest_first(asked, asked.cases);
  if (!sorted) {
    made.missing = sorted.error().what;
    return made;
  }
  const test_case* picked = nullptr;
  for (const test_case* each : sorted.value())
    if (ran(*each) && (how.test_case.empty() || how.test_case == each->name))
      picked = each;
  if (picked == nullptr) {
    made.missing = how.test_case.empty()
                       ? "no public case ran to its end"
                       : "case `" + how.test_case + "` did not run to its end";
    return made;
  }
  auto planned = plan_case(from, chosen, compiled, asked, *picked, type, seed);
  if (!planned) {
    made.missing = planned.error().what;
    return made;
  }
  job& todo = planned.value().asked;
  todo.counters = true;
  if (const auto loaded = on.load_image(compiled); !loaded) {
    made.missing = loaded.error().what;
    return made;
  }
  auto report = on.run(todo);
  if (!report || report.value().launches.empty()) {
    made.missing = report ? "the device does not count" : report.error().what;
    return made;
  }
  for (launch_counters& each : report.value().launches) {
    if (!how.lines) each.lines.clear();
    made.launches.push_back({picked->name, std::string(name(type)),
                             made.launches.size(), std::move(each)});
  }
  return made;
}

}  // namespace skillbench
