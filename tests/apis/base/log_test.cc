#include "apis/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
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

// What systemd does: it names the stream that it made stderr of.
std::string StreamOf(int fd) {
  struct stat status = {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

TEST(LogTest, ToTheJournalALineHasAPriorityAndNoTime) {
  testing::internal::CaptureStderr();
  ::setenv("JOURNAL_STREAM", StreamOf(STDERR_FILENO).c_str(), 1);
  OpenLog("some-program", LogLevel::kDebug);
  Log(LogLevel::kDebug, "a");
  Log(LogLevel::kInfo, "b", {{"app", "demo/hello"}});
  Log(LogLevel::kWarning, "c");
  Log(LogLevel::kError, "d");
  ::unsetenv("JOURNAL_STREAM");
  OpenLog("some-program", LogLevel::kInfo);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "<7>debug some-program a\n<6>info some-program b app=demo/hello\n"
            "<4>warning some-program c\n<3>error some-program d\n");
}

TEST(LogTest, AStreamOfSomebodyElsesIsNotTheJournal) {
  EXPECT_TRUE(IsJournalStream(StreamOf(STDERR_FILENO), STDERR_FILENO));
  EXPECT_FALSE(IsJournalStream("", STDERR_FILENO));
  EXPECT_FALSE(IsJournalStream("1:1", STDERR_FILENO));
  EXPECT_FALSE(IsJournalStream(StreamOf(STDERR_FILENO), -1));
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
