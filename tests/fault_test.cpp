#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

#include <skillbench/fault.hpp>

using namespace skillbench;

namespace {

// Written by hand, as README.md has it: a number or a name that changes breaks
// the readers of old records.
constexpr struct {
  int number;
  reason why;
  std::string_view name;
} table[] = {
    {1, reason::bad_argument, "bad_argument"},
    {2, reason::bad_input, "bad_input"},
    {3, reason::not_found, "not_found"},
    {4, reason::no_permission, "no_permission"},
    {5, reason::io, "io"},
    {6, reason::library_missing, "library_missing"},
    {7, reason::library_failed, "library_failed"},
    {8, reason::child_died, "child_died"},
    {9, reason::child_timed_out, "child_timed_out"},
    {10, reason::child_protocol, "child_protocol"},
    {11, reason::not_supported, "not_supported"},
    {12, reason::too_slow, "too_slow"},
    {13, reason::too_large, "too_large"},
    {14, reason::no_device, "no_device"},
    {15, reason::cancelled, "cancelled"},
    {16, reason::internal, "internal"},
};

}  // namespace

TEST_CASE("fault: every reason keeps its number and its name") {
  for (const auto& row : table) {
    CHECK(static_cast<int>(row.why) == row.number);
    CHECK(name(row.why) == row.name);
  }
}

TEST_CASE("fault: no reason is missing from the table") {
  std::set<int> known;
  for (const auto& row : table) known.insert(row.number);
  CHECK(known.size() == std::size(table));
  for (int number = -1; number < 256; ++number)
    CHECK((name(static_cast<reason>(number)) != "unknown") ==
          known.contains(number));
}

TEST_CASE("fault: a result holds a value or a fault") {
  const result<int> value(42);
  CHECK(value.ok());
  CHECK(static_cast<bool>(value));
  CHECK(value.value() == 42);

  const result<int> none(fault{reason::io, "the disk is full"});
  CHECK_FALSE(none.ok());
  CHECK_FALSE(static_cast<bool>(none));
  CHECK(none.error().why == reason::io);
  CHECK(none.error().what == "the disk is full");
}

TEST_CASE("fault: a value can be moved out and changed in place") {
  result<std::string> held(std::string("a text that is long enough to move"));
  held.value() += "!";
  const std::string taken = std::move(held).value();
  CHECK(taken == "a text that is long enough to move!");
}

TEST_CASE("fault: a fault without a reason is a bug of ours") {
  CHECK(fault{}.why == reason::internal);
  CHECK(result<done>(done{}).ok());
}
