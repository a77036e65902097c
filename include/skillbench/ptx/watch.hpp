#pragma once
// ptx/watch.hpp: what the machine saw going wrong.
//
// Layer   3. Includes finding.hpp and the standard library.
// One finding for each (instruction, kind): the first thread it happened to,
// and how often. The machine goes on after most of them, so that one run tells
// all it can; `stop_after` of them end the launch.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/finding.hpp>

namespace skillbench::ptx {

class watch {
 public:
  static constexpr std::size_t most_kinds = 16;       // kept
  static constexpr std::uint64_t stop_after = 20'000; // occurrences

  // True the first time: the caller then fills the finding in.
  [[nodiscard]] bool first(std::uint32_t pc, code what) {
    ++total_;
    const auto [at, fresh] =
        index_.try_emplace({pc, what}, findings_.size());
    if (!fresh) {
      if (at->second < findings_.size()) ++findings_[at->second].count;
      return false;
    }
    if (findings_.size() >= most_kinds) {
      at->second = most_kinds;
      return false;
    }
    return true;
  }

  void add(finding seen) { findings_.push_back(std::move(seen)); }

  [[nodiscard]] bool enough() const noexcept {
    return total_ >= stop_after || findings_.size() >= most_kinds;
  }
  [[nodiscard]] std::vector<finding>& findings() noexcept { return findings_; }
  // Findings of one launch are told apart by instruction, launches are not.
  void next_launch() { index_.clear(); }

 private:
  std::map<std::pair<std::uint32_t, code>, std::size_t> index_;
  std::vector<finding> findings_;
  std::uint64_t total_ = 0;
};

}  // namespace skillbench::ptx
