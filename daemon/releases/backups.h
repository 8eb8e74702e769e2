#pragma once

// The backup of a running node: what is copied for it, and handed out piece by piece.
//
// One at a time. Whoever makes it (`cloister backup`) asks for the state first, then for one app
// after the other, reads their pieces, and has them taken away; a backup of which nothing was asked
// for kIdleMax is given up. Copies lie in STATE/backup, on the node's disk; files of objects are
// only linked there. Runs on the loop thread, works in the background.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/loop/background.h"
#include "daemon/loop/timer.h"
#include "daemon/releases/backup_files.h"
#include "daemon/releases/problem.h"
#include "daemon/workers/database_source.h"

namespace cloister {

struct BackupBegun {
  std::uint64_t id = 0;
  BackupState state;
};

class Backups {
 public:
  static constexpr Millis kIdleMax{60000};
  static constexpr std::size_t kPieceMax = std::size_t{4} << 20;

  Backups(Loop& loop, std::string state_directory, DatabaseSource* databases);
  Backups(const Backups&) = delete;
  Backups& operator=(const Backups&) = delete;
  ~Backups();

  // Takes away what a former process has left. Once, when the state is this process's.
  void Start();

  // kBackupInProgress, kDiskFull; kBackupKey: there is no node.key.
  void Begin(WithNodeKey key, std::function<void(Outcome<BackupBegun>)> done);
  // Copies an app; kBackupNotFound: no such backup, or no such app in it. An app that is gone has
  // no pieces.
  void AddApp(std::uint64_t id, AppId app, std::function<void(Outcome<BackupList>)> done);
  // `path`: of a piece, or apps/N.list. kBackupNotFound.
  void Read(std::uint64_t id, const std::string& path, std::uint64_t offset, std::size_t count,
            std::function<void(Outcome<std::string>)> done);
  void RemoveApp(std::uint64_t id, AppId app, std::function<void(Outcome<Done>)> done);
  void End(std::uint64_t id, std::function<void(Outcome<Done>)> done);

 private:
  // False, and `done` is told, unless that is the backup there is. Else it is not given up while it
  // is at work, until Rest().
  template <typename T>
  bool Touch(std::uint64_t id, const std::function<void(Outcome<T>)>& done);
  void Rest();
  // `done`, after Rest().
  template <typename T>
  std::function<void(Outcome<T>)> AndRest(std::function<void(Outcome<T>)> done);
  void CopyRest(const BackupApp& app, std::function<void(Outcome<BackupList>)> done);
  void Clear(std::function<void()> done);

  Loop& loop_;
  std::string state_directory_;
  std::string directory_;
  DatabaseSource* databases_;
  std::uint64_t last_ = 0;
  std::optional<std::uint64_t> current_;
  bool busy_ = false;  // begins, or is taken away
  std::size_t at_work_ = 0;
  std::map<AppId, BackupApp> apps_;
  Timer idle_;
  std::shared_ptr<Backups*> self_;  // null inside once this is gone
  Background background_;
};

}  // namespace cloister
