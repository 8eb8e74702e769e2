#include "daemon/workers/request_slots.h"

#include <algorithm>

#include "apis/base/check.h"

namespace cloister {
namespace {

constexpr unsigned kCountShift = 4;
constexpr std::uint32_t kCountMask = ~std::uint32_t{0} >> kCountShift;
static_assert(kInboxSlots == 8, "three bits of an id are the slot");

}  // namespace

void RequestSlots::Add(WorkerRequest& request) {
  const auto free = std::ranges::find(slots_, nullptr);
  CHECK(free != slots_.end());
  const auto slot = static_cast<std::uint32_t>(free - slots_.begin());
  count_ = (count_ + 1) & kCountMask;
  request.id = (count_ << kCountShift) | (slot << 1) | 1;
  *free = &request;
  ++size_;
}

void RequestSlots::Remove(const WorkerRequest& request) {
  CHECK(slots_[SlotOf(request.id)] == &request);
  slots_[SlotOf(request.id)] = nullptr;
  --size_;
}

std::uint32_t RequestSlots::AgeOf(const WorkerRequest& request) const {
  return (count_ - (request.id >> kCountShift)) & kCountMask;
}

RequestSlots::Snapshot RequestSlots::NewestFirst() const {
  Snapshot snapshot;
  for (WorkerRequest* const request : slots_)
    if (request != nullptr)
      snapshot.requests[snapshot.size++] = request;
  std::sort(
      snapshot.requests.begin(),
      snapshot.requests.begin() + static_cast<std::ptrdiff_t>(snapshot.size),
      [this](const WorkerRequest* a, const WorkerRequest* b) { return AgeOf(*a) < AgeOf(*b); });
  return snapshot;
}

}  // namespace cloister
