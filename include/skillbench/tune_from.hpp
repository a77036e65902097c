#pragma once
// tune_from.hpp: what another tuning came to, from its file or its journal.
//
// Layer   6. json_space.hpp reads files, tune_journal.hpp keeps journals.
// Reads   a cache file of Kernel Tuner or T4 results, packed by gzip or not; the
//         folder of a journal, each tuning in it (by its key) by itself.
// Errors  what the disk says; bad_input with the path, and the place in the file
//         where it has one. A line of a journal that cannot be used is told in
//         `troubles` and the rest is read.

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/gzip.hpp>
#include <skillbench/json_space.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/recording.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/tune_journal.hpp>

namespace skillbench {

inline constexpr std::size_t most_recording = std::size_t{1} << 30;  // bytes

// The text of a recording, unpacked.
[[nodiscard]] inline result<std::string> read_recording_text(
    const std::string& path) {
  auto bytes = gathering::read_text(path, most_recording);
  if (!bytes) return bytes.error();
  if (bytes.value().size() > most_recording)
    return fault{reason::bad_input, path + ": a recording has at most " +
                                        std::to_string(most_recording) +
                                        " bytes"};
  if (!is_gzip(bytes.value())) return bytes;
  auto plain = gunzip(bytes.value(), most_recording);
  if (!plain) return fault{plain.error().why, path + ": " + plain.error().what};
  return plain;
}

// The tunings of a journal but those with one of the keys `but`; of two trials
// with one setting the later one counts.
[[nodiscard]] inline result<std::vector<earlier_tuning>> read_earlier_journal(
    const std::string& folder, const std::vector<std::string>& but,
    std::vector<fault>& troubles) {
  std::map<std::string, std::map<std::string, earlier_trial>> all;
  bool own = false;
  const auto looked = read_journal(
      folder,
      [&](std::string&& key, kernel_trial&& trial) {
        for (const std::string& each : but)
          if (key == each) {
            own = true;
            return;
          }
        const std::string words = setting_words(trial.chosen);
        all[key].insert_or_assign(
            words, earlier_trial{std::move(trial.chosen), trial.nanoseconds});
      },
      troubles);
  if (!looked) return looked.error();
  std::vector<earlier_tuning> made;
  for (auto& [key, trials] : all) {
    earlier_tuning& one = made.emplace_back();
    for (auto& [words, trial] : trials) one.trials.push_back(std::move(trial));
  }
  if (made.empty())
    return fault{reason::bad_input,
                 folder + (own ? ": the journal has no tuning but this very one, "
                                 "which --out goes on with"
                               : ": there is no journal of a tuning")};
  return made;
}

[[nodiscard]] inline result<std::vector<earlier_tuning>> read_earlier_tunings(
    const std::string& path, const std::vector<std::string>& but,
    std::vector<fault>& troubles) {
  std::error_code no_matter;
  if (std::filesystem::is_directory(path, no_matter))
    return read_earlier_journal(path, but, troubles);
  auto text = read_recording_text(path);
  if (!text) return text.error();
  auto made = read_earlier(text.value());
  if (!made)
    return fault{made.error().why,
                 path + ": " + made.error().what +
                     "; a journal is named by its folder"};
  return std::vector<earlier_tuning>{std::move(made).value()};
}

}  // namespace skillbench
