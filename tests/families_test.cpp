// The families under kernels/: their cases are what they promise, their
// references say the same as an independent sum, and their bounds let known
// right algorithms pass and stop known wrong ones. Kernels are not run here:
// `skillbench selftest` does that with kernels/*/right and wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/bound.hpp>
#include <skillbench/check.hpp>
#include <skillbench/extract.hpp>
#include <skillbench/families.hpp>
#include <skillbench/json_family.hpp>
#include <skillbench/read.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

const std::vector<family>& all_families() {
  static const std::vector<family> made = [] {
    std::vector<family> read;
    for (const family_text& text : family_texts()) {
      auto one = read_family(text.json, std::string(text.prompt),
                             std::string(text.baseline), text.reference);
      if (!one) {
        FAIL(std::string(text.name), ": ", one.error().what);
        continue;
      }
      read.push_back(std::move(one).value());
    }
    return read;
  }();
  return made;
}

const family& get(std::string_view wanted) {
  for (const family& each : all_families())
    if (each.name == wanted) return each;
  FAIL("no family ", std::string(wanted));
  return all_families().front();
}

std::int64_t integer(const test_case& of, std::string_view wanted) {
  for (const auto& [key, value] : of.integers)
    if (key == wanted) return value;
  return 0;
}

// A problem with its tensors written out.
struct small_problem {
  test_case asked;
  std::map<std::string, std::vector<double>, std::less<>> tensors;
  element type = element::f32;

  [[nodiscard]] case_inputs inputs() const {
    case_inputs made;
    made.asked = &asked;
    made.type = type;
    made.read = [this](std::string_view name, std::int64_t first,
                       std::span<double> out) {
      const auto& from = tensors.find(name)->second;
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = from.at(static_cast<std::size_t>(first) + i);
    };
    return made;
  }
};

struct told {
  std::vector<double> expected, yardstick, condition;
};

told ask(const oracle& reference, const small_problem& of, std::int64_t first,
         std::int64_t rows, std::int64_t width) {
  const auto count = static_cast<std::size_t>(rows * width);
  told made{std::vector<double>(count, NAN), std::vector<double>(count, NAN),
            std::vector<double>(count, NAN)};
  reference(of.inputs(), "out",
            {first, rows, width, made.expected, made.yardstick,
             made.condition});
  return made;
}

// Rows of `output` made by `row_of(x row, out row)` from the rows of x.
using row_function =
    std::function<void(std::span<const float> x, std::span<const float> weight,
                       std::span<const float> bias, float eps,
                       std::span<float> out)>;

answer_function by_rows(std::int64_t inputs_per_output, bool weight, bool bias,
                        row_function row_of) {
  return [=](const case_inputs& given, std::string_view, std::int64_t first,
             std::int64_t width, std::span<double> answer) {
    const auto cols = static_cast<std::size_t>(width);
    const auto tensor = [&](std::string_view name, std::int64_t from,
                            std::size_t count) {
      std::vector<double> values(count);
      given.read(name, from, values);
      return std::vector<float>(values.begin(), values.end());
    };
    const std::vector<float> w =
        weight ? tensor("weight", 0, cols) : std::vector<float>();
    const std::vector<float> b =
        bias ? tensor("bias", 0, cols) : std::vector<float>();
    std::vector<float> out(cols);
    for (std::size_t at = 0; at < answer.size(); at += cols) {
      const auto x = tensor(
          "x", (first + static_cast<std::int64_t>(at)) * inputs_per_output,
          cols * static_cast<std::size_t>(inputs_per_output));
      row_of(x, w, b, static_cast<float>(given.real("eps")), out);
      std::copy(out.begin(), out.end(), answer.begin() +
                                            static_cast<std::ptrdiff_t>(at));
    }
  };
}

// A float sum as a warp makes it: 32 chains, then a tree.
template <typename Term>
float warp_sum(std::size_t count, Term term) {
  std::array<float, 32> lanes{};
  for (std::size_t i = 0; i < count; ++i) lanes[i % 32] += term(i);
  for (std::size_t step = 16; step > 0; step /= 2)
    for (std::size_t i = 0; i < step; ++i) lanes[i] += lanes[i + step];
  return lanes[0];
}

// The cases that refuse the answers, in one element type.
std::vector<std::string> refusing(const family& asked, element type,
                                  const answer_function& answers) {
  std::vector<std::string> names;
  for (const test_case& each : asked.cases)
    if (!accepts(asked, each, type, 1, answers)) names.push_back(each.name);
  return names;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

// ---- contracts and cases --------------------------------------------------

TEST_CASE("families: every folder is read, under its own name") {
  std::set<std::string> names;
  for (const family& each : all_families()) names.insert(each.name);
  for (const family_text& text : family_texts())
    CHECK(names.count(std::string(text.name)) == 1);
  CHECK(names.size() == family_texts().size());
  for (const char* wanted : {"attention", "geglu", "layernorm", "rmsnorm"})
    CHECK(names.count(wanted) == 1);
}

TEST_CASE("families: a prompt names every argument, the contract the manifest") {
  for (const family& each : all_families()) {
    CAPTURE(each.name);
    for (const argument& one : each.arguments) {
      CAPTURE(one.name);
      // A row of the table may hold several: "| rows, cols | `int` |".
      const bool named =
          each.prompt.find("| " + one.name + " ") != std::string::npos ||
          each.prompt.find("| " + one.name + ",") != std::string::npos ||
          each.prompt.find(", " + one.name + " |") != std::string::npos ||
          each.prompt.find(", " + one.name + ",") != std::string::npos;
      CHECK(named);
    }
  }
  CHECK(contract_text().find("starts with the word `skillbench`") !=
        std::string_view::npos);
}

TEST_CASE("families: case names differ, and every case says why") {
  for (const family& each : all_families()) {
    CAPTURE(each.name);
    std::set<std::string> names;
    for (const test_case& one : each.cases) {
      CAPTURE(one.name);
      CHECK(names.insert(one.name).second);
      CHECK(one.why.size() > 10);
    }
    CHECK(each.allowed.why.size() > 10);
  }
}

TEST_CASE("families: cases stay inside the contract's ranges") {
  for (const family& each : all_families())
    for (const test_case& one : each.cases)
      for (const argument& limit : each.arguments) {
        if (limit.kind != argument::type::integer) continue;
        CAPTURE(each.name);
        CAPTURE(one.name);
        CAPTURE(limit.name);
        CHECK(integer(one, limit.name) >= limit.least);
        CHECK(integer(one, limit.name) <= limit.most);
      }
}

TEST_CASE("families: norms and GEGLU have two to three million elements") {
  for (const char* which : {"layernorm", "rmsnorm", "geglu"}) {
    const family& asked = get(which);
    CAPTURE(asked.name);
    std::int64_t elements = 0;
    std::set<std::pair<std::int64_t, std::int64_t>> shapes;
    std::set<std::int64_t> widths;
    for (const test_case& each : asked.cases) {
      const std::int64_t rows = integer(each, "rows");
      const std::int64_t cols = integer(each, "cols");
      elements += rows * cols;
      shapes.insert({rows, cols});
      widths.insert(cols);
    }
    CHECK(elements >= 2'000'000);
    CHECK(elements <= 3'000'000);
    CHECK(shapes.size() >= 12);
    // Tile +-1, powers of two, primes, less than a vector, the widest row.
    for (const std::int64_t cols :
         {1, 2, 3, 7, 8, 31, 33, 257, 1000, 1009, 1023, 1024, 1025, 4096, 4097})
      CHECK_MESSAGE(widths.count(cols) == 1, cols);
    CHECK(widths.count(asked.name == "geglu" ? 32768 : 16384) == 1);
  }
}

TEST_CASE("families: attention meets both head sizes and uneven lengths") {
  std::set<std::int64_t> dims;
  int uneven = 0, causal = 0, unseen = 0, one_key = 0, dominant = 0;
  std::int64_t operations = 0;
  for (const test_case& each : get("attention").cases) {
    bindings known(each.integers.begin(), each.integers.end());
    known.emplace_back("sizeof_T", 4);
    const auto some = get("attention").operations.evaluate(known);
    REQUIRE(some);
    operations += some.value();
    for (const auto& [tensor, filled] : each.fills)
      dominant += tensor == "k" && filled.kind == pattern::spike;
    const std::int64_t q = integer(each, "q_len"), kv = integer(each, "kv_len");
    dims.insert(integer(each, "head_dim"));
    uneven += q != kv;
    causal += integer(each, "causal") == 1;
    unseen += integer(each, "causal") == 1 && q > kv;
    one_key += kv == 1;
  }
  CHECK(dims == std::set<std::int64_t>{64, 128});
  CHECK(uneven >= 3);
  CHECK(causal >= 3);
  CHECK(unseen >= 1);
  CHECK(one_key >= 1);
  CHECK(dominant >= 1);
  CHECK(operations >= 500'000'000);
  CHECK(operations <= 700'000'000);  // the PTX machine runs them all, twice
}

TEST_CASE("families: expected values stay inside every element type") {
  for (const family& asked : all_families())
    for (const test_case& each : asked.cases)
      for (const element type : all_elements) {
        CAPTURE(asked.name);
        CAPTURE(each.name);
        double most = 0.0, least_bound = 1.0;
        for (const argument& output : asked.arguments) {
          if (output.kind != argument::type::output) continue;
          const auto walked = each_block(
              asked, each, output, type, 1, nullptr,
              [&](std::int64_t, std::span<const double> expected,
                  std::span<const double> bound) -> result<done> {
                for (std::size_t i = 0; i < expected.size(); ++i) {
                  most = std::max(most, std::abs(expected[i]));
                  least_bound = std::min(least_bound, bound[i]);
                }
                return done{};
              });
          REQUIRE(walked);
        }
        CHECK(most < largest(type));
        CHECK(least_bound > 0.0);
      }
}

// ---- references -----------------------------------------------------------

TEST_CASE("families: layernorm's reference is the formula, row by row") {
  small_problem p;
  p.asked.reals = {{"eps", 0.25}};
  p.tensors["x"] = {1, 2, 4, 7, 1000, 1001, 1003, 1006};
  p.tensors["weight"] = {1, -2, 0.5, 3};
  p.tensors["bias"] = {0, 1, -1, 2};
  // Both rows: mean 3.5 above the first, deviations -2.5 -1.5 0.5 3.5, squares
  // 6.25 2.25 0.25 12.25, variance 5.25, plus eps 5.5.
  const double r = 1.0 / std::sqrt(5.5);
  const std::array<double, 4> wanted = {-2.5 * r, 3.0 * r + 1, 0.25 * r - 1,
                                        10.5 * r + 2};
  const auto both = ask(layernorm::reference, p, 0, 2, 4);
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(both.expected[i] == doctest::Approx(wanted[i % 4]).epsilon(1e-14));
    CHECK(both.yardstick[i] == doctest::Approx(wanted[i % 4]).epsilon(1e-4));
  }
  // A mean that is large against the spread costs digits; the bias never does.
  CHECK(both.condition[4] > 100 * both.condition[0]);
  const auto second = ask(layernorm::reference, p, 1, 1, 4);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(second.expected[i] == both.expected[4 + i]);
}

TEST_CASE("families: layernorm's reference keeps a million apart from one") {
  // Wide enough for every partial sum, offset enough to show a one-pass form.
  constexpr std::size_t cols = 1003;
  small_problem p;
  p.asked.reals = {{"eps", 1e-5}};
  auto& x = p.tensors["x"];
  for (std::size_t c = 0; c < cols; ++c)
    x.push_back(1e6 + static_cast<double>(c % 7));
  p.tensors["weight"] = std::vector<double>(cols, 1.0);
  p.tensors["bias"] = std::vector<double>(cols, 0.0);
  long double sum = 0, squares = 0;
  for (const double v : x) sum += v;
  const long double mean = sum / cols;
  for (const double v : x) squares += (v - mean) * (v - mean);
  const long double root = std::sqrt(squares / cols + 1e-5L);
  const auto made = ask(layernorm::reference, p, 0, 1, cols);
  for (std::size_t c = 0; c < cols; ++c)
    CHECK(made.expected[c] ==
          doctest::Approx(static_cast<double>((x[c] - mean) / root))
              .epsilon(1e-9));
}

TEST_CASE("families: rmsnorm's reference is the formula") {
  small_problem p;
  p.asked.reals = {{"eps", 0.5}};
  p.tensors["x"] = {1, -2, 3, 0, 0, 0};
  p.tensors["weight"] = {2, 1, -1};
  const double r = 1.0 / std::sqrt(14.0 / 3.0 + 0.5);
  const auto made = ask(rmsnorm::reference, p, 0, 2, 3);
  const std::array<double, 6> wanted = {2 * r, -2 * r, -3 * r, 0, 0, 0};
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(made.expected[i] == doctest::Approx(wanted[i]).epsilon(1e-14));
    CHECK(made.yardstick[i] == doctest::Approx(wanted[i]).epsilon(1e-6));
  }
}

TEST_CASE("families: GEGLU's reference agrees with tabled values") {
  // gelu(g) = g * Phi(g), Phi from tables of the normal distribution.
  const std::array<std::pair<double, double>, 5> table = {
      {{1.0, 0.8413447460685429},
       {-1.0, -0.15865525393145705},
       {-5.0, -5.0 * 2.866515718791933e-7},
       {-30.0, 0.0},
       {30.0, 30.0}}};
  small_problem p;
  auto& x = p.tensors["x"];
  for (const auto& [gate, gelu] : table) x.push_back(2.0 + 0 * gate * gelu);
  for (const auto& [gate, gelu] : table) x.push_back(gate + 0 * gelu);
  const auto made = ask(geglu::reference, p, 0, 1, 5);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(made.expected[i] ==
          doctest::Approx(2.0 * table[i].second).epsilon(1e-12));
    CHECK(made.condition[i] > 0.0);
  }
  // At -5 the sum 1 + erf cancels: the condition is that of its terms.
  CHECK(made.condition[2] == doctest::Approx(2.0 * 5.0).epsilon(1e-6));
}

TEST_CASE("families: attention's reference masks, shifts and weighs") {
  // q and k are zero but for one entry, so a logit is a product of two numbers.
  constexpr std::size_t d = 64;
  small_problem p;
  p.asked.integers = {{"batch", 1},  {"heads", 1},     {"q_len", 3},
                      {"kv_len", 2}, {"head_dim", 64}, {"causal", 1}};
  p.asked.reals = {{"scale", 0.5}};
  auto& q = p.tensors["q"] = std::vector<double>(3 * d, 0.0);
  auto& k = p.tensors["k"] = std::vector<double>(2 * d, 0.0);
  auto& v = p.tensors["v"] = std::vector<double>(2 * d, 0.0);
  for (std::size_t i = 0; i < 3; ++i) q[i * d + 5] = 2.0;
  k[5] = 1.0;
  k[d + 5] = 3.0;
  for (std::size_t c = 0; c < d; ++c) {
    v[c] = static_cast<double>(c);
    v[d + c] = -1.0;
  }
  const auto made = ask(attention::reference, p, 0, 3, d);
  const double w = 1.0 / (1.0 + std::exp(2.0));  // logits 1 and 3
  for (std::size_t c = 0; c < d; ++c) {
    const auto cell = static_cast<double>(c);
    CHECK(made.expected[c] == 0.0);  // the first query sees no key
    CHECK(made.condition[c] == 0.0);
    CHECK(made.expected[d + c] == cell);  // the second sees the first key
    CHECK(made.expected[2 * d + c] ==
          doctest::Approx(w * cell - (1.0 - w)).epsilon(1e-12));
  }

  p.asked.integers.back().second = 0;  // not causal: every query sees both
  const auto open = ask(attention::reference, p, 0, 3, d);
  for (std::size_t c = 0; c < 2 * d; ++c)
    CHECK(open.expected[c] == open.expected[2 * d + c % d]);
}

TEST_CASE("families: attention's reference finds its head and its query") {
  small_problem p;
  p.asked.integers = {{"batch", 2},  {"heads", 2},     {"q_len", 2},
                      {"kv_len", 1}, {"head_dim", 64}, {"causal", 0}};
  p.asked.reals = {{"scale", 1.0}};
  constexpr std::size_t d = 64;
  p.tensors["q"] = std::vector<double>(8 * d, 0.5);
  p.tensors["k"] = std::vector<double>(4 * d, 0.25);
  auto& v = p.tensors["v"];
  for (std::size_t i = 0; i < 4 * d; ++i) v.push_back(static_cast<double>(i));
  // Rows 3 to 6: head 1's second query, head 2's two, head 3's first.
  const auto made = ask(attention::reference, p, 3, 4, d);
  const std::array<std::size_t, 4> heads = {1, 2, 2, 3};
  for (std::size_t row = 0; row < 4; ++row)
    for (std::size_t c = 0; c < d; ++c)
      CHECK(made.expected[row * d + c] ==
            static_cast<double>(heads[row] * d + c));
}

TEST_CASE("families: attention's bound knows what a float sum loses") {
  // The first key has nearly all the weight: each of the others is below half a
  // unit of the sum that it is added to, and a sum in order loses it.
  constexpr std::size_t d = 64, keys = 1001;
  small_problem p;
  p.asked.integers = {{"batch", 1},     {"heads", 1},     {"q_len", 1},
                      {"kv_len", keys}, {"head_dim", 64}, {"causal", 0}};
  p.asked.reals = {{"scale", 1.0}};
  auto& q = p.tensors["q"] = std::vector<double>(d, 0.0);
  auto& k = p.tensors["k"] = std::vector<double>(keys * d, 0.0);
  auto& v = p.tensors["v"] = std::vector<double>(keys * d, -1.0);
  q[0] = 1.0;
  k[0] = 17.0;
  std::fill_n(v.begin(), d, 1.0);
  const auto made = ask(attention::reference, p, 0, 1, d);
  std::vector<double> bound(d);
  // The yardstick adds in that order too and would widen the bound: leave it
  // out to see that the condition alone does.
  std::vector<double> exact = made.expected, condition = made.condition,
                      expected = made.expected;
  REQUIRE(make_bounds({0, 1, d, expected, exact, condition},
                      get("attention").allowed, element::f32, bound));
  for (std::size_t c = 0; c < d; ++c) {
    const double lost = 1.0 - made.expected[c];
    CHECK(lost > 1000 * 2 * std::exp(-17.1));  // 1 is what such a sum gives
    CHECK(lost < bound[c]);
    CHECK(bound[c] < 4 * lost);  // and no more than a few times that
  }
}

TEST_CASE("families: the honest evaluation is well inside its bound") {
  for (const family& asked : all_families())
    for (const test_case& each : asked.cases)
      for (const element type : all_elements) {
        const argument* output = nullptr;
        for (const argument& one : asked.arguments)
          if (one.kind == argument::type::output) output = &one;
        REQUIRE(output != nullptr);
        const auto shape = shape_of(*output, each);
        REQUIRE(shape);
        const std::int64_t width = shape.value().width();
        const std::int64_t rows = std::min<std::int64_t>(
            shape.value().elements / width,
            std::max<std::int64_t>(1, block_elements / width));
        const auto count = static_cast<std::size_t>(rows * width);
        std::vector<double> expected(count), yardstick(count),
            condition(count), bound(count);
        const reference_rows block{0, rows, width, expected, yardstick,
                                   condition};
        asked.reference(inputs_of(asked, each, type, 1), output->name, block);
        REQUIRE(make_bounds(block, asked.allowed, type, bound));
        double worst = 0.0;
        for (std::size_t i = 0; i < count; ++i)
          worst = std::max(worst, yardstick[i] == expected[i]
                                      ? 0.0
                                      : std::abs(yardstick[i] - expected[i]) /
                                            bound[i]);
        CAPTURE(asked.name);
        CAPTURE(each.name);
        CAPTURE(name(type));
        CHECK(worst < 0.8);
      }
}

// ---- bounds ---------------------------------------------------------------

TEST_CASE("families: no case accepts an answer that takes no thought") {
  for (const family& asked : all_families())
    for (const auto& [called, answers] : trivial_answers(asked))
      for (const test_case& each : asked.cases)
        for (const element type : all_elements) {
          CAPTURE(asked.name);
          CAPTURE(called);
          CAPTURE(each.name);
          CAPTURE(name(type));
          const auto seen = judge_answers(asked, each, type, 1, answers);
          REQUIRE(seen);
          CHECK_FALSE(seen.value().agrees());
        }
}

TEST_CASE("families: GEGLU accepts no half of its input, no plain product") {
  const family& asked = get("geglu");
  const auto half = [](bool second) {
    return by_rows(2, false, false, [second](auto x, auto, auto, float,
                                             auto out) {
      for (std::size_t c = 0; c < out.size(); ++c)
        out[c] = x[c + (second ? out.size() : 0)];
    });
  };
  for (const element type : all_elements) {
    CHECK(refusing(asked, type, half(false)).size() == asked.cases.size());
    CHECK(refusing(asked, type, half(true)).size() == asked.cases.size());
  }
}

TEST_CASE("families: layernorm tells a one-pass variance from two passes") {
  const auto kernel = [](bool one_pass) {
    return by_rows(1, true, true, [one_pass](auto x, auto w, auto b, float eps,
                                             auto out) {
      const auto n = static_cast<float>(x.size());
      const float mean =
          warp_sum(x.size(), [&](std::size_t c) { return x[c]; }) / n;
      float variance = 0.0f;
      if (one_pass)
        variance = std::max(
            warp_sum(x.size(), [&](std::size_t c) { return x[c] * x[c]; }) / n -
                mean * mean,
            0.0f);
      else
        variance = warp_sum(x.size(), [&](std::size_t c) {
                     return (x[c] - mean) * (x[c] - mean);
                   }) / n;
      const float rstd = 1.0f / std::sqrt(variance + eps);
      for (std::size_t c = 0; c < x.size(); ++c)
        out[c] = (x[c] - mean) * rstd * w[c] + b[c];
    });
  };
  const family& asked = get("layernorm");
  for (const element type : all_elements) {
    CHECK(refusing(asked, type, kernel(false)).empty());
    const auto refused = refusing(asked, type, kernel(true));
    for (const char* wanted :
         {"cols_1000_offset_1000", "cols_16384_offset_1000"})
      CHECK(std::find(refused.begin(), refused.end(), wanted) != refused.end());
    // It is right where the mean is small: the bound is not just narrow.
    CHECK(std::find(refused.begin(), refused.end(), "cols_1024") ==
          refused.end());
  }
}

TEST_CASE("families: norms notice an eps that is missing or somebody else's") {
  const auto kernel = [](bool centred, float factor, float instead) {
    return by_rows(
        1, true, centred,
        [=](auto x, auto w, auto b, float eps, auto out) {
          const auto n = static_cast<float>(x.size());
          const float mean =
              centred
                  ? warp_sum(x.size(), [&](std::size_t c) { return x[c]; }) / n
                  : 0.0f;
          const float squares = warp_sum(x.size(), [&](std::size_t c) {
            return (x[c] - mean) * (x[c] - mean);
          });
          const float scale =
              1.0f / std::sqrt(squares / n + factor * eps + instead);
          for (std::size_t c = 0; c < x.size(); ++c)
            out[c] = (x[c] - mean) * scale * w[c] + (centred ? b[c] : 0.0f);
        });
  };
  for (const char* which : {"layernorm", "rmsnorm"})
    for (const element type : all_elements) {
      const family& asked = get(which);
      const bool centred = asked.name == "layernorm";
      CAPTURE(asked.name);
      CAPTURE(name(type));
      CHECK(refusing(asked, type, kernel(centred, 1.0f, 0.0f)).empty());
      CHECK_FALSE(refusing(asked, type, kernel(centred, 0.0f, 0.0f)).empty());
      CHECK_FALSE(refusing(asked, type, kernel(centred, 0.0f, 1e-5f)).empty());
    }
}

TEST_CASE("families: GEGLU takes the formula as written, and no tanh") {
  const auto kernel = [](auto gelu) {
    return by_rows(2, false, false,
                   [gelu](auto x, auto, auto, float, auto out) {
                     for (std::size_t c = 0; c < out.size(); ++c)
                       out[c] = x[c] * gelu(x[c + out.size()]);
                   });
  };
  const auto literal = kernel([](float g) {
    return 0.5f * g * (1.0f + std::erf(g * 0.70710678f));
  });
  const auto tanh_form = kernel([](float g) {
    return 0.5f * g *
           (1.0f + std::tanh(0.7978845608f * (g + 0.044715f * g * g * g)));
  });
  const family& asked = get("geglu");
  for (const element type : all_elements) {
    CHECK(refusing(asked, type, literal).empty());
    CHECK(refusing(asked, type, tanh_form).size() > 10);
  }
}

// ---- whole outputs --------------------------------------------------------

TEST_CASE("families: known outputs say what they expect, and read as they say") {
  const std::vector<family>& known = all_families();
  const fs::path kernels = fs::path(SKILLBENCH_SOURCE_DIR) / "kernels";
  int right = 0, wrong = 0;
  for (const family& asked : known)
    for (const char* kind : {"right", "wrong"}) {
      const fs::path folder = kernels / asked.name / kind;
      if (!fs::is_directory(folder)) continue;
      for (const auto& file : fs::directory_iterator(folder)) {
        const std::string text = read_text(file.path());
        CAPTURE(file.path().string());
        REQUIRE(text.starts_with("<!-- expect: outcome="));
        const std::string first = text.substr(0, text.find('\n'));
        const bool good = std::string_view(kind) == "right";
        (good ? right : wrong) += 1;
        CHECK(first.find("; why: ") != std::string::npos);
        CHECK((first.find("outcome=correct;") != std::string::npos) == good);
        CHECK((first.find(" finding=") == std::string::npos) == good);

        const extracted source = extract(text);
        const bool none = first.find("outcome=no_kernel") != std::string::npos;
        CHECK(source.found.has_value() == !none);
        if (!source.found) continue;
        const read_result read = read_candidate(*source.found, known, asked);
        const bool bad = first.find("outcome=bad_manifest") != std::string::npos;
        CHECK(read.found.has_value() == !bad);
        if (!bad)
          for (const finding& each : read.refused) MESSAGE(each.what);
      }
    }
  CHECK(right >= 15);
  CHECK(wrong >= 24);
}

TEST_CASE("families: baselines keep the contract that models are given") {
  const std::vector<family>& known = all_families();
  for (const family& asked : known) {
    if (asked.baseline.empty()) continue;
    CAPTURE(asked.name);
    const extracted source = extract(asked.baseline);
    REQUIRE(source.found);
    const read_result read = read_candidate(*source.found, known, asked);
    CHECK(read.found.has_value());
  }
  for (const char* which : {"attention", "geglu", "layernorm", "rmsnorm"})
    CHECK_FALSE(get(which).baseline.empty());
}
