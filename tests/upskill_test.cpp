#include <doctest/doctest.h>

#include <string>

#include <skillbench/effect.hpp>
#include <skillbench/upskill.hpp>

using namespace skillbench;

namespace {

upskill_run run(const char* arm, std::int64_t passed, std::int64_t total) {
  upskill_run made;
  made.name = std::string("batch/") + arm;
  made.model = "m";
  made.task = "write";
  made.arm = arm;
  made.skill = "s";
  made.assertions_passed = passed;
  made.assertions_total = total;
  made.turns = total;
  for (std::int64_t i = 0; i < total; ++i) {
    made.tests.push_back({10 + i, 100, 1});
    made.input_tokens += 10 + i;
    made.output_tokens += 100;
  }
  made.total_tokens = made.input_tokens + made.output_tokens;
  return made;
}

}  // namespace

TEST_CASE("upskill: a run becomes a record for each assertion") {
  imported_runs made;
  add_run(run("with_skill", 2, 3), made);
  add_run(run("with_skill", 1, 1), made);
  add_run(run("baseline", 0, 1), made);
  REQUIRE(made.records.size() == 5);
  CHECK(made.runs == 3);
  CHECK(made.records[0].of.id == "batch/with_skill/1");
  CHECK(made.records[0].what == outcome::correct);
  CHECK(made.records[1].what == outcome::correct);
  CHECK(made.records[2].what == outcome::wrong);
  CHECK(made.records[2].reason == "one of 1 failed assertions of 3");
  CHECK(made.records[2].of.input_tokens == 12);
  CHECK(made.records[2].of.output_tokens == 100);
  CHECK(made.records[2].of.turns == 1);
  CHECK(made.records[2].of.draw == 2);
  CHECK(made.records[3].of.draw == 3);  // goes on in the next run
  CHECK(made.records[4].of.draw == 0);
  CHECK(made.records[0].of.skill == "s");
  CHECK(made.records[4].of.skill.empty());
  CHECK(made.records[0].speed.starts_with("not measured"));
}

TEST_CASE("upskill: tokens that cannot be shared out are not reported") {
  imported_runs made;
  upskill_run old = run("with_skill", 3, 3);
  old.tests.clear();
  add_run(old, made);
  CHECK_FALSE(made.records[0].of.input_tokens.has_value());
  CHECK(made.without_tokens == 1);
  upskill_run single = run("with_skill", 1, 1);
  single.tests.clear();
  add_run(single, made);
  CHECK(made.records[3].of.input_tokens == 10);
  CHECK(made.without_tokens == 1);
}

TEST_CASE("upskill: a run that was never answered is no run of the model") {
  imported_runs made;
  upskill_run failed = run("with_skill", 0, 4);
  failed.error = "429 Too Many Requests";
  add_run(failed, made);
  upskill_run silent = run("baseline", 0, 5);
  silent.tests.clear();
  silent.turns = silent.input_tokens = silent.output_tokens =
      silent.total_tokens = 0;
  add_run(silent, made);
  add_run(run("baseline", 0, 0), made);
  CHECK(made.records.empty());
  CHECK(made.runs == 0);
  REQUIRE(made.unanswered.size() == 3);
  CHECK(made.unanswered[0].assertions == 4);
  CHECK(made.unanswered[0].why.find("429") != std::string::npos);
  CHECK(made.unanswered[1].assertions == 5);
  CHECK(made.troubles.empty());
  // Wrong answers are the model's.
  add_run(run("baseline", 0, 5), made);
  CHECK(made.records.size() == 5);
  CHECK(made.hidden_calls == 0);
}

TEST_CASE("upskill: calls that may have failed within a run are counted") {
  imported_runs made;
  upskill_run some = run("with_skill", 2, 5);
  some.turns = 3;
  add_run(some, made);
  CHECK(made.hidden_calls == 2);
  some.turns = 0;
  add_run(some, made);
  CHECK(made.hidden_calls == 5);  // no more than failed
}

TEST_CASE("upskill: counts that make no sense are refused") {
  for (const auto& [passed, total] :
       {std::pair{4, 3}, std::pair{-1, 3}, std::pair{0, -1},
        std::pair{0, 10'001}}) {
    imported_runs made;
    upskill_run odd = run("with_skill", 1, 1);
    odd.assertions_passed = passed;
    odd.assertions_total = total;
    add_run(odd, made);
    CHECK(made.records.empty());
    CHECK(made.troubles.size() == 1);
  }
  imported_runs made;
  add_run(run("with skill", 1, 1), made);
  CHECK(made.troubles.size() == 1);
}

TEST_CASE("upskill: five of five against five of five is inconclusive") {
  imported_runs made;
  add_run(run("baseline", 5, 5), made);
  add_run(run("with_skill", 5, 5), made);
  const auto effects = effects_of(made.records);
  REQUIRE(effects.size() == 1);
  CHECK(effects[0].over_all.said == verdict::inconclusive);
  CHECK(effects[0].over_all.cost_with.counted == 5);
  CHECK(effects[0].over_all.cost_with.tokens == 560);
}
