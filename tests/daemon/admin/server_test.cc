#include "daemon/admin/server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "apis/wire/event_fields.h"
#include "tests/daemon/admin/admin_fixture.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

TEST_F(AdminTest, OnlyOperatorsAreAnswered) {
  Prepare();
  for (const char* target : {"/v1/status", "/v1/tenants", "/nothing"}) {
    WholeExchange stranger("GET", target);
    stranger.request().peer_uid = 65534;
    stranger.request().peer_gid = 65534;
    admin->Handle(stranger);
    ExpectProblem(stranger, 403, "not_operator");
    WholeExchange remote("GET", target);
    remote.request().peer_uid.reset();
    admin->Handle(remote);
    ExpectProblem(remote, 403, "not_operator");
  }
}

TEST_F(AdminTest, HealthIsForEverybody) {
  Serve();
  const auto ask = [&](const char* target) {
    WholeExchange exchange("GET", target);
    exchange.request().peer_uid.reset();
    admin->Handle(exchange);
    return exchange.status();
  };
  EXPECT_EQ(ask("/healthz"), 200);
  EXPECT_EQ(ask("/readyz"), 503);
  Start();
  EXPECT_EQ(ask("/readyz"), 200);
  HealthHandler health([] { return true; });
  WholeExchange other("GET", "/v1/status");
  health.Handle(other);
  EXPECT_EQ(other.status(), 404);
  WholeExchange posted("POST", "/healthz");
  health.Handle(posted);
  EXPECT_EQ(posted.status(), 405);
}

TEST_F(AdminTest, UnknownRoutesMethodsAndParameters) {
  Prepare();
  for (const char* target : {"/", "/v1", "/v1/", "/v1/tenants/", "/v1/tenants/demo/apps/hello/x",
                             "//v1/status", "/v2/status", "/v1/status/"})
    ExpectProblem(Ask("GET", target), 404, "route_not_found");
  ExpectProblem(Ask("PUT", "/v1/tenants"), 405, "method_not_allowed");
  ExpectProblem(Ask("GET", "/v1/status?verbose=1"), 400, "query_invalid");
  ExpectProblem(Ask("GET", std::string(kApp) + "/logs?aftre=1"), 400, "query_invalid");
}

TEST_F(AdminTest, TenantsAndAppsComeAndGo) {
  Prepare();
  ExpectProblem(Ask("POST", "/v1/tenants", R"({"name": "demo"})"), 409, "tenant_exists");
  ExpectProblem(Ask("POST", "/v1/tenants", R"({"name": "Demo!"})"), 422, "name_invalid");
  ExpectProblem(Ask("POST", "/v1/tenants", "demo"), 400, "json_invalid");
  ExpectProblem(Ask("POST", "/v1/tenants", R"({"nam": "x"})"), 422, "field_unknown");
  ExpectProblem(Ask("POST", "/v1/tenants/demo/apps", R"({"name": "hello"})"), 409, "app_exists");
  ExpectProblem(Ask("GET", "/v1/tenants/none/apps"), 404, "tenant_not_found");
  ExpectProblem(Ask("GET", "/v1/tenants/none/apps/hello"), 404, "tenant_not_found");
  ExpectProblem(Ask("GET", "/v1/tenants/demo/apps/none"), 404, "app_not_found");
  ExpectProblem(Ask("GET", "/v1/tenants/demo/apps/..%2fx"), 404, "app_not_found");

  const Json tenants = Ask("GET", "/v1/tenants").json()["tenants"];
  ASSERT_EQ(tenants.size(), 1U);
  EXPECT_EQ(tenants[0]["name"], "demo");
  EXPECT_EQ(tenants[0]["apps"], 1);
  EXPECT_EQ(tenants[0]["created_at"], "1970-01-01T00:16:40.000000Z");
  Json app = Ask("GET", kApp).json()["app"];
  EXPECT_EQ(app["app"], "demo/hello");
  EXPECT_EQ(app["database"], "apps/1/query.db");
  app.erase("database");
  EXPECT_EQ(app["live"], nullptr);
  EXPECT_EQ(app["url"], "http://hello.demo.localhost:8080/");
  EXPECT_EQ(Ask("GET", "/v1/apps").json()["apps"][0], app);
  EXPECT_EQ(Ask("GET", "/v1/tenants/demo/apps").json()["apps"][0], app);

  ExpectProblem(Ask("DELETE", "/v1/tenants/demo"), 409, "tenant_not_empty");
  ExpectProblem(Ask("DELETE", "/v1/tenants/demo?force=maybe"), 400, "query_invalid");
  ExpectProblem(Ask("DELETE", std::string(kApp) + "?force=maybe"), 400, "query_invalid");
  EXPECT_EQ(Ask("DELETE", kApp).status(), 200);
  ExpectProblem(Ask("DELETE", kApp), 404, "app_not_found");
  EXPECT_EQ(Ask("DELETE", "/v1/tenants/demo").status(), 204);
  EXPECT_EQ(Ask("GET", "/v1/tenants").json()["tenants"].size(), 0U);
}

TEST_F(AdminTest, AnAppIsDeletedWithAllThatItHasOnlyByForce) {
  Prepare();
  DeployThroughApi(HelloFiles("1.0.0"));
  ASSERT_LT(
      Ask("POST", std::string(kApp) + "/config", R"({"changes": [{"name": "A", "value": "1"}]})")
          .status(),
      300);
  RunUntil(loop, [&] { return Ask("GET", kApp).json()["app"]["deploying"] == false; });
  const WholeExchange& refused = Ask("DELETE", kApp);
  ExpectProblem(refused, 409, "app_not_empty");
  EXPECT_EQ(refused.json()["has"], Json({"the live release 1.0.0", "1 key of config and secrets"}));
  EXPECT_EQ(Ask("GET", kApp).status(), 200);
  const WholeExchange& deleted = Ask("DELETE", std::string(kApp) + "?force=1");
  EXPECT_EQ(deleted.status(), 200);
  EXPECT_EQ(deleted.json()["live"], "1.0.0");
  EXPECT_EQ(deleted.json()["releases"], 1);
  EXPECT_EQ(deleted.json()["config_keys"], 1);
  ExpectProblem(Ask("GET", kApp), 404, "app_not_found");
}

TEST_F(AdminTest, ADeployFromTheFirstQuestionToTheUrl) {
  Prepare();
  const Files files = HelloFiles("1.0.0");
  Json names = Json::array();
  for (const ReleaseFile& file : ListOf(files))
    names.push_back({{"sha256", file.sha256.Hex()}, {"size", file.size}});
  const std::string question = Json{{"files", names}}.dump();
  EXPECT_EQ(Ask("POST", "/v1/tenants/demo/contents/missing", question).json()["missing"].size(),
            3U);
  const Json release = DeployThroughApi(files);
  EXPECT_EQ(Ask("POST", "/v1/tenants/demo/contents/missing", question).json()["missing"].size(),
            0U);
  EXPECT_EQ(release["state"], "live");
  EXPECT_EQ(release["version"], "1.0.0");
  EXPECT_EQ(release["report"], nullptr);
  EXPECT_EQ(release["url"], "http://hello.demo.localhost:8080/");
  ASSERT_EQ(release["steps"].size(), 6U);
  for (const Json& step : release["steps"]) {
    EXPECT_EQ(step["outcome"], "done");
    EXPECT_TRUE(step["ended_at"].is_string());
  }
  EXPECT_EQ(Ask("GET", std::string(kApp) + "/releases").json()["releases"][0], release);
  EXPECT_EQ(Ask("GET", kApp).json()["app"]["live"], "1.0.0");
  const WholeExchange& again = Ask("POST", std::string(kApp) + "/releases", ListJson(files));
  EXPECT_EQ(again.status(), 200);
  EXPECT_EQ(again.json()["release"]["id"], release["id"]);
}

TEST_F(AdminTest, ARejectionComesWithItsReport) {
  Prepare();
  BootFailure failure;
  failure.code = "import_error";
  failure.message = "not UTF-8: \xff";
  failure.traceback = "Traceback ...";
  workers->boot_failure = failure;
  const Json release = DeployThroughApi(HelloFiles("1.0.0"));
  EXPECT_EQ(release["state"], "rejected");
  EXPECT_EQ(release["report"]["code"], "import_error");
  EXPECT_EQ(release["report"]["traceback"], "Traceback ...");
  EXPECT_FALSE(release["report"]["advice"].get<std::string>().empty());
  EXPECT_EQ(release["steps"].back()["outcome"], "failed");
}

TEST_F(AdminTest, BadUploadsAndListsAreRefused) {
  Prepare();
  ExpectProblem(Ask("POST", "/v1/tenants/demo/contents", "short"), 400, "batch_malformed");
  std::string wrong = BatchOf({{"", "bytes"}});
  wrong.back() = '!';
  ExpectProblem(Ask("POST", "/v1/tenants/demo/contents", wrong), 422, "content_hash_mismatch");
  ExpectProblem(Ask("POST", "/v1/tenants/none/contents", ""), 404, "tenant_not_found");
  const std::string target = std::string(kApp) + "/releases";
  ExpectProblem(Ask("POST", target, R"({"files": []})"), 422, "bundle_refused");
  ExpectProblem(Ask("POST", target, R"({"files": [{}]})"), 422, "field_invalid");
  Files outside = HelloFiles("1.0.0");
  outside.emplace_back("../outside.py", "");
  ExpectProblem(Ask("POST", target, ListJson(outside)), 422, "bundle_refused");
  const WholeExchange& missing = Ask("POST", target, ListJson(HelloFiles("1.0.0")));
  ExpectProblem(missing, 409, "contents_missing");
  EXPECT_EQ(missing.json()["missing"].size(), 3U);
  std::string many = R"({"files": [)";
  for (int i = 0; i < 20'001; ++i)
    many += R"({"path": ")" + std::to_string(i) + R"(", "size": 0, "sha256": ")" +
            std::string(64, '0') + "\"},";
  many.back() = ']';
  ExpectProblem(Ask("POST", target, many + "}"), 422, "bundle_too_large");
  EXPECT_EQ(Ask("GET", target).json()["releases"].size(), 0U);
}

TEST_F(AdminTest, ReleasesAreFoundByTheirApp) {
  Prepare();
  const Json release = DeployThroughApi(HelloFiles("1.0.0"));
  const std::string id = std::to_string(release["id"].get<std::uint64_t>());
  ASSERT_EQ(Ask("POST", "/v1/tenants/demo/apps", R"({"name": "other"})").status(), 201);
  ExpectProblem(Ask("GET", "/v1/tenants/demo/apps/other/releases/" + id), 404, "release_not_found");
  for (const char* wrong : {"0", "abc", "-1", "99999999999999999999", "4711"})
    ExpectProblem(Ask("GET", std::string(kApp) + "/releases/" + wrong), 404, "release_not_found");
  ExpectProblem(Ask("GET", std::string(kApp) + "/releases/" + id + "?wait_ms=x"), 400,
                "query_invalid");
}

TEST_F(AdminTest, LogsAreReadFollowedAndCancelled) {
  Prepare();
  const AppId app = releases->catalog().FindApp(Hello())->row.id;
  const auto append = [&](const std::string& bytes, std::uint8_t level) {
    LogEvent event;
    event.app = app;
    event.time = clock.Wall();
    event.release = "1.0.0";
    event.worker = {0x100000002};
    event.request_id = "01ID";
    event.source = LogSource::kLogging;
    event.level = level;
    event.logger = "shop";
    event.bytes = bytes;
    logs->Append(std::move(event));
  };
  const std::string target = std::string(kApp) + "/logs";
  const WholeExchange& waiting = Begin("GET", target + "?wait_ms=60000");
  WholeExchange& leaving = Begin("GET", target + "?wait_ms=60000");
  EXPECT_EQ(admin->pending(), 2U);
  leaving.Leave();
  EXPECT_EQ(admin->pending(), 1U);
  append("gr\xc3\xbc\xc3\x9f\n", 30);
  ASSERT_TRUE(RunUntil(loop, [&] { return waiting.answered(); }));
  EXPECT_FALSE(leaving.answered());
  append(std::string("\xff\0", 2), 35);
  const Json page = Ask("GET", target + "?after=1&wait_ms=60000").json();
  EXPECT_EQ(page["next"], 2);
  EXPECT_EQ(page["lost"], 0);
  EXPECT_EQ(page["events"][0]["base64"], "/wA=");
  EXPECT_EQ(page["events"][0]["level"], "35");
  const Json first = waiting.json()["events"][0];
  EXPECT_EQ(first, (Json{{"sequence", 1},
                         {"time", "1970-01-01T00:16:40.000000Z"},
                         {"release", "1.0.0"},
                         {"worker", 0x100000002},
                         {"request_id", "01ID"},
                         {"source", "logging"},
                         {"level", "warning"},
                         {"logger", "shop"},
                         {"text", "gr\xc3\xbc\xc3\x9f\n"}}));
  EXPECT_EQ(Ask("GET", target + "?tail=1").json()["events"].size(), 1U);
  EXPECT_EQ(Ask("GET", target + "?limit=1").json()["next"], 1);
  ExpectProblem(Ask("GET", target + "?tail=1&after=1"), 400, "query_invalid");
}

TEST_F(AdminTest, LogEventsHaveTheirFields) {
  Prepare();
  LogEvent event;
  event.app = releases->catalog().FindApp(Hello())->row.id;
  event.source = LogSource::kLogging;
  event.check = true;
  event.fields = EncodeEventFields({{.name = "user", .value = std::int64_t{-3}},
                                    {.name = "ratio", .value = 0.5},
                                    {.name = "paid", .value = true},
                                    {.name = "coupon", .value = {}},
                                    {.name = "\xff", .value = "gr\xc3\xbc\xc3\x9f\xff"}});
  logs->Append(std::move(event));
  const Json shown = Ask("GET", std::string(kApp) + "/logs?wait_ms=60000").json()["events"][0];
  EXPECT_EQ(shown["check"], true);
  EXPECT_EQ(shown["fields"], (Json{{"user", -3},
                                   {"ratio", 0.5},
                                   {"paid", true},
                                   {"coupon", nullptr},
                                   {"\xef\xbf\xbd", "gr\xc3\xbc\xc3\x9f\xef\xbf\xbd"}}));
}

TEST_F(AdminTest, LogsAreFilteredByTheNode) {
  Prepare();
  for (int i = 0; i < 6; ++i) {
    LogEvent event;
    event.time = clock.Wall() - Seconds(600 - 100 * i);
    event.app = releases->catalog().FindApp(Hello())->row.id;
    event.release = i < 3 ? "1.0.0" : "1.1.0+x";
    event.request_id = i % 2 == 0 ? "EVEN" : "ODD";
    event.level = static_cast<std::uint8_t>(10 * i);
    logs->Append(std::move(event));
  }
  const auto numbers = [&](const std::string& query) {
    const Json page = Ask("GET", std::string(kApp) + "/logs?" + query).json();
    std::vector<int> found;
    for (const Json& event : page["events"])
      found.push_back(event["sequence"]);
    EXPECT_EQ(page["next"], 6) << query;
    return found;
  };
  using Numbers = std::vector<int>;
  Ask("GET", std::string(kApp) + "/logs?wait_ms=60000");
  EXPECT_EQ(numbers("level=warning"), Numbers({4, 5, 6}));
  EXPECT_EQ(numbers("level=31"), Numbers({5, 6}));
  EXPECT_EQ(numbers("release=1.1.0%2Bx"), Numbers({4, 5, 6}));
  EXPECT_EQ(numbers("request=ODD"), Numbers({2, 4, 6}));
  EXPECT_EQ(numbers("request=ODD&tail=1"), Numbers({6}));
  EXPECT_EQ(numbers("since=350s"), Numbers({4, 5, 6}));
  EXPECT_EQ(numbers("since=" + TimeText(clock.Wall() - Seconds(200))), Numbers({5, 6}));
  EXPECT_EQ(numbers("since=350s&level=error&request=EVEN"), Numbers({5}));
  EXPECT_EQ(numbers("release=none"), Numbers());
  for (const char* wrong : {"since=yesterday", "since=", "level=loud", "level=256", "levle=10"})
    ExpectProblem(Ask("GET", std::string(kApp) + "/logs?" + wrong), 400, "query_invalid");
}

TEST_F(AdminTest, WorkersAndStatus) {
  Prepare();
  for (const char* name : {"demo/hello", "demo/other"})
    workers->workers.push_back({.id = {0x100000001},
                                .pid = static_cast<std::uint32_t>(::getpid()),
                                .app = std::move(AppName::Parse(name)).value(),
                                .release = {},
                                .version = "1.0.0",
                                .state = "idle",
                                .requests = 7,
                                .request_id = {},
                                .age = Millis(1500)});
  EXPECT_EQ(Ask("GET", "/v1/ps").json()["workers"].size(), 2U);
  Json own = Ask("GET", "/v1/ps?app=demo/hello").json()["workers"];
  ASSERT_EQ(own.size(), 1U);
  EXPECT_GT(own[0]["memory_bytes"], 100'000) << "measured";
  own[0].erase("memory_bytes");
  EXPECT_EQ(own, (Json::array({{{"id", 0x100000001},
                                {"app", "demo/hello"},
                                {"version", "1.0.0"},
                                {"pid", ::getpid()},
                                {"state", "idle"},
                                {"requests", 7},
                                {"request", ""},
                                {"request_age_ms", 0},
                                {"age_ms", 1500}}})));
  ExpectProblem(Ask("GET", "/v1/ps?app=demo/none"), 404, "app_not_found");
  clock.Advance(Seconds(90));
  const Json status = Ask("GET", "/v1/status").json();
  EXPECT_EQ(status["version"], "0.1.0");
  EXPECT_EQ(status["uptime_s"], 90);
  EXPECT_EQ(status["apps"], 1);
  EXPECT_EQ(status["workers"], 2);
  EXPECT_EQ(status["ready"], true);
}

TEST_F(AdminTest, BodiesAreBoundedByTheirRoute) {
  Prepare();
  const auto most = [&](const char* method, const std::string& target) {
    const WholeExchange asked(method, target);
    HttpRequest head;
    head.method = method;
    head.target = target;
    return admin->Admit(head).body_max.count;
  };
  EXPECT_EQ(most("POST", "/v1/tenants/demo/contents"), kBatchMax.count);
  EXPECT_EQ(most("POST", std::string(kApp) + "/releases"), MiB(32).count);
  EXPECT_LE(most("POST", "/v1/tenants"), KiB(64).count);
  EXPECT_LE(most("GET", "/v1/status"), KiB(1).count);
  EXPECT_LE(most("POST", "/nothing"), KiB(1).count);
}

TEST_F(AdminTest, AnAnswerThatComesAfterTheServerIsGoneHurtsNobody) {
  Prepare();
  WholeExchange& waiting = Begin("GET", std::string(kApp) + "/logs?wait_ms=60000");
  admin.reset();
  LogEvent event;
  event.app = releases->catalog().FindApp(Hello())->row.id;
  event.bytes = "x";
  logs->Append(std::move(event));
  bool flushed = false;
  logs->Flush([&] { flushed = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return flushed; }));
  EXPECT_FALSE(waiting.answered());
}

TEST_F(AdminTest, ChangesSayWhoMadeThem) {
  Prepare();
  std::string who;
  state->Read(
      0,
      [](Database& db) -> Result<std::string> {
        Statement row = TRY(db.Prepare("SELECT who FROM audit ORDER BY id DESC LIMIT 1"));
        TRY(row.Step());
        return std::string(row.Text(0));
      },
      [&](const Result<std::string>& found) { who = found.value(); });
  ASSERT_TRUE(RunUntil(loop, [&] { return !who.empty(); }));
  EXPECT_EQ(who, "uid 0");
}

}  // namespace
}  // namespace cloister
