#pragma once
// oracle.hpp: scaled dot-product attention, in double.
//
// Layer   2. Includes family.hpp and the standard library.
// Shapes  q and o are [batch, heads, q_len, head_dim], k and v
//         [batch, heads, kv_len, head_dim]; an output row is one query.
// Source  o = softmax(scale * q . k) @ v, causal with the last query seeing the
//         last key; a query that sees no key gives zeros: prompt.md.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <skillbench/family.hpp>

namespace skillbench::attention {

// What moves the output, with p the softmax weights:
//  - a product p v by its own size: the sum over keys of p |v|; as a sum of
//    many terms in float, sqrt(keys)/4 times that;
//  - a logit by scale * sum|q k| roundings, and by the maximum that is
//    subtracted from it; that moves p by as much, and o by p |v - o|;
//  - tensor cores take P in the element type. Each p is then off by up to half
//    a unit of that type, on its own, so the errors add like a random walk:
//    half of sqrt(sum p^2 v^2) such units, times c, is four of its spreads.
inline void reference(const case_inputs& given, std::string_view,
                      reference_rows out) {
  const std::int64_t q_len = given.integer("q_len");
  const std::int64_t kv_len = given.integer("kv_len");
  const bool causal = given.integer("causal") != 0;
  const double scale = given.real("scale");
  const auto fscale = static_cast<float>(scale);
  const std::int64_t dim = out.width;
  const auto d = static_cast<std::size_t>(dim);
  const auto keys = static_cast<std::size_t>(kv_len);
  const double coarse =
      given.type == element::f32
          ? 0.0
          : 0.5 * std::ldexp(1.0, 24 - significand_bits(given.type));

  std::vector<double> q(d), k(keys * d), v(keys * d), p(keys), sway(keys);
  std::vector<float> weights(keys), sums(d);
  std::int64_t loaded = -1;

  for (std::int64_t row = 0; row < out.rows; ++row) {
    const std::int64_t head = (out.first + row) / q_len;
    const std::int64_t query = (out.first + row) % q_len;
    if (head != loaded) {
      given.read("k", head * kv_len * dim, k);
      given.read("v", head * kv_len * dim, v);
      loaded = head;
    }
    given.read("q", (out.first + row) * dim, q);
    const auto at = static_cast<std::size_t>(row) * d;
    double* expected = out.expected.data() + at;
    double* yardstick = out.yardstick.data() + at;
    double* condition = out.condition.data() + at;
    std::fill_n(expected, d, 0.0);
    std::fill_n(yardstick, d, 0.0);
    std::fill_n(condition, d, 0.0);

    const std::int64_t last =
        causal ? std::min(kv_len, query + kv_len - q_len + 1) : kv_len;
    if (last <= 0) continue;
    const auto seen = static_cast<std::size_t>(last);

    double top = -INFINITY;
    float ftop = -INFINITY;
    for (std::size_t j = 0; j < seen; ++j) {
      double dot = 0.0, size = 0.0;
      float fdot = 0.0f;
      for (std::size_t c = 0; c < d; ++c) {
        const double term = q[c] * k[j * d + c];
        dot += term;
        size += std::abs(term);
        fdot += static_cast<float>(q[c]) * static_cast<float>(k[j * d + c]);
      }
      p[j] = scale * dot;
      sway[j] = std::abs(scale) * size;
      weights[j] = fscale * fdot;
      top = std::max(top, p[j]);
      ftop = std::max(ftop, weights[j]);
    }

    double total = 0.0;
    float ftotal = 0.0f;
    for (std::size_t j = 0; j < seen; ++j) {
      p[j] = std::exp(p[j] - top);
      total += p[j];
      const float weight = std::exp(weights[j] - ftop);
      ftotal += weight;
      weights[j] = static_cast<float>(
          rounded(given.type, static_cast<double>(weight)));
    }
    std::fill_n(sums.data(), d, 0.0f);
    for (std::size_t j = 0; j < seen; ++j) {
      p[j] /= total;
      for (std::size_t c = 0; c < d; ++c) {
        expected[c] += p[j] * v[j * d + c];
        sums[c] += weights[j] * static_cast<float>(v[j * d + c]);
      }
    }

    const double spread = 2.0 + std::sqrt(static_cast<double>(seen)) / 4.0;
    std::vector<double> walk(d, 0.0);
    for (std::size_t j = 0; j < seen; ++j) {
      const double moved = sway[j] + std::abs(top);
      for (std::size_t c = 0; c < d; ++c) {
        const double value = v[j * d + c];
        const double term = p[j] * value;
        condition[c] +=
            spread * std::abs(term) +
            p[j] * moved * std::abs(value - expected[c]);
        walk[c] += term * term;
      }
    }
    for (std::size_t c = 0; c < d; ++c) {
      condition[c] += coarse * std::sqrt(walk[c]);
      yardstick[c] =
          rounded(given.type, static_cast<double>(sums[c] / ftotal));
    }
  }
}

}  // namespace skillbench::attention
