#include "daemon/releases/problem.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace cloister {
namespace {

TEST(ProblemTest, CodesAreWordsAndEachIsThereOnce) {
  std::set<std::string_view> codes;
  for (const ProblemInfo& info : AllProblems()) {
    EXPECT_TRUE(codes.insert(info.code).second) << info.code;
    EXPECT_TRUE(std::all_of(info.code.begin(), info.code.end(),
                            [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); }));
    EXPECT_GE(info.status, 400);
    EXPECT_LT(info.status, 600);
    EXPECT_FALSE(info.sentence.empty());
  }
}

TEST(ProblemTest, EveryReportHasAWayOut) {
  std::set<std::string_view> codes;
  for (const ReportInfo& info : AllReports()) {
    EXPECT_TRUE(codes.insert(info.code).second) << info.code;
    EXPECT_GT(info.advice.size(), 40U) << info.code;
    EXPECT_EQ(AdviceFor(info.code), info.advice);
  }
  for (const char* code :
       {"syntax_error", "import_error", "module_denied", "entry_missing", "entry_not_callable",
        "worker_died", "boot_timeout", "memory_exceeded", "sandbox_failed", "worker_protocol",
        "app_raised", "compile_timeout", "boot_failed", "cancelled"})
    EXPECT_TRUE(codes.contains(code)) << code;
  EXPECT_FALSE(AdviceFor("a code of tomorrow").empty());
}

TEST(ProblemTest, AnErrorIsTheProblemThatItMeansToAClient) {
  EXPECT_EQ(ProblemOf({ErrorCode::kStorageFull, "full"}).code, ProblemCode::kDiskFull);
  EXPECT_EQ(ProblemOf({ErrorCode::kUnavailable, "closed"}).code, ProblemCode::kUnavailable);
  EXPECT_EQ(ProblemOf({ErrorCode::kSystem, "?"}).code, ProblemCode::kInternal);
  EXPECT_EQ(ProblemOf({ErrorCode::kSystem, "why"}).detail, "why");
  EXPECT_EQ(InfoOf(ProblemCode::kDiskFull).status, 507);
  EXPECT_EQ(InfoOf(ProblemCode::kNotOperator).code, "not_operator");
}

}  // namespace
}  // namespace cloister
