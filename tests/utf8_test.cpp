#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include <skillbench/utf8.hpp>

using namespace skillbench;

TEST_CASE("utf8: a character has the bytes that its first one says") {
  CHECK(utf8_length("a") == 1);
  CHECK(utf8_length(std::string_view("\0", 1)) == 1);
  CHECK(utf8_length("\u00e9x") == 2);
  CHECK(utf8_length("\u4e2d") == 3);
  CHECK(utf8_length("\U0001f600") == 4);
}

TEST_CASE("utf8: what is no character has no length") {
  for (const char* text :
       {"\x80", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xe4\xb8", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff"})
    CHECK_MESSAGE(utf8_length(text) == 0, text);
}

TEST_CASE("utf8: characters are counted, stray bytes among them") {
  CHECK(utf8_characters("") == 0);
  CHECK(utf8_characters("a\u00e9\u4e2d\U0001f600") == 4);
  CHECK(utf8_characters("a\xff\xfe") == 3);
}

TEST_CASE("utf8: controls that change the reading order are known") {
  CHECK(is_bidi_control("\u202e"));
  CHECK(is_bidi_control("\u2069"));
  CHECK_FALSE(is_bidi_control("\u200b"));
  CHECK_FALSE(is_bidi_control("a"));
}
