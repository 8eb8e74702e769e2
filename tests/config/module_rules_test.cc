#include "config/module_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/parser.h"

namespace cloister {
namespace {

using testing::HasSubstr;

ModuleSettings Lists(std::vector<std::string> deny, std::vector<std::string> allow = {}) {
  return {.deny = std::move(deny), .allow = std::move(allow)};
}

TEST(ModuleRulesTest, NothingDeniedIsNoRule) {
  EXPECT_EQ(RenderModuleRules({}), "");
}

TEST(ModuleRulesTest, EachEntryIsARuleAndWhatPythonNeedsStays) {
  const std::string rules = RenderModuleRules(Lists({"*", "xml"}, {"xml.dom"}));
  EXPECT_THAT(rules, HasSubstr(std::string("-*\0-xml\0", 8)));
  EXPECT_THAT(rules, HasSubstr(std::string("+os\0", 4)));
  EXPECT_TRUE(rules.ends_with(std::string("+xml.dom\0", 9)));
}

TEST(ModuleRulesTest, WhatIsNoModuleIsRefused) {
  for (const char* name : {"", ".", "a.", ".a", "a..b", "a b", "1a", "a-b", "a*", "\xc3\xbc"})
    EXPECT_FALSE(ValidateModules(Lists({name})).ok()) << name;
  EXPECT_FALSE(ValidateModules(Lists({"*"}, {"*"})).ok());
  EXPECT_TRUE(ValidateModules(Lists({"_sqlite3", "xml.dom", "*"}, {"xml"})).ok());
}

TEST(ModuleRulesTest, ListsThatCannotHoldAreRefused) {
  for (const char* needed : {"os", "os.path", "collections.abc", "encodings.utf_8", "_io",
                             "_frozen_importlib_external", "_cloister_runtime.boot"})
    EXPECT_THAT(ValidateModules(Lists({needed})).error().message,
                HasSubstr("Python itself needs it"))
        << needed;
  EXPECT_THAT(ValidateModules(Lists({"xml"}, {"xml"})).error().message, HasSubstr("both lists"));
  EXPECT_THAT(ValidateModules(Lists({}, {"xml"})).error().message, HasSubstr("deny = [\"*\"]"));
}

TEST(ModuleRulesTest, TheSettingsFileIsChecked) {
  const auto settings = ParseSettings("[modules]\ndeny = [\"sqlite3\"]\n", "settings.toml");
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_EQ(settings.value().modules.deny, std::vector<std::string>{"sqlite3"});
  EXPECT_THAT(ParseSettings("[modules]\ndeny = [\"sys\"]\n", "settings.toml").error().message,
              HasSubstr("[modules] deny"));
}

}  // namespace
}  // namespace cloister
