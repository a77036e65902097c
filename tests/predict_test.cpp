#include <doctest/doctest.h>

#include <skillbench/predict.hpp>

using namespace skillbench;

namespace {

// A launch that reads and writes `bytes` in all, a float a thread and step.
struct launch_kit {
  launch_counters counted;
  launch_facts facts;

  explicit launch_kit(double bytes, std::int64_t threads = 256) {
    const auto sectors = static_cast<std::uint64_t>(bytes / 64);
    counted.global_read_bytes = counted.global_written_bytes = sectors * 32;
    counted.total.global_load_sectors = counted.total.global_store_sectors = sectors;
    counted.total.global_load_requests = counted.total.global_store_requests =
        sectors / 4;
    auto& of = counted.total.warp_instructions;
    of[static_cast<std::size_t>(instruction_class::load_global)] = sectors / 4;
    of[static_cast<std::size_t>(instruction_class::store_global)] = sectors / 4;
    of[static_cast<std::size_t>(instruction_class::f32)] = sectors;
    facts.block = {threads, 1, 1};
    facts.grid = {static_cast<std::int64_t>(bytes / 8) / threads, 1, 1};
    facts.registers = 32;
  }
  prediction told() {
    facts.counted = &counted;
    return predict_h100(facts);
  }
};

}  // namespace

TEST_CASE("predict: a CTA that no SM holds has no time") {
  launch_kit of(1e6, 1024);
  CHECK(of.told().fits());
  CHECK(of.told().resident == 2);
  of.facts.registers = 255;
  CHECK_FALSE(of.told().fits());
  CHECK(of.told().nanoseconds == 0);
  of.facts.registers = 32;
  of.facts.shared_bytes = 228 * 1024;
  CHECK_FALSE(of.told().fits());
}

TEST_CASE("predict: a large copy is limited by memory, and no faster than it") {
  launch_kit large(1e9);
  const prediction told = large.told();
  CHECK(told.fits());
  CHECK(told.by == limiter::memory);
  CHECK(told.nanoseconds > 1e9 / 3352);
  CHECK(told.nanoseconds < 2 * 1e9 / 3000);
}

TEST_CASE("predict: more work of any kind never takes less time") {
  const double before = launch_kit(1e8).told().nanoseconds;
  for (std::size_t i = 0; i < instruction_classes; ++i) {
    launch_kit more(1e8);
    more.counted.total.warp_instructions[i] += 1'000'000'000;
    CHECK(more.told().nanoseconds > before);
  }
  for (std::size_t i = 0; i < tensor_types; ++i) {
    launch_kit more(1e8);
    more.counted.total.tensor_operations[i] += 1'000'000'000'000;
    const prediction told = more.told();
    CHECK(told.by == limiter::tensor);
    CHECK(told.nanoseconds > before);
  }
  launch_kit conflicts(1e8);
  conflicts.counted.total.shared_load_wavefronts = 1'000'000'000;
  CHECK(conflicts.told().by == limiter::shared);
  CHECK(conflicts.told().nanoseconds > before);
  launch_kit scattered(1e8);
  scattered.counted.total.global_load_sectors *= 32;
  CHECK(scattered.told().nanoseconds > before);
}

TEST_CASE("predict: one CTA after the other is latency, and its share counts") {
  launch_kit alone(1e6);
  alone.facts.grid = {1, 1, 1};
  const double slow = alone.told().nanoseconds;
  CHECK(slow > 2 * launch_kit(1e6).told().nanoseconds);
  launch_facts nothing;
  CHECK_FALSE(predict_h100(nothing).fits());
}
