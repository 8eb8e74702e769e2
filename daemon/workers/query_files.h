#pragma once

// The files of an app's database, opened by the node for the app's query process. The node reads
// none of their bytes.

#include <memory>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"
#include "apis/query/packets.h"

namespace cloister {

// The largest database that is copied for a release that is checked.
inline constexpr Bytes kQueryCopyMax = MiB(256);

struct QueryFiles {
  QueryMode mode = QueryMode::kKept;
  // Database, log, index of the log; with kCopy three empty files without a name as well.
  std::vector<std::shared_ptr<const UniqueFd>> files;
};

enum class QueryPurpose { kServe, kCheck };

// Opens, and makes where there are none, `directory`/query.db and what belongs to it. Blocks.
Result<QueryFiles> OpenQueryFiles(const std::string& directory, QueryPurpose purpose);

}  // namespace cloister
