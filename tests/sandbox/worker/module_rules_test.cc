// What a worker has loaded, and modules of the platform that the operator denies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kApplication = R"(
def application(environ, start_response):
    start_response('200 OK', [])
    return [answer.encode()]
)";

std::string Rules(std::initializer_list<const char*> rules) {
  std::string joined;
  for (const char* rule : rules)
    joined += std::string(rule) + '\0';
  return joined;
}

// What an app answers that begins with `source`, which sets `answer`.
std::string Answer(const std::string& source, const std::string& rules, Files files = {}) {
  files["hello.py"] = source + kApplication;
  StartOptions options;
  options.module_rules = rules;
  return Serve(files, options)->Ask({}).body;
}

std::string ImportOf(const std::string& module, const std::string& rules) {
  return Answer("try:\n  import " + module + "\n  answer = 'imported'\n" +
                    "except ImportError as error: answer = str(error)\n",
                rules);
}

TEST(ModuleRulesTest, ADeniedModuleCannotBeImportedWhetherItWasLoadedOrNot) {
  for (const char* module : {"sqlite3", "xml.dom.minidom", "turtle", "_sqlite3", "math"}) {
    EXPECT_THAT(ImportOf(module, Rules({"-sqlite3", "-xml", "-turtle", "-_sqlite3", "-math"})),
                HasSubstr(std::string(module) == "xml.dom.minidom" ? "'xml' is denied"
                                                                   : "is denied on this node"))
        << module;
  }
}

TEST(ModuleRulesTest, WithoutRulesTheyAreThere) {
  for (const char* module : {"sqlite3", "xml.dom.minidom", "_sqlite3", "math"})
    EXPECT_EQ(ImportOf(module, ""), "imported") << module;
}

TEST(ModuleRulesTest, TheLongestRuleDecides) {
  const std::string rules = Rules({"-*", "+json", "-json.tool", "+os"});
  EXPECT_EQ(ImportOf("json", rules), "imported");
  EXPECT_EQ(ImportOf("os.path", rules), "imported");
  EXPECT_THAT(ImportOf("json.tool", rules), HasSubstr("is denied"));
  EXPECT_THAT(ImportOf("decimal", rules), HasSubstr("is denied"));
  const std::string below = Rules({"-xml", "+xml.sax"});
  EXPECT_EQ(ImportOf("xml.sax.saxutils", below), "imported");
  EXPECT_THAT(ImportOf("xml.dom", below), HasSubstr("is denied"));
}

TEST(ModuleRulesTest, ADeniedSubmoduleIsNoAttributeOfItsPackage) {
  EXPECT_EQ(Answer("import xml.dom\nanswer = str(hasattr(xml.dom, 'minidom'))\n",
                   Rules({"-xml.dom.minidom"})),
            "False");
}

TEST(ModuleRulesTest, AModuleOfTheBundleIsTheAppsOwn) {
  EXPECT_EQ(Answer("import sqlite3\nfrom turtle import x\nanswer = sqlite3.x + x\n",
                   Rules({"-sqlite3", "-turtle"}),
                   {{"sqlite3.py", "x = 'of the bundle, '"},
                    {"site-packages/turtle/__init__.py", "x = 'and that too'"}}),
            "of the bundle, and that too");
}

TEST(ModuleRulesTest, WhatIsLoadedIsListed) {
  StartOptions options;
  options.module_rules = Rules({"-sqlite3"});
  const auto node = Serve(Files{{"hello.py", std::string("import sys, types, pkg.part, email\n"
                                                         "answer = ''\n"
                                                         "sys.modules['made'] = types\n"
                                                         "sys.modules[1] = types\n"
                                                         "sys.modules['a\\tb'] = types\n"
                                                         "sys.modules['c\\nd'] = types\n"
                                                         "sys.modules['own'] = pkg.__class__('x')\n"
                                                         "import space\n") +
                                                 kApplication},
                                {"pkg/__init__.py", ""},
                                {"pkg/part.py", ""},
                                {"space/in.txt", ""},
                                {"email.py", ""}},
                          options);
  const ReceivedResponse response = node->Ask({.target = "modules", .for_runtime = true});
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("\nhello\tapp\thello.py\n"));
  EXPECT_THAT(response.body, HasSubstr("\npkg\tapp\tpkg/__init__.py\n"));
  EXPECT_THAT(response.body, HasSubstr("\npkg.part\tapp\tpkg/part.py\n"));
  EXPECT_THAT(response.body, HasSubstr("\nemail\tapp\temail.py\n"));
  EXPECT_THAT(response.body, Not(HasSubstr("\temail.message")));
  EXPECT_THAT(response.body, HasSubstr("json\tplatform\tusr/lib/python3.11/json/__init__.py\n"));
  EXPECT_THAT(response.body, HasSubstr("\nsys\tplatform\t\n"));
  EXPECT_THAT(response.body, HasSubstr("\nmade\tplatform\tusr/lib/python3.11/types.py\n"));
  EXPECT_THAT(response.body, HasSubstr("\nown\tapp\t\n"));
  EXPECT_THAT(response.body, HasSubstr("\nspace\tapp\t\n"));
  for (const char* preloaded : {"typing.io", "typing.re", "pyexpat.errors", "pyexpat.model"})
    EXPECT_THAT(response.body, HasSubstr("\n" + std::string(preloaded) + "\tplatform\t\n"));
  EXPECT_THAT(response.body, Not(HasSubstr("a\tb")));
  EXPECT_THAT(response.body, Not(HasSubstr("c\nd")));
  EXPECT_THAT(response.body, Not(HasSubstr("\nsqlite3")));
  EXPECT_THAT(response.body, Not(HasSubstr("_cloister")));
}

}  // namespace
}  // namespace cloister::testing
