#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include <skillbench/json_record.hpp>
#include <skillbench/records.hpp>
#include <skillbench/store.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder {
  std::string path;
  folder() {
    std::string name = (fs::temp_directory_path() / "records-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() { fs::remove_all(path); }
};

record told(const std::string& id, outcome what) {
  record one;
  one.of.id = id;
  one.of.model = "m";
  one.what = what;
  return one;
}

}  // namespace

TEST_CASE("records: of several records of one output the last counts") {
  const folder in;
  {
    auto kept = store::open(in.path);
    REQUIRE(kept.ok());
    REQUIRE(kept.value().append(write_record(told("a", outcome::wrong))).ok());
    REQUIRE(kept.value().append(write_record(told("b", outcome::faults))).ok());
  }
  {
    auto kept = store::open(in.path);
    REQUIRE(kept.ok());
    REQUIRE(kept.value().append(write_record(told("a", outcome::correct))).ok());
  }
  const auto read = read_records(in.path);
  REQUIRE(read.ok());
  REQUIRE(read.value().records.size() == 2);
  CHECK(read.value().replaced == 1);
  CHECK(read.value().records[0].of.id == "a");
  CHECK(read.value().records[0].what == outcome::correct);
}

TEST_CASE("records: a record of two piles is one, another answer of the same name is not") {
  record_pile all;
  records_of::gatherer together(all, false);
  record one;
  one.of.id = "i";
  one.source_hash = "aa";
  together.take(one);
  together.take(one);
  CHECK(all.records.size() == 1);
  CHECK(all.replaced == 1);
  one.source_hash = "bb";
  together.take(one);
  CHECK(all.records.size() == 2);
  one.source_hash.clear();  // prose, or a record of another tool
  together.take(one);
  together.take(one);
  CHECK(all.records.size() == 3);
  one.seconds = {{"check", 0.25}};  // judged again, elsewhere
  one.of.path = "elsewhere/1.md";
  one.seed = 8;
  one.device = "another";
  together.take(one);
  CHECK(all.records.size() == 3);
  one.of.output_tokens = 7;
  together.take(one);
  CHECK(all.records.size() == 4);
}

TEST_CASE("records: a file of lines, and lines that are none") {
  const folder in;
  const std::string path = in.path + "/some.jsonl";
  std::ofstream(path) << write_record(told("a", outcome::correct))
                      << "\n\n{\"schema\":\nnone\n"
                      << write_record(told("b", outcome::wrong));
  const auto read = read_records(path);
  REQUIRE(read.ok());
  CHECK(read.value().records.size() == 2);
  REQUIRE(read.value().troubles.size() == 2);
  CHECK(read.value().troubles[0].what.starts_with(
      path + ":3: a record that cannot be used: "));
}

TEST_CASE("records: what is not there is said") {
  const folder in;
  CHECK(read_records(in.path + "/none").error().why == reason::not_found);
  CHECK(read_records(in.path).error().what.find("no records in this folder") !=
        std::string::npos);
  std::ofstream(in.path + "/empty.jsonl");
  CHECK(read_records(in.path + "/empty.jsonl").error().why ==
        reason::not_found);
}

TEST_CASE("records: sources are kept by their hash, and nothing else is read") {
  const folder in;
  CHECK_FALSE(read_source(in.path, "00ff").has_value());
  REQUIRE(write_source(in.path, "00ff", "one").ok());
  REQUIRE(write_source(in.path, "00ff", "two").ok());  // there already
  CHECK(read_source(in.path, "00ff") == "one");
  CHECK(read_source(in.path, "00ff", 2) == "on");
  CHECK(source_file(in.path, "../../etc/passwd").empty());
  CHECK(source_file(in.path, "").empty());
  CHECK(write_source(in.path + "/again", "00ff", "x").ok());  // was removed
  std::ofstream(in.path + "/file");
  CHECK(write_source(in.path + "/file", "00ff", "x").error().why == reason::io);
}

TEST_CASE("records: a source that leads elsewhere is not read") {
  const folder in;
  fs::create_directory(in.path + "/sources");
  std::ofstream(in.path + "/secret") << "secret";
  fs::create_symlink(in.path + "/secret", in.path + "/sources/00aa.cu");
  CHECK_FALSE(read_source(in.path, "00aa").has_value());
  // A pipe that nobody writes to holds nobody up.
  const std::string pipe = in.path + "/sources/00bb.cu";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_FALSE(read_source(in.path, "00bb").has_value());
  fs::create_directory(in.path + "/sources/00cc.cu");
  CHECK_FALSE(read_source(in.path, "00cc").has_value());
  // A dangling link is replaced and not written through.
  fs::create_symlink(in.path + "/planted", in.path + "/sources/00dd.cu");
  REQUIRE(write_source(in.path, "00dd", "mine").ok());
  CHECK_FALSE(fs::exists(in.path + "/planted"));
  CHECK(read_source(in.path, "00dd") == "mine");
}

TEST_CASE("records: a line without an end is given up") {
  const folder in;
  const std::string path = in.path + "/long.jsonl";
  {
    std::ofstream to(path, std::ios::binary);
    to << write_record(told("a", outcome::correct)) << "\n";
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 66; ++i) to << block;
    to << "\n" << write_record(told("b", outcome::correct)) << "\n";
  }
  const auto read = read_records(path);
  REQUIRE(read.ok());
  CHECK(read.value().records.size() == 1);
  REQUIRE(read.value().troubles.size() == 1);
  CHECK(read.value().troubles[0].what.find(":2: a line of more than 64 MB") !=
        std::string::npos);
}

TEST_CASE("records: cases that are let go leave their sums") {
  record one;
  for (int i = 0; i < 6; ++i) {
    case_agreement each;
    each.element_type = i % 2 == 0 ? "float" : "half";
    each.reached = i == 3 ? outcome::wrong : outcome::correct;
    each.worst_share = i == 1 ? std::numeric_limits<double>::quiet_NaN() : i;
    each.warp_instructions = 10;
    one.cases.push_back(each);
  }
  const auto before = sums_of_cases(one);
  REQUIRE(before.size() == 2);
  CHECK(before[0].cases == 3);
  CHECK(before[0].correct == 3);
  CHECK(before[0].worst_share == 4);
  CHECK(before[0].warp_instructions == 30);
  CHECK(before[1].correct == 2);
  CHECK(std::isnan(before[1].worst_share));  // a NaN is worse than any share
  fold_cases(one);
  CHECK(one.cases.empty());
  CHECK(sums_of_cases(one)[0] == before[0]);
}

TEST_CASE("records: folded as they are read, however they are written") {
  const folder in;
  record one = told("a", outcome::correct);
  one.cases.emplace_back();
  one.cases.back().element_type = "half";
  const std::string plain = write_record(one);
  std::string spaced = plain;  // not as we write it
  const std::size_t at = spaced.find("\"element_type\":");
  REQUIRE(at != spaced.npos);
  spaced.insert(at + 15, " ");
  const std::string path = in.path + "/some.jsonl";
  for (const std::string& line : {plain, spaced}) {
    std::ofstream(path) << line << "\n";
    const auto read = read_records(path, true);
    REQUIRE(read.ok());
    REQUIRE(read.value().records.size() == 1);
    CHECK(read.value().records[0].cases.empty());
    REQUIRE(read.value().records[0].folded.size() == 1);
    CHECK(read.value().records[0].folded[0].element_type == "half");
    CHECK(read_records(path).value().records[0].cases.size() == 1);
  }
}
