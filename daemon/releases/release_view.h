#pragma once

// A release as people look at it. Blocking; background jobs only.

#include <cstdint>
#include <optional>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/releases/problem.h"
#include "daemon/store/rows.h"

namespace cloister {

struct ReleaseView {
  ReleaseRow release;
  std::vector<StepRow> steps;
  std::optional<ReportRow> report;
  bool under_way = false;  // a step runs or follows

  // Of the newest step; those of changes of the config do not stay.
  std::uint32_t last_sequence() const { return steps.empty() ? 0 : steps.back().sequence; }
};

// kReleaseNotFound.
Outcome<ReleaseView> ReadView(Database& db, ReleaseId id);
// Newest first.
Outcome<std::vector<ReleaseView>> ReadViews(Database& db, AppId app, std::uint32_t limit);

}  // namespace cloister
