// The rehearsal of a boot: an app cannot tell whether there was one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What an app finds at its import and at its first request.
constexpr const char* kObserver = R"(
import gc, json, os, sys, _cloister_runtime, linecache, tempfile

def named(module):
    return sorted(name for name in vars(module) if not name.startswith('__'))

def found():
    gc.collect()
    return {
        'modules': sorted(sys.modules),
        'last modules': list(sys.modules)[-8:],
        'path': sys.path, 'argv': sys.argv, 'hooks': [hook.__name__ for hook in sys.path_hooks],
        'meta': [str(finder) for finder in sys.meta_path],
        'cache': {path: finder and finder.path for path, finder in sys.path_importer_cache.items()},
        'images': [type(o).__name__ for o in gc.get_objects()
                   if type(o).__name__ in ('ImageFinder', 'ImageLoader')],
        'environment': dict(os.environ),
        'runtime': named(_cloister_runtime),
        'files': os.listdir('/app'), 'temporary': os.listdir('/tmp'),
        'lines': sorted(linecache.cache),
        'greetings': [str(o) for o in gc.get_objects() if type(o).__name__ == 'Greeting'],
    }

AT_IMPORT = found()

def application(environ, start_response):
    body = json.dumps([AT_IMPORT, found()], indent=1).encode()
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]
)";

std::string SeenBy(bool rehearses) {
  const auto node = Serve({{"hello.py", kObserver}}, {.rehearses = rehearses});
  return node->Ask({}).body;
}

TEST(RehearsalTest, LeavesNothingThatAnAppSees) {
  const std::string without = SeenBy(false);
  EXPECT_THAT(without, HasSubstr("\"path\": ["));
  EXPECT_THAT(without, Not(HasSubstr("rehearsal@")));
  EXPECT_EQ(SeenBy(true), without);
}

TEST(RehearsalTest, AnAppMayHaveAModuleOfTheSameName) {
  const auto node = Serve({{"hello.py", R"(
import cloister_rehearsal
def application(environ, start_response):
    start_response('200 OK', [])
    return [cloister_rehearsal.WHOSE]
)"},
                           {"cloister_rehearsal.py", "WHOSE = b'the app\\'s'\n"}});
  EXPECT_EQ(node->Ask({}).body, "the app's");
}

}  // namespace
}  // namespace cloister::testing
