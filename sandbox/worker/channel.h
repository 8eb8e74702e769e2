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
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

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

class WorkerChannel {
 public:
  explicit WorkerChannel(int fd) : fd_(fd) {}

  // The oldest request, after waiting for one; null when the node wants no more.
  QueuedRequest* NextRequest();
  // Forgets the oldest request; frames that still come for it are ignored.
  void DropFirst() { requests_.pop_front(); }

  // Waits until frames came and were dispatched (or a signal came). False: the handler of a signal
  // raised an exception.
  bool WaitForFrames();

  // Writes whole frames. Returns when the kernel has them all.
  void Send(std::string_view frames);

 private:
  bool WaitForReader();
  void DispatchAll();
  void Dispatch(const Frame& frame);
  QueuedRequest* Find(std::uint32_t id);

  int fd_;
  std::mutex write_mutex_;
  std::deque<QueuedRequest> requests_;
  bool shutdown_ = false;

  bool reading_ = false;
  std::mutex reader_mutex_;
  std::condition_variable dispatched_;
  std::uint64_t dispatches_ = 0;  // guarded by reader_mutex_

  std::unique_ptr<char[]> buffer_;  // NOLINT(modernize-avoid-c-arrays): pages untouched until used
  std::size_t filled_ = 0;
};

}  // namespace cloister
