#include "sandbox/image/image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "apis/base/check.h"
#include "apis/wire/codec.h"

namespace cloister {
namespace {

constexpr std::string_view kMagic = "CLOIMG01";
constexpr std::size_t kHeaderSize = 64;
constexpr std::size_t kEntrySize = 48;
constexpr std::size_t kAlignment = 8;
constexpr std::size_t kWriteBufferSize = std::size_t{1} << 20;
constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;

constexpr std::uint64_t Aligned(std::uint64_t offset) {
  return (offset + kAlignment - 1) & ~std::uint64_t{kAlignment - 1};
}

struct RawEntry {
  std::uint64_t name_offset = 0;
  std::uint32_t name_size = 0;
  std::uint32_t filler = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t data_size = 0;
  std::uint64_t code_offset = 0;
  std::uint64_t code_size = 0;
};
static_assert(sizeof(RawEntry) == kEntrySize);

RawEntry ReadEntry(std::string_view entries, std::size_t index) {
  RawEntry entry;
  std::memcpy(&entry, entries.data() + index * kEntrySize, kEntrySize);
  return entry;
}

// Whether [offset, offset + size) lies inside `total`, without overflow.
bool IsInside(std::uint64_t offset, std::uint64_t size, std::uint64_t total) {
  return offset <= total && size <= total - offset;
}

Error Damaged(std::string what) {
  return Error{ErrorCode::kInvalidArgument, "not a whole image: " + std::move(what)};
}

// Gathers small pieces into large writes.
class Output {
 public:
  explicit Output(int fd) : fd_(fd) { pending_.reserve(kWriteBufferSize); }

  Result<void> Append(std::string_view bytes) {
    if (pending_.size() + bytes.size() > kWriteBufferSize)
      TRY(Flush());
    if (bytes.size() > kWriteBufferSize)
      return Write(bytes);
    pending_ += bytes;
    return {};
  }
  Result<void> AppendAligned(std::string_view bytes) {
    constexpr std::string_view kZeros("\0\0\0\0\0\0\0", kAlignment - 1);
    TRY(Append(bytes));
    return Append(kZeros.substr(0, Aligned(bytes.size()) - bytes.size()));
  }
  Result<void> Flush() {
    const std::string bytes = std::exchange(pending_, {});
    return Write(bytes);
  }

 private:
  Result<void> Write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0)
        return SystemError("writing an image");
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
  }

  int fd_;
  std::string pending_;
};

}  // namespace

void ImageBuilder::Add(std::string path, std::string contents, std::string code) {
  files_.push_back(
      {.path = std::move(path), .contents = std::move(contents), .code = std::move(code)});
}

std::vector<std::size_t> ImageBuilder::SortedOrder() const {
  std::vector<std::size_t> order(files_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [this](std::size_t i) { return std::string_view(files_[i].path); });
  for (std::size_t i = 1; i < order.size(); ++i)
    CHECK(files_[order[i - 1]].path != files_[order[i]].path);
  return order;
}

std::string ImageBuilder::Index(const std::vector<std::size_t>& order) const {
  const std::uint64_t names_offset = kHeaderSize + order.size() * kEntrySize;
  std::string names;
  for (const std::size_t i : order)
    names += files_[i].path;
  std::string entries;
  WireWriter writer(entries);
  std::uint64_t name_offset = 0;
  std::uint64_t data_offset = Aligned(names_offset + names.size());
  for (const std::size_t i : order) {
    const File& file = files_[i];
    writer.U64(name_offset);
    writer.U32(static_cast<std::uint32_t>(file.path.size()));
    writer.U32(0);
    name_offset += file.path.size();
    for (const std::string* part : {&file.contents, &file.code}) {
      writer.U64(data_offset);
      writer.U64(part->size());
      data_offset += Aligned(part->size());
    }
  }
  std::string index;
  WireWriter header(index);
  header.Raw(kMagic);
  header.U32(static_cast<std::uint32_t>(order.size()));
  header.U32(0);
  header.U64(kHeaderSize);
  header.U64(names_offset);
  header.U64(names.size());
  header.U64(data_offset);
  header.U64(time_seconds_);
  header.U64(0);
  return index + entries + names;
}

Result<void> ImageBuilder::WriteTo(int fd) const {
  const std::vector<std::size_t> order = SortedOrder();
  Output out(fd);
  TRY(out.AppendAligned(Index(order)));
  for (const std::size_t i : order) {
    TRY(out.AppendAligned(files_[i].contents));
    TRY(out.AppendAligned(files_[i].code));
  }
  return out.Flush();
}

Result<UniqueFd> ImageBuilder::BuildMemfd(const std::string& name) const {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid())
    return SystemError("creating a memory file");
  TRY(WriteTo(fd.get()));
  if (::fcntl(fd.get(), F_ADD_SEALS, kAllSeals | F_SEAL_SEAL) != 0)
    return SystemError("sealing an image");
  return fd;
}

Result<Image> Image::Open(int fd, NeedSeals need_seals) {
  if (need_seals == NeedSeals::kYes) {
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0)
      return SystemError("reading the seals of an image");
    if ((seals & kAllSeals) != kAllSeals)
      return Error{ErrorCode::kInvalidArgument, "the image is not sealed"};
  }
  struct stat status = {};
  if (::fstat(fd, &status) != 0)
    return SystemError("reading the size of an image");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < kHeaderSize)
    return Damaged("too short");
  void* mapping = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED)
    return SystemError("mapping an image");
  Image image(std::string_view(static_cast<const char*>(mapping), size));
  TRY(image.Check());
  return image;
}

Result<void> Image::Check() {
  WireReader header(bytes_.substr(0, kHeaderSize));
  const std::string_view magic = header.Take(kMagic.size());
  const std::uint32_t count = header.U32();
  const std::uint32_t filler = header.U32();
  const std::uint64_t entries_offset = header.U64();
  const std::uint64_t names_offset = header.U64();
  const std::uint64_t names_size = header.U64();
  const std::uint64_t total_size = header.U64();
  time_seconds_ = header.U64();
  if (magic != kMagic || filler != 0)
    return Damaged("another kind of file");
  if (total_size != bytes_.size())
    return Damaged("cut off, or longer than it says");
  if (!IsInside(entries_offset, std::uint64_t{count} * kEntrySize, total_size))
    return Damaged("its entries lie outside");
  if (!IsInside(names_offset, names_size, total_size))
    return Damaged("its names lie outside");
  entries_ = bytes_.substr(entries_offset, std::size_t{count} * kEntrySize);
  names_ = bytes_.substr(names_offset, names_size);
  count_ = count;
  for (std::size_t i = 0; i < count_; ++i)
    TRY(CheckEntry(i));
  return {};
}

Result<void> Image::CheckEntry(std::size_t index) const {
  const RawEntry entry = ReadEntry(entries_, index);
  if (entry.filler != 0 || !IsInside(entry.name_offset, entry.name_size, names_.size()))
    return Damaged("the name of entry " + std::to_string(index) + " lies outside");
  if (!IsInside(entry.data_offset, entry.data_size, bytes_.size()) ||
      !IsInside(entry.code_offset, entry.code_size, bytes_.size()))
    return Damaged("the data of entry " + std::to_string(index) + " lie outside");
  const std::string_view path = PathAt(index);
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string_view::npos)
    return Damaged("entry " + std::to_string(index) + " has no valid path");
  if (index > 0 && PathAt(index - 1) >= path)
    return Damaged("entry " + std::to_string(index) + " is out of order");
  return {};
}

Image::Image(Image&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})),
      entries_(std::exchange(other.entries_, {})),
      names_(std::exchange(other.names_, {})),
      count_(std::exchange(other.count_, 0)),
      time_seconds_(other.time_seconds_) {}

Image& Image::operator=(Image&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(entries_, other.entries_);
  std::swap(names_, other.names_);
  std::swap(count_, other.count_);
  std::swap(time_seconds_, other.time_seconds_);
  return *this;
}

Image::~Image() {
  if (!bytes_.empty())
    ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

std::string_view Image::PathAt(std::size_t index) const {
  const RawEntry entry = ReadEntry(entries_, index);
  return names_.substr(entry.name_offset, entry.name_size);
}

ImageEntry Image::At(std::size_t index) const {
  CHECK(index < count_);
  const RawEntry entry = ReadEntry(entries_, index);
  return ImageEntry{.path = names_.substr(entry.name_offset, entry.name_size),
                    .contents = bytes_.substr(entry.data_offset, entry.data_size),
                    .code = bytes_.substr(entry.code_offset, entry.code_size)};
}

std::size_t Image::LowerBound(std::string_view path) const {
  std::size_t low = 0;
  std::size_t high = count_;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (PathAt(middle) < path)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

std::optional<ImageEntry> Image::Find(std::string_view path) const {
  const std::size_t index = LowerBound(path);
  if (index == count_ || PathAt(index) != path)
    return std::nullopt;
  return At(index);
}

}  // namespace cloister
