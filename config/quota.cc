#include "config/quota.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "apis/base/check.h"
#include "config/values.h"

namespace cloister {
namespace {

std::string TextOfSize(Bytes size) {
  return SizeText(size);
}
std::string TextOfDuration(Millis duration) {
  return DurationText(duration);
}
std::string TextOfCores(std::uint32_t millis) {
  return CoresText(millis);
}
std::string TextOfCount(std::uint32_t count) {
  return std::to_string(count);
}

std::uint64_t NumberOfValue(Bytes size) {
  return size.count;
}
std::uint64_t NumberOfValue(Millis duration) {
  return static_cast<std::uint64_t>(duration.count());
}
std::uint64_t NumberOfValue(std::uint32_t count) {
  return count;
}

struct Row {
  std::string_view name;
  Result<void> (*read)(const TomlValue& value, Quota& quota) = nullptr;
  std::string (*text)(const Quota& quota) = nullptr;
  std::uint64_t (*number)(const Quota& quota) = nullptr;
};

constexpr Row kRows[] = {
#define SECTION(name, sentence)
#define SETTING(section, key, field, unit, low, high, sentence)
#define QUOTA(section, key, field, unit, low, high, sentence)    \
  {#section "." #key,                                            \
   [](const TomlValue& value, Quota& quota) -> Result<void> {    \
     quota.field = TRY(Read##unit(value, low, high));            \
     return {};                                                  \
   },                                                            \
   [](const Quota& quota) { return TextOf##unit(quota.field); }, \
   [](const Quota& quota) { return NumberOfValue(quota.field); }},
#include "config/schema.def"
};

constexpr QuotaInfo kInfos[] = {
#define SECTION(name, sentence)
#define SETTING(section, key, field, unit, low, high, sentence)
#define QUOTA(section, key, field, unit, low, high, sentence) {#section "." #key, sentence},
#include "config/schema.def"
};

const Row* FindRow(std::string_view name) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [name](const Row& known) { return known.name == name; });
  return row == std::end(kRows) ? nullptr : row;
}

template <typename Number>
std::optional<Number> NumberOf(std::string_view text) {
  Number number{};
  const auto [stop, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (bad != std::errc() || stop != text.data() + text.size())
    return std::nullopt;
  return number;
}

// What the settings file would hold: numbers are not quoted there.
TomlValue ValueOf(std::string_view text) {
  if (const auto whole = NumberOf<std::int64_t>(text))
    return *whole;
  if (const auto real = NumberOf<double>(text))
    return *real;
  return std::string(text);
}

std::vector<std::string_view> Names() {
  std::vector<std::string_view> names;
  for (const Row& row : kRows)
    names.push_back(row.name);
  return names;
}

}  // namespace

std::span<const QuotaInfo> QuotaInfos() {
  return kInfos;
}

Result<void> SetQuota(Quota& quota, std::string_view name, std::string_view value) {
  const Row* row = FindRow(name);
  if (row == nullptr)
    return Error{ErrorCode::kNotFound, "there is no quota '" + std::string(name.substr(0, 64)) +
                                           "'" + NameHint(name, Names())};
  Result<void> read = row->read(ValueOf(value), quota);
  if (!read.ok())
    return Error{ErrorCode::kInvalidArgument, std::string(name) + " " + read.error().message};
  return {};
}

std::string QuotaText(const Quota& quota, std::string_view name) {
  const Row* row = FindRow(name);
  CHECK(row != nullptr);
  return row->text(quota);
}

std::uint64_t QuotaNumber(const Quota& quota, std::string_view name) {
  const Row* row = FindRow(name);
  CHECK(row != nullptr);
  return row->number(quota);
}

Quota WithValues(Quota quota, const QuotaValues& values) {
  for (const auto& [name, value] : values)
    (void)SetQuota(quota, name, value);
  WorkerLimits& worker = quota.limits.worker;
  worker.address_space_max = std::max(worker.address_space_max, worker.memory_max);
  quota.log.burst = std::max(quota.log.burst, quota.log.event_max);
  return quota;
}

}  // namespace cloister
