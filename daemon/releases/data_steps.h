#pragma once

// What a walk does with the app's database: the snapshot before a release's script runs for good,
// and the copy of a snapshot that is to take the place of the database.
//
// Both are copies into a new generation (daemon/workers/database_source.h), whole and on the disk
// before its number means anything. What has a number that means nothing any more goes when the
// next one is made. One at a time for each app. Runs on the loop thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/settings.h"
#include "daemon/releases/problem.h"
#include "daemon/releases/turn.h"
#include "daemon/store/snapshot_rows.h"
#include "daemon/store/state.h"
#include "daemon/workers/database_source.h"

namespace cloister {

class DataSteps {
 public:
  struct Parts {
    const Clock& clock;
    State& state;
    DatabaseSource* databases = nullptr;  // null: no app has one
    ReleaseSettings settings = {};
  };

  explicit DataSteps(const Parts& parts);
  DataSteps(const DataSteps&) = delete;
  DataSteps& operator=(const DataSteps&) = delete;
  ~DataSteps();

  // Why that cannot be, whichever app and release.
  std::optional<Problem> Refuse(TurnedData data) const;
  // Of the app's database, for `live`, which serves with it, before `next` changes it. What was
  // done, for people; nothing needs to be: there is no database, or it is too large.
  void TakeSnapshot(const AppRow& app, const ReleaseName& live, const std::string& next,
                    std::function<void(Result<std::string>)> done);
  // The generation that is a copy of that snapshot. kNotFound: there is none.
  void CopySnapshot(const AppRow& app, std::uint64_t snapshot,
                    std::function<void(Result<std::uint64_t>)> done);
  // The size of the app's database with its log.
  void Measure(const AppRow& app, std::function<void(Result<Bytes>)> done);

 private:
  void OnSnapshotCopied(const AppRow& app, const SnapshotRow& snapshot, Bytes size,
                        std::function<void(Result<std::string>)> done);
  std::string DirectoryOf(const AppRow& app) const {
    return parts_.state.AppDirectory(app.id.number);
  }

  Parts parts_;
  std::shared_ptr<DataSteps*> self_;  // null inside once this is gone
};

}  // namespace cloister
