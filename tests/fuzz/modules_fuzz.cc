// What a worker says that it has loaded: refused, or within the bounds and as it was written.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "daemon/releases/modules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const cloister::Result<std::vector<cloister::LoadedModule>> modules =
      cloister::ParseModules(text);
  if (!modules.ok())
    return 0;
  CHECK(modules.value().size() <= cloister::kModulesMax);
  std::string again;
  for (const cloister::LoadedModule& module : modules.value()) {
    const bool of_app = module.origin == cloister::ModuleOrigin::kApp;
    again += module.name + (of_app ? "\tapp\t" : "\tplatform\t") + module.path + "\n";
  }
  CHECK(again == text);
  return 0;
}
