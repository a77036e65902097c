// campaign [OUTPUTS]: a campaign of many outputs (default: 4000): records a second,
// memory as it grows, and how busy the cores are.
//
// Outputs Of 1000, 950 are repeats, as low temperatures make them: the text of an
//         earlier output. Of the other 50, 26 are prose, 16 hold a source that
//         does not compile, 7 a manifest that breaks the contract, and 1 is a
//         right kernel for GEGLU with other words around it. Each is a file, as
//         models leave them, about 5 KB long.
// Memory  Of the program, without its workers: VmRSS when a quarter, half and all
//         of the outputs are judged. Every output has its record in the folder
//         as soon as it is made.
// Cores   CPU time of the program and its workers by wall time, a worker for each
//         core. Other work on the machine makes it less, so what is held against
//         the goal is its share of what others left: of it and of idle time.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace fs = std::filesystem;

namespace {

using clock_type = std::chrono::steady_clock;

double since(clock_type::time_point began) {
  return std::chrono::duration<double>(clock_type::now() - began).count();
}

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The one with this number of those that differ.
std::string output(std::size_t n, const std::string& right) {
  const std::string number = std::to_string(n);
  std::string words = "This is answer " + number + ".\n";
  while (words.size() < 2500)
    words += "The kernel reads each row once, keeps its sums in registers and "
             "writes one vector at a time.\n";
  const std::string head =
      "/* skillbench\n{\"family\": \"geglu\", \"entry\": \"geglu<{T}>\", "
      "\"args\": [\"x\", \"y\", \"rows\", \"cols\"],\n";
  const std::string body =
      "*/\ntemplate <typename T>\n__global__ void geglu(const T* x, T* y, int "
      "rows, int cols) { y[0] = undeclared_" + number + "; }\n```\n";
  switch (const std::size_t kind = n % 50; kind) {
    case 49: return words + right;
    default:
      if (kind < 26) return words;
      if (kind < 42)
        return words + "```cuda\n" + head +
               " \"grid\": [\"rows\"], \"block\": [\"256\"]}\n" + body;
      return words + "```cuda\n" + head + " \"grid\": [\"rows\"]}\n" + body;
  }
}

void write_outputs(const fs::path& in, std::size_t count) {
  const std::string right =
      text_of(SKILLBENCH_SOURCE_DIR "/kernels/geglu/right/row_blocks.md");
  const std::size_t different = std::max<std::size_t>(count / 20, 1);
  for (std::size_t i = 0; i < count; ++i) {
    const fs::path folder =
        in / (i % 2 ? "baseline" : "with_skill") / "geglu";
    fs::create_directories(folder);
    // 7919 is a prime: the repeats are spread over all.
    std::ofstream(folder / (std::to_string(i) + ".md"), std::ios::binary)
        << output(i * 7919 % different, right);
  }
}

std::size_t lines_in(const fs::path& file) {
  const std::string text = text_of(file);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

double megabytes(pid_t process, const char* what) {
  std::ifstream in("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(what))
      return static_cast<double>(std::atol(line.c_str() + 7)) / 1024;
  return 0;
}

// Seconds in which cores of this machine had nothing to do.
double idle_seconds() {
  std::ifstream in("/proc/stat");
  std::string word;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0;
  in >> word >> user >> nice >> system >> idle >> waiting;
  return (idle + waiting) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

struct told {
  double wall = 0, cpu = 0, idle = 0, most = 0;
  std::vector<std::pair<std::size_t, double>> memory;  // records, MB
  std::size_t records = 0;
  int code = -1;
};

told run(const fs::path& in, const std::string& out, std::size_t count,
         const std::string& jobs, bool resume = false) {
  told made;
  const auto began = clock_type::now();
  const double idle = idle_seconds();
  const pid_t process = ::fork();
  if (process == 0) {
    const int quiet = ::open("/dev/null", O_WRONLY);
    const int said = ::open((in / "said").c_str(),
                            O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (::chdir(in.c_str()) == 0 && ::dup2(quiet, 1) == 1 &&
        ::dup2(said, 2) == 2)
      ::execl(SKILLBENCH_PROGRAM, "skillbench", "run", "model", "--out",
              out.c_str(), "--device", "ptx", "--jobs", jobs.c_str(), "--no-cache",
              resume ? "--resume" : static_cast<char*>(nullptr),
              static_cast<char*>(nullptr));
    ::_exit(127);
  }
  const fs::path records = in / out / "records.jsonl";
  std::error_code none;
  double resident = 0;
  int status = 0;
  for (;;) {
    rusage used{};
    if (::wait4(process, &status, WNOHANG, &used) == process) {
      for (const timeval& each : {used.ru_utime, used.ru_stime})
        made.cpu += static_cast<double>(each.tv_sec) +
                    1e-6 * static_cast<double>(each.tv_usec);
      break;
    }
    const std::size_t parts = made.memory.size() == 0   ? count / 4
                              : made.memory.size() == 1 ? count / 2
                                                        : count;
    // Nothing once it has ended.
    if (const double now = megabytes(process, "VmHWM:"); now > made.most)
      made.most = now;
    if (const double now = megabytes(process, "VmRSS:"); now > 0) resident = now;
    if (made.memory.size() < 3 && fs::exists(records, none)) {
      const std::size_t lines = lines_in(records);
      if (lines >= parts)
        made.memory.emplace_back(lines, resident);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(
        std::clamp<std::size_t>(count / 40, 20, 250)));
  }
  made.wall = since(began);
  made.idle = idle_seconds() - idle;
  made.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  made.records = lines_in(records);
  if (made.memory.size() == 2) made.memory.emplace_back(made.records, resident);
  return made;
}

}  // namespace

int main(int count, char** words) {
  const long asked = count > 1 ? std::atol(words[1]) : 4000;
  if (asked < 40 || asked > 1'000'000)
    return std::fprintf(stderr, "usage: campaign [OUTPUTS], 40 or more\n"), 2;
  const auto outputs = static_cast<std::size_t>(asked);
  std::string name = (fs::temp_directory_path() / "campaign-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    return std::fprintf(stderr, "cannot make %s\n", name.c_str()), 1;
  const fs::path here = name;
  write_outputs(here / "model", outputs);

  const unsigned cores = std::max(std::thread::hardware_concurrency(), 1u);
  const std::string jobs = std::to_string(cores);
  const told two = run(here, "two", outputs, jobs);
  std::printf("%zu outputs, %zu of them different, --jobs %s\n\n", outputs,
              std::max<std::size_t>(outputs / 20, 1), jobs.c_str());
  std::printf("records           %zu (exit code %d)\n", two.records, two.code);
  std::printf("wall, CPU         %.1f s, %.1f s\n", two.wall, two.cpu);
  std::printf("records a second  %.1f\n",
              static_cast<double>(two.records) / two.wall);
  const double share = two.cpu / std::max(two.cpu + two.idle, 1e-9);
  std::printf("cores busy        %.2f of %u; idle %.2f, the rest is others'\n",
              two.cpu / two.wall, cores, two.idle / two.wall);
  std::printf("of what was left  %.0f%%; goal 90%%, as 1.8 of 2: %s\n", 100 * share,
              share >= 0.9 ? "met" : "NOT met");
  for (const auto& [records, memory] : two.memory)
    std::printf("memory at %-7zu %.0f MB\n", records, memory);
  std::printf("memory at most    %.0f MB\n", two.most);

  const told again = run(here, "two", outputs, jobs, true);
  std::printf("--resume, nothing to do: %.1f s, %zu records, at most %.0f MB\n",
              again.wall, again.records, again.most);

  std::error_code ignored;
  fs::remove_all(here, ignored);
  return two.code == 0 && again.code == 0 ? 0 : 1;
}
