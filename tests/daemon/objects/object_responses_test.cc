#include "daemon/objects/object_responses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/loop/background.h"
#include "tests/apis/persistence/object_fixture.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/run_loop.h"

namespace cloister {
namespace {

class CollectedLog : public LogSink {
 public:
  void Append(LogEvent event) override { events.push_back(std::move(event)); }

  std::vector<LogEvent> events;
};

class NoCalls : public CallAnswers {
 public:
  void Answer(CallId /*call*/, std::string /*reply*/) override {}
  void GiveBack(CallId /*call*/, std::uint32_t /*count*/) override {}
  void NoteQuotaRefused(AppId /*app*/, std::string_view /*quota*/) override {}
  void NoteQuotaNear(AppId /*app*/, std::string_view /*quota*/, std::string_view /*limit*/,
                     double /*used*/) override {}
};

// A client that takes so many bytes until it is asked to take more.
class SlowExchange : public FakeExchange {
 public:
  bool WriteNow(std::string_view& rest) override {
    const std::size_t taken = std::min(room, rest.size());
    Write(rest.substr(0, taken));
    rest.remove_prefix(taken);
    room -= taken;
    return rest.empty();
  }

  std::size_t room = 0;
};

class ObjectResponsesTest : public testing::Test {
 protected:
  ObjectResponsesTest() : jobs(loop, 2) {
    std::filesystem::create_directory(dir.At("apps"));
    objects = std::make_unique<PersistenceService>(PersistenceService::Parts{
        .clock = clock,
        .answers = calls,
        .run =
            [this](AppId app, std::function<std::function<void()>()> job) {
              jobs.Run(app.number, std::move(job),
                       [](const std::function<void()>& then) { then(); });
            },
        .apps_directory = dir.At("apps")});
    responses = std::make_unique<ObjectResponses>(
        ObjectResponses::Parts{.clock = clock, .objects = *objects, .logs = log}, options);
  }

  // Keeps an object of app 1.
  Sha256 Keep(const std::string& bytes) {
    bool kept = false;
    objects->Keep(AppId{1}, {.fill = [&](ObjectWriter& writer) { return writer.Append(bytes); }},
                  [&](const Result<ObjectKept>& done) { kept = done.ok(); });
    EXPECT_TRUE(RunUntil(loop, [&] { return kept; }));
    return Sha256Of(bytes);
  }
  static ObjectAnswer AnswerWith(const Sha256& id, int status = 200) {
    return {.id = id, .status = status, .reason = {}, .headers = {{"Content-Type", "image/png"}}};
  }
  void Respond(FakeExchange& exchange, ObjectAnswer answer, std::uint64_t app = 1) {
    responses->Respond(exchange,
                       {.app = AppId{app}, .app_name = "demo/app", .version = "1", .overlay = 0},
                       std::move(answer));
  }
  void AwaitDone(const FakeExchange& exchange) {
    EXPECT_TRUE(RunUntil(loop, [&] { return exchange.done(); }));
  }
  // One whose request has those headers, answered with the object.
  std::unique_ptr<FakeExchange> Ask(const Sha256& id, std::vector<HttpHeader> headers,
                                    std::string_view method = "GET", int status = 200) {
    auto exchange = std::make_unique<FakeExchange>();
    exchange->request().method = method;
    exchange->request().headers = std::move(headers);
    Respond(*exchange, AnswerWith(id, status));
    AwaitDone(*exchange);
    return exchange;
  }
  std::string TagOf(const Sha256& id) const { return "\"" + id.Hex() + "\""; }

  TempDir dir;
  FakeClock clock;
  Loop loop;
  Background jobs;
  NoCalls calls;
  CollectedLog log;
  ObjectResponses::Options options;
  std::unique_ptr<PersistenceService> objects;
  std::unique_ptr<ObjectResponses> responses;
};

TEST_F(ObjectResponsesTest, SendsObjectsOfEachSize) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{200000},
                                 std::size_t{1} << 20, (std::size_t{3} << 20) + 7}) {
    const std::string bytes = Pattern(size);
    const auto exchange = Ask(Keep(bytes), {});
    EXPECT_EQ(exchange->status, 200);
    EXPECT_EQ(exchange->length, size);
    EXPECT_TRUE(exchange->body == bytes) << size;
    EXPECT_EQ(exchange->ResponseHeader("Content-Type"), "image/png");
    EXPECT_EQ(exchange->ResponseHeader("ETag"), TagOf(Sha256Of(bytes)));
    EXPECT_EQ(exchange->ResponseHeader("Accept-Ranges"), "bytes");
  }
}

TEST_F(ObjectResponsesTest, SendsRanges) {
  const std::string bytes = Pattern((std::size_t{2} << 20) + 1000);
  const Sha256 id = Keep(bytes);
  const auto part = Ask(id, {{.name = "range", .value = "bytes=1048570-1048590"}});
  EXPECT_EQ(part->status, 206);
  EXPECT_EQ(part->body, bytes.substr(1048570, 21));
  EXPECT_EQ(part->ResponseHeader("Content-Range"),
            "bytes 1048570-1048590/" + std::to_string(bytes.size()));
  EXPECT_EQ(Ask(id, {{.name = "range", .value = "bytes=-5"}})->body,
            bytes.substr(bytes.size() - 5));
  const auto beyond = Ask(id, {{.name = "range", .value = "bytes=9999999-"}});
  EXPECT_EQ(beyond->status, 416);
  EXPECT_EQ(beyond->ResponseHeader("Content-Range"), "bytes */" + std::to_string(bytes.size()));
  const auto stale = Ask(
      id, {{.name = "range", .value = "bytes=0-4"}, {.name = "if-range", .value = "\"another\""}});
  EXPECT_EQ(stale->status, 200);
  EXPECT_EQ(stale->body.size(), bytes.size());
}

TEST_F(ObjectResponsesTest, AnswersConditionsByTheId) {
  const Sha256 id = Keep("bytes");
  const std::string tag = TagOf(id);
  const auto same = Ask(id, {{.name = "if-none-match", .value = tag}});
  EXPECT_EQ(same->status, 304);
  EXPECT_EQ(same->body, "");
  EXPECT_EQ(same->ResponseHeader("ETag"), tag);
  EXPECT_EQ(same->ResponseHeader("Content-Type"), "");
  EXPECT_EQ(Ask(id, {{.name = "if-none-match", .value = "\"other\""}})->status, 200);
  EXPECT_EQ(Ask(id, {{.name = "if-match", .value = "\"other\""}})->status, 412);
}

TEST_F(ObjectResponsesTest, OfHeadOnlyTheHeadIsSent) {
  const auto exchange = Ask(Keep("bytes"), {}, "HEAD");
  EXPECT_EQ(exchange->status, 200);
  EXPECT_EQ(exchange->length, 5U);
  EXPECT_EQ(exchange->body, "");
}

TEST_F(ObjectResponsesTest, OfAnotherStatusOrMethodItIsTheWholeObject) {
  const Sha256 id = Keep("bytes");
  const std::vector<HttpHeader> headers = {{.name = "range", .value = "bytes=0-1"},
                                           {.name = "if-none-match", .value = "*"}};
  const auto not_found = Ask(id, headers, "GET", 404);
  EXPECT_EQ(not_found->status, 404);
  EXPECT_EQ(not_found->body, "bytes");
  EXPECT_EQ(not_found->ResponseHeader("ETag"), "");
  const auto posted = Ask(id, headers, "POST");
  EXPECT_EQ(posted->status, 200);
  EXPECT_EQ(posted->body, "bytes");
}

TEST_F(ObjectResponsesTest, WhatIsNotThereIsA404AndALine) {
  Keep("another");
  const auto exchange = Ask(Sha256Of("never kept"), {});
  EXPECT_EQ(exchange->status, 404);
  EXPECT_EQ(exchange->notes().problem, "object_not_found");
  ASSERT_EQ(log.events.size(), 1U);
  EXPECT_NE(log.events[0].bytes.find(Sha256Of("never kept").Hex()), std::string::npos);
  EXPECT_EQ(log.events[0].request_id, exchange->request().request_id);
}

TEST_F(ObjectResponsesTest, AnotherAppsObjectIsNotThere) {
  const Sha256 id = Keep("of app 1");
  FakeExchange exchange;
  Respond(exchange, AnswerWith(id), 2);
  AwaitDone(exchange);
  EXPECT_EQ(exchange.status, 404);
}

TEST_F(ObjectResponsesTest, ADamagedObjectIsNeverSent) {
  const std::string bytes = Pattern(std::size_t{2} << 20);
  const Sha256 id = Keep(bytes);
  {
    std::fstream file(ObjectPath(dir.At("apps/1"), id),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((1 << 20) + 5);
    file.put('#');
  }
  // The first part is sound and goes; then the connection is cut.
  const auto exchange = Ask(id, {});
  EXPECT_TRUE(exchange->aborted);
  EXPECT_LE(exchange->body.size(), std::size_t{1} << 20);
  const auto part = Ask(id, {{.name = "range", .value = "bytes=1048576-"}});
  EXPECT_TRUE(part->aborted);
  EXPECT_EQ(part->body, "");
  EXPECT_EQ(log.events.size(), 2U);
}

TEST_F(ObjectResponsesTest, ASlowClientHoldsTwoPiecesAtMost) {
  const std::string bytes = Pattern(std::size_t{8} << 20);
  const Sha256 id = Keep(bytes);
  SlowExchange exchange;
  exchange.room = 1000;
  Respond(exchange, AnswerWith(id));
  EXPECT_TRUE(RunUntil(loop, [&] { return exchange.body.size() == 1000; }));
  while (!exchange.done()) {
    exchange.room = 300000;
    exchange.BecomeWritable();
    RunUntil(loop, [&] { return exchange.done() || exchange.room == 0; });
  }
  EXPECT_TRUE(exchange.body == bytes);
}

TEST_F(ObjectResponsesTest, BeyondTheBudgetPiecesAreSmall) {
  const std::string bytes = Pattern(std::size_t{4} << 20);
  const Sha256 id = Keep(bytes);
  // These hold all that the app may have.
  std::vector<std::unique_ptr<SlowExchange>> holding;
  for (int i = 0; i < 8; ++i) {
    holding.push_back(std::make_unique<SlowExchange>());
    holding.back()->room = 1;
    Respond(*holding.back(), AnswerWith(id));
  }
  EXPECT_TRUE(RunUntil(loop, [&] {
    return std::ranges::all_of(holding, [](const auto& each) { return each->room == 0; });
  }));
  FakeExchange late;
  Respond(late, AnswerWith(id));
  AwaitDone(late);
  EXPECT_TRUE(late.body == bytes);
  // Clients that go give back what they held.
  holding.clear();
  FakeExchange after;
  Respond(after, AnswerWith(id));
  AwaitDone(after);
  EXPECT_TRUE(after.body == bytes);
}

TEST_F(ObjectResponsesTest, AnObjectThatIsDeletedOnItsWayIsCutOff) {
  const std::string bytes = Pattern(std::size_t{8} << 20);
  const Sha256 id = Keep(bytes);
  SlowExchange exchange;
  exchange.room = 10;
  Respond(exchange, AnswerWith(id));
  EXPECT_TRUE(RunUntil(loop, [&] { return exchange.room == 0; }));
  bool deleted = false;
  objects->Do(
      AppId{1}, PersistenceService::Access::kChange,
      [id](Objects& all) -> Result<std::string> {
        TRY(all.Delete(id));
        return std::string();
      },
      [&](const Result<std::string>& done) { deleted = done.ok(); });
  EXPECT_TRUE(RunUntil(loop, [&] { return deleted; }));
  exchange.room = bytes.size();
  exchange.BecomeWritable();
  AwaitDone(exchange);
  EXPECT_TRUE(exchange.aborted);
}

TEST_F(ObjectResponsesTest, AClientThatGoesEndsItsTransfer) {
  const Sha256 id = Keep(Pattern(std::size_t{4} << 20));
  SlowExchange exchange;
  Respond(exchange, AnswerWith(id));
  exchange.GoAway();
  // What is read for it meets nobody.
  EXPECT_EQ(Ask(id, {})->status, 200);
}

std::vector<HttpHeader> Named(std::string_view value) {
  return {{.name = "Content-Length", .value = "0"},
          {.name = "cloister-object", .value = value},
          {.name = "X-Other", .value = "kept"}};
}

TEST(ObjectAnswerTest, TakesOutWhatTheNodeSaysItself) {
  const std::string id = Sha256Of("x").Hex();
  const auto answer = ObjectAnswer::Of(200, "OK", Named(id));
  ASSERT_TRUE(answer.ok() && answer.value().has_value());
  EXPECT_EQ(answer.value()->id, Sha256Of("x"));
  ASSERT_EQ(answer.value()->headers.size(), 1U);
  EXPECT_EQ(answer.value()->headers[0].first, "X-Other");
}

TEST(ObjectAnswerTest, WithoutTheHeaderThereIsNone) {
  const std::vector<HttpHeader> headers = {{.name = "X-Other", .value = "kept"}};
  const auto answer = ObjectAnswer::Of(200, "OK", headers);
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer.value().has_value());
}

TEST(ObjectAnswerTest, RefusesWhatCannotBeSent) {
  EXPECT_FALSE(ObjectAnswer::Of(200, "OK", Named("")).ok());
  EXPECT_FALSE(ObjectAnswer::Of(200, "OK", Named("../../etc/passwd")).ok());
  for (const int status : {204, 205, 206, 304})
    EXPECT_FALSE(ObjectAnswer::Of(status, "", Named(Sha256Of("x").Hex())).ok()) << status;
}

}  // namespace
}  // namespace cloister
