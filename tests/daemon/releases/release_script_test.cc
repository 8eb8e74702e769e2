#include "daemon/releases/release_script.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/http/message.h"
#include "daemon/releases/problem.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_workers.h"
#include "tests/support/run_until.h"

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

class ReleaseScriptTest : public testing::Test {
 protected:
  // How the script ended when its worker answers so: "passed", or the report's code and message.
  std::string Run(const std::function<void(Exchange&)>& answer) {
    bool ended = false;
    std::optional<ReportRow> failure;
    workers_.on_dispatch = [&](ReleaseId release, Exchange& exchange) {
      EXPECT_EQ(release.number, 7U);
      const HttpRequest& request = exchange.request();
      EXPECT_EQ(request.target, "release");
      EXPECT_EQ(request.Header("entry"), "bring:run");
      const NodeTerms terms = request.node_terms.value_or(NodeTerms());
      EXPECT_TRUE(terms.for_runtime && terms.ends_worker);
      EXPECT_EQ(terms.wall_max, kReleaseScriptMax);
      answer(exchange);
    };
    std::unique_ptr<ReleaseScript> script;
    script = std::make_unique<ReleaseScript>(
        ReleaseScript::Parts{.loop = loop_, .clock = clock_, .workers = workers_},
        RunId{.release = ReleaseId{7}, .config = 0}, "bring:run",
        [&](std::optional<ReportRow> report) {
          ended = true;
          failure = std::move(report);
          script.reset();
        });
    EXPECT_FALSE(ended) << "called from within";
    EXPECT_TRUE(RunUntil(loop_, [&] { return ended; }));
    if (!failure)
      return "passed";
    EXPECT_NE(AdviceFor(failure->code), AdviceFor("no such code")) << failure->code;
    return failure->code + ": " + failure->message;
  }
  std::string RunAnswered(int status, const std::string& body) {
    return Run([&](Exchange& exchange) { exchange.Respond(status, {}, body); });
  }
  std::string RunRefused(int status, const std::string& code) {
    return Run([&](Exchange& exchange) { RespondProblem(exchange, status, code, "why"); });
  }

  Loop loop_;
  FakeClock clock_;
  FakeWorkers workers_{loop_};
};

TEST_F(ReleaseScriptTest, ItPassesOrSaysWhyNot) {
  EXPECT_EQ(RunAnswered(200, ""), "passed");
  EXPECT_EQ(RunAnswered(422, "a.py\n3\nKeyError: 1\nTraceback"),
            "release_failed: [entry] release failed: KeyError: 1");
}

TEST_F(ReleaseScriptTest, WhatTheNodeHasToAnswerIsNamed) {
  EXPECT_EQ(RunRefused(504, "wall_time_exceeded"),
            "release_timeout: [entry] release did not return within 10 minutes");
  EXPECT_EQ(RunRefused(502, "worker_died"),
            "release_failed: the worker ended while [entry] release ran; the app's log says how");
  EXPECT_EQ(RunRefused(503, "node_stopping"),
            "interrupted: [entry] release did not return (node_stopping)");
}

TEST_F(ReleaseScriptTest, AHostileAnswerIsNoSuccess) {
  const std::string unreadable = "release_failed: [entry] release gave no answer that can be read";
  EXPECT_EQ(RunAnswered(500, ""), unreadable);
  EXPECT_EQ(RunAnswered(200, std::string(1 << 20, 'x')), unreadable) << "more than is read";
  EXPECT_EQ(Run([](Exchange& exchange) {
              exchange.Begin(200, "OK", {}, 100);
              exchange.Write("half");
              exchange.Abort();
            }),
            unreadable);
}

}  // namespace
}  // namespace cloister
