#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <skillbench/attribution.hpp>
#include <skillbench/json_effect.hpp>
#include <skillbench/reports/markdown.hpp>

using namespace skillbench;

namespace {

// An output that is `plain` times as fast as its baseline and `gain` times that
// when it is tuned.
record output(const std::string& arm, const std::string& task, double plain,
              double gain) {
  record made;
  made.of.id = arm + "/" + task;
  made.of.arm = arm;
  made.of.skill = "s";
  made.of.task = task;
  made.what = outcome::correct;
  tuning_told& it = made.tuning.emplace();
  it.baseline_nanoseconds = 1000;
  it.trials = {{1000 / plain, "correct"}, {1000 / plain / gain, "correct"},
               {{}, "wrong"}};
  it.failures = {{"wrong", 1, {}, "because"}};
  it.best = 1;
  it.best_setting = {{"BLOCK", 64}};
  it.over_default = tuned_ratio{gain, {}, {}};
  return made;
}

}  // namespace

TEST_CASE("attribution: a skill that only picked the settings adds nothing beyond them") {
  // With the skill outputs come tuned; without it tuning gets them there.
  const std::vector<record> all = {
      output("with_skill", "a", 2, 1), output("with_skill", "b", 3, 1),
      output("baseline", "a", 1, 2), output("baseline", "b", 1, 3)};
  const auto made = attributions_of(all);
  REQUIRE(made.size() == 1);
  CHECK(made[0].tasks == 2);
  CHECK(made[0].with == 2);
  CHECK(made[0].without == 2);
  CHECK(made[0].predicted);
  CHECK(made[0].defaults->times == doctest::Approx(std::sqrt(6.0)));
  CHECK(made[0].tuning_alone->times == doctest::Approx(std::sqrt(6.0)));
  CHECK(made[0].tuning_with->times == doctest::Approx(1));
  CHECK(made[0].beyond_tuning->times == doctest::Approx(1));
  CHECK(made[0].beyond_tuning->at95->low == doctest::Approx(1));
  CHECK(made[0].beyond_tuning->at95->high == doctest::Approx(1));
}

TEST_CASE("attribution: tasks and models count alike, however many draws they have") {
  std::vector<record> all = {output("with_skill", "a", 4, 1),
                             output("baseline", "a", 1, 1),
                             output("with_skill", "b", 1, 1),
                             output("baseline", "b", 1, 1)};
  for (int i = 0; i < 10; ++i) all.push_back(output("baseline", "b", 1, 1));
  CHECK(attributions_of(all)[0].defaults->times == doctest::Approx(2));
  // A task of one arm alone says nothing.
  all.push_back(output("with_skill", "c", 100, 1));
  CHECK(attributions_of(all)[0].defaults->times == doctest::Approx(2));
  CHECK(attributions_of(all)[0].tasks == 2);
}

TEST_CASE("attribution: records in another order say the same") {
  std::vector<record> all;
  for (const char* task : {"a", "b", "c"})
    for (const double spread : {1.0, 1.3, 1.7}) {
      all.push_back(output("with_skill", task, 2 * spread, 1));
      all.push_back(output("baseline", task, spread * spread, 1.1));
    }
  const auto made = words_of(attributions_of(all)[0]);
  std::reverse(all.begin(), all.end());
  std::swap(all[3], all[8]);
  CHECK(words_of(attributions_of(all)[0]) == made);
}

TEST_CASE("attribution: what has no time does not count, and no time is no ratio") {
  record wrong = output("with_skill", "a", 2, 2);
  wrong.what = outcome::wrong;
  record untimed = output("with_skill", "a", 2, 2);
  untimed.tuning->baseline_nanoseconds.reset();
  record plain = output("with_skill", "a", 2, 2);
  plain.tuning.reset();
  for (const record& each : {wrong, untimed, plain})
    CHECK_FALSE(tuned_speed_of(each));
  const std::vector<record> all = {wrong, untimed, plain,
                                   output("baseline", "a", 1, 1)};
  const auto made = attributions_of(all);
  REQUIRE(made.size() == 1);
  CHECK_FALSE(made[0].beyond_tuning);
  CHECK(words_of(made[0]).front().find("Nothing can be said") == 0);
  CHECK(attributions_of({}).empty());
  // One draw an arm and one task shows no spread.
  const std::vector<record> two = {output("with_skill", "a", 2, 1.5),
                                   output("baseline", "a", 1, 1.25)};
  CHECK(attributions_of(two)[0].beyond_tuning->times ==
        doctest::Approx(3 / 1.25));
  CHECK_FALSE(attributions_of(two)[0].beyond_tuning->at95);
}

TEST_CASE("attribution: Markdown and JSON say it, and hostile names stay names") {
  std::vector<record> all = {output("with_skill", "a", 2, 1),
                             output("baseline", "a", 1, 2)};
  all[0].of.id = "a|b`c";
  all[0].of.skill = "<b>s</b>";
  all[1].of.skill = "<b>s</b>";
  const std::string text = markdown_tuning(all);
  CHECK(text.find("Beyond tuning the skill adds 1.00x") != text.npos);
  CHECK(text.find("tuning alone gives 2.00x") != text.npos);
  CHECK(text.find("`<b>s</b>`: ") != text.npos);
  CHECK(text.find("a|b") == text.npos);
  CHECK(text.find("| 2.00 | 2.00 | 3 | 1 | `BLOCK=64` |") != text.npos);
  CHECK(markdown_tuning(std::vector<record>(2)).empty());

  const std::string json = write_effects({}, 2, {}, 0, attributions_of(all));
  CHECK(json.find("\"tuning\":[{\"skill\":\"<b>s</b>\",\"predicted\":true") !=
        json.npos);
  CHECK(json.find("\"tuning_alone\":{\"times\":2.0") != json.npos);
  CHECK(write_effects({}, 2).find("tuning") == std::string::npos);
}
