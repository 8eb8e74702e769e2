#pragma once

// What operators set of quotas, for tenants and apps, in state.db. Blocking; background jobs only.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

// Whose quotas: a tenant's, or one app's of it.
struct QuotaOwner {
  TenantId tenant;
  AppId app = {};  // none: all apps of the tenant
  bool operator==(const QuotaOwner&) const = default;
};

struct QuotaRow {
  QuotaOwner owner;
  std::string name;
  std::string value;
  WallTime set_at;
  std::string set_by;
};

// What becomes of one quota.
struct QuotaChange {
  std::string name;
  std::optional<std::string> value;  // empty: as if it had never been set
};

// All of the node.
Result<std::vector<QuotaRow>> ListQuotas(Database& db);

// All of the changes or none. `subject` is TENANT or TENANT/APP, for the audit. kNotFound when the
// owner is gone.
Result<void> ChangeQuotas(Database& db, const QuotaOwner& owner, std::string_view subject,
                          const std::vector<QuotaChange>& changes, const Change& change);

}  // namespace cloister
