#include "daemon/cli/init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "config/manifest.h"
#include "daemon/cli/dev.h"
#include "daemon/cli/init_files.h"
#include "tests/daemon/cli/written.h"
#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

class InitTest : public testing::Test {
 protected:
  Attempt<void> Init(const std::string& folder, const std::string& name = "",
                     const std::string& kind = "wsgi") {
    Console console({.out = out_.file(), .err = err_.file(), .format = format_});
    return InitApp(console, {.folder = PathOf(folder), .name = name, .kind = kind});
  }
  std::string PathOf(const std::string& name) const { return directory_.path() + "/" + name; }
  std::string Read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(PathOf(name)).rdbuf();
    return text.str();
  }
  std::string NameIn(const std::string& folder) const {
    const Result<Manifest> manifest = ParseManifest(Read(folder + "/cloister.toml"), "m");
    return manifest.ok() ? manifest.value().app : manifest.error().message;
  }

  TempDir directory_;
  Written out_;
  Written err_;
  Console::Format format_ = Console::Format::kText;
};

TEST_F(InitTest, WritesAnAppThatItsManifestNames) {
  ASSERT_TRUE(Init("shop").ok());
  EXPECT_EQ(NameIn("shop"), "shop");
  EXPECT_THAT(Read("shop/app.py"), HasSubstr("Hello from shop"));
  EXPECT_THAT(Read("shop/test_app.py"), HasSubstr("unittest"));
  EXPECT_THAT(Read("shop/.cloisterignore"), HasSubstr("/typings/"));
  EXPECT_THAT(Read("shop/typings/cloister/cache.pyi"), HasSubstr("def get_multi("));
  EXPECT_THAT(out_.text(), HasSubstr("wrote app.py\n"));
  EXPECT_THAT(err_.text(), HasSubstr("cloister dev"));
}

TEST_F(InitTest, LeavesWhatIsThere) {
  ASSERT_EQ(::mkdir(PathOf("shop").c_str(), 0755), 0);
  std::ofstream(PathOf("shop/app.py")) << "mine";
  ASSERT_EQ(::symlink("elsewhere", PathOf("shop/cloister.toml").c_str()), 0);
  ASSERT_TRUE(Init("shop").ok());
  EXPECT_EQ(Read("shop/app.py"), "mine");
  EXPECT_FALSE(std::filesystem::exists(PathOf("shop/elsewhere")));
  EXPECT_THAT(out_.text(), HasSubstr("kept  app.py, which was there\n"));
  EXPECT_THAT(out_.text(), HasSubstr("kept  cloister.toml, which was there\n"));
  EXPECT_THAT(out_.text(), Not(HasSubstr("wrote app.py")));
}

TEST_F(InitTest, AFoldersNameBecomesTheApps) {
  for (const auto& [folder, name] : {std::pair{"My Shop", "my-shop"},
                                     {"2-Shop_2", "shop-2"},
                                     {"a--b--", "a-b"},
                                     {"shop/", "shop"},
                                     {"x/./y/..", "x"}}) {
    ASSERT_TRUE(Init(folder).ok()) << folder;
    EXPECT_EQ(NameIn(folder), name);
  }
  ASSERT_TRUE(Init(std::string(60, 'n')).ok());
  EXPECT_EQ(NameIn(std::string(60, 'n')), std::string(30, 'n'));
}

TEST_F(InitTest, ANameThatIsNotTheFoldersIsSaid) {
  ASSERT_TRUE(Init("9bad").ok());
  EXPECT_THAT(err_.text(), HasSubstr("The app is named bad,"));
  Written quiet;
  Console console({.out = quiet.file(), .err = quiet.file()});
  ASSERT_TRUE(InitApp(console, {.folder = PathOf("good"), .name = "", .kind = "wsgi"}).ok());
  ASSERT_TRUE(InitApp(console, {.folder = PathOf("8ok"), .name = "ok", .kind = "wsgi"}).ok());
  EXPECT_THAT(quiet.text(), Not(HasSubstr("The app is named")));
}

TEST_F(InitTest, WhatComesNextIsInTheOrderInWhichItWorks) {
  ASSERT_TRUE(Init("shop", "", "django").ok());
  const std::string text = err_.text();
  const std::size_t create = text.find("cloister apps create TENANT/shop");
  const std::size_t set = text.find("cloister secrets set TENANT/shop SECRET_KEY");
  const std::size_t deploy = text.find("cloister deploy");
  ASSERT_NE(create, std::string::npos);
  EXPECT_LT(create, set);
  EXPECT_LT(set, deploy);
  EXPECT_NE(deploy, std::string::npos);
}

TEST_F(InitTest, AFolderWithoutALetterNeedsAName) {
  const Attempt<void> done = Init("1");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kUsage);
  EXPECT_THAT(done.error().advice, HasSubstr("--name"));
  ASSERT_TRUE(Init("1", "one").ok());
  EXPECT_EQ(NameIn("1"), "one");
}

TEST_F(InitTest, ANameThatIsNoneIsRefused) {
  for (const char* name : {"A", "1a", "a_b", "a/b", "@NAME@"}) {
    const Attempt<void> done = Init("shop", name);
    ASSERT_FALSE(done.ok()) << name;
    EXPECT_EQ(done.error().code, "usage");
  }
  EXPECT_FALSE(std::filesystem::exists(PathOf("shop")));
}

TEST_F(InitTest, EveryKindHasAManifestAndTests) {
  for (const char* kind : {"wsgi", "flask", "django"}) {
    ASSERT_TRUE(Init(kind, "", kind).ok());
    EXPECT_THAT(Read(std::string(kind) + "/cloister.toml"), HasSubstr("[[check]]"));
    EXPECT_THAT(Read(std::string(kind) + "/test_app.py"), HasSubstr("Hello from"));
  }
  EXPECT_THAT(Read("django/project/settings.py"), HasSubstr("CloisterCache"));
}

TEST_F(InitTest, JsonListsWhatWasWritten) {
  format_ = Console::Format::kJson;
  ASSERT_TRUE(Init("shop").ok());
  const Json first = Json::parse(out_.text());
  EXPECT_EQ(first["app"], "shop");
  EXPECT_THAT(first["written"], IsSupersetOf({"app.py", "cloister.toml", ".cloisterignore"}));
  EXPECT_THAT(first["kept"], IsEmpty());
  EXPECT_EQ(err_.text(), "");
}

TEST_F(InitTest, WhatCannotBeWrittenIsSaid) {
  std::ofstream(PathOf("file")) << "";
  const Attempt<void> done = Init("file/shop");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, "file_unwritable");
  EXPECT_EQ(done.error().exit, ExitCode::kFailed);
}

TEST(InitFilesTest, PathsStayInTheFolder) {
  ASSERT_FALSE(InitFiles().empty());
  for (const InitFile& file : InitFiles()) {
    EXPECT_FALSE(file.path.empty() || file.path.starts_with('/')) << file.path;
    EXPECT_EQ(file.path.find(".."), std::string_view::npos) << file.path;
  }
}

TEST_F(InitTest, DevSaysWhereThePackageLies) {
  Console console({.out = out_.file(), .err = err_.file(), .format = Console::Format::kText});
  ASSERT_TRUE(RunDev(console, {.goal = DevOptions::Goal::kWhere}).ok());
  std::string path = out_.text();
  ASSERT_TRUE(path.ends_with('\n'));
  path.pop_back();
  EXPECT_TRUE(std::filesystem::exists(path + "/cloister/dev/__main__.py")) << path;
}

TEST_F(InitTest, DevSaysThatAPythonIsNotThere) {
  Console console({.out = out_.file(), .err = err_.file(), .format = Console::Format::kText});
  ASSERT_TRUE(Init("shop").ok());
  for (const std::string& python : {PathOf("no-python"), std::string("/bin/ls")}) {
    const Attempt<void> done = RunDev(console, {.folder = PathOf("shop"), .python = python});
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, "python_failed");
    EXPECT_EQ(done.error().what, "cannot run " + python);
  }
}

TEST_F(InitTest, DevSaysFirstThatAFolderIsNotThere) {
  Console console({.out = out_.file(), .err = err_.file(), .format = Console::Format::kJson});
  const Attempt<void> done = RunDev(console, {.folder = PathOf("none")});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().exit, ExitCode::kUsage);
  EXPECT_EQ(done.error().what, PathOf("none") + " is no folder");
}

TEST_F(InitTest, DevRefusesWhatADeployRefusesAndOnlyNotesWhatIsToCome) {
  Console console({.out = out_.file(), .err = err_.file(), .format = Console::Format::kText});
  const auto run = [&](const std::string& manifest, DevOptions::Goal goal) {
    std::ofstream(PathOf("shop/cloister.toml")) << manifest;
    const Attempt<void> done = RunDev(console, {.folder = PathOf("shop"), .goal = goal});
    return done.ok() ? "" : done.error().code + ": " + done.error().detail;
  };
  ASSERT_TRUE(Init("shop").ok());
  const std::string good = Read("shop/cloister.toml");
  const std::string without_files = good + "\n[static]\n\"/zz/\" = \"nope/\"\n";
  EXPECT_THAT(run(good + "\n[nonsense]\na = 1\n", DevOptions::Goal::kValidate),
              HasSubstr("manifest_invalid: "));
  EXPECT_THAT(run(without_files, DevOptions::Goal::kCheck),
              HasSubstr("'/zz/' leads to 'nope/', but the bundle has no file below it"));
  EXPECT_THAT(err_.text(), Not(HasSubstr("note: ")));
  EXPECT_EQ(run(without_files, DevOptions::Goal::kValidate), "");
  EXPECT_THAT(err_.text(), HasSubstr("note: a deploy would be refused: "));
  EXPECT_EQ(run(good, DevOptions::Goal::kValidate), "");
}

TEST_F(InitTest, TheNextStepsAreCommandsOfAShell) {
  ASSERT_TRUE(Init("Bad Dir's").ok());
  EXPECT_THAT(err_.text(), HasSubstr("cloister dev '" + directory_.path() + "/Bad Dir'\\''s' "));
}

}  // namespace
}  // namespace cloister
