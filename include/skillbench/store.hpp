#pragma once
// store.hpp: the folder that records are kept in.
//
// Layer   3. Standard library, fault.hpp, hash.hpp and POSIX files. Lines are
//         text here: json_record.hpp makes them.
// Shapes  A folder with segments, append-only files of lines: records.jsonl,
//         records-2.jsonl and so on. A segment has one writer at a time, which
//         holds its lock (flock). A new one gets the next number, so what
//         stands later, by number and line, is later.
// Lines   One JSON object each. Its last key, "check", holds the first 16
//         digits of the SHA-256 of the line without that key.
// Repair  `resume` goes on in the newest segment if nobody holds it. An end
//         that is no whole line, which is what a writer that was killed leaves,
//         is cut off; it was never acknowledged. Nothing else is changed: a
//         line whose check is wrong is told and skipped by who reads.
// Lasting A line is with the system when `append` returns and survives the end
//         of this program; it is on the disk a second later at most, as long as
//         lines come or `sync` is called.
// Errors  no_permission and io, with the path and the system's words. A line
//         that could not be written whole is cut off again. If the segment was
//         removed behind its writer's back it is made again, with all that this
//         writer had appended.
// Source  flock(2), fdatasync(2), open(2).

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/hash.hpp>

namespace skillbench {

// Where a line stands.
struct store_place {
  int segment = 0;  // its number
  std::int64_t offset = 0;
  std::size_t length = 0;  // without its end
};

namespace store_line {

inline constexpr std::size_t most_bytes = std::size_t{64} << 20;
inline constexpr std::string_view before_check = ",\"check\":\"";
inline constexpr std::size_t check_digits = 16;

[[nodiscard]] inline std::string check_of(std::string_view line) {
  return sha256(line).substr(0, check_digits);
}

// `{"a":1}` to `{"a":1,"check":"..."}`; a line is an object with a key at least.
[[nodiscard]] inline std::string sealed(std::string_view line) {
  std::string made(line.substr(0, line.size() - 1));
  made += before_check;
  made += check_of(line);
  return made + "\"}";
}

[[nodiscard]] inline bool is_sound(std::string_view line) {
  const std::size_t added = before_check.size() + check_digits + 2;
  if (line.size() <= added || !line.ends_with("\"}")) return false;
  const std::size_t at = line.size() - added;
  if (line.substr(at, before_check.size()) != before_check) return false;
  return check_of(std::string(line.substr(0, at)) + '}') ==
         line.substr(at + before_check.size(), check_digits);
}

}  // namespace store_line

namespace store_file {

inline constexpr int most_segments = 1'000'000;

[[nodiscard]] inline fault failed(const std::string& attempt,
                                  const std::string& path, int status) {
  const bool refused =
      status == EACCES || status == EPERM || status == EROFS;
  return fault{refused ? reason::no_permission : reason::io,
               attempt + " " + path + ": " + std::strerror(status)};
}

// Makes a folder and those it lies in.
[[nodiscard]] inline result<done> make_folder(const std::string& path) {
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0777) == 0 || errno == EEXIST) continue;
    // A folder that is there may stand where none may be made.
    const int status = errno;
    struct stat seen {};
    if (::stat(part.c_str(), &seen) == 0) continue;
    return failed("cannot make the folder", part, status);
  }
  struct stat seen {};
  if (::stat(path.c_str(), &seen) != 0)
    return failed("cannot use the folder", path, errno);
  if (!S_ISDIR(seen.st_mode))
    return failed("cannot use the folder", path, ENOTDIR);
  return done{};
}

[[nodiscard]] inline std::string path_of(const std::string& folder,
                                         int number) {
  return folder + (folder.ends_with('/') ? "" : "/") +
         (number == 1 ? std::string("records.jsonl")
                      : "records-" + std::to_string(number) + ".jsonl");
}

// The number of the segment that a file of this name is; 0 when it is none.
[[nodiscard]] inline int number_of(std::string_view name) {
  if (name == "records.jsonl") return 1;
  constexpr std::string_view start = "records-", end = ".jsonl";
  if (!name.starts_with(start) || !name.ends_with(end) ||
      name.size() <= start.size() + end.size())
    return 0;
  name.remove_prefix(start.size());
  name.remove_suffix(end.size());
  int number = 0;
  const auto read =
      std::from_chars(name.data(), name.data() + name.size(), number);
  const bool whole = read.ec == std::errc() &&
                     read.ptr == name.data() + name.size() &&
                     name.front() != '0';
  return whole && number >= 2 && number <= most_segments ? number : 0;
}

// In order; none for a folder that is not there.
[[nodiscard]] inline result<std::vector<int>> segments(
    const std::string& folder) {
  std::vector<int> found;
  DIR* const all = ::opendir(folder.c_str());
  if (all == nullptr) {
    if (errno == ENOENT) return found;
    return failed("cannot look for records in", folder, errno);
  }
  errno = 0;
  while (const dirent* const each = ::readdir(all)) {
    if (const int number = number_of(each->d_name)) found.push_back(number);
    errno = 0;
  }
  const int status = errno;
  ::closedir(all);
  if (status != 0) return failed("cannot look for records in", folder, status);
  std::sort(found.begin(), found.end());
  return found;
}

// An open file that is closed with its owner, and its lock with it.
class held {
 public:
  held() = default;
  explicit held(int number) : number_(number) {}
  held(held&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  held& operator=(held&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~held() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int get() const noexcept { return number_; }

 private:
  int number_ = -1;
};

// Opened so that a pipe or a device by that name holds nobody up.
[[nodiscard]] inline result<held> open_segment(const std::string& path,
                                               int flags) {
  held file(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat seen {};
  if (file.get() < 0 || ::fstat(file.get(), &seen) != 0)
    return failed("cannot open the records", path, errno);
  if (!S_ISREG(seen.st_mode))
    return fault{reason::bad_input, path + ": is no regular file"};
  return file;
}

// The bytes from `offset` on, as many as there are up to `size`.
[[nodiscard]] inline result<std::string> read_at(const held& file,
                                                 const std::string& path,
                                                 std::int64_t offset,
                                                 std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got =
        ::pread(file.get(), bytes.data() + have, size - have,
                static_cast<off_t>(offset + static_cast<std::int64_t>(have)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("cannot read the records", path, errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

[[nodiscard]] inline result<done> write_all(const held& file,
                                            const std::string& path,
                                            std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      return failed("cannot write the records", path,
                    written < 0 ? errno : ENOSPC);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return done{};
}

inline constexpr std::size_t block = std::size_t{1} << 20;

}  // namespace store_file

// ---- writing
// ------------------------------------------------------------------------

class store {
 public:
  // Makes `folder` if it is not there, and a segment of its own in it.
  [[nodiscard]] static result<store> open(const std::string& folder) {
    if (folder.empty())
      return fault{reason::bad_argument, "the folder for records has no name"};
    if (auto made = store_file::make_folder(folder); !made)
      return made.error();
    auto there = store_file::segments(folder);
    if (!there) return there.error();
    int number = there.value().empty() ? 1 : there.value().back() + 1;
    for (; number <= store_file::most_segments; ++number) {
      std::string path = store_file::path_of(folder, number);
      store_file::held file(::open(path.c_str(),
                                   O_RDWR | O_CREAT | O_EXCL | O_APPEND |
                                       O_CLOEXEC,
                                   0666));
      if (file.get() < 0) {
        if (errno == EEXIST) continue;
        return store_file::failed("cannot write the records", path, errno);
      }
      // Where locks are unknown, O_EXCL has still made it ours alone.
      if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        continue;
      return store(folder, std::move(path), std::move(file), 0);
    }
    return fault{reason::io, "the folder " + folder +
                                 " holds too many files of records: use "
                                 "another one"};
  }

  // Goes on in the newest segment, or in a new one when another writer holds
  // it or it cannot be written.
  [[nodiscard]] static result<store> resume(const std::string& folder) {
    if (folder.empty()) return open(folder);
    const auto there = store_file::segments(folder);
    if (!there) return there.error();
    if (there.value().empty()) return open(folder);
    std::string path = store_file::path_of(folder, there.value().back());
    auto file = store_file::open_segment(path, O_RDWR | O_APPEND);
    if (!file || ::flock(file.value().get(), LOCK_EX | LOCK_NB) != 0)
      return open(folder);
    struct stat seen {};
    if (::fstat(file.value().get(), &seen) != 0 || seen.st_nlink == 0)
      return open(folder);
    store made(folder, std::move(path), std::move(file).value(), seen.st_size);
    if (auto whole = made.repair(); !whole) return whole.error();
    return made;
  }

  // Adds the check and writes one line and its end.
  [[nodiscard]] result<done> append(std::string_view line) {
    if (line.find('\n') != std::string_view::npos)
      return fault{reason::bad_argument, "a record is more than one line"};
    if (line.size() < 3 || line.front() != '{' || line.back() != '}')
      return fault{reason::bad_argument, "a record is no object with a key"};
    const std::string whole = store_line::sealed(line) + '\n';
    if (auto written = add(whole); !written) return written;
    return clock::now() >= next_sync_ ? sync() : done{};
  }

  // Waits until all is on the disk, and sees to it that there is a file.
  [[nodiscard]] result<done> sync() {
    next_sync_ = clock::now() + std::chrono::seconds(1);
    if (auto there = restore(); !there) return there;
    if (length_ == synced_) return done{};
    // EINVAL and EROFS: a file system that knows no such thing.
    if (::fdatasync(file_.get()) != 0 && errno != EINVAL && errno != EROFS)
      return store_file::failed("cannot write the records", path_, errno);
    synced_ = length_;
    return done{};
  }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // What was repaired, for the user; "" when nothing was.
  [[nodiscard]] const std::string& notice() const noexcept { return notice_; }

  store(store&&) noexcept = default;
  store& operator=(store&&) = delete;
  // A segment without a line is taken away again.
  ~store() {
    struct stat seen {};
    if (file_.get() >= 0 && length_ == 0 &&
        ::fstat(file_.get(), &seen) == 0 && seen.st_size == 0 &&
        seen.st_nlink > 0)
      ::unlink(path_.c_str());
  }

 private:
  using clock = std::chrono::steady_clock;

  store(std::string folder, std::string path, store_file::held file,
        std::int64_t length)
      : folder_(std::move(folder)),
        path_(std::move(path)),
        file_(std::move(file)),
        first_(length),
        length_(length),
        synced_(length) {}

  // All of `whole` or nothing.
  [[nodiscard]] result<done> add(std::string_view whole) {
    auto written = store_file::write_all(file_, path_, whole);
    if (!written) {
      (void)!::ftruncate(file_.get(), static_cast<off_t>(length_));
      return written;
    }
    length_ += static_cast<std::int64_t>(whole.size());
    return restore();
  }

  // Ends the segment with a whole line.
  [[nodiscard]] result<done> repair() {
    std::int64_t end = length_;  // behind the last line that has an end
    for (;;) {
      const std::int64_t from =
          std::max<std::int64_t>(0, end - std::int64_t{store_file::block});
      const auto bytes = store_file::read_at(
          file_, path_, from, static_cast<std::size_t>(end - from));
      if (!bytes) return bytes.error();
      const std::size_t at = bytes.value().rfind('\n');
      if (at != std::string::npos) {
        end = from + static_cast<std::int64_t>(at) + 1;
        break;
      }
      end = from;
      if (end == 0) break;
    }
    first_ = length_;
    const std::int64_t torn = length_ - end;
    if (torn == 0) return done{};
    if (torn <= std::int64_t{store_line::most_bytes}) {
      const auto line = store_file::read_at(file_, path_, end,
                                            static_cast<std::size_t>(torn));
      if (!line) return line.error();
      if (store_line::is_sound(line.value())) {  // only its end is missing
        auto ended = add("\n");
        first_ = length_;
        return ended;
      }
    }
    if (::ftruncate(file_.get(), static_cast<off_t>(end)) != 0)
      return store_file::failed("cannot repair the records", path_, errno);
    notice_ = path_ + ": cut off " + std::to_string(torn) +
              " bytes of a line that was not finished";
    first_ = length_ = synced_ = end;
    return done{};
  }

  // If somebody removed the segment: makes it again, in the folder as it was
  // named, with what this writer has appended.
  [[nodiscard]] result<done> restore() {
    struct stat seen {};
    if (::fstat(file_.get(), &seen) != 0)
      return store_file::failed("cannot look at the records", path_, errno);
    if (seen.st_nlink > 0) return done{};
    const std::string lost = path_ + " was removed while records were written";
    auto made = open(folder_);
    if (!made) return fault{made.error().why, lost + "; " + made.error().what};
    store& anew = made.value();
    for (std::int64_t at = first_; at < length_;) {
      const auto bytes = store_file::read_at(
          file_, path_, at,
          static_cast<std::size_t>(std::min(
              std::int64_t{store_file::block}, length_ - at)));
      if (!bytes) return bytes.error();
      if (bytes.value().empty())
        return fault{reason::io, lost + ", and its end cannot be read"};
      if (auto written = anew.add(bytes.value()); !written)
        return fault{written.error().why, lost + "; " + written.error().what};
      at += static_cast<std::int64_t>(bytes.value().size());
    }
    notice_ = lost + ": they are in " + anew.path_ + " now";
    std::swap(path_, anew.path_);
    std::swap(file_, anew.file_);
    length_ = anew.length_;
    first_ = synced_ = 0;
    return done{};
  }

  std::string folder_, path_;
  store_file::held file_;
  std::int64_t first_ = 0;   // where this writer began
  std::int64_t length_ = 0;  // of whole lines
  std::int64_t synced_ = 0;  // as much is on the disk
  clock::time_point next_sync_{};
  std::string notice_;
};

// ---- reading
// ------------------------------------------------------------------------

// Every sound line of a folder, oldest first. What cannot be read is told in
// `troubles` and the rest is read. A folder that is not there has no lines.
[[nodiscard]] inline result<done> read_store(
    const std::string& folder,
    const std::function<void(std::string_view, const store_place&)>& each,
    std::vector<fault>& troubles) {
  const auto there = store_file::segments(folder);
  if (!there) return there.error();
  for (const int number : there.value()) {
    const std::string path = store_file::path_of(folder, number);
    const auto file = store_file::open_segment(path, O_RDONLY);
    if (!file) {
      troubles.push_back(file.error());
      continue;
    }
    std::string rest;           // the line that is being read
    std::int64_t begins = 0;    // where it stands
    std::int64_t at = 0;
    std::size_t line = 0, wrong = 0, first_wrong = 0;
    bool too_long = false;
    const auto end_line = [&] {
      ++line;
      const store_place place{number, begins, rest.size()};
      if (!too_long && store_line::is_sound(rest)) {
        each(rest, place);
      } else if (++wrong == 1) {
        first_wrong = line;
      }
    };
    for (;;) {
      const auto bytes =
          store_file::read_at(file.value(), path, at, store_file::block);
      if (!bytes) {
        troubles.push_back(bytes.error());
        break;
      }
      std::string_view left = bytes.value();
      if (left.empty()) break;
      at += static_cast<std::int64_t>(left.size());
      while (!left.empty()) {
        const std::size_t end = left.find('\n');
        const std::string_view part = left.substr(0, end);
        too_long |= rest.size() + part.size() > store_line::most_bytes;
        if (!too_long) rest += part;
        if (end == std::string_view::npos) break;
        left.remove_prefix(end + 1);
        end_line();
        rest.clear();
        too_long = false;
        begins = at - static_cast<std::int64_t>(left.size());
      }
    }
    if (wrong > 0)
      troubles.push_back(
          {reason::bad_input,
           path + ":" + std::to_string(first_wrong) +
               ": a line without a right checksum" +
               (wrong > 1 ? ", and " + std::to_string(wrong - 1) + " more"
                          : "") +
               ": skipped"});
    if (!rest.empty() || too_long) {
      if (!too_long && store_line::is_sound(rest))
        each(rest, {number, begins, rest.size()});
      else
        troubles.push_back({reason::bad_input,
                            path + ": its last line is not finished: "
                                   "skipped"});
    }
  }
  return done{};
}

// The line at a place that `read_store` gave.
[[nodiscard]] inline result<std::string> read_store_line(
    const std::string& folder, const store_place& at) {
  const std::string path = store_file::path_of(folder, at.segment);
  const auto file = store_file::open_segment(path, O_RDONLY);
  if (!file) return file.error();
  auto line = store_file::read_at(file.value(), path, at.offset, at.length);
  if (line && !store_line::is_sound(line.value()))
    return fault{reason::io, "cannot read a record of " + path +
                                 " again: it has changed meanwhile"};
  return line;
}

}  // namespace skillbench
