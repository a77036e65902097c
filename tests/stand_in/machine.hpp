#pragma once
// What the stand-in for the driver needs of the PTX machine, which costs minutes
// to compile: memory at device addresses, modules, launches.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace stand_in {

using address = std::uint64_t;

// What a GPU would make of a launch; race and undefined values it does not tell.
enum class ending { fine, illegal_address, misaligned, trapped, endless, not_supported };

struct kernel_facts {
  std::vector<std::size_t> parameter_offsets, parameter_bytes;
  std::size_t static_shared = 0;
  std::int64_t most_threads = 1024;
};

class module_image;

class machine {
 public:
  machine();
  ~machine();

  [[nodiscard]] address allocate(std::size_t bytes);
  [[nodiscard]] bool release(address at);
  // False where any byte is in no allocation.
  [[nodiscard]] bool write(address at, const void* from, std::size_t bytes);
  [[nodiscard]] bool read(void* into, address at, std::size_t bytes);

  [[nodiscard]] std::shared_ptr<module_image> load(const std::string& ptx, std::string& why);
  // Null when there is no such kernel.
  [[nodiscard]] static const kernel_facts* find(module_image& in, const std::string& entry);

  struct launched {
    ending how = ending::fine;
    std::string why;
    std::uint64_t instructions = 0;
  };
  [[nodiscard]] launched launch(module_image& in, const std::string& entry, const unsigned (&grid)[3], const unsigned (&block)[3], const unsigned (&cluster)[3],
                                unsigned shared_bytes, const std::vector<std::byte>& parameters);

 private:
  struct held;
  std::unique_ptr<held> held_;
};

// 128 bytes that the machine's copy engine understands; "" or why not.
[[nodiscard]] std::string encode_map(std::byte* to, address at, int rank, int element_bytes, bool bfloat, bool real, const std::uint64_t* extents, const std::uint64_t* strides,
                                     const unsigned* box, const unsigned* steps, int swizzle_bytes, int interleave_bytes, bool nan);

}  // namespace stand_in
