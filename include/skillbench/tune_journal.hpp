#pragma once
// tune_journal.hpp: every trial that was ever made in a folder, by what it
// depends on.
//
// Layer   6. store.hpp keeps the lines, json_trial.hpp says what is in one.
// Shapes  a trial is a sealed line with the key of trial_key(); of two with one
//         key and one setting the later one counts. A line of something else is
//         left alone.
// Threads keep() may be called from several.
// Errors  what store.hpp says of the folder. A line that cannot be used is told
//         in `troubles` and the rest is read.

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
    const auto looked = read_store(
        folder,
        [&](std::string_view line, const store_place&) {
          auto one = read_trial(line);
          if (!one) return;
          auto& [key, trial] = one.value();
          const std::string words = setting_words(trial.chosen);
          made->known_[key].insert_or_assign(words, std::move(trial));
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
