#pragma once
// whole_file.hpp: a file that is written whole or not at all.
//
// Layer   3. Standard library, fault.hpp and POSIX files.
// Shapes  The text goes to a new file beside the one that is asked for, which
//         then takes its place.
// Trust   Others may write to the folder. The new file has a name of chance and
//         must not be there (O_EXCL), so that nothing planted is written to.
//         What is there and is no regular file, /dev/null or a pipe, is written
//         to and never replaced; a link is followed, as a shell's `>` does,
//         unless `own` says that the file is this program's own.
// Errors  no_permission and io, with the path and the system's words.
// Source  open(2), rename(2), getrandom(2).

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include <skillbench/fault.hpp>

namespace skillbench {

// Whose a path is: one that the user named, or one that only we write to.
enum class whole_file : std::uint8_t { named, own };

namespace whole_files {

[[nodiscard]] inline fault failed(const std::string& path, int error) {
  return {error == EACCES || error == EPERM ? reason::no_permission
                                            : reason::io,
          "cannot write " + path + ": " + std::strerror(error)};
}

// 0, or what the system said.
[[nodiscard]] inline int put(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t some = ::write(file, text.data(), text.size());
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(some));
  }
  return 0;
}

[[nodiscard]] inline int put_and_close(int file, std::string_view text) {
  const int wrong = put(file, text);
  return ::close(file) != 0 && wrong == 0 ? errno : wrong;
}

[[nodiscard]] inline std::string name_beside(const std::string& path) {
  std::uint64_t chance = 0;
  if (::getrandom(&chance, sizeof chance, 0) !=
      static_cast<ssize_t>(sizeof chance))
    chance = static_cast<std::uint64_t>(::getpid());
  char digits[24];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(chance));
  return path + ".part-" + digits;
}

}  // namespace whole_files

[[nodiscard]] inline result<done> write_whole(
    const std::string& path, std::string_view text,
    whole_file whose = whole_file::named) {
  using namespace whole_files;
  struct stat link {}, seen {};
  const bool there = ::lstat(path.c_str(), &link) == 0;
  const bool is_link = there && S_ISLNK(link.st_mode);
  if (whose == whole_file::named && there &&
      (is_link || !S_ISREG(link.st_mode))) {
    if (::stat(path.c_str(), &seen) == 0 && S_ISDIR(seen.st_mode))
      return fault{reason::io, "cannot write " + path + ": it is a folder"};
    const int to = ::open(path.c_str(),
                          O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY,
                          0666);
    if (to < 0) return failed(path, errno);
    if (const int wrong = put_and_close(to, text)) return failed(path, wrong);
    return done{};
  }
  for (int tries = 0;; ++tries) {
    const std::string beside = name_beside(path);
    const int to = ::open(
        beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
        0666);
    if (to < 0 && errno == EEXIST && tries < 10) continue;
    if (to < 0) return failed(path, errno);
    int wrong = put_and_close(to, text);
    if (wrong == 0 && ::rename(beside.c_str(), path.c_str()) != 0)
      wrong = errno;
    if (wrong == 0) return done{};
    ::unlink(beside.c_str());
    return failed(path, wrong);
  }
}

}  // namespace skillbench
