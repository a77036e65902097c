// Simulated arms with known truth: how often the intervals of stats.hpp hold it,
// how often a verdict is given where nothing differs, and where something does.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include <skillbench/effect.hpp>
#include <skillbench/stats.hpp>

namespace {

using namespace skillbench;

constexpr int runs = 10'000;
constexpr std::uint64_t sizes[] = {10, 30, 100};

std::uint64_t binomial_draw(draws_of_seed& random, std::uint64_t n, double p) {
  std::uint64_t hits = 0;
  for (std::uint64_t i = 0; i < n; ++i) hits += random.unit() < p;
  return hits;
}

// The same tables come again and again.
const reading& read(const std::vector<stratum>& strata) {
  static std::map<std::vector<std::uint64_t>, reading> known;
  std::vector<std::uint64_t> key;
  for (const stratum& s : strata)
    key.insert(key.end(),
               {s.with.passed, s.with.of, s.without.passed, s.without.of});
  const auto [at, fresh] = known.try_emplace(key);
  if (fresh) {
    at->second = read_difference(strata);
    decide(at->second, at->second.p);
  }
  return at->second;
}

bool holds(const interval& at95, double truth) {
  return at95.low <= truth && truth <= at95.high;
}

// Coverage at each rate of a grid, exact: every count weighted by its chance.
void rates() {
  std::puts("one rate, Wilson: share of runs whose 95% interval holds it");
  for (const std::uint64_t n : sizes) {
    draws_of_seed random(n);
    int inside = 0;
    for (int i = 0; i < runs; ++i) {
      const double p = random.unit();
      inside += holds(*wilson({binomial_draw(random, n, p), n}), p);
    }
    double least = 1, at = 0;
    for (int k = 1; k < 1000; ++k) {
      const double p = k / 1000.0;
      const auto chance = stats_detail::binomial(n, p);
      double covered = 0;
      for (std::uint64_t x = 0; x <= n; ++x)
        if (holds(*wilson({x, n}), p)) covered += chance[x];
      if (covered < least) {
        least = covered;
        at = p;
      }
    }
    std::printf("  n = %3d: mean %.2f%% over p uniform (%d runs; goal 93.5 to "
                "97), least %.2f%% at p = %.3f (exact)\n",
                static_cast<int>(n), 100.0 * inside / runs, runs, 100 * least,
                at);
  }
}

void differences(std::size_t tasks) {
  std::printf("a difference, %zu task%s, each rate uniform: the same\n", tasks,
              tasks == 1 ? "" : "s");
  for (const std::uint64_t n : sizes) {
    draws_of_seed random(1000 * tasks + n);
    int inside = 0;
    double least = 1;
    // Minimum over ten ranges of the true difference.
    int in_range[10] = {}, held[10] = {};
    for (int i = 0; i < runs; ++i) {
      // One difference for all tasks, as the interval supposes.
      const double with = random.unit(), without = random.unit();
      const double gap = with - without;
      std::vector<stratum> strata;
      for (std::size_t t = 0; t < tasks; ++t) {
        const double low = std::max(0.0, -gap), high = std::min(1.0, 1 - gap);
        const double p = t == 0 ? without : low + (high - low) * random.unit();
        strata.push_back({{binomial_draw(random, n, p + gap), n},
                          {binomial_draw(random, n, p), n}});
      }
      const bool hit = holds(stratified_difference(strata)->at95, gap);
      inside += hit;
      const int range = std::min(9, static_cast<int>((gap + 1) * 5));
      ++in_range[range];
      held[range] += hit;
    }
    for (int k = 0; k < 10; ++k)
      if (in_range[k] >= 200)
        least = std::min(least, static_cast<double>(held[k]) / in_range[k]);
    std::printf("  n = %3d an arm and task: mean %.2f%% (goal 93.5 to 97), least "
                "%.2f%% of ten ranges of the difference\n",
                static_cast<int>(n), 100.0 * inside / runs, 100 * least);
  }
}

void verdicts(std::size_t tasks) {
  std::printf("verdicts, %zu task%s: share of %d runs that say helps or hurts\n",
              tasks, tasks == 1 ? "" : "s", runs);
  std::puts("       no difference, rate                  |  a difference of, "
            "around 0.5");
  std::puts("    n   0.05  0.10  0.20  0.35  0.50  0.80  0.95 |  0.10   0.20   "
            "0.35");
  for (const std::uint64_t n : sizes) {
    std::printf("  %3d ", static_cast<int>(n));
    draws_of_seed random(7777 * tasks + n);
    const auto said = [&](double with, double without) {
      int told = 0;
      for (int i = 0; i < runs; ++i) {
        std::vector<stratum> strata;
        for (std::size_t t = 0; t < tasks; ++t)
          strata.push_back({{binomial_draw(random, n, with), n},
                            {binomial_draw(random, n, without), n}});
        told += read(strata).said != verdict::inconclusive;
      }
      return 100.0 * told / runs;
    };
    double worst = 0;
    for (const double p : {0.05, 0.10, 0.20, 0.35, 0.50, 0.80, 0.95}) {
      const double share = said(p, p);
      worst = std::max(worst, share);
      std::printf(" %4.2f%%", share);
    }
    std::printf(" |");
    for (const double gap : {0.10, 0.20, 0.35})
      std::printf(" %5.1f%%", said(0.5 + gap / 2, 0.5 - gap / 2));
    std::printf("   worst %.2f%%, goal at most 5%% + %.2f (two standard errors)\n",
                worst, 200 * std::sqrt(0.05 * 0.95 / runs));
  }
}

}  // namespace

int main() {
  rates();
  differences(1);
  differences(3);
  verdicts(1);
  verdicts(3);
  return 0;
}
