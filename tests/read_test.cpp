#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <skillbench/extract.hpp>
#include <skillbench/json_family.hpp>
#include <skillbench/read.hpp>

using namespace skillbench;

namespace {

std::string file(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::vector<family>& known() {
  static const std::vector<family> all = [] {
    std::vector<family> made;
    for (const char* const name : {"layernorm", "geglu", "attention"}) {
      auto read = read_family(file(std::string(SKILLBENCH_SOURCE_DIR) +
                                   "/kernels/" + name + "/family.json"),
                              "", "", {});
      REQUIRE(read.ok());
      made.push_back(std::move(read).value());
    }
    return made;
  }();
  return all;
}

const family& named(const std::string& name) {
  for (const family& one : known())
    if (one.name == name) return one;
  FAIL("no family " << name);
  return known().front();
}

// A geglu manifest with one of its lines replaced, or more lines added.
std::string geglu(const std::string& part = "", const std::string& by = "") {
  std::string made = R"j({
  "family": "geglu",
  "entry": "k<{T}, {BLOCK}>",
  "args": ["x", "y", "rows", "cols"],
  "grid": ["ceil_div(rows * cols, BLOCK)"],
  "block": ["BLOCK"],
  "tune": {"BLOCK": [128, 256]}
})j";
  if (part.empty()) return made;
  const std::size_t at = made.find(part);
  REQUIRE_MESSAGE(at != std::string::npos, part);
  return made.replace(at, part.size(), by);
}

const std::string code_text = "__global__ void k() {}\n";

read_result read(const std::string& source) {
  excerpt from;
  from.source = source;
  return read_candidate(from, known(), named("geglu"));
}

read_result read_json(const std::string& json) {
  return read("/* skillbench\n" + json + "\n*/\n" + code_text);
}

candidate found(const read_result& it) {
  const std::string why = it.refused.empty() ? "" : it.refused[0].what;
  REQUIRE_MESSAGE(it.found.has_value(), why);
  CHECK(it.refused.empty());
  return *it.found;
}

// The first refusal.
finding refused(const read_result& it) {
  REQUIRE_FALSE(it.found.has_value());
  REQUIRE_FALSE(it.refused.empty());
  for (const finding& one : it.refused) {
    CHECK(one.kind == code::bad_manifest);
    CHECK(one.weight == severity::fails);
    CHECK(outcome_of(one.kind) == outcome::bad_manifest);
  }
  return it.refused[0];
}

bool says(const std::string& text, const std::string& part) {
  const bool is = text.find(part) != std::string::npos;
  CHECK_MESSAGE(is, text, " does not say ", part);
  return is;
}

// Every line of `text` behind `mark`.
std::string behind(const std::string& mark, const std::string& text) {
  std::string made = mark;
  for (const char c : text) {
    made += c;
    if (c == '\n') made += mark;
  }
  return made + "\n";
}

}  // namespace

TEST_CASE("read: the manifest of a source") {
  excerpt from;
  from.source = "/* skillbench\n" + geglu() + "\n*/\n" + code_text;
  from.first_line = 12;
  from.notes.resize(2);
  const candidate it = found(read_candidate(from, known(), named("geglu")));
  CHECK(it.source == from.source);
  CHECK(it.first_line == 12);
  CHECK(it.notes.size() == 2);
  CHECK(it.launch.family == "geglu");
  CHECK(it.launch.launches[0].entry == "k<{T}, {BLOCK}>");
}

TEST_CASE("read: the comment may be written in any of the usual ways") {
  found(read("/*skillbench" + geglu() + "*/" + code_text));
  found(read("/** skillbench\n" + behind(" * ", geglu()) + " */" + code_text));
  found(read("/*\n  skillbench:\n" + geglu() + "\n*/" + code_text));
  found(read("// skillbench\n" + behind("// ", geglu()) + code_text));
  found(read("  /// skillbench " + behind("  /// ", geglu()) + code_text));
  found(read("#include <cuda_fp16.h>\n// A kernel.\n// skillbench\n" +
             behind("//", geglu()) + code_text));
  found(read(code_text + "/* skillbench\n" + geglu() + "\n*/"));
  found(read("/* skillbench launch manifest\n" + geglu() +
             "\nOne block a tile. */" + code_text));
  found(read("// skillbench\n" + behind("// ", geglu()) +
             "// Tiles: see {below}.\n" + code_text));
}

TEST_CASE("read: what is no such comment is passed over") {
  const std::string good = "/* skillbench\n" + geglu() + "\n*/\n" + code_text;
  found(read("/* skillbenchmark { */\n" + good));
  found(read("// my skillbench {\n\n" + good));
  found(read("// skillbench reads what follows\n\n" + good));
  found(read("const char* a = \"/* skillbench {\";\n" + good));
  found(read("const char* a = \"\\\"/* skillbench {\";\n" + good));
  found(read("const char* a = R\"x(\" /* skillbench { )x\";\n" + good));
  found(read("char a = '\"', b = '\\'';\n" + good));
  found(read("int a = 1'000'000;\n" + good));
  found(read("int a = 1'000; " + good));
  found(read("#error don't\n" + good));
  found(read("#error say \"no\n" + good));
}

TEST_CASE("read: no manifest, an empty one and a cut one are told apart") {
  says(refused(read(code_text)).what, "no launch manifest");
  says(refused(read("const char* s = \"/* skillbench {} */\";")).what,
       "no launch manifest");
  const finding empty = refused(read("\n/* skillbench: see below */\n"));
  says(empty.what, "holds no JSON object");
  CHECK(empty.line == 2);
  says(refused(read("/* skillbench {\"family\": \"a\\\"}b\"} */")).what,
       "\"entry\" is missing");
  says(refused(read("/* skillbench\n{\"family\": \"geglu\",\n")).what,
       "unexpected end of input");
}

TEST_CASE("read: a mistake in the JSON is told with the source's own line") {
  const finding block = refused(read(
      "// One.\n\n/* skillbench\n{\n  \"family\": 1\n}\n*/\n" + code_text));
  CHECK(block.line == 5);
  says(block.what, "line 5, column 13, at /family");
  const finding lines =
      refused(read("\n// skillbench\n// {\n//   \"family\": 1\n// }\n"));
  CHECK(lines.line == 4);
  says(lines.what, "line 4, column 16, at /family");
  CHECK(refused(read_json(geglu("\"block\"", "\"blocks\""))).line == 7);
}

TEST_CASE("read: the family must be the one that was asked for") {
  says(refused(read_json(geglu("\"geglu\"", "\"layernorm\""))).what,
       "for the family \"layernorm\"; the task is \"geglu\"");
  says(refused(read_json(geglu("\"geglu\"", "\"gelu\""))).what,
       "which does not exist");
}

TEST_CASE("read: arguments are the task's or scratch") {
  says(refused(read_json(geglu("\"cols\"]", "\"columns\"]"))).what,
       "names `columns`, which is no argument of the task; there are x, y");
  says(refused(read_json(geglu("\"cols\"]", "\"BLOCK\"]"))).what,
       "a tunable, no argument");
  says(refused(read_json(geglu("\"cols\"]", "\"tmp\"]"))).what, "`tmp`");
  found(read_json(
      geglu("\"cols\"],", "\"tmp\"], \"scratch\": {\"tmp\": \"4 * rows\"},")));
}

TEST_CASE("read: expressions name integers, tunables and sizeof_T") {
  says(refused(read_json(geglu("rows * cols", "rows * columns"))).what,
       "grid `ceil_div(rows * columns, BLOCK)` names `columns`");
  says(refused(read_json(geglu("[\"BLOCK\"]", "[\"1 ? 1 : eps\"]"))).what,
       "block `1 ? 1 : eps` names `eps`");
  says(refused(read_json(geglu("[\"BLOCK\"]", "[\"x\"]"))).what, "no integer");
  says(
      refused(read_json(geglu("\"tune\"", "\"shared_bytes\": \"T\", \"tune\"")))
          .what,
      "shared_bytes `T`");
  says(refused(read_json(geglu("\"tune\"", "\"require\": [\"n\"], \"tune\"")))
           .what,
       "require `n`");
  says(refused(read_json(
                   geglu("\"tune\"", "\"scratch\": {\"s\": \"n\"}, \"tune\"")))
           .what,
       "scratch `n`");
  says(
      refused(read_json(geglu("\"tune\"",
                              "\"constraints\": [\"cols > BLOCK\"], \"tune\"")))
          .what,
      "constraints are about the tunables");
  found(read_json(geglu("\"tune\"",
                        "\"constraints\": [\"BLOCK * sizeof_T > 0\"],"
                        "\"require\": [\"cols < BLOCK * sizeof_T\"],"
                        "\"shared_bytes\": \"sizeof_T * BLOCK * cols\","
                        "\"tune\"")));
}

TEST_CASE("read: tensor maps are of tensors, and are arguments") {
  const auto map = [](const std::string& tensor, const std::string& extent,
                      const std::string& called = "m") {
    return read_json(geglu("\"cols\"],", "\"" + called +
                                             "\"], \"tensor_maps\": {\"" +
                                             called + "\": {\"tensor\": \"" +
                                             tensor + "\", \"extents\": [\"" +
                                             extent + "\"], \"box\": [8]}},"));
  };
  found(map("x", "rows * 2 * cols"));
  found(map("y", "rows * cols"));
  says(refused(map("rows", "8")).what, "is of `rows`, which is no tensor");
  says(refused(map("z", "8")).what, "is of `z`");
  says(refused(map("x", "n")).what, "tensor map m `n` names `n`");
  says(refused(map("x", "8", "BLOCK")).what, "is a tensor map and something");
  says(refused(map("x", "8", "y")).what, "`y` like an argument");
  says(refused(read_json(
                   geglu("\"tune\"", "\"cluster\": [\"n\"], \"tune\"")))
           .what,
       "cluster `n`");
}

TEST_CASE("read: marks of an entry are T and tunables") {
  says(refused(read_json(geglu("{BLOCK}", "{BLOCKS}"))).what, "`{BLOCKS}`");
  says(refused(read_json(geglu("{BLOCK}", "{cols}"))).what, "`{cols}`");
  says(refused(read_json(geglu("{BLOCK}", "{}"))).what, "`{}`");
  says(refused(read_json(geglu("{BLOCK}>", "{BLOCK"))).what, "without a `}`");
  found(read_json(geglu("<{T}, {BLOCK}>", "")));
}

TEST_CASE("read: no name means two things") {
  for (const char* const name : {"rows", "x", "T", "sizeof_T"})
    says(refused(read_json(geglu(
                     "{\"BLOCK\": [128, 256]",
                     "{\"BLOCK\": [1], \"" + std::string(name) + "\": [1]")))
             .what,
         "`" + std::string(name) + "`");
  says(
      refused(read_json(geglu("\"tune\"", "\"scratch\": {\"y\": 4}, \"tune\"")))
          .what,
      "`y` like an argument");
  says(refused(read_json(
                   geglu("\"tune\"", "\"scratch\": {\"BLOCK\": 4}, \"tune\"")))
           .what,
       "both a tunable and scratch");
}

TEST_CASE("read: some setting satisfies the constraints") {
  says(refused(read_json(geglu("\"tune\"",
                               "\"constraints\": [\"BLOCK > 256\"], \"tune\"")))
           .what,
       "no combination");
  says(
      refused(read_json(geglu("\"tune\"",
                              "\"constraints\": [\"sizeof_T > 2\"], \"tune\"")))
          .what,
      "sizeof_T 2");
  says(refused(read_json(
                   geglu("\"tune\"", "\"constraints\": [\"1 / 0\"], \"tune\"")))
           .what,
       "division by zero");
  found(read_json(
      geglu("\"tune\"", "\"constraints\": [\"BLOCK == 256\"], \"tune\"")));
}

TEST_CASE("read: a search for a setting that would take for ever is refused") {
  std::string tune = "\"BLOCK\": [1]", constraint = "0";
  for (int i = 0; i < 30; ++i)
    tune += ", \"N" + std::to_string(i) + "\": [1,2]";
  for (int i = 0; i < 5'000; ++i) constraint += " + 0";
  // Its end is one of work: as many as have 100 million characters of constraints.
  says(
      refused(read_json(geglu("\"tune\": {\"BLOCK\": [128, 256]}",
                              "\"tune\": {" + tune + "}, \"constraints\": [\"" +
                                  constraint + "\"]")))
          .what,
      "none of the first " +
          std::to_string(most_searched_bytes / constraint.size() + 1) + " ");
}

TEST_CASE("read: every mistake is told, but not without end") {
  const auto two =
      read_json(geglu("ceil_div(rows * cols, BLOCK)", "a + b + sizeof_T"));
  CHECK(two.refused.size() == 2);
  std::string sum = "0";
  for (int i = 0; i < 100; ++i) sum += "+a" + std::to_string(i);
  CHECK(read_json(geglu("ceil_div(rows * cols, BLOCK)", sum)).refused.size() ==
        16);
}

TEST_CASE("read: a tunable that nothing uses is a note") {
  const std::string json = geglu("{\"BLOCK\"", "{\"UNROLL\": [1], \"BLOCK\"");
  const candidate it = found(read_json(json));
  REQUIRE(it.notes.size() == 1);
  CHECK(it.notes[0].weight == severity::note);
  says(it.notes[0].what, "`UNROLL`");
  const std::string manifest = "/* skillbench\n" + json + "\n*/\n";
  CHECK(found(read(manifest + "int a = UNROLL;")).notes.empty());
  CHECK(found(read(manifest + "int a = UNROLLED;")).notes.size() == 1);
  CHECK(found(read_json(geglu("{\"BLOCK\"", "{\"U\": [1], \"BLOCK\"")
                            .replace(0, 1, "{\"shared_bytes\": \"U\",")))
            .notes.empty());
}

TEST_CASE("read: several launches are told apart") {
  says(refused(read_json(R"({"family": "geglu", "launches": [
{"entry": "a", "args": ["x"], "grid": [1], "block": [1]},
{"entry": "b", "args": ["z"], "grid": [1], "block": [1]}]})"))
           .what,
       "launch 2: args names `z`");
}

TEST_CASE("read: a source of nothing but comments takes no time") {
  std::string source;
  while (source.size() < 250'000) source += "// skillbench\n\n";
  says(refused(read(source)).what, "holds no JSON object");
  source.clear();
  while (source.size() < 250'000) source += "R\"(/* skillbench {";
  refused(read(source));
}

TEST_CASE("read: the example outputs are read, and launch something") {
  const std::string folder =
      std::string(SKILLBENCH_SOURCE_DIR) + "/examples/outputs";
  int read_count = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder)) {
    const std::filesystem::path path = entry.path();
    const std::string task = path.parent_path().filename().string();
    if (path.extension() != ".md" || path.parent_path() == folder) continue;
    CAPTURE(path);
    const extracted pieces = extract(file(path.string()));
    REQUIRE(pieces.found.has_value());
    CHECK(pieces.found->notes.empty());
    const candidate it =
        found(read_candidate(*pieces.found, known(), named(task)));
    CHECK(it.notes.empty());
    ++read_count;
    for (const test_case& one : named(task).cases)
      for (const element type : all_elements) {
        const auto chosen = default_setting(it.launch, type);
        REQUIRE(chosen.ok());
        bindings names = names_of(chosen.value(), type);
        names.insert(names.end(), one.integers.begin(), one.integers.end());
        for (const launch_text& each : it.launch.launches)
          for (const auto* const extents : {&each.grid, &each.block})
            for (const expression& extent : *extents) {
              const auto value = extent.evaluate(names);
              REQUIRE(value.ok());
              CHECK(value.value() >= 1);
            }
      }
  }
  CHECK(read_count >= 18);
}
