#include "daemon/workers/request_slots.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace cloister {
namespace {

TEST(RequestSlotsTest, IdsAreOddAndCarryTheirSlot) {
  RequestSlots slots;
  std::vector<WorkerRequest> requests(kInboxSlots);
  std::set<std::size_t> used;
  for (WorkerRequest& request : requests) {
    slots.Add(request);
    EXPECT_EQ(request.id % 2, 1U);
    used.insert(RequestSlots::SlotOf(request.id));
    EXPECT_EQ(slots.Find(request.id), &request);
  }
  EXPECT_EQ(used.size(), kInboxSlots);
  EXPECT_EQ(slots.size(), kInboxSlots);
}

TEST(RequestSlotsTest, SlotThatIsUsedAgainHasANewId) {
  RequestSlots slots;
  WorkerRequest request;
  slots.Add(request);
  const std::uint32_t id = request.id;
  slots.Remove(request);
  EXPECT_EQ(slots.Find(id), nullptr);
  EXPECT_TRUE(slots.empty());
  slots.Add(request);
  EXPECT_EQ(RequestSlots::SlotOf(request.id), RequestSlots::SlotOf(id));
  EXPECT_NE(request.id, id);
  EXPECT_EQ(slots.Find(id), nullptr);
}

TEST(RequestSlotsTest, NewestFirstWhateverTheSlot) {
  RequestSlots slots;
  std::vector<WorkerRequest> requests(4);
  slots.Add(requests[0]);
  slots.Add(requests[1]);
  slots.Add(requests[2]);
  slots.Remove(requests[0]);
  slots.Add(requests[3]);  // into the first slot
  const RequestSlots::Snapshot snapshot = slots.NewestFirst();
  EXPECT_EQ(std::vector(snapshot.begin(), snapshot.end()),
            (std::vector{&requests[3], &requests[2], &requests[1]}));
}

TEST(RequestQueueTest, IsFirstInFirstOut) {
  RequestQueue queue;
  std::vector<WorkerRequest> requests(3);
  queue.PushBack(requests[0]);
  queue.PushBack(requests[1]);
  queue.PushFront(requests[2]);
  std::vector<WorkerRequest*> order;
  while (!queue.empty()) {
    order.push_back(&queue.front());
    queue.Remove(queue.front());
  }
  EXPECT_EQ(order, (std::vector{&requests[2], &requests[0], &requests[1]}));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(RequestQueueTest, AnyPlaceCanBeLeft) {
  for (std::size_t leaves = 0; leaves < 3; ++leaves) {
    RequestQueue queue;
    std::vector<WorkerRequest> requests(3);
    for (WorkerRequest& request : requests)
      queue.PushBack(request);
    queue.Remove(requests[leaves]);
    EXPECT_EQ(queue.size(), 2U);
    std::size_t left = 0;
    for (; !queue.empty(); ++left) {
      EXPECT_NE(&queue.front(), &requests[leaves]);
      queue.Remove(queue.front());
    }
    EXPECT_EQ(left, 2U);
    queue.PushBack(requests[leaves]);
    EXPECT_EQ(&queue.front(), &requests[leaves]);
  }
}

}  // namespace
}  // namespace cloister
