#pragma once

// The first step of a walk: that a release is what was received, and says what it must.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/releases/images.h"
#include "daemon/store/rows.h"

namespace cloister {

struct VerifiedRelease {
  ContentsSummary contents;
  std::optional<ReportRow> manifest_fault;
  std::vector<std::string> missing_keys;  // of the config, that the manifest requires
};

// kNotFound or kSystem when a content is missing or damaged. `config`: the version that it would
// run with. Blocking.
Result<VerifiedRelease> VerifyRelease(Database& db, ReleaseId release, std::uint64_t config);

}  // namespace cloister
