// Arbitrary bytes as the fields of a log event: refused, or the same bytes again.

#include <cstdint>
#include <string_view>

#include "apis/base/check.h"
#include "apis/wire/event_fields.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto fields = cloister::ReadEventFields(bytes);
  if (!fields.ok())
    return 0;
  CHECK(fields.value().size() <= cloister::kEventFieldsMax);
  CHECK(cloister::EncodeEventFields(fields.value()) == bytes);
  return 0;
}
