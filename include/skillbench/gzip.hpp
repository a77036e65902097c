#pragma once
// gzip.hpp: compressed bytes to the bytes that they were.
//
// Layer   3. The only header that includes zlib; who includes it links zlib.
// Errors  bad_input: the bytes are no gzip, are cut short, or grow beyond
//         `most` bytes, which a small hostile file can do.
// Source  RFC 1952: two bytes 1f 8b begin a member; several may follow another.

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include <zlib.h>

#include <skillbench/fault.hpp>

namespace skillbench {

[[nodiscard]] inline bool is_gzip(std::string_view bytes) {
  return bytes.size() >= 2 && static_cast<unsigned char>(bytes[0]) == 0x1f &&
         static_cast<unsigned char>(bytes[1]) == 0x8b;
}

[[nodiscard]] inline result<std::string> gunzip(std::string_view bytes,
                                                std::size_t most) {
  if (!is_gzip(bytes))
    return fault{reason::bad_input, "the bytes are no gzip"};
  z_stream state{};
  if (inflateInit2(&state, 15 + 16) != Z_OK)
    return fault{reason::internal, "zlib does not start"};
  std::string made;
  std::string part(std::size_t{1} << 16, '\0');
  int said = Z_OK;
  std::size_t at = 0;
  bool ended = false, grown = false;
  while (!grown) {
    if (state.avail_in == 0 && at < bytes.size()) {
      const std::size_t more = std::min<std::size_t>(bytes.size() - at, 1u << 30);
      // zlib reads these bytes and does not write them.
      state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + at));
      state.avail_in = static_cast<uInt>(more);
      at += more;
    }
    state.next_out = reinterpret_cast<Bytef*>(part.data());
    state.avail_out = static_cast<uInt>(part.size());
    said = inflate(&state, Z_NO_FLUSH);
    const std::size_t got = part.size() - state.avail_out;
    grown = made.size() + got > most;
    made.append(part, 0, got);
    if (said == Z_STREAM_END) {
      ended = state.avail_in == 0 && at == bytes.size();
      if (ended || inflateReset(&state) != Z_OK) break;
      continue;
    }
    if (said != Z_OK) break;
  }
  inflateEnd(&state);
  if (grown)
    return fault{reason::bad_input, "the gzip holds more than " +
                                        std::to_string(most) + " bytes"};
  if (!ended)
    return fault{reason::bad_input,
                 "the gzip is damaged or cut short after " +
                     std::to_string(made.size()) + " bytes"};
  return made;
}

}  // namespace skillbench
