#pragma once

// Which groups give way to the others when they want a CPU: those that compute much.
//
// Shares are fair over time, but who wakes up for a short request waits for one who computes until
// the kernel looks again, some milliseconds (HZ). Before a group in the background (cpu.idle) it
// goes at once. A group goes there when it used more within a window than half of the share that it
// had if one more came, and comes back when it has used less for kCalm. So all those that are not
// there together use no more than half of the machine, and none that is there is kept below half of
// its share for longer than that.
//
// Pure.

#include <map>
#include <string>
#include <vector>

#include "apis/base/units.h"

namespace cloister {

class CpuClasses {
 public:
  // What each group's processes have used since they began; of those that are left.
  using Used = std::map<std::string, Micros>;

  static constexpr Micros kCalm{1000000};

  struct Change {
    std::string group;
    bool background = false;
  };

  explicit CpuClasses(unsigned cpus) : cpus_(cpus) {}

  // The end of a window that was so long: who changes. A group is known from its second window on,
  // and forgotten when it is not named.
  std::vector<Change> Update(Micros window, const Used& used);

 private:
  struct Group {
    Micros used{0};
    bool background = false;
    Micros calm{0};  // how long it has used less
  };

  unsigned cpus_;
  std::map<std::string, Group> groups_;
};

// How many CPUs this process may run on.
unsigned UsableCpus();

}  // namespace cloister
