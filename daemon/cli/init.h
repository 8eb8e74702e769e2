#pragma once

// cloister init: a directory becomes an app that can be tested, served and deployed.
//
// Asks no node. What is there already stays as it is.

#include <string>

#include "daemon/cli/console.h"

namespace cloister {

struct InitOptions {
  std::string folder = ".";
  std::string name = {};  // of the app; empty: made of the folder's
  std::string kind = "wsgi";
};

// Fails with usage (a name that is none) or file_unwritable.
Attempt<void> InitApp(Console& console, const InitOptions& options);

}  // namespace cloister
