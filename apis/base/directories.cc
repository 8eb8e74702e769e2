#include "apis/base/directories.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <unordered_set>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

constexpr mode_t kOwnersDirectory = 0700;

// Those whose names are known to be on the disk. Forgetting one costs syncing it again.
class SyncedNames {
 public:
  bool Has(const std::string& path) {
    const std::lock_guard lock(mutex_);
    return paths_.contains(path);
  }
  void Add(const std::string& path) {
    constexpr std::size_t kPathsMax = 4096;
    const std::lock_guard lock(mutex_);
    if (paths_.size() == kPathsMax)
      paths_.clear();
    paths_.insert(path);
  }

 private:
  std::mutex mutex_;
  std::unordered_set<std::string> paths_;
};

SyncedNames& Synced() {
  static SyncedNames names;
  return names;
}

}  // namespace

Result<void> SyncDirectory(const std::string& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fsync(fd.get()) != 0)
    return SystemError("syncing " + directory);
  return {};
}

Result<void> MakeDirectories(const std::string& path, int levels) {
  const std::size_t slash = path.rfind('/');
  if (levels == 0 || slash == std::string::npos || slash == 0)
    return {};
  const std::string parent = path.substr(0, slash);
  TRY(MakeDirectories(parent, levels - 1));
  const bool made = ::mkdir(path.c_str(), kOwnersDirectory) == 0;
  if (!made && errno != EEXIST)
    return SystemError("making " + path);
  if (!made && Synced().Has(path))
    return {};
  TRY(SyncDirectory(parent));
  Synced().Add(path);
  return {};
}

}  // namespace cloister
