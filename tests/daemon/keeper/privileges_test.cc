#include "daemon/keeper/privileges.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace cloister {
namespace {

TEST(IdMapTest, TheWholeRangeMustLieInOneLine) {
  constexpr const char* kMap =
      "         0     100000      65536\n     70000          1        100\n";
  EXPECT_TRUE(IdMapHolds(kMap, 0, 65536));
  EXPECT_TRUE(IdMapHolds(kMap, 65535, 1));
  EXPECT_TRUE(IdMapHolds(kMap, 70000, 100));
  EXPECT_FALSE(IdMapHolds(kMap, 0, 65537));
  EXPECT_FALSE(IdMapHolds(kMap, 65536, 1));
  EXPECT_FALSE(IdMapHolds(kMap, 69999, 2));
  EXPECT_FALSE(IdMapHolds(kMap, 70001, 100));
}

TEST(IdMapTest, TheHostsOwnMapHoldsAllButTheLastId) {
  constexpr const char* kHost = "         0          0 4294967295\n";
  EXPECT_TRUE(IdMapHolds(kHost, 1900000000, 65536));
  EXPECT_TRUE(IdMapHolds(kHost, 4294901759, 65536));
  EXPECT_FALSE(IdMapHolds(kHost, 4294901760, 65536));
}

TEST(IdMapTest, WhatIsNoMapHoldsNothing) {
  EXPECT_FALSE(IdMapHolds("", 0, 1));
  EXPECT_FALSE(IdMapHolds("a b c", 0, 1));
  EXPECT_FALSE(IdMapHolds("0 0", 0, 1));
}

TEST(IdentitiesTest, WithoutPrivilegeAllIsOurs) {
  if (::geteuid() == 0)
    GTEST_SKIP() << "runs as root";
  const Identities found = FindIdentities(1900000000, 65536);
  EXPECT_FALSE(found.separate);
  EXPECT_FALSE(found.reason.empty());
  EXPECT_EQ(found.node_uid, ::geteuid());
  EXPECT_TRUE(ZygoteCapabilities(found).empty());
}

TEST(IdentitiesTest, TheWorkersRangeBeginsBehindTheReservedUids) {
  const Identities found = FindIdentities(1900000000, 65536);
  if (!found.separate)
    GTEST_SKIP() << found.reason;
  EXPECT_EQ(found.node_uid, 1900000000U);
  EXPECT_EQ(found.zygote_uid, 1900000001U);
  EXPECT_EQ(found.worker_uid_base, 1900000016U);
  EXPECT_EQ(found.worker_uid_base + found.worker_uid_count, 1900000000U + 65536U);
}

}  // namespace
}  // namespace cloister
