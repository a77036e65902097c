#pragma once
// cli/ptx.hpp: `skillbench ptx`: any kernel on the PTX machine, with buffers that
// the user describes.
//
// Layer   7. The kernel runs in a child, as for `check`.
// Shapes  an argument is a buffer, `[in:|out:]TYPE[N]` or `[in:|out:]FILE`, or a
//         number, `TYPE=VALUE`. N may be a product, 64x64. Without a word before
//         it a buffer is read and written.
// Units   bytes of integers in a file as they are, little endian.
// Errors  misuse for words that make no sense; what is wrong with the kernel is a
//         finding, and the exit code stays 0.

#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

inline constexpr std::int64_t most_drawn = std::int64_t{256} << 20;  // bytes of a buffer that is drawn here

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

[[nodiscard]] inline result<kernel_word> kernel_word_of(std::string_view word, std::size_t number, std::uint64_t seed) {
  const std::string shown = "the argument `" + std::string(word) + "`";
  kernel_word out;
  out.argument.name = "argument " + std::to_string(number + 1);
  if (const std::size_t sign = word.find('='); sign != std::string_view::npos) {
    out.type = scalar_named(word.substr(0, sign));
    if (!out.type) return fault{reason::bad_input, shown + ": there is no type " + std::string(word.substr(0, sign))};
    const auto bits = bits_of_number(*out.type, word.substr(sign + 1));
    if (!bits) return fault{reason::bad_input, shown + ": " + std::string(word.substr(sign + 1)) + " is no " + std::string(out.type->name)};
    out.argument.kind = kernel_argument::type::bits;
    out.argument.value = static_cast<std::int64_t>(*bits);
    out.argument.bytes = static_cast<std::uint8_t>(out.type->bytes);
    return out;
  }
  buffer b;
  b.name = out.argument.name;
  b.seed = mix(seed, b.name);
  b.use = role::both;
  if (word.starts_with("in:")) b.use = role::input;
  if (word.starts_with("out:")) b.use = role::output;
  if (b.use != role::both) word.remove_prefix(word.find(':') + 1);
  const std::size_t open = word.find('[');
  if (open != std::string_view::npos && word.ends_with("]") && (out.type = scalar_named(word.substr(0, open)))) {
    const auto n = count_of(word.substr(open + 1, word.size() - open - 2));
    if (!n) return fault{reason::bad_input, shown + ": a size is a number of elements such as 1024 or 64x64"};
    b.elements = *n;
    b.element_bytes = static_cast<std::int64_t>(out.type->bytes);
    b.type = out.type->made;
    const bool filled = out.type->is == scalar_type::kind::real && out.type->bytes < 8;
    if (b.use != role::output && !filled) {
      // Small integers, which are useful as indices and as summands; doubles.
      if (b.elements * b.element_bytes > most_drawn)
        return fault{reason::bad_input, shown + ": integers and doubles are drawn up to " + std::to_string(most_drawn >> 20) + " MB"};
      for (std::int64_t i = 0; i < b.elements; ++i) {
        std::uint64_t x = mix(b.seed, std::to_string(i)) % 128;
        if (out.type->is == scalar_type::kind::real) x = std::bit_cast<std::uint64_t>(static_cast<double>(x) / 64.0 - 1.0);
        b.contents.append(reinterpret_cast<const char*>(&x), out.type->bytes);
      }
    }
  } else {
    out.type = nullptr;
    if (b.use == role::output) return fault{reason::bad_input, shown + ": what is only written has no contents: write out:TYPE[N]"};
    auto text = gathering::read_text(std::string(word));
    if (!text)
      return fault{reason::bad_input, shown + " is no buffer (f32[1024], out:f16[64x64]), no number (i32=5, f32=0.5) and no file: " + text.error().what};
    b.contents = std::move(text).value();
    if (b.contents.empty()) return fault{reason::bad_input, shown + ": the file is empty"};
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

// "argument 2: 5 6 7 8 9 10 11 12 ... (1024 of u32)"
[[nodiscard]] inline std::string buffer_words(const kernel_word& word, const std::string& bytes) {
  const std::size_t per = word.type ? word.type->bytes : 1, n = bytes.size() / per;
  constexpr std::size_t most = 8;
  std::string out = word.made->name + ":";
  for (std::size_t i = 0; i < std::min(n, most); ++i) out += " " + value_words(word.type, bytes.data() + i * per);
  return out + fmt::format("{} ({} of {})", n > most ? " ..." : "", n, word.type ? word.type->name : "bytes");
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
  auto text = gathering::read_text(asked.file);
  if (!text) return wrong(text.error().what);
  const bool is_ptx = asked.file.ends_with(".ptx");
  if (!is_ptx && !asked.file.ends_with(".cu")) return wrong(asked.file + " is neither a .cu nor a .ptx");
  const auto grid = extent_of(asked.grid), block = extent_of(asked.block);
  if (!grid || !block) return wrong("--grid and --block are one to three positive numbers, as in 32,4");

  std::string entry = asked.entry;
  if (entry.empty()) {
    const auto found = is_ptx ? entries_of(text.value()) : std::vector<std::string>{};
    if (found.size() == 1) entry = found.front();
    std::string names;
    for (const auto& each : found) names += (names.empty() ? "" : ", ") + each;
    if (entry.empty())
      return wrong("name the kernel with --entry" + (names.empty() ? std::string(is_ptx ? ": the PTX has no entry" : ", as in scale or scale<float>") : ": it has " + names));
  }
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

  auto opened = devices::open("ptx", {"", true});
  if (!opened) return broken(opened.error());
  auto on = opened.value()->make();
  if (!on) return broken(on.error());
  std::string ptx = text.value();
  if (!is_ptx) {
    compile_request request;
    request.source = text.value();
    request.entries = {entry};
    const auto image = on.value()->compile(request);
    if (!image) return broken(image.error());
    if (!image.value().ok) {
      trouble.line(printable(asked.file) + " does not compile:");
      std::string_view log = image.value().log;
      while (!log.empty()) {
        const std::size_t end = std::min(log.find('\n'), log.size());
        trouble.line("  " + printable(log.substr(0, end)));
        log.remove_prefix(std::min(end + 1, log.size()));
      }
      return exit_code::misuse;
    }
    ptx = image.value().ptx;
    entry = image.value().kernels.front().lowered;
  }
  if (const auto loaded = on.value()->load(ptx); !loaded) return loaded.error().why == reason::not_supported ? wrong(loaded.error().what) : broken(loaded.error());
  one.entry = entry;
  work.launches.push_back(one);

  // Each schedule has a seed of its own; findings that differ only in who did it
  // first are told once.
  run_report first;
  std::vector<finding> all;
  std::set<std::tuple<code, std::optional<int>, std::optional<int>, std::string>> told;
  std::uint64_t differing = 0;
  for (std::uint64_t k = 0; k < asked.schedules; ++k) {
    work.schedule = k;
    work.counters = asked.counters && k == 0;
    auto report = on.value()->run(work);
    if (!report) {
      const reason why = report.error().why;
      if (why == reason::not_found) return wrong(report.error().what);
      return broken(report.error());
    }
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

  if (asked.json) {
    json_text::json made = {{"file", asked.file}, {"entry", entry}, {"seed", asked.seed}, {"schedules", asked.schedules}};
    made["findings"] = json_text::json::array();
    for (const finding& each : all) made["findings"].push_back(json_text::write(each));
    made["printed"] = first.printed;
    made["printed_lost"] = first.printed_lost;
    made["buffers"] = json_text::json::array();
    for (const output_bytes& each : first.outputs) {
      const kernel_word& word = words[of_buffer[static_cast<std::size_t>(each.buffer)]];
      made["buffers"].push_back({{"name", word.made->name}, {"type", word.type ? word.type->name : "bytes"}, {"elements", word.made->elements}, {"hash", hash_text(each.bytes)}});
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
  out.line(printable(entry) + ": " + (failing ? out.paint(colour::red, plural(failing, "finding")) : out.paint(colour::green, "no finding")) +
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
