#pragma once

// How much memory workers use, for those who ask.
//
// From /proc/PID/statm: the node may read it of workers with other user ids, unlike smaps, and the
// kernel keeps the numbers instead of walking through page tables. They are an upper bound: memory
// of the zygote that a worker has not written to counts here and is shared by all. What it was as a
// blank cannot be taken off, for no number says how much of that it has written to since (a hello:
// 22 MB by this count, 8 MB of its own; it was 20 MB as a blank).

#include <cstdint>
#include <vector>

#include "apis/base/units.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// Memory of the process that no file backs, its own or shared with its parent; 0 when it is gone.
Bytes AnonymousMemory(std::uint32_t pid);

// What counts against its memory limit (RLIMIT_DATA): writable memory of its own, touched or not; 0
// when it is gone.
Bytes DataMemory(std::uint32_t pid);

// Fills memory_bytes: one small read from the kernel for each worker.
void MeasureMemory(std::vector<WorkerInfo>& workers);

}  // namespace cloister
