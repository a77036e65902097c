#include <skillbench/record.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace skillbench;

namespace {

timed_case timed(double candidate, double baseline, bool fake = false) {
  timed_case made;
  made.fake = fake;
  for (std::uint64_t round = 0; round < 3; ++round)
    for (const bool of_baseline : {false, true}) {
      if (of_baseline && !(baseline > 0)) continue;
      timed_sample one;
      one.round = round;
      one.of_baseline = of_baseline;
      one.nanoseconds = of_baseline ? baseline : candidate;
      made.samples.push_back(one);
    }
  return made;
}

}  // namespace

TEST_CASE("record: a speed-up is the geometric mean over the cases that were timed beside a baseline") {
  const std::vector<timed_case> both{timed(100, 200), timed(100, 800)};
  const auto made = speedup_of(both);
  REQUIRE(made);
  CHECK(made->times == doctest::Approx(4));
  CHECK(!made->predicted);
}

TEST_CASE("record: no speed-up without a baseline, without samples or by a stand-in's clock") {
  CHECK(!speedup_of({}));
  CHECK(!speedup_of(std::vector{timed(100, 0)}));
  CHECK(!speedup_of(std::vector{timed_case{}}));
  CHECK(!speedup_of(std::vector{timed(100, 200, true)}));
  // Beside others, too: a mean of some element types is not one of all.
  CHECK(!speedup_of(std::vector{timed(100, 200), timed(100, 0)}));
  CHECK(!speedup_of(std::vector{timed(100, 200), timed_case{}}));
}
