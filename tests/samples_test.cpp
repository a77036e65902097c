#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <skillbench/json_family.hpp>
#include <skillbench/samples.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

const std::vector<family>& known() {
  static const std::vector<family> all = [] {
    std::vector<family> made;
    for (const char* const name : {"layernorm", "geglu", "attention"}) {
      std::ifstream in(std::string(SKILLBENCH_SOURCE_DIR) + "/kernels/" + name +
                       "/family.json");
      auto read = read_family(
          std::string(std::istreambuf_iterator<char>(in), {}), "", "", {});
      REQUIRE(read.ok());
      made.push_back(std::move(read).value());
    }
    return made;
  }();
  return all;
}

// A folder of this test's own, gone when the test ends.
class folder {
 public:
  folder() {
    fs::create_directories(SKILLBENCH_TEST_DIR);
    std::string name = std::string(SKILLBENCH_TEST_DIR) + "/samples_XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    at = name;
  }
  ~folder() {
    std::error_code ignored;
    fs::remove_all(at, ignored);
  }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((at / name).parent_path());
    std::ofstream(at / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? at.string() : (at / name).string();
  }
  fs::path at;
};

gathered gather_all(const std::vector<std::string>& paths) {
  return gather(paths, known());
}

bool has_trouble(const gathered& it, reason why, const std::string& part) {
  for (const fault& one : it.troubles)
    if (one.why == why && one.what.find(part) != std::string::npos) return true;
  for (const fault& one : it.troubles) MESSAGE(one.what);
  return false;
}

const std::string kernel =
    "/* skillbench\n{\"family\": \"geglu\", \"entry\": \"k\", \"args\": "
    "[\"y\"],"
    " \"grid\": [1], \"block\": [1]}\n*/\n__global__ void k(float* y) {}\n";

}  // namespace

TEST_CASE("samples: the examples, by list, by folder and by a part of it") {
  const std::string examples =
      std::string(SKILLBENCH_SOURCE_DIR) + "/examples/outputs";
  const gathered listed = gather_all({examples});
  CHECK(listed.troubles.empty());
  CHECK(listed.samples.size() == 18);
  CHECK(listed.samples[0].id == "llm-a-baseline-layernorm-1");  // as written
  const gathered all = gather_all({examples + "/llm-a"});
  CHECK(all.troubles.empty());
  CHECK(all.samples.size() == 18);
  CHECK(all.samples[0].id == "llm-a-baseline-attention-1");
  CHECK(all.samples[0].model == "llm-a");
  CHECK(all.samples[0].arm == "baseline");
  CHECK(all.samples[0].task == "attention");
  CHECK(all.samples[0].draw == 1);
  CHECK(all.samples[0].output.size() > 1000);
  CHECK(gather_all({examples + "/llm-a/with_skill"}).samples.size() == 9);
  const gathered task = gather_all({examples + "/llm-a/with_skill/geglu/"});
  REQUIRE(task.samples.size() == 3);
  CHECK(task.samples[2].id == "llm-a-with_skill-geglu-3");
  const gathered one = gather_all({examples + "/llm-a/with_skill/geglu/2.md"});
  REQUIRE(one.samples.size() == 1);
  CHECK(one.samples[0].id == "llm-a-with_skill-geglu-2");
}

TEST_CASE("samples: an output takes no more memory than its text") {
  const auto made = gather_all({SKILLBENCH_SOURCE_DIR "/examples/outputs"});
  REQUIRE_FALSE(made.samples.empty());
  for (const sample& each : made.samples)
    CHECK(each.output.capacity() <= each.output.size() + 64);
}

TEST_CASE("samples: a lone file is told by its manifest") {
  const folder in;
  in.write("mine.cu", kernel);
  in.write("prose.md", "I cannot do that.");
  in.write("broken.cu",
           "/* skillbench { \"family\" : \"geglu\", } */\n"
           "__global__ void k(float* y) {}\n");
  const gathered it = gather_all(
      {in.path("mine.cu"), in.path("prose.md"), in.path("broken.cu")});
  REQUIRE(it.samples.size() == 2);
  CHECK(it.samples[0].task == "geglu");
  CHECK(it.samples[0].id == "mine.cu");
  CHECK(it.samples[0].arm.empty());
  CHECK(it.samples[0].output == kernel);
  CHECK(it.samples[1].task == "geglu");
  REQUIRE(it.troubles.size() == 1);
  CHECK(has_trouble(it, reason::bad_input, "prose.md: for which task"));
}

TEST_CASE("samples: what is not there is told, the rest is returned") {
  const folder in;
  fs::create_directories(in.at / "empty");
  in.write("mine.cu", kernel);
  const gathered it =
      gather_all({in.path("none"), in.path("empty"), in.path("mine.cu/x"), "",
                  std::string("a\0b", 3), in.path("mine.cu")});
  CHECK(it.samples.size() == 1);
  CHECK(it.troubles.size() == 5);
  CHECK(has_trouble(it, reason::not_found, "none: there is no such file"));
  CHECK(has_trouble(it, reason::not_found, "empty: holds no outputs"));
  CHECK(has_trouble(it, reason::not_found, "mine.cu/x"));
  CHECK(has_trouble(it, reason::bad_argument, "empty or holds a NUL"));
}

TEST_CASE("samples: a folder's order is model, arm, task, draw") {
  const folder in;
  in.write("m/with_skill/geglu/10.md", "a");
  in.write("m/with_skill/geglu/9.md", "b");
  in.write("m/baseline/layernorm/1.cu", "c");
  in.write("b/baseline/layernorm/1.md", "");
  in.write("README.md", "About these.");
  in.write("m/baseline/.hidden/1.md", "d");
  in.write("m/baseline/layernorm/notes.pdf", "e");
  const gathered it = gather_all({in.path()});
  CHECK(it.troubles.empty());
  REQUIRE(it.samples.size() == 4);
  CHECK(it.samples[0].id == "b-baseline-layernorm-1");
  CHECK(it.samples[0].output.empty());  // an empty answer is an answer
  CHECK(it.samples[1].id == "m-baseline-layernorm-1");
  CHECK(it.samples[2].id == "m-with_skill-geglu-9");
  CHECK(it.samples[3].id == "m-with_skill-geglu-10");
}

TEST_CASE("samples: a draw may be a folder of files") {
  const folder in;
  in.write("m/baseline/geglu/1/answer.md", "one");
  in.write("m/baseline/geglu/2/src/k.cu", kernel + "/*\n````\n*/\n");
  in.write("m/baseline/geglu/2/notes.md", "See the source.\n");
  const gathered it = gather_all({in.path()});
  CHECK(it.troubles.empty());
  REQUIRE(it.samples.size() == 2);
  CHECK(it.samples[0].output == "one");
  CHECK(it.samples[0].path == in.path("m/baseline/geglu/1"));
  const extracted both = extract(it.samples[1].output);
  REQUIRE(both.found.has_value());
  CHECK(both.found->source == kernel + "/*\n````\n*/\n");
  CHECK(it.samples[1].path == in.path("m/baseline/geglu/2"));
  const gathered own = gather_all({in.path("m/baseline/geglu/2")});
  REQUIRE(own.samples.size() == 1);
  CHECK(own.samples[0].id == "m-baseline-geglu-2");
}

TEST_CASE("samples: a path that is not in that order is told") {
  const folder in;
  in.write("m/baseline/geglu/1.md", "fine");
  in.write("m/baseline/gelu/1.md", "a");
  in.write("m/control/geglu/1.md", "b");
  in.write("m/baseline/geglu/first.md", "c");
  in.write("m/baseline/geglu/-1.md", "d");
  in.write("m/baseline/geglu/2.md.part", "e");
  in.write("m/baseline/lost.md", "f");
  in.write("stray.md", "g");
  in.write("m/baseline/geglu/1.cu", "h");
  const gathered it = gather_all({in.path()});
  CHECK(it.samples.size() == 1);
  CHECK(it.troubles.size() == 8);
  CHECK(has_trouble(it, reason::bad_input,
                    "there is no task `gelu`; there are "
                    "layernorm, geglu, attention"));
  CHECK(has_trouble(it, reason::bad_input, "`control` is no arm"));
  CHECK(has_trouble(it, reason::bad_input, "`first` is no draw"));
  CHECK(has_trouble(it, reason::bad_input, "`-1` is no draw"));
  CHECK(has_trouble(it, reason::bad_input, "2.md.part: is not finished"));
  CHECK(has_trouble(it, reason::bad_input, "lost.md: expected"));
  CHECK(has_trouble(it, reason::bad_input, "stray.md: has no arm"));
  CHECK(has_trouble(it, reason::bad_input, "`m-baseline-geglu-1` is taken"));
}

TEST_CASE("samples: links do not lead out, pipes are not waited for") {
  const folder in, outside;
  outside.write("secret.md", "secret");
  outside.write("deep/1.md", "secret");
  in.write("m/baseline/geglu/1.md", "fine");
  fs::create_symlink(outside.at / "secret.md", in.at / "m/baseline/geglu/2.md");
  fs::create_symlink(in.at / "m/baseline/geglu/1.md",
                     in.at / "m/baseline/geglu/3.md");
  fs::create_symlink("nowhere.md", in.at / "m/baseline/geglu/4.md");
  fs::create_directory_symlink(outside.at / "deep",
                               in.at / "m/baseline/attention");
  fs::create_directory_symlink(in.at / "m", in.at / "loop");
  REQUIRE(::mkfifo(in.path("m/baseline/geglu/5.md").c_str(), 0600) == 0);
  const gathered it = gather_all({in.path()});
  REQUIRE(it.samples.size() == 2);
  for (const sample& one : it.samples) CHECK(one.output == "fine");
  CHECK(it.troubles.size() == 5);
  CHECK(has_trouble(it, reason::bad_input, "2.md: is a link that leads out"));
  CHECK(has_trouble(it, reason::bad_input, "4.md: is a link that leads out"));
  CHECK(has_trouble(it, reason::bad_input, "attention: is a link that leads"));
  CHECK(has_trouble(it, reason::bad_input, "loop: is a link to a folder"));
  CHECK(has_trouble(it, reason::bad_input, "5.md: is no regular file"));
}

TEST_CASE("samples: what may not be read is told") {
  if (::geteuid() == 0) return;  // root may read everything
  const folder in;
  in.write("m/baseline/geglu/1.md", "a");
  in.write("m/baseline/geglu/2.md", "b");
  in.write("m/baseline/attention/1.md", "c");
  ::chmod(in.path("m/baseline/geglu/1.md").c_str(), 0);
  ::chmod(in.path("m/baseline/attention").c_str(), 0);
  const gathered it = gather_all({in.path()});
  ::chmod(in.path("m/baseline/attention").c_str(), 0700);
  CHECK(it.samples.size() == 1);
  CHECK(has_trouble(it, reason::no_permission, "geglu/1.md: cannot be read"));
  CHECK(has_trouble(it, reason::no_permission, "attention: cannot be read"));
}

TEST_CASE("samples: a list reads paths and texts") {
  const folder in;
  in.write("out/1.md", "one");
  in.write("out/two/k.cu", "two");
  in.write("m/baseline/geglu/1.md", "not listed");
  in.write("samples.jsonl",
           "\xef\xbb\xbf{\"id\": \"a\", \"task\": \"geglu\", \"output\": "
           "\"out/1.md\", \"draw\": 7}\r\n"
           "\n"
           "{\"model\": \"m\", \"arm\": \"baseline\", \"task\": \"geglu\", "
           "\"draw\": 2, \"output\": \"out/./two\"}\n"
           "{\"id\": \"c\", \"task\": \"attention\", \"text\": \"three\"}");
  for (const std::string& path : {in.path(), in.path("samples.jsonl")}) {
    const gathered it = gather_all({path});
    for (const fault& one : it.troubles) MESSAGE(one.what);
    CHECK(it.troubles.empty());
    REQUIRE(it.samples.size() == 3);
    CHECK(it.samples[0].id == "a");
    CHECK(it.samples[0].output == "one");
    CHECK(it.samples[0].path == in.path("out/1.md"));
    CHECK(it.samples[1].id == "m-baseline-geglu-2");
    CHECK(it.samples[1].output == "two");
    CHECK(it.samples[2].output == "three");
    CHECK(it.samples[2].path == in.path("samples.jsonl:4"));
  }
}

TEST_CASE("samples: a list's mistakes are told by line, the rest is read") {
  const folder in, outside;
  outside.write("secret.md", "secret");
  fs::create_symlink(outside.at / "secret.md", in.at / "link.md");
  fs::create_directories(in.at / "empty");
  in.write("1.md", "one");
  const std::string start = "{\"task\": \"geglu\", \"id\": ";
  in.write("samples.jsonl",
           start + "1, \"output\": \"1.md\"}\n" +                      // 1
               start + "2, \"output\": \"2.md\"}\n" +                  // 2
               start + "3, \"output\": \"../1.md\"}\n" +               // 3
               start + "4, \"output\": \"/etc/passwd\"}\n" +           // 4
               start + "5, \"output\": \"link.md\"}\n" +               // 5
               start + "6, \"output\": \"empty\"}\n" +                 // 6
               start + "1, \"text\": \"again\"}\n" +                   // 7
               start + "8, \"text\": \"\", \"arm\": \"control\"}\n" +  // 8
               "{\"task\": \"gelu\", \"text\": \"\"}\n" +              // 9
               start + "10, \"output\": \"x\\u0000y\"}\n" +            // 10
               start + "11, \"text\": \"half");                        // 11
  const gathered it = gather_all({in.path()});
  REQUIRE(it.samples.size() == 1);
  CHECK(it.samples[0].output == "one");
  CHECK(it.troubles.size() == 10);
  const auto at = [&](int line, reason why, const std::string& part) {
    for (const fault& one : it.troubles)
      if (one.what.find("samples.jsonl:" + std::to_string(line) + ":") !=
              std::string::npos &&
          one.what.find(part) != std::string::npos)
        return one.why == why;
    return false;
  };
  CHECK(at(2, reason::not_found, "there is no output"));
  CHECK(at(3, reason::bad_input, "no path inside"));
  CHECK(at(4, reason::bad_input, "no path inside"));
  CHECK(at(5, reason::bad_input, "leads out"));
  CHECK(at(6, reason::not_found, "holds no output"));
  CHECK(has_trouble(it, reason::bad_input, "the id `1` is taken by"));
  CHECK(at(8, reason::bad_input, "\"control\" is no arm"));
  CHECK(at(9, reason::bad_input, "there is no task \"gelu\""));
  CHECK(at(10, reason::bad_input, "no path inside"));
  CHECK(at(11, reason::bad_input, "line 1, column"));
}

TEST_CASE("samples: a list that is none is told") {
  const folder in, outside;
  in.write("samples.jsonl", "\n\n");
  CHECK(has_trouble(gather_all({in.path()}), reason::bad_input,
                    "lists no samples"));
  outside.write("samples.jsonl", "{}");
  fs::remove(in.at / "samples.jsonl");
  fs::create_symlink(outside.at / "samples.jsonl", in.at / "samples.jsonl");
  CHECK(has_trouble(gather_all({in.path()}), reason::bad_input, "leads out"));
  fs::remove(in.at / "samples.jsonl");
  fs::create_directories(in.at / "samples.jsonl");
  CHECK_FALSE(gather_all({in.path()}).troubles.empty());
}

TEST_CASE("samples: the same output given twice is one sample") {
  const folder in;
  in.write("m/baseline/geglu/1.md", "a");
  in.write("list/samples.jsonl", "{\"task\": \"geglu\", \"text\": \"\"}");
  const gathered it = gather_all({in.path("m"), in.path("m/baseline"),
                                  in.path("m/baseline/geglu/1.md"),
                                  in.path("list"), in.path("list")});
  CHECK(it.troubles.empty());
  CHECK(it.samples.size() == 2);
}

TEST_CASE("samples: a file is read no further than an output may be long") {
  const folder in;
  in.write("m/baseline/geglu/1.md", std::string(most_output_bytes + 100, 'a'));
  const gathered it = gather_all({in.path()});
  REQUIRE(it.samples.size() == 1);
  CHECK(it.samples[0].output.size() == most_output_bytes + 1);
  CHECK(extract(it.samples[0].output).refused[0].kind == code::bad_source);
}
