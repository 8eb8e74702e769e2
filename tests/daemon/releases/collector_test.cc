#include "daemon/releases/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/store/release_rows.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;

constexpr int kAskedMax = 20'000;

class CollectorTest : public NodeTest {
 protected:
  // A node with this policy and an app.
  void Prepare(const ReleaseSettings& settings) {
    policy = settings;
    Crash();
    StartWithApp();
  }
  // The versions that are there, once the collector has done what it was to do.
  std::vector<std::string> There() {
    std::optional<std::vector<std::string>> versions;
    state->Read(
        1,
        [](Database& db) -> Result<std::vector<std::string>> {
          std::vector<std::string> there;
          for (const ReleaseRow& release : TRY(ListReleases(db, {1}, 100)))
            there.push_back(release.version);
          return there;
        },
        [&](Result<std::vector<std::string>> read) { versions = std::move(read).value(); });
    EXPECT_TRUE(RunUntil(loop, [&] { return versions.has_value(); }));
    return *versions;
  }
  // Asking runs the loop, so what is waited for goes on.
  void WaitUntilThere(const std::vector<std::string>& versions) {
    for (int asked = 0; asked < kAskedMax && There() != versions; ++asked) {
    }
    EXPECT_EQ(There(), versions);
  }
  void WaitUntilKept(ReleaseId release) {
    for (int asked = 0; asked < kAskedMax && StateOf(release) != ReleaseState::kKept; ++asked) {
    }
    EXPECT_EQ(StateOf(release), ReleaseState::kKept);
  }
  Outcome<Done> SetPin(const std::string& version, Pin pin) {
    return Wait<Done>([&](const auto& done) {
      releases->collector().SetPin(Hello(), version, pin, "tester", done);
    });
  }
  std::vector<CollectedRow> Gone() {
    return Wait<std::vector<CollectedRow>>(
               [&](const auto& done) { releases->collector().ListGone(Hello(), 100, done); })
        .value();
  }
};

TEST_F(CollectorTest, ADeployLetsTheOldestKeptReleaseGo) {
  Prepare({.kept_max = 1});
  for (const char* version : {"1.0.0", "2.0.0", "3.0.0", "4.0.0"})
    ASSERT_TRUE(Deploy(HelloFiles(version)).ok());
  WaitUntilThere({"4.0.0", "3.0.0"});
  EXPECT_EQ(Gone().size(), 2U);
  EXPECT_EQ(Routed(), "4.0.0");
}

TEST_F(CollectorTest, AVersionThatWentIsStillTaken) {
  Prepare({.kept_max = 0});
  for (const char* version : {"1", "2.0.0", "3.0.0"})
    ASSERT_TRUE(Deploy(HelloFiles(version)).ok());
  WaitUntilThere({"3.0.0", "2.0.0"});
  const Outcome<ReleaseView> other = Deploy(HelloFiles("1", "other"), Downgrade::kAllow);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ProblemCode::kVersionTaken);
  const Outcome<ReleaseView> spelled = Deploy(HelloFiles("1.0.0"), Downgrade::kAllow);
  ASSERT_FALSE(spelled.ok()) << "the same version in another spelling";
  EXPECT_EQ(spelled.error().code, ProblemCode::kVersionTaken);
  const Outcome<ReleaseView> same = Deploy(HelloFiles("1"), Downgrade::kAllow);
  ASSERT_TRUE(same.ok()) << "the same bytes may come back";
  EXPECT_EQ(Routed(), "1");
}

TEST_F(CollectorTest, APinnedReleaseStaysUntilItIsUnpinned) {
  Prepare({.kept_max = 0});
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(SetPin("1.0.0", Pin::kSet).ok());
  for (const char* version : {"2.0.0", "3.0.0", "4.0.0"})
    ASSERT_TRUE(Deploy(HelloFiles(version)).ok());
  WaitUntilThere({"4.0.0", "3.0.0", "1.0.0"});
  EXPECT_EQ(SetPin("9.9.9", Pin::kSet).error().code, ProblemCode::kReleaseNotFound);
  ASSERT_TRUE(SetPin("1.0.0", Pin::kUnset).ok());
  releases->collector().Sweep();
  WaitUntilThere({"4.0.0", "3.0.0"});
}

TEST_F(CollectorTest, ASweepTakesWhatIsTooOldOfEveryApp) {
  Prepare({.kept_age = Millis(3600 * 1000)});
  for (const char* version : {"1.0.0", "2.0.0", "3.0.0"})
    ASSERT_TRUE(Deploy(HelloFiles(version)).ok());
  ASSERT_TRUE(CreateApp("demo", "other").ok());
  WaitUntilKept({2});
  clock.Advance(Seconds(7200));
  releases->collector().Sweep();
  WaitUntilThere({"3.0.0", "2.0.0"});
}

TEST_F(CollectorTest, AnAppThatIsBeingDeployedIsLeftAlone) {
  Prepare({.kept_max = 10});
  for (const char* version : {"1.0.0", "2.0.0", "3.0.0"})
    ASSERT_TRUE(Deploy(HelloFiles(version)).ok());
  WaitUntilKept({2});
  policy = {.kept_max = 0};
  Crash();
  Start();
  releases->catalog().SetActivity(Hello(), AppActivity::kDeploying);
  releases->collector().Sweep();
  EXPECT_THAT(There(), ElementsAre("3.0.0", "2.0.0", "1.0.0"));
  releases->catalog().SetActivity(Hello(), AppActivity::kNone);
  releases->collector().Sweep();
  WaitUntilThere({"3.0.0", "2.0.0"});
}

}  // namespace
}  // namespace cloister
