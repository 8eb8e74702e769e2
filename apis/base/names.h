#pragma once

// Validated names of tenants and apps, and the numbers of what the node keeps.
//
// Names are `[a-z][a-z0-9-]{0,29}`. Ids are never reused. The types are not interchangeable.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

// The longest name of a tenant or an app, in bytes.
inline constexpr std::size_t kNameMax = 30;

// Whether `text` may name a tenant or an app.
bool IsValidName(std::string_view text);

// An app as people write it: TENANT/NAME.
class AppName {
 public:
  // kInvalidArgument says what is wrong with `text`.
  static Result<AppName> Parse(std::string_view text);
  static Result<AppName> Create(std::string_view tenant, std::string_view app);

  const std::string& tenant() const { return tenant_; }
  const std::string& app() const { return app_; }
  std::string ToString() const { return tenant_ + "/" + app_; }

  auto operator<=>(const AppName&) const = default;

 private:
  AppName(std::string tenant, std::string app) : tenant_(std::move(tenant)), app_(std::move(app)) {}

  std::string tenant_;
  std::string app_;
};

// A number of one kind of thing; 0 is "none".
template <typename Tag>
struct Id {
  std::uint64_t number = 0;

  auto operator<=>(const Id&) const = default;
  bool valid() const { return number != 0; }
};

using TenantId = Id<struct TenantTag>;
using AppId = Id<struct AppTag>;
using ReleaseId = Id<struct ReleaseTag>;
// Unique for the life of the keeper: the zygote's number in the upper half, a count in the lower.
using WorkerId = Id<struct WorkerTag>;

}  // namespace cloister

template <typename Tag>
struct std::hash<cloister::Id<Tag>> {
  std::size_t operator()(const cloister::Id<Tag>& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.number);
  }
};
