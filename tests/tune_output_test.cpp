#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include <skillbench/embedded.hpp>
#include <skillbench/tune_output.hpp>

using namespace skillbench;

namespace {

const std::vector<family>& known() {
  static const auto all = embedded_families();
  REQUIRE(all.ok());
  return all.value();
}

// A sample whose output is the family's own baseline.
sample given_geglu() {
  const family* const of = find_family(known(), "geglu");
  REQUIRE(of != nullptr);
  sample made;
  made.task = "geglu";
  made.output = "````cuda\n" + of->baseline + "\n````\n";
  return made;
}

record judged(outcome what) {
  record made;
  made.what = what;
  return made;
}

// A search on a machine where no device can be had, for this reason.
output_tuning without_device(reason why) {
  output_tuning made;
  made.trials = 2;
  made.make_device = [why]() -> result<std::unique_ptr<device>> {
    return fault{why, "none is left"};
  };
  return made;
}

}  // namespace

TEST_CASE("tune_output: what is not correct is not tuned") {
  record told = judged(outcome::wrong);
  REQUIRE(tune_output(told, given_geglu(), known(), without_device(reason::io)));
  REQUIRE(told.tuning.has_value());
  CHECK(told.tuning->not_tuned == "it is not correct: wrong");
}

TEST_CASE("tune_output: what cannot be read again is said") {
  record told = judged(outcome::correct);
  sample given = given_geglu();
  given.output = "Words alone.";
  REQUIRE(tune_output(told, given, known(), without_device(reason::io)));
  CHECK(told.tuning->not_tuned == "its source cannot be read again");
  given = given_geglu();
  given.task = "nobody's";
  REQUIRE(tune_output(told, given, known(), without_device(reason::io)));
  CHECK(told.tuning->not_tuned == "its source cannot be read again");
  given = given_geglu();
  given.output = "```cuda\n__global__ void k() {}\n```\n";
  REQUIRE(tune_output(told, given, known(), without_device(reason::io)));
  CHECK(told.tuning->not_tuned == "its manifest cannot be read again");
}

TEST_CASE("tune_output: the machine's fault is a fault, the source's is told") {
  for (const reason ours : {reason::io, reason::no_device, reason::child_died,
                            reason::library_missing, reason::cancelled}) {
    record told = judged(outcome::correct);
    const auto made = tune_output(told, given_geglu(), known(), without_device(ours));
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().why == ours);
  }
  for (const reason its : {reason::not_supported, reason::too_large,
                           reason::bad_input, reason::bad_argument}) {
    record told = judged(outcome::correct);
    REQUIRE(tune_output(told, given_geglu(), known(), without_device(its)));
    CHECK(told.tuning->not_tuned == "none is left");
  }
}
