#pragma once
// compiler_log.hpp: what NVRTC and ptxas said, as findings and as kept text.
//
// Layer   4. device.hpp's images in; evaluate.hpp and tune_kernel.hpp are its users.
// Units   bytes. A log comes as readable UTF-8 with the lines of resources taken
//         out (cuda/nvrtc.hpp), and is hostile all the same: a source can fill it.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/device.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

inline constexpr std::size_t most_quoted_errors = 3;  // for one element type
inline constexpr std::size_t most_error_bytes = 600;
inline constexpr std::size_t most_kept_log_bytes = 16 * 1024;

// One error of NVRTC's or ptxas' log, with the line it names.
struct log_error {
  std::optional<int> line;
  std::string text;
};

// "candidate.cu(12): error: ..." names a line of the candidate; "ptxas error :
// ..." and "cuda_fp16.hpp(3): error: ..." do not.
[[nodiscard]] inline log_error parse_error(std::string_view line) {
  log_error found;
  constexpr std::string_view ours = "candidate.cu(";
  if (const std::size_t at = line.find(ours); at == 0) {
    const std::string_view rest = line.substr(ours.size());
    int number = 0;
    std::size_t digits = 0;
    while (digits < rest.size() && digits < 8 && rest[digits] >= '0' &&
           rest[digits] <= '9')
      number = number * 10 + (rest[digits++] - '0');
    if (digits > 0 && digits < rest.size() && rest[digits] == ')') {
      found.line = number;
      line = rest.substr(digits + 1);
      while (!line.empty() && (line.front() == ':' || line.front() == ' '))
        line.remove_prefix(1);
    }
  }
  found.text = std::string(line.substr(0, most_error_bytes));
  return found;
}

// The first errors of a log, each once; warnings and remarks are left out.
[[nodiscard]] inline std::vector<log_error> errors_in(std::string_view log) {
  std::vector<log_error> found;
  while (!log.empty() && found.size() < most_quoted_errors) {
    const std::size_t end = log.find('\n');
    std::string_view line = log.substr(0, end);
    log.remove_prefix(end == std::string_view::npos ? log.size() : end + 1);
    while (!line.empty() && (line.front() == '?' || line.front() == ' '))
      line.remove_prefix(1);
    const bool is_error = line.find("): error") != std::string_view::npos ||
                          line.find("): catastrophic error") !=
                              std::string_view::npos ||
                          line.find(": error: ") != std::string_view::npos ||
                          line.starts_with("ptxas error") ||
                          line.starts_with("ptxas fatal") ||
                          line.starts_with("nvrtc: error");
    if (is_error) found.push_back(parse_error(line));
  }
  return found;
}

[[nodiscard]] inline std::vector<finding> compile_findings(const image& made,
                                                           element type) {
  std::vector<finding> found;
  const auto say = [&](std::string what, std::optional<int> line) {
    finding each;
    each.kind = code::compile_error;
    each.what = std::move(what);
    each.element_type = name(type);
    each.line = line;
    found.push_back(std::move(each));
  };
  for (log_error& each : errors_in(made.log))
    say(std::move(each.text), each.line);
  if (!found.empty()) return found;
  const std::string_view log = made.log;
  const std::size_t first = log.find_first_not_of(" \n\t");
  say(first == std::string_view::npos
          ? "the compiler refused the source and gave no reason"
          : "the compiler refused the source: " +
                std::string(log.substr(first, most_error_bytes)),
      std::nullopt);
  return found;
}

// Templates make the same error for every type: said once, for no type.
inline void merge_compile_findings(std::vector<finding>& all,
                                   std::vector<finding> more) {
  for (finding& each : more) {
    const auto same = std::find_if(
        all.begin(), all.end(), [&](const finding& other) {
          return other.kind == each.kind && other.line == each.line &&
                 other.what == each.what;
        });
    if (same == all.end())
      all.push_back(std::move(each));
    else
      same->element_type.clear();
  }
}

// The logs of all element types as one text: what several types were told in the
// same words stands once, under their names. Empty when the compiler had nothing to
// say; cut at `most_kept_log_bytes`, which it then says.
class compiler_log {
 public:
  void add(element type, const image& made) {
    std::string_view words = made.log;
    const std::size_t last = words.find_last_not_of(" \n\t");
    words = words.substr(0, last == std::string_view::npos ? 0 : last + 1);
    if (words.empty()) return;
    cut_ = cut_ || made.log_cut;
    for (auto& [types, told] : said_)
      if (told == words) {
        types += std::string(", ") + std::string(name(type));
        return;
      }
    said_.emplace_back(name(type), words);
  }

  [[nodiscard]] std::string text() const {
    std::string all;
    for (const auto& [types, told] : said_) {
      if (!all.empty()) all += '\n';
      all += types + ":\n" + told + '\n';
    }
    const bool too_long = all.size() > most_kept_log_bytes;
    if (too_long) {
      std::size_t end = most_kept_log_bytes;  // not within a character
      while (end > 0 && (static_cast<unsigned char>(all[end]) & 0xc0) == 0x80)
        --end;
      all.resize(end);
      all += '\n';
    }
    if (too_long || cut_) all += "(cut here)\n";
    return all;
  }

 private:
  std::vector<std::pair<std::string, std::string>> said_;
  bool cut_ = false;
};

}  // namespace skillbench
