#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include <skillbench/whole_file.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder {
  std::string path;
  folder() {
    std::string name = (fs::temp_directory_path() / "whole-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const {
    return path + "/" + name;
  }
};

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace

TEST_CASE("whole_file: what is written is there, and nothing beside it") {
  const folder in;
  REQUIRE(write_whole(in / "a", "one").ok());
  REQUIRE(write_whole(in / "a", std::string("t\0wo", 4)).ok());
  CHECK(text_of(in / "a") == std::string("t\0wo", 4));
  REQUIRE(write_whole(in / "empty", "").ok());
  CHECK(fs::file_size(in / "empty") == 0);
  CHECK(std::distance(fs::directory_iterator(in.path),
                      fs::directory_iterator()) == 2);
}

TEST_CASE("whole_file: a fault names the file and what the system said") {
  const folder in;
  const auto none = write_whole(in / "none/a", "x");
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().what ==
        "cannot write " + (in / "none/a") + ": No such file or directory");
  fs::create_directory(in / "dir");
  CHECK(write_whole(in / "dir", "x").error().what ==
        "cannot write " + (in / "dir") + ": it is a folder");
  CHECK(fs::is_directory(in / "dir"));
}

TEST_CASE("whole_file: a device or a pipe is written to and stays what it is") {
  const folder in;
  const std::string pipe = in / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  // Somebody reads, so that opening it does not wait.
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  REQUIRE(write_whole(pipe, "through").ok());
  char got[16] = {};
  CHECK(::read(reader, got, sizeof got) == 7);
  ::close(reader);
  CHECK(fs::is_fifo(pipe));
  CHECK(write_whole("/dev/full", "x").error().why == reason::io);
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("whole_file: a link is followed where the user named it, else replaced") {
  const folder in;
  std::ofstream(in / "target") << "before";
  fs::create_symlink(in / "target", in / "link");
  REQUIRE(write_whole(in / "link", "new").ok());
  CHECK(fs::is_symlink(in / "link"));
  CHECK(text_of(in / "target") == "new");
  REQUIRE(write_whole(in / "link", "own", whole_file::own).ok());
  CHECK_FALSE(fs::is_symlink(in / "link"));
  CHECK(text_of(in / "link") == "own");
  CHECK(text_of(in / "target") == "new");
}
