#include "sandbox/steps/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace cloister {

Result<void> WipeEnvironment() {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
    ::explicit_bzero(*entry, std::strlen(*entry));
  if (::clearenv() != 0)
    return Error{ErrorCode::kSystem, "clearenv failed"};
  return {};
}

}  // namespace cloister
