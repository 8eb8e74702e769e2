#include "daemon/releases/backups.h"

#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "apis/base/log.h"
#include "config/backup_manifest.h"

namespace cloister {
namespace {

constexpr std::size_t kThreads = 1;

Problem NoBackup(std::uint64_t id) {
  return Refused(ProblemCode::kBackupNotFound,
                 "there is no backup " + std::to_string(id) +
                     " any more: the node was replaced, or nothing was asked for too long");
}

// "apps/N.list".
bool IsListPath(std::string_view path) {
  constexpr std::string_view kEnd = ".list";
  return path.ends_with(kEnd) &&
         IsBackupPath(std::string(path.substr(0, path.size() - kEnd.size())) + "/objects.db");
}

}  // namespace

Backups::Backups(Loop& loop, std::string state_directory, DatabaseSource* databases)
    : loop_(loop),
      state_directory_(std::move(state_directory)),
      directory_(state_directory_ + "/backup"),
      databases_(databases),
      // Another process of this node gives others.
      last_(static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                       std::chrono::microseconds(1))),
      idle_(loop),
      self_(std::make_shared<Backups*>(this)),
      background_(loop, kThreads) {}

Backups::~Backups() {
  *self_ = nullptr;
}

void Backups::Start() {
  Clear([] {});
}

void Backups::Clear(std::function<void()> done) {
  busy_ = true;
  current_.reset();
  apps_.clear();
  idle_.Stop();
  background_.Run(
      0,
      [directory = directory_] {
        std::error_code error;
        std::filesystem::remove_all(directory, error);
        return error.value();
      },
      [self = self_, done = std::move(done)](int failed) {
        if (*self == nullptr)
          return;
        if (failed != 0)
          Log(LogLevel::kWarning, "backup_not_removed", {{"error", failed}});
        (*self)->busy_ = false;
        done();
      });
}

template <typename T>
bool Backups::Touch(std::uint64_t id, const std::function<void(Outcome<T>)>& done) {
  if (!current_ || *current_ != id) {
    done(NoBackup(id));
    return false;
  }
  ++at_work_;
  idle_.Stop();
  return true;
}

template <typename T>
std::function<void(Outcome<T>)> Backups::AndRest(std::function<void(Outcome<T>)> done) {
  return [self = self_, done = std::move(done)](Outcome<T> outcome) {
    if (*self == nullptr)
      return;
    (*self)->Rest();
    done(std::move(outcome));
  };
}

void Backups::Rest() {
  if (--at_work_ > 0 || !current_)
    return;
  idle_.Start(kIdleMax, [this] {
    Log(LogLevel::kWarning, "backup_abandoned");
    Clear([] {});
  });
}

void Backups::Begin(WithNodeKey key, std::function<void(Outcome<BackupBegun>)> done) {
  if (busy_ || current_)
    return done(
        Refused(ProblemCode::kBackupInProgress,
                "one is made already; it is given up when nothing was asked of it for a minute"));
  busy_ = true;
  background_.Run(
      0, [from = state_directory_, to = directory_, key] { return BackUpState(from, to, key); },
      [self = self_, done = std::move(done)](Result<BackupState> state) {
        if (*self == nullptr)
          return;
        Backups& backups = **self;
        backups.busy_ = false;
        if (!state.ok()) {
          const Error error = std::move(state).error();
          backups.Clear([] {});
          return done(error.code == ErrorCode::kNotFound
                          ? Refused(ProblemCode::kBackupKey, error.message)
                          : ProblemOf(error));
        }
        const std::uint64_t id = ++backups.last_;
        backups.current_ = id;
        for (const BackupApp& app : state.value().apps)
          backups.apps_[app.id] = app;
        ++backups.at_work_;
        backups.Rest();
        done(BackupBegun{.id = id, .state = std::move(state).value()});
      });
}

void Backups::AddApp(std::uint64_t id, AppId app, std::function<void(Outcome<BackupList>)> done) {
  if (!Touch(id, done))
    return;
  done = AndRest(std::move(done));
  const auto found = apps_.find(app);
  if (found == apps_.end())
    return done(Refused(ProblemCode::kBackupNotFound,
                        "the backup has no app " + std::to_string(app.number)));
  const BackupApp row = found->second;
  if (databases_ == nullptr)
    return CopyRest(row, std::move(done));
  const std::string to = BackupDataDirectory(directory_ + "/copy", row);
  background_.Run(
      app.number,
      [this_app = row, directory = directory_, to]() -> Result<void> {
        RemoveBackedUpApp(directory, this_app.id);
        std::error_code error;
        std::filesystem::remove_all(directory + "/copy", error);
        std::filesystem::create_directories(to.substr(0, to.rfind('/')), error);
        return error ? Result<void>(SystemError("making " + to, error.value())) : Result<void>();
      },
      [self = self_, row, to, done = std::move(done)](Result<void> made) {
        if (*self == nullptr)
          return;
        if (!made.ok())
          return done(std::move(made).error());
        (*self)->databases_->Copy({.app = row.id, .from = row.data, .to = to},
                                  [self, row, done](Result<Bytes> copied) {
                                    if (*self == nullptr)
                                      return;
                                    // No database, or the app is gone.
                                    if (!copied.ok() && copied.error().code != ErrorCode::kNotFound)
                                      return done(std::move(copied).error());
                                    (*self)->CopyRest(row, done);
                                  });
      });
}

void Backups::CopyRest(const BackupApp& app, std::function<void(Outcome<BackupList>)> done) {
  background_.Run(
      app.id.number,
      [from = state_directory_, to = directory_, app]() -> Result<BackupList> {
        const std::string copied = BackupDataDirectory(to + "/copy", app);
        const std::string wanted = BackupDataDirectory(to, app);
        std::error_code error;
        std::filesystem::create_directories(wanted.substr(0, wanted.rfind('/')), error);
        if (std::filesystem::exists(copied, error))
          std::filesystem::rename(copied, wanted, error);
        if (error)
          return SystemError("placing the copy of " + app.name, error.value());
        return BackUpApp(from, to, app);
      },
      [self = self_, done = std::move(done)](Result<BackupList> list) {
        if (*self == nullptr)
          return;
        if (!list.ok())
          return done(std::move(list).error());
        done(list.value());
      });
}

void Backups::Read(std::uint64_t id, const std::string& path, std::uint64_t offset,
                   std::size_t count, std::function<void(Outcome<std::string>)> done) {
  if (!Touch(id, done))
    return;
  done = AndRest(std::move(done));
  if (!IsBackupPath(path) && !IsListPath(path))
    return done(Refused(ProblemCode::kBackupNotFound, "a backup has no such piece"));
  background_.Run(
      0,
      [directory = directory_, path, offset, count] {
        return ReadBackup(directory, path, offset, count);
      },
      [done = std::move(done)](Result<std::string> bytes) {
        if (bytes.ok())
          return done(std::move(bytes).value());
        const Error error = std::move(bytes).error();
        done(error.code == ErrorCode::kNotFound
                 ? Refused(ProblemCode::kBackupNotFound, error.message)
                 : ProblemOf(error));
      });
}

void Backups::RemoveApp(std::uint64_t id, AppId app, std::function<void(Outcome<Done>)> done) {
  if (!Touch(id, done))
    return;
  done = AndRest(std::move(done));
  background_.Run(
      app.number,
      [directory = directory_, app] {
        RemoveBackedUpApp(directory, app);
        return 0;
      },
      [done = std::move(done)](int) { done(Done()); });
}

void Backups::End(std::uint64_t id, std::function<void(Outcome<Done>)> done) {
  if (!Touch(id, done))
    return;
  done = AndRest(std::move(done));
  Clear([done = std::move(done)] { done(Done()); });
}

}  // namespace cloister
