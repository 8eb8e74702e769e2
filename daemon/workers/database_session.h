#pragma once

// A session on an app's database that the node holds for an operator, as a worker holds one of the
// app's: on a socket pair whose far end is a QueryLink.
//
// Statements go to the app's query process, one at a time, and are under its rules and quotas. What
// comes back is passed on piece by piece and is not read here but for its first bytes; the process
// is as hostile as a worker. Runs on the loop thread.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "apis/query/packets.h"
#include "daemon/loop/fd_watch.h"
#include "daemon/loop/loop.h"
#include "daemon/workers/query_link.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

class QueryProcesses;

// What the statements of a session may do.
enum class SessionAccess { kRead, kWrite };

class DatabaseSession : private FdWatch::Handler, private QueryLink::Listener {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // Of the answer, in order: with the last piece it is whole. False: wait for Resume().
    virtual bool OnPiece(std::string_view piece, bool last) = 0;
    // The statement under way is lost, and with it the transaction. The next one may be asked.
    virtual void OnLost(std::string why) = 0;
    // There is no database any more. May destroy the session, as may the others.
    virtual void OnClosed(std::string why) = 0;
  };

  // `spec`: of the app; its release may be none. `listener` and `queries` must outlive it.
  static Result<std::unique_ptr<DatabaseSession>> Open(Loop& loop, QueryProcesses& queries,
                                                       const ReleaseSpec& spec,
                                                       SessionAccess access, Listener& listener);
  DatabaseSession(const DatabaseSession&) = delete;
  DatabaseSession& operator=(const DatabaseSession&) = delete;
  // What is open is rolled back.
  ~DatabaseSession() override;

  bool busy() const { return busy_; }
  bool in_transaction() const { return in_transaction_; }
  // `sql`: one statement in UTF-8 without NUL, at most kSqlMax bytes (CHECKed), when not busy().
  // kUnavailable: a transaction that the caller believes in was lost in the meantime; nothing was
  // asked.
  Result<void> Ask(std::string_view sql);
  void Resume();

  static constexpr std::size_t kSqlMax = std::size_t{1} << 20;

 private:
  DatabaseSession(Loop& loop, UniqueFd near_end, SessionAccess access, Listener& listener);

  void OnReadable() override;
  void OnWritable() override;
  void OnBadQuery(const Error& error) override { Close(error.message); }
  void OnForgotten() override { Close("the app was deleted"); }
  // False: nothing more is to be read now, or this is gone.
  bool Take(std::string_view bytes);
  bool TakeReply(const QueryPacket& packet);
  bool TakeReset(const QueryPacket& packet);
  void ReadHead(std::string_view piece);
  void Watch();
  void Close(std::string why);

  Loop& loop_;
  UniqueFd near_end_;
  Listener& listener_;
  std::unique_ptr<QueryLink> link_;  // null: closed
  FdWatch watch_;
  std::deque<std::string> out_;  // packets of the statement that are not sent yet
  std::uint32_t epoch_ = 1;
  std::uint32_t id_ = 0;      // of the statement under way
  std::size_t answered_ = 0;  // bytes of its answer
  bool busy_ = false;
  bool paused_ = false;
  bool in_transaction_ = false;
  std::uint8_t own_flags_;  // what the session is
  std::uint8_t flags_ = 0;  // what it has set
  std::int64_t last_row_id_ = 0;
  std::string lost_;  // why its transaction was lost while nothing was asked; empty: it was not
  std::vector<char> buffer_ = std::vector<char>(kQueryPacketMax + 1);
};

}  // namespace cloister
