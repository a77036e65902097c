#pragma once
// hash.hpp: a short name for a text.
//
// Layer   0. Standard library only.
// Trust   `hash` is not against an adversary: two texts with one hash can be
//         made. It tells versions of a source apart, it proves nothing. Where a
//         text of a model's making decides what is reused, it is `sha256`.
// Source  FNV-1a, 64 bits: Fowler, Noll, Vo; offset basis and prime as in RFC
//         9923. SHA-256: FIPS 180-4, sections 4.2.2, 5.1.1, 5.3.3 and 6.2.

#include <array>
#include <bit>
#include <cstddef>
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

namespace sha {

// The first 32 bits of the fractions of the cube roots of the first 64 primes.
inline constexpr std::array<std::uint32_t, 64> constants{
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu,
    0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u, 0xd807aa98u, 0x12835b01u,
    0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u,
    0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu,
    0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u,
    0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u,
    0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
    0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u,
    0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u, 0x1e376c08u,
    0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu,
    0x682e6ff3u, 0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u,
    0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};

using words = std::array<std::uint32_t, 8>;

inline constexpr words start{0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u,
                             0xa54ff53au, 0x510e527fu, 0x9b05688cu,
                             0x1f83d9abu, 0x5be0cd19u};

// Takes one block of 64 bytes into the state.
inline void take(words& state, const unsigned char* block) noexcept {
  std::array<std::uint32_t, 64> w{};
  for (std::size_t i = 0; i < 16; ++i)
    w[i] = std::uint32_t{block[4 * i]} << 24 |
           std::uint32_t{block[4 * i + 1]} << 16 |
           std::uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t low = std::rotr(w[i - 15], 7) ^
                              std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const std::uint32_t high = std::rotr(w[i - 2], 17) ^
                               std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + low + w[i - 7] + high;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t one =
        h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
        ((e & f) ^ (~e & g)) + constants[i] + w[i];
    const std::uint32_t two =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) +
        ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + one;
    d = c, c = b, b = a, a = one + two;
  }
  const words added{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state[i] += added[i];
}

}  // namespace sha

// 64 hexadecimal digits.
[[nodiscard]] inline std::string sha256(std::string_view text) {
  sha::words state = sha::start;
  const auto* const bytes =
      reinterpret_cast<const unsigned char*>(text.data());
  std::size_t at = 0;
  for (; at + 64 <= text.size(); at += 64) sha::take(state, bytes + at);

  // What is left, a bit that is set, zeros, and the length in bits.
  std::array<unsigned char, 128> end{};
  const std::size_t left = text.size() - at;
  for (std::size_t i = 0; i < left; ++i) end[i] = bytes[at + i];
  end[left] = 0x80;
  const std::size_t size = left < 56 ? 64 : 128;
  std::uint64_t bits = std::uint64_t{text.size()} * 8;
  for (std::size_t i = 1; i <= 8; ++i, bits >>= 8)
    end[size - i] = static_cast<unsigned char>(bits & 0xffu);
  for (std::size_t i = 0; i < size; i += 64) sha::take(state, end.data() + i);

  std::string digits;
  for (const std::uint32_t word : state)
    for (int shift = 28; shift >= 0; shift -= 4)
      digits += "0123456789abcdef"[word >> shift & 15u];
  return digits;
}

}  // namespace skillbench
