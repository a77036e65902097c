#pragma once
// finding.hpp: what is said about a candidate: outcomes and findings.
//
// Layer   1. Standard library only.
// The ladder of outcomes runs from the bottom: an output that stops lower got
// less far. `unjudged` stands beside the ladder: the reason is ours.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skillbench {

enum class outcome : std::uint8_t {
  no_kernel = 0,         // no CUDA source in the output
  bad_manifest = 1,      // no launch manifest, or one that breaks the contract
  does_not_compile = 2,  // NVRTC or ptxas refused it
  faults = 3,            // memory, race, barrier, proven deadlock
  wrong = 4,             // an element outside its bound, unwritten or undefined
  cheats = 5,            // right, by means that do not count
  correct = 6,
  unjudged = 7,          // not supported, too slow or too large for us
};

[[nodiscard]] constexpr std::string_view name(outcome reached) noexcept {
  switch (reached) {
    case outcome::no_kernel: return "no_kernel";
    case outcome::bad_manifest: return "bad_manifest";
    case outcome::does_not_compile: return "does_not_compile";
    case outcome::faults: return "faults";
    case outcome::wrong: return "wrong";
    case outcome::cheats: return "cheats";
    case outcome::correct: return "correct";
    case outcome::unjudged: return "unjudged";
  }
  return "unknown";
}

enum class severity : std::uint8_t {
  fails = 0,   // decides the outcome
  cheats = 1,  // decides the outcome of an otherwise correct kernel
  note = 2,    // told, never an outcome
};

[[nodiscard]] constexpr std::string_view name(severity weight) noexcept {
  switch (weight) {
    case severity::fails: return "fails";
    case severity::cheats: return "cheats";
    case severity::note: return "note";
  }
  return "unknown";
}

// What a finding is about. The names are the public codes, in records and in
// README.md; they are never reused.
enum class code : std::uint8_t {
  no_source = 0,           // nothing to compile in the output
  bad_source = 1,          // NUL, invalid UTF-8, over 256 KB
  bad_manifest = 2,        // missing, not JSON, unknown key, wrong type, ...
  compile_error = 3,       // NVRTC's or ptxas' words
  launch_refused = 4,      // grid, block or shared memory beyond the limits
  out_of_bounds = 5,       // an access outside every allocation
  misaligned = 6,          // an address that its access width does not divide
  writes_input = 7,        // a store to a tensor that is only to be read
  undefined_value = 8,     // an undefined value became an address or a branch
  undefined_output = 9,    // an undefined value was left in an output
  unwritten_output = 10,   // an output element was never written
  deadlock = 11,           // every thread waits for one that waits
  trap = 12,               // trap, or a failed assert
  wrong_value = 13,        // an element outside its bound
  shape_not_supported = 14,  // `require` excludes a shape of the contract
  does_nothing = 15,       // launches that the expressions make empty
  invalid_access = 16,     // wrong state space, or a forged pointer
  bidi_control = 17,       // bidirectional control characters in the source
  byte_order_mark = 18,    // a UTF-8 BOM was cut off
  several_sources = 19,    // more than one fenced source; the one used is named
  compile_limits = 20,     // the compiler was stopped: time, memory, crash
  module_state = 21,       // a store that can reach a __device__ variable
  injected_code = 22,      // assembly that closes the function it stands in
  device_malloc = 23,      // memory of the kernel's own
  reads_clock = 24,        // %clock, %globaltimer
  prints = 25,             // vprintf
  may_trap = 26,           // trap or assert in the text, not run
  sleeps = 27,             // nanosleep
  cache_policy = 28,       // createpolicy
  not_reproducible = 29,   // other bits in another run, within the bound
  size_not_checked = 30,   // a shape too large for us to run a part of
  race = 31,               // two accesses that nothing orders, one of them a store
  barrier_divergence = 32, // threads miss a barrier, or its count is wrong
  in_flight_access = 33,   // memory of a copy or wgmma that is not done
  missing_fence = 34,      // no fence between two proxies
  mask_misuse = 35,        // a member mask without its own lane, ...
  mbarrier_misuse = 36,    // not initialised, overrun, wrong phase
  repaired_by_compiler = 37, // ptxas put in what was missing
  impossible_time = 38,    // faster than memory and arithmetic allow
};
inline constexpr code last_code = code::impossible_time;

[[nodiscard]] constexpr std::string_view name(code what) noexcept {
  switch (what) {
    case code::no_source: return "no_source";
    case code::bad_source: return "bad_source";
    case code::bad_manifest: return "bad_manifest";
    case code::compile_error: return "compile_error";
    case code::launch_refused: return "launch_refused";
    case code::out_of_bounds: return "out_of_bounds";
    case code::misaligned: return "misaligned";
    case code::writes_input: return "writes_input";
    case code::undefined_value: return "undefined_value";
    case code::undefined_output: return "undefined_output";
    case code::unwritten_output: return "unwritten_output";
    case code::deadlock: return "deadlock";
    case code::trap: return "trap";
    case code::wrong_value: return "wrong_value";
    case code::shape_not_supported: return "shape_not_supported";
    case code::does_nothing: return "does_nothing";
    case code::invalid_access: return "invalid_access";
    case code::bidi_control: return "bidi_control";
    case code::byte_order_mark: return "byte_order_mark";
    case code::several_sources: return "several_sources";
    case code::compile_limits: return "compile_limits";
    case code::module_state: return "module_state";
    case code::injected_code: return "injected_code";
    case code::device_malloc: return "device_malloc";
    case code::reads_clock: return "reads_clock";
    case code::prints: return "prints";
    case code::may_trap: return "may_trap";
    case code::sleeps: return "sleeps";
    case code::cache_policy: return "cache_policy";
    case code::not_reproducible: return "not_reproducible";
    case code::size_not_checked: return "size_not_checked";
    case code::race: return "race";
    case code::barrier_divergence: return "barrier_divergence";
    case code::in_flight_access: return "in_flight_access";
    case code::missing_fence: return "missing_fence";
    case code::mask_misuse: return "mask_misuse";
    case code::mbarrier_misuse: return "mbarrier_misuse";
    case code::repaired_by_compiler: return "repaired_by_compiler";
    case code::impossible_time: return "impossible_time";
  }
  return "unknown";
}

// Where a finding of severity `fails` leaves its candidate.
[[nodiscard]] constexpr outcome outcome_of(code what) noexcept {
  switch (what) {
    case code::no_source:
    case code::bad_source: return outcome::no_kernel;
    case code::bad_manifest: return outcome::bad_manifest;
    case code::compile_error:
    case code::compile_limits: return outcome::does_not_compile;
    case code::launch_refused:
    case code::out_of_bounds:
    case code::misaligned:
    case code::writes_input:
    case code::undefined_value:
    case code::deadlock:
    case code::trap:
    case code::invalid_access:
    case code::race:
    case code::barrier_divergence:
    case code::in_flight_access:
    case code::missing_fence:
    case code::mask_misuse:
    case code::mbarrier_misuse: return outcome::faults;
    default: return outcome::wrong;
  }
}

// One thing found. `what` is a whole sentence that stands alone; the rest is
// the same for programs. Absent means: does not apply, or not known.
struct finding {
  code kind = code::no_source;
  severity weight = severity::fails;
  std::string what;
  std::string kernel;                // the entry, as PTX names it
  std::string element_type;          // "float", "half", "bfloat16"
  std::string test_case;             // the family's name for it
  std::string tensor;                // the argument the address belongs to
  std::optional<int> line;           // of the candidate's source, from 1
  std::optional<int> ptx_line;       // of the PTX, from 1
  std::optional<std::int64_t> index; // element of the tensor; below 0 or past
                                     // the end for an access out of bounds
  std::uint64_t count = 1;           // how often it happened
};

}  // namespace skillbench
