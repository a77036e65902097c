// kills.cpp: kills a campaign and its workers at random moments, and counts what
// that cost. `make kills` does it 400 times; a test does it a few times.
//
//   kills COUNT [SEED]
//
// The program judges outputs that cost little with --json --resume, and is
// killed (SIGKILL) at a random moment; half the time one of its workers is
// killed first. Then it is started again, and at the end let through. When a
// campaign is over before the kills are, another one begins in a new folder.
//
//   acknowledged  records that were on standard output before a kill, or as a
//                 whole line in the folder
//   kept          records that the folder holds at the end
//   doubled       records of an output that has one already
//   lost          acknowledged and not kept
//   changed       outputs whose verdict is another one than without any kill
//
// Exit code 1 when anything is lost, doubled, changed or missing.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <skillbench/json_record.hpp>
#include <skillbench/records.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

// 400 outputs: prose, manifests without a family, sources that do not compile,
// repeats, and three kernels that are judged to the end.
constexpr std::size_t outputs = 400;

void write_outputs(const fs::path& in) {
  const std::string right = text_of(
      SKILLBENCH_SOURCE_DIR "/kernels/geglu/right/row_blocks.md");
  for (std::size_t i = 0; i < outputs; ++i) {
    const std::string n = std::to_string(i % 10 == 9 ? i - 9 : i);
    std::string text = "I would rather not write kernel " + n + ".\n";
    if (i % 10 == 3)
      text = "```cuda\n// " + n + "\n__global__ void geglu() {}\n```\n";
    if (i % 10 == 5)
      text = "/* skillbench\n{\"family\": \"geglu\", \"entry\": "
             "\"geglu<{T}>\", \"args\": [\"x\", \"y\", \"rows\", \"cols\"],\n"
             " \"grid\": [\"rows\"], \"block\": [\"256\"]}\n*/\n"
             "template <typename T>\n__global__ void geglu(const T* x, T* y, "
             "int rows, int cols) { y[0] = undeclared_" + n + "; }\n";
    if (i % 150 == 77) text = right + "\nThis is answer " + n + ".\n";
    write(in / "out/m" / (i % 2 ? "baseline" : "with_skill") / "geglu" /
              (std::to_string(i) + (i % 10 == 5 ? ".cu" : ".md")),
          text);
  }
}

// The program at work in a folder.
class running {
 public:
  explicit running(const fs::path& in) {
    process_ = ::fork();
    if (process_ != 0) return;
    const auto opened = [](const char* path, int as) {
      const int file = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
      return file >= 0 && ::dup2(file, as) == as;
    };
    if (::chdir(in.c_str()) == 0 && opened(".out", 1) && opened(".trouble", 2))
      ::execl(SKILLBENCH_PROGRAM, "skillbench", "run", "out", "--out", "kept",
              "--device", "ptx", "--json", "--resume", "--jobs", "2",
              "--no-cache", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ~running() {
    if (process_ > 0) (void)end(SIGKILL);
  }
  running(const running&) = delete;
  running& operator=(const running&) = delete;

  [[nodiscard]] bool is_over() const {
    siginfo_t seen{};
    return ::waitid(P_PID, static_cast<id_t>(process_), &seen,
                    WEXITED | WNOHANG | WNOWAIT) == 0 &&
           seen.si_pid == process_;
  }
  [[nodiscard]] int end(int with = 0) {
    if (with != 0) ::kill(process_, with);
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // One of its children; false when it has none now. A child's number is its
  // own until its parent, which may reap it meanwhile, has it again: so only
  // what still is a child of that parent is killed.
  [[nodiscard]] bool kill_worker(std::mt19937_64& random) const {
    std::vector<pid_t> all;
    const std::string own = std::to_string(process_);
    std::error_code ignored;
    for (const auto& each :
         fs::directory_iterator("/proc/" + own + "/task", ignored)) {
      std::ifstream in(each.path() / "children");
      for (pid_t one = 0; in >> one;) all.push_back(one);
    }
    if (all.empty()) return false;
    return ::kill(all[random() % all.size()], SIGKILL) == 0;
  }

 private:
  pid_t process_ = -1;
};

std::size_t lines_in(const fs::path& file) {
  const std::string text = text_of(file);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

using verdicts = std::map<std::string, outcome>;

// Of the whole lines that a program has printed.
verdicts printed(const fs::path& file) {
  verdicts found;
  const std::string text = text_of(file);
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos;
       at = end + 1)
    if (const auto one =
            read_record(std::string_view(text).substr(at, end - at)))
      found[one.value().of.id] = one.value().what;
  return found;
}

struct counts {
  std::size_t acknowledged = 0, kept = 0, doubled = 0, lost = 0, changed = 0,
              missing = 0, unsound = 0, failed = 0;
};

}  // namespace

int main(int count, char** words) {
  const long wanted = count > 1 ? std::atol(words[1]) : 0;
  if (wanted < 1 || count > 3)
    return std::fprintf(stderr, "usage: kills COUNT [SEED]\n"), 2;
  std::mt19937_64 random(
      count > 2 ? static_cast<std::uint64_t>(std::atoll(words[2])) : 1);
  std::string name = (fs::temp_directory_path() / "kills-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    return std::fprintf(stderr, "cannot make the folder %s\n", name.c_str()), 3;
  const fs::path all = name;

  // Without any kill.
  write_outputs(all / "calm");
  counts told;
  if (running(all / "calm").end() != 0) ++told.failed;
  const verdicts calm = printed(all / "calm/.out");

  long kills = 0, of_workers = 0;
  int campaigns = 0;
  while (kills < wanted) {
    const fs::path here = all / std::to_string(++campaigns);
    write_outputs(here);
    verdicts acknowledged;
    const auto wait = [&](const running& it, std::size_t more) {
      const std::size_t before = lines_in(here / "kept/records.jsonl");
      while (!it.is_over() &&
             lines_in(here / "kept/records.jsonl") < before + more)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 9000));
    };
    while (kills < wanted) {
      running it(here);
      bool over = false;
      if (random() % 2 && kills + 1 < wanted) {
        wait(it, random() % 16);
        if (it.kill_worker(random)) ++kills, ++of_workers;
      }
      wait(it, random() % 16);
      over = it.is_over();
      if (!over) ++kills;
      (void)it.end(SIGKILL);
      acknowledged.merge(printed(here / ".out"));
      acknowledged.merge(printed(here / "kept/records.jsonl"));
      if (over) break;
    }
    if (running(here).end() != 0) ++told.failed;

    const auto pile = read_records((here / "kept").string());
    verdicts kept;
    if (pile) {
      for (const record& each : pile.value().records)
        kept[each.of.id] = each.what;
      told.doubled += pile.value().replaced;
      told.unsound += pile.value().troubles.size();
      told.kept += pile.value().records.size();
    }
    told.acknowledged += acknowledged.size();
    for (const auto& [id, what] : acknowledged) told.lost += !kept.contains(id);
    for (const auto& [id, what] : calm) {
      const auto found = kept.find(id);
      if (found == kept.end())
        ++told.missing;
      else
        told.changed += found->second != what;
    }
  }
  std::error_code ignored;
  fs::remove_all(all, ignored);

  std::printf("%ld kills (%ld of the program, %ld of workers) in %d campaigns "
              "of %zu outputs\n\n",
              kills, kills - of_workers, of_workers, campaigns, outputs);
  const std::pair<const char*, std::size_t> rows[] = {
      {"acknowledged", told.acknowledged}, {"kept", told.kept},
      {"doubled", told.doubled},           {"lost", told.lost},
      {"missing at the end", told.missing}, {"changed verdicts", told.changed},
      {"lines that are not whole", told.unsound},
      {"last runs that failed", told.failed}};
  for (const auto& [what, number] : rows)
    std::printf("%-26s %6zu\n", what, number);
  const bool fine = calm.size() == outputs && told.doubled + told.lost +
                    told.missing + told.changed + told.unsound +
                    told.failed == 0;
  return fine ? 0 : 1;
}
