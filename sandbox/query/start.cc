#include "sandbox/query/start.h"

#include <unistd.h>

#include <charconv>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "apis/wire/channel.h"
#include "apis/wire/codec.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/frame.h"
#include "sandbox/confine.h"

namespace cloister {

std::uint64_t QueryNumber(const char* text) {
  std::uint64_t number = 0;
  const std::string_view view(text);
  std::from_chars(view.data(), view.data() + view.size(), number);
  return number;
}

Result<QueryOrders> ReceiveFirstOrders() {
  const Received received = TRY(ReceivePacket(kQueryFd));
  if (received.state != ReceiveState::kPacket)
    ::_exit(0);
  return DecodeMessage<QueryOrders>(received.packet.bytes);
}

void SayQueryFailed(const char* code, const Error& error) {
  std::string bytes;
  const std::size_t begin = BeginFrame(bytes, FrameType::kBootFailed, 0, 0);
  WireWriter writer(bytes);
  BootReport{.code = code, .message = error.message, .file = {}, .line = 0, .traceback = {}}.Encode(
      writer);
  FinishFrame(bytes, begin);
  (void)!::write(kChannelFd, bytes.data(), bytes.size());
}

void SayQueryReady(std::chrono::steady_clock::time_point began) {
  const auto used = std::chrono::duration_cast<Micros>(std::chrono::steady_clock::now() - began);
  std::string payload;
  WireWriter(payload).U64(static_cast<std::uint64_t>(used.count()));
  std::string frame;
  AppendFrame(frame, {.type = FrameType::kReady, .flags = 0, .id = 0, .payload = payload});
  (void)!::write(kChannelFd, frame.data(), frame.size());
}

}  // namespace cloister
