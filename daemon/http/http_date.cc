#include "daemon/http/http_date.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "daemon/http/text.h"

namespace cloister {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::int64_t kSecondsMax = 253402300799;  // 9999-12-31T23:59:59Z
// Longer than any of the three forms: "Wednesday, 06-Nov-94 08:49:37 GMT".
constexpr std::size_t kDateMax = 40;

struct Parts {
  int year = 0;
  int month = 0;  // from 1
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

// Reads one date off the front, piece by piece; a piece that does not fit ends it.
class DateReader {
 public:
  explicit DateReader(std::string_view text) : rest_(text) {}

  DateReader& Word(std::string_view word) {
    ok_ = ok_ && rest_.starts_with(word);
    rest_.remove_prefix(ok_ ? word.size() : 0);
    return *this;
  }
  // `digits` of them; the first may be a blank where `pad` says so.
  DateReader& Number(int& out, std::size_t digits, char pad = '0') {
    out = 0;
    for (std::size_t i = 0; ok_ && i < digits; ++i) {
      const char c = rest_.size() > i ? rest_[i] : '\0';
      const bool blank = i == 0 && pad == ' ' && c == ' ';
      ok_ = blank || IsDigit(c);
      out = out * 10 + (blank ? 0 : c - '0');
    }
    rest_.remove_prefix(ok_ ? digits : 0);
    return *this;
  }
  DateReader& Month(int& out) {
    const auto found = std::ranges::find(kMonths, rest_.substr(0, 3));
    ok_ = ok_ && found != kMonths.end();
    out = static_cast<int>(found - kMonths.begin()) + 1;
    rest_.remove_prefix(ok_ ? 3 : 0);
    return *this;
  }
  DateReader& Time(Parts& parts) {
    return Number(parts.hour, 2)
        .Word(":")
        .Number(parts.minute, 2)
        .Word(":")
        .Number(parts.second, 2);
  }
  bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::optional<std::int64_t> SecondsOf(const Parts& parts) {
  const std::chrono::year_month_day date{std::chrono::year(parts.year),
                                         std::chrono::month(static_cast<unsigned>(parts.month)),
                                         std::chrono::day(static_cast<unsigned>(parts.day))};
  // 60: a leap second.
  if (!date.ok() || parts.hour > 23 || parts.minute > 59 || parts.second > 60)
    return std::nullopt;
  const std::chrono::sys_days days = date;
  constexpr std::int64_t kDay = 86400;
  return days.time_since_epoch().count() * kDay + parts.hour * 3600 + parts.minute * 60 +
         parts.second;
}

}  // namespace

std::string HttpDate(std::int64_t seconds) {
  const auto clamped = static_cast<std::time_t>(std::clamp<std::int64_t>(seconds, 0, kSecondsMax));
  std::tm parts = {};
  (void)::gmtime_r(&clamped, &parts);
  std::array<char, kDateMax> text = {};
  (void)std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                      kDays[static_cast<std::size_t>(parts.tm_wday)].data(), parts.tm_mday,
                      kMonths[static_cast<std::size_t>(parts.tm_mon)].data(), parts.tm_year + 1900,
                      parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text.data();
}

std::optional<std::int64_t> ParseHttpDate(std::string_view text) {
  if (text.size() > kDateMax)
    return std::nullopt;
  Parts parts;
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) {  // asctime: "Sun Nov  6 08:49:37 1994"
    DateReader asctime(text.substr(std::min(text.find(' '), text.size())));
    asctime.Word(" ").Month(parts.month).Word(" ").Number(parts.day, 2, ' ').Word(" ");
    asctime.Time(parts).Word(" ").Number(parts.year, 4);
    return asctime.AtEnd() ? SecondsOf(parts) : std::nullopt;
  }
  const std::string_view rest = text.substr(comma + 1);
  DateReader fixed(rest);
  fixed.Word(" ").Number(parts.day, 2).Word(" ").Month(parts.month).Word(" ");
  fixed.Number(parts.year, 4).Word(" ").Time(parts).Word(" GMT");
  if (fixed.AtEnd())
    return SecondsOf(parts);
  DateReader rfc850(rest);
  rfc850.Word(" ").Number(parts.day, 2).Word("-").Month(parts.month).Word("-");
  rfc850.Number(parts.year, 2).Word(" ").Time(parts).Word(" GMT");
  if (!rfc850.AtEnd())
    return std::nullopt;
  // Two digits are of the last century from 70 on: none of our files is of then.
  parts.year += parts.year < 70 ? 2000 : 1900;
  return SecondsOf(parts);
}

}  // namespace cloister
