#include <doctest/doctest.h>

#include <string>

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
