#include "config/manifest_check.h"

#include <algorithm>
#include <array>

#include "config/values.h"

namespace cloister {
namespace {

constexpr std::size_t kPathMax = 2048;
constexpr std::size_t kBodyMax = std::size_t{16} * 1024;
constexpr std::size_t kTextMax = 4096;  // of contains and matches
constexpr std::size_t kHeadersMax = 32;
constexpr std::size_t kHeaderMax = 2048;
// Node and app take part in it no longer than this, whatever the quota.
constexpr Millis kTimeMax{300000};

constexpr std::array<std::string_view, 7> kMethods = {"GET",   "HEAD",   "POST",   "PUT",
                                                      "PATCH", "DELETE", "OPTIONS"};
// They frame the request, which the node does.
constexpr std::array<std::string_view, 9> kFramingHeaders = {
    "connection", "content-length",    "expect",           "keep-alive", "te",
    "trailer",    "transfer-encoding", "proxy-connection", "upgrade"};

Error Wrong(std::string why) {
  return Error{ErrorCode::kInvalidArgument, std::move(why)};
}

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Each '%' begins an escape, and none is that of a NUL: the front end refuses others.
bool HasGoodEscapes(std::string_view path) {
  for (std::size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1)) {
    const std::string_view digits = path.substr(at + 1, 2);
    if (digits.size() != 2 || !std::ranges::all_of(digits, IsHexDigit) || digits == "00")
      return false;
  }
  return true;
}

Result<std::string> ReadPath(const TomlValue& value) {
  std::string path = TRY(ReadText(value, 1, kPathMax));
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7f && c != '#'; };
  if (path.front() != '/' || !std::ranges::all_of(path, is_plain))
    return Wrong(
        "must begin with '/' and be written as in a request: ASCII, others as %XX, no '#'");
  if (!HasGoodEscapes(path))
    return Wrong("has a '%' that begins no escape (%XX, not %00)");
  return path;
}

Result<std::string> ReadMethod(const TomlValue& value) {
  std::string method = TRY(ReadText(value, 1, kTextMax));
  if (std::ranges::find(kMethods, method) != kMethods.end())
    return method;
  std::string known;
  for (const std::string_view name : kMethods)
    known += (known.empty() ? "" : ", ") + std::string(name);
  return Wrong("must be one of " + known);
}

bool IsNameChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
}

Result<CheckHeader> ReadHeader(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (text.size() > kHeaderMax || colon == 0 || colon == std::string_view::npos)
    return Wrong("must be like [\"Accept: text/html\"], each of at most 2048 bytes");
  CheckHeader header{.name = std::string(text.substr(0, colon)), .value = {}};
  std::ranges::transform(header.name, header.name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  if (!std::ranges::all_of(header.name, IsNameChar))
    return Wrong("has a name with other characters than letters, digits and '-': '" + header.name +
                 "'");
  if (std::ranges::find(kFramingHeaders, header.name) != kFramingHeaders.end())
    return Wrong("must not name '" + header.name + "': the node frames the request itself");
  const std::size_t first = text.find_first_not_of(' ', colon + 1);
  if (first != std::string_view::npos)
    header.value = text.substr(first, text.find_last_not_of(' ') - first + 1);
  return header;
}

Result<std::vector<CheckHeader>> ReadHeaders(const TomlValue& value) {
  std::vector<CheckHeader> headers;
  for (const std::string& text : TRY(ReadList(value, 0, kHeadersMax)))
    headers.push_back(TRY(ReadHeader(text)));
  const auto is_host = [](const CheckHeader& header) { return header.name == "host"; };
  if (std::ranges::count_if(headers, is_host) > 1)
    return Wrong("must name one Host at most");
  return headers;
}

// Of any characters, line ends included.
Result<std::string> ReadBytes(const TomlValue& value, std::size_t low, std::size_t high) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr)
    return Wrong("must be a string in quotes");
  if (text->size() < low)
    return Wrong("must not be empty");
  if (text->size() > high)
    return Wrong("must have at most " + std::to_string(high) + " bytes, not " +
                 std::to_string(text->size()));
  return *text;
}

struct Row {
  std::string_view key;
  Result<void> (*read)(const TomlValue& value, ManifestCheck& check) = nullptr;
};

#define ROW(field, read_value)                                                 \
  Row {                                                                        \
    #field, [](const TomlValue& value, ManifestCheck& check) -> Result<void> { \
      check.field = TRY(read_value);                                           \
      return {};                                                               \
    }                                                                          \
  }

constexpr std::array kRows = {
    ROW(path, ReadPath(value)),
    ROW(method, ReadMethod(value)),
    ROW(headers, ReadHeaders(value)),
    ROW(body, ReadBytes(value, 0, kBodyMax)),
    ROW(status, ReadCount(value, 200, 599)),
    ROW(contains, ReadBytes(value, 1, kTextMax)),
    ROW(matches, ReadBytes(value, 1, kTextMax)),
    ROW(time, ReadDuration(value, Millis(10), kTimeMax)),
};

#undef ROW

std::string NameHintOf(std::string_view key) {
  std::array<std::string_view, kRows.size()> keys;
  std::ranges::transform(kRows, keys.begin(), &Row::key);
  return NameHint(key, keys);
}

}  // namespace

void ReadCheck(const TomlTable& table, std::vector<ManifestCheck>& checks, FileProblems& problems) {
  if (checks.size() == kChecksMax) {
    problems.Add(table.line, "there are more than 32 checks");
    return;
  }
  ManifestCheck& check = checks.emplace_back();
  for (const TomlEntry& entry : table.entries) {
    const auto* const row = std::ranges::find(kRows, entry.key, &Row::key);
    if (row == kRows.end())
      problems.Add(entry.line,
                   "unknown key '" + entry.key + "' in [[check]]" + NameHintOf(entry.key));
    else if (Result<void> read = row->read(entry.value, check); !read.ok())
      problems.Add(entry.line, entry.key + " " + read.error().message);
  }
  const bool has_path =
      std::ranges::find(table.entries, "path", &TomlEntry::key) != table.entries.end();
  if (!has_path)
    problems.Add(table.line, "[[check]] path is missing, such as path = \"/health\"");
}

}  // namespace cloister
