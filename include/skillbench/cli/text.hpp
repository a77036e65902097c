#pragma once
// cli/text.hpp: words on a terminal or in a file.
//
// Layer   7. The one header that includes fmt.
// Trust   What a model wrote is hostile when it is printed: it could move the
//         cursor, recolour a verdict or swap its reading order. `printable` is
//         the only way for such text to a stream.
// Units   widths in terminal cells; one for every character that is not an
//         East Asian wide one (those are printed, and counted as one).

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace skillbench::cli {

// ---- hostile text ---------------------------------------------------------

namespace characters {

struct character {
  std::size_t bytes = 1;
  char32_t code = 0;
  bool valid = false;
};

// The UTF-8 character at the start of `text`, which is not empty. Overlong
// forms, surrogates and what is past U+10FFFF are not valid (Unicode 15, table
// 3-7).
[[nodiscard]] inline character first(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, lead, true};
  const std::size_t bytes = lead >= 0xf0   ? 4
                            : lead >= 0xe0 ? 3
                            : lead >= 0xc2 ? 2
                                           : 0;
  if (bytes == 0 || lead > 0xf4 || text.size() < bytes) return {1, 0, false};
  char32_t code = lead & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return {1, 0, false};
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[bytes] || code > 0x10ffff ||
      (code >= 0xd800 && code <= 0xdfff))
    return {1, 0, false};
  return {bytes, code, true};
}

// Controls, line and paragraph separators, and what changes the reading order
// or is not seen at all (Unicode general categories Cc, Zl, Zp and most of Cf).
[[nodiscard]] constexpr bool steers(char32_t code) noexcept {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0xad ||
         code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
         (code >= 0xfff9 && code <= 0xfffb) ||
         (code >= 0xe0000 && code <= 0xe007f);
}

}  // namespace characters

// `text` as one line that does nothing but be read. A tab becomes a blank, a
// line break "\n", anything else that steers "\x1b" or "\u{202e}".
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string made;
  made.reserve(text.size());
  while (!text.empty()) {
    const characters::character next = characters::first(text);
    if (!next.valid)
      made += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    else if (next.code == '\t')
      made += ' ';
    else if (next.code == '\n')
      made += "\\n";
    else if (!characters::steers(next.code))
      made += text.substr(0, next.bytes);
    else if (next.code < 0x80)
      made += fmt::format("\\x{:02x}", static_cast<unsigned>(next.code));
    else
      made += fmt::format("\\u{{{:x}}}", static_cast<unsigned>(next.code));
    text.remove_prefix(next.bytes);
  }
  return made;
}

// Cells that printable text takes.
[[nodiscard]] inline std::size_t width_of(std::string_view text) noexcept {
  std::size_t cells = 0;
  for (const char c : text)
    if ((static_cast<unsigned char>(c) & 0xc0u) != 0x80u) ++cells;
  return cells;
}

// The first `cells` cells of printable text, with "..." when some are cut.
[[nodiscard]] inline std::string shortened(std::string_view text,
                                           std::size_t cells) {
  if (width_of(text) <= cells) return std::string(text);
  if (cells <= 3) return std::string("...").substr(0, cells);
  std::size_t at = 0, kept = 0;
  while (at < text.size()) {
    const std::size_t bytes = characters::first(text.substr(at)).bytes;
    if (++kept > cells - 3) break;
    at += bytes;
  }
  return std::string(text.substr(0, at)) + "...";
}

// Lines of at most `cells` cells, cut at blanks; a longer word is its own line.
[[nodiscard]] inline std::vector<std::string> wrapped(std::string_view text,
                                                      std::size_t cells) {
  std::vector<std::string> lines;
  std::string line;
  while (!text.empty()) {
    const std::size_t start = text.find_first_not_of(' ');
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    if (!line.empty() && width_of(line) + 1 + width_of(word) > cells) {
      lines.push_back(std::move(line));
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

// ---- streams --------------------------------------------------------------

enum class colour { plain, bold, dim, red, green, yellow };

// Where words go. Colours only on a terminal, and never when NO_COLOR is set
// (no-color.org: to anything but the empty string).
class stream {
 public:
  explicit stream(std::FILE* to) : to_(to), terminal_(::isatty(::fileno(to))) {
    const char* const without = std::getenv("NO_COLOR");
    const char* const kind = std::getenv("TERM");
    colours_ = terminal_ && !(without && *without) &&
               !(kind && std::string_view(kind) == "dumb");
    winsize size{};
    if (terminal_ && ::ioctl(::fileno(to), TIOCGWINSZ, &size) == 0 &&
        size.ws_col >= 40)
      width_ = size.ws_col;
  }

  void write(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), to_) != text.size())
      broken_ = true;
  }
  void line(std::string_view text) {
    write(text);
    write("\n");
  }
  // What was written has arrived, or false.
  [[nodiscard]] bool flush() {
    if (std::fflush(to_) != 0 || std::ferror(to_)) broken_ = true;
    return !broken_;
  }

  [[nodiscard]] bool terminal() const noexcept { return terminal_; }
  [[nodiscard]] std::size_t width() const noexcept { return width_; }

  [[nodiscard]] std::string paint(colour how, std::string_view text) const {
    if (!colours_ || how == colour::plain) return std::string(text);
    constexpr const char* codes[] = {"0", "1", "2", "31", "32", "33"};
    return fmt::format("\x1b[{}m{}\x1b[0m", codes[static_cast<int>(how)], text);
  }

 private:
  std::FILE* to_;
  bool terminal_ = false, colours_ = false, broken_ = false;
  std::size_t width_ = 100;
};

// ---- tables ---------------------------------------------------------------

// Printable cells in columns; a column whose cells are all numbers (or "-")
// stands right.
class table {
 public:
  explicit table(std::vector<std::string> heads) : rows_{std::move(heads)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  void print(stream& to) const {
    const std::size_t columns = rows_.front().size();
    std::vector<std::size_t> widths(columns, 0);
    std::vector<bool> right(columns, rows_.size() > 1);
    for (std::size_t r = 0; r < rows_.size(); ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        widths[c] = std::max(widths[c], width_of(rows_[r][c]));
        if (r > 0 && rows_[r][c].find_first_not_of("0123456789.-") !=
                         std::string::npos)
          right[c] = false;
      }
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      std::string line;
      for (std::size_t c = 0; c < columns; ++c) {
        const std::string& cell = rows_[r][c];
        const std::string pad(widths[c] - width_of(cell), ' ');
        if (c > 0) line += "  ";
        line += right[c] ? pad + cell : cell + pad;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      to.line(r == 0 ? to.paint(colour::bold, line) : line);
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

// ---- numbers --------------------------------------------------------------

// "48 s", "3 min 20 s", "2 h 5 min"
[[nodiscard]] inline std::string duration(double seconds) {
  const auto whole = static_cast<long long>(std::max(0.0, seconds) + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

[[nodiscard]] inline std::string plural(std::size_t count,
                                        std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

// ---- did you mean ---------------------------------------------------------

// Insertions, deletions, replacements and swaps of neighbours between two words.
[[nodiscard]] inline std::size_t distance(std::string_view a,
                                          std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(
      a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

// The word that was probably meant, or "".
[[nodiscard]] inline std::string nearest(
    std::string_view typed, const std::vector<std::string>& known) {
  typed = typed.substr(0, 64);
  std::string best;
  std::size_t least = std::max<std::size_t>(typed.size() / 3, 1) + 1;
  for (const std::string& word : known) {
    const std::size_t far = distance(typed, word);
    if (far < least) {
      least = far;
      best = word;
    }
  }
  return best;
}

}  // namespace skillbench::cli
