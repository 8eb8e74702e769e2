#include "daemon/releases/owners.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

class OwnersTest : public NodeTest {
 protected:
  Outcome<Done> DeleteApp(const AppName& name) {
    return Wait<Done>(
        [&](const auto& done) { releases->owners().DeleteApp(name, "tester", done); });
  }
  Outcome<Done> DeleteTenant(const std::string& name, DeleteMode mode) {
    return Wait<Done>(
        [&](const auto& done) { releases->owners().DeleteTenant(name, mode, "tester", done); });
  }
  void WriteLog(AppId app) {
    LogEvent event;
    event.app = app;
    event.bytes = "x";
    logs->Append(std::move(event));
    bool flushed = false;
    logs->Flush([&] { flushed = true; });
    ASSERT_TRUE(RunUntil(loop, [&] { return flushed; }));
  }
  AppId HelloId() { return releases->catalog().FindApp(Hello())->row.id; }
};

TEST_F(OwnersTest, NothingIsTakenBeforeTheStart) {
  EXPECT_EQ(CreateTenant("demo").error().code, ProblemCode::kUnavailable);
}

TEST_F(OwnersTest, NamesAreChecked) {
  StartWithApp();
  EXPECT_EQ(CreateTenant("Demo").error().code, ProblemCode::kNameInvalid);
  EXPECT_EQ(CreateTenant("").error().code, ProblemCode::kNameInvalid);
  EXPECT_EQ(CreateTenant("demo").error().code, ProblemCode::kTenantExists);
  EXPECT_EQ(CreateApp("demo", "-x").error().code, ProblemCode::kNameInvalid);
  EXPECT_EQ(CreateApp("demo", "hello").error().code, ProblemCode::kAppExists);
  EXPECT_EQ(CreateApp("nobody", "hello").error().code, ProblemCode::kTenantNotFound);
}

TEST_F(OwnersTest, ANewAppIsRoutedWithoutARelease) {
  StartWithApp();
  const auto snapshot = router->Current(HelloId());
  ASSERT_NE(snapshot, nullptr);
  EXPECT_FALSE(snapshot->live.valid());
  Crash();
  Start();
  EXPECT_NE(router->Current(HelloId()), nullptr);
}

TEST_F(OwnersTest, ADeletedAppIsGoneEverywhereAndItsNameIsFree) {
  StartWithApp();
  const ReleaseId live = Deploy(HelloFiles("1.0.0")).value().release.id;
  const AppId id = HelloId();
  WriteLog(id);
  ASSERT_TRUE(std::filesystem::exists(state->AppDirectory(id.number)));
  ASSERT_TRUE(DeleteApp(Hello()).ok());
  EXPECT_EQ(releases->catalog().FindApp(Hello()), nullptr);
  EXPECT_EQ(router->Current(id), nullptr);
  EXPECT_EQ(workers->retired.back(), live.number);
  EXPECT_TRUE(workers->pools.empty());
  EXPECT_TRUE(
      RunUntil(loop, [&] { return !std::filesystem::exists(state->AppDirectory(id.number)); }));
  ASSERT_TRUE(CreateApp("demo", "hello").ok());
  EXPECT_GT(HelloId(), id);
  EXPECT_EQ(Deploy(HelloFiles("1.0.0")).value().release.attempt, 1U);
  EXPECT_EQ(DeleteApp(std::move(AppName::Parse("demo/none")).value()).error().code,
            ProblemCode::kAppNotFound);
}

TEST_F(OwnersTest, WhatRunsIsFinishedBeforeTheFilesGo) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  const AppId id = HelloId();
  WriteLog(id);
  workers->hold_draining = true;
  ASSERT_TRUE(DeleteApp(Hello()).ok());
  EXPECT_TRUE(std::filesystem::exists(state->AppDirectory(id.number)));
  workers->EndDraining();
  EXPECT_TRUE(
      RunUntil(loop, [&] { return !std::filesystem::exists(state->AppDirectory(id.number)); }));
}

TEST_F(OwnersTest, FilesThatACrashLeftGoAtTheStart) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  const AppId id = HelloId();
  WriteLog(id);
  std::filesystem::create_directories(dir.At("apps/77/log"));
  std::filesystem::create_directories(dir.At("apps/notes"));
  Crash();
  Start();
  EXPECT_TRUE(RunUntil(loop, [&] { return !std::filesystem::exists(dir.At("apps/77")); }));
  EXPECT_TRUE(std::filesystem::exists(dir.At("apps/notes"))) << "not ours";
  EXPECT_TRUE(std::filesystem::exists(state->AppDirectory(id.number)));
}

// Keeps something of an app elsewhere, which it knows by the app's directory.
class SlowService : public ApiService {
 public:
  Result<void> Serve(CallId /*id*/, const CallOrigin& /*origin*/, CallNumber /*number*/,
                     std::string_view /*args*/) override {
    return {};
  }
  void OnAppDeleted(AppId app) override { deleted.push_back(app); }
  void WhenClosed(AppId /*app*/, std::function<void()> done) override { closed = std::move(done); }

  std::vector<AppId> deleted;
  std::function<void()> closed;
};

TEST_F(OwnersTest, WhatServicesKeepOfSuchAnAppGoesBeforeItsFiles) {
  SlowService service;
  std::filesystem::create_directories(dir.At("apps/77/objects"));
  calls->SetService(Api::kPersistence, service);
  Start();
  ASSERT_TRUE(RunUntil(loop, [&] { return service.closed != nullptr; }));
  EXPECT_EQ(std::vector{AppId{77}}, service.deleted);
  EXPECT_TRUE(std::filesystem::exists(dir.At("apps/77")));
  std::exchange(service.closed, nullptr)();
  EXPECT_TRUE(RunUntil(loop, [&] { return !std::filesystem::exists(dir.At("apps/77")); }));
}

TEST_F(OwnersTest, AnAppThatIsBeingDeployedStays) {
  StartWithApp();
  workers->hold_boots = true;
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.0.0"))).ok());
  ASSERT_TRUE(Send(HelloFiles("1.0.0")).ok());
  EXPECT_EQ(DeleteApp(Hello()).error().code, ProblemCode::kDeployInProgress);
  EXPECT_EQ(DeleteTenant("demo", DeleteMode::kWithApps).error().code,
            ProblemCode::kDeployInProgress);
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  workers->EndBoots();
  ASSERT_TRUE(RunUntil(loop, [&] { return Routed() == "1.0.0"; }));
}

TEST_F(OwnersTest, ATenantWithAppsGoesOnlyWithThem) {
  StartWithApp();
  ASSERT_TRUE(CreateApp("demo", "second").ok());
  ASSERT_TRUE(CreateTenant("demos").ok());
  ASSERT_TRUE(CreateApp("demos", "hello").ok());
  const ReleaseId live = Deploy(HelloFiles("1.0.0")).value().release.id;
  EXPECT_EQ(DeleteTenant("demo", DeleteMode::kEmptyOnly).error().code,
            ProblemCode::kTenantNotEmpty);
  EXPECT_EQ(Routed(), "1.0.0");
  ASSERT_TRUE(DeleteTenant("demo", DeleteMode::kWithApps).ok());
  EXPECT_EQ(workers->retired.back(), live.number);
  EXPECT_TRUE(workers->pools.empty());
  EXPECT_EQ(releases->catalog().FindTenant("demo"), nullptr);
  EXPECT_TRUE(releases->catalog().AppsOf("demo").empty());
  EXPECT_EQ(releases->catalog().AppsOf("demos").size(), 1U);
  EXPECT_EQ(DeleteTenant("demo", DeleteMode::kWithApps).error().code, ProblemCode::kTenantNotFound);
  Crash();
  Start();
  EXPECT_EQ(releases->catalog().apps().size(), 1U);
}

}  // namespace
}  // namespace cloister
