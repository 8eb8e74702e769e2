#pragma once

// The generations of an app's database: which one is the app's, and which are snapshots.
//
// A snapshot is tied to the release that was live when it was taken. Blocking.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

struct SnapshotRow {
  std::uint64_t number = 0;
  ReleaseId release;  // that was live
  std::string version;
  WallTime taken_at;
  std::string reason;
};

// The app's database, and a number for another one that no other one ever had.
struct DataNumbers {
  std::uint64_t current = 0;
  std::uint64_t next = 0;
};
// kNotFound: there is no such app.
Result<DataNumbers> TakeDataNumber(Database& db, AppId app);

// Within a transaction.
Result<void> AddSnapshot(Database& db, AppId app, const SnapshotRow& snapshot);
// Newest first.
Result<std::vector<SnapshotRow>> ListSnapshots(Database& db, AppId app);
// The newest of that release.
Result<std::optional<SnapshotRow>> FindSnapshot(Database& db, ReleaseId release);

// Forgets all but the newest `max`, and those whose releases are gone.
Result<void> PruneSnapshots(Database& db, AppId app, std::uint32_t max);
// The numbers of what has to be there: the app's database and the snapshots.
Result<std::vector<std::uint64_t>> ListData(Database& db, AppId app);

// Within a transaction: database `data` is the app's from now on. The one before becomes a snapshot
// of `former`, which was live with it.
struct DataTurn {
  std::uint64_t data = 0;
  std::string reason;  // of the snapshot
};
Result<void> TurnData(Database& db, const ReleaseRow& former, const DataTurn& turn, WallTime when);

}  // namespace cloister
