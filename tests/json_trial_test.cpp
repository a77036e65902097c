#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/json_trial.hpp>

using namespace skillbench;

namespace {

kernel_trial right() {
  kernel_trial made;
  made.chosen = {{"BLOCK", 256}, {"V", -1}};
  made.outcome = "correct";
  made.nanoseconds = 1234.5678901234567;
  made.limited_by = "memory";
  made.occupancy = 0.75;
  made.registers = 40;
  made.compile_seconds = 0.5;
  return made;
}

kernel_trial failed(const std::string& outcome) {
  kernel_trial made;
  made.chosen = {{"BLOCK", 32}};
  made.outcome = outcome;
  made.reason = "a \"reason\"\nof two lines";
  return made;
}

}  // namespace

TEST_CASE("json_trial: a line of the journal comes back as it was") {
  for (const kernel_trial& each : {right(), failed("wrong")}) {
    const std::string line = write_trial("key", each);
    CHECK(line.find('\n') == std::string::npos);
    const auto back = read_trial(line);
    REQUIRE_MESSAGE(back.ok(), line);
    CHECK(back.value().first == "key");
    const kernel_trial& it = back.value().second;
    CHECK(it.chosen == each.chosen);
    CHECK(it.outcome == each.outcome);
    CHECK(it.reason == each.reason);
    CHECK(it.nanoseconds == each.nanoseconds);
    CHECK(it.limited_by == each.limited_by);
    CHECK(it.occupancy == each.occupancy);
    CHECK(it.registers == each.registers);
    CHECK(it.compile_seconds == each.compile_seconds);
  }
}

TEST_CASE("json_trial: a line that contradicts itself is refused") {
  std::string line = write_trial("key", right());
  const auto at = line.find("\"correct\"");
  line.replace(at, 9, "\"wrong\"");
  CHECK_FALSE(read_trial(line).ok());
  CHECK_FALSE(read_trial("{}").ok());
  CHECK_FALSE(read_trial("").ok());
  CHECK_FALSE(read_trial(R"({"trial_of":"k","setting":{"A":"x"},"outcome":"wrong"})").ok());
}

TEST_CASE("json_trial: T4 has what its schema asks for") {
  std::vector<kernel_trial> all = {right()};
  const std::vector<std::pair<std::string, std::string>> words = {
      {"does_not_compile", "compile"}, {"constraints", "constraints"},
      {"unjudged", "timeout"},         {"faults", "runtime"},
      {"does_not_fit", "runtime"},     {"wrong", "correctness"},
      {"cheats", "correctness"}};
  for (const auto& [outcome, invalidity] : words) all.push_back(failed(outcome));
  const auto made = json_text::tree(write_t4(all)).parse(nullptr);
  REQUIRE(made.ok());
  CHECK(made.value().find("schema_version")->text == "1.0.0");
  const auto& results = made.value().find("results")->items;
  REQUIRE(results.size() == all.size());
  CHECK(results[0].find("invalidity")->text == "correct");
  CHECK(results[0].find("correctness")->number == 1);
  CHECK(results[0].find("configuration")->find("BLOCK")->number == 256);
  CHECK(results[0].find("measurements")->items.at(0).find("name")->text ==
        "predicted_time");
  CHECK(results[0].find("times")->find("compilation_time")->number == 500);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto& each = results[i + 1];
    CHECK(each.find("invalidity")->text == words[i].second);
    CHECK(each.find("correctness")->number == 0);
    CHECK(each.find("measurements")->items.empty());
    CHECK(each.find("times")->kind == json_text::type::object);
  }
}
