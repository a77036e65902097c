#pragma once
// strategy.hpp: what a search is: it proposes configurations and learns costs.
//
// Layer   5. Includes tuning_space.hpp and stats.hpp. Knows no device.
// Units   a cost is the caller's own unit, less is better. A configuration
//         that cannot be had (it does not compile, it is wrong) has none.
// Order   propose() names configurations that it never named before, so that a
//         caller can compile some while others are timed; learn() may come in
//         any order and late. The same seed and the same answers in the same
//         order give the same proposals.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <skillbench/stats.hpp>
#include <skillbench/tuning_space.hpp>

namespace skillbench {

class strategy {
 public:
  virtual ~strategy() = default;

  // At most `most` indices of the space; none when all were proposed.
  [[nodiscard]] virtual std::vector<std::uint64_t> propose(
      std::size_t most) = 0;

  // What one of them came to.
  virtual void learn(std::uint64_t index, std::optional<double> cost) = 0;
};

// A trial that is known.
struct tried {
  std::uint64_t index = 0;
  std::optional<double> cost;
};

// What strategies have in common: which were proposed, what came of them, and
// an unproposed one when a strategy has no better idea.
class search_memory {
 public:
  search_memory(const tuning_space& space, std::uint64_t seed)
      : space_(&space), random_(seed) {}

  [[nodiscard]] const tuning_space& space() const { return *space_; }
  [[nodiscard]] draws_of_seed& random() { return random_; }
  [[nodiscard]] bool proposed(std::uint64_t index) const {
    return known_.contains(index);
  }
  [[nodiscard]] bool exhausted() const { return known_.size() >= space_->size(); }
  [[nodiscard]] std::size_t count() const { return known_.size(); }

  // False if it was proposed before.
  bool propose(std::uint64_t index) {
    return known_.insert(index).second;
  }
  // Up to `most` of what `next` names, given what is proposed and not learnt
  // yet; it names something new, or nothing when there is nothing.
  template <typename Next>
  std::vector<std::uint64_t> propose_each(std::size_t most, Next&& next) {
    std::vector<std::uint64_t> made;
    while (made.size() < most && !exhausted()) {
      std::optional<std::uint64_t> one = next(pending_);
      if (!one || proposed(*one)) one = fresh();
      if (!one) break;
      propose(*one);
      pending_.push_back(*one);
      made.push_back(*one);
    }
    return made;
  }
  void learn(std::uint64_t index, std::optional<double> cost) {
    std::erase(pending_, index);
    // A NaN is no cost.
    if (cost && !std::isfinite(*cost)) cost.reset();
    known_.insert(index);
    history_.push_back({index, cost});
    if (cost && (!best_ || *cost < *history_[*best_].cost))
      best_ = history_.size() - 1;
  }
  [[nodiscard]] const std::vector<tried>& history() const { return history_; }
  [[nodiscard]] const tried* best() const {
    return best_ ? &history_[*best_] : nullptr;
  }
  // Uniform among those that were not proposed; nothing when there is none.
  [[nodiscard]] std::optional<std::uint64_t> fresh() {
    if (exhausted()) return std::nullopt;
    for (int turn = 0; turn < 64; ++turn) {
      const std::uint64_t index = random_.below(space_->size());
      if (!proposed(index)) return index;
    }
    std::uint64_t index = random_.below(space_->size());
    while (proposed(index)) index = (index + 1) % space_->size();
    return index;
  }

 private:
  const tuning_space* space_;
  draws_of_seed random_;
  std::set<std::uint64_t> known_;
  std::vector<tried> history_;
  std::vector<std::uint64_t> pending_;
  std::optional<std::size_t> best_;
};

}  // namespace skillbench
