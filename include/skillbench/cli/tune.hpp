#pragma once
// cli/tune.hpp: `skillbench tune`: the best setting of a candidate's tunables,
// or a search strategy played on a recording.
//
// Layer   7.
// Resume  every trial is a line of the journal (tune_journal.hpp) as soon as it
//         is known. A search is fixed by its seed and by what its trials came
//         to, so the same command takes what it finds there and goes on where
//         it was cut short.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/families.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/extract.hpp>
#include <skillbench/gzip.hpp>
#include <skillbench/json_space.hpp>
#include <skillbench/json_trial.hpp>
#include <skillbench/json_tuning.hpp>
#include <skillbench/read.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/tune_candidate.hpp>
#include <skillbench/tune_from.hpp>
#include <skillbench/tune_journal.hpp>
#include <skillbench/tune_kernel.hpp>
#include <skillbench/tuners/replay.hpp>
#include <skillbench/tuners/prior.hpp>
#include <skillbench/tuners/strategies.hpp>
#include <skillbench/tuners/transfer.hpp>
#include <skillbench/tuning.hpp>
#include <skillbench/whole_file.hpp>

namespace skillbench::cli {

namespace tuning {

[[nodiscard]] inline std::string time_words(double nanoseconds) {
  if (nanoseconds < 1e6) return fmt::format("{:.2f} us", nanoseconds / 1e3);
  return fmt::format("{:.3f} ms", nanoseconds / 1e6);
}

// ---- a recording ------------------------------------------------------------

[[nodiscard]] inline result<recording> open_recording(const std::string& path) {
  const auto text = read_recording_text(path);
  if (!text) return text.error();
  auto made = read_recording(text.value());
  if (!made) return fault{made.error().why, path + ": " + made.error().what};
  return made;
}

// ---- a prior ------------------------------------------------------------------

// The strategies without a model know nothing to do with it.
[[nodiscard]] inline std::string no_use_of_from(const tune_command& asked) {
  return "--from is of no use to the strategy `" + asked.strategy +
         "`; portfolio and surrogate have a model that takes it";
}

[[nodiscard]] inline std::string from_words(const tune_command& asked) {
  std::string words;
  for (const std::string& each : asked.from)
    words += (words.empty() ? "" : ", ") + each;
  return words;
}

// All that --from names; `own` are the keys of this very tuning.
[[nodiscard]] inline result<std::vector<earlier_tuning>> earlier_tunings(
    const tune_command& asked, const std::vector<std::string>& own,
    std::vector<fault>& troubles) {
  std::vector<earlier_tuning> made;
  for (const std::string& each : asked.from) {
    auto read = read_earlier_tunings(each, own, troubles);
    if (!read) return read.error();
    for (earlier_tuning& one : read.value()) made.push_back(std::move(one));
  }
  return made;
}

// How the ranks of a prior's estimates and of what was measured agree.
struct agreement {
  double correlation = 0;
  std::size_t trials = 0;
};

[[nodiscard]] inline agreement agreement_of(const recording& with,
                                            const transferred& of) {
  std::vector<double> costs, thought;
  for (std::size_t i = 0; i < with.costs.size(); ++i) {
    if (!with.costs[i]) continue;
    const auto told = of.estimate(i);
    if (!told) continue;
    costs.push_back(*with.costs[i]);
    thought.push_back(*told);
  }
  return {rank_correlation(costs, thought), costs.size()};
}

[[nodiscard]] inline agreement agreement_of(
    const std::vector<kernel_trial>& with, const tuning_space& space,
    const transferred& of) {
  std::vector<double> costs, thought;
  for (const kernel_trial& each : with) {
    if (!each.nanoseconds) continue;
    const auto index = index_of(space, each.chosen);
    const auto told = index ? of.estimate(*index) : std::nullopt;
    if (!told) continue;
    costs.push_back(*each.nanoseconds);
    thought.push_back(*told);
  }
  return {rank_correlation(costs, thought), costs.size()};
}

// "prior: 120 trials of 2 earlier tunings, by BLOCK, TILE; its ranks agree with
// those of 50 trials here by 0.81"
[[nodiscard]] inline std::string prior_words(const transferred& of,
                                             const agreement& with) {
  std::string names;
  for (const std::string& each : of.parameters)
    names += (names.empty() ? "" : ", ") + printable(each);
  return fmt::format(
      "prior: {} of {}, by {}; its ranks agree with those of {} here by {:.2f} "
      "(1: in full, 0: as chance would have it)",
      plural(of.trials, "trial"), plural(of.tunings, "earlier tuning"), names,
      plural(with.trials, "trial"), with.correlation);
}

[[nodiscard]] inline json_text::json json_of(const transferred& of) {
  return {{"tunings", of.tunings},
          {"trials", of.trials},
          {"parameters", of.parameters}};
}
inline void put_correlation(json_text::json& into, const agreement& with) {
  into["rank_correlation"] = with.correlation;
}

[[nodiscard]] inline exit_code tell_replay(const tune_command& asked,
                                           stream& out, stream& trouble) {
  const auto complain = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
    return exit_code::misuse;
  };
  const auto from = open_recording(asked.replay);
  if (!from) return complain(from.error().what);
  const recording& all = from.value();
  std::optional<transferred> before;
  if (!asked.from.empty()) {
    if (!takes_prior(asked.strategy)) return complain(no_use_of_from(asked));
    std::vector<fault> troubles;
    auto earlier = earlier_tunings(asked, {}, troubles);
    for (const fault& each : troubles) (void)complain(each.what);
    if (!earlier) return complain(earlier.error().what);
    auto told = transfer(all.space, earlier.value());
    if (!told) return complain(from_words(asked) + ": " + told.error().what);
    before = std::move(told).value();
  }
  const auto trials = static_cast<std::size_t>(asked.trials);
  std::vector<std::vector<double>> runs;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < asked.seeds; ++i) {
    auto by = make_strategy(asked.strategy, all.space,
                            asked.seed + static_cast<std::uint64_t>(i),
                            before ? before->estimate : prior{});
    if (!by) return complain(by.error().what);
    runs.push_back(replay(all, *by.value(), trials));
  }
  const double seconds = std::chrono::duration<double>(
                             std::chrono::steady_clock::now() - began)
                             .count();
  const replay_score told = score_of(all, runs);
  std::vector<std::size_t> places;
  for (const std::size_t each : {25, 50, 100, 200, 400, 800})
    if (each < trials) places.push_back(each);
  places.push_back(trials);

  const std::vector<double> sorted = all.sorted();
  if (asked.json) {
    json_text::json made = json_text::json::object();
    made["replay"] = asked.replay;
    made["kernel"] = all.kernel;
    made["recorded_on"] = all.device;
    made["configurations"] = all.space.size();
    made["valid"] = sorted.size();
    made["optimum"] = sorted.front();
    made["unit"] = all.unit;
    made["strategy"] = asked.strategy;
    made["trials"] = trials;
    made["seeds"] = asked.seeds;
    made["first_seed"] = asked.seed;
    if (before) {
      made["prior"] = json_of(*before);
      put_correlation(made["prior"], agreement_of(all, *before));
    }
    made["score"] = told.score;
    for (const std::size_t each : places)
      made["at"].push_back({{"trials", each},
                            {"median", told.median[each - 1]},
                            {"mean", told.mean[each - 1]},
                            {"random", told.random[each - 1]}});
    made["seconds"] = seconds;
    out.line(json_text::line_of(made));
    return exit_code::fine;
  }
  out.line(fmt::format("{} on {}: {} configurations, {} of them run, the best {:.6g} {}",
                       printable(all.kernel), printable(all.device),
                       all.space.size(), sorted.size(), sorted.front(),
                       printable(all.unit)));
  out.line(fmt::format("{}, {} from seed {}; the best found as a share of the optimum",
                       asked.strategy,
                       asked.seeds == 1 ? std::string("1 search")
                                        : fmt::format("{} searches", asked.seeds),
                       asked.seed));
  if (before)
    for (const std::string& each :
         wrapped(prior_words(*before, agreement_of(all, *before)), out.width()))
      out.line(each);
  table rows({"trials", "median", "mean", "random"});
  for (const std::size_t each : places)
    rows.add({std::to_string(each), fmt::format("{:.3f}", told.median[each - 1]),
              fmt::format("{:.3f}", told.mean[each - 1]),
              fmt::format("{:.3f}", told.random[each - 1])});
  rows.print(out);
  out.line(fmt::format("score {:.3f} (0 is random, 1 is the optimum at once); "
                       "{:.3f} s a search",
                       told.score, seconds / asked.seeds));
  return exit_code::fine;
}

// ---- a kernel -----------------------------------------------------------------

// How far a search is: over the same line of a terminal, else every ten seconds.
class progress_words {
 public:
  progress_words(stream& to, std::int64_t most) : to_(to), most_(most) {}

  void show(const tuning_progress& now) {
    if (!to_.terminal() && now.elapsed - told_at_ <= 10) return;
    told_at_ = now.elapsed;
    const std::string words = fmt::format(
        "{} of at most {} trials, {} failed; best {}", now.trials, most_,
        now.failed, now.best ? time_words(*now.best) : std::string("none yet"));
    if (to_.terminal())
      to_.write("\r\x1b[K" + shortened(words, to_.width() - 1));
    else
      to_.line(words);
    (void)to_.flush();
  }
  void end() {
    if (to_.terminal()) to_.write("\r\x1b[K");
  }

 private:
  stream& to_;
  std::int64_t most_;
  double told_at_ = 0;
};

// "1.90 times as fast as the default (95%: 1.87 to 1.93)"
[[nodiscard]] inline std::string ratio_words(const tuned_ratio& of,
                                             std::string_view other,
                                             trial_clock clock) {
  std::string words =
      fmt::format("{:.2f} times as fast as the {}", of.times, other);
  if (!of.exact())
    words += fmt::format(" (95%: {:.3f} to {:.3f}, paired)", *of.low, *of.high);
  else if (clock == trial_clock::predicted)
    words += " (exact for this model)";
  return words;
}

inline void print(const tuned_candidate& made, const kernel_tuning& how,
                  const tune_command& asked, stream& out) {
  const auto& trials = made.trials;
  out.line(fmt::format(
      "{} ({}): {} of {:.0f} settings tried by {}{}, case {}",
      printable(asked.file), how.of->name, trials.size(), made.space,
      asked.strategy,
      made.earlier > 0 ? fmt::format(" ({} known from before)", made.earlier)
                       : std::string(),
      how.test_case));
  std::map<std::string, std::size_t> failed;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < trials.size(); ++i)
    if (trials[i].correct())
      order.push_back(i);
    else
      ++failed[trials[i].outcome];
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return *trials[a].nanoseconds < *trials[b].nanoseconds;
  });
  const trial_clock clock = clock_of(made);
  const bool guess = clock == trial_clock::predicted;
  table rows({"setting", std::string(name(clock)), "limited by", "occupancy",
              "registers", ""});
  std::size_t shown = 0;
  for (const std::size_t each : order) {
    const bool is_best = made.best && *made.best == each, is_default = each == 0;
    if (shown >= 8 && !is_best && !is_default) continue;
    ++shown;
    const kernel_trial& one = trials[each];
    rows.add({printable(setting_words(one.chosen)), time_words(*one.nanoseconds),
              guess ? one.limited_by : "-",
              guess ? fmt::format("{:.0f}%", 100 * one.occupancy) : "-",
              std::to_string(one.registers),
              std::string(is_best ? "best" : "") +
                  (is_default ? is_best ? ", default" : "default" : "") +
                  (one.cut ? "cut short" : "")});
  }
  if (shown > 0) rows.print(out);
  for (const auto& [outcome_here, count] : failed) {
    const auto first =
        std::find_if(trials.begin(), trials.end(),
                     [&here = outcome_here](const kernel_trial& each) {
                       return each.outcome == here;
                     });
    for (const std::string& each :
         wrapped(fmt::format("{} {}, {} for one: {}", count, outcome_here,
                             printable(setting_words(first->chosen)),
                             printable(first->reason)),
                 out.width()))
      out.line(each);
  }
  for (const std::size_t each : made.refused)
    out.line(printable(setting_words(trials[each].chosen)) +
             " was faster, and failed when every case was run");
  if (!made.best) {
    out.line("no setting is correct");
    return;
  }
  const kernel_trial& best = trials[*made.best];
  std::string line = "best: " + printable(setting_words(best.chosen)) +
                     ", right in every case; " + std::string(name(clock)) +
                     " " + time_words(*best.nanoseconds);
  if (made.over_default && *made.best != 0)
    line += ", " + ratio_words(*made.over_default, "default", clock);
  if (best.limit > 0)
    line += fmt::format(", {:.0f}% of what memory and arithmetic allow",
                        100 * best.limit / *best.nanoseconds);
  for (const std::string& each : wrapped(line, out.width()))
    out.line(out.paint(colour::green, each));
  if (made.over_runner_up && made.runner_up)
    for (const std::string& each : wrapped(
             "runner-up: " + printable(setting_words(trials[*made.runner_up].chosen)) +
                 "; the best is " +
                 ratio_words(*made.over_runner_up, "runner-up", clock),
             out.width()))
      out.line(each);
  std::string matter;
  for (const tunable_share& each : importance_of(trials))
    if (each.share >= 0.005)
      matter += fmt::format("{}{} {:.0f}%", matter.empty() ? "" : ", ",
                            printable(each.name), 100 * each.share);
  if (!matter.empty())
    for (const std::string& each :
         wrapped("what matters (variance that one tunable explains alone): " +
                     matter,
                 out.width()))
      out.line(each);
  const char* const warning =
      guess ? "Times are predicted from exact counters by a model that was "
              "never held against a GPU; nothing was measured."
      : clock == trial_clock::stand_in
          ? "The clock is a stand-in's; nothing was measured."
          : "";
  for (const std::string& each : wrapped(warning, out.width()))
    out.line(out.paint(colour::dim, each));
}

[[nodiscard]] inline std::string json_of(const tuned_candidate& made,
                                         const kernel_tuning& how,
                                         const tune_command& asked,
                                         std::string_view machine,
                                         const json_text::json& before) {
  using json_text::json;
  json all = json::object();
  all["file"] = asked.file;
  all["family"] = how.of->name;
  all["device"] = machine;
  const trial_clock clock = clock_of(made);
  all["time"] = clock == trial_clock::predicted
                    ? std::string("predicted, not measured: no GPU")
                    : std::string(name(clock));
  all["strategy"] = asked.strategy;
  all["seed"] = asked.seed;
  all["case"] = how.test_case;
  for (const element each : how.types)
    all["element_types"].push_back(std::string(name(each)));
  all["settings"] = made.space;
  all["ended"] = std::string(name(made.ended));
  all["known_before"] = made.earlier;
  if (!made.trials.empty())
    all["default"] = json_text::trial_object(made.trials.front());
  if (made.best) {
    all["best"] = json_text::trial_object(made.trials[*made.best]);
    if (made.over_default) {
      all["over_default"] = json_text::write(*made.over_default);
      if (clock == trial_clock::predicted)
        all["predicted_speed_up"] = made.over_default->times;
    }
    if (made.over_runner_up && made.runner_up) {
      all["over_runner_up"] = json_text::write(*made.over_runner_up);
      all["over_runner_up"]["setting"] =
          json_text::setting_object(made.trials[*made.runner_up].chosen);
    }
  }
  if (!before.is_null()) all["prior"] = before;
  all["importance"] = json::array();
  for (const tunable_share& each : importance_of(made.trials))
    all["importance"].push_back({{"name", each.name}, {"share", each.share}});
  all["trials"] = json::array();
  for (const kernel_trial& each : made.trials)
    all["trials"].push_back(json_text::trial_object(each));
  return json_text::line_of(all);
}

}  // namespace tuning

[[nodiscard]] inline exit_code tell(const tune_command& asked,
                                    const std::vector<family>& known,
                                    stream& out, stream& trouble) {
  const auto complain = [&](const std::string& what, exit_code code) {
    trouble.line("skillbench: " + printable(what));
    return code;
  };
  if (!asked.replay.empty()) return tuning::tell_replay(asked, out, trouble);
  if (asked.file.empty())
    return complain("tune needs a FILE, or a recording with --replay",
                    exit_code::misuse);

  auto text = gathering::read_text(asked.file);
  if (!text) return complain(text.error().what, exit_code::misuse);
  const std::string task = asked.family.empty()
                               ? gathering::family_named(text.value(), known)
                               : asked.family;
  const family* const of = find_family(known, task);
  if (of == nullptr)
    return complain(task.empty()
                        ? asked.file + ": which family it is for cannot be told "
                                       "from its launch manifest: name it with "
                                       "--family"
                        : no_such_family(task, known),
                    exit_code::misuse);
  const extracted pieces = extract(text.value());
  const auto refused = [&](const std::vector<finding>& why) {
    return complain(asked.file + ": " +
                        (why.empty() ? "holds no candidate" : why.front().what),
                    exit_code::misuse);
  };
  if (!pieces.found) return refused(pieces.refused);
  const read_result read = read_candidate(*pieces.found, known, *of);
  if (!read.found) return refused(read.refused);
  if (read.found->launch.tune.empty())
    return complain(asked.file + ": its manifest has no `tune`, so there is "
                                 "nothing to tune",
                    exit_code::misuse);

  kernel_tuning how;
  how.asked = &*read.found;
  how.of = of;
  how.seed = asked.seed;
  for (const element each : all_elements)
    if (asked.type.empty() || asked.type == name(each)) how.types.push_back(each);
  if (how.types.empty())
    return complain("there is no element type `" + asked.type +
                        "`; there are float, half, bfloat16",
                    exit_code::misuse);
  how.test_case = asked.test_case;
  if (how.test_case.empty()) {
    auto largest = case_to_time(*of);
    if (!largest) return complain(largest.error().what, exit_code::broken);
    how.test_case = largest.value();
  }
  if (skillbench::tuning::find_case(*of, how.test_case) == nullptr) {
    std::vector<std::string> cases;
    for (const test_case& each : of->cases) cases.push_back(each.name);
    const std::string best = nearest(how.test_case, cases);
    return complain(of->name + " has no public case `" + how.test_case + "`" +
                        (best.empty() ? "" : "; did you mean `" + best + "`?"),
                    exit_code::misuse);
  }
  const auto space = tuning_space::of(read.found->launch, how.types.front());
  if (!space)
    return complain(asked.file + ": " + space.error().what, exit_code::misuse);

  auto opened = devices::open(asked.device, asked.cache, asked.isolation);
  if (!opened) return complain(opened.error().what, exit_code::broken);
  devices& on = *opened.value();
  const std::string machine = on.machine();

  const stop_signals signals;
  auto journal = tune_journal::open(asked.out);
  if (!journal) return complain(journal.error().what, exit_code::broken);
  for (const fault& each : journal.value()->troubles)
    (void)complain(each.what, exit_code::fine);
  const std::string key = trial_key(how, machine);
  tuning_plan plan;
  plan.strategy = asked.strategy;
  plan.seed = asked.seed;
  plan.limits.trials = asked.trials;
  plan.limits.seconds = asked.seconds;
  plan.limits.without_improvement = asked.without_improvement;
  plan.target_share = asked.target;
  plan.jobs = asked.jobs;
  plan.make_device = [&] { return on.make(); };
  plan.known = journal.value()->known(key);
  plan.keep = [&](const kernel_trial& it) {
    return journal.value()->keep(key, it);
  };
  plan.cancelled = [] { return stop_asked.load(); };
  // What is known beforehand, of a search that cannot try all there is: earlier
  // tunings, and on a device that measures what some settings are predicted to
  // take.
  std::vector<earlier_tuning> earlier;
  if (!asked.from.empty()) {
    if (!takes_prior(asked.strategy))
      return complain(tuning::no_use_of_from(asked), exit_code::misuse);
    std::vector<fault> troubles;
    auto all = tuning::earlier_tunings(
        asked, {key, trial_key(how, on.counting_machine())}, troubles);
    for (const fault& each : troubles)
      (void)complain(each.what, exit_code::fine);
    if (!all) return complain(all.error().what, exit_code::misuse);
    earlier = std::move(all).value();
    if (const auto alone = transfer(space.value(), earlier); !alone)
      return complain(tuning::from_words(asked) + ": " + alone.error().what,
                      exit_code::misuse);
  }
  const auto stopped = [&] {
    return complain("stopped; the trials so far are kept in " + asked.out +
                        ", and the same command goes on from there",
                    exit_code::stopped);
  };
  if (on.measures() && asked.before == "auto" && takes_prior(asked.strategy) &&
      static_cast<std::uint64_t>(asked.trials) < space.value().size()) {
    const std::string counted = trial_key(how, on.counting_machine());
    tuning_plan ahead = plan;
    ahead.make_device = [&] { return on.make_counting(); };
    ahead.known = journal.value()->known(counted);
    ahead.keep = [&](const kernel_trial& it) {
      return journal.value()->keep(counted, it);
    };
    ahead.limits.seconds = asked.seconds / 2;
    const auto began = std::chrono::steady_clock::now();
    auto predicted = predicted_trials(how, space.value(), ahead);
    if (!predicted) {
      (void)journal.value()->sync();
      if (predicted.error().why == reason::cancelled || stop_asked)
        return stopped();
      return complain(predicted.error().what, exit_code::broken);
    }
    const double took = std::chrono::duration<double>(
                            std::chrono::steady_clock::now() - began)
                            .count();
    // A search without a limit has 0 seconds, one without time left next to none.
    if (asked.seconds > 0)
      plan.limits.seconds = std::max(1e-9, asked.seconds - took);
    earlier.push_back(std::move(predicted).value());
  }
  std::optional<transferred> before;
  if (!earlier.empty()) {
    // Of few settings that all failed, or are alike, there is nothing to say.
    if (auto told = transfer(space.value(), earlier))
      before = std::move(told).value();
    if (before) plan.before = before->estimate;
  }

  tuning::progress_words line(trouble, asked.trials);
  plan.watch = [&](const tuning_progress& now) { line.show(now); };

  auto told = tune_candidate(how, space.value(), plan);
  line.end();
  if (const auto kept = journal.value()->sync(); !kept)
    return complain(kept.error().what, exit_code::broken);
  if (!told) {
    if (told.error().why == reason::cancelled || stop_asked) return stopped();
    return complain(told.error().what, told.error().why == reason::bad_argument
                                           ? exit_code::misuse
                                           : exit_code::broken);
  }
  const auto& made = told.value();
  if (!asked.t4.empty())
    if (const auto kept =
            write_whole(asked.t4, write_t4(made.trials) + "\n");
        !kept)
      return complain(kept.error().what, exit_code::broken);
  if (asked.write && made.best) {
    auto changed =
        with_defaults(text.value(), made.trials[*made.best].chosen);
    if (!changed)
      return complain(asked.file + ": " + changed.error().what,
                      exit_code::misuse);
    const extracted again = extract(changed.value());
    const bool reads =
        again.found && [&] {
          const read_result now = read_candidate(*again.found, known, *of);
          if (!now.found) return false;
          const auto first =
              default_setting(now.found->launch, how.types.front());
          return first.ok() && first.value() == made.trials[*made.best].chosen;
        }();
    if (!reads)
      return complain(asked.file + ": the winning values cannot be written back "
                                   "without changing what the manifest says",
                      exit_code::misuse);
    if (const auto kept = write_whole(asked.file, changed.value()); !kept)
      return complain(kept.error().what, exit_code::broken);
  }
  const auto agrees = [&] {
    return tuning::agreement_of(made.trials, space.value(), *before);
  };
  if (asked.json) {
    json_text::json prior_told;
    if (before) {
      prior_told = tuning::json_of(*before);
      tuning::put_correlation(prior_told, agrees());
    }
    out.line(tuning::json_of(made, how, asked, machine, prior_told));
    return exit_code::fine;
  }
  tuning::print(made, how, asked, out);
  if (before)
    for (const std::string& each :
         wrapped(tuning::prior_words(*before, agrees()), out.width()))
      out.line(each);
  return exit_code::fine;
}

}  // namespace skillbench::cli
