#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/compile_cache.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

// A compiler that says what it is told to say, and counts.
struct told_device final : device {
  result<image> answer = image{};
  double each_costs = 0.0, used = 0.0;
  int compiles = 0;

  std::string name() const override { return "told"; }
  std::string target() const override { return "sm_90a"; }
  result<image> compile(const compile_request&) override {
    ++compiles;
    used += each_costs;
    return answer;
  }
  result<done> load(const std::string&) override { return done{}; }
  result<run_report> run(const job&) override { return run_report{}; }
  double cpu_used() const override { return used; }
  bool gone = false;
  bool killed() const override { return gone; }
};

// A toolkit of a few files, a program and an empty cache.
struct place {
  fs::path path;
  toolkit cuda;
  place() {
    std::string name = (fs::temp_directory_path() / "compile_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    cuda.root = path.string();
    cuda.include = (path / "include").string();
    cuda.library_folder = (path / "lib").string();
    write("include/a.h", "int a;");
    write("include/cccl/cub/b.cuh", "int b;");
    write("lib/libnvrtc.so.13.0.1", "nvrtc");
    write("lib/libnvrtc-builtins.so.13.0", "builtins");
    write("worker", "program");
  }
  ~place() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string program() const { return (path / "worker").string(); }
  [[nodiscard]] std::string folder() const { return (path / "cache").string(); }
  [[nodiscard]] std::unique_ptr<compile_cache> open(
      const std::string& limits = "limits") const {
    auto made = compile_cache::open(folder(), cuda, program(), limits);
    REQUIRE_MESSAGE(made.ok(), made.error().what);
    return std::move(made).value();
  }
  [[nodiscard]] std::string contents() const {
    const auto found = toolkit_files(cuda);
    REQUIRE_MESSAGE(found.ok(), found.error().what);
    return found.value().contents().value();
  }
};

compile_request asked(std::string source = "int x;") {
  compile_request made;
  made.source = std::move(source);
  made.entries = {"k<float>", "m"};
  return made;
}

image compiled() {
  image made;
  made.ok = true;
  made.ptx = ".version 9.0\n";
  made.log = "a remark";
  made.cpu_seconds = 3;
  made.kernels = {{"k<float>", "_Z1kIfEvv", 32, 1, 2, 3, std::nullopt},
                  {"m", "_Z1mv", {}, {}, {}, {}, {}}};
  return made;
}

bool same(const image& a, image b) {
  b.cpu_seconds = a.cpu_seconds;
  return wire::encode(a) == wire::encode(b);
}

}  // namespace

TEST_CASE("compile_cache: the second time nothing is compiled") {
  const place here;
  told_device on;
  on.answer = compiled();
  const auto cache = here.open();
  CHECK(same(cache->compile(asked(), on).value(), compiled()));
  const image again = cache->compile(asked(), on).value();
  CHECK(same(again, compiled()));
  CHECK(again.cpu_seconds == 0.0);
  CHECK(on.compiles == 1);
  CHECK(same(here.open()->compile(asked(), on).value(), compiled()));
  CHECK(on.compiles == 1);
  CHECK(cache->counts().hits == 1);
  CHECK(cache->counts().misses == 1);
}

TEST_CASE("compile_cache: a refusal is an answer like any other") {
  const place here;
  told_device on;
  image refused;
  refused.log = "candidate.cu(2): error";
  refused.log_cut = true;
  on.answer = refused;
  const auto cache = here.open();
  (void)cache->compile(asked(), on);
  CHECK(same(cache->compile(asked(), on).value(), refused));
  CHECK(on.compiles == 1);
}

TEST_CASE("compile_cache: every part of a request is part of the key") {
  const place here;
  told_device on;
  on.answer = compiled();
  const auto cache = here.open();
  (void)cache->compile(asked(), on);
  compile_request other = asked("int y;");
  (void)cache->compile(other, on);
  CHECK(on.compiles == 2);
  other = asked();
  other.entries = {"k<float>", "n"};
  (void)cache->compile(other, on);
  CHECK(on.compiles == 3);
  other = asked();
  other.target = "sm_100a";
  (void)cache->compile(other, on);
  CHECK(on.compiles == 4);
  other = asked();
  other.line_info = false;
  (void)cache->compile(other, on);
  CHECK(on.compiles == 5);
  (void)here.open("other limits")->compile(asked(), on);
  CHECK(on.compiles == 6);
  (void)cache->compile(asked(), on);
  CHECK(on.compiles == 6);
}

TEST_CASE("compile_cache: another content of a file is another compiler") {
  const place here;
  const std::string before = here.contents();
  for (const char* each :
       {"include/a.h", "include/cccl/cub/b.cuh", "lib/libnvrtc.so.13.0.1",
        "lib/libnvrtc-builtins.so.13.0"}) {
    std::ifstream in(here.path / each);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    std::string changed = text;
    changed.back() ^= 1;
    here.write(each, changed);
    CHECK_MESSAGE(here.contents() != before, each);
    here.write(each, text);
    CHECK_MESSAGE(here.contents() == before, each);
  }
  here.write("include/new.h", "");
  CHECK(here.contents() != before);
  fs::remove(here.path / "include/new.h");
  CHECK(here.contents() == before);
  // The same texts under other names.
  fs::rename(here.path / "include/a.h", here.path / "include/z.h");
  CHECK(here.contents() != before);
}

TEST_CASE("compile_cache: a toolkit that changed has no answers yet") {
  const place here;
  told_device on;
  on.answer = compiled();
  (void)here.open()->compile(asked(), on);
  here.write("include/a.h", "int c;");
  (void)here.open()->compile(asked(), on);
  CHECK(on.compiles == 2);
  here.write("include/a.h", "int a;");  // as it was: the old answer holds again
  (void)here.open()->compile(asked(), on);
  CHECK(on.compiles == 2);
  here.write("worker", "Program");
  (void)here.open()->compile(asked(), on);
  CHECK(on.compiles == 3);
}

TEST_CASE("compile_cache: a toolkit that changes meanwhile is kept under no name") {
  const place here;
  told_device on;
  on.answer = compiled();
  const auto cache = here.open();
  here.write("include/a.h", "int changed;");
  (void)cache->compile(asked(), on);
  (void)cache->compile(asked(), on);
  CHECK(on.compiles == 2);
  here.write("include/a.h", "int a;");
  (void)here.open()->compile(asked(), on);
  CHECK(on.compiles == 3);
}

TEST_CASE("compile_cache: links in a toolkit are followed, loops end") {
  const place here;
  const std::string before = here.contents();
  here.write("elsewhere/l.h", "int l;");
  fs::create_directory_symlink(here.path / "elsewhere",
                               here.path / "include/linked");
  const std::string linked = here.contents();
  CHECK(linked != before);
  here.write("elsewhere/l.h", "int m;");
  CHECK(here.contents() != linked);
  fs::create_symlink(here.path / "nowhere", here.path / "include/dangling.h");
  CHECK(toolkit_files(here.cuda).ok());
  fs::create_directory_symlink(here.path / "include",
                               here.path / "include/again");
  CHECK_FALSE(toolkit_files(here.cuda).ok());
}

TEST_CASE("compile_cache: without the files of a compiler there is no cache") {
  const place here;
  CHECK_FALSE(compile_cache::open(here.folder(), here.cuda, "/nowhere", "").ok());
  fs::remove_all(here.path / "lib");
  const auto made =
      compile_cache::open(here.folder(), here.cuda, here.program(), "");
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().why == reason::library_missing);
}

TEST_CASE("compile_cache: a hang that was paid for is not paid for again") {
  const place here;
  told_device on;
  const auto cache = here.open();
  for (const reason why : {reason::child_died, reason::child_timed_out}) {
    on.compiles = 0;
    const compile_request bomb = asked("bomb " + std::string(name(why)));
    on.answer = fault{why, "the words"};
    on.each_costs = stopped_worth_seconds;
    CHECK_FALSE(cache->compile(bomb, on).ok());
    const auto again = cache->compile(bomb, on);
    REQUIRE_FALSE(again.ok());
    CHECK(again.error().why == why);
    CHECK(again.error().what == "the words");
    CHECK(on.compiles == 1);
  }
}

TEST_CASE("compile_cache: troubles of this machine are not kept") {
  const place here;
  told_device on;
  const auto cache = here.open();
  const auto twice = [&](const char* source) {
    on.compiles = 0;
    (void)cache->compile(asked(source), on);
    (void)cache->compile(asked(source), on);
    return on.compiles == 2;
  };
  // Stopped without much CPU time: the machine was busy.
  on.answer = fault{reason::child_timed_out, "late"};
  on.each_costs = stopped_worth_seconds - 1;
  CHECK(twice("a"));
  on.answer = fault{reason::child_died, "killed"};
  CHECK(twice("b"));
  on.each_costs = 100;
  on.answer = fault{reason::library_failed, "broken"};
  CHECK(twice("c"));
  on.answer = fault{reason::too_large, "memory"};
  CHECK(twice("d"));
  on.answer = fault{reason::child_protocol, "nonsense"};
  CHECK(twice("e"));
  // Killed by somebody else, after however long.
  on.answer = fault{reason::child_died, "killed"};
  on.gone = true;
  CHECK(twice("g"));
  CHECK(cached_device(std::make_unique<told_device>(on), *cache).killed());
  on.gone = false;
  image given_up;
  given_up.log = "the compiler ran out of memory";
  given_up.gave_up = true;
  on.answer = given_up;
  CHECK(twice("f"));
}

TEST_CASE("compile_cache: an entry that makes no sense is a miss") {
  const place here;
  told_device on;
  on.answer = compiled();
  const auto cache = here.open();
  (void)cache->compile(asked(), on);
  // Every entry gets each of these contents, under its right name and digest.
  std::vector<std::string> keys;
  for (const auto& each : fs::directory_iterator(here.folder()))
    if (each.path().filename().string().size() == 64)
      keys.push_back(each.path().filename().string());
  REQUIRE(keys.size() == 3);  // the toolkit's, the program's, the answer
  image few = compiled();
  few.kernels.pop_back();
  const std::string stopped_now =
      "s" + std::string("\0\0\0\0\0\0\0\0", 8);  // cut
  for (const std::string& content :
       {std::string(), std::string("a"), std::string("x123"), stopped_now,
        "a" + wire::encode(few), "a" + wire::encode(compiled()) + "x"}) {
    for (const std::string& key : keys) {
      auto disk = disk_cache::open(here.folder());
      REQUIRE(disk.value()->keep(key, content));
    }
    const int before = on.compiles;
    CHECK(same(here.open()->compile(asked(), on).value(), compiled()));
    CHECK(on.compiles == before + 1);
    CHECK(same(here.open()->compile(asked(), on).value(), compiled()));
    CHECK(on.compiles == before + 1);
  }
}

TEST_CASE("compile_cache: which sources are kept") {
  for (const char* source :
       {"int x;\n", "#include <cuda_fp16.h>\nint x;\n",
        "/* a */ #  include <cub/block/block_reduce.cuh> // why\n#define N 4\n",
        "#include <a.h> /* b */\r\n", "#pragma unroll 4\n#line 3\n",
        "// include what you use\n", "#ifdef N\n#endif\n",
        "#define N 4\n#if N > 3 && defined(__CUDA_ARCH__)\n#endif\n",
        "#define A \\\n  1\n",
        "asm(\"mov.u32 %0, %laneid; // #1\");\n", "#if __CUDA_ARCH__ >= 900\n",
        "", "x % y;\n"})
    CHECK_MESSAGE(!not_cacheable(source).has_value(), source, ": ",
                  not_cacheable(source).value_or(""));
  for (const char* source :
       {"#include \"a.h\"\n", "#include </etc/passwd>\n",
        "#include <../a.h>\n", "#include <a/../../b.h>\n", "#include A\n",
        "#include <a.h> x\n", "#include <a b.h>\n", "#include <>\n",
        "#include <a.h\n", "#include_next <a.h>\n", "#import <a.h>\n",
        "#embed <a.h>\n", "%:include \"a.h\"\n", "#inc\\\nlude \"a.h\"\n",
        "#inc\\ \nlude \"a.h\"\n", "#\\\ninclude \"a.h\"\n",
        "# /* \n */ include \"a.h\"\n", "#/**/include \"a.h\"\n",
        "#/**/if CAT(__has_inc, lude)(<a>)\n",
        "#\\u0069nclude \"a.h\"\n", "?" "?=include \"a.h\"\n",
        "#if __has_include(<a.h>)\n", "#if 1 /* \n */ && __has_include(<a>)\n",
        "// not a directive: #include \"a.h\"\n", "const char* t = __TIME__;\n",
        "__DATE__", "__TIMESTAMP__", "__TI\\\nME__",
        "#define P(a, b) a##b\nP(__TI, ME__)", "#define P(a, b) a%:%:b\n", "#define A 1\n#include <a.h>\n",
        "#undef A\n#include <a.h>\n", "#if A\n", "#if CAT(__has_inc, lude)(<a>)\n",
        "#define CUDA_VERSION CAT(__has_inc, lude)(<a>)\n#if CUDA_VERSION\n",
        "#define N 4\n#undef N\n#define N F(<a>)\n#elif N\n", "#\vinclude <a>\n",
        "#include <a.h> // b \\\n#include \"c\"\n"})
    CHECK_MESSAGE(not_cacheable(source).has_value(), source);
}

TEST_CASE("compile_cache: what is not kept is compiled each time, and counted") {
  const place here;
  told_device on;
  on.answer = compiled();
  const auto cache = here.open();
  (void)cache->compile(asked("#include \"a.h\"\n"), on);
  (void)cache->compile(asked("#include \"a.h\"\n"), on);
  CHECK(on.compiles == 2);
  CHECK(cache->counts().not_cacheable == 2);
  CHECK(cache->counts().misses == 0);
}

TEST_CASE("compile_cache: a cached device is the device it wraps") {
  const place here;
  const auto cache = here.open();
  auto under = std::make_unique<told_device>();
  told_device& on = *under;
  on.answer = compiled();
  on.used = 7;
  cached_device wrapped(std::move(under), *cache);
  CHECK(wrapped.name() == "told");
  CHECK(wrapped.target() == "sm_90a");
  CHECK(wrapped.cpu_used() == 7);
  CHECK(wrapped.load("x").ok());
  CHECK(wrapped.run({}).ok());
  (void)wrapped.compile(asked());
  (void)wrapped.compile(asked());
  CHECK(on.compiles == 1);
}
