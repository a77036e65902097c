#pragma once
// ptx/watch.hpp: what the machine saw going wrong.
//
// Layer   3. Includes finding.hpp and the standard library.
// One finding for each (instruction, kind, severity): the first thread it happened
// to, and how often. The machine goes on after most of them, so that one run tells
// all it can; `stop_after` of them end the launch. Notes end nothing.

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <skillbench/finding.hpp>

namespace skillbench::ptx {

class watch {
 public:
  static constexpr std::size_t most_kinds = 16;       // kept, and as many notes
  static constexpr std::uint64_t stop_after = 20'000; // occurrences

  // True the first time: the caller then fills the finding in.
  [[nodiscard]] bool first(std::uint32_t pc, code what,
                           severity weight = severity::fails) {
    const bool note = weight == severity::note;
    if (!note) ++total_;
    const auto [at, fresh] =
        index_.try_emplace({pc, what, note}, findings_.size());
    if (!fresh) {
      if (at->second < findings_.size()) ++findings_[at->second].count;
      return false;
    }
    if ((note ? notes_ : kinds_) >= most_kinds) {
      at->second = not_kept;
      return false;
    }
    ++(note ? notes_ : kinds_);
    return true;
  }

  void add(finding seen) { findings_.push_back(std::move(seen)); }

  [[nodiscard]] bool enough() const noexcept {
    return total_ >= stop_after || kinds_ >= most_kinds;
  }
  [[nodiscard]] std::vector<finding>& findings() noexcept { return findings_; }
  // Findings of one launch are told apart by instruction, launches are not.
  void next_launch() { index_.clear(); }

 private:
  static constexpr std::size_t not_kept = ~std::size_t{0};

  std::map<std::tuple<std::uint32_t, code, bool>, std::size_t> index_;
  std::vector<finding> findings_;
  std::size_t kinds_ = 0, notes_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace skillbench::ptx
