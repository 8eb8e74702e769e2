#include "sandbox/query/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <sqlite3.h>

namespace cloister {
namespace {

// SQLite asks without a context of ours.
std::vector<QueryFile>& Table() {
  static std::vector<QueryFile> table;
  return table;
}

int Find(const char* path) {
  for (const QueryFile& file : Table())
    if (std::strcmp(file.path, path) == 0)
      return file.fd;
  errno = ENOENT;
  return -1;
}

// The system call itself: the C library's function makes another one of it.
int StatFd(int fd, struct stat* status) {
  return static_cast<int>(::syscall(SYS_fstat, fd, status));
}

// Which of SQLite's descriptors are of a log, how large a log may be, and what came of writing.
struct Logs {
  std::vector<bool> is_log;  // by descriptor
  std::uint64_t size_max = ~std::uint64_t{0};
  WriteFailure failure = WriteFailure::kNone;
};

Logs& TheLogs() {
  static Logs logs;
  return logs;
}

int Open(const char* path, int /*flags*/, int /*mode*/) {
  const int found = Find(path);
  const int fd = found < 0 ? -1 : ::fcntl(found, F_DUPFD_CLOEXEC, 3);
  if (fd < 0)
    return -1;
  std::vector<bool>& is_log = TheLogs().is_log;
  const auto index = static_cast<std::size_t>(fd);
  is_log.resize(std::max(is_log.size(), index + 1));
  is_log[index] = std::string_view(path).ends_with("-wal");
  return fd;
}

ssize_t WriteAt(int fd, const void* bytes, std::size_t size, off_t offset) {
  Logs& logs = TheLogs();
  const auto index = static_cast<std::size_t>(fd);
  const bool is_log = index < logs.is_log.size() && logs.is_log[index];
  // SQLite takes ENOSPC alone for SQLITE_FULL, and what it was doing is undone.
  if (is_log && static_cast<std::uint64_t>(offset) + size > logs.size_max) {
    logs.failure = WriteFailure::kLogFull;
    errno = ENOSPC;
    return -1;
  }
  const ssize_t written = ::pwrite(fd, bytes, size, offset);
  if (written < 0 && (errno == ENOSPC || errno == EDQUOT)) {
    logs.failure = WriteFailure::kDiskFull;
    errno = ENOSPC;
  }
  return written;
}

int Access(const char* path, int /*mode*/) {
  return Find(path) < 0 ? -1 : 0;
}

int Stat(const char* path, struct stat* status) {
  const int fd = Find(path);
  return fd < 0 ? -1 : StatFd(fd, status);
}

// Nothing is a link.
int LinkStat(const char* /*path*/, struct stat* /*status*/) {
  errno = ENOENT;
  return -1;
}

ssize_t ReadLink(const char* /*path*/, char* /*buffer*/, std::size_t /*size*/) {
  errno = EINVAL;
  return -1;
}

char* CurrentDirectory(char* buffer, std::size_t size) {
  if (size < 2)
    return nullptr;
  buffer[0] = '/';
  buffer[1] = '\0';
  return buffer;
}

// A log that was written back stays, and is begun anew.
int Unlink(const char* /*path*/) {
  return 0;
}

int OpenDirectory(const char* /*path*/, int* fd) {
  *fd = -1;
  return SQLITE_CANTOPEN;
}

int MakeDirectory(const char* /*path*/, mode_t /*mode*/) {
  errno = EACCES;
  return -1;
}

int RemoveDirectory(const char* /*path*/) {
  errno = EACCES;
  return -1;
}

int ChangeMode(int /*fd*/, mode_t /*mode*/) {
  return 0;
}

int ChangeOwner(int /*fd*/, uid_t /*uid*/, gid_t /*gid*/) {
  return 0;
}

// Not root: then owners are left alone.
uid_t EffectiveUser() {
  return 1;
}

template <typename Function>
sqlite3_syscall_ptr AsCall(Function* function) {
  return reinterpret_cast<sqlite3_syscall_ptr>(function);
}

}  // namespace

Result<void> ServeFiles(std::vector<QueryFile> files) {
  Table() = std::move(files);
  sqlite3_vfs* vfs = sqlite3_vfs_find("unix");
  if (vfs == nullptr || vfs->iVersion < 3)
    return Error{ErrorCode::kSystem, "SQLite's VFS has no replaceable system calls"};
  const std::pair<const char*, sqlite3_syscall_ptr> calls[] = {
      {"open", AsCall(Open)},
      {"access", AsCall(Access)},
      {"stat", AsCall(Stat)},
      {"lstat", AsCall(LinkStat)},
      {"fstat", AsCall(StatFd)},
      {"readlink", AsCall(ReadLink)},
      {"getcwd", AsCall(CurrentDirectory)},
      {"unlink", AsCall(Unlink)},
      {"openDirectory", AsCall(OpenDirectory)},
      {"mkdir", AsCall(MakeDirectory)},
      {"rmdir", AsCall(RemoveDirectory)},
      {"fchmod", AsCall(ChangeMode)},
      {"fchown", AsCall(ChangeOwner)},
      {"geteuid", AsCall(EffectiveUser)},
      {"pwrite", AsCall(WriteAt)},
      {"pwrite64", AsCall(WriteAt)}};
  for (const auto& [name, call] : calls)
    if (vfs->xSetSystemCall(vfs, name, call) != SQLITE_OK)
      return Error{ErrorCode::kSystem, std::string("SQLite has no system call ") + name};
  return {};
}

void SetLogMax(std::uint64_t bytes) {
  TheLogs().size_max = bytes;
}

WriteFailure TakeWriteFailure() {
  return std::exchange(TheLogs().failure, WriteFailure::kNone);
}

std::uint64_t SizeOfFile(const char* path) {
  struct stat status = {};
  return Stat(path, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace cloister
