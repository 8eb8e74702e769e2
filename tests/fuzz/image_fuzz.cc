// An image made of arbitrary bytes: Open refuses it or every lookup stays inside (ASan holds that).

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "apis/base/check.h"
#include "sandbox/image/image.h"

namespace {

// Reads every byte that the entry refers to.
std::uint64_t Touch(const cloister::ImageEntry& entry) {
  std::uint64_t sum = 0;
  for (const std::string_view part : {entry.path, entry.contents, entry.code})
    for (const char c : part)
      sum += static_cast<unsigned char>(c);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloister::UniqueFd fd(::memfd_create("image-fuzz", MFD_CLOEXEC));
  CHECK(fd.valid());
  CHECK(::write(fd.get(), data, size) == static_cast<ssize_t>(size));
  const cloister::Result<cloister::Image> opened =
      cloister::Image::Open(fd.get(), cloister::Image::NeedSeals::kNo);
  if (!opened.ok())
    return 0;
  const cloister::Image& image = opened.value();
  volatile std::uint64_t sum = 0;
  for (std::size_t i = 0; i < image.size() && i < 1000; ++i) {
    sum = sum + Touch(image.At(i));
    CHECK(image.Find(image.At(i).path).has_value());
    CHECK(image.LowerBound(image.At(i).path) == i);
  }
  CHECK(!image.Find("").has_value());
  return 0;
}
