#include <skillbench/side_by_side.hpp>

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace skillbench;

TEST_CASE("side_by_side: every part runs once") {
  CHECK(parts_at_once() >= 1);
  CHECK(parts_at_once() <= 16);
  for (const std::size_t parts : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{40}}) {
    std::vector<int> seen(parts, 0);
    side_by_side(parts, [&](std::size_t i) { ++seen[i]; });
    CHECK(seen == std::vector<int>(parts, 1));
  }
}

TEST_CASE("side_by_side: what a part throws is thrown when all have ended") {
  std::atomic<int> ended = 0;
  std::string told;
  try {
    side_by_side(8, [&](std::size_t i) {
      ++ended;
      if (i == 3 || i == 7) throw std::runtime_error("part " + std::to_string(i));
    });
  } catch (const std::runtime_error& wrong) {
    told = wrong.what();
  }
  CHECK(told == "part 3");
  CHECK(ended == 8);
}
