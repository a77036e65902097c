#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <skillbench/cuda/library.hpp>

using namespace skillbench;

namespace {

// A folder that goes with everything in it.
struct temporary {
  std::string path;
  temporary() {
    char name[] = "/tmp/skillbench_library_XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~temporary() {
    (void)!std::system(("rm -r '" + path + "'").c_str());
  }
  temporary(const temporary&) = delete;
  temporary& operator=(const temporary&) = delete;
  void file(const std::string& name, const std::string& text = "") const {
    for (std::size_t at = name.find('/'); at != std::string::npos;
         at = name.find('/', at + 1))
      ::mkdir((path + "/" + name.substr(0, at)).c_str(), 0700);
    std::ofstream(path + "/" + name) << text;
  }
};

// Sets a variable until the end of the scope.
struct with_variable {
  std::string name, before;
  bool was_set;
  with_variable(const char* called, const std::string& value)
      : name(called), was_set(std::getenv(called) != nullptr) {
    if (was_set) before = std::getenv(called);
    ::setenv(called, value.c_str(), 1);
  }
  ~with_variable() {
    if (was_set)
      ::setenv(name.c_str(), before.c_str(), 1);
    else
      ::unsetenv(name.c_str());
  }
};

void lay_out(const temporary& in, const std::string& include,
             const std::string& folder, int version) {
  in.file(include + "/cuda_runtime.h");
  in.file(include + "/cuda.h", "// header\n#define CUDA_VERSION " +
                                   std::to_string(version) + "\n");
  in.file(folder + "/libnvrtc.so.13");
}

std::string missing(const std::string& root) {
  const auto seen = cuda_places::look(root);
  const auto* const why = std::get_if<std::string>(&seen);
  return why ? *why : "nothing";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("library: CUDA_PATH comes first") {
  const temporary made;
  lay_out(made, "include", "lib64", 12040);
  const with_variable home("CUDA_HOME", "/nowhere");
  const with_variable path("CUDA_PATH", made.path);
  const auto found = find_toolkit();
  REQUIRE(found.ok());
  CHECK(found.value().root == made.path);
  CHECK(found.value().include == made.path + "/include");
  CHECK(found.value().library_folder == made.path + "/lib64");
  CHECK(found.value().version == "12.4");
  CHECK(toolkit_environment(found.value()) ==
        std::vector<std::string>{"CUDA_PATH=" + made.path});
}

TEST_CASE("library: CUDA_HOME is next, and an empty variable is none") {
  const temporary made;
  lay_out(made, "include", "lib", 13010);
  const with_variable home("CUDA_HOME", made.path);
  const with_variable path("CUDA_PATH", "");
  const auto found = find_toolkit();
  REQUIRE(found.ok());
  CHECK(found.value().root == made.path);
  CHECK(found.value().version == "13.1");
}

TEST_CASE("library: the folders of the distributions' packages are known") {
  const std::string target = cuda_places::target_folders[0] + 1;
  const temporary made;
  lay_out(made, target + "/include", target + "/lib", 13000);
  const auto seen = cuda_places::look(made.path);
  const auto* const found = std::get_if<toolkit>(&seen);
  REQUIRE(found);
  CHECK(found->include == made.path + "/" + target + "/include");
  CHECK(found->library_folder == made.path + "/" + target + "/lib");
}

TEST_CASE("library: a toolkit without its parts tells what is missing") {
  const temporary made;
  CHECK(missing(made.path + "/none") == "no such folder");
  CHECK(missing(made.path) == "neither include/cuda_runtime.h nor libnvrtc.so");
  made.file("lib64/libnvrtc.so.13");
  CHECK(missing(made.path) == "no include/cuda_runtime.h");
  made.file("include/cuda_runtime.h");
  CHECK(missing(made.path) == "its headers do not tell its version");
  made.file("include/cuda_runtime_api.h", "#define CUDART_VERSION  12030\n");
  CHECK(missing(made.path) == "version 12.3 is older than 12.4");
  made.file("include/cuda_runtime_api.h", "#define CUDART_VERSION  12040\n");
  CHECK(missing(made.path) == "nothing");
}

TEST_CASE("library: without a toolkit every place and the way out are told") {
  const with_variable path("CUDA_PATH", "/nowhere/in/particular");
  if (const auto found = find_toolkit(); !found) {
    CHECK(found.error().why == reason::library_missing);
    CHECK(has(found.error().what,
              "CUDA_PATH = /nowhere/in/particular: no such folder"));
    CHECK(has(found.error().what, "/usr/local/cuda: "));
    CHECK(has(found.error().what, "/opt/cuda: "));
    CHECK(has(found.error().what, "install the CUDA toolkit 12.4 or later"));
  } else {
    CHECK(found.value().root != "/nowhere/in/particular");
  }
}

TEST_CASE("library: the newest of several is taken, by number") {
  const temporary made;
  for (const char* name : {"libx.so.9", "libx.so.12.10", "libx.so.12.9",
                           "libx.so.", "liby.so.99"})
    made.file(name);
  CHECK(cuda_places::newest(made.path, "libx.so.") ==
        made.path + "/libx.so.12.10");
  CHECK_FALSE(cuda_places::newest(made.path, "libz").has_value());
  CHECK_FALSE(cuda_places::newest(made.path + "/none", "lib").has_value());
}

TEST_CASE("library: one that is not there and one that is none are told apart") {
  const auto missing_one =
      library::open("libskillbench_nowhere.so.1", library::lifetime::owner);
  REQUIRE_FALSE(missing_one.ok());
  CHECK(missing_one.error().why == reason::library_missing);
  CHECK(has(missing_one.error().what, "libskillbench_nowhere.so.1"));
  const temporary made;
  made.file("libtext.so", "not a library");
  const auto text =
      library::open(made.path + "/libtext.so", library::lifetime::owner);
  REQUIRE_FALSE(text.ok());
  CHECK(text.error().why == reason::library_failed);
}

TEST_CASE("library: a function is found by its name or named as missing") {
  auto opened = library::open("libm.so.6", library::lifetime::owner);
  REQUIRE(opened.ok());
  library moved = std::move(opened).value();
  CHECK(moved.name() == "libm.so.6");
  const auto cosine = moved.symbol<double(double)>("cos");
  REQUIRE(cosine.ok());
  CHECK(cosine.value()(0.0) == 1.0);
  const auto none = moved.symbol<double(double)>("skillbench_nothing");
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().why == reason::library_failed);
  CHECK(has(none.error().what, "skillbench_nothing"));
}

TEST_CASE("library: the driver is asked, and its absence is an answer") {
  const driver_state told = driver_status();
  CHECK_FALSE(told.what.empty());
  CHECK(told.usable == (told.devices > 0));
  if (!told.usable) CHECK(has(told.what, "no GPU can be used"));
}
