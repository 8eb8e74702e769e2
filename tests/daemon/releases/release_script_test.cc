#include "daemon/releases/release_script.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

TEST(ScriptFailureTest, HasFileLineMessageAndTraceback) {
  const ReportRow report =
      ParseScriptFailure("shop/release.py\n12\nKeyError: 'x'\nTraceback:\n  line\nKeyError: 'x'\n");
  EXPECT_EQ(report.code, "release_failed");
  EXPECT_EQ(report.file, "shop/release.py");
  EXPECT_EQ(report.line, 12U);
  EXPECT_EQ(report.message, "[entry] release failed: KeyError: 'x'");
  EXPECT_EQ(report.traceback, "Traceback:\n  line\nKeyError: 'x'\n");
}

// A worker may say anything.
TEST(ScriptFailureTest, WhatIsNotThereIsEmpty) {
  for (const std::string_view text :
       {std::string_view(), std::string_view("\n"), std::string_view("\n-1\n"),
        std::string_view("\n99999999999999999999"), std::string_view("\n\0\n\n", 4)}) {
    const ReportRow report = ParseScriptFailure(text);
    EXPECT_EQ(report.code, "release_failed");
    EXPECT_EQ(report.file, "");
    EXPECT_EQ(report.line, 0U) << text;
    EXPECT_EQ(report.traceback, "");
  }
  EXPECT_EQ(ParseScriptFailure("file").file, "file");
}

}  // namespace
}  // namespace cloister
