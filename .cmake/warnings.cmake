# Flags of every target of ours. cloister_library() and cloister_program() apply them, so that no
# target can be forgotten.
add_library(cloister_flags INTERFACE)
target_include_directories(cloister_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(cloister_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Woverloaded-virtual -Wnon-virtual-dtor -Wformat=2)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # -Wno-restrict: GCC 12 warns falsely on "x" + std::to_string(i) at -O2. It does so with
  # -Wnull-dereference inside of istreambuf_iterator, so that is left to clang-tidy's analyzer.
  target_compile_options(cloister_flags INTERFACE -Wduplicated-cond -Wlogical-op -Wno-restrict)
else()
  # TRY is a statement expression. -Wno-deprecated-declarations: clang blames us for what
  # libstdc++ 12 uses inside std::stable_sort.
  target_compile_options(cloister_flags INTERFACE
    -Wno-gnu-statement-expression -Wno-deprecated-declarations)
endif()
if(CLOISTER_WERROR)
  target_compile_options(cloister_flags INTERFACE -Werror)
endif()
if(CLOISTER_SANITIZE)
  target_compile_options(cloister_flags INTERFACE -fsanitize=${CLOISTER_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(cloister_flags INTERFACE -fsanitize=${CLOISTER_SANITIZE})
  target_compile_definitions(cloister_flags INTERFACE CLOISTER_SANITIZED=1)
  # GCC 12 warns falsely on std::variant and std::optional once they are instrumented.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(cloister_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(CLOISTER_FUZZ)
  target_compile_options(cloister_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CLOISTER_HARDEN)
  # A test's own code is compiled for one run: without optimization it is there in half the time.
  set(is_test $<BOOL:$<TARGET_PROPERTY:CLOISTER_TEST>>)
  target_compile_options(cloister_flags INTERFACE -D_GLIBCXX_ASSERTIONS
    "$<IF:${is_test},-O0;-g1,-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3;-fstack-protector-strong;-fstack-clash-protection;-fcf-protection>")
  target_link_options(cloister_flags INTERFACE -Wl,-z,relro,-z,now -pie)
endif()

# cloister_library(NAME SOURCES... ): a static library of one folder.
function(cloister_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC cloister_flags)
endfunction()

# cloister_program(NAME SOURCES...): an executable in bin/.
function(cloister_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE cloister_flags)
endfunction()

# cloister_test(FOLDER LABEL SOURCES... LIBS libs...): one GoogleTest binary per source folder.
function(cloister_test folder label)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "LIBS")
  string(REPLACE "/" "_" name test_${folder})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES CLOISTER_TEST ON)
  target_link_libraries(${name} PRIVATE cloister_flags ${arg_LIBS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${folder} COMMAND ${name})
  set_tests_properties(${folder} PROPERTIES LABELS ${label} TIMEOUT 120)
endfunction()
