#pragma once
// hash.hpp: a short name for a text.
//
// Layer   0. Standard library only.
// Trust   Not against an adversary: two texts with one hash can be made. It
//         tells versions of a source apart, it proves nothing.
// Source  FNV-1a, 64 bits: Fowler, Noll, Vo; offset basis and prime as in RFC
//         9923.

#include <cstdint>
#include <string>
#include <string_view>

namespace skillbench {

[[nodiscard]] constexpr std::uint64_t hash(std::string_view text) noexcept {
  std::uint64_t state = 0xcbf29ce484222325ull;
  for (const char c : text) {
    state ^= static_cast<unsigned char>(c);
    state *= 0x100000001b3ull;
  }
  return state;
}

// 16 hexadecimal digits, as records have it.
[[nodiscard]] inline std::string hash_text(std::string_view text) {
  std::uint64_t state = hash(text);
  std::string digits(16, '0');
  for (std::size_t i = digits.size(); i-- > 0; state >>= 4)
    digits[i] = "0123456789abcdef"[state & 15u];
  return digits;
}

}  // namespace skillbench
