#include "daemon/releases/turn.h"

#include <algorithm>

#include "daemon/releases/receive.h"
#include "daemon/store/release_rows.h"
#include "daemon/workers/database_copy.h"
#include "daemon/workers/database_source.h"

namespace cloister {
namespace {

bool MayServe(const ReleaseRow& release, TurnKind kind) {
  switch (release.state) {
    case ReleaseState::kLive:
      return true;
    case ReleaseState::kCanary:
      return kind == TurnKind::kPromote;
    case ReleaseState::kDraining:
    case ReleaseState::kKept:
      return kind == TurnKind::kPromote || release.live_sequence > 0;
    default:
      return false;
  }
}

// Why a release of that version cannot serve.
std::string WhyNot(const ReleaseRow& release, TurnKind kind) {
  if (release.state == ReleaseState::kRejected)
    return release.version + " was rejected: its report says why; correct it and deploy it again";
  if (IsUnfinished(release.state))
    return release.version + " is being deployed";
  if (kind == TurnKind::kRollback)
    return release.version + " was never live: `cloister promote` puts it live";
  return release.version + " cannot serve";
}

Outcome<ReleaseRow> FindVersion(Database& db, const AppRow& app, const TurnRequest& request) {
  const std::vector<ReleaseRow> attempts = TRY(ListVersion(db, app.id, request.version));
  if (attempts.empty())
    return Refused(ProblemCode::kReleaseNotFound,
                   app.name.ToString() + " has no release " + request.version.substr(0, 64) +
                       "; `cloister releases " + app.name.ToString() + "` lists those that it has");
  const auto newest = std::find_if(
      attempts.rbegin(), attempts.rend(),
      [&request](const ReleaseRow& attempt) { return MayServe(attempt, request.kind); });
  if (newest != attempts.rend())
    return *newest;
  return Refused(ProblemCode::kNotServable, WhyNot(attempts.back(), request.kind));
}

Outcome<ReleaseRow> FindTarget(Database& db, const AppRow& app, const TurnRequest& request) {
  if (!request.version.empty())
    return FindVersion(db, app, request);
  if (std::optional<ReleaseRow> canary = TRY(FindCanary(db, app.id)))
    return std::move(*canary);
  if (std::optional<ReleaseRow> previous = TRY(FindPrevious(db, app.id)))
    return std::move(*previous);
  return Refused(ProblemCode::kNoPrevious,
                 "no other release of " + app.name.ToString() + " was live before and is kept");
}

// The snapshot that the data of `release` comes back from.
Outcome<SnapshotRow> ChooseSnapshot(Database& db, const AppRow& app, const ReleaseRow& release) {
  if (release.state == ReleaseState::kLive)
    return Refused(ProblemCode::kNotServable,
                   release.version + " is live already; data goes back with a release");
  if (release.state == ReleaseState::kCanary)
    return Refused(ProblemCode::kNotServable,
                   "the canary " + release.version +
                       " is withdrawn without data; name the VERSION to go back to");
  std::optional<SnapshotRow> snapshot = TRY(FindSnapshot(db, release.id));
  if (snapshot)
    return std::move(*snapshot);
  return Refused(ProblemCode::kSnapshotNotFound,
                 "there is no snapshot of the database from when " + release.version +
                     " was live; `cloister snapshots " + app.name.ToString() +
                     "` lists those that there are");
}

}  // namespace

Outcome<DataPreview> PreviewData(Database& db, const AppRow& app, const std::string& version,
                                 const std::string& app_directory) {
  DataPreview preview{
      .release = TRY(FindTarget(db, app, {.kind = TurnKind::kRollback, .version = version})),
      .snapshot = {},
      .snapshot_bytes = {},
      .database_bytes = SizeOfDatabase(DataDirectory(app_directory, app.data))};
  preview.snapshot = TRY(ChooseSnapshot(db, app, preview.release));
  preview.snapshot_bytes = SizeOfDatabase(DataDirectory(app_directory, preview.snapshot.number));
  return preview;
}

Outcome<ChosenTurn> ChooseTurn(Database& db, const AppRow& app, const TurnRequest& request,
                               const LimitSettings& quota, const Change& change) {
  ChosenTurn chosen{.release = TRY(FindTarget(db, app, request))};
  ReleaseRow& release = chosen.release;
  if (request.data == TurnedData::kGoesBack)
    chosen.snapshot = TRY(ChooseSnapshot(db, app, release)).number;
  if (request.snapshot && request.snapshot != chosen.snapshot)
    return Refused(ProblemCode::kSnapshotNotFound, "snapshot " + std::to_string(*request.snapshot) +
                                                       " is not the newest one of " +
                                                       release.version + " any more; look again");
  if (release.state == ReleaseState::kLive)
    return chosen;
  if (release.state == ReleaseState::kCanary && request.kind == TurnKind::kRollback) {
    TRY(WithdrawCanary(db, release.id, app.name.ToString() + "@" + release.version, change));
    release.state = ReleaseState::kDraining;
    chosen.need = TurnNeed::kWithdrawCanary;
    return chosen;
  }
  TRY(CheckNotTaken(db, release.app, release.version, release.digest));
  TRY(CutToQuota(db, release, quota));
  // Last: it writes what is wanted then.
  chosen.config =
      TRY(request.kind == TurnKind::kRollback ? ChooseReleaseConfig(db, app, release, change)
                                              : KeepConfig(db, app, release));
  chosen.need = TurnNeed::kServe;
  return chosen;
}

}  // namespace cloister
