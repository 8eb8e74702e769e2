#pragma once

// The node's side of persistence on a loop of the test's own, and calls as a worker makes them.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apis/persistence/service.h"
#include "daemon/loop/background.h"
#include "tests/apis/persistence/object_fixture.h"
#include "tests/support/fake_clock.h"
#include "tests/support/run_loop.h"

namespace cloister {

class CollectedAnswers : public CallAnswers {
 public:
  void Answer(CallId call, std::string reply) override {
    EXPECT_FALSE(replies.contains(call)) << "answered twice";
    replies[call] = std::move(reply);
  }
  void GiveBack(CallId /*call*/, std::uint32_t /*count*/) override {}
  void NoteQuotaRefused(AppId /*app*/, std::string_view quota) override {
    refused.emplace_back(quota);
  }
  void NoteQuotaNear(AppId /*app*/, std::string_view quota, std::string_view /*limit*/,
                     double /*used*/) override {
    near.emplace_back(quota);
  }

  std::map<CallId, std::string> replies;
  std::vector<std::string> refused;
  std::vector<std::string> near;
};

class PersistenceServiceTest : public testing::Test {
 protected:
  explicit PersistenceServiceTest(RemoteObjects* a_remote = nullptr)
      : jobs(loop, 4), remote(a_remote) {
    std::filesystem::create_directory(dir.At("apps"));
    origin.quota.persistence.writes_rate = 1000000;
    Start();
  }

  // Another one than there was before, on the same objects.
  void Start() {
    service = std::make_unique<PersistenceService>(PersistenceService::Parts{
        .clock = clock,
        .answers = answers,
        .run =
            [this](AppId app, std::function<std::function<void()>()> job) {
              ++jobs_run;
              jobs.Run(app.number, std::move(job),
                       [](const std::function<void()>& then) { then(); });
            },
        .apps_directory = dir.At("apps"),
        .remote = remote,
        .run_remote =
            [this](AppId app, std::function<std::function<void()>()> job) {
              remote_jobs.Run(app.number, std::move(job),
                              [](const std::function<void()>& then) { then(); });
            }});
  }

  template <typename Args>
  CallId Begin(const Args& args) {
    return Begin(args, origin);
  }
  template <typename Args>
  CallId Begin(const Args& args, const CallOrigin& whose) {
    std::string bytes;
    EncodeFields(args, bytes);
    EXPECT_TRUE(service->Serve(++last_call, whose, Args::kNumber, bytes).ok());
    return last_call;
  }
  const std::string& Await(CallId id) {
    EXPECT_TRUE(RunUntil(loop, [&] { return answers.replies.contains(id); }));
    return answers.replies[id];
  }
  template <typename Results>
  Results Take(CallId id) {
    const std::string& reply = Await(id);
    if (reply.empty() || reply[0] != static_cast<char>(CallStatus::kDone)) {
      ADD_FAILURE() << Outcome(id);
      return {};
    }
    return std::move(DecodeFields<Results>(std::string_view(reply).substr(1))).value();
  }
  // "done", the quota, or the code.
  std::string Outcome(CallId id) {
    WireReader in(Await(id));
    const std::uint8_t status = in.U8();
    return status == 0 ? "done" : std::string(in.Str16());
  }
  std::string Write(const std::string& bytes) { return Outcome(Begin(ObjectWrite{.data = bytes})); }
  std::string Read(const std::string& bytes, const CallOrigin& whose) {
    const Sha256 id = Sha256Of(bytes);
    return std::string(Take<ObjectReadResult>(
                           Begin(ObjectRead{.id = id.view(), .offset = 0, .count = 1 << 20}, whose))
                           .data.value_or("nothing"));
  }
  std::uint64_t BeginStream() { return Take<ObjectBeginResult>(Begin(ObjectBegin{})).stream; }
  ObjectTotals Totals(std::uint64_t app = 1) {
    std::optional<ObjectTotals> totals;
    service->Use(AppId{app}, [&](Result<ObjectUse> use) { totals = use.value().totals; });
    EXPECT_TRUE(RunUntil(loop, [&] { return totals.has_value(); }));
    return totals.value_or(ObjectTotals{});
  }
  std::vector<std::string> Files() { return ObjectFilesIn(dir.At("apps/1")); }

  TempDir dir;
  FakeClock clock;
  Loop loop;
  Background jobs;
  Background remote_jobs{loop, 2};
  RemoteObjects* remote;
  CollectedAnswers answers;
  std::unique_ptr<PersistenceService> service;
  CallOrigin origin{.app = AppId{1}, .overlay = 0, .quota = {}, .caller = 7};
  CallId last_call = 0;
  int jobs_run = 0;
};

}  // namespace cloister
