#pragma once
// cpu_time.hpp: CPU seconds of a bench and of the workers that it started.

#include <sys/resource.h>

// Of this process and of its children that have ended.
inline double all_seconds() {
  double all = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(who, &used);
    for (const timeval& each : {used.ru_utime, used.ru_stime})
      all += static_cast<double>(each.tv_sec) +
             1e-6 * static_cast<double>(each.tv_usec);
  }
  return all;
}
