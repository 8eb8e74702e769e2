#include "sandbox/steps/hostname.h"

#include <unistd.h>

namespace cloister {

Result<void> HideHostname() {
  if (::sethostname(kWorkerHostname, sizeof kWorkerHostname - 1) != 0)
    return SystemError("sethostname");
  if (::setdomainname("", 0) != 0)
    return SystemError("setdomainname");
  return {};
}

}  // namespace cloister
