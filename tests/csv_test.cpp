#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/reports/csv.hpp>

using namespace skillbench;

TEST_CASE("csv: a row for each record, and the head") {
  record one;
  one.of.id = "a-1";
  one.of.task = "geglu";
  one.of.arm = "with_skill";
  one.of.output_tokens = 12;
  one.what = outcome::correct;
  one.reached = stage::done;
  one.device = "PTX machine";
  one.seed = 7;
  const std::string text = csv_report(std::vector<record>{one});
  CHECK(text ==
        "id,model,task,arm,skill,draw,outcome,stage,reason,findings,"
        "input_tokens,output_tokens,cost_usd,device,speed,seed,source_hash,"
        "speedup,speedup_predicted,assertions_passed,assertions_judged\r\n"
        "a-1,,geglu,with_skill,,0,correct,done,,0,,12,,PTX machine,,7,,,,0,0"
        "\r\n");
}

TEST_CASE("csv: hostile words are one field and no formula") {
  using csv_text::field;
  CHECK(field("plain words") == "plain words");
  CHECK(field("a,b") == "\"a,b\"");
  CHECK(field("say \"so\"\r\nthere") == "\"say \"\"so\"\"\r\nthere\"");
  CHECK(field("=HYPERLINK(\"x\")") == "\"'=HYPERLINK(\"\"x\"\")\"");
  for (const std::string start : {"=", "+", "-", "@", "\t", "\r"})
    CHECK(field(start + "1").find('\'') <= 1);
  CHECK(field(" x") == "\" x\"");
  CHECK(field(std::string("a\0b", 3)) == "a b");
  CHECK(field("a\x1b[31m\x7f") == "\"a [31m \"");
  CHECK(field("  =1+1") == "'  =1+1");
  CHECK(field("\xef\xbc\x9d" "1") == "'\xef\xbc\x9d" "1");
  CHECK(field("a\tb") == "\"a\tb\"");
  record bad;
  bad.of.id = bad.reason = "@SUM(A1)";
  bad.of.path = "-1";
  const std::string text = csv_report(std::vector<record>{bad});
  CHECK(text.find("\n'@SUM(A1),") != std::string::npos);
  CHECK(text.find(",'@SUM(A1),") != std::string::npos);
}
