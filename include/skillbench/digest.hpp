#pragma once
// digest.hpp: the name of a content that nobody can make a second content for.
//
// Layer   0. Standard library only.
// Shapes  256 bits, as 64 hexadecimal digits.
// Trust   Collisions and second preimages are out of reach, so what is kept
//         under a digest can be found under it without a further look. For
//         names that need no such thing, hash.hpp is shorter.
// Source  BLAKE2b without a key: RFC 7693.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace skillbench {

class digest {
 public:
  static constexpr std::size_t bytes = 32;

  digest() : state_(start) { state_[0] ^= 0x01010000u ^ bytes; }

  void add(std::string_view text) {
    while (!text.empty()) {
      // The last block is told apart, so a full one waits for what follows.
      if (held_ == sizeof block_) {
        counted_ += held_;
        mix(false);
        held_ = 0;
      }
      const std::size_t some = std::min(text.size(), sizeof block_ - held_);
      std::memcpy(block_ + held_, text.data(), some);
      held_ += some;
      text.remove_prefix(some);
    }
  }

  // A text that cannot run into its neighbours.
  void field(std::string_view text) {
    number(text.size());
    add(text);
  }
  void number(std::uint64_t value) {
    char raw[8];
    for (char& each : raw) {
      each = static_cast<char>(value & 255u);
      value >>= 8;
    }
    add({raw, sizeof raw});
  }

  // Ends it: nothing can be added afterwards.
  [[nodiscard]] std::string text() {
    std::memset(block_ + held_, 0, sizeof block_ - held_);
    counted_ += held_;
    mix(true);
    std::string digits;
    for (std::size_t i = 0; i < bytes; ++i) {
      const auto byte = (state_[i / 8] >> (8 * (i % 8))) & 255u;
      digits += "0123456789abcdef"[byte >> 4];
      digits += "0123456789abcdef"[byte & 15u];
    }
    return digits;
  }

 private:
  using words = std::array<std::uint64_t, 8>;

  static constexpr words start{
      0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
      0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
      0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

  static constexpr std::uint8_t order[10][16] = {
      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
      {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
      {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
      {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
      {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
      {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
      {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
      {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
      {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
      {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

  void mix(bool last) {
    std::uint64_t m[16], v[16];
    for (std::size_t i = 0; i < 16; ++i) {
      m[i] = 0;
      for (std::size_t k = 8; k-- > 0;)
        m[i] = m[i] << 8 | static_cast<unsigned char>(block_[8 * i + k]);
    }
    for (std::size_t i = 0; i < 8; ++i) {
      v[i] = state_[i];
      v[i + 8] = start[i];
    }
    v[12] ^= counted_;  // its upper half stays 0: nobody adds 2^64 bytes
    if (last) v[14] = ~v[14];
    const auto turn = [&](int a, int b, int c, int d, std::uint64_t x,
                          std::uint64_t y) {
      v[a] += v[b] + x;
      v[d] = std::rotr(v[d] ^ v[a], 32);
      v[c] += v[d];
      v[b] = std::rotr(v[b] ^ v[c], 24);
      v[a] += v[b] + y;
      v[d] = std::rotr(v[d] ^ v[a], 16);
      v[c] += v[d];
      v[b] = std::rotr(v[b] ^ v[c], 63);
    };
    for (int round = 0; round < 12; ++round) {
      const std::uint8_t* const s = order[round % 10];
      turn(0, 4, 8, 12, m[s[0]], m[s[1]]);
      turn(1, 5, 9, 13, m[s[2]], m[s[3]]);
      turn(2, 6, 10, 14, m[s[4]], m[s[5]]);
      turn(3, 7, 11, 15, m[s[6]], m[s[7]]);
      turn(0, 5, 10, 15, m[s[8]], m[s[9]]);
      turn(1, 6, 11, 12, m[s[10]], m[s[11]]);
      turn(2, 7, 8, 13, m[s[12]], m[s[13]]);
      turn(3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (std::size_t i = 0; i < 8; ++i) state_[i] ^= v[i] ^ v[i + 8];
  }

  words state_;
  char block_[128] = {};
  std::size_t held_ = 0;
  std::uint64_t counted_ = 0;
};

[[nodiscard]] inline std::string digest_text(std::string_view text) {
  digest of;
  of.add(text);
  return of.text();
}

}  // namespace skillbench
