#include "daemon/store/node_key.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;

TEST(NodeKeyTest, TheFirstSecretMakesAKeyThatStays) {
  const TempDir dir;
  std::string id;
  {
    NodeKey keys(dir.path(), {});
    EXPECT_FALSE(std::filesystem::exists(dir.At("node.key")));
    id = keys.ForSealing().value()->id();
    EXPECT_EQ(keys.ForSealing().value()->id(), id);
  }
  struct stat status = {};
  ASSERT_EQ(::stat(dir.At("node.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  EXPECT_FALSE(std::filesystem::exists(dir.At("node.key.new")));
  NodeKey again(dir.path(), {});
  EXPECT_EQ(again.ForOpening(id).value()->id(), id);
}

TEST(NodeKeyTest, OpeningMakesNoKey) {
  const TempDir dir;
  NodeKey keys(dir.path(), {});
  const auto opened = keys.ForOpening("0123456789abcdef");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(opened.error().message, HasSubstr("0123456789abcdef"));
  EXPECT_FALSE(std::filesystem::exists(dir.At("node.key")));
}

TEST(NodeKeyTest, AnotherKeyThanTheOneThatSealedIsNamedWithIt) {
  const TempDir dir;
  NodeKey keys(dir.path(), {});
  const std::string id = keys.ForSealing().value()->id();
  const auto opened = keys.ForOpening("0123456789abcdef");
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("0123456789abcdef"));
  EXPECT_THAT(opened.error().message, HasSubstr(id));
}

TEST(NodeKeyTest, AFileThatIsNoKeyIsNotReplaced) {
  const TempDir dir;
  std::ofstream(dir.At("node.key")) << "short";
  NodeKey keys(dir.path(), {});
  EXPECT_FALSE(keys.ForSealing().ok());
  EXPECT_EQ(std::filesystem::file_size(dir.At("node.key")), 5U);
}

TEST(NodeKeyTest, WhatACrashLeftHalfMadeIsMadeAnew) {
  const TempDir dir;
  std::ofstream(dir.At("node.key.new")) << "half";
  NodeKey keys(dir.path(), {});
  EXPECT_TRUE(keys.ForSealing().ok());
  EXPECT_EQ(std::filesystem::file_size(dir.At("node.key")), SealKey::kSize);
}

TEST(NodeKeyTest, ACredentialGoesBeforeTheFile) {
  const TempDir dir;
  std::ofstream(dir.At("credential")) << std::string(32, 'k');
  NodeKey keys(dir.path(), UniqueFd(::open(dir.At("credential").c_str(), O_RDONLY | O_CLOEXEC)));
  EXPECT_EQ(keys.ForSealing().value()->id(), SealKey::FromBytes(std::string(32, 'k')).value().id());
  EXPECT_FALSE(std::filesystem::exists(dir.At("node.key")));
}

}  // namespace
}  // namespace cloister
