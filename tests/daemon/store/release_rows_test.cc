#include "daemon/store/release_rows.h"

#include <gtest/gtest.h>

#include "daemon/store/audit.h"
#include "daemon/store/retention.h"
#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

using ReleaseRowsTest = StoreTest;

TEST_F(ReleaseRowsTest, AReleaseComesBackAsItWas) {
  NewRelease release = Release("1.2.3", {FileOf("b.py", "b"), FileOf("a.py", "a")});
  release.run.limits.memory_max = MiB(64);
  release.run.limits.wall_max = Millis(1234);
  release.run.workers_max = 3;
  release.run.statics = "/s/\tstatic/\t0\n";
  release.left_out = 2;
  release.note = "a note";
  const ReleaseRow row = Must(CreateRelease(db_, release, At(5)));
  EXPECT_EQ(row.version, "1.2.3");
  EXPECT_EQ(row.attempt, 1U);
  EXPECT_EQ(row.state, ReleaseState::kReceived);
  EXPECT_FALSE(row.live);
  EXPECT_FALSE(row.was_live);
  EXPECT_EQ(row.digest, release.digest);
  EXPECT_EQ(row.run.entry, "main:application");
  EXPECT_EQ(row.run.limits.memory_max, MiB(64));
  EXPECT_EQ(row.run.limits.wall_max, Millis(1234));
  EXPECT_EQ(row.run.workers_max, 3U);
  EXPECT_EQ(row.run.statics, "/s/\tstatic/\t0\n");
  EXPECT_EQ(row.created_at, At(5).when);
  EXPECT_EQ(Must(FindManifest(db_, row.id)), "manifest of 1.2.3");
  const std::vector<ReleaseFile> files = Must(ListFiles(db_, row.id));
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].path, "a.py");
  EXPECT_EQ(files[0].sha256, Sha256Of("a"));
  const std::vector<StepRow> steps = Must(ListSteps(db_, row.id));
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].name, "received");
  EXPECT_EQ(steps[0].outcome, StepOutcome::kDone);
  EXPECT_EQ(steps[0].detail, "2 files, 2 left out; a note");
  EXPECT_EQ(FindRelease(db_, {row.id.number + 1}).error().code, ErrorCode::kNotFound);
}

TEST_F(ReleaseRowsTest, AReleaseIsAllThereOrNotAtAll) {
  const std::int64_t audit = Count(db_, "audit");
  // The second of two files of one path breaks the key, after rows of the release were written.
  const Result<ReleaseRow> release =
      CreateRelease(db_, Release("1.0.0", {FileOf("a.py", "a"), FileOf("a.py", "b")}), At(0));
  EXPECT_FALSE(release.ok());
  EXPECT_EQ(Count(db_, "releases"), 0);
  EXPECT_EQ(Count(db_, "release_files"), 0);
  EXPECT_EQ(Count(db_, "steps"), 0);
  EXPECT_EQ(Count(db_, "audit"), audit);
}

TEST_F(ReleaseRowsTest, AVersionThatIsSentAgainIsAnotherAttempt) {
  EXPECT_EQ(Must(CreateRelease(db_, Release("1.0.0"), At(0))).attempt, 1U);
  EXPECT_EQ(Must(CreateRelease(db_, Release("1.0.0"), At(1))).attempt, 2U);
  EXPECT_EQ(Must(CreateRelease(db_, Release("2.0.0"), At(2))).attempt, 1U);
  EXPECT_EQ(Must(ListVersion(db_, app_.id, "1.0.0")).size(), 2U);
  EXPECT_EQ(Must(ListReleases(db_, app_.id, 2)).front().version, "2.0.0");
}

TEST_F(ReleaseRowsTest, OneTransactionMakesTheNewOneLiveAndTheOldOneDrain) {
  const ReleaseRow first = ReleaseIn(ReleaseState::kLive, "1.0.0");
  EXPECT_TRUE(first.live);
  const ReleaseRow second = ReleaseIn(ReleaseState::kChecked, "1.1.0");
  EXPECT_EQ(Must(FindLive(db_, app_.id))->id, first.id);
  EXPECT_EQ(Must(GoLive(db_, second.id, 0, "demo/hello@1.1.0", At(1))), Displaced{first.id});
  EXPECT_EQ(Must(FindLive(db_, app_.id))->id, second.id);
  const ReleaseRow former = Must(FindRelease(db_, first.id));
  EXPECT_EQ(former.state, ReleaseState::kDraining);
  EXPECT_TRUE(former.was_live);
  EXPECT_FALSE(former.live);
  EXPECT_EQ(Must(ListSteps(db_, first.id)).back().name, "draining");
  EXPECT_EQ(Must(ListAudit(db_, 1)).front().action, "release_live");
  Must(FinishDraining(db_, first.id, At(2).when));
  EXPECT_EQ(Must(FindRelease(db_, first.id)).state, ReleaseState::kKept);
  EXPECT_EQ(Must(ListSteps(db_, first.id)).back().outcome, StepOutcome::kDone);
  EXPECT_EQ(Must(ListTakenVersions(db_, app_.id)), (std::vector<std::string>{"1.0.0", "1.1.0"}));
}

TEST_F(ReleaseRowsTest, TheDatabaseItselfKnowsOneLiveReleaseAnApp) {
  ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow second = ReleaseIn(ReleaseState::kBooted, "1.1.0");
  EXPECT_EQ(db_.Run("UPDATE releases SET live = 1 WHERE id = ?", second.id.number).error().code,
            ErrorCode::kAlreadyExists);
}

TEST_F(ReleaseRowsTest, DrainingThatEndsLateChangesNothing) {
  const ReleaseRow live = ReleaseIn(ReleaseState::kLive, "1.0.0");
  Must(FinishDraining(db_, live.id, At(1).when));
  EXPECT_EQ(Must(FindRelease(db_, live.id)).state, ReleaseState::kLive);
  Must(FinishDraining(db_, {live.id.number + 7}, At(1).when));
}

TEST_F(ReleaseRowsTest, ARejectionKeepsWhyAndAWayOut) {
  const ReleaseRow release = ReleaseIn(ReleaseState::kVerified, "1.0.0");
  Must(StartStep(db_, release.id, "compiled", At(1).when));
  const ReportRow report{.code = "syntax_error",
                         .message = "invalid syntax",
                         .file = "main.py",
                         .line = 3,
                         .traceback = "  if x\n      ^",
                         .advice = "correct it"};
  Must(RejectRelease(db_, release.id, report, "demo/hello@1.0.0", At(2)));
  EXPECT_EQ(Must(FindRelease(db_, release.id)).state, ReleaseState::kRejected);
  const std::optional<ReportRow> found = Must(FindReport(db_, release.id));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->code, "syntax_error");
  EXPECT_EQ(found->line, 3U);
  EXPECT_EQ(found->traceback, report.traceback);
  EXPECT_EQ(found->advice, "correct it");
  const StepRow step = Must(ListSteps(db_, release.id)).back();
  EXPECT_EQ(step.name, "compiled");
  EXPECT_EQ(step.outcome, StepOutcome::kFailed);
  EXPECT_EQ(step.ended_at, At(2).when);
  EXPECT_FALSE(Must(FindReport(db_, {release.id.number + 1})));
}

TEST_F(ReleaseRowsTest, ARestartRejectsWhatWasUnderWayAndKeepsWhatDrained) {
  const ReleaseRow kept = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow live = ReleaseIn(ReleaseState::kLive, "1.1.0");
  const ReleaseRow booted = ReleaseIn(ReleaseState::kBooted, "1.2.0");
  const ReleaseRow received = ReleaseIn(ReleaseState::kReceived, "1.3.0");
  Must(StartStep(db_, received.id, "verified", At(1).when));
  EXPECT_EQ(
      Must(CloseInterrupted(db_, {.code = "interrupted", .message = "stopped"}, At(2))).rejected,
      2U);
  EXPECT_EQ(Must(FindRelease(db_, kept.id)).state, ReleaseState::kKept);
  EXPECT_EQ(Must(FindRelease(db_, live.id)).state, ReleaseState::kLive);
  EXPECT_EQ(Must(FindLive(db_, app_.id))->id, live.id);
  for (const ReleaseId id : {booted.id, received.id}) {
    EXPECT_EQ(Must(FindRelease(db_, id)).state, ReleaseState::kRejected);
    EXPECT_EQ(Must(FindReport(db_, id))->code, "interrupted");
  }
  EXPECT_EQ(Must(ListSteps(db_, received.id)).back().outcome, StepOutcome::kFailed);
  EXPECT_EQ(Must(CloseInterrupted(db_, {}, At(3))).rejected, 0U);
}

TEST_F(ReleaseRowsTest, WhatWasMarkedIsResumedOnce) {
  const ReleaseRow booted = ReleaseIn(ReleaseState::kBooted, "1.2.0");
  Must(StartStep(db_, booted.id, "checked", At(1).when));
  Must(MarkForResume(db_, {booted.id, ResumeMark::Walk::kDeploy}, At(1).when));
  const Unfinished found = Must(CloseInterrupted(db_, {.code = "interrupted"}, At(2)));
  EXPECT_EQ(found.rejected, 0U);
  ASSERT_EQ(found.resumed.size(), 1U);
  EXPECT_EQ(found.resumed.front().id, booted.id);
  EXPECT_EQ(Must(FindRelease(db_, booted.id)).state, ReleaseState::kBooted);
  EXPECT_EQ(Must(ListSteps(db_, booted.id)).back().outcome, StepOutcome::kFailed);
  EXPECT_EQ(Must(CloseInterrupted(db_, {.code = "interrupted"}, At(3))).rejected, 1U)
      << "a node that crashes while it resumes does not do so for ever";
}

TEST_F(ReleaseRowsTest, AMarkedRollbackIsResumedFromWhereItStood) {
  const ReleaseRow former = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow live = ReleaseIn(ReleaseState::kLive, "1.1.0");
  ASSERT_EQ(Must(FindRelease(db_, former.id)).state, ReleaseState::kDraining);
  Must(StartStep(db_, former.id, "live", At(1).when));
  Must(MarkForResume(db_, {former.id, ResumeMark::Walk::kTurn}, At(1).when));
  const Unfinished found = Must(CloseInterrupted(db_, {.code = "interrupted"}, At(2)));
  EXPECT_EQ(found.rejected, 0U);
  ASSERT_EQ(found.resumed.size(), 1U);
  EXPECT_EQ(found.resumed.front().id, former.id);
  EXPECT_EQ(found.resumed.front().state, ReleaseState::kKept) << "it does not drain any more";
  EXPECT_EQ(Must(FindLive(db_, app_.id))->id, live.id);
  for (const StepRow& step : Must(ListSteps(db_, former.id)))
    EXPECT_EQ(step.outcome, step.sequence == Must(ListSteps(db_, former.id)).back().sequence
                                ? StepOutcome::kFailed
                                : StepOutcome::kDone);
  Must(StartStep(db_, former.id, "live", At(3).when));
  EXPECT_TRUE(Must(CloseInterrupted(db_, {.code = "interrupted"}, At(4))).resumed.empty())
      << "a crash does not go on with it";
}

TEST_F(ReleaseRowsTest, AMarkedRollbackThatHadNotBegunBegins) {
  const ReleaseRow former = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow live = ReleaseIn(ReleaseState::kLive, "1.1.0");
  Must(MarkForResume(db_, {former.id, ResumeMark::Walk::kTurn}, At(1).when));
  EXPECT_TRUE(Must(CloseInterrupted(db_, {.code = "interrupted"}, At(2))).resumed.empty())
      << "its step had ended";
  Must(MarkForResume(db_, {former.id, ResumeMark::Walk::kTurnToBegin}, At(3).when));
  const Unfinished found = Must(CloseInterrupted(db_, {.code = "interrupted"}, At(4)));
  ASSERT_EQ(found.resumed.size(), 1U);
  EXPECT_EQ(found.resumed.front().id, former.id);
}

TEST_F(ReleaseRowsTest, AWalkThatEndsBesideItsMarkIsNotResumed) {
  const auto marks = [this](const ReleaseRow& release) {
    Must(MarkForResume(db_, {release.id, ResumeMark::Walk::kDeploy}, At(2).when));
    return Must(CloseInterrupted(db_, {.code = "interrupted"}, At(3))).resumed.size();
  };
  const ReleaseRow live = ReleaseIn(ReleaseState::kChecked, "1.0.0");
  Must(GoLive(db_, live.id, 0, "", At(1)));
  EXPECT_EQ(marks(live), 0U);
  const ReleaseRow rejected = ReleaseIn(ReleaseState::kBooted, "1.1.0");
  Must(RejectRelease(db_, rejected.id, {.code = "no"}, "", At(1)));
  EXPECT_EQ(marks(rejected), 0U);
  const ReleaseRow checked = ReleaseIn(ReleaseState::kChecked, "1.2.0");
  Must(KeepChecked(db_, checked.id, "", At(1)));
  EXPECT_EQ(marks(checked), 0U);
  // Or after it was marked.
  const ReleaseRow late = ReleaseIn(ReleaseState::kChecked, "1.3.0");
  Must(MarkForResume(db_, {late.id, ResumeMark::Walk::kDeploy}, At(2).when));
  Must(GoLive(db_, late.id, 0, "", At(3)));
  EXPECT_TRUE(Must(CloseInterrupted(db_, {.code = "interrupted"}, At(4))).resumed.empty());
}

TEST_F(ReleaseRowsTest, AnAttemptIsNumberedBehindThoseThatAreGone) {
  const ReleaseRow first = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow second = ReleaseIn(ReleaseState::kLive, "2.0.0");
  ReleaseIn(ReleaseState::kLive, "3.0.0");
  for (const ReleaseRow& drained : {first, second})
    Must(FinishDraining(db_, drained.id, At(1).when));
  Must(CollectReleases(db_, app_, {.kept_max = 0, .before = {}}, At(2), {}));
  EXPECT_EQ(ReleaseIn(ReleaseState::kReceived, "1.0.0").attempt, 2U);
}

TEST_F(ReleaseRowsTest, ACanaryServesBesideTheLiveReleaseAndTakesItsVersion) {
  const ReleaseRow live = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow canary = ReleaseIn(ReleaseState::kChecked, "1.1.0");
  EXPECT_TRUE(Must(GoCanary(db_, canary.id, 0, "", At(1))).empty());
  EXPECT_EQ(Must(FindLive(db_, app_.id))->id, live.id);
  EXPECT_EQ(Must(FindCanary(db_, app_.id))->id, canary.id);
  EXPECT_EQ(Must(ListServing(db_)).size(), 2U);
  EXPECT_TRUE(Must(FindRelease(db_, canary.id)).was_live) << "its version is taken";
  const ReleaseRow next = ReleaseIn(ReleaseState::kChecked, "1.2.0");
  EXPECT_EQ(Must(GoCanary(db_, next.id, 0, "", At(2))), Displaced{canary.id}) << "one at a time";
  EXPECT_EQ(Must(GoLive(db_, next.id, 0, "", At(3))), Displaced{live.id});
  EXPECT_FALSE(Must(FindCanary(db_, app_.id)));
  EXPECT_EQ(Must(FindPrevious(db_, app_.id))->id, live.id) << "a withdrawn canary never was live";
}

TEST_F(ReleaseRowsTest, ALiveReleaseEndsTheCanary) {
  const ReleaseRow live = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow canary = ReleaseIn(ReleaseState::kChecked, "1.1.0");
  Must(GoCanary(db_, canary.id, 0, "", At(1)));
  const ReleaseRow next = ReleaseIn(ReleaseState::kChecked, "1.2.0");
  EXPECT_EQ(Must(GoLive(db_, next.id, 0, "", At(2))), (Displaced{live.id, canary.id}));
  EXPECT_EQ(Must(FindRelease(db_, canary.id)).state, ReleaseState::kDraining);
}

TEST_F(ReleaseRowsTest, ThePreviousReleaseIsByOrderAndNotByClock) {
  const ReleaseRow first = ReleaseIn(ReleaseState::kLive, "1.0.0");
  const ReleaseRow second = ReleaseIn(ReleaseState::kChecked, "1.1.0");
  Must(GoLive(db_, second.id, 0, "", At(-100'000)));
  const ReleaseRow third = ReleaseIn(ReleaseState::kChecked, "1.2.0");
  Must(GoLive(db_, third.id, 0, "", At(-200'000)));
  EXPECT_EQ(Must(FindPrevious(db_, app_.id))->id, second.id);
  Must(GoLive(db_, second.id, 0, "", At(5)));
  EXPECT_EQ(Must(FindPrevious(db_, app_.id))->id, third.id);
  EXPECT_NE(Must(FindPrevious(db_, app_.id))->id, first.id);
}

TEST_F(ReleaseRowsTest, AFailedWayBackLeavesTheReleaseKept) {
  const ReleaseRow first = ReleaseIn(ReleaseState::kLive, "1.0.0");
  Must(GoLive(db_, ReleaseIn(ReleaseState::kChecked, "1.1.0").id, 0, "", At(1)));
  Must(FinishDraining(db_, first.id, At(2).when));
  Must(StartStep(db_, first.id, "live", At(3).when));
  Must(FailStep(db_, first.id, {.code = "import_error", .message = "no"}, "", At(4)));
  EXPECT_EQ(Must(FindRelease(db_, first.id)).state, ReleaseState::kKept);
  EXPECT_EQ(Must(FindReport(db_, first.id))->code, "import_error");
  EXPECT_EQ(Must(ListSteps(db_, first.id)).back().outcome, StepOutcome::kFailed);
  Must(StartStep(db_, first.id, "live", At(5).when));
  Must(GoLive(db_, first.id, 0, "", At(6)));
  EXPECT_FALSE(Must(FindReport(db_, first.id)));
}

}  // namespace
}  // namespace cloister
