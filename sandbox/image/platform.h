#pragma once

// The platform's image: the standard library and the worker's runtime, installed with the daemon.

#include <string>
#include <string_view>

#include "apis/base/program.h"
#include "apis/base/result.h"

namespace cloister {

// In it: the version of the Python that its bytecode is for, "3.11.2".
inline constexpr std::string_view kPlatformVersionPath = "usr/lib/cloister/platform-version";

// In it: the names of Python's own modules at the top, one a line.
inline constexpr std::string_view kModuleNamesPath = "usr/lib/cloister/module-names";

// <directory of this program>/../lib/platform.img
inline Result<std::string> PlatformImagePath() {
  return TRY(ProgramDirectory()) + "/../lib/platform.img";
}

}  // namespace cloister
