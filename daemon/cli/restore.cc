#include "daemon/cli/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/base/unique_fd.h"
#include "config/backup_manifest.h"
#include "config/parser.h"
#include "config/settings.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 20;
constexpr std::size_t kDamagedListed = 100;
constexpr const char* kDefaultConfig = "/etc/cloister/cloisterd.toml";
// What a keeper has in every state directory, and what one that is not finished has.
constexpr std::string_view kLocks[] = {"lock", "lock.children"};
// Of the state directory: what a restore makes there.
constexpr std::string_view kMade[] = {"state.db", "node.key", "query.key", "query.key.id", "apps"};

Failure Unreadable(std::string doing) {
  return FailureOf(SystemError(std::move(doing)), "backup_unreadable");
}

Failure Unwritable(std::string doing) {
  return FailureOf(SystemError(std::move(doing)), "output_failed");
}

Failure Damaged(std::string what, std::string detail = "") {
  return Failure{ExitCode::kFailed, "backup_damaged", std::move(what), std::move(detail),
                 "take another backup, or another copy of this one"};
}

Attempt<BackupManifest> ReadManifest(const std::string& folder) {
  const std::string path = folder + "/" + std::string(kBackupManifest);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid() && errno == ENOENT)
    return Failure{ExitCode::kFailed, "backup_unreadable", folder + " is not a backup",
                   "it has no " + std::string(kBackupManifest),
                   "one that was broken off has none, and is of no use"};
  if (!fd.valid())
    return Unreadable("reading " + path);
  BackupManifestParser parser;
  std::string part(kPart, '\0');
  while (true) {
    const ssize_t got = ::read(fd.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return Unreadable("reading " + path);
    if (got == 0)
      break;
    if (Result<void> added = parser.Add({part.data(), static_cast<std::size_t>(got)}); !added.ok())
      return Damaged(path + " is damaged", added.error().message);
  }
  Result<BackupManifest> manifest = parser.Finish();
  if (!manifest.ok())
    return Damaged(path + " is damaged", manifest.error().message);
  return std::move(manifest).value();
}

// Where a piece goes; -1: nowhere.
struct Target {
  int fd = -1;
  std::string path = {};
};

class PieceReader {
 public:
  PieceReader(std::string folder, Progress& progress)
      : folder_(std::move(folder)), progress_(progress), part_(kPart, '\0') {}

  // What is wrong with the piece; empty: it is what was backed up, and was written to `target`.
  Attempt<std::string> Read(const BackupPiece& piece, const Target& target) {
    const std::string path = folder_ + "/" + piece.path;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd.valid() && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR))
      return std::string("it is missing");
    struct stat status = {};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0)
      return Unreadable("reading " + path);
    if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != piece.size)
      return fmt::format("it has {} bytes instead of {}", status.st_size, piece.size);
    Sha256Stream hash;
    for (std::uint64_t done = 0; done < piece.size;) {
      const ssize_t got =
          ::read(fd.get(), part_.data(), std::min<std::uint64_t>(part_.size(), piece.size - done));
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0 && errno == EIO)
        return std::string("the disk does not read it");
      if (got < 0)
        return Unreadable("reading " + path);
      if (got == 0)
        return std::string("it was cut off");
      const std::string_view bytes(part_.data(), static_cast<std::size_t>(got));
      hash.Add(bytes);
      if (target.fd >= 0)
        TRY(Write(target, bytes));
      done += bytes.size();
      bytes_ += bytes.size();
      progress_.Set(bytes_);
    }
    return hash.Finish() == piece.sha256 ? std::string() : "it does not have its hash";
  }

 private:
  static Attempt<void> Write(const Target& target, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(target.fd, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        return Unwritable("writing " + target.path);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  std::string folder_;
  Progress& progress_;
  std::string part_;
  std::uint64_t bytes_ = 0;
};

std::uint64_t TotalOf(const BackupManifest& manifest) {
  std::uint64_t total = 0;
  for (const BackupPiece& piece : manifest.pieces)
    total += piece.size;
  return total;
}

Attempt<Settings> SettingsOf(const RestoreWish& wish) {
  const std::string path = wish.config.empty() ? kDefaultConfig : wish.config;
  if (wish.config.empty() && ::access(path.c_str(), F_OK) != 0)
    return Settings();
  Result<Settings> settings = LoadSettings(path);
  if (!settings.ok())
    return FailureOf(std::move(settings).error(), "usage", ExitCode::kUsage);
  return std::move(settings).value();
}

// The state directory, while nobody else has it.
class StateDirectory {
 public:
  StateDirectory(std::string path, std::optional<uid_t> owner)
      : path_(std::move(path)),
        mark_(path_ + "/" + std::string(kUnfinishedRestore)),
        owner_(owner) {}

  const std::string& path() const { return path_; }

  Attempt<void> Take() {
    if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST)
      return Unwritable("making " + path_);
    for (const std::string_view name : kLocks) {
      UniqueFd& lock = locks_.emplace_back(::open((path_ + "/" + std::string(name)).c_str(),
                                                  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
      if (!lock.valid())
        return Unwritable("opening the lock of " + path_);
      if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
        return Failure{ExitCode::kRefused, "state_in_use", "a node runs on " + path_, "",
                       "stop it, and restore into an empty directory"};
    }
    TRY(Empty());
    const UniqueFd mark(::open(mark_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!mark.valid() || ::fsync(mark.get()) != 0)
      return Unwritable("writing " + mark_);
    return Sync();
  }

  Attempt<UniqueFd> Create(const std::string& piece) {
    for (std::size_t at = piece.find('/'); at != std::string::npos; at = piece.find('/', at + 1)) {
      const std::string folder = path_ + "/" + piece.substr(0, at);
      if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return Unwritable("making " + folder);
      TRY(Give(folder));
    }
    const std::string path = path_ + "/" + piece;
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid())
      return Unwritable("creating " + path);
    TRY(Give(path));
    return fd;
  }

  // All of it is on the disk, and a node may start.
  Attempt<void> Finish() {
    TRY(Sync());
    if (::unlink(mark_.c_str()) != 0)
      return Unwritable("removing " + mark_);
    return Sync();
  }

 private:
  // Only what a restore that was broken off has left may be there, and goes.
  Attempt<void> Empty() {
    const bool unfinished = ::access(mark_.c_str(), F_OK) == 0;
    std::error_code error;
    std::vector<std::filesystem::path> old;
    for (std::filesystem::directory_iterator entry(path_, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (std::ranges::find(kLocks, name) != std::end(kLocks) || name == kUnfinishedRestore)
        continue;
      if (!unfinished || std::ranges::find(kMade, name) == std::end(kMade))
        return Failure{ExitCode::kRefused, "state_not_empty", path_ + " is not empty",
                       "there is " + Harmless(name),
                       "a backup is restored into an empty directory: move the other state away"};
      old.push_back(entry->path());
    }
    for (const std::filesystem::path& path : old)
      std::filesystem::remove_all(path, error);
    if (error)
      return Unwritable("emptying " + path_);
    return {};
  }

  Attempt<void> Give(const std::string& path) const {
    if (owner_ && ::lchown(path.c_str(), *owner_, *owner_) != 0)
      return Unwritable("chown of " + path);
    return {};
  }

  Attempt<void> Sync() const {
    const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid() || ::syncfs(fd.get()) != 0)
      return Unwritable("syncing " + path_);
    return {};
  }

  std::string path_;
  std::string mark_;
  std::optional<uid_t> owner_;
  std::vector<UniqueFd> locks_;
};

void Tell(Console& console, const RestoreWish& wish, const BackupManifest& manifest,
          const std::string& where) {
  const bool key = HasPiece(manifest, "node.key");
  const bool on_sql_server = HasPiece(manifest, "query.key.id");
  console.Line(fmt::format("{} of {}, made {} by {}: {} files, {}, all as they were backed up",
                           where, wish.folder, Harmless(manifest.made), Harmless(manifest.version),
                           manifest.pieces.size(), FormatBytes(TotalOf(manifest))));
  if (!wish.check && !key)
    console.Note(
        "the backup has no node.key: put the node's into the state directory before it starts, or "
        "secrets do not open. When it runs: `cloister verify`");
  if (!wish.check && on_sql_server && !HasPiece(manifest, "query.key"))
    console.Note(
        "the backup has no query.key: put the node's into the state directory, too, or apps do not "
        "find their databases on the SQL server");
  if (console.json())
    console.Raw(Dump({{"backup", wish.folder},
                      {"made", manifest.made},
                      {"pieces", manifest.pieces.size()},
                      {"bytes", TotalOf(manifest)},
                      {"node_key", key},
                      {"on_sql_server", on_sql_server},
                      {"restored", !wish.check}}) +
                "\n");
}

struct DamagedPieces {
  std::size_t count = 0;
  std::string listed;  // the first of them, a line each
};

Attempt<DamagedPieces> FindDamaged(Console& console, const RestoreWish& wish,
                                   const BackupManifest& manifest) {
  const SystemClock clock;
  Progress progress(console, clock, "checking", TotalOf(manifest));
  PieceReader reader(wish.folder, progress);
  DamagedPieces damaged;
  for (const BackupPiece& piece : manifest.pieces) {
    const std::string what = TRY(reader.Read(piece, {}));
    if (!what.empty() && damaged.count++ < kDamagedListed)
      damaged.listed += fmt::format("{}: {}\n", piece.path, what);
  }
  return damaged;
}

Attempt<void> Check(Console& console, const RestoreWish& wish, const BackupManifest& manifest) {
  const DamagedPieces damaged = TRY(FindDamaged(console, wish, manifest));
  if (damaged.count > 0)
    return Damaged(fmt::format("{} of {} files of {} are damaged", damaged.count,
                               manifest.pieces.size(), wish.folder),
                   damaged.listed.substr(0, damaged.listed.size() - 1));
  Tell(console, wish, manifest, "checked");
  return {};
}

Attempt<void> RestorePieces(Console& console, const RestoreWish& wish,
                            const BackupManifest& manifest, StateDirectory& state) {
  const SystemClock clock;
  Progress progress(console, clock, "restoring", TotalOf(manifest));
  PieceReader reader(wish.folder, progress);
  for (const BackupPiece& piece : manifest.pieces) {
    const UniqueFd fd = TRY(state.Create(piece.path));
    const std::string what = TRY(reader.Read(piece, {.fd = fd.get(), .path = piece.path}));
    if (!what.empty())
      return Damaged(fmt::format("{} of {} is damaged", piece.path, wish.folder), what);
  }
  return {};
}

}  // namespace

Attempt<void> Restore(AdminApi& /*api*/, Console& console, const RestoreWish& wish) {
  const BackupManifest manifest = TRY(ReadManifest(wish.folder));
  if (wish.check)
    return Check(console, wish, manifest);
  const Settings settings = TRY(SettingsOf(wish));
  const std::string path = wish.state_dir.empty() ? settings.node.state_dir : wish.state_dir;
  // As root the node has a uid of its own.
  StateDirectory state(
      path, ::geteuid() == 0 ? std::optional<uid_t>(settings.node.uid_base) : std::nullopt);
  TRY(state.Take());
  TRY(RestorePieces(console, wish, manifest, state));
  TRY(state.Finish());
  Tell(console, wish, manifest, "restored into " + path);
  return {};
}

}  // namespace cloister
