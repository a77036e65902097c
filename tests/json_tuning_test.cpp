#include <doctest/doctest.h>

#include <string>

#include <skillbench/json_record.hpp>
#include <skillbench/json_tuning.hpp>

using namespace skillbench;

namespace {

tuning_told some() {
  tuning_told made;
  made.test_case = "rows_8";
  made.element_types = {"float", "half"};
  made.strategy = "portfolio";
  made.ended = "trials";
  made.seed = 3;
  made.settings = 64;
  made.baseline_nanoseconds = 2000.5;
  made.limit_nanoseconds = 300;
  made.trials = {{1500.25, "correct"}, {{}, "wrong"}, {1000.125, "correct"}};
  made.first = {{"BLOCK", 128}, {"FAST", false}, {"LAYOUT", "row"}};
  made.best = 2;
  made.best_setting = {{"BLOCK", 256}, {"FAST", true}, {"LAYOUT", "a b"}};
  made.over_default = tuned_ratio{1.5, {}, {}};
  made.over_runner_up = tuned_ratio{1.25, 1.0, 1.5};
  made.runner_up = made.first;
  made.failures = {{"wrong", 1, made.first, "a \"reason\"\nof two lines"}};
  made.importance = {{"BLOCK", 0.75}, {"FAST", 0}};
  return made;
}

result<record> read_back(const std::string& tuning) {
  record empty;
  std::string line = write_record(empty);
  line.insert(line.size() - 1, ",\"tuning\":" + tuning);
  return read_record(line);
}

}  // namespace

TEST_CASE("json_tuning: a record's tuning comes back as it was") {
  record told;
  told.chosen = some().best_setting;
  told.tuning = some();
  const std::string line = write_record(told);
  CHECK(line.find("\"trials\":[1500.25,\"wrong\",1000.125]") != line.npos);
  CHECK(line.find("\"over_default\":{\"times\":1.5,\"exact\":true}") != line.npos);
  const auto back = read_record(line);
  REQUIRE_MESSAGE(back.ok(), line);
  REQUIRE(back.value().tuning);
  CHECK((*back.value().tuning == some()));
  CHECK(back.value().chosen == told.chosen);
  CHECK(write_record(back.value()) == line);
  told.tuning->clock = trial_clock::measured;
  CHECK((read_record(write_record(told)).value().tuning->clock ==
         trial_clock::measured));
}

TEST_CASE("json_tuning: what was not tuned says why and nothing else") {
  record told;
  CHECK(write_record(told).find("tuning") == std::string::npos);
  told.tuning.emplace().not_tuned = "it is not correct: wrong";
  const std::string line = write_record(told);
  CHECK(line.find("\"tuning\":{\"version\":1,\"not_tuned\":\"it is not "
                  "correct: wrong\"}") != line.npos);
  CHECK((*read_record(line).value().tuning == *told.tuning));
}

TEST_CASE("json_tuning: what contradicts itself is refused, and unknown keys are not") {
  CHECK(read_back(R"({"version":1,"later":true})").ok());
  CHECK(read_back("null").ok());
  for (const char* wrong :
       {"7", "{}", R"({"version":0})", R"({"version":2})", R"({"version":"1"})",
        R"({"version":1,"trials":[0]})", R"({"version":1,"trials":[-1]})",
        R"({"version":1,"trials":["correct"]})", R"({"version":1,"trials":{}})",
        R"({"version":1,"time":"guessed"})",
        R"({"version":1,"trials":["wrong"],"best":{"trial":0}})",
        R"({"version":1,"trials":[5],"best":{"trial":1}})",
        R"({"version":1,"trials":[5],"best":{}})",
        R"({"version":1,"over_default":{"times":0}})",
        R"({"version":1,"over_default":{"times":1,"low":1}})",
        R"({"version":1,"over_default":{}})",
        R"({"version":1,"default":{"setting":{"A":[1]}}})",
        R"({"version":1,"importance":[{"name":"A","share":-1}]})",
        R"({"version":1,"failures":[7]})"}) {
    CAPTURE(wrong);
    CHECK_FALSE(read_back(wrong).ok());
  }
}
