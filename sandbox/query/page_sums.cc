#include "sandbox/query/page_sums.h"

#include <cstring>
#include <new>
#include <string_view>

#include <sqlite3.h>

#include "apis/query/database_file.h"

namespace cloister {
namespace {

// SQLite allocates one for each file, with the real file's behind it.
struct SummedFile {
  sqlite3_file base;
  bool has_sums;

  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

SummedFile& FileOf(sqlite3_file* file) {
  return *reinterpret_cast<SummedFile*>(file);
}

sqlite3_file* RealOf(sqlite3_file* file) {
  return FileOf(file).real();
}

const sqlite3_io_methods& MethodsOf(sqlite3_file* file) {
  return *RealOf(file)->pMethods;
}

bool IsPage(sqlite3_file* file, int size, sqlite3_int64 offset) {
  constexpr auto kSize = static_cast<int>(kDatabasePage);
  return FileOf(file).has_sums && size == kSize && offset % kSize == 0;
}

int Close(sqlite3_file* file) {
  return MethodsOf(file).xClose(RealOf(file));
}

int Read(sqlite3_file* file, void* buffer, int size, sqlite3_int64 offset) {
  const int rc = MethodsOf(file).xRead(RealOf(file), buffer, size, offset);
  if (rc != SQLITE_OK || !IsPage(file, size, offset))
    return rc;
  const std::string_view page(static_cast<const char*>(buffer), kDatabasePage);
  std::uint64_t sum = 0;
  std::memcpy(&sum, page.data() + kDatabasePage - kPageSumSize, sizeof sum);
  return sum == PageSum(page) ? SQLITE_OK : SQLITE_IOERR_DATA;
}

int Write(sqlite3_file* file, const void* buffer, int size, sqlite3_int64 offset) {
  if (!IsPage(file, size, offset))
    return MethodsOf(file).xWrite(RealOf(file), buffer, size, offset);
  char page[kDatabasePage];
  std::memcpy(page, buffer, sizeof page);
  const std::uint64_t sum = PageSum({page, sizeof page});
  std::memcpy(page + kDatabasePage - kPageSumSize, &sum, sizeof sum);
  return MethodsOf(file).xWrite(RealOf(file), page, size, offset);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return MethodsOf(file).xTruncate(RealOf(file), size);
}
int Sync(sqlite3_file* file, int flags) {
  return MethodsOf(file).xSync(RealOf(file), flags);
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return MethodsOf(file).xFileSize(RealOf(file), size);
}
int Lock(sqlite3_file* file, int lock) {
  return MethodsOf(file).xLock(RealOf(file), lock);
}
int Unlock(sqlite3_file* file, int lock) {
  return MethodsOf(file).xUnlock(RealOf(file), lock);
}
int CheckReservedLock(sqlite3_file* file, int* held) {
  return MethodsOf(file).xCheckReservedLock(RealOf(file), held);
}
int FileControl(sqlite3_file* file, int operation, void* argument) {
  return MethodsOf(file).xFileControl(RealOf(file), operation, argument);
}
int SectorSize(sqlite3_file* file) {
  return MethodsOf(file).xSectorSize(RealOf(file));
}
int DeviceCharacteristics(sqlite3_file* file) {
  return MethodsOf(file).xDeviceCharacteristics(RealOf(file));
}
int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** page) {
  return MethodsOf(file).xShmMap(RealOf(file), region, size, extend, page);
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  return MethodsOf(file).xShmLock(RealOf(file), offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) {
  MethodsOf(file).xShmBarrier(RealOf(file));
}
int ShmUnmap(sqlite3_file* file, int remove) {
  return MethodsOf(file).xShmUnmap(RealOf(file), remove);
}

// Version 2: pages are read, never mapped.
constexpr sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = FileSize,
    .xLock = Lock,
    .xUnlock = Unlock,
    .xCheckReservedLock = CheckReservedLock,
    .xFileControl = FileControl,
    .xSectorSize = SectorSize,
    .xDeviceCharacteristics = DeviceCharacteristics,
    .xShmMap = ShmMap,
    .xShmLock = ShmLock,
    .xShmBarrier = ShmBarrier,
    .xShmUnmap = ShmUnmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

sqlite3_vfs* RealVfs(sqlite3_vfs* vfs) {
  return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  SummedFile& summed = FileOf(file);
  summed.base.pMethods = nullptr;
  summed.has_sums = (flags & SQLITE_OPEN_MAIN_DB) != 0;
  const int rc = RealVfs(vfs)->xOpen(RealVfs(vfs), path, summed.real(), flags, out_flags);
  if (rc == SQLITE_OK)
    summed.base.pMethods = &kMethods;
  return rc;
}

}  // namespace

Result<void> UsePageSums() {
  static sqlite3_vfs vfs;
  sqlite3_vfs* real = sqlite3_vfs_find("unix");
  if (real == nullptr)
    return Error{ErrorCode::kSystem, "SQLite has no VFS for Unix"};
  // All but opening is the real one's, which is given itself only where it asks for it.
  vfs = *real;
  vfs.zName = "cloister";
  vfs.pNext = nullptr;
  vfs.pAppData = real;
  vfs.szOsFile = real->szOsFile + static_cast<int>(sizeof(SummedFile));
  vfs.xOpen = Open;
  if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
    return Error{ErrorCode::kSystem, "SQLite does not take a VFS"};
  return {};
}

}  // namespace cloister
