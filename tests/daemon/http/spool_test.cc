#include "daemon/http/spool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace cloister {
namespace {

TEST(SpoolTest, GivesBackWhatItTook) {
  ByteBudget budget({.all_max = KiB(1), .account_max = KiB(1)});
  {
    auto made = Spool::Create(testing::TempDir(), budget, 1);
    ASSERT_TRUE(made.ok()) << made.error().message;
    Spool& spool = *made.value();
    ASSERT_TRUE(spool.Append("hello ").ok());
    ASSERT_TRUE(spool.Append("world").ok());
    EXPECT_EQ(11u, spool.size());
    EXPECT_EQ(11u, budget.used());
    std::string out = "> ";
    ASSERT_TRUE(spool.Read(out, 7).ok());
    EXPECT_EQ("> hello w", out);
    ASSERT_TRUE(spool.Append("!").ok());
    ASSERT_TRUE(spool.Read(out, 100).ok());
    EXPECT_EQ("> hello world!", out);
    EXPECT_EQ(0u, spool.unread());
  }
  EXPECT_EQ(0u, budget.used());
}

TEST(SpoolTest, TheBudgetIsExact) {
  ByteBudget budget({.all_max = Bytes{10}, .account_max = Bytes{10}});
  auto one = Spool::Create(testing::TempDir(), budget, 1);
  auto other = Spool::Create(testing::TempDir(), budget, 1);
  EXPECT_TRUE(one.value()->Append("123456").ok());
  EXPECT_TRUE(other.value()->Append("1234").ok());
  const auto refused = other.value()->Append("5");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(ErrorCode::kQuotaExceeded, refused.error().code);
  EXPECT_EQ(4u, other.value()->size());
  one.value().reset();
  EXPECT_TRUE(other.value()->Append("5").ok());
}

TEST(SpoolTest, AnAccountHasAShareOfTheBudget) {
  ByteBudget budget({.all_max = Bytes{10}, .account_max = Bytes{6}});
  auto one = Spool::Create(testing::TempDir(), budget, 1);
  auto more = Spool::Create(testing::TempDir(), budget, 1);
  EXPECT_TRUE(one.value()->Append("12345").ok());
  EXPECT_TRUE(more.value()->Append("6").ok());
  EXPECT_EQ(ErrorCode::kQuotaExceeded, more.value()->Append("7").error().code);
  auto other = Spool::Create(testing::TempDir(), budget, 2);
  EXPECT_TRUE(other.value()->Append("1234").ok()) << "what is left for the others";
  EXPECT_FALSE(other.value()->Append("5").ok());
  EXPECT_EQ(10u, budget.used());
  one.value().reset();
  EXPECT_TRUE(more.value()->Append("23456").ok());
  EXPECT_FALSE(more.value()->Append("7").ok());
}

TEST(SpoolTest, AnAccountThatHasNothingIsForgotten) {
  ByteBudget budget({.all_max = KiB(1), .account_max = Bytes{4}});
  for (std::uint64_t account = 0; account < 100; ++account) {
    auto made = Spool::Create(testing::TempDir(), budget, account);
    EXPECT_TRUE(made.value()->Append("1234").ok());
    EXPECT_FALSE(made.value()->Append("5").ok());
    EXPECT_EQ(1u, budget.accounts());
  }
  EXPECT_FALSE(budget.Take(7, 5));
  EXPECT_EQ(0u, budget.accounts());
}

TEST(SpoolTest, TheFileOutlivesTheSpool) {
  ByteBudget budget({.all_max = KiB(1), .account_max = KiB(1)});
  auto made = Spool::Create(testing::TempDir(), budget, 1);
  ASSERT_TRUE(made.value()->Append("kept").ok());
  const UniqueFd file = made.value()->TakeFile();
  made.value().reset();
  std::string bytes(4, '\0');
  EXPECT_EQ(4, ::pread(file.get(), bytes.data(), bytes.size(), 0));
  EXPECT_EQ("kept", bytes);
}

TEST(SpoolTest, NoPlaceIsAnError) {
  ByteBudget budget({.all_max = KiB(1), .account_max = KiB(1)});
  EXPECT_FALSE(Spool::Create("/nowhere", budget, 1).ok());
}

TEST(SpoolTest, AFullDiskIsAnErrorAndCostsNothing) {
  if (::access("/dev/full", W_OK) != 0)
    GTEST_SKIP() << "no /dev/full";
  ByteBudget budget({.all_max = KiB(1), .account_max = KiB(1)});
  auto made = Spool::CreateFor(UniqueFd(::open("/dev/full", O_RDWR | O_CLOEXEC)), budget, 1);
  EXPECT_FALSE(made->Append("x").ok());
  EXPECT_EQ(0u, budget.used());
}

}  // namespace
}  // namespace cloister
