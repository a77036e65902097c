#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string_view>

#include <skillbench/finding.hpp>

using namespace skillbench;

namespace {

// Records hold these names and child processes these numbers: written by hand,
// never reused.
constexpr struct {
  int number;
  code what;
  std::string_view name;
} codes[] = {
    {0, code::no_source, "no_source"},
    {1, code::bad_source, "bad_source"},
    {2, code::bad_manifest, "bad_manifest"},
    {3, code::compile_error, "compile_error"},
    {4, code::launch_refused, "launch_refused"},
    {5, code::out_of_bounds, "out_of_bounds"},
    {6, code::misaligned, "misaligned"},
    {7, code::writes_input, "writes_input"},
    {8, code::undefined_value, "undefined_value"},
    {9, code::undefined_output, "undefined_output"},
    {10, code::unwritten_output, "unwritten_output"},
    {11, code::deadlock, "deadlock"},
    {12, code::trap, "trap"},
    {13, code::wrong_value, "wrong_value"},
    {14, code::shape_not_supported, "shape_not_supported"},
    {15, code::does_nothing, "does_nothing"},
    {16, code::invalid_access, "invalid_access"},
    {17, code::bidi_control, "bidi_control"},
    {18, code::byte_order_mark, "byte_order_mark"},
    {19, code::several_sources, "several_sources"},
    {20, code::compile_limits, "compile_limits"},
    {21, code::module_state, "module_state"},
    {22, code::injected_code, "injected_code"},
    {23, code::device_malloc, "device_malloc"},
    {24, code::reads_clock, "reads_clock"},
    {25, code::prints, "prints"},
    {26, code::may_trap, "may_trap"},
    {27, code::sleeps, "sleeps"},
    {28, code::cache_policy, "cache_policy"},
    {29, code::not_reproducible, "not_reproducible"},
    {30, code::size_not_checked, "size_not_checked"},
    {31, code::race, "race"},
    {32, code::barrier_divergence, "barrier_divergence"},
    {33, code::in_flight_access, "in_flight_access"},
    {34, code::missing_fence, "missing_fence"},
    {35, code::mask_misuse, "mask_misuse"},
    {36, code::mbarrier_misuse, "mbarrier_misuse"},
    {37, code::repaired_by_compiler, "repaired_by_compiler"},
    {38, code::impossible_time, "impossible_time"},
};

constexpr struct {
  int number;
  outcome reached;
  std::string_view name;
} outcomes[] = {
    {0, outcome::no_kernel, "no_kernel"},
    {1, outcome::bad_manifest, "bad_manifest"},
    {2, outcome::does_not_compile, "does_not_compile"},
    {3, outcome::faults, "faults"},
    {4, outcome::wrong, "wrong"},
    {5, outcome::cheats, "cheats"},
    {6, outcome::correct, "correct"},
    {7, outcome::unjudged, "unjudged"},
};

}  // namespace

TEST_CASE("finding: every code keeps its number and its name") {
  for (const auto& row : codes) {
    CHECK(static_cast<int>(row.what) == row.number);
    CHECK(name(row.what) == row.name);
  }
}

TEST_CASE("finding: no code is missing from the table, no name is used twice") {
  std::set<std::string_view> names;
  int known = 0;
  for (int number = 0; number < 256; ++number) {
    const std::string_view found = name(static_cast<code>(number));
    if (found == "unknown") continue;
    ++known;
    CHECK(names.insert(found).second);
  }
  CHECK(known == static_cast<int>(std::size(codes)));
  CHECK(static_cast<int>(last_code) == known - 1);
}

TEST_CASE("finding: every outcome keeps its rung and its name") {
  for (const auto& row : outcomes) {
    CHECK(static_cast<int>(row.reached) == row.number);
    CHECK(name(row.reached) == row.name);
  }
  int known = 0;
  for (int number = 0; number < 256; ++number)
    known += name(static_cast<outcome>(number)) != "unknown";
  CHECK(known == static_cast<int>(std::size(outcomes)));
}

TEST_CASE("finding: every severity keeps its number and its name") {
  CHECK(static_cast<int>(severity::fails) == 0);
  CHECK(static_cast<int>(severity::cheats) == 1);
  CHECK(static_cast<int>(severity::note) == 2);
  CHECK(name(severity::fails) == "fails");
  CHECK(name(severity::cheats) == "cheats");
  CHECK(name(severity::note) == "note");
  CHECK(name(static_cast<severity>(3)) == "unknown");
}

TEST_CASE("finding: every code leaves its candidate at one rung") {
  const std::map<code, outcome> below_wrong{
      {code::no_source, outcome::no_kernel},
      {code::bad_source, outcome::no_kernel},
      {code::bad_manifest, outcome::bad_manifest},
      {code::compile_error, outcome::does_not_compile},
      {code::compile_limits, outcome::does_not_compile},
      {code::launch_refused, outcome::faults},
      {code::out_of_bounds, outcome::faults},
      {code::misaligned, outcome::faults},
      {code::writes_input, outcome::faults},
      {code::undefined_value, outcome::faults},
      {code::deadlock, outcome::faults},
      {code::trap, outcome::faults},
      {code::invalid_access, outcome::faults},
      {code::race, outcome::faults},
      {code::barrier_divergence, outcome::faults},
      {code::in_flight_access, outcome::faults},
      {code::missing_fence, outcome::faults},
      {code::mask_misuse, outcome::faults},
      {code::mbarrier_misuse, outcome::faults},
  };
  for (const auto& row : codes) {
    const auto found = below_wrong.find(row.what);
    CHECK(outcome_of(row.what) ==
          (found == below_wrong.end() ? outcome::wrong : found->second));
  }
}
