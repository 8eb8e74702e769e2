#include "daemon/http/budget.h"

#include "apis/base/check.h"

namespace cloister {

bool ByteBudget::Take(std::uint64_t account, std::uint64_t size) {
  const auto found = used_by_.find(account);
  const std::uint64_t used = found == used_by_.end() ? 0 : found->second;
  if (size > limits_.all_max.count - used_ || size > limits_.account_max.count - used)
    return false;
  if (size == 0)
    return true;
  used_ += size;
  used_by_[account] = used + size;
  return true;
}

void ByteBudget::Give(std::uint64_t account, std::uint64_t size) {
  if (size == 0)
    return;
  used_ -= size;
  const auto found = used_by_.find(account);
  CHECK(found != used_by_.end() && found->second >= size);
  found->second -= size;
  if (found->second == 0)
    used_by_.erase(found);
}

}  // namespace cloister
