#pragma once
// strategies.hpp: every strategy by its name.
//
// Layer   5.
// Errors  bad_argument for a name that there is not, the names are in it, and
//         for a prior that the strategy would not listen to.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <skillbench/fault.hpp>
#include <skillbench/tuners/annealing.hpp>
#include <skillbench/tuners/exhaustive.hpp>
#include <skillbench/tuners/genetic.hpp>
#include <skillbench/tuners/local.hpp>
#include <skillbench/tuners/portfolio.hpp>
#include <skillbench/tuners/prior.hpp>
#include <skillbench/tuners/random.hpp>
#include <skillbench/tuners/surrogate.hpp>

namespace skillbench {

inline constexpr std::array<std::string_view, 7> strategy_names = {
    "portfolio", "surrogate", "genetic", "annealing",
    "local",     "random",    "exhaustive"};
inline constexpr std::string_view default_strategy = strategy_names.front();

// Whether a strategy listens to a prior.
[[nodiscard]] constexpr bool takes_prior(std::string_view named) noexcept {
  return named == "portfolio" || named == "surrogate";
}

// The space must outlive what is made.
[[nodiscard]] inline result<std::unique_ptr<strategy>> make_strategy(
    std::string_view named, const tuning_space& space, std::uint64_t seed,
    prior before = {}) {
  std::unique_ptr<strategy> made;
  if (named == "portfolio")
    made = std::make_unique<portfolio>(space, seed, before);
  if (named == "surrogate")
    made = std::make_unique<surrogate>(space, seed, before);
  if (named == "genetic") made = std::make_unique<genetic>(space, seed);
  if (named == "annealing") made = std::make_unique<annealing>(space, seed);
  if (named == "local") made = std::make_unique<local>(space, seed);
  if (named == "random") made = std::make_unique<random_order>(space, seed);
  if (named == "exhaustive") made = std::make_unique<exhaustive>(space);
  if (made && before && !takes_prior(named))
    return fault{reason::bad_argument,
                 "the strategy `" + std::string(named) +
                     "` takes no prior; portfolio and surrogate do"};
  if (made) return made;
  std::string all;
  for (const std::string_view each : strategy_names)
    all += (all.empty() ? "" : ", ") + std::string(each);
  return fault{reason::bad_argument, "there is no strategy `" +
                                         std::string(named) +
                                         "`; there are " + all};
}

}  // namespace skillbench
