// The layer table of HACKING.md against the real includes.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path source = SKILLBENCH_SOURCE_DIR;
const fs::path headers = source / "include" / "skillbench";

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.is_open(), path.string());
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Rooms beside the engine: their headers are included as if they were in it.
constexpr std::array rooms{"reports", "tuners"};

// Every header by its path under include/skillbench, and the generated one.
std::vector<std::string> all_headers() {
  std::vector<std::string> all;
  for (const char* room : rooms)
    for (const auto& each : fs::directory_iterator(source / room))
      if (each.path().extension() == ".hpp")
        all.push_back(each.path().lexically_relative(source).string());
  for (const auto& each : fs::recursive_directory_iterator(headers))
    if (each.path().extension() == ".hpp")
      all.push_back(each.path().lexically_relative(headers).string());
  all.push_back("families.hpp");
  std::sort(all.begin(), all.end());
  return all;
}

fs::path path_of(const std::string& header) {
  if (header == "families.hpp")
    return fs::path(SKILLBENCH_BINARY_DIR) / "generated/skillbench" / header;
  for (const char* room : rooms)
    if (header.starts_with(std::string(room) + "/")) return source / header;
  return headers / header;
}

// Rows "| 3 | `a.hpp` `b/*` |".
std::map<std::string, int> layer_table() {
  std::map<std::string, int> table;
  for (const std::string& line : lines_of(source / "HACKING.md")) {
    if (line.size() < 5 || !line.starts_with("| ") ||
        !std::isdigit(static_cast<unsigned char>(line[2])) || line[3] != ' ')
      continue;
    std::size_t at = 0;
    while ((at = line.find('`', at)) != std::string::npos) {
      const std::size_t end = line.find('`', at + 1);
      REQUIRE(end != std::string::npos);
      const std::string name = line.substr(at + 1, end - at - 1);
      CHECK_MESSAGE(table.emplace(name, line[2] - '0').second, name,
                    " stands twice in the table");
      at = end + 1;
    }
  }
  REQUIRE(table.size() > 10);
  return table;
}

std::optional<int> layer_of(const std::string& header,
                            const std::map<std::string, int>& table) {
  if (const auto found = table.find(header); found != table.end())
    return found->second;
  const std::size_t folder = header.find('/');
  if (folder != std::string::npos)
    if (const auto found = table.find(header.substr(0, folder) + "/*");
        found != table.end())
      return found->second;
  return std::nullopt;
}

// What stands between < > or " " after #include.
std::vector<std::string> includes_of(const fs::path& path) {
  std::vector<std::string> found;
  for (const std::string& line : lines_of(path)) {
    if (!line.starts_with("#include ")) continue;
    const std::size_t end = line.find_first_of(">\"", 10);
    REQUIRE_MESSAGE(end != std::string::npos, line);
    found.push_back(line.substr(10, end - 10));
  }
  return found;
}

constexpr std::string_view ours = "skillbench/";

}  // namespace

TEST_CASE("layers: every header has a row, and every row a header") {
  const auto table = layer_table();
  std::set<std::string> rows;
  for (const std::string& header : all_headers()) {
    CHECK_MESSAGE(layer_of(header, table).has_value(), header,
                  " is in no layer of HACKING.md");
    rows.insert(table.contains(header)
                    ? header
                    : header.substr(0, header.find('/')) + "/*");
  }
  for (const auto& [name, layer] : table)
    CHECK_MESSAGE(rows.contains(name), name, " is in the table and not there");
}

TEST_CASE("layers: a header says the layer that the table has for it") {
  const auto table = layer_table();
  for (const std::string& header : all_headers()) {
    const auto wanted = layer_of(header, table);
    std::string said;
    for (const std::string& line : lines_of(path_of(header)))
      if (line.starts_with("// Layer ")) {
        said = line.substr(line.find_first_not_of(' ', 9), 1);
        break;
      }
    if (wanted)
      CHECK_MESSAGE(said == std::to_string(*wanted), header, " says layer ",
                    said);
  }
}

TEST_CASE("layers: includes point down") {
  const auto table = layer_table();
  for (const std::string& header : all_headers()) {
    const auto own = layer_of(header, table);
    for (const std::string& each : includes_of(path_of(header))) {
      if (!each.starts_with(ours)) continue;
      const std::string other = each.substr(ours.size());
      const auto layer = layer_of(other, table);
      if (header == "extract.hpp" && other == "markdown.hpp") continue;
      REQUIRE_MESSAGE(layer.has_value(), other);
      if (own)
        CHECK_MESSAGE(*layer <= *own, header, " includes ", other, " above it");
    }
  }
}

TEST_CASE("layers: includes make no circle") {
  std::map<std::string, std::vector<std::string>> of;
  for (const std::string& header : all_headers())
    for (const std::string& each : includes_of(path_of(header)))
      if (each.starts_with(ours)) of[header].push_back(each.substr(ours.size()));
  // Whoever includes nothing that is left is taken away; a circle stays.
  bool taken = true;
  while (taken) {
    taken = false;
    for (auto at = of.begin(); at != of.end();) {
      const bool leaf =
          std::none_of(at->second.begin(), at->second.end(),
                       [&](const std::string& each) { return of.contains(each); });
      taken |= leaf;
      at = leaf ? of.erase(at) : std::next(at);
    }
  }
  for (const auto& [header, rest] : of)
    CHECK_MESSAGE(false, header, " includes itself by way of others");
}

TEST_CASE("layers: a heavy dependency has one door") {
  struct door {
    std::string_view include;  // how what it includes starts
    std::string_view header;   // the only one that may, or its folder
  };
  constexpr std::array doors{
      door{"nlohmann/", "json_text.hpp"}, door{"cmark", "markdown.hpp"},
      door{"zlib.h", "gzip.hpp"},
      door{"yaml-cpp/", "yaml_text.hpp"},
      door{"toml++/", "toml_text.hpp"},
      door{"dlfcn.h", "cuda/library.hpp"}, door{"CLI/", "cli/arguments.hpp"},
      door{"fmt/", "cli/text.hpp"},        door{"immintrin.h", "ptx/"},
  };
  for (const door& each : doors) {
    bool used = false;
    for (const std::string& header : all_headers())
      for (const std::string& what : includes_of(path_of(header))) {
        if (!what.starts_with(each.include)) continue;
        used = true;
        CHECK_MESSAGE(header.starts_with(each.header), header, " includes ",
                      what);
      }
    CHECK_MESSAGE(used, each.include, " is included nowhere");
  }
  // cuda.h and its like cannot be there when the headers are compiled.
  // (families.hpp holds baselines, which are sources and include them.)
  for (const std::string& header : all_headers())
    if (header != "families.hpp")
      for (const std::string& what : includes_of(path_of(header)))
        CHECK_MESSAGE(!(what.starts_with("cu") && what.ends_with(".h")),
                      header, " includes ", what);
}

TEST_CASE("layers: a narrow door has the users it says") {
  const auto table = layer_table();
  for (const std::string& header : all_headers()) {
    for (const std::string& each : includes_of(path_of(header))) {
      const auto is = [&](std::string_view other) {
        return each == std::string(ours) + std::string(other);
      };
      if (each.starts_with("skillbench/json_"))
        CHECK_MESSAGE((layer_of(header, table).value_or(0) >= 6 ||
                       header.starts_with("json_")),
                      header, " includes ", each);
      if (is("markdown.hpp")) CHECK_MESSAGE(header == "extract.hpp", header);
      if (is("yaml_text.hpp"))
        CHECK_MESSAGE(header == "read_skill.hpp", header);
      if (is("toml_text.hpp"))
        CHECK_MESSAGE(header == "read_build_toml.hpp", header);
      if (each.starts_with("skillbench/ptx/"))
        CHECK_MESSAGE((header == "device/ptx.hpp" || header.starts_with("ptx/")),
                      header);
      // Programs include it in a file of their own: machine.cpp.
      CHECK_MESSAGE(!is("device/ptx.hpp"), header);
    }
  }
}

TEST_CASE("layers: a header of the lower layers stays cheap to include") {
  const auto table = layer_table();
  for (const std::string& header : all_headers()) {
    const int layer = layer_of(header, table).value_or(7);
    if (layer == 3 || layer > 5 || header == "device/ptx.hpp") continue;
    const std::size_t most = layer <= 2 ? 52'000 : 72'000;
    const std::string command = std::string(SKILLBENCH_COMPILER) +
                                " -std=c++20 -E -P -x c++ -I'" +
                                (source / "include").string() +
                                "' -I'" SKILLBENCH_BINARY_DIR
                                "/generated' -include '" + path_of(header).string() +
                                "' /dev/null";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::size_t lines = 0;
    std::array<char, 65536> some;
    while (const std::size_t got =
               std::fread(some.data(), 1, some.size(), pipe))
      lines += static_cast<std::size_t>(
          std::count(some.begin(), some.begin() + static_cast<long>(got), '\n'));
    CHECK_MESSAGE(::pclose(pipe) == 0, header, " cannot be preprocessed");
    CHECK_MESSAGE(lines > 2, header);
    CHECK_MESSAGE(lines <= most, header, " has ", lines,
                  " preprocessed lines, more than ", most);
  }
}
