#include <doctest/doctest.h>

#include <string>

#include <skillbench/embedded.hpp>
#include <skillbench/read.hpp>
#include <skillbench/tune_kernel.hpp>

using namespace skillbench;

namespace {

const std::string source =
    "/* skillbench\n{\"entry\": \"k<{BLOCK}>\", \"tune\": {\"BLOCK\": [256, 128,\n"
    "  512], \"V\" : [ 1 ]}}\n*/\n__global__ void k() {}\n";

}  // namespace

TEST_CASE("tune_kernel: the chosen values stand first, all else as it was") {
  const auto made = with_defaults(source, {{"BLOCK", 512}, {"V", 1}});
  REQUIRE(made.ok());
  CHECK(made.value() ==
        "/* skillbench\n{\"entry\": \"k<{BLOCK}>\", \"tune\": {\"BLOCK\": [512, "
        "256, 128], \"V\" : [1]}}\n*/\n__global__ void k() {}\n");
  CHECK(with_defaults(source, {{"BLOCK", 256}}).ok());
  CHECK(with_defaults(source, {}).value() == source);
}

TEST_CASE("tune_kernel: strings and booleans are written back as they stand") {
  const std::string text =
      "{\"tune\": {\"L\": [\"a, ]\", \"b\"], \"F\": [false, true]}}";
  CHECK(with_defaults(text, {{"L", "b"}, {"F", true}}).value() ==
        "{\"tune\": {\"L\": [\"b\", \"a, ]\"], \"F\": [true, false]}}");
  CHECK(with_defaults(text, {{"L", "a, ]"}, {"F", false}}).value() == text);
  CHECK_FALSE(with_defaults(text, {{"L", "c"}}).ok());
  CHECK_FALSE(with_defaults("{\"tune\": {\"L\": [\"a", {{"L", "a"}}).ok());
}

TEST_CASE("tune_kernel: values that are not there are not written") {
  CHECK_FALSE(with_defaults(source, {{"BLOCK", 64}}).ok());
  CHECK_FALSE(with_defaults(source, {{"OTHER", 1}}).ok());
  CHECK_FALSE(with_defaults("no manifest", {{"BLOCK", 256}}).ok());
  CHECK_FALSE(with_defaults("\"tune\": {\"BLOCK\": 256}", {{"BLOCK", 256}}).ok());
  CHECK_FALSE(with_defaults("\"tune\": {\"BLOCK\": [256", {{"BLOCK", 256}}).ok());
  CHECK_FALSE(with_defaults("\"tune\": {\"BLOCK\"", {{"BLOCK", 256}}).ok());
}

TEST_CASE("tune_kernel: a prediction is asked of whatever model is given") {
  kernel_tuning how;
  CHECK((how.predict == predict_h100));
  how.predict = [](const launch_facts&) { return prediction{}; };
  CHECK_FALSE(how.predict({}).fits());
}

namespace {

// Compiles anything to so many registers, and runs nothing.
class only_compiles final : public device {
 public:
  explicit only_compiles(int registers) : registers_(registers) {}
  std::string name() const override { return "only compiles"; }
  std::string target() const override { return "sm_90a"; }
  result<image> compile(const compile_request& it) override {
    image made;
    made.ok = true;
    for (const std::string& each : it.entries) {
      kernel_image one;
      one.entry = one.lowered = each;
      one.registers = registers_;
      made.kernels.push_back(one);
    }
    return made;
  }
  result<done> load(const std::string&) override { return done{}; }
  result<run_report> run(const job&) override {
    ++runs;
    return fault{reason::too_slow, "ran"};
  }
  int runs = 0;

 private:
  int registers_;
};

}  // namespace

TEST_CASE("tune_kernel: what has too many registers for an SM is not run to find out") {
  const auto known = embedded_families();
  REQUIRE(known.ok());
  const family* const of = find_family(known.value(), "geglu");
  REQUIRE(of != nullptr);
  excerpt text;
  text.source = of->baseline;
  const read_result read = read_candidate(text, known.value(), *of);
  REQUIRE(read.found.has_value());
  kernel_tuning how;
  how.asked = &*read.found;
  how.of = of;
  how.types = {element::f32};
  how.test_case = case_to_time(*of).value();
  const auto tried = [&](std::int64_t block, only_compiles& on) {
    best_so_far best{};
    return try_setting(how, {{"BLOCK", block}}, on, best);
  };
  only_compiles many(200);
  const auto large = tried(512, many);
  REQUIRE_MESSAGE(large.ok(), (large.ok() ? "" : large.error().what));
  CHECK(large.value().outcome == "does_not_fit");
  CHECK(large.value().reason.find("512 threads of 200 registers") !=
        std::string::npos);
  CHECK(large.value().registers == 200);
  CHECK_FALSE(large.value().nanoseconds.has_value());
  CHECK(many.runs == 0);
  // 256 threads of 200 registers fit, and are run.
  const auto small = tried(256, many);
  CHECK(many.runs > 0);
  REQUIRE_MESSAGE(small.ok(), (small.ok() ? "" : small.error().what));
  CHECK(small.value().outcome == "unjudged");
}

namespace {

// A compile that is ended by the clock on the wall.
class ended_late final : public device {
 public:
  ended_late(double each, std::string how) : each_(each), how_(std::move(how)) {}
  std::string name() const override { return "ended late"; }
  std::string target() const override { return "sm_90a"; }
  std::string isolation() const override { return how_; }
  double cpu_used() const override { return used_; }
  result<image> compile(const compile_request&) override {
    used_ += each_;
    return fault{reason::child_timed_out, "the worker was stopped"};
  }
  result<done> load(const std::string&) override { return done{}; }
  result<run_report> run(const job&) override {
    return fault{reason::internal, "ran"};
  }

 private:
  double each_, used_ = 0;
  std::string how_;
};

}  // namespace

TEST_CASE("tune_kernel: a compile that only waited is a fault and no trial") {
  const auto known = embedded_families();
  REQUIRE(known.ok());
  const family* const of = find_family(known.value(), "geglu");
  REQUIRE(of != nullptr);
  excerpt text;
  text.source = of->baseline;
  const read_result read = read_candidate(text, known.value(), *of);
  REQUIRE(read.found.has_value());
  kernel_tuning how;
  how.asked = &*read.found;
  how.of = of;
  how.types = {element::f32};
  how.test_case = case_to_time(*of).value();
  best_so_far best{};
  ended_late waited(0.1, "strict");
  const auto ours = try_setting(how, {{"BLOCK", std::int64_t{256}}}, waited, best);
  REQUIRE_FALSE(ours.ok());
  CHECK(ours.error().why == reason::child_timed_out);
  for (const auto& [each, isolation] :
       {std::pair(30.0, "strict"), std::pair(0.1, "basic: none")}) {
    ended_late its(each, isolation);
    const auto theirs = try_setting(how, {{"BLOCK", std::int64_t{256}}}, its, best);
    REQUIRE(theirs.ok());
    CHECK(theirs.value().outcome == "does_not_compile");
  }
}
