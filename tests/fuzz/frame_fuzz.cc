// Frames of arbitrary bytes, as a hostile worker sends them: what is taken encodes to the same
// bytes again, and nothing is taken that was not there.

#include <cstdint>
#include <string>

#include "apis/base/check.h"
#include "apis/wire/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string_view rest = bytes;
  std::string again;
  while (true) {
    const auto parsed = cloister::ParseFrame(rest);
    if (!parsed.ok() || !parsed.value().has_value())
      break;
    const cloister::Frame& frame = *parsed.value();
    CHECK(frame.payload.size() <= cloister::kFramePayloadMax);
    cloister::AppendFrame(again, frame);
  }
  // The filler must be zero and the type known, so there is one encoding.
  CHECK(again == bytes.substr(0, bytes.size() - rest.size()));
  return 0;
}
