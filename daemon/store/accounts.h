#pragma once

// Tenants and apps in state.db. Blocking; background jobs only.
//
// Names are unique while they are in use and free again after a deletion; ids are never reused.

#include <string>
#include <string_view>
#include <vector>

#include "apis/backends/sqlite.h"
#include "daemon/store/rows.h"

namespace cloister {

// kAlreadyExists when the name is taken.
Result<TenantRow> CreateTenant(Database& db, const std::string& name, const Change& change);
Result<AppRow> CreateApp(Database& db, const TenantRow& tenant, const AppName& name,
                         const Change& change);

// Oldest first.
Result<std::vector<TenantRow>> ListTenants(Database& db);
Result<std::vector<AppRow>> ListApps(Database& db);
Result<std::uint64_t> CountApps(Database& db, TenantId tenant);

// The app with its releases, reports, steps and bytecode. The tenant's contents stay: the sweep
// takes those that nothing refers to any more. kNotFound when there is no such app.
Result<void> DeleteApp(Database& db, const AppRow& app, const Change& change);
// The tenant with its contents and all of its apps.
Result<void> DeleteTenant(Database& db, const TenantRow& tenant, const Change& change);

}  // namespace cloister
