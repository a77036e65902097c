#pragma once
// disk_cache.hpp: contents kept in a folder under the digest of what they were
// made from, until there is no room.
//
// Layer   3. hash.hpp and POSIX files.
// Shapes  One file an entry: a first line (format, key, SHA-256 of the content)
//         and the content. A key is 64 hexadecimal digits.
// Units   bytes, as the disk counts them (whole blocks).
// Errors  A folder that cannot be made or trusted is a fault at open(). Later
//         nothing fails: what cannot be read is not there, what cannot be
//         written is not kept, and counts() tells how often.
// Trust   Folders and files belong to the user alone (0700, 0600). A folder of
//         somebody else, or one that others may write to, is refused; such a
//         file is not read. Files are opened below the folder's descriptor and
//         no link is followed. A content that does not match its digest is
//         removed and was never there: for that reason nothing waits for the
//         disk, a crash of the machine costs entries and leaves no wrong one.
// Threads Any number, and any number of processes: an entry appears whole, by
//         rename. Which entry was used last is the time of its file.

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/hash.hpp>

namespace skillbench {

inline constexpr std::uint64_t most_cache_bytes = 1'000'000'000;
inline constexpr std::uint64_t most_cached_entry = std::uint64_t{16} << 20;
inline constexpr const char* cache_variable = "SKILLBENCH_CACHE";

// Where a cache is when nobody says where: SKILLBENCH_CACHE, then
// $XDG_CACHE_HOME/skillbench, then ~/.cache/skillbench.
struct cache_place {
  std::string folder;   // "": none
  std::string why_not;  // when there is none
  bool turned_off = false;  // by an empty SKILLBENCH_CACHE
};

[[nodiscard]] inline cache_place default_cache_place() {
  if (const char* const named = std::getenv(cache_variable))
    return *named ? cache_place{named, "", false}
                  : cache_place{"", "SKILLBENCH_CACHE is empty", true};
  const char* const general = std::getenv("XDG_CACHE_HOME");
  if (general && *general == '/')
    return {std::string(general) + "/skillbench", "", false};
  const char* const home = std::getenv("HOME");
  if (home && *home == '/')
    return {std::string(home) + "/.cache/skillbench", "", false};
  return {"", "neither HOME nor XDG_CACHE_HOME names a folder", false};
}

struct cache_usage {
  std::uint64_t entries = 0, bytes = 0;
};

struct cache_counts {
  std::uint64_t found = 0, not_found = 0, kept = 0;
  std::uint64_t damaged = 0;   // removed when they were read
  std::uint64_t not_kept = 0;  // a full disk, say
  std::uint64_t removed = 0;   // to make room
};

class disk_cache {
 public:
  // Makes the folder if it is not there.
  [[nodiscard]] static result<std::unique_ptr<disk_cache>> open(
      const std::string& folder, std::uint64_t most_bytes = most_cache_bytes) {
    if (folder.empty())
      return fault{reason::bad_argument, "the cache's folder has no name"};
    for (std::size_t at = 1; at <= folder.size(); ++at) {
      if (at < folder.size() && folder[at] != '/') continue;
      const std::string part = folder.substr(0, at);
      if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
        return failed("cannot make the folder", part, errno);
    }
    auto opened = trusted(folder);
    if (!opened) return opened.error();
    return std::unique_ptr<disk_cache>(
        new disk_cache(folder, opened.value(), most_bytes));
  }

  // What is in a folder, without making or changing anything.
  [[nodiscard]] static result<cache_usage> look(const std::string& folder) {
    auto opened = trusted(folder);
    if (!opened) return opened.error();
    cache_usage seen;
    for (const entry& each : entries_of(opened.value())) {
      if (!is_key(each.name)) continue;
      ++seen.entries;
      seen.bytes += each.bytes;
    }
    ::close(opened.value());
    return seen;
  }

  [[nodiscard]] std::optional<std::string> find(const std::string& key) {
    auto content = read(key);
    ++(content ? counted_.found : counted_.not_found);
    return content;
  }

  // False when it was not kept: then the next one who asks finds nothing.
  bool keep(const std::string& key, std::string_view content) {
    const bool written = write(key, content);
    ++(written ? counted_.kept : counted_.not_kept);
    return written;
  }

  // Removes what was used longest ago until a tenth of the room is free.
  // Called by keep() now and then; one process at a time does it.
  void trim() {
    const std::lock_guard held(trimming_);
    const int lock = ::openat(
        folder_, "lock", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) return;
    if (::flock(lock, LOCK_EX | LOCK_NB) == 0) trim_alone();
    ::close(lock);
  }

  [[nodiscard]] cache_counts counts() const {
    return {counted_.found,    counted_.not_found, counted_.kept,
            counted_.damaged,  counted_.not_kept,  counted_.removed};
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  disk_cache(const disk_cache&) = delete;
  disk_cache& operator=(const disk_cache&) = delete;
  ~disk_cache() { ::close(folder_); }

 private:
  static constexpr std::string_view mark = "skillbench cache 1 ";
  static constexpr std::size_t head_bytes = mark.size() + 64 + 1 + 64 + 1;
  static constexpr std::string_view temporary = "new-";
  static constexpr std::time_t most_age = 3600;  // seconds, of a torn write

  struct entry {
    std::string name;
    std::uint64_t bytes = 0;
    timespec used{};
  };

  disk_cache(std::string path, int folder, std::uint64_t most_bytes)
      : path_(std::move(path)), folder_(folder), most_bytes_(most_bytes) {}

  [[nodiscard]] static fault failed(const std::string& attempt,
                                    const std::string& path, int status) {
    const bool refused =
        status == EACCES || status == EPERM || status == EROFS;
    return fault{refused ? reason::no_permission : reason::io,
                 attempt + " " + path + ": " + std::strerror(status)};
  }

  // Ours, and nobody else's to write to.
  [[nodiscard]] static bool is_ours(const struct stat& seen) {
    return seen.st_uid == ::geteuid() &&
           (seen.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  }

  // A descriptor of the folder.
  [[nodiscard]] static result<int> trusted(const std::string& folder) {
    const int opened =
        ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return failed("cannot use the folder", folder, errno);
    struct stat seen {};
    if (::fstat(opened, &seen) == 0 && is_ours(seen)) return opened;
    ::close(opened);
    return fault{reason::no_permission,
                 "the folder " + folder +
                     " belongs to another user, or others may write to it"};
  }

  [[nodiscard]] static bool is_key(std::string_view name) {
    return name.size() == 64 &&
           name.find_first_not_of("0123456789abcdef") ==
               std::string_view::npos;
  }

  [[nodiscard]] static std::vector<entry> entries_of(int folder) {
    std::vector<entry> found;
    const int own = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* const open = own < 0 ? nullptr : ::fdopendir(own);
    if (!open) {
      if (own >= 0) ::close(own);
      return found;
    }
    while (const dirent* const each = ::readdir(open)) {
      const std::string_view name = each->d_name;
      if (!is_key(name) && !name.starts_with(temporary)) continue;
      struct stat seen {};
      if (::fstatat(folder, each->d_name, &seen, AT_SYMLINK_NOFOLLOW) != 0)
        continue;
      found.push_back({std::string(name),
                       static_cast<std::uint64_t>(seen.st_blocks) * 512,
                       seen.st_mtim});
    }
    ::closedir(open);
    return found;
  }

  [[nodiscard]] static std::string head_of(std::string_view key,
                                           std::string_view content) {
    return std::string(mark) + std::string(key) + " " + sha256(content) +
           "\n";
  }

  [[nodiscard]] std::optional<std::string> read(const std::string& key) {
    if (!is_key(key)) return std::nullopt;
    // A FIFO must not hold us up.
    const int file = ::openat(folder_, key.c_str(),
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    std::optional<std::string> content;
    struct stat seen {};
    const bool readable = ::fstat(file, &seen) == 0 && S_ISREG(seen.st_mode) &&
                          is_ours(seen);
    if (readable) {
      content = content_of(file, key, static_cast<std::uint64_t>(seen.st_size));
      if (content) {
        const timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
        (void)::futimens(file, now);
      } else {
        ++counted_.damaged;
        (void)::unlinkat(folder_, key.c_str(), 0);
      }
    }
    ::close(file);
    return content;
  }

  [[nodiscard]] static std::optional<std::string> content_of(
      int file, const std::string& key, std::uint64_t size) {
    if (size < head_bytes || size > head_bytes + most_cached_entry)
      return std::nullopt;
    std::string text(static_cast<std::size_t>(size), '\0');
    std::size_t have = 0;
    while (have < text.size()) {
      const ssize_t got = ::read(file, text.data() + have, text.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return std::nullopt;
      have += static_cast<std::size_t>(got);
    }
    std::string content = text.substr(head_bytes);
    if (text.compare(0, head_bytes, head_of(key, content)) != 0)
      return std::nullopt;
    return content;
  }

  [[nodiscard]] bool write(const std::string& key, std::string_view content) {
    if (!is_key(key) || content.size() > most_cached_entry) return false;
    std::uint64_t number = 0;
    if (::getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
      return false;
    const std::string name = std::string(temporary) + std::to_string(number);
    const int file =
        ::openat(folder_, name.c_str(),
                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return false;
    const std::string head = head_of(key, content);
    bool whole = write_all(file, head) && write_all(file, content);
    whole = ::close(file) == 0 && whole;
    if (!whole ||
        ::renameat(folder_, name.c_str(), folder_, key.c_str()) != 0) {
      (void)::unlinkat(folder_, name.c_str(), 0);
      return false;
    }
    // Looking through the folder costs more than an entry: done for the first
    // one and then for every sixteenth of the room that this process fills.
    const std::uint64_t before = written_.fetch_add(head.size() + content.size());
    const std::uint64_t step = std::max<std::uint64_t>(most_bytes_ / 16, 1);
    if (before == 0 ||
        before / step != (before + head.size() + content.size()) / step)
      trim();
    return true;
  }

  [[nodiscard]] static bool write_all(int file, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t some = ::write(file, bytes.data(), bytes.size());
      if (some < 0 && errno == EINTR) continue;
      if (some <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(some));
    }
    return true;
  }

  void trim_alone() {
    std::vector<entry> all = entries_of(folder_);
    std::uint64_t bytes = 0;
    for (const entry& each : all) {
      if (!is_key(each.name) && ::time(nullptr) - each.used.tv_sec > most_age)
        (void)::unlinkat(folder_, each.name.c_str(), 0);
      bytes += each.bytes;
    }
    if (bytes <= most_bytes_) return;
    std::sort(all.begin(), all.end(), [](const entry& a, const entry& b) {
      return a.used.tv_sec != b.used.tv_sec ? a.used.tv_sec < b.used.tv_sec
                                            : a.used.tv_nsec < b.used.tv_nsec;
    });
    const std::uint64_t wanted = most_bytes_ - most_bytes_ / 10;
    for (const entry& each : all) {
      if (bytes <= wanted) break;
      if (!is_key(each.name) ||
          ::unlinkat(folder_, each.name.c_str(), 0) != 0)
        continue;
      bytes -= each.bytes;
      ++counted_.removed;
    }
  }

  struct atomic_counts {
    std::atomic<std::uint64_t> found = 0, not_found = 0, kept = 0, damaged = 0,
                               not_kept = 0, removed = 0;
  };

  std::string path_;
  int folder_ = -1;
  std::uint64_t most_bytes_;
  std::atomic<std::uint64_t> written_ = 0;
  std::mutex trimming_;
  atomic_counts counted_;
};

}  // namespace skillbench
