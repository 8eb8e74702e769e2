#include "sandbox/query/postgresql/spare.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace cloister {
namespace {

// What PostgreSQL's own catalogs take in a database without a table.
constexpr std::uint64_t kEmptyBytes = std::uint64_t{8} << 20;

std::uint64_t SizeOf(std::string_view text) {
  std::uint64_t bytes = 0;
  std::from_chars(text.data(), text.data() + text.size(), bytes);
  return bytes - std::min(bytes, kEmptyBytes);
}

}  // namespace

bool PgSpare::is_cancelling(int pid) const {
  return std::ranges::find(cancels_, pid) != cancels_.end();
}

bool PgSpare::Ask() {
  std::string sql;
  if (!cancels_.empty()) {
    asked_ = Asked::kCancel;
    sql = "SELECT pg_catalog.pg_cancel_backend(" + std::to_string(cancels_.front()) + ")";
  } else if (ask_size_) {
    ask_size_ = false;
    asked_ = Asked::kSize;
    sql = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";
  } else {
    return true;
  }
  return connection_->Queue(sql) && connection_->Sync();
}

Result<void> PgSpare::Turn(short events) {
  if (events != 0)
    TRY(connection_->Work(events));
  for (;;) {
    switch (connection_->Next()) {
      case PgConnection::Step::kNothing:
        if (asked_ == Asked::kNothing && !Ask())
          return Error{ErrorCode::kUnavailable, "out of memory"};
        return {};
      case PgConnection::Step::kRow:
        if (asked_ == Asked::kSize)
          size_ = SizeOf(connection_->value(0));
        break;
      case PgConnection::Step::kSynced:
        if (asked_ == Asked::kCancel)
          cancels_.pop_front();
        asked_ = Asked::kNothing;
        break;
      case PgConnection::Step::kFailed:
        return Error{ErrorCode::kUnavailable, connection_->error().message};
      default:
        break;
    }
  }
}

}  // namespace cloister
