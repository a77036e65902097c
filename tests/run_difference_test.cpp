#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/run_difference.hpp>

using namespace skillbench;

namespace {

void put(std::vector<record>& to, const std::string& task, int correct, int of,
         int unjudged = 0) {
  for (int i = 0; i < of + unjudged; ++i) {
    record one;
    one.of.model = "m";
    one.of.task = task;
    one.of.arm = "with_skill";
    one.what = i < correct ? outcome::correct
               : i < of    ? outcome::wrong
                           : outcome::unjudged;
    to.push_back(one);
  }
}

}  // namespace

TEST_CASE("run_difference: better, worse, within noise") {
  std::vector<record> before, after;
  put(before, "a", 2, 30);
  put(after, "a", 25, 30);
  put(before, "b", 28, 30);
  put(after, "b", 3, 30);
  put(before, "c", 15, 30);
  put(after, "c", 17, 30);
  put(before, "gone", 1, 2);
  put(after, "new", 1, 2);
  const run_change told = change_between(before, after);
  REQUIRE(told.groups.size() == 3);
  CHECK(told.only_before == 1);
  CHECK(told.only_after == 1);
  CHECK(told.groups[0].said == change_verdict::better);
  CHECK(told.groups[1].said == change_verdict::worse);
  CHECK(told.groups[2].said == change_verdict::within_noise);
  CHECK(told.over_all.said == change_verdict::within_noise);
  CHECK(told.over_all.before.outputs == 90);
  REQUIRE(told.noise_before.has_value());
  CHECK(*told.noise_before > 0);
  CHECK(*told.noise_before < 0.5);
}

TEST_CASE("run_difference: many groups, so a p of each counts for less") {
  std::vector<record> before, after;
  for (int i = 0; i < 20; ++i) {
    put(before, std::to_string(i), i == 0 ? 4 : 5, 10);
    put(after, std::to_string(i), i == 0 ? 9 : 5, 10);
  }
  const run_change told = change_between(before, after);
  CHECK(told.groups[0].seen.p < 0.05);
  CHECK(told.groups[0].counted_p > 0.05);
  CHECK(told.groups[0].said == change_verdict::within_noise);
}

TEST_CASE("run_difference: the sum of several groups is one row more") {
  std::vector<record> before, after;
  for (const char* task : {"a", "b"}) {
    put(before, task, 10, 20);
    put(after, task, 13, 20);
  }
  const run_change told = change_between(before, after);
  CHECK(told.over_all.counted_p ==
        doctest::Approx(3 * told.over_all.seen.p));  // the least of three
  std::vector<record> one_before, one_after;
  put(one_before, "a", 2, 30);
  put(one_after, "a", 25, 30);
  const run_change one = change_between(one_before, one_after);
  CHECK(one.over_all.counted_p == one.over_all.seen.p);
  CHECK(one.over_all.said == change_verdict::better);
}

TEST_CASE("run_difference: what is unjudged decides nothing") {
  std::vector<record> before, after;
  put(before, "a", 25, 30);
  put(after, "a", 3, 6, 24);
  CHECK(change_between(before, after).groups[0].said ==
        change_verdict::within_noise);
}

TEST_CASE("run_difference: nothing in common") {
  std::vector<record> before, after;
  put(before, "a", 1, 1);
  put(after, "b", 1, 1);
  const run_change told = change_between(before, after);
  CHECK(told.groups.empty());
  CHECK_FALSE(told.noise_before.has_value());
}
