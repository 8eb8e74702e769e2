#pragma once

// A CacheService on a loop of the test's own, with a real redis-server or none, and a place for
// generations that can fail and be slow.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apis/cache/service.h"
#include "daemon/loop/loop.h"
#include "tests/support/fake_clock.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_loop.h"

namespace cloister {

class FakeGenerations : public CacheGenerations {
 public:
  explicit FakeGenerations(Loop& loop) : loop_(loop) {}

  void Load(AppId app, std::function<void(Result<CacheGeneration>)> done) override {
    loop_.Post([this, app, done = std::move(done)] {
      if (fails)
        return done(Error{ErrorCode::kUnavailable, "no state"});
      done(CacheGeneration{.space = "test",
                           .number = std::max<std::uint64_t>(stored[app.number], 1)});
    });
  }
  void Store(AppId app, std::uint64_t number, std::function<void(Result<void>)> done) override {
    ++stores;
    auto task = [this, app, number, done = std::move(done)] {
      if (fails)
        return done(Error{ErrorCode::kUnavailable, "no state"});
      stored[app.number] = std::max(stored[app.number], number);
      done({});
    };
    if (slow)
      waiting.emplace_back(std::move(task));
    else
      loop_.Post(std::move(task));
  }

  std::map<std::uint64_t, std::uint64_t> stored;
  std::vector<std::function<void()>> waiting;
  int stores = 0;
  bool fails = false;
  bool slow = false;

 private:
  Loop& loop_;
};

class FakeAnswers : public CallAnswers {
 public:
  void Answer(CallId call, std::string reply) override {
    EXPECT_FALSE(replies.contains(call)) << "answered twice";
    replies[call] = std::move(reply);
  }
  void GiveBack(CallId call, std::uint32_t count) override {
    EXPECT_FALSE(replies.contains(call)) << "given back too late";
    given_back += count;
  }
  void NoteQuotaRefused(AppId /*app*/, std::string_view quota) override {
    refused.emplace_back(quota);
  }
  void NoteQuotaNear(AppId /*app*/, std::string_view /*quota*/, std::string_view /*limit*/,
                     double /*used*/) override {}

  std::map<CallId, std::string> replies;
  std::vector<std::string> refused;
  std::uint32_t given_back = 0;
};

// One app's view of the service: calls that wait for their answer.
class CacheNode {
 public:
  explicit CacheNode(const std::string& socket, Millis command_timeout = Millis(2000))
      : generations(loop), service(MakeParts(), Options(socket, command_timeout)) {}

  Bytes quota{64 << 20};

  CallOrigin Origin(std::uint64_t app = 1, OverlayId overlay = 0) const {
    CallOrigin origin{.app = AppId{app}, .overlay = overlay, .quota = {}};
    origin.quota.cache.bytes_max = quota;
    return origin;
  }

  template <typename Args>
  CallId Begin(const CallOrigin& origin, const Args& args) {
    std::string bytes;
    EncodeFields(args, bytes);
    const CallId id = ++last_call;
    const Result<void> served = service.Serve(id, origin, Args::kNumber, bytes);
    EXPECT_TRUE(served.ok());
    return id;
  }
  bool Await(CallId id) {
    return RunUntil(loop, [&] { return answers.replies.contains(id); });
  }
  // The answer of a call; the default one when it was refused.
  template <typename Results>
  Results Take(CallId id) {
    EXPECT_TRUE(Await(id));
    kept.push_back(answers.replies[id]);
    const std::string_view reply = kept.back();
    if (reply.empty() || reply[0] != static_cast<char>(CallStatus::kDone))
      return {};
    Result<Results> decoded = DecodeFields<Results>(reply.substr(1));
    EXPECT_TRUE(decoded.ok());
    return std::move(decoded).value();
  }
  CallStatus StatusOf(CallId id) {
    EXPECT_TRUE(Await(id));
    return CallStatus{static_cast<std::uint8_t>(answers.replies[id].at(0))};
  }

  std::optional<std::string> Get(std::string_view key, const CallOrigin& origin) {
    const auto result = Take<CacheGetResult>(Begin(origin, CacheGet{.key = key}));
    return result.value ? std::optional<std::string>(*result.value) : std::nullopt;
  }
  std::optional<std::string> Get(std::string_view key) { return Get(key, Origin()); }
  bool Set(std::string_view key, std::string_view value, const CallOrigin& origin,
           std::uint64_t ttl_ms = 0, CacheSetMode mode = CacheSetMode::kSet) {
    return Take<CacheSetResult>(Begin(origin, CacheSet{.mode = static_cast<std::uint8_t>(mode),
                                                       .key = key,
                                                       .value = value,
                                                       .ttl_ms = ttl_ms}))
               .stored == 1;
  }
  bool Set(std::string_view key, std::string_view value) { return Set(key, value, Origin()); }
  bool Add(std::string_view key, std::string_view value) {
    return Set(key, value, Origin(), 0, CacheSetMode::kAdd);
  }
  bool Replace(std::string_view key, std::string_view value) {
    return Set(key, value, Origin(), 0, CacheSetMode::kReplace);
  }
  bool Delete(std::string_view key, const CallOrigin& origin) {
    return Take<CacheDeleteResult>(Begin(origin, CacheDelete{.key = key})).deleted == 1;
  }
  bool Delete(std::string_view key) { return Delete(key, Origin()); }
  std::optional<std::int64_t> Incr(std::string_view key, std::int64_t delta,
                                   std::optional<std::int64_t> initial, const CallOrigin& origin) {
    return Take<CacheIncrResult>(
               Begin(origin, CacheIncr{.key = key, .delta = delta, .initial = initial}))
        .value;
  }
  std::optional<std::int64_t> Incr(std::string_view key, std::int64_t delta,
                                   std::optional<std::int64_t> initial = {}) {
    return Incr(key, delta, initial, Origin());
  }
  std::string Token(std::string_view key) {
    return std::string(Take<CacheGetsResult>(Begin(Origin(), CacheGets{.key = key})).token);
  }
  CacheCasOutcome Cas(std::string_view key, std::string_view value, std::string_view token,
                      const CallOrigin& origin) {
    return CacheCasOutcome{
        Take<CacheCasResult>(Begin(origin, CacheCas{.key = key, .value = value, .token = token}))
            .outcome};
  }
  CacheCasOutcome Cas(std::string_view key, std::string_view value, std::string_view token) {
    return Cas(key, value, token, Origin());
  }
  bool Touch(std::string_view key, std::uint64_t ttl_ms) {
    return Take<CacheTouchResult>(Begin(Origin(), CacheTouch{.key = key, .ttl_ms = ttl_ms}))
               .touched == 1;
  }
  bool Clear(const CallOrigin& origin) {
    return Take<CacheClearResult>(Begin(origin, CacheClear{})).cleared == 1;
  }
  bool IsUp() {
    return RunUntil(loop, [&] { return service.redis().connected(); });
  }
  bool IsDown() {
    return RunUntil(loop, [&] { return !service.redis().connected(); });
  }

  Loop loop;
  FakeClock clock;
  FakeAnswers answers;
  FakeGenerations generations;
  CallId last_call = 0;
  // What the service wants to do later, and when.
  std::function<void()> later;
  std::vector<Millis> delays;
  std::vector<std::string> kept;  // what results are views into
  CacheService service;

 private:
  CacheService::Parts MakeParts() {
    return {.loop = loop.uv(),
            .clock = clock,
            .answers = answers,
            .generations = generations,
            .later = [this](Millis delay, std::function<void()> task) {
              delays.push_back(delay);
              later = std::move(task);
            }};
  }
  RedisOptions Options(const std::string& socket, Millis command_timeout) {
    RedisOptions options;
    options.address.path = socket;
    options.command_timeout = command_timeout;
    options.connect_timeout = command_timeout;
    options.retry_max = Millis(50);
    options.at_turn_end = [this](std::function<void()> task) { loop.AtTurnEnd(std::move(task)); };
    return options;
  }
};

}  // namespace cloister
