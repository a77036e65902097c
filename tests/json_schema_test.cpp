#include <doctest/doctest.h>

#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include <skillbench/attribution.hpp>
#include <skillbench/effect.hpp>
#include <skillbench/gate.hpp>
#include <skillbench/json_effect.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/tuners/search.hpp>

#include "full_record.hpp"
#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

// The published schemas, reports/schema, against what is written. They allow keys
// that they do not know, as readers must; here none may be unknown, so a field
// without a line in its schema fails.

namespace {

using nlohmann::json;

json schema_at(const std::string& name) {
  return json::parse(file("reports/schema/" + name + ".schema.json"));
}

void close_objects(json& schema) {
  if (schema.is_object()) {
    if (schema.contains("properties") && schema["properties"].is_object() &&
        schema.contains("required"))
      schema["additionalProperties"] = false;
  }
  for (json& each : schema)
    if (each.is_structured()) close_objects(each);
}

// What is wrong with `text`, or "".
std::string trouble(const json& schema, const std::string& text) {
  valijson::Schema made;
  valijson::SchemaParser parser;
  parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema), made);
  valijson::Validator validator;
  valijson::ValidationResults results;
  const json told = json::parse(text);
  if (validator.validate(
          made, valijson::adapters::NlohmannJsonAdapter(told), &results))
    return {};
  std::ostringstream said;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    for (const std::string& part : error.context) said << part;
    said << ": " << error.description << "; ";
  }
  return said.str();
}

json strict(const std::string& name) {
  json schema = schema_at(name);
  close_objects(schema);
  return schema;
}

}  // namespace

TEST_CASE("json_schema: every field of a record stands in its schema") {
  const json schema = strict("record");
  record full = full_record();
  full.seed = 1;  // the validator's integers have 63 bits
  CHECK(trouble(schema, write_record(full)) == "");
  CHECK(trouble(schema, write_record(record{})) == "");
  full.tuning->not_tuned = "no";
  full.tuning->trials.clear();
  full.counters.clear();
  full.cases[0].worst_share = std::numeric_limits<double>::quiet_NaN();
  CHECK(trouble(schema, write_record(full)) == "");
}

TEST_CASE("json_schema: every word of a record stands in its schema") {
  const json schema = strict("record");
  for (int i = 0; i <= static_cast<int>(last_code); ++i) {
    record one;
    one.findings.emplace_back().kind = static_cast<code>(i);
    if (name(static_cast<code>(i)) != "unknown")
      CHECK(trouble(schema, write_record(one)) == "");
  }
  for (int i = 0; i <= static_cast<int>(outcome::unjudged); ++i) {
    record one;
    one.what = static_cast<outcome>(i);
    CHECK(trouble(schema, write_record(one)) == "");
  }
  for (int i = 0; i <= static_cast<int>(stage::time); ++i) {
    record one;
    one.reached = static_cast<stage>(i);
    CHECK(trouble(schema, write_record(one)) == "");
  }
  for (int i = 0; i <= static_cast<int>(search_end::target); ++i) {
    record one = full_record();
    one.seed = 1;
    one.tuning->ended = name(static_cast<search_end>(i));
    CHECK(trouble(schema, write_record(one)) == "");
  }
  for (int i = 0; i <= static_cast<int>(last_assertion_type); ++i) {
    record one;
    one.assertions.emplace_back().kind = static_cast<assertion::type>(i);
    CHECK(trouble(schema, write_record(one)) == "");
  }
}

TEST_CASE("json_schema: a record that breaks its schema is refused") {
  const json schema = schema_at("record");
  const json good = json::parse(write_record(record{}));
  REQUIRE(trouble(schema, good.dump()) == "");
  const auto broken = [&](const char* at, const json& value) {
    json bad = good;
    bad[json::json_pointer(at)] = value;
    return trouble(schema, bad.dump()) != "";
  };
  CHECK(broken("/schema", 2));
  CHECK(broken("/outcome", "excellent"));
  CHECK(broken("/tokens", "none"));
  CHECK(broken("/findings", json::array({json::object()})));
  CHECK(broken("/speedup", {{"times", 0}, {"predicted", true}}));
  CHECK(broken("/tuning", {{"version", 2}}));
  json bad = good;
  bad.erase("device");
  CHECK(trouble(schema, bad.dump()) != "");
  // A key of a later release is no fault.
  bad = good;
  bad["new"] = 1;
  CHECK(trouble(schema, bad.dump()) == "");
}

TEST_CASE("json_schema: what report --json prints stands in its schema") {
  const json schema = strict("effects");
  std::vector<record> all;
  for (const char* task : {"a", "b"})
    for (int draw = 0; draw < 12; ++draw)
      for (const bool with : {true, false}) {
        record one = full_record();
        one.of.id = std::string(task) + std::to_string(draw) + (with ? "w" : "");
        one.of.task = task;
        one.of.arm = with ? arm_with : arm_without;
        one.of.draw = draw;
        one.of.pair = std::string(task) + std::to_string(draw);
        one.of.output_tokens = 1000 + draw;
        one.what = draw == 3              ? outcome::unjudged
                   : draw % (with ? 6 : 2) == 1 ? outcome::wrong
                                          : outcome::correct;
        all.push_back(one);
      }
  const std::vector<effect> effects = effects_of(all);
  REQUIRE(effects.size() == 1);
  const auto rules = read_gate("pass_rate>=0.9, lift>0, token_ratio<2");
  REQUIRE(rules.ok());
  const std::vector<std::vector<gate_told>> gates{
      judge_gate(rules.value(), effects[0].over_all)};
  CHECK(trouble(schema, write_effects(effects, all.size(), gates, 2,
                                      attributions_of(all))) == "");
  CHECK(trouble(schema, write_effects({}, 0)) == "");
  // One arm alone: nothing is compared.
  std::erase_if(all, [](const record& one) { return one.of.arm == arm_without; });
  CHECK(trouble(schema, write_effects(effects_of(all), all.size())) == "");
  CHECK(trouble(schema, "{\"schema\":1}") != "");
}
