#include "daemon/releases/integrity.h"

#include <algorithm>

#include "config/manifest.h"
#include "daemon/releases/bundle.h"
#include "daemon/store/audit.h"
#include "daemon/store/release_rows.h"
#include "daemon/store/seals.h"

namespace cloister {
namespace {

bool IsManifestIn(const std::vector<ReleaseFile>& files, const std::string& manifest) {
  const auto found = std::find_if(files.begin(), files.end(), [](const ReleaseFile& file) {
    return file.path == kManifestPath;
  });
  return found != files.end() && found->sha256 == Sha256Of(manifest);
}

// A manifest that cannot be read was rejected, perhaps by a version that knew less: it says
// nothing.
bool IsEntryOf(const std::string& manifest, const ReleaseRow& release) {
  const Result<Manifest> parsed = ParseManifest(manifest, kManifestPath);
  return !parsed.ok() || release.state == ReleaseState::kRejected ||
         parsed.value().web_entry == release.run.entry;
}

}  // namespace

Result<std::vector<Damage>> FindRowDamage(Database& db, const ReleaseRow& release) {
  const std::string manifest_file(kManifestPath);
  std::vector<Damage> damages;
  const std::vector<ReleaseFile> files = TRY(ListFiles(db, release.id));
  const std::string manifest = TRY(FindManifest(db, release.id));
  if (DigestOf(files) != release.digest)
    damages.push_back({.file = {}, .what = "its list of files does not have its digest"});
  if (!TRY(TellsOfCreation(db, release)))
    damages.push_back({.file = {}, .what = "the audit tells of no such creation with its digest"});
  if (!IsManifestIn(files, manifest))
    damages.push_back({.file = manifest_file, .what = "the stored manifest is not this file"});
  if (!IsEntryOf(manifest, release))
    damages.push_back({.file = manifest_file, .what = "the entry point is not the manifest's"});
  if (TRY(FindRunSeal(db, release.id)) != SealOfRun(release.run))
    damages.push_back(
        {.file = {}, .what = "its entry point or limits are not those that it was created with"});
  if (!TRY(TellsOfServing(db, release)))
    damages.push_back({.file = {}, .what = "the audit tells of no such release that serves"});
  return damages;
}

Result<void> CheckRows(Database& db, const ReleaseRow& release) {
  const std::vector<Damage> damages = TRY(FindRowDamage(db, release));
  if (damages.empty())
    return {};
  const Damage& first = damages.front();
  const std::string where = first.file.empty() ? "" : "'" + first.file + "': ";
  return Error{ErrorCode::kSystem, "release " + std::to_string(release.id.number) + " (" +
                                       release.version + ") is damaged: " + where + first.what};
}

}  // namespace cloister
