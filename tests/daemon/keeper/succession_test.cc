#include "daemon/keeper/succession.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Step Of(StepKind kind, std::uint64_t generation = 0) {
  return {.kind = kind, .generation = generation};
}

// Generation 1 serves.
Succession Serving() {
  Succession succession;
  EXPECT_EQ(succession.NextStart(), Of(StepKind::kStartWriter));
  succession.OnStarted(1);
  EXPECT_THAT(succession.OnReady(1), IsEmpty());
  return succession;
}

// Generation 1 serves, 2 prepares itself.
Succession Preparing() {
  Succession succession = Serving();
  EXPECT_EQ(succession.OnReload(), Succession::Reload::kStarted);
  EXPECT_EQ(succession.NextStart(), Of(StepKind::kStartWithout));
  succession.OnStarted(2);
  return succession;
}

// Generation 1 was told to drain, 2 waits for the role.
Succession Draining() {
  Succession succession = Preparing();
  EXPECT_THAT(succession.OnPrepared(2), ElementsAre(Of(StepKind::kDrain, 1)));
  return succession;
}

// Generation 1 finishes its requests, 2 serves.
Succession Followed() {
  Succession succession = Draining();
  EXPECT_THAT(succession.OnReleased(1), ElementsAre(Of(StepKind::kBecomeWriter, 2)));
  EXPECT_THAT(succession.OnReady(2), IsEmpty());
  return succession;
}

TEST(SuccessionTest, TheFirstNodeIsTheWriter) {
  const Succession succession = Serving();
  EXPECT_EQ(succession.writer(), 1U);
  EXPECT_EQ(succession.PhaseOf(1), NodePhase::kServing);
}

TEST(SuccessionTest, TheOldNodeServesUntilTheNewOneIsPrepared) {
  const Succession succession = Preparing();
  EXPECT_EQ(succession.PhaseOf(1), NodePhase::kServing);
  EXPECT_EQ(succession.PhaseOf(2), NodePhase::kPreparing);
  EXPECT_EQ(succession.writer(), 1U);
}

TEST(SuccessionTest, TheRoleMovesWhenItIsReleased) {
  Succession succession = Draining();
  EXPECT_EQ(succession.writer(), 1U);
  EXPECT_THAT(succession.OnReleased(1), ElementsAre(Of(StepKind::kBecomeWriter, 2)));
  EXPECT_EQ(succession.writer(), 2U);
  EXPECT_EQ(succession.PhaseOf(1), NodePhase::kReleased);
  EXPECT_EQ(succession.PhaseOf(2), NodePhase::kTaking);
  EXPECT_THAT(succession.OnReady(2), IsEmpty());
  EXPECT_THAT(succession.OnGone(1), IsEmpty());
  EXPECT_EQ(succession.size(), 1U);
}

TEST(SuccessionTest, AServingNodeThatDiesIsReplacedByAWriter) {
  Succession succession = Serving();
  EXPECT_THAT(succession.OnGone(1), ElementsAre(Of(StepKind::kStartWriter)));
  succession.OnStarted(2);
  EXPECT_EQ(succession.PhaseOf(2), NodePhase::kTaking);
}

TEST(SuccessionTest, ASuccessorThatDiesUnpreparedChangesNothing) {
  Succession succession = Preparing();
  EXPECT_THAT(succession.OnGone(2), ElementsAre(Of(StepKind::kStayed, 2)));
  EXPECT_EQ(succession.newest(), 1U);
  EXPECT_EQ(succession.PhaseOf(1), NodePhase::kServing);
  EXPECT_EQ(succession.OnReload(), Succession::Reload::kStarted);
}

TEST(SuccessionTest, TheOldNodesDeathGivesTheRoleToAPreparedSuccessorOnly) {
  Succession unprepared = Preparing();
  EXPECT_THAT(unprepared.OnGone(1), IsEmpty());
  EXPECT_THAT(unprepared.OnPrepared(2), ElementsAre(Of(StepKind::kBecomeWriter, 2)));

  Succession prepared = Draining();
  EXPECT_THAT(prepared.OnGone(1), ElementsAre(Of(StepKind::kBecomeWriter, 2)));
}

TEST(SuccessionTest, ASuccessorThatDiesWhileTheOldNodeDrainsIsReplacedWithoutTheRole) {
  Succession succession = Draining();
  EXPECT_THAT(succession.OnGone(2), ElementsAre(Of(StepKind::kStartWithout)));
  succession.OnStarted(3);
  EXPECT_THAT(succession.OnPrepared(3), IsEmpty());  // told to drain already
  EXPECT_THAT(succession.OnReleased(1), ElementsAre(Of(StepKind::kBecomeWriter, 3)));
}

TEST(SuccessionTest, AReleaseBeforeTheReplacementStartsMakesItAWriter) {
  Succession succession = Draining();
  EXPECT_THAT(succession.OnGone(2), ElementsAre(Of(StepKind::kStartWithout)));
  EXPECT_THAT(succession.OnReleased(1), IsEmpty());
  EXPECT_EQ(succession.NextStart(), Of(StepKind::kStartWriter));
}

TEST(SuccessionTest, ATakingNodeThatDiesIsReplacedByAWriter) {
  Succession succession = Draining();
  (void)succession.OnReleased(1);
  EXPECT_THAT(succession.OnGone(2), ElementsAre(Of(StepKind::kStartWriter)));
}

TEST(SuccessionTest, ADrainedNodesEndNeedsNothing) {
  Succession succession = Followed();
  EXPECT_THAT(succession.OnGone(1), IsEmpty());
  EXPECT_EQ(succession.PhaseOf(2), NodePhase::kServing);
}

TEST(SuccessionTest, AReloadDuringASuccessionComesAfterIt) {
  Succession succession = Draining();
  EXPECT_EQ(succession.OnReload(), Succession::Reload::kLater);
  EXPECT_EQ(succession.OnReload(), Succession::Reload::kLater);
  (void)succession.OnReleased(1);
  EXPECT_THAT(succession.OnReady(2), ElementsAre(Of(StepKind::kStartWithout)));
  succession.OnStarted(3);
  (void)succession.OnPrepared(3);
  (void)succession.OnReleased(2);
  EXPECT_THAT(succession.OnReady(3), IsEmpty());
}

TEST(SuccessionTest, ReloadsAreRefusedAtTheMostNodes) {
  Succession succession = Serving();
  for (std::uint64_t next = 2; next <= Succession::kNodesMax; ++next) {
    ASSERT_EQ(succession.OnReload(), Succession::Reload::kStarted);
    succession.OnStarted(next);
    (void)succession.OnPrepared(next);
    (void)succession.OnReleased(next - 1);
    if (next < Succession::kNodesMax)
      (void)succession.OnReady(next);
  }
  EXPECT_EQ(succession.OnReload(), Succession::Reload::kLater);
  const std::uint64_t newest = Succession::kNodesMax;
  EXPECT_THAT(succession.OnReady(newest), ElementsAre(Of(StepKind::kRefused, newest)));
  EXPECT_EQ(succession.OnReload(), Succession::Reload::kRefused);
  (void)succession.OnGone(1);
  EXPECT_EQ(succession.OnReload(), Succession::Reload::kStarted);
}

TEST(SuccessionTest, WordsAtTheWrongTimeChangeNothing) {
  Succession succession = Preparing();
  EXPECT_THAT(succession.OnReady(2), IsEmpty());
  EXPECT_THAT(succession.OnReleased(1), IsEmpty());
  EXPECT_THAT(succession.OnReleased(2), IsEmpty());
  EXPECT_THAT(succession.OnPrepared(1), IsEmpty());
  EXPECT_THAT(succession.OnGone(7), IsEmpty());
  EXPECT_EQ(succession.PhaseOf(1), NodePhase::kServing);
  EXPECT_EQ(succession.PhaseOf(2), NodePhase::kPreparing);
  EXPECT_EQ(succession.writer(), 1U);
}

TEST(SuccessionTest, EveryPhaseHasAName) {
  for (const NodePhase phase : {NodePhase::kPreparing, NodePhase::kWaiting, NodePhase::kTaking,
                                NodePhase::kServing, NodePhase::kDraining, NodePhase::kReleased})
    EXPECT_STRNE(NodePhaseName(phase), "unknown");
}

TEST(SuccessionTest, TheWriterIsAloneUntilItDrainsAndAfterTheLastOfTheOlderOnesIsGone) {
  Succession taking;
  EXPECT_FALSE(taking.WriterIsAlone());
  taking.OnStarted(1);
  EXPECT_FALSE(taking.WriterIsAlone());
  EXPECT_TRUE(Serving().WriterIsAlone());
  EXPECT_TRUE(Preparing().WriterIsAlone());
  Succession succession = Draining();
  EXPECT_FALSE(succession.WriterIsAlone());
  (void)succession.OnReleased(1);
  EXPECT_FALSE(succession.WriterIsAlone());
  (void)succession.OnReady(2);
  EXPECT_FALSE(succession.WriterIsAlone()) << "1 finishes what it had decided";
  succession.OnStarted(3);
  (void)succession.OnPrepared(3);
  (void)succession.OnReleased(2);
  (void)succession.OnReady(3);
  (void)succession.OnGone(2);
  EXPECT_FALSE(succession.WriterIsAlone()) << "1 is still there";
  (void)succession.OnGone(1);
  EXPECT_TRUE(succession.WriterIsAlone());
  (void)succession.OnGone(3);
  EXPECT_FALSE(succession.WriterIsAlone());
}

}  // namespace
}  // namespace cloister
