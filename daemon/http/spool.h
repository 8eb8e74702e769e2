#pragma once

// Bytes that are too many for memory: a file without a name, within a budget for all of them and a
// share of it for each account.
//
// Written and read on the loop thread: without fsync that is a copy to the page cache and back.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "apis/base/result.h"
#include "apis/base/unique_fd.h"
#include "daemon/http/budget.h"

namespace cloister {

// One file; written at its end, read from its start. Gives its size back when it is destroyed.
class Spool {
 public:
  static Result<std::unique_ptr<Spool>> Create(const std::string& dir, ByteBudget& budget,
                                               std::uint64_t account);
  // Of an empty file that is open already.
  static std::unique_ptr<Spool> CreateFor(UniqueFd file, ByteBudget& budget, std::uint64_t account);
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool() { budget_.Give(account_, size_); }

  // All of `bytes`. kQuotaExceeded when the budget or the account's share of it is spent, kSystem
  // when the disk refuses.
  Result<void> Append(std::string_view bytes);
  // Appends up to `max` bytes that were not read yet to `out`.
  Result<void> Read(std::string& out, std::size_t max);

  std::uint64_t size() const { return size_; }
  std::uint64_t unread() const { return size_ - read_; }
  // The file itself; only the budget is still this object's.
  UniqueFd TakeFile() { return std::move(file_); }

 private:
  Spool(UniqueFd file, ByteBudget& budget, std::uint64_t account)
      : file_(std::move(file)), budget_(budget), account_(account) {}

  UniqueFd file_;
  ByteBudget& budget_;
  std::uint64_t account_;
  std::uint64_t size_ = 0;
  std::uint64_t read_ = 0;
};

}  // namespace cloister
