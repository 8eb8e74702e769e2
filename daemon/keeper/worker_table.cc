#include "daemon/keeper/worker_table.h"

#include <algorithm>
#include <utility>

namespace cloister {

bool WorkerTable::Add(WorkerId id, std::uint64_t generation, pid_t pid, std::uint32_t uid) {
  if (pid_by_id_.contains(id) || by_pid_.contains(pid))
    return false;
  pid_by_id_.emplace(id, pid);
  by_pid_.emplace(
      pid,
      WorkerRecord{
          .id = id, .generation = generation, .pid = pid, .uid = uid, .group = {}, .share = {}});
  return true;
}

std::optional<WorkerRecord> WorkerTable::Remove(pid_t pid) {
  const auto found = by_pid_.find(pid);
  if (found == by_pid_.end())
    return std::nullopt;
  WorkerRecord record = std::move(found->second);
  by_pid_.erase(found);
  pid_by_id_.erase(record.id);
  return record;
}

WorkerRecord* WorkerTable::Find(WorkerId id, std::uint64_t generation) {
  const auto found = pid_by_id_.find(id);
  if (found == pid_by_id_.end())
    return nullptr;
  WorkerRecord& record = by_pid_.at(found->second);
  return record.generation == generation ? &record : nullptr;
}

std::vector<pid_t> WorkerTable::ProcessesOf(std::uint64_t generation) const {
  std::vector<pid_t> processes;
  for (const auto& [pid, record] : by_pid_)
    if (record.generation == generation)
      processes.push_back(pid);
  return processes;
}

std::vector<pid_t> WorkerTable::Processes() const {
  std::vector<pid_t> processes;
  processes.reserve(by_pid_.size());
  for (const auto& [pid, record] : by_pid_)
    processes.push_back(pid);
  return processes;
}

void WorkerTable::NoteEarlyExit(pid_t pid, WorkerExit exit) {
  if (early_exits_.size() == kEarlyExitsMax)
    early_exits_.pop_front();
  early_exits_.push_back({.pid = pid, .exit = exit});
}

std::optional<WorkerExit> WorkerTable::TakeEarlyExit(pid_t pid) {
  const auto found = std::find_if(early_exits_.begin(), early_exits_.end(),
                                  [pid](const EarlyExit& early) { return early.pid == pid; });
  if (found == early_exits_.end())
    return std::nullopt;
  const WorkerExit exit = found->exit;
  early_exits_.erase(found);
  return exit;
}

}  // namespace cloister
