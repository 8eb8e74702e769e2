#include "config/manifest_static.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "config/bundle_rules.h"
#include "config/values.h"

namespace cloister {
namespace {

constexpr std::size_t kPathMax = 256;
constexpr Millis kCacheMax{std::chrono::hours(24 * 365)};

Error Wrong(std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)};
}

bool HasControl(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Why the path of a row can be no path of a request; empty: it can.
std::string_view PathFault(std::string_view path) {
  if (!path.starts_with('/'))
    return "must begin with '/'";
  if (path.size() > kPathMax)
    return "must have at most 256 bytes";
  if (HasControl(path) || path.find_first_of("?#\\") != std::string_view::npos)
    return "must have no '?', '#', '\\' or control character";
  if (path.find('%') != std::string_view::npos)
    return "must be written without %XX: as the characters that it stands for";
  const std::string whole = std::string(path) + "/";
  for (const std::string_view part : {"/./", "/../"})
    if (whole.find(part) != std::string::npos)
      return "must have no part '.' or '..'";
  if (path.find("//") != std::string_view::npos)
    return "must have no empty part";
  return {};
}

// `target` as it is kept: a folder ends in '/'.
Result<std::string> ReadTarget(std::string_view target, bool is_folder) {
  const std::string what = is_folder ? "folder" : "file";
  if (!is_folder && target.ends_with('/'))
    return Wrong(
        "names one path, so it must lead to a file, not to a folder; a path for a folder "
        "ends in '/'");
  if (target.ends_with('/'))
    target.remove_suffix(1);
  if (target.empty() || target == ".")
    return Wrong("must name a " + what + " in the bundle: not all of it is for everybody");
  if (Result<void> checked = CheckBundlePath(target); !checked.ok())
    return Wrong("must name a " + what + " in the bundle: " + checked.error().message);
  return std::string(target) + (is_folder ? "/" : "");
}

// { folder = "...", cache = "1h" }, with `file` for a single path.
Result<void> ReadTexts(const TomlTexts& texts, StaticRoute& route) {
  const std::string_view what = route.is_folder() ? "folder" : "file";
  const std::array<std::string_view, 2> keys = {what, "cache"};
  for (const auto& [key, text] : texts) {
    if (key == what)
      route.target = TRY(ReadTarget(text, route.is_folder()));
    else if (key != "cache")
      return Wrong("has an unknown key '" + key + "'" + NameHint(key, keys));
    else if (Result<Millis> cache = ReadDuration(TomlValue(text), Millis(0), kCacheMax); cache.ok())
      route.cache = std::chrono::duration_cast<Seconds>(cache.value());
    else
      return Wrong("cache " + cache.error().message);
  }
  if (route.target.empty())
    return Wrong("must name its " + std::string(what) + ", such as { " + std::string(what) +
                 " = \"static/\", cache = \"1h\" }");
  return {};
}

Result<StaticRoute> ReadRow(const TomlEntry& entry) {
  StaticRoute route{.path = entry.key, .line = entry.line};
  if (const std::string_view fault = PathFault(route.path); !fault.empty())
    return Wrong(std::string(fault));
  if (const auto* target = std::get_if<std::string>(&entry.value))
    route.target = TRY(ReadTarget(*target, route.is_folder()));
  else if (const auto* texts = std::get_if<TomlTexts>(&entry.value))
    TRY(ReadTexts(*texts, route));
  else
    return Wrong(
        "must be a folder or file of the bundle in quotes, or a table such as "
        "{ folder = \"static/\", cache = \"1h\" }");
  return route;
}

// "/a" and "/a/": nobody means both.
void CheckTwins(const std::vector<StaticRoute>& routes, FileProblems& problems) {
  for (const StaticRoute& route : routes)
    if (std::ranges::find(routes, route.path + "/", &StaticRoute::path) != routes.end())
      problems.Add(route.line, "[static] '" + route.path + "' and '" + route.path +
                                   "/' are both there: the first is one file, the second a "
                                   "folder; remove one");
}

void SortLongestFirst(std::vector<StaticRoute>& routes) {
  std::ranges::stable_sort(routes, [](const StaticRoute& a, const StaticRoute& b) {
    return a.path.size() > b.path.size();
  });
}

// The files that the module of "pkg.mod:callable" may be in, and the manifest.
bool PublishesEntry(const StaticRoute& route, std::string_view web_entry) {
  std::string module(web_entry.substr(0, web_entry.find(':')));
  std::ranges::replace(module, '.', '/');
  const auto covers = [&route](const std::string& file) {
    return route.is_folder() ? file.starts_with(route.target) : file == route.target;
  };
  for (const char* const root : {"", "site-packages/"})
    if (covers(root + module + ".py") || covers(root + module + "/__init__.py"))
      return true;
  return covers("cloister.toml");
}

std::string FaultOf(const StaticRoute& route, const StaticBundle& bundle) {
  if (route.is_folder() && !bundle.has_folder(route.target))
    return bundle.has_file(std::string_view(route.target).substr(0, route.target.size() - 1))
               ? "leads to '" + route.target +
                     "', which is a file: leave out the '/' at the end "
                     "of the path"
               : "leads to '" + route.target +
                     "', but the bundle has no file below it: put the files there (with Django: "
                     "manage.py collectstatic), or leave the row out while there are none";
  if (!route.is_folder() && !bundle.has_file(route.target))
    return bundle.has_folder(route.target + "/")
               ? "leads to '" + route.target + "', which is a folder: end the path in '/'"
               : "leads to '" + route.target + "', but the bundle has no such file";
  if (PublishesEntry(route, bundle.web_entry))
    return "leads to '" + route.target +
           "', which holds the app's own module or manifest: keep what is for everybody in a "
           "folder of its own";
  return {};
}

// Up to the next tab or the end; what follows it stays in `line`.
std::string_view TakeField(std::string_view& line) {
  const std::size_t end = std::min(line.find('\t'), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

std::optional<StaticRoute> ParseLine(std::string_view line) {
  StaticRoute route;
  route.path = TakeField(line);
  route.target = TakeField(line);
  const std::string_view digits = TakeField(line);
  std::int64_t cache = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), cache);
  const bool is_number =
      parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && cache >= 0;
  const Result<std::string> target = ReadTarget(route.target, route.is_folder());
  if (!line.empty() || !is_number || Seconds(cache) > kCacheMax || !PathFault(route.path).empty() ||
      !target.ok() || target.value() != route.target)
    return std::nullopt;
  route.cache = Seconds(cache);
  return route;
}

}  // namespace

std::vector<StaticRoute> ReadStatics(const TomlTable& table, FileProblems& problems) {
  std::vector<StaticRoute> routes;
  if (table.entries.size() > kStaticRoutesMax) {
    problems.Add(table.entries[kStaticRoutesMax].line, "[static] has more than 64 rows");
    return routes;
  }
  for (const TomlEntry& entry : table.entries) {
    Result<StaticRoute> route = ReadRow(entry);
    if (route.ok())
      routes.push_back(std::move(route).value());
    else
      problems.Add(entry.line,
                   "[static] '" + entry.key.substr(0, kPathMax) + "' " + route.error().message);
  }
  CheckTwins(routes, problems);
  SortLongestFirst(routes);
  return routes;
}

Result<void> CheckStatics(const std::vector<StaticRoute>& routes, const StaticBundle& bundle,
                          std::string_view file_name) {
  FileProblems problems(file_name);
  for (const StaticRoute& route : routes)
    if (const std::string fault = FaultOf(route, bundle); !fault.empty())
      problems.Add(route.line, "[static] '" + route.path + "' " + fault);
  return problems.Finish();
}

const StaticRoute* FindStatic(const std::vector<StaticRoute>& routes, std::string_view path) {
  for (const StaticRoute& route : routes)
    if (route.is_folder() ? path.starts_with(route.path) : path == route.path)
      return &route;
  return nullptr;
}

std::string StaticsText(const std::vector<StaticRoute>& routes) {
  std::string text;
  for (const StaticRoute& route : routes)
    text += route.path + "\t" + route.target + "\t" + std::to_string(route.cache.count()) + "\n";
  return text;
}

Result<std::vector<StaticRoute>> ParseStaticsText(std::string_view text) {
  std::vector<StaticRoute> routes;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::optional<StaticRoute> route =
        end == std::string_view::npos ? std::nullopt : ParseLine(text.substr(0, end));
    if (!route || routes.size() == kStaticRoutesMax)
      return Wrong("the static paths of a release are damaged");
    routes.push_back(std::move(*route));
    text.remove_prefix(end + 1);
  }
  SortLongestFirst(routes);
  return routes;
}

}  // namespace cloister
