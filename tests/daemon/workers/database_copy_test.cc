#include "daemon/workers/database_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "apis/backends/sqlite.h"
#include "apis/base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

constexpr const char* kInsert = "INSERT INTO pairs VALUES (?, ?)";

// A process that writes pairs for ever, each in a transaction of two statements, and says each
// number once it is committed.
class Writer {
 public:
  explicit Writer(const std::string& directory) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(0, ::pipe2(ends, O_CLOEXEC));
    said_.Reset(ends[0]);
    pid_ = ::fork();
    if (pid_ == 0)
      Write(directory, ends[1]);
    ::close(ends[1]);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  // The next number that is committed; -1: it has ended.
  std::int64_t Next() const {
    std::int64_t number = -1;
    return ::read(said_.get(), &number, sizeof number) == sizeof number ? number : -1;
  }

 private:
  [[noreturn]] static void Write(const std::string& directory, int out) {
    auto db = Database::Open(directory + kDatabaseFile, {});
    if (!db.ok() || !db.value().Execute("CREATE TABLE pairs (a INTEGER, b INTEGER)").ok() ||
        !db.value().Execute("PRAGMA wal_autocheckpoint=20").ok())
      ::_exit(1);
    for (std::int64_t number = 0;; ++number) {
      auto transaction = Transaction::Begin(db.value());
      const bool done = transaction.ok() && db.value().Run(kInsert, number, 0).ok() &&
                        db.value().Run("UPDATE pairs SET b = a WHERE a = ?", number).ok() &&
                        transaction.value().Commit().ok();
      if (!done || ::write(out, &number, sizeof number) != sizeof number)
        ::_exit(1);
    }
  }

  UniqueFd said_;
  pid_t pid_ = -1;
};

class DatabaseCopyTest : public testing::Test {
 protected:
  TempDir directory_;
  std::string from_ = directory_.path();
  std::string to_ = directory_.At("data/1");
  std::atomic<bool> stop_ = false;
};

TEST_F(DatabaseCopyTest, ACopyIsOfOneMomentWhileAnotherProcessWrites) {
  const Writer writer(from_);
  std::int64_t acknowledged = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 10; ++i)
      ASSERT_GE(acknowledged = writer.Next(), 0);
    const Result<Bytes> copied = CopyDatabaseFiles(from_, to_ + ".new", stop_);
    ASSERT_TRUE(copied.ok()) << copied.error().message;
    ASSERT_TRUE(FinishDatabaseCopy(to_ + ".new", to_).ok());
    EXPECT_EQ(copied.value(), SizeOfDatabase(to_));
    {
      auto db = Database::Open(to_ + kDatabaseFile, {});
      ASSERT_TRUE(db.ok());
      auto check = db.value().Query("PRAGMA integrity_check");
      ASSERT_TRUE(check.ok() && check.value().Step().ok());
      EXPECT_EQ("ok", check.value().Text(0));
      auto rows = db.value().Query("SELECT max(a), count(*), sum(a = b) FROM pairs");
      ASSERT_TRUE(rows.ok() && rows.value().Step().ok());
      EXPECT_GE(rows.value().Int(0), acknowledged) << "what was committed is in it";
      EXPECT_EQ(rows.value().Int(0) + 1, rows.value().Int(1)) << "and nothing is left out";
      EXPECT_EQ(rows.value().Int(1), rows.value().Int(2)) << "and no half of a transaction";
    }
    std::filesystem::remove_all(to_);
  }
  EXPECT_GT(writer.Next(), acknowledged) << "it was not disturbed";
}

TEST_F(DatabaseCopyTest, WhoeverHoldsALockIsWaitedForUntilTheCopyIsStopped) {
  {
    ASSERT_TRUE(Database::Open(from_ + kDatabaseFile, {}).ok());
  }
  const UniqueFd index(
      ::open((from_ + kDatabaseIndexFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_start = 121;
  lock.l_len = 1;
  ASSERT_EQ(0, ::fcntl(index.get(), F_OFD_SETLK, &lock));
  std::thread stopper([this] { stop_ = true; });
  const Result<Bytes> stopped = CopyDatabaseFiles(from_, to_, stop_);
  stopper.join();
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(ErrorCode::kDeadlineExceeded, stopped.error().code);
  EXPECT_FALSE(std::filesystem::exists(to_));
}

TEST_F(DatabaseCopyTest, ThereIsNoCopyOfNothing) {
  EXPECT_EQ(ErrorCode::kNotFound, CopyDatabaseFiles(from_, to_, stop_).error().code);
  EXPECT_EQ(Bytes{0}, SizeOfDatabase(from_));
}

TEST_F(DatabaseCopyTest, AHoleStaysOne) {
  constexpr off_t kFar = off_t{1} << 30;
  {
    const UniqueFd fd(::open((from_ + kDatabaseFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(3, ::pwrite(fd.get(), "end", 3, kFar));
    ASSERT_EQ(5, ::pwrite(fd.get(), "begin", 5, 0));
  }
  ASSERT_TRUE(CopyDatabaseFiles(from_, to_, stop_).ok());
  const UniqueFd copy(::open((to_ + kDatabaseFile).c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  ASSERT_EQ(0, ::fstat(copy.get(), &status));
  EXPECT_EQ(kFar + 3, status.st_size);
  EXPECT_LT(status.st_blocks, 10000);
  char bytes[5] = {};
  EXPECT_EQ(3, ::pread(copy.get(), bytes, sizeof bytes, kFar));
  EXPECT_EQ("end", std::string(bytes, 3));
  EXPECT_EQ(5, ::pread(copy.get(), bytes, sizeof bytes, 0));
  EXPECT_EQ("begin", std::string(bytes, 5));
}

TEST_F(DatabaseCopyTest, ALinkIsNotFollowed) {
  directory_.Write("elsewhere", "secret");
  std::filesystem::create_symlink(directory_.At("elsewhere"), from_ + kDatabaseFile);
  EXPECT_FALSE(CopyDatabaseFiles(from_, to_, stop_).ok());
  EXPECT_EQ(Bytes{0}, SizeOfDatabase(from_));
}

}  // namespace
}  // namespace cloister
