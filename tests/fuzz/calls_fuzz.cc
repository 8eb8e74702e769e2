// Arguments and results of arbitrary bytes: each is refused or encodes to the same bytes again.

#include <cstdint>
#include <string>
#include <string_view>

#include "apis/base/check.h"
#include "apis/calls.h"

namespace cloister {
namespace {

template <typename Fields>
void CheckFields(std::string_view bytes) {
  const Result<Fields> decoded = DecodeFields<Fields>(bytes);
  if (!decoded.ok())
    return;
  std::string again;
  EncodeFields(decoded.value(), again);
  CHECK(again == bytes);
}

void CheckCalls(std::string_view bytes) {
#define CALL(name, number, method) \
  CheckFields<name>(bytes);        \
  CheckFields<name##Result>(bytes);
#define ARG(type, name)
#define RESULT(type, name)
#define END_CALL
#include "apis/calls.def"
#undef CALL
#undef ARG
#undef RESULT
#undef END_CALL
}

}  // namespace
}  // namespace cloister

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloister::CheckCalls({reinterpret_cast<const char*>(data), size});
  return 0;
}
