#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include <skillbench/json_trial.hpp>

using namespace skillbench;

namespace {

kernel_trial right() {
  kernel_trial made;
  made.chosen = {{"BLOCK", 256}, {"V", -1}, {"FAST", true}, {"L", "a b"}};
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

TEST_CASE("json_trial: a measured time says by what clock") {
  kernel_trial measured = right();
  measured.clock = trial_clock::measured;
  measured.cut = true;
  measured.limit = 99.5;
  const std::string line = write_trial("key", measured);
  CHECK(line.find("predicted") == line.npos);
  const kernel_trial back = read_trial(line).value().second;
  CHECK((back.clock == trial_clock::measured));
  CHECK(back.cut);
  CHECK(back.limit == 99.5);
  CHECK(back.nanoseconds == measured.nanoseconds);
  CHECK((read_trial(write_trial("key", right())).value().second.clock ==
         trial_clock::predicted));
}

TEST_CASE("json_trial: a line that contradicts itself is refused") {
  std::string line = write_trial("key", right());
  const auto at = line.find("\"correct\"");
  line.replace(at, 9, "\"wrong\"");
  CHECK_FALSE(read_trial(line).ok());
  CHECK_FALSE(read_trial("{}").ok());
  CHECK_FALSE(read_trial("").ok());
  CHECK(read_trial(R"({"trial_of":"k","setting":{"A":"x"},"outcome":"wrong"})").ok());
  CHECK_FALSE(read_trial(R"({"trial_of":"k","setting":{"A":[1]},"outcome":"wrong"})").ok());
  CHECK_FALSE(read_trial(R"({"trial_of":"k","setting":{},"outcome":"correct","ns":5})").ok());
  CHECK_FALSE(read_trial(R"({"trial_of":"k","setting":{},"outcome":"correct","ns":5,"clock":"guessed"})").ok());
}

namespace {

using json_text::type;

// What the published schema says of a results file, key by key. Required:
// configuration, times, invalidity, correctness.
void is_t4(const json_text::value& all) {
  const auto is = [](const json_text::value* it, std::initializer_list<type> kinds) {
    if (it == nullptr) return true;
    return std::find(kinds.begin(), kinds.end(), it->kind) != kinds.end();
  };
  const auto number = {type::integer, type::real};
  REQUIRE(all.kind == type::object);
  REQUIRE(is(all.find("schema_version"), {type::string}));
  const std::string version = all.find("schema_version")->text;
  CHECK(std::count(version.begin(), version.end(), '.') == 2);
  CHECK(version.find_first_not_of("0123456789.") == version.npos);
  REQUIRE(is(all.find("results"), {type::array}));
  for (const auto& each : all.find("results")->items) {
    REQUIRE(each.kind == type::object);
    for (const char* key : {"configuration", "times", "invalidity", "correctness"})
      REQUIRE(each.find(key) != nullptr);
    CHECK(is(each.find("timestamp"), {type::string}));
    CHECK(is(each.find("configuration"), {type::object}));
    CHECK(is(each.find("objectives"), {type::array}));
    for (const auto& one : each.find("objectives")->items)
      CHECK(one.kind == type::string);
    const auto& times = *each.find("times");
    CHECK(times.kind == type::object);
    for (const char* key : {"compilation_time", "framework", "search_algorithm",
                            "validation"})
      CHECK(is(times.find(key), number));
    CHECK(is(times.find("runtimes"), {type::array}));
    for (const auto& one : times.find("runtimes")->items) CHECK(is(&one, number));
    const std::vector<std::string> known = {"timeout",     "compile", "runtime",
                                            "correctness", "constraints",
                                            "correct"};
    REQUIRE(each.find("invalidity")->kind == type::string);
    CHECK(std::count(known.begin(), known.end(), each.find("invalidity")->text) == 1);
    CHECK(is(each.find("correctness"), number));
    CHECK((each.find("correctness")->number == 0 ||
           each.find("correctness")->number == 1));
    CHECK(is(each.find("measurements"), {type::array}));
    for (const auto& one : each.find("measurements")->items) {
      REQUIRE(one.kind == type::object);
      CHECK(is(one.find("name"), {type::string}));
      CHECK(is(one.find("value"), {type::integer, type::real, type::string, type::array}));
      CHECK(is(one.find("unit"), {type::string}));
    }
  }
}

}  // namespace

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
  is_t4(made.value());
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
