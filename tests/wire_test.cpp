#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include <skillbench/wire.hpp>

using namespace skillbench;

namespace {

finding some_finding() {
  finding told;
  told.kind = code::out_of_bounds;
  told.weight = severity::cheats;
  told.what = "a store past the end";
  told.kernel = "_Z1k";
  told.element_type = "half";
  told.test_case = "wide";
  told.tensor = std::string("y\0z", 3);
  told.line = -3;
  told.index = std::int64_t{1} << 40;
  told.count = 7;
  return told;
}

job some_job() {
  job asked;
  buffer each;
  each.name = "x";
  each.use = role::scratch;
  each.type = element::bf16;
  each.elements = std::int64_t{1} << 33;
  each.filled = {pattern::spike, -0.0, 1e300, 12};
  each.seed = ~std::uint64_t{0};
  asked.buffers = {each, buffer{}};
  launch one;
  one.entry = "_Z1k";
  one.grid = {1, 2, 3};
  one.block = {4, 5, 6};
  one.cluster = {2, 1, 4};
  one.shared_bytes = 7;
  one.args = {{kernel_argument::type::real, 8, 0.5, "eps"},
              {kernel_argument::type::tensor_map, 0, 0, "map"}};
  asked.launches = {one};
  tensor_map_request map;
  map.name = "map";
  map.buffer = 1;
  map.extents = {std::int64_t{1} << 32, 2};
  map.strides = {48};
  map.box = {64, 3};
  map.element_strides = {1, 2};
  map.swizzle = 128;
  map.interleave = 16;
  map.nan = true;
  asked.tensor_maps = {map};
  asked.seed = 9;
  asked.most_instructions = 10;
  asked.counters = true;
  return asked;
}

launch_counters some_counters() {
  launch_counters told;
  told.kernel = "_Z1k";
  told.barriers = 1;
  told.global_read_bytes = 2;
  told.global_written_bytes = 3;
  told.of_ptx = true;
  std::uint64_t next = 100;
  for (auto& each : told.total.warp_instructions) each = ++next;
  for (auto& each : told.total.thread_instructions) each = ++next;
  for (auto& each : told.total.tensor_operations) each = ++next;
  each_event(told.total, [&](const char*, auto& each) { each = ++next; });
  told.lines = {{7, told.total}, {9, {}}};
  return told;
}

run_report some_report() {
  run_report told;
  told.findings = {some_finding(), finding{}};
  told.outputs = {{3, std::string(100'000, 'o')}};
  told.counted = {1, 2, 3, 4, 5};
  told.launches = {some_counters(), {}};
  told.cpu_seconds = 0.25;
  return told;
}

image some_image() {
  image made;
  made.ok = true;
  made.ptx = "ptx";
  made.log = "log";
  made.log_cut = true;
  made.kernels = {{"k<float>", "_Z1k", 32, {}, 0, 8, 1024}};
  made.cpu_seconds = 1.5;
  return made;
}

// The bytes of a value say the same again after a round trip. Every field
// takes part in the bytes, so none is forgotten on one side only.
template <typename T>
T again(const T& value) {
  const std::string bytes = wire::encode(value);
  auto back = wire::decode<T>(bytes);
  REQUIRE_MESSAGE(back.ok(), back.error().what);
  CHECK(wire::encode(back.value()) == bytes);
  return std::move(back).value();
}

// No cut, no flipped byte and no byte too many crashes; a cut and a byte too
// many are always refused.
template <typename T>
void withstands(const T& value) {
  const std::string bytes = wire::encode(value);
  for (std::size_t size = 0; size < bytes.size();
       size += bytes.size() > 4096 ? 997 : 1)
    CHECK_FALSE(wire::decode<T>(bytes.substr(0, size)).ok());
  const auto longer = wire::decode<T>(bytes + "x");
  REQUIRE_FALSE(longer.ok());
  CHECK(longer.error().why == reason::child_protocol);
  for (std::size_t at = 0; at < bytes.size() && at < 4096; ++at)
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bad = bytes;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      (void)wire::decode<T>(bad).ok();
    }
}

// A stream that holds bytes and ends.
struct stream {
  std::string bytes;
  std::size_t at = 0, longest = 0;
  result<done> operator()(char* into, std::size_t size) {
    longest = std::max(longest, size);
    if (bytes.size() - at < size) return fault{reason::child_died, "the end"};
    std::memcpy(into, bytes.data() + at, size);
    at += size;
    return done{};
  }
};

std::string framed(wire::message kind, const std::string& payload) {
  std::string bytes;
  const auto sent = wire::send_frame(
      kind, payload, [&](std::string_view part) -> result<done> {
        bytes += part;
        return done{};
      });
  REQUIRE(sent.ok());
  return bytes;
}

reason refused(const std::string& bytes, std::uint64_t most = 1 << 20) {
  stream from{bytes};
  const auto got = wire::receive_frame(from, most);
  REQUIRE_FALSE(got.ok());
  return got.error().why;
}

}  // namespace

TEST_CASE("wire: every field of a finding comes back") {
  const finding back = again(some_finding());
  CHECK(back.kind == code::out_of_bounds);
  CHECK(back.weight == severity::cheats);
  CHECK(back.what == "a store past the end");
  CHECK(back.kernel == "_Z1k");
  CHECK(back.element_type == "half");
  CHECK(back.test_case == "wide");
  CHECK(back.tensor == std::string("y\0z", 3));
  CHECK(back.line == -3);
  CHECK_FALSE(back.ptx_line.has_value());
  CHECK(back.index == std::int64_t{1} << 40);
  CHECK(back.count == 7);
}

TEST_CASE("wire: every field of a job comes back") {
  const job back = again(some_job());
  CHECK(back.counters);
  REQUIRE(back.buffers.size() == 2);
  const buffer& each = back.buffers[0];
  CHECK(each.name == "x");
  CHECK(each.use == role::scratch);
  CHECK(each.type == element::bf16);
  CHECK(each.elements == std::int64_t{1} << 33);
  CHECK(each.filled.kind == pattern::spike);
  CHECK(std::signbit(each.filled.scale));
  CHECK(each.filled.offset == 1e300);
  CHECK(each.filled.row == 12);
  CHECK(each.seed == ~std::uint64_t{0});
  REQUIRE(back.launches.size() == 1);
  const launch& one = back.launches[0];
  CHECK(one.entry == "_Z1k");
  CHECK(one.grid == extent{1, 2, 3});
  CHECK(one.block == extent{4, 5, 6});
  CHECK(one.cluster == extent{2, 1, 4});
  CHECK(one.shared_bytes == 7);
  REQUIRE(one.args.size() == 2);
  CHECK(one.args[0].kind == kernel_argument::type::real);
  CHECK(one.args[0].value == 8);
  CHECK(one.args[0].real == 0.5);
  CHECK(one.args[0].name == "eps");
  CHECK(one.args[1].kind == kernel_argument::type::tensor_map);
  REQUIRE(back.tensor_maps.size() == 1);
  const tensor_map_request& map = back.tensor_maps[0];
  CHECK(map.name == "map");
  CHECK(map.buffer == 1);
  CHECK(map.extents == std::vector<std::int64_t>{std::int64_t{1} << 32, 2});
  CHECK(map.strides == std::vector<std::int64_t>{48});
  CHECK(map.box == std::vector<std::int64_t>{64, 3});
  CHECK(map.element_strides == std::vector<std::int64_t>{1, 2});
  CHECK(map.swizzle == 128);
  CHECK(map.interleave == 16);
  CHECK(map.nan);
  CHECK(back.seed == 9);
  CHECK(back.most_instructions == 10);
}

TEST_CASE("wire: every field of a report comes back") {
  const run_report back = again(some_report());
  REQUIRE(back.launches.size() == 2);
  CHECK(back.launches[0] == some_counters());
  CHECK(back.launches[1] == launch_counters{});
  REQUIRE(back.findings.size() == 2);
  CHECK(back.findings[0].what == some_finding().what);
  REQUIRE(back.outputs.size() == 1);
  CHECK(back.outputs[0].buffer == 3);
  CHECK(back.outputs[0].bytes == std::string(100'000, 'o'));
  CHECK(back.counted.warp_instructions == 1);
  CHECK(back.counted.thread_instructions == 2);
  CHECK(back.counted.global_load_sectors == 3);
  CHECK(back.counted.global_store_sectors == 4);
  CHECK(back.counted.barriers == 5);
  CHECK(back.cpu_seconds == 0.25);
}

TEST_CASE("wire: every field of a timing comes back") {
  timing_request asked;
  asked.candidate.ptx = "p";
  asked.candidate.sets.resize(2);
  asked.candidate.sets[1].seed = 5;
  asked.candidate.cubin = "c";
  asked.baseline.ptx = "b";
  asked.afterwards.resize(1);
  asked.afterwards[0].seed = 6;
  asked.cold = false;
  asked.by = calls_by::graph;
  asked.limits = {3, 4, 0.25, 1.5};
  asked.sustained_seconds = 2.5;
  asked.metrics = {"m"};
  asked.vendor = vendor_graph{"w", {{1, {{2, 3, {4, 5}}}}}, {{6, "x", 7, 8.5, true}}};
  const std::string request = wire::encode(asked);
  const auto got = wire::decode<timing_request>(request);
  REQUIRE(got);
  CHECK(wire::encode(got.value()) == request);
  CHECK(got.value().candidate.sets[1].seed == 5);
  CHECK(got.value().candidate.cubin == "c");
  CHECK(got.value().afterwards.at(0).seed == 6);
  CHECK(got.value().vendor == asked.vendor);
  CHECK(got.value().limits.noise == 0.25);
  CHECK(got.value().by == calls_by::graph);
  CHECK(got.value().metrics == asked.metrics);

  timing_report told;
  told.findings.resize(1);
  told.told.test_case = "c";
  told.told.element_type = "half";
  told.told.timer = "events";
  told.told.why_not = "w";
  told.told.baseline = "b";
  told.told.device = "d";
  told.told.stopped = "s";
  told.told.cold = false;
  told.told.fake = true;
  timed_sample call;
  call.of_baseline = true;
  call.round = 1;
  call.contents = 2;
  call.nanoseconds = 3;
  call.events = 4;
  call.records = 5;
  call.sm_mhz = 6;
  call.reasons = 7;
  told.told.samples = {call, {}};
  told.told.sustained = 8;
  told.told.sustained_mhz = 9;
  told.told.disagreements = 10;
  told.told.verified_rows = 11;
  told.told.compared = 22;
  told.told.code = "cubin";
  told.told.calls = 23;
  told.told.not_compared = "nc";
  told.told.floor = 12;
  told.told.bytes = 13;
  told.told.operations = 14;
  told.told.peak_bytes = 15;
  told.told.peak_operations = 16;
  told.told.metrics = {{"m", 17}};
  told.told.no_metrics = "n";
  told.told.resident = "r";
  told.told.vendor = vendor_timing{"cuDNN", "v", "records", "s", {call}, 24, 25, 26};
  told.outputs.resize(1);
  told.outputs[0] = {1, 2, {{1, "bytes", 0}}};
  told.not_kept = 18;
  told.afterwards.resize(1);
  told.afterwards[0] = {3, 1, {{1, "more", 0}}};
  told.vendor = {{2, 1, {{1, "theirs", 0}}}};
  told.vendor_not_kept = 27;
  told.rates = {19, 20, 21};
  const auto answer = wire::decode<timing_report>(wire::encode(told));
  REQUIRE(answer);
  CHECK(answer.value().told == told.told);
  CHECK(answer.value().outputs[0].outputs[0].bytes == "bytes");
  CHECK(answer.value().outputs[0].calls == 2);
  CHECK(answer.value().not_kept == 18);
  CHECK(answer.value().afterwards.at(0).outputs[0].bytes == "more");
  CHECK(answer.value().vendor.at(0).outputs[0].bytes == "theirs");
  CHECK(answer.value().vendor_not_kept == 27);
  CHECK(answer.value().rates.cache_bytes == 21);
}

TEST_CASE("wire: every field of an image and of its request comes back") {
  const image back = again(some_image());
  CHECK(back.ok);
  CHECK(back.ptx == "ptx");
  CHECK(back.log == "log");
  CHECK(back.log_cut);
  CHECK(back.cpu_seconds == 1.5);
  REQUIRE(back.kernels.size() == 1);
  CHECK(back.kernels[0].entry == "k<float>");
  CHECK(back.kernels[0].lowered == "_Z1k");
  CHECK(back.kernels[0].registers == 32);
  CHECK_FALSE(back.kernels[0].spill_stores.has_value());
  CHECK(back.kernels[0].spill_loads == 0);
  CHECK(back.kernels[0].stack_bytes == 8);
  CHECK(back.kernels[0].static_shared == 1024);
  const compile_request asked =
      again(compile_request{"source", {"a", "b"}, "sm_80", false});
  CHECK(asked.source == "source");
  CHECK(asked.entries == std::vector<std::string>{"a", "b"});
  CHECK(asked.target == "sm_80");
  CHECK_FALSE(asked.line_info);
}

TEST_CASE("wire: a fault and a NaN come back as they were") {
  const auto back = again(wire::refusal{{reason::too_slow, "why"}});
  CHECK(back.held.why == reason::too_slow);
  CHECK(back.held.what == "why");
  run_report odd;
  odd.cpu_seconds = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(again(odd).cpu_seconds));
}

TEST_CASE("wire: hostile bytes are refused and never believed") {
  withstands(some_finding());
  withstands(some_job());
  withstands(some_report());
  withstands(some_image());
  withstands(compile_request{"source", {"a", "b"}, "sm_90a", true});
  withstands(wire::refusal{{reason::io, "what"}});
}

TEST_CASE("wire: a number that names no value of its kind is refused") {
  const auto refuses = [](auto value, auto spoil) {
    CHECK(wire::decode<decltype(value)>(wire::encode(value)).ok());
    spoil(value);
    CHECK_FALSE(wire::decode<decltype(value)>(wire::encode(value)).ok());
  };
  refuses(buffer{}, [](buffer& b) { b.use = static_cast<role>(4); });
  refuses(buffer{}, [](buffer& b) { b.type = static_cast<element>(3); });
  refuses(fill{}, [](fill& f) { f.kind = static_cast<pattern>(200); });
  refuses(finding{}, [](finding& f) { f.kind = static_cast<code>(255); });
  refuses(finding{}, [](finding& f) { f.weight = static_cast<severity>(3); });
  refuses(kernel_argument{}, [](kernel_argument& a) {
    a.kind = static_cast<kernel_argument::type>(5);
  });
  refuses(wire::refusal{}, [](wire::refusal& r) {
    r.held.why = static_cast<reason>(0);
  });
  std::string flag = wire::encode(compile_request{});
  flag.back() = 2;
  CHECK_FALSE(wire::decode<compile_request>(flag).ok());
}

TEST_CASE("wire: a list claims no more than there is") {
  // findings, the first member, is a count and then nothing
  std::string bytes(8, '\0');
  for (const std::uint64_t count :
       {std::uint64_t{1}, std::uint64_t{1} << 20, ~std::uint64_t{0}}) {
    std::memcpy(bytes.data(), &count, 8);
    CHECK_FALSE(wire::decode<run_report>(bytes).ok());
    CHECK_FALSE(wire::decode<wire::text>(bytes).ok());
  }
  compile_request many;
  many.entries.resize(wire::most_items);
  CHECK(wire::decode<compile_request>(wire::encode(many)).ok());
  many.entries.resize(wire::most_items + 1);
  CHECK_FALSE(wire::decode<compile_request>(wire::encode(many)).ok());
}

TEST_CASE("wire: a frame carries its payload") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1},
                                 std::size_t{31}, std::size_t{32},
                                 std::size_t{33}, std::size_t{5} << 20}) {
    std::string payload(size, 'p');
    if (size > 2) payload[size / 2] = '\0';
    stream from{framed(wire::message::run, payload)};
    const auto got = wire::receive_frame(from, wire::most_frame_bytes);
    REQUIRE(got.ok());
    CHECK(got.value().kind == wire::message::run);
    CHECK(got.value().payload() == payload);
    CHECK(from.at == from.bytes.size());
  }
}

TEST_CASE("wire: a frame that is not whole or not right is refused") {
  const std::string good = framed(wire::message::run, "some payload");
  CHECK(refused("") == reason::child_died);
  for (std::size_t size = 1; size < good.size(); ++size)
    CHECK(refused(good.substr(0, size)) == reason::child_died);
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const reason why = refused(bad);
      CHECK((why == reason::child_protocol || why == reason::child_died));
    }
  CHECK(refused(std::string(64, 'g')) == reason::child_protocol);
}

TEST_CASE("wire: swapped parts of a payload are noticed") {
  std::string payload(96, 'a');
  payload.replace(32, 32, std::string(32, 'b'));
  std::string other(96, 'a');
  other.replace(64, 32, std::string(32, 'b'));
  CHECK(wire::checksum(payload, 4) != wire::checksum(other, 4));
  CHECK(wire::checksum("ab", 4) != wire::checksum("ba", 4));
  CHECK(wire::checksum(std::string(1, '\0'), 4) !=
        wire::checksum(std::string(2, '\0'), 4));
  CHECK(wire::checksum("ab", 4) != wire::checksum("ab", 2));
}

TEST_CASE("wire: a claimed length takes no memory before bytes arrive") {
  wire::header top = wire::header_of(wire::message::run, "");
  top.length = wire::most_frame_bytes;
  std::string bytes(sizeof top, '\0');
  std::memcpy(bytes.data(), &top, sizeof top);
  stream from{bytes + "a little"};
  const auto got = wire::receive_frame(from, wire::most_frame_bytes);
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().why == reason::child_died);
  CHECK(from.longest <= std::size_t{1} << 20);

  top.length = wire::most_frame_bytes + 1;
  std::memcpy(bytes.data(), &top, sizeof top);
  CHECK(refused(bytes, ~std::uint64_t{0}) == reason::child_protocol);
}

TEST_CASE("wire: no more is taken than the receiver expects") {
  const std::string bytes = framed(wire::message::run, std::string(100, 'x'));
  CHECK(refused(bytes, 99) == reason::child_protocol);
  stream from{bytes};
  CHECK(wire::receive_frame(from, 100).ok());
}
