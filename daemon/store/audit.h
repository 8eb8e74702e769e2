#pragma once

// Who changed what, when. Called inside the transaction of the change itself.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

struct AuditRow {
  std::uint64_t id = 0;
  WallTime at;
  std::string who;
  std::string action;   // tenant_created, app_deleted, release_live ...
  std::string subject;  // TENANT, TENANT/APP or TENANT/APP@VERSION
  std::string detail;
};

Result<void> AddAudit(Database& db, const Change& change, std::string_view action,
                      std::string_view subject, std::string_view detail = "");

// The newest `limit` rows, oldest first.
Result<std::vector<AuditRow>> ListAudit(Database& db, std::uint32_t limit);

// Whether it says that the release was created: with its app, version, digest and time.
Result<bool> TellsOfCreation(Database& db, const ReleaseRow& release);
// Whether a release that serves is the one of its app that went live, or became a canary, last; and
// its state and its flag agree. True for all others.
Result<bool> TellsOfServing(Database& db, const ReleaseRow& release);

// Times in the tables: microseconds since 1970 UTC.
std::int64_t ToColumn(WallTime time);
WallTime FromColumn(std::int64_t micros);

}  // namespace cloister
