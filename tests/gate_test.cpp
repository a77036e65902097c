#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include <skillbench/gate.hpp>

using namespace skillbench;

namespace {

// Records of one model and task: correct, wrong and unjudged ones of each arm.
std::vector<record> outputs(int with_correct, int with_wrong, int without_correct,
                            int without_wrong, int unjudged_with = 0) {
  std::vector<record> all;
  const auto add = [&](const char* arm, outcome what, int times) {
    for (int i = 0; i < times; ++i) {
      record one;
      one.of.model = "m";
      one.of.task = "t";
      one.of.arm = arm;
      one.what = what;
      all.push_back(one);
    }
  };
  add(arm_with, outcome::correct, with_correct);
  add(arm_with, outcome::wrong, with_wrong);
  add(arm_with, outcome::unjudged, unjudged_with);
  add(arm_without, outcome::correct, without_correct);
  add(arm_without, outcome::wrong, without_wrong);
  return all;
}

std::vector<gate_told> judged(const std::string& text,
                              const std::vector<record>& of) {
  const auto rules = read_gate(text);
  REQUIRE(rules.ok());
  const auto effects = effects_of(of);
  REQUIRE(effects.size() == 1);
  return judge_gate(rules.value(), effects[0].over_all);
}

std::string refusal(const std::string& text) {
  const auto rules = read_gate(text);
  REQUIRE_FALSE(rules.ok());
  CHECK(rules.error().why == reason::bad_input);
  return rules.error().what;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("gate: rules are read") {
  const auto rules = read_gate(" pass_rate >= 0.9,lift>0 and p<=.05 ");
  REQUIRE(rules.ok());
  REQUIRE(rules.value().size() == 3);
  CHECK(gate_measures[rules.value()[0].measure].name == "pass_rate");
  CHECK(rules.value()[0].op == ">=");
  CHECK(rules.value()[0].bound == 0.9);
  CHECK(rules.value()[0].text == "pass_rate >= 0.9");
  CHECK(rules.value()[1].op == ">");
  CHECK(rules.value()[1].bound == 0);
  CHECK(rules.value()[2].bound == 0.05);
  CHECK(read_gate("lift>=-0.1").value()[0].bound == -0.1);
  CHECK(read_gate("lift>=+0.1").value()[0].bound == 0.1);
}

TEST_CASE("gate: what is no rule is refused with its column") {
  CHECK(has(refusal(""), "column 1: a measure is expected; there are pass_rate"));
  CHECK(has(refusal("speed>1"), "column 1: there is no measure speed"));
  CHECK(has(refusal("lift"), "column 5: one of <, <="));
  CHECK(has(refusal("lift=>0"), "column 5: one of <, <="));
  CHECK(has(refusal("lift>"), "column 6: a number is expected"));
  CHECK(has(refusal("lift>x"), "column 6: a number"));
  CHECK(has(refusal("lift>nan"), "column 6: a number"));
  CHECK(has(refusal("lift>1e999"), "column 6: a number"));
  CHECK(has(refusal("pass_rate>90%"), "column 13: rates are between 0 and 1"));
  CHECK(has(refusal("lift>0 or p<1"), "column 8: a comma"));
  CHECK(has(refusal("lift>0,"), "column 8: a measure is expected"));
}

TEST_CASE("gate: rules are held against the records") {
  const auto of = outputs(9, 1, 2, 8);
  const auto told = judged(
      "pass_rate>=0.9, pass_rate>0.9, baseline_pass_rate==0.2, lift>0.69, "
      "lift_low>0, p<0.05, outputs!=10, compile_rate>=1",
      of);
  const bool expected[] = {true, false, true, true, true, true, false, true};
  for (std::size_t i = 0; i < told.size(); ++i) {
    INFO(told[i].words);
    CHECK(told[i].holds == expected[i]);
  }
  CHECK(told[0].words == "pass_rate>=0.9 holds: 0.9");
  CHECK(told[1].words == "pass_rate>0.9 fails: 0.9");
}

TEST_CASE("gate: what is not measured opens no gate") {
  const auto told = judged("lift<=1, lift>-2, token_ratio!=7", outputs(3, 0, 0, 0));
  for (const auto& each : told) {
    CHECK_FALSE(each.holds);
    CHECK(has(each.words, "fails: not measured"));
  }
}

TEST_CASE("gate: unjudged outputs are read both ways, and both must hold") {
  const auto of = outputs(5, 1, 2, 4, 4);  // 5 or 9 of 10
  CHECK_FALSE(judged("pass_rate>=0.8", of)[0].holds);
  CHECK_FALSE(judged("pass_rate<=0.8", of)[0].holds);
  CHECK(judged("pass_rate>=0.5", of)[0].holds);
  CHECK(has(judged("pass_rate>=0.8", of)[0].words,
            "0.5 or 0.9, by what is unjudged"));
  CHECK(judged("unjudged_rate==0.25", of)[0].holds);
}

TEST_CASE("gate: a rate of one arm is of all its outputs") {
  std::vector<record> of = outputs(10, 0, 5, 5);
  for (int i = 0; i < 10; ++i) {
    record one;
    one.of.model = "m";
    one.of.task = "without a baseline";
    one.of.arm = arm_with;
    one.what = i < 2 ? outcome::does_not_compile : outcome::wrong;
    of.push_back(one);
  }
  CHECK_FALSE(judged("pass_rate>=0.9", of)[0].holds);
  CHECK(judged("pass_rate==0.5", of)[0].holds);
  CHECK(judged("compile_rate==0.9", of)[0].holds);
  CHECK(judged("outputs==20", of)[0].holds);
  CHECK(judged("lift==0.5", of)[0].holds);  // of what both arms have
}
