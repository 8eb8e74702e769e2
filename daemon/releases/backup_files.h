#pragma once

// What a backup consists of, as files of a directory of the node's: copies of databases, and links
// to the files of objects, which never change. Blocking.
//
//   DIRECTORY/state.db, node.key
//   DIRECTORY/apps/N/...          as they are called in a backup (config/backup_manifest.h)
//   DIRECTORY/apps/N.list         of the app's pieces: "SIZE PATH" a line

#include <cstdint>
#include <string>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/units.h"
#include "daemon/store/rows.h"

namespace cloister {

enum class WithNodeKey { kNo, kYes };

// An app, as the copy of the state has it.
struct BackupApp {
  AppId id;
  std::string name;        // TENANT/APP
  std::uint64_t data = 0;  // the generation of its database
  Bytes size;              // about: of its database and objects
};

struct BackupState {
  std::vector<BackupApp> apps;
  std::vector<std::string> pieces;  // beside the apps'
  Bytes size;                       // of these
};

// Makes `directory` and copies the state into it. What was there goes. kNotFound: there is no key
// in the state directory.
Result<BackupState> BackUpState(const std::string& state_directory, const std::string& directory,
                                WithNodeKey key);

// The app's pieces are in `directory`; its database, if it has one, was copied there already.
struct BackupList {
  std::uint64_t pieces = 0;
  Bytes size;
  Bytes list;                   // of the file with the list
  std::uint64_t on_server = 0;  // objects whose bytes stay there
};
Result<BackupList> BackUpApp(const std::string& state_directory, const std::string& directory,
                             const BackupApp& app);
void RemoveBackedUpApp(const std::string& directory, AppId app);

// What is at `offset` of a file of the backup: `count` bytes of it, or what is left. kNotFound.
Result<std::string> ReadBackup(const std::string& directory, const std::string& path,
                               std::uint64_t offset, std::size_t count);

// Where the app's database is copied to, and is called in a backup.
std::string BackupDataDirectory(const std::string& directory, const BackupApp& app);

}  // namespace cloister
