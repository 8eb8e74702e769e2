// Control messages of arbitrary bytes: each is refused or encodes to the same bytes again.

#include <cstdint>
#include <string_view>

#include "apis/base/check.h"
#include "apis/wire/messages.h"

namespace cloister {
namespace {

template <typename M>
void CheckMessage(std::string_view packet) {
  const auto decoded = DecodeMessage<M>(packet);
  CHECK(decoded.ok() || decoded.error().code == ErrorCode::kProtocol);
  CHECK(!decoded.ok() || EncodeMessage(decoded.value()) == packet);
}

void CheckPacket(std::string_view packet) {
#define MESSAGE(name, number) CheckMessage<name>(packet);
#define FIELD(type, name)
#define END_MESSAGE
#include "apis/wire/messages.def"
#undef MESSAGE
#undef FIELD
#undef END_MESSAGE
}

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloister::CheckPacket({reinterpret_cast<const char*>(data), size});
  return 0;
}
