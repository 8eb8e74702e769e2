#include "sandbox/worker/output.h"

#include <utility>

#include "apis/wire/codec.h"
#include "apis/wire/event_fields.h"
#include "apis/wire/frame.h"

namespace cloister {
namespace {

// Longest unfinished line that is kept back.
constexpr std::size_t kLineMax = 32 * 1024;
constexpr std::size_t kLoggerMax = 200;
// The most bytes that one write puts into one event: as many as the node keeps of one, so that a
// line is not in two as long as it can be in one.
constexpr std::size_t kPartMax = 256 * 1024;
// The node keeps 256 KiB of an event, and marks that it was cut.
constexpr std::size_t kEventMax = 257 * 1024;
// Names that RefusedCalls tells apart; all come from our shims, so this is never reached.
constexpr std::size_t kRefusedNamesMax = 64;

thread_local std::uint32_t current_request = 0;

}  // namespace

std::uint32_t CurrentRequest() {
  return current_request;
}

void SetCurrentRequest(std::uint32_t id) {
  current_request = id;
}

void SendLog(WorkerChannel& channel, const LogText& text) {
  LogHead head{.source = text.source,
               .level = text.level,
               .logger = text.logger.substr(0, kLoggerMax),
               .fields = text.fields.size() <= kEventFieldsBytesMax ? text.fields : ""};
  std::string frames;
  std::string_view rest = text.bytes.substr(0, kEventMax);
  do {
    std::string payload;
    WireWriter encoder(payload);
    head.Encode(encoder);
    head.fields = {};
    const std::string_view piece = rest.substr(0, kFramePayloadMax - payload.size());
    rest.remove_prefix(piece.size());
    encoder.Raw(piece);
    const std::uint8_t flags = rest.empty() ? std::uint8_t{0} : kFrameMore;
    AppendFrame(
        frames,
        {.type = FrameType::kLog, .flags = flags, .id = CurrentRequest(), .payload = payload});
  } while (!rest.empty());
  channel.Send(frames);
}

void OutputBuffers::Write(WorkerChannel& channel, LogSource source, std::string_view bytes) {
  while (bytes.size() > kPartMax) {
    const std::size_t newline = bytes.rfind('\n', kPartMax - 1);
    const std::size_t size = newline == std::string_view::npos ? kPartMax : newline + 1;
    WritePart(channel, source, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  WritePart(channel, source, bytes);
}

void OutputBuffers::WritePart(WorkerChannel& channel, LogSource source, std::string_view bytes) {
  std::string& pending = pending_.at(static_cast<std::size_t>(source));
  const std::size_t newline = bytes.rfind('\n');
  if (newline == std::string_view::npos) {
    pending += bytes;
    if (pending.size() >= kLineMax) {
      const std::string event = std::exchange(pending, {});
      SendLog(channel, {.source = source, .level = 0, .logger = {}, .bytes = event});
    }
    return;
  }
  // Taken out first: sending releases the GIL, and another thread may write meanwhile.
  std::string event = std::exchange(pending, std::string(bytes.substr(newline + 1)));
  event += bytes.substr(0, newline + 1);
  SendLog(channel, {.source = source, .level = 0, .logger = {}, .bytes = event});
}

void OutputBuffers::Flush(WorkerChannel& channel) {
  for (const LogSource source : {LogSource::kStdout, LogSource::kStderr}) {
    std::string& pending = pending_.at(static_cast<std::size_t>(source));
    if (pending.empty())
      continue;
    const std::string event = std::exchange(pending, {});
    SendLog(channel, {.source = source, .level = 0, .logger = {}, .bytes = event});
  }
}

void OutputBuffers::Clear() {
  for (std::string& pending : pending_)
    pending.clear();
}

void RefusedCalls::Count(std::string_view name) {
  const auto found = counts_.find(name);
  if (found != counts_.end())
    ++found->second;
  else if (counts_.size() < kRefusedNamesMax)
    counts_.emplace(name, 1);
}

void RefusedCalls::Flush(WorkerChannel& channel) {
  if (counts_.empty())
    return;
  std::string frames;
  for (const auto& [name, count] : counts_) {
    const std::size_t begin = BeginFrame(frames, FrameType::kRefused, 0, CurrentRequest());
    WireWriter writer(frames);
    writer.Str16(name);
    writer.U32(count);
    FinishFrame(frames, begin);
  }
  counts_.clear();
  channel.Send(frames);
}

}  // namespace cloister
