#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/earlier.hpp>

#include "new_folder.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

using folder = new_folder;

record told(const std::string& id, const std::string& key,
            const std::string& reason) {
  record made;
  made.of.id = id;
  made.key = key;
  made.reason = reason;
  return made;
}

void keep(const fs::path& at, const std::vector<record>& all) {
  auto kept = store::open(at.string());
  REQUIRE(kept);
  for (const record& each : all)
    REQUIRE(kept.value().append(write_record(each)));
}

std::string reason_of(const earlier_records& known, const std::string& key,
                      const std::string& id) {
  sample of;
  of.id = id;
  const auto found = known.find(key, of);
  REQUIRE(found);
  CHECK(found.value().key == key);
  return found.value().reason;
}

}  // namespace

TEST_CASE("earlier: the last record goes before others, a sample's own too") {
  const folder at;
  keep(at.path, {told("a", "k", "first"), told("b", "k", "of b"),
                 told("a", "l", "another key"), told("a", "", "no key")});
  keep(at.path, {told("a", "k", "second"), told("c", "k", "of c")});
  const auto known = earlier_records::read(at.path.string());
  REQUIRE(known);
  CHECK(known.value().troubles.empty());
  CHECK(known.value().knows("k"));
  CHECK(known.value().knows("l"));
  CHECK_FALSE(known.value().knows("m"));
  CHECK_FALSE(known.value().knows(""));
  CHECK(reason_of(known.value(), "k", "a") == "second");
  CHECK(reason_of(known.value(), "k", "b") == "of b");
  CHECK(reason_of(known.value(), "k", "d") == "of c");
  CHECK(reason_of(known.value(), "l", "a") == "another key");
  CHECK_FALSE(known.value().find("m", {}));
}

TEST_CASE("earlier: what cannot be used is told and not known") {
  const folder at;
  record future = told("a", "k", "");
  future.schema = record_schema + 1;
  keep(at.path, {told("a", "l", "fine"), future});
  std::ofstream(at.path / "records.jsonl", std::ios::app)
      << "{\"key\":\"m\"}\n";
  const auto known = earlier_records::read(at.path.string());
  REQUIRE(known);
  CHECK(known.value().knows("l"));
  CHECK_FALSE(known.value().knows("k"));
  CHECK_FALSE(known.value().knows("m"));
  REQUIRE(known.value().troubles.size() == 2);
  CHECK(known.value().troubles[0].what.find("this release knows") !=
        std::string::npos);
  CHECK(known.value().troubles[1].what.find(":3: ") != std::string::npos);
}

TEST_CASE("earlier: a record that changed meanwhile is a fault") {
  const folder at;
  keep(at.path, {told("a", "k", "first")});
  const auto known = earlier_records::read(at.path.string());
  REQUIRE(known);
  fs::remove(at.path / "records.jsonl");
  CHECK_FALSE(known.value().find("k", {}));
  keep(at.path, {told("a", "k", "other words")});
  CHECK_FALSE(known.value().find("k", {}));
}

TEST_CASE("earlier: no folder holds nothing, a file is no folder") {
  const folder at;
  const auto none = earlier_records::read((at.path / "none").string());
  REQUIRE(none);
  CHECK_FALSE(none.value().knows("k"));
  std::ofstream(at.path / "file") << "text";
  CHECK_FALSE(earlier_records::read((at.path / "file").string()));
}

TEST_CASE("earlier: a sample is another one by all that is written of it") {
  const sample one;
  CHECK(same_sample(one, one));
  const auto differs = [&](auto member, auto value) {
    sample other = one;
    other.*member = value;
    CHECK_FALSE(same_sample(one, other));
  };
  for (const auto member : {&sample::id, &sample::model, &sample::arm,
                            &sample::skill, &sample::task, &sample::pair})
    differs(member, "x");
  differs(&sample::draw, 3);
  differs(&sample::input_tokens, 3);
  differs(&sample::output_tokens, 3);
  differs(&sample::turns, 3);
  differs(&sample::cost_usd, 3.0);
  differs(&sample::seconds, 3.0);
  sample other = one;
  other.path = "elsewhere";
  other.output = "not written";
  CHECK(same_sample(one, other));
}
