#include "daemon/workers/process_memory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace cloister {
namespace {

constexpr std::size_t kBlock = std::size_t{32} << 20;

std::uint32_t Self() {
  return static_cast<std::uint32_t>(::getpid());
}

// Private memory of that size, written to.
class Block {
 public:
  explicit Block(std::size_t size)
      : size_(size),
        memory_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    EXPECT_NE(memory_, MAP_FAILED);
    std::memset(memory_, 1, size);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { ::munmap(memory_, size_); }

 private:
  std::size_t size_;
  void* memory_;
};

TEST(ProcessMemoryTest, CountsWhatWasWritten) {
  const std::uint64_t before = AnonymousMemory(Self()).count;
  const Block block(kBlock);
  const std::uint64_t grown = AnonymousMemory(Self()).count - before;
  EXPECT_GT(grown, kBlock / 2);
  EXPECT_LT(grown, 2 * kBlock);
}

TEST(ProcessMemoryTest, AProcessThatIsGoneHasNone) {
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(AnonymousMemory(static_cast<std::uint32_t>(child)).count, 0U);
}

// As a worker has what its zygote had.
TEST(ProcessMemoryTest, WhatAChildSharesWithItsParentCounts) {
  const Block block(kBlock);
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;)
      ::pause();
  }
  EXPECT_GT(AnonymousMemory(static_cast<std::uint32_t>(child)).count, kBlock / 2);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(ProcessMemoryTest, MeasuresWorkersThatHaveAProcess) {
  std::vector<WorkerInfo> workers(2, {.id = {},
                                      .app = AppName::Parse("demo/hello").value(),
                                      .release = {},
                                      .version = {},
                                      .state = {},
                                      .request_id = {}});
  workers[0].pid = Self();
  MeasureMemory(workers);
  EXPECT_GT(workers[0].memory_bytes, 0U);
  EXPECT_EQ(workers[1].memory_bytes, 0U) << "a pool that backs off";
}

}  // namespace
}  // namespace cloister
