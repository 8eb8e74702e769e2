// A process that writes objects is killed at some instruction; what it acknowledged is whole, the
// accounting is exact, and nothing else is left.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <ctime>

#include "tests/apis/persistence/object_fixture.h"

namespace cloister {
namespace {

std::string BytesOf(int number) {
  // Rows and files in turn.
  return Pattern(number % 2 == 0 ? 3000 : kObjectRowMax + 1000, number);
}

// Writes and deletes until it is killed; tells the number of each object that was acknowledged.
[[noreturn]] void WriteForever(const std::string& directory, int report_fd) {
  const auto store = std::move(ObjectStore::Open(directory, ObjectStore::Use::kWrite)).value();
  for (int number = 0;; ++number) {
    ObjectWriter writer(directory);
    const bool done = writer.Append(BytesOf(number)).ok() && writer.Finish().ok() &&
                      store->Begin().ok() && store->Write(writer, 1, {}).ok() &&
                      (number < 4 || store->Delete(Sha256Of(BytesOf(number - 4))).ok()) &&
                      store->Commit().ok();
    if (!done || ::write(report_fd, &number, sizeof number) < 0)
      ::_exit(1);
  }
}

// The last number that the child acknowledged before it was killed after `micros`.
int WriteAndKill(const std::string& directory, long micros) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0)
    WriteForever(directory, ends[1]);
  ::close(ends[1]);
  int last = -1;
  EXPECT_EQ(::read(ends[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
  const timespec wait = {.tv_sec = 0, .tv_nsec = micros * 1000};
  ::nanosleep(&wait, nullptr);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  for (int number = 0; ::read(ends[0], &number, sizeof number) > 0;)
    last = number;
  ::close(ends[0]);
  return last;
}

TEST_F(ObjectStoreTest, WhatWasAcknowledgedSurvivesAKill) {
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE(round);
    std::filesystem::remove_all(Directory());
    const int last = WriteAndKill(Directory(), 500 + 697L * round);
    const auto store = Open();
    for (int number = std::max(0, last - 2); number <= last; ++number)
      EXPECT_EQ(ReadAll(*store, BytesOf(number)), BytesOf(number)) << number;
    // The one after it may have been committed just before it was told.
    EXPECT_LE(store->Totals().value().objects, 4U);
    const ObjectVerification report = VerifyAll(*store);
    EXPECT_EQ(report.damages, 0U);
    std::size_t files = 0;
    for (int number = std::max(0, last - 3); number <= last + 1; ++number)
      files += number % 2 == 1 && Has(*store, BytesOf(number)) ? 1U : 0U;
    EXPECT_EQ(ObjectFilesIn(Directory()).size(), files);
  }
}

}  // namespace
}  // namespace cloister
