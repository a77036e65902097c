#pragma once
// store.hpp: the folder that records are kept in.
//
// Layer   3. Standard library, fault.hpp and POSIX files. Lines are text here:
//         json_record.hpp makes them.
// Shapes  A folder with one append-only file of lines for each writer:
//         records.jsonl, or records-2.jsonl and so on when that is taken. No
//         file that is already there is opened for writing.
// Errors  no_permission and io, with the path and the system's words. A line
//         that could not be written whole is cut off again, so what is in the
//         file is always whole lines.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <skillbench/fault.hpp>

namespace skillbench {

namespace store_file {

inline constexpr int most_writers = 10000;

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
    return failed("cannot make the folder", part, errno);
  }
  struct stat seen {};
  if (::stat(path.c_str(), &seen) != 0)
    return failed("cannot use the folder", path, errno);
  if (!S_ISDIR(seen.st_mode))
    return failed("cannot use the folder", path, ENOTDIR);
  return done{};
}

}  // namespace store_file

class store {
 public:
  // Makes `folder` if it is not there, and a file of its own in it.
  [[nodiscard]] static result<store> open(const std::string& folder) {
    if (folder.empty())
      return fault{reason::bad_argument, "the folder for records has no name"};
    if (auto made = store_file::make_folder(folder); !made)
      return made.error();
    for (int writer = 1; writer <= store_file::most_writers; ++writer) {
      std::string path = folder;
      if (path.back() != '/') path += '/';
      path += writer == 1 ? std::string("records.jsonl")
                          : "records-" + std::to_string(writer) + ".jsonl";
      const int file = ::open(path.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (file >= 0) return store(std::move(path), file);
      if (errno != EEXIST)
        return store_file::failed("cannot write the records", path, errno);
    }
    return fault{reason::io, "the folder " + folder + " holds " +
                                 std::to_string(store_file::most_writers) +
                                 " files of records: use another one"};
  }

  // Writes one line and its end; the system has it when this returns.
  [[nodiscard]] result<done> append(std::string_view line) {
    if (line.find('\n') != std::string_view::npos)
      return fault{reason::bad_argument, "a record is more than one line"};
    std::string whole(line);
    whole += '\n';
    std::string_view left = whole;
    while (!left.empty()) {
      const ssize_t written = ::write(file_, left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        const int status = written < 0 ? errno : ENOSPC;
        (void)!::ftruncate(file_, length_);
        (void)::lseek(file_, length_, SEEK_SET);
        return store_file::failed("cannot write the records", path_, status);
      }
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    length_ += static_cast<off_t>(whole.size());
    return done{};
  }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  store(store&& other) noexcept
      : path_(std::move(other.path_)),
        file_(std::exchange(other.file_, -1)),
        length_(other.length_) {}
  store& operator=(store&&) = delete;
  ~store() {
    if (file_ >= 0) ::close(file_);
  }

 private:
  store(std::string path, int file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  int file_ = -1;
  off_t length_ = 0;  // of whole lines
};

}  // namespace skillbench
