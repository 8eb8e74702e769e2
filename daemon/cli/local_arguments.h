#pragma once

// The arguments of the verbs that ask no node: init, dev.

#include <functional>

#include "daemon/cli/api.h"
#include "daemon/cli/console.h"
#include "daemon/cli/dev.h"
#include "daemon/cli/init.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace cloister {

// What is done once all arguments are parsed.
using Verb = std::function<Attempt<void>(AdminApi&, Console&)>;

struct LocalArguments {
  DevOptions dev;
  InitOptions init;
};

// `arguments` and `verb` must outlive the parsing.
void AddLocalVerbs(CLI::App& root, LocalArguments& arguments, Verb& verb);

}  // namespace cloister
