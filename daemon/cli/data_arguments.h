#pragma once

// The arguments of the verbs that are about data: rollback, promote, snapshots, backup, restore,
// db.

#include <string>

#include "daemon/cli/backup.h"
#include "daemon/cli/db_shell.h"
#include "daemon/cli/local_arguments.h"
#include "daemon/cli/restore.h"
#include "daemon/cli/turn.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace cloister {

struct DataArguments {
  TurnWish turn;
  BackupWish backup;
  RestoreWish restore;
  DbShellWish shell;
};

// `arguments` and `verb` must outlive the parsing.
void AddTurns(CLI::App& root, DataArguments& arguments, Verb& verb);
void AddBackups(CLI::App& root, DataArguments& arguments, Verb& verb);
void AddDatabases(CLI::App& root, DataArguments& arguments, Verb& verb);

}  // namespace cloister
