#include <doctest/doctest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <skillbench/worker.hpp>

using namespace skillbench;

namespace {

class small_device final : public device {
 public:
  [[nodiscard]] std::string name() const override { return "small"; }
  [[nodiscard]] std::string target() const override { return "sm_90a"; }
  [[nodiscard]] result<image> compile(const compile_request& asked) override {
    if (asked.source == "fault") return fault{reason::library_failed, "said"};
    if (asked.source == "memory") throw std::bad_alloc();
    if (asked.source == "throw") throw std::runtime_error("thrown here");
    image made;
    made.log = "log of " + asked.source;
    return made;
  }
  [[nodiscard]] result<done> load(const std::string& ptx) override {
    loaded = ptx;
    return done{};
  }
  [[nodiscard]] result<run_report> run(const job& asked) override {
    run_report told;
    if (asked.seed == 900) return fault{reason::too_slow, "slow"};
    if (asked.seed == 901) told.findings.emplace_back();  // one that fails
    if (asked.seed == 902) told.counted.warp_instructions = 100'000'000;
    if (asked.seed == 903) throw std::bad_alloc();
    told.counted.barriers = asked.seed;
    for (const buffer& each : asked.buffers)  // as an input would be filled
      told.outputs.push_back({static_cast<std::int64_t>(told.outputs.size()),
                              each.name + std::to_string(each.seed), 0});
    return told;
  }
  std::string loaded;
};

// The device served in a thread, and the other ends of its channels.
struct served {
  small_device on;
  int ends[2][2];
  int code = -1;
  std::thread thread;

  served() {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends[0]) == 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends[1]) == 0);
    thread = std::thread([this] {
      code = serve(on, ends[0][1], ends[1][1]);
      ::close(ends[0][1]);
      ::close(ends[1][1]);
    });
  }
  void close_requests() {
    if (ends[0][0] >= 0) ::close(std::exchange(ends[0][0], -1));
  }
  int end() {
    close_requests();
    if (thread.joinable()) thread.join();
    return code;
  }
  ~served() {
    (void)end();
    ::close(ends[1][0]);
  }

  void send(std::string_view bytes) const {
    REQUIRE(worker_channel::write_all(ends[0][0], bytes).ok());
  }
  void ask(wire::message kind, const std::string& payload) const {
    REQUIRE(wire::send_frame(kind, payload, [&](std::string_view part) {
              return worker_channel::write_all(ends[0][0], part);
            }).ok());
  }
  [[nodiscard]] wire::frame answer() const {
    bool began = false;
    auto got = wire::receive_frame(
        [&](char* into, std::size_t size) {
          return worker_channel::read_all(ends[1][0], into, size, began);
        },
        wire::most_frame_bytes);
    REQUIRE_MESSAGE(got.ok(), got.error().what);
    return std::move(got).value();
  }
  [[nodiscard]] fault trouble() const {
    const wire::frame got = answer();
    REQUIRE(got.kind == wire::message::trouble);
    const auto told = wire::decode<wire::refusal>(got.payload());
    REQUIRE(told.ok());
    return told.value().held;
  }
};

std::string source(const std::string& text) {
  return wire::encode(compile_request{text, {"k"}, "sm_90a", true});
}

}  // namespace

TEST_CASE("worker: it says which device it serves") {
  served one;
  one.ask(wire::message::greeting, "");
  const auto told = wire::decode<wire::greeting_text>(one.answer().payload());
  REQUIRE(told.ok());
  CHECK(told.value().build == version);
  CHECK(told.value().device == "small");
  CHECK(told.value().target == "sm_90a");
}

TEST_CASE("worker: compile, load and run reach the device, in order") {
  served one;
  one.ask(wire::message::compile, source("text"));
  const auto made = wire::decode<image>(one.answer().payload());
  REQUIRE(made.ok());
  CHECK(made.value().log == "log of text");

  one.ask(wire::message::load, wire::encode(wire::text{"some PTX"}));
  const wire::frame loaded = one.answer();
  CHECK(loaded.kind == wire::message::load);
  CHECK(loaded.payload().empty());
  CHECK(one.on.loaded == "some PTX");

  job asked;
  asked.seed = 11;
  one.ask(wire::message::run, wire::encode(asked));
  const auto told = wire::decode<run_report>(one.answer().payload());
  REQUIRE(told.ok());
  CHECK(told.value().counted.barriers == 11);
}

TEST_CASE("worker: outputs with the bits of the last full run may be left out") {
  served one;
  const auto outputs_of = [&](std::vector<std::uint64_t> seeds, bool other) {
    job asked;
    asked.only_other_bits = other;
    for (const std::uint64_t seed : seeds) {
      asked.buffers.emplace_back().name = "y";
      asked.buffers.back().seed = seed;
    }
    one.ask(wire::message::run, wire::encode(asked));
    auto told = wire::decode<run_report>(one.answer().payload());
    REQUIRE(told.ok());
    std::string all;
    for (const output_bytes& each : told.value().outputs)
      all += std::to_string(each.buffer) + "=" + each.bytes + " ";
    return all;
  };
  CHECK(outputs_of({1, 2}, true) == "0=y1 1=y2 ");   // there was none before
  CHECK(outputs_of({1, 2}, false) == "0=y1 1=y2 ");  // all were asked for
  CHECK(outputs_of({1, 2}, true) == "");
  CHECK(outputs_of({1, 3}, true) == "1=y3 ");
  CHECK(outputs_of({2, 1}, true) == "0=y2 1=y1 ");   // of another buffer
  // Held against the full run, not against the one before.
  CHECK(outputs_of({1, 3}, true) == "1=y3 ");
}

TEST_CASE("worker: of a list of jobs so many are run as may be") {
  served one;
  const auto asked_of = [](std::uint64_t seed, bool other = false) {
    job asked;
    asked.seed = seed;
    asked.only_other_bits = other;
    asked.buffers.emplace_back().name = "y";
    asked.buffers.back().seed = 1;
    return asked;
  };
  const auto answer = [&](std::vector<job> jobs) {
    one.ask(wire::message::run_some, wire::encode(wire::job_list{std::move(jobs)}));
    struct {
      std::vector<run_report> told;
      std::optional<fault> last;
    } made;
    for (;;) {
      const wire::frame got = one.answer();
      if (got.kind != wire::message::run) {
        REQUIRE(got.kind == wire::message::run_some);
        const auto end = wire::decode<wire::run_end>(got.payload());
        REQUIRE(end.ok());
        made.last = end.value().last;
        return made;
      }
      auto told = wire::decode<run_report>(got.payload());
      REQUIRE(told.ok());
      made.told.push_back(std::move(told).value());
    }
  };
  const auto all = answer({asked_of(1), asked_of(2, true), asked_of(3)});
  REQUIRE(all.told.size() == 3);
  CHECK_FALSE(all.last);
  CHECK(all.told[2].counted.barriers == 3);
  CHECK(all.told[0].outputs.size() == 1);
  CHECK(all.told[1].outputs.empty());  // the same bits as of the one before it
  CHECK(all.told[2].outputs.size() == 1);
  // Seeds that the device below knows: a fault, a finding, much work, no memory.
  const auto broken = answer({asked_of(1), asked_of(900), asked_of(2)});
  CHECK(broken.told.size() == 1);
  REQUIRE(broken.last);
  CHECK(broken.last->why == reason::too_slow);
  CHECK(answer({asked_of(901), asked_of(2)}).told.size() == 1);
  CHECK(answer({asked_of(902), asked_of(2)}).told.size() == 1);
  const auto full = answer({asked_of(1), asked_of(903), asked_of(2)});
  CHECK(full.told.size() == 1);
  CHECK_FALSE(full.last);  // to be asked for alone
  one.ask(wire::message::run_some, wire::encode(wire::job_list{{asked_of(903)}}));
  CHECK(one.trouble().why == reason::too_large);
  const auto none = answer({});
  CHECK(none.told.empty());
  CHECK_FALSE(none.last);
}

TEST_CASE("worker: a fault travels as a fault, and the next request is served") {
  served one;
  one.ask(wire::message::compile, source("fault"));
  const fault told = one.trouble();
  CHECK(told.why == reason::library_failed);
  CHECK(told.what == "said");
  one.ask(wire::message::compile, source("text"));
  CHECK(one.answer().kind == wire::message::compile);
}

TEST_CASE("worker: an exception of the device becomes a fault") {
  served one;
  one.ask(wire::message::compile, source("memory"));
  CHECK(one.trouble().why == reason::too_large);
  one.ask(wire::message::compile, source("throw"));
  const fault told = one.trouble();
  CHECK(told.why == reason::internal);
  CHECK(told.what.find("thrown here") != std::string::npos);
}

TEST_CASE("worker: it ends well when it is told to, or when requests end") {
  served told;
  told.ask(wire::message::quit, "");
  told.thread.join();
  CHECK(told.code == 0);
  served left;
  CHECK(left.end() == 0);
}

TEST_CASE("worker: a request that cannot be read is answered as such") {
  served one;
  for (const auto kind : {wire::message::compile, wire::message::load,
                          wire::message::run, wire::message::trouble}) {
    one.ask(kind, "nonsense");
    CHECK(one.trouble().why == reason::child_protocol);
  }
}

TEST_CASE("worker: a request that breaks off or is no frame ends it") {
  served cut;
  cut.send("sb.w");
  CHECK(cut.end() == 1);
  served noise;
  noise.send(std::string(64, 'n'));
  noise.thread.join();
  CHECK(noise.code == 1);
}

TEST_CASE("worker: it ends when nobody takes its answers") {
  served one;
  ::shutdown(one.ends[1][0], SHUT_RD);
  ::close(std::exchange(one.ends[1][0], ::dup(one.ends[0][0])));
  one.ask(wire::message::compile, source("text"));
  one.thread.join();
  CHECK(one.code == 1);
}
