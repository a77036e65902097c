#include <doctest/doctest.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <skillbench/reports/html.hpp>

using namespace skillbench;

namespace {

const std::string evil =
    "</script><!--<script>alert(1)</script> & \xe2\x80\xae \xd8\x9c \xff \x1b[31m";

record told(const std::string& id, const std::string& arm, outcome what) {
  record made;
  made.of.id = id;
  made.of.arm = arm;
  made.of.task = "geglu";
  made.of.skill = arm == arm_with ? "h100" : "";
  made.what = what;
  made.device = "PTX machine";
  made.speed = "not measured: no GPU";
  made.source_hash = "00ff";
  return made;
}

std::string page_of(const std::vector<record>& all,
                    const source_of_hash& source = {}) {
  return html_report(all, effects_of(all), source);
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1))
    ++found;
  return found;
}

// What stands between `from` and the next end of a script element.
std::string element(const std::string& page, const std::string& id) {
  const std::string mark = "id=\"" + id + "\">";
  const std::size_t at = page.find(mark);
  REQUIRE(at != std::string::npos);
  const std::size_t first = at + mark.size();
  return page.substr(first, page.find("</script>", first) - first);
}

}  // namespace

TEST_CASE("html: hostile words end nothing") {
  record bad = told(evil, evil, outcome::wrong);
  bad.of.task = bad.of.model = bad.of.skill = bad.of.path = evil;
  bad.device = bad.speed = bad.reason = bad.log = evil;
  bad.chosen.emplace_back(evil, 1);
  finding f;
  f.kind = code::wrong_value;
  f.what = f.kernel = f.test_case = f.tensor = f.element_type = evil;
  bad.findings.push_back(f);
  compiled_kernel k;
  k.entry = k.lowered = k.element_type = evil;
  bad.kernels.push_back(k);
  case_agreement c;
  c.test_case = c.element_type = evil;
  bad.cases.push_back(c);
  record with = told(evil + "2", arm_with, outcome::wrong);
  with.of.skill = evil;
  const auto source = [](const std::string&) { return std::optional(evil); };

  const std::string clean = page_of({told("a", arm_with, outcome::wrong)});
  const std::string page = page_of({bad, with}, source);
  // The elements are those of a page without hostile words.
  CHECK(times(page, "</script") == times(clean, "</script"));
  CHECK(times(page, "<script") == times(clean, "<script"));
  CHECK(times(page, "<!--") == times(clean, "<!--"));
  for (const char* id : {"data", "details"}) {
    const std::string text = element(page, id);
    CHECK(text.find_first_of("<>&") == std::string::npos);
    CHECK(text.find("\xe2\x80\xae") == std::string::npos);
    CHECK(text.find("\xd8\x9c") == std::string::npos);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find("\\u003c/script\\u003e") != std::string::npos);
  }
}

TEST_CASE("html: the page asks for nothing and runs its own script alone") {
  const std::string page = page_of({told("a", arm_with, outcome::correct)});
  CHECK(page.find("default-src 'none'; script-src 'sha256-") !=
        std::string::npos);
  CHECK(page.find("unsafe-eval") == std::string::npos);
  for (const char* link : {" src=", "href=\"http", "@import", "url("}) {
    CAPTURE(link);
    const std::string head = page.substr(0, page.find("<body>"));
    CHECK(head.find(link) == std::string::npos);
  }
}

TEST_CASE("html: a line of details for each record, in order") {
  std::vector<record> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(told("o" + std::to_string(i), i % 2 ? arm_with : arm_without,
                       outcome::wrong));
    all.back().reason = "line one\nof output " + std::to_string(i);
  }
  const std::string lines = element(page_of(all), "details");
  CHECK(times(lines, "\n") == 4);
  std::size_t at = 0;
  for (int i = 0; i < 5; ++i) {
    at = lines.find("of output " + std::to_string(i), at);
    CHECK(at != std::string::npos);
  }
}

TEST_CASE("html: sources stand once, and a long one is cut") {
  const std::vector<record> all{told("a", arm_with, outcome::correct),
                                told("b", arm_without, outcome::correct)};
  const auto source = [](const std::string&) {
    return std::optional("int source_" + std::string(70'000, 'x'));
  };
  const std::string data = element(page_of(all, source), "data");
  CHECK(times(data, "int source_") == 1);
  CHECK(data.find("// cut here") != std::string::npos);
  CHECK(data.size() < 70'000);
  CHECK(element(page_of(all), "data").find("\"sources\":{}") !=
        std::string::npos);
}

TEST_CASE("html: logs stand in the page until there are too many") {
  record first = told("a", arm_with, outcome::does_not_compile);
  first.log = "float32:\ncandidate.cu(1): error: <b>\n";
  record second = first;
  second.of.id = "b";
  html_limits few;
  few.all_log_bytes = first.log.size();
  const std::string page =
      html_report(std::vector{first, second}, {}, {}, few);
  const std::string details = element(page, "details");
  CHECK(times(details, "\\u003cb\\u003e") == 1);
  CHECK(times(details, "left out here: the record has it") == 1);
}

TEST_CASE("html: outputs without a name of their own get one") {
  record one = told("", arm_with, outcome::correct), two = one;
  two.of.path = "out/b.md";
  const std::string data =
      element(page_of({one, two, told("x", "", outcome::correct),
                       told("x", "", outcome::correct)}),
              "data");
  CHECK(data.find("\"id\":[\"output 1\",\"out/b.md\",\"x\",\"x (4)\"]") !=
        std::string::npos);
}

TEST_CASE("html: what was not reported or measured is no number") {
  record one = told("a", arm_with, outcome::correct);
  one.cases.emplace_back();
  one.cases.back().worst_share = std::numeric_limits<double>::infinity();
  const std::string page = page_of({one});
  CHECK(element(page, "data").find("\"tokens\":[null]") != std::string::npos);
  CHECK(element(page, "data").find("not measured: no GPU") != std::string::npos);
  CHECK(element(page, "details").find("\"worst_share\":null") !=
        std::string::npos);
}

TEST_CASE("html: not more timed cases than are drawn, and all are counted") {
  timed_case timed;
  timed.bytes = 1e6;
  timed.operations = 1e7;
  timed.peak_bytes = 3e12;
  timed.peak_operations = 6e13;
  timed.samples.resize(20);
  for (std::size_t i = 0; i < timed.samples.size(); ++i) {
    timed.samples[i].nanoseconds = 1000;
    timed.samples[i].round = i / 2;
    timed.samples[i].of_baseline = i % 2 == 1;
  }
  std::vector<record> all{told("a", arm_with, outcome::correct)};
  all[0].timings.assign(5, timed);
  html_limits limits;
  limits.roofs = 2;
  const std::string page = html_report(all, {}, {}, limits);
  CHECK(times(page, "\"intensity\":10.0") == 2);
  CHECK(times(page, "\"roofs_in_all\":5,") == 1);
}

TEST_CASE("html: not more tuned outputs than are drawn, and all are counted") {
  std::vector<record> all(3, told("a", arm_with, outcome::correct));
  for (record& each : all) {
    tuning_told& it = each.tuning.emplace();
    it.baseline_nanoseconds = 200;
    it.trials = {{100.0, "correct"}};
  }
  all.push_back(told("b", arm_with, outcome::correct));  // not tuned
  html_limits limits;
  limits.tuned = 2;
  const std::string page =
      html_report(all, {}, {}, limits, attributions_of(all));
  CHECK(times(page, "\"as_it_came\":2.0") == 2);
  CHECK(times(page, "\"tuned_in_all\":3,") == 1);
  CHECK(times(page, "Nothing can be said of tuning") == 1);
}

TEST_CASE("html: the same records give the same page, none give one too") {
  const std::vector<record> all{told("a", arm_with, outcome::correct)};
  CHECK(page_of(all) == page_of(all));
  CHECK(page_of({}).find("id=\"details\"></script>") != std::string::npos);
}
