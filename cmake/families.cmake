# Makes generated/skillbench/families.hpp: every folder under kernels/ that has
# a family.json is a family, and every folder that SKILLBENCH_FAMILIES names.
# The texts are embedded, the oracle is included.
set(SKILLBENCH_FAMILIES "" CACHE STRING
    "folders of families outside kernels/, separated by semicolons")

file(GLOB family_files CONFIGURE_DEPENDS kernels/*/family.json)
list(SORT family_files)
set(family_folders "")
foreach(file IN LISTS family_files)
  cmake_path(GET file PARENT_PATH folder)
  list(APPEND family_folders ${folder})
endforeach()
set(family_extras "")
foreach(folder IN LISTS SKILLBENCH_FAMILIES)
  cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY ${CMAKE_SOURCE_DIR} NORMALIZE)
  string(REGEX REPLACE "/$" "" folder "${folder}")
  list(APPEND family_extras ${folder})
endforeach()

set(family_names "")
set(family_sources ${PROJECT_SOURCE_DIR}/kernels/contract.md)
foreach(folder IN LISTS family_folders family_extras)
  cmake_path(GET folder FILENAME name)
  if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "${folder}: a family's folder is a C++ name in lower "
                        "case")
  endif()
  if(name IN_LIST family_names)
    message(FATAL_ERROR "${folder}: there is a family ${name} already")
  endif()
  list(APPEND family_names ${name})
  foreach(part family.json prompt.md oracle.hpp)
    if(NOT EXISTS ${folder}/${part})
      message(FATAL_ERROR "${folder} has no ${part}")
    endif()
    list(APPEND family_sources ${folder}/${part})
  endforeach()
  if(EXISTS ${folder}/baseline.cu)
    list(APPEND family_sources ${folder}/baseline.cu)
  endif()
endforeach()

# <kernels/NAME/oracle.hpp>, wherever the folder is. Installed, it is a copy.
foreach(folder IN LISTS family_extras)
  cmake_path(GET folder FILENAME name)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/kernels/${name}/oracle.hpp
       CONTENT "#include \"${folder}/oracle.hpp\"\n")
  install(DIRECTORY ${folder}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/skillbench/kernels)
endforeach()

set(families_header ${PROJECT_BINARY_DIR}/generated/skillbench/families.hpp)
set(all_folders ${family_folders} ${family_extras})
add_custom_command(
  OUTPUT ${families_header}
  COMMAND ${CMAKE_COMMAND} -D KERNELS=${PROJECT_SOURCE_DIR}/kernels
          -D "FOLDERS=${all_folders}" -D OUTPUT=${families_header}
          -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
  DEPENDS ${family_sources} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
          ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "families.hpp" VERBATIM)
add_custom_target(skillbench_families DEPENDS ${families_header})
