#include "daemon/releases/turn.h"

#include <gtest/gtest.h>

#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

class TurnTest : public NodeTest {
 protected:
  void SetUp() override { StartWithApp(); }

  ReleaseId Live(const std::string& version) {
    return Ends(HelloFiles(version), ReleaseGoal::kLive);
  }
  ReleaseId Ends(const Files& files, ReleaseGoal goal) {
    const Outcome<ReleaseView> view = Deploy(files, Downgrade::kRefuse, goal);
    EXPECT_TRUE(view.ok()) << view.error().detail;
    return view.value().release.id;
  }
  std::string LiveAfter(TurnKind kind, const std::string& version = "") {
    const Outcome<ReleaseView> view = Turned(kind, version);
    return view.ok() ? Routed() : std::string(InfoOf(view.error().code).code);
  }
  std::string Refused(TurnKind kind, const std::string& version = "") {
    const Outcome<DeployAnswer> answer = Turn(kind, version);
    return answer.ok() ? "" : std::string(InfoOf(answer.error().code).code);
  }
  std::shared_ptr<const RoutingSnapshot> Snapshot() const {
    return router->Current(releases->catalog().FindApp(Hello())->row.id);
  }
};

TEST_F(TurnTest, ARollbackGoesToTheReleaseThatWasLiveBefore) {
  const ReleaseId first = Live("1.0.0");
  const ReleaseId second = Live("1.1.0");
  const Outcome<DeployAnswer> answer = Turn(TurnKind::kRollback);
  ASSERT_TRUE(answer.ok()) << answer.error().detail;
  EXPECT_TRUE(answer.value().created);
  EXPECT_TRUE(answer.value().view.under_way);
  EXPECT_EQ(answer.value().former, "1.1.0");
  const ReleaseView view = Settled(first).value();
  EXPECT_EQ(view.release.state, ReleaseState::kLive);
  EXPECT_EQ(view.steps.back().name, "live");
  EXPECT_EQ(view.steps.back().outcome, StepOutcome::kDone);
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(workers->specs.back().writes, Writes::kKept);
  EXPECT_NE(StateOf(second), ReleaseState::kLive);
}

TEST_F(TurnTest, ARollbackToAVersion) {
  Live("1.0.0");
  Live("1.1.0");
  Live("1.2.0");
  EXPECT_EQ(LiveAfter(TurnKind::kRollback, "1.0.0"), "1.0.0");
  EXPECT_EQ(LiveAfter(TurnKind::kRollback), "1.2.0") << "it was live before 1.0.0";
}

TEST_F(TurnTest, WhatIsLiveAlreadyIsAnswered) {
  const ReleaseId live = Live("1.0.0");
  const Outcome<DeployAnswer> answer = Turn(TurnKind::kRollback, "1.0.0");
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer.value().created);
  EXPECT_EQ(answer.value().view.release.id, live);
  EXPECT_EQ(releases->catalog().FindApp(Hello())->activity, AppActivity::kNone);
}

TEST_F(TurnTest, WhatCannotServeIsRefused) {
  EXPECT_EQ(Refused(TurnKind::kRollback), "no_previous_release");
  Live("1.0.0");
  EXPECT_EQ(Refused(TurnKind::kRollback), "no_previous_release");
  EXPECT_EQ(Refused(TurnKind::kRollback, "9.9.9"), "release_not_found");
  workers->boot_failure = FailureOf("import_error", "no");
  Ends(HelloFiles("1.1.0"), ReleaseGoal::kLive);
  workers->boot_failure.reset();
  EXPECT_EQ(Refused(TurnKind::kPromote, "1.1.0"), "release_not_servable");
  Ends(HelloFiles("1.2.0"), ReleaseGoal::kCheck);
  EXPECT_EQ(Refused(TurnKind::kRollback, "1.2.0"), "release_not_servable") << "it was never live";
  EXPECT_EQ(Routed(), "1.0.0");
}

TEST_F(TurnTest, AWayBackThatFailsChangesNothing) {
  const ReleaseId first = Live("1.0.0");
  Live("1.1.0");
  ASSERT_TRUE(Becomes(first, ReleaseState::kKept));
  workers->boot_failure = FailureOf("import_error", "gone");
  const ReleaseView view = Turned(TurnKind::kRollback).value();
  EXPECT_EQ(view.release.state, ReleaseState::kKept);
  EXPECT_EQ(ReportOf(view).code, "import_error");
  EXPECT_EQ(view.steps.back().outcome, StepOutcome::kFailed);
  EXPECT_FALSE(view.under_way);
  EXPECT_EQ(Routed(), "1.1.0");
  EXPECT_FALSE(workers->pools.contains(first.number));
  workers->boot_failure.reset();
  EXPECT_EQ(LiveAfter(TurnKind::kRollback), "1.0.0");
}

TEST_F(TurnTest, AReleaseMayDrainTwiceAtOneTime) {
  const ReleaseId first = Live("1.0.0");
  workers->hold_draining = true;
  Live("1.1.0");
  EXPECT_EQ(LiveAfter(TurnKind::kRollback), "1.0.0") << "while it drains";
  EXPECT_EQ(StateOf(first), ReleaseState::kLive);
  EXPECT_EQ(LiveAfter(TurnKind::kRollback), "1.1.0");
  EXPECT_EQ(StateOf(first), ReleaseState::kDraining);
  workers->EndDraining();
  EXPECT_TRUE(Becomes(first, ReleaseState::kKept));
  EXPECT_TRUE(
      RunUntil(loop, [&] { return releases->catalog().FindApp(Hello())->draining.empty(); }));
  EXPECT_EQ(Routed(), "1.1.0");
}

TEST_F(TurnTest, ACheckPutsNothingLiveAndCanBePromoted) {
  Live("1.0.0");
  const ReleaseId checked = Ends(HelloFiles("1.1.0"), ReleaseGoal::kCheck);
  const ReleaseView view = View(checked).value();
  EXPECT_EQ(view.release.state, ReleaseState::kKept);
  EXPECT_FALSE(view.release.was_live);
  EXPECT_EQ(view.steps.back().name, "checked");
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_FALSE(workers->pools.contains(checked.number));
  EXPECT_EQ(LiveAfter(TurnKind::kPromote, "1.1.0"), "1.1.0");
}

TEST_F(TurnTest, APromotionNeverChangesAVersionThatWasLive) {
  Live("1.0.0");
  Ends(HelloFiles("2", "checked"), ReleaseGoal::kCheck);
  Live("2.0.0");
  const Outcome<DeployAnswer> refused = Turn(TurnKind::kPromote, "2");
  ASSERT_FALSE(refused.ok()) << "the same version in another spelling";
  EXPECT_EQ(refused.error().code, ProblemCode::kVersionTaken);
  EXPECT_EQ(Routed(), "2.0.0");
  Ends(HelloFiles("2.1.0"), ReleaseGoal::kCheck);
  EXPECT_EQ(LiveAfter(TurnKind::kPromote, "2.1.0"), "2.1.0");
}

TEST_F(TurnTest, ADeployOfWhatIsLiveIsThatReleaseWhateverWasBefore) {
  Live("1.0.0");
  Ends(HelloFiles("1.1.0"), ReleaseGoal::kCanary);
  ASSERT_TRUE(Turned(TurnKind::kRollback).ok());
  const ReleaseId live = Live("1.1.0");
  const Outcome<DeployAnswer> again = Send(HelloFiles("1.1.0"));
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again.value().created);
  EXPECT_EQ(again.value().view.release.id, live);
}

TEST_F(TurnTest, ACanaryNeedsALiveReleaseAndSharesItsRequests) {
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.0.0"))).ok());
  const Outcome<DeployAnswer> alone =
      Send(HelloFiles("1.0.0"), Downgrade::kRefuse, ReleaseGoal::kCanary);
  ASSERT_FALSE(alone.ok());
  EXPECT_EQ(alone.error().code, ProblemCode::kNothingLive);
  const ReleaseId live = Live("1.0.0");
  const ReleaseId canary = Ends(HelloFiles("1.1.0"), ReleaseGoal::kCanary);
  EXPECT_EQ(StateOf(canary), ReleaseState::kCanary);
  EXPECT_EQ(Snapshot()->live, live);
  EXPECT_EQ(Snapshot()->canary, canary);
  EXPECT_EQ(Snapshot()->canary_percent, 10U);
  EXPECT_TRUE(workers->pools.contains(canary.number));
  Crash();
  Start();
  EXPECT_EQ(Snapshot()->canary, canary) << "a restart keeps it";
  EXPECT_EQ(workers->adopted.size(), 2U);
}

TEST_F(TurnTest, ACanaryIsPromotedWithTheWorkersThatItHas) {
  const ReleaseId live = Live("1.0.0");
  const ReleaseId canary = Ends(HelloFiles("1.1.0"), ReleaseGoal::kCanary);
  workers->running[live.number] = 3;
  EXPECT_EQ(LiveAfter(TurnKind::kPromote, "1.1.0"), "1.1.0");
  EXPECT_EQ(workers->counts.back(), 2U) << "one was there";
  EXPECT_FALSE(Snapshot()->canary.valid());
  EXPECT_TRUE(workers->pools.contains(canary.number));
  EXPECT_EQ(workers->retired.back(), live.number);
  EXPECT_EQ(LiveAfter(TurnKind::kRollback), "1.0.0");
}

TEST_F(TurnTest, ARollbackEndsACanary) {
  Live("0.9.0");
  Live("1.0.0");
  const ReleaseId canary = Ends(HelloFiles("1.1.0"), ReleaseGoal::kCanary);
  const Outcome<DeployAnswer> answer = Turn(TurnKind::kRollback);
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer.value().created);
  EXPECT_FALSE(Snapshot()->canary.valid());
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_TRUE(Becomes(canary, ReleaseState::kKept));
  EXPECT_EQ(LiveAfter(TurnKind::kRollback), "0.9.0");
}

TEST_F(TurnTest, ADeployEndsACanary) {
  Live("1.0.0");
  const ReleaseId canary = Ends(HelloFiles("1.1.0"), ReleaseGoal::kCanary);
  Live("1.2.0");
  EXPECT_FALSE(Snapshot()->canary.valid());
  EXPECT_TRUE(Becomes(canary, ReleaseState::kKept));
}

TEST_F(TurnTest, NothingElseHappensToTheAppMeanwhile) {
  Live("1.0.0");
  Live("1.1.0");
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.2.0"))).ok());
  workers->hold_boots = true;
  const Outcome<DeployAnswer> back = Turn(TurnKind::kRollback);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(Send(HelloFiles("1.2.0")).error().code, ProblemCode::kDeployInProgress);
  EXPECT_EQ(Refused(TurnKind::kRollback), "deploy_in_progress");
  workers->EndBoots();
  ASSERT_TRUE(Settled(back.value().view.release.id).ok());
  EXPECT_EQ(Routed(), "1.0.0");
  Live("1.2.0");
}

TEST_F(TurnTest, ALimitOfTodayHoldsForAReleaseOfYesterday) {
  Files files = HelloFiles("1.0.0");
  files[0].second = ManifestOf("1.0.0", "[workers]\nmax = 6\n");
  Ends(files, ReleaseGoal::kLive);
  Live("1.1.0");
  Crash();
  LimitSettings tighter;
  tighter.workers_max = 4;
  tighter.worker.memory_max = MiB(32);
  Begin(tighter);
  Start();
  EXPECT_EQ(LiveAfter(TurnKind::kRollback), "1.0.0");
  EXPECT_EQ(workers->specs.back().workers_max, 4U);
  EXPECT_EQ(workers->specs.back().limits.memory_max, MiB(32));
}

TEST_F(TurnTest, AWayBackThatANodeLeavesBehindIsTakenByTheNext) {
  const ReleaseId first = Live("1.0.0");
  Live("1.1.0");
  ASSERT_TRUE(Becomes(first, ReleaseState::kKept));
  workers->hold_boots = true;
  ASSERT_TRUE(Turn(TurnKind::kRollback).ok());
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  bool closed = false;
  releases->Close([&] { closed = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return closed; }));
  EXPECT_TRUE(View(first).value().under_way) << "who follows it is to ask again";
  Crash();
  Start();
  EXPECT_TRUE(View(first).value().under_way);
  const ReleaseView view = Settled(first).value();
  EXPECT_EQ(view.release.state, ReleaseState::kLive);
  EXPECT_FALSE(view.under_way);
  EXPECT_EQ(Routed(), "1.0.0");
}

// It was chosen, and the client is told that it is under way, when the node is told to go.
TEST_F(TurnTest, AWayBackThatHadNotBegunIsTakenByTheNext) {
  const ReleaseId first = Live("1.0.0");
  Live("1.1.0");
  ASSERT_TRUE(Becomes(first, ReleaseState::kKept));
  bool answered = false;
  bool closed = false;
  releases->pipeline().Turn(Hello(), {.kind = TurnKind::kRollback, .version = ""}, "tester",
                            [&](const Outcome<DeployAnswer>& answer) {
                              answered = true;
                              EXPECT_TRUE(answer.ok());
                            });
  releases->Close([&] { closed = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return closed; }));
  EXPECT_TRUE(answered);
  Crash();
  Start();
  EXPECT_EQ(Settled(first).value().release.state, ReleaseState::kLive);
  EXPECT_EQ(Routed(), "1.0.0");
}

}  // namespace
}  // namespace cloister
