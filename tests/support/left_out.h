#pragma once

// Walls that a test leaves out, so that a control run can show what each of them is good for.
//
// This is the only way to raise less than all walls, and it is linked into tests only: production
// code calls EnterBlank and CloseWalls, which know no parameter for it.

#include <span>
#include <string>
#include <string_view>

#include "sandbox/confine.h"

namespace cloister {

class LeftOut {
 public:
  // Names of steps (confine.cc) and namespaces (user mount pid ipc uts cgroup net), space between.
  explicit LeftOut(std::string_view names) : names_(" " + std::string(names) + " ") {}

  bool Has(std::string_view name) const {
    return names_.find(" " + std::string(name) + " ") != std::string::npos;
  }

  LeftOut And(std::string_view more) const { return LeftOut(names_ + std::string(more)); }

 private:
  std::string names_;
};

// As EnterBlank or CloseWalls, without what is left out.
template <typename Walls>
Result<void> RaiseWithout(const LeftOut& left_out, std::span<const WallStep<Walls>> steps,
                          const Walls& walls) {
  for (const WallStep<Walls>& step : steps) {
    if (left_out.Has(step.name))
      continue;
    Result<void> raised = step.apply(walls);
    if (!raised.ok())
      return std::move(raised).error().In(std::string(step.name));
  }
  return {};
}

}  // namespace cloister
