#include "daemon/releases/modules.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sandbox/image/image.h"
#include "sandbox/image/platform.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {
namespace {

using testing::HasSubstr;

class ModulesTest : public NodeTest {
 protected:
  ModulesTest() {
    ImageBuilder platform;
    platform.Add(std::string(kPlatformVersionPath), "3.11.2", "");
    platform.Add(std::string(kModuleNamesPath), "json\nos\nsys", "");
    platform.Add("usr/lib/python3.11/json/__init__.py", "the platform's", "");
    const UniqueFd file(::open(platform_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_TRUE(platform.WriteTo(file.get()).ok());
  }
  Outcome<ModuleFacts> List(const std::string& version, const std::string& app = "hello") {
    const Modules modules(*state, releases->catalog(), platform_path_);
    return Wait<ModuleFacts>([&](const auto& done) {
      modules.List(AppName::Parse("demo/" + app).value(), version, done);
    });
  }

  int version_ = 0;
  std::string platform_path_ = dir.path() + "/platform.img";
};

TEST_F(ModulesTest, AReleaseKeepsWhatItHadLoadedWhenItBooted) {
  StartWithApp();
  workers->loaded_modules =
      "json\tplatform\tusr/lib/python3.11/json/__init__.py\n"
      "main\tapp\tmain.py\n"
      "made\tapp\t\n"
      "sys\tplatform\t\n";
  const Files files = HelloFiles("1.0.0");
  ASSERT_TRUE(Deploy(files).ok());
  workers->loaded_modules = "main\tapp\tmain.py\n";
  ASSERT_TRUE(Deploy(HelloFiles("2.0.0", "two")).ok());
  const ModuleFacts facts = List("1.0.0").value();
  EXPECT_EQ(facts.version, "1.0.0");
  EXPECT_EQ(facts.platform, "3.11.2");
  ASSERT_EQ(facts.modules.size(), 4U);
  EXPECT_EQ(facts.modules[0].module.name, "json");
  EXPECT_EQ(facts.modules[0].sha256, Sha256Of("the platform's"));
  EXPECT_EQ(facts.modules[2].module.origin, ModuleOrigin::kApp);
  EXPECT_EQ(facts.modules[2].sha256, Sha256Of(files[1].second));
  EXPECT_EQ(facts.modules[1].sha256, std::nullopt);
  EXPECT_EQ(facts.modules[3].sha256, std::nullopt);
  EXPECT_EQ(List("").value().version, "2.0.0");
  EXPECT_EQ(List("").value().modules.size(), 1U);
}

TEST_F(ModulesTest, AWorkerThatSaysNonsenseStopsNoDeploy) {
  StartWithApp();
  for (const char* nonsense :
       {"", "main", "main\tapp\n", "main\tmine\tmain.py\n", "\xff\tapp\t\n"}) {
    workers->loaded_modules = nonsense;
    const std::string version = std::to_string(++version_) + ".0.0";
    ASSERT_TRUE(Deploy(HelloFiles(version)).ok()) << nonsense;
    EXPECT_EQ(List(version).error().code, ProblemCode::kModulesUnknown) << nonsense;
  }
}

TEST_F(ModulesTest, ANameOfTheListsThatNoModuleHasIsFound) {
  const ModuleSettings lists{.deny = {"jsn", "json.tool", "nowhere"}, .allow = {"json"}};
  EXPECT_EQ(FindUnknownModules(lists, platform_path_),
            (std::vector<std::string>{"jsn: did you mean 'json'?", "nowhere"}));
}

TEST_F(ModulesTest, WhatIsNotThereIsSaid) {
  StartWithApp();
  EXPECT_EQ(List("", "other").error().code, ProblemCode::kAppNotFound);
  EXPECT_EQ(List("").error().code, ProblemCode::kReleaseNotFound);
  EXPECT_EQ(List("1.0.0").error().code, ProblemCode::kReleaseNotFound);
  workers->boot_failure = FailureOf("import_error", "no module named x");
  ASSERT_TRUE(Deploy(HelloFiles("1.0.0")).ok());
  EXPECT_THAT(List("1.0.0").error().detail, HasSubstr("never booted"));
}

TEST(ParseModulesTest, WhatIsTooMuchIsRefused) {
  std::string many;
  for (std::size_t i = 0; i <= kModulesMax; ++i)
    many += "m\tapp\t\n";
  EXPECT_FALSE(ParseModules(many).ok());
  EXPECT_TRUE(ParseModules(std::string_view(many).substr(7)).ok());
  EXPECT_FALSE(ParseModules(std::string(1001, 'm') + "\tapp\t\n").ok());
  EXPECT_FALSE(ParseModules("m\tapp\t" + std::string(1001, 'p') + "\n").ok());
  EXPECT_FALSE(ParseModules(std::string(kModulesTextMax + 1, 'm')).ok());
}

}  // namespace
}  // namespace cloister
