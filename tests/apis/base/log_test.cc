#include "apis/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

using std::string_view_literals::operator""sv;

TEST(LogTest, WritesAnEventWithItsFields) {
  OpenLog("some-program", LogLevel::kInfo);
  testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "worker_started", {{"app", "demo/hello"}, {"boot_ms", 12}, {"load", 0.5}});
  Log(LogLevel::kDebug, "not_shown");
  const std::string line = testing::internal::GetCapturedStderr();
  EXPECT_THAT(line, testing::MatchesRegex("....-..-..T..:..:......Z info some-program "
                                          "worker_started app=demo/hello boot_ms=12 load=0.500\n"));
}

TEST(LogTest, WhatATenantSaysCannotForgeALine) {
  testing::internal::CaptureStderr();
  Log(LogLevel::kError, "said", {{"text", "a\n2026 error cloister forged=\"1\""}});
  const std::string line = testing::internal::GetCapturedStderr();
  EXPECT_EQ(line.size() - 1, line.find('\n'));
}

TEST(QuoteLogValueTest, QuotesWhereItMust) {
  EXPECT_EQ("plain/1.2:3", QuoteLogValue("plain/1.2:3"));
  EXPECT_EQ("\"\"", QuoteLogValue(""));
  EXPECT_EQ("\"a b\"", QuoteLogValue("a b"));
  EXPECT_EQ("\"a=b\"", QuoteLogValue("a=b"));
  EXPECT_EQ(R"("say \"hi\" \\")", QuoteLogValue("say \"hi\" \\"));
  EXPECT_EQ(R"("a\nb\x00\x1b\xe4\x7f")", QuoteLogValue("a\nb\0\x1b\xe4\x7f"sv));
}

TEST(QuoteLogValueTest, CutsLongValues) {
  EXPECT_EQ(std::string(1024, 'x'), QuoteLogValue(std::string(1024, 'x')));
  EXPECT_EQ('"' + std::string(1024, 'x') + "...\"", QuoteLogValue(std::string(1025, 'x')));
}

}  // namespace
}  // namespace cloister
