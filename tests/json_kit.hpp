#pragma once
// json_kit.hpp: what the tests of the JSON readers have in common.

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace kit {

inline std::string file(const std::string& path) {
  std::ifstream in(std::string(SKILLBENCH_SOURCE_DIR) + "/" + path);
  REQUIRE_MESSAGE(in.good(), path);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline bool says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, text, " does not say ", part);
  return found;
}

inline std::string repeat(const std::string& part, int times) {
  std::string made;
  for (int i = 0; i < times; ++i) made += part;
  return made;
}

// `text` with the first `part` replaced.
inline std::string changed(std::string text, const std::string& part,
                           const std::string& by) {
  const std::size_t at = text.find(part);
  REQUIRE_MESSAGE(at != std::string::npos, part);
  return text.replace(at, part.size(), by);
}

}  // namespace kit
