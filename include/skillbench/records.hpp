#pragma once
// records.hpp: the records of a run, from its folder or from a file of lines.
//
// Layer   6. store.hpp reads the lines of a folder, json_record.hpp what they say.
// Order   as they stand. Of several records of one output the last counts, as
//         after a run that was resumed or repeated in the same folder.
// Trust   A folder of records may come from somebody else. A source that is a
//         link is not read, nor one that is no regular file: a report would send
//         around what it points at. A line that does not end is given up.
// Errors  A line that cannot be used is told in `troubles` and the rest is read.
//         not_found and what the system says for the folder or file itself.
// Source  The sources that were judged stand beside the records, by their hash:
//         see source_file.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <skillbench/case_scan.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/hash.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/record.hpp>
#include <skillbench/store.hpp>
#include <skillbench/whole_file.hpp>

namespace skillbench {

struct record_pile {
  std::vector<record> records;
  std::vector<fault> troubles;
  std::size_t replaced = 0;  // by a later record of the same output
};

namespace records_of {

class gatherer {
 public:
  gatherer(record_pile& into, bool fold) : into_(into), fold_(fold) {}

  void take(std::string_view line, const std::string& where) {
    std::optional<scanned_cases> cases;
    if (fold_) cases = scan_cases(line);
    auto one = read_record(cases ? cases->rest : line);
    if (!one) {
      into_.troubles.push_back(
          {reason::bad_input,
           where + ": a record that cannot be used: " + one.error().what});
      return;
    }
    record& told = one.value();
    if (cases)
      told.folded = std::move(cases->sums);
    else if (fold_)
      fold_cases(told);
    put(std::move(told), "");
  }

  // A record of another pile. Two samplings may use the same names, so it is of the
  // same output only where its source is the same too, or, without a source, all
  // that is told of it.
  void take(record told) {
    const std::string source = told.source_hash.empty()
                                   ? sha256(write_record(of_the_output(told)))
                                   : told.source_hash;
    put(std::move(told), source);
  }

 private:
  // Without what another run of the same output says otherwise.
  static record of_the_output(record told) {
    const record nothing;
    told.schema = nothing.schema;
    told.skillbench_version = nothing.skillbench_version;
    told.device = nothing.device;
    told.isolation = nothing.isolation;
    told.gpu_isolation = nothing.gpu_isolation;
    told.key = nothing.key;
    told.same_as = nothing.same_as;
    told.seed = nothing.seed;
    told.seconds = nothing.seconds;
    told.of.path = nothing.of.path;
    return told;
  }

  void put(record told, const std::string& source) {
    const sample& of = told.of;
    const auto [at, fresh] = places_.try_emplace(
        {of.model, of.arm, of.skill, of.task,
         of.id.empty() ? of.path + '\n' + std::to_string(of.draw) : of.id,
         source},
        into_.records.size());
    if (fresh) return into_.records.push_back(std::move(told));
    into_.records[at->second] = std::move(told);
    ++into_.replaced;
  }

  using identity = std::tuple<std::string, std::string, std::string,
                              std::string, std::string, std::string>;
  record_pile& into_;
  bool fold_;
  std::map<identity, std::size_t> places_;
};

}  // namespace records_of

// `path`: a folder of records, or a file with a record a line ("run --json").
// `fold`: of cases their sums alone, as fold_cases leaves them.
[[nodiscard]] inline result<record_pile> read_records(const std::string& path,
                                                      bool fold = false) {
  record_pile made;
  records_of::gatherer all(made, fold);
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
  // A pipe is read like a file.
  const store_file::held in(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (in.get() < 0)
    return fault{reason::no_permission,
                 path + ": cannot be read: " + std::strerror(errno)};
  std::size_t number = 0;
  std::string line, block(store_file::block, '\0');
  const auto end_line = [&] {
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string::npos)
      all.take(line, path + ":" + std::to_string(number));
    line.clear();
  };
  for (;;) {
    const ssize_t got = ::read(in.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      made.troubles.push_back({reason::io, path + ": cannot be read: " +
                                               std::strerror(errno)});
    if (got <= 0) break;
    std::string_view left(block.data(), static_cast<std::size_t>(got));
    while (!left.empty()) {
      const std::size_t end = left.find('\n');
      line += left.substr(0, end);
      if (end == left.npos) break;
      end_line();
      left.remove_prefix(end + 1);
    }
    if (line.size() > store_line::most_bytes) {
      made.troubles.push_back(
          {reason::too_large,
           path + ":" + std::to_string(number + 1) + ": a line of more than " +
               std::to_string(store_line::most_bytes >> 20) +
               " MB; nothing behind it is read"});
      line.clear();
      break;
    }
  }
  if (!line.empty()) end_line();
  if (made.records.empty() && made.troubles.empty())
    return fault{reason::not_found, path + ": there are no records in it"};
  return made;
}

// ---- what could not be tried -------------------------------------------------

// An output that left no record, for a reason of ours.
struct not_tried {
  std::string id;  // or its path
  reason why = reason::internal;
  std::string what;
};

[[nodiscard]] inline std::string not_tried_file(const std::string& folder) {
  return folder + "/not_tried.jsonl";
}

// Keeps them in a file, a JSON line each; what an earlier run left there goes. No
// file where there is none.
[[nodiscard]] inline result<done> write_not_tried(
    const std::string& path, const std::vector<not_tried>& all) {
  if (all.empty()) {
    ::unlink(path.c_str());
    return done{};
  }
  std::string text;
  for (const not_tried& each : all)
    text += json_text::line_of({{"id", each.id},
                                {"reason", name(each.why)},
                                {"what", each.what}}) +
            "\n";
  return write_whole(path, text, whole_file::own);
}

// Lines of a regular file that is no link; 0 for anything else.
[[nodiscard]] inline std::size_t count_lines(const std::string& path) {
  const store_file::held in(::open(
      path.c_str(),
      O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat seen {};
  if (in.get() < 0 || ::fstat(in.get(), &seen) != 0 || !S_ISREG(seen.st_mode))
    return 0;
  std::size_t lines = 0;
  for (std::int64_t at = 0;;) {
    const auto bytes = store_file::read_at(in, path, at, store_file::block);
    if (!bytes || bytes.value().empty()) return lines;
    at += static_cast<std::int64_t>(bytes.value().size());
    lines += static_cast<std::size_t>(
        std::count(bytes.value().begin(), bytes.value().end(), '\n'));
  }
}

// How many they are; 0 for a path that is no folder of records.
[[nodiscard]] inline std::size_t count_not_tried(const std::string& folder) {
  return count_lines(not_tried_file(folder));
}

// ---- sources ------------------------------------------------------------------

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
  return write_whole(path, text, whole_file::own);
}

[[nodiscard]] inline std::optional<std::string> read_source(
    const std::string& folder, const std::string& hash,
    std::size_t most = std::size_t{1} << 20) {
  const std::string path = source_file(folder, hash);
  if (path.empty()) return std::nullopt;
  const store_file::held in(::open(
      path.c_str(),
      O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat seen {};
  if (in.get() < 0 || ::fstat(in.get(), &seen) != 0 || !S_ISREG(seen.st_mode))
    return std::nullopt;
  auto text = store_file::read_at(
      in, path, 0,
      std::min(most, static_cast<std::size_t>(
                         std::max<off_t>(seen.st_size, 0))));
  if (!text) return std::nullopt;
  return std::move(text).value();
}

}  // namespace skillbench
