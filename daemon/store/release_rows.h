#pragma once

// Releases in state.db: rows, files, steps, reports. Blocking; background jobs only.
//
// A release and its files are one transaction: all of it or none (I4). Which release is live is
// decided by one transaction too (GoLive), and by nothing else.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"
#include "daemon/store/snapshot_rows.h"

namespace cloister {

// The release with its files and its first step, "received", done. `attempt` is one more than the
// highest of this version so far.
Result<ReleaseRow> CreateRelease(Database& db, const NewRelease& release, const Change& change);

// kNotFound when there is none.
Result<ReleaseRow> FindRelease(Database& db, ReleaseId id);
Result<std::string> FindManifest(Database& db, ReleaseId id);
// What SealOfRun() gave when the release was created.
Result<Sha256> FindRunSeal(Database& db, ReleaseId id);
Result<std::optional<ReleaseRow>> FindLive(Database& db, AppId app);
Result<std::optional<ReleaseRow>> FindCanary(Database& db, AppId app);
// The release that was live last before the live one, and is there still.
Result<std::optional<ReleaseRow>> FindPrevious(Database& db, AppId app);
// Of one version, oldest attempt first.
Result<std::vector<ReleaseRow>> ListVersion(Database& db, AppId app, std::string_view version);
// Newest first.
Result<std::vector<ReleaseRow>> ListReleases(Database& db, AppId app, std::uint32_t limit);
// Oldest first.
Result<std::vector<ReleaseId>> ListReleaseIds(Database& db, AppId app);
// Live releases and canaries of every app; what a starting node publishes.
Result<std::vector<ReleaseRow>> ListServing(Database& db);
// The versions that ever were live, each once; of collected releases, too.
Result<std::vector<std::string>> ListTakenVersions(Database& db, AppId app);
// Sorted by path.
Result<std::vector<ReleaseFile>> ListFiles(Database& db, ReleaseId id);
Result<std::vector<StepRow>> ListSteps(Database& db, ReleaseId id);
Result<std::optional<ReportRow>> FindReport(Database& db, ReleaseId id);

// A step began. It is named by the state that it leads to.
Result<void> StartStep(Database& db, ReleaseId id, std::string_view name, WallTime when);
// What a step leaves.
struct StepEnd {
  std::string detail;   // for people
  std::string modules;  // that the release has loaded (daemon/releases/modules.h); "": as before
};
// The running step is done and the release is in its next state. CHECKs the transition table.
Result<void> FinishStep(Database& db, ReleaseId id, ReleaseState next, const StepEnd& end,
                        WallTime when);
// The `modules` of the release's last step that had any.
Result<std::optional<std::string>> FindModules(Database& db, ReleaseId id);

// A release that was only to be checked has been: it is kept.
Result<void> KeepChecked(Database& db, ReleaseId id, std::string_view subject,
                         const Change& change);

// What gave way to a release that serves now: releases that are draining from here on.
using Displaced = std::vector<ReleaseId>;
// In one transaction: the step is done and the release is live; the former live one is draining,
// and so is a canary. A report of an earlier attempt to make this release live again goes.
// `config`: the version that it was booted with, in force from here on.
// `data`, where there is one: the app's database from here on (daemon/store/snapshot_rows.h).
struct Along {
  // NOLINTNEXTLINE(google-explicit-constructor): most have a config alone.
  Along(std::uint64_t of_config) : config(of_config) {}

  std::uint64_t config = 0;
  std::optional<DataTurn> data = {};
  std::string detail = {};  // of the step
};
Result<Displaced> GoLive(Database& db, ReleaseId id, const Along& along, std::string_view subject,
                         const Change& change);
// The same for a canary: the live release stays, another canary is draining.
Result<Displaced> GoCanary(Database& db, ReleaseId id, const Along& along, std::string_view subject,
                           const Change& change);
// The canary is draining.
Result<void> WithdrawCanary(Database& db, ReleaseId id, std::string_view subject,
                            const Change& change);
// Nothing runs on a draining release any more.
Result<void> FinishDraining(Database& db, ReleaseId id, WallTime when);
// The running step failed and the release is rejected, with its report.
Result<void> RejectRelease(Database& db, ReleaseId id, const ReportRow& report,
                           std::string_view subject, const Change& change);
// The running step of a release that served before failed: it stays what it is, with a report.
Result<void> FailStep(Database& db, ReleaseId id, const ReportRow& report, std::string_view subject,
                      const Change& change);

// How the release runs when it serves again: its manifest within today's quotas.
Result<void> SetRun(Database& db, ReleaseId id, const ReleaseRun& run);

// A walk that is to go on when the state is opened next.
struct ResumeMark {
  enum class Walk {
    kDeploy,       // of a release that is not finished
    kTurn,         // of one that served, whose step "live" runs
    kTurnToBegin,  // the same before its step began
  };
  ReleaseId release;
  Walk walk = Walk::kDeploy;
};
// Nothing when the walk has ended meanwhile.
Result<void> MarkForResume(Database& db, const ResumeMark& mark, WallTime when);

// What a start finds unfinished.
struct Unfinished {
  std::uint64_t rejected = 0;       // a crash cut them off
  std::vector<ReleaseRow> resumed;  // marked; their running step begins anew
};
// After a restart: what was under way is rejected with `report` unless it was marked, what drained
// is kept.
Result<Unfinished> CloseInterrupted(Database& db, const ReportRow& report, const Change& change);

}  // namespace cloister
