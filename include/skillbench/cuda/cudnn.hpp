#pragma once
// cuda/cudnn.hpp: cuDNN's graphs, opened at run time: planned and run.
//
// Layer   3. cuda/library.hpp, vendor_graph.hpp; prototypes are our own, no header of
//         cuDNN is included and nothing of it is linked.
// Units   bytes; device memory is a number.
// Errors  reason::library_missing where no cuDNN is found, with every place that
//         was tried; not_supported where it is older than 9.8 or has no way for a
//         graph; library_failed for everything else. The text names the call, what
//         it was made on, cuDNN's own name for the status and what it says of it.
// Place   SKILLBENCH_CUDNN names the library; else libcudnn.so.9 beside the
//         toolkit's libraries, else wherever the loader finds it.
// Threads as cuDNN: a handle is of the thread that uses it, and of the context
//         that was current when it was made.
// Source  cudnn_graph_v9.h of cuDNN 9.19, and cuDNN's page on compiling ahead of
//         time: a plan is made from properties of a device, which need not be
//         there (since 9.8). The properties as text: what 9.19 itself asks for.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/vendor_graph.hpp>

namespace skillbench::cuda {

class cudnn {
 public:
  // A descriptor of the library's, destroyed with its owner.
  class descriptor {
   public:
    descriptor() = default;
    descriptor(const cudnn& from, void* held) : from_(&from), held_(held) {}
    descriptor(descriptor&& other) noexcept : from_(other.from_), held_(std::exchange(other.held_, nullptr)) {}
    descriptor& operator=(descriptor&& other) noexcept {
      std::swap(from_, other.from_);
      std::swap(held_, other.held_);
      return *this;
    }
    ~descriptor() {
      if (held_) (void)from_->destroy_(held_);
    }
    [[nodiscard]] void* get() const noexcept { return held_; }

   private:
    const cudnn* from_ = nullptr;
    void* held_ = nullptr;
  };

  // How a graph is run on one device. Lives no longer than the cudnn it is of.
  struct plan {
    std::string what;
    std::vector<descriptor> parts;  // of the graph, in its order
    descriptor config, way;
    std::int64_t workspace = 0;
    std::vector<vendor_tensor> tensors;
  };

  [[nodiscard]] static result<std::unique_ptr<cudnn>> open(const std::string& library_folder) {
    std::vector<std::string> places;
    std::string tried;
    if (const char* const told = std::getenv("SKILLBENCH_CUDNN"); told && *told) {
      places.emplace_back(told);
    } else {
      const std::string beside = library_folder + "/" + soname;
      if (cuda_places::is_file(beside)) places.push_back(beside);
      else if (!library_folder.empty()) tried = "no " + beside + "; ";
      places.emplace_back(soname);
    }
    for (const std::string& each : places) {
      auto opened = library::open(each, library::lifetime::process);
      if (!opened) {
        tried += opened.error().what + "; ";
        continue;
      }
      std::unique_ptr<cudnn> made(new cudnn(std::move(opened).value()));
      if (auto ready = made->load(); !ready) return ready.error();
      return made;
    }
    tried.resize(tried.size() - 2);
    return fault{reason::library_missing, "there is no cuDNN 9 here (" + tried + "): install it, or set SKILLBENCH_CUDNN to its library"};
  }
  cudnn(const cudnn&) = delete;
  cudnn& operator=(const cudnn&) = delete;
  ~cudnn() {
    if (handle_) (void)end_handle_(handle_);
  }

  // "9.19.0"
  [[nodiscard]] std::string version() const {
    const std::size_t all = version_();
    return std::to_string(all / 10000) + "." + std::to_string(all / 100 % 100) + "." + std::to_string(all % 100);
  }
  [[nodiscard]] const std::string& path() const noexcept { return library_.name(); }
  [[nodiscard]] bool stand_in() const noexcept { return stand_in_; }  // the tests' own

  // Of the context that is current on this thread.
  [[nodiscard]] result<descriptor> this_device() {
    if (!handle_)
      if (const int said = make_handle_(&handle_); said != 0) return trouble(said, "cudnnCreate", "this thread's GPU");
    auto made = create(cudnn_number::device_properties, "the GPU's properties");
    if (!made) return made;
    if (const int said = set_(made.value().get(), cudnn_number::device_handle, cudnn_number::handle, 1, &handle_); said != 0)
      return trouble(said, "cudnnBackendSetAttribute", "the GPU's properties");
    return finished(std::move(made).value(), "the GPU's properties");
  }
  // Of a device that need not be here, as text.
  [[nodiscard]] result<descriptor> device_of(const std::string& properties) const {
    auto made = create(cudnn_number::device_properties, "properties of a GPU");
    if (!made) return made;
    // The library reads up to the end of the text, and counts that.
    if (const int said = set_(made.value().get(), cudnn_number::device_json, cudnn_number::character, static_cast<std::int64_t>(properties.size()) + 1, properties.c_str()); said != 0)
      return trouble(said, "cudnnBackendSetAttribute", "properties of a GPU");
    return finished(std::move(made).value(), "properties of a GPU");
  }

  // The first way that the library's own heuristics name and that can be planned.
  [[nodiscard]] result<plan> plan_of(const vendor_graph& graph, const descriptor& on) const {
    namespace n = cudnn_number;
    plan made;
    made.what = graph.what;
    made.tensors = graph.tensors;
    for (const vendor_descriptor& each : graph.descriptors) {
      auto one = part(each, made.parts, graph.what);
      if (!one) return one.error();
      made.parts.push_back(std::move(one).value());
    }
    if (made.parts.empty()) return fault{reason::bad_argument, graph.what + " has no parts"};

    std::string tried;
    for (const int mode : {n::best, n::fallback}) {
      auto configs = ways(made.parts.back(), mode, on, graph.what);
      if (!configs) {
        if (configs.error().why != reason::not_supported) return configs.error();
        tried += (tried.empty() ? "" : "; ") + configs.error().what;
        continue;
      }
      for (descriptor& config : configs.value()) {
        auto way = planned(config, on, graph.what);
        if (!way) {
          if (way.error().why != reason::not_supported) return way.error();
          if (tried.size() < most_words) tried += (tried.empty() ? "" : "; ") + way.error().what;
          continue;
        }
        std::int64_t count = 0;
        if (const int said = get_(way.value().get(), n::plan_workspace, n::int64, 1, &count, &made.workspace); said != 0)
          return trouble(said, "cudnnBackendGetAttribute", "the plan of " + graph.what);
        made.config = std::move(config);
        made.way = std::move(way).value();
        return made;
      }
    }
    return fault{reason::not_supported, "cuDNN " + version() + " has no way for its " + graph.what + (tried.empty() ? "" : ": " + tried)};
  }

  // Hands the plan's kernels to the stream. `pointers` are those of the plan's
  // tensors in order; numbers are its own.
  [[nodiscard]] result<done> run(const plan& of, const std::vector<std::uint64_t>& pointers, std::uint64_t workspace, void* stream) {
    namespace n = cudnn_number;
    if (pointers.size() != of.tensors.size()) return fault{reason::bad_argument, of.what + " has " + std::to_string(of.tensors.size()) + " tensors, not " + std::to_string(pointers.size())};
    if (!handle_) return fault{reason::bad_argument, of.what + " was planned for no GPU of this process"};
    struct number {
      float real;
      std::int32_t whole;
    };
    std::vector<number> numbers(of.tensors.size());
    std::vector<std::int64_t> ids;
    std::vector<void*> at;
    for (std::size_t i = 0; i < of.tensors.size(); ++i) {
      const vendor_tensor& each = of.tensors[i];
      numbers[i] = {static_cast<float>(each.number), each.integer ? static_cast<std::int32_t>(each.number) : 0};
      ids.push_back(each.id);
      at.push_back(!each.name.empty() ? reinterpret_cast<void*>(pointers[i]) : each.integer ? static_cast<void*>(&numbers[i].whole) : static_cast<void*>(&numbers[i].real));
    }
    auto pack = create(n::variant_pack, "the tensors of " + of.what);
    if (!pack) return pack.error();
    void* const held = pack.value().get();
    void* const room = reinterpret_cast<void*>(workspace);
    const auto count = static_cast<std::int64_t>(ids.size());
    int said = set_(held, n::pack_pointers, n::void_pointer, count, at.data());
    if (said == 0) said = set_(held, n::pack_ids, n::int64, count, ids.data());
    if (said == 0) said = set_(held, n::pack_workspace, n::void_pointer, 1, &room);
    if (said != 0) return trouble(said, "cudnnBackendSetAttribute", "the tensors of " + of.what);
    if (said = finalize_(held); said != 0) return trouble(said, "cudnnBackendFinalize", "the tensors of " + of.what);
    if (said = set_stream_(handle_, stream); said != 0) return trouble(said, "cudnnSetStream", "the stream");
    if (said = execute_(handle_, of.way.get(), held); said != 0) return trouble(said, "cudnnBackendExecute", of.what);
    return done{};
  }

 private:
  static constexpr const char* soname = "libcudnn.so.9";
  static constexpr std::size_t least_version = 90800;
  static constexpr std::size_t most_words = 600;
  static constexpr std::int64_t most_ways = 16;

  explicit cudnn(library from) : library_(std::move(from)) {}

  [[nodiscard]] result<done> load() {
    std::string missing;
    const auto take = [&]<typename R, typename... A>(R (*&into)(A...), const char* called) {
      if (auto found = library_.symbol<R(A...)>(called)) into = found.value();
      else if (missing.empty()) missing = called;
    };
    take(version_, "cudnnGetVersion");
    take(words_, "cudnnGetErrorString");
    take(last_words_, "cudnnGetLastErrorString");
    take(make_handle_, "cudnnCreate");
    take(end_handle_, "cudnnDestroy");
    take(set_stream_, "cudnnSetStream");
    take(create_, "cudnnBackendCreateDescriptor");
    take(destroy_, "cudnnBackendDestroyDescriptor");
    take(finalize_, "cudnnBackendFinalize");
    take(set_, "cudnnBackendSetAttribute");
    take(get_, "cudnnBackendGetAttribute");
    take(execute_, "cudnnBackendExecute");
    stand_in_ = static_cast<bool>(library_.symbol<int()>("skillbench_stand_in"));
    if (!missing.empty()) return fault{reason::library_failed, "the library " + library_.name() + " has no function " + missing + ": it is no cuDNN 9"};
    if (version_() < least_version) return fault{reason::not_supported, "cuDNN " + version() + " in " + library_.name() + " is older than 9.8"};
    return done{};
  }

  // What the library says of its last error is its trace; the first line names
  // what was wrong.
  [[nodiscard]] fault trouble(int said, const std::string& call, const std::string& on) const {
    char told[2048] = "";
    last_words_(told, sizeof told);
    told[sizeof told - 1] = 0;
    const char* const name = words_(said);
    std::string text = call + " on " + on + ": " + (name ? name : "error") + " (" + std::to_string(said) + ")";
    std::string more = told;
    if (const std::size_t end = more.find('\n'); end != std::string::npos) more.resize(end);
    if (!more.empty()) text += ", " + more.substr(0, 200);
    constexpr int not_supported = 3;  // and what is wanting, in thousands
    return fault{said / 1000 == not_supported ? reason::not_supported : reason::library_failed, std::move(text)};
  }

  [[nodiscard]] result<descriptor> create(int kind, const std::string& on) const {
    void* held = nullptr;
    if (const int said = create_(kind, &held); said != 0) return trouble(said, "cudnnBackendCreateDescriptor", on);
    return descriptor(*this, held);
  }
  [[nodiscard]] result<descriptor> finished(descriptor made, const std::string& on) const {
    if (const int said = finalize_(made.get()); said != 0) return trouble(said, "cudnnBackendFinalize", on);
    return made;
  }

  [[nodiscard]] result<descriptor> part(const vendor_descriptor& from, const std::vector<descriptor>& earlier, const std::string& what) const {
    namespace n = cudnn_number;
    const std::string on = "part " + std::to_string(earlier.size()) + " (kind " + std::to_string(from.kind) + ") of " + what;
    auto made = create(static_cast<int>(from.kind), on);
    if (!made) return made;
    for (const vendor_attribute& each : from.attributes) {
      const auto count = static_cast<std::int64_t>(each.values.size());
      int said = 0;
      const auto put = [&](const void* values) { said = set_(made.value().get(), static_cast<int>(each.name), static_cast<int>(each.type), count, values); };
      if (each.type == n::backend_descriptor) {
        std::vector<void*> held;
        for (const std::int64_t at : each.values) {
          if (at < 0 || static_cast<std::size_t>(at) >= earlier.size()) return fault{reason::bad_argument, on + " names a part that is none before it"};
          held.push_back(earlier[static_cast<std::size_t>(at)].get());
        }
        put(held.data());
      } else if (each.type == n::int64) {
        put(each.values.data());
      } else if (each.type == n::boolean) {
        std::vector<unsigned char> flags(each.values.begin(), each.values.end());
        put(flags.data());
      } else {
        std::vector<int> choices(each.values.begin(), each.values.end());
        put(choices.data());
      }
      if (said != 0) return trouble(said, "cudnnBackendSetAttribute", "attribute " + std::to_string(each.name) + " of " + on);
    }
    return finished(std::move(made).value(), on);
  }

  [[nodiscard]] result<std::vector<descriptor>> ways(const descriptor& graph, int mode, const descriptor& device, const std::string& what) const {
    namespace n = cudnn_number;
    const std::string on = "the ways for " + what;
    auto asked = create(n::heuristics, on);
    if (!asked) return asked.error();
    void* const held = asked.value().get();
    void* const of = graph.get();
    void* const at = device.get();
    int said = set_(held, n::heuristics_graph, n::backend_descriptor, 1, &of);
    if (said == 0) said = set_(held, n::heuristics_mode, n::heuristics_mode_type, 1, &mode);
    if (said == 0) said = set_(held, n::heuristics_device, n::backend_descriptor, 1, &at);
    if (said != 0) return trouble(said, "cudnnBackendSetAttribute", on);
    if (said = finalize_(held); said != 0) return trouble(said, "cudnnBackendFinalize", on);
    std::vector<descriptor> made;
    std::vector<void*> raw;
    for (std::int64_t i = 0; i < most_ways; ++i) {
      auto one = create(n::engine_config, on);
      if (!one) return one.error();
      raw.push_back(one.value().get());
      made.push_back(std::move(one).value());
    }
    std::int64_t count = 0;
    said = get_(held, n::heuristics_results, n::backend_descriptor, most_ways, &count, raw.data());
    if (said != 0) return trouble(said, "cudnnBackendGetAttribute", on);
    made.erase(made.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::int64_t>(count, 0, most_ways)), made.end());
    return made;
  }

  [[nodiscard]] result<descriptor> planned(const descriptor& config, const descriptor& device, const std::string& what) const {
    namespace n = cudnn_number;
    const std::string on = "a plan of " + what;
    auto made = create(n::execution_plan, on);
    if (!made) return made;
    void* const how = config.get();
    void* const at = device.get();
    int said = set_(made.value().get(), n::plan_engine_config, n::backend_descriptor, 1, &how);
    if (said == 0) said = set_(made.value().get(), n::plan_device, n::backend_descriptor, 1, &at);
    if (said != 0) return trouble(said, "cudnnBackendSetAttribute", on);
    return finished(std::move(made).value(), on);
  }

  library library_;
  bool stand_in_ = false;
  void* handle_ = nullptr;
  std::size_t (*version_)() = nullptr;
  const char* (*words_)(int) = nullptr;
  void (*last_words_)(char*, std::size_t) = nullptr;
  int (*make_handle_)(void**) = nullptr;
  int (*end_handle_)(void*) = nullptr;
  int (*set_stream_)(void*, void*) = nullptr;
  int (*create_)(int, void**) = nullptr;
  int (*destroy_)(void*) = nullptr;
  int (*finalize_)(void*) = nullptr;
  int (*set_)(void*, int, int, std::int64_t, const void*) = nullptr;
  int (*get_)(const void*, int, int, std::int64_t, std::int64_t*, void*) = nullptr;
  int (*execute_)(void*, void*, void*) = nullptr;
};

}  // namespace skillbench::cuda
