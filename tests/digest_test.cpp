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

}  // namespace

TEST_CASE("digest: published values of BLAKE2b with 256 bits") {
  CHECK(digest_text("") ==
        "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  CHECK(digest_text("abc") ==
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST_CASE("digest: whole blocks, and one byte more") {
  CHECK(digest_text(counted(128)) ==
        "c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1");
  CHECK(digest_text(counted(129)) ==
        "f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9");
  CHECK(digest_text(std::string(1000, 'a')) ==
        "e00b0ddbf1e2cdaf5c898e1a5e8826ea3a2c339bcf2a478da2e5fca9ff126672");
}

TEST_CASE("digest: it does not matter in which pieces a text comes") {
  const std::string text = counted(1000);
  for (const std::size_t step : {1u, 7u, 127u, 128u, 129u, 999u}) {
    digest of;
    for (std::size_t at = 0; at < text.size(); at += step)
      of.add(std::string_view(text).substr(at, step));
    CHECK(of.text() == digest_text(text));
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
