#pragma once
// stats.hpp: rates, differences of rates, and how sure they are.
//
// Layer   2. Standard library only. Pure functions; what is drawn at random is
//         drawn from a seed.
// Shapes  A stratum holds two arms of one task: passed and tried in each. Draws
//         in it are independent; draw k of one arm is no partner of draw k of
//         the other unless the caller counted pairs (mcnemar_p).
// Units   rates and differences in [0, 1] and [-1, 1]; every interval is at 95%,
//         every p two-sided with equal tails: twice the smaller one.
// Errors  None are thrown. What has no value (a rate of nothing tried) is absent.
// Source  beside each function.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace skillbench {

inline constexpr double z_95 = 1.959963984540054;  // normal quantile of 0.975
inline constexpr double z_80 = 0.8416212335729143; // of 0.8

struct interval {
  double low = 0, high = 0;
};

struct rate {
  std::uint64_t passed = 0, of = 0;
  [[nodiscard]] double value() const noexcept {
    return static_cast<double>(passed) / static_cast<double>(of);
  }
};

struct stratum {
  rate with, without;
  [[nodiscard]] bool usable() const noexcept {
    return with.of > 0 && without.of > 0;
  }
};

struct estimate {
  double value = 0;
  interval at95;
};

// ---- one rate -------------------------------------------------------------

// E. B. Wilson, "Probable inference, the law of succession, and statistical
// inference", J. Am. Stat. Assoc. 22 (1927): the score interval.
[[nodiscard]] inline std::optional<interval> wilson(rate seen) {
  if (seen.of == 0) return std::nullopt;
  const double n = static_cast<double>(seen.of), p = seen.value();
  const double z2 = z_95 * z_95;
  const double middle = p + z2 / (2 * n);
  const double reach = z_95 * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  const double low = (middle - reach) / (1 + z2 / n);
  const double high = (middle + reach) / (1 + z2 / n);
  return interval{seen.passed == 0 ? 0.0 : std::max(low, 0.0),
                  seen.passed == seen.of ? 1.0 : std::min(high, 1.0)};
}

// At least one of k outputs passes: M. Chen et al., "Evaluating large language
// models trained on code" (2021), the unbiased estimate
// 1 - C(n - c, k) / C(n, k). Absent for k = 0 or k > n.
[[nodiscard]] inline std::optional<double> pass_at_k(rate seen,
                                                     std::uint64_t k) {
  if (k == 0 || k > seen.of || seen.passed > seen.of) return std::nullopt;
  const std::uint64_t failed = seen.of - seen.passed;
  if (failed < k) return 1.0;
  double none = 1;
  for (std::uint64_t i = 0; i < k; ++i)
    none *= static_cast<double>(failed - i) / static_cast<double>(seen.of - i);
  return 1 - none;
}

// Of so many outputs, how many are correct and more than p times as fast as the
// baseline: A. Ouyang et al., "KernelBench: can LLMs write efficient GPU
// kernels?" (2025), fast_p. `speedups` are those of the correct ones; outputs
// that failed count. Absent for no outputs.
[[nodiscard]] inline std::optional<double> fast_p(
    std::span<const double> speedups, std::uint64_t outputs, double p) {
  if (outputs == 0 || speedups.size() > outputs) return std::nullopt;
  std::uint64_t faster = 0;
  for (const double each : speedups) faster += each > p;
  return static_cast<double>(faster) / static_cast<double>(outputs);
}

namespace stats_detail {

inline constexpr int halvings = 80;

[[nodiscard]] inline double real(std::uint64_t n) noexcept {
  return static_cast<double>(n);
}

// The rate of the arm `without` that makes both arms most likely when the other
// is higher by `gap`: the root of a derivative that falls all the way.
[[nodiscard]] inline double restricted_rate(const stratum& s, double gap) {
  double low = std::max(0.0, -gap), high = std::min(1.0, 1.0 - gap);
  const double x1 = real(s.with.passed), n1 = real(s.with.of);
  const double x0 = real(s.without.passed), n0 = real(s.without.of);
  const auto term = [](double count, double rate) {
    return count == 0 ? 0.0 : count / rate;  // +inf at the end is right
  };
  for (int i = 0; i < halvings && high - low > 1e-15; ++i) {
    const double p = (low + high) / 2;
    const double slope = term(x1, p + gap) - term(n1 - x1, 1 - p - gap) +
                         term(x0, p) - term(n0 - x0, 1 - p);
    (slope > 0 ? low : high) = p;
  }
  return (low + high) / 2;
}

// The score of a supposed difference, in standard deviations.
[[nodiscard]] inline double score(std::span<const stratum> strata, double gap) {
  double sum = 0, variance = 0;
  for (const stratum& s : strata) {
    if (!s.usable()) continue;
    const double n1 = real(s.with.of), n0 = real(s.without.of);
    const double weight = n1 * n0 / (n1 + n0);
    const double p0 = restricted_rate(s, gap);
    const double p1 = std::clamp(p0 + gap, 0.0, 1.0);
    sum += weight * (s.with.value() - s.without.value() - gap);
    variance += weight * weight * (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) *
                (n1 + n0) / (n1 + n0 - 1);
  }
  if (variance > 1e-18) return sum / std::sqrt(variance);
  return sum == 0 ? 0.0 : std::copysign(1e9, sum);
}

// log C(n, k)
[[nodiscard]] inline double log_choose(std::uint64_t n, std::uint64_t k) {
  return std::lgamma(real(n) + 1) - std::lgamma(real(k) + 1) -
         std::lgamma(real(n - k) + 1);
}

// Chances of each count of passed ones in the arm `with`, given the total.
struct counts {
  std::uint64_t first = 0;
  std::vector<double> chance;
};

[[nodiscard]] inline counts hypergeometric(std::uint64_t n1, std::uint64_t n0,
                                           std::uint64_t total) {
  counts out;
  out.first = total > n0 ? total - n0 : 0;
  const std::uint64_t last = std::min(n1, total);
  const double all = log_choose(n1 + n0, total);
  for (std::uint64_t x = out.first; x <= last; ++x)
    out.chance.push_back(
        std::exp(log_choose(n1, x) + log_choose(n0, total - x) - all));
  return out;
}

struct tails {
  double at_most = 1, at_least = 1;
};

// Ties are ties though sums of doubles differ in their last bits.
inline constexpr double tie = 1 + 1e-9;

[[nodiscard]] inline tails conditional_tails(std::span<const stratum> strata) {
  std::vector<double> sum{1.0};
  std::uint64_t first = 0, seen = 0;
  for (const stratum& s : strata) {
    if (!s.usable()) continue;
    const counts one = hypergeometric(s.with.of, s.without.of,
                                      s.with.passed + s.without.passed);
    std::vector<double> next(sum.size() + one.chance.size() - 1, 0.0);
    for (std::size_t i = 0; i < sum.size(); ++i)
      for (std::size_t k = 0; k < one.chance.size(); ++k)
        next[i + k] += sum[i] * one.chance[k];
    sum = std::move(next);
    first += one.first;
    seen += s.with.passed;
  }
  const std::size_t at = static_cast<std::size_t>(seen - first);
  tails out{0, 0};
  for (std::size_t i = 0; i < sum.size(); ++i) {
    if (i <= at) out.at_most += sum[i];
    if (i >= at) out.at_least += sum[i];
  }
  out.at_most = std::min(out.at_most, 1.0);
  out.at_least = std::min(out.at_least, 1.0);
  return out;
}

[[nodiscard]] inline std::vector<double> binomial(std::uint64_t n, double p) {
  std::vector<double> out(n + 1);
  for (std::uint64_t x = 0; x <= n; ++x)
    out[x] = std::exp(log_choose(n, x) + real(x) * std::log(p) +
                      real(n - x) * std::log1p(-p));
  return out;
}

}  // namespace stats_detail

// ---- the difference of two arms -------------------------------------------

// The difference of the rates, each stratum weighted by n1 n0 / (n1 + n0)
// (Cochran, Mantel and Haenszel), with the score interval of O. Miettinen and
// M. Nurminen, "Comparative analysis of two rates", Statistics in Medicine 4
// (1985). Strata with an empty arm say nothing and are left out.
[[nodiscard]] inline std::optional<estimate> stratified_difference(
    std::span<const stratum> strata) {
  double weights = 0, value = 0;
  for (const stratum& s : strata) {
    if (!s.usable()) continue;
    const double n1 = stats_detail::real(s.with.of);
    const double n0 = stats_detail::real(s.without.of);
    const double weight = n1 * n0 / (n1 + n0);
    weights += weight;
    value += weight * (s.with.value() - s.without.value());
  }
  if (weights == 0) return std::nullopt;
  value = std::clamp(value / weights, -1.0, 1.0);

  // The score falls as the supposed difference grows.
  const auto where = [&](double low, double high, double wanted) {
    for (int i = 0; i < stats_detail::halvings && high - low > 1e-12; ++i) {
      const double middle = (low + high) / 2;
      (stats_detail::score(strata, middle) > wanted ? low : high) = middle;
    }
    return (low + high) / 2;
  };
  constexpr double end = 1 - 1e-12;
  return estimate{value,
                  {value <= -end ? -1.0 : where(-end, value, z_95),
                   value >= end ? 1.0 : where(value, end, -z_95)}};
}

// Labels of the arms shuffled within each stratum, all shuffles counted. The
// weights above make the statistic the number of passed outputs with the skill,
// a sum of hypergeometric counts: N. Mantel and W. Haenszel, J. Natl. Cancer
// Inst. 22 (1959); exact as in A. Agresti, "Categorical Data Analysis", ch. 6.
// With one stratum it is Fisher's test.
[[nodiscard]] inline double permutation_p(std::span<const stratum> strata) {
  const auto t = stats_detail::conditional_tails(strata);
  return std::min(1.0, 2 * std::min(t.at_most, t.at_least));
}

// R. D. Boschloo, "Raised conditional level of significance for the 2 x 2
// table", Statistica Neerlandica 24 (1970): Fisher's p as the statistic, its
// chance at the worst common rate. Never above permutation_p of the stratum. The
// worst rate is sought on a grid of 1/400. Past `most_exact` draws an arm, where
// the two agree and this one is slow, it is Fisher's.
inline constexpr std::uint64_t most_exact = 300;

[[nodiscard]] inline double unconditional_p(const stratum& seen) {
  if (!seen.usable()) return 1;
  const std::uint64_t n1 = seen.with.of, n0 = seen.without.of;
  const double fisher = permutation_p(std::span(&seen, 1));
  if (std::max(n1, n0) > most_exact) return fisher;

  // For each tail, which tables are as extreme as the one seen.
  const auto observed = stats_detail::conditional_tails(std::span(&seen, 1));
  const bool higher = observed.at_least < observed.at_most;
  const double limit =
      (higher ? observed.at_least : observed.at_most) * stats_detail::tie;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extreme;  // x1, x0
  for (std::uint64_t total = 0; total <= n1 + n0; ++total) {
    const auto all = stats_detail::hypergeometric(n1, n0, total);
    double tail = 0;
    for (std::size_t i = 0; i < all.chance.size(); ++i) {
      const std::size_t at = higher ? all.chance.size() - 1 - i : i;
      tail += all.chance[at];
      if (tail > limit) break;
      const std::uint64_t x1 = all.first + at;
      extreme.emplace_back(x1, total - x1);
    }
  }
  double worst = 0;
  constexpr int steps = 400;
  for (int i = 1; i < steps; ++i) {
    const double p = static_cast<double>(i) / steps;
    const auto with = stats_detail::binomial(n1, p);
    const auto without = stats_detail::binomial(n0, p);
    double chance = 0;
    for (const auto& [x1, x0] : extreme) chance += with[x1] * without[x0];
    worst = std::max(worst, chance);
  }
  return std::min(fisher, std::min(1.0, 2 * worst));
}

// The test that a verdict stands on: exact, so that arms that do not differ are
// told apart in at most 5 of 100 cases whatever their rate. One stratum is
// tested without a condition on its total, which finds more; several are tested
// by shuffling.
[[nodiscard]] inline double difference_p(std::span<const stratum> strata) {
  const stratum* only = nullptr;
  std::size_t usable = 0;
  for (const stratum& s : strata)
    if (s.usable()) {
      only = &s;
      ++usable;
    }
  if (usable == 0) return 1;
  return usable == 1 ? unconditional_p(*only) : permutation_p(strata);
}

// Q. McNemar, Psychometrika 12 (1947), exact: of the pairs that differ, how many
// only the skill solved and how many only the baseline did.
[[nodiscard]] inline double mcnemar_p(std::uint64_t only_with,
                                      std::uint64_t only_without) {
  const std::uint64_t n = only_with + only_without;
  if (n == 0) return 1;
  const auto chance = stats_detail::binomial(n, 0.5);
  const std::uint64_t least = std::min(only_with, only_without);
  return std::min(1.0, 2 * std::accumulate(chance.begin(),
                                           chance.begin() +
                                               static_cast<std::ptrdiff_t>(
                                                   least + 1),
                                           0.0));
}

// S. Holm, Scand. J. Statist. 6 (1979): each p as it counts among all of them.
[[nodiscard]] inline std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> out(p.size());
  double highest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    highest = std::max(
        highest, p[order[i]] * static_cast<double>(order.size() - i));
    out[order[i]] = std::min(1.0, highest);
  }
  return out;
}

// Draws in each arm for an 80% chance to see a difference between two rates at
// the 5% level: J. L. Fleiss, A. Tytun and H. K. Ury, Biometrics 36 (1980), with
// the correction for continuity, which fits exact tests. Absent for no
// difference.
[[nodiscard]] inline std::optional<std::uint64_t> draws_for(double with,
                                                            double without) {
  const double gap = std::abs(with - without);
  if (!(gap > 1e-6)) return std::nullopt;
  const double mean = (with + without) / 2;
  const double root =
      z_95 * std::sqrt(2 * mean * (1 - mean)) +
      z_80 * std::sqrt(with * (1 - with) + without * (1 - without));
  const double n = root * root / (gap * gap);
  const double corrected = 1 + std::sqrt(1 + 4 / (n * gap));
  return static_cast<std::uint64_t>(std::ceil(n / 4 * corrected * corrected));
}

// ---- drawing again --------------------------------------------------------

// Random numbers that are the same with every compiler and library: splitmix64
// (G. Steele, D. Lea and C. Flood, OOPSLA 2014).
class draws_of_seed {
 public:
  explicit draws_of_seed(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] std::uint64_t next() noexcept {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
  }
  // In [0, n). The bias of the multiplication is below n / 2^64.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) noexcept {
    return static_cast<std::uint64_t>(
        (static_cast<unsigned __int128>(next()) * n) >> 64);
  }
  // In [0, 1).
  [[nodiscard]] double unit() noexcept {
    return static_cast<double>(next() >> 11) * 0x1p-53;
  }

 private:
  std::uint64_t state_;
};

// A quantity of both arms on one task: tokens, or the logarithm of a speed.
struct samples_of_task {
  std::vector<double> with, without;
  [[nodiscard]] bool usable() const noexcept {
    return !with.empty() && !without.empty();
  }
};

// The mean over tasks of contrast(mean with, mean without), and its percentile
// interval when tasks, and draws within them, are drawn again: B. Efron and R.
// Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 8 and 13. With one
// task only its draws are. Few tasks or draws make it too narrow, which whoever
// prints it should say. Absent when no task has both arms, or when there is but
// one draw an arm and one task, which shows no spread.
template <typename Contrast>
[[nodiscard]] std::optional<estimate> bootstrap(
    std::span<const samples_of_task> tasks, Contrast contrast,
    std::uint64_t seed, std::size_t rounds = 10'000) {
  std::vector<const samples_of_task*> usable;
  std::size_t most = 0;
  for (const auto& t : tasks)
    if (t.usable()) {
      usable.push_back(&t);
      most = std::max({most, t.with.size(), t.without.size()});
    }
  if (usable.empty() || (usable.size() == 1 && most == 1) || rounds == 0)
    return std::nullopt;
  const auto mean = [](const std::vector<double>& all) {
    return std::accumulate(all.begin(), all.end(), 0.0) /
           static_cast<double>(all.size());
  };
  double value = 0;
  for (const auto* t : usable) value += contrast(mean(t->with), mean(t->without));
  value /= static_cast<double>(usable.size());

  draws_of_seed random(seed);
  const auto mean_again = [&](const std::vector<double>& all) {
    double sum = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
      sum += all[random.below(all.size())];
    return sum / static_cast<double>(all.size());
  };
  std::vector<double> again(rounds);
  for (double& one : again) {
    double sum = 0;
    for (std::size_t i = 0; i < usable.size(); ++i) {
      const auto& t = *usable[random.below(usable.size())];
      const double with = mean_again(t.with);
      sum += contrast(with, mean_again(t.without));
    }
    one = sum / static_cast<double>(usable.size());
  }
  std::sort(again.begin(), again.end());
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(rounds - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, rounds - 1);
    return again[below] +
           (again[above] - again[below]) * (place - static_cast<double>(below));
  };
  return estimate{value, {at(0.025), at(0.975)}};
}

// What an arm differs from itself: each task's draws are split in two halves at
// random, over and over; 95% of the differences are at most this. Absent when
// no task has two draws.
[[nodiscard]] inline std::optional<double> noise_floor(
    std::span<const rate> tasks, std::uint64_t seed,
    std::size_t rounds = 10'000) {
  draws_of_seed random(seed);
  std::vector<double> seen;
  for (std::size_t i = 0; i < rounds; ++i) {
    double weights = 0, sum = 0;
    for (const rate& t : tasks) {
      if (t.of < 2) continue;
      const std::uint64_t half = t.of / 2;
      // An odd one is left out at random, as the halves are.
      std::uint64_t left = t.of, passed = t.passed, first = 0, second = 0;
      for (std::uint64_t k = 0; k < 2 * half; ++k) {
        const bool hit = random.below(left) < passed;
        --left;
        passed -= hit;
        (k < half ? first : second) += hit;
      }
      const double weight = stats_detail::real(half) / 2;
      weights += weight;
      sum += weight * (stats_detail::real(first) - stats_detail::real(second)) /
             stats_detail::real(half);
    }
    if (weights == 0) return std::nullopt;
    seen.push_back(std::abs(sum / weights));
  }
  if (seen.empty()) return std::nullopt;
  std::sort(seen.begin(), seen.end());
  return seen[static_cast<std::size_t>(0.95 * static_cast<double>(rounds - 1))];
}

}  // namespace skillbench
