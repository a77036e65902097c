#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <skillbench/json_space.hpp>
#include <skillbench/stats.hpp>

using namespace skillbench;

namespace {

const std::string cache_text = R"({
  "device_name": "a GPU", "kernel_name": "k", "objective": "time",
  "tune_params_keys": ["x", "layout"],
  "tune_params": {"x": [1, 2], "layout": ["row", "column"]},
  "cache": {
    "1,row": {"x": 1, "layout": "row", "time": 2.5, "times": [2.4, 2.6, {"a": [1]}],
              "timestamp": "now", "compile_time": 1},
    "2,row": {"x": 2, "layout": "row", "time": "CompilationFailedConfig"},
    "2,column": {"x": 2, "layout": "column", "time": 1, "times": []},
    "4,column": {"x": 4, "layout": "column", "time": "RuntimeFailedConfig"}
  }})";

bool says(const std::string& words, const std::string& wanted) {
  return words.find(wanted) != std::string::npos;
}

std::string replaced(std::string text, const std::string& what,
                     const std::string& by) {
  const auto at = text.find(what);
  REQUIRE(at != text.npos);
  return text.replace(at, what.size(), by);
}

}  // namespace

TEST_CASE("json_space: Kernel Tuner's cache files") {
  const auto made = read_recording(cache_text);
  REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
  const recording& all = made.value();
  CHECK(all.kernel == "k");
  CHECK(all.device == "a GPU");
  CHECK(all.space.size() == 4);
  CHECK(all.sorted() == std::vector<double>{1, 2.5});
  // A value that the header lacks is a value all the same.
  CHECK(all.space.parameters()[0].values.size() == 3);
  const auto failed = *all.space.index_of({1, 0});
  CHECK_FALSE(all.costs[failed].has_value());
  CHECK(all.failures[failed] == "CompilationFailedConfig");
  CHECK(all.costs[*all.space.index_of({0, 0})] == 2.5);
}

TEST_CASE("json_space: what is no recording is told with its place") {
  const auto wrong = [](const std::string& text) {
    const auto made = read_recording(text);
    REQUIRE_FALSE(made.ok());
    return made.error().what;
  };
  CHECK(says(wrong("{}"), "\"cache\" is missing"));
  CHECK(says(wrong("[1]"), "expected a recording"));
  CHECK(says(wrong(replaced(cache_text, "\"x\": 1, ", "")), "\"x\" is missing"));
  CHECK(says(wrong(replaced(cache_text, "\"time\": 2.5,", "")), "\"time\" is missing"));
  CHECK(says(wrong(replaced(cache_text, "\"x\": 1,", "\"x\": [1],")), "/cache"));
  CHECK(says(wrong(cache_text.substr(0, 300)), "line"));
  CHECK(says(wrong(R"({"tune_params": {"x": [1]}, "cache": {"1": {"x": 1, "time": "no"}}})"),
             "no configuration of the recording has a cost"));
  CHECK_FALSE(read_recording(R"({"tune_params": {}, "cache": {}})").ok());
}

TEST_CASE("json_space: T1, with lists as text too, and the short form") {
  const auto t1 = read_space_text(R"({"ConfigurationSpace": {
    "TuningParameters": [
      {"Name": "b", "Type": "int", "Values": "[16, 32, 64]", "Default": 16},
      {"Name": "m", "Type": "string", "Values": ["a", "c"]},
      {"Name": "f", "Type": "bool", "Values": "[True, False]"},
      {"Name": "s", "Type": "string", "Values": "['p, q', \"r\"]"},
      {"Name": "r", "Type": "float", "Values": "[0.5, 1]"}],
    "Conditions": [{"Parameters": ["b"], "Expression": "b > 16"}]}})");
  REQUIRE_MESSAGE(t1.ok(), (t1.ok() ? "" : t1.error().what));
  const auto space =
      tuning_space::build(t1.value().parameters, t1.value().constraints);
  REQUIRE_MESSAGE(space.ok(), (space.ok() ? "" : space.error().what));
  CHECK(space.value().size() == 2 * 2 * 2 * 2 * 2);
  CHECK(text_of(space.value().parameters()[3].values[0]) == "p, q");

  const auto several = read_space_texts(
      R"({"one": {"parameters": {"a": [1, 2]}, "constraints": ["a < 2"]}})");
  REQUIRE(several.ok());
  CHECK(several.value().front().first == "one");

  const auto wrong = [](const std::string& text) {
    const auto made = read_space_text(text);
    REQUIRE_FALSE(made.ok());
    return made.error().what;
  };
  CHECK(says(wrong("{}"), "this is no tuning space"));
  CHECK(says(wrong(R"({"parameters": {"a": []}})"), "found 0 entries"));
  CHECK(says(wrong(R"({"parameters": {"a": [1]}, "constraints": ["a <"]})"),
             "column 4 of `a <`"));
  CHECK(says(wrong(R"({"TuningParameters": [{"Name": "a", "Values": "1..4"}]})"),
             "a list of values"));
  CHECK(says(wrong(R"({"parameters": {"a": [null]}})"),
             "expected a number, a string or a boolean"));
}

TEST_CASE("json_space: T4 results, by the measurement of their first objective") {
  const auto made = read_earlier(R"({"schema_version": "1.0.0", "results": [
    {"configuration": {"x": 1, "layout": "row", "f": true, "r": 0.5},
     "objectives": ["time"], "times": {"runtimes": [1, [2]]},
     "invalidity": "correct",
     "measurements": [{"name": "power", "value": 9}, {"name": "time", "value": 2.5}]},
    {"configuration": {"x": 2}, "invalidity": "compile",
     "measurements": [{"name": "time", "value": 1}]},
    {"configuration": {"x": 3}, "measurements": [{"name": "time", "value": 4}]},
    {"configuration": {"x": 4}, "measurements": [{"name": "time", "value": -1}]},
    {"configuration": {"x": 5}, "measurements": [{"name": "time", "value": "fast"}]},
    {"configuration": {"x": 6}, "objectives": ["energy"],
     "measurements": [{"name": "time", "value": 4}]},
    {"configuration": {}}]})");
  REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
  const auto& all = made.value().trials;
  REQUIRE(all.size() == 7);
  CHECK(all[0].at == setting{{"x", 1}, {"layout", std::string("row")},
                             {"f", true}, {"r", 0.5}});
  CHECK(all[0].cost == 2.5);
  CHECK_FALSE(all[1].cost.has_value());
  CHECK(all[2].cost == 4);
  for (const std::size_t i : {3u, 4u, 5u, 6u}) CHECK_FALSE(all[i].cost.has_value());
}

TEST_CASE("json_space: trials that are none are told with their place") {
  const auto wrong = [](const std::string& text) {
    const auto made = read_earlier(text);
    REQUIRE_FALSE(made.ok());
    return made.error().what;
  };
  CHECK(says(wrong("{}"), "neither `cache` (Kernel Tuner) nor `results` (T4)"));
  CHECK(says(wrong("[]"), "neither `cache`"));
  CHECK(says(wrong("7"), "neither `cache`"));
  CHECK(says(wrong("{"), "line 1"));
  CHECK(says(wrong(R"({"results": 3})"), "/results"));
  CHECK(says(wrong(R"({"results": [3]})"), "/results/0"));
  CHECK(says(wrong(R"({"results": [{}]})"), "\"configuration\" is missing"));
  CHECK(says(wrong(R"({"results": [{"configuration": {"x": [1]}}]})"),
             "/results/0/configuration/x"));
  CHECK(says(wrong(R"({"results": [{"configuration": {}, "measurements": [1]}]})"),
             "/results/0/measurements/0"));
  CHECK(says(wrong(R"({"results": [{"configuration": {}, "objectives": [1]}]})"),
             "/results/0/objectives/0"));
  CHECK(says(wrong(R"({"cache": {}})"), "\"tune_params\" is missing"));
  CHECK(says(wrong("{\"results\": " + std::string(5000, '[')), "line 1"));
}
