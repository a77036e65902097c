#pragma once
// cli/selftest.hpp: `skillbench selftest`: the known right and wrong kernels,
// judged and held against what each says of itself.
//
// Layer   7.
// Files   kernels/<family>/right/*.md and wrong/*.md. One of the first lines is
//         <!-- expect: outcome=faults finding=out_of_bounds; why: ... -->
//         `finding` may stand several times; each must be among those found.
//         `basic=OUTCOME` or `basic=leaks` says how it ends where a worker can read
//         other people's files.
//         A family's h100.cu must be correct, with no finding that fails.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <skillbench/campaign.hpp>
#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/cache.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/families.hpp>
#include <skillbench/cli/progress.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/samples.hpp>

namespace skillbench::cli {

struct expectation {
  std::string outcome;
  std::vector<std::string> findings;
  std::string why;
  std::string basic = {};  // an outcome, or "leaks"; "": as elsewhere
  bool leaks = false;  // what it should not see is to be in its record
};

// From the text of a file; none if its first lines do not say.
[[nodiscard]] inline std::optional<expectation> parse_expectation(
    std::string_view text) {
  constexpr std::string_view mark = "<!-- expect:";
  constexpr std::size_t most_offset = 2000;
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos || at > most_offset) return std::nullopt;
  text.remove_prefix(at + mark.size());
  const std::size_t end = text.find("-->");
  if (end == std::string_view::npos) return std::nullopt;
  text = text.substr(0, end);

  expectation made;
  if (const std::size_t why = text.find("; why:"); why != text.npos) {
    made.why = std::string(text.substr(why + 6));
    text = text.substr(0, why);
  }
  while (true) {
    const std::size_t start = text.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const std::size_t stop =
        std::min(text.find_first_of(" \t\r\n"), text.size());
    const std::string_view word = text.substr(0, stop);
    text.remove_prefix(stop);
    const std::size_t sign = word.find('=');
    if (sign == std::string_view::npos) return std::nullopt;
    const std::string value(word.substr(sign + 1));
    if (word.starts_with("outcome="))
      made.outcome = value;
    else if (word.starts_with("finding="))
      made.findings.push_back(value);
    else if (word.starts_with("basic="))
      made.basic = value;
    else
      return std::nullopt;
  }
  if (made.outcome.empty()) return std::nullopt;
  return made;
}

// "" when the record is as expected, otherwise what differs.
[[nodiscard]] inline std::string differs(const expectation& wanted,
                                         const record& told) {
  if (name(told.what) != wanted.outcome)
    return std::string(name(told.what)) + ", not " + wanted.outcome + ": " +
           told.reason;
  for (const std::string& each : wanted.findings)
    if (std::none_of(told.findings.begin(), told.findings.end(),
                     [&](const finding& one) { return name(one.kind) == each; }))
      return "no finding " + each;
  return "";
}

// The folder of families beside this program: in a build folder, in the
// sources, or where it was installed.
[[nodiscard]] inline result<std::string> find_kernels() {
  const auto program = own_path();
  if (!program) return program.error();
  const std::filesystem::path folder =
      std::filesystem::path(program.value()).parent_path();
  std::error_code ignored;
  for (const char* each : {"../kernels", "../share/skillbench/kernels"}) {
    const auto at = (folder / each).lexically_normal();
    if (std::filesystem::is_regular_file(at / "contract.md", ignored))
      return at.string();
  }
  return fault{reason::not_found,
               "cannot find the folder of families beside " + program.value() +
                   ": name it with --kernels DIR"};
}

struct selftest_file {
  sample given;
  expectation wanted;
};

// The files of some folders of each family; `best`: its h100.cu as well.
[[nodiscard]] inline result<std::vector<selftest_file>> selftest_files(
    const std::string& kernels, const std::vector<family>& known,
    const std::string& only, const std::vector<std::string>& kinds,
    bool with_best) {
  namespace fs = std::filesystem;
  std::vector<selftest_file> found;
  for (const family& each : known) {
    if (!only.empty() && each.name != only) continue;
    const fs::path best = fs::path(kernels) / each.name / "h100.cu";
    if (std::error_code ignored; with_best && fs::exists(best, ignored)) {
      auto text = gathering::read_text(best);
      if (!text) return text.error();
      selftest_file one;
      one.given.path = best.string();
      one.given.id = each.name + "/h100";
      one.given.task = each.name;
      one.given.output = gathering::in_fence(text.value());
      one.wanted.outcome = "correct";
      found.push_back(std::move(one));
    }
    for (const std::string& kind : kinds) {
      const fs::path folder = fs::path(kernels) / each.name / kind;
      std::error_code failed;
      std::vector<fs::path> files;
      for (fs::directory_iterator at(folder, failed), end;
           !failed && at != end; at.increment(failed))
        if (at->path().extension() == ".md") files.push_back(at->path());
      std::sort(files.begin(), files.end());
      for (const fs::path& file : files) {
        auto text = gathering::read_text(file);
        if (!text) return text.error();
        auto wanted = parse_expectation(text.value());
        if (!wanted)
          return fault{reason::bad_input,
                       file.string() +
                           ": its first lines hold no <!-- expect: "
                           "outcome=... -->"};
        selftest_file one;
        one.given.path = file.string();
        one.given.id =
            each.name + "/" + kind + "/" + file.stem().string();
        one.given.task = each.name;
        one.given.output = std::move(text).value();
        one.wanted = std::move(*wanted);
        found.push_back(std::move(one));
      }
    }
  }
  return found;
}

// Judges the files and holds each record against what its file says. `leaked` says
// of a record what secret it holds.
[[nodiscard]] inline exit_code judge_expected(
    const std::vector<selftest_file>& files, const selftest_command& asked,
    const std::vector<family>& known, stream& out, stream& trouble,
    const std::function<std::string(const record&)>& leaked = {}) {
  const auto complain = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
  };
  auto opened = devices::open(asked.device, asked.cache, asked.isolation);
  if (!opened) {
    complain(opened.error().what);
    return exit_code::broken;
  }
  devices& on = *opened.value();

  std::vector<sample> samples;
  for (const selftest_file& each : files) samples.push_back(each.given);
  table all({"file", "expected", "judged", ""});
  std::vector<std::string> differences;
  std::size_t at = 0, faults = 0, leaks = 0, unexpected = 0;
  progress_line line(trouble);

  campaign_plan how;
  how.each.seed = asked.seed;
  how.each.measure.wanted = false;
  how.jobs = asked.jobs;
  how.make_device = [&] { return on.make(); };
  how.watch = [&](const progress& now) { line.show(now); };
  how.cancelled = [] { return stop_asked.load(); };
  how.stop = [&] { on.stop(); };
  how.take = [&](const sample& of,
                 const result<record>& one) -> result<done> {
    const expectation& wanted = files[at++].wanted;
    if (!one) ++faults;
    std::string how_so = one ? differs(wanted, one.value()) : one.error().what;
    const std::string leak = one && leaked ? leaked(one.value()) : "";
    if (!leak.empty()) ++leaks;
    if (!leak.empty() && !wanted.leaks) {
      ++unexpected;
      how_so = leak;
    } else if (one && leak.empty() && wanted.leaks && how_so.empty()) {
      how_so = "its record holds nothing that it should not see";
    }
    all.add({of.id, wanted.outcome + (wanted.leaks ? ", leaks" : ""),
             one ? std::string(name(one.value().what)) +
                       (leak.empty() ? "" : ", leaks")
                 : "not tried",
             how_so.empty() ? "as expected" : "DIFFERS"});
    if (!how_so.empty()) differences.push_back(of.id + ": " + how_so);
    return done{};
  };
  const result<progress> judged = [&] {
    const stop_signals signals;
    return run_campaign(samples, known, how);
  }();
  line.end();
  tell_caches(on.cache_words(),
              judged ? judged.value().references : reference_counts{}, trouble);
  all.print(out);
  for (const std::string& each : differences) {
    out.line("");
    for (const std::string& row : wrapped(printable(each), out.width()))
      out.line(row);
  }
  if (!judged) {
    complain(judged.error().what);
    return judged.error().why == reason::cancelled ? exit_code::stopped
                                                   : exit_code::broken;
  }
  out.line(fmt::format("\n{} of {} as expected",
                       samples.size() - differences.size(), samples.size()) +
           (leaks > 0 ? fmt::format("; {} leaked", leaks) : ""));
  if (unexpected > 0) return exit_code::differs;  // whatever was not tried
  if (faults > 0) return exit_code::broken;
  return differences.empty() ? exit_code::fine : exit_code::differs;
}

[[nodiscard]] inline exit_code tell(const selftest_command& asked,
                                    const std::vector<family>& known,
                                    stream& out, stream& trouble) {
  const auto complain = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
  };
  if (!asked.family.empty() && !find_family(known, asked.family)) {
    trouble.line("skillbench: " + no_such_family(asked.family, known));
    return exit_code::misuse;
  }
  auto kernels = asked.kernels.empty() ? find_kernels()
                                       : result<std::string>(asked.kernels);
  if (!kernels) {
    complain(kernels.error().what);
    return exit_code::misuse;
  }
  auto files = selftest_files(kernels.value(), known, asked.family,
                              {"right", "wrong"}, true);
  if (!files) {
    complain(files.error().what);
    return exit_code::misuse;
  }
  if (files.value().empty()) {
    complain(kernels.value() +
             " holds no right/*.md and no wrong/*.md of a family");
    return exit_code::misuse;
  }
  return judge_expected(files.value(), asked, known, out, trouble);
}

}  // namespace skillbench::cli
