#pragma once

// Where this program lies: what is installed beside it is found from there.

#include <string>

#include "apis/base/result.h"

namespace cloister {

// Without a '/' at the end.
Result<std::string> ProgramDirectory();

}  // namespace cloister
