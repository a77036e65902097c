#pragma once
// records.hpp: the records of a run, from its folder or from a file of lines.
//
// Layer   6. store.hpp reads the lines of a folder, json_record.hpp what they say.
// Order   as they stand. Of several records of one output the last counts, as
//         after a run that was resumed or repeated in the same folder.
// Errors  A line that cannot be used is told in `troubles` and the rest is read.
//         not_found and what the system says for the folder or file itself.
// Source  The sources that were judged stand beside the records, by their hash:
//         see source_file.

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/record.hpp>
#include <skillbench/store.hpp>

namespace skillbench {

struct record_pile {
  std::vector<record> records;
  std::vector<fault> troubles;
  std::size_t replaced = 0;  // by a later record of the same output
};

namespace records_of {

class gatherer {
 public:
  explicit gatherer(record_pile& into) : into_(into) {}

  void take(std::string_view line, const std::string& where) {
    auto one = read_record(line);
    if (!one) {
      into_.troubles.push_back(
          {reason::bad_input,
           where + ": a record that cannot be used: " + one.error().what});
      return;
    }
    record& told = one.value();
    const sample& of = told.of;
    const auto [at, fresh] = places_.try_emplace(
        {of.model, of.arm, of.skill, of.task,
         of.id.empty() ? of.path + '\n' + std::to_string(of.draw) : of.id},
        into_.records.size());
    if (fresh) return into_.records.push_back(std::move(told));
    into_.records[at->second] = std::move(told);
    ++into_.replaced;
  }

 private:
  using identity = std::tuple<std::string, std::string, std::string,
                              std::string, std::string>;
  record_pile& into_;
  std::map<identity, std::size_t> places_;
};

}  // namespace records_of

// `path`: a folder of records, or a file with a record a line ("run --json").
[[nodiscard]] inline result<record_pile> read_records(const std::string& path) {
  record_pile made;
  records_of::gatherer all(made);
  std::error_code trouble;
  const auto kind = std::filesystem::status(path, trouble).type();
  if (kind == std::filesystem::file_type::not_found)
    return fault{reason::not_found,
                 path + ": there is no such folder or file of records"};
  if (kind == std::filesystem::file_type::directory) {
    const auto done = read_store(
        path,
        [&](std::string_view line, const store_place& at) {
          all.take(line, store_file::path_of(path, at.segment));
        },
        made.troubles);
    if (!done) return done.error();
    if (made.records.empty() && made.troubles.empty())
      return fault{reason::not_found,
                   path + ": there are no records in this folder"};
    return made;
  }
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return fault{reason::no_permission, path + ": cannot be read"};
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    all.take(line, path + ":" + std::to_string(number));
  }
  if (made.records.empty() && made.troubles.empty())
    return fault{reason::not_found, path + ": there are no records in it"};
  return made;
}

// Where the source with this hash is kept in a folder of records; "" for what is
// no hash.
[[nodiscard]] inline std::string source_file(const std::string& folder,
                                             const std::string& hash) {
  if (hash.empty() || hash.size() > 64 ||
      hash.find_first_not_of("0123456789abcdef") != std::string::npos)
    return "";
  return folder + "/sources/" + hash + ".cu";
}

// Keeps a source there, once; one that is there already is left alone.
[[nodiscard]] inline result<done> write_source(const std::string& folder,
                                               const std::string& hash,
                                               const std::string& text) {
  const std::string path = source_file(folder, hash);
  std::error_code trouble;
  if (path.empty() || std::filesystem::exists(path, trouble)) return done{};
  // The folder, too: somebody may have removed it meanwhile.
  std::filesystem::create_directories(folder + "/sources", trouble);
  const std::string beside = path + "." + std::to_string(::getpid());
  {
    std::ofstream to(beside, std::ios::binary | std::ios::trunc);
    to.write(text.data(), static_cast<std::streamsize>(text.size()));
    to.close();
    if (to) std::filesystem::rename(beside, path, trouble);
    if (to && !trouble) return done{};
  }
  std::remove(beside.c_str());
  return fault{reason::io, "cannot write " + path};
}

[[nodiscard]] inline std::optional<std::string> read_source(
    const std::string& folder, const std::string& hash,
    std::size_t most = std::size_t{1} << 20) {
  const std::string path = source_file(folder, hash);
  if (path.empty()) return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::string text(most, '\0');
  in.read(text.data(), static_cast<std::streamsize>(most));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

}  // namespace skillbench
