#pragma once
// bubblewrap.hpp: a worker in namespaces of its own, by way of the program bwrap.
//
// Layer   4. Makes one command of another. The worker shuts its own doors too
//         (isolate.hpp): what is here is a second wall.
// Within  No other process, user, network or host name than its own; of the file
//         system the folders that are named, read-only, and nothing else; no
//         capabilities. It ends with whoever started it.
// Errors  not_found where there is no bwrap. That it can make namespaces here is
//         told when a worker is started: some systems forbid that to users.
// Source  bwrap(1), user_namespaces(7).

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/child.hpp>
#include <skillbench/fault.hpp>

namespace skillbench::bubblewrap {

// Where bwrap is: in the folders of $PATH that are given from the root on.
[[nodiscard]] inline result<std::string> find() {
  const char* const told = std::getenv("PATH");
  std::string_view left = told ? told : "/usr/bin:/bin";
  while (!left.empty()) {
    const std::size_t end = left.find(':');
    const std::string_view folder = left.substr(0, end);
    left.remove_prefix(end == left.npos ? left.size() : end + 1);
    if (!folder.starts_with('/')) continue;
    std::string path = std::string(folder) + "/bwrap";
    struct stat seen {};
    if (::stat(path.c_str(), &seen) == 0 && S_ISREG(seen.st_mode) &&
        ::access(path.c_str(), X_OK) == 0)
      return path;
  }
  return fault{reason::not_found,
               "--isolation bwrap needs bubblewrap, and no folder of PATH holds "
               "the program bwrap: install it (on Debian the package "
               "bubblewrap), or use --isolation strict"};
}

// `worker`, started by `bwrap`. It can read what is below `readable` and its own
// program; what of it is not there is left out.
[[nodiscard]] inline child_command around(
    const std::string& bwrap, const child_command& worker,
    const std::vector<std::string>& readable) {
  child_command made;
  made.program = bwrap;
  made.environment = worker.environment;
  made.wrapped = true;
  made.arguments = {"--unshare-all", "--die-with-parent", "--cap-drop", "ALL"};
  const auto bind = [&](const std::string& path) {
    made.arguments.insert(made.arguments.end(), {"--ro-bind-try", path, path});
  };
  for (const std::string& path : readable) bind(path);
  bind(worker.program);
  made.arguments.insert(made.arguments.end(),
                        {"--remount-ro", "/", "--chdir", "/", "--"});
  made.arguments.push_back(worker.program);
  made.arguments.insert(made.arguments.end(), worker.arguments.begin(),
                        worker.arguments.end());
  return made;
}

// How a worker that was asked to be within tells that it is, with what isolate()
// said. In a process namespace of its own bwrap is 1, and what it starts is 2.
[[nodiscard]] inline std::string words(const std::string& shut_in) {
  if (::getpid() != 2)
    return "basic: bubblewrap was asked for, and this process is not in it";
  return shut_in == "strict" ? "bwrap" : "bwrap, and " + shut_in;
}

}  // namespace skillbench::bubblewrap
