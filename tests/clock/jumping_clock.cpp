// jumping_clock.cpp: a calendar that is years ahead or behind, another at each look.
// Clocks that only go forward are left alone.

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace {

long jump() {
  static std::atomic<long> looks = ::getpid();
  constexpr long year = 365L * 24 * 3600;
  return (looks++ * 7919 % 21 - 10) * year;
}

}  // namespace

extern "C" int clock_gettime(clockid_t of, timespec* into) noexcept {
  const long wrong = ::syscall(SYS_clock_gettime, of, into);
  if (wrong == 0 && (of == CLOCK_REALTIME || of == CLOCK_REALTIME_COARSE))
    into->tv_sec += jump();
  return static_cast<int>(wrong);
}

extern "C" time_t time(time_t* into) noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  if (into != nullptr) *into = now.tv_sec;
  return now.tv_sec;
}

extern "C" int gettimeofday(timeval* into, void*) noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  into->tv_sec = now.tv_sec;
  into->tv_usec = now.tv_nsec / 1000;
  return 0;
}
