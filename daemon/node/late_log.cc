#include "daemon/node/late_log.h"

#include <algorithm>
#include <utility>

#include "apis/base/log.h"
#include "apis/wire/event_fields.h"
#include "daemon/logs/redactor.h"

namespace cloister {
namespace {

constexpr std::size_t kPieceMax = std::size_t{64} * 1024;
static_assert(kPieceMax + 4 * kLogNameMax + kEventFieldsBytesMax + 1024 <= kControlMessageMax,
              "a LateEvent is one packet");
// Taken in one turn: a worker that logs without end must not keep the next node from its requests.
constexpr int kPacketsPerTurn = 32;

// Of LateEvent::check.
constexpr std::uint32_t kLateCheck = 1;
constexpr std::uint32_t kLateRedacted = 2;

LateEvent Encode(const LogEvent& event) {
  LateEvent late;
  late.app = event.app.number;
  late.time_us = static_cast<std::uint64_t>(event.time.time_since_epoch().count());
  late.release = event.release.substr(0, kLogNameMax);
  late.worker = event.worker.number;
  late.request_id = event.request_id.substr(0, kLogNameMax);
  late.source = static_cast<std::uint32_t>(event.source);
  late.level = event.level;
  late.cut = event.cut ? 1 : 0;
  late.check = (event.check ? kLateCheck : 0U) | (event.redacted ? kLateRedacted : 0U);
  late.app_name = event.app_name.substr(0, kLogNameMax);
  late.logger = event.logger.substr(0, kLogNameMax);
  late.fields = event.fields;
  return late;
}

LogEvent Decode(LateEvent late) {
  LogEvent event;
  event.app = AppId{late.app};
  event.time = WallTime(Micros(static_cast<std::int64_t>(late.time_us)));
  event.release = std::move(late.release);
  event.worker = WorkerId{late.worker};
  event.request_id = std::move(late.request_id);
  event.source = LogSource{static_cast<std::uint8_t>(late.source)};
  event.level = static_cast<std::uint8_t>(late.level);
  event.cut = late.cut != 0;
  event.check = (late.check & kLateCheck) != 0;
  event.redacted = (late.check & kLateRedacted) != 0;
  event.app_name = std::move(late.app_name);
  event.logger = std::move(late.logger);
  event.fields = std::move(late.fields);
  event.bytes = std::move(late.bytes);
  return event;
}

}  // namespace

void LogRelay::Append(LogEvent event) {
  if (!forwarding_)
    return store_.Append(std::move(event));
  if (watch_ == nullptr || waiting_bytes_ + event.bytes.size() > kWaitingMax) {
    ++lost_;
    return;
  }
  RedactEvent(event);
  LateEvent late = Encode(event);
  const std::string_view bytes = event.bytes;
  std::size_t sent = 0;
  do {
    late.bytes = bytes.substr(sent, kPieceMax);
    sent += late.bytes.size();
    late.more = sent < bytes.size() ? 1 : 0;
    waiting_.push_back(EncodeMessage(late));
    late.fields.clear();
    waiting_bytes_ += waiting_.back().size();
  } while (sent < bytes.size());
  SendWaiting();
}

void LogRelay::Forward(UniqueFd successor) {
  forwarding_ = true;
  successor_ = std::move(successor);
  if (!successor_.valid())
    return;
  watch_ =
      std::make_unique<FdWatch>(loop_, successor_.get(), static_cast<FdWatch::Handler&>(*this));
  watch_->Watch(true, false);
}

// The successor never writes: what is readable is its end.
void LogRelay::OnReadable() {
  Lose();
}

void LogRelay::SendWaiting() {
  while (watch_ != nullptr && !waiting_.empty()) {
    const Result<void> sent = SendPacket(successor_.get(), waiting_.front());
    // Full and gone look the same here; a successor that is gone shows as readable.
    if (!sent.ok() && sent.error().code == ErrorCode::kUnavailable)
      break;
    if (!sent.ok())
      return Lose();
    waiting_bytes_ -= waiting_.front().size();
    waiting_.pop_front();
  }
  if (watch_ != nullptr)
    watch_->Watch(true, !waiting_.empty());
  if (waiting_.empty() && on_idle_)
    on_idle_();
}

void LogRelay::Lose() {
  lost_ += waiting_.size();
  waiting_.clear();
  waiting_bytes_ = 0;
  watch_.reset();
  if (on_idle_)
    on_idle_();
}

LateLogReader::LateLogReader(Loop& loop, UniqueFd predecessor, LogSink& store,
                             OnCacheSocket on_cache_socket)
    : predecessor_(std::move(predecessor)),
      store_(store),
      on_cache_socket_(std::move(on_cache_socket)),
      watch_(std::make_unique<FdWatch>(loop, predecessor_.get(),
                                       static_cast<FdWatch::Handler&>(*this))) {
  watch_->Watch(true, false);
}

void LateLogReader::OnReadable() {
  for (int taken_packets = 0; taken_packets < kPacketsPerTurn; ++taken_packets) {
    Result<Received> received = ReceivePacket(predecessor_.get());
    if (received.ok() && received.value().state == ReceiveState::kWouldBlock)
      return;
    Result<void> taken;
    if (!received.ok())
      taken = Error(received.error());
    else if (received.value().state == ReceiveState::kPacket)
      taken = Take(std::move(received.value().packet));
    if (!taken.ok())
      Log(LogLevel::kError, "late_log_refused", {{"error", taken.error().message}});
    if (taken.ok() && received.value().state == ReceiveState::kPacket)
      continue;
    watch_->Watch(false, false);
    return;
  }
}

Result<void> LateLogReader::Take(Packet packet) {
  if (packet.fds.size() == 1 && on_cache_socket_ &&
      DecodeMessage<LateCacheSocket>(packet.bytes).ok()) {
    on_cache_socket_(std::move(packet.fds.front()));
    return {};
  }
  LateEvent late = TRY(DecodeMessage<LateEvent>(packet.bytes));
  if (late.source > static_cast<std::uint32_t>(LogSource::kRuntime))
    return Error{ErrorCode::kProtocol, "a log event of no known source"};
  const bool more = late.more != 0;
  TRY(ReadEventFields(late.fields));
  LogEvent event = Decode(std::move(late));
  event.bytes.insert(0, unfinished_.bytes);
  if (!unfinished_.fields.empty())
    event.fields = std::move(unfinished_.fields);
  if (event.bytes.size() > kLogEventMax)
    return Error{ErrorCode::kProtocol, "a log event without end"};
  unfinished_ = {};
  if (more)
    unfinished_ = std::move(event);
  else
    store_.Append(std::move(event));
  return {};
}

}  // namespace cloister
