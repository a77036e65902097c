#pragma once
// inputs.hpp: the numbers that an input tensor is filled with.
//
// Layer   2. Includes inputs_wide.hpp, units.hpp and fill.hpp.
// Shapes  a tensor is flat; element i depends on (fill, seed, type, i) alone,
//         so any part of it can be made at any time, in any order.
// Units   values are in the tensor's own unit, rounded once to the element
//         type; what is beyond its largest finite value is cut to that value,
//         so no infinity and no NaN is ever made.
// Errors  none. A scale or offset that is NaN counts as 0, a row below 1 as 1.
// Source  the same bits on every machine: the draws are integers (the output
//         function of splitmix64, Steele, Lea and Flood 2014), no function of
//         libm is called, and every product that is added to something is
//         exact (29 bits times 24), so that a compiler that fuses the two
//         changes nothing.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <skillbench/fill.hpp>
#include <skillbench/inputs_wide.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

// ---- seeds ----------------------------------------------------------------

inline constexpr std::uint64_t seed_step = 0x9e3779b97f4a7c15ull;

// A bijection on 64 bits in which every input bit reaches every output bit.
[[nodiscard]] constexpr std::uint64_t scrambled(std::uint64_t bits) noexcept {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ull;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebull;
  return bits ^ (bits >> 31);
}

// A new seed from a seed and a number; the order of the two matters.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t seed,
                                          std::uint64_t with) noexcept {
  return scrambled(scrambled(seed + seed_step) ^ (with * seed_step + 1));
}

// A new seed from a seed and a name.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t seed,
                                          std::string_view with) noexcept {
  std::uint64_t key = mix(seed, static_cast<std::uint64_t>(with.size()));
  for (const char letter : with)
    key = mix(key, static_cast<std::uint64_t>(static_cast<unsigned char>(letter)));
  return key;
}

// ---- N(0, 1) --------------------------------------------------------------

// |N(0, 1)| as a table of quantiles in steps of 2^-26. `body[i]` is the value
// that a share i / 4096 lies below. The last bin of `body` is divided again:
// `tail[i]` has a share 2^-12 * (1 - i / 4096) above it; its end, where the
// share is 0, is set to 5.5. Within a bin the draws are uniform.
struct normal_quantiles {
  static constexpr int bins = 4096;
  static constexpr double unit = 0x1p-26;
  std::array<std::uint32_t, bins + 1> body{}, tail{};
};

// e^-x for 0 <= x < 32, by its series and eight squarings.
[[nodiscard]] inline double falling_exponential(double x) noexcept {
  const double part = -x / 256.0;
  double sum = 1.0;
  for (int n = 14; n > 0; --n) sum = 1.0 + sum * part / n;
  for (int n = 0; n < 8; ++n) sum *= sum;
  return sum;
}

// The share of |N(0, 1)| above z. Below 2 from the series of the share below,
// whose terms are all positive; from 2 on by the continued fraction of Laplace.
[[nodiscard]] inline double share_above(double z) noexcept {
  constexpr double two_over_root_two_pi = 0.79788456080286535588;
  const double density = two_over_root_two_pi * falling_exponential(z * z / 2);
  if (z < 2.0) {
    double term = z, sum = z;
    for (int n = 3; n < 75; n += 2) {
      term *= z * z / n;
      sum += term;
    }
    return 1.0 - density * sum;
  }
  double below = z;
  for (int n = 90; n > 0; --n) below = z + n / below;
  return density / below;
}

// Newton's method from `start`, which is at most a bin away: the share is
// convex there, so the steps do not overshoot.
[[nodiscard]] inline double quantile_above(double share,
                                           double start) noexcept {
  constexpr double two_over_root_two_pi = 0.79788456080286535588;
  double z = start;
  for (int step = 0; step < 12; ++step) {
    const double density =
        two_over_root_two_pi * falling_exponential(z * z / 2);
    const double move = (share_above(z) - share) / density;
    z += move;
    if (std::abs(move) < 1e-9) break;  // the next one would be below 1e-16
  }
  return z;
}

[[nodiscard]] inline normal_quantiles make_normal_quantiles() {
  normal_quantiles made;
  constexpr int bins = normal_quantiles::bins;
  const auto steps = [](double z) {
    return static_cast<std::uint32_t>(z / normal_quantiles::unit + 0.5);
  };
  double z = 0.0;
  for (int i = 1; i < bins; ++i) {
    z = quantile_above(static_cast<double>(bins - i) / bins, z);
    made.body[static_cast<std::size_t>(i)] = steps(z);
  }
  for (int i = 0; i < bins; ++i) {
    if (i > 0)
      z = quantile_above(static_cast<double>(bins - i) / bins / bins, z);
    made.tail[static_cast<std::size_t>(i)] = steps(z);
  }
  made.tail[bins] = steps(5.5);
  made.body[bins] = steps(5.5);  // never interpolated towards
  return made;
}

[[nodiscard]] inline const normal_quantiles& the_normal_quantiles() {
  static const normal_quantiles made = make_normal_quantiles();
  return made;
}

// 64 random bits -> N(0, 1) in steps of 2^-26, |result| <= 5.5 * 2^26 < 2^29.
// Bit 63 is the sign, 51 to 62 the bin, 27 to 50 the place within the bin; the
// last bin takes its second number from the 24 bits below, 3 to 26.
[[nodiscard]] inline std::int32_t normal_steps(const normal_quantiles& table,
                                               std::uint64_t bits) noexcept {
  constexpr std::uint64_t last = normal_quantiles::bins - 1;
  const std::uint64_t bin = (bits >> 51) & last;
  const std::uint64_t place = (bits >> 27) & 0xffffff;
  std::uint64_t low = table.body[bin];
  std::uint64_t high = table.body[bin + 1];
  std::uint64_t between = place;
  if (bin == last) {
    low = table.tail[place >> 12];
    high = table.tail[(place >> 12) + 1];
    between = (bits >> 3) & 0xffffff;
  }
  const auto size = static_cast<std::int32_t>(low + (((high - low) * between) >> 24));
  const auto sign = static_cast<std::int32_t>(bits >> 63);
  return (size ^ -sign) + sign;
}

// ---- patterns -------------------------------------------------------------

// Scales keep 24 bits, so that times a draw of 29 bits they are exact. Bounds
// keep a product finite and far from the subnormals of double.
[[nodiscard]] inline double short_scale(double scale) noexcept {
  if (std::isnan(scale)) return 0.0;
  const double kept = std::clamp(scale, -0x1p900, 0x1p900);
  if (std::abs(kept) < 0x1p-900) return 0.0;
  auto bits = std::bit_cast<std::uint64_t>(kept);
  bits += 0xfffffffull + ((bits >> 29) & 1u);
  return std::bit_cast<double>(bits & ~0x1fffffffull);
}

// The largest subnormal of the type.
[[nodiscard]] constexpr double largest_subnormal(element type) noexcept {
  switch (type) {
    case element::f32: return 0x1.fffffcp-127;
    case element::f16: return 0x1.ff8p-15;
    case element::bf16: return 0x1.fcp-127;
  }
  return 0.0;
}

// The values before they are rounded, from element `first` on.
inline void make_unrounded(const fill& wanted, std::uint64_t seed, element type,
                           std::int64_t first, std::span<double> out) {
  const normal_quantiles& table = the_normal_quantiles();
  const std::uint64_t key = scrambled(seed ^ 0x736b696c6c62656eull);
  const double scale = short_scale(wanted.scale);
  const double offset =
      std::isnan(wanted.offset) ? 0.0
                                : std::clamp(wanted.offset, -0x1p900, 0x1p900);
  const auto from = static_cast<std::uint64_t>(first);
  const auto row = static_cast<std::uint64_t>(std::max<std::int64_t>(wanted.row, 1));
  const auto draw = [key](std::uint64_t index) {
    return scrambled(key + index * seed_step);
  };
  const auto normal = [&table](std::uint64_t bits) {
    return static_cast<double>(normal_steps(table, bits)) *
           normal_quantiles::unit;
  };
  // 29 bits, odd, so symmetric about 0 and never 0.
  const auto uniform = [](std::uint64_t bits) {
    const auto odd = static_cast<std::int32_t>(((bits >> 36) << 1) | 1);
    return static_cast<double>(odd - (1 << 28)) * 0x1p-28;
  };

  const std::size_t count = out.size();
  switch (wanted.kind) {
    case pattern::normal: {
      const std::size_t wide = inputs_wide::taken(count);
      inputs_wide::normal(key, from, seed_step, table.body.data(), normal_quantiles::unit, scale, offset, out.data(), wide,
                          [&](std::size_t i, std::uint64_t bits) { out[i] = offset + scale * normal(bits); });
      for (std::size_t i = wide; i < count; ++i)
        out[i] = offset + scale * normal(draw(from + i));
      return;
    }
    case pattern::uniform:
      for (std::size_t i = 0; i < count; ++i)
        out[i] = offset + scale * uniform(draw(from + i));
      return;
    case pattern::constant:
      for (std::size_t i = 0; i < count;) {
        const std::uint64_t at = (from + i) / row;
        const std::uint64_t left = row - (from + i) % row;
        const std::size_t end = left < count - i ? i + left : count;
        const double value = offset + scale * normal(draw(at));
        for (; i < end; ++i) out[i] = value;
      }
      return;
    case pattern::spike: {
      const double tall = short_scale(1000.0 * scale);
      for (std::size_t i = 0; i < count;) {
        const std::uint64_t begin = from + i;
        const std::uint64_t at = begin / row;
        const std::uint64_t left = row - begin % row;
        const std::size_t end = left < count - i ? i + left : count;
        for (std::size_t j = i; j < end; ++j)
          out[j] = offset + scale * normal(draw(from + j));
        const std::uint64_t peak =
            at * row + mix(key, at) % row;  // one element of the row
        if (peak >= begin && peak - begin < end - i)
          out[i + (peak - begin)] = offset + tall * normal(draw(peak));
        i = end;
      }
      return;
    }
    case pattern::subnormal: {
      const double most = largest_subnormal(type);
      for (std::size_t i = 0; i < count; ++i)
        out[i] = most * uniform(draw(from + i));
      return;
    }
    case pattern::alternate:
      for (std::size_t i = 0; i < count; ++i)
        out[i] = (from + i) % 2 == 0 ? offset + scale : offset - scale;
      return;
    case pattern::mixed: {
      constexpr double powers[] = {1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3};
      double scales[7];
      for (int k = 0; k < 7; ++k) scales[k] = short_scale(scale * powers[k]);
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t bits = draw(from + i);
        const std::uint64_t power = ((bits & 0xffff) * 7) >> 16;
        out[i] = scales[power] * normal(bits);
      }
      return;
    }
  }
  std::fill(out.begin(), out.end(), 0.0);  // a pattern from outside the enum
}

// ---- elements -------------------------------------------------------------

inline constexpr std::size_t input_block = 1024;  // elements made at a time

// The raw bytes that the device holds, little endian. `first` is an element;
// `out` holds whole elements, a rest that does not is left alone.
inline void make_elements(const fill& wanted, std::uint64_t seed, element type,
                          std::int64_t first, std::span<std::byte> out) {
  std::array<double, input_block> made;
  const double most = largest(type);
  const std::size_t width = size_of(type);
  const std::size_t count = out.size() / width;
  for (std::size_t at = 0; at < count; at += input_block) {
    const std::size_t some = std::min(input_block, count - at);
    make_unrounded(wanted, seed, type, first + static_cast<std::int64_t>(at),
                   std::span(made).first(some));
    std::byte* const to = out.data() + at * width;
    const std::size_t wide = inputs_wide::taken(some);
    inputs_wide::narrow(made.data(), most, type, to, wide);
    for (std::size_t i = wide; i < some; ++i) {
      const double value = std::min(std::max(made[i], -most), most);
      if (type == element::f32) {
        const auto narrow = static_cast<float>(value);
        std::memcpy(to + i * width, &narrow, sizeof narrow);
      } else {
        const std::uint16_t narrow = type == element::f16 ? double_to_half(value) : double_to_bfloat(value);
        std::memcpy(to + i * width, &narrow, sizeof narrow);
      }
    }
  }
}

// The same elements as doubles: exactly the values that the bytes hold.
inline void make_elements(const fill& wanted, std::uint64_t seed, element type,
                          std::int64_t first, std::span<double> out) {
  const double most = largest(type);
  for (std::size_t at = 0; at < out.size(); at += input_block) {
    const auto some = out.subspan(at, std::min(input_block, out.size() - at));
    make_unrounded(wanted, seed, type, first + static_cast<std::int64_t>(at),
                   some);
    const std::size_t wide = inputs_wide::taken(some.size());
    inputs_wide::round(some.data(), most, type, wide);
    for (double& value : some.subspan(wide))
      value = rounded(type, std::min(std::max(value, -most), most));
  }
}

}  // namespace skillbench
