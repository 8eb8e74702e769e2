#pragma once

// The arguments of `cloister releases` and the verbs below it.

#include <string>

#include "daemon/cli/local_arguments.h"
#include "daemon/cli/release_commands.h"

namespace CLI {
class App;
}

namespace cloister {

struct ReleaseArguments {
  std::string name;  // of the app
  bool all = false;
  VersionPair versions;
  PinWish pin;
};

void AddReleases(CLI::App& root, ReleaseArguments& arguments, Verb& verb);

}  // namespace cloister
