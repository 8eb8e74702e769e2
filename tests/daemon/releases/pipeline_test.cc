#include "daemon/releases/pipeline.h"

#include <gtest/gtest.h>

#include "daemon/store/audit.h"
#include "daemon/store/schema.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

class PipelineTest : public NodeTest {
 protected:
  ReleaseView Live(const Files& files, Downgrade downgrade = Downgrade::kRefuse) {
    Outcome<ReleaseView> view = Deploy(files, downgrade);
    EXPECT_TRUE(view.ok()) << view.error().detail;
    EXPECT_EQ(view.value().release.state, ReleaseState::kLive)
        << view.value().report.value_or(ReportRow()).message;
    return std::move(view).value();
  }
  ReleaseView Rejected(const Files& files) {
    Outcome<ReleaseView> view = Deploy(files);
    EXPECT_TRUE(view.ok()) << view.error().detail;
    EXPECT_EQ(view.value().release.state, ReleaseState::kRejected);
    EXPECT_TRUE(view.value().report.has_value());
    view.value().report = view.value().report.value_or(ReportRow());
    return std::move(view).value();
  }
  void ExpectProblem(const Outcome<DeployAnswer>& answer, ProblemCode code) {
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(InfoOf(answer.error().code).code, InfoOf(code).code) << answer.error().detail;
  }
  std::size_t ReleaseCount() {
    return Wait<std::vector<ReleaseView>>(
               [&](const auto& done) { releases->pipeline().List(Hello(), 1000, done); })
        .value()
        .size();
  }
  void Sql(const std::string& sql) {
    bool ran = false;
    state->Write(
        0, [sql](Database& db) { return db.Execute(sql); },
        [&](const Result<void>& result) {
          ran = true;
          EXPECT_TRUE(result.ok()) << result.error().message;
        });
    ASSERT_TRUE(RunUntil(loop, [&] { return ran; }));
  }
};

TEST_F(PipelineTest, ADeployWalksToLiveAndIsServed) {
  StartWithApp();
  const ReleaseView view = Live(HelloFiles("1.0.0"));
  std::vector<std::string> names;
  for (const StepRow& step : view.steps) {
    names.push_back(step.name);
    EXPECT_EQ(step.outcome, StepOutcome::kDone);
    EXPECT_LE(step.started_at, step.ended_at);
    EXPECT_NE(step.ended_at, WallTime());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"received", "verified", "compiled", "booted",
                                             "checked", "live"}));
  EXPECT_TRUE(view.release.live);
  EXPECT_FALSE(view.report);
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(workers->booted, (std::vector<std::string>{"1.0.0", "1.0.0"}));
  EXPECT_EQ(workers->specs.front().writes, Writes::kOverlay);
  EXPECT_EQ(workers->specs.back().writes, Writes::kKept) << "what goes live is booted anew";
  EXPECT_EQ(workers->specs.back().entry, "main:application");
  EXPECT_EQ(workers->specs.back().app, Hello());
}

TEST_F(PipelineTest, TheImageHasTheFilesAndTheirBytecode) {
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  EXPECT_EQ(workers->last_image_code,
            (std::map<std::string, std::string>{
                {"cloister.toml", ""}, {"main.py", "code of main.py"}, {"static/logo.txt", ""}}));
}

TEST_F(PipelineTest, OnlyWhatIsNewIsCompiled) {
  StartWithApp();
  Files files = HelloFiles("1.0.0");
  files.emplace_back("pkg/same.py", "x = 1\n");
  Live(files);
  files[0].second = ManifestOf("1.0.1");
  files[1].second += "# changed\n";
  Live(files);
  files[0].second = ManifestOf("1.0.2");
  Live(files);
  EXPECT_EQ(workers->compiled,
            (std::vector<std::vector<std::string>>{{"main.py", "pkg/same.py"}, {"main.py"}}));
}

TEST_F(PipelineTest, TheFormerReleaseDrainsAndIsKept) {
  StartWithApp();
  workers->hold_draining = true;
  const ReleaseId first = Live(HelloFiles("1.0.0")).release.id;
  const ReleaseId second = Live(HelloFiles("1.1.0")).release.id;
  EXPECT_EQ(Routed(), "1.1.0");
  EXPECT_EQ(StateOf(first), ReleaseState::kDraining);
  EXPECT_EQ(workers->retired.back(), first.number);
  workers->EndDraining();
  EXPECT_TRUE(Becomes(first, ReleaseState::kKept));
  EXPECT_EQ(StateOf(second), ReleaseState::kLive);
  EXPECT_EQ(View(first).value().steps.back().name, "draining");
}

TEST_F(PipelineTest, ASyntaxErrorRejectsWithItsPlaceAndAWayOut) {
  StartWithApp();
  const ReleaseId live = Live(HelloFiles("1.0.0")).release.id;
  workers->compile_failure = BootFailure{.code = "syntax_error",
                                         .message = "invalid syntax",
                                         .file = "main.py",
                                         .line = 2,
                                         .traceback = "  if x\n      ^"};
  const ReleaseView view = Rejected(HelloFiles("1.1.0", "changed"));
  EXPECT_EQ(ReportOf(view).code, "syntax_error");
  EXPECT_EQ(ReportOf(view).file, "main.py");
  EXPECT_EQ(ReportOf(view).line, 2U);
  EXPECT_EQ(ReportOf(view).traceback, "  if x\n      ^");
  EXPECT_FALSE(ReportOf(view).advice.empty());
  EXPECT_EQ(view.steps.back().name, "compiled");
  EXPECT_EQ(view.steps.back().outcome, StepOutcome::kFailed);
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(workers->pools, std::set<std::uint64_t>{live.number});
}

TEST_F(PipelineTest, AFailedBootRejectsAndItsPoolGoes) {
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  workers->boot_failure = FailureOf("import_error", "No module named 'flask'");
  const ReleaseView view = Rejected(HelloFiles("1.1.0"));
  EXPECT_EQ(ReportOf(view).code, "import_error");
  EXPECT_EQ(view.steps.back().name, "booted");
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_FALSE(workers->pools.contains(view.release.id.number));
}

TEST_F(PipelineTest, WhatATenantSaysInAReportIsBounded) {
  StartWithApp();
  workers->boot_failure = BootFailure{.code = "import_error",
                                      .message = std::string(1 << 20, 'm'),
                                      .file = std::string(1 << 20, 'f'),
                                      .traceback = std::string(1 << 20, 't')};
  const ReleaseView view = Rejected(HelloFiles("1.0.0"));
  EXPECT_LT(ReportOf(view).message.size() + ReportOf(view).file.size(), 10'000U);
  EXPECT_LT(ReportOf(view).traceback.size(), 100'000U);
}

TEST_F(PipelineTest, ARejectedVersionMayBeSentAgain) {
  StartWithApp();
  workers->boot_failure = FailureOf("import_error", "no");
  EXPECT_EQ(Rejected(HelloFiles("1.0.0")).release.attempt, 1U);
  workers->boot_failure.reset();
  const ReleaseView view = Live(HelloFiles("1.0.0", "mended"));
  EXPECT_EQ(view.release.attempt, 2U);
  EXPECT_EQ(Routed(), "1.0.0");
}

TEST_F(PipelineTest, AManifestWithErrorsIsRejectedWithItsLine) {
  StartWithApp();
  Files files = HelloFiles("1.0.0");
  files[0].second.replace(files[0].second.find("version"), 7, "versoin");
  const ReleaseView view = Rejected(files);
  EXPECT_EQ(view.release.version, kNoVersion);
  EXPECT_EQ(ReportOf(view).code, "manifest_invalid");
  EXPECT_EQ(ReportOf(view).file, "cloister.toml");
  EXPECT_EQ(ReportOf(view).line, 3U);
  EXPECT_NE(ReportOf(view).message.find("versoin"), std::string::npos) << ReportOf(view).message;
  EXPECT_EQ(view.steps.back().name, "verified");
  files[0].second = "\xff\xfe is no text";
  EXPECT_EQ(ReportOf(Rejected(files)).code, "manifest_invalid");
}

TEST_F(PipelineTest, StaticPathsAreRoutedWithTheirRelease) {
  StartWithApp();
  const auto statics = [this] {
    const AppEntry* app = releases->catalog().FindApp(Hello());
    const auto routes = router->Current(app->row.id)->live_statics;
    return routes == nullptr ? "none" : StaticsText(*routes);
  };
  Files files = HelloFiles("1.0.0");
  files[0].second += "[static]\n\"/s/\" = { folder = \"static\", cache = \"1h\" }\n";
  ASSERT_EQ(Live(files).release.state, ReleaseState::kLive);
  EXPECT_EQ(statics(), "/s/\tstatic/\t3600\n");
  Crash();
  Start();
  EXPECT_EQ(statics(), "/s/\tstatic/\t3600\n") << "they outlive the process";
  ASSERT_EQ(Live(HelloFiles("2.0.0")).release.state, ReleaseState::kLive);
  EXPECT_EQ(statics(), "none");
  ASSERT_TRUE(Turned(TurnKind::kRollback).ok());
  EXPECT_EQ(statics(), "/s/\tstatic/\t3600\n");
}

TEST_F(PipelineTest, AStaticPathThatLeadsToNothingIsRejectedWithItsLine) {
  StartWithApp();
  Files files = HelloFiles("1.0.0");
  files[0].second += "[static]\n\"/s/\" = \"statik\"\n";
  const ReleaseView view = Rejected(files);
  EXPECT_EQ(ReportOf(view).code, "manifest_invalid");
  EXPECT_EQ(ReportOf(view).file, "cloister.toml");
  EXPECT_EQ(ReportOf(view).line, 8U);
  EXPECT_NE(ReportOf(view).message.find("the bundle has no file below it"), std::string::npos);
  EXPECT_EQ(view.steps.back().name, "verified");
}

TEST_F(PipelineTest, TheSameBundleAgainIsAnsweredWithTheLiveRelease) {
  StartWithApp();
  const ReleaseId live = Live(HelloFiles("1.0.0")).release.id;
  const Outcome<DeployAnswer> again = Send(HelloFiles("1.0.0"));
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again.value().created);
  EXPECT_EQ(again.value().view.release.id, live);
  EXPECT_EQ(ReleaseCount(), 1U);
}

TEST_F(PipelineTest, AVersionThatWasLiveNeverChanges) {
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  Files other = HelloFiles("1.0.0", "other");
  other.emplace_back("added.py", "");
  ASSERT_TRUE(Upload("demo", BatchOf(other)).ok());
  const Outcome<DeployAnswer> refused = Send(other);
  ExpectProblem(refused, ProblemCode::kVersionTaken);
  EXPECT_EQ(refused.error().list_name, "files");
  EXPECT_EQ(refused.error().list, (std::vector<std::string>{"added.py", "main.py"}));
  Live(HelloFiles("1.1.0"));
  ExpectProblem(Send(other, Downgrade::kAllow), ProblemCode::kVersionTaken);
  EXPECT_EQ(ReleaseCount(), 2U);
}

TEST_F(PipelineTest, ALowerVersionIsRefusedUnlessAllowed) {
  StartWithApp();
  Live(HelloFiles("1.10.0"));
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.9.0"))).ok());
  const Outcome<DeployAnswer> refused = Send(HelloFiles("1.9.0"));
  ExpectProblem(refused, ProblemCode::kVersionLower);
  EXPECT_NE(refused.error().detail.find("1.10.0"), std::string::npos);
  Live(HelloFiles("1.9.0"), Downgrade::kAllow);
  EXPECT_EQ(Routed(), "1.9.0");
}

TEST_F(PipelineTest, ADowngradeToTheSameFilesIsAllowed) {
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  Live(HelloFiles("1.1.0"));
  const ReleaseView view = Live(HelloFiles("1.0.0"), Downgrade::kAllow);
  EXPECT_EQ(view.release.attempt, 2U);
  EXPECT_EQ(Routed(), "1.0.0");
}

TEST_F(PipelineTest, TwoSpellingsOfOneNumberAreOneVersion) {
  StartWithApp();
  Live(HelloFiles("7"));
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("7.0.0"))).ok());
  ExpectProblem(Send(HelloFiles("7.0.0")), ProblemCode::kVersionTaken);
}

TEST_F(PipelineTest, ContentsThatAreNotThereAreNamed) {
  StartWithApp();
  const Files files = HelloFiles("1.0.0");
  ASSERT_TRUE(Upload("demo", BatchOf({files[0], files[2]})).ok());
  const Outcome<DeployAnswer> refused = Send(files);
  ExpectProblem(refused, ProblemCode::kContentsMissing);
  EXPECT_EQ(refused.error().list_name, "missing");
  EXPECT_EQ(refused.error().list, std::vector<std::string>{Sha256Of(files[1].second).Hex()});
  EXPECT_EQ(ReleaseCount(), 0U);
}

TEST_F(PipelineTest, AnotherTenantsContentsDoNotCount) {
  StartWithApp();
  ASSERT_TRUE(CreateTenant("other").ok());
  ASSERT_TRUE(Upload("other", BatchOf(HelloFiles("1.0.0"))).ok());
  const Outcome<DeployAnswer> refused = Send(HelloFiles("1.0.0"));
  ExpectProblem(refused, ProblemCode::kContentsMissing);
  EXPECT_EQ(refused.error().list.size(), 3U);
}

TEST_F(PipelineTest, OneDeployOfAnAppAtATime) {
  StartWithApp();
  workers->hold_boots = true;
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.0.0"))).ok());
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("2.0.0"))).ok());
  const Outcome<DeployAnswer> first = Send(HelloFiles("1.0.0"));
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(first.value().created);
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  ExpectProblem(Send(HelloFiles("2.0.0")), ProblemCode::kDeployInProgress);
  const Outcome<DeployAnswer> repeated = Send(HelloFiles("1.0.0"));
  ASSERT_TRUE(repeated.ok()) << "the same bundle is the same deploy";
  EXPECT_FALSE(repeated.value().created);
  EXPECT_EQ(repeated.value().view.release.id, first.value().view.release.id);
  workers->EndBoots();
  ASSERT_TRUE(Settled(first.value().view.release.id).ok());
  EXPECT_EQ(Routed(), "1.0.0");
  Live(HelloFiles("2.0.0"));
}

TEST_F(PipelineTest, AppsDeployAtTheSameTime) {
  StartWithApp();
  ASSERT_TRUE(CreateApp("demo", "other").ok());
  workers->hold_boots = true;
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.0.0"))).ok());
  ASSERT_TRUE(Send(HelloFiles("1.0.0")).ok());
  const Outcome<DeployAnswer> other = Wait<DeployAnswer>([&](const auto& done) {
    releases->pipeline().Deploy(
        {.app = std::move(AppName::Parse("demo/other")).value(),
         .bundle = std::move(CheckBundle(ListOf(HelloFiles("1.0.0")))).value(),
         .who = "tester"},
        done);
  });
  EXPECT_TRUE(other.ok());
  EXPECT_TRUE(RunUntil(loop, [&] { return workers->specs.size() == 2; }));
}

TEST_F(PipelineTest, ADamagedContentIsNeverRun) {
  StartWithApp();
  const Files files = HelloFiles("1.0.0");
  ASSERT_TRUE(Upload("demo", BatchOf(files)).ok());
  // The bytes of another content in the place of main.py's: whole, but not what was uploaded (I5).
  Sql("UPDATE contents SET compressed = (SELECT compressed FROM contents WHERE size = 6) "
      "WHERE size > 6 AND hex(sha256) = upper('" +
      Sha256Of(files[1].second).Hex() + "')");
  const Outcome<DeployAnswer> answer = Send(files);
  ASSERT_TRUE(answer.ok());
  const ReleaseView view = Settled(answer.value().view.release.id).value();
  EXPECT_EQ(view.release.state, ReleaseState::kRejected);
  EXPECT_EQ(ReportOf(view).code, "integrity_error");
  EXPECT_NE(ReportOf(view).message.find("main.py"), std::string::npos);
  EXPECT_TRUE(workers->booted.empty());
  // It is asked for again, and that it is damaged is over.
  const Outcome<DeployAnswer> again = Send(files);
  ExpectProblem(again, ProblemCode::kContentsMissing);
  EXPECT_EQ(again.error().list, std::vector{Sha256Of(files[1].second).Hex()});
  EXPECT_EQ(Live(files).release.state, ReleaseState::kLive);
}

TEST_F(PipelineTest, ARestartPublishesWhatIsLiveAndBuildsNothing) {
  StartWithApp();
  const ReleaseId live = Live(HelloFiles("1.0.0")).release.id;
  Crash();
  Start();
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(workers->adopted, std::vector<std::uint64_t>{live.number});
  EXPECT_TRUE(workers->booted.empty());
  EXPECT_EQ(releases->catalog().FindApp(Hello())->live->version, "1.0.0");
}

TEST_F(PipelineTest, ADeployThatACrashCutIsRejectedAndTheLiveOneStays) {
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  workers->hold_boots = true;
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("2.0.0"))).ok());
  const Outcome<DeployAnswer> answer = Send(HelloFiles("2.0.0"));
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  Crash();
  Start();
  const ReleaseView cut = View(answer.value().view.release.id).value();
  EXPECT_EQ(cut.release.state, ReleaseState::kRejected);
  EXPECT_EQ(ReportOf(cut).code, "interrupted");
  EXPECT_FALSE(ReportOf(cut).advice.empty());
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(Live(HelloFiles("2.0.0")).release.attempt, 2U);
}

TEST_F(PipelineTest, AReleaseThatBootedAndNeverWentLiveIsNotLive) {
  StartWithApp();
  const ReleaseId first = Live(HelloFiles("1.0.0")).release.id;
  const ReleaseId second = Live(HelloFiles("2.0.0")).release.id;
  // As a crash between the boot and the transaction leaves it.
  Sql("UPDATE releases SET state = 'booted', live = 0, went_live_at = NULL WHERE id = " +
      std::to_string(second.number));
  Sql("UPDATE releases SET state = 'live', live = 1 WHERE id = " + std::to_string(first.number));
  Crash();
  Start();
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(StateOf(second), ReleaseState::kRejected);
}

TEST_F(PipelineTest, AFullDiskRejectsAndTheLiveReleaseStays) {
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.1.0"))).ok());
  workers->hold_boots = true;
  const Outcome<DeployAnswer> answer = Send(HelloFiles("1.1.0"));
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  // No page more than there are, and none of those for a report of this size.
  Sql("PRAGMA max_page_count = 1");
  workers->boot_failure = FailureOf("import_error", "no");
  workers->boot_failure->traceback = std::string(60'000, 't');
  workers->FailHeldBoots();
  const ReleaseView view = Settled(answer.value().view.release.id).value();
  EXPECT_EQ(view.release.state, ReleaseState::kRejected) << "although no row says so";
  EXPECT_EQ(ReportOf(view).code, "import_error");
  EXPECT_EQ(Routed(), "1.0.0");
  EXPECT_EQ(Upload("demo", BatchOf({{"", std::string(60'000, 'r')}})).ok(), true);
  std::string incompressible;
  for (int i = 0; i < 4000; ++i)
    incompressible += Sha256Of(std::to_string(i)).view();
  EXPECT_EQ(Upload("demo", BatchOf({{"", incompressible}})).error().code, ProblemCode::kDiskFull);
  Crash();
  Start();
  EXPECT_EQ(ReportOf(View(answer.value().view.release.id).value()).code, "interrupted");
  Live(HelloFiles("1.1.0"));
}

TEST_F(PipelineTest, TheSameDeployAskedForAgainWhileItIsWrittenIsThatRelease) {
  StartWithApp();
  const Files files = HelloFiles("1.0.0");
  ASSERT_TRUE(Upload("demo", BatchOf(files)).ok());
  std::vector<Outcome<DeployAnswer>> answers;
  const auto send = [&](const Files& list) {
    releases->pipeline().Deploy(
        {.app = Hello(), .bundle = CheckBundle(ListOf(list)).value(), .who = "tester"},
        [&](Outcome<DeployAnswer> answer) { answers.push_back(std::move(answer)); });
  };
  send(files);
  send(files);
  send(HelloFiles("1.0.0", "other"));
  ASSERT_TRUE(RunUntil(loop, [&] { return answers.size() == 3; }));
  ExpectProblem(answers[0], ProblemCode::kDeployInProgress);
  EXPECT_TRUE(answers[1].value().created);
  EXPECT_FALSE(answers[2].value().created);
  EXPECT_EQ(answers[1].value().view.release.id, answers[2].value().view.release.id);
}

TEST_F(PipelineTest, AWallClockThatJumpsChangesNothing) {
  constexpr Micros kYears{std::chrono::hours(24 * 365 * 3)};
  clock.JumpWall(kYears * 2);
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  int jumps = 0;
  for (const Micros jump : {-kYears, kYears * 3, -kYears * 2}) {
    workers->hold_boots = true;
    const std::string version = std::to_string(++jumps) + ".1.0";
    ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles(version))).ok());
    const ReleaseId id = Send(HelloFiles(version)).value().view.release.id;
    ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
    clock.JumpWall(jump);
    workers->EndBoots();
    const ReleaseView view = Settled(id).value();
    EXPECT_EQ(view.release.state, ReleaseState::kLive);
    EXPECT_EQ(Routed(), version);
    for (const StepRow& step : view.steps)
      EXPECT_GE(step.ended_at, step.started_at) << step.name;
  }
  // Where a plain rollback goes is no question of times.
  ASSERT_TRUE(Turned(TurnKind::kRollback).ok());
  EXPECT_EQ(Routed(), "2.1.0");
}

TEST_F(PipelineTest, WaitsEndWithAStepOrTheEnd) {
  StartWithApp();
  workers->hold_boots = true;
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("1.0.0"))).ok());
  const ReleaseId id = Send(HelloFiles("1.0.0")).value().view.release.id;
  const auto wait = [&](std::uint32_t after, Millis most) {
    auto ended = std::make_shared<bool>(false);
    releases->pipeline().WaitForStep(id, after, most, [ended] { *ended = true; });
    return ended;
  };
  const auto compiled = wait(2, Millis(60000));
  const auto booted = wait(3, Millis(60000));
  ASSERT_TRUE(RunUntil(loop, [&] { return *compiled; }));
  const auto short_wait = wait(3, Millis(1));
  ASSERT_TRUE(RunUntil(loop, [&] { return *short_wait; }));
  EXPECT_FALSE(*booted);
  const auto cancelled = std::make_shared<bool>(false);
  releases->pipeline().CancelWait(
      releases->pipeline().WaitForStep(id, 3, Millis(60000), [cancelled] { *cancelled = true; }));
  workers->EndBoots();
  ASSERT_TRUE(RunUntil(loop, [&] { return *booted; }));
  ASSERT_TRUE(Settled(id).ok());
  const auto settled = wait(1000, Millis(60000));
  ASSERT_TRUE(RunUntil(loop, [&] { return *settled; }));
  EXPECT_FALSE(*cancelled);
}

TEST_F(PipelineTest, AnotherAppsReleaseIsNotFound) {
  StartWithApp();
  const ReleaseId id = Live(HelloFiles("1.0.0")).release.id;
  ASSERT_TRUE(CreateApp("demo", "other").ok());
  const Outcome<ReleaseView> view = Wait<ReleaseView>([&](const auto& done) {
    releases->pipeline().Find(std::move(AppName::Parse("demo/other")).value(), id, done);
  });
  ASSERT_FALSE(view.ok());
  EXPECT_EQ(view.error().code, ProblemCode::kReleaseNotFound);
}

TEST_F(PipelineTest, ANodeThatLeavesPausesTheDeployAndTheNextGoesOn) {
  StartWithApp();
  Live(HelloFiles("1.0.0"));
  workers->hold_boots = true;
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("2.0.0"))).ok());
  const ReleaseId id = Send(HelloFiles("2.0.0")).value().view.release.id;
  ASSERT_TRUE(RunUntil(loop, [&] { return workers->has_held_boots(); }));
  bool closed = false;
  releases->Close([&] { closed = true; });
  ExpectProblem(Send(HelloFiles("2.0.0")), ProblemCode::kUnavailable);
  EXPECT_FALSE(CreateTenant("late").ok());
  ASSERT_TRUE(RunUntil(loop, [&] { return closed; }));
  EXPECT_FALSE(workers->pools.contains(id.number)) << "what it had booted ends";
  EXPECT_EQ(StateOf(id), ReleaseState::kCompiled);
  EXPECT_TRUE(View(id).value().under_way);
  Crash();
  Start();
  EXPECT_EQ(Routed(), "1.0.0");
  const ReleaseView view = Settled(id).value();
  EXPECT_EQ(view.release.state, ReleaseState::kLive);
  EXPECT_EQ(Routed(), "2.0.0");
  std::vector<std::string> names;
  for (const StepRow& step : view.steps)
    if (step.outcome == StepOutcome::kDone)
      names.push_back(step.name);
  EXPECT_EQ(names, (std::vector<std::string>{"received", "verified", "compiled", "booted",
                                             "checked", "live"}));
  EXPECT_EQ(workers->compiled.size(), 0U) << "what was done is not done again";
}

TEST_F(PipelineTest, AsManyWorkersTakeThePlaceAsServed) {
  StartWithApp();
  const ReleaseId first = Live(HelloFiles("1.0.0")).release.id;
  workers->running[first.number] = 5;
  const ReleaseId second = Live(HelloFiles("1.1.0")).release.id;
  EXPECT_EQ(workers->counts.back(), 5U);
  workers->running[second.number] = 100;
  Live(HelloFiles("1.2.0"));
  EXPECT_EQ(workers->counts.back(), LimitSettings().workers_max);
}

TEST_F(PipelineTest, TooManyFormerReleasesRefuseTheNextDeploy) {
  StartWithApp();
  workers->hold_draining = true;
  const std::uint32_t most = LimitSettings().draining_max;
  for (std::uint32_t i = 0; i <= most; ++i)
    Live(HelloFiles(std::to_string(i + 1) + ".0.0"));
  ASSERT_TRUE(Upload("demo", BatchOf(HelloFiles("100.0.0"))).ok());
  ExpectProblem(Send(HelloFiles("100.0.0")), ProblemCode::kDrainingFull);
  workers->EndDraining();
  ASSERT_TRUE(
      RunUntil(loop, [&] { return releases->catalog().FindApp(Hello())->draining.empty(); }));
  Live(HelloFiles("100.0.0"));
}

TEST_F(PipelineTest, LimitsAreCutToTheQuota) {
  StartWithApp();
  Files files = HelloFiles("1.0.0");
  files[0].second =
      ManifestOf("1.0.0", "[workers]\nmin = 2\nmax = 900\n[limits]\nmemory = \"64MiB\"\n");
  Live(files);
  const ReleaseSpec& spec = workers->specs.back();
  EXPECT_EQ(spec.limits.memory_max, MiB(64));
  EXPECT_EQ(spec.workers_max, LimitSettings().workers_max);
  EXPECT_EQ(spec.workers_min, 2U);
}

}  // namespace
}  // namespace cloister
