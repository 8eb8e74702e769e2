#include "daemon/cli/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/daemon/cli/fake_node.h"

namespace cloister {
namespace {

TEST(HttpClientTest, KeepsItsConnection) {
  FakeNode node([](const FakeRequest& request) { return FakeNode::Json(200, request.body); });
  HttpClient client(node.socket_path());
  for (const char* body : {"one", "two"}) {
    Result<HttpReply> reply =
        client.Send({.method = "POST", .target = "/x", .content_type = "text/plain", .body = body});
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    EXPECT_EQ(reply.value().body, body);
    EXPECT_EQ(reply.value().content_type, "application/json");
  }
}

TEST(HttpClientTest, ALargeBodyArrivesAndReportsItsWay) {
  const std::string large(5 * 1024 * 1024, 'x');
  FakeNode node([](const FakeRequest& request) {
    return FakeNode::Json(200, std::to_string(request.body.size()));
  });
  HttpClient client(node.socket_path());
  std::vector<std::uint64_t> sent;
  Result<HttpReply> reply = client.Send({.method = "POST",
                                         .target = "/x",
                                         .content_type = "text/plain",
                                         .body = large,
                                         .on_sent = [&](std::uint64_t n) { sent.push_back(n); }});
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply.value().body, "5242880");
  EXPECT_TRUE(std::is_sorted(sent.begin(), sent.end()));
  EXPECT_EQ(sent.back(), large.size());
}

TEST(HttpClientTest, AQuestionIsAskedAgainWhenTheKeptConnectionWasClosed) {
  std::atomic<int> count = 0;
  FakeNode node(
      [&](const FakeRequest&) { return ++count == 2 ? std::string() : FakeNode::Json(200, "{}"); });
  HttpClient client(node.socket_path());
  ASSERT_TRUE(client.Send({.target = "/1"}).ok());
  EXPECT_TRUE(client.Send({.target = "/2"}).ok());
  EXPECT_THAT(node.Seen(), testing::ElementsAre("GET /1", "GET /2", "GET /2"));
}

TEST(HttpClientTest, AChangeIsSentOnceOnly) {
  FakeNode node([](const FakeRequest& request) {
    return request.target == "/change" ? std::string() : FakeNode::Json(200, "{}");
  });
  HttpClient client(node.socket_path());
  ASSERT_TRUE(client.Send({.target = "/1"}).ok());
  Result<HttpReply> reply =
      client.Send({.method = "POST", .target = "/change", .repeat = HttpCall::Repeat::kNever});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(node.Seen(), testing::ElementsAre("GET /1", "POST /change"));
}

TEST(HttpClientTest, SilenceEnds) {
  std::atomic<bool> leave = false;
  FakeNode node([&](const FakeRequest&) {
    leave.wait(false);
    return std::string();
  });
  HttpClient client(node.socket_path());
  Result<HttpReply> reply = client.Send({.target = "/", .silence_max = Millis(20)});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code, ErrorCode::kDeadlineExceeded);
  leave = true;
  leave.notify_all();
}

TEST(HttpClientTest, NoSocketAndNobodyListening) {
  const FakeFolder folder;
  HttpClient absent(folder.path() + "/no.sock");
  EXPECT_EQ(absent.Send({.target = "/"}).error().code, ErrorCode::kNotFound);
  const std::string copy = folder.path() + "/dead.sock";
  {
    FakeNode node([](const FakeRequest&) { return std::string(); });
    ASSERT_EQ(::rename(node.socket_path().c_str(), copy.c_str()), 0);
  }
  HttpClient dead(copy);
  EXPECT_EQ(dead.Send({.target = "/"}).error().code, ErrorCode::kUnavailable);
  HttpClient long_path(std::string(200, 'x'));
  EXPECT_EQ(long_path.Send({.target = "/"}).error().code, ErrorCode::kInvalidArgument);
}

TEST(HttpClientTest, GarbageIsRefused) {
  FakeNode node([](const FakeRequest&) { return std::string("SSH-2.0-x\r\n\r\n"); });
  HttpClient client(node.socket_path());
  EXPECT_EQ(client.Send({.target = "/"}).error().code, ErrorCode::kProtocol);
}

}  // namespace
}  // namespace cloister
