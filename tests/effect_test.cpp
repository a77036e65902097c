#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/effect.hpp>

using namespace skillbench;

namespace {

struct pile {
  std::vector<record> records;

  pile& put(std::string task, bool with, outcome what, int times,
            std::int64_t tokens = 0, std::string model = "m") {
    for (int i = 0; i < times; ++i) {
      record one;
      one.of.model = model;
      one.of.task = task;
      one.of.arm = with ? arm_with : arm_without;
      one.of.skill = with ? "s" : "";
      one.what = what;
      if (tokens) one.of.output_tokens = tokens + i;
      records.push_back(one);
    }
    return *this;
  }
  pile& pass(std::string task, bool with, int passed, int of,
             std::int64_t tokens = 0, std::string model = "m") {
    put(task, with, outcome::correct, passed, tokens, model);
    return put(task, with, outcome::wrong, of - passed, tokens, model);
  }
  effect only() const {
    const auto all = effects_of(records);
    REQUIRE(all.size() == 1);
    return all[0];
  }
};

}  // namespace

TEST_CASE("effect: five of five against five of five says nothing") {
  const auto told = pile().pass("a", true, 5, 5).pass("a", false, 5, 5).only();
  CHECK(told.over_all.said == verdict::inconclusive);
  REQUIRE(told.over_all.missing.has_value());
  CHECK_FALSE(told.over_all.missing->seen);
  CHECK(words_of(told.over_all).starts_with(
      "inconclusive: 5 of 5 outputs are correct with the skill and 5 of 5 "
      "without: +0 points (95%: -46 to +46; p = 1.00). About "));
}

TEST_CASE("effect: a difference that is one") {
  const auto up = pile().pass("a", true, 18, 30).pass("a", false, 5, 30).only();
  CHECK(up.over_all.said == verdict::helps);
  CHECK_FALSE(up.over_all.missing.has_value());
  const auto down =
      pile().pass("a", true, 5, 30).pass("a", false, 18, 30).only();
  CHECK(down.over_all.said == verdict::hurts);
  CHECK(down.over_all.seen.difference->value ==
        -up.over_all.seen.difference->value);
}

TEST_CASE("effect: arms are compared within tasks") {
  // Summed, 20 of 40 against 20 of 40; in each task the skill is ahead, and the
  // arms took the tasks in other shares.
  pile p;
  p.pass("easy", true, 10, 10).pass("easy", false, 19, 30);
  p.pass("hard", true, 10, 30).pass("hard", false, 1, 10);
  const auto told = p.only();
  CHECK(told.over_all.with.correct == 20);
  CHECK(told.over_all.without.correct == 20);
  CHECK(told.over_all.seen.difference->value > 0.29);
  CHECK(told.over_all.said == verdict::helps);
}

TEST_CASE("effect: unjudged outputs are read both ways") {
  pile p;
  p.pass("a", true, 18, 30).pass("a", false, 5, 20);
  p.put("a", false, outcome::unjudged, 10);
  const auto told = p.only();
  CHECK(told.over_all.seen.said == verdict::helps);
  CHECK(told.over_all.at_worst.said == verdict::inconclusive);
  CHECK(told.over_all.at_best.said == verdict::helps);
  CHECK(told.over_all.said == verdict::inconclusive);
  CHECK(words_of(told.over_all).find(
            "10 more are unjudged, which decides: inconclusive at worst for the "
            "skill, helps at best") != std::string::npos);

  // All failed or all passed, the skill is ahead; only its own failed, it is not.
  pile both;
  both.pass("a", true, 10, 10).put("a", true, outcome::unjudged, 10);
  both.pass("a", false, 0, 10).put("a", false, outcome::unjudged, 10);
  CHECK(both.only().over_all.said == verdict::inconclusive);
}

TEST_CASE("effect: the same rate for more tokens") {
  // Narrow enough to say that nothing much is gained.
  pile p;
  p.pass("a", true, 300, 300, 2000).pass("a", false, 300, 300, 1000);
  const auto told = p.only();
  CHECK(told.over_all.said == verdict::costs_more_for_nothing);
  REQUIRE(told.over_all.token_ratio.has_value());
  CHECK(told.over_all.token_ratio->value > 1.8);
  CHECK(told.over_all.token_tasks == 1);
  CHECK(*told.over_all.cost_with.per_correct ==
        doctest::Approx(2149.5).epsilon(1e-9));

  // Cheaper, or the same within the noise, is no cost.
  pile cheap;
  cheap.pass("a", true, 300, 300, 900).pass("a", false, 300, 300, 1000);
  CHECK(cheap.only().over_all.said == verdict::inconclusive);

  // An unjudged output may have been a gain.
  pile open;
  open.pass("a", true, 150, 150, 2000).pass("a", false, 150, 150, 1000);
  open.put("a", true, outcome::unjudged, 50).pass("a", false, 0, 50);
  CHECK(open.only().over_all.seen.difference->at95.high < small_gain);
  CHECK(open.only().over_all.said == verdict::inconclusive);

  // With few draws the gain might be large: nothing is said.
  const auto few =
      pile().pass("a", true, 5, 5, 2000).pass("a", false, 5, 5, 1000).only();
  CHECK(few.over_all.said == verdict::inconclusive);
  CHECK(few.over_all.token_ratio->at95.low > 1);
}

TEST_CASE("effect: tokens that nobody reported are not zero") {
  const auto told = pile().pass("a", true, 1, 2).pass("a", false, 1, 2).only();
  CHECK_FALSE(told.over_all.token_ratio.has_value());
  CHECK(told.over_all.cost_with.counted == 0);
  CHECK_FALSE(told.over_all.cost_with.per_correct.has_value());
}

TEST_CASE("effect: pairs are those that samples declare") {
  pile p;
  p.pass("a", true, 8, 8).pass("a", false, 1, 8);
  CHECK_FALSE(p.only().over_all.paired.has_value());
  for (std::size_t i = 0; i < 16; ++i)
    p.records[i].of.pair = std::to_string(i % 8);
  const auto told = p.only();
  REQUIRE(told.over_all.paired.has_value());
  CHECK(told.over_all.paired->pairs == 8);
  CHECK(told.over_all.paired->only_with == 7);
  CHECK(told.over_all.paired->only_without == 0);
  CHECK(told.over_all.paired->p == doctest::Approx(0.015625));
  p.records[0].of.pair = "another";
  CHECK(p.only().over_all.paired->pairs == 7);
}

TEST_CASE("effect: many comparisons make each harder to win") {
  pile one, many;
  one.pass("t0", true, 9, 10).pass("t0", false, 3, 10);
  many = one;
  for (const char* task : {"t1", "t2", "t3", "t4", "t5", "t6"})
    many.pass(task, true, 5, 10).pass(task, false, 5, 10);
  CHECK(one.only().by_stratum[0].said == verdict::helps);
  const auto told = many.only();
  REQUIRE(told.by_stratum.size() == 7);
  CHECK(told.by_stratum[0].task == "t0");
  CHECK(told.by_stratum[0].seen.p < significance);
  CHECK(told.by_stratum[0].counted_p > significance);
  CHECK(told.by_stratum[0].said == verdict::inconclusive);
}

TEST_CASE("effect: models and skills") {
  pile p;
  p.pass("a", true, 18, 30, 0, "x").pass("a", false, 5, 30, 0, "x");
  p.pass("a", true, 5, 30, 0, "y").pass("a", false, 18, 30, 0, "y");
  const auto told = p.only();
  REQUIRE(told.by_model.size() == 2);
  CHECK(told.by_model[0].model == "x");
  CHECK(told.by_model[0].said == verdict::helps);
  CHECK(told.by_model[1].said == verdict::hurts);
  CHECK(told.over_all.said == verdict::inconclusive);

  // A second skill has the same baseline and an effect of its own.
  for (int i = 0; i < 30; ++i) {
    record one;
    one.of.model = "x";
    one.of.task = "a";
    one.of.arm = arm_with;
    one.of.skill = "other";
    one.what = outcome::correct;
    p.records.push_back(one);
  }
  const auto both = effects_of(p.records);
  REQUIRE(both.size() == 2);
  CHECK(both[0].skill == "other");
  CHECK(both[0].over_all.with.outputs == 30);
  CHECK(both[1].over_all.with.outputs == 60);
}

TEST_CASE("effect: skills side by side make each harder to win") {
  const auto all = [](int skills) {
    pile p;
    p.pass("a", true, 9, 10).pass("a", false, 3, 10);
    for (int skill = 1; skill < skills; ++skill)
      for (int i = 0; i < 10; ++i) {
        record one;
        one.of.model = p.records[0].of.model;
        one.of.task = "a";
        one.of.arm = arm_with;
        one.of.skill = "other " + std::to_string(skill);
        one.what = i < 4 ? outcome::correct : outcome::wrong;
        p.records.push_back(one);
      }
    for (const effect& each : effects_of(p.records))
      if (each.over_all.with.correct == 9) return each.over_all;
    return comparison{};
  };
  CHECK(all(1).said == verdict::helps);
  CHECK(all(10).seen.p == all(1).seen.p);
  CHECK(all(10).counted_p > significance);
  CHECK(all(10).said == verdict::inconclusive);
}

TEST_CASE("effect: an empty arm is not compared") {
  const auto told = pile().pass("a", true, 3, 3).only();
  CHECK(told.over_all.said == verdict::not_compared);
  CHECK(words_of(told.over_all) ==
        "not compared: there are 3 outputs with the skill and 0 without");
  CHECK(effects_of({}).empty());
  CHECK(effects_of(pile().pass("a", false, 3, 3).records).empty());
}

TEST_CASE("effect: what one arm alone did is in no sum") {
  pile both;
  both.pass("a", true, 6, 6).pass("a", false, 1, 6);
  const effect alone = both.only();
  for (const char* task : {"b", "c", "d"}) both.pass(task, false, 0, 6);
  both.pass("a", false, 6, 6, 0, "other");
  const effect told = both.only();
  CHECK(told.over_all.without.outputs == 6);
  CHECK(told.over_all.left_out == 24);
  CHECK(told.over_all.said == alone.over_all.said);
  CHECK(told.over_all.seen.p == alone.over_all.seen.p);
  CHECK(words_of(told.over_all).find("24 outputs are left out") !=
        std::string::npos);
  CHECK(words_of(alone.over_all).find("left out") == std::string::npos);
  // Rows that are not compared make none that is harder to win.
  for (const comparison& row : told.by_stratum)
    if (row.said != verdict::not_compared)
      CHECK(row.counted_p == alone.by_stratum.at(0).counted_p);
  REQUIRE(told.by_model.size() == 2);
  CHECK(told.by_model[1].said == verdict::not_compared);
  CHECK(told.by_model[1].without.outputs == 6);
  CHECK(told.by_model[1].left_out == 0);
}

TEST_CASE("effect: a curve of speed where every correct output has one") {
  const auto one = [](bool with, double times, bool predicted = false) {
    record made;
    made.of.arm = with ? arm_with : arm_without;
    made.of.task = "geglu";
    made.what = times > 0 ? outcome::correct : outcome::wrong;
    if (times > 0) made.against_baseline = speedup{times, predicted};
    return made;
  };
  std::vector<record> all{one(true, 2), one(true, 4), one(true, 0),
                          one(true, 0), one(false, 1), one(false, 1),
                          one(false, 0), one(false, 0)};
  const speed_seen seen = effects_of(all).at(0).over_all.speed;
  CHECK(seen.missing.empty());
  CHECK_FALSE(seen.predicted);
  REQUIRE(seen.with.size() == std::size(speed_steps));
  for (std::size_t i = 0; i < seen.with.size(); ++i) {
    const double p = speed_steps[i];
    CHECK(seen.with[i] == (p < 2 ? 0.5 : p < 4 ? 0.25 : 0.0));
    CHECK(seen.without[i] == (p < 1 ? 0.5 : 0.0));  // faster than, not as fast
  }
  REQUIRE(seen.ratio.has_value());
  CHECK(seen.ratio->value == doctest::Approx(std::sqrt(8.0)));
  CHECK(seen.tasks == 1);

  all[0].against_baseline->predicted = true;
  CHECK(effects_of(all).at(0).over_all.speed.predicted);
  // One without a time, and there is no curve: it would be of the others.
  all[1].against_baseline.reset();
  all[1].speed = "not measured: no GPU";
  CHECK(effects_of(all).at(0).over_all.speed.missing ==
        "not measured: no GPU (1 of 4 correct outputs)");
  for (record& each : all) each.what = outcome::wrong;
  CHECK(effects_of(all).at(0).over_all.speed.missing ==
        "not measured: no output is correct");
}

TEST_CASE("effect: pass@k is a mean over tasks, as far as all have draws") {
  std::vector<record> all;
  for (const char* task : {"a", "b"})
    for (const bool with : {true, false})
      for (int i = 0; i < 3; ++i) {
        record made;
        made.of.arm = with ? arm_with : arm_without;
        made.of.task = task;
        made.what = i == 0 && task[0] == 'a' ? outcome::correct
                                              : outcome::wrong;
        all.push_back(made);
      }
  const auto seen = effects_of(all).at(0).over_all.pass_at;
  REQUIRE(seen.size() == 2);  // k = 1, 2: five are not there
  CHECK(seen[0].with == doctest::Approx(1.0 / 6));
  CHECK(seen[1].k == 2);
  CHECK(seen[1].with == doctest::Approx((2.0 / 3) / 2));
}

TEST_CASE("effect: assertions are counted by arm") {
  std::vector<record> all(2);
  all[0].of.arm = arm_with;
  all[1].of.arm = arm_without;
  using verdict_of = assertion_result::verdict;
  all[0].assertions.push_back({assertion::type::no_torch, "no_torch",
                               verdict_of::passed, ""});
  all[1].assertions.push_back({assertion::type::no_torch, "no_torch",
                               verdict_of::not_judged, "why"});
  const auto seen = effects_of(all).at(0).assertions;
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].with.passed == 1);
  CHECK(seen[0].without.not_judged == 1);
  CHECK(seen[0].without.failed == 0);
}
