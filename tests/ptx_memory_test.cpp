#include <doctest/doctest.h>

#include <skillbench/ptx/memory.hpp>

using namespace skillbench::ptx;

namespace {

allocation tensor(const std::string& name, std::uint64_t bytes, bool defined = false) {
  allocation a;
  a.name = name;
  a.bytes = bytes;
  a.starts_defined = defined;
  return a;
}

std::uint8_t byte_at(memory& m, allocation& a, std::uint64_t address) {
  page* p = m.touch(a, address);
  return static_cast<std::uint8_t>(p->data[(address - a.origin) & (page_bytes - 1)]);
}

}  // namespace

TEST_CASE("memory: an address belongs to one allocation or to nothing") {
  memory m(1 << 24);
  const auto x = m.add(tensor("x", 100), 0), y = m.add(tensor("y", 100), 5);
  CHECK(m.owner(x)->name == "x");
  CHECK(m.owner(x + 99)->name == "x");
  CHECK(m.owner(y)->name == "y");
  CHECK(m.owner(0) == nullptr);
  CHECK(m.owner(~std::uint64_t{0}) == nullptr);
  CHECK(m.owner(x - (std::uint64_t{1} << slot_bits)) == nullptr);
  CHECK(m.owner(y + (std::uint64_t{1} << slot_bits)) == nullptr);
  CHECK(m.owner(shared_window) == nullptr);
}

TEST_CASE("memory: an access is inside whole or not at all") {
  memory m(1 << 24);
  const auto at = m.add(tensor("x", 100), 0);
  const allocation& a = *m.owner(at);
  CHECK(a.holds(at, 100));
  CHECK(a.holds(at + 96, 4));
  CHECK_FALSE(a.holds(at + 97, 4));
  CHECK_FALSE(a.holds(at - 1, 4));
  CHECK_FALSE(a.holds(at + 100, 1));
  CHECK(a.holds(at + 100, 0));
  CHECK_FALSE(a.holds(~std::uint64_t{0}, 4));
  CHECK_FALSE(a.holds(at, ~std::uint64_t{0}));
}

TEST_CASE("memory: bases are multiples of 16, and move with the jitter") {
  memory m(1 << 24);
  const auto first = m.add(tensor("a", 64), 0), second = m.add(tensor("b", 64), 3), third = m.add(tensor("c", 64), 16 + 3), last = m.add(tensor("d", 64), 15);
  CHECK(first % 256 == 0);
  CHECK(second % 256 == 48);
  CHECK(third % 256 == 48);
  CHECK(last % 256 == 240);
}

TEST_CASE("memory: pages are made on first touch, and only those") {
  memory m(std::uint64_t{64} << 20);
  const auto at = m.add(tensor("big", std::uint64_t{1} << 34), 1);
  allocation& a = *m.owner(at);
  CHECK(m.used() == 0);
  REQUIRE(m.touch(a, at));
  REQUIRE(m.touch(a, a.end() - 1));
  CHECK(m.used() == 4 * page_bytes);  // with shadows
  CHECK(m.touch(a, at) == m.touch(a, at + 8));
  CHECK(m.used() == 4 * page_bytes);
}

TEST_CASE("memory: the bound holds, and is told") {
  memory m(5 * page_bytes);
  const auto at = m.add(tensor("x", 10 * page_bytes), 0);
  allocation& a = *m.owner(at);
  CHECK(m.touch(a, at));
  CHECK(m.touch(a, at + page_bytes));
  CHECK_FALSE(m.full());
  CHECK(m.touch(a, at + 2 * page_bytes) == nullptr);
  CHECK(m.full());
  CHECK(m.touch(a, at));  // what is there stays
}

TEST_CASE("memory: an input is filled whichever page is touched first") {
  const auto expected = [](std::uint64_t i) { return static_cast<std::uint8_t>(i * 7 + (i >> 8)); };
  for (const bool backwards : {false, true}) {
    memory m(1 << 24);
    allocation fresh = tensor("x", 3 * page_bytes + 10, true);
    fresh.initial = [&](std::int64_t first, std::span<std::byte> out) {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(expected(static_cast<std::uint64_t>(first) + i));
    };
    const auto at = m.add(std::move(fresh), 7);
    allocation& a = *m.owner(at);
    const std::uint64_t n = a.bytes;
    std::size_t wrong = 0;
    for (std::uint64_t i = 0; i < n; i += 97) {
      const std::uint64_t k = backwards ? n - 1 - i : i;
      wrong += byte_at(m, a, at + k) != expected(k);
    }
    wrong += byte_at(m, a, at + n - 1) != expected(n - 1);
    CHECK(wrong == 0);
    CHECK(m.touch(a, at)->shadow == nullptr);
  }
}

TEST_CASE("memory: what nobody wrote is poison and marked so") {
  memory m(1 << 24);
  m.set_poison(0x1122334455667788);
  const auto at = m.add(tensor("y", page_bytes * 2), 0);
  allocation& a = *m.owner(at);
  CHECK(byte_at(m, a, at) == 0x88);
  CHECK(byte_at(m, a, at + 7) == 0x11);
  page* p = m.touch(a, at);
  REQUIRE(p->shadow);
  CHECK(p->shadow[0] == unwritten);
  CHECK(p->shadow[page_bytes - 1] == unwritten);
}

TEST_CASE("memory: an empty tensor has no address inside") {
  memory m(1 << 24);
  const auto at = m.add(tensor("none", 0), 0);
  CHECK_FALSE(m.owner(at)->holds(at, 1));
}
