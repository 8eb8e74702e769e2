// What an app asks of the node: encoded as its row says, answered, by any number of threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <string>

#include "apis/calls.h"
#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPrelude = R"(
import _cloister, cloister, threading, time
call = {name: _cloister.bind('cache.' + name) for name in (
    'get', 'get_multi', 'gets', 'set', 'set_multi', 'incr', 'clear')}
)";

// An app that runs `lines` in a request and answers str(answer).
std::unique_ptr<FakeNode> AppOf(const std::string& lines) {
  return Serve(std::string(kPrelude) + R"(
def application(environ, start_response):
    scope = dict(globals(), answer=None)
    try:
        exec(LINES, scope)
    except BaseException as error:
        scope['answer'] = f'{type(error).__name__}: {error}'
    body = str(scope['answer']).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
LINES = '''
)" + lines + "'''\n");
}

// The arguments of a call of that type.
template <typename Args>
Args ArgsIn(std::string_view call) {
  EXPECT_EQ(WireReader(call).U16(), static_cast<std::uint16_t>(Args::kNumber));
  const Result<Args> args = DecodeFields<Args>(call.substr(sizeof(std::uint16_t)));
  EXPECT_TRUE(args.ok());
  return args.ok() ? args.value() : Args();
}

std::string AnswerOf(const std::string& lines,
                     const std::function<std::string(std::string_view)>& answer) {
  const auto node = AppOf(lines);
  node->on_call = [&](std::uint32_t id, std::string_view call) { node->Reply(id, answer(call)); };
  return node->Ask({}).body;
}

TEST(CallTest, ArgumentsAndResultsAreThoseOfTheRow) {
  EXPECT_EQ(AnswerOf("answer = call['get']('k\\u20ac')",
                     [](std::string_view call) {
                       EXPECT_EQ(ArgsIn<CacheGet>(call).key, "k\xe2\x82\xac");
                       return EncodeReply(CacheGetResult{.value = std::string_view("a\0b", 3)});
                     }),
            "b'a\\x00b'");
  EXPECT_EQ(AnswerOf("answer = call['get'](b'k')",
                     [](std::string_view) { return EncodeReply(CacheGetResult{}); }),
            "None");
  EXPECT_EQ(AnswerOf("answer = call['get_multi'](['a', b'b', bytearray(b'c')])",
                     [](std::string_view call) {
                       EXPECT_EQ(ArgsIn<CacheGetMulti>(call).keys,
                                 (call::LIST_BYTES{"a", "b", "c"}));
                       return EncodeReply(CacheGetMultiResult{.values = {"1", std::nullopt, ""}});
                     }),
            "[b'1', None, b'']");
  EXPECT_EQ(AnswerOf("answer = call['gets']('k')",
                     [](std::string_view) {
                       return EncodeReply(CacheGetsResult{.value = "v", .token = "t"});
                     }),
            "(b'v', b't')");
  EXPECT_EQ(AnswerOf("answer = call['incr']('k', -3, None, 2**64 - 1)",
                     [](std::string_view call) {
                       const auto args = ArgsIn<CacheIncr>(call);
                       EXPECT_EQ(args.delta, -3);
                       EXPECT_EQ(args.initial, std::nullopt);
                       EXPECT_EQ(args.ttl_ms, ~std::uint64_t{0});
                       return EncodeReply(CacheIncrResult{.value = INT64_MIN});
                     }),
            "-9223372036854775808");
  EXPECT_EQ(AnswerOf("answer = call['clear']()",
                     [](std::string_view call) {
                       EXPECT_EQ(call.size(), sizeof(std::uint16_t));
                       return EncodeReply(CacheClearResult{.cleared = 1});
                     }),
            "1");
}

TEST(CallTest, WhatDoesNotFitIsAnErrorOfPythonAndNotSent) {
  struct Case {
    const char* line;
    const char* error;
  };
  for (const Case& each : {
           Case{"call['get']()", "TypeError: cache.get takes 1 positional arguments"},
           Case{"call['get']('a', 'b')", "TypeError"},
           Case{"call['get'](key='a')", "TypeError"},
           Case{"call['get'](7)", "TypeError"},
           Case{"call['get'](None)", "TypeError"},
           Case{"call['get']('\\udc80')", "UnicodeEncodeError"},
           Case{"call['get'](b'x' * 2000000)", "ValueError: a call has at most"},
           Case{"call['get_multi']('abc')", "TypeError: a list is wanted"},
           Case{"call['get_multi'](['a', 1])", "TypeError"},
           Case{"call['get_multi'](['a'] * 1001)", "ValueError: a list of a call has at most 1000"},
           Case{"call['get_multi'](7)", "TypeError"},
           Case{"call['set'](256, 'k', 'v', 0)", "OverflowError"},
           Case{"call['set'](-1, 'k', 'v', 0)", "OverflowError"},
           Case{"call['set'](0, 'k', 'v', 2**64)", "OverflowError"},
           Case{"call['set'](0, 'k', 'v', 1.5)", "TypeError"},
           Case{"call['set_multi'](['a'] * 3, [b'v' * 500000] * 3, 0)", "ValueError: a call has"},
           Case{"call['incr']('k', 2**63, None, 0)", "OverflowError"},
           Case{"_cloister.bind('cache.nothing')", "ValueError: there is no call"},
           Case{"_cloister.bind(7)", "TypeError"},
       }) {
    const auto node = AppOf(std::string("answer = ") + each.line);
    EXPECT_THAT(node->Ask({}).body, HasSubstr(each.error)) << each.line;
    EXPECT_TRUE(node->calls().empty()) << each.line;
  }
}

TEST(CallTest, LargeValuesTravelBothWays) {
  const std::string value(1 << 20, 'v');
  EXPECT_EQ(AnswerOf("answer = call['set'](0, 'k', b'w' * (1 << 20), 0)",
                     [](std::string_view call) {
                       EXPECT_EQ(ArgsIn<CacheSet>(call).value, std::string(1 << 20, 'w'));
                       return EncodeReply(CacheSetResult{.stored = 1});
                     }),
            "1");
  EXPECT_EQ(AnswerOf("value = call['get']('k'); answer = (len(value), set(value))",
                     [&](std::string_view) { return EncodeReply(CacheGetResult{.value = value}); }),
            "(1048576, {118})");
}

TEST(CallTest, RefusalsAreExceptionsOfThePackage) {
  const std::string lines = R"(
try:
    call['get']('k')
except cloister.QuotaExceeded as error:
    answer = (error.quota, error.limit, error.used, error.retry_after)
except cloister.ApiError as error:
    answer = (error.code, str(error))
)";
  EXPECT_EQ(
      AnswerOf(lines,
               [](std::string_view) {
                 return EncodeReply(QuotaRefusal{
                     .quota = "cache.calls", .limit = 5000, .used = 5001, .retry_after_ms = 1500});
               }),
      "('cache.calls', 5000, 5001, 1.5)");
  EXPECT_EQ(AnswerOf(lines,
                     [](std::string_view) {
                       return EncodeReply(QuotaRefusal{
                           .quota = "cache.value", .limit = 1, .used = 2, .retry_after_ms = 0});
                     }),
            "('cache.value', 1, 2, None)");
  EXPECT_EQ(
      AnswerOf(lines,
               [](std::string_view) {
                 return EncodeReply(CallFailure{.code = "api_unavailable", .message = "not here"});
               }),
      "('api_unavailable', 'not here (api_unavailable)')");
}

TEST(CallTest, AtImportToo) {
  const Files files = {{"hello.py", std::string(kPrelude) + R"(
FOUND = call['get']('at import')
def application(environ, start_response):
    start_response('200 OK', [])
    return [FOUND]
)"}};
  FakeNode node(files, {});
  node.on_call = [&](std::uint32_t id, std::string_view) {
    node.Reply(id, EncodeReply(CacheGetResult{.value = "found"}));
  };
  ASSERT_TRUE(node.WaitReady());
  EXPECT_EQ(node.Ask({}).body, "found");
}

// Eighty threads, answered out of order: each gets its own answer, and no more are under way than
// the node takes.
TEST(CallTest, ManyThreadsEachGetTheirAnswer) {
  const auto node = AppOf(R"(
found = {}
def ask(i):
    for j in range(20):
        key = f'{i}.{j}'
        found[key] = call['get'](key) == key.encode() * 2
threads = [threading.Thread(target=ask, args=(i,)) for i in range(80)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = (len(found), all(found.values()))
)");
  std::vector<std::pair<std::uint32_t, std::string>> waiting;
  std::size_t most = 0;
  const auto answer_last = [&] {
    const auto [id, key] = waiting.back();
    waiting.pop_back();
    const std::string value = key + key;
    node->Reply(id, EncodeReply(CacheGetResult{.value = value}));
  };
  const auto nothing_comes = [&] {
    pollfd channel = {.fd = node->channel(), .events = POLLIN, .revents = 0};
    return ::poll(&channel, 1, 0) == 0;
  };
  node->on_call = [&](std::uint32_t id, std::string_view call) {
    waiting.emplace_back(id, std::string(ArgsIn<CacheGet>(call).key));
    most = std::max(most, waiting.size());
    // What is held back here may be what all threads wait for.
    while (waiting.size() >= 10 || (!waiting.empty() && nothing_comes()))
      answer_last();
  };
  EXPECT_EQ(node->Ask({}).body, "(1600, True)");
  EXPECT_LE(most, kCallsMax);
}

TEST(CallTest, MoreThanTheNodeTakesWaitInTheWorker) {
  const auto node = AppOf(R"(
threads = [threading.Thread(target=call['get'], args=('k',)) for i in range(100)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = 'done'
)");
  const std::uint32_t request = node->Send({});
  ASSERT_TRUE(node->PumpUntil([&] { return node->calls().size() == kCallsMax; }));
  // One answer makes room for one more.
  for (std::size_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(node->PumpUntil([&] { return node->calls().size() > i; }));
    EXPECT_LE(node->calls().size(), i + kCallsMax);
    node->Reply(node->calls()[i].first, EncodeReply(CacheGetResult{}));
  }
  EXPECT_EQ(node->WaitResponse(request).body, "done");
}

TEST(CallTest, AnInterruptedCallIsForgotten) {
  const auto node = AppOf(R"(
try:
    call['get']('slow')
except cloister.WallTimeExceeded:
    answer = call['get']('next')
)");
  const std::uint32_t request = node->Send({.wall_ms = 1});
  ASSERT_TRUE(node->PumpUntil([&] { return node->calls().size() == 1; }));
  node->Interrupt();
  ASSERT_TRUE(node->PumpUntil([&] { return node->calls().size() == 2; }));
  // The late answer is nobody's.
  node->Reply(node->calls()[0].first, EncodeReply(CacheGetResult{.value = "late"}));
  node->Reply(node->calls()[1].first, EncodeReply(CacheGetResult{.value = "right"}));
  EXPECT_EQ(node->WaitResponse(request).body, "b'right'");
}

}  // namespace
}  // namespace cloister::testing
