// The functions of dates and times that Django's backend for SQLite registers, for texts as it
// stores them. They give NULL for what is no date or time, as there.
//
// Time zones: UTC, alone or with an offset ("UTC+02:00"). Others would need the zones' files.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

#include "sandbox/query/function.h"

namespace cloister {
namespace {

using Days = std::chrono::sys_days;
using Micros64 = std::int64_t;

constexpr Micros64 kSecond = 1'000'000;
constexpr Micros64 kMinute = 60 * kSecond;
constexpr Micros64 kHour = 60 * kMinute;
constexpr Micros64 kDay = 24 * kHour;

// A point in time as microseconds since 1970, in whatever zone it was written.
struct Moment {
  Micros64 micros = 0;

  Micros64 day() const { return micros >= 0 ? micros / kDay : -((kDay - 1 - micros) / kDay); }
  Micros64 in_day() const { return micros - day() * kDay; }
  std::chrono::year_month_day date() const {
    return std::chrono::year_month_day(Days(std::chrono::days(static_cast<int>(day()))));
  }
  int year() const { return static_cast<int>(date().year()); }
  int month() const { return static_cast<int>(static_cast<unsigned>(date().month())); }
  int day_of_month() const { return static_cast<int>(static_cast<unsigned>(date().day())); }
  int hour() const { return static_cast<int>(in_day() / kHour); }
  int minute() const { return static_cast<int>(in_day() % kHour / kMinute); }
  int second() const { return static_cast<int>(in_day() % kMinute / kSecond); }
  int micro() const { return static_cast<int>(in_day() % kSecond); }
  // Monday is 1.
  int iso_weekday() const {
    return static_cast<int>(
        std::chrono::weekday(Days(std::chrono::days(static_cast<int>(day())))).iso_encoding());
  }
};

Micros64 MicrosOf(std::chrono::year_month_day date) {
  return Days(date).time_since_epoch().count() * kDay;
}

struct IsoWeek {
  int year = 0;
  int week = 0;
};

// The week belongs to the year of its Thursday.
IsoWeek IsoWeekOf(const Moment& moment) {
  const Moment thursday{moment.micros + (4 - moment.iso_weekday()) * kDay};
  const Micros64 first = MicrosOf(std::chrono::year_month_day(
      std::chrono::year(thursday.year()), std::chrono::January, std::chrono::day(1)));
  return {.year = thursday.year(),
          .week = static_cast<int>((thursday.micros - first) / kDay / 7) + 1};
}

// Reads digits off the front.
std::optional<int> TakeNumber(std::string_view& text) {
  int number = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (bad != std::errc() || number < 0)
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool TakeChar(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos)
    return false;
  text.remove_prefix(1);
  return true;
}

// "HH:MM[:SS[.ffffff]]", and perhaps an offset, which is left out as Django does.
std::optional<Micros64> TakeTime(std::string_view& text) {
  const std::optional<int> hour = TakeNumber(text);
  if (!hour || !TakeChar(text, ":"))
    return std::nullopt;
  const std::optional<int> minute = TakeNumber(text);
  if (!minute || *hour > 23 || *minute > 59)
    return std::nullopt;
  Micros64 micros = *hour * kHour + *minute * kMinute;
  if (!TakeChar(text, ":"))
    return micros;
  const std::optional<int> second = TakeNumber(text);
  if (!second || *second > 59)
    return std::nullopt;
  micros += *second * kSecond;
  if (!TakeChar(text, "."))
    return micros;
  Micros64 unit = kSecond / 10;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    micros += (text.front() - '0') * unit;
    unit /= 10;
    text.remove_prefix(1);
  }
  return micros;
}

std::optional<Micros64> TakeDate(std::string_view& text) {
  const std::optional<int> year = TakeNumber(text);
  if (!year || !TakeChar(text, "-"))
    return std::nullopt;
  const std::optional<int> month = TakeNumber(text);
  if (!month || !TakeChar(text, "-"))
    return std::nullopt;
  const std::optional<int> day = TakeNumber(text);
  // Beyond a byte they would be other ones.
  if (!day || *year < 1 || *year > 9999 || *month > 12 || *day > 31)
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok())
    return std::nullopt;
  return MicrosOf(date);
}

std::optional<Moment> MomentOf(std::string_view text) {
  const std::optional<Micros64> date = TakeDate(text);
  if (!date)
    return std::nullopt;
  if (!TakeChar(text, " T"))
    return Moment{*date};
  const std::optional<Micros64> time = TakeTime(text);
  if (!time)
    return std::nullopt;
  return Moment{*date + *time};
}

// A time alone, or the one of a date with a time.
std::optional<Moment> TimeOf(std::string_view text) {
  if (text.find('-') != std::string_view::npos)
    return MomentOf(text);
  const std::optional<Micros64> time = TakeTime(text);
  return time ? std::optional<Moment>(Moment{*time}) : std::nullopt;
}

// What is to be added to UTC; nothing: a zone that is not known here.
std::optional<Micros64> OffsetOf(std::string_view zone) {
  const std::size_t sign = zone.find_first_of("+-");
  const std::string_view name = zone.substr(0, sign);
  if (!name.empty() && name != "UTC" && name != "Etc/UTC" && name != "GMT" && name != "Zulu")
    return std::nullopt;
  if (sign == std::string_view::npos)
    return 0;
  std::string_view rest = zone.substr(sign + 1);
  const std::optional<int> hours = TakeNumber(rest);
  int minutes = 0;
  if (hours && TakeChar(rest, ":"))
    minutes = TakeNumber(rest).value_or(0);
  if (!hours)
    return std::nullopt;
  const Micros64 offset = *hours * kHour + minutes * kMinute;
  return zone[sign] == '+' ? offset : -offset;
}

std::string Format(const char* format, int first, int second = 0, int third = 0) {
  char text[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  std::snprintf(text, sizeof text, format, first, second, third);
#pragma GCC diagnostic pop
  return text;
}

std::string DateText(const Moment& moment) {
  return Format("%04d-%02d-%02d", moment.year(), moment.month(), moment.day_of_month());
}

std::string TimeText(const Moment& moment) {
  std::string text = Format("%02d:%02d:%02d", moment.hour(), moment.minute(), moment.second());
  if (moment.micro() != 0)
    text += Format(".%06d", moment.micro());
  return text;
}

// As str() of Python's timedelta.
std::string DeltaText(Micros64 micros) {
  const Moment delta{micros};
  std::string text;
  if (const Micros64 days = delta.day(); days != 0)
    text = std::to_string(days) + (days == 1 || days == -1 ? " day, " : " days, ");
  text += Format("%d:%02d:%02d", delta.hour(), delta.minute(), delta.second());
  if (delta.micro() != 0)
    text += Format(".%06d", delta.micro());
  return text;
}

// The moment that (text, wanted zone, zone of the connection) mean. Answers itself where there is
// none.
std::optional<Moment> InZone(sqlite3_context* context, sqlite3_value* text, sqlite3_value* zone,
                             sqlite3_value* from_zone) {
  std::optional<Moment> moment = MomentOf(TextOf(text));
  if (!moment) {
    sqlite3_result_null(context);
    return std::nullopt;
  }
  const std::string_view to = TextOf(zone);
  const std::string_view from = TextOf(from_zone);
  if (to.empty() || to == from)
    return moment;
  const std::optional<Micros64> to_offset = OffsetOf(to);
  const std::optional<Micros64> from_offset = OffsetOf(from);
  if (!to_offset || !from_offset) {
    Fail(context, "the database knows the time zone UTC, alone or with an offset, and not " +
                      std::string(to_offset ? from : to) + ": convert in Python");
    return std::nullopt;
  }
  moment->micros += *to_offset - *from_offset;
  return moment;
}

std::optional<int> Extract(std::string_view what, const Moment& moment) {
  if (what == "week_day")
    return moment.iso_weekday() % 7 + 1;
  if (what == "iso_week_day")
    return moment.iso_weekday();
  if (what == "week")
    return IsoWeekOf(moment).week;
  if (what == "iso_year")
    return IsoWeekOf(moment).year;
  if (what == "quarter")
    return (moment.month() + 2) / 3;
  if (what == "year")
    return moment.year();
  if (what == "month")
    return moment.month();
  if (what == "day")
    return moment.day_of_month();
  if (what == "hour")
    return moment.hour();
  if (what == "minute")
    return moment.minute();
  if (what == "second")
    return moment.second();
  return std::nullopt;
}

void ReturnExtract(sqlite3_context* context, sqlite3_value* what,
                   const std::optional<Moment>& moment) {
  const std::optional<int> part = moment ? Extract(TextOf(what), *moment) : std::nullopt;
  if (part)
    return sqlite3_result_int(context, *part);
  sqlite3_result_null(context);
}

// Empty: not to a day or more.
std::string TruncDate(std::string_view what, const Moment& moment) {
  if (what == "year")
    return Format("%04d-01-01", moment.year());
  if (what == "quarter")
    return Format("%04d-%02d-01", moment.year(), (moment.month() - 1) / 3 * 3 + 1);
  if (what == "month")
    return Format("%04d-%02d-01", moment.year(), moment.month());
  if (what == "week")
    return DateText(Moment{moment.micros - (moment.iso_weekday() - 1) * kDay});
  if (what == "day")
    return DateText(moment);
  return {};
}

std::string TruncTime(std::string_view what, const Moment& moment) {
  if (what == "hour")
    return Format("%02d:00:00", moment.hour());
  if (what == "minute")
    return Format("%02d:%02d:00", moment.hour(), moment.minute());
  if (what == "second")
    return Format("%02d:%02d:%02d", moment.hour(), moment.minute(), moment.second());
  return {};
}

void ReturnTextOrNull(sqlite3_context* context, const std::string& text) {
  if (text.empty())
    return sqlite3_result_null(context);
  ReturnText(context, text);
}

// --- the functions

void DateExtract(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  ReturnExtract(context, values[0], MomentOf(TextOf(values[1])));
}

void DatetimeExtract(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (const auto moment = InZone(context, values[1], values[2], values[3]))
    ReturnExtract(context, values[0], moment);
}

void TimeExtract(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  ReturnExtract(context, values[0], TimeOf(TextOf(values[1])));
}

void DateTrunc(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (const auto moment = InZone(context, values[1], values[2], values[3]))
    ReturnTextOrNull(context, TruncDate(TextOf(values[0]), *moment));
}

void DatetimeTrunc(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  const auto moment = InZone(context, values[1], values[2], values[3]);
  if (!moment)
    return;
  const std::string date = TruncDate(TextOf(values[0]), *moment);
  if (!date.empty())
    return ReturnText(context, date + " 00:00:00");
  const std::string time = TruncTime(TextOf(values[0]), *moment);
  ReturnTextOrNull(context, time.empty() ? time : DateText(*moment) + " " + time);
}

void TimeTrunc(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  const std::optional<Moment> moment = TimeOf(TextOf(values[1]));
  ReturnTextOrNull(context, moment ? TruncTime(TextOf(values[0]), *moment) : std::string());
}

void CastDate(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (const auto moment = InZone(context, values[0], values[1], values[2]))
    ReturnText(context, DateText(*moment));
}

void CastTime(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (const auto moment = InZone(context, values[0], values[1], values[2]))
    ReturnText(context, TimeText(*moment));
}

void Difference(sqlite3_context* context, const std::optional<Moment>& left,
                const std::optional<Moment>& right) {
  if (!left || !right)
    return sqlite3_result_null(context);
  sqlite3_result_int64(context, left->micros - right->micros);
}

void TimeDiff(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  Difference(context, TimeOf(TextOf(values[0])), TimeOf(TextOf(values[1])));
}

void TimestampDiff(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  Difference(context, MomentOf(TextOf(values[0])), MomentOf(TextOf(values[1])));
}

struct Operand {
  bool is_delta = false;
  Micros64 micros = 0;
};

std::optional<Operand> OperandOf(sqlite3_value* value) {
  if (sqlite3_value_type(value) == SQLITE_INTEGER)
    return Operand{.is_delta = true, .micros = sqlite3_value_int64(value)};
  const std::optional<Moment> moment = MomentOf(TextOf(value));
  return moment ? std::optional<Operand>({.is_delta = false, .micros = moment->micros})
                : std::nullopt;
}

// A date or a duration, plus or minus another: as Python's str() shows the result.
void FormatDelta(sqlite3_context* context, int count, sqlite3_value** values) {
  if (AnyNull(count, values))
    return sqlite3_result_null(context);
  const bool adds = TextOf(values[0]).find('+') != std::string_view::npos;
  const std::optional<Operand> left = OperandOf(values[1]);
  const std::optional<Operand> right = OperandOf(values[2]);
  if (!left || !right)
    return sqlite3_result_null(context);
  Micros64 result = 0;
  if (adds ? __builtin_add_overflow(left->micros, right->micros, &result)
           : __builtin_sub_overflow(left->micros, right->micros, &result))
    return sqlite3_result_null(context);
  if (left->is_delta == right->is_delta)
    return ReturnText(context, DeltaText(result));
  const Moment moment{result};
  if (moment.year() < 1 || moment.year() > 9999)
    return sqlite3_result_null(context);
  ReturnText(context, DateText(moment) + " " + TimeText(moment));
}

constexpr SqlFunction kFunctions[] = {
    {.name = "django_date_extract", .arguments = 2, .run = DateExtract},
    {.name = "django_date_trunc", .arguments = 4, .run = DateTrunc},
    {.name = "django_datetime_cast_date", .arguments = 3, .run = CastDate},
    {.name = "django_datetime_cast_time", .arguments = 3, .run = CastTime},
    {.name = "django_datetime_extract", .arguments = 4, .run = DatetimeExtract},
    {.name = "django_datetime_trunc", .arguments = 4, .run = DatetimeTrunc},
    {.name = "django_time_extract", .arguments = 2, .run = TimeExtract},
    {.name = "django_time_trunc", .arguments = 4, .run = TimeTrunc},
    {.name = "django_time_diff", .arguments = 2, .run = TimeDiff},
    {.name = "django_timestamp_diff", .arguments = 2, .run = TimestampDiff},
    {.name = "django_format_dtdelta", .arguments = 3, .run = FormatDelta},
};

}  // namespace

int AddTimeFunctions(sqlite3* db) {
  for (const SqlFunction& function : kFunctions)
    if (const int rc = AddFunction(db, function); rc != SQLITE_OK)
      return rc;
  return SQLITE_OK;
}

}  // namespace cloister
