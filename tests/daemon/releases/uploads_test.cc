#include "daemon/releases/uploads.h"

#include <gtest/gtest.h>

#include "config/bundle_rules.h"
#include "daemon/store/compress.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

class UploadsTest : public NodeTest {
 protected:
  Outcome<std::vector<Sha256>> Missing(const std::string& tenant,
                                       const std::vector<ContentName>& names) {
    return Wait<std::vector<Sha256>>(
        [&](const auto& done) { releases->uploads().Missing(tenant, names, done); });
  }
  static ContentName NameOf(std::string_view bytes) {
    return {.sha256 = Sha256Of(bytes), .size = bytes.size()};
  }
};

ProblemCode CodeOf(std::string_view batch) {
  const auto contents = DecodeBatch(batch);
  EXPECT_FALSE(contents.ok());
  return contents.ok() ? ProblemCode::kInternal : contents.error().code;
}

TEST(BatchTest, ContentsComeBackVerified) {
  const auto contents =
      DecodeBatch(BatchOf({{"", "one"}, {"", ""}, {"", std::string(100'000, 'x')}}));
  ASSERT_TRUE(contents.ok());
  ASSERT_EQ(contents.value().size(), 3U);
  EXPECT_EQ(contents.value()[0].sha256, Sha256Of("one"));
  EXPECT_EQ(std::move(Decompress(contents.value()[2].compressed, 100'000)).value(),
            std::string(100'000, 'x'));
  EXPECT_TRUE(DecodeBatch("").ok());
}

TEST(BatchTest, EveryCutIsMalformed) {
  const std::string batch = BatchOf({{"", "some bytes"}});
  for (std::size_t size = 1; size < batch.size(); ++size)
    EXPECT_EQ(CodeOf(std::string_view(batch).substr(0, size)), ProblemCode::kBatchMalformed);
}

TEST(BatchTest, AWrongHashIsNamedAndAHugeSizeRefusedBeforeItIsRead) {
  std::string batch = BatchOf({{"", "good"}, {"", "bad"}});
  batch.back() = '!';
  const auto contents = DecodeBatch(batch);
  ASSERT_FALSE(contents.ok());
  EXPECT_EQ(contents.error().code, ProblemCode::kContentHashMismatch);
  EXPECT_NE(contents.error().detail.find(Sha256Of("bad").Hex()), std::string::npos);
  EXPECT_EQ(CodeOf(std::string(40, '\xff')), ProblemCode::kContentTooLarge);
}

TEST_F(UploadsTest, OnlyWhatIsMissingNeedsToTravel) {
  StartWithApp();
  EXPECT_EQ(Missing("demo", {NameOf("a"), NameOf("b")}).value().size(), 2U);
  EXPECT_EQ(Upload("demo", BatchOf({{"", "a"}})).value(), 1U);
  EXPECT_EQ(Missing("demo", {NameOf("a"), NameOf("b")}).value(),
            std::vector<Sha256>{Sha256Of("b")});
  EXPECT_EQ(Missing("nobody", {}).error().code, ProblemCode::kTenantNotFound);
  EXPECT_EQ(Missing("demo", {{.sha256 = {}, .size = kBundleFileMax.count + 1}}).error().code,
            ProblemCode::kContentTooLarge);
}

TEST_F(UploadsTest, NothingOfABadBatchIsStored) {
  StartWithApp();
  std::string batch = BatchOf({{"", "good"}, {"", "bad"}});
  batch.back() = '!';
  EXPECT_EQ(Upload("demo", batch).error().code, ProblemCode::kContentHashMismatch);
  EXPECT_EQ(Missing("demo", {NameOf("good")}).value().size(), 1U);
  EXPECT_EQ(Upload("nobody", "").error().code, ProblemCode::kTenantNotFound);
}

TEST_F(UploadsTest, WhatAnotherTenantHasStaysItsOwn) {
  StartWithApp();
  ASSERT_TRUE(CreateTenant("other").ok());
  ASSERT_TRUE(Upload("other", BatchOf({{"", "secret"}})).ok());
  EXPECT_EQ(Missing("demo", {NameOf("secret")}).value().size(), 1U);
}

TEST_F(UploadsTest, ABodyThatCannotBeReadIsAProblem) {
  StartWithApp();
  const Outcome<std::size_t> stored = Wait<std::size_t>([&](const auto& done) {
    releases->uploads().Store(
        "demo",
        []() -> Result<std::string> { return Error{ErrorCode::kStorageFull, "the spool is full"}; },
        "tester", done);
  });
  EXPECT_EQ(stored.error().code, ProblemCode::kDiskFull);
}

TEST(BatchTest, ContentsAreStoredOnceAndWithinTheNumberOfABundle) {
  const std::string one = BatchOf({{"", "x"}});
  const auto twice = DecodeBatch(one + one);
  ASSERT_TRUE(twice.ok());
  EXPECT_EQ(twice.value().size(), 1U);
  std::string many;
  for (std::size_t i = 0; i <= kBundleFilesMax; ++i)
    many += one;
  EXPECT_FALSE(DecodeBatch(many).ok());
}

}  // namespace
}  // namespace cloister
