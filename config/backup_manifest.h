#pragma once

// The manifest of a backup: which files it has, how large they are, and what their bytes hash to.
//
// A backup is a directory with the manifest, MANIFEST, beside the pieces. Text, a line each:
//
//   cloister-backup 1
//   made 2026-11-27T22:00:00Z by 0.1.0
//   piece SHA256 SIZE PATH        any number of times, no path twice
//   end COUNT SHA256              of pieces, and of all bytes before this line
//
// It is written last, so that a directory without a whole one is no backup. Whoever restores one
// has it from anywhere: a path is one of those that a node writes, or it is refused.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/sha256.h"

namespace cloister {

inline constexpr std::string_view kBackupManifest = "MANIFEST";
// In a state directory: a backup is being restored into it, or was not to the end.
inline constexpr std::string_view kUnfinishedRestore = "restore.unfinished";
// The most bytes of a line, of pieces, and of one piece.
inline constexpr std::size_t kBackupLineMax = 512;
inline constexpr std::size_t kBackupPiecesMax = 20'000'000;
inline constexpr std::uint64_t kBackupPieceMax = std::uint64_t{1} << 50;

// Whether a node writes this: state.db, node.key, query.key, query.key.id, apps/N/query.db and its
// log, the same in apps/N/data/N, apps/N/objects.db, apps/N/objects/hh/HASH. Nothing of it leads
// out of a directory.
bool IsBackupPath(std::string_view path);

struct BackupPiece {
  std::string path;
  std::uint64_t size = 0;
  Sha256 sha256;
};

struct BackupManifest {
  std::string made;     // when, as text
  std::string version;  // of the node that made it
  std::vector<BackupPiece> pieces;
};

bool HasPiece(const BackupManifest& manifest, std::string_view path);

std::string RenderBackupManifest(const BackupManifest& manifest);

// Takes the manifest in parts of any size. kProtocol says what is wrong, and in which line.
class BackupManifestParser {
 public:
  Result<void> Add(std::string_view bytes);
  // After the last part. kProtocol: the end is missing.
  Result<BackupManifest> Finish();

 private:
  Result<void> TakeLine(std::string_view line);
  Result<void> TakePiece(std::string_view line);
  Result<void> TakeEnd(std::string_view line);
  Error Wrong(const std::string& what) const;

  BackupManifest manifest_;
  std::unordered_set<std::string> paths_;
  std::string line_;  // without its end yet
  std::size_t lines_ = 0;
  Sha256Stream hash_;
  bool ended_ = false;
};

}  // namespace cloister
