#pragma once

// A database in memory files, behind the VFS of cloister-query, and statements as a worker sends
// them.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/unique_fd.h"
#include "apis/query/database_file.h"
#include "apis/query/packets.h"
#include "sandbox/query/files.h"
#include "sandbox/query/page_sums.h"
#include "sandbox/query/sessions.h"

namespace cloister {

// An answer, taken apart.
struct QueryAnswer {
  QueryStatus status = QueryStatus::kDone;
  bool in_transaction = false;
  QueryErrorClass kind = QueryErrorClass::kOperational;
  std::string code;                 // of a failure; the quota of a refusal
  std::string message;              // of a failure
  std::vector<std::string> values;  // of all rows, as text; blobs and texts as they are
};

class QueryFixture : public testing::Test {
 protected:
  QueryFixture() {
    static const bool summed = UsePageSums().ok();
    EXPECT_TRUE(summed);
    std::vector<QueryFile> files;
    for (const char* path : {"/db", "/db-wal", "/db-shm"}) {
      fds_.emplace_back(::memfd_create(path, MFD_CLOEXEC));
      files.push_back({.path = path, .fd = fds_.back().get()});
    }
    const std::string empty = NewDatabaseFile();
    EXPECT_EQ(static_cast<ssize_t>(empty.size()),
              ::pwrite(fds_.front().get(), empty.data(), empty.size(), 0));
    EXPECT_TRUE(ServeFiles(files).ok());
    quota_.statements_rate = 1000000;
    Begin();
  }

  void Begin(SqlAccess access = SqlAccess::kReadWrite) {
    sessions_ = std::make_unique<QuerySessions>("/db", access);
    sessions_->SetQuota(quota_);
    EXPECT_TRUE(sessions_->Open().ok());
  }

  static QueryAnswer Read(std::string_view reply) {
    WireReader in(reply);
    QueryAnswer answer;
    answer.status = QueryStatus{in.U8()};
    answer.in_transaction = in.U8() != 0;
    (void)in.U8();
    if (answer.status == QueryStatus::kFailed) {
      answer.kind = QueryErrorClass{in.U8()};
      answer.code = in.Str16();
      answer.message = in.Str32();
      return answer;
    }
    if (answer.status == QueryStatus::kQuotaExceeded) {
      answer.code = in.Str16();
      return answer;
    }
    (void)in.U64();
    (void)in.U8();
    (void)in.U64();
    const std::uint16_t columns = in.U16();
    for (int i = 0; i < 2 * columns; ++i)
      if (in.U8() != 0)
        (void)in.Str32();
    const std::uint32_t rows = in.U32();
    for (std::uint32_t i = 0; i < rows * columns; ++i)
      answer.values.push_back(ValueText(in));
    EXPECT_TRUE(in.AtEnd());
    return answer;
  }

  static std::string ValueText(WireReader& in) {
    bool sound = true;
    const QueryValue value = QueryValue::Read(in, sound);
    EXPECT_TRUE(sound);
    switch (value.type) {
      case QueryValueType::kInt:
        return std::to_string(value.integer);
      case QueryValueType::kReal:
        return std::to_string(value.real);
      case QueryValueType::kNull:
        return "NULL";
      default:
        return std::string(value.bytes);
    }
  }

  // Nothing: the database is locked.
  std::optional<QueryAnswer> Ask(std::string_view sql, std::uint64_t session = 1,
                                 QueryBegin begin = QueryBegin::kNone, std::uint64_t worker = 1,
                                 std::uint8_t flags = 0, int socket = -1) {
    // One set of no parameters.
    static constexpr std::string_view kNone("\0\0\0\0", 4);
    const QueryStatement statement{.session = session,
                                   .begin = begin,
                                   .flags = flags,
                                   .sql = sql,
                                   .sets = 1,
                                   .parameters = kNone};
    const auto reply = sessions_->Serve(worker, statement, QuerySessions::Metered::kNo,
                                        std::chrono::steady_clock::now(), socket);
    return reply ? std::optional<QueryAnswer>(Read(*reply)) : std::nullopt;
  }

  std::vector<std::string> Values(std::string_view sql) {
    const auto answer = Ask(sql);
    EXPECT_TRUE(answer && answer->status == QueryStatus::kDone)
        << sql << ": " << (answer ? answer->message : "locked");
    return answer ? answer->values : std::vector<std::string>();
  }
  std::string Value(std::string_view sql) {
    const std::vector<std::string> values = Values(sql);
    return values.size() == 1 ? values.front() : "not one value";
  }
  std::string Code(std::string_view sql) {
    const auto answer = Ask(sql);
    return answer ? answer->code : "locked";
  }

  QueryQuota quota_;
  std::vector<UniqueFd> fds_;
  std::unique_ptr<QuerySessions> sessions_;
};

}  // namespace cloister
