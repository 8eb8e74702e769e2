// The config of an app, as its worker and its Python see it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// An app that answers what an expression gives.
constexpr const char* kEvaluates = R"(
import os
import urllib.parse
import cloister
from cloister import config
calls = []

@config.on_change
def changed(names):
    calls.append(sorted(names))
    if config.get('FAIL'):
        raise ValueError('the callback fails')

def application(environ, start_response):
    try:
        value = repr(eval(urllib.parse.unquote(environ['QUERY_STRING'])))
    except Exception as error:
        value = f'{type(error).__name__}: {error}'
    body = value.encode()
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
)";

std::unique_ptr<FakeNode> ServeWith(std::map<std::string, std::string> config,
                                    std::set<std::string> secrets = {}) {
  StartOptions options;
  options.config = std::move(config);
  options.secrets = std::move(secrets);
  return Serve({{"hello.py", kEvaluates}}, options);
}

std::string Eval(FakeNode& node, const std::string& expression) {
  std::string query;
  for (const char c : expression)
    query += c == ' ' ? std::string("%20") : std::string(1, c);
  return node.Ask({.target = "/?" + query}).body;
}

TEST(WorkerConfigTest, AnAppWithoutConfigHasAnEmptyOne) {
  const auto node = ServeWith({});
  EXPECT_EQ(Eval(*node, "dict(config)"), "{}");
  EXPECT_EQ(Eval(*node, "len(cloister.config)"), "0");
  EXPECT_EQ(Eval(*node, "config.get('A')"), "None");
  EXPECT_THAT(Eval(*node, "config['A']"), HasSubstr("_MissingKey: the config has no A; "));
}

TEST(WorkerConfigTest, ItIsAReadOnlyMappingAndTheEnvironment) {
  const auto node = ServeWith({{"A", "1"}, {"B", "zw\xc3\xb6lf"}}, {"B"});
  EXPECT_EQ(Eval(*node, "dict(config)"), "{'A': '1', 'B': 'zw\xc3\xb6lf'}");
  EXPECT_EQ(Eval(*node, "(os.environ['A'], os.environ['B'], 'A' in config, 'C' in config)"),
            "('1', 'zw\xc3\xb6lf', True, False)");
  EXPECT_EQ(Eval(*node, "cloister.config is config"), "True");
  EXPECT_EQ(Eval(*node, "isinstance(config, __import__('collections.abc').abc.Mapping)"), "True");
  EXPECT_EQ(Eval(*node, "(config == dict(config), config == {'A': '1'})"), "(True, False)");
  EXPECT_EQ(Eval(*node, "sorted(config.keys()) + sorted(config.values())"),
            "['A', 'B', '1', 'zw\xc3\xb6lf']");
  EXPECT_THAT(Eval(*node, "config.__setitem__('A', '2')"), HasSubstr("AttributeError"));
  EXPECT_EQ(Eval(*node, "repr(config)"), "'<cloister.config with 2 keys>'");
}

TEST(WorkerConfigTest, GettersMakeOfTextWhatIsWanted) {
  const auto node = ServeWith({{"N", "20"},
                               {"F", "2.5"},
                               {"Y", "Yes"},
                               {"L", "a, b,,c "},
                               {"J", R"({"max": 3})"},
                               {"S", "tell-nobody"}},
                              {"S"});
  EXPECT_EQ(Eval(*node, "config.get_int('N') + 1"), "21");
  EXPECT_EQ(Eval(*node, "config.get_float('F')"), "2.5");
  EXPECT_EQ(Eval(*node, "config.get_bool('Y')"), "True");
  EXPECT_EQ(Eval(*node, "config.get_list('L')"), "['a', 'b', 'c']");
  EXPECT_EQ(Eval(*node, "config.get_json('J')['max']"), "3");
  EXPECT_EQ(Eval(*node, "config.get_str('N')"), "'20'");
  for (const char* getter : {"str", "int", "float", "bool", "list", "json"}) {
    const std::string call = std::string("config.get_") + getter;
    EXPECT_EQ(Eval(*node, call + "('NONE', 7)"), "7") << getter;
    EXPECT_EQ(Eval(*node, call + "('NONE', None)"), "None") << getter;
    EXPECT_THAT(Eval(*node, call + "('NONE')"), HasSubstr("the config has no NONE")) << getter;
  }
  for (const char* getter : {"int", "float", "bool", "json"}) {
    const std::string said = Eval(*node, std::string("config.get_") + getter + "('S')");
    EXPECT_THAT(said, HasSubstr("ConfigError: S in the config is not ")) << getter;
    EXPECT_THAT(said, Not(HasSubstr("tell-nobody"))) << getter;
  }
  EXPECT_EQ(Eval(*node,
                 "issubclass(cloister.config.ConfigError, Exception) and "
                 "cloister.ConfigError is config.ConfigError"),
            "True");
}

TEST(WorkerConfigTest, AnErrorHasNoValueInItsContextEither) {
  const auto node = Serve({{"hello.py",
                            "import cloister\n"
                            "def application(e, s):\n"
                            "    cloister.config.get_int('S')\n"}},
                          {.config = {{"S", "tell-nobody"}}});
  EXPECT_EQ(node->Ask({}).status, 500);
  ASSERT_TRUE(node->PumpUntil([&] { return !node->logs().empty(); }));
  EXPECT_THAT(node->LogText(), HasSubstr("S in the config is not a whole number"));
  EXPECT_THAT(node->LogText(), Not(HasSubstr("tell-nobody")));
}

TEST(WorkerConfigTest, ItIsThereWhileTheAppIsImported) {
  const auto node = Serve({{"hello.py",
                            "import os\n"
                            "SEEN = os.environ['A'].encode()\n"
                            "def application(e, s):\n"
                            "    s('200 OK', [])\n"
                            "    return [SEEN]\n"}},
                          {.config = {{"A", "early"}}});
  EXPECT_EQ(node->Ask({}).body, "early");
}

TEST(WorkerConfigTest, ALargeOneComesInSeveralFrames) {
  const auto node = ServeWith({{"A", std::string(200000, 'a')}, {"B", "b"}});
  EXPECT_EQ(Eval(*node, "(len(config['A']), config['B'])"), "(200000, 'b')");
}

TEST(WorkerConfigTest, AnotherOneIsForTheNextRequest) {
  const auto node = ServeWith({{"A", "1"}, {"B", "1"}});
  EXPECT_EQ(Eval(*node, "(config['A'], calls)"), "('1', [])");
  node->SendConfig({{"A", "2"}, {"C", "3"}});
  EXPECT_EQ(Eval(*node, "(dict(config), calls)"), "({'A': '2', 'C': '3'}, [['A', 'B', 'C']])");
  EXPECT_EQ(Eval(*node, "(os.environ['A'], os.environ.get('B'), os.environ['C'])"),
            "('2', None, '3')");
  // The same once more is no change.
  node->SendConfig({{"A", "2"}, {"C", "3"}});
  EXPECT_EQ(Eval(*node, "len(calls)"), "1");
}

TEST(WorkerConfigTest, ACallbackThatFailsIsLoggedAndTheRequestGoesOn) {
  const auto node = ServeWith({});
  node->SendConfig({{"FAIL", "1"}});
  EXPECT_EQ(Eval(*node, "config['FAIL']"), "'1'");
  EXPECT_THAT(node->LogText(), HasSubstr("ValueError: the callback fails"));
}

TEST(WorkerConfigTest, ARequestForTheRuntimeTakesNoConfig) {
  const auto node = ServeWith({});
  node->SendConfig({{"A", "1"}});
  EXPECT_EQ(node->Ask({.target = "modules", .for_runtime = true}).status, 200);
  EXPECT_EQ(Eval(*node, "calls"), "[['A']]");
}

}  // namespace
}  // namespace cloister::testing
