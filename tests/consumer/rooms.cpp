// The headers of the rooms beside the engine, found where they are said to be.
#include <skillbench/reports/markdown.hpp>
#include <skillbench/tuners/settings.hpp>

int main() {
  const skillbench::manifest none;
  const auto found = skillbench::search_randomly(
      none, skillbench::element::f32,
      [](const skillbench::setting&) { return std::optional<double>(1.0); }, 1);
  return found && found.value().best &&
                 !skillbench::markdown_report({}).empty()
             ? 0
             : 1;
}
