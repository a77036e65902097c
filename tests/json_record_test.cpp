#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <skillbench/json_record.hpp>

#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

namespace {

record full_record() {
  record it;
  it.of.id = "i";
  it.of.model = "m";
  it.of.arm = "with_skill";
  it.of.skill = "s";
  it.of.task = "t";
  it.of.draw = 3;
  it.of.path = "p";
  it.of.output = "not written";
  it.of.pair = "q";
  it.of.input_tokens = 5;
  it.of.turns = 4;
  it.of.cost_usd = 0.25;
  it.of.seconds = 1.5;
  it.source_hash = "00ff";
  it.skillbench_version = "9.9.9";
  it.device = "d";
  it.seed = std::numeric_limits<std::uint64_t>::max();
  it.key = "00aa";
  it.same_as = "another";
  it.reached = stage::check;
  it.what = outcome::faults;
  it.reason = "r";
  finding one;
  one.kind = code::out_of_bounds;
  one.weight = severity::cheats;
  one.what = "w";
  one.kernel = "k";
  one.element_type = "half";
  one.test_case = "c";
  one.tensor = "x";
  one.line = 3;
  one.ptx_line = 4;
  one.index = -1;
  one.count = 99;
  it.findings = {one, finding{}};
  it.chosen = {{"B", 2}, {"A", -1}};
  compiled_kernel kernel{"float", "k<float>", "_Z1k", 32, 0, {}, 8, 16};
  it.kernels = {kernel};
  case_agreement agreed;
  agreed.test_case = "c";
  agreed.element_type = "half";
  agreed.reached = outcome::unjudged;
  agreed.compared = 10;
  agreed.wrong = 2;
  agreed.worst_share = 0.1;
  agreed.warp_instructions = 1u << 31;
  agreed.global_load_sectors = 5;
  agreed.global_store_sectors = 6;
  it.cases = {agreed};
  counted_launch counted{"c", "half", 1, {}};
  counted.of.kernel = "_Z1k";
  counted.of.barriers = 7;
  counted.of.global_read_bytes = 64;
  counted.of.global_written_bytes = 32;
  event_counts& total = counted.of.total;
  std::uint64_t next = 100;
  for (auto& each : total.warp_instructions) each = ++next;
  for (auto& each : total.thread_instructions) each = ++next;
  for (auto& each : total.tensor_operations) each = ++next;
  each_event(total, [&](const char*, std::uint64_t& each) { each = ++next; });
  line_counts line{12, {}};
  line.of.branches = 3;
  counted.of.lines = {line, {14, total}};
  it.counters = {counted};
  it.not_counted = "not measured: float: too slow";
  it.speed = "not measured: no GPU";
  timed_case clock;
  clock.test_case = "c";
  clock.element_type = "half";
  clock.timer = "CUPTI records";
  clock.why_not = "x";
  clock.baseline = "baseline.cu";
  clock.device = "d";
  clock.stopped = "z";
  clock.cold = false;
  clock.fake = true;
  timed_sample call;
  call.of_baseline = true;
  call.round = 3;
  call.contents = 2;
  call.nanoseconds = 1234.5;
  call.events = 1300.25;
  call.records = 1234.5;
  call.sm_mhz = 1980;
  call.reasons = 4;
  clock.samples = {call, timed_sample{}};
  clock.sustained = 1500.5;
  clock.sustained_mhz = 1700;
  clock.disagreements = 1;
  clock.verified_rows = 256;
  clock.floor = 10.5;
  clock.bytes = 100;
  clock.operations = 7;
  clock.peak_bytes = 3e12;
  clock.peak_operations = 1e15;
  clock.metrics = {{"m.sum", 2.5}, {"n.max", 3}};
  clock.no_metrics = "y";
  clock.resident = "k: 2 CTAs";
  it.timings = {clock};
  it.seconds = {{"extract", 0.001}, {"check", 2.5}};
  return it;
}

}  // namespace

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
