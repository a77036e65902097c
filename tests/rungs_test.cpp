#include <doctest/doctest.h>

#include <skillbench/rungs.hpp>

using namespace skillbench;

TEST_CASE("rungs: each outcome is counted as far as it got") {
  rungs all;
  for (int each = 0; each <= static_cast<int>(outcome::unjudged); ++each)
    all.add(static_cast<outcome>(each));
  CHECK(all.outputs == 8);
  CHECK(all.kernel == 7);     // all but no_kernel
  CHECK(all.manifest == 6);   // nor bad_manifest
  CHECK(all.compiles == 5);   // nor does_not_compile
  CHECK(all.clean == 3);      // wrong, cheats, correct: unjudged is not known
  CHECK(all.right == 2);
  CHECK(all.correct == 1);
  CHECK(all.unjudged == 1);

  rungs sum = all;
  sum.add(all);
  CHECK(sum.outputs == 16);
  CHECK(sum.kernel == 14);
  CHECK(sum.manifest == 12);
  CHECK(sum.compiles == 10);
  CHECK(sum.clean == 6);
  CHECK(sum.right == 4);
  CHECK(sum.correct == 2);
  CHECK(sum.unjudged == 2);
}
