#pragma once

// The connection that is no session's: what is asked of the server beside the app's statements.
//
// It cancels statements, since the app may have set the server's own time for them to anything, and
// asks how large the database is.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "apis/base/result.h"
#include "sandbox/query/postgresql/connection.h"

namespace cloister {

class PgSpare {
 public:
  explicit PgSpare(std::unique_ptr<PgConnection> connection) : connection_(std::move(connection)) {}

  // The statement that the server's process `pid` runs now.
  void Cancel(int pid) { cancels_.push_back(pid); }
  // Whether a cancel that was asked for may still come.
  bool is_cancelling(int pid) const;
  void AskSize() { ask_size_ = true; }
  bool is_asking_size() const { return ask_size_ || asked_ == Asked::kSize; }

  int fd() const { return connection_->fd(); }
  short events() const { return connection_->events(); }
  // An Error: the server is gone.
  Result<void> Turn(short events);
  // Bytes of the database beyond what an empty one has, when an answer has come.
  std::optional<std::uint64_t> TakeSize() { return std::exchange(size_, std::nullopt); }

 private:
  enum class Asked { kNothing, kCancel, kSize };
  bool Ask();

  std::unique_ptr<PgConnection> connection_;
  std::deque<int> cancels_;  // the first is asked now, when asked_ is kCancel
  bool ask_size_ = false;
  Asked asked_ = Asked::kNothing;
  std::optional<std::uint64_t> size_;
};

}  // namespace cloister
