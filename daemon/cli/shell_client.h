#pragma once

// A shell on an app's database, as the node's admin API has it: opened, held, asked, closed.
//
// The node ends a shell with the connection that holds it. One that has ended is opened anew with
// the next statement, unless a transaction was lost with it: then that is said first.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apis/base/names.h"
#include "daemon/cli/api.h"
#include "daemon/cli/client.h"
#include "daemon/cli/failure.h"
#include "daemon/cli/interrupts.h"
#include "daemon/cli/sql_answer.h"
#include "daemon/cli/sql_reader.h"

namespace cloister {

Failure StatementTooLong();

class ShellClient {
 public:
  struct Target {
    AppName app;
    bool write = false;
    std::optional<std::uint64_t> snapshot = {};  // to read that of the app's database
  };
  static constexpr std::size_t kSqlMax = std::size_t{1} << 20;

  // `api` and `interrupts` must outlive it; null: nothing interrupts.
  ShellClient(AdminApi& api, Target target, Interrupts* interrupts)
      : api_(api), target_(std::move(target)), interrupts_(interrupts) {}
  ShellClient(const ShellClient&) = delete;
  ShellClient& operator=(const ShellClient&) = delete;
  // Closes it.
  ~ShellClient();

  Attempt<void> Open();
  // The code "interrupted": it was given up.
  Attempt<SqlAnswer> Execute(const std::string& sql);

  SqlDialect dialect() const { return dialect_; }
  bool in_transaction() const { return in_transaction_; }

 private:
  // Of the shell that is open.
  std::string Path() const { return AppTarget(target_.app, "/shells/" + id_); }
  Attempt<std::string> Ask(const std::string& sql);
  // It is gone, and what it had open. Whether that was a transaction.
  bool Lose();

  AdminApi& api_;
  Target target_;
  Interrupts* interrupts_;
  SqlDialect dialect_ = SqlDialect::kSqlite;
  std::string id_;  // empty: none is open
  std::unique_ptr<HttpClient> hold_;
  bool in_transaction_ = false;
};

}  // namespace cloister
