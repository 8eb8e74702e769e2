#include "sandbox/steps/session.h"

#include <unistd.h>

namespace cloister {

Result<void> LeaveSession() {
  if (::setsid() < 0)
    return SystemError("setsid");
  return {};
}

}  // namespace cloister
