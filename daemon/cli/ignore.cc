#include "daemon/cli/ignore.h"

#include <algorithm>

namespace cloister {
namespace {

std::vector<std::string_view> Split(std::string_view path) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos)
      return parts;
    path.remove_prefix(slash + 1);
  }
}

bool IsAlwaysIgnored(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name == ".git" || name == ".venv" || name == "__pycache__" || name.ends_with(".pyc") ||
         name == ".cloister.env" || path == ".cloisterignore";
}

// Matches one character against the set that begins at pattern[at] == '['. Moves `at` behind the
// set; a '[' without its ']' is an ordinary character.
bool MatchSet(std::string_view pattern, std::size_t& at, char c) {
  std::size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  i += negated ? 1 : 0;
  const std::size_t close = pattern.find(']', i + 1);
  if (close == std::string_view::npos) {
    ++at;
    return c == '[';
  }
  bool found = false;
  while (i < close) {
    const bool range = i + 2 < close && pattern[i + 1] == '-';
    const char high = range ? pattern[i + 2] : pattern[i];
    found = found || (c >= pattern[i] && c <= high);
    i += range ? 3 : 1;
  }
  at = close + 1;
  return found != negated;
}

// Matches one character against what stands at pattern[at], and moves `at` behind that.
bool MatchOne(std::string_view pattern, std::size_t& at, char c) {
  if (pattern[at] == '[')
    return MatchSet(pattern, at, c);
  if (pattern[at] == '?') {
    ++at;
    return true;
  }
  if (pattern[at] == '\\' && at + 1 < pattern.size())
    ++at;
  return pattern[at++] == c;
}

// Parts against parts. Only the latest "**" need be tried again: an earlier one that takes more
// gains nothing.
bool MatchParts(const std::vector<std::string>& pattern,
                const std::vector<std::string_view>& path) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string::npos;
  std::size_t star_at = 0;
  while (n < path.size()) {
    if (p < pattern.size() && pattern[p] == "**") {
      star = p++;
      star_at = n;
    } else if (p < pattern.size() && MatchName(pattern[p], path[n])) {
      ++p;
      ++n;
    } else if (star != std::string::npos) {
      p = star + 1;
      n = ++star_at;
    } else {
      return false;
    }
  }
  // "a/**" is what is inside of a, not a itself.
  return p == pattern.size();
}

}  // namespace

bool MatchName(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_at = 0;
  while (n < name.size()) {
    std::size_t next = p;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_at = n;
    } else if (p < pattern.size() && MatchOne(pattern, next, name[n])) {
      p = next;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_at;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*')
    ++p;
  return p == pattern.size();
}

IgnoreRules::IgnoreRules(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Rule rule;
    if (Parse(text.substr(0, end), rule))
      rules_.push_back(std::move(rule));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool IgnoreRules::Parse(std::string_view line, Rule& rule) {
  // A line may come from another system; spaces at its end count only behind a '\'.
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ') && !line.ends_with("\\ "))
    line.remove_suffix(1);
  if (line.empty() || line.front() == '#')
    return false;
  if (line.front() == '!') {
    rule.negated = true;
    line.remove_prefix(1);
  }
  if (line.ends_with('/')) {
    rule.folders_only = true;
    line.remove_suffix(1);
  }
  const bool anchored = line.find('/') != std::string_view::npos;
  if (line.starts_with('/'))
    line.remove_prefix(1);
  if (line.empty())
    return false;
  if (!anchored)
    rule.parts.emplace_back("**");
  for (const std::string_view part : Split(line))
    rule.parts.emplace_back(part);
  return true;
}

bool IgnoreRules::Ignores(std::string_view path, Kind kind) const {
  if (IsAlwaysIgnored(path))
    return true;
  const std::vector<std::string_view> parts = Split(path);
  const auto decides = std::find_if(rules_.rbegin(), rules_.rend(), [&](const Rule& rule) {
    return (kind == Kind::kFolder || !rule.folders_only) && MatchParts(rule.parts, parts);
  });
  return decides != rules_.rend() && !decides->negated;
}

}  // namespace cloister
