#pragma once
// digest.hpp: the name of a content that comes in pieces.
//
// Layer   0. The SHA-256 of hash.hpp, a block at a time.
// Shapes  64 hexadecimal digits, those of sha256() of the pieces together.
// Trust   Nobody can make a second content with the same digest, so what is
//         kept under one can be used without a further look.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <skillbench/hash.hpp>

namespace skillbench {

class digest {
 public:
  void add(std::string_view text) {
    size_ += text.size();
    while (!text.empty()) {
      const std::size_t some = std::min(text.size(), sizeof block_ - held_);
      std::memcpy(block_ + held_, text.data(), some);
      held_ += some;
      text.remove_prefix(some);
      if (held_ < sizeof block_) return;
      sha::take(state_, block_);
      held_ = 0;
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
    const std::uint64_t bits = 8 * size_;
    add("\x80");
    while (held_ != sizeof block_ - 8) add({"", 1});
    char raw[8];
    for (std::size_t i = 0; i < 8; ++i)
      raw[i] = static_cast<char>(bits >> (56 - 8 * i) & 255u);
    add({raw, sizeof raw});
    std::string digits;
    for (const std::uint32_t word : state_)
      for (int shift = 28; shift >= 0; shift -= 4)
        digits += "0123456789abcdef"[word >> shift & 15u];
    return digits;
  }

 private:
  sha::words state_ = sha::start;
  unsigned char block_[64] = {};
  std::size_t held_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace skillbench
