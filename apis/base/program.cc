#include "apis/base/program.h"

#include <unistd.h>

#include <climits>

namespace cloister {

Result<std::string> ProgramDirectory() {
  std::string path(PATH_MAX, '\0');
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0)
    return SystemError("reading /proc/self/exe");
  path.resize(static_cast<std::size_t>(size));
  path.resize(path.rfind('/'));
  return path;
}

}  // namespace cloister
