#include <doctest/doctest.h>

#include <string>
#include <string_view>

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

TEST_CASE("hash: the published values of SHA-256") {
  CHECK(sha256("") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("hash: SHA-256 where its last block is full") {
  CHECK(sha256(std::string(55, '\xe9')) ==
        "4360c08f65b8587805be341bb5578175f084778be8516ca7d454bb777c392817");
  CHECK(sha256(std::string(56, '\xe9')) ==
        "122c3722de62b26d87b9c9052858242407aa9bf046f765b4f068b91aac77810d");
  CHECK(sha256(std::string(63, '\xe9')) ==
        "5d09c64d021c3c4d56de5e9f1c9b7ded064a64b1591aaf9822365d6b706d7538");
  CHECK(sha256(std::string(64, '\xe9')) ==
        "c474a957abb73dee49898fdd83f1c6bbee90ea6044f30087a106653afd613297");
  CHECK(sha256(std::string(119, '\xe9')) ==
        "4516fb281cdc54c9046b4e7b9a9edad6f6295a4af608dd244c188d4a07ec8ecc");
  CHECK(sha256(std::string(120, '\xe9')) ==
        "471ada1965ced8f56030ac56996f2cd45c98640c623965cfc13e5028b35524d9");
}
