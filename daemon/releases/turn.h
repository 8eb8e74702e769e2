#pragma once

// Which release is to serve when somebody says "back" or "this one": rollbacks and promotions.
//
// Blocking, on the state's writer thread, so that what it chooses still holds when it is walked to.

#include <optional>
#include <string>

#include "apis/backends/sqlite.h"
#include "config/settings.h"
#include "daemon/releases/config_change.h"
#include "daemon/releases/problem.h"
#include "daemon/store/rows.h"
#include "daemon/store/snapshot_rows.h"

namespace cloister {

enum class TurnKind {
  kRollback,  // to a release that was live before; without a version: the last one, or, while there
              // is a canary, to no canary
  kPromote,   // of a canary, or of any release that has been checked
};

// Whether the app's database goes back as well, to a snapshot of the release.
enum class TurnedData { kStays, kGoesBack };

struct TurnRequest {
  TurnKind kind = TurnKind::kRollback;
  std::string version;  // may be empty for kRollback
  TurnedData data = TurnedData::kStays;
  // Of kGoesBack: this one is meant; none: the newest of the release.
  std::optional<std::uint64_t> snapshot = {};
};

// What is to be done for it.
enum class TurnNeed {
  kNothing,         // `release` is live already
  kWithdrawCanary,  // done: the canary `release` is draining
  kServe,           // `release` is to walk to live
};

struct ChosenTurn {
  TurnNeed need = TurnNeed::kNothing;
  ReleaseRow release;
  ReleaseConfig config = {};                   // for kServe: with which it goes live
  std::optional<std::uint64_t> snapshot = {};  // the data comes from; none: it stays
};

// A rollback takes the plain config along with which the release served last; a promotion leaves
// the config as it is. A release that is to serve runs within `quota`, today's, whatever held when
// it was deployed. kReleaseNotFound, kNoPrevious, kNotServable, kVersionTaken, kConfigMissing,
// kIntegrity, kSnapshotNotFound.
Outcome<ChosenTurn> ChooseTurn(Database& db, const AppRow& app, const TurnRequest& request,
                               const LimitSettings& quota, const Change& change);

// What a rollback with data would do, for whoever decides about it.
struct DataPreview {
  ReleaseRow release;
  SnapshotRow snapshot;
  Bytes snapshot_bytes;
  Bytes database_bytes;  // of what is there now
};
// `app_directory`: as DataDirectory has it. Errors: as above; nothing is changed.
Outcome<DataPreview> PreviewData(Database& db, const AppRow& app, const std::string& version,
                                 const std::string& app_directory);

}  // namespace cloister
