#include "config/backup_manifest.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

namespace cloister {
namespace {

constexpr std::string_view kFirstLine = "cloister-backup 1";
constexpr std::size_t kNumberMax = 19;

// The part of `rest` before `end`, which goes with it. All of it when there is none.
std::string_view Next(std::string_view& rest, char end) {
  const std::size_t at = std::min(rest.find(end), rest.size());
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return part;
}

// As a program writes it: no sign, no zero in front.
bool ReadNumber(std::string_view text, std::uint64_t& number) {
  if (text.empty() || text.size() > kNumberMax || (text.front() == '0' && text.size() > 1))
    return false;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  return bad == std::errc() && end == text.data() + text.size();
}

bool IsNumber(std::string_view text) {
  std::uint64_t number = 0;
  return ReadNumber(text, number) && number > 0;
}

bool IsDatabase(std::string_view name) {
  return name == "query.db" || name == "query.db-wal";
}

// What follows apps/N/objects/.
bool IsObject(std::string_view rest) {
  const std::string_view folder = Next(rest, '/');
  return folder.size() == 2 && rest.starts_with(folder) && Sha256::FromHex(rest).has_value();
}

bool IsPlain(std::string_view text) {
  for (const char c : text)
    if (c < ' ' || c > '~')
      return false;
  return true;
}

}  // namespace

bool IsBackupPath(std::string_view path) {
  if (path == "state.db" || path == "node.key" || path == "query.key" || path == "query.key.id")
    return true;
  if (path.size() > kBackupLineMax || Next(path, '/') != "apps" || !IsNumber(Next(path, '/')))
    return false;
  if (IsDatabase(path) || path == "objects.db")
    return true;
  const std::string_view folder = Next(path, '/');
  if (folder == "objects")
    return IsObject(path);
  return folder == "data" && IsNumber(Next(path, '/')) && IsDatabase(path);
}

bool HasPiece(const BackupManifest& manifest, std::string_view path) {
  return std::ranges::find(manifest.pieces, path, &BackupPiece::path) != manifest.pieces.end();
}

std::string RenderBackupManifest(const BackupManifest& manifest) {
  std::string text(kFirstLine);
  text += "\nmade " + manifest.made + " by " + manifest.version + "\n";
  for (const BackupPiece& piece : manifest.pieces)
    text +=
        "piece " + piece.sha256.Hex() + " " + std::to_string(piece.size) + " " + piece.path + "\n";
  const Sha256 hash = Sha256Of(text);
  text += "end " + std::to_string(manifest.pieces.size()) + " " + hash.Hex() + "\n";
  return text;
}

Error BackupManifestParser::Wrong(const std::string& what) const {
  return {ErrorCode::kProtocol, "line " + std::to_string(lines_) + ": " + what};
}

Result<void> BackupManifestParser::Add(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > kBackupLineMax)
      return Wrong("a line that is too long follows");
    line_ += part;
    if (end == std::string_view::npos)
      return {};
    bytes.remove_prefix(end + 1);
    TRY(TakeLine(std::exchange(line_, {})));
  }
  return {};
}

Result<void> BackupManifestParser::TakeLine(std::string_view line) {
  ++lines_;
  if (ended_)
    return Wrong("something follows the end");
  if (line.starts_with("end "))
    return TakeEnd(line.substr(4));
  hash_.Add(line);
  hash_.Add("\n");
  if (lines_ == 1)
    return line == kFirstLine ? Result<void>() : Wrong("not a manifest that is known here");
  if (lines_ > 2)
    return TakePiece(line);
  std::string_view rest = line;
  if (Next(rest, ' ') != "made" || !IsPlain(rest))
    return Wrong("not when it was made");
  manifest_.made = Next(rest, ' ');
  if (Next(rest, ' ') != "by" || rest.empty() || rest.find(' ') != std::string_view::npos)
    return Wrong("not by what it was made");
  manifest_.version = rest;
  return {};
}

Result<void> BackupManifestParser::TakePiece(std::string_view line) {
  if (Next(line, ' ') != "piece")
    return Wrong("neither a piece nor the end");
  const std::optional<Sha256> sha256 = Sha256::FromHex(Next(line, ' '));
  BackupPiece piece;
  if (!sha256 || !ReadNumber(Next(line, ' '), piece.size) || piece.size > kBackupPieceMax)
    return Wrong("a piece without hash and size");
  piece.sha256 = *sha256;
  piece.path = line;
  if (!IsBackupPath(piece.path))
    return Wrong("a path that no node writes");
  if (manifest_.pieces.size() == kBackupPiecesMax)
    return Wrong("too many pieces");
  if (!paths_.insert(piece.path).second)
    return Wrong("a path that was there before: " + piece.path);
  manifest_.pieces.push_back(std::move(piece));
  return {};
}

Result<void> BackupManifestParser::TakeEnd(std::string_view line) {
  std::uint64_t count = 0;
  if (lines_ < 3 || !ReadNumber(Next(line, ' '), count) || count != manifest_.pieces.size())
    return Wrong("the number of pieces is another one");
  if (Sha256::FromHex(line) != hash_.Finish())
    return Wrong("the manifest does not have its hash");
  ended_ = true;
  return {};
}

Result<BackupManifest> BackupManifestParser::Finish() {
  if (!ended_ || !line_.empty())
    return Wrong("the end of the manifest is missing");
  paths_.clear();
  return std::move(manifest_);
}

}  // namespace cloister
