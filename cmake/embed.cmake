# cmake -D KERNELS=dir -D FOLDERS=dir/a;dir/b -D OUTPUT=file -P embed.cmake
# Writes families.hpp. A text becomes adjacent raw literals, cut at line ends,
# none longer than the 16 KB that every compiler takes.
cmake_policy(VERSION 3.25)

function(literal file out)
  file(READ "${file}" text)
  set(fence "skillbench")
  string(FIND "${text}" ")${fence}\"" clash)
  if(NOT clash EQUAL -1)
    message(FATAL_ERROR "${file} holds )${fence}\", the end of our literals")
  endif()
  set(made "")
  string(LENGTH "${text}" left)
  while(left GREATER 0)
    set(take ${left})
    if(take GREATER 12000)
      string(SUBSTRING "${text}" 0 12000 piece)
      string(FIND "${piece}" "\n" end REVERSE)
      if(end EQUAL -1)
        message(FATAL_ERROR "${file}: a line of more than 12000 bytes")
      endif()
      math(EXPR take "${end} + 1")
    endif()
    string(SUBSTRING "${text}" 0 ${take} piece)
    string(SUBSTRING "${text}" ${take} -1 text)
    string(LENGTH "${text}" left)
    string(APPEND made "\n    R\"${fence}(${piece})${fence}\"")
  endwhile()
  if(made STREQUAL "")
    set(made " \"\"")
  endif()
  set(${out} "${made}" PARENT_SCOPE)
endfunction()

set(includes "")
set(texts "")
set(rows "")
foreach(folder IN LISTS FOLDERS)
  cmake_path(GET folder FILENAME name)
  string(APPEND includes "#include <kernels/${name}/oracle.hpp>\n")
  literal("${folder}/family.json" json)
  literal("${folder}/prompt.md" prompt)
  set(baseline " \"\"")  # a family may not have one yet
  if(EXISTS "${folder}/baseline.cu")
    literal("${folder}/baseline.cu" baseline)
  endif()
  string(APPEND texts
    "inline constexpr std::string_view ${name}_json =${json};\n"
    "inline constexpr std::string_view ${name}_prompt =${prompt};\n"
    "inline constexpr std::string_view ${name}_baseline =${baseline};\n\n")
  file(SHA256 "${folder}/oracle.hpp" digest)
  string(APPEND rows
    "      {\"${name}\", generated::${name}_json, generated::${name}_prompt,\n"
    "       generated::${name}_baseline, &${name}::reference,\n"
    "       \"${digest}\"},\n")
endforeach()
literal("${KERNELS}/contract.md" contract)

file(WRITE "${OUTPUT}" "#pragma once
// families.hpp: the families of this build, embedded. Generated: do not edit.
//
// Layer   6. Texts only; json_family.hpp makes families of them.

#include <span>
#include <string_view>
#include <vector>

#include <skillbench/family.hpp>

${includes}
namespace skillbench {

// A family's folder, as text, with its reference.
struct family_text {
  std::string_view name, json, prompt, baseline;
  oracle reference;
  std::string_view oracle_digest;  // SHA-256 of oracle.hpp
};

namespace generated {
${texts}inline constexpr std::string_view contract =${contract};
}  // namespace generated

// What every prompt ends with: how to hand in a kernel.
[[nodiscard]] inline std::string_view contract_text() {
  return generated::contract;
}

[[nodiscard]] inline std::span<const family_text> family_texts() {
  static const std::vector<family_text> all{
${rows}  };
  return all;
}

}  // namespace skillbench
")
