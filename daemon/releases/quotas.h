#pragma once

// Who may use how much: the node's quotas, and what operators set for tenants and apps.
//
// A change that gives workers less is tried first (trial_boot.h); then it is written, then in
// force: new workers get it, those that run are replaced where it needs a new process, and no
// request is lost for it. While an app is being deployed what is set for it takes hold when that
// has ended. Runs on the loop thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "apis/base/clock.h"
#include "config/quota.h"
#include "daemon/logs/log_store.h"
#include "daemon/releases/catalog.h"
#include "daemon/releases/images.h"
#include "daemon/releases/problem.h"
#include "daemon/releases/trial_boot.h"
#include "daemon/store/quota_rows.h"
#include "daemon/store/state.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// What an app's log may take, of its quota.
LogLimits LogLimitsOf(const LogSettings& log);

class Quotas {
 public:
  struct Parts {
    const Clock& clock;
    State& state;
    LogStore& logs;
    Images& images;
    ConfigSource& configs;
    WorkerSupervisor& workers;
    Catalog& catalog;
  };

  Quotas(const Parts& parts, const Quota& node);
  Quotas(const Quotas&) = delete;
  Quotas& operator=(const Quotas&) = delete;
  ~Quotas();

  const Quota& node() const { return node_; }
  // In force for all apps of a tenant that have no other.
  Quota OfTenant(TenantId tenant) const;
  Quota Of(const AppRow& app) const;
  // What was set for just this owner.
  const QuotaValues& SetFor(const QuotaOwner& owner) const;

  // What the state holds, at the start; before the apps are served.
  void Load(const std::vector<QuotaRow>& rows);

  // For a tenant, or for an app. kTenantNotFound, kAppNotFound; kQuotaUnknown, kQuotaInvalid,
  // kQuotaTooLow: nothing of it was changed.
  void ChangeTenant(const std::string& tenant, std::vector<QuotaChange> changes, std::string who,
                    std::function<void(Outcome<Done>)> done);
  void ChangeApp(const AppName& app, std::vector<QuotaChange> changes, std::string who,
                 std::function<void(Outcome<Done>)> done);

  // `changed` is called when an app has other quotas: it is to be routed with them.
  void OnChanged(std::function<void(const AppEntry&)> changed) { changed_ = std::move(changed); }

  // The app is new: it is routed, and what was set for its tenant holds for it.
  void OnCreated(const AppEntry& app);
  // It is gone, and with it what was set for it.
  void OnDeleted(AppId app) { apps_.erase(app.number); }
  void OnDeleted(TenantId tenant) { tenants_.erase(tenant.number); }
  // Nothing is being done to the app any more: what was set meanwhile takes hold.
  void OnSettled(const AppName& app);

 private:
  using ByOwner = std::unordered_map<std::uint64_t, QuotaValues>;

  struct Request {
    QuotaOwner owner;
    std::string subject;  // for the audit
    std::vector<QuotaChange> changes;
    std::string who;
    std::function<void(Outcome<Done>)> done;
  };

  // A request whose lower values are tried with one app after another.
  struct Attempt {
    Request request;
    std::deque<AppRow> left;
    std::unique_ptr<TrialBoot> trial;
  };

  QuotaValues& ValuesOf(const QuotaOwner& owner);
  // What the app may use once the request is in force.
  Quota Wanted(const AppRow& app, const Request& request) const;
  void Begin(const Request& request);
  void TryNext(std::uint64_t id);
  void OnTried(std::uint64_t id, std::optional<Problem> problem);
  void Write(const Request& request);
  // Its log gets the limits that it has, when they are not the node's.
  void LimitLog(const AppRow& app) const;
  void TakeOver(const Request& request);
  // `applied`: it is in force, or will be when what is being done to the app has ended.
  void Apply(const AppEntry& app, std::function<void()> applied);

  Parts parts_;
  Quota node_;
  ByOwner tenants_;
  ByOwner apps_;
  std::unordered_map<std::uint64_t, Attempt> attempts_;
  std::uint64_t last_trial_ = 0;
  std::function<void(const AppEntry&)> changed_;
  std::unordered_set<AppId> late_;  // changed while they were at work
  std::shared_ptr<Quotas*> self_;   // null inside once this is gone
};

}  // namespace cloister
