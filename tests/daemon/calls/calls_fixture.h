#pragma once

// A call server with a service that answers when the test says so, and one caller's channel.

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apis/wire/frame.h"
#include "daemon/calls/worker_calls.h"
#include "tests/support/fake_clock.h"

namespace cloister {

// What came to the service.
struct ServedCall {
  CallId id = 0;
  CallOrigin origin;
  CallNumber number = {};
  std::string args;
};

class RecordingService : public ApiService {
 public:
  explicit RecordingService(CallServer& server) : server_(server) {}

  Result<void> Serve(CallId id, const CallOrigin& origin, CallNumber number,
                     std::string_view args) override {
    if (refuses)
      return Error{ErrorCode::kProtocol, "no call at all"};
    calls.push_back({.id = id, .origin = origin, .number = number, .args = std::string(args)});
    if (answers_at_once)
      Answer(calls.size() - 1, "now");
    return {};
  }
  std::uint32_t CostOfBytes(CallNumber /*number*/, std::string_view /*args*/) const override {
    return cost_of_bytes;
  }
  std::uint32_t CostOfAnswer(std::size_t bytes) const override {
    return static_cast<std::uint32_t>(bytes / answer_bytes_per_call);
  }
  void OnOverlayEnded(OverlayId overlay) override { ended.push_back(overlay); }
  void OnAppDeleted(AppId app) override { deleted.push_back(app); }
  void OnCallerGone(CallerId caller) override { gone.push_back(caller); }
  void WhenClosed(AppId /*app*/, std::function<void()> done) override { closed = std::move(done); }

  void Answer(std::size_t index, std::string_view value) {
    server_.Answer(calls.at(index).id, EncodeReply(CacheGetResult{.value = value}));
  }

  bool refuses = false;
  bool answers_at_once = false;
  std::uint32_t cost_of_bytes = 0;
  std::size_t answer_bytes_per_call = kCallMax + 1;
  std::vector<ServedCall> calls;
  std::vector<OverlayId> ended;
  std::vector<AppId> deleted;
  std::vector<CallerId> gone;
  std::function<void()> closed;

 private:
  CallServer& server_;
};

class CollectedLogs : public LogSink {
 public:
  void Append(LogEvent event) override { events.push_back(std::move(event)); }
  std::vector<LogEvent> events;
};

// What a worker reads.
class RecordingChannel : public WorkerCalls::Channel {
 public:
  std::string* CallOut() override { return open ? &out : nullptr; }
  void TouchCallOut() override {}
  std::size_t unread() const override { return unread_bytes; }
  void OnBadCall(const Error& error) override { bad = error.message; }

  // The answers so far: id and what its frames carried; takes them.
  std::vector<std::pair<std::uint32_t, std::string>> TakeReplies() {
    std::vector<std::pair<std::uint32_t, std::string>> replies;
    std::string_view rest = out;
    bool goes_on = false;
    while (true) {
      const Result<std::optional<Frame>> parsed = ParseFrame(rest);
      if (!parsed.ok())
        break;
      const std::optional<Frame>& frame = parsed.value();
      if (!frame)
        break;
      if (!goes_on)
        replies.emplace_back(frame->id, "");
      replies.back().second += frame->payload;
      goes_on = frame->Has(kFrameMore);
    }
    out.clear();
    return replies;
  }

  bool open = true;
  std::string out;
  std::size_t unread_bytes = 0;
  std::string bad;
};

struct CallBench {
  FakeClock clock;
  CollectedLogs logs;
  CallServer server{clock, logs};
  RecordingService service{server};
  RecordingChannel channel;
  AppName name = AppName::Parse("demo/hello").value();
  std::string version = "1.0.0";
  CallQuota quota;

  CallBench() { server.SetService(Api::kCache, service); }

  Caller CallerOn(OverlayId overlay = 0, AppId app = AppId{1}) const {
    return {.app = app, .name = name, .version = version, .overlay = overlay, .quota = quota};
  }
};

// A call as its payload.
template <typename Args>
std::string CallOf(const Args& args) {
  std::string bytes;
  WireWriter(bytes).U16(static_cast<std::uint16_t>(Args::kNumber));
  EncodeFields(args, bytes);
  return bytes;
}

// Gives a call to `calls`, in as many frames as it needs.
inline Result<void> GiveCall(WorkerCalls& calls, std::uint32_t id, std::string_view bytes) {
  do {
    const std::string_view piece = bytes.substr(0, kFramePayloadMax);
    bytes.remove_prefix(piece.size());
    TRY(calls.TakeCall({.type = FrameType::kCall,
                        .flags = bytes.empty() ? std::uint8_t{0} : kFrameMore,
                        .id = id,
                        .payload = piece}));
  } while (!bytes.empty());
  return {};
}

// What stands in an answer of CacheGet; nothing: it is none.
inline std::optional<std::string> ValueIn(std::string_view reply) {
  if (reply.empty() || CallStatus{static_cast<std::uint8_t>(reply.front())} != CallStatus::kDone)
    return std::nullopt;
  const Result<CacheGetResult> result = DecodeFields<CacheGetResult>(reply.substr(1));
  if (!result.ok())
    return std::nullopt;
  const std::optional<std::string_view>& value = result.value().value;
  return value ? std::optional<std::string>(*value) : std::nullopt;
}

}  // namespace cloister
