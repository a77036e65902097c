#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <skillbench/json_record.hpp>

#include "full_record.hpp"
#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

TEST_CASE("json_record: a record that is written is read back as it was") {
  const record was = full_record();
  const std::string line = write_record(was);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.find("not written") == std::string::npos);
  const auto read = read_record(line);
  const std::string why = read.ok() ? "" : read.error().what;
  REQUIRE_MESSAGE(read.ok(), why);
  const record& is = read.value();
  CHECK(write_record(is) == line);
  CHECK(is.timings == was.timings);
  CHECK(is.of.draw == 3);
  CHECK(is.of.pair == "q");
  CHECK(is.of.input_tokens == 5);
  CHECK_FALSE(is.of.output_tokens.has_value());
  CHECK(is.of.turns == 4);
  CHECK(is.of.cost_usd == 0.25);
  CHECK(is.of.seconds == 1.5);
  CHECK(is.seed == was.seed);
  CHECK(is.key == "00aa");
  CHECK(is.same_as == "another");
  CHECK(is.reached == stage::check);
  CHECK(is.what == outcome::faults);
  CHECK(is.skillbench_version == "9.9.9");
  REQUIRE(is.findings.size() == 2);
  CHECK(is.findings[0].kind == code::out_of_bounds);
  CHECK(is.findings[0].weight == severity::cheats);
  CHECK(is.findings[0].line == 3);
  CHECK(is.findings[0].index == -1);
  CHECK(is.findings[0].count == 99);
  CHECK_FALSE(is.findings[1].line.has_value());
  CHECK(is.chosen == was.chosen);
  CHECK(is.kernels[0].registers == 32);
  CHECK_FALSE(is.kernels[0].spill_loads.has_value());
  CHECK(is.kernels[0].static_shared == 16);
  CHECK(is.cases[0].worst_share == 0.1);
  CHECK(is.cases[0].reached == outcome::unjudged);
  CHECK(is.counters == was.counters);
  CHECK(is.not_counted == "not measured: float: too slow");
  CHECK(is.seconds == was.seconds);
}

TEST_CASE("json_record: counters that nobody asked for are no zeros") {
  const std::string line = write_record(record{});
  CHECK(line.find("\"counters\":\"not measured\"") != std::string::npos);
  auto read = read_record(line);
  REQUIRE(read.ok());
  CHECK(read.value().counters.empty());
  CHECK(read.value().not_counted == "not measured");

  // Of a line only what is not zero is written; all of it comes back.
  record it;
  it.not_counted.clear();
  counted_launch one;
  one.of.lines = {{3, {}}};
  one.of.lines[0].of.branches = 2;
  one.of.lines[0].of.warp_instructions[0] = 5;
  it.counters = {one};
  const std::string some = write_record(it);
  CHECK(some.find("{\"line\":3,\"warp_instructions\":{\"integer\":5},"
                  "\"branches\":2}") != std::string::npos);
  CHECK(some.find("not_counted") == std::string::npos);
  read = read_record(some);
  REQUIRE(read.ok());
  CHECK(read.value().counters == it.counters);
  CHECK(read.value().not_counted.empty());

  // A record from before there were counters.
  std::string old = line;
  const std::string key = "\"counters\":\"not measured\",";
  old.erase(old.find(key), key.size());
  read = read_record(old);
  REQUIRE(read.ok());
  CHECK(read.value().not_counted == "not measured");
}

TEST_CASE("json_record: missing tokens are told, never a zero") {
  record it;
  CHECK(says(write_record(it), "\"tokens\":\"not reported\""));
  it.of.output_tokens = 5;
  CHECK(says(write_record(it), "{\"input\":\"not reported\",\"output\":5}"));
}

TEST_CASE("json_record: numbers that JSON has not survive a record") {
  record it = full_record();
  it.cases[0].worst_share = std::numeric_limits<double>::infinity();
  CHECK(read_record(write_record(it)).value().cases[0].worst_share ==
        std::numeric_limits<double>::infinity());
  it.cases[0].worst_share = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(read_record(write_record(it)).value().cases[0].worst_share));
}

TEST_CASE("json_record: bytes that are no UTF-8 do not stop a record") {
  record it;
  it.reason = "a\xff z";
  finding one;
  one.what = std::string("b\xc3", 2);
  it.findings = {one};
  const auto read = read_record(write_record(it));
  REQUIRE(read.ok());
  CHECK(read.value().reason == "a\xef\xbf\xbd z");
  CHECK(read.value().findings[0].what == "b\xef\xbf\xbd");
}

TEST_CASE("json_record: records are read leniently, but not from the future") {
  const auto read = read_record(
      R"({"schema": 1, "stage": "done", "outcome": "correct", "new": {"a": 1},
"findings": null})");
  REQUIRE(read.ok());
  CHECK(read.value().what == outcome::correct);
  CHECK(read.value().skillbench_version.empty());
  const auto refusal = [](const std::string& line) {
    const auto made = read_record(line);
    REQUIRE_MESSAGE(!made.ok(), line);
    return made.error().what;
  };
  const std::string end = R"("stage": "done", "outcome": "correct"})";
  says(refusal("{\"schema\": 2, " + end), "this release knows 1 to 1");
  says(refusal("{\"schema\": 0, " + end), "schema 0");
  says(refusal("{" + end), "\"schema\" is missing");
  says(refusal(R"({"schema": 1, "outcome": "correct"})"), "\"stage\"");
  says(refusal(R"({"schema": 1, "stage": "done", "outcome": "fine"})"),
       "no known outcome");
  says(refusal("{\"schema\": 1, \"findings\": [{}], " + end), "\"code\"");
  says(refusal("{\"schema\": 1, \"seed\": -1, " + end), "at /seed");
  says(refusal("{\"schema\": 1, \"draw\": 1.5, " + end), "at /draw");
  const std::string line = write_record(full_record());
  for (std::size_t cut = 0; cut < line.size(); cut += 7)
    CHECK_FALSE(read_record(std::string_view(line).substr(0, cut)).ok());
}

TEST_CASE("json_record: every name of an outcome and a code is read back") {
  for (int i = 0; i <= static_cast<int>(last_code); ++i) {
    record it = full_record();
    it.findings[0].kind = static_cast<code>(i);
    CHECK(read_record(write_record(it)).value().findings[0].kind ==
          static_cast<code>(i));
  }
  for (int i = 0; i <= static_cast<int>(outcome::unjudged); ++i) {
    record it = full_record();
    it.what = static_cast<outcome>(i);
    CHECK(read_record(write_record(it)).value().what ==
          static_cast<outcome>(i));
  }
}

TEST_CASE("json_record: assertions and a speed come back as they were") {
  record told;
  told.assertions.push_back({assertion::type::ptx_uses, "ptx_uses x",
                             assertion_result::verdict::failed, "it has none"});
  told.assertions.push_back({assertion::type::expectation, "expectation y",
                             assertion_result::verdict::not_judged, ""});
  told.against_baseline = speedup{1.25, true};
  const auto back = read_record(write_record(told));
  REQUIRE(back.ok());
  CHECK(back.value().assertions == told.assertions);
  CHECK(back.value().against_baseline == told.against_baseline);
  const std::string plain = write_record(record{});
  CHECK(plain.find("assertions") == std::string::npos);
  CHECK(plain.find("speedup") == std::string::npos);
  for (const char* bad : {"0", "-1", "\"nan\"", "\"infinity\"", "true"}) {
    const auto no = read_record(
        std::string(R"({"schema":1,"stage":"done","outcome":"correct",)") +
        "\"speedup\":{\"times\":" + bad + "}}");
    CHECK_MESSAGE(!no.ok(), bad);
  }
}
