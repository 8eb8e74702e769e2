// The body of a new release as arbitrary bytes: refused with a problem, or a bundle that keeps
// every rule.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "apis/base/unicode.h"
#include "config/bundle_rules.h"
#include "config/manifest.h"
#include "daemon/admin/body.h"
#include "daemon/releases/bundle.h"

namespace {

void CheckPath(const std::string& path) {
  CHECK(!path.empty() && path.size() <= cloister::kBundlePathMax);
  CHECK(cloister::IsUtf8(path));
  CHECK(path.front() != '/' && path.back() != '/');
  CHECK(path.find('\0') == std::string::npos);
  const std::string framed = "/" + path + "/";
  for (const char* part : {"//", "/./", "/../"})
    CHECK(framed.find(part) == std::string::npos);
  CHECK(!framed.starts_with("/cloister/"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  cloister::Outcome<cloister::ReleaseBody> body = cloister::ParseReleaseBody(text);
  if (!body.ok()) {
    CHECK(!body.error().detail.empty());
    return 0;
  }
  const cloister::Outcome<cloister::Bundle> bundle =
      cloister::CheckBundle(std::move(body.value().files));
  if (!bundle.ok()) {
    CHECK(!bundle.error().detail.empty() && cloister::IsUtf8(bundle.error().detail));
    return 0;
  }
  const auto& files = bundle.value().files;
  std::uint64_t total = 0;
  bool has_manifest = false;
  for (const cloister::ReleaseFile& file : files) {
    CheckPath(file.path);
    total += file.size;
    has_manifest = has_manifest || file.path == cloister::kManifestPath;
  }
  CHECK(has_manifest && total <= cloister::kBundleMax.count);
  CHECK(std::is_sorted(files.begin(), files.end(),
                       [](const auto& a, const auto& b) { return a.path < b.path; }));
  CHECK(std::adjacent_find(files.begin(), files.end(), [](const auto& a, const auto& b) {
          return a.path == b.path;
        }) == files.end());
  CHECK(bundle.value().digest == cloister::DigestOf(files));
  return 0;
}
