// Changes of an app's config, from the request to what serves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apis/wire/config_values.h"
#include "daemon/store/config_rows.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ConfigTest : public NodeTest {
 protected:
  struct KeyValue {
    std::string name;
    std::optional<std::string> value;
  };

  Outcome<ConfigAnswer> Ask(std::shared_ptr<const ConfigRequest> request) {
    return Wait<ConfigAnswer>([&](const auto& done) {
      releases->pipeline().ChangeConfig(Hello(), request, "tester", done);
    });
  }
  Outcome<ConfigAnswer> Change(const std::vector<KeyValue>& changes,
                               ConfigKind kind = ConfigKind::kPlain) {
    auto request = std::make_shared<ConfigRequest>();
    request->kind = kind;
    for (const KeyValue& change : changes) {
      ConfigKeyChange& one = request->changes.emplace_back();
      one.name = change.name;
      one.unset = !change.value;
      one.value = SecretText(change.value.value_or(""));
    }
    return Ask(std::move(request));
  }
  // To the end of its walk.
  Outcome<ConfigAnswer> Changed(const std::vector<KeyValue>& changes,
                                ConfigKind kind = ConfigKind::kPlain) {
    Outcome<ConfigAnswer> answer = Change(changes, kind);
    Settle();
    return answer;
  }
  Outcome<ConfigAnswer> BackTo(std::uint64_t version) {
    auto request = std::make_shared<ConfigRequest>();
    request->back_to = version;
    Outcome<ConfigAnswer> answer = Ask(std::move(request));
    Settle();
    return answer;
  }
  void Settle() {
    EXPECT_TRUE(RunUntil(loop, [&] {
      return releases->catalog().FindApp(Hello())->activity == AppActivity::kNone;
    }));
  }
  std::uint64_t InForce() { return releases->catalog().FindApp(Hello())->config; }
  std::uint64_t RoutedConfig() {
    return router->Current(releases->catalog().FindApp(Hello())->row.id)->config;
  }
  template <typename T, typename Job>
  T Read(Job job) {
    T result{};
    bool is_read = false;
    state->Read(0, std::move(job), [&](Result<T> read) {
      is_read = read.ok();
      if (read.ok())
        result = std::move(read).value();
    });
    EXPECT_TRUE(RunUntil(loop, [&] { return is_read; }));
    return result;
  }
  ConfigVersionRow VersionOf(std::uint64_t number) {
    const AppId app = releases->catalog().FindApp(Hello())->row.id;
    return Read<std::optional<ConfigVersionRow>>(
               [app, number](Database& db) { return FindConfigVersion(db, app, number); })
        .value_or(ConfigVersionRow());
  }
  // "NAME=value", secrets in plain, as the last boot got them.
  std::vector<std::string> LastBooted() const {
    std::vector<std::string> values;
    if (workers->specs.back().values == nullptr)
      return values;
    const auto read = ReadConfig(workers->specs.back().values->payload.text()).value();
    for (const ConfigValue& value : read)
      values.push_back(std::string(value.name) + "=" + std::string(value.value));
    return values;
  }
  static Files WithConfig(const std::string& version, const std::string& section) {
    Files files = HelloFiles(version);
    files[0].second += "[config]\n" + section + "\n";
    return files;
  }
};

TEST_F(ConfigTest, WithoutALiveReleaseItIsInForceAtOnce) {
  StartWithApp();
  const Outcome<ConfigAnswer> answer = Change({{"A", "1"}});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.value().number, 1U);
  EXPECT_FALSE(answer.value().walk);
  EXPECT_EQ(InForce(), 1U);
  EXPECT_EQ(VersionOf(1).state, ConfigState::kInForce);
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  EXPECT_THAT(LastBooted(), ElementsAre("A=1"));
  EXPECT_EQ(RoutedConfig(), 1U);
}

TEST_F(ConfigTest, AChangeBootsChecksAndSwapsTheLiveRelease) {
  StartWithApp();
  const ReleaseId live = Deploy(HelloFiles("1.0.0")).value().release.id;
  workers->specs.clear();
  const Outcome<ConfigAnswer> answer = Change({{"A", "1"}});
  ASSERT_TRUE(answer.ok() && answer.value().walk);
  EXPECT_TRUE(answer.value().walk.value_or(ReleaseView()).under_way);
  EXPECT_EQ(InForce(), 0U);
  Settle();
  EXPECT_EQ(InForce(), 1U);
  EXPECT_EQ(RoutedConfig(), 1U);
  ASSERT_EQ(workers->specs.size(), 2U);
  EXPECT_EQ(workers->specs[0].writes, Writes::kOverlay);
  EXPECT_EQ(workers->specs[1].writes, Writes::kKept);
  EXPECT_EQ(workers->specs[1].run(), (RunId{.release = live, .config = 1}));
  // The trial's worker, then those that served.
  ASSERT_GE(workers->retired_runs.size(), 2U);
  EXPECT_EQ(workers->retired_runs.back(), (RunId{.release = live, .config = 0}));
  const ReleaseView view = View(live).value();
  EXPECT_EQ(view.release.state, ReleaseState::kLive);
  EXPECT_FALSE(view.under_way);
  ASSERT_GE(view.steps.size(), 3U);
  EXPECT_EQ(view.steps.back().name, "config live");
  EXPECT_EQ(view.steps.back().outcome, StepOutcome::kDone);
}

TEST_F(ConfigTest, EachTrialHasAnOverlayOfItsOwn) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  std::vector<OverlayId> overlays;
  for (int i = 0; i < 2; ++i) {
    workers->specs.clear();
    workers->boot_failure = FailureOf("app_raised", "no");
    ASSERT_TRUE(Changed({{"A", "1"}}).ok());
    ASSERT_EQ(workers->specs.size(), 1U);
    EXPECT_EQ(workers->specs[0].writes, Writes::kOverlay);
    overlays.push_back(workers->specs[0].overlay);
  }
  EXPECT_NE(overlays[0], 0U);
  EXPECT_NE(overlays[1], 0U);
  EXPECT_NE(overlays[0], overlays[1]);
  workers->boot_failure.reset();
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  EXPECT_EQ(workers->specs.back().writes, Writes::kKept);
  EXPECT_EQ(workers->specs.back().overlay, 0U);
}

// A version that was written, when nothing can be read for its walk, is not left for others.
TEST_F(ConfigTest, AChangeWhoseWalkCannotBeginHasFailed) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  const auto rename = [this](const std::string& from, const std::string& to) {
    std::optional<Result<void>> renamed;
    state->Write(
        0, [&](Database& db) { return db.Run("ALTER TABLE " + from + " RENAME TO " + to); },
        [&](Result<void> result) { renamed = std::move(result); });
    ASSERT_TRUE(RunUntil(loop, [&] { return renamed.has_value(); }));
    ASSERT_TRUE(renamed->ok());
  };
  rename("reports", "gone");
  EXPECT_FALSE(Changed({{"A", "2"}}).ok());
  EXPECT_FALSE(Turn(TurnKind::kRollback).ok());
  Settle();
  rename("gone", "reports");
  EXPECT_EQ(VersionOf(2).state, ConfigState::kFailed);
  EXPECT_EQ(VersionOf(2).report.value_or(ReportRow()).code, "internal");
  EXPECT_EQ(VersionOf(3).state, ConfigState::kFailed);
  EXPECT_EQ(Turned(TurnKind::kPromote, "1.0.0").value().release.state, ReleaseState::kLive);
  EXPECT_EQ(InForce(), 1U);
  EXPECT_EQ(VersionOf(1).state, ConfigState::kInForce);
}

TEST_F(ConfigTest, StepsOfFormerChangesDoNotPileUp) {
  StartWithApp();
  const ReleaseId live = Deploy(HelloFiles("1.0.0")).value().release.id;
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  const std::size_t steps = View(live).value().steps.size();
  for (int i = 2; i < 6; ++i)
    ASSERT_TRUE(Changed({{"A", std::to_string(i)}}).ok());
  EXPECT_EQ(View(live).value().steps.size(), steps);
}

TEST_F(ConfigTest, AConfigThatDoesNotBootIsNeverInForce) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "good"}}).ok());
  ASSERT_TRUE(Changed({{"S", "a-long-secret"}}, ConfigKind::kSecret).ok());
  workers->boot_failure = FailureOf("app_raised", "A is bad, S is a-long-secret");
  ASSERT_TRUE(Changed({{"A", "bad"}}).ok());
  EXPECT_EQ(InForce(), 2U);
  EXPECT_EQ(RoutedConfig(), 2U);
  const ConfigVersionRow failed = VersionOf(3);
  EXPECT_EQ(failed.state, ConfigState::kFailed);
  EXPECT_EQ(failed.report.value_or(ReportRow()).code, "app_raised");
  EXPECT_EQ(failed.report.value_or(ReportRow()).message, "A is bad, S is [secret S]");
  EXPECT_FALSE(failed.report.value_or(ReportRow()).advice.empty());
  workers->boot_failure.reset();
  Crash();
  Start();
  EXPECT_EQ(InForce(), 2U);
  EXPECT_EQ(workers->adopted_specs.back().config, 2U);
}

TEST_F(ConfigTest, WhatWasAcknowledgedIsWalkedToAfterACrash) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  workers->hold_boots = true;
  ASSERT_TRUE(Change({{"A", "2"}}).ok());
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  Crash();
  Start();
  EXPECT_EQ(workers->adopted_specs.back().config, 1U);
  Settle();
  EXPECT_EQ(InForce(), 2U);
  EXPECT_EQ(RoutedConfig(), 2U);
  EXPECT_THAT(LastBooted(), ElementsAre("A=2"));
}

TEST_F(ConfigTest, OneThingAtATime) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  workers->hold_boots = true;
  ASSERT_TRUE(Change({{"A", "1"}}).ok());
  EXPECT_EQ(Change({{"B", "1"}}).error().code, ProblemCode::kDeployInProgress);
  EXPECT_EQ(Turn(TurnKind::kRollback).error().code, ProblemCode::kDeployInProgress);
  EXPECT_THAT(Turn(TurnKind::kRollback).error().detail, HasSubstr("config is being changed"));
  workers->EndBoots();
  Settle();
  EXPECT_TRUE(Change({{"B", "1"}}).ok());
}

TEST_F(ConfigTest, SecretsAreSealedForTheirAppAndName) {
  StartWithApp();
  ASSERT_TRUE(CreateApp("demo", "other").ok());
  ASSERT_TRUE(Change({{"S", "a-long-secret"}}, ConfigKind::kSecret).ok());
  const AppId app = releases->catalog().FindApp(Hello())->row.id;
  const AppId other = releases->catalog().FindApp(AppName::Parse("demo/other").value())->row.id;
  const auto rows = Read<std::vector<ConfigValueRow>>(
      [app](Database& db) { return ListConfigValues(db, app, 1); });
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].value.find("a-long-secret"), std::string::npos);
  EXPECT_EQ(rows[0].size(), std::string("a-long-secret").size());
  const auto key = configs->key()->ForOpening(rows[0].key_id).value();
  EXPECT_EQ(key->Open(ConfigPlaceOf(app, "S"), rows[0].value).value().text(), "a-long-secret");
  EXPECT_FALSE(key->Open(ConfigPlaceOf(other, "S"), rows[0].value).ok());
  EXPECT_FALSE(key->Open(ConfigPlaceOf(app, "T"), rows[0].value).ok());
}

TEST_F(ConfigTest, AValueThatHasBecomeASecretStandsInNoFile) {
  StartWithApp();
  const auto is_on_disk = [&](const std::string& value) {
    bool found = false;
    for (const char* file : {"state.db", "state.db-wal"})
      found = found || dir.Read(file).find(value) != std::string::npos;
    return found;
  };
  const std::string value = "a-plain-value-that-people-have-seen";
  for (const bool live : {false, true}) {
    if (live) {
      ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
    }
    const std::string name = live ? "L" : "N";
    ASSERT_TRUE(Changed({{name, value + name}, {"OTHER" + name, "stays-as-it-is"}}).ok());
    ASSERT_TRUE(is_on_disk(value + name));
    ASSERT_TRUE(Changed({{name, value + name}}, ConfigKind::kSecret).ok());
    EXPECT_FALSE(is_on_disk(value + name)) << name;
    EXPECT_TRUE(is_on_disk("stays-as-it-is"));
  }
}

TEST_F(ConfigTest, ReloadLiveBootsATrialAndNothingElse) {
  StartWithApp();
  const ReleaseId live = Deploy(WithConfig("1.0.0", "reload = \"live\"")).value().release.id;
  workers->specs.clear();
  workers->retired_runs.clear();
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  ASSERT_EQ(workers->specs.size(), 1U);
  EXPECT_EQ(workers->specs[0].writes, Writes::kOverlay);
  ASSERT_EQ(workers->reconfigured.size(), 1U);
  EXPECT_EQ(workers->reconfigured[0].former, (RunId{.release = live, .config = 0}));
  EXPECT_EQ(workers->reconfigured[0].delivery, WorkerSupervisor::Delivery::kLive);
  EXPECT_EQ(RoutedConfig(), 1U);
  EXPECT_THAT(workers->retired_runs, ElementsAre(RunId{.release = live, .config = 1}));
}

TEST_F(ConfigTest, ACanaryGetsItAsWell) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  const ReleaseId canary =
      Deploy(HelloFiles("2.0.0"), Downgrade::kRefuse, ReleaseGoal::kCanary).value().release.id;
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  ASSERT_EQ(workers->reconfigured.size(), 1U);
  EXPECT_EQ(workers->reconfigured[0].former, (RunId{.release = canary, .config = 0}));
  EXPECT_EQ(workers->reconfigured[0].delivery, WorkerSupervisor::Delivery::kReplace);
  EXPECT_EQ(Turned(TurnKind::kPromote, "2.0.0").value().release.state, ReleaseState::kLive);
  EXPECT_EQ(RoutedConfig(), 1U);
}

TEST_F(ConfigTest, ARollbackOfTheConfigLeavesSecrets) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "1"}, {"B", "1"}}).ok());
  ASSERT_TRUE(Changed({{"S", "first-secret"}}, ConfigKind::kSecret).ok());
  ASSERT_TRUE(Changed({{"A", "2"}, {"B", std::nullopt}}).ok());
  ASSERT_TRUE(Changed({{"S", "second-secret"}}, ConfigKind::kSecret).ok());
  ASSERT_TRUE(Changed({{"C", "1"}}).ok());
  const Outcome<ConfigAnswer> back = BackTo(2);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back.value().back.former, 2U);
  EXPECT_THAT(back.value().back.names, ElementsAre("A", "B"));
  EXPECT_THAT(back.value().back.gone, ElementsAre("C"));
  EXPECT_EQ(InForce(), 6U);
  EXPECT_THAT(LastBooted(), ElementsAre("A=1", "B=1", "S=second-secret"));
  ASSERT_TRUE(Changed({{"S", std::nullopt}}, ConfigKind::kSecret).ok());
  ASSERT_TRUE(Changed({{"A", "3"}}).ok());
  ASSERT_TRUE(BackTo(2).ok());
  EXPECT_THAT(LastBooted(), ElementsAre("A=1", "B=1"));
  EXPECT_EQ(BackTo(99).error().code, ProblemCode::kConfigVersionNotFound);
}

TEST_F(ConfigTest, ARollbackOfTheReleaseTakesItsPlainConfigAlong) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  ASSERT_TRUE(Changed({{"S", "first-secret"}}, ConfigKind::kSecret).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "2"}, {"B", "2"}}).ok());
  ASSERT_TRUE(Changed({{"S", "second-secret"}}, ConfigKind::kSecret).ok());
  const Outcome<DeployAnswer> answer = Turn(TurnKind::kRollback);
  ASSERT_TRUE(answer.ok());
  EXPECT_THAT(answer.value().config.names, ElementsAre("A", "B"));
  EXPECT_EQ(answer.value().config.former, 2U);
  Settle();
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(InForce(), 5U);
  EXPECT_EQ(RoutedConfig(), 5U);
  EXPECT_THAT(LastBooted(), ElementsAre("A=1", "S=second-secret"));
}

TEST_F(ConfigTest, ARollbackThatFailsLeavesTheConfig) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "2"}}).ok());
  workers->boot_failure = FailureOf("app_raised", "no");
  ASSERT_TRUE(Turned(TurnKind::kRollback).ok());
  EXPECT_EQ(Routed(), "2.0.0");
  EXPECT_EQ(InForce(), 1U);
  EXPECT_EQ(VersionOf(2).state, ConfigState::kFailed);
  workers->boot_failure.reset();
  EXPECT_TRUE(Changed({{"A", "3"}}).ok());
  EXPECT_EQ(InForce(), 3U);
}

TEST_F(ConfigTest, ACrashInARollbackLeavesTheConfigThatWasInForce) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", "2"}}).ok());
  workers->hold_boots = true;
  ASSERT_TRUE(Turn(TurnKind::kRollback).ok());
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  Crash();
  Start();
  EXPECT_EQ(Routed(), "2.0.0");
  EXPECT_EQ(InForce(), 1U);
  EXPECT_EQ(VersionOf(2).state, ConfigState::kFailed);
}

TEST_F(ConfigTest, WhatAReleaseRequires) {
  StartWithApp();
  const Files files = WithConfig("1.0.0", "required = [\"A\", \"B\"]");
  ASSERT_TRUE(Change({{"A", "1"}}).ok());
  const ReleaseView rejected = Deploy(files).value();
  EXPECT_EQ(rejected.release.state, ReleaseState::kRejected);
  EXPECT_EQ(ReportOf(rejected).code, "config_missing");
  EXPECT_THAT(ReportOf(rejected).message, HasSubstr("cloister config set demo/hello B=VALUE"));
  ASSERT_TRUE(Change({{"B", "1"}}).ok());
  EXPECT_EQ(Deploy(files).value().release.state, ReleaseState::kLive);
  const Outcome<ConfigAnswer> refused = Change({{"A", std::nullopt}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ProblemCode::kConfigRequired);
  // Another release does without; then the way back is not there any more.
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  ASSERT_TRUE(Changed({{"A", std::nullopt}}).ok());
  EXPECT_EQ(Turn(TurnKind::kPromote, "1.0.0").error().code, ProblemCode::kConfigMissing);
  // But a rollback brings the plain key along.
  EXPECT_TRUE(Turned(TurnKind::kRollback).ok());
  EXPECT_EQ(Routed(), "1.0.0");
}

TEST_F(ConfigTest, WithoutTheKeyChangesFailAndSayWhich) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Changed({{"S", "a-long-secret"}}, ConfigKind::kSecret).ok());
  const std::string id = configs->key()->ForSealing().value()->id();
  ASSERT_EQ(::unlink(dir.At("node.key").c_str()), 0);
  Crash();
  Start();
  ASSERT_TRUE(Changed({{"A", "1"}}).ok());
  const ConfigVersionRow failed = VersionOf(2);
  EXPECT_EQ(failed.report.value_or(ReportRow()).code, "config_unreadable");
  EXPECT_THAT(failed.report.value_or(ReportRow()).message, HasSubstr(id));
  EXPECT_EQ(InForce(), 1U);
}

}  // namespace
}  // namespace cloister
