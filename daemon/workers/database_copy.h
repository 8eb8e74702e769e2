#pragma once

// A copy of an app's database, of one moment, while its query process reads and writes it.
//
// The files are the tenant's: nothing here reads what is in them. The copy is made under SQLite's
// own locks, so that the process goes on: while they are held nothing is written back from the log
// to the database and the log does not begin anew, so the database's file stands still and the log
// only grows. A database with a log of which the end is cut is what a crash leaves, too: SQLite
// reads every transaction that was whole. Statements wait for none of this. A process that starts
// must not meet the locks, though: it would wait to read the log. Who starts one stops the copy
// first. Blocking.

#include <atomic>
#include <string>

#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

// The files of a database, in its directory.
inline constexpr const char* kDatabaseFile = "/query.db";
inline constexpr const char* kDatabaseLogFile = "/query.db-wal";
inline constexpr const char* kDatabaseIndexFile = "/query.db-shm";

// What a database and its log have on the disk; 0: there is none.
Bytes SizeOfDatabase(const std::string& directory);

// Into `to`, a directory that it makes; what was left there before goes. The bytes of the copy.
// kDeadlineExceeded: `stop` became true; kNotFound: there is no database; kUnavailable: the locks
// were not to be had; kStorageFull.
Result<Bytes> CopyDatabaseFiles(const std::string& from, const std::string& to,
                                const std::atomic<bool>& stop);

// What was copied into `from` is on the disk, and is called `to` from then on.
Result<void> FinishDatabaseCopy(const std::string& from, const std::string& to);

}  // namespace cloister
