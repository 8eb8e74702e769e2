// Answers of a server of objects: what is found in them is a part of them, and bounded.

#include <cstdint>
#include <functional>
#include <string_view>

#include "apis/backends/s3_xml.h"
#include "apis/base/check.h"

namespace cloister {
namespace {

void ReadAnswer(std::string_view xml) {
  constexpr std::size_t kMost = 10;
  const auto uploads = XmlElements(xml, "Upload", kMost);
  CHECK(uploads.size() <= kMost);
  const char* last = xml.data();
  for (const std::string_view upload : uploads) {
    CHECK(std::less_equal<>()(last, upload.data()));
    last = upload.data() + upload.size();
    CHECK(std::less_equal<>()(last, xml.data() + xml.size()));
    CHECK(upload.find("</Upload>") == std::string_view::npos);
    CHECK(XmlText(upload, "UploadId").size() <= upload.size());
  }
  for (const std::string_view name : {"Code", "Message", "UploadId", "Key"})
    CHECK(XmlText(xml, name).size() <= xml.size());
  CHECK(XmlDecode(XmlEncode(xml)) == xml);
}

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloister::ReadAnswer({reinterpret_cast<const char*>(data), size});
  return 0;
}
