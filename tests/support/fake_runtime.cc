// A runtime without an interpreter: sandbox/worker/worker.h as far as the zygote needs it.
//
// Its worker answers every request with 200 and the app's name. Linked into the zygote of the
// process tests. Behind the walls: reads and writes the channel and nothing else.

#include <unistd.h>

#include <array>
#include <string>
#include <string_view>

#include "apis/wire/channel.h"
#include "apis/wire/frame.h"
#include "sandbox/confine.h"
#include "sandbox/worker/worker.h"

namespace cloister {
namespace {

void WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(kChannelFd, bytes.data(), bytes.size());
    if (written <= 0)
      ::_exit(0);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Answer(const WorkerContext& context, const Frame& frame) {
  WireReader reader(frame.payload);
  const Result<RequestHead> head = RequestHead::Decode(reader);
  if (!head.ok() || !context.inbox->Claim(head.value().slot, frame.id))
    return;
  std::string bytes;
  const std::size_t begin =
      BeginFrame(bytes, FrameType::kResponse, kFrameEnd | kFrameInlineBody, frame.id);
  WireWriter writer(bytes);
  ResponseHead{.status = 200, .reason = "OK", .headers = {}}.Encode(writer);
  writer.Raw(context.app);
  FinishFrame(bytes, begin);
  WriteAll(bytes);
}

}  // namespace

Result<void> WarmInterpreter(const std::string& /*platform_image_path*/) {
  return {};
}

std::string InterpreterVersion() {
  return "none";
}

void BeforeFork() {}
void AfterForkParent() {}
void AfterForkChild() {}
void RehearseBoot() {}

void RunWorker(WorkerContext context) {
  std::string bytes;
  AppendFrame(bytes, {.type = FrameType::kReady, .flags = 0, .id = 0, .payload = {}});
  WriteAll(bytes);
  std::string unread;
  std::array<char, 4096> part = {};
  for (;;) {
    const ssize_t size = ::read(kChannelFd, part.data(), part.size());
    if (size <= 0)
      ::_exit(0);
    unread.append(part.data(), static_cast<std::size_t>(size));
    std::string_view rest = unread;
    for (;;) {
      const Result<std::optional<Frame>> parsed = ParseFrame(rest);
      if (!parsed.ok())
        ::_exit(1);
      const std::optional<Frame>& frame = parsed.value();
      if (!frame)
        break;
      if (frame->type == FrameType::kRequest)
        Answer(context, *frame);
    }
    unread.erase(0, unread.size() - rest.size());
  }
}

}  // namespace cloister
