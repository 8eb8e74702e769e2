#pragma once

// The calls of one worker: made whole of their frames, bounded, begun in order, and answered.
//
// Owned by a Worker, whose channel it is; runs on the loop thread. Every byte is hostile. At most
// kStartedMax calls are at their services at one time, and none is begun while much waits for the
// worker to read it: what one worker can make the node hold is bounded, and a slow one holds up
// only itself.

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "apis/wire/frame.h"
#include "daemon/calls/call_server.h"

namespace cloister {

class WorkerCalls {
 public:
  // The way back to the worker.
  class Channel {
   public:
    virtual ~Channel() = default;
    // Where to append frames; null: there is no worker any more. Then TouchCallOut.
    virtual std::string* CallOut() = 0;
    virtual void TouchCallOut() = 0;
    // What was sent before and is not read yet.
    virtual std::size_t unread() const = 0;
    // A call that waited turned out to be none. Not from within TakeCall.
    virtual void OnBadCall(const Error& error) = 0;
  };

  static constexpr std::size_t kStartedMax = 8;
  static constexpr std::size_t kUnreadMax = std::size_t{1} << 20;

  WorkerCalls(CallServer& server, Channel& channel, const Caller& caller);
  WorkerCalls(const WorkerCalls&) = delete;
  WorkerCalls& operator=(const WorkerCalls&) = delete;
  ~WorkerCalls();

  // A kCall frame. kProtocol: no honest worker sends it; nothing is answered any more.
  Result<void> TakeCall(const Frame& frame);
  // Whether a call goes on in the next frame, which must be of it.
  bool in_call() const { return in_call_; }
  // The worker has read all that was sent.
  void OnDrained() {
    unread_replies_ = 0;
    BeginNext();
  }
  // Bytes of answers since it last had read all: for whoever bounds what it leaves unread.
  std::size_t unread_replies() const { return unread_replies_; }
  // It is dead: nothing is begun or sent any more.
  void Close();

  // Who calls, for services.
  CallerId id() const { return id_; }
  // From the server.
  void OnReply(std::uint32_t frame_id, std::string_view reply);

 private:
  struct Call {
    std::uint32_t frame_id = 0;
    std::string bytes;
  };
  struct Started {
    std::uint32_t frame_id = 0;
    std::size_t size = 0;
  };

  bool Knows(std::uint32_t frame_id) const;
  Result<void> Begin();
  // As many as may run. Answers may come from within.
  Result<void> BeginAll();
  void BeginNext();

  CallServer& server_;
  Channel& channel_;
  Caller caller_;
  CallerId id_;
  std::deque<Call> waiting_;  // the last one is unfinished while in_call_
  std::vector<Started> started_;
  std::size_t bytes_ = 0;  // of all that are under way
  std::size_t unread_replies_ = 0;
  bool in_call_ = false;
  bool beginning_ = false;
  bool closed_ = false;
};

}  // namespace cloister
