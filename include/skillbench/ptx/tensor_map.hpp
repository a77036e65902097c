#pragma once
// ptx/tensor_map.hpp: a tensor map as the machine passes it to kernels.
//
// Layer   3. Includes fault and the standard library.
// Shapes  128 bytes, as on a GPU; what is in them is ours, and a kernel can do
//         nothing with them but hand them to the copy engine. Dimension 0 is the
//         innermost one; stride[d] is between elements of dimension d + 1.
// Units   bytes for addresses and strides, elements for extents and boxes.
// Source  CUDA Driver API, "cuTensorMapEncodeTiled": what it refuses, `trouble`
//         refuses. Interleaved layouts: PTX ISA, "Interleave layout" and the 32-byte
//         example of "Swizzling modes": channels lie in slices of 16 or 32 bytes,
//         and the slices of one image lie one behind the other.

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
  std::uint8_t swizzle = 0;     // 0, 32, 64 or 128 bytes
  std::uint8_t interleave = 0;  // 0, or a slice's 16 or 32 bytes
  bool nan = false;             // what lies outside is NaN, not zero

  // Elements that a box has in one dimension.
  [[nodiscard]] std::uint64_t count(int d) const noexcept {
    const std::uint64_t by = d == 0 ? 1 : element_stride[d];  // ignored for 0
    return (box[d] + by - 1) / by;
  }
  [[nodiscard]] std::uint64_t row_bytes() const noexcept { return count(0) * element_bytes; }
  // From element 0 of dimension 0 to element `x`, which begins a slice if there
  // are any: NC/8HWC8 has them between the images and their rows.
  [[nodiscard]] std::uint64_t along(std::int64_t x) const noexcept {
    const std::uint64_t bytes = static_cast<std::uint64_t>(x) * element_bytes;
    return interleave ? bytes / interleave * (stride[rank - 3] * extent[rank - 2]) : bytes;
  }
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
  // A kernel may have written the bytes: a truth value is made from its byte.
  static_assert(sizeof(bool) == 1);
  std::byte bytes[sizeof(tensor_map)];
  std::memcpy(bytes, from, sizeof bytes);
  std::byte& nan = bytes[offsetof(tensor_map, nan)];
  nan = std::byte{nan != std::byte{}};
  tensor_map out;
  std::memcpy(&out, bytes, sizeof out);
  return out;
}

// Why a driver would refuse to make this map; "" when it would not.
[[nodiscard]] inline std::string trouble(const tensor_map& m) {
  const auto words = [](std::uint64_t n) { return std::to_string(n); };
  if (m.rank < 1 || m.rank > 5) return "a rank of " + words(m.rank) + " is not 1 to 5";
  if (m.element_bytes != 1 && m.element_bytes != 2 && m.element_bytes != 4 && m.element_bytes != 8) return "an element of " + words(m.element_bytes) + " bytes";
  const bool has_type = m.kind == element_kind::without_sign || (m.kind == element_kind::with_sign && m.element_bytes >= 4) ||
                        (m.kind == element_kind::real && m.element_bytes >= 2) || (m.kind == element_kind::bfloat && m.element_bytes == 2);
  if (!has_type) return "no type of this kind has " + words(m.element_bytes) + " bytes";
  if (m.address % 16) return "the address is not a multiple of 16";
  if (m.swizzle != 0 && m.swizzle != 32 && m.swizzle != 64 && m.swizzle != 128) return "a swizzle of " + words(m.swizzle) + " bytes is not 0, 32, 64 or 128";
  if (m.interleave != 0 && m.interleave != 16 && m.interleave != 32) return "an interleave of " + words(m.interleave) + " bytes is not 0, 16 or 32";
  if (m.interleave && m.rank < 3) return "an interleaved tensor has 3 to 5 dimensions, not " + words(m.rank);
  if (m.interleave == 32 && m.swizzle != 32) return "an interleave of 32 bytes goes with a swizzle of 32 bytes, not " + words(m.swizzle);
  const unsigned grain = m.interleave == 32 ? 32 : 16;
  if (m.address % grain) return "the address is not a multiple of 32";
  if (m.nan && m.kind < element_kind::real) return "only floats can be filled with NaN";
  for (int d = 0; d < m.rank; ++d) {
    const std::string of = " of dimension " + std::to_string(d);
    if (m.extent[d] < 1 || m.extent[d] > (std::uint64_t{1} << 32)) return "the extent" + of + " is " + words(m.extent[d]) + ", not 1 to 4294967296";
    if (m.box[d] < 1 || m.box[d] > 256) return "the box" + of + " is " + words(m.box[d]) + ", not 1 to 256";
    if (m.element_stride[d] < 1 || m.element_stride[d] > 8) return "the element stride" + of + " is " + words(m.element_stride[d]) + ", not 1 to 8";
    if (d + 1 == m.rank) break;
    if (m.stride[d] % grain || m.stride[d] >= (std::uint64_t{1} << 40) || m.stride[d] == 0)
      return "the stride of dimension " + std::to_string(d + 1) + " is " + words(m.stride[d]) + " bytes, which is not a multiple of " + words(grain) + " below 2^40";
  }
  if (m.interleave) return "";
  if (m.row_bytes() % 16) return "the innermost dimension of the box has " + words(m.row_bytes()) + " bytes, which is not a multiple of 16";
  if (m.swizzle && m.row_bytes() > m.swizzle) return "the innermost dimension of the box has " + words(m.row_bytes()) + " bytes, more than the swizzle's " + words(m.swizzle);
  return "";
}

// What a driver may take and no public document explains; "" when there is nothing.
[[nodiscard]] inline std::string unexplained(const tensor_map& m) {
  if (!m.interleave) return "";
  if (m.element_stride[0] != 1) return "an element stride of " + std::to_string(m.element_stride[0]) + " along the channels of an interleaved tensor map";
  if (m.row_bytes() == m.interleave) return "";
  return "a box with " + std::to_string(m.row_bytes()) + " bytes of channels of an interleaved tensor map, whose slices have " + std::to_string(m.interleave);
}

// Where a byte of the box lies: 16-byte pieces change places by which row of 128
// bytes of shared memory they are in.
[[nodiscard]] constexpr std::uint64_t swizzled(std::uint64_t at, std::uint8_t swizzle) noexcept {
  const std::uint64_t pieces = swizzle / 16;  // a power of two
  return pieces > 1 ? at ^ (((at >> 7) & (pieces - 1)) << 4) : at;
}

}  // namespace skillbench::ptx
