#include "daemon/cli/backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "apis/base/unique_fd.h"
#include "config/backup_manifest.h"
#include "daemon/cli/progress.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

// Of one request: less than what the node gives at once.
constexpr std::uint64_t kPiece = std::uint64_t{4} << 20;
// The node copies whole databases before it answers.
constexpr Millis kCopyWait{3600000};

Failure Unwritable(std::string doing) {
  return FailureOf(SystemError(std::move(doing)), "output_failed");
}

Failure BadAnswer(std::string what) {
  return Failure{ExitCode::kFailed, "bad_answer", std::move(what), "",
                 "is the node of another version than this command?"};
}

struct Listed {
  std::string path;
  std::uint64_t size = 0;
};

// "SIZE PATH" a line.
Attempt<std::vector<Listed>> ParseList(std::string_view text) {
  std::vector<Listed> pieces;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    Listed piece;
    const auto [stop, bad] = std::from_chars(line.data(), line.data() + line.size(), piece.size);
    if (bad != std::errc() || stop == line.data() + line.size() || *stop != ' ')
      return BadAnswer("the node's list of pieces has another form");
    piece.path = line.substr(static_cast<std::size_t>(stop + 1 - line.data()));
    if (!IsBackupPath(piece.path))
      return BadAnswer("the node lists a piece that no backup has: " + Harmless(piece.path));
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

class BackupRun {
 public:
  BackupRun(AdminApi& api, Console& console, std::string folder)
      : api_(api),
        console_(console),
        started_(clock_.Now()),
        folder_(std::move(folder)),
        unfinished_(folder_ + ".unfinished") {}
  BackupRun(const BackupRun&) = delete;
  BackupRun& operator=(const BackupRun&) = delete;
  // What is not finished goes, here and at the node.
  ~BackupRun() {
    if (!target_.empty())
      (void)api_.Delete(target_).ok();
    std::error_code error;
    if (made_)
      std::filesystem::remove_all(unfinished_, error);
  }

  Attempt<void> Run(bool node_key) {
    TRY(MakeFolder());
    const Json begun =
        TRY(api_.PostBytes("/v1/backups", Dump({{"node_key", node_key}}), {}, kCopyWait));
    target_ = "/v1/backups/" + std::to_string(NumberOf(begun, "id"));
    manifest_.made = TextOf(begun, "now");
    manifest_.version = TextOf(begun, "version");
    std::uint64_t total = NumberOf(begun, "bytes");
    for (const Json& app : ListOf(begun, "apps"))
      total += NumberOf(app, "bytes");
    Progress progress(console_, clock_, "backing up", total);
    for (const Json& piece : ListOf(begun, "pieces"))
      if (piece.is_string())
        TRY(Fetch({.path = piece.get<std::string>(), .size = 0}, progress));
    for (const Json& app : ListOf(begun, "apps"))
      TRY(AddApp(app, progress));
    apps_ = ListOf(begun, "apps").size();
    return Finish();
  }

  void Tell(const BackupWish& wish) {
    const auto elapsed = std::chrono::duration_cast<Millis>(clock_.Now() - started_);
    console_.Line(fmt::format("{}: {} of {} apps in {} files, {}", folder_, FormatBytes(bytes_),
                              apps_, manifest_.pieces.size(), FormatDuration(elapsed)));
    const bool on_sql_server = HasPiece(manifest_, "query.key.id");
    if (!wish.node_key)
      console_.Note(
          "without the node's key: secrets open with node.key of the state directory alone, so "
          "keep a copy of it elsewhere");
    if (!wish.node_key && on_sql_server)
      console_.Note(
          "without query.key of the state directory, by which apps find their databases on the SQL "
          "server: keep a copy of it elsewhere, too");
    if (on_sql_server)
      console_.Note("apps' databases on the SQL server are not in it: back that up, too");
    if (on_server_ > 0)
      console_.Note(
          fmt::format("{} larger object{} on the server that the node's settings name: "
                      "back up the bucket, too",
                      on_server_, on_server_ == 1 ? " stays" : "s stay"));
    if (console_.json())
      console_.Raw(Dump({{"backup", folder_},
                         {"apps", apps_},
                         {"pieces", manifest_.pieces.size()},
                         {"bytes", bytes_},
                         {"on_server", on_server_},
                         {"on_sql_server", on_sql_server},
                         {"node_key", HasPiece(manifest_, "node.key")},
                         {"elapsed_ms", elapsed.count()}}) +
                   "\n");
  }

 private:
  Attempt<void> MakeFolder() {
    for (const std::string& path : {folder_, unfinished_}) {
      struct stat status = {};
      if (::lstat(path.c_str(), &status) == 0)
        return Failure{ExitCode::kFailed, "backup_exists", path + " is there already", "",
                       "name a directory that is not there; one that ends in .unfinished was left "
                       "by a backup that was broken off, and may go"};
    }
    if (::mkdir(unfinished_.c_str(), 0700) != 0)
      return Unwritable("making " + unfinished_);
    made_ = true;
    return {};
  }

  Attempt<void> AddApp(const Json& app, Progress& progress) {
    const std::string number = std::to_string(NumberOf(app, "id"));
    const Json added = TRY(api_.PostBytes(target_ + "/apps/" + number, "{}", {}, kCopyWait));
    on_server_ += NumberOf(added, "on_server");
    std::string list;
    while (true) {
      std::string part = TRY(Read("apps/" + number + ".list", list.size()));
      list += part;
      if (part.size() < kPiece)
        break;
    }
    for (const Listed& piece : TRY(ParseList(list)))
      TRY(Fetch(piece, progress));
    TRY(api_.Delete(target_ + "/apps/" + number));
    return {};
  }

  Attempt<std::string> Read(const std::string& path, std::uint64_t offset) {
    return api_.GetBytes(fmt::format("{}/bytes?path={}&offset={}&count={}", target_,
                                     PercentEncoded(path), offset, kPiece));
  }

  // `piece.size`: 0 when it is not known.
  Attempt<void> Fetch(const Listed& piece, Progress& progress) {
    if (!IsBackupPath(piece.path))
      return BadAnswer("the node lists a piece that no backup has");
    const std::string path = unfinished_ + "/" + piece.path;
    std::error_code error;
    std::filesystem::create_directories(path.substr(0, path.rfind('/')), error);
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.valid())
      return Unwritable("creating " + path);
    Sha256Stream hash;
    std::uint64_t done = 0;
    while (true) {
      const std::string bytes = TRY(Read(piece.path, done));
      hash.Add(bytes);
      TRY(Write(fd.get(), bytes, path));
      done += bytes.size();
      bytes_ += bytes.size();
      progress.Set(bytes_);
      if (bytes.size() < kPiece)
        break;
    }
    if (piece.size != 0 && piece.size != done)
      return BadAnswer("the node gave " + std::to_string(done) + " bytes of " + piece.path +
                       " instead of " + std::to_string(piece.size));
    manifest_.pieces.push_back({.path = piece.path, .size = done, .sha256 = hash.Finish()});
    return {};
  }

  static Attempt<void> Write(int fd, std::string_view bytes, const std::string& path) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        return Unwritable("writing " + path);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

  // All pieces are on the disk before the manifest is, and that before the backup has its name.
  Attempt<void> Finish() {
    const UniqueFd directory(::open(unfinished_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() || ::syncfs(directory.get()) != 0)
      return Unwritable("syncing " + unfinished_);
    const std::string path = unfinished_ + "/" + std::string(kBackupManifest);
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.valid())
      return Unwritable("creating " + path);
    TRY(Write(fd.get(), RenderBackupManifest(manifest_), path));
    if (::fsync(fd.get()) != 0 || ::fsync(directory.get()) != 0)
      return Unwritable("syncing " + path);
    if (::rename(unfinished_.c_str(), folder_.c_str()) != 0)
      return Unwritable("renaming " + unfinished_);
    made_ = false;
    const std::string parent = std::filesystem::absolute(folder_).parent_path().string();
    const UniqueFd above(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!above.valid() || ::fsync(above.get()) != 0)
      return Unwritable("syncing " + parent);
    return {};
  }

  AdminApi& api_;
  Console& console_;
  const SystemClock clock_;
  MonotonicTime started_;
  std::string folder_;
  std::string unfinished_;
  std::string target_;  // of the backup at the node; empty: it has not begun
  bool made_ = false;   // unfinished_ is ours
  std::size_t apps_ = 0;
  std::uint64_t on_server_ = 0;  // objects whose bytes are not in it
  std::uint64_t bytes_ = 0;
  BackupManifest manifest_;
};

}  // namespace

Attempt<void> BackUp(AdminApi& api, Console& console, const BackupWish& wish) {
  std::string folder = wish.folder;
  while (folder.size() > 1 && folder.ends_with('/'))
    folder.pop_back();
  BackupRun run(api, console, folder);
  TRY(run.Run(wish.node_key));
  run.Tell(wish);
  return {};
}

}  // namespace cloister
