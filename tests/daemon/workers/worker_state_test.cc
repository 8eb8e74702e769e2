#include "daemon/workers/worker_state.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

namespace cloister {
namespace {

using Move = std::pair<WorkerState, WorkerState>;

// The moves as design.md tells them, apart from the table that the code uses.
const std::set<Move>& Allowed() {
  static const auto* allowed = new std::set<Move>{
      {WorkerState::kStarting, WorkerState::kIdle}, {WorkerState::kStarting, WorkerState::kDead},
      {WorkerState::kIdle, WorkerState::kBusy},     {WorkerState::kIdle, WorkerState::kDraining},
      {WorkerState::kIdle, WorkerState::kDead},     {WorkerState::kBusy, WorkerState::kIdle},
      {WorkerState::kBusy, WorkerState::kDraining}, {WorkerState::kBusy, WorkerState::kDead},
      {WorkerState::kDraining, WorkerState::kDead},
  };
  return *allowed;
}

TEST(WorkerStateTest, EveryPairIsAsDesigned) {
  for (std::size_t from = 0; from < kWorkerStates; ++from)
    for (std::size_t to = 0; to < kWorkerStates; ++to) {
      const Move move{WorkerState{static_cast<int>(from)}, WorkerState{static_cast<int>(to)}};
      EXPECT_EQ(MayMove(move.first, move.second), Allowed().contains(move))
          << WorkerStateName(move.first) << " to " << WorkerStateName(move.second);
    }
}

TEST(WorkerStateTest, TableHasARowAndAColumnForEachState) {
  for (const char* row : kWorkerTransitions)
    EXPECT_EQ(std::string(row).size(), kWorkerStates);
}

TEST(WorkerStateTest, NamesDiffer) {
  EXPECT_EQ(std::set<std::string>(kWorkerStateNames.begin(), kWorkerStateNames.end()).size(),
            kWorkerStates);
}

}  // namespace
}  // namespace cloister
