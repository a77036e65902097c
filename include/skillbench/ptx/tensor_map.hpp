#pragma once
// ptx/tensor_map.hpp: a tensor map as the machine passes it to kernels.
//
// Layer   3. Includes fault and the standard library.
// Shapes  128 bytes, as on a GPU; what is in them is ours, and a kernel can do
//         nothing with them but hand them to the copy engine. Dimension 0 is the
//         innermost one; stride[d] is between elements of dimension d + 1.
// Units   bytes for addresses and strides, elements for extents and boxes.
// Source  CUDA Driver API, "cuTensorMapEncodeTiled": what it refuses, `trouble`
//         refuses. Interleaved layouts are not supported.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace skillbench::ptx {

enum class element_kind : std::uint8_t { without_sign, with_sign, real, bfloat };

struct tensor_map {
  static constexpr std::uint64_t right_mark = 0x70616d726f736e65ull;
  std::uint64_t mark = right_mark;
  std::uint64_t address = 0;
  std::uint64_t extent[5] = {1, 1, 1, 1, 1};
  std::uint64_t stride[4] = {};
  std::uint16_t box[5] = {1, 1, 1, 1, 1};
  std::uint8_t element_stride[5] = {1, 1, 1, 1, 1};
  std::uint8_t rank = 1;
  std::uint8_t element_bytes = 4;
  element_kind kind = element_kind::without_sign;
  std::uint8_t swizzle = 0;  // 0, 32, 64 or 128 bytes
  bool nan = false;          // what lies outside is NaN, not zero

  // Elements that a box has in one dimension.
  [[nodiscard]] std::uint64_t count(int d) const noexcept {
    const std::uint64_t by = d == 0 ? 1 : element_stride[d];  // ignored for 0
    return (box[d] + by - 1) / by;
  }
  [[nodiscard]] std::uint64_t row_bytes() const noexcept { return count(0) * element_bytes; }
  [[nodiscard]] std::uint64_t box_bytes() const noexcept {
    std::uint64_t n = element_bytes;
    for (int d = 0; d < rank; ++d) n *= count(d);
    return n;
  }
};
inline constexpr std::size_t tensor_map_bytes = 128;
static_assert(sizeof(tensor_map) <= tensor_map_bytes);

inline void encode(const tensor_map& map, std::byte* to) {
  std::memset(to, 0, tensor_map_bytes);
  std::memcpy(to, &map, sizeof map);
}
[[nodiscard]] inline tensor_map decode_tensor_map(const std::byte* from) {
  tensor_map out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

// Why a driver would refuse to make this map; "" when it would not.
[[nodiscard]] inline std::string trouble(const tensor_map& m) {
  const auto words = [](std::uint64_t n) { return std::to_string(n); };
  if (m.rank < 1 || m.rank > 5) return "a rank of " + words(m.rank) + " is not 1 to 5";
  if (m.element_bytes != 1 && m.element_bytes != 2 && m.element_bytes != 4 && m.element_bytes != 8) return "an element of " + words(m.element_bytes) + " bytes";
  if (m.address % 16) return "the address is not a multiple of 16";
  if (m.swizzle != 0 && m.swizzle != 32 && m.swizzle != 64 && m.swizzle != 128) return "a swizzle of " + words(m.swizzle) + " bytes is not 0, 32, 64 or 128";
  if (m.nan && m.kind < element_kind::real) return "only floats can be filled with NaN";
  for (int d = 0; d < m.rank; ++d) {
    const std::string of = " of dimension " + std::to_string(d);
    if (m.extent[d] < 1 || m.extent[d] > (std::uint64_t{1} << 32)) return "the extent" + of + " is " + words(m.extent[d]) + ", not 1 to 4294967296";
    if (m.box[d] < 1 || m.box[d] > 256) return "the box" + of + " is " + words(m.box[d]) + ", not 1 to 256";
    if (m.element_stride[d] < 1 || m.element_stride[d] > 8) return "the element stride" + of + " is " + words(m.element_stride[d]) + ", not 1 to 8";
    if (d + 1 == m.rank) break;
    if (m.stride[d] % 16 || m.stride[d] >= (std::uint64_t{1} << 40) || m.stride[d] == 0)
      return "the stride of dimension " + std::to_string(d + 1) + " is " + words(m.stride[d]) + " bytes, which is not a multiple of 16 below 2^40";
  }
  if (m.row_bytes() % 16) return "the innermost dimension of the box has " + words(m.row_bytes()) + " bytes, which is not a multiple of 16";
  if (m.swizzle && m.row_bytes() > m.swizzle) return "the innermost dimension of the box has " + words(m.row_bytes()) + " bytes, more than the swizzle's " + words(m.swizzle);
  return "";
}

// Where a byte of the box lies: 16-byte pieces change places by which row of 128
// bytes of shared memory they are in.
[[nodiscard]] constexpr std::uint64_t swizzled(std::uint64_t at, std::uint8_t swizzle) noexcept {
  const std::uint64_t pieces = swizzle / 16;  // a power of two
  return pieces > 1 ? at ^ (((at >> 7) & (pieces - 1)) << 4) : at;
}

}  // namespace skillbench::ptx
