#pragma once
// campaign.hpp: many outputs to records, several at a time.
//
// Layer   6. evaluate.hpp for each sample, on a device made for it alone.
// Once    Samples with one key (key.hpp) are judged once, and each gets a record
//         of its own. Those whose key an earlier run has a record of are not
//         judged at all, however that one ended.
// Killed  Who loses its worker to somebody else's kill is judged once more; the
//         second time that is its own.
// Order   `keep` has a record as soon as it is made. `take` has the results in
//         the order of the samples, whatever the order in which they were
//         made: same samples and seed, same records but for times.
// Units   seconds of wall time.
// Errors  A fault of one sample is handed over in its place and the rest goes
//         on. A fault of `keep` or `take` (a full disk) ends the campaign; what
//         was kept by then is handed over first.
// Threads `make_device` and `add` are called on the threads that judge; all else
//         on the thread that called run_campaign.

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
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/device.hpp>
#include <skillbench/earlier.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/reference.hpp>
#include <skillbench/sample.hpp>

namespace skillbench {

struct progress {
  std::size_t earlier = 0;  // samples with a record from before
  std::size_t all = 0, done = 0, correct = 0, unjudged = 0, faults = 0;  // others
  std::map<outcome, std::size_t> reached;  // of those with a record
  double elapsed = 0.0;
  std::optional<double> left;  // a guess, once something is done
  reference_counts references;  // of the threads that have ended
};

struct campaign_plan {
  plan each;    // its `references` are the campaign's own: leave them empty
  int jobs = 1;
  std::function<result<std::unique_ptr<device>>()> make_device;

  // Each is optional.
  // Adds to a record what else is told of its sample, on the thread that judged
  // it. A fault leaves no record, as a fault of judging does.
  std::function<result<done>(const sample&, record&)> add;
  std::function<std::string(const sample&)> key;
  const earlier_records* earlier = nullptr;  // needs `key`
  // May empty parts of the record that `take` does not need.
  std::function<result<done>(record&)> keep;
  std::function<result<done>(const sample&, const result<record>&)> take;
  std::function<void(const progress&)> watch;  // about five times a second
  // Asked as often; once it says true nothing more is begun, and `stop` is
  // called to end what is being judged.
  std::function<bool()> cancelled;
  std::function<void()> stop;
};

namespace campaign {

// What one thread has made of a sample.
struct judged {
  std::size_t at = 0;
  result<record> made;
  std::vector<std::size_t> repeats;  // samples that share a record's verdict
};

// What the threads take from and add to. Guarded by `lock`.
struct board {
  std::mutex lock;
  std::condition_variable changed;
  std::deque<std::size_t> next;                   // samples to judge
  std::vector<std::vector<std::size_t>> repeats;  // of each of those
  std::vector<judged> made;                       // not yet looked at
  bool ended = false;
  std::size_t idle = 0;  // threads that have nothing more to do
  reference_counts references;
};

[[nodiscard]] inline result<record> judge_one(const sample& given,
                                              std::span<const family> known,
                                              const campaign_plan& how,
                                              reference_cache& references) {
  try {
    for (bool again = false;; again = true) {
      auto on = how.make_device();
      if (!on && on.error().why == reason::child_died && !again) continue;
      if (!on) return on.error();
      plan each = how.each;
      each.references = &references;
      auto made = evaluate(given, known, *on.value(), each);
      if (on.value()->killed() && !again) continue;
      on.value().reset();  // what is added may need the GPU that it holds
      if (made && how.add)
        if (auto added = how.add(given, made.value()); !added)
          return added.error();
      return made;
    }
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
  while (!shared.ended && !shared.next.empty()) {
    const std::size_t at = shared.next.front();
    shared.next.pop_front();
    held.unlock();
    auto one = judge_one(samples[at], known, how, references);
    held.lock();
    if (shared.ended) break;  // it may have been stopped: that says nothing
    std::vector<std::size_t>& others = shared.repeats[at];
    if (!one && !others.empty()) {
      // Nothing was learnt, so the next sample with this output is tried.
      const std::size_t heir = others.front();
      others.erase(others.begin());
      shared.repeats[heir] = std::exchange(others, {});
      shared.next.push_front(heir);
    }
    shared.made.push_back({at, std::move(one), std::exchange(others, {})});
    shared.changed.notify_all();
  }
  ++shared.idle;
  shared.references.used_again += references.counts().used_again;
  shared.references.computed += references.counts().computed;
  shared.changed.notify_all();
}

// A record as that of a sample with the same output, when it is another one.
[[nodiscard]] inline record shared_with(const sample& other, record told) {
  if (told.of.id != other.id) {
    if (told.same_as.empty()) told.same_as = told.of.id;
    if (told.same_as == other.id) told.same_as.clear();
    told.seconds.clear();
  }
  told.of = other;
  told.of.output.clear();
  return told;
}

// The results on their way from the threads to `keep` and `take`.
class delivery {
 public:
  delivery(std::span<const sample> samples, const campaign_plan& how,
           board& shared)
      : samples_(samples),
        how_(how),
        results_(samples.size()),
        is_earlier_(samples.size()) {
    shared.repeats.resize(samples.size());
    std::unordered_map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      keys_.push_back(how.key ? how.key(samples[i]) : "");
      const std::string& key = keys_.back();
      if (key.empty()) {
        shared.next.push_back(i);
      } else if (how.earlier != nullptr && how.earlier->knows(key)) {
        is_earlier_[i] = true;
        ++now_.earlier;
      } else if (const auto [same, is_new] = first.emplace(key, i); is_new) {
        shared.next.push_back(i);
      } else {
        shared.repeats[same->second].push_back(i);
      }
    }
    now_.all = samples.size() - now_.earlier;
  }

  // What a thread has made, for every sample that it says something of.
  void receive(judged one) {
    ++judged_;
    if (!one.made) {
      ++now_.done, ++now_.faults;
      results_[one.at] = std::move(one.made);
      return;
    }
    record& told = one.made.value();
    told.key = keys_[one.at];
    now_.done += 1 + one.repeats.size();
    now_.reached[told.what] += 1 + one.repeats.size();
    if (told.what == outcome::correct) now_.correct += 1 + one.repeats.size();
    if (told.what == outcome::unjudged) now_.unjudged += 1 + one.repeats.size();
    keep(one.at, told);
    for (const std::size_t other : one.repeats)
      keep(other, shared_with(samples_[other], told));
  }

  // In order, up to the first sample without a result, or past those.
  void hand_over(bool past_gaps) {
    for (; next_ < samples_.size() && !take_failed_; ++next_) {
      if (is_earlier_[next_]) recall(next_);
      auto& one = results_[next_];
      if (!one && !past_gaps) return;
      if (!one) continue;
      ++handed_over;
      const auto took = how_.take ? how_.take(samples_[next_], *one)
                                  : result<done>(done{});
      one.reset();
      if (took) continue;
      take_failed_ = true;
      if (!ended_by) ended_by = took.error();
    }
  }

  // `waiting` samples are being judged or will be.
  [[nodiscard]] progress seen(double elapsed, std::size_t waiting) const {
    progress now = now_;
    now.elapsed = elapsed;
    if (judged_ > 0)
      now.left = elapsed / static_cast<double>(judged_) *
                 static_cast<double>(waiting);
    return now;
  }

  std::optional<fault> ended_by;
  std::size_t handed_over = 0;

 private:
  void keep(std::size_t at, record told) {
    if (keep_failed_) return;
    const auto kept = how_.keep ? how_.keep(told) : result<done>(done{});
    if (kept) {
      results_[at] = std::move(told);
      return;
    }
    keep_failed_ = true;
    if (!ended_by) ended_by = kept.error();
  }

  // The record from before; it is kept anew only as that of another sample.
  void recall(std::size_t at) {
    auto found = how_.earlier->find(keys_[at], samples_[at]);
    if (!found) {
      results_[at] = found.error();
      return;
    }
    const bool is_its_own = same_sample(found.value().of, samples_[at]);
    record told = shared_with(samples_[at], std::move(found).value());
    if (is_its_own)
      results_[at] = std::move(told);
    else
      keep(at, std::move(told));
  }

  std::span<const sample> samples_;
  const campaign_plan& how_;
  std::vector<std::string> keys_;
  std::vector<std::optional<result<record>>> results_;
  std::vector<bool> is_earlier_;
  progress now_;
  std::size_t judged_ = 0, next_ = 0;
  bool keep_failed_ = false, take_failed_ = false;
};

}  // namespace campaign

// Judges every sample. A fault only when it was cancelled, or `keep` or `take`
// refused; the progress at the end otherwise.
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
  campaign::delivery all(samples, how, shared);
  const std::size_t jobs = std::min<std::size_t>(
      how.jobs > 0 ? static_cast<std::size_t>(how.jobs) : 1,
      shared.next.size());
  // 256 MB of references in all, 16 bytes an element.
  const auto cached = (std::int64_t{1} << 24) /
                      static_cast<std::int64_t>(std::max<std::size_t>(jobs, 1));

  progress last;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < jobs; ++i)
      threads.emplace_back([&] {
        campaign::work(shared, samples, known, how, cached);
      });

    std::unique_lock held(shared.lock);
    for (bool over = false; !over;) {
      std::vector<campaign::judged> made = std::exchange(shared.made, {});
      over = shared.idle == jobs;
      const std::size_t waiting = shared.next.size() + jobs - shared.idle;
      const reference_counts references = shared.references;
      held.unlock();
      for (campaign::judged& one : made) all.receive(std::move(one));
      all.hand_over(false);
      last = all.seen(elapsed(), waiting);
      last.references = references;
      if (how.watch) how.watch(last);
      if (!all.ended_by && !over && how.cancelled && how.cancelled())
        all.ended_by = fault{reason::cancelled, ""};
      held.lock();
      if (over) break;
      if (all.ended_by) {
        shared.ended = true;
        held.unlock();
        if (how.stop) how.stop();
        held.lock();
      }
      shared.changed.wait_for(held, std::chrono::milliseconds(200), [&] {
        return !shared.made.empty() || shared.idle == jobs;
      });
    }
  }
  all.hand_over(true);
  if (!all.ended_by) return last;
  if (all.ended_by->why == reason::cancelled)
    all.ended_by->what = "stopped after " + std::to_string(all.handed_over) +
                         " of " + std::to_string(samples.size()) + " outputs";
  return *all.ended_by;
}

}  // namespace skillbench
