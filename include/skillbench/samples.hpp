#pragma once
// samples.hpp: the outputs to judge, from a list, a folder or a file.
//
// Layer   6. Reads files; json_sample.hpp reads the lines of a list.
// List    samples.jsonl, one JSON object a line; `output` is a path in the
//         list's own folder, or `text` is the output itself. A folder that has
//         a samples.jsonl is read by it alone.
// Folder  <model>/<arm>/<task>/<draw>.md or .cu, or <draw>/ with files that are
//         one output together. A folder inside this order may be given.
// File    its place in that order, or else the family its manifest names.
// Errors  Each thing that cannot be read is one fault in `troubles`, named by
//         its path; the rest is returned. An empty output is an output.
// Trust   Nothing outside a list's or a folder's own folder is read: no
//         absolute path, no `..`, no link that leads out. Pipes and devices are
//         never opened to wait.
// Order   by model, arm, task and draw in a folder; as written in a list.

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skillbench/extract.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_sample.hpp>
#include <skillbench/read.hpp>
#include <skillbench/sample.hpp>

namespace skillbench {

struct gathered {
  std::vector<sample> samples;
  std::vector<fault> troubles;
};

namespace gathering {

namespace fs = std::filesystem;

inline constexpr std::size_t most_line_bytes = 64u << 20;
inline constexpr std::size_t most_files = 1'000'000;

// A file that is open for reading.
class open_file {
 public:
  static result<open_file> open(const fs::path& path) {
    // O_NONBLOCK: a pipe without a writer must not hold us up.
    const int fd =
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return failed(path, errno);
    open_file made(fd, path);
    struct stat is {};
    if (::fstat(fd, &is) != 0) return failed(path, errno);
    if (!S_ISREG(is.st_mode))
      return fault{reason::bad_input, path.string() + ": is no regular file"};
    return made;
  }
  open_file(open_file&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  open_file& operator=(open_file&&) = delete;
  ~open_file() {
    if (fd_ >= 0) ::close(fd_);
  }

  // Appends up to `most` bytes; the number is 0 at the end.
  result<std::size_t> read(std::string& into, std::size_t most) {
    const std::size_t before = into.size();
    into.resize(before + most);
    ssize_t got = 0;
    do got = ::read(fd_, into.data() + before, most);
    while (got < 0 && errno == EINTR);
    const int error = errno;
    into.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got < 0) return failed(path_, error);
    return static_cast<std::size_t>(got);
  }

 private:
  open_file(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {}
  static fault failed(const fs::path& path, int error) {
    const reason why = error == ENOENT || error == ENOTDIR ? reason::not_found
                       : error == EACCES || error == EPERM
                           ? reason::no_permission
                           : reason::io;
    return {why, path.string() + ": cannot be read: " + std::strerror(error)};
  }
  int fd_;
  fs::path path_;
};

// The text of a file. Of more than an output may have, one byte more: enough
// for extract.hpp to refuse it.
// At most one byte more than `most`, which tells that there is more.
inline result<std::string> read_text(const fs::path& path,
                                     std::size_t most = most_output_bytes) {
  auto file = open_file::open(path);
  if (!file) return file.error();
  std::string text;
  while (text.size() <= most) {
    const std::size_t left = most + 1 - text.size();
    const auto got =
        file.value().read(text, std::min<std::size_t>(left, 256u << 10));
    if (!got) return got.error();
    if (got.value() == 0) break;
  }
  text.shrink_to_fit();  // thousands of them are held at once
  return text;
}

inline bool is_output(const fs::path& path) {
  constexpr std::array<std::string_view, 5> endings = {".md", ".markdown",
                                                       ".txt", ".cu", ".cuh"};
  const std::string ending = path.extension().string();
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

inline bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

// Left over by an editor or a download that did not end.
inline bool is_unfinished(const fs::path& path) {
  const std::string ending = path.extension().string();
  return ending == ".part" || ending == ".tmp" || ending == ".crdownload";
}

// True if `path`, links followed, lies in `folder`.
inline bool lies_in(const fs::path& path, const fs::path& folder) {
  std::error_code wrong;
  const fs::path inner = fs::canonical(path, wrong);
  if (wrong) return false;
  const fs::path outer = fs::canonical(folder, wrong);
  if (wrong) return false;
  const auto [at, rest] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return at == outer.end();
}

struct listed {
  std::vector<fs::path> files;  // that may be outputs, sorted
  std::vector<fault> troubles;
};

// The files below a folder. Links are read when they lead to a file inside it.
inline listed files_below(const fs::path& folder) {
  listed made;
  std::error_code wrong;
  fs::recursive_directory_iterator at(folder, wrong);
  if (wrong) {
    made.troubles.push_back(
        {wrong == std::errc::permission_denied ? reason::no_permission
                                               : reason::io,
         folder.string() + ": cannot be read: " + wrong.message()});
    return made;
  }
  for (; at != fs::recursive_directory_iterator(); at.increment(wrong)) {
    if (wrong) break;
    const fs::path& path = at->path();
    std::error_code unknown;
    if (is_hidden(path)) {
      if (at->is_directory(unknown)) at.disable_recursion_pending();
      continue;
    }
    if (at->is_directory(unknown) && !at->is_symlink(unknown)) {
      // An unreadable folder would end the walk; say so and walk on.
      if (::access(path.c_str(), R_OK | X_OK) != 0) {
        made.troubles.push_back(
            {reason::no_permission,
             path.string() + ": cannot be read: " + std::strerror(errno)});
        at.disable_recursion_pending();
      }
      continue;
    }
    if (is_unfinished(path)) {
      made.troubles.push_back(
          {reason::bad_input, path.string() + ": is not finished"});
      continue;
    }
    if (at->is_symlink(unknown)) {
      if (!lies_in(path, folder)) {
        made.troubles.push_back(
            {reason::bad_input, path.string() +
                                    ": is a link that leads out of " +
                                    folder.string() + " or nowhere"});
        continue;
      }
      if (fs::is_directory(path, unknown)) {
        made.troubles.push_back(
            {reason::bad_input,
             path.string() + ": is a link to a folder, which is not followed"});
        continue;
      }
    }
    if (!is_output(path)) continue;
    made.files.push_back(path);
    if (made.files.size() == most_files) {
      made.troubles.push_back(
          {reason::too_large, folder.string() + ": holds more than " +
                                  std::to_string(most_files) + " files"});
      break;
    }
  }
  if (wrong)
    made.troubles.push_back(
        {reason::io, folder.string() + ": cannot be read: " + wrong.message()});
  std::sort(made.files.begin(), made.files.end());
  return made;
}

// Sources in fences longer than any run of the same sign inside.
inline std::string in_fence(std::string_view source) {
  std::size_t longest = 2, run = 0;
  for (const char c : source) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  return fence + "cuda\n" + std::string(source) +
         (source.ends_with('\n') ? "" : "\n") + fence + "\n";
}

// One output of one or more files: several are told one after another.
inline result<std::string> read_output(const std::vector<fs::path>& files) {
  if (files.size() == 1) return read_text(files.front());
  std::string all;
  for (const fs::path& one : files) {
    auto text = read_text(one);
    if (!text) return text;
    const std::string ending = one.extension().string();
    const bool source = ending == ".cu" || ending == ".cuh";
    all += source ? in_fence(text.value()) : text.value();
    all += "\n";
    if (all.size() > most_output_bytes) break;  // extract.hpp refuses it
  }
  return all;
}

inline bool is_arm(std::string_view word) {
  return word == "baseline" || word == "with_skill";
}

inline std::string task_names(std::span<const family> known) {
  std::string all;
  for (const family& one : known) all += (all.empty() ? "" : ", ") + one.name;
  return all.empty() ? "no task is known" : "there are " + all;
}

inline bool is_task(std::string_view word, std::span<const family> known) {
  return std::any_of(known.begin(), known.end(),
                     [&](const family& one) { return one.name == word; });
}

// What a path says of the output, and which of its parts is the draw.
struct position {
  std::string model, arm, task;
  std::int64_t draw = 0;
  std::size_t draw_part = 0;
};

inline std::vector<std::string> parts_of(const fs::path& path) {
  std::error_code wrong;
  const fs::path whole = fs::absolute(path, wrong);
  std::vector<std::string> parts;
  for (const fs::path& part : (wrong ? path : whole).lexically_normal())
    if (!part.empty() && part != "/") parts.push_back(part.string());
  return parts;
}

// Of a file whose arm is at part `first` or below.
inline result<position> position_of(const fs::path& file, std::size_t first,
                                    std::span<const family> known) {
  const auto parts = parts_of(file);
  const auto refuse = [&](const std::string& what) {
    return fault{reason::bad_input, file.string() + ": " + what};
  };
  std::size_t arm = parts.size();
  for (std::size_t i = first; i + 1 < parts.size(); ++i)
    if (is_arm(parts[i])) arm = i;
  if (arm == parts.size()) {
    // Where an arm should be, when the place is clear.
    const std::string where =
        parts.size() >= 3 && is_task(parts[parts.size() - 2], known)
            ? "`" + parts[parts.size() - 3] + "` is no arm; "
            : "has no arm in its path; ";
    return refuse(where +
                  "expected <model>/<arm>/<task>/<draw>.md, with "
                  "baseline or with_skill as the arm");
  }
  if (arm + 2 >= parts.size())
    return refuse(
        "expected <model>/<arm>/<task>/<draw>.md; there is nothing "
        "between the arm and the file");
  position made;
  made.model = arm > 0 ? parts[arm - 1] : "";
  made.arm = parts[arm];
  made.task = parts[arm + 1];
  made.draw_part = arm + 2;
  if (!is_task(made.task, known))
    return refuse("there is no task `" + made.task + "`; " + task_names(known));
  const std::string draw = made.draw_part + 1 == parts.size()
                               ? file.stem().string()
                               : parts[made.draw_part];
  const auto [end, wrong] =
      std::from_chars(draw.data(), draw.data() + draw.size(), made.draw);
  if (wrong != std::errc() || end != draw.data() + draw.size() || made.draw < 0)
    return refuse("`" + draw + "` is no draw: expected a number");
  return made;
}

inline std::string made_id(const sample& it) {
  std::string id;
  for (const std::string& part :
       {it.model, it.arm, it.task, std::to_string(it.draw)})
    if (!part.empty()) id += (id.empty() ? "" : "-") + part;
  return id;
}

// The family that a text's manifest names, as far as it can be read.
inline std::string family_named(std::string_view text,
                                std::span<const family> known) {
  const extracted found = extract(text);
  if (!found.found) return "";
  for (const family& one : known) {
    const auto read = read_candidate(*found.found, known, one);
    if (read.found) return one.name;
  }
  // A manifest with mistakes still says what it is for.
  const std::string& source = found.found->source;
  const std::size_t key = source.find("\"family\"");
  if (key == source.npos) return "";
  const std::size_t open = source.find_first_not_of(" \t\n:", key + 8);
  if (open == source.npos || source[open] != '"') return "";
  const std::size_t end = source.find('"', open + 1);
  if (end == source.npos) return "";
  const std::string word = source.substr(open + 1, end - open - 1);
  return is_task(word, known) ? word : "";
}

// Adds samples, each id and each file once.
class collector {
 public:
  explicit collector(std::span<const family> known) : known_(known) {}

  void add_path(const std::string& given) {
    if (given.empty() || given.find('\0') != given.npos) {
      trouble(reason::bad_argument, "a path is empty or holds a NUL");
      return;
    }
    const fs::path path(given);
    std::error_code wrong;
    const fs::file_status is = fs::status(path, wrong);
    if (is.type() == fs::file_type::not_found) {
      trouble(reason::not_found, given + ": there is no such file or folder");
      return;
    }
    if (wrong) {
      trouble(wrong == std::errc::permission_denied ? reason::no_permission
                                                    : reason::io,
              given + ": cannot be read: " + wrong.message());
      return;
    }
    if (fs::is_directory(is)) {
      const fs::path list = path / "samples.jsonl";
      const bool has_list = fs::exists(fs::symlink_status(list, wrong));
      if (!has_list)
        add_folder(path);
      else if (!lies_in(list, path))
        trouble(reason::bad_input, list.string() +
                                       ": is a link that leads out of its "
                                       "folder or nowhere");
      else
        add_list(list);
    } else if (path.extension() == ".jsonl") {
      add_list(path);
    } else {
      add_file(path);
    }
  }

  gathered made;

 private:
  void trouble(reason why, std::string what) {
    made.troubles.push_back({why, std::move(what)});
  }

  void add(sample one) {
    if (one.id.empty()) one.id = made_id(one);
    const auto [other, is_new] = ids_.emplace(one.id, one.path);
    if (!is_new) {
      trouble(reason::bad_input, one.path + ": the id `" + one.id +
                                     "` is taken by " + other->second);
      return;
    }
    made.samples.push_back(std::move(one));
  }

  // False if these files were read before.
  bool is_first(const std::vector<fs::path>& files) {
    std::error_code wrong;
    std::string key;
    for (const fs::path& one : files)
      key += fs::absolute(one, wrong).lexically_normal().string() + '\n';
    return seen_.insert(key).second;
  }

  void add_file(const fs::path& path) {
    auto text = read_text(path);
    if (!text) {
      made.troubles.push_back(text.error());
      return;
    }
    if (!is_first({path})) return;
    sample one;
    one.path = path.string();
    one.output = std::move(text).value();
    const auto parts = parts_of(path);
    const auto where =
        position_of(path, parts.size() < 4 ? 0 : parts.size() - 4, known_);
    if (where && where.value().draw_part + 1 == parts.size()) {
      fill(one, where.value());
    } else {
      one.task = family_named(one.output, known_);
      one.id = path.filename().string();
      if (one.task.empty()) {
        trouble(reason::bad_input,
                path.string() +
                    ": for which task it was written cannot be told: neither "
                    "its place (<model>/<arm>/<task>/<draw>.md) nor a launch "
                    "manifest names one; " +
                    task_names(known_));
        return;
      }
    }
    add(std::move(one));
  }

  static void fill(sample& one, const position& from) {
    one.model = from.model;
    one.arm = from.arm;
    one.task = from.task;
    one.draw = from.draw;
  }

  void add_folder(const fs::path& folder) {
    listed all = files_below(folder);
    const bool nothing = all.files.empty() && all.troubles.empty();
    for (fault& one : all.troubles) made.troubles.push_back(std::move(one));
    if (nothing) {
      trouble(reason::not_found,
              folder.string() +
                  ": holds no outputs: expected samples.jsonl or "
                  "<model>/<arm>/<task>/<draw>.md");
      return;
    }
    // The folder given may be an arm's or a task's own.
    const std::size_t depth = parts_of(folder).size();
    const std::size_t first = depth < 3 ? 0 : depth - 3;

    using sort_key = std::tuple<std::string, std::string, std::string,
                                std::int64_t, fs::path>;
    std::map<sort_key, std::pair<position, std::vector<fs::path>>> draws;
    for (const fs::path& file : all.files) {
      auto where = position_of(file, first, known_);
      if (!where) {
        // A note beside the outputs is none of them.
        if (!file.stem().string().starts_with("README"))
          made.troubles.push_back(where.error());
        continue;
      }
      fs::path draw = file;
      const std::size_t parts = parts_of(file).size();
      for (std::size_t i = where.value().draw_part + 1; i < parts; ++i)
        draw = draw.parent_path();
      const position& at = where.value();
      auto& entry = draws[sort_key(at.model, at.arm, at.task, at.draw, draw)];
      entry.first = at;
      entry.second.push_back(file);
    }
    for (const auto& [key, entry] : draws) {
      if (!is_first(entry.second)) continue;
      auto text = read_output(entry.second);
      if (!text) {
        made.troubles.push_back(text.error());
        continue;
      }
      sample one;
      one.path = std::get<4>(key).string();
      one.output = std::move(text).value();
      fill(one, entry.first);
      add(std::move(one));
    }
  }

  void add_list(const fs::path& list) {
    auto file = open_file::open(list);
    if (!file) {
      made.troubles.push_back(file.error());
      return;
    }
    if (!is_first({list})) return;
    const std::size_t before = made.samples.size() + made.troubles.size();
    std::string held;  // what is read and not yet a whole line
    std::size_t looked = 0;
    int number = 1;
    bool skipping = false;  // a line that is too long
    for (;;) {
      const auto got = file.value().read(held, 1u << 20);
      if (!got) {
        made.troubles.push_back(got.error());
        return;
      }
      std::size_t start = 0;
      for (std::size_t end = held.find('\n', looked); end != held.npos;
           end = held.find('\n', start)) {
        if (!skipping)
          add_line(list, number,
                   std::string_view(held).substr(start, end - start));
        skipping = false;
        start = end + 1;
        ++number;
      }
      held.erase(0, start);
      if (got.value() == 0) break;
      if (held.size() > most_line_bytes && !skipping) {
        trouble(reason::too_large, at(list, number) + ": is longer than " +
                                       std::to_string(most_line_bytes) +
                                       " bytes");
        skipping = true;
      }
      if (skipping) held.clear();
      looked = held.size();
    }
    if (!skipping) add_line(list, number, held);
    if (made.samples.size() + made.troubles.size() == before)
      trouble(reason::bad_input, list.string() + ": lists no samples");
  }

  static std::string at(const fs::path& list, int number) {
    return list.string() + ":" + std::to_string(number);
  }

  void add_line(const fs::path& list, int number, std::string_view line) {
    if (line.find_first_not_of(" \t\r") == line.npos) return;
    const std::string here = at(list, number);
    auto read = read_sample(line);
    if (!read) {
      trouble(read.error().why, here + ": " + read.error().what);
      return;
    }
    sample& one = read.value();
    if (!is_task(one.task, known_)) {
      trouble(reason::bad_input, here + ": there is no task " +
                                     json_text::shown(one.task) + "; " +
                                     task_names(known_));
      return;
    }
    if (!one.arm.empty() && !is_arm(one.arm)) {
      trouble(reason::bad_input,
              here + ": " + json_text::shown(one.arm) +
                  " is no arm; expected baseline or with_skill");
      return;
    }
    if (one.path.empty()) {
      one.path = here;
      add(std::move(one));
      return;
    }
    read_listed(list, here, std::move(one));
  }

  void read_listed(const fs::path& list, const std::string& here, sample one) {
    const fs::path folder = list.has_parent_path() ? list.parent_path() : ".";
    const fs::path given(one.path);
    const bool leaves =
        one.path.find('\0') != one.path.npos || given.is_absolute() ||
        std::find(given.begin(), given.end(), "..") != given.end();
    if (leaves) {
      trouble(reason::bad_input, here + ": the output " +
                                     json_text::shown(one.path) +
                                     " is no path inside the list's folder");
      return;
    }
    const fs::path path = (folder / given).lexically_normal();
    std::error_code wrong;
    const fs::file_status is = fs::status(path, wrong);
    if (is.type() == fs::file_type::not_found) {
      trouble(reason::not_found,
              here + ": there is no output " + path.string());
      return;
    }
    if (!wrong && !lies_in(path, folder)) {
      trouble(reason::bad_input, here + ": the output " + path.string() +
                                     " is a link that leads out of the list's "
                                     "folder");
      return;
    }
    std::vector<fs::path> files = {path};
    if (fs::is_directory(is)) {
      listed all = files_below(path);
      for (fault& each : all.troubles)
        trouble(each.why, here + ": " + each.what);
      files = std::move(all.files);
      if (files.empty()) {
        trouble(reason::not_found,
                here + ": the folder " + path.string() + " holds no output");
        return;
      }
    }
    auto text = read_output(files);
    if (!text) {
      trouble(text.error().why, here + ": " + text.error().what);
      return;
    }
    one.path = path.string();
    one.output = std::move(text).value();
    add(std::move(one));
  }

  std::span<const family> known_;
  std::map<std::string, std::string> ids_;  // and where each is from
  std::set<std::string> seen_;
};

}  // namespace gathering

[[nodiscard]] inline gathered gather(std::span<const std::string> paths,
                                     std::span<const family> known) {
  gathering::collector all(known);
  for (const std::string& path : paths) {
    try {
      all.add_path(path);
    } catch (const std::filesystem::filesystem_error& wrong) {
      all.made.troubles.push_back(
          {reason::io, path + ": cannot be read: " + wrong.what()});
    }
  }
  return std::move(all.made);
}

}  // namespace skillbench
