#include "apis/wire/config_values.h"

#include <cstdint>

#include "apis/wire/codec.h"
#include "apis/wire/frame.h"

namespace cloister {
namespace {

constexpr std::uint8_t kSecret = 1;

}  // namespace

void EncodeConfig(std::string& payload, const std::vector<ConfigValue>& values) {
  WireWriter out(payload);
  for (const ConfigValue& value : values) {
    out.U8(value.secret ? kSecret : 0);
    out.Str16(value.name);
    out.Str32(value.value);
  }
}

Result<std::vector<ConfigValue>> ReadConfig(std::string_view payload) {
  std::vector<ConfigValue> values;
  WireReader in(payload);
  while (in.ok() && !in.AtEnd()) {
    const bool secret = (in.U8() & kSecret) != 0;
    const std::string_view name = in.Str16();
    values.push_back({.name = name, .value = in.Str32(), .secret = secret});
  }
  if (!in.ok())
    return Error{ErrorCode::kProtocol, "malformed config"};
  return values;
}

void AppendConfigFrames(std::string& out, std::string_view payload) {
  do {
    const std::string_view part = payload.substr(0, kFramePayloadMax);
    payload.remove_prefix(part.size());
    AppendFrame(out, {.type = FrameType::kConfig,
                      .flags = payload.empty() ? std::uint8_t{0} : kFrameMore,
                      .id = 0,
                      .payload = part});
  } while (!payload.empty());
}

}  // namespace cloister
