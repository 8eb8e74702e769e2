// wsgi.input in its forms, for inline bodies and for those that come in frames.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

// Evaluates the expression in the query string on wsgi.input.
constexpr const char* kEvaluate = R"(
import io, json
from urllib.parse import unquote
def application(environ, start_response):
    i = environ['wsgi.input']
    start_response('200 OK', [])
    return [repr(eval(unquote(environ['QUERY_STRING']))).encode()]
)";

struct Form {
  const char* expression;
  const char* body;
  const char* value;
};

constexpr Form kForms[] = {
    {"i.read()", "abc", "b'abc'"},
    {"i.read(-1)", "abc", "b'abc'"},
    {"i.read(None)", "abc", "b'abc'"},
    {"i.read(2),i.read(2),i.read(2)", "abc", "(b'ab', b'c', b'')"},
    {"i.read(0)", "abc", "b''"},
    {"i.read(1000)", "abc", "b'abc'"},
    {"i.readline(),i.readline(),i.readline()", "one\ntwo", "(b'one\\n', b'two', b'')"},
    {"i.readline(2),i.readline(9)", "one\ntwo", "(b'on', b'e\\n')"},
    {"i.readline(0)", "one\n", "b''"},
    {"i.readlines()", "a\nb\n\nc", "[b'a\\n', b'b\\n', b'\\n', b'c']"},
    {"i.readlines(2)", "a\nb\nc\n", "[b'a\\n']"},
    {"list(i)", "a\nb", "[b'a\\n', b'b']"},
    {"[next(i),i.read()]", "a\nbc", "[b'a\\n', b'bc']"},
    {"io.BufferedReader(i).read()", "abc", "b'abc'"},
    {"json.load(io.TextIOWrapper(i))", "{\"a\": 1}", "{'a': 1}"},
    {"(lambda b, i: (i.readinto(b), bytes(b)))(bytearray(5), i)", "abc", "(3, b'abc\\x00\\x00')"},
    {"i.readable(),i.closed", "abc", "(True, False)"},
    {"i.read()", "", "b''"},
    {"i.readline()", "", "b''"},
    {"list(i)", "", "[]"},
};

class InputTest : public ::testing::TestWithParam<bool> {};

TEST_P(InputTest, EveryForm) {
  const auto node = Serve(kEvaluate);
  for (const Form& form : kForms) {
    const ReceivedResponse response = node->Ask({.method = "POST",
                                                 .target = "/?" + std::string(form.expression),
                                                 .body = form.body,
                                                 .split_body = GetParam() && form.body[0] != '\0'});
    EXPECT_EQ(response.body, form.value) << form.expression << "\n" << node->LogText();
  }
}

TEST_P(InputTest, OfUnknownLength) {
  const auto node = Serve(kEvaluate);
  const ReceivedResponse response = node->Ask({.method = "POST",
                                               .target = "/?i.read(),environ.get('CONTENT_LENGTH')",
                                               .body = "chunked body",
                                               .split_body = GetParam(),
                                               .unknown_length = true});
  EXPECT_EQ(response.body, "(b'chunked body', None)");
}

INSTANTIATE_TEST_SUITE_P(Worker, InputTest, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& split) {
                           return split.param ? "InFrames" : "Inline";
                         });

TEST(LargeInputTest, ComesWithCreditAndIsExact) {
  const auto node = Serve(R"(
import hashlib
def application(environ, start_response):
    digest, size = hashlib.sha256(), 0
    while block := environ['wsgi.input'].read(10000):
        digest.update(block)
        size += len(block)
    start_response('200 OK', [])
    return [f'{size} {digest.hexdigest()}'.encode()]
)");
  const std::string body(5'000'000, 'z');
  const ReceivedResponse response = node->Ask({.method = "POST", .body = body});
  EXPECT_EQ(response.body,
            "5000000 eb3d0a99bd067397945e36e632ea8fdf5dab422face355422b13f6c3b3c2f0d1");
  EXPECT_GT(node->body_credit(), 5'000'000U - kRequestWindow);
}

TEST(LargeInputTest, AnUnreadBodyDoesNotDisturbTheNextRequest) {
  const auto node = Serve(R"(
def application(environ, start_response):
    start_response('200 OK', [])
    return [environ['PATH_INFO'].encode()]
)");
  EXPECT_EQ(node->Ask({.method = "POST", .target = "/1", .body = std::string(200'000, 'a')}).body,
            "/1");
  EXPECT_EQ(node->Ask({.target = "/2"}).body, "/2");
}

TEST(LargeInputTest, ABodyThatEndsEarlyReadsAsItsEnd) {
  const auto node = Serve(kEvaluate);
  const std::uint32_t id = node->Send({.method = "POST",
                                       .target = "/?i.read()",
                                       .body = std::string(20'000, 'a'),
                                       .body_comes_later = true});
  node->SendFrame(
      {.type = FrameType::kRequestBody, .flags = kFrameEnd, .id = id, .payload = "only this"});
  EXPECT_EQ(node->WaitResponse(id).body, "b'only this'");
}

}  // namespace
}  // namespace cloister::testing
