#pragma once
// oracle.hpp: scaled dot-product attention, in double.
//
// Layer   2. Includes family.hpp and the standard library.
// Shapes  q and o are [batch, heads, q_len, head_dim], k and v
//         [batch, heads, kv_len, head_dim]; an output row is one query.
// Source  o = softmax(scale * q . k) @ v, causal with the last query seeing the
//         last key; a query that sees no key gives zeros: prompt.md.
// Speed   keys, then columns, are taken eight at a time, side by side in memory,
//         as vectors of GCC and Clang: what a compiler makes of plain loops of
//         eight is three times slower with -O3 than with -O2.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include <skillbench/family.hpp>

namespace skillbench::attention {

// Numbers in a vector register, and pairs of such, so that eight of them are no
// array: arrays of vectors are kept in memory by GCC 12.
template <typename T, std::size_t Bytes>
struct lane_vector {
  using vector [[gnu::vector_size(Bytes)]] = T;
  static constexpr std::size_t count = Bytes / sizeof(T);
  vector held = {};

  [[gnu::always_inline]] void load(const T* from) {
    std::memcpy(&held, from, sizeof held);
  }
  [[gnu::always_inline]] void add(const lane_vector& to) { held += to.held; }
  [[gnu::always_inline]] void subtract(const lane_vector& from) {
    held -= from.held;
  }
  [[gnu::always_inline]] void scale(T by) { held *= by; }
  [[gnu::always_inline]] void add_square(const lane_vector& of) {
    held += of.held * of.held;
  }
  [[gnu::always_inline]] void drop_signs() {
    using words [[gnu::vector_size(Bytes)]] = std::int64_t;
    held = reinterpret_cast<vector>(reinterpret_cast<words>(held) &
                                    std::numeric_limits<std::int64_t>::max());
  }
  [[nodiscard]] [[gnu::always_inline]] T at(std::size_t i) const {
    return held[i];
  }
};

template <typename V>
struct lane_pair {
  static constexpr std::size_t count = 2 * V::count;
  V low, high;

  [[gnu::always_inline]] void load(const auto* from) {
    low.load(from), high.load(from + V::count);
  }
  [[gnu::always_inline]] void add(const lane_pair& to) {
    low.add(to.low), high.add(to.high);
  }
  [[gnu::always_inline]] void subtract(const lane_pair& from) {
    low.subtract(from.low), high.subtract(from.high);
  }
  [[gnu::always_inline]] void scale(auto by) { low.scale(by), high.scale(by); }
  [[gnu::always_inline]] void add_square(const lane_pair& of) {
    low.add_square(of.low), high.add_square(of.high);
  }
  [[gnu::always_inline]] void drop_signs() {
    low.drop_signs(), high.drop_signs();
  }
  [[nodiscard]] [[gnu::always_inline]] auto at(std::size_t i) const {
    return i < V::count ? low.at(i) : high.at(i - V::count);
  }
};

#ifdef __AVX__
using eight = lane_pair<lane_vector<double, 32>>;
using eight_floats = lane_vector<float, 32>;
#else
using eight = lane_pair<lane_pair<lane_vector<double, 16>>>;
using eight_floats = lane_pair<lane_vector<float, 16>>;
#endif

// Rows of `width` elements, eight columns side by side: [width / 8][rows][8].
// The same in float, as an honest kernel reads it.
struct eights {
  std::vector<double> exact;
  std::vector<float> coarse;
  std::size_t rows = 0;

  [[nodiscard]] const double* exact_at(std::size_t eighth) const {
    return exact.data() + eighth * rows * 8;
  }
  [[nodiscard]] const float* coarse_at(std::size_t eighth) const {
    return coarse.data() + eighth * rows * 8;
  }
};

// Of eight columns of `count` numbers each, every one times its factor.
struct sums_of_eight {
  eight sum, size, squares;  // of the terms, of |terms| and of their squares
};
[[nodiscard]] [[gnu::always_inline]] inline sums_of_eight exact_sums(
    const double* columns, const double* factors, std::size_t count) {
  sums_of_eight of;
  eight term;
  for (std::size_t i = 0; i < count; ++i) {
    term.load(columns + i * 8);
    term.scale(factors[i]);
    of.sum.add(term);
    of.squares.add_square(term);
    term.drop_signs();
    of.size.add(term);
  }
  return of;
}
[[nodiscard]] [[gnu::always_inline]] inline eight_floats coarse_sum(
    const float* columns, const float* factors, std::size_t count) {
  eight_floats sum, term;
  for (std::size_t i = 0; i < count; ++i) {
    term.load(columns + i * 8);
    term.scale(factors[i]);
    sum.add(term);
  }
  return sum;
}

// From row-major `values`; columns past the end are zeros.
[[nodiscard]] inline eights by_columns(const std::vector<double>& values,
                                       std::size_t rows, std::size_t width) {
  eights made;
  made.rows = rows;
  made.exact.assign((width + 7) / 8 * rows * 8, 0.0);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < width; ++c)
      made.exact[(c / 8 * rows + r) * 8 + c % 8] = values[r * width + c];
  made.coarse.assign(made.exact.begin(), made.exact.end());
  return made;
}

// The same of the transpose: the "rows" are columns of `values`.
[[nodiscard]] inline eights by_rows(const std::vector<double>& values,
                                    std::size_t rows, std::size_t width) {
  eights made;
  made.rows = width;
  made.exact.assign((rows + 7) / 8 * width * 8, 0.0);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < width; ++c)
      made.exact[(r / 8 * width + c) * 8 + r % 8] = values[r * width + c];
  made.coarse.assign(made.exact.begin(), made.exact.end());
  return made;
}

// What moves the output, with p the softmax weights:
//  - a product p v by its own size: the sum over keys of p |v|; as a sum of
//    many terms in float, 3/4 sqrt(keys) times that (where the first key
//    dominates, every addition rounds at the size of the whole sum);
//  - a logit by scale * sum|q k| roundings; by those of its partial sums, of
//    the size of the terms' root sum of squares and a random walk too, which
//    is what counts where one term is far beyond the others; and by the
//    maximum that is subtracted. That moves p by as much, and o by p |v - o|;
//  - a weight that is a few units of their sum by itself, or by one such unit:
//    where one key dominates, a sum in float loses or doubles the others, all
//    in one direction when they are alike. c times a half is twice that;
//  - tensor cores take P in the element type. Each p is then off by up to half
//    a unit of that type, on its own, so the errors add like a random walk:
//    half of sqrt(sum p^2 v^2) such units, times c, is four of its spreads.
inline void reference(const case_inputs& given, std::string_view,
                      reference_rows out) {
  const std::int64_t q_len = given.integer("q_len");
  const std::int64_t kv_len = given.integer("kv_len");
  const bool causal = given.integer("causal") != 0;
  const auto fscale = static_cast<float>(given.real("scale"));
  const double scale = fscale;  // what the kernel is handed
  const std::int64_t dim = out.width;
  const auto d = static_cast<std::size_t>(dim);
  const auto keys = static_cast<std::size_t>(kv_len);
  const double coarse =
      given.type == element::f32
          ? 0.0
          : 0.5 * std::ldexp(1.0, 24 - significand_bits(given.type));

  const double walks = std::sqrt(static_cast<double>(dim)) / 4.0;
  const std::size_t padded = (keys + 7) / 8 * 8;
  std::vector<double> q(d), tensor, p(padded), moved(padded);
  std::vector<float> fq(d), weights(padded);
  // Rows are often asked for one at a time, and a head's keys and values cost more
  // than a row: each thread keeps its last one.
  struct kept_head {
    std::uint64_t token = 0;
    std::int64_t head = -1;
    eights k, v;
  };
  static thread_local kept_head kept;
  if (given.token == 0 || kept.token != given.token) kept = {given.token, -1, {}, {}};

  for (std::int64_t row = 0; row < out.rows; ++row) {
    const std::int64_t head = (out.first + row) / q_len;
    const std::int64_t query = (out.first + row) % q_len;
    if (head != kept.head) {
      kept.head = -1;  // should one of the two not come about
      tensor.resize(keys * d);
      given.read("k", head * kv_len * dim, tensor);
      kept.k = by_rows(tensor, keys, d);
      given.read("v", head * kv_len * dim, tensor);
      kept.v = by_columns(tensor, keys, d);
      kept.head = head;
    }
    const eights &k = kept.k, &v = kept.v;
    given.read("q", (out.first + row) * dim, q);
    std::copy(q.begin(), q.end(), fq.begin());
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

    for (std::size_t j = 0; j < seen; j += 8) {
      const double* kj = k.exact_at(j / 8);
      const float* fkj = k.coarse_at(j / 8);
      const sums_of_eight dot = exact_sums(kj, q.data(), d);
      const eight_floats fdot = coarse_sum(fkj, fq.data(), d);
      for (std::size_t e = 0; e < 8; ++e) {
        p[j + e] = scale * dot.sum.at(e);
        moved[j + e] = std::abs(scale) *
                       (dot.size.at(e) + walks * std::sqrt(dot.squares.at(e)));
        weights[j + e] = fscale * fdot.at(e);
      }
    }
    const double top = *std::max_element(p.begin(), p.begin() + last);
    const float ftop =
        *std::max_element(weights.begin(), weights.begin() + last);

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
    for (std::size_t j = 0; j < seen; ++j) {
      p[j] /= total;
      moved[j] = p[j] * (moved[j] + std::abs(top));
      if (p[j] < 0x1p-21)
        moved[j] += 0.5 * 0x1p24 * std::min(p[j], 0x1p-23);
    }

    const double spread = 2.0 + 0.75 * std::sqrt(static_cast<double>(seen));
    for (std::size_t c = 0; c < d; c += 8) {
      const double* vc = v.exact_at(c / 8);
      const float* fvc = v.coarse_at(c / 8);
      const sums_of_eight mean = exact_sums(vc, p.data(), seen);
      const eight_floats fsum = coarse_sum(fvc, weights.data(), seen);
      eight sway, term;
      for (std::size_t j = 0; j < seen; ++j) {
        term.load(vc + j * 8);
        term.subtract(mean.sum);
        term.drop_signs();
        term.scale(moved[j]);
        sway.add(term);
      }
      for (std::size_t e = 0; e < 8; ++e) {
        expected[c + e] = mean.sum.at(e);
        condition[c + e] = spread * mean.size.at(e) + sway.at(e) +
                           coarse * std::sqrt(mean.squares.at(e));
        yardstick[c + e] =
            rounded(given.type, static_cast<double>(fsum.at(e) / ftotal));
      }
    }
  }
}

}  // namespace skillbench::attention
