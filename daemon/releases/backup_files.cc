#include "daemon/releases/backup_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "apis/backends/sqlite.h"
#include "apis/base/sha256.h"
#include "apis/base/unique_fd.h"
#include "apis/persistence/object_files.h"
#include "config/backup_manifest.h"
#include "daemon/store/accounts.h"
#include "daemon/store/node_key.h"
#include "daemon/workers/database_copy.h"
#include "daemon/workers/database_source.h"
#include "daemon/workers/query_roles.h"

namespace cloister {
namespace {

constexpr mode_t kOwnersDirectory = 0700;
// Objects that go while they are listed are few: so often it is tried again.
constexpr int kTriesMax = 5;

Result<void> MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return SystemError("making " + path, error.value());
  if (::chmod(path.c_str(), kOwnersDirectory) != 0)
    return SystemError("making " + path);
  return {};
}

std::string AppPath(AppId app) {
  return "apps/" + std::to_string(app.number);
}

std::optional<std::uint64_t> SizeOf(const std::string& path) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

// Small files of the node's own.
Result<void> CopySmall(const std::string& from, const std::string& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!source.valid() && errno == ENOENT)
    return Error{ErrorCode::kNotFound, "there is no " + from};
  char bytes[4096];
  const ssize_t size = source.valid() ? ::read(source.get(), bytes, sizeof bytes) : -1;
  const UniqueFd target(
      ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (size < 0 || !target.valid() ||
      ::write(target.get(), bytes, static_cast<std::size_t>(size)) != size)
    return SystemError("copying " + from);
  return {};
}

// About what the app's pieces will have: for a progress bar.
Result<Bytes> Estimate(const std::string& app_directory, std::uint64_t data) {
  Bytes size = SizeOfDatabase(DataDirectory(app_directory, data));
  const std::string objects = app_directory + "/objects.db";
  const std::optional<std::uint64_t> rows = SizeOf(objects);
  if (!rows)
    return size;
  size.count += *rows;
  Database db = TRY(Database::Open(objects, {.access = Database::Access::kReadOnly}));
  Statement sum =
      TRY(db.Query("SELECT coalesce(sum(size), 0) FROM objects "
                   "WHERE chunks IS NOT NULL AND length(chunks) % 32 = 0"));
  TRY(sum.Step());
  size.count += sum.UInt(0);
  return size;
}

// Links each file of an object that is not there yet.
Result<void> LinkObjects(const std::string& from, const std::string& to) {
  std::error_code error;
  for (std::filesystem::directory_iterator folder(from, error), end; !error && folder != end;
       folder.increment(error)) {
    const std::string name = folder->path().filename().string();
    if (name.size() != 2 || !folder->is_directory(error))
      continue;
    const std::string below = fmt::format("{}/{}", to, name);
    TRY(MakeDirectories(below));
    std::error_code inner;
    for (std::filesystem::directory_iterator file(folder->path(), inner), last;
         !inner && file != last; file.increment(inner)) {
      const std::string target = fmt::format("{}/{}", below, file->path().filename().string());
      // One that is deleted meanwhile is gone.
      if (::link(file->path().c_str(), target.c_str()) != 0 && errno != EEXIST && errno != ENOENT)
        return SystemError("linking " + file->path().string());
    }
  }
  return {};
}

class List {
 public:
  explicit List(const std::string& directory, AppId app)
      : directory_(directory), path_(directory + "/" + AppPath(app) + ".list") {}

  // A piece that is there.
  void Add(const std::string& path, std::uint64_t size) {
    text_ += std::to_string(size) + " " + path + "\n";
    list_.size.count += size;
    ++list_.pieces;
  }
  // Objects whose bytes a server has.
  void NoteOnServer(std::uint64_t objects) { list_.on_server += objects; }
  Result<BackupList> Write() {
    const UniqueFd fd(
        ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    std::string_view rest = text_;
    while (fd.valid() && !rest.empty()) {
      const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
      if (written < 0 && errno != EINTR)
        break;
      rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    if (!fd.valid() || !rest.empty())
      return SystemError("writing " + path_);
    list_.list.count = text_.size();
    return list_;
  }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
  std::string path_;
  std::string text_;
  BackupList list_;
};

// The files that the rows of objects.db want. False: one of them is not there. What a server has
// (RemoteMarkIn) is no file, and stays there.
Result<bool> ListObjectFiles(const std::string& app_directory, const std::string& prefix,
                             List& list) {
  Database db =
      TRY(Database::Open(app_directory + "/objects.db", {.access = Database::Access::kReadOnly}));
  Statement rows =
      TRY(db.Query("SELECT id, size FROM objects "
                   "WHERE chunks IS NOT NULL AND length(chunks) % 32 = 0 ORDER BY id"));
  while (TRY(rows.Step())) {
    const std::optional<Sha256> id = Sha256::FromBytes(rows.BlobBytes(0));
    if (!id)
      return Error{ErrorCode::kSystem, "objects.db: an id is not one"};
    const std::string path = ObjectPath(app_directory, *id);
    const std::optional<std::uint64_t> size = SizeOf(path);
    if (!size)
      return false;
    list.Add(prefix + path.substr(app_directory.size()), *size);
  }
  Statement on_server =
      TRY(db.Query("SELECT count(*) FROM objects "
                   "WHERE chunks IS NOT NULL AND length(chunks) % 32 <> 0"));
  if (TRY(on_server.Step()))
    list.NoteOnServer(on_server.UInt(0));
  return true;
}

Result<bool> BackUpObjects(const std::string& from, const std::string& to,
                           const std::string& prefix, List& list) {
  if (!SizeOf(from + "/objects.db"))
    return true;
  // A file that a row names is there before the row and goes after it: what the copy of the rows
  // names was there before the copy, or came while it was made.
  TRY(LinkObjects(from + "/objects", to + "/objects"));
  TRY(CopyDatabase(from + "/objects.db", to + "/objects.db"));
  TRY(LinkObjects(from + "/objects", to + "/objects"));
  list.Add(prefix + "/objects.db", SizeOf(to + "/objects.db").value_or(0));
  return ListObjectFiles(to, prefix, list);
}

// The apps that the copy of the state knows; it is made whole, too.
Result<std::vector<BackupApp>> AppsOfCopy(const std::string& path,
                                          const std::string& state_directory) {
  Database db = TRY(Database::Open(path, {}));
  std::vector<BackupApp> apps;
  const std::vector<AppRow> rows = TRY(ListApps(db));
  apps.reserve(rows.size());
  for (const AppRow& app : rows) {
    const Bytes size =
        TRY(Estimate(fmt::format("{}/{}", state_directory, AppPath(app.id)), app.data));
    apps.push_back({.id = app.id, .name = app.name.ToString(), .data = app.data, .size = size});
  }
  // Databases come along as they are now; former ones do not.
  TRY(db.Run("DELETE FROM snapshots"));
  // What was written since it was copied is in the file, not beside it.
  Statement checkpoint = TRY(db.Query("PRAGMA wal_checkpoint(TRUNCATE)"));
  TRY(checkpoint.Finish());
  return apps;
}

// In the copy of the state. Without one there may be no key yet.
Result<bool> HasSecrets(const std::string& path) {
  Database db = TRY(Database::Open(path, {.access = Database::Access::kReadOnly}));
  Statement any = TRY(db.Query("SELECT 1 FROM config_values WHERE secret = 1 LIMIT 1"));
  return TRY(any.Step());
}

// kNotFound: there is no node.key, and there are secrets.
Result<void> CopyKeys(const std::string& from, const std::string& to,
                      std::vector<std::string>& pieces) {
  for (const std::string_view file : {kNodeKeyFile, kQueryKeyFile}) {
    const std::string name(file);
    const bool wanted = file == kNodeKeyFile && TRY(HasSecrets(to + "/state.db"));
    if (!wanted && !SizeOf(fmt::format("{}/{}", from, name)))
      continue;
    TRY(CopySmall(fmt::format("{}/{}", from, name), fmt::format("{}/{}", to, name)));
    pieces.push_back(name);
  }
  return {};
}

}  // namespace

std::string BackupDataDirectory(const std::string& directory, const BackupApp& app) {
  return DataDirectory(directory + "/" + AppPath(app.id), app.data);
}

Result<BackupState> BackUpState(const std::string& state_directory, const std::string& directory,
                                WithNodeKey key) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  TRY(MakeDirectories(directory + "/apps"));
  const std::string path = directory + "/state.db";
  TRY(CopyDatabase(state_directory + "/state.db", path));
  BackupState state{.apps = {}, .pieces = {"state.db"}, .size = {}};
  state.apps = TRY(AppsOfCopy(path, state_directory));
  if (key == WithNodeKey::kYes)
    TRY(CopyKeys(state_directory, directory, state.pieces));
  // By it a node that is restored without the key notices.
  if (const std::string id(kQueryKeyIdFile); SizeOf(fmt::format("{}/{}", state_directory, id))) {
    TRY(CopySmall(fmt::format("{}/{}", state_directory, id), fmt::format("{}/{}", directory, id)));
    state.pieces.push_back(id);
  }
  for (const std::string& piece : state.pieces)
    state.size.count += SizeOf(fmt::format("{}/{}", directory, piece)).value_or(0);
  return state;
}

Result<BackupList> BackUpApp(const std::string& state_directory, const std::string& directory,
                             const BackupApp& app) {
  const std::string prefix = AppPath(app.id);
  const std::string from = state_directory + "/" + prefix;
  const std::string to = directory + "/" + prefix;
  TRY(MakeDirectories(to));
  List databases(directory, app.id);
  const std::string data = BackupDataDirectory(directory, app);
  for (const char* const file : {kDatabaseFile, kDatabaseLogFile})
    if (const std::optional<std::uint64_t> size = SizeOf(data + file))
      databases.Add((data + file).substr(directory.size() + 1), *size);
  for (int tries = 0; tries < kTriesMax; ++tries) {
    List list = databases;
    if (TRY(BackUpObjects(from, to, prefix, list)))
      return list.Write();
    std::error_code error;
    std::filesystem::remove_all(to + "/objects", error);
    std::filesystem::remove(to + "/objects.db", error);
  }
  return Error{ErrorCode::kUnavailable, "objects of " + app.name +
                                            " are missing, or deleted faster than they are listed; "
                                            "`cloister verify` tells which"};
}

void RemoveBackedUpApp(const std::string& directory, AppId app) {
  std::error_code error;
  std::filesystem::remove_all(directory + "/" + AppPath(app), error);
  std::filesystem::remove(directory + "/" + AppPath(app) + ".list", error);
}

Result<std::string> ReadBackup(const std::string& directory, const std::string& path,
                               std::uint64_t offset, std::size_t count) {
  const std::string whole = directory + "/" + path;
  const UniqueFd fd(::open(whole.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid() && errno == ENOENT)
    return Error{ErrorCode::kNotFound, "the backup has no " + path};
  if (!fd.valid())
    return SystemError("opening " + whole);
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got =
        ::pread(fd.get(), bytes.data() + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return SystemError("reading " + whole);
    if (got == 0)
      break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace cloister
