#pragma once
// tune_candidate.hpp: a search over the settings of one candidate, from the
// default to a winner that is right in every case.
//
// Layer   6. tune_kernel.hpp tries a setting, tuners/* say which.
// Ahead   up to `tuning_ahead` settings are proposed before the oldest of them is
//         known, so that some compile while others are judged or timed. Results
//         are learnt in the order of the proposals, however many threads work:
//         the same seed and the same times give the same winner.
// Resume  `known` has trials of earlier runs; `keep` gets each new one as soon as
//         it is made, on the thread that made it, one at a time.
// Ends    limits are looked at after each trial that is learnt; what was proposed
//         by then is waited for and counts.
// Prior   where trials are dear, predicted_trials() tries some settings on the PTX
//         machine beforehand: what they are predicted to take, with registers,
//         occupancy and exact counts in it, is a related tuning for
//         tuners/transfer.hpp.
// Errors  what a device cannot go on after; cancelled when `cancelled` says so.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <skillbench/digest.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/kernel_trial.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/recording.hpp>
#include <skillbench/reference.hpp>
#include <skillbench/tune_kernel.hpp>
#include <skillbench/tuners/default_first.hpp>
#include <skillbench/tuners/prior.hpp>
#include <skillbench/tuners/search.hpp>
#include <skillbench/tuners/settings.hpp>
#include <skillbench/tuners/strategies.hpp>
#include <skillbench/tuning.hpp>
#include <skillbench/tuning_space.hpp>
#include <skillbench/version.hpp>

namespace skillbench {

inline constexpr std::size_t tuning_ahead = 4;

struct tuning_progress {
  std::size_t trials = 0, failed = 0;
  std::optional<double> best;  // nanoseconds
  double elapsed = 0;
};

struct tuning_plan {
  std::string strategy{default_strategy};
  std::uint64_t seed = 1;
  search_limits limits;      // `target` is not used: `target_share` is
  double target_share = 0;   // of what memory and arithmetic allow; 0: none
  int jobs = 1;
  std::function<result<std::unique_ptr<device>>()> make_device;
  prior before;              // of the space's indices; empty: none
  bool choose = true;        // false: trials alone, and no winner
  // Each is optional.
  std::map<std::string, kernel_trial> known;  // by setting_words(setting)
  bool default_is_right = false;  // in every case, as who asks knows
  std::function<result<done>(const kernel_trial&)> keep;
  std::function<void(const tuning_progress&)> watch;
  std::function<bool()> cancelled;
};

struct tuned_candidate {
  std::vector<kernel_trial> trials;  // in order, the default first
  std::size_t earlier = 0;           // of them, known from before
  std::optional<std::size_t> best;   // confirmed
  std::vector<std::size_t> refused;  // were faster until every case was run
  std::optional<std::size_t> runner_up;
  std::optional<tuned_ratio> over_default, over_runner_up;
  search_end ended = search_end::trials;
  double space = 0;
};

// Where the times come from; of failures alone there is none.
[[nodiscard]] inline trial_clock clock_of(const tuned_candidate& made) {
  for (const kernel_trial& each : made.trials)
    if (each.nanoseconds) return each.clock;
  return trial_clock::predicted;
}

// All that a trial depends on besides its setting; `machine` names the device.
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
  all.number(how.cold ? 1 : 0);
  for (const element each : how.types) all.field(name(each));
  all.field(how.asked->source);
  return all.text();
}

namespace tuning {

// Threads that try settings; results are asked for by the ticket that a setting
// got.
class trial_pool {
 public:
  trial_pool(const kernel_tuning& how, const tuning_plan& with, best_so_far& best)
      : how_(how), with_(with), best_(best) {
    const auto jobs = std::clamp<std::size_t>(
        with.jobs > 0 ? static_cast<std::size_t>(with.jobs) : 1, 1,
        tuning_ahead);
    for (std::size_t i = 0; i < jobs; ++i)
      threads_.emplace_back([this] { work(); });
  }
  ~trial_pool() {
    {
      const std::lock_guard held(lock_);
      ended_ = true;
    }
    changed_.notify_all();
  }
  trial_pool(const trial_pool&) = delete;
  trial_pool& operator=(const trial_pool&) = delete;

  void begin(std::size_t ticket, setting chosen) {
    {
      const std::lock_guard held(lock_);
      next_.emplace_back(ticket, std::move(chosen));
    }
    changed_.notify_all();
  }

  [[nodiscard]] result<kernel_trial> wait(std::size_t ticket) {
    std::unique_lock held(lock_);
    changed_.wait(held, [&] { return made_.contains(ticket); });
    auto found = made_.extract(ticket);
    return std::move(found.mapped());
  }

 private:
  [[nodiscard]] bool cancelled() const {
    return with_.cancelled && with_.cancelled();
  }

  [[nodiscard]] result<kernel_trial> one(const setting& chosen,
                                         reference_cache& references) {
    if (cancelled()) return fault{reason::cancelled, "stopped"};
    bool killed = false;  // by the system or a person: tried once more
    result<kernel_trial> made = fault{reason::internal, "no trial was made"};
    for (int turn = 0; turn < (killed ? 2 : 1); ++turn) {
      auto on = with_.make_device();
      if (!on) return on.error();
      made = try_setting(how_, chosen, *on.value(), best_, &references);
      killed = on.value()->killed();
    }
    // A child that the same Ctrl-C ended says nothing about its setting.
    if (cancelled()) return fault{reason::cancelled, "stopped"};
    if (!made || killed || !with_.keep) return made;  // another run tries again
    const std::lock_guard held(keeping_);
    if (const auto kept = with_.keep(made.value()); !kept) return kept.error();
    return made;
  }

  // What is thrown on this thread would end the program.
  [[nodiscard]] result<kernel_trial> guarded(const setting& chosen,
                                             reference_cache& references) {
    try {
      return one(chosen, references);
    } catch (const std::bad_alloc&) {
      return fault{reason::too_large, "there was not enough memory to try " +
                                          setting_words(chosen)};
    } catch (const std::exception& wrong) {
      return fault{reason::internal,
                   setting_words(chosen) + ": " + wrong.what()};
    }
  }

  void work() {
    reference_cache references;
    std::unique_lock held(lock_);
    for (;;) {
      changed_.wait(held, [&] { return ended_ || !next_.empty(); });
      if (ended_) return;
      auto [ticket, chosen] = std::move(next_.front());
      next_.pop_front();
      held.unlock();
      auto told = guarded(chosen, references);
      held.lock();
      made_.emplace(ticket, std::move(told));
      changed_.notify_all();
    }
  }

  const kernel_tuning& how_;
  const tuning_plan& with_;
  best_so_far& best_;
  std::mutex lock_, keeping_;
  std::condition_variable changed_;
  std::deque<std::pair<std::size_t, setting>> next_;
  std::map<std::size_t, result<kernel_trial>> made_;
  bool ended_ = false;
  std::vector<std::jthread> threads_;  // the last member: joined first
};

// Correct trials, the fastest first.
[[nodiscard]] inline std::vector<std::size_t> by_time(
    const std::vector<kernel_trial>& trials) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < trials.size(); ++i)
    if (trials[i].correct()) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return *trials[a].nanoseconds < *trials[b].nanoseconds;
  });
  return order;
}

// The fastest that is right in every case, then held against the next one and
// against the default. A comparison may find that it fails: then there is none.
[[nodiscard]] inline result<done> choose_once(tuned_candidate& made,
                                              const kernel_tuning& how,
                                              const tuning_plan& with,
                                              reference_cache& references) {
  const auto stopped = [&] { return with.cancelled && with.cancelled(); };
  const auto passes = [&](std::size_t each) -> result<bool> {
    if (stopped()) return fault{reason::cancelled, "stopped"};
    if (each == 0 && with.default_is_right) return true;
    auto on = with.make_device();
    if (!on) return on.error();
    auto right = confirm(made.trials[each], how, *on.value(), &references);
    if (stopped()) return fault{reason::cancelled, "stopped"};
    if (right && !right.value()) made.refused.push_back(each);
    return right;
  };
  // The next correct trial in line that passes every case.
  const auto next = [&](std::size_t beside) -> result<std::optional<std::size_t>> {
    for (const std::size_t each : by_time(made.trials)) {
      if (each == beside) continue;
      const auto right = passes(each);
      if (!right) return right.error();
      if (right.value()) return std::optional(each);
    }
    return std::optional<std::size_t>();
  };
  const auto ratio = [&](std::size_t a, std::size_t b)
      -> result<std::optional<tuned_ratio>> {
    auto on = with.make_device();
    if (!on) return on.error();
    return compare_settings(made.trials[a], made.trials[b], how, *on.value());
  };
  const std::size_t none = made.trials.size();
  const auto first = next(none);
  if (!first) return first.error();
  made.best = first.value();
  if (!made.best) return done{};

  // A prediction has no noise, so there the order is known and the next one need
  // not pass every case. A measured one may turn out to be the faster one.
  const bool noisy =
      made.trials[*made.best].clock != trial_clock::predicted;
  if (noisy) {
    const auto second = next(*made.best);
    if (!second) return second.error();
    made.runner_up = second.value();
  } else {
    for (const std::size_t each : by_time(made.trials))
      if (each != *made.best && !made.runner_up) made.runner_up = each;
  }
  if (made.runner_up) {
    auto held = ratio(*made.best, *made.runner_up);
    if (!held) return held.error();
    if (held.value() && held.value()->high && *held.value()->high < 1) {
      std::swap(*made.best, *made.runner_up);
      held = ratio(*made.best, *made.runner_up);
      if (!held) return held.error();
    }
    made.over_runner_up = held.value();
  }
  if (*made.best == 0) {
    made.over_default = tuned_ratio{1, {}, {}};
  } else if (made.trials.front().correct()) {
    auto held = ratio(*made.best, 0);
    if (!held) return held.error();
    made.over_default = held.value();
    // No search makes a kernel slower than it was.
    if (const auto& seen = made.over_default;
        seen && seen->high && *seen->high < 1) {
      const auto right = made.runner_up == 0 ? result<bool>(true) : passes(0);
      if (!right) return right.error();
      if (right.value()) {
        made.runner_up = made.best;
        made.over_runner_up =
            tuned_ratio{1 / seen->times, 1 / *seen->high, 1 / *seen->low};
        made.best = 0;
        made.over_default = tuned_ratio{1, {}, {}};
      }
    }
  }
  return done{};
}

[[nodiscard]] inline result<done> choose(tuned_candidate& made,
                                         const kernel_tuning& how,
                                         const tuning_plan& with) {
  reference_cache references;
  for (;;) {
    auto chosen = choose_once(made, how, with, references);
    if (!chosen || !made.best || made.trials[*made.best].correct())
      return chosen;
    made.refused.push_back(*made.best);
    made.best.reset();
    made.runner_up.reset();
    made.over_runner_up.reset();
    made.over_default.reset();
  }
}

}  // namespace tuning

[[nodiscard]] inline result<tuned_candidate> tune_candidate(
    const kernel_tuning& how, const tuning_space& space,
    const tuning_plan& with) {
  if (with.limits.trials < 1 || !with.make_device || how.types.empty())
    return fault{reason::bad_argument,
                 "tuning needs a device, an element type and a limit of at "
                 "least one trial"};
  auto inner = make_strategy(with.strategy, space, with.seed, with.before);
  if (!inner) return inner.error();
  const auto chosen_first = default_setting(how.asked->launch, how.types.front());
  if (!chosen_first) return chosen_first.error();
  default_first by(index_of(space, chosen_first.value()),
                   std::move(inner).value());

  using clock = std::chrono::steady_clock;
  const auto began = clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(clock::now() - began).count();
  };
  tuned_candidate made;
  made.space = static_cast<double>(space.size());
  best_so_far best_of_type{};
  struct asked_for {
    std::uint64_t index = 0;
    std::size_t ticket = 0;
    std::optional<kernel_trial> known;
  };
  std::deque<asked_for> waiting;
  std::size_t tickets = 0;
  std::optional<double> best;
  std::int64_t since = 0;
  bool over = false;
  std::optional<search_end> ended;
  {
    tuning::trial_pool pool(how, with, best_of_type);
    for (;;) {
      while (!over && waiting.size() < tuning_ahead) {
        if (static_cast<std::int64_t>(tickets) >= with.limits.trials) {
          over = true;
          break;
        }
        const auto next = by.propose(1);
        if (next.empty()) {
          over = true;
          if (!ended) ended = search_end::exhausted;
          break;
        }
        asked_for one{next.front(), tickets++, {}};
        setting chosen = setting_of(space, space.at(next.front()));
        if (const auto at = with.known.find(setting_words(chosen));
            at != with.known.end()) {
          one.known = at->second;
          ++made.earlier;
        } else {
          pool.begin(one.ticket, std::move(chosen));
        }
        waiting.push_back(std::move(one));
      }
      if (waiting.empty()) break;
      asked_for now = std::move(waiting.front());
      waiting.pop_front();
      if (!now.known) {
        auto told = pool.wait(now.ticket);
        if (!told) return told.error();
        now.known = std::move(told).value();
      }
      kernel_trial& one = *now.known;
      by.learn(now.index, one.nanoseconds);
      ++since;
      if (one.nanoseconds && (!best || *one.nanoseconds < *best)) {
        best = one.nanoseconds;
        since = 0;
      }
      const bool reached = with.target_share > 0 && one.nanoseconds &&
                           one.limit >= with.target_share * *one.nanoseconds;
      made.trials.push_back(std::move(one));
      if (!over || !ended) {
        if (reached)
          over = true, ended = search_end::target;
        else if (with.limits.seconds > 0 && elapsed() > with.limits.seconds)
          over = true, ended = search_end::seconds;
        else if (with.limits.without_improvement > 0 &&
                 since >= with.limits.without_improvement)
          over = true, ended = search_end::no_improvement;
      }
      if (with.watch)
        with.watch({made.trials.size(),
                    static_cast<std::size_t>(std::count_if(
                        made.trials.begin(), made.trials.end(),
                        [](const auto& each) { return !each.correct(); })),
                    best, elapsed()});
    }
  }
  made.ended = ended.value_or(search_end::trials);
  if (!with.choose) return made;
  if (const auto chosen = tuning::choose(made, how, with); !chosen)
    return chosen.error();
  return made;
}

// How many settings are predicted before the first one is measured.
inline constexpr std::int64_t predicted_beforehand = 16;

// Settings and what they are predicted to take: the first trials of the same
// search on a device that predicts, which `with` makes. No winner.
[[nodiscard]] inline result<earlier_tuning> predicted_trials(
    const kernel_tuning& how, const tuning_space& space, tuning_plan with) {
  with.limits.trials = std::min(with.limits.trials, predicted_beforehand);
  with.limits.without_improvement = 0;
  with.target_share = 0;
  with.before = {};
  with.choose = false;
  const auto told = tune_candidate(how, space, with);
  if (!told) return told.error();
  earlier_tuning made;
  for (const kernel_trial& each : told.value().trials)
    made.trials.push_back({each.chosen, each.nanoseconds});
  return made;
}

// What a record keeps of it.
[[nodiscard]] inline tuning_told told_of(const tuned_candidate& made,
                                         const kernel_tuning& how,
                                         const tuning_plan& with) {
  tuning_told told;
  told.test_case = how.test_case;
  for (const element each : how.types)
    told.element_types.emplace_back(name(each));
  told.strategy = with.strategy;
  told.ended = name(made.ended);
  told.seed = with.seed;
  told.settings = made.space;
  for (const kernel_trial& each : made.trials)
    told.trials.push_back({each.nanoseconds, each.outcome});
  told.clock = clock_of(made);
  if (!made.trials.empty()) told.first = made.trials.front().chosen;
  if (made.best) {
    const kernel_trial& best = made.trials[*made.best];
    told.best = *made.best;
    told.best_setting = best.chosen;
    if (best.limit > 0) told.limit_nanoseconds = best.limit;
  }
  told.over_default = made.over_default;
  told.over_runner_up = made.over_runner_up;
  if (made.over_runner_up && made.runner_up)
    told.runner_up = made.trials[*made.runner_up].chosen;
  told.failures = failures_of(made.trials);
  told.importance = importance_of(made.trials);
  return told;
}

}  // namespace skillbench
