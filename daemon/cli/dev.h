#pragma once

// cloister dev: an app on this machine, without a node. Becomes the Python that serves it
// (apis/package/cloister/dev), with the `cloister` package for developers.

#include <cstdint>
#include <string>

#include "daemon/cli/console.h"
#include "daemon/cli/packages.h"

namespace cloister {

struct DevOptions {
  // kServe, on a port; kCheck, ask what [[check]] says; kTest, run its unittests; kWhere, say where
  // the package lies.
  enum class Goal { kServe, kCheck, kTest, kWhere };
  enum class Reload { kOnChange, kNever };

  std::string folder = ".";
  std::string python = kDefaultPython;
  std::string config = {};  // a file; empty: .cloister.env
  std::uint16_t port = 8000;
  Goal goal = Goal::kServe;
  Reload reload = Reload::kOnChange;
};

// Returns only when that cannot be done, with developer_package_missing or python_failed, and for
// kWhere.
Attempt<void> RunDev(Console& console, const DevOptions& options);

}  // namespace cloister
