// The probes in probes/, run in a worker: what the standard library does there.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

constexpr int kProbesMin = 118;

Files ProbeFiles() {
  Files files = {
      {"data/probe_data.txt", "some data\n"},
      {"package/__init__.py", ""},
      {"package/inner.py", "VALUE = 'inner value'\ndef function(x):\n    return x + 1\n"},
      {"package/beside.py", "VALUE = 'added to sys.path'\n"},
      {"site-packages/spaces/one.py", "VALUE = 'namespace value'\n"},
      {"site-packages/probe_dist-1.5.dist-info/METADATA",
       "Metadata-Version: 2.1\nName: Probe-Dist\nVersion: 1.5\n"},
      {"site-packages/probe_dist-1.5.dist-info/entry_points.txt",
       "[probe]\napp = hello:application\n"}};
  for (const char* name :
       {"expect.py", "file_probes.py", "hello.py", "import_probes.py", "system_probes.py"})
    AddFromDisk(files, std::string(CLOISTER_PROBES) + "/" + name, name);
  return files;
}

TEST(ProbeTest, EachEndsAsExpected) {
  const Files files = ProbeFiles();
  StartOptions options;
  options.code = CompileFiles(files);
  const auto node = Serve(files, options);
  const ReceivedResponse response = node->Ask({});
  ASSERT_EQ(response.status, 200) << node->LogText();
  EXPECT_EQ(response.body, "");
  ASSERT_EQ(response.headers.size(), 1U);
  EXPECT_GE(std::stoi(response.headers[0].second), kProbesMin);
}

}  // namespace
}  // namespace cloister::testing
