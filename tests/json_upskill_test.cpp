#include <doctest/doctest.h>

#include <string>

#include <skillbench/json_upskill.hpp>

#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

namespace {

// A run_result.json in the form that upskill writes.
const std::string text = R"({
  "metadata": {"model": "kimi", "task": "write", "batch_id": "2026_01_22_13_10",
               "run_number": 1, "timestamp": "2026-01-22T13:10:45.370438"},
  "stats": {"conversation_span_ms": 14484.33, "llm_time_ms": 14484.33,
            "turns": 2, "tool_calls": 0, "tool_call_map": {},
            "input_tokens": 107, "output_tokens": 695, "total_tokens": 802,
            "usage_summaries": [
              {"model": "k", "turn_count": 1, "cumulative_input_tokens": 54,
               "cumulative_output_tokens": 581},
              {"turn_count": 1, "cumulative_input_tokens": 53,
               "cumulative_output_tokens": 114}],
            "timing_summaries": [{"start_time": 1.5}]},
  "passed": true, "assertions_passed": 1, "assertions_total": 2,
  "error_message": null, "session_id": null, "session_history_file": null,
  "run_type": "baseline", "skill_name": "write-well"})";

}  // namespace

TEST_CASE("json_upskill: the result of a run") {
  const auto made = read_upskill_run(text);
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  const upskill_run& it = made.value();
  CHECK(it.name == "2026_01_22_13_10/run_1");
  CHECK(it.model == "kimi");
  CHECK(it.task == "write");
  CHECK(it.arm == "baseline");
  CHECK(it.skill == "write-well");
  CHECK(it.error.empty());
  CHECK(it.assertions_passed == 1);
  CHECK(it.assertions_total == 2);
  CHECK(it.turns == 2);
  CHECK(it.total_tokens == 802);
  REQUIRE(it.tests.size() == 2);
  CHECK(it.tests[0].input_tokens == 54);
  CHECK(it.tests[1].output_tokens == 114);
  CHECK(it.tests[1].turns == 1);
}

TEST_CASE("json_upskill: what upskill has a default for may be absent") {
  const auto made =
      read_upskill_run(R"({"metadata": {"model": "m", "task": "t"}})");
  REQUIRE(made.ok());
  CHECK(made.value().arm == "with_skill");
  CHECK(made.value().assertions_total == 0);
  CHECK(made.value().tests.empty());
}

TEST_CASE("json_upskill: what cannot be a run is refused with its place") {
  const auto refusal = [](const std::string& wrong) {
    const auto made = read_upskill_run(wrong);
    REQUIRE_MESSAGE(!made.ok(), wrong);
    return made.error().what;
  };
  says(refusal("[]"), "the result of a run");
  says(refusal("{}"), "\"metadata\" is missing");
  says(refusal(R"({"metadata": {"model": "m"}})"), "\"task\" is missing");
  says(refusal(changed(text, "\"assertions_total\": 2",
                       "\"assertions_total\": \"2\"")),
       "/assertions_total");
  says(refusal(changed(text, "\"turns\": 2", "\"turns\": 2.5")), "/stats/turns");
  says(refusal(changed(text, "\"run_type\": \"baseline\"", "\"run_type\": 1")),
       "/run_type");
  says(refusal(changed(text, "\"turn_count\": 1,", "\"turn_count\": [],")),
       "/stats/usage_summaries/0/turn_count");
  says(refusal(text.substr(0, 100)), "line ");
}

TEST_CASE("json_upskill: the runs of a batch") {
  const auto made =
      read_upskill_batch(R"({"batch_id": "b", "results": [)" + text + ", " +
                         changed(text, "baseline", "with_skill") + "]}");
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  REQUIRE(made.value().size() == 2);
  CHECK(made.value()[1].arm == "with_skill");
  CHECK_FALSE(read_upskill_batch("[]").ok());
  CHECK_FALSE(read_upskill_batch(R"({"results": [{}]})").ok());
}
