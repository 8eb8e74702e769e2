#pragma once

// The connection that is no session's: what is asked of the server beside the app's statements.
//
// It cancels statements, since the app may have set the server's own time for them to anything, and
// asks how large the database is.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apis/base/result.h"
#include "sandbox/query/sql_server/connection.h"
#include "sandbox/query/sql_server/dialect.h"

namespace cloister {

class ServerSpare {
 public:
  ServerSpare(const ServerDialect& dialect, std::unique_ptr<ServerConnection> connection)
      : dialect_(dialect), connection_(std::move(connection)) {}

  // The statement that the connection of that number runs now.
  void Cancel(std::uint64_t number) { cancels_.push_back(number); }
  // Whether a cancel that was asked for may still come.
  bool is_cancelling(std::uint64_t number) const;
  void AskSize() { ask_size_ = true; }
  bool is_asking_size() const {
    return ask_size_ || !refreshes_.empty() || asked_ >= Asked::kStale;
  }

  int fd() const { return connection_->fd(); }
  short events() const { return connection_->events(); }
  // An Error: the server is gone.
  Result<void> Turn(short events);
  // Bytes of the database beyond what an empty one has, when an answer has come.
  std::optional<std::uint64_t> TakeSize() { return std::exchange(size_, std::nullopt); }

 private:
  enum class Asked { kNothing, kCancel, kStale, kRefresh, kSize };
  bool Ask();
  std::string NextSql();
  void TakeRow();

  const ServerDialect& dialect_;
  std::unique_ptr<ServerConnection> connection_;
  std::deque<std::uint64_t> cancels_;  // the first is asked now, when asked_ is kCancel
  std::deque<std::string> refreshes_;
  bool ask_size_ = false;
  bool listed_ = false;  // what refreshes_ has, for the size that is asked next
  Asked asked_ = Asked::kNothing;
  std::optional<std::uint64_t> size_;
};

}  // namespace cloister
