#pragma once
// oracle.hpp: the sum of two vectors, in double.

#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

#include <skillbench/family.hpp>

namespace skillbench::vector_add {

inline void reference(const case_inputs& given, std::string_view,
                      reference_rows out) {
  std::vector<double> a(out.expected.size()), b(out.expected.size());
  given.read("a", out.first * out.width, a);
  given.read("b", out.first * out.width, b);
  for (std::size_t i = 0; i < out.expected.size(); ++i) {
    out.expected[i] = a[i] + b[i];
    out.yardstick[i] = rounded(
        given.type,
        static_cast<double>(static_cast<float>(a[i]) +
                            static_cast<float>(b[i])));
    out.condition[i] = std::abs(out.expected[i]);
  }
}

}  // namespace skillbench::vector_add
