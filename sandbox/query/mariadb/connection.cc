#include "sandbox/query/mariadb/connection.h"

#include <mysql.h>
#include <poll.h>

#include <bit>
#include <cstdlib>
#include <limits>
#include <utility>

#include "apis/backends/mariadb.h"
#include "sandbox/query/mariadb/sql_rules.h"
#include "sandbox/query/mariadb/tokens.h"
#include "sandbox/query/sql_server/handed_socket.h"

namespace cloister {
namespace {

constexpr std::uint64_t kAllOnes = std::numeric_limits<std::uint64_t>::max();
constexpr unsigned kBinaryCharset = 63;
constexpr unsigned kLoginSeconds = 10;
// Of a packet beside the values and the text in it.
constexpr std::uint64_t kPacketRest = 4096;
constexpr std::uint64_t kPerValue = 16;
constexpr unsigned kTooLarge = 1153;
constexpr unsigned kInterrupted = 1317;
constexpr unsigned kWrongParameters = 1210;

// Statements are ended by the spare connection: this is for those whose process has died.
constexpr const char* kStatementTime = "SET SESSION max_statement_time = 700";

// Its answer says whether there is a transaction.
constexpr const char* kLook = "DO 0";

bool IsInt(MyKind kind) {
  return kind == MyKind::kInt || kind == MyKind::kBigUnsigned;
}

std::uint64_t SizeOf(const ServerConnection::Set& values) {
  std::uint64_t size = 0;
  for (const QueryValue& value : values)
    size += value.bytes.size() + kPerValue;
  return size;
}

}  // namespace

// What the library reads until a statement was sent.
struct MyConnection::Parameters {
  std::vector<MYSQL_BIND> binds;
  std::vector<long long> numbers;
  std::vector<double> reals;
};

MyConnection::MyConnection(st_mysql* mysql, std::string database)
    : mysql_(mysql), database_(std::move(database)), parameters_(std::make_unique<Parameters>()) {}

Result<std::unique_ptr<ServerConnection>> MyConnection::Open(int fd, const ServerLogin& login) {
  MYSQL* const mysql = ::mysql_init(nullptr);
  if (mysql == nullptr)
    return Error{ErrorCode::kUnavailable, "out of memory"};
  std::unique_ptr<MyConnection> opened(new MyConnection(mysql, login.database));
  TRY(opened->LogIn(fd, login));
  TRY(opened->SetUp());
  return std::unique_ptr<ServerConnection>(std::move(opened));
}

Result<void> MyConnection::LogIn(int fd, const ServerLogin& login) {
  const unsigned off = 0;
  const my_bool none = 0;
  (void)::mysql_options(mysql_, MYSQL_OPT_NONBLOCK, nullptr);
  (void)::mysql_options(mysql_, MYSQL_OPT_LOCAL_INFILE, &off);
  (void)::mysql_options(mysql_, MYSQL_OPT_RECONNECT, &none);
  (void)::mysql_options(mysql_, MYSQL_REPORT_DATA_TRUNCATION, &none);
  (void)::mysql_options(mysql_, MYSQL_OPT_CONNECT_TIMEOUT, &kLoginSeconds);
  (void)::mysql_options(mysql_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  // No other that the server asks for is loaded from a file.
  (void)::mysql_options(mysql_, MYSQL_DEFAULT_AUTH, kMariadbAppPlugin);
  (void)::mysql_options(mysql_, MARIADB_OPT_RESTRICTED_AUTH, kMariadbAppPlugin);
  HandSocket(fd);
  // The path is never looked at: socket() and connect() are ours (handed_socket.cc).
  if (::mysql_real_connect(mysql_, nullptr, login.user.c_str(), login.password.c_str(),
                           login.database.c_str(), 0, "/handed", CLIENT_FOUND_ROWS) == nullptr)
    return Error{ErrorCode::kUnavailable, ::mysql_error(mysql_)};
  return {};
}

Result<void> MyConnection::SetUp() {
  const auto run = [this](const char* sql) -> Result<void> {
    if (::mysql_query(mysql_, sql) != 0)
      return Error{ErrorCode::kUnavailable, ::mysql_error(mysql_)};
    return {};
  };
  TRY(run(kMariadbSession));
  TRY(run(kStatementTime));
  TRY(run("SELECT @@max_allowed_packet"));
  MYSQL_RES* const found = ::mysql_store_result(mysql_);
  MYSQL_ROW const row = found == nullptr ? nullptr : ::mysql_fetch_row(found);
  if (row != nullptr && row[0] != nullptr)
    packet_max_ = std::strtoull(row[0], nullptr, 10);
  ::mysql_free_result(found);
  if (packet_max_ == 0)
    return Error{ErrorCode::kUnavailable, "the server does not tell its max_allowed_packet"};
  return {};
}

MyConnection::~MyConnection() {
  if (statement_ != nullptr)
    (void)::mysql_stmt_close(statement_);
  ::mysql_close(mysql_);
}

int MyConnection::fd() const {
  return static_cast<int>(::mysql_get_socket(mysql_));
}

std::uint64_t MyConnection::number() const {
  return ::mysql_thread_id(mysql_);
}

bool MyConnection::in_transaction() const {
  return (mysql_->server_status & SERVER_STATUS_IN_TRANS) != 0;
}

bool MyConnection::Queue(const std::string& sql) {
  tasks_.push_back({.kind = Task::Kind::kText, .sql = sql});
  return true;
}

bool MyConnection::Run(const std::string& sql, std::span<const Set> sets) {
  tasks_.push_back({.kind = Task::Kind::kPrepare, .sql = sql});
  for (const Set& set : sets)
    tasks_.push_back({.kind = Task::Kind::kExecute, .values = set});
  return true;
}

bool MyConnection::Sync() {
  tasks_.push_back({.kind = Task::Kind::kSync});
  // The first one goes out now.
  if (call_ == Call::kNone && !kept_)
    kept_ = Advance();
  return true;
}

short MyConnection::events() const {
  if (kept_)
    return POLLIN | POLLOUT;
  if (waits_for_ == 0)
    return POLLIN;
  int events = 0;
  if ((waits_for_ & MYSQL_WAIT_READ) != 0)
    events |= POLLIN;
  if ((waits_for_ & MYSQL_WAIT_WRITE) != 0)
    events |= POLLOUT;
  return static_cast<short>(events);
}

Result<void> MyConnection::Work(short events) {
  if (waits_for_ != 0) {
    // What has ended is read and written to hear of it.
    const int ended = (events & (POLLHUP | POLLERR)) != 0 ? MYSQL_WAIT_READ | MYSQL_WAIT_WRITE : 0;
    const int came = ((events & POLLIN) != 0 ? MYSQL_WAIT_READ : 0) |
                     ((events & POLLOUT) != 0 ? MYSQL_WAIT_WRITE : 0);
    ready_ |= (came | ended) & waits_for_;
    return {};
  }
  if (kept_ || !tasks_.empty() || (events & ~POLLOUT) == 0)
    return {};
  // Nothing was asked: this is the end, or what the server says before it.
  return Error{ErrorCode::kUnavailable, "the server closed the connection"};
}

MyConnection::Step MyConnection::Next() {
  if (kept_) {
    const Step step = *kept_;
    kept_.reset();
    return step;
  }
  return Advance().value_or(Step::kNothing);
}

std::optional<MyConnection::Step> MyConnection::Advance() {
  for (;;) {
    if (call_ == Call::kNone && tasks_.empty())
      return std::nullopt;
    if (call_ == Call::kNone) {
      if (const std::optional<Step> step = Begin())
        return step;
    } else if (ready_ != 0) {
      waits_for_ = ContinueCall(std::exchange(ready_, 0));
    }
    if (waits_for_ != 0)
      return std::nullopt;
    if (const std::optional<Step> step = EndCall())
      return step;
  }
}

// Of the first task. Nothing: a call has begun.
std::optional<MyConnection::Step> MyConnection::Begin() {
  if (fetching_) {
    waits_for_ = BeginCall(Call::kFetch);
    return std::nullopt;
  }
  if (task().kind == Task::Kind::kSync && statement_ == nullptr) {
    tasks_.pop_front();
    skipping_ = false;
    return Step::kSynced;
  }
  // The statement before is given back first.
  if (statement_ != nullptr &&
      (task().kind == Task::Kind::kSync || task().kind == Task::Kind::kPrepare)) {
    waits_for_ = BeginCall(Call::kClose);
    return std::nullopt;
  }
  if (task().kind == Task::Kind::kLook) {
    waits_for_ = BeginCall(Call::kText);
    return std::nullopt;
  }
  if (skipping_) {
    tasks_.pop_front();
    return Step::kSkipped;
  }
  columns_.clear();
  rows_ = 0;
  changed_ = kAllOnes;
  row_id_.reset();
  if (task().kind == Task::Kind::kExecute)
    return BeginExecute();
  if (task().sql.size() + kPacketRest > packet_max_)
    return Fail(kTooLarge, "08S01", "the statement is larger than the server's max_allowed_packet");
  if (task().kind == Task::Kind::kPrepare) {
    // The server would call that an error; the other engines do not.
    blank_ = !MyTokens(task().sql).Next();
    if (blank_)
      return Done();
    statement_ = ::mysql_stmt_init(mysql_);
    if (statement_ == nullptr)
      return FailConnection();
    changes_rows_ = MyChangesRows(task().sql);
  }
  waits_for_ = BeginCall(task().kind == Task::Kind::kText ? Call::kText : Call::kPrepare);
  return std::nullopt;
}

int MyConnection::BeginCall(Call call) {
  call_ = call;
  ready_ = 0;
  switch (call) {
    case Call::kText:
      return ::mysql_real_query_start(&result_, mysql_, task().sql.data(), task().sql.size());
    case Call::kPrepare:
      return ::mysql_stmt_prepare_start(&result_, statement_, task().sql.data(), task().sql.size());
    case Call::kExecute:
      return ::mysql_stmt_execute_start(&result_, statement_);
    case Call::kFetch:
      return ::mysql_stmt_fetch_start(&result_, statement_);
    case Call::kFree:
      return ::mysql_stmt_free_result_start(&flag_, statement_);
    case Call::kClose:
      return ::mysql_stmt_close_start(&flag_, statement_);
    case Call::kNone:
      break;
  }
  return 0;
}

int MyConnection::ContinueCall(int ready) {
  switch (call_) {
    case Call::kText:
      return ::mysql_real_query_cont(&result_, mysql_, ready);
    case Call::kPrepare:
      return ::mysql_stmt_prepare_cont(&result_, statement_, ready);
    case Call::kExecute:
      return ::mysql_stmt_execute_cont(&result_, statement_, ready);
    case Call::kFetch:
      return ::mysql_stmt_fetch_cont(&result_, statement_, ready);
    case Call::kFree:
      return ::mysql_stmt_free_result_cont(&flag_, statement_, ready);
    case Call::kClose:
      return ::mysql_stmt_close_cont(&flag_, statement_, ready);
    case Call::kNone:
      break;
  }
  return 0;
}

// Nothing: another call has begun, or the next task is to begin.
std::optional<MyConnection::Step> MyConnection::EndCall() {
  switch (std::exchange(call_, Call::kNone)) {
    case Call::kText:
      return EndText();
    case Call::kPrepare:
      return result_ != 0 ? FailPrepare() : Done();
    case Call::kExecute:
      return EndExecute();
    case Call::kFetch:
      fetching_ = result_ != 1 && result_ != MYSQL_NO_DATA;
      if (fetching_)
        return TakeRow();
      if (result_ == 1)
        return FailStatement();
      waits_for_ = BeginCall(Call::kFree);
      return std::nullopt;
    case Call::kFree:
      // Each row that was changed was returned.
      if (changes_rows_)
        changed_ = rows_;
      return Done();
    case Call::kClose:
      statement_ = nullptr;
      return std::nullopt;
    case Call::kNone:
      break;
  }
  return std::nullopt;
}

std::optional<MyConnection::Step> MyConnection::EndText() {
  const bool looks = task().kind == Task::Kind::kLook;
  // A cancel that came late: it is begun again.
  if (looks && result_ != 0 && ::mysql_errno(mysql_) == kInterrupted)
    return std::nullopt;
  if (looks && result_ != 0) {
    loss_ = ::mysql_error(mysql_);
    return Step::kBroken;
  }
  if (result_ != 0)
    return FailConnection();
  if (::mysql_field_count(mysql_) != 0) {
    loss_ = "the server gave rows where none were asked for";
    return Step::kBroken;
  }
  if (!looks)
    return Done();
  tasks_.pop_front();
  return std::nullopt;
}

std::optional<MyConnection::Step> MyConnection::BeginExecute() {
  if (blank_)
    return Done();
  const Set& values = task().values;
  if (::mysql_stmt_param_count(statement_) != values.size())
    return Fail(kWrongParameters, "HY000",
                "the statement has another number of parameters than there are values");
  if (SizeOf(values) + kPacketRest > packet_max_)
    return Fail(kTooLarge, "08S01", "the values are larger than the server's max_allowed_packet");
  if (!Bind(values))
    return FailStatement();
  waits_for_ = BeginCall(Call::kExecute);
  return std::nullopt;
}

bool MyConnection::Bind(const Set& values) {
  parameters_->binds.assign(values.size(), MYSQL_BIND{});
  parameters_->numbers.assign(values.size(), 0);
  parameters_->reals.assign(values.size(), 0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    MYSQL_BIND& bind = parameters_->binds[i];
    const QueryValue& value = values[i];
    switch (value.type) {
      case QueryValueType::kNull:
        bind.buffer_type = MYSQL_TYPE_NULL;
        break;
      case QueryValueType::kInt:
        parameters_->numbers[i] = value.integer;
        bind.buffer_type = MYSQL_TYPE_LONGLONG;
        bind.buffer = &parameters_->numbers[i];
        break;
      case QueryValueType::kReal:
        parameters_->reals[i] = value.real;
        bind.buffer_type = MYSQL_TYPE_DOUBLE;
        bind.buffer = &parameters_->reals[i];
        break;
      case QueryValueType::kText:
      case QueryValueType::kBlob:
        bind.buffer_type =
            value.type == QueryValueType::kText ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        // The library only reads it.
        bind.buffer = const_cast<char*>(value.bytes.empty() ? "" : value.bytes.data());
        bind.buffer_length = value.bytes.size();
        break;
    }
  }
  return values.empty() || ::mysql_stmt_bind_param(statement_, parameters_->binds.data()) == 0;
}

std::optional<MyConnection::Step> MyConnection::EndExecute() {
  if (result_ != 0)
    return FailStatement();
  fetching_ = ::mysql_stmt_field_count(statement_) > 0;
  if (!fetching_) {
    if (changes_rows_)
      changed_ = ::mysql_stmt_affected_rows(statement_);
    if (const std::uint64_t id = ::mysql_stmt_insert_id(statement_);
        changes_rows_ && id > 0 &&
        id <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      row_id_ = static_cast<std::int64_t>(id);
    return Done();
  }
  if (!BindColumns())
    return FailStatement();
  return std::nullopt;
}

bool MyConnection::BindColumns() {
  MYSQL_RES* const described = ::mysql_stmt_result_metadata(statement_);
  if (described == nullptr)
    return false;
  const std::size_t count = ::mysql_num_fields(described);
  columns_.assign(count, Column{});
  std::vector<MYSQL_BIND> binds(count, MYSQL_BIND{});
  for (std::size_t i = 0; i < count; ++i) {
    const MYSQL_FIELD& field = *::mysql_fetch_field_direct(described, static_cast<unsigned>(i));
    Column& column = columns_[i];
    column.name.assign(field.name, field.name_length);
    column.is = MyColumnOf(field.type, (field.flags & UNSIGNED_FLAG) != 0,
                           field.charsetnr == kBinaryCharset);
    MYSQL_BIND& bind = binds[i];
    bind.is_null = &column.null;
    bind.length = &column.size;
    if (IsInt(column.is.kind)) {
      bind.buffer_type = MYSQL_TYPE_LONGLONG;
      bind.buffer = &column.number;
      bind.is_unsigned = column.is.kind == MyKind::kBigUnsigned ? 1 : 0;
    } else if (column.is.kind == MyKind::kReal) {
      bind.buffer_type = MYSQL_TYPE_DOUBLE;
      bind.buffer = &column.real;
    } else {
      // How long it is; its bytes are fetched then.
      bind.buffer_type = column.is.kind == MyKind::kText ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
    }
  }
  ::mysql_free_result(described);
  return ::mysql_stmt_bind_result(statement_, binds.data()) == 0;
}

std::optional<MyConnection::Step> MyConnection::TakeRow() {
  ++rows_;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    column.bytes.clear();
    if (column.null || IsInt(column.is.kind) || column.is.kind == MyKind::kReal)
      continue;
    column.bytes.resize(column.size);
    MYSQL_BIND bind = {};
    bind.buffer_type = column.is.kind == MyKind::kText ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
    bind.buffer = column.bytes.data();
    bind.buffer_length = column.bytes.size();
    bind.length = &column.size;
    if (column.size > 0 &&
        ::mysql_stmt_fetch_column(statement_, &bind, static_cast<unsigned>(i), 0) != 0)
      return FailStatement();
  }
  return Step::kRow;
}

MyConnection::Step MyConnection::Done() {
  tasks_.pop_front();
  return Step::kDone;
}

MyConnection::Step MyConnection::Fail(unsigned number, const char* state, const char* message) {
  error_ = MyErrorOf(number, state, message, database_);
  if (IsMyLoss(number)) {
    loss_ = message;
    return Step::kBroken;
  }
  tasks_.pop_front();
  skipping_ = true;
  fetching_ = false;
  // A deadlock, for one, undoes the whole transaction, and no error says so: the next answer does.
  if (in_transaction())
    tasks_.push_front({.kind = Task::Kind::kLook, .sql = kLook});
  return Step::kFailed;
}

MyConnection::Step MyConnection::FailPrepare() {
  const bool several = MyIsSeveral(task().sql);
  const Step step = FailStatement();
  if (several)
    error_.code = "sql_several";
  return step;
}

MyConnection::Step MyConnection::FailStatement() {
  // Of an error between rows only the connection knows.
  if (::mysql_stmt_errno(statement_) == 0)
    return FailConnection();
  return Fail(::mysql_stmt_errno(statement_), ::mysql_stmt_sqlstate(statement_),
              ::mysql_stmt_error(statement_));
}

MyConnection::Step MyConnection::FailConnection() {
  return Fail(::mysql_errno(mysql_), ::mysql_sqlstate(mysql_), ::mysql_error(mysql_));
}

std::string_view MyConnection::column_name(int column) const {
  return columns_[static_cast<std::size_t>(column)].name;
}

std::string_view MyConnection::declared(int column) const {
  return columns_[static_cast<std::size_t>(column)].is.declared;
}

void MyConnection::AppendValue(WireWriter& out, int column) const {
  const Column& value = columns_[static_cast<std::size_t>(column)];
  if (value.null) {
    out.U8(static_cast<std::uint8_t>(QueryValueType::kNull));
  } else if (IsInt(value.is.kind)) {
    AppendMyInt(out, value.is.kind, value.number);
  } else if (value.is.kind == MyKind::kReal) {
    out.U8(static_cast<std::uint8_t>(QueryValueType::kReal));
    out.U64(std::bit_cast<std::uint64_t>(value.real));
  } else {
    AppendMyBytes(out, value.is.kind, value.bytes);
  }
}

std::string_view MyConnection::text(int column) const {
  return columns_[static_cast<std::size_t>(column)].bytes;
}

std::optional<std::int64_t> MyConnection::integer(int column) const {
  const Column& value = columns_[static_cast<std::size_t>(column)];
  if (value.null || !IsInt(value.is.kind))
    return std::nullopt;
  return value.number;
}

}  // namespace cloister
