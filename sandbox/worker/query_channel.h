#pragma once

// The worker's end of the way to its app's query process: descriptor 4, blocking, packets.
//
// All state belongs to the GIL, which is released only inside the system calls. One thread reads at
// a time; the others that wait for answers sleep until it has dispatched some. When the query
// process is gone the node says so here (kReset): every statement that is under way fails, and the
// next one goes to another process.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "apis/query/packets.h"

namespace cloister {

class QueryChannel {
 public:
  explicit QueryChannel(int fd) : fd_(fd) {}

  enum class Outcome {
    kAnswered,     // `reply` is what followed kReply
    kLost,         // the process is gone; `reply` says why
    kInterrupted,  // the handler of a signal raised an exception
  };
  // Sends an encoded QueryStatement and waits for its answer, while other threads run.
  Outcome Call(std::string_view statement, std::string& reply);

  // Counts the processes that were lost: what a session had there is gone.
  std::uint32_t epoch() const { return epoch_.load(std::memory_order_relaxed); }

 private:
  struct Pending {
    std::uint32_t id = 0;
    std::uint32_t epoch = 0;
    std::string reply;
    bool answered = false;
    bool lost = false;
    bool forgotten = false;  // nobody waits for it any more
  };

  bool WaitForPackets();
  bool WaitForReader();
  void Dispatch(std::string_view bytes);
  void TakeReply(const QueryPacket& packet);
  void Reset(const QueryPacket& packet);
  void Send(const Pending& pending, std::string_view statement);

  int fd_;
  std::mutex write_mutex_;
  std::atomic<std::uint32_t> epoch_{1};
  std::uint32_t last_id_ = 0;
  std::list<Pending> pending_;

  bool reading_ = false;
  std::mutex reader_mutex_;
  std::condition_variable dispatched_;
  std::uint64_t dispatches_ = 0;    // changed with the GIL and reader_mutex_, read with either
  std::unique_ptr<char[]> buffer_;  // NOLINT(modernize-avoid-c-arrays): pages untouched until used
};

}  // namespace cloister
