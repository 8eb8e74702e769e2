#pragma once

// The parts that URLs of servers have in common. Each takes what it reads from the front of `rest`.

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/result.h"

namespace cloister {

// kInvalidArgument, with the beginning of the URL in front of what is wrong with it.
Error WrongUrl(std::string_view url, std::string_view why);

// All of it is letters, digits, '-', '_' and '.', and there is some.
bool IsUrlWord(std::string_view text);

template <typename Number>
std::optional<Number> UrlNumber(std::string_view digits, Number low, Number high) {
  Number number{};
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || number < low ||
      number > high)
    return std::nullopt;
  return number;
}

// What stands before the first `mark`, which goes too; all of `rest` without one.
std::string_view TakeUntil(std::string_view& rest, char mark);

// USER@, if it is there: none leaves `user` as it is. A password is refused.
Result<void> TakeUrlUser(std::string_view url, std::string_view& rest, std::string& user);

// HOST[:PORT], where HOST may be [an IPv6 address]; the whole of `place`.
Result<void> ReadUrlPlace(std::string_view url, std::string_view place, std::string& host,
                          std::uint16_t& port);

}  // namespace cloister
