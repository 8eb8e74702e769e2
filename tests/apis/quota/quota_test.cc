#include "apis/quota/quota.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

MonotonicTime At(double seconds) {
  return MonotonicTime(Seconds(1000)) + std::chrono::duration_cast<MonotonicTime::duration>(
                                            std::chrono::duration<double>(seconds));
}

TEST(TokenBucketTest, TheBurstIsThereAtOnceAndNothingMore) {
  TokenBucket bucket(10, 3);
  EXPECT_TRUE(bucket.Take(1, At(0)));
  EXPECT_TRUE(bucket.Take(1, At(0)));
  EXPECT_TRUE(bucket.Take(1, At(0)));
  EXPECT_FALSE(bucket.Take(1, At(0)));
  EXPECT_DOUBLE_EQ(bucket.used(), 1.0);
}

TEST(TokenBucketTest, ItFillsAtItsRateUpToTheBurst) {
  TokenBucket bucket(10, 3);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(bucket.Take(1, At(0)));
  EXPECT_FALSE(bucket.Take(1, At(0.05)));
  EXPECT_TRUE(bucket.Take(1, At(0.15)));
  EXPECT_FALSE(bucket.Take(1, At(0.15)));
  // A long time fills no more than the burst.
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(bucket.Take(1, At(1000)));
  EXPECT_FALSE(bucket.Take(1, At(1000)));
}

TEST(TokenBucketTest, OverALongTimeItGivesItsRateExactly) {
  TokenBucket bucket(100, 10);
  int taken = 0;
  for (int i = 0; i <= 100000; ++i)
    taken += bucket.Take(1, At(i * 0.001)) ? 1 : 0;
  EXPECT_NEAR(taken, 100 * 100 + 10, 1);
}

TEST(TokenBucketTest, ARefusalTakesNothing) {
  TokenBucket bucket(1, 10);
  EXPECT_FALSE(bucket.Take(11, At(0)));
  EXPECT_TRUE(bucket.Take(10, At(0)));
}

TEST(TokenBucketTest, ATimeThatGoesBackGivesNothing) {
  TokenBucket bucket(10, 2);
  ASSERT_TRUE(bucket.Take(2, At(10)));
  EXPECT_FALSE(bucket.Take(1, At(5)));
  EXPECT_TRUE(bucket.Take(1, At(10.2)));
}

TEST(TokenBucketTest, ItIsFullAtFirstAndWhenItHadTheTime) {
  TokenBucket bucket(10, 10);
  EXPECT_TRUE(bucket.IsFull(At(0)));
  ASSERT_TRUE(bucket.Take(5, At(0)));
  EXPECT_FALSE(bucket.IsFull(At(0.4)));
  EXPECT_TRUE(bucket.IsFull(At(0.5)));
}

TEST(TokenBucketTest, AnotherRateKeepsWhatIsUsed) {
  TokenBucket bucket(10, 10);
  ASSERT_TRUE(bucket.Take(9, At(0)));
  bucket.Set(100, 100);
  EXPECT_TRUE(bucket.Take(1, At(0)));
  EXPECT_FALSE(bucket.Take(1, At(0)));
  EXPECT_TRUE(bucket.Take(50, At(0.5)));
  bucket.Set(1, 2);
  EXPECT_FALSE(bucket.Take(3, At(0.5)));
}

TEST(TokenBucketTest, WhatIsOwedIsPaidFirst) {
  TokenBucket bucket(10, 10);
  ASSERT_TRUE(bucket.Take(10, At(0)));
  bucket.Owe(20);
  EXPECT_DOUBLE_EQ(bucket.used(), 1.0);
  EXPECT_DOUBLE_EQ(bucket.used_amount(), 30);
  EXPECT_EQ(bucket.RetryAfter(5), Seconds(3));
  EXPECT_FALSE(bucket.Take(1, At(2)));
  EXPECT_TRUE(bucket.Take(1, At(2.2)));
  EXPECT_FALSE(bucket.Take(2, At(2.2)));
}

TEST(TokenBucketTest, WhatIsGivenBackIsThereUpToTheBurst) {
  TokenBucket bucket(0, 10);
  ASSERT_TRUE(bucket.Take(9, At(0)));
  bucket.Give(4);
  EXPECT_FALSE(bucket.Take(6, At(0)));
  EXPECT_TRUE(bucket.Take(5, At(0)));
  bucket.Give(100);
  EXPECT_TRUE(bucket.Take(10, At(0)));
  EXPECT_FALSE(bucket.Take(1, At(0)));
}

TEST(TokenBucketTest, RetryAfterIsWhenItCanBeHad) {
  TokenBucket bucket(0.5, 1);
  ASSERT_TRUE(bucket.Take(1, At(0)));
  EXPECT_EQ(bucket.RetryAfter(1), Seconds(2));
  EXPECT_FALSE(bucket.Take(1, At(1.9)));
  EXPECT_EQ(bucket.RetryAfter(1), Seconds(1));
  EXPECT_TRUE(bucket.Take(1, At(2)));
  EXPECT_EQ(TokenBucket(0, 0).RetryAfter(1), Seconds(3600));
}

TEST(QuotaNoticeTest, TheFirstRefusalIsToldAndThenTheirNumberOnceAMinute) {
  QuotaNotice notice;
  EXPECT_EQ(notice.Refuse(At(0)), 1U);
  for (int i = 0; i < 500; ++i)
    EXPECT_EQ(notice.Refuse(At(30)), std::nullopt);
  EXPECT_EQ(notice.Refuse(At(60)), 501U);
  EXPECT_EQ(notice.refused(), 502U);
}

TEST(QuotaNoticeTest, NearIsToldOnceAMinute) {
  QuotaNotice notice;
  EXPECT_TRUE(notice.Near(At(0)));
  EXPECT_FALSE(notice.Near(At(59)));
  EXPECT_TRUE(notice.Near(At(61)));
  EXPECT_EQ(notice.refused(), 0U);
}

}  // namespace
}  // namespace cloister
