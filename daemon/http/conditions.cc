#include "daemon/http/conditions.h"

#include <algorithm>
#include <optional>

#include "daemon/http/http_date.h"
#include "daemon/http/text.h"

namespace cloister {
namespace {

enum class Comparison { kStrong, kWeak };

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// The tag in front of `list`, in its quotes, which is taken off with what stands before the next.
// Empty: there is none, or what is there is no tag; then nothing after it counts either.
struct Tag {
  std::string_view text;
  bool weak = false;
};
Tag TakeTag(std::string_view& list) {
  list.remove_prefix(std::min(list.find_first_not_of(" \t,"), list.size()));
  Tag tag;
  tag.weak = list.starts_with("W/");
  list.remove_prefix(tag.weak ? 2 : 0);
  const std::size_t close = list.starts_with('"') ? list.find('"', 1) : std::string_view::npos;
  if (close == std::string_view::npos) {
    list = {};
    return {};
  }
  tag.text = list.substr(0, close + 1);
  list.remove_prefix(close + 1);
  return tag;
}

bool ListNames(std::string_view list, std::string_view etag, Comparison comparison) {
  if (Trimmed(list) == "*")
    return true;
  while (!list.empty()) {
    const Tag tag = TakeTag(list);
    if (tag.text == etag && (comparison == Comparison::kWeak || !tag.weak))
      return true;
  }
  return false;
}

// Whether one of the headers of that name names `etag`; empty when there is none of that name.
std::optional<bool> Names(const HttpRequest& request, std::string_view name, std::string_view etag,
                          Comparison comparison) {
  std::optional<bool> named;
  for (const HttpHeader& header : request.headers)
    if (header.name == name)
      named = named.value_or(false) || ListNames(header.value, etag, comparison);
  return named;
}

// Numbers beyond any file are the largest one: they are still positions.
std::optional<std::uint64_t> ParsePosition(std::string_view digits) {
  if (digits.empty() || !std::ranges::all_of(digits, IsDigit))
    return std::nullopt;
  return ParseDecimal(digits).value_or(~std::uint64_t{0});
}

bool RangeIsWanted(const HttpRequest& request, const Validators& file) {
  const std::string_view value = request.Header("if-range");
  if (value.empty())
    return true;
  // A date is no proof: two releases may be of one second (RFC 9110, 13.1.5).
  return value == file.etag;
}

FilePart Suffix(std::uint64_t length, std::uint64_t file_size) {
  if (length == 0)
    return {.kind = FilePart::Kind::kUnsatisfiable};
  // There is no way to write a range of an empty file.
  if (file_size == 0)
    return {};
  const std::uint64_t size = std::min(length, file_size);
  return {.kind = FilePart::Kind::kRange, .first = file_size - size, .size = size};
}

// Of "FIRST-LAST", "FIRST-" or "-LENGTH".
FilePart ParseRange(std::string_view range, std::uint64_t file_size) {
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos)
    return {};
  const std::optional<std::uint64_t> left = ParsePosition(range.substr(0, dash));
  const std::optional<std::uint64_t> right = ParsePosition(range.substr(dash + 1));
  if (dash == 0)
    return right ? Suffix(*right, file_size) : FilePart();
  const bool open = dash + 1 == range.size();
  if (!left || (!open && (!right || *right < *left)))
    return {};
  if (*left >= file_size)
    return {.kind = FilePart::Kind::kUnsatisfiable};
  const std::uint64_t last = open ? file_size - 1 : std::min(*right, file_size - 1);
  return {.kind = FilePart::Kind::kRange, .first = *left, .size = last - *left + 1};
}

}  // namespace

Condition CheckConditions(const HttpRequest& request, const Validators& file) {
  if (const auto match = Names(request, "if-match", file.etag, Comparison::kStrong)) {
    if (!*match)
      return Condition::kFailed;
  } else if (const auto date = ParseHttpDate(request.Header("if-unmodified-since"));
             date && file.modified > *date) {
    return Condition::kFailed;
  }
  if (const auto none = Names(request, "if-none-match", file.etag, Comparison::kWeak))
    return *none ? Condition::kNotModified : Condition::kServe;
  // If-Modified-Since proves nothing either; who has the file has its tag.
  return Condition::kServe;
}

FilePart ChoosePart(const HttpRequest& request, const Validators& file, std::uint64_t file_size) {
  constexpr std::string_view kUnit = "bytes=";
  if (request.method != "GET")
    return {};
  const auto is_range = [](const HttpHeader& header) { return header.name == "range"; };
  if (std::ranges::count_if(request.headers, is_range) != 1)
    return {};
  const std::string_view value = request.Header("range");
  if (!EqualsIgnoreCase(value.substr(0, kUnit.size()), kUnit) || !RangeIsWanted(request, file))
    return {};
  return ParseRange(Trimmed(value.substr(kUnit.size())), file_size);
}

std::string ContentRange(const FilePart& part, std::uint64_t file_size) {
  if (part.kind != FilePart::Kind::kRange)
    return "bytes */" + std::to_string(file_size);
  return "bytes " + std::to_string(part.first) + "-" + std::to_string(part.first + part.size - 1) +
         "/" + std::to_string(file_size);
}

}  // namespace cloister
