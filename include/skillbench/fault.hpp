#pragma once
// fault.hpp: why a step could not be done, and `result<T>` to say so.
//
// Layer   0. Standard library only.
// Errors  A fault is about us, our machine or our input: a missing library, an
//         unreadable file, an instruction the PTX machine does not know. What
//         is wrong with a candidate's kernel is a finding (finding.hpp).
// Numbers of reasons are written by hand, documented in README.md, and never
//         reused: tests/fault_test.cpp holds each one to its name.

#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace skillbench {

enum class reason : int {
  bad_argument = 1,     // a caller's value that makes no sense
  bad_input = 2,        // a file or text from outside that cannot be read as asked
  not_found = 3,        // a path, a library or a name that is not there
  no_permission = 4,    // the system refused
  io = 5,               // reading, writing or a full disk
  library_missing = 6,  // a library that is opened at run time is not there
  library_failed = 7,   // such a library answered with an error
  child_died = 8,       // a worker ended without an answer (signal, exit code)
  child_timed_out = 9,  // a worker was stopped at its deadline
  child_protocol = 10,  // a worker's answer makes no sense
  not_supported = 11,   // the device cannot run this (opcode, form, feature)
  too_slow = 12,        // the instruction budget ended the run
  too_large = 13,       // more memory than one launch may have
  no_device = 14,       // no such device on this machine
  cancelled = 15,       // the user asked to stop
  internal = 16,        // a bug of ours: please report
};

[[nodiscard]] constexpr std::string_view name(reason why) noexcept {
  switch (why) {
    case reason::bad_argument: return "bad_argument";
    case reason::bad_input: return "bad_input";
    case reason::not_found: return "not_found";
    case reason::no_permission: return "no_permission";
    case reason::io: return "io";
    case reason::library_missing: return "library_missing";
    case reason::library_failed: return "library_failed";
    case reason::child_died: return "child_died";
    case reason::child_timed_out: return "child_timed_out";
    case reason::child_protocol: return "child_protocol";
    case reason::not_supported: return "not_supported";
    case reason::too_slow: return "too_slow";
    case reason::too_large: return "too_large";
    case reason::no_device: return "no_device";
    case reason::cancelled: return "cancelled";
    case reason::internal: return "internal";
  }
  return "unknown";
}

// What was attempted, on what, and what came of it, in one readable sentence.
struct fault {
  reason why = reason::internal;
  std::string what;
};

// A value, or the fault that kept it from being made.
template <typename T>
class [[nodiscard]] result {
 public:
  result(T made) : held_(std::in_place_index<0>, std::move(made)) {}
  result(fault why) : held_(std::in_place_index<1>, std::move(why)) {}

  [[nodiscard]] bool ok() const noexcept { return held_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] T& value() & { assert(ok()); return *std::get_if<0>(&held_); }
  [[nodiscard]] const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&held_);
  }
  [[nodiscard]] T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&held_));
  }
  [[nodiscard]] const fault& error() const& {
    assert(!ok());
    return *std::get_if<1>(&held_);
  }

 private:
  std::variant<T, fault> held_;
};

// For steps that make nothing.
struct done {};

}  // namespace skillbench
