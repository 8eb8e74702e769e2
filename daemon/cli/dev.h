#pragma once

// cloister dev: an app on this machine, without a node. Becomes the Python that serves it
// (apis/package/cloister/dev), with the `cloister` package for developers.

#include <string>

#include "daemon/cli/console.h"
#include "daemon/cli/packages.h"

namespace cloister {

struct DevOptions {
  // kServe, on a port; kCheck, ask what [[check]] says; kTest, run its unittests; kWhere, say where
  // the package lies; kValidate, say what is wrong with the manifest.
  enum class Goal { kServe, kCheck, kTest, kWhere, kValidate };
  enum class Reload { kOnChange, kNever };

  std::string folder = ".";
  std::string python = kDefaultPython;
  std::string config = {};  // a file; empty: .cloister.env
  int port = 8000;
  Goal goal = Goal::kServe;
  Reload reload = Reload::kOnChange;
};

// Returns only when that cannot be done, with developer_package_missing, python_failed or what is
// wrong with the manifest, and for kWhere and kValidate.
Attempt<void> RunDev(Console& console, const DevOptions& options);

}  // namespace cloister
