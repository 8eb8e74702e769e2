#pragma once

// One connection to the app's MariaDB server, by libmariadb over a socket that was handed over.
//
// Each statement of the app's is prepared, so that the server takes one at a time and parameters
// are never part of its text. What is queued is done one after another, by the library's calls that
// do not wait. Nothing here waits but Open.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/query/mariadb/values.h"
#include "sandbox/query/sql_server/connection.h"

struct st_mysql;
struct st_mysql_stmt;

namespace cloister {

class MyConnection : public ServerConnection {
 public:
  // Logs in, before the walls: `fd` is a connected socket, and this connection's from now on.
  static Result<std::unique_ptr<ServerConnection>> Open(int fd, const ServerLogin& login);
  MyConnection(const MyConnection&) = delete;
  MyConnection& operator=(const MyConnection&) = delete;
  ~MyConnection() override;

  int fd() const override;
  std::uint64_t number() const override;  // of the server's thread
  bool in_transaction() const override;

  bool Queue(const std::string& sql) override;
  bool Run(const std::string& sql, std::span<const Set> sets) override;
  bool Sync() override;

  short events() const override;
  Result<void> Work(short events) override;
  Step Next() override;

  int columns() const override { return static_cast<int>(columns_.size()); }
  std::string_view column_name(int column) const override;
  std::string_view declared(int column) const override;
  void AppendValue(WireWriter& out, int column) const override;
  std::optional<std::int64_t> integer(int column) const override;
  std::uint64_t changed() const override { return changed_; }
  std::optional<std::int64_t> row_id() const override { return row_id_; }
  ServerError error() const override { return error_; }
  std::string_view text(int column) const override;
  std::string_view loss() const override { return loss_; }

 private:
  // What is queued.
  struct Task {
    // kLook: of ours, behind a statement that failed: it gives no step.
    enum class Kind : std::uint8_t { kText, kPrepare, kExecute, kLook, kSync };
    Kind kind = Kind::kSync;
    std::string sql = {};
    Set values = {};
  };
  // A call of the library's that has not ended.
  enum class Call : std::uint8_t { kNone, kText, kPrepare, kExecute, kFetch, kFree, kClose };
  struct Column {
    std::string name;
    MyColumn is;
    char null = 0;
    std::int64_t number = 0;
    double real = 0;
    std::string bytes;
    unsigned long size = 0;
  };
  struct Parameters;

  MyConnection(st_mysql* mysql, std::string database);
  Result<void> LogIn(int fd, const ServerLogin& login);
  Result<void> SetUp();
  Task& task() { return tasks_.front(); }
  // Goes on until there is a step, or something has to be waited for.
  std::optional<Step> Advance();
  std::optional<Step> Begin();
  // Each begins a call, or goes on with the one that has begun.
  int BeginCall(Call call);
  int ContinueCall(int ready);
  std::optional<Step> EndCall();
  std::optional<Step> EndText();
  std::optional<Step> BeginExecute();
  std::optional<Step> EndExecute();
  std::optional<Step> TakeRow();
  Step Done();
  Step Fail(unsigned number, const char* state, const char* message);
  Step FailStatement();
  Step FailPrepare();
  Step FailConnection();
  bool Bind(const Set& values);
  bool BindColumns();

  st_mysql* mysql_;
  st_mysql_stmt* statement_ = nullptr;
  std::string database_;
  std::uint64_t packet_max_ = 0;
  std::deque<Task> tasks_;
  bool skipping_ = false;  // up to the next Sync
  Call call_ = Call::kNone;
  int waits_for_ = 0;         // the library's bits, of the call; 0: it has ended
  int ready_ = 0;             // those of them that have come
  int result_ = 0;            // of the call
  char flag_ = 0;             // the same, of some calls
  std::optional<Step> kept_;  // a step that nobody has asked for yet
  std::unique_ptr<Parameters> parameters_;
  std::vector<Column> columns_;
  bool fetching_ = false;      // rows that are left
  bool changes_rows_ = false;  // what was prepared last does
  bool blank_ = false;         // there is nothing in it but comments
  std::uint64_t rows_ = 0;
  std::uint64_t changed_ = 0;
  std::optional<std::int64_t> row_id_;
  ServerError error_;
  std::string loss_;
};

}  // namespace cloister
