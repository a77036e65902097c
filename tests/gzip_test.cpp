#include <doctest/doctest.h>

#include <string>

#include <skillbench/gzip.hpp>

using namespace skillbench;

namespace {

// What zlib makes of a text, with a gzip header.
std::string packed(const std::string& text) {
  z_stream state{};
  REQUIRE(deflateInit2(&state, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) ==
          Z_OK);
  std::string made(text.size() + 1000, '\0');
  state.next_in =
      reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(made.data());
  state.avail_out = static_cast<uInt>(made.size());
  REQUIRE(deflate(&state, Z_FINISH) == Z_STREAM_END);
  made.resize(made.size() - state.avail_out);
  deflateEnd(&state);
  return made;
}

}  // namespace

TEST_CASE("gzip: what was packed comes back, several members too") {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i * 7919 % 1000) + ",";
  CHECK(gunzip(packed(text), text.size()).value() == text);
  CHECK(gunzip(packed(""), 0).value().empty());
  CHECK(gunzip(packed("one ") + packed("two"), 100).value() == "one two");
}

TEST_CASE("gzip: damage, a cut end and a bomb are told") {
  const std::string text(100'000, 'x'), whole = packed(text);
  for (std::size_t cut = 0; cut < whole.size(); ++cut)
    CHECK_FALSE(gunzip(std::string_view(whole).substr(0, cut), 1 << 20).ok());
  const auto bomb = gunzip(whole, 99'999);
  REQUIRE_FALSE(bomb.ok());
  CHECK(bomb.error().what.find("more than 99999 bytes") != std::string::npos);
  std::string damaged = whole;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);
  CHECK_FALSE(gunzip(damaged, 1 << 20).ok());
  CHECK_FALSE(gunzip(whole + "more", 1 << 20).ok());
  CHECK_FALSE(gunzip("{\"a\": 1}", 100).ok());
}
