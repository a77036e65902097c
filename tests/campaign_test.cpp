#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <skillbench/campaign.hpp>
#include <skillbench/json_record.hpp>

#include "copy_family.hpp"

using namespace skillbench;

namespace {

const std::vector<family>& known() {
  static const std::vector<family> all{kit::copy_family()};
  return all;
}

std::vector<sample> samples(int count) {
  std::vector<sample> made;
  for (int i = 0; i < count; ++i) {
    made.push_back(kit::copy_sample());
    made.back().id = "copy-" + std::to_string(i);
  }
  return made;
}

campaign_plan honest(int jobs) {
  campaign_plan how;
  how.jobs = jobs;
  how.make_device = []() -> result<std::unique_ptr<device>> {
    return std::unique_ptr<device>(std::make_unique<kit::copy_device>());
  };
  return how;
}

// Earlier samples take longer, so that they end in the other order.
struct slow_device : kit::copy_device {
  explicit slow_device(int turn) : wait(turn) {}
  int wait;
  result<done> load(const std::string&) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
    return done{};
  }
};

}  // namespace

TEST_CASE("campaign: records come in the order of the samples") {
  const auto given = samples(9);
  std::atomic<int> turn = 0;
  campaign_plan how = honest(4);
  how.make_device = [&]() -> result<std::unique_ptr<device>> {
    return std::unique_ptr<device>(
        std::make_unique<slow_device>(20 - 2 * turn++));
  };
  std::vector<std::string> order;
  how.take = [&](const sample& of, const result<record>& one) -> result<done> {
    REQUIRE(one);
    CHECK(one.value().of.id == of.id);
    order.push_back(of.id);
    return done{};
  };
  const auto told = run_campaign(given, known(), how);
  REQUIRE(told);
  CHECK(told.value().all == 9);
  CHECK(told.value().done == 9);
  CHECK(told.value().correct == 9);
  REQUIRE(order.size() == 9);
  for (std::size_t i = 0; i < 9; ++i) CHECK(order[i] == given[i].id);
}

TEST_CASE("campaign: the number of jobs does not change a record") {
  const auto given = samples(6);
  const auto lines = [&](int jobs) {
    campaign_plan how = honest(jobs);
    std::string all;
    how.take = [&](const sample&, const result<record>& one) -> result<done> {
      record told = one.value();
      told.seconds.clear();
      all += write_record(told) + "\n";
      return done{};
    };
    REQUIRE(run_campaign(given, known(), how));
    return all;
  };
  const std::string alone = lines(1);
  CHECK(alone == lines(3));
  CHECK(alone == lines(100));
  CHECK_FALSE(alone.empty());
}

TEST_CASE("campaign: a sample that cannot be tried costs itself alone") {
  auto given = samples(5);
  given[2].task = "no such family";
  campaign_plan how = honest(2);
  std::vector<bool> fine;
  how.take = [&](const sample&, const result<record>& one) -> result<done> {
    fine.push_back(one.ok());
    return done{};
  };
  const auto told = run_campaign(given, known(), how);
  REQUIRE(told);
  CHECK(told.value().faults == 1);
  CHECK(told.value().correct == 4);
  CHECK(fine == std::vector<bool>{true, true, false, true, true});
}

TEST_CASE("campaign: a device that cannot be made is a fault of each sample") {
  campaign_plan how = honest(2);
  how.make_device = []() -> result<std::unique_ptr<device>> {
    return fault{reason::library_missing, "no toolkit"};
  };
  const auto told = run_campaign(samples(3), known(), how);
  REQUIRE(told);
  CHECK(told.value().faults == 3);
}

TEST_CASE("campaign: an exception is caught and told") {
  campaign_plan how = honest(2);
  how.make_device = []() -> result<std::unique_ptr<device>> {
    throw std::runtime_error("out of descriptors");
  };
  std::string said;
  how.take = [&](const sample&, const result<record>& one) -> result<done> {
    said = one.error().what;
    return done{};
  };
  REQUIRE(run_campaign(samples(1), known(), how));
  CHECK(said.find("out of descriptors") != std::string::npos);
}

TEST_CASE("campaign: what cannot be kept ends it") {
  campaign_plan how = honest(1);
  int taken = 0;
  how.take = [&](const sample&, const result<record>&) -> result<done> {
    if (++taken == 2) return fault{reason::io, "the disk is full"};
    return done{};
  };
  int devices = 0;
  const auto make = how.make_device;
  how.make_device = [&] {
    ++devices;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return make();
  };
  const auto told = run_campaign(samples(200), known(), how);
  REQUIRE_FALSE(told);
  CHECK(told.error().why == reason::io);
  CHECK(taken == 2);
  CHECK(devices < 200);
}

TEST_CASE("campaign: cancelled, it stops what is running and begins no more") {
  campaign_plan how = honest(2);
  std::atomic<bool> stopped = false;
  struct stuck_device : kit::copy_device {
    std::atomic<bool>& stopped;
    explicit stuck_device(std::atomic<bool>& flag) : stopped(flag) {}
    result<run_report> run(const job&) override {
      while (!stopped)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return fault{reason::child_died, "killed"};
    }
  };
  std::atomic<int> made = 0;
  how.make_device = [&]() -> result<std::unique_ptr<device>> {
    ++made;
    return std::unique_ptr<device>(std::make_unique<stuck_device>(stopped));
  };
  how.cancelled = [&] { return made == 2; };
  how.stop = [&] { stopped = true; };
  int taken = 0;
  how.take = [&](const sample&, const result<record>&) -> result<done> {
    ++taken;
    return done{};
  };
  const auto told = run_campaign(samples(50), known(), how);
  REQUIRE_FALSE(told);
  CHECK(told.error().why == reason::cancelled);
  CHECK(taken == 0);
  CHECK(made == 2);
}

TEST_CASE("campaign: progress grows to the end") {
  campaign_plan how = honest(3);
  std::vector<std::size_t> done_at;
  how.watch = [&](const progress& now) {
    CHECK(now.all == 7);
    CHECK(now.left.has_value() == (now.done > 0));
    done_at.push_back(now.done);
  };
  const auto last = run_campaign(samples(7), known(), how);
  REQUIRE(last);
  CHECK(std::is_sorted(done_at.begin(), done_at.end()));
  CHECK(done_at.back() == 7);
}

TEST_CASE("campaign: references are computed once for each thread, and counted") {
  const auto counted = [](int jobs, std::size_t count) {
    const auto last = run_campaign(samples(count), known(), honest(jobs));
    REQUIRE(last);
    return last.value().references;
  };
  const reference_counts one = counted(1, 1), seven = counted(1, 7);
  CHECK(one.computed > 0);
  CHECK(seven.computed == one.computed);
  CHECK(seven.used_again + seven.computed ==
        7 * (one.used_again + one.computed));
}

TEST_CASE("campaign: no samples are no trouble, no device is") {
  CHECK(run_campaign({}, known(), honest(2)));
  CHECK_FALSE(run_campaign(samples(1), known(), {}));
}
