#include "config/module_rules.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace cloister {
namespace {

// Imported by the interpreter itself, or by the worker's runtime after an app has begun; with what
// is below them.
constexpr auto kNeeded = std::to_array<std::string_view>(
    {"__future__", "_abc",         "_cloister",   "_cloister_runtime",
     "_codecs",    "_collections", "_functools",  "_imp",
     "_io",        "_locale",      "_operator",   "_signal",
     "_sre",       "_stat",        "_thread",     "_warnings",
     "_weakref",   "abc",          "atexit",      "builtins",
     "cloister",   "codecs",       "collections", "contextlib",
     "copyreg",    "difflib",      "encodings",   "enum",
     "errno",      "functools",    "genericpath", "importlib",
     "io",         "itertools",    "keyword",     "linecache",
     "marshal",    "operator",     "os",          "posix",
     "posixpath",  "re",           "reprlib",     "site",
     "stat",       "sys",          "threading",   "time",
     "token",      "tokenize",     "traceback",   "types",
     "warnings",   "weakref"});

constexpr std::string_view kAll = "*";

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool IsModuleName(std::string_view name) {
  bool starts = true;
  for (const char c : name) {
    const bool fits = IsNameStart(c) || (!starts && ((c >= '0' && c <= '9') || c == '.'));
    if (!fits)
      return false;
    starts = c == '.';
  }
  return !starts && name.size() <= 200;
}

bool Has(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool IsNeeded(std::string_view name) {
  const std::string_view top = name.substr(0, name.find('.'));
  return top.starts_with("_frozen_importlib") || std::ranges::find(kNeeded, top) != kNeeded.end();
}

Error Wrong(const std::string& key, std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)}.In("[modules] " + key);
}

Result<void> ValidateNames(const std::string& key, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (!IsModuleName(name) && !(key == "deny" && name == kAll))
      return Wrong(key, "'" + name.substr(0, 80) +
                            "' is not the name of a module, such as \"sqlite3\" or \"xml.dom\"");
  return {};
}

void Append(std::string& rules, char sign, std::string_view name) {
  rules += sign;
  rules += name;
  rules += '\0';
}

}  // namespace

Result<void> ValidateModules(const ModuleSettings& modules) {
  TRY(ValidateNames("deny", modules.deny));
  TRY(ValidateNames("allow", modules.allow));
  for (const std::string& name : modules.deny)
    if (IsNeeded(name))
      return Wrong("deny", "'" + name + "' cannot be denied: Python itself needs it");
  for (const std::string& name : modules.allow)
    if (Has(modules.deny, name))
      return Wrong("allow", "'" + name + "' is in both lists");
  if (modules.deny.empty() && !modules.allow.empty())
    return Wrong("allow",
                 "names exceptions to deny, which is empty; with deny = [\"*\"] nothing else can "
                 "be imported");
  return {};
}

std::string RenderModuleRules(const ModuleSettings& modules) {
  std::string rules;
  if (modules.deny.empty())
    return rules;
  for (const std::string& name : modules.deny)
    Append(rules, '-', name);
  for (const std::string_view name : kNeeded)
    Append(rules, '+', name);
  for (const std::string& name : modules.allow)
    Append(rules, '+', name);
  return rules;
}

}  // namespace cloister
