#pragma once
// compile_cache.hpp: what a compile answered, kept for the next time.
//
// Layer   4. disk_cache.hpp keeps, wire.hpp makes bytes, device.hpp compiles.
// Key     The digest of all that the answer depends on: the request; the
//         contents of the program that compiles and its version, of NVRTC and its built-in
//         headers, and of every file below the toolkit's include folder,
//         whether this source opens it or not; the toolkit's path, which stands
//         in logs; the limits that the compiler runs under.
// Kept    What NVRTC and ptxas answered, refusals included. A compile that was
//         stopped after it had used up `stopped_worth_seconds` of CPU time, for
//         a day: a template bomb is not paid for again by every run, and a
//         machine that was only busy is not believed. Out of memory, crashes
//         and time-outs without that much CPU time are tried again.
// Not     Sources whose answer could depend on anything else; see
//         not_cacheable(), which is strict rather than clever.
// Units   seconds of CPU time, seconds since 1970.
// Errors  As the device's own compile(). A cache that fails is a cache that has
//         nothing.
// Trust   Looked up and written by the process that judges. The child that
//         reads a hostile source gives one answer, for the key of that source,
//         and never sees the folder. What is read back is decoded with the
//         checks of wire.hpp.
// Threads compile_cache: any number. cached_device: as the device it wraps.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/device.hpp>
#include <skillbench/digest.hpp>
#include <skillbench/disk_cache.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/version.hpp>
#include <skillbench/wire.hpp>

namespace skillbench {

inline constexpr double stopped_worth_seconds = 20;
inline constexpr std::int64_t stopped_kept_seconds = 24 * 3600;

// ---- what may be kept ---------------------------------------------------------

namespace cache_text {

// Line splices out, as the compiler takes them out before anything else.
[[nodiscard]] inline std::string joined(std::string_view source) {
  std::string made;
  made.reserve(source.size());
  for (std::size_t at = 0; at < source.size(); ++at) {
    if (source[at] == '\\') {
      std::size_t end = at + 1;
      while (end < source.size() &&
             (source[end] == ' ' || source[end] == '\t' ||
              source[end] == '\r' || source[end] == '\f' ||
              source[end] == '\v'))
        ++end;
      if (end < source.size() && source[end] == '\n') {
        at = end;
        continue;
      }
    }
    made += source[at];
  }
  return made;
}

[[nodiscard]] constexpr bool is_word(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (c >= '0' && c <= '9');
}

[[nodiscard]] inline std::string_view after_blanks(std::string_view text) {
  const std::size_t at = text.find_first_not_of(" \t");
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

// Is this, what follows the word "include", a plain <path> below the include
// folders and nothing but a comment behind it?
[[nodiscard]] inline bool is_plain_include(std::string_view text) {
  text = after_blanks(text);
  const std::size_t end = text.find('>');
  if (!text.starts_with('<') || end == std::string_view::npos) return false;
  const std::string_view path = text.substr(1, end - 1);
  const bool plain =
      !path.empty() && path.front() != '/' &&
      path.find("..") == std::string_view::npos &&
      std::all_of(path.begin(), path.end(), [](char c) {
        return is_word(c) || c == '/' || c == '.' || c == '-' || c == '+';
      });
  text = after_blanks(text.substr(end + 1));
  return plain && (text.empty() || text == "\r" || text.starts_with("//") ||
                   (text.starts_with("/*") &&
                    text.find("*/") != std::string_view::npos));
}

[[nodiscard]] inline std::string_view first_word(std::string_view text) {
  text = after_blanks(text);
  return text.substr(0, static_cast<std::size_t>(
                            std::find_if_not(text.begin(), text.end(), is_word) -
                            text.begin()));
}

// " NAME 128", and nothing behind the number.
[[nodiscard]] inline bool is_number_macro(std::string_view text) {
  text = after_blanks(text);
  text.remove_prefix(first_word(text).size());
  text = after_blanks(text);
  const std::string_view number = first_word(text);
  const std::string_view rest = after_blanks(text.substr(number.size()));
  return !number.empty() && number.front() >= '0' && number.front() <= '9' &&
         (rest.empty() || rest == "\r");
}

// Only numbers, `defined`, macros of the compiler and macros that are numbers:
// anything else could be pasted together to a question about files.
[[nodiscard]] inline bool is_plain_condition(
    std::string_view text, const std::vector<std::string_view>& plain,
    const std::vector<std::string_view>& other) {
  constexpr std::string_view known[] = {
      "defined",          "__CUDA_ARCH__",        "__CUDACC__",
      "__CUDACC_RTC__",   "__CUDACC_VER_MAJOR__", "__CUDACC_VER_MINOR__",
      "__cplusplus",      "CUDA_VERSION",         "CUDART_VERSION"};
  const auto among = [](const auto& names, std::string_view word) {
    return std::find(std::begin(names), std::end(names), word) !=
           std::end(names);
  };
  while (!text.empty()) {
    const auto letter = static_cast<unsigned char>(text.front());
    if (text.front() == '\\' || text.front() == '"' || letter >= 128)
      return false;
    const auto end = static_cast<std::size_t>(
        std::find_if_not(text.begin(), text.end(), is_word) - text.begin());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::max<std::size_t>(end, 1));
    if (word.empty() || (word.front() >= '0' && word.front() <= '9')) continue;
    if (among(other, word) || !(among(known, word) || among(plain, word)))
      return false;
  }
  return true;
}

}  // namespace cache_text

// Why the answer to this source may depend on more than the key holds, or
// nothing. Every '#' counts as the start of a directive, in strings and
// comments too, so that no lexer is needed and none can be fooled. A directive
// that can open a file must be `#include <path>`, and no macro may be defined
// before it: then which headers are opened, and what they are, is a matter of
// the toolkit alone.
[[nodiscard]] inline std::optional<std::string> not_cacheable(
    std::string_view source) {
  using namespace cache_text;
  for (const std::string_view trigraph : {"?" "?=", "?" "?/"})
    if (source.find(trigraph) != std::string_view::npos)
      return "it has a trigraph";

  const std::string text = joined(source);
  for (const std::string_view word :
       {"__DATE__", "__TIME__", "__TIMESTAMP__"})
    if (text.find(word) != std::string::npos)
      return "it names " + std::string(word);
  // Such a name can also be put together.
  for (const std::string_view paste : {"##", "%:%:"})
    if (text.find(paste) != std::string::npos) return "it pastes names";
  bool defined = false;
  std::vector<std::string_view> plain, other;  // macros of the source
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool digraph = text.compare(at, 2, "%:") == 0;
    if (text[at] != '#' && !digraph) continue;
    if (digraph) ++at;
    std::string_view line = std::string_view(text).substr(at + 1);
    line = line.substr(0, line.find('\n'));
    // The sign of a comment that is open at the end of the line would let the
    // directive go on in the next one.
    if (const std::size_t open = line.rfind("/*");
        open != std::string_view::npos &&
        line.find("*/", open + 2) == std::string_view::npos)
      return "a directive has a comment that runs over its line";
    const std::string_view rest = after_blanks(line);
    if (rest.starts_with("/*"))
      return "a directive begins with a comment";
    if (!rest.empty() && (rest.front() == '\\' || rest.front() == '\f' ||
                          rest.front() == '\v' ||
                          static_cast<unsigned char>(rest.front()) >= 128))
      return "a directive begins with an unusual character";
    const auto end = static_cast<std::size_t>(
        std::find_if_not(rest.begin(), rest.end(), is_word) - rest.begin());
    const std::string_view word = rest.substr(0, end);
    if (word == "define" || word == "undef") {
      defined = true;
      const std::string_view macro = first_word(rest.substr(end));
      (is_number_macro(rest.substr(end)) ? plain : other).push_back(macro);
    }
    if ((word == "if" || word == "elif") &&
        !is_plain_condition(rest.substr(end), plain, other))
      return "an #if that more than numbers decide";
    if (word == "include" && is_plain_include(rest.substr(end))) {
      if (defined) return "a macro is defined before an #include";
      continue;
    }
    for (const std::string_view opens : {"include", "import", "embed"})
      if (line.find(opens) != std::string_view::npos)
        return "a directive that may open a file is not a plain #include <path>";
  }
  return std::nullopt;
}

// ---- what compiles ------------------------------------------------------------

// Files that answers depend on, and what they were when they were found.
class watched_files {
 public:
  // The files named and every file below the folders named, links followed. A
  // fault when they are too many to be watched: then nothing can be cached.
  [[nodiscard]] static result<watched_files> find(
      std::vector<std::string> places) {
    watched_files made;
    made.places_ = std::move(places);
    if (auto seen = made.look(); !seen) return seen.error();
    return made;
  }

  // A digest of the files' sizes, times and numbers, not of what is in them.
  [[nodiscard]] const std::string& state() const noexcept { return state_; }

  // Are the files still those that were found?
  [[nodiscard]] bool unchanged() const {
    const auto now = find(places_);
    return now && now.value().state_ == state_;
  }

  // The digest of their paths and contents, read now.
  [[nodiscard]] result<std::string> contents() const {
    digest of;
    std::string block(std::size_t{1} << 18, '\0');
    for (const std::string& each : files_) {
      of.field(each);
      const int file = ::open(each.c_str(), O_RDONLY | O_CLOEXEC);
      if (file < 0) return failed("cannot read", each);
      digest content;
      ssize_t got;
      while ((got = ::read(file, block.data(), block.size())) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        content.add({block.data(), static_cast<std::size_t>(got)});
      }
      ::close(file);
      if (got < 0) return failed("cannot read", each);
      of.field(content.text());
    }
    if (!unchanged())
      return fault{reason::io, "files of the compiler change while they are "
                               "read"};
    return of.text();
  }

 private:
  static constexpr std::size_t most_files = 30'000;
  static constexpr std::uint64_t most_bytes = std::uint64_t{2} << 30;
  static constexpr int most_depth = 32;

  [[nodiscard]] static fault failed(const std::string& attempt,
                                    const std::string& path) {
    return fault{reason::io, attempt + " " + path + ": " +
                                 std::strerror(errno)};
  }

  [[nodiscard]] result<done> look() {
    digest state;
    for (const std::string& each : places_)
      if (auto seen = add(each, 0, state); !seen) return seen;
    state_ = state.text();
    return done{};
  }

  [[nodiscard]] result<done> add(const std::string& path, int depth,
                                 digest& state) {
    struct stat seen {};
    if (::stat(path.c_str(), &seen) != 0) {
      // A link to nothing is nothing to the compiler as well.
      if (depth > 0) return done{};
      return failed("cannot find", path);
    }
    if (S_ISDIR(seen.st_mode)) return add_folder(path, depth, state);
    if (!S_ISREG(seen.st_mode)) return done{};
    state.field(path);
    for (const auto value :
         {static_cast<std::uint64_t>(seen.st_dev),
          static_cast<std::uint64_t>(seen.st_ino),
          static_cast<std::uint64_t>(seen.st_size),
          static_cast<std::uint64_t>(seen.st_mtim.tv_sec),
          static_cast<std::uint64_t>(seen.st_mtim.tv_nsec),
          static_cast<std::uint64_t>(seen.st_ctim.tv_sec),
          static_cast<std::uint64_t>(seen.st_ctim.tv_nsec)})
      state.number(value);
    bytes_ += static_cast<std::uint64_t>(seen.st_size);
    files_.push_back(path);
    if (files_.size() > most_files || bytes_ > most_bytes)
      return fault{reason::too_large,
                   "below " + places_.back() + " are too many files to watch"};
    return done{};
  }

  [[nodiscard]] result<done> add_folder(const std::string& path, int depth,
                                        digest& state) {
    if (depth == most_depth)
      return fault{reason::too_large, path + " lies too deep"};
    DIR* const open = ::opendir(path.c_str());
    if (!open) return failed("cannot read", path);
    std::vector<std::string> names;
    while (const dirent* const each = ::readdir(open)) {
      const std::string_view name = each->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(open);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names)
      if (auto seen = add(path + "/" + name, depth + 1, state); !seen)
        return seen;
    return done{};
  }

  std::vector<std::string> places_, files_;
  std::uint64_t bytes_ = 0;
  std::string state_;
};

// NVRTC, its built-in headers, and all that a source may include.
[[nodiscard]] inline result<watched_files> toolkit_files(const toolkit& from) {
  const auto nvrtc = cuda_places::newest(from.library_folder, "libnvrtc.so.");
  const auto builtins =
      cuda_places::newest(from.library_folder, "libnvrtc-builtins.so.");
  if (!nvrtc || !builtins)
    return fault{reason::library_missing,
                 "libnvrtc is not in " + from.library_folder};
  return watched_files::find({*nvrtc, *builtins, from.include});
}

// ---- the cache ----------------------------------------------------------------

struct compile_counts {
  std::uint64_t hits = 0, misses = 0;
  std::uint64_t not_cacheable = 0;  // sources, see not_cacheable()
};

class compile_cache {
 public:
  // `program` is the one that compiles; `conditions` are its limits in words.
  [[nodiscard]] static result<std::unique_ptr<compile_cache>> open(
      const std::string& folder, const toolkit& from,
      const std::string& program, const std::string& conditions,
      std::uint64_t most_bytes = most_cache_bytes) {
    auto disk = disk_cache::open(folder, most_bytes);
    if (!disk) return disk.error();
    auto headers = toolkit_files(from);
    if (!headers) return headers.error();
    auto compiler = watched_files::find({program});
    if (!compiler) return compiler.error();
    auto made = std::unique_ptr<compile_cache>(
        new compile_cache(std::move(disk).value(), std::move(headers).value()));

    digest of;
    of.field("skillbench compile 1");
    of.field(version);
    of.field(conditions);
    for (const watched_files* each : {&made->toolkit_, &compiler.value()}) {
      auto contents = made->contents_of(*each);
      if (!contents) return contents.error();
      of.field(contents.value());
    }
    made->compiler_ = of.text();
    return made;
  }

  // From the cache, or by `on`.
  [[nodiscard]] result<image> compile(const compile_request& asked,
                                      device& on) {
    if (not_cacheable(asked.source)) {
      ++counted_.not_cacheable;
      return on.compile(asked);
    }
    const std::string key = key_of(asked);
    if (const auto kept = disk_->find(key))
      if (auto told = read(*kept, asked)) {
        ++counted_.hits;
        return std::move(*told);
      }
    ++counted_.misses;
    const double before = on.cpu_used();
    auto made = on.compile(asked);
    const double used = on.cpu_used() - before;
    // A toolkit that was replaced meanwhile would be kept under the old name.
    if (is_lasting(made, used) && !on.killed() && toolkit_.unchanged())
      (void)disk_->keep(key, written(made));
    return made;
  }

  [[nodiscard]] compile_counts counts() const {
    return {counted_.hits, counted_.misses, counted_.not_cacheable};
  }
  [[nodiscard]] cache_counts disk_counts() const { return disk_->counts(); }
  [[nodiscard]] const std::string& path() const { return disk_->path(); }

 private:
  compile_cache(std::unique_ptr<disk_cache> disk, watched_files headers)
      : disk_(std::move(disk)), toolkit_(std::move(headers)) {}

  // Reading a toolkit takes about a second, looking at it some milliseconds: so
  // what was read is kept under what was seen.
  [[nodiscard]] result<std::string> contents_of(const watched_files& of) {
    digest seen;
    seen.field("skillbench files 1");
    seen.field(of.state());
    const std::string known = seen.text();
    if (auto kept = disk_->find(known); kept && kept->size() == 64)
      return std::move(*kept);
    auto contents = of.contents();
    if (contents) (void)disk_->keep(known, contents.value());
    return contents;
  }

  [[nodiscard]] std::string key_of(const compile_request& asked) const {
    digest of;
    of.field("skillbench image 1");
    of.field(compiler_);
    of.field(wire::encode(asked));
    return of.text();
  }

  [[nodiscard]] static bool is_lasting(const result<image>& made,
                                       double used) {
    if (made) return !made.value().gave_up;
    const reason why = made.error().why;
    return (why == reason::child_died || why == reason::child_timed_out) &&
           used >= stopped_worth_seconds;
  }

  // 'a' and an answer, or 's', when, and why it was stopped.
  [[nodiscard]] static std::string written(const result<image>& made) {
    if (made) {
      image kept = made.value();
      kept.cpu_seconds = 0.0;
      return "a" + wire::encode(kept);
    }
    return "s" + wire::encode(stopped{static_cast<std::int64_t>(
                                          ::time(nullptr)),
                                      made.error()});
  }

  struct stopped {
    std::int64_t at = 0;
    fault why;
  };
  template <typename A, wire::like<stopped> T>
  friend void fields(A& with, T& it) {
    with(it.at, it.why);
  }

  [[nodiscard]] static std::optional<result<image>> read(
      std::string_view bytes, const compile_request& asked) {
    if (bytes.starts_with('a')) {
      auto made = wire::decode<image>(bytes.substr(1));
      if (made && made.value().ok &&
          made.value().kernels.size() != asked.entries.size())
        return std::nullopt;
      if (made) return made;
    } else if (bytes.starts_with('s')) {
      auto made = wire::decode<stopped>(bytes.substr(1));
      const std::int64_t age =
          made ? static_cast<std::int64_t>(::time(nullptr)) - made.value().at
               : -1;
      if (made && age >= 0 && age < stopped_kept_seconds)
        return result<image>(made.value().why);
    }
    return std::nullopt;
  }

  struct atomic_counts {
    std::atomic<std::uint64_t> hits = 0, misses = 0, not_cacheable = 0;
  };

  std::unique_ptr<disk_cache> disk_;
  watched_files toolkit_;
  std::string compiler_;  // the digest of what compiles, and how
  atomic_counts counted_;
};

// A device that compiles only what the cache does not have.
class cached_device final : public device {
 public:
  cached_device(std::unique_ptr<device> on, compile_cache& cache)
      : on_(std::move(on)), cache_(cache) {}

  [[nodiscard]] std::string name() const override { return on_->name(); }
  [[nodiscard]] std::string target() const override { return on_->target(); }
  [[nodiscard]] std::string isolation() const override {
    return on_->isolation();
  }
  [[nodiscard]] std::string gpu_isolation() const override {
    return on_->gpu_isolation();
  }
  [[nodiscard]] result<image> compile(const compile_request& asked) override {
    compile_request whole = asked;
    whole.cubin = asked.cubin || on_->takes_cubin();
    return cache_.compile(whole, *on_);
  }
  [[nodiscard]] result<done> load(const std::string& ptx) override {
    return on_->load(ptx);
  }
  [[nodiscard]] result<done> load_image(const image& made) override {
    return on_->load_image(made);
  }
  [[nodiscard]] bool takes_cubin() const override {
    return on_->takes_cubin();
  }
  [[nodiscard]] std::string loaded() const override { return on_->loaded(); }
  [[nodiscard]] result<run_report> run(const job& asked) override {
    return on_->run(asked);
  }
  [[nodiscard]] std::vector<result<run_report>> run_some(
      std::span<const job> jobs) override {
    return on_->run_some(jobs);
  }
  [[nodiscard]] result<timing_report> time(const timing_request& it) override {
    return on_->time(it);
  }
  [[nodiscard]] bool measures() const override { return on_->measures(); }
  [[nodiscard]] bool finished() const override { return on_->finished(); }
  [[nodiscard]] bool killed() const override { return on_->killed(); }
  [[nodiscard]] double cpu_used() const override {
    return on_->cpu_used();
  }

 private:
  std::unique_ptr<device> on_;
  compile_cache& cache_;
};

}  // namespace skillbench
