#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/json_manifest.hpp>

#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

namespace {

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
  REQUIRE_MESSAGE(!made.ok(), json.substr(0, 200));
  CHECK(made.error().why == reason::bad_input);
  return made.error().what;
}

}  // namespace

TEST_CASE("json_manifest: a manifest as the contract shows it") {
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
  CHECK((it.tune[0].values == std::vector<tuning_value>{128, 256, 512}));
  CHECK((it.tune[1].values == std::vector<tuning_value>{-1}));
  CHECK(it.constraints.size() == 1);
  CHECK(it.require.size() == 1);
  REQUIRE(it.scratch.size() == 1);
  CHECK(it.scratch[0].first == "sums");
}

TEST_CASE("json_manifest: integers are expressions, shared memory is optional") {
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

TEST_CASE("json_manifest: several launches stand in order") {
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

TEST_CASE("json_manifest: a wrong value is named by line, column and pointer") {
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

TEST_CASE("json_manifest: wrong types say what was found and what expected") {
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
  says(refused(with(R"("tune": {"A": [1.5]})")), "an integer, a string or a boolean");
  says(refused(with(R"("tune": {"A": [null]})")), "found null");
  says(refused(with(R"("tune": {"A": [9223372036854775808]})")), "64 bits");
  says(refused(with(R"("tune": {"2A": [1]})")), "is no name of a tunable");
  says(refused(with(R"("scratch": {"a b": 1})")), "is no name of scratch");
  says(refused(with(R"("scratch": ["a"])")), "an object of names");
  says(refused(with(R"("require": "cols")")), "an array of expressions");
  CHECK((read(with(R"("tune": {"A": [9223372036854775807,
-9223372036854775808]})"))
             .tune[0]
             .values[1] ==
         tuning_value(std::numeric_limits<std::int64_t>::min())));
}

TEST_CASE("json_manifest: tunables are integers, strings or booleans, of one kind each") {
  const manifest it = read(with(
      R"("tune": {"A": ["row", "a, b"], "B": [true, false], "C": [3]})"));
  REQUIRE(it.tune.size() == 3);
  CHECK((it.tune[0].values ==
         std::vector<tuning_value>{std::string("row"), std::string("a, b")}));
  CHECK((it.tune[1].values == std::vector<tuning_value>{true, false}));
  CHECK((it.tune[2].values == std::vector<tuning_value>{3}));
  says(refused(with(R"("tune": {"A": [1, true]})")), "of several kinds");
  says(refused(with(R"("tune": {"A": ["1", 1]})")), "of several kinds");
  // A value becomes one line of the source and ends there.
  says(refused(with(R"("tune": {"A": ["x\n#define y"]})")), "control character");
  says(refused(with(R"("tune": {"A": ["x\\"]})")), "backslash");
  says(refused(with(R"("tune": {"A": [""]})")), "empty string");
  says(refused(with(R"("tune": {"A": [")" + repeat("x", 257) + "\"]}")),
       "at most 256");
}

TEST_CASE("json_manifest: clusters and tensor maps") {
  const manifest it = read(with(
      R"("cluster": [2, "N"], "tensor_maps": {"x_map": {"tensor": "x",
"extents": ["cols", "rows"], "strides": ["cols * 2"], "box": [64, "R"],
"element_strides": [1, 2], "swizzle": "128", "interleave": "16",
"oob": "nan"}, "flat": {"tensor": "y", "extents": [8], "box": [8],
"interleave": "none"}})"));
  REQUIRE(it.launches[0].cluster.size() == 2);
  CHECK(it.launches[0].cluster[1].text() == "N");
  REQUIRE(it.tensor_maps.size() == 2);
  const tensor_map_text& map = it.tensor_maps[0];
  CHECK(map.name == "x_map");
  CHECK(map.tensor == "x");
  CHECK(map.extents[1].text() == "rows");
  CHECK(map.strides[0].text() == "cols * 2");
  CHECK(map.box[1].text() == "R");
  CHECK(map.element_strides[1].text() == "2");
  CHECK(map.swizzle == 128);
  CHECK(map.interleave == 16);
  CHECK(map.nan);
  CHECK(it.tensor_maps[1].strides.empty());
  CHECK(it.tensor_maps[1].swizzle == 0);
  CHECK(it.tensor_maps[1].interleave == 0);
  CHECK_FALSE(it.tensor_maps[1].nan);
  const auto map_with = [](const std::string& rest) {
    return with(R"("tensor_maps": {"m": {"tensor": "x", )" + rest + "}}");
  };
  says(refused(with(R"("tensor_maps": [])")), "an object of tensor maps");
  says(refused(with(R"("tensor_maps": {"a b": {}})")), "is no name of a tensor map");
  says(refused(map_with(R"("extents": [8])")), "\"box\"");
  says(refused(map_with(R"("extents": [8, 8], "box": [8, 8])")), "\"strides\"");
  says(refused(map_with(R"("extents": [8, 8], "strides": [16], "box": [8])")), "/box");
  says(refused(map_with(R"("extents": [8, 8], "strides": [16, 16], "box": [8, 8])")), "/strides");
  says(refused(map_with(R"("extents": [1,1,1,1,1,1], "box": [8])")), "/extents");
  says(refused(map_with(R"("extents": [8], "box": [8], "swizzle": "16")")), "expected one of \"none\", \"32\"");
  says(refused(map_with(R"("extents": [8], "box": [8], "interleave": "8")")), "expected one of \"none\", \"16\", \"32\"");
  says(refused(map_with(R"("extents": [8], "box": [8], "size": 1)")), "size");
  says(refused(with(R"("cluster": [])")), "/cluster");
}

TEST_CASE("json_manifest: keys are known, there and there once") {
  says(refused(with(R"("blocks": [1])")), "there is no key \"blocks\"");
  says(refused(with(R"("grid": [2])")), "\"grid\" stands here twice");
  says(refused(with(R"("tune": {"A": [1], "A": [2]})")), "twice");
  CHECK(refused("{\"" + std::string(100'000, 'a') + "\": 1}").size() < 1000);
  says(refused("{}"), "\"family\" is missing");
  says(refused(R"({"family": "f"})"), "\"entry\" is missing");
  says(refused(R"({"family": "f", "entry": "k"})"), "\"args\" is missing");
  says(refused(R"({"family": "f", "launches": [{"entry": "k", "args": ["x"],
"grid": [1]}]})"),
       "at /launches/0: the key \"block\" is missing");
  says(refused(R"({"family": "f", "launches": [{"family": "f"}]})"),
       "there is no key \"family\" in a launch");
}

TEST_CASE("json_manifest: lists have as many entries as make sense") {
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
