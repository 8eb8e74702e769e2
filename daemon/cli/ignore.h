#pragma once

// Which files of a directory stay out of the bundle: .cloisterignore, with .gitignore's rules.
//
// One pattern a line; '#' begins a comment; '!' takes a file back in; a '/' at the end: folders
// only; a '/' elsewhere: from the top, else at any depth; '*', '?', '[a-z]' within a name, '**'
// across names. The last pattern that matches decides. What is inside of an ignored folder cannot
// be taken back in. .git, .venv, __pycache__, *.pyc, .cloister.env and .cloisterignore are
// always ignored.

#include <string>
#include <string_view>
#include <vector>

namespace cloister {

class IgnoreRules {
 public:
  enum class Kind { kFile, kFolder };

  IgnoreRules() = default;
  // Everything is a pattern: there is no wrong one.
  explicit IgnoreRules(std::string_view text);

  // `path` relative to the top, '/'-separated, without one at its end. The folders above it were
  // asked about before.
  bool Ignores(std::string_view path, Kind kind) const;

 private:
  struct Rule {
    std::vector<std::string> parts;  // "**" or a pattern of one name
    bool negated = false;
    bool folders_only = false;
  };

  static bool Parse(std::string_view line, Rule& rule);

  std::vector<Rule> rules_;
};

// Whether a whole name matches '*', '?', '[...]' and '\'. Takes time of at most the product of both
// lengths.
bool MatchName(std::string_view pattern, std::string_view name);

}  // namespace cloister
