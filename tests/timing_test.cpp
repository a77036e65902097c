#include <skillbench/timing.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <skillbench/inputs.hpp>

using namespace skillbench;

namespace {

// Uniform in [-1, 1), the same for each number.
double noise(std::uint64_t number) { return static_cast<double>(mix(7, number) >> 11) * 0x1p-52 - 1.0; }

// Rounds of A B B A whose clock drifts by `drift` a call and whose samples have a
// relative noise; the candidate takes `ours` and the baseline `theirs`.
std::vector<timed_sample> rounds(std::uint64_t count, double ours, double theirs, double relative, double drift = 0, std::uint64_t seed = 0) {
  std::vector<timed_sample> made;
  for (std::uint64_t round = 0; round < count; ++round)
    for (int step = 0; step < 4; ++step) {
      timed_sample one;
      one.of_baseline = step == 1 || step == 2;
      one.round = round;
      const double n = static_cast<double>(made.size());
      one.nanoseconds = (one.of_baseline ? theirs : ours) * (1 + drift * n) * (1 + relative * noise(seed * 1'000'003 + made.size()));
      made.push_back(one);
    }
  return made;
}

}  // namespace

TEST_CASE("timing: the median and its interval are order statistics") {
  std::vector<double> values;
  for (int i = 1; i <= 100; ++i) values.push_back(i);
  const centre seen = centre_of(values);
  CHECK(seen.median == 50.5);
  CHECK(seen.low == 40);
  CHECK(seen.high == 61);
  CHECK(seen.least == 1);
  CHECK(seen.most == 100);
  CHECK(seen.count == 100);
  CHECK(centre_of(std::vector<double>{3, 1, 2}).median == 2);
  CHECK(centre_of({}).count == 0);
  CHECK(std::isinf(centre_of(std::vector<double>{1, 1, 1, 1, 1}).noise()));
}

TEST_CASE("timing: the interval of the median holds the truth about 95 times in 100") {
  int held = 0;
  for (std::uint64_t trial = 0; trial < 1000; ++trial) {
    std::vector<double> values;
    for (std::uint64_t i = 0; i < 25; ++i) values.push_back(noise(trial * 100 + i));
    const centre seen = centre_of(values);
    held += seen.low <= 0 && 0 <= seen.high;
  }
  CHECK(held >= 935);
  CHECK(held <= 990);
}

TEST_CASE("timing: a ratio is of one round, and a drift falls out of it") {
  const auto drifting = rounds(20, 1000, 1500, 0, 0.002);
  for (const double ratio : ratios_of(drifting)) CHECK(ratio == doctest::Approx(1.5).epsilon(1e-9));
  auto torn = drifting;
  torn.pop_back();  // the last round is not whole
  CHECK(ratios_of(torn).size() == 19);
  CHECK(ratios_of({}).empty());
}

TEST_CASE("timing: a slowdown of 3% is seen, and none is not") {
  int seen = 0, imagined = 0;
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    seen += differs(centre_of(ratios_of(rounds(20, 1030, 1000, 0.01, 0.0005, trial))));
    imagined += differs(centre_of(ratios_of(rounds(20, 1000, 1000, 0.01, 0.0005, trial))));
  }
  CHECK(seen == 200);
  CHECK(imagined <= 4);
}

TEST_CASE("timing: it goes on until the noise is low, falls no more, or a limit is reached") {
  const stopping limits{.fewest = 10, .most = 100, .noise = 0.005, .seconds = 10};
  CHECK(next_step({}, 0, limits) == go_on::yes);
  CHECK(next_step(rounds(9, 1, 1, 0), 0, limits) == go_on::yes);
  CHECK(next_step(rounds(10, 1, 1, 0), 0, limits) == go_on::quiet_enough);
  CHECK(next_step(rounds(10, 1, 1, 0.2), 0, limits) == go_on::yes);
  CHECK(next_step(rounds(10, 1, 1, 0.2), 11, limits) == go_on::no_time);
  CHECK(next_step(rounds(9, 1, 1, 0.2), 11, limits) == go_on::yes);
  CHECK(next_step(rounds(3, 1, 1, 0.2), 41, limits) == go_on::no_time);
  CHECK(next_step(rounds(100, 1, 1, 0.2), 0, limits) == go_on::most_rounds);
  // Two levels, each call on one or the other: more rounds do not help.
  auto levels = rounds(80, 1, 1, 0);
  for (auto& each : levels)
    if (!each.of_baseline && each.round % 2) each.nanoseconds = 1.5;
  CHECK(next_step(levels, 0, limits) == go_on::not_falling);
  for (const go_on why : {go_on::yes, go_on::quiet_enough, go_on::not_falling, go_on::most_rounds, go_on::no_time}) CHECK(std::string(words(why)) != "unknown");
}

TEST_CASE("timing: without a baseline the times themselves are watched") {
  std::vector<timed_sample> alone;
  for (std::uint64_t i = 0; i < 20; ++i) {
    timed_sample one;
    one.round = i / 2;
    one.nanoseconds = 100;
    alone.push_back(one);
  }
  CHECK(ratios_of(alone).empty());
  CHECK(noise_of(alone) == 0);
  CHECK(times_of(alone, true).empty());
  CHECK(times_of(alone, false).size() == 20);
}

TEST_CASE("timing: the floor is the slower of memory and arithmetic") {
  const machine_rates on{.bytes_per_second = 1e12, .operations_per_second = 1e15, .cache_bytes = 1e6};
  CHECK(floor_of(1e9, 0, 0, on, true) == doctest::Approx(1e6));
  // What the cache can hold of the outputs need not reach memory in time.
  CHECK(floor_of(0, 3e6, 0, on, true) == doctest::Approx(2e3));
  CHECK(floor_of(0, 1e6, 0, on, true) == 0);
  // With caches as they come the inputs may lie there.
  CHECK(floor_of(1e9, 1e9, 0, on, false) == 0);
  CHECK(floor_of(1e3, 0, 1e12, on, true) == doctest::Approx(1e6));
  CHECK(floor_of(1e9, 1e9, 1e12, {}, true) == 0);
}

TEST_CASE("timing: what binds a case is what takes longer, and how near it is") {
  timed_case of;
  of.samples.resize(2);
  of.samples[0].nanoseconds = of.samples[1].nanoseconds = 1000;
  CHECK(roof_of(of).bound == roof::by::nothing);
  of.bytes = 1e6;
  of.operations = 1e6;
  of.peak_bytes = 2e12;
  of.peak_operations = 1e15;
  CHECK(roof_of(of).bound == roof::by::memory);
  CHECK(roof_of(of).share == doctest::Approx(0.5));
  of.operations = 9e8;
  CHECK(roof_of(of).bound == roof::by::arithmetic);
  CHECK(roof_of(of).share == doctest::Approx(0.9));
  CHECK(roof_of(of).bytes == doctest::Approx(1e12));
}

TEST_CASE("timing: a library's time stands beside the candidate's by what both were paired with") {
  timed_case one;
  one.test_case = "wide";
  one.element_type = "half";
  one.samples = rounds(10, 2000, 4000, 0);
  one.bytes = 6'000'000;
  one.peak_bytes = 3.35e12;
  CHECK(words_of(one) == "wide in half: 2.0 us, 3000 GB/s; baseline 4.0 us, 1500 GB/s");
  CHECK_FALSE(against_vendor(one));
  one.vendor.emplace().name = "cuDNN 9.19.0, layer norm";
  one.vendor->samples = rounds(10, 1100, 4400, 0);  // clocks were lower by a tenth
  REQUIRE(against_vendor(one));
  CHECK(*against_vendor(one) == doctest::Approx(0.5));
  CHECK(words_of(one) == "wide in half: 2.0 us, 3000 GB/s; baseline 4.0 us, 1500 GB/s; cuDNN 9.19.0, layer norm 1.1 us, 5455 GB/s (the candidate 0.50 times as fast)");
  one.operations = 1.2e9;
  one.peak_operations = 1e15;
  one.bytes = 6'000;
  CHECK(words_of(one).find("wide in half: 2.0 us, 600 TFLOP/s; baseline 4.0 us, 300 TFLOP/s") == 0);
  one.vendor->why_not = "there is none";
  CHECK_FALSE(against_vendor(one));
  CHECK(words_of(one).find("; cuDNN 9.19.0, layer norm not measured: there is none") != std::string::npos);
  one.fake = true;
  CHECK(words_of(one).find("wide in half: not measured: the clock is a stand-in's (it says 2.0 us") == 0);
  one.why_not = "too slow";
  CHECK(words_of(one) == "wide in half: not measured: too slow");
}

TEST_CASE("timing: two timers of a call agree or they do not") {
  CHECK(timers_agree(100'000, 99'000));
  CHECK(timers_agree(8'000, 3'000));
  CHECK_FALSE(timers_agree(90'000, 99'000));
  CHECK_FALSE(timers_agree(150'000, 100'000));
}
