#include "apis/base/names.h"

#include <algorithm>

namespace cloister {
namespace {

constexpr const char* kNameRule =
    "a name starts with a letter a-z, continues with a-z, 0-9 or '-', and has at most 30 "
    "characters";

bool IsLower(char c) {
  return c >= 'a' && c <= 'z';
}
bool IsNameChar(char c) {
  return IsLower(c) || (c >= '0' && c <= '9') || c == '-';
}

}  // namespace

bool IsValidName(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax && IsLower(text.front()) &&
         std::all_of(text.begin(), text.end(), IsNameChar);
}

Result<AppName> AppName::Parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return Error{ErrorCode::kInvalidArgument,
                 "'" + std::string(text.substr(0, 80)) + "' is not TENANT/APP"};
  return Create(text.substr(0, slash), text.substr(slash + 1));
}

Result<AppName> AppName::Create(std::string_view tenant, std::string_view app) {
  for (const std::string_view part : {tenant, app})
    if (!IsValidName(part))
      return Error{ErrorCode::kInvalidArgument,
                   "'" + std::string(part.substr(0, 80)) + "' is not a name: " + kNameRule};
  return AppName(std::string(tenant), std::string(app));
}

}  // namespace cloister
