#include "config/bundle_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cloister {
namespace {

using ::testing::HasSubstr;

std::string PathError(std::string_view path) {
  Result<void> checked = CheckBundlePath(path);
  return checked.ok() ? "fine" : checked.error().message;
}

TEST(BundleRulesTest, PlainRelativePathsAreFine) {
  for (const char* path : {"app.py", "a/b/c.txt", ".hidden", "...", "a b", "grün.txt", "a\\b",
                           "cloister.toml", "cloisters/x.py", "x/cloister/y.py"})
    EXPECT_EQ(PathError(path), "fine") << path;
}

struct BadPath {
  std::string path;
  std::string message;
};

TEST(BundleRulesTest, BadPathsSayWhy) {
  const BadPath paths[] = {
      {"", "is an empty path"},
      {"/etc/passwd", "'/etc/passwd' is absolute"},
      {"../x", "'../x' has a '.' or '..'"},
      {"a/../x", "has a '.' or '..'"},
      {"./x", "has a '.' or '..'"},
      {"a//b", "has an empty part"},
      {"a/", "has an empty part"},
      {"a\nb", "'a\\x0ab' has a control character"},
      {std::string("a\0b", 3), "has a control character"},
      {"a\xff", "'a\\xff' has a name that is not UTF-8"},
      {std::string(256, 'a'), "has a part of more than 255 bytes"},
      {std::string(1025, 'a'), "is longer than 1024 bytes"},
      {"cloister/__init__.py", "takes the name 'cloister'"},
      {"cloister.py", "takes the name 'cloister'"},
  };
  for (const BadPath& bad : paths)
    EXPECT_THAT(PathError(bad.path), HasSubstr(bad.message)) << bad.path;
}

TEST(BundleRulesTest, LimitsOfLengthAndDepthAreExact) {
  EXPECT_EQ(PathError(std::string(255, 'a')), "fine");
  std::string deep = "a";
  for (int i = 1; i < 64; ++i)
    deep += "/a";
  EXPECT_EQ(PathError(deep), "fine");
  EXPECT_THAT(PathError(deep + "/a"), HasSubstr("more than 64 parts"));
}

TEST(BundleRulesTest, DuplicatesAfterNormalisationAreRefused) {
  BundleRules rules;
  ASSERT_TRUE(rules.Add("caf\u00e9.txt", 1).ok());
  Result<void> again = rules.Add("cafe\u0301.txt", 1);
  ASSERT_FALSE(again.ok());
  EXPECT_THAT(again.error().message, HasSubstr("is there twice"));
}

TEST(BundleRulesTest, AFileIsNoFolder) {
  BundleRules below;
  ASSERT_TRUE(below.Add("a", 1).ok());
  EXPECT_FALSE(below.Add("a/b", 1).ok());
  BundleRules above;
  ASSERT_TRUE(above.Add("a/b", 1).ok());
  EXPECT_TRUE(above.Add("a/c", 1).ok());
  EXPECT_FALSE(above.Add("a", 1).ok());
}

TEST(BundleRulesTest, SizesAndCountsAreBounded) {
  BundleRules rules;
  EXPECT_TRUE(rules.Add("max", kBundleFileMax.count).ok());
  Result<void> large = BundleRules().Add("large", kBundleFileMax.count + 1);
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code, ErrorCode::kQuotaExceeded);

  BundleRules sum;
  for (int i = 0; i < 8; ++i)
    EXPECT_TRUE(sum.Add("f" + std::to_string(i), kBundleFileMax.count).ok());
  EXPECT_TRUE(sum.Add("nothing", 0).ok());
  EXPECT_FALSE(sum.Add("more", 1).ok());

  BundleRules count;
  for (std::size_t i = 0; i < kBundleFilesMax; ++i)
    ASSERT_TRUE(count.Add("f" + std::to_string(i), 0).ok());
  Result<void> many = count.Add("one-more", 0);
  ASSERT_FALSE(many.ok());
  EXPECT_THAT(many.error().message, HasSubstr("more than 20000 files"));
}

}  // namespace
}  // namespace cloister
