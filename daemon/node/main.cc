// cloister-node: started by cloisterd, which tells it everything on descriptor 3.

#include <fcntl.h>
#include <signal.h>

#include <cstdio>

#include "apis/base/log.h"
#include "config/parser.h"
#include "daemon/node/node.h"

namespace {

constexpr int kControlFd = 3;

}  // namespace

int main(int argc, char** /*argv*/) {
  using namespace cloister;
  if (argc > 1 || ::fcntl(kControlFd, F_GETFD) < 0) {
    std::fputs("cloister-node is started by cloisterd; see cloisterd --help\n", stderr);
    return 2;
  }
  // The keeper says when to stop; a terminal's Ctrl-C reaches the whole group.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
    ::signal(signal, SIG_IGN);
  UniqueFd control(kControlFd);
  (void)::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  OpenLog("cloister-node", LogLevel::kInfo);
  Result<NodeOrders> orders = ReceiveNodeStart(kControlFd);
  if (!orders.ok()) {
    Log(LogLevel::kError, "node_not_started", {{"error", orders.error().message}});
    return 1;
  }
  Result<std::unique_ptr<Node>> node = Node::Create(std::move(orders).value(), std::move(control));
  if (!node.ok()) {
    Log(LogLevel::kError, "node_not_started", {{"error", node.error().message}});
    return 1;
  }
  return node.value()->Run();
}
