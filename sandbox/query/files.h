#pragma once

// The files of cloister-query, which it was handed and cannot open: under made-up paths for SQLite.
//
// SQLite's own VFS for Unix stays what it is, with its locks and its index of the log in shared
// memory; only the system calls that take a path are replaced, by a look into this table. A
// connection gets duplicates. What is not in the table does not exist, and nothing is made or
// removed.

#include <cstdint>
#include <vector>

#include "apis/base/result.h"

namespace cloister {

inline constexpr const char* kDatabasePath = "/db";
inline constexpr const char* kCopyPath = "/copy";

struct QueryFile {
  const char* path = "";
  int fd = -1;
};

// Tells SQLite; once, before it is used. The descriptors stay open.
Result<void> ServeFiles(std::vector<QueryFile> files);

// A log grows no further than that: what would make it is SQLITE_FULL.
void SetLogMax(std::uint64_t bytes);
// Why SQLite could not write, since this was asked last.
enum class WriteFailure { kNone, kLogFull, kDiskFull };
WriteFailure TakeWriteFailure();

// The size of a file of the table; 0 when there is none.
std::uint64_t SizeOfFile(const char* path);

}  // namespace cloister
