#pragma once
// rungs.hpp: how far the outputs of one group got.
//
// Layer   2.
// Counts  A record that is `unjudged` has a kernel that compiles; whether it is
//         clean and right is not known, so it is counted in neither column.

#include <cstddef>

#include <skillbench/finding.hpp>

namespace skillbench {

// Outputs that hold a kernel, a manifest that keeps the contract, and so on.
struct rungs {
  std::size_t outputs = 0, kernel = 0, manifest = 0, compiles = 0, clean = 0,
              right = 0, correct = 0, unjudged = 0;

  constexpr void add(outcome reached) noexcept {
    const bool judged = reached != outcome::unjudged;
    const auto at_least = [&](outcome rung) {
      return !judged || reached >= rung ? 1u : 0u;
    };
    ++outputs;
    kernel += at_least(outcome::bad_manifest);
    manifest += at_least(outcome::does_not_compile);
    compiles += at_least(outcome::faults);
    clean += judged && reached >= outcome::wrong;
    right += judged && reached >= outcome::cheats;
    correct += reached == outcome::correct;
    unjudged += !judged;
  }
  constexpr void add(const rungs& other) noexcept {
    outputs += other.outputs;
    kernel += other.kernel;
    manifest += other.manifest;
    compiles += other.compiles;
    clean += other.clean;
    right += other.right;
    correct += other.correct;
    unjudged += other.unjudged;
  }
};

}  // namespace skillbench
