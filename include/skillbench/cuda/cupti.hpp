#pragma once
// cuda/cupti.hpp: kernel records and hardware counters, as CUPTI tells.
//
// Layer   3. cuda/library.hpp; structures and prototypes are our own, held
//         against the toolkit's headers by tests/cupti_test.cpp.
// Units   nanoseconds of the GPU's clock for records: only differences within
//         one record mean anything, since clocks drift.
// Errors  library_missing without CUPTI, library_failed for what it answers,
//         with the call, the metric and CUPTI's own words. no_permission: 35
//         (counters are for the administrator), 41 (confidential computing), 43
//         (a MIG slice).
// Driver  Metrics, passes and config images need none. Everything of `tracing`
//         and `ranges` crashes without one, so it takes a context as proof.
// Source  CUPTI 13.0: Activity API, Profiler Host API, Range Profiler API.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/fault.hpp>

namespace skillbench::cuda {

// ---- structures of CUPTI ------------------------------------------------------

namespace cupti_abi {

struct host_initialize {
  std::size_t size = sizeof(host_initialize);
  void* reserved = nullptr;
  int profiler = 0;  // the range profiler
  const char* chip = nullptr;
  const std::uint8_t* availability = nullptr;
  void* host = nullptr;
};
struct host_deinitialize {
  std::size_t size = sizeof(host_deinitialize);
  void* reserved = nullptr;
  void* host = nullptr;
};
struct host_chips {
  std::size_t size = sizeof(host_chips);
  void* reserved = nullptr;
  std::size_t count = 0;
  const char* const* names = nullptr;
};
struct host_base_metrics {
  std::size_t size = sizeof(host_base_metrics);
  void* reserved = nullptr;
  void* host = nullptr;
  int kind = 0;
  const char** names = nullptr;
  std::size_t count = 0;
};
struct host_properties {
  std::size_t size = sizeof(host_properties);
  void* reserved = nullptr;
  void* host = nullptr;
  const char* metric = nullptr;
  const char* description = nullptr;
  const char* unit_of_hardware = nullptr;
  const char* unit = nullptr;
  int kind = 0;
};
// The size that CUPTI wants ends with the last field: no tail padding.
inline constexpr std::size_t properties_size = offsetof(host_properties, kind) + sizeof(int);
struct host_add_metrics {
  std::size_t size = sizeof(host_add_metrics);
  void* reserved = nullptr;
  void* host = nullptr;
  const char** names = nullptr;
  std::size_t count = 0;
};
struct host_image_size {
  std::size_t size = sizeof(host_image_size);
  void* reserved = nullptr;
  void* host = nullptr;
  std::size_t bytes = 0;
};
struct host_image {
  std::size_t size = sizeof(host_image);
  void* reserved = nullptr;
  void* host = nullptr;
  std::size_t bytes = 0;
  std::uint8_t* image = nullptr;
};
struct host_passes {
  std::size_t size = sizeof(host_passes);
  void* reserved = nullptr;
  std::size_t bytes = 0;
  std::uint8_t* image = nullptr;
  std::size_t passes = 0;
};
struct host_values {
  std::size_t size = sizeof(host_values);
  void* reserved = nullptr;
  void* host = nullptr;
  const std::uint8_t* data = nullptr;
  std::size_t bytes = 0;
  std::size_t range = 0;
  const char** names = nullptr;
  std::size_t count = 0;
  double* values = nullptr;
};
struct profiler_initialize {
  std::size_t size = sizeof(profiler_initialize);
  void* reserved = nullptr;
};
struct chip_name {
  std::size_t size = sizeof(chip_name);
  void* reserved = nullptr;
  std::size_t device = 0;
  const char* chip = nullptr;
};
struct range_enable {
  std::size_t size = sizeof(range_enable);
  void* reserved = nullptr;
  void* context = nullptr;
  void* profiler = nullptr;
};
struct range_object {  // disable, start, pop
  std::size_t size = sizeof(range_object);
  void* reserved = nullptr;
  void* profiler = nullptr;
};
struct range_push {
  std::size_t size = sizeof(range_push);
  void* reserved = nullptr;
  void* profiler = nullptr;
  const char* name = nullptr;
};
struct range_stop {
  std::size_t size = 0;
  void* reserved = nullptr;
  void* profiler = nullptr;
  std::size_t pass = 0, level = 0;
  std::uint8_t all_passes = 0;
};
inline constexpr std::size_t stop_size = offsetof(range_stop, all_passes) + 1;
struct range_decode {
  std::size_t size = sizeof(range_decode);
  void* reserved = nullptr;
  void* profiler = nullptr;
  std::size_t dropped = 0;
};
struct range_data_size {
  std::size_t size = sizeof(range_data_size);
  void* reserved = nullptr;
  void* profiler = nullptr;
  const char** names = nullptr;
  std::size_t count = 0, ranges = 0;
  std::uint32_t nodes = 0;
  std::size_t bytes = 0;
};
struct range_data {
  std::size_t size = sizeof(range_data);
  void* reserved = nullptr;
  void* profiler = nullptr;
  std::size_t bytes = 0;
  std::uint8_t* data = nullptr;
};
struct range_config {
  std::size_t size = 0;
  void* reserved = nullptr;
  void* profiler = nullptr;
  std::size_t config_bytes = 0;
  const std::uint8_t* config = nullptr;
  std::size_t data_bytes = 0;
  std::uint8_t* data = nullptr;
  int range = 0, replay = 0;
  std::size_t ranges = 0;
  std::uint16_t levels = 0, least_level = 0;
  std::size_t pass = 0;
  std::uint16_t level = 0;
};
inline constexpr std::size_t config_size = offsetof(range_config, level) + sizeof(std::uint16_t);
inline constexpr int user_range = 2, user_replay = 3;

// As much of a kernel record as is read; it is longer.
struct kernel_record {
  std::uint32_t kind;
  std::uint8_t cache, shared;
  std::uint16_t registers;
  std::uint32_t partitioned[2];
  std::uint64_t start, end, completed;
  std::uint32_t device, context, stream;
  std::int32_t grid[3], block[3], static_shared, dynamic_shared;
  std::uint32_t local_of_thread, local_total, correlation;
};
struct external_record {
  std::uint32_t kind, external_kind;
  std::uint64_t external;
  std::uint32_t correlation, reserved;
};
inline constexpr int kernel_kind = 10, external_kind = 39, custom = 3;

}  // namespace cupti_abi

// ---- the library ----------------------------------------------------------------

struct metric_words {
  std::string description, unit;
};

class cupti {
 public:
  [[nodiscard]] static result<cupti> open(const toolkit& from) {
    std::string path;
    for (const std::string& folder : {from.library_folder, from.root + "/extras/CUPTI/lib64"})
      if (path.empty())
        if (const auto found = cuda_places::newest(folder, "libcupti.so.")) path = *found;
    if (path.empty())
      return fault{reason::library_missing, "there is no libcupti.so in " + from.library_folder + ": install the package cuda-cupti"};
    auto opened = library::open(path, library::lifetime::process);
    if (!opened) return opened.error();
    cupti made(std::move(opened).value());
    made.take(made.words_, "cuptiGetErrorMessage");
    return made;
  }

  [[nodiscard]] const library& held() const noexcept { return library_; }

  [[nodiscard]] fault trouble(int said, const std::string& call, const std::string& on) const {
    const char* text = nullptr;
    if (words_) (void)words_(said, &text);
    const bool refused = said == 35 || said == 41 || said == 43;
    std::string what = call + " on " + on + ": " + (text ? text : "error") + " (" + std::to_string(said) + ")";
    if (said == 35)
      what += "; counters are for the administrator here: load the driver with NVreg_RestrictProfilingToAdminUsers=0, or run as root";
    else if (said == 41)
      what += "; confidential computing is on";
    else if (said == 43)
      what += "; a MIG slice does not count";
    return fault{refused ? reason::no_permission : reason::library_failed, what};
  }

  template <typename P>
  [[nodiscard]] result<done> call(const char* name, P& with, const std::string& on) const {
    const auto found = library_.symbol<int(P*)>(name);
    if (!found) return found.error();
    if (const int said = found.value()(&with); said != 0) return trouble(said, name, on);
    return done{};
  }

  [[nodiscard]] result<std::vector<std::string>> chips() const {
    cupti_abi::host_chips asked;
    if (auto ok = call("cuptiProfilerHostGetSupportedChips", asked, "this machine"); !ok) return ok.error();
    return std::vector<std::string>(asked.names, asked.names + asked.count);
  }
  // Of a GPU; only with a driver and a context.
  [[nodiscard]] result<std::string> chip_of(int ordinal) const {
    cupti_abi::chip_name asked;
    asked.device = static_cast<std::size_t>(ordinal);
    if (auto ok = call("cuptiDeviceGetChipName", asked, "GPU " + std::to_string(ordinal)); !ok) return ok.error();
    return std::string(asked.chip ? asked.chip : "");
  }

 private:
  explicit cupti(library from) : library_(std::move(from)) {}
  template <typename R, typename... A>
  void take(R (*&into)(A...), const char* called) {
    if (auto found = library_.symbol<R(A...)>(called)) into = found.value();
  }

  library library_;
  int (*words_)(int, const char**) = nullptr;
};

// ---- metrics of a chip: no driver is needed ----------------------------------------

class metrics {
 public:
  [[nodiscard]] static result<metrics> of(const cupti& from, const std::string& chip) {
    metrics made(from, chip);
    cupti_abi::host_initialize asked;
    asked.chip = made.chip_.c_str();
    if (auto ok = from.call("cuptiProfilerHostInitialize", asked, "chip " + chip); !ok) return ok.error();
    made.host_ = asked.host;
    return made;
  }
  metrics(metrics&& other) noexcept : from_(other.from_), chip_(std::move(other.chip_)), host_(std::exchange(other.host_, nullptr)) {}
  metrics& operator=(metrics&&) = delete;
  ~metrics() {
    if (!host_) return;
    cupti_abi::host_deinitialize asked;
    asked.host = host_;
    (void)from_->call("cuptiProfilerHostDeinitialize", asked, chip_);
  }

  // Names without a suffix (".sum", ".avg.pct_of_peak_sustained_elapsed").
  [[nodiscard]] result<std::vector<std::string>> names() const {
    std::vector<std::string> all;
    for (int kind = 0; kind < 3; ++kind) {  // counters, ratios, throughputs
      cupti_abi::host_base_metrics asked;
      asked.host = host_;
      asked.kind = kind;
      if (auto ok = from_->call("cuptiProfilerHostGetBaseMetrics", asked, "chip " + chip_); !ok) return ok.error();
      all.insert(all.end(), asked.names, asked.names + asked.count);
    }
    return all;
  }
  [[nodiscard]] result<metric_words> describe(const std::string& metric) const {
    cupti_abi::host_properties asked;
    asked.size = cupti_abi::properties_size;
    asked.host = host_;
    asked.metric = metric.c_str();
    if (auto ok = from_->call("cuptiProfilerHostGetMetricProperties", asked, metric); !ok) return ok.error();
    return metric_words{asked.description ? asked.description : "", asked.unit ? asked.unit : ""};
  }

  // Once for an object: what is added stays.
  [[nodiscard]] result<done> add(const std::vector<std::string>& wanted) {
    names_ = wanted;
    std::vector<const char*> raw = pointers();
    // All at once: what is added alone gets a pass of its own.
    cupti_abi::host_add_metrics all;
    all.host = host_;
    all.names = raw.data();
    all.count = raw.size();
    if (auto ok = from_->call("cuptiProfilerHostConfigAddMetrics", all, "chip " + chip_); !ok) {
      std::string which;  // asked for alone, so that the fault names it
      for (const char* each : raw) {
        cupti_abi::host_add_metrics asked;
        asked.host = host_;
        asked.names = &each;
        asked.count = 1;
        if (!from_->call("cuptiProfilerHostConfigAddMetrics", asked, "")) which += (which.empty() ? "" : ", ") + std::string(each);
      }
      return fault{reason::bad_argument, ok.error().what + ": these metrics are not known: " + (which.empty() ? "none alone" : which)};
    }
    cupti_abi::host_image_size size;
    size.host = host_;
    if (auto ok = from_->call("cuptiProfilerHostGetConfigImageSize", size, "chip " + chip_); !ok) return ok.error();
    image_.assign(size.bytes, 0);
    cupti_abi::host_image got;
    got.host = host_;
    got.bytes = image_.size();
    got.image = image_.data();
    return from_->call("cuptiProfilerHostGetConfigImage", got, "chip " + chip_);
  }
  [[nodiscard]] result<std::size_t> passes() {
    cupti_abi::host_passes asked;
    asked.bytes = image_.size();
    asked.image = image_.data();
    if (auto ok = from_->call("cuptiProfilerHostGetNumOfPasses", asked, "chip " + chip_); !ok) return ok.error();
    return asked.passes;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& image() const noexcept { return image_; }
  [[nodiscard]] const std::vector<std::string>& wanted() const noexcept { return names_; }
  [[nodiscard]] const std::string& chip() const noexcept { return chip_; }

  // In the order they were added.
  [[nodiscard]] result<std::vector<double>> values(const std::vector<std::uint8_t>& data) {
    std::vector<const char*> raw = pointers();
    std::vector<double> told(raw.size());
    cupti_abi::host_values asked;
    asked.host = host_;
    asked.data = data.data();
    asked.bytes = data.size();
    asked.names = raw.data();
    asked.count = raw.size();
    asked.values = told.data();
    if (auto ok = from_->call("cuptiProfilerHostEvaluateToGpuValues", asked, "chip " + chip_); !ok) return ok.error();
    return told;
  }
  [[nodiscard]] std::vector<const char*> pointers() const {
    std::vector<const char*> raw;
    for (const std::string& each : names_) raw.push_back(each.c_str());
    return raw;
  }

 private:
  metrics(const cupti& from, std::string chip) : from_(&from), chip_(std::move(chip)) {}

  const cupti* from_;
  std::string chip_;
  void* host_ = nullptr;
  std::vector<std::string> names_;
  std::vector<std::uint8_t> image_;
};

// Counts what `work` launches and finishes, in as many passes as the metrics need;
// `work` must do the same each time. `context`: the current one.
template <typename Work>
[[nodiscard]] result<std::vector<double>> count_range(const cupti& from, metrics& with, void* context, Work&& work) {
  const std::string on = "chip " + with.chip();
  cupti_abi::profiler_initialize first;
  if (auto ok = from.call("cuptiProfilerInitialize", first, "the process"); !ok) return ok.error();
  cupti_abi::range_enable enable;
  enable.context = context;
  if (auto ok = from.call("cuptiRangeProfilerEnable", enable, on); !ok) return ok.error();
  struct ends {
    const cupti& from;
    void* profiler;
    ~ends() {
      cupti_abi::range_object off;
      off.profiler = profiler;
      (void)from.call("cuptiRangeProfilerDisable", off, "the context");
    }
  } const ending{from, enable.profiler};

  std::vector<const char*> names = with.pointers();
  cupti_abi::range_data_size size;
  size.profiler = enable.profiler;
  size.names = names.data();
  size.count = names.size();
  size.ranges = 1;
  size.nodes = 1;
  if (auto ok = from.call("cuptiRangeProfilerGetCounterDataSize", size, on); !ok) return ok.error();
  std::vector<std::uint8_t> data(size.bytes);
  cupti_abi::range_data blank;
  blank.profiler = enable.profiler;
  blank.bytes = data.size();
  blank.data = data.data();
  if (auto ok = from.call("cuptiRangeProfilerCounterDataImageInitialize", blank, on); !ok) return ok.error();
  cupti_abi::range_config config;
  config.size = cupti_abi::config_size;
  config.profiler = enable.profiler;
  config.config_bytes = with.image().size();
  config.config = with.image().data();
  config.data_bytes = data.size();
  config.data = data.data();
  config.range = cupti_abi::user_range;
  config.replay = cupti_abi::user_replay;
  config.ranges = 1;
  config.levels = 1;
  config.least_level = 1;
  config.level = 1;
  if (auto ok = from.call("cuptiRangeProfilerSetConfig", config, on); !ok) return ok.error();
  for (bool all = false; !all;) {
    cupti_abi::range_object object;
    object.profiler = enable.profiler;
    if (auto ok = from.call("cuptiRangeProfilerStart", object, on); !ok) return ok.error();
    cupti_abi::range_push push;
    push.profiler = enable.profiler;
    push.name = "candidate";
    if (auto ok = from.call("cuptiRangeProfilerPushRange", push, on); !ok) return ok.error();
    if (result<done> ok = work(); !ok) return ok.error();
    if (auto ok = from.call("cuptiRangeProfilerPopRange", object, on); !ok) return ok.error();
    cupti_abi::range_stop stop;
    stop.size = cupti_abi::stop_size;
    stop.profiler = enable.profiler;
    if (auto ok = from.call("cuptiRangeProfilerStop", stop, on); !ok) return ok.error();
    all = stop.all_passes != 0;
  }
  cupti_abi::range_decode decode;
  decode.profiler = enable.profiler;
  if (auto ok = from.call("cuptiRangeProfilerDecodeData", decode, on); !ok) return ok.error();
  if (decode.dropped > 0) return fault{reason::library_failed, "CUPTI dropped what it counted"};
  return with.values(data);
}

// ---- kernel records: only with a driver ----------------------------------------------

// One in a process. What is launched between mark(n) and unmark() is told by n.
class tracing {
 public:
  [[nodiscard]] static result<tracing> start(const cupti& from) {
    tracing made(from);
    const auto need = [&]<typename R, typename... A>(R (*&into)(A...), const char* called) -> result<done> {
      auto found = from.held().symbol<R(A...)>(called);
      if (!found) return found.error();
      into = found.value();
      return done{};
    };
    int (*callbacks)(void (*)(std::uint8_t**, std::size_t*, std::size_t*), void (*)(void*, std::uint32_t, std::uint8_t*, std::size_t, std::size_t)) = nullptr;
    for (const auto& ok : {need(callbacks, "cuptiActivityRegisterCallbacks"), need(made.enable_, "cuptiActivityEnable"), need(made.disable_, "cuptiActivityDisable"),
                           need(made.flush_, "cuptiActivityFlushAll"), need(next(), "cuptiActivityGetNextRecord"), need(made.push_, "cuptiActivityPushExternalCorrelationId"),
                           need(made.pop_, "cuptiActivityPopExternalCorrelationId")})
      if (!ok) return ok.error();
    if (const int said = callbacks(&room, &full); said != 0) return from.trouble(said, "cuptiActivityRegisterCallbacks", "the process");
    for (const int kind : {cupti_abi::kernel_kind, cupti_abi::external_kind})
      if (const int said = made.enable_(kind); said != 0) return from.trouble(said, "cuptiActivityEnable", "kind " + std::to_string(kind));
    return made;
  }
  tracing(tracing&& other) noexcept
      : from_(other.from_), enable_(std::exchange(other.enable_, nullptr)), disable_(other.disable_), flush_(other.flush_), push_(other.push_), pop_(other.pop_) {}
  tracing& operator=(tracing&&) = delete;
  ~tracing() {
    if (!enable_) return;
    (void)disable_(cupti_abi::external_kind);
    (void)disable_(cupti_abi::kernel_kind);
    (void)flush_(1);
  }

  void mark(std::uint64_t number) { (void)push_(cupti_abi::custom, number); }
  void unmark() {
    std::uint64_t last = 0;
    (void)pop_(cupti_abi::custom, &last);
  }

  // Nanoseconds from the start of the first kernel of each mark to the end of its
  // last one; after the stream was waited for.
  [[nodiscard]] std::map<std::uint64_t, double> take() {
    (void)flush_(1);
    const std::lock_guard held(lock());
    std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> spans;
    for (const auto& [correlation, number] : marks()) {
      const auto seen = kernels().find(correlation);
      if (seen == kernels().end()) continue;
      auto [at, fresh] = spans.try_emplace(number, seen->second);
      if (fresh) continue;
      at->second.first = std::min(at->second.first, seen->second.first);
      at->second.second = std::max(at->second.second, seen->second.second);
    }
    kernels().clear();
    marks().clear();
    std::map<std::uint64_t, double> told;
    for (const auto& [number, span] : spans) told[number] = static_cast<double>(span.second - span.first);
    return told;
  }

 private:
  explicit tracing(const cupti& from) : from_(&from) {}

  using next_record = int (*)(std::uint8_t*, std::size_t, void**);
  static next_record& next() { static next_record held = nullptr; return held; }
  static std::mutex& lock() { static std::mutex held; return held; }
  static std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>>& kernels() {
    static std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>> held;
    return held;
  }
  static std::map<std::uint32_t, std::uint64_t>& marks() { static std::map<std::uint32_t, std::uint64_t> held; return held; }

  static void room(std::uint8_t** buffer, std::size_t* size, std::size_t* most) {
    *size = std::size_t{1} << 20;
    *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, *size));
    *most = 0;
  }
  static void full(void*, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t used) {
    const std::lock_guard held(lock());
    void* record = nullptr;
    while (next()(buffer, used, &record) == 0) {
      std::uint32_t kind = 0;
      std::memcpy(&kind, record, sizeof kind);
      if (kind == cupti_abi::kernel_kind) {
        cupti_abi::kernel_record seen;
        std::memcpy(&seen, record, sizeof seen);
        // All kernels of a graph share the number of its launch.
        const auto [at, fresh] = kernels().try_emplace(seen.correlation, seen.start, seen.end);
        if (!fresh) at->second = {std::min(at->second.first, seen.start), std::max(at->second.second, seen.end)};
      } else if (kind == cupti_abi::external_kind) {
        cupti_abi::external_record seen;
        std::memcpy(&seen, record, sizeof seen);
        marks()[seen.correlation] = seen.external;
      }
    }
    std::free(buffer);
  }

  const cupti* from_;
  int (*enable_)(int) = nullptr;
  int (*disable_)(int) = nullptr;
  int (*flush_)(std::uint32_t) = nullptr;
  int (*push_)(int, std::uint64_t) = nullptr;
  int (*pop_)(int, std::uint64_t*) = nullptr;
};

}  // namespace skillbench::cuda
