#pragma once
// earlier.hpp: what a folder of records holds already, by key.
//
// Layer   6. store.hpp reads the lines, json_record.hpp what they say.
// Order   A later record goes before an earlier one.
// Memory  About 200 bytes a record; the records themselves are read again when
//         they are asked for.
// Errors  A line that cannot be used is told in `troubles` and the rest is
//         read. `find` is a fault when the folder changed meanwhile.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/record.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/store.hpp>

namespace skillbench {

// Whether a record of one is a record of the other: all that is written of a
// sample but the path, which depends on where the program was started.
[[nodiscard]] inline bool same_sample(const sample& a, const sample& b) {
  return a.id == b.id && a.model == b.model && a.arm == b.arm &&
         a.skill == b.skill && a.task == b.task && a.draw == b.draw &&
         a.pair == b.pair && a.input_tokens == b.input_tokens &&
         a.output_tokens == b.output_tokens && a.turns == b.turns &&
         a.cost_usd == b.cost_usd &&
         a.seconds == b.seconds;
}

class earlier_records {
 public:
  [[nodiscard]] static result<earlier_records> read(
      const std::string& folder) {
    earlier_records made;
    made.folder_ = folder;
    const auto done = read_store(
        folder,
        [&](std::string_view line, const store_place& at) {
          const auto one = read_record(line);
          if (!one)
            made.troubles.push_back(
                {reason::bad_input, store_file::path_of(folder, at.segment) +
                                        ": a record that cannot be used: " +
                                        one.error().what});
          else if (!one.value().key.empty())
            made.keys_[one.value().key].push_back({at, one.value().of.id});
        },
        made.troubles);
    if (!done) return done.error();
    return made;
  }

  [[nodiscard]] bool knows(const std::string& key) const {
    return keys_.contains(key);
  }

  // The last record of this key with this sample's id, or else of any; not for
  // a key that is not known.
  [[nodiscard]] result<record> find(const std::string& key,
                                    const sample& of) const {
    const auto known = keys_.find(key);
    if (known == keys_.end())
      return fault{reason::bad_argument, "no record has the key " + key};
    const entry* best = &known->second.back();
    for (const entry& each : known->second)
      if (each.id == of.id || best->id != of.id) best = &each;
    const auto line = read_store_line(folder_, best->at);
    if (!line) return line.error();
    return read_record(line.value());
  }

  std::vector<fault> troubles;

 private:
  struct entry {
    store_place at;
    std::string id;
  };
  std::string folder_;
  std::unordered_map<std::string, std::vector<entry>> keys_;
};

}  // namespace skillbench
