#pragma once
// version.hpp: the release this header set belongs to, and the number of the
// format of its records.
//
// Layer   0. Includes nothing.

namespace skillbench {

inline constexpr const char* version = "0.1.0";

// Changes when a reader of the line must change.
inline constexpr int record_schema = 1;

}  // namespace skillbench
