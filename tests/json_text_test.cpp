#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include <skillbench/json_text.hpp>

using namespace skillbench;

namespace {

std::string file(const std::string& path) {
  std::ifstream in(std::string(SKILLBENCH_SOURCE_DIR) + "/" + path);
  REQUIRE_MESSAGE(in.good(), path);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, text, " does not say ", part);
  return found;
}

// The least that is a manifest, with more keys before its end.
std::string with(const std::string& more) {
  return R"({"family": "f", "entry": "k", "args": ["x"], "grid": [1],
"block": [32])" +
         (more.empty() ? "" : ",\n" + more) + "}";
}

manifest read(const std::string& json) {
  auto made = read_manifest(json);
  const std::string why = made.ok() ? "" : made.error().what;
  REQUIRE_MESSAGE(made.ok(), why);
  return std::move(made).value();
}

std::string refused(const std::string& json, text_place* where = nullptr) {
  const auto made = read_manifest(json, where);
  REQUIRE_MESSAGE(!made.ok(), json);
  CHECK(made.error().why == reason::bad_input);
  return made.error().what;
}

std::string repeat(const std::string& part, int times) {
  std::string made;
  for (int i = 0; i < times; ++i) made += part;
  return made;
}

// `text` with the first `part` replaced.
std::string changed(std::string text, const std::string& part,
                    const std::string& by) {
  const std::size_t at = text.find(part);
  REQUIRE_MESSAGE(at != std::string::npos, part);
  return text.replace(at, part.size(), by);
}

}  // namespace

TEST_CASE("json_text: a manifest as the contract shows it") {
  const manifest it = read(R"({
  "family": "layernorm",
  "entry": "my_kernel<{T}, {BLOCK}>",
  "args": ["x", "weight", "bias", "y", "rows", "cols", "eps"],
  "grid": ["rows"],
  "block": ["BLOCK"],
  "shared_bytes": "4 * BLOCK",
  "tune": {"BLOCK": [128, 256, 512], "A": [-1]},
  "constraints": ["BLOCK >= 128"],
  "require": ["cols >= 1"],
  "scratch": {"sums": "rows * 4"}
})");
  CHECK(it.family == "layernorm");
  REQUIRE(it.launches.size() == 1);
  CHECK(it.launches[0].entry == "my_kernel<{T}, {BLOCK}>");
  CHECK(it.launches[0].args.size() == 7);
  CHECK(it.launches[0].grid[0].text() == "rows");
  CHECK(it.launches[0].block[0].text() == "BLOCK");
  CHECK(it.launches[0].shared_bytes.text() == "4 * BLOCK");
  REQUIRE(it.tune.size() == 2);
  CHECK(it.tune[0].name == "BLOCK");  // as written, not sorted
  CHECK(it.tune[0].values == std::vector<std::int64_t>{128, 256, 512});
  CHECK(it.tune[1].values == std::vector<std::int64_t>{-1});
  CHECK(it.constraints.size() == 1);
  CHECK(it.require.size() == 1);
  REQUIRE(it.scratch.size() == 1);
  CHECK(it.scratch[0].first == "sums");
}

TEST_CASE("json_text: integers are expressions, shared memory is optional") {
  const manifest it = read(with(R"("scratch": {"s": 64})"));
  CHECK(it.launches[0].grid[0].evaluate({}).value() == 1);
  CHECK(it.launches[0].block[0].evaluate({}).value() == 32);
  CHECK(it.launches[0].shared_bytes.evaluate({}).value() == 0);
  CHECK(it.scratch[0].second.evaluate({}).value() == 64);
  CHECK(read(with(R"("shared_bytes": 128)"))
            .launches[0]
            .shared_bytes.evaluate({})
            .value() == 128);
  CHECK(read(with(R"("require": [], "constraints": [], "tune": {})"))
            .require.empty());
}

TEST_CASE("json_text: several launches stand in order") {
  const manifest it = read(R"({"family": "f", "launches": [
{"entry": "a", "args": ["x"], "grid": [1], "block": [1, 2, 3]},
{"entry": "b", "args": ["y"], "grid": [2, 3], "block": [1], "shared_bytes": 4}
]})");
  REQUIRE(it.launches.size() == 2);
  CHECK(it.launches[0].entry == "a");
  CHECK(it.launches[0].block.size() == 3);
  CHECK(it.launches[1].shared_bytes.text() == "4");
  for (const char* const key :
       {R"("entry": "k")", R"("args": ["x"])", R"("grid": [1])",
        R"("block": [1])", R"("shared_bytes": 0)"})
    says(refused(R"({"family": "f", "launches": [{"entry": "a", "args": ["x"],
"grid": [1], "block": [1]}], )" +
                 std::string(key) + "}"),
         "beside \"launches\"");
}

TEST_CASE("json_text: a wrong value is named by line, column and pointer") {
  text_place where;
  const std::string what =
      refused(with(R"("tune": {"A": [1], "B/~": 2})"), &where);
  says(what, "\"B/~\" is no name of a tunable");
  says(what, "at /tune/B~1~0");
  CHECK(where.line == 3);
  CHECK(where.column == 27);
  says(refused(with(R"("tune": {"A": [1, 2.5]})"), &where),
       "line 3, column 19, at /tune/A/1: found a number with a fraction or an "
       "exponent; expected an integer");
  CHECK(where.column == 19);
  says(refused(with("\"require\":\n  [ \"cols >\" ]")),
       "line 4, column 5, at /require/0: the expression ends");
}

TEST_CASE("json_text: wrong types say what was found and what expected") {
  says(refused("[1]"), "found an array of 1; expected a launch manifest");
  says(refused("3"), "found 3");
  says(refused("null"), "found null");
  says(refused("\"text\""), "found \"text\"");
  says(refused(changed(with(""), R"("f")", "null")), "at /family: found null");
  says(refused(changed(with(""), R"("k")", "true")), "at /entry: found true");
  says(refused(changed(with(""), R"("k")", R"("")")), "empty string");
  says(refused(changed(with(""), R"("k")", R"("k\n")")), "control character");
  says(refused(changed(with(""), R"(["x"])", R"("x")")),
       "an array of argument");
  says(refused(changed(with(""), R"(["x"])", "[1]")), "at /args/0: found 1");
  says(refused(changed(with(""), "[32]", "32")),
       "found 32; expected an array of expressions");
  says(refused(changed(with(""), "[32]", "[32.0]")), "at /block/0");
  says(refused(changed(with(""), "[32]", "[{}]")), "found an empty object");
  says(refused(with(R"("tune": [])")), "expected an object of tunables");
  says(refused(with(R"("tune": {"A": 1})")), "at /tune/A: found 1");
  says(refused(with(R"("tune": {"A": [true]})")), "found true");
  says(refused(with(R"("tune": {"A": ["1"]})")), "found \"1\"");
  says(refused(with(R"("tune": {"A": [9223372036854775808]})")), "64 bits");
  says(refused(with(R"("tune": {"2A": [1]})")), "is no name of a tunable");
  says(refused(with(R"("scratch": {"a b": 1})")), "is no name of scratch");
  says(refused(with(R"("scratch": ["a"])")), "an object of names");
  says(refused(with(R"("require": "cols")")), "an array of expressions");
  CHECK(read(with(R"("tune": {"A": [9223372036854775807,
-9223372036854775808]})"))
            .tune[0]
            .values[1] == std::numeric_limits<std::int64_t>::min());
}

TEST_CASE("json_text: keys are known, there and there once") {
  says(refused(with(R"("blocks": [1])")), "there is no key \"blocks\"");
  says(refused(with(R"("grid": [2])")), "\"grid\" stands here twice");
  says(refused(with(R"("tune": {"A": [1], "A": [2]})")), "twice");
  says(refused("{}"), "\"family\" is missing");
  says(refused(R"({"family": "f"})"), "\"entry\" is missing");
  says(refused(R"({"family": "f", "entry": "k"})"), "\"args\" is missing");
  says(refused(R"({"family": "f", "launches": [{"entry": "k", "args": ["x"],
"grid": [1]}]})"),
       "at /launches/0: the key \"block\" is missing");
  says(refused(R"({"family": "f", "launches": [{"family": "f"}]})"),
       "there is no key \"family\" in a launch");
}

TEST_CASE("json_text: lists have as many entries as make sense") {
  says(refused(changed(with(""), "[32]", "[]")), "found 0 entries");
  says(refused(changed(with(""), "[32]", "[1, 1, 1, 1]")),
       "found 4 entries; expected 1 to 3");
  says(refused(changed(with(""), "[\"x\"]", "[]")), "found 0 entries");
  says(refused(R"({"family": "f", "launches": []})"), "found 0 entries");
  says(refused(with(R"("tune": {"A": []})")), "found 0 entries");
  says(refused(with(R"("tune": {"A": [)" + repeat("1,", 1024) + "1]}")),
       "expected 1 to 1024");
  CHECK(read(with(R"("tune": {"A": [)" + repeat("1,", 1023) + "1]}"))
            .tune[0]
            .values.size() == 1024);
  std::string tune;
  for (int i = 0; i < 65; ++i)
    tune += (i > 0 ? ", \"A" : "\"A") + std::to_string(i) + "\": [1]";
  says(refused(with("\"tune\": {" + tune + "}")), "at most 64");
  const std::string launch =
      R"({"entry": "k", "args": ["x"], "grid": [1], "block": [1]})";
  says(refused(R"({"family": "f", "launches": [)" + repeat(launch + ",", 64) +
               launch + "]}"),
       "expected 1 to 64");
}

TEST_CASE("json_text: text that is no JSON is refused with its place") {
  says(refused(""), "line 1, column 1: ");
  says(refused("{"), "unexpected end of input");
  says(refused("{\n  \"family\": \"f\",\n}"), "no comma may stand before it");
  says(refused("{\n  \"family\": \"f\",\n}"), "line 2, column 16");
  says(refused("{\"family\": \"f\" // mine\n}"), "JSON has no comments");
  says(refused("{'family': 1}"), "double quotes");
  says(refused(with("") + " x"), "line 2, column ");
  says(refused("{\"family\": tru}"), "invalid literal");
  says(refused("{\"family\": 01}"), "line 1, column 13");
  says(refused("{\"family\": 1e999}"), "overflow");
  says(refused("{\"family\": NaN}"), "invalid literal");
  says(refused("{\"family\": \"\xff\"}"), "UTF-8");
  says(refused("{\"family\": \"a\nb\"}"), "control character");
  says(refused("{\"family\": \"\\ud800\"}"), "surrogate");
  says(refused(std::string("{\0}", 3)), "line 1, column 2");
}

TEST_CASE("json_text: hostile nesting and size are refused") {
  says(refused(repeat("[", 100'000)), "more than 32 levels");
  says(refused(repeat("{\"a\":", 33)), "more than 32 levels");
  says(refused("[" + repeat("0,", 1'100'000) + "0]"), "more than 1000000");
  CHECK(refused("{\"" + std::string(100'000, 'a') + "\": 1}").size() < 1000);
  CHECK(refused("{\"family\": t" + std::string(100'000, 'a')).size() < 1000);
}

TEST_CASE("json_text: the families of this project can be read") {
  for (const char* const name :
       {"layernorm", "rmsnorm", "geglu", "attention"}) {
    const auto made = read_family(
        file("kernels/" + std::string(name) + "/family.json"), "p", "b", {});
    const std::string why = made.ok() ? "" : made.error().what;
    REQUIRE_MESSAGE(made.ok(), why);
    CHECK(made.value().name == name);
    CHECK(made.value().prompt == "p");
    CHECK(made.value().baseline == "b");
    CHECK(made.value().cases.size() >= 12);
    for (const test_case& one : made.value().cases) {
      std::size_t inputs = 0, integers = 0, reals = 0;
      for (const argument& it : made.value().arguments) {
        inputs += it.kind == argument::type::input;
        integers += it.kind == argument::type::integer;
        reals += it.kind == argument::type::real;
      }
      CHECK(one.fills.size() == inputs);
      CHECK(one.integers.size() == integers);
      CHECK(one.reals.size() == reals);
    }
  }
}

namespace {

const std::string small_family = R"({
"name": "f", "title": "F", "version": "1",
"arguments": [
  {"name": "x", "kind": "input", "shape": ["rows", "2 * cols"]},
  {"name": "w", "kind": "input", "shape": ["cols"]},
  {"name": "y", "kind": "output", "shape": ["rows", "cols"]},
  {"name": "rows", "kind": "integer", "range": [1, 10]},
  {"name": "cols", "kind": "integer", "range": [1, 20]},
  {"name": "eps", "kind": "real"}],
"cases": [{"name": "c", "why": "because",
  "integers": {"cols": 7, "rows": 3}, "reals": {"eps": 1e-5},
  "fills": {"x": {"kind": "spike", "scale": 2, "offset": -1, "row": "cols"}}}],
"tolerance": {"c": 4, "why": "so"},
"work": {"bytes": "rows * cols * sizeof_T", "operations": "rows * cols"}})";

std::string family_refused(const std::string& part, const std::string& by) {
  const auto made = read_family(changed(small_family, part, by), "", "", {});
  REQUIRE_MESSAGE(!made.ok(), by);
  return made.error().what;
}

}  // namespace

TEST_CASE("json_text: what hidden cases are drawn from, and its refusals") {
  const auto with = [](const std::string& hidden) {
    return changed(small_family, "\"tolerance\"",
                   "\"hidden\": " + hidden + ", \"tolerance\"");
  };
  const auto made = read_family(
      with(R"({"count": 3, "most_elements": 90, "integers": {"cols": [4, 8]},
               "reals": {"eps": [1e-5, 1e-3]},
               "fills": {"x": [{"kind": "spike"}, {"kind": "normal", "row": "cols"}]}})"),
      "", "", {});
  REQUIRE(made.ok());
  const hidden_plan& it = made.value().hidden;
  CHECK(it.count == 3);
  CHECK(it.most_elements == 90);
  CHECK(it.integers[0].second == std::vector<std::int64_t>{4, 8});
  CHECK(it.reals[0].second == std::vector<double>{1e-5, 1e-3});
  REQUIRE(it.fills[0].second.size() == 2);
  CHECK(it.fills[0].second[0].row.text() == "2 * cols");  // the tensor's own
  CHECK(it.fills[0].second[1].row.text() == "cols");

  const auto told = [&](const std::string& hidden) {
    const auto refused = read_family(with(hidden), "", "", {});
    REQUIRE_MESSAGE(!refused.ok(), hidden);
    return refused.error().what;
  };
  const std::string eps = R"("reals": {"eps": [1]})";
  says(told(R"({"most_elements": 90})"), "count");
  says(told(R"({"count": 1})"), "most_elements");
  says(told(R"({"count": 1001, "most_elements": 9, )" + eps + "}"),
       "/hidden/count");
  says(told(R"({"count": 1, "most_elements": 0, )" + eps + "}"), "positive");
  says(told(R"({"count": 1, "most_elements": 9})"),
       "nothing to draw \"eps\" from");
  says(told(R"({"count": 1, "most_elements": 9, "sizes": {}})"), "sizes");
  says(told(R"({"count": 1, "most_elements": 9, "integers": {"cols": [21]}, )" +
            eps + "}"),
       "from 1 to 20");
  says(told(R"({"count": 1, "most_elements": 9, "integers": {"depth": [2]}, )" +
            eps + "}"),
       "no such argument");
  says(
      told(
          R"({"count": 1, "most_elements": 9, "fills": {"y": [{"kind": "normal"}]}, )" +
          eps + "}"),
      "no such argument");
  says(
      told(
          R"({"count": 1, "most_elements": 9, "fills": {"x": [{"kind": "normal", "row": "depth"}]}, )" +
          eps + "}"),
      "depth");
}

TEST_CASE("json_text: a family with the defaults its cases leave out") {
  const auto made = read_family(small_family, "", "", {});
  REQUIRE(made.ok());
  const family& it = made.value();
  CHECK(it.arguments[0].kind == argument::type::input);
  CHECK(it.arguments[2].kind == argument::type::output);
  CHECK(it.arguments[3].most == 10);
  const test_case& one = it.cases[0];
  CHECK(one.integers[0].first == "rows");  // in the order of the arguments
  CHECK(one.integers[0].second == 3);
  CHECK(one.reals[0].second == 1e-5);
  REQUIRE(one.fills.size() == 2);
  CHECK(one.fills[0].second == fill{pattern::spike, 2.0, -1.0, 7});
  CHECK(one.fills[1].first == "w");
  CHECK(one.fills[1].second == fill{pattern::normal, 1.0, 0.0, 7});
  const auto without =
      read_family(changed(small_family, ", \"row\": \"cols\"", ""), "", "", {});
  REQUIRE(without.ok());
  CHECK(without.value().cases[0].fills[0].second.row == 14);
  CHECK(it.allowed.c == 4);
  CHECK(it.bytes.text() == "rows * cols * sizeof_T");
}

TEST_CASE("json_text: a family that contradicts itself is refused") {
  says(family_refused("\"title\": \"F\", ", ""), "\"title\" is missing");
  says(family_refused("\"title\"", "\"heading\""), "no key \"heading\"");
  says(family_refused("\"kind\": \"real\"", "\"kind\": \"float\""), "\"real\"");
  says(family_refused("\"kind\": \"real\"",
                      "\"kind\": \"real\", \"range\": [0,1]"),
       "only integers have a range");
  says(family_refused("\"kind\": \"real\"",
                      "\"kind\": \"real\", \"shape\": [1]"),
       "only tensors have a shape");
  says(family_refused(", \"shape\": [\"cols\"]", ""), "\"shape\" is missing");
  says(family_refused(", \"range\": [1, 20]", ""), "\"range\" is missing");
  says(family_refused("[1, 20]", "[20, 1]"), "above the most");
  says(family_refused("[\"cols\"]", "[\"columns\"]"), "\"columns\"");
  says(family_refused("[\"cols\"]", "[\"cols - 7\"]"),
       "an extent of \"w\" is 0");
  says(family_refused("\"name\": \"w\"", "\"name\": \"x\""), "two arguments");
  says(family_refused("\"rows\": 3", "\"rows\": 11"), "from 1 to 10");
  says(family_refused("\"rows\": 3", "\"rows\": 0"), "from 1 to 10");
  says(family_refused(", \"rows\": 3", ""), "no value for \"rows\"");
  says(family_refused("\"rows\": 3", "\"rows\": 3, \"z\": 1"), "\"z\"");
  says(family_refused("\"eps\": 1e-5", ""), "no value for \"eps\"");
  says(family_refused("\"spike\"", "\"spikes\""), "expected normal, uniform");
  says(family_refused("\"row\": \"cols\"", "\"row\": 0"), "shorter than 1");
  says(family_refused("\"row\": \"cols\"", "\"row\": \"eps\""), "`eps`");
  says(family_refused("{\"x\": {\"kind\"", "{\"y\": {\"kind\""), "no input");
  says(family_refused("\"c\": 4", "\"c\": -1"), "negative");
  says(family_refused("\"operations\": \"rows", "\"operations\": \"row"),
       "\"row\"");
  says(family_refused("\"cases\": [",
                      "\"cases\": [{\"name\": \"c\", \"why\": "
                      "\"w\", \"integers\": {\"cols\": 7, "
                      "\"rows\": 3}, \"reals\": {\"eps\": 1}}, "),
       "two cases");
}

TEST_CASE("json_text: a sample, with what it leaves out") {
  const auto made = read_sample(
      R"({"id": "a", "model": "m", "arm": "baseline", "skill": null,
"task": "geglu", "draw": 2, "output": "x/1.md", "tokens": {"input": 10,
"output": 20}, "cost_usd": 0.5, "seconds": 3, "pair": "p", "more": [1]})");
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

TEST_CASE("json_text: a sample that cannot be one is refused") {
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
  it.of.cost_usd = 0.25;
  it.of.seconds = 1.5;
  it.source_hash = "00ff";
  it.skillbench_version = "9.9.9";
  it.device = "d";
  it.seed = std::numeric_limits<std::uint64_t>::max();
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
  it.speed = "not measured: no GPU";
  it.seconds = {{"extract", 0.001}, {"check", 2.5}};
  return it;
}

}  // namespace

TEST_CASE("json_text: a record that is written is read back as it was") {
  const record was = full_record();
  const std::string line = write_record(was);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.find("not written") == std::string::npos);
  const auto read = read_record(line);
  const std::string why = read.ok() ? "" : read.error().what;
  REQUIRE_MESSAGE(read.ok(), why);
  const record& is = read.value();
  CHECK(write_record(is) == line);
  CHECK(is.of.draw == 3);
  CHECK(is.of.pair == "q");
  CHECK(is.of.input_tokens == 5);
  CHECK_FALSE(is.of.output_tokens.has_value());
  CHECK(is.of.cost_usd == 0.25);
  CHECK(is.of.seconds == 1.5);
  CHECK(is.seed == was.seed);
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
  CHECK(is.seconds == was.seconds);
}

TEST_CASE("json_text: missing tokens are told, never a zero") {
  record it;
  CHECK(says(write_record(it), "\"tokens\":\"not reported\""));
  it.of.output_tokens = 5;
  CHECK(says(write_record(it), "{\"input\":\"not reported\",\"output\":5}"));
}

TEST_CASE("json_text: numbers that JSON has not survive a record") {
  record it = full_record();
  it.cases[0].worst_share = std::numeric_limits<double>::infinity();
  CHECK(read_record(write_record(it)).value().cases[0].worst_share ==
        std::numeric_limits<double>::infinity());
  it.cases[0].worst_share = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(read_record(write_record(it)).value().cases[0].worst_share));
}

TEST_CASE("json_text: bytes that are no UTF-8 do not stop a record") {
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

TEST_CASE("json_text: records are read leniently, but not from the future") {
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

TEST_CASE("json_text: every name of an outcome and a code is read back") {
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
