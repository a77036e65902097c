#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include <skillbench/case_scan.hpp>
#include <skillbench/json_record.hpp>

using namespace skillbench;

namespace {

record with_cases(int count) {
  record one;
  one.reason = "a reason with ,\"cases\":[{ in it";
  for (int i = 0; i < count; ++i) {
    case_agreement each;
    each.test_case = "case_" + std::to_string(i);
    each.element_type = i % 3 == 0 ? "float" : i % 3 == 1 ? "half" : "bfloat16";
    each.reached = static_cast<outcome>(
        i % (static_cast<int>(outcome::unjudged) + 1));
    each.worst_share = i == 4   ? std::numeric_limits<double>::infinity()
                       : i == 7 ? std::numeric_limits<double>::quiet_NaN()
                                : i * 0.1;
    each.compared = 5;
    each.warp_instructions = 1'000'000'007u * static_cast<unsigned>(i);
    each.global_load_sectors = static_cast<std::uint64_t>(i) << 40;
    each.global_store_sectors = 3;
    one.cases.push_back(each);
  }
  return one;
}

// Instead of a part of a sound line.
std::optional<scanned_cases> with(const std::string& from,
                                  const std::string& to) {
  std::string line = write_record(with_cases(3));
  const std::size_t at = line.rfind(from);
  REQUIRE(at != line.npos);
  return scan_cases(line.replace(at, from.size(), to));
}

}  // namespace

TEST_CASE("case_scan: the sums are those of the whole record") {
  for (const int count : {0, 1, 3, 7, 60}) {
    CAPTURE(count);
    const record one = with_cases(count);
    const std::string line = write_record(one);
    const auto scanned = scan_cases(line);
    REQUIRE(scanned.has_value());
    const auto wanted = sums_of_cases(one);
    REQUIRE(scanned->sums.size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      case_sum a = scanned->sums[i], b = wanted[i];
      CHECK(std::isnan(a.worst_share) == std::isnan(b.worst_share));
      if (std::isnan(a.worst_share)) a.worst_share = b.worst_share = 0;
      CHECK(a == b);
    }
    const auto rest = read_record(scanned->rest);
    REQUIRE(rest.ok());
    CHECK(rest.value().cases.empty());
    CHECK(rest.value().reason == one.reason);
    CHECK(rest.value().speed == one.speed);
  }
}

TEST_CASE("case_scan: what is not written by us is left to the reader") {
  CHECK(with("case_2", "case_2").has_value());
  CHECK_FALSE(with("case_2", "case\\u0032").has_value());  // an escape
  CHECK_FALSE(with("\"compared\":5", "\"compared\":5.5").has_value());
  CHECK_FALSE(with("\"compared\":5", "\"compared\":-5").has_value());
  CHECK_FALSE(with("\"compared\":5", "\"compared\":[5]").has_value());
  CHECK_FALSE(with("\"compared\":5", "\"compared\": 5").has_value());
  CHECK_FALSE(with("\"compared\":5", "\"compared\":99999999999999999999")
                  .has_value());
  CHECK_FALSE(with("\"outcome\":\"does_not", "\"outcome\":\"dose_not")
                  .has_value());
  CHECK_FALSE(with("\"worst_share\":0.2", "\"worst_share\":\"much\"")
                  .has_value());
  CHECK_FALSE(scan_cases("{\"schema\":1}").has_value());
  const std::string line = write_record(with_cases(3));
  const std::size_t cases = line.find(",\"cases\":[");
  for (std::size_t end = cases; end < cases + 300; ++end)
    CHECK_FALSE(scan_cases(line.substr(0, end)).has_value());
}
