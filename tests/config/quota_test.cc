#include "config/quota.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace cloister {
namespace {

using ::testing::HasSubstr;

TEST(QuotaTest, EveryQuotaReadsBackWhatItShows) {
  ASSERT_GE(QuotaInfos().size(), 13U);
  for (const QuotaInfo& info : QuotaInfos()) {
    Quota quota;
    const std::string shown = QuotaText(quota, info.name);
    const Result<void> set = SetQuota(quota, info.name, shown);
    EXPECT_TRUE(set.ok()) << info.name << ": " << (set.ok() ? "" : set.error().message);
    EXPECT_EQ(QuotaText(quota, info.name), shown);
  }
}

TEST(QuotaTest, ValuesAreWrittenAsInTheSettingsFile) {
  Quota quota;
  ASSERT_TRUE(SetQuota(quota, "limits.memory", "128MiB").ok());
  ASSERT_TRUE(SetQuota(quota, "limits.wall", "90s").ok());
  ASSERT_TRUE(SetQuota(quota, "limits.cpu", "0.5").ok());
  ASSERT_TRUE(SetQuota(quota, "limits.workers", "3").ok());
  ASSERT_TRUE(SetQuota(quota, "log.rate", "1MiB").ok());
  EXPECT_EQ(quota.limits.worker.memory_max, MiB(128));
  EXPECT_EQ(quota.limits.worker.wall_max, Millis(90000));
  EXPECT_EQ(quota.limits.worker.cpu_millis, 500U);
  EXPECT_EQ(quota.limits.workers_max, 3U);
  EXPECT_EQ(quota.log.rate, MiB(1));
}

TEST(QuotaTest, AWrongNameHasTheNearestOne) {
  Quota quota;
  const Result<void> set = SetQuota(quota, "limits.memori", "1MiB");
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(set.error().message, HasSubstr("did you mean 'limits.memory'?"));
  // A setting of the node is no quota.
  EXPECT_EQ(SetQuota(quota, "node.state_dir", "/tmp").error().code, ErrorCode::kNotFound);
}

TEST(QuotaTest, AWrongValueSaysWhatWouldBeOne) {
  struct Case {
    const char* name;
    const char* value;
    const char* says;
  };
  const Case cases[] = {{"limits.memory", "128", "unit"},
                        {"limits.memory", "1KiB", "32MiB"},
                        {"limits.memory", "", "limits.memory"},
                        {"limits.workers", "0", "1"},
                        {"limits.workers", "many", "number"},
                        {"limits.cpu", "nan", "from 0.01"},
                        {"limits.wall", "30", "unit"},
                        {"log.kept_age", "1s", "1min"},
                        {"limits.workers", "99999999999999999999", "number"}};
  for (const Case& one : cases) {
    Quota quota;
    const std::string before = QuotaText(quota, one.name);
    const Result<void> set = SetQuota(quota, one.name, one.value);
    ASSERT_FALSE(set.ok()) << one.name << "=" << one.value;
    EXPECT_EQ(set.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(set.error().message, HasSubstr(one.says)) << one.name << "=" << one.value;
    EXPECT_EQ(QuotaText(quota, one.name), before);
  }
}

TEST(QuotaTest, WhatWasSetGoesOverTheRestAndOldRowsAreLeftOut) {
  const Quota quota = WithValues(
      Quota(),
      {{"limits.workers", "2"}, {"limits.of_an_older_version", "7"}, {"log.rate", "no size"}});
  EXPECT_EQ(quota.limits.workers_max, 2U);
  EXPECT_EQ(quota.log.rate, LogSettings().rate);
  EXPECT_EQ(quota.limits.queue_max, LimitSettings().queue_max);
}

TEST(QuotaTest, WhatMustNotBeSmallerIsRaisedAlong) {
  const Quota quota = WithValues(
      Quota(), {{"limits.memory", "2GiB"}, {"log.event_max", "1MiB"}, {"log.burst", "512KiB"}});
  EXPECT_EQ(quota.limits.worker.address_space_max, GiB(2));
  EXPECT_EQ(quota.log.burst, MiB(1));
}

}  // namespace
}  // namespace cloister
