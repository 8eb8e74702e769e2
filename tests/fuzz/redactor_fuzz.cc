// Arbitrary secrets and text: what is left of the text holds none of them, and nothing else is
// lost. The input is secrets and then the text, each ended by a 0xff.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "daemon/logs/redactor.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string_view> parts;
  while (!rest.empty() && parts.size() < 8) {
    const std::size_t end = std::min(rest.find('\xff'), rest.size());
    parts.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (parts.size() < 2)
    return 0;
  const std::string text(parts.back());
  parts.pop_back();
  std::vector<cloister::NamedSecret> secrets;
  for (const std::string_view part : parts)
    secrets.push_back({.name = "S", .value = part});
  const auto redactor = cloister::Redactor::Create(secrets);
  std::string clean = text;
  const bool found = redactor != nullptr && redactor->Redact(clean);
  CHECK(found || clean == text);
  const bool is_there = std::any_of(parts.begin(), parts.end(), [&text](std::string_view part) {
    return part.size() >= cloister::kRedactedMin && text.find(part) != std::string::npos;
  });
  CHECK(found || !is_there);
  if (redactor != nullptr) {
    std::string cut = text;
    redactor->Redact(cut, cloister::Redactor::End::kCut);
  }
  return 0;
}
