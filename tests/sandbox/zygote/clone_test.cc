#include "sandbox/zygote/clone.h"

#include <gtest/gtest.h>

#include <thread>

namespace cloister {
namespace {

TEST(CloneTest, CountsThreads) {
  const Result<unsigned> before = CountThreads();
  ASSERT_TRUE(before.ok());
  unsigned with_another = 0;
  std::thread([&] { with_another = CountThreads().value(); }).join();
  EXPECT_EQ(with_another, before.value() + 1);
}

TEST(CloneTest, MapsOfAProcessThatIsGoneAreAnError) {
  EXPECT_FALSE(WriteIdMaps(0, WorkerIdentity::kSharedUid, 0).ok());
}

}  // namespace
}  // namespace cloister
