#pragma once

// One request from its pool's queue to the last byte of its response, and the queue itself.
//
// Pools own WorkerRequests and use them again: the path of a request allocates nothing here. A
// request is in its pool's queue, or in one worker, or nowhere (free).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "apis/base/clock.h"
#include "daemon/http/message.h"
#include "daemon/workers/request_body.h"
#include "daemon/workers/response_relay.h"

namespace cloister {

class WorkerRequest final : public ExchangeListener {
 public:
  // Who has it now.
  class Holder {
   public:
    virtual ~Holder() = default;
    // The exchange is dead already.
    virtual void OnRequestClientGone(WorkerRequest& request) = 0;
    virtual void OnRequestWritable(WorkerRequest& request) = 0;
  };

  void OnClientGone() override {
    exchange = nullptr;
    holder->OnRequestClientGone(*this);
  }
  void OnWritable() override { holder->OnRequestWritable(*this); }

  // How long it may run where the release allows `of_release`.
  Millis WallMax(Millis of_release) const {
    return terms.wall_max > Millis(0) ? terms.wall_max : of_release;
  }

  // Whether its body must travel in frames of its own: only to a worker without requests.
  bool HasLargeBody() const;
  // Appends its first frame; false: it is too large, nothing was appended.
  bool AppendTo(std::string& out, Millis wall_max_of_release);

  Exchange* exchange = nullptr;  // null: the client is gone or was answered
  Holder* holder = nullptr;
  MonotonicTime queued_at;    // when it came into the pool
  MonotonicTime received_at;  // when head and body were complete
  std::string request_id;     // outlives the exchange, for the log
  NodeTerms terms;            // outlive it too; of a client's request: none
  std::uint32_t id = 0;       // in the worker
  std::uint32_t deaths = 0;   // of workers that had not claimed it
  ResponseRelay relay;
  RequestBodySender body;

 private:
  friend class RequestQueue;
  WorkerRequest* before_ = nullptr;
  WorkerRequest* after_ = nullptr;
};

// First in, first out, linked through the requests.
class RequestQueue {
 public:
  bool empty() const { return first_ == nullptr; }
  std::size_t size() const { return size_; }
  WorkerRequest& front() { return *first_; }

  void PushBack(WorkerRequest& request);
  // For one that was in a worker: it has waited longest.
  void PushFront(WorkerRequest& request);
  void Remove(WorkerRequest& request);

 private:
  WorkerRequest* first_ = nullptr;
  WorkerRequest* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace cloister
