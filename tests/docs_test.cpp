// README.md against what the code says of itself.

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include <skillbench/assertion.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/skill.hpp>

using namespace skillbench;

namespace {

std::vector<std::string> lines_of(const std::string& file) {
  std::ifstream in(std::string(SKILLBENCH_SOURCE_DIR) + "/" + file);
  REQUIRE(in.is_open());
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The words in the first column of the table with this head, in order.
std::vector<std::string> column(const std::string& head) {
  std::vector<std::string> words;
  bool inside = false;
  for (const std::string& line : lines_of("README.md")) {
    if (line.starts_with("| " + head + " |")) inside = true;
    if (!inside || line.starts_with("| ---")) continue;
    if (!line.starts_with("|")) break;
    const std::string cell = line.substr(2, line.find(" |", 2) - 2);
    if (cell == head) continue;
    std::size_t at = 0;
    if (cell.find('`') == std::string::npos) words.push_back(cell);
    while ((at = cell.find('`', at)) != std::string::npos) {
      const std::size_t end = cell.find('`', at + 1);
      words.push_back(cell.substr(at + 1, end - at - 1));
      at = end + 1;
    }
  }
  REQUIRE_FALSE(words.empty());
  return words;
}

// The names of an enum's values from `first` on, until one is "unknown".
template <typename Enum>
std::vector<std::string> names(int first) {
  std::vector<std::string> all;
  for (int i = first; name(static_cast<Enum>(i)) != "unknown"; ++i)
    all.emplace_back(name(static_cast<Enum>(i)));
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& each : words) all += each + "\n";
  return all;
}

}  // namespace

TEST_CASE("docs: README lists the outcomes, the codes and the reasons") {
  CHECK(joined(column("Outcome")) == joined(names<outcome>(0)));
  CHECK(joined(column("Code")) == joined(names<code>(0)));
  CHECK(joined(column("Reason")) == joined(names<reason>(1)));
  CHECK(joined(column("Assertion")) == joined(names<assertion::type>(0)));
}

TEST_CASE("docs: README lists the rules for skills with their weights") {
  CHECK(joined(column("Rule")) == joined(names<skill_rule>(0)));
  const auto weight = [](bool error) { return error ? "error" : "warning"; };
  const auto lines = lines_of("README.md");
  for (int i = 0; i <= static_cast<int>(last_skill_rule); ++i) {
    const auto rule = static_cast<skill_rule>(i);
    const std::string row = "| `" + std::string(name(rule)) + "` | " +
                            weight(is_error(rule, skill_mode::strict)) + " | " +
                            weight(is_error(rule, skill_mode::lenient)) + " | ";
    bool there = false;
    for (const std::string& line : lines) there |= line.starts_with(row);
    CHECK_MESSAGE(there, row);
  }
}

TEST_CASE("docs: README shows the two commands first") {
  const auto lines = lines_of("README.md");
  REQUIRE(lines.size() > 4);
  CHECK(lines[2].starts_with("    make demo"));
  CHECK(lines[3].starts_with("    make test"));
}

TEST_CASE("docs: README tells the schema of records, CHANGELOG the version") {
  bool schema = false, release = false;
  for (const std::string& line : lines_of("README.md"))
    schema |= line.starts_with("| `schema` | " + std::to_string(record_schema) +
                               ";");
  for (const std::string& line : lines_of("CHANGELOG.md"))
    release |= line.starts_with("## " + std::string(version));
  CHECK(schema);
  CHECK(release);
}
