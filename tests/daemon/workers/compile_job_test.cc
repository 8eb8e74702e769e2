// What a compiling worker may send, at its limits. What it does otherwise: node_supervisor_test.cc.

#include "daemon/workers/compile_job.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {
namespace {

class CompileJobTest : public testing::Test, private CompileJob::Owner {
 protected:
  // Its worker, when it has been handed everything.
  ScriptedWorker& Start() {
    ground_.processes.on_start = [](ScriptedWorker&) {};
    job_.Start(SomeImage(), Millis(60000));
    EXPECT_TRUE(ground_.Until([this] { return !ground_.processes.workers.empty(); }));
    return *ground_.processes.workers.front();
  }
  // Sends one file of `size` bytes in frames.
  void SendFile(ScriptedWorker& worker, std::size_t size) {
    const std::string piece(60000, 'c');
    for (std::size_t sent = 0; sent < size && !outcome_; sent += piece.size()) {
      const std::size_t left = size - sent;
      worker.SendCode("large.py", std::string_view(piece).substr(0, left),
                      left > piece.size() ? kFrameMore : std::uint8_t{0});
      // The script's own buffer stays small.
      if (sent / piece.size() % 16 == 0)
        RunFor(ground_.loop, Millis(1));
    }
  }
  CompileOutcome& Outcome() {
    EXPECT_TRUE(ground_.Until([this] { return outcome_.has_value(); }));
    return *outcome_;
  }
  void ExpectRefused() {
    ASSERT_NE(Outcome().failure, nullptr);
    EXPECT_EQ(Outcome().failure->code, "worker_protocol");
    EXPECT_TRUE(Outcome().code.empty()) << "nothing of it is kept";
    EXPECT_EQ(ground_.processes.killed.size(), 1U);
  }

  WorkerGround ground_;
  std::optional<CompileOutcome> outcome_;
  CompileJob job_{ground_.env, SomeRelease(), static_cast<CompileJob::Owner&>(*this),
                  [this](CompileOutcome outcome) { outcome_ = std::move(outcome); }};

 private:
  void OnCompileOver(CompileJob& /*job*/) override {}
};

TEST_F(CompileJobTest, TakesAsManyFilesAsThereCanBe) {
  ScriptedWorker& worker = Start();
  for (std::size_t i = 0; i < kCompiledFilesMax; ++i)
    worker.SendCode("a.py", "");
  worker.Ready();
  EXPECT_EQ(Outcome().failure, nullptr);
  EXPECT_EQ(Outcome().code.size(), kCompiledFilesMax);
}

TEST_F(CompileJobTest, RefusesMoreFiles) {
  ScriptedWorker& worker = Start();
  for (std::size_t i = 0; i < kCompiledFilesMax + 1; ++i)
    worker.SendCode("a.py", "");
  worker.Ready();
  ExpectRefused();
}

TEST_F(CompileJobTest, TakesTheLargestFile) {
  ScriptedWorker& worker = Start();
  SendFile(worker, kCompiledFileMax);
  worker.Ready();
  EXPECT_EQ(Outcome().failure, nullptr);
  ASSERT_EQ(Outcome().code.size(), 1U);
  EXPECT_EQ(Outcome().code.front().code.size(), kCompiledFileMax);
}

TEST_F(CompileJobTest, RefusesALargerFile) {
  ScriptedWorker& worker = Start();
  SendFile(worker, kCompiledFileMax + 1);
  worker.Ready();
  ExpectRefused();
}

TEST_F(CompileJobTest, RefusesCodeWithoutAPath) {
  Start().SendCode("", "code");
  ExpectRefused();
}

TEST_F(CompileJobTest, RefusesACall) {
  Start().Send({.type = FrameType::kCall, .flags = 0, .id = 2, .payload = "\x0b\x01"});
  ExpectRefused();
}

TEST_F(CompileJobTest, RefusesAnEndInTheMiddleOfAFile) {
  ScriptedWorker& worker = Start();
  worker.SendCode("a.py", "code", kFrameMore);
  worker.Ready();
  ExpectRefused();
}

}  // namespace
}  // namespace cloister
