#pragma once
// read_upskill.hpp: a folder of upskill's runs to records.
//
// Layer   6. json_upskill.hpp reads the files, upskill.hpp makes records.
// Folder  runs/<batch>/run_<n>/ with run_result.json and run_metadata.json, a
//         batch, or a run. A batch without the results of its runs is read from
//         its batch_summary.json. A run_metadata.json alone is a run that never
//         ended: counted as not answered.
// Errors  Each file that cannot be read is one fault in `troubles`; the rest is
//         returned. A folder that is not there is a fault.
// Trust   Links are not followed, and a file is read up to 8 MB.
// Order   by name, numbers by their value: run_2 comes before run_10.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <skillbench/extract.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_upskill.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/upskill.hpp>

namespace skillbench {

namespace upskill {

namespace fs = std::filesystem;

// Digits count by value.
[[nodiscard]] inline bool comes_before(const std::string& a,
                                       const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    std::size_t i_end = i, j_end = j;
    while (i_end < a.size() && digit(a[i_end])) ++i_end;
    while (j_end < b.size() && digit(b[j_end])) ++j_end;
    while (i + 1 < i_end && a[i] == '0') ++i;
    while (j + 1 < j_end && b[j] == '0') ++j;
    if (i_end - i != j_end - j) return i_end - i < j_end - j;
    if (const int order = a.compare(i, i_end - i, b, j, j_end - j); order != 0)
      return order < 0;
    i = i_end;
    j = j_end;
  }
  return a.size() - i < b.size() - j;
}

inline std::vector<std::string> folders_in(const fs::path& folder,
                                           imported_runs& into) {
  std::vector<std::string> names;
  std::error_code wrong;
  for (fs::directory_iterator at(folder, wrong);
       !wrong && at != fs::directory_iterator(); at.increment(wrong)) {
    std::error_code unknown;
    if (at->symlink_status(unknown).type() == fs::file_type::directory &&
        !gathering::is_hidden(at->path()))
      names.push_back(at->path().filename().string());
  }
  if (wrong)
    into.troubles.push_back(
        {reason::io, folder.string() + ": cannot be read: " + wrong.message()});
  std::sort(names.begin(), names.end(), comes_before);
  return names;
}

inline bool has(const fs::path& folder, const char* file) {
  std::error_code wrong;
  return fs::symlink_status(folder / file, wrong).type() ==
         fs::file_type::regular;
}

inline result<std::string> text_of(const fs::path& file) {
  auto text = gathering::read_text(file);
  if (text && text.value().size() > most_output_bytes)
    return fault{reason::too_large, file.string() + ": is longer than " +
                                        std::to_string(most_output_bytes) +
                                        " bytes"};
  return text;
}

// "<batch>/<run>"
inline std::string name_of(const fs::path& run) {
  std::error_code wrong;
  const fs::path whole = fs::absolute(run, wrong).lexically_normal();
  const fs::path plain =
      whole.filename().empty() ? whole.parent_path() : whole;
  return (plain.parent_path().filename() / plain.filename()).string();
}

inline void read_run(const fs::path& folder, imported_runs& into) {
  const fs::path file = folder / "run_result.json";
  const auto text = text_of(file);
  if (!text) {
    into.troubles.push_back(text.error());
    return;
  }
  auto run = read_upskill_run(text.value());
  if (!run) {
    into.troubles.push_back(
        {run.error().why, file.string() + ": " + run.error().what});
    return;
  }
  run.value().name = name_of(folder);  // the number within is not always its own
  add_run(run.value(), into);
}

inline void read_summary(const fs::path& folder, imported_runs& into) {
  const fs::path file = folder / "batch_summary.json";
  const auto text = text_of(file);
  if (!text) {
    into.troubles.push_back(text.error());
    return;
  }
  const auto runs = read_upskill_batch(text.value());
  if (!runs) {
    into.troubles.push_back(
        {runs.error().why, file.string() + ": " + runs.error().what});
    return;
  }
  std::size_t number = 0;
  for (upskill_run run : runs.value()) {
    run.name = name_of(folder / ("run_" + std::to_string(++number)));
    add_run(run, into);
  }
}

// True when the results of runs were in it.
inline bool read_folder(const fs::path& folder, int levels,
                        imported_runs& into) {
  if (has(folder, "run_result.json")) {
    read_run(folder, into);
    return true;
  }
  if (has(folder, "run_metadata.json")) {
    into.unanswered.push_back(
        {name_of(folder), "it has no result: it did not come to an end", 0});
    return false;
  }
  bool found = false;
  if (levels > 0)
    for (const std::string& name : folders_in(folder, into))
      found = read_folder(folder / name, levels - 1, into) || found;
  if (!found && has(folder, "batch_summary.json")) {
    read_summary(folder, into);
    found = true;
  }
  return found;
}

}  // namespace upskill

[[nodiscard]] inline result<imported_runs> read_upskill_runs(
    const std::string& path) {
  std::error_code wrong;
  const std::filesystem::path folder(path);
  const auto is = std::filesystem::status(folder, wrong);
  if (is.type() == std::filesystem::file_type::not_found)
    return fault{reason::not_found, path + ": there is no such folder"};
  if (is.type() != std::filesystem::file_type::directory)
    return fault{reason::bad_input, path + ": is no folder"};
  imported_runs made;
  upskill::read_folder(folder, 3, made);
  if (made.runs == 0 && made.unanswered.empty() && made.troubles.empty())
    return fault{reason::not_found,
                 path + ": there is no run_result.json in it; expected a "
                        "folder runs/<batch>/run_<n>"};
  return made;
}

}  // namespace skillbench
