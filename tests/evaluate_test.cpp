#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include <skillbench/evaluate.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/json_record.hpp>

#include "copy_family.hpp"

using namespace skillbench;
using kit::copy_device;
using kit::copy_family;
using kit::copy_sample;

namespace {

const std::vector<family>& known() {
  static const std::vector<family> all{copy_family()};
  return all;
}

record judged(const sample& given, device& on, std::uint64_t seed = 1) {
  auto told = evaluate(given, known(), on, {.seed = seed});
  REQUIRE_MESSAGE(told, told.error().what);
  return std::move(told).value();
}

fault refused(const sample& given, device& on) {
  const auto told = evaluate(given, known(), on, {});
  REQUIRE_FALSE(told);
  return told.error();
}

image refusing(std::string log) {
  image made;
  made.log = std::move(log);
  return made;
}

}  // namespace

TEST_CASE("evaluate: a right kernel is correct in every element type") {
  copy_device on;
  const record told = judged(copy_sample(), on);
  CHECK(told.what == outcome::correct);
  CHECK(told.reached == stage::done);
  CHECK(told.reason.empty());
  CHECK(told.findings.empty());
  CHECK(told.cases.size() == 3 * known()[0].cases.size());
  CHECK(told.kernels.size() == 3);
  CHECK(told.source_hash.size() == 64);
  CHECK(told.speed == "not measured: no GPU");
  CHECK(told.device == "copier");
  CHECK(told.of.output.empty());
  REQUIRE(told.seconds.size() == 4);
  CHECK(told.seconds[0].first == "extract");
  CHECK(told.seconds[3].first == "check");
}

TEST_CASE("evaluate: an output without a kernel stops at the first stage") {
  copy_device on;
  sample given = copy_sample();
  given.output = "I am sorry, I cannot write kernels.";
  const record told = judged(given, on);
  CHECK(told.what == outcome::no_kernel);
  CHECK(told.reached == stage::extract);
  CHECK_FALSE(told.reason.empty());
  CHECK(told.source_hash.empty());
  CHECK(told.speed == "not measured: no_kernel");
  CHECK(on.compiles == 0);
}

TEST_CASE("evaluate: a manifest that breaks the contract stops at reading") {
  copy_device on;
  sample given = copy_sample();
  given.output = kit::replaced(given.output, "\"x\"", "\"q\"");
  const record told = judged(given, on);
  CHECK(told.what == outcome::bad_manifest);
  CHECK(told.reached == stage::read);
  REQUIRE_FALSE(told.findings.empty());
  CHECK(told.findings[0].kind == code::bad_manifest);
  CHECK(on.compiles == 0);
}

TEST_CASE("evaluate: an error in every element type is told once") {
  copy_device on;
  on.on_compile = [](const compile_request&) -> result<image> {
    return refusing(
        "candidate.cu(9): warning #177-D: variable \"a\" was never used\n"
        "candidate.cu(12): error: identifier \"foo\" is undefined\n"
        "    foo(3);\n    ^\n\n1 error detected in the compilation of "
        "\"candidate.cu\".\n");
  };
  const record told = judged(copy_sample(), on);
  CHECK(told.what == outcome::does_not_compile);
  CHECK(told.reached == stage::compile);
  REQUIRE(told.findings.size() == 1);
  CHECK(told.findings[0].kind == code::compile_error);
  CHECK(told.findings[0].line == 12);
  CHECK(told.findings[0].what == "error: identifier \"foo\" is undefined");
  CHECK(told.findings[0].element_type.empty());
  CHECK(told.reason == told.findings[0].what);
}

TEST_CASE("evaluate: one element type that does not compile is enough") {
  copy_device on;
  on.on_compile = [&](const compile_request& asked) -> result<image> {
    if (asked.entries[0].find("__half") == std::string::npos)
      return on.compiled(asked);
    return refusing("candidate.cu(3): error: no operator \"+\" matches\n");
  };
  const record told = judged(copy_sample(), on);
  CHECK(told.what == outcome::does_not_compile);
  REQUIRE(told.findings.size() == 1);
  CHECK(told.findings[0].element_type == "half");
  CHECK(on.compiles == 3);
  CHECK(on.runs == 0);
}

TEST_CASE("evaluate: ptxas' errors and an empty log are told without a line") {
  for (const char* log :
       {"ptxas error   : Entry function 'k' uses too much shared data\n",
        "candidate.cu(2): remark\n", "", "nvrtc: error: invalid value\n",
        "cuda_fp16.hpp(30): error: no such thing\n"}) {
    copy_device on;
    on.on_compile = [&](const compile_request&) -> result<image> {
      return refusing(log);
    };
    const record told = judged(copy_sample(), on);
    CHECK(told.what == outcome::does_not_compile);
    REQUIRE(told.findings.size() == 1);
    CHECK_FALSE(told.findings[0].line.has_value());
    CHECK_FALSE(told.reason.empty());
  }
}

TEST_CASE("evaluate: a compiler that dies is the source's doing") {
  for (const reason why :
       {reason::child_died, reason::child_timed_out, reason::too_large}) {
    copy_device on;
    on.on_compile = [&](const compile_request&) -> result<image> {
      return fault{why, "the worker was stopped"};
    };
    const record told = judged(copy_sample(), on);
    CHECK(told.what == outcome::does_not_compile);
    REQUIRE(told.findings.size() == 1);
    CHECK(told.findings[0].kind == code::compile_limits);
    CHECK(on.compiles == 1);
  }
}

TEST_CASE("evaluate: a compile that only waited is a fault, where it could open nothing") {
  struct idle_device : kit::copy_device {
    std::string how;
    double used = 0, each = 0;
    std::string isolation() const override { return how; }
    double cpu_used() const override { return used; }
  };
  for (const auto& [how, seconds, ours] :
       {std::tuple{"strict", 0.1, true}, std::tuple{"bwrap", 0.1, true},
        std::tuple{"basic: no Landlock", 0.1, false},
        std::tuple{"strict", 30.0, false}}) {
    idle_device on;
    on.how = how;
    on.on_compile = [&on, seconds = seconds](const compile_request&) -> result<image> {
      on.used += seconds;
      return fault{reason::child_timed_out, "the worker was stopped"};
    };
    if (ours)
      CHECK(refused(copy_sample(), on).why == reason::child_timed_out);
    else
      CHECK(judged(copy_sample(), on).what == outcome::does_not_compile);
  }
}

TEST_CASE("evaluate: a missing compiler is not the source's doing") {
  copy_device on;
  on.on_compile = [](const compile_request&) -> result<image> {
    return fault{reason::library_missing, "no libnvrtc"};
  };
  CHECK(refused(copy_sample(), on).why == reason::library_missing);
}

TEST_CASE("evaluate: what the device cannot do leaves the candidate unjudged") {
  for (const reason why :
       {reason::not_supported, reason::too_slow, reason::too_large,
        reason::child_died, reason::child_timed_out}) {
    copy_device on;
    on.on_run = [&](const job&) -> result<run_report> {
      return fault{why, "the device gave up"};
    };
    const record told = judged(copy_sample(), on);
    CHECK(told.what == outcome::unjudged);
    CHECK(told.reason.find("the device gave up") != std::string::npos);
    CHECK(told.speed == "not measured: unjudged");
  }
}

TEST_CASE("evaluate: a broken device is a fault, not an outcome") {
  copy_device on;
  on.on_run = [](const job&) -> result<run_report> {
    return fault{reason::io, "the disk is full"};
  };
  CHECK(refused(copy_sample(), on).why == reason::io);
}

TEST_CASE("evaluate: a failing element type goes before an unjudged one") {
  copy_device on;
  on.on_run = [&](const job& asked) -> result<run_report> {
    if (asked.buffers[0].type == element::f32)
      return fault{reason::not_supported, "not supported"};
    run_report told = on.ran(asked);
    if (asked.buffers[0].type == element::bf16) told.outputs[0].bytes[1] ^= 0x40;
    return told;
  };
  const record told = judged(copy_sample(), on);
  CHECK(told.what == outcome::wrong);
  CHECK(told.reason.find("bfloat16") != std::string::npos);
}

TEST_CASE("evaluate: the lower rung decides, unjudged only before correct") {
  CHECK(lower(outcome::correct, outcome::unjudged) == outcome::unjudged);
  CHECK(lower(outcome::unjudged, outcome::correct) == outcome::unjudged);
  CHECK(lower(outcome::unjudged, outcome::wrong) == outcome::wrong);
  CHECK(lower(outcome::cheats, outcome::unjudged) == outcome::cheats);
  CHECK(lower(outcome::faults, outcome::wrong) == outcome::faults);
}

TEST_CASE("evaluate: the same seed gives the same record but for times") {
  const auto line = [](std::uint64_t seed) {
    copy_device on;
    record told = judged(copy_sample(), on, seed);
    for (auto& [stage, seconds] : told.seconds) seconds = 0;
    told.seed = 0;  // the inputs must differ, not the number alone
    return write_record(told) + on.first_bytes;
  };
  CHECK(line(7) == line(7));
  CHECK(line(7) != line(8));
}

TEST_CASE("evaluate: a task without a family is a fault") {
  copy_device on;
  sample given = copy_sample();
  given.task = "convolution";
  const fault told = refused(given, on);
  CHECK(told.why == reason::bad_input);
  CHECK(told.what.find("convolution") != std::string::npos);
}
