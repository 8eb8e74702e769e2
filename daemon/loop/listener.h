#pragma once

// Accepts connections on a listening descriptor.
//
// Up to 64 a turn. When the process is out of descriptors the reserve is spent: one connection is
// accepted, the handler may say why it is refused, and it is closed, so that the backlog moves on.

#include <memory>

#include "apis/base/unique_fd.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"

namespace cloister {

class Listener : private FdWatch::Handler {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // Non-blocking and close-on-exec.
    virtual void OnAccepted(UniqueFd fd) = 0;
    // A connection is refused for want of descriptors. `fd` is closed after the call.
    virtual void OnExhausted(int fd) = 0;
  };

  // `fd` listens already.
  Listener(Loop& loop, UniqueFd fd, Listener::Handler& handler);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() override;

  // Stops and starts accepting; starts off. What waits in the backlog waits for whoever accepts
  // next.
  void Start();
  void Stop();

 private:
  void OnReadable() override;

  UniqueFd fd_;
  Listener::Handler& handler_;
  UniqueFd reserve_;
  std::unique_ptr<FdWatch> watch_;
};

}  // namespace cloister
