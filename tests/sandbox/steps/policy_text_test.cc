#include "sandbox/steps/policy_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace cloister {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::vector<std::string> Lines() {
  std::istringstream text(RenderPolicy());
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);)
    lines.push_back(line);
  return lines;
}

TEST(PolicyTextTest, TwentyFiveAllowLinesComeFirst) {
  const std::vector<std::string> lines = Lines();
  ASSERT_GT(lines.size(), 25U);
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (at < 25)
      EXPECT_THAT(lines[at], MatchesRegex("allow [a-z_]+ .+  # .+"));
    else
      EXPECT_THAT(lines[at], MatchesRegex("(refuse|kill) .+"));
  }
}

TEST(PolicyTextTest, ConditionsAreSpelledWithThePolicysNames) {
  EXPECT_THAT(Lines(), Contains(MatchesRegex("allow read fd == 3, or fd == 4  # .+")));
  EXPECT_THAT(Lines(),
              Contains(MatchesRegex("allow mprotect prot within PROT_READ . PROT_WRITE  # .+")));
  EXPECT_THAT(Lines(), Contains(MatchesRegex("allow getpid always  # .+")));
}

TEST(PolicyTextTest, EachClassOfRefusalHasALine) {
  const std::string text = RenderPolicy();
  EXPECT_THAT(text, HasSubstr("\nrefuse ENOENT open openat"));
  EXPECT_THAT(text, HasSubstr("\nrefuse 0 getuid"));
  EXPECT_THAT(text, HasSubstr("\nrefuse ENOSYS clone3"));
  EXPECT_THAT(text, HasSubstr("\nkill ptrace"));
  EXPECT_THAT(text, HasSubstr("\nkill abi i386, abi x32"));
  EXPECT_THAT(text, HasSubstr("\nrefuse EPERM everything else\n"));
}

}  // namespace
}  // namespace cloister
