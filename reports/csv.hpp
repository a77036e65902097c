#pragma once
// csv.hpp: records as a table for a spreadsheet or a data frame, a row each.
//
// Layer   7. Records in, text out.
// Shapes  A head row, then a row for each record. Lines end with CR LF; a field
//         with a comma, a quote, a line break or blanks at an end is quoted.
// Trust   A spreadsheet takes a field that begins with = + - @ (or their wide
//         forms), a tab or a carriage return for a formula, and some do so behind
//         blanks. Words of others that begin so get an apostrophe first; numbers
//         of ours never do. Other control characters become spaces.
// Source  RFC 4180; OWASP, "CSV Injection".

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>

namespace skillbench {

namespace csv_text {

[[nodiscard]] inline std::string field(std::string_view words) {
  std::string text(words);
  // NUL ends a field in some readers, an escape steers a terminal.
  for (char& c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' &&
         c != '\n') ||
        c == 0x7f)
      c = ' ';
  std::string_view rest = text;
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  bool formula = !rest.empty() && std::string_view("=+-@\t\r\n").find(
                                      rest[0]) != std::string_view::npos;
  for (const char* const wide :
       {"\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"})
    formula |= rest.starts_with(wide);
  if (formula) text.insert(0, 1, '\'');
  const bool quoted =
      text.find_first_of(",\"\r\n\t;") != std::string::npos ||
      (!text.empty() && (text.front() == ' ' || text.back() == ' '));
  if (!quoted) return text;
  std::string made = "\"";
  for (const char c : text) made += c == '"' ? "\"\"" : std::string(1, c);
  return made + '"';
}

template <typename T>
[[nodiscard]] std::string number(const std::optional<T>& value) {
  return value ? std::to_string(*value) : std::string();
}

}  // namespace csv_text

[[nodiscard]] inline std::string csv_report(std::span<const record> records) {
  using csv_text::field;
  using csv_text::number;
  std::string text =
      "id,model,task,arm,skill,draw,outcome,stage,reason,findings,"
      "input_tokens,output_tokens,cost_usd,device,speed,seed,source_hash,"
      "speedup,speedup_predicted,assertions_passed,assertions_judged\r\n";
  for (const record& one : records) {
    const sample& of = one.of;
    for (const std::string& each :
         {field(of.id.empty() ? of.path : of.id), field(of.model),
          field(of.task), field(of.arm), field(of.skill),
          std::to_string(of.draw), std::string(name(one.what)),
          std::string(name(one.reached)), field(one.reason),
          std::to_string(one.findings.size()), number(of.input_tokens),
          number(of.output_tokens), number(of.cost_usd), field(one.device),
          field(one.speed), std::to_string(one.seed)})
      text += each + ',';
    std::size_t passed = 0, judged = 0;
    for (const told_assertion& each : one.assertions) {
      passed += each.said == assertion_result::verdict::passed;
      judged += each.said != assertion_result::verdict::not_judged;
    }
    text += field(one.source_hash) + ',';
    if (one.against_baseline)
      text += std::to_string(one.against_baseline->times) +
              (one.against_baseline->predicted ? ",yes," : ",no,");
    else
      text += ",,";
    text += std::to_string(passed) + ',' + std::to_string(judged) + "\r\n";
  }
  return text;
}

}  // namespace skillbench
