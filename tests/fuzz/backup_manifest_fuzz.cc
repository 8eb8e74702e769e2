// The manifest of a backup from anywhere: refused, or one that is written in the same way again,
// whatever parts it comes in, with paths that stay where they are.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "config/backup_manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // What is random has no hash that fits: the end is made to.
  const std::string_view body = text.substr(0, text.rfind("end "));
  std::size_t pieces = 0;
  for (std::size_t at = 0; (at = body.find("\npiece ", at)) != std::string_view::npos; ++at)
    ++pieces;
  const std::string whole = std::string(body) + "end " + std::to_string(pieces) + " " +
                            cloister::Sha256Of(body).Hex() + "\n";
  cloister::BackupManifestParser at_once;
  const bool added = at_once.Add(whole).ok();
  cloister::BackupManifestParser in_parts;
  bool parts_added = true;
  for (std::size_t at = 0; parts_added && at < whole.size(); at += 7)
    parts_added = in_parts.Add(std::string_view(whole).substr(at, 7)).ok();
  CHECK(added == parts_added);
  if (!added)
    return 0;
  const cloister::Result<cloister::BackupManifest> manifest = at_once.Finish();
  CHECK(manifest.ok() == in_parts.Finish().ok());
  if (!manifest.ok())
    return 0;
  for (const cloister::BackupPiece& piece : manifest.value().pieces)
    CHECK(piece.path.find("..") == std::string::npos && piece.path.front() != '/');
  CHECK(cloister::RenderBackupManifest(manifest.value()) == whole);
  return 0;
}
