#pragma once
// case_scan.hpp: the cases of a record's line, added up without reading the rest.
//
// Layer   3. Standard library and record.hpp.
// Why     Cases are nine tenths of a record, and a report needs their sums alone:
//         this reads them ten times as fast as a tree of values is made.
// Shapes  Takes lines as json_record.hpp writes them. Whatever else stands there
//         (an escape, a nested value, a word that is not known) is left to it:
//         nothing is returned, and the line is read as a whole.
// Trust   The text may be hostile. Inside a JSON string a quote is escaped, so the
//         key with its quotes is found where a key stands and nowhere else.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>

namespace skillbench {

struct scanned_cases {
  std::string rest;            // the line with an empty list of cases
  std::vector<case_sum> sums;  // by element type, in the order they come
};

namespace case_scan {

class scanner {
 public:
  explicit scanner(std::string_view text) : left_(text) {}

  [[nodiscard]] bool take(char wanted) {
    if (left_.empty() || left_.front() != wanted) return false;
    left_.remove_prefix(1);
    return true;
  }
  // A string without escapes and control characters.
  [[nodiscard]] bool text(std::string_view& into) {
    if (!take('"')) return false;
    const std::size_t end = left_.find('"');
    if (end == left_.npos) return false;
    into = left_.substr(0, end);
    for (const char c : into)
      if (c == '\\' || static_cast<unsigned char>(c) < 0x20) return false;
    left_.remove_prefix(end + 1);
    return true;
  }
  template <typename Number>
  [[nodiscard]] bool number(Number& into) {
    const char* const first = left_.data();
    const auto [end, wrong] =
        std::from_chars(first, first + left_.size(), into);
    if (wrong != std::errc()) return false;
    left_.remove_prefix(static_cast<std::size_t>(end - first));
    // "12.5" is no count, "1e3" none either.
    return !left_.empty() && (left_[0] == ',' || left_[0] == '}');
  }
  [[nodiscard]] std::size_t left() const noexcept { return left_.size(); }

 private:
  std::string_view left_;
};

[[nodiscard]] inline bool share(scanner& in, double& into) {
  if (in.number(into)) return true;
  std::string_view word;
  if (!in.text(word)) return false;
  if (word == "nan")
    into = std::numeric_limits<double>::quiet_NaN();
  else if (word == "infinity")
    into = std::numeric_limits<double>::infinity();
  else
    return false;
  return true;
}

// One case behind its brace.
[[nodiscard]] inline bool one_case(scanner& in, std::string_view& type,
                                   case_sum& into) {
  bool reached = false;
  do {
    std::string_view key, word;
    std::uint64_t count = 0;
    if (!in.text(key) || !in.take(':')) return false;
    if (key == "case") {
      if (!in.text(word)) return false;
    } else if (key == "element_type") {
      if (!in.text(type)) return false;
    } else if (key == "outcome") {
      if (!in.text(word)) return false;
      for (int i = 0; i <= static_cast<int>(outcome::unjudged); ++i)
        reached |= name(static_cast<outcome>(i)) == word;
      if (!reached) return false;
      into.correct = word == name(outcome::correct);
    } else if (key == "worst_share") {
      if (!share(in, into.worst_share)) return false;
    } else if (!in.number(count)) {
      return false;
    } else if (key == "warp_instructions") {
      into.warp_instructions = count;
    } else if (key == "global_load_sectors") {
      into.global_load_sectors = count;
    } else if (key == "global_store_sectors") {
      into.global_store_sectors = count;
    }
  } while (in.take(','));
  into.cases = 1;
  return reached && in.take('}');
}

}  // namespace case_scan

[[nodiscard]] inline std::optional<scanned_cases> scan_cases(
    std::string_view line) {
  constexpr std::string_view key = ",\"cases\":[";
  const std::size_t at = line.find(key);
  if (at == line.npos) return std::nullopt;
  const std::size_t begins = at + key.size();
  case_scan::scanner in(line.substr(begins));
  scanned_cases made;
  if (!in.take(']')) {
    do {
      std::string_view type;
      case_sum one;
      if (!in.take('{') || !case_scan::one_case(in, type, one))
        return std::nullopt;
      case_sum* to = nullptr;
      for (case_sum& known : made.sums)
        if (known.element_type == type) to = &known;
      if (to == nullptr) {
        to = &made.sums.emplace_back();
        to->element_type = type;
      }
      add_to(*to, one);
    } while (in.take(','));
    if (!in.take(']')) return std::nullopt;
  }
  const std::size_t ends = line.size() - in.left();
  made.rest.reserve(begins + 1 + in.left());
  made.rest = line.substr(0, begins);
  made.rest += ']';
  made.rest += line.substr(ends);
  return made;
}

}  // namespace skillbench
