#pragma once
// grader.hpp: judges outputs one after the other, for an eval or a reward.
//
// Layer   6. evaluate.hpp judges; this keeps what one candidate after the other
//         needs: the families, the toolkit, the worker's path, the references.
// Units   a reward is between 0 and 1.
// Errors  open(): no toolkit, no worker, one of another version, a family that
//         is there twice, a cache folder that cannot be used. grade(): what evaluate() says; such a fault is ours
//         and gives no record, so there is nothing to reward.
// Trust   Every candidate is compiled and run in a fresh child, which gets
//         nothing of this process but the source and the inputs.
// Threads A grader belongs to one thread at a time; threads that grade at once
//         have one each.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/child.hpp>
#include <skillbench/compile_cache.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device.hpp>
#include <skillbench/device/remote.hpp>
#include <skillbench/embedded.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/find_worker.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/reference.hpp>
#include <skillbench/sample.hpp>

namespace skillbench {

struct grader_options {
  std::string worker;             // a path; "": find_worker.hpp looks
  std::uint64_t seed = 1;         // same seed, same hidden cases
  std::vector<family> families;   // beside those that the build embedded
  std::int64_t cached_elements = std::int64_t{1} << 24;  // 16 bytes each
  remote_limits limits;           // of each candidate's child
  std::string cache_folder;       // of compiled kernels; "": none are kept
};

class grader {
 public:
  // Starts a worker once, so that what is missing is told here and not for
  // every candidate.
  [[nodiscard]] static result<grader> open(grader_options asked = {}) {
    auto known = embedded_families();
    if (!known) return known.error();
    std::vector<family> all = std::move(known).value();
    for (family& each : asked.families) {
      if (find_family(all, each.name))
        return fault{reason::bad_argument,
                     "there are two families \"" + each.name + "\""};
      all.push_back(std::move(each));
    }
    auto program = find_worker(asked.worker);
    if (!program) return program.error();
    auto cuda = find_toolkit();
    if (!cuda) return cuda.error();

    grader made;
    made.families_ = std::move(all);
    made.seed_ = asked.seed;
    made.limits_ = asked.limits;
    made.worker_ = {.program = std::move(program).value(),
                    .arguments = {"worker"},
                    .environment = worker_environment(cuda.value())};
    made.references_ =
        std::make_unique<reference_cache>(asked.cached_elements);
    const auto tried = remote::start(made.worker_, made.limits_);
    if (!tried) return tried.error();
    if (!asked.cache_folder.empty()) {
      auto kept = compile_cache::open(asked.cache_folder, cuda.value(),
                                      made.worker_.program,
                                      limits_words(made.limits_));
      if (!kept) return kept.error();
      made.compiled_ = std::move(kept).value();
    }
    return made;
  }

  // `task` names a family. The same output, seed and version give the same
  // record but for its times.
  [[nodiscard]] result<record> grade(std::string output, std::string task) {
    sample given;
    given.path = "output";
    given.task = std::move(task);
    given.output = std::move(output);
    return grade(given);
  }

  // Keeps what the sample says of itself in the record.
  [[nodiscard]] result<record> grade(const sample& given) {
    if (!find_family(families_, given.task))  // before a child is started
      return fault{reason::bad_input,
                   "there is no family \"" + given.task + "\""};
    auto started = remote::start(worker_, limits_);
    if (!started) return started.error();
    std::unique_ptr<device> on = std::move(started).value();
    if (compiled_)
      on = std::make_unique<cached_device>(std::move(on), *compiled_);
    return evaluate(given, families_, *on,
                    {.seed = seed_, .references = references_.get()});
  }

  [[nodiscard]] std::span<const family> families() const noexcept {
    return families_;
  }
  [[nodiscard]] const std::string& worker() const noexcept {
    return worker_.program;
  }
  // Zeros without a cache.
  [[nodiscard]] compile_counts cached_compiles() const {
    return compiled_ ? compiled_->counts() : compile_counts{};
  }

 private:
  grader() = default;

  // All that a compile may use: one that was cut short under other limits is
  // another answer.
  [[nodiscard]] static std::string limits_words(const remote_limits& of) {
    return std::to_string(of.process.address_space) + " " +
           std::to_string(of.process.stack) + " " +
           std::to_string(of.process.open_files) + " " +
           std::to_string(of.process.cpu_seconds) + " " +
           std::to_string(of.compile.wall_seconds) + " " +
           std::to_string(of.compile.cpu_seconds);
  }

  std::vector<family> families_;
  child_command worker_;
  remote_limits limits_;
  std::uint64_t seed_ = 1;
  std::unique_ptr<reference_cache> references_;
  std::unique_ptr<compile_cache> compiled_;  // may be null
};

// What each rung is worth. Means that do not count are worth nothing: a reward
// for them would teach them.
struct rung_values {
  double no_kernel = 0.0;
  double bad_manifest = 0.05;
  double does_not_compile = 0.1;
  double faults = 0.2;
  double wrong = 0.3;
  double cheats = 0.0;
  double correct = 1.0;
};

// Nothing for an output that is `unjudged`: whether it is right is not known,
// and a number would be a claim. Leave it out of a mean, or draw again.
[[nodiscard]] constexpr std::optional<double> reward(
    outcome reached, const rung_values& worth = {}) noexcept {
  switch (reached) {
    case outcome::no_kernel: return worth.no_kernel;
    case outcome::bad_manifest: return worth.bad_manifest;
    case outcome::does_not_compile: return worth.does_not_compile;
    case outcome::faults: return worth.faults;
    case outcome::wrong: return worth.wrong;
    case outcome::cheats: return worth.cheats;
    case outcome::correct: return worth.correct;
    case outcome::unjudged: break;
  }
  return std::nullopt;
}

[[nodiscard]] inline std::optional<double> reward(
    const record& told, const rung_values& worth = {}) {
  return reward(told.what, worth);
}

}  // namespace skillbench
