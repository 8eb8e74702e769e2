#include "apis/backends/s3_xml.h"

#include <array>
#include <utility>

namespace cloister {
namespace {

constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
    {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};

// Where the content of the next element of that name begins, from `at` on; npos: there is none.
std::size_t FindStart(std::string_view xml, std::string_view name, std::size_t at) {
  while ((at = xml.find('<', at)) != std::string_view::npos) {
    ++at;
    if (!xml.substr(at).starts_with(name))
      continue;
    const std::size_t after = at + name.size();
    const char next = after < xml.size() ? xml[after] : '\0';
    if (next == '>')
      return after + 1;
    if (next != ' ')
      continue;
    const std::size_t end = xml.find('>', after);
    if (end == std::string_view::npos)
      return end;
    if (xml[end - 1] == '/')
      continue;
    return end + 1;
  }
  return at;
}

}  // namespace

std::vector<std::string_view> XmlElements(std::string_view xml, std::string_view name,
                                          std::size_t most) {
  std::vector<std::string_view> found;
  const std::string close = "</" + std::string(name) + ">";
  std::size_t at = 0;
  while (found.size() < most) {
    at = FindStart(xml, name, at);
    if (at == std::string_view::npos)
      break;
    const std::size_t end = xml.find(close, at);
    if (end == std::string_view::npos)
      break;
    found.push_back(xml.substr(at, end - at));
    at = end + close.size();
  }
  return found;
}

std::string XmlDecode(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    std::size_t taken = 1;
    char c = text.front();
    for (const auto& [entity, stands_for] : kEntities)
      if (text.starts_with(entity)) {
        taken = entity.size();
        c = stands_for;
      }
    decoded += c;
    text.remove_prefix(taken);
  }
  return decoded;
}

std::string XmlEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    std::string_view written(&c, 1);
    for (const auto& [entity, stands_for] : kEntities)
      if (c == stands_for)
        written = entity;
    encoded += written;
  }
  return encoded;
}

std::string XmlText(std::string_view xml, std::string_view name) {
  const std::vector<std::string_view> found = XmlElements(xml, name, 1);
  return found.empty() ? std::string() : XmlDecode(found.front());
}

}  // namespace cloister
