#pragma once
// suite.hpp: what is asked of a model, and what must be true of its answers.
//
// Layer   2. json_suite.hpp reads suites: ours, and those of other tools.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/assertion.hpp>

namespace skillbench {

inline constexpr int suite_schema = 1;

struct suite_case {
  std::string id;      // its place, from 1, when the file gives none
  std::string family;  // of kernels, "" for another task
  std::string prompt;  // "" means: the family's own
  std::string wanted;  // in words, for a person
  std::vector<std::pair<std::string, std::string>> files;  // name and contents
  std::vector<std::string> input_paths;  // files that lie beside the suite
  std::vector<assertion> assertions;
};

// Whose form a file has.
enum class suite_form : std::uint8_t { ours, upskill, evals };

[[nodiscard]] constexpr std::string_view name(suite_form form) noexcept {
  switch (form) {
    case suite_form::ours: return "skillbench";
    case suite_form::upskill: return "upskill";
    case suite_form::evals: return "evals.json";
  }
  return "unknown";
}

struct suite {
  suite_form form = suite_form::ours;
  std::string name;  // of the suite or of the skill it is for
  std::vector<suite_case> cases;
};

}  // namespace skillbench
