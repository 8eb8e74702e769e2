#pragma once

// Where the databases of apps are, and who copies one while it is used.
//
// An app's database has a number, its generation: 0 for the first, which lies in the app's
// directory; another one, which has taken its place, or a snapshot, lies in data/NUMBER there.
// Which one is the app's is in its row (AppRow::data). Runs on the loop thread.

#include <cstdint>
#include <functional>
#include <string>

#include "apis/base/names.h"
#include "apis/base/result.h"
#include "apis/base/units.h"

namespace cloister {

// `app_directory`: apps/NUMBER of the state directory.
inline std::string DataDirectory(const std::string& app_directory, std::uint64_t data) {
  return data == 0 ? app_directory : app_directory + "/data/" + std::to_string(data);
}

// What is to be copied, and where to.
struct DatabaseCopy {
  AppId app;
  std::uint64_t from = 0;  // of a database or a snapshot
  std::string to;          // a directory on the same file system; whole when it is there
};

class DatabaseSource {
 public:
  virtual ~DatabaseSource() = default;
  // Whether apps' databases are on a server of the operator's: then there are none to copy here,
  // whatever files an earlier time has left.
  virtual bool on_server() const = 0;
  // The database as it is at some moment from now on, on the disk when `done` gets its size. Only
  // its name is not: `to` + ".new" is what is worked on. Errors: as CopyDatabaseFiles.
  virtual void Copy(DatabaseCopy copy, std::function<void(Result<Bytes>)> done) = 0;
};

}  // namespace cloister
