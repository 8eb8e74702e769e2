#include "sandbox/query/sql_server/program.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "apis/base/unique_fd.h"
#include "apis/wire/messages.h"
#include "sandbox/confine.h"
#include "sandbox/query/server.h"
#include "sandbox/query/sql_server/engine.h"
#include "sandbox/query/start.h"
#include "sandbox/steps/seccomp.h"

namespace cloister {
namespace {

constexpr int kLoginFd = kQueryFd + 1;
constexpr unsigned kFilesMin = 3;  // the login, a connection, the spare one
constexpr unsigned kFilesMax = 66;
constexpr std::uint32_t kDescriptorsMax = 1024;

using Connections = std::vector<std::unique_ptr<ServerConnection>>;

Result<ServerLogin> ReadLogin() {
  const UniqueFd file(kLoginFd);
  std::array<char, 4096> bytes{};
  const ssize_t size = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (size <= 0)
    return SystemError("reading the login");
  const auto login = TRY(DecodeMessage<QueryLogin>({bytes.data(), static_cast<std::size_t>(size)}));
  return ServerLogin{.user = login.user, .password = login.password, .database = login.database};
}

Result<Connections> LogIn(unsigned last, const ServerProgram& program) {
  const ServerLogin login = TRY(ReadLogin());
  Connections connections;
  for (unsigned fd = kLoginFd + 1; fd <= last; ++fd)
    connections.push_back(TRY(program.open(static_cast<int>(fd), login)));
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

SqlServerEngine::Keeps KeepsOf(QueryMode mode) {
  if (mode == QueryMode::kKept)
    return SqlServerEngine::Keeps::kAll;
  return mode == QueryMode::kCopy ? SqlServerEngine::Keeps::kCopy
                                  : SqlServerEngine::Keeps::kNothing;
}

Result<void> Serve(const ServerProgram& program, Connections connections, const QueryOrders& orders,
                   std::chrono::steady_clock::time_point began) {
  std::unique_ptr<ServerConnection> spare = std::move(connections.back());
  connections.pop_back();
  SqlServerEngine engine(program.dialect, std::move(connections), std::move(spare),
                         KeepsOf(QueryMode{orders.mode}));
  QueryServer server(kChannelFd, kQueryFd, engine);
  server.SetOrders(orders);
  SayQueryReady(began);
  return server.Serve();
}

}  // namespace

int RunServerProgram(int argc, char** argv, const ServerProgram& program) {
  const auto began = std::chrono::steady_clock::now();
  ::setenv("TZ", "UTC0", 1);
  (void)::signal(SIGPIPE, SIG_IGN);
  if (argc != 4)
    return 2;
  const auto files = static_cast<unsigned>(QueryNumber(argv[2]));
  if (files < kFilesMin || files > kFilesMax)
    return 2;
  const unsigned last = kQueryFd + files;
  Result<Connections> connections = LogIn(last, program);
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
  const Result<void> served = Serve(program, std::move(connections).value(), orders.value(), began);
  if (served.ok())
    return 0;
  SayQueryFailed("database_lost", served.error());
  return 1;
}

}  // namespace cloister
