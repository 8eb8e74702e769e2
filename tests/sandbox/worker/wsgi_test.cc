// WSGI in every form: between wsgiref's validator and the node, and when the client leaves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "apis/wire/inbox_gone.h"
#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::IsEmpty;

// The client of request `id` goes, in whichever slot that is.
void Leave(FakeNode& node, std::uint32_t id) {
  for (std::size_t slot = 0; slot < kInboxSlots; ++slot)
    GoneOf(node.inbox()).Mark(slot, id);
}

// The app's answer, by path; each way is checked by wsgiref's validator.
constexpr const char* kValidated = R"(
import sys
from wsgiref.validate import validator
READ = {
    '/read': lambda i: i.read(100000),
    '/parts': lambda i: b''.join(iter(lambda: i.read(7), b'')),
    '/readline': lambda i: b''.join(iter(i.readline, b'')),
    '/limited': lambda i: b''.join(iter(lambda: i.readline(3), b'')),
    '/readlines': lambda i: b''.join(i.readlines()),
    '/iterate': lambda i: b''.join(i),
}
HEADERS = [('Content-Type', 'text/plain')]
class Body:
    def __init__(self, blocks): self.blocks = iter(blocks)
    def __iter__(self): return self
    def __next__(self): return next(self.blocks)
    def close(self): print('closed')
def app(environ, start_response):
    path = environ['PATH_INFO']
    if path in READ:
        body = READ[path](environ['wsgi.input'])
        start_response('200 OK', HEADERS)
        return [body]
    if path == '/late':
        def late():
            start_response('200 OK', HEADERS)
            yield b'late'
        return late()
    if path in ('/204', '/304'):
        start_response({'/204': '204 No Content', '/304': '304 Not Modified'}[path], [])
        return []
    write = start_response('200 OK', HEADERS)
    if path == '/write':
        write(b'one ')
        return [b'two']
    if path == '/exc_info':
        try: 1 / 0
        except ZeroDivisionError: start_response('500 Oops', HEADERS, sys.exc_info())
        return [b'sorry']
    return Body([b'a', b'', b'b']) if path == '/close' else (b'%d' % i for i in range(3))
application = validator(app)
)";

TEST(WsgiTest, WsgirefValidateFindsNothingInAnyWayToReadABody) {
  const auto node = Serve(kValidated);
  for (const char* reader :
       {"/read", "/parts", "/readline", "/limited", "/readlines", "/iterate"}) {
    for (const std::string& body : {std::string(), std::string("one\ntwo\n\nend"),
                                    std::string(40'000, 'x') + "\n" + std::string(1000, 'y')})
      for (const bool unknown : {false, true}) {
        const ReceivedResponse response = node->Ask({.method = "POST",
                                                     .target = reader,
                                                     .body = body,
                                                     .split_body = !body.empty(),
                                                     .unknown_length = unknown && !body.empty()});
        EXPECT_EQ(response.body, body) << reader << "\n" << node->LogText();
      }
  }
  EXPECT_THAT(node->LogText(), IsEmpty());
}

TEST(WsgiTest, WsgirefValidateFindsNothingInAnyWayToAnswer) {
  const auto node = Serve(kValidated);
  EXPECT_EQ(node->Ask({.target = "/late"}).body, "late");
  EXPECT_EQ(node->Ask({.target = "/write"}).body, "one two");
  EXPECT_EQ(node->Ask({.target = "/exc_info"}).status, 500);
  EXPECT_EQ(node->Ask({.target = "/close"}).body, "ab");
  EXPECT_EQ(node->Ask({.target = "/generator"}).body, "012");
  EXPECT_EQ(node->Ask({.target = "/204"}).status, 204);
  EXPECT_EQ(node->Ask({.target = "/304"}).status, 304);
  for (const char* path : {"/late", "/close", "/generator", "/write"})
    EXPECT_EQ(node->Ask({.method = "HEAD", .target = path}).status, 200) << path;
  EXPECT_EQ(node->LogText(), "closed\nclosed\n");
}

TEST(WsgiTest, AClientThatHasGoneEndsTheIterableAndClosesIt) {
  const auto node = Serve(R"(
class Endless:
    def __iter__(self): return self
    def __next__(self): return b'x' * 1000
    def close(self): print('closed')
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '1000000000')])
    return Endless()
)");
  const std::uint32_t id = node->Send({});
  ASSERT_TRUE(node->PumpUntil([&] { return node->SoFar(id).body.size() >= kResponseWindow; }));
  Leave(*node, id);
  const ReceivedResponse response = node->WaitResponse(id);
  EXPECT_TRUE(response.ended);
  EXPECT_FALSE(response.aborted);
  EXPECT_EQ(node->LogText(), "closed\n");
}

TEST(WsgiTest, WriteRaisesForAClientThatHasGoneAndThatIsNotLogged) {
  const auto node = Serve(R"(
def application(environ, start_response):
    write = start_response('200 OK', [])
    try:
        while True: write(b'x' * 1000)
    except BrokenPipeError:
        print('told')
        if environ['PATH_INFO'] == '/raise': raise
    return [b'rest']
)");
  for (const char* path : {"/", "/raise"}) {
    const std::uint32_t id = node->Send({.target = path});
    ASSERT_TRUE(node->PumpUntil([&] { return node->SoFar(id).body.size() >= kResponseWindow; }));
    Leave(*node, id);
    EXPECT_TRUE(node->WaitResponse(id).ended) << path;
  }
  EXPECT_EQ(node->LogText(), "told\ntold\n");
}

}  // namespace
}  // namespace cloister::testing
