#include "daemon/cli/local_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/daemon/cli/fake_node.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Attempt<std::vector<LocalFile>> Find(const FakeFolder& folder) {
  Attempt<IgnoreRules> ignore = LoadIgnoreRules(folder.path());
  BundleRules rules;
  return FindFiles(folder.path(), ignore.value(), rules);
}

std::vector<std::string> PathsOf(const FakeFolder& folder) {
  Attempt<std::vector<LocalFile>> files = Find(folder);
  std::vector<std::string> paths;
  if (!files.ok())
    return {files.error().what};
  for (const LocalFile& file : files.value())
    paths.push_back(file.path);
  return paths;
}

TEST(LocalFilesTest, FindsWhatIsNotIgnoredInOrder) {
  const FakeFolder folder;
  folder.Write("b/c.txt", "1");
  folder.Write("a.py", "2");
  folder.Write("b.py", "3");
  folder.Write(".git/config", "4");
  folder.Write("b/__pycache__/x.py", "5");
  folder.Write("skip/deep/x.py", "6");
  folder.Write(".cloisterignore", "skip/\n");
  EXPECT_THAT(PathsOf(folder), ElementsAre("a.py", "b.py", "b/c.txt"));
}

TEST(LocalFilesTest, HashesAndSizes) {
  const FakeFolder folder;
  folder.Write("a", "abc");
  Attempt<std::vector<LocalFile>> files = Find(folder);
  ASSERT_TRUE(files.ok());
  Console console(Console::Options{});
  ASSERT_TRUE(HashFiles(files.value(), console, SystemClock()).ok());
  EXPECT_EQ(files.value()[0].size, 3U);
  EXPECT_EQ(files.value()[0].sha256, Sha256Of("abc"));
}

TEST(LocalFilesTest, AFileThatGrewIsNoticed) {
  const FakeFolder folder;
  folder.Write("a", "abc");
  Attempt<std::vector<LocalFile>> files = Find(folder);
  folder.Write("a", "abcd");
  Console console(Console::Options{});
  Attempt<void> hashed = HashFiles(files.value(), console, SystemClock());
  ASSERT_FALSE(hashed.ok());
  EXPECT_EQ(hashed.error().code, "file_changed");
}

TEST(LocalFilesTest, LinksAndDevicesAreRefused) {
  const FakeFolder links;
  ASSERT_EQ(::symlink("/etc/passwd", (links.path() + "/link").c_str()), 0);
  EXPECT_EQ(Find(links).error().code, "bundle_link");
  EXPECT_THAT(Find(links).error().what, HasSubstr("'link' is a link"));
  links.Write(".cloisterignore", "link\n");
  EXPECT_THAT(PathsOf(links), ElementsAre());

  const FakeFolder folders;
  ASSERT_EQ(::symlink("/etc", (folders.path() + "/folder").c_str()), 0);
  EXPECT_EQ(Find(folders).error().code, "bundle_link");

  const FakeFolder pipes;
  ASSERT_EQ(::mkfifo((pipes.path() + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(Find(pipes).error().code, "bundle_not_a_file");
}

TEST(LocalFilesTest, BadNamesAreShown) {
  const FakeFolder bytes;
  bytes.Write("bad\xff", "x");
  EXPECT_EQ(Find(bytes).error().code, "bundle_refused");
  EXPECT_THAT(Find(bytes).error().what, HasSubstr("'bad\\xff' has a name that is not UTF-8"));
  const FakeFolder control;
  control.Write("a\nb/c", "x");
  EXPECT_THAT(Find(control).error().what, HasSubstr("control character"));
}

TEST(LocalFilesTest, AHugeFileIsRefusedUnread) {
  const FakeFolder folder;
  folder.Write("huge", "");
  ASSERT_EQ(::truncate((folder.path() + "/huge").c_str(), 10LL << 30), 0);
  Attempt<std::vector<LocalFile>> files = Find(folder);
  ASSERT_FALSE(files.ok());
  EXPECT_EQ(files.error().code, "bundle_too_large");
  EXPECT_EQ(files.error().exit, ExitCode::kRefused);
  EXPECT_THAT(files.error().what, HasSubstr("'huge' has 10737418240 bytes"));
}

TEST(LocalFilesTest, AnAbsentFolderIsUnreadable) {
  BundleRules rules;
  EXPECT_EQ(FindFiles("/no/such/folder", IgnoreRules(), rules).error().code, "file_unreadable");
}

}  // namespace
}  // namespace cloister
