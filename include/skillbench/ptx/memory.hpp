#pragma once
// ptx/memory.hpp: the memory of a launch: tensors, module variables, windows.
//
// Layer   3. Includes fault, fill, units and the standard library.
// Shapes  an allocation is a run of bytes at a virtual address; its pages are
//         made on first touch, so a tensor of many gigabytes costs what is
//         touched. No host address is ever visible to a kernel.
// Units   bytes and virtual addresses.
// Layout  each allocation owns a slot of 2^36 bytes of address space, so the
//         slot number is the address shifted right, and everything between two
//         allocations is out of bounds. Shared, local and parameter memory have
//         windows of generic addresses above all of them.
// Shadow  one byte for each byte: 0 defined, 1 never written, 2 written with an
//         undefined value; of shared memory also 4, the target of a copy that
//         is not done, and 8, part of an mbarrier. A page without a shadow is
//         defined throughout.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>

namespace skillbench::ptx {

inline constexpr int page_bits = 16;
inline constexpr std::uint64_t page_bytes = std::uint64_t{1} << page_bits;
inline constexpr int slot_bits = 36;

inline constexpr std::uint64_t shared_window = std::uint64_t{1} << 56;
inline constexpr std::uint64_t local_window = std::uint64_t{2} << 56;
inline constexpr std::uint64_t param_window = std::uint64_t{3} << 56;
inline constexpr std::uint64_t window_bytes = std::uint64_t{1} << 32;

enum shadow : std::uint8_t {
  defined = 0,
  unwritten = 1,
  undefined = 2,
  in_flight = 4,
  mbarrier_bytes = 8,
};

// Who loaded and stored in a page during a launch: race.hpp.
struct page_races {
  struct release {
    void operator()(std::uint32_t* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<std::uint32_t[], release> row[3];  // stores, loads, loads before
  std::uint32_t launch = 0;
  unsigned shift = 2;  // log2 of the bytes that an entry stands for
  bool loaded = false;
};

struct page {
  std::unique_ptr<std::byte[]> data;
  std::unique_ptr<std::uint8_t[]> shadow;  // null: defined throughout
  std::unique_ptr<page_races> races;       // null: nobody to tell apart yet
};

// Fills `out` with the allocation's initial bytes from `first` on. Several
// threads may call it at once (threads.hpp).
using filler = std::function<void(std::int64_t first, std::span<std::byte> out)>;

struct allocation {
  std::string name;
  bool writable = true;
  bool starts_defined = false;
  std::int64_t element_bytes = 1;
  std::uint64_t base = 0, bytes = 0;
  std::uint64_t origin = 0;  // address of the first byte of page 0
  filler initial;
  std::vector<page> pages;

  [[nodiscard]] std::uint64_t end() const noexcept { return base + bytes; }
  [[nodiscard]] bool holds(std::uint64_t address,
                           std::uint64_t size) const noexcept {
    return address >= base && address <= end() && end() - address >= size;
  }
};

class memory {
 public:
  // `most_bytes` bounds the pages of one launch sequence, shadows included.
  explicit memory(std::uint64_t most_bytes) : most_bytes_(most_bytes) {}

  // Places `bytes` at an address that is 16 bytes past a multiple of 256, or
  // another multiple of 16 by `jitter`: kernels may count on no more.
  std::uint64_t add(allocation fresh, std::uint64_t jitter) {
    const std::uint64_t slot = allocations_.size() + 1;
    fresh.base = (slot << slot_bits) + page_bytes + 16 * (jitter % 16);
    fresh.origin = fresh.base & ~(page_bytes - 1);
    fresh.pages.resize((fresh.end() - fresh.origin + page_bytes - 1) >>
                       page_bits);
    allocations_.push_back(std::move(fresh));
    return allocations_.back().base;
  }

  [[nodiscard]] allocation* owner(std::uint64_t address) noexcept {
    const std::uint64_t slot = address >> slot_bits;
    if (slot == 0 || slot > allocations_.size()) return nullptr;
    return &allocations_[slot - 1];
  }
  [[nodiscard]] std::size_t count() const noexcept {
    return allocations_.size();
  }
  [[nodiscard]] allocation& at(std::size_t index) noexcept {
    return allocations_[index];
  }

  // The page that holds an address of `within`, made if it is not there yet.
  // Null when the bound is reached: `full()` then says so.
  [[nodiscard]] page* touch(allocation& within, std::uint64_t address) {
    page& wanted = within.pages[(address - within.origin) >> page_bits];
    if (!wanted.data && !make(within, wanted)) return nullptr;
    return &wanted;
  }

  // The same memory for another thread of the host, which makes its pages from
  // these. While it is used nothing may change here.
  [[nodiscard]] memory view() const {
    memory out(most_bytes_);
    out.poison_ = poison_;
    out.from_ = this;
    for (const allocation& each : allocations_) {
      allocation a;
      a.name = each.name;
      a.writable = each.writable;
      a.starts_defined = each.starts_defined;
      a.element_bytes = each.element_bytes;
      a.base = each.base;
      a.bytes = each.bytes;
      a.origin = each.origin;
      a.initial = each.initial;
      a.pages.resize(each.pages.size());
      out.allocations_.push_back(std::move(a));
    }
    return out;
  }
  // What a view's page holds becomes that of `to`.
  void adopt(const allocation& within, page& to, page& from) {
    if (!to.data) used_ += cost_of(within);
    to.data = std::move(from.data);
    to.shadow = std::move(from.shadow);
  }

  [[nodiscard]] bool full() const noexcept { return full_; }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
  [[nodiscard]] std::uint64_t bound() const noexcept { return most_bytes_; }

  void set_poison(std::uint64_t pattern) noexcept { poison_ = pattern; }

 private:
  [[nodiscard]] static std::uint64_t cost_of(const allocation& of) noexcept {
    return of.starts_defined ? page_bytes : 2 * page_bytes;
  }
  bool make(allocation& within, page& fresh) {
    const std::uint64_t cost = cost_of(within);
    if (used_ + cost > most_bytes_) {
      full_ = true;
      return false;
    }
    used_ += cost;
    fresh.data.reset(new std::byte[page_bytes]);
    const auto index = static_cast<std::uint64_t>(&fresh - within.pages.data());
    if (from_) {
      const allocation& there = from_->allocations_[static_cast<std::size_t>(&within - allocations_.data())];
      if (const page& old = there.pages[index]; old.data) {
        std::memcpy(fresh.data.get(), old.data.get(), page_bytes);
        if (old.shadow) {
          fresh.shadow.reset(new std::uint8_t[page_bytes]);
          std::memcpy(fresh.shadow.get(), old.shadow.get(), page_bytes);
        }
        return true;
      }
    }
    for (std::uint64_t i = 0; i < page_bytes; i += 8)
      std::memcpy(fresh.data.get() + i, &poison_, 8);
    if (!within.starts_defined) {
      fresh.shadow.reset(new std::uint8_t[page_bytes]);
      std::memset(fresh.shadow.get(), unwritten, page_bytes);
    } else if (within.initial) {
      const std::uint64_t first = within.origin + index * page_bytes;
      const std::uint64_t from = std::max(first, within.base);
      const std::uint64_t to = std::min(first + page_bytes, within.end());
      if (from < to)
        within.initial(
            static_cast<std::int64_t>(from - within.base),
            std::span(fresh.data.get() + (from - first),
                      static_cast<std::size_t>(to - from)));
    }
    return true;
  }

  std::vector<allocation> allocations_;
  std::uint64_t most_bytes_ = 0, used_ = 0;
  std::uint64_t poison_ = 0xfff5fff5fff5fff5ull;
  bool full_ = false;
  const memory* from_ = nullptr;  // of a view
};

}  // namespace skillbench::ptx
