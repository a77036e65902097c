#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <skillbench/tuning.hpp>

using namespace skillbench;

namespace {

kernel_trial at(std::int64_t block, const std::string& layout,
                std::optional<double> ns, const std::string& outcome = "correct") {
  kernel_trial made;
  made.chosen = {{"BLOCK", block}, {"LAYOUT", layout}};
  made.outcome = outcome;
  made.reason = outcome == "correct" ? "" : outcome + " it is";
  made.nanoseconds = ns;
  return made;
}

}  // namespace

TEST_CASE("tuning: failures are counted by kind, with the first of each") {
  const std::vector<kernel_trial> all = {
      at(1, "row", 5), at(2, "row", {}, "wrong"), at(3, "row", {}, "faults"),
      at(4, "row", {}, "wrong")};
  const auto made = failures_of(all);
  REQUIRE(made.size() == 2);
  CHECK(made[0].outcome == "wrong");
  CHECK(made[0].count == 2);
  CHECK(made[0].first == all[1].chosen);
  CHECK(made[0].reason == "wrong it is");
  CHECK(made[1].count == 1);
}

TEST_CASE("tuning: a tunable that alone decides has all the importance") {
  std::vector<kernel_trial> all;
  for (const std::int64_t block : {1, 2, 3, 4})
    for (const char* layout : {"row", "column"})
      for (int again = 0; again < 2; ++again)
        all.push_back(at(block, layout, std::string(layout) == "row" ? 10 : 20));
  auto made = importance_of(all);
  REQUIRE(made.size() == 2);
  CHECK(made[0].name == "LAYOUT");
  CHECK(made[0].share == doctest::Approx(1));
  CHECK(made[1].share == 0);
  // As many values as trials explain everything by chance, and count for nothing.
  all.clear();
  for (std::int64_t block = 0; block < 8; ++block)
    all.push_back(at(block, "row", std::exp(static_cast<double>(block * 37 % 8))));
  made = importance_of(all);
  CHECK(made[0].share == 0);
  // Failures say nothing here, and neither do times that are all the same.
  all.push_back(at(1, "row", {}, "wrong"));
  CHECK(importance_of(all).size() == 2);
  for (kernel_trial& each : all)
    if (each.correct()) each.nanoseconds = 7;
  for (const tunable_share& each : importance_of(all)) CHECK(each.share == 0);
  CHECK(importance_of({}).empty());
}

TEST_CASE("tuning: the corrected share is what a hand gets") {
  // Logarithms 0 0 1 1 for BLOCK 1 1 2 2 but for one: 0 0 1 0.
  std::vector<kernel_trial> all = {at(1, "row", 1), at(1, "row", 1),
                                   at(2, "row", std::exp(1.0)),
                                   at(2, "row", 1)};
  // Inside: 0 and 0.5, over 4 - 2; total: 0.75 over 3.
  CHECK(importance_of(all)[0].share == doctest::Approx(1 - 0.25 / 0.25).epsilon(1e-9));
  all.push_back(at(2, "row", std::exp(1.0)));
  // Inside: 2/3 over 3; total: 5 values of mean 0.4, 1.2 over 4.
  CHECK(importance_of(all)[0].share ==
        doctest::Approx(1 - (2.0 / 3 / 3) / (1.2 / 4)));
}

TEST_CASE("tuning: times of the default and of the best are those of trials") {
  tuning_told told;
  CHECK_FALSE(told.default_nanoseconds());
  CHECK_FALSE(told.best_nanoseconds());
  told.trials = {{3.0, "correct"}, {{}, "wrong"}, {2.0, "correct"}};
  told.best = 2;
  CHECK(told.default_nanoseconds() == 3.0);
  CHECK(told.best_nanoseconds() == 2.0);
  told.best = 9;
  CHECK_FALSE(told.best_nanoseconds());
}
