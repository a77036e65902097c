#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include <skillbench/embedded.hpp>
#include <skillbench/read.hpp>
#include <skillbench/tune_candidate.hpp>

using namespace skillbench;

namespace {

// The search over a family's baseline, with devices from `make`.
result<tuned_candidate> tuned(
    const std::function<result<std::unique_ptr<device>>()>& make, int jobs,
    const std::function<result<done>(const kernel_trial&)>& keep = {}) {
  const auto known = embedded_families();
  REQUIRE(known.ok());
  const family* const of = find_family(known.value(), "geglu");
  REQUIRE(of != nullptr);
  excerpt source;
  source.source = of->baseline;
  const read_result read = read_candidate(source, known.value(), *of);
  REQUIRE(read.found.has_value());
  kernel_tuning how;
  how.asked = &*read.found;
  how.of = of;
  how.types = {element::f32};
  const auto largest = case_to_time(*of);
  REQUIRE(largest.ok());
  how.test_case = largest.value();
  const auto space = tuning_space::of(read.found->launch, element::f32);
  REQUIRE(space.ok());
  tuning_plan plan;
  plan.limits.trials = 3;
  plan.jobs = jobs;
  plan.make_device = make;
  plan.keep = keep;
  return tune_candidate(how, space.value(), plan);
}

}  // namespace

TEST_CASE("tune_candidate: what a thread throws is a fault, and ends nothing else") {
  for (const int jobs : {1, 4}) {
    const auto full = tuned(
        []() -> result<std::unique_ptr<device>> { throw std::bad_alloc(); },
        jobs);
    REQUIRE_FALSE(full.ok());
    CHECK(full.error().why == reason::too_large);
    const auto odd = tuned(
        []() -> result<std::unique_ptr<device>> {
          throw std::runtime_error("thrown here");
        },
        jobs);
    REQUIRE_FALSE(odd.ok());
    CHECK(odd.error().why == reason::internal);
    CHECK(odd.error().what.find("thrown here") != std::string::npos);
  }
}

TEST_CASE("tune_candidate: a worker that is killed says nothing of a setting that lasts") {
  struct killed_device : device {
    std::string name() const override { return "killed"; }
    std::string target() const override { return "sm_90a"; }
    result<image> compile(const compile_request&) override {
      return fault{reason::child_died, "was killed by SIGKILL"};
    }
    result<done> load(const std::string&) override { return done{}; }
    result<run_report> run(const job&) override {
      return fault{reason::child_died, "gone"};
    }
    bool killed() const override { return true; }
  };
  int made = 0, kept = 0;
  const auto told = tuned(
      [&]() -> result<std::unique_ptr<device>> {
        ++made;
        return std::unique_ptr<device>(std::make_unique<killed_device>());
      },
      1, [&](const kernel_trial&) -> result<done> { return ++kept, done{}; });
  CHECK(made >= 2);
  CHECK(made % 2 == 0);  // each setting twice
  CHECK(kept == 0);
}

TEST_CASE("tune_candidate: a device that cannot be had ends the search with its reason") {
  const auto none = tuned(
      []() -> result<std::unique_ptr<device>> {
        return fault{reason::no_device, "none is left"};
      },
      2);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().what == "none is left");
}
