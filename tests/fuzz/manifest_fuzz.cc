// cloister.toml as arbitrary bytes: read or refused, and what is read keeps its promises.

#include <cstdint>
#include <string_view>

#include "apis/base/check.h"
#include "apis/base/names.h"
#include "config/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const cloister::Result<cloister::Manifest> parsed =
      cloister::ParseManifest(text, cloister::kManifestPath);
  if (!parsed.ok()) {
    CHECK(parsed.error().message.starts_with(cloister::kManifestPath));
    return 0;
  }
  const cloister::Manifest& manifest = parsed.value();
  CHECK(cloister::IsValidName(manifest.app));
  CHECK(manifest.tenant.empty() || cloister::IsValidName(manifest.tenant));
  CHECK(!manifest.version.empty() && manifest.version.size() <= 64);
  CHECK(manifest.web_entry.find(':') != std::string::npos);
  CHECK(!manifest.workers_max || *manifest.workers_max >= manifest.workers_min);
  CHECK(manifest.checks.size() <= cloister::kChecksMax);
  for (const cloister::ManifestCheck& check : manifest.checks) {
    CHECK(check.path.starts_with('/') && check.path.find_first_of(" \r\n") == std::string::npos);
    CHECK(check.status >= 200 && check.status < 600);
    for (const cloister::CheckHeader& header : check.headers)
      CHECK(!header.name.empty() && header.value.find_first_of("\r\n") == std::string::npos);
  }
  CHECK(manifest.statics.size() <= cloister::kStaticRoutesMax);
  for (const cloister::StaticRoute& route : manifest.statics)
    CHECK(route.path.starts_with('/') && !route.target.starts_with('/') &&
          !route.target.starts_with("../") && route.is_folder() == route.target.ends_with('/'));
  const std::string stored = cloister::StaticsText(manifest.statics);
  const auto again = cloister::ParseStaticsText(stored);
  CHECK(again.ok() && cloister::StaticsText(again.value()) == stored);
  return 0;
}
