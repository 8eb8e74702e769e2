// What an app says: exact, in order, once, with its level and its request.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "apis/wire/event_fields.h"
#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "source level logger id: bytes" of each event.
std::vector<std::string> Events(const FakeNode& node) {
  std::vector<std::string> events;
  for (const ReceivedLog& log : node.logs()) {
    constexpr const char* kNames[] = {"stdout", "stderr", "logging", "runtime"};
    events.push_back(std::string(kNames[static_cast<std::size_t>(log.source)]) + " " +
                     std::to_string(log.level) + " " + log.logger + " " + std::to_string(log.id) +
                     ": " + log.bytes);
  }
  return events;
}

// Runs `setup` at import and `lines` in a request; the events of the request.
std::vector<std::string> EventsOf(const std::string& setup, const std::string& lines) {
  const auto node = Serve(setup + R"(
import logging, sys, os, threading
def application(environ, start_response):
    exec(LINES, {**globals(), 'environ': environ})
    start_response('200 OK', [])
    return [b'']
LINES = '''
)" + lines + "'''\n");
  EXPECT_EQ(node->Ask({}).status, 200) << node->LogText();
  return Events(*node);
}

TEST(LogTest, PrintIsJoinedToLinesAndKeepsItsBytes) {
  EXPECT_THAT(EventsOf("", R"(
print('a', 1, end='!')
print(' b')
print('two\\nlines')
print('\\u20ac\\udcff', end='')
sys.stdout.buffer.write(bytes([0, 255, 10]))
print('unfinished', end='')
)"),
              ElementsAre("stdout 0  1: a 1! b\n", "stdout 0  1: two\n", "stdout 0  1: lines\n",
                          std::string("stdout 0  1: \xe2\x82\xac\xff\0\xff\n", 20),
                          "stdout 0  1: unfinished"));
}

TEST(LogTest, AWriteIsOneEventAsLongAsTheNodeKeepsIt) {
  const std::vector<std::string> events = EventsOf("", R"(
sys.stdout.write('short\\n' + 'x' * 200000 + '\\nafter\\n')
)");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0], "stdout 0  1: short\n" + std::string(200000, 'x') + "\nafter\n");
}

TEST(LogTest, StdoutAndStderrAndWsgiErrorsKeepTheirOrder) {
  EXPECT_THAT(EventsOf("", R"(
print('one')
print('two', file=sys.stderr)
environ['wsgi.errors'].write('three\\n')
environ['wsgi.errors'].writelines(['four\\n'])
environ['wsgi.errors'].flush()
print('five')
)"),
              ElementsAre("stdout 0  1: one\n", "stderr 0  1: two\n", "stderr 0  1: three\n",
                          "stderr 0  1: four\n", "stdout 0  1: five\n"));
}

TEST(LogTest, LoggingWithoutAnySetup) {
  EXPECT_THAT(EventsOf("", R"(
logging.warning('plain %d', 1)
logging.getLogger('shop.cart').error('two\\nlines')
logging.info('below the level')
)"),
              ElementsAre("logging 30 root 1: plain 1", "logging 40 shop.cart 1: two\nlines"));
}

TEST(LogTest, BasicConfigSetsLevelAndFormat) {
  EXPECT_THAT(
      EventsOf("import logging\nlogging.basicConfig(level=logging.DEBUG, format='<%(message)s>')",
               "logging.getLogger('x').debug('once')\n"),
      ElementsAre("logging 10 x 1: <once>"));
  EXPECT_THAT(EventsOf("import logging, sys\nlogging.basicConfig(stream=sys.stdout, level=20)",
                       "logging.info('once')\n"),
              ElementsAre("logging 20 root 1: INFO:root:once"));
}

TEST(LogTest, HandlersOfTheAppSendEachEventOnce) {
  EXPECT_THAT(EventsOf(R"(
import logging
logger = logging.getLogger('own')
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter('%(name)s|%(message)s'))
logger.addHandler(handler)
)",
                       "logger.warning('named')\n"),
              ElementsAre("logging 30 own 1: own|named"));
  EXPECT_THAT(EventsOf("import logging\nlogging.getLogger().addHandler(logging.StreamHandler())\n",
                       "logging.warning('root')\n"),
              ElementsAre("logging 30 root 1: root"));
  EXPECT_THAT(EventsOf(R"(
import logging, logging.config
logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False,
    'formatters': {'f': {'format': '[%(message)s]'}},
    'handlers': {'c': {'class': 'logging.StreamHandler', 'formatter': 'f'}},
    'root': {'handlers': ['c'], 'level': 'INFO'}})
)",
                       "logging.getLogger('d').info('configured')\n"),
              ElementsAre("logging 20 d 1: [configured]"));
}

TEST(LogTest, ANullHandlerIsSilentAndExceptionsHaveTheirTraceback) {
  EXPECT_THAT(
      EventsOf("import logging\nlogging.getLogger('lib').addHandler(logging.NullHandler())\n"
               "logging.getLogger('lib').propagate = False",
               "logging.getLogger('lib').error('not heard')\n"),
      IsEmpty());
  const std::vector<std::string> events = EventsOf("", R"(
try: 1 / 0
except ZeroDivisionError: logging.exception('failed')
)");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_THAT(events[0], HasSubstr("logging 40 root 1: failed\nTraceback"));
  EXPECT_THAT(events[0], HasSubstr("ZeroDivisionError: division by zero"));
}

// The fields of an event as "name=value name=value"; texts in quotes.
struct Shown {
  std::string operator()(std::monostate /*none*/) const { return "none"; }
  std::string operator()(bool truth) const { return truth ? "true" : "false"; }
  std::string operator()(std::int64_t integer) const { return std::to_string(integer); }
  std::string operator()(double real) const { return "real " + std::to_string(real); }
  std::string operator()(std::string_view text) const { return "'" + std::string(text) + "'"; }
};

std::string FieldsOf(const ReceivedLog& log) {
  std::string text;
  const auto fields = ReadEventFields(log.fields);
  EXPECT_TRUE(fields.ok());
  for (const EventField& field : fields.value())
    text += (text.empty() ? "" : " ") + std::string(field.name) + "=" +
            std::visit(Shown(), field.value);
  return text;
}

// The fields of the events that `lines` log in a request.
std::vector<std::string> FieldsOfEvents(const std::string& setup, const std::string& lines) {
  const auto node = Serve(setup + R"(
import logging
log = logging.getLogger('shop')
log.setLevel(logging.DEBUG)
def application(environ, start_response):
    exec(LINES, {**globals()})
    start_response('200 OK', [])
    return [b'']
LINES = '''
)" + lines + "'''\n");
  EXPECT_EQ(node->Ask({}).status, 200) << node->LogText();
  std::vector<std::string> fields;
  for (const ReceivedLog& log : node->logs())
    fields.push_back(FieldsOf(log));
  return fields;
}

TEST(LogTest, ExtraBecomesFieldsOfTheirKind) {
  EXPECT_THAT(FieldsOfEvents("", R"(
log.info('hi')
log.info('hi', extra={'user': 3, 'ratio': 0.5, 'paid': True, 'late': False, 'coupon': None,
                      'city': 'gr\u00fc'})
log.info('hi', extra={'least': -2**63, 'most': 2**63 - 1, 'more': 2**63, 'nan': float('nan'),
                      'inf': float('inf'), 'bytes': b'x', 'list': [1, 'a'], 'lone': chr(0xdcff)})
)"),
              ElementsAre("",
                          "user=3 ratio=real 0.500000 paid=true late=false coupon=none "
                          "city='gr\xc3\xbc'",
                          "least=-9223372036854775808 most=9223372036854775807 "
                          "more='9223372036854775808' nan='nan' inf='inf' bytes='b'x'' "
                          "list='[1, 'a']' lone='\\udcff'"));
}

TEST(LogTest, WhatAnAppPutsIntoFieldsCannotHurtIt) {
  EXPECT_THAT(FieldsOfEvents(R"(
class Raises:
    def __str__(self): raise ValueError('no text')
class Deep:
    def __str__(self): return str(self)
    __repr__ = __str__
class NoRepr(Raises):
    __repr__ = Raises.__str__
class Text(str):
    def __str__(self): raise ValueError
    def __repr__(self): raise ValueError
class Lies(int):
    def __str__(self): return 'lies'
)",
                             R"(
log.info('hi', extra={'a': Raises(), 'b': Deep(), 'c': NoRepr(), 'd': Text('x'), 'e': Lies(1)})
log.info('hi', extra={'huge': 10 ** 5000})
log.info('hi', extra={1: 2, ('a',): 3})
)"),
              ElementsAre(::testing::MatchesRegex(
                              "a='<.*Raises object at .*>' b='<Deep that cannot be shown>' "
                              "c='<NoRepr that cannot be shown>' d='<Text that cannot be shown>' "
                              "e='lies'"),
                          "huge='<int that cannot be shown>'", "1=2 ('a',)=3"));
}

TEST(LogTest, FieldsHaveLimitsAndSayWhatWasLeftOut) {
  const std::vector<std::string> fields = FieldsOfEvents("", R"(
log.info('hi', extra={f'f{i}': i for i in range(63)})
log.info('hi', extra={f'f{i}': i for i in range(100)})
log.info('hi', extra={f'f{i}': 'x' * 4096 for i in range(10)})
log.info('hi', extra={'long': '\u20ac' * 4096})
log.info('hi', extra={'n' * 500: 1})
)");
  ASSERT_EQ(fields.size(), 5U);
  EXPECT_TRUE(fields[0].ends_with("f62=62"));
  EXPECT_TRUE(fields[1].ends_with("f62=62 fields_left_out=37"));
  EXPECT_TRUE(fields[2].ends_with("x' fields_left_out=7"))
      << fields[2].substr(fields[2].size() - 99);
  EXPECT_LE(fields[3].size(), 4096U + 10);
  EXPECT_TRUE(fields[3].ends_with("\xe2\x82\xac...'"));
  EXPECT_EQ(fields[4], std::string(97, 'n') + "...=1");
}

TEST(LogTest, ATracebackIsAFieldWhateverTheFormatMakesOfIt) {
  const std::vector<std::string> fields = FieldsOfEvents("", R"(
try: 1 / 0
except ZeroDivisionError: log.exception('failed', extra={'user': 3})
log.info('here', stack_info=True)
log.info('none', exc_info=True)
)");
  ASSERT_EQ(fields.size(), 3U);
  EXPECT_THAT(fields[0], ::testing::StartsWith("user=3 exc_info='Traceback (most recent"));
  EXPECT_THAT(fields[0], HasSubstr("ZeroDivisionError: division by zero'"));
  EXPECT_THAT(fields[1], ::testing::StartsWith("stack_info='Stack (most recent call last)"));
  EXPECT_EQ(fields[2], "");
}

// The end of a secret alone would not be found by the node.
TEST(LogTest, OfALongTracebackWholeLinesAreKept) {
  const std::vector<std::string> fields = FieldsOfEvents("", R"(
def failed(text):
    try: raise ValueError(text)
    except ValueError: log.exception('failed')
failed('secret-' * 2000 + '\\nlast')
failed('secret-' * 2000)
)");
  ASSERT_EQ(fields.size(), 2U);
  EXPECT_EQ(fields[0], "exc_info='...\nlast'");
  EXPECT_THAT(fields[1], ::testing::StartsWith("exc_info='ValueError: secret-secret-"));
  EXPECT_THAT(fields[1], ::testing::EndsWith("...'"));
  EXPECT_EQ(fields[1].size(), std::string("exc_info=''").size() + 8192);
}

TEST(LogTest, FieldsOfAnEventOfTheMostBytes) {
  const auto node = Serve(R"(
import logging
def application(environ, start_response):
    logging.warning('x' * 200_000, extra={f'f{i}': 'y' * 4000 for i in range(4)})
    start_response('200 OK', [])
    return [b'']
)");
  node->Ask({});
  ASSERT_EQ(node->logs().size(), 1U);
  EXPECT_EQ(node->logs()[0].bytes, std::string(200'000, 'x'));
  EXPECT_GT(node->logs()[0].fields.size(), 16'000U);
  EXPECT_LE(node->logs()[0].fields.size(), kEventFieldsBytesMax);
}

TEST(LogTest, HandlersThatHandOnDoNotDouble) {
  EXPECT_THAT(EventsOf(R"(
import logging, logging.handlers, queue
waiting = queue.SimpleQueue()
logging.getLogger().addHandler(logging.handlers.QueueHandler(waiting))
target = logging.StreamHandler()
target.setFormatter(logging.Formatter('<%(message)s>'))
listener = logging.handlers.QueueListener(waiting, target)
)",
                       "listener.start()\nlogging.warning('once')\nlistener.stop()\n"),
              ElementsAre(HasSubstr("logging 30 root")));
  EXPECT_THAT(
      EventsOf(R"(
import logging, logging.handlers
target = logging.StreamHandler()
target.setFormatter(logging.Formatter('<%(message)s>'))
kept = logging.handlers.MemoryHandler(100, target=target)
logging.getLogger('kept').addHandler(kept)
)",
               "log = logging.getLogger('kept')\nlog.warning('a')\nprint('before')\n"
               "log.error('b')\n"),
      ElementsAre("stdout 0  1: before\n", "logging 30 kept 1: <a>", "logging 40 kept 1: <b>"));
}

TEST(LogTest, AHandlerOfTheAppsOwnThatPrintsIsEnough) {
  constexpr const char* kPrinting = R"(
import logging
class Printing(logging.Handler):
    def emit(self, record): print('own:', self.format(record))
)";
  const std::string setup = kPrinting;
  const auto once = ElementsAre("stdout 0  1: own: hi\n");
  EXPECT_THAT(EventsOf(setup + "logging.getLogger().addHandler(Printing())\n",
                       "logging.getLogger('x').warning('hi')\n"),
              once);
  EXPECT_THAT(EventsOf(setup + "logging.getLogger('x').addHandler(Printing())\n",
                       "logging.getLogger('x').warning('hi')\n"),
              once);
}

TEST(LogTest, AHandlerThatOnlyCountsCostsNoEvent) {
  EXPECT_THAT(EventsOf(R"(
import logging
class Counting(logging.Handler):
    count = 0
    def emit(self, record): Counting.count += 1
logging.getLogger().addHandler(Counting())
logging.getLogger('x').addHandler(Counting())
)",
                       "logging.getLogger('x').warning('hi')\nprint(Counting.count)\n"),
              ElementsAre("logging 30 x 1: hi", "stdout 0  1: 2\n"));
  EXPECT_THAT(EventsOf(R"(
import logging
class Failing(logging.Handler):
    def emit(self, record):
        try: raise ConnectionError('no network')
        except ConnectionError: self.handleError(record)
logging.getLogger('x').addHandler(Failing())
)",
                       "logging.getLogger('x').warning('hi')\n"),
              ::testing::Contains("logging 30 x 1: hi"));
}

TEST(LogTest, HandlersThatAWorkerHasNothingForAreRefusedWhereTheyAreMade) {
  const auto node = Serve(R"(
import logging, logging.config, logging.handlers, tempfile
class Mine(logging.handlers.RotatingFileHandler): pass
def in_a_dict(name):
    logging.config.dictConfig({'version': 1, 'handlers': {'h': {'class': name, 'filename': 'x'}}})
def in_a_file(text):
    with open('/tmp/logging.ini', 'w') as file: file.write(text)
    logging.config.fileConfig('/tmp/logging.ini')
for attempt in (
        lambda: logging.FileHandler('app.log'),
        lambda: logging.FileHandler('app.log', delay=True),
        lambda: logging.handlers.RotatingFileHandler('/var/log/app.log', maxBytes=1),
        lambda: logging.handlers.TimedRotatingFileHandler('/tmp/app.log'),
        lambda: logging.handlers.WatchedFileHandler('app.log'),
        lambda: Mine('app.log'),
        lambda: logging.handlers.SocketHandler('localhost', 1),
        lambda: logging.handlers.DatagramHandler('localhost', 1),
        lambda: logging.handlers.SysLogHandler(),
        lambda: logging.handlers.NTEventLogHandler('app'),
        lambda: logging.handlers.SMTPHandler('localhost', 'a', 'b', 'c'),
        lambda: logging.handlers.HTTPHandler('localhost', '/'),
        lambda: logging.basicConfig(filename='app.log'),
        lambda: in_a_dict('logging.FileHandler'),
        lambda: in_a_file('[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n'
                          '[logger_root]\nhandlers=h\n'
                          '[handler_h]\nclass=FileHandler\nargs=("x",)\n')):
    try: print('made', attempt())
    except PermissionError as error: print(f'{error.errno} {error}')
def application(environ, start_response): pass
)");
  std::vector<std::string> printed;
  std::string places;
  for (const ReceivedLog& log : node->logs())
    if (log.source == LogSource::kStdout)
      printed.push_back(log.bytes);
    else
      places += log.bytes + "\n";
  const std::string files = " writes files, which a worker has not;";
  const std::string network = " sends over the network, which a worker has not;";
  const std::string out = " use StreamHandler: `cloister logs` keeps and searches what it prints\n";
  EXPECT_THAT(
      printed,
      ElementsAre(
          "1 FileHandler" + files + out, "1 FileHandler" + files + out,
          "1 RotatingFileHandler" + files + out, "1 TimedRotatingFileHandler" + files + out,
          "1 WatchedFileHandler" + files + out, "1 RotatingFileHandler" + files + out,
          "1 SocketHandler" + network + out, "1 DatagramHandler" + network + out,
          "1 SysLogHandler writes to the log of the system, which a worker has not;" + out,
          "1 NTEventLogHandler writes to the event log of Windows, which is not here;" + out,
          "1 SMTPHandler sends mail over the network, which a worker has not;" + out,
          "1 HTTPHandler" + network + out, "1 FileHandler" + files + out,
          "1 Unable to configure handler 'h': FileHandler" + files + out,
          "1 FileHandler" + files + out));
  EXPECT_THAT(places, HasSubstr("refused FileHandler at hello@1.2.0/hello.py:10: FileHandler"));
  EXPECT_THAT(places, HasSubstr("refused FileHandler at hello@1.2.0/hello.py:22: "));
  EXPECT_THAT(places, HasSubstr("refused FileHandler at hello@1.2.0/hello.py:5: "));
  EXPECT_THAT(places, HasSubstr("refused FileHandler at hello@1.2.0/hello.py:8: "));
  EXPECT_EQ(node->refused().at("FileHandler"), 5U);
}

TEST(LogTest, ALongEventIsOneEventUpToWhatTheNodeKeeps) {
  const auto node = Serve(R"(
import logging
def application(environ, start_response):
    logging.warning('x' * int(environ['QUERY_STRING']))
    start_response('200 OK', [])
    return [b'']
)");
  node->Ask({.target = "/?200000"});
  ASSERT_EQ(node->logs().size(), 1U);
  EXPECT_EQ(node->logs()[0].bytes, std::string(200'000, 'x'));
  node->Ask({.target = "/?50000000"});
  ASSERT_EQ(node->logs().size(), 2U);
  EXPECT_GT(node->logs()[1].bytes.size(), std::size_t{256} << 10);
  EXPECT_LT(node->logs()[1].bytes.size(), std::size_t{300} << 10);
}

TEST(LogTest, AFloodOfPrintIsWholeInSeveralEvents) {
  const auto node = Serve(R"(
def application(environ, start_response):
    print('\n'.join(str(i) for i in range(200000)))
    print('y' * 500000)
    start_response('200 OK', [])
    return [b'']
)");
  node->Ask({});
  std::string expected;
  for (int i = 0; i < 200'000; ++i)
    expected += std::to_string(i) + "\n";
  EXPECT_EQ(node->LogText(), expected + std::string(500'000, 'y') + "\n");
  for (const ReceivedLog& log : node->logs())
    EXPECT_LE(log.bytes.size(), std::size_t{256} << 10);
}

TEST(LogTest, EventsOutsideOfARequestHaveNoId) {
  const auto node = Serve(R"(
print('at import')
def application(environ, start_response):
    print('in request')
    start_response('200 OK', [])
    return [b'']
)");
  node->Ask({});
  node->Ask({});
  EXPECT_THAT(Events(*node), ElementsAre("stdout 0  0: at import\n", "stdout 0  1: in request\n",
                                         "stdout 0  3: in request\n"));
}

TEST(LogTest, ThreadsDoNotMixTheirLines) {
  const auto node = Serve(R"(
import threading
def application(environ, start_response):
    def work(name):
        for i in range(200): print(f'{name}-{i}-' + name * 50)
    threads = [threading.Thread(target=work, args=(c,)) for c in 'abcd']
    for t in threads: t.start()
    for t in threads: t.join()
    start_response('200 OK', [])
    return [b'']
)");
  node->Ask({});
  std::map<char, int> next;
  std::string text = node->LogText();
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    const std::size_t newline = text.find('\n', at);
    const std::string line = text.substr(at, newline - at);
    const char name = line.at(0);
    EXPECT_EQ(line, std::string(1, name) + "-" + std::to_string(next[name]++) + "-" +
                        std::string(50, name));
    at = newline + 1;
  }
  EXPECT_EQ(lines, 800U);
}

}  // namespace
}  // namespace cloister::testing
