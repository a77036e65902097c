#pragma once
// ptx/ops/service.hpp: what the device's own library does when a kernel calls
// it: vprintf, __assertfail, malloc and free; and the stack of a thread.
//
// Layer   3.
// Shapes  such a function takes its arguments from the frame of the lane that
//         calls, where a call has put them, and leaves its result there.
// Units   bytes. A launch sequence may print `most_printed`, and the rest is
//         counted; it may take `most_heap`, a GPU's default, and gets null beyond;
//         a thread may have `most_stack` by alloca.
// Source  CUDA C++ Programming Guide, "Formatted Output", "Assertion", "Dynamic
//         Global Memory Allocation and Operations"; the layout of vprintf's
//         arguments is that of C: each at a multiple of its size.
// Trust   a format is the candidate's: it is taken apart here, and the C library
//         sees one conversion at a time, of a kind that fits its argument, with
//         a width and a precision of at most `most_width`.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/select.hpp>
#include <skillbench/ptx/report.hpp>

namespace skillbench::ptx::ops {

inline constexpr std::size_t most_printed = std::size_t{64} << 10;
inline constexpr std::uint64_t most_heap = std::uint64_t{8} << 20;
inline constexpr std::size_t most_blocks = 1 << 16;
inline constexpr std::size_t most_string = 1024;
inline constexpr long most_width = 256;

// ---- reading what a lane points at -----------------------------------------------

// The bytes of a string up to its NUL; what is printable of them, `?` otherwise.
[[nodiscard]] inline std::string string_at(warp& w, int lane, std::uint64_t at) {
  std::string out;
  while (out.size() < most_string) {
    const cell c = resolve(w, lane, at + out.size(), 1, false, space::generic);
    if (!c.data) break;
    const char byte = static_cast<char>(*c.data);
    if (byte == '\0') break;
    out += (byte >= ' ' && byte <= '~') || byte == '\n' || byte == '\t' ? byte : '?';
  }
  return out;
}

template <typename T>
[[nodiscard]] T value_at(warp& w, int lane, std::uint64_t at) {
  T out{};
  const cell c = resolve(w, lane, at, sizeof(T), false, space::generic);
  if (c.data) std::memcpy(&out, c.data, sizeof(T));
  return out;
}

// Of the frame of a lane.
template <typename T>
[[nodiscard]] T argument_of(warp& w, const service& call, std::size_t i, int lane) {
  T out{};
  std::memcpy(&out, w.frames + static_cast<std::size_t>(lane) * w.frame_bytes + call.in[i], sizeof(T));
  return out;
}
inline void give_back(warp& w, const service& call, int lane, const void* value, std::size_t bytes) {
  if (!call.returns) return;
  const std::size_t at = static_cast<std::size_t>(lane) * w.frame_bytes + call.out;
  std::memcpy(w.frames + at, value, bytes);
  std::memset(w.frame_shadow + at, defined, bytes);
}
[[nodiscard]] inline bool argument_defined(warp& w, const service& call, std::size_t i, std::size_t bytes, int lane) {
  return !any_set(w.frame_shadow + static_cast<std::size_t>(lane) * w.frame_bytes + call.in[i], bytes);
}
[[nodiscard]] inline const service& service_of(warp& w, const op& o) { return w.launch->code->services[static_cast<std::size_t>(o.imm)]; }

// ---- vprintf ---------------------------------------------------------------------

// One argument after the other, as C lays them out.
class argument_list {
 public:
  argument_list(warp& w, int lane, std::uint64_t at) : w_(w), lane_(lane), at_(at) {}
  template <typename T>
  [[nodiscard]] T next() {
    at_ = (at_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    const T out = value_at<T>(w_, lane_, at_);
    at_ += sizeof(T);
    ++taken;
    return out;
  }
  int taken = 0;

 private:
  warp& w_;
  int lane_;
  std::uint64_t at_;
};

template <typename T>
void print_one(std::string& out, const std::string& how, long width, long precision, T value) {
  char text[2 * most_width + 400];
  const int n = precision < 0 ? std::snprintf(text, sizeof text, how.c_str(), static_cast<int>(width), value)
                              : std::snprintf(text, sizeof text, how.c_str(), static_cast<int>(width), static_cast<int>(precision), value);
  if (n > 0) out.append(text, std::min<std::size_t>(static_cast<std::size_t>(n), sizeof text - 1));
}

[[nodiscard]] inline std::pair<std::string, int> formatted(warp& w, int lane, std::string_view format, std::uint64_t arguments) {
  std::string out;
  argument_list list(w, lane, arguments);
  for (std::size_t i = 0; i < format.size() && out.size() < most_printed; ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const std::size_t first = i++;
    std::string how = "%";
    for (; i < format.size() && std::string_view("-+ #0").find(format[i]) != std::string_view::npos; ++i)
      if (how.find(format[i]) == std::string::npos) how += format[i];
    const auto number = [&]() -> long {
      if (i < format.size() && format[i] == '*') {
        ++i;
        return list.next<std::int32_t>();
      }
      long n = 0;
      for (; i < format.size() && format[i] >= '0' && format[i] <= '9'; ++i) n = std::min(10 * n + (format[i] - '0'), most_width);
      return n;
    };
    const long width = std::clamp(number(), -most_width, most_width);
    long precision = -1;
    if (i < format.size() && format[i] == '.') {
      ++i;
      precision = std::min(number(), most_width);
    }
    how += precision < 0 ? "*" : "*.*";
    int longs = 0, shorts = 0;
    for (; i < format.size() && std::string_view("hlLqjzt").find(format[i]) != std::string_view::npos; ++i) (format[i] == 'h' ? shorts : longs) += 1;
    const char kind = i < format.size() ? format[i] : '\0';
    const auto integer = [&](auto word, auto narrow, auto narrowest) {
      if (longs) return print_one(out, how + "ll" + kind, width, precision, static_cast<std::conditional_t<std::is_signed_v<decltype(word)>, long long, unsigned long long>>(list.next<decltype(word)>()));
      using small = std::conditional_t<std::is_signed_v<decltype(word)>, std::int32_t, std::uint32_t>;
      const small v = list.next<small>();
      print_one(out, how + kind, width, precision, shorts == 1 ? static_cast<small>(static_cast<decltype(narrow)>(v)) : shorts > 1 ? static_cast<small>(static_cast<decltype(narrowest)>(v)) : v);
    };
    switch (kind) {
      case 'd': case 'i': integer(std::int64_t{}, std::int16_t{}, std::int8_t{}); break;
      case 'u': case 'o': case 'x': case 'X': integer(std::uint64_t{}, std::uint16_t{}, std::uint8_t{}); break;
      case 'c': {
        const auto c = static_cast<char>(list.next<std::int32_t>());
        print_one(out, how + 'c', width, precision, static_cast<int>((c >= ' ' && c <= '~') || c == '\n' || c == '\t' ? c : '?'));
        break;
      }
      case 'f': case 'F': case 'e': case 'E': case 'g': case 'G': case 'a': case 'A': print_one(out, how + kind, width, precision, list.next<double>()); break;
      case 's': {
        const std::string text = string_at(w, lane, list.next<std::uint64_t>());
        print_one(out, how + 's', width, precision, text.c_str());
        break;
      }
      case 'p': print_one(out, "%#*llx", width, -1, static_cast<unsigned long long>(list.next<std::uint64_t>())); break;
      case '%': out += '%'; break;
      default: out += format.substr(first, i + 1 - first);  // no conversion: told as it stands
    }
  }
  return {std::move(out), list.taken};
}

inline void run_vprintf(warp& w, const op& o, lane_mask active) {
  const service& call = service_of(w, o);
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((active >> l) & 1u)) continue;
    if (!argument_defined(w, call, 0, 8, l)) report_undefined(w, l, "the format that it prints");
    const auto [text, taken] = formatted(w, l, string_at(w, l, argument_of<std::uint64_t>(w, call, 0, l)), argument_of<std::uint64_t>(w, call, 1, l));
    const std::size_t room = most_printed - std::min(most_printed, w.launch->printed.size());
    w.launch->printed += text.substr(0, room);
    w.launch->printed_lost += text.size() - std::min(room, text.size());
    const std::int32_t out = taken;
    give_back(w, call, l, &out, 4);
  }
}

// ---- __assertfail ------------------------------------------------------------------

inline void run_assertfail(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  w.launch->stop = true;
  if (!w.launch->seen->first(w.pc, code::trap)) return;
  const service& call = service_of(w, o);
  const int l = std::countr_zero(active);
  w.launch->seen->add(finding_at(*w.launch, w.pc, code::trap,
                                 thread_words(w, l) + " fails the assertion `" + string_at(w, l, argument_of<std::uint64_t>(w, call, 0, l)) + "` (" +
                                     string_at(w, l, argument_of<std::uint64_t>(w, call, 1, l)) + ":" + std::to_string(argument_of<std::uint32_t>(w, call, 2, l)) + ", " +
                                     string_at(w, l, argument_of<std::uint64_t>(w, call, 3, l)) + "): the launch is aborted"));
}

// ---- malloc and free ---------------------------------------------------------------
// Each block is an allocation of its own, so that what lies beyond it, and what
// was freed, is out of bounds.

inline constexpr std::string_view heap_block = "memory of malloc", freed_block = "memory of malloc that was freed";

inline void run_malloc(warp& w, const op& o, lane_mask active) {
  const service& call = service_of(w, o);
  memory& global = *w.launch->global;
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((active >> l) & 1u)) continue;
    if (!argument_defined(w, call, 0, 8, l)) report_undefined(w, l, "the size of memory that it asks for");
    const auto bytes = argument_of<std::uint64_t>(w, call, 0, l);
    std::uint64_t at = 0;
    if (bytes && bytes <= most_heap && w.launch->heap_bytes + bytes <= most_heap && w.launch->heap_blocks < most_blocks) {
      allocation a;
      a.name = heap_block;
      a.bytes = bytes;
      at = global.add(std::move(a), 0);
      w.launch->heap_bytes += bytes;
      ++w.launch->heap_blocks;
    }
    give_back(w, call, l, &at, 8);
  }
}

inline void run_free(warp& w, const op& o, lane_mask active) {
  const service& call = service_of(w, o);
  memory& global = *w.launch->global;
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((active >> l) & 1u)) continue;
    const auto at = argument_of<std::uint64_t>(w, call, 0, l);
    if (!at) continue;
    allocation* block = at < shared_window ? global.owner(at) : nullptr;
    if (!block || block->base != at || block->name != heap_block) {
      if (w.launch->seen->first(w.pc, code::invalid_access))
        w.launch->seen->add(finding_at(*w.launch, w.pc, code::invalid_access,
                                       thread_words(w, l) + " frees " + hex(at) + (block && block->base == at && block->name == freed_block ? ", which is freed already" : ", which malloc did not give")));
      continue;
    }
    w.launch->heap_bytes -= block->bytes;
    block->name = freed_block;
    block->bytes = 0;
  }
}

// ---- the stack of a thread -----------------------------------------------------------
// It grows upwards in the frame, behind the variables. What a function takes is
// given back by stackrestore or when the thread ends.

// d.s[0] size, s[1] where the stack ends; imm: the alignment.
inline void run_alloca(warp& w, const op& o, lane_mask active) {
  const auto* size = w.lanes<std::uint64_t>(o.s[0]);
  auto* top = w.lanes<std::uint64_t>(o.s[1]);
  const auto align = static_cast<std::uint64_t>(o.imm);
  alignas(64) std::uint64_t out[warp_lanes] = {};
  const lane_mask bad = lane_taint<std::uint64_t>(w, o.s[0]) & active;
  if (bad) report_undefined(w, std::countr_zero(bad), "the size of memory that it asks for");
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((active >> l) & 1u)) continue;
    const std::uint64_t at = (top[l] + align - 1) / align * align;
    if (at > w.frame_bytes || w.frame_bytes - at < size[l]) {
      if (w.launch->seen->first(w.pc, code::out_of_bounds))
        w.launch->seen->add(finding_at(*w.launch, w.pc, code::out_of_bounds,
                                       thread_words(w, l) + " asks alloca for " + bytes_words(size[l]) + "; " + bytes_words(w.frame_bytes - std::min<std::uint64_t>(at, w.frame_bytes)) + " of its stack are left"));
      out[l] = at;
      continue;
    }
    out[l] = at;
    top[l] = at + size[l];
  }
  keep(w, o.d[0], out, active);
  clear_taint(w, o.d[0], 8, active);
}
inline void run_stackrestore(warp& w, const op& o, lane_mask active) {
  const auto* to = w.lanes<std::uint64_t>(o.s[0]);
  auto* top = w.lanes<std::uint64_t>(o.s[1]);
  for (int l = 0; l < warp_lanes; ++l)
    if (((active >> l) & 1u) && to[l] <= top[l] && to[l] >= w.launch->code->stack_begins) top[l] = to[l];
}

inline void add_service_rows(instruction_table& table) {
  table["alloca"] = [](decoding& d) {
    if (!d.take("u64") || (d.count() != 2 && d.count() != 3)) return d.refuse("this form");
    const auto align = d.count() == 3 ? d.literal(d.in.operands[2]) : 8;
    if (!align || *align == 0 || *align > 256 || (*align & (*align - 1))) return d.refuse("this alignment");
    d.target(0, 8);
    d.source(1, 8);
    d.stack_top();
    d.o.imm = static_cast<std::int64_t>(*align);
    d.does(&run_alloca);
  };
  table["stacksave"] = [](decoding& d) {
    if (!d.take("u64") || !d.want(1)) return d.refuse("this form");
    d.target(0, 8);
    d.stack_top();
    d.does(&run_mov<std::uint64_t>, &taint_none<8>);
  };
  table["stackrestore"] = [](decoding& d) {
    if (!d.take("u64") || !d.want(1)) return d.refuse("this form");
    d.source(0, 8);
    d.stack_top();
    d.does(&run_stackrestore);
  };
}

// The handler of a function of the device's library and how many parameters it
// has; null for any other name.
struct library_function {
  handler run = nullptr;
  std::size_t parameters = 0;
  std::uint8_t sizes[5] = {};
  std::uint8_t returned = 0;
};
[[nodiscard]] inline library_function library_function_named(std::string_view name) {
  if (name == "vprintf") return {&run_vprintf, 2, {8, 8}, 4};
  if (name == "__assertfail") return {&run_assertfail, 5, {8, 8, 4, 8, 8}, 0};
  if (name == "malloc") return {&run_malloc, 1, {8}, 8};
  if (name == "free") return {&run_free, 1, {8}, 0};
  return {};
}

}  // namespace skillbench::ptx::ops
