#include "daemon/keeper/worker_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cloister {
namespace {

using ::testing::UnorderedElementsAre;

TEST(WorkerTableTest, FindsAWorkerForItsOwnGenerationOnly) {
  WorkerTable table;
  ASSERT_TRUE(table.Add(WorkerId{1}, 7, 100));
  ASSERT_NE(table.Find(WorkerId{1}, 7), nullptr);
  EXPECT_EQ(table.Find(WorkerId{1}, 7)->pid, 100);
  EXPECT_EQ(table.Find(WorkerId{1}, 8), nullptr);
  EXPECT_EQ(table.Find(WorkerId{2}, 7), nullptr);
}

TEST(WorkerTableTest, RefusesAnIdOrAProcessTwice) {
  WorkerTable table;
  ASSERT_TRUE(table.Add(WorkerId{1}, 7, 100));
  EXPECT_FALSE(table.Add(WorkerId{1}, 7, 101));
  EXPECT_FALSE(table.Add(WorkerId{2}, 7, 100));
  EXPECT_EQ(table.size(), 1U);
}

TEST(WorkerTableTest, ARemovedWorkersNumbersAreFree) {
  WorkerTable table;
  ASSERT_TRUE(table.Add(WorkerId{1}, 7, 100));
  const std::optional<WorkerRecord> removed = table.Remove(100);
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->id, WorkerId{1});
  EXPECT_FALSE(table.Remove(100));
  EXPECT_EQ(table.Find(WorkerId{1}, 7), nullptr);
  EXPECT_TRUE(table.Add(WorkerId{2}, 8, 100));
}

TEST(WorkerTableTest, ListsTheProcessesOfAGeneration) {
  WorkerTable table;
  ASSERT_TRUE(table.Add(WorkerId{1}, 7, 100));
  ASSERT_TRUE(table.Add(WorkerId{2}, 8, 101));
  ASSERT_TRUE(table.Add(WorkerId{3}, 7, 102));
  EXPECT_THAT(table.ProcessesOf(7), UnorderedElementsAre(100, 102));
  EXPECT_THAT(table.Processes(), UnorderedElementsAre(100, 101, 102));
  EXPECT_TRUE(table.ProcessesOf(9).empty());
}

TEST(WorkerTableTest, AnEarlyExitIsKeptUntilItIsTaken) {
  WorkerTable table;
  table.NoteEarlyExit(100, {.status = 9, .cpu = Micros(5)});
  EXPECT_FALSE(table.TakeEarlyExit(101));
  const std::optional<WorkerExit> taken = table.TakeEarlyExit(100);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->status, 9);
  EXPECT_EQ(taken->cpu, Micros(5));
  EXPECT_FALSE(table.TakeEarlyExit(100));
}

TEST(WorkerTableTest, BeyondTheMostEarlyExitsTheOldestIsForgotten) {
  WorkerTable table;
  const auto most = static_cast<pid_t>(WorkerTable::kEarlyExitsMax);
  for (pid_t pid = 1; pid <= most; ++pid)
    table.NoteEarlyExit(pid, {});
  table.NoteEarlyExit(most + 1, {});
  EXPECT_FALSE(table.TakeEarlyExit(1));
  EXPECT_TRUE(table.TakeEarlyExit(2));
  EXPECT_TRUE(table.TakeEarlyExit(most + 1));
}

}  // namespace
}  // namespace cloister
