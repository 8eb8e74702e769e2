#include "daemon/http/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "daemon/http/head_scanner.h"

namespace cloister {
namespace {

class Collect : public BodySink {
 public:
  std::optional<HttpRefusal> OnBody(std::string_view bytes) override {
    body += bytes;
    return std::nullopt;
  }
  std::string body;
};

// What became of the bytes of one request, fed in pieces of `step`.
struct Parsed {
  int status = 0;  // of a refusal; 0: none
  std::string code;
  bool complete = false;
  std::string head;
  HttpRequest request;
  HeadFacts facts;
  std::string body;
  std::string rest;
};

class Feeder {
 public:
  explicit Feeder(const HttpLimits& limits) : limits_(limits), parser_(limits) {}

  void Feed(std::string_view bytes, std::size_t step, Parsed& out) {
    std::string held;
    for (std::size_t at = 0; at < bytes.size() && out.status == 0 && !out.complete; at += step) {
      held += bytes.substr(at, step);
      held.erase(0, Take(held, out));
    }
    out.rest = held;
  }

 private:
  // How many of the bytes were used.
  std::size_t Take(std::string_view bytes, Parsed& out) {
    std::string_view rest = bytes;
    if (!in_body_ && !TakeHead(rest, out))
      return bytes.size() - rest.size();
    if (out.complete)
      return bytes.size() - rest.size();
    in_body_ = true;
    switch (parser_.ParseBody(rest, sink_)) {
      case HttpParser::BodyOutcome::kMore:
        EXPECT_TRUE(rest.empty());
        break;
      case HttpParser::BodyOutcome::kDone:
        out.complete = true;
        out.body = sink_.body;
        break;
      case HttpParser::BodyOutcome::kRefused:
        Refuse(parser_.refusal(), out);
        break;
    }
    return bytes.size() - rest.size();
  }

  bool TakeHead(std::string_view& rest, Parsed& out) {
    switch (scanner_.Scan(rest, limits_)) {
      case HeadScanner::Outcome::kMore:
        return false;
      case HeadScanner::Outcome::kRefused:
        Refuse(scanner_.refusal(), out);
        return false;
      case HeadScanner::Outcome::kComplete:
        break;
    }
    out.head = rest.substr(scanner_.begin(), scanner_.end() - scanner_.begin());
    rest.remove_prefix(scanner_.end());
    if (const auto refusal = parser_.ParseHead(out.head, out.request); refusal.has_value()) {
      Refuse(*refusal, out);
      return false;
    }
    out.facts = parser_.facts();
    out.complete = out.facts.framing == BodyFraming::kNone;
    return true;
  }

  static void Refuse(const HttpRefusal& refusal, Parsed& out) {
    out.status = refusal.status;
    out.code = refusal.code;
  }

  HttpLimits limits_;
  HttpParser parser_;
  HeadScanner scanner_{HeadScanner::Section::kHead};
  Collect sink_;
  bool in_body_ = false;
};

void Parse(std::string_view bytes, Parsed& out, std::size_t step = 1 << 20,
           const HttpLimits& limits = {}) {
  Feeder(limits).Feed(bytes, step, out);
}

std::string Outcome(std::string_view bytes, std::size_t step = 1 << 20,
                    const HttpLimits& limits = {}) {
  Parsed parsed;
  Parse(bytes, parsed, step, limits);
  if (parsed.status != 0)
    return std::to_string(parsed.status) + " " + parsed.code;
  return parsed.complete ? "complete" : "more";
}

std::string Get(std::string_view headers) {
  return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
}

std::string Post(std::string_view headers_and_body) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(headers_and_body);
}

std::string Chunked(std::string_view body) {
  return Post("Transfer-Encoding: chunked\r\n\r\n" + std::string(body));
}

struct Row {
  const char* name;
  std::string bytes;
  const char* outcome;
};

void ExpectRows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(row.outcome, Outcome(row.bytes));
    // However the bytes are cut, the outcome is the same.
    EXPECT_EQ(row.outcome, Outcome(row.bytes, 1));
    EXPECT_EQ(row.outcome, Outcome(row.bytes, 3));
  }
}

TEST(HttpParserTest, RequestLines) {
  using std::string_literals::operator""s;
  ExpectRows({
      {"plain", Get(""), "complete"},
      {"empty line in front", "\r\n" + Get(""), "complete"},
      {"too many empty lines in front", "\r\n\r\n\r\n\r\n\r\n" + Get(""), "400 bad_request_line"},
      {"LF in front", "\n" + Get(""), "400 bare_line_feed"},
      {"TLS", "\x16\x03\x01\x02", "400 bad_request_line"},
      {"NUL", "\0"s, "400 bad_request_line"},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_request_line"},
      {"space behind", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 bad_request_line"},
      {"tab", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_request_line"},
      {"no version", "GET /\r\n\r\n", "505 http_version"},
      {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 http_version"},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505 http_version"},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 http_version"},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 http_version"},
      {"http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", "400 bad_request_line"},
      {"RTSP", "GET / RTSP/1.0\r\nHost: a\r\n\r\n", "400 bad_request_line"},
      {"method of RTSP", "DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n", "501 unknown_method"},
      {"method of ICE", "SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", "400 bad_request_line"},
      {"unknown method", "FETCH / HTTP/1.1\r\nHost: a\r\n\r\n", "501 unknown_method"},
      {"lower case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", "501 unknown_method"},
      {"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "501 unknown_method"},
      {"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "501 unknown_method"},
      {"CR in the line", "GET /\ra HTTP/1.1\r\nHost: a\r\n\r\n", "400 bad_target"},
      {"CR CR LF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "505 http_version"},
      {"line ends in LF", "GET / HTTP/1.1\nHost: a\n\n", "400 bare_line_feed"},
  });
}

TEST(HttpParserTest, Targets) {
  const auto request = [](std::string_view method, std::string_view target) {
    return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  ExpectRows({
      {"path", request("GET", "/a/b?c=d&e=%zz"), "complete"},
      {"double slash", request("GET", "//a/b"), "complete"},
      {"unwise characters", request("GET", "/{|}^`<>\"\\"), "complete"},
      {"asterisk", request("OPTIONS", "*"), "complete"},
      {"asterisk with GET", request("GET", "*"), "400 bad_target"},
      {"authority", request("GET", "a:80"), "400 bad_target"},
      {"no slash", request("GET", "a"), "400 bad_target"},
      {"fragment", request("GET", "/a#b"), "400 bad_target"},
      {"fragment in the query", request("GET", "/a?b#c"), "400 bad_target"},
      {"malformed escape", request("GET", "/a%2"), "400 bad_target"},
      {"escape that is no hex", request("GET", "/a%zz"), "400 bad_target"},
      {"escaped NUL", request("GET", "/a%00b"), "400 bad_target"},
      {"byte over 127", request("GET", "/\xc3\xa4"), "400 bad_target"},
      {"control character", request("GET", "/a\x01"), "400 bad_target"},
      {"tab", request("GET", "/a\tb"), "400 bad_target"},
      {"absolute", request("GET", "http://a/b"), "complete"},
      {"absolute https", request("GET", "https://A./b"), "complete"},
      {"absolute without path", request("GET", "http://a"), "complete"},
      {"absolute with query alone", request("GET", "http://a?b"), "complete"},
      {"absolute, other host", request("GET", "http://b/"), "400 conflicting_hosts"},
      {"absolute, other port", request("GET", "http://a:81/"), "400 conflicting_hosts"},
      {"absolute, no host", request("GET", "http:///b"), "400 bad_target"},
      {"absolute, user", request("GET", "http://u@a/"), "400 bad_target"},
      {"absolute, fragment", request("GET", "http://a#b"), "400 bad_target"},
      {"absolute, other scheme", request("GET", "ftp://a/"), "400 bad_target"},
  });
}

TEST(HttpParserTest, AbsoluteTargetsAreNormalised) {
  const std::vector<std::pair<std::string, std::string>> rows = {{"http://a.b:80/c?d", "/c?d"},
                                                                 {"http://A.b:80", "/"},
                                                                 {"http://a.b:80?d=/e", "/?d=/e"},
                                                                 {"HTTP://a.b:80/", "/"}};
  for (const auto& [target, normalised] : rows) {
    Parsed parsed;
    Parse("GET " + target + " HTTP/1.1\r\nHost: a.B:80\r\n\r\n", parsed);
    EXPECT_TRUE(parsed.complete) << target << " " << parsed.code;
    EXPECT_EQ(normalised, parsed.request.target);
    EXPECT_EQ("a.b", parsed.request.host);
    EXPECT_EQ("80", parsed.request.port);
  }
}

TEST(HttpParserTest, Hosts) {
  const auto request = [](std::string_view host) {
    return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
  };
  ExpectRows({
      {"missing", "GET / HTTP/1.1\r\n\r\n", "400 no_host"},
      {"missing in 1.0", "GET / HTTP/1.0\r\n\r\n", "complete"},
      {"twice", Get("Host: a\r\n"), "400 repeated_host"},
      {"twice in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400 repeated_host"},
      {"empty", request(""), "complete"},
      {"with port", request("a:8080"), "complete"},
      {"empty port", request("a:"), "complete"},
      {"port alone", request(":80"), "400 bad_host"},
      {"port too large", request("a:65536"), "400 bad_host"},
      {"port no number", request("a:8x"), "400 bad_host"},
      {"two ports", request("a:80:80"), "400 bad_host"},
      {"IPv6", request("[::1]:80"), "complete"},
      {"IPv6 unclosed", request("[::1"), "400 bad_host"},
      {"IPv6 with junk", request("[::1]x"), "400 bad_host"},
      {"IPv6 empty", request("[]"), "400 bad_host"},
      {"space", request("a b"), "400 bad_host"},
      {"slash", request("a/b"), "400 bad_host"},
      {"user", request("a@b"), "400 bad_host"},
      {"list", request("a,b"), "400 bad_host"},
      {"escape", request("a%41"), "400 bad_host"},
      {"byte over 127", request("\xc3\xa4"), "400 bad_host"},
      {"255 letters", request(std::string(255, 'a')), "complete"},
      {"256 letters", request(std::string(256, 'a')), "400 bad_host"},
  });
}

TEST(HttpParserTest, HostIsLowerCaseWithoutPortAndFinalDot) {
  Parsed parsed;
  Parse("GET / HTTP/1.1\r\nHOST: \t Hello.DEMO.localhost.:8080 \r\n\r\n", parsed);
  EXPECT_EQ("hello.demo.localhost", parsed.request.host);
  EXPECT_EQ("8080", parsed.request.port);
}

TEST(HttpParserTest, Headers) {
  using std::string_literals::operator""s;
  ExpectRows({
      {"bytes over 127 in a value", Get("X: \x80\xff\r\n"), "complete"},
      {"empty value", Get("X:\r\n"), "complete"},
      {"folded", Get("X: a\r\n b\r\n"), "400 folded_header"},
      {"folded by a tab", Get("X: a\r\n\tb\r\n"), "400 folded_header"},
      {"folded first", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 folded_header"},
      {"space before the colon", Get("X : a\r\n"), "400 bad_header"},
      {"no colon", Get("X\r\n"), "400 bad_header"},
      {"no name", Get(": a\r\n"), "400 bad_header"},
      {"byte over 127 in a name", Get("X\x80: a\r\n"), "400 bad_header"},
      {"NUL in a value", Get("X: a\0b\r\n"s), "400 bad_header"},
      {"NUL in a name", Get("X\0: a\r\n"s), "400 bad_header"},
      {"control character", Get("X: a\x01\r\n"), "400 bad_header"},
      {"DEL", Get("X: a\x7f\r\n"), "400 bad_header"},
      {"bare CR", Get("X: a\rY: b\r\n"), "400 bad_header"},
      {"bare LF", Get("X: a\nY: b\r\n"), "400 bare_line_feed"},
      {"LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", "400 bare_line_feed"},
      {"CR at the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n", "400 bad_header"},
      {"Content-Type twice", Get("Content-Type: a/b\r\nContent-Type: a/b\r\n"),
       "400 repeated_content_type"},
      {"unknown expectation", Get("Expect: 200-ok\r\n"), "417 unknown_expectation"},
      {"expectation of 1.0", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", "complete"},
      {"upgrade is a wish", Get("Connection: Upgrade\r\nUpgrade: h2c\r\n"), "complete"},
  });
}

TEST(HttpParserTest, HeadersAreLowerCaseTrimmedAndInOrder) {
  Parsed parsed;
  Parse("GET / HTTP/1.1\r\nHost: a\r\nX-One:  1 \t\r\nACCEPT: \r\nx-one: Two\r\n\r\n", parsed);
  std::vector<std::string> seen;
  for (const HttpHeader& header : parsed.request.headers)
    seen.push_back(std::string(header.name) + "=" + std::string(header.value));
  EXPECT_THAT(seen, testing::ElementsAre("host=a", "x-one=1", "accept=", "x-one=Two"));
  EXPECT_EQ("1", parsed.request.Header("x-one"));
  EXPECT_EQ("", parsed.request.Header("absent"));
}

TEST(HttpParserTest, NamesWithAnUnderscoreAreDropped) {
  Parsed parsed;
  Parse(Get("X_Forwarded_For: evil\r\nContent_Length: 5\r\nX-Ok: 1\r\n"), parsed);
  EXPECT_TRUE(parsed.complete);
  EXPECT_EQ(2u, parsed.request.headers.size());
  EXPECT_EQ(2u, parsed.facts.dropped_headers);
}

TEST(HttpParserTest, BodiesWithALength) {
  ExpectRows({
      {"whole", Post("Content-Length: 3\r\n\r\nabc"), "complete"},
      {"zero", Post("Content-Length: 0\r\n\r\n"), "complete"},
      {"short", Post("Content-Length: 3\r\n\r\nab"), "more"},
      {"twice the same", Post("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
       "400 conflicting_lengths"},
      {"list", Post("Content-Length: 3, 3\r\n\r\nabc"), "400 bad_content_length"},
      {"plus", Post("Content-Length: +3\r\n\r\nabc"), "400 bad_content_length"},
      {"minus", Post("Content-Length: -3\r\n\r\nabc"), "400 bad_content_length"},
      {"hex", Post("Content-Length: 0x3\r\n\r\nabc"), "400 bad_content_length"},
      {"two numbers", Post("Content-Length: 3 3\r\n\r\nabc"), "400 bad_content_length"},
      {"empty", Post("Content-Length:\r\n\r\nabc"), "400 bad_content_length"},
      {"overflow", Post("Content-Length: 18446744073709551616\r\n\r\nabc"),
       "400 bad_content_length"},
      {"and chunked", Post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
       "400 conflicting_lengths"},
      {"after chunked", Post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
       "400 conflicting_lengths"},
  });
}

TEST(HttpParserTest, TransferEncodings) {
  ExpectRows({
      {"other case", Post("transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n"), "complete"},
      {"1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "400 bad_transfer_encoding"},
      {"gzip", Post("Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"), "501 unknown_transfer_encoding"},
      {"gzip, chunked", Post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
       "501 unknown_transfer_encoding"},
      {"identity", Post("Transfer-Encoding: identity\r\n\r\n"), "501 unknown_transfer_encoding"},
      {"xchunked", Post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
       "501 unknown_transfer_encoding"},
      {"empty", Post("Transfer-Encoding:\r\n\r\n0\r\n\r\n"), "501 unknown_transfer_encoding"},
      {"chunked, gzip", Post("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
       "400 bad_transfer_encoding"},
      {"chunked, chunked", Post("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
       "400 bad_transfer_encoding"},
      {"twice", Post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
       "400 bad_transfer_encoding"},
      {"tab in front", Post("Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"), "complete"},
      {"vertical tab",
       Post("Transfer-Encoding: \x0b"
            "chunked\r\n\r\n0\r\n\r\n"),
       "400 bad_header"},
  });
}

TEST(HttpParserTest, ChunkedBodies) {
  ExpectRows({
      {"one chunk", Chunked("3\r\nabc\r\n0\r\n\r\n"), "complete"},
      {"none", Chunked("0\r\n\r\n"), "complete"},
      {"upper and lower case", Chunked("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
       "complete"},
      {"extension", Chunked("3;a=b\r\nabc\r\n0\r\n\r\n"), "complete"},
      {"trailer", Chunked("3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), "complete"},
      {"unfinished", Chunked("3\r\nabc\r\n0\r\n"), "more"},
      {"LF behind the size", Chunked("3\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"LF behind the chunk", Chunked("3\r\nabc\n0\r\n\r\n"), "400 bad_chunk"},
      {"chunk too long", Chunked("3\r\nabcd\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"space behind the size", Chunked("3 \r\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"space in front of the size", Chunked(" 3\r\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"0x", Chunked("0x3\r\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"minus", Chunked("-3\r\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"no size", Chunked("\r\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"size overflow", Chunked("10000000000000000\r\nabc"), "400 bad_chunk"},
      {"LF in an extension", Chunked("3;a=b\nx\r\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"CR in an extension", Chunked("3;a=b\rx\r\nabc\r\n0\r\n\r\n"), "400 bad_chunk"},
      {"LF behind the last size", Chunked("3\r\nabc\r\n0\n\r\n"), "400 bad_chunk"},
      {"LF at the end", Chunked("3\r\nabc\r\n0\r\n\n"), "400 bare_line_feed"},
      {"LF behind a trailer", Chunked("0\r\nX: a\n\r\n"), "400 bare_line_feed"},
      {"folded trailer", Chunked("0\r\nX: a\r\n b\r\n\r\n"), "400 folded_header"},
      {"malformed trailer", Chunked("0\r\nX : a\r\n\r\n"), "400 bad_header"},
      {"trailer Content-Length", Chunked("0\r\nContent-Length: 5\r\n\r\n"),
       "400 forbidden_trailer"},
      {"trailer Host", Chunked("0\r\nHost: b\r\n\r\n"), "400 forbidden_trailer"},
      {"trailer Authorization", Chunked("0\r\nauthorization: b\r\n\r\n"), "400 forbidden_trailer"},
  });
}

TEST(HttpParserTest, BodiesComeThroughWholeAndNothingMore) {
  for (const std::size_t step : {1u, 2u, 5u, 1000u}) {
    Parsed chunked;
    Parse(Chunked("3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-T: 1\r\n\r\nGET /next"), chunked, step);
    EXPECT_EQ("abcdefgh", chunked.body);
    EXPECT_TRUE(std::string_view("GET /next").starts_with(chunked.rest)) << chunked.rest;
    EXPECT_EQ("", chunked.request.Header("transfer-encoding"));
    Parsed sized;
    Parse(Post("Content-Length: 4\r\n\r\nabcdGET /next"), sized, step);
    EXPECT_EQ("abcd", sized.body);
    EXPECT_TRUE(std::string_view("GET /next").starts_with(sized.rest)) << sized.rest;
  }
}

TEST(HttpParserTest, ChunkHeadersAreBounded) {
  std::string body;
  for (int i = 0; i < 100; ++i)
    body += "1;" + std::string(500, 'x') + "\r\na\r\n";
  EXPECT_EQ("400 bad_chunk", Outcome(Chunked(body), 1000));
  // Leading zeros have no end of their own.
  EXPECT_EQ("400 bad_chunk", Outcome(Chunked(std::string(64 * 1024, '0')), 1000));
}

TEST(HttpParserTest, KeepAlive) {
  const std::vector<std::pair<std::string, bool>> rows = {
      {Get(""), true},
      {Get("Connection: close\r\n"), false},
      {Get("Connection: x, Close\r\n"), false},
      {Get("Connection: close, keep-alive\r\n"), false},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
      {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false}};
  for (const auto& [bytes, keep_alive] : rows) {
    Parsed parsed;
    Parse(bytes, parsed);
    EXPECT_EQ(keep_alive, parsed.facts.keep_alive) << bytes;
  }
}

TEST(HttpParserTest, FactsForTheConnection) {
  Parsed parsed;
  Parse(Post("Content-Length: 3\r\nExpect: 100-Continue\r\nX-Request-Id: theirs\r\n\r\n"), parsed);
  EXPECT_TRUE(parsed.facts.expects_continue);
  EXPECT_EQ("theirs", parsed.facts.client_request_id);
  EXPECT_EQ(BodyFraming::kLength, parsed.facts.framing);
  EXPECT_EQ(3u, parsed.facts.content_length);
}

// A request whose head has exactly `size` bytes.
std::string HeadOfSize(std::size_t size) {
  const std::string empty = Get("X: \r\n");
  return Get("X: " + std::string(size - empty.size(), 'x') + "\r\n");
}

std::string WithHeaders(std::size_t count) {
  std::string headers;
  for (std::size_t i = 1; i < count; ++i)  // Host is one of them
    headers += "X: 1\r\n";
  return Get(headers);
}

std::string WithTarget(std::size_t size) {
  return "GET /" + std::string(size - 1, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

TEST(HttpParserTest, LimitsAtTheirEdges) {
  const HttpLimits limits;
  const std::vector<Row> rows = {
      {"head - 1", HeadOfSize(limits.head_max - 1), "complete"},
      {"head", HeadOfSize(limits.head_max), "complete"},
      {"head + 1", HeadOfSize(limits.head_max + 1), "431 head_too_large"},
      {"headers - 1", WithHeaders(limits.headers_max - 1), "complete"},
      {"headers", WithHeaders(limits.headers_max), "complete"},
      {"headers + 1", WithHeaders(limits.headers_max + 1), "431 too_many_headers"},
      {"target - 1", WithTarget(limits.target_max - 1), "complete"},
      {"target", WithTarget(limits.target_max), "complete"},
      {"target + 1", WithTarget(limits.target_max + 1), "414 target_too_long"},
      {"endless target", WithTarget(10 * limits.target_max), "414 target_too_long"},
      {"endless header", HeadOfSize(10 * limits.head_max), "431 head_too_large"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(row.outcome, Outcome(row.bytes));
    EXPECT_EQ(row.outcome, Outcome(row.bytes, 1000));
  }
}

TEST(HttpParserTest, TrailersAtTheirLimit) {
  const HttpLimits limits;
  const auto request = [](std::size_t size) {
    const std::string around = "X: \r\n\r\n";
    return Chunked("0\r\nX: " + std::string(size - around.size(), 'x') + "\r\n\r\n");
  };
  EXPECT_EQ("complete", Outcome(request(limits.trailer_max - 1), 999));
  EXPECT_EQ("complete", Outcome(request(limits.trailer_max)));
  EXPECT_EQ("complete", Outcome(request(limits.trailer_max), 999));
  EXPECT_EQ("431 trailers_too_large", Outcome(request(limits.trailer_max + 1)));
  EXPECT_EQ("431 trailers_too_large", Outcome(request(limits.trailer_max + 1), 999));
}

TEST(HttpParserTest, AnEncodedHeadOfTheLargestSizeFitsTheWire) {
  const HttpLimits limits;
  constexpr std::size_t kFieldsBesides = 1024;  // fixed fields, host, addresses, id
  EXPECT_LE(limits.head_max + 4 * limits.headers_max + kFieldsBesides, kHeadMax);
}

TEST(HttpParserTest, PathAndQuery) {
  Parsed parsed;
  Parse("GET /a%20b?c?d HTTP/1.1\r\nHost: a\r\n\r\n", parsed);
  EXPECT_EQ("/a%20b", parsed.request.path());
  EXPECT_EQ("c?d", parsed.request.query());
}

TEST(HttpParserTest, OneParserReadsRequestAfterRequest) {
  HttpParser parser{HttpLimits()};
  HttpRequest request;
  std::string head = Post("Transfer-Encoding: chunked\r\n\r\n");
  ASSERT_FALSE(parser.ParseHead(head, request).has_value());
  Collect sink;
  std::string_view body = "0\r\nX: 1\r\n\r\n";
  ASSERT_EQ(HttpParser::BodyOutcome::kDone, parser.ParseBody(body, sink));
  std::string second = Get("");
  ASSERT_FALSE(parser.ParseHead(second, request).has_value());
  EXPECT_EQ(BodyFraming::kNone, parser.facts().framing);
  EXPECT_EQ("GET", request.method);
}

}  // namespace
}  // namespace cloister
