#include "daemon/keeper/kept_workers.h"

#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <utility>

#include "apis/base/log.h"

namespace cloister {
namespace {

// How often is looked at what groups use; how long an app computes before it gives way.
constexpr Millis kWindow{100};

// Whether `pid` is a child of ours that was not reaped. Leaves it waitable.
bool IsOurChild(pid_t pid) {
  siginfo_t info = {};
  return pid > 0 &&
         ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// What all threads of a child of ours have used; none when it cannot be told.
Micros CpuOf(pid_t pid) {
  clockid_t clock = 0;
  timespec time = {};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0)
    return Micros{0};
  return Seconds(time.tv_sec) +
         std::chrono::duration_cast<Micros>(std::chrono::nanoseconds(time.tv_nsec));
}

WorkerExited Report(WorkerId id, const WorkerExit& exit) {
  return {.worker_id = id.number,
          .status = static_cast<std::uint32_t>(exit.status),
          .cpu_us = static_cast<std::uint64_t>(exit.cpu.count())};
}

}  // namespace

Result<std::optional<WorkerExited>> KeptWorkers::Adopt(const Cloned& cloned) {
  const WorkerId id{cloned.worker_id};
  const auto pid = static_cast<pid_t>(cloned.pid);
  if (!IsOurChild(pid)) {
    const std::optional<WorkerExit> early = table_.TakeEarlyExit(pid);
    if (!early)
      return Error{ErrorCode::kProtocol, "process " + std::to_string(pid) + " is no child of ours"};
    return std::optional(Report(id, *early));
  }
  if (!table_.Add(id, cloned.generation, pid, cloned.uid))
    return Error{ErrorCode::kProtocol, "worker " + std::to_string(id.number) + " or process " +
                                           std::to_string(pid) + " was announced twice"};
  return std::optional<WorkerExited>{};
}

std::optional<KeptWorkers::Ended> KeptWorkers::OnExit(pid_t pid, const WorkerExit& exit) {
  const std::optional<WorkerRecord> worker = table_.Remove(pid);
  if (!worker) {
    table_.NoteEarlyExit(pid, exit);
    return std::nullopt;
  }
  Leave(*worker, exit.cpu);
  return Ended{
      .generation = worker->generation, .uid = worker->uid, .report = Report(worker->id, exit)};
}

WorkerPlaced KeptWorkers::Place(std::uint64_t generation, const PlaceWorker& request) {
  const Result<void> placed = TryPlace(generation, request);
  return {.worker_id = request.worker_id, .error = placed.ok() ? "" : placed.error().message};
}

Result<void> KeptWorkers::TryPlace(std::uint64_t generation, const PlaceWorker& request) {
  WorkerRecord* worker = table_.Find(WorkerId{request.worker_id}, generation);
  if (worker == nullptr)
    return Error{ErrorCode::kNotFound, "the worker is gone"};
  if (!worker->group.empty())
    return Error{ErrorCode::kAlreadyExists, "the worker was placed before"};
  if (!IsGroupName(request.group))
    return Error{ErrorCode::kInvalidArgument,
                 "'" + request.group.substr(0, 80) + "' is not a group name"};
  worker->group = request.group;
  worker->share = {.memory_max = Bytes{request.memory_max_bytes},
                   .pids_max = request.pids_max,
                   .cpu_millis = request.cpu_millis};
  TRY(cgroups_.Set(worker->group, ledger_.Join(worker->group, worker->share)));
  return cgroups_.Move(worker->group, worker->pid);
}

void KeptWorkers::Leave(const WorkerRecord& worker, Micros cpu) {
  if (worker.group.empty())
    return;
  const GroupLedger::Left left = ledger_.Leave(worker.group, worker.share);
  if (left.empty) {
    cpu_of_ended_.erase(worker.group);
    return cgroups_.Remove(worker.group);
  }
  cpu_of_ended_[worker.group] += cpu;
  // Fails when the others use more than their share; then the old ceiling holds on.
  (void)cgroups_.Set(worker.group, left.limits);
}

void KeptWorkers::Signal(std::uint64_t generation, std::uint64_t worker_id, int signal_number) {
  // The process cannot have been reaped, so its number cannot be another's.
  if (const WorkerRecord* worker = table_.Find(WorkerId{worker_id}, generation))
    (void)::kill(worker->pid, signal_number);
}

void KeptWorkers::KillGeneration(std::uint64_t generation) {
  for (const pid_t pid : table_.ProcessesOf(generation))
    (void)::kill(pid, SIGKILL);
}

std::optional<MonotonicTime> KeptWorkers::NextTick() const {
  if (table_.size() == 0 || !cgroups_.reason().empty())
    return std::nullopt;
  return window_began_ + kWindow;
}

void KeptWorkers::Tick() {
  const MonotonicTime now = clock_.Now();
  const std::optional<MonotonicTime> next = NextTick();
  if (!next || now < *next)
    return;
  for (const auto& [group, background] : classes_.Update(now - window_began_, CpuOfGroups())) {
    const Result<void> set = cgroups_.SetBackground(group, background);
    if (!set.ok() && !background_fails_)
      Log(LogLevel::kWarning, "cpu_class_failed", {{"error", set.error().message}});
    background_fails_ |= !set.ok();
  }
  window_began_ = now;
}

CpuClasses::Used KeptWorkers::CpuOfGroups() const {
  CpuClasses::Used used = cpu_of_ended_;
  table_.ForEach([&used](const WorkerRecord& worker) {
    if (!worker.group.empty())
      used[worker.group] += CpuOf(worker.pid);
  });
  return used;
}

void KeptWorkers::KillAll() {
  for (const pid_t pid : table_.Processes())
    (void)::kill(pid, SIGKILL);
}

}  // namespace cloister
