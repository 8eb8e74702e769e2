#pragma once

// What one app may use of its database.

#include <cstdint>

#include "apis/base/units.h"

namespace cloister {

struct QueryQuota {
  Bytes bytes_max = GiB(1);              // of the database's pages
  Millis statement_max{5000};            // of one statement, and of all of one executemany
  Bytes result_max = MiB(16);            // of one statement's rows
  std::uint32_t statements_rate = 1000;  // a second; executemany: one for each begun 100 rows
  std::uint32_t transactions_max = 16;   // that are open at one time
  Millis transaction_max{60000};         // that one may be open

  bool operator==(const QueryQuota&) const = default;
};

}  // namespace cloister
