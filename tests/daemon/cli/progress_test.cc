#include "daemon/cli/progress.h"

#include <gtest/gtest.h>

#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

class FakeClock : public Clock {
 public:
  MonotonicTime Now() const override { return now_; }
  WallTime Wall() const override { return WallTime(); }
  void Advance(Micros by) { now_ += by; }

 private:
  MonotonicTime now_;
};

TEST(ProgressTest, BytesHaveAtMostFourDigits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(1048575), "1.0 MiB");
  EXPECT_EQ(FormatBytes(47185920), "45.0 MiB");
  EXPECT_EQ(FormatBytes(~std::uint64_t{0}), "16777216.0 TiB");
}

TEST(ProgressTest, DurationsAreShort) {
  EXPECT_EQ(FormatDuration(Millis(-5)), "0 ms");
  EXPECT_EQ(FormatDuration(Millis(999)), "999 ms");
  EXPECT_EQ(FormatDuration(Millis(1250)), "1.2 s");
  EXPECT_EQ(FormatDuration(Millis(59999)), "59 s");
  EXPECT_EQ(FormatDuration(Millis(125000)), "2 min 5 s");
  EXPECT_EQ(FormatDuration(Millis(11520000)), "3 h 12 min");
  EXPECT_EQ(FormatDuration(Millis(349200000)), "4 d 1 h");
}

TEST(ProgressTest, RateAndTimeLeft) {
  EXPECT_EQ(FormatProgress(0, 0, Millis(0)), "0 B of 0 B (100%)");
  EXPECT_EQ(FormatProgress(1024, 4096, Millis(100)), "1.0 KiB of 4.0 KiB (25%)");
  EXPECT_EQ(FormatProgress(1024, 4096, Millis(1000)),
            "1.0 KiB of 4.0 KiB (25%), 1.0 KiB/s, 3.0 s left");
  EXPECT_EQ(FormatProgress(4096, 4096, Millis(1000)), "4.0 KiB of 4.0 KiB (100%), 4.0 KiB/s");
}

TEST(ProgressTest, PlainLinesNowAndThenWithoutATerminal) {
  Written written;
  FakeClock clock;
  {
    Console console({.err = written.file()});
    Progress progress(console, clock, "uploading", 4096);
    progress.Set(1);
    clock.Advance(Millis(4999));
    progress.Set(1024);
    EXPECT_EQ(written.text(), "");
    clock.Advance(Millis(1));
    progress.Set(1024);
    progress.Set(2048);
  }
  EXPECT_EQ(written.text(), "uploading 1.0 KiB of 4.0 KiB (25%), 204 B/s, 15 s left\n");
}

TEST(ProgressTest, OneLineThatChangesOnATerminal) {
  Written written;
  FakeClock clock;
  {
    Console console({.err = written.file(), .err_terminal = true});
    Progress progress(console, clock, "hashing", 100);
    clock.Advance(Millis(100));
    progress.Set(50);
    clock.Advance(Millis(50));
    progress.Set(60);
    clock.Advance(Millis(50));
    progress.Set(100);
  }
  EXPECT_EQ(written.text(),
            "hashing [######------] 50 B of 100 B (50%)\r\x1b[K"
            "hashing [############] 100 B of 100 B (100%), 500 B/s\r\x1b[K");
}

}  // namespace
}  // namespace cloister
