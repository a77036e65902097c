#pragma once
// campaign.hpp: many outputs to records, several at a time.
//
// Layer   6. evaluate.hpp for each sample, on a device made for it alone.
// Order   Records are handed over in the order of the samples, whatever the
//         order in which they were made: same samples and seed, same records
//         but for times.
// Units   seconds of wall time.
// Errors  A fault of one sample is handed over in its place and the rest goes
//         on. A fault of `take` (a full disk) ends the campaign.
// Threads `make_device` is called on the threads that judge; `take`, `watch`
//         and `cancelled` on the thread that called run_campaign.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <skillbench/device.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/record.hpp>
#include <skillbench/reference.hpp>
#include <skillbench/sample.hpp>

namespace skillbench {

struct progress {
  std::size_t all = 0, done = 0, correct = 0, unjudged = 0, faults = 0;
  double elapsed = 0.0;
  std::optional<double> left;  // a guess, once something is done
  reference_counts references;  // of the threads that have ended
};

struct campaign_plan {
  plan each;    // its `references` are the campaign's own: leave them empty
  int jobs = 1;
  std::function<result<std::unique_ptr<device>>()> make_device;

  // Each is optional.
  std::function<result<done>(const sample&, const result<record>&)> take;
  std::function<void(const progress&)> watch;  // about five times a second
  // Asked as often; once it says true nothing more is begun, and `stop` is
  // called to end what is being judged.
  std::function<bool()> cancelled;
  std::function<void()> stop;
};

namespace campaign {

// What one thread takes from and adds to. Guarded by `lock`.
struct board {
  std::mutex lock;
  std::condition_variable changed;
  std::size_t next = 0;
  bool ended = false;
  std::size_t idle = 0;  // threads that have nothing more to do
  reference_counts references;
  std::vector<std::optional<result<record>>> made;
};

[[nodiscard]] inline result<record> judge_one(const sample& given,
                                              std::span<const family> known,
                                              const campaign_plan& how,
                                              reference_cache& references) {
  try {
    auto on = how.make_device();
    if (!on) return on.error();
    plan each = how.each;
    each.references = &references;
    return evaluate(given, known, *on.value(), each);
  } catch (const std::bad_alloc&) {
    return fault{reason::too_large,
                 given.path + ": there was not enough memory to judge it"};
  } catch (const std::exception& problem) {
    return fault{reason::internal, given.path + ": " + problem.what()};
  }
}

inline void work(board& shared, std::span<const sample> samples,
                 std::span<const family> known, const campaign_plan& how,
                 std::int64_t cached_elements) {
  reference_cache references(cached_elements);
  std::unique_lock held(shared.lock);
  while (!shared.ended && shared.next < samples.size()) {
    const std::size_t at = shared.next++;
    held.unlock();
    auto one = judge_one(samples[at], known, how, references);
    held.lock();
    shared.made[at] = std::move(one);
    shared.changed.notify_all();
  }
  ++shared.idle;
  shared.references.used_again += references.counts().used_again;
  shared.references.computed += references.counts().computed;
  shared.changed.notify_all();
}

[[nodiscard]] inline progress seen(const board& shared, double elapsed) {
  progress now;
  now.all = shared.made.size();
  now.elapsed = elapsed;
  now.references = shared.references;
  for (const auto& each : shared.made) {
    if (!each) continue;
    ++now.done;
    if (!*each)
      ++now.faults;
    else if (each->value().what == outcome::correct)
      ++now.correct;
    else if (each->value().what == outcome::unjudged)
      ++now.unjudged;
  }
  if (now.done > 0)
    now.left = elapsed / static_cast<double>(now.done) *
               static_cast<double>(now.all - now.done);
  return now;
}

}  // namespace campaign

// Judges every sample. A fault only when it was cancelled or `take` refused;
// the progress at the end otherwise.
[[nodiscard]] inline result<progress> run_campaign(
    std::span<const sample> samples, std::span<const family> known,
    const campaign_plan& how) {
  if (!how.make_device)
    return fault{reason::bad_argument, "a campaign needs a device"};
  using clock = std::chrono::steady_clock;
  const auto began = clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(clock::now() - began).count();
  };

  campaign::board shared;
  shared.made.resize(samples.size());
  const std::size_t jobs = std::clamp<std::size_t>(
      how.jobs > 0 ? static_cast<std::size_t>(how.jobs) : 1, 1,
      std::max<std::size_t>(samples.size(), 1));
  // 256 MB of references in all, 16 bytes an element.
  const auto cached =
      (std::int64_t{1} << 24) / static_cast<std::int64_t>(jobs);

  std::optional<fault> ended_by;
  progress last;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < jobs; ++i)
      threads.emplace_back([&] {
        campaign::work(shared, samples, known, how, cached);
      });

    std::size_t taken = 0;
    std::unique_lock held(shared.lock);
    for (;;) {
      while (!ended_by && how.take && taken < samples.size() &&
             shared.made[taken]) {
        const result<record>& one = *shared.made[taken];
        held.unlock();
        const auto took = how.take(samples[taken], one);
        held.lock();
        if (!took)
          ended_by = took.error();
        else
          ++taken;
      }
      last = campaign::seen(shared, elapsed());
      if (how.watch) how.watch(last);
      if (shared.idle == jobs &&
          (ended_by || !how.take || taken == samples.size()))
        break;
      if (!ended_by && how.cancelled && how.cancelled())
        ended_by = fault{reason::cancelled,
                         "stopped after " + std::to_string(taken) + " of " +
                             std::to_string(samples.size()) + " outputs"};
      if (ended_by) {
        shared.ended = true;
        held.unlock();
        if (how.stop) how.stop();
        held.lock();
      }
      shared.changed.wait_for(held, std::chrono::milliseconds(200));
    }
  }
  if (ended_by) return *ended_by;
  return last;
}

}  // namespace skillbench
