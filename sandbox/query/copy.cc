#include "sandbox/query/copy.h"

#include <memory>
#include <string>

#include <sqlite3.h>

#include "sandbox/query/files.h"

namespace cloister {
namespace {

struct Closer {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
using Own = std::unique_ptr<sqlite3, Closer>;

Result<Own> Open(const char* path) {
  sqlite3* db = nullptr;
  const int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, nullptr);
  Own own(db);
  if (rc != SQLITE_OK)
    return Error{ErrorCode::kUnavailable, sqlite3_errmsg(db)};
  sqlite3_busy_timeout(db, 5000);
  int keep_log = 1;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log);
  return own;
}

}  // namespace

Result<void> CopyDatabase() {
  const Own from = TRY(Open(kDatabasePath));
  const Own to = TRY(Open(kCopyPath));
  // Nothing of it outlives this process.
  (void)sqlite3_exec(to.get(), "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY", nullptr,
                     nullptr, nullptr);
  sqlite3_backup* backup = sqlite3_backup_init(to.get(), "main", from.get(), "main");
  if (backup == nullptr)
    return Error{ErrorCode::kUnavailable, sqlite3_errmsg(to.get())};
  (void)sqlite3_backup_step(backup, -1);
  if (sqlite3_backup_finish(backup) != SQLITE_OK)
    return Error{ErrorCode::kUnavailable, std::string("copying: ") + sqlite3_errmsg(to.get())};
  return {};
}

}  // namespace cloister
