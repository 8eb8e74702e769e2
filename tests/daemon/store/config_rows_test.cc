#include "daemon/store/config_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/store/audit.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;

class ConfigRowsTest : public StoreTest {
 protected:
  static ConfigValueRow Plain(const std::string& name, const std::string& value) {
    return {.name = name,
            .secret = false,
            .value = value,
            .key_id = "",
            .set_at = At(1).when,
            .set_by = "tester"};
  }
  static ConfigValueRow Secret(const std::string& name, const std::string& sealed) {
    ConfigValueRow row = Plain(name, sealed);
    row.secret = true;
    row.key_id = "0011223344556677";
    return row;
  }

  std::uint64_t Create(std::vector<ConfigValueRow> values, bool at_once = false,
                       ReleaseId with_release = {}) {
    return Must(CreateConfig(db_,
                             {.app = app_,
                              .action = "set",
                              .detail = "A",
                              .values = std::move(values),
                              .with_release = with_release,
                              .at_once = at_once},
                             At(1)));
  }
  std::uint64_t InForce() { return Must(FindConfigInForce(db_, app_.id)); }
  std::string ValueOf(std::uint64_t number, const std::string& name) {
    for (const ConfigValueRow& value : Must(ListConfigValues(db_, app_.id, number)))
      if (value.name == name)
        return value.value;
    return "none";
  }
};

TEST_F(ConfigRowsTest, AWantedVersionIsNotInForceBeforeItIsPutThere) {
  EXPECT_EQ(InForce(), 0U);
  const std::uint64_t number = Create({Plain("A", "1")});
  EXPECT_EQ(number, 1U);
  EXPECT_EQ(InForce(), 0U);
  ASSERT_EQ(Must(ListWantedConfigs(db_)).size(), 1U);
  Must(PutConfigInForce(db_, app_, number, At(2)));
  EXPECT_EQ(InForce(), number);
  EXPECT_TRUE(Must(ListWantedConfigs(db_)).empty());
  EXPECT_EQ(Must(ListConfigsInForce(db_)).front().second, number);
}

TEST_F(ConfigRowsTest, OneVersionIsWantedAndOneInForceWhateverTheProgramDoes) {
  Create({Plain("A", "1")}, true);
  Create({Plain("A", "2")});
  EXPECT_FALSE(db_.Execute("UPDATE config_versions SET state = 'in_force'").ok());
  EXPECT_FALSE(db_.Execute("UPDATE config_versions SET state = 'wanted'").ok());
}

TEST_F(ConfigRowsTest, AVersionThatWasForgottenFailsBeforeTheNext) {
  const std::uint64_t forgotten = Create({Secret("S", "sealed")});
  const std::uint64_t next = Create({Plain("A", "2")});
  EXPECT_EQ(Must(FindConfigVersion(db_, app_.id, forgotten))->state, ConfigState::kFailed);
  EXPECT_EQ(ValueOf(forgotten, "S"), "");
  ASSERT_EQ(Must(ListWantedConfigs(db_)).size(), 1U);
  EXPECT_EQ(Must(ListWantedConfigs(db_)).front().number, next);
}

TEST_F(ConfigRowsTest, AFailedVersionKeepsItsReportAndNoSecret) {
  const std::uint64_t first = Create({Secret("S", "sealed one")}, true);
  const std::uint64_t second = Create({Secret("S", "sealed two"), Plain("A", "1")});
  Must(FailConfig(db_, app_, second, {.code = "app_raised", .message = "boom", .line = 7}, At(2)));
  EXPECT_EQ(InForce(), first);
  EXPECT_EQ(ValueOf(first, "S"), "sealed one");
  EXPECT_EQ(ValueOf(second, "S"), "");
  EXPECT_EQ(ValueOf(second, "A"), "1");
  const auto row = Must(FindConfigVersion(db_, app_.id, second));
  ASSERT_TRUE(row && row->report);
  EXPECT_EQ(row->state, ConfigState::kFailed);
  EXPECT_EQ(row->report->message, "boom");
  EXPECT_EQ(row->report->line, 7U);
  EXPECT_EQ(Create({}), 3U);
}

TEST_F(ConfigRowsTest, ASecretThatWasReplacedOrUnsetIsNowhereAnyMore) {
  const std::uint64_t first = Create({Secret("S", "sealed one"), Plain("A", "1")}, true);
  const std::uint64_t second = Create({Plain("A", "2")});
  Must(PutConfigInForce(db_, app_, second, At(2)));
  EXPECT_EQ(ValueOf(first, "S"), "");
  EXPECT_EQ(ValueOf(first, "A"), "1");
  EXPECT_EQ(Count(db_, "config_values WHERE value = CAST('sealed one' AS BLOB)"), 0);
}

TEST_F(ConfigRowsTest, WhatBecomesASecretIsNotReadInFormerVersions) {
  const std::uint64_t first = Create({Plain("S", "in the open"), Plain("A", "1")}, true);
  const std::uint64_t second = Create({Secret("S", "sealed"), Plain("A", "1")});
  Must(PutConfigInForce(db_, app_, second, At(2)));
  EXPECT_EQ(ValueOf(first, "S"), "none");
  EXPECT_EQ(ValueOf(first, "A"), "1");
}

TEST_F(ConfigRowsTest, FormerVersionsAreBoundedButForWhatReleasesServedWith) {
  const std::uint64_t first = Create({Plain("A", "0")}, true);
  const ReleaseRow release = ReleaseIn(ReleaseState::kLive, "1.0.0");
  EXPECT_EQ(Must(FindConfigOf(db_, release.id)), first);
  const ReleaseRow next = ReleaseIn(ReleaseState::kLive, "2.0.0");
  EXPECT_EQ(Must(FindConfigOf(db_, next.id)), first);
  for (std::uint32_t i = 0; i < kConfigVersionsKept + 10; ++i)
    Must(PutConfigInForce(db_, app_, Create({Plain("A", std::to_string(i))}), At(2)));
  EXPECT_EQ(Must(FindConfigOf(db_, release.id)), first);
  EXPECT_EQ(Must(FindConfigOf(db_, next.id)), InForce());
  EXPECT_EQ(ValueOf(first, "A"), "0");
  // The one in force, those that are kept, and the release's.
  EXPECT_EQ(Count(db_, "config_versions"), kConfigVersionsKept + 2);
  EXPECT_EQ(Must(ListConfigVersions(db_, app_.id, 3)).front().number, InForce());
}

TEST_F(ConfigRowsTest, AReleaseTakesItsVersionAlongWhenItGoesLive) {
  const std::uint64_t first = Create({Plain("A", "1")}, true);
  const ReleaseRow release = ReleaseIn(ReleaseState::kChecked, "1.0.0");
  const std::uint64_t second = Create({Plain("A", "2")}, false, release.id);
  EXPECT_EQ(InForce(), first);
  Must(StartStep(db_, release.id, "live", At(2).when));
  Must(GoLive(db_, release.id, second, "demo/hello@1.0.0", At(2)));
  EXPECT_EQ(InForce(), second);
  EXPECT_EQ(Must(FindConfigOf(db_, release.id)), second);
}

TEST_F(ConfigRowsTest, WhatAReleaseWasNotBootedWithIsNotTakenAlong) {
  const std::uint64_t first = Create({Plain("A", "1")}, true);
  const ReleaseRow release = ReleaseIn(ReleaseState::kChecked, "1.0.0");
  const std::uint64_t second = Create({Plain("A", "2")}, false, release.id);
  Must(StartStep(db_, release.id, "live", At(2).when));
  EXPECT_EQ(GoLive(db_, release.id, second + 1, "", At(2)).error().code,
            ErrorCode::kInvalidArgument);
  Must(GoLive(db_, release.id, first, "demo/hello@1.0.0", At(2)));
  EXPECT_EQ(InForce(), first);
  EXPECT_EQ(Must(FindConfigOf(db_, release.id)), first);
}

TEST_F(ConfigRowsTest, FailingWhatIsInForceTakesNothing) {
  const std::uint64_t number = Create({Secret("S", "sealed")}, true);
  Must(FailConfig(db_, app_, number, {.code = "late"}, At(2)));
  EXPECT_EQ(InForce(), number);
  EXPECT_EQ(ValueOf(number, "S"), "sealed");
}

TEST_F(ConfigRowsTest, WhatAFailedReleaseTookAlongFailsWithIt) {
  const std::uint64_t first = Create({Plain("A", "1")}, true);
  const ReleaseRow release = ReleaseIn(ReleaseState::kChecked, "1.0.0");
  const std::uint64_t second = Create({Plain("A", "2")}, false, release.id);
  Must(FailStep(db_, release.id, {.code = "boot_timeout"}, "demo/hello@1.0.0", At(2)));
  EXPECT_EQ(InForce(), first);
  EXPECT_EQ(Must(FindConfigVersion(db_, app_.id, second))->state, ConfigState::kFailed);
}

TEST_F(ConfigRowsTest, EveryChangeIsAudited) {
  const std::uint64_t number = Create({Plain("A", "1")});
  Must(PutConfigInForce(db_, app_, number, At(2)));
  std::vector<std::string> actions;
  for (const AuditRow& row : Must(ListAudit(db_, 2))) {
    EXPECT_EQ(row.subject, "demo/hello");
    EXPECT_EQ(row.who, "tester");
    actions.push_back(row.action);
  }
  EXPECT_THAT(actions, ElementsAre("config_set", "config_in_force"));
}

TEST_F(ConfigRowsTest, AnAppThatIsDeletedTakesItsConfigWithIt) {
  Create({Plain("A", "1"), Secret("S", "sealed")}, true);
  Must(DeleteApp(db_, app_, At(3)));
  EXPECT_EQ(Count(db_, "config_versions"), 0);
  EXPECT_EQ(Count(db_, "config_values"), 0);
}

TEST_F(ConfigRowsTest, StepsOfAChangeEndWithIt) {
  const ReleaseRow release = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const std::size_t before = Must(ListSteps(db_, release.id)).size();
  const std::uint64_t number = Create({Plain("A", "1")});
  Must(StartStep(db_, release.id, "config booted", At(2).when));
  Must(FinishConfigStep(db_, release.id, "ready", At(3).when));
  Must(StartStep(db_, release.id, "config live", At(3).when));
  Must(PutConfigInForce(db_, app_, number, At(4)));
  const auto steps = Must(ListSteps(db_, release.id));
  ASSERT_EQ(steps.size(), before + 2);
  EXPECT_EQ(steps.back().outcome, StepOutcome::kDone);
  Must(ForgetConfigSteps(db_, release.id));
  EXPECT_EQ(Must(ListSteps(db_, release.id)).size(), before);
}

TEST_F(ConfigRowsTest, ThePlaceOfASecretIsItsAppAndItsName) {
  EXPECT_NE(ConfigPlaceOf({1}, "A"), ConfigPlaceOf({11}, "A"));
  EXPECT_NE(ConfigPlaceOf({1}, "A"), ConfigPlaceOf({1}, "AA"));
}

}  // namespace
}  // namespace cloister
