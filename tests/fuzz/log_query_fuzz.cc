// Arbitrary text as what `cloister logs` takes for --since and --level: refused with a reason, or a
// value in its range. A time reads back from how we write it.

#include <cstdint>
#include <string_view>

#include "apis/base/check.h"
#include "apis/base/time_text.h"
#include "config/log_query.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr cloister::WallTime kNow{cloister::Seconds(1'795'255'503)};
  const auto since = cloister::ReadSince(text, kNow);
  CHECK(since.ok() || !since.error().message.empty());
  const auto level = cloister::ReadEventLevel(text);
  CHECK(level.ok() || !level.error().message.empty());
  const auto time = cloister::ParseTime(text);
  // An offset may put the first and the last day out of what can be written.
  constexpr cloister::WallTime kFirst{cloister::Seconds(0)};
  constexpr cloister::WallTime kLast{cloister::Seconds(253'402'300'799)};
  if (time.ok() && time.value() >= kFirst && time.value() <= kLast)
    CHECK(cloister::ParseTime(cloister::TimeText(time.value())).value() == time.value());
  return 0;
}
