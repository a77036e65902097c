#pragma once
// utf8.hpp: which bytes are a character, and which characters reorder a line.
//
// Layer   0. Standard library only.
// Source  Unicode 15, table 3-7 (well-formed UTF-8), and UAX 9 (bidirectional
//         controls).

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace skillbench {

// The length of the well-formed character that `text` starts with, 0 if none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef)
    return tail(1) && tail(2) && !(first == 0xe0 && second < 0xa0) &&
                   !(first == 0xed && second > 0x9f)
               ? 3
               : 0;
  if (first >= 0xf0 && first <= 0xf4)
    return tail(1) && tail(2) && tail(3) && !(first == 0xf0 && second < 0x90) &&
                   !(first == 0xf4 && second > 0x8f)
               ? 4
               : 0;
  return 0;
}

// Characters; a byte that belongs to none counts as one.
[[nodiscard]] inline std::size_t utf8_characters(
    std::string_view text) noexcept {
  std::size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(std::max<std::size_t>(utf8_length(text), 1));
    ++count;
  }
  return count;
}

[[nodiscard]] inline bool is_bidi_control(std::string_view c) noexcept {
  constexpr std::array<std::string_view, 12> controls = {
      "\u061c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c",
      "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"};
  return std::find(controls.begin(), controls.end(), c) != controls.end();
}

}  // namespace skillbench
