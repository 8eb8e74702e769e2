#pragma once

// The worker's end of its channel: descriptor 3, blocking.
//
// All state belongs to the GIL, which is released only inside the system calls. Frames are written
// whole: a mutex around the write keeps those of different threads apart. One thread reads at a
// time; the others that wait for frames sleep until it has dispatched some. When the node has
// closed the channel the process ends at once: nothing it could still do would be seen.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "apis/wire/frame.h"

namespace cloister {

// A request as it came; stays at its address until it is dropped.
struct QueuedRequest {
  std::uint32_t id = 0;
  bool has_inline_body = false;
  bool for_runtime = false;
  std::string payload;       // RequestHead, then the inline body
  std::string body;          // of kRequestBody frames: what came and was not read yet
  bool body_ended = false;   // the last kRequestBody frame came
  std::uint64_t credit = 0;  // bytes of response body that the node allowed beyond the window
};

// A call that waits for its answer.
struct PendingCall {
  std::uint32_t id = 0;
  std::size_t size = 0;    // of what was sent
  std::string reply;       // as kCallReply carries it, so far
  bool answered = false;   // all of it is there
  bool forgotten = false;  // nobody waits for it any more
};

class WorkerChannel {
 public:
  explicit WorkerChannel(int fd) : fd_(fd) {}

  // The oldest request, after waiting for one; null when the node wants no more.
  QueuedRequest* NextRequest();
  // Forgets the oldest request; frames that still come for it are ignored.
  void DropFirst() { requests_.pop_front(); }

  // The app's config, after waiting for it; empty when the node wants no worker any more.
  std::optional<std::string> WaitForConfig();
  // One that came since the last was taken, if any.
  std::optional<std::string> TakeConfig() { return std::exchange(config_, std::nullopt); }

  // Waits until frames came and were dispatched (or a signal came). False: the handler of a signal
  // raised an exception.
  bool WaitForFrames();

  // Writes whole frames. Returns when the kernel has them all.
  void Send(std::string_view frames);

  // Sends a call (number and arguments, at most kCallMax) and waits for its answer, while other
  // threads run. Waits first while the node has as many as it takes. False: the handler of a signal
  // raised an exception; the answer is dropped when it comes.
  bool Call(std::string_view call, std::string& reply);

 private:
  bool WaitForReader();
  void DispatchAll();
  void Dispatch(const Frame& frame);
  void DispatchConfig(const Frame& frame);
  QueuedRequest* Find(std::uint32_t id);
  bool HasRoomFor(std::size_t size) const;
  void SendCall(PendingCall& pending, std::string_view call);
  void TakeReply(const Frame& frame);
  void Forget(std::list<PendingCall>::iterator call);

  int fd_;
  std::mutex write_mutex_;
  std::deque<QueuedRequest> requests_;
  bool shutdown_ = false;
  std::string config_part_;            // of a config that goes on
  std::optional<std::string> config_;  // whole, not taken yet

  std::list<PendingCall> calls_;
  std::size_t calls_open_ = 0;   // that were sent and are not answered
  std::size_t calls_bytes_ = 0;  // of those
  std::uint32_t last_call_ = 0;

  bool reading_ = false;
  std::mutex reader_mutex_;
  std::condition_variable dispatched_;
  std::uint64_t dispatches_ = 0;  // changed with the GIL and reader_mutex_, read with either

  std::unique_ptr<char[]> buffer_;  // NOLINT(modernize-avoid-c-arrays): pages untouched until used
  std::size_t filled_ = 0;
};

}  // namespace cloister
