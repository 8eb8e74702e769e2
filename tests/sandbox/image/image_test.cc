#include "sandbox/image/image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>

#include "apis/base/unique_fd.h"

namespace cloister {
namespace {

constexpr std::size_t kHeaderSize = 64;
constexpr std::size_t kEntrySize = 48;

UniqueFd MemoryFile(std::string_view bytes) {
  UniqueFd fd(::memfd_create("image-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

ImageBuilder SmallBuilder() {
  ImageBuilder builder;
  builder.Add("pkg/mod.py", "x = 1\n", "code of mod");
  builder.Add("hello.py", "print('hi')\n", "code of hello");
  builder.Add("pkg/__init__.py", "", "");
  builder.Add("pkg-data.txt", std::string("\0binary\xff", 8), "");
  return builder;
}

std::string SmallImage() {
  const UniqueFd fd(::memfd_create("image-test", MFD_CLOEXEC));
  EXPECT_TRUE(SmallBuilder().WriteTo(fd.get()).ok());
  std::string bytes(static_cast<std::size_t>(::lseek(fd.get(), 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

Result<Image> OpenBytes(std::string_view bytes) {
  return Image::Open(MemoryFile(bytes).get(), Image::NeedSeals::kNo);
}

template <typename T>
void Put(std::string& bytes, std::size_t offset, T value) {
  ASSERT_LE(offset + sizeof value, bytes.size());
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

TEST(ImageTest, FindsWhatWasAdded) {
  const Result<UniqueFd> fd = SmallBuilder().BuildMemfd("small");
  ASSERT_TRUE(fd.ok());
  const Result<Image> opened = Image::Open(fd.value().get(), Image::NeedSeals::kYes);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const Image& image = opened.value();
  EXPECT_EQ(image.size(), 4U);
  EXPECT_EQ(image.time_seconds(), 315532800U);
  ASSERT_TRUE(image.Find("hello.py").has_value());
  EXPECT_EQ(image.Find("hello.py")->contents, "print('hi')\n");
  EXPECT_EQ(image.Find("hello.py")->code, "code of hello");
  EXPECT_EQ(image.Find("pkg-data.txt")->contents, std::string_view("\0binary\xff", 8));
  EXPECT_EQ(image.Find("pkg/__init__.py")->contents, "");
  for (const char* absent : {"", "hello", "hello.pyc", "pkg", "pkg/", "zzz", "/hello.py"})
    EXPECT_FALSE(image.Find(absent).has_value()) << absent;
}

TEST(ImageTest, TheBytesAreThoseOfTheDocument) {
  // docs/image.md shows this image.
  ImageBuilder builder;
  builder.Add("a.py", "x\n", "");
  const UniqueFd fd(::memfd_create("image-test", MFD_CLOEXEC));
  ASSERT_TRUE(builder.WriteTo(fd.get()).ok());
  std::string bytes(256, '\0');
  const ssize_t count = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
  ASSERT_EQ(count, 128);
  std::string hex;
  for (int i = 0; i < count; ++i) {
    constexpr const char* kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  EXPECT_EQ(hex,
            "434c4f494d4730310100000000000000"
            "40000000000000007000000000000000"
            "04000000000000008000000000000000"
            "00a6ce12000000000000000000000000"
            "00000000000000000400000000000000"
            "78000000000000000200000000000000"
            "80000000000000000000000000000000"
            "612e707900000000780a000000000000");
}

TEST(ImageTest, EntriesAreInTheOrderOfTheirBytes) {
  const std::string bytes = SmallImage();
  const Result<Image> image = OpenBytes(bytes);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image.value().At(0).path, "hello.py");
  EXPECT_EQ(image.value().At(1).path, "pkg-data.txt");
  EXPECT_EQ(image.value().At(2).path, "pkg/__init__.py");
  EXPECT_EQ(image.value().At(3).path, "pkg/mod.py");
  EXPECT_EQ(image.value().LowerBound(""), 0U);
  EXPECT_EQ(image.value().LowerBound("pkg/"), 2U);
  EXPECT_EQ(image.value().LowerBound("pkg0"), 4U);
}

TEST(ImageTest, DataAreAlignedAndTheTimeIsKept) {
  ImageBuilder builder = SmallBuilder();
  builder.SetTime(1700000000);
  const Result<UniqueFd> fd = builder.BuildMemfd("time");
  ASSERT_TRUE(fd.ok());
  const Result<Image> image = Image::Open(fd.value().get(), Image::NeedSeals::kYes);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image.value().time_seconds(), 1700000000U);
  for (std::size_t i = 0; i < image.value().size(); ++i) {
    const ImageEntry entry = image.value().At(i);
    EXPECT_EQ((entry.contents.data() - image.value().bytes().data()) % 8, 0);
    EXPECT_EQ((entry.code.data() - image.value().bytes().data()) % 8, 0);
  }
}

TEST(ImageTest, AnEmptyImageOpens) {
  const Result<UniqueFd> fd = ImageBuilder().BuildMemfd("empty");
  ASSERT_TRUE(fd.ok());
  const Result<Image> image = Image::Open(fd.value().get(), Image::NeedSeals::kYes);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image.value().size(), 0U);
  EXPECT_FALSE(image.value().Find("a").has_value());
}

TEST(ImageTest, ALargeFileAndManySmallOnesSurvive) {
  ImageBuilder builder;
  const std::string large(3U << 20, 'L');
  builder.Add("large", large, "");
  for (int i = 0; i < 20000; ++i)
    builder.Add("f" + std::to_string(i), std::to_string(i), "");
  const Result<UniqueFd> fd = builder.BuildMemfd("many");
  ASSERT_TRUE(fd.ok());
  const Result<Image> image = Image::Open(fd.value().get(), Image::NeedSeals::kYes);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image.value().Find("large")->contents, large);
  for (int i = 0; i < 20000; i += 997)
    EXPECT_EQ(image.value().Find("f" + std::to_string(i))->contents, std::to_string(i));
}

TEST(ImageTest, TheMemfdTakesNoChange) {
  const Result<UniqueFd> fd = SmallBuilder().BuildMemfd("sealed");
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(::write(fd.value().get(), "x", 1), -1);
  EXPECT_EQ(::ftruncate(fd.value().get(), 0), -1);
  EXPECT_EQ(::ftruncate(fd.value().get(), 1 << 20), -1);
  EXPECT_EQ(::fcntl(fd.value().get(), F_GET_SEALS),
            F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  EXPECT_NE(::fcntl(fd.value().get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(ImageTest, EachMissingSealIsRefused) {
  for (const int missing : {F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK}) {
    const UniqueFd fd = MemoryFile(SmallImage());
    const int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
    ASSERT_EQ(::fcntl(fd.get(), F_ADD_SEALS, all & ~missing), 0);
    EXPECT_FALSE(Image::Open(fd.get(), Image::NeedSeals::kYes).ok()) << missing;
    EXPECT_TRUE(Image::Open(fd.get(), Image::NeedSeals::kNo).ok()) << missing;
  }
}

TEST(ImageTest, EveryTruncationIsRefused) {
  const std::string bytes = SmallImage();
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(OpenBytes(bytes.substr(0, size)).ok()) << size;
  EXPECT_FALSE(OpenBytes(bytes + "x").ok());
}

struct Damage {
  const char* name;
  std::function<void(std::string&)> make;
};

TEST(ImageTest, HostileHeadersAreRefused) {
  const Damage damages[] = {
      {"magic", [](std::string& b) { b[0] = 'X'; }},
      {"filler", [](std::string& b) { Put<std::uint32_t>(b, 12, 1); }},
      {"count one more", [](std::string& b) { Put<std::uint32_t>(b, 8, 5); }},
      {"count huge", [](std::string& b) { Put<std::uint32_t>(b, 8, 0xFFFFFFFF); }},
      {"entries outside", [](std::string& b) { Put<std::uint64_t>(b, 16, b.size()); }},
      {"entries wrap", [](std::string& b) { Put<std::uint64_t>(b, 16, ~std::uint64_t{0} - 7); }},
      {"names outside", [](std::string& b) { Put<std::uint64_t>(b, 24, b.size() + 1); }},
      {"names size", [](std::string& b) { Put<std::uint64_t>(b, 32, b.size()); }},
      {"names size wraps", [](std::string& b) { Put<std::uint64_t>(b, 32, ~std::uint64_t{0}); }},
      {"names empty", [](std::string& b) { Put<std::uint64_t>(b, 32, 0); }},
      {"total less", [](std::string& b) { Put<std::uint64_t>(b, 40, b.size() - 1); }},
      {"total more", [](std::string& b) { Put<std::uint64_t>(b, 40, b.size() + 1); }},
  };
  for (const Damage& damage : damages) {
    std::string bytes = SmallImage();
    damage.make(bytes);
    EXPECT_FALSE(OpenBytes(bytes).ok()) << damage.name;
  }
}

TEST(ImageTest, HostileEntriesAreRefused) {
  struct Field {
    const char* name;
    std::size_t offset;
  };
  const Field offsets[] = {{"name offset", 0},
                           {"data offset", 16},
                           {"data size", 24},
                           {"code offset", 32},
                           {"code size", 40}};
  for (std::size_t entry = 0; entry < 4; ++entry) {
    for (const Field& field : offsets)
      for (const std::uint64_t hostile :
           {std::uint64_t{1} << 32, ~std::uint64_t{0}, ~std::uint64_t{0} - 64}) {
        std::string bytes = SmallImage();
        Put(bytes, kHeaderSize + entry * kEntrySize + field.offset, hostile);
        EXPECT_FALSE(OpenBytes(bytes).ok()) << entry << " " << field.name << " " << hostile;
      }
    std::string bytes = SmallImage();
    Put<std::uint32_t>(bytes, kHeaderSize + entry * kEntrySize + 8, 0xFFFFFFFF);
    EXPECT_FALSE(OpenBytes(bytes).ok()) << entry << " name size";
    bytes = SmallImage();
    Put<std::uint32_t>(bytes, kHeaderSize + entry * kEntrySize + 8, 0);
    EXPECT_FALSE(OpenBytes(bytes).ok()) << entry << " empty name";
  }
}

TEST(ImageTest, UnsortedAndRepeatedPathsAreRefused) {
  std::string bytes = SmallImage();
  std::string first = bytes.substr(kHeaderSize, kEntrySize);
  std::string swapped = bytes;
  swapped.replace(kHeaderSize, kEntrySize, bytes.substr(kHeaderSize + kEntrySize, kEntrySize));
  swapped.replace(kHeaderSize + kEntrySize, kEntrySize, first);
  EXPECT_FALSE(OpenBytes(swapped).ok());
  std::string repeated = bytes;
  repeated.replace(kHeaderSize + kEntrySize, kEntrySize, first);
  EXPECT_FALSE(OpenBytes(repeated).ok());
}

TEST(ImageTest, PathsThatNoBundleHasAreRefused) {
  for (const char c : {'/', '\0'}) {
    std::string bytes = SmallImage();
    bytes[bytes.find("hello.py")] = c;
    EXPECT_FALSE(OpenBytes(bytes).ok());
  }
}

TEST(ImageTest, FilesMayShareBytes) {
  // Two entries with one content: nothing is written through an image, so sharing is harmless.
  std::string bytes = SmallImage();
  const std::size_t first = kHeaderSize + 16;
  bytes.replace(first + kEntrySize, 16, bytes.substr(first, 16));
  const Result<Image> image = OpenBytes(bytes);
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image.value().At(0).contents, image.value().At(1).contents);
}

TEST(ImageTest, MovingLeavesAnEmptyImage) {
  Result<Image> opened = OpenBytes(SmallImage());
  ASSERT_TRUE(opened.ok());
  Image first = std::move(opened).value();
  Image second = std::move(first);
  EXPECT_EQ(second.size(), 4U);
  EXPECT_EQ(first.size(), 0U);  // NOLINT(bugprone-use-after-move): what the class promises
  EXPECT_FALSE(first.Find("hello.py").has_value());
  first = std::move(second);
  EXPECT_EQ(first.size(), 4U);
}

TEST(ImageDeathTest, ARepeatedPathIsABug) {
  ImageBuilder builder;
  builder.Add("a", "", "");
  builder.Add("a", "", "");
  EXPECT_DEATH((void)builder.BuildMemfd("twice"), "CHECK|!=");
}

}  // namespace
}  // namespace cloister
