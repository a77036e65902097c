#include <doctest/doctest.h>

#include <skillbench/hash.hpp>

using namespace skillbench;

TEST_CASE("hash: the published values of FNV-1a") {
  CHECK(hash("") == 0xcbf29ce484222325ull);
  CHECK(hash("a") == 0xaf63dc4c8601ec8cull);
  CHECK(hash("foobar") == 0x85944171f73967e8ull);
}

TEST_CASE("hash: bytes above 127 and NUL count like any other") {
  using namespace std::string_view_literals;
  CHECK(hash("\0"sv) != hash(""));
  CHECK(hash("\xff") == ((0xcbf29ce484222325ull ^ 0xffu) * 0x100000001b3ull));
}

TEST_CASE("hash: the text has sixteen digits, leading zeros too") {
  CHECK(hash_text("a") == "af63dc4c8601ec8c");
  for (int i = 0; i < 100; ++i) {
    const std::string text = hash_text(std::to_string(i));
    CHECK(text.size() == 16);
    CHECK(std::stoull(text, nullptr, 16) == hash(std::to_string(i)));
  }
}
