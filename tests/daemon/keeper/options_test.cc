#include "daemon/keeper/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(OptionsTest, BothFormsOfAFlagWithAValue) {
  const auto options = ParseKeeperOptions(
      {"--config", "a.toml", "--state-dir=/s=1", "--listen", "[::1]:1", "--listen=127.0.0.1:2"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options.value().action, KeeperAction::kRun);
  EXPECT_EQ(options.value().config, "a.toml");
  EXPECT_EQ(options.value().state_dir, "/s=1");
  EXPECT_THAT(options.value().listen, ElementsAre("[::1]:1", "127.0.0.1:2"));
}

TEST(OptionsTest, EveryAction) {
  const std::pair<const char*, KeeperAction> actions[] = {
      {"--check-config", KeeperAction::kCheckConfig},
      {"--print-settings", KeeperAction::kPrintSettings},
      {"--print-policy", KeeperAction::kPrintPolicy},
      {"--help", KeeperAction::kHelp},
      {"-h", KeeperAction::kHelp},
      {"--version", KeeperAction::kVersion}};
  for (const auto& [flag, action] : actions) {
    const auto options = ParseKeeperOptions({flag});
    ASSERT_TRUE(options.ok()) << flag;
    EXPECT_EQ(options.value().action, action);
  }
}

TEST(OptionsTest, WhatIsWrongIsNamed) {
  const std::pair<std::vector<std::string>, const char*> wrong[] = {
      {{"--nope"}, "--nope"},
      {{"file.toml"}, "file.toml"},
      {{"--config"}, "--config needs a value"},
      {{"--listen", "a", "--state-dir"}, "--state-dir needs a value"},
      {{"--help=1"}, "--help=1"},
      {{""}, "''"}};
  for (const auto& [arguments, words] : wrong) {
    const auto options = ParseKeeperOptions(arguments);
    ASSERT_FALSE(options.ok()) << words;
    EXPECT_THAT(options.error().message, HasSubstr(words));
  }
}

TEST(OptionsTest, TheCommandLineIsAboveTheFile) {
  const TempDir directory;
  directory.Write("c.toml", "[node]\nstate_dir = '/from/file'\nuid_count = 100\n");
  KeeperOptions options;
  options.config = directory.At("c.toml");
  EXPECT_EQ(SettingsFor(options).value().node.state_dir, "/from/file");
  options.state_dir = "relative";
  options.listen = {"127.0.0.1:0"};
  const auto settings = SettingsFor(options);
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_THAT(settings.value().node.state_dir, StartsWith("/"));
  EXPECT_THAT(settings.value().node.state_dir, EndsWith("/relative"));
  EXPECT_THAT(settings.value().http.listen, ElementsAre("127.0.0.1:0"));
  EXPECT_EQ(settings.value().node.uid_count, 100U);
}

TEST(OptionsTest, WhatTheCommandLineSaysIsCheckedToo) {
  KeeperOptions options;
  options.listen = {"localhost:80"};
  EXPECT_FALSE(SettingsFor(options).ok());
  options.listen.clear();
  options.config = "/nonexistent/file.toml";
  const auto missing = SettingsFor(options);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("/nonexistent/file.toml"));
}

}  // namespace
}  // namespace cloister
