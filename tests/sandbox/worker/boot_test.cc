// Boot and compile: reports that say where, why and what to do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <string>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

ReceivedReport FailedBoot(const Files& files, const StartOptions& options = {}) {
  FakeNode node(files, options);
  EXPECT_FALSE(node.WaitReady());
  EXPECT_TRUE(node.report().has_value());
  const int status = node.WaitExit();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  return node.report().value_or(ReceivedReport{});
}

TEST(BootTest, ASyntaxErrorShowsFileLineAndCaret) {
  const ReceivedReport report =
      FailedBoot({{"hello.py", "import broken\n"}, {"broken.py", "x = 1\ndef f(:\n  pass\n"}});
  EXPECT_EQ(report.code, "syntax_error");
  EXPECT_EQ(report.file, "broken.py");
  EXPECT_EQ(report.line, 2U);
  EXPECT_THAT(report.message, HasSubstr("SyntaxError: invalid syntax"));
  EXPECT_THAT(report.traceback, HasSubstr("    def f(:\n          ^\n"));
  EXPECT_THAT(report.traceback, HasSubstr("File \"hello@1.2.0/hello.py\", line 1"));
  EXPECT_THAT(report.traceback, Not(HasSubstr("importlib")));
}

TEST(BootTest, AMissingPackageIsNamedWithTheWayOut) {
  const ReceivedReport report = FailedBoot({{"hello.py", "x = 1\nimport flaskish.views\n"}});
  EXPECT_EQ(report.code, "import_error");
  EXPECT_EQ(report.file, "hello.py");
  EXPECT_EQ(report.line, 2U);
  EXPECT_THAT(report.message, HasSubstr("No module named 'flaskish'"));
  EXPECT_THAT(report.message, HasSubstr("add \"flaskish\" to [bundle] packages"));
  EXPECT_EQ(report.traceback, R"(Traceback (most recent call last):
  File "hello@1.2.0/hello.py", line 2, in <module>
    import flaskish.views
ModuleNotFoundError: No module named 'flaskish'
)");
}

TEST(BootTest, AStandardModuleThatWorkersDoNotHaveIsNoPackage) {
  // What the app asked for is named, rather than what that is made of.
  for (const auto& [module, code] :
       {std::pair("ctypes", "import ctypes\n"), std::pair("curses", "import curses\n"),
        std::pair("nis", "import nis\n"), std::pair("tkinter", "import tkinter\n"),
        std::pair("dbm.gnu", "import dbm.gnu\n")}) {
    const ReceivedReport report = FailedBoot({{"hello.py", code}});
    EXPECT_EQ(report.code, "import_error");
    EXPECT_EQ(report.line, 1U);
    EXPECT_EQ(report.message, "workers do not have '" + std::string(module) +
                                  "' of Python's standard library, and no package brings it: do "
                                  "without");
  }
}

TEST(BootTest, ALogHandlerThatIsRefusedNamesItsLineAndTheWayOut) {
  const ReceivedReport report = FailedBoot({{"hello.py", R"(import logging.config
SETTINGS = {'version': 1, 'handlers': {'file': {
    'class': 'logging.handlers.RotatingFileHandler', 'filename': '/var/log/app.log'}}}
logging.config.dictConfig(SETTINGS)
)"}});
  EXPECT_EQ(report.code, "app_raised");
  EXPECT_EQ(report.file, "hello.py");
  EXPECT_EQ(report.line, 4U);
  EXPECT_THAT(report.message,
              HasSubstr("Unable to configure handler 'file': RotatingFileHandler writes files, "
                        "which a worker has not; use StreamHandler"));
}

TEST(BootTest, AMissingNameInAModuleIsAnImportError) {
  const ReceivedReport report = FailedBoot({{"hello.py", "from json import nothing\n"}});
  EXPECT_EQ(report.code, "import_error");
  EXPECT_THAT(report.message, HasSubstr("cannot import name 'nothing' from 'json'"));
  EXPECT_EQ(report.line, 1U);
}

TEST(BootTest, AnEntryModuleThatImportsItselfInVainIsThere) {
  const ReceivedReport report = FailedBoot({{"hello.py", "from hello import nothing\n"}});
  EXPECT_EQ(report.code, "import_error");
  EXPECT_THAT(report.message, HasSubstr("cannot import name 'nothing'"));
  EXPECT_EQ(report.line, 1U);
}

TEST(BootTest, AMissingEntryModuleNamesTheManifest) {
  const ReceivedReport report = FailedBoot({{"other.py", ""}});
  EXPECT_EQ(report.code, "entry_missing");
  EXPECT_EQ(report.file, "cloister.toml");
  EXPECT_EQ(report.line, 0U);
  EXPECT_EQ(report.message, "there is no module 'hello' in the bundle, which [entry] web names");
  EXPECT_THAT(report.traceback, IsEmpty());
}

TEST(BootTest, AMissingEntryModuleSuggestsNearOnes) {
  const auto message = [](const std::string& entry) {
    const Files files = {{"main.py", ""}, {"pkg/__init__.py", ""}, {"pkg/wsgi.py", ""}};
    return FailedBoot(files, {.entry = entry}).message;
  };
  EXPECT_THAT(message("mian:app"), HasSubstr(": did you mean 'main'?"));
  EXPECT_THAT(message("main.py:app"), HasSubstr("'main.py' in the bundle, which [entry] web names"
                                                ": did you mean 'main'?"));
  EXPECT_THAT(message("pkg.wsg"), HasSubstr(": did you mean 'pkg.wsgi'"));
}

TEST(BootTest, AModuleThatTheEntryDoesNotFindIsAnImportError) {
  const ReceivedReport report =
      FailedBoot({{"pkg/__init__.py", "import pkg.app\n"}}, {.entry = "pkg.app"});
  EXPECT_EQ(report.code, "import_error");
  EXPECT_EQ(report.file, "pkg/__init__.py");
}

TEST(BootTest, ADeniedModuleHasACodeOfItsOwn) {
  StartOptions options;
  options.module_rules = std::string("-sqlite3\0", 9);
  const ReceivedReport report =
      FailedBoot({{"hello.py", "x = 1\nfrom sqlite3 import dbapi2\n"}}, options);
  EXPECT_EQ(report.code, "module_denied");
  EXPECT_EQ(report.file, "hello.py");
  EXPECT_EQ(report.line, 2U);
  EXPECT_EQ(report.message,
            "module 'sqlite3' is denied on this node: its operator's settings have it in "
            "[modules] deny");
  EXPECT_THAT(report.traceback, HasSubstr("\nModuleDenied: module 'sqlite3' is denied"));
  EXPECT_THAT(report.traceback, Not(HasSubstr("_cloister")));

  options.entry = "sqlite3:connect";
  const ReceivedReport of_entry = FailedBoot({{"hello.py", ""}}, options);
  EXPECT_EQ(of_entry.code, "module_denied");
  EXPECT_EQ(of_entry.file, "cloister.toml");
  EXPECT_THAT(of_entry.traceback, IsEmpty());
}

TEST(BootTest, MemoryThatTheImportCannotHaveIsNamed) {
  const ReceivedReport report = FailedBoot({{"hello.py", "x = 1\nraise MemoryError\n"}});
  EXPECT_EQ(report.code, "memory_exceeded");
  EXPECT_EQ(report.message, "MemoryError while the entry point was imported");
  EXPECT_EQ(report.file, "hello.py");
  EXPECT_EQ(report.line, 2U);
  EXPECT_THAT(report.traceback, HasSubstr("\nMemoryError\n"));
}

TEST(BootTest, AMissingCallableSuggestsNearNames) {
  const ReceivedReport report = FailedBoot({{"hello.py", "def aplication(e, s): pass\napp = 1\n"}});
  EXPECT_EQ(report.code, "entry_missing");
  EXPECT_EQ(report.file, "hello.py");
  EXPECT_EQ(report.message,
            "module 'hello' has no 'application': did you mean 'aplication' or 'app'?");
}

TEST(BootTest, AnEntryThatCannotBeCalled) {
  const ReceivedReport report = FailedBoot({{"hello.py", "application = {}\n"}});
  EXPECT_EQ(report.code, "entry_not_callable");
  EXPECT_EQ(report.message, "'hello:application' is a dict, which cannot be called");
}

TEST(BootTest, AnyOtherExceptionHasItsTraceback) {
  const ReceivedReport report =
      FailedBoot({{"hello.py", "import pkg.mod\n"},
                  {"pkg/__init__.py", ""},
                  {"pkg/mod.py", "import json\ndef f():\n    json.loads('{')\nf()\n"}});
  EXPECT_EQ(report.code, "app_raised");
  EXPECT_EQ(report.file, "pkg/mod.py");
  EXPECT_EQ(report.line, 3U);
  EXPECT_THAT(report.message, HasSubstr("JSONDecodeError: Expecting property name"));
  EXPECT_THAT(report.traceback, HasSubstr("File \"hello@1.2.0/pkg/mod.py\", line 3, in f\n"
                                          "    json.loads('{')\n"));
  EXPECT_THAT(report.traceback, HasSubstr("File \"/usr/lib/python3.11/json/"));
  EXPECT_THAT(report.traceback, Not(HasSubstr("_cloister")));
}

// The node finds a secret where a text ends with the mark of a cut, and nowhere by its end alone.
TEST(BootTest, OfLongTextsAReportHasWholeLinesAndTheMark) {
  const ReceivedReport lines = FailedBoot(
      {{"hello.py", "raise ValueError('\\n'.join(f'line {i:05}' for i in range(9000)))\n"}});
  const std::size_t gap = lines.traceback.find("\n  ... ");
  ASSERT_NE(gap, std::string::npos);
  EXPECT_THAT(lines.traceback.substr(gap - 11, 11), ::testing::StartsWith("\nline "));
  const std::size_t after = lines.traceback.find(" characters left out ...\n", gap) + 25;
  EXPECT_THAT(lines.traceback.substr(after, 11), ::testing::MatchesRegex("line [0-9]+\n"));
  EXPECT_THAT(lines.traceback, ::testing::EndsWith("\nline 08999\n"));
  const ReceivedReport one = FailedBoot({{"hello.py", "raise ValueError('secret-' * 9000)\n"}});
  EXPECT_EQ(one.message.size(), 2000U);
  EXPECT_THAT(one.message, ::testing::EndsWith("..."));
  EXPECT_THAT(one.traceback, HasSubstr(" characters left out ...\nValueError: secret-secret-"));
  EXPECT_THAT(one.traceback, ::testing::EndsWith("..."));
}

TEST(BootTest, SystemExitAndKeyboardInterruptAreReports) {
  EXPECT_EQ(FailedBoot({{"hello.py", "raise SystemExit('no')\n"}}).message, "SystemExit: no");
  EXPECT_EQ(FailedBoot({{"hello.py", "raise KeyboardInterrupt\n"}}).code, "app_raised");
}

TEST(BootTest, AnEndlessRecursionAndAHugeMessageStayReports) {
  EXPECT_THAT(FailedBoot({{"hello.py", "def f(): f()\nf()\n"}}).message,
              HasSubstr("RecursionError"));
  const ReceivedReport report =
      FailedBoot({{"hello.py", "raise ValueError('\\u20ac' * 1000000)\n"}});
  EXPECT_EQ(report.code, "app_raised");
  EXPECT_LE(report.message.size(), 4096U);
}

TEST(BootTest, OsExitAtImportIsADeathWithoutAReport) {
  FakeNode node({{"hello.py", "import os\nos._exit(0)\n"}}, {});
  EXPECT_FALSE(node.WaitReady());
  EXPECT_FALSE(node.report().has_value());
  EXPECT_EQ(WEXITSTATUS(node.WaitExit()), 0);
}

TEST(BootTest, AnImportThatHangsShowsWhereWhenInterrupted) {
  FakeNode node({{"hello.py", "import time\nprint('began')\nwhile True: time.sleep(1)\n"}}, {});
  ASSERT_TRUE(node.PumpUntil([&] { return !node.logs().empty(); }));
  node.Signal(SIGXCPU);
  EXPECT_FALSE(node.WaitReady());
  ASSERT_TRUE(node.report().has_value());
  EXPECT_EQ(node.report()->code, "boot_timeout");
  EXPECT_EQ(node.report()->file, "hello.py");
  EXPECT_THAT(node.report()->traceback, HasSubstr("\"hello@1.2.0/hello.py\", line "));
}

TEST(BootTest, WhatWasPrintedComesBeforeTheReport) {
  FakeNode node(
      {{"hello.py",
        "print('hello', end='')\nimport sys; print('to stderr', file=sys.stderr)\n1/0\n"}},
      {});
  EXPECT_FALSE(node.WaitReady());
  EXPECT_EQ(node.LogText(), "to stderr\nhello");
}

TEST(BootTest, DottedEntriesAndDefaults) {
  const Files files = {{"pkg/__init__.py", ""}, {"pkg/app.py", R"(
class Site:
    @staticmethod
    def wsgi(environ, start_response):
        start_response('200 OK', [])
        return [b'dotted']
application = Site.wsgi
)"}};
  EXPECT_EQ(Serve(files, {.entry = "pkg.app:Site.wsgi"})->Ask({}).body, "dotted");
  EXPECT_EQ(Serve(files, {.entry = "pkg.app"})->Ask({}).body, "dotted");
}

TEST(BootTest, TheEnvironmentIsTheNodesAndNothingElse) {
  StartOptions options;
  options.environment = std::string("COLOR=red\0EMPTY=\0", 17);
  const auto node = Serve({{"hello.py", R"(
import os
assert 'CLOISTER_TEST_SECRET' not in os.environ
def application(environ, start_response):
    start_response('200 OK', [])
    return [repr(sorted(os.environ.items())).encode()]
)"}},
                          options);
  EXPECT_EQ(node->Ask({}).body,
            "[('COLOR', 'red'), ('EMPTY', ''), ('HOME', '/app'), ('LANG', 'C.UTF-8'), "
            "('LOGNAME', 'app'), ('TMPDIR', '/tmp'), ('TZ', 'UTC0'), ('USER', 'app')]");
}

TEST(BootTest, BundleModulesWinOverThoseOfTheStandardLibrary) {
  const auto node = Serve({{"hello.py", R"(
import calendar, code
from email import mine
def application(environ, start_response):
    start_response('200 OK', [])
    return [f'{calendar.MINE} {code.MINE} {mine.MINE}'.encode()]
)"},
                           {"calendar.py", "MINE = 1\n"},
                           {"code.py", "MINE = 2\n"},
                           {"email/__init__.py", ""},
                           {"email/mine.py", "MINE = 3\n"}});
  EXPECT_EQ(node->Ask({}).body, "1 2 3");
}

TEST(CompileTest, BytecodeOfEveryModuleWithoutImportingAny) {
  const Files files = {{"hello.py", R"(
def application(environ, start_response):
    start_response('200 OK', [])
    return [application.__code__.co_filename.encode()]
)"},
                       {"never.py", "raise RuntimeError('imported')\n"},
                       {"pkg/__init__.py", "x = '" + std::string(200'000, 'l') + "'\n"},
                       {"data.txt", "not python"},
                       {"site-packages/two.py", "print 'python 2'\n"}};
  FakeNode compiler(files, {.job = WorkerJob::kCompile});
  ASSERT_TRUE(compiler.WaitReady());
  EXPECT_THAT(compiler.code(),
              UnorderedElementsAre(Key("hello.py"), Key("never.py"), Key("pkg/__init__.py")));
  EXPECT_GT(compiler.code().at("pkg/__init__.py").size(), 200'000U);
  EXPECT_THAT(compiler.LogText(), HasSubstr("site-packages/two.py does not compile"));
  EXPECT_EQ(WEXITSTATUS(compiler.WaitExit()), 0);

  StartOptions options;
  options.code = compiler.code();
  EXPECT_EQ(Serve(files, options)->Ask({}).body, "hello@1.2.0/hello.py");
}

TEST(CompileTest, TheFirstSyntaxErrorOfTheBundleIsTheReport) {
  const ReceivedReport report = FailedBoot({{"a.py", "fine = 1\n"}, {"pkg/bad.py", "x = (\n1,\n"}},
                                           {.job = WorkerJob::kCompile});
  EXPECT_EQ(report.code, "syntax_error");
  EXPECT_EQ(report.file, "pkg/bad.py");
  EXPECT_EQ(report.line, 1U);
  EXPECT_THAT(report.message, HasSubstr("'(' was never closed"));
  EXPECT_THAT(report.traceback, HasSubstr("File \"pkg/bad.py\", line 1"));
  EXPECT_THAT(report.traceback, Not(HasSubstr("compile_all")));
}

TEST(CompileTest, WhatTheCompilerCannotTakeIsAReport) {
  const std::string deep = "x = " + std::string(5000, '(') + std::string(5000, ')') + "\n";
  const std::string long_sum = [] {
    std::string sum = "x = 1";
    for (int i = 0; i < 100'000; ++i)
      sum += "+1";
    return sum + "\n";
  }();
  for (const std::string& source : {std::string("x = 1\0y", 7), std::string("# coding: nothing\n"),
                                    std::string("\xff\xfe"), deep, long_sum}) {
    const ReceivedReport report = FailedBoot({{"bad.py", source}}, {.job = WorkerJob::kCompile});
    EXPECT_EQ(report.code, "syntax_error") << report.message;
    EXPECT_EQ(report.file, "bad.py");
  }
}

}  // namespace
}  // namespace cloister::testing
