#include "apis/wire/channel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace cloister {
namespace {

using std::string_literals::operator""s;

RequestHead ExampleRequest() {
  RequestHead head;
  head.slot = 3;
  head.http_minor = 1;
  head.wall_ms = 30000;
  head.content_length = 5;
  head.method = "POST";
  head.target = "/a?b=c";
  head.scheme = "http";
  head.server_name = "hello.demo.localhost";
  head.server_port = "8080";
  head.remote_addr = "127.0.0.1";
  head.remote_port = "40000";
  head.request_id = "01ARYZ6S41TSV4RRFFQ69G5FAV";
  head.headers = {{.name = "host", .value = "hello.demo.localhost:8080"},
                  {.name = "x-empty", .value = ""}};
  return head;
}

template <typename Head>
std::string Encoded(const Head& head) {
  std::string bytes;
  WireWriter writer(bytes);
  head.Encode(writer);
  return bytes;
}

// Every prefix of `bytes` must be refused.
template <typename Head>
void ExpectEveryTruncationRefused(const std::string& bytes) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    WireReader reader(cut);
    const auto decoded = Head::Decode(reader);
    ASSERT_FALSE(decoded.ok()) << size;
    EXPECT_EQ(ErrorCode::kProtocol, decoded.error().code);
  }
}

TEST(RequestHeadTest, ComesBackWithTheBodyBehindIt) {
  const std::string bytes = Encoded(ExampleRequest()) + "hello";
  WireReader reader(bytes);
  const auto decoded = RequestHead::Decode(reader);
  ASSERT_TRUE(decoded.ok());
  const RequestHead& head = decoded.value();
  const RequestHead example = ExampleRequest();
  EXPECT_EQ(example.slot, head.slot);
  EXPECT_EQ(example.http_minor, head.http_minor);
  EXPECT_EQ(example.wall_ms, head.wall_ms);
  EXPECT_EQ(example.content_length, head.content_length);
  EXPECT_EQ(example.method, head.method);
  EXPECT_EQ(example.target, head.target);
  EXPECT_EQ(example.scheme, head.scheme);
  EXPECT_EQ(example.server_name, head.server_name);
  EXPECT_EQ(example.server_port, head.server_port);
  EXPECT_EQ(example.remote_addr, head.remote_addr);
  EXPECT_EQ(example.remote_port, head.remote_port);
  EXPECT_EQ(example.request_id, head.request_id);
  ASSERT_EQ(2u, head.headers.size());
  EXPECT_EQ("host", head.headers[0].name);
  EXPECT_EQ("hello.demo.localhost:8080", head.headers[0].value);
  EXPECT_EQ("hello", reader.Rest());
}

TEST(RequestHeadTest, GoldenBytes) {
  RequestHead head;
  head.slot = 1;
  head.http_minor = 0;
  head.wall_ms = 2;
  head.content_length = 3;
  head.method = "GET";
  head.target = "/";
  head.headers = {{.name = "a", .value = "b"}};
  EXPECT_EQ(
      "\x01\x00\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x03\x00GET\x01\x00/"
      "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00"
      "a\x01\x00"
      "b"s,
      Encoded(head));
}

TEST(RequestHeadTest, EveryTruncationIsRefused) {
  ExpectEveryTruncationRefused<RequestHead>(Encoded(ExampleRequest()));
}

TEST(RequestHeadTest, ASlotThatIsNotThereIsRefused) {
  RequestHead head = ExampleRequest();
  for (const std::size_t slot : {kInboxSlots - 1, kInboxSlots}) {
    head.slot = static_cast<std::uint8_t>(slot);
    const std::string bytes = Encoded(head);
    WireReader reader(bytes);
    EXPECT_EQ(slot < kInboxSlots, RequestHead::Decode(reader).ok());
  }
}

TEST(ResponseHeadTest, HeadersAreCounted) {
  for (const std::size_t count : {kHeadersMax - 1, kHeadersMax, kHeadersMax + 1}) {
    ResponseHead head;
    head.status = 201;
    head.reason = "Made";
    head.headers.assign(count, {.name = "x", .value = "y"});
    const std::string bytes = Encoded(head);
    WireReader reader(bytes);
    const auto decoded = ResponseHead::Decode(reader);
    ASSERT_EQ(count <= kHeadersMax, decoded.ok()) << count;
    if (!decoded.ok())
      continue;
    EXPECT_EQ(201, decoded.value().status);
    EXPECT_EQ("Made", decoded.value().reason);
    EXPECT_EQ(count, decoded.value().headers.size());
    EXPECT_TRUE(reader.AtEnd());
  }
}

TEST(ResponseHeadTest, EveryTruncationIsRefused) {
  ResponseHead head;
  head.headers = {{.name = "Content-Type", .value = "text/plain"}};
  ExpectEveryTruncationRefused<ResponseHead>(Encoded(head));
}

TEST(ResponseHeadTest, ACountWithoutHeadersAllocatesNothing) {
  // status, reason, 65,535 headers that are not there
  const std::string bytes = "\xc8\x00\x00\x00\xff\xff"s;
  WireReader reader(bytes);
  EXPECT_FALSE(ResponseHead::Decode(reader).ok());
}

TEST(LogHeadTest, ComesBackAndRefusesUnknownSources) {
  LogHead head;
  head.source = LogSource::kLogging;
  head.level = 30;
  head.logger = "app.views";
  head.fields = "any bytes";
  std::string bytes = Encoded(head) + "event";
  WireReader reader(bytes);
  const auto decoded = LogHead::Decode(reader);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(LogSource::kLogging, decoded.value().source);
  EXPECT_EQ(30, decoded.value().level);
  EXPECT_EQ("app.views", decoded.value().logger);
  EXPECT_EQ("any bytes", decoded.value().fields);
  EXPECT_EQ("event", reader.Rest());
  bytes[0] = 4;
  WireReader unknown(bytes);
  EXPECT_FALSE(LogHead::Decode(unknown).ok());
  ExpectEveryTruncationRefused<LogHead>(Encoded(head));
}

TEST(BootReportTest, ComesBackWholeOrNotAtAll) {
  BootReport report;
  report.code = "syntax_error";
  report.message = "invalid syntax";
  report.file = "app.py";
  report.line = 3;
  report.traceback = "  File ...";
  const std::string bytes = Encoded(report);
  WireReader reader(bytes);
  const auto decoded = BootReport::Decode(reader);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ("syntax_error", decoded.value().code);
  EXPECT_EQ(3u, decoded.value().line);
  EXPECT_EQ("  File ...", decoded.value().traceback);
  ExpectEveryTruncationRefused<BootReport>(bytes);
  const std::string longer = bytes + "x";
  WireReader left_over(longer);
  EXPECT_FALSE(BootReport::Decode(left_over).ok());
}

TEST(InboxPageTest, OneSideWins) {
  const auto page = std::make_unique<InboxPage>();
  page->Offer(0, 7);
  EXPECT_FALSE(page->Claim(0, 9));  // another request's slot
  EXPECT_TRUE(page->Claim(0, 7));
  EXPECT_FALSE(page->Claim(0, 7));
  EXPECT_FALSE(page->Withdraw(0, 7));
  page->Offer(1, 9);
  EXPECT_TRUE(page->Withdraw(1, 9));
  EXPECT_FALSE(page->Claim(1, 9));
}

TEST(InboxPageTest, AWordIsIdAndState) {
  EXPECT_EQ(0x0000000700000001u, InboxPage::Word(7, SlotState::kOffered));
  EXPECT_EQ(0xffffffff00000003u, InboxPage::Word(0xffffffff, SlotState::kWithdrawn));
}

TEST(InboxPageTest, ClaimAndWithdrawNeverBothWin) {
  constexpr std::uint32_t kRounds = 500;
  const auto page = std::make_unique<InboxPage>();
  std::atomic<std::uint32_t> offered = 0;
  std::atomic<std::uint32_t> claimed_up_to = 0;
  std::vector<char> claimed(kRounds + 1, 0);
  std::thread worker([&] {
    for (std::uint32_t id = 1; id <= kRounds; ++id) {
      while (offered.load(std::memory_order_acquire) < id)
        std::this_thread::yield();
      claimed[id] = page->Claim(0, id) ? 1 : 0;
      claimed_up_to.store(id, std::memory_order_release);
    }
  });
  std::uint32_t both_or_none = 0;
  for (std::uint32_t id = 1; id <= kRounds; ++id) {
    page->Offer(0, id);
    offered.store(id, std::memory_order_release);
    const bool withdrawn = page->Withdraw(0, id);
    while (claimed_up_to.load(std::memory_order_acquire) < id)
      std::this_thread::yield();
    if (withdrawn == (claimed[id] != 0))
      ++both_or_none;
  }
  worker.join();
  EXPECT_EQ(0u, both_or_none);
}

}  // namespace
}  // namespace cloister
