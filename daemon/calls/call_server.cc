#include "daemon/calls/call_server.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "apis/base/check.h"
#include "daemon/calls/worker_calls.h"

namespace cloister {
namespace {

constexpr std::uint8_t kWarningLevel = 30;  // of the standard library's logging

Error Protocol(const char* what) {
  return Error{ErrorCode::kProtocol, what};
}

// How many things a call asks for: the length of the list that it begins with, at least 1.
std::uint32_t KeysOf(const CallInfo& info, std::string_view args) {
  if (info.args.empty() || info.args.front() != call::Type::kListBytes)
    return 1;
  return std::max(1U, WireReader(args).U32());
}

std::string_view ArgsOf(std::string_view call) {
  return call.substr(sizeof(std::uint16_t));
}

const CallInfo* InfoOf(std::string_view call) {
  return FindCall(WireReader(call).U16());
}

}  // namespace

void CallServer::SetService(Api api, ApiService& service) {
  services_.at(static_cast<std::size_t>(api)) = &service;
}

Result<void> CallServer::Check(std::string_view call) {
  const CallInfo* info = call.size() < sizeof(std::uint16_t) ? nullptr : InfoOf(call);
  if (info == nullptr || !ApiOf(info->number))
    return Protocol("a call that does not exist");
  if (KeysOf(*info, ArgsOf(call)) > kCallListMax)
    return Protocol("a call with too long a list");
  return {};
}

CallServer::App& CallServer::AppOf(AppId id, const std::string& version) {
  App& app = apps_[id];
  if (app.version != version)
    app.version = version;
  return app;
}

bool CallServer::Take(WorkerCalls& worker, const Caller& caller, std::uint32_t frame_id, Api api,
                      Cost cost) {
  App& app = AppOf(caller.app, caller.version);
  if (app.name.empty())
    app.name = caller.name.ToString();
  const MonotonicTime now = clock_.Now();
  const double rate = RateOf(api, caller.quota);
  const std::string_view quota = RateQuotaOf(api);
  std::optional<Rate>& made = app.rates.at(static_cast<std::size_t>(api));
  if (!made)
    made.emplace(Rate{.bucket = {rate, rate}, .notice = NoticeOf(app, quota)});
  auto& [bucket, notice] = *made;
  bucket.Set(rate, rate);
  // A call whose bytes cost more than may ever be there begins when all of that is, and owes the
  // rest.
  const double needed = std::max(cost.keys, std::min(cost.all(), rate));
  if (bucket.Take(needed, now)) {
    bucket.Owe(cost.all() - needed);
    if (bucket.used() >= kQuotaNear && notice.Near(now))
      Say(caller.app, app,
          NearText(quota, std::to_string(RateOf(api, caller.quota)) + " a second", bucket.used()));
    return true;
  }
  NoteRefused(caller.app, app, quota, notice, 1);
  const auto wait = std::chrono::duration_cast<Millis>(bucket.RetryAfter(cost.all()));
  worker.OnReply(
      frame_id,
      EncodeReply(QuotaRefusal{
          .quota = quota,
          .limit = static_cast<std::uint64_t>(rate),
          .used = static_cast<std::uint64_t>(bucket.used_amount() + cost.all()),
          // More keys than may come at once never come.
          .retry_after_ms = cost.keys > rate ? 0 : static_cast<std::uint32_t>(wait.count())}));
  return false;
}

Result<void> CallServer::Serve(WorkerCalls& worker, const Caller& caller, std::uint32_t frame_id,
                               std::string_view call) {
  const CallInfo* info = InfoOf(call);
  CHECK(info != nullptr);
  const Api api = ApiOf(info->number).value_or(Api::kCache);
  const std::string_view args = ArgsOf(call);
  ApiService* service = services_.at(static_cast<std::size_t>(api));
  const double bytes = service == nullptr ? 0 : service->CostOfBytes(info->number, args);
  if (!Take(worker, caller, frame_id, api,
            {.keys = static_cast<double>(KeysOf(*info, args)), .bytes = bytes}))
    return {};
  if (service == nullptr) {
    worker.OnReply(frame_id, EncodeReply(CallFailure{.code = "api_unavailable",
                                                     .message = "the node does not offer this"}));
    return {};
  }
  const CallId id = ++last_;
  waiting_.emplace(id,
                   Waiting{.worker = &worker, .frame_id = frame_id, .app = caller.app, .api = api});
  Result<void> served = service->Serve(
      id,
      {.app = caller.app, .overlay = caller.overlay, .quota = caller.quota, .caller = worker.id()},
      info->number, args);
  if (!served.ok())
    waiting_.erase(id);
  return served;
}

void CallServer::Answer(CallId call, std::string reply) {
  CHECK(!reply.empty() && reply.size() <= kCallMax);
  const auto found = waiting_.find(call);
  if (found == waiting_.end())
    return;  // the worker is gone
  const Waiting waiting = found->second;
  waiting_.erase(found);
  const ApiService* service = services_.at(static_cast<std::size_t>(waiting.api));
  if (const std::uint32_t cost = service->CostOfAnswer(reply.size()); cost > 0)
    if (TokenBucket* rate = FindBucket(waiting); rate != nullptr)
      rate->Owe(cost);
  waiting.worker->OnReply(waiting.frame_id, reply);
}

TokenBucket* CallServer::FindBucket(const Waiting& waiting) {
  const auto app = apps_.find(waiting.app);
  if (app == apps_.end())
    return nullptr;
  std::optional<Rate>& rate = app->second.rates.at(static_cast<std::size_t>(waiting.api));
  return rate ? &rate->bucket : nullptr;
}

void CallServer::GiveBack(CallId call, std::uint32_t count) {
  const auto waiting = waiting_.find(call);
  if (waiting == waiting_.end())
    return;  // the worker is gone
  if (TokenBucket* rate = FindBucket(waiting->second); rate != nullptr)
    rate->Give(count);
}

CallerId CallServer::Enter(const Caller& caller) {
  if (caller.overlay != 0)
    ++overlays_[caller.overlay];
  return ++last_caller_;
}

void CallServer::Leave(WorkerCalls& worker, const Caller& caller) {
  std::erase_if(waiting_, [&worker](const auto& each) { return each.second.worker == &worker; });
  for (ApiService* service : services_)
    if (service != nullptr)
      service->OnCallerGone(worker.id());
  const auto overlay = overlays_.find(caller.overlay);
  if (overlay == overlays_.end() || --overlay->second > 0)
    return;
  overlays_.erase(overlay);
  for (ApiService* service : services_)
    if (service != nullptr)
      service->OnOverlayEnded(caller.overlay);
}

void CallServer::NoteRefused(const AppVersion& of, std::string_view quota, std::uint32_t count) {
  App& app = AppOf(of.app, of.version);
  app.name = of.name;
  NoteRefused(of.app, app, quota, NoticeOf(app, quota), count);
}

void CallServer::NoteUsed(const AppVersion& of, std::string_view quota, std::string_view limit,
                          double used) {
  if (used < kQuotaNear)
    return;
  AppOf(of.app, of.version).name = of.name;
  NoteQuotaNear(of.app, quota, limit, used);
}

void CallServer::NoteQuotaNear(AppId id, std::string_view quota, std::string_view limit,
                               double used) {
  const auto found = apps_.find(id);
  if (found == apps_.end())
    return;
  App& app = found->second;
  if (NoticeOf(app, quota).Near(clock_.Now()))
    Say(id, app, NearText(quota, limit, used));
}

void CallServer::NoteQuotaRefused(AppId id, std::string_view quota) {
  const auto found = apps_.find(id);
  if (found == apps_.end())
    return;
  App& app = found->second;
  NoteRefused(id, app, quota, NoticeOf(app, quota), 1);
}

QuotaNotice& CallServer::NoticeOf(App& app, std::string_view quota) {
  const auto notice = app.notices.find(quota);
  return notice == app.notices.end() ? app.notices.try_emplace(std::string(quota)).first->second
                                     : notice->second;
}

void CallServer::NoteRefused(AppId id, const App& app, std::string_view quota, QuotaNotice& notice,
                             std::uint64_t count) {
  if (const auto refused = notice.Refuse(clock_.Now(), count))
    Say(id, app,
        std::to_string(*refused) + (*refused == 1 ? " call was" : " calls were") +
            " refused with cloister.QuotaExceeded: the quota " + std::string(quota) +
            " is used up. Use less of it, or ask the node's operator for more.");
}

void CallServer::Say(AppId id, const App& app, std::string text) {
  LogEvent event;
  event.time = clock_.Wall();
  event.app = id;
  event.app_name = app.name;
  event.release = app.version;
  event.source = LogSource::kRuntime;
  event.by_node = true;
  event.level = kWarningLevel;
  event.bytes = std::move(text);
  logs_.Append(std::move(event));
}

CallUse CallServer::UseOf(AppId app, Api api) const {
  const auto found = apps_.find(app);
  if (found == apps_.end())
    return {};
  const std::optional<Rate>& rate = found->second.rates.at(static_cast<std::size_t>(api));
  return {.used = rate ? static_cast<std::uint64_t>(rate->bucket.UsedAt(clock_.Now())) : 0,
          .refused = RefusedOf(app, RateQuotaOf(api))};
}

std::uint64_t CallServer::RefusedOf(AppId app, std::string_view quota) const {
  const auto found = apps_.find(app);
  if (found == apps_.end())
    return 0;
  const auto notice = found->second.notices.find(quota);
  return notice == found->second.notices.end() ? 0 : notice->second.refused();
}

void CallServer::OnAppDeleted(AppId app) {
  apps_.erase(app);
  for (ApiService* service : services_)
    if (service != nullptr)
      service->OnAppDeleted(app);
}

void CallServer::WhenClosed(AppId app, std::function<void()> done) {
  // Ends when the last copy of it is gone.
  const std::shared_ptr<void> all(nullptr, [done = std::move(done)](void*) { done(); });
  for (ApiService* service : services_)
    if (service != nullptr)
      service->WhenClosed(app, [all] {});
}

}  // namespace cloister
