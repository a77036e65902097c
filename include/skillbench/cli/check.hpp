#pragma once
// cli/check.hpp: `skillbench check`: one source, judged and quoted.
//
// Layer   7.
// Lines   a finding names a line of the candidate's source; what is shown is the
//         line of the file, which differs when the source is a block in a
//         model's answer.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/counters.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/families.hpp>
#include <skillbench/cli/summary.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/extract.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/samples.hpp>

namespace skillbench::cli {

// The line, with a mark under what is written on it:
//   57 |   y[row * cols + i] = value;
//      |   ^~~~~~~~~~~~~~~~~~~~~~~~~
inline void quote(std::string_view source, int line, int shown_as,
                  stream& out) {
  for (int now = 1; now < line; ++now) {
    const std::size_t end = source.find('\n');
    if (end == std::string_view::npos) return;
    source.remove_prefix(end + 1);
  }
  std::string_view raw = source.substr(0, source.find('\n'));
  while (!raw.empty() && (raw.back() == ' ' || raw.back() == '\r'))
    raw.remove_suffix(1);
  const std::string number = std::to_string(shown_as);
  const std::string margin = std::string(number.size() + 2, ' ');
  const std::size_t room = out.width() > margin.size() + 12
                               ? out.width() - margin.size() - 4
                               : 8;
  const std::string text = shortened(printable(raw), room);
  const std::size_t blanks = text.find_first_not_of(' ');
  if (blanks == std::string::npos) return;
  out.line("  " + number + " | " + text);
  out.line(margin + " | " + std::string(blanks, ' ') +
           out.paint(colour::green,
                     "^" + std::string(width_of(text) - blanks - 1, '~')));
}

// Findings of one kind at one line (of one tensor, without a line): the first is
// shown, the others differ in case and element type.
struct finding_group {
  const finding* first = nullptr;
  std::uint64_t count = 0;               // how often it happened in all
  std::vector<std::string> cases, types;  // each once, in the order found
};

[[nodiscard]] inline std::vector<finding_group> grouped(
    std::span<const finding> all) {
  std::vector<finding_group> groups;
  const auto add = [](std::vector<std::string>& to, const std::string& one) {
    if (!one.empty() && std::find(to.begin(), to.end(), one) == to.end())
      to.push_back(one);
  };
  for (const finding& each : all) {
    const auto alike = [&](const finding_group& other) {
      const finding& first = *other.first;
      if (first.kind != each.kind || first.weight != each.weight ||
          first.line != each.line)
        return false;
      // A compiler's errors and a manifest's mistakes differ in their words.
      if (each.test_case.empty()) return first.what == each.what;
      return each.line || first.tensor == each.tensor;
    };
    auto at = std::find_if(groups.begin(), groups.end(), alike);
    if (at == groups.end()) {
      groups.push_back({&each, 0, {}, {}});
      at = groups.end() - 1;
    }
    at->count += each.count;
    add(at->cases, each.test_case);
    add(at->types, each.element_type);
  }
  return groups;
}

// "line 27" in a finding's words as "line 34", that of the file; lines of the PTX
// stay.
[[nodiscard]] inline std::string in_lines_of_file(std::string_view words,
                                                  int first_line) {
  constexpr std::string_view mark = "line ";
  std::string made;
  for (;;) {
    const std::size_t at = words.find(mark);
    if (at == std::string_view::npos) return made + std::string(words);
    made += words.substr(0, at + mark.size());
    words.remove_prefix(at + mark.size());
    int line = 0;
    const auto [end, trouble] =
        std::from_chars(words.data(), words.data() + words.size(), line);
    if (trouble != std::errc() || line < 1 || line > 1'000'000 ||
        made.ends_with("PTX line "))
      continue;
    made += std::to_string(line + first_line - 1);
    words.remove_prefix(static_cast<std::size_t>(end - words.data()));
  }
}

// A group's sentence, where its first one is, and the line of the source.
inline void print_finding(const finding_group& group, const sample& of,
                          const excerpt* from, stream& out) {
  const finding& one = *group.first;
  const bool note = one.weight == severity::note;
  std::string head = out.paint(note ? colour::yellow : colour::red,
                               std::string(name(one.weight)) + " " +
                                   std::string(name(one.kind)));
  if (group.count > 1) head += fmt::format(", {} times", group.count);
  out.line(head);
  const std::size_t room = out.width() - 2;
  const std::string words =
      from ? in_lines_of_file(one.what, from->first_line) : one.what;
  for (const std::string& each : wrapped(printable(words), room))
    out.line("  " + each);
  std::string where;
  const auto add = [&](std::string_view what, const std::string& value) {
    if (value.empty()) return;
    if (!where.empty()) where += ", ";
    where += std::string(what) + printable(value);
  };
  add("kernel ", one.kernel);
  add("", one.element_type);
  add("case ", one.test_case);
  add("tensor ", one.tensor);
  if (one.index) add("index ", std::to_string(*one.index));
  if (one.ptx_line) add("line of the PTX ", std::to_string(*one.ptx_line));
  if (group.cases.size() > 1 || group.types.size() > 1) {
    where += "; in all: " + plural(group.cases.size(), "case") + " of ";
    for (const std::string& each : group.types)
      where += (&each == &group.types.front() ? "" : ", ") + printable(each);
  }
  for (const std::string& each : wrapped(where, room))
    out.line("  " + out.paint(colour::dim, each));
  if (!one.line || !from) return;
  const int shown = *one.line + from->first_line - 1;
  out.line("  " + printable(of.path) + ":" + std::to_string(shown));
  quote(from->source, *one.line, shown, out);
}

// The cases of one element type in one line: "float: 20 of 20 cases run are correct".
inline void print_cases(const record& told, stream& out) {
  for (const element type : all_elements) {
    std::size_t all = 0, right = 0, unjudged = 0;
    double worst = 0;
    for (const case_agreement& each : told.cases) {
      if (each.element_type != name(type)) continue;
      ++all;
      right += each.reached == outcome::correct;
      unjudged += each.reached == outcome::unjudged;
      if (each.reached == outcome::correct)
        worst = std::max(worst, each.worst_share);
    }
    if (all == 0) continue;
    std::string text = fmt::format("{}: {} of {} cases run are correct",
                                   name(type), right, all);
    if (unjudged > 0) text += fmt::format(", {} unjudged", unjudged);
    if (right > 0)
      text += fmt::format("; largest error {:.0f}% of its bound", 100 * worst);
    out.line(text);
  }
}

// The launches of the case that was counted, each with a column for every
// element type; the lines are those of the first.
inline void print_counters(const record& told, const excerpt* from,
                           stream& out) {
  if (!told.not_counted.empty())
    for (const std::string& each :
         wrapped("counters: " + printable(told.not_counted), out.width()))
      out.line(each);
  std::vector<std::uint64_t> launches;
  for (const counted_launch& each : told.counters)
    if (std::find(launches.begin(), launches.end(), each.launch) ==
        launches.end())
      launches.push_back(each.launch);
  std::sort(launches.begin(), launches.end());
  for (const std::uint64_t number : launches) {
    std::vector<counted_column> columns;
    std::vector<std::string> cases;
    for (const counted_launch& each : told.counters) {
      if (each.launch != number) continue;
      columns.push_back({each.element_type, &each.of});
      if (std::find(cases.begin(), cases.end(), each.test_case) == cases.end())
        cases.push_back(each.test_case);
    }
    std::string head = fmt::format("launch {} of {}, case ", number + 1,
                                   launches.size());
    for (const std::string& each : cases)
      head += (&each == &cases.front() ? "" : ", ") + printable(each);
    out.line("");
    out.line(out.paint(colour::bold, head));
    counter_tables::print_totals(columns, out);
    out.line("");
    out.line("lines that cost most, " + columns.front().head + ":");
    print_lines(*columns.front().of,
                from && !columns.front().of->of_ptx ? from->source : "",
                from ? from->first_line : 1, out);
  }
}

[[nodiscard]] inline exit_code tell(const check_command& asked,
                                    const std::vector<family>& known,
                                    stream& out, stream& trouble) {
  const auto complain = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
  };
  if (!asked.family.empty() && !find_family(known, asked.family)) {
    trouble.line("skillbench: " + no_such_family(asked.family, known));
    return exit_code::misuse;
  }
  auto text = gathering::read_text(asked.file);
  if (!text) {
    complain(text.error().what);
    return exit_code::misuse;
  }
  sample of;
  of.path = asked.file;
  of.id = asked.file;
  of.output = std::move(text).value();
  of.task = asked.family.empty() ? gathering::family_named(of.output, known)
                                 : asked.family;
  if (of.task.empty()) {
    complain(asked.file + ": which family it is for cannot be told from its "
                          "launch manifest: name it with --family");
    return exit_code::misuse;
  }
  if (!asked.test_case.empty()) {
    std::vector<std::string> cases;
    for (const test_case& each : find_family(known, of.task)->cases)
      cases.push_back(each.name);
    if (std::find(cases.begin(), cases.end(), asked.test_case) == cases.end()) {
      const std::string best = nearest(asked.test_case, cases);
      complain(of.task + " has no public case `" + asked.test_case + "`" +
               (best.empty() ? "" : "; did you mean `" + best + "`?"));
      return exit_code::misuse;
    }
  }
  const extracted pieces = extract(of.output);

  auto opened = devices::open(asked.device, asked.cache, asked.isolation);
  if (!opened) {
    complain(opened.error().what);
    return exit_code::broken;
  }
  auto on = opened.value()->make();
  if (!on) {
    complain(on.error().what);
    return exit_code::broken;
  }
  plan how{.seed = asked.seed,
           .schedules = asked.schedules,
           .threads = asked.threads,
           .count = {asked.counters, asked.test_case, true}};
  how.measure.wanted = !asked.no_time;
  how.measure.cold = !asked.hot;
  how.measure.by = asked.timer == "graph"   ? calls_by::graph
                   : asked.timer == "calls" ? calls_by::one
                                            : calls_by::automatic;
  how.measure.sustained_seconds = asked.sustained;
  how.measure.test_case = asked.test_case;
  how.measure.vendor = asked.vendor;
  how.measure.shapes = asked.shapes;
  if (!asked.metrics.empty()) how.measure.metrics = asked.metrics;
  if (!opened.value()->no_gpu().empty()) how.no_gpu = opened.value()->no_gpu();
  const auto told = evaluate(of, known, *on.value(), how);
  if (!told) {
    complain(told.error().what);
    return exit_code::broken;
  }
  const record& one = told.value();
  if (asked.json) {
    out.line(write_record(one));
    return exit_code::fine;
  }

  out.line(printable(asked.file) + " (" + one.of.task + "): " +
           out.paint(colour_of(one.what), name(one.what)));
  if (one.what == outcome::unjudged)
    for (const std::string& each :
         wrapped(printable(one.reason), out.width() - 2))
      out.line("  " + each);
  print_cases(one, out);
  if (one.what == outcome::correct)
    for (const std::string& each :
         wrapped(printable("speed: " + one.speed), out.width()))
      out.line(each);
  if (asked.vendor || asked.shapes)
    for (const timed_case& each : one.timings)
      for (const std::string& line : wrapped(printable(words_of(each)), out.width() - 2))
        out.line("  " + line);
  for (const finding_group& each : grouped(one.findings)) {
    out.line("");
    print_finding(each, of, pieces.found ? &*pieces.found : nullptr, out);
  }
  if (asked.counters)
    print_counters(one, pieces.found ? &*pieces.found : nullptr, out);
  return exit_code::fine;
}

}  // namespace skillbench::cli
