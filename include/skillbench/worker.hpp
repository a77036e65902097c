#pragma once
// worker.hpp: serves a device over two descriptors, until it is told to quit.
//
// Layer   4. The other end is device/remote.hpp; wire.hpp is what they speak.
// Errors  A fault of the device travels as an answer. serve() returns 0 when it
//         was told to quit or the requests ended, 1 when they made no sense or
//         the answers could not be sent: a program may use that as exit code.
//         A device that is finished (a GPU's context after a kernel's error, say)
//         ends it after the answer, with 0.
// Limits  None are set here: child.hpp sets them before this process is.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/child.hpp>
#include <skillbench/device.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/version.hpp>
#include <skillbench/wire.hpp>

namespace skillbench {

namespace worker_channel {

// A socket reports a lost reader; a pipe would end the process by SIGPIPE.
[[nodiscard]] inline result<done> write_all(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == ENOTSOCK)
      sent = ::write(to, bytes.data(), bytes.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return fault{reason::io, "nobody takes the answers"};
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return done{};
}

[[nodiscard]] inline result<done> read_all(int from, char* into,
                                           std::size_t size, bool& began) {
  while (size > 0) {
    const ssize_t got = ::read(from, into, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fault{reason::io, "the requests ended"};
    began = true;
    into += got;
    size -= static_cast<std::size_t>(got);
  }
  return done{};
}

// The outputs of the last run that gave them all. No more is kept than is cheap
// to keep: what is large is not run twice.
class kept_outputs {
 public:
  void take_other_bits(const job& asked, run_report& told) const {
    if (!asked.only_other_bits) return;
    std::erase_if(told.outputs, [&](const output_bytes& each) {
      return std::any_of(
          held_.begin(), held_.end(), [&](const output_bytes& old) {
            return old.buffer == each.buffer && old.first == each.first &&
                   old.bytes == each.bytes;
          });
    });
  }
  void keep(const job& asked, run_report&& told) {
    if (asked.only_other_bits) return;
    held_ = std::move(told.outputs);
    std::size_t bytes = 0;
    for (const output_bytes& each : held_) bytes += each.bytes.size();
    if (bytes > std::size_t{64} << 20) held_.clear();
  }

 private:
  std::vector<output_bytes> held_;
};

// Warp instructions after which a list of jobs is answered as far as it is run: a
// kernel that is wrong or slow is not run many times before anybody looks.
inline constexpr std::uint64_t most_unseen_instructions = 50'000'000;

struct answer {
  wire::message kind = wire::message::trouble;
  std::string payload;
};

[[nodiscard]] inline answer trouble(reason why, std::string what) {
  return {wire::message::trouble, wire::encode(fault{why, std::move(what)})};
}

template <typename T>
[[nodiscard]] answer said(wire::message kind, const result<T>& made) {
  if (made) return {kind, wire::encode(made.value())};
  return {wire::message::trouble, wire::encode(made.error())};
}

[[nodiscard]] inline result<done> send_answer(int to, const answer& it) {
  return wire::send_frame(it.kind, it.payload, [&](std::string_view bytes) {
    return write_all(to, bytes);
  });
}

// Tells of each job as soon as it has run, so that the other end knows which one
// ended this process; what it returns is sent after them.
[[nodiscard]] inline answer run_some(device& on, const std::vector<job>& jobs,
                                     kept_outputs& kept, int answers_fd) {
  wire::run_end end;
  std::uint64_t instructions = 0;
  for (const job& each : jobs) {
    answer one;
    bool enough = false;
    try {
      auto told = on.run(each);
      if (!told) {
        end.last = told.error();
        break;
      }
      kept.take_other_bits(each, told.value());
      const run_report& seen = told.value();
      one = said(wire::message::run, told);
      instructions += seen.counted.warp_instructions;
      enough = instructions > most_unseen_instructions || on.finished() ||
               std::any_of(seen.findings.begin(), seen.findings.end(),
                           [](const finding& found) {
                             return found.weight == severity::fails;
                           });
      kept.keep(each, std::move(told).value());
    } catch (const std::bad_alloc&) {
      if (&each == &jobs.front()) throw;  // else it is asked for again, alone
      break;
    }
    if (const auto sent = send_answer(answers_fd, one); !sent) {
      end.last = sent.error();
      break;
    }
    if (enough) break;
  }
  return said(wire::message::run_some, result<wire::run_end>(end));
}

[[nodiscard]] inline answer answer_to(device& on, const wire::frame& asked,
                                      const std::string& isolation,
                                      kept_outputs& kept, int answers_fd) {
  switch (asked.kind) {
    case wire::message::greeting:
      return said(asked.kind,
                  result<wire::greeting_text>(wire::greeting_text{
                      .build = version,
                      .device = on.name(),
                      .target = on.target(),
                      .isolation = isolation}));
    case wire::message::compile: {
      const auto wanted = wire::decode<compile_request>(asked.payload());
      if (!wanted) return said<done>(asked.kind, wanted.error());
      return said(asked.kind, on.compile(wanted.value()));
    }
    case wire::message::load: {
      const auto wanted = wire::decode<wire::text>(asked.payload());
      if (!wanted) return said<done>(asked.kind, wanted.error());
      return said(asked.kind, on.load(wanted.value().held));
    }
    case wire::message::load_image: {
      auto wanted = wire::decode<wire::code>(asked.payload());
      if (!wanted) return said<done>(asked.kind, wanted.error());
      image made;
      made.ptx = std::move(wanted.value().ptx);
      made.cubin = std::move(wanted.value().cubin);
      const auto loaded = on.load_image(made);
      if (!loaded) return said<done>(asked.kind, loaded.error());
      return said(asked.kind, result<wire::text>(wire::text{on.loaded()}));
    }
    case wire::message::run: {
      const auto wanted = wire::decode<job>(asked.payload());
      if (!wanted) return said<done>(asked.kind, wanted.error());
      auto told = on.run(wanted.value());
      if (told) kept.take_other_bits(wanted.value(), told.value());
      answer made = said(asked.kind, told);
      if (told) kept.keep(wanted.value(), std::move(told).value());
      return made;
    }
    case wire::message::run_some: {
      const auto wanted = wire::decode<wire::job_list>(asked.payload());
      if (!wanted) return said<done>(asked.kind, wanted.error());
      return run_some(on, wanted.value().jobs, kept, answers_fd);
    }
    case wire::message::time: {
      const auto wanted = wire::decode<timing_request>(asked.payload());
      if (!wanted) return said<done>(asked.kind, wanted.error());
      return said(asked.kind, on.time(wanted.value()));
    }
    case wire::message::quit:
    case wire::message::trouble:
      break;
  }
  return trouble(reason::child_protocol, "that is not a request");
}

}  // namespace worker_channel

[[nodiscard]] inline int serve(device& on, int requests_fd, int answers_fd,
                               const std::string& isolation = {}) {
  namespace in = worker_channel;
  in::kept_outputs kept;
  for (;;) {
    bool began = false;
    in::answer reply;
    try {
      const auto asked = wire::receive_frame(
          [&](char* into, std::size_t size) {
            return in::read_all(requests_fd, into, size, began);
          },
          wire::most_frame_bytes);
      if (!asked) return began ? 1 : 0;
      if (asked.value().kind == wire::message::quit) return 0;
      reply = in::answer_to(on, asked.value(), isolation, kept, answers_fd);
      if (reply.payload.size() > wire::most_frame_bytes)
        reply = in::trouble(reason::too_large,
                            "the answer is longer than a frame may be");
    } catch (const std::bad_alloc&) {
      reply = in::trouble(reason::too_large,
                          "the worker's limit of memory was reached");
    } catch (const std::exception& problem) {
      reply = in::trouble(reason::internal,
                          std::string("the worker met an exception: ") +
                              problem.what());
    }
    if (!in::send_answer(answers_fd, reply)) return 1;
    if (on.finished()) return 0;
  }
}

}  // namespace skillbench
