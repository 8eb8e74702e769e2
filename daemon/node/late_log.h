#pragma once

// Log events of workers that outlive their node's role as the logs' writer.
//
// A node that drains goes on answering what it accepted; what its workers log then must be written
// by the node that follows, which alone writes the logs. LogRelay is the LogSink of a node: to its
// own LogStore first, to the successor's socket from Forward() on. LateLogReader is the successor's
// end. Both run on the loop thread.

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "apis/base/unique_fd.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/messages.h"
#include "daemon/logs/log_event.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"

namespace cloister {

class LogRelay : public LogSink, private FdWatch::Handler {
 public:
  // Events that the successor does not take at once wait; beyond this they are lost, and counted.
  static constexpr std::size_t kWaitingMax = std::size_t{16} * 1024 * 1024;

  LogRelay(Loop& loop, LogSink& store) : loop_(loop), store_(store) {}

  void Append(LogEvent event) override;
  bool Decline(const LogOutline& outline) override {
    return !forwarding_ && store_.Decline(outline);
  }
  // From now on events go to `successor`. Invalid: nobody takes them, they are dropped and counted.
  void Forward(UniqueFd successor);
  // Whether everything was handed on.
  bool idle() const { return waiting_.empty(); }
  void SetIdleCallback(std::function<void()> on_idle) { on_idle_ = std::move(on_idle); }
  std::uint64_t lost() const { return lost_; }

 private:
  void OnReadable() override;
  void OnWritable() override { SendWaiting(); }
  void SendWaiting();
  void Lose();

  Loop& loop_;
  LogSink& store_;
  bool forwarding_ = false;
  UniqueFd successor_;
  std::unique_ptr<FdWatch> watch_;
  std::deque<std::string> waiting_;  // encoded LateEvents
  std::size_t waiting_bytes_ = 0;
  std::uint64_t lost_ = 0;
  std::function<void()> on_idle_;
};

class LateLogReader : private FdWatch::Handler {
 public:
  using OnCacheSocket = std::function<void(UniqueFd)>;

  // Reads until the predecessor closes its end. `on_cache_socket` gets what comes with a
  // LateCacheSocket.
  LateLogReader(Loop& loop, UniqueFd predecessor, LogSink& store,
                OnCacheSocket on_cache_socket = nullptr);

 private:
  void OnReadable() override;
  Result<void> Take(Packet packet);

  UniqueFd predecessor_;
  LogSink& store_;
  OnCacheSocket on_cache_socket_;
  LogEvent unfinished_;
  std::unique_ptr<FdWatch> watch_;
};

}  // namespace cloister
