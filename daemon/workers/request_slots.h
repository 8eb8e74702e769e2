#pragma once

// The requests in one worker, by inbox slot. Ids carry their slot, so that a frame's id finds its
// request without a search.

#include <array>
#include <cstddef>
#include <cstdint>

#include "apis/wire/channel.h"
#include "daemon/workers/worker_request.h"

namespace cloister {

class RequestSlots {
 public:
  // u32 id: 28 bits of a count, 3 of the slot, 1 that says "begun by the node".
  static constexpr std::size_t SlotOf(std::uint32_t id) { return (id >> 1) % kInboxSlots; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // The request with that id, or null.
  WorkerRequest* Find(std::uint32_t id) const {
    WorkerRequest* const request = slots_[SlotOf(id)];
    return request != nullptr && request->id == id ? request : nullptr;
  }
  // Gives the request a free slot and an id. There must be one free (CHECKed).
  void Add(WorkerRequest& request);
  void Remove(const WorkerRequest& request);

  // A copy, newest first: what is done with a request may change the slots.
  struct Snapshot {
    std::array<WorkerRequest*, kInboxSlots> requests = {};
    std::size_t size = 0;
    auto begin() const { return requests.begin(); }
    auto end() const { return requests.begin() + static_cast<std::ptrdiff_t>(size); }
  };
  Snapshot NewestFirst() const;

 private:
  std::uint32_t AgeOf(const WorkerRequest& request) const;

  std::array<WorkerRequest*, kInboxSlots> slots_ = {};
  std::size_t size_ = 0;
  std::uint32_t count_ = 0;  // of all requests ever, within its bits
};

}  // namespace cloister
