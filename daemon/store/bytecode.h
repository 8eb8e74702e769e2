#pragma once

// Compiled modules of an app in state.db, by (content, path, magic). Blocking; background jobs
// only.
//
// The code is marshalled and stays so: the node never unmarshals it (I1). `magic` names the
// interpreter that made it; another interpreter compiles anew.

#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

// The .py files of the release that have no bytecode yet.
Result<std::vector<BytecodeName>> MissingBytecode(Database& db, ReleaseId release,
                                                  std::string_view magic);

// In one transaction. Code that is there already stays.
Result<void> StoreBytecode(Database& db, AppId app, const std::vector<Bytecode>& codes,
                           std::string_view magic);

// Empty when there is none. kSystem when what is there is not what was stored (I5).
Result<std::string> LoadBytecode(Database& db, AppId app, const BytecodeName& name,
                                 std::string_view magic);

// The same for the code of every interpreter, without unpacking it.
Result<void> CheckBytecode(Database& db, AppId app, const BytecodeName& name);

}  // namespace cloister
