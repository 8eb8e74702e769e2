#include "config/parser.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "apis/base/unique_fd.h"
#include "config/problems.h"
#include "config/toml.h"
#include "config/validate.h"
#include "config/values.h"

namespace cloister {
namespace {

struct Row {
  std::string_view section;
  std::string_view key;
  Result<void> (*read)(const TomlValue& value, Settings& settings) = nullptr;
};

constexpr Row kRows[] = {
#define SECTION(name, sentence)
#define SETTING(section, key, field, unit, low, high, sentence)                     \
  {#section, #key, [](const TomlValue& value, Settings& settings) -> Result<void> { \
     settings.field = TRY(Read##unit(value, low, high));                            \
     return {};                                                                     \
   }},
#include "config/schema.def"
};

constexpr std::string_view kSections[] = {
#define SECTION(name, sentence) #name,
#define SETTING(section, key, field, unit, low, high, sentence)
#include "config/schema.def"
};

std::vector<std::string_view> KeysOf(std::string_view section) {
  std::vector<std::string_view> keys;
  for (const Row& row : kRows)
    if (row.section == section)
      keys.push_back(row.key);
  return keys;
}

void ReadEntry(const TomlTable& table, const TomlEntry& entry, Settings& settings,
               FileProblems& problems) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& known) {
    return known.section == table.name && known.key == entry.key;
  });
  if (row == std::end(kRows)) {
    problems.Add(entry.line, "unknown key '" + entry.key + "' in [" + table.name + "]" +
                                 NameHint(entry.key, KeysOf(table.name)));
    return;
  }
  if (Result<void> read = row->read(entry.value, settings); !read.ok())
    problems.Add(entry.line, entry.key + " " + read.error().message);
}

void ReadTable(const TomlTable& table, Settings& settings, FileProblems& problems) {
  if (std::find(std::begin(kSections), std::end(kSections), table.name) == std::end(kSections)) {
    problems.Add(table.line,
                 "unknown section [" + table.name + "]" + NameHint(table.name, kSections));
    return;
  }
  if (table.in_list) {
    problems.Add(table.line,
                 "section [" + table.name + "] is no list: write it in single brackets");
    return;
  }
  for (const TomlEntry& entry : table.entries)
    ReadEntry(table, entry, settings, problems);
}

// The section that a key outside of any is meant for, as a hint.
std::string SectionHint(std::string_view key) {
  for (const Row& row : kRows)
    if (row.key == key)
      return "; it belongs under [" + std::string(row.section) + "]";
  return "; every key stands under a section such as [node]";
}

bool Has(const TomlDocument& document, std::string_view section, std::string_view key) {
  return std::ranges::any_of(document.tables, [&](const TomlTable& table) {
    return table.name == section &&
           std::ranges::find(table.entries, key, &TomlEntry::key) != table.entries.end();
  });
}

}  // namespace

Result<Settings> ParseSettings(std::string_view text, std::string_view file_name) {
  const TomlDocument document = TRY(ParseToml(text, file_name, kSettingsFileMax));
  Settings settings;
  FileProblems problems(file_name);
  for (const TomlEntry& entry : document.loose)
    problems.Add(entry.line,
                 "key '" + entry.key + "' is outside of a section" + SectionHint(entry.key));
  for (const TomlTable& table : document.tables)
    ReadTable(table, settings, problems);
  TRY(problems.Finish());
  // Others may write to a server that has a name.
  if (!settings.cache.url.empty() && !Has(document, "cache", "near"))
    settings.cache.near = false;
  if (Result<void> valid = ValidateSettings(settings); !valid.ok())
    return std::move(valid).error().In(std::string(file_name));
  return settings;
}

Result<Settings> LoadSettings(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid())
    return SystemError("cannot read the settings file " + path);
  std::string text;
  std::array<char, 16384> part{};
  // One part more than the limit: the parser then refuses the file for its size.
  while (text.size() <= kSettingsFileMax) {
    const ssize_t got = ::read(file.get(), part.data(), part.size());
    if (got < 0)
      return SystemError("cannot read the settings file " + path);
    if (got == 0)
      break;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  return ParseSettings(text, path);
}

}  // namespace cloister
