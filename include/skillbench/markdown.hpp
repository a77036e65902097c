#pragma once
// markdown.hpp: the fenced code blocks of a Markdown text.
//
// A fence that is indented by four columns or more is, to CommonMark, the first
// line of an indented block. Such a block is told too, its fences in its text:
// extract.hpp looks into it.
//
// Layer   3. The only header that includes cmark; extract.hpp is its user.
// Lines   from 1, of the text given. Line ends are LF, CR or CRLF.
// Errors  reason::too_large: more than 8 MB, or a nesting that would cost more
//         time or memory than any honest text does. cmark ends the process when
//         memory runs out and walks every open list item for every blank line,
//         so both are bounded here.
// Source  CommonMark 0.30, "Fenced code blocks".

#include <csetjmp>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <cmark.h>

#include <skillbench/fault.hpp>

namespace skillbench {

struct fenced {
  std::string info;    // what stands after the opening fence
  std::string text;    // without the fences, each line ended by LF
  int first_line = 1;  // of the text
  int open_line = 1;   // of the opening fence
  int close_line = 1;  // of the closing fence, or the last line of the text
  bool closed = true;  // false: its container or the text ended first
};

inline constexpr std::size_t most_markdown_bytes = 8u << 20;

namespace markdown {

// Memory that cmark's tree lives in: freed at once, bounded, and left by a jump
// where cmark would abort. cmark hands its callbacks no context: hence
// `current`.
class arena {
 public:
  static constexpr std::size_t most_bytes = 512u << 20;

  arena() : outer_(current) { current = this; }
  ~arena() {
    while (chunks_ != nullptr) {
      chunk* const next = chunks_->next;
      std::free(chunks_);
      chunks_ = next;
    }
    current = outer_;
  }
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  static cmark_mem* callbacks() {
    static cmark_mem made = {&callocate, &reallocate, &release};
    return &made;
  }

  std::jmp_buf no_more;

  // Zeroed, aligned for anything, preceded by its size.
  void* take(std::size_t bytes) {
    const std::size_t need = (bytes + 2 * unit - 1) / unit * unit;
    if (need > left_) grow(need);
    char* const at = next_;
    next_ += need;
    left_ -= need;
    std::memcpy(at, &bytes, sizeof bytes);
    return at + unit;
  }

 private:
  static constexpr std::size_t unit = alignof(std::max_align_t);
  struct alignas(std::max_align_t) chunk {
    chunk* next;
  };
  static_assert(unit >= sizeof(std::size_t));

  void grow(std::size_t need) {
    constexpr std::size_t usual = 1u << 20;
    const std::size_t bytes = sizeof(chunk) + (need > usual ? need : usual);
    auto* const made = held_ + bytes > most_bytes
                           ? nullptr
                           : static_cast<chunk*>(std::calloc(1, bytes));
    if (made == nullptr) std::longjmp(no_more, 1);
    held_ += bytes;
    made->next = chunks_;
    chunks_ = made;
    next_ = reinterpret_cast<char*>(made) + sizeof(chunk);
    left_ = bytes - sizeof(chunk);
  }

  static void* callocate(std::size_t count, std::size_t size) {
    if (size != 0 && count > most_bytes / size)
      std::longjmp(current->no_more, 1);
    return current->take(count * size);
  }
  static void* reallocate(void* old, std::size_t bytes) {
    if (bytes > most_bytes) std::longjmp(current->no_more, 1);
    if (old == nullptr) return current->take(bytes);
    std::size_t had = 0;
    std::memcpy(&had, static_cast<char*>(old) - unit, sizeof had);
    if (bytes <= had) return old;
    void* const made = current->take(bytes);
    std::memcpy(made, old, had);
    return made;
  }
  static void release(void*) {}

  static inline thread_local arena* current = nullptr;

  arena* outer_ = nullptr;
  chunk* chunks_ = nullptr;
  char* next_ = nullptr;
  std::size_t left_ = 0, held_ = 0;
};

// A code block as cmark tells it; lives in the arena.
struct block {
  const char* info;
  const char* text;
  int first_line, first_column, last_line;
  block* next;
};

// The code blocks in order behind `head`; false when the arena is full. No
// object with a destructor may live in this function: the jump skips them.
inline bool parse(arena& memory, const char* text, std::size_t bytes,
                  block* const head) {
  if (setjmp(memory.no_more) != 0) return false;
  cmark_parser* const parser =
      cmark_parser_new_with_mem(CMARK_OPT_DEFAULT, arena::callbacks());
  cmark_parser_feed(parser, text, bytes);
  cmark_node* const root = cmark_parser_finish(parser);

  block* last = head;
  cmark_node* at = root;
  while (at != nullptr) {
    if (cmark_node_get_type(at) == CMARK_NODE_CODE_BLOCK) {
      auto* const made = static_cast<block*>(memory.take(sizeof(block)));
      made->info = cmark_node_get_fence_info(at);
      made->text = cmark_node_get_literal(at);
      made->first_line = cmark_node_get_start_line(at);
      made->first_column = cmark_node_get_start_column(at);
      made->last_line = cmark_node_get_end_line(at);
      made->next = nullptr;
      last->next = made;
      last = made;
    }
    const cmark_node_type type = cmark_node_get_type(at);
    const bool holds_blocks =
        type == CMARK_NODE_DOCUMENT || type == CMARK_NODE_BLOCK_QUOTE ||
        type == CMARK_NODE_LIST || type == CMARK_NODE_ITEM;
    cmark_node* next = holds_blocks ? cmark_node_first_child(at) : nullptr;
    while (next == nullptr && at != root) {
      next = cmark_node_next(at);
      if (next == nullptr) at = cmark_node_parent(at);
    }
    at = next;
  }
  return true;
}

inline std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\r\n");
    lines.push_back(text.substr(0, end));
    if (end == text.npos) break;
    text.remove_prefix(text.substr(end).starts_with("\r\n") ? end + 2
                                                            : end + 1);
  }
  return lines;
}

// At least as many list items as this line can open or keep open, at least two
// columns each.
inline std::size_t most_items(std::string_view line) {
  std::size_t columns = 0, items = 0;
  while (!line.empty()) {
    const char first = line.front();
    if (first == ' ' || first == '\t' || first == '>') {
      columns += first == '\t' ? 4 : 1;
      line.remove_prefix(1);
      continue;
    }
    std::size_t marker = 0;
    if (first == '*' || first == '-' || first == '+') {
      marker = 1;
    } else {
      while (marker < line.size() && line[marker] >= '0' && line[marker] <= '9')
        ++marker;
      const bool ends = marker > 0 && marker < line.size() &&
                        (line[marker] == '.' || line[marker] == ')');
      marker = ends ? marker + 1 : 0;
    }
    if (marker == 0 ||
        (marker < line.size() && line[marker] != ' ' && line[marker] != '\t'))
      break;
    ++items;
    line.remove_prefix(marker);
  }
  return items + columns / 2;
}

inline bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t") == line.npos;
}

// True if cmark's walk over open items on blank lines stays affordable.
inline bool affordable(const std::vector<std::string_view>& lines) {
  constexpr std::size_t most_steps = 50'000'000;
  std::size_t deepest = 0, blank = 0;
  for (const std::string_view line : lines) {
    if (is_blank(line))
      ++blank;
    else if (const std::size_t items = most_items(line); items > deepest)
      deepest = items;
  }
  return blank == 0 || deepest <= most_steps / blank;
}

// The length of the run of fence characters that `line` starts with.
inline std::size_t fence_run(std::string_view line) {
  if (line.empty() || (line[0] != '`' && line[0] != '~')) return 0;
  const std::size_t end = line.find_first_not_of(line[0]);
  return end == line.npos ? line.size() : end;
}

// True for a fence of at least `run` signs behind the marks of a container.
inline bool closes(std::string_view line, char sign, std::size_t run) {
  const std::size_t end = line.find_last_not_of(" \t");
  line = line.substr(0, end == line.npos ? 0 : end + 1);
  const std::size_t before = line.find_last_not_of(sign);
  const std::size_t first = before == line.npos ? 0 : before + 1;
  return line.size() - first >= run &&
         line.substr(0, first).find_first_not_of(" \t>") == line.npos;
}

}  // namespace markdown

[[nodiscard]] inline result<std::vector<fenced>> fenced_blocks(
    std::string_view text) {
  if (text.size() > most_markdown_bytes)
    return fault{reason::too_large, "a Markdown text has " +
                                        std::to_string(text.size()) +
                                        " bytes; the limit is " +
                                        std::to_string(most_markdown_bytes)};
  const auto lines = markdown::lines_of(text);
  if (!markdown::affordable(lines))
    return fault{reason::too_large, "a Markdown text nests its lists too deep"};

  markdown::arena memory;
  markdown::block head{};
  if (!markdown::parse(memory, text.data(), text.size(), &head))
    return fault{reason::too_large,
                 "a Markdown text needs too much memory to be read"};

  std::vector<fenced> found;
  for (const auto* at = head.next; at != nullptr; at = at->next) {
    const auto row = static_cast<std::size_t>(at->first_line) - 1;
    const auto column = static_cast<std::size_t>(at->first_column) - 1;
    if (row >= lines.size() || column > lines[row].size()) continue;
    const std::string_view opening = lines[row].substr(column);
    const std::size_t run = markdown::fence_run(opening);
    if (run < 3) continue;  // an indented block

    fenced block;
    if (at->info != nullptr) block.info = at->info;
    if (at->text != nullptr) block.text = at->text;
    // cmark does not tell an indented block from a fenced one; but the first
    // line of an indented block is part of its text.
    const bool indented =
        block.text.starts_with(opening) &&
        !(row + 1 < lines.size() && lines[row + 1].ends_with(opening));
    block.open_line = at->first_line;
    block.close_line = at->last_line;
    block.first_line = indented ? at->first_line : at->first_line + 1;
    block.closed =
        !indented && at->last_line > at->first_line &&
        static_cast<std::size_t>(at->last_line) <= lines.size() &&
        markdown::closes(lines[static_cast<std::size_t>(at->last_line) - 1],
                         opening.front(), run);
    found.push_back(std::move(block));
  }
  return found;
}

}  // namespace skillbench
