#pragma once
// find_worker.hpp: where the program is that runs candidates for a grader.
//
// Layer   4. device/remote.hpp starts what is found here. Looks, and starts
//         nothing: that it is of this version is said when it is started.
// Order   The path that the caller names; the environment's SKILLBENCH_WORKER;
//         beside the running program; where CMake says that it was built or
//         installed; beside the headers, as `cmake --install` lays them out.
//         What the caller or the environment names is used or refused: nothing
//         else is looked for then.
// Errors  not_found with every place that was tried, no_permission for a file
//         that cannot be executed.
// Price   Files are asked for with POSIX calls, as in cuda/library.hpp.

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/fault.hpp>

namespace skillbench {

namespace worker_places {

inline constexpr std::string_view program_name = "skillbench";

// `path` without its last `parts` names; "" when it has fewer, or is relative.
[[nodiscard]] inline std::string above(std::string_view path, int parts) {
  if (!path.starts_with('/')) return {};
  for (; parts > 0; --parts) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos || slash == 0) return {};
    path = path.substr(0, slash);
  }
  return std::string(path);
}

[[nodiscard]] inline std::string own_folder() {
  std::string path(4096, '\0');
  const ssize_t length =
      ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0 || static_cast<std::size_t>(length) == path.size())
    return {};
  path.resize(static_cast<std::size_t>(length));
  return above(path, 1);
}

[[nodiscard]] inline result<std::string> usable(const std::string& path) {
  struct stat seen {};
  if (::stat(path.c_str(), &seen) != 0)
    return fault{reason::not_found, path + ": no such file"};
  if (!S_ISREG(seen.st_mode))
    return fault{reason::not_found, path + ": is no regular file"};
  if (::access(path.c_str(), X_OK) != 0)
    return fault{reason::no_permission, path + ": cannot be executed"};
  return path;
}

// A folder, a slash and the program's name; "" for no folder.
[[nodiscard]] inline std::string program_in(const std::string& folder) {
  return folder.empty() ? folder : folder + "/" + std::string(program_name);
}

// The first of `places` that can be started; "" stands for none.
[[nodiscard]] inline result<std::string> first_usable(
    const std::vector<std::string>& places) {
  std::string tried;
  for (const std::string& each : places) {
    if (each.empty()) continue;
    auto found = usable(each);
    if (found) return found;
    tried += (tried.empty() ? "" : "; ") + found.error().what;
  }
  return fault{reason::not_found,
               "the worker, the program `skillbench`, was not found (tried " +
                   tried +
                   "): install it, name its path, or set SKILLBENCH_WORKER"};
}

}  // namespace worker_places

// The path of the program `skillbench`, which runs candidates in a process of
// their own. An empty `named` lets it be looked for.
[[nodiscard]] inline result<std::string> find_worker(
    const std::string& named = {}) {
  namespace in = worker_places;
  if (!named.empty()) {
    auto found = in::usable(named);
    if (!found)
      return fault{found.error().why, "the worker " + found.error().what};
    return found;
  }
  const char* const told = std::getenv("SKILLBENCH_WORKER");
  if (told && *told) {
    auto found = in::usable(told);
    if (!found)
      return fault{found.error().why, "the worker that SKILLBENCH_WORKER "
                                      "names, " + found.error().what};
    return found;
  }
  std::vector<std::string> places{in::program_in(in::own_folder())};
#if defined(SKILLBENCH_WORKER_PROGRAM)
  places.emplace_back(SKILLBENCH_WORKER_PROGRAM);
#endif
  // <prefix>/include/skillbench/find_worker.hpp
  const std::string prefix = in::above(__FILE__, 3);
  places.push_back(prefix.empty() ? prefix : in::program_in(prefix + "/bin"));
  return in::first_usable(places);
}

// What a worker finds in its environment, and nothing else: the toolkit, and
// SKILLBENCH_JIT where it is set here ("0": the PTX machine interprets only).
[[nodiscard]] inline std::vector<std::string> worker_environment(
    const toolkit& cuda) {
  std::vector<std::string> told = toolkit_environment(cuda);
  if (const char* jit = std::getenv("SKILLBENCH_JIT"))
    told.push_back("SKILLBENCH_JIT=" + std::string(jit));
  return told;
}

}  // namespace skillbench
