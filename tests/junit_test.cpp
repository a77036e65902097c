#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/reports/junit.hpp>

using namespace skillbench;

namespace {

record told(const std::string& id, outcome what, const std::string& why = "") {
  record one;
  one.of.id = id;
  one.of.task = "geglu";
  one.of.arm = "baseline";
  one.what = what;
  one.reason = why;
  return one;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("junit: outputs are cases, failures and skips are counted") {
  record wrong = told("b", outcome::wrong, "a value is wrong");
  finding f;
  f.kind = code::wrong_value;
  f.what = "3 < 4";
  wrong.findings.push_back(f);
  wrong.seconds = {{"compile", 1.25}, {"check", 0.5}};
  const std::string text = junit_report(std::vector<record>{
      told("a", outcome::correct), wrong, told("c", outcome::unjudged, "no")});
  CHECK(has(text, "<testsuites name=\"skillbench\" tests=\"3\" failures=\"1\" "
                  "skipped=\"1\">"));
  CHECK(has(text, "<testsuite name=\"geglu, baseline\" tests=\"3\" "
                  "failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.750\">"));
  CHECK(has(text, "name=\"a\" time=\"0.000\"/>"));
  CHECK(has(text, "<failure type=\"wrong\" message=\"a value is "
                  "wrong\">wrong_value: 3 &lt; 4\n</failure>"));
  CHECK(has(text, "<skipped message=\"no\"/>"));
  CHECK(text.ends_with("</testsuites>\n"));
}

TEST_CASE("junit: hostile words stay words") {
  using xml_text::escaped;
  CHECK(escaped("</failure><x a=\"1\">&amp;") ==
        "&lt;/failure&gt;&lt;x a=&quot;1&quot;&gt;&amp;amp;");
  CHECK(escaped("]]>") == "]]&gt;");
  CHECK(escaped("a\nb\tc") == "a&#10;b&#9;c");
  CHECK(escaped(std::string("\x1b[31m\0", 6)) ==
        "\xef\xbf\xbd[31m\xef\xbf\xbd");
  CHECK(escaped("\xff\xc3") == "\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(escaped("\xef\xbf\xbf") == "\xef\xbf\xbd");
  CHECK(escaped("\xe2\x80\xae") == "\xef\xbf\xbd");
  CHECK(escaped("\xc3\xa4\xf0\x9f\x98\x80") == "\xc3\xa4\xf0\x9f\x98\x80");
  CHECK(escaped(std::string(5000, 'a')).size() == 4003);
  const std::string text =
      junit_report(std::vector<record>{told("\"><x>", outcome::wrong, "<&>")});
  CHECK_FALSE(has(text, "<x>"));
}
