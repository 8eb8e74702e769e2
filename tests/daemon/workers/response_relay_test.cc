#include "daemon/workers/response_relay.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/fake_exchange.h"

namespace cloister {
namespace {

// A kResponse frame and the bytes that it points into.
class HeadFrame {
 public:
  HeadFrame(std::uint8_t flags, const ResponseHead& head, std::string_view body = {}) {
    WireWriter writer(payload_);
    head.Encode(writer);
    writer.Raw(body);
    if (!body.empty())
      flags = static_cast<std::uint8_t>(flags | kFrameInlineBody);
    flags_ = flags;
  }
  Frame frame() const {
    return {.type = FrameType::kResponse, .flags = flags_, .id = 1, .payload = payload_};
  }

 private:
  std::string payload_;
  std::uint8_t flags_ = 0;
};

Frame Body(std::string_view bytes, std::uint8_t flags = 0) {
  return {.type = FrameType::kResponseBody, .flags = flags, .id = 1, .payload = bytes};
}

ResponseHead Head(std::vector<WireHeader> headers, std::uint16_t status = 200,
                  std::string_view reason = "OK") {
  return {.status = status, .reason = reason, .headers = std::move(headers)};
}

class ResponseRelayTest : public testing::Test {
 protected:
  void SetUp() override { relay_.Start(exchange_); }
  // Takes a whole response in one frame.
  void TakeWhole(const ResponseHead& head, std::string_view body = {}) {
    const HeadFrame frame(kFrameEnd, head, body);
    const Result<bool> taken = relay_.TakeHead(frame.frame());
    ASSERT_TRUE(taken.ok());
    EXPECT_TRUE(taken.value());
  }
  void Begin(const ResponseHead& head) {
    const HeadFrame frame(0, head);
    const Result<bool> taken = relay_.TakeHead(frame.frame());
    ASSERT_TRUE(taken.ok());
    EXPECT_FALSE(taken.value());
  }

  FakeExchange exchange_;
  ResponseRelay relay_;
};

TEST_F(ResponseRelayTest, WholeResponseIsOneRespond) {
  TakeWhole(Head({{.name = "Content-Length", .value = "5"}}), "hello");
  EXPECT_TRUE(exchange_.whole);
  EXPECT_EQ(exchange_.body, "hello");
  EXPECT_EQ(relay_.exchange(), nullptr);
  EXPECT_TRUE(relay_.complaint().empty());
}

TEST_F(ResponseRelayTest, EmptyResponseHasLengthZero) {
  TakeWhole(Head({}, 200, "Fine"));
  EXPECT_EQ(exchange_.reason, "Fine");
  EXPECT_EQ(exchange_.length, 0U);
  EXPECT_TRUE(exchange_.finished);
}

TEST_F(ResponseRelayTest, OwnReasonIsKept) {
  TakeWhole(Head({}, 418, "I am a teapot"), "short and stout");
  EXPECT_EQ(exchange_.status, 418);
  EXPECT_EQ(exchange_.reason, "I am a teapot");
  EXPECT_EQ(exchange_.length, 15U);
  EXPECT_EQ(exchange_.body, "short and stout");
}

TEST_F(ResponseRelayTest, ResponseInPieces) {
  Begin(Head({}));
  EXPECT_EQ(exchange_.length, std::nullopt);
  EXPECT_FALSE(relay_.TakeBody(Body("one ")).value());
  EXPECT_TRUE(relay_.TakeBody(Body("two", kFrameEnd)).value());
  EXPECT_EQ(exchange_.body, "one two");
  EXPECT_TRUE(exchange_.finished);
}

struct Mismatch {
  const char* length;
  const char* body;
};
class ResponseLengthTest : public ResponseRelayTest,
                           public testing::WithParamInterface<Mismatch> {};

TEST_P(ResponseLengthTest, WholeResponseThatDoesNotFitIsA502) {
  TakeWhole(Head({{.name = "content-length", .value = GetParam().length}}), GetParam().body);
  EXPECT_EQ(exchange_.status, 502);
  EXPECT_NE(exchange_.body.find("response_refused"), std::string::npos);
  EXPECT_NE(relay_.complaint().find("Content-Length"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Lengths, ResponseLengthTest,
                         testing::Values(Mismatch{"4", "hello"}, Mismatch{"6", "hello"},
                                         Mismatch{"1", ""}, Mismatch{"0", "x"}));

TEST_F(ResponseRelayTest, LongBodyInPiecesIsCutAndLogged) {
  Begin(Head({{.name = "Content-Length", .value = "3"}}));
  EXPECT_TRUE(relay_.TakeBody(Body("four", kFrameEnd)).value());
  EXPECT_EQ(exchange_.body, "fou");
  EXPECT_NE(relay_.complaint().find("longer"), std::string::npos);
}

TEST_F(ResponseRelayTest, ShortBodyInPiecesIsLogged) {
  Begin(Head({{.name = "Content-Length", .value = "5"}}));
  EXPECT_TRUE(relay_.TakeBody(Body("four", kFrameEnd)).value());
  EXPECT_NE(relay_.complaint().find("shorter"), std::string::npos);
}

TEST_F(ResponseRelayTest, HeadRequestMayAnnounceALength) {
  exchange_.request().method = "HEAD";
  TakeWhole(Head({{.name = "Content-Length", .value = "100"}}));
  EXPECT_EQ(exchange_.status, 200);
  EXPECT_EQ(exchange_.length, 100U);
  EXPECT_TRUE(relay_.complaint().empty());
}

TEST_F(ResponseRelayTest, NotModifiedMayAnnounceALength) {
  TakeWhole(Head({{.name = "Content-Length", .value = "100"}}, 304, "Not Modified"));
  EXPECT_EQ(exchange_.status, 304);
  EXPECT_EQ(exchange_.body, "");
}

struct BadHead {
  std::uint16_t status;
  const char* name;
  const char* value;
};
class ResponseBadHeadTest : public ResponseRelayTest,
                            public testing::WithParamInterface<BadHead> {};

TEST_P(ResponseBadHeadTest, IsA502ThatTheLogExplains) {
  TakeWhole(Head({{.name = GetParam().name, .value = GetParam().value}}, GetParam().status), "x");
  EXPECT_EQ(exchange_.status, 502);
  EXPECT_EQ(exchange_.responses, 1);
  EXPECT_FALSE(relay_.complaint().empty());
}

INSTANTIATE_TEST_SUITE_P(Heads, ResponseBadHeadTest,
                         testing::Values(BadHead{200, "X-Bad", "a\r\nSet-Cookie: b"},
                                         BadHead{200, "Bad Name", "a"}, BadHead{200, "", "a"},
                                         BadHead{200, "Transfer-Encoding", "chunked"},
                                         BadHead{200, "Connection", "close"},
                                         BadHead{200, "Content-Length", "+1"},
                                         BadHead{101, "Upgrade", "websocket"},
                                         BadHead{99, "X-Fine", "a"}, BadHead{600, "X-Fine", "a"}));

TEST_F(ResponseRelayTest, RestOfARefusedResponseIsDropped) {
  Begin(Head({{.name = "Connection", .value = "close"}}));
  EXPECT_EQ(exchange_.status, 502);
  const std::string problem = exchange_.body;
  EXPECT_FALSE(relay_.TakeBody(Body("more")).value());
  EXPECT_TRUE(relay_.TakeBody(Body("", kFrameEnd)).value());
  EXPECT_EQ(exchange_.body, problem);
}

TEST_F(ResponseRelayTest, CookiesForOthersAreDroppedTheRestIsSent) {
  TakeWhole(Head({{.name = "Set-Cookie", .value = "a=1; Domain=localhost"},
                  {.name = "Set-Cookie", .value = "b=2; Path=/"},
                  {.name = "SET-COOKIE", .value = "c=3; domain=.DEMO.localhost"}}),
            "x");
  EXPECT_EQ(exchange_.status, 200);
  ASSERT_EQ(exchange_.headers.size(), 1U);
  EXPECT_EQ(exchange_.headers.front().second, "b=2; Path=/");
  EXPECT_NE(relay_.complaint().find("Domain"), std::string::npos);
}

TEST_F(ResponseRelayTest, AbortBeforeTheHeadIsA500) {
  std::string reason;
  WireWriter(reason).Str32("the iterator raised");
  EXPECT_TRUE(
      relay_.TakeAbort({.type = FrameType::kResponseAbort, .flags = 0, .id = 1, .payload = reason})
          .value());
  EXPECT_EQ(exchange_.status, 500);
  EXPECT_NE(relay_.complaint().find("the iterator raised"), std::string::npos);
}

TEST_F(ResponseRelayTest, AbortAfterTheHeadClosesTheConnection) {
  Begin(Head({}));
  std::string reason;
  WireWriter(reason).Str32("the iterator raised");
  EXPECT_TRUE(
      relay_.TakeAbort({.type = FrameType::kResponseAbort, .flags = 0, .id = 1, .payload = reason})
          .value());
  EXPECT_TRUE(exchange_.aborted);
}

TEST_F(ResponseRelayTest, BytesAfterAHeadWithoutTheFlagAreAViolation) {
  std::string payload;
  WireWriter writer(payload);
  Head({}).Encode(writer);
  writer.Raw("x");
  const Result<bool> taken = relay_.TakeHead(
      {.type = FrameType::kResponse, .flags = kFrameEnd, .id = 1, .payload = payload});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kProtocol);
}

TEST_F(ResponseRelayTest, CreditComesInSteps) {
  Begin(Head({}));
  const std::string piece(kResponseWindow / 4 - 1, 'p');
  ASSERT_TRUE(relay_.TakeBody(Body(piece)).ok());
  EXPECT_EQ(relay_.TakeCredit(), 0U);
  ASSERT_TRUE(relay_.TakeBody(Body("p")).ok());
  EXPECT_EQ(relay_.TakeCredit(), kResponseWindow / 4);
  EXPECT_EQ(relay_.TakeCredit(), 0U);
}

TEST_F(ResponseRelayTest, StartForgetsTheResponseBefore) {
  TakeWhole(Head({{.name = "Connection", .value = "close"}}), "x");
  FakeExchange next;
  relay_.Start(next);
  EXPECT_TRUE(relay_.complaint().empty());
  TakeWhole(Head({}), "y");
  EXPECT_EQ(next.body, "y");
}

}  // namespace
}  // namespace cloister
