#include "daemon/cli/shell_client.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace cloister {
namespace {

Failure LostTransaction(const std::string& why) {
  return {ExitCode::kFailed, "statement_lost", "the shell's transaction was rolled back", why,
          "begin it anew"};
}

}  // namespace

Failure StatementTooLong() {
  return {ExitCode::kRefused, "statement_too_long", "a statement has at most 1 MiB of SQL", "", ""};
}

ShellClient::~ShellClient() {
  // Should it fail, the end of the connection does the same.
  if (!id_.empty())
    (void)api_.Delete(Path());
}

bool ShellClient::Lose() {
  id_.clear();
  hold_.reset();
  return std::exchange(in_transaction_, false);
}

Attempt<void> ShellClient::Open() {
  nlohmann::json wish = {{"write", target_.write}};
  if (target_.snapshot)
    wish["snapshot"] = *target_.snapshot;
  const nlohmann::json opened = TRY(api_.Post(AppTarget(target_.app, "/shells"), wish));
  id_ = TextOf(opened, "id");
  Attempt<std::unique_ptr<HttpClient>> hold = api_.Hold(Path());
  if (!hold.ok()) {
    id_.clear();
    return std::move(hold).error();
  }
  hold_ = std::move(hold).value();
  const std::string engine = TextOf(opened, "engine");
  dialect_ = engine == "postgresql" ? SqlDialect::kPostgresql
             : engine == "mariadb"  ? SqlDialect::kMariadb
                                    : SqlDialect::kSqlite;
  return {};
}

Attempt<std::string> ShellClient::Ask(const std::string& sql) {
  const int interrupt = interrupts_ == nullptr ? -1 : interrupts_->fd();
  Attempt<std::string> answer = api_.PostSql(Path(), sql, interrupt);
  if (answer.ok() || interrupts_ == nullptr || !interrupts_->Take())
    return answer;
  const bool had_one = Lose();
  return Failure{ExitCode::kFailed, "interrupted",
                 had_one ? "the statement was given up, and the transaction was rolled back"
                         : "the statement was given up",
                 had_one ? "" : "unless it was done at that moment, it has changed nothing", ""};
}

Attempt<SqlAnswer> ShellClient::Execute(const std::string& sql) {
  if (sql.size() > kSqlMax)
    return StatementTooLong();
  if (id_.empty())
    TRY(Open());
  Attempt<std::string> answer = Ask(sql);
  if (!answer.ok() && answer.error().code == "shell_not_found") {
    if (Lose())
      return LostTransaction(answer.error().what);
    TRY(Open());
    answer = Ask(sql);
  }
  if (!answer.ok()) {
    // Whether the node has it still is not known.
    if (answer.error().code == "statement_lost")
      in_transaction_ = false;
    else if (answer.error().code != "shell_busy" && answer.error().code != "field_invalid")
      (void)Lose();
    return std::move(answer).error();
  }
  in_transaction_ = SqlAnswer::SaysTransaction(answer.value());
  return SqlAnswer::Read(std::move(answer).value());
}

}  // namespace cloister
