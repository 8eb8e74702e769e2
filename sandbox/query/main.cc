// cloister-query: runs one app's SQL. Started by a blank of the zygote only, with its channel at
// descriptor 3, its node's control socket at 4, and the files of the database from 5 on: database,
// log and index of the log, then perhaps the same of a copy, and last a source of random bytes.
//
//   argv: title, bytes of memory, number of descriptors from 5 on, Landlock's ABI

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "apis/base/result.h"
#include "apis/wire/messages.h"
#include "sandbox/confine.h"
#include "sandbox/query/copy.h"
#include "sandbox/query/files.h"
#include "sandbox/query/overtime.h"
#include "sandbox/query/page_sums.h"
#include "sandbox/query/server.h"
#include "sandbox/query/sqlite_engine.h"
#include "sandbox/query/start.h"
#include "sandbox/steps/seccomp.h"

namespace cloister {
namespace {

constexpr unsigned kFirstFile = kQueryFd + 1;
constexpr unsigned kFilesKept = 3;    // without a copy
constexpr unsigned kFilesCopied = 6;  // with one
constexpr std::uint32_t kDescriptorsMax = 1024;
// Of its memory, what SQLite may have; the rest is for what is read and answered.
constexpr std::int64_t kHeapPart = 2;
constexpr const char* kPaths[] = {"/db", "/db-wal", "/db-shm", "/copy", "/copy-wal", "/copy-shm"};

struct Arguments {
  Bytes memory_max;
  unsigned files = 0;
  int landlock_abi = 0;
};

Result<Arguments> Parse(int argc, char** argv) {
  if (argc != 4)
    return Error{ErrorCode::kInvalidArgument, "started by the zygote only"};
  const Arguments arguments{.memory_max = Bytes{QueryNumber(argv[1])},
                            .files = static_cast<unsigned>(QueryNumber(argv[2])),
                            .landlock_abi = static_cast<int>(QueryNumber(argv[3]))};
  if (arguments.files != kFilesKept && arguments.files != kFilesCopied)
    return Error{ErrorCode::kInvalidArgument, "files that do not belong together"};
  return arguments;
}

// What has to be done while it can be: the last of what is opened by name.
Result<unsigned> OpenRandom(unsigned number) {
  UniqueFd random(::open("/dev/urandom", O_RDONLY | O_CLOEXEC));
  if (!random.valid())
    return SystemError("/dev/urandom");
  const auto wanted = static_cast<int>(number);
  if (random.get() == wanted)
    (void)random.Release();
  else if (::dup2(random.get(), wanted) != wanted)
    return SystemError("placing the random bytes");
  return number;
}

Result<void> RaiseWalls(const Arguments& arguments) {
  const unsigned random = TRY(OpenRandom(kFirstFile + arguments.files));
  TRY(WatchOvertime());
  const SeccompProgram policy = TRY(BuildFilter(QueryAllowedCalls(), RefusedCalls()));
  std::vector<QueryFile> files;
  files.reserve(arguments.files + 1);
  for (unsigned i = 0; i < arguments.files; ++i)
    files.push_back({.path = kPaths[i], .fd = static_cast<int>(kFirstFile + i)});
  files.push_back({.path = "/dev/urandom", .fd = static_cast<int>(random)});
  TRY(CloseQueryWalls({.memory_max = arguments.memory_max,
                       .last_fd = random,
                       .descriptors_max = kDescriptorsMax,
                       .policy = policy,
                       .landlock_abi = arguments.landlock_abi}));
  sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
  sqlite3_config(SQLITE_CONFIG_URI, 0);
  if (sqlite3_initialize() != SQLITE_OK)
    return Error{ErrorCode::kSystem, "SQLite does not start"};
  sqlite3_hard_heap_limit64(static_cast<std::int64_t>(arguments.memory_max.count) / kHeapPart);
  TRY(ServeFiles(std::move(files)));
  return UsePageSums();
}

int Run(int argc, char** argv) {
  const auto began = std::chrono::steady_clock::now();
  ::setenv("TZ", "UTC0", 1);
  (void)::signal(SIGPIPE, SIG_IGN);
  const Result<Arguments> arguments = Parse(argc, argv);
  if (!arguments.ok())
    return 2;
  const Result<void> walls = RaiseWalls(arguments.value());
  if (!walls.ok()) {
    SayQueryFailed("sandbox_failed", walls.error());
    return 1;
  }
  const Result<QueryOrders> orders = ReceiveFirstOrders();
  if (!orders.ok()) {
    SayQueryFailed("sandbox_failed", orders.error());
    return 1;
  }
  const QueryMode mode{orders.value().mode};
  const bool copied = mode == QueryMode::kCopy;
  Result<void> opened = copied ? CopyDatabase() : Result<void>();
  QuerySessions sessions(copied ? kCopyPath : kDatabasePath, mode == QueryMode::kReadOnly
                                                                 ? SqlAccess::kReadOnly
                                                                 : SqlAccess::kReadWrite);
  SqliteEngine engine(sessions);
  QueryServer server(kChannelFd, kQueryFd, engine);
  server.SetOrders(orders.value());
  if (opened.ok())
    opened = sessions.Open();
  if (!opened.ok()) {
    SayQueryFailed("database_damaged", opened.error());
    return 1;
  }
  SayQueryReady(began);
  return server.Serve().ok() ? 0 : 1;
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  // Not through destructors: nothing here needs saving.
  ::_exit(cloister::Run(argc, argv));
}
