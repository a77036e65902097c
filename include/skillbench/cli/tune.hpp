#pragma once
// cli/tune.hpp: `skillbench tune`: the best setting of a candidate's tunables,
// or a search strategy played on a recording.
//
// Layer   7.
// Resume  every trial is a line of the journal as soon as it is known, with a
//         key of all that it depends on. A search is fixed by its seed and by
//         what its trials came to, so the same command takes what it finds in
//         the journal and goes on where it was cut short.
// Batches trials are asked for four at a time, however many run at once, so
//         that the winner does not depend on --jobs.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/families.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/digest.hpp>
#include <skillbench/extract.hpp>
#include <skillbench/gzip.hpp>
#include <skillbench/json_space.hpp>
#include <skillbench/json_trial.hpp>
#include <skillbench/read.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/store.hpp>
#include <skillbench/tune_kernel.hpp>
#include <skillbench/tuners/replay.hpp>
#include <skillbench/tuners/search.hpp>
#include <skillbench/tuners/settings.hpp>
#include <skillbench/tuners/strategies.hpp>
#include <skillbench/version.hpp>

namespace skillbench::cli {

namespace tuning {

inline constexpr std::size_t batch = 4;
inline constexpr std::size_t most_recording = std::size_t{1} << 30;  // bytes

[[nodiscard]] inline std::string words_of(const setting& of) {
  std::string text;
  for (const auto& [name, value] : of)
    text += (text.empty() ? "" : " ") + name + "=" + std::to_string(value);
  return text.empty() ? "(no tunables)" : text;
}

[[nodiscard]] inline std::string time_words(double nanoseconds) {
  if (nanoseconds < 1e6) return fmt::format("{:.2f} us", nanoseconds / 1e3);
  return fmt::format("{:.3f} ms", nanoseconds / 1e6);
}

// ---- a recording ------------------------------------------------------------

[[nodiscard]] inline result<recording> open_recording(const std::string& path) {
  auto bytes = gathering::read_text(path, most_recording);
  if (!bytes) return bytes.error();
  if (bytes.value().size() > most_recording)
    return fault{reason::bad_input, path + ": a recording has at most " +
                                        std::to_string(most_recording) +
                                        " bytes"};
  if (is_gzip(bytes.value())) {
    auto plain = gunzip(bytes.value(), most_recording);
    if (!plain) return fault{plain.error().why, path + ": " + plain.error().what};
    bytes = std::move(plain);
  }
  auto made = read_recording(bytes.value());
  if (!made) return fault{made.error().why, path + ": " + made.error().what};
  return made;
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
  const auto trials = static_cast<std::size_t>(asked.trials);
  std::vector<std::vector<double>> runs;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < asked.seeds; ++i) {
    auto by = make_strategy(asked.strategy, all.space,
                            asked.seed + static_cast<std::uint64_t>(i));
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
                       plural(static_cast<std::size_t>(asked.seeds), "search"),
                       asked.seed));
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

// All that a trial depends on besides its setting.
[[nodiscard]] inline std::string trial_key(const kernel_tuning& how,
                                           std::string_view machine) {
  digest all;
  all.field("skillbench trial");
  all.field(version);
  all.field(machine);
  all.number(how.seed);
  all.field(how.of->name);
  all.field(how.of->version);
  all.field(how.of->digest);
  all.field(how.test_case);
  for (const element each : how.types) all.field(name(each));
  all.field(how.asked->source);
  return all.text();
}

struct outcome_of_tuning {
  std::vector<kernel_trial> trials;  // in order, the default first
  std::size_t earlier = 0;           // of them, from the journal
  std::optional<std::size_t> best;   // confirmed
  std::vector<std::size_t> refused;  // were the best until every case was run
  search_end ended = search_end::trials;
  double space = 0;
};

// Tries settings one batch after the other. `known` are trials of an earlier
// run; what is new goes to `keep`.
class session {
 public:
  session(const kernel_tuning& how, devices& on, int jobs)
      : how_(how), on_(on), jobs_(std::max(1, jobs)) {
    for (int i = 0; i < jobs_; ++i)
      references_.push_back(std::make_unique<reference_cache>());
  }

  std::map<std::string, kernel_trial> known;
  store* journal = nullptr;
  std::string key;

  // One trial for each setting, in order.
  result<std::vector<kernel_trial>> run(const std::vector<setting>& all,
                                        std::size_t& earlier) {
    std::vector<std::optional<result<kernel_trial>>> made(all.size());
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto found = known.find(words_of(all[i]));
      if (found == known.end()) {
        open.push_back(i);
      } else {
        made[i] = found->second;
        ++earlier;
      }
    }
    for (std::size_t start = 0; start < open.size();
         start += static_cast<std::size_t>(jobs_)) {
      std::vector<std::thread> threads;
      const std::size_t end =
          std::min(open.size(), start + static_cast<std::size_t>(jobs_));
      for (std::size_t i = start; i < end; ++i)
        threads.emplace_back([&, i] {
          made[open[i]] = one(all[open[i]], *references_[i - start]);
        });
      for (std::thread& each : threads) each.join();
      // A child that the same Ctrl-C ended says nothing about its setting.
      if (stop_asked) return fault{reason::cancelled, "stopped"};
      for (std::size_t i = start; i < end; ++i) {
        const auto& told = *made[open[i]];
        if (!told) return told.error();
        known.emplace(words_of(all[open[i]]), told.value());
        if (journal != nullptr)
          if (const auto kept = journal->append(write_trial(key, told.value()));
              !kept)
            return kept.error();
      }
    }
    std::vector<kernel_trial> done_all;
    for (auto& each : made) done_all.push_back(std::move(*each).value());
    return done_all;
  }

  result<bool> confirmed(kernel_trial& told) {
    auto device_here = on_.make();
    if (!device_here) return device_here.error();
    return confirm(told, how_, *device_here.value(), references_.front().get());
  }

 private:
  result<kernel_trial> one(const setting& chosen, reference_cache& references) {
    auto device_here = on_.make();
    if (!device_here) return device_here.error();
    return try_setting(how_, chosen, *device_here.value(), &references);
  }

  const kernel_tuning& how_;
  devices& on_;
  int jobs_;
  std::vector<std::unique_ptr<reference_cache>> references_;
};

[[nodiscard]] inline result<outcome_of_tuning> tune_all(
    const tune_command& asked, const kernel_tuning& how,
    const tuning_space& space, session& with, stream& trouble) {
  auto by = make_strategy(asked.strategy, space, asked.seed);
  if (!by) return by.error();
  outcome_of_tuning made;
  made.space = static_cast<double>(space.size());
  const auto chosen_first = default_setting(how.asked->launch, how.types.front());
  if (!chosen_first) return chosen_first.error();
  const auto first = index_of(space, chosen_first.value());

  using clock = std::chrono::steady_clock;
  const auto began = clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(clock::now() - began).count();
  };
  std::optional<double> best;
  std::int64_t since = 0;
  double told_at = 0;
  std::vector<std::uint64_t> asked_for;  // the default is asked for once
  while (static_cast<std::int64_t>(made.trials.size()) < asked.trials) {
    if (stop_asked) return fault{reason::cancelled, "stopped"};
    if (asked.seconds > 0 && elapsed() > asked.seconds) {
      made.ended = search_end::seconds;
      break;
    }
    if (asked.without_improvement > 0 && since >= asked.without_improvement) {
      made.ended = search_end::no_improvement;
      break;
    }
    const auto room = std::min<std::size_t>(
        batch, static_cast<std::size_t>(asked.trials) - made.trials.size());
    std::vector<std::uint64_t> next;
    if (made.trials.empty() && first) {
      next.push_back(*first);
    } else {
      next = by.value()->propose(room);
      // Orders that are fixed beforehand name the default once more.
      if (const auto again = first ? std::find(next.begin(), next.end(), *first)
                                   : next.end();
          again != next.end()) {
        next.erase(again);
        const auto more = by.value()->propose(1);
        next.insert(next.end(), more.begin(), more.end());
      }
    }
    if (next.empty()) {
      made.ended = search_end::exhausted;
      break;
    }
    std::vector<setting> settings;
    for (const std::uint64_t each : next)
      settings.push_back(setting_of(space, space.at(each)));
    auto told = with.run(settings, made.earlier);
    if (!told) return told.error();
    for (std::size_t i = 0; i < next.size(); ++i) {
      kernel_trial& one = told.value()[i];
      by.value()->learn(next[i], one.nanoseconds);
      ++since;
      if (one.nanoseconds && (!best || *one.nanoseconds < *best)) {
        best = one.nanoseconds;
        since = 0;
      }
      made.trials.push_back(std::move(one));
    }
    if (elapsed() - told_at > 10 || trouble.terminal()) {
      told_at = elapsed();
      const auto failed = std::count_if(
          made.trials.begin(), made.trials.end(),
          [](const kernel_trial& each) { return !each.correct(); });
      std::string words = fmt::format(
          "{} of at most {} trials, {} failed; best {}", made.trials.size(),
          asked.trials, failed,
          best ? time_words(*best) + " (predicted)" : std::string("none yet"));
      if (trouble.terminal())
        trouble.write("\r\x1b[K" + shortened(words, trouble.width() - 1));
      else
        trouble.line(words);
      (void)trouble.flush();
    }
  }
  if (trouble.terminal()) trouble.write("\r\x1b[K");

  // The fastest that is right in every case.
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < made.trials.size(); ++i)
    if (made.trials[i].correct()) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return *made.trials[a].nanoseconds < *made.trials[b].nanoseconds;
  });
  for (const std::size_t each : order) {
    if (stop_asked) return fault{reason::cancelled, "stopped"};
    const auto right = with.confirmed(made.trials[each]);
    if (!right) return right.error();
    if (right.value()) {
      made.best = each;
      break;
    }
    made.refused.push_back(each);
  }
  return made;
}

[[nodiscard]] inline result<done> write_file(const std::string& path,
                                             std::string_view bytes) {
  const std::string beside = path + ".part";
  std::FILE* const file = std::fopen(beside.c_str(), "wb");
  if (file == nullptr)
    return fault{reason::no_permission, beside + ": cannot be written"};
  const bool whole =
      std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (std::fclose(file) != 0 || !whole ||
      std::rename(beside.c_str(), path.c_str()) != 0) {
    std::remove(beside.c_str());
    return fault{reason::io, path + ": cannot be written"};
  }
  return done{};
}

inline void print(const outcome_of_tuning& made, const kernel_tuning& how,
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
  table rows({"setting", "predicted", "limited by", "occupancy", "registers", ""});
  std::size_t shown = 0;
  for (const std::size_t each : order) {
    const bool is_best = made.best && *made.best == each, is_default = each == 0;
    if (shown >= 8 && !is_best && !is_default) continue;
    ++shown;
    const kernel_trial& one = trials[each];
    rows.add({printable(words_of(one.chosen)), time_words(*one.nanoseconds),
              one.limited_by, fmt::format("{:.0f}%", 100 * one.occupancy),
              std::to_string(one.registers),
              std::string(is_best ? "best" : "") +
                  (is_default ? is_best ? ", default" : "default" : "")});
  }
  if (shown > 0) rows.print(out);
  for (const auto& [outcome_here, count] : failed) {
    const auto first =
        std::find_if(trials.begin(), trials.end(), [&](const kernel_trial& each) {
          return each.outcome == outcome_here;
        });
    for (const std::string& each :
         wrapped(fmt::format("{} {}, {} for one: {}", count, outcome_here,
                             printable(words_of(first->chosen)),
                             printable(first->reason)),
                 out.width()))
      out.line(each);
  }
  for (const std::size_t each : made.refused)
    out.line(printable(words_of(trials[each].chosen)) +
             " was faster, and failed when every case was run");
  if (!made.best) {
    out.line("no setting is correct");
    return;
  }
  const kernel_trial& best = trials[*made.best];
  std::string line = "best: " + printable(words_of(best.chosen)) +
                     ", right in every case; predicted " +
                     time_words(*best.nanoseconds);
  if (trials.front().correct())
    line += fmt::format(", {:.2f}x the default",
                        *trials.front().nanoseconds / *best.nanoseconds);
  out.line(out.paint(colour::green, line));
  for (const std::string& each :
       wrapped("Times are predicted from exact counters by a model that was "
               "never held against a GPU; nothing was measured.",
               out.width()))
    out.line(out.paint(colour::dim, each));
}

[[nodiscard]] inline std::string json_of(const outcome_of_tuning& made,
                                         const kernel_tuning& how,
                                         const tune_command& asked,
                                         std::string_view machine) {
  using json_text::json;
  json all = json::object();
  all["file"] = asked.file;
  all["family"] = how.of->name;
  all["device"] = machine;
  all["time"] = "predicted, not measured: no GPU";
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
    if (made.trials.front().correct())
      all["predicted_speed_up"] = *made.trials.front().nanoseconds /
                                  *made.trials[*made.best].nanoseconds;
  }
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
  tuning::session with(how, on, asked.jobs);
  with.key = tuning::trial_key(how, machine);
  std::vector<fault> troubles;
  const auto looked = read_store(
      asked.out,
      [&](std::string_view line, const store_place&) {
        auto one = read_trial(line);
        if (one && one.value().first == with.key)
          with.known.insert_or_assign(tuning::words_of(one.value().second.chosen),
                                      one.value().second);
      },
      troubles);
  if (!looked) return complain(looked.error().what, exit_code::broken);
  for (const fault& each : troubles) (void)complain(each.what, exit_code::fine);
  auto journal = store::resume(asked.out);
  if (!journal) return complain(journal.error().what, exit_code::broken);
  with.journal = &journal.value();

  auto told = tuning::tune_all(asked, how, space.value(), with, trouble);
  if (const auto kept = journal.value().sync(); !kept)
    return complain(kept.error().what, exit_code::broken);
  if (!told) {
    if (told.error().why == reason::cancelled || stop_asked)
      return complain("stopped; the trials so far are kept in " + asked.out +
                          ", and the same command goes on from there",
                      exit_code::stopped);
    return complain(told.error().what, told.error().why == reason::bad_argument
                                           ? exit_code::misuse
                                           : exit_code::broken);
  }
  const auto& made = told.value();
  if (!asked.t4.empty())
    if (const auto kept =
            tuning::write_file(asked.t4, write_t4(made.trials) + "\n");
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
    if (const auto kept = tuning::write_file(asked.file, changed.value()); !kept)
      return complain(kept.error().what, exit_code::broken);
  }
  if (asked.json)
    out.line(tuning::json_of(made, how, asked, machine));
  else
    tuning::print(made, how, asked, out);
  return exit_code::fine;
}

}  // namespace skillbench::cli
