#pragma once
// assert_output.hpp: the assertions of a suite, judged on a model's output.
//
// Layer   6. assertion.hpp says what each one means; here are the files, the
//         commands and the rules of a build.toml.
// Whose   A case of a suite is of the outputs of its family; one that names no
//         family is of the task that has its id.
// Never   an outcome: a record keeps what was said, a report tells it.
// Trust   A command runs as you, with your rights, in a folder that holds a copy
//         of what a model wrote: whoever allows commands trusts the suite and
//         the outputs. It gets no more than a minute of CPU time and two of the
//         clock, an empty environment but for PATH, HOME and LANG, and is killed
//         with all it started.

#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <skillbench/assertion.hpp>
#include <skillbench/child.hpp>
#include <skillbench/digest.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/read_build_toml.hpp>
#include <skillbench/record.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/scratch.hpp>
#include <skillbench/suite.hpp>

namespace skillbench {

inline constexpr double most_command_seconds = 120;
inline constexpr std::uint64_t most_command_cpu_seconds = 60;
inline constexpr std::size_t most_output_files = 1000;

// The cases of a suite that an output is judged by.
[[nodiscard]] inline std::vector<const suite_case*> cases_of(
    const suite& by, const sample& given) {
  std::vector<const suite_case*> all;
  for (const suite_case& each : by.cases)
    if (each.family.empty() ? each.id == given.task
                            : each.family == given.task)
      all.push_back(&each);
  return all;
}

// The files of an output that is a folder, by their path in it; nothing for one
// that is a single text. Links are not followed.
[[nodiscard]] inline std::optional<output_files> files_of(
    const sample& given) {
  namespace fs = std::filesystem;
  std::error_code wrong;
  if (given.path.empty() || !fs::is_directory(given.path, wrong))
    return std::nullopt;
  output_files all;
  std::size_t bytes = 0;
  fs::recursive_directory_iterator at(given.path, wrong);
  for (; !wrong && at != fs::recursive_directory_iterator();
       at.increment(wrong)) {
    std::error_code unknown;
    if (at->is_symlink(unknown) || !at->is_regular_file(unknown)) continue;
    auto text = gathering::read_text(at->path());
    if (!text) continue;
    bytes += text.value().size();
    if (all.size() == most_output_files || bytes > most_output_bytes) break;
    all[at->path().lexically_relative(given.path).generic_string()] =
        std::move(text).value();
  }
  return all;
}

// Runs a command line with the shell in a folder with copies of these files, and
// tells its exit status.
[[nodiscard]] inline result<int> run_command_on(const std::string& command,
                                                const output_files& files) {
  namespace fs = std::filesystem;
  auto in = scratch_folder::make();
  if (!in) return in.error();
  for (const auto& [name, text] : files) {
    if (!assertions::stays_inside(name)) continue;
    const fs::path path = fs::path(in.value().path()) / name;
    std::error_code wrong;
    fs::create_directories(path.parent_path(), wrong);
    std::ofstream to(path, std::ios::binary);
    to.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!to.flush())
      return fault{reason::io, "cannot write " + path.string()};
  }
  child_command asked;
  asked.program = "/bin/sh";
  asked.arguments = {"-c", "cd \"$1\" && exec /bin/sh -c \"$2\"", "sh",
                     in.value().path(), command};
  for (const char* const name : {"PATH", "HOME", "LANG"})
    if (const char* const value = ::getenv(name))
      asked.environment.push_back(std::string(name) + "=" + value);
  child_limits limits;
  limits.address_space = 0;
  limits.cpu_seconds = most_command_cpu_seconds;
  limits.open_files = 1024;
  limits.file_bytes = std::uint64_t{1} << 30;
  auto one = child::start(asked, limits);
  if (!one) return one.error();
  if (!one.value().wait(deadline::in(most_command_seconds))) {
    (void)one.value().stop();
    return fault{reason::child_timed_out,
                 "the command was stopped after " +
                     std::to_string(static_cast<int>(most_command_seconds)) +
                     " seconds"};
  }
  const child_end end = one.value().stop();
  if (end.exit_code) return *end.exit_code;
  return fault{reason::child_died, "the command was ended: " + words(end)};
}

[[nodiscard]] inline std::vector<std::string> wrong_in_build_toml(
    std::string_view text, int least) {
  return lint_build_toml(text, least).wrong;
}

// All that a verdict on assertions depends on beside the output's text: for a
// key. "" for no suite.
[[nodiscard]] inline std::string assertion_key(const suite& by,
                                               std::string_view suite_text,
                                               bool commands,
                                               const sample& given) {
  digest all;
  all.field(suite_text);
  all.number(commands);
  if (!cases_of(by, given).empty())
    if (const auto files = files_of(given))
      for (const auto& [name, text] : *files) {
        all.field(name);
        all.field(text);
      }
  return all.text();
}

// Judges them one by one and keeps what was said in the record, whose source
// and PTX are still there.
inline void judge_assertions(record& told, const sample& given,
                             const suite& by, bool commands) {
  const auto cases = cases_of(by, given);
  if (cases.empty()) return;
  asserted seen;
  seen.output = given.output;
  const auto files = files_of(given);
  if (!told.source.empty()) seen.source = told.source;
  if (!told.ptx.empty()) seen.ptx = told.ptx;
  if (commands) seen.run = &run_command_on;
  seen.lint = &wrong_in_build_toml;
  for (const suite_case* const each : cases)
    for (const assertion& asked : each->assertions) {
      // A single text has no files of its own; a command finds it as one.
      seen.files = files;
      if (!files && asked.kind == assertion::type::command)
        seen.files = output_files{{"output.md", given.output}};
      assertion_result said = judge(asked, seen);
      told.assertions.push_back(
          {asked.kind, words_of(asked), said.said, std::move(said.why)});
    }
}

}  // namespace skillbench
