#include "apis/base/time_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>

namespace cloister {
namespace {

constexpr std::size_t kMicrosDigits = 6;
constexpr std::size_t kEchoMax = 60;

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Reads a text from its front; after the first thing that does not fit, failed() stays true.
class TimeScanner {
 public:
  explicit TimeScanner(std::string_view text) : rest_(text) {}

  // Exactly so many digits, a number from `low` to `high`.
  unsigned Number(std::size_t digits, unsigned low, unsigned high) {
    unsigned number = 0;
    const std::string_view taken = rest_.substr(0, digits);
    if (taken.size() < digits || !std::all_of(taken.begin(), taken.end(), IsDigit))
      return Fail();
    (void)std::from_chars(taken.data(), taken.data() + taken.size(), number);
    rest_.remove_prefix(digits);
    return number >= low && number <= high ? number : Fail();
  }
  // One of `choices`, which is given back; 0 when it is none.
  char OneOf(std::string_view choices) {
    if (rest_.empty() || choices.find(rest_.front()) == std::string_view::npos) {
      Fail();
      return '\0';
    }
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  bool IsNext(char c) const { return rest_.starts_with(c); }
  // The digits of a fraction as microseconds.
  unsigned Fraction() {
    const std::size_t digits = static_cast<std::size_t>(
        std::find_if_not(rest_.begin(), rest_.end(), IsDigit) - rest_.begin());
    if (digits == 0)
      return Fail();
    unsigned micros = 0;
    for (std::size_t i = 0; i < kMicrosDigits; ++i)
      micros = micros * 10 + (i < digits ? static_cast<unsigned>(rest_[i] - '0') : 0U);
    rest_.remove_prefix(digits);
    return micros;
  }
  bool AtEnd() const { return !failed_ && rest_.empty(); }

 private:
  unsigned Fail() {
    failed_ = true;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool failed_ = false;
};

std::optional<std::chrono::sys_days> ScanDate(TimeScanner& scanner) {
  const unsigned year = scanner.Number(4, 1970, 9999);
  scanner.OneOf("-");
  const unsigned month = scanner.Number(2, 1, 12);
  scanner.OneOf("-");
  const unsigned day = scanner.Number(2, 1, 31);
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok())
    return std::nullopt;
  return std::chrono::sys_days(date);
}

Seconds ScanOffset(TimeScanner& scanner) {
  const char sign = scanner.OneOf("Zz+-");
  if (sign != '+' && sign != '-')
    return Seconds(0);
  const std::chrono::hours hours(scanner.Number(2, 0, 23));
  scanner.OneOf(":");
  const std::chrono::minutes minutes(scanner.Number(2, 0, 59));
  return sign == '+' ? hours + minutes : -(hours + minutes);
}

}  // namespace

std::string TimeText(WallTime time) {
  const std::int64_t micros = time.time_since_epoch().count();
  const std::time_t seconds = static_cast<std::time_t>(micros / 1000000);
  std::tm parts = {};
  (void)::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     micros % 1000000);
}

Result<WallTime> ParseTime(std::string_view text) {
  TimeScanner scanner(text);
  const std::optional<std::chrono::sys_days> date = ScanDate(scanner);
  scanner.OneOf("Tt ");
  const std::chrono::hours hours(scanner.Number(2, 0, 23));
  scanner.OneOf(":");
  const std::chrono::minutes minutes(scanner.Number(2, 0, 59));
  scanner.OneOf(":");
  // 60: a leap second, which is the next one to our clock.
  const Seconds seconds(scanner.Number(2, 0, 60));
  Micros fraction(0);
  if (scanner.IsNext('.')) {
    scanner.OneOf(".");
    fraction = Micros(scanner.Fraction());
  }
  const Seconds offset = ScanOffset(scanner);
  if (!scanner.AtEnd() || !date)
    return Error{ErrorCode::kInvalidArgument,
                 "must be a time as in RFC 3339, such as 2026-11-21T10:05:03Z, from 1970 to 9999, "
                 "not '" +
                     std::string(text.substr(0, kEchoMax)) + "'"};
  return WallTime(*date + hours + minutes + seconds + fraction - offset);
}

}  // namespace cloister
