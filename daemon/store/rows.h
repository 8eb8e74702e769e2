#pragma once

// What the tables of state.db hold, as values.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "apis/base/sha256.h"
#include "daemon/store/release_state.h"
#include "sandbox/limits.h"

namespace cloister {

// Who changes something, and when: written to the audit table with the change.
struct Change {
  std::string who;
  WallTime when;
};

struct TenantRow {
  TenantId id;
  std::string name;
  WallTime created_at;
};

struct AppRow {
  AppId id;
  TenantId tenant;
  AppName name;
  WallTime created_at;
  std::uint64_t data = 0;  // the generation of its database (daemon/workers/database_source.h)
};

// A content as a client names it before anything was uploaded.
struct ContentName {
  Sha256 sha256;
  std::uint64_t size = 0;
};

// A content whose hash was compared with its bytes.
struct VerifiedContent {
  Sha256 sha256;
  std::uint64_t size = 0;
  std::string compressed;
};

struct ReleaseFile {
  std::string path;
  Sha256 sha256;
  std::uint64_t size = 0;
};

// How a release runs, from its manifest and the app's quotas.
struct ReleaseRun {
  std::string entry;  // module:callable
  WorkerLimits limits;
  std::uint32_t workers_min = 0;
  std::uint32_t workers_max = 8;
  std::uint32_t queue_max = 256;
  std::string statics = {};  // [static], as StaticsText of config/manifest_static.h writes it
};

// What a deploy leads to when all goes well.
enum class ReleaseGoal { kLive, kCanary, kCheck };

constexpr std::string_view ReleaseGoalName(ReleaseGoal goal) {
  switch (goal) {
    case ReleaseGoal::kLive:
      return "live";
    case ReleaseGoal::kCanary:
      return "canary";
    case ReleaseGoal::kCheck:
      return "check";
  }
  return "";
}

constexpr std::optional<ReleaseGoal> ReleaseGoalOf(std::string_view name) {
  for (const ReleaseGoal goal : {ReleaseGoal::kLive, ReleaseGoal::kCanary, ReleaseGoal::kCheck})
    if (ReleaseGoalName(goal) == name)
      return goal;
  return std::nullopt;
}

// Whether a release's script is tried on the overlay, and the release checked there, before the
// script runs for good.
enum class Rehearsal { kNo, kYes };

struct NewRelease {
  AppId app;
  TenantId tenant;
  std::string app_name;  // TENANT/APP, for the audit
  std::string version;
  Sha256 digest;
  std::string manifest;
  ReleaseRun run;
  std::vector<ReleaseFile> files;
  std::size_t left_out = 0;  // files of the directory that the client did not send
  std::string note;          // what else there is to say of how it was received
  ReleaseGoal goal = ReleaseGoal::kLive;
  std::uint32_t canary_percent = 0;  // of kCanary: its share of the requests, 1-99
  Rehearsal rehearsal = Rehearsal::kYes;
};

struct ReleaseRow {
  ReleaseId id;
  AppId app;
  std::string version;
  std::uint32_t attempt = 1;
  ReleaseState state = ReleaseState::kReceived;
  bool live = false;
  bool was_live = false;  // at some time, or is
  bool pinned = false;    // stays, whatever the policy says
  Sha256 digest;
  ReleaseRun run;
  WallTime created_at;
  ReleaseGoal goal = ReleaseGoal::kLive;
  std::uint32_t canary_percent = 0;
  std::string created_by;
  // Counts up in its app each time that a release goes live; 0: this one never did.
  std::uint64_t live_sequence = 0;
  Rehearsal rehearsal = Rehearsal::kYes;
};

// A release by both its names.
struct ReleaseName {
  ReleaseId id;
  std::string version;
};

enum class StepOutcome { kRunning, kDone, kFailed };

struct StepRow {
  std::uint32_t sequence = 0;
  std::string name;
  StepOutcome outcome = StepOutcome::kRunning;
  WallTime started_at;
  WallTime ended_at;  // the epoch while it runs
  std::string detail;
};

// Why a release was rejected, and a way out.
struct ReportRow {
  std::string code = {};
  std::string message = {};
  std::string file = {};
  std::uint32_t line = 0;
  std::string traceback = {};
  std::string advice = {};
};

// A module of a release that has no bytecode yet, and one that now has.
struct BytecodeName {
  Sha256 sha256;
  std::string path;
};
struct Bytecode {
  BytecodeName name;
  std::string code;  // marshalled
};

}  // namespace cloister
