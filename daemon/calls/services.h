#pragma once

// Which service answers the calls of which API, and which quota meters them: a row an API.
//
//   SERVICE(name, number, quota, rate)  `number`: the upper byte of its calls' numbers;
//                                       `rate`: of the CallQuota, calls a second and at once
#define CLOISTER_SERVICES(SERVICE)                       \
  SERVICE(kCache, 0x01, "cache.calls", cache.calls_rate) \
  SERVICE(kPersistence, 0x02, "persistence.calls", persistence.calls_rate)

#include <cstdint>
#include <optional>
#include <string_view>

#include "apis/service.h"

namespace cloister {

// An API that has calls; counts from 0.
enum class Api : std::uint8_t {
#define SERVICE(name, number, quota, rate) name,
  CLOISTER_SERVICES(SERVICE)
#undef SERVICE
};

#define SERVICE(name, number, quota, rate) +1
inline constexpr std::size_t kApiCount = 0 CLOISTER_SERVICES(SERVICE);
#undef SERVICE

// Whose call that is; nothing: nobody's.
constexpr std::optional<Api> ApiOf(CallNumber call) {
#define SERVICE(name, number, quota, rate)               \
  if (static_cast<std::uint16_t>(call) >> 8 == (number)) \
    return Api::name;
  CLOISTER_SERVICES(SERVICE)
#undef SERVICE
  return std::nullopt;
}

// The quota that its calls are metered by.
constexpr std::string_view RateQuotaOf(Api api) {
  switch (api) {
#define SERVICE(name, number, quota, rate) \
  case Api::name:                          \
    return quota;
    CLOISTER_SERVICES(SERVICE)
#undef SERVICE
  }
  return {};
}

// Its value.
constexpr std::uint32_t RateOf(Api api, const CallQuota& quota_values) {
  switch (api) {
#define SERVICE(name, number, quota, rate) \
  case Api::name:                          \
    return quota_values.rate;
    CLOISTER_SERVICES(SERVICE)
#undef SERVICE
  }
  return 0;
}

}  // namespace cloister
