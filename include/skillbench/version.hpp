#pragma once
// version.hpp: the release this header set belongs to.
//
// Layer   0. Includes nothing.
// The number of the record's format is not here: it changes for other reasons
// and lives in record.hpp.

namespace skillbench {

inline constexpr const char* version = "0.1.0";

}  // namespace skillbench
