#include "daemon/workers/database_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr mode_t kOwnersDirectory = 0700;
// Whoever stops a copy waits for one piece of it.
constexpr std::size_t kPiece = std::size_t{4} << 20;
constexpr std::size_t kBuffer = std::size_t{1} << 20;
// A checkpoint of a large log takes a while.
constexpr std::chrono::seconds kLockWait{30};
constexpr std::chrono::milliseconds kLockLook{1};

// A lock of SQLite's: which bytes of which file.
struct LockRange {
  short kind = F_RDLCK;
  off_t start = 0;
  off_t count = 1;
};
// That of a reader on the database: nobody has it alone, as the last one to close it would.
constexpr LockRange kShared{.kind = F_RDLCK, .start = 0x40000002, .count = 510};
// In the index of the log: that of whoever writes back from the log.
constexpr LockRange kCheckpoint{.kind = F_WRLCK, .start = 121};
// That of a reader of the log, the last of five: the log is not begun anew.
constexpr LockRange kReader{.kind = F_RDLCK, .start = 127};

Error Stopped() {
  return {ErrorCode::kDeadlineExceeded, "the copy of the database was stopped"};
}

Result<UniqueFd> Open(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, kOwnerOnly));
  if (!fd.valid())
    return SystemError("opening " + path);
  return fd;
}

// Of the open file, not of the process: it goes with the descriptor, and with nothing else.
Result<void> Lock(int fd, const LockRange& range, const std::atomic<bool>& stop) {
  const auto until = std::chrono::steady_clock::now() + kLockWait;
  while (!stop) {
    struct flock lock = {};
    lock.l_type = range.kind;
    lock.l_whence = SEEK_SET;
    lock.l_start = range.start;
    lock.l_len = range.count;
    if (::fcntl(fd, F_OFD_SETLK, &lock) == 0)
      return {};
    if (errno != EAGAIN && errno != EACCES && errno != EINTR)
      return SystemError("locking the database");
    if (std::chrono::steady_clock::now() >= until)
      return Error{ErrorCode::kUnavailable, "the database is locked for too long"};
    std::this_thread::sleep_for(kLockLook);
  }
  return Stopped();
}

// A part of a file.
struct Part {
  off_t at = 0;
  std::size_t size = 0;
};

// Where the kernel does not copy between these files.
Result<std::size_t> CopyByHand(int from, int to, Part part) {
  const auto buffer = std::make_unique<char[]>(kBuffer);
  const std::size_t wanted = std::min(kBuffer, part.size);
  ssize_t size = -1;
  do
    size = ::pread(from, buffer.get(), wanted, part.at);
  while (size < 0 && errno == EINTR);
  if (size < 0)
    return SystemError("reading the database");
  for (ssize_t done = 0; done < size;) {
    const ssize_t written =
        ::pwrite(to, buffer.get() + done, static_cast<std::size_t>(size - done), part.at + done);
    if (written < 0 && errno != EINTR)
      return SystemError("writing the copy of the database");
    done += std::max<ssize_t>(written, 0);
  }
  return static_cast<std::size_t>(size);
}

Result<std::size_t> CopyPart(int from, int to, Part part) {
  off_t in = part.at;
  off_t out = part.at;
  const ssize_t copied = ::copy_file_range(from, &in, to, &out, part.size, 0);
  if (copied > 0)
    return static_cast<std::size_t>(copied);
  if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
    return SystemError("writing the copy of the database");
  return CopyByHand(from, to, part);
}

// What follows `at` and is no hole: a file that has mostly holes must not become one of zeros.
Part NextPart(int fd, off_t at, off_t size) {
  const off_t begin = ::lseek(fd, at, SEEK_DATA);
  if (begin < 0 && errno == ENXIO)
    return {.at = size, .size = 0};
  const off_t from = begin < 0 ? at : begin;
  const off_t hole = ::lseek(fd, from, SEEK_HOLE);
  const off_t end = hole > from ? std::min(hole, size) : size;
  return {.at = from,
          .size = std::min(kPiece, static_cast<std::size_t>(std::max<off_t>(end - from, 0)))};
}

// Up to the end that the file has now.
Result<std::uint64_t> CopyFile(int from, const std::string& path, const std::atomic<bool>& stop) {
  const UniqueFd to = TRY(Open(path, O_WRONLY | O_CREAT | O_EXCL));
  struct stat status = {};
  if (::fstat(from, &status) != 0)
    return SystemError("measuring the database");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (::ioctl(to.get(), FICLONE, from) == 0)
    return size;
  if (::ftruncate(to.get(), status.st_size) != 0)
    return SystemError("writing the copy of the database");
  off_t at = 0;
  while (at < status.st_size) {
    if (stop)
      return Stopped();
    const Part part = NextPart(from, at, status.st_size);
    if (part.size == 0)
      break;
    const std::size_t copied = TRY(CopyPart(from, to.get(), part));
    if (copied == 0)
      return Error{ErrorCode::kSystem, "the database became shorter while it was copied"};
    at = part.at + static_cast<off_t>(copied);
  }
  return size;
}

Result<void> MakeEmpty(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  const std::string parent = directory.substr(0, directory.rfind('/'));
  for (const std::string& each : {parent, directory})
    if (::mkdir(each.c_str(), kOwnersDirectory) != 0 && errno != EEXIST)
      return SystemError("making " + each);
  return {};
}

Result<void> Sync(const std::string& path, int flags) {
  const UniqueFd fd = TRY(Open(path, O_RDONLY | flags));
  if (::fsync(fd.get()) != 0)
    return SystemError("syncing " + path);
  return {};
}

std::uint64_t SizeOf(const std::string& path) {
  struct stat status = {};
  const bool there = ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
  return there ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace

Bytes SizeOfDatabase(const std::string& directory) {
  return {SizeOf(directory + kDatabaseFile) + SizeOf(directory + kDatabaseLogFile)};
}

Result<Bytes> CopyDatabaseFiles(const std::string& from, const std::string& to,
                                const std::atomic<bool>& stop) {
  const std::string path = from + kDatabaseFile;
  if (::access(path.c_str(), F_OK) != 0)
    return Error{ErrorCode::kNotFound, "there is no database in " + from};
  const UniqueFd database = TRY(Open(path, O_RDWR));
  const UniqueFd log = TRY(Open(from + kDatabaseLogFile, O_RDWR | O_CREAT));
  const UniqueFd index = TRY(Open(from + kDatabaseIndexFile, O_RDWR | O_CREAT));
  TRY(Lock(database.get(), kShared, stop));
  TRY(Lock(index.get(), kCheckpoint, stop));
  TRY(Lock(index.get(), kReader, stop));
  TRY(MakeEmpty(to));
  // The log last: by then it has what was committed while the database was copied.
  const std::uint64_t size = TRY(CopyFile(database.get(), to + kDatabaseFile, stop));
  return Bytes{size + TRY(CopyFile(log.get(), to + kDatabaseLogFile, stop))};
}

Result<void> FinishDatabaseCopy(const std::string& from, const std::string& to) {
  TRY(Sync(from + kDatabaseFile, 0));
  TRY(Sync(from + kDatabaseLogFile, 0));
  TRY(Sync(from, O_DIRECTORY));
  if (::rename(from.c_str(), to.c_str()) != 0)
    return SystemError("renaming " + from);
  const std::string parent = to.substr(0, to.rfind('/'));
  TRY(Sync(parent, O_DIRECTORY));
  return Sync(parent.substr(0, parent.rfind('/')), O_DIRECTORY);
}

}  // namespace cloister
