#include "sandbox/query/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
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

int Open(const char* path, int /*flags*/, int /*mode*/) {
  const int fd = Find(path);
  return fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
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
      {"geteuid", AsCall(EffectiveUser)}};
  for (const auto& [name, call] : calls)
    if (vfs->xSetSystemCall(vfs, name, call) != SQLITE_OK)
      return Error{ErrorCode::kSystem, std::string("SQLite has no system call ") + name};
  return {};
}

std::uint64_t SizeOfFile(const char* path) {
  struct stat status = {};
  return Stat(path, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace cloister
