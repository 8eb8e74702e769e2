#pragma once

// The shells that operators have open on apps' databases: `cloister db shell`.
//
// A shell is a DatabaseSession and two requests to the admin API. One is held for as long as the
// shell is open: when its client goes away, so does the shell, and what it had open is rolled back.
// The other is the statement under way: its answer is passed on as it comes, and waits for a client
// that does not take it. A client that goes away in the middle of a statement ends the shell, and
// the statement. Runs on the loop thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/admin/call.h"
#include "daemon/http/message.h"
#include "daemon/logs/log_event.h"
#include "daemon/loop/background.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"
#include "daemon/releases/catalog.h"
#include "daemon/workers/database_session.h"

namespace cloister {

struct TakenBody;

class DatabaseShells {
 public:
  // All of it must outlive this.
  struct Parts {
    Loop& loop;
    const Clock& clock;
    QueryProcesses& queries;
    LogSink& logs;
  };
  // Of one app's shells. Beyond: kShellsFull.
  static constexpr std::size_t kOfAppMax = 8;
  static constexpr std::size_t kMax = 64;

  explicit DatabaseShells(const Parts& parts);
  DatabaseShells(const DatabaseShells&) = delete;
  DatabaseShells& operator=(const DatabaseShells&) = delete;
  ~DatabaseShells();

  // Which shell of which app is meant, and by whom. One that is not theirs is not there.
  struct Asked {
    const AppEntry* app = nullptr;
    std::string id;
    std::string who;
  };

  struct Wish {
    QueryQuota quota = {};
    SessionAccess access = SessionAccess::kRead;
    // Of the app's database, to be read; the shell has a copy. None: the database.
    std::optional<std::uint64_t> snapshot = {};
  };

  // The number of a shell, which is to be held soon. `asked` without an id.
  Outcome<std::string> Open(const Asked& asked, const Wish& wish);
  // Answers when the shell has ended: {"ended": why}.
  void Hold(const Asked& asked, const AdminReply& reply);
  // Answers with what the query process does (apis/query/packets.h), as it is.
  void Execute(const Asked& asked, std::shared_ptr<const TakenBody> sql, const AdminReply& reply);
  Outcome<Done> Close(const Asked& asked);
  // The node decides nothing new: none is opened, and those that run no statement end.
  void End();

  std::size_t size() const { return shells_.size(); }

 private:
  class Shell;
  // Null, and the request is answered, when there is none.
  Shell* FindOrFail(const Asked& asked, const AdminReply& reply);
  Shell* Find(const std::string& id, AppId app, const std::string& who);
  // At the end of this turn.
  void Remove(const std::string& id, std::string why);
  void Note(const AppEntry& app, const std::string& who, const Wish& wish);

  Parts parts_;
  bool open_ = true;
  std::map<std::string, std::unique_ptr<Shell>> shells_;
  Background jobs_;                        // reads statements that came in a file
  std::shared_ptr<DatabaseShells*> self_;  // null inside once this is gone
};

}  // namespace cloister
