#pragma once
// cli/cache.hpp: which compile cache a command uses, and what it says of it.
//
// Layer   7.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <skillbench/cli/text.hpp>
#include <skillbench/compile_cache.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device/remote.hpp>
#include <skillbench/disk_cache.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/reference.hpp>

namespace skillbench::cli {

struct cache_choice {
  std::string folder;  // "" means the default one
  bool off = false;
};

struct chosen_cache {
  std::unique_ptr<compile_cache> cache;  // may be null
  std::string note;  // why there is none, when nobody asked for none
};

// All that a compile in a child may use, in words: an answer that was cut short
// under other limits is another one.
[[nodiscard]] inline std::string limits_words(const remote_limits& of) {
  return fmt::format("{} {} {} {} {}", of.process.address_space,
                     of.process.stack, of.process.open_files,
                     of.compile.wall_seconds, of.compile.cpu_seconds);
}

// A fault only when the user named a folder that cannot be used.
[[nodiscard]] inline result<chosen_cache> open_cache(
    const cache_choice& asked, const toolkit& from, const std::string& program) {
  chosen_cache made;
  if (asked.off) return made;
  cache_place place = asked.folder.empty() ? default_cache_place()
                                           : cache_place{asked.folder, "", false};
  if (place.turned_off) return made;
  if (place.folder.empty()) {
    made.note = std::move(place.why_not);
    return made;
  }
  auto opened = compile_cache::open(place.folder, from, program,
                                    limits_words(remote_limits{}));
  if (opened)
    made.cache = std::move(opened).value();
  else if (!asked.folder.empty())
    return fault{opened.error().why, "--cache: " + opened.error().what};
  else
    made.note = opened.error().what;
  return made;
}

[[nodiscard]] inline std::string size_words(std::uint64_t bytes) {
  if (bytes < 1000 * 1000) return fmt::format("{} KB", (bytes + 999) / 1000);
  if (bytes < 1000 * 1000 * 1000)
    return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

// "compile cache: 36 hits, 18 misses, 3 sources not cached"; "" when nothing
// was asked of it.
[[nodiscard]] inline std::string cache_summary(const compile_cache& of) {
  const compile_counts told = of.counts();
  if (told.hits + told.misses + told.not_cacheable == 0) return "";
  const auto some = [](std::uint64_t count, const char* what,
                       const char* many) {
    return fmt::format("{} {}", count, count == 1 ? what : many);
  };
  std::string text = "compile cache: " + some(told.hits, "hit", "hits") +
                     ", " + some(told.misses, "miss", "misses");
  if (told.not_cacheable > 0)
    text += ", " + some(told.not_cacheable, "compile", "compiles") +
            " that cannot be cached";
  if (const std::uint64_t lost = of.disk_counts().not_kept; lost > 0)
    text += "; " + some(lost, "answer", "answers") +
            " could not be written to " + printable(of.path());
  if (const std::uint64_t bad = of.disk_counts().damaged; bad > 0)
    text += "; " + some(bad, "damaged entry", "damaged entries") + " removed";
  return text;
}

// The last line of a campaign's progress: what was not done twice.
inline void tell_caches(std::string compiles, const reference_counts& references,
                        stream& trouble) {
  if (references.used_again + references.computed > 0)
    compiles += fmt::format("{}references: {} computed, {} used again",
                            compiles.empty() ? "" : "; ", references.computed,
                            references.used_again);
  if (!compiles.empty()) trouble.line(compiles);
}

}  // namespace skillbench::cli
