#pragma once
// cuda/nvrtc.hpp: CUDA C++ in, PTX, machine code and ptxas' resource counts out.
//
// Layer   3. cuda/library.hpp; NVRTC is opened at run time, with prototypes of
//         our own.
// Units   bytes; registers are 32-bit ones of a thread.
// Errors  A source that does not compile is no fault: `ok` is false and `log`
//         says why. Faults: the library is missing or broken.
// Trust   Source and entries are hostile. No option comes from them; what an
//         entry may be made of is a list of characters. The compiler itself can
//         be made to hang, to crash, to eat memory and, by #include, to read
//         any file that this process may read: call this in a child with limits
//         (device/remote.hpp) unless the source is trusted. (The option against
//         headers beside the source, -no-source-include, breaks mma.h.)
// Threads NVRTC's front end takes one source at a time in a process.
// Source  NVRTC 12.4 to 13.0; the log format of ptxas -v of the same.

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/fault.hpp>

namespace skillbench {

inline constexpr std::size_t most_program_bytes = 256 * 1024;
inline constexpr std::size_t most_log_bytes = 64 * 1024;
inline constexpr std::size_t most_entry_bytes = 512;
inline constexpr std::size_t most_entries = 64;

// Of ptxas; absent when its log did not tell.
struct kernel_resources {
  std::optional<int> registers, spill_stores, spill_loads, stack_bytes,
      static_shared;
};

struct nvrtc_answer {
  bool ok = false;
  std::string ptx;                          // no trailing NUL
  std::string cubin;                        // where it was asked for
  std::string log;                          // UTF-8, printable
  bool log_cut = false;
  bool gave_up = false;  // out of memory, or an error of the compiler's own
  std::vector<std::string> lowered;         // as PTX names the entries
  std::vector<kernel_resources> resources;  // same order
};

namespace nvrtc_text {

[[nodiscard]] constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

[[nodiscard]] constexpr bool is_word(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
         c == '_' || c == '$';
}

// Why an entry is refused, or nothing. NVRTC pastes an entry into a line of
// C++: a quote, a backslash or a line break would end what it is pasted into.
[[nodiscard]] inline std::optional<std::string> refused_entry(
    std::string_view entry) {
  if (entry.find_first_not_of(' ') == std::string_view::npos)
    return "an entry is empty";
  if (entry.size() > most_entry_bytes)
    return "an entry is longer than " + std::to_string(most_entry_bytes) +
           " characters";
  constexpr std::string_view marks = "_:<>,()+-* ";
  for (const char c : entry) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter || is_digit(c) || marks.find(c) != std::string_view::npos)
      continue;
    const auto byte = static_cast<unsigned char>(c);
    const std::string shown =
        byte >= 32 && byte < 127
            ? "'" + std::string(1, c) + "'"
            : "the byte " + std::to_string(static_cast<int>(byte));
    return "an entry holds " + shown +
           "; only letters, digits and _ : < > , ( ) + - * and spaces may "
           "stand there";
  }
  return std::nullopt;
}

[[nodiscard]] inline bool usable_target(std::string_view target) {
  if (!target.starts_with("sm_") || target.size() < 5 || target.size() > 7)
    return false;
  target.remove_prefix(3);
  if (target.back() == 'a' || target.back() == 'f') target.remove_suffix(1);
  return !target.empty() &&
         target.find_first_not_of("0123456789") == std::string_view::npos;
}

// Length of the UTF-8 character at `at`, 0 if there is none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text,
                                             std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(text[i]));
  };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 && first <= 0xf4   ? 4
                             : first >= 0xe0 && first <= 0xef ? 3
                             : first >= 0xc2 && first <= 0xdf ? 2
                                                              : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xc0u) != 0x80u) return 0;
  const unsigned second = byte(at + 1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
    return 0;  // overlong, surrogate, beyond the last character
  return length;
}

// A log quotes the source: what could steer a terminal or break a JSON line
// becomes '?'.
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool c1 = length == 2 && byte == 0xc2 &&
                    static_cast<unsigned char>(text[at + 1]) < 0xa0;
    if (length == 0 || c1 ||
        (length == 1 && (byte < 32 || byte == 127) && byte != '\n' &&
         byte != '\t'))
      clean += '?';
    else
      clean.append(text.substr(at, length));
    at += length == 0 ? 1 : length;
  }
  return clean;
}

// The number that stands before `unit` in `line`.
[[nodiscard]] inline std::optional<int> number_before(std::string_view line,
                                                      std::string_view unit) {
  const std::size_t at = line.find(unit);
  if (at == std::string_view::npos) return std::nullopt;
  std::size_t first = at;
  while (first > 0 && is_digit(line[first - 1])) --first;
  if (first == at || at - first > 9) return std::nullopt;
  return std::stoi(std::string(line.substr(first, at - first)));
}

struct line_reader {
  std::string_view rest;
  [[nodiscard]] bool next(std::string_view& line) {
    if (rest.empty()) return false;
    const std::size_t end = rest.find('\n');
    line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return true;
  }
};

// Lines of ptxas -v that are numbers and nothing else. Other words of ptxas,
// its "(C7510) Potential Performance Loss" say, stay in the log.
[[nodiscard]] inline bool is_resource_line(std::string_view line) {
  const bool of_ptxas = line.starts_with("ptxas ");
  if (line.find(" bytes stack frame, ") != std::string_view::npos)
    return of_ptxas || line.starts_with("    ");
  if (!line.starts_with("ptxas info")) return false;
  const std::size_t colon = line.find(": ");
  if (colon == std::string_view::npos) return false;
  const std::string_view said = line.substr(colon + 2);
  return said.starts_with("Compiling entry function '") ||
         said.starts_with("Function properties for ") ||
         said.starts_with("Used ") || said.starts_with("Compile time = ") ||
         said.find(" bytes gmem") != std::string_view::npos;
}

// What the log says of one kernel. ptxas speaks after the front end, so of two
// claims the later one is its own and not a line that the source printed.
[[nodiscard]] inline kernel_resources resources_of(std::string_view log,
                                                   std::string_view lowered) {
  kernel_resources told;
  const std::string compiling =
      "Compiling entry function '" + std::string(lowered) + "' for ";
  const std::string properties =
      "Function properties for " + std::string(lowered);
  bool ours = false, frame = false;
  line_reader lines{log};
  for (std::string_view line; lines.next(line);) {
    if (!is_resource_line(line)) continue;
    if (line.find("Compiling entry function '") != std::string_view::npos) {
      ours = line.find(compiling) != std::string_view::npos;
      frame = false;
    } else if (line.find("Function properties for ") !=
               std::string_view::npos) {
      frame = ours && line.ends_with(properties);
    } else if (frame && line.find(" bytes stack frame") !=
                            std::string_view::npos) {
      told.stack_bytes = number_before(line, " bytes stack frame");
      told.spill_stores = number_before(line, " bytes spill stores");
      told.spill_loads = number_before(line, " bytes spill loads");
      frame = false;
    } else if (ours && line.find(" registers") != std::string_view::npos) {
      told.registers = number_before(line, " registers");
      told.static_shared = number_before(line, " bytes smem").value_or(0);
      if (const auto whole =
              number_before(line, " bytes cumulative stack size"))
        told.stack_bytes = whole;
    }
  }
  return told;
}

// The log as a person wants it: resource lines out, NVRTC's words about its
// name map turned into words about the manifest's entries, one for each entry.
// The line number of a name map is no guide to the entry: the quoted line is.
[[nodiscard]] inline std::string readable(std::string_view log) {
  constexpr std::string_view map_mark = "__nv_name_map(";
  constexpr std::string_view quote_mark = "  #pragma nv_mangled_name ";
  std::string told;
  std::vector<std::string> told_of;
  std::optional<std::string> said;  // of the name map, until its quoted line
  const auto tell = [&](std::string_view entry) {
    if (!said) return;
    const std::string words = *std::exchange(said, std::nullopt);
    for (const std::string& each : told_of)
      if (each == entry) return;
    told_of.emplace_back(entry);
    told += "launch manifest, entry";
    if (!entry.empty()) told += " \"" + std::string(entry) + "\"";
    told += ": " + words + '\n';
  };
  bool quoting = false;
  line_reader lines{log};
  for (std::string_view line; lines.next(line);) {
    if (is_resource_line(line)) continue;
    if (quoting && line.starts_with(quote_mark)) {
      tell(line.substr(quote_mark.size()));
      continue;
    }
    if (quoting && line.starts_with("  ")) continue;
    tell({});
    if (quoting && line.empty()) {
      quoting = false;
      continue;
    }
    quoting = line.starts_with(map_mark);
    if (quoting) {
      if (const std::size_t close = line.find("): ");
          close != std::string_view::npos)
        said = line.substr(close + 3);
      continue;
    }
    told += line;
    told += '\n';
  }
  tell({});
  while (!told.empty() && told.back() == '\n') told.pop_back();
  return told;
}

// Cuts at the end of a line when there is one in the second half.
[[nodiscard]] inline bool cut(std::string& log, std::size_t most) {
  if (log.size() <= most) return false;
  std::size_t end = log.rfind('\n', most);
  if (end == std::string::npos || end < most / 2) {
    end = most;
    while (end > 0 && (static_cast<unsigned char>(log[end]) & 0xc0u) == 0x80u)
      --end;
  }
  log.resize(end);
  return true;
}

// Is `lowered` a kernel of this PTX?
[[nodiscard]] inline bool has_entry(std::string_view ptx,
                                    std::string_view lowered) {
  const std::string mark = ".entry " + std::string(lowered);
  for (std::size_t at = ptx.find(mark); at != std::string_view::npos;
       at = ptx.find(mark, at + 1)) {
    const std::size_t end = at + mark.size();
    if (end >= ptx.size() || !is_word(ptx[end])) return true;
  }
  return false;
}

}  // namespace nvrtc_text

class nvrtc {
 public:
  // Opens NVRTC and, by its absolute path, the library of built-in headers
  // that NVRTC opens by name at the first compile: a worker that has closed
  // its doors could not find it any more.
  [[nodiscard]] static result<nvrtc> open(const toolkit& from) {
    const auto path = cuda_places::newest(from.library_folder, "libnvrtc.so.");
    const auto builtins =
        cuda_places::newest(from.library_folder, "libnvrtc-builtins.so.");
    if (!path || !builtins)
      return fault{reason::library_missing,
                   std::string(path ? "libnvrtc-builtins.so" : "libnvrtc.so") +
                       " is not in " + from.library_folder + ": " +
                       std::string(toolkit_advice)};
    auto helper = library::open(*builtins, library::lifetime::process);
    if (!helper) return helper.error();
    auto opened = library::open(*path, library::lifetime::process);
    if (!opened) return opened.error();

    nvrtc made(std::move(opened).value(), from);
    const library& in = made.library_;
    calls& to = made.call_;
    std::optional<fault> missing;
    const auto bind = [&]<typename F>(F*& into, const char* called) {
      auto found = in.symbol<F>(called);
      if (found)
        into = found.value();
      else if (!missing)
        missing = found.error();
    };
    bind(to.version, "nvrtcVersion");
    bind(to.words, "nvrtcGetErrorString");
    bind(to.create, "nvrtcCreateProgram");
    bind(to.destroy, "nvrtcDestroyProgram");
    bind(to.add_name, "nvrtcAddNameExpression");
    bind(to.compile, "nvrtcCompileProgram");
    bind(to.log_size, "nvrtcGetProgramLogSize");
    bind(to.log, "nvrtcGetProgramLog");
    bind(to.ptx_size, "nvrtcGetPTXSize");
    bind(to.ptx, "nvrtcGetPTX");
    bind(to.lowered, "nvrtcGetLoweredName");
    bind(to.cubin_size, "nvrtcGetCUBINSize");
    bind(to.cubin, "nvrtcGetCUBIN");
    if (missing) return *missing;

    int major = 0, minor = 0;
    if (const int status = to.version(&major, &minor); status != success)
      return fault{reason::library_failed,
                   "nvrtcVersion failed: " + made.words(status)};
    made.version_ = std::to_string(major) + "." + std::to_string(minor);
    return made;
  }

  [[nodiscard]] const std::string& version() const noexcept {
    return version_;
  }

  // Compiles `source` for `target` ("sm_90a"). `entries` are name expressions
  // of its kernels, "softmax<float, 128>"; without any, all that are no template
  // are in the PTX. The whole path to machine code is
  // taken, so that what ptxas refuses is refused here.
  [[nodiscard]] result<nvrtc_answer> compile(
      const std::string& source, const std::vector<std::string>& entries,
      const std::string& target = "sm_90a", bool line_info = true,
      bool cubin = false) const {
    if (!nvrtc_text::usable_target(target))
      return fault{reason::bad_argument,
                   "\"" + nvrtc_text::printable(target.substr(0, 32)) +
                       "\" is no target like sm_90a"};
    if (auto refused = refused_text(source, entries))
      return refusal(std::move(*refused));

    const std::string arch = "-arch=" + target;
    std::vector<const char*> options{arch.c_str(), "-std=c++17",
                                     include_.c_str(),
                                     "--ptxas-options=-v"};
    if (!cccl_.empty()) options.push_back(cccl_.c_str());
    if (line_info) options.push_back("-lineinfo");
    // Names of what has internal linkage would hold the number of the process.
    options.push_back("--frandom-seed=1");

    program made{nullptr, call_.destroy};
    int status = success;
    for (;;) {
      status = call_.create(&made.handle, source.c_str(), "candidate.cu", 0,
                            nullptr, nullptr);
      if (status == out_of_memory) return exhausted();
      if (status != success)
        return fault{reason::library_failed,
                     "nvrtcCreateProgram failed: " + words(status)};
      for (const std::string& entry : entries)
        if (status = call_.add_name(made.handle, entry.c_str());
            status != success)
          return refusal("launch manifest, entry \"" + entry +
                         "\": error: " + words(status));
      status = call_.compile(made.handle, static_cast<int>(options.size()),
                             options.data());
      // An older NVRTC does not know the last one, and has done nothing.
      if (status != invalid_option ||
          options.back() != std::string_view("--frandom-seed=1"))
        break;
      options.pop_back();
      made.end();
    }

    nvrtc_answer answer;
    std::string log;
    try {
      auto text = fetch(made.handle, call_.log_size, call_.log, "log");
      if (!text) return text.error();
      log = std::move(text).value();
      answer.log = nvrtc_text::readable(log);
    } catch (const std::bad_alloc&) {
      return exhausted();
    }
    answer.log_cut = nvrtc_text::cut(answer.log, most_log_bytes);
    answer.log = nvrtc_text::printable(answer.log);

    switch (status) {
      case success: break;
      case out_of_memory:
        add_line(answer.log, exhausted().log);
        answer.gave_up = true;
        return answer;
      case compilation:
      case name_not_valid:
      case internal_error:
        if (answer.log.empty() || status != compilation)
          add_line(answer.log, "the compiler gave up: " + words(status));
        answer.gave_up = status == internal_error;
        return answer;
      default:
        return fault{reason::library_failed,
                     "nvrtcCompileProgram failed: " + words(status) +
                         (answer.log.empty() ? "" : ": ") +
                         answer.log.substr(0, 400)};
    }

    auto ptx = fetch(made.handle, call_.ptx_size, call_.ptx, "PTX");
    if (!ptx) return ptx.error();
    answer.ptx = std::move(ptx).value();
    if (cubin) {
      auto code = fetch_bytes(made.handle, call_.cubin_size, call_.cubin,
                              "machine code");
      if (!code) return code.error();
      answer.cubin = std::move(code).value();
    }
    answer.ok = true;
    for (const std::string& entry : entries) {
      const char* found = nullptr;
      const int asked = call_.lowered(made.handle, entry.c_str(), &found);
      const std::string lowered = asked == success && found ? found : "";
      if (lowered.empty() || !nvrtc_text::has_entry(answer.ptx, lowered)) {
        answer.ok = false;
        add_line(answer.log,
                 "launch manifest, entry \"" + entry + "\": error: " +
                     (asked != success || lowered.empty()
                          ? "it has no name in the PTX (" + words(asked) + ")"
                          : "it is not a __global__ function"));
      }
      answer.lowered.push_back(lowered);
      answer.resources.push_back(nvrtc_text::resources_of(log, lowered));
    }
    if (!answer.ok) {
      answer.ptx.clear();
      answer.cubin.clear();
      answer.lowered.clear();
      answer.resources.clear();
    }
    return answer;
  }

 private:
  // Values of nvrtcResult.
  static constexpr int success = 0, out_of_memory = 1, invalid_option = 5,
                       compilation = 6, name_not_valid = 10,
                       internal_error = 11;

  struct calls {
    int (*version)(int*, int*) = nullptr;
    const char* (*words)(int) = nullptr;
    int (*create)(void**, const char*, const char*, int, const char* const*,
                  const char* const*) = nullptr;
    int (*destroy)(void**) = nullptr;
    int (*add_name)(void*, const char*) = nullptr;
    int (*compile)(void*, int, const char* const*) = nullptr;
    int (*log_size)(void*, std::size_t*) = nullptr;
    int (*log)(void*, char*) = nullptr;
    int (*ptx_size)(void*, std::size_t*) = nullptr;
    int (*ptx)(void*, char*) = nullptr;
    int (*lowered)(void*, const char*, const char**) = nullptr;
    int (*cubin_size)(void*, std::size_t*) = nullptr;
    int (*cubin)(void*, char*) = nullptr;
  };

  struct program {
    void* handle = nullptr;
    int (*destroy)(void**) = nullptr;
    program(void* made, int (*by)(void**)) : handle(made), destroy(by) {}
    program(const program&) = delete;
    program& operator=(const program&) = delete;
    ~program() { end(); }
    void end() {
      if (handle) destroy(&handle);
      handle = nullptr;
    }
  };

  nvrtc(library opened, const toolkit& from)
      : library_(std::move(opened)), include_("-I" + from.include) {
    // CUDA 13 moved CUB and libcu++ into a folder of their own.
    if (cuda_places::is_folder(from.include + "/cccl"))
      cccl_ = "-I" + from.include + "/cccl";
  }

  [[nodiscard]] static nvrtc_answer refusal(std::string why) {
    nvrtc_answer answer;
    answer.log = std::move(why);
    return answer;
  }

  [[nodiscard]] static nvrtc_answer exhausted() {
    nvrtc_answer answer = refusal("the compiler ran out of memory");
    answer.gave_up = true;
    return answer;
  }

  static void add_line(std::string& log, const std::string& line) {
    if (!log.empty()) log += '\n';
    log += line;
  }

  [[nodiscard]] static std::optional<std::string> refused_text(
      const std::string& source, const std::vector<std::string>& entries) {
    if (source.size() > most_program_bytes)
      return "candidate.cu: error: the source is longer than " +
             std::to_string(most_program_bytes / 1024) + " KB";
    // NVRTC takes a C string: what follows a NUL would be judged unseen.
    if (const std::size_t at = source.find('\0'); at != std::string::npos)
      return "candidate.cu: error: the source holds a NUL at byte " +
             std::to_string(at);
    // A byte of 0xff ends NVRTC's reading in the same way.
    for (std::size_t at = 0; at < source.size();) {
      const std::size_t length = nvrtc_text::utf8_length(source, at);
      if (length == 0)
        return "candidate.cu: error: the source is not UTF-8 at byte " +
               std::to_string(at);
      at += length;
    }
    if (entries.size() > most_entries)
      return "launch manifest: error: more than " +
             std::to_string(most_entries) + " entries";
    for (const std::string& entry : entries)
      if (auto why = nvrtc_text::refused_entry(entry))
        return "launch manifest, entry \"" +
               nvrtc_text::printable(entry.substr(0, 80)) + "\": error: " +
               *why;
    return std::nullopt;
  }

  [[nodiscard]] std::string words(int status) const {
    const char* const text = call_.words(status);
    return text ? text : "nvrtcResult " + std::to_string(status);
  }

  // The sizes count a trailing NUL.
  [[nodiscard]] result<std::string> fetch(void* made,
                                          int (*size)(void*, std::size_t*),
                                          int (*text)(void*, char*),
                                          const char* what) const {
    auto into = fetch_bytes(made, size, text, what);
    while (into && !into.value().empty() && into.value().back() == '\0')
      into.value().pop_back();
    return into;
  }
  [[nodiscard]] result<std::string> fetch_bytes(
      void* made, int (*size)(void*, std::size_t*), int (*text)(void*, char*),
      const char* what) const {
    std::size_t bytes = 0;
    if (const int status = size(made, &bytes); status != success)
      return fault{reason::library_failed, std::string("the size of the ") +
                                               what + ": " + words(status)};
    std::string into(bytes, '\0');
    if (bytes > 0)
      if (const int status = text(made, into.data()); status != success)
        return fault{reason::library_failed,
                     std::string("the ") + what + ": " + words(status)};
    return into;
  }

  library library_;
  std::string include_, cccl_, version_;
  calls call_;
};

}  // namespace skillbench
