#pragma once

// A share for each app of what all of them may take: of files, of memory.

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "apis/base/units.h"

namespace cloister {

// Bytes that all of a server may take together, and one account of them (HttpHandler::Admit).
class ByteBudget {
 public:
  struct Limits {
    Bytes all_max;
    Bytes account_max;
  };

  explicit ByteBudget(const Limits& limits) : limits_(limits) {}

  // All of `size`, or nothing.
  bool Take(std::uint64_t account, std::uint64_t size);
  void Give(std::uint64_t account, std::uint64_t size);
  std::uint64_t used() const { return used_; }
  // How many accounts have taken something; others cost nothing here.
  std::size_t accounts() const { return used_by_.size(); }

 private:
  Limits limits_;
  std::uint64_t used_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> used_by_;  // no account with 0
};

}  // namespace cloister
