// Lines as versions: refused or kept as written, and in one total order.

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "apis/base/check.h"
#include "config/versions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<cloister::Version> versions;
  while (!text.empty() && versions.size() < 8) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    cloister::Result<cloister::Version> version = cloister::Version::Parse(line);
    if (!version.ok())
      continue;
    CHECK(version.value().text() == line);
    versions.push_back(std::move(version).value());
  }
  for (const cloister::Version& a : versions)
    for (const cloister::Version& b : versions) {
      CHECK((a < b) == (b > a));
      for (const cloister::Version& c : versions)
        CHECK(!(a < b && b < c) || a < c);
    }
  return 0;
}
