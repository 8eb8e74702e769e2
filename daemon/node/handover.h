#pragma once

// Client connections on their way from a node that drains to the one that serves.
//
// They travel through a socket pair that the keeper made and gives to every node, one connection a
// packet (ClientConnection). Both ends stay open as long as the keeper lives: what was sent waits
// for the next node that serves, should this one die before it takes it. Whoever drains sends and
// does not receive; whoever serves receives. Both classes run on the loop thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/wire/fd_socket.h"
#include "daemon/http/connection.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

// Which server of a node a connection belongs to; on the wire.
enum class NodeServer : std::uint32_t { kFront = 1, kAdmin = 2, kHealth = 3 };

struct PassedConnection {
  NodeServer server = NodeServer::kFront;
  ReleasedConnection connection;
};

class HandoverSender : private FdWatch::Handler {
 public:
  HandoverSender(Loop& loop, UniqueFd socket);
  HandoverSender(const HandoverSender&) = delete;
  HandoverSender& operator=(const HandoverSender&) = delete;
  ~HandoverSender() override = default;

  // What the socket does not take at once waits, in order; the limits of the servers bound it.
  void Send(PassedConnection passed);
  // What waits still: there is nobody to send it to any more.
  std::vector<PassedConnection> TakeBack();
  bool idle() const { return waiting_.empty(); }
  void SetIdleCallback(std::function<void()> on_idle) { on_idle_ = std::move(on_idle); }

 private:
  void OnReadable() override {}  // not watched
  void OnWritable() override { SendWaiting(); }
  void SendWaiting();

  UniqueFd socket_;
  FdWatch watch_;
  Timer retry_;
  std::deque<PassedConnection> waiting_;
  std::function<void()> on_idle_;
};

class HandoverReceiver : private FdWatch::Handler {
 public:
  using OnConnection = std::function<void(PassedConnection)>;

  // Receives until it is destroyed; what comes then is left to the next node.
  HandoverReceiver(Loop& loop, UniqueFd socket, OnConnection on_connection);
  HandoverReceiver(const HandoverReceiver&) = delete;
  HandoverReceiver& operator=(const HandoverReceiver&) = delete;
  ~HandoverReceiver() override = default;

 private:
  void OnReadable() override;
  Result<void> Take(Packet packet);

  UniqueFd socket_;
  OnConnection on_connection_;
  FdWatch watch_;
};

}  // namespace cloister
