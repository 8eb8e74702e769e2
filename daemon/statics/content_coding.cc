#include "daemon/statics/content_coding.h"

#include <algorithm>

#include "daemon/http/text.h"

namespace cloister {
namespace {

constexpr int kQualityMax = 1000;

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// "1", "0", "0.5", "0.125", "1.000" in thousandths; empty for anything else.
std::optional<int> ParseQuality(std::string_view text) {
  constexpr std::size_t kSizeMax = 5;
  if (text.empty() || text.size() > kSizeMax || (text[0] != '0' && text[0] != '1'))
    return std::nullopt;
  int quality = (text[0] - '0') * kQualityMax;
  if (text.size() == 1)
    return quality;
  if (text[1] != '.')
    return std::nullopt;
  int weight = kQualityMax / 10;
  for (const char c : text.substr(2)) {
    if (!IsDigit(c))
      return std::nullopt;
    quality += (c - '0') * weight;
    weight /= 10;
  }
  return quality <= kQualityMax ? std::optional(quality) : std::nullopt;
}

// What stands behind "NAME;"; empty when it is no quality.
std::optional<int> ParseParameter(std::string_view text) {
  if (text.size() < 2 || ToLower(text[0]) != 'q')
    return std::nullopt;
  text = Trimmed(text.substr(1));
  if (!text.starts_with('='))
    return std::nullopt;
  return ParseQuality(Trimmed(text.substr(1)));
}

}  // namespace

void AcceptedCodings::ReadElement(std::string_view element) {
  const std::size_t semicolon = element.find(';');
  const std::string_view name = Trimmed(element.substr(0, semicolon));
  std::optional<int> quality = kQualityMax;
  if (semicolon != std::string_view::npos)
    quality = ParseParameter(Trimmed(element.substr(semicolon + 1)));
  if (!quality)
    return;
  if (EqualsIgnoreCase(name, "br"))
    brotli_ = quality;
  else if (EqualsIgnoreCase(name, "gzip") || EqualsIgnoreCase(name, "x-gzip"))
    gzip_ = quality;
  else if (EqualsIgnoreCase(name, "identity"))
    identity_ = quality;
  else if (name == "*")
    any_ = quality;
}

AcceptedCodings AcceptedCodings::Of(std::span<const HttpHeader> headers) {
  AcceptedCodings accepted;
  for (const HttpHeader& header : headers) {
    if (header.name != "accept-encoding")
      continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      accepted.ReadElement(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return accepted;
}

int AcceptedCodings::QualityOf(std::string_view coding) const {
  const std::optional<int>& named = coding == "br" ? brotli_ : gzip_;
  return named.value_or(any_.value_or(0));
}

}  // namespace cloister
