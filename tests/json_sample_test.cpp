#include <doctest/doctest.h>

#include <string>

#include <skillbench/json_sample.hpp>

#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

TEST_CASE("json_sample: a sample, with what it leaves out") {
  const auto made = read_sample(
      R"({"id": "a", "model": "m", "arm": "baseline", "skill": null,
"task": "geglu", "draw": 2, "output": "x/1.md", "tokens": {"input": 10,
"output": 20}, "turns": 3, "cost_usd": 0.5, "seconds": 3, "pair": "p", "more": [1]})");
  REQUIRE(made.ok());
  const sample& it = made.value();
  CHECK(it.id == "a");
  CHECK(it.model == "m");
  CHECK(it.arm == "baseline");
  CHECK(it.skill.empty());
  CHECK(it.task == "geglu");
  CHECK(it.draw == 2);
  CHECK(it.path == "x/1.md");
  CHECK(it.output.empty());
  CHECK(it.input_tokens == 10);
  CHECK(it.output_tokens == 20);
  CHECK(it.turns == 3);
  CHECK(it.cost_usd == 0.5);
  CHECK(it.seconds == 3.0);
  CHECK(it.pair == "p");

  const auto least = read_sample(
      R"({"id": 7, "task": "t", "text": "", "tokens": "not reported"})");
  REQUIRE(least.ok());
  CHECK(least.value().id == "7");
  CHECK(least.value().path.empty());
  CHECK_FALSE(least.value().input_tokens.has_value());
  const auto half = read_sample(
      R"({"task": "t", "text": "a\u0000b", "tokens": {"input": null,
"output": 4}})");
  REQUIRE(half.ok());
  CHECK(half.value().output == std::string("a\0b", 3));
  CHECK_FALSE(half.value().input_tokens.has_value());
  CHECK(half.value().output_tokens == 4);
}

TEST_CASE("json_sample: a sample that cannot be one is refused") {
  const auto refusal = [](const std::string& line) {
    const auto made = read_sample(line);
    REQUIRE_MESSAGE(!made.ok(), line);
    return made.error().what;
  };
  says(refusal("[]"), "expected a sample");
  says(refusal(R"({"output": "a"})"), "\"task\" is missing");
  says(refusal(R"({"task": "", "output": "a"})"), "at /task");
  says(refusal(R"({"task": "t"})"), "\"output\"");
  says(refusal(R"({"task": "t", "output": "a", "text": "b"})"), "expected one");
  says(refusal(R"({"task": "t", "output": ""})"), "empty string");
  says(refusal(R"({"task": "t", "text": "", "draw": "1"})"), "at /draw");
  says(refusal(R"({"task": "t", "text": "", "tokens": 5})"), "at /tokens");
  says(refusal(R"({"task": "t", "text": "", "tokens": {"input": -5}})"),
       "negative");
  says(refusal(R"({"task": "t", "text": "", "cost_usd": -5})"), "negative");
  says(refusal(R"({"task": "t", "text": "", "model": 5})"), "at /model");
  says(refusal(R"({"task": "t", "text": "half)"), "line 1");
}

TEST_CASE("json_sample: what is written reads back the same") {
  sample full;
  full.id = "a-1";
  full.model = "m";
  full.arm = "with_skill";
  full.skill = "s";
  full.task = "t";
  full.draw = -3;
  full.pair = "p";
  full.output = std::string("line\n\"quoted\"\0 \xc3\xa9", 17);
  full.input_tokens = 7;
  full.turns = 2;
  full.cost_usd = 0.25;
  full.seconds = 1.5;
  sample least;
  least.task = "t";
  for (const sample& each : {full, least}) {
    const std::string line = write_sample(each);
    CHECK(line.find('\n') == std::string::npos);
    const auto back = read_sample(line);
    REQUIRE_MESSAGE(back.ok(), line);
    CHECK(write_sample(back.value()) == line);
    CHECK(back.value().output == each.output);
    CHECK(back.value().id == each.id);
    CHECK(back.value().pair == each.pair);
    CHECK(back.value().draw == each.draw);
    CHECK(back.value().input_tokens == each.input_tokens);
    CHECK(back.value().output_tokens == each.output_tokens);
    CHECK(back.value().turns == each.turns);
    CHECK(back.value().cost_usd == each.cost_usd);
    CHECK(back.value().seconds == each.seconds);
  }
  full.path = "raw/1.md";
  const auto by_path = read_sample(write_sample(full, true));
  REQUIRE(by_path.ok());
  CHECK(by_path.value().path == "raw/1.md");
  CHECK(by_path.value().output.empty());
}
