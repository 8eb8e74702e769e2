#include "daemon/node/late_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "apis/base/log.h"
#include "apis/wire/messages.h"

namespace cloister {
namespace {

// Taken in one turn.
constexpr int kPacketsPerTurn = 64;

}  // namespace

CacheLink::CacheLink(Loop& loop, UniqueFd socket, Listener& listener)
    : socket_(std::move(socket)),
      listener_(listener),
      watch_(loop, socket_.get(), static_cast<FdWatch::Handler&>(*this)) {
  watch_.Watch(true, false);
}

void CacheLink::SendLost(AppId app, std::uint64_t generation) {
  lost_[app] = std::max(lost_[app], generation);
  SendWaiting();
}

void CacheLink::SendRaised(AppId app, std::uint64_t generation) {
  raised_[app] = std::max(raised_[app], generation);
  SendWaiting();
}

template <typename Message>
bool CacheLink::SendAll(Newest& waiting) {
  while (!waiting.empty()) {
    const auto [app, generation] = *waiting.begin();
    const Message message = {.app = app.number, .generation = generation};
    // Full and gone look the same here; an end that is gone shows as readable.
    if (!SendPacket(socket_.get(), EncodeMessage(message)).ok())
      return false;
    waiting.erase(waiting.begin());
  }
  return true;
}

void CacheLink::SendWaiting() {
  const bool sent = SendAll<CacheLost>(lost_) && SendAll<CacheRaised>(raised_);
  watch_.Watch(true, !sent);
}

void CacheLink::OnReadable() {
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    const Result<Received> received = ReceivePacket(socket_.get());
    if (received.ok() && received.value().state == ReceiveState::kWouldBlock)
      return;
    if (!received.ok() || received.value().state != ReceiveState::kPacket)
      return listener_.OnEnded(*this);
    Take(received.value().packet);
  }
}

void CacheLink::Take(const Packet& packet) {
  if (const auto lost = DecodeMessage<CacheLost>(packet.bytes); lost.ok())
    return listener_.OnLost(*this, AppId{lost.value().app}, lost.value().generation);
  if (const auto raised = DecodeMessage<CacheRaised>(packet.bytes); raised.ok())
    return listener_.OnRaised(*this, AppId{raised.value().app}, raised.value().generation);
  Log(LogLevel::kError, "late_cache_refused", {{"bytes", packet.bytes.size()}});
}

void LateCache::Load(AppId app, std::function<void(Result<CacheGeneration>)> done) {
  stored_.Load(app, std::move(done));
}

void LateCache::Store(AppId app, std::uint64_t number, std::function<void(Result<void>)> done) {
  if (!forwarding_)
    return stored_.Store(app, number, std::move(done));
  if (successor_ == nullptr)
    return loop_.Post([done = std::move(done)] {
      done(Error{ErrorCode::kUnavailable, "the next node process is gone"});
    });
  waiting_.emplace(app, Waiting{.number = number, .done = std::move(done)});
  successor_->SendLost(app, number - 1);
}

UniqueFd LateCache::Forward() {
  forwarding_ = true;
  auto pair = MakeControlPair();
  if (!pair.ok()) {
    Log(LogLevel::kError, "late_cache_missing", {{"error", pair.error().message}});
    WatchGenerations();
    return {};
  }
  successor_ = std::make_unique<CacheLink>(loop_, std::move(pair.value().first),
                                           static_cast<CacheLink::Listener&>(*this));
  WatchGenerations();
  return std::move(pair.value().second);
}

void LateCache::Follow(UniqueFd predecessor) {
  predecessor_ = std::make_unique<CacheLink>(loop_, std::move(predecessor),
                                             static_cast<CacheLink::Listener&>(*this));
  WatchGenerations();
}

void LateCache::WatchGenerations() {
  if (predecessor_ == nullptr && !forwarding_)
    return service_->SetRaisedCallback(nullptr);
  service_->SetRaisedCallback([this](AppId app, std::uint64_t number) {
    if (predecessor_ != nullptr)
      predecessor_->SendRaised(app, number);
  });
}

void LateCache::OnLost(CacheLink& /*link*/, AppId app, std::uint64_t generation) {
  service_->Invalidate(app, generation, [this, app, generation] {
    if (predecessor_ != nullptr)
      predecessor_->SendRaised(app, generation + 1);
  });
}

void LateCache::OnRaised(CacheLink& /*link*/, AppId app, std::uint64_t generation) {
  std::vector<std::function<void(Result<void>)>> done;
  const auto [begin, end] = waiting_.equal_range(app);
  for (auto each = begin; each != end;) {
    if (each->second.number <= generation) {
      done.push_back(std::move(each->second.done));
      each = waiting_.erase(each);
    } else {
      ++each;
    }
  }
  service_->RaiseGeneration(app, generation);
  if (predecessor_ != nullptr)
    predecessor_->SendRaised(app, generation);
  for (const auto& each : done)
    each({});
}

void LateCache::OnEnded(CacheLink& link) {
  const bool was_successor = &link == successor_.get();
  (was_successor ? successor_ : predecessor_).reset();
  WatchGenerations();
  if (!was_successor)
    return;
  for (const auto& [app, waiting] : std::exchange(waiting_, {}))
    waiting.done(Error{ErrorCode::kUnavailable, "the next node process is gone"});
}

}  // namespace cloister
