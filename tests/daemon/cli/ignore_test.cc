#include "daemon/cli/ignore.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

using Kind = IgnoreRules::Kind;

TEST(IgnoreRulesTest, SomeNamesAreAlwaysIgnored) {
  const IgnoreRules none;
  for (const char* path : {".git", "a/.git", ".venv", ".cloister.env", "a/.cloister.env",
                           "__pycache__", "a/b/__pycache__"})
    EXPECT_TRUE(none.Ignores(path, Kind::kFolder)) << path;
  for (const char* path : {"a.pyc", "x/a.pyc", ".cloisterignore", ".git"})
    EXPECT_TRUE(none.Ignores(path, Kind::kFile)) << path;
  for (const char* path : {"a.py", ".gitignore", "pyc", "x/.cloisterignore", "cloister.toml"})
    EXPECT_FALSE(none.Ignores(path, Kind::kFile)) << path;
}

struct Row {
  const char* rules;
  const char* path;
  Kind kind;
  bool ignored;
};

TEST(IgnoreRulesTest, PatternsWorkAsInGitignore) {
  const Row rows[] = {
      {"*.txt", "a.txt", Kind::kFile, true},
      {"*.txt", "x/y/a.txt", Kind::kFile, true},
      {"*.txt", "a.txt.py", Kind::kFile, false},
      {"/a", "a", Kind::kFile, true},
      {"/a", "x/a", Kind::kFile, false},
      {"x/a", "x/a", Kind::kFile, true},
      {"x/a", "y/x/a", Kind::kFile, false},
      {"logs/", "logs", Kind::kFolder, true},
      {"logs/", "x/logs", Kind::kFolder, true},
      {"logs/", "logs", Kind::kFile, false},
      {"**/b", "b", Kind::kFile, true},
      {"**/b", "x/y/b", Kind::kFile, true},
      {"a/**", "a/b/c", Kind::kFile, true},
      {"a/**", "a", Kind::kFolder, false},
      {"a/**/c", "a/c", Kind::kFile, true},
      {"a/**/c", "a/x/y/c", Kind::kFile, true},
      {"a/*/c", "a/x/y/c", Kind::kFile, false},
      {"a?c", "abc", Kind::kFile, true},
      {"a?c", "a/c", Kind::kFile, false},
      {"[ab]x", "bx", Kind::kFile, true},
      {"[!ab]x", "bx", Kind::kFile, false},
      {"[0-9]x", "5x", Kind::kFile, true},
      {"[x", "[x", Kind::kFile, true},
      {"# comment", "# comment", Kind::kFile, false},
      {"\\#x", "#x", Kind::kFile, true},
      {"\\*", "*", Kind::kFile, true},
      {"\\*", "a", Kind::kFile, false},
      {"a   ", "a", Kind::kFile, true},
      {"a\r\nb", "a", Kind::kFile, true},
      {"\n\n", "a", Kind::kFile, false},
      {"/", "a", Kind::kFile, false},
      {"!", "a", Kind::kFile, false},
  };
  for (const Row& row : rows)
    EXPECT_EQ(IgnoreRules(row.rules).Ignores(row.path, row.kind), row.ignored)
        << row.rules << " " << row.path;
}

TEST(IgnoreRulesTest, TheLastMatchDecides) {
  const IgnoreRules rules("*.txt\n!keep.txt\n/x/keep.txt\n");
  EXPECT_TRUE(rules.Ignores("a.txt", Kind::kFile));
  EXPECT_FALSE(rules.Ignores("keep.txt", Kind::kFile));
  EXPECT_TRUE(rules.Ignores("x/keep.txt", Kind::kFile));
}

TEST(IgnoreRulesTest, ManyStarsTakeNoTime) {
  std::string pattern;
  for (int i = 0; i < 100; ++i)
    pattern += "*a";
  EXPECT_FALSE(MatchName(pattern + "b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace cloister
