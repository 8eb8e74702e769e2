#include "config/server_url.h"

#include <algorithm>

namespace cloister {
namespace {

bool IsWordChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool IsHost(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return IsWordChar(c) || c == ':'; });
}

}  // namespace

Error WrongUrl(std::string_view url, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument,
               "'" + std::string(url.substr(0, 80)) + "' " + std::string(why)};
}

bool IsUrlWord(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, IsWordChar);
}

std::string_view TakeUntil(std::string_view& rest, char mark) {
  const std::size_t end = std::min(rest.find(mark), rest.size());
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return taken;
}

Result<void> TakeUrlUser(std::string_view url, std::string_view& rest, std::string& user) {
  // A password may have any character.
  const std::size_t at = rest.substr(0, rest.find('?')).rfind('@');
  if (at == std::string_view::npos)
    return {};
  const std::string_view named = rest.substr(0, at);
  // The URL is not told: it holds a secret.
  if (named.find(':') != std::string_view::npos)
    return Error{ErrorCode::kInvalidArgument,
                 "holds a password; write it into a file and name that in password_file"};
  if (!IsUrlWord(named))
    return WrongUrl(url, "has no user before '@'");
  user = named;
  rest.remove_prefix(at + 1);
  return {};
}

Result<void> ReadUrlPlace(std::string_view url, std::string_view place, std::string& host,
                          std::uint16_t& port) {
  if (place.starts_with('[')) {
    place.remove_prefix(1);
    host = TakeUntil(place, ']');
    if (!place.empty() && !place.starts_with(':'))
      return WrongUrl(url, "has something after ']' that is no port");
    place.remove_prefix(place.empty() ? 0 : 1);
  } else {
    host = TakeUntil(place, ':');
  }
  if (!IsHost(host))
    return WrongUrl(url, "has no host");
  if (place.empty())
    return {};
  const auto number = UrlNumber<std::uint16_t>(place, 1, 65535);
  if (!number)
    return WrongUrl(url, "has no port from 1 to 65535 after ':'");
  port = *number;
  return {};
}

}  // namespace cloister
