#include "daemon/releases/quotas.h"

#include <optional>
#include <utility>

#include "apis/base/log.h"
#include "daemon/releases/receive.h"
#include "daemon/store/release_rows.h"

namespace cloister {
namespace {

// Whether all of it is known and well-formed. What a version that knew it has set can be
// unset.
Outcome<Done> CheckChanges(Quota quota, const QuotaValues& set_before,
                           const std::vector<QuotaChange>& changes) {
  for (const QuotaChange& change : changes) {
    if (!change.value && set_before.contains(change.name))
      continue;
    const std::string value = change.value.value_or(std::string());
    const Result<void> set = SetQuota(quota, change.name, value);
    if (set.ok())
      continue;
    if (set.error().code == ErrorCode::kNotFound)
      return Refused(ProblemCode::kQuotaUnknown, set.error().message);
    if (change.value)
      return Refused(ProblemCode::kQuotaInvalid, set.error().message);
  }
  return Done();
}

// The releases of the app that serve, within `quota`.
Outcome<std::vector<ReleaseRow>> CutServing(Database& db, AppId app, const LimitSettings& quota) {
  std::vector<ReleaseRow> serving;
  for (std::optional<ReleaseRow> release : {TRY(FindLive(db, app)), TRY(FindCanary(db, app))}) {
    if (!release)
      continue;
    TRY(CutToQuota(db, *release, quota));
    serving.push_back(std::move(*release));
  }
  return serving;
}

}  // namespace

LogLimits LogLimitsOf(const LogSettings& log) {
  LogLimits limits;
  limits.retention.kept_bytes = log.kept_bytes;
  limits.retention.kept_age = log.kept_age;
  limits.rate = log.rate;
  limits.burst = log.burst;
  limits.event_max = log.event_max;
  limits.journal = log.journal ? ToJournal::kYes : ToJournal::kNo;
  return limits;
}

Quotas::Quotas(const Parts& parts, const Quota& node)
    : parts_(parts), node_(node), self_(std::make_shared<Quotas*>(this)) {}

Quotas::~Quotas() {
  *self_ = nullptr;
}

const QuotaValues& Quotas::SetFor(const QuotaOwner& owner) const {
  static const QuotaValues kNone;
  const ByOwner& values = owner.app.valid() ? apps_ : tenants_;
  const auto found = values.find(owner.app.valid() ? owner.app.number : owner.tenant.number);
  return found == values.end() ? kNone : found->second;
}

QuotaValues& Quotas::ValuesOf(const QuotaOwner& owner) {
  return owner.app.valid() ? apps_[owner.app.number] : tenants_[owner.tenant.number];
}

Quota Quotas::OfTenant(TenantId tenant) const {
  return WithValues(node_, SetFor({.tenant = tenant}));
}

Quota Quotas::Of(const AppRow& app) const {
  return WithValues(OfTenant(app.tenant), SetFor({.tenant = app.tenant, .app = app.id}));
}

void Quotas::Load(const std::vector<QuotaRow>& rows) {
  for (const QuotaRow& row : rows) {
    Quota probe = node_;
    const Result<void> fits = SetQuota(probe, row.name, row.value);
    if (!fits.ok())
      Log(LogLevel::kWarning, "quota_left_out",
          {{"tenant", row.owner.tenant.number},
           {"app", row.owner.app.number},
           {"why", fits.error().message}});
    // A name that is not known does no harm and can be unset; a value that is none is not shown.
    if (fits.ok() || fits.error().code == ErrorCode::kNotFound)
      ValuesOf(row.owner)[row.name] = row.value;
  }
  for (const auto& [name, app] : parts_.catalog.apps())
    LimitLog(app.row);
}

void Quotas::LimitLog(const AppRow& app) const {
  if (!SetFor({.tenant = app.tenant}).empty() ||
      !SetFor({.tenant = app.tenant, .app = app.id}).empty())
    parts_.logs.SetLimits(app.id, LogLimitsOf(Of(app).log));
}

void Quotas::OnCreated(const AppEntry& app) {
  LimitLog(app.row);
  changed_(app);
}

void Quotas::ChangeTenant(const std::string& tenant, std::vector<QuotaChange> changes,
                          std::string who, std::function<void(Outcome<Done>)> done) {
  const TenantRow* row = parts_.catalog.FindTenant(tenant);
  if (row == nullptr)
    return done(NoTenant(tenant));
  Begin({.owner = {.tenant = row->id},
         .subject = tenant,
         .changes = std::move(changes),
         .who = std::move(who),
         .done = std::move(done)});
}

void Quotas::ChangeApp(const AppName& app, std::vector<QuotaChange> changes, std::string who,
                       std::function<void(Outcome<Done>)> done) {
  const AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry == nullptr)
    return done(NoApp(app));
  Begin({.owner = {.tenant = entry->row.tenant, .app = entry->row.id},
         .subject = app.ToString(),
         .changes = std::move(changes),
         .who = std::move(who),
         .done = std::move(done)});
}

Quota Quotas::Wanted(const AppRow& app, const Request& request) const {
  const auto with = [&](const QuotaOwner& owner) {
    QuotaValues values = SetFor(owner);
    if (owner.app != request.owner.app)
      return values;
    for (const QuotaChange& change : request.changes) {
      values.erase(change.name);
      if (change.value)
        values.emplace(change.name, *change.value);
    }
    return values;
  };
  const Quota tenant = WithValues(node_, with({.tenant = app.tenant}));
  return WithValues(tenant, with({.tenant = app.tenant, .app = app.id}));
}

void Quotas::Begin(const Request& request) {
  if (!parts_.catalog.open())
    return request.done(NotOpen());
  if (Outcome<Done> checked = CheckChanges(node_, SetFor(request.owner), request.changes);
      !checked.ok())
    return request.done(std::move(checked));
  const QuotaOwner& owner = request.owner;
  Attempt attempt{.request = request, .left = {}, .trial = nullptr};
  for (const auto& [name, app] : parts_.catalog.apps()) {
    const bool is_its =
        app.row.tenant == owner.tenant && (!owner.app.valid() || app.row.id == owner.app);
    if (is_its && app.live && TrialBoot::IsLower(Wanted(app.row, request), Of(app.row)))
      attempt.left.push_back(app.row);
  }
  const std::uint64_t id = ++last_trial_;
  attempts_.emplace(id, std::move(attempt));
  TryNext(id);
}

void Quotas::TryNext(std::uint64_t id) {
  Attempt& attempt = attempts_.at(id);
  const AppEntry* app = nullptr;
  // One that is gone needs nothing; what is being done to another one shows what it needs.
  while (app == nullptr && !attempt.left.empty()) {
    const AppRow row = std::move(attempt.left.front());
    attempt.left.pop_front();
    app = parts_.catalog.FindApp(row.name, row.id);
    if (app != nullptr && app->activity != AppActivity::kNone)
      app = nullptr;
  }
  if (app == nullptr) {
    const Request request = std::move(attempts_.extract(id).mapped().request);
    return Write(request);
  }
  attempt.trial = std::make_unique<TrialBoot>(
      TrialBoot::Parts{.state = parts_.state,
                       .images = parts_.images,
                       .configs = parts_.configs,
                       .workers = parts_.workers},
      TrialOrder{.app = app->row,
                 .config = app->config,
                 .present = Of(app->row),
                 .wanted = Wanted(app->row, attempt.request)},
      ++last_trial_,
      [this, id](std::optional<Problem> problem) { OnTried(id, std::move(problem)); });
  attempt.trial->Start();
}

void Quotas::OnTried(std::uint64_t id, std::optional<Problem> problem) {
  if (!problem)
    return TryNext(id);
  const Attempt attempt = std::move(attempts_.extract(id).mapped());
  attempt.request.done(std::move(*problem));
}

void Quotas::Write(const Request& request) {
  if (!parts_.catalog.open())
    return request.done(NotOpen());
  parts_.state.Write(
      // One key: whoever set it last in the state set it last here.
      0,
      [owner = request.owner, subject = request.subject, changes = request.changes,
       change = Change{.who = request.who, .when = parts_.clock.Wall()}](Database& db) {
        return ChangeQuotas(db, owner, subject, changes, change);
      },
      [self = self_, request](const Result<void>& written) {
        if (*self == nullptr)
          return;
        if (!written.ok())
          return request.done(ProblemOf(Error(written.error())));
        (*self)->TakeOver(request);
      });
}

void Quotas::TakeOver(const Request& request) {
  const QuotaOwner& owner = request.owner;
  QuotaValues& values = ValuesOf(owner);
  for (const QuotaChange& change : request.changes) {
    if (change.value)
      values[change.name] = *change.value;
    else
      values.erase(change.name);
  }
  // One more than there are apps, for those that are applied from within.
  const auto left = std::make_shared<std::size_t>(1);
  const auto end_one = [left, done = request.done] {
    if (--*left == 0)
      done(Done());
  };
  for (const auto& [name, app] : parts_.catalog.apps()) {
    if (app.row.tenant != owner.tenant || (owner.app.valid() && app.row.id != owner.app))
      continue;
    ++*left;
    Apply(app, end_one);
  }
  end_one();
}

void Quotas::Apply(const AppEntry& app, std::function<void()> applied) {
  if (app.activity == AppActivity::kDeleting)
    return applied();
  const Quota quota = Of(app.row);
  parts_.logs.SetLimits(app.row.id, LogLimitsOf(quota.log));
  changed_(app);
  if (app.activity != AppActivity::kNone) {
    late_.insert(app.row.id);
    return applied();
  }
  if (!app.live && !app.canary)
    return applied();
  parts_.state.Write(
      app.row.id.number,
      [id = app.row.id, limits = quota.limits](Database& db) { return CutServing(db, id, limits); },
      [self = self_, row = app.row, quota,
       applied = std::move(applied)](const Outcome<std::vector<ReleaseRow>>& serving) {
        if (*self == nullptr)
          return;
        if (!serving.ok())
          Log(LogLevel::kError, "quota_not_in_force",
              {{"app", row.name.ToString()}, {"why", serving.error().detail}});
        else if (const AppEntry* entry = (*self)->parts_.catalog.FindApp(row.name, row.id);
                 entry != nullptr)
          for (const ReleaseRow& release : serving.value())
            (*self)->parts_.workers.Update(SpecOf(row, release, quota, entry->config));
        applied();
      });
}

void Quotas::OnSettled(const AppName& app) {
  const AppEntry* entry = parts_.catalog.FindApp(app);
  if (entry != nullptr && late_.erase(entry->row.id) > 0)
    Apply(*entry, [] {});
}

}  // namespace cloister
