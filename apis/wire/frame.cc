#include "apis/wire/frame.h"

#include <cstring>

#include "apis/base/check.h"
#include "apis/wire/codec.h"

namespace cloister {
namespace {

constexpr std::size_t kLengthOffset = 0;

bool IsKnown(std::uint8_t type) {
  return (type >= static_cast<std::uint8_t>(FrameType::kRequest) &&
          type <= static_cast<std::uint8_t>(FrameType::kConfig)) ||
         (type >= static_cast<std::uint8_t>(FrameType::kReady) &&
          type <= static_cast<std::uint8_t>(FrameType::kQueryBroken));
}

}  // namespace

std::size_t BeginFrame(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t id) {
  const std::size_t begin = out.size();
  WireWriter writer(out);
  writer.U32(0);
  writer.U8(static_cast<std::uint8_t>(type));
  writer.U8(flags);
  writer.U16(0);
  writer.U32(id);
  return begin;
}

void FinishFrame(std::string& out, std::size_t begin) {
  const std::size_t length = out.size() - begin - kFrameHeaderSize;
  CHECK(length <= kFramePayloadMax);
  const auto wire_length = static_cast<std::uint32_t>(length);
  std::memcpy(out.data() + begin + kLengthOffset, &wire_length, sizeof wire_length);
}

void AppendFrame(std::string& out, const Frame& frame) {
  const std::size_t begin = BeginFrame(out, frame.type, frame.flags, frame.id);
  out += frame.payload;
  FinishFrame(out, begin);
}

Result<std::optional<Frame>> ParseFrame(std::string_view& bytes) {
  if (bytes.size() < kFrameHeaderSize)
    return std::optional<Frame>();
  WireReader reader(bytes.substr(0, kFrameHeaderSize));
  const std::uint32_t length = reader.U32();
  const std::uint8_t type = reader.U8();
  const std::uint8_t flags = reader.U8();
  const std::uint16_t filler = reader.U16();
  const std::uint32_t id = reader.U32();
  if (length > kFramePayloadMax || filler != 0 || !IsKnown(type))
    return Error{ErrorCode::kProtocol, "a frame header that is never sent"};
  if (bytes.size() - kFrameHeaderSize < length)
    return std::optional<Frame>();
  const Frame frame{.type = FrameType{type},
                    .flags = flags,
                    .id = id,
                    .payload = bytes.substr(kFrameHeaderSize, length)};
  bytes.remove_prefix(kFrameHeaderSize + length);
  return std::optional<Frame>(frame);
}

}  // namespace cloister
