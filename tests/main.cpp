#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdlib>

// No test reads or writes the compile cache of whoever runs it.
[[maybe_unused]] static const int no_cache =
    ::setenv("SKILLBENCH_CACHE", "", 1);
