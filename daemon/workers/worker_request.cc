#include "daemon/workers/worker_request.h"

#include <utility>

namespace cloister {

void RequestQueue::PushBack(WorkerRequest& request) {
  request.before_ = last_;
  request.after_ = nullptr;
  (last_ != nullptr ? last_->after_ : first_) = &request;
  last_ = &request;
  ++size_;
}

void RequestQueue::PushFront(WorkerRequest& request) {
  request.before_ = nullptr;
  request.after_ = first_;
  (first_ != nullptr ? first_->before_ : last_) = &request;
  first_ = &request;
  ++size_;
}

void RequestQueue::Remove(WorkerRequest& request) {
  WorkerRequest* const before = std::exchange(request.before_, nullptr);
  WorkerRequest* const after = std::exchange(request.after_, nullptr);
  (before != nullptr ? before->after_ : first_) = after;
  (after != nullptr ? after->before_ : last_) = before;
  --size_;
}

}  // namespace cloister
