#include <doctest/doctest.h>

#include <string>

#include <skillbench/digest.hpp>

using namespace skillbench;

namespace {

std::string counted(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += static_cast<char>(i % 251);
  return text;
}

std::string digest_of(std::string_view text) {
  digest of;
  of.add(text);
  return of.text();
}

}  // namespace

TEST_CASE("digest: the values of FIPS 180-4's examples") {
  CHECK(digest_of("abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("digest: that of the whole text, however it came") {
  for (std::size_t size = 0; size < 200; ++size)
    CHECK(digest_of(counted(size)) == sha256(counted(size)));
  const std::string text = counted(1000);
  for (const std::size_t step : {1u, 7u, 63u, 64u, 65u, 999u}) {
    digest of;
    for (std::size_t at = 0; at < text.size(); at += step)
      of.add(std::string_view(text).substr(at, step));
    CHECK(of.text() == sha256(text));
  }
}

TEST_CASE("digest: fields do not run into each other") {
  const auto of = [](std::string_view a, std::string_view b) {
    digest made;
    made.field(a);
    made.field(b);
    return made.text();
  };
  CHECK(of("ab", "c") != of("a", "bc"));
  CHECK(of("", "a") != of("a", ""));
  CHECK(of("a", "b") == of("a", "b"));
  digest numbers, text;
  numbers.number(0x0807060504030201);
  text.add("\1\2\3\4\5\6\7\10");
  CHECK(numbers.text() == text.text());
}
