#include "config/manifest.h"

#include <algorithm>
#include <array>

#include "apis/base/names.h"
#include "config/config_rules.h"
#include "config/manifest_check.h"
#include "config/manifest_static.h"
#include "config/problems.h"
#include "config/toml.h"
#include "config/values.h"
#include "config/versions.h"

namespace cloister {
namespace {

constexpr std::size_t kEntryMax = 200;
constexpr std::size_t kPackagesMax = 200;
constexpr std::size_t kPackageNameMax = 100;
constexpr std::size_t kRequiredMax = 256;

Error Wrong(std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)};
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Calls `check` for each part of `text` between `separator`s; false as soon as one is refused.
template <typename Check>
bool EachPart(std::string_view text, char separator, Check check) {
  for (;;) {
    const std::size_t end = text.find(separator);
    if (!check(text.substr(0, end)))
      return false;
    if (end == std::string_view::npos)
      return true;
    text.remove_prefix(end + 1);
  }
}

Result<std::string> ReadVersion(const TomlValue& value) {
  const auto* number = std::get_if<std::int64_t>(&value);
  const bool bare = number != nullptr && *number >= 0;
  const std::string text = bare ? std::to_string(*number) : TRY(ReadText(value, 1, kVersionMax));
  return TRY(Version::Parse(text)).text();
}

bool IsIdentifier(std::string_view text) {
  return !text.empty() && !IsDigit(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsLetter(c) || IsDigit(c) || c == '_'; });
}

Result<std::string> ReadEntryPoint(const TomlValue& value) {
  std::string entry = TRY(ReadText(value, 1, kEntryMax));
  const std::string_view view = entry;
  const std::size_t colon = view.find(':');
  if (colon == std::string_view::npos || !EachPart(view.substr(0, colon), '.', IsIdentifier) ||
      !EachPart(view.substr(colon + 1), '.', IsIdentifier))
    return Wrong("must be \"module:callable\", such as \"app:application\", not '" + entry + "'");
  return entry;
}

bool IsPackageName(std::string_view text) {
  const auto inner = [](char c) {
    return IsLetter(c) || IsDigit(c) || c == '-' || c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= kPackageNameMax &&
         (IsLetter(text.front()) || IsDigit(text.front()) || text.front() == '_') &&
         std::all_of(text.begin(), text.end(), inner);
}

Result<std::vector<std::string>> ReadPackages(const TomlValue& value) {
  std::vector<std::string> packages = TRY(ReadList(value, 0, kPackagesMax));
  for (const std::string& name : packages)
    if (!IsPackageName(name))
      return Wrong("'" + name.substr(0, kPackageNameMax) +
                   "' is not a package's name; versions and extras are not written here: the "
                   "packages of your Python are taken as they are");
  return packages;
}

Result<std::vector<std::string>> ReadRequired(const TomlValue& value) {
  std::vector<std::string> names = TRY(ReadList(value, 0, kRequiredMax));
  for (const std::string& name : names)
    TRY(CheckConfigName(name));
  return names;
}

Result<bool> ReadReloadLive(const TomlValue& value) {
  const std::string reload = TRY(ReadText(value, 1, kEntryMax));
  if (reload != "live" && reload != "swap")
    return Wrong("must be \"swap\" (new workers, as for a release) or \"live\" (the next request)");
  return reload == "live";
}

Result<std::string> ReadRuntime(const TomlValue& value) {
  std::string runtime = TRY(ReadText(value, 1, kEntryMax));
  if (runtime != kManifestRuntime)
    return Wrong("must be \"" + std::string(kManifestRuntime) +
                 "\", the only one that this version has");
  return runtime;
}

Result<void> ReadName(const TomlValue& value, Manifest& manifest) {
  const std::string name = TRY(ReadText(value, 1, 2 * kNameMax + 1));
  if (name.find('/') != std::string::npos) {
    const AppName both = TRY(AppName::Parse(name));
    manifest.tenant = both.tenant();
    manifest.app = both.app();
    return {};
  }
  if (!IsValidName(name))
    return Wrong("'" + name +
                 "' is not a name: it starts with a letter a-z, continues with a-z, 0-9 or '-', "
                 "and has at most 30 characters");
  manifest.app = name;
  return {};
}

struct Row {
  std::string_view section;
  std::string_view key;
  Result<void> (*read)(const TomlValue& value, Manifest& manifest) = nullptr;
};

// A row whose value goes into one field.
#define ROW(section, key, field, read_value)                                         \
  Row {                                                                              \
    #section, #key, [](const TomlValue& value, Manifest& manifest) -> Result<void> { \
      manifest.field = TRY(read_value);                                              \
      return {};                                                                     \
    }                                                                                \
  }

constexpr Row kRows[] = {
    {"app", "name", ReadName},
    ROW(app, version, version, ReadVersion(value)),
    ROW(app, runtime, runtime, ReadRuntime(value)),
    ROW(entry, web, web_entry, ReadEntryPoint(value)),
    ROW(entry, release, release_entry, ReadEntryPoint(value)),
    ROW(entry, stream, stream, ReadBool(value)),
    ROW(bundle, packages, packages, ReadPackages(value)),
    ROW(workers, min, workers_min, ReadCount(value, 0, 1024)),
    ROW(workers, max, workers_max, ReadCount(value, 1, 1024)),
    ROW(limits, memory, limits.memory, ReadSize(value, MiB(32), GiB(1024))),
    ROW(limits, wall, limits.wall, ReadDuration(value, Millis(10), Millis(86400000))),
    ROW(limits, cpu, limits.cpu_millis, ReadCores(value, 10, 1024000)),
    ROW(limits, threads, limits.threads, ReadCount(value, 1, 4096)),
    ROW(limits, queue, limits.queue, ReadCount(value, 1, 65536)),
    ROW(config, required, config.required, ReadRequired(value)),
    ROW(config, reload, config.reload_live, ReadReloadLive(value)),
};

#undef ROW

constexpr std::array<std::string_view, 8> kSections = {
    "app", "entry", "bundle", "workers", "limits", "config", kCheckTable, kStaticTable};

bool Contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void ReadEntry(const TomlTable& table, const TomlEntry& entry, Manifest& manifest,
               FileProblems& problems) {
  std::vector<std::string_view> keys;
  for (const Row& row : kRows) {
    if (row.section != table.name)
      continue;
    keys.push_back(row.key);
    if (row.key != entry.key)
      continue;
    if (Result<void> read = row.read(entry.value, manifest); !read.ok())
      problems.Add(entry.line, entry.key + " " + read.error().message);
    return;
  }
  problems.Add(entry.line, "unknown key '" + entry.key + "' in [" + table.name + "]" +
                               NameHint(entry.key, keys));
}

void ReadTable(const TomlTable& table, Manifest& manifest, FileProblems& problems) {
  if (!Contains(kSections, table.name)) {
    problems.Add(table.line,
                 "unknown section [" + table.name + "]" + NameHint(table.name, kSections));
    return;
  }
  if (table.in_list != (table.name == kCheckTable)) {
    const std::string right = table.in_list ? "[" + table.name + "]" : "[[" + table.name + "]]";
    problems.Add(table.line, "this section is written " + right);
    return;
  }
  if (table.name == kCheckTable) {
    ReadCheck(table, manifest.checks, problems);
    return;
  }
  if (table.name == kStaticTable) {
    manifest.statics = ReadStatics(table, problems);
    return;
  }
  for (const TomlEntry& entry : table.entries)
    ReadEntry(table, entry, manifest, problems);
}

void ReadLoose(const TomlEntry& entry, FileProblems& problems) {
  problems.Add(entry.line, "unknown key '" + entry.key +
                               "' outside of a section; sections are [app], [entry], [bundle], "
                               "[workers], [limits], [config], [static] and [[check]]");
}

bool Has(const TomlDocument& document, std::string_view section, std::string_view key) {
  for (const TomlTable& table : document.tables)
    for (const TomlEntry& entry : table.entries)
      if (table.name == section && entry.key == key)
        return true;
  return false;
}

// The line where a missing key of `section` belongs.
std::uint32_t LineOf(const TomlDocument& document, std::string_view section) {
  for (const TomlTable& table : document.tables)
    if (table.name == section)
      return table.line;
  return 1;
}

void CheckWhole(const TomlDocument& document, const Manifest& manifest, FileProblems& problems) {
  if (!Has(document, "app", "name"))
    problems.Add(LineOf(document, "app"), "[app] name is missing, such as name = \"hello\"");
  if (!Has(document, "app", "version"))
    problems.Add(LineOf(document, "app"), "[app] version is missing, such as version = \"1.0.0\"");
  if (!Has(document, "entry", "web"))
    problems.Add(LineOf(document, "entry"),
                 "[entry] web is missing, such as web = \"app:application\"");
  if (manifest.workers_max && *manifest.workers_max < manifest.workers_min)
    problems.Add(LineOf(document, "workers"), "[workers] max must not be smaller than min");
}

}  // namespace

Result<Manifest> ParseManifest(std::string_view toml, std::string_view file_name) {
  const TomlDocument document = TRY(ParseToml(toml, file_name, kManifestMax));
  Manifest manifest;
  FileProblems problems(file_name);
  for (const TomlEntry& entry : document.loose)
    ReadLoose(entry, problems);
  for (const TomlTable& table : document.tables)
    ReadTable(table, manifest, problems);
  // A slip in a key's name is one fault: that the key is then missing as well is not told.
  TRY(problems.Finish());
  CheckWhole(document, manifest, problems);
  TRY(problems.Finish());
  return manifest;
}

}  // namespace cloister
