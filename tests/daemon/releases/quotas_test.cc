#include "daemon/releases/quotas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "daemon/store/audit.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

class QuotasTest : public NodeTest {
 protected:
  // The problem's code; "" when it was changed.
  std::string Change(const std::string& owner, std::vector<QuotaChange> changes) {
    std::optional<std::string> code;
    const auto done = [&](const Outcome<Done>& changed) {
      code = changed.ok() ? "" : std::string(InfoOf(changed.error().code).code);
    };
    const Result<AppName> app = AppName::Parse(owner);
    if (app.ok())
      releases->quotas().ChangeApp(app.value(), std::move(changes), "tester", done);
    else
      releases->quotas().ChangeTenant(owner, std::move(changes), "tester", done);
    EXPECT_TRUE(RunUntil(loop, [&] { return code.has_value(); }));
    return code.value_or("nothing");
  }
  // The app, and its tenant when that is new.
  void Make(const std::string& tenant, const std::string& name) {
    if (releases->catalog().FindTenant(tenant) == nullptr) {
      ASSERT_TRUE(CreateTenant(tenant).ok());
    }
    ASSERT_TRUE(CreateApp(tenant, name).ok());
  }
  void Restart() {
    Crash();
    Start();
  }
  const AppRow& Row(const std::string& app) {
    return releases->catalog().FindApp(AppName::Parse(app).value())->row;
  }
  Quota Of(const std::string& app) { return releases->quotas().Of(Row(app)); }
};

TEST_F(QuotasTest, AnAppsValueGoesBeforeItsTenantsAndThatBeforeTheNodes) {
  Start();
  Make("demo", "one");
  Make("demo", "two");
  Make("else", "one");
  EXPECT_EQ(Change("demo", {{"limits.workers", "3"}, {"limits.queue", "7"}}), "");
  EXPECT_EQ(Change("demo/one", {{"limits.workers", "5"}}), "");
  EXPECT_EQ(Of("demo/one").limits.workers_max, 5U);
  EXPECT_EQ(Of("demo/one").limits.queue_max, 7U);
  EXPECT_EQ(Of("demo/two").limits.workers_max, 3U);
  EXPECT_EQ(Of("else/one").limits.workers_max, LimitSettings().workers_max);
  EXPECT_EQ(Change("demo/one", {{"limits.workers", std::nullopt}}), "");
  EXPECT_EQ(Of("demo/one").limits.workers_max, 3U);
}

TEST_F(QuotasTest, WhatIsWrongChangesNothing) {
  Start();
  Make("demo", "one");
  EXPECT_EQ(Change("demo/one", {{"limits.workers", "2"}, {"limits.wrokers", "2"}}),
            "quota_unknown");
  EXPECT_EQ(Change("demo/one", {{"limits.workers", "2"}, {"limits.memory", "2"}}), "quota_invalid");
  EXPECT_EQ(Change("demo/none", {{"limits.workers", "2"}}), "app_not_found");
  EXPECT_EQ(Change("nobody", {{"limits.workers", "2"}}), "tenant_not_found");
  EXPECT_EQ(Of("demo/one").limits.workers_max, LimitSettings().workers_max);
}

TEST_F(QuotasTest, WhatWasSetIsThereAfterARestart) {
  Start();
  Make("demo", "one");
  EXPECT_EQ(Change("demo", {{"log.rate", "1MiB"}}), "");
  EXPECT_EQ(Change("demo/one", {{"limits.memory", "64MiB"}}), "");
  Restart();
  EXPECT_EQ(Of("demo/one").limits.worker.memory_max, MiB(64));
  EXPECT_EQ(Of("demo/one").log.rate, MiB(1));
}

TEST_F(QuotasTest, RowsOfAnotherVersionAreLeftOutAndCanBeUnset) {
  Start();
  Make("demo", "one");
  std::optional<Result<void>> written;
  state->Write(
      0,
      [app = Row("demo/one")](Database& db) {
        return ChangeQuotas(db, {.tenant = app.tenant, .app = app.id}, "demo/one",
                            {{"limits.of_old", "7"}, {"limits.workers", "99999999"}},
                            {.who = "tester", .when = {}});
      },
      [&](Result<void> result) { written = std::move(result); });
  ASSERT_TRUE(RunUntil(loop, [&] { return written.has_value(); }));
  Restart();
  const QuotaOwner owner{.tenant = Row("demo/one").tenant, .app = Row("demo/one").id};
  EXPECT_EQ(Of("demo/one").limits.workers_max, LimitSettings().workers_max);
  EXPECT_FALSE(releases->quotas().SetFor(owner).contains("limits.workers"));
  EXPECT_EQ(Change("demo/one", {{"limits.of_newer", std::nullopt}}), "quota_unknown");
  EXPECT_EQ(Change("demo/one", {{"limits.of_old", std::nullopt}}), "");
  Restart();
  EXPECT_TRUE(releases->quotas().SetFor(owner).empty());
}

TEST_F(QuotasTest, AServingReleaseRunsWithinThem) {
  Start();
  Make("demo", "hello");
  ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
  EXPECT_EQ(Change("demo/hello", {{"limits.memory", "64MiB"}, {"limits.workers", "2"}}), "");
  ASSERT_TRUE(RunUntil(loop, [&] { return !workers->updated.empty(); }));
  EXPECT_EQ(workers->updated.back().limits.memory_max, MiB(64));
  EXPECT_EQ(workers->updated.back().workers_max, 2U);
  EXPECT_EQ(workers->updated.back().version, "1.0.0");
  // And higher again than when it was deployed.
  EXPECT_EQ(Change("demo/hello", {{"limits.memory", "512MiB"}}), "");
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->updated.size() == 2; }));
  EXPECT_EQ(workers->updated.back().limits.memory_max, MiB(512));
  Restart();
  EXPECT_EQ(workers->adopted_specs.back().limits.memory_max, MiB(512));
}

// Workers that need 48 MiB.
std::optional<BootFailure> NeedsMemory(const ReleaseSpec& spec) {
  if (spec.limits.memory_max >= MiB(48))
    return std::nullopt;
  return FailureOf("memory_exceeded", "it needs more");
}

TEST_F(QuotasTest, WhatTheLiveReleaseCannotBootWithinIsRefused) {
  Start();
  Make("demo", "hello");
  ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
  const RunId live{.release = releases->catalog().FindApp(Hello())->live->id};
  workers->refuses_boot = NeedsMemory;
  workers->specs.clear();
  workers->retired_runs.clear();
  std::optional<Outcome<Done>> changed;
  releases->quotas().ChangeApp(Hello(), {{"limits.memory", "40MiB"}, {"limits.workers", "2"}},
                               "tester", [&](const Outcome<Done>& end) {
                                 changed = end.ok() ? Outcome<Done>(Done())
                                                    : Outcome<Done>(Problem(end.error()));
                               });
  ASSERT_TRUE(RunUntil(loop, [&] { return changed.has_value(); }));
  ASSERT_FALSE(changed->ok());
  EXPECT_EQ(changed->error().code, ProblemCode::kQuotaTooLow);
  EXPECT_EQ(changed->error().detail,
            "demo/hello 1.0.0 does not boot with limits.memory=40MiB (memory_exceeded: it needs "
            "more); with the present quotas it does");
  EXPECT_EQ(Of("demo/hello").limits.workers_max, LimitSettings().workers_max);
  EXPECT_TRUE(workers->updated.empty());
  // On overlays of their own, beside what serves, and gone.
  ASSERT_EQ(workers->specs.size(), 2U);
  for (const ReleaseSpec& spec : workers->specs) {
    EXPECT_EQ(spec.writes, Writes::kOverlay);
    EXPECT_NE(spec.run(), live);
    EXPECT_NE(std::ranges::find(workers->retired_runs, spec.run()), workers->retired_runs.end());
  }
  EXPECT_NE(workers->specs[0].overlay, workers->specs[1].overlay);
  EXPECT_NE(workers->specs[0].run(), workers->specs[1].run());
  EXPECT_EQ(workers->retired_runs.size(), 2U);
  EXPECT_EQ(Change("demo/hello", {{"limits.memory", "48MiB"}}), "");
  EXPECT_EQ(Of("demo/hello").limits.worker.memory_max, MiB(48));
  Restart();
  EXPECT_EQ(Of("demo/hello").limits.worker.memory_max, MiB(48));
  EXPECT_EQ(Of("demo/hello").limits.workers_max, LimitSettings().workers_max);
}

TEST_F(QuotasTest, ATenantsQuotaIsTriedWithEachOfItsApps) {
  Start();
  Make("demo", "hello");
  Make("demo", "empty");
  ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
  workers->refuses_boot = NeedsMemory;
  EXPECT_EQ(Change("demo", {{"limits.memory", "40MiB"}}), "quota_too_low");
  EXPECT_EQ(Of("demo/empty").limits.worker.memory_max, LimitSettings().worker.memory_max);
  // Not what is higher for the app itself, nor an app without a live release.
  EXPECT_EQ(Change("demo/empty", {{"limits.memory", "40MiB"}}), "");
  EXPECT_EQ(Change("demo/hello", {{"limits.memory", "128MiB"}}), "");
  EXPECT_EQ(Change("demo", {{"limits.memory", "40MiB"}}), "");
  EXPECT_EQ(Of("demo/hello").limits.worker.memory_max, MiB(128));
  // Taking the app's own away lowers it, too.
  EXPECT_EQ(Change("demo/hello", {{"limits.memory", std::nullopt}}), "quota_too_low");
}

TEST_F(QuotasTest, WhatDoesNotBootAnywayStandsInNoQuotasWay) {
  Start();
  Make("demo", "hello");
  ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
  workers->boot_failure = FailureOf("app_raised", "a service is away");
  EXPECT_EQ(Change("demo/hello", {{"limits.memory", "40MiB"}}), "");
  EXPECT_EQ(Of("demo/hello").limits.worker.memory_max, MiB(40));
}

TEST_F(QuotasTest, WhatGivesWorkersNoLessIsNotTried) {
  Start();
  Make("demo", "hello");
  ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
  workers->specs.clear();
  EXPECT_EQ(Change("demo/hello", {{"limits.memory", "300MiB"}, {"limits.workers", "1"}}), "");
  EXPECT_EQ(Change("demo/hello", {{"limits.wall", "1s"}, {"log.rate", "2MiB"}}), "");
  EXPECT_TRUE(workers->specs.empty());
}

TEST_F(QuotasTest, AnAppThatIsDeletedWhileItIsTriedIsNoTrouble) {
  Start();
  Make("demo", "hello");
  ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
  workers->hold_boots = true;
  std::optional<std::string> code;
  releases->quotas().ChangeApp(Hello(), {{"limits.memory", "40MiB"}}, "tester",
                               [&](const Outcome<Done>& end) {
                                 code = end.ok() ? "" : std::string(InfoOf(end.error().code).code);
                               });
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  ASSERT_TRUE(Wait<Done>([&](const auto& done) {
                releases->owners().DeleteApp(Hello(), "tester", done);
              }).ok());
  workers->EndBoots();
  EXPECT_TRUE(RunUntil(loop, [&] { return code.has_value(); }));
}

TEST_F(QuotasTest, WhatIsSetDuringADeployHoldsWhenThatHasEnded) {
  Start();
  Make("demo", "hello");
  workers->hold_boots = true;
  const Files files = HelloFiles("1.0.0");
  ASSERT_TRUE(Upload("demo", BatchOf(files)).ok());
  const ReleaseId release = Send(files).value().view.release.id;
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  EXPECT_EQ(Change("demo/hello", {{"limits.workers", "1"}}), "");
  EXPECT_TRUE(workers->updated.empty());
  workers->EndBoots();
  ASSERT_EQ(Settled(release).value().release.state, ReleaseState::kLive);
  ASSERT_TRUE(RunUntil(loop, [&] { return !workers->updated.empty(); }));
  EXPECT_EQ(workers->updated.back().workers_max, 1U);
}

TEST_F(QuotasTest, ADeployedReleaseIsCutToThem) {
  Start();
  Make("demo", "hello");
  EXPECT_EQ(Change("demo", {{"limits.workers", "2"}}), "");
  ASSERT_EQ(Deploy(HelloFiles("1.0.0")).value().release.state, ReleaseState::kLive);
  EXPECT_EQ(workers->specs.back().workers_max, 2U);
}

TEST_F(QuotasTest, TheyGoWithWhoseTheyWere) {
  Start();
  Make("demo", "hello");
  EXPECT_EQ(Change("demo/hello", {{"limits.workers", "1"}}), "");
  EXPECT_EQ(Change("demo", {{"limits.queue", "1"}}), "");
  ASSERT_TRUE(Wait<Done>([&](const auto& done) {
                releases->owners().DeleteApp(Hello(), "tester", done);
              }).ok());
  Make("demo", "hello");
  EXPECT_EQ(Of("demo/hello").limits.workers_max, LimitSettings().workers_max);
  EXPECT_EQ(Of("demo/hello").limits.queue_max, 1U);
  ASSERT_TRUE(Wait<Done>([&](const auto& done) {
                releases->owners().DeleteTenant("demo", DeleteMode::kWithApps, "tester", done);
              }).ok());
  Make("demo", "hello");
  EXPECT_EQ(Of("demo/hello").limits.queue_max, LimitSettings().queue_max);
}

TEST_F(QuotasTest, TheAuditTellsWhoSetWhat) {
  Start();
  Make("demo", "hello");
  EXPECT_EQ(Change("demo/hello", {{"limits.workers", "1"}}), "");
  EXPECT_EQ(Change("demo/hello", {{"limits.workers", std::nullopt}}), "");
  std::vector<AuditRow> audit;
  state->Read(
      0, [](Database& db) { return ListAudit(db, 2); },
      [&](Result<std::vector<AuditRow>> listed) {
        ASSERT_TRUE(listed.ok());
        audit = std::move(listed).value();
      });
  ASSERT_TRUE(RunUntil(loop, [&] { return !audit.empty(); }));
  ASSERT_EQ(audit.size(), 2U);
  EXPECT_EQ(audit[0].action, "quota_set");
  EXPECT_EQ(audit[0].subject, "demo/hello");
  EXPECT_EQ(audit[0].who, "tester");
  EXPECT_EQ(audit[0].detail, "limits.workers=1");
  EXPECT_EQ(audit[1].action, "quota_unset");
}

}  // namespace
}  // namespace cloister
