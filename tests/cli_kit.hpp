#pragma once
// cli_kit.hpp: what tests of the program share: a folder of their own, the
// program run in it, and what it said.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

namespace cli_kit {

// A new folder, gone with its owner.
struct folder {
  std::filesystem::path path;
  folder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "skillbench_XXXXXX")
            .string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

struct ran {
  int code = -1;
  std::string out, trouble;
};

// The program in `in`; `words` are for the shell, and `before` what it is to do
// first in one line.
inline ran run(const folder& in, const std::string& words,
               const std::string& before = "") {
  const std::string command = "cd '" + in.path.string() + "' && " + before +
                              " '" SKILLBENCH_PROGRAM "' " + words +
                              " >.out 2>.trouble </dev/null";
  const int status = std::system(command.c_str());
  ran told;
  if (WIFEXITED(status)) told.code = WEXITSTATUS(status);
  told.out = in.read(".out");
  told.trouble = in.read(".trouble");
  return told;
}

// What a function writes to a Stream.
template <typename Stream, typename Print>
std::string printed(Print&& print) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  {
    Stream to(file);
    std::forward<Print>(print)(to);
    REQUIRE(to.flush());
  }
  std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

// What a command's function says, without a process of its own.
template <typename Stream, typename Tell>
ran said_by(Tell&& tell) {
  ran told;
  told.trouble = printed<Stream>([&](Stream& trouble) {
    told.out = printed<Stream>([&](Stream& out) {
      told.code = static_cast<int>(std::forward<Tell>(tell)(out, trouble));
    });
  });
  return told;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace cli_kit
