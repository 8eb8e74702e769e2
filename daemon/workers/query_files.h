#pragma once

// The files of an app's database, opened by the node for the app's query process. The node reads
// none of their bytes.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/base/units.h"
#include "apis/query/packets.h"
#include "apis/wire/messages.h"

namespace cloister {

// The largest database that is copied for a release that is checked.
inline constexpr Bytes kQueryCopyMax = MiB(256);

struct QueryFiles {
  WorkerJob job = WorkerJob::kQuery;
  QueryMode mode = QueryMode::kKept;
  // Database, log, index of the log; with kCopy three empty files without a name as well. Of a
  // server: the login, then sockets.
  std::vector<std::shared_ptr<const UniqueFd>> files = {};
  // The name of a database on a server that is this check's own, and to be dropped behind it.
  std::string copy = {};
};

enum class QueryPurpose { kServe, kCheck };

// Opens the app's database of that generation (daemon/workers/database_source.h) and what belongs
// to it. The first one is made where there is none. Blocks.
Result<QueryFiles> OpenQueryFiles(const std::string& app_directory, std::uint64_t data,
                                  QueryPurpose purpose);

}  // namespace cloister
