// One request through the runtime: what PEP 3333 promises to apps, and what apps may not do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

constexpr const char* kHello = R"(
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello\n']
)";

// An app whose body of application() is `lines`.
std::string App(const std::string& lines) {
  std::string source = "import os, sys, time\ndef application(environ, start_response):\n";
  std::string_view rest = lines;
  while (!rest.empty()) {
    const std::size_t newline = rest.find('\n');
    source += "    " + std::string(rest.substr(0, newline)) + "\n";
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
  }
  return source;
}

// A request whose body has not come yet; the test ends it.
TestRequest OpenEnded(const std::string& target) {
  return {.method = "POST", .target = target, .unknown_length = true, .body_comes_later = true};
}

TEST(ServeTest, HelloAnswersInOneFrame) {
  const auto node = Serve(kHello);
  const ReceivedResponse response = node->Ask({});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.reason, "OK");
  EXPECT_THAT(response.headers, ElementsAre(Pair("Content-Type", "text/plain")));
  EXPECT_EQ(response.body, "hello\n");
  EXPECT_EQ(response.frames, 1);
  EXPECT_TRUE(response.ended);
  EXPECT_THAT(node->LogText(), IsEmpty());
}

TEST(ServeTest, ABatchIsAnsweredInOrderAndEachIsClaimed) {
  const auto node = Serve(App(R"(start_response('200 OK', [])
return [environ['PATH_INFO'].encode()])"));
  std::vector<TestRequest> requests;
  requests.reserve(8);
  for (int i = 0; i < 8; ++i)
    requests.push_back({.target = "/" + std::to_string(i)});
  const std::vector<std::uint32_t> ids = node->SendTogether(requests);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(node->WaitResponse(ids[i]).body, "/" + std::to_string(i));
    EXPECT_EQ(node->inbox().slots[i].load(), InboxPage::Word(ids[i], SlotState::kClaimed));
  }
}

TEST(ServeTest, AWithdrawnRequestIsNotRun) {
  const auto node = Serve(App(R"(print('ran', environ['PATH_INFO'])
if environ['PATH_INFO'] == '/slow':
    environ['wsgi.input'].read()
start_response('200 OK', [])
return [b'x'])"));
  // The first one waits for its body, so the second is still unclaimed when it is withdrawn.
  const std::uint32_t first = node->Send(OpenEnded("/slow"));
  const std::uint32_t second = node->Send({.target = "/withdrawn"});
  const std::uint32_t third = node->Send({.target = "/third"});
  ASSERT_TRUE(node->inbox().Withdraw(1, second));
  node->SendFrame(
      {.type = FrameType::kRequestBody, .flags = kFrameEnd, .id = first, .payload = {}});
  EXPECT_EQ(node->WaitResponse(third).body, "x");
  EXPECT_EQ(node->LogText(), "ran /slow\nran /third\n");
}

TEST(ServeTest, EnvironIsThatOfPep3333) {
  const auto node =
      Serve(App(R"(names = ['REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING',
    'CONTENT_TYPE', 'CONTENT_LENGTH', 'SERVER_NAME', 'SERVER_PORT', 'SERVER_PROTOCOL', 'REMOTE_ADDR',
    'HTTP_HOST', 'HTTP_COOKIE', 'HTTP_X_TWICE', 'HTTP_CONTENT_TYPE', 'HTTP_CONTENT_LENGTH',
    'wsgi.version', 'wsgi.url_scheme', 'wsgi.multithread', 'wsgi.multiprocess', 'wsgi.run_once',
    'REQUEST_URI', 'cloister.request_id']
assert type(environ) is dict
start_response('200 OK', [])
return ['\n'.join(f'{n}={environ.get(n)!r}' for n in names).encode()])"));
  const ReceivedResponse response = node->Ask({.method = "POST",
                                               .target = "/a%20b%2Fc%C3%A9%zz?q=%20&r",
                                               .headers = {{"host", "hello.demo.localhost:8080"},
                                                           {"content-type", "text/plain"},
                                                           {"cookie", "a=1"},
                                                           {"x-twice", "one"},
                                                           {"cookie", "b=2"},
                                                           {"x-twice", "two"}},
                                               .body = "12345"});
  EXPECT_EQ(response.body, R"(REQUEST_METHOD='POST'
SCRIPT_NAME=''
PATH_INFO='/a b/cÃ©%zz'
QUERY_STRING='q=%20&r'
CONTENT_TYPE='text/plain'
CONTENT_LENGTH='5'
SERVER_NAME='hello.demo.localhost'
SERVER_PORT='8080'
SERVER_PROTOCOL='HTTP/1.1'
REMOTE_ADDR='127.0.0.1'
HTTP_HOST='hello.demo.localhost:8080'
HTTP_COOKIE='a=1; b=2'
HTTP_X_TWICE='one,two'
HTTP_CONTENT_TYPE=None
HTTP_CONTENT_LENGTH=None
wsgi.version=(1, 0)
wsgi.url_scheme='http'
wsgi.multithread=False
wsgi.multiprocess=True
wsgi.run_once=False
REQUEST_URI='/a%20b%2Fc%C3%A9%zz?q=%20&r'
cloister.request_id='req-1')");
}

TEST(ServeTest, EachRequestHasAnEnvironOfItsOwn) {
  const auto node = Serve(App(R"(seen = 'mark' in environ
environ['mark'] = 1
environ['SERVER_SOFTWARE'] = 'changed'
start_response('200 OK', [])
return [str(seen).encode()])"));
  EXPECT_EQ(node->Ask({}).body, "False");
  EXPECT_EQ(node->Ask({}).body, "False");
}

TEST(ServeTest, WsgirefValidateFindsNothing) {
  const auto node = Serve(R"(
from wsgiref.validate import validator
def app(environ, start_response):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    environ['wsgi.errors'].write('seen\n')
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
application = validator(app)
)");
  EXPECT_EQ(node->Ask({}).status, 200) << node->LogText();
  EXPECT_EQ(node->Ask({.method = "POST", .body = "posted"}).body, "posted") << node->LogText();
  EXPECT_EQ(node->LogText(), "seen\nseen\n");
}

TEST(ServeTest, AGeneratorStreamsEachBlockBeforeTheNext) {
  const auto node = Serve(App(R"(start_response('200 OK', [])
def body():
    yield b''
    yield b'one '
    environ['wsgi.input'].read()
    yield b'two'
return body())"));
  const std::uint32_t id = node->Send(OpenEnded("/"));
  // The second block needs the rest of the request: the first must come without it.
  ASSERT_TRUE(node->PumpUntil([&] { return node->SoFar(id).body == "one "; }));
  node->SendFrame({.type = FrameType::kRequestBody, .flags = kFrameEnd, .id = id, .payload = {}});
  EXPECT_EQ(node->WaitResponse(id).body, "one two");
}

TEST(ServeTest, CloseIsCalledAfterSuccessAndAfterFailure) {
  const auto node = Serve(R"(
class Body:
    def __init__(self, blocks): self.blocks = iter(blocks)
    def __iter__(self): return self
    def __next__(self):
        block = next(self.blocks)
        if block is None: raise RuntimeError('in the middle')
        return block
    def close(self): print('closed')
def application(environ, start_response):
    start_response('200 OK', [])
    return Body([b'a', None] if environ['PATH_INFO'] == '/fail' else [b'a', b'b'])
)");
  EXPECT_EQ(node->Ask({}).body, "ab");
  EXPECT_EQ(node->LogText(), "closed\n");
  const ReceivedResponse failed = node->Ask({.target = "/fail"});
  EXPECT_TRUE(failed.aborted);
  EXPECT_THAT(node->LogText(), HasSubstr("closed\n"));
  EXPECT_THAT(node->LogText(), HasSubstr("RuntimeError: in the middle"));
  EXPECT_EQ(node->Ask({}).body, "ab");
}

TEST(ServeTest, TheWriteCallableSendsAtOnceAndBeforeTheIterable) {
  const auto node = Serve(App(R"(write = start_response('200 OK', [('X-A', 'b')])
write(b'first ')
write(b'')
write(b'second ')
return [b'third'])"));
  const ReceivedResponse response = node->Ask({});
  EXPECT_EQ(response.body, "first second third");
  EXPECT_TRUE(response.ended);
  EXPECT_GT(response.frames, 1);
}

TEST(ServeTest, ExcInfoReplacesTheHeadUntilItHasLeft) {
  const auto node = Serve(App(R"(start_response('200 OK', [('X-A', 'first')])
if environ['PATH_INFO'] == '/late':
    def body():
        yield b'out'
        try: 1 / 0
        except ZeroDivisionError: start_response('500 Oops', [], sys.exc_info())
        yield b'never'
    return body()
try: 1 / 0
except ZeroDivisionError: start_response('503 Later', [('X-A', 'second')], exc_info=sys.exc_info())
return [b'sorry'])"));
  const ReceivedResponse replaced = node->Ask({});
  EXPECT_EQ(replaced.status, 503);
  EXPECT_THAT(replaced.headers, ElementsAre(Pair("X-A", "second")));
  EXPECT_EQ(replaced.body, "sorry");
  const ReceivedResponse late = node->Ask({.target = "/late"});
  EXPECT_EQ(late.status, 200);
  EXPECT_EQ(late.body, "out");
  EXPECT_TRUE(late.aborted);
  EXPECT_THAT(node->LogText(), HasSubstr("ZeroDivisionError"));
}

TEST(ServeTest, AnUnhandledExceptionIsA500WithoutItsText) {
  const auto node = Serve(App("secret = 'abc'\nraise ValueError('do not show ' + secret)"));
  const ReceivedResponse response = node->Ask({});
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, HasSubstr("req-1"));
  EXPECT_THAT(response.body, Not(HasSubstr("secret")));
  EXPECT_THAT(response.body, Not(HasSubstr("ValueError")));
  ASSERT_EQ(node->logs().size(), 1U);
  const ReceivedLog& log = node->logs()[0];
  EXPECT_EQ(log.source, LogSource::kRuntime);
  EXPECT_EQ(log.level, 40);
  EXPECT_EQ(log.id, 1U);
  EXPECT_EQ(log.bytes, R"(Traceback (most recent call last):
  File "hello@1.2.0/hello.py", line 4, in application
    raise ValueError('do not show ' + secret)
ValueError: do not show abc
)");
}

struct BadAnswer {
  const char* name;
  const char* lines;
  const char* in_log;
};

class BadAnswerTest : public ::testing::TestWithParam<BadAnswer> {};

TEST_P(BadAnswerTest, IsA500AndExplained) {
  const auto node = Serve(App(GetParam().lines) + "\n");
  const ReceivedResponse response = node->Ask({});
  EXPECT_EQ(response.status, 500);
  EXPECT_TRUE(response.ended);
  EXPECT_THAT(node->LogText(), HasSubstr(GetParam().in_log));
  EXPECT_EQ(node->Ask({}).status, 500);
}

INSTANTIATE_TEST_SUITE_P(
    Serve, BadAnswerTest,
    ::testing::Values(
        BadAnswer{"NoStart", "return [b'x']", "without calling start_response"},
        BadAnswer{"NoStartEmpty", "return []", "without calling start_response"},
        BadAnswer{"StartTwice", "start_response('200 OK', [])\nstart_response('200 OK', [])",
                  "called twice"},
        BadAnswer{"Text", "start_response('200 OK', [])\nreturn ['text']",
                  "must be bytes, not str"},
        BadAnswer{"TextBody", "start_response('200 OK', [])\nreturn 'text'",
                  "must return a list of bytes, not str"},
        BadAnswer{"BytesBody", "start_response('200 OK', [])\nreturn b'text'",
                  "must return a list of bytes, not bytes"},
        BadAnswer{"None", "start_response('200 OK', [])\nreturn None",
                  "must return an iterable of bytes, not NoneType"},
        BadAnswer{"StatusBytes", "start_response(b'200 OK', [])", "the status must be str"},
        BadAnswer{"StatusNumber", "start_response('200', [])", "must look like '200 OK'"},
        BadAnswer{"StatusWord", "start_response('abc OK', [])", "must look like '200 OK'"},
        BadAnswer{"StatusControl", "start_response('200 O\\nK', [])", "must look like '200 OK'"},
        BadAnswer{"StatusLow", "start_response('101 Switch', [])", "must be 200 or more"},
        BadAnswer{"HeadersTuple", "start_response('200 OK', ())", "must be a list"},
        BadAnswer{"HeaderList", "start_response('200 OK', [['a', 'b']])", "must be a tuple"},
        BadAnswer{"HeaderValueNumber", "start_response('200 OK', [('a', 1)])",
                  "a header value must be str, not int"},
        BadAnswer{"HeaderValueUnicode", "start_response('200 OK', [('a', '\\u20ac')])",
                  "outside of latin-1"},
        BadAnswer{"HeaderInjection", "start_response('200 OK', [('a', 'b\\r\\nSet-Cookie: c')])",
                  "control characters"},
        BadAnswer{"HeaderNameInjection", "start_response('200 OK', [('a: b\\r\\nc', 'd')])",
                  "not a header name"},
        BadAnswer{"HeaderNameEmpty", "start_response('200 OK', [('', 'd')])", "not a header name"},
        BadAnswer{"HopByHop", "start_response('200 OK', [('Transfer-Encoding', 'chunked')])",
                  "hop-by-hop"},
        BadAnswer{"Connection", "start_response('200 OK', [('connection', 'close')])",
                  "hop-by-hop"},
        BadAnswer{"LengthWord", "start_response('200 OK', [('Content-Length', 'x')])",
                  "must be a number"},
        BadAnswer{"LengthTwice",
                  "start_response('200 OK', [('Content-Length', '1'), ('content-length', '2')])",
                  "given twice"},
        BadAnswer{"TooManyHeaders", "start_response('200 OK', [('a', 'b')] * 101)",
                  "at most 100 headers"},
        BadAnswer{"TooLargeHeaders", "start_response('200 OK', [('a', 'b' * 4000)] * 11)",
                  "at most 40960 bytes"},
        BadAnswer{"TooShort", "start_response('200 OK', [('Content-Length', '9')])\nreturn [b'x']",
                  "has 1 bytes, but its Content-Length says 9"},
        BadAnswer{"TooLong", "start_response('200 OK', [('Content-Length', '1')])\nreturn [b'xy']",
                  "longer than its Content-Length of 1"},
        BadAnswer{"TooLongGenerator",
                  "start_response('200 OK', [('Content-Length', '1')])\nreturn iter([b'xy'])",
                  "longer than its Content-Length of 1"},
        BadAnswer{"Exit", "raise SystemExit(3)", "SystemExit: 3"},
        BadAnswer{"Arguments", "start_response('200 OK')", "start_response(status"}),
    [](const ::testing::TestParamInfo<BadAnswer>& bad) { return bad.param.name; });

TEST(ServeTest, AWrongLengthAfterTheHeadIsAnAbort) {
  const auto node = Serve(App(R"(length = environ['QUERY_STRING']
start_response('200 OK', [('Content-Length', length)])
return iter([b'ab', b'cd']))"));
  const ReceivedResponse too_long = node->Ask({.target = "/?3"});
  EXPECT_TRUE(too_long.aborted);
  EXPECT_EQ(too_long.body, "ab");
  EXPECT_THAT(node->LogText(), HasSubstr("longer than its Content-Length of 3"));
  EXPECT_TRUE(node->Ask({.target = "/?5"}).aborted);
  EXPECT_THAT(node->LogText(), HasSubstr("has 4 bytes, but its Content-Length says 5"));
  EXPECT_EQ(node->Ask({.target = "/?4"}).body, "abcd");
}

TEST(ServeTest, HeadAnd304NeedNoBody) {
  const auto node =
      Serve(App(R"(status = '304 Not Modified' if environ['PATH_INFO'] == '/304' else '200 OK'
start_response(status, [('Content-Length', '10')])
return [])"));
  EXPECT_EQ(node->Ask({.method = "HEAD"}).status, 200) << node->LogText();
  EXPECT_EQ(node->Ask({.target = "/304"}).status, 304) << node->LogText();
  EXPECT_EQ(node->Ask({}).status, 500);
}

TEST(ServeTest, ALargeBodyWaitsForCredit) {
  const auto node = Serve(App(R"(start_response('200 OK', [])
return [b'x' * 1000000])"));
  node->GiveCredit(false);
  const std::uint32_t id = node->Send({});
  ASSERT_TRUE(node->PumpUntil([&] { return node->SoFar(id).body.size() >= kResponseWindow; }));
  EXPECT_EQ(node->SoFar(id).body.size(), kResponseWindow);
  EXPECT_FALSE(node->SoFar(id).ended);
  std::string credit(4, '\0');
  const std::uint32_t more = 1000000 - kResponseWindow;
  std::memcpy(credit.data(), &more, sizeof more);
  node->SendFrame({.type = FrameType::kCredit, .flags = 0, .id = id, .payload = credit});
  EXPECT_EQ(node->WaitResponse(id).body, std::string(1000000, 'x'));
}

TEST(ServeTest, ManySmallBlocksAndOneOfEveryFrameBoundary) {
  const auto node = Serve(App(R"(size = int(environ['QUERY_STRING'])
start_response('200 OK', [('Content-Length', str(size))])
return [b'x' * size])"));
  // The head's frame holds what fits; around that, and around a second frame.
  for (const int size : {0, 1, 65400, 65500, 65536, 65537, 131000, 131072, 262144, 262145}) {
    const ReceivedResponse response = node->Ask({.target = "/?" + std::to_string(size)});
    EXPECT_EQ(response.body.size(), static_cast<std::size_t>(size));
    EXPECT_TRUE(response.ended) << size;
  }
}

TEST(ServeTest, AThreadOfTheAppRunsWhileTheWorkerWaits) {
  const auto node = Serve(R"(
import threading
event, done = threading.Event(), threading.Event()
def work():
    event.wait()
    print('from the thread')
    done.set()
threading.Thread(target=work, daemon=True).start()
def application(environ, start_response):
    if environ['PATH_INFO'] == '/start': event.set()
    start_response('200 OK', [])
    return [b'']
)");
  node->Ask({.target = "/start"});
  ASSERT_TRUE(node->PumpUntil([&] { return !node->logs().empty(); }));
  EXPECT_EQ(node->logs()[0].bytes, "from the thread\n");
}

TEST(ServeTest, CallablesOfAnEndedRequestDoNothing) {
  const auto node = Serve(R"(
kept = []
def application(environ, start_response):
    if kept:
        for call in (lambda: kept[0]('200 OK', []), lambda: kept[1](b'x'), lambda: kept[2].read()):
            try: call()
            except Exception as error: print(type(error).__name__)
    kept[:] = [start_response, start_response('200 OK', []), environ['wsgi.input']]
    return [b'ok']
)");
  node->Ask({});
  EXPECT_EQ(node->Ask({}).body, "ok");
  EXPECT_EQ(node->LogText(), "RuntimeError\nRuntimeError\nValueError\n");
}

TEST(ServeTest, WallTimeRaisesInTheRequestThatIsOver) {
  const auto node = Serve(App(R"(if environ['PATH_INFO'] == '/fast':
    start_response('200 OK', [])
    return [b'fast']
print('began', flush=True); time.sleep(60))"));
  EXPECT_EQ(node->Ask({.target = "/fast"}).body, "fast");
  const std::uint32_t id = node->Send({.wall_ms = 1});
  ASSERT_TRUE(node->PumpUntil([&] { return node->LogText() == "began\n"; }));
  node->Interrupt();
  const ReceivedResponse response = node->WaitResponse(id);
  EXPECT_EQ(response.status, 504);
  EXPECT_THAT(node->LogText(), HasSubstr("hello.py\", line 6, in application"));
  EXPECT_THAT(node->LogText(), HasSubstr("cloister.WallTimeExceeded: the request ran longer"));
  EXPECT_EQ(node->Ask({.target = "/fast"}).body, "fast");
}

TEST(ServeTest, AnInterruptThatComesTooLateIsIgnored) {
  const auto node = Serve(App(R"(start_response('200 OK', [])
return [b'fine'])"));
  for (int i = 0; i < 20; ++i) {
    node->Signal(SIGXCPU);
    EXPECT_EQ(node->Ask({}).body, "fine");
  }
  EXPECT_THAT(node->LogText(), IsEmpty());
}

TEST(ServeTest, WallTimeEndsAWaitForTheBodyAndAStreamWithoutCredit) {
  const auto node = Serve(App(R"(if environ['PATH_INFO'] == '/read':
    print('began', flush=True)
    environ['wsgi.input'].read()
start_response('200 OK', [])
return [b'x' * 1000000])"));
  TestRequest request = OpenEnded("/read");
  request.wall_ms = 1;
  const std::uint32_t reading = node->Send(request);
  ASSERT_TRUE(node->PumpUntil([&] { return node->LogText() == "began\n"; }));
  node->Interrupt();
  EXPECT_EQ(node->WaitResponse(reading).status, 504) << node->LogText();
  node->GiveCredit(false);
  const std::uint32_t streaming = node->Send({.wall_ms = 1});
  ASSERT_TRUE(
      node->PumpUntil([&] { return node->SoFar(streaming).body.size() == kResponseWindow; }));
  node->Interrupt();
  EXPECT_TRUE(node->WaitResponse(streaming).aborted);
  EXPECT_THAT(node->LogText(), HasSubstr("WallTimeExceeded"));
}

TEST(ServeTest, ShutdownRunsAtexitAndEndsInOrder) {
  const auto node = Serve(R"(
import atexit, sys
atexit.register(lambda: print('bye', end=''))
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'x']
)");
  node->Ask({});
  node->SendFrame({.type = FrameType::kShutdown, .flags = 0, .id = 0, .payload = {}});
  const int status = node->WaitExit();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(node->LogText(), "bye");
}

TEST(ServeTest, TheEndOfTheChannelEndsTheWorker) {
  const auto node = Serve(kHello);
  node->CloseChannel();
  const int status = node->WaitExit();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ServeTest, GarbageFromTheNodeEndsTheWorker) {
  const auto node = Serve(kHello);
  node->SendBytes(std::string(64, '\xff'));
  const int status = node->WaitExit();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
}

TEST(ServeTest, ExitInARequestEndsTheWorkerWithoutAnAnswer) {
  const auto node = Serve(App("print('last words')\nos._exit(7)"));
  const ReceivedResponse response = node->Ask({});
  EXPECT_FALSE(response.ended);
  EXPECT_EQ(node->LogText(), "last words\n");
  EXPECT_EQ(WEXITSTATUS(node->WaitExit()), 7);
}

}  // namespace
}  // namespace cloister::testing
