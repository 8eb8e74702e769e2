// The heads that frames carry, of arbitrary bytes: the first byte says which. Each is refused or
// encodes to the same bytes again, and what it allocated was bounded before.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "apis/wire/channel.h"

namespace cloister {
namespace {

template <typename Head>
void CheckHead(std::string_view bytes) {
  WireReader reader(bytes);
  const auto decoded = Head::Decode(reader);
  if (!decoded.ok())
    return;
  std::string again;
  WireWriter writer(again);
  decoded.value().Encode(writer);
  again += reader.Rest();
  CHECK(again == bytes);
}

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      cloister::CheckHead<cloister::RequestHead>(bytes);
      break;
    case 1:
      cloister::CheckHead<cloister::ResponseHead>(bytes);
      break;
    case 2:
      cloister::CheckHead<cloister::LogHead>(bytes);
      break;
    default:
      cloister::CheckHead<cloister::BootReport>(bytes);
      break;
  }
  return 0;
}
