#pragma once
// wire.hpp: the structs of device.hpp as bytes, and bytes in checked frames.
//
// Layer   4, since it names the structs of device.hpp. No file is opened here:
//         the caller gives functions that read and write.
// Shapes  A frame is a header of 32 bytes (magic, kind, length, checksum) and
//         its payload. Both ends are the same build on the same machine: plain
//         little-endian values, lengths as 64 bits.
// Errors  reason::child_protocol for bytes that make no sense. A length is
//         believed only as far as bytes have arrived, so it costs no memory to
//         claim a large one; a count is held against the bytes that are left.
// Trust   The checksum finds accidents. It keeps no secret and stops no forger.

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <skillbench/counters.hpp>
#include <skillbench/device.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/fill.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/units.hpp>

namespace skillbench::wire {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::uint64_t most_frame_bytes = std::uint64_t{2} << 30;
inline constexpr std::uint64_t most_items = 65536;  // of a list of structs

enum class message : std::uint32_t {
  greeting = 1,  // answered with a `greeting_text`
  compile = 2,   // compile_request -> image
  load = 3,      // PTX -> nothing
  run = 4,       // job -> run_report
  quit = 5,      // not answered
  trouble = 6,   // an answer: a fault
  time = 7,      // timing_request -> timing_report
  run_some = 8,  // job_list -> a `run` for each that ran, and a run_end
  load_image = 9,  // code -> text: what was loaded
};

// The device's words, how its process is shut in, and the build that both ends
// must share.
struct greeting_text {
  std::string build, device, target, isolation;
};

// ---- which numbers an enumeration has ---------------------------------------

[[nodiscard]] constexpr bool known(role value) noexcept {
  return value <= role::both;
}
[[nodiscard]] constexpr bool known(kernel_argument::type value) noexcept {
  return value <= kernel_argument::type::tensor_map;
}
[[nodiscard]] constexpr bool known(calls_by value) noexcept {
  return value <= calls_by::graph;
}
// Every other one can tell its values' names.
template <typename E>
[[nodiscard]] constexpr bool known(E value) noexcept {
  return name(value) != "unknown";
}

// ---- the fields of each struct, once for both directions --------------------

template <typename T, typename U>
concept like = std::same_as<std::remove_const_t<T>, U>;

template <typename A, like<fault> T>
void fields(A& with, T& it) { with(it.why, it.what); }

template <typename A, like<greeting_text> T>
void fields(A& with, T& it) { with(it.build, it.device, it.target, it.isolation); }

template <typename A, like<fill> T>
void fields(A& with, T& it) { with(it.kind, it.scale, it.offset, it.row); }

template <typename A, like<extent> T>
void fields(A& with, T& it) { with(it.x, it.y, it.z); }

template <typename A, like<finding> T>
void fields(A& with, T& it) {
  with(it.kind, it.weight, it.what, it.kernel, it.element_type, it.test_case,
       it.tensor, it.line, it.ptx_line, it.index, it.count);
}

template <typename A, like<compile_request> T>
void fields(A& with, T& it) {
  with(it.source, it.entries, it.target, it.line_info, it.cubin);
}

template <typename A, like<kernel_image> T>
void fields(A& with, T& it) {
  with(it.entry, it.lowered, it.registers, it.spill_stores, it.spill_loads,
       it.stack_bytes, it.static_shared);
}

template <typename A, like<image> T>
void fields(A& with, T& it) {
  with(it.ok, it.ptx, it.log, it.log_cut, it.gave_up, it.cubin, it.kernels,
       it.cpu_seconds);
}

template <typename A, like<buffer> T>
void fields(A& with, T& it) {
  with(it.name, it.use, it.type, it.elements, it.filled, it.seed, it.element_bytes, it.contents);
}

template <typename A, like<kernel_argument> T>
void fields(A& with, T& it) { with(it.kind, it.value, it.real, it.name, it.bytes); }

template <typename A, like<tensor_map_request> T>
void fields(A& with, T& it) {
  with(it.name, it.buffer, it.extents, it.box, it.element_strides, it.strides,
       it.swizzle, it.interleave, it.nan);
}

template <typename A, like<launch> T>
void fields(A& with, T& it) {
  with(it.entry, it.grid, it.block, it.cluster, it.shared_bytes, it.args);
}

template <typename A, like<job> T>
void fields(A& with, T& it) {
  with(it.buffers, it.launches, it.tensor_maps, it.seed, it.most_instructions,
       it.ctas, it.schedule, it.counters, it.threads, it.only_other_bits);
}

template <typename A, like<counters> T>
void fields(A& with, T& it) {
  with(it.warp_instructions, it.thread_instructions, it.global_load_sectors,
       it.global_store_sectors, it.barriers);
}

template <typename A, like<event_counts> T>
void fields(A& with, T& it) {
  with(it.warp_instructions, it.thread_instructions, it.tensor_operations);
  each_event(it, [&](const char*, auto& number) { with(number); });
}

template <typename A, like<line_counts> T>
void fields(A& with, T& it) { with(it.line, it.of); }

template <typename A, like<launch_counters> T>
void fields(A& with, T& it) {
  with(it.kernel, it.total, it.barriers, it.global_read_bytes,
       it.global_written_bytes, it.of_ptx, it.lines);
}

template <typename A, like<output_bytes> T>
void fields(A& with, T& it) { with(it.buffer, it.bytes, it.first); }

template <typename A, like<run_report> T>
void fields(A& with, T& it) {
  with(it.findings, it.outputs, it.counted, it.launches, it.cpu_seconds, it.printed, it.printed_lost);
}

template <typename A, like<timed_sample> T>
void fields(A& with, T& it) {
  with(it.of_baseline, it.round, it.contents, it.nanoseconds, it.events,
       it.records, it.sm_mhz, it.reasons);
}

template <typename A, like<stopping> T>
void fields(A& with, T& it) { with(it.fewest, it.most, it.noise, it.seconds); }

template <typename A, like<metric> T>
void fields(A& with, T& it) { with(it.name, it.value); }

template <typename A, like<vendor_timing> T>
void fields(A& with, T& it) {
  with(it.name, it.why_not, it.timer, it.stopped, it.samples, it.disagreements,
       it.verified_rows, it.compared);
}

template <typename A, like<timed_case> T>
void fields(A& with, T& it) {
  with(it.test_case, it.element_type, it.timer, it.why_not, it.baseline,
       it.device, it.stopped, it.cold, it.fake, it.samples, it.sustained,
       it.sustained_mhz, it.disagreements, it.verified_rows, it.compared,
       it.not_compared, it.code, it.calls, it.floor, it.bytes, it.operations, it.peak_bytes, it.peak_operations, it.metrics,
       it.no_metrics, it.resident, it.vendor);
}

template <typename A, like<timed_kernel> T>
void fields(A& with, T& it) { with(it.ptx, it.cubin, it.sets); }

template <typename A, like<vendor_attribute> T>
void fields(A& with, T& it) { with(it.name, it.type, it.values); }

template <typename A, like<vendor_descriptor> T>
void fields(A& with, T& it) { with(it.kind, it.attributes); }

template <typename A, like<vendor_tensor> T>
void fields(A& with, T& it) {
  with(it.id, it.name, it.first, it.number, it.integer);
}

template <typename A, like<vendor_graph> T>
void fields(A& with, T& it) { with(it.what, it.descriptors, it.tensors); }

template <typename A, like<timing_request> T>
void fields(A& with, T& it) {
  with(it.candidate, it.baseline, it.afterwards, it.vendor, it.cold, it.by,
       it.limits, it.sustained_seconds, it.metrics);
}

template <typename A, like<timed_output> T>
void fields(A& with, T& it) { with(it.set, it.calls, it.outputs); }

template <typename A, like<machine_rates> T>
void fields(A& with, T& it) {
  with(it.bytes_per_second, it.operations_per_second, it.cache_bytes);
}

template <typename A, like<timing_report> T>
void fields(A& with, T& it) {
  with(it.findings, it.told, it.outputs, it.not_kept, it.afterwards, it.vendor,
       it.vendor_not_kept, it.rates);
}

struct job_list {
  std::vector<job> jobs;
};
template <typename A, like<job_list> T>
void fields(A& with, T& it) { with(it.jobs); }

// `last`: why the one after those that were told of was not run to its end.
struct run_end {
  std::optional<fault> last;
};
template <typename A, like<run_end> T>
void fields(A& with, T& it) { with(it.last); }

// A text on its own, and nothing at all.
struct text {
  std::string held;
};
template <typename A, like<text> T>
void fields(A& with, T& it) { with(it.held); }

// What a GPU loads.
struct code {
  std::string ptx, cubin;
};
template <typename A, like<code> T>
void fields(A& with, T& it) { with(it.ptx, it.cubin); }

template <typename A, like<done> T>
void fields(A&, T&) {}

// A fault as an answer: result<fault> would be two faults in one type.
struct refusal {
  fault held;
};
template <typename A, like<refusal> T>
void fields(A& with, T& it) { with(it.held); }

// ---- values to bytes --------------------------------------------------------

// Without memory it only counts: outputs are large, and a string that grows
// would copy them again.
class writer {
 public:
  template <typename... T>
  void operator()(const T&... values) { (put(values), ...); }

  [[nodiscard]] std::string take() && { return std::move(bytes_); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void keep(std::size_t bytes) {
    bytes_.reserve(bytes);
    keeps_ = true;
  }

 private:
  void raw(const void* from, std::size_t size) {
    size_ += size;
    if (keeps_) bytes_.append(static_cast<const char*>(from), size);
  }
  void put(bool value) {
    const char byte = value ? 1 : 0;
    raw(&byte, 1);
  }
  template <typename T>
    requires((std::is_arithmetic_v<T> && !std::same_as<T, bool>) ||
             std::is_enum_v<T>)
  void put(T value) { raw(&value, sizeof value); }
  void put(const std::string& value) {
    put(static_cast<std::uint64_t>(value.size()));
    raw(value.data(), value.size());
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <typename T>
  void put(const std::vector<T>& values) {
    put(static_cast<std::uint64_t>(values.size()));
    for (const T& value : values) put(value);
  }
  template <typename T, std::size_t N>
  void put(const std::array<T, N>& values) {
    for (const T& value : values) put(value);
  }
  template <typename T>
    requires std::is_class_v<T>
  void put(const T& value) { fields(*this, value); }

  std::string bytes_;
  std::size_t size_ = 0;
  bool keeps_ = false;
};

template <typename T>
[[nodiscard]] std::string encode(const T& value) {
  writer count, to;
  count(value);
  to.keep(count.size());
  to(value);
  return std::move(to).take();
}

// ---- bytes to values --------------------------------------------------------

// After the first thing that makes no sense it reads nothing more.
class reader {
 public:
  explicit reader(std::string_view bytes) : left_(bytes) {}

  template <typename... T>
  void operator()(T&... values) { (get(values), ...); }

  [[nodiscard]] bool complete() const noexcept {
    return trouble_ == nullptr && left_.empty();
  }
  [[nodiscard]] const char* trouble() const noexcept {
    return trouble_ ? trouble_ : left_.empty() ? "" : "bytes are left over";
  }

 private:
  void fail(const char* why) {
    if (!trouble_) trouble_ = why;
    left_ = {};
  }
  [[nodiscard]] bool raw(void* into, std::size_t size) {
    if (trouble_ || left_.size() < size) {
      fail("it ends too early");
      return false;
    }
    std::memcpy(into, left_.data(), size);
    left_.remove_prefix(size);
    return true;
  }
  void get(bool& value) {
    unsigned char byte = 0;
    if (!raw(&byte, 1)) return;
    if (byte > 1) return fail("a flag is neither yes nor no");
    value = byte == 1;
  }
  template <typename T>
    requires(std::is_arithmetic_v<T> && !std::same_as<T, bool>)
  void get(T& value) { (void)raw(&value, sizeof value); }
  template <typename T>
    requires std::is_enum_v<T>
  void get(T& value) {
    T found{};
    if (!raw(&found, sizeof found)) return;
    if (!known(found)) return fail("a number names no value of its kind");
    value = found;
  }
  [[nodiscard]] bool count(std::uint64_t& of, std::uint64_t most) {
    get(of);
    if (trouble_) return false;
    if (of <= most) return true;
    fail("a length is longer than what follows");
    return false;
  }
  void get(std::string& value) {
    std::uint64_t size = 0;
    if (!count(size, left_.size() < 8 ? 0 : left_.size() - 8)) return;
    value.assign(left_.data(), static_cast<std::size_t>(size));
    left_.remove_prefix(static_cast<std::size_t>(size));
  }
  template <typename T>
  void get(std::optional<T>& value) {
    bool there = false;
    get(there);
    value.reset();
    if (there && !trouble_) get(value.emplace());
  }
  // Every item takes a byte or more, and the list grows only as items are
  // read, so no claim about a count takes memory.
  template <typename T>
  void get(std::vector<T>& values) {
    std::uint64_t size = 0;
    values.clear();
    if (!count(size, std::min<std::uint64_t>(left_.size(), most_items)))
      return;
    for (; size > 0 && !trouble_; --size) get(values.emplace_back());
  }
  template <typename T, std::size_t N>
  void get(std::array<T, N>& values) {
    for (T& value : values) get(value);
  }
  template <typename T>
    requires std::is_class_v<T>
  void get(T& value) { fields(*this, value); }

  std::string_view left_;
  const char* trouble_ = nullptr;
};

template <typename T>
[[nodiscard]] result<T> decode(std::string_view bytes) {
  T value{};
  reader from(bytes);
  from(value);
  if (from.complete()) return value;
  return fault{reason::child_protocol,
               std::string("a message cannot be read: ") + from.trouble()};
}

// ---- frames -----------------------------------------------------------------

struct header {
  std::uint64_t magic = 0;
  std::uint32_t kind = 0;
  std::uint32_t reserved = 0;
  std::uint64_t length = 0;
  std::uint64_t checksum = 0;
};
static_assert(sizeof(header) == 32 &&
              std::has_unique_object_representations_v<header>);

inline constexpr std::uint64_t magic = 0x31657269772e6273;  // "sb.wire1"

// Four lanes of multiply and rotate, eight bytes at a time: several GB/s, which
// a byte-wise sum is not.
[[nodiscard]] inline std::uint64_t checksum(std::string_view bytes,
                                            std::uint64_t start) noexcept {
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15;
  std::uint64_t lane[4] = {start ^ odd, start + odd, start * odd + 1, ~start};
  const auto mix = [](std::uint64_t with, std::uint64_t word) {
    return std::rotl((with ^ word) * 0x9e3779b97f4a7c15, 29) + word;
  };
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 32; at += 32, left -= 32) {
    std::uint64_t word[4];
    std::memcpy(word, at, 32);
    for (int i = 0; i < 4; ++i) lane[i] = mix(lane[i], word[i]);
  }
  std::uint64_t word[4] = {};
  if (left > 0) std::memcpy(word, at, left);
  std::uint64_t sum = bytes.size();
  for (int i = 0; i < 4; ++i) sum = mix(sum, mix(lane[i], word[i]));
  sum ^= sum >> 31;
  return sum * odd;
}

[[nodiscard]] inline header header_of(message kind, std::string_view payload) {
  header made;
  made.magic = magic;
  made.kind = static_cast<std::uint32_t>(kind);
  made.length = payload.size();
  made.checksum = checksum(payload, made.kind);
  return made;
}

struct frame {
  message kind = message::greeting;
  std::unique_ptr<char[]> held;
  std::size_t size = 0;
  [[nodiscard]] std::string_view payload() const { return {held.get(), size}; }
};

// `write(std::string_view) -> result<done>` sends all of it. The header goes
// with the start of the payload: the other end sleeps until something comes, and
// to be woken costs more than the copy.
template <typename Write>
[[nodiscard]] result<done> send_frame(message kind, std::string_view payload,
                                      Write&& write) {
  if (payload.size() > most_frame_bytes)
    return fault{reason::too_large,
                 "a message of " + std::to_string(payload.size()) +
                     " bytes is longer than a frame may be"};
  const header top = header_of(kind, payload);
  const std::size_t some = std::min<std::size_t>(payload.size(), 65536);
  std::string start(sizeof top + some, '\0');
  std::memcpy(start.data(), &top, sizeof top);
  payload.copy(start.data() + sizeof top, some);
  payload.remove_prefix(some);
  auto sent = write(std::string_view(start));
  if (sent && !payload.empty()) sent = write(payload);
  return sent;
}

// `read(char*, std::size_t) -> result<done>` fills all of it. `most` is the
// longest payload that the receiver has reason to expect.
template <typename Read>
[[nodiscard]] result<frame> receive_frame(Read&& read, std::uint64_t most) {
  char raw[sizeof(header)] = {};
  if (auto got = read(raw, sizeof raw); !got) return got.error();
  header top;
  std::memcpy(&top, raw, sizeof top);
  if (top.magic != magic || top.reserved != 0)
    return fault{reason::child_protocol, "a message does not start as one"};
  if (top.kind < static_cast<std::uint32_t>(message::greeting) ||
      top.kind > static_cast<std::uint32_t>(message::load_image))
    return fault{reason::child_protocol, "a message is of no known kind"};
  if (top.length > std::min(most, most_frame_bytes))
    return fault{reason::child_protocol,
                 "a message claims " + std::to_string(top.length) +
                     " bytes, more than can be meant"};

  frame made;
  made.kind = static_cast<message>(top.kind);
  const auto length = static_cast<std::size_t>(top.length);
  for (std::size_t room = 1 << 20; made.size < length; room *= 2) {
    room = std::min(room, length);
    auto more = std::make_unique_for_overwrite<char[]>(room);
    std::copy_n(made.held.get(), made.size, more.get());
    made.held = std::move(more);
    if (auto got = read(made.held.get() + made.size, room - made.size); !got)
      return got.error();
    made.size = room;
  }
  if (checksum(made.payload(), top.kind) != top.checksum)
    return fault{reason::child_protocol,
                 "a message does not match its checksum"};
  return made;
}

}  // namespace skillbench::wire
