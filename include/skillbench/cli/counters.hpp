#pragma once
// cli/counters.hpp: the counters of a launch as tables.
//
// Layer   7.
// Shapes  a column for each element type. What is zero in all of them is left
//         out, but for the totals that everybody looks for.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/cli/text.hpp>
#include <skillbench/counters.hpp>

namespace skillbench::cli {

// A launch and the head of its column.
struct counted_column {
  std::string head;
  const launch_counters* of = nullptr;
};

namespace counter_tables {

// "37.5" for 3 of 8; "-" where there is nothing to divide by.
[[nodiscard]] inline std::string ratio(std::uint64_t part, std::uint64_t whole,
                                       double scale = 1) {
  return whole == 0 ? "-"
                    : fmt::format("{:.1f}", scale * static_cast<double>(part) /
                                                static_cast<double>(whole));
}

class rows {
 public:
  rows(std::span<const counted_column> columns, std::vector<std::string> heads)
      : columns_(columns), made_(std::move(heads)) {}

  // A number of each launch; left out where all are zero, unless `always`.
  void add(const std::string& what,
           const std::function<std::uint64_t(const launch_counters&)>& number,
           bool always = false) {
    std::vector<std::string> row{what};
    bool any = always;
    for (const counted_column& each : columns_) {
      const std::uint64_t n = number(*each.of);
      any |= n != 0;
      row.push_back(std::to_string(n));
    }
    if (any) made_.add(std::move(row));
  }
  void say(const std::string& what,
           const std::function<std::string(const launch_counters&)>& text) {
    std::vector<std::string> row{what};
    for (const counted_column& each : columns_) row.push_back(text(*each.of));
    made_.add(std::move(row));
  }
  void print(stream& out) const { made_.print(out); }

 private:
  std::span<const counted_column> columns_;
  table made_;
};

inline void print_totals(std::span<const counted_column> columns,
                         stream& out) {
  std::vector<std::string> heads{"counted"};
  for (const counted_column& each : columns) heads.push_back(each.head);
  rows all(columns, heads);
  using launch = launch_counters;
  const auto number = [&](const std::string& what,
                          std::uint64_t event_counts::* member) {
    all.add(what, [member](const launch& of) { return of.total.*member; });
  };
  all.add("warp instructions", [](const launch& of) {
    return sum_of(of.total.warp_instructions); }, true);
  for (std::size_t i = 0; i < instruction_classes; ++i)
    all.add("  " + std::string(name(static_cast<instruction_class>(i))),
            [i](const launch& of) { return of.total.warp_instructions[i]; });
  all.say("active lanes of each", [](const launch& of) {
    return ratio(sum_of(of.total.thread_instructions),
                 sum_of(of.total.warp_instructions)); });
  for (std::size_t i = 0; i < tensor_types; ++i)
    all.add("tensor operations, " +
                std::string(name(static_cast<tensor_type>(i))),
            [i](const launch& of) { return of.total.tensor_operations[i]; });

  number("global load requests", &event_counts::global_load_requests);
  number("  sectors", &event_counts::global_load_sectors);
  number("  bytes asked for", &event_counts::global_load_bytes);
  number("global store requests", &event_counts::global_store_requests);
  number("  sectors", &event_counts::global_store_sectors);
  number("  bytes asked for", &event_counts::global_store_bytes);
  number("global atomic requests", &event_counts::global_atomic_requests);
  number("  sectors", &event_counts::global_atomic_sectors);
  number("  lanes", &event_counts::global_atomic_lanes);
  all.add("distinct bytes read", [](const launch& of) {
    return of.global_read_bytes; }, true);
  all.add("distinct bytes written", [](const launch& of) {
    return of.global_written_bytes; }, true);

  number("shared load requests", &event_counts::shared_load_requests);
  number("  wavefronts", &event_counts::shared_load_wavefronts);
  number("  bank conflicts", &event_counts::shared_load_conflicts);
  number("shared store requests", &event_counts::shared_store_requests);
  number("  wavefronts", &event_counts::shared_store_wavefronts);
  number("  bank conflicts", &event_counts::shared_store_conflicts);
  number("shared atomic requests", &event_counts::shared_atomic_requests);
  number("  wavefronts", &event_counts::shared_atomic_wavefronts);
  number("  bank conflicts", &event_counts::shared_atomic_conflicts);
  number("requests of other CTAs' shared memory",
         &event_counts::cluster_requests);
  number("local load requests", &event_counts::local_load_requests);
  number("  sectors", &event_counts::local_load_sectors);
  number("local store requests", &event_counts::local_store_requests);
  number("  sectors", &event_counts::local_store_sectors);

  number("cp.async requests", &event_counts::thread_copies);
  number("  bytes", &event_counts::thread_copy_bytes);
  number("bulk copies", &event_counts::bulk_copies);
  number("  bytes", &event_counts::bulk_copy_bytes);
  number("tensor copies", &event_counts::tensor_copies);
  number("  bytes", &event_counts::tensor_copy_bytes);
  number("sectors that copies load", &event_counts::copy_load_sectors);
  number("sectors that copies store", &event_counts::copy_store_sectors);

  number("branches", &event_counts::branches);
  number("  divergent", &event_counts::divergent_branches);
  all.say("branch efficiency, %", [](const launch& of) {
    return ratio(of.total.branches - of.total.divergent_branches,
                 of.total.branches, 100); });
  all.add("barriers", [](const launch& of) { return of.barriers; });
  all.print(out);
}

// The first few lines by each kind of cost, the ones with the most
// instructions first.
[[nodiscard]] inline std::vector<const line_counts*> costly(
    const launch_counters& of) {
  constexpr std::size_t most_of_a_kind = 4;
  const auto instructions = [](const line_counts& each) {
    return sum_of(each.of.warp_instructions);
  };
  std::vector<const line_counts*> picked;
  const auto pick = [&](const auto& cost) {
    std::vector<const line_counts*> all;
    for (const line_counts& each : of.lines)
      if (cost(each) > 0) all.push_back(&each);
    std::stable_sort(all.begin(), all.end(), [&](auto* a, auto* b) {
      return cost(*a) > cost(*b);
    });
    if (all.size() > most_of_a_kind) all.resize(most_of_a_kind);
    for (const line_counts* each : all)
      if (std::find(picked.begin(), picked.end(), each) == picked.end())
        picked.push_back(each);
  };
  pick(instructions);
  pick([](const line_counts& each) { return global_sectors(each.of); });
  pick([](const line_counts& each) { return shared_wavefronts(each.of); });
  pick([](const line_counts& each) { return shared_conflicts(each.of); });
  std::stable_sort(picked.begin(), picked.end(), [&](auto* a, auto* b) {
    return instructions(*a) > instructions(*b);
  });
  return picked;
}

[[nodiscard]] inline std::string_view line_of(std::string_view source,
                                              int line) {
  for (int now = 1; now < line; ++now) {
    const std::size_t end = source.find('\n');
    if (end == std::string_view::npos) return {};
    source.remove_prefix(end + 1);
  }
  source = source.substr(0, source.find('\n'));
  const std::size_t first = source.find_first_not_of(" \t");
  return first == std::string_view::npos ? "" : source.substr(first);
}

}  // namespace counter_tables

// `source` is the text that the lines are of, or empty; its first line is
// shown as `first_line`.
inline void print_lines(const launch_counters& of, std::string_view source,
                        int first_line, stream& out) {
  using namespace counter_tables;
  const auto lines = costly(of);
  if (lines.empty()) return;
  table all({of.of_ptx ? "line of the PTX" : "line", "warp instr.", "%",
             "sectors", "wavefronts", "conflicts", "source"});
  const std::uint64_t whole = sum_of(of.total.warp_instructions);
  constexpr std::size_t columns = 60;
  const std::size_t room = std::max<std::size_t>(
      out.width() > columns ? out.width() - columns : 0, 16);
  for (const line_counts* each : lines) {
    const std::uint64_t n = sum_of(each->of.warp_instructions);
    all.add({each->line > 0 ? std::to_string(each->line + first_line - 1) : "-",
             std::to_string(n), ratio(n, whole, 100),
             std::to_string(global_sectors(each->of)),
             std::to_string(shared_wavefronts(each->of)),
             std::to_string(shared_conflicts(each->of)),
             each->line > 0
                 ? shortened(printable(line_of(source, each->line)), room)
                 : "(not of this source)"});
  }
  all.print(out);
}

}  // namespace skillbench::cli
