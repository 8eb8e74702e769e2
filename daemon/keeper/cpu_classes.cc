#include "daemon/keeper/cpu_classes.h"

#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace cloister {
namespace {

// Of a window: who uses less is not counted among those that share the CPUs.
constexpr int kActiveParts = 100;

}  // namespace

std::vector<CpuClasses::Change> CpuClasses::Update(Micros window, const Used& used) {
  std::map<std::string, Group> groups;
  std::map<std::string, Micros> within;
  std::size_t active = 0;
  for (const auto& [name, total] : used) {
    const auto known = groups_.find(name);
    Group group = known == groups_.end() ? Group{.used = total} : known->second;
    // Less than before: who had used it has ended.
    const Micros added = std::max(Micros{0}, total - group.used);
    if (added * kActiveParts >= window)
      ++active;
    within[name] = added;
    group.used = total;
    groups[name] = group;
  }
  groups_ = std::move(groups);
  const Micros half = window * cpus_ / (2 * (active + 1));
  std::vector<Change> changes;
  for (auto& [name, group] : groups_) {
    const bool much = within[name] > half;
    group.calm = much ? Micros{0} : group.calm + window;
    const bool background = much || (group.background && group.calm < kCalm);
    if (background != group.background)
      changes.push_back({.group = name, .background = background});
    group.background = background;
  }
  return changes;
}

unsigned UsableCpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0)
    return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&mask)));
}

}  // namespace cloister
