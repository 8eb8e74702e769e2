#include "daemon/releases/verify_release.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "config/manifest.h"
#include "daemon/releases/config_change.h"
#include "daemon/store/config_rows.h"
#include "daemon/store/release_rows.h"

namespace cloister {
namespace {

Result<void> CheckStatics(const Manifest& manifest, const std::vector<ReleaseFile>& files) {
  // By path, as ListFiles gives them.
  const auto at = [&files](std::string_view path) {
    return std::ranges::lower_bound(files, path, {}, &ReleaseFile::path);
  };
  const StaticBundle bundle = {
      .has_file =
          [&](std::string_view path) { return at(path) != files.end() && at(path)->path == path; },
      .has_folder =
          [&](std::string_view folder) {
            return at(folder) != files.end() && at(folder)->path.starts_with(folder);
          },
      .web_entry = manifest.web_entry};
  return CheckStatics(manifest.statics, bundle, kManifestPath);
}

// "FILE:LINE: why", as ParseManifest says it, with further lines for further faults.
ReportRow ManifestFault(const std::string& said) {
  ReportRow report{.code = "manifest_invalid", .message = said, .file = std::string(kManifestPath)};
  const std::string prefix = report.file + ":";
  if (!said.starts_with(prefix))
    return report;
  const char* end = said.data() + said.size();
  const auto [stop, bad] = std::from_chars(said.data() + prefix.size(), end, report.line);
  if (bad == std::errc() && end - stop > 2 && said.find('\n') == std::string::npos)
    report.message = std::string(stop + 2, end);
  return report;
}

}  // namespace

Result<VerifiedRelease> VerifyRelease(Database& db, ReleaseId release, std::uint64_t config) {
  VerifiedRelease verified;
  verified.contents = TRY(VerifyContents(db, release));
  const std::string text = TRY(FindManifest(db, release));
  const Result<Manifest> manifest = ParseManifest(text, kManifestPath);
  if (!manifest.ok())
    verified.manifest_fault = ManifestFault(manifest.error().message);
  else if (const Result<void> statics = CheckStatics(manifest.value(), TRY(ListFiles(db, release)));
           !statics.ok())
    verified.manifest_fault = ManifestFault(statics.error().message);
  if (!verified.manifest_fault) {
    const ReleaseRow row = TRY(FindRelease(db, release));
    verified.missing_keys = TRY(FindMissingKeys(db, row, config));
  }
  return verified;
}

}  // namespace cloister
