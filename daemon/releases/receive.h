#pragma once

// The first step of a deploy: from a checked bundle to a release in the database, or a refusal.
//
// Blocking, on the state's writer thread, so that what it checks still holds when it writes. Repeat
// the same request and it answers the same: a version that is live with the same files is answered
// as it is, nothing is created.

#include <string>
#include <string_view>

#include "apis/backends/sqlite.h"
#include "config/manifest.h"
#include "config/quota.h"
#include "config/settings.h"
#include "daemon/releases/bundle.h"
#include "daemon/releases/problem.h"
#include "daemon/store/rows.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// The most paths that a refusal lists.
inline constexpr std::size_t kListedPathsMax = 20;

// What stands for the version of a release whose manifest cannot be read.
inline constexpr std::string_view kNoVersion = "unknown";

struct ReceiveRequest {
  AppRow app;
  Bundle bundle;
  bool allow_downgrade = false;
  ReleaseGoal goal = ReleaseGoal::kLive;
  std::uint32_t canary_percent = 0;
  Rehearsal rehearsal = Rehearsal::kYes;
  LimitSettings quota;  // what the manifest asks for is cut to this
};

struct ReceivedRelease {
  ReleaseRow release;
  bool created = false;  // false: the live release is this one already
};

// kContentsMissing (list: hashes), kVersionTaken (list: paths that differ), kVersionLower,
// kNothingLive (for a canary), kIntegrity, and what the database says. A bundle whose manifest has
// errors becomes a release without a version (kNoVersion), which its verification rejects with a
// report.
Outcome<ReceivedRelease> ReceiveRelease(Database& db, const ReceiveRequest& request,
                                        const Change& change);

// kVersionTaken when that version, in this or another spelling, was live with other files, which
// may be gone.
Outcome<Done> CheckNotTaken(Database& db, AppId app, const std::string& version,
                            const Sha256& digest);

// What is within the app's quota of it.
ReleaseRun Within(ReleaseRun run, const LimitSettings& quota);
// How a release runs: what its manifest asks for within the app's quota.
ReleaseRun RunOf(const Manifest& manifest, const LimitSettings& quota);
// The same of a release that is there, kept in its row. kIntegrity: its manifest is none any more.
Outcome<Done> CutToQuota(Database& db, ReleaseRow& release, const LimitSettings& quota);

// The release as its workers need it, with that version of the app's config.
ReleaseSpec SpecOf(const AppRow& app, const ReleaseRow& release, const Quota& quota,
                   std::uint64_t config);

}  // namespace cloister
