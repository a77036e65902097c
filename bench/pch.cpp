// What headers cost a candidate that is compiled for its three element types:
// three compiles, three that share NVRTC's precompiled headers, and one program
// that holds all three kernels.
//
// CPU milliseconds, user and system, the least of several processes each. NVRTC
// keeps precompiled headers in files of the folder TMPDIR, whose size is told.

#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/hash.hpp>

namespace {

using namespace skillbench;

constexpr int repeats = 2;

// Prototypes of our own, as everywhere: no header of CUDA is needed to build.
struct compiler {
  int (*version)(int*, int*);
  int (*create)(void**, const char*, const char*, int, const char* const*,
                const char* const*);
  int (*add)(void*, const char*);
  int (*compile)(void*, int, const char* const*);
  int (*size)(void*, std::size_t*);
  int (*text)(void*, char*);
  int (*destroy)(void**);
};

enum class mode { each, precompiled, one_program };

struct measured {
  bool ok = false;
  double milliseconds = 0;
  double megabytes = 0;  // of files
  char ptx[17] = "";     // a hash of all of it
};

double cpu_milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) +
         1e-6 * static_cast<double>(now.tv_nsec);
}

std::string source_with(const std::vector<std::string>& headers) {
  std::string text;
  for (const std::string& each : headers) text += "#include <" + each + ">\n";
  return text +
         "template <typename T>\n"
         "__global__ void twice(const T* x, T* y, int n) {\n"
         "  const int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
         "  if (i < n) y[i] = T(2.0f * float(x[i]));\n"
         "}\n";
}

// Compiles for every name of `entries` in one program; its PTX, "" when it was
// refused.
std::string compiled(const compiler& by, const std::string& source,
                     const std::vector<std::string>& entries,
                     const std::vector<std::string>& options) {
  void* program = nullptr;
  if (by.create(&program, source.c_str(), "candidate.cu", 0, nullptr,
                nullptr) != 0)
    return "";
  for (const std::string& each : entries) by.add(program, each.c_str());
  std::vector<const char*> words;
  for (const std::string& each : options) words.push_back(each.c_str());
  std::string ptx;
  std::size_t size = 0;
  if (by.compile(program, static_cast<int>(words.size()), words.data()) == 0 &&
      by.size(program, &size) == 0) {
    ptx.resize(size);
    if (by.text(program, ptx.data()) != 0) ptx.clear();
  }
  by.destroy(&program);
  return ptx;
}

// The files that NVRTC keeps below `folder` while this process lives.
double megabytes_below(const std::string& folder) {
  double sum = 0;
  for (const std::string& name : cuda_places::names(folder, "")) {
    if (name == "." || name == "..") continue;
    struct stat seen {};
    const std::string path = folder + "/" + name;
    if (::lstat(path.c_str(), &seen) != 0) continue;
    sum += S_ISDIR(seen.st_mode) ? megabytes_below(path)
                                 : static_cast<double>(seen.st_size) / 1e6;
  }
  return sum;
}

measured measure(const compiler& by, const std::string& source,
                 std::vector<std::string> options, mode how,
                 const std::string& folder) {
  const std::vector<std::string> entries{"twice<float>", "twice<__half>",
                                         "twice<__nv_bfloat16>"};
  if (how == mode::precompiled)
    options.insert(options.end(),
                   {"--pch", "--pch-messages=false", "--pch-verbose=false"});
  measured told;
  std::string all;
  const double before = cpu_milliseconds();
  if (how == mode::one_program) {
    all = compiled(by, source, entries, options);
    told.ok = !all.empty();
  } else {
    told.ok = true;
    for (const std::string& each : entries) {
      const std::string ptx = compiled(by, source, {each}, options);
      told.ok = told.ok && !ptx.empty();
      all += ptx;
    }
  }
  told.milliseconds = cpu_milliseconds() - before;
  told.megabytes = megabytes_below(folder);
  std::snprintf(told.ptx, sizeof told.ptx, "%s", hash_text(all).c_str());
  return told;
}

// In processes of their own: precompiled headers live as long as one.
measured least(const compiler& by, const std::string& source,
               const std::vector<std::string>& options, mode how,
               const std::string& folder) {
  measured best;
  std::fflush(stdout);  // or every child would print it again
  for (int i = 0; i < repeats; ++i) {
    int channel[2];
    if (::pipe(channel) != 0) return {};
    const pid_t child = ::fork();
    if (child == 0) {
      const measured told = measure(by, source, options, how, folder);
      const bool sent =
          ::write(channel[1], &told, sizeof told) == sizeof told;
      std::exit(sent ? 0 : 1);  // and NVRTC removes its files
    }
    ::close(channel[1]);
    measured told;
    if (::read(channel[0], &told, sizeof told) != sizeof told) told = {};
    ::close(channel[0]);
    int status = 0;
    if (child > 0) ::waitpid(child, &status, 0);
    if (!told.ok) return told;
    if (!best.ok || told.milliseconds < best.milliseconds) best = told;
  }
  return best;
}

std::string machine() {
  std::ifstream in("/proc/cpuinfo");
  std::string model;
  for (std::string line; model.empty() && std::getline(in, line);)
    if (line.starts_with("model name"))
      model = line.substr(line.find(':') + 2);
  return (model.empty() ? std::string("unknown processor") : model) + ", " +
         std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " cores";
}

}  // namespace

int main() {
  const auto cuda = find_toolkit();
  if (!cuda) {
    std::printf("not measured: %s\n", cuda.error().what.c_str());
    return 0;
  }
  const std::string& folder_of = cuda.value().library_folder;
  const auto helper = library::open(
      cuda_places::newest(folder_of, "libnvrtc-builtins.so.").value_or(""),
      library::lifetime::process);
  const auto opened = library::open(
      cuda_places::newest(folder_of, "libnvrtc.so.").value_or(""),
      library::lifetime::process);
  if (!helper || !opened) {
    std::printf("not measured: no NVRTC in %s\n", folder_of.c_str());
    return 0;
  }
  compiler by{};
  bool whole = true;
  const auto bind = [&]<typename F>(F*& into, const char* called) {
    const auto found = opened.value().symbol<F>(called);
    whole = whole && found.ok();
    if (found) into = found.value();
  };
  bind(by.version, "nvrtcVersion");
  bind(by.create, "nvrtcCreateProgram");
  bind(by.add, "nvrtcAddNameExpression");
  bind(by.compile, "nvrtcCompileProgram");
  bind(by.size, "nvrtcGetPTXSize");
  bind(by.text, "nvrtcGetPTX");
  bind(by.destroy, "nvrtcDestroyProgram");
  int major = 0, minor = 0;
  if (!whole || by.version(&major, &minor) != 0) {
    std::printf("not measured: this NVRTC is not one we know\n");
    return 0;
  }

  std::string folder = "/tmp/pch_XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr ||
      ::setenv("TMPDIR", folder.c_str(), 1) != 0) {
    std::printf("not measured: no folder for temporary files\n");
    return 1;
  }
  const std::string& include = cuda.value().include;
  std::vector<std::string> options{"-arch=sm_90a",
                                   "-std=c++17",
                                   "-I" + include,
                                   "-I" + include + "/cccl",
                                   "--ptxas-options=-v",
                                   "-lineinfo"};
  // Without it every process makes up other names.
  if (major >= 13) options.push_back("--frandom-seed=1");
  const std::vector<std::string> types{"cuda_fp16.h", "cuda_bf16.h"};
  const std::vector<std::string> beside[] = {
      {},
      {"mma.h"},
      {"cuda/std/type_traits"},
      {"cuda/ptx"},
      {"cooperative_groups.h"},
      {"cuda/barrier"},
      {"cub/block/block_reduce.cuh"},
      {"cooperative_groups.h", "cooperative_groups/reduce.h",
       "cub/block/block_reduce.cuh"}};

  std::printf(
      "Headers of a candidate compiled for three element types, CPU ms.\n"
      "%s; NVRTC %d.%d; sm_90a\n\n"
      "%-44s %9s %9s %6s %5s %8s %9s %6s\n",
      machine().c_str(), major, minor, "beside cuda_fp16.h and cuda_bf16.h",
      "without", "--pch", "ratio", "PTX", "files MB", "one prog.", "ratio");
  for (const std::vector<std::string>& each : beside) {
    std::vector<std::string> headers = each;
    headers.insert(headers.end(), types.begin(), types.end());
    std::string name;
    for (const std::string& one : each) name += (name.empty() ? "" : " ") + one;
    if (each.size() > 1)
      name = "cooperative groups with reduce, and CUB";
    const std::string source = source_with(headers);
    const measured plain = least(by, source, options, mode::each, folder);
    if (!plain.ok) {
      std::printf("%-44s does not compile\n", name.c_str());
      continue;
    }
    std::printf("%-44s %9.0f", name.empty() ? "nothing" : name.c_str(),
                plain.milliseconds);
    const measured pch = least(by, source, options, mode::precompiled, folder);
    if (pch.ok)
      std::printf(" %9.0f %6.2f %5s %8.0f", pch.milliseconds,
                  pch.milliseconds / plain.milliseconds,
                  std::strcmp(pch.ptx, plain.ptx) == 0 ? "same" : "other",
                  pch.megabytes);
    else  // NVRTC before 12.8
      std::printf(" %9s %6s %5s %8s", "none", "", "", "");
    const measured one = least(by, source, options, mode::one_program, folder);
    if (one.ok)
      std::printf(" %9.0f %6.2f\n", one.milliseconds,
                  one.milliseconds / plain.milliseconds);
    else
      std::printf(" %9s\n", "refused");
  }
  ::rmdir(folder.c_str());
  return 0;
}
