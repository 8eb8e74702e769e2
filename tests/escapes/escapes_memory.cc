#include <sys/mman.h>

#include <cstring>

#include "tests/escapes/escapes.h"

namespace cloister {
namespace {

constexpr std::size_t kPage = 4096;
// More than the arena's worker may have: 64 MiB of data, 512 MiB of addresses.
constexpr std::size_t kTooMuchData = 100 << 20;
constexpr std::size_t kTooManyAddresses = 600 << 20;

void* Map(std::size_t size, int protection, int flags) {
  void* memory = ::mmap(nullptr, size, protection, flags, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

// Puts a function there and calls it.
bool RunsCodeAt(void* memory) {
  constexpr unsigned char kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov eax, 42; ret
  std::memcpy(memory, kReturn42, sizeof kReturn42);
  if (::mprotect(memory, kPage, PROT_READ | PROT_EXEC) != 0)
    return false;
  return reinterpret_cast<int (*)()>(memory)() == 42;
}

bool MapsExecutable(const ArenaFacts&) {
  void* memory = Map(kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
  return memory != nullptr && RunsCodeAt(memory);
}

bool MakesExecutable(const ArenaFacts&) {
  void* memory = Map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  return memory != nullptr && RunsCodeAt(memory);
}

bool MapsShared(const ArenaFacts&) {
  return Map(kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS) != nullptr;
}

bool MapsAChannel(const ArenaFacts&) {
  return ::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, kForgottenFile, 0) != MAP_FAILED;
}

bool TunesMemory(const ArenaFacts&) {
  void* memory = Map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (memory == nullptr)
    return false;
  for (const int advice : {MADV_DONTFORK, MADV_MERGEABLE, MADV_HUGEPAGE, MADV_DONTDUMP}) {
    if (::madvise(memory, kPage, advice) == 0)
      return true;
  }
  return false;
}

bool TakesMuchData(const ArenaFacts&) {
  return Map(kTooMuchData, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS) != nullptr;
}

// Read-only memory does not count as data, whatever it holds.
bool TakesManyAddresses(const ArenaFacts&) {
  return Map(kTooManyAddresses, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS) != nullptr;
}

bool LocksMemory(const ArenaFacts&) {
  void* memory = Map(kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  return memory != nullptr && ::mlock(memory, kPage) == 0;
}

constexpr Escape kEscapes[] = {
    {.test = "MapExecutableMemory",
     .line = "map executable memory",
     .wall = "seccomp",
     .attempt = MapsExecutable},
    {.test = "MakeMemoryExecutable",
     .line = "make memory that it wrote executable",
     .wall = "seccomp",
     .attempt = MakesExecutable},
    {.test = "MapSharedMemory",
     .line = "map memory that another process could share",
     .wall = "seccomp",
     .attempt = MapsShared},
    {.test = "MapAFile",
     .line = "map a file",
     .wall = "seccomp",
     .beside = "descriptors",
     .attempt = MapsAChannel},
    {.test = "TuneMemory",
     .line = "advise the kernel about memory, beyond giving it back",
     .wall = "seccomp",
     .attempt = TunesMemory},
    {.test = "TakeMuchData",
     .line = "have more data than its memory limit",
     .wall = "rlimits",
     .attempt = TakesMuchData},
    {.test = "TakeManyAddresses",
     .line = "have more address space than its ceiling, written or not",
     .wall = "rlimits",
     .attempt = TakesManyAddresses},
    {.test = "LockMemory",
     .line = "lock memory",
     .wall = "rlimits",
     .beside = "seccomp",
     .attempt = LocksMemory},
};

}  // namespace

std::span<const Escape> MemoryEscapes() {
  return kEscapes;
}

}  // namespace cloister
