#pragma once

// The life of one worker process, and the only places it may move to.

#include <array>
#include <cstddef>

namespace cloister {

enum class WorkerState { kStarting, kIdle, kBusy, kDraining, kDead };

inline constexpr std::size_t kWorkerStates = 5;
inline constexpr std::array<const char*, kWorkerStates> kWorkerStateNames = {
    "starting", "idle", "busy", "draining", "dead"};

// Row: from. Column: to. A dot means "never".
inline constexpr std::array<const char*, kWorkerStates> kWorkerTransitions = {
    // starting idle busy draining dead
    ".x..x",  // starting: ready, or failed to boot
    "..xxx",  // idle:     request, retire, crash
    ".x.xx",  // busy:     last answer, retire, crash or timeout
    "....x",  // draining: finished or timed out
    ".....",  // dead:     final
};

constexpr bool MayMove(WorkerState from, WorkerState to) {
  return kWorkerTransitions[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)] == 'x';
}

constexpr const char* WorkerStateName(WorkerState state) {
  return kWorkerStateNames[static_cast<std::size_t>(state)];
}

static_assert(MayMove(WorkerState::kIdle, WorkerState::kBusy));
static_assert(!MayMove(WorkerState::kDead, WorkerState::kIdle), "the dead do not come back");

}  // namespace cloister
