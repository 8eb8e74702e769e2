#include "daemon/keeper/restart_policy.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

constexpr Millis kYoung{5};

TEST(RestartPolicyTest, FirstDeathIsFollowedAtOnceThenSlowerUpToTheCeiling) {
  RestartPolicy policy;
  policy.OnReady();
  for (const int expected : {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000})
    EXPECT_EQ(policy.OnEnd(kYoung, RestartPolicy::End::kKilled).delay, Millis(expected));
}

TEST(RestartPolicyTest, DelayStaysAtTheCeilingHoweverOftenItDies) {
  RestartPolicy policy;
  Millis delay{0};
  for (int i = 0; i < 1000; ++i)
    delay = policy.OnEnd(kYoung, RestartPolicy::End::kKilled).delay;
  EXPECT_EQ(delay, RestartPolicy::kDelayMax);
}

TEST(RestartPolicyTest, WhoLivedForAWhileStartsAfresh) {
  RestartPolicy policy;
  for (int i = 0; i < 5; ++i)
    (void)policy.OnEnd(kYoung, RestartPolicy::End::kKilled);
  EXPECT_GT(policy.OnEnd(RestartPolicy::kHealthy - Millis(1), RestartPolicy::End::kKilled).delay,
            Millis(0));
  EXPECT_EQ(policy.OnEnd(RestartPolicy::kHealthy, RestartPolicy::End::kKilled).delay, Millis(0));
}

TEST(RestartPolicyTest, GivesUpOnWhatWasNeverReadyAndEndsByItself) {
  RestartPolicy policy;
  for (int i = 1; i < RestartPolicy::kFailedStartsMax; ++i)
    EXPECT_FALSE(policy.OnEnd(kYoung, RestartPolicy::End::kByItself).give_up);
  EXPECT_TRUE(policy.OnEnd(kYoung, RestartPolicy::End::kByItself).give_up);
}

TEST(RestartPolicyTest, NeverGivesUpOnWhatWasKilledOrReadyOnce) {
  RestartPolicy killed;
  RestartPolicy ready;
  ready.OnReady();
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(killed.OnEnd(kYoung, RestartPolicy::End::kKilled).give_up);
    EXPECT_FALSE(ready.OnEnd(kYoung, RestartPolicy::End::kByItself).give_up);
  }
}

}  // namespace
}  // namespace cloister
