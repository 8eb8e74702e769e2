// The operator's file as arbitrary bytes: read or refused; what is read can be rendered and read
// again to the same.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "config/parser.h"
#include "config/render.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const cloister::Result<cloister::Settings> parsed = cloister::ParseSettings(text, "settings");
  if (!parsed.ok()) {
    CHECK(parsed.error().message.starts_with("settings"));
    return 0;
  }
  const std::string rendered = cloister::RenderSettings(parsed.value());
  const cloister::Result<cloister::Settings> again = cloister::ParseSettings(rendered, "rendered");
  CHECK(again.ok());
  CHECK(cloister::RenderSettings(again.value()) == rendered);
  return 0;
}
