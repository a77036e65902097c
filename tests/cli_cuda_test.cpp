// The program with a GPU's stand-in, and without any driver.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace fs = std::filesystem;

namespace {

const std::string source = SKILLBENCH_SOURCE_DIR;

struct ran {
  int code = -1;
  std::string out, trouble;
};

// In a folder of its own, with the driver at `driver`: nowhere, or the stand-in
// whose `control` file lies beside it.
struct place {
  fs::path path;
  std::string driver = "/nowhere/libcuda.so.1";
  explicit place(bool stand_in) {
    std::string name = (fs::temp_directory_path() / "cuda_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    if (!stand_in) return;
    driver = (path / "libcuda.so.1").string();
    fs::copy_file(fs::path(SKILLBENCH_TEST_DIR) / "stand_in/libcuda.so.1", driver);
  }
  ~place() { fs::remove_all(path); }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  std::string read(const std::string& name) const {
    std::ifstream in(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path / name, std::ios::binary) << text; }
  ran run(const std::string& words) const {
    const std::string command = "cd '" + path.string() + "' && SKILLBENCH_DRIVER='" + driver + "' SKILLBENCH_NVML=/nowhere/nvml SKILLBENCH_LOCKS='" + path.string() + "' '" SKILLBENCH_PROGRAM "' " +
                                words + " >.out 2>.trouble </dev/null";
    const int status = std::system(command.c_str());
    ran told;
    if (WIFEXITED(status)) told.code = WEXITSTATUS(status);
    told.out = read(".out");
    told.trouble = read(".trouble");
    return told;
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// `text` with single spaces and no line breaks.
std::string flat(const std::string& text) {
  std::string made;
  for (const char c : text) {
    const char plain = c == '\n' ? ' ' : c;
    if (plain != ' ' || made.empty() || made.back() != ' ') made += plain;
  }
  return made;
}

constexpr const char* missing = "no GPU can be used: there is no NVIDIA driver on this machine";

}  // namespace

TEST_CASE("cuda: without a driver --device cuda is exit 3 and one sentence") {
  const place here(false);
  fs::create_directories(here.path / "m/baseline/geglu");
  here.write("m/baseline/geglu/1.md", "no kernel\n");
  for (const std::string words : {"run --device cuda m", "check --device cuda --family geglu m/baseline/geglu/1.md"}) {
    const ran told = here.run(words);
    CHECK(told.code == 3);
    CHECK(told.out.empty());
    CHECK(has(told.trouble, missing));
    CHECK(has(told.trouble, "use --device ptx, which needs none"));
  }
  const ran measured = here.run("doctor --measure");
  CHECK(measured.code == 3);
  CHECK(has(measured.out, missing));
}

TEST_CASE("cuda: without a driver --device auto falls to the PTX machine and says so") {
  const place here(false);
  fs::create_directories(here.path / "m/baseline/geglu");
  here.write("m/baseline/geglu/1.md", "no kernel\n");
  const ran table = here.run("run m");
  CHECK(table.code == 0);
  CHECK(has(flat(table.out), std::string("Judged on the PTX machine, speed not measured: ") + missing));
  CHECK_FALSE(has(here.run("run --device ptx --out other m").out, "Judged on the PTX machine"));
}

TEST_CASE("cuda: a kernel is judged on the GPU, and the record says on which") {
  const place here(true);
  const ran told = here.run("check --device cuda --json " + source + "/kernels/geglu/wrong/no_guard.md");
  CHECK_MESSAGE(told.code == 0, told.trouble);
  CHECK(has(told.out, "\"device\":\"stand-in on the PTX machine\""));
  CHECK(has(told.out, "\"outcome\":\"faults\""));
  CHECK(has(told.out, "\"gpu_isolation\":\""));
  CHECK_FALSE(has(told.out, "\"gpu_isolation\":\"basic: asked for"));
  CHECK(has(told.out, "out_of_bounds"));
}

TEST_CASE("cuda: doctor tells of each GPU, and of one that cannot be used") {
  const place here(true);
  const ran told = here.run("doctor");
  const std::string words = flat(told.out);
  CHECK(has(words, "GPU 0"));
  CHECK(has(words, "compute capability 9.0, 132 multiprocessors"));
  CHECK(has(words, "ECC on"));
  CHECK(has(words, "clocks cannot be read"));
  CHECK(has(words, "counters"));
  here.write("control", "init 802\n");
  CHECK(has(here.run("doctor").out, "no GPU can be used"));
}

TEST_CASE("cuda: kernels of known cost are timed, and a stand-in's clock is no measurement") {
  const place here(true);
  const ran told = here.run("doctor --measure --json");
  const std::string said = told.out + told.trouble;
  CHECK_MESSAGE(told.code == 0, said);
  CHECK(has(told.out, "\"name\": \"a slowdown of 3%\""));
  CHECK(has(told.out, "\"stand_in\": true"));
  CHECK_FALSE(has(told.out, "\"fine\": false"));
  here.write("control", "skip worked\n");
  const ran idle = here.run("doctor --measure");
  CHECK(idle.code == 1);
  CHECK(has(flat(idle.out), "NO no change"));
}

TEST_CASE("cuda: the program names no library of CUDA to the loader") {
  const place here(false);
  const std::string command = "ldd '" SKILLBENCH_PROGRAM "' >'" + here.path.string() + "/ldd'";
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string told = here.read("ldd");
  CHECK(has(told, "libc.so"));
  for (const char* library : {"libcuda", "libnvrtc", "libcupti", "libnvidia", "libcublas", "libcudnn", "libcudart"}) CHECK_FALSE(has(told, library));
}
