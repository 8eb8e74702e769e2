#include "daemon/store/contents.h"

#include <gtest/gtest.h>

#include "daemon/store/audit.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

using ContentsTest = StoreTest;

ContentName NameOf(std::string_view bytes) {
  return {.sha256 = Sha256Of(bytes), .size = bytes.size()};
}

TEST_F(ContentsTest, ComesBackAsItWas) {
  const std::string bytes = std::string(100'000, 'x') + std::string("\0\xff", 2);
  Must(StoreContents(db_, tenant_, {ContentOf(bytes), ContentOf("")}, At(0)));
  EXPECT_EQ(Must(LoadContent(db_, tenant_.id, Sha256Of(bytes))), bytes);
  EXPECT_EQ(Must(LoadContent(db_, tenant_.id, Sha256Of(""))), "");
  EXPECT_EQ(LoadContent(db_, tenant_.id, Sha256Of("?")).error().code, ErrorCode::kNotFound);
}

TEST_F(ContentsTest, WhatAnotherTenantHasIsMissing) {
  const TenantRow other = Must(CreateTenant(db_, "other", At(0)));
  Must(StoreContents(db_, other, {ContentOf("secret")}, At(0)));
  EXPECT_EQ(Must(MissingContents(db_, tenant_.id, {NameOf("secret")})).size(), 1U);
  EXPECT_TRUE(Must(MissingContents(db_, other.id, {NameOf("secret")})).empty());
  EXPECT_FALSE(LoadContent(db_, tenant_.id, Sha256Of("secret")).ok());
}

TEST_F(ContentsTest, MissingNamesEachOnceInOrder) {
  Must(StoreContents(db_, tenant_, {ContentOf("b")}, At(0)));
  const std::vector<Sha256> missing =
      Must(MissingContents(db_, tenant_.id, {NameOf("c"), NameOf("b"), NameOf("a"), NameOf("c")}));
  EXPECT_EQ(missing, (std::vector<Sha256>{Sha256Of("c"), Sha256Of("a")}));
}

TEST_F(ContentsTest, AWrongSizeIsNotTheContent) {
  Must(StoreContents(db_, tenant_, {ContentOf("abc")}, At(0)));
  EXPECT_EQ(Must(MissingContents(db_, tenant_.id, {{.sha256 = Sha256Of("abc"), .size = 4}})).size(),
            1U);
}

TEST_F(ContentsTest, DamageIsFoundWhenItIsRead) {
  Must(StoreContents(db_, tenant_, {ContentOf("aaaa"), ContentOf("bbbb")}, At(0)));
  // Whole and of the right size, but another content's bytes.
  Must(db_.Run("UPDATE contents SET compressed = ? WHERE sha256 = ?", Blob{Compress("bbbb")},
               Blob{Sha256Of("aaaa").view()}));
  const Result<std::string> swapped = LoadContent(db_, tenant_.id, Sha256Of("aaaa"));
  ASSERT_FALSE(swapped.ok());
  EXPECT_NE(swapped.error().message.find("damaged"), std::string::npos);
  Must(db_.Run("UPDATE contents SET compressed = ? WHERE sha256 = ?", Blob{"no frame"},
               Blob{Sha256Of("bbbb").view()}));
  EXPECT_FALSE(LoadContent(db_, tenant_.id, Sha256Of("bbbb")).ok());
}

TEST_F(ContentsTest, AFrameThatUnpacksToMoreIsRefused) {
  const std::string bomb = Compress(std::string(10'000'000, '\0'));
  EXPECT_FALSE(Decompress(bomb, 100).ok());
  EXPECT_FALSE(Decompress(Compress("abc"), 100).ok());
  EXPECT_FALSE(DecompressedSize("no frame").ok());
}

TEST_F(ContentsTest, UnreferencedOnesAreSweptAfterADay) {
  Must(StoreContents(db_, tenant_, {ContentOf("used"), ContentOf("old"), ContentOf("renewed")},
                     At(0)));
  Must(CreateRelease(db_, Release("1.0.0", {FileOf("used.py", "used")}), At(0)));
  Must(StoreContents(db_, tenant_, {ContentOf("renewed")}, At(3600)));
  const WallTime day_later = At(24 * 3600 + 1).when - kUnreferencedKept;
  EXPECT_EQ(Must(SweepContents(db_, At(0).when, 10)), 0U);
  EXPECT_EQ(Must(SweepContents(db_, day_later, 10)), 1U);
  EXPECT_TRUE(LoadContent(db_, tenant_.id, Sha256Of("used")).ok());
  EXPECT_TRUE(LoadContent(db_, tenant_.id, Sha256Of("renewed")).ok());
  EXPECT_FALSE(LoadContent(db_, tenant_.id, Sha256Of("old")).ok());
}

TEST_F(ContentsTest, AnotherTenantsReleaseKeepsNothing) {
  const TenantRow other = Must(CreateTenant(db_, "other", At(0)));
  Must(StoreContents(db_, other, {ContentOf("same")}, At(0)));
  Must(StoreContents(db_, tenant_, {ContentOf("same")}, At(0)));
  Must(CreateRelease(db_, Release("1.0.0", {FileOf("a.py", "same")}), At(0)));
  EXPECT_EQ(Must(SweepContents(db_, At(100).when, 10)), 1U);
  EXPECT_FALSE(LoadContent(db_, other.id, Sha256Of("same")).ok());
  EXPECT_TRUE(LoadContent(db_, tenant_.id, Sha256Of("same")).ok());
}

TEST_F(ContentsTest, ASweepIsBounded) {
  Must(StoreContents(db_, tenant_, {ContentOf("a"), ContentOf("b"), ContentOf("c")}, At(0)));
  EXPECT_EQ(Must(SweepContents(db_, At(1).when, 2)), 2U);
  EXPECT_EQ(Must(SweepContents(db_, At(1).when, 2)), 1U);
}

TEST_F(ContentsTest, ABatchIsOneAuditedChange) {
  const std::int64_t before = Count(db_, "audit");
  Must(StoreContents(db_, tenant_, {ContentOf("a"), ContentOf("b")}, At(0)));
  EXPECT_EQ(Count(db_, "audit"), before + 1);
  EXPECT_EQ(Must(ListAudit(db_, 1)).front().detail, "2 contents");
}

}  // namespace
}  // namespace cloister
