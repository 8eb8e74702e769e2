#include "daemon/keeper/state_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <sstream>

#include "config/backup_manifest.h"

namespace cloister {
namespace {

constexpr std::size_t kRecordMax = 16384;
constexpr int kRetryMs = 10;

// Opens the directory and makes it the node's. A directory of somebody else is refused: whoever
// owns it could have put anything there.
Result<UniqueFd> OpenStateDirectory(const std::string& path, uid_t node_uid) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return SystemError("making the state directory " + path);
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid())
    return SystemError("opening the state directory " + path);
  struct stat status = {};
  if (::fstat(directory.get(), &status) != 0)
    return SystemError("stat of " + path);
  if (status.st_uid != node_uid && status.st_uid != ::geteuid())
    return Error{ErrorCode::kPermissionDenied,
                 "the state directory " + path + " belongs to uid " +
                     std::to_string(status.st_uid) + ", but the node runs as uid " +
                     std::to_string(node_uid) + "; name another one with --state-dir"};
  if (status.st_uid != node_uid && ::fchown(directory.get(), node_uid, node_uid) != 0)
    return SystemError("chown of " + path);
  if (::fchmod(directory.get(), 0700) != 0)
    return SystemError("chmod of " + path);
  return directory;
}

Result<UniqueFd> OpenLockFile(int directory, const char* name) {
  UniqueFd file(::openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file.valid())
    return SystemError(std::string("opening ") + name + " in the state directory");
  struct stat status = {};
  // The directory is the node's; a lock file that is not ours says nothing we may act on.
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != ::geteuid())
    return Error{ErrorCode::kPermissionDenied,
                 std::string(name) + " in the state directory is not a file of uid " +
                     std::to_string(::geteuid()) + "; remove it if no daemon runs"};
  return file;
}

LockRecord ReadRecord(int file) {
  std::string text(kRecordMax, '\0');
  const ssize_t size = ::pread(file, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return ParseLockRecord(text);
}

// Waits for the lock that an earlier keeper's children hold.
bool LockWithin(int file, int wait_ms) {
  for (int waited = 0; ::flock(file, LOCK_EX | LOCK_NB) != 0; waited += kRetryMs) {
    if (waited >= wait_ms)
      return false;
    (void)::poll(nullptr, 0, kRetryMs);
  }
  return true;
}

}  // namespace

std::string RenderLockRecord(const LockRecord& record) {
  std::string text = std::to_string(record.keeper) + "\n";
  for (const std::string& cgroup : record.cgroups)
    (text += cgroup) += '\n';
  return text;
}

LockRecord ParseLockRecord(std::string_view text) {
  LockRecord record;
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line))
    return record;
  const char* end = line.data() + line.size();
  const auto [rest, failed] = std::from_chars(line.data(), end, record.keeper);
  if (failed != std::errc{} || rest != end || record.keeper <= 0)
    return {};
  while (std::getline(lines, line))
    if (!line.empty())
      record.cgroups.push_back(line);
  return record;
}

Result<StateLock> StateLock::Take(const std::string& state_dir, uid_t node_uid) {
  const UniqueFd directory = TRY(OpenStateDirectory(state_dir, node_uid));
  if (::faccessat(directory.get(), std::string(kUnfinishedRestore).c_str(), F_OK, 0) == 0)
    return Error{ErrorCode::kUnavailable,
                 state_dir +
                     ": a backup was not restored to the end there; run `cloister restore` "
                     "again"};
  StateLock taken;
  taken.lock_ = TRY(OpenLockFile(directory.get(), "lock"));
  if (::flock(taken.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    const LockRecord holder = ReadRecord(taken.lock_.get());
    return Error{ErrorCode::kAlreadyExists,
                 "the state directory " + state_dir + " is in use by cloisterd with process id " +
                     (holder.keeper == 0 ? std::string("unknown") : std::to_string(holder.keeper)) +
                     "; stop that one, or name another directory with --state-dir"};
  }
  taken.left_over_ = ReadRecord(taken.lock_.get());
  taken.children_lock_ = TRY(OpenLockFile(directory.get(), "lock.children"));
  if (!LockWithin(taken.children_lock_.get(), kChildrenWaitMs))
    return Error{ErrorCode::kUnavailable, "processes of an earlier cloisterd (process id " +
                                              std::to_string(taken.left_over_.keeper) +
                                              ") still hold " + state_dir +
                                              "/lock.children; end them, then start again"};
  return taken;
}

Result<void> StateLock::Write(const LockRecord& record) const {
  const std::string text = RenderLockRecord(record);
  if (::ftruncate(lock_.get(), 0) != 0 ||
      ::pwrite(lock_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return SystemError("writing the lock file");
  return {};
}

}  // namespace cloister
