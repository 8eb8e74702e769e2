#include "apis/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace cloister {

void CheckFailed(const char* condition, const char* file, int line) {
  // dprintf: no buffers, so it is safe between fork and exec too.
  ::dprintf(2, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace cloister
