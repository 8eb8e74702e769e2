#include "daemon/keeper/worker_uids.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

TEST(WorkerUidsTest, NobodyGetsAUidThatSomebodyHas) {
  WorkerUids uids(100, 3);
  EXPECT_EQ(uids.Take(), 100U);
  EXPECT_EQ(uids.Take(), 101U);
  uids.Release(100);
  EXPECT_EQ(uids.Take(), 102U) << "as late as possible";
  uids.Release(102);
  EXPECT_EQ(uids.Take(), 100U);
  EXPECT_EQ(uids.Take(), 102U);
  EXPECT_EQ(uids.Take(), std::nullopt);
  uids.Release(101);
  EXPECT_EQ(uids.Take(), 101U);
}

TEST(WorkerUidsTest, EmptyRangeHasNone) {
  EXPECT_EQ(WorkerUids(0, 0).Take(), std::nullopt);
}

}  // namespace
}  // namespace cloister
