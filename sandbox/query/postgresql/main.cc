// cloister-query-postgresql: runs one app's SQL on the operator's PostgreSQL server. Started by a
// blank of the zygote only, with its channel at descriptor 3, its node's control socket at 4, from
// 5 on a memory file with the login (QueryLogin) and sockets that are connected to the server.
//
//   argv: title, bytes of memory, number of descriptors from 5 on, Landlock's ABI
//
// It logs in with all of them before the walls, and can make no other connection afterwards: when
// the server closes one, the process ends with the reason, and the node starts another, which it
// hands fresh sockets.

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/messages.h"
#include "sandbox/confine.h"
#include "sandbox/query/postgresql/connection.h"
#include "sandbox/query/postgresql/engine.h"
#include "sandbox/query/server.h"
#include "sandbox/query/start.h"
#include "sandbox/steps/seccomp.h"

namespace cloister {
namespace {

constexpr int kLoginFd = kQueryFd + 1;
constexpr unsigned kFilesMin = 3;  // the login, a connection, the spare one
constexpr unsigned kFilesMax = 66;
constexpr std::uint32_t kDescriptorsMax = 1024;

using Connections = std::vector<std::unique_ptr<PgConnection>>;

Result<PgLogin> ReadLogin() {
  const UniqueFd file(kLoginFd);
  std::array<char, 4096> bytes{};
  const ssize_t size = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (size <= 0)
    return SystemError("reading the login");
  const auto login = TRY(DecodeMessage<QueryLogin>({bytes.data(), static_cast<std::size_t>(size)}));
  return PgLogin{.user = login.user, .password = login.password, .database = login.database};
}

Result<Connections> LogIn(unsigned last) {
  const PgLogin login = TRY(ReadLogin());
  Connections connections;
  for (unsigned fd = kLoginFd + 1; fd <= last; ++fd)
    connections.push_back(TRY(PgConnection::Open(static_cast<int>(fd), login)));
  return connections;
}

Result<void> RaiseWalls(Bytes memory_max, unsigned last, int landlock_abi) {
  const SeccompProgram policy = TRY(BuildFilter(QueryServerAllowedCalls(), RefusedCalls()));
  return CloseQueryWalls({.memory_max = memory_max,
                          .last_fd = last,
                          .descriptors_max = kDescriptorsMax,
                          .policy = policy,
                          .landlock_abi = landlock_abi});
}

Result<void> Serve(Connections connections, const QueryOrders& orders,
                   std::chrono::steady_clock::time_point began) {
  std::unique_ptr<PgConnection> spare = std::move(connections.back());
  connections.pop_back();
  const bool kept = QueryMode{orders.mode} == QueryMode::kKept;
  PgEngine engine(std::move(connections), std::move(spare),
                  kept ? PgEngine::Keeps::kAll : PgEngine::Keeps::kNothing);
  QueryServer server(kChannelFd, kQueryFd, engine);
  server.SetOrders(orders);
  SayQueryReady(began);
  return server.Serve();
}

int Run(int argc, char** argv) {
  const auto began = std::chrono::steady_clock::now();
  ::setenv("TZ", "UTC0", 1);
  (void)::signal(SIGPIPE, SIG_IGN);
  if (argc != 4)
    return 2;
  const auto files = static_cast<unsigned>(QueryNumber(argv[2]));
  if (files < kFilesMin || files > kFilesMax)
    return 2;
  const unsigned last = kQueryFd + files;
  Result<Connections> connections = LogIn(last);
  if (!connections.ok()) {
    SayQueryFailed("database_lost", connections.error());
    return 1;
  }
  const Result<void> walls =
      RaiseWalls(Bytes{QueryNumber(argv[1])}, last, static_cast<int>(QueryNumber(argv[3])));
  const Result<QueryOrders> orders =
      walls.ok() ? ReceiveFirstOrders() : Result<QueryOrders>(walls.error());
  if (!orders.ok()) {
    SayQueryFailed("sandbox_failed", orders.error());
    return 1;
  }
  const Result<void> served = Serve(std::move(connections).value(), orders.value(), began);
  if (served.ok())
    return 0;
  SayQueryFailed("database_lost", served.error());
  return 1;
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  // Not through destructors: the server sees the connections close.
  ::_exit(cloister::Run(argc, argv));
}
