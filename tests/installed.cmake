# Builds programs on skillbench in the three ways that CMake has: from an
# installed copy (examples/reward, examples/machine, examples/tune), fetched and as a folder (tests/consumer,
# with a family of its own). Runs them and compares what they say. Run by ctest
# with BUILD, SOURCE, WORK and COMPILER.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE said
                  ERROR_VARIABLE said)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGV}: ${code}\n${said}")
  endif()
  set(said "${said}" PARENT_SCOPE)
endfunction()

function(same said wanted what)
  if(NOT said STREQUAL wanted)
    message(FATAL_ERROR "${what} says\n${said}\nand not\n${wanted}")
  endif()
endfunction()

set(ENV{SKILLBENCH_WORKER} "")
set(compiler -D CMAKE_CXX_COMPILER=${COMPILER})
find_program(ninja ninja)
if(ninja)
  list(APPEND compiler -G Ninja)
endif()
file(REMOVE_RECURSE ${WORK})

# ---- installed: a reward function ------------------------------------------

set(prefix ${WORK}/prefix)
set(worker ${prefix}/bin/skillbench)
set(reward ${WORK}/reward/reward)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/reward -B ${WORK}/reward
    -D CMAKE_PREFIX_PATH=${prefix} ${compiler})
run(${CMAKE_COMMAND} --build ${WORK}/reward)
file(READ ${SOURCE}/examples/reward/expected.txt expected)
run(${reward})
same("${said}" "${expected}" examples/reward)

# ---- installed: the PTX machine as a library --------------------------------

run(${CMAKE_COMMAND} -S ${SOURCE}/examples/machine -B ${WORK}/machine
    -D CMAKE_PREFIX_PATH=${prefix} ${compiler})
run(${CMAKE_COMMAND} --build ${WORK}/machine)
file(READ ${SOURCE}/examples/machine/expected.txt expected)
run(${WORK}/machine/machine)
same("${said}" "${expected}" examples/machine)

# ---- installed: the tuner as a library ---------------------------------------

run(${CMAKE_COMMAND} -S ${SOURCE}/examples/tune -B ${WORK}/tune
    -D CMAKE_PREFIX_PATH=${prefix} ${compiler})
run(${CMAKE_COMMAND} --build ${WORK}/tune)
file(READ ${SOURCE}/examples/tune/expected.txt expected)
run(${WORK}/tune/tune)
same("${said}" "${expected}" examples/tune)

# ---- the reward function without its worker ---------------------------------

# Without its worker it says so, and judges nothing.
file(RENAME ${worker} ${worker}.away)
execute_process(COMMAND ${reward} RESULT_VARIABLE code OUTPUT_VARIABLE said)
if(NOT code EQUAL 3 OR
   NOT said MATCHES "the worker, .*was not found .*${worker}: no such file")
  message(FATAL_ERROR "reward without a worker: ${code}\n${said}")
endif()
file(RENAME ${worker}.away ${worker})

# The installed program has its families.
run(${worker} selftest --family layernorm --help)
run(${worker} prompt layernorm)

# ---- as a part of another project: a family of its own ---------------------

set(consumer ${SOURCE}/tests/consumer)
run(${CMAKE_COMMAND} -S ${consumer} -B ${WORK}/folder ${compiler}
    -D SKILLBENCH=${SOURCE} -D HOW=add_subdirectory)
run(${CMAKE_COMMAND} --build ${WORK}/folder --target rooms)
run(${WORK}/folder/rooms)

run(${CMAKE_COMMAND} -S ${consumer} -B ${WORK}/fetched ${compiler}
    -D SKILLBENCH=${SOURCE})
run(${CMAKE_COMMAND} --build ${WORK}/fetched --target grade)
set(ENV{SKILLBENCH_WORKER} ${worker})
run(${WORK}/fetched/grade vector_add
    ${consumer}/vector_add/right/grid_stride.md
    ${consumer}/vector_add/wrong/sum_in_half.md)
same("${said}"
  "grid_stride.md: correct\nsum_in_half.md: wrong\nbaseline: correct\n"
  tests/consumer)
