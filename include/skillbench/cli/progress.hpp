#pragma once
// cli/progress.hpp: one line that says how far a campaign is.
//
// Layer   7. To a terminal it is one line that is written over; anywhere else a
//         line now and then.

#include <cstddef>
#include <string>

#include <skillbench/campaign.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/finding.hpp>

namespace skillbench::cli {

// "7 of 18 judged: 3 correct, 2 not, 2 unjudged; 1.4/s, about 8 s to go; 2 wrong"
[[nodiscard]] inline std::string words_of(const progress& now) {
  const std::size_t failed = now.done - now.correct - now.unjudged - now.faults;
  std::string text =
      now.earlier > 0 ? fmt::format("{} kept from before; ", now.earlier) : "";
  text += fmt::format("{} of {} judged: {} correct, {} not, {} unjudged",
                      now.done, now.all, now.correct, failed, now.unjudged);
  if (now.faults > 0) text += fmt::format(", {} could not be tried", now.faults);
  text += "; ";
  if (now.done > 0 && now.elapsed > 0) {
    const double rate = static_cast<double>(now.done) / now.elapsed;
    text += fmt::format("{:.{}f}/s, ", rate, rate < 0.1 ? 2 : rate < 10 ? 1 : 0);
  }
  if (now.done == now.all)
    text += "took " + duration(now.elapsed);
  else if (now.left)
    text += "about " + duration(*now.left) + " to go";
  else
    text += duration(now.elapsed);
  // Last, where a narrow terminal cuts.
  std::string kinds;
  for (const auto& [what, count] : now.reached)
    if (what != outcome::correct && what != outcome::unjudged)
      kinds += fmt::format("{}{} {}", kinds.empty() ? "; " : ", ", count,
                           name(what));
  return text + kinds;
}

class progress_line {
 public:
  explicit progress_line(stream& to) : to_(to) {}

  void show(const progress& now) {
    if (to_.terminal()) {
      const std::string text = shortened(words_of(now), to_.width() - 1);
      if (text == shown_) return;
      shown_ = text;
      to_.write("\r\x1b[K" + text);
      (void)to_.flush();
      return;
    }
    const bool last = now.done == now.all;
    if (now.done == told_ || (!last && now.elapsed < next_)) return;
    told_ = now.done;
    next_ = now.elapsed + seconds_between;
    to_.line(words_of(now));
    (void)to_.flush();
  }

  // Leaves the last words where they are, and the cursor on a line of its own.
  void end() {
    if (to_.terminal() && !shown_.empty()) to_.write("\n");
    shown_.clear();
  }
  // Before other words go to the same terminal.
  void clear() {
    if (to_.terminal() && !shown_.empty()) to_.write("\r\x1b[K");
    shown_.clear();
  }

 private:
  static constexpr double seconds_between = 10;

  stream& to_;
  std::string shown_;
  std::size_t told_ = 0;
  double next_ = 0;
};

}  // namespace skillbench::cli
