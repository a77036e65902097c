// skill_fuzz.cpp: any bytes as a SKILL.md.
//
// What must hold: each flaw names a line of the text, or none.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <skillbench/read_skill.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto made = skillbench::parse_skill(text, "a-skill");
  // "\r" ends a line for YAML as "\n" does.
  const auto lines = 2 + std::count_if(text.begin(), text.end(), [](char c) {
                       return c == '\n' || c == '\r';
                     });
  for (const auto& each : made.flaws)
    if (each.line < 0 || each.line > lines) {
      std::fprintf(stderr, "a flaw at line %d of %td: %s\n", each.line, lines,
                   each.what.c_str());
      std::abort();
    }
  return 0;
}
