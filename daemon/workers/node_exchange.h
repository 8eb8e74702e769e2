#pragma once

// A request that the node itself makes of a release's workers, and its answer within a bound.
//
// No connection is behind it: it is in no access log and counts as nobody's. Owned by who asks, who
// gives it to WorkerSupervisor::Dispatch once and hears at the end of a turn. Destroyed before that
// it is given up, as if a client went away. Runs on the loop thread.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/clock.h"
#include "daemon/http/message.h"
#include "daemon/http/refusal.h"
#include "daemon/http/request_state.h"
#include "daemon/loop/loop.h"
#include "daemon/loop/timer.h"

namespace cloister {

struct NodeAnswer {
  enum class How {
    kWhole,
    kCut,       // it broke off
    kTooLarge,  // it was given up at the bound, which `body` reaches
  };
  How how = How::kWhole;
  int status = 0;  // 0: it broke off before the head
  std::string reason;
  std::string headers;  // "Name: value" a line, the first of them
  std::string body;
  std::string problem;  // see ExchangeNotes
};

class NodeExchange final : public Exchange, private TurnTask {
 public:
  // Of the answer's headers so many bytes are kept.
  static constexpr std::size_t kHeadersShown = 4096;

  struct Parts {
    Loop& loop;
    const Clock& clock;
  };

  // `on_end` comes once, when answer() is complete; it may destroy this.
  NodeExchange(const Parts& parts, const NodeTerms& terms, std::size_t body_max,
               std::function<void()> on_end);
  NodeExchange(const NodeExchange&) = delete;
  NodeExchange& operator=(const NodeExchange&) = delete;
  ~NodeExchange() override;

  // What to ask, as a client would write it: the head with its empty line. Refused as a client's.
  std::optional<HttpRefusal> SetRequest(std::string head, std::string body);
  // A function of the workers' runtime, with a header as its argument; {}: it takes none.
  void SetCall(std::string function, HttpHeader header, std::string body);

  const NodeAnswer& answer() const { return answer_; }
  // Under which the app's log has what was said meanwhile.
  std::string_view request_id() const { return state_.request.request_id; }

  HttpRequest& request() override { return state_.request; }
  ExchangeNotes& notes() override { return state_.notes; }
  void SetListener(ExchangeListener* listener) override { listener_ = listener; }
  void Respond(int status, std::span<const HttpHeader> headers, std::string_view body) override;
  void Begin(int status, std::string_view reason, std::span<const HttpHeader> headers,
             std::optional<std::uint64_t> length) override;
  bool Write(std::string_view bytes) override;
  BodyFit Finish() override;
  void Abort() override;

 private:
  void OnTurnEnd() override;
  void Stamp();
  bool HasNoBody() const;
  void OnTimeOver();
  // Whoever answers has said the last of it.
  void Close(NodeAnswer::How how);
  void GiveUp();

  Parts parts_;
  std::size_t body_max_;
  std::function<void()> on_end_;
  Timer timer_;  // over all, also where no worker claims it
  RequestState state_;
  std::string argument_;  // of the call's header
  ExchangeListener* listener_ = nullptr;
  bool over_ = false;  // nobody answers any more
  std::optional<std::uint64_t> length_;
  NodeAnswer answer_;
};

}  // namespace cloister
