#pragma once

// Which releases of an app stay, and what is left of the others. Blocking; background jobs only.
//
// Releases that are kept or rejected go when there are too many of their kind, or when they are too
// old: files, steps, report and row, and the bytecode that no other release of the app needs. Their
// contents go with the sweep (daemon/store/contents.h). What a release must not lose never goes:
// live, draining, pinned, or the one that served last. Of what was once live a collected row
// stays, which remembers whose the version was: it is never taken twice (I4).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

struct KeepPolicy {
  // Of an app: kept ones that were live, as many that never were, as many rejected ones; pins come
  // on top.
  std::uint32_t kept_max = 100;
  WallTime before = {};  // what settled before this is too old; the epoch: nothing is
};

// How much one call removes at most, in one transaction. A release goes whole.
struct CollectBounds {
  std::uint32_t releases = 200;
  std::uint64_t files = 2000;  // the one that reaches this is the last
};

// What was once live, and went.
struct CollectedRow {
  ReleaseId id;
  std::string version;
  std::uint32_t attempt = 1;
  Sha256 digest;
  WallTime created_at;
  WallTime collected_at;
};

// Those beyond the policy, the oldest first (by when it settled: was replaced, or rejected). Each
// has its audit row. Returns how many went; 0: nothing is left to do.
Result<std::uint64_t> CollectReleases(Database& db, const AppRow& app, const KeepPolicy& policy,
                                      const Change& change, const CollectBounds& bounds = {});

// Newest first.
Result<std::vector<CollectedRow>> ListCollected(Database& db, AppId app, std::uint32_t limit);
// Of one version, oldest first.
Result<std::vector<CollectedRow>> ListCollectedVersion(Database& db, AppId app,
                                                       std::string_view version);

enum class Pin { kSet, kUnset };
// Every attempt at `version` that is there. kNotFound when there is none.
Result<void> PinVersion(Database& db, const AppRow& app, std::string_view version, Pin pin,
                        const Change& change);

}  // namespace cloister
