#include "daemon/releases/verifier.h"

#include <gtest/gtest.h>

#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

class VerifierTest : public NodeTest {
 protected:
  std::vector<AppRow> Apps() {
    std::vector<AppRow> apps;
    for (const auto& [name, app] : releases->catalog().apps())
      apps.push_back(app.row);
    return apps;
  }
};

TEST_F(VerifierTest, OthersGoBetweenTwoSlices) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0")).ok());
  std::vector<std::string> ended;
  releases->verifier().Verify(Apps(), [&](const Outcome<VerificationReport>& report) {
    EXPECT_EQ(report.value().releases, 2U);
    ended.emplace_back("verification");
  });
  state->Bulk(
      1, [](Database&) -> Result<int> { return 1; },
      [&](const Result<int>&) { ended.emplace_back("image"); });
  ASSERT_TRUE(RunUntil(loop, [&] { return ended.size() == 2; }));
  EXPECT_EQ(ended, (std::vector<std::string>{"image", "verification"}));
}

TEST_F(VerifierTest, WhatIsCancelledEndsWithoutAWord) {
  StartWithApp();
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  Verifier& verifier = releases->verifier();
  bool first = false;
  bool second = false;
  const Verifier::RunId run = verifier.Verify(Apps(), [&](const auto&) { first = true; });
  verifier.Cancel(run);
  verifier.Verify(Apps(), [&](const auto&) { second = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return second; }));
  EXPECT_FALSE(first);
}

TEST_F(VerifierTest, AStateThatIsClosedIsAnError) {
  StartWithApp();
  const std::vector<AppRow> apps = Apps();
  bool closed = false;
  state->Close([&] { closed = true; });
  ASSERT_TRUE(RunUntil(loop, [&] { return closed; }));
  std::optional<Outcome<VerificationReport>> ended;
  releases->verifier().Verify(apps, [&](const Outcome<VerificationReport>& report) {
    ended = report.ok() ? Outcome<VerificationReport>(report.value())
                        : Outcome<VerificationReport>(Problem(report.error()));
  });
  ASSERT_TRUE(RunUntil(loop, [&] { return ended.has_value(); }));
  ASSERT_FALSE(ended->ok());
  EXPECT_EQ(ended->error().code, ProblemCode::kUnavailable);
}

}  // namespace
}  // namespace cloister
