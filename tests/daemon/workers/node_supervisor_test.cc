#include "daemon/workers/node_supervisor.h"

#include <gtest/gtest.h>

#include <csignal>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "daemon/calls/call_server.h"
#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {
namespace {

using Got = ScriptedWorker::Got;

class FakeImages : public ImageSource {
 public:
  void LoadImage(ReleaseId release, Done done) override {
    asked.push_back(release);
    if (late)
      waiting.push_back(std::move(done));
    else
      done(SomeImage());
  }
  bool late = false;
  std::vector<Done> waiting;
  std::vector<ReleaseId> asked;
};

class SupervisorTest : public testing::Test, private HttpHandler {
 protected:
  void SetUp() override {
    SupervisorOptions options;
    options.worker = Patient();
    options.compile_timeout = Millis(100);
    supervisor_ = std::make_unique<Supervisor>(Supervisor::Parts{.loop = loop_,
                                                                 .clock = clock_,
                                                                 .control = processes_,
                                                                 .images = images_,
                                                                 .logs = logs_,
                                                                 .calls = calls_},
                                               options);
    supervisor_->SetRerouter(this);
    supervisor_->SetZygote(processes_.NewZygote());
    processes_.on_start = [](ScriptedWorker& worker) {
      worker.on_request = [](ScriptedWorker& self, const Got& got) {
        self.Answer(got, self.orders.version);
      };
      worker.Ready();
    };
  }
  void TearDown() override {
    supervisor_.reset();
    exchanges_.clear();
  }
  FakeExchange& Ask(ReleaseId release) {
    exchanges_.push_back(std::make_unique<FakeExchange>());
    supervisor_->Dispatch({.release = release}, *exchanges_.back());
    return *exchanges_.back();
  }
  static ReleaseSpec Release(std::uint64_t number, const std::string& version) {
    ReleaseSpec spec = SomeRelease(number);
    spec.version = version;
    return spec;
  }
  // Boots; the failure's code, or "".
  std::string Boot(const ReleaseSpec& spec) {
    std::string code = "?";
    supervisor_->Boot(spec, SomeImage(), 1, [&](const BootOutcome& outcome) {
      code = outcome.failure == nullptr ? "" : outcome.failure->code;
    });
    EXPECT_TRUE(Until([&] { return code != "?"; }));
    return code;
  }
  CompileOutcome Compile() {
    CompileOutcome result;
    bool done = false;
    supervisor_->Compile(SomeRelease(), SomeImage(), [&](CompileOutcome outcome) {
      result = std::move(outcome);
      done = true;
    });
    EXPECT_TRUE(Until([&] { return done; }));
    return result;
  }
  bool Until(const std::function<bool()>& condition) { return RunUntil(loop_, condition); }

  Loop loop_;
  SystemClock clock_;
  FakeProcesses processes_{loop_};
  FakeImages images_;
  LogCollector logs_;
  CallServer calls_{clock_, logs_};
  std::unique_ptr<Supervisor> supervisor_;
  std::deque<std::unique_ptr<FakeExchange>> exchanges_;
  ReleaseId live_;

 private:
  void Handle(Exchange& exchange) override { supervisor_->Dispatch({.release = live_}, exchange); }
};

TEST_F(SupervisorTest, BootedReleaseAnswers) {
  EXPECT_EQ(Boot(Release(1, "1.0.0")), "");
  FakeExchange& exchange = Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.body, "1.0.0");
  EXPECT_TRUE(images_.asked.empty());
}

TEST_F(SupervisorTest, AdoptedReleaseStartsNothingUntilItIsAsked) {
  supervisor_->Adopt(Release(1, "1.0.0"));
  RunFor(loop_, Millis(5));
  EXPECT_TRUE(processes_.workers.empty());
  EXPECT_TRUE(images_.asked.empty());
  FakeExchange& exchange = Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(images_.asked, std::vector{ReleaseId{1}});
}

TEST_F(SupervisorTest, AdoptedReleaseWithAMinimumIsKeptWarm) {
  ReleaseSpec spec = Release(1, "1.0.0");
  spec.workers_min = 2;
  supervisor_->Adopt(spec);
  ASSERT_TRUE(Until([&] { return processes_.workers.size() == 2; }));
}

TEST_F(SupervisorTest, AdoptedReleaseCanBeBootedAndRetired) {
  supervisor_->Adopt(Release(1, "1.0.0"));
  EXPECT_EQ(Boot(Release(1, "1.0.0")), "");
  supervisor_->Adopt(Release(2, "2.0.0"));
  bool drained = false;
  supervisor_->Retire({.release = {2}}, [&] { drained = true; });
  ASSERT_TRUE(Until([&] { return drained; }));
  EXPECT_EQ(Ask(ReleaseId{2}).status, 503);
}

TEST_F(SupervisorTest, PartsAreKeptWhenThoseThatWorkHaveThem) {
  const auto kept = [this] {
    auto told = std::make_shared<bool>(false);
    supervisor_->KeepParts([told] { *told = true; });
    return told;
  };
  supervisor_->Adopt(Release(1, "1.0.0"));
  const auto idle = kept();
  ASSERT_TRUE(Until([&] { return *idle; }));
  EXPECT_TRUE(images_.asked.empty()) << "what sleeps needs nothing";
  images_.late = true;
  FakeExchange& exchange = Ask(ReleaseId{1});
  const auto busy = kept();
  RunFor(loop_, Millis(5));
  EXPECT_FALSE(*busy);
  ASSERT_EQ(images_.waiting.size(), 1U);
  images_.waiting[0](SomeImage());
  ASSERT_TRUE(Until([&] { return *busy && exchange.done(); }));
  EXPECT_EQ(exchange.status, 200);
}

TEST_F(SupervisorTest, UnknownReleaseIsA503) {
  EXPECT_EQ(Ask(ReleaseId{99}).status, 503);
}

TEST_F(SupervisorTest, FailedBootLeavesNothingBehind) {
  processes_.on_start = [](ScriptedWorker& worker) {
    worker.FailBoot(
        {.code = "entry_missing", .message = "m", .file = "", .line = 0, .traceback = ""});
  };
  EXPECT_EQ(Boot(Release(1, "1.0.0")), "entry_missing");
  ASSERT_TRUE(Until([&] { return Ask(ReleaseId{1}).status == 503; }));
  EXPECT_TRUE(supervisor_->List().empty());
}

TEST_F(SupervisorTest, SwapLosesNothing) {
  processes_.on_start = [](ScriptedWorker& worker) {
    worker.on_request = [](ScriptedWorker& self, const Got& got) {
      // The old release is slow: it holds the first request.
      if (self.orders.version == "1.0.0")
        self.Claim(got);
      else
        self.Answer(got, self.orders.version);
    };
    worker.Ready();
  };
  ReleaseSpec old = Release(1, "1.0.0");
  old.workers_max = 1;
  ASSERT_EQ(Boot(old), "");
  FakeExchange& running = Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return !processes_.workers[0]->requests.empty(); }));
  FakeExchange& queued = Ask(ReleaseId{1});
  ASSERT_EQ(Boot(Release(2, "2.0.0")), "");
  live_ = ReleaseId{2};
  bool drained = false;
  supervisor_->Retire({.release = {1}}, [&] { drained = true; });
  ASSERT_TRUE(Until([&] { return queued.done(); }));
  EXPECT_EQ(queued.body, "2.0.0");
  EXPECT_FALSE(drained);
  processes_.workers[0]->SendHead(processes_.workers[0]->requests[0].id,
                                  {.status = 200, .reason = "OK", .headers = {}}, "1.0.0",
                                  kFrameEnd);
  ASSERT_TRUE(Until([&] { return processes_.workers[0]->shutdown; }));
  EXPECT_EQ(running.body, "1.0.0");
  processes_.ExitCode(WorkerId{processes_.workers[0]->orders.worker_id}, 0);
  ASSERT_TRUE(Until([&] { return drained; }));
  EXPECT_EQ(supervisor_->List().size(), 1U);
}

TEST_F(SupervisorTest, DrainingReleaseCanBeBootedAgain) {
  processes_.on_start = [&](ScriptedWorker& worker) {
    const bool first = processes_.workers.size() == 1;
    worker.on_request = [first](ScriptedWorker& self, const Got& got) {
      if (first)
        self.Claim(got);
      else
        self.Answer(got, "again");
    };
    worker.Ready();
  };
  ASSERT_EQ(Boot(Release(1, "1.0.0")), "");
  FakeExchange& running = Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return !processes_.workers[0]->requests.empty(); }));
  bool drained = false;
  supervisor_->Retire({.release = {1}}, [&] { drained = true; });
  ASSERT_EQ(Boot(Release(1, "1.0.0")), "");
  FakeExchange& again = Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return again.done(); }));
  EXPECT_EQ(again.body, "again");
  EXPECT_FALSE(running.done()) << "the first pool is not disturbed";
  EXPECT_FALSE(drained);
}

TEST_F(SupervisorTest, AnAppIsGoneWithTheLastOfItsRetiredReleases) {
  processes_.on_start = [](ScriptedWorker& worker) {
    worker.on_request = [](ScriptedWorker& self, const Got& got) { self.Claim(got); };
    worker.Ready();
  };
  ASSERT_EQ(Boot(Release(1, "1.0.0")), "");
  ASSERT_EQ(Boot(Release(2, "2.0.0")), "");
  (void)Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return !processes_.workers[0]->requests.empty(); }));
  supervisor_->Retire({.release = {1}}, [] {});
  bool second_drained = false;
  supervisor_->Retire({.release = {2}}, [&] { second_drained = true; });
  bool gone = false;
  supervisor_->WhenGone(Release(1, "").app_id, [&] { gone = true; });
  const auto exit = [&](std::size_t index) {
    const ScriptedWorker& worker = *processes_.workers[index];
    ASSERT_TRUE(Until([&] { return worker.shutdown; }));
    processes_.ExitCode(WorkerId{worker.orders.worker_id}, 0);
  };
  exit(1);
  ASSERT_TRUE(Until([&] { return second_drained; }));
  bool other_gone = false;
  supervisor_->WhenGone(AppId{777}, [&] { other_gone = true; });
  ASSERT_TRUE(Until([&] { return other_gone; }));
  EXPECT_FALSE(gone) << "a former release drains still";
  ScriptedWorker& first = *processes_.workers[0];
  first.SendHead(first.requests[0].id, {.status = 200, .reason = "OK", .headers = {}}, "done",
                 kFrameEnd);
  exit(0);
  EXPECT_TRUE(Until([&] { return gone; }));
}

TEST_F(SupervisorTest, RetiringWhatIsNotThereIsDone) {
  bool drained = false;
  supervisor_->Retire({.release = {5}}, [&] { drained = true; });
  ASSERT_TRUE(Until([&] { return drained; }));
}

TEST_F(SupervisorTest, ListsWorkersByApp) {
  ASSERT_EQ(Boot(Release(1, "1.0.0")), "");
  FakeExchange& exchange = Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  const std::vector<WorkerInfo> workers = supervisor_->List();
  ASSERT_EQ(workers.size(), 1U);
  EXPECT_EQ(workers[0].app.ToString(), "demo/hello");
  EXPECT_EQ(workers[0].version, "1.0.0");
  EXPECT_EQ(workers[0].state, "idle");
  EXPECT_EQ(workers[0].requests, 1U);
  EXPECT_EQ(workers[0].id.number, processes_.workers[0]->orders.worker_id);
}

TEST_F(SupervisorTest, LogsCarryAppReleaseWorkerAndRequest) {
  processes_.on_start = [](ScriptedWorker& worker) {
    worker.on_request = [](ScriptedWorker& self, const Got& got) {
      self.Claim(got);
      self.SendLog(got.id, "any bytes \xff\n");
      self.SendHead(got.id, {.status = 204, .reason = "", .headers = {}}, {}, kFrameEnd);
    };
    worker.Ready();
  };
  ASSERT_EQ(Boot(Release(1, "1.0.0")), "");
  FakeExchange& exchange = Ask(ReleaseId{1});
  ASSERT_TRUE(Until([&] { return exchange.done(); }));
  ASSERT_EQ(logs_.events.size(), 1U);
  const LogEvent& event = logs_.events.front();
  EXPECT_EQ(event.app, AppId{3});
  EXPECT_EQ(event.release, "1.0.0");
  EXPECT_EQ(event.worker.number, processes_.workers[0]->orders.worker_id);
  EXPECT_EQ(event.request_id, "01HF8Y0000000000000000000A");
  EXPECT_EQ(event.source, LogSource::kStdout);
  EXPECT_EQ(event.level, 20);
  EXPECT_EQ(event.logger, "app");
  EXPECT_EQ(event.bytes, "any bytes \xff\n");
}

TEST_F(SupervisorTest, RefusedCallsAreTold) {
  processes_.on_start = [](ScriptedWorker& worker) {
    std::string payload;
    WireWriter writer(payload);
    writer.Str16("getaddrinfo");
    writer.U32(3);
    worker.Send({.type = FrameType::kRefused, .flags = 0, .id = 0, .payload = payload});
    worker.Ready();
  };
  ASSERT_EQ(Boot(Release(1, "1.0.0")), "");
  EXPECT_EQ(logs_.Count("Refused 3 times: getaddrinfo"), 1U);
}

// --- Compiles

TEST_F(SupervisorTest, CompileCollectsTheCode) {
  const std::string large(100000, 'L');
  processes_.on_start = [&](ScriptedWorker& worker) {
    EXPECT_EQ(worker.orders.job, static_cast<std::uint32_t>(WorkerJob::kCompile));
    worker.SendCode("a.py", "code a");
    worker.SendLog(0, "a warning");
    worker.SendCode("pkg/b.py", large.substr(0, 60000), kFrameMore);
    worker.SendCode("pkg/b.py", large.substr(60000));
    worker.Ready();
  };
  const CompileOutcome outcome = Compile();
  ASSERT_EQ(outcome.failure, nullptr);
  ASSERT_EQ(outcome.code.size(), 2U);
  EXPECT_EQ(outcome.code[0].path, "a.py");
  EXPECT_EQ(outcome.code[0].code, "code a");
  EXPECT_EQ(outcome.code[1].path, "pkg/b.py");
  EXPECT_EQ(outcome.code[1].code, large);
  EXPECT_EQ(logs_.Count("a warning"), 1U);
  ASSERT_TRUE(Until([&] { return supervisor_->List().empty(); }));
}

TEST_F(SupervisorTest, CompilesOfOneTenantWaitForEachOther) {
  std::vector<ScriptedWorker*> started;
  processes_.on_start = [&](ScriptedWorker& worker) { started.push_back(&worker); };
  std::vector<std::string> done;
  for (const char* app : {"one/a", "one/b", "two/c"}) {
    ReleaseSpec spec = SomeRelease();
    spec.app = AppName::Parse(app).value();
    supervisor_->Compile(spec, SomeImage(),
                         [&done, app](const CompileOutcome&) { done.emplace_back(app); });
  }
  ASSERT_TRUE(Until([&] { return started.size() == 2; }));
  EXPECT_EQ(started[0]->orders.app, "one/a");
  EXPECT_EQ(started[1]->orders.app, "two/c");
  started[1]->Ready();
  ASSERT_TRUE(Until([&] { return done.size() == 1; }));
  EXPECT_EQ(started.size(), 2U) << "the other tenant's end is none of theirs";
  started[0]->Ready();
  ASSERT_TRUE(Until([&] { return started.size() == 3; }));
  EXPECT_EQ(started[2]->orders.app, "one/b");
  started[2]->Ready();
  ASSERT_TRUE(Until([&] { return done.size() == 3; }));
}

TEST_F(SupervisorTest, CompileThatFindsAnErrorReportsIt) {
  processes_.on_start = [](ScriptedWorker& worker) {
    worker.SendCode("a.py", "code a");
    worker.FailBoot({.code = "syntax_error",
                     .message = "invalid syntax",
                     .file = "b.py",
                     .line = 12,
                     .traceback = "^"});
  };
  const CompileOutcome outcome = Compile();
  ASSERT_NE(outcome.failure, nullptr);
  EXPECT_EQ(outcome.failure->code, "syntax_error");
  EXPECT_EQ(outcome.failure->line, 12U);
  EXPECT_TRUE(outcome.code.empty());
}

TEST_F(SupervisorTest, CompileThatNeverEndsIsEnded) {
  processes_.on_start = [](ScriptedWorker&) {};
  const CompileOutcome outcome = Compile();
  ASSERT_NE(outcome.failure, nullptr);
  EXPECT_EQ(outcome.failure->code, "compile_timeout");
  EXPECT_EQ(processes_.killed.size(), 1U);
}

TEST_F(SupervisorTest, CompileThatDiesSaysHow) {
  processes_.on_start = [&](ScriptedWorker& worker) {
    processes_.Exit(WorkerId{worker.orders.worker_id}, SIGKILL);
  };
  const CompileOutcome outcome = Compile();
  ASSERT_NE(outcome.failure, nullptr);
  EXPECT_EQ(outcome.failure->code, "worker_died");
  EXPECT_NE(outcome.failure->message.find("memory limit"), std::string::npos);
}

TEST_F(SupervisorTest, CompileOfAnotherFileInTheMiddleOfOneIsRefused) {
  processes_.on_start = [](ScriptedWorker& worker) {
    worker.SendCode("a.py", "code a", kFrameMore);
    worker.SendCode("b.py", "code b");
    worker.Ready();
  };
  const CompileOutcome outcome = Compile();
  ASSERT_NE(outcome.failure, nullptr);
  EXPECT_EQ(outcome.failure->code, "worker_protocol");
}

TEST_F(SupervisorTest, CompileThatAnswersRequestsIsRefused) {
  processes_.on_start = [](ScriptedWorker& worker) {
    worker.SendHead(1, {.status = 200, .reason = "", .headers = {}}, "x", kFrameEnd);
  };
  EXPECT_EQ(Compile().failure->code, "worker_protocol");
}

TEST_F(SupervisorTest, ItsWorkersDieWithIt) {
  ASSERT_EQ(Boot(Release(1, "1.0.0")), "");
  supervisor_.reset();
  EXPECT_GE(processes_.killed.size(), 1U);
}

}  // namespace
}  // namespace cloister
