// Tunes a plain C++ function: a matrix product in blocks. What it costs is
// counted, misses of a small cache, so that every machine says the same; a
// function of yours would take its own time instead.
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>

#include <skillbench/tune.hpp>

namespace {

// 4 ways of 32 lines with 16 floats each; of a set the oldest line goes.
class cache {
 public:
  void touch(std::int64_t element) {
    const std::int64_t line = element / 16;
    auto& set = sets_[static_cast<std::size_t>(line % 32)];
    for (auto& each : set)
      if (each.line == line) {
        each.used = ++now_;
        return;
      }
    ++misses;
    auto* oldest = &set[0];
    for (auto& each : set)
      if (each.used < oldest->used) oldest = &each;
    *oldest = {line, ++now_};
  }
  std::int64_t misses = 0;

 private:
  struct entry {
    std::int64_t line = -1, used = 0;
  };
  std::array<std::array<entry, 4>, 32> sets_{};
  std::int64_t now_ = 0;
};

// c += a * b for square matrices of floats, in blocks of rows x columns x depth.
std::int64_t misses_of(std::int64_t rows, std::int64_t columns,
                       std::int64_t depth, bool row_first) {
  constexpr std::int64_t n = 64;
  cache seen;
  const auto block = [&](std::int64_t i0, std::int64_t j0, std::int64_t k0) {
    for (std::int64_t i = i0; i < i0 + rows; ++i)
      for (std::int64_t j = j0; j < j0 + columns; ++j)
        for (std::int64_t k = k0; k < k0 + depth; ++k) {
          seen.touch(i * n + k);
          seen.touch(n * n + k * n + j);
          seen.touch(2 * n * n + i * n + j);
        }
  };
  for (std::int64_t a = 0; a < n; a += row_first ? rows : columns)
    for (std::int64_t b = 0; b < n; b += row_first ? columns : rows)
      for (std::int64_t k = 0; k < n; k += depth)
        row_first ? block(a, b, k) : block(b, a, k);
  return seen.misses;
}

}  // namespace

int main() {
  using skillbench::tuning_value;
  const std::vector<tuning_value> sizes{std::int64_t{4}, std::int64_t{8},
                                        std::int64_t{16}, std::int64_t{32},
                                        std::int64_t{64}};
  const auto space = skillbench::make_space(
      {{"rows", sizes}, {"columns", sizes}, {"depth", sizes},
       {"row_first", {true, false}}},
      {"rows * columns <= 1024"});
  if (!space) {
    std::puts(space.error().what.c_str());
    return 1;
  }
  const auto found = skillbench::tune(
      space.value(),
      [](const skillbench::configuration& at) -> std::optional<double> {
        return static_cast<double>(
            misses_of(at.integer("rows"), at.integer("columns"),
                      at.integer("depth"), at.integer("row_first") != 0));
      },
      {.limits = {.trials = 40}, .seed = 7});
  if (!found || !found.value().best) return 1;

  const auto every = skillbench::tune(
      space.value(),
      [](const skillbench::configuration& at) {
        return static_cast<double>(
            misses_of(at.integer("rows"), at.integer("columns"),
                      at.integer("depth"), at.integer("row_first") != 0));
      },
      {.limits = {.trials = 1000}, .strategy = "exhaustive"});
  if (!every || !every.value().best) return 1;
  const auto cost = [](const skillbench::tuned& of) {
    return *of.trials[*of.best].cost;
  };
  std::printf("%llu configurations; the default has %.0f misses\n",
              static_cast<unsigned long long>(space.value().size()),
              *every.value().trials.front().cost);
  std::printf("the best of 40 trials is within 5%% of the best there is: %s\n",
              cost(found.value()) <= 1.05 * cost(every.value()) ? "yes" : "no");
  std::printf("the best there is: %.0f misses\n", cost(every.value()));
  return 0;
}
