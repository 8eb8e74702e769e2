#include "daemon/router/router.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_exchange.h"

namespace cloister {
namespace {

// Writes down where requests go.
class FakeWorkers : public WorkerSupervisor {
 public:
  void Compile(const ReleaseSpec& /*spec*/, std::shared_ptr<const UniqueFd> /*source_image*/,
               std::function<void(CompileOutcome)> /*done*/) override {}
  void Boot(const ReleaseSpec& /*spec*/, std::shared_ptr<const UniqueFd> /*image*/,
            std::uint32_t /*count*/, std::function<void(BootOutcome)> /*done*/) override {}
  void Adopt(const ReleaseSpec& /*spec*/) override {}
  void Update(const ReleaseSpec& /*spec*/) override {}
  void Reconfigure(RunId /*former*/, std::shared_ptr<const RunConfig> /*config*/,
                   Delivery /*delivery*/) override {}
  void Retire(RunId /*run*/, std::function<void()> /*drained*/) override {}
  void WhenGone(AppId /*app*/, std::function<void()> /*gone*/) override {}
  void Dispatch(RunId run, Exchange& exchange) override {
    dispatched.push_back(run.release);
    configs.push_back(run.config);
    exchange.Respond(200, {}, {});
  }
  std::vector<WorkerInfo> List() const override { return {}; }
  ReleaseUse Use(RunId /*run*/) const override { return {}; }
  std::uint32_t CountWorkers(RunId /*run*/) const override { return 0; }

  std::vector<ReleaseId> dispatched;
  std::vector<std::uint64_t> configs;
};

std::shared_ptr<const RoutingSnapshot> Snapshot(std::uint64_t app_id, const char* app,
                                                std::uint64_t live) {
  return std::make_shared<const RoutingSnapshot>(RoutingSnapshot{.app_id = AppId{app_id},
                                                                 .app = AppName::Parse(app).value(),
                                                                 .live = ReleaseId{live},
                                                                 .version = "1",
                                                                 .requests_rate = 1000000});
}

MonotonicTime At(double seconds) {
  return MonotonicTime(Seconds(1000)) + std::chrono::duration_cast<MonotonicTime::duration>(
                                            std::chrono::duration<double>(seconds));
}

// The app whose quota is so many requests a second.
std::shared_ptr<const RoutingSnapshot> Limited(std::uint32_t requests_rate,
                                               std::uint64_t app_id = 1) {
  RoutingSnapshot snapshot = *Snapshot(app_id, "demo/hello", 10);
  snapshot.requests_rate = requests_rate;
  return std::make_shared<const RoutingSnapshot>(std::move(snapshot));
}

class Events : public LogSink {
 public:
  void Append(LogEvent event) override { events.push_back(std::move(event)); }
  std::vector<LogEvent> events;
};

class RouterTest : public testing::Test {
 protected:
  // The status for that host, as the server gives it: lower case, no port, no final dot.
  int Ask(const std::string& host, double seconds = 0) {
    FakeExchange exchange;
    exchange.request().host = host;
    exchange.request().received_at = At(seconds);
    router_.Handle(exchange);
    body_ = exchange.body;
    return exchange.status;
  }

  FakeWorkers workers_;
  FakeClock clock_;
  Events logs_;
  Router router_{"apps.example.com", {.workers = workers_, .logs = logs_, .clock = clock_}};
  std::string body_;
};

TEST_F(RouterTest, HostLeadsToTheLiveRelease) {
  router_.Publish(Snapshot(1, "demo/hello", 10));
  router_.Publish(Snapshot(2, "demo/blog", 20));
  EXPECT_EQ(Ask("blog.demo.apps.example.com"), 200);
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 200);
  EXPECT_EQ(workers_.dispatched, (std::vector{ReleaseId{20}, ReleaseId{10}}));
}

TEST_F(RouterTest, UnknownHostsAreAllAlike) {
  router_.Publish(Snapshot(1, "demo/hello", 10));
  EXPECT_EQ(Ask("nobody.demo.apps.example.com"), 404);
  const std::string first = body_;
  for (const char* host :
       {"", "apps.example.com", "demo.apps.example.com", "x.hello.demo.apps.example.com",
        "hello.demo.apps.example.org", "hello.demo", "127.0.0.1"}) {
    EXPECT_EQ(Ask(host), 404) << host;
    EXPECT_EQ(body_, first) << host;
  }
  EXPECT_EQ(first.find("demo"), std::string::npos) << "it says nothing";
  EXPECT_TRUE(workers_.dispatched.empty());
}

TEST_F(RouterTest, AppWithoutALiveReleaseIsA503) {
  router_.Publish(Snapshot(1, "demo/hello", 0));
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 503);
  EXPECT_NE(body_.find("no_release"), std::string::npos);
}

TEST_F(RouterTest, NextSnapshotDecidesTheNextRequest) {
  router_.Publish(Snapshot(1, "demo/hello", 10));
  const auto before = router_.Current(AppId{1});
  Ask("hello.demo.apps.example.com");
  router_.Publish(Snapshot(1, "demo/hello", 11));
  Ask("hello.demo.apps.example.com");
  EXPECT_EQ(workers_.dispatched, (std::vector{ReleaseId{10}, ReleaseId{11}}));
  EXPECT_EQ(before->live, ReleaseId{10}) << "a snapshot never changes";
  EXPECT_EQ(router_.Current(AppId{1})->live, ReleaseId{11});
}

TEST_F(RouterTest, ACanaryGetsExactlyItsShareEvenlySpread) {
  for (const std::uint32_t percent : {1U, 10U, 33U, 50U, 99U}) {
    workers_.dispatched.clear();
    RoutingSnapshot snapshot = *Snapshot(1, "demo/hello", 10);
    snapshot.canary = ReleaseId{11};
    snapshot.canary_percent = percent;
    router_.Publish(std::make_shared<const RoutingSnapshot>(std::move(snapshot)));
    for (int i = 0; i < 1000; ++i)
      Ask("hello.demo.apps.example.com");
    std::uint32_t canaries = 0;
    for (std::uint32_t i = 0; i < 1000; ++i) {
      canaries += workers_.dispatched[i] == ReleaseId{11} ? 1U : 0U;
      EXPECT_EQ(canaries, (i + 1) * percent / 100) << percent << " % after " << i + 1;
    }
  }
}

TEST_F(RouterTest, RemovedAppIsUnknown) {
  router_.Publish(Snapshot(1, "demo/hello", 10));
  router_.Remove(AppId{1});
  router_.Remove(AppId{1});
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 404);
  EXPECT_EQ(router_.Current(AppId{1}), nullptr);
}

TEST_F(RouterTest, NameThatIsTakenAgainIsTheNewApp) {
  router_.Publish(Snapshot(1, "demo/hello", 10));
  router_.Publish(Snapshot(2, "demo/hello", 20));
  router_.Remove(AppId{1});
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 200);
  EXPECT_EQ(workers_.dispatched, std::vector{ReleaseId{20}});
}

TEST_F(RouterTest, AppOfAHost) {
  router_.Publish(Snapshot(7, "demo/hello", 0));
  EXPECT_EQ(router_.AppOf("hello.demo.apps.example.com"), AppId{7}) << "with no live release too";
  EXPECT_FALSE(router_.AppOf("nobody.demo.apps.example.com").valid());
  EXPECT_FALSE(router_.AppOf("").valid());
  router_.Remove(AppId{7});
  EXPECT_FALSE(router_.AppOf("hello.demo.apps.example.com").valid());
}

TEST_F(RouterTest, HostOfAnApp) {
  EXPECT_EQ(router_.HostOf(AppName::Parse("demo/hello").value()), "hello.demo.apps.example.com");
}

TEST_F(RouterTest, RequestsOverTheQuotaAreRefusedUntilThereIsRoom) {
  router_.Publish(Limited(10));
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(Ask("hello.demo.apps.example.com"), 200);
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 503);
  EXPECT_NE(body_.find("requests_exceeded"), std::string::npos);
  EXPECT_EQ(router_.UseOf(AppId{1}).requests, 10U);
  EXPECT_EQ(router_.UseOf(AppId{1}).refused, 1U);
  EXPECT_EQ(Ask("hello.demo.apps.example.com", 0.11), 200);
  EXPECT_EQ(Ask("hello.demo.apps.example.com", 0.11), 503);
}

TEST_F(RouterTest, OneAppsRequestsTakeNoRoomOfAnother) {
  router_.Publish(Limited(1));
  router_.Publish(Snapshot(2, "demo/blog", 20));
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 200);
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 503);
  EXPECT_EQ(Ask("blog.demo.apps.example.com"), 200);
}

TEST_F(RouterTest, TheAppsLogTellsThatItIsNearAndWhatWasRefused) {
  router_.Publish(Limited(10));
  for (int i = 0; i < 7; ++i)
    ASSERT_EQ(Ask("hello.demo.apps.example.com"), 200);
  EXPECT_TRUE(logs_.events.empty());
  ASSERT_EQ(Ask("hello.demo.apps.example.com"), 200);
  ASSERT_EQ(logs_.events.size(), 1U);
  EXPECT_EQ(logs_.events[0].app, AppId{1});
  EXPECT_EQ(
      logs_.events[0].bytes,
      "This app comes near to its quota limits.requests: 80 % of 10 requests a second are used.");
  for (int i = 0; i < 100; ++i)
    (void)Ask("hello.demo.apps.example.com");
  ASSERT_EQ(logs_.events.size(), 2U);
  EXPECT_TRUE(logs_.events[1].bytes.starts_with("1 request was refused with a 503: "))
      << logs_.events[1].bytes;
  // Its own bucket is full after a minute; what was refused meanwhile is told then.
  for (int i = 0; i < 11; ++i)
    (void)Ask("hello.demo.apps.example.com", 61);
  EXPECT_TRUE(logs_.events.back().bytes.starts_with("98 requests were refused"))
      << logs_.events.back().bytes;
}

TEST_F(RouterTest, BodiesThatWereTooLargeAreCountedAndTold) {
  router_.Publish(Limited(10));
  HttpRequest head;
  head.host = "hello.demo.apps.example.com";
  for (int i = 0; i < 3; ++i)
    router_.OnBodyRefused(head);
  EXPECT_EQ(router_.UseOf(AppId{1}).bodies_refused, 3U);
  ASSERT_EQ(logs_.events.size(), 1U);
  EXPECT_TRUE(logs_.events[0].bytes.starts_with("1 request was refused with a 413: "))
      << logs_.events[0].bytes;
  head.host = "nobody.demo.apps.example.com";
  router_.OnBodyRefused(head);
}

TEST_F(RouterTest, ANewSnapshotKeepsWhatWasUsedAndTakesTheNewQuota) {
  router_.Publish(Limited(10));
  for (int i = 0; i < 10; ++i)
    ASSERT_EQ(Ask("hello.demo.apps.example.com"), 200);
  router_.Publish(Limited(10));
  EXPECT_EQ(Ask("hello.demo.apps.example.com"), 503);
  router_.Publish(Limited(1000));
  EXPECT_EQ(Ask("hello.demo.apps.example.com", 0.01), 200);
  // Another app of the same name begins anew.
  router_.Publish(Limited(1, 2));
  EXPECT_EQ(Ask("hello.demo.apps.example.com", 0.01), 200);
  EXPECT_EQ(router_.UseOf(AppId{1}).requests, 0U);
}

TEST_F(RouterTest, ARequestThatComesBackFromARetiredReleaseIsCountedOnce) {
  router_.Publish(Limited(1));
  FakeExchange exchange;
  exchange.request().host = "hello.demo.apps.example.com";
  exchange.request().received_at = At(0);
  ASSERT_EQ(Ask("hello.demo.apps.example.com"), 200);
  exchange.notes().counted = true;
  router_.Handle(exchange);
  EXPECT_EQ(exchange.status, 200);
}

TEST_F(RouterTest, TheLargestBodyIsTheApps) {
  RoutingSnapshot snapshot = *Snapshot(1, "demo/hello", 10);
  snapshot.body_max = KiB(7);
  router_.Publish(std::make_shared<const RoutingSnapshot>(snapshot));
  EXPECT_EQ(router_.BodyMaxOf("hello.demo.apps.example.com"), KiB(7));
  EXPECT_EQ(router_.BodyMaxOf("nobody.demo.apps.example.com"), kDefaultBodyMax);
}

// Gives the image of a release, with one file that holds its number, when the test says so.
class FakeSource : public StaticSource {
 public:
  void LoadStatics(ReleaseId release, StaticDone done) override {
    waiting.emplace_back(release, std::move(done));
  }
  void Give() {
    auto [release, done] = std::move(waiting.front());
    waiting.erase(waiting.begin());
    const std::string text = std::to_string(release.number);
    ImageBuilder builder;
    builder.Add("public/version", text, "");
    auto fd = std::make_shared<const UniqueFd>(std::move(builder.BuildMemfd("test")).value());
    Image image = std::move(Image::Open(fd->get(), Image::NeedSeals::kYes)).value();
    done(std::make_shared<const StaticImage>(std::move(fd), std::move(image),
                                             std::vector{Sha256Of(text)}));
  }
  std::vector<std::pair<ReleaseId, StaticDone>> waiting;
};

class RouterStaticsTest : public RouterTest {
 protected:
  RouterStaticsTest() { router_.SetStatics(&statics_); }

  // Publishes `live`, with files when `with_files`.
  enum class Files { kNone, kSome };
  void Publish(std::uint64_t live, Files files) {
    RoutingSnapshot snapshot = *Snapshot(1, "demo/hello", live);
    if (files == Files::kSome)
      snapshot.live_statics =
          std::make_shared<const StaticRoutes>(StaticRoutes{{.path = "/s/", .target = "public/"}});
    router_.Publish(std::make_shared<const RoutingSnapshot>(std::move(snapshot)));
  }
  std::string Get(const char* target) {
    FakeExchange exchange(target);
    exchange.request().host = "hello.demo.apps.example.com";
    router_.Handle(exchange);
    while (!source_.waiting.empty())
      source_.Give();
    return exchange.body;
  }

  Loop loop_;
  FakeSource source_;
  StaticFiles statics_{loop_, source_, {}};
};

TEST_F(RouterStaticsTest, AFileIsServedWithoutAWorkerAndAllElseWithOne) {
  Publish(10, Files::kSome);
  EXPECT_EQ(Get("/s/version"), "10");
  EXPECT_TRUE(workers_.dispatched.empty());
  Get("/s/none");
  Get("/");
  EXPECT_EQ(workers_.dispatched, (std::vector{ReleaseId{10}, ReleaseId{10}}));
}

TEST_F(RouterStaticsTest, TheNextSnapshotDecidesTheNextFile) {
  Publish(10, Files::kSome);
  EXPECT_EQ(Get("/s/version"), "10");
  Publish(11, Files::kSome);
  EXPECT_EQ(Get("/s/version"), "11");
  Publish(10, Files::kSome);
  EXPECT_EQ(Get("/s/version"), "10");
  Publish(12, Files::kNone);
  EXPECT_EQ(Get("/s/version"), "");
  EXPECT_EQ(workers_.dispatched, std::vector{ReleaseId{12}});
}

TEST_F(RouterStaticsTest, ASwapWhileTheImageLoadsLeavesNoStaleAnswer) {
  Publish(10, Files::kSome);
  FakeExchange waits("/s/version");
  waits.request().host = "hello.demo.apps.example.com";
  router_.Handle(waits);
  ASSERT_EQ(source_.waiting.size(), 1U);
  Publish(11, Files::kSome);
  source_.Give();
  EXPECT_EQ(waits.responses, 0) << "decided anew: the image of 11 is wanted";
  ASSERT_EQ(source_.waiting.size(), 1U);
  source_.Give();
  EXPECT_EQ(waits.body, "11");
}

TEST_F(RouterStaticsTest, AnAppThatGoesWhileItsImageLoadsIsUnknown) {
  Publish(10, Files::kSome);
  FakeExchange waits("/s/version");
  waits.request().host = "hello.demo.apps.example.com";
  router_.Handle(waits);
  router_.Remove(AppId{1});
  source_.Give();
  EXPECT_EQ(waits.status, 404);
}

TEST_F(RouterStaticsTest, EachOfLiveAndCanaryHasItsOwnFiles) {
  RoutingSnapshot snapshot = *Snapshot(1, "demo/hello", 10);
  const StaticRoutes routes{{.path = "/s/", .target = "public/"}};
  snapshot.live_statics = std::make_shared<const StaticRoutes>(routes);
  snapshot.canary = ReleaseId{11};
  snapshot.canary_version = "2";
  snapshot.canary_percent = 50;
  snapshot.canary_statics = std::make_shared<const StaticRoutes>(routes);
  router_.Publish(std::make_shared<const RoutingSnapshot>(std::move(snapshot)));
  std::set<std::string> seen;
  for (int i = 0; i < 8; ++i)
    seen.insert(Get("/s/version"));
  EXPECT_EQ(seen, (std::set<std::string>{"10", "11"}));
}

TEST_F(RouterStaticsTest, AReleaseIsServedAsIfItWereLive) {
  Publish(10, Files::kNone);
  const AppName app = AppName::Parse("demo/hello").value();
  const StaticRoutes routes{{.path = "/s/", .target = "public/"}};
  const RouteTarget target{
      .run = {.release = {12}}, .app = app, .version = "3", .statics = &routes};
  FakeExchange file("/s/version");
  router_.Serve(target, file);
  source_.Give();
  EXPECT_EQ(file.body, "12");
  FakeExchange other("/");
  router_.Serve(target, other);
  EXPECT_EQ(workers_.dispatched, std::vector{ReleaseId{12}});
}

}  // namespace
}  // namespace cloister
