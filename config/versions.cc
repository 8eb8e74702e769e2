#include "config/versions.h"

#include <algorithm>

namespace cloister {
namespace {

// From this many digits on a bare number is a timestamp (a date has eight).
constexpr std::size_t kTimestampDigits = 8;

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsNumber(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit);
}

bool IsIdentifierChar(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

std::vector<std::string_view> SplitAtDots(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    if (dot == std::string_view::npos)
      return parts;
    text.remove_prefix(dot + 1);
  }
}

Error Invalid(std::string_view text, const std::string& why) {
  return Error{ErrorCode::kInvalidArgument,
               "'" + std::string(text.substr(0, kVersionMax)) + "' is no version: " + why};
}

// Neither has leading zeros.
std::strong_ordering CompareNumbers(std::string_view a, std::string_view b) {
  if (a.size() != b.size())
    return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

// SemVer 11.4: numbers below names, numbers by size, names by ASCII order.
std::strong_ordering CompareIdentifiers(std::string_view a, std::string_view b) {
  const bool a_number = IsNumber(a);
  const bool b_number = IsNumber(b);
  if (a_number && b_number)
    return CompareNumbers(a, b);
  if (a_number != b_number)
    return a_number ? std::strong_ordering::less : std::strong_ordering::greater;
  return a.compare(b) <=> 0;
}

Result<void> CheckNumber(std::string_view number) {
  if (!IsNumber(number))
    return Error{ErrorCode::kInvalidArgument, "'" + std::string(number) + "' is not a number"};
  if (number.size() > 1 && number.front() == '0')
    return Error{ErrorCode::kInvalidArgument, "'" + std::string(number) + "' has a leading zero"};
  return {};
}

Result<void> CheckIdentifier(std::string_view identifier) {
  if (identifier.empty())
    return Error{ErrorCode::kInvalidArgument, "an identifier after '-' is empty"};
  if (!std::all_of(identifier.begin(), identifier.end(), IsIdentifierChar))
    return Error{ErrorCode::kInvalidArgument,
                 "'" + std::string(identifier) + "' has other characters than 0-9, A-Z, a-z, '-'"};
  if (!IsNumber(identifier))
    return {};
  return CheckNumber(identifier);
}

}  // namespace

Result<void> Version::ParseCore(std::string_view core) {
  const std::vector<std::string_view> numbers = SplitAtDots(core);
  if (numbers.size() != 1 && numbers.size() != 3)
    return Error{ErrorCode::kInvalidArgument,
                 "write MAJOR.MINOR.PATCH, or one number such as 201105261324"};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    TRY(CheckNumber(numbers[i]));
    core_[i] = numbers[i];
  }
  return {};
}

Result<Version> Version::Parse(std::string_view text) {
  if (text.empty() || text.size() > kVersionMax)
    return Invalid(text, "a version has 1 to 64 characters");
  if (text.find('+') != std::string_view::npos)
    return Invalid(text, "'+build' is refused: it has no order");
  Version version;
  version.text_ = text;
  const std::size_t dash = text.find('-');
  const std::string_view core = text.substr(0, dash);
  if (Result<void> parsed = version.ParseCore(core); !parsed.ok())
    return Invalid(text, parsed.error().message);
  const bool bare = core.find('.') == std::string_view::npos;
  if (dash == std::string_view::npos) {
    if (!bare && version.core_[0].size() >= kTimestampDigits && version.core_[1] == "0" &&
        version.core_[2] == "0")
      return Invalid(text, "write a timestamp as it is, " + version.core_[0] + ", without '.0.0'");
    return version;
  }
  if (bare)
    return Invalid(text, "a pre-release needs MAJOR.MINOR.PATCH before its '-'");
  for (const std::string_view identifier : SplitAtDots(text.substr(dash + 1))) {
    if (Result<void> checked = CheckIdentifier(identifier); !checked.ok())
      return Invalid(text, checked.error().message);
    version.pre_release_.emplace_back(identifier);
  }
  return version;
}

std::strong_ordering Version::operator<=>(const Version& other) const {
  for (std::size_t i = 0; i < core_.size(); ++i)
    if (const auto order = CompareNumbers(core_[i], other.core_[i]); order != 0)
      return order;
  if (pre_release_.empty() || other.pre_release_.empty())
    return other.pre_release_.size() <=> pre_release_.size();  // the one without is the later
  const std::size_t shared = std::min(pre_release_.size(), other.pre_release_.size());
  for (std::size_t i = 0; i < shared; ++i)
    if (const auto order = CompareIdentifiers(pre_release_[i], other.pre_release_[i]); order != 0)
      return order;
  return pre_release_.size() <=> other.pre_release_.size();
}

}  // namespace cloister
