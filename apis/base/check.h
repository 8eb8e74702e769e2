#pragma once

// CHECK(condition): a bug prints where it is and stops the process, in release builds too.
//
// For what our own code promises, never for input: bad input is an Error (result.h).

namespace cloister {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace cloister

#define CHECK(condition)                                       \
  do {                                                         \
    if (!(condition)) [[unlikely]]                             \
      ::cloister::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)
