#include "sandbox/query/sql_server/spare.h"

#include <algorithm>
#include <string>

namespace cloister {

bool ServerSpare::is_cancelling(std::uint64_t number) const {
  return std::ranges::find(cancels_, number) != cancels_.end();
}

// And what asked_ is now; empty: there is nothing to ask.
std::string ServerSpare::NextSql() {
  if (!cancels_.empty()) {
    asked_ = Asked::kCancel;
    return dialect_.cancel(cancels_.front());
  }
  if (!refreshes_.empty()) {
    asked_ = Asked::kRefresh;
    std::string sql = std::move(refreshes_.front());
    refreshes_.pop_front();
    return sql;
  }
  if (!ask_size_)
    return {};
  if (dialect_.stale != nullptr && !listed_) {
    asked_ = Asked::kStale;
    listed_ = true;
    return dialect_.stale;
  }
  ask_size_ = listed_ = false;
  asked_ = Asked::kSize;
  return dialect_.size;
}

bool ServerSpare::Ask() {
  const std::string sql = NextSql();
  if (sql.empty())
    return true;
  const std::vector<ServerConnection::Set> no_values(1);
  return connection_->Run(sql, no_values) && connection_->Sync();
}

Result<void> ServerSpare::Turn(short events) {
  if (events != 0)
    TRY(connection_->Work(events));
  for (;;) {
    switch (connection_->Next()) {
      case ServerConnection::Step::kNothing:
        if (asked_ == Asked::kNothing && !Ask())
          return Error{ErrorCode::kUnavailable, "out of memory"};
        return {};
      case ServerConnection::Step::kRow:
        TakeRow();
        break;
      case ServerConnection::Step::kSynced:
        if (asked_ == Asked::kCancel)
          cancels_.pop_front();
        asked_ = Asked::kNothing;
        break;
      case ServerConnection::Step::kFailed:
        // The table may be gone.
        if (asked_ != Asked::kRefresh)
          return Error{ErrorCode::kUnavailable, connection_->error().message};
        break;
      case ServerConnection::Step::kBroken:
        return Error{ErrorCode::kUnavailable, std::string(connection_->loss())};
      default:
        break;
    }
  }
}

void ServerSpare::TakeRow() {
  if (asked_ == Asked::kStale)
    refreshes_.emplace_back(connection_->text(0));
  else if (asked_ == Asked::kSize)
    size_ =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, connection_->integer(0).value_or(0)));
}

}  // namespace cloister
