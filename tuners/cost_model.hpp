#pragma once
// cost_model.hpp: what to expect of configurations that were not tried.
//
// Layer   5. strategy.hpp has the units.
// How     a Gaussian process (Matern 5/2, one length for each parameter) over
//         what ran, on costs that are turned into a score first: their
//         logarithm, or the root of the share of the best. Lengths and noise
//         are those of the highest marginal likelihood times a prior, found by
//         steps along one of them at a time. Whether a configuration works at
//         all is told by what worked and what failed near it.
// Candidates all points of a small space; of a large one some thousands, drawn
//         once, and the neighbours of every best so far.
// Source  Rasmussen and Williams, Gaussian Processes for Machine Learning,
//         2006, algorithm 2.1 and chapter 5; Jones, Schonlau, Welch, Efficient
//         Global Optimization of Expensive Black-Box Functions, 1998, for
//         expected improvement.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <skillbench/tuners/prior.hpp>
#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

// What costs become before they are modelled. A logarithm tells bad ones apart
// as well as good ones; a share of the best cares for the good ones alone.
enum class cost_scale : std::uint8_t { logarithm, share };

// Where the values of each parameter lie: numbers on a line from 0 to 1, by
// their logarithm when they span a wide range; strings, and small numbers that
// count from 0 like names of methods, are just different from each other.
class tuning_features {
 public:
  explicit tuning_features(const tuning_space& space) {
    const auto& all = space.parameters();
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& values = all[i].values;
      if (values.size() < 2) continue;
      dimension made;
      made.parameter = i;
      made.values = values.size();
      std::vector<double> numbers;
      for (const tuning_value& each : values)
        if (const auto number = number_of(each)) numbers.push_back(*number);
      made.places.resize(values.size());
      if (numbers.size() == values.size()) {
        const auto [low, high] =
            std::minmax_element(numbers.begin(), numbers.end());
        const double least = *low, most = *high;
        const bool wide = least > 0 && most / least >= 4;
        bool counts = values.size() > 2;
        std::vector<double> sorted = numbers;
        std::sort(sorted.begin(), sorted.end());
        for (std::size_t k = 0; k < sorted.size(); ++k)
          counts = counts && sorted[k] == static_cast<double>(k);
        made.named = counts && values.size() <= 5;
        for (std::size_t k = 0; k < numbers.size(); ++k)
          made.places[k] =
              most == least ? 0
              : wide        ? std::log(numbers[k] / least) / std::log(most / least)
                            : (numbers[k] - least) / (most - least);
      } else {
        made.named = true;
      }
      dimensions_.push_back(std::move(made));
    }
  }

  struct dimension {
    std::size_t parameter = 0, values = 0;
    bool named = false;
    std::vector<double> places;

    [[nodiscard]] double distance(std::size_t a, std::size_t b) const {
      if (named) return a == b ? 0.0 : 1.0;
      return std::fabs(places[a] - places[b]);
    }
  };
  [[nodiscard]] const std::vector<dimension>& dimensions() const {
    return dimensions_;
  }

 private:
  std::vector<dimension> dimensions_;
};

namespace cost_model_detail {

// Eight at a time, whatever the compiler makes of loops.
using eight = float __attribute__((vector_size(32)));

inline eight load(const float* from) {
  eight made;
  std::memcpy(&made, from, sizeof made);
  return made;
}

// to -= by * from
inline void subtract(float* to, const float* from, float by, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const eight made = load(to + i) - by * load(from + i);
    std::memcpy(to + i, &made, sizeof made);
  }
  for (; i < n; ++i) to[i] -= by * from[i];
}

inline double dot(const float* a, const float* b, std::size_t n) {
  eight sums[2] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    sums[0] += load(a + i) * load(b + i);
    sums[1] += load(a + i + 8) * load(b + i + 8);
  }
  double made = 0;
  for (std::size_t k = 0; k < 8; ++k)
    made += static_cast<double>(sums[0][k]) + static_cast<double>(sums[1][k]);
  for (; i < n; ++i) made += static_cast<double>(a[i] * b[i]);
  return made;
}

// Matern 5/2 of a squared distance, between entries of a table.
class matern {
 public:
  matern() {
    for (std::size_t i = 0; i < table_.size(); ++i) {
      const double r = std::sqrt(5.0) * static_cast<double>(i) / steps;
      table_[i] = static_cast<float>((1 + r + r * r / 3) * std::exp(-r));
    }
  }
  [[nodiscard]] float operator()(float squared) const {
    const float at = std::sqrt(squared) * static_cast<float>(steps);
    if (!(at < static_cast<float>(table_.size() - 1))) return 0;
    const auto i = static_cast<std::size_t>(at);
    return table_[i] + (at - static_cast<float>(i)) * (table_[i + 1] - table_[i]);
  }

 private:
  static constexpr int steps = 256;  // of one length
  std::array<float, 8 * steps> table_{};
};

}  // namespace cost_model_detail

class cost_model {
 public:
  static constexpr std::size_t most_candidates = 3000;

  // The memory must outlive it.
  explicit cost_model(search_memory& memory, prior before = {})
      : memory_(&memory), features_(memory.space()), prior_(std::move(before)) {
    dims_ = features_.dimensions().size();
    for (const auto& each : features_.dimensions())
      widths_.push_back(each.values);
    theta_.assign(dims_, prior_length);
  }

  // What the memory just learnt.
  void learn(std::uint64_t index, std::optional<double> cost) {
    points_.push_back(code(index));
    if (prior_) thought_.push_back(thought_of(index));
    ran_ += cost.has_value();
  }
  // How many ran: a model of fewer than three says nothing.
  [[nodiscard]] std::size_t ran() const { return ran_; }

  // The one of `draws` random points that is farthest from all that was
  // proposed.
  [[nodiscard]] std::optional<std::uint64_t> spread(
      const std::vector<std::uint64_t>& pending, int draws = 8) {
    std::vector<codes> taken = points_;
    for (const std::uint64_t each : pending) taken.push_back(code(each));
    std::optional<std::uint64_t> best;
    double best_distance = -1;
    for (int i = 0; i < draws; ++i) {
      const auto index = memory_->fresh();
      if (!index) return best;
      const codes at = code(*index);
      double nearest = 1e9;
      for (const codes& other : taken) {
        double sum = 0;
        for (std::size_t d = 0; d < dims_; ++d) {
          const double gap = features_.dimensions()[d].distance(at[d], other[d]);
          sum += gap * gap;
        }
        nearest = std::min(nearest, sum);
      }
      if (nearest > best_distance) {
        best_distance = nearest;
        best = index;
      }
    }
    return best;
  }

  // The candidate that the prior thinks best of; nothing without one.
  [[nodiscard]] std::optional<std::uint64_t> best_thought_of() {
    if (!prior_) return std::nullopt;
    find_candidates();
    std::optional<std::uint64_t> chosen;
    double least = 0;
    for (std::size_t c = 0; c < candidates_.size(); ++c) {
      if (std::isnan(thoughts_[c]) || memory_->proposed(candidates_[c])) continue;
      if (chosen && !(thoughts_[c] < least)) continue;
      least = thoughts_[c];
      chosen = candidates_[c];
    }
    return chosen;
  }
  // How much the prior is believed, from 0 to 1.
  [[nodiscard]] double trust() const { return trust_; }

  // Of a model that learns nothing more: lengths, noise and weights of what it
  // learnt. At least three ran.
  void settle() {
    score(cost_scale::logarithm);
    fit();
    (void)factor(std::exp(noise_), 0);
    solve();
    for (std::size_t i = x_.size(); i-- > 0;) {
      z_[i] /= lower_[i * stride_ + i];
      cost_model_detail::subtract(z_.data(), lower_.data() + i * stride_, z_[i],
                                  i);
    }
  }
  // What it then expects: the logarithm of a cost.
  [[nodiscard]] double expected(std::uint64_t index) const {
    const codes at = code(index);
    double sum = 0;
    for (std::size_t i = 0; i < x_.size(); ++i)
      sum += static_cast<double>(z_[i] * covariance(at, x_[i]));
    return mean_ + deviation_ * sum;
  }

  // The candidate with the highest expected improvement, times the probability
  // that it works. `pending` were proposed and are not known yet: what is like
  // them is worth less. With `near` only neighbours of the best are asked.
  [[nodiscard]] std::optional<std::uint64_t> improve(
      cost_scale scale, const std::vector<std::uint64_t>& pending,
      bool near = false) {
    if (ran_ < 3) return std::nullopt;
    find_candidates();
    score(scale);
    if (fitted_at_ == 0 ||
        x_.size() >= fitted_at_ + std::max<std::size_t>(3, fitted_at_ / 4)) {
      fit();
      stale_ = true;
    }
    update();
    return choose(pending, near);
  }

 private:
  using codes = std::vector<std::uint16_t>;

  static constexpr double prior_length = -0.3;  // a logarithm, as all lengths
  static constexpr double prior_noise = -4.6;   // of the variance of a score
  static constexpr double least_noise = 1e-3;

  [[nodiscard]] codes code(std::uint64_t index) const {
    const tuning_point at = memory_->space().at(index);
    codes made;
    for (const auto& each : features_.dimensions())
      made.push_back(at[each.parameter]);
    return made;
  }

  // What ran, and its score with mean 0 and variance 1; less is better.
  void score(cost_scale scale) {
    const auto& history = memory_->history();
    x_.clear();
    y_.clear();
    for (std::size_t i = 0; i < history.size(); ++i)
      if (history[i].cost) {
        x_.push_back(points_[i]);
        y_.push_back(std::log(std::max(1e-300, *history[i].cost)));
      }
    const double least = *std::min_element(y_.begin(), y_.end());
    if (scale == cost_scale::share)
      for (double& each : y_) each = -std::exp((least - each) / 2);
    const auto n = static_cast<double>(y_.size());
    const double mean = std::accumulate(y_.begin(), y_.end(), 0.0) / n;
    double square = 0;
    for (const double each : y_) square += (each - mean) * (each - mean);
    const double deviation = square > 0 ? std::sqrt(square / n) : 1;
    for (double& each : y_) each = (each - mean) / deviation;
    best_ = *std::min_element(y_.begin(), y_.end());
    mean_ = mean;
    deviation_ = deviation;
    if (prior_) believe(scale);
  }

  // ---- the prior ----

  static constexpr double first_slope = 0.5;   // what is believed beforehand,
  static constexpr double slope_counts = 4;   // and as how much that counts
  static constexpr std::size_t most_asked = 20000;   // for its best candidates
  static constexpr std::size_t best_asked = 300;

  // The logarithm of an estimate; NaN where there is none.
  [[nodiscard]] double thought_of(std::uint64_t index) const {
    const std::optional<double> told = prior_(index);
    return told && std::isfinite(*told)
               ? std::log(std::max(1e-300, *told))
               : std::numeric_limits<double>::quiet_NaN();
  }

  // The prior's scores of what ran and of the candidates, in the unit of ours:
  // a slope of 1 takes twice the estimate for twice the cost.
  void believe(cost_scale scale) {
    const auto& history = memory_->history();
    std::vector<double> thought;
    for (std::size_t i = 0; i < history.size(); ++i)
      if (history[i].cost) thought.push_back(thought_[i]);
    double least = std::numeric_limits<double>::infinity();
    for (const auto* const all : {&thought, &thoughts_})
      for (const double each : *all)
        if (each < least) least = each;  // no NaN is
    const auto scored = [&](double each) {
      return scale == cost_scale::share ? -std::exp((least - each) / 2) : each;
    };
    std::vector<double> ours, theirs;
    double sum = 0;
    for (std::size_t i = 0; i < thought.size(); ++i) {
      if (std::isnan(thought[i])) continue;
      ours.push_back(y_[i]);
      theirs.push_back(scored(thought[i]));
      sum += theirs.back();
    }
    trust_ = trust_of(rank_correlation(ours, theirs), ours.size());
    const double middle = ours.empty() ? 0 : sum / static_cast<double>(ours.size());
    const auto placed = [&](double each) {
      return std::isnan(each) ? 0.0 : (scored(each) - middle) / deviation_;
    };
    q_.clear();
    for (const double each : thought) q_.push_back(placed(each));
    believed_.clear();
    for (const double each : thoughts_) believed_.push_back(placed(each));
  }

  // ---- lengths and noise ----

  void tabulate(const std::vector<double>& theta) {
    tables_.resize(dims_);
    for (std::size_t d = 0; d < dims_; ++d) {
      const auto& dim = features_.dimensions()[d];
      tables_[d].resize(dim.values * dim.values);
      const double inverse = std::exp(-theta[d]);
      for (std::size_t a = 0; a < dim.values; ++a)
        for (std::size_t b = 0; b < dim.values; ++b) {
          const double gap = dim.distance(a, b) * inverse;
          tables_[d][a * dim.values + b] = static_cast<float>(gap * gap);
        }
    }
  }

  [[nodiscard]] float covariance(const codes& a, const codes& b) const {
    float sum = 0;
    for (std::size_t d = 0; d < dims_; ++d)
      sum += tables_[d][a[d] * widths_[d] + b[d]];
    return kernel_(sum);
  }

  // The factor of the covariance, from a row on; false if it is not positive.
  bool factor(double noise, std::size_t from) {
    const std::size_t n = x_.size();
    if (n > stride_) {
      stride_ = std::max<std::size_t>(64, 2 * n);
      lower_.assign(stride_ * stride_, 0);
      from = 0;
    }
    for (std::size_t i = from; i < n; ++i) {
      float* const row = lower_.data() + i * stride_;
      for (std::size_t j = 0; j <= i; ++j) {
        const float* const other = lower_.data() + j * stride_;
        const double sum =
            (i == j ? 1 + noise + least_noise
                    : static_cast<double>(covariance(x_[i], x_[j]))) -
            cost_model_detail::dot(row, other, j);
        if (i == j) {
          if (!(sum > 1e-6)) return false;
          row[i] = static_cast<float>(std::sqrt(sum));
        } else {
          row[j] = static_cast<float>(sum) / other[j];
        }
      }
    }
    return true;
  }

  void solve_for(const std::vector<double>& right, std::vector<float>& z) {
    const std::size_t n = x_.size();
    z.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      const float* const row = lower_.data() + i * stride_;
      z[i] = static_cast<float>(
          (right[i] - cost_model_detail::dot(row, z.data(), i)) /
          static_cast<double>(row[i]));
    }
  }

  // With a prior the process is over what a multiple of it leaves. Which one is
  // a regression under the process: what the process explains by itself, and
  // noise of the prior, make it small. It is never negative.
  void solve() {
    solve_for(y_, z_);
    if (!prior_) return;
    solve_for(q_, zq_);
    double both = 0, own = 0;
    for (std::size_t i = 0; i < z_.size(); ++i) {
      both += static_cast<double>(z_[i]) * static_cast<double>(zq_[i]);
      own += static_cast<double>(zq_[i]) * static_cast<double>(zq_[i]);
    }
    slope_ = trust_ > 0 ? std::max(0.0, (both + first_slope * slope_counts) /
                                            (own + slope_counts))
                        : 0;
    for (std::size_t i = 0; i < z_.size(); ++i)
      z_[i] -= static_cast<float>(slope_) * zq_[i];
  }

  // Minus the logarithm of the posterior of lengths and noise; the variance of
  // the process is the one that fits best.
  double misfit(const std::vector<double>& theta, double noise) {
    tabulate(theta);
    if (!factor(std::exp(noise), 0)) return 1e300;
    solve();
    double square = 0, logs = 0;
    for (std::size_t i = 0; i < z_.size(); ++i) {
      square += static_cast<double>(z_[i]) * static_cast<double>(z_[i]);
      logs += std::log(static_cast<double>(lower_[i * stride_ + i]));
    }
    const double count = static_cast<double>(z_.size());
    // A prior keeps the variance near 1.
    double cost = 0.5 * (count + 2) * std::log((square + 2) / (count + 2)) + logs;
    for (const double each : theta)
      cost += 0.5 * (each - prior_length) * (each - prior_length);
    const double off = (noise - prior_noise) / 1.5;
    return cost + 0.5 * off * off;
  }

  void fit() {
    double now = misfit(theta_, noise_);
    draws_of_seed& random = memory_->random();
    for (const double step : {0.8, 0.4}) {
      std::vector<std::size_t> order(dims_ + 1);
      std::iota(order.begin(), order.end(), std::size_t{0});
      for (std::size_t i = order.size(); i-- > 1;)
        std::swap(order[i], order[random.below(i + 1)]);
      for (const std::size_t d : order) {
        double& held = d < dims_ ? theta_[d] : noise_;
        const double before = held;
        for (const double way : {step, -step}) {
          held = before + way;
          const double then = misfit(theta_, noise_);
          if (then < now) {
            now = then;
            break;
          }
          held = before;
        }
      }
    }
    tabulate(theta_);
    fitted_at_ = x_.size();
  }

  // ---- candidates ----

  void find_candidates() {
    const tuning_space& space = memory_->space();
    if (candidates_.empty()) {
      codes_.resize(dims_);
      if (space.size() <= most_candidates)
        for (std::uint64_t i = 0; i < space.size(); ++i) add(i);
      else
        for (std::size_t i = 0; i < most_candidates; ++i)
          add(memory_->random().below(space.size()));
      if (prior_ && space.size() > most_candidates) add_best_thought_of();
    }
    const tried* const best = memory_->best();
    if (space.size() <= most_candidates || best == nullptr ||
        best->index == around_)
      return;
    around_ = best->index;
    for (const std::uint64_t each : space.neighbours(space.at(around_)))
      add(each);
  }
  void add(std::uint64_t index) {
    if (memory_->proposed(index) || !listed_.insert(index).second) return;
    candidates_.push_back(index);
    if (prior_) thoughts_.push_back(thought_of(index));
    const codes at = code(index);
    for (std::size_t d = 0; d < dims_; ++d) codes_[d].push_back(at[d]);
    stale_ = true;
  }

  // Of a space too large to ask the prior about all of it, a large sample.
  void add_best_thought_of() {
    const std::uint64_t size = memory_->space().size();
    std::vector<std::pair<double, std::uint64_t>> asked;
    const bool all = size <= most_asked;
    const std::uint64_t count = all ? size : most_asked;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t index = all ? i : memory_->random().below(size);
      const double told = thought_of(index);
      if (!std::isnan(told)) asked.emplace_back(told, index);
    }
    const std::size_t kept = std::min(best_asked, asked.size());
    std::partial_sort(asked.begin(),
                      asked.begin() + static_cast<std::ptrdiff_t>(kept),
                      asked.end());
    for (std::size_t i = 0; i < kept; ++i) add(asked[i].second);
  }

  [[nodiscard]] std::optional<std::uint64_t> choose(
      const std::vector<std::uint64_t>& pending, bool near) {
    const std::size_t m = candidates_.size();
    std::vector<float> doubt(m, 1.0f);
    for (const std::uint64_t each : pending) {
      cross(code(each));
      for (std::size_t c = 0; c < m; ++c) doubt[c] *= 1 - row_[c] * row_[c];
    }
    double square = 0;
    for (const float each : z_)
      square += static_cast<double>(each) * static_cast<double>(each);
    const double variance = (square + 2) / (static_cast<double>(x_.size()) + 2);
    const codes here = code(memory_->best()->index);

    std::optional<std::uint64_t> chosen;
    double most = -1;
    for (std::size_t c = 0; c < m; ++c) {
      if (memory_->proposed(candidates_[c])) continue;
      if (near) {
        std::size_t differing = 0;
        for (std::size_t d = 0; d < dims_; ++d)
          differing += codes_[d][c] != here[d];
        if (differing != 1) continue;
      }
      const double deviation = std::sqrt(std::max(
          1e-10, (1 - static_cast<double>(explained_[c])) * variance));
      const double believed = prior_ ? slope_ * believed_[c] : 0;
      const double u =
          (best_ - believed - static_cast<double>(expected_[c])) / deviation;
      const double improvement =
          deviation * (u * 0.5 * std::erfc(-u * 0.7071067811865476) +
                       std::exp(-0.5 * u * u) * 0.3989422804014327);
      double worth = improvement * static_cast<double>(doubt[c]);
      if (failed_any_) {
        const double worked = 2 + static_cast<double>(worked_[c]);
        worth *= worked / (worked + static_cast<double>(failed_[c]));
      }
      if (worth > most) {
        most = worth;
        chosen = candidates_[c];
      }
    }
    return chosen;
  }

  // Brings the factor and every candidate's expectation up to date: only what
  // is new, unless lengths or candidates changed.
  void update() {
    const std::size_t n = x_.size(), m = candidates_.size();
    const auto& history = memory_->history();
    if (stale_) {
      rows_ = 0;
      seen_ = 0;
      v_.clear();
      explained_.assign(m, 0);
      worked_.assign(m, 0);
      failed_.assign(m, 0);
    }
    (void)factor(std::exp(noise_), rows_);
    // Weights of what ran and what failed nearby.
    row_.resize(m);
    std::size_t i = rows_;
    for (std::size_t h = seen_; h < history.size(); ++h) {
      const bool ok = history[h].cost.has_value();
      if (!ok && !failed_any_) {
        failed_any_ = stale_ = true;
        return update();
      }
      cross(points_[h]);
      if (failed_any_) {
        auto& weight = ok ? worked_ : failed_;
        for (std::size_t c = 0; c < m; ++c) {
          const float square = row_[c] * row_[c];
          weight[c] += square * square * 4;
        }
      }
      if (!ok) continue;
      // One more row of the solved system.
      std::vector<float> fresh = row_;
      const float* const lower = lower_.data() + i * stride_;
      for (std::size_t k = 0; k < i; ++k)
        cost_model_detail::subtract(fresh.data(), v_[k].data(), lower[k], m);
      const float by = 1 / lower[i];
      for (std::size_t c = 0; c < m; ++c) {
        fresh[c] *= by;
        explained_[c] += fresh[c] * fresh[c];
      }
      v_.push_back(std::move(fresh));
      ++i;
    }
    seen_ = history.size();
    rows_ = n;
    stale_ = false;
    // The right side changes with every mean, so it is solved anew.
    solve();
    expected_.assign(m, 0);
    for (std::size_t k = 0; k < n; ++k)
      cost_model_detail::subtract(expected_.data(), v_[k].data(), -z_[k], m);
  }

  // Covariance of one point with every candidate.
  void cross(const codes& at) {
    const std::size_t m = candidates_.size();
    std::vector<float> sum(m);
    for (std::size_t d = 0; d < dims_; ++d) {
      const float* const table =
          tables_[d].data() + at[d] * features_.dimensions()[d].values;
      const std::uint16_t* const other = codes_[d].data();
      for (std::size_t c = 0; c < m; ++c) sum[c] += table[other[c]];
    }
    for (std::size_t c = 0; c < m; ++c)
      row_[c] = kernel_(sum[c]);
  }

  search_memory* memory_;
  tuning_features features_;
  std::size_t dims_ = 0, ran_ = 0;
  std::vector<std::size_t> widths_;  // values of each dimension
  std::vector<codes> points_;        // of the history

  std::vector<codes> x_;  // what ran
  std::vector<double> y_;
  double best_ = 0;  // of the scores
  double mean_ = 0, deviation_ = 1;
  std::vector<double> theta_;
  double noise_ = prior_noise;
  std::vector<std::vector<float>> tables_;  // squared distances of values
  cost_model_detail::matern kernel_;
  std::vector<float> lower_, z_;  // the factor, rows of `stride_`
  std::size_t stride_ = 0, fitted_at_ = 0;

  std::vector<std::uint64_t> candidates_;
  std::set<std::uint64_t> listed_;
  std::vector<codes> codes_;           // by dimension, of the candidates
  std::vector<std::vector<float>> v_;  // the solved covariances, by what ran
  std::vector<float> explained_, expected_, row_, worked_, failed_;
  std::size_t rows_ = 0, seen_ = 0;
  prior prior_;
  std::vector<double> thought_;   // of the history: logarithms, NaN: none
  std::vector<double> thoughts_;  // of the candidates
  std::vector<double> q_, believed_;  // scores: of what ran, of the candidates
  std::vector<float> zq_;
  double trust_ = first_trust, slope_ = 0;
  std::uint64_t around_ = ~std::uint64_t{0};
  bool stale_ = true, failed_any_ = false;
};

}  // namespace skillbench
