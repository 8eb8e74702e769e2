#include "daemon/cli/line_editor.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "apis/base/check.h"
#include "apis/base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

// What somebody who types at an editor gets to see, and what the editor gives: each line, then
// "[interrupted]" or "[end]". The editor is in a process of its own, whose terminal is ours.
class Typist {
 public:
  explicit Typist(const std::string& history) {
    std::array<int, 2> ends = {-1, -1};
    CHECK(::pipe(ends.data()) == 0);
    given_ = UniqueFd(ends[0]);
    UniqueFd gives(ends[1]);
    int terminal = -1;
    process_ = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    CHECK(process_ >= 0);
    if (process_ == 0)
      Edit(history, gives.get());
    terminal_ = UniqueFd(terminal);
  }
  Typist(const Typist&) = delete;
  Typist& operator=(const Typist&) = delete;
  ~Typist() {
    terminal_.Reset();
    int status = 0;
    EXPECT_EQ(process_, ::waitpid(process_, &status, 0));
    EXPECT_EQ(0, status);
  }

  // Once somebody reads it. What the editor gave then.
  std::string Type(std::string_view keys) {
    if (!WaitForEditor())
      return "[nobody reads]";
    CHECK(::write(terminal_.get(), keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
    return ReadUntil(given_.get(), "|");
  }

 private:
  [[noreturn]] static void Edit(const std::string& history, int gives) {
    // Whatever is ignored around the tests; a terminal that goes is read to its end.
    (void)::signal(SIGINT, SIG_DFL);
    (void)::signal(SIGHUP, SIG_IGN);
    ::setenv("TERM", "vt100", 1);
    ::unsetenv("HOME");
    Result<Interrupts> interrupts = Interrupts::Catch();
    if (!interrupts.ok())
      ::_exit(1);
    bool more = true;
    {
      auto editor = LineEditor::Create(interrupts.value(), history);
      while (editor.ok() && more) {
        std::string line;
        const LineEditor::Event event = editor.value()->Read("> ", line);
        more = event != LineEditor::Event::kEnd;
        if (event == LineEditor::Event::kLine)
          editor.value()->Remember(line);
        else
          line = more ? "[interrupted]" : "[end]";
        line += "|";
        more = ::write(gives, line.data(), line.size()) > 0 && more;
      }
    }
    ::_exit(0);
  }

  // Between two lines the terminal is as others want it, and would take keys for its own.
  bool WaitForEditor() const {
    constexpr int kLooks = 20000;
    termios settings = {};
    for (int i = 0; i < kLooks; ++i) {
      if (::tcgetattr(terminal_.get(), &settings) == 0 && (settings.c_lflag & ICANON) == 0U)
        return true;
      (void)::poll(nullptr, 0, 1);
    }
    return false;
  }

  // What came up to `mark`, without it.
  static std::string ReadUntil(int fd, std::string_view mark) {
    constexpr int kWaitMs = 20000;
    std::string text;
    while (!text.ends_with(mark)) {
      pollfd waited{.fd = fd, .events = POLLIN, .revents = 0};
      char byte = 0;
      if (::poll(&waited, 1, kWaitMs) <= 0 || ::read(fd, &byte, 1) != 1)
        return text + "[nothing came]";
      text += byte;
    }
    return text.substr(0, text.size() - mark.size());
  }

  pid_t process_ = -1;
  UniqueFd terminal_;
  UniqueFd given_;
};

constexpr const char* kBackspace = "\x7f";
constexpr const char* kInterrupt = "\x03";
constexpr const char* kEnd = "\x04";
constexpr const char* kBefore = "\x10";

TEST(LineEditorTest, ALineIsWhatWasLeftOfItWithItsEnd) {
  Typist typist("");
  EXPECT_EQ("SELECT 1;\n", typist.Type(std::string("SELECT 2") + kBackspace + "1;\n"));
  EXPECT_EQ("\n", typist.Type("\n"));
  EXPECT_EQ("[end]", typist.Type(kEnd));
}

TEST(LineEditorTest, LettersMayHaveManyBytesAndWhatIsNoneIsLeftOut) {
  Typist typist("");
  EXPECT_EQ("ä€😀\n", typist.Type("ä€😀\n"));
  EXPECT_EQ("a\n", typist.Type(std::string("ä") + kBackspace + "a\n"));
  EXPECT_EQ("ab\n", typist.Type("a\xff\xfe"
                                "b\n"));
  EXPECT_EQ("[end]", typist.Type(kEnd));
}

TEST(LineEditorTest, AnInterruptDropsTheLine) {
  Typist typist("");
  EXPECT_EQ("[interrupted]", typist.Type(std::string("half") + kInterrupt));
  EXPECT_EQ("whole\n", typist.Type("whole\n"));
  EXPECT_EQ("[interrupted]", typist.Type(kInterrupt));
  EXPECT_EQ("[end]", typist.Type(kEnd));
}

TEST(LineEditorTest, WhatWasTypedIsThereAgainAndItsOwnersOnly) {
  const TempDir directory;
  const std::string history = directory.At("history");
  {
    Typist typist(history);
    EXPECT_EQ("SELECT 'ä';\n", typist.Type("SELECT 'ä';\n"));
    EXPECT_EQ("[end]", typist.Type(kEnd));
  }
  struct stat status = {};
  ASSERT_EQ(0, ::stat(history.c_str(), &status));
  EXPECT_EQ(0600U, status.st_mode & 0777U);
  // Whatever somebody else made of it.
  ASSERT_EQ(0, ::chmod(history.c_str(), 0644));
  {
    Typist typist(history);
    EXPECT_EQ("SELECT 'ä';\n", typist.Type(std::string(kBefore) + "\n"));
    EXPECT_EQ("[end]", typist.Type(kEnd));
  }
  ASSERT_EQ(0, ::stat(history.c_str(), &status));
  EXPECT_EQ(0600U, status.st_mode & 0777U);
}

TEST(LineEditorTest, AHistoryThatPointsElsewhereIsNotWritten) {
  const TempDir directory;
  std::filesystem::create_symlink(directory.At("target"), directory.At("history"));
  {
    Typist typist(directory.At("history"));
    EXPECT_EQ("a\n", typist.Type("a\n"));
    EXPECT_EQ("[end]", typist.Type(kEnd));
  }
  EXPECT_FALSE(std::filesystem::exists(directory.At("target")));
}

TEST(LineEditorTest, ATerminalThatGoesIsTheEnd) {
  Typist typist("");
  EXPECT_EQ("a\n", typist.Type("a\n"));
  // Its destructor takes the terminal away, and waits for the process.
}

}  // namespace
}  // namespace cloister
