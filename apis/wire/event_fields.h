#pragma once

// The structured fields of a log event: names with values of the kinds that JSON has.
//
//   per field: str16 name | u8 kind | value;  kinds: 0 none, 1 false, 2 true, 3 i64, 4 f64, 5 str16
//
// Little-endian, one field behind the other to the end. In frames, on disk and between nodes: kinds
// do not change. They come from workers: ReadEventFields checks everything, and what it has checked
// is passed on as the bytes that it was.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "apis/base/result.h"

namespace cloister {

// The most fields of an event, and the most bytes of all of them as they are encoded.
inline constexpr std::size_t kEventFieldsMax = 64;
inline constexpr std::size_t kEventFieldsBytesMax = std::size_t{16} * 1024;

using EventValue = std::variant<std::monostate, bool, std::int64_t, double, std::string_view>;

struct EventField {
  std::string_view name;  // any bytes, as are the values that are text
  EventValue value;
};

// The bytes of `fields`; the caller keeps to the limits.
std::string EncodeEventFields(const std::vector<EventField>& fields);

// kProtocol for what is cut off, of an unknown kind, or over a limit. Views into `bytes`.
Result<std::vector<EventField>> ReadEventFields(std::string_view bytes);

}  // namespace cloister
