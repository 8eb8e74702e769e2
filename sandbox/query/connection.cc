#include "sandbox/query/connection.h"

#include <algorithm>

#include <sqlite3.h>

#include "apis/wire/hang_up.h"
#include "sandbox/query/files.h"
#include "sandbox/query/functions.h"

namespace cloister {
namespace {

// Virtual instructions between two looks at the time.
constexpr int kProgressSteps = 2000;
// Between two looks at whether somebody still waits for the statement.
constexpr std::chrono::milliseconds kSocketLook{10};

struct Limit {
  int id = 0;
  int value = 0;
};
constexpr Limit kLimits[] = {
    {SQLITE_LIMIT_LENGTH, 32 << 20},     // of one value
    {SQLITE_LIMIT_SQL_LENGTH, 1 << 20},  // of one statement
    {SQLITE_LIMIT_COLUMN, 2000},
    {SQLITE_LIMIT_EXPR_DEPTH, 500},
    {SQLITE_LIMIT_COMPOUND_SELECT, 500},
    {SQLITE_LIMIT_VDBE_OP, 1000000},
    {SQLITE_LIMIT_FUNCTION_ARG, 127},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 5000},
    {SQLITE_LIMIT_VARIABLE_NUMBER, static_cast<int>(kQueryParametersMax)},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 100},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
};

constexpr const char* kPragmas =
    "PRAGMA synchronous=FULL;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-1024;"
    "PRAGMA journal_size_limit=16777216;"
    "PRAGMA cell_size_check=ON;";

}  // namespace

void StatementDeleter::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Result<std::unique_ptr<QueryConnection>> QueryConnection::Open(const char* path, SqlAccess access) {
  sqlite3* db = nullptr;
  const int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, nullptr);
  std::unique_ptr<QueryConnection> connection(new QueryConnection(db, path, access));
  if (rc != SQLITE_OK)
    return Error{ErrorCode::kUnavailable, db == nullptr ? "out of memory" : sqlite3_errmsg(db)};
  TRY(connection->SetUp());
  return connection;
}

Result<void> QueryConnection::SetUp() {
  for (const Limit& limit : kLimits)
    sqlite3_limit(db_, limit.id, limit.value);
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_FKEY, 0, nullptr);
  // Debian's default is on, and everybody else's off.
  ours_ = true;
  int keep_log = 1;
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log);
  int rc = Run(kPragmas);
  if (rc == SQLITE_OK)
    rc = Run("PRAGMA recursive_triggers=OFF; SELECT count(*) FROM sqlite_schema");
  if (rc == SQLITE_OK && access_ == SqlAccess::kReadOnly)
    rc = Run("PRAGMA query_only=ON");
  ours_ = false;
  if (rc != SQLITE_OK)
    return Error{ErrorCode::kUnavailable, sqlite3_errmsg(db_)};
  sqlite3_set_authorizer(db_, Authorize, this);
  sqlite3_progress_handler(db_, kProgressSteps, OnProgress, this);
  return AddFunctions(db_);
}

QueryConnection::~QueryConnection() {
  kept_.clear();
  passing_.reset();
  sqlite3_close_v2(db_);
}

bool QueryConnection::in_transaction() const {
  return sqlite3_get_autocommit(db_) == 0;
}

void QueryConnection::SetFlags(std::uint8_t flags) {
  flags &= static_cast<std::uint8_t>(~kQueryReadOnly);
  if (flags == flags_ || in_transaction())
    return;
  sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_FKEY, (flags & kQueryForeignKeys) != 0 ? 1 : 0,
                    nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE,
                    (flags & kQueryLegacyAlterTable) != 0 ? 1 : 0, nullptr);
  flags_ = flags;
}

std::uint8_t QueryConnection::flags() const {
  int foreign_keys = 0;
  int legacy_alter_table = 0;
  sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &foreign_keys);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, -1, &legacy_alter_table);
  return static_cast<std::uint8_t>((foreign_keys != 0 ? kQueryForeignKeys : 0) |
                                   (legacy_alter_table != 0 ? kQueryLegacyAlterTable : 0));
}

void QueryConnection::SetPagesMax(std::uint64_t pages) {
  if (pages == pages_max_)
    return;
  pages_max_ = pages;
  const std::string pragma = "PRAGMA max_page_count=" + std::to_string(pages);
  (void)Run(pragma.c_str());
}

QueryConnection::Prepared QueryConnection::Prepare(std::string_view sql) {
  refusal_.clear();
  flags_ = flags();
  const auto found = kept_.find(sql);
  if (found != kept_.end() && sqlite3_stmt_busy(found->second.statement.get()) == 0) {
    texts_.splice(texts_.begin(), texts_, found->second.place);
    return {.statement = found->second.statement.get(), .rc = SQLITE_OK, .tail = {}};
  }
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const bool is_short = sql.size() <= kKeptSqlMax;
  const int rc = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                    is_short ? SQLITE_PREPARE_PERSISTENT : 0, &statement, &tail);
  OwnStatement own(statement);
  const std::size_t used =
      tail == nullptr ? sql.size() : static_cast<std::size_t>(tail - sql.data());
  const std::string_view rest = sql.substr(std::min(used, sql.size()));
  if (rc != SQLITE_OK || own == nullptr)
    return {.statement = nullptr, .rc = rc, .tail = rest};
  const bool keep = is_short && found == kept_.end() && IsBlank(rest);
  return {.statement = keep ? Keep(sql, std::move(own)) : (passing_ = std::move(own)).get(),
          .rc = SQLITE_OK,
          .tail = rest};
}

sqlite3_stmt* QueryConnection::Keep(std::string_view sql, OwnStatement statement) {
  if (kept_.size() == kKeptMax) {
    kept_.erase(texts_.back());
    texts_.pop_back();
  }
  texts_.emplace_front(sql);
  const auto place = texts_.begin();
  return kept_.emplace(*place, Kept{.statement = std::move(statement), .place = place})
      .first->second.statement.get();
}

int QueryConnection::Run(const char* sql) {
  const bool before = std::exchange(ours_, true);
  const int rc = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  ours_ = before;
  return rc;
}

void QueryConnection::WriteBack() {
  (void)sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

// NOLINTNEXTLINE(readability-function-size): SQLite's signature
int QueryConnection::Authorize(void* self, int action, const char* first, const char* second,
                               const char* database, const char* /*trigger*/) {
  auto& connection = *static_cast<QueryConnection*>(self);
  if (connection.ours_)
    return SQLITE_OK;
  std::string refusal = RefusalOf(
      {.code = action, .first = first, .second = second, .database = database}, connection.access_);
  if (refusal.empty())
    return SQLITE_OK;
  connection.refusal_ = std::move(refusal);
  return SQLITE_DENY;
}

int QueryConnection::OnProgress(void* self) {
  return static_cast<QueryConnection*>(self)->MustStop() ? 1 : 0;
}

bool QueryConnection::MustStop() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (now >= end_)
    return true;
  if (socket_ < 0 || now - looked_ < kSocketLook)
    return false;
  looked_ = now;
  return HasHungUp(socket_);
}

}  // namespace cloister
