// A request for a static file as arbitrary bytes, a header a line ("name value"): what is chosen of
// the file lies inside of it, and dates read back as they are written.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "daemon/http/conditions.h"
#include "daemon/http/http_date.h"
#include "daemon/statics/content_coding.h"
#include "daemon/statics/media_types.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  cloister::HttpRequest request;
  request.method = "GET";
  while (!text.empty() && request.headers.size() < cloister::kHeadersMax) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::size_t space = std::min(line.find(' '), line.size());
    request.headers.push_back(
        {.name = line.substr(0, space), .value = line.substr(std::min(space + 1, line.size()))});
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  constexpr cloister::Validators kFile = {.etag = "\"abc\"", .modified = 784111777};
  (void)cloister::CheckConditions(request, kFile);
  for (const std::uint64_t file_size : {0U, 1U, 1000U}) {
    const cloister::FilePart part = cloister::ChoosePart(request, kFile, file_size);
    if (part.kind != cloister::FilePart::Kind::kRange)
      continue;
    CHECK(part.size > 0 && part.first < file_size && part.size <= file_size - part.first);
  }
  const auto accepted = cloister::AcceptedCodings::Of(request.headers);
  for (const cloister::ContentCoding& coding : cloister::kContentCodings) {
    const int quality = accepted.QualityOf(coding.name);
    CHECK(quality >= 0 && quality <= 1000);
  }
  CHECK(accepted.identity() >= 0 && accepted.identity() <= 1000);
  for (const cloister::HttpHeader& header : request.headers) {
    CHECK(!cloister::MediaTypeOf(header.value).empty());
    const auto date = cloister::ParseHttpDate(header.value);
    CHECK(!date || *date < 0 || cloister::ParseHttpDate(cloister::HttpDate(*date)) == date);
  }
  return 0;
}
