#include "config/objects_address.h"

#include <algorithm>
#include <string>
#include <utility>

#include "apis/base/check.h"
#include "config/server_url.h"

namespace cloister {
namespace {

constexpr std::string_view kS3 = "s3://";
constexpr std::size_t kPrefixMax = 200;

bool IsBucket(std::string_view text) {
  const auto is_char = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return text.size() >= 3 && text.size() <= 63 && std::ranges::all_of(text, is_char) &&
         text.front() != '.' && text.front() != '-' && text.find("..") == std::string_view::npos;
}

// Words with '/' between them, none of which is "." or "..".
bool IsPrefix(std::string_view text) {
  while (!text.empty()) {
    const bool more = text.find('/') != std::string_view::npos;
    const std::string_view word = TakeUntil(text, '/');
    if (!IsUrlWord(word) || word == "." || word == ".." || (more && text.empty()))
      return false;
  }
  return true;
}

Result<void> ReadEndpoint(std::string_view url, std::string_view value, S3Address& address) {
  std::string_view place = value;
  for (const std::string_view scheme : {"https://", "http://"})
    if (place.starts_with(scheme))
      place.remove_prefix(scheme.size());
  if (place.size() == value.size())
    return WrongUrl(url, "has an endpoint that begins neither with https:// nor with http://");
  std::string host;
  std::uint16_t port = 0;
  TRY(ReadUrlPlace(url, place, host, port));
  address.endpoint = value;
  return {};
}

}  // namespace

Result<S3Address> ParseObjectServer(std::string_view url) {
  if (!url.starts_with(kS3))
    return WrongUrl(url, "does not begin with s3://");
  S3Address address;
  std::string_view options = url.substr(kS3.size());
  // As elsewhere in this file's URLs a key would stand here; a secret may have any character.
  if (options.substr(0, options.find('?')).find('@') != std::string_view::npos)
    return Error{ErrorCode::kInvalidArgument,
                 "holds a key; name it in access_key, and a file with the secret one in "
                 "secret_key_file"};
  std::string_view place = TakeUntil(options, '?');
  const std::string_view bucket = TakeUntil(place, '/');
  if (!IsBucket(bucket))
    return WrongUrl(url, "has no bucket after s3://: 3 to 63 of a-z, 0-9, '-' and '.'");
  if (place.size() > kPrefixMax || !IsPrefix(place))
    return WrongUrl(url,
                    "has something after the bucket that is no prefix: at most 200 of A-Z, "
                    "a-z, 0-9, '-', '_', '.', with '/' between them");
  address.bucket = bucket;
  address.prefix = place;
  while (!options.empty()) {
    std::string_view value = TakeUntil(options, '&');
    const std::string_view key = TakeUntil(value, '=');
    if (key == "endpoint")
      TRY(ReadEndpoint(url, value, address));
    else if (key == "region" && IsUrlWord(value))
      address.region = value;
    else
      return WrongUrl(url, "has something after '?' that is neither endpoint=URL nor region=NAME");
  }
  if (address.endpoint.empty())
    return WrongUrl(url, "names no server: ?endpoint=https://HOST[:PORT]");
  return address;
}

std::optional<S3Address> ObjectServerAddress(const Settings& settings) {
  const PersistenceSettings& persistence = settings.persistence;
  if (persistence.server.empty())
    return std::nullopt;
  Result<S3Address> named = ParseObjectServer(persistence.server);
  CHECK(named.ok());
  S3Address address = std::move(named).value();
  address.access_key = persistence.access_key;
  address.ca_file = persistence.ca_file;
  address.timeout = persistence.timeout;
  return address;
}

}  // namespace cloister
