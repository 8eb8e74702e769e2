#pragma once

// The modules that a release has loaded once its entry point is imported: names, where each is
// from, and the hash of what it was loaded from.
//
// A worker of the release says which (step booted, kept with the release); the hashes are the
// store's and the platform image's own. What the app imports later, inside a function, is not in
// it. The text, of the worker and in the store, has a line for each: name, origin and path with a
// tab between; the path is empty for what has no file.

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/sha256.h"
#include "apis/base/units.h"
#include "config/settings.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/problem.h"
#include "daemon/store/state.h"

namespace cloister {

enum class ModuleOrigin { kApp, kPlatform };

struct LoadedModule {
  std::string name;
  ModuleOrigin origin = ModuleOrigin::kPlatform;
  std::string path;  // in its image; empty: built in, or made by a program
};

inline constexpr std::size_t kModulesTextMax = std::size_t{1024} * 1024;
inline constexpr std::size_t kModulesMax = 10000;
inline constexpr Millis kModulesWait{5000};

// kInvalidArgument when the text is anything else, or says too much.
Result<std::vector<LoadedModule>> ParseModules(std::string_view text);

struct ModuleFact {
  LoadedModule module;
  std::optional<Sha256> sha256;  // of its file, where there is one
};

struct ModuleFacts {
  std::string version;   // of the release
  std::string platform;  // of Python: "3.11.2"
  std::vector<ModuleFact> modules;
};

// Of the operator's lists what no module of the platform is called, with a name that is near:
// "sqllite3: did you mean 'sqlite3'?". Empty when the image cannot be read.
std::vector<std::string> FindUnknownModules(const ModuleSettings& lists,
                                            const std::string& platform_image);

class Modules {
 public:
  // `platform_image`: the path of the platform's image.
  Modules(State& state, Catalog& catalog, std::string platform_image);

  // Of the newest release of that version; empty: of the live one. kAppNotFound, kReleaseNotFound;
  // kModulesUnknown: it never booted, or did so on a node that did not keep this.
  void List(const AppName& app, std::string version,
            std::function<void(Outcome<ModuleFacts>)> done) const;

 private:
  State& state_;
  Catalog& catalog_;
  std::string platform_image_;
};

}  // namespace cloister
