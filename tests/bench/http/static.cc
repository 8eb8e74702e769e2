// Our HTTP server with a handler that answers at once. What the front end costs by itself.
//
//   bench-http-static PORT [ACCESS_LOG]     runs until SIGTERM

#include <fcntl.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "daemon/http/server.h"
#include "daemon/loop/signals.h"
#include "tests/bench/http/listen.h"

namespace cloister {
namespace {

class StaticHandler : public HttpHandler {
 public:
  void Handle(Exchange& exchange) override {
    exchange.Respond(200, {{.name = "Content-Type", .value = "text/plain"}}, "hello v0001\n");
  }
};

int RunStatic(int port, const char* access_log_path) {
  Loop loop;
  const SystemClock clock;
  StaticHandler handler;
  std::unique_ptr<FileAccessLog> access_log;
  if (access_log_path != nullptr)
    access_log = std::make_unique<FileAccessLog>(
        loop, UniqueFd(::open(access_log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)));
  HttpServer server(loop, clock, {}, handler, access_log.get());
  server.Listen(ListenOnLoopback(port));
  const SignalWatch stop(loop, SIGTERM, [&loop] { loop.Stop(); });
  loop.Run();
  std::printf("requests=%llu\n", static_cast<unsigned long long>(server.counters().requests));
  return 0;
}

}  // namespace
}  // namespace cloister

int main(int argc, char** argv) {
  if (argc < 2)
    return 2;
  return cloister::RunStatic(static_cast<int>(std::strtol(argv[1], nullptr, 10)),
                             argc > 2 ? argv[2] : nullptr);
}
