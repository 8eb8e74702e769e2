#include "sandbox/query/postgresql/connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include <libpq-fe.h>

#include "sandbox/query/postgresql/values.h"
#include "sandbox/query/sql_server/handed_socket.h"

namespace cloister {
namespace {

constexpr int kText = 0;
constexpr int kBinary = 1;
// What values look like as text, whatever the server's own settings are.
constexpr const char* kOptions =
    "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex "
    "-c extra_float_digits=1";

void IgnoreNotice(void* /*context*/, const PGresult* /*result*/) {}

std::string MessageOf(const PGconn* connection) {
  std::string message = PQerrorMessage(connection);
  while (message.ends_with('\n'))
    message.pop_back();
  return message;
}

std::string RealText(double value) {
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

}  // namespace

Result<std::unique_ptr<ServerConnection>> PgConnection::Open(int fd, const ServerLogin& login) {
  // The path is never looked at: socket() and connect() are ours (handed_socket.cc).
  const char* const names[] = {"host",    "port",       "user",
                               "dbname",  "password",   "client_encoding",
                               "sslmode", "gssencmode", "application_name",
                               "options", "passfile",   "connect_timeout",
                               nullptr};
  const char* const values[] = {"/handed",
                                "5432",
                                login.user.c_str(),
                                login.database.c_str(),
                                login.password.c_str(),
                                "UTF8",
                                "disable",
                                "disable",
                                "cloister",
                                kOptions,
                                "/",
                                "10",
                                nullptr};
  HandSocket(fd);
  std::unique_ptr<PgConnection> opened(new PgConnection(PQconnectdbParams(names, values, 0)));
  PGconn* connection = opened->connection_;
  if (connection == nullptr || PQstatus(connection) != CONNECTION_OK)
    return Error{ErrorCode::kUnavailable,
                 connection == nullptr ? std::string("out of memory") : MessageOf(connection)};
  PQsetNoticeReceiver(connection, IgnoreNotice, nullptr);
  if (PQsetnonblocking(connection, 1) != 0 || PQenterPipelineMode(connection) != 1)
    return Error{ErrorCode::kUnavailable, MessageOf(connection)};
  return std::unique_ptr<ServerConnection>(std::move(opened));
}

PgConnection::~PgConnection() {
  Clear();
  PQfinish(connection_);
}

int PgConnection::fd() const {
  return PQsocket(connection_);
}

std::uint64_t PgConnection::number() const {
  return static_cast<std::uint64_t>(PQbackendPID(connection_));
}

bool PgConnection::in_transaction() const {
  return PQtransactionStatus(connection_) != PQTRANS_IDLE;
}

bool PgConnection::Queue(const std::string& sql) {
  ++pending_;
  const bool queued = PQsendQueryParams(connection_, sql.c_str(), 0, nullptr, nullptr, nullptr,
                                        nullptr, kText) == 1;
  (void)PQsetSingleRowMode(connection_);
  return queued;
}

bool PgConnection::Run(const std::string& sql, std::span<const Set> sets) {
  return Prepare(sql, sets) &&
         std::ranges::all_of(sets, [this](const Set& set) { return Execute(set); });
}

bool PgConnection::Prepare(const std::string& sql, std::span<const Set> sets) {
  ++pending_;
  std::vector<std::uint32_t> types;
  for (const Set& set : sets)
    for (std::size_t i = 0; i < set.size(); ++i) {
      if (i == types.size())
        types.push_back(0);
      if (set[i].type == QueryValueType::kNull)
        continue;
      const std::uint32_t type = PgTypeOf(set[i]);
      const bool is_first = types[i] == 0 && &set == &sets.front();
      types[i] = is_first ? type : PgCommonType(types[i], type);
    }
  return PQsendPrepare(connection_, "", sql.c_str(), static_cast<int>(types.size()),
                       types.data()) == 1;
}

bool PgConnection::Execute(std::span<const QueryValue> values) {
  ++pending_;
  std::vector<std::string> texts(values.size());
  std::vector<const char*> data(values.size(), nullptr);
  std::vector<int> lengths(values.size(), 0);
  std::vector<int> formats(values.size(), kText);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const QueryValue& value = values[i];
    switch (value.type) {
      case QueryValueType::kNull:
        continue;
      case QueryValueType::kInt:
        texts[i] = std::to_string(value.integer);
        break;
      case QueryValueType::kReal:
        texts[i] = RealText(value.real);
        break;
      case QueryValueType::kText:
        texts[i] = value.bytes;
        break;
      case QueryValueType::kBlob:
        formats[i] = kBinary;
        lengths[i] = static_cast<int>(value.bytes.size());
        // A null pointer would be NULL.
        data[i] = value.bytes.empty() ? "" : value.bytes.data();
        continue;
    }
    data[i] = texts[i].c_str();
  }
  const bool queued = PQsendQueryPrepared(connection_, "", static_cast<int>(values.size()),
                                          data.data(), lengths.data(), formats.data(), kText) == 1;
  (void)PQsetSingleRowMode(connection_);
  return queued;
}

bool PgConnection::Sync() {
  ++pending_;
  return PQpipelineSync(connection_) == 1 && PQflush(connection_) >= 0;
}

short PgConnection::events() const {
  return static_cast<short>(PQflush(connection_) > 0 ? POLLIN | POLLOUT : POLLIN);
}

Result<void> PgConnection::Work(short events) {
  if (PQflush(connection_) < 0 || ((events & ~POLLOUT) != 0 && PQconsumeInput(connection_) != 1) ||
      PQstatus(connection_) != CONNECTION_OK)
    return Error{ErrorCode::kUnavailable, MessageOf(connection_)};
  // A function of the app may have listened.
  while (PGnotify* notice = PQnotifies(connection_))
    PQfreemem(notice);
  return {};
}

PgConnection::Step PgConnection::Next() {
  Clear();
  // A statement's end is followed by a mark, a Sync's is not.
  for (int marks = 0; pending_ > 0 && marks < 2 && PQisBusy(connection_) == 0;) {
    result_ = PQgetResult(connection_);
    if (result_ == nullptr) {
      ++marks;
      // Of the next one, if there is one.
      (void)PQsetSingleRowMode(connection_);
      continue;
    }
    switch (PQresultStatus(result_)) {
      case PGRES_SINGLE_TUPLE:
        return Step::kRow;
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        --pending_;
        return Step::kDone;
      case PGRES_FATAL_ERROR:
        --pending_;
        return Step::kFailed;
      case PGRES_PIPELINE_ABORTED:
        --pending_;
        return Step::kSkipped;
      case PGRES_PIPELINE_SYNC:
        --pending_;
        return Step::kSynced;
      default:
        return Step::kBroken;
    }
  }
  return Step::kNothing;
}

void PgConnection::Clear() {
  PQclear(result_);
  result_ = nullptr;
}

int PgConnection::columns() const {
  return PQnfields(result_);
}

std::string_view PgConnection::column_name(int column) const {
  const char* name = PQfname(result_, column);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

std::string_view PgConnection::declared(int column) const {
  return PgDeclared(PQftype(result_, column));
}

void PgConnection::AppendValue(WireWriter& out, int column) const {
  if (PQgetisnull(result_, 0, column) != 0)
    out.U8(static_cast<std::uint8_t>(QueryValueType::kNull));
  else
    AppendPgValue(out, PQftype(result_, column), value(column));
}

std::optional<std::int64_t> PgConnection::integer(int column) const {
  if (PQgetisnull(result_, 0, column) != 0 || !PgIsInteger(PQftype(result_, column)))
    return std::nullopt;
  std::int64_t number = 0;
  const std::string_view text = value(column);
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string_view PgConnection::value(int column) const {
  return {PQgetvalue(result_, 0, column),
          static_cast<std::size_t>(PQgetlength(result_, 0, column))};
}

std::uint64_t PgConnection::changed() const {
  const std::string_view text = PQcmdTuples(result_);
  std::uint64_t count = ~std::uint64_t{0};
  const std::string_view status = PQcmdStatus(result_);
  if (!text.empty() && !status.starts_with("SELECT"))
    std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

ServerError PgConnection::error() const {
  const auto field = [this](int code) {
    const char* text = PQresultErrorField(result_, code);
    return std::string(text == nullptr ? "" : text);
  };
  const std::string state = field(PG_DIAG_SQLSTATE);
  std::string message = field(PG_DIAG_MESSAGE_PRIMARY);
  if (message.empty())
    message = MessageOf(connection_);
  if (const std::string detail = field(PG_DIAG_MESSAGE_DETAIL); !detail.empty())
    message += "\n" + detail;
  return PgErrorOf(state, std::move(message));
}

}  // namespace cloister
