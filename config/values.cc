#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

namespace cloister {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor = 1;
};

// Smallest first.
constexpr std::array kSizeUnits = {Unit{"B", 1}, Unit{"KiB", 1ULL << 10}, Unit{"MiB", 1ULL << 20},
                                   Unit{"GiB", 1ULL << 30}, Unit{"TiB", 1ULL << 40}};
constexpr std::array kTimeUnits = {Unit{"ms", 1}, Unit{"s", 1000}, Unit{"min", 60000},
                                   Unit{"h", 3600000}, Unit{"d", 86400000}};
constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warning", "error"};

Error Wrong(std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)};
}

// What was found, for "must be ..., not ...".
std::string Describe(const TomlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value))
    return "'" + text->substr(0, 60) + "'";
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value))
    return fmt::format("{}", *real);
  if (const auto* truth = std::get_if<bool>(&value))
    return *truth ? "true" : "false";
  if (std::holds_alternative<TomlTexts>(value))
    return "a table";
  return std::holds_alternative<std::monostate>(value) ? "a value of that kind" : "a list";
}

std::string UnitNames(std::span<const Unit> units) {
  std::string names;
  for (const Unit& unit : units)
    names += (names.empty() ? "" : ", ") + std::string(unit.name);
  return names;
}

// "64KiB" or "64 KiB" in the smallest of `units`; empty when it is not that or does not fit.
std::optional<std::uint64_t> ParseWithUnit(std::string_view text, std::span<const Unit> units) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc())
    return std::nullopt;
  std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (rest.starts_with(' '))
    rest.remove_prefix(1);
  const auto* unit = std::find_if(units.data(), units.data() + units.size(),
                                  [rest](const Unit& known) { return known.name == rest; });
  if (unit == units.data() + units.size() ||
      number > std::numeric_limits<std::uint64_t>::max() / unit->factor)
    return std::nullopt;
  return number * unit->factor;
}

std::string RenderWithUnit(std::uint64_t number, std::span<const Unit> units) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < units.size(); ++i)
    if (number != 0 && number % units[i].factor == 0)
      best = i;
  return std::to_string(number / units[best].factor) + std::string(units[best].name);
}

Result<std::uint64_t> ReadWithUnit(const TomlValue& value, std::span<const Unit> units,
                                   std::string_view what, std::string_view example) {
  const auto* text = std::get_if<std::string>(&value);
  const std::optional<std::uint64_t> number =
      text == nullptr ? std::nullopt : ParseWithUnit(*text, units);
  if (!number)
    return Wrong(fmt::format("must be a {} with its unit ({}), such as \"{}\", not {}", what,
                             UnitNames(units), example, Describe(value)));
  return *number;
}

Error OutOfRange(const std::string& low, const std::string& high, const std::string& found) {
  return Wrong("must be from " + low + " to " + high + ", not " + found);
}

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
  });
}

}  // namespace

Result<Bytes> ReadSize(const TomlValue& value, Bytes low, Bytes high) {
  const Bytes size{TRY(ReadWithUnit(value, kSizeUnits, "size", "64KiB"))};
  if (size < low || size > high)
    return OutOfRange(SizeText(low), SizeText(high), Describe(value));
  return size;
}

Result<Millis> ReadDuration(const TomlValue& value, Millis low, Millis high) {
  const std::uint64_t count = TRY(ReadWithUnit(value, kTimeUnits, "duration", "30s"));
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const Millis duration(static_cast<std::int64_t>(std::min(count, kMax)));
  if (duration < low || duration > high)
    return OutOfRange(DurationText(low), DurationText(high), Describe(value));
  return duration;
}

Result<std::uint32_t> ReadCores(const TomlValue& value, std::uint32_t low, std::uint32_t high) {
  double cores = -1;
  if (const auto* integer = std::get_if<std::int64_t>(&value))
    cores = static_cast<double>(*integer);
  else if (const auto* real = std::get_if<double>(&value))
    cores = *real;
  else
    return Wrong("must be a number of cores, such as 1 or 0.5, not " + Describe(value));
  // Written so that a NaN is out of range.
  if (!(cores * 1000 >= low && cores * 1000 <= high))
    return OutOfRange(CoresText(low), CoresText(high), Describe(value));
  return static_cast<std::uint32_t>(std::lround(cores * 1000));
}

Result<std::uint32_t> ReadCount(const TomlValue& value, std::uint32_t low, std::uint32_t high) {
  const auto* integer = std::get_if<std::int64_t>(&value);
  if (integer == nullptr)
    return Wrong("must be a whole number, not " + Describe(value));
  if (*integer < std::int64_t{low} || *integer > std::int64_t{high})
    return OutOfRange(std::to_string(low), std::to_string(high), Describe(value));
  return static_cast<std::uint32_t>(*integer);
}

Result<std::string> ReadText(const TomlValue& value, std::size_t low, std::size_t high) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr)
    return Wrong("must be a string in quotes, not " + Describe(value));
  if (HasControl(*text))
    return Wrong("must not contain control characters");
  if (text->size() < low)
    return Wrong("must not be empty");
  if (text->size() > high)
    return Wrong(fmt::format("must have at most {} characters, not {}", high, text->size()));
  return *text;
}

Result<std::vector<std::string>> ReadList(const TomlValue& value, std::size_t low,
                                          std::size_t high) {
  const auto* items = std::get_if<std::vector<std::string>>(&value);
  if (items == nullptr)
    return Wrong("must be a list of strings, such as [\"a\", \"b\"], not " + Describe(value));
  if (items->size() < low || items->size() > high)
    return Wrong(fmt::format("must have from {} to {} entries, not {}", low, high, items->size()));
  if (std::any_of(items->begin(), items->end(), HasControl))
    return Wrong("must not contain control characters");
  return *items;
}

Result<std::vector<IpNetwork>> ReadNetworks(const TomlValue& value, std::size_t low,
                                            std::size_t high) {
  std::vector<IpNetwork> networks;
  for (const std::string& text : TRY(ReadList(value, low, high))) {
    Result<IpNetwork> network = IpNetwork::Parse(text);
    if (!network.ok())
      return Wrong("is wrong: " + network.error().message);
    networks.push_back(network.value());
  }
  return networks;
}

Result<LogLevel> ReadLevel(const TomlValue& value, int /*low*/, int /*high*/) {
  const auto* text = std::get_if<std::string>(&value);
  for (std::size_t i = 0; text != nullptr && i < kLevels.size(); ++i)
    if (*text == kLevels[i])
      return static_cast<LogLevel>(i);
  return Wrong("must be \"debug\", \"info\", \"warning\" or \"error\", not " + Describe(value));
}

Result<bool> ReadFlag(const TomlValue& value, int /*low*/, int /*high*/) {
  return ReadBool(value);
}

Result<bool> ReadBool(const TomlValue& value) {
  const auto* truth = std::get_if<bool>(&value);
  if (truth == nullptr)
    return Wrong("must be true or false, not " + Describe(value));
  return *truth;
}

std::string SizeText(Bytes size) {
  return RenderWithUnit(size.count, kSizeUnits);
}

std::string DurationText(Millis duration) {
  return RenderWithUnit(static_cast<std::uint64_t>(duration.count()), kTimeUnits);
}

std::string CoresText(std::uint32_t millis) {
  std::string text = fmt::format("{}.{:03}", millis / 1000, millis % 1000);
  while (text.back() == '0' && text[text.size() - 2] != '.')
    text.pop_back();
  return text;
}

std::string_view LevelText(LogLevel level) {
  return kLevels[static_cast<std::size_t>(level)];
}

std::string QuoteToml(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (quoted += '\\') += c;
    else if (byte < 0x20 || byte == 0x7f)
      quoted += fmt::format("\\u{:04x}", byte);
    else
      quoted += c;
  }
  return quoted + "\"";
}

std::string_view NearestName(std::string_view word, std::span<const std::string_view> names) {
  // Longer words cost time and are no slip of ours.
  constexpr std::size_t kWordMax = 64;
  if (word.size() > kWordMax)
    return {};
  std::string_view nearest;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string_view name : names) {
    std::size_t distance = EditDistance(word, name);
    // "timeout" is nearer to "body_timeout" than to anything of its length.
    if (word.size() >= 4 && name.find(word) != std::string_view::npos)
      distance = std::min<std::size_t>(distance, 2);
    if (distance < least) {
      least = distance;
      nearest = name;
    }
  }
  return nearest;
}

std::string NameHint(std::string_view word, std::span<const std::string_view> names) {
  const std::string_view nearest = NearestName(word, names);
  if (!nearest.empty())
    return "; did you mean '" + std::string(nearest) + "'?";
  std::string known;
  for (const std::string_view name : names)
    known += (known.empty() ? "" : ", ") + std::string(name);
  return "; known: " + known;
}

}  // namespace cloister
