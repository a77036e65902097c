#pragma once
// extract.hpp: the CUDA source in what a model wrote.
//
// Layer   2. A pure step; markdown.hpp finds the fences for it.
// Choice  Of the fenced blocks with a `__global__` function, those that name
//         skillbench (a manifest) come before those that do not, closed ones
//         before cut ones, and then the last one counts: models correct
//         themselves further down. A text without fences that holds a kernel,
//         or one that starts like a source, is the source as a whole.
// Lines   from 1; LF, CR and CRLF end one. The source has LF only.
// Refused no_source: nothing like a kernel. bad_source: more than 8 MB of
// output
//         or 256 KB of source, a NUL (the compiler would stop there), invalid
//         UTF-8. Both leave the output without a kernel: see
//         `outcome_of` in finding.hpp.
// Source  kernels/contract.md: one CUDA source in one fenced block.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/markdown.hpp>
#include <skillbench/utf8.hpp>

namespace skillbench {

inline constexpr std::size_t most_output_bytes = 8u << 20;
inline constexpr std::size_t most_source_bytes = 256u << 10;

struct extracted {
  std::optional<excerpt> found;
  std::vector<finding> refused;  // why there is none
};

namespace cut {

// A place in an output that may be its source.
struct piece {
  std::string text;
  int first_line = 1;  // of the output
  bool closed = true;
  bool has_manifest = false;
};

inline bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_';
}

inline std::size_t find_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != text.npos;
       at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) &&
        (end == text.size() || !is_word(text[end])))
      return at;
  }
  return text.npos;
}

inline bool has_kernel(std::string_view text) {
  return find_word(text, "__global__") != text.npos;
}

// Prose names `__global__` too; a definition goes on with ( and {.
inline bool defines_kernel(std::string_view text) {
  const std::size_t at = find_word(text, "__global__");
  if (at == text.npos) return false;
  const std::size_t open = text.find('(', at);
  return open != text.npos && text.find('{', open) != text.npos;
}

// No Markdown that holds a source in fences starts like this.
inline bool starts_like_source(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\n");
  if (first == text.npos) return false;
  text.remove_prefix(first);
  constexpr std::array<std::string_view, 10> starts = {
      "/*",  "//",       "#include",     "#define",    "#pragma",
      "#if", "template", "extern \"C\"", "__global__", "__device__"};
  return std::any_of(starts.begin(), starts.end(),
                     [&](auto start) { return text.starts_with(start); });
}

inline bool has_fence(std::string_view text) {
  while (!text.empty()) {
    const std::size_t first = text.find_first_not_of(" \t>");
    if (first == text.npos) return false;
    if (text.substr(first).starts_with("```") ||
        text.substr(first).starts_with("~~~"))
      return true;
    const std::size_t end = text.find('\n', first);
    if (end == text.npos) return false;
    text.remove_prefix(end + 1);
  }
  return false;
}

// Lines [first, last] of `text`, from 1.
inline std::string_view line_range(std::string_view text, int first, int last) {
  std::size_t begin = 0;
  for (int line = 1; line < first && begin != text.npos; ++line) {
    const std::size_t end = text.find('\n', begin);
    begin = end == text.npos ? text.npos : end + 1;
  }
  if (begin == text.npos) return {};
  std::size_t end = begin;
  for (int line = first; line <= last && end < text.size(); ++line) {
    const std::size_t next = text.find('\n', end);
    end = next == text.npos ? text.size() : next + 1;
  }
  return text.substr(begin, end - begin);
}

inline std::string without_blocks(std::string_view text,
                                  const std::vector<fenced>& blocks) {
  std::string left;
  int line = 1;
  std::size_t next = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::size_t bytes = end == text.npos ? text.size() : end + 1;
    while (next < blocks.size() && blocks[next].close_line < line) ++next;
    if (next == blocks.size() || line < blocks[next].open_line)
      left += text.substr(0, bytes);
    text.remove_prefix(bytes);
    ++line;
  }
  return left;
}

inline piece whole(std::string_view text, int first_line) {
  return {std::string(text), first_line, true,
          find_word(text, "skillbench") != text.npos};
}

// The pieces of a text that starts in line `first_line` of the output. Answers
// that stand in a fence as a whole (```markdown) are opened up to four times.
inline result<std::vector<piece>> pieces(std::string_view text, int first_line,
                                         std::size_t& seen, int level = 0) {
  const auto blocks = fenced_blocks(text);
  if (!blocks) return blocks.error();
  seen += blocks.value().size();

  std::vector<piece> found;
  if (level == 0 && ((blocks.value().empty() && defines_kernel(text)) ||
                     (starts_like_source(text) &&
                      defines_kernel(without_blocks(text, blocks.value()))))) {
    found.push_back(whole(text, first_line));
    return found;
  }
  for (const fenced& block : blocks.value()) {
    if (!has_kernel(block.text)) continue;
    const int line = first_line + block.first_line - 1;
    if (level < 4 && has_fence(block.text) && !starts_like_source(block.text)) {
      auto inner = pieces(block.text, line, seen, level + 1);
      if (!inner) return inner;
      if (!inner.value().empty()) {
        for (piece& one : inner.value()) found.push_back(std::move(one));
        continue;
      }
    }
    found.push_back(whole(block.text, line));
    found.back().closed = block.closed;
  }
  return found;
}

// LF for CRLF and CR.
inline std::string with_lf(std::string_view text) {
  std::string made;
  made.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r')
      made += text[i];
    else if (i + 1 == text.size() || text[i + 1] != '\n')
      made += '\n';
  }
  return made;
}

inline finding refuse(code kind, std::string what) {
  finding made;
  made.kind = kind;
  made.what = std::move(what);
  return made;
}

inline finding note(code kind, std::string what) {
  finding made = refuse(kind, std::move(what));
  made.weight = severity::note;
  return made;
}

// What is wrong with the bytes of a source, and what is to be told of them.
// `raw` are its lines in the output: cmark replaces a NUL.
inline std::optional<finding> wrong_bytes(excerpt& made, std::string_view raw) {
  const auto line_at = [](std::string_view text, std::size_t offset) {
    const auto before = text.substr(0, offset);
    return static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
  };
  if (made.source.size() > most_source_bytes)
    return refuse(code::bad_source, "the source has " +
                                        std::to_string(made.source.size()) +
                                        " bytes; the limit is " +
                                        std::to_string(most_source_bytes));
  if (const std::size_t nul = raw.find('\0'); nul != raw.npos) {
    finding why = refuse(code::bad_source,
                         "the source holds a NUL byte, where a compiler would "
                         "take it to end");
    why.line = line_at(raw, nul);
    return why;
  }

  std::uint64_t controls = 0;
  std::size_t first_control = 0;
  const std::string_view source = made.source;
  for (std::size_t at = 0; at < source.size();) {
    const std::size_t length = utf8_length(source.substr(at));
    if (length == 0) {
      finding why =
          refuse(code::bad_source,
                 "the source is not valid UTF-8 at byte " + std::to_string(at));
      why.line = line_at(source, at);
      return why;
    }
    if (length > 1 && is_bidi_control(source.substr(at, length)) &&
        controls++ == 0)
      first_control = at;
    at += length;
  }
  if (controls > 0) {
    finding told = note(code::bidi_control,
                        "the source holds bidirectional control characters: an "
                        "editor may show it in another order than it is "
                        "compiled in");
    told.line = line_at(source, first_control);
    told.count = controls;
    made.notes.push_back(std::move(told));
  }
  return std::nullopt;
}

}  // namespace cut

[[nodiscard]] inline extracted extract(std::string_view output) {
  constexpr std::string_view mark = "\xef\xbb\xbf";  // U+FEFF
  const auto refused = [](finding why) {
    extracted made;
    made.refused.push_back(std::move(why));
    return made;
  };
  if (output.size() > most_output_bytes)
    return refused(cut::refuse(
        code::bad_source, "the output has " + std::to_string(output.size()) +
                              " bytes; the limit is " +
                              std::to_string(most_output_bytes)));
  const std::string text = cut::with_lf(output);
  const bool marked = text.starts_with(mark);
  const std::string_view unmarked =
      std::string_view(text).substr(marked ? mark.size() : 0);

  std::size_t seen = 0;
  auto all = cut::pieces(unmarked, 1, seen);
  if (!all) return refused(cut::refuse(code::bad_source, all.error().what));
  auto& pieces = all.value();
  if (pieces.empty()) {
    std::string what = "the output is empty";
    if (unmarked.find_first_not_of(" \t\n") != unmarked.npos) {
      what = "no CUDA source: the output holds no fenced block";
      if (seen > 0)
        what = "no CUDA source: the output holds " + std::to_string(seen) +
               (seen == 1 ? " fenced block, without"
                          : " fenced blocks, none with") +
               " a __global__ function";
    }
    return refused(cut::refuse(code::no_source, std::move(what)));
  }

  const auto rank = [](const cut::piece& one) {
    return std::pair(one.has_manifest, one.closed);
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < pieces.size(); ++i)
    if (rank(pieces[i]) >= rank(pieces[best])) best = i;

  excerpt made;
  made.source = std::move(pieces[best].text);
  made.first_line = pieces[best].first_line;
  const auto lines = static_cast<int>(
      std::count(made.source.begin(), made.source.end(), '\n'));
  const std::string_view raw = cut::line_range(
      unmarked, made.first_line,
      made.first_line + lines - (made.source.ends_with('\n') ? 1 : 0));
  if (made.source.starts_with(mark) || (marked && made.source == unmarked)) {
    if (made.source.starts_with(mark)) made.source.erase(0, mark.size());
    made.notes.push_back(cut::note(code::byte_order_mark,
                                   "a byte order mark was cut off the source"));
    made.notes.back().line = 1;
  }
  if (auto why = cut::wrong_bytes(made, raw)) return refused(std::move(*why));
  if (pieces.size() > 1)
    made.notes.push_back(cut::note(
        code::several_sources,
        std::to_string(pieces.size()) +
            " fenced blocks hold a __global__ function; the one that starts in "
            "line " +
            std::to_string(made.first_line) + " of the output is used"));

  extracted answer;
  answer.found = std::move(made);
  return answer;
}

}  // namespace skillbench
