#pragma once

// An HTTP server: listeners, connections and their limits, draining.
//
// The front end and the admin socket each have one, with a Handler of their own. Runs on the loop
// thread. Destroying it drops all connections; exchanges in progress hear OnClientGone.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apis/base/unique_fd.h"
#include "daemon/http/access_log.h"
#include "daemon/http/connection.h"
#include "daemon/http/message.h"
#include "daemon/http/settings.h"
#include "daemon/loop/listener.h"

namespace cloister {

class DrainListener {
 public:
  virtual ~DrainListener() = default;
  // With kHandOver: a connection for another process to Adopt(). It does not count here any more.
  virtual void OnReleased(ReleasedConnection /*connection*/) {}
  // No connection is left. Once for each Drain().
  virtual void OnDrained() = 0;
};

class HttpServer : private ConnectionOwner, private Listener::Handler, private TurnTask {
 public:
  // `access_log` may be null.
  HttpServer(Loop& loop, const Clock& clock, ServerSettings settings, HttpHandler& handler,
             AccessLog* access_log);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() override;

  // Accepts on `fd`, a listening TCP or unix socket, from now on.
  void Listen(UniqueFd fd);
  // Goes on with a connection that another server released. It counts against the limits as one
  // that is accepted here, and its times begin anew. The handler is not called before the end of
  // the turn.
  void Adopt(ReleasedConnection connection);

  // Stops accepting: what waits in the backlog is for whoever listens on. Every connection ends as
  // `mode` says, at once or after the answer to the request whose head is complete. With kHandOver
  // the handler gets no other request; kClose may follow it when nobody adopts any more. The
  // listener hears of all this at ends of turns, and must outlive the server.
  void Drain(DrainMode mode, DrainListener& listener);

  std::size_t connections() const { return connections_.size(); }
  // Bytes of bodies in files now.
  std::uint64_t spooled() const { return context_.spool_budget.used(); }
  const ServerCounters& counters() const { return context_.counters; }

 private:
  // An IPv4 address, or the /64 of an IPv6 one.
  using AddressKey = std::uint64_t;

  void OnAccepted(UniqueFd fd) override;
  void OnExhausted(int fd) override;
  void OnClosed(HttpConnection& connection) override;
  void OnReleasable(HttpConnection& connection) override;
  void OnTurnEnd() override;

  void Admit(UniqueFd fd, std::string_view read_ahead);
  void Warn(std::string_view event, std::uint64_t count);

  ConnectionContext context_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<HttpConnection>> connections_;
  std::vector<std::unique_ptr<HttpConnection>> closed_;  // destroyed at the end of the turn
  std::unordered_map<AddressKey, std::size_t> per_address_;
  DrainListener* drain_listener_ = nullptr;
  bool drained_ = false;  // the listener knows
  MonotonicTime warned_at_;
};

}  // namespace cloister
