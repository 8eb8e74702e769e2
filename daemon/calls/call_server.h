#pragma once

// The calls of all workers: metered, given to the service of their API, and answered.
//
// A call's app is that of the worker whose channel it came on (I10). Its number and the count of
// what it asks for are looked at here, the rest is its service's. Runs on the loop thread.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "apis/base/clock.h"
#include "apis/quota/quota.h"
#include "apis/service.h"
#include "daemon/calls/services.h"
#include "daemon/logs/log_event.h"

namespace cloister {

class WorkerCalls;

// Who calls. `quota` is the one of now; all of it outlives the caller's calls.
struct Caller {
  AppId app;
  const AppName& name;
  const std::string& version;
  OverlayId overlay = 0;
  const CallQuota& quota;
};

// The live release of an app, whose calls do not come here.
struct AppVersion {
  AppId app;
  const std::string& name;
  const std::string& version;
};

// What an app uses of the quota that meters an API's calls.
struct CallUse {
  std::uint64_t used = 0;     // of those that may come at once
  std::uint64_t refused = 0;  // since the node process began
};

class CallServer : public CallAnswers {
 public:
  CallServer(const Clock& clock, LogSink& logs) : clock_(clock), logs_(logs) {}
  CallServer(const CallServer&) = delete;
  CallServer& operator=(const CallServer&) = delete;
  ~CallServer() override = default;

  // It must outlive this. An API without one: its calls fail (api_unavailable).
  void SetService(Api api, ApiService& service);

  void Answer(CallId call, std::string reply) override;
  void GiveBack(CallId call, std::uint32_t count) override;
  void NoteQuotaRefused(AppId id, std::string_view quota) override;
  void NoteQuotaNear(AppId id, std::string_view quota, std::string_view limit,
                     double used) override;

  CallUse UseOf(AppId app, Api api) const;
  // How often the app was refused for going beyond that quota.
  std::uint64_t RefusedOf(AppId app, std::string_view quota) const;
  void OnAppDeleted(AppId app);
  // After that: `done` when no service uses anything of the app's directory.
  void WhenClosed(AppId app, std::function<void()> done);

  // Of an API whose statements do not come here: so many were refused; so much of a quota is used,
  // from 0 to 1.
  void NoteRefused(const AppVersion& of, std::string_view quota, std::uint32_t count);
  void NoteUsed(const AppVersion& of, std::string_view quota, std::string_view limit, double used);

  // What WorkerCalls asks for.
  // kProtocol: no honest worker sends that.
  static Result<void> Check(std::string_view call);
  // One that was checked. Answered by WorkerCalls::OnReply, perhaps from within. kProtocol: it is
  // no call after all.
  Result<void> Serve(WorkerCalls& worker, const Caller& caller, std::uint32_t frame_id,
                     std::string_view call);
  CallerId Enter(const Caller& caller);
  // Its calls are answered to nobody.
  void Leave(WorkerCalls& worker, const Caller& caller);

 private:
  // What meters the calls of one API. Its notice is one of the app's.
  struct Rate {
    TokenBucket bucket;
    QuotaNotice& notice;
  };
  struct App {
    std::string name;
    std::string version;  // that spoke last
    std::map<std::string, QuotaNotice, std::less<>> notices;
    std::array<std::optional<Rate>, kApiCount> rates;
  };
  struct Waiting {
    WorkerCalls* worker = nullptr;
    std::uint32_t frame_id = 0;
    AppId app;
    Api api = {};
  };

  App& AppOf(AppId id, const std::string& version);
  // What a call takes of the app's calls: one a key, and what its bytes cost.
  struct Cost {
    double keys = 1;
    double bytes = 0;

    double all() const { return keys + bytes; }
  };
  // Whether the app has that many calls left; else the worker is answered.
  bool Take(WorkerCalls& worker, const Caller& caller, std::uint32_t frame_id, Api api, Cost cost);
  TokenBucket* FindBucket(const Waiting& waiting);
  static QuotaNotice& NoticeOf(App& app, std::string_view quota);
  void NoteRefused(AppId id, const App& app, std::string_view quota, QuotaNotice& notice,
                   std::uint64_t count);
  void Say(AppId id, const App& app, std::string text);

  const Clock& clock_;
  LogSink& logs_;
  std::array<ApiService*, kApiCount> services_ = {};
  std::unordered_map<AppId, App> apps_;
  std::unordered_map<CallId, Waiting> waiting_;
  std::unordered_map<OverlayId, std::uint32_t> overlays_;  // workers on each
  CallId last_ = 0;
  CallerId last_caller_ = 0;
};

}  // namespace cloister
