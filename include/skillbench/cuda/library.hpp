#pragma once
// cuda/library.hpp: where the CUDA toolkit is, and its libraries opened at run
// time.
//
// Layer   3. Standard library, fault.hpp and dlopen. No header of CUDA is
//         included and no library of CUDA is linked: a program that was linked
//         with libcuda does not start on a machine without a driver.
// Errors  reason::library_missing when a library or the toolkit is not there,
//         reason::library_failed when it is there and cannot be used. The text
//         of a missing toolkit names every place that was tried.
// Price   Files are asked for with POSIX calls: <filesystem> would cost every
//         reader of a device twenty thousand lines.
// Source  CUDA 12.4 to 13.0: layouts of the runfile, of the distributions'
//         packages (targets/<architecture>) and of Debian (/usr).

#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <skillbench/fault.hpp>

namespace skillbench {

struct toolkit {
  std::string root;            // "/usr/local/cuda-13.0"
  std::string include;         // holds cuda_runtime.h
  std::string library_folder;  // holds libnvrtc.so.*
  std::string version;         // "13.0"
};

inline constexpr std::string_view toolkit_advice =
    "install the CUDA toolkit 12.4 or later (packages cuda-nvrtc-dev, "
    "cuda-cudart-dev, cccl) or set CUDA_PATH to where it is";

// The oldest release whose NVRTC compiles for sm_90a as this project asks.
inline constexpr int least_cuda_version = 12040;  // 1000 * major + 10 * minor

namespace cuda_places {

[[nodiscard]] inline bool is_file(const std::string& at) {
  struct stat seen {};
  return ::stat(at.c_str(), &seen) == 0 && S_ISREG(seen.st_mode);
}

[[nodiscard]] inline bool is_folder(const std::string& at) {
  struct stat seen {};
  return ::stat(at.c_str(), &seen) == 0 && S_ISDIR(seen.st_mode);
}

// The names in a folder that start with `prefix` and are longer; none if it
// cannot be read.
[[nodiscard]] inline std::vector<std::string> names(const std::string& folder,
                                                    std::string_view prefix) {
  std::vector<std::string> found;
  DIR* const open = ::opendir(folder.c_str());
  if (!open) return found;
  while (const dirent* const entry = ::readdir(open)) {
    const std::string_view name = entry->d_name;
    if (name.size() > prefix.size() && name.starts_with(prefix))
      found.emplace_back(name);
  }
  ::closedir(open);
  return found;
}

// "libnvrtc.so.12.4.99" -> {12, 4, 99}; by these the newest is chosen.
[[nodiscard]] inline std::vector<int> numbers(std::string_view text) {
  std::vector<int> found;
  bool inside = false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (digit && !inside) found.push_back(0);
    if (digit && found.back() < 100'000'000)
      found.back() = found.back() * 10 + (c - '0');
    inside = digit;
  }
  return found;
}

// The path of the newest file in `folder` whose name starts with `prefix`.
[[nodiscard]] inline std::optional<std::string> newest(
    const std::string& folder, std::string_view prefix) {
  std::string best;
  for (std::string& name : names(folder, prefix))
    if (best.empty() || numbers(best) < numbers(name)) best = std::move(name);
  if (best.empty()) return std::nullopt;
  return folder + "/" + best;
}

#if defined(__aarch64__)
inline constexpr const char* target_folders[] = {"/targets/sbsa-linux",
                                                 "/targets/aarch64-linux"};
inline constexpr const char* debian_folder = "/lib/aarch64-linux-gnu";
#else
inline constexpr const char* target_folders[] = {"/targets/x86_64-linux"};
inline constexpr const char* debian_folder = "/lib/x86_64-linux-gnu";
#endif

// 1000 * major + 10 * minor from the headers, 0 when they do not say.
[[nodiscard]] inline int header_version(const std::string& include) {
  const std::pair<const char*, std::string_view> says[] = {
      {"/cuda.h", "#define CUDA_VERSION "},
      {"/cuda_runtime_api.h", "#define CUDART_VERSION "}};
  for (const auto& [file, mark] : says) {
    std::FILE* const in = std::fopen((include + file).c_str(), "re");
    if (!in) continue;
    int version = 0;
    char line[512];
    while (version == 0 && std::fgets(line, sizeof line, in)) {
      const std::string_view text = line;
      if (!text.starts_with(mark)) continue;
      const std::vector<int> found = numbers(text.substr(mark.size()));
      if (!found.empty()) version = found.front();
    }
    std::fclose(in);
    if (version > 0) return version;
  }
  return 0;
}

[[nodiscard]] inline std::string version_text(int version) {
  return std::to_string(version / 1000) + "." +
         std::to_string(version % 1000 / 10);
}

// A toolkit at `root`, or what is missing there.
[[nodiscard]] inline std::variant<toolkit, std::string> look(
    const std::string& root) {
  if (!is_folder(root)) return std::string("no such folder");

  std::vector<std::string> includes{root + "/include"};
  std::vector<std::string> folders{root + "/lib64", root + "/lib",
                                   root + debian_folder};
  for (const char* const target : target_folders) {
    includes.push_back(root + target + "/include");
    folders.push_back(root + target + "/lib");
  }

  toolkit found;
  found.root = root;
  for (const std::string& include : includes)
    if (found.include.empty() && is_file(include + "/cuda_runtime.h"))
      found.include = include;
  for (const std::string& folder : folders)
    if (found.library_folder.empty() && newest(folder, "libnvrtc.so."))
      found.library_folder = folder;
  if (found.include.empty() && found.library_folder.empty())
    return std::string("neither include/cuda_runtime.h nor libnvrtc.so");
  if (found.include.empty()) return std::string("no include/cuda_runtime.h");
  if (found.library_folder.empty()) return std::string("no libnvrtc.so");

  const int version = header_version(found.include);
  if (version == 0) return std::string("its headers do not tell its version");
  if (version < least_cuda_version)
    return "version " + version_text(version) + " is older than " +
           version_text(least_cuda_version);
  found.version = version_text(version);
  return found;
}

}  // namespace cuda_places

// A library opened with dlopen, closed with its last owner.
class library {
 public:
  enum class lifetime { owner, process };

  // `name` is a path, or a bare name for the loader's own search. A library
  // that starts threads or registers handlers at exit must stay until the
  // process ends: lifetime::process.
  [[nodiscard]] static result<library> open(const std::string& name,
                                            lifetime until) {
    const int flags = RTLD_NOW | RTLD_LOCAL |
                      (until == lifetime::process ? RTLD_NODELETE : 0);
    if (void* const handle = ::dlopen(name.c_str(), flags))
      return library{name, handle};
    const char* const said = ::dlerror();
    const bool there =
        name.find('/') != std::string::npos && cuda_places::is_file(name);
    return fault{there ? reason::library_failed : reason::library_missing,
                 "cannot open the library " + name + ": " +
                     (said ? said : "the loader gave no reason")};
  }

  library(library&& other) noexcept
      : name_(std::move(other.name_)),
        handle_(std::exchange(other.handle_, nullptr)) {}
  library& operator=(library&& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~library() {
    if (handle_) ::dlclose(handle_);
  }

  // `Function` is the prototype, such as int(unsigned).
  template <typename Function>
  [[nodiscard]] result<Function*> symbol(const char* called) const {
    ::dlerror();
    if (void* const found = ::dlsym(handle_, called))
      return reinterpret_cast<Function*>(found);
    const char* const said = ::dlerror();
    return fault{reason::library_failed,
                 "the library " + name_ + " has no function " + called + ": " +
                     (said ? said : "the loader gave no reason")};
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  library(std::string name, void* handle)
      : name_(std::move(name)), handle_(handle) {}

  std::string name_;
  void* handle_ = nullptr;
};

// The first usable toolkit: CUDA_PATH, CUDA_HOME, then the usual places, the
// newest of /usr/local/cuda-* first.
[[nodiscard]] inline result<toolkit> find_toolkit() {
  std::vector<std::pair<std::string, std::string>> places;  // path, why
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"})
    if (const char* const value = std::getenv(variable); value && *value)
      places.emplace_back(value, std::string(variable) + " = ");
  places.emplace_back("/usr/local/cuda", "");
  std::vector<std::string> versions = cuda_places::names("/usr/local", "cuda-");
  while (!versions.empty()) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < versions.size(); ++i)
      if (cuda_places::numbers(versions[best]) <
          cuda_places::numbers(versions[i]))
        best = i;
    places.emplace_back("/usr/local/" + versions[best], "");
    versions.erase(versions.begin() + static_cast<std::ptrdiff_t>(best));
  }
  for (const char* path : {"/opt/cuda", "/usr/lib/cuda", "/usr"})
    places.emplace_back(path, "");

  std::string tried;
  for (const auto& [path, why] : places) {
    auto seen = cuda_places::look(path);
    if (auto* const found = std::get_if<toolkit>(&seen))
      return std::move(*found);
    if (!tried.empty()) tried += "; ";
    tried += why + path + ": " + std::get<std::string>(seen);
  }
  return fault{reason::library_missing, "no CUDA toolkit was found (tried " +
                                            tried + "): " +
                                            std::string(toolkit_advice)};
}

// What a child with an empty environment needs so that its find_toolkit() ends
// at the same place.
[[nodiscard]] inline std::vector<std::string> toolkit_environment(
    const toolkit& found) {
  return {"CUDA_PATH=" + found.root};
}

// What the loader is asked for: a path where SKILLBENCH_DRIVER names one.
[[nodiscard]] inline std::string driver_name() {
  const char* const told = std::getenv("SKILLBENCH_DRIVER");
  return told && *told ? told : "libcuda.so.1";
}

struct driver_state {
  bool usable = false;  // there is a driver and at least one GPU
  int devices = 0;
  int version = 0;      // newest CUDA that the driver serves, as 13000
  std::string what;     // one sentence for a person
};

// Asks the driver, and never fails: a machine without one is a usual machine.
[[nodiscard]] inline driver_state driver_status() {
  driver_state told;
  const result<library> driver =
      library::open(driver_name(), library::lifetime::process);
  if (!driver) {
    told.what =
        "no GPU can be used: there is no NVIDIA driver on this machine (" +
        driver.error().what + ")";
    return told;
  }
  const auto init = driver.value().symbol<int(unsigned)>("cuInit");
  const auto count = driver.value().symbol<int(int*)>("cuDeviceGetCount");
  if (!init || !count) {
    told.what = "no GPU can be used: " +
                (init ? count.error().what : init.error().what);
    return told;
  }
  const auto words = [&](int status) {
    std::string text = "error " + std::to_string(status);
    const char* name = nullptr;
    if (const auto ask = driver.value().symbol<int(int, const char**)>(
            "cuGetErrorName");
        ask && ask.value()(status, &name) == 0 && name)
      text = name;
    return text;
  };
  if (const auto ask =
          driver.value().symbol<int(int*)>("cuDriverGetVersion"))
    if (ask.value()(&told.version) != 0) told.version = 0;
  if (const int status = init.value()(0); status != 0) {
    told.what =
        "no GPU can be used: cuInit of the driver said " + words(status);
    return told;
  }
  if (const int status = count.value()(&told.devices); status != 0) {
    told.devices = 0;
    told.what = "no GPU can be used: cuDeviceGetCount of the driver said " +
                words(status);
    return told;
  }
  told.usable = told.devices > 0;
  told.what = told.usable
                  ? std::to_string(told.devices) + " GPU" +
                        (told.devices == 1 ? "" : "s") + ", driver for CUDA " +
                        cuda_places::version_text(told.version)
                  : "no GPU can be used: the driver is there and sees no GPU";
  return told;
}

}  // namespace skillbench
