# Makes generated/skillbench/families.hpp: every folder under kernels/ that has
# a family.json is a family. The texts are embedded, the oracle is included.
file(GLOB family_files CONFIGURE_DEPENDS kernels/*/family.json)
list(SORT family_files)

set(family_names "")
set(family_sources ${PROJECT_SOURCE_DIR}/kernels/contract.md)
foreach(file IN LISTS family_files)
  cmake_path(GET file PARENT_PATH folder)
  cmake_path(GET folder FILENAME name)
  if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "kernels/${name}: a family's folder is a C++ name in "
                        "lower case")
  endif()
  list(APPEND family_names ${name})
  foreach(part family.json prompt.md oracle.hpp)
    if(NOT EXISTS ${folder}/${part})
      message(FATAL_ERROR "kernels/${name} has no ${part}")
    endif()
    list(APPEND family_sources ${folder}/${part})
  endforeach()
  if(EXISTS ${folder}/baseline.cu)
    list(APPEND family_sources ${folder}/baseline.cu)
  endif()
endforeach()

set(families_header ${PROJECT_BINARY_DIR}/generated/skillbench/families.hpp)
add_custom_command(
  OUTPUT ${families_header}
  COMMAND ${CMAKE_COMMAND} -D KERNELS=${PROJECT_SOURCE_DIR}/kernels
          -D "NAMES=${family_names}" -D OUTPUT=${families_header}
          -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${family_sources} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
          ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "families.hpp" VERBATIM)
add_custom_target(skillbench_families DEPENDS ${families_header})
