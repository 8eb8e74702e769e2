#include "daemon/admin/database_shells.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "apis/base/check.h"
#include "apis/base/log.h"
#include "apis/base/unicode.h"
#include "daemon/admin/body.h"
#include "daemon/workers/query_processes.h"

namespace cloister {
namespace {

// From the answer that names a shell to the request that holds it.
constexpr Millis kHoldWait{30000};
constexpr const char* kNodeEnds = "the node is being stopped or replaced";

// Unlike those of any other node process.
std::string NewId() {
  std::array<std::uint64_t, 2> bits = {};
  CHECK(::getrandom(bits.data(), sizeof bits, 0) == static_cast<ssize_t>(sizeof bits));
  return fmt::format("{:016x}{:016x}", bits[0], bits[1]);
}

Problem NoShell() {
  return {.code = ProblemCode::kShellNotFound,
          .detail = "the shell has ended; what it had open was rolled back"};
}

}  // namespace

class DatabaseShells::Shell : private DatabaseSession::Listener, private ExchangeListener {
 public:
  struct Opened {
    std::string id;
    AppId app;
    std::optional<std::uint64_t> data;  // the app's must be; none: of a snapshot
    std::string who;
  };
  Shell(DatabaseShells& shells, Opened opened)
      : shells_(shells), opened_(std::move(opened)), hold_timer_(shells.parts_.loop) {}
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;
  // What runs may be done: who hears that there is no shell would ask once more.
  ~Shell() override {
    FailStatement(ProblemCode::kStatementLost, "the shell ended while the statement ran");
  }

  Result<void> Open(const ReleaseSpec& spec, SessionAccess access) {
    session_ = TRY(DatabaseSession::Open(shells_.parts_.loop, shells_.parts_.queries, spec, access,
                                         static_cast<DatabaseSession::Listener&>(*this)));
    hold_timer_.Start(kHoldWait, [this] { Leave("nobody held it"); });
    return {};
  }

  const Opened& opened() const { return opened_; }
  bool busy() const { return reading_ || exchange_ != nullptr; }

  void Hold(const AdminReply& reply) {
    if (hold_)
      return reply.Fail(ProblemCode::kShellBusy, "another request holds the shell");
    hold_timer_.Stop();
    hold_ = reply;
    reply.OnGone([self = shells_.self_, id = opened_.id] {
      if (*self != nullptr)
        (*self)->Remove(id, "its client has gone");
    });
  }
  // What is to be asked is being read.
  void set_reading(bool reading) { reading_ = reading; }
  void Execute(std::string_view sql, const AdminReply& reply) {
    reading_ = false;
    if (const Result<void> asked = session_->Ask(sql); !asked.ok())
      return reply.Fail(ProblemCode::kStatementLost, asked.error().message);
    begun_ = false;
    exchange_ = reply.Take();
    if (exchange_ == nullptr)
      return Leave("its client has gone");
    exchange_->SetListener(static_cast<ExchangeListener*>(this));
  }
  void SayEnded(const std::string& why) {
    if (hold_)
      hold_->Send(200, {{"ended", why}});
  }
  // When the statement under way is done.
  void EndSoon() {
    ending_ = true;
    if (!busy())
      Leave(kNodeEnds);
  }

 private:
  bool OnPiece(std::string_view piece, bool last) override {
    if (exchange_ == nullptr)
      return true;
    if (!begun_)
      exchange_->Begin(
          200, "",
          std::array{HttpHeader{.name = "Content-Type", .value = "application/octet-stream"}},
          std::nullopt);
    begun_ = true;
    const bool more = exchange_->Write(piece);
    if (last)
      Finish();
    return more || last;
  }

  void OnWritable() override { session_->Resume(); }

  void Finish() {
    Exchange* const exchange = std::exchange(exchange_, nullptr);
    exchange->SetListener(nullptr);
    (void)exchange->Finish();
    if (ending_)
      Leave(kNodeEnds);
  }

  void FailStatement(ProblemCode code, const std::string& why) {
    Exchange* const exchange = std::exchange(exchange_, nullptr);
    if (exchange == nullptr)
      return;
    exchange->SetListener(nullptr);
    if (begun_)
      return exchange->Abort();
    // As any other answer of the API.
    const auto calls = std::make_shared<AdminCalls>();
    AdminReply(calls, calls->Add(*exchange)).Fail(code, why);
  }

  void OnLost(std::string why) override {
    FailStatement(ProblemCode::kStatementLost, why);
    session_->Resume();
    if (ending_)
      Leave(kNodeEnds);
  }
  void OnClosed(std::string why) override {
    FailStatement(ProblemCode::kStatementLost, why);
    Leave(std::move(why));
  }
  void OnClientGone() override {
    exchange_ = nullptr;
    Leave("its client has gone");
  }
  // Not within a call of what it owns.
  void Leave(std::string why) { shells_.Remove(opened_.id, std::move(why)); }

  DatabaseShells& shells_;
  Opened opened_;
  std::unique_ptr<DatabaseSession> session_;
  Timer hold_timer_;
  std::optional<AdminReply> hold_;
  Exchange* exchange_ = nullptr;  // of the statement under way
  bool reading_ = false;
  bool begun_ = false;  // its answer
  bool ending_ = false;
};

DatabaseShells::DatabaseShells(const Parts& parts)
    : parts_(parts), jobs_(parts.loop, 1), self_(std::make_shared<DatabaseShells*>(this)) {}

DatabaseShells::~DatabaseShells() {
  *self_ = nullptr;
}

Outcome<std::string> DatabaseShells::Open(const Asked& asked, const Wish& wish) {
  if (!open_)
    return NotOpen();
  const AppRow& row = asked.app->row;
  std::size_t of_app = 0;
  for (const auto& [id, shell] : shells_)
    of_app += shell->opened().app == row.id ? 1U : 0U;
  if (of_app >= kOfAppMax || shells_.size() >= kMax)
    return Problem{.code = ProblemCode::kShellsFull,
                   .detail = fmt::format("{} shells are open on the database, {} on the node",
                                         of_app, shells_.size())};
  ReleaseSpec spec{.app_id = row.id,
                   .app = row.name,
                   .release = {},
                   .version = asked.app->live ? asked.app->live->version : "",
                   .entry = {},
                   .limits = {},
                   .data = wish.snapshot.value_or(row.data)};
  if (wish.snapshot) {
    spec.writes = Writes::kOverlay;
    spec.overlay = kSnapshotOverlay;
  }
  spec.call_quota.query = wish.quota;
  const std::string id = NewId();
  Shell::Opened opened{.id = id, .app = row.id, .data = {}, .who = asked.who};
  if (!wish.snapshot)
    opened.data = row.data;
  auto shell = std::make_unique<Shell>(*this, std::move(opened));
  TRY(shell->Open(spec, wish.access));
  shells_.emplace(id, std::move(shell));
  Note(*asked.app, asked.who, wish);
  return id;
}

void DatabaseShells::Note(const AppEntry& app, const std::string& who, const Wish& wish) {
  const char* const to = wish.access == SessionAccess::kRead ? "read" : "write";
  const std::string of = wish.snapshot ? fmt::format("snapshot {}", *wish.snapshot) : "database";
  Log(LogLevel::kInfo, "database_shell_opened",
      {{"app", app.row.name.ToString()}, {"by", who}, {"to", to}, {"of", of}});
  LogEvent event;
  event.time = parts_.clock.Wall();
  event.app = app.row.id;
  event.app_name = app.row.name.ToString();
  event.release = app.live ? app.live->version : "";
  event.source = LogSource::kRuntime;
  event.by_node = true;
  event.level = 20;  // info
  event.bytes = fmt::format("An operator ({}) opened a shell on {}, to {}.", who,
                            wish.snapshot ? of + " of the database" : "the database", to);
  parts_.logs.Append(std::move(event));
}

DatabaseShells::Shell* DatabaseShells::Find(const std::string& id, AppId app,
                                            const std::string& who) {
  const auto found = shells_.find(id);
  if (found == shells_.end() || found->second->opened().app != app ||
      found->second->opened().who != who)
    return nullptr;
  return found->second.get();
}

DatabaseShells::Shell* DatabaseShells::FindOrFail(const Asked& asked, const AdminReply& reply) {
  Shell* const shell = Find(asked.id, asked.app->row.id, asked.who);
  if (shell == nullptr)
    reply.Fail(NoShell());
  return shell;
}

void DatabaseShells::Hold(const Asked& asked, const AdminReply& reply) {
  if (Shell* const shell = FindOrFail(asked, reply); shell != nullptr)
    shell->Hold(reply);
}

void DatabaseShells::Execute(const Asked& asked, std::shared_ptr<const TakenBody> sql,
                             const AdminReply& reply) {
  Shell* const shell = FindOrFail(asked, reply);
  if (shell == nullptr)
    return;
  if (shell->busy())
    return reply.Fail(ProblemCode::kShellBusy, "wait for the answer to the statement before");
  if (shell->opened().data && shell->opened().data != asked.app->row.data) {
    Remove(asked.id, "a rollback with data has replaced the database");
    return reply.Fail(NoShell());
  }
  const AppId app = asked.app->row.id;
  const auto ask = [self = self_, id = asked.id, app, who = asked.who,
                    reply](const Result<std::string>& text) {
    Shell* const still = *self == nullptr ? nullptr : (*self)->Find(id, app, who);
    if (still == nullptr)
      return reply.Fail(NoShell());
    still->set_reading(false);
    if (!text.ok())
      return reply.Fail(ProblemOf(Error(text.error())));
    if (!IsUtf8(text.value()) || text.value().find('\0') != std::string::npos)
      return reply.Fail(ProblemCode::kFieldInvalid, "a statement is UTF-8 without null characters");
    still->Execute(text.value(), reply);
  };
  if (!sql->file.valid())
    return ask(sql->bytes);
  shell->set_reading(true);
  jobs_.Run(app.number, [sql = std::move(sql)] { return ReadBody(*sql); }, ask);
}

Outcome<Done> DatabaseShells::Close(const Asked& asked) {
  if (Find(asked.id, asked.app->row.id, asked.who) == nullptr)
    return NoShell();
  Remove(asked.id, "it was closed");
  return Done{};
}

void DatabaseShells::End() {
  open_ = false;
  for (const auto& [id, shell] : shells_)
    shell->EndSoon();
}

void DatabaseShells::Remove(const std::string& id, std::string why) {
  parts_.loop.AtTurnEnd([self = self_, id, why = std::move(why)] {
    if (*self == nullptr)
      return;
    auto gone = (*self)->shells_.extract(id);
    if (gone.empty())
      return;
    Log(LogLevel::kInfo, "database_shell_closed",
        {{"app", gone.mapped()->opened().app.number},
         {"by", gone.mapped()->opened().who},
         {"why", why}});
    gone.mapped()->SayEnded(why);
  });
}

}  // namespace cloister
