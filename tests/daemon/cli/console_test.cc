#include "daemon/cli/console.h"

#include <gtest/gtest.h>

#include "tests/daemon/cli/written.h"

namespace cloister {
namespace {

const Failure kFailure{ExitCode::kRefused, "some_code", "it\x1b[31m broke", "line 1\nline 2\n",
                       "mend it"};

TEST(ConsoleTest, AFailureForPeople) {
  Written out;
  Written err;
  Console({.out = out.file(), .err = err.file()}).Show(kFailure);
  EXPECT_EQ(out.text(), "");
  EXPECT_EQ(err.text(), "error[some_code]: it\\x1b[31m broke\n  line 1\n  line 2\nhelp: mend it\n");
}

// A process for SQL that has fallen to its tenant chooses it.
TEST(ConsoleTest, ACodeSteersNoTerminal) {
  Written err;
  Console({.err = err.file()}).Show({ExitCode::kFailed, "a\x1b[2J", "no", "", ""});
  EXPECT_EQ(err.text(), "error[a\\x1b[2J]: no\n");
}

TEST(ConsoleTest, AFailureForPrograms) {
  Written out;
  Written err;
  Console({.out = out.file(), .err = err.file(), .format = Console::Format::kJson}).Show(kFailure);
  EXPECT_EQ(out.text(),
            "{\"error\":{\"advice\":\"mend it\",\"code\":\"some_code\",\"detail\":\"line 1\\nline "
            "2\\n\",\"message\":\"it\\u001b[31m broke\"}}\n");
  EXPECT_EQ(err.text(), "");
}

TEST(ConsoleTest, JsonSilencesLinesAndNotes) {
  Written out;
  Written err;
  Console console({.out = out.file(), .err = err.file(), .format = Console::Format::kJson});
  console.Line("line");
  console.Note("note");
  console.Status("status");
  console.Table({"A"}, {{"b"}});
  console.Raw("raw");
  EXPECT_EQ(out.text(), "raw");
  EXPECT_EQ(err.text(), "");
}

// JSON escapes what is below a blank, and lets the other controls through.
TEST(ConsoleTest, JsonOnATerminalDoesNotSteerIt) {
  const std::string json =
      "{\"a\":\"\xc2\x9b"
      "31m \x7f \xe2\x80\xae \xc3\xa9\"}\n";
  Written out;
  Console({.out = out.file(), .format = Console::Format::kJson, .out_terminal = true}).Raw(json);
  EXPECT_EQ(out.text(), "{\"a\":\"\\u009b31m \\u007f \\u202e \xc3\xa9\"}\n");
  Written piped;
  Console({.out = piped.file(), .format = Console::Format::kJson}).Raw(json);
  EXPECT_EQ(piped.text(), json);
}

TEST(ConsoleTest, ColoursOnlyOnATerminalThatWantsThem) {
  const Console plain(Console::Options{.colours = true});
  EXPECT_EQ(plain.Colour(Paint::kGreen, "x"), "x");
  const Console no_color(Console::Options{.out_terminal = true});
  EXPECT_EQ(no_color.Colour(Paint::kGreen, "x"), "x");
  const Console terminal(Console::Options{.out_terminal = true, .colours = true});
  EXPECT_EQ(terminal.Colour(Paint::kGreen, "x"), "\x1b[32mx\x1b[0m");
}

TEST(ConsoleTest, TheStatusLineGoesBeforeAnythingElse) {
  Written err;
  Console console({.err = err.file(), .err_terminal = true});
  console.Status("busy");
  console.Note("note");
  EXPECT_EQ(err.text(), "busy\r\x1b[Knote\n");
}

TEST(ConsoleTest, TablesAreAlignedByCodePoints) {
  Written out;
  Console console({.out = out.file()});
  console.Table({"NAME", "X"}, {{"gr\u00fcn", "1"}, {"longer-name", "2"}});
  EXPECT_EQ(out.text(), "NAME         X\ngr\u00fcn         1\nlonger-name  2\n");
}

TEST(ConsoleTest, ColoursTakeNoRoomInATable) {
  Written out;
  Console console({.out = out.file(), .out_terminal = true, .colours = true});
  console.Table({"A", "B"}, {{console.Colour(Paint::kRed, "x"), "1"}, {"yy", "2"}});
  EXPECT_EQ(out.text(), "\x1b[2mA   B\x1b[0m\n\x1b[31mx\x1b[0m   1\nyy  2\n");
}

TEST(ConsoleTest, HarmlessShowsWhatSteersATerminal) {
  EXPECT_EQ(Harmless("a\tb\nc\u00fc\U0001f600"), "a\tb\nc\u00fc\U0001f600");
  EXPECT_EQ(Harmless(std::string_view("\x1b[2J\r\0\x7f", 7)), "\\x1b[2J\\x0d\\x00\\x7f");
  EXPECT_EQ(Harmless("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Harmless("\u009b\u2028\u202e\u2066"), "\\u009b\\u2028\\u202e\\u2066");
}

}  // namespace
}  // namespace cloister
