// Timing of candidates, on the stand-in and its count of instructions, and on a
// device that lies.
#include <skillbench/time.hpp>

#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <skillbench/compile.hpp>
#include <skillbench/evaluate.hpp>

#include "copy_family.hpp"
#include "stand_in_kit.hpp"

using namespace skillbench;

namespace {

std::string source(const std::string& called) {
  return "/* skillbench\n"
         "{\"family\": \"copy\", \"entry\": \"" + called + "<{T}>\",\n"
         " \"args\": [\"x\", \"y\", \"n\"], \"grid\": [\"1\"],\n"
         " \"block\": [\"64\"], \"shared_bytes\": \"0\"}\n"
         "*/\n"
         "template <typename T>\n"
         "__global__ void " + called + "(const T* x, T* y, int n) {\n"
         "  if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x];\n"
         "}\n";
}

family copies() {
  family made = kit::copy_family();
  made.baseline = source("yardstick");
  return made;
}

// One candidate and its baseline, compiled.
struct ready {
  family of = copies();
  read_result ours, theirs;
  setting chosen, their_setting;
  image made, their_image;
  ready(device& on, const std::string& called = "ours") {
    excerpt from;
    from.source = source(called);
    ours = read_candidate(from, std::span(&of, 1), of);
    from.source = of.baseline;
    theirs = read_candidate(from, std::span(&of, 1), of);
    REQUIRE(ours.found);
    REQUIRE(theirs.found);
    made = on.compile(plan_compile(*ours.found, chosen, element::f32)).value();
    their_image = on.compile(plan_compile(*theirs.found, their_setting, element::f32)).value();
    REQUIRE(made.ok);
    REQUIRE(their_image.ok);
  }
  timed time(device& on, measuring how = {}) const {
    how.limits.fewest = 10;
    how.limits.most = 40;
    return time_case({&*ours.found, &chosen, &made}, {&*theirs.found, &their_setting, &their_image}, of, of.cases.back(), element::f32, on, 3, how);
  }
};

// Answers for time() what a test says; right outputs unless told otherwise.
struct telling : kit::copy_device {
  double nanoseconds = 1e6;
  bool fake = false;
  std::uint64_t not_kept = 0;
  std::function<void(std::string&)> spoil;
  bool measures() const override { return true; }
  result<timing_report> time(const timing_request& asked) override {
    timing_report told;
    told.told.timer = "events";
    told.told.fake = fake;
    told.rates = {.bytes_per_second = 1e9, .operations_per_second = 1e15, .cache_bytes = 0};
    told.not_kept = not_kept;
    for (std::uint64_t i = 0; i < 40; ++i) {
      timed_sample one;
      one.round = i / 4;
      one.of_baseline = i % 4 == 1 || i % 4 == 2;
      one.nanoseconds = one.of_baseline ? 2 * nanoseconds : nanoseconds;
      told.told.samples.push_back(one);
    }
    for (std::uint64_t set = 0; set < asked.candidate.sets.size(); ++set) {
      run_report right = ran(asked.candidate.sets[set]);
      if (spoil && set == 2) spoil(right.outputs[0].bytes);
      told.outputs.push_back({set, 5, std::move(right.outputs)});
    }
    return told;
  }
};

}  // namespace

TEST_CASE("time: a slowdown of 3% is seen on the stand-in, and no change is not") {
  const kit::stand_in here("slowdown");
  const auto on = kit::worker();
  const ready both(*on);
  const timed same = both.time(*on);
  REQUIRE_MESSAGE(same.told.why_not.empty(), same.told.why_not);
  CHECK(same.findings.empty());
  CHECK(same.told.fake);
  CHECK(same.told.timer == "events");
  CHECK(same.told.baseline == "baseline.cu");
  CHECK_FALSE(same.told.stopped.empty());
  CHECK(same.told.verified_rows > 0);
  CHECK_FALSE(differs(speed_ratio(same.told)));

  here.ask("slow 1.03 ours\n");
  const timed slower = both.time(*on);
  REQUIRE_MESSAGE(slower.told.why_not.empty(), slower.told.why_not);
  const centre ratio = speed_ratio(slower.told);
  CHECK(differs(ratio));
  CHECK(ratio.median == doctest::Approx(1 / 1.03).epsilon(0.005));
}

TEST_CASE("time: calls are A B B A, through sets of contents in turn") {
  const kit::stand_in here("order");
  const auto on = kit::worker();
  const ready both(*on);
  const timed seen = both.time(*on);
  REQUIRE(seen.told.samples.size() >= 40);
  std::uint64_t sets = 0;
  for (std::size_t i = 0; i < seen.told.samples.size(); ++i) {
    const timed_sample& each = seen.told.samples[i];
    CHECK(each.of_baseline == (i % 4 == 1 || i % 4 == 2));
    CHECK(each.round == i / 4);
    CHECK(each.nanoseconds > 0);
    sets |= 1u << each.contents;
  }
  CHECK(sets == (1u << timed_sets) - 1);
}

TEST_CASE("time: a call that does nothing, or goes wrong, is a finding and no speed") {
  const kit::stand_in here("idle");
  const auto on = kit::worker();
  const ready both(*on);
  here.ask("skip ours\n");
  const timed idle = both.time(*on);
  REQUIRE(idle.findings.size() == 1);
  CHECK(idle.findings[0].kind == code::unwritten_output);
  CHECK(idle.findings[0].what.find("in a timed call: ") == 0);
  CHECK_FALSE(idle.told.why_not.empty());
  here.ask("fail 700 ours\n");
  const timed dead = both.time(*on);
  REQUIRE(dead.findings.size() == 1);
  CHECK(outcome_of(dead.findings[0].kind) == outcome::faults);
}

TEST_CASE("time: hot and sustained are told apart from cold") {
  const kit::stand_in here("hot");
  const auto on = kit::worker();
  const ready both(*on);
  measuring how;
  how.cold = false;
  how.sustained_seconds = 0.05;
  const timed seen = both.time(*on, how);
  REQUIRE_MESSAGE(seen.told.why_not.empty(), seen.told.why_not);
  CHECK_FALSE(seen.told.cold);
  CHECK(seen.told.no_metrics == "a stand-in for the driver has no counters");
  CHECK(seen.told.resident.find("32 CTAs of 64 threads and 32 registers, 64 warps") != std::string::npos);
  REQUIRE(seen.told.sustained);
  CHECK(*seen.told.sustained > 0);
}

TEST_CASE("time: an output of any timed call is held to the reference") {
  telling on;
  const ready both(on);
  CHECK(both.time(on).findings.empty());
  on.spoil = [](std::string& bytes) { bytes[17] = static_cast<char>(bytes[17] ^ 0x40); };
  const timed spoilt = both.time(on);
  REQUIRE(spoilt.findings.size() == 1);
  CHECK(spoilt.findings[0].kind == code::wrong_value);
  CHECK(spoilt.findings[0].what.find("in a timed call: ") == 0);
  on.spoil = nullptr;
  on.not_kept = 1;
  CHECK(both.time(on).told.why_not.find("other bits") != std::string::npos);
}

TEST_CASE("time: faster than physics is impossible_time, unless the clock is a fake") {
  telling on;
  const ready both(on);
  on.nanoseconds = 400;  // 256 bytes in and 256 out at 1 GB/s take 512 ns
  const timed fast = both.time(on);
  REQUIRE(fast.findings.size() == 1);
  CHECK(fast.findings[0].kind == code::impossible_time);
  CHECK(fast.findings[0].weight == severity::cheats);
  CHECK(fast.told.floor == doctest::Approx(512));
  on.fake = true;
  CHECK(both.time(on).findings.empty());
  on.fake = false;
  on.nanoseconds = 600;
  CHECK(both.time(on).findings.empty());
}

TEST_CASE("time: evaluate times what is correct, and says why there is no speed") {
  telling on;
  const std::vector<family> known{copies()};
  const auto timed_one = evaluate(kit::copy_sample(), known, on, {});
  REQUIRE(timed_one);
  CHECK(timed_one.value().what == outcome::correct);
  CHECK(timed_one.value().timings.size() == 3);
  CHECK(timed_one.value().speed == "2.00 times the baseline in float, 2.00 times the baseline in half, 2.00 times the baseline in bfloat16");

  on.nanoseconds = 1;
  const auto cheat = evaluate(kit::copy_sample(), known, on, {});
  REQUIRE(cheat);
  CHECK(cheat.value().what == outcome::cheats);
  CHECK(cheat.value().speed == "not measured: cheats");

  kit::copy_device plain;
  plan how;
  how.no_gpu = "no GPU can be used: there is no driver";
  const auto none = evaluate(kit::copy_sample(), known, plain, how);
  REQUIRE(none);
  CHECK(none.value().timings.empty());
  CHECK(none.value().speed == "not measured: no GPU can be used: there is no driver");

  on.nanoseconds = 1e6;
  std::vector<family> bare{kit::copy_family()};
  const auto alone = evaluate(kit::copy_sample(), bare, on, {});
  REQUIRE(alone);
  CHECK(alone.value().timings[0].baseline == "none: the family has no baseline");
}

TEST_CASE("time: rows are drawn once each, and all of few") {
  CHECK(timing_words::drawn_rows(3, 256, 1) == std::vector<std::int64_t>{0, 1, 2});
  const auto rows = timing_words::drawn_rows(100'000, 256, 1);
  CHECK(rows.size() == 256);
  for (std::size_t i = 1; i < rows.size(); ++i) CHECK(rows[i] > rows[i - 1]);
  CHECK(rows != timing_words::drawn_rows(100'000, 256, 2));
}

TEST_CASE("time: what was not measured is said for each element type") {
  timed_case fine, none;
  fine.element_type = "float";
  fine.samples.resize(2);
  fine.samples[0].nanoseconds = fine.samples[1].nanoseconds = 1500;
  none.element_type = "half";
  none.why_not = "too slow";
  CHECK(speed_words(std::vector{fine, none}) == "1.5 us in float; not measured: half: too slow");
  CHECK(speed_words(std::vector{none}) == "not measured: half: too slow");
  CHECK(speed_words({}) == "not measured: nothing was timed");
  fine.fake = true;
  CHECK(speed_words(std::vector{fine}).find("not measured: the clock is a stand-in's") == 0);
}
