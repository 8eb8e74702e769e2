#include "daemon/releases/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/logs/log_store.h"
#include "daemon/releases/problem.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_workers.h"
#include "tests/support/run_until.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class CheckRunTest : public testing::Test {
 protected:
  // Runs `checks` against an app that answers as on_app says.
  CheckOutcome Run(std::vector<ManifestCheck> checks) {
    Start(std::move(checks));
    EXPECT_TRUE(RunUntil(loop_, [this] { return outcome_.has_value(); }));
    return outcome_.value_or(CheckOutcome{.summary = "never ended", .failure = std::nullopt});
  }
  void Start(std::vector<ManifestCheck> checks) {
    workers_.on_dispatch = [this](ReleaseId release, Exchange& exchange) {
      EXPECT_EQ(release.number, 7U);
      const HttpRequest& request = exchange.request();
      ASSERT_TRUE(request.node_terms.has_value());
      EXPECT_TRUE(request.node_terms->ends_worker);
      asked_.push_back(std::string(request.method) + " " + std::string(request.target));
      (request.node_terms->for_runtime ? on_runtime_ : on_app_)(exchange);
    };
    run_ = std::make_unique<CheckRun>(
        CheckRun::Parts{.loop = loop_, .clock = clock_, .workers = workers_, .router = router_},
        Spec(values_), std::move(checks), "hello.demo.localhost");
    run_->Start([this](CheckOutcome outcome) {
      outcome_ = std::move(outcome);
      run_.reset();
    });
    EXPECT_FALSE(outcome_.has_value()) << "called from within";
  }
  static ReleaseSpec Spec(const std::shared_ptr<const RunConfig>& values) {
    ReleaseSpec spec{.app_id = AppId{3},
                     .app = AppName::Parse("demo/hello").value(),
                     .release = ReleaseId{7},
                     .version = "1.2.0",
                     .entry = "hello:application",
                     .limits = {}};
    spec.limits.wall_max = Millis(2000);
    spec.values = values;
    return spec;
  }
  // Every request is answered so.
  void Answer(int status, const std::string& body) {
    on_app_ = [=](Exchange& exchange) {
      exchange.Respond(status, {{.name = "X-App", .value = "yes"}}, body);
    };
  }
  void AnswerPattern(int status, const std::string& body) {
    on_runtime_ = [=](Exchange& exchange) { exchange.Respond(status, {}, body); };
  }
  // The node answers with that problem.
  static std::function<void(Exchange&)> Problem(int status, const std::string& code) {
    return [=](Exchange& exchange) { RespondProblem(exchange, status, code, "why"); };
  }
  // The code and the message of the report.
  std::string ReportOf(std::vector<ManifestCheck> checks) {
    const CheckOutcome outcome = Run(std::move(checks));
    outcome_.reset();
    if (!outcome.failure)
      return outcome.summary;
    EXPECT_NE(AdviceFor(outcome.failure->code), AdviceFor("no such code")) << outcome.failure->code;
    return outcome.failure->code + ": " + outcome.failure->message;
  }
  std::string TranscriptOf(const ManifestCheck& check) {
    return Run({check}).failure.value_or(ReportRow()).traceback;
  }

  Loop loop_;
  FakeClock clock_;
  FakeWorkers workers_{loop_};
  TempDir dir_;
  LogStore logs_{loop_, clock_, dir_.path(), LogLimits()};
  Router router_{"localhost", {.workers = workers_, .logs = logs_, .clock = clock_}};
  std::function<void(Exchange&)> on_app_;
  std::function<void(Exchange&)> on_runtime_ = [](Exchange&) { FAIL() << "no pattern was given"; };
  std::vector<std::string> asked_;
  std::shared_ptr<const RunConfig> values_;
  std::unique_ptr<CheckRun> run_;
  std::optional<CheckOutcome> outcome_;
};

TEST_F(CheckRunTest, WithoutChecksTheRootMustNotBeAServerError) {
  for (const int status : {200, 302, 404, 499}) {
    Answer(status, "");
    EXPECT_THAT(ReportOf({}), StartsWith("1 check, slowest GET / ")) << status;
  }
  Answer(500, "");
  EXPECT_EQ(ReportOf({}), "check_failed: GET /: expected no server error, got 500");
  EXPECT_THAT(asked_, testing::Each("GET /"));
}

TEST_F(CheckRunTest, TheAppSeesWhatTheManifestSays) {
  std::vector<std::string> seen;
  on_app_ = [&](Exchange& exchange) {
    const HttpRequest& request = exchange.request();
    seen.push_back("host " + std::string(request.host) + ":" + std::string(request.port));
    for (const HttpHeader& header : request.headers)
      seen.push_back(std::string(header.name) + ": " + std::string(header.value));
    seen.emplace_back(request.body.bytes);
    EXPECT_EQ(request.node_terms->wall_max, Millis(500));
    exchange.Respond(201, {}, "");
  };
  const CheckOutcome outcome = Run({{.path = "/cart?a=b",
                                     .method = "POST",
                                     .headers = {{"x-token", "t"}, {"host", "Shop.example:81"}},
                                     .body = "{\n}",
                                     .status = 201,
                                     .time = Millis(500)}});
  EXPECT_FALSE(outcome.failure.has_value());
  EXPECT_THAT(asked_, ElementsAre("POST /cart?a=b"));
  EXPECT_THAT(seen, ElementsAre("host shop.example:81", "user-agent: cloister-check", "x-token: t",
                                "host: shop.example:81", "content-length: 3", "{\n}"));
}

TEST_F(CheckRunTest, TheHostIsTheAppsAndTheTimeThatOfItsQuota) {
  on_app_ = [](Exchange& exchange) {
    EXPECT_EQ(exchange.request().host, "hello.demo.localhost");
    EXPECT_EQ(exchange.request().node_terms->wall_max, Millis(2000));
    exchange.Respond(200, {}, "");
  };
  EXPECT_FALSE(Run({{.path = "/"}}).failure.has_value());
}

TEST_F(CheckRunTest, OneAfterTheOtherAndTheSlowestIsTold) {
  on_app_ = [this](Exchange& exchange) {
    clock_.Advance(exchange.request().target == "/b" ? Micros(12345) : Micros(1000));
    exchange.Respond(200, {}, "");
  };
  EXPECT_EQ(Run({{.path = "/a"}, {.path = "/b"}, {.path = "/c"}}).summary,
            "3 checks, slowest GET /b 12.3 ms");
  EXPECT_THAT(asked_, ElementsAre("GET /a", "GET /b", "GET /c"));
}

TEST_F(CheckRunTest, TheFirstThatFailsEndsTheRun) {
  Answer(404, "nothing");
  EXPECT_EQ(ReportOf({{.path = "/a", .status = 404}, {.path = "/b"}, {.path = "/c"}}),
            "check_failed: GET /b: expected 200, got 404");
  EXPECT_THAT(asked_, ElementsAre("GET /a", "GET /b"));
}

TEST_F(CheckRunTest, TheReportShowsWhatWasAskedAndAnswered) {
  Answer(500, "Oops \x1b[31m\xff\r\nmore");
  const std::string text = TranscriptOf({.path = "/health", .method = "POST", .body = "the body"});
  EXPECT_THAT(text, HasSubstr("POST /health HTTP/1.1\nhost: hello.demo.localhost\n"));
  EXPECT_THAT(text, HasSubstr("\n\nthe body\n\nThe response:\n"));
  EXPECT_THAT(text, HasSubstr("HTTP/1.1 500 Internal Server Error\nX-App: yes\n\nOops \\x1b[31m"
                              "\ufffd\nmore"));
  EXPECT_THAT(text, HasSubstr("cloister logs demo/hello --request 0"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST_F(CheckRunTest, OfALongBodyTheReportHasTheBeginning) {
  Answer(500, std::string(5000, 'b'));
  const std::string text = TranscriptOf({.path = "/"});
  EXPECT_THAT(text, HasSubstr(std::string(4096, 'b') + "\n... 904 more bytes\n"));
  EXPECT_THAT(text, Not(HasSubstr(std::string(4097, 'b'))));
}

TEST_F(CheckRunTest, ASecretIsFoundAlsoWhereTheReportCutsTheBody) {
  auto values = std::make_shared<RunConfig>();
  const std::vector<NamedSecret> secrets = {{.name = "S", .value = "correct-horse-battery"}};
  values->redactor = Redactor::Create(secrets);
  values_ = std::move(values);
  Answer(500, std::string(4090, 'b') + "correct-horse-battery" + std::string(100, 'c'));
  const std::string text = TranscriptOf({.path = "/"});
  EXPECT_THAT(text, HasSubstr("b[secre\n... "));
  EXPECT_THAT(text, Not(HasSubstr("correct")));
}

TEST_F(CheckRunTest, TheBodyMustContainTheText) {
  Answer(200, std::string("a\0b caf\xc3\xa9", 9));
  EXPECT_THAT(ReportOf({{.path = "/", .contains = "b caf\xc3\xa9"}}), StartsWith("1 check"));
  EXPECT_EQ(ReportOf({{.path = "/", .contains = "no\nsuch"}}),
            "check_failed: GET /: the body does not contain \"no such\"");
}

TEST_F(CheckRunTest, AResponseBeyondTheBoundFailsAndIsLetGo) {
  Answer(200, std::string(CheckRun::kBodyMax, 'x'));
  EXPECT_THAT(ReportOf({{.path = "/"}}), StartsWith("1 check"));
  Answer(200, std::string(CheckRun::kBodyMax + 1, 'x'));
  EXPECT_EQ(ReportOf({{.path = "/"}}), "check_too_large: GET /: the response has more than 1 MiB");
}

TEST_F(CheckRunTest, WhenTheNodeAnswersForTheAppTheCheckFailsWhateverItExpects) {
  on_app_ = Problem(504, "wall_time_exceeded");
  EXPECT_EQ(ReportOf({{.path = "/", .status = 504, .time = Millis(50)}}),
            "check_timeout: GET /: no answer within 50 ms");
  on_app_ = Problem(502, "worker_died");
  EXPECT_EQ(ReportOf({{.path = "/", .status = 502}}),
            "check_worker_died: GET /: no answer of the app (worker_died)");
  on_app_ = Problem(502, "response_refused");
  EXPECT_EQ(ReportOf({}), "check_failed: GET /: no answer of the app (response_refused)");
  on_app_ = Problem(503, "no_release");
  EXPECT_EQ(ReportOf({}), "cancelled: GET /: no answer of the app (no_release)");
}

TEST_F(CheckRunTest, AnAnswerThatBreaksOffFails) {
  on_app_ = [](Exchange& exchange) {
    exchange.Begin(200, "", {}, 100);
    exchange.Write("short");
    exchange.Finish();
  };
  EXPECT_EQ(ReportOf({{.path = "/"}}),
            "check_failed: GET /: the response broke off before its Content-Length");
}

TEST_F(CheckRunTest, ThePatternIsTriedInTheWorker) {
  Answer(200, "the body");
  on_runtime_ = [](Exchange& exchange) {
    const HttpRequest& request = exchange.request();
    EXPECT_EQ(request.Header("pattern"), "b.dy\n");
    EXPECT_EQ(request.body.bytes, "the body");
    EXPECT_EQ(request.node_terms->wall_max, Millis(50));
    exchange.Respond(200, {}, "1");
  };
  EXPECT_THAT(ReportOf({{.path = "/", .matches = "b.dy\n", .time = Millis(50)}}),
              StartsWith("1 check"));
  EXPECT_THAT(asked_, ElementsAre("GET /", "POST match"));
}

TEST_F(CheckRunTest, APatternThatIsNotFoundIsWrongOrTakesTooLong) {
  Answer(200, "the body");
  const std::vector<ManifestCheck> checks = {{.path = "/", .matches = "(a+)+", .time = Millis(50)}};
  AnswerPattern(200, "0");
  EXPECT_EQ(ReportOf(checks), "check_failed: GET /: the body does not match \"(a+)+\"");
  AnswerPattern(422, "missing )");
  EXPECT_EQ(ReportOf(checks), "check_pattern_invalid: GET /: the pattern is none: missing )");
  AnswerPattern(500, "");
  EXPECT_EQ(ReportOf(checks), "check_failed: GET /: the pattern could not be tried");
  on_runtime_ = Problem(504, "wall_time_exceeded");
  EXPECT_EQ(ReportOf(checks),
            "check_pattern_timeout: GET /: the pattern was not done within 50 ms");
  on_runtime_ = Problem(502, "worker_died");
  EXPECT_EQ(ReportOf(checks), "check_worker_died: GET /: no answer of the app (worker_died)");
}

class GoneListener : public ExchangeListener {
 public:
  void OnClientGone() override { gone = true; }
  void OnWritable() override {}
  bool gone = false;
};

TEST_F(CheckRunTest, DestroyedItGivesUpWhatItAsked) {
  GoneListener listener;
  on_app_ = [&](Exchange& exchange) { exchange.SetListener(&listener); };
  Start({});
  run_.reset();
  EXPECT_TRUE(listener.gone);
  EXPECT_FALSE(outcome_.has_value());
}

TEST_F(CheckRunTest, WhatNoClientCouldAskFails) {
  EXPECT_THAT(ReportOf({{.path = "/%00"}}),
              StartsWith("check_failed: GET /%00: no client could ask this: "));
  EXPECT_TRUE(asked_.empty());
}

}  // namespace
}  // namespace cloister
