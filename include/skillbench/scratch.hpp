#pragma once
// scratch.hpp: a new folder for a while.
//
// Layer   3. Standard library, fault.hpp and POSIX files.
// Shapes  Below the system's folder for such things ($TMPDIR, or /tmp), with a
//         name of chance, for this user alone; gone with its owner.
// Errors  io, with the place and the system's words.
// Source  mkdtemp(3).

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <skillbench/fault.hpp>

namespace skillbench {

class scratch_folder {
 public:
  [[nodiscard]] static result<scratch_folder> make() {
    std::error_code wrong;
    const auto place = std::filesystem::temp_directory_path(wrong);
    if (wrong)
      return fault{reason::io, "there is no folder for temporary files: " +
                                   wrong.message()};
    std::string path = (place / "skillbench-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr)
      return fault{reason::io, "cannot make a temporary folder in " +
                                   place.string() + ": " +
                                   std::strerror(errno)};
    return scratch_folder(std::move(path));
  }
  ~scratch_folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  scratch_folder(scratch_folder&& other) noexcept
      : path_(std::exchange(other.path_, {})) {}
  scratch_folder& operator=(scratch_folder&&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  explicit scratch_folder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace skillbench
