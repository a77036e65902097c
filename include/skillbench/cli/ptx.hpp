#pragma once
// cli/ptx.hpp: `skillbench ptx`: any kernel on the PTX machine, with buffers that
// the user describes.
//
// Layer   7. The kernel runs in a child, as for `check`.
// Shapes  an argument is a buffer, `[in:|out:]TYPE[N]`, `TYPE[N]=VALUE` for one that
//         starts with VALUE everywhere, `TYPE[N]=FILE` or `FILE` for one that starts
//         as the file, or a number, `TYPE=VALUE`. N may be a product, 64x64.
//         Without a word before it a buffer is read and written.
// Units   bytes of numbers in a file as they are, little endian.
// Errors  misuse for words that make no sense, an impossible launch among them;
//         what is wrong with the kernel is a finding, and the exit code stays 0.

#include <cxxabi.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/check.hpp>
#include <skillbench/cli/counters.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/candidate.hpp>
#include <skillbench/device.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/hash.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/samples.hpp>

namespace skillbench::cli {

// ---- the words of the command line ---------------------------------------------

struct scalar_type {
  std::string_view name;
  std::size_t bytes;
  enum class kind : std::uint8_t { real, whole, natural } is;
  element made = element::f32;  // of reals of 16 and 32 bits: what fills them
};
inline constexpr scalar_type scalar_types[] = {
    {"f32", 4, scalar_type::kind::real, element::f32}, {"f16", 2, scalar_type::kind::real, element::f16},
    {"bf16", 2, scalar_type::kind::real, element::bf16}, {"f64", 8, scalar_type::kind::real, element::f32},
    {"i8", 1, scalar_type::kind::whole}, {"i16", 2, scalar_type::kind::whole}, {"i32", 4, scalar_type::kind::whole},
    {"i64", 8, scalar_type::kind::whole}, {"u8", 1, scalar_type::kind::natural}, {"u16", 2, scalar_type::kind::natural},
    {"u32", 4, scalar_type::kind::natural}, {"u64", 8, scalar_type::kind::natural}};

[[nodiscard]] inline const scalar_type* scalar_named(std::string_view text) {
  for (const auto& each : scalar_types)
    if (each.name == text) return &each;
  return nullptr;
}

inline constexpr std::int64_t most_contents = std::int64_t{256} << 20;  // bytes of a buffer that is made here
inline constexpr std::int64_t most_placed = std::int64_t{1} << 35;  // bytes of one buffer
inline constexpr std::int64_t most_back = std::int64_t{1} << 30;  // bytes that the worker sends
inline constexpr std::size_t most_ptx_bytes = std::size_t{64} << 20;

// "64x64" as a number of elements.
[[nodiscard]] inline std::optional<std::int64_t> count_of(std::string_view text) {
  std::int64_t all = 1;
  for (;;) {
    std::int64_t one = 0;
    const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), one);
    if (problem != std::errc{} || one < 1 || one > (std::int64_t{1} << 40) / all) return std::nullopt;
    all *= one;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    if (text.empty()) return all;
    if (text[0] != 'x') return std::nullopt;
    text.remove_prefix(1);
  }
}

// "X", "X,Y" or "X,Y,Z".
[[nodiscard]] inline std::optional<extent> extent_of(std::string_view text) {
  extent out;
  std::int64_t* const to[] = {&out.x, &out.y, &out.z};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), *to[i]);
    if (problem != std::errc{} || *to[i] < 1) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    if (text.empty()) return out;
    if (text[0] != ',') return std::nullopt;
    text.remove_prefix(1);
  }
  return std::nullopt;
}

// The bits of VALUE as `type`; nothing when it is no such number.
[[nodiscard]] inline std::optional<std::uint64_t> bits_of_number(const scalar_type& type, std::string_view text) {
  const char* const first = text.data();
  const char* const last = first + text.size();
  if (type.is == scalar_type::kind::real) {
    double x = 0;
    const auto [stop, problem] = std::from_chars(first, last, x);
    if (problem != std::errc{} || stop != last) return std::nullopt;
    if (type.name == "f64") return std::bit_cast<std::uint64_t>(x);
    if (type.name == "f32") return std::bit_cast<std::uint32_t>(static_cast<float>(x));
    return type.name == "f16" ? double_to_half(x) : double_to_bfloat(x);
  }
  std::int64_t i = 0;
  std::uint64_t n = 0;
  const bool whole = type.is == scalar_type::kind::whole;
  const auto [stop, problem] = whole ? std::from_chars(first, last, i) : std::from_chars(first, last, n);
  if (problem != std::errc{} || stop != last) return std::nullopt;
  const auto bits = static_cast<int>(8 * type.bytes);
  if (bits < 64) {
    if (whole && (i < -(std::int64_t{1} << (bits - 1)) || i >= std::int64_t{1} << (bits - 1))) return std::nullopt;
    if (!whole && n >> bits) return std::nullopt;
  }
  const std::uint64_t out = whole ? static_cast<std::uint64_t>(i) : n;
  return bits < 64 ? out & ((std::uint64_t{1} << bits) - 1) : out;
}

// An argument, its buffer where it has one, and how its values are shown.
struct kernel_word {
  kernel_argument argument;
  std::optional<buffer> made;
  const scalar_type* type = nullptr;  // null: of a file, shown as bytes
};

// A number as the kernel gets it, so that a float is not passed for an integer.
inline void pass(kernel_argument& to, const scalar_type& type, std::uint64_t bits) {
  to.bytes = static_cast<std::uint8_t>(type.bytes);
  to.value = static_cast<std::int64_t>(bits);
  to.kind = type.is == scalar_type::kind::real ? kernel_argument::type::bits : kernel_argument::type::integer;
  if (type.name != "f32" && type.name != "f64") return;
  to.kind = kernel_argument::type::real;
  to.real = type.bytes == 8 ? std::bit_cast<double>(bits) : std::bit_cast<float>(static_cast<std::uint32_t>(bits));
}

[[nodiscard]] inline result<std::string> contents_of(const std::string& file) {
  auto text = gathering::read_text(file, static_cast<std::size_t>(most_contents));
  if (text && text.value().empty()) return fault{reason::bad_input, file + ": is empty"};
  if (text && text.value().size() > static_cast<std::size_t>(most_contents))
    return fault{reason::too_large, file + ": has more than " + std::to_string(most_contents >> 20) + " MB"};
  return text;
}

// What `TYPE[N]=` starts with: a number everywhere, or a file of just that size.
[[nodiscard]] inline std::optional<std::string> start(buffer& b, const scalar_type& type, std::string_view with) {
  if (b.bytes() > most_contents) return "what starts with given contents has at most " + std::to_string(most_contents >> 20) + " MB";
  const auto wanted = static_cast<std::size_t>(b.bytes());
  if (const auto bits = bits_of_number(type, with)) {
    b.contents.resize(wanted);
    for (std::size_t at = 0; at < wanted; at += type.bytes) std::memcpy(b.contents.data() + at, &*bits, type.bytes);
    return std::nullopt;
  }
  auto text = contents_of(std::string(with));
  if (!text) return std::string(with) + " is no " + std::string(type.name) + ", and no file: " + text.error().what;
  b.contents = std::move(text).value();
  if (b.contents.size() != wanted)
    return "the file has " + std::to_string(b.contents.size()) + " bytes, the buffer " + std::to_string(wanted);
  return std::nullopt;
}

// Integers are drawn from 0 to 127, useful as indices and as summands; doubles
// from -1 to 1.
[[nodiscard]] inline std::optional<std::string> draw(buffer& b, const scalar_type& type) {
  if (b.bytes() > most_contents) return "integers and doubles are drawn up to " + std::to_string(most_contents >> 20) + " MB";
  for (std::int64_t i = 0; i < b.elements; ++i) {
    std::uint64_t x = mix(b.seed, std::to_string(i)) % 128;
    if (type.is == scalar_type::kind::real) x = std::bit_cast<std::uint64_t>(static_cast<double>(x) / 64.0 - 1.0);
    b.contents.append(reinterpret_cast<const char*>(&x), type.bytes);
  }
  return std::nullopt;
}

[[nodiscard]] inline result<kernel_word> kernel_word_of(std::string_view word, std::size_t number, std::uint64_t seed) {
  const auto refuse = [shown = "the argument `" + std::string(word) + "`: "](const std::string& why) { return fault{reason::bad_input, shown + why}; };
  kernel_word out;
  out.argument.name = "argument " + std::to_string(number + 1);
  const std::size_t sign = word.find('='), open = word.find('[');
  if (sign != std::string_view::npos && open > sign) {
    out.type = scalar_named(word.substr(0, sign));
    if (!out.type) return refuse("there is no type " + std::string(word.substr(0, sign)));
    const auto bits = bits_of_number(*out.type, word.substr(sign + 1));
    if (!bits) return refuse("`" + std::string(word.substr(sign + 1)) + "` is no " + std::string(out.type->name));
    pass(out.argument, *out.type, *bits);
    return out;
  }
  buffer b;
  b.name = out.argument.name;
  b.seed = mix(seed, b.name);
  b.use = word.starts_with("in:") ? role::input : word.starts_with("out:") ? role::output : role::both;
  if (b.use != role::both) word.remove_prefix(word.find(':') + 1);

  const std::string_view shape = word.substr(0, word.find('=')), with = word.substr(std::min(shape.size() + 1, word.size()));
  const std::size_t bracket = shape.find('[');
  if (bracket != std::string_view::npos && shape.ends_with("]") && (out.type = scalar_named(shape.substr(0, bracket)))) {
    const auto n = count_of(shape.substr(bracket + 1, shape.size() - bracket - 2));
    if (!n) return refuse("a size is a number of elements such as 1024 or 64x64");
    b.elements = *n;
    b.element_bytes = static_cast<std::int64_t>(out.type->bytes);
    b.type = out.type->made;
    const bool given = shape.size() < word.size();
    const bool filled = out.type->is == scalar_type::kind::real && out.type->bytes < 8;
    if (given && b.use == role::output) return refuse("what is only written starts undefined: leave out the `out:`");
    std::optional<std::string> trouble;
    if (given) trouble = start(b, *out.type, with);
    else if (b.use != role::output && !filled) trouble = draw(b, *out.type);
    if (trouble) return refuse(*trouble);
  } else {
    if (b.use == role::output) return refuse("what is only written is out:TYPE[N], as in out:f32[1024]");
    auto text = contents_of(std::string(word));
    if (!text)
      return refuse("no buffer (f32[1024], out:f16[64x64], i32[8]=0), no number (i32=5, f32=0.5) and no file (" + text.error().what + ")");
    b.contents = std::move(text).value();
    b.elements = static_cast<std::int64_t>(b.contents.size());
    b.element_bytes = 1;
  }
  out.argument.kind = kernel_argument::type::pointer;
  out.made = std::move(b);
  return out;
}

// The names after `.entry` in a text of PTX.
[[nodiscard]] inline std::vector<std::string> entries_of(std::string_view text) {
  std::vector<std::string> out;
  constexpr std::string_view word = ".entry";
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at)) {
    at += word.size();
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n')) ++at;
    const std::size_t end = std::min(text.find_first_of("( \t\r\n{;", at), text.size());
    if (end > at) out.emplace_back(text.substr(at, end - at));
  }
  return out;
}

// `scale` of `_Z5scalePffi`, `twice<float>` of `_Z5twiceIfEvPT_`: as --entry takes it.
[[nodiscard]] inline std::string plain_name(const std::string& lowered) {
  if (!lowered.starts_with("_Z")) return lowered;  // `g` alone would be a type
  int status = 0;
  char* const made = abi::__cxa_demangle(lowered.c_str(), nullptr, nullptr, &status);
  if (!made) return lowered;
  std::string out = made;
  std::free(made);
  // The parameters go, and what a template returns, but not (int)4 in a list of
  // template arguments.
  int depth = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    depth += out[i] == '<' ? 1 : out[i] == '>' ? -1 : 0;
    if (depth != 0 || out[i] != '(' || out.compare(i, 21, "(anonymous namespace)") == 0) continue;
    out.resize(i);
    break;
  }
  return out.starts_with("void ") ? out.substr(5) : out;
}

// ---- what is shown ----------------------------------------------------------------

[[nodiscard]] inline std::string value_words(const scalar_type* type, const char* at) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, at, type ? type->bytes : 1);
  if (!type) return fmt::format("{:02x}", bits);
  if (type->name == "f64") return fmt::format("{:.6g}", std::bit_cast<double>(bits));
  if (type->name == "f32") return fmt::format("{:.6g}", std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  if (type->name == "f16") return fmt::format("{:.4g}", half_to_float(static_cast<std::uint16_t>(bits)));
  if (type->name == "bf16") return fmt::format("{:.4g}", bfloat_to_float(static_cast<std::uint16_t>(bits)));
  if (type->is == scalar_type::kind::natural) return std::to_string(bits);
  const auto gone = static_cast<int>(64 - 8 * type->bytes);
  return std::to_string(static_cast<std::int64_t>(bits << gone) >> gone);
}

// The first of a buffer's values, as text: JSON has no infinity.
[[nodiscard]] inline std::vector<std::string> first_values(const kernel_word& word, const std::string& bytes) {
  const std::size_t per = word.type ? word.type->bytes : 1;
  constexpr std::size_t most = 8;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(bytes.size() / per, most); ++i) out.push_back(value_words(word.type, bytes.data() + i * per));
  return out;
}

// "argument 2: 5 6 7 8 9 10 11 12 ... (1024 of u32)"
[[nodiscard]] inline std::string buffer_words(const kernel_word& word, const std::string& bytes) {
  const std::size_t n = bytes.size() / (word.type ? word.type->bytes : 1);
  const auto shown = first_values(word, bytes);
  std::string out = word.made->name + ":";
  for (const std::string& each : shown) out += " " + each;
  return out + fmt::format("{} ({} of {})", n > shown.size() ? " ..." : "", n, word.type ? word.type->name : "bytes");
}

// NVRTC's words in the user's: the file and the option by their names.
[[nodiscard]] inline std::vector<std::string> lines_of_log(std::string_view log, const ptx_command& asked) {
  std::vector<std::string> out;
  while (!log.empty()) {
    const std::size_t end = std::min(log.find('\n'), log.size());
    std::string line(log.substr(0, end));
    for (const auto& [from, to] : {std::pair<std::string_view, std::string>{"candidate.cu", asked.file}, {"launch manifest, entry", "--entry"}})
      if (const std::size_t at = line.find(from); at != std::string::npos) line.replace(at, from.size(), to);
    out.push_back(std::move(line));
    log.remove_prefix(std::min(end + 1, log.size()));
  }
  return out;
}

// What buffers hold in the end: FOLDER/argument_2.bin, over what is there.
[[nodiscard]] inline result<done> dump(const std::string& folder, const run_report& report, const std::vector<kernel_word>& words, const std::vector<std::size_t>& of_buffer) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  for (const output_bytes& each : report.outputs) {
    std::string name = words[of_buffer[static_cast<std::size_t>(each.buffer)]].made->name;
    std::replace(name.begin(), name.end(), ' ', '_');
    const std::string path = folder + "/" + name + ".bin";
    std::ofstream to(path, std::ios::binary | std::ios::trunc);
    to.write(each.bytes.data(), static_cast<std::streamsize>(each.bytes.size()));
    to.close();
    if (!to) return fault{reason::io, path + ": cannot be written"};
  }
  return done{};
}

// ---- the command --------------------------------------------------------------------

// `table` makes what --list prints: the machine is not this header's to know.
[[nodiscard]] inline exit_code tell(const ptx_command& asked, result<std::string> (*table)(), stream& out, stream& trouble) {
  const auto wrong = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
    trouble.line("See `skillbench ptx --help`.");
    return exit_code::misuse;
  };
  const auto broken = [&](const fault& what) {
    trouble.line("skillbench: " + printable(what.what));
    return exit_code::broken;
  };
  if (asked.list) {
    const auto made = table();
    if (!made) return broken(made.error());
    out.write(made.value());
    return exit_code::fine;
  }
  if (asked.file.empty()) return wrong("no FILE.cu or FILE.ptx is named");
  const bool is_ptx = asked.file.ends_with(".ptx");
  if (!is_ptx && !asked.file.ends_with(".cu")) return wrong(asked.file + " is neither a .cu nor a .ptx");
  const std::size_t most = is_ptx ? most_ptx_bytes : most_output_bytes;
  auto text = gathering::read_text(asked.file, most);
  if (!text) return wrong(text.error().what);
  if (text.value().size() > most) return wrong(asked.file + " is longer than " + std::to_string(most >> 20) + " MB");
  const auto grid = extent_of(asked.grid), block = extent_of(asked.block);
  if (!grid || !block) return wrong("--grid and --block are one to three positive numbers, as in 32,4");

  job work;
  work.seed = asked.seed;
  work.most_instructions = asked.most_instructions;
  launch one;
  one.grid = *grid;
  one.block = *block;
  one.shared_bytes = asked.shared;
  std::vector<kernel_word> words;
  std::vector<std::size_t> of_buffer;
  for (std::size_t i = 0; i < asked.args.size(); ++i) {
    auto word = kernel_word_of(asked.args[i], i, asked.seed);
    if (!word) return wrong(word.error().what);
    words.push_back(std::move(word).value());
    if (words.back().made) {
      words.back().argument.value = static_cast<std::int64_t>(work.buffers.size());
      work.buffers.push_back(*words.back().made);
      of_buffer.push_back(i);
    }
    one.args.push_back(words.back().argument);
  }

  std::int64_t back = 0;
  for (const buffer& each : work.buffers) {
    if (each.bytes() >= most_placed) return wrong(each.name + " has " + std::to_string(each.bytes()) + " bytes; the PTX machine places up to 32 GB");
    if (comes_back(each.use)) back += each.bytes();
  }
  if (back > most_back) return wrong("buffers that the kernel may write have at most 1 GB in all; `in:` before one says that it is only read");

  auto opened = devices::open("ptx", {"", true});
  if (!opened) return broken(opened.error());
  auto on = opened.value()->make();
  if (!on) return broken(on.error());
  std::string ptx = text.value(), entry = asked.entry;
  if (!is_ptx) {
    compile_request request;
    request.source = text.value();
    if (!entry.empty()) request.entries = {entry};
    const auto image = on.value()->compile(request);
    if (!image) return broken(image.error());
    if (!image.value().ok) {
      trouble.line("skillbench: " + printable(asked.file) + " does not compile:");
      for (const std::string& each : lines_of_log(image.value().log, asked)) trouble.line("  " + printable(each));
      return exit_code::misuse;
    }
    ptx = image.value().ptx;
    if (!entry.empty()) entry = image.value().kernels.front().lowered;
  }
  const std::vector<std::string> entries = entries_of(ptx);
  std::string names;
  for (const auto& each : entries) names += (names.empty() ? "" : ", ") + (is_ptx ? each : plain_name(each));
  if (entry.empty()) {
    if (entries.size() > 1) return wrong("name the kernel with --entry: " + asked.file + " has " + names);
    if (entries.empty()) return wrong(asked.file + " has no kernel" + (is_ptx ? "" : ", or only templates, which --entry names, as in \"scale<float>\""));
    entry = entries.front();
  } else if (std::find(entries.begin(), entries.end(), entry) == entries.end()) {
    return wrong(asked.file + " has no kernel " + entry + (names.empty() ? "" : "; it has " + names));
  }
  if (const auto loaded = on.value()->load(ptx); !loaded) return loaded.error().why == reason::not_supported ? wrong(asked.file + ": " + loaded.error().what) : broken(loaded.error());
  one.entry = entry;
  work.launches.push_back(one);

  // Findings of several schedules that differ only in who did it first are told
  // once.
  run_report first;
  std::vector<finding> all;
  std::set<std::tuple<code, std::optional<int>, std::optional<int>, std::string>> told;
  std::uint64_t differing = 0;
  for (std::uint64_t k = 0; k < asked.schedules; ++k) {
    work.schedule = k;
    work.threads = asked.threads;
    work.counters = asked.counters && k == 0;
    auto report = on.value()->run(work);
    if (!report && report.error().why == reason::too_slow) return broken({reason::too_slow, report.error().what + "; --budget sets how many"});
    if (!report) return broken(report.error());
    // The words of the command line are no launch: nothing was run.
    for (const finding& each : report.value().findings)
      if (each.kind == code::bad_manifest || each.kind == code::launch_refused) return wrong(each.what);
    for (finding& each : report.value().findings) {
      const auto key = std::make_tuple(each.kind, each.line, each.ptx_line, each.tensor);
      if (told.insert(key).second) all.push_back(std::move(each));
    }
    if (k == 0) {
      first = std::move(report).value();
      continue;
    }
    bool same = report.value().outputs.size() == first.outputs.size();
    for (std::size_t i = 0; same && i < first.outputs.size(); ++i) same = report.value().outputs[i].bytes == first.outputs[i].bytes;
    differing += !same;
  }
  if (differing) {
    finding f;
    f.kind = code::not_reproducible;
    f.weight = severity::note;
    f.what = std::to_string(differing) + " of " + std::to_string(asked.schedules - 1) + " further schedules left other bits in the buffers";
    f.kernel = entry;
    all.push_back(std::move(f));
  }

  if (!asked.dump.empty()) {
    if (const auto kept = dump(asked.dump, first, words, of_buffer); !kept) return broken(kept.error());
  }

  if (asked.json) {
    json_text::json made = {{"file", asked.file}, {"entry", entry}, {"seed", asked.seed}, {"schedules", asked.schedules}, {"differing", differing}};
    made["findings"] = json_text::json::array();
    for (const finding& each : all) made["findings"].push_back(json_text::write(each));
    made["printed"] = first.printed;
    made["printed_lost"] = first.printed_lost;
    made["buffers"] = json_text::json::array();
    for (const output_bytes& each : first.outputs) {
      const kernel_word& word = words[of_buffer[static_cast<std::size_t>(each.buffer)]];
      made["buffers"].push_back({{"name", word.made->name}, {"type", word.type ? word.type->name : "bytes"}, {"elements", word.made->elements}, {"first", first_values(word, each.bytes)}, {"hash", hash_text(each.bytes)}});
    }
    made["counters"] = {{"warp_instructions", first.counted.warp_instructions}, {"thread_instructions", first.counted.thread_instructions},
                        {"global_load_sectors", first.counted.global_load_sectors}, {"global_store_sectors", first.counted.global_store_sectors},
                        {"barriers", first.counted.barriers}};
    if (asked.counters) {
      made["launches"] = json_text::json::array();
      for (const launch_counters& each : first.launches) made["launches"].push_back(json_text::write(each));
    }
    out.line(made.dump(-1, ' ', false, json_text::json::error_handler_t::replace));
    return exit_code::fine;
  }

  std::size_t failing = 0;
  for (const finding& each : all) failing += each.weight == severity::fails;
  out.line(printable(is_ptx ? entry : plain_name(entry)) + ": " + (failing ? out.paint(colour::red, plural(failing, "finding")) : out.paint(colour::green, "no finding")) +
           (asked.schedules > 1 ? " in " + std::to_string(asked.schedules) + " schedules" : ""));
  for (const output_bytes& each : first.outputs) out.line("  " + buffer_words(words[of_buffer[static_cast<std::size_t>(each.buffer)]], each.bytes));
  if (!first.printed.empty()) {
    out.line("");
    std::string_view left = first.printed;
    while (!left.empty()) {
      const std::size_t end = std::min(left.find('\n'), left.size());
      out.line("> " + printable(left.substr(0, end)));
      left.remove_prefix(std::min(end + 1, left.size()));
    }
    if (first.printed_lost) out.line(fmt::format("> and {} bytes more", first.printed_lost));
  }
  for (const launch_counters& each : first.launches) {
    const counted_column column{"launch", &each};
    out.line("");
    counter_tables::print_totals(std::span(&column, 1), out);
    out.line("");
    print_lines(each, each.of_ptx == is_ptx ? std::string_view(text.value()) : std::string_view(), 1, out);
  }
  sample of;
  of.path = asked.file;
  excerpt source;
  source.source = text.value();
  source.first_line = 1;
  for (finding& each : all) {
    // In a file of PTX the line to quote is the PTX's own.
    if (is_ptx) each.line = std::exchange(each.ptx_line, std::nullopt);
    finding_group group;
    group.first = &each;
    group.count = each.count;
    out.line("");
    print_finding(group, of, &source, out);
  }
  return exit_code::fine;
}

}  // namespace skillbench::cli
