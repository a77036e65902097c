#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <skillbench/campaign.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/store.hpp>

#include "copy_family.hpp"
#include "new_folder.hpp"

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

namespace {

// Its process is killed by somebody else as soon as it runs something.
struct killed_device : kit::copy_device {
  bool gone = false;
  result<run_report> run(const job&) override {
    gone = true;
    return fault{reason::child_died, "killed"};
  }
  bool killed() const override { return gone; }
};

}  // namespace

TEST_CASE("campaign: a fault of what is added leaves no record") {
  campaign_plan how = honest(2);
  int kept = 0;
  how.keep = [&](record&) -> result<done> { return ++kept, done{}; };
  how.add = [](const sample& of, record&) -> result<done> {
    if (of.id == samples(3)[1].id) return fault{reason::cancelled, "stopped"};
    return done{};
  };
  const auto told = run_campaign(samples(3), known(), how);
  REQUIRE(told);
  CHECK(told.value().faults == 1);
  CHECK(kept == 2);
}

TEST_CASE("campaign: who loses its worker to a kill is judged once more") {
  for (const int kills : {1, 2}) {
    campaign_plan how = honest(1);
    int made = 0, kept = 0;
    how.make_device = [&]() -> result<std::unique_ptr<device>> {
      if (made++ < kills)
        return std::unique_ptr<device>(std::make_unique<killed_device>());
      return std::unique_ptr<device>(std::make_unique<kit::copy_device>());
    };
    how.keep = [&](record&) -> result<done> { return ++kept, done{}; };
    const auto told = run_campaign(samples(1), known(), how);
    REQUIRE(told);
    CHECK(made == 2);
    CHECK(kept == 1);
    CHECK(told.value().correct == (kills == 1 ? 1 : 0));
    CHECK(told.value().reached.at(kills == 1 ? outcome::correct
                                             : outcome::unjudged) == 1);
  }
}

TEST_CASE("campaign: a worker that dies while it starts is started once more") {
  campaign_plan how = honest(1);
  int made = 0;
  const auto make = how.make_device;
  how.make_device = [&]() -> result<std::unique_ptr<device>> {
    if (made++ == 0) return fault{reason::child_died, "killed"};
    return make();
  };
  const auto told = run_campaign(samples(1), known(), how);
  REQUIRE(told);
  CHECK(told.value().correct == 1);
  CHECK(made == 2);
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

namespace {

std::string key_by_path(const sample& of) { return of.path; }

// Samples whose keys are these.
std::vector<sample> keyed(const std::vector<std::string>& keys) {
  auto made = samples(static_cast<int>(keys.size()));
  for (std::size_t i = 0; i < keys.size(); ++i) made[i].path = keys[i];
  return made;
}

using folder = new_folder;

}  // namespace

TEST_CASE("campaign: outputs with one key are judged once, each has a record") {
  campaign_plan how = honest(3);
  how.key = key_by_path;
  std::atomic<int> devices = 0;
  const auto make = how.make_device;
  how.make_device = [&] {
    ++devices;
    return make();
  };
  std::vector<std::string> kept, took;
  how.keep = [&](record& told) -> result<done> {
    kept.push_back(told.of.id);
    CHECK(told.key == told.of.path);
    if (told.of.id == "copy-0" || told.of.id == "copy-1") {
      CHECK(told.same_as.empty());
      CHECK_FALSE(told.seconds.empty());
    } else {
      CHECK(told.same_as == (told.key == "a" ? "copy-0" : "copy-1"));
      CHECK(told.seconds.empty());
    }
    CHECK(told.of.output.empty());
    CHECK(told.cases.size() > 0);
    told.cases.clear();
    return done{};
  };
  how.take = [&](const sample& of, const result<record>& one) -> result<done> {
    REQUIRE(one);
    CHECK(one.value().of.id == of.id);
    CHECK(one.value().cases.empty());  // `keep` may shorten a record
    took.push_back(of.id);
    return done{};
  };
  const auto told =
      run_campaign(keyed({"a", "b", "a", "a", "b"}), known(), how);
  REQUIRE(told);
  CHECK(told.value().all == 5);
  CHECK(told.value().done == 5);
  CHECK(told.value().correct == 5);
  CHECK(devices == 2);
  std::sort(kept.begin(), kept.end());
  CHECK(kept == std::vector<std::string>{"copy-0", "copy-1", "copy-2", "copy-3",
                                         "copy-4"});
  CHECK(took == kept);
}

TEST_CASE("campaign: without a key nothing is shared") {
  campaign_plan how = honest(1);
  std::atomic<int> devices = 0;
  const auto make = how.make_device;
  how.make_device = [&] {
    ++devices;
    return make();
  };
  how.key = [](const sample&) { return std::string(); };
  REQUIRE(run_campaign(samples(3), known(), how));
  CHECK(devices == 3);
}

TEST_CASE("campaign: what could not be tried is tried for the next repeat") {
  campaign_plan how = honest(2);
  how.key = key_by_path;
  std::atomic<int> devices = 0;
  const auto make = how.make_device;
  how.make_device = [&]() -> result<std::unique_ptr<device>> {
    if (++devices <= 2) return fault{reason::io, "out of processes"};
    return make();
  };
  std::vector<bool> fine;
  how.take = [&](const sample&, const result<record>& one) -> result<done> {
    fine.push_back(one.ok());
    if (one && fine.size() == 4) CHECK(one.value().same_as == "copy-2");
    return done{};
  };
  const auto told = run_campaign(keyed({"a", "a", "a", "a"}), known(), how);
  REQUIRE(told);
  CHECK(devices == 3);
  CHECK(fine == std::vector<bool>{false, false, true, true});
  CHECK(told.value().faults == 2);
  CHECK(told.value().done == 4);
}

TEST_CASE("campaign: a record is kept before its turn") {
  // The first sample ends only when the others have been kept.
  std::atomic<int> kept = 0, turn = 0;
  struct patient_device : kit::copy_device {
    const std::atomic<int>* others = nullptr;
    result<done> load(const std::string&) override {
      while (others != nullptr && *others < 3)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return done{};
    }
  };
  campaign_plan how = honest(2);
  how.make_device = [&]() -> result<std::unique_ptr<device>> {
    auto made = std::make_unique<patient_device>();
    if (turn++ == 0) made->others = &kept;
    return std::unique_ptr<device>(std::move(made));
  };
  how.keep = [&](record&) -> result<done> {
    ++kept;
    return done{};
  };
  int took = 0;
  how.take = [&](const sample&, const result<record>&) -> result<done> {
    CHECK(kept == 4);
    ++took;
    return done{};
  };
  REQUIRE(run_campaign(samples(4), known(), how));
  CHECK(took == 4);
}

TEST_CASE("campaign: what an earlier run knows is not judged") {
  const folder at;
  {
    auto kept = store::open(at.path.string());
    REQUIRE(kept);
    record one;
    one.of = kit::copy_sample();
    one.of.id = "copy-1";
    one.of.path = "another place";
    one.key = "b";
    one.what = outcome::unjudged;
    one.reason = "a hang";
    one.seconds = {{"check", 60.0}};
    REQUIRE(kept.value().append(write_record(one)));
    one.of.id = "gone";
    one.key = "c";
    one.what = outcome::wrong;
    REQUIRE(kept.value().append(write_record(one)));
  }
  auto earlier = earlier_records::read(at.path.string());
  REQUIRE(earlier);

  campaign_plan how = honest(2);
  how.key = key_by_path;
  how.earlier = &earlier.value();
  std::vector<std::string> kept;
  how.keep = [&](record& told) -> result<done> {
    kept.push_back(told.of.id);
    return done{};
  };
  std::map<std::string, record> took;
  how.take = [&](const sample& of, const result<record>& one) -> result<done> {
    REQUIRE(one);
    took[of.id] = one.value();
    return done{};
  };
  std::optional<std::size_t> waited_for;
  how.watch = [&](const progress& now) { waited_for = now.all; };
  const auto told = run_campaign(keyed({"a", "b", "c", "a"}), known(), how);
  REQUIRE(told);
  CHECK(told.value().earlier == 2);
  CHECK(told.value().done == 2);
  CHECK(waited_for == 2);
  REQUIRE(took.size() == 4);
  // The hang is not run again, and its record, being its own, not kept again.
  CHECK(took["copy-1"].reason == "a hang");
  CHECK(took["copy-1"].same_as.empty());
  CHECK(took["copy-1"].seconds.size() == 1);
  CHECK(took["copy-1"].of.path == "b");
  // The verdict on another sample's output is this one's too.
  CHECK(took["copy-2"].what == outcome::wrong);
  CHECK(took["copy-2"].same_as == "gone");
  CHECK(took["copy-2"].seconds.empty());
  CHECK(took["copy-0"].what == outcome::correct);
  std::sort(kept.begin(), kept.end());
  CHECK(kept == std::vector<std::string>{"copy-0", "copy-2", "copy-3"});

  // A folder that changed meanwhile is a fault of those samples alone.
  std::filesystem::remove_all(at.path);
  took.clear();
  std::size_t faults = 0;
  how.take = [&](const sample&, const result<record>& one) -> result<done> {
    faults += !one;
    return done{};
  };
  REQUIRE(run_campaign(keyed({"a", "b", "c", "a"}), known(), how));
  CHECK(faults == 2);
}

TEST_CASE("campaign: what cannot be kept is not taken, and ends it") {
  campaign_plan how = honest(1);
  std::vector<std::string> kept, took;
  how.keep = [&](record& told) -> result<done> {
    if (kept.size() == 2) return fault{reason::io, "the disk is full"};
    kept.push_back(told.of.id);
    return done{};
  };
  how.take = [&](const sample& of, const result<record>&) -> result<done> {
    took.push_back(of.id);
    return done{};
  };
  const auto told = run_campaign(samples(50), known(), how);
  REQUIRE_FALSE(told);
  CHECK(told.error().what == "the disk is full");
  CHECK(kept.size() == 2);
  CHECK(took == kept);
}

TEST_CASE("campaign: cancelled, what is done is kept and handed over") {
  // The first is stuck; the others end, and then somebody asks to stop.
  std::atomic<bool> stopped = false;
  std::atomic<int> turn = 0;
  struct stuck_device : kit::copy_device {
    std::atomic<bool>* until = nullptr;
    result<done> load(const std::string&) override {
      while (until != nullptr && !*until)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return done{};
    }
  };
  campaign_plan how = honest(2);
  how.make_device = [&]() -> result<std::unique_ptr<device>> {
    auto made = std::make_unique<stuck_device>();
    if (turn++ == 0) made->until = &stopped;
    return std::unique_ptr<device>(std::move(made));
  };
  std::vector<std::string> kept, took;
  how.keep = [&](record& told) -> result<done> {
    kept.push_back(told.of.id);
    return done{};
  };
  how.take = [&](const sample& of, const result<record>&) -> result<done> {
    took.push_back(of.id);
    return done{};
  };
  how.cancelled = [&] { return kept.size() >= 3; };
  how.stop = [&] { stopped = true; };
  const auto told = run_campaign(samples(4), known(), how);
  REQUIRE_FALSE(told);
  CHECK(told.error().why == reason::cancelled);
  CHECK(told.error().what == "stopped after 3 of 4 outputs");
  CHECK(kept.size() == 3);
  CHECK(took.size() == 3);
  CHECK(std::find(took.begin(), took.end(), "copy-0") == took.end());
}
