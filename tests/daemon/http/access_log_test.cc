#include "daemon/http/access_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace cloister {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

AccessRecord Example() {
  return {.time = WallTime(Millis(1'800'000'000'123)),
          .app = "demo/hello",
          .release = "1.0.0",
          .method = "GET",
          .target = "/",
          .status = 200,
          .bytes = 12,
          .queued = Micros(3),
          .service = Micros(4),
          .total = Micros(5),
          .request_id = "01",
          .client_request_id = {},
          .remote_addr = "::1"};
}

TEST(AccessLineTest, IsOneLineOfFields) {
  std::string line;
  AppendAccessLine(Example(), line);
  EXPECT_EQ(
      "2027-01-15T08:00:00.123Z access app=demo/hello release=1.0.0 method=GET target=/ status=200 "
      "bytes=12 queue_us=3 worker_us=4 total_us=5 id=01 client_id=- remote=::1\n",
      line);
}

TEST(AccessLineTest, TextOfAClientCannotForgeALine) {
  AccessRecord record = Example();
  record.client_request_id = "x\n2027 access app=other\x1b[0m";
  std::string line;
  AppendAccessLine(record, line);
  EXPECT_EQ(line.size() - 1, line.find('\n'));
  EXPECT_EQ(std::string::npos, line.find('\x1b'));
}

TEST(AccessLineTest, LongTextIsCut) {
  AccessRecord record = Example();
  const std::string target(10000, 'x');
  record.target = target;
  std::string line;
  AppendAccessLine(record, line);
  EXPECT_THAT(line, HasSubstr("x... status=200"));
  EXPECT_LT(line.size(), 600u);
}

std::string ReadAll(int fd) {
  std::string all;
  std::array<char, 65536> buffer = {};
  ssize_t size = 0;
  while ((size = ::read(fd, buffer.data(), buffer.size())) > 0)
    all.append(buffer.data(), static_cast<std::size_t>(size));
  return all;
}

TEST(FileAccessLogTest, WritesAtTheEndAndAfterASecond) {
  std::array<int, 2> ends = {-1, -1};
  ASSERT_EQ(0, ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK));
  const UniqueFd reader(ends[0]);
  Loop loop;
  {
    FileAccessLog log(loop, UniqueFd(ends[1]));
    log.Write(Example());
    EXPECT_EQ("", ReadAll(reader.get()));
    log.Flush();
    EXPECT_THAT(ReadAll(reader.get()), EndsWith("remote=::1\n"));
    log.Write(Example());
  }
  EXPECT_THAT(ReadAll(reader.get()), EndsWith("remote=::1\n"));
}

TEST(FileAccessLogTest, NeverWaitsForItsReader) {
  std::array<int, 2> ends = {-1, -1};
  ASSERT_EQ(0, ::pipe2(ends.data(), O_CLOEXEC));  // blocking, as a shell gives it
  const UniqueFd reader(ends[0]);
  Loop loop;
  FileAccessLog log(loop, UniqueFd(ends[1]));
  AccessRecord record = Example();
  const std::string target(250, 'x');
  record.target = target;
  constexpr int kLines = 10000;  // 4 MB into a pipe of 64 KiB that nobody reads
  for (int i = 0; i < kLines; ++i)
    log.Write(record);
  EXPECT_GT(log.dropped(), 0u);
  // The reader comes back: it gets whole lines, and is told how many are missing.
  ASSERT_EQ(0, ::fcntl(reader.get(), F_SETFL, O_NONBLOCK));
  std::string all;
  for (std::string part = ReadAll(reader.get()); !part.empty(); part = ReadAll(reader.get())) {
    all += part;
    log.Flush();
  }
  const std::uint64_t dropped = log.dropped();
  log.Write(Example());
  log.Flush();
  all += ReadAll(reader.get());
  EXPECT_THAT(all, HasSubstr("access_lines_dropped count=" + std::to_string(dropped) + "\n"));
  EXPECT_EQ(kLines - dropped + 2,
            static_cast<std::uint64_t>(std::count(all.begin(), all.end(), '\n')));
}

}  // namespace
}  // namespace cloister
