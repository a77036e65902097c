// How good the searches are on recorded spaces, and how long a space takes to
// build, beside what other tuners do. The recordings are not in the project: a
// folder with them is named by SKILLBENCH_SPACES, or lies at shared/spaces
// beside the project or a folder above it.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/gzip.hpp>
#include <skillbench/json_space.hpp>
#include <skillbench/tuners/replay.hpp>
#include <skillbench/tuners/strategies.hpp>
#include <skillbench/tuners/transfer.hpp>

namespace {

using namespace skillbench;
namespace fs = std::filesystem;

fs::path spaces() {
  if (const char* const named = std::getenv("SKILLBENCH_SPACES")) return named;
  const fs::path source = SKILLBENCH_SOURCE_DIR;
  for (const fs::path& each : {source / "shared", source.parent_path() / "shared"})
    if (fs::is_directory(each / "spaces")) return each / "spaces";
  return {};
}

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began)
      .count();
}

// Medians after 25, 50, 100 and 200 trials, and the score, of Kernel Tuner
// 1.4.0's adaptive_tabu_greywolf, 100 seeds: as measured elsewhere, with failed
// configurations as trials.
struct peer {
  const char* file;
  double at[4], score;
};
constexpr peer peers[] = {
    {"gemm_rtx3090", {.885, .940, .982, 1}, .745},
    {"convolution_a4000", {.730, .792, .809, 1}, .249},
    {"convolution_rtx2080ti", {.725, .840, .993, 1}, .517},
    {"pnpoly_rtx3090", {.889, .960, 1, 1}, .651},
};
constexpr std::size_t places[] = {25, 50, 100, 200};

std::optional<recording> opened(const fs::path& folder, const char* named) {
  const auto packed = bytes_of(folder / (std::string(named) + ".json.gz"));
  const auto text = gunzip(packed, std::size_t{1} << 30);
  if (!text) {
    std::printf("  %-24s not there\n", named);
    return std::nullopt;
  }
  auto from = read_recording(text.value());
  if (from) return std::move(from).value();
  std::printf("  %-24s %s\n", named, from.error().what.c_str());
  return std::nullopt;
}

struct played {
  replay_score told;
  double seconds = 0;  // of one search
};

played play(const recording& from, std::string_view named, int seeds,
            const prior& before = {}) {
  std::vector<std::vector<double>> runs;
  const auto began = std::chrono::steady_clock::now();
  for (int seed = 1; seed <= seeds; ++seed)
    runs.push_back(replay(from,
                          *make_strategy(named, from.space,
                                         static_cast<std::uint64_t>(seed), before)
                               .value(),
                          200));
  return {score_of(from, runs), seconds_since(began) / seeds};
}

void print_row(const char* space, const std::string& by, const played& it) {
  std::printf("  %-24s %-12s %6.3f %6.3f %6.3f %6.3f %7.3f  %.3f\n", space,
              by.c_str(), it.told.median[24], it.told.median[49],
              it.told.median[99], it.told.median[199], it.told.score, it.seconds);
  std::fflush(stdout);
}

// Recordings of one kernel on several devices: what one tells the default search
// of another, with all of its trials and with those of one short search.
void search_after(const fs::path& folder, int seeds) {
  constexpr std::size_t few = 50;
  std::printf("search after a related tuning (the same kernel on another device), "
              "not counted above\n");
  std::vector<std::pair<const char*, recording>> all;
  for (const peer& each : peers)
    if (auto from = opened(folder, each.file))
      all.emplace_back(each.file, std::move(*from));
  for (const auto& [name, here] : all)
    for (const auto& [other, from] : all) {
      if (name == other || here.kernel != from.kernel) continue;
      std::printf("  %s from %s\n", name, other);
      print_row("", "nothing", play(here, default_strategy, seeds));
      const earlier_tuning known = earlier_of(from);
      earlier_tuning some;
      auto by = make_strategy(default_strategy, from.space, 1).value();
      while (some.trials.size() < few) {
        const auto next = by->propose(1);
        if (next.empty()) break;
        const auto index = static_cast<std::size_t>(next.front());
        by->learn(next.front(), from.costs[index]);
        some.trials.push_back(known.trials[index]);
      }
      const earlier_tuning* const both[] = {&some, &known};
      for (const earlier_tuning* const each : both) {
        const auto told = transfer(here.space, {*each});
        if (!told) {
          std::printf("  %s\n", told.error().what.c_str());
          continue;
        }
        print_row("", std::to_string(each->trials.size()) + " trials",
                  play(here, default_strategy, seeds, told.value().estimate));
      }
    }
}

void search(const fs::path& folder, int seeds) {
  std::printf("search: median of the best found as a share of the optimum, %d "
              "seeds\n  %-24s %-12s %6s %6s %6s %6s %7s  s/search\n",
              seeds, "space", "by", "@25", "@50", "@100", "@200", "score");
  double mean[4] = {}, score = 0, worst = 1;
  int count = 0;
  for (const peer& each : peers) {
    const auto from = opened(folder, each.file);
    if (!from) continue;
    std::printf("  %-24s %-12s %6.3f %6.3f %6.3f %6.3f %7.3f\n", each.file,
                "peer", each.at[0], each.at[1], each.at[2], each.at[3],
                each.score);
    for (const std::string_view named : strategy_names) {
      if (named == "exhaustive") continue;
      const played it = play(*from, named, seeds);
      const replay_score& told = it.told;
      print_row("", std::string(named), it);
      if (named != default_strategy) continue;
      ++count;
      for (std::size_t i = 0; i < 4; ++i) mean[i] += told.median[places[i] - 1];
      score += told.score;
      worst = std::min(worst, told.score);
    }
  }
  if (count == 0) return;
  constexpr double goals[] = {.86, .92, .97, .995};
  for (std::size_t i = 0; i < 4; ++i)
    std::printf("  mean of medians after %3zu trials: %.3f (goal above %.3f: "
                "%s)\n",
                places[i], mean[i] / count, goals[i],
                mean[i] / count > goals[i] ? "met" : "missed");
  std::printf("  mean score: %.3f (goal above 0.62: %s); worst: %.3f (goal "
              "above 0.40: %s)\n",
              score / count, score / count > 0.62 ? "met" : "missed", worst,
              worst > 0.40 ? "met" : "missed");
}

void build(const fs::path& folder) {
  const std::string text = bytes_of(folder / "construct.json");
  if (text.empty()) {
    std::puts("building: construct.json is not there");
    return;
  }
  const auto all = read_space_texts(text);
  if (!all) {
    std::printf("building: %s\n", all.error().what.c_str());
    return;
  }
  std::puts("building: seconds, best of five; peers as measured elsewhere (all "
            "points listed by Kernel Tuner 1.4, trees by ATF and KTT)");
  const auto peer_words = [](const std::string& named) {
    return named == "hotspot"   ? "Kernel Tuner 0.92, ATF 0.054, KTT 0.109"
           : named == "microhh" ? "Kernel Tuner 0.29, ATF 0.029, KTT 0.035"
           : named == "gemm"    ? "Kernel Tuner 0.17, ATF 0.0014, KTT 0.0022"
                                : "";
  };
  double trees = 0, lists = 0, hotspot = 0;
  for (const auto& [named, space_here] : all.value()) {
    double tree = 1e9, list = 1e9;
    std::uint64_t size = 0;
    for (int turn = 0; turn < 5; ++turn) {
      const auto began = std::chrono::steady_clock::now();
      const auto made =
          tuning_space::build(space_here.parameters, space_here.constraints);
      tree = std::min(tree, seconds_since(began));
      if (!made) {
        std::printf("  %s: %s\n", named.c_str(), made.error().what.c_str());
        break;
      }
      const auto points = made.value().all();
      list = std::min(list, seconds_since(began));
      size = made.value().size();
    }
    std::printf("  %-14s %8llu configurations  tree %.4f  listed %.4f  %s\n",
                named.c_str(), static_cast<unsigned long long>(size), tree, list,
                peer_words(named));
    trees += tree;
    lists += list;
    if (named == "hotspot") hotspot = tree;
  }
  std::printf("  all as trees %.4f (goal below 0.08: %s), hotspot %.4f (goal "
              "below 0.05: %s), all listed %.4f (goal below 0.5: %s)\n",
              trees, trees < 0.08 ? "met" : "missed", hotspot,
              hotspot < 0.05 ? "met" : "missed", lists,
              lists < 0.5 ? "met" : "missed");
}

}  // namespace

int main(int count, char** words) {
  const fs::path folder = spaces();
  if (folder.empty()) {
    std::puts("recorded spaces are not there: set SKILLBENCH_SPACES to a folder "
              "with them");
    return 0;
  }
  build(folder);
  const int seeds = count > 1 ? std::max(1, std::atoi(words[1])) : 20;
  search(folder, seeds);
  search_after(folder, seeds);
  return 0;
}
