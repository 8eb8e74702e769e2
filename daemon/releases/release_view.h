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
};

// kReleaseNotFound.
Outcome<ReleaseView> ReadView(Database& db, ReleaseId id);
// Newest first.
Outcome<std::vector<ReleaseView>> ReadViews(Database& db, AppId app, std::uint32_t limit);

}  // namespace cloister
