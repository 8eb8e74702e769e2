#include "daemon/workers/query_processes.h"

#include <utility>

#include "apis/base/log.h"
#include "daemon/calls/call_server.h"

namespace cloister {
namespace {

constexpr std::size_t kThreads = 1;
// A server may make each of them wait.
constexpr std::size_t kThreadsOfServer = 4;
constexpr std::size_t kThreadsOfChecks = 2;
// Beyond query.statement a process ends itself (sandbox/query/sql_server/engine_turn.cc).
constexpr Millis kBeyondStatement{12000};

struct Dropped {
  std::string database;  // empty: it is not known which it was
  Result<void> result;
};

// `roles`: null when databases are files. Blocks.
Dropped DropIt(const QueryRoles* roles, AppId app) {
  Dropped dropped;
  if (roles == nullptr)
    return dropped;
  if (Result<std::string> name = roles->NameOf(app); name.ok())
    dropped.database = std::move(name).value();
  dropped.result = roles->Drop(app);
  return dropped;
}

}  // namespace

QueryProcesses::QueryProcesses(WorkerEnv& env, QueryOptions options)
    : env_(env),
      options_(std::move(options)),
      self_(std::make_shared<QueryProcesses*>(this)),
      background_(env.loop, options_.roles == nullptr ? kThreads : kThreadsOfServer),
      checks_(env.loop, options_.roles == nullptr ? kThreads : kThreadsOfChecks),
      copies_(env.loop, options_.state_dir, [this](AppId app, std::uint64_t data) {
        for (auto each = processes_.lower_bound({app.number, 0, 0});
             each != processes_.end() && std::get<0>(each->first) == app.number; ++each)
          if (each->second->owner().data == data && each->second->starting())
            return true;
        return false;
      }) {
  if (options_.roles == nullptr)
    return;
  background_.Run(
      0, [roles = options_.roles] { return roles->Check(); },
      [self = self_](const Result<void>& checked) {
        if (*self == nullptr)
          return;
        (*self)->NoteServer(checked);
        if (!checked.ok())
          Log(LogLevel::kError, "query_server_failed", {{"error", checked.error().message}});
      });
}

QueryProcesses::~QueryProcesses() {
  *self_ = nullptr;
  // While there is somebody to drop their copies.
  processes_.clear();
}

std::unique_ptr<QueryLink> QueryProcesses::MakeLink(const ReleaseSpec& spec, UniqueFd far_end,
                                                    QueryLink::Listener& listener) {
  std::unique_ptr<QueryProcess>& process =
      processes_[{spec.app_id.number, spec.overlay, spec.data}];
  if (process == nullptr)
    process = std::make_unique<QueryProcess>(env_, static_cast<QueryProcess::Host&>(*this),
                                             QueryOwner{.app = spec.app_id,
                                                        .name = spec.app.ToString(),
                                                        .version = spec.version,
                                                        .group = GroupOf(spec),
                                                        .overlay = spec.overlay,
                                                        .data = spec.data},
                                             options_.idle);
  process->owner().version = spec.version;
  process->SetQuota(spec.call_quota.query);
  auto link =
      std::make_unique<QueryLink>(env_.loop, *process, std::move(far_end), ++last_link_, listener);
  process->Enter(*link);
  return link;
}

void QueryProcesses::SetQuota(AppId app, const QueryQuota& quota) {
  for (auto each = processes_.lower_bound({app.number, 0, 0});
       each != processes_.end() && std::get<0>(each->first) == app.number; ++each)
    each->second->SetQuota(quota);
}

void QueryProcesses::Forget(AppId app, std::function<void()> then) {
  lost_.erase(app.number);
  for (const auto& [key, process] : processes_)
    if (std::get<0>(key) == app.number)
      process->Dismiss();
  std::erase_if(processes_, [app](const auto& each) {
    return std::get<0>(each.first) == app.number && each.second->unused();
  });
  auto drop = [this, app, then = std::move(then)]() mutable { Drop(app, std::move(then)); };
  if (opening_.contains(app.number))
    when_opened_[app.number] = std::move(drop);
  else
    drop();
}

void QueryProcesses::Drop(AppId app, std::function<void()> then) {
  background_.Run(
      app.number, [roles = options_.roles, app] { return DropIt(roles.get(), app); },
      [app, then = std::move(then)](const Dropped& dropped) {
        if (!dropped.result.ok())
          Log(LogLevel::kError, "query_database_left",
              {{"app", app.number},
               {"database", dropped.database},
               {"error", dropped.result.error().message}});
        then();
      });
}

// An app can have its server go on with statements whose process is gone.
void QueryProcesses::OnLost(QueryProcess& process) {
  if (options_.roles == nullptr)
    return;
  Lost& lost = lost_.try_emplace(process.owner().app.number, env_.loop).first->second;
  lost.again = lost.timer.active();
  if (!lost.again)
    EndStatements(process.owner().app, process.quota().statement_max + kBeyondStatement);
}

void QueryProcesses::EndStatements(AppId app, Millis age) {
  lost_.at(app.number).timer.Start(age, [this, app, age] {
    background_.Run(
        app.number, [roles = options_.roles, app, age] { return roles->EndStatements(app, age); },
        [app](const Result<void>& ended) {
          if (!ended.ok())
            Log(LogLevel::kWarning, "query_statements_left",
                {{"app", app.number}, {"error", ended.error().message}});
        });
    if (std::exchange(lost_.at(app.number).again, false))
      EndStatements(app, age);
  });
}

void QueryProcesses::OnUnused(QueryProcess& process) {
  // What was written on an overlay goes with its last worker, and nobody comes for a database that
  // another one has replaced.
  const Key key = KeyOf(process.owner());
  const auto next = processes_.upper_bound(key);
  const bool replaced = next != processes_.end() && std::get<0>(next->first) == std::get<0>(key) &&
                        std::get<1>(next->first) == 0;
  if (process.owner().overlay == 0 && !replaced)
    return;
  env_.loop.AtTurnEnd([self = self_, key] {
    if (*self == nullptr)
      return;
    const auto found = (*self)->processes_.find(key);
    if (found != (*self)->processes_.end() && found->second->unused())
      (*self)->processes_.erase(found);
  });
}

void QueryProcesses::DropCopy(const QueryOwner& owner, const std::string& copy) {
  background_.Run(
      owner.app.number,
      [roles = options_.roles, copy] {
        return roles != nullptr ? roles->DropCopy(copy) : Result<void>();
      },
      [name = owner.name, copy](const Result<void>& dropped) {
        if (!dropped.ok())
          Log(LogLevel::kWarning, "query_copy_left",
              {{"app", name}, {"database", copy}, {"error", dropped.error().message}});
      });
}

void QueryProcesses::OpenFiles(QueryProcess& process) {
  const QueryOwner& owner = process.owner();
  copies_.Hold(owner.app, owner.data, [self = self_, key = KeyOf(owner)] {
    if (*self != nullptr)
      (*self)->OpenFilesNow(key);
  });
}

void QueryProcesses::OpenFilesNow(const Key& key) {
  const auto [app, overlay, data] = key;
  const auto process = processes_.find(key);
  if (process == processes_.end())
    return;
  const QueryPurpose purpose = overlay == 0 ? QueryPurpose::kServe : QueryPurpose::kCheck;
  ++opening_[app];
  (overlay == 0 ? background_ : checks_)
      .Run(
          app,
          [roles = options_.roles, directory = options_.state_dir + "/apps/" + std::to_string(app),
           app = AppId{app}, data = data, purpose] {
            return roles != nullptr ? roles->Open(app, purpose)
                                    : OpenQueryFiles(directory, data, purpose);
          },
          [self = self_, owner = process->second->owner()](Result<QueryFiles> files) {
            if (*self != nullptr)
              (*self)->OnFiles(owner, std::move(files));
          });
}

void QueryProcesses::OnFiles(const QueryOwner& owner, Result<QueryFiles> files) {
  const std::uint64_t app = owner.app.number;
  const auto found = processes_.find(KeyOf(owner));
  if (owner.overlay == 0)
    NoteServer(files.ok() ? Result<void>() : Result<void>(Error(files.error())));
  if (found != processes_.end())
    found->second->OnFiles(std::move(files));
  else if (files.ok() && !files.value().copy.empty())
    // Whoever asked for it has gone.
    DropCopy(owner, files.value().copy);
  if (--opening_[app] > 0)
    return;
  opening_.erase(app);
  if (auto then = when_opened_.extract(app); !then.empty())
    then.mapped()();
}

void QueryProcesses::NoteServer(const Result<void>& result) {
  server_trouble_ = result.ok() ? std::string() : result.error().message;
}

void QueryProcesses::FindOnServer(AppId app, std::function<void(Result<ServerDatabase>)> done) {
  background_.Run(
      app.number, [roles = options_.roles, app] { return roles->UseOf(app); },
      [self = self_, done = std::move(done)](Result<ServerDatabase> found) {
        if (*self != nullptr)
          (*self)->NoteServer(found.ok() ? Result<void>() : Result<void>(Error(found.error())));
        done(std::move(found));
      });
}

void QueryProcesses::FindName(AppId app, std::function<void(Result<std::string>)> done) {
  background_.Run(
      app.number, [roles = options_.roles, app] { return roles->NameOf(app); }, std::move(done));
}

void QueryProcesses::OnUse(QueryProcess& process, const QueryUse& use) {
  const QueryOwner& owner = process.owner();
  const AppVersion of{.app = owner.app, .name = owner.name, .version = owner.version};
  const QueryQuota& quota = process.quota();
  const std::pair<const char*, std::uint32_t> refused[] = {
      {"query.bytes", use.refused_bytes},
      {"query.statement", use.refused_statement},
      {"query.result", use.refused_result},
      {"query.statements", use.refused_statements},
      {"query.transactions", use.refused_transactions},
      {"query.transaction_time", use.refused_transaction_time}};
  for (const auto& [name, count] : refused)
    if (count > 0)
      env_.calls.NoteRefused(of, name, count);
  if (quota.bytes_max.count > 0)
    env_.calls.NoteUsed(
        of, "query.bytes", std::to_string(quota.bytes_max.count) + " bytes",
        static_cast<double>(use.bytes) / static_cast<double>(quota.bytes_max.count));
  if (use.damaged > 0 && process.TellsDamage(env_.clock.Now())) {
    Log(LogLevel::kError, "database_damaged", {{"app", owner.name}, {"statements", use.damaged}});
    Say(process, kLogError,
        "The app's database file is damaged: a page is not what was written. Statements that need "
        "it fail with DatabaseError (database_damaged); the node's operator has to restore it from "
        "a backup.");
  }
}

void QueryProcesses::Say(QueryProcess& process, std::uint8_t level, std::string text) {
  const QueryOwner& owner = process.owner();
  LogEvent event;
  event.time = env_.clock.Wall();
  event.app = owner.app;
  event.app_name = owner.name;
  event.release = owner.version;
  event.check = owner.overlay != 0;
  event.source = LogSource::kRuntime;
  event.by_node = true;
  event.level = level;
  event.bytes = std::move(text);
  env_.logs.Append(std::move(event));
}

QueryUse QueryProcesses::UseOf(AppId app) const {
  // The newest: that of a database that was replaced is not the app's any more.
  QueryUse use;
  for (auto each = processes_.lower_bound({app.number, 0, 0});
       each != processes_.end() && std::get<0>(each->first) == app.number &&
       std::get<1>(each->first) == 0;
       ++each)
    use = each->second->last_use();
  return use;
}

}  // namespace cloister
