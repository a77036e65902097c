#pragma once
// tune_journal.hpp: every trial that was ever made in a folder, by what it
// depends on.
//
// Layer   6. store.hpp keeps the lines, json_trial.hpp says what is in one.
// Shapes  a trial is a sealed line with the key of trial_key(); of two with one
//         key and one setting the later one counts.
// Threads keep() may be called from several.
// Errors  what store.hpp says of the folder. Lines that cannot be used are told
//         in `troubles`, one for each file, and the rest is read.

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/json_trial.hpp>
#include <skillbench/kernel_trial.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/store.hpp>

namespace skillbench {

// Every trial of a folder with its key, oldest first.
[[nodiscard]] inline result<done> read_journal(
    const std::string& folder,
    const std::function<void(std::string&& key, kernel_trial&&)>& each,
    std::vector<fault>& troubles) {
  struct unusable {
    std::size_t lines = 0;
    std::string first;
  };
  std::map<int, unusable> all;  // by segment
  const auto looked = read_store(
      folder,
      [&](std::string_view line, const store_place& at) {
        auto one = read_trial(line);
        if (one)
          return each(std::move(one.value().first),
                      std::move(one.value().second));
        unusable& some = all[at.segment];
        if (++some.lines == 1) some.first = one.error().what;
      },
      troubles);
  if (!looked) return looked.error();
  for (const auto& [segment, some] : all)
    troubles.push_back(
        {reason::bad_input,
         store_file::path_of(folder, segment) + ": " +
             (some.lines == 1 ? "a trial that cannot be used: "
                              : std::to_string(some.lines) +
                                    " trials that cannot be used, the first: ") +
             some.first});
  return done{};
}

class tune_journal {
 public:
  using by_setting = std::map<std::string, kernel_trial>;  // setting_words(setting)

  // `shared`: others on other machines write there too, and locks may not tell;
  // then this program has a segment of its own.
  [[nodiscard]] static result<std::unique_ptr<tune_journal>> open(
      const std::string& folder, bool shared = false) {
    std::unique_ptr<tune_journal> made(new tune_journal);
    // First what may be written: a repaired end is not read.
    auto lines = shared ? store::open(folder) : store::resume(folder);
    if (!lines) return lines.error();
    made->lines_ = std::make_unique<store>(std::move(lines).value());
    const auto looked = read_journal(
        folder,
        [&](std::string&& key, kernel_trial&& trial) {
          const std::string words = setting_words(trial.chosen);
          made->known_[std::move(key)].insert_or_assign(words, std::move(trial));
        },
        made->troubles);
    if (!looked) return looked.error();
    return made;
  }

  // Trials from before and of this program so far.
  [[nodiscard]] by_setting known(const std::string& key) {
    const std::lock_guard held(lock_);
    const auto found = known_.find(key);
    return found == known_.end() ? by_setting{} : found->second;
  }
  [[nodiscard]] result<done> keep(const std::string& key,
                                  const kernel_trial& it) {
    const std::lock_guard held(lock_);
    known_[key].insert_or_assign(setting_words(it.chosen), it);
    return lines_->append(write_trial(key, it));
  }
  [[nodiscard]] result<done> sync() {
    const std::lock_guard held(lock_);
    return lines_->sync();
  }

  std::vector<fault> troubles;

 private:
  tune_journal() = default;

  std::mutex lock_;
  std::map<std::string, by_setting> known_;
  std::unique_ptr<store> lines_;
};

}  // namespace skillbench
