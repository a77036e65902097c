# Installs skillbench, builds examples/grade against what was installed, and
# compares what it says. Run by ctest with BUILD, SOURCE, WORK and COMPILER.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE said
                  ERROR_VARIABLE said)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGV}: ${code}\n${said}")
  endif()
  set(said "${said}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/grade -B ${WORK}/build
    -D CMAKE_PREFIX_PATH=${WORK}/prefix -D CMAKE_CXX_COMPILER=${COMPILER})
run(${CMAKE_COMMAND} --build ${WORK}/build)

set(worker ${WORK}/prefix/bin/skillbench)
set(wrong ${SOURCE}/kernels/layernorm/wrong)
run(${WORK}/build/grade ${worker} ${wrong}/writes_input.md layernorm)
if(NOT said MATCHES "^faults\ncase `")
  message(FATAL_ERROR "writes_input.md: ${said}")
endif()
run(${WORK}/build/grade ${worker} ${wrong}/prose_only.md layernorm)
if(NOT said MATCHES "^no_kernel\n")
  message(FATAL_ERROR "prose_only.md: ${said}")
endif()

# The installed program finds its families' files.
run(${worker} selftest --family layernorm --help)
run(${worker} prompt layernorm)
